//! Answers to NACKs: which packet may be sent again, how often, and for how many bytes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bwe::Bitrate;
use crate::moment::Moment;
use crate::outbound::rewrite::HISTORY;

/// How often one packet is sent again.
const MAX_REPEATS: u8 = 4;
/// A packet sent again is left alone for this long at least, and for the round-trip time.
const MIN_SPACING: Duration = Duration::from_millis(20);
/// Bytes a peer may be sent again at once, however little its path carries, …
const ALLOWANCE: f64 = 16_384.0;
/// … and this share of what the path carries, or, if that is not known, of what is sent and the same again each second, …
const SHARE: f64 = 0.25;
/// … in so long: a burst of loss of 200 ms takes a quarter of a second, and is to be repaired at once.
const SPAN: Duration = Duration::from_secs(1);
/// More than this is nowhere needed, however much the path carries.
const RATE_MAX: Bitrate = Bitrate::kbps(5_000);

/// The retransmissions of one slot.
#[derive(Debug)]
pub(crate) struct Retransmitter {
    /// The index of the next packet on the RTX SSRC.
    next: u64,
    /// In the order of their indexes, those of the last [`HISTORY`] packets: few are lost at a time.
    repeats: VecDeque<Repeat>,
}

#[derive(Debug, Clone, Copy)]
struct Repeat {
    index: u64,
    count: u8,
    last: Moment,
}

impl Retransmitter {
    pub(crate) const fn new(first: u64) -> Self {
        Self { next: first, repeats: VecDeque::new() }
    }

    /// Whether the slot's packet `index` may be sent again now.
    pub(crate) fn allows(&self, now: Moment, index: u64, rtt: Duration) -> bool {
        let is_free = |repeat: Repeat| repeat.count < MAX_REPEATS && now >= repeat.last + rtt.max(MIN_SPACING);
        self.repeated(index).is_none_or(is_free)
    }

    /// Whether the slot's packet `index` was sent again before, and may be so twice more.
    pub(crate) fn may_send_twice(&self, index: u64) -> bool {
        self.repeated(index).is_some_and(|repeat| repeat.count + 2 <= MAX_REPEATS)
    }

    /// Records that the slot's packet `index` is sent again.
    pub(crate) fn handle_repeat(&mut self, now: Moment, index: u64) {
        let newest = self.repeats.back().map_or(index, |newest| newest.index.max(index));
        while self.repeats.pop_front_if(|oldest| oldest.index + HISTORY <= newest).is_some() {}
        match self.repeats.binary_search_by_key(&index, |repeat| repeat.index) {
            Ok(at) => {
                // The search has just found it there.
                let repeat = &mut self.repeats[at];
                (repeat.count, repeat.last) = (repeat.count.saturating_add(1), now);
            }
            // Older ones are not found by their numbers any more, so nobody asks for them.
            Err(_) if index + HISTORY <= newest => {}
            Err(at) => self.repeats.insert(at, Repeat { index, count: 1, last: now }),
        }
    }

    /// Whether the slot's packet `index` was allowed to be sent again.
    pub(crate) fn has_sent(&self, index: u64) -> bool {
        self.repeated(index).is_some()
    }

    /// The index for the next packet on the RTX SSRC.
    pub(crate) const fn take_index(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        index
    }

    /// The index of the next packet on the RTX SSRC.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    fn repeated(&self, index: u64) -> Option<Repeat> {
        let at = self.repeats.binary_search_by_key(&index, |repeat| repeat.index).ok()?;
        self.repeats.get(at).copied()
    }
}

/// What one peer may be sent again: a share of what its path carries, that of a second at once.
#[derive(Debug)]
pub(crate) struct Budget {
    updated: Moment,
    repeated: f64,
    since: Moment,
    sent: u64,
    sent_before: u64,
}

impl Budget {
    pub(crate) const fn new(now: Moment) -> Self {
        Self { updated: now, repeated: 0.0, since: now, sent: 0, sent_before: 0 }
    }

    /// Counts bytes sent for the first time.
    pub(crate) const fn handle_sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    /// Whether `len` bytes may be sent again now on a path that carries `target`, if that is known; if so, they are
    /// counted.
    pub(crate) fn allow(&mut self, now: Moment, len: usize, target: Option<Bitrate>) -> bool {
        let sent = self.measure(now);
        let (rate, at_once) = match target {
            Some(target) => (target.scale(SHARE), ALLOWANCE),
            None => (sent.scale(SHARE) + Bitrate::from_f64(ALLOWANCE * 8.0), 0.0),
        };
        let rate = rate.min(RATE_MAX);
        self.repeated = (self.repeated - rate.bytes_in(now.saturating_duration_since(self.updated))).max(0.0);
        self.updated = self.updated.max(now);
        let is_allowed = self.repeated + len as f64 <= at_once + rate.bytes_in(SPAN);
        if is_allowed {
            self.repeated += len as f64;
        }
        is_allowed
    }

    /// What is sent, by the last whole second or the present one.
    fn measure(&mut self, now: Moment) -> Bitrate {
        if now >= self.since + SPAN {
            let is_stale = now >= self.since + 2 * SPAN;
            self.sent_before = if is_stale { 0 } else { self.sent };
            (self.since, self.sent) = (now, 0);
        }
        Bitrate::bps(self.sent.max(self.sent_before) * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_spaced_and_few() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut rtx = Retransmitter::new(1);
        let rtt = Duration::from_millis(50);
        let mut allowed = |index, rtt| -> Vec<u64> {
            let mut repeat = |ms: &u64| {
                let is_allowed = rtx.allows(at(*ms), index, rtt);
                if is_allowed {
                    rtx.handle_repeat(at(*ms), index);
                }
                is_allowed
            };
            (0..1000).filter(|ms| repeat(ms)).collect()
        };
        assert_eq!(allowed(7, rtt), [0, 50, 100, 150]);
        assert_eq!(allowed(8, Duration::ZERO), [0, 20, 40, 60]);
        assert!(rtx.has_sent(7) && !rtx.has_sent(9));
        assert!(rtx.allows(at(0), 7 + HISTORY, rtt), "another packet starts anew");
        rtx.handle_repeat(at(0), 7 + HISTORY);
        assert_eq!(rtx.repeats.len(), 2, "what cannot be asked for any more is forgotten");
    }

    #[test]
    fn a_quarter_of_what_the_path_carries_may_be_sent_again() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut budget = Budget::new(start);
        let target = Some(Bitrate::kbps(8_000));
        let mut repeated = 0.0;
        for ms in 0..2000 {
            while budget.allow(at(ms), 1000, target) {
                repeated += 1000.0;
            }
        }
        let bound = ALLOWANCE + 3.0 * 250_000.0;
        assert!((bound - 2_000.0..=bound).contains(&repeated), "{repeated} of at most {bound}");
        assert!(budget.allow(at(9000), 200_000, target), "that of a second at once");
    }

    #[test]
    fn of_a_path_that_is_not_measured_what_is_sent_counts() {
        let start = Moment::ORIGIN;
        let mut budget = Budget::new(start);
        budget.handle_sent(400_000);
        let allowed = (0..1000).filter(|_| budget.allow(start, 1000, None)).count();
        assert_eq!(allowed, 116);
    }

    #[test]
    fn a_path_that_carries_nothing_has_a_small_allowance() {
        let start = Moment::ORIGIN;
        let mut budget = Budget::new(start);
        let allowed = (0..100).filter(|_| budget.allow(start + SPAN * 5, 1000, Some(Bitrate::ZERO))).count();
        assert_eq!(allowed, 16);
    }
}
