//! The sequence numbers of one stream: unwrapped, and each let through once.

use roundtable_wire::Unwrapper16;

/// How far behind the newest a packet may be; older ones are not told from duplicates.
pub(crate) const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// Unwraps sequence numbers and remembers which of the last [`WINDOW`] have been seen.
#[derive(Debug, Default)]
pub(crate) struct Window {
    unwrapper: Unwrapper16,
    seen: [u64; WORDS],
}

/// What a sequence number turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first or the newest so far, with `gap` numbers left out before it.
    Newest { gap: u64 },
    /// Older than the newest, and not seen before.
    Late,
    /// Seen before, or too old to tell.
    Duplicate,
}

impl Window {
    /// Takes the number of a packet that has come; returns it unwrapped.
    pub(crate) fn handle(&mut self, sequence: u16) -> (u64, Arrival) {
        let Some(highest) = self.unwrapper.highest() else {
            let index = self.unwrapper.unwrap(sequence);
            self.mark(index);
            return (index, Arrival::Newest { gap: 0 });
        };
        let index = self.unwrapper.unwrap(sequence);
        if index > highest {
            self.forget(highest + 1, index);
            self.mark(index);
            return (index, Arrival::Newest { gap: index - highest - 1 });
        }
        if highest - index >= WINDOW || self.is_seen(index) {
            return (index, Arrival::Duplicate);
        }
        self.mark(index);
        (index, Arrival::Late)
    }

    /// Whether the packet with that number has not come and would be let through.
    pub(crate) fn is_missing(&self, sequence: u16) -> bool {
        let Some(highest) = self.unwrapper.highest() else { return false };
        let distance = sequence.wrapping_sub(highest as u16).cast_signed();
        if distance > 0 {
            return true;
        }
        let back = u64::from(distance.unsigned_abs());
        highest.checked_sub(back).is_some_and(|index| back < WINDOW && !self.is_seen(index))
    }

    /// Clears the marks of the numbers `from..=to`, whose places held older ones.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW {
            self.seen = [0; WORDS];
            return;
        }
        for index in from..=to {
            let (word, bit) = place(index);
            self.seen[word] &= !bit;
        }
    }

    fn mark(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }

    const fn is_seen(&self, index: u64) -> bool {
        let (word, bit) = place(index);
        self.seen[word] & bit != 0
    }
}

/// The word, always below `WORDS`, and the bit that stand for `index`.
const fn place(index: u64) -> (usize, u64) {
    let place = index % WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequences: &[u16], expected: &[Arrival]) {
        let mut window = Window::default();
        let arrivals: Vec<_> = sequences.iter().map(|&sequence| window.handle(sequence).1).collect();
        assert_eq!(arrivals, expected, "of {sequences:?}");
    }

    #[test]
    fn each_number_passes_once() {
        use Arrival::{Duplicate, Late, Newest};
        let next = Newest { gap: 0 };
        check(&[5, 6, 7], &[next, next, next]);
        check(&[5, 8, 6, 6, 8], &[next, Newest { gap: 2 }, Late, Duplicate, Duplicate]);
        check(&[65_535, 0, 65_534], &[next, next, Late]);
        check(&[0, 1023, 65_535, 65_536u32 as u16], &[next, Newest { gap: 1022 }, Duplicate, Duplicate]);
        check(&[0, 5000, 4999, 3976], &[next, Newest { gap: 4999 }, Late, Duplicate]);
        check(&[1, 1025, 2], &[next, Newest { gap: 1023 }, Late]);
    }

    #[test]
    fn indexes_keep_counting_across_the_wrap() {
        let mut window = Window::default();
        let (first, _) = window.handle(65_000);
        let (second, _) = window.handle(100);
        assert_eq!(second - first, 636);
        assert_eq!(window.handle(99).0, second - 1);
    }
}
