//! What the fuzz targets of `fuzz/` run: everything that reads a peer's bytes, with what must hold for any of them.
//!
//! Each function takes arbitrary bytes and panics if a property is broken. Tests run them too, over the committed
//! corpora and over random bytes.

use std::hint::black_box;

use crate::codec::{av1, h264, vp8, vp9};
use crate::dependency::{self, Descriptor, StructureHistory};
use crate::ext::{self, Extensions};
use crate::layers_allocation::{self, LayersAllocation};
use crate::rtcp::{CongestionFeedback, Packet, XrBlock, packets};
use crate::rtp::{self, RtpPacket};
use crate::twcc::Feedback;
use crate::{Codec, classify, red, rtx, starts_keyframe, stun};

/// A target by its name, which is that of its corpus too.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("rtp", rtp),
    ("rtcp", rtcp),
    ("payload", payload),
    ("dependency_descriptor", dependency_descriptor),
    ("layers_allocation", layers_allocation),
    ("red", red),
    ("stun", stun),
];

/// A datagram as an RTP packet with its extensions.
pub fn rtp(bytes: &[u8]) {
    black_box(classify(bytes));
    let header_len = rtp::header_len(bytes);
    assert!(header_len.is_ok_and(|len| len <= bytes.len()) || RtpPacket::parse(bytes).is_err());
    let Ok(packet) = RtpPacket::parse(bytes) else { return };
    assert_eq!(header_len, Ok(packet.header_len));
    assert_eq!(packet.header_len + packet.payload.len() + packet.padding_len, bytes.len());
    black_box((packet.csrcs().max(), packet.extension(3)));
    extensions(packet.extensions());
}

/// The elements of a header extension, each read as everything it could be.
pub fn extensions(extensions: Extensions<'_>) {
    for (id, data) in extensions {
        assert_ne!(id, 0);
        black_box((ext::read_mid(data), ext::read_stream_id(data), ext::read_transport_sequence(data)));
        black_box((ext::read_abs_send_time(data), ext::read_audio_level(data), ext::read_video_orientation(data)));
        black_box((ext::read_playout_delay(data), ext::read_abs_capture_time(data)));
        black_box(dependency::Mandatory::parse(data).ok());
        layers_allocation(data);
    }
}

/// An RTCP compound with all the parts of its packets.
pub fn rtcp(bytes: &[u8]) {
    let mut count = 0;
    for packet in packets(bytes) {
        count += 1;
        if let Ok(packet) = packet {
            rtcp_packet(packet);
        }
    }
    assert!(count <= bytes.len().div_ceil(4), "every packet takes four bytes");
}

fn rtcp_packet(packet: Packet<'_>) {
    match packet {
        Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
            assert!(reports.count() <= 31);
        }
        Packet::SourceDescription { chunks } => assert!(chunks.count() <= 31),
        Packet::Goodbye { ssrcs, .. } => assert!(ssrcs.count() <= 31),
        Packet::Nack { lost, .. } => assert!(lost.count() > 0),
        Packet::FullIntra { entries, .. } => assert!(entries.count() > 0),
        Packet::Remb { ssrcs, .. } => assert!(ssrcs.count() <= 255),
        Packet::TransportFeedback(feedback) => transport_feedback(&feedback),
        Packet::CongestionFeedback(feedback) => congestion_feedback(&feedback),
        Packet::ExtendedReport { blocks, .. } => {
            for block in blocks {
                if let XrBlock::DelaySinceLast(answers) = block {
                    black_box(answers.count());
                }
            }
        }
        Packet::Unknown { .. } | Packet::PictureLoss { .. } => {}
    }
}

/// A transport-wide feedback message that was parsed.
pub fn transport_feedback(feedback: &Feedback<'_>) {
    assert_eq!(feedback.statuses().count(), usize::from(feedback.status_count), "parsing checked them all");
}

fn congestion_feedback(feedback: &CongestionFeedback<'_>) {
    for stream in feedback.streams() {
        assert_eq!(stream.arrivals().count(), usize::from(stream.count), "parsing checked them all");
    }
}

/// The payload of an RTP packet, read as that of every codec.
pub fn payload(bytes: &[u8]) {
    for codec in CODECS {
        black_box(starts_keyframe(codec, bytes));
    }
    vp8_payload(bytes);
    vp9_payload(bytes);
    if let Ok(header) = av1::AggregationHeader::parse(bytes) {
        assert_eq!(av1::AggregationHeader::parse(&[header.to_byte()]), Ok(header));
    }
    let mut unit_bytes = 0;
    for unit in h264::Units::new(bytes) {
        assert!(unit.unit_type < 32 && unit.reference_idc < 4);
        unit_bytes += unit.bytes.len();
    }
    assert!(unit_bytes <= bytes.len());
    black_box(h264::parameter_sets(bytes).count());
    if let Some((sequence, original)) = rtx::split(bytes) {
        let mut again = vec![0; bytes.len()];
        assert_eq!(rtx::write(sequence, original, &mut again), bytes.len());
        assert_eq!(again, bytes);
    }
}

const CODECS: [Codec; 6] = [
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 },
    Codec::Av1,
    Codec::Opus,
    Codec::Red,
];

fn vp8_payload(bytes: &[u8]) {
    let Ok(descriptor) = vp8::Descriptor::parse(bytes) else { return };
    assert!((1..=vp8::MAX_LEN).contains(&descriptor.len));
    let mut out = [0; vp8::MAX_LEN];
    let len = descriptor.write(&mut out);
    let picture_id = descriptor.picture_id.map(vp8::PictureId::to_long);
    let expected = vp8::Descriptor { picture_id, len, ..descriptor };
    assert_eq!(out.get(..len).map(vp8::Descriptor::parse), Some(Ok(expected)));
}

fn vp9_payload(bytes: &[u8]) {
    let Ok(descriptor) = vp9::Descriptor::parse(bytes) else { return };
    assert!(descriptor.len <= bytes.len());
    if let Some(structure) = descriptor.structure {
        assert!(structure.sizes().count() <= vp9::MAX_SPATIAL_LAYERS);
        black_box(structure.pictures().count());
    }
    let mut out = vec![0; descriptor.len + 1];
    let len = descriptor.write(&mut out);
    let picture_id = descriptor.picture_id.map(vp8::PictureId::to_long);
    let expected = vp9::Descriptor { picture_id, len, ..descriptor };
    assert_eq!(out.get(..len).map(vp9::Descriptor::parse), Some(Ok(expected)));

    let mut renumbered = bytes.to_vec();
    assert_eq!(vp9::renumber(&mut renumbered, 0x5555, Some(0xaa)), descriptor.picture_id.is_some());
    let Ok(again) = vp9::Descriptor::parse(&renumbered) else { panic!("renumbering broke the descriptor") };
    let tl0 = again.layer.and_then(|layer| layer.tl0_pic_idx);
    match again.picture_id {
        Some(vp8::PictureId::Long(id)) => assert_eq!((id, tl0.unwrap_or(0xaa)), (0x5555, 0xaa)),
        Some(vp8::PictureId::Short(id)) => assert_eq!((id, tl0.unwrap_or(0xaa)), (0x55, 0xaa)),
        None => assert_eq!(again, descriptor),
    }
}

/// The dependency descriptors of one stream, each behind a byte that is its length, its highest bit telling that the
/// packet comes before the latest one.
pub fn dependency_descriptor(bytes: &[u8]) {
    let mut history = StructureHistory::new();
    let mut sequence = 1 << 16;
    let mut rest = bytes;
    while let Some((&head, tail)) = rest.split_first() {
        let (data, tail) = tail.split_at(tail.len().min(usize::from(head & 0x7f)));
        rest = tail;
        let at = if head & 0x80 == 0 { sequence } else { sequence - 2 };
        sequence += 1;
        let Ok(received) = history.handle(at, data) else { continue };
        assert!(received.frame.dtis.len() == usize::from(received.structure.decode_target_count()));
        assert!(received.frame.chain_diffs.as_slice().len() == usize::from(received.structure.chain_count()));
        assert!(received.active_decode_targets & !received.structure.all_decode_targets() == 0);
        assert_eq!(received.frame.is_discardable(), received.frame.dtis.iter().all(|dti| dti.bits() < 2));
        descriptor(data, received.structure);
    }
}

/// One descriptor beside the structure it was resolved with.
fn descriptor(data: &[u8], structure: &dependency::Structure) {
    let Ok((parsed, layout)) = Descriptor::read(data, Some(structure)) else { panic!("it was read before") };
    let write = |descriptor: &Descriptor| {
        let mut out = vec![0; data.len() + 5];
        let len = descriptor.write(Some(structure), &mut out);
        assert!(len > 0, "what was read can be written");
        out.truncate(len);
        out
    };
    let written = write(&parsed);
    assert_eq!(Descriptor::parse(&written, Some(structure)).as_ref(), Ok(&parsed));

    let mut out = vec![0; data.len() + 5];
    let len = layout.rewrite(data, 0x1234, Some(0x5555_5555), &mut out);
    let mut expected = parsed.clone();
    expected.mandatory.frame_number = 0x1234;
    expected.active_decode_targets = Some(0x5555_5555 & structure.all_decode_targets());
    let rewritten = out.get(..len).unwrap_or_default();
    assert_eq!(Descriptor::parse(rewritten, Some(structure)).as_ref(), Ok(&expected));
    if written == data {
        assert_eq!(rewritten, write(&expected), "the same but for what was changed");
    }
    assert_eq!(layout.rewrite(data, 0x1234, None, &mut out), data.len());
}

/// An element that tells the layers of a source.
pub fn layers_allocation(bytes: &[u8]) {
    let Ok(allocation) = LayersAllocation::parse(bytes) else { return };
    let mut out = [0; layers_allocation::MAX_LEN];
    let len = allocation.write(&mut out);
    assert!(len > 0 && len <= bytes.len().max(1), "nothing is longer than as it was read");
    assert_eq!(out.get(..len).map(LayersAllocation::parse), Some(Ok(allocation)));
    if !allocation.layers().is_empty() {
        let made = LayersAllocation::new(allocation.stream(), allocation.stream_count(), allocation.layers());
        assert_eq!(made, Some(allocation));
    }
}

/// A payload of redundant audio.
pub fn red(bytes: &[u8]) {
    let Ok(blocks) = red::Blocks::parse(bytes) else { return };
    assert!(blocks.redundant().len() < red::MAX_BLOCKS);
    let mut out = vec![0; bytes.len()];
    assert_eq!(red::write(blocks.redundant(), blocks.primary(), &mut out), bytes.len());
    assert_eq!(out, bytes);
}

/// A datagram as a STUN message.
pub fn stun(bytes: &[u8]) {
    if let Some((receiver, sender)) = stun::username(bytes) {
        assert!(!receiver.is_empty() && !sender.is_empty());
    }
}
