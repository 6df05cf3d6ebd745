//! Sound in the plane: who is forwarded, to which slots, and with how much redundancy.
//!
//! Whoever has a seat with a subscriber is heard there. For talkers without one the plane fills the subscriber's *voice
//! slots* by itself, with no round trip through the room: an idle one first, else the one whose talker has been out of
//! the loudest for longest. The room is told by [`PlaneEvent::Voice`] once the first packet has left.

use std::time::Duration;

use roundtable_wire::red::Blocks;
use roundtable_wire::{Codec, Kind, NtpTime, RtpHeader, RtpPacket};

use crate::allocate::Class;
use crate::audio::MANY_MICROPHONES;
use crate::audio::loudest::Change;
use crate::audio::recent::{Recent, primary};
use crate::decision::Decision;
use crate::event::{Egress, PlaneEvent};
use crate::inbound::bind::Place;
use crate::inbound::{Received, Track, codec_of};
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::audio::AudioDecision;
use crate::outbound::rewrite::{Epoch, Owner};
use crate::outbound::{Departure, Slot};
use crate::pacer::{Admission, Outgoing, Priority};
use crate::packet::Prepared;
use crate::plane::ahead::{Circle, look_ahead};
use crate::plane::forward::capture_time;
use crate::plane::sending::{OVERHEAD, Paced, Sending};
use crate::plane::timers::Timer;
use crate::plane::{Plane, queue};
use crate::trace::Call;

/// The packets of an onset follow each other this closely, in ticks: 60 ms, longer ones are not made by browsers.
const ONSET_STEP: u32 = 2880;
/// Without packets for this long there is nothing to decide about dominance.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// Room for a header without extensions.
const HEAD_LEN: usize = 32;
/// Tracks a peer may refuse to hear; the oldest refusal gives way.
const MAX_UNHEARD: usize = 1024;

/// An audio packet on its way to the slots.
struct Voice<'p> {
    packet: &'p Prepared<'p>,
    has_voice: bool,
    /// Packets before it that are sent first to who takes the track up now.
    onset: u64,
}

/// What became of a packet at one slot.
#[derive(Default)]
struct Served {
    packets: u64,
    bytes: usize,
    timestamp: u32,
    is_begun: bool,
}

impl Plane {
    /// Sets how many talkers are forwarded in a room of many microphones: 1–6.
    pub fn set_max_talkers(&mut self, now: Moment, most: usize) {
        self.recorder.note(now, || Call::SetMaxTalkers { most: most as u64 });
        for left in self.audio.loudest.set_most(most) {
            self.handle_left(now, left);
        }
        self.fit_all_voices(now);
    }

    /// Makes an audio slot a voice slot: from now on the plane itself puts talkers on it.
    pub fn set_voice_slot(&mut self, now: Moment, slot: SlotKey) {
        self.recorder.note(now, || Call::SetVoiceSlot { slot });
        let Some(state) = self.slots.get_mut(slot).filter(|state| state.config.kind == Kind::Audio) else { return };
        state.audio.is_voice = true;
        let peer = state.peer;
        self.fit_voices(now, peer);
    }

    /// Makes a voice slot a mere audio slot again: the plane takes away who is on it, and puts nobody there.
    pub fn end_voice_slot(&mut self, now: Moment, slot: SlotKey) {
        self.recorder.note(now, || Call::EndVoiceSlot { slot });
        let Some(state) = self.slots.get_mut(slot).filter(|state| state.audio.is_voice) else { return };
        state.audio.is_voice = false;
        if self.voice_on(slot).is_some() {
            self.put_voice(now, slot, None);
        }
    }

    /// Says whether a peer wants to hear a track on its voice slots. All are wanted until told otherwise.
    pub fn set_audible(&mut self, now: Moment, peer: PeerKey, track: TrackKey, audible: bool) {
        self.recorder.note(now, || Call::SetAudible { peer, track, audible });
        let Some(state) = self.peers.get_mut(peer) else { return };
        state.unheard.retain(|&unheard| unheard != track);
        if !audible {
            if state.unheard.len() == MAX_UNHEARD {
                state.unheard.remove(0);
            }
            state.unheard.push(track);
        }
        self.fit_voices(now, peer);
    }

    /// Takes an audio packet of a track: listens to it, and forwards it unless it is held back.
    pub(super) fn forward_audio(
        &mut self,
        now: Moment,
        key: TrackKey,
        packet: &Prepared<'_>,
        bytes: &[u8],
        out: &mut impl Egress,
    ) {
        let Some(track) = self.tracks.get(key).filter(|track| !track.is_paused) else { return };
        let was_closed = track.audio.is_closed;
        let entered = packet.is_newest && self.listen(now, key, packet);
        let Some(track) = self.tracks.get(key) else { return };
        if !track.audio.is_closed {
            let is_taken_up = packet.is_newest && (was_closed || entered);
            let before = track.audio.recent.onset(packet.index, packet.timestamp, ONSET_STEP);
            let voice = Voice {
                packet,
                has_voice: packet.carried.audio_level().is_none_or(|(voice, _)| voice),
                onset: if is_taken_up { before } else { 0 },
            };
            self.serve_audio(now, key, &voice, out);
        } else if !was_closed {
            self.hold_slots(key);
        }
        if let Some(track) = self.tracks.get_mut(key).filter(|_| packet.is_newest)
            && let Some(frame) = primary(packet.codec, packet.payload)
        {
            track.audio.recent.push(packet.index, packet.timestamp, bytes, frame);
        }
    }

    /// Brings back what was lost on the way from the publisher and is repeated in `packet`, before that one itself.
    pub(super) fn recover_redundant(
        &mut self,
        now: Moment,
        place: Place,
        packet: &RtpPacket<'_>,
        out: &mut impl Egress,
    ) {
        let Some(track) = self.tracks.get(place.track).filter(|track| track.config.kind == Kind::Audio) else { return };
        let codec = codec_of(&track.config.codecs, packet.payload_type).map(|entry| entry.codec);
        if codec != Some(Codec::Red) {
            return;
        }
        let Ok(blocks) = Blocks::parse(packet.payload) else { return };
        let redundant = blocks.redundant();
        for (block, back) in redundant.iter().zip((1..=redundant.len() as u16).rev()) {
            let sequence = packet.sequence.wrapping_sub(back);
            let layer = self.tracks.get(place.track).and_then(|track| track.layers.get(usize::from(place.layer)));
            if block.data.is_empty() || !layer.is_some_and(|layer| layer.misses(sequence)) {
                continue;
            }
            let header = RtpHeader {
                marker: false,
                payload_type: block.payload_type,
                sequence,
                timestamp: packet.timestamp.wrapping_sub(u32::from(block.timestamp_offset)),
                ssrc: packet.ssrc,
                csrc: None,
            };
            self.inject(now, place, &header, block.data, out);
        }
    }

    /// Takes a packet made of a header and an audio frame as if it had come.
    fn inject(&mut self, now: Moment, place: Place, header: &RtpHeader, frame: &[u8], out: &mut impl Egress) {
        let mut restored = std::mem::take(&mut self.audio.restored);
        restored.clear();
        restored.resize(HEAD_LEN, 0);
        let len = header.write(&mut restored, |_| {});
        restored.truncate(len);
        restored.extend_from_slice(frame);
        if let Ok(packet) = RtpPacket::parse(&restored)
            && let Some(track) = self.tracks.get_mut(place.track)
            // Frames in redundant audio are of Opus; anything else would be redundancy within redundancy.
            && codec_of(&track.config.codecs, packet.payload_type).is_some_and(|entry| entry.codec == Codec::Opus)
            && let (Received::Media(prepared), _) = track.receive(now, place.layer, &packet, &restored, true)
        {
            self.counters.recovered_in += 1;
            self.forward_audio(now, place.track, &prepared, &restored, out);
        }
        self.audio.restored = restored;
    }

    /// Listens to the newest packet of a track and opens or closes it. Returns whether it is one of the loudest only now.
    fn listen(&mut self, now: Moment, key: TrackKey, packet: &Prepared<'_>) -> bool {
        let Some(track) = self.tracks.get_mut(key) else { return false };
        let level = packet.carried.audio_level().map(|(_, level)| level);
        let is_silent = track.audio.silence.handle_packet(packet.index, packet.timestamp, level);
        let is_microphone = track.is_microphone();
        let mut change = None;
        if let Some(level) = level.filter(|_| is_microphone) {
            track.audio.speaker.handle_level(now, level);
            track.audio.loudness.handle_level(now, level);
            self.timers.schedule(Timer::Dominance, Some(now + self.audio.dominance.next_tick()));
            change = self.consider(now, key);
        }
        if let Some(change) = change {
            self.handle_change(now, change);
        }
        let is_heard = self.audio.loudest.contains(key) && !is_silent;
        if let Some(track) = self.tracks.get_mut(key) {
            track.audio.is_closed = self.audio.is_gated && is_microphone && !is_heard;
        }
        change.is_some()
    }

    fn consider(&mut self, now: Moment, key: TrackKey) -> Option<Change> {
        let (tracks, dominant) = (&self.tracks, self.audio.dominance.current());
        let candidate = &tracks.get(key)?.audio.loudness;
        let loudness = |key| tracks.get(key).map_or(0.0, |track| track.audio.loudness.at(now));
        self.audio.loudest.consider(now, key, candidate, dominant, loudness)
    }

    /// Decides who leads the conversation, and lets them be heard.
    pub(super) fn decide_dominance(&mut self, now: Moment) -> Option<Moment> {
        let heard = self.tracks.iter_mut().filter(|(_, track)| track.is_microphone() && !track.is_paused);
        let mut speakers: Vec<_> = heard.map(|(key, track)| (key, &mut track.audio.speaker)).collect();
        let is_changed = self.audio.dominance.handle_tick(now, &mut speakers);
        let is_quiet = !speakers.iter().any(|(_, speaker)| speaker.is_heard(now, QUIET_AFTER));
        if is_changed {
            let track = self.audio.dominance.current();
            self.emit(PlaneEvent::Dominant { track });
            if let Some(change) = track.and_then(|track| self.admit(now, track)) {
                self.handle_change(now, change);
            }
        }
        (!is_quiet).then(|| now + self.audio.dominance.next_tick())
    }

    fn admit(&mut self, now: Moment, dominant: TrackKey) -> Option<Change> {
        let tracks = &self.tracks;
        let loudness = |key| tracks.get(key).map_or(0.0, |track| track.audio.loudness.at(now));
        self.audio.loudest.admit(now, dominant, loudness)
    }

    fn handle_change(&mut self, now: Moment, change: Change) {
        if let Some(left) = change.left {
            self.handle_left(now, left);
        }
        self.fit_all_voices(now);
    }

    /// A track is no longer one of the loudest.
    fn handle_left(&mut self, now: Moment, left: TrackKey) {
        let is_gated = self.audio.is_gated;
        let Some(track) = self.tracks.get_mut(left) else { return };
        track.audio.left = Some(now);
        if is_gated && !std::mem::replace(&mut track.audio.is_closed, true) {
            self.hold_slots(left);
        }
    }

    /// Closes the slots that show a track which is held back.
    fn hold_slots(&mut self, key: TrackKey) {
        let Some(track) = self.tracks.get(key) else { return };
        for &slot in &track.subscribers {
            if let Some(slot) = self.slots.get_mut(slot)
                && slot.live.is_some_and(|epoch| epoch.track == key)
            {
                slot.hold();
            }
        }
    }

    /// A track is muted or about to go: it is no voice any more.
    pub(super) fn end_voice(&mut self, now: Moment, key: TrackKey) {
        let Some(track) = self.tracks.get_mut(key).filter(|track| track.config.kind == Kind::Audio) else { return };
        track.is_paused = true;
        track.audio = crate::audio::TrackAudio::default();
        if self.audio.dominance.remove(key) {
            self.emit(PlaneEvent::Dominant { track: None });
        }
        self.audio.loudest.remove(key);
        self.count_microphones();
        self.fit_all_voices(now);
    }

    /// Counts the open microphones: with many of them only the loudest are forwarded.
    pub(super) fn count_microphones(&mut self) {
        let open = self.tracks.iter().filter(|(_, track)| track.is_microphone() && !track.is_paused).count();
        self.audio.is_gated = open > MANY_MICROPHONES;
        if !self.audio.is_gated {
            // Their next packets are forwarded; the slots take them up.
            self.tracks.iter_mut().for_each(|(_, track)| track.audio.is_closed = false);
        }
    }

    /// A seat carries another track: who is heard there needs no voice slot, and who is no longer may need one.
    pub(super) fn handle_seated(&mut self, now: Moment, slot: SlotKey) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        slot.audio.resume = None;
        if slot.kind == Kind::Audio && !slot.audio.is_voice {
            let peer = slot.peer;
            self.fit_voices(now, peer);
        }
    }

    fn fit_all_voices(&mut self, now: Moment) {
        let peers: Vec<PeerKey> = self.peers.iter().map(|(key, _)| key).collect();
        peers.into_iter().for_each(|peer| self.fit_voices(now, peer));
    }

    /// Puts the talkers who have no seat with a peer on its voice slots.
    fn fit_voices(&mut self, now: Moment, peer: PeerKey) {
        let Some(state) = self.peers.get(peer) else { return };
        let is_voice = |slot: SlotKey| self.slots.get(slot).is_some_and(|slot| slot.audio.is_voice);
        let voices: Vec<SlotKey> = state.slots.iter().copied().filter(|&slot| is_voice(slot)).collect();
        if voices.is_empty() {
            return;
        }
        for &slot in &voices {
            if self.voice_on(slot).is_some_and(|track| !self.may_have_voice(peer, track)) {
                self.put_voice(now, slot, None);
            }
        }
        let talkers: Vec<TrackKey> = self.audio.loudest.talkers().collect();
        for track in talkers {
            let has_voice = voices.iter().any(|&slot| self.voice_on(slot) == Some(track));
            if !has_voice
                && self.may_have_voice(peer, track)
                && let Some(slot) = self.free_voice(&voices)
            {
                self.put_voice(now, slot, Some(track));
            }
        }
    }

    /// The track on a voice slot.
    fn voice_on(&self, slot: SlotKey) -> Option<TrackKey> {
        self.slots.get(slot)?.tracks().next()
    }

    /// Whether a track may be on a voice slot of a peer: it is not its own, not refused, and has no seat.
    fn may_have_voice(&self, peer: PeerKey, key: TrackKey) -> bool {
        let Some(track) = self.tracks.get(key) else { return false };
        let is_seat =
            |slot: &SlotKey| self.slots.get(*slot).is_some_and(|slot| slot.peer == peer && !slot.audio.is_voice);
        let is_refused = self.peers.get(peer).is_none_or(|peer| peer.unheard.contains(&key));
        let is_open = track.peer != peer && track.class != Class::Screen && !track.is_paused && !is_refused;
        is_open && !track.subscribers.iter().any(is_seat)
    }

    /// The voice slot for another talker: an idle one, else the one whose talker is not heard for longest.
    fn free_voice(&self, voices: &[SlotKey]) -> Option<SlotKey> {
        let left = |slot: SlotKey| match self.voice_on(slot) {
            None => Some(None),
            Some(track) if self.audio.loudest.contains(track) => None,
            // Who was put there has been in; without a time it left before anybody counted.
            Some(track) => Some(self.tracks.get(track).and_then(|track| track.audio.left)),
        };
        let free = voices.iter().filter_map(|&slot| Some((left(slot)?, slot)));
        free.min_by_key(|&(left, _)| left).map(|(_, slot)| slot)
    }

    fn put_voice(&mut self, now: Moment, slot: SlotKey, track: Option<TrackKey>) {
        let Some(state) = self.slots.get(slot) else { return };
        let generation = state.generation.wrapping_add(1);
        // Who cannot decode it does without; on a seat that is told, here nobody waits for it.
        let is_put = self.put(now, slot, track, generation).is_ok();
        if is_put && track.is_none() {
            self.emit(PlaneEvent::Voice { slot, track, generation, rtp_timestamp: 0 });
        }
    }

    /// Sends a packet to the slots that show its track.
    fn serve_audio(&mut self, now: Moment, key: TrackKey, voice: &Voice<'_>, out: &mut impl Egress) {
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        let Some(track) = self.tracks.get(key) else { return };
        let capture = self.peers.get(track.peer).and_then(|peer| capture_time(micros, track, peer, voice.packet));
        let circle = Circle::new(&track.subscribers, 0);
        for (turn, &slot_key) in track.subscribers.iter().enumerate() {
            look_ahead(&self.slots, &self.peers, &circle, turn, out);
            let Some(slot) = self.slots.get_mut(slot_key) else { continue };
            let Some(peer) = self.peers.get_mut(slot.peer).filter(|peer| peer.is_ready) else { continue };
            let mut way = Way { now, micros, ntp, key: slot_key, sending: &mut peer.sending };
            let scratch = &mut self.audio.payload;
            let served = match slot.decide_audio(micros, key, voice.packet) {
                AudioDecision::Skip => continue,
                AudioDecision::Undecodable => {
                    if slot.undecodable.replace(key) != Some(key) && !slot.audio.is_voice {
                        let event = PlaneEvent::CannotDecode { slot: slot_key, track: key };
                        queue(&mut self.events, &mut self.counters, event);
                    }
                    continue;
                }
                AudioDecision::Forward(epoch) => {
                    let packet = (voice.packet, voice.has_voice);
                    let bytes = way.send(slot, &epoch, packet, &track.audio.recent, scratch, out);
                    let timestamp = epoch.timestamp_out(voice.packet.timestamp);
                    Served { packets: 1, bytes, timestamp, is_begun: false }
                }
                AudioDecision::Begin(owner) => begin(&mut way, slot, owner, (track, voice), capture, scratch, out),
            };
            peer.budget.handle_sent(served.bytes);
            self.counters.packets_out += served.packets;
            self.counters.bytes_out += served.bytes as u64;
            if served.is_begun {
                self.counters.switches += 1;
                let begins = Decision::Begins { track: key, layer: 0, from_cache: false };
                self.log.note(Some(slot_key), || begins);
                self.timers.schedule(Timer::SenderReports, slot.reports.at);
            }
            if let Some(event) = announce(slot_key, key, slot, &served) {
                queue(&mut self.events, &mut self.counters, event);
            }
        }
    }
}

/// The way out to one slot.
struct Way<'p> {
    now: Moment,
    micros: i64,
    ntp: NtpTime,
    key: SlotKey,
    sending: &'p mut Sending,
}

impl Way<'_> {
    /// Sends a packet; sound never waits, but what it takes of the path is counted. Returns its length.
    fn send(
        &mut self,
        slot: &mut Slot,
        epoch: &Epoch,
        packet: (&Prepared<'_>, bool),
        recent: &Recent,
        scratch: &mut Vec<u8>,
        out: &mut impl Egress,
    ) -> usize {
        // A number that nobody needs costs more than the packet, with what is to be said and learnt of it.
        let counts = slot.counts() && (self.sending.measures_sound() || slot.audio.redundancy.is_wanted());
        let item = Paced { slot: self.key, index: 0, is_repeat: false, is_first: false };
        let size = (packet.0.len() + OVERHEAD) as u16;
        let outgoing = Outgoing { item, size, priority: Priority::Audio };
        let admission = self.sending.pacer.handle_packet(self.now, outgoing);
        let probe = if let Admission::Now(_, probe) = admission { probe } else { None };
        let transport_sequence = counts.then_some(self.sending.sequence());
        let departure = Departure { ntp: self.ntp, transport_sequence };
        let len = slot.send_audio(epoch, packet, recent, scratch, (self.micros, departure), out);
        if len > 0 {
            self.sending.handle_sent(self.now, len, counts, probe, false);
        }
        len
    }
}

/// Starts an epoch of a slot, with the packets of the onset first.
fn begin(
    way: &mut Way<'_>,
    slot: &mut Slot,
    owner: Owner,
    (track, voice): (&Track, &Voice<'_>),
    capture: Option<i64>,
    scratch: &mut Vec<u8>,
    out: &mut impl Egress,
) -> Served {
    // A slot that shows the track already has had what came before.
    let onset = if slot.live.is_some() { 0 } else { voice.onset };
    let recent: &Recent = &track.audio.recent;
    let before = |back: u64| {
        let index = voice.packet.index.checked_sub(back)?;
        track.reread(voice.packet.layer, index, &recent.get(index)?.bytes)
    };
    let first = if onset > 0 { before(onset) } else { None };
    let first = first.unwrap_or(*voice.packet);
    let age = voice.packet.timestamp.wrapping_sub(first.timestamp);
    let capture = capture.map(|capture| Slot::earlier(capture, age));
    let epoch = slot.begin_audio(way.now, Slot::earlier(way.micros, age), owner, &first, capture);
    let mut served = Served { timestamp: epoch.timestamp_out(first.timestamp), is_begun: true, ..Served::default() };
    for mut packet in (1..=onset).rev().filter_map(before).chain([*voice.packet]) {
        if served.packets == 0 && packet.carried.capture.is_none() {
            track.tell_capture(&mut packet, true);
        }
        served.bytes += way.send(slot, &epoch, (&packet, voice.has_voice), recent, scratch, out);
        served.packets += 1;
    }
    served
}

/// What the room is to hear about a slot that was served with a packet of `track`.
fn announce(key: SlotKey, track: TrackKey, slot: &mut Slot, served: &Served) -> Option<PlaneEvent> {
    if served.packets == 0 || slot.is_announced {
        return None;
    }
    slot.is_announced = true;
    let (generation, rtp_timestamp) = (slot.generation, served.timestamp);
    Some(match slot.audio.is_voice {
        true => PlaneEvent::Voice { slot: key, track: Some(track), generation, rtp_timestamp },
        false => PlaneEvent::SlotLive { slot: key, generation, rtp_timestamp },
    })
}
