//! RTP out: one packet to everybody who is to get it.

use std::collections::VecDeque;

use roundtable_wire::{Kind, NtpTime};

use crate::counters::Counters;
use crate::decision::{self, Log};
use crate::event::{Egress, PlaneEvent};
use crate::frame::FrameInfo;
use crate::inbound::Track;
use crate::key::{SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::clock::REPLAY_STEPS;
use crate::outbound::rewrite::{Epoch, Owner, Place, Shift};
use crate::outbound::{Decision, Departure, HEAD_LEN, Head, Outlet, Slot};
use crate::pacer::{Admission, Outgoing, Priority};
use crate::packet::Prepared;
use crate::plane::ahead::{Circle, look_ahead};
use crate::plane::peer::Peer;
use crate::plane::sending::{OVERHEAD, Paced, Sending};
use crate::plane::timers::{Timer, Timers};
use crate::plane::{Plane, queue};

/// Frames of the past follow each other by this part of a second, or closer if there are many.
const PAST_STEPS: u32 = 1000;

/// What serving one subscriber of a packet needs.
pub(super) struct Service<'p> {
    pub(super) now: Moment,
    pub(super) micros: i64,
    pub(super) ntp: NtpTime,
    pub(super) track: &'p Track,
    pub(super) key: SlotKey,
    pub(super) slot: &'p mut Slot,
    pub(super) sending: &'p mut Sending,
    /// When the packet was captured, by the plane's clock.
    pub(super) capture: Option<i64>,
    /// Room for the heads of packets.
    pub(super) head: &'p mut Head,
}

/// What the room is to know after a slot was served.
#[derive(Debug, Default)]
pub(super) struct Served {
    packets: u64,
    bytes: usize,
    /// The timestamp of the first packet sent.
    timestamp: u32,
    switched: bool,
    /// It did so with a keyframe of the past.
    from_cache: bool,
    /// The slot no longer shows this track.
    left: Option<TrackKey>,
    is_undecodable: bool,
    /// Something waits in the pacer.
    queued: bool,
}

impl Plane {
    /// Forwards a packet of a track to the slots that show it.
    pub(super) fn forward(&mut self, now: Moment, key: TrackKey, packet: &Prepared<'_>, out: &mut impl Egress) {
        let Some(track) = self.tracks.get_mut(key).filter(|track| !track.is_paused) else { return };
        if packet.marker {
            track.rotation = track.rotation.wrapping_add(1);
        }
        let first = track.rotation.checked_rem(track.subscribers.len()).unwrap_or(0);
        if audience(track, packet, first).is_some_and(|(slots, _)| slots.is_empty()) {
            return;
        }
        // Packets of one batch share their time: what the first one needed is still near when the others come.
        let is_far = track.forwarded.replace(now) != Some(now);
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        // Each is borrowed once for all of the packet, and not looked up for each subscriber.
        let Self { tracks, slots, peers, counters, timers, events, log, scratch, .. } = self;
        let mut aftermath = Aftermath { counters, timers, events, log };
        let Some(track) = tracks.get(key) else { return };
        let capture = peers.get(track.peer).and_then(|peer| capture_time(micros, track, peer, packet));
        let mut head = [0; HEAD_LEN];
        let known = audience(track, packet, first);
        let finds_out = known.is_none() && track.layers.len() > 1 && !packet.frame.starts_keyframe;
        let circle = known.map_or_else(|| Circle::new(&track.subscribers, first), |(slots, at)| Circle::new(slots, at));
        let mut has_begun = false;
        scratch.audience.clear();
        // Tails are of the packet and of tracks, which are borrowed until the end.
        out.begin_fan_out();
        for turn in 0..circle.len() {
            if is_far {
                look_ahead(slots, peers, &circle, turn, out);
            }
            let Some(slot_key) = circle.get(turn) else { break };
            let Some(slot) = slots.get_mut(slot_key).filter(|slot| !slot.passes_over(key, packet)) else { continue };
            if finds_out {
                scratch.audience.push(((first + turn) % circle.len()) as u32);
            }
            let Some(peer) = peers.get_mut(slot.peer).filter(|peer| peer.is_ready) else { continue };
            let sending = &mut peer.sending;
            let mut served = Served::default();
            let mut service =
                Service { now, micros, ntp, track, key: slot_key, slot, sending, capture, head: &mut head };
            service.serve(packet, out, &mut served);
            if let Some(left) = served.left {
                scratch.left.push((left, slot_key));
            }
            has_begun |= served.switched;
            aftermath.handle_served(now, key, (slot_key, slot), peer, &served);
        }
        out.end_fan_out();
        if has_begun || finds_out {
            self.note_audience(key, packet, has_begun);
        }
        for (track, slot) in self.scratch.left.drain(..) {
            if let Some(track) = self.tracks.get_mut(track) {
                track.subscribers.retain(|&subscriber| subscriber != slot);
                track.forget_audiences();
            }
        }
    }

    /// Remembers whom a packet was for, unless some have begun something else with it.
    fn note_audience(&mut self, key: TrackKey, packet: &Prepared<'_>, has_begun: bool) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        if has_begun {
            track.forget_audiences();
        } else if let Some(layer) = track.layers.get_mut(usize::from(packet.layer)) {
            layer.audience.learn(packet.codec, &mut self.scratch.audience, &track.subscribers);
        }
    }
}

/// Those whom a packet is for, and the first of them to be served if of all subscribers it is the one at `first`.
fn audience<'t>(track: &'t Track, packet: &Prepared<'_>, first: usize) -> Option<(&'t [SlotKey], usize)> {
    if packet.frame.starts_keyframe {
        return None;
    }
    track.layers.get(usize::from(packet.layer))?.audience.of(packet.codec, first)
}

/// What is told of subscribers who were served, while they are still at hand.
pub(super) struct Aftermath<'p> {
    pub(super) counters: &'p mut Counters,
    pub(super) timers: &'p mut Timers,
    pub(super) events: &'p mut VecDeque<PlaneEvent>,
    pub(super) log: &'p mut Log,
}

impl Aftermath<'_> {
    /// Counts what a slot was served of a track, plans what follows from it, and tells the room.
    pub(super) fn handle_served(
        &mut self,
        now: Moment,
        track: TrackKey,
        (key, slot): (SlotKey, &mut Slot),
        peer: &mut Peer,
        served: &Served,
    ) {
        peer.budget.handle_sent(served.bytes);
        self.counters.packets_out += served.packets;
        self.counters.bytes_out += served.bytes as u64;
        if served.queued {
            self.timers.schedule(Timer::Sending, peer.sending.wake(now));
        }
        if served.switched {
            self.counters.switches += 1;
            let (layer, from_cache) = (slot.live.map_or(0, |epoch| epoch.layer), served.from_cache);
            self.log.note(Some(key), || decision::Decision::Begins { track, layer, from_cache });
            self.timers.schedule(Timer::SenderReports, slot.reports.at);
        }
        if let Some(event) = announce(key, track, slot, served) {
            queue(self.events, self.counters, event);
        }
    }
}

impl Service<'_> {
    /// Serves a packet, and tells of it in `served`, which is not returned: to copy what has just been written piece by
    /// piece, a processor waits until all that was written before has left it.
    fn serve(&mut self, packet: &Prepared<'_>, out: &mut impl Egress, served: &mut Served) {
        self.slot.selector.set_full(self.sending.pacer.is_full());
        match self.slot.decide(self.micros, self.track.key, self.track, packet) {
            Decision::Skip => {}
            Decision::LeaveOut => self.sending.pacer.handle_left_out(),
            Decision::Undecodable => served.is_undecodable = true,
            Decision::Forward(place) => {
                let Some(epoch) = self.slot.live else { return };
                served.timestamp = epoch.timestamp_out(packet.timestamp);
                self.dispatch(&epoch, place, None, packet, out, served);
            }
            Decision::Begin(owner) => self.begin(owner, packet, out, served),
        }
    }

    /// Begins with a keyframe of the past, and sends what has been kept since of the decode target `lowest`.
    ///
    /// The past is shown at once: its frames follow each other in [`PAST_STEPS`] up to the newest one, whose timestamp
    /// is that of its capture. Were they spread as they were captured, the subscriber would stay as far behind.
    pub(super) fn begin_in_the_past(
        &mut self,
        first: &Prepared<'_>,
        newest: u64,
        lowest: u8,
        captured: i64,
        out: &mut impl Egress,
    ) -> Option<Served> {
        let Decision::Begin(owner) = self.slot.take_over(self.track, first) else { return None };
        let (track, layer) = (self.track, owner.layer);
        let past = || (first.index..=newest).filter_map(|number| track.stored(layer, number));
        let is_sent = |frame: &FrameInfo| !frame.is_known || frame.present >> lowest & 1 == 1;
        let last = past().next_back().map_or(first.timestamp, |packet| packet.timestamp);
        let mut picture = None;
        let sent = past().filter(|packet| is_sent(&packet.frame));
        let pictures = { sent }.filter(|packet| picture.replace(packet.timestamp) != Some(packet.timestamp));
        let pictures = pictures.count() as u32;
        let rate = self.slot.clock.rate();
        let step = (rate / PAST_STEPS).min(rate / REPLAY_STEPS / pictures.max(1));
        let span = last.wrapping_sub(first.timestamp);
        let place =
            self.slot.clock.begin_in_the_past(self.micros, captured, span, u64::from(pictures), u64::from(step))?;
        let (last, step) = (last.wrapping_add(place.moved), place.step);
        let mut served = Served { switched: true, from_cache: true, ..Served::default() };
        let epoch = self.slot.begin_at(self.now, place.timestamp, owner, self.track, first);
        self.sending.handle_begun(self.now, self.key, self.slot.stale_before());
        let layer = self.track.layers.get(usize::from(owner.layer));
        if let Some(layer) = layer {
            self.slot.fall_behind(&layer.reader, lowest, first);
        }
        let (mut left, mut picture) = (pictures, None);
        let mut orientation = Some(layer.and_then(|layer| layer.orientation).unwrap_or(0));
        for packet in past() {
            if picture != Some(packet.timestamp) && is_sent(&packet.frame) {
                picture = Some(packet.timestamp);
                left = left.saturating_sub(1);
                let shown = last.wrapping_sub(left * step);
                let ticks = shown.wrapping_sub(packet.timestamp);
                self.slot.set_shift(packet.index, Shift { ticks, until: packet.timestamp });
            }
            self.follow(&epoch, orientation.take(), &packet, out, &mut served);
        }
        self.slot.selector.catch_up();
        served.timestamp = epoch.timestamp_out(last.wrapping_sub(pictures.saturating_sub(1) * step));
        Some(served)
    }

    /// Starts a new epoch of the slot, and sends what has already come behind its first packet.
    fn begin(&mut self, owner: Owner, packet: &Prepared<'_>, out: &mut impl Egress, served: &mut Served) {
        served.left = self.slot.live.map(|epoch| epoch.track).filter(|&track| track != owner.track);
        served.switched = true;
        let epoch = self.slot.begin(self.now, self.micros, owner, self.track, packet, self.capture);
        self.sending.handle_begun(self.now, self.key, self.slot.stale_before());
        served.timestamp = epoch.timestamp_out(packet.timestamp);
        self.replay(&epoch, packet, out, served);
    }

    /// Sends the first packet of an epoch and what has already come behind it.
    fn replay(&mut self, epoch: &Epoch, first: &Prepared<'_>, out: &mut impl Egress, served: &mut Served) {
        // A new owner that tells no orientation stands upright, whatever the old one did.
        let layer = self.track.layers.get(usize::from(epoch.layer));
        let orientation = Some(layer.and_then(|layer| layer.orientation).unwrap_or(0));
        self.follow(epoch, orientation, first, out, served);
        let newest = layer.and_then(|layer| layer.newest).unwrap_or(first.index);
        for number in first.index + 1..=newest {
            if let Some(stored) = self.track.stored(epoch.layer, number) {
                self.follow(epoch, None, &stored, out, served);
            }
        }
    }

    /// Sends a packet of an epoch that has just begun, if the selector lets it through.
    fn follow(
        &mut self,
        epoch: &Epoch,
        orientation: Option<u8>,
        packet: &Prepared<'_>,
        out: &mut impl Egress,
        served: &mut Served,
    ) {
        let newest = Prepared { is_newest: true, ..*packet };
        if let Decision::Forward(place) = self.slot.follow(epoch, self.track, &newest) {
            self.dispatch(epoch, place, orientation, packet, out, served);
        }
    }

    /// Sends a packet, or has it wait for its turn.
    fn dispatch(
        &mut self,
        epoch: &Epoch,
        place: Place,
        orientation: Option<u8>,
        packet: &Prepared<'_>,
        out: &mut impl Egress,
        served: &mut Served,
    ) {
        let Self { now, micros, ntp, key, slot, sending, head, .. } = self;
        let item = Paced { slot: *key, index: place.index, is_repeat: false, is_first: orientation.is_some() };
        match sending.pacer.handle_packet(*now, outgoing(item, slot, packet)) {
            Admission::Now(_, probe) => {
                slot.commit(*micros, epoch, place, packet);
                let departure = Departure { ntp: *ntp, transport_sequence: Some(sending.sequence()) };
                let len = slot.send(&Outlet { epoch, place, orientation }, packet, departure, head, out);
                sending.handle_sent(*now, len, slot.counts(), probe, false);
                served.packets += 1;
                served.bytes += len;
            }
            Admission::Queued => {
                slot.commit(*micros, epoch, place, packet);
                served.queued = true;
            }
            // A late one keeps its number free: those behind it have left.
            Admission::Dropped(_) if place.index >= slot.next_index() => slot.leave_out(packet),
            Admission::Dropped(_) => {}
        }
    }
}

/// What the pacer needs to know of a packet.
fn outgoing(item: Paced, slot: &Slot, packet: &Prepared<'_>) -> Outgoing<Paced> {
    Outgoing {
        item,
        size: (packet.len() + OVERHEAD) as u16,
        priority: if slot.kind == Kind::Audio { Priority::Audio } else { Priority::Video },
    }
}

/// When a packet was captured, if its publisher tells.
pub(super) fn capture_time(micros: i64, track: &Track, peer: &Peer, packet: &Prepared<'_>) -> Option<i64> {
    let report = track.layers.get(usize::from(packet.layer))?.captures.at(micros)?;
    report.capture_time(micros, peer.clock.offset()?, packet.timestamp, packet.codec.clock_rate())
}

/// What the room is to hear about a slot that was served with a packet of `track`.
fn announce(key: SlotKey, track: TrackKey, slot: &mut Slot, served: &Served) -> Option<PlaneEvent> {
    if served.is_undecodable {
        let is_known = slot.undecodable == Some(track);
        slot.undecodable = Some(track);
        return (!is_known).then_some(PlaneEvent::CannotDecode { slot: key, track });
    }
    let is_owner = (served.packets > 0 || served.queued) && slot.wanted.is_none() && !slot.is_announced;
    is_owner.then(|| {
        slot.is_announced = true;
        PlaneEvent::SlotLive { slot: key, generation: slot.generation, rtp_timestamp: served.timestamp }
    })
}
