//! Moving a peer to another plane: its connection goes on, so every number that its other end has seen does too.
//!
//! Keys mean nothing in another plane, and could name something else there. So nothing that holds one is taken along: slots
//! become [`Stream`]s, and what is bound is remembered by mid and rid.

use std::collections::BTreeSet;

use crate::inbound::bind::{Place, Remembered};
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::Slot;
use crate::outbound::moving::Stream;
use crate::plane::Plane;
use crate::plane::peer::Peer;
use crate::trace::Call;

/// A peer that was taken out of its plane with its slots, to go on in another one.
#[derive(Debug)]
pub struct Detached {
    /// When the clock of the plane began that it was last with.
    start: Moment,
    peer: Peer,
    /// Its slots in the order in which they were made.
    slots: Vec<Stream>,
}

impl Plane {
    /// Takes a peer out, to go on with [`Plane::attach_peer`] of another plane: its tracks end, and nothing is sent to it any
    /// more. `None` if it is not there, or only stands for one that is with another plane.
    ///
    /// Its tracks have to be there still: which SSRC carries which of their encodings is remembered for those it will publish.
    /// A trace has it as a [`Plane::remove_peer`].
    pub fn detach_peer(&mut self, now: Moment, peer: PeerKey) -> Option<Detached> {
        self.peers.get(peer).filter(|state| !state.is_relayed)?;
        self.recorder.note(now, || Call::RemovePeer { peer });
        let mut state = self.peers.remove(peer)?;
        let (tracks, slots) = (std::mem::take(&mut state.tracks), std::mem::take(&mut state.slots));
        let waiting: BTreeSet<(SlotKey, u64)> = state.sending.waiting().collect();
        let state = state.moved(now, |Place { track, layer, .. }| Some(self.tracks.get(track)?.name_of(layer)));
        // In the order of `remove_peer`, so that a replay gives the same keys to what comes later.
        for track in tracks {
            self.drop_track(now, track);
        }
        let slots = slots.into_iter().filter_map(|slot| {
            let removed = self.remove_slot(slot)?;
            Some(removed.into_stream(|index| waiting.contains(&(slot, index))))
        });
        let slots = slots.collect();
        Some(Detached { start: self.start, peer: state, slots })
    }

    /// Lets a peer that was taken out of another plane go on in this one. Returns its key, and its slots by mid in the order in
    /// which they were made.
    ///
    /// As after [`Plane::add_peer`] nothing leaves for it before [`Plane::set_peer_ready`]; limits, voice slots, hints and tracks
    /// are the caller's to set anew. Tracks on m-lines on which it published before go on with the SSRCs that were heard there.
    ///
    /// A trace has it as a [`Plane::add_peer`] with a [`Plane::add_slot`] for each slot. So a replayed room gives these slots other
    /// numbers, has to learn of the path anew, and does not know the SSRCs that name themselves no more.
    pub fn attach_peer(&mut self, now: Moment, detached: Detached) -> (PeerKey, Vec<(String, SlotKey)>) {
        self.recorder.note(now, || Call::AddPeer {});
        let Detached { start, mut peer, slots } = detached;
        let shift = micros_between(self.start, start);
        peer.resume(now, shift);
        let peer = self.insert_peer(now, peer);
        let slots = slots.into_iter().map(|stream| {
            self.recorder.note(now, || Call::AddSlot { peer, config: stream.config().clone() });
            // As many as a new slot takes, so that a replay gives the slots that come later the same numbers.
            let _ = [self.random(), self.random()];
            let mid = stream.config().mid.clone();
            (mid, self.insert_slot(now, Slot::resume(peer, stream, shift)))
        });
        (peer, slots.collect())
    }

    /// Binds the SSRCs that carried the m-line of a track in another plane, unless the offer declares others.
    pub(super) fn bind_remembered(&mut self, peer: PeerKey, key: TrackKey, remembered: Vec<Remembered>) {
        for Remembered { ssrc, name, is_repair, stats } in remembered {
            let place = self.tracks.get(key).and_then(|track| track.place_of(ssrc, &name, is_repair));
            let Some(place) = place.filter(|&place| self.bind(peer, ssrc, place)) else { continue };
            let source = self.peers.get_mut(peer).and_then(|peer| peer.sources.find_mut(ssrc));
            if let Some(source) = source.filter(|source| source.place == place) {
                source.stats = stats;
            }
        }
    }
}

/// The microseconds from `earlier` to `later`, below zero if they are the other way round.
fn micros_between(earlier: Moment, later: Moment) -> i64 {
    later.micros_since(earlier).cast_signed() - earlier.micros_since(later).cast_signed()
}
