//! A small simulated room: publishers that make VP8 and Opus packets, subscribers that read what reaches them, and a
//! clock that moves only when told. Loss and reordering are what a test leaves out or delivers late.
#![allow(dead_code, reason = "every test file uses its own part of the room")]

use std::time::Duration;

use roundtable_media::{
    Egress, Moment, PeerKey, Plane, PlaneEvent, Relayed, SlotConfig, SlotKey, TrackCodec, TrackConfig, TrackKey,
};
use roundtable_wire::ext::{read_mid, read_transport_sequence};
use roundtable_wire::rtcp::{Packet, Writer, XrBlock, packets};
use roundtable_wire::vp8::{Descriptor, PictureId};
use roundtable_wire::{Codec, Extension, ExtensionMap, Kind, NtpTime, RtpHeader, RtpPacket};

/// The wall clock at the start of every simulation.
pub(crate) const UNIX_MICROS: u64 = 1_700_000_000_000_000;

pub(crate) const VP8: u8 = 96;
pub(crate) const VP8_RTX: u8 = 97;
pub(crate) const OPUS: u8 = 111;
/// The subscriber's payload types differ, so that every mapping shows.
pub(crate) const OUT_VP8: u8 = 100;
pub(crate) const OUT_VP8_RTX: u8 = 101;
pub(crate) const OUT_OPUS: u8 = 120;

/// Publisher's extension ids.
pub(crate) const MID: u8 = 1;
pub(crate) const RID: u8 = 2;
pub(crate) const RRID: u8 = 3;
pub(crate) const TWCC: u8 = 4;
pub(crate) const LEVEL: u8 = 5;
pub(crate) const ORIENTATION: u8 = 6;
pub(crate) const CAPTURE: u8 = 7;
/// Subscriber's extension ids.
pub(crate) const OUT_MID: u8 = 9;
pub(crate) const OUT_TWCC: u8 = 1;
pub(crate) const OUT_LEVEL: u8 = 2;
pub(crate) const OUT_ORIENTATION: u8 = 3;
pub(crate) const OUT_CAPTURE: u8 = 4;

pub(crate) struct Room {
    pub(crate) plane: Plane,
    pub(crate) start: Moment,
    pub(crate) now: Moment,
    pub(crate) wire: Wire,
}

/// What the plane has sent, oldest first.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) rtp: Vec<Sent>,
    pub(crate) rtcp: Vec<(PeerKey, Vec<u8>)>,
    /// What was handed to other planes: by which way, of which layer, and what.
    pub(crate) relayed: Vec<(u32, u8, Handed)>,
}

/// Something relayed.
#[derive(Debug, Clone)]
pub(crate) enum Handed {
    Packet(Vec<u8>),
    Report { ntp: NtpTime, rtp_timestamp: u32 },
}

impl Handed {
    pub(crate) fn as_relayed(&self) -> Relayed<'_> {
        match self {
            Self::Packet(bytes) => Relayed::Packet(bytes),
            &Self::Report { ntp, rtp_timestamp } => Relayed::Report { ntp, rtp_timestamp },
        }
    }
}

/// A packet as a subscriber sees it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) peer: PeerKey,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    /// The sequence number with the rollover counter above it.
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    pub(crate) csrcs: Vec<u32>,
    pub(crate) mid: Option<String>,
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    pub(crate) fn sequence(&self) -> u16 {
        self.index as u16
    }

    pub(crate) fn vp8(&self) -> Descriptor {
        Descriptor::parse(&self.payload).expect("VP8")
    }

    pub(crate) fn picture(&self) -> u16 {
        self.vp8().picture_id.expect("a picture id").value()
    }

    /// The payload behind the VP8 descriptor.
    pub(crate) fn content(&self) -> &[u8] {
        &self.payload[self.vp8().len..]
    }

    /// A retransmission as the packet it repeats: its sequence number and payload.
    pub(crate) fn repeated(&self) -> (u16, &[u8]) {
        (u16::from_be_bytes([self.payload[0], self.payload[1]]), &self.payload[2..])
    }
}

impl Egress for Wire {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32) {
        let bytes = [head, tail].concat();
        let packet = RtpPacket::parse(&bytes).expect("what the plane sends is RTP");
        assert_eq!(packet.header_len, header_len);
        self.rtp.push(Sent {
            peer,
            ssrc: packet.ssrc,
            payload_type: packet.payload_type,
            marker: packet.marker,
            index: u64::from(roc) << 16 | u64::from(packet.sequence),
            timestamp: packet.timestamp,
            csrcs: packet.csrcs().collect(),
            mid: packet.extension(OUT_MID).and_then(read_mid).map(str::to_owned),
            transport_sequence: packet.extension(OUT_TWCC).and_then(read_transport_sequence),
            extensions: packet.extensions().map(|(id, data)| (id, data.to_vec())).collect(),
            payload: packet.payload.to_vec(),
        });
    }

    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]) {
        assert!(packets(compound).all(|packet| packet.is_ok()), "what the plane sends is RTCP");
        self.rtcp.push((peer, compound.to_vec()));
    }

    fn relay(&mut self, to: u32, layer: u8, item: Relayed<'_>) {
        let handed = match item {
            Relayed::Packet(bytes) => Handed::Packet(bytes.to_vec()),
            Relayed::Report { ntp, rtp_timestamp } => Handed::Report { ntp, rtp_timestamp },
        };
        self.relayed.push((to, layer, handed));
    }
}

impl Default for Room {
    fn default() -> Self {
        let start = Moment::ORIGIN; // An origin to add to; no test waits for real time.
        Self { plane: Plane::new(start, UNIX_MICROS, 7), start, now: start, wire: Wire::default() }
    }
}

/// Two rooms at the same time, of which the second began `later` microseconds after the first; and a moment before both.
pub(crate) fn two_rooms(later: i64) -> ([Room; 2], Moment) {
    let origin = Moment::ORIGIN; // An origin to add to; no test waits for real time.
    let middle = Duration::from_secs(100);
    let room = |offset: i64, seed| {
        let micros = (middle.as_micros() as i64 + offset) as u64;
        let start = origin + Duration::from_micros(micros);
        let plane = Plane::new(start, UNIX_MICROS + micros, seed);
        Room { plane, start, now: origin + 2 * middle, wire: Wire::default() }
    };
    ([room(0, 7), room(later, 1234)], origin)
}

impl Room {
    /// Moves the clock, doing on the way what is due.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.advance_micros(ms * 1000);
    }

    pub(crate) fn advance_micros(&mut self, micros: u64) {
        let until = self.now + Duration::from_micros(micros);
        while let Some(at) = self.plane.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.plane.handle_timeout(self.now, &mut self.wire);
            assert!(self.plane.poll_timeout().is_none_or(|next| next > self.now), "what is due was done");
        }
        self.now = until;
    }

    /// Does what is due at this instant.
    pub(crate) fn settle(&mut self) {
        self.advance_micros(0);
    }

    pub(crate) fn micros(&self) -> u64 {
        (self.now - self.start).as_micros() as u64
    }

    pub(crate) fn peer(&mut self) -> PeerKey {
        let peer = self.plane.add_peer(self.now);
        self.plane.set_peer_ready(self.now, peer, true);
        peer
    }

    pub(crate) fn rtp(&mut self, from: PeerKey, packet: &[u8]) {
        self.plane.handle_rtp(self.now, from, packet, &mut self.wire);
    }

    pub(crate) fn rtcp(&mut self, from: PeerKey, write: impl FnOnce(&mut Writer<'_>)) {
        let mut compound = Vec::new();
        write(&mut Writer::new(&mut compound));
        self.plane.handle_rtcp(self.now, from, &compound, &mut self.wire);
    }

    /// Delivers packets of a source.
    pub(crate) fn deliver(&mut self, source: &Source, packets: &[Vec<u8>]) {
        for packet in packets {
            self.rtp(source.peer, packet);
        }
    }

    /// Makes and delivers one frame.
    pub(crate) fn frame(&mut self, source: &mut Source, key: bool) {
        let packets = source.frame(self.now, key);
        self.deliver(source, &packets);
    }

    /// One frame every `ms` from each source, `count` times.
    pub(crate) fn run(&mut self, sources: &mut [&mut Source], ms: u64, count: usize) {
        for _ in 0..count {
            for source in &mut *sources {
                self.frame(source, false);
            }
            self.advance(ms);
        }
    }

    /// The sender report of a source on what it captures at `captured`, by a clock of its own.
    pub(crate) fn report(&mut self, source: &Source, captured: Moment, clock_micros: u64) {
        let info = roundtable_wire::rtcp::SenderInfo {
            ssrc: source.ssrc,
            ntp: NtpTime::from_unix_micros(clock_micros),
            rtp_timestamp: source.timestamp(captured),
            packet_count: 0,
            octet_count: 0,
        };
        self.rtcp(source.peer, |writer| {
            writer.sender_report(&info, &[]);
        });
    }

    pub(crate) fn assign(&mut self, slot: SlotKey, track: impl Into<Option<TrackKey>>, generation: u32) {
        self.plane.assign(self.now, slot, track.into(), generation).expect("decodable");
    }

    pub(crate) fn events(&mut self) -> Vec<PlaneEvent> {
        std::iter::from_fn(|| self.plane.poll_event()).collect()
    }

    /// Takes what was sent on `ssrc`.
    pub(crate) fn take(&mut self, ssrc: u32) -> Vec<Sent> {
        self.wire.rtp.extract_if(.., |sent| sent.ssrc == ssrc).collect()
    }

    /// Takes the RTCP packets sent to `peer`, as text of their kind with the numbers that matter.
    pub(crate) fn take_rtcp(&mut self, peer: PeerKey) -> Vec<Report> {
        let compounds: Vec<_> = self.wire.rtcp.extract_if(.., |(to, _)| *to == peer).collect();
        let all = compounds.iter().flat_map(|(_, compound)| packets(compound));
        all.filter_map(|packet| Report::read(&packet.expect("parsed when it was sent"))).collect()
    }

    /// Media SSRCs whose keyframes were asked for since the last time.
    pub(crate) fn take_plis(&mut self, peer: PeerKey) -> Vec<u32> {
        let asked = self.take_rtcp(peer).into_iter().filter_map(|report| match report {
            Report::Pli(ssrc) => Some(ssrc),
            _ => None,
        });
        asked.collect()
    }
}

/// RTCP as the tests compare it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    Pli(u32),
    Fir(u32, u8),
    Nack(u32, Vec<u16>),
    Sender { ssrc: u32, ntp: NtpTime, rtp: u32, packets: u32 },
    Receiver(Vec<roundtable_wire::rtcp::ReportBlock>),
    Name(u32, String),
    Feedback { media_ssrc: u32, base: u16, received: usize },
    Remb(u64, Vec<u32>),
    Dlrr(Vec<roundtable_wire::rtcp::Dlrr>),
    ReferenceTime(u32, NtpTime),
}

impl Report {
    fn read(packet: &Packet<'_>) -> Option<Self> {
        Some(match packet.clone() {
            Packet::PictureLoss { media_ssrc, .. } => Self::Pli(media_ssrc),
            Packet::FullIntra { mut entries, .. } => {
                let entry = entries.next()?;
                Self::Fir(entry.ssrc, entry.sequence)
            }
            Packet::Nack { media_ssrc, lost, .. } => Self::Nack(media_ssrc, lost.collect()),
            Packet::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, .. } => {
                Self::Sender { ssrc, ntp, rtp: rtp_timestamp, packets: packet_count }
            }
            Packet::ReceiverReport { reports, .. } => Self::Receiver(reports.collect()),
            Packet::SourceDescription { mut chunks } => {
                let chunk = chunks.next()?;
                Self::Name(chunk.ssrc, chunk.cname?.to_owned())
            }
            Packet::TransportFeedback(feedback) => Self::Feedback {
                media_ssrc: feedback.media_ssrc,
                base: feedback.base_sequence,
                received: feedback.statuses().filter(|(_, arrival)| arrival.is_some()).count(),
            },
            Packet::Remb { bitrate_bps, ssrcs, .. } => Self::Remb(bitrate_bps, ssrcs.collect()),
            Packet::ExtendedReport { ssrc, mut blocks } => match blocks.next()? {
                XrBlock::DelaySinceLast(answers) => Self::Dlrr(answers.collect()),
                XrBlock::ReceiverReferenceTime(ntp) => Self::ReferenceTime(ssrc, ntp),
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// One encoding of one publisher: what its encoder and packetizer would make.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) peer: PeerKey,
    pub(crate) track: TrackKey,
    pub(crate) kind: Kind,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) rtx_sequence: u16,
    /// The timestamp of what is captured at `epoch`.
    pub(crate) timestamp_base: u32,
    pub(crate) epoch: Moment,
    pub(crate) picture: u16,
    pub(crate) tl0: u8,
    /// The temporal layer of the next frame.
    pub(crate) temporal: u8,
    pub(crate) key_idx: u8,
    pub(crate) packets_per_frame: usize,
    pub(crate) payload_len: usize,
    /// Extensions on every packet.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// The next transport-wide number of the publisher, if it counts.
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) frames: u32,
}

impl Source {
    pub(crate) fn rate(&self) -> u32 {
        if self.kind == Kind::Video { 90_000 } else { 48_000 }
    }

    /// The timestamp of what is captured at `at`.
    pub(crate) fn timestamp(&self, at: Moment) -> u32 {
        let micros = (at - self.epoch).as_micros() as u64;
        self.timestamp_base.wrapping_add((micros * u64::from(self.rate()) / 1_000_000) as u32)
    }

    /// The packets of one frame captured at `now`. Every packet's content tells SSRC, frame and part.
    pub(crate) fn frame(&mut self, now: Moment, key: bool) -> Vec<Vec<u8>> {
        let timestamp = self.timestamp(now);
        if self.frames > 0 {
            self.picture = (self.picture + 1) & 0x7fff;
            self.tl0 = self.tl0.wrapping_add(u8::from(self.temporal == 0));
            self.key_idx = (self.key_idx + u8::from(key)) & 0x1f;
        }
        self.frames += 1;
        let count = if self.kind == Kind::Video { self.packets_per_frame } else { 1 };
        (0..count)
            .map(|part| {
                let payload = self.payload(key, part);
                self.packet(timestamp, self.kind == Kind::Video && part + 1 == count, &payload)
            })
            .collect()
    }

    /// One packet with the next sequence number.
    pub(crate) fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader {
            marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            csrc: None,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let number = self.transport_sequence;
        self.transport_sequence = number.map(|number| number.wrapping_add(1));
        self.write(&header, number, payload)
    }

    /// A packet repeated on the RTX SSRC (RFC 4588).
    pub(crate) fn repeat(&mut self, packet: &[u8]) -> Vec<u8> {
        let original = RtpPacket::parse(packet).unwrap();
        let header = RtpHeader {
            marker: original.marker,
            payload_type: VP8_RTX,
            sequence: self.rtx_sequence,
            timestamp: original.timestamp,
            ssrc: self.rtx_ssrc,
            csrc: None,
        };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let payload = [&original.sequence.to_be_bytes(), original.payload].concat();
        self.write(&header, None, &payload)
    }

    fn write(&self, header: &RtpHeader, transport_sequence: Option<u16>, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 200];
        let len = header.write(&mut out, |writer| {
            for (id, data) in &self.extensions {
                writer.push(*id, data);
            }
            if let Some(number) = transport_sequence {
                writer.push(TWCC, &number.to_be_bytes());
            }
        });
        out.truncate(len);
        out.extend_from_slice(payload);
        out
    }

    fn payload(&self, key: bool, part: usize) -> Vec<u8> {
        let mut payload = Vec::new();
        if self.kind == Kind::Video {
            let descriptor = Descriptor {
                start: part == 0,
                picture_id: Some(PictureId::Long(self.picture)),
                tl0_pic_idx: Some(self.tl0),
                tid: Some(self.temporal),
                y: self.temporal > 0,
                key_idx: Some(self.key_idx),
                ..Descriptor::default()
            };
            let mut bytes = [0; 8];
            let len = descriptor.write(&mut bytes);
            payload.extend_from_slice(&bytes[..len]);
            payload.push(u8::from(!key));
        }
        payload.extend_from_slice(&self.ssrc.to_be_bytes());
        payload.extend_from_slice(&self.frames.to_be_bytes());
        payload.push(part as u8);
        payload.resize(self.payload_len.max(payload.len()), 0xee);
        payload
    }
}

pub(crate) fn map(ids: &[(Extension, u8)]) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for &(extension, id) in ids {
        map.set(extension, id);
    }
    map
}

pub(crate) fn vp8_codec(payload_type: u8) -> TrackCodec {
    TrackCodec {
        payload_type,
        codec: Codec::Vp8,
        rtx_payload_type: Some(payload_type + 1),
        nack: true,
        pli: true,
        transport_cc: true,
    }
}

pub(crate) fn opus_codec(payload_type: u8) -> TrackCodec {
    TrackCodec { payload_type, codec: Codec::Opus, rtx_payload_type: None, nack: false, pli: false, transport_cc: true }
}

pub(crate) fn track_config(kind: Kind, mid: &str) -> TrackConfig {
    let codec = if kind == Kind::Video { vp8_codec(VP8) } else { opus_codec(OPUS) };
    TrackConfig {
        kind,
        mid: mid.to_owned(),
        codecs: vec![codec],
        extensions: map(&[
            (Extension::Mid, MID),
            (Extension::RtpStreamId, RID),
            (Extension::RepairedRtpStreamId, RRID),
            (Extension::TransportSequence, TWCC),
            (Extension::AudioLevel, LEVEL),
            (Extension::VideoOrientation, ORIENTATION),
            (Extension::AbsCaptureTime, CAPTURE),
        ]),
        rids: vec![],
        ssrcs: vec![],
        fid: vec![],
    }
}

/// A source at an unremarkable place of all its numbers, different for every SSRC.
pub(crate) fn source(room: &Room, peer: PeerKey, track: TrackKey, kind: Kind, ssrc: u32) -> Source {
    Source {
        peer,
        track,
        kind,
        ssrc,
        rtx_ssrc: ssrc + 1,
        payload_type: if kind == Kind::Video { VP8 } else { OPUS },
        sequence: (ssrc * 7919) as u16,
        rtx_sequence: 5,
        timestamp_base: ssrc.wrapping_mul(0x9e37_79b9),
        epoch: room.start,
        picture: ((ssrc * 31) & 0x7fff) as u16,
        tl0: (ssrc * 17) as u8,
        temporal: 0,
        key_idx: (ssrc & 0x1f) as u8,
        packets_per_frame: 3,
        payload_len: 100,
        extensions: vec![],
        transport_sequence: None,
        frames: 0,
    }
}

impl Room {
    /// A publisher of one track whose SSRCs its offer declares.
    pub(crate) fn publish(&mut self, kind: Kind, ssrc: u32) -> Source {
        let peer = self.peer();
        self.publish_from(peer, kind, ssrc)
    }

    pub(crate) fn publish_from(&mut self, peer: PeerKey, kind: Kind, ssrc: u32) -> Source {
        let mut config = track_config(kind, &format!("m{ssrc}"));
        config.ssrcs = vec![ssrc];
        if kind == Kind::Video {
            (config.ssrcs, config.fid) = (vec![ssrc, ssrc + 1], vec![(ssrc, ssrc + 1)]);
        }
        let track = self.plane.add_track(self.now, peer, config);
        source(self, peer, track, kind, ssrc)
    }

    /// A slot with `ssrc`, and `ssrc + 1` for its retransmissions.
    pub(crate) fn slot(&mut self, peer: PeerKey, kind: Kind, ssrc: u32) -> SlotKey {
        self.plane.add_slot(self.now, peer, slot_config(kind, ssrc))
    }

    pub(crate) fn measured_slot(&mut self, peer: PeerKey, kind: Kind, ssrc: u32) -> SlotKey {
        self.plane.add_slot(self.now, peer, measured_slot_config(kind, ssrc))
    }
}

/// A slot of a subscriber that gives transport-wide feedback, so that its path is measured.
pub(crate) fn measured_slot_config(kind: Kind, ssrc: u32) -> SlotConfig {
    let mut config = slot_config(kind, ssrc);
    config.codecs.iter_mut().for_each(|codec| codec.transport_cc = true);
    config
}

/// A slot of a subscriber that gives no feedback: everything it could use is sent to it.
pub(crate) fn slot_config(kind: Kind, ssrc: u32) -> SlotConfig {
    let codec = if kind == Kind::Video { vp8_codec(OUT_VP8) } else { opus_codec(OUT_OPUS) };
    SlotConfig {
        kind,
        mid: format!("s{ssrc}"),
        ssrc,
        rtx_ssrc: (kind == Kind::Video).then_some(ssrc + 1),
        cname: format!("seat{ssrc}"),
        codecs: vec![TrackCodec { transport_cc: false, ..codec }],
        extensions: map(&[
            (Extension::Mid, OUT_MID),
            (Extension::TransportSequence, OUT_TWCC),
            (Extension::AudioLevel, OUT_LEVEL),
            (Extension::VideoOrientation, OUT_ORIENTATION),
            (Extension::AbsCaptureTime, OUT_CAPTURE),
        ]),
    }
}

/// Asserts that packets of one slot, in the order they were sent without reordering, continue each other in everything.
pub(crate) fn assert_continuous(sent: &[Sent]) {
    for pair in sent.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert_eq!(after.index, before.index + 1, "sequence numbers go on by one");
        let step = after.timestamp.wrapping_sub(before.timestamp).cast_signed();
        assert!(step >= 0, "timestamps never go back: {step} at {}", after.index);
        if after.payload_type == OUT_VP8 && before.payload_type == OUT_VP8 {
            let is_new = u16::from(after.vp8().start);
            assert_eq!(after.picture(), before.picture().wrapping_add(is_new) & 0x7fff, "picture ids go on");
            let tl0 = before.vp8().tl0_pic_idx.unwrap().wrapping_add(is_new as u8);
            assert_eq!(after.vp8().tl0_pic_idx, Some(tl0), "base layer indexes go on");
        }
    }
}

/// The SSRC of the slot most tests watch.
pub(crate) const SLOT: u32 = 1000;

/// Two video publishers and one watching peer with a slot that shows the first.
pub(crate) fn two_publishers(room: &mut Room) -> (Source, Source, PeerKey, SlotKey) {
    let mut first = room.publish(Kind::Video, 10);
    let mut second = room.publish(Kind::Video, 20);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.frame(&mut first, true);
    room.frame(&mut second, true);
    room.advance(33);
    room.assign(slot, first.track, 1);
    room.frame(&mut first, true);
    room.advance(33);
    (first, second, viewer, slot)
}

/// The sender reports to `peer` for `ssrc`, with the time each was sent.
pub(crate) fn sender_reports(room: &mut Room, peer: PeerKey, ssrc: u32) -> Vec<(NtpTime, u32)> {
    let reports = room.take_rtcp(peer).into_iter().filter_map(|report| match report {
        Report::Sender { ssrc: of, ntp, rtp, .. } if of == ssrc => Some((ntp, rtp)),
        _ => None,
    });
    reports.collect()
}
