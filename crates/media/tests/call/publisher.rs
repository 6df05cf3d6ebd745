//! The three encodings of a camera: sizes, descriptors and extensions of a captured call (Chromium 156, VP8, L1T3).

use roundtable_wire::ext::abs_send_time;
use roundtable_wire::vp8::{Descriptor, PictureId};
use roundtable_wire::{NtpTime, RtpHeader};

use super::{ABS_SEND_TIME, DEPENDENCY_DESCRIPTOR, LAYERS_ALLOCATION, MID, RID, TRANSPORT_SEQUENCE, VP8};

pub(super) const RIDS: [&str; 3] = ["q", "h", "f"];

/// Packets of a picture and their payload bytes, picture after picture, of the three encodings.
const SIZES: [[(u8, u16); 16]; 3] = [
    [
        (1, 730),
        (1, 769),
        (2, 702),
        (1, 660),
        (1, 556),
        (1, 837),
        (1, 905),
        (1, 692),
        (1, 764),
        (1, 834),
        (2, 644),
        (1, 754),
        (1, 687),
        (1, 840),
        (2, 667),
        (1, 780),
    ],
    [
        (3, 961),
        (2, 1063),
        (2, 847),
        (3, 801),
        (2, 1023),
        (2, 1061),
        (2, 1076),
        (2, 1123),
        (3, 952),
        (2, 1067),
        (2, 957),
        (2, 1150),
        (3, 941),
        (3, 792),
        (2, 1000),
        (3, 771),
    ],
    [
        (5, 1132),
        (4, 1123),
        (4, 1063),
        (6, 960),
        (4, 1125),
        (4, 1094),
        (5, 923),
        (5, 993),
        (6, 963),
        (4, 1143),
        (4, 1029),
        (5, 1036),
        (6, 973),
        (5, 1014),
        (5, 977),
        (5, 1112),
    ],
];
/// Packets of a keyframe and their payload bytes.
const KEY_SIZES: [(u8, u16); 3] = [(2, 900), (5, 1001), (14, 1090)];

/// Template and custom fields of a descriptor by the place of the picture, as captured; the frame number lies between.
const DESCRIPTORS: [(u8, &[u8]); 8] = [
    (0, &[0x13, 0x60]),
    (5, &[0x12, 0x40]),
    (3, &[0x12, 0xa0]),
    (5, &[0x12, 0x40]),
    (2, &[0x13, 0x60]),
    (5, &[0x13, 0x09, 0x00]),
    (4, &[0x13, 0x6a, 0x80]),
    (5, &[0x12, 0x40]),
];
/// The temporal layers in the same order.
const TEMPORAL: [u8; 8] = [0, 2, 1, 2, 0, 2, 1, 2];
/// What follows the frame number in the first packet of a keyframe, up to the resolution.
const STRUCTURE: [u8; 15] = [0x80, 0x02, 0x04, 0x4e, 0xaa, 0xaf, 0x28, 0x60, 0x41, 0x4d, 0x34, 0x53, 0x8a, 0x09, 0x40];
/// The resolution behind it, by encoding.
const RESOLUTIONS: [[u8; 5]; 3] =
    [[0x40, 0x4f, 0xc0, 0x2c, 0xc0], [0x40, 0x9f, 0xc0, 0x59, 0xc0], [0x41, 0x3f, 0xc0, 0xb3, 0xc0]];
/// Width and height in the VP8 frame header.
const PIXELS: [[u16; 2]; 3] = [[320, 180], [640, 360], [1280, 720]];
/// Layers allocation behind its first byte: three streams of three layers, their rates, resolutions and frame rates.
const ALLOCATION: [u8; 32] = [
    0xa8, 0x3c, 0x5a, 0x96, 0x01, 0xc8, 0x01, 0xac, 0x02, 0xf4, 0x03, 0xac, 0x03, 0x82, 0x05, 0xae, 0x08, 0x01, 0x3f,
    0x00, 0xb3, 0x14, 0x02, 0x7f, 0x01, 0x67, 0x14, 0x04, 0xff, 0x02, 0xcf, 0x14,
];
/// The first byte of it for the stream 0; two bits on top number the stream.
const ALLOCATION_FIRST: u8 = 0x21;
/// Packets of an encoding that carry mid and rid.
const NAMED_PACKETS: u32 = 25;
/// Timestamp units of a picture at 20 a second.
const PICTURE_TICKS: u32 = 4500;

/// One encoding and its counters.
pub(super) struct Encoding {
    pub(super) ssrc: u32,
    index: usize,
    sequence: u16,
    packets: u32,
    step: u64,
    /// Pictures since the last keyframe.
    place: usize,
    is_key: bool,
    picture: u16,
    tl0: u8,
    key_idx: u8,
    /// Packets of the picture, and their payload bytes.
    shape: (u8, u16),
}

impl Encoding {
    pub(super) fn simulcast() -> [Self; 3] {
        std::array::from_fn(|index| Self {
            ssrc: 0x1000 + index as u32,
            index,
            sequence: 1000 * index as u16,
            packets: 0,
            step: 0,
            place: 0,
            is_key: false,
            picture: 77,
            tl0: 0,
            key_idx: 0,
            shape: (0, 0),
        })
    }

    pub(super) const fn timestamp(&self, step: u64) -> u32 {
        (step as u32).wrapping_mul(PICTURE_TICKS)
    }

    /// Goes on to the next picture and returns how many packets it takes.
    pub(super) fn begin_picture(&mut self, step: u64, is_key: bool) -> u8 {
        (self.step, self.is_key) = (step, is_key);
        self.place = if is_key { 0 } else { self.place + 1 };
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(u8::from(self.tid() == 0));
        self.key_idx = (self.key_idx + u8::from(is_key)) & 0x1f;
        let sizes = &SIZES[self.index];
        self.shape = if is_key { KEY_SIZES[self.index] } else { sizes[step as usize % sizes.len()] };
        self.shape.0
    }

    /// Appends one packet of the picture.
    pub(super) fn write_packet(&mut self, number: u8, transport_sequence: u16, ntp: NtpTime, out: &mut Vec<u8>) {
        let (is_first, is_last) = (number == 0, number + 1 == self.shape.0);
        let header = RtpHeader {
            marker: is_last,
            payload_type: VP8,
            sequence: self.sequence,
            timestamp: self.timestamp(self.step),
            ssrc: self.ssrc,
            csrc: None,
        };
        let (descriptor, descriptor_len) = self.dependency(is_first, is_last);
        out.resize(256, 0);
        let len = header.write(out, |writer| {
            writer.push(ABS_SEND_TIME, &abs_send_time(ntp));
            writer.push(TRANSPORT_SEQUENCE, &transport_sequence.to_be_bytes());
            if self.packets < NAMED_PACKETS {
                writer.push(MID, b"0");
                writer.push(RID, RIDS[self.index].as_bytes());
            }
            writer.push(DEPENDENCY_DESCRIPTOR, &descriptor[..descriptor_len]);
            if self.is_key && is_first {
                let mut allocation = [0; 1 + ALLOCATION.len()];
                allocation[0] = ALLOCATION_FIRST | (self.index as u8) << 6;
                allocation[1..].copy_from_slice(&ALLOCATION);
                writer.push(LAYERS_ALLOCATION, &allocation);
            }
        });
        out.truncate(len);
        self.write_payload(is_first, out);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
    }

    /// The dependency descriptor of a packet, and its length.
    fn dependency(&self, is_first: bool, is_last: bool) -> ([u8; 32], usize) {
        let mut bytes = [0; 32];
        let (template, custom) = DESCRIPTORS[self.place % DESCRIPTORS.len()];
        // All encodings count their frames together.
        let frame = (3 * self.step + self.index as u64) as u16;
        bytes[0] = u8::from(is_first) << 7 | u8::from(is_last) << 6 | template;
        bytes[1..3].copy_from_slice(&frame.to_be_bytes());
        let mut len = 3;
        let mut put = |part: &[u8]| {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        };
        if self.is_key && is_first {
            put(&STRUCTURE);
            put(&RESOLUTIONS[self.index]);
        } else if is_first && !self.is_key {
            put(custom);
        }
        (bytes, len)
    }

    fn write_payload(&self, is_first: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let tid = self.tid();
        let descriptor = Descriptor {
            start: is_first,
            picture_id: Some(PictureId::Long(self.picture)),
            tl0_pic_idx: Some(self.tl0),
            tid: Some(tid),
            y: tid > 0,
            key_idx: Some(self.key_idx),
            ..Descriptor::default()
        };
        let mut bytes = [0; 8];
        let len = descriptor.write(&mut bytes);
        out.extend_from_slice(&bytes[..len]);
        if is_first {
            let [width, height] = PIXELS[self.index].map(u16::to_le_bytes);
            out.extend_from_slice(&[u8::from(!self.is_key), 0, 0, 0x9d, 0x01, 0x2a]);
            out.extend_from_slice(&[width, height].concat());
        }
        out.resize(start + usize::from(self.shape.1), 0xee);
    }

    fn tid(&self) -> u8 {
        TEMPORAL[self.place % TEMPORAL.len()]
    }
}
