//! Sound: who speaks, who of many is forwarded, and what is sent along against loss. Pure parts; `plane/audio.rs` joins
//! them.
//!
//! In a room of more than [`MANY_MICROPHONES`] open microphones only the loudest few are forwarded, and nothing while
//! they are silent. In smaller rooms everything is. Whatever is left out leaves no hole: its numbers are closed up.

pub(crate) mod dominant;
pub(crate) mod loudest;
pub(crate) mod recent;
pub(crate) mod red;
pub(crate) mod silence;

use crate::audio::dominant::{Dominance, Speaker};
use crate::audio::loudest::{Loudest, Loudness};
use crate::audio::recent::Recent;
use crate::audio::silence::SilenceGate;
use crate::moment::Moment;

/// With more open microphones than this only the loudest are forwarded.
pub(crate) const MANY_MICROPHONES: usize = 8;

/// What a room keeps for its sound.
#[derive(Debug, Default)]
pub(crate) struct RoomAudio {
    pub(crate) dominance: Dominance,
    pub(crate) loudest: Loudest,
    /// Whether only the loudest are forwarded.
    pub(crate) is_gated: bool,
    /// A packet rebuilt from redundancy, and a payload built with it.
    pub(crate) restored: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// What an audio track keeps.
#[derive(Debug, Default)]
pub(crate) struct TrackAudio {
    pub(crate) speaker: Speaker,
    pub(crate) loudness: Loudness,
    pub(crate) silence: SilenceGate,
    pub(crate) recent: Recent,
    /// Whether the last packet was held back.
    pub(crate) is_closed: bool,
    /// When it last ceased to be one of the loudest.
    pub(crate) left: Option<Moment>,
}
