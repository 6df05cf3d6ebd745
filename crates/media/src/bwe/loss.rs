//! The loss-based half: separates loss the path always has from loss that comes of sending too much.
//!
//! After libwebrtc's `LossBasedBweV2`: the path loses a share `p` of everything, and all above a rate `B`. Of a few
//! candidates for `B` the one is taken that makes the observed losses most likely, with some favour for high rates.

use std::collections::VecDeque;

use roundtable_prefetch::prefetch;

use super::sent_log::Report;

/// An observation spans at least so many microseconds of sending.
const OBSERVATION_SPAN: i64 = 250_000;
/// Observations that are kept, …
const WINDOW: usize = 15;
/// … that are needed, …
const REQUIRED: usize = 3;
/// … and how much less each older one counts.
const AGE_WEIGHT: f64 = 0.9;
/// Weight of the rate of the observation before in the rate of an observation (our own, as mediasoup advises):
/// a switch of layers changes the rate without the path having changed.
const RATE_SMOOTHING: f64 = 0.5;
const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
const NEWTON_STEP: f64 = 0.75;
const INHERENT_START: f64 = 0.01;
const INHERENT_MIN: f64 = 1e-3;
/// The share is at most this, …
const INHERENT_OFFSET: f64 = 0.05;
/// … plus this rate divided by the candidate.
const INHERENT_BALANCE_BPS: f64 = 100_000.0;
const PROBABILITY_MIN: f64 = 1e-6;
/// Favour for high rates: per kbit/s, and per its logarithm.
const BIAS: f64 = 0.0002;
const BIAS_LOG: f64 = 0.02;
/// The favour fades to nothing at this loss, …
const BIAS_LOSS: f64 = 0.2;
/// … this softly.
const BIAS_SOFTNESS: f64 = 0.002;
/// Growth while loss limits the rate: times what arrives, …
const RAMP: f64 = 1.5;
/// … less while so much less arrives than the rate that was held, …
const RAMP_HELD: f64 = 1.2;
const HELD_SHARE: f64 = 1.3;
/// … and at most by this factor …
const WINDOW_RAMP: f64 = 1.3;
/// … per so many microseconds.
const WINDOW_SPAN: i64 = 300_000;
/// The first time the rate falls it is held so long, …
const HOLD_START: i64 = 300_000;
/// … twice as long each further time, up to this.
const HOLD_MAX: i64 = 60_000_000;
/// Loss above this caps the rate at once, …
const INSTANT_LOSS: f64 = 0.05;
/// … at this rate divided by what is above.
const INSTANT_BPS: f64 = 100_000.0;

/// What limits the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LossState {
    /// Loss does not.
    #[default]
    DelayBased,
    /// Loss does, and the rate recovers.
    Increasing,
    /// Loss does, and the rate falls or is held.
    Decreasing,
}

/// What the loss-based half is told besides the packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossContext {
    pub(crate) delay_rate: f64,
    pub(crate) acked: Option<f64>,
    pub(crate) limited: bool,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Turns losses into a rate.
#[derive(Debug)]
pub(crate) struct LossHalf {
    /// The newest first.
    observations: VecDeque<Observation>,
    /// The weighted share of bytes lost in them.
    average: f64,
    partial: Partial,
    /// When the last packet of the last observation was sent.
    observed: Option<i64>,
    model: Model,
    state: LossState,
    hold: Hold,
    /// Until when the rate may not grow beyond the bound beside.
    window: Option<(i64, f64)>,
    rate: f64,
}

#[derive(Debug, Clone, Copy)]
struct Observation {
    /// Kilobytes.
    lost: f64,
    received: f64,
    bps: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Partial {
    bytes: f64,
    lost: f64,
    last_sent: i64,
}

/// A path that loses `inherent` of everything and all above `bps`.
#[derive(Debug, Clone, Copy)]
struct Model {
    bps: f64,
    inherent: f64,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    until: i64,
    span: i64,
    bps: Option<f64>,
}

impl LossHalf {
    pub(crate) fn new(start: f64) -> Self {
        Self {
            observations: VecDeque::new(),
            average: 0.0,
            partial: Partial::default(),
            observed: None,
            model: Model { bps: start, inherent: INHERENT_START },
            state: LossState::DelayBased,
            hold: Hold::RELEASED,
            window: None,
            rate: start,
        }
    }

    /// Begins anew with the rate as it is: what was lost when much was sent is set against what little is after a pause, and
    /// looks as if the path carried next to nothing.
    pub(crate) fn forget(&mut self) {
        self.observations.clear();
        let observations = std::mem::take(&mut self.observations);
        *self = Self { observations, ..Self::new(self.rate) };
    }

    /// Has the observations brought near.
    pub(crate) fn prefetch(&self) {
        let (first, second) = self.observations.as_slices();
        prefetch(first);
        prefetch(second);
    }

    /// Takes what became of packets, in the order in which they were sent.
    pub(crate) fn handle_reports(&mut self, reports: &[Report], context: &LossContext) {
        if let Some(observed) = self.observe(reports)
            && self.observations.len() >= REQUIRED
        {
            self.estimate(observed, context);
        }
        self.rate = self.bounded(context);
    }

    /// Puts the rate where something else than loss has shown it to be.
    pub(crate) fn set_rate(&mut self, bps: f64) {
        self.model.bps = bps;
        self.rate = bps;
    }

    /// Takes a rate that a probe got through without loss.
    pub(crate) fn handle_probe(&mut self, bps: f64) {
        if self.state != LossState::Decreasing {
            self.model.bps = self.model.bps.max(bps);
            if let Some((_, bound)) = &mut self.window {
                *bound = bound.max(bps);
            }
        }
    }

    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }

    pub(crate) const fn state(&self) -> LossState {
        self.state
    }

    /// The weighted share of bytes lost in the observations.
    pub(crate) const fn average_loss(&self) -> f64 {
        self.average
    }

    fn weigh(&self) -> f64 {
        let (lost, total) = self.weighted().fold((0.0, 0.0), |(lost, total), (weight, observation)| {
            (lost + weight * observation.lost, total + weight * (observation.lost + observation.received))
        });
        if total > 0.0 { lost / total } else { 0.0 }
    }

    /// Adds the reports; returns when the last packet was sent if they complete an observation.
    fn observe(&mut self, reports: &[Report]) -> Option<i64> {
        for report in reports {
            let size = f64::from(report.size);
            if report.recovered {
                // Counted as lost before. If that observation is complete already it stays as it was.
                self.partial.lost = (self.partial.lost - size).max(0.0);
                continue;
            }
            self.partial.bytes += size;
            if report.arrival_micros.is_none() {
                self.partial.lost += size;
            }
            self.partial.last_sent = self.partial.last_sent.max(report.sent_micros);
        }
        if self.partial.bytes <= 0.0 {
            return None;
        }
        let begin = *self.observed.get_or_insert(self.partial.last_sent);
        let span = self.partial.last_sent - begin;
        if span < OBSERVATION_SPAN {
            return None;
        }
        let partial = std::mem::take(&mut self.partial);
        self.observed = Some(partial.last_sent);
        let instant = partial.bytes * 8e6 / span as f64;
        let bps = self
            .observations
            .front()
            .map_or(instant, |before| RATE_SMOOTHING * before.bps + (1.0 - RATE_SMOOTHING) * instant);
        let (lost, received) = (partial.lost / 1e3, (partial.bytes - partial.lost).max(0.0) / 1e3);
        self.observations.push_front(Observation { lost, received, bps });
        self.observations.truncate(WINDOW);
        self.average = self.weigh();
        Some(partial.last_sent)
    }

    fn estimate(&mut self, at: i64, context: &LossContext) {
        let loss = self.average_loss();
        let mut best = self.best_candidate(loss, context);
        let current = self.model.bps;
        if best.bps > current && loss > best.inherent {
            best.bps = current;
        }
        // Too little may be sent for the rate to grow by itself. It recovers all the same if losses would let it, so that
        // probes may test it (our own: a server often sends less than it may).
        let recovers = best.bps > current;
        if self.state != LossState::DelayBased {
            best.bps = self.ramped(at, best.bps, context);
        }
        if self.state == LossState::Decreasing && self.hold.until > at && best.bps < context.delay_rate {
            best.bps = best.bps.min(self.hold.bps.unwrap_or(best.bps));
            self.model = best;
            return;
        }
        self.move_on(at, best.bps, recovers, context);
        self.model = best;
        if self.state != LossState::DelayBased && self.window.is_none_or(|(until, _)| until < at) {
            self.window = Some((at + WINDOW_SPAN, best.bps * WINDOW_RAMP));
        }
    }

    fn best_candidate(&self, loss: f64, context: &LossContext) -> Model {
        let current = self.model.bps;
        let delay = (context.delay_rate > current).then_some(context.delay_rate);
        let acked = context.acked.filter(|_| !context.limited);
        let bound = self.growth_bound(context).max(current);
        let scaled = CANDIDATES.map(|factor| Some(factor * current));
        let mut best = (f64::NEG_INFINITY, self.model);
        for bps in scaled.into_iter().chain([acked, delay]).flatten() {
            let bps = bps.min(bound).max(context.min);
            let inherent = self.newton(bps, feasible(self.model.inherent, bps));
            let candidate = Model { bps, inherent };
            let objective = self.objective(candidate, loss);
            if objective > best.0 {
                best = (objective, candidate);
            }
        }
        best.1
    }

    /// How far a candidate may lie above the current rate.
    fn growth_bound(&self, context: &LossContext) -> f64 {
        let window = self.window.filter(|_| self.state != LossState::DelayBased).map_or(context.max, |(_, bps)| bps);
        window.min(context.max)
    }

    fn ramped(&self, at: i64, bps: f64, context: &LossContext) -> f64 {
        let current = self.model.bps;
        let bounded = self.window.filter(|&(until, _)| until > at).map_or(bps, |(_, bound)| bps.min(bound));
        let Some(acked) = context.acked.filter(|_| bounded > current) else { return bounded };
        let held = self.hold.bps.is_some_and(|held| acked < HELD_SHARE * held);
        let factor = if held { RAMP_HELD } else { RAMP };
        bounded.min(acked * factor).max(current)
    }

    /// Chooses the state for the rate `bps`.
    fn move_on(&mut self, at: i64, bps: f64, recovers: bool, context: &LossContext) {
        let limits = bps < context.delay_rate && bps < context.max;
        let grows =
            bps > self.model.bps || (bps >= self.model.bps && (recovers || self.state == LossState::Increasing));
        self.state = match (limits, self.state) {
            (false, _) => {
                self.hold = Hold::RELEASED;
                LossState::DelayBased
            }
            (true, LossState::Increasing | LossState::Decreasing) if grows => LossState::Increasing,
            (true, LossState::Decreasing) => LossState::Decreasing,
            (true, LossState::DelayBased | LossState::Increasing) => {
                let span = self.hold.span;
                self.hold = Hold { until: at + span, span: (2 * span).min(HOLD_MAX), bps: Some(bps) };
                LossState::Decreasing
            }
        };
    }

    /// The rate within what loss allows at once, what arrives, and what delay allows.
    fn bounded(&self, context: &LossContext) -> f64 {
        if self.observations.len() < REQUIRED {
            return context.delay_rate;
        }
        let excess = self.average_loss() - INSTANT_LOSS;
        let instant = if excess > 0.0 { INSTANT_BPS / excess } else { f64::INFINITY };
        self.model.bps.min(instant).max(context.acked.unwrap_or(0.0)).min(context.delay_rate)
    }

    fn newton(&self, bps: f64, inherent: f64) -> f64 {
        // Of all rates up to the candidate the same share is lost: what was lost and received of them is added up first, as to
        // divide takes longest.
        let (mut lost, mut received) = (0.0, 0.0);
        let (mut first, mut second) = (0.0, 0.0);
        let mut add = |lost: f64, received: f64, probability: f64| {
            let (lost, received) = (lost / probability, received / (1.0 - probability));
            first += lost - received;
            second -= lost / probability + received / (1.0 - probability);
        };
        for (weight, observation) in self.weighted() {
            if observation.bps > bps {
                let probability = probability(inherent, bps, observation.bps);
                add(weight * observation.lost, weight * observation.received, probability);
            } else {
                lost += weight * observation.lost;
                received += weight * observation.received;
            }
        }
        add(lost, received, probability(inherent, bps, 0.0));
        // The second derivative is negative unless nothing was observed.
        let step = if second < 0.0 { first / second } else { 0.0 };
        feasible(inherent - NEWTON_STEP * step, bps)
    }

    fn objective(&self, model: Model, loss: f64) -> f64 {
        let distance = BIAS_LOSS - loss;
        let favour = distance / (BIAS_SOFTNESS + distance.abs());
        let kbps = model.bps / 1e3;
        let bias = favour * (BIAS * kbps + BIAS_LOG * (1.0 + kbps).ln());
        // Of all rates up to the model's the same share is lost, and logarithms are dear.
        let carried = logarithms(probability(model.inherent, model.bps, 0.0));
        self.weighted()
            .map(|(weight, observation)| {
                let (of_lost, of_received) = if observation.bps > model.bps {
                    logarithms(probability(model.inherent, model.bps, observation.bps))
                } else {
                    carried
                };
                let likelihood = observation.lost * of_lost + observation.received * of_received;
                weight * (likelihood + bias * (observation.lost + observation.received))
            })
            .sum()
    }

    fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let mut next = 1.0;
        // Not by a second iterator beside this one: a queue is walked through in fewer steps by itself.
        self.observations.iter().map(move |observation| {
            let weight = next;
            next *= AGE_WEIGHT;
            (weight, observation)
        })
    }
}

impl Hold {
    const RELEASED: Self = Self { until: i64::MIN, span: HOLD_START, bps: None };
}

/// The share of bytes lost when sending at `rate`.
fn probability(inherent: f64, bps: f64, rate: f64) -> f64 {
    let above = if rate > bps { (rate - bps) / rate } else { 0.0 };
    (inherent + (1.0 - inherent) * above).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
}

/// Of a share that is lost, and of the rest.
fn logarithms(probability: f64) -> (f64, f64) {
    (probability.ln(), (1.0 - probability).ln())
}

fn feasible(inherent: f64, bps: f64) -> f64 {
    let most = INHERENT_OFFSET + INHERENT_BALANCE_BPS / bps.max(1.0);
    // A rate of a few bits per second would allow more than everything to be lost.
    inherent.clamp(INHERENT_MIN, most.clamp(INHERENT_MIN, 1.0))
}
