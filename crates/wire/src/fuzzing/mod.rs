//! What the fuzz targets of `fuzz/` run: everything that reads a peer's bytes, with what must hold for any of them.
//!
//! Each function takes arbitrary bytes and panics if a property is broken. Tests run them too, over the committed
//! corpora, over what a [`Mutator`] makes of these, and over random bytes.

mod mutate;

use std::collections::BTreeSet;
use std::hint::black_box;

use crate::codec::{av1, h264, vp8, vp9};
use crate::dependency::{self, Descriptor, StructureHistory};
use crate::ext::{self, ExtensionWriter, Extensions};
use crate::layers_allocation::{self, LayersAllocation};
use crate::rtcp::{CongestionFeedback, FirEntry, Packet, SenderInfo, Writer, XrBlock, packets};
use crate::rtp::{self, RtpPacket};
use crate::twcc::{Feedback, REFERENCE_MICROS};
use crate::{Codec, classify, red, rtx, starts_keyframe, stun};

pub use mutate::Mutator;

/// A target by its name, which is that of its corpus too.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("rtp", rtp),
    ("extensions", header_extension),
    ("rtcp", rtcp),
    ("transport_feedback", feedback_body),
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

/// A header extension: two bytes of profile, then the elements.
pub fn header_extension(bytes: &[u8]) {
    if let Some((profile, elements)) = bytes.split_first_chunk() {
        extensions(Extensions::new(u16::from_be_bytes(*profile), elements));
    }
}

/// The elements of a header extension, each read as everything it could be; written again they are the same.
pub fn extensions(extensions: Extensions<'_>) {
    let elements: Vec<_> = extensions.collect();
    let room = elements.iter().map(|(_, data)| data.len() + 2).sum::<usize>() + 8;
    let mut out = vec![0xff; room];
    let mut writer = ExtensionWriter::new(&mut out);
    for &(id, data) in &elements {
        assert_ne!(id, 0);
        assert!(writer.push(id, data), "there is room for what was read");
        value(data);
    }
    let len = writer.finish();
    let written = out.get(..len).unwrap_or_default();
    let Some((&[a, b, _, _], rest)) = written.split_first_chunk() else {
        assert!(elements.is_empty());
        return;
    };
    assert!(Extensions::new(u16::from_be_bytes([a, b]), rest).eq(elements));
}

/// One element. What has a writer comes back bit by bit.
fn value(data: &[u8]) {
    black_box((ext::read_mid(data), ext::read_stream_id(data), ext::read_abs_send_time(data)));
    let is = |written: &[u8]| assert!(data.starts_with(written), "{written:02x?} of {data:02x?}");
    if let Some(sequence) = ext::read_transport_sequence(data) {
        is(&ext::transport_sequence(sequence));
    }
    if let Some((voice, level)) = ext::read_audio_level(data) {
        is(&ext::audio_level(voice, level));
    }
    if let Some(orientation) = ext::read_video_orientation(data) {
        is(&ext::video_orientation(orientation));
    }
    if let Some((min, max)) = ext::read_playout_delay(data) {
        is(&ext::playout_delay(min, max));
    }
    match ext::read_abs_capture_time(data) {
        Some((captured, Some(offset))) => is(&ext::abs_capture_time(captured, offset)),
        Some((captured, None)) => is(&ext::short_abs_capture_time(captured)),
        None => assert!(data.len() < 8),
    }
    black_box(dependency::Mandatory::parse(data).ok());
    layers_allocation(data);
}

/// An RTCP compound with all the parts of its packets.
pub fn rtcp(bytes: &[u8]) {
    let mut count = 0;
    for packet in packets(bytes) {
        count += 1;
        if let Ok(packet) = packet {
            write_again(&packet);
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

/// What we write of a packet that was read reads the same.
fn write_again(packet: &Packet<'_>) {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    match packet.clone() {
        Packet::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count, reports } => {
            let info = SenderInfo { ssrc, ntp, rtp_timestamp, packet_count, octet_count };
            writer.sender_report(&info, &reports.collect::<Vec<_>>());
            assert_eq!(packets(&out).next().as_ref(), Some(&Ok(packet.clone())));
        }
        Packet::ReceiverReport { ssrc, reports } => {
            writer.receiver_report(ssrc, &reports.collect::<Vec<_>>());
            assert_eq!(packets(&out).next().as_ref(), Some(&Ok(packet.clone())));
        }
        Packet::PictureLoss { sender_ssrc, media_ssrc } => {
            writer.pli(sender_ssrc, media_ssrc);
            assert_eq!(packets(&out).next().as_ref(), Some(&Ok(packet.clone())));
        }
        Packet::Remb { sender_ssrc, bitrate_bps, ssrcs } => {
            writer.remb(sender_ssrc, bitrate_bps, &ssrcs.collect::<Vec<_>>());
            assert_eq!(packets(&out).next().as_ref(), Some(&Ok(packet.clone())));
        }
        Packet::SourceDescription { chunks } => {
            let named: Vec<_> = chunks.filter_map(|chunk| Some((chunk.ssrc, chunk.cname?))).collect();
            for &(ssrc, cname) in &named {
                writer.sdes_cname(ssrc, cname);
            }
            let found = read_all(&out, |packet| match packet {
                Packet::SourceDescription { chunks } => chunks.filter_map(|c| Some((c.ssrc, c.cname?))).collect(),
                _ => vec![],
            });
            assert_eq!(found, named);
        }
        Packet::Goodbye { ssrcs, .. } => {
            let gone: Vec<_> = ssrcs.collect();
            writer.goodbye(&gone);
            let found = read_all(&out, |packet| match packet {
                Packet::Goodbye { ssrcs, .. } => ssrcs.collect(),
                _ => vec![],
            });
            assert_eq!(found, gone);
        }
        Packet::Nack { sender_ssrc, media_ssrc, lost } => {
            // A peer may name numbers twice and in any order.
            writer.nack(sender_ssrc, media_ssrc, &lost.clone().collect::<Vec<_>>());
            let found = read_all(&out, |packet| match packet {
                Packet::Nack { lost, .. } => lost.collect(),
                _ => vec![],
            });
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), lost.collect::<BTreeSet<_>>());
        }
        Packet::FullIntra { sender_ssrc, entries } => {
            let asked: Vec<FirEntry> = entries.collect();
            writer.fir(sender_ssrc, &asked);
            let found = read_all(&out, |packet| match packet {
                Packet::FullIntra { entries, .. } => entries.collect(),
                _ => vec![],
            });
            assert_eq!(found, asked);
        }
        Packet::ExtendedReport { ssrc, blocks } => blocks.for_each(|block| write_block_again(ssrc, block)),
        // The first has a function of its own, the second no writer, the third cannot be written.
        Packet::TransportFeedback(_) | Packet::CongestionFeedback(_) | Packet::Unknown { .. } => {}
    }
}

fn write_block_again(ssrc: u32, block: XrBlock<'_>) {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    match &block {
        XrBlock::ReceiverReferenceTime(ntp) => drop(writer.receiver_reference_time(ssrc, *ntp)),
        XrBlock::DelaySinceLast(answers) => drop(writer.dlrr(ssrc, &answers.clone().collect::<Vec<_>>())),
        XrBlock::Unknown { .. } => return,
    }
    let found = read_all(&out, |packet| match packet {
        Packet::ExtendedReport { blocks, .. } => blocks.collect(),
        _ => vec![],
    });
    match block {
        XrBlock::DelaySinceLast(answers) if answers.clone().next().is_none() => assert_eq!(found, []),
        block => assert_eq!(found, [block]),
    }
}

/// What `read` finds in the packets we have written.
fn read_all<'a, T>(compound: &'a [u8], read: impl Fn(Packet<'a>) -> Vec<T>) -> Vec<T> {
    packets(compound).flat_map(|packet| packet.map(&read).unwrap_or_default()).collect()
}

/// The body of a transport-wide feedback message.
pub fn feedback_body(bytes: &[u8]) {
    if let Ok(feedback) = Feedback::parse(bytes) {
        transport_feedback(&feedback);
    }
}

/// A transport-wide feedback message that was parsed. What we write of its arrivals reads the same.
pub fn transport_feedback(feedback: &Feedback<'_>) {
    assert_eq!(feedback.statuses().count(), usize::from(feedback.status_count), "parsing checked them all");
    // So late that no arrival lies before the origin, and a multiple of the reference, so that nothing is rounded.
    const LATE: i64 = REFERENCE_MICROS as i64 * (1 << 20);
    let arrivals: Vec<_> = feedback
        .statuses()
        .map(|(_, arrival)| arrival.map(|micros| u64::try_from(micros + LATE).unwrap_or(0)))
        .collect();
    let mut out = Vec::new();
    Writer::new(&mut out).twcc(1, 2, 0, feedback.base_sequence, &arrivals);
    let found = read_all(&out, |packet| match packet {
        Packet::TransportFeedback(part) => {
            let at = part.reference_micros() - LATE;
            part.statuses().filter_map(|(sequence, micros)| Some((sequence, at + micros?))).collect()
        }
        _ => vec![],
    });
    let expected: Vec<_> = feedback.statuses().filter_map(|(sequence, micros)| Some((sequence, micros?))).collect();
    assert_eq!(found, expected);
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
    h264_units(bytes);
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

/// Whole units are the same in an aggregate, and taken apart.
fn h264_units(bytes: &[u8]) {
    let units: Vec<_> = h264::Units::new(bytes).filter(|unit| unit.is_start && unit.is_end).collect();
    let whole: Vec<_> = units.iter().map(|unit| unit.bytes).collect();
    let mut out = vec![0; bytes.len() + 3];
    if bytes.first().is_some_and(|header| header & 0x1f != h264::FU_A) {
        let len = h264::write_aggregate(&whole, &mut out);
        assert_eq!(len > 0, !whole.is_empty());
        assert!(h264::Units::new(out.get(..len).unwrap_or_default()).eq(units.iter().copied()));
    }
    for unit in units.iter().filter(|unit| unit.bytes.len() > 2) {
        let Some((&header, body)) = unit.bytes.split_first() else { continue };
        let (start, end) = body.split_at(body.len() / 2);
        let first = [&h264::fragment_head(header, true, false)[..], start].concat();
        let last = [&h264::fragment_head(header, false, true)[..], end].concat();
        let parts = [h264::Units::new(&first).next(), h264::Units::new(&last).next()];
        let expected = |is_start, bytes| Some(h264::Unit { is_start, is_end: !is_start, bytes, ..*unit });
        assert_eq!(parts, [expected(true, start), expected(false, end)]);
    }
}

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
