//! A rate that follows what is sent and not its bursts.

use std::time::Duration;

/// What was measured counts by this time constant, in seconds.
const SPAN: f64 = 2.0;
/// So many periods make a rate.
const MIN_PERIODS: u8 = 4;
/// In the wake of a keyframe a period counts for no more than so many times the rate.
const WAKE_LIMIT: f64 = 1.25;

/// Sums up what comes and smooths it, period by period.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    sum: u64,
    /// Periods in which nothing came: part of the next one in which something does.
    silence: Duration,
    rate: f64,
    /// Periods that counted, up to [`MIN_PERIODS`].
    periods: u8,
}

impl Meter {
    pub(super) const fn add(&mut self, amount: u64) {
        self.sum += amount;
    }

    /// Closes a period. One in the wake of a keyframe counts little, and not at all before there is a rate.
    pub(super) fn close(&mut self, period: Duration, in_wake: bool) {
        self.silence += period;
        if self.sum == 0 {
            return;
        }
        let seconds = std::mem::take(&mut self.silence).as_secs_f64();
        let sum = std::mem::take(&mut self.sum) as f64;
        if seconds <= 0.0 || in_wake && self.periods == 0 {
            return;
        }
        let mut rate = sum / seconds;
        if in_wake {
            rate = rate.min(WAKE_LIMIT * self.rate);
        }
        let kept = if self.periods == 0 { 0.0 } else { (-seconds / SPAN).exp() };
        self.rate = kept * self.rate + (1.0 - kept) * rate;
        self.periods = (self.periods + 1).min(MIN_PERIODS);
    }

    /// Forgets what has been summed up since the last period, and the silence before: it was an end.
    pub(super) const fn skip(&mut self) {
        (self.sum, self.silence) = (0, Duration::ZERO);
    }

    /// What comes each second, once enough was measured.
    pub(super) fn per_second(&self) -> Option<f64> {
        (self.periods >= MIN_PERIODS).then_some(self.rate)
    }
}
