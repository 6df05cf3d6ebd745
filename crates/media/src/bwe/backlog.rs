//! What would queue of our packets on a path that carries just the target.
//!
//! A keyframe or a probe makes a queue of its own. As long as the queue is no longer than this one, it does not say
//! that the path carries less than we think (our own).

use std::time::Duration;

use super::Bitrate;

/// More than this is a queue that must be drained, whoever made it.
const LIMIT: Duration = Duration::from_millis(100);

/// A queue that drains at the target.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: f64,
}

impl Backlog {
    /// Adds a packet that is sent so many seconds after the one before; returns how long it queues, in milliseconds.
    pub(crate) fn handle_sent(&mut self, passed: f64, size: u16, target: Bitrate) -> u16 {
        self.bytes =
            (self.bytes - target.bytes_in_seconds(passed)).clamp(0.0, target.bytes_in(LIMIT)) + f64::from(size);
        // The cast saturates.
        (self.bytes * 8e3 / target.as_f64().max(1.0)) as u16
    }
}
