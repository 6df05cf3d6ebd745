//! The plane's regular work: what is told and asked without a packet to answer.

use std::time::Duration;

use roundtable_wire::rtcp::{Dlrr, FirEntry, ReportBlock, SenderInfo, Writer};
use roundtable_wire::time::compact_span;
use roundtable_wire::{Kind, NtpTime};

use crate::config::Limits;
use crate::decision::{Decision, WishCause};
use crate::event::{Egress, PlaneEvent};
use crate::inbound::Track;
use crate::inbound::keyframe::Urgency;
use crate::inbound::loss::Repair;
use crate::inbound::stats::Figures;
use crate::key::{Arena, PeerKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::Slot;
use crate::plane::peer::{Peer, Reference};
use crate::plane::timers::Timer;
use crate::plane::{Plane, earlier, queue};
use crate::trace::Call;

/// Receiver reports to publishers.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Measuring of bit rates, and how soon a layer that stopped is noticed.
pub(super) const LAYER_INTERVAL: Duration = Duration::from_millis(250);
/// A request for a keyframe of one encoding serves the others too, if what they wait for is so young: publishers make
/// one on all of them. If this one does not, its other encodings are asked when the answer stays out.
const TOGETHER: Duration = Duration::from_millis(150);
/// What publishers without transport-wide feedback are told they may send.
const REMB_BPS: u64 = 8_000_000;
/// A compound that has reached this length leaves before the next report is added.
const MAX_COMPOUND: usize = 1000;

impl Plane {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut impl Egress) {
        if self.timers.next().is_none_or(|next| next > now) {
            return;
        }
        self.recorder.note(now, || Call::HandleTimeout {});
        for timer in Timer::ALL {
            if !self.timers.take_due(timer, now) {
                continue;
            }
            let next = match timer {
                Timer::Nack => self.send_nacks(now, out),
                Timer::Keyframe => self.ask_keyframes(now, out),
                Timer::Feedback => self.send_feedback(now, out),
                Timer::ReceiverReports => {
                    self.judge_publishers(now);
                    self.send_receiver_reports(now, out)
                }
                Timer::SenderReports => self.send_sender_reports(now, out),
                Timer::Layers => self.measure_layers(now),
                Timer::Sending => self.send_due(now, out),
                Timer::Speaking => self.end_speech(now),
                Timer::Dominance => self.decide_dominance(now),
            };
            self.timers.schedule(timer, next);
        }
    }

    /// Asks publishers for what is missing.
    fn send_nacks(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        let mut next = None;
        for at in 0.. {
            let Some(key) = self.tracks.nth(at) else { break };
            let Some(key) = key else { continue };
            let misses = |track: &&Track| track.layers.iter().any(|layer| layer.nacks.poll_timeout().is_some());
            if self.tracks.get(key).filter(misses).is_none() {
                continue; // To know what is wanted costs a look at each subscriber.
            }
            let wanted = self.wanted_layers(key);
            let Some(track) = self.tracks.get_mut(key) else { continue };
            let Some(peer) = self.peers.get(track.peer) else { continue };
            for (layer, at) in track.layers.iter_mut().zip(0_u8..) {
                let Some(ssrc) = layer.ssrc else { continue };
                let is_wanted = !track.is_paused && (wanted >> at & 1 == 1 || track.config.kind == Kind::Audio);
                self.scratch.sequences.clear();
                let repair = layer.nacks.poll_requests(now, peer.rtt, &mut self.scratch.sequences);
                if repair == Repair::Hopeless && is_wanted {
                    layer.gate.handle_wish(now, Urgency::Urgent);
                    let cause = WishCause::Loss;
                    self.log.note(None, || Decision::Wish { track: key, layer: at, cause });
                    self.timers.schedule(Timer::Keyframe, layer.keyframe_timeout());
                }
                next = earlier(next, layer.nacks.poll_timeout());
                if self.scratch.sequences.is_empty() || !peer.is_ready || !is_wanted {
                    continue;
                }
                self.counters.nacks_out += self.scratch.sequences.len() as u64;
                self.scratch.rtcp.clear();
                Writer::new(&mut self.scratch.rtcp).nack(self.feedback_ssrc, ssrc, &self.scratch.sequences);
                self.counters.rtcp_out += 1;
                out.rtcp(track.peer, &self.scratch.rtcp);
            }
        }
        next
    }

    /// Passes the merged wishes for keyframes on.
    fn ask_keyframes(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        for (key, track) in self.tracks.iter_mut() {
            let takes_pli = track.takes_pli();
            let Some(peer) = self.peers.get_mut(track.peer) else { continue };
            for (layer, at) in track.layers.iter_mut().zip(0_u8..) {
                let Some(ssrc) = layer.ssrc.filter(|_| layer.keyframe_timeout().is_some()) else { continue };
                layer.gate.set_rtt(peer.rtt);
                if track.is_paused || !layer.gate.poll_request(now) || !(peer.is_ready || peer.is_relayed) {
                    continue;
                }
                if layer.gate.is_first() && track.asked.is_some_and(|asked| now < asked + TOGETHER) {
                    continue;
                }
                track.asked = Some(now);
                if peer.is_relayed {
                    let wanted = PlaneEvent::KeyframeWanted { track: key, layer: at };
                    queue(&mut self.events, &mut self.counters, wanted);
                    continue;
                }
                self.scratch.rtcp.clear();
                let mut writer = Writer::new(&mut self.scratch.rtcp);
                if takes_pli {
                    writer.pli(self.feedback_ssrc, ssrc);
                } else {
                    peer.fir_sequence = peer.fir_sequence.wrapping_add(1);
                    writer.fir(self.feedback_ssrc, &[FirEntry { ssrc, sequence: peer.fir_sequence }]);
                }
                self.log.note(None, || Decision::Asks { track: key, layer: at });
                self.counters.keyframe_requests_out += 1;
                self.counters.rtcp_out += 1;
                out.rtcp(track.peer, &self.scratch.rtcp);
            }
        }
        self.next_keyframe()
    }

    /// When the next keyframe is to be asked for.
    pub(super) fn next_keyframe(&self) -> Option<Moment> {
        let asked = self.tracks.iter().filter(|(_, track)| !track.is_paused);
        asked.flat_map(|(_, track)| &track.layers).filter_map(|layer| layer.keyframe_timeout()).min()
    }

    /// Tells publishers when their packets came, in the name of a media SSRC of theirs that lives: Chromium ignores
    /// feedback that names any other.
    fn send_feedback(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        let mut next = None;
        for (key, peer) in self.peers.iter_mut() {
            // Feedback on what is not bound waits until something is.
            if let Some(media_ssrc) = peer.live_ssrc.filter(|_| peer.is_ready)
                && let Some(report) = peer.arrivals.poll_report(now, &mut self.scratch.arrivals)
            {
                self.scratch.rtcp.clear();
                let messages = Writer::new(&mut self.scratch.rtcp).twcc(
                    self.feedback_ssrc,
                    media_ssrc,
                    report.feedback_count,
                    report.base_sequence,
                    &self.scratch.arrivals,
                );
                peer.arrivals.handle_sent(messages);
                self.counters.feedback_out += u64::from(messages);
                self.counters.rtcp_out += 1;
                out.rtcp(key, &self.scratch.rtcp);
            }
            next = earlier(next, peer.arrivals.poll_timeout().filter(|&at| at > now));
        }
        next
    }

    /// Tells publishers of loss and jitter with a reference time, which they answer so that the round trip is known of
    /// those too who only send (RFC 3611 4.4), and answers those of receivers.
    fn send_receiver_reports(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        let ntp = self.ntp(now);
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_ready) {
            let blocks = &mut self.scratch.reports;
            blocks.clear();
            blocks.extend(
                peer.sources
                    .iter_mut()
                    .filter_map(|source| source.stats.report(now).map(|figures| report_block(source.ssrc, &figures))),
            );
            let answers = &mut self.scratch.answers;
            answers.clear();
            answers.extend(peer.references.drain(..).map(|reference| answer(now, &reference)));
            if blocks.is_empty() && answers.is_empty() {
                continue;
            }
            self.scratch.rtcp.clear();
            let mut writer = Writer::new(&mut self.scratch.rtcp);
            writer.receiver_report(self.feedback_ssrc, blocks).dlrr(self.feedback_ssrc, answers);
            if !blocks.is_empty() {
                writer.receiver_reference_time(self.feedback_ssrc, ntp);
            }
            // Who measures by our feedback is told a bound only where policy sets one: senders keep to the lower.
            let bound = peer.limits.publish.max_bitrate;
            let is_bounded = bound < Limits::default().max_bitrate;
            if (peer.transport_sequence_id.is_none() || is_bounded) && peer.live_ssrc.is_some() {
                let media = peer.sources.iter().filter(|source| !source.place.is_repair);
                self.scratch.ssrcs.clear();
                self.scratch.ssrcs.extend(media.map(|source| source.ssrc));
                writer.remb(self.feedback_ssrc, REMB_BPS.min(bound.as_bps()), &self.scratch.ssrcs);
            }
            self.counters.rtcp_out += 1;
            out.rtcp(key, &self.scratch.rtcp);
        }
        (!self.peers.is_empty()).then_some(now + REPORT_INTERVAL)
    }

    /// Tells subscribers which timestamps of their slots belong together.
    fn send_sender_reports(&mut self, now: Moment, out: &mut impl Egress) -> Option<Moment> {
        let (micros, ntp) = (self.micros(now), self.ntp(now));
        let mut next = None;
        for (key, peer) in self.peers.iter().filter(|(_, peer)| peer.is_ready) {
            self.scratch.rtcp.clear();
            for &slot in &peer.slots {
                let Some(slot) = self.slots.get_mut(slot) else { continue };
                if slot.reports.at.is_some_and(|at| at <= now) {
                    match sender_info(slot, &self.tracks, &self.peers, micros, ntp) {
                        Some(info) => {
                            let mut writer = Writer::new(&mut self.scratch.rtcp);
                            writer.sender_report(&info, &[]).sdes_cname(info.ssrc, &slot.config.cname);
                            slot.reports.handle_sent(slot.config.kind, self.start, now);
                        }
                        None if slot.live.is_some() => slot.reports.postpone(now),
                        None => slot.reports.at = None, // The next owner starts it again.
                    }
                }
                next = earlier(next, slot.reports.at);
                if self.scratch.rtcp.len() >= MAX_COMPOUND {
                    self.counters.rtcp_out += 1;
                    out.rtcp(key, &self.scratch.rtcp);
                    self.scratch.rtcp.clear();
                }
            }
            if !self.scratch.rtcp.is_empty() {
                self.counters.rtcp_out += 1;
                out.rtcp(key, &self.scratch.rtcp);
            }
        }
        next
    }

    /// Measures the layers; whose choice changes by what appeared or stopped chooses anew.
    fn measure_layers(&mut self, now: Moment) -> Option<Moment> {
        let mut changed = std::mem::take(&mut self.scratch.changed);
        let mut has_video = false;
        for (key, track) in self.tracks.iter_mut().filter(|(_, track)| track.config.kind == Kind::Video) {
            has_video = true;
            changed.push((key, track.handle_tick(now)));
        }
        for (key, is_other) in changed.drain(..) {
            if is_other {
                self.allocate_for(now, key);
            }
            self.tell_wanted(now, key);
        }
        self.scratch.changed = changed;
        has_video.then_some(now + LAYER_INTERVAL)
    }

    /// Ends speech whose packets have stopped.
    fn end_speech(&mut self, now: Moment) -> Option<Moment> {
        let mut next = None;
        for (key, track) in self.tracks.iter_mut() {
            if let Some(speaking) = track.speaking.handle_timeout(now) {
                queue(&mut self.events, &mut self.counters, PlaneEvent::Speaking { track: key, speaking });
            }
            next = earlier(next, track.speaking.poll_timeout());
        }
        next
    }
}

/// What a sender report says of a slot: the present in our wall clock, and the timestamp of what its owner captures at
/// present. Never the last packet's timestamp: browsers would take the network's delay for a difference of capture.
fn sender_info(
    slot: &Slot,
    tracks: &Arena<TrackKey, Track>,
    peers: &Arena<PeerKey, Peer>,
    micros: i64,
    ntp: NtpTime,
) -> Option<SenderInfo> {
    let epoch = slot.live?;
    let track = tracks.get(epoch.track)?;
    let report = track.layers.get(usize::from(epoch.layer))?.captures.at(micros)?;
    let offset = peers.get(track.peer)?.clock.offset()?;
    let timestamp = report.timestamp_at(micros, offset, slot.clock.rate())?;
    Some(SenderInfo {
        ssrc: slot.config.ssrc,
        ntp,
        rtp_timestamp: epoch.timestamp_out(timestamp),
        packet_count: slot.packets,
        octet_count: slot.octets,
    })
}

/// The answer to a receiver's reference time (RFC 3611 4.5).
fn answer(now: Moment, reference: &Reference) -> Dlrr {
    let delay_since_last = compact_span(now.saturating_duration_since(reference.at));
    Dlrr { ssrc: reference.ssrc, last_receiver_report: reference.ntp, delay_since_last }
}

fn report_block(ssrc: u32, figures: &Figures) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: figures.fraction_lost,
        cumulative_lost: figures.cumulative_lost,
        highest_sequence: figures.highest,
        jitter: figures.jitter,
        last_sender_report: figures.last_report,
        delay_since_last: compact_span(figures.since_last_report),
    }
}
