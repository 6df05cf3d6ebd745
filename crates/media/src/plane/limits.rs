//! What policy allows a peer, what a subscriber wishes, and what a track is to the room.

use std::time::Instant;

use crate::allocate::{Class, Hints};
use crate::bwe::Bitrate;
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::plane::Plane;

/// Bounds of what flows in one direction. The default bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All media together.
    pub max_bitrate: Bitrate,
    /// Lines of a picture: of the smaller side, as encoders count them.
    pub max_height: u16,
    /// Pictures a second.
    pub max_fps: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bitrate: Bitrate::kbps(1_000_000), max_height: u16::MAX, max_fps: u8::MAX }
    }
}

/// What a peer may receive and publish, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerLimits {
    /// Towards the peer.
    pub receive: Limits,
    /// From the peer.
    pub publish: Limits,
}

impl Plane {
    /// Sets what policy allows a peer.
    pub fn set_limits(&mut self, now: Instant, peer: PeerKey, limits: PeerLimits) {
        let _ = now;
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.limits = limits;
        }
    }

    /// Takes what the subscriber says of the picture on a slot; `hints.max_height` is policy and not looked at.
    pub fn set_hints(&mut self, now: Instant, slot: SlotKey, hints: Hints) {
        let _ = now;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.hints = hints;
        }
    }

    /// Says what a video track is to the room: `spoke` grows, and the later comes first among equals.
    pub fn set_track_class(&mut self, now: Instant, track: TrackKey, class: Class, spoke: u64) {
        let _ = now;
        if let Some(track) = self.tracks.get_mut(track) {
            (track.class, track.spoke) = (class, spoke);
        }
        self.count_microphones();
    }
}
