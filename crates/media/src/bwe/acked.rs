//! The rate that arrives, measured so that a pause of the receiver or of its feedback does not bend it.
//!
//! libwebrtc calls this the robust throughput estimator.

use std::collections::VecDeque;

use super::sent_log::Report;

/// The window holds at least so many packets …
const MIN_PACKETS: usize = 20;
/// … and spans at least so long, in microseconds,
const MIN_SPAN: i64 = 1_000_000;
/// but it never holds more packets than this …
const MAX_PACKETS: usize = 500;
/// … nor spans longer.
const MAX_SPAN: i64 = 5_000_000;
/// Fewer packets tell no rate.
const REQUIRED_PACKETS: usize = 10;
/// The short window spans so long, in microseconds: with 300 ms, a rung that was just taken is half the old one when it
/// proves too much (S4); …
const RECENT_SPAN: i64 = 150_000;
/// … and needs so many packets.
const RECENT_PACKETS: usize = 5;
/// Spans below this are taken to be this long.
const SHORTEST_SPAN: i64 = 1_000;

/// The rate of arrival over the last second or 20 packets.
#[derive(Debug, Default)]
pub(crate) struct AckedRate {
    /// In the order of arrival.
    window: VecDeque<Packet>,
    bps: Option<f64>,
}

/// What arrived in a time so short that it counts only while a queue stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recent {
    /// Bits per second. With a queue of our own making this is what the path carries.
    pub(crate) bps: f64,
    /// The time in which the packets left, as a share of that in which they arrived; at most 1.
    pub(crate) slowed: f64,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    sent: i64,
    arrival: i64,
    size: u16,
}

impl AckedRate {
    /// Takes received packets in the order of their arrival.
    pub(crate) fn handle_received(&mut self, received: &[Report]) {
        for report in received {
            let Some(arrival) = report.arrival_micros else { continue };
            self.insert(Packet { sent: report.sent_micros, arrival, size: report.size });
        }
        self.bps = self.measure();
    }

    /// Bits per second; `None` until ten packets arrived.
    pub(crate) const fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// What arrived in the last 150 ms.
    pub(crate) fn recent(&self) -> Option<Recent> {
        let last = self.window.back()?;
        let recent = self.window.iter().rev().take_while(|packet| packet.arrival + RECENT_SPAN >= last.arrival);
        let (count, bytes, first) = recent
            .fold((0, 0.0, last), |(count, bytes, _), packet| (count + 1, bytes + f64::from(packet.size), packet));
        let span = last.arrival - first.arrival;
        let enough = count >= RECENT_PACKETS && span >= RECENT_SPAN / 2;
        enough.then(|| Recent {
            bps: (bytes - f64::from(first.size)) * 8e6 / span as f64,
            slowed: ((last.sent - first.sent) as f64 / span as f64).clamp(0.0, 1.0),
        })
    }

    fn insert(&mut self, packet: Packet) {
        if self.window.back().is_some_and(|last| packet.arrival.saturating_add(MAX_SPAN) < last.arrival) {
            // The receiver's clock went back: nothing before can be compared with what comes.
            self.window.clear();
        }
        let behind = self.window.iter().rev().take_while(|other| other.arrival > packet.arrival).count();
        self.window.insert(self.window.len() - behind, packet);
        while let (Some(first), Some(last)) = (self.window.front(), self.window.back()) {
            let span = last.arrival.saturating_sub(first.arrival);
            let len = self.window.len();
            if len <= MAX_PACKETS && span <= MAX_SPAN && (len <= MIN_PACKETS || span <= MIN_SPAN) {
                break;
            }
            self.window.pop_front();
        }
    }

    fn measure(&self) -> Option<f64> {
        let (first, last) = (self.window.front()?, self.window.back()?);
        if self.window.len() < REQUIRED_PACKETS {
            return None;
        }
        let (mut largest, mut second) = (0, 0);
        let (mut bytes, mut earliest, mut latest) = (0.0, first.sent, *first);
        let mut previous = first.arrival;
        for packet in &self.window {
            let gap = packet.arrival - previous;
            previous = packet.arrival;
            (largest, second) = if gap > largest { (gap, largest) } else { (largest, second.max(gap)) };
            bytes += f64::from(packet.size);
            earliest = earliest.min(packet.sent);
            if packet.sent >= latest.sent {
                latest = *packet;
            }
        }
        // n packets span n-1 intervals, so one does not count: the first to arrive, the last to leave.
        let received_span = (last.arrival - first.arrival - largest + second).max(SHORTEST_SPAN);
        let sent_span = (latest.sent - earliest).max(SHORTEST_SPAN);
        let received = (bytes - f64::from(first.size)) / received_span as f64;
        let sent = (bytes - f64::from(latest.size)) / sent_span as f64;
        Some(received.min(sent) * 8e6)
    }
}
