//! No parser panics, loops for ever or reads past the end, whatever the bytes: arbitrary ones, and valid packets
//! that were cut or changed in two places.

use std::hint::black_box;

use proptest::prelude::*;
use roundtable_wire::ext::{self, Extensions};
use roundtable_wire::rtcp::{Packet, XrBlock, packets};
use roundtable_wire::twcc::Feedback;
use roundtable_wire::{Codec, ParseError, RtpPacket, classify, rtp, starts_keyframe, stun, vp8};

/// Cases of each property unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 100_000;

const CODECS: [Codec; 6] = [
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 },
    Codec::Av1,
    Codec::Opus,
    Codec::Red,
];

/// Up to 64 arbitrary bytes.
#[derive(Debug, Clone)]
struct Bytes {
    bytes: [u8; 64],
    len: usize,
}

impl Bytes {
    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The bytes behind a given start, so that the interesting branches are reached.
    fn behind(&self, start: &[u8]) -> Vec<u8> {
        [start, self.get()].concat()
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    (any::<[u64; 8]>(), 0..=64usize).prop_map(|(words, len)| {
        let mut bytes = [0; 64];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_ne_bytes();
        }
        Bytes { bytes, len }
    })
}

/// How a valid packet is spoilt: cut to a length, then two bytes changed.
type Damage = (usize, [(usize, u8); 2]);

fn damage() -> impl Strategy<Value = Damage> {
    any::<(u16, [(u16, u8); 2])>()
        .prop_map(|(len, changes)| (usize::from(len), changes.map(|(at, value)| (usize::from(at), value))))
}

fn damaged(packet: &[u8], (len, changes): Damage) -> Vec<u8> {
    // One packet of four stays whole, so that the changes are seen as well.
    let len = if len % 4 == 0 { packet.len() } else { len / 4 % (packet.len() + 1) };
    let mut bytes = packet[..len].to_vec();
    for (at, value) in changes {
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = value;
        }
    }
    bytes
}

fn read_rtp(bytes: &[u8]) {
    black_box(classify(bytes));
    let header_len = rtp::header_len(bytes);
    assert!(header_len.is_ok_and(|len| len <= bytes.len()) || RtpPacket::parse(bytes).is_err());
    let Ok(packet) = RtpPacket::parse(bytes) else { return };
    assert_eq!(header_len, Ok(packet.header_len));
    assert_eq!(packet.header_len + packet.payload.len() + packet.padding_len, bytes.len());
    black_box((packet.csrcs().max(), packet.extension(3)));
    read_extensions(packet.extensions());
}

fn read_extensions(extensions: Extensions<'_>) {
    for (id, data) in extensions {
        assert_ne!(id, 0);
        black_box((ext::read_mid(data), ext::read_stream_id(data), ext::read_transport_sequence(data)));
        black_box((ext::read_abs_send_time(data), ext::read_audio_level(data), ext::read_video_orientation(data)));
        black_box((ext::read_playout_delay(data), ext::read_abs_capture_time(data)));
    }
}

fn read_rtcp(bytes: &[u8]) {
    let mut count = 0;
    for packet in packets(bytes) {
        count += 1;
        if let Ok(packet) = packet {
            read_packet(packet);
        }
    }
    assert!(count <= bytes.len().div_ceil(4), "every packet takes four bytes");
}

fn read_packet(packet: Packet<'_>) {
    match packet {
        Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
            assert!(reports.count() <= 31);
        }
        Packet::SourceDescription { chunks } => assert!(chunks.count() <= 31),
        Packet::Goodbye { ssrcs, .. } => assert!(ssrcs.count() <= 31),
        Packet::Nack { lost, .. } => assert!(lost.count() > 0),
        Packet::FullIntra { entries, .. } => assert!(entries.count() > 0),
        Packet::Remb { ssrcs, .. } => assert!(ssrcs.count() <= 255),
        Packet::TransportFeedback(feedback) => read_feedback(&feedback),
        Packet::ExtendedReport { blocks, .. } => {
            for block in blocks {
                if let XrBlock::DelaySinceLast(answers) = block {
                    black_box(answers.count());
                }
            }
        }
        _ => {}
    }
}

fn read_feedback(feedback: &Feedback<'_>) {
    assert_eq!(feedback.statuses().count(), usize::from(feedback.status_count), "parsing checked them all");
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rtp_of_arbitrary_bytes(bytes in bytes(), first in any::<u8>()) {
        read_rtp(bytes.get());
        read_rtp(&bytes.behind(&[0x80 | first & 0x3f]));
    }

    #[test]
    fn rtp_that_is_damaged(damage in damage()) {
        // Two sources, two-byte elements, padding.
        const PACKET: &[u8] = b"\xb2\x60\x01\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\
            \x10\x00\x00\x04\x02\x03abc\x04\x02\x00\x05\x09\x010\x00\x00\x00payload\x00\x00\x03";
        prop_assert!(RtpPacket::parse(PACKET).is_ok());
        read_rtp(&damaged(PACKET, damage));
    }

    #[test]
    fn extensions_of_arbitrary_bytes(bytes in bytes()) {
        for profile in [0xbede, 0x1000, 0x100f, 0] {
            read_extensions(Extensions::new(profile, bytes.get()));
        }
    }

    #[test]
    fn rtcp_of_arbitrary_bytes(bytes in bytes(), count in 0..32u8, packet_type in 192..224u8, format in 0..4usize) {
        read_rtcp(bytes.get());
        // A header that fits, for all types and the formats we read.
        let words = (bytes.len / 4) as u8;
        read_rtcp(&bytes.behind(&[0x80 | count, packet_type, 0, words]));
        read_rtcp(&bytes.behind(&[0x80 | [1, 4, 15, count][format], 205 + packet_type % 2, 0, words]));
    }

    #[test]
    fn rtcp_that_is_damaged(which in 0..VALID_RTCP.len(), damage in damage()) {
        read_rtcp(&damaged(VALID_RTCP[which], damage));
    }

    #[test]
    fn feedback_of_arbitrary_bytes(bytes in bytes(), count in any::<u8>()) {
        for body in [bytes.get(), &bytes.behind(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, count, 0, 0, 0, 0])] {
            if let Ok(feedback) = Feedback::parse(body) {
                read_feedback(&feedback);
            }
        }
    }

    #[test]
    fn payloads_of_arbitrary_bytes(bytes in bytes(), first in any::<u8>()) {
        for payload in [bytes.get(), &bytes.behind(&[first | 0x80])] {
            for codec in CODECS {
                black_box(starts_keyframe(codec, payload));
            }
            match vp8::Descriptor::parse(payload) {
                Ok(descriptor) => prop_assert!((1..=vp8::MAX_LEN).contains(&descriptor.len)),
                Err(error) => prop_assert_eq!(error, ParseError::Truncated),
            }
        }
    }

    #[test]
    fn stun_of_arbitrary_bytes(bytes in bytes()) {
        black_box(stun::username(bytes.get()));
        let head = [0, 1, 0, bytes.len as u8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        black_box(stun::username(&bytes.behind(&head)));
    }

    #[test]
    fn stun_that_is_damaged(damage in damage()) {
        const REQUEST: &[u8] = b"\x00\x01\x00\x1c\x21\x12\xa4\x42abcdefghijkl\
            \x00\x24\x00\x04\x7e\x7f\x1e\xff\x00\x06\x00\x09iTzN:Y7S0\x00\x00\x00\x80\x28\x00\x00";
        prop_assert_eq!(stun::username(REQUEST), Some(("iTzN", "Y7S0")));
        black_box(stun::username(&damaged(REQUEST, damage)));
    }
}

/// One packet of each type that has parts.
const VALID_RTCP: [&[u8]; 7] = [
    // SR with one block.
    b"\x81\xc8\x00\x0c\x00\x00\x00\x01\x11\x11\x11\x11\x22\x22\x22\x22\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\
      \x00\x00\x00\x06\x40\xff\xff\xfe\x00\x00\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09\x00\x00\x00\x0a",
    // SDES with two chunks, then BYE with a reason.
    b"\x82\xca\x00\x05\x00\x00\x00\x01\x01\x02ab\x00\x00\x00\x00\x00\x00\x00\x02\x01\x01c\x00\
      \x81\xcb\x00\x02\x00\x00\x00\x01\x03bye",
    // NACK with two entries, then PLI.
    b"\x81\xcd\x00\x04\x00\x00\x00\x01\x00\x00\x00\x02\xff\xff\x80\x01\x00\x09\x00\x00\
      \x81\xce\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02",
    // FIR with two entries.
    b"\x84\xce\x00\x06\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\xff\x00\x00\x00\x00\x00\x00\x06\x01\x00\x00\x00",
    // REMB for two sources.
    b"\x8f\xce\x00\x06\x00\x00\x00\x01\x00\x00\x00\x00REMB\x02\x17\xfb\xd9\x00\x00\x00\x02\x00\x00\x00\x03",
    // XR with an unknown block, RRTR and DLRR.
    b"\x80\xcf\x00\x0a\x00\x00\x00\x01\x4d\x00\x00\x01\x00\x00\x00\x00\x04\x00\x00\x02\x01\x02\x03\x04\x05\x06\x07\x08\
      \x05\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03",
    // Transport feedback with a run, both vectors and padding.
    b"\xaf\xcd\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x00\x64\x00\x19\x00\x00\x02\x07\x20\x04\x9f\x1c\xd0\x91\
      \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
];

#[test]
fn the_packets_to_be_damaged_are_valid() {
    for compound in VALID_RTCP {
        for packet in packets(compound) {
            assert!(packet.is_ok(), "{packet:?} in {compound:02x?}");
        }
    }
}
