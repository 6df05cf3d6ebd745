//! Streams without an encoder: packets of a valid shape that say whose they are, which, and when they left.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// What a packet says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Whose it is and from which source: [`mark`].
    pub mark: u64,
    /// Counts the packets of a source from 0, without gaps, also across a stop.
    pub number: u32,
    /// When it left, in microseconds since 1970 UTC.
    pub sent_us: u64,
}

impl Stamp {
    /// Bytes of a stamp in a payload.
    const BYTES: usize = MAGIC.len() + 20;

    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend(MAGIC);
        payload.extend(self.mark.to_be_bytes());
        payload.extend(self.number.to_be_bytes());
        payload.extend(self.sent_us.to_be_bytes());
    }

    /// Finds the stamp in a payload of audio or video.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let at = payload.windows(MAGIC.len()).take(32).position(|w| w == MAGIC)? + MAGIC.len();
        let (mark, rest) = payload.get(at..)?.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sent_us, _) = rest.split_first_chunk()?;
        Some(Self {
            mark: u64::from_be_bytes(*mark),
            number: u32::from_be_bytes(*number),
            sent_us: u64::from_be_bytes(*sent_us),
        })
    }
}

/// Now, in microseconds since 1970 UTC.
#[must_use]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What a synthetic microphone sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioShape {
    /// Time between packets; each holds 20 ms, what is between them is a pause (DTX).
    pub interval: Duration,
    /// How loud it is, in −dBov, if packets tell (RFC 6464).
    pub level: Option<u8>,
}

impl AudioShape {
    /// Without pauses: 50 packets a second.
    pub const TALK: Self = Self { interval: Duration::from_millis(20), level: None };
    /// 10 packets a second: for many bots on a small machine.
    pub const SPARSE: Self = Self { interval: Duration::from_millis(100), level: None };

    /// How far a packet is from the one before on the 48 kHz clock.
    #[must_use]
    pub fn step(&self) -> u32 {
        u32::try_from(self.interval.as_micros() * 48 / 1000).unwrap_or(u32::MAX)
    }
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
    /// 5 packets a second: for many bots on a small machine.
    pub const TINY: Self = Self { frames_per_second: 5, packets_per_frame: 1, payload_bytes: 100, key_frame_every: 2 };
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

/// The packets of the `frame`-th video frame; their numbers count up from `first`'s.
#[must_use]
pub fn video_frame(shape: &VideoShape, first: Stamp, frame: u32) -> Vec<Payload> {
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
            Stamp { number: first.number.wrapping_add(n), ..first }.write(&mut bytes);
            bytes.resize(shape.payload_bytes.max(DESCRIPTOR_BYTES + FRAME_HEADER_BYTES + Stamp::BYTES), 0x55);
            Payload { marker: n + 1 == packets, bytes: bytes.into() }
        })
        .collect()
}

/// One Opus packet's payload: a TOC byte of a 20 ms frame, then the stamp.
#[must_use]
pub fn audio_packet(stamp: Stamp) -> Payload {
    let mut bytes = vec![0x78];
    stamp.write(&mut bytes);
    bytes.resize(80, 0x33);
    Payload { marker: false, bytes: bytes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_behind_any_descriptor() {
        let stamp = Stamp { mark: 0x0123_4567_89ab_cdef, number: 7, sent_us: now_us() };
        let frame = video_frame(&VideoShape::SMALL, stamp, 5);
        assert_eq!(frame.len(), 2);
        assert_eq!(Stamp::read(&frame[1].bytes), Some(Stamp { number: 8, ..stamp }));
        assert!(frame[1].marker && !frame[0].marker);
        let audio = audio_packet(stamp).bytes;
        assert_eq!(Stamp::read(&audio), Some(stamp));
        for noise in [&[0; 100][..], &[], &audio[..28]] {
            assert_eq!(Stamp::read(noise), None);
        }
    }

    #[test]
    fn a_microphones_clock_keeps_pace_with_its_packets() {
        assert_eq!(AudioShape::TALK.step(), 960);
        assert_eq!(AudioShape::SPARSE.step(), 4800);
    }

    #[test]
    fn marks_tell_members_and_sources_apart() {
        let (a, b) = (MemberId::new("a").unwrap(), MemberId::new("b").unwrap());
        assert_ne!(mark(&a, TrackSource::Camera), mark(&b, TrackSource::Camera));
        assert_ne!(mark(&a, TrackSource::Camera), mark(&a, TrackSource::Microphone));
    }
}
