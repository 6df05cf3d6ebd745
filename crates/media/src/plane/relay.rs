//! Relays: a track whose publisher is with another plane, packet by packet as the publisher sent them.
//!
//! The plane that has the publisher (the *origin*) hands each packet once to every other plane that wants its encoding;
//! what to make of it (layers, keyframes, loudness, numbers of slots) each plane finds out by itself, as if the publisher
//! were with it. Only the origin talks to the publisher: the others pass their wishes for keyframes and for encodings on.

use roundtable_wire::{NtpTime, RtpPacket};

use crate::config::TrackConfig;
use crate::event::{Egress, Relayed};
use crate::inbound::bind::Place;
use crate::inbound::clock::CaptureReport;
use crate::inbound::keyframe::Urgency;
use crate::inbound::relay::Relay;
use crate::key::{PeerKey, TrackKey};
use crate::moment::Moment;
use crate::plane::Plane;
use crate::plane::peer::Peer;

impl Plane {
    /// Adds the stand-in for a publisher that is with another plane. Nothing is ever sent to it: what is wanted of it is
    /// told by [`PlaneEvent::KeyframeWanted`](crate::PlaneEvent::KeyframeWanted) and
    /// [`PlaneEvent::LayersWanted`](crate::PlaneEvent::LayersWanted).
    pub fn add_relayed_peer(&mut self, now: Moment) -> PeerKey {
        let peer = self.insert_peer(now, Peer::new(now));
        if let Some(state) = self.peers.get_mut(peer) {
            state.is_relayed = true;
        }
        peer
    }

    /// Whether a peer publishes anything.
    #[must_use]
    pub fn has_tracks(&self, peer: PeerKey) -> bool {
        self.peers.get(peer).is_some_and(|peer| !peer.tracks.is_empty())
    }

    /// Adds a track of such a publisher. Its packets come by [`Plane::handle_relayed`], and are told apart by what the
    /// origin made of them, not by what they carry.
    pub fn add_relayed_track(&mut self, now: Moment, peer: PeerKey, config: TrackConfig) -> TrackKey {
        // Nothing is declared: SSRCs are bound as they come, and retransmissions do not come as such.
        self.insert_track(now, peer, TrackConfig { ssrcs: Vec::new(), fid: Vec::new(), ..config })
    }

    /// Hands the packets of a track to another plane from now on, as far as they are of `layers` (bit by bit), or no
    /// longer (0). Sound has one layer. `to` is the caller's number for the way there, which names the plane and the track in it.
    pub fn set_relay(&mut self, now: Moment, track: TrackKey, to: u32, layers: u8) {
        let Some(state) = self.tracks.get_mut(track) else { return };
        state.relays.retain(|relay| relay.to != to);
        if layers != 0 {
            state.relays.push(Relay { to, layers });
        }
        self.tell_wanted(now, track);
    }

    /// Another plane cannot show a layer without a keyframe.
    pub fn handle_relay_wish(&mut self, now: Moment, track: TrackKey, layer: u8) {
        self.wish(now, track, layer, Urgency::Urgent);
    }

    /// Takes what the origin hands over.
    pub fn handle_relayed(
        &mut self,
        now: Moment,
        track: TrackKey,
        layer: u8,
        item: Relayed<'_>,
        out: &mut impl Egress,
    ) {
        match item {
            Relayed::Packet(bytes) => self.handle_relayed_packet(now, track, layer, bytes, out),
            Relayed::Report { ntp, rtp_timestamp } => self.handle_relayed_report(now, track, layer, ntp, rtp_timestamp),
        }
    }

    fn handle_relayed_packet(&mut self, now: Moment, key: TrackKey, layer: u8, bytes: &[u8], out: &mut impl Egress) {
        self.counters.packets_in += 1;
        self.counters.bytes_in += bytes.len() as u64;
        let place = Place { track: key, layer, is_repair: false };
        // The track may have gone while the packet was on its way.
        let Some(track) = self.tracks.get(key).filter(|track| usize::from(layer) < track.layers.len()) else { return };
        let (peer, Ok(packet)) = (track.peer, RtpPacket::parse(bytes)) else { return };
        if self.place_of(peer, packet.ssrc) != Some(place) && !self.bind(peer, packet.ssrc, place) {
            return;
        }
        if let Err(reason) = self.receive_media(now, place, &packet, bytes, out) {
            self.counters.count_drop(reason);
        }
    }

    fn handle_relayed_report(&mut self, now: Moment, key: TrackKey, layer: u8, ntp: NtpTime, rtp_timestamp: u32) {
        let micros = self.micros(now);
        let Some(track) = self.tracks.get_mut(key) else { return };
        if let Some(peer) = self.peers.get_mut(track.peer) {
            peer.clock.handle_report(micros, ntp);
        }
        if let Some(layer) = track.layers.get_mut(usize::from(layer)) {
            layer.captures.handle_report(CaptureReport::new(micros, ntp, rtp_timestamp));
        }
    }
}
