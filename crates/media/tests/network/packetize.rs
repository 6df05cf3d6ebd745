//! The payloads of one frame, as the packetizer of each codec makes them; filler stands for the picture itself.

use roundtable_wire::codec::{av1::AggregationHeader, vp9};
use roundtable_wire::vp8;
use roundtable_wire::{Codec, codec::h264};

use crate::encoder::Frame;
use crate::piece::Piece;

/// Bytes of a frame in one packet, so that with all that stands in front it stays within 1200.
const MAX_PART: usize = 1020;

/// The numbers of a picture that codecs write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) picture_id: u16,
    pub(crate) tl0: u8,
    pub(crate) height: u16,
    /// VP9: pictures name what they need.
    pub(crate) is_flexible: bool,
    /// VP9: the highest spatial layer of this picture.
    pub(crate) top: u8,
    pub(crate) temporal: u8,
}

/// How many packets a frame of `bytes` takes.
pub(crate) fn parts(codec: Codec, frame: &Frame, bytes: usize) -> usize {
    let has_sets = usize::from(is_h264(codec) && frame.is_key);
    bytes.div_ceil(MAX_PART).max(1) + has_sets
}

/// Writes the payload of part `part` of `parts` of a frame of `bytes`; `piece` goes to its end.
pub(crate) fn write(codec: Codec, frame: &Frame, numbers: &Numbers, bytes: usize, piece: &Piece, out: &mut Vec<u8>) {
    let (part, parts) = (usize::from(piece.part), usize::from(piece.parts));
    let share = bytes / parts + usize::from(part < bytes % parts);
    let filler = share.saturating_sub(Piece::LEN);
    match codec {
        Codec::Vp8 => write_vp8(frame, numbers, part, out),
        Codec::Vp9 { .. } => write_vp9(frame, numbers, part == 0, part + 1 == parts, out),
        Codec::H264 { .. } => return write_h264(frame, numbers, filler, piece, out),
        Codec::Av1 => {
            let starts_sequence = frame.is_key && frame.spatial == 0 && part == 0;
            let header = AggregationHeader {
                continues: part > 0,
                continued: part + 1 < parts,
                element_count: 1,
                starts_sequence,
            };
            out.push(header.to_byte());
            out.push(if starts_sequence { 0x0a } else { 0x32 });
        }
        Codec::Opus | Codec::Red => {}
    }
    fill(out, filler, piece);
}

fn fill(out: &mut Vec<u8>, filler: usize, piece: &Piece) {
    out.resize(out.len() + filler, 0xee);
    piece.write(out);
}

fn write_vp8(frame: &Frame, numbers: &Numbers, part: usize, out: &mut Vec<u8>) {
    let descriptor = vp8::Descriptor {
        non_reference: frame.temporal == 2,
        start: part == 0,
        picture_id: Some(vp8::PictureId::Long(numbers.picture_id)),
        tl0_pic_idx: Some(numbers.tl0),
        tid: Some(frame.temporal),
        y: frame.temporal > 0 && frame.picture_diff.is_some_and(|diff| diff == 1 && frame.temporal == 2 || diff == 2),
        ..vp8::Descriptor::default()
    };
    let mut bytes = [0; vp8::MAX_LEN];
    let len = descriptor.write(&mut bytes);
    out.extend_from_slice(&bytes[..len]);
    if part == 0 {
        // The frame tag, and for a keyframe the start code and the size (RFC 6386 9.1).
        out.extend_from_slice(&[u8::from(!frame.is_key), 0, 0]);
        if frame.is_key {
            out.extend_from_slice(&[0x9d, 0x01, 0x2a]);
            out.extend_from_slice(&(numbers.height * 16 / 9).to_le_bytes());
            out.extend_from_slice(&numbers.height.to_le_bytes());
        }
    }
}

fn write_vp9(frame: &Frame, numbers: &Numbers, start: bool, end: bool, out: &mut Vec<u8>) {
    let structure_bytes = vp9_structure(numbers);
    let has_structure = frame.is_key && frame.spatial == 0 && start;
    let structure = vp9::Descriptor::parse(&structure_bytes).expect("a structure").structure.filter(|_| has_structure);
    let references: Vec<u8> = frame.picture_diff.into_iter().collect();
    let descriptor = vp9::Descriptor {
        picture_id: Some(vp8::PictureId::Long(numbers.picture_id)),
        inter_predicted: frame.picture_diff.is_some(),
        flexible: numbers.is_flexible,
        start,
        end,
        not_a_reference: frame.spatial == numbers.top || !frame.is_key,
        layer: Some(vp9::Layer {
            temporal_id: frame.temporal,
            switching_up: true,
            spatial_id: frame.spatial,
            inter_layer: frame.needs_lower,
            tl0_pic_idx: (!numbers.is_flexible).then_some(numbers.tl0),
        }),
        references: vp9::References::new(&references).expect("one small reference"),
        structure,
        len: 0,
    };
    let mut bytes = [0; 64];
    let len = descriptor.write(&mut bytes);
    assert!(len > 0);
    out.extend_from_slice(&bytes[..len]);
}

/// A payload that has a scalability structure and nothing else: three sizes and, without flexible mode, the cycle.
fn vp9_structure(numbers: &Numbers) -> Vec<u8> {
    let mut bytes = vec![0x02, 2 << 5 | 0x10 | if numbers.is_flexible { 0 } else { 0x08 }];
    for down in [2, 1, 0] {
        let height = numbers.height >> down;
        bytes.extend_from_slice(&(height * 16 / 9).to_be_bytes());
        bytes.extend_from_slice(&height.to_be_bytes());
    }
    if !numbers.is_flexible {
        // Four pictures: layer, switching up, one reference and how far back it lies.
        bytes.extend_from_slice(&[4, 0x14, 4, 0x54, 1, 0x34, 2, 0x54, 1]);
    }
    bytes
}

fn write_h264(frame: &Frame, numbers: &Numbers, filler: usize, piece: &Piece, out: &mut Vec<u8>) {
    const SEI: u8 = 6;
    const FU_A: u8 = 28;
    let is_reference = numbers.temporal == 1 || frame.temporal + 1 < numbers.temporal;
    let priority = if frame.is_key { 3 << 5 } else { u8::from(is_reference) << 6 };
    let kind = if frame.is_key { h264::IDR } else { 1 };
    // The parameter sets of a keyframe are a packet of their own, and the piece is a message at its end.
    let sets = u16::from(frame.is_key);
    if piece.part < sets {
        let mut message = vec![SEI];
        piece.write(&mut message);
        let mut bytes = [0; 128];
        let len = h264::write_aggregate(&[&[0x67, 0x42, 0xe0, 0x1f, 9, 9], &[0x68, 0xce, 1], &message], &mut bytes);
        assert!(len > 0);
        out.extend_from_slice(&bytes[..len]);
        return;
    }
    let (part, parts) = (piece.part - sets, piece.parts - sets);
    if parts == 1 {
        out.push(priority | kind);
    } else {
        let (start, end) = (u8::from(part == 0) << 7, u8::from(part + 1 == parts) << 6);
        out.extend_from_slice(&[priority | FU_A, start | end | kind]);
    }
    fill(out, filler, piece);
}

fn is_h264(codec: Codec) -> bool {
    matches!(codec, Codec::H264 { .. })
}
