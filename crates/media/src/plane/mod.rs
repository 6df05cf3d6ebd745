//! The façade a shard drives: one room's peers, tracks and slots.

mod ahead;
mod allocation;
mod audio;
mod cache;
mod forward;
mod limits;
mod moving;
mod pacing;
mod peer;
mod publishing;
mod receive;
mod recording;
mod relay;
mod rtcp;
mod sending;
mod stats;
mod timeout;
mod timers;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use roundtable_wire::rtcp::{Dlrr, ReportBlock};
use roundtable_wire::{Kind, NtpTime};

use crate::allocate;
use crate::audio::RoomAudio;
use crate::bwe::Told;
use crate::config::{SlotConfig, TrackConfig};
use crate::counters::{Counters, DropReason};
use crate::decision::Log;
use crate::event::{CannotDecode, PlaneEvent};
use crate::inbound::bind::Place;
use crate::inbound::keyframe::Urgency;
use crate::inbound::{Layer, Track};
use crate::key::{Arena, PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::Slot;
use crate::outbound::select::Bridge;
pub use crate::plane::moving::Detached;
use crate::plane::peer::Peer;
pub use crate::plane::stats::{LayerStats, SendStats, SlotStats};
use crate::plane::timers::{Timer, Timers};
pub(crate) use crate::plane::watch::Watch;
use crate::trace::{Call, Recorder};

/// Events that may wait to be polled; more are dropped and counted.
const MAX_EVENTS: usize = 4096;

/// The media plane of one room.
#[derive(Debug)]
pub struct Plane {
    start: Moment,
    /// The wall clock at `start`.
    start_ntp: NtpTime,
    /// Where the random numbers of new slots come from.
    random: u64,
    /// The SSRC our feedback to publishers comes from.
    feedback_ssrc: u32,
    peers: Arena<PeerKey, Peer>,
    tracks: Arena<TrackKey, Track>,
    slots: Arena<SlotKey, Slot>,
    audio: RoomAudio,
    timers: Timers,
    events: VecDeque<PlaneEvent>,
    counters: Counters,
    scratch: Scratch,
    /// The wall clock and the seed it was made with, from which a recording begins.
    origin: (u64, u64),
    recorder: Recorder,
    log: Log,
}

/// Buffers that are kept so that packets need no allocation.
#[derive(Debug, Default)]
struct Scratch {
    /// A packet restored from a retransmission.
    restored: Vec<u8>,
    rtcp: Vec<u8>,
    sequences: Vec<u16>,
    ssrcs: Vec<u32>,
    arrivals: Vec<Option<u64>>,
    reports: Vec<ReportBlock>,
    answers: Vec<Dlrr>,
    told: Told,
    /// The places of those among a track's subscribers whom a packet was for.
    audience: Vec<u32>,
    /// Slots that have left a track while the subscribers of another one were served.
    left: Vec<(TrackKey, SlotKey)>,
    /// Peers whose paths are to be looked after.
    due: Vec<PeerKey>,
    /// The slots of a subscriber that show pictures, and what its allocator is told of them.
    shown: Vec<(SlotKey, TrackKey)>,
    candidates: Vec<allocate::Track<'static>>,
    /// Tracks that were measured, and whether there is something else to forward of them.
    changed: Vec<(TrackKey, bool)>,
}

impl Plane {
    /// A plane without anybody. `unix_micros` is the wall clock at `now`; `seed` decides where numbers start.
    #[must_use]
    pub fn new(now: Moment, unix_micros: u64, seed: u64) -> Self {
        let mut plane = Self {
            start: now,
            start_ntp: NtpTime::from_unix_micros(unix_micros),
            random: seed,
            feedback_ssrc: 1,
            peers: Arena::new(),
            tracks: Arena::new(),
            slots: Arena::new(),
            audio: RoomAudio::default(),
            timers: Timers::default(),
            events: VecDeque::new(),
            counters: Counters::default(),
            scratch: Scratch::default(),
            origin: (unix_micros, seed),
            recorder: Recorder::default(),
            log: Log::default(),
        };
        plane.feedback_ssrc = plane.random() as u32 | 1;
        plane
    }

    /// Adds somebody. Nothing leaves for them before [`Plane::set_peer_ready`].
    pub fn add_peer(&mut self, now: Moment) -> PeerKey {
        self.recorder.note(now, || Call::AddPeer {});
        self.insert_peer(now, Peer::new(now))
    }

    fn insert_peer(&mut self, now: Moment, peer: Peer) -> PeerKey {
        self.timers.schedule(Timer::ReceiverReports, Some(now + timeout::REPORT_INTERVAL));
        self.peers.insert(peer)
    }

    /// Removes somebody with their tracks and slots.
    pub fn remove_peer(&mut self, now: Moment, peer: PeerKey) {
        self.recorder.note(now, || Call::RemovePeer { peer });
        let Some(removed) = self.peers.remove(peer) else { return };
        for track in removed.tracks {
            self.drop_track(now, track);
        }
        for slot in removed.slots {
            self.remove_slot(slot);
        }
    }

    /// Tells whether packets may leave for a peer: whether SRTP is up. On becoming ready its slots ask for keyframes.
    pub fn set_peer_ready(&mut self, now: Moment, peer: PeerKey, ready: bool) {
        self.recorder.note(now, || Call::SetPeerReady { peer, ready });
        let Some(state) = self.peers.get_mut(peer).filter(|state| state.is_ready != ready) else { return };
        state.is_ready = ready;
        for at in 0.. {
            let Some(slot) = self.peers.get(peer).and_then(|state| state.slots.get(at)).copied() else { break };
            let before = slot_tracks(&self.slots, slot);
            if let Some(state) = self.slots.get_mut(slot) {
                state.detach();
                self.resubscribe(slot, before);
            }
        }
        self.allocate(now, peer);
    }

    /// Tells that packets to a peer take another way from now on: what was learnt of the old one does not count.
    pub fn handle_path_change(&mut self, now: Moment, peer: PeerKey) {
        self.recorder.note(now, || Call::HandlePathChange { peer });
        if let Some(state) = self.peers.get_mut(peer) {
            state.sending.handle_path_change(now);
            self.allocate(now, peer);
        }
    }

    /// Adds a track that a peer publishes. A track of a peer that is not there is never live.
    pub fn add_track(&mut self, now: Moment, peer: PeerKey, config: TrackConfig) -> TrackKey {
        self.recorder.note(now, || Call::AddTrack { peer, config: config.clone() });
        self.insert_track(now, peer, config)
    }

    fn insert_track(&mut self, now: Moment, peer: PeerKey, config: TrackConfig) -> TrackKey {
        let transport_cc = config.codecs.iter().any(|codec| codec.transport_cc);
        let id = config.extensions.id(roundtable_wire::Extension::TransportSequence).filter(|_| transport_cc);
        if config.kind == Kind::Video {
            self.timers.schedule(Timer::Layers, Some(now + timeout::LAYER_INTERVAL));
        }
        let track = self.tracks.insert_with(|key| Track::new(key, peer, config));
        if let Some(state) = self.peers.get_mut(peer) {
            state.tracks.push(track);
            state.transport_sequence_id = state.transport_sequence_id.or(id);
            state.sources.forgive_strangers();
            // Taken out first, as what is bound is remembered no longer.
            let remembered = self.tracks.get(track).map(|track| state.sources.recall(&track.config.mid));
            self.bind_declared(peer, track);
            self.bind_remembered(peer, track, remembered.unwrap_or_default());
        }
        self.count_microphones();
        track
    }

    /// Removes a track. Slots that show it fall silent; what they last showed can no longer be asked for again.
    pub fn remove_track(&mut self, now: Moment, track: TrackKey) {
        self.recorder.note(now, || Call::RemoveTrack { track });
        self.drop_track(now, track);
    }

    fn drop_track(&mut self, now: Moment, track: TrackKey) {
        self.stop_speaking(track);
        self.end_voice(now, track);
        let Some(removed) = self.tracks.remove(track) else { return };
        if let Some(peer) = self.peers.get_mut(removed.peer) {
            peer.tracks.retain(|&other| other != track);
            peer.sources.unbind(track);
            peer.live_ssrc = peer.live_ssrc.filter(|&ssrc| peer.sources.find_mut(ssrc).is_some());
        }
        for slot in removed.subscribers {
            let Some(slot) = self.slots.get_mut(slot) else { continue };
            slot.live = slot.live.filter(|epoch| epoch.track != track);
            slot.wanted = slot.wanted.filter(|&wanted| wanted != track);
        }
    }

    /// Stops forwarding a track (it is muted), or starts it again with a keyframe.
    pub fn set_track_paused(&mut self, now: Moment, track: TrackKey, paused: bool) {
        self.recorder.note(now, || Call::SetTrackPaused { track, paused });
        let Some(state) = self.tracks.get_mut(track).filter(|state| state.is_paused != paused) else { return };
        state.is_paused = paused;
        // What came while it was muted is nobody's to see, and what came before is of long ago.
        state.layers.iter_mut().for_each(Layer::forget_gop);
        if !paused {
            self.count_microphones();
            return self.allocate_for(now, track);
        }
        for slot in &state.subscribers {
            // What is not forwarded must leave no hole: the slot takes the owner up again like a new one.
            if let Some(slot) = self.slots.get_mut(*slot)
                && slot.live.is_some_and(|epoch| epoch.track == track)
            {
                slot.detach();
            }
        }
        self.prune(track);
        self.stop_speaking(track);
        self.end_voice(now, track);
        self.allocate_for(now, track);
    }

    /// Adds a slot to a peer, idle until [`Plane::assign`].
    pub fn add_slot(&mut self, now: Moment, peer: PeerKey, config: SlotConfig) -> SlotKey {
        self.recorder.note(now, || Call::AddSlot { peer, config: config.clone() });
        let random = [self.random(), self.random()];
        self.insert_slot(now, Slot::new(peer, config, self.micros(now), random))
    }

    fn insert_slot(&mut self, now: Moment, slot: Slot) -> SlotKey {
        let (peer, ssrc, counts) = (slot.peer, slot.config.ssrc, slot.counts());
        let slot = self.slots.insert(slot);
        if let Some(state) = self.peers.get_mut(peer) {
            if counts {
                state.sending.measure(now, state.limits.receive.max_bitrate);
            }
            state.slots.push(slot);
            state.slot_ssrcs.push((ssrc, slot));
        }
        slot
    }

    /// Puts a track on a slot, or idles it.
    ///
    /// An audio slot changes its owner at once, a video slot at the first keyframe, until which it keeps the old owner
    /// if that still sends; then [`PlaneEvent::SlotLive`] tells so. Idling is immediate. A track without a codec the
    /// subscriber can decode is refused, and the slot stays as it was.
    pub fn assign(
        &mut self,
        now: Moment,
        slot: SlotKey,
        track: Option<TrackKey>,
        generation: u32,
    ) -> Result<(), CannotDecode> {
        self.recorder.note(now, || Call::Assign { slot, track, generation });
        self.put(now, slot, track, generation)
    }

    /// The same where the plane itself puts the track there.
    fn put(
        &mut self,
        now: Moment,
        slot: SlotKey,
        track: Option<TrackKey>,
        generation: u32,
    ) -> Result<(), CannotDecode> {
        let before = slot_tracks(&self.slots, slot);
        let Some(state) = self.slots.get_mut(slot) else { return Ok(()) };
        let peer = state.peer;
        let published = track.and_then(|track| Some((track, self.tracks.get(track)?)));
        let Some((track, published)) = published else {
            (state.live, state.wanted, state.generation, state.is_announced) = (None, None, generation, true);
            state.selector.set_goal(None, Bridge::Keep);
            self.resubscribe(slot, before);
            before.into_iter().flatten().for_each(|track| self.tell_wanted(now, track));
            self.allocate(now, peer);
            self.handle_seated(now, slot);
            return Ok(());
        };
        let is_decodable = match published.codec {
            Some(codec) => state.decodes(codec).is_some(),
            None => published.config.codecs.iter().any(|entry| state.decodes(entry.codec).is_some()),
        };
        if !is_decodable || published.config.kind != state.config.kind {
            return Err(CannotDecode);
        }
        (state.generation, state.is_announced) = (generation, false);
        if state.subject() != Some(track) {
            // What was wanted of the old owner says nothing of the new one.
            state.selector.set_goal(None, Bridge::Keep);
        }
        if state.live.is_some_and(|epoch| epoch.track == track) {
            state.wanted = None;
        } else {
            state.wanted = Some(track);
            if state.config.kind == Kind::Audio {
                state.live = None;
            }
        }
        self.resubscribe(slot, before);
        if let Some(track) = self.tracks.get_mut(track) {
            track.joins.handle_join(now);
        }
        // Before keys exist a keyframe would be made in vain, and the next one would have to wait for it: a peer that
        // is not ready chooses, and so asks, when it becomes so.
        self.allocate(now, peer);
        self.handle_seated(now, slot);
        Ok(())
    }

    /// When [`Plane::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// The same of what cannot wait: pacing, and what publishers are asked for.
    #[must_use]
    pub const fn poll_strict_timeout(&self) -> Option<Moment> {
        self.timers.strict()
    }

    /// The same of what can wait for some tens of milliseconds, so that a driver which would have to wake up for it does it
    /// with the next packet instead: reports, feedback, measuring.
    #[must_use]
    pub const fn poll_lenient_timeout(&self) -> Option<Moment> {
        self.timers.lenient()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PlaneEvent> {
        self.events.pop_front()
    }

    /// What has been counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The same, to be counted elsewhere from now on: it begins at zero again.
    pub fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }

    /// Binds the SSRCs the offer declares, before their first packets.
    fn bind_declared(&mut self, peer: PeerKey, key: TrackKey) {
        let Some(track) = self.tracks.get(key) else { return };
        if !track.config.rids.is_empty() {
            return;
        }
        let fid = &track.config.fid;
        let is_repair = |ssrc: u32| fid.iter().any(|&(_, repair)| repair == ssrc);
        let Some(media) = track.config.ssrcs.iter().copied().find(|&ssrc| !is_repair(ssrc)) else { return };
        let repair = fid.iter().find(|&&(primary, _)| primary == media).map(|&(_, repair)| repair);
        self.bind(peer, media, Place { track: key, layer: 0, is_repair: false });
        if let Some(repair) = repair {
            self.bind(peer, repair, Place { track: key, layer: 0, is_repair: true });
        }
    }

    fn remove_slot(&mut self, slot: SlotKey) -> Option<Slot> {
        let before = slot_tracks(&self.slots, slot);
        let removed = self.slots.remove(slot);
        self.resubscribe(slot, before);
        removed
    }

    /// Brings the lists of tracks up to date after a slot was on the tracks `before`.
    fn resubscribe(&mut self, slot: SlotKey, before: [Option<TrackKey>; 2]) {
        let after = slot_tracks(&self.slots, slot);
        for left in before.into_iter().filter(|track| !after.contains(track)).flatten() {
            if let Some(track) = self.tracks.get_mut(left) {
                track.subscribers.retain(|&subscriber| subscriber != slot);
                track.forget_audiences();
            }
        }
        for joined in after.into_iter().filter(|track| !before.contains(track)).flatten() {
            if let Some(track) = self.tracks.get_mut(joined) {
                track.subscribers.push(slot);
                track.forget_audiences();
            }
        }
    }

    /// Takes slots off the list of a track they no longer show or wait for.
    fn prune(&mut self, track: TrackKey) {
        let slots = &self.slots;
        if let Some(state) = self.tracks.get_mut(track) {
            let is_on = |slot: SlotKey| slots.get(slot).is_some_and(|slot| slot.tracks().any(|on| on == track));
            state.subscribers.retain(|&slot| is_on(slot));
            state.forget_audiences();
        }
    }

    /// Records that a subscriber cannot decode an encoding without a keyframe.
    fn wish(&mut self, now: Moment, track: TrackKey, layer: u8, urgency: Urgency) {
        let Some(track) = self.tracks.get_mut(track) else { return };
        if track.config.kind == Kind::Audio || track.is_paused {
            return;
        }
        if let Some(layer) = track.layers.get_mut(usize::from(layer)) {
            layer.gate.handle_wish(now, urgency);
            self.timers.schedule(Timer::Keyframe, layer.keyframe_timeout());
        }
    }

    fn stop_speaking(&mut self, track: TrackKey) {
        let change = self.tracks.get_mut(track).and_then(|state| state.speaking.stop());
        if let Some(speaking) = change {
            self.emit(PlaneEvent::Speaking { track, speaking });
        }
    }

    fn emit(&mut self, event: PlaneEvent) {
        queue(&mut self.events, &mut self.counters, event);
    }

    /// Microseconds of the plane's clock: since its start.
    fn micros(&self, now: Moment) -> i64 {
        now.micros_since(self.start).cast_signed()
    }

    fn ntp(&self, now: Moment) -> NtpTime {
        self.start_ntp + now.saturating_duration_since(self.start)
    }

    /// The next of a sequence of random numbers (SplitMix64); they only have to differ from slot to slot.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Queues an event; other parts of the plane may be borrowed meanwhile.
fn queue(events: &mut VecDeque<PlaneEvent>, counters: &mut Counters, event: PlaneEvent) {
    if events.len() < MAX_EVENTS {
        events.push_back(event);
    } else {
        counters.count_drop(DropReason::EventOverflow);
    }
}

/// The earlier of two moments, of which each may be none.
fn earlier(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    a.into_iter().chain(b).min()
}

/// The tracks a slot is on.
fn slot_tracks(slots: &Arena<SlotKey, Slot>, slot: SlotKey) -> [Option<TrackKey>; 2] {
    slots.get(slot).map_or([None, None], |slot| [slot.live.map(|epoch| epoch.track), slot.wanted])
}
