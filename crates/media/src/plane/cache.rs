//! Joining without asking: who comes soon after a keyframe begins with that, and with what its ring has kept since.
//!
//! Of the past only the lowest temporal layer is sent, as it is to be shown at once.

use std::time::{Duration, Instant};

use crate::decision::{Decision, WishCause};
use crate::event::Egress;
use crate::inbound::Layer;
use crate::inbound::keyframe::Urgency;
use crate::key::{PeerKey, SlotKey};
use crate::outbound::Slot;
use crate::outbound::select::spatial;
use crate::plane::Plane;
use crate::plane::forward::Service;

/// A keyframe is of use for this long.
const MAX_AGE: Duration = Duration::from_millis(2500);
/// More than this many bytes take longer than a new keyframe.
const MAX_BYTES: usize = 300_000;

/// Whether one can begin with the last keyframe of an encoding.
pub(super) fn is_fresh(now: Instant, layer: &Layer) -> bool {
    let gop = layer.gop().filter(|gop| now.saturating_duration_since(gop.at) <= MAX_AGE && gop.bytes <= MAX_BYTES);
    gop.is_some_and(|gop| gop.first <= layer.newest.unwrap_or(0))
}

impl Plane {
    /// Begins what slots of a peer can begin without a new keyframe, and asks for the others.
    pub(super) fn join_from_cache(&mut self, now: Instant, peer: PeerKey, out: &mut impl Egress) {
        let Some(state) = self.peers.get_mut(peer).filter(|peer| !peer.sending.joining.is_empty()) else { return };
        let mut joining = std::mem::take(&mut state.sending.joining);
        for slot in joining.drain(..) {
            let goal = self.slots.get(slot).filter(|slot| slot.live.is_none());
            let goal = goal.and_then(|slot| Some((slot.wanted?, slot.selector.goal()?.layer)));
            if let Some((track, layer)) = goal
                && !self.begin_in_the_past(now, slot, layer, out)
            {
                self.log.note(Some(slot), || Decision::Wish { track, layer, cause: WishCause::Join });
                self.wish(now, track, layer, Urgency::Patient);
            }
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.sending.joining = joining;
        }
    }

    /// Begins a slot with the last keyframe of an encoding; returns whether that was possible.
    fn begin_in_the_past(&mut self, now: Instant, key: SlotKey, layer: u8, out: &mut impl Egress) -> bool {
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let Some(track_key) = slot.wanted else { return false };
        let Some(track) = self.tracks.get(track_key) else { return false };
        let Some(state) = track.layers.get(usize::from(layer)).filter(|state| is_fresh(now, state)) else {
            return false;
        };
        let (Some(gop), Some(newest)) = (state.gop(), state.newest) else { return false };
        let is_whole = (gop.first..=newest).all(|number| state.ring.get(number).is_some());
        let captured = micros - now.saturating_duration_since(gop.at).as_micros() as i64;
        if !is_whole {
            return false;
        }
        let Some(first) = track.stored(layer, gop.first) else { return false };
        let Some(peer) = self.peers.get_mut(slot.peer) else { return false };
        let lowest = state.reader.target_for(goal_spatial(slot, state), 0).unwrap_or(0);
        let mut service = Service { now, micros, ntp, track, key, slot, sending: &mut peer.sending, capture: None };
        let Some(served) = service.begin_in_the_past(&first, newest, lowest, captured, out) else { return false };
        self.handle_served(now, track_key, key, &served);
        true
    }
}

/// The spatial layer of what a slot is to show.
fn goal_spatial(slot: &Slot, layer: &Layer) -> u8 {
    slot.selector.goal().map_or(u8::MAX, |goal| spatial(&layer.reader, goal.target))
}
