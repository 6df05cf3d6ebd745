//! What is kept for a short while, until it is asked for once. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A table of what passes. When it is full, what would have gone first goes.
#[derive(Debug)]
pub(super) struct Passing<T> {
    life: Duration,
    most: usize,
    entries: HashMap<String, (Instant, T)>,
}

impl<T> Passing<T> {
    /// A table in which each thing lives so long, of so many at most.
    pub(super) fn new(life: Duration, most: usize) -> Self {
        Self { life, most, entries: HashMap::new() }
    }

    /// Keeps something under a name that nobody guesses.
    pub(super) fn put(&mut self, now: Instant, name: String, thing: T) {
        if self.entries.len() >= self.most {
            self.make_room(now);
        }
        self.entries.insert(name, (now + self.life, thing));
    }

    /// Takes it, once; `None` if it is unknown, was taken or is too old.
    pub(super) fn take(&mut self, now: Instant, name: &str) -> Option<T> {
        self.entries.remove(name).filter(|(until, _)| *until > now).map(|(_, thing)| thing)
    }

    /// Forgets what is too old, or a tenth of what there is.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, (until, _)| *until > now);
        if self.entries.len() < self.most {
            return;
        }
        let mut ends: Vec<Instant> = self.entries.values().map(|(until, _)| *until).collect();
        let at = ends.len() / 10;
        let (_, &mut limit, _) = ends.select_nth_unstable(at);
        let mut left = at + 1;
        self.entries.retain(|_, (until, _)| {
            let goes = left > 0 && *until <= limit;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_there_once_and_for_its_time() {
        let start = Instant::now();
        let mut table = Passing::new(Duration::from_secs(60), 10);
        table.put(start, "a".into(), 1);
        table.put(start, "b".into(), 2);
        assert_eq!(table.take(start + Duration::from_secs(59), "a"), Some(1));
        assert_eq!(table.take(start, "a"), None, "taken");
        assert_eq!(table.take(start + Duration::from_secs(60), "b"), None, "too old");
        assert_eq!(table.take(start, "c"), None);
    }

    #[test]
    fn a_full_table_forgets_what_would_have_gone_first() {
        let start = Instant::now();
        let mut table = Passing::new(Duration::from_secs(60), 100);
        for n in 0..1_000_u32 {
            table.put(start + Duration::from_millis(n.into()), n.to_string(), n);
            assert!(table.entries.len() <= 100);
        }
        let now = start + Duration::from_secs(1);
        assert_eq!((table.take(now, "999"), table.take(now, "1")), (Some(999), None));
    }
}
