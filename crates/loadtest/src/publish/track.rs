//! The tracks of a client and when each is due.

use std::time::{Duration, Instant};

use roundtable_protocol::TrackId;
use roundtable_protocol::event::{MediaKind, TrackSource};
use roundtable_protocol::message::{EncodingWish, PublishRequest, PublishedTrack};
use roundtable_udp::SendReport;
use roundtable_wire::NtpTime;
use roundtable_wire::rtcp::Writer;

use super::encoding::{Arena, Encoding, Media};
use super::shape::VideoShape;
use crate::address::Address;
use crate::measure::Window;
use crate::sdp::SendLine;
use crate::srtp::Cipher;

/// A track to be published.
#[derive(Debug, Clone)]
pub(crate) enum TrackSpec {
    /// A microphone.
    Audio {
        /// The source its stamps name.
        source: u32,
    },
    /// A camera: one encoding without a rid, or several with one each.
    Video {
        /// Of each encoding the rid, the source its stamps name, and how it looks.
        encodings: Vec<(String, u32, VideoShape)>,
    },
}

/// Everything a client sends, in the order of its m-lines.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    mid: String,
    id: Option<TrackId>,
    kind: MediaKind,
    encodings: Vec<(Media, Encoding)>,
    interval: Duration,
    next: Instant,
}

impl Publisher {
    /// `seed` makes the SSRCs of different clients differ. The tracks begin at `now`.
    pub(crate) fn new(now: Instant, specs: &[TrackSpec], seed: u32) -> Self {
        let mut ssrcs = (1..).map(|n: u32| seed.wrapping_mul(0x9e37_79b1).wrapping_add(n).max(1));
        let mut encoding = |source, rid: String| Encoding::new(source, ssrcs.next().unwrap_or(1), rid);
        let tracks = specs.iter().enumerate().map(|(mid, spec)| {
            let (kind, encodings, interval) = match spec {
                TrackSpec::Audio { source } => {
                    (MediaKind::Audio, vec![(Media::Audio, encoding(*source, String::new()))], AUDIO_INTERVAL)
                }
                TrackSpec::Video { encodings } => {
                    let encodings = encodings.iter();
                    let made =
                        encodings.map(|(rid, source, shape)| (Media::Video(*shape), encoding(*source, rid.clone())));
                    (MediaKind::Video, made.collect(), Duration::from_secs(1) / VideoShape::FPS)
                }
            };
            Track { mid: mid.to_string(), id: None, kind, encodings, interval, next: now }
        });
        Self { tracks: tracks.collect() }
    }

    /// The m-lines to offer.
    pub(crate) fn lines(&self) -> Vec<SendLine> {
        let line = |track: &Track| {
            let encodings = track.encodings.iter().map(|(_, encoding)| encoding);
            let rids: Vec<String> = encodings.clone().map(|e| e.rid.clone()).filter(|rid| !rid.is_empty()).collect();
            let ssrc = encodings.clone().next().map_or(0, |encoding| encoding.ssrc);
            SendLine { kind: track.kind, rids, ssrc }
        };
        self.tracks.iter().map(line).collect()
    }

    /// What the m-lines are to be published as.
    pub(crate) fn requests(&self) -> Vec<PublishRequest> {
        let source = |kind| match kind {
            MediaKind::Audio => TrackSource::Microphone,
            MediaKind::Video => TrackSource::Camera,
        };
        let request = |track: &Track| PublishRequest {
            mid: track.mid.clone(),
            source: source(track.kind),
            muted: false,
            track: None,
        };
        self.tracks.iter().map(request).collect()
    }

    /// Takes note of the names that the server gave.
    pub(crate) fn handle_answer(&mut self, published: Vec<PublishedTrack>) {
        for PublishedTrack { mid, track: id } in published {
            if let Some(track) = self.tracks.iter_mut().find(|track| track.mid == mid) {
                track.id = Some(id);
            }
        }
    }

    /// Begins to send at `now`, spread so that not all clients of a run send at once.
    pub(crate) fn start(&mut self, now: Instant, seed: u32) {
        for track in &mut self.tracks {
            track.next = now + track.interval * (seed % SPREAD) / SPREAD;
        }
    }

    /// Stops or starts encodings as the server's `layers` says.
    pub(crate) fn handle_wishes(&mut self, id: &TrackId, wishes: &[EncodingWish]) {
        let track = self.tracks.iter_mut().filter(|track| track.id.as_ref() == Some(id));
        for (_, encoding) in track.flat_map(|track| &mut track.encodings) {
            if let Some(wish) = wishes.iter().find(|wish| wish.rid == encoding.rid) {
                encoding.is_active = wish.active;
            }
        }
    }

    /// Makes the next frame of a stream a keyframe.
    pub(crate) fn handle_key_request(&mut self, ssrc: u32) {
        for encoding in self.encodings_mut().filter(|encoding| encoding.ssrc == ssrc) {
            encoding.wants_key = true;
        }
    }

    /// Begins to count what is sent in a new window.
    pub(crate) fn handle_window(&mut self) {
        self.encodings_mut().for_each(|encoding| encoding.sent_in_window = 0);
    }

    /// Seals what is due into the arena, track by track, and hands it to `send`.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        now_ns: u64,
        window: Window,
        cipher: &Cipher,
        arena: &mut Arena,
        mut send: impl FnMut(&Arena),
    ) {
        for track in self.tracks.iter_mut().filter(|track| track.next <= now) {
            if now - track.next > LATEST {
                track.next = now; // A burst of a second would measure nothing but itself.
            }
            track.next += track.interval;
            arena.clear();
            for (media, encoding) in &mut track.encodings {
                match encoding.is_active {
                    true => encoding.seal(*media, &track.mid, now_ns, window, cipher, arena),
                    false => encoding.skip(*media),
                }
            }
            send(arena);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if nothing is ever sent.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.tracks.iter().map(|track| track.next).min()
    }

    /// Appends the sender reports of what is sent.
    pub(crate) fn report(&self, ntp: NtpTime, writer: &mut Writer<'_>) {
        let encodings = self.tracks.iter().flat_map(|track| &track.encodings);
        encodings.filter(|(_, encoding)| encoding.is_active).for_each(|(_, encoding)| encoding.report(ntp, writer));
    }

    /// Of each encoding its source and the packets sent in the window.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (u32, u32)> {
        let encodings = self.tracks.iter().flat_map(|track| &track.encodings);
        encodings.map(|(_, encoding)| (encoding.source, encoding.sent_in_window))
    }

    fn encodings_mut(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.tracks.iter_mut().flat_map(|track| &mut track.encodings).map(|(_, encoding)| encoding)
    }
}

/// Hands the runs of an arena to the kernel, each as one segmented message.
pub(crate) fn send_runs(from: &Address, destination: std::net::SocketAddr, arena: &Arena) {
    let mut start = 0;
    for &(end, each) in &arena.runs {
        let contents = arena.bytes.get(start..end).unwrap_or_default();
        let segment_size = u16::try_from(each).ok().and_then(std::num::NonZeroU16::new);
        // What the kernel does not take is lost, and is found to be.
        let _: SendReport = from.socket().send(&[from.message(destination, contents, segment_size)]);
        start = end;
    }
}

/// A packet of Opus.
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// Who is later than this leaves frames out.
const LATEST: Duration = Duration::from_secs(1);
/// Steps in which the beginnings of different clients are spread over an interval.
const SPREAD: u32 = 16;
