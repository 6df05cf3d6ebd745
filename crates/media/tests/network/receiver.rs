//! A browser that watches: reorders, asks again, repairs, decodes what can be decoded, reports, and remembers what was
//! shown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roundtable_wire::ext::read_transport_sequence;
use roundtable_wire::red::Blocks;
use roundtable_wire::rtcp::{Packet, ReportBlock, Writer, XrBlock, packets};
use roundtable_wire::time::compact_span;
use roundtable_wire::{Codec, Kind, NtpTime, RtpPacket, Unwrapper16, rtx};

use crate::link::OVERHEAD;
use crate::negotiated::{OUT_TWCC, out_codec};
use crate::piece::Piece;
use crate::publisher::UNIX_MICROS;

/// As whom a browser that sends nothing reports.
const REPORTER: u32 = 1;
const FEEDBACK_US: u64 = 50_000;
const REPORT_US: u64 = 1_000_000;
const NACK_SPACING_US: u64 = 20_000;
const NACK_TRIES: u8 = 10;
/// More missing packets than this are given up for a keyframe.
const MAX_MISSING: usize = 1000;
/// What is missing, or cannot be decoded, for so long asks for a keyframe …
const STUCK_US: u64 = 200_000;
/// … but not so soon after the last request.
const PLI_SPACING_US: u64 = 500_000;
/// A decoder waits for an earlier picture as long as a retransmission takes, and this much.
const PATIENCE_US: u64 = 40_000;
/// Frames that wait for a slot; the oldest goes.
const MAX_FRAMES: usize = 100;
/// Decoded frames that others may still need.
const MAX_DECODED: usize = 64;
/// How long arrivals stay in reach of a feedback message.
const FEEDBACK_REACH: u64 = 2000;

/// A picture that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) at_us: u64,
    pub(crate) track: u16,
    pub(crate) stream: u8,
    pub(crate) layer: u8,
    pub(crate) temporal: u8,
    pub(crate) picture: u32,
    pub(crate) captured_us: u64,
}

/// What one subscriber receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    transport: Unwrapper16,
    /// By transport-wide number.
    arrivals: BTreeMap<u64, u64>,
    /// The next feedback starts behind the last one, or at something older that came since.
    feedback_from: Option<u64>,
    /// Whether something came since the last one.
    has_news: bool,
    feedback_count: u8,
    next_feedback_us: u64,
    next_report_us: u64,
    pub(crate) rtt_us: u64,
    pub(crate) slots: Vec<SlotReceiver>,
    compound: Vec<u8>,
}

#[derive(Debug)]
struct Missing {
    since_us: u64,
    next_us: u64,
    tries: u8,
}

/// A frame some of whose packets have come.
#[derive(Debug)]
struct Partial {
    piece: Piece,
    parts: u128,
    complete_us: Option<u64>,
    /// Whether all it needs has been decoded.
    has_refs: bool,
}

/// One m-line.
#[derive(Debug)]
pub(crate) struct SlotReceiver {
    kind: Kind,
    pub(crate) ssrc: u32,
    /// Like Chromium with AV1 and without descriptors it sees of a picture the frame that ends it, and no other.
    pub(crate) ends_by_marker: bool,
    sequences: Unwrapper16,
    received: u64,
    first: Option<u64>,
    missing: BTreeMap<u64, Missing>,
    /// When the first of them is to be asked for, or earlier.
    nack_us: Option<u64>,
    /// By the number of the packet that starts it.
    frames: BTreeMap<u64, Partial>,
    decoded: VecDeque<u64>,
    /// The last packet of the frame that was decoded last.
    decoded_to: Option<u64>,
    last_pli_us: Option<u64>,
    last_report: Option<(u32, u64)>,
    /// Expected and received at the last report.
    reported: (u64, u64),
    sounds: BTreeSet<u64>,
    pub(crate) shown: Vec<Shown>,
    pub(crate) first_packet_us: Option<u64>,
    pub(crate) plis: Vec<u64>,
    pub(crate) nacked: u64,
    pub(crate) repaired: u64,
    pub(crate) media_bytes: u64,
    /// Frames that were complete and never decoded, or never complete.
    pub(crate) frames_dropped: u64,
    /// (last picture before, first picture after) of each hole in the stream.
    pub(crate) recoveries: Vec<(u64, u64)>,
    hole_us: Option<u64>,
}

impl Receiver {
    pub(crate) fn new(now_us: u64) -> Self {
        Self {
            transport: Unwrapper16::new(),
            arrivals: BTreeMap::new(),
            feedback_from: None,
            has_news: false,
            feedback_count: 0,
            next_feedback_us: now_us + FEEDBACK_US,
            next_report_us: now_us + REPORT_US / 4,
            rtt_us: 100_000,
            slots: Vec::new(),
            compound: Vec::new(),
        }
    }

    pub(crate) fn add_slot(&mut self, kind: Kind, ssrc: u32) {
        self.slots.push(SlotReceiver::new(kind, ssrc));
    }

    /// Takes a packet.
    pub(crate) fn handle_rtp(&mut self, now_us: u64, bytes: &[u8], size: usize) {
        let packet = RtpPacket::parse(bytes).expect("the plane sends RTP");
        if let Some(number) = packet.extension(OUT_TWCC).and_then(read_transport_sequence) {
            let number = self.transport.unwrap(number);
            self.arrivals.entry(number).or_insert(now_us);
            self.feedback_from = Some(self.feedback_from.map_or(number, |from| from.min(number)));
            self.has_news = true;
        }
        let rtt_us = self.rtt_us;
        let slot = self.slots.iter_mut().find(|slot| packet.ssrc == slot.ssrc || packet.ssrc == slot.ssrc + 1);
        let slot = slot.expect("an SSRC that was negotiated");
        slot.handle_rtp(now_us, &packet, size, rtt_us);
    }

    /// Takes a compound: sender reports and the answers to reference times.
    pub(crate) fn handle_rtcp(&mut self, now_us: u64, compound: &[u8]) {
        for packet in packets(compound) {
            match packet.expect("the plane sends valid RTCP") {
                Packet::SenderReport { ssrc, ntp, .. } => {
                    if let Some(slot) = self.slots.iter_mut().find(|slot| slot.ssrc == ssrc) {
                        slot.last_report = Some((ntp.compact(), now_us));
                    }
                }
                Packet::ExtendedReport { blocks, .. } => {
                    for block in blocks {
                        if let XrBlock::DelaySinceLast(answers) = block {
                            for answer in answers {
                                let now = wall(now_us);
                                let (last, delay) = (answer.last_receiver_report, answer.delay_since_last);
                                if let Some(rtt) = roundtable_wire::time::round_trip(now, last, delay) {
                                    self.rtt_us = rtt.as_micros() as u64;
                                }
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// When [`Receiver::handle_timeout`] is worth calling.
    pub(crate) fn poll_timeout(&self) -> u64 {
        let slots = self.slots.iter().filter_map(|slot| slot.poll_timeout(self.rtt_us)).min();
        slots.unwrap_or(u64::MAX).min(self.next_feedback_us).min(self.next_report_us)
    }

    /// Does what is due; compounds go to `out`.
    pub(crate) fn handle_timeout(&mut self, now_us: u64, out: &mut Vec<Vec<u8>>) {
        let mut compound = std::mem::take(&mut self.compound);
        compound.clear();
        let rtt_us = self.rtt_us;
        let mut writer = Writer::new(&mut compound);
        let is_report = now_us >= self.next_report_us;
        if is_report {
            self.next_report_us = now_us + REPORT_US;
            let blocks: Vec<_> = self.slots.iter_mut().filter_map(|slot| slot.report(now_us)).collect();
            writer.receiver_report(REPORTER, &blocks);
            writer.receiver_reference_time(REPORTER, wall(now_us));
        }
        for slot in &mut self.slots {
            slot.decode(now_us, rtt_us);
            slot.ask(now_us, rtt_us, &mut writer);
        }
        if now_us >= self.next_feedback_us {
            self.next_feedback_us = now_us + FEEDBACK_US;
            self.write_feedback(&mut compound);
        }
        if !compound.is_empty() {
            out.push(compound.clone());
        }
        self.compound = compound;
    }

    fn write_feedback(&mut self, compound: &mut Vec<u8>) {
        let (Some(from), Some((&last, _))) = (self.feedback_from, self.arrivals.last_key_value()) else { return };
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        self.feedback_from = Some(last + 1);
        let times: Vec<_> = (from..=last).map(|number| self.arrivals.get(&number).copied()).collect();
        // Only a stream that is there may be named.
        let media = self.slots.iter().find(|slot| slot.first.is_some()).map_or(0, |slot| slot.ssrc);
        let written = Writer::new(compound).twcc(REPORTER, media, self.feedback_count, from as u16, &times);
        self.feedback_count = self.feedback_count.wrapping_add(written);
        self.arrivals = self.arrivals.split_off(&last.saturating_sub(FEEDBACK_REACH));
    }
}

impl SlotReceiver {
    fn new(kind: Kind, ssrc: u32) -> Self {
        Self {
            kind,
            ssrc,
            ends_by_marker: false,
            sequences: Unwrapper16::new(),
            received: 0,
            first: None,
            missing: BTreeMap::new(),
            nack_us: None,
            frames: BTreeMap::new(),
            decoded: VecDeque::new(),
            decoded_to: None,
            last_pli_us: None,
            last_report: None,
            reported: (0, 0),
            sounds: BTreeSet::new(),
            shown: Vec::new(),
            first_packet_us: None,
            plis: Vec::new(),
            nacked: 0,
            repaired: 0,
            media_bytes: 0,
            frames_dropped: 0,
            recoveries: Vec::new(),
            hole_us: None,
        }
    }

    /// The share of sounds that had to be concealed.
    pub(crate) fn concealed(&self) -> f64 {
        let (Some(first), Some(last)) = (self.sounds.first(), self.sounds.last()) else { return 1.0 };
        1.0 - self.sounds.len() as f64 / (last - first + 1) as f64
    }

    fn handle_rtp(&mut self, now_us: u64, packet: &RtpPacket<'_>, size: usize, rtt_us: u64) {
        self.first_packet_us.get_or_insert(now_us);
        if packet.ssrc == self.ssrc {
            self.media_bytes += (size + OVERHEAD) as u64;
            let highest = self.sequences.highest();
            let number = self.sequences.unwrap(packet.sequence);
            if self.note(now_us, number, highest) && self.may_end(packet.marker, packet.payload) {
                self.take(now_us, number, packet.payload_type, packet.payload, rtt_us);
            }
            return;
        }
        // What is padding only, or repeats what is here, probes the path.
        let Some((sequence, payload)) = rtx::split(packet.payload) else { return };
        let number = self.sequences.peek(sequence);
        if self.missing.remove(&number).is_some() {
            self.repaired += 1;
            if self.may_end(packet.marker, payload) {
                self.take(now_us, number, packet.payload_type, payload, rtt_us);
            }
        }
    }

    /// Whether a packet is of use: to one who knows frames by the marker only, the last packets of others are not.
    fn may_end(&self, marker: bool, payload: &[u8]) -> bool {
        let ends = Piece::read(payload).is_some_and(|piece| piece.part + 1 == piece.parts);
        marker || !ends || !self.ends_by_marker || self.kind == Kind::Audio
    }

    /// Keeps the list of what is missing; false for what is here already. `highest` came before.
    fn note(&mut self, now_us: u64, number: u64, highest: Option<u64>) -> bool {
        let Some(highest) = highest else {
            (self.first, self.received) = (Some(number), 1);
            return true;
        };
        if number > highest {
            self.received += 1;
            if self.kind == Kind::Video {
                for missing in highest + 1..number {
                    let entry = Missing { since_us: now_us, next_us: now_us + 5000, tries: 0 };
                    self.missing.insert(missing, entry);
                }
                if number > highest + 1 {
                    self.nack_us = Some(self.nack_us.map_or(now_us + 5000, |due| due.min(now_us + 5000)));
                    self.hole_us.get_or_insert(now_us);
                }
            }
            return true;
        }
        // The first packets may have been reordered.
        let is_before = self.decoded_to.is_none() && self.first.is_some_and(|first| number < first);
        if is_before {
            self.first = Some(number);
        }
        let is_new = self.kind == Kind::Audio || is_before || self.missing.remove(&number).is_some();
        self.received += u64::from(is_new);
        is_new
    }

    fn take(&mut self, now_us: u64, number: u64, payload_type: u8, payload: &[u8], rtt_us: u64) {
        let Some(piece) = Piece::read(payload) else { return };
        if self.kind == Kind::Audio {
            self.hear(payload_type, payload, &piece);
            return;
        }
        let start = number - u64::from(piece.part);
        if self.decoded_to.is_some_and(|to| start <= to) {
            return;
        }
        let decoded = &self.decoded;
        let fresh = || Partial { piece, parts: 0, complete_us: None, has_refs: has_refs(decoded, &piece) };
        let partial = self.frames.entry(start).or_insert_with(fresh);
        if partial.piece.key() != piece.key() {
            return; // Numbers of one frame that do not follow each other never make a frame.
        }
        assert!(piece.parts <= 128, "a frame of more than 128 packets");
        partial.parts |= 1 << piece.part;
        if partial.parts.count_ones() == u32::from(piece.parts) {
            partial.complete_us = Some(now_us);
            self.decode(now_us, rtt_us);
        }
        if self.frames.len() > MAX_FRAMES {
            self.frames.pop_first();
            self.frames_dropped += 1;
        }
    }

    fn hear(&mut self, payload_type: u8, payload: &[u8], piece: &Piece) {
        self.sounds.insert(piece.key());
        if out_codec(payload_type).is_some_and(|(codec, _)| codec == Codec::Red) {
            let blocks = Blocks::parse(payload).expect("redundant audio is well-formed");
            let older = blocks.redundant().iter().filter_map(|block| Piece::read(block.data));
            self.sounds.extend(older.map(|older| older.key()));
        }
    }

    /// Decodes all that can be decoded now.
    fn decode(&mut self, now_us: u64, rtt_us: u64) {
        while let Some(start) = self.next_decodable(now_us, rtt_us) {
            let partial = self.frames.remove(&start).expect("it was found there");
            let rest = self.frames.split_off(&start);
            self.frames_dropped += self.frames.len() as u64;
            self.frames = rest;
            self.show(now_us, start, &partial.piece);
        }
    }

    fn next_decodable(&self, now_us: u64, rtt_us: u64) -> Option<u64> {
        for (&start, partial) in &self.frames {
            let Some(complete_us) = partial.complete_us.filter(|_| partial.has_refs) else { continue };
            let stands_alone = partial.piece.refs == [0; 2];
            if stands_alone || !self.has_hole_before(start) || now_us >= complete_us + rtt_us + PATIENCE_US {
                return Some(start);
            }
        }
        None
    }

    /// Whether something before `start` may still come.
    fn has_hole_before(&self, start: u64) -> bool {
        let from = self.decoded_to.map_or(0, |to| to + 1);
        from < start && self.missing.range(from..start).next().is_some()
    }

    fn show(&mut self, now_us: u64, start: u64, piece: &Piece) {
        let has_hole = self.has_hole_before(start);
        self.decoded_to = Some(start + u64::from(piece.parts) - 1);
        self.decoded.push_back(piece.key());
        if self.decoded.len() > MAX_DECODED {
            self.decoded.pop_front();
        }
        for partial in self.frames.values_mut() {
            partial.has_refs = has_refs(&self.decoded, &partial.piece);
        }
        if piece.refs == [0; 2] {
            self.missing = self.missing.split_off(&start);
        }
        if let Some(hole_us) = self.hole_us.filter(|_| !has_hole) {
            self.recoveries.push((hole_us, now_us));
            self.hole_us = None;
        }
        let shown = Shown {
            at_us: now_us,
            track: piece.track,
            stream: piece.stream,
            layer: piece.layer,
            temporal: piece.temporal,
            picture: piece.picture,
            captured_us: piece.captured_us,
        };
        match self.shown.last_mut() {
            // A higher layer of the picture that is on the screen.
            Some(last) if (last.track, last.stream, last.picture) == (piece.track, piece.stream, piece.picture) => {
                last.layer = last.layer.max(piece.layer);
            }
            Some(_) | None => self.shown.push(shown),
        }
    }

    /// Since when something is stuck: complete and not to be decoded, or known to be missing.
    fn stuck_since(&self) -> Option<u64> {
        let waiting = self.frames.values().filter(|partial| !partial.has_refs);
        let frames = waiting.filter_map(|partial| partial.complete_us).min();
        frames.into_iter().chain(self.missing.values().next().map(|missing| missing.since_us)).min()
    }

    fn ask(&mut self, now_us: u64, rtt_us: u64, writer: &mut Writer<'_>) {
        let mut lost = Vec::new();
        // A little more than the round trip: what is on its way is not asked for again.
        let repeat_us = rtt_us.max(NACK_SPACING_US) + 5000;
        for (&number, missing) in &mut self.missing {
            if missing.next_us <= now_us {
                (missing.tries, missing.next_us) = (missing.tries + 1, now_us + repeat_us);
                lost.push(number as u16);
            }
        }
        self.nack_us = self.missing.values().map(|missing| missing.next_us).min();
        let is_hopeless = self.missing.len() > MAX_MISSING;
        self.missing.retain(|_, missing| missing.tries <= NACK_TRIES && !is_hopeless);
        self.nacked += lost.len() as u64;
        writer.nack(REPORTER, self.ssrc, &lost);
        let may_ask = self.last_pli_us.is_none_or(|last| now_us >= last + PLI_SPACING_US);
        let is_stuck = self.stuck_since().is_some_and(|since| now_us >= since + STUCK_US);
        if may_ask && (is_stuck || is_hopeless) {
            self.last_pli_us = Some(now_us);
            self.plis.push(now_us);
            writer.pli(REPORTER, self.ssrc);
        }
    }

    fn poll_timeout(&self, rtt_us: u64) -> Option<u64> {
        if self.kind == Kind::Audio {
            return None;
        }
        let nack = self.nack_us.filter(|_| !self.missing.is_empty());
        let pli = self.stuck_since().map(|since| {
            let spaced = self.last_pli_us.map_or(0, |last| last + PLI_SPACING_US);
            (since + STUCK_US).max(spaced)
        });
        let patience = self.frames.values().filter(|partial| partial.has_refs);
        let patience = patience.filter_map(|partial| partial.complete_us).map(|at| at + rtt_us + PATIENCE_US).min();
        nack.into_iter().chain(pli).chain(patience).min()
    }

    fn report(&mut self, now_us: u64) -> Option<ReportBlock> {
        let (first, highest) = (self.first?, self.sequences.highest()?);
        let expected = highest - first + 1;
        let (new_expected, new_received) = (expected - self.reported.0, self.received - self.reported.1);
        self.reported = (expected, self.received);
        let lost = new_expected.saturating_sub(new_received);
        let fraction = (lost * 256).checked_div(new_expected).unwrap_or(0).min(255);
        let (last_sender_report, since_us) = self.last_report.unwrap_or((0, now_us));
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: expected as i32 - self.received as i32,
            highest_sequence: highest as u32,
            jitter: 0,
            last_sender_report,
            delay_since_last: compact_span(std::time::Duration::from_micros(now_us - since_us)),
        })
    }
}

fn has_refs(decoded: &VecDeque<u64>, piece: &Piece) -> bool {
    piece.ref_keys().all(|key| decoded.iter().rev().any(|&known| known == key))
}

/// The simulation's wall clock.
fn wall(now_us: u64) -> NtpTime {
    NtpTime::from_unix_micros(UNIX_MICROS + now_us)
}
