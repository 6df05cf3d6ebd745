//! Deadlines that may as well be a little earlier are the same for many.

use std::time::Duration;

use crate::moment::Moment;

/// The last multiple of `grid` after `start` that is not after `at`. What may as well be a little earlier is due on a grid:
/// the work for many peers, each of which has to be looked at to find those that are due, is then done at once.
pub(crate) fn on_grid(start: Moment, at: Moment, grid: Duration) -> Moment {
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let (since, step) = (nanos(at.saturating_duration_since(start)), nanos(grid).max(1));
    start + Duration::from_nanos(since / step * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_on_a_grid_is_less_than_a_step_early() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        for (due, expected) in [(0, 0), (19, 0), (20, 20), (39, 20), (1_031, 1_020)] {
            assert_eq!(on_grid(start, at(due), Duration::from_millis(20)), at(expected), "{due}");
        }
        assert_eq!(on_grid(at(50), start, Duration::from_millis(20)), at(50), "nothing is due before the start");
    }
}
