//! Estimates what the path to one subscriber carries, from transport-wide feedback.
//!
//! [`SendSideEstimator`] joins the feedback with the log of what was sent (`sent_log`) and gives it to two halves: one
//! watches queues grow (`delay`), one watches losses (`loss`). The lower of both is the target. As neither learns of
//! more than is sent, `probe` sends more for a moment when a track could use more.

mod acked;
mod alr;
mod backlog;
mod backoff;
mod bitrate;
mod delay;
mod estimator;
mod loss;
mod null;
mod probe;
mod sent_log;

#[cfg(test)]
mod tests;

use std::time::Duration;

use roundtable_wire::twcc::Feedback;

use crate::moment::Moment;

pub use self::bitrate::Bitrate;
pub(crate) use self::bitrate::{greater, lesser};
pub use self::delay::{Trend, Usage};
pub use self::estimator::SendSideEstimator;
pub(crate) use self::estimator::Told;
pub use self::loss::LossState;
pub use self::null::NullEstimator;
pub use self::probe::{Demand, ProbeCause, ProbeCluster, ProbeFinding};
pub use self::sent_log::{HISTORY_AGE, HISTORY_LEN, ProbeId, SentPacket};

/// The least a target can be.
pub const MIN_TARGET: Bitrate = Bitrate::kbps(30);
/// What a path is taken to carry before anything is known.
pub const START_TARGET: Bitrate = Bitrate::kbps(1000);

/// Bounds of an estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstimatorConfig {
    /// The target before the first feedback.
    pub start: Bitrate,
    /// The target is never above this; at least [`MIN_TARGET`] is taken.
    pub max: Bitrate,
}

impl Default for EstimatorConfig {
    fn default() -> Self {
        Self { start: START_TARGET, max: Bitrate::kbps(20_000) }
    }
}

/// What bounds the target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing is known yet: it is the configured start.
    Start,
    /// Queues, or what was shown to arrive.
    Delay,
    /// Losses.
    Loss,
    /// What the receiver asks for.
    Remb,
    /// The configured maximum.
    Max,
    /// The floor.
    Floor,
    /// The round trip is too long.
    Rtt,
    /// Feedback does not come.
    Silence,
}

/// Everything the estimator knows, for decisions, statistics and the replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorState {
    /// What may be sent.
    pub target: Bitrate,
    /// What bounds it.
    pub reason: Reason,
    /// What the delay-based half allows.
    pub delay: Bitrate,
    /// What the loss-based half allows.
    pub loss: Bitrate,
    /// What arrives; `None` until it could be measured.
    pub acked: Option<Bitrate>,
    /// The rate that the last probe found, and when.
    pub probed: Option<(Moment, Bitrate)>,
    /// Whether queues grow.
    pub usage: Usage,
    /// What the delay-based half does.
    pub trend: Trend,
    /// What the loss-based half does.
    pub loss_state: LossState,
    /// The share of bytes lost of late.
    pub loss_share: f64,
    /// Whether so little is sent that the path is not tested.
    pub limited: bool,
    /// How long even the fastest packets stand in queues.
    pub queue: Duration,
    /// The round trip.
    pub rtt: Duration,
    /// Bytes that no feedback has told of.
    pub in_flight: u64,
    /// Statuses that told of numbers that were not sent or are forgotten.
    pub unknown: u64,
}

/// Why an estimator wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutReason {
    /// A probe is given up.
    Probe,
    /// Feedback is missing, or late.
    Backoff,
}

/// Tells what may be sent to one subscriber.
pub trait Estimator {
    /// Takes a packet as it was handed to the socket.
    fn handle_sent(&mut self, now: Moment, packet: &SentPacket);
    /// Takes a feedback message of the subscriber.
    fn handle_feedback(&mut self, now: Moment, feedback: &Feedback<'_>);
    /// Takes a measured round trip.
    fn handle_rtt(&mut self, now: Moment, rtt: Duration);
    /// Takes what the subscriber asks for, where it still sends REMB; `None` lifts the cap.
    fn handle_remb(&mut self, now: Moment, remb: Option<Bitrate>);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Moment);
    /// Takes what the tracks could use.
    fn set_demand(&mut self, demand: Demand);
    /// Whether no queue stands on the path and no probe is in flight.
    fn is_settled(&self, _now: Moment) -> bool {
        true
    }
    /// Returns a probe that is to be sent now. `keyframe` says that one was begun, and whether much of it still waits.
    fn poll_probe(&mut self, now: Moment, keyframe: Option<bool>) -> Option<ProbeCluster>;
    /// When [`Estimator::handle_timeout`] is due.
    fn poll_timeout(&self) -> Option<(Moment, TimeoutReason)>;
    /// What the path is taken to carry.
    fn target(&self) -> Bitrate;
    /// At what rate to send: less than the target while a queue has to drain.
    fn pacing(&self) -> Bitrate {
        self.target()
    }
    /// Whether the target rests on feedback. Before, only the least of each track should be sent.
    fn is_proven(&self) -> bool;
    /// What the last probe showed the path to carry, if that was within the last two seconds.
    fn probed(&self, now: Moment) -> Option<Bitrate>;
}
