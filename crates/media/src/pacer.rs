//! Lets packets through while the path has room, and spreads them when it has not.
//!
//! Publishers pace already, so most packets leave at once, with what else is due: [`Pacer::handle_packet`] gives them
//! back. Keyframes, replays, retransmission storms and probes are more than the bucket holds; they wait here and come
//! out of [`Pacer::poll_transmit`] as the bucket fills.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bwe::{Bitrate, ProbeCluster, ProbeId, greater, lesser};
use crate::moment::Moment;

/// The bucket fills at this many times the target (our own; libwebrtc 2.5, mediasoup 1.5): a subscriber's path is filled
/// up to the target by choice of rungs, so what is sent faster stands in the queue of the path instead of ours. With 1.25
/// the queue of scenario S1 has a p95 of 196 ms rather than 102, and the wait for its end takes a rung.
const RATE_FACTOR: f64 = 1.05;
/// … or so many times while so much less is needed than the target (as factors): what is more is a single keyframe, and
/// the path has shown room for it. With 1.05 one for 720p takes half a tenth of a second longer, and is taken for a freeze.
const ROOMY_FACTOR: f64 = 1.25;
const ROOMY: f64 = 1.5;
/// … at least at this rate (our own, so that a path of 100 kbit/s is not flooded), …
const RATE_MIN: Bitrate = Bitrate::kbps(100);
/// … and holds what comes in this time, …
const DEPTH: Duration = Duration::from_millis(10);
/// … at least so many bytes: ten packets, …
const DEPTH_MIN: f64 = 10.0 * 1200.0;
/// … of which those do not count that the target does not carry in this time: ten packets would keep a slow path busy
/// for a third of a second.
const DEPTH_MIN_SPAN: Duration = Duration::from_millis(60);
/// Nothing is sent for so long on a path that has just collapsed.
const DEBT: Duration = Duration::from_millis(80);
/// A queue longer than this is drained somewhat faster (our own, longer than usual: a keyframe of the next rung takes 200
/// to 400 ms of a path that the rung just fits, and is no reason for haste), …
const QUEUE_LIMIT: Duration = Duration::from_millis(400);
/// … by this factor, as what does not fit the path would stand in its queue instead; …
const HASTE: f64 = 1.1;
/// … but one longer than this is drained within it, whatever the target says.
const QUEUE_MAX: Duration = Duration::from_millis(1000);
/// While the queue is longer than this, frames that nothing needs are not to be handed over; …
const QUEUE_FULL: Duration = Duration::from_millis(250);
/// … once it is longer than this, lower rungs are asked for, …
const QUEUE_CONGESTED: Duration = Duration::from_millis(600);
/// … until it is no longer than this.
const QUEUE_CALM: Duration = Duration::from_millis(200);
/// So many packets wait at most; a further one is refused.
pub const MAX_QUEUED: usize = 2048;
/// An empty queue keeps room for so many.
const KEEP_QUEUED: usize = 4;
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
}

/// What becomes of a packet that wants to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<T> {
    /// It is to be sent now, as part of the probe if there is one.
    Now(T, Option<ProbeId>),
    /// It waits.
    Queued,
    /// Too many wait already.
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
    /// What the path carries, and what of it is to be used.
    capacity: Bitrate,
    target: Bitrate,
    /// What the chosen rungs cost; no end of it before that is told.
    used: Bitrate,
    /// At what rate to send while no queue has to drain faster, and the least bytes that the bucket holds: what follows from
    /// the rates, so that it need not be worked out for each packet.
    base_rate: Bitrate,
    least_depth: f64,
    updated: Moment,
    /// Bytes that may leave; below zero after audio and filler that did not wait.
    tokens: f64,
    retransmissions: VecDeque<Outgoing<T>>,
    video: VecDeque<Outgoing<T>>,
    queued_bytes: f64,
    probe: Option<Probe>,
    dropped: u64,
    congested: bool,
}

#[derive(Debug)]
struct Probe {
    cluster: ProbeCluster,
    began: Moment,
    packets: u16,
    bytes: u32,
}

impl<T> Pacer<T> {
    /// A pacer with a full bucket.
    #[must_use]
    pub fn new(now: Moment, target: Bitrate) -> Self {
        let mut pacer = Self {
            capacity: target,
            target,
            used: Bitrate::bps(u64::MAX),
            base_rate: target,
            least_depth: 0.0,
            updated: now,
            tokens: 0.0,
            retransmissions: VecDeque::new(),
            video: VecDeque::new(),
            queued_bytes: 0.0,
            probe: None,
            dropped: 0,
            congested: false,
        };
        pacer.adapt();
        pacer.tokens = pacer.depth();
        pacer
    }

    /// Changes what the path is taken to carry, and at what rate to send: less while a queue has to drain.
    pub fn set_target(&mut self, now: Moment, capacity: Bitrate, pacing: Bitrate) {
        self.refill(now);
        (self.capacity, self.target) = (capacity, pacing);
        self.adapt();
        self.tokens = self.tokens.min(self.depth());
    }

    /// The path carries far less than it did, and its queue is full of what was sent before: nothing is sent for a moment, as
    /// it would be lost (our own).
    pub fn handle_collapse(&mut self) {
        self.tokens = self.tokens.min(-self.capacity.bytes_in(DEBT));
    }

    /// Whether a probe is being sent, for which all packets count.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Begins a probe; one that is being sent is given up.
    pub fn handle_probe(&mut self, now: Moment, cluster: ProbeCluster) {
        self.probe = Some(Probe { cluster, began: now, packets: 0, bytes: 0 });
    }

    /// Sets what all that is chosen costs.
    pub fn set_used(&mut self, used: Bitrate) {
        self.used = used;
        self.adapt();
    }

    /// Takes a packet, and gives it back if it may leave at once.
    #[inline]
    pub fn handle_packet(&mut self, now: Moment, packet: Outgoing<T>) -> Admission<T> {
        if self.passes(now, packet.size, packet.priority) {
            let probe = self.spend(packet.size);
            return Admission::Now(packet.item, probe);
        }
        self.enqueue(packet)
    }

    /// Whether a packet may leave at once.
    #[inline]
    fn passes(&mut self, now: Moment, size: u16, priority: Priority) -> bool {
        self.refill(now);
        match priority {
            Priority::Audio => true,
            Priority::Retransmission => self.retransmissions.is_empty() && self.has_tokens(size),
            Priority::Video => self.is_empty() && self.has_tokens(size),
        }
    }

    /// Has a packet wait.
    fn enqueue(&mut self, packet: Outgoing<T>) -> Admission<T> {
        if self.retransmissions.len() + self.video.len() >= MAX_QUEUED {
            self.dropped += 1;
            return Admission::Dropped(packet.item);
        }
        self.queued_bytes += f64::from(packet.size);
        let queue = if packet.priority == Priority::Video { &mut self.video } else { &mut self.retransmissions };
        queue.push_back(packet);
        self.congested |= self.queue() > QUEUE_CONGESTED;
        Admission::Queued
    }

    /// Returns what is to be sent now. To be asked until there is nothing.
    pub fn poll_transmit(&mut self, now: Moment) -> Option<Release<T>> {
        self.refill(now);
        let lags = self.probe_lags(now);
        let queue = if self.retransmissions.is_empty() { &mut self.video } else { &mut self.retransmissions };
        if let Some(packet) = queue.pop_front_if(|front| lags || self.tokens >= f64::from(front.size)) {
            if queue.is_empty() && queue.capacity() > KEEP_QUEUED {
                // What a keyframe needed while the path was new would else be kept for as long as the subscriber stays.
                queue.shrink_to(KEEP_QUEUED);
            }
            let size = packet.size;
            self.queued_bytes = (self.queued_bytes - f64::from(size)).max(0.0);
            self.congested &= self.queue() > QUEUE_CALM;
            let probe = self.spend(size);
            return Some(Release::Packet(packet.item, probe));
        }
        self.filler(now)
    }

    /// Looks at all that waits: what `revise` gives no size is taken out, all else is taken to have that size from now on.
    pub fn revise(&mut self, mut revise: impl FnMut(&T, u16) -> Option<u16>) {
        for queue in [&mut self.retransmissions, &mut self.video] {
            queue.retain_mut(|waiting| {
                let size = revise(&waiting.item, waiting.size);
                waiting.size = size.unwrap_or(0);
                size.is_some()
            });
        }
        self.count();
        self.congested &= self.queue() > QUEUE_CALM;
    }

    /// What waits.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.retransmissions.iter().chain(&self.video).map(|waiting| &waiting.item)
    }

    /// When [`Pacer::poll_transmit`] has something again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let probe = self.probe.as_ref().map(Probe::due);
        let front = self.retransmissions.front().or(self.video.front());
        let packet = front.map(|front| self.updated + self.rate().time_for(f64::from(front.size) - self.tokens));
        probe.into_iter().chain(packet).min()
    }

    /// How long the queues take to drain at the target.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.capacity.scale(RATE_FACTOR).max(RATE_MIN).time_for(self.queued_bytes)
    }

    /// Whether the queues grew so long that lower rungs should be chosen; until they are empty.
    #[must_use]
    pub const fn is_congested(&self) -> bool {
        self.congested
    }

    /// Whether so much waits that a frame which nothing needs had better not be handed over. It is for the caller to
    /// leave it out, before its packets have numbers: a receiver would ask for those that are dropped here.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queued_bytes > 0.0 && self.queue() > QUEUE_FULL
    }

    /// Records a packet that was not handed over because the queue is full.
    pub const fn handle_left_out(&mut self) {
        self.dropped += 1;
    }

    /// Packets that were refused, or not handed over, so far.
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

    /// Works out what follows from the rates.
    fn adapt(&mut self) {
        let is_roomy = self.used.scale(ROOMY) <= self.target;
        self.base_rate = self.target.scale(if is_roomy { ROOMY_FACTOR } else { RATE_FACTOR }).max(RATE_MIN);
        self.least_depth = self.target.bytes_in(DEPTH_MIN_SPAN).clamp(2.0 * FILLER_MAX, DEPTH_MIN);
    }

    /// Faster than the base rate if that would leave the queues longer than they may be.
    fn rate(&self) -> Bitrate {
        let base = self.base_rate;
        if self.queued_bytes <= 0.0 || base.time_for(self.queued_bytes) <= QUEUE_LIMIT {
            return base;
        }
        Bitrate::from_f64(self.queued_bytes * 8.0 / QUEUE_MAX.as_secs_f64()).max(base.scale(HASTE))
    }

    fn depth(&self) -> f64 {
        self.depth_at(self.rate())
    }

    fn depth_at(&self, rate: Bitrate) -> f64 {
        greater(rate.bytes_in(DEPTH), self.least_depth)
    }

    #[inline]
    fn refill(&mut self, now: Moment) {
        if now <= self.updated {
            return; // The packets of one batch share their time.
        }
        let (passed, rate) = (now.seconds_since(self.updated), self.rate());
        self.updated = now;
        self.tokens = lesser(self.tokens + rate.bytes_in_seconds(passed), self.depth_at(rate));
    }

    /// Accounts for a packet that leaves; returns the probe it counts for.
    #[inline]
    fn spend(&mut self, size: u16) -> Option<ProbeId> {
        self.tokens -= f64::from(size);
        if self.tokens < 0.0 {
            // Audio and probes go below zero, but not further than a bucket.
            self.tokens = self.tokens.max(-self.depth());
        }
        if self.probe.is_some() { self.spend_on_probe(size) } else { None }
    }

    /// The same for the probe that is being sent.
    fn spend_on_probe(&mut self, size: u16) -> Option<ProbeId> {
        let probe = self.probe.as_mut()?;
        let id = probe.cluster.id;
        probe.packets = probe.packets.saturating_add(1);
        probe.bytes = probe.bytes.saturating_add(u32::from(size));
        if probe.packets >= probe.cluster.min_packets && probe.bytes >= probe.cluster.min_bytes {
            self.probe = None;
        }
        Some(id)
    }

    fn probe_lags(&self, now: Moment) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.due() <= now)
    }

    fn filler(&mut self, now: Moment) -> Option<Release<T>> {
        let probe = self.probe.as_ref()?;
        if probe.due() > now {
            return None;
        }
        let bytes = probe.filler_bytes();
        let id = probe.cluster.id;
        self.spend(bytes);
        Some(Release::Filler { bytes, probe: id })
    }

    /// Sums up what waits, after some of it was taken out.
    fn count(&mut self) {
        let waiting = self.retransmissions.iter().chain(&self.video);
        self.queued_bytes = waiting.map(|waiting| f64::from(waiting.size)).sum();
    }
}

impl Probe {
    /// When the next packet of the probe is to leave.
    fn due(&self) -> Moment {
        self.began + self.cluster.rate.time_for(f64::from(self.bytes))
    }

    /// A probe needs a number of packets, so those of a short one are small.
    fn filler_bytes(&self) -> u16 {
        let share = f64::from(self.cluster.min_bytes) / f64::from(self.cluster.min_packets.max(1));
        share.ceil().clamp(FILLER_MIN, FILLER_MAX) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwe::ProbeCause;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn video(frame: u64) -> Outgoing<u64> {
        Outgoing { item: frame, size: 1200, priority: Priority::Video }
    }

    fn released<T: Copy>(pacer: &mut Pacer<T>, now: Moment) -> Vec<T> {
        std::iter::from_fn(|| pacer.poll_transmit(now))
            .filter_map(|release| match release {
                Release::Packet(item, _) => Some(item),
                Release::Filler { .. } => None,
            })
            .collect()
    }

    /// A pacer at 1 Mbit/s whose bucket is empty.
    fn empty(start: Moment) -> Pacer<u64> {
        let mut pacer = Pacer::new(start, Bitrate::kbps(1000));
        pacer.tokens = 0.0;
        pacer
    }

    #[test]
    fn what_the_bucket_holds_leaves_at_once_and_the_rest_at_the_rate() {
        let start = Moment::ORIGIN;
        let mut pacer = Pacer::new(start, Bitrate::kbps(1000));
        let now = (0..30).filter(|&frame| matches!(pacer.handle_packet(start, video(frame)), Admission::Now(..)));
        assert_eq!(now.count(), 6, "60 ms of the target are 7500 bytes");
        let later = (1..=400).map(|tick| released(&mut pacer, start + ms(tick)).len()).collect::<Vec<_>>();
        let first: usize = later[..100].iter().sum();
        assert!((10..=12).contains(&first), "100 ms of 1.05 Mbit/s are 11 packets: {first}");
        assert_eq!(later.iter().sum::<usize>(), 24);
        assert_eq!(pacer.poll_timeout(), None);
    }

    #[test]
    fn the_timeout_is_when_the_next_packet_may_leave() {
        let start = Moment::ORIGIN;
        let mut pacer = empty(start);
        pacer.handle_packet(start, video(7));
        let at = pacer.poll_timeout().unwrap();
        assert!(released(&mut pacer, at - ms(1)).is_empty());
        assert_eq!(released(&mut pacer, at + Duration::from_micros(1)), [7]);
    }

    #[test]
    fn audio_never_waits_and_retransmissions_wait_before_video() {
        let start = Moment::ORIGIN;
        let mut pacer = empty(start);
        let now = start;
        let of = |item, priority| Outgoing { priority, ..video(item) };
        assert_eq!(pacer.handle_packet(now, of(1, Priority::Video)), Admission::Queued);
        assert_eq!(pacer.handle_packet(now, of(2, Priority::Retransmission)), Admission::Queued);
        assert_eq!(pacer.handle_packet(now, of(3, Priority::Audio)), Admission::Now(3, None));
        assert_eq!((0..80).flat_map(|tick| released(&mut pacer, start + ms(tick))).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_long_queue_is_full_and_a_longer_one_asks_for_lower_rungs_until_it_is_short() {
        let start = Moment::ORIGIN;
        let mut pacer = empty(start);
        // A quarter of a second at 1.05 Mbit/s is 27 packets, six tenths are 65.
        (0..27).for_each(|frame| _ = pacer.handle_packet(start, video(frame)));
        assert!(!pacer.is_full());
        pacer.handle_packet(start, video(27));
        assert!(pacer.is_full());
        (28..65).for_each(|frame| _ = pacer.handle_packet(start, video(frame)));
        assert!(!pacer.is_congested());
        pacer.handle_packet(start, video(65));
        assert!(pacer.is_congested());
        pacer.handle_left_out();
        assert_eq!(pacer.dropped(), 1);
        let left =
            |pacer: &mut Pacer<u64>, to| (0..to).map(|tick| released(pacer, start + ms(tick)).len()).sum::<usize>();
        left(&mut pacer, 360);
        assert!(pacer.is_congested());
        left(&mut pacer, 500);
        assert!(!pacer.is_congested() && !pacer.is_full(), "less than two tenths of a second are left");
        left(&mut pacer, 800);
        assert_eq!(pacer.queue(), Duration::ZERO);
    }

    #[test]
    fn what_waits_can_be_taken_out_or_made_smaller() {
        let start = Moment::ORIGIN;
        let mut pacer = empty(start);
        (0..6).for_each(|frame| _ = pacer.handle_packet(start, video(frame)));
        pacer.revise(|&frame, size| match frame % 3 {
            0 => None,
            1 => Some(12),
            _ => Some(size),
        });
        assert_eq!(pacer.queue(), pacer.base_rate.time_for(2.0 * 1212.0));
        assert_eq!((0..80).flat_map(|tick| released(&mut pacer, start + ms(tick))).collect::<Vec<_>>(), [1, 2, 4, 5]);
    }

    #[test]
    fn the_queue_is_bounded_and_a_long_one_drains_in_time() {
        let start = Moment::ORIGIN;
        let mut pacer = empty(start);
        let now = start;
        let dropped =
            (0..3_000).filter(|&frame| matches!(pacer.handle_packet(now, video(frame)), Admission::Dropped(_)));
        assert_eq!(dropped.count(), 3_000 - MAX_QUEUED);
        let left: usize = (0..10_000).map(|tick| released(&mut pacer, start + ms(tick)).len()).sum();
        assert_eq!(left, MAX_QUEUED, "at the target this would take 19 s");
    }

    fn cluster(kbps: u64, min_packets: u16, min_bytes: u32) -> ProbeCluster {
        let (id, rate, cause) = (ProbeId::FIRST, Bitrate::kbps(kbps), ProbeCause::Rung);
        ProbeCluster { id, rate, min_packets, min_bytes, cause }
    }

    #[test]
    fn a_probe_takes_media_first_and_fills_up_what_is_missing() {
        let start = Moment::ORIGIN;
        let mut pacer = Pacer::new(start, Bitrate::kbps(1000));
        pacer.handle_probe(start, cluster(4_800, 10, 12_000)); // 2 ms a packet.
        let (mut media, mut filler) = (0, 0);
        for tick in 0..40 {
            let now = start + ms(tick);
            if tick % 5 == 0 && tick < 20 && matches!(pacer.handle_packet(now, video(tick)), Admission::Now(_, Some(_)))
            {
                media += 1;
            }
            while let Some(release) = pacer.poll_transmit(now) {
                match release {
                    Release::Packet(_, probe) => {
                        media += 1;
                        assert_eq!(probe, Some(ProbeId::FIRST));
                    }
                    Release::Filler { bytes, probe } => {
                        filler += 1;
                        assert_eq!((bytes, probe), (1200, ProbeId::FIRST));
                    }
                }
            }
        }
        assert_eq!((media, filler), (4, 6), "ten packets in all");
        assert_eq!(pacer.poll_timeout(), None, "it is over");
    }

    #[test]
    fn a_short_probe_is_filled_with_small_packets() {
        let start = Moment::ORIGIN;
        let mut pacer = Pacer::<u64>::new(start, Bitrate::kbps(1000));
        pacer.handle_probe(start, cluster(1_000, 10, 3_000));
        let Some(Release::Filler { bytes, .. }) = pacer.poll_transmit(start) else { panic!("it begins at once") };
        assert_eq!(bytes, 300);
        pacer.handle_probe(start, cluster(1_000, 10, 10));
        let Some(Release::Filler { bytes, .. }) = pacer.poll_transmit(start) else { panic!("the new one begins") };
        assert_eq!(bytes, 60);
    }

    #[test]
    fn a_clock_that_goes_back_and_odd_numbers_do_no_harm() {
        let start = Moment::ORIGIN + Duration::from_secs(10);
        let mut pacer = Pacer::new(start, Bitrate::ZERO);
        pacer.set_target(start - ms(5_000), Bitrate::bps(u64::MAX), Bitrate::bps(u64::MAX));
        pacer.handle_packet(start - ms(9_000), Outgoing { size: u16::MAX, ..video(1) });
        pacer.set_target(start, Bitrate::ZERO, Bitrate::ZERO);
        pacer.handle_probe(start, ProbeCluster { rate: Bitrate::ZERO, ..cluster(0, 0, u32::MAX) });
        (0..100).for_each(|frame| _ = pacer.handle_packet(start, Outgoing { size: 0, ..video(frame) }));
        assert!(pacer.poll_timeout().is_some());
        released(&mut pacer, start + ms(1));
    }
}
