//! Which messages came to whom, and how late.

use hdrhistogram::Histogram;

use super::mark::Mark;
use super::plan::Plan;
use crate::measure::histogram;

/// What the receivers of a run have got.
#[derive(Debug)]
pub(crate) struct Tally {
    plan: Plan,
    /// Of each receiver that counts, a bit for each message of the run: 125 bytes for a thousand messages.
    seen: Vec<Vec<u64>>,
    /// From writing to reading, in µs, by window.
    pub(crate) latency_us: Vec<Histogram<u64>>,
    /// Deliveries in the windows, each once.
    pub(crate) delivered: u64,
    /// All deliveries, those of the warm-up too, each once.
    came: u64,
    /// Deliveries of what had come already.
    pub(crate) doubled: u64,
    /// Deliveries to who should not have had them.
    pub(crate) astray: u64,
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> Self {
        let words = (plan.messages() as usize).div_ceil(64);
        Self {
            seen: vec![vec![0; words]; plan.watchers() as usize],
            latency_us: (0..plan.windows()).map(|_| histogram()).collect(),
            plan: plan.clone(),
            delivered: 0,
            came: 0,
            doubled: 0,
            astray: 0,
        }
    }

    /// Notes that a receiver has read a message; nothing is noted of those that are to stall.
    pub(crate) fn note(&mut self, receiver: u32, mark: Mark, now_ns: u64) {
        let Some(seen) = self.seen.get_mut(receiver as usize) else { return };
        let Some(word) = seen.get_mut(mark.seq as usize / 64).filter(|_| self.plan.is_for(mark.seq, receiver)) else {
            self.astray += 1;
            return;
        };
        let bit = 1 << (mark.seq % 64);
        if *word & bit != 0 {
            self.doubled += 1;
            return;
        }
        *word |= bit;
        self.came += 1;
        if let Some(latency_us) = self.plan.window_of(mark.seq).and_then(|window| self.latency_us.get_mut(window)) {
            self.delivered += 1;
            latency_us.saturating_record(now_ns.saturating_sub(mark.sent_ns) / 1_000);
        }
    }

    /// Deliveries that should have been and were not, of all messages of the run.
    pub(crate) fn lost(&self) -> u64 {
        self.plan.deliveries().saturating_sub(self.came)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Reading, Transport};
    use super::*;

    fn plan(reading: Reading) -> Plan {
        // Ten messages of warm-up and ten of each window.
        Plan { transport: Transport::WebSocket, reading, connections: 3, stalled: 1, rate: 10, warmup: 1, seconds: 1 }
    }

    fn mark(seq: u32) -> Mark {
        Mark { seq, sent_ns: 1_000_000 }
    }

    #[test]
    fn what_is_lost_doubled_or_astray_is_told_apart() {
        let mut tally = Tally::new(&plan(Reading::Broadcast));
        assert_eq!(tally.lost(), 60, "thirty messages to the two who count");
        for seq in 0..30 {
            tally.note(0, mark(seq), 6_000_000);
        }
        tally.note(1, mark(29), 6_000_000);
        tally.note(1, mark(29), 6_000_000);
        tally.note(1, mark(64), 6_000_000);
        tally.note(2, mark(1), 6_000_000);
        assert_eq!((tally.lost(), tally.doubled, tally.astray), (29, 1, 1));
        assert_eq!(tally.delivered, 21, "the warm-up does not count");
        let counts: Vec<u64> = tally.latency_us.iter().map(|window| window.len()).collect();
        assert_eq!((counts, tally.latency_us[0].max() / 10), (vec![10, 11], 500));
    }

    #[test]
    fn one_delivery_each_goes_round() {
        let mut tally = Tally::new(&plan(Reading::Single));
        assert_eq!(tally.lost(), 20, "every third message is of the one that stalls");
        tally.note(0, mark(3), 0);
        tally.note(1, mark(3), 0);
        assert_eq!((tally.lost(), tally.astray), (19, 1));
    }
}
