//! RTP in: from the datagram to the layer it belongs to.

use roundtable_wire::ext::{read_audio_level, read_mid, read_stream_id, read_transport_sequence};
use roundtable_wire::{Extension, Kind, RtpPacket};

use crate::counters::DropReason;
use crate::decision::{Decision, WishCause};
use crate::event::{Egress, PlaneEvent, Relayed};
use crate::inbound::bind::{Bound, Place};
use crate::inbound::keyframe::Urgency;
use crate::inbound::{Effects, Received, Track};
use crate::key::{PeerKey, TrackKey};
use crate::moment::Moment;
use crate::packet::Prepared;
use crate::plane::Plane;
use crate::plane::timers::Timer;

/// Bytes of the original sequence number in front of a retransmitted payload (RFC 4588 4).
const OSN_LEN: usize = 2;

impl Plane {
    /// Takes one RTP packet of a peer, decrypted, and forwards it.
    pub fn handle_rtp(&mut self, now: Moment, from: PeerKey, packet: &[u8], out: &mut impl Egress) {
        if self.recorder.is_on() {
            self.record_rtp(now, from, packet); // Call::HandleRtp
        }
        self.counters.packets_in += 1;
        self.counters.bytes_in += packet.len() as u64;
        if let Err(reason) = self.receive(now, from, packet, out) {
            self.counters.count_drop(reason);
        }
    }

    fn receive(&mut self, now: Moment, from: PeerKey, bytes: &[u8], out: &mut impl Egress) -> Result<(), DropReason> {
        let packet = RtpPacket::parse(bytes).map_err(|_| DropReason::Malformed)?;
        self.log_arrival(now, from, &packet)?;
        let place = match self.place_of(from, packet.ssrc) {
            Some(place) => place,
            None => self.introduce(from, &packet)?,
        };
        if place.is_repair {
            return self.receive_repair(now, from, place, &packet, bytes, out);
        }
        if let Some(peer) = self.peers.get_mut(from) {
            peer.live_ssrc = Some(packet.ssrc);
        }
        self.receive_media(now, place, &packet, bytes, out)
    }

    /// Notes when a packet came if it has a transport-wide number: every packet counts, whatever becomes of it.
    fn log_arrival(&mut self, now: Moment, from: PeerKey, packet: &RtpPacket<'_>) -> Result<(), DropReason> {
        let micros = self.micros(now).cast_unsigned();
        let peer = self.peers.get_mut(from).ok_or(DropReason::UnknownPeer)?;
        peer.inflow.handle_packet(packet.header_len + packet.payload.len());
        let element = peer.transport_sequence_id.and_then(|id| packet.extension(id));
        if let Some(sequence) = element.and_then(read_transport_sequence) {
            peer.arrivals.handle_packet(now, sequence, micros);
            self.timers.schedule(Timer::Feedback, peer.arrivals.poll_timeout());
        }
        Ok(())
    }

    pub(super) fn place_of(&mut self, from: PeerKey, ssrc: u32) -> Option<Place> {
        self.peers.get_mut(from)?.sources.find_mut(ssrc).map(|source| source.place)
    }

    /// Binds an unknown SSRC by the mid and the rid its packet carries (RFC 9143 9.2, RFC 8852).
    fn introduce(&mut self, from: PeerKey, packet: &RtpPacket<'_>) -> Result<Place, DropReason> {
        let peer = self.peers.get_mut(from).ok_or(DropReason::UnknownPeer)?;
        if !peer.sources.try_stranger(packet.ssrc) {
            return Err(DropReason::UnknownSource);
        }
        let places = peer.tracks.iter().filter_map(|&key| place_in(key, self.tracks.get(key)?, packet));
        let place = { places }.next().ok_or(DropReason::UnknownSource)?;
        if self.bind(from, packet.ssrc, place) { Ok(place) } else { Err(DropReason::TooManySources) }
    }

    /// Gives an SSRC its place; returns whether there was room.
    pub(super) fn bind(&mut self, from: PeerKey, ssrc: u32, place: Place) -> bool {
        let Some(peer) = self.peers.get_mut(from) else { return false };
        let bound = peer.sources.bind(ssrc, place);
        if bound == Bound::Refused {
            return false;
        }
        let track = self.tracks.get_mut(place.track);
        let layer = track.and_then(|track| track.layers.get_mut(usize::from(place.layer)));
        if let Some(layer) = layer.filter(|_| !place.is_repair) {
            let is_anew = layer.ssrc.is_some_and(|known| known != ssrc);
            if is_anew {
                layer.restart(ssrc);
                self.detach_from(place);
            } else {
                layer.ssrc = Some(ssrc);
            }
        }
        true
    }

    /// Takes the slots off a layer that starts anew: its packets are counted from elsewhere now.
    fn detach_from(&mut self, place: Place) {
        let Some(track) = self.tracks.get(place.track) else { return };
        for &slot in &track.subscribers {
            if let Some(slot) = self.slots.get_mut(slot)
                && slot.live.is_some_and(|epoch| epoch.track == place.track && epoch.layer == place.layer)
            {
                slot.detach();
            }
        }
        self.prune(place.track);
        let is_wanted = self.wanted_layers(place.track) >> place.layer & 1 == 1;
        let track = self.tracks.get_mut(place.track).filter(|_| is_wanted);
        if let Some(layer) = track.and_then(|track| track.layers.get_mut(usize::from(place.layer))) {
            // Asked for as soon as the first packet shows that the layer lives.
            layer.gate.handle_wish(self.start, Urgency::Urgent);
            let (track, layer) = (place.track, place.layer);
            self.log.note(None, || Decision::Wish { track, layer, cause: WishCause::Restart });
        }
    }

    /// Takes a packet of the SSRC that repeats others (RFC 4588), or probes the path with padding.
    fn receive_repair(
        &mut self,
        now: Moment,
        from: PeerKey,
        place: Place,
        packet: &RtpPacket<'_>,
        bytes: &[u8],
        out: &mut impl Egress,
    ) -> Result<(), DropReason> {
        let ticks = self.arrival_ticks(now, place.track);
        if let Some(source) = self.peers.get_mut(from).and_then(|peer| peer.sources.find_mut(packet.ssrc)) {
            let index = source.unwrapper.unwrap(packet.sequence);
            source.stats.handle_packet(index, packet.timestamp, ticks);
        }
        if packet.payload.is_empty() {
            self.counters.padding_in += 1;
            return Ok(());
        }
        let track = self.tracks.get(place.track).ok_or(DropReason::UnknownSource)?;
        let ssrc = track.layers.get(usize::from(place.layer)).and_then(|layer| layer.ssrc);
        let ssrc = ssrc.ok_or(DropReason::UnknownSource)?;
        let payload_type = track.repaired_payload_type(packet.payload_type).ok_or(DropReason::UnknownPayloadType)?;
        let mut restored = std::mem::take(&mut self.scratch.restored);
        let is_restored = restore(packet, bytes, payload_type, ssrc, &mut restored).is_some();
        let result = match RtpPacket::parse(&restored) {
            Ok(packet) if is_restored => self.receive_media(now, place, &packet, &restored, out),
            Ok(_) | Err(_) => Err(DropReason::BadRetransmission),
        };
        self.scratch.restored = restored;
        result
    }

    pub(super) fn receive_media(
        &mut self,
        now: Moment,
        place: Place,
        packet: &RtpPacket<'_>,
        bytes: &[u8],
        out: &mut impl Egress,
    ) -> Result<(), DropReason> {
        self.recover_redundant(now, place, packet, out);
        let track = self.tracks.get_mut(place.track).ok_or(DropReason::UnknownSource)?;
        let (mut received, effects) = track.receive(now, place.layer, packet, bytes, place.is_repair);
        if matches!(received, Received::Media(_) | Received::Padding) {
            track.relay(place.layer, Relayed::Packet(bytes), out);
        }
        let peer = track.peer;
        if !place.is_repair && effects.index != 0 {
            let ticks = self.arrival_ticks(now, place.track);
            if let Some(source) = self.peers.get_mut(peer).and_then(|peer| peer.sources.find_mut(packet.ssrc)) {
                source.stats.handle_packet(effects.index, packet.timestamp, ticks);
            }
        }
        // Not taken out of it: a packet is large to copy.
        match &mut received {
            Received::UnknownPayloadType => return Err(DropReason::UnknownPayloadType),
            Received::Duplicate => return Err(DropReason::Duplicate),
            Received::Padding => {
                self.counters.padding_in += 1;
                self.follow_up(now, place, effects);
            }
            Received::Media(prepared) => {
                self.counters.recovered_in += u64::from(effects.was_missing);
                self.handle_capture(now, place.track, prepared);
                self.follow_up(now, place, effects);
                self.observe(now, place.track, packet, prepared);
                if prepared.codec.kind() == Kind::Audio {
                    self.forward_audio(now, place.track, prepared, bytes, out);
                } else {
                    self.forward(now, place.track, prepared, out);
                }
            }
        }
        Ok(())
    }

    /// Learns from a packet that says when it was captured, and has it say so to subscribers by our clock.
    fn handle_capture(&mut self, now: Moment, key: TrackKey, prepared: &mut Prepared<'_>) {
        let micros = self.micros(now);
        let Some(track) = self.tracks.get_mut(key) else { return };
        if let Some(capture) = prepared.carried.capture.filter(|_| prepared.is_newest)
            && let Some(peer) = self.peers.get_mut(track.peer)
            && let Some(layer) = track.layers.get_mut(usize::from(prepared.layer))
        {
            if peer.clock.offset().is_none() {
                // Until the first sender report nothing better is known of its clock.
                peer.clock.handle_report(micros, capture.by_sender());
            }
            layer.captures.handle_stated(micros, capture, prepared.timestamp);
            track.ahead = peer.clock.ahead(self.start_ntp);
        }
        track.tell_capture(prepared, prepared.frame.starts_keyframe);
    }

    /// Plans what a packet of a layer asks for.
    fn follow_up(&mut self, now: Moment, place: Place, effects: Effects) {
        if effects.woke && self.tracks.get_mut(place.track).is_some_and(|track| track.look(now)) {
            self.allocate_for(now, place.track);
        }
        let is_wanted = effects.needs_keyframe && self.wanted_layers(place.track) >> place.layer & 1 == 1;
        let Some(track) = self.tracks.get_mut(place.track) else { return };
        let Some(layer) = track.layers.get_mut(usize::from(place.layer)) else { return };
        if is_wanted {
            layer.gate.handle_wish(now, Urgency::Urgent);
            let (track, layer) = (place.track, place.layer);
            self.log.note(None, || Decision::Wish { track, layer, cause: WishCause::Loss });
        }
        self.timers.schedule(Timer::Nack, layer.nacks.poll_timeout());
        if effects.woke || is_wanted {
            self.timers.schedule(Timer::Keyframe, layer.keyframe_timeout());
        }
    }

    /// Tells the room what a packet says of its track.
    fn observe(&mut self, now: Moment, key: TrackKey, packet: &RtpPacket<'_>, prepared: &Prepared<'_>) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        if prepared.is_newest && track.codec != Some(prepared.codec) {
            track.codec = Some(prepared.codec);
            self.emit(PlaneEvent::Codec { track: key, codec: prepared.codec });
        }
        let Some(track) = self.tracks.get_mut(key) else { return };
        if prepared.frame.starts_keyframe {
            self.counters.keyframes_in += 1;
            if let Some(layer) = track.layers.get_mut(usize::from(prepared.layer)) {
                layer.gate.handle_keyframe(now);
            }
        }
        self.observe_level(now, key, packet);
    }

    fn observe_level(&mut self, now: Moment, key: TrackKey, packet: &RtpPacket<'_>) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.config.kind != Kind::Audio || track.is_paused {
            return;
        }
        let element = track.config.extensions.id(Extension::AudioLevel).and_then(|id| packet.extension(id));
        let Some((_, level)) = element.and_then(read_audio_level) else { return };
        let change = track.speaking.handle_level(now, level);
        self.timers.schedule(Timer::Speaking, track.speaking.poll_timeout());
        if let Some(speaking) = change {
            self.emit(PlaneEvent::Speaking { track: key, speaking });
        }
    }

    /// The arrival of a packet in ticks of its track's clock, from anywhere.
    fn arrival_ticks(&self, now: Moment, track: TrackKey) -> u32 {
        let kind = self.tracks.get(track).map_or(Kind::Video, |track| track.config.kind);
        let ticks_per_ms = if kind == Kind::Video { 90 } else { 48 };
        // Three thousand years fit; wraps like the timestamps do.
        (self.micros(now) * ticks_per_ms / 1000) as u32
    }
}

/// Where a packet says it belongs, if that is in `track`.
fn place_in(key: TrackKey, track: &Track, packet: &RtpPacket<'_>) -> Option<Place> {
    let text = |extension| {
        let data = packet.extension(track.config.extensions.id(extension)?)?;
        read_stream_id(data)
    };
    let mid = packet.extension(track.config.extensions.id(Extension::Mid)?).and_then(read_mid);
    if mid != Some(track.config.mid.as_str()) {
        return None;
    }
    let is_repair = track.is_rtx(packet.payload_type);
    if track.config.rids.is_empty() {
        return Some(Place { track: key, layer: 0, is_repair });
    }
    let rid = text(if is_repair { Extension::RepairedRtpStreamId } else { Extension::RtpStreamId })?;
    let layer = track.config.rids.iter().position(|known| known == rid)?;
    // There are no more than MAX_LAYERS rids.
    Some(Place { track: key, layer: layer as u8, is_repair })
}

/// Builds the packet that a retransmission repeats into `restored`.
fn restore(packet: &RtpPacket<'_>, bytes: &[u8], payload_type: u8, ssrc: u32, restored: &mut Vec<u8>) -> Option<()> {
    let header = bytes.get(..packet.header_len)?;
    let (sequence, payload) = packet.payload.split_at_checked(OSN_LEN)?;
    restored.clear();
    restored.extend_from_slice(header);
    restored.extend_from_slice(payload);
    // The fixed header is there, or the packet would not have been parsed.
    let [first, second, rest @ ..] = restored.as_mut_slice() else { return None };
    *first &= !0x20; // The padding is left out.
    *second = *second & 0x80 | payload_type;
    rest.get_mut(..2)?.copy_from_slice(sequence);
    rest.get_mut(6..10)?.copy_from_slice(&ssrc.to_be_bytes());
    Some(())
}
