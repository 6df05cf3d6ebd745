//! Falls back when feedback does not come, or comes ever later.

use std::time::Duration;

use crate::moment::Moment;

/// A round trip above this makes the rate fall …
const RTT_LIMIT: Duration = Duration::from_secs(3);
/// … this often …
const RTT_INTERVAL: Duration = Duration::from_secs(1);
/// … by this factor.
const RTT_FACTOR: f64 = 0.8;
/// Data in flight without any feedback for this long freezes the rate; …
const SILENCE_FREEZE: Duration = Duration::from_millis(500);
/// … after this long …
const SILENCE_LIMIT: Duration = Duration::from_secs(1);
/// … it falls, and again after each further span of this, …
const SILENCE_INTERVAL: Duration = Duration::from_millis(500);
/// … by this factor.
const SILENCE_FACTOR: f64 = 0.5;

/// A path over which nothing was sent for this long is no longer as it was found: queues have drained.
const IDLE: Duration = Duration::from_secs(1);

/// Watches the round trip and the silence of one path.
#[derive(Debug)]
pub(crate) struct Backoff {
    rtt: Duration,
    rtt_updated: Moment,
    last_sent: Moment,
    rtt_due: Option<Moment>,
    /// Since when data is in flight that no feedback told of.
    waiting: Option<Moment>,
    silence_due: Option<Moment>,
}

/// By which factor the rate falls, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fall {
    Rtt(f64),
    Silence(f64),
}

impl Backoff {
    pub(crate) const fn new(now: Moment, rtt: Duration) -> Self {
        Self { rtt, rtt_updated: now, last_sent: now, rtt_due: None, waiting: None, silence_due: None }
    }

    pub(crate) fn handle_sent(&mut self, now: Moment) {
        self.last_sent = now;
        if self.waiting.is_none() {
            self.waiting = Some(now);
            self.silence_due = Some(now + SILENCE_LIMIT);
        }
    }

    pub(crate) fn handle_rtt(&mut self, now: Moment, rtt: Duration) {
        self.rtt = rtt;
        self.rtt_updated = now;
    }

    /// Notes that feedback came, and whether there is data it did not tell of.
    pub(crate) fn handle_feedback(&mut self, now: Moment, in_flight: bool) {
        self.waiting = in_flight.then_some(now);
        self.silence_due = in_flight.then(|| now + SILENCE_LIMIT);
    }

    /// Notes that nothing is in flight any more of which feedback could tell: then its silence means nothing.
    pub(crate) fn handle_nothing_in_flight(&mut self) {
        (self.waiting, self.silence_due) = (None, None);
    }

    /// Whether there has been no feedback for so long that the rate must not grow, nor probes be sent.
    pub(crate) fn is_silent(&self, now: Moment) -> bool {
        self.waiting.is_some_and(|since| now.saturating_duration_since(since) >= SILENCE_FREEZE)
    }

    /// Whether nothing has been sent for so long that what was found out before tells nothing any more.
    pub(crate) fn is_idle(&self, now: Moment) -> bool {
        now.saturating_duration_since(self.last_sent) >= IDLE
    }

    /// Whether the round trip is too long.
    pub(crate) fn is_late(&self) -> bool {
        self.corrected_rtt() > RTT_LIMIT
    }

    /// Returns a fall that is due. To be asked until there is none.
    pub(crate) fn poll_fall(&mut self, now: Moment) -> Option<Fall> {
        if let Some(due) = self.silence_due.filter(|&due| due <= now) {
            // Timers that were late do not add up: the next is due from now.
            self.silence_due = Some((due + SILENCE_INTERVAL).max(now + SILENCE_INTERVAL / 2));
            return Some(Fall::Silence(SILENCE_FACTOR));
        }
        if !self.is_late() {
            self.rtt_due = None;
            return None;
        }
        if self.rtt_due.is_some_and(|due| due > now) {
            return None;
        }
        self.rtt_due = Some(now + RTT_INTERVAL);
        Some(Fall::Rtt(RTT_FACTOR))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.silence_due.into_iter().chain(self.rtt_due).min()
    }

    /// The last round trip, plus what was sent since it was measured: as long as that is not told of, it may be longer.
    fn corrected_rtt(&self) -> Duration {
        self.rtt + self.last_sent.saturating_duration_since(self.rtt_updated)
    }
}
