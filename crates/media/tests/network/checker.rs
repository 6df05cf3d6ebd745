//! The wire checker: whoever owns a slot, what leaves for it must look as if there had only ever been one sender.
//!
//! It sees every packet when it leaves the plane. What can be judged from two packets that follow each other is judged
//! when the second of them has been seen; what needs the whole stream (holes, references) by [`Checker::finish`].

use std::collections::{BTreeMap, HashMap, HashSet};

use roundtable_wire::codec::vp9;
use roundtable_wire::dependency::StructureHistory;
use roundtable_wire::{Codec, Kind, RtpPacket, Unwrapper32, newer16, rtx, vp8};

use crate::negotiated::{OUT_DEPENDENCY, out_codec};
use crate::piece::Piece;

/// Timestamps may be this much further than arrival, counted from the slot's first packet: a keyframe that waited.
const MAX_LEAD_US: i64 = 250_000;
/// Packets before that of another owner of which some may come after it.
const LATE: usize = 64;
/// Faults that are told in full.
const MAX_TOLD: usize = 20;

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    ForeignSsrc,
    PayloadType,
    ForeignPayload,
    RepeatedSequence,
    Hole,
    TimestampBack,
    TimestampInFrame,
    TimestampLead,
    Marker,
    Interleaved,
    PictureId,
    Tl0,
    Vp9Reference,
    NoDescriptor,
    BadDescriptor,
    NoStructure,
    FrameNumber,
    FrameReference,
    InactiveTarget,
    NotForwarded,
    RtxNeverSent,
    RtxDiffers,
    RtxSequence,
}

/// What is kept of a packet.
#[derive(Debug, Clone)]
struct Seen {
    piece: Option<Piece>,
    timestamp: u64,
    marker: bool,
    codec: Codec,
    picture_id: Option<u16>,
    tl0: Option<u8>,
    is_flexible: bool,
    frame_number: Option<u16>,
}

/// What a frame said it needs.
#[derive(Debug)]
struct Needs {
    piece: Piece,
    /// By VP9 picture id or by frame number, as they left.
    pictures: Vec<u16>,
    frames: Option<Vec<u16>>,
}

/// One slot for life.
#[derive(Debug)]
pub(crate) struct Checker {
    kind: Kind,
    ssrc: u32,
    has_dependency: bool,
    packets: BTreeMap<u64, Seen>,
    timestamps: Unwrapper32,
    start: Option<(u64, u64)>,
    structures: StructureHistory,
    needs: HashMap<u64, Needs>,
    last_rtx: Option<u64>,
    faults: Vec<(Fault, String)>,
    pub(crate) count: u64,
    pub(crate) rtx_count: u64,
    /// The most by which a timestamp was ahead of its packet, from the slot's first packet on.
    pub(crate) lead_us: i64,
}

/// What of each publisher's stream reached the plane, and in which order.
pub(crate) type Reached = HashMap<(u16, u8, u32), u64>;

impl Checker {
    /// `has_dependency` says that every video packet is to carry a descriptor, as the publishers send them.
    pub(crate) fn new(kind: Kind, ssrc: u32, has_dependency: bool) -> Self {
        Self {
            kind,
            ssrc,
            has_dependency: has_dependency && kind == Kind::Video,
            packets: BTreeMap::new(),
            timestamps: Unwrapper32::new(),
            start: None,
            structures: StructureHistory::new(),
            needs: HashMap::new(),
            last_rtx: None,
            faults: Vec::new(),
            count: 0,
            rtx_count: 0,
            lead_us: 0,
        }
    }

    /// Takes a packet as it leaves; `roc` is the rollover counter it is sealed with, `reached` what has come so far.
    pub(crate) fn handle(&mut self, now_us: u64, bytes: &[u8], roc: u32, reached: &Reached) {
        let packet = RtpPacket::parse(bytes).expect("RTP");
        let index = u64::from(roc) << 16 | u64::from(packet.sequence);
        let Some((codec, is_rtx)) = out_codec(packet.payload_type).filter(|(codec, _)| codec.kind() == self.kind)
        else {
            return self.fault(Fault::PayloadType, format!("{} at {index}", packet.payload_type));
        };
        match packet.ssrc {
            ssrc if ssrc == self.ssrc && !is_rtx => self.handle_media(now_us, index, codec, &packet, reached),
            ssrc if ssrc == self.ssrc + 1 && is_rtx => self.handle_rtx(now_us, index, codec, &packet, reached),
            ssrc => self.fault(Fault::ForeignSsrc, format!("{ssrc} at {index}")),
        }
    }

    /// Judges what needs the whole stream and returns all faults. Holes are explained by what did not reach the plane.
    pub(crate) fn finish(&mut self, reached: &Reached) -> Vec<(Fault, String)> {
        self.check_holes(reached);
        self.check_needs(reached);
        std::mem::take(&mut self.faults)
    }

    fn handle_media(&mut self, now_us: u64, index: u64, codec: Codec, packet: &RtpPacket<'_>, reached: &Reached) {
        self.count += 1;
        if self.packets.contains_key(&index) {
            return self.fault(Fault::RepeatedSequence, format!("{index}"));
        }
        self.admit(now_us, index, codec, packet, packet.payload, reached);
    }

    /// Takes what the subscriber sees under the number `index` for the first time.
    fn admit(
        &mut self,
        now_us: u64,
        index: u64,
        codec: Codec,
        packet: &RtpPacket<'_>,
        payload: &[u8],
        reached: &Reached,
    ) {
        let piece = Piece::read(payload);
        // Padding, or parameter sets the plane has kept, are nobody's piece.
        if piece.is_none() && !payload.is_empty() && !matches!(codec, Codec::H264 { .. }) {
            self.fault(Fault::ForeignPayload, format!("{index}"));
        }
        let timestamp = self.timestamps.unwrap(packet.timestamp);
        self.check_lead(now_us, index, timestamp);
        let mut seen = Seen {
            piece,
            timestamp,
            marker: packet.marker,
            codec,
            picture_id: None,
            tl0: None,
            is_flexible: false,
            frame_number: None,
        };
        if let Some(piece) = piece {
            self.read_payload(index, codec, payload, &piece, &mut seen);
            self.read_dependency(index, packet, &piece, &mut seen);
        }
        self.check_order(index, &seen);
        self.packets.insert(index, seen);
        for first in [index - 1, index] {
            self.check_pair(first, reached);
        }
    }

    fn read_payload(&mut self, index: u64, codec: Codec, payload: &[u8], piece: &Piece, seen: &mut Seen) {
        match codec {
            Codec::Vp8 => match vp8::Descriptor::parse(payload) {
                Ok(descriptor) => {
                    seen.picture_id = descriptor.picture_id.map(vp8::PictureId::value);
                    seen.tl0 = descriptor.tl0_pic_idx;
                }
                Err(_) => self.fault(Fault::BadDescriptor, format!("VP8 at {index}")),
            },
            Codec::Vp9 { .. } => match vp9::Descriptor::parse(payload) {
                Ok(descriptor) => {
                    seen.picture_id = descriptor.picture_id.map(vp8::PictureId::value);
                    seen.tl0 = descriptor.layer.and_then(|layer| layer.tl0_pic_idx);
                    seen.is_flexible = descriptor.flexible;
                    let id = seen.picture_id.unwrap_or(0);
                    let diffs = descriptor.references.as_slice();
                    let pictures = diffs.iter().map(|&diff| id.wrapping_sub(diff.into()) & 0x7fff).collect();
                    let needs = Needs { piece: *piece, pictures, frames: None };
                    self.needs.entry(piece.key()).or_insert(needs);
                }
                Err(_) => self.fault(Fault::BadDescriptor, format!("VP9 at {index}")),
            },
            Codec::H264 { .. } | Codec::Av1 | Codec::Opus | Codec::Red => {}
        }
    }

    fn read_dependency(&mut self, index: u64, packet: &RtpPacket<'_>, piece: &Piece, seen: &mut Seen) {
        if !self.has_dependency {
            return;
        }
        let Some(data) = packet.extension(OUT_DEPENDENCY) else {
            return self.fault(Fault::NoDescriptor, format!("{index} {piece:?}"));
        };
        let read = self.structures.handle(index, data).map(|received| {
            let is_fed = received.frame.dtis.present() & received.active_decode_targets != 0;
            (received.frame, received.carries_structure, is_fed)
        });
        let Ok((frame, carries_structure, is_fed)) = read else {
            return self.fault(Fault::BadDescriptor, format!("dependency descriptor at {index}: {read:?}"));
        };
        let starts = piece.part == 0 && piece.is_key && piece.refs == [0; 2];
        if starts && !carries_structure {
            self.fault(Fault::NoStructure, format!("{index}"));
        }
        // One that comes late was sent for what was fed before.
        let is_late = self.packets.last_key_value().is_some_and(|(&newest, _)| index < newest);
        if !is_fed && !is_late {
            self.fault(Fault::InactiveTarget, format!("{index} {piece:?}"));
        }
        if (frame.is_start, frame.is_end) != (piece.part == 0, piece.part + 1 == piece.parts) {
            self.fault(Fault::BadDescriptor, format!("start and end at {index}"));
        }
        seen.frame_number = Some(frame.number);
        let frames = frame.frame_diffs.as_slice().iter().map(|&diff| frame.number.wrapping_sub(diff)).collect();
        let needs = Needs { piece: *piece, pictures: Vec::new(), frames: None };
        self.needs.entry(piece.key()).or_insert(needs).frames.get_or_insert(frames);
    }

    fn check_lead(&mut self, now_us: u64, index: u64, timestamp: u64) {
        let rate = if self.kind == Kind::Video { 90 } else { 48 };
        let (at_us, first) = *self.start.get_or_insert((now_us, timestamp));
        let media_us = (timestamp as i64 - first as i64) * 1000 / rate;
        let lead = media_us - (now_us as i64 - at_us as i64);
        self.lead_us = self.lead_us.max(lead);
        if lead > MAX_LEAD_US {
            self.fault(Fault::TimestampLead, format!("{lead} µs at {index}"));
        }
    }

    /// Timestamps never go back in the order of the stream.
    fn check_order(&mut self, index: u64, seen: &Seen) {
        let before = self.packets.range(..index).next_back().map(|(_, seen)| seen.timestamp);
        let after = self.packets.range(index + 1..).next().map(|(_, seen)| seen.timestamp);
        if before.is_some_and(|before| before > seen.timestamp) || after.is_some_and(|after| after < seen.timestamp) {
            self.fault(Fault::TimestampBack, format!("{index}: {before:?} {} {after:?}", seen.timestamp));
        }
    }

    /// Judges the packet numbered `index` with the next one, if both are there.
    fn check_pair(&mut self, index: u64, reached: &Reached) {
        let (Some(a), Some(b)) = (self.packets.get(&index), self.packets.get(&(index + 1))) else { return };
        let (Some(from), Some(to)) = (a.piece, b.piece) else { return };
        let mut faults = Vec::new();
        let mut fault = |fault, text: String| faults.push((fault, format!("{text} at {index}: {from:?} then {to:?}")));
        let is_same = (from.track, from.picture, from.stream) == (to.track, to.picture, to.stream);
        // A new owner takes over from one whose last frame has not come as a whole, and perhaps never will. One that
        // begins in the past may do so at any time. A larger encoding that no longer fits is left in the middle of a frame.
        let is_switch = (from.track, from.stream) != (to.track, to.stream);
        let is_left = from.track == to.track && to.stream < from.stream && to.is_key;
        let order = |piece: &Piece, ahead: u32| reached.get(&(piece.track, piece.stream, piece.sequence + ahead));
        let is_open = order(&from, 1).is_none_or(|rest| order(&to, 0).is_some_and(|to| rest > to));
        let is_cut = is_switch && (is_left || is_open || order(&to, 0) < order(&from, 0));
        if self.kind == Kind::Video && is_same == a.marker && !is_cut {
            fault(Fault::Marker, format!("marker {}", a.marker));
        }
        if is_same != (a.timestamp == b.timestamp) {
            fault(Fault::TimestampInFrame, format!("{} {}", a.timestamp, b.timestamp));
        }
        let follows = if from.key() == to.key() { to.part == from.part + 1 } else { to.part == 0 };
        if !follows || from.key() != to.key() && from.part + 1 != from.parts && !is_cut {
            fault(Fault::Interleaved, "parts of frames".to_owned());
        }
        if a.codec == b.codec {
            check_pictures(a, b, &from, &to, is_same, &mut fault);
            check_frame_numbers(a, b, &from, &to, &mut fault);
        }
        for (kind, text) in faults {
            self.fault(kind, text);
        }
    }

    fn handle_rtx(&mut self, now_us: u64, index: u64, codec: Codec, packet: &RtpPacket<'_>, reached: &Reached) {
        self.rtx_count += 1;
        if self.last_rtx.is_some_and(|last| index != last + 1) {
            self.fault(Fault::RtxSequence, format!("{index} after {:?}", self.last_rtx));
        }
        self.last_rtx = Some(index);
        let Some((sequence, payload)) = rtx::split(packet.payload) else { return };
        let newest = self.packets.last_key_value().map_or(0, |(&newest, _)| newest);
        // The newest number that ends like this.
        let back = (newest as u16).wrapping_sub(sequence);
        let number = newest.saturating_sub(u64::from(back));
        let Some(original) = self.packets.get(&number) else {
            // What came too late to be sent in its place fills the hole it had left.
            let first = self.packets.first_key_value().map_or(u64::MAX, |(&first, _)| first);
            return if (first..newest).contains(&number) {
                self.admit(now_us, number, codec, packet, payload, reached);
            } else {
                self.fault(Fault::RtxNeverSent, format!("{sequence} by {index}"));
            };
        };
        let is_same = (original.timestamp as u32, original.marker, original.piece)
            == (packet.timestamp, packet.marker, Piece::read(payload));
        if !is_same {
            self.fault(Fault::RtxDiffers, format!("{sequence} by {index}"));
        }
    }

    /// Every hole must be as wide as what its neighbours show to have been lost before it came here, at most. Shortly
    /// before another owner what has come too late to be sent before that counts as lost.
    fn check_holes(&mut self, reached: &Reached) {
        let known: Vec<(u64, Option<Piece>)> = self.packets.iter().map(|(&index, seen)| (index, seen.piece)).collect();
        for (at, pair) in known.windows(2).enumerate() {
            let (hole, Some(from), Some(to)) = (pair[1].0 - pair[0].0 - 1, pair[0].1, pair[1].1) else { continue };
            if hole == 0 {
                continue;
            }
            let is_one_source = (from.track, from.stream) == (to.track, to.stream) && from.sequence < to.sequence;
            let between = if is_one_source { from.sequence + 1..to.sequence } else { 0..0 };
            let is_other = |piece: &Piece| (piece.track, piece.stream) != (from.track, from.stream);
            let near = known[at..].iter().take(LATE).filter_map(|(_, piece)| *piece).find(is_other);
            let switch = near.and_then(|to| reached.get(&(to.track, to.stream, to.sequence)));
            let is_lost = |&sequence: &u32| {
                let order = reached.get(&(from.track, from.stream, sequence));
                order.is_none_or(|order| switch.is_some_and(|switch| order > switch))
            };
            let lost = between.filter(is_lost).count();
            if hole > lost as u64 {
                let text = format!("{hole} after {}, {lost} explained: {from:?} then {to:?}", pair[0].0);
                self.fault(Fault::Hole, text);
            }
        }
    }

    /// Whatever a frame says it needs must be what its encoder needed, and have been forwarded.
    fn check_needs(&mut self, reached: &Reached) {
        let (mut by_picture, mut by_number) = (HashMap::new(), HashMap::<_, Vec<u64>>::new());
        let mut sent = HashSet::new();
        for seen in self.packets.values() {
            let Some(piece) = seen.piece else { continue };
            sent.insert(piece.key());
            if let Some(id) = seen.picture_id {
                by_picture.entry((id, piece.track)).or_insert_with(Vec::new).push(piece.picture);
            }
            if let Some(number) = seen.frame_number {
                by_number.entry(number).or_default().push(piece.key());
            }
        }
        let lossless = self.nothing_lost(reached);
        let all = std::mem::take(&mut self.needs);
        let pictures: HashMap<u64, u32> = all.iter().map(|(&key, needs)| (key, needs.piece.picture)).collect();
        for needs in all.values() {
            let refs: Vec<u64> = needs.piece.ref_keys().collect();
            if lossless && refs.iter().any(|key| !sent.contains(key)) {
                self.fault(Fault::NotForwarded, format!("{:?}", needs.piece));
            }
            let true_pictures: Vec<u32> = refs.iter().filter_map(|key| pictures.get(key).copied()).collect();
            for id in &needs.pictures {
                let candidates = by_picture.get(&(*id, needs.piece.track));
                let is_true = candidates.is_some_and(|all| all.iter().any(|at| true_pictures.contains(at)));
                if lossless && !is_true {
                    self.fault(Fault::Vp9Reference, format!("picture {id} of {:?}", needs.piece));
                }
            }
            for number in needs.frames.iter().flatten() {
                let is_true = by_number.get(number).is_some_and(|all| all.iter().any(|key| refs.contains(key)));
                if lossless && !is_true {
                    self.fault(Fault::FrameReference, format!("frame {number} of {:?}", needs.piece));
                }
            }
        }
    }

    /// Whether all that lies between packets of one source has reached the plane.
    fn nothing_lost(&self, reached: &Reached) -> bool {
        let mut spans: HashMap<(u16, u8), (u32, u32)> = HashMap::new();
        for piece in self.packets.values().filter_map(|seen| seen.piece) {
            let span = spans.entry((piece.track, piece.stream)).or_insert((piece.sequence, piece.sequence));
            *span = (span.0.min(piece.sequence), span.1.max(piece.sequence));
        }
        let mut all =
            spans.into_iter().flat_map(|((track, stream), (from, to))| (from..=to).map(move |at| (track, stream, at)));
        all.all(|at| reached.contains_key(&at))
    }

    fn fault(&mut self, fault: Fault, text: String) {
        let text = if self.faults.len() < MAX_TOLD { text } else { String::new() };
        self.faults.push((fault, text));
    }
}

/// Picture ids and counts of the base layer, as a decoder expects them.
fn check_pictures(a: &Seen, b: &Seen, from: &Piece, to: &Piece, is_same: bool, fault: &mut impl FnMut(Fault, String)) {
    let (Some(x), Some(y)) = (a.picture_id, b.picture_id) else { return };
    let step = y.wrapping_sub(x) & 0x7fff;
    let is_one_source = (from.track, from.stream) == (to.track, to.stream);
    let is_right = if is_same {
        step == 0
    } else if matches!(b.codec, Codec::Vp9 { .. }) && is_one_source {
        // The pattern, or what pictures say they need, counts those that are left out too.
        let source = to.picture.wrapping_sub(from.picture);
        if b.is_flexible {
            (1..=64).contains(&step)
        } else {
            (1..=64).contains(&step) && u32::from(step) % 4 == source % 4
        }
    } else {
        step == 1
    };
    if !is_right {
        fault(Fault::PictureId, format!("{x} then {y}"));
    }
    let (Some(x), Some(y)) = (a.tl0, b.tl0) else { return };
    let expected = x.wrapping_add(u8::from(!is_same && to.temporal == 0));
    if y != expected {
        fault(Fault::Tl0, format!("{x} then {y}"));
    }
}

fn check_frame_numbers(a: &Seen, b: &Seen, from: &Piece, to: &Piece, fault: &mut impl FnMut(Fault, String)) {
    let (Some(x), Some(y)) = (a.frame_number, b.frame_number) else { return };
    if if from.key() == to.key() { x != y } else { !newer16(y, x) } {
        fault(Fault::FrameNumber, format!("{x} then {y}"));
    }
}
