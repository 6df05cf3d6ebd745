//! What is written reads the same.

use proptest::collection::vec;
use proptest::prelude::*;
use roundtable_wire::ext::{ExtensionWriter, Extensions};
use roundtable_wire::rtcp::{FirEntry, Packet, ReportBlock, SenderInfo, Writer, packets};
use roundtable_wire::vp8::{Descriptor, MAX_LEN, PictureId};
use roundtable_wire::{NtpTime, RtpHeader, RtpPacket, Unwrapper16};

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
}
