//! Numbers one layer's packets as if those consumed here had never been sent.

use std::collections::VecDeque;

/// Runs of consumed packets that are remembered; a packet older than the oldest run dropped is refused.
const MAX_CUTS: usize = 64;

/// Closes the gaps that consumed packets (padding) leave, and keeps those that loss leaves.
///
/// Indexes in are the unwrapped sequence numbers of the publisher; indexes out are what slots count from.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    /// Ascending; never empty runs.
    cuts: VecDeque<Cut>,
    /// Indexes up to here can no longer be numbered.
    forgotten: Option<u64>,
}

/// A run of consumed packets.
#[derive(Debug, Clone, Copy)]
struct Cut {
    first: u64,
    last: u64,
    /// Consumed in all, up to and with `last`.
    total: u64,
}

impl Compactor {
    /// Takes `index`, which is newer than all numbered so far, out of the count.
    pub(crate) fn consume(&mut self, index: u64) {
        if let Some(cut) = self.cuts.back_mut().filter(|cut| cut.last + 1 == index) {
            (cut.last, cut.total) = (index, cut.total + 1);
            return;
        }
        if self.cuts.len() == MAX_CUTS {
            self.forgotten = self.cuts.pop_front().map(|cut| cut.last);
        }
        let total = self.cuts.back().map_or(0, |cut| cut.total) + 1;
        self.cuts.push_back(Cut { first: index, last: index, total });
    }

    /// The number of `index`; `None` if it was consumed or is too old to tell.
    pub(crate) fn number(&self, index: u64) -> Option<u64> {
        let Some(newest) = self.cuts.back() else { return Some(index) };
        if index > newest.last {
            return Some(index - newest.total);
        }
        if self.forgotten.is_some_and(|forgotten| index <= forgotten) {
            return None;
        }
        let after = self.cuts.partition_point(|cut| cut.last < index);
        // Some cut ends at or behind `index`, as the newest does.
        let cut = self.cuts.get(after)?;
        if index >= cut.first {
            return None;
        }
        Some(index - (cut.total - (cut.last - cut.first + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumed_packets_leave_no_gap_and_lost_ones_do() {
        let mut compactor = Compactor::default();
        compactor.consume(102);
        compactor.consume(103);
        compactor.consume(106);
        let numbers: Vec<_> = (100..110).map(|index| compactor.number(index)).collect();
        let expected = [Some(100), Some(101), None, None, Some(102), Some(103), None, Some(104), Some(105), Some(106)];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn what_is_older_than_the_memory_is_refused() {
        let mut compactor = Compactor::default();
        for index in 0..=MAX_CUTS as u64 {
            compactor.consume(10 + 2 * index);
        }
        assert_eq!(compactor.number(9), None);
        assert_eq!(compactor.number(11), Some(10));
        assert_eq!(compactor.number(13), Some(11));
    }
}
