//! Notices that we send so much less than the path carries that the path is not being tested.
//!
//! libwebrtc calls this the application-limited region.

use std::time::Duration;

use super::Bitrate;
use super::bitrate::{greater, lesser};

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
    /// The share of the estimate that must be used, in bytes a second.
    share: f64,
    limited: bool,
}

impl AlrDetector {
    /// Sets what the path is taken to carry.
    pub(crate) fn set_estimate(&mut self, estimate: Bitrate) {
        self.share = estimate.scale(USAGE).bytes_in_seconds(1.0);
    }

    /// Accounts for `bytes` sent so many seconds after those before.
    pub(crate) fn handle_sent(&mut self, passed: f64, bytes: u16) {
        let limit = self.share * WINDOW.as_secs_f64();
        let budget = lesser(lesser(self.budget, limit) + self.share * passed, limit) - f64::from(bytes);
        self.budget = greater(budget, -limit);
        let whole = greater(limit, 1.0);
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
