//! Lets packets through while the path has room, and spreads them when it has not.
//!
//! Publishers pace already, so most packets leave at once, with what else is due: [`Pacer::handle_packet`] gives them
//! back. Keyframes, replays, retransmission storms and probes are more than the bucket holds; they wait here and come
//! out of [`Pacer::poll_transmit`] as the bucket fills.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::bwe::{Bitrate, ProbeCluster, ProbeId};

/// The bucket fills at this many times the target, …
const RATE_FACTOR: f64 = 1.05;
/// … at least at this rate, …
const RATE_MIN: Bitrate = Bitrate::kbps(100);
/// … and holds what comes in this time, …
const DEPTH: Duration = Duration::from_millis(10);
/// … at least so many bytes: ten packets, …
const DEPTH_MIN: f64 = 10.0 * 1200.0;
/// … of which those do not count that the target does not carry in this time: ten packets would keep a slow path busy
/// for a third of a second.
const DEPTH_MIN_SPAN: Duration = Duration::from_millis(60);
/// A queue longer than this is drained within it, whatever the target says.
const QUEUE_LIMIT: Duration = Duration::from_millis(400);
/// A queue longer than this loses its discardable frames, and asks for lower rungs.
const QUEUE_DROP: Duration = Duration::from_millis(500);
/// So many packets wait at most; a further one is refused.
pub const MAX_QUEUED: usize = 2048;
/// A probe is sent in packets of at most so many bytes, …
const FILLER_MAX: f64 = 1200.0;
/// … at least so many.
const FILLER_MIN: f64 = 60.0;

/// Which packets go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Never waits: it is little, and the bucket pays for it later.
    Audio,
    /// Answers to NACK.
    Retransmission,
    /// All other media.
    Video,
}

/// One packet that wants to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<T> {
    /// What the caller needs to send it.
    pub item: T,
    /// Bytes on the wire.
    pub size: u16,
    /// Which queue it waits in.
    pub priority: Priority,
    /// Names its frame: the packets of one frame are dropped together.
    pub frame: u64,
    /// The temporal layer, if nothing that is forwarded needs the frame.
    pub discardable: Option<u8>,
}

/// What becomes of a packet that wants to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<T> {
    /// It is to be sent now, as part of the probe if there is one.
    Now(T, Option<ProbeId>),
    /// It waits.
    Queued,
    /// Too many wait already, or the rest of its frame was dropped.
    Dropped(T),
}

/// What is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release<T> {
    /// A packet that waited, as part of the probe if there is one.
    Packet(T, Option<ProbeId>),
    /// About so many bytes for a probe: something useful sent again, or padding.
    Filler {
        /// Bytes on the wire.
        bytes: u16,
        /// The probe.
        probe: ProbeId,
    },
}

/// The token bucket and the queues of one subscriber.
#[derive(Debug)]
pub struct Pacer<T> {
    target: Bitrate,
    updated: Instant,
    /// Bytes that may leave; below zero after audio and filler that did not wait.
    tokens: f64,
    retransmissions: VecDeque<Waiting<T>>,
    video: VecDeque<Waiting<T>>,
    queued_bytes: f64,
    probe: Option<Probe>,
    /// The frame whose rest is not worth sending.
    dropped_frame: Option<u64>,
    dropped: u64,
    congested: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    packet: Outgoing<T>,
}

#[derive(Debug)]
struct Probe {
    cluster: ProbeCluster,
    began: Instant,
    packets: u16,
    bytes: u32,
}

impl<T> Pacer<T> {
    /// A pacer with a full bucket.
    #[must_use]
    pub fn new(now: Instant, target: Bitrate) -> Self {
        let mut pacer = Self {
            target,
            updated: now,
            tokens: 0.0,
            retransmissions: VecDeque::new(),
            video: VecDeque::new(),
            queued_bytes: 0.0,
            probe: None,
            dropped_frame: None,
            dropped: 0,
            congested: false,
        };
        pacer.tokens = pacer.depth();
        pacer
    }

    /// Changes the target of the estimator.
    pub fn set_target(&mut self, now: Instant, target: Bitrate) {
        self.refill(now);
        self.target = target;
        self.tokens = self.tokens.min(self.depth());
    }

    /// Begins a probe; one that is being sent is given up.
    pub fn handle_probe(&mut self, now: Instant, cluster: ProbeCluster) {
        self.probe = Some(Probe { cluster, began: now, packets: 0, bytes: 0 });
    }

    /// Takes a packet, and gives it back if it may leave at once.
    pub fn handle_packet(&mut self, now: Instant, packet: Outgoing<T>) -> Admission<T> {
        self.refill(now);
        if packet.priority == Priority::Video && self.dropped_frame == Some(packet.frame) {
            self.dropped += 1;
            return Admission::Dropped(packet.item);
        }
        let passes = match packet.priority {
            Priority::Audio => true,
            Priority::Retransmission => self.retransmissions.is_empty() && self.has_tokens(packet.size),
            Priority::Video => self.is_empty() && self.has_tokens(packet.size),
        };
        if passes {
            let probe = self.spend(packet.size);
            return Admission::Now(packet.item, probe);
        }
        if self.retransmissions.len() + self.video.len() >= MAX_QUEUED {
            self.dropped += 1;
            return Admission::Dropped(packet.item);
        }
        self.queued_bytes += f64::from(packet.size);
        let queue = if packet.priority == Priority::Video { &mut self.video } else { &mut self.retransmissions };
        queue.push_back(Waiting { packet });
        self.relieve();
        Admission::Queued
    }

    /// Returns what is to be sent now. To be asked until there is nothing.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Release<T>> {
        self.refill(now);
        let lags = self.probe_lags(now);
        let queue = if self.retransmissions.is_empty() { &mut self.video } else { &mut self.retransmissions };
        if let Some(packet) = queue.pop_front_if(|front| lags || self.tokens >= f64::from(front.packet.size)) {
            let size = packet.packet.size;
            self.queued_bytes = (self.queued_bytes - f64::from(size)).max(0.0);
            if self.is_empty() {
                self.congested = false;
            }
            let probe = self.spend(size);
            return Some(Release::Packet(packet.packet.item, probe));
        }
        self.filler(now)
    }

    /// When [`Pacer::poll_transmit`] has something again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.probe.as_ref().map(Probe::due);
        let front = self.retransmissions.front().or(self.video.front());
        let packet = front.map(|front| self.updated + self.rate().time_for(f64::from(front.packet.size) - self.tokens));
        probe.into_iter().chain(packet).min()
    }

    /// How long the queues take to drain at the present rate.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.base_rate().time_for(self.queued_bytes)
    }

    /// Whether the queues grew so long that lower rungs should be chosen; until they are empty.
    #[must_use]
    pub const fn is_congested(&self) -> bool {
        self.congested
    }

    /// Packets that were dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn is_empty(&self) -> bool {
        self.retransmissions.is_empty() && self.video.is_empty()
    }

    fn has_tokens(&self, size: u16) -> bool {
        self.tokens >= f64::from(size)
    }

    fn base_rate(&self) -> Bitrate {
        self.target.scale(RATE_FACTOR).max(RATE_MIN)
    }

    /// Faster than the base rate if that would leave the queues longer than they may be.
    fn rate(&self) -> Bitrate {
        let base = self.base_rate();
        if base.time_for(self.queued_bytes) <= QUEUE_LIMIT {
            return base;
        }
        Bitrate::from_f64(self.queued_bytes * 8.0 / QUEUE_LIMIT.as_secs_f64()).max(base)
    }

    fn depth(&self) -> f64 {
        let least = self.target.bytes_in(DEPTH_MIN_SPAN).clamp(2.0 * FILLER_MAX, DEPTH_MIN);
        self.rate().bytes_in(DEPTH).max(least)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        self.tokens = (self.tokens + self.rate().bytes_in(passed)).min(self.depth());
    }

    /// Accounts for a packet that leaves; returns the probe it counts for.
    fn spend(&mut self, size: u16) -> Option<ProbeId> {
        // Audio and probes go below zero, but not further than a bucket.
        self.tokens = (self.tokens - f64::from(size)).max(-self.depth());
        let probe = self.probe.as_mut()?;
        let id = probe.cluster.id;
        probe.packets = probe.packets.saturating_add(1);
        probe.bytes = probe.bytes.saturating_add(u32::from(size));
        if probe.packets >= probe.cluster.min_packets && probe.bytes >= probe.cluster.min_bytes {
            self.probe = None;
        }
        Some(id)
    }

    fn probe_lags(&self, now: Instant) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.due() <= now)
    }

    fn filler(&mut self, now: Instant) -> Option<Release<T>> {
        let probe = self.probe.as_ref()?;
        if probe.due() > now {
            return None;
        }
        let bytes = probe.filler_bytes();
        let id = probe.cluster.id;
        self.spend(bytes);
        Some(Release::Filler { bytes, probe: id })
    }

    /// Drops whole discardable frames, the highest layer first, until the queue is short enough.
    fn relieve(&mut self) {
        while self.queue() > QUEUE_DROP {
            self.congested = true;
            let worst =
                self.video.iter().filter_map(|waiting| Some((waiting.packet.discardable?, waiting.packet.frame)));
            let Some((_, frame)) = worst.max_by_key(|&(layer, _)| layer) else { return };
            let before = self.video.len();
            if self.video.back().is_some_and(|last| last.packet.frame == frame) {
                self.dropped_frame = Some(frame);
            }
            self.video.retain(|waiting| waiting.packet.frame != frame);
            self.dropped += (before - self.video.len()) as u64;
            let waiting = self.retransmissions.iter().chain(&self.video);
            self.queued_bytes = waiting.map(|waiting| f64::from(waiting.packet.size)).sum();
        }
    }
}

impl Probe {
    /// When the next packet of the probe is to leave.
    fn due(&self) -> Instant {
        self.began + self.cluster.rate.time_for(f64::from(self.bytes))
    }

    /// A probe needs a number of packets, so those of a short one are small.
    fn filler_bytes(&self) -> u16 {
        let share = f64::from(self.cluster.min_bytes) / f64::from(self.cluster.min_packets.max(1));
        share.ceil().clamp(FILLER_MIN, FILLER_MAX) as u16
    }
}
