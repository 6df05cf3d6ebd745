//! Counts what probes cost, in windows of ten seconds.

use std::time::Duration;

use super::super::Bitrate;
use crate::moment::Moment;

/// The sums of this long are compared.
const WINDOW: Duration = Duration::from_secs(10);
/// The sums decay in steps of this, as it costs an exponential function.
const STEP: Duration = Duration::from_millis(100);
/// Filler may be this share of what is sent, …
const SHARE: f64 = 0.10;
/// … but one probe of this many bytes is always affordable.
const ALWAYS: f64 = 6_000.0;

/// Bytes sent, and bytes sent for probes alone. Both decay, so that old ones count ever less.
#[derive(Debug)]
pub(super) struct Meter {
    updated: Moment,
    /// When the sums decay next.
    due: Moment,
    sent: f64,
    filler: f64,
}

impl Meter {
    pub(super) const fn new(now: Moment) -> Self {
        Self { updated: now, due: now, sent: 0.0, filler: 0.0 }
    }

    pub(super) fn handle_sent(&mut self, now: Moment, bytes: u16, filler: bool) {
        self.decay(now);
        self.sent += f64::from(bytes);
        if filler {
            self.filler += f64::from(bytes);
        }
    }

    /// Whether `bytes` more may be spent, if `rate` could be sent.
    pub(super) fn affords(&mut self, now: Moment, bytes: f64, rate: Bitrate) -> bool {
        self.decay(now);
        let sent = self.sent.max(rate.bytes_in(WINDOW));
        self.filler + bytes <= (sent * SHARE).max(ALWAYS)
    }

    fn decay(&mut self, now: Moment) {
        if now < self.due {
            return;
        }
        let passed = now.saturating_duration_since(self.updated);
        (self.updated, self.due) = (now, now + STEP);
        let left = (-passed.as_secs_f64() / WINDOW.as_secs_f64()).exp();
        self.sent *= left;
        self.filler *= left;
    }
}
