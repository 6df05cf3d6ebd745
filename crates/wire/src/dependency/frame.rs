//! What a descriptor says of one frame.

use crate::dependency::{MAX_CHAINS, MAX_DECODE_TARGETS, MAX_FRAME_DIFFS};

/// Decode target indication: what a frame means to a decode target (AV1 RTP payload format A.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Dti {
    /// Not part of it.
    #[default]
    NotPresent,
    /// Part of it, and no other frame of it needs this one.
    Discardable,
    /// Part of it, and from here on it can be decoded by whoever decoded the frames this one needs.
    Switch,
    /// Part of it, needed by others, no point to switch at.
    Required,
}

impl Dti {
    /// The two bits it has on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotPresent => 0,
            Self::Discardable => 1,
            Self::Switch => 2,
            Self::Required => 3,
        }
    }

    /// The indication with these bits; those above the lowest two are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotPresent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }

    /// Whether the frame is part of the decode target.
    #[must_use]
    pub const fn is_present(self) -> bool {
        !matches!(self, Self::NotPresent)
    }
}

/// The indications of one frame, one for each decode target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Dtis {
    /// Two bits each, the first target lowest.
    bits: u64,
    len: u8,
}

impl Dtis {
    /// Those of `indications`; `None` if there are more than [`MAX_DECODE_TARGETS`].
    #[must_use]
    pub fn new(indications: &[Dti]) -> Option<Self> {
        let mut dtis = Self::default();
        indications.iter().all(|&dti| dtis.push(dti)).then_some(dtis)
    }

    /// Appends one; false if it is full.
    pub(super) fn push(&mut self, dti: Dti) -> bool {
        if usize::from(self.len) == MAX_DECODE_TARGETS {
            return false;
        }
        self.bits |= u64::from(dti.bits()) << (2 * self.len);
        self.len += 1;
        true
    }

    /// What the frame means to `target`; not present if there is no such target.
    #[must_use]
    pub const fn target(&self, target: u8) -> Dti {
        if target < self.len { Dti::from_bits((self.bits >> (2 * target)) as u8) } else { Dti::NotPresent }
    }

    /// How many decode targets there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no decode targets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The targets the frame is part of, the first one in the lowest bit.
    #[must_use]
    pub fn present(&self) -> u32 {
        self.iter().enumerate().fold(0, |mask, (target, dti)| mask | u32::from(dti.is_present()) << target)
    }

    /// All of them in the order of the targets.
    pub fn iter(&self) -> impl Iterator<Item = Dti> + use<> {
        let dtis = *self;
        (0..self.len).map(move |target| dtis.target(target))
    }
}

/// How far back, in frame numbers, lie the frames one needs: each 1–4096.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FrameDiffs {
    values: [u16; MAX_FRAME_DIFFS],
    len: u8,
}

impl FrameDiffs {
    /// The largest difference that can be written.
    pub const MAX: u16 = 4096;

    /// Those of `diffs`; `None` if there are more than [`MAX_FRAME_DIFFS`] or one is not 1–4096.
    #[must_use]
    pub fn new(diffs: &[u16]) -> Option<Self> {
        let mut all = Self::default();
        diffs.iter().all(|&diff| (1..=Self::MAX).contains(&diff) && all.push(diff)).then_some(all)
    }

    /// Appends one; false if it is full.
    pub(super) fn push(&mut self, diff: u16) -> bool {
        let Some(place) = self.values.get_mut(usize::from(self.len)) else { return false };
        *place = diff;
        self.len += 1;
        true
    }

    /// The differences in the order of the descriptor; none for a frame that stands alone.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        self.values.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl std::fmt::Debug for FrameDiffs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// How far back, in frame numbers, lies the previous frame of each chain; 0 means that the chain starts here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChainDiffs {
    values: [u8; MAX_CHAINS],
    len: u8,
}

impl ChainDiffs {
    /// Those of `diffs`; `None` if there are more than [`MAX_CHAINS`].
    #[must_use]
    pub fn new(diffs: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        diffs.iter().all(|&diff| all.push(diff)).then_some(all)
    }

    /// Appends one; false if it is full.
    pub(super) fn push(&mut self, diff: u8) -> bool {
        let Some(place) = self.values.get_mut(usize::from(self.len)) else { return false };
        *place = diff;
        self.len += 1;
        true
    }

    /// The differences in the order of the chains.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.values.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl std::fmt::Debug for ChainDiffs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// The size of the frames of a spatial layer, each side 1–65536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// A descriptor with everything that its template said filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Counts frames of the stream, those of all layers together; it wraps.
    pub number: u16,
    /// The packet is the first of the frame.
    pub is_start: bool,
    /// The packet is the last of the frame.
    pub is_end: bool,
    /// The spatial layer, 0–3.
    pub spatial_id: u8,
    /// The temporal layer, 0–7.
    pub temporal_id: u8,
    /// What it means to each decode target.
    pub dtis: Dtis,
    /// The frames it needs.
    pub frame_diffs: FrameDiffs,
    /// Where each chain was last.
    pub chain_diffs: ChainDiffs,
    /// The size of the spatial layer, if the structure tells it.
    pub resolution: Option<Resolution>,
}

impl Frame {
    /// Whether the frame needs no other one.
    #[must_use]
    pub fn is_independent(&self) -> bool {
        self.frame_diffs.as_slice().is_empty()
    }

    /// Whether no other frame needs this one, in whatever decode target.
    #[must_use]
    pub fn is_discardable(&self) -> bool {
        self.dtis.iter().all(|dti| matches!(dti, Dti::NotPresent | Dti::Discardable))
    }
}
