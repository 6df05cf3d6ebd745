//! What one packet says of the frame it belongs to, whatever the codec, read once for all who may get it.
//!
//! A packet with a dependency descriptor is read by that alone, so frames may be encrypted end to end. Without one the
//! payload tells. A stream may change from one to the other: to descriptors at once, from them with a keyframe.

mod described;
mod payload;
#[cfg(test)]
mod tests;

use roundtable_wire::dependency::{Layout, MAX_DECODE_TARGETS, Mandatory};
use roundtable_wire::{Codec, Unwrapper16, starts_keyframe};

use self::described::Described;
use self::payload::Payloads;

/// What one packet says of its frame. Decode targets are numbered as in [`FrameReader::targets`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// The packet is the first of the frame.
    pub(crate) starts: bool,
    /// The packet is the last of the frame.
    pub(crate) ends: bool,
    /// The packet is the first of a frame from which decoding can start.
    pub(crate) starts_keyframe: bool,
    /// The same for all packets of a frame, and larger for later frames. It goes on when the source of it changes.
    pub(crate) number: u64,
    /// Bit t: the frame belongs to decode target t.
    pub(crate) present: u32,
    /// Bit t: from this frame on, target t can be decoded by all who can decode this frame. Whether they can is said
    /// by `held`; ask [`FrameInfo::lets_up`] for both.
    pub(crate) switch: u32,
    /// Bit t: within target t nothing else needs this frame.
    pub(crate) discardable: u32,
    /// Bit t: who was on target t has all frames that this one needs. All ones for a frame that needs none.
    pub(crate) held: u32,
    /// False: nothing but `ends` and `number` could be read, and the number is only near the right one. The packet
    /// goes with whatever its neighbours do.
    pub(crate) is_known: bool,
}

impl FrameInfo {
    /// Whether one who was on target `from` may go to `to` with this frame, of which this is the first packet.
    pub(crate) const fn lets_up(&self, from: u8, to: u8) -> bool {
        self.starts && has(self.held, from) && has(self.switch, to)
    }
}

/// Something that can be decoded: the frames of some layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// Width and height, where they are told.
    pub(crate) size: Option<(u16, u16)>,
}

/// A packet to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) codec: Codec,
    /// The element of the dependency descriptor.
    pub(crate) dependency: Option<&'a [u8]>,
    /// The sequence number without wraps.
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: &'a [u8],
    /// Whether it is the newest of the stream.
    pub(crate) is_newest: bool,
}

/// Reads the packets of one encoding. Allocates when a structure comes or layers are found, and not for packets.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    source: Option<Source>,
    described: Described,
    payloads: Payloads,
    targets: Targets,
    numbers: Numbers,
}

/// What frames are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Descriptor,
    Payload,
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Reads a packet; beside what it says of its frame, where its dependency descriptor can be rewritten. There is
    /// no layout if there is no descriptor or it could not be read; its frame number can be changed nonetheless.
    pub(crate) fn read(&mut self, piece: &Piece<'_>) -> (FrameInfo, Option<Layout>) {
        match piece.dependency {
            Some(data) => self.read_described(piece, data),
            None => (self.read_payload(piece), None),
        }
    }

    /// The decode targets, at most 32, in the order of the structure; not empty once a frame was known.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets.list
    }

    /// Whether all frames of `to` are also in `from`, so that one may go down at any frame boundary.
    pub(crate) fn covers(&self, from: u8, to: u8) -> bool {
        self.targets.covers.get(usize::from(from)).is_some_and(|&covered| has(covered, to))
    }

    /// The decode targets all of whose frames are also in `from`, as far as the publisher feeds them.
    pub(crate) fn covered(&self, from: u8) -> u32 {
        self.targets.covers.get(usize::from(from)).map_or(0, |covered| covered & self.active())
    }

    /// The decode target of the highest layers not above these.
    pub(crate) fn target_for(&self, spatial: u8, temporal: u8) -> Option<u8> {
        let mut best = None;
        for (target, at) in self.targets.list.iter().zip(0..) {
            // One number, as they are compared often: the higher spatial layer counts first, and of equals the last.
            let rank = u16::from(target.spatial) << 8 | u16::from(target.temporal);
            let is_below = target.spatial <= spatial && target.temporal <= temporal;
            if is_below && best.is_none_or(|(_, highest)| rank >= highest) {
                best = Some((at, rank));
            }
        }
        best.map(|(at, _)| at)
    }

    /// Rises whenever targets or what they cover change.
    pub(crate) const fn version(&self) -> u32 {
        self.targets.version
    }

    /// The targets the publisher feeds, as the latest descriptor says; all, without descriptors.
    fn active(&self) -> u32 {
        match self.source {
            Some(Source::Descriptor) => self.described.active(),
            Some(Source::Payload) | None => low_bits(self.targets.list.len()),
        }
    }

    fn read_described(&mut self, piece: &Piece<'_>, data: &[u8]) -> (FrameInfo, Option<Layout>) {
        let Ok(mandatory) = Mandatory::parse(data) else { return (self.unknown(piece.marker), None) };
        let turns = self.source == Some(Source::Payload);
        let read = if turns && !piece.is_newest { None } else { self.described.read(piece.index, data) };
        let Some(read) = read else {
            let mut info = self.unknown(mandatory.is_end);
            if !turns {
                info.number = self.numbers.handle_described(mandatory.frame_number, false);
            }
            return (info, None);
        };
        if read.has_new_targets || self.source != Some(Source::Descriptor) {
            let (list, covers) = self.described.targets();
            self.targets.replace(list, covers);
        }
        self.source = Some(Source::Descriptor);
        let frame = &read.frame;
        let starts_keyframe =
            frame.is_start && read.carries_structure && frame.spatial_id == 0 && frame.is_independent();
        // Who starts to encode anew may count anew.
        let restarts = piece.is_newest && starts_keyframe && self.numbers.goes_back(frame.number);
        let number = self.numbers.handle_described(frame.number, turns || restarts);
        let Some(masks) = read.masks else {
            return (FrameInfo { number, ..self.unknown(frame.is_end) }, Some(read.layout));
        };
        let held = self.described.handle_frame(number, frame.frame_diffs.as_slice(), masks.present);
        let info = FrameInfo {
            spatial: frame.spatial_id,
            temporal: frame.temporal_id,
            starts: frame.is_start,
            ends: frame.is_end,
            starts_keyframe,
            number,
            present: masks.present,
            switch: masks.switch,
            discardable: masks.discardable,
            held,
            is_known: true,
        };
        (info, Some(read.layout))
    }

    fn read_payload(&mut self, piece: &Piece<'_>) -> FrameInfo {
        let turns = self.source == Some(Source::Descriptor);
        // A single packet without a descriptor must not turn a described stream.
        if turns && !(piece.is_newest && starts_keyframe(piece.codec, piece.payload)) {
            return self.unknown(piece.marker);
        }
        let Some(read) = self.payloads.read(piece) else { return self.unknown(piece.marker) };
        if read.has_new_targets || self.source != Some(Source::Payload) {
            let (list, covers) = self.payloads.targets();
            self.targets.replace(list, covers);
        }
        self.source = Some(Source::Payload);
        FrameInfo { number: self.numbers.handle(read.first, turns), ..read.info }
    }

    fn unknown(&self, ends: bool) -> FrameInfo {
        FrameInfo { ends, number: self.numbers.highest, ..FrameInfo::default() }
    }
}

/// Decode targets and what each covers.
#[derive(Debug, Default)]
struct Targets {
    list: Vec<Target>,
    covers: Covers,
    version: u32,
}

/// For each target those whose frames it has, too.
type Covers = [u32; MAX_DECODE_TARGETS];

impl Targets {
    fn replace(&mut self, list: impl Iterator<Item = Target> + Clone, covers: Covers) {
        if self.covers == covers && self.list.iter().copied().eq(list.clone()) {
            return;
        }
        self.list.clear();
        self.list.extend(list.take(MAX_DECODE_TARGETS));
        self.covers = covers;
        self.version = self.version.wrapping_add(1);
    }
}

/// Numbers of frames that rise whatever they are made from.
#[derive(Debug, Default)]
struct Numbers {
    unwrapper: Unwrapper16,
    /// Raw numbers from the first on count from the second on.
    from: u64,
    to: u64,
    highest: u64,
}

impl Numbers {
    fn handle_described(&mut self, number: u16, restarts: bool) -> u64 {
        let raw = self.unwrapper.unwrap(number);
        self.handle(raw, restarts)
    }

    fn handle(&mut self, raw: u64, restarts: bool) -> u64 {
        if restarts {
            (self.from, self.to) = (raw, self.highest + 1);
        }
        let number = self.place(raw);
        self.highest = self.highest.max(number);
        number
    }

    fn goes_back(&self, number: u16) -> bool {
        self.highest > 0 && self.place(self.unwrapper.peek(number)) <= self.highest
    }

    const fn place(&self, raw: u64) -> u64 {
        match raw.checked_sub(self.from) {
            Some(ahead) => self.to.saturating_add(ahead),
            None => self.to.saturating_sub(self.from - raw),
        }
    }
}

const fn has(mask: u32, bit: u8) -> bool {
    (bit as usize) < MAX_DECODE_TARGETS && mask >> bit & 1 != 0
}

/// A mask of the lowest `count` bits, at most 32.
const fn low_bits(count: usize) -> u32 {
    ((1u64 << if count < MAX_DECODE_TARGETS { count } else { MAX_DECODE_TARGETS }) - 1) as u32
}
