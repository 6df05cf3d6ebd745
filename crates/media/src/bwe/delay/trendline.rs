//! Fits a line through the delay of the last groups, and calls it overuse when the line climbs.

use std::collections::VecDeque;

use roundtable_prefetch::prefetch;

use super::Usage;
use super::inter_arrival::Delta;

/// Groups the line is fitted through.
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
/// The slope counts more the more groups it rests on, up to this many.
const MAX_COUNTED: u32 = 60;
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// How fast the threshold follows a trend above it …
const THRESHOLD_UP: f64 = 0.0087;
/// … and below it.
const THRESHOLD_DOWN: f64 = 0.039;
/// The threshold does not follow a trend that is this far above it: that is no noise.
const THRESHOLD_REACH: f64 = 15.0;
const THRESHOLD_STEP_MS: f64 = 100.0;
/// A climb must last this long.
const OVERUSE_MS: f64 = 10.0;

/// The trend of the delay, and whether it is overuse.
#[derive(Debug)]
pub(super) struct Trendline {
    first_ms: Option<f64>,
    deltas: u32,
    accumulated: f64,
    smoothed: f64,
    /// (arrival, smoothed delay), both in milliseconds.
    points: VecDeque<[f64; 2]>,
    threshold: f64,
    updated_ms: f64,
    previous_slope: f64,
    over: Option<Climb>,
}

/// How long the trend has been above the threshold.
#[derive(Debug, Clone, Copy)]
struct Climb {
    lasted_ms: f64,
    groups: u32,
}

impl Default for Trendline {
    fn default() -> Self {
        Self {
            first_ms: None,
            deltas: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            points: VecDeque::new(),
            threshold: THRESHOLD_START,
            updated_ms: 0.0,
            previous_slope: 0.0,
            over: None,
        }
    }
}

impl Trendline {
    /// Has the points brought near.
    pub(super) fn prefetch(&self) {
        let (first, second) = self.points.as_slices();
        prefetch(first);
        prefetch(second);
    }

    pub(super) fn handle_delta(&mut self, delta: &Delta) -> Usage {
        let first_ms = *self.first_ms.get_or_insert(delta.at_ms);
        self.deltas = self.deltas.saturating_add(1);
        self.accumulated += delta.arrival_ms - delta.send_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.points.push_back([delta.at_ms - first_ms, self.smoothed]);
        if self.points.len() > WINDOW {
            self.points.pop_front();
        }
        let slope = if self.points.len() == WINDOW { self.slope() } else { None }.unwrap_or(self.previous_slope);
        self.detect(slope, delta)
    }

    /// The slope of the least squares line; `None` if all points lie at one time.
    fn slope(&self) -> Option<f64> {
        let count = self.points.len() as f64;
        // In pairs, which processors add and multiply at once.
        let sums = self.points.iter().fold([0.0; 2], |[x, y], point| [x + point[0], y + point[1]]);
        let mean = sums.map(|sum| sum / count);
        let [below, above] = self.points.iter().fold([0.0; 2], |[below, above], &[x, y]| {
            let distance = [x - mean[0], y - mean[1]];
            [below + distance[0] * distance[0], above + distance[0] * distance[1]]
        });
        (below > 0.0).then(|| above / below)
    }

    fn detect(&mut self, slope: f64, delta: &Delta) -> Usage {
        if self.deltas < 2 {
            return Usage::Normal;
        }
        let trend = f64::from(self.deltas.min(MAX_COUNTED)) * slope * GAIN;
        let usage = if trend > self.threshold {
            let climb = match self.over {
                None => Climb { lasted_ms: delta.send_ms / 2.0, groups: 1 },
                Some(climb) => Climb { lasted_ms: climb.lasted_ms + delta.send_ms, groups: climb.groups + 1 },
            };
            let overuse = climb.lasted_ms > OVERUSE_MS && climb.groups > 1 && slope >= self.previous_slope;
            self.over = if overuse { Some(Climb { lasted_ms: 0.0, groups: 0 }) } else { Some(climb) };
            if overuse { Usage::Overuse } else { Usage::Normal }
        } else {
            self.over = None;
            if trend < -self.threshold { Usage::Underuse } else { Usage::Normal }
        };
        self.previous_slope = slope;
        self.adapt(trend.abs(), delta.at_ms);
        usage
    }

    fn adapt(&mut self, trend: f64, at_ms: f64) {
        let passed = (at_ms - self.updated_ms).clamp(0.0, THRESHOLD_STEP_MS);
        self.updated_ms = at_ms;
        if trend > self.threshold + THRESHOLD_REACH {
            return;
        }
        let gain = if trend > self.threshold { THRESHOLD_UP } else { THRESHOLD_DOWN };
        self.threshold += gain * (trend - self.threshold) * passed;
        self.threshold = self.threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
    }
}
