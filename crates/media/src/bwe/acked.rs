//! The rate that arrives, measured so that a pause of the receiver or of its feedback does not bend it.
//!
//! libwebrtc calls this the robust throughput estimator.

use std::collections::VecDeque;

use roundtable_prefetch::prefetch;
use roundtable_wire::twcc::DELTA_MICROS;

use super::sent_log::Report;

/// The window holds at least so many packets …
const MIN_PACKETS: usize = 20;
/// … and spans at least so long, in microseconds,
const MIN_SPAN: i64 = 1_000_000;
/// but it never holds more packets than this …
const MAX_PACKETS: usize = 500;
/// … nor spans longer.
const MAX_SPAN: i64 = 5_000_000;
/// The same two spans in ticks.
const MIN_TICKS: i32 = (MIN_SPAN / TICK) as i32;
const MAX_TICKS: i32 = (MAX_SPAN / TICK) as i32;
/// Room is made for so many packets more at a time.
const MORE_PACKETS: usize = 32;
/// Fewer packets tell no rate.
const REQUIRED_PACKETS: usize = 10;
/// The short window spans so long, in microseconds: with 300 ms, a rung that was just taken is half the old one when it
/// proves too much (S4); …
const RECENT_SPAN: i64 = 150_000;
/// … and needs so many packets.
const RECENT_PACKETS: usize = 5;
/// The unit of arrivals in feedback, in microseconds (the draft's §3.1.5): no time between two of them is not a multiple.
const TICK: i64 = DELTA_MICROS.cast_signed();
/// So many packets at each end of the window are brought near when feedback comes.
const EDGE: usize = 24;
/// Spans below this are taken to be this long.
const SHORTEST_SPAN: i64 = 1_000;

/// The rate of arrival over the last second or 20 packets.
///
/// What it needs to know of the window is kept up to date as packets come and go; the window is walked through only when
/// one of its largest gaps has left it, or while packets stand in it in another order than they were sent.
#[derive(Debug, Default)]
pub(crate) struct AckedRate {
    /// In the order of arrival.
    window: VecDeque<Packet>,
    /// When the last of them arrived, whole.
    newest: i64,
    /// The bytes of all of it.
    bytes: u64,
    /// How many packets left before the one that arrived before them.
    overtaken: usize,
    /// `None` when it is to be looked for.
    gaps: Option<Gaps>,
    bps: Option<f64>,
}

/// The two largest times between arrivals, in ticks.
#[derive(Debug, Clone, Copy)]
struct Gaps {
    largest: i32,
    second: i32,
    /// How many there are of the second largest.
    seconds: u32,
}

impl Gaps {
    /// Of no arrivals; the window has no gap below these two.
    const NONE: Self = Self { largest: 0, second: 0, seconds: 1 };

    /// With one gap more.
    #[inline]
    fn with(self, gap: i32) -> Self {
        if gap < self.second {
            return self;
        }
        let Self { largest, second, seconds } = self;
        if gap > largest {
            let seconds = if largest == second { seconds + 1 } else { 1 };
            Self { largest: gap, second: largest, seconds }
        } else if gap > second {
            Self { second: gap, seconds: 1, ..self }
        } else {
            Self { seconds: seconds + 1, ..self }
        }
    }

    /// Without one of the gaps; `None` if that leaves the second largest unknown.
    #[inline]
    fn without(self, gap: i32) -> Option<Self> {
        if gap < self.second {
            return Some(self);
        }
        // Of several that are equally large it is the same which one leaves.
        let is_spare = gap == self.second && self.seconds > 1;
        is_spare.then(|| Self { seconds: self.seconds - 1, ..self })
    }
}

/// What arrived in a time so short that it counts only while a queue stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recent {
    /// Bits per second. With a queue of our own making this is what the path carries.
    pub(crate) bps: f64,
    /// The time in which the packets left, as a share of that in which they arrived; at most 1.
    pub(crate) slowed: f64,
}

/// 8 bytes: of both times the low part, as only their differences count and those are short: that of two arrivals is
/// [`MAX_SPAN`] at most, of which the part that is kept tells eight seconds.
#[derive(Debug, Clone, Copy)]
struct Packet {
    /// In microseconds.
    sent: u32,
    /// In the ticks of the feedback.
    arrival: u16,
    size: u16,
}

impl Packet {
    /// How much later it left than another, in microseconds.
    fn sent_after(&self, other: &Self) -> i64 {
        i64::from(self.sent.wrapping_sub(other.sent).cast_signed())
    }

    /// How much later it arrived than another, in microseconds.
    fn arrived_after(&self, other: &Self) -> i64 {
        i64::from(self.ticks_after(other)) * TICK
    }

    /// The same in ticks.
    fn ticks_after(&self, other: &Self) -> i32 {
        i32::from(self.arrival.wrapping_sub(other.arrival).cast_signed())
    }
}

impl AckedRate {
    /// Has what lies at both ends of the window brought near: there it changes.
    pub(crate) fn prefetch(&self) {
        let (older, newer) = self.window.as_slices();
        let last = if newer.is_empty() { older } else { newer };
        prefetch(older.get(..EDGE).unwrap_or(older));
        prefetch(last.len().checked_sub(EDGE).and_then(|from| last.get(from..)).unwrap_or(last));
    }

    /// Takes received packets in the order of their arrival.
    pub(crate) fn handle_received(&mut self, received: &[Report]) {
        let mut shortened = self.newest;
        for report in received {
            let Some(arrival) = report.arrival_micros else { continue };
            // The casts keep the low part.
            let packet =
                Packet { sent: report.sent_micros as u32, arrival: arrival.div_euclid(TICK) as u16, size: report.size };
            // Once for all is enough, but the window must not span more meanwhile than the parts of times tell.
            let is_far = arrival.abs_diff(shortened) > MIN_SPAN.unsigned_abs();
            if is_far {
                self.shorten();
            }
            self.insert(arrival, packet);
            if is_far {
                self.shorten();
                shortened = arrival;
            }
        }
        self.shorten();
        self.bps = self.measure();
    }

    /// Bits per second; `None` until ten packets arrived.
    pub(crate) const fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// What arrived in the last 150 ms.
    pub(crate) fn recent(&self) -> Option<Recent> {
        let last = self.window.back()?;
        let recent = self.window.iter().rev().take_while(|packet| last.arrived_after(packet) <= RECENT_SPAN);
        let (count, bytes, first) =
            recent.fold((0, 0, last), |(count, bytes, _), packet| (count + 1, bytes + u64::from(packet.size), packet));
        let span = last.arrived_after(first);
        let enough = count >= RECENT_PACKETS && span >= RECENT_SPAN / 2;
        enough.then(|| Recent {
            bps: (bytes - u64::from(first.size)) as f64 * 8e6 / span as f64,
            slowed: (last.sent_after(first) as f64 / span as f64).clamp(0.0, 1.0),
        })
    }

    #[inline]
    fn insert(&mut self, arrival: i64, packet: Packet) {
        if arrival.abs_diff(self.newest) > MAX_SPAN.unsigned_abs() {
            // Nothing before can be compared with what comes: it is too old, or the receiver's clock went back.
            self.forget();
        }
        if self.window.len() == self.window.capacity() {
            // Doubled, it would be half empty for good: what a second takes hardly changes.
            self.window.reserve_exact(MORE_PACKETS);
        }
        if let Some(last) = self.window.back() {
            let gap = packet.ticks_after(last);
            if gap < 0 {
                return self.insert_late(packet);
            }
            self.overtaken += usize::from(packet.sent_after(last) < 0);
            self.gaps = self.gaps.map(|gaps| gaps.with(gap));
        }
        self.window.push_back(packet);
        self.newest = arrival;
        self.bytes += u64::from(packet.size);
    }

    /// Inserts one behind which others have arrived before.
    fn insert_late(&mut self, packet: Packet) {
        let is_late = |other: &&Packet| other.ticks_after(&packet) > 0;
        let behind = self.window.iter().rev().take_while(is_late).count();
        self.window.insert(self.window.len() - behind, packet);
        self.gaps = None;
        let pairs = self.window.iter().zip(self.window.iter().skip(1));
        self.overtaken = pairs.filter(|(before, after)| after.sent_after(before) < 0).count();
        self.bytes += u64::from(packet.size);
    }

    /// Forgets what makes the window too long.
    fn shorten(&mut self) {
        let Some(&last) = self.window.back() else { return };
        while let Some(first) = self.window.front() {
            let (ticks, len) = (last.ticks_after(first), self.window.len());
            if len <= MAX_PACKETS && ticks <= MAX_TICKS && (len <= MIN_PACKETS || ticks <= MIN_TICKS) {
                break;
            }
            self.forget_first();
        }
    }

    /// Forgets all but the room there is.
    fn forget(&mut self) {
        self.window.clear();
        (self.bytes, self.overtaken, self.gaps) = (0, 0, None);
    }

    fn forget_first(&mut self) {
        let Some(first) = self.window.pop_front() else { return };
        self.bytes -= u64::from(first.size);
        if let Some(next) = self.window.front() {
            self.overtaken -= usize::from(next.sent_after(&first) < 0);
            self.gaps = self.gaps.and_then(|gaps| gaps.without(next.ticks_after(&first)));
        }
    }

    fn measure(&mut self) -> Option<f64> {
        if self.window.len() < REQUIRED_PACKETS {
            return None;
        }
        let gaps = self.gaps.unwrap_or_else(|| largest_gaps(&self.window));
        self.gaps = Some(gaps);
        let (first, last) = (self.window.front()?, self.window.back()?);
        let after_first = |packet: &&Packet| packet.sent_after(first);
        let (earliest, latest) = match self.overtaken {
            0 => (first, last),
            // The latest of those that left at the same time.
            _ => (self.window.iter().min_by_key(after_first)?, self.window.iter().max_by_key(after_first)?),
        };
        // n packets span n-1 intervals, so one does not count: the first to arrive, the last to leave.
        let received_span = last.arrived_after(first) - i64::from(gaps.largest - gaps.second) * TICK;
        let sent_span = latest.sent_after(earliest);
        let rate = |uncounted: &Packet, span: i64| {
            (self.bytes - u64::from(uncounted.size)) as f64 / span.max(SHORTEST_SPAN) as f64
        };
        Some(rate(first, received_span).min(rate(latest, sent_span)) * 8e6)
    }
}

fn largest_gaps(window: &VecDeque<Packet>) -> Gaps {
    let pairs = window.iter().zip(window.iter().skip(1));
    pairs.fold(Gaps::NONE, |gaps, (before, after)| gaps.with(after.ticks_after(before)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rate as the words of its definition have it.
    fn plain(window: &VecDeque<Packet>) -> Option<f64> {
        let pairs = window.iter().zip(window.iter().skip(1));
        let mut gaps: Vec<i64> = pairs.map(|(before, after)| after.arrived_after(before)).collect();
        gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(*gap));
        let (first, last) = (window.front()?, window.back()?);
        let bytes: f64 = window.iter().map(|packet| f64::from(packet.size)).sum();
        let latest = window.iter().max_by_key(|packet| packet.sent)?;
        let earliest = window.iter().min_by_key(|packet| packet.sent)?;
        if window.len() < REQUIRED_PACKETS {
            return None;
        }
        let received_span = last.arrived_after(first) - gaps[0] + gaps[1];
        let sent_span = latest.sent_after(earliest);
        let received = (bytes - f64::from(first.size)) / received_span.max(SHORTEST_SPAN) as f64;
        let sent = (bytes - f64::from(latest.size)) / sent_span.max(SHORTEST_SPAN) as f64;
        Some(received.min(sent) * 8e6)
    }

    proptest! {
        #[test]
        fn what_is_kept_up_to_date_is_what_a_walk_through_the_window_finds(
            steps in proptest::collection::vec((0..40i64, -30..90i64, 1..1500u16), 1..600),
            spread in 1..200i64,
        ) {
            let (mut rate, mut sent) = (AckedRate::default(), 0);
            for (number, &(pause, delay, size)) in (0u64..).zip(&steps) {
                sent += pause * 250;
                // Few different delays, so that gaps are equal, and some that let a packet overtake others.
                let arrival = sent + delay / spread * spread * 250;
                let (probe, expected_ms, recovered) = (None, 0, false);
                let arrival_micros = Some(arrival);
                let report =
                    Report { sequence: number, sent_micros: sent, arrival_micros, size, probe, expected_ms, recovered };
                rate.handle_received(&[report]);
                prop_assert_eq!(rate.bps(), plain(&rate.window));
            }
        }
    }
}
