//! A browser that publishes: real RTP packets of modelled frames, answers to NACK and PLI, sender reports.

use std::collections::VecDeque;
use std::rc::Rc;

use roundtable_media::{PeerKey, TrackConfig, TrackKey};
use roundtable_wire::ext::audio_level;
use roundtable_wire::layers_allocation::{LayerSize, LayersAllocation, SpatialLayer};
use roundtable_wire::rtcp::{Packet, SenderInfo, Writer, packets};
use roundtable_wire::{Codec, Kind, NtpTime, RtpHeader, RtpPacket, rtx};

use crate::encoder::{Encoder, Frame, Scheme};
use crate::negotiated::{
    H264, IN_ALLOCATION, IN_DEPENDENCY, IN_LEVEL, IN_MID, IN_RID, IN_RRID, IN_TWCC, VP9, in_codecs, in_extensions,
    in_type,
};
use crate::packetize::{self, Numbers};
use crate::piece::Piece;
use crate::rng::Rng;

/// What Chromium gives three encodings of 180, 360 and 720 lines.
pub(crate) const RATES: [f64; 3] = [148e3, 355e3, 1175e3];
/// What one encoding has that is not one of several.
const PLAIN_RATE: f64 = 1_400e3;
/// What the layers of full SVC add.
pub(crate) const SVC_RATES: [f64; 3] = [148e3, 250e3, 700e3];
pub(crate) const HEIGHTS: [u16; 3] = [180, 360, 720];
const RIDS: [&str; 3] = ["q", "h", "f"];
pub(crate) const FRAME_US: u64 = 33_333;
pub(crate) const SOUND_US: u64 = 20_000;
/// A keyframe is so many times a frame of the base temporal layer: seven times a mean frame. libwebrtc bounds those of VP8
/// to half of its buffer of 600 ms, nine times a mean frame at 30 fps.
const KEYFRAME_FACTOR: f64 = 4.5;
/// The share that frames are smaller by until a keyframe is paid for, as a rate control sees to.
const REPAYMENT: f64 = 0.4;
/// Packets of an SSRC that carry mid and rid.
const NAMED_PACKETS: u32 = 30;
/// Keyframe requests closer than this are one, as in libwebrtc.
const KEYFRAME_SPACING_US: u64 = 300_000;
const HISTORY: usize = 600;
/// A packet is not sent again sooner than this, about a round trip.
const REPEAT_SPACING_US: u64 = 100_000;
/// Retransmissions take this share of the rate, this many seconds of it at once.
const REPEAT_SHARE: f64 = 0.25;
const REPEAT_BURST_S: f64 = 1.0;
const ALLOCATION_EVERY: u32 = 150;
const SOUND_BYTES: usize = 80;
/// The wall clock at the start of every simulation.
pub(crate) const UNIX_MICROS: u64 = 1_700_000_000_000_000;

/// How a camera is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Three encodings, L1T3.
    Vp8 { dependency: bool },
    /// L3T3_KEY; with a dependency descriptor in flexible mode.
    Vp9 { dependency: bool },
    /// L3T3.
    Av1,
    /// Three encodings.
    H264 { temporal: u8 },
    /// One encoding of VP8 without layers, of which nothing is said: what a simple publisher sends.
    Plain,
}

impl Media {
    pub(crate) fn codec(self) -> Codec {
        match self {
            Self::Vp8 { .. } | Self::Plain => Codec::Vp8,
            Self::Vp9 { .. } => VP9,
            Self::Av1 => Codec::Av1,
            Self::H264 { .. } => H264,
        }
    }

    fn is_simulcast(self) -> bool {
        matches!(self, Self::Vp8 { .. } | Self::H264 { .. })
    }

    pub(crate) fn has_dependency(self) -> bool {
        !matches!(self, Self::Vp8 { dependency: false } | Self::Vp9 { dependency: false } | Self::Plain)
    }

    /// What each layer adds.
    pub(crate) fn rates(self) -> [f64; 3] {
        match self {
            Self::Av1 => SVC_RATES,
            Self::Plain => [PLAIN_RATE, 0.0, 0.0],
            Self::Vp8 { .. } | Self::Vp9 { .. } | Self::H264 { .. } => RATES,
        }
    }

    fn encoder(self, layer: usize) -> Encoder {
        match self {
            Self::Vp8 { .. } => Encoder::new(Scheme::Single, 1, 3, HEIGHTS[layer].into()),
            Self::Vp9 { .. } => Encoder::new(Scheme::Key, 3, 3, 720),
            Self::Av1 => Encoder::new(Scheme::Full, 3, 3, 720),
            Self::H264 { temporal } => Encoder::new(Scheme::Single, 1, temporal, HEIGHTS[layer].into()),
            Self::Plain => Encoder::new(Scheme::Single, 1, 1, 720),
        }
    }
}

/// One RTP stream with its retransmissions.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    encoder: Option<Encoder>,
    /// Extended.
    sequence: u32,
    rtx_sequence: u16,
    named_left: u32,
    rtx_named_left: u32,
    timestamp_base: u32,
    picture_id: u16,
    tl0: u8,
    frames: u32,
    packets: u32,
    octets: u32,
    needs_key: bool,
    is_active: bool,
    history: VecDeque<Kept>,
}

/// A packet that may be asked for again.
#[derive(Debug)]
struct Kept {
    packet: Rc<[u8]>,
    /// Not sent again before this.
    again_us: u64,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) peer: PeerKey,
    pub(crate) video: TrackKey,
    pub(crate) audio: Option<TrackKey>,
    pub(crate) media: Media,
    /// The number of the track in pieces; that of the audio track is one higher.
    pub(crate) track: u16,
    /// Bits per second of each layer by itself.
    pub(crate) rates: [f64; 3],
    pub(crate) sends_red: bool,
    /// Keyframes made, each on all layers.
    pub(crate) keyframes: Vec<u64>,
    /// Requests for keyframes that came.
    pub(crate) requests: u64,
    /// Packets sent again.
    pub(crate) repeats: u64,
    /// Bytes that may be sent again now, and since when.
    repeat_budget: (f64, u64),
    streams: Vec<Stream>,
    sound: Stream,
    last_sound: Vec<u8>,
    spatial_active: u8,
    /// The encodings the room wants, and how many the uplink affords.
    wanted: u8,
    affordable: u8,
    last_key_us: Option<u64>,
    /// By layer: bytes that keyframes took and later frames save.
    debts: [f64; 3],
    transport_sequence: u16,
    /// The publisher's wall clock is this far from the simulation's.
    clock_offset_us: u64,
    pictures: u32,
    rng: Rng,
    scratch: Vec<u8>,
}

impl Publisher {
    /// A publisher whose tracks are still to be added to the plane.
    pub(crate) fn new(peer: PeerKey, track: TrackKey, number: u16, media: Media, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x9b);
        let count = if media.is_simulcast() { 3 } else { 1 };
        let base = 10_000 + u32::from(number) * 100;
        let streams =
            (0..count).map(|at| Stream::new(base + 2 * at as u32, Some(media.encoder(at)), &mut rng)).collect();
        let sound = Stream::new(base + 50, None, &mut rng);
        Self {
            peer,
            video: track,
            audio: None,
            media,
            track: number,
            rates: media.rates(),
            sends_red: false,
            keyframes: Vec::new(),
            requests: 0,
            repeats: 0,
            repeat_budget: (0.0, 0),
            streams,
            sound,
            last_sound: Vec::new(),
            spatial_active: if media == Media::Plain { 1 } else { 3 },
            wanted: 0b111,
            affordable: 3,
            last_key_us: None,
            debts: [0.0; 3],
            transport_sequence: rng.word() as u16,
            clock_offset_us: rng.word() % 5_000_000_000,
            pictures: 0,
            rng,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn video_config(number: u16, media: Media) -> TrackConfig {
        let base = 10_000 + u32::from(number) * 100;
        let rids = if media.is_simulcast() { RIDS.map(str::to_owned).to_vec() } else { vec![] };
        let (ssrcs, fid) =
            if media.is_simulcast() { (vec![], vec![]) } else { (vec![base, base + 1], vec![(base, base + 1)]) };
        TrackConfig {
            kind: Kind::Video,
            mid: format!("v{number}"),
            codecs: in_codecs(&[media.codec()]),
            extensions: in_extensions(),
            rids,
            ssrcs,
            fid,
        }
    }

    pub(crate) fn audio_config(number: u16) -> TrackConfig {
        TrackConfig {
            kind: Kind::Audio,
            mid: format!("a{number}"),
            codecs: in_codecs(&[Codec::Opus, Codec::Red]),
            extensions: in_extensions(),
            rids: vec![],
            ssrcs: vec![10_000 + u32::from(number) * 100 + 50],
            fid: vec![],
        }
    }

    /// Captures and sends one picture.
    pub(crate) fn capture(&mut self, now_us: u64, out: &mut Vec<Rc<[u8]>>) {
        self.pictures += 1;
        let mut made_key = false;
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            if !stream.is_active {
                continue;
            }
            let is_key = stream.needs_key;
            stream.needs_key = false;
            stream.frames += 1;
            made_key |= is_key;
            let encoder = stream.encoder.as_mut().expect("a video stream");
            let frames = encoder.picture(is_key, self.spatial_active);
            stream.picture_id = (stream.picture_id + 1) & 0x7fff;
            stream.tl0 = stream.tl0.wrapping_add(u8::from(frames[0].temporal == 0));
            let top = frames.len() - 1;
            for (order, frame) in frames.iter().enumerate() {
                self.send_frame(now_us, at, frame, order == top, out);
            }
        }
        if made_key {
            self.keyframes.push(now_us);
            self.last_key_us = Some(now_us);
        }
    }

    /// The camera's pictures have another size, of which the encoder makes so many spatial layers.
    pub(crate) fn set_size(&mut self, height: u32, spatial: u8) {
        self.spatial_active = spatial;
        for stream in &mut self.streams {
            stream.encoder = stream.encoder.take().map(|encoder| encoder.rebuilt(spatial, height));
            stream.needs_key = true;
        }
    }

    /// Sends one packet of sound.
    pub(crate) fn speak(&mut self, now_us: u64, out: &mut Vec<Rc<[u8]>>) {
        if self.audio.is_none() {
            return;
        }
        self.sound.frames += 1;
        let piece = Piece {
            track: self.track + 1,
            frame: self.sound.frames,
            picture: self.sound.frames,
            captured_us: now_us,
            parts: 1,
            is_key: true,
            sequence: self.sound.sequence,
            ..Piece::default()
        };
        let mut sound = vec![0x78; SOUND_BYTES - Piece::LEN];
        piece.write(&mut sound);
        let timestamp = self.sound.timestamp(now_us, 48);
        let mut payload = Vec::new();
        if self.sends_red {
            // One block from before, 960 ticks back, then the new one (RFC 2198 3).
            if !self.last_sound.is_empty() {
                let word = (0x80 | u32::from(in_type(Codec::Opus))) << 24 | 960 << 10 | self.last_sound.len() as u32;
                payload.extend_from_slice(&word.to_be_bytes());
            }
            payload.push(in_type(Codec::Opus));
            payload.extend_from_slice(&self.last_sound);
        }
        payload.extend_from_slice(&sound);
        self.last_sound = sound;
        let kind = in_type(if self.sends_red { Codec::Red } else { Codec::Opus });
        let header = self.sound.header(kind, timestamp, false);
        let number = self.next_transport();
        let mut bytes = vec![0; 64];
        let len = header.write(&mut bytes, |writer| {
            writer.push(IN_TWCC, &number.to_be_bytes());
            writer.push(IN_LEVEL, &audio_level(true, 30));
        });
        bytes.truncate(len);
        bytes.extend_from_slice(&payload);
        self.sound.count(payload.len());
        out.push(bytes.into());
    }

    /// Takes a compound from the plane; answers leave at once.
    pub(crate) fn handle_rtcp(&mut self, now_us: u64, compound: &[u8], out: &mut Vec<Rc<[u8]>>) {
        for packet in packets(compound) {
            match packet.expect("the plane sends valid RTCP") {
                Packet::PictureLoss { media_ssrc, .. } => self.want_key(now_us, media_ssrc),
                Packet::FullIntra { entries, .. } => entries.for_each(|entry| self.want_key(now_us, entry.ssrc)),
                Packet::Nack { media_ssrc, lost, .. } => {
                    let at = self.streams.iter().position(|stream| stream.ssrc == media_ssrc);
                    let at = at.expect("a NACK names a stream of this publisher");
                    lost.for_each(|sequence| self.repeat(now_us, at, sequence, out));
                }
                _ => {}
            }
        }
    }

    /// The sender reports of all streams.
    pub(crate) fn reports(&self, now_us: u64) -> Vec<u8> {
        let mut compound = Vec::new();
        let mut writer = Writer::new(&mut compound);
        let ntp = NtpTime::from_unix_micros(UNIX_MICROS + self.clock_offset_us + now_us);
        let sound = self.audio.map(|_| (&self.sound, 48));
        for (stream, per_ms) in self.streams.iter().map(|stream| (stream, 90)).chain(sound) {
            if stream.packets == 0 {
                continue;
            }
            let info = SenderInfo {
                ssrc: stream.ssrc,
                ntp,
                rtp_timestamp: stream.timestamp(now_us, per_ms),
                packet_count: stream.packets,
                octet_count: stream.octets,
            };
            writer.sender_report(&info, &[]).sdes_cname(stream.ssrc, "publisher");
        }
        compound
    }

    /// Obeys what the room wants: encodings that are not in `layers` stop.
    pub(crate) fn set_wanted(&mut self, layers: u8) {
        self.wanted = layers;
        self.activate();
    }

    /// What is wanted and can be afforded is sent, and starts with a keyframe.
    fn activate(&mut self) {
        let layers = self.wanted & ((1 << self.affordable) - 1);
        // libwebrtc sets up its encoder anew when an encoding becomes active (`RequiresEncoderReset`).
        let is_anew = self.streams.iter().enumerate().any(|(at, stream)| layers & 1 << at != 0 && !stream.is_active);
        for (at, stream) in self.streams.iter_mut().enumerate() {
            let is_active = layers & 1 << at != 0;
            stream.needs_key |= is_active && is_anew;
            stream.is_active = is_active;
        }
    }

    /// The encoder's own decision, as for want of uplink: encodings or spatial layers from `count` on stop.
    pub(crate) fn set_layer_count(&mut self, count: u8) {
        if self.media.is_simulcast() {
            self.affordable = count;
            self.activate();
        } else if count != self.spatial_active {
            self.streams[0].needs_key |= count > self.spatial_active;
            self.spatial_active = count;
        }
    }

    fn send_frame(&mut self, now_us: u64, at: usize, frame: &Frame, is_top: bool, out: &mut Vec<Rc<[u8]>>) {
        let layer = if self.media.is_simulcast() { at } else { usize::from(frame.spatial) };
        let codec = self.media.codec();
        let bytes = self.frame_bytes(layer, at, frame);
        let parts = packetize::parts(codec, frame, bytes);
        let id = |number: u64| (at as u32) << 28 | number as u32;
        let mut refs = [0; 2];
        refs.iter_mut().zip(frame.needs()).for_each(|(place, number)| *place = id(number));
        let stream = &self.streams[at];
        let numbers = Numbers {
            picture_id: stream.picture_id,
            tl0: stream.tl0,
            height: if self.media.is_simulcast() { HEIGHTS[layer] } else { 720 },
            is_flexible: self.media.has_dependency(),
            top: self.spatial_active - 1,
            temporal: stream.encoder.as_ref().map_or(1, Encoder::temporal),
        };
        let mut piece = Piece {
            track: self.track,
            stream: at as u8,
            layer: layer as u8,
            temporal: frame.temporal,
            is_key: frame.is_key,
            frame: id(frame.number),
            refs,
            picture: self.pictures,
            captured_us: now_us,
            part: 0,
            parts: parts as u16,
            sequence: 0,
        };
        for part in 0..parts {
            (piece.part, piece.sequence) = (part as u16, self.streams[at].sequence);
            let mut payload = std::mem::take(&mut self.scratch);
            payload.clear();
            packetize::write(codec, frame, &numbers, bytes, &piece, &mut payload);
            let packet = self.packet(now_us, at, frame, (part == 0, part + 1 == parts), is_top, &payload);
            self.scratch = payload;
            out.push(packet);
        }
    }

    fn packet(
        &mut self,
        now_us: u64,
        at: usize,
        frame: &Frame,
        (is_start, is_end): (bool, bool),
        is_top: bool,
        payload: &[u8],
    ) -> Rc<[u8]> {
        let number = self.next_transport();
        let allocation = self.allocation(at, is_start);
        let stream = &mut self.streams[at];
        let timestamp = stream.timestamp(now_us, 90);
        let header = stream.header(in_type(self.media.codec()), timestamp, is_end && is_top);
        let mut descriptor = [0; 255];
        let descriptor_len = match &stream.encoder {
            Some(encoder) if self.media.has_dependency() => {
                encoder.describe_packet(frame, is_start, is_end, &mut descriptor)
            }
            Some(_) | None => 0,
        };
        let is_named = stream.named_left > 0;
        stream.named_left = stream.named_left.saturating_sub(1);
        let mut head = [0; 512];
        let len = header.write(&mut head, |writer| {
            writer.push(IN_TWCC, &number.to_be_bytes());
            if is_named {
                writer.push(IN_MID, format!("v{}", self.track).as_bytes());
                if self.media.is_simulcast() {
                    writer.push(IN_RID, RIDS[at].as_bytes());
                }
            }
            if descriptor_len > 0 {
                writer.push(IN_DEPENDENCY, &descriptor[..descriptor_len]);
            }
            if let Some(allocation) = &allocation {
                writer.push(IN_ALLOCATION, allocation);
            }
        });
        let mut bytes = Vec::with_capacity(len + payload.len());
        bytes.extend_from_slice(&head[..len]);
        bytes.extend_from_slice(payload);
        stream.count(payload.len());
        let packet: Rc<[u8]> = bytes.into();
        stream.history.push_back(Kept { packet: Rc::clone(&packet), again_us: 0 });
        if stream.history.len() > HISTORY {
            stream.history.pop_front();
        }
        packet
    }

    /// ±30 % around what the layer's rate gives a frame of its temporal layer; what a keyframe took is saved afterwards.
    fn frame_bytes(&mut self, layer: usize, at: usize, frame: &Frame) -> usize {
        let temporal = self.streams[at].encoder.as_ref().map_or(1, Encoder::temporal);
        let weight = |temporal_id: u8| match (temporal, temporal_id) {
            (1, _) => 1.0,
            (2, 0) => 1.2,
            (_, 0) => 1.6,
            _ => 0.8,
        };
        let mean = self.rates[layer] / 8.0 * FRAME_US as f64 / 1e6 * self.rng.between(0.7, 1.3);
        let debt = &mut self.debts[layer];
        let bytes = if frame.is_key {
            *debt += mean * weight(0) * (KEYFRAME_FACTOR - 1.0);
            mean * weight(0) * KEYFRAME_FACTOR
        } else {
            let bytes = mean * weight(frame.temporal);
            let repaid = debt.min(bytes * REPAYMENT);
            *debt -= repaid;
            bytes - repaid
        };
        bytes.max(Piece::LEN as f64) as usize
    }

    fn allocation(&self, at: usize, is_start: bool) -> Option<Vec<u8>> {
        let stream = &self.streams[at];
        if at != 0 || !is_start || stream.frames % ALLOCATION_EVERY != 1 {
            return None;
        }
        let is_simulcast = self.media.is_simulcast();
        let is_sent = |layer: usize| {
            if is_simulcast { self.streams[layer].is_active } else { layer < usize::from(self.spatial_active) }
        };
        let layers = (0..3).filter(|&layer| is_sent(layer)).filter_map(|layer| {
            let rate = if self.media == Media::Av1 { self.rates[..=layer].iter().sum() } else { self.rates[layer] };
            let temporal = stream.encoder.as_ref().map_or(1, Encoder::temporal);
            let shares: &[f64] = match temporal {
                1 => &[1.0],
                2 => &[0.6, 1.0],
                _ => &[0.4, 0.6, 1.0],
            };
            let targets: Vec<u32> = shares.iter().map(|share| (rate * share / 1e3) as u32).collect();
            let height = u32::from(HEIGHTS[layer]);
            let size = LayerSize { width: height * 16 / 9, height, max_frame_rate: 30 };
            let (stream, spatial) = if is_simulcast { (layer as u8, 0) } else { (0, layer as u8) };
            SpatialLayer::new(stream, spatial, &targets, Some(size))
        });
        let count = if is_simulcast { 3 } else { 1 };
        let allocation = LayersAllocation::new(0, count, &layers.collect::<Vec<_>>())?;
        let mut bytes = vec![0; 128];
        let len = allocation.write(&mut bytes);
        bytes.truncate(len);
        Some(bytes)
    }

    fn want_key(&mut self, now_us: u64, ssrc: u32) {
        assert!(self.streams.iter().any(|stream| stream.ssrc == ssrc), "a request names a stream of this publisher");
        self.requests += 1;
        if self.last_key_us.is_some_and(|last| now_us < last + KEYFRAME_SPACING_US) {
            return;
        }
        // Chromium makes one on every encoding.
        self.streams.iter_mut().filter(|stream| stream.is_active).for_each(|stream| stream.needs_key = true);
    }

    /// Sends a packet again (RFC 4588).
    fn repeat(&mut self, now_us: u64, at: usize, sequence: u16, out: &mut Vec<Rc<[u8]>>) {
        let distance = (self.streams[at].sequence as u16).wrapping_sub(sequence);
        let place = self.streams[at].history.len().checked_sub(usize::from(distance));
        let Some(kept) = place.and_then(|place| self.streams[at].history.get_mut(place)) else { return };
        if now_us < kept.again_us {
            return;
        }
        kept.again_us = now_us + REPEAT_SPACING_US;
        let original = Rc::clone(&kept.packet);
        if !self.may_repeat(now_us, original.len()) {
            return;
        }
        let number = self.next_transport();
        let stream = &mut self.streams[at];
        let packet = RtpPacket::parse(&original).expect("one of ours");
        assert_eq!(packet.sequence, sequence);
        let header = RtpHeader {
            marker: packet.marker,
            payload_type: packet.payload_type + 1,
            sequence: stream.rtx_sequence,
            timestamp: packet.timestamp,
            ssrc: stream.ssrc + 1,
            csrc: None,
        };
        stream.rtx_sequence = stream.rtx_sequence.wrapping_add(1);
        let is_named = stream.rtx_named_left > 0;
        stream.rtx_named_left = stream.rtx_named_left.saturating_sub(1);
        let mut head = [0; 512];
        let len = header.write(&mut head, |writer| {
            writer.push(IN_TWCC, &number.to_be_bytes());
            if is_named {
                writer.push(IN_MID, format!("v{}", self.track).as_bytes());
                if self.media.is_simulcast() {
                    writer.push(IN_RRID, RIDS[at].as_bytes());
                }
            }
            for (id, data) in packet.extensions().filter(|(id, _)| matches!(*id, IN_DEPENDENCY | IN_ALLOCATION)) {
                writer.push(id, data);
            }
        });
        let mut bytes = head[..len].to_vec();
        bytes.extend_from_slice(&rtx::osn(sequence));
        bytes.extend_from_slice(packet.payload);
        out.push(bytes.into());
    }

    /// What the encodings that are sent take together.
    fn active_bps(&self) -> f64 {
        let is_simulcast = self.media.is_simulcast();
        let is_sent = |layer: usize| {
            if is_simulcast { self.streams[layer].is_active } else { layer < usize::from(self.spatial_active) }
        };
        (0..3).filter(|&layer| is_sent(layer)).map(|layer| self.rates[layer]).sum()
    }

    /// Retransmissions take a part of the rate at most, as Chromium's limiter sees to.
    fn may_repeat(&mut self, now_us: u64, bytes: usize) -> bool {
        let rate = self.active_bps() / 8.0 * REPEAT_SHARE;
        let (left, since) = self.repeat_budget;
        let left = (left + rate * (now_us - since) as f64 / 1e6).min(rate * REPEAT_BURST_S);
        let may = left >= bytes as f64;
        self.repeat_budget = (if may { left - bytes as f64 } else { left }, now_us);
        self.repeats += u64::from(may);
        may
    }

    fn next_transport(&mut self) -> u16 {
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        self.transport_sequence
    }
}

impl Stream {
    fn new(ssrc: u32, encoder: Option<Encoder>, rng: &mut Rng) -> Self {
        Self {
            ssrc,
            encoder,
            sequence: 0x1_0000 + (rng.word() & 0xffff) as u32,
            rtx_sequence: rng.word() as u16,
            named_left: NAMED_PACKETS,
            rtx_named_left: NAMED_PACKETS,
            timestamp_base: rng.word() as u32,
            picture_id: (rng.word() & 0x7fff) as u16,
            tl0: rng.word() as u8,
            frames: 0,
            packets: 0,
            octets: 0,
            needs_key: true,
            is_active: true,
            history: VecDeque::new(),
        }
    }

    fn header(&self, payload_type: u8, timestamp: u32, marker: bool) -> RtpHeader {
        let sequence = self.sequence as u16;
        RtpHeader { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, csrc: None }
    }

    fn count(&mut self, payload_len: usize) {
        self.sequence += 1;
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
    }

    fn timestamp(&self, at_us: u64, per_ms: u64) -> u32 {
        self.timestamp_base.wrapping_add((at_us * per_ms / 1000) as u32)
    }
}
