//! Flows of others that share the bottleneck: a long download by TCP, and a browser that sends a picture of any rate.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use roundtable_media::Moment;
use roundtable_media::bwe::{Bitrate, Demand, SentPacket};
use roundtable_wire::twcc::Feedback;

use super::link::{Link, LinkConfig};
use super::receiver::{Back, Receiver};
use super::rival::{Compared, Rival};
use super::subscriber::{Payload, Wire};

/// Whose flow it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cross {
    /// CUBIC (RFC 9438) that always has something to send.
    Tcp,
    /// Sends just what its estimator allows, up to 2.5 Mbit/s as Chromium does for 720 lines.
    Browser(Rival),
}

pub enum Flow {
    Tcp(Tcp),
    Browser(Box<Browser>),
}

impl Flow {
    /// A flow that begins now; its packets are addressed `to`, its acknowledgements take `delay_ms`.
    pub fn new(cross: Cross, to: usize, now: Moment, now_us: u64, delay_ms: f64, seed: u64) -> Self {
        match cross {
            Cross::Tcp => Self::Tcp(Tcp::new(to, now_us, (delay_ms * 1e3) as u64)),
            Cross::Browser(rival) => {
                Self::Browser(Box::new(Browser::new(to, rival.estimator(now), now_us, delay_ms, seed)))
            }
        }
    }

    pub fn handle_arrival(&mut self, at_us: u64, now_us: u64, wire: &Wire) {
        match self {
            Self::Tcp(tcp) => tcp.acks.push_back((at_us + tcp.delay_us, wire.sequence)),
            Self::Browser(browser) => {
                if let Some(back) = browser.receiver.handle_packet(at_us, wire) {
                    browser.back.send(now_us, back, 60);
                }
            }
        }
    }

    pub fn step(&mut self, now: Moment, now_us: u64, out: &mut Vec<Wire>) {
        match self {
            Self::Tcp(tcp) => tcp.step(now_us, out),
            Self::Browser(browser) => browser.step(now, now_us, out),
        }
    }
}

/// On the wire, with its headers.
const SEGMENT: u16 = 1500;
/// A segment is lost if so many later ones were acknowledged.
const DUPLICATE_ACKS: u64 = 3;
const RTO_US: u64 = 1_000_000;
const WINDOW_START: f64 = 10.0;
/// CUBIC's scaling constant, in segments per cubic second, and what is left of a window after a loss.
const CUBIC_C: f64 = 0.4;
const CUBIC_BETA: f64 = 0.7;

/// The sender of a download. What is lost is not sent again: only the rate is of interest.
pub struct Tcp {
    to: usize,
    delay_us: u64,
    next: u64,
    /// Segment to when it was sent.
    flying: BTreeMap<u64, u64>,
    acks: VecDeque<(u64, u64)>,
    window: f64,
    /// The window at the last loss, and when that was; `None` in slow start.
    epoch: Option<(f64, u64)>,
    /// What RFC 5681 would have come to since.
    reno: f64,
    /// Losses of what was sent before this one belong to the last cut.
    recovery: u64,
    rtt_us: f64,
    last_ack_us: u64,
}

impl Tcp {
    fn new(to: usize, now_us: u64, delay_us: u64) -> Self {
        Self {
            to,
            delay_us,
            next: 0,
            flying: BTreeMap::new(),
            acks: VecDeque::new(),
            window: WINDOW_START,
            epoch: None,
            reno: WINDOW_START,
            recovery: 0,
            rtt_us: 2.0 * delay_us as f64,
            last_ack_us: now_us,
        }
    }

    fn step(&mut self, now_us: u64, out: &mut Vec<Wire>) {
        while self.acks.front().is_some_and(|ack| ack.0 <= now_us) {
            let Some((_, number)) = self.acks.pop_front() else { break };
            self.handle_ack(now_us, number);
        }
        if now_us > self.last_ack_us + RTO_US && !self.flying.is_empty() {
            self.flying.clear();
            self.cut(now_us);
            self.window = 2.0;
            self.last_ack_us = now_us;
        }
        while (self.flying.len() as f64) < self.window {
            self.flying.insert(self.next, now_us);
            out.push(Wire { to: self.to, sequence: self.next, size: SEGMENT, payload: Payload::Filler });
            self.next += 1;
        }
    }

    fn handle_ack(&mut self, now_us: u64, number: u64) {
        self.last_ack_us = now_us;
        let Some(sent_us) = self.flying.remove(&number) else { return };
        self.rtt_us += 0.125 * ((now_us - sent_us) as f64 - self.rtt_us);
        self.grow(now_us);
        let mut lost = false;
        while let Some((&first, _)) = self.flying.first_key_value() {
            if first + DUPLICATE_ACKS > number {
                break;
            }
            self.flying.pop_first();
            lost |= first >= self.recovery;
        }
        if lost {
            self.cut(now_us);
        }
    }

    fn grow(&mut self, now_us: u64) {
        let Some((before, at_us)) = self.epoch else {
            self.window += 1.0;
            return;
        };
        let flat = (before * (1.0 - CUBIC_BETA) / CUBIC_C).cbrt();
        let passed = (now_us - at_us) as f64 / 1e6 + self.rtt_us / 1e6;
        let goal = (CUBIC_C * (passed - flat).powi(3) + before).clamp(self.window, 1.5 * self.window);
        self.reno += 3.0 * (1.0 - CUBIC_BETA) / (1.0 + CUBIC_BETA) / self.window;
        self.window = (self.window + (goal - self.window) / self.window).max(self.reno);
    }

    fn cut(&mut self, now_us: u64) {
        self.epoch = Some((self.window, now_us));
        self.window = (self.window * CUBIC_BETA).max(2.0);
        self.reno = self.window;
        self.recovery = self.next;
    }
}

const FRAME_US: u64 = 33_333;
const PACKET: f64 = 1200.0;
const BROWSER_MAX: f64 = 2.5e6;

/// The sender of a picture whose encoder follows the estimate.
pub struct Browser {
    to: usize,
    estimator: Box<dyn Compared>,
    receiver: Receiver,
    back: Link<Back>,
    backs: Vec<Back>,
    next_frame_us: u64,
    /// Packets of the current frame, spread over its time: when the next is due, how far apart, how large, how many.
    due: (u64, u64, u16, u32),
    sequence: u64,
    next_report_us: u64,
}

impl Browser {
    fn new(to: usize, estimator: Box<dyn Compared>, now_us: u64, delay_ms: f64, seed: u64) -> Self {
        Self {
            to,
            estimator,
            receiver: Receiver::new(seed ^ 0xb40),
            back: Link::new(LinkConfig::new(10e6, delay_ms), seed ^ 0xbac1),
            backs: Vec::new(),
            next_frame_us: now_us,
            due: (now_us, 0, 0, 0),
            sequence: 0,
            next_report_us: now_us,
        }
    }

    fn step(&mut self, now: Moment, now_us: u64, out: &mut Vec<Wire>) {
        while let Some((_, back)) = self.back.poll(now_us) {
            match back {
                Back::Feedback(body) => {
                    let feedback = Feedback::parse(&body).expect("written by the receiver");
                    self.estimator.handle_feedback(now, &feedback);
                }
                Back::Report { sent_us } => self.estimator.handle_rtt(now, Duration::from_micros(now_us - sent_us)),
                Back::Nack(_) | Back::PictureLoss(_) => {}
            }
        }
        self.receiver.poll(now_us, &mut self.backs);
        for back in self.backs.drain(..) {
            self.back.send(now_us, back, 80);
        }
        if self.estimator.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.estimator.handle_timeout(now);
        }
        if self.next_report_us <= now_us {
            self.next_report_us += 1_000_000;
            out.push(Wire { to: self.to, sequence: 0, size: 80, payload: Payload::Report { sent_us: now_us } });
        }
        if self.next_frame_us <= now_us {
            self.encode(now_us);
        }
        while self.due.3 > 0 && self.due.0 <= now_us {
            self.due.0 += self.due.1;
            self.due.3 -= 1;
            let size = self.due.2;
            let packet = SentPacket { sequence: self.sequence as u16, size, probe: None, filler: false };
            self.estimator.handle_sent(now, &packet);
            out.push(Wire { to: self.to, sequence: self.sequence, size, payload: Payload::Filler });
            self.sequence += 1;
        }
    }

    /// Makes a frame of just the rate that is allowed; the pacer has sent it after half of its time.
    fn encode(&mut self, now_us: u64) {
        self.next_frame_us += FRAME_US;
        let bps = self.estimator.target().as_f64().min(BROWSER_MAX);
        let rate = Bitrate::from_f64(bps);
        self.estimator.set_demand(Demand { used: rate, next: None, desired: rate });
        let bytes = bps / 8.0 * FRAME_US as f64 / 1e6;
        let count = (bytes / PACKET).ceil().max(1.0);
        self.due = (now_us, (FRAME_US as f64 / 2.0 / count) as u64, (bytes / count) as u16, count as u32);
    }
}
