//! Measures what became of one probe.

use super::super::sent_log::{ProbeId, Report};
use super::ProbeCluster;

/// Fewer packets received tell nothing.
const MIN_RECEIVED: u32 = 4;
/// If less than this share of packets and of bytes is received, the path was filled.
const RECEIVED_SHARE: f64 = 0.8;
/// A probe that took longer than this to leave or to arrive, in microseconds, tells nothing.
const MAX_SPAN: i64 = 1_000_000;
/// A probe that arrives so many times faster than it left tells nothing.
const MAX_RATIO: f64 = 2.0;
/// A probe has filled the path if packets fall behind a path that carries just its rate by more than this share of the
/// time; …
///
/// With few packets this tells more than comparing the rates of departure and arrival: those depend on which packets
/// happen to be the first and the last, and media that is part of a probe leaves in bursts.
const SATURATED: f64 = 0.1;
/// … of which then this share is used.
const SATURATED_SHARE: f64 = 0.95;

/// What a probe tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ProbeOutcome {
    /// The path carries this rate, in bits per second.
    Carried(f64),
    /// The path carries no more than about this rate.
    Saturated(f64),
    /// Nothing.
    Void,
}

/// The packets of one probe.
#[derive(Debug)]
pub(super) struct ProbeResult {
    id: ProbeId,
    rate: f64,
    sent: Sums,
    received: Sums,
    resolved: u32,
    /// Whether something was sent after it that is not part of it.
    over: bool,
    sends: Span,
    arrivals: Span,
    ideal: Ideal,
    lag: Line,
}

/// A path that carries just the rate of the probe: when the last packet leaves it, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Ideal {
    free_at: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    packets: u32,
    bytes: u32,
}

/// The first and the last moment, with the sizes of the packets then, and how many moments there were.
#[derive(Debug, Clone, Copy, Default)]
struct Span(Option<Edges>, u32);

#[derive(Debug, Clone, Copy)]
struct Edges {
    first: Edge,
    last: Edge,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    micros: i64,
    size: u16,
}

impl ProbeResult {
    pub(super) fn new(cluster: &ProbeCluster) -> Self {
        Self {
            id: cluster.id,
            rate: cluster.rate.as_f64(),
            sent: Sums::default(),
            received: Sums::default(),
            resolved: 0,
            over: false,
            sends: Span::default(),
            arrivals: Span::default(),
            ideal: Ideal::default(),
            lag: Line::default(),
        }
    }

    /// Takes a packet that was sent, whether it is part of the probe or not.
    pub(super) fn handle_sent(&mut self, size: u16, probe: Option<ProbeId>) {
        if probe == Some(self.id) {
            self.sent.add(size);
        } else {
            self.over |= self.sent.packets > 0;
        }
    }

    /// Whether the cluster has been sent. Filler may be smaller than asked for, so the bytes need not be reached: a
    /// pacer counts everything to the probe until that is over.
    pub(super) fn is_sent(&self, cluster: &ProbeCluster) -> bool {
        self.over || self.sent.packets >= u32::from(cluster.min_packets) && self.sent.bytes >= cluster.min_bytes
    }

    pub(super) fn handle_report(&mut self, report: &Report) {
        if report.probe != Some(self.id) {
            return;
        }
        if !report.recovered {
            self.resolved += 1;
        }
        let departure = self.ideal.handle_packet(report, self.rate);
        let Some(arrival) = report.arrival_micros else { return };
        self.received.add(report.size);
        self.sends.add(report.sent_micros, report.size);
        self.arrivals.add(arrival, report.size);
        self.lag.add(departure, arrival as f64);
    }

    /// Whether feedback has told of every packet that was sent.
    pub(super) fn is_resolved(&self) -> bool {
        self.resolved >= self.sent.packets
    }

    pub(super) fn outcome(&self) -> ProbeOutcome {
        let (Some(sends), Some(arrivals)) = (self.sends.0, self.arrivals.0) else { return ProbeOutcome::Void };
        let (sent_span, received_span) = (sends.span(), arrivals.span());
        let spans = 1..=MAX_SPAN;
        if !spans.contains(&sent_span) || !spans.contains(&received_span) || self.received.packets < MIN_RECEIVED {
            return ProbeOutcome::Void;
        }
        let bytes = f64::from(self.received.bytes);
        let bps = |bytes: f64, span: f64| bytes * 8e6 / span;
        // n packets span n-1 intervals: what is behind the first came in this span.
        let dispersed = bps(bytes - f64::from(arrivals.first.size), received_span as f64);
        let enough = |received: u32, sent: u32| f64::from(received) >= RECEIVED_SHARE * f64::from(sent);
        if !enough(self.received.packets, self.sent.packets) || !enough(self.received.bytes, self.sent.bytes) {
            return ProbeOutcome::Saturated(dispersed.min(self.rate) * SATURATED_SHARE);
        }
        // A pacer that works in ticks sends bursts: the last one has an interval of its own, too.
        let interval = sent_span as f64 / f64::from(self.sends.1.saturating_sub(1).max(1));
        let sent = bps(bytes, sent_span as f64 + interval);
        if bps(bytes, received_span as f64 + interval) / sent > MAX_RATIO {
            return ProbeOutcome::Void;
        }
        // No more is believed than was asked for.
        let lag = self.lag.slope();
        if lag > SATURATED {
            ProbeOutcome::Saturated(dispersed.min(self.rate) * SATURATED_SHARE)
        } else {
            ProbeOutcome::Carried(sent.min(self.rate / (1.0 + lag.max(0.0))))
        }
    }
}

impl Ideal {
    /// When the packet would leave, in microseconds.
    fn handle_packet(&mut self, report: &Report, bps: f64) -> f64 {
        let sent = report.sent_micros as f64;
        let began = self.free_at.map_or(sent, |free_at| free_at.max(sent));
        let departure = began + f64::from(report.size) * 8e6 / bps.max(1.0);
        if !report.recovered {
            self.free_at = Some(departure);
        }
        departure
    }
}

/// The least squares line through how far behind the ideal packets arrive.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    origin: Option<(f64, f64)>,
    count: f64,
    sum_x: f64,
    sum_y: f64,
    sum_xx: f64,
    sum_xy: f64,
}

impl Line {
    fn add(&mut self, departure: f64, arrival: f64) {
        let (first_departure, first_arrival) = *self.origin.get_or_insert((departure, arrival));
        let x = departure - first_departure;
        let y = (arrival - first_arrival) - x;
        self.count += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        self.sum_xx += x * x;
        self.sum_xy += x * y;
    }

    /// By how much packets fall behind with time; zero if there was but one.
    fn slope(&self) -> f64 {
        let below = self.count * self.sum_xx - self.sum_x * self.sum_x;
        if below > 0.0 { (self.count * self.sum_xy - self.sum_x * self.sum_y) / below } else { 0.0 }
    }
}

impl Sums {
    fn add(&mut self, size: u16) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u32::from(size));
    }
}

impl Edges {
    const fn span(self) -> i64 {
        self.last.micros.saturating_sub(self.first.micros)
    }
}

impl Span {
    fn add(&mut self, micros: i64, size: u16) {
        let edge = Edge { micros, size };
        let edges = self.0.get_or_insert(Edges { first: edge, last: edge });
        if micros < edges.first.micros {
            edges.first = edge;
        }
        if micros > edges.last.micros || self.1 == 0 {
            edges.last = edge;
            self.1 += 1;
        }
    }
}
