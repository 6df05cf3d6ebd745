//! One RTP stream as it arrives: its numbers without their wrap, its holes, and the report on it.

use std::collections::VecDeque;

use roundtable_wire::Unwrapper16;
use roundtable_wire::rtcp::ReportBlock;

use crate::tally::Tally;

/// Holes kept at once, the oldest forgotten first.
const MOST_HOLES: usize = 512;
/// A larger leap is no loss but a new beginning.
const LARGEST_LEAP: u64 = 1_000;
/// A hole is asked for again after so many ns.
const ASK_AGAIN_NS: u64 = 100_000_000;
/// How often a hole is asked for before it is given up, as libwebrtc does.
const MOST_ASKED: u8 = 10;
/// An unwrapped number begins at 2¹⁶; the packet index of RFC 3711 §3.3.1 at 0.
const INDEX_BASE: u64 = 1 << 16;

/// One stream.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) ssrc: u32,
    unwrapper: Unwrapper16,
    tally: Tally,
    /// The number of the first packet.
    first: Option<u64>,
    /// Packets received, each once.
    received: u64,
    holes: VecDeque<Hole>,
    /// Expected and received at the last report.
    reported: (u64, u64),
}

#[derive(Debug)]
struct Hole {
    number: u64,
    asked: u8,
    ask_at_ns: u64,
}

impl Inbound {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            unwrapper: Unwrapper16::new(),
            tally: Tally::new(),
            first: None,
            received: 0,
            holes: VecDeque::new(),
            reported: (0, 0),
        }
    }

    /// The SRTP index of a packet; it is believed only once the packet has been opened.
    pub(crate) fn index(&self, sequence: u16) -> u64 {
        self.unwrapper.peek(sequence).saturating_sub(INDEX_BASE)
    }

    /// Notes an authentic packet of the stream itself.
    pub(crate) fn handle_packet(&mut self, sequence: u16, now_ns: u64) {
        let before = self.unwrapper.highest();
        let number = self.unwrapper.unwrap(sequence);
        self.first.get_or_insert(number);
        match before {
            Some(before) if number > before + 1 && number - before <= LARGEST_LEAP => {
                self.note_holes(before + 1..number, now_ns)
            }
            _ => {}
        }
        self.fill(number);
    }

    /// Notes a packet that came as a retransmission.
    pub(crate) fn handle_repair(&mut self, sequence: u16) {
        self.fill(self.unwrapper.peek(sequence));
    }

    /// Puts the sequence numbers to be asked for into `lost`; whether some were given up, so that a picture is broken.
    pub(crate) fn take_lost(&mut self, now_ns: u64, lost: &mut Vec<u16>) -> bool {
        let before = self.holes.len();
        self.holes.retain(|hole| hole.asked < MOST_ASKED || hole.ask_at_ns > now_ns);
        for hole in self.holes.iter_mut().filter(|hole| hole.ask_at_ns <= now_ns) {
            hole.asked += 1;
            hole.ask_at_ns = now_ns + ASK_AGAIN_NS;
            lost.push(hole.number as u16);
        }
        self.holes.len() < before
    }

    /// Whether something is missing.
    pub(crate) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// The report block (RFC 3550 §6.4.1), without the round trip and the jitter, which nobody here asks for.
    pub(crate) fn report(&mut self) -> ReportBlock {
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, received));
        let due = expected - expected_before;
        let lost = due.saturating_sub(received - received_before);
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            cumulative_lost: i32::try_from(expected.cast_signed() - received.cast_signed()).unwrap_or(i32::MAX),
            highest_sequence: self.unwrapper.highest().unwrap_or(0).saturating_sub(INDEX_BASE) as u32,
            ..ReportBlock::default()
        }
    }

    /// Packets from the first to the highest number.
    pub(crate) fn expected(&self) -> u64 {
        let highest = self.unwrapper.highest().zip(self.first);
        // A packet from before the first leaves `first` where it is.
        highest.map_or(0, |(highest, first)| highest.saturating_sub(first) + 1)
    }

    /// Packets received, retransmitted ones too.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn note_holes(&mut self, numbers: std::ops::Range<u64>, now_ns: u64) {
        for number in numbers {
            if self.holes.len() == MOST_HOLES {
                self.holes.pop_front();
            }
            self.holes.push_back(Hole { number, asked: 0, ask_at_ns: now_ns });
        }
    }

    fn fill(&mut self, number: u64) {
        if self.tally.accept(number) {
            self.received += 1;
            if !self.holes.is_empty() {
                self.holes.retain(|hole| hole.number != number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_asked_for_until_they_are_filled_or_given_up() {
        let mut inbound = Inbound::new(1);
        for sequence in [65_534, 65_535, 2, 0] {
            inbound.handle_packet(sequence, 0);
        }
        let mut lost = Vec::new();
        assert!(!inbound.take_lost(0, &mut lost));
        assert_eq!(lost, [1]);
        lost.clear();
        inbound.take_lost(1, &mut lost);
        assert_eq!(lost, [0; 0], "not yet again");
        let mut given_up = false;
        for round in 1..=20 {
            given_up |= inbound.take_lost(round * ASK_AGAIN_NS, &mut lost);
        }
        assert!(given_up);
        assert_eq!(lost.len(), usize::from(MOST_ASKED) - 1);
        assert_eq!((inbound.expected(), inbound.received()), (5, 4));
        inbound.handle_repair(1);
        inbound.handle_repair(1);
        assert_eq!(inbound.received(), 5, "a copy does not count");
    }

    #[test]
    fn a_report_tells_of_the_time_since_the_last() {
        let mut inbound = Inbound::new(7);
        (0..4).for_each(|sequence| inbound.handle_packet(sequence, 0));
        assert_eq!((inbound.report().fraction_lost, inbound.report().fraction_lost), (0, 0));
        inbound.handle_packet(7, 0);
        let report = inbound.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_sequence), (192, 3, 7));
    }

    #[test]
    fn the_index_counts_rollovers() {
        let mut inbound = Inbound::new(7);
        assert_eq!(inbound.index(65_000), 65_000);
        inbound.handle_packet(65_000, 0);
        assert_eq!(inbound.index(3), 65_536 + 3);
        assert!(!inbound.has_holes());
        inbound.handle_packet(3, 0);
        assert!(inbound.has_holes(), "539 numbers are missing");
        assert_eq!(inbound.index(65_530), 65_530);
    }
}
