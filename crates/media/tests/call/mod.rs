//! A call as Chromium makes it, for measurements: one VP8 simulcast publisher with dependency descriptors, and
//! subscribers that answer what reaches them with transport-wide feedback, reports and NACKs.
//!
//! A step is one picture time. [`Call::prepare`] makes the packets and compounds of the next step, which costs what it
//! costs; [`Call::run`] gives them to the plane and does nothing else, so that it can be measured.
#![allow(dead_code, reason = "the bench and the test use their own parts of the call")]

mod publisher;

use std::ops::Range;
use std::time::Duration;

use roundtable_media::{Egress, Moment, PeerKey, Plane, SlotConfig, TrackCodec, TrackConfig};
use roundtable_wire::rtcp::{Packet, ReportBlock, SenderInfo, Writer, packets};
use roundtable_wire::{Codec, Extension, ExtensionMap, Kind, NtpTime, RtpPacket};

use publisher::Encoding;

/// The wall clock at the start of the call.
const UNIX_MICROS: u64 = 1_700_000_000_000_000;
/// Between two pictures, as in the captured call.
pub(crate) const PICTURE_TIME: Duration = Duration::from_millis(50);
/// Between two packets of a picture.
const PACKET_TIME: Duration = Duration::from_micros(400);
/// From the plane to a subscriber.
const PATH_MICROS: u64 = 20_000;
/// Pictures between the reports of all sides: one second.
const REPORT_STEPS: u64 = 20;
/// Of so many packets to a subscriber one is lost and asked for again.
const LOSS_SPACING: u64 = 100;

const VP8: u8 = 96;
const RTX: u8 = 97;
/// Extension ids of the captured call.
const ABS_SEND_TIME: u8 = 2;
const TRANSPORT_SEQUENCE: u8 = 4;
const MID: u8 = 9;
const RID: u8 = 10;
const RRID: u8 = 11;
const DEPENDENCY_DESCRIPTOR: u8 = 13;
const LAYERS_ALLOCATION: u8 = 14;
const EXTENSIONS: [(Extension, u8); 7] = [
    (Extension::AbsSendTime, ABS_SEND_TIME),
    (Extension::TransportSequence, TRANSPORT_SEQUENCE),
    (Extension::Mid, MID),
    (Extension::RtpStreamId, RID),
    (Extension::RepairedRtpStreamId, RRID),
    (Extension::DependencyDescriptor, DEPENDENCY_DESCRIPTOR),
    (Extension::VideoLayersAllocation, LAYERS_ALLOCATION),
];

/// A plane with one publisher and its subscribers.
pub(crate) struct Call {
    pub(crate) plane: Plane,
    start: Moment,
    step: u64,
    publisher: PeerKey,
    encodings: [Encoding; 3],
    transport_sequence: u16,
    /// What the next step brings: who sends what, and when.
    inputs: Vec<Input>,
    bytes: Vec<u8>,
    scratch: Vec<u8>,
}

struct Input {
    at: Duration,
    from: PeerKey,
    bytes: Range<usize>,
    is_rtcp: bool,
}

/// What has reached the subscribers and the publisher.
pub(crate) struct Heard {
    /// By index of the peer.
    subscribers: Vec<Option<Subscriber>>,
    /// When what reaches them now was sent.
    micros: u64,
    wants_keyframe: bool,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) retransmissions: u64,
    pub(crate) compounds: u64,
}

struct Subscriber {
    peer: PeerKey,
    ssrc: u32,
    /// The transport-wide number of the first entry of `arrivals`, known from the first packet on.
    base: Option<u16>,
    arrivals: Vec<Option<u64>>,
    feedback_count: u8,
    lost: Vec<u16>,
    media_sequence: u16,
    packets: u64,
}

impl Call {
    /// A call in which `fan_out` subscribers watch one camera. All room that is ever needed is made here.
    pub(crate) fn new(fan_out: usize) -> (Self, Heard) {
        let start = Moment::ORIGIN; // An origin to add to; the call's time moves by its steps only.
        let mut plane = Plane::new(start, UNIX_MICROS, 7);
        let publisher = plane.add_peer(start);
        plane.set_peer_ready(start, publisher, true);
        let track = plane.add_track(start, publisher, track_config());
        let mut subscribers = Vec::new();
        for number in 0..fan_out as u32 {
            let peer = plane.add_peer(start);
            plane.set_peer_ready(start, peer, true);
            let ssrc = 1000 + 2 * number;
            let slot = plane.add_slot(start, peer, slot_config(ssrc));
            plane.assign(start, slot, Some(track), 1).expect("VP8 is decodable");
            subscribers.resize_with(subscribers.len().max(peer.index() + 1), || None);
            subscribers[peer.index()] = Some(Subscriber::new(peer, ssrc));
        }
        let heard = Heard {
            subscribers,
            micros: 0,
            wants_keyframe: true,
            packets: 0,
            bytes: 0,
            retransmissions: 0,
            compounds: 0,
        };
        let call = Self {
            plane,
            start,
            step: 0,
            publisher,
            encodings: Encoding::simulcast(),
            transport_sequence: 0,
            inputs: Vec::with_capacity(1024),
            bytes: Vec::with_capacity(1 << 20),
            scratch: Vec::with_capacity(2048),
        };
        (call, heard)
    }

    /// Makes what reaches the plane within the next picture time.
    pub(crate) fn prepare(&mut self, heard: &mut Heard) {
        self.step += 1;
        let at = PICTURE_TIME * self.step as u32;
        self.inputs.clear();
        self.bytes.clear();
        for subscriber in heard.subscribers.iter_mut().flatten() {
            self.scratch.clear();
            subscriber.write_feedback(&mut self.scratch, self.step.is_multiple_of(REPORT_STEPS));
            self.push(at, subscriber.peer, true);
        }
        if self.step % REPORT_STEPS == 1 {
            self.push_sender_reports(at);
        }
        let is_key = std::mem::take(&mut heard.wants_keyframe);
        let ntp = self.ntp(at);
        let mut sent_at = at;
        for encoding in 0..self.encodings.len() {
            let packets = self.encodings[encoding].begin_picture(self.step, is_key);
            for packet in 0..packets {
                self.scratch.clear();
                let (encoding, sequence) = (&mut self.encodings[encoding], self.transport_sequence);
                encoding.write_packet(packet, sequence, ntp, &mut self.scratch);
                self.transport_sequence = sequence.wrapping_add(1);
                self.push(sent_at, self.publisher, false);
                sent_at += PACKET_TIME;
            }
        }
    }

    /// Gives the plane what was prepared, and lets the picture time pass. Returns how many packets were forwarded.
    pub(crate) fn run<S: FnMut(&[u8], usize, &[u8], PeerKey)>(&mut self, heard: &mut Heard, sink: S) -> u64 {
        let before = heard.packets;
        let mut out = Out { heard, sink };
        for input in 0..self.inputs.len() {
            let at = self.inputs[input].at;
            self.pass(at, &mut out);
            let Input { from, ref bytes, is_rtcp, .. } = self.inputs[input];
            out.heard.micros = at.as_micros() as u64;
            let (now, bytes) = (self.start + at, &self.bytes[bytes.clone()]);
            if is_rtcp {
                self.plane.handle_rtcp(now, from, bytes, &mut out);
            } else {
                self.plane.handle_rtp(now, from, bytes, &mut out);
            }
        }
        self.pass(PICTURE_TIME * (self.step as u32 + 1), &mut out);
        while self.plane.poll_event().is_some() {}
        out.heard.packets - before
    }

    /// Packets of the publisher in the step that was prepared.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &[u8]> {
        self.inputs.iter().filter(|input| !input.is_rtcp).map(|input| &self.bytes[input.bytes.clone()])
    }

    /// Does what is due until `until`.
    fn pass(&mut self, until: Duration, out: &mut Out<'_, impl FnMut(&[u8], usize, &[u8], PeerKey)>) {
        while let Some(at) = self.plane.poll_timeout().filter(|&at| at <= self.start + until) {
            out.heard.micros = at.saturating_duration_since(self.start).as_micros() as u64;
            self.plane.handle_timeout(at, out);
        }
    }

    fn push_sender_reports(&mut self, at: Duration) {
        self.scratch.clear();
        for encoding in &self.encodings {
            let info = SenderInfo {
                ssrc: encoding.ssrc,
                ntp: self.ntp(at),
                rtp_timestamp: encoding.timestamp(self.step),
                packet_count: 0,
                octet_count: 0,
            };
            Writer::new(&mut self.scratch).sender_report(&info, &[]);
        }
        self.push(at, self.publisher, true);
    }

    fn push(&mut self, at: Duration, from: PeerKey, is_rtcp: bool) {
        if self.scratch.is_empty() {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.scratch);
        self.inputs.push(Input { at, from, bytes: start..self.bytes.len(), is_rtcp });
    }

    fn ntp(&self, at: Duration) -> NtpTime {
        NtpTime::from_unix_micros(UNIX_MICROS + at.as_micros() as u64)
    }
}

impl Subscriber {
    fn new(peer: PeerKey, ssrc: u32) -> Self {
        Self {
            peer,
            ssrc,
            base: None,
            arrivals: Vec::with_capacity(4096),
            feedback_count: 0,
            lost: Vec::with_capacity(64),
            media_sequence: 0,
            packets: 0,
        }
    }

    /// Notes a packet that was sent at `micros`; returns whether it is a retransmission.
    fn handle_packet(&mut self, head: &[u8], micros: u64) -> bool {
        if self.base.is_none() {
            // What a probe is padded with lies in the tail.
            let unpadded = [&[head[0] & !0x20], &head[1..]].concat();
            let element = RtpPacket::parse(&unpadded).expect("RTP").extension(TRANSPORT_SEQUENCE);
            self.base = element.and_then(roundtable_wire::ext::read_transport_sequence);
        }
        let sequence = u16::from_be_bytes([head[2], head[3]]);
        let is_media = head[8..12] == self.ssrc.to_be_bytes();
        self.packets += 1;
        if is_media && self.packets.is_multiple_of(LOSS_SPACING) {
            self.lost.push(sequence);
            self.arrivals.push(None);
        } else {
            self.arrivals.push(Some(micros + PATH_MICROS));
        }
        if is_media {
            self.media_sequence = sequence;
        }
        !is_media
    }

    fn write_feedback(&mut self, out: &mut Vec<u8>, reports: bool) {
        let mut writer = Writer::new(out);
        if reports {
            let block = ReportBlock {
                ssrc: self.ssrc,
                fraction_lost: 2,
                cumulative_lost: 0,
                highest_sequence: u32::from(self.media_sequence),
                jitter: 10,
                last_sender_report: 0,
                delay_since_last: 0,
            };
            writer.receiver_report(1, &[block]);
        }
        // A lost packet at the end is told of with what comes behind it.
        if let Some(base) = self.base
            && self.arrivals.last().is_some_and(Option::is_some)
        {
            let written = writer.twcc(1, self.ssrc, self.feedback_count, base, &self.arrivals);
            self.feedback_count = self.feedback_count.wrapping_add(written);
            self.base = Some(base.wrapping_add(self.arrivals.len() as u16));
            self.arrivals.clear();
        }
        if !self.lost.is_empty() {
            writer.nack(1, self.ssrc, &self.lost);
            self.lost.clear();
        }
    }
}

/// Hears what the plane sends, and hands RTP on to the sink.
struct Out<'h, S> {
    heard: &'h mut Heard,
    sink: S,
}

impl<S: FnMut(&[u8], usize, &[u8], PeerKey)> Egress for Out<'_, S> {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], _roc: u32) {
        let heard = &mut *self.heard;
        heard.packets += 1;
        heard.bytes += (head.len() + tail.len()) as u64;
        if let Some(Some(subscriber)) = heard.subscribers.get_mut(peer.index()) {
            heard.retransmissions += u64::from(subscriber.handle_packet(head, heard.micros));
        }
        (self.sink)(head, header_len, tail, peer);
    }

    fn rtcp(&mut self, _peer: PeerKey, compound: &[u8]) {
        self.heard.compounds += 1;
        self.heard.wants_keyframe |=
            packets(compound).any(|packet| matches!(packet, Ok(Packet::PictureLoss { .. } | Packet::FullIntra { .. })));
    }
}

fn codec() -> TrackCodec {
    TrackCodec {
        payload_type: VP8,
        codec: Codec::Vp8,
        rtx_payload_type: Some(RTX),
        nack: true,
        pli: true,
        transport_cc: true,
    }
}

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for (extension, id) in EXTENSIONS {
        map.set(extension, id);
    }
    map
}

fn track_config() -> TrackConfig {
    TrackConfig {
        kind: Kind::Video,
        mid: "0".to_owned(),
        codecs: vec![codec()],
        extensions: extensions(),
        rids: publisher::RIDS.map(str::to_owned).to_vec(),
        ssrcs: vec![],
        fid: vec![],
    }
}

fn slot_config(ssrc: u32) -> SlotConfig {
    SlotConfig {
        kind: Kind::Video,
        mid: "1".to_owned(),
        ssrc,
        rtx_ssrc: Some(ssrc + 1),
        cname: format!("seat{ssrc}"),
        codecs: vec![codec()],
        extensions: extensions(),
    }
}
