//! Events that were given up, kept for a while so that somebody can look at them and send them again.

use std::collections::VecDeque;
use std::sync::Arc;

use super::delivery::Delivery;

/// Events that are kept; the oldest goes when one more comes.
pub const MAX_DEAD_LETTERS: usize = 1_000;
/// The same in bytes of their bodies.
pub const MAX_DEAD_BYTES: usize = 16 * 1024 * 1024;

/// One event that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadLetter {
    /// Its number in this list.
    pub(super) id: u64,
    /// Whose receiver it was for.
    pub(super) endpoint: usize,
    pub(super) delivery: Arc<Delivery>,
    /// When it was given up, in milliseconds since 1970 UTC.
    pub(super) at: u64,
    /// Why.
    pub(super) why: String,
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    letters: VecDeque<DeadLetter>,
    bytes: usize,
    last_id: u64,
    /// Letters that are not kept any more.
    forgotten: u64,
}

impl DeadLetters {
    pub(super) fn push(&mut self, endpoint: usize, delivery: Arc<Delivery>, at: u64, why: &str) {
        self.last_id += 1;
        self.bytes += delivery.body.len();
        self.letters.push_back(DeadLetter { id: self.last_id, endpoint, delivery, at, why: why.to_owned() });
        while self.letters.len() > MAX_DEAD_LETTERS || (self.bytes > MAX_DEAD_BYTES && self.letters.len() > 1) {
            self.take(0);
            self.forgotten += 1;
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: u64) -> Option<DeadLetter> {
        let index = self.letters.binary_search_by_key(&id, |letter| letter.id).ok()?;
        self.take(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DeadLetter> {
        self.letters.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn take(&mut self, index: usize) -> Option<DeadLetter> {
        let letter = self.letters.remove(index)?;
        self.bytes -= letter.delivery.body.len();
        Some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_can_be_taken_out() {
        let mut dead = DeadLetters::default();
        let delivery = |bytes: usize| Arc::new(Delivery { id: "x".into(), kind: "chat", body: vec![0; bytes].into() });
        (0..=MAX_DEAD_LETTERS).for_each(|_| dead.push(0, delivery(5), 7, "it said 500"));
        assert_eq!((dead.len(), dead.forgotten(), dead.iter().next().map(|letter| letter.id)), (1_000, 1, Some(2)));
        assert_eq!((dead.remove(1), dead.remove(500).map(|letter| letter.id)), (None, Some(500)));
        assert_eq!((dead.remove(500), dead.len(), dead.bytes), (None, 999, 999 * 5));
        dead.push(0, delivery(MAX_DEAD_BYTES), 7, "it said 500");
        assert_eq!((dead.len(), dead.bytes), (1, MAX_DEAD_BYTES), "the newest stays whatever it weighs");
    }
}
