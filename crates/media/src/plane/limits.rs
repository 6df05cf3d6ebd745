//! What policy allows a peer, what a subscriber wishes, and what a track is to the room.

use crate::allocate::{Class, Hints};
use crate::config::PeerLimits;
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::plane::Plane;
use crate::trace::Call;

impl Plane {
    /// Sets what policy allows a peer.
    pub fn set_limits(&mut self, now: Moment, peer: PeerKey, limits: PeerLimits) {
        self.recorder.note(now, || Call::SetLimits { peer, limits });
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.limits = limits;
        state.sending.set_max(now, limits.receive.max_bitrate);
        self.allocate(now, peer);
    }

    /// Takes what the subscriber says of the picture on a slot; `hints.max_height` is policy and not looked at.
    pub fn set_hints(&mut self, now: Moment, slot: SlotKey, hints: Hints) {
        self.recorder.note(now, || Call::SetHints { slot, hints });
        let Some(state) = self.slots.get_mut(slot).filter(|slot| slot.hints != hints) else { return };
        state.hints = hints;
        let peer = state.peer;
        self.allocate(now, peer);
    }

    /// Says what a video track is to the room: `spoke` grows, and the later comes first among equals.
    pub fn set_track_class(&mut self, now: Moment, track: TrackKey, class: Class, spoke: u64) {
        self.recorder.note(now, || Call::SetTrackClass { track, class, spoke });
        let Some(state) = self.tracks.get_mut(track) else { return };
        if (state.class, state.spoke) != (class, spoke) {
            (state.class, state.spoke) = (class, spoke);
            self.allocate_for(now, track);
        }
        self.count_microphones();
    }
}
