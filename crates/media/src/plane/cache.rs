//! Beginning without asking: who comes to an encoding soon after a keyframe, as a new subscriber or from another
//! encoding, begins with that, and with what its ring has kept since.
//!
//! Of the past only the lowest temporal layer is sent, as it is to be shown at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::decision::{Decision, WishCause};
use crate::event::Egress;
use crate::inbound::{Layer, Track};
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::select::spatial;
use crate::outbound::{HEAD_LEN, Slot};
use crate::plane::Plane;
use crate::plane::forward::{Aftermath, Service, capture_time};

/// A keyframe is of use for this long.
const MAX_AGE: Duration = Duration::from_millis(3500);
/// More than this many bytes take longer than a new keyframe.
const MAX_BYTES: usize = 300_000;
/// What a new keyframe takes beside its own bytes: the way to the publisher and back, and its next frame. What is kept
/// may take as much longer than the keyframe alone.
const ANSWER: Duration = Duration::from_millis(250);
/// … or so much where something was shown: there it is in the way of what comes now.
const ANSWER_SHOWN: Duration = Duration::from_millis(100);

/// The encoding whose keyframe a slot waits for.
pub(super) fn awaited(slot: &Slot, track: &Track) -> Option<u8> {
    let live = slot.live.filter(|epoch| epoch.track == track.key);
    let live = live.and_then(|epoch| Some((epoch.layer, &track.layers.get(usize::from(epoch.layer))?.reader)));
    slot.selector.awaits(live)
}

/// What begins in the past may wait in the pacer for so long, and is to be kept until then.
const KEPT_FOR: Duration = Duration::from_millis(700);

/// Whether one can begin with the last keyframe of an encoding.
pub(super) fn is_fresh(now: Moment, layer: &Layer) -> bool {
    let gop = layer.gop().filter(|gop| now.saturating_duration_since(gop.at) <= MAX_AGE && gop.bytes <= MAX_BYTES);
    gop.is_some_and(|gop| gop.first <= layer.newest.unwrap_or(0))
}

/// Whether a slot may begin an encoding of a track in the past: what has been sent of one is not sent as something new,
/// and another owner is shown from now on.
pub(super) fn may_begin(slot: &Slot, track: TrackKey, layer: u8) -> bool {
    slot.live.is_none_or(|epoch| epoch.track == track && epoch.layer != layer)
}

impl Plane {
    /// Begins what slots of a peer can begin without a new keyframe, and asks for the others.
    pub(super) fn join_from_cache(&mut self, now: Moment, peer: PeerKey, out: &mut impl Egress) {
        let Some(state) = self.peers.get_mut(peer).filter(|peer| !peer.sending.joining.is_empty()) else { return };
        let mut joining = std::mem::take(&mut state.sending.joining);
        for key in joining.drain(..) {
            let Some(slot) = self.slots.get(key) else { continue };
            let (Some(track_key), Some(goal)) = (slot.subject(), slot.selector.goal()) else { continue };
            let Some(track) = self.tracks.get(track_key) else { continue };
            let cause = if slot.live.is_none() { WishCause::Join } else { WishCause::Switch };
            // It may have begun meanwhile, or what was awaited changed.
            if awaited(slot, track) != Some(goal.layer) {
                continue;
            }
            let may = may_begin(slot, track_key, goal.layer);
            if !may || !self.begin_in_the_past(now, key, track_key, goal.layer, out) {
                let (track, layer) = (track_key, goal.layer);
                self.log.note(Some(key), || Decision::Wish { track, layer, cause });
                self.want_keyframe(now, key, track_key, goal.layer);
            }
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.sending.joining = joining;
        }
    }

    /// Begins a slot with the last keyframe of an encoding; returns whether that was possible.
    fn begin_in_the_past(
        &mut self,
        now: Moment,
        key: SlotKey,
        track_key: TrackKey,
        layer: u8,
        out: &mut impl Egress,
    ) -> bool {
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        let (Some(slot), Some(track)) = (self.slots.get_mut(key), self.tracks.get(track_key)) else { return false };
        let Some(state) = track.layers.get(usize::from(layer)).filter(|state| is_fresh(now, state)) else {
            return false;
        };
        let (Some(gop), Some(newest)) = (state.gop(), state.newest) else { return false };
        let Some(first) = track.stored(layer, gop.first) else { return false };
        let captured = self.peers.get(track.peer).and_then(|peer| capture_time(micros, track, peer, &first));
        let captured = captured.unwrap_or_else(|| micros - now.micros_since(gop.at).cast_signed());
        let Some(peer) = self.peers.get_mut(slot.peer) else { return false };
        let lowest = state.reader.target_for(goal_spatial(slot, state), 0).unwrap_or(0);
        let Some(bytes) = bytes_of(track, layer, gop.first..=newest, lowest) else { return false };
        let meanwhile = track.bitrate(layer).bytes_in(KEPT_FOR) as u64;
        if !state.ring.outlasts(gop.first, meanwhile) {
            return false;
        }
        let target = peer.sending.target();
        let answer = if slot.packets > 0 { ANSWER_SHOWN } else { ANSWER };
        if target.time_for(bytes as f64) > target.time_for(gop.key_bytes as f64) + answer {
            return false;
        }
        let (sending, head) = (&mut peer.sending, &mut [0; HEAD_LEN]);
        let mut service = Service { now, micros, ntp, track, key, slot, sending, capture: None, head };
        let Some(served) = service.begin_in_the_past(&first, newest, lowest, captured, out) else { return false };
        let Self { tracks, counters, timers, events, log, .. } = self;
        if let Some(track) = tracks.get_mut(track_key) {
            track.forget_audiences();
        }
        Aftermath { counters, timers, events, log }.handle_served(now, track_key, (key, slot), peer, &served);
        true
    }
}

/// What frames of the decode target `target` among some packets take; `None` if not all packets are there.
fn bytes_of(track: &Track, layer: u8, numbers: RangeInclusive<u64>, target: u8) -> Option<usize> {
    numbers.map(|number| track.stored(layer, number)).try_fold(0, |sum, packet| {
        let packet = packet?;
        let is_sent = !packet.frame.is_known || packet.frame.present >> target & 1 == 1;
        Some(sum + if is_sent { packet.len() } else { 0 })
    })
}

/// The spatial layer of what a slot is to show.
fn goal_spatial(slot: &Slot, layer: &Layer) -> u8 {
    slot.selector
        .goal()
        .and_then(|goal| goal.target(&layer.reader))
        .map_or(u8::MAX, |target| spatial(&layer.reader, target))
}
