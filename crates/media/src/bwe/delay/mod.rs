//! The delay-based half: queues that grow say that more is sent than the path carries.
//!
//! The origin is draft-ietf-rmcat-gcc-02; constants are those libwebrtc, mediasoup and str0m share, unless a comment
//! says that one is our own.

mod aimd;
mod collapse;
mod inter_arrival;
mod link_capacity;
mod rivals;
mod standing;
mod trendline;

#[cfg(test)]
mod tests;

use std::time::Duration;

use self::aimd::Aimd;
use self::collapse::Collapse;
use self::inter_arrival::InterArrival;
use self::rivals::Rivals;
use self::standing::{Lateness, StandingQueue};
use self::trendline::Trendline;
use super::acked::Recent;
use super::sent_log::Report;
use crate::moment::Moment;

pub use self::aimd::Trend;

/// Without a packet for this long, what was learnt of the spacing of groups is forgotten.
const STREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// Packets that fall behind show a collapse if they arrive at less than this share of the rate.
const COLLAPSED: f64 = 0.7;
/// A queue up to this may be that of a probe.
const PROBE_QUEUE: Duration = Duration::from_millis(200);
/// A queue longer than this is drained, …
const DRAIN_FROM: Duration = Duration::from_millis(40);
/// … within about this long, …
const DRAIN_SPAN: Duration = Duration::from_millis(300);
/// … by sending at most this much less.
const DRAIN_MOST: f64 = 0.5;

/// How the path is being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// Queues neither grow nor shrink.
    #[default]
    Normal,
    /// Queues grow.
    Overuse,
    /// Queues shrink.
    Underuse,
}

/// What the delay-based half is told besides the packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DelayContext {
    pub(crate) acked: Option<f64>,
    /// What arrived in a time so short that it counts only while a queue stands; looked for where it does.
    pub(crate) recent: Option<Recent>,
    pub(crate) rtt: Duration,
    pub(crate) limited: bool,
    /// Whether something was lost that the last reports told of.
    pub(crate) lost: bool,
    pub(crate) max: f64,
    /// Whether a probe is in flight or just was, so that a queue may be its own.
    pub(crate) probing: bool,
}

/// Turns arrival times into a rate.
#[derive(Debug)]
pub(crate) struct DelayHalf {
    groups: InterArrival,
    trendline: Trendline,
    standing: StandingQueue,
    collapse: Collapse,
    rivals: Rivals,
    aimd: Aimd,
    usage: Usage,
    last_packet: Option<Moment>,
}

impl DelayHalf {
    pub(crate) fn new(now: Moment, start: f64, min: f64) -> Self {
        Self {
            groups: InterArrival::default(),
            trendline: Trendline::default(),
            standing: StandingQueue::default(),
            collapse: Collapse::default(),
            rivals: Rivals::default(),
            aimd: Aimd::new(now, start, min),
            usage: Usage::Normal,
            last_packet: None,
        }
    }

    /// Has what is remembered of groups brought near.
    pub(crate) fn prefetch(&self) {
        self.trendline.prefetch();
        self.standing.prefetch();
    }

    /// Takes received packets in the order of their arrival and moves the rate. `recent` looks for what arrived of late, which
    /// is rarely asked for.
    pub(crate) fn handle_received(
        &mut self,
        now: Moment,
        received: &[Report],
        context: &DelayContext,
        recent: impl Fn() -> Option<Recent>,
    ) {
        if self.last_packet.is_some_and(|last| now.saturating_duration_since(last) > STREAM_TIMEOUT) {
            self.groups = InterArrival::default();
            self.trendline = Trendline::default();
            self.standing.restart();
            self.collapse.restart();
        }
        if !received.is_empty() {
            self.last_packet = Some(now);
        }
        let (mut overused, mut collapsed, mut late) = (false, None, self.standing.lateness());
        for report in received {
            let Some(arrival) = report.arrival_micros else { continue };
            if let Some(rate) = self.collapsed(report, arrival, late) {
                collapsed = Some(Recent { bps: rate, slowed: 0.0 });
            }
            let Some(delta) = self.groups.handle_packet(now, report.sent_micros, arrival, report.expected_ms) else {
                continue;
            };
            self.standing.handle_group(&delta);
            late = self.standing.lateness();
            self.usage = self.trendline.handle_delta(&delta);
            overused |= self.usage == Usage::Overuse && self.standing.is_confirmed();
        }
        let is_own = context.probing && self.standing.queue() < PROBE_QUEUE;
        let usage = match self.usage {
            _ if collapsed.is_some() => Usage::Overuse,
            // A probe tells by itself what it finds.
            Usage::Overuse if is_own => Usage::Normal,
            usage if is_own => usage,
            _ if overused => Usage::Overuse,
            // A full queue grows no more.
            _ if self.standing.is_deep() && self.aimd.may_cut_again(now) => Usage::Overuse,
            // A trend without a queue: jitter. Nothing is learnt from it.
            Usage::Overuse => Usage::Normal,
            usage => usage,
        };
        if let Some(bps) = self.rivals.handle_queue(now, self.standing.queue(), &recent) {
            self.aimd.set_rate(now, bps.max(self.aimd.rate()));
        }
        self.standing.hold_base(self.rivals.are_there());
        if self.rivals.are_there() {
            self.usage = Usage::Normal;
            self.aimd.update_beside(now, context);
        } else {
            self.usage = usage;
            let is_calm = usage == Usage::Normal && !context.lost && !context.probing && !self.is_queueing();
            let refuting = context.acked.filter(|&acked| is_calm && self.aimd.is_refuted_by(acked));
            if let Some((acked, recent)) = refuting.and_then(|acked| Some((acked, recent()?))) {
                self.aimd.handle_carried(now, acked.min(recent.bps));
            }
            let recent = if usage == Usage::Overuse { collapsed.or_else(recent) } else { None };
            self.aimd.update(now, usage, &DelayContext { recent, ..*context });
        }
    }

    /// The rate that arrives, if this packet shows that it has fallen far below ours.
    fn collapsed(&mut self, report: &Report, arrival: i64, late: Lateness) -> Option<f64> {
        let millis = |micros: i64| micros as f64 / 1e3;
        let delay = millis(arrival.saturating_sub(report.sent_micros));
        let packet = (millis(arrival), delay, f64::from(report.expected_ms));
        let rate = self.collapse.handle_packet(packet, report.size, late)?;
        (rate < COLLAPSED * self.aimd.rate()).then_some(rate)
    }

    /// Puts the rate where something else than delay has shown it to be.
    pub(crate) fn set_rate(&mut self, now: Moment, bps: f64) {
        self.aimd.set_rate(now, bps);
    }

    /// Takes what a probe found, whatever the rate was before.
    pub(crate) fn handle_probe(&mut self, now: Moment, bps: f64, saturated: bool, acked: Option<f64>) {
        self.aimd.handle_probe(now, bps, saturated, acked);
    }

    /// Forgets the path, but not the rate.
    pub(crate) fn restart(&mut self, now: Moment) {
        *self = Self::new(now, self.aimd.rate(), self.aimd.min());
    }

    /// Whether all of the last packets stood in a queue.
    pub(crate) fn is_queueing(&self) -> bool {
        self.standing.is_queueing()
    }

    /// The rate the path carries.
    pub(crate) const fn rate(&self) -> f64 {
        self.aimd.rate()
    }

    /// The rate at which to send: less than the path carries while a queue has to drain (our own), unless others keep it.
    pub(crate) fn send_rate(&self) -> f64 {
        if self.rivals.are_there() {
            return self.aimd.rate();
        }
        let excess = self.queue().saturating_sub(DRAIN_FROM).as_secs_f64();
        self.aimd.rate() * (1.0 - (excess / DRAIN_SPAN.as_secs_f64()).min(DRAIN_MOST))
    }

    pub(crate) const fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) const fn trend(&self) -> Trend {
        self.aimd.trend()
    }

    /// How long packets stand in queues now, above the least seen.
    pub(crate) fn queue(&self) -> Duration {
        self.standing.queue()
    }
}
