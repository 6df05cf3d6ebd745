//! Writes what the plane of one room is told to a file, see `roundtable_media::trace`.
//!
//! The plane writes into memory; the shard hands that on when there is a chunk of it or a second has passed; a thread
//! writes it to the file. The shard never waits: while the thread is behind, the plane keeps what comes, and if that is
//! too much it marks a gap and stops recording. The room goes on either way.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use roundtable_media::Plane;
use roundtable_protocol::RoomId;

/// So many bytes are handed on at once, …
const CHUNK_BYTES: usize = 64 * 1024;
/// … or what there is after this long.
const INTERVAL: Duration = Duration::from_secs(1);
/// Chunks that may wait for the thread; the next one waits in the plane.
const MAX_CHUNKS: usize = 32;

/// What is recorded, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// The file, which is overwritten. Only its owner may read it.
    pub path: PathBuf,
    /// Which room; the first one opened unless it is named.
    pub room: Option<RoomId>,
    /// The bytes of it, at most.
    pub max_bytes: u64,
}

/// The recording of one room in the life of the server.
#[derive(Debug)]
pub struct Tape {
    config: RecordConfig,
    state: State,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum State {
    /// The room has not been opened.
    Waiting(SyncSender<Vec<u8>>),
    Recording(Recording),
    /// It was closed, or writing failed.
    Over,
}

#[derive(Debug)]
struct Recording {
    /// The place of the room.
    room: usize,
    chunks: SyncSender<Vec<u8>>,
    /// What the thread had no room for.
    held: Vec<u8>,
    next: Instant,
    /// Whether its end before the room's was told.
    is_told: bool,
}

impl Tape {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread not be started.
    pub fn open(config: RecordConfig) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&config.path)?;
        let (chunks, written) = sync_channel(MAX_CHUNKS);
        let path = config.path.clone();
        let thread = std::thread::Builder::new().name("trace".to_owned()).spawn(move || {
            if let Err(error) = write(file, &written) {
                tracing::warn!(%error, path = %path.display(), "recording ends, as the file cannot be written");
            }
        })?;
        Ok(Self { config, state: State::Waiting(chunks), thread: Some(thread) })
    }

    /// Begins if this room, which is new, is to be recorded.
    pub(super) fn handle_opened(&mut self, now: Instant, key: usize, id: &RoomId, plane: &mut Plane) {
        let State::Waiting(chunks) = &self.state else { return };
        if self.config.room.as_ref().is_none_or(|wanted| wanted == id) && plane.record(self.config.max_bytes) {
            tracing::info!(room = %id, path = %self.config.path.display(), "what this room's media plane is told is recorded");
            let chunks = chunks.clone();
            self.state = State::Recording(Recording { room: key, chunks, held: Vec::new(), next: now, is_told: false });
        }
    }

    /// The room that is being recorded.
    pub(super) const fn room(&self) -> Option<usize> {
        match &self.state {
            State::Recording(recording) => Some(recording.room),
            State::Waiting(_) | State::Over => None,
        }
    }

    /// Hands on what the plane has recorded, if it is time.
    pub(super) fn drain(&mut self, now: Instant, plane: &mut Plane) {
        let State::Recording(recording) = &mut self.state else { return };
        let Some(figures) = plane.recording() else { return };
        if figures.pending < CHUNK_BYTES && now < recording.next && recording.held.is_empty() {
            return;
        }
        recording.next = now + INTERVAL;
        if figures.is_over() && !recording.is_told {
            recording.is_told = true;
            tracing::warn!(
                figures.bytes,
                figures.calls,
                "recording has ended before the room: its bound is reached, or the disk is too slow"
            );
        }
        if !recording.hand_on(plane) {
            plane.stop_recording();
            self.state = State::Over;
        }
    }

    /// Hands on the rest of a room that ends.
    pub(super) fn handle_closed(&mut self, key: usize, plane: &mut Plane) {
        let State::Recording(recording) = &mut self.state else { return };
        if recording.room != key {
            return;
        }
        while recording.hand_on(plane) {
            let left = plane.recording().map_or(0, |figures| figures.pending) + recording.held.len();
            if left == 0 {
                break;
            }
            if !recording.held.is_empty() {
                tracing::warn!(left, "the end of the recording is lost, as the disk is too slow");
                break;
            }
        }
        self.state = State::Over;
    }
}

impl Recording {
    /// Gives the thread what it has room for; returns whether it goes on.
    fn hand_on(&mut self, plane: &mut Plane) -> bool {
        let mut chunk = std::mem::take(&mut self.held);
        if chunk.is_empty() {
            plane.take_recorded(&mut chunk);
        }
        if chunk.is_empty() {
            return true;
        }
        match self.chunks.try_send(chunk) {
            Ok(()) => true,
            Err(TrySendError::Full(chunk)) => {
                self.held = chunk;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Waits until everything is in the file.
impl Drop for Tape {
    fn drop(&mut self) {
        self.state = State::Over; // The channel ends with it, and so does the thread.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the recording panicked");
        }
    }
}

fn write(mut file: File, chunks: &Receiver<Vec<u8>>) -> io::Result<()> {
    for chunk in chunks {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundtable_media::replay::replay;
    use roundtable_media::{Egress, PeerKey};

    struct Nowhere;

    impl Egress for Nowhere {
        fn rtp(&mut self, _: PeerKey, _: &[u8], _: usize, _: &[u8], _: u32) {}
        fn rtcp(&mut self, _: PeerKey, _: &[u8]) {}
    }

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    /// Records two rooms as far as the tape wants, and returns the calls in the file.
    fn calls_of(name: &str, wanted: Option<&str>, max_bytes: u64, peers: [usize; 2]) -> (u64, bool) {
        let path = std::env::temp_dir().join(format!("roundtable-tape-{name}-{}", std::process::id()));
        let config = RecordConfig { path: path.clone(), room: wanted.map(room), max_bytes };
        let start = Instant::now(); // An origin to add to.
        let mut tape = Tape::open(config).unwrap();
        for (key, (name, peers)) in ["first", "second"].into_iter().zip(peers).enumerate() {
            let mut plane = Plane::new(start.into(), 0, 1);
            tape.handle_opened(start, key, &room(name), &mut plane);
            for n in 0..peers {
                plane.add_peer((start + Duration::from_millis(n as u64)).into());
                if tape.room() == Some(key) {
                    tape.drain(start + Duration::from_millis(n as u64), &mut plane);
                }
            }
            tape.handle_closed(key, &mut plane);
        }
        drop(tape);
        let trace = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let summary = replay(&trace, start.into(), &mut Nowhere, &mut |_| {}).unwrap();
        (summary.calls, summary.is_cut)
    }

    #[test]
    fn the_first_room_or_the_named_one_is_recorded_to_its_end() {
        assert_eq!(calls_of("first", None, 1 << 20, [5_000, 7]), (5_000, false));
        assert_eq!(calls_of("named", Some("second"), 1 << 20, [5_000, 7]), (7, false));
    }

    #[test]
    fn a_file_that_is_full_ends_with_the_mark_of_a_gap() {
        let (calls, is_cut) = calls_of("full", None, 1_000, [5_000, 7]);
        assert!(is_cut && calls < 1_000, "{calls}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let path = std::env::temp_dir().join("no-such-folder-of-roundtable").join("trace");
        assert!(Tape::open(RecordConfig { path, room: None, max_bytes: 1 }).is_err());
    }
}
