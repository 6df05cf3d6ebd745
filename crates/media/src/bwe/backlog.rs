//! What would queue of our packets on a path that carries just the target.
//!
//! A keyframe or a probe makes a queue of its own. As long as the queue is no longer than this one, it does not say
//! that the path carries less than we think (our own).

use std::time::Duration;

use super::Bitrate;
use super::bitrate::{greater, lesser};

/// More than this is a queue that must be drained, whoever made it.
const LIMIT: Duration = Duration::from_millis(100);

/// A queue that drains at the target.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: f64,
    /// The target in bytes a second.
    target: f64,
    /// How long a byte takes at the target, in milliseconds: so that a packet need not divide.
    byte_ms: f64,
}

impl Backlog {
    /// Sets at what rate it drains.
    pub(crate) fn set_target(&mut self, target: Bitrate) {
        self.target = target.bytes_in_seconds(1.0);
        self.byte_ms = 8e3 / greater(self.target * 8.0, 1.0);
    }

    /// Adds a packet that is sent so many seconds after the one before; returns how long it queues, in milliseconds.
    pub(crate) fn handle_sent(&mut self, passed: f64, size: u16) -> u16 {
        let (left, limit) = (self.bytes - self.target * passed, self.target * LIMIT.as_secs_f64());
        self.bytes = lesser(greater(left, 0.0), limit) + f64::from(size);
        // The cast saturates.
        (self.bytes * self.byte_ms) as u16
    }
}
