//! What each subscriber gets of what is published: the allocator's choices become the goals of slots.

use roundtable_wire::Kind;

use crate::allocate::{self, Cause, Hints};
use crate::bwe::Bitrate;
use crate::config::Limits;
use crate::decision::{Decision, LayerChoice, WishCause};
use crate::event::PlaneEvent;
use crate::inbound::Track;
use crate::inbound::keyframe::Urgency;
use crate::inbound::ladder::Step;
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::Slot;
use crate::outbound::select::{Bridge, Goal, spatial};
use crate::plane::cache;
use crate::plane::timers::Timer;
use crate::plane::{Plane, queue};

/// The old encoding goes on in its lowest layer while a lower one is waited for, if that takes at most this share of
/// what the target leaves.
const BRIDGE_SHARE: f64 = 0.9;

/// Redundancy may make sound take this share of a path (our own).
const SOUND_SHARE: f64 = 0.5;

impl Plane {
    /// Whether the budget of a subscriber has changed enough, or enough time has passed, to choose anew.
    pub(super) fn is_allocation_due(&mut self, now: Moment, peer: PeerKey) -> bool {
        self.peers.get_mut(peer).is_some_and(|state| {
            let budget = state.sending.budget(now, 0, false);
            state.sending.allocator.is_due(now, &budget)
        })
    }

    /// Chooses anew for all who show a track, or are to show it.
    pub(super) fn allocate_for(&mut self, now: Moment, track: TrackKey) {
        let count = self.tracks.get(track).map_or(0, |track| track.subscribers.len());
        for at in 0..count {
            let slot = self.tracks.get(track).and_then(|track| track.subscribers.get(at)).copied();
            if let Some(peer) = slot.and_then(|slot| self.slots.get(slot)).map(|slot| slot.peer) {
                self.allocate(now, peer);
            }
        }
    }

    /// Chooses anew for one subscriber, and sees to it that what follows from it is done.
    pub(super) fn allocate(&mut self, now: Moment, key: PeerKey) {
        self.choose(now, key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.sending.due = peer.sending.poll_timeout(self.start, now);
            self.timers.schedule(Timer::Sending, peer.sending.due);
        }
    }

    /// Spends what the path to a subscriber carries on the tracks of its slots.
    pub(super) fn choose(&mut self, now: Moment, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.is_ready) else { return };
        let mut shown = std::mem::take(&mut self.scratch.shown);
        let (mut audio_slots, mut red) = (0, false);
        for &slot_key in &peer.slots {
            let Some(slot) = self.slots.get(slot_key) else { continue };
            match (slot.kind, slot.subject()) {
                (_, None) => {}
                (Kind::Audio, Some(_)) => {
                    audio_slots += 1;
                    red |= slot.audio.redundancy.distance(true) > 0;
                }
                (Kind::Video, Some(track)) => shown.push((slot_key, track)),
            }
        }
        let (room, cost) = (peer.sending.target().scale(SOUND_SHARE), allocate::AUDIO.scale(f64::from(audio_slots)));
        for &slot_key in &peer.slots {
            let sound = self.slots.get_mut(slot_key).filter(|slot| slot.kind == Kind::Audio);
            if let Some(slot) = sound {
                slot.audio.redundancy.set_room(room, cost);
            }
        }
        let limits = peer.limits.receive;
        let mut candidates = recycled(std::mem::take(&mut self.scratch.candidates));
        let visible = shown
            .iter()
            .filter_map(|&(slot_key, track)| Some((slot_key, self.slots.get(slot_key)?, self.tracks.get(track)?)))
            .map(|(slot_key, slot, track)| allocate::Track {
                key: slot_key.value(),
                rungs: if track.is_paused { &[] } else { &track.offer(slot.takes_layers()).rungs },
                hints: bounded(slot.hints, limits),
                class: track.class,
                spoke: track.spoke,
            });
        candidates.extend(visible);
        let budget = peer.sending.budget(now, audio_slots, red);
        let mut choices = std::mem::take(&mut peer.sending.choices);
        let demand = peer.sending.allocator.allocate(now, &budget, &candidates, &mut choices);
        let has_pictures = candidates.iter().any(|track| !track.rungs.is_empty());
        self.scratch.candidates = recycled(candidates);
        peer.sending.set_demand(demand, has_pictures);
        let (mut awaits, mut squeezed) = (false, false);
        for (choice, &(slot_key, track_key)) in choices.iter().zip(&shown) {
            let (Some(slot), Some(track)) = (self.slots.get_mut(slot_key), self.tracks.get_mut(track_key)) else {
                continue;
            };
            let steps = &track.offer(slot.takes_layers()).steps;
            let step = choice.rung.and_then(|rung| steps.get(rung)).copied();
            let others = step.map_or(demand.used, |step| demand.used - step.rung.cost);
            let room = budget.target.scale(BRIDGE_SHARE) - others;
            slot.cause = choice.cause;
            squeezed |= choice.cause == Cause::Squeezed;
            let bridge = bridge(slot, track, step, room);
            // What still waits of a picture that is not to be shown would only be in the way.
            let is_out = bridge == Bridge::Nothing || step.is_none() && choice.cause == Cause::Squeezed;
            if is_out && slot.live.is_some() {
                slot.abandon();
                peer.sending.forget_queued(slot_key, slot.next_index());
            }
            let goal = step.as_ref().map(goal_of);
            if slot.selector.set_goal(goal, bridge) {
                let (cause, target) = (choice.cause, budget.target);
                let rung = step.map(|Step { layer, rung, .. }| (LayerChoice::of(layer, &rung), rung.cost));
                self.log.note(Some(slot_key), || Decision::Choice { track: track_key, rung, cause, target });
            }
            let Some(layer) = cache::awaited(slot, track) else { continue };
            awaits = true;
            let urgency = urgency(now, slot, track);
            let Some(state) = track.layers.get_mut(usize::from(layer)) else { continue };
            if !cache::may_begin(slot, track_key, layer) || !cache::is_fresh(now, state) {
                state.gate.handle_wish(now, urgency);
                let cause = if slot.live.is_none() { WishCause::Join } else { WishCause::Switch };
                self.log.note(Some(slot_key), || Decision::Wish { track: track_key, layer, cause });
                self.timers.schedule(Timer::Keyframe, state.keyframe_timeout());
            } else if !peer.sending.joining.contains(&slot_key) {
                peer.sending.joining.push(slot_key);
            }
        }
        peer.sending.choices = choices;
        peer.sending.set_awaiting(now, awaits);
        if squeezed {
            peer.sending.handle_squeeze(now);
        }
        for (_, track) in shown.drain(..) {
            self.tell_wanted(now, track);
        }
        self.scratch.shown = shown;
    }

    /// Tells the room which encodings of a track are wanted, if that is something new. Those smaller than a wanted one
    /// are too: a failing link falls back to them at once, and browsers make keyframes on all encodings when one starts.
    pub(super) fn tell_wanted(&mut self, now: Moment, key: TrackKey) {
        let wanted = self.wanted_layers(key);
        let Some(track) = self.tracks.get_mut(key).filter(|track| track.config.kind == Kind::Video) else { return };
        if let Some(layers) = track.handle_wanted(now, track.with_smaller(wanted)) {
            queue(&mut self.events, &mut self.counters, PlaneEvent::LayersWanted { track: key, layers });
        }
    }

    /// A slot waits for a keyframe of an encoding.
    pub(super) fn want_keyframe(&mut self, now: Moment, slot: SlotKey, track: TrackKey, layer: u8) {
        if let (Some(slot), Some(state)) = (self.slots.get(slot), self.tracks.get(track)) {
            self.wish(now, track, layer, urgency(now, slot, state));
        }
    }

    /// The encodings of a track that anybody shows or is to show, bit by bit.
    pub(super) fn wanted_layers(&self, key: TrackKey) -> u8 {
        let Some(track) = self.tracks.get(key) else { return 0 };
        let slots = track.subscribers.iter().filter_map(|&slot| self.slots.get(slot));
        slots.fold(track.relayed_layers(), |wanted, slot| wanted | layers_of(slot, key))
    }
}

/// An empty vector of the same room, for tracks that are borrowed anew.
fn recycled<'b>(mut tracks: Vec<allocate::Track<'_>>) -> Vec<allocate::Track<'b>> {
    tracks.clear();
    // Of nothing; collecting into the same layout keeps the allocation.
    tracks.into_iter().map_while(|_| None).collect()
}

/// The encodings of a track that a slot shows or is to show.
fn layers_of(slot: &Slot, track: TrackKey) -> u8 {
    let live = slot.live.filter(|epoch| epoch.track == track).map(|epoch| epoch.layer);
    let goal = slot.selector.goal().filter(|_| slot.subject() == Some(track)).map(|goal| goal.layer);
    live.into_iter().chain(goal).fold(0, |layers, layer| layers | 1 << layer)
}

/// A better picture can wait, and so can a crowd that joins; who is to see another owner cannot, nor whose picture stands or
/// stumbles meanwhile.
fn urgency(now: Moment, slot: &Slot, track: &Track) -> Urgency {
    let is_another = slot.live.is_some_and(|epoch| epoch.track != track.key);
    let is_stopped = slot.live.is_none() && slot.packets > 0;
    let is_squeezed = matches!(slot.selector.bridge(), Bridge::Only(_) | Bridge::Nothing);
    match () {
        () if is_another || is_stopped || is_squeezed => Urgency::Urgent,
        () if slot.has_just_joined(now) && track.joins.is_crowd(now) => Urgency::Crowd,
        () => Urgency::Patient,
    }
}

const fn goal_of(step: &Step) -> Goal {
    Goal { layer: step.layer, spatial: step.spatial, temporal: step.rung.temporal }
}

/// What of the live encoding goes on until `step` can be followed, if it takes a keyframe; `room` is for it alone.
fn bridge(slot: &Slot, track: &Track, step: Option<Step>, room: Bitrate) -> Bridge {
    let (Some(step), Some(live)) = (step, slot.live) else { return Bridge::Keep };
    let Some(layer) = track.layers.get(usize::from(live.layer)) else { return Bridge::Keep };
    let Some(current) = slot.selector.target_in(&layer.reader) else { return Bridge::Keep };
    let of_live = || track.offer(slot.takes_layers()).steps.iter().filter(move |other| other.layer == live.layer);
    let Some(cost) = of_live().find(|other| other.target == current).map(|step| step.rung.cost) else {
        return Bridge::Keep;
    };
    if live.track != track.key {
        return Bridge::Keep;
    }
    if slot.selector.awaited_for(goal_of(&step), Some((live.layer, &layer.reader))).is_none() {
        return Bridge::Keep; // There is nothing to wait for.
    }
    let same = || of_live().filter(|other| spatial(&layer.reader, other.target) == spatial(&layer.reader, current));
    if step.rung.cost >= cost {
        // Until there is a larger picture the one there is can be smoother.
        let smoother = same().filter(|other| other.rung.cost <= step.rung.cost && other.rung.fps <= step.rung.fps);
        let best = { smoother }.max_by_key(|other| other.rung.cost).filter(|best| best.rung.cost > cost);
        return best.map_or(Bridge::Keep, |best| Bridge::More(best.target));
    }
    match same().min_by_key(|other| other.rung.cost) {
        Some(lowest) if lowest.rung.cost <= room => Bridge::Only(lowest.target),
        Some(_) | None => Bridge::Nothing,
    }
}

/// What a subscriber wishes, within what policy allows.
fn bounded(hints: Hints, limits: Limits) -> Hints {
    Hints { max_height: limits.max_height, max_fps: hints.max_fps.min(limits.max_fps), ..hints }
}
