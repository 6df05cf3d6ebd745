//! One encoding of a track: its numbers, and its packets sealed into an arena.

use roundtable_wire::rtcp::{SenderInfo, Writer};
use roundtable_wire::{NtpTime, RtpHeader};

use super::shape::{MOST_PAYLOAD, VideoShape};
use crate::measure::Window;
use crate::sdp::{AUDIO_LEVEL_ID, MID_ID, OPUS, STREAM_ID_ID, VP8};
use crate::srtp::{Cipher, TAG_LEN};
use crate::stamp::Stamp;

/// What an encoding carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Opus in packets of 20 ms.
    Audio,
    /// VP8.
    Video(VideoShape),
}

/// One encoding of a track.
#[derive(Debug)]
pub(crate) struct Encoding {
    /// What its stamps say.
    pub(crate) source: u32,
    pub(crate) ssrc: u32,
    /// Empty for a track with one encoding.
    pub(crate) rid: String,
    /// Whether somebody wants it.
    pub(crate) is_active: bool,
    /// Whether the next frame is to be a keyframe.
    pub(crate) wants_key: bool,
    /// Packets sent in the window.
    pub(crate) sent_in_window: u32,
    /// Rollover counter and sequence number.
    index: u64,
    timestamp: u32,
    frame: usize,
    packets: u32,
    octets: u32,
}

/// Packets sealed back to back, and which of them have one length.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(crate) bytes: Vec<u8>,
    /// Of each run of equal packets: where it ends, and the length of a packet.
    pub(crate) runs: Vec<(usize, usize)>,
}

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
    }

    /// Makes room for a packet behind the others.
    fn push(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        match self.runs.last_mut() {
            Some((end, each)) if *each == len => *end += len,
            _ => self.runs.push((start + len, len)),
        }
        self.bytes.get_mut(start..).unwrap_or_default()
    }
}

impl Encoding {
    /// An encoding that has sent nothing; `ssrc` also chooses where its numbers begin.
    pub(crate) fn new(source: u32, ssrc: u32, rid: String) -> Self {
        Self {
            source,
            ssrc,
            rid,
            is_active: true,
            wants_key: true,
            sent_in_window: 0,
            index: u64::from(ssrc % 0x4000),
            timestamp: ssrc.rotate_left(7),
            frame: 0,
            packets: 0,
            octets: 0,
        }
    }

    /// Seals the next frame, or the next packet of sound, behind what the arena holds.
    pub(crate) fn seal(
        &mut self,
        media: Media,
        mid: &str,
        sent_ns: u64,
        window: Window,
        cipher: &Cipher,
        arena: &mut Arena,
    ) {
        match media {
            Media::Audio => {
                self.packet(OPUS, true, AUDIO_PAYLOAD, mid, sent_ns, cipher, arena, |_| {});
                self.count(1, sent_ns, window);
                self.timestamp = self.timestamp.wrapping_add(AUDIO_STEP);
            }
            Media::Video(shape) => {
                let is_key = std::mem::take(&mut self.wants_key);
                let mut lengths = shape.payloads(self.frame, is_key).peekable();
                let picture = (self.frame & 0x7fff) as u16;
                let mut packets = 0;
                while let Some(len) = lengths.next() {
                    let (is_first, is_last) = (packets == 0, lengths.peek().is_none());
                    self.packet(VP8, is_last, len, mid, sent_ns, cipher, arena, |payload| {
                        describe(payload, picture, is_first, is_key, shape);
                    });
                    packets += 1;
                }
                self.count(packets, sent_ns, window);
                self.frame += 1;
                self.timestamp = self.timestamp.wrapping_add(VIDEO_CLOCK / VideoShape::FPS);
            }
        }
    }

    /// Lets the time of a frame pass without one.
    pub(crate) fn skip(&mut self, media: Media) {
        self.timestamp = self.timestamp.wrapping_add(match media {
            Media::Audio => AUDIO_STEP,
            Media::Video(_) => VIDEO_CLOCK / VideoShape::FPS,
        });
        self.wants_key = true;
    }

    /// Appends a sender report (RFC 3550 §6.4.1).
    pub(crate) fn report(&self, ntp: NtpTime, writer: &mut Writer<'_>) {
        let info = SenderInfo {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: self.timestamp,
            packet_count: self.packets,
            octet_count: self.octets,
        };
        writer.sender_report(&info, &[]).sdes_cname(self.ssrc, "bench");
    }

    #[expect(clippy::too_many_arguments, reason = "one packet is made of many things")]
    fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        payload_len: usize,
        mid: &str,
        sent_ns: u64,
        cipher: &Cipher,
        arena: &mut Arena,
        describe: impl FnOnce(&mut [u8]),
    ) {
        let header = RtpHeader {
            marker,
            payload_type,
            sequence: self.index as u16,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            csrc: None,
        };
        let mut head = [0; LONGEST_HEADER];
        let head_len = header.write(&mut head, |extensions| {
            if payload_type == OPUS {
                extensions.push(AUDIO_LEVEL_ID, &[VOICE_BIT | AUDIO_LEVEL]);
            }
            // A single encoding is known by its SSRC (RFC 8843 §9.2), one of several by mid and rid.
            if !self.rid.is_empty() {
                extensions.push(MID_ID, mid.as_bytes());
                extensions.push(STREAM_ID_ID, self.rid.as_bytes());
            }
        });
        let packet = arena.push(head_len + payload_len + TAG_LEN);
        // The slices are cut within what was just made room for.
        packet[..head_len].copy_from_slice(&head[..head_len]);
        let payload = &mut packet[head_len..head_len + payload_len];
        payload.copy_from_slice(&FILLING[..payload_len.min(FILLING.len())]);
        describe(payload);
        Stamp { source: self.source, number: self.packets, sent_ns }.write(payload);
        // The index rises with each packet, so no nonce is used twice. Sealing fails on lengths only.
        let _ = cipher.seal_rtp(packet, head_len, self.ssrc, self.index);
        self.index += 1;
        self.packets += 1;
        self.octets = self.octets.wrapping_add(payload_len as u32);
    }

    fn count(&mut self, packets: u32, sent_ns: u64, window: Window) {
        if window.contains(sent_ns) {
            self.sent_in_window += packets;
        }
    }
}

/// Writes the VP8 payload descriptor (RFC 7741 §4.2) and on the first packet what begins the frame (RFC 6386 §9.1).
fn describe(payload: &mut [u8], picture: u16, is_first: bool, is_key: bool, shape: VideoShape) {
    let [high, low] = picture.to_be_bytes();
    let start = if is_first { 0x10 } else { 0 };
    let (w, h) = (shape.width.to_le_bytes(), shape.height.to_le_bytes());
    let head = [
        0x80 | start,
        0x80,
        0x80 | high,
        low,
        0x10 | u8::from(!is_key),
        0,
        0,
        0x9d,
        0x01,
        0x2a,
        w[0],
        w[1],
        h[0],
        h[1],
    ];
    let len = match (is_first, is_key) {
        (true, true) => head.len(),
        (true, false) => 7,
        (false, _) => 4,
    };
    if let Some(place) = payload.get_mut(..len) {
        place.copy_from_slice(&head[..len]); // `len` is one of three lengths within it.
    }
}

/// What payloads are filled with.
const FILLING: [u8; MOST_PAYLOAD] = [0x55; MOST_PAYLOAD];
/// The fixed header and three elements.
const LONGEST_HEADER: usize = 64;
/// Opus at 32 kbit/s, in bytes; the stamp is a part of it.
const AUDIO_PAYLOAD: usize = 80;
/// 20 ms at 48 kHz.
const AUDIO_STEP: u32 = 960;
const VIDEO_CLOCK: u32 = 90_000;
/// Speech of -30 dBov (RFC 6464).
const AUDIO_LEVEL: u8 = 30;
const VOICE_BIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use roundtable_wire::{Codec, RtpPacket, starts_keyframe};

    use super::*;
    use crate::publish::Sizes;
    use crate::srtp::DirectionKeys;

    fn cipher() -> Cipher {
        let (key, salt) = ([1; 16], [2; 12]);
        Cipher::new(&DirectionKeys { rtp_key: key, rtp_salt: salt, rtcp_key: key, rtcp_salt: salt }).unwrap()
    }

    #[test]
    fn a_frame_opens_to_stamped_packets_in_two_runs_at_most() {
        let shape = VideoShape { bitrate_bps: 1_500_000, width: 1_280, height: 720, sizes: Sizes::Chromium };
        let mut encoding = Encoding::new(9, 0x0001_0003, "f".to_owned());
        let mut arena = Arena::default();
        let window = Window { from_ns: 0, until_ns: 100 };
        for (frame, is_key) in [(0, true), (1, false)] {
            arena.clear();
            encoding.seal(Media::Video(shape), "2", 50, window, &cipher(), &mut arena);
            assert!(arena.runs.len() <= 2);
            let (mut start, mut packets) = (0, 0);
            for &(end, each) in &arena.runs {
                for packet in arena.bytes[start..end].chunks_mut(each) {
                    let header_len = roundtable_wire::rtp::header_len(packet).unwrap();
                    let sequence = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
                    let payload_len = cipher().open_rtp(packet, header_len, 0x0001_0003, sequence).unwrap();
                    let packet = RtpPacket::parse(&packet[..header_len + payload_len]).unwrap();
                    assert_eq!(packet.extension(MID_ID), Some(&b"2"[..]));
                    assert_eq!(packet.extension(STREAM_ID_ID), Some(&b"f"[..]));
                    assert_eq!(starts_keyframe(Codec::Vp8, packet.payload), is_key && packets == 0, "frame {frame}");
                    let stamp = Stamp::read(packet.payload).unwrap();
                    assert_eq!((stamp.source, stamp.sent_ns), (9, 50));
                    packets += 1;
                }
                start = end;
            }
        }
        assert_eq!(encoding.sent_in_window, encoding.packets);
    }
}
