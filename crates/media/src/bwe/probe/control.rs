//! Decides when to probe, and for how much.

use std::time::Duration;

use super::super::Bitrate;
use super::super::sent_log::{ProbeId, Report, SentPacket};
use super::meter::Meter;
use super::result::{ProbeOutcome, ProbeResult};
use super::{Demand, ProbeCause, ProbeCluster};
use crate::moment::Moment;

const MIN_PACKETS: u16 = 10;
/// Shorter ones measure the pacer's ticks and the sizes of single packets rather than the path.
const MIN_SPAN: Duration = Duration::from_millis(50);
/// For the same reason a probe has at least so many bytes; most of them are media that is due anyway.
const MIN_BYTES: f64 = 6.0 * 1200.0;
/// … unless its rate is so low that they would take longer than this.
const MIN_BYTES_SPAN: Duration = Duration::from_millis(300);
/// A probe keeps a path that carries no more than the estimate busy for at most about this long: most find out that it
/// does not, and what is due meanwhile has to wait.
const MAX_BUSY: Duration = Duration::from_millis(100);
/// One that is made of a keyframe may take this long: it would be as long on its way at the estimate.
const MAX_BUSY_MEDIA: Duration = Duration::from_millis(200);
/// Initial probes are longer: they also take the place of the media that is not there yet.
const INITIAL_SPAN: Duration = Duration::from_millis(100);
/// A probe that is not resolved after this long is given up.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Initial probes grow by this factor …
const INITIAL_FACTOR: f64 = 2.0;
/// … while this share of the last one was carried.
const INITIAL_CARRIED: f64 = 0.7;
/// A rung is probed with this margin over what it costs.
const RUNG_MARGIN: f64 = 1.25;
/// … and all that is wanted with this one, so that its keyframe is sent as fast as the path allows.
const ROSE_MARGIN: f64 = 2.0;
/// A probe lies at least this factor above the estimate, …
const STEP_MIN: f64 = 1.2;
/// … at most this. Not three times after a success, either: a probe that follows at once meets the keyframe of the rung
/// that was just taken, and together they were 300 ms of queue (S3).
const STEP_MAX: f64 = 2.0;
/// The path must have been calm for this long.
const CALM: Duration = Duration::from_millis(400);
/// A carried probe that raised the estimate by this factor is followed by the next at once, for all that is wanted.
const ROSE: f64 = 1.05;
/// … if it is this factor above what a probe found at most so lately: probes are not exact.
const NEWS: f64 = 1.12;
/// Probes that are made of what waits follow each other no closer, unless the last one was carried.
const BACKLOG_SPACING: Duration = Duration::from_millis(300);
const FILLED_AGE: Duration = Duration::from_secs(15);
/// Rungs are probed this often at first, …
const INTERVAL: Duration = Duration::from_secs(1);
/// … this factor less often after each failure, …
const BACKOFF: f64 = 1.6;
/// … but at least this often (our own; 15 s would keep a subscriber low for long after its path has recovered).
const INTERVAL_MAX: Duration = Duration::from_secs(5);
/// An estimate with this margin over what is wanted needs no probe: the allocator asks for 1.10.
const SUFFICIENT: f64 = 1.15;
/// A fall to less than this share is probed …
const FALL: f64 = 0.66;
/// … at this share of what was …
const FALL_SHARE: f64 = 0.85;
/// … if it is over within this long. It may be over for a part only, or not at all: the probe obeys [`STEP_MAX`], since
/// one for what a wide path carried fills the narrow one that it has become for 200 ms (S1).
const FALL_WITHIN: Duration = Duration::from_secs(5);
/// What is used counts as paused below this share of what is wanted: it is for sound at most.
const PAUSED: f64 = 0.1;
const KEEP_WARM_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_WARM_FACTOR: f64 = 2.0;
const KEEP_WARM_MARGIN: f64 = 1.25;

/// What the controller is told when it is asked for a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeContext {
    pub(crate) estimate: Bitrate,
    pub(crate) max: Bitrate,
    /// No overuse, no falling rate, no silence.
    pub(crate) calm: bool,
    pub(crate) limited: bool,
    /// A keyframe was begun: no probe goes with it but an initial one, or one that is made of it.
    pub(crate) quiet: bool,
    /// Whether so much media waits that a probe can be made of it.
    pub(crate) backlog: bool,
}

/// The probes of one path, one at a time.
#[derive(Debug)]
pub(crate) struct ProbeControl {
    next_id: ProbeId,
    /// Seldom there, and large.
    active: Option<Box<Active>>,
    demand: Demand,
    meter: Meter,
    initial: Initial,
    interval: Duration,
    last_end: Option<Moment>,
    /// The last probe that ended, and how.
    ended: Option<(ProbeCluster, ProbeOutcome)>,
    /// Whether the last probe was carried; the next may follow at once.
    carried: bool,
    /// What the last probe that filled the path found, and when.
    filled: Option<(Moment, Bitrate)>,
    /// The estimate when the last probe began.
    estimate: Bitrate,
    calm_since: Option<Moment>,
    fall: Option<Fall>,
}

#[derive(Debug)]
struct Active {
    cluster: ProbeCluster,
    began: Moment,
    result: ProbeResult,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Initial {
    /// The next initial probe has this rate; it is the first.
    First(Bitrate),
    /// The next initial probe has this rate.
    Next(Bitrate),
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Fall {
    from: Bitrate,
    at: Moment,
}

impl ProbeControl {
    pub(crate) fn new(now: Moment, start: Bitrate) -> Self {
        Self {
            next_id: ProbeId::FIRST,
            active: None,
            demand: Demand::default(),
            meter: Meter::new(now),
            initial: Initial::First(start.scale(INITIAL_FACTOR)),
            interval: INTERVAL,
            last_end: None,
            ended: None,
            carried: false,
            filled: None,
            estimate: Bitrate::ZERO,
            calm_since: None,
            fall: None,
        }
    }

    pub(crate) fn set_demand(&mut self, demand: Demand) {
        self.demand = demand;
    }

    /// Starts again with initial probes, on a new path.
    pub(crate) fn restart(&mut self, start: Bitrate) {
        self.active = None;
        self.initial = Initial::First(start.scale(INITIAL_FACTOR));
        self.carried = false;
        self.fall = None;
    }

    /// Gives up the probe in flight, of which nothing will be told; an initial one is made again.
    pub(crate) fn give_up(&mut self) {
        self.active = None;
    }

    pub(crate) fn handle_sent(&mut self, now: Moment, packet: &SentPacket) {
        self.meter.handle_sent(now, packet.size, packet.filler);
        if let Some(active) = &mut self.active {
            active.result.handle_sent(packet.size, packet.probe);
        }
    }

    /// Takes reports; returns what the probe in flight tells once all of it is known.
    pub(crate) fn handle_reports(&mut self, now: Moment, reports: &[Report]) -> Option<(ProbeCluster, ProbeOutcome)> {
        let active = self.active.as_mut()?;
        reports.iter().for_each(|report| active.result.handle_report(report));
        if !active.result.is_sent(&active.cluster) || !active.result.is_resolved() {
            return None;
        }
        let (cluster, outcome) = (active.cluster, active.result.outcome());
        self.finish(now, &cluster, outcome);
        Some((cluster, outcome))
    }

    /// Notes that the estimate changed.
    pub(crate) fn handle_estimate(&mut self, now: Moment, before: Bitrate, after: Bitrate) {
        match &mut self.fall {
            // A fall goes on for several updates; the highest of the last seconds counts.
            Some(fall) if now.saturating_duration_since(fall.at) < FALL_WITHIN => {
                if before > fall.from {
                    *fall = Fall { from: before, at: now };
                }
            }
            fall => *fall = (after < before).then_some(Fall { from: before, at: now }),
        }
    }

    /// Returns the probe to send now.
    pub(crate) fn poll(&mut self, now: Moment, context: &ProbeContext) -> Option<ProbeCluster> {
        self.handle_timeout(now);
        if !context.calm {
            self.calm_since = None;
            return None;
        }
        let calm = now.saturating_duration_since(*self.calm_since.get_or_insert(now));
        if self.active.is_some() {
            return None;
        }
        let (rate, cause) = self.initial(context).or_else(|| {
            if context.quiet {
                return self.backlog(now, context, calm);
            }
            let wanted = self.recovery(now, context, calm).or_else(|| self.rung(now, context, calm));
            wanted.or_else(|| self.keep_warm(now, context, calm))
        })?;
        let rate = rate.min(context.max);
        let span = if cause == ProbeCause::Initial { INITIAL_SPAN } else { MIN_SPAN };
        let bytes = rate.bytes_in(span).max(MIN_BYTES.min(rate.bytes_in(MIN_BYTES_SPAN)));
        let bytes = match cause {
            ProbeCause::Initial => bytes,
            _ if context.quiet => context.estimate.bytes_in(MAX_BUSY_MEDIA),
            _ => bytes.min(context.estimate.bytes_in(MAX_BUSY)),
        };
        let media = self.demand.used.as_f64() / rate.as_f64().max(1.0);
        // One whose video is paused would else never learn that it may come back: what is not used may be spent.
        let unused =
            if self.demand.used < self.demand.desired.scale(PAUSED) { context.estimate } else { Bitrate::ZERO };
        let filler = bytes * (1.0 - media.min(1.0));
        if cause != ProbeCause::Initial && !self.meter.affords(now, filler, unused) {
            return None;
        }
        if cause == ProbeCause::Recovery {
            self.fall = None;
        }
        self.estimate = context.estimate;
        Some(self.start(now, rate, bytes, cause))
    }

    /// The probe in flight.
    pub(crate) fn active(&self) -> Option<ProbeCluster> {
        self.active.as_ref().map(|active| active.cluster)
    }

    /// The last probe that ended, and how.
    pub(crate) const fn ended(&self) -> Option<(ProbeCluster, ProbeOutcome)> {
        self.ended
    }

    /// Whether a probe is in flight.
    pub(crate) const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether a probe is in flight, or was within the last `wake`.
    pub(crate) fn was_active(&self, now: Moment, wake: Duration) -> bool {
        self.active.is_some() || self.last_end.is_some_and(|end| now.saturating_duration_since(end) < wake)
    }

    /// Gives up a probe that takes too long.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        if let Some(active) = &self.active
            && now.saturating_duration_since(active.began) >= TIMEOUT
        {
            let cluster = active.cluster;
            self.finish(now, &cluster, ProbeOutcome::Void);
        }
    }

    /// When the probe in flight is given up.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.active.as_ref().map(|active| active.began + TIMEOUT)
    }

    fn start(&mut self, now: Moment, rate: Bitrate, bytes: f64, cause: ProbeCause) -> ProbeCluster {
        let id = self.next_id;
        self.next_id = id.next();
        let min_bytes = bytes as u32; // Saturates.
        let cluster = ProbeCluster { id, rate, min_packets: MIN_PACKETS, min_bytes, cause };
        self.active = Some(Box::new(Active { cluster, began: now, result: ProbeResult::new(&cluster) }));
        cluster
    }

    fn finish(&mut self, now: Moment, cluster: &ProbeCluster, outcome: ProbeOutcome) {
        self.active = None;
        self.last_end = Some(now);
        self.ended = Some((*cluster, outcome));
        let share = match outcome {
            ProbeOutcome::Carried(bps) | ProbeOutcome::Saturated(bps) => bps / cluster.rate.as_f64().max(1.0),
            ProbeOutcome::Void => 0.0,
        };
        self.carried = matches!(outcome, ProbeOutcome::Carried(_));
        if let ProbeOutcome::Saturated(bps) = outcome {
            self.filled = Some((now, Bitrate::from_f64(bps)));
        }
        if cluster.cause == ProbeCause::Initial {
            let next = cluster.rate.scale(INITIAL_FACTOR);
            self.initial = if share >= INITIAL_CARRIED { Initial::Next(next) } else { Initial::Done };
        } else if self.carried {
            self.interval = INTERVAL;
        } else {
            self.interval = self.interval.mul_f64(BACKOFF).min(INTERVAL_MAX);
        }
    }

    fn initial(&mut self, context: &ProbeContext) -> Option<(Bitrate, ProbeCause)> {
        let limit = self.demand.desired.scale(INITIAL_FACTOR).min(context.max);
        let rate = match self.initial {
            // The first tests at least what is assumed, however little is wanted.
            Initial::First(rate) => rate.min(limit.max(context.estimate)),
            Initial::Next(rate) if rate.min(limit) > context.estimate.scale(STEP_MIN) => rate.min(limit),
            Initial::Next(_) | Initial::Done => {
                self.initial = Initial::Done;
                return None;
            }
        };
        Some((rate, ProbeCause::Initial))
    }

    fn recovery(&self, now: Moment, context: &ProbeContext, calm: Duration) -> Option<(Bitrate, ProbeCause)> {
        let fall = self.fall?;
        let useful = fall.from.min(self.demand.desired.scale(RUNG_MARGIN));
        let rate = useful.scale(FALL_SHARE).min(context.estimate.scale(STEP_MAX));
        let recent = now.saturating_duration_since(fall.at) < FALL_WITHIN;
        let fell = context.estimate < useful.scale(FALL);
        (recent && fell && calm >= CALM).then_some((rate, ProbeCause::Recovery))
    }

    fn rung(&self, now: Moment, context: &ProbeContext, calm: Duration) -> Option<(Bitrate, ProbeCause)> {
        let Demand { used, next, desired } = self.demand;
        let next = next?;
        // One carried probe leads straight on to all that is wanted, rather than to one rung after the other.
        let since_last = self.last_end.map(|end| now.saturating_duration_since(end));
        let fresh = since_last.is_some_and(|passed| passed < INTERVAL);
        // What a path was just found to carry at most is no news.
        let filled = self.filled.filter(|&(at, _)| now.saturating_duration_since(at) < FILLED_AGE);
        let is_news = filled.is_none_or(|(_, most)| context.estimate > most.scale(NEWS));
        let rose = fresh && self.carried && is_news && context.estimate > self.estimate.scale(ROSE);
        let goal = if rose { desired.max(next) } else { next };
        let wait = if rose { Duration::ZERO } else { self.interval };
        let waited = since_last.is_none_or(|passed| passed >= wait);
        if !waited || calm < CALM || context.estimate >= goal.scale(SUFFICIENT) {
            return None;
        }
        let rate = used + (goal - used).scale(if rose { ROSE_MARGIN } else { RUNG_MARGIN });
        let rate = rate.clamp(context.estimate.scale(STEP_MIN), context.estimate.scale(STEP_MAX));
        Some((rate, ProbeCause::Rung))
    }

    /// A keyframe waits, and it is not known that the path carries no more: it is a probe that costs nothing.
    fn backlog(&self, now: Moment, context: &ProbeContext, calm: Duration) -> Option<(Bitrate, ProbeCause)> {
        let since = |then: Option<Moment>| then.map(|then| now.saturating_duration_since(then));
        let known = since(self.filled.map(|(at, _)| at)).is_some_and(|age| age < FILLED_AGE);
        let spaced = self.carried || since(self.last_end).is_none_or(|age| age >= BACKLOG_SPACING);
        (context.backlog && calm >= CALM && !known && spaced)
            .then(|| (context.estimate.scale(STEP_MAX), ProbeCause::Rung))
    }

    fn keep_warm(&self, now: Moment, context: &ProbeContext, calm: Duration) -> Option<(Bitrate, ProbeCause)> {
        let wanted = self.demand.desired.scale(KEEP_WARM_MARGIN);
        let waited = self.last_end.is_none_or(|end| now.saturating_duration_since(end) >= KEEP_WARM_INTERVAL);
        if !context.limited || !waited || calm < CALM || context.estimate >= wanted {
            return None;
        }
        Some((context.estimate.scale(KEEP_WARM_FACTOR).min(wanted), ProbeCause::KeepWarm))
    }
}
