//! Lanes between shards that share one UDP port: what came to one shard's socket and is another's.
//!
//! The kernel gives all datagrams of one remote address to the same socket, whosever they are, unless it is told (`steering`). A shard that is given
//! somebody else's hands them over in one batch a turn; the way back needs no lane, as every shard sends from the same
//! port. Whose a remote address is, is told by *routes*: a shard that has proven a path tells all others of it, before it
//! answers the check that proved it.
//!
//! The same lanes carry what parts of one room on several shards have for each other: letters, and relayed packets.
//!
//! Nothing waits and nothing is allocated in the steady state: a full lane drops datagrams and packets (they are counted),
//! and batches go back to where they came from. Routes and letters wait for room in the lane. Letters with data of members
//! are lost when many wait; the others never are: there are as many as members join, leave, offer and subscribe, and the
//! server takes so much of that (`shard::inbox`) and so much a second from each (`rate`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use mio::Waker;
use roundtable_media::Relayed;
use roundtable_transport::path::Path;
use roundtable_wire::NtpTime;

use super::letter::{Destination, Letter};
use super::relocated::Relocated;

/// Batches that may wait for one shard, of all others together.
const LANE_CAPACITY: usize = 256;
/// Bytes of one batch; a datagram beyond begins another one.
const BATCH_BYTES: usize = 64 * 1024;

/// Letters that may wait for one shard when one with data is written; it is lost then.
const MAX_BEFORE_DATA: usize = 4096;

/// Whose a remote address is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The shard's that tells it.
    Add(Path),
    /// No longer the shard's that tells it.
    Remove(Path),
    /// STUN with this ufrag is for this shard, which need not be the one that its digits name.
    Ufrag(Box<str>, u8),
}

/// What one shard hands to another in one turn.
#[derive(Debug, Default)]
pub struct Batch {
    /// Who hands it over.
    pub from: u8,
    /// To be followed before the items are looked at.
    pub routes: Vec<Route>,
    /// To be taken in before the letters are read.
    pub stages: Vec<Relocated>,
    /// To be read before the items are looked at.
    pub letters: Vec<Letter>,
    bytes: Vec<u8>,
    /// What each item is, and its end in `bytes`.
    items: Vec<(Head, usize)>,
}

/// What the bytes of an item are.
#[derive(Debug, Clone, Copy)]
enum Head {
    Datagram(Path),
    /// One that another shard has handed over already.
    Again(Path),
    Packet(Destination, u8),
    Report(Destination, u8, NtpTime, u32),
}

/// Something handed over.
#[derive(Debug)]
pub enum Item<'a> {
    /// What has come to another shard's socket.
    Datagram {
        /// How it came.
        path: Path,
        /// The whole of it.
        datagram: &'a mut [u8],
        /// Whether it had been handed over before.
        is_again: bool,
    },
    /// Something of a layer of a track whose origin is another shard.
    Relayed(Destination, u8, Relayed<'a>),
}

impl Batch {
    /// The items in the order in which they came.
    pub fn items(&mut self) -> impl Iterator<Item = Item<'_>> {
        let (mut rest, mut start) = (self.bytes.as_mut_slice(), 0);
        self.items.iter().map(move |&(head, end)| {
            let (bytes, after) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (after, end);
            match head {
                Head::Datagram(path) => Item::Datagram { path, datagram: bytes, is_again: false },
                Head::Again(path) => Item::Datagram { path, datagram: bytes, is_again: true },
                Head::Packet(to, layer) => Item::Relayed(to, layer, Relayed::Packet(bytes)),
                Head::Report(to, layer, ntp, rtp_timestamp) => {
                    Item::Relayed(to, layer, Relayed::Report { ntp, rtp_timestamp })
                }
            }
        })
    }

    fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.stages.is_empty() && self.letters.is_empty() && self.items.is_empty()
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.stages.clear();
        self.letters.clear();
        self.forget_items();
    }

    fn forget_items(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }
}

/// One shard's ends of all lanes.
#[derive(Debug)]
pub struct Lanes {
    own: u8,
    others: Vec<Outward>,
    inward: Receiver<Batch>,
    /// Whether something may be there: most turns look for nothing, and this is one place to look at.
    handed: Arc<AtomicBool>,
    empties: Receiver<Batch>,
}

/// The way to one other shard.
struct Outward {
    shard: u8,
    filling: Batch,
    sender: SyncSender<Batch>,
    handed: Arc<AtomicBool>,
    /// Where emptied batches of that shard go back to.
    back: SyncSender<Batch>,
    waker: Arc<Waker>,
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outward").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl Lanes {
    /// The lanes among shards that are woken by these wakers, in the order of their numbers; at most 256.
    #[must_use]
    pub fn between(wakers: &[Arc<Waker>]) -> Vec<Self> {
        let inward: Vec<_> = wakers.iter().map(|_| sync_channel(LANE_CAPACITY)).collect();
        let back: Vec<_> = wakers.iter().map(|_| sync_channel(LANE_CAPACITY)).collect();
        let (senders, inward): (Vec<_>, Vec<_>) = inward.into_iter().unzip();
        let (backs, empties): (Vec<_>, Vec<_>) = back.into_iter().unzip();
        let handed: Vec<Arc<AtomicBool>> = wakers.iter().map(|_| Arc::default()).collect();
        let outward = |own: u8| {
            let all = (0..=u8::MAX).zip(wakers).zip(senders.iter().zip(&backs)).zip(&handed);
            let others = all.filter(move |(((shard, _), _), _)| *shard != own);
            others.map(move |(((shard, waker), (sender, back)), handed)| Outward {
                shard,
                filling: Batch { from: own, ..Batch::default() },
                sender: sender.clone(),
                handed: Arc::clone(handed),
                back: back.clone(),
                waker: Arc::clone(waker),
            })
        };
        let lanes = (0..=u8::MAX).zip(inward.into_iter().zip(empties)).zip(&handed);
        let lane = |((own, (inward, empties)), handed): ((u8, _), &Arc<AtomicBool>)| Self {
            own,
            others: outward(own).collect(),
            inward,
            handed: Arc::clone(handed),
            empties,
        };
        lanes.map(lane).collect()
    }

    /// The number of the shard whose ends these are.
    #[must_use]
    pub fn own(&self) -> u8 {
        self.own
    }

    /// Adds a datagram to what is handed to `shard`. Returns whether there was room.
    pub fn push(&mut self, shard: u8, path: Path, datagram: &[u8]) -> bool {
        self.push_item(shard, Head::Datagram(path), datagram)
    }

    /// The same with one that another shard has handed over to this one.
    pub fn push_again(&mut self, shard: u8, path: Path, datagram: &[u8]) -> bool {
        self.push_item(shard, Head::Again(path), datagram)
    }

    /// Adds something of a layer of a track to what is handed to `shard`. Returns whether there was room.
    pub fn relay(&mut self, shard: u8, to: Destination, layer: u8, item: Relayed<'_>) -> bool {
        match item {
            Relayed::Packet(bytes) => self.push_item(shard, Head::Packet(to, layer), bytes),
            Relayed::Report { ntp, rtp_timestamp } => {
                self.push_item(shard, Head::Report(to, layer, ntp, rtp_timestamp), &[])
            }
        }
    }

    fn push_item(&mut self, shard: u8, head: Head, bytes: &[u8]) -> bool {
        let Some(at) = self.index(shard) else { return false };
        // In bounds: just found.
        if self.others[at].filling.bytes.len() + bytes.len() > BATCH_BYTES && self.send(at) > 0 {
            return false;
        }
        let batch = &mut self.others[at].filling;
        batch.bytes.extend_from_slice(bytes);
        batch.items.push((head, batch.bytes.len()));
        true
    }

    /// Writes to the part of a room on another shard. Returns whether it was taken: data is not where many letters wait.
    pub fn write(&mut self, shard: u8, letter: Letter) -> bool {
        let Some(at) = self.index(shard) else { return false };
        // In bounds: just found.
        let letters = &mut self.others[at].filling.letters;
        let is_taken = letters.len() < MAX_BEFORE_DATA || !letter.body.is_data();
        if is_taken {
            letters.push(letter);
        }
        is_taken
    }

    /// Hands a stage over. It is taken in before what is written in the same turn is read.
    pub fn send_stage(&mut self, shard: u8, stage: Relocated) {
        if let Some(at) = self.index(shard) {
            // In bounds: just found.
            self.others[at].filling.stages.push(stage);
        }
    }

    /// Whether nothing waits for room in a lane.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.others.iter().all(|other| other.filling.is_empty())
    }

    fn index(&self, shard: u8) -> Option<usize> {
        // They stand in the order of their numbers, without the own one.
        let at = usize::from(shard) - usize::from(shard > self.own);
        (shard != self.own && at < self.others.len()).then_some(at)
    }

    /// Tells all others of a route.
    pub fn tell(&mut self, route: &Route) {
        self.others.iter_mut().for_each(|other| other.filling.routes.push(route.clone()));
    }

    /// Hands over what was added; returns how many datagrams were lost because a lane was full.
    pub fn flush(&mut self) -> usize {
        (0..self.others.len()).map(|at| self.send(at)).sum()
    }

    /// The next batch that another shard has handed over; to be given back by [`Lanes::recycle`].
    pub fn next(&self) -> Option<Batch> {
        // What is handed over from here on says so again.
        if !self.handed.load(Ordering::Relaxed) || !self.handed.swap(false, Ordering::Acquire) {
            return None;
        }
        let batch = self.inward.try_recv().ok()?;
        self.handed.store(true, Ordering::Relaxed); // There may be more.
        Some(batch)
    }

    /// Gives a batch back to where it came from.
    pub fn recycle(&self, mut batch: Batch) {
        batch.clear();
        if let Some(other) = self.others.iter().find(|other| other.shard == batch.from) {
            // A shard that has ended, or has enough of them, lets go of it.
            let _ = other.back.try_send(batch);
        }
    }

    fn send(&mut self, at: usize) -> usize {
        let Some(other) = self.others.get_mut(at).filter(|other| !other.filling.is_empty()) else { return 0 };
        let empty = self.empties.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut other.filling, Batch { from: self.own, ..empty });
        match other.sender.try_send(batch) {
            Ok(()) => {
                other.handed.store(true, Ordering::Release);
                // A failed wake-up only delays it to that shard's next turn.
                let _ = other.waker.wake();
                0
            }
            Err(TrySendError::Full(mut batch)) => {
                let lost = batch.items.len();
                batch.forget_items();
                other.filling = batch;
                lost
            }
            // The server is stopping.
            Err(TrySendError::Disconnected(_)) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_media::{Plane, TrackConfig, TrackKey};

    use super::*;
    use crate::shard::letter::{Body, Report, StageCommand};

    fn path(port: u16) -> Path {
        Path { remote: ([127, 0, 0, 1], port).into(), local: None }
    }

    fn lanes(count: usize) -> (mio::Poll, Vec<Lanes>) {
        let poll = mio::Poll::new().unwrap();
        // One poll wakes for all of them: only one waker may be registered with it.
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let wakers = vec![waker; count];
        (poll, Lanes::between(&wakers))
    }

    /// Any track.
    fn track() -> TrackKey {
        let start = std::time::Instant::now();
        let mut plane = Plane::new(start.into(), 0, 1);
        let peer = plane.add_peer(start.into());
        let extensions = roundtable_wire::ExtensionMap::default();
        let config = TrackConfig {
            kind: roundtable_wire::Kind::Audio,
            mid: "0".to_owned(),
            codecs: Vec::new(),
            extensions,
            rids: Vec::new(),
            ssrcs: Vec::new(),
            fid: Vec::new(),
        };
        plane.add_track(start.into(), peer, config)
    }

    fn contents(batch: &mut Batch) -> Vec<(Path, Vec<u8>)> {
        let datagrams = batch.items().filter_map(|item| match item {
            Item::Datagram { path, datagram, .. } => Some((path, datagram.to_vec())),
            Item::Relayed(..) => None,
        });
        datagrams.collect()
    }

    #[test]
    fn what_is_handed_over_comes_to_that_shard_whole_and_in_order() {
        let (_poll, mut lanes) = lanes(3);
        assert!(
            lanes[0].push(2, path(1), &[1, 2, 3]) && lanes[0].push(2, path(2), &[]) && lanes[0].push(2, path(3), &[4])
        );
        lanes[0].tell(&Route::Add(path(9)));
        assert_eq!(lanes[0].flush(), 0);
        let mut batch = lanes[2].next().unwrap();
        assert_eq!((batch.from, &batch.routes[..]), (0, &[Route::Add(path(9))][..]));
        assert_eq!(contents(&mut batch), [(path(1), vec![1, 2, 3]), (path(2), vec![]), (path(3), vec![4])]);
        lanes[2].recycle(batch);
        let mut batch = lanes[1].next().unwrap();
        assert_eq!((batch.routes.len(), contents(&mut batch).len()), (1, 0), "routes are for everybody");
        assert!(lanes[0].next().is_none() && lanes[1].next().is_none() && lanes[2].next().is_none());
    }

    #[test]
    fn letters_and_relayed_packets_come_to_one_shard_in_order() {
        let (_poll, mut lanes) = lanes(3);
        let to = Destination { room: 3, stage: 9, track: track() };
        let report = Relayed::Report { ntp: NtpTime(5), rtp_timestamp: 6 };
        assert!(lanes[1].relay(0, to, 2, Relayed::Packet(&[7, 8])) && lanes[1].relay(0, to, 1, report));
        lanes[1].write(0, Letter { life: 9, body: Body::Command(StageCommand::Close) });
        lanes[1].flush();
        let mut batch = lanes[0].next().unwrap();
        assert_eq!((batch.from, batch.letters.len(), batch.letters[0].life), (1, 1, 9));
        let items: Vec<String> = batch.items().map(|item| format!("{item:?}")).collect();
        assert!(items[0].ends_with("2, Packet([7, 8]))"), "{items:?}");
        assert!(items[1].contains("1, Report") && items.len() == 2, "{items:?}");
        assert!(lanes[2].next().is_none());
        assert!(!lanes[1].relay(1, to, 0, report) && !lanes[1].relay(3, to, 0, report), "there is no such lane");
    }

    #[test]
    fn a_full_lane_loses_datagrams_and_no_route() {
        let (_poll, mut lanes) = lanes(2);
        for _ in 0..LANE_CAPACITY {
            assert!(lanes[0].push(1, path(1), &[0]));
            assert_eq!(lanes[0].flush(), 0);
        }
        assert!(lanes[0].push(1, path(1), &[1]));
        lanes[0].tell(&Route::Remove(path(7)));
        assert_eq!(lanes[0].flush(), 1);
        let first = lanes[1].next().unwrap();
        lanes[1].recycle(first);
        assert_eq!(lanes[0].flush(), 0);
        let batches: Vec<Batch> = std::iter::from_fn(|| lanes[1].next()).collect();
        assert_eq!(batches.last().map(|batch| &batch.routes[..]), Some(&[Route::Remove(path(7))][..]));
    }

    #[test]
    fn data_is_lost_where_many_letters_wait_and_nothing_else_is() {
        let (_poll, mut lanes) = lanes(2);
        let member = roundtable_protocol::MemberId::new("m").unwrap();
        let data = || {
            let json = bytes::Bytes::new();
            let message = crate::shard::inbox::ToMember::Written(json);
            Letter { life: 9, body: Body::Report(Report::TellData { member: member.clone(), message }) }
        };
        let close = || Letter { life: 9, body: Body::Command(StageCommand::Close) };
        for _ in 0..MAX_BEFORE_DATA {
            assert!(lanes[0].write(1, data()));
        }
        assert!(!lanes[0].write(1, data()) && lanes[0].write(1, close()) && !lanes[0].write(1, data()));
        lanes[0].flush();
        assert_eq!(lanes[1].next().map(|batch| batch.letters.len()), Some(MAX_BEFORE_DATA + 1));
        assert!(lanes[0].write(1, data()), "there is room again");
        assert!(!lanes[0].write(0, close()), "there is no such lane");
    }

    #[test]
    fn a_stage_is_first_in_its_lane_once_that_is_clear() {
        let (_poll, mut lanes) = lanes(2);
        assert!(lanes[0].is_clear());
        lanes[0].write(1, Letter { life: 9, body: Body::Command(StageCommand::Close) });
        assert!(!lanes[0].is_clear());
        lanes[0].flush();
        assert!(lanes[0].is_clear());
        let now = crate::room::Now { instant: std::time::Instant::now(), unix_ms: 0 };
        let stage = crate::shard::stage::Stage::new(now, 0, 3, (0, 0));
        let room = roundtable_protocol::RoomId::new("r").unwrap();
        lanes[0].send_stage(1, Relocated { life: 9, room, home: 0, stage, endpoints: Vec::new() });
        assert!(!lanes[0].is_clear());
        lanes[0].flush();
        let batches: Vec<_> = std::iter::from_fn(|| lanes[1].next()).collect();
        assert_eq!(batches.iter().map(|b| (b.letters.len(), b.stages.len())).collect::<Vec<_>>(), [(1, 0), (0, 1)]);
    }

    #[test]
    fn batches_come_back_and_are_filled_again() {
        let (_poll, mut lanes) = lanes(2);
        let mut rooms = Vec::new();
        for _ in 0..4 {
            lanes[0].push(1, path(1), &[0; 1000]);
            lanes[0].flush();
            let batch = lanes[1].next().unwrap();
            rooms.push(batch.bytes.as_ptr());
            lanes[1].recycle(batch);
        }
        assert_eq!(rooms[0], rooms[2], "two take turns");
        assert_eq!(rooms[1], rooms[3]);
    }

    #[test]
    fn a_batch_that_would_be_too_long_leaves_first() {
        let (_poll, mut lanes) = lanes(2);
        for _ in 0..100 {
            assert!(lanes[0].push(1, path(1), &[0; 1500]));
        }
        lanes[0].flush();
        let lens: Vec<usize> = std::iter::from_fn(|| lanes[1].next()).map(|batch| batch.bytes.len()).collect();
        assert_eq!(lens.iter().sum::<usize>(), 150_000);
        assert!(lens.iter().all(|&len| len <= BATCH_BYTES), "{lens:?}");
    }
}
