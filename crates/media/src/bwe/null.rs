//! The estimator that does not estimate.

use std::time::Duration;

use roundtable_wire::twcc::Feedback;

use super::{Bitrate, Demand, Estimator, ProbeCluster, SentPacket, TimeoutReason};
use crate::moment::Moment;

/// Always gives the same target: congestion control is off by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullEstimator {
    target: Bitrate,
}

impl NullEstimator {
    /// An estimator that always gives `target`.
    #[must_use]
    pub const fn new(target: Bitrate) -> Self {
        Self { target }
    }
}

impl Estimator for NullEstimator {
    fn handle_sent(&mut self, _now: Moment, _packet: &SentPacket) {}

    fn handle_feedback(&mut self, _now: Moment, _feedback: &Feedback<'_>) {}

    fn handle_rtt(&mut self, _now: Moment, _rtt: Duration) {}

    fn handle_remb(&mut self, _now: Moment, _remb: Option<Bitrate>) {}

    fn handle_timeout(&mut self, _now: Moment) {}

    fn set_demand(&mut self, _demand: Demand) {}

    fn poll_probe(&mut self, _now: Moment, _keyframe: Option<bool>) -> Option<ProbeCluster> {
        None
    }

    fn poll_timeout(&self) -> Option<(Moment, TimeoutReason)> {
        None
    }

    fn target(&self) -> Bitrate {
        self.target
    }

    fn is_proven(&self) -> bool {
        true
    }

    fn probed(&self, _now: Moment) -> Option<Bitrate> {
        None
    }
}
