//! RTP out: one packet to everybody who is to get it.

use std::time::Instant;

use crate::event::{Egress, PlaneEvent};
use crate::inbound::Track;
use crate::key::{SlotKey, TrackKey};
use crate::outbound::rewrite::Owner;
use crate::outbound::{Decision, Departure, Slot};
use crate::packet::Prepared;
use crate::plane::peer::Peer;
use crate::plane::timers::Timer;
use crate::plane::{Plane, queue};

/// What serving one subscriber of a packet needs.
struct Service<'p> {
    now: Instant,
    departure: Departure<'p>,
    track: &'p Track,
    key: TrackKey,
    slot: &'p mut Slot,
    /// When the packet was captured, by the plane's clock.
    capture: Option<i64>,
}

/// What the room is to know after a slot was served.
#[derive(Debug, Default)]
struct Served {
    packets: u64,
    bytes: usize,
    /// The timestamp of the first packet sent.
    timestamp: u32,
    switched: bool,
    /// The slot no longer shows this track.
    left: Option<TrackKey>,
    is_undecodable: bool,
}

impl Plane {
    /// Forwards a packet of a track to the slots that show it.
    pub(super) fn forward(&mut self, now: Instant, key: TrackKey, packet: &Prepared<'_>, out: &mut impl Egress) {
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        let Some(track) = self.tracks.get_mut(key).filter(|track| !track.is_paused) else { return };
        if packet.marker {
            track.rotation = track.rotation.wrapping_add(1);
        }
        let Some(track) = self.tracks.get(key) else { return };
        let capture = self.peers.get(track.peer).and_then(|peer| capture_time(micros, track, peer, packet));
        let count = track.subscribers.len();
        let mut left = std::mem::take(&mut self.scratch.left);
        for at in 0..count {
            // Below the length, as the remainder of it.
            let slot_key = track.subscribers[(at + track.rotation) % count];
            let Some(slot) = self.slots.get_mut(slot_key) else { continue };
            let Some(peer) = self.peers.get_mut(slot.peer).filter(|peer| peer.is_ready) else { continue };
            let departure = Departure { micros, ntp, transport_sequence: &mut peer.transport_sequence };
            let served = Service { now, departure, track, key, slot, capture }.serve(packet, out);
            peer.budget.handle_sent(served.bytes);
            self.counters.packets_out += served.packets;
            self.counters.bytes_out += served.bytes as u64;
            left.extend(served.left.map(|track| (track, slot_key)));
            if served.switched {
                self.counters.switches += 1;
                self.timers.schedule(Timer::SenderReports, slot.reports.at);
            }
            let event = announce(slot_key, key, slot, &served);
            if let Some(event) = event {
                queue(&mut self.events, &mut self.counters, event);
            }
        }
        for (track, slot) in left.drain(..) {
            if let Some(track) = self.tracks.get_mut(track) {
                track.subscribers.retain(|&subscriber| subscriber != slot);
            }
        }
        self.scratch.left = left;
    }
}

impl Service<'_> {
    fn serve(&mut self, packet: &Prepared<'_>, out: &mut impl Egress) -> Served {
        let newest = self.track.layers.get(usize::from(packet.layer)).and_then(|layer| layer.newest);
        let newest = newest.unwrap_or(packet.index);
        match self.slot.decide(self.departure.micros, self.key, self.track.selected, newest, packet) {
            Decision::Skip => Served::default(),
            Decision::Undecodable => Served { is_undecodable: true, ..Served::default() },
            Decision::Forward(epoch) => {
                let bytes = self.slot.send(&epoch, packet, None, &mut self.departure, out);
                let timestamp = epoch.timestamp_out(packet.timestamp);
                Served { packets: 1, bytes, timestamp, ..Served::default() }
            }
            Decision::Begin(owner) => self.begin(owner, newest, packet, out),
        }
    }

    /// Starts a new epoch of the slot, and sends what has already come behind its first packet.
    fn begin(&mut self, owner: Owner, newest: u64, packet: &Prepared<'_>, out: &mut impl Egress) -> Served {
        let before = self.slot.live.map(|epoch| epoch.track).filter(|&track| track != owner.track);
        let epoch = self.slot.begin(self.now, self.departure.micros, owner, packet, self.capture);
        // A new owner that tells no orientation stands upright, whatever the old one did.
        let orientation = self.track.layers.get(usize::from(owner.layer)).and_then(|layer| layer.orientation);
        let orientation = Some(orientation.unwrap_or(0));
        let mut bytes = self.slot.send(&epoch, packet, orientation, &mut self.departure, out);
        let mut packets = 1;
        for number in packet.index + 1..=newest {
            if let Some(stored) = self.track.stored(owner.layer, number) {
                bytes += self.slot.send(&epoch, &stored, None, &mut self.departure, out);
                packets += 1;
            }
        }
        let timestamp = epoch.timestamp_out(packet.timestamp);
        Served { packets, bytes, timestamp, switched: true, left: before, is_undecodable: false }
    }
}

/// When a packet was captured, if its publisher's sender reports tell.
fn capture_time(micros: i64, track: &Track, peer: &Peer, packet: &Prepared<'_>) -> Option<i64> {
    let report = track.layers.get(usize::from(packet.layer))?.report?;
    report.capture_time(micros, peer.clock.offset()?, packet.timestamp, packet.codec.clock_rate())
}

/// What the room is to hear about a slot that was served with a packet of `track`.
fn announce(key: SlotKey, track: TrackKey, slot: &mut Slot, served: &Served) -> Option<PlaneEvent> {
    if served.is_undecodable {
        let is_known = slot.undecodable == Some(track);
        slot.undecodable = Some(track);
        return (!is_known).then_some(PlaneEvent::CannotDecode { slot: key, track });
    }
    let is_owner = served.packets > 0 && slot.wanted.is_none() && !slot.is_announced;
    is_owner.then(|| {
        slot.is_announced = true;
        PlaneEvent::SlotLive { slot: key, generation: slot.generation, rtp_timestamp: served.timestamp }
    })
}
