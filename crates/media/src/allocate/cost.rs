//! What a rung costs: as its publisher says, else as measured, else as usual.

use std::time::{Duration, Instant};

use crate::bwe::Bitrate;

/// What a publisher says of its layers (video layers allocation) is believed this long.
const SAID_AGE: Duration = Duration::from_secs(5);
/// Measurements count by this time constant: one keyframe must not move them much.
const MEASURED_SPAN: f64 = 2.0;
/// Bytes are summed for this long before they count.
const SUM_SPAN: Duration = Duration::from_millis(250);
/// Measurements count once they span this long.
const MEASURED_MIN: Duration = Duration::from_secs(2);

/// Keeps track of the cost of one rung.
#[derive(Debug)]
pub struct CostMeter {
    usual: Bitrate,
    said: Option<(Instant, Bitrate)>,
    measured: Option<f64>,
    began: Instant,
    sum_began: Instant,
    sum: u64,
}

impl CostMeter {
    /// A meter for a rung that usually costs `usual`.
    #[must_use]
    pub const fn new(now: Instant, usual: Bitrate) -> Self {
        Self { usual, said: None, measured: None, began: now, sum_began: now, sum: 0 }
    }

    /// Takes what the publisher says it costs.
    pub fn handle_said(&mut self, now: Instant, cost: Bitrate) {
        self.said = Some((now, cost));
    }

    /// Takes a packet of the rung, or of one it depends on.
    pub fn handle_packet(&mut self, now: Instant, bytes: u16) {
        self.sum += u64::from(bytes);
        let span = now.saturating_duration_since(self.sum_began);
        if span < SUM_SPAN {
            return;
        }
        let seconds = span.as_secs_f64();
        let bps = self.sum as f64 * 8.0 / seconds;
        let kept = (-seconds / MEASURED_SPAN).exp();
        self.measured = Some(self.measured.map_or(bps, |before| kept * before + (1.0 - kept) * bps));
        self.sum = 0;
        self.sum_began = now;
    }

    /// What the rung costs.
    #[must_use]
    pub fn cost(&self, now: Instant) -> Bitrate {
        let said = self.said.filter(|&(at, _)| now.saturating_duration_since(at) < SAID_AGE).map(|(_, cost)| cost);
        let measured = self.measured.filter(|_| now.saturating_duration_since(self.began) >= MEASURED_MIN);
        said.or(measured.map(Bitrate::from_f64)).unwrap_or(self.usual)
    }
}
