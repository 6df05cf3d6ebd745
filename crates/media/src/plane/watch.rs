//! Hearing what the plane decides: some of it is noted where it falls, the rest is seen by looking at what changed.

use std::time::Duration;

use crate::bwe::{Bitrate, EstimatorState, ProbeId};
use crate::decision::{Decided, Decision, LayerChoice};
use crate::event::PlaneEvent;
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::plane::Plane;

/// A target that moved by less than this share since it was told is not told again, unless something else bounds it.
const ESTIMATE_STEP: f64 = 0.03;

/// What was seen at the last look, by the index of the key.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    peers: Vec<Option<PeerSeen>>,
    slots: Vec<Option<SlotSeen>>,
}

#[derive(Debug)]
struct PeerSeen {
    key: PeerKey,
    told: Option<EstimatorState>,
    probe: Option<ProbeId>,
    probed: Option<ProbeId>,
    dropped: u64,
    congested: bool,
}

#[derive(Debug)]
struct SlotSeen {
    key: SlotKey,
    live: Option<(TrackKey, u8)>,
    current: Option<LayerChoice>,
}

impl Plane {
    /// Notes decisions from now on; to be looked at after each call.
    pub(crate) fn keep_log(&mut self) {
        self.log.start();
    }

    /// Tells what was decided since the last look.
    pub(crate) fn watch(&mut self, at: Duration, seen: &mut Watch, decided: &mut impl FnMut(&Decided)) {
        for (key, _) in self.peers.iter() {
            self.watch_peer(key, seen, &mut |decision| {
                decided(&Decided { at, peer: Some(key), slot: None, decision });
            });
        }
        let slots = &self.slots;
        for (slot, decision) in self.log.drain() {
            let peer = match (slot, decision.track()) {
                (Some(slot), _) => slots.get(slot).map(|slot| slot.peer),
                (None, Some(track)) => self.tracks.get(track).map(|track| track.peer),
                (None, None) => None,
            };
            decided(&Decided { at, peer, slot, decision });
        }
        for (key, slot) in self.slots.iter() {
            let peer = Some(slot.peer);
            self.watch_slot(key, seen, &mut |decision| decided(&Decided { at, peer, slot: Some(key), decision }));
        }
        while let Some(event) = self.poll_event() {
            // The others tell of facts, or of what was told above.
            if let PlaneEvent::LayersWanted { track, layers } = event {
                let peer = self.tracks.get(track).map(|track| track.peer);
                decided(&Decided { at, peer, slot: None, decision: Decision::Wanted { track, layers } });
            }
        }
    }

    fn watch_peer(&self, key: PeerKey, seen: &mut Watch, tell: &mut dyn FnMut(Decision)) {
        let Some(peer) = self.peers.get(key) else { return };
        let before = entry(&mut seen.peers, key.index(), |seen| seen.key == key, || PeerSeen::new(key));
        let (sending, pacer) = (&peer.sending, &peer.sending.pacer);
        if let Some(estimator) = sending.estimator() {
            let (begun, ended) = estimator.probes();
            if let Some((cluster, finding)) = ended.filter(|(cluster, _)| before.probed != Some(cluster.id)) {
                before.probed = Some(cluster.id);
                tell(Decision::Probed { cluster, finding });
            }
            let state = estimator.state();
            if before.told.is_none_or(|told| is_news(&told, &state)) {
                let target = before.told.map_or(Bitrate::ZERO, |told| told.target);
                before.told = Some(state);
                tell(Decision::Estimate { before: target, state });
            }
            if let Some(cluster) = begun.filter(|cluster| before.probe != Some(cluster.id)) {
                before.probe = Some(cluster.id);
                tell(Decision::Probe { cluster });
            }
        }
        if pacer.dropped() != before.dropped {
            let packets = pacer.dropped() - before.dropped;
            before.dropped = pacer.dropped();
            tell(Decision::Dropped { packets, queue: pacer.queue() });
        }
        if pacer.is_congested() != before.congested {
            before.congested = pacer.is_congested();
            tell(Decision::Congested { congested: before.congested, queue: pacer.queue() });
        }
    }

    fn watch_slot(&self, key: SlotKey, seen: &mut Watch, tell: &mut dyn FnMut(Decision)) {
        let (Some(slot), Some(stats)) = (self.slots.get(key), self.slot_stats(key)) else { return };
        let before = entry(&mut seen.slots, key.index(), |seen| seen.key == key, || SlotSeen::new(key));
        let live = slot.live.map(|epoch| (epoch.track, epoch.layer));
        match (before.live, live, stats.current) {
            (Some((track, _)), None, _) => tell(Decision::Stops { track }),
            (Some(was), Some(is), Some(choice)) if was == is && before.current != Some(choice) => {
                tell(Decision::Follows { track: is.0, choice });
            }
            _ => {} // A beginning was noted where it fell.
        }
        (before.live, before.current) = (live, stats.current);
    }
}

impl PeerSeen {
    const fn new(key: PeerKey) -> Self {
        Self { key, told: None, probe: None, probed: None, dropped: 0, congested: false }
    }
}

impl SlotSeen {
    const fn new(key: SlotKey) -> Self {
        Self { key, live: None, current: None }
    }
}

/// What was seen of the key in this place; anew if another one had it.
fn entry<T>(
    seen: &mut Vec<Option<T>>,
    index: usize,
    is_same: impl FnOnce(&T) -> bool,
    new: impl FnOnce() -> T,
) -> &mut T {
    if seen.len() <= index {
        seen.resize_with(index + 1, || None);
    }
    let place = &mut seen[index]; // Just made, if it was not there.
    if !place.as_ref().is_some_and(is_same) {
        *place = None;
    }
    place.get_or_insert_with(new)
}

/// Whether an estimate is worth telling.
fn is_news(told: &EstimatorState, state: &EstimatorState) -> bool {
    let moved = state.target.as_f64() - told.target.as_f64();
    (told.reason, told.usage, told.loss_state) != (state.reason, state.usage, state.loss_state)
        || moved.abs() > told.target.scale(ESTIMATE_STEP).as_f64()
}
