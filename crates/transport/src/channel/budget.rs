//! Limits how much of something a peer may do per second.

use std::time::{Duration, Instant};

/// A token bucket that holds one second's worth, kept as the instant at which it is full again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Time that one unit costs.
    cost: Duration,
    /// When everything spent will have been earned again.
    full_at: Instant,
}

impl Budget {
    /// Allows `per_second` units a second, and as many at once.
    pub(super) fn new(now: Instant, per_second: u32) -> Self {
        Self { cost: SECOND / per_second.max(1), full_at: now }
    }

    /// Spends `units`, or none and returns false if there are not so many.
    pub(super) fn spend(&mut self, now: Instant, units: u32) -> bool {
        let full_at = self.full_at.max(now) + self.cost.saturating_mul(units);
        let is_affordable = full_at.saturating_duration_since(now) <= SECOND;
        if is_affordable {
            self.full_at = full_at;
        }
        is_affordable
    }

    /// Whether nothing spent is left to earn.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_second_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(start, 10);
        assert!(budget.is_full(start));
        assert_eq!((0..15).filter(|_| budget.spend(start, 1)).count(), 10);
        assert!(!budget.spend(start + Duration::from_millis(99), 1));
        assert!(budget.spend(start + Duration::from_millis(100), 1));
        assert!(!budget.spend(start + Duration::from_millis(250), 2), "half of a unit is missing");
        assert!(budget.spend(start + Duration::from_millis(300), 2));
        assert!(!budget.is_full(start + Duration::from_millis(1299)));
        assert!(budget.is_full(start + Duration::from_millis(1300)));
        assert!(budget.spend(start + Duration::from_secs(60), 10), "no more than a second is saved up");
        assert!(!budget.spend(start + Duration::from_secs(60), 1));
        assert!(!budget.spend(start + Duration::from_secs(90), u32::MAX));
    }
}
