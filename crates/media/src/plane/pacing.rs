//! What leaves later: packets that had to wait, answers to NACKs, and the bytes that probes are made of.

use crate::bwe::ProbeId;
use crate::event::Egress;
use crate::inbound::Track;
use crate::key::{Arena, PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::rewrite::Found;
use crate::outbound::select::Need;
use crate::outbound::{Departure, HEAD_LEN, Outlet, Slot};
use crate::pacer::{Admission, Outgoing, Priority, Release};
use crate::packet::Prepared;
use crate::plane::sending::{OVERHEAD, Paced};
use crate::plane::timers::Timer;
use crate::plane::{Plane, earlier};

/// The most bytes of one packet of padding (RFC 3550 5.1).
const MAX_PADDING: usize = 255;
/// What is repeated for a probe may be so much longer than what is asked for: a probe that is made of larger packets than
/// it counts on makes a queue.
const FILLER_SLACK: usize = 100;
/// Packets that make up one of a probe where only small ones can be had.
const MAX_FILLERS: usize = 8;
/// Packets released to one subscriber in one turn; what is left has the next one.
const MAX_RELEASES: usize = 256;

impl Plane {
    /// Looks after the paths that are due.
    pub(super) fn send_due(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        let mut next = None;
        let mut due = std::mem::take(&mut self.scratch.due);
        for (key, peer) in self.peers.iter() {
            match peer.sending.due {
                Some(at) if at <= now => due.push(key),
                later => next = earlier(next, later),
            }
        }
        for key in due.drain(..) {
            // It is planned anew there.
            self.look_after(now, key, out);
        }
        self.scratch.due = due;
        next
    }

    /// Does for one path what is due: probes, what waits, what is chosen.
    pub(super) fn look_after(&mut self, now: Moment, key: PeerKey, out: &mut impl Egress) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.sending.due = None;
        if !peer.is_ready {
            return;
        }
        peer.sending.handle_timeout(now);
        if self.is_allocation_due(now, key) {
            self.choose(now, key);
        }
        self.join_from_cache(now, key, out);
        self.release(now, key, out);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.sending.due = peer.sending.poll_timeout(self.start, now);
            self.timers.schedule(Timer::Sending, peer.sending.due);
        }
    }

    /// Sends what the pacer lets go.
    fn release(&mut self, now: Moment, key: PeerKey, out: &mut impl Egress) {
        for _ in 0..MAX_RELEASES {
            let Some(peer) = self.peers.get_mut(key) else { return };
            match peer.sending.pacer.poll_transmit(now) {
                None => return,
                Some(Release::Packet(item, probe)) => self.send_paced(now, key, item, probe, out),
                Some(Release::Filler { bytes, probe }) => self.send_filler(now, key, bytes, probe, out),
            }
        }
    }

    /// Sends a packet that has waited, if the ring still has it.
    fn send_paced(&mut self, now: Moment, key: PeerKey, item: Paced, probe: Option<ProbeId>, out: &mut impl Egress) {
        let ntp = self.ntp(now);
        let (Some(peer), Some(slot)) = (self.peers.get_mut(key), self.slots.get_mut(item.slot)) else { return };
        let Some((found, packet)) = kept(slot, &self.tracks, item.index) else {
            self.counters.paced_lost += 1;
            return;
        };
        // What was missed while it waited was sent again before it was sent; but of what is stale nothing was, and the
        // number is still to come.
        if !item.is_repeat && slot.rtx.has_sent(item.index) && !slot.is_stale(item.index) {
            return;
        }
        let departure = Departure { ntp, transport_sequence: Some(peer.sending.sequence()) };
        let len = if item.is_repeat {
            let stream = repair_stream(slot, &found).filter(|_| slot.needs(&found, &packet.frame) != Need::Nothing);
            let Some(stream) = stream else { return };
            self.counters.rtx_out += 1;
            slot.send_again(stream, &found, &packet, departure, out)
        } else {
            let orientation = item.is_first.then(|| orientation(&self.tracks, &found));
            let outlet = Outlet { epoch: &found.epoch, place: found.place, orientation };
            self.counters.packets_out += 1;
            self.counters.bytes_out += packet.len() as u64;
            peer.budget.handle_sent(packet.len());
            slot.send(&outlet, &packet, departure, &mut [0; HEAD_LEN], out)
        };
        if item.is_repeat {
            self.counters.rtx_bytes_out += len as u64;
            peer.sending.handle_repeated(len);
        }
        peer.sending.handle_sent(now, len, slot.counts(), probe, false);
    }

    /// Answers a NACK: the packet leaves at once if the path has room.
    pub(super) fn repeat(&mut self, now: Moment, key: SlotKey, found: &Found, out: &mut impl Egress) {
        let Some(slot) = self.slots.get(key) else { return };
        let peer_key = slot.peer;
        let Some(peer) = self.peers.get_mut(peer_key) else { return };
        let len = self.tracks.get(found.epoch.track).and_then(|track| track.stored(found.epoch.layer, found.index));
        let Some(len) = len.map(|packet| packet.len()) else { return };
        let item = Paced { slot: key, index: found.place.index, is_repeat: true, is_first: false };
        let size = (len + OVERHEAD) as u16;
        let outgoing = Outgoing { item, size, priority: Priority::Retransmission };
        match peer.sending.pacer.handle_packet(now, outgoing) {
            Admission::Now(item, probe) => self.send_paced(now, peer_key, item, probe, out),
            Admission::Queued => self.timers.schedule(Timer::Sending, peer.sending.wake(now)),
            Admission::Dropped(_) => self.counters.rtx_refused += 1,
        }
    }

    /// Sends about `bytes` for a probe: of what was sent lately something again, else padding; never on the SSRC of
    /// media, whose numbers have no holes.
    fn send_filler(&mut self, now: Moment, key: PeerKey, bytes: u16, probe: ProbeId, out: &mut impl Egress) {
        let mut left = usize::from(bytes);
        for _ in 0..MAX_FILLERS {
            let Some(len) = self.send_one_filler(now, key, left, probe, out) else { return };
            self.counters.probe_bytes_out += len as u64;
            left = left.saturating_sub(len + OVERHEAD);
            if left == 0 {
                return;
            }
        }
    }

    /// Sends one packet for a probe, of `bytes` if that can be; returns its length.
    fn send_one_filler(
        &mut self,
        now: Moment,
        key: PeerKey,
        bytes: usize,
        probe: ProbeId,
        out: &mut impl Egress,
    ) -> Option<usize> {
        let ntp = self.ntp(now);
        let peer = self.peers.get_mut(key)?;
        let slots = &mut self.slots;
        let count = peer.slots.len();
        // Whose turn it is, or the next one after it that can; each place is below the length, as a remainder of it.
        let turns = (0..count).map(|turn| (peer.sending.filler_at + turn) % count);
        let can = |slot: &Slot| slot.counts() && padding_stream(slot).is_some();
        let at = { turns }.find(|&at| slots.get(peer.slots[at]).is_some_and(can))?;
        let slot = slots.get_mut(peer.slots[at])?;
        let departure = Departure { ntp, transport_sequence: Some(peer.sending.sequence()) };
        peer.sending.filler_at = at;
        peer.sending.filler_back += 1;
        let repeated = slot.next_index().checked_sub(peer.sending.filler_back);
        let repeated = repeated
            .filter(|&index| bytes > MAX_PADDING && !slot.is_stale(index))
            .and_then(|index| kept(slot, &self.tracks, index))
            .filter(|(_, packet)| packet.len() + OVERHEAD <= bytes + FILLER_SLACK);
        let stream = repeated.as_ref().and_then(|(found, _)| repair_stream(slot, found));
        let len = if let (Some((found, packet)), Some(stream)) = (repeated, stream) {
            slot.send_again(stream, &found, &packet, departure, out)
        } else {
            // Nothing further back is known, or it is too long: the next probe begins with the newest again.
            (peer.sending.filler_at, peer.sending.filler_back) = (at + 1, 0);
            let stream = padding_stream(slot)?;
            slot.send_padding(stream, bytes.min(MAX_PADDING) as u8, departure, out)
        };
        peer.sending.handle_sent(now, len, true, Some(probe), true);
        Some(len)
    }
}

/// A packet of a slot that its ring still has.
fn kept<'t>(slot: &Slot, tracks: &'t Arena<TrackKey, Track>, index: u64) -> Option<(Found, Prepared<'t>)> {
    let found = slot.find_index(index)?;
    Some((found, tracks.get(found.epoch.track)?.stored(found.epoch.layer, found.index)?))
}

/// The SSRC and payload type under which a packet is sent again.
pub(super) fn repair_stream(slot: &Slot, found: &Found) -> Option<(u32, u8)> {
    Some((slot.config.rtx_ssrc?, found.epoch.rtx_payload_type?))
}

/// The SSRC and a payload type under which padding is sent.
fn padding_stream(slot: &Slot) -> Option<(u32, u8)> {
    Some((slot.config.rtx_ssrc?, slot.config.codecs.iter().find_map(|codec| codec.rtx_payload_type)?))
}

fn orientation(tracks: &Arena<TrackKey, Track>, found: &Found) -> u8 {
    let layer = tracks.get(found.epoch.track).and_then(|track| track.layers.get(usize::from(found.epoch.layer)));
    layer.and_then(|layer| layer.orientation).unwrap_or(0)
}
