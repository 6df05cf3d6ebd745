//! RTCP in: every feedback ends here.

use std::time::Duration;

use roundtable_wire::rtcp::{LostSequences, Packet, ReportBlock, XrBlock, XrBlocks, packets};
use roundtable_wire::time::round_trip;
use roundtable_wire::twcc::Feedback;
use roundtable_wire::{Kind, NtpTime};

use crate::bwe::Bitrate;
use crate::counters::DropReason;
use crate::decision::{Decision, WishCause};
use crate::event::{Egress, Relayed};
use crate::inbound::Layer;
use crate::inbound::clock::CaptureReport;
use crate::inbound::keyframe::Urgency;
use crate::key::{PeerKey, SlotKey};
use crate::moment::Moment;
use crate::outbound::rewrite::Found;
use crate::outbound::select::Need;
use crate::plane::Plane;
use crate::plane::pacing::repair_stream;
use crate::trace::Call;

/// A keyframe waits so long in queues of the path, is repaired and decoded; who asks for one meanwhile does not know
/// that it comes.
const UNDER_WAY: Duration = Duration::from_millis(300);

impl Plane {
    /// Takes one RTCP compound of a peer, decrypted.
    pub fn handle_rtcp(&mut self, now: Moment, from: PeerKey, compound: &[u8], out: &mut impl Egress) {
        self.recorder.note(now, || Call::HandleRtcp { from, compound: compound.into() });
        for packet in packets(compound) {
            self.counters.rtcp_in += 1;
            let is_allowed = self.peers.get_mut(from).map(|peer| peer.allow_rtcp(now));
            let dropped = match (is_allowed, packet) {
                (None, _) => Some(DropReason::UnknownPeer),
                (Some(false), _) => Some(DropReason::RtcpFlood),
                (Some(true), Err(_)) => Some(DropReason::Malformed),
                (Some(true), Ok(packet)) => {
                    self.handle_rtcp_packet(now, from, packet, out);
                    None
                }
            };
            if let Some(reason) = dropped {
                self.counters.count_drop(reason);
            }
        }
    }

    fn handle_rtcp_packet(&mut self, now: Moment, from: PeerKey, packet: Packet<'_>, out: &mut impl Egress) {
        match packet {
            Packet::SenderReport { ssrc, ntp, rtp_timestamp, reports, .. } => {
                self.handle_sender_report(now, from, ssrc, (ntp, rtp_timestamp), out);
                reports.for_each(|block| self.handle_report_block(now, from, &block));
            }
            Packet::ReceiverReport { reports, .. } => {
                reports.for_each(|block| self.handle_report_block(now, from, &block));
            }
            Packet::Nack { media_ssrc, lost, .. } => {
                if let Some(slot) = self.slot_of(from, media_ssrc) {
                    self.handle_nack(now, slot, &lost, out);
                }
            }
            Packet::PictureLoss { media_ssrc, .. } => self.handle_keyframe_request(now, from, media_ssrc),
            Packet::FullIntra { entries, .. } => {
                entries.for_each(|entry| self.handle_keyframe_request(now, from, entry.ssrc));
            }
            Packet::Goodbye { ssrcs, .. } => ssrcs.for_each(|ssrc| self.handle_goodbye(from, ssrc)),
            Packet::TransportFeedback(feedback) => self.handle_feedback(now, from, &feedback, out),
            Packet::ExtendedReport { ssrc, blocks } => self.handle_extended_report(now, from, ssrc, blocks),
            Packet::Remb { bitrate_bps, .. } => self.handle_remb(now, from, bitrate_bps),
            // Names are ours to give.
            Packet::SourceDescription { .. } | Packet::Unknown { .. } => {}
            _ => {}
        }
    }

    /// A publisher tells which of its timestamps belongs to which of its wall clock.
    fn handle_sender_report(
        &mut self,
        now: Moment,
        from: PeerKey,
        ssrc: u32,
        (ntp, rtp_timestamp): (NtpTime, u32),
        out: &mut impl Egress,
    ) {
        let micros = self.micros(now);
        let Some(peer) = self.peers.get_mut(from) else { return };
        let Some(source) = peer.sources.find_mut(ssrc) else { return };
        source.stats.handle_sender_report(now, ntp);
        let place = source.place;
        // Some senders report before they have a clock.
        if place.is_repair || ntp.0 == 0 {
            return;
        }
        peer.clock.handle_report(micros, ntp);
        let Some(track) = self.tracks.get_mut(place.track) else { return };
        track.relay(place.layer, Relayed::Report { ntp, rtp_timestamp }, out);
        if let Some(layer) = track.layers.get_mut(usize::from(place.layer)) {
            layer.captures.handle_report(CaptureReport::new(micros, ntp, rtp_timestamp));
        }
    }

    /// A subscriber tells how it receives one of its slots.
    fn handle_report_block(&mut self, now: Moment, from: PeerKey, block: &ReportBlock) {
        let ntp = self.ntp(now);
        let Some(peer) = self.peers.get_mut(from) else { return };
        let Some(slot) = peer.slot_of(block.ssrc).and_then(|slot| self.slots.get_mut(slot)) else { return };
        slot.fraction_lost = block.fraction_lost;
        peer.sending.handle_report(now, peer.limits.receive.max_bitrate);
        if !peer.sending.is_squeezed(now) {
            slot.audio.redundancy.handle_report(block.fraction_lost);
        }
        if let Some(rtt) = round_trip(ntp, block.last_sender_report, block.delay_since_last) {
            peer.handle_rtt(now, rtt);
        }
    }

    /// A subscriber asks for packets of a slot again. Those of the lowest temporal layer go first, keyframes among them:
    /// the budget may not suffice for all, and nothing else can be decoded without these.
    fn handle_nack(&mut self, now: Moment, slot: SlotKey, lost: &LostSequences<'_>, out: &mut impl Egress) {
        for is_base in [true, false] {
            for sequence in lost.clone() {
                if self.is_base(slot, sequence) == is_base {
                    self.handle_lost(now, slot, sequence, out);
                }
            }
        }
    }

    /// Whether a packet of a slot is one of the lowest temporal layer.
    fn is_base(&self, slot: SlotKey, sequence: u16) -> bool {
        let found = self.slots.get(slot).and_then(|slot| slot.find(sequence));
        let frame = found.and_then(|found| self.tracks.get(found.epoch.track)?.frame(found.epoch.layer, found.index));
        frame.is_some_and(|frame| frame.temporal == 0)
    }

    /// A subscriber asks for a packet of a slot again.
    fn handle_lost(&mut self, now: Moment, key: SlotKey, sequence: u16, out: &mut impl Egress) {
        self.counters.nacks_in += 1;
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(peer) = self.peers.get_mut(slot.peer).filter(|peer| peer.is_ready) else { return };
        let found = slot.find(sequence).and_then(|found| {
            let packet = self.tracks.get(found.epoch.track)?.stored(found.epoch.layer, found.index)?;
            let need = slot.needs(&found, &packet.frame);
            repair_stream(slot, &found).map(|_| (found, packet.payload.len(), need))
        });
        let Some((found, len, need)) = found else {
            self.counters.rtx_unknown += 1;
            return;
        };
        let target = peer.sending.estimator().map(|_| peer.sending.target());
        let index = found.place.index;
        // On a path that has just collapsed the whole of a picture costs more than a keyframe of what is left of it.
        if need == Need::Picture && peer.sending.is_squeezed(now) {
            self.counters.rtx_refused += 1;
            return self.give_up_picture(now, key, &found);
        }
        if need == Need::Nothing || !slot.rtx.allows(now, index, peer.rtt) || !peer.budget.allow(now, len, target) {
            self.counters.rtx_refused += 1;
            return;
        }
        // What was lost twice is sent twice: a third loss would be a picture that stands still (our own).
        let twice = slot.rtx.may_send_twice(index) && peer.budget.allow(now, len, target);
        (0..1 + u8::from(twice)).for_each(|_| slot.rtx.handle_repeat(now, index));
        self.repeat(now, key, &found, out);
        if twice {
            self.repeat(now, key, &found, out);
        }
    }

    /// A picture that is not sent again is not decoded, nor is what needs it: a keyframe is asked for, unless there has been
    /// one since.
    fn give_up_picture(&mut self, now: Moment, slot: SlotKey, found: &Found) {
        let (track, layer) = (found.epoch.track, found.epoch.layer);
        let state = self.tracks.get(track).and_then(|track| track.layers.get(usize::from(layer)));
        let is_past = state.and_then(Layer::gop).is_some_and(|gop| found.index < gop.first);
        if !is_past {
            self.log.note(Some(slot), || Decision::Wish { track, layer, cause: WishCause::GivenUp });
            self.wish(now, track, layer, Urgency::Urgent);
        }
    }

    /// A subscriber tells which of our packets have come to it, and when.
    fn handle_feedback(&mut self, now: Moment, from: PeerKey, feedback: &Feedback<'_>, out: &mut impl Egress) {
        self.counters.feedback_in += 1;
        if let Some(peer) = self.peers.get_mut(from) {
            peer.sending.handle_feedback(now, peer.limits.receive.max_bitrate, feedback, &mut self.scratch.told);
            self.look_after(now, from, out);
        }
    }

    /// A subscriber that measures by itself tells what it can take at most.
    fn handle_remb(&mut self, now: Moment, from: PeerKey, bitrate_bps: u64) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.sending.handle_remb(now, Bitrate::bps(bitrate_bps));
            if self.is_allocation_due(now, from) {
                self.allocate(now, from);
            }
        }
    }

    /// A subscriber asks for a keyframe on a slot.
    fn handle_keyframe_request(&mut self, now: Moment, from: PeerKey, ssrc: u32) {
        self.counters.keyframe_requests_in += 1;
        let Some(slot_key) = self.slot_of(from, ssrc) else { return };
        let Some(slot) = self.slots.get_mut(slot_key) else { return };
        let Some(peer) = self.peers.get(from) else { return };
        let way = UNDER_WAY + peer.rtt + peer.sending.queue();
        if slot.kind == Kind::Audio || slot.has_just_begun(now, way) {
            return;
        }
        let may_wish = slot.may_wish(now);
        if slot.gives_up_layers() {
            self.allocate(now, from);
        } else if !may_wish {
            return;
        }
        let Some(slot) = self.slots.get(slot_key) else { return };
        // Who waits for another owner or encoding has made its wish to that one already; it is repeated there.
        let layer = slot.selector.goal().map(|goal| goal.layer).or(slot.live.map(|epoch| epoch.layer));
        if let (Some(track), Some(layer)) = (slot.subject(), layer) {
            self.log.note(Some(slot_key), || Decision::Wish { track, layer, cause: WishCause::Subscriber });
            self.wish(now, track, layer, Urgency::Urgent);
        }
    }

    /// A publisher ends a stream: its layer no longer lives.
    fn handle_goodbye(&mut self, from: PeerKey, ssrc: u32) {
        let source = self.peers.get_mut(from).and_then(|peer| peer.sources.find_mut(ssrc));
        let Some(place) = source.map(|source| source.place).filter(|place| !place.is_repair) else { return };
        let Some(track) = self.tracks.get_mut(place.track) else { return };
        if let Some(layer) = track.layers.get_mut(usize::from(place.layer)) {
            layer.last_arrival = None;
            layer.nacks.clear();
        }
    }

    /// A receiver that sends nothing measures its round trip, or a sender tells of ours (RFC 3611 4.4, 4.5).
    fn handle_extended_report(&mut self, now: Moment, from: PeerKey, ssrc: u32, blocks: XrBlocks<'_>) {
        let (ntp, ours) = (self.ntp(now), self.feedback_ssrc);
        let Some(peer) = self.peers.get_mut(from) else { return };
        for block in blocks {
            match block {
                XrBlock::ReceiverReferenceTime(ntp) => peer.handle_reference_time(now, ssrc, ntp),
                XrBlock::DelaySinceLast(answers) => {
                    for answer in answers.filter(|answer| answer.ssrc == ours) {
                        if let Some(rtt) = round_trip(ntp, answer.last_receiver_report, answer.delay_since_last) {
                            peer.handle_rtt(now, rtt);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn slot_of(&self, peer: PeerKey, ssrc: u32) -> Option<SlotKey> {
        self.peers.get(peer)?.slot_of(ssrc)
    }
}
