//! No parser panics, loops for ever or reads past the end, whatever the bytes: arbitrary ones, and valid packets
//! that were cut or changed in two places.

use proptest::prelude::*;
use roundtable_wire::ext::Extensions;
use roundtable_wire::fuzzing;
use roundtable_wire::rtcp::packets;
use roundtable_wire::twcc::Feedback;
use roundtable_wire::{LayersAllocation, RtpPacket, stun};

/// Cases of each property unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 100_000;

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

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rtp_of_arbitrary_bytes(bytes in bytes(), first in any::<u8>()) {
        fuzzing::rtp(bytes.get());
        fuzzing::rtp(&bytes.behind(&[0x80 | first & 0x3f]));
    }

    #[test]
    fn rtp_that_is_damaged(damage in damage()) {
        // Two sources, two-byte elements, padding.
        const PACKET: &[u8] = b"\xb2\x60\x01\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\
            \x10\x00\x00\x04\x02\x03abc\x04\x02\x00\x05\x09\x010\x00\x00\x00payload\x00\x00\x03";
        prop_assert!(RtpPacket::parse(PACKET).is_ok());
        fuzzing::rtp(&damaged(PACKET, damage));
    }

    #[test]
    fn extensions_of_arbitrary_bytes(bytes in bytes()) {
        for profile in [0xbede, 0x1000, 0x100f, 0] {
            fuzzing::extensions(Extensions::new(profile, bytes.get()));
        }
    }

    #[test]
    fn values_of_arbitrary_bytes(bytes in bytes(), len in 0..=16usize) {
        // One element of every length a value has.
        let data = &bytes.get()[..len.min(bytes.len)];
        let element = [&[0x10, 0x00, 7, data.len() as u8][..], data].concat();
        fuzzing::header_extension(&element);
    }

    #[test]
    fn rtcp_of_arbitrary_bytes(bytes in bytes(), count in 0..32u8, packet_type in 192..224u8, format in 0..4usize) {
        fuzzing::rtcp(bytes.get());
        // A header that fits, for all types and the formats we read.
        let words = (bytes.len / 4) as u8;
        fuzzing::rtcp(&bytes.behind(&[0x80 | count, packet_type, 0, words]));
        fuzzing::rtcp(&bytes.behind(&[0x80 | [1, 4, 15, count][format], 205 + packet_type % 2, 0, words]));
    }

    #[test]
    fn rtcp_that_is_damaged(which in 0..VALID_RTCP.len(), damage in damage()) {
        fuzzing::rtcp(&damaged(VALID_RTCP[which], damage));
    }

    #[test]
    fn feedback_of_arbitrary_bytes(bytes in bytes(), count in any::<u8>()) {
        for body in [bytes.get(), &bytes.behind(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, count, 0, 0, 0, 0])] {
            if let Ok(feedback) = Feedback::parse(body) {
                fuzzing::transport_feedback(&feedback);
            }
        }
    }

    #[test]
    fn payloads_of_arbitrary_bytes(bytes in bytes(), first in any::<u8>()) {
        fuzzing::payload(bytes.get());
        fuzzing::payload(&bytes.behind(&[first | 0x80]));
    }

    #[test]
    fn payloads_that_are_damaged(which in 0..VALID_PAYLOADS.len(), damage in damage()) {
        fuzzing::payload(&damaged(VALID_PAYLOADS[which], damage));
    }

    #[test]
    fn descriptors_of_arbitrary_bytes(bytes in bytes(), first in any::<[u8; 2]>()) {
        fuzzing::dependency_descriptor(bytes.get());
        // A structure of template 0 on, then packets beside it.
        let head = [0x7f, first[0] & 0xc0, 0, 1, 0x80 | first[1] & 0x78, 0];
        fuzzing::dependency_descriptor(&bytes.behind(&head));
        fuzzing::dependency_descriptor(&bytes.behind(VALID_DESCRIPTORS));
    }

    #[test]
    fn descriptors_that_are_damaged(damage in damage()) {
        fuzzing::dependency_descriptor(&damaged(VALID_DESCRIPTORS, damage));
    }

    #[test]
    fn allocations_of_arbitrary_bytes(bytes in bytes(), len in 0..64usize) {
        fuzzing::layers_allocation(bytes.get());
        fuzzing::layers_allocation(&bytes.get()[..len.min(bytes.len)]);
    }

    #[test]
    fn allocations_that_are_damaged(damage in damage()) {
        const ALLOCATION: &[u8] = b"\xa1\xa8\x3c\x5a\x96\x01\xc8\x01\xac\x02\xf4\x03\xac\x03\x82\x05\xae\x08\
            \x01\x3f\x00\xb3\x14\x02\x7f\x01\x67\x14\x04\xff\x02\xcf\x14";
        prop_assert!(LayersAllocation::parse(ALLOCATION).is_ok());
        fuzzing::layers_allocation(&damaged(ALLOCATION, damage));
    }

    #[test]
    fn redundant_audio_of_arbitrary_bytes(bytes in bytes(), [payload_type, offset, len] in any::<[u8; 3]>()) {
        fuzzing::red(bytes.get());
        fuzzing::red(&bytes.behind(&[0x80 | payload_type, offset, len & 0xfc, len & 0x1f]));
    }

    #[test]
    fn stun_of_arbitrary_bytes(bytes in bytes()) {
        fuzzing::stun(bytes.get());
        let head = [0, 1, 0, bytes.len as u8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fuzzing::stun(&bytes.behind(&head));
    }

    #[test]
    fn stun_that_is_damaged(damage in damage()) {
        const REQUEST: &[u8] = b"\x00\x01\x00\x1c\x21\x12\xa4\x42abcdefghijkl\
            \x00\x24\x00\x04\x7e\x7f\x1e\xff\x00\x06\x00\x09iTzN:Y7S0\x00\x00\x00\x80\x28\x00\x00";
        prop_assert_eq!(stun::username(REQUEST), Some(("iTzN", "Y7S0")));
        fuzzing::stun(&damaged(REQUEST, damage));
    }
}

/// Descriptors of a VP8 stream in three temporal layers, each behind its length: the structure, then three packets.
const VALID_DESCRIPTORS: &[u8] = b"\x17\xc0\x00\x01\x80\x02\x04\x4e\xaa\xaf\x28\x60\x41\x4d\x34\x53\x8a\x09\x40\x40\x77\xc0\x43\x40\x03\xc2\x00\x02\x05\xc5\x00\x0a\x12\x80\x04\x80\x00\x0b\x40";

/// A payload of each codec and form.
const VALID_PAYLOADS: [&[u8]; 7] = [
    b"\xb5\xf0\x92\x34\xc8\xb1data",     // VP8, all fields.
    b"\xed\x92\x34\x53\xc8data",         // VP9,
    b"\xfd\x92\x34\x53\x03\x05\xfedata", // with references,
    b"\x8a\x11\x38\x01\x40\x00\xb4\x02\x80\x01\x68\x03\x00\x54\x01\x28\x01\x02data", // with a structure.
    b"\x78\x00\x02\x67\x42\x00\x01\x68\x00\x03\x65\x88\x80", // H.264, STAP-A,
    b"\x7c\x85\x88\x80",                 // FU-A.
    b"\x18\x0a\x0b",                     // AV1.
];

/// One packet of each type that has parts.
const VALID_RTCP: [&[u8]; 8] = [
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
    // CCFB with an odd and an even stream.
    b"\x8b\xcd\x00\x09\x00\x00\x00\x01\x00\x00\x00\x02\xff\xff\x00\x03\x80\x10\x00\x00\xbf\xfe\x00\x00\
      \x00\x00\x00\x03\x00\x01\x00\x02\x80\x01\xff\xff\x12\x34\x56\x78",
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
