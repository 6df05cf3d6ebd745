//! The estimator of one path: joins the halves, the probes and the back-off to one target.

use std::time::Duration;

use roundtable_prefetch::prefetch;
use roundtable_wire::twcc::Feedback;

use super::acked::AckedRate;
use super::alr::AlrDetector;
use super::backlog::Backlog;
use super::backoff::{Backoff, Fall};
use super::delay::{DelayContext, DelayHalf};
use super::loss::{LossContext, LossHalf, LossState};
use super::probe::{ProbeContext, ProbeControl, ProbeOutcome};
use super::sent_log::{Report, SentLog};
use super::{
    Bitrate, Demand, Estimator, EstimatorConfig, EstimatorState, MIN_TARGET, ProbeCause, ProbeCluster, ProbeFinding,
    Reason, START_TARGET, SentPacket, TimeoutReason, Trend, Usage,
};
use crate::moment::Moment;

/// The round trip before it is known.
const RTT_START: Duration = Duration::from_millis(200);
/// A measured round trip is taken to be at most this.
const RTT_MAX: Duration = Duration::from_secs(10);
/// A probe's own queue stands for about so long after it.
const PROBE_WAKE: Duration = Duration::from_millis(400);
/// A probe adds to the queue there is: together they must not be taken for overuse.
const CALM_QUEUE: Duration = Duration::from_millis(30);
/// One that stands for so long is not ours: others send as well, and it says nothing about when to probe or to rise.
const OWN_QUEUE: Duration = Duration::from_secs(3);
/// What a probe found is believed for this long.
const PROBED_AGE: Duration = Duration::from_secs(5);

/// Google congestion control as a forwarding server needs it.
#[derive(Debug)]
pub struct SendSideEstimator {
    config: EstimatorConfig,
    log: SentLog,
    acked: AckedRate,
    alr: AlrDetector,
    delay: DelayHalf,
    loss: LossHalf,
    probes: ProbeControl,
    backoff: Backoff,
    backlog: Backlog,
    /// When the last packet was sent.
    sent: Moment,
    rtt: Duration,
    remb: Option<Bitrate>,
    probed: Option<(Moment, Bitrate)>,
    proven: bool,
    /// When there was last no queue to speak of.
    short: Moment,
    fallen: Option<Reason>,
    target: Bitrate,
    reason: Reason,
}

/// Room for what a feedback message tells, which all estimators of a plane may share: between messages it holds nothing
/// of use.
#[derive(Debug, Default)]
pub(crate) struct Told {
    reports: Vec<Report>,
    received: Vec<Report>,
}

impl SendSideEstimator {
    /// An estimator for a path nothing is known of.
    #[must_use]
    pub fn new(now: Moment, config: EstimatorConfig) -> Self {
        let config = EstimatorConfig { max: config.max.max(MIN_TARGET), ..config };
        let start = config.start.clamp(MIN_TARGET, config.max);
        let (mut alr, mut backlog) = (AlrDetector::default(), Backlog::default());
        alr.set_estimate(start);
        backlog.set_target(start);
        Self {
            config,
            log: SentLog::new(now),
            acked: AckedRate::default(),
            alr,
            delay: DelayHalf::new(now, start.as_f64(), MIN_TARGET.as_f64()),
            loss: LossHalf::new(start.as_f64()),
            probes: ProbeControl::new(now, start),
            backoff: Backoff::new(now, RTT_START),
            backlog,
            sent: now,
            rtt: RTT_START,
            remb: None,
            probed: None,
            proven: false,
            short: now,
            fallen: None,
            target: start,
            reason: Reason::Start,
        }
    }

    /// Notes that packets take another way from now on: what was learnt of the old one does not count.
    pub fn handle_path_change(&mut self, now: Moment) {
        let start = self.target.min(START_TARGET);
        self.delay.restart(now);
        self.delay.set_rate(now, start.as_f64());
        self.loss = LossHalf::new(start.as_f64());
        self.acked = AckedRate::default();
        self.backoff = Backoff::new(now, RTT_START);
        self.rtt = RTT_START;
        self.probed = None;
        self.probes.restart(start);
        self.combine(now);
    }

    /// Goes on after a time in which feedback was not listened to: what was in flight tells nothing any more, neither that it
    /// came nor that it is late.
    pub fn handle_pause(&mut self, now: Moment) {
        self.log.forget();
        self.backoff = Backoff::new(now, self.rtt);
        self.probes.give_up();
        self.short = now;
    }

    /// Changes the bound of the target.
    pub fn set_max(&mut self, now: Moment, max: Bitrate) {
        self.config.max = max.max(MIN_TARGET);
        self.combine(now);
    }

    /// How long packets stand in queues on the path, above the least seen.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.delay.queue()
    }

    /// Has what a packet that is sent changes brought near.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.log);
        prefetch(&self.alr);
        prefetch(&self.probes);
        prefetch(&self.backoff);
        prefetch(&self.backlog);
        prefetch(&self.sent);
        prefetch(&self.target);
    }

    /// Has the places of the log brought near that a packet changes which is sent; for that the log is looked at.
    pub(crate) fn prefetch_log(&self) {
        self.log.prefetch();
    }

    /// Has what feedback changes brought near, beside the estimator itself.
    pub(crate) fn prefetch_learnt(&self) {
        self.log.prefetch_in_flight();
        self.acked.prefetch();
        self.delay.prefetch();
        self.loss.prefetch();
    }

    /// Everything the estimator knows.
    #[must_use]
    pub fn state(&self) -> EstimatorState {
        EstimatorState {
            target: self.target,
            reason: self.reason,
            delay: Bitrate::from_f64(self.delay.rate()),
            loss: Bitrate::from_f64(self.loss.rate()),
            acked: self.acked.bps().map(Bitrate::from_f64),
            probed: self.probed,
            usage: self.delay.usage(),
            trend: self.delay.trend(),
            loss_state: self.loss.state(),
            loss_share: self.loss.average_loss(),
            limited: self.alr.is_limited(),
            queue: self.delay.queue(),
            rtt: self.rtt,
            in_flight: self.log.in_flight_bytes(),
            unknown: self.log.unknown(),
        }
    }

    /// The probe in flight, and the last one that ended with what it told.
    #[must_use]
    pub fn probes(&self) -> (Option<ProbeCluster>, Option<(ProbeCluster, ProbeFinding)>) {
        (self.probes.active(), self.probes.ended().map(|(cluster, outcome)| (cluster, outcome.into())))
    }

    /// Takes a feedback message of the subscriber, with `told` for room.
    pub(crate) fn handle_feedback_in(&mut self, now: Moment, feedback: &Feedback<'_>, told: &mut Told) {
        let Told { reports, received } = told;
        reports.clear();
        self.log.resolve(now, feedback, reports);
        if reports.is_empty() {
            return;
        }
        let received = as_they_came(reports, received);
        if let Some(last_sent) = received.iter().map(|report| report.sent_micros).max() {
            // Includes the wait for the message, but shows that the path is not stuck.
            let now_micros = self.log.micros(now) as i64;
            let rtt = Duration::from_micros(now_micros.saturating_sub(last_sent).max(0).unsigned_abs());
            self.backoff.handle_rtt(now, rtt);
            self.backoff.handle_feedback(now, self.log.in_flight_bytes() > 0);
            self.fallen = None;
        }
        self.learn(now, reports, received);
        self.combine(now);
    }

    /// Gives the reports of one message to both halves; `received` are those that say that a packet came, as they came.
    fn learn(&mut self, now: Moment, reports: &[Report], received: &[Report]) {
        self.acked.handle_received(received);
        let (acked, limited, max) = (self.acked.bps(), self.alr.is_limited(), self.config.max.as_f64());
        let probing = self.probes.was_active(now, PROBE_WAKE);
        let lost = received.len() < reports.len();
        let context = DelayContext { acked, recent: None, rtt: self.rtt, limited, lost, max, probing };
        self.delay.handle_received(now, received, &context, || self.acked.recent());
        if self.delay.queue() <= CALM_QUEUE {
            self.short = now;
        }
        let found = self.probes.handle_reports(now, reports);
        if let Some((cluster, outcome)) = found {
            self.apply_probe(now, &cluster, outcome);
        }
        // A first probe whose feedback was lost tells nothing, yet packets arrive: the guess goes on, watched by both halves.
        self.proven |= acked.is_some() && !self.probes.is_active();
        let min = MIN_TARGET.as_f64();
        let context = LossContext { delay_rate: self.delay.rate(), acked, limited, min, max };
        self.loss.handle_reports(reports, &context);
    }

    fn apply_probe(&mut self, now: Moment, cluster: &ProbeCluster, outcome: ProbeOutcome) {
        let (bps, saturated) = match outcome {
            ProbeOutcome::Void => return self.correct_start(now, cluster),
            ProbeOutcome::Carried(bps) => (bps, false),
            ProbeOutcome::Saturated(bps) => (bps, true),
        };
        self.delay.handle_probe(now, bps, saturated, self.acked.bps());
        if !saturated {
            self.loss.handle_probe(bps);
        }
        self.proven = true;
        // The start is a guess, so it may be corrected both ways. Later a probe only raises the rate: one of a few
        // packets that came late says little, and if we do send too much the queue will tell.
        let guessed = cluster.cause == ProbeCause::Initial;
        if self.delay.usage() == Usage::Overuse || (bps <= self.delay.rate() && !guessed) {
            return;
        }
        self.delay.set_rate(now, bps);
        self.probed = Some((now, Bitrate::from_f64(bps)));
        if guessed {
            self.loss.set_rate(bps);
        }
    }

    /// The start is a guess: if the first probes told nothing it gives way to what arrives.
    fn correct_start(&mut self, now: Moment, cluster: &ProbeCluster) {
        let arrives = self.acked.recent().map(|recent| recent.bps).or(self.acked.bps());
        if let Some(bps) = arrives.filter(|_| cluster.cause == ProbeCause::Initial && !self.proven) {
            let bps = bps.min(self.delay.rate());
            self.delay.set_rate(now, bps);
            self.loss.set_rate(bps);
        }
        self.proven |= arrives.is_some();
    }

    /// Takes the lowest bound.
    fn combine(&mut self, now: Moment) {
        let before = self.target;
        let (delay, loss) = (Bitrate::from_f64(self.delay.rate()), Bitrate::from_f64(self.loss.rate()));
        let estimated = match self.fallen {
            Some(reason) => reason,
            None if !self.proven && self.acked.bps().is_none() => Reason::Start,
            None => Reason::Delay,
        };
        let bounds = [
            (delay, estimated),
            (loss, self.fallen.unwrap_or(Reason::Loss)),
            (self.remb.unwrap_or(self.config.max), Reason::Remb),
            (self.config.max, Reason::Max),
        ];
        // The first of equals is taken, so loss and REMB are named only where they bound.
        let lowest = bounds.into_iter().reduce(|low, bound| if bound.0 < low.0 { bound } else { low });
        (self.target, self.reason) = lowest.unwrap_or((self.config.max, Reason::Max));
        if self.target < MIN_TARGET {
            (self.target, self.reason) = (MIN_TARGET, Reason::Floor);
        }
        if self.target != before {
            self.alr.set_estimate(self.target);
            self.backlog.set_target(self.target);
            self.probes.handle_estimate(now, before, self.target);
        }
    }

    /// Whether a queue stands that will be gone soon.
    fn is_waiting(&self, now: Moment) -> bool {
        let passed = now.saturating_duration_since(self.short);
        self.delay.queue() > CALM_QUEUE && passed < OWN_QUEUE
    }

    fn is_calm(&self, now: Moment) -> bool {
        // Whoever is sent nothing, as no picture fits, tells nothing: what was found out last would stand for ever, and with
        // it that no probe may find out that the path is well.
        if self.backoff.is_idle(now) {
            return true;
        }
        self.delay.usage() != Usage::Overuse
            && self.delay.trend() != Trend::Decrease
            && !self.delay.is_queueing()
            && !self.is_waiting(now)
            && self.loss.state() != LossState::Decreasing
            && !self.backoff.is_silent(now)
            && !self.backoff.is_late()
    }

    fn fall(&mut self, now: Moment, fall: Fall) {
        let (factor, reason) = match fall {
            Fall::Rtt(factor) => (factor, Reason::Rtt),
            Fall::Silence(factor) => (factor, Reason::Silence),
        };
        let rate = self.target.scale(factor).max(MIN_TARGET).as_f64();
        self.delay.set_rate(now, rate);
        self.loss.set_rate(rate);
        self.fallen = Some(reason);
        self.combine(now);
    }
}

/// Those of the reports that say that a packet came, in the order in which packets came, with `room` for them.
fn as_they_came<'t>(reports: &'t [Report], room: &'t mut Vec<Report>) -> &'t [Report] {
    // Nearly always all came, one after the other.
    let mut last = i64::MIN;
    let mut follows = |arrival| std::mem::replace(&mut last, arrival) <= arrival;
    if reports.iter().all(|report| report.arrival_micros.is_some_and(&mut follows)) {
        return reports;
    }
    room.clear();
    room.extend(reports.iter().filter(|report| report.arrival_micros.is_some()));
    room.sort_unstable_by_key(|report| (report.arrival_micros, report.sequence));
    room
}

impl Estimator for SendSideEstimator {
    fn handle_sent(&mut self, now: Moment, packet: &SentPacket) {
        let passed = now.seconds_since(self.sent);
        self.sent = self.sent.max(now);
        let expected_ms = self.backlog.handle_sent(passed, packet.size);
        self.log.record(now, packet, expected_ms);
        self.alr.handle_sent(passed, packet.size);
        self.probes.handle_sent(now, packet);
        if self.backoff.is_idle(now) {
            self.loss.forget();
        }
        self.backoff.handle_sent(now);
    }

    fn handle_feedback(&mut self, now: Moment, feedback: &Feedback<'_>) {
        self.handle_feedback_in(now, feedback, &mut Told::default());
    }

    fn handle_rtt(&mut self, now: Moment, rtt: Duration) {
        self.rtt = rtt.min(RTT_MAX);
        self.backoff.handle_rtt(now, self.rtt);
    }

    fn handle_remb(&mut self, now: Moment, remb: Option<Bitrate>) {
        self.remb = remb;
        self.combine(now);
    }

    fn handle_timeout(&mut self, now: Moment) {
        self.probes.handle_timeout(now);
        if self.log.expire(now) == 0 {
            self.backoff.handle_nothing_in_flight();
        }
        while let Some(fall) = self.backoff.poll_fall(now) {
            self.fall(now, fall);
        }
    }

    fn set_demand(&mut self, demand: Demand) {
        self.probes.set_demand(demand);
    }

    fn poll_probe(&mut self, now: Moment, keyframe: Option<bool>) -> Option<ProbeCluster> {
        let context = ProbeContext {
            estimate: self.target,
            max: self.remb.map_or(self.config.max, |remb| remb.min(self.config.max)),
            calm: self.is_calm(now),
            limited: self.alr.is_limited(),
            quiet: keyframe.is_some(),
            backlog: keyframe == Some(true),
        };
        self.probes.poll(now, &context)
    }

    fn poll_timeout(&self) -> Option<(Moment, TimeoutReason)> {
        let probe = self.probes.poll_timeout().map(|at| (at, TimeoutReason::Probe));
        let backoff = self.backoff.poll_timeout().map(|at| (at, TimeoutReason::Backoff));
        probe.into_iter().chain(backoff).min_by_key(|&(at, _)| at)
    }

    fn target(&self) -> Bitrate {
        self.target
    }

    fn is_settled(&self, now: Moment) -> bool {
        !self.probes.is_active() && !self.is_waiting(now)
    }

    fn pacing(&self) -> Bitrate {
        self.target.min(Bitrate::from_f64(self.delay.send_rate())).max(MIN_TARGET)
    }

    fn is_proven(&self) -> bool {
        self.proven
    }

    fn probed(&self, now: Moment) -> Option<Bitrate> {
        self.probed.filter(|&(at, _)| now.saturating_duration_since(at) < PROBED_AGE).map(|(_, rate)| rate)
    }
}
