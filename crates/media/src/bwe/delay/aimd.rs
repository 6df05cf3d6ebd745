//! Raises the rate while queues stay short and cuts it when they grow.

use std::time::Duration;

use super::link_capacity::LinkCapacity;
use super::{DelayContext, Usage};
use crate::moment::Moment;

/// After overuse the rate is this share of what arrives, …
const DECREASE: f64 = 0.85;
/// … less this much, so that the queue drains.
const DECREASE_BPS: f64 = 5_000.0;
/// The rate grows to no more than this many times what arrives, …
const ACKED_FACTOR: f64 = 1.5;
/// … plus this much.
const ACKED_BPS: f64 = 10_000.0;
/// A probe that filled the path bounds growth for this long (our own): else a rate that is not used up grows past what
/// the path was just found to carry, and a rung is taken that does not fit.
const CEILING_AGE: Duration = Duration::from_secs(15);
/// If so many times the rate arrives, though nothing queues, the rate is wrong: more was sent than was meant to be, and
/// was carried (our own) …
const REFUTED: f64 = 1.10;
/// … so it becomes this many times what arrives.
const REFUTED_MARGIN: f64 = 1.08;
/// Growth per second far from capacity, …
const GROWTH: f64 = 1.08;
/// … at least by this much.
const GROWTH_MIN_BPS: f64 = 1_000.0;
/// Growth per second near capacity is at least this.
const NEAR_MIN_BPS: f64 = 4_000.0;
/// What we do takes a round trip and this long to show.
const RESPONSE: Duration = Duration::from_millis(100);
/// The rate is cut again no sooner than after a round trip within these bounds, …
const CUT_MIN: Duration = Duration::from_millis(10);
const CUT_MAX: Duration = Duration::from_millis(200);
/// A queue that stays full though nothing grows is cut for only so often.
const CUT_SHOWN: Duration = Duration::from_millis(500);
/// … unless less than this share of it arrives.
const CUT_AGAIN: f64 = 0.5;
/// Beside flows that fill the queue the rate is this share of itself after a loss, once a round trip, …
///
/// This and the next are what made the share beside CUBIC (RFC 9438) a third to a half of 2 Mbit/s (S12). TCP gives way by
/// 0.7, but from a rate that it uses up, while we send the next rung below ours.
const BESIDE_DECREASE: f64 = 0.92;
/// … and grows by so many bits per second each second, …
const BESIDE_BPS: f64 = 250_000.0;
/// … to no more than this many times what arrives: enough for the next rung, as there are no probes in a full queue.
const BESIDE_FACTOR: f64 = 2.2;
/// The size of a packet near capacity is guessed from so many frames a second …
const FRAMES_PER_SECOND: f64 = 30.0;
/// … of packets of at most so many bits.
const PACKET_BITS: f64 = 1200.0 * 8.0;

/// What the rate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trend {
    /// It stays, until the queue has drained.
    #[default]
    Hold,
    /// It grows.
    Increase,
    /// It was cut.
    Decrease,
}

/// Additive or multiplicative increase, multiplicative decrease.
#[derive(Debug)]
pub(super) struct Aimd {
    rate: f64,
    min: f64,
    trend: Trend,
    capacity: LinkCapacity,
    /// What a probe found to fill the path, and when; the rate does not grow beyond that by itself.
    ceiling: Option<(Moment, f64)>,
    changed: Moment,
    cut: Option<Moment>,
}

impl Aimd {
    pub(super) fn new(now: Moment, start: f64, min: f64) -> Self {
        Self {
            rate: start,
            min,
            trend: Trend::Hold,
            capacity: LinkCapacity::default(),
            ceiling: None,
            changed: now,
            cut: None,
        }
    }

    pub(super) fn update(&mut self, now: Moment, usage: Usage, context: &DelayContext) {
        match usage {
            Usage::Overuse => self.decrease(now, context),
            Usage::Underuse => {
                self.trend = Trend::Hold;
                self.changed = now;
            }
            Usage::Normal if self.trend == Trend::Increase => self.increase(now, context),
            Usage::Normal => {
                self.trend = Trend::Increase;
                self.changed = now;
            }
        }
        self.rate = self.rate.clamp(self.min, context.max.max(self.min));
    }

    /// Follows losses rather than queues: beside flows that fill the queue anyhow (our own).
    pub(super) fn update_beside(&mut self, now: Moment, context: &DelayContext) {
        let passed = now.saturating_duration_since(self.changed).min(Duration::from_secs(1)).as_secs_f64();
        self.changed = now;
        if context.lost {
            if self.cut.is_none_or(|cut| now.saturating_duration_since(cut) >= context.rtt) {
                self.finish_cut(now, BESIDE_DECREASE * self.rate);
            }
        } else {
            self.trend = Trend::Increase;
            let limit = context.acked.map_or(self.rate, |acked| BESIDE_FACTOR * acked + ACKED_BPS);
            self.rate = (self.rate + BESIDE_BPS * passed).min(limit.max(self.rate));
        }
        self.rate = self.rate.clamp(self.min, context.max.max(self.min));
    }

    pub(super) fn set_rate(&mut self, now: Moment, bps: f64) {
        self.rate = bps.max(self.min);
        self.changed = now;
    }

    /// Takes what arrives without any sign that the path does not carry it.
    pub(super) fn handle_carried(&mut self, now: Moment, bps: f64) {
        if self.is_refuted_by(bps) {
            self.set_rate(now, REFUTED_MARGIN * bps);
        }
    }

    /// Whether so much arrives that the rate is wrong.
    pub(super) fn is_refuted_by(&self, bps: f64) -> bool {
        bps > REFUTED * self.rate
    }

    pub(super) fn handle_probe(&mut self, now: Moment, bps: f64, saturated: bool, acked: Option<f64>) {
        let arrives = acked.unwrap_or(0.0);
        self.ceiling = saturated.then_some((now, bps.max(arrives)));
        if saturated && bps < arrives {
            return; // More than that arrives already, so it says nothing about less.
        }
        if self.capacity.is_above(bps) {
            self.capacity.reset();
        }
        self.capacity.handle_probe(bps);
    }

    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) const fn min(&self) -> f64 {
        self.min
    }

    pub(super) const fn trend(&self) -> Trend {
        self.trend
    }

    /// Whether the last cut has had time to show.
    pub(super) fn may_cut_again(&self, now: Moment) -> bool {
        self.cut.is_none_or(|cut| now.saturating_duration_since(cut) >= CUT_SHOWN)
    }

    fn decrease(&mut self, now: Moment, context: &DelayContext) {
        let wait = context.rtt.clamp(CUT_MIN, CUT_MAX);
        let recent = self.cut.is_some_and(|cut| now.saturating_duration_since(cut) < wait);
        if recent && context.acked.is_none_or(|acked| acked >= CUT_AGAIN * self.rate) {
            return;
        }
        let Some(acked) = context.acked else {
            // Overuse before anything could be measured: start from half.
            self.finish_cut(now, self.rate / 2.0);
            return;
        };
        // Overuse is only told of while a queue stands, so what just arrived is what the path carries, less or more than
        // on average: a rung that was taken a moment ago does not count as the old one.
        //
        // Unless little was sent in so short a time, as between two pictures. Then what arrives is what arrived before, by as
        // much less as the last packets were held up: a path shared with others must not take all from who uses little.
        let acked = context.recent.map_or(acked, |recent| recent.bps.max(recent.slowed * acked.min(self.rate)));
        let mut rate = (DECREASE * acked - DECREASE_BPS).max(0.0);
        if rate > self.rate {
            rate = self.capacity.estimate().map_or(rate, |estimate| DECREASE * estimate);
        }
        if self.capacity.is_below(acked) {
            self.capacity.reset();
        }
        self.capacity.handle_overuse(acked);
        self.finish_cut(now, rate.min(self.rate));
    }

    fn finish_cut(&mut self, now: Moment, rate: f64) {
        self.rate = rate;
        self.trend = Trend::Decrease;
        self.changed = now;
        self.cut = Some(now);
    }

    fn increase(&mut self, now: Moment, context: &DelayContext) {
        let passed = now.saturating_duration_since(self.changed).min(Duration::from_secs(1)).as_secs_f64();
        self.changed = now;
        let Some(acked) = context.acked else { return };
        if self.capacity.is_above(acked) {
            self.capacity.reset();
        }
        let ceiling = self.ceiling.filter(|&(at, _)| now.saturating_duration_since(at) < CEILING_AGE);
        let limit = (ACKED_FACTOR * acked + ACKED_BPS).min(ceiling.map_or(f64::INFINITY, |(_, bps)| bps));
        // What is not tested must not grow.
        if context.limited || self.rate >= limit {
            return;
        }
        let step = match self.capacity.estimate() {
            Some(_) => self.near_growth(context.rtt) * passed,
            None => (self.rate * (GROWTH.powf(passed) - 1.0)).max(GROWTH_MIN_BPS * passed),
        };
        self.rate = (self.rate + step).min(limit);
    }

    /// Bits per second by which the rate grows each second near capacity: about a packet for each response.
    fn near_growth(&self, rtt: Duration) -> f64 {
        let frame = self.rate / FRAMES_PER_SECOND;
        let packet = frame / (frame / PACKET_BITS).ceil().max(1.0);
        (packet / (2.0 * (rtt + RESPONSE).as_secs_f64())).max(NEAR_MIN_BPS)
    }
}
