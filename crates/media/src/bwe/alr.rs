//! Notices that we send so much less than the path carries that the path is not being tested.
//!
//! libwebrtc calls this the application-limited region.

use std::time::Duration;

use super::Bitrate;

/// The share of the estimate that must be used for it to count as tested.
const USAGE: f64 = 0.65;
/// The budget that gathers while less is used spans this long.
const WINDOW: Duration = Duration::from_millis(500);
/// Less is used once this share of the budget is left …
const ENTER: f64 = 0.80;
/// … until only this share is.
const LEAVE: f64 = 0.50;

/// Whether what we send, rather than the path, limits the rate.
#[derive(Debug, Default)]
pub(crate) struct AlrDetector {
    /// Bytes left; below zero if more was used than the share asks for.
    budget: f64,
    limited: bool,
}

impl AlrDetector {
    /// Accounts for `bytes` sent so many seconds after those before.
    pub(crate) fn handle_sent(&mut self, passed: f64, bytes: u16, estimate: Bitrate) {
        let share = estimate.scale(USAGE);
        let limit = share.bytes_in(WINDOW);
        self.budget = (self.budget.min(limit) + share.bytes_in_seconds(passed)).min(limit) - f64::from(bytes);
        self.budget = self.budget.max(-limit);
        let whole = limit.max(1.0);
        if self.budget > ENTER * whole {
            self.limited = true;
        } else if self.budget < LEAVE * whole {
            self.limited = false;
        }
    }

    pub(crate) const fn is_limited(&self) -> bool {
        self.limited
    }
}
