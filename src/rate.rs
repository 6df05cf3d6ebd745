//! How often something may happen: a sustained rate, and a burst before it counts.

use std::time::{Duration, Instant};

/// A token bucket, kept as the time at which it will be full again.
#[derive(Debug, Clone)]
pub struct Rate {
    interval: Duration,
    burst: Duration,
    full_at: Instant,
}

impl Rate {
    /// A full bucket of `burst` tokens that refills at `per_second`.
    pub fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval * burst, full_at: now }
    }

    /// Takes a token. `false`, and nothing taken, if there is none.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        let allowed = full_at.duration_since(now) <= self.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }

    /// Takes so many tokens at once. `false`, and nothing taken, if there are not so many.
    #[must_use]
    pub fn take_many(&mut self, now: Instant, tokens: u32) -> bool {
        let full_at = self.full_at.max(now) + self.interval.saturating_mul(tokens);
        let allowed = full_at.duration_since(now) <= self.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_counts() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::new(start, 50, 200);
        assert_eq!((0..300).filter(|_| rate.take(start)).count(), 200);
        assert!(!rate.take(at(19)), "a token takes 20 ms to come");
        assert!(rate.take(at(20)));
        assert!(!rate.take(at(20)));
        assert_eq!((0..300).filter(|_| rate.take(at(1_020))).count(), 50, "refused ones cost nothing");
        assert_eq!((0..300).filter(|_| rate.take(at(60_000))).count(), 200, "no more than the burst is saved up");
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 1_000, 100);
        assert!(rate.take_many(start, 60) && !rate.take_many(start, 60) && rate.take_many(start, 40));
        assert!(!rate.take_many(start, 1) && rate.take_many(start, 0));
        assert!(rate.take_many(start + Duration::from_millis(50), 50));
    }

    #[test]
    fn a_steady_sender_at_the_rate_is_never_refused() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 50, 200);
        assert!((0..10_000).all(|n| rate.take(start + Duration::from_millis(20) * n)));
    }
}
