//! What is written reads the same.

use proptest::collection::vec;
use proptest::prelude::*;
use roundtable_wire::codec::{av1, h264};
use roundtable_wire::dependency::{
    self, ChainDiffs, Dti, Dtis, FrameDiffs, Mandatory, Resolution, Structure, Template,
};
use roundtable_wire::ext::{self, ExtensionWriter, Extensions};
use roundtable_wire::layers_allocation::{self, LayerSize, LayersAllocation, SpatialLayer};
use roundtable_wire::rtcp::{Dlrr, FirEntry, Packet, ReportBlock, SenderInfo, Writer, XrBlock, packets};
use roundtable_wire::vp8::{Descriptor, MAX_LEN, PictureId};
use roundtable_wire::{NtpTime, RtpHeader, RtpPacket, Unwrapper16};
use roundtable_wire::{red, rtx, vp9};

/// Cases of each property unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 20_000;

fn descriptors() -> impl Strategy<Value = Descriptor> {
    let optional = (any::<Option<u16>>(), any::<Option<u8>>(), any::<Option<u8>>(), any::<Option<u8>>());
    (any::<[bool; 3]>(), 0..8u8, optional).prop_map(|([non_reference, start, y], partition, (id, tl0, tid, key))| {
        Descriptor {
            non_reference,
            start,
            partition,
            picture_id: id.map(|id| PictureId::Long(id & 0x7fff)),
            tl0_pic_idx: tl0,
            tid: tid.map(|tid| tid & 3),
            y: y && tid.is_some(),
            key_idx: key.map(|key| key & 0x1f),
            len: 0,
        }
    })
}

/// Structures of up to twelve templates, which do fit a descriptor, and of all counts of targets and chains.
fn structures() -> impl Strategy<Value = Structure> {
    let template = (0..4u8, any::<u64>(), vec(1..=16u16, 0..4), any::<u128>());
    let sizes = any::<Option<[(u16, u16); 4]>>();
    (0..64u8, 1..=32u8, any::<u8>(), any::<[u8; 32]>(), vec(template, 1..12), sizes).prop_map(
        |(id, targets, chains, protected_by, parts, sizes)| {
            let chains = chains % (targets + 1);
            let mut layer = (0, 0);
            let templates: Vec<_> = (0..)
                .zip(parts)
                .map(|(index, (step, dtis, frame_diffs, chain_diffs))| {
                    layer = match (step, layer) {
                        _ if index == 0 => layer,
                        (1, (spatial, temporal)) if temporal < 7 => (spatial, temporal + 1),
                        (2, (spatial, _)) if spatial < 3 => (spatial + 1, 0),
                        _ => layer,
                    };
                    let chain_diffs: Vec<_> =
                        (0..chains).map(|chain| (chain_diffs >> (4 * chain)) as u8 & 15).collect();
                    Template {
                        spatial_id: layer.0,
                        temporal_id: layer.1,
                        dtis: indications(dtis, targets),
                        frame_diffs: FrameDiffs::new(&frame_diffs).unwrap(),
                        chain_diffs: ChainDiffs::new(&chain_diffs).unwrap(),
                    }
                })
                .collect();
            let protected_by: Vec<_> = protected_by[..usize::from(targets)]
                .iter()
                .filter(|_| chains > 0)
                .map(|chain| chain % chains)
                .collect();
            let size = |(width, height)| Resolution { width: u32::from(width) + 1, height: u32::from(height) + 1 };
            let sizes: Vec<_> = sizes.iter().flatten().copied().map(size).take(usize::from(layer.0) + 1).collect();
            Structure::new(id, templates, &protected_by, &sizes).unwrap()
        },
    )
}

fn indications(bits: u64, targets: u8) -> Dtis {
    let all: Vec<_> = (0..targets).map(|target| Dti::from_bits((bits >> (2 * target)) as u8)).collect();
    Dtis::new(&all).unwrap()
}

/// What a descriptor says beside its structure; the template is one of it, the rest is cut to what the structure has.
type Parts = (bool, bool, u8, u16, Option<u32>, Option<u64>, Option<Vec<u16>>, Option<[u8; 32]>);

fn dependency_descriptor(structure: &Structure, parts: Parts) -> dependency::Descriptor {
    let (is_start, is_end, template, frame_number, mask, dtis, frame_diffs, chain_diffs) = parts;
    let template = template % structure.templates().len() as u8;
    let chains = usize::from(structure.chain_count());
    dependency::Descriptor {
        mandatory: Mandatory { is_start, is_end, template_id: (structure.id() + template) % 64, frame_number },
        structure: None,
        active_decode_targets: mask.map(|mask| mask & structure.all_decode_targets()),
        dtis: dtis.map(|dtis| indications(dtis, structure.decode_target_count())),
        frame_diffs: frame_diffs.map(|diffs| FrameDiffs::new(&diffs).unwrap()),
        chain_diffs: chain_diffs.map(|diffs| ChainDiffs::new(&diffs[..chains]).unwrap()),
    }
}

fn allocations() -> impl Strategy<Value = LayersAllocation> {
    let layer = (any::<[u32; 4]>(), 1..=4usize, any::<(u16, u16, u8)>(), 0..32u32);
    (0..4u8, 1..=4u8, 1..=u16::MAX, any::<bool>(), vec(layer, 16)).prop_filter_map(
        "no layer",
        |(stream, streams, mask, has_sizes, parts)| {
            let layers: Vec<_> = (0..16u8)
                .zip(parts)
                .filter(|(place, _)| mask & 1 << place != 0 && place / 4 < streams)
                .map(|(place, (rates, count, (width, height, max_frame_rate), shift))| {
                    let (width, height) = (u32::from(width) + 1, u32::from(height) + 1);
                    let size = has_sizes.then_some(LayerSize { width, height, max_frame_rate });
                    SpatialLayer::new(place / 4, place % 4, &rates.map(|rate| rate >> shift)[..count], size).unwrap()
                })
                .collect();
            LayersAllocation::new(stream, streams, &layers)
        },
    )
}

fn blocks() -> impl Strategy<Value = ReportBlock> {
    (any::<[u32; 5]>(), any::<u8>(), -0x80_0000..=0x7f_ffffi32).prop_map(|(words, fraction_lost, cumulative_lost)| {
        let [ssrc, highest_sequence, jitter, last_sender_report, delay_since_last] = words;
        ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost,
            highest_sequence,
            jitter,
            last_sender_report,
            delay_since_last,
        }
    })
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn vp8_descriptors(descriptor in descriptors()) {
        let mut out = [0xff; MAX_LEN];
        let len = descriptor.write(&mut out);
        prop_assert_eq!(len, descriptor.written_len());
        prop_assert_eq!(Descriptor::parse(&out[..len]), Ok(Descriptor { len, ..descriptor }));
    }

    #[test]
    fn vp8_bytes(bytes in any::<[u8; MAX_LEN]>()) {
        // Reserved bits and short ids aside, the same descriptor comes back.
        let read = Descriptor::parse(&bytes).unwrap();
        let mut out = [0; MAX_LEN];
        let len = read.write(&mut out);
        let long = Descriptor { picture_id: read.picture_id.map(PictureId::to_long), len, ..read };
        prop_assert_eq!(Descriptor::parse(&out[..len]), Ok(long));
    }

    #[test]
    fn vp9_descriptors(
        [inter_predicted, flexible, start, end, not_a_reference, switching_up, inter_layer] in any::<[bool; 7]>(),
        (id, layer, tl0, references) in (any::<Option<u16>>(), any::<Option<(u8, u8)>>(), any::<u8>(), vec(0..128u8, 1..4)),
    ) {
        let layer = layer.map(|(temporal_id, spatial_id)| vp9::Layer {
            temporal_id: temporal_id & 7,
            switching_up,
            spatial_id: spatial_id & 7,
            inter_layer,
            tl0_pic_idx: (!flexible).then_some(tl0),
        });
        let references = if flexible && inter_predicted { &references[..] } else { &[] };
        let mut descriptor = vp9::Descriptor {
            picture_id: id.map(|id| PictureId::Long(id & 0x7fff)),
            inter_predicted,
            flexible,
            start,
            end,
            not_a_reference,
            layer,
            references: vp9::References::new(references).unwrap(),
            structure: None,
            len: 0,
        };
        let mut out = [0xff; vp9::MAX_LEN];
        descriptor.len = descriptor.write(&mut out);
        prop_assert_eq!(vp9::Descriptor::parse(&out[..descriptor.len]), Ok(descriptor));
    }

    #[test]
    fn dependency_structures(structure in structures(), parts in any::<(bool, bool, u8, u16, Option<u32>)>()) {
        let (is_start, is_end, template, number, mask) = parts;
        let descriptor = dependency::Descriptor {
            structure: Some(structure.clone()),
            ..dependency_descriptor(&structure, (is_start, is_end, template, number, mask, None, None, None))
        };
        let mut out = [0xff; 1024];
        let len = descriptor.write(None, &mut out);
        prop_assert_eq!(dependency::Descriptor::parse(&out[..len], None), Ok(descriptor));
    }

    #[test]
    fn dependency_descriptors(
        structure in structures(),
        head in any::<(bool, bool, u8, u16)>(),
        mask in any::<Option<u32>>(),
        dtis in any::<Option<u64>>(),
        frame_diffs in proptest::option::of(vec(1..=4096u16, 0..=16)),
        chain_diffs in any::<Option<[u8; 32]>>(),
        (number, active) in any::<(u16, u32)>(),
    ) {
        let (is_start, is_end, template, frame_number) = head;
        let parts = (is_start, is_end, template, frame_number, mask, dtis, frame_diffs, chain_diffs);
        let mut descriptor = dependency_descriptor(&structure, parts);
        let mut out = [0xff; 256];
        let len = descriptor.write(Some(&structure), &mut out);
        let (read, layout) = dependency::Descriptor::read(&out[..len], Some(&structure)).unwrap();
        prop_assert_eq!(&read, &descriptor);

        // What is changed in the bytes is what would have been written.
        let mut changed = [0xff; 256];
        let changed_len = layout.rewrite(&out[..len], number, Some(active), &mut changed);
        descriptor.mandatory.frame_number = number;
        descriptor.active_decode_targets = Some(active & structure.all_decode_targets());
        let len = descriptor.write(Some(&structure), &mut out);
        prop_assert_eq!(&changed[..changed_len], &out[..len]);
    }

    #[test]
    fn layers_allocations(allocation in allocations()) {
        let mut out = [0xff; layers_allocation::MAX_LEN];
        let len = allocation.write(&mut out);
        prop_assert_eq!(LayersAllocation::parse(&out[..len]), Ok(allocation));
    }

    #[test]
    fn redundant_audio(
        payload_type in 0..128u8,
        earlier in vec((0..128u8, 0..=red::MAX_OFFSET, vec(any::<u8>(), 0..40)), 0..red::MAX_BLOCKS),
        data in vec(any::<u8>(), 0..40),
    ) {
        let primary = red::Block { payload_type, timestamp_offset: 0, data: &data };
        let earlier: Vec<_> = earlier
            .iter()
            .map(|(payload_type, offset, data)| {
                red::Block { payload_type: *payload_type, timestamp_offset: *offset, data }
            })
            .collect();
        let mut out = [0xff; 512];
        let len = red::write(&earlier, primary, &mut out);
        let blocks = red::Blocks::parse(&out[..len]).unwrap();
        prop_assert_eq!((blocks.redundant(), blocks.primary()), (&earlier[..], primary));
    }

    #[test]
    fn rtp_headers(
        words in any::<[u32; 2]>(),
        (marker, payload_type, sequence, csrc) in (any::<bool>(), 0..128u8, any::<u16>(), any::<Option<u32>>()),
        elements in vec((1..=255u8, vec(any::<u8>(), 0..20)), 0..8),
        payload in vec(any::<u8>(), 0..8),
    ) {
        let header = RtpHeader { marker, payload_type, sequence, timestamp: words[0], ssrc: words[1], csrc };
        let mut out = [0xff; 256];
        let len = header.write(&mut out, |writer| {
            for (id, data) in &elements {
                assert!(writer.push(*id, data), "there is room for all");
            }
        });
        let bytes = [&out[..len], &payload].concat();
        let packet = RtpPacket::parse(&bytes).unwrap();
        let csrc = packet.csrcs().next();
        let RtpPacket { marker, payload_type, sequence, timestamp, ssrc, .. } = packet;
        prop_assert_eq!(RtpHeader { marker, payload_type, sequence, timestamp, ssrc, csrc }, header);
        prop_assert_eq!((packet.header_len, packet.payload), (len, &payload[..]));
        let found: Vec<_> = packet.extensions().map(|(id, data)| (id, data.to_vec())).collect();
        prop_assert_eq!(found, elements);
    }

    #[test]
    fn elements_in_little_room(
        elements in vec((any::<u8>(), vec(any::<u8>(), 0..18)), 0..10),
        room in 0..64usize,
    ) {
        let mut out = [0xa5; 80];
        let mut writer = ExtensionWriter::new(&mut out[..room]);
        let kept: Vec<_> = elements.into_iter().filter(|(id, data)| writer.push(*id, data)).collect();
        let len = writer.finish();
        prop_assert!(len <= room && len.is_multiple_of(4));
        prop_assert!(out[len.max(room)..].iter().all(|&byte| byte == 0xa5));
        let found = match out[..len].split_first_chunk() {
            Some((&[a, b, _, words], elements)) => {
                prop_assert_eq!(usize::from(words) * 4 + 4, len);
                Extensions::new(u16::from_be_bytes([a, b]), elements).map(|(id, data)| (id, data.to_vec())).collect()
            }
            None => Vec::new(),
        };
        prop_assert_eq!(found, kept);
    }

    #[test]
    fn reports(words in any::<[u32; 4]>(), ntp in any::<u64>(), blocks in vec(blocks(), 0..31)) {
        let [ssrc, rtp_timestamp, packet_count, octet_count] = words;
        let info = SenderInfo { ssrc, ntp: NtpTime(ntp), rtp_timestamp, packet_count, octet_count };
        let mut out = Vec::new();
        Writer::new(&mut out).sender_report(&info, &blocks);
        let Some(Ok(Packet::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count, reports })) =
            packets(&out).next()
        else {
            return Err(TestCaseError::fail("no sender report"));
        };
        prop_assert_eq!(SenderInfo { ssrc, ntp, rtp_timestamp, packet_count, octet_count }, info);
        prop_assert_eq!(reports.collect::<Vec<_>>(), blocks);
    }

    #[test]
    fn nacks(first in any::<u16>(), gaps in vec(1..40u16, 0..300)) {
        let mut lost = vec![first];
        // At most 12,000 on from the first: the order is plain.
        lost.extend(gaps.iter().scan(first, |at, gap| { *at = at.wrapping_add(*gap); Some(*at) }));
        let mut out = Vec::new();
        Writer::new(&mut out).nack(1, 2, &lost);
        let mut found = Vec::new();
        for packet in packets(&out) {
            let Ok(Packet::Nack { lost, .. }) = packet else { return Err(TestCaseError::fail("no nack")) };
            found.extend(lost);
        }
        prop_assert_eq!(found, lost);
    }

    #[test]
    fn other_feedback(rate in any::<u64>(), shift in 0..64u32, ssrcs in vec(any::<u32>(), 0..20), name in "\\PC{0,100}") {
        let rate = rate >> shift;
        let entries: Vec<_> = ssrcs.iter().map(|&ssrc| FirEntry { ssrc, sequence: ssrc as u8 }).collect();
        let mut out = Vec::new();
        Writer::new(&mut out).remb(1, rate, &ssrcs).sdes_cname(5, &name).fir(1, &entries);
        for packet in packets(&out) {
            match packet {
                Ok(Packet::Remb { bitrate_bps, ssrcs: found, .. }) => {
                    prop_assert!(bitrate_bps <= rate && rate - bitrate_bps <= rate >> 17);
                    prop_assert!(found.eq(ssrcs.iter().copied()));
                }
                Ok(Packet::SourceDescription { mut chunks }) => {
                    let cname = chunks.next().and_then(|chunk| chunk.cname);
                    prop_assert!(cname.is_some_and(|cname| name.starts_with(cname) && cname.len() >= name.len().min(252)));
                }
                Ok(Packet::FullIntra { entries: found, .. }) => prop_assert!(found.eq(entries.iter().copied())),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }

    #[test]
    fn transport_feedback(
        base in any::<u16>(),
        start in 0..1_000_000_000u64,
        steps in vec((0..10u8, -20_000..40_000i64, 0..20u8), 1..700),
    ) {
        let mut now = start + 20_000_000;
        let mut arrivals = Vec::new();
        for (fate, step, jump) in steps {
            now = now.saturating_add_signed(step);
            now += if jump == 0 { 9_000_000 } else { 0 };
            arrivals.push((fate > 2).then_some(now));
        }
        arrivals.push(Some(now));
        let mut out = Vec::new();
        Writer::new(&mut out).twcc(1, 2, 0, base, &arrivals);
        let mut found = Vec::new();
        let mut expected_sequence = base;
        for packet in packets(&out) {
            let Ok(Packet::TransportFeedback(feedback)) = packet else {
                return Err(TestCaseError::fail("no feedback"));
            };
            for (sequence, arrival) in feedback.statuses() {
                prop_assert_eq!(sequence, expected_sequence);
                expected_sequence = sequence.wrapping_add(1);
                found.push(arrival.map(|micros| (feedback.reference_micros() + micros) as u64));
            }
        }
        let rounded: Vec<_> = arrivals.iter().map(|arrival| arrival.map(|micros| micros / 250 * 250)).collect();
        prop_assert_eq!(found, rounded);
    }

    #[test]
    fn unwrapped_numbers(start in any::<u16>(), steps in vec(-30_000..32_000i64, 0..50)) {
        let mut unwrapper = Unwrapper16::new();
        let first = unwrapper.unwrap(start);
        let mut highest = first;
        for step in steps {
            // Any number within half the range of the highest comes back whole.
            let Some(number) = highest.checked_add_signed(step).filter(|&number| number + 30_000 > first) else { continue };
            prop_assert_eq!(unwrapper.unwrap(number as u16), number);
            highest = highest.max(number);
        }
    }

    #[test]
    fn values_of_elements(
        (sequence, min, max) in (any::<u16>(), 0..4096u16, 0..4096u16),
        (voice, level, orientation) in (any::<bool>(), 0..128u8, any::<u8>()),
        (captured, offset) in (any::<u64>().prop_map(NtpTime), any::<i64>()),
    ) {
        prop_assert_eq!(ext::read_transport_sequence(&ext::transport_sequence(sequence)), Some(sequence));
        prop_assert_eq!(ext::read_playout_delay(&ext::playout_delay(min, max)), Some((min, max)));
        prop_assert_eq!(ext::read_audio_level(&ext::audio_level(voice, level)), Some((voice, level)));
        prop_assert_eq!(ext::read_video_orientation(&ext::video_orientation(orientation)), Some(orientation));
        let capture = ext::abs_capture_time(captured, offset);
        prop_assert_eq!(ext::read_abs_capture_time(&capture), Some((captured, Some(offset))));
        let short = ext::short_abs_capture_time(captured);
        prop_assert_eq!(ext::read_abs_capture_time(&short), Some((captured, None)));
        let left = ext::abs_send_time(captured);
        prop_assert_eq!(ext::read_abs_send_time(&left), Some(captured.abs_send_time()));
    }

    #[test]
    fn h264_units(units in vec((any::<u8>(), vec(any::<u8>(), 0..40)), 1..6), at in any::<usize>()) {
        // Types that stand for a single unit.
        let units: Vec<_> = units
            .into_iter()
            .map(|(header, body)| [&[header & 0xe0 | (header % 23 + 1)][..], &body].concat())
            .collect();
        let slices: Vec<_> = units.iter().map(Vec::as_slice).collect();
        let mut out = [0xff; 512];
        let len = h264::write_aggregate(&slices, &mut out);
        let found: Vec<_> = h264::Units::new(&out[..len]).map(|unit| unit.bytes).collect();
        prop_assert_eq!(&found, &slices);

        let (header, body) = (units[0][0], &units[0][1..]);
        let (first, last) = body.split_at(at % (body.len() + 1));
        let mut whole = vec![header];
        for (is_start, part) in [(true, first), (false, last)] {
            let payload = [&h264::fragment_head(header, is_start, !is_start)[..], part].concat();
            let unit = h264::Units::new(&payload).next().unwrap();
            prop_assert_eq!((unit.is_start, unit.is_end, unit.bytes), (is_start, !is_start, part));
            prop_assert_eq!((unit.unit_type, unit.reference_idc), (header & 0x1f, header >> 5 & 3));
            whole.extend_from_slice(unit.bytes);
        }
        prop_assert_eq!(&whole, &units[0]);
    }

    #[test]
    fn av1_headers((continues, continued, starts) in any::<(bool, bool, bool)>(), element_count in 0..4u8) {
        let starts_sequence = starts && !continues;
        let header = av1::AggregationHeader { continues, continued, element_count, starts_sequence };
        prop_assert_eq!(av1::AggregationHeader::parse(&[header.to_byte()]), Ok(header));
    }

    #[test]
    fn retransmissions(sequence in any::<u16>(), payload in vec(any::<u8>(), 0..40)) {
        let mut out = [0xff; 64];
        let len = rtx::write(sequence, &payload, &mut out);
        prop_assert_eq!(rtx::split(&out[..len]), Some((sequence, &payload[..])));
    }

    #[test]
    fn receiver_reports(ssrc in any::<u32>(), blocks in vec(blocks(), 0..70)) {
        let mut out = Vec::new();
        Writer::new(&mut out).receiver_report(ssrc, &blocks);
        let mut found = Vec::new();
        for packet in packets(&out) {
            let Ok(Packet::ReceiverReport { ssrc: from, reports }) = packet else {
                return Err(TestCaseError::fail("no receiver report"));
            };
            prop_assert_eq!(from, ssrc);
            found.extend(reports);
        }
        prop_assert_eq!(found, blocks);
    }

    #[test]
    fn goodbyes(ssrcs in vec(any::<u32>(), 0..70)) {
        let mut out = Vec::new();
        Writer::new(&mut out).goodbye(&ssrcs);
        let mut found = Vec::new();
        for packet in packets(&out) {
            let Ok(Packet::Goodbye { ssrcs, reason: None }) = packet else { return Err(TestCaseError::fail("no bye")) };
            found.extend(ssrcs);
        }
        prop_assert_eq!(found, ssrcs);
    }

    #[test]
    fn picture_losses_and_extended_reports(
        (sender_ssrc, media_ssrc, ntp) in (any::<u32>(), any::<u32>(), any::<u64>().prop_map(NtpTime)),
        answers in vec(any::<[u32; 3]>(), 1..40),
    ) {
        let answer = |[ssrc, last_receiver_report, delay_since_last]: [u32; 3]| {
            Dlrr { ssrc, last_receiver_report, delay_since_last }
        };
        let answers: Vec<_> = answers.into_iter().map(answer).collect();
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.pli(sender_ssrc, media_ssrc).receiver_reference_time(sender_ssrc, ntp).dlrr(sender_ssrc, &answers);
        let mut compound = packets(&out);
        prop_assert_eq!(compound.next(), Some(Ok(Packet::PictureLoss { sender_ssrc, media_ssrc })));
        let mut found = Vec::new();
        for packet in compound {
            let Ok(Packet::ExtendedReport { ssrc, blocks }) = packet else {
                return Err(TestCaseError::fail("no extended report"));
            };
            prop_assert_eq!(ssrc, sender_ssrc);
            for block in blocks {
                match block {
                    XrBlock::ReceiverReferenceTime(sent) => prop_assert_eq!(sent, ntp),
                    XrBlock::DelaySinceLast(some) => found.extend(some),
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
            }
        }
        prop_assert_eq!(found, answers);
    }
}
