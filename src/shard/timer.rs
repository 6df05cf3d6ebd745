//! A timer wheel: many deadlines that are mostly moved, few that fire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How fine the wheel turns.
const TICK: Duration = Duration::from_millis(5);
/// Slots of the wheel; later deadlines wait in a heap until it reaches them.
const SLOTS: usize = 512;

/// Deadlines of tokens at a granularity of 5 ms. A token may stand in it several times; who is fired
/// asks its owner whether anything is due. Memory is bounded by what is scheduled and not yet fired.
#[derive(Debug)]
pub struct Wheel<T> {
    start: Instant,
    /// The tick up to which everything has been fired.
    done: u64,
    slots: Vec<Vec<T>>,
    /// One bit a slot: whether anything is in it.
    occupied: [u64; SLOTS / 64],
    /// What lies beyond the wheel. Were it kept in the last slot and looked at again in each round, a thousand endpoints that
    /// only wait for their next check would wake the shard for nothing at every tick.
    far: BinaryHeap<Reverse<(u64, T)>>,
}

impl<T: Copy + Ord> Wheel<T> {
    /// An empty wheel.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self { start: now, done: 0, slots, occupied: [0; SLOTS / 64], far: BinaryHeap::new() }
    }

    /// Fires `token` at or shortly after `at`; at the next turn if that is past.
    pub fn schedule(&mut self, at: Instant, token: T) {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        let tick = u64::try_from(nanos.div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX).max(self.done + 1);
        self.insert(tick, token);
    }

    /// When the next turn is worth making.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let first = usize::try_from(self.done + 1).unwrap_or(0) % SLOTS;
        let ahead = (0..SLOTS).map(|i| (first + i) % SLOTS).position(|slot| self.is_occupied(slot));
        let near = ahead.map(|ahead| self.done + 1 + ahead as u64);
        let tick = near.or_else(|| self.far.peek().map(|Reverse((tick, _))| *tick))?;
        Some(self.start + TICK * u32::try_from(tick).unwrap_or(u32::MAX))
    }

    /// Takes out everything due at `now`.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<T>) {
        let target = (now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64;
        let turns = target.saturating_sub(self.done).min(SLOTS as u64);
        let from = self.done;
        self.done = self.done.max(target);
        for tick in from + 1..=from + turns {
            let slot = usize::try_from(tick).unwrap_or(0) % SLOTS;
            if !self.is_occupied(slot) {
                continue;
            }
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            due.append(&mut self.slots[slot]);
        }
        while let Some(&Reverse((tick, token))) = self.far.peek()
            && self.reaches(tick)
        {
            self.far.pop();
            if tick <= self.done { due.push(token) } else { self.insert(tick, token) }
        }
    }

    /// Whether the wheel has a slot for this tick.
    const fn reaches(&self, tick: u64) -> bool {
        tick < self.done + SLOTS as u64
    }

    fn insert(&mut self, tick: u64, token: T) {
        if !self.reaches(tick) {
            return self.far.push(Reverse((tick, token)));
        }
        let slot = usize::try_from(tick).unwrap_or(0) % SLOTS;
        self.slots[slot].push(token);
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    fn is_occupied(&self, slot: usize) -> bool {
        self.occupied[slot / 64] & (1 << (slot % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_fires_early_and_everything_within_a_tick() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut wheel = Wheel::new(start);
        let deadlines = [0, 3, 5, 17, 250, 2_559, 2_560, 2_561, 9_999, 60_000];
        for ms in deadlines {
            wheel.schedule(at(ms), ms);
        }
        let mut fired = Vec::new();
        let mut ms = 0;
        while let Some(next) = wheel.next() {
            ms = ms.max((next - start).as_millis() as u64);
            let mut due = Vec::new();
            wheel.advance(at(ms), &mut due);
            for token in due {
                assert!(ms >= token && ms <= token + 5, "{token} at {ms}");
                fired.push(token);
            }
        }
        assert_eq!(fired, deadlines);
    }

    #[test]
    fn no_turn_is_made_for_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut due = Vec::new();
        // Scheduled one after the other, as endpoints are.
        for number in 0..50 {
            let now = start + Duration::from_millis(number * 40);
            wheel.advance(now, &mut due);
            wheel.schedule(now + Duration::from_secs(15), number);
        }
        assert!(due.is_empty());
        let mut turns = 0;
        while let Some(next) = wheel.next() {
            wheel.advance(next, &mut due);
            turns += 1;
            assert_eq!(due.len(), turns, "one for each");
        }
        assert_eq!(due, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_sleep_fires_all_that_passed() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        (0..100).for_each(|ms| wheel.schedule(start + Duration::from_millis(ms * 50), ms));
        let mut due = Vec::new();
        wheel.advance(start + Duration::from_secs(3600), &mut due);
        due.sort_unstable();
        assert_eq!(due, (0..100).collect::<Vec<_>>());
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn the_past_fires_at_the_next_turn() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut due = Vec::new();
        wheel.advance(start + Duration::from_secs(1), &mut due);
        wheel.schedule(start, 1);
        assert_eq!(wheel.next(), Some(start + Duration::from_millis(1005)));
        wheel.advance(start + Duration::from_millis(1005), &mut due);
        assert_eq!(due, [1]);
    }
}
