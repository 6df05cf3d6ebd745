//! Which packets of one source came, each counted once.

/// How far behind the newest a packet may come and still be told from a copy of an earlier one.
const WINDOW: u64 = 4_096;
const WORDS: usize = (WINDOW / 64) as usize;

/// Counts the packets of one source by their numbers.
#[derive(Debug)]
pub(crate) struct Tally {
    /// One more than the highest number; 0 before the first.
    next: u64,
    /// A bit for each number of the last [`WINDOW`], at its remainder.
    seen: [u64; WORDS],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// Notes a number and returns whether it is there for the first time. One too old to be known counts as a copy.
    pub(crate) fn accept(&mut self, number: u64) -> bool {
        if number >= self.next {
            self.advance(number);
        } else if self.next - number > WINDOW {
            return false;
        }
        let (word, bit) = self.place(number);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Moves the window so that `number` is its newest.
    fn advance(&mut self, number: u64) {
        if number - self.next >= WINDOW {
            self.seen.fill(0);
        } else {
            for passed in self.next..=number {
                let (word, bit) = self.place(passed);
                *word &= !bit;
            }
        }
        self.next = number.saturating_add(1);
    }

    fn place(&mut self, number: u64) -> (&mut u64, u64) {
        let at = number % WINDOW;
        // A remainder of 64 words has its word among them.
        (&mut self.seen[(at / 64) as usize], 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once() {
        let mut tally = Tally::new();
        let table = [(5, true), (5, false), (3, true), (9, true), (4, true), (3, false), (10, true), (6, true)];
        for (number, expected) in table {
            assert_eq!(tally.accept(number), expected, "{number}");
        }
    }

    #[test]
    fn a_leap_forgets_and_what_is_too_old_is_a_copy() {
        let mut tally = Tally::new();
        assert!(tally.accept(0));
        assert!(tally.accept(WINDOW));
        assert!(!tally.accept(0), "it left the window");
        assert!(tally.accept(1), "the oldest in it");
        assert!(tally.accept(10 * WINDOW));
        assert!(tally.accept(10 * WINDOW - 1), "its place was used by an older one");
        assert!(tally.accept(u64::MAX - 1));
        assert!(!tally.accept(u64::MAX - 1));
    }
}
