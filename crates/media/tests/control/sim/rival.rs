//! The estimators that are compared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use roundtable_media::Moment;
use roundtable_media::bwe::{
    Bitrate, Demand, Estimator, EstimatorConfig, EstimatorState, NullEstimator, ProbeCluster, SendSideEstimator,
    SentPacket, TimeoutReason,
};
use roundtable_wire::Unwrapper16;
use roundtable_wire::twcc::Feedback;
use rtc_interceptor::{BandwidthEstimator, Gcc, PacketReport};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    None,
    Family,
    Ours,
}

impl Rival {
    pub const ALL: [Self; 3] = [Self::None, Self::Family, Self::Ours];

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no estimator",
            Self::Family => "rtc-interceptor Gcc",
            Self::Ours => "ours",
        }
    }

    pub fn estimator(self, now: Moment) -> Box<dyn Compared> {
        match self {
            Self::None => Box::new(NullEstimator::new(Bitrate::kbps(20_000))),
            Self::Family => Box::new(FamilyGcc::new(now)),
            Self::Ours => Box::new(SendSideEstimator::new(now, EstimatorConfig::default())),
        }
    }
}

/// An estimator that is compared; ours tells what it knows, for traces.
pub trait Compared: Estimator {
    fn state(&self) -> Option<EstimatorState> {
        None
    }
}

impl Compared for NullEstimator {}

impl Compared for FamilyGcc {}

impl Compared for SendSideEstimator {
    fn state(&self) -> Option<EstimatorState> {
        Some(Self::state(self))
    }
}

/// `rtc-interceptor`'s estimator behind our trait; it starts where ours does and has the same bounds.
struct FamilyGcc {
    gcc: Gcc,
    sent: VecDeque<(u64, Moment, u16, bool)>,
    sequences: Unwrapper16,
    reference: Option<i64>,
}

impl FamilyGcc {
    fn new(_now: Moment) -> Self {
        // There is an instant for each moment once there was one.
        let _ = Moment::from(Instant::now());
        Self { gcc: Gcc::new(1e6, 30e3, 20e6), sent: VecDeque::new(), sequences: Unwrapper16::new(), reference: None }
    }
}

/// The other crate's clock.
fn instant(moment: Moment) -> Instant {
    moment.instant().expect("runs are short")
}

impl Estimator for FamilyGcc {
    fn handle_sent(&mut self, now: Moment, packet: &SentPacket) {
        self.sent.push_back((self.sequences.unwrap(packet.sequence), now, packet.size, false));
        if self.sent.len() > 4096 {
            self.sent.pop_front();
        }
    }

    fn handle_feedback(&mut self, now: Moment, feedback: &Feedback<'_>) {
        let reference = feedback.reference_micros();
        // Offset so that nothing is negative; runs are far shorter than the wrap.
        let base = *self.reference.get_or_insert(reference) - 60_000_000;
        let mut reports = Vec::new();
        for (number, arrival) in feedback.statuses() {
            let id = self.sequences.peek(number);
            let Some(first) = self.sent.front().map(|sent| sent.0) else { continue };
            let Some(sent) = id.checked_sub(first).and_then(|place| self.sent.get_mut(place as usize)) else {
                continue;
            };
            if std::mem::replace(&mut sent.3, true) {
                continue;
            }
            reports.push(PacketReport {
                ssrc: 1,
                id,
                rtp_sequence_number: number,
                is_twcc: true,
                twcc_sequence_number: number,
                size: usize::from(sent.2),
                arrived: arrival.is_some(),
                departure: instant(sent.1),
                arrival: arrival.map(|micros| Duration::from_micros((reference + micros - base).unsigned_abs())),
                ecn: Default::default(),
            });
        }
        self.gcc.on_reports(instant(now), &reports);
    }

    fn handle_rtt(&mut self, _now: Moment, _rtt: Duration) {}

    fn handle_remb(&mut self, _now: Moment, _remb: Option<Bitrate>) {}

    fn handle_timeout(&mut self, now: Moment) {
        self.gcc.handle_timeout(instant(now));
    }

    fn set_demand(&mut self, _demand: Demand) {}

    fn poll_probe(&mut self, _now: Moment, _keyframe: Option<bool>) -> Option<ProbeCluster> {
        None
    }

    fn poll_timeout(&self) -> Option<(Moment, TimeoutReason)> {
        self.gcc.poll_timeout().map(|at| (at.into(), TimeoutReason::Backoff))
    }

    fn target(&self) -> Bitrate {
        Bitrate::from_f64(self.gcc.target_bitrate())
    }

    fn is_proven(&self) -> bool {
        true
    }

    fn probed(&self, _now: Moment) -> Option<Bitrate> {
        None
    }
}
