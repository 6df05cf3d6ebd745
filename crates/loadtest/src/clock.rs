//! The clock of a run: ns since its origin, in the time that the kernel marks arrivals with.

use std::time::{Duration, SystemTime};

/// Where the times of a run count from.
///
/// It is the clock of the wall, as the kernel's marks are. Latencies are differences of a few ms, so that it may be
/// slewed; who sets it during a run spoils the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: SystemTime,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { origin: SystemTime::now() }
    }

    /// ns since the origin; 584 years fit.
    pub(crate) fn now_ns(self) -> u64 {
        self.ns(SystemTime::now())
    }

    /// The same of any time; 0 before the origin.
    pub(crate) fn ns(self, at: SystemTime) -> u64 {
        at.duration_since(self.origin).unwrap_or_default().as_nanos() as u64
    }

    /// µs since 1970 of a time of this clock.
    pub(crate) fn unix_micros(self, ns: u64) -> u64 {
        let unix = self.origin.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (unix + Duration::from_nanos(ns)).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_origin() {
        let clock = Clock { origin: SystemTime::UNIX_EPOCH + Duration::from_secs(10) };
        assert_eq!(clock.ns(SystemTime::UNIX_EPOCH + Duration::from_millis(10_001)), 1_000_000);
        assert_eq!(clock.ns(SystemTime::UNIX_EPOCH), 0);
        assert_eq!(clock.unix_micros(5_000), 10_000_005);
    }
}
