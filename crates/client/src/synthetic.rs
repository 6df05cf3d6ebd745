//! Streams without an encoder: packets of a valid shape that carry their publisher's mark.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use roundtable_protocol::MemberId;
use roundtable_protocol::event::TrackSource;

/// What stands in front of the mark, so that foreign payloads are not mistaken for ours.
const MAGIC: &[u8; 8] = b"rt-bot-1";
/// VP8 payload descriptor: X, S; I, L, T; 15-bit picture id; TL0PICIDX; TID and KEYIDX (RFC 7741 §4.2).
const DESCRIPTOR_BYTES: usize = 6;
/// What stands between descriptor and mark: a frame header as long as a key frame's (RFC 6386 §9.1).
const FRAME_HEADER_BYTES: usize = 10;

/// The mark of a member's source, the same wherever it is computed.
#[must_use]
pub fn mark(member: &MemberId, source: TrackSource) -> u64 {
    let mut hasher = DefaultHasher::new();
    (member.as_str(), source).hash(&mut hasher);
    hasher.finish()
}

/// Finds the mark in a payload of audio or video.
#[must_use]
pub fn read_mark(payload: &[u8]) -> Option<u64> {
    let at = payload.windows(MAGIC.len()).take(32).position(|w| w == MAGIC)? + MAGIC.len();
    payload.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// What a synthetic camera sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoShape {
    /// Frames a second.
    pub frames_per_second: u32,
    /// Packets of one frame.
    pub packets_per_frame: u32,
    /// Payload bytes of each packet.
    pub payload_bytes: usize,
    /// Every how many frames one is a key frame. Wishes for key frames are not heard, so keep it small.
    pub key_frame_every: u32,
}

impl VideoShape {
    /// 20 packets a second of 200 bytes: cheap, for rooms full of bots.
    pub const SMALL: Self =
        Self { frames_per_second: 10, packets_per_frame: 2, payload_bytes: 200, key_frame_every: 5 };
    /// 1.5 Mbit/s in frames of five packets, as a browser's 720p camera.
    pub const CAMERA: Self =
        Self { frames_per_second: 30, packets_per_frame: 5, payload_bytes: 1180, key_frame_every: 30 };

    /// Time between frames.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.frames_per_second.max(1)
    }
}

/// One packet's payload with what its header needs.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Whether it ends a frame.
    pub marker: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// The packets of the `frame`-th video frame.
#[must_use]
pub fn video_frame(shape: &VideoShape, mark: u64, frame: u32) -> Vec<Payload> {
    let key = frame.is_multiple_of(shape.key_frame_every.max(1));
    let packets = shape.packets_per_frame.max(1);
    (0..packets)
        .map(|n| {
            let start = u8::from(n == 0) << 4;
            let picture_id = (frame & 0x7fff) | 0x8000;
            let mut bytes = vec![0x80 | start, 0xe0];
            bytes.extend(&(picture_id as u16).to_be_bytes());
            bytes.push((frame & 0xff) as u8);
            bytes.push(0x20);
            debug_assert_eq!(bytes.len(), DESCRIPTOR_BYTES);
            // P bit clear is a key frame; then the start code and a size of 320 × 180.
            bytes.extend([u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]);
            bytes.extend(MAGIC);
            bytes.extend(mark.to_be_bytes());
            bytes.resize(shape.payload_bytes.max(DESCRIPTOR_BYTES + FRAME_HEADER_BYTES + 16), 0x55);
            Payload { marker: n + 1 == packets, bytes: bytes.into() }
        })
        .collect()
}

/// One Opus packet's payload: a TOC byte of a 20 ms frame, then the mark.
#[must_use]
pub fn audio_packet(mark: u64) -> Payload {
    let mut bytes = vec![0x78];
    bytes.extend(MAGIC);
    bytes.extend(mark.to_be_bytes());
    bytes.resize(80, 0x33);
    Payload { marker: false, bytes: bytes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_behind_any_descriptor() {
        let frame = video_frame(&VideoShape::SMALL, 0x0123_4567_89ab_cdef, 5);
        assert_eq!(frame.len(), 2);
        assert_eq!(read_mark(&frame[1].bytes), Some(0x0123_4567_89ab_cdef));
        assert!(frame[1].marker && !frame[0].marker);
        assert_eq!(read_mark(&audio_packet(9).bytes), Some(9));
        assert_eq!(read_mark(&[0; 100]), None);
        assert_eq!(read_mark(&[]), None);
    }

    #[test]
    fn marks_tell_members_and_sources_apart() {
        let (a, b) = (MemberId::new("a").unwrap(), MemberId::new("b").unwrap());
        assert_ne!(mark(&a, TrackSource::Camera), mark(&b, TrackSource::Camera));
        assert_ne!(mark(&a, TrackSource::Camera), mark(&a, TrackSource::Microphone));
    }
}
