//! The dependency descriptor, an RTP header extension that tells which frame needs which, whatever the codec
//! (RTP Payload Format For AV1 1.0, appendix A).
//!
//! A packet at the start of a coded video sequence carries a [`Structure`]: templates of frames and what each means to
//! every decode target. Later packets name a template and say where they differ from it, so a [`Descriptor`] can be
//! read and resolved to a [`Frame`] only beside the structure it was written for. [`StructureHistory`] keeps those of
//! one stream. On egress [`Layout::rewrite`] changes the two fields a forwarder owns and copies all other bits.

mod bits;
mod descriptor;
mod frame;
mod history;
mod structure;

#[cfg(test)]
mod tests;

pub use descriptor::{Descriptor, Layout, Mandatory, set_frame_number};
pub use frame::{ChainDiffs, Dti, Dtis, Frame, FrameDiffs, Resolution};
pub use history::{Received, StructureHistory};
pub use structure::{Structure, StructureError, Template};

/// The most templates of a structure: their numbers have six bits.
pub const MAX_TEMPLATES: usize = 64;
/// The most decode targets of a structure, and so the most chains: their count has five bits.
pub const MAX_DECODE_TARGETS: usize = 32;
/// The most chains of a structure: no more than decode targets.
pub const MAX_CHAINS: usize = MAX_DECODE_TARGETS;
/// Spatial layers are numbered 0–3.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// Temporal layers are numbered 0–7.
pub const MAX_TEMPORAL_LAYERS: usize = 8;
/// The most frames another one may name as needed. The format knows no bound; no codec has more reference frames, and
/// a descriptor with more is refused.
pub const MAX_FRAME_DIFFS: usize = 16;
/// The most bytes of a descriptor: what a header extension element can hold (RFC 8285 4.3).
pub const MAX_LEN: usize = 255;

/// Bytes of a descriptor that has mandatory fields only.
pub const MANDATORY_LEN: usize = 3;

/// Why bytes are no descriptor, or none that is of use beside the structure at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The bytes end before the field that is due.
    #[error("the descriptor ends too early")]
    Truncated,
    /// It carries no structure and none is known: the packet that did was lost, or is still to come.
    #[error("the structure of the descriptor is not known")]
    NoStructure,
    /// It names a template the structure lacks: it was written for another structure.
    #[error("the template is not one of the structure")]
    UnknownTemplate,
    /// Its structure has more than [`MAX_TEMPLATES`] templates.
    #[error("the structure has more than {MAX_TEMPLATES} templates")]
    TooManyTemplates,
    /// Its structure numbers layers beyond [`MAX_SPATIAL_LAYERS`] or [`MAX_TEMPORAL_LAYERS`].
    #[error("the structure has more layers than can be numbered")]
    TooManyLayers,
    /// A template or the frame needs more than [`MAX_FRAME_DIFFS`] others.
    #[error("a frame needs more than {MAX_FRAME_DIFFS} others")]
    TooManyFrameDiffs,
}
