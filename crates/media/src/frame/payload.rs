//! Frames by what stands in front of their payloads, where there are no dependency descriptors.
//!
//! Decode targets are a grid of the spatial and temporal layers seen or announced, spatial layer by spatial layer.

use roundtable_wire::codec::{av1, h264};
use roundtable_wire::{Codec, starts_keyframe, vp8, vp9};

use crate::frame::{Covers, FrameInfo, Piece, Target};

/// Spatial layers, as many as VP9 can number.
const MAX_SPATIAL: u8 = 8;
/// Temporal layers; with these a grid has 32 targets. Higher ones count as the highest.
const MAX_TEMPORAL: u8 = 4;
/// Frames remembered for late packets and for those that need the layer below; the oldest is forgotten.
const REMEMBERED: usize = 32;

/// What is known of the payloads of a stream.
#[derive(Debug)]
pub(super) struct Payloads {
    codec: Option<Codec>,
    spatial: u8,
    temporal: u8,
    sizes: [Option<(u16, u16)>; MAX_SPATIAL as usize],
    /// The packet that last announced the layers.
    announced: u64,
    prediction: Prediction,
    /// Bit t: so far every frame of temporal layer t was a point to switch up to it.
    always_up: u8,
    frames: [Seen; REMEMBERED],
    /// The frame that was found last, and where the next one goes.
    latest: usize,
    next: usize,
}

/// Whether spatial layers need those below in every picture or in key pictures only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prediction {
    Always,
    OnKeyPictures,
}

/// A frame of which packets came.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    timestamp: u32,
    spatial: u8,
    /// The packet that came first; tells the frame from others.
    number: u64,
    /// The lowest and the highest packet; an empty place has the lowest above the highest.
    lowest: u64,
    highest: u64,
    is_key: bool,
    present: u32,
}

/// What one payload says.
#[derive(Debug, Default)]
struct Said {
    spatial: u8,
    temporal: u8,
    starts: Start,
    ends: Option<bool>,
    /// The packet is the first of a keyframe, or of any frame that needs no earlier picture.
    is_key: bool,
    needs_lower: bool,
    /// One may switch up to the temporal layer.
    switching_up: bool,
    /// A frame to switch up with needs the base layer only.
    needs_base_only: bool,
    non_reference: bool,
}

/// Whether a payload is the first of its frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Start {
    Yes,
    #[default]
    No,
    /// If none of the frame came before, and this either looks like one or follows the frame before at once.
    Perhaps {
        looks_so: bool,
    },
}

/// What is known of a packet's frame.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) info: FrameInfo,
    /// The packet of the frame that came first: a number that rises from frame to frame.
    pub(super) first: u64,
    pub(super) has_new_targets: bool,
}

impl Default for Payloads {
    fn default() -> Self {
        Self {
            codec: None,
            spatial: 1,
            temporal: 1,
            sizes: [None; MAX_SPATIAL as usize],
            announced: 0,
            prediction: Prediction::Always,
            always_up: u8::MAX,
            frames: [Seen { lowest: u64::MAX, ..Seen::default() }; REMEMBERED],
            latest: 0,
            next: 0,
        }
    }
}

impl Payloads {
    /// Reads a payload; `None` if it is malformed.
    pub(super) fn read(&mut self, piece: &Piece<'_>) -> Option<Read> {
        let kind = std::mem::discriminant(&piece.codec);
        let is_other = self.codec.is_none_or(|codec| std::mem::discriminant(&codec) != kind);
        if is_other {
            // Of VP8 nothing is assumed: its usual patterns have frames that are none.
            let always_up = if piece.codec == Codec::Vp8 { 0 } else { u8::MAX };
            *self = Self { codec: Some(piece.codec), always_up, ..Self::default() };
        }
        let vp9 = match piece.codec {
            Codec::Vp9 { .. } => Some(vp9::Descriptor::parse(piece.payload).ok()?),
            _ => None,
        };
        let said = match &vp9 {
            Some(descriptor) => read_vp9(descriptor),
            None => read_other(piece)?,
        };
        let structure = vp9.and_then(|descriptor| descriptor.structure);
        let changed = self.learn(piece, &said, structure.as_ref());
        let (at, is_first) = self.find(piece, &said);
        let starts = match said.starts {
            Start::Yes => true,
            Start::No => false,
            Start::Perhaps { looks_so } => is_first && (looks_so || self.follows(piece.index)),
        };
        let lower = said.spatial.checked_sub(1).and_then(|below| self.seen(piece.timestamp, below));
        let lower = lower.map_or(0, |seen| seen.present);
        // An index that `find` has just returned.
        let seen = self.frames.get_mut(at)?;
        seen.is_key |= said.is_key;
        let (is_key, first) = (seen.is_key, seen.number);
        let mut info = self.frame(&said, is_key, lower);
        (info.starts, info.ends) = (starts, said.ends.unwrap_or(piece.marker));
        info.starts_keyframe = starts && said.is_key && said.spatial == 0;
        if let Some(seen) = self.frames.get_mut(at) {
            seen.present = info.present;
        }
        Some(Read { info, first, has_new_targets: changed || is_other })
    }

    /// The grid of targets, and what each covers.
    pub(super) fn targets(&self) -> (impl Iterator<Item = Target> + Clone + use<'_>, Covers) {
        let list = self.grid().map(|(_, spatial, temporal)| {
            let size = self.sizes.get(usize::from(spatial)).copied().flatten();
            Target { spatial, temporal, size }
        });
        let mut covers = [0; 32];
        for ((_, spatial, temporal), covered) in self.grid().zip(&mut covers) {
            *covered = self.mask(|s, t| t <= temporal && self.reaches(s, spatial, false));
        }
        (list, covers)
    }

    /// Learns which layers there are from those announced and those seen; returns whether there are others now.
    fn learn(&mut self, piece: &Piece<'_>, said: &Said, structure: Option<&vp9::ScalabilityStructure<'_>>) -> bool {
        let before = (self.spatial, self.temporal, self.sizes, self.prediction);
        if let Some(structure) = structure.filter(|_| piece.index >= self.announced) {
            self.announced = piece.index;
            self.spatial = structure.spatial_layer_count().min(MAX_SPATIAL);
            for (place, size) in self.sizes.iter_mut().zip(structure.sizes()) {
                *place = Some(size);
            }
        }
        if piece.index >= self.announced {
            self.spatial = self.spatial.max(said.spatial + 1);
            self.temporal = self.temporal.max(said.temporal + 1);
        }
        if piece.codec == Codec::Vp8 && said.is_key && said.starts == Start::Yes {
            let size = self.sizes.first_mut();
            let told = vp8_size(piece.payload);
            size.into_iter().for_each(|size| *size = told.or(*size));
        }
        if piece.is_newest {
            if said.spatial > 0 && !said.is_key {
                let always = said.needs_lower;
                self.prediction = if always { Prediction::Always } else { Prediction::OnKeyPictures };
            }
            if said.temporal > 0 && !said.switching_up {
                self.always_up &= !(1 << said.temporal);
            }
        }
        before != (self.spatial, self.temporal, self.sizes, self.prediction)
    }

    /// The place of a packet's frame, and whether the packet is before all that came of it.
    fn find(&mut self, piece: &Piece<'_>, said: &Said) -> (usize, bool) {
        let is_it = |seen: &Seen| {
            seen.lowest <= seen.highest && seen.timestamp == piece.timestamp && seen.spatial == said.spatial
        };
        let latest = Some(self.latest).filter(|&at| self.frames.get(at).is_some_and(is_it));
        let found = latest.or_else(|| self.frames.iter().position(is_it));
        if let Some((at, seen)) = found.and_then(|at| Some((at, self.frames.get_mut(at)?))) {
            let is_first = piece.index < seen.lowest;
            seen.lowest = seen.lowest.min(piece.index);
            seen.highest = seen.highest.max(piece.index);
            if piece.is_newest {
                self.latest = at;
            }
            return (at, is_first);
        }
        let at = self.next;
        self.next = (at + 1) % REMEMBERED;
        self.latest = at;
        if let Some(place) = self.frames.get_mut(at) {
            let (timestamp, spatial, index) = (piece.timestamp, said.spatial, piece.index);
            *place = Seen { timestamp, spatial, number: index, lowest: index, highest: index, ..Seen::default() };
        }
        (at, true)
    }

    /// Whether the packet before is the last that came of another frame.
    fn follows(&self, index: u64) -> bool {
        self.frames.iter().any(|seen| seen.lowest <= seen.highest && seen.highest + 1 == index)
    }

    fn seen(&self, timestamp: u32, spatial: u8) -> Option<&Seen> {
        let is_it =
            |seen: &&Seen| seen.timestamp == timestamp && seen.spatial == spatial && seen.lowest <= seen.highest;
        self.frames.iter().find(is_it)
    }

    /// Which targets a frame belongs to, lets up to, and is held by. `lower` are the targets of the frame below.
    fn frame(&self, said: &Said, is_key: bool, lower: u32) -> FrameInfo {
        let (spatial, temporal) = (said.spatial, said.temporal);
        let present = self.mask(|s, t| temporal <= t && self.reaches(spatial, s, is_key));
        let is_up = |t: u8| (temporal + 1..=t).all(|layer| self.always_up & 1 << layer != 0);
        let switch = if is_key && spatial == 0 {
            present
        } else if temporal == 0 || said.switching_up || is_key {
            present & self.mask(|s, t| s == spatial && is_up(t))
        } else {
            0
        };
        let needed = match (temporal, said.switching_up) {
            (0, _) => 0,
            (_, true) if said.needs_base_only => 0,
            (_, true) => temporal - 1,
            (_, false) => temporal,
        };
        let mut held = u32::MAX;
        if !is_key {
            held &= self.mask(|s, t| needed <= t && self.reaches(spatial, s, false));
        }
        if said.needs_lower {
            held &= lower;
        }
        let discardable = if said.non_reference { present } else { 0 };
        FrameInfo { spatial, temporal, present, switch, discardable, held, is_known: true, ..FrameInfo::default() }
    }

    /// Whether frames of spatial layer `layer` belong to targets of spatial layer `target`.
    fn reaches(&self, layer: u8, target: u8, is_key: bool) -> bool {
        match self.prediction {
            Prediction::OnKeyPictures if !is_key => layer == target,
            Prediction::OnKeyPictures | Prediction::Always => layer <= target,
        }
    }

    fn mask(&self, is_in: impl Fn(u8, u8) -> bool) -> u32 {
        self.grid().fold(0, |mask, (bit, spatial, temporal)| mask | u32::from(is_in(spatial, temporal)) << bit)
    }

    /// Number, spatial and temporal layer of every target.
    fn grid(&self) -> impl Iterator<Item = (u8, u8, u8)> + Clone + use<> {
        let (rows, columns) = (self.spatial, self.temporal);
        (0..rows).flat_map(move |spatial| {
            (0..columns).map(move |temporal| (spatial * columns + temporal, spatial, temporal))
        })
    }
}

fn read_vp9(descriptor: &vp9::Descriptor<'_>) -> Said {
    let layer = descriptor.layer.unwrap_or_default();
    Said {
        spatial: layer.spatial_id.min(MAX_SPATIAL - 1),
        temporal: layer.temporal_id.min(MAX_TEMPORAL - 1),
        starts: if descriptor.start { Start::Yes } else { Start::No },
        ends: Some(descriptor.end),
        is_key: !descriptor.inter_predicted,
        needs_lower: layer.inter_layer && layer.spatial_id > 0,
        switching_up: layer.switching_up,
        ..Said::default()
    }
}

fn read_other(piece: &Piece<'_>) -> Option<Said> {
    let is_key = starts_keyframe(piece.codec, piece.payload);
    match piece.codec {
        Codec::Vp8 => {
            let descriptor = vp8::Descriptor::parse(piece.payload).ok()?;
            let starts = descriptor.start && descriptor.partition == 0;
            Some(Said {
                temporal: descriptor.tid.unwrap_or(0),
                starts: if starts { Start::Yes } else { Start::No },
                is_key,
                switching_up: descriptor.y,
                needs_base_only: true,
                non_reference: descriptor.non_reference,
                ..Said::default()
            })
        }
        Codec::H264 { .. } => {
            let first = h264::Units::new(piece.payload).next()?;
            let non_reference = h264::Units::new(piece.payload).all(|unit| unit.reference_idc == 0);
            let starts = Start::Perhaps { looks_so: starts_picture(&first) };
            Some(Said { starts, is_key, non_reference, ..Said::default() })
        }
        Codec::Av1 => {
            let header = av1::AggregationHeader::parse(piece.payload).ok()?;
            Some(Said { starts: Start::Perhaps { looks_so: !header.continues }, is_key, ..Said::default() })
        }
        Codec::Vp9 { .. } => None,
        Codec::Opus | Codec::Red => {
            Some(Said { starts: Start::Yes, ends: Some(true), is_key: true, ..Said::default() })
        }
    }
}

/// Whether a unit can only be the first of a picture: a parameter set or delimiter, or a slice of the first
/// macroblock, whose number is the single bit of an `ue(v)` (RFC 6184 1.3, H.264 7.3.3).
fn starts_picture(unit: &h264::Unit<'_>) -> bool {
    const SLICES: std::ops::RangeInclusive<u8> = 1..=h264::IDR;
    const LEADING: std::ops::RangeInclusive<u8> = 6..=9;
    // A whole unit has its header byte, a fragment has not.
    let slice = unit.bytes.get(usize::from(unit.is_end));
    let is_first = SLICES.contains(&unit.unit_type) && slice.is_some_and(|byte| byte & 0x80 != 0);
    unit.is_start && (is_first || LEADING.contains(&unit.unit_type))
}

/// Width and height of a VP8 keyframe (RFC 6386 9.1).
fn vp8_size(payload: &[u8]) -> Option<(u16, u16)> {
    let descriptor = vp8::Descriptor::parse(payload).ok()?;
    match *payload.get(descriptor.len..)? {
        [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] => {
            let side = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            Some((side(w0, w1), side(h0, h1)))
        }
        _ => None,
    }
}
