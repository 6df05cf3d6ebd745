//! Answers to NACKs: which packet may be sent again, how often, and for how many bytes.

use std::time::{Duration, Instant};

use crate::outbound::rewrite::HISTORY;

/// How often one packet is sent again.
const MAX_REPEATS: u8 = 4;
/// A packet sent again is left alone for this long at least, and for the round-trip time.
const MIN_SPACING: Duration = Duration::from_millis(20);
/// Bytes a peer may be sent again in a second, whatever else it is sent ...
const ALLOWANCE_BYTES: u64 = 16 << 10;
/// ... and as a part of what it is sent.
const SHARE_DIVISOR: u64 = 4;
const PERIOD: Duration = Duration::from_secs(1);

/// The retransmissions of one slot.
#[derive(Debug)]
pub(crate) struct Retransmitter {
    /// The index of the next packet on the RTX SSRC.
    next: u64,
    /// By index modulo [`HISTORY`]; empty until the first NACK.
    repeats: Vec<Option<Repeat>>,
}

#[derive(Debug, Clone, Copy)]
struct Repeat {
    index: u64,
    count: u8,
    last: Instant,
}

impl Retransmitter {
    pub(crate) const fn new(first: u64) -> Self {
        Self { next: first, repeats: Vec::new() }
    }

    /// Whether the slot's packet `index` may be sent again now; if so, that is counted.
    pub(crate) fn allow(&mut self, now: Instant, index: u64, rtt: Duration) -> bool {
        if self.repeats.is_empty() {
            self.repeats.resize(HISTORY as usize, None);
        }
        let place = &mut self.repeats[(index % HISTORY) as usize];
        let count = match *place {
            Some(repeat) if repeat.index == index => {
                if repeat.count >= MAX_REPEATS || now < repeat.last + rtt.max(MIN_SPACING) {
                    return false;
                }
                repeat.count
            }
            Some(_) | None => 0,
        };
        *place = Some(Repeat { index, count: count + 1, last: now });
        true
    }

    /// Whether the slot's packet `index` was allowed to be sent again.
    pub(crate) fn has_sent(&self, index: u64) -> bool {
        let place = self.repeats.get((index % HISTORY) as usize);
        place.is_some_and(|repeat| repeat.is_some_and(|repeat| repeat.index == index))
    }

    /// The index for the next packet on the RTX SSRC.
    pub(crate) const fn take_index(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        index
    }
}

/// What one peer may be sent again: a quarter of what it is sent in a second, and a little more.
#[derive(Debug)]
pub(crate) struct Budget {
    since: Instant,
    sent: u64,
    sent_before: u64,
    repeated: u64,
}

impl Budget {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { since: now, sent: 0, sent_before: 0, repeated: 0 }
    }

    /// Counts bytes sent for the first time.
    pub(crate) const fn handle_sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    /// Whether `len` bytes may be sent again now; if so, they are counted.
    pub(crate) fn allow(&mut self, now: Instant, len: usize) -> bool {
        if now >= self.since + PERIOD {
            let is_stale = now >= self.since + 2 * PERIOD;
            self.sent_before = if is_stale { 0 } else { self.sent };
            (self.since, self.sent, self.repeated) = (now, 0, 0);
        }
        let bound = ALLOWANCE_BYTES + self.sent.max(self.sent_before) / SHARE_DIVISOR;
        let is_allowed = self.repeated + len as u64 <= bound;
        if is_allowed {
            self.repeated += len as u64;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_spaced_and_few() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rtx = Retransmitter::new(1);
        let rtt = Duration::from_millis(50);
        let allowed: Vec<_> = (0..1000).filter(|&ms| rtx.allow(at(ms), 7, rtt)).collect();
        assert_eq!(allowed, [0, 50, 100, 150]);
        let allowed: Vec<_> = (0..1000).filter(|&ms| rtx.allow(at(ms), 8, Duration::ZERO)).collect();
        assert_eq!(allowed, [0, 20, 40, 60]);
        assert!(rtx.has_sent(7) && !rtx.has_sent(9));
        assert!(rtx.allow(at(0), 7 + HISTORY, rtt), "another packet in the same place starts anew");
        assert_eq!(rtx.repeats.len(), HISTORY as usize);
    }

    #[test]
    fn a_quarter_of_the_bytes_may_be_sent_again() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut budget = Budget::new(start);
        let mut repeated = 0;
        for ms in 0..2000 {
            budget.handle_sent(1000);
            while budget.allow(at(ms), 1000) {
                repeated += 1000;
            }
        }
        let bound = 2_000_000 / 4 + 2 * ALLOWANCE_BYTES;
        assert!((bound - 20_000..=bound).contains(&repeated), "{repeated} of at most {bound}");
    }

    #[test]
    fn a_peer_that_is_sent_nothing_has_a_small_allowance() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let allowed = (0..100).filter(|_| budget.allow(start + PERIOD * 5, 1000)).count();
        assert_eq!(allowed as u64, ALLOWANCE_BYTES / 1000);
    }
}
