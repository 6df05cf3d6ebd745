//! Remembers at which rate the path was overused, which is where growing further should be careful.

/// Weight of a rate at which overuse was seen …
const OVERUSE_WEIGHT: f64 = 0.05;
/// … and of what a probe found.
const PROBE_WEIGHT: f64 = 0.5;
/// The variance is kept as a share of the estimate, in kbit/s, between these.
const DEVIATION_START: f64 = 0.4;
const DEVIATION_MIN: f64 = 0.4;
const DEVIATION_MAX: f64 = 2.5;
/// Rates so many standard deviations away say that the path has changed.
const BOUND: f64 = 3.0;

/// The smoothed rate of overuse, in kbit/s.
#[derive(Debug, Default)]
pub(super) struct LinkCapacity {
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    estimate: f64,
    deviation: f64,
}

impl LinkCapacity {
    pub(super) fn handle_overuse(&mut self, bps: f64) {
        self.update(bps, OVERUSE_WEIGHT);
    }

    pub(super) fn handle_probe(&mut self, bps: f64) {
        self.update(bps, PROBE_WEIGHT);
    }

    pub(super) fn reset(&mut self) {
        self.known = None;
    }

    /// Bits per second.
    pub(super) fn estimate(&self) -> Option<f64> {
        self.known.map(|known| known.estimate * 1e3)
    }

    /// Whether `bps` lies above what can be the same path.
    pub(super) fn is_above(&self, bps: f64) -> bool {
        self.known.is_some_and(|known| bps / 1e3 > known.estimate + known.bound())
    }

    /// Whether `bps` lies below what can be the same path.
    pub(super) fn is_below(&self, bps: f64) -> bool {
        self.known.is_some_and(|known| bps / 1e3 < known.estimate - known.bound())
    }

    fn update(&mut self, bps: f64, weight: f64) {
        let sample = bps / 1e3;
        let Some(known) = &mut self.known else {
            self.known = Some(Known { estimate: sample, deviation: DEVIATION_START });
            return;
        };
        known.estimate += weight * (sample - known.estimate);
        let error = known.estimate - sample;
        let share = error * error / known.estimate.max(1.0);
        known.deviation += weight * (share - known.deviation);
        known.deviation = known.deviation.clamp(DEVIATION_MIN, DEVIATION_MAX);
    }
}

impl Known {
    fn bound(&self) -> f64 {
        BOUND * (self.deviation * self.estimate).sqrt()
    }
}
