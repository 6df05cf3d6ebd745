//! Tables for each packet type, and for what is refused.

use super::*;

fn read(compound: &[u8]) -> Vec<Result<Packet<'_>, ParseError>> {
    packets(compound).collect()
}

/// The only packet of a compound.
#[track_caller]
fn one(compound: &[u8]) -> Packet<'_> {
    let mut all = read(compound);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).unwrap()
}

fn write(body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    body(&mut Writer::new(&mut out));
    assert!(out.len().is_multiple_of(4));
    out
}

fn block(ssrc: u32, cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 64,
        cumulative_lost,
        highest_sequence: 0x0001_fffe,
        jitter: 12,
        last_sender_report: 0xb705_2000,
        delay_since_last: 0x0005_4000,
    }
}

#[test]
fn a_sender_report_stands_as_in_rfc_3550_6_4_1() {
    let info = SenderInfo {
        ssrc: 0x1111_1111,
        ntp: NtpTime(0x2222_2222_3333_3333),
        rtp_timestamp: 0x4444_4444,
        packet_count: 5,
        octet_count: 6,
    };
    let out = write(|writer| {
        writer.sender_report(&info, &[block(7, -2)]);
    });
    assert_eq!(out[..8], [0x81, 200, 0, 12, 0x11, 0x11, 0x11, 0x11]);
    assert_eq!(out[28..36], [0, 0, 0, 7, 64, 0xff, 0xff, 0xfe], "the loss has 24 bits with a sign");
    let Packet::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count, reports } = one(&out) else {
        panic!("no sender report");
    };
    assert_eq!(SenderInfo { ssrc, ntp, rtp_timestamp, packet_count, octet_count }, info);
    assert_eq!(reports.collect::<Vec<_>>(), [block(7, -2)]);
}

#[test]
fn the_cumulative_loss_is_clamped_to_24_bits() {
    for (lost, expected) in [(0x7f_ffff, 0x7f_ffff), (0x80_0000, 0x7f_ffff), (-0x80_0000, -0x80_0000)] {
        let out = write(|writer| {
            writer.receiver_report(1, &[block(2, lost)]);
        });
        let Packet::ReceiverReport { ssrc: 1, mut reports } = one(&out) else { panic!("no receiver report") };
        assert_eq!(reports.next(), Some(block(2, expected)));
    }
    let out = write(|writer| {
        writer.receiver_report(1, &[block(2, i32::MIN)]);
    });
    let Packet::ReceiverReport { mut reports, .. } = one(&out) else { panic!("no receiver report") };
    assert_eq!(reports.next(), Some(block(2, -0x80_0000)));
}

#[test]
fn reports_beyond_31_go_into_further_packets() {
    let blocks: Vec<_> = (0..70).map(|ssrc| block(ssrc, 0)).collect();
    let out = write(|writer| {
        writer.sender_report(&SenderInfo { ssrc: 9, ..SenderInfo::default() }, &blocks);
    });
    let mut counts = Vec::new();
    let mut found = Vec::new();
    for packet in packets(&out) {
        let (Packet::SenderReport { ssrc: 9, reports, .. } | Packet::ReceiverReport { ssrc: 9, reports }) =
            packet.unwrap()
        else {
            panic!("no report");
        };
        counts.push(reports.clone().count());
        found.extend(reports);
    }
    assert_eq!(counts, [31, 31, 8]);
    assert_eq!(found, blocks);
    let empty = write(|writer| {
        writer.receiver_report(9, &[]);
    });
    assert_eq!(empty, [0x80, 201, 0, 1, 0, 0, 0, 9]);
}

#[test]
fn a_description_names_its_source_whatever_the_length() {
    for len in 0..=300 {
        let cname = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
        let out = write(|writer| {
            writer.sdes_cname(3, &cname);
        });
        let Packet::SourceDescription { chunks } = one(&out) else { panic!("no description") };
        let cut = cname.get(..cname.floor_char_boundary(255)).unwrap();
        assert_eq!(chunks.collect::<Vec<_>>(), [SourceChunk { ssrc: 3, cname: Some(cut) }]);
    }
}

#[test]
fn a_description_may_have_many_chunks_and_items() {
    // Chunk 1: TOOL "abc", CNAME "x". Chunk 2: nothing. Chunk 3: CNAME that is no text.
    let body = [
        &[0, 0, 0, 1, 6, 3, b'a', b'b', b'c', 1, 1, b'x', 0, 0, 0, 0][..],
        &[0, 0, 0, 2, 0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 1, 0xff, 0],
    ]
    .concat();
    let packet = [&[0x83, 202, 0, 8][..], &body].concat();
    let Packet::SourceDescription { chunks } = one(&packet) else { panic!("no description") };
    let expected = [(1, Some("x")), (2, None), (3, None)].map(|(ssrc, cname)| SourceChunk { ssrc, cname });
    assert_eq!(chunks.collect::<Vec<_>>(), expected);

    let mut cut = packet.clone();
    cut[0] = 0x84;
    assert_eq!(read(&cut), [Err(ParseError::Truncated)], "four chunks are promised");
    let unended = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'x', b'y'];
    assert_eq!(read(&unended), [Err(ParseError::Truncated)], "the items do not end");
}

#[test]
fn a_goodbye_names_sources_and_perhaps_a_reason() {
    let out = write(|writer| {
        writer.goodbye(&[1, 2]);
    });
    let Packet::Goodbye { ssrcs, reason: None } = one(&out) else { panic!("no goodbye") };
    assert_eq!(ssrcs.collect::<Vec<_>>(), [1, 2]);
    let with_reason = [0x81, 203, 0, 2, 0, 0, 0, 1, 3, b'b', b'y', b'e'];
    assert!(matches!(one(&with_reason), Packet::Goodbye { reason: Some(b"bye"), .. }));
    let cut_reason = [0x81, 203, 0, 2, 0, 0, 0, 1, 4, b'b', b'y', b'e'];
    assert_eq!(read(&cut_reason), [Err(ParseError::Truncated)]);
    assert!(
        write(|writer| {
            writer.goodbye(&[]);
        })
        .is_empty()
    );
}

fn nacked(lost: &[u16]) -> (usize, Vec<u16>) {
    let out = write(|writer| {
        writer.nack(1, 2, lost);
    });
    let mut found = Vec::new();
    for packet in packets(&out) {
        let Packet::Nack { sender_ssrc: 1, media_ssrc: 2, lost } = packet.unwrap() else { panic!("no nack") };
        found.extend(lost);
    }
    (out.len(), found)
}

#[test]
fn a_nack_packs_seventeen_numbers_into_an_entry() {
    let table: [(&[u16], usize); 7] = [
        (&[5], 1),
        (&[5, 6, 21], 1),
        (&[5, 22], 2),
        (&[65_530, 65_535, 0, 10], 1),
        (&[65_530, 11], 2),
        (&[1, 100, 200, 300], 4),
        (&[0, 32_768], 2),
    ];
    for (lost, entries) in table {
        assert_eq!(nacked(lost), (12 + 4 * entries, lost.to_vec()));
    }
    let run: Vec<u16> = (65_500..=65_535).chain(0..=10).collect();
    assert_eq!(nacked(&run), (12 + 4 * 3, run.clone()), "47 numbers");
    assert_eq!(nacked(&[]), (0, vec![]));
    assert_eq!(nacked(&[7, 7, 8, 8]).1, [7, 8], "repeats are told once");
}

#[test]
fn a_long_nack_becomes_several_packets() {
    let sparse: Vec<u16> = (0..3_000).map(|index| index * 20).collect();
    let (len, found) = nacked(&sparse);
    assert_eq!(found, sparse);
    assert_eq!(len, 12 * 12 + 4 * 3_000, "250 entries in each of 12");
}

#[test]
fn a_nack_reads_as_in_rfc_4585_6_2_1() {
    let nack = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01, 0, 9, 0, 0];
    let Packet::Nack { lost, .. } = one(&nack) else { panic!("no nack") };
    assert_eq!(lost.collect::<Vec<_>>(), [65_535, 0, 15, 9]);
}

#[test]
fn keyframes_are_asked_for_by_pli_and_fir() {
    let entries = [FirEntry { ssrc: 5, sequence: 255 }, FirEntry { ssrc: 6, sequence: 0 }];
    let out = write(|writer| {
        writer.pli(1, 2).fir(1, &entries);
    });
    assert_eq!(out[..12], [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(out[12..], [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 255, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0]);
    let both = read(&out);
    assert_eq!(both[0], Ok(Packet::PictureLoss { sender_ssrc: 1, media_ssrc: 2 }));
    let Ok(Packet::FullIntra { sender_ssrc: 1, entries: found }) = both[1].clone() else { panic!("no fir") };
    assert_eq!(found.collect::<Vec<_>>(), entries);
}

#[test]
fn a_remb_keeps_eighteen_bits_of_the_rate() {
    let table = [
        (0, 0),
        (262_143, 262_143),
        (262_145, 262_144),
        (1_000_000, 1_000_000),
        (8_927_168, 8_927_168),
        (u64::MAX, 0x3_ffff << 46),
    ];
    for (rate, expected) in table {
        let out = write(|writer| {
            writer.remb(1, rate, &[2, 3]);
        });
        let Packet::Remb { sender_ssrc: 1, bitrate_bps, ssrcs } = one(&out) else { panic!("no remb") };
        assert_eq!(bitrate_bps, expected, "written as {rate}");
        assert_eq!(ssrcs.collect::<Vec<_>>(), [2, 3]);
    }
}

#[test]
fn a_remb_of_libwebrtc_is_read() {
    // From its unit test: 1 SSRC, exponent 5, mantissa 0x3fbd9 = 8,353,568 bit/s.
    let remb = [
        0x8f, 206, 0, 5, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x17, 0xfb, 0xd9, 0x23, 0x45,
        0x67, 0x89,
    ];
    let Packet::Remb { sender_ssrc, bitrate_bps, mut ssrcs } = one(&remb) else { panic!("no remb") };
    assert_eq!((sender_ssrc, bitrate_bps, ssrcs.next()), (0x1234_5678, 0x3_fbd9 << 5, Some(0x2345_6789)));
    let mut broken = remb;
    broken[17] = 0xff;
    assert_eq!(read(&broken), [Err(ParseError::Forbidden)], "the rate exceeds 64 bits");
    broken = remb;
    broken[16] = 2;
    assert_eq!(read(&broken), [Err(ParseError::Truncated)], "one source of two");
    broken = remb;
    broken[12] = b'A';
    assert!(matches!(one(&broken), Packet::Unknown { packet_type: 206, count: 15, .. }), "another application");
}

#[test]
fn extended_reports_ask_for_and_answer_the_round_trip() {
    let answers = [1, 2].map(|ssrc| Dlrr { ssrc, last_receiver_report: 3, delay_since_last: 4 });
    let out = write(|writer| {
        writer.receiver_reference_time(9, NtpTime(0x0102_0304_0506_0708)).dlrr(8, &answers);
    });
    assert_eq!(out[..20], [0x80, 207, 0, 4, 0, 0, 0, 9, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    let both = read(&out);
    let Ok(Packet::ExtendedReport { ssrc: 9, blocks }) = both[0].clone() else { panic!("no report") };
    assert_eq!(blocks.collect::<Vec<_>>(), [XrBlock::ReceiverReferenceTime(NtpTime(0x0102_0304_0506_0708))]);
    let Ok(Packet::ExtendedReport { ssrc: 8, mut blocks }) = both[1].clone() else { panic!("no report") };
    let Some(XrBlock::DelaySinceLast(found)) = blocks.next() else { panic!("no answers") };
    assert_eq!(found.collect::<Vec<_>>(), answers);
    assert_eq!(blocks.next(), None);
}

#[test]
fn blocks_of_a_wrong_length_are_refused_and_unknown_ones_passed_over() {
    let unknown_first = [0x80, 207, 0, 6, 0, 0, 0, 9, 77, 0, 0, 1, 0, 0, 0, 0, 4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let Packet::ExtendedReport { blocks, .. } = one(&unknown_first) else { panic!("no report") };
    let expected = [XrBlock::Unknown { block_type: 77 }, XrBlock::ReceiverReferenceTime(NtpTime(1 << 32 | 2))];
    assert_eq!(blocks.collect::<Vec<_>>(), expected);
    for (block_type, error) in [(4, ParseError::Forbidden), (5, ParseError::Forbidden)] {
        let wrong = [0x80, 207, 0, 3, 0, 0, 0, 9, block_type, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(read(&wrong), [Err(error)]);
    }
    assert_eq!(read(&[0x80, 207, 0, 2, 0, 0, 0, 9, 4, 0, 0, 2]), [Err(ParseError::Truncated)]);
}

#[test]
fn a_compound_is_read_packet_by_packet() {
    let out = write(|writer| {
        writer.receiver_report(1, &[]).sdes_cname(1, "a").pli(1, 2);
        assert!(!writer.is_empty());
    });
    assert_eq!(read(&out).len(), 3);
    assert!(read(&out).iter().all(Result::is_ok));
    assert!(read(&[]).is_empty());
}

#[test]
fn a_bad_body_costs_one_packet_and_a_bad_header_the_rest() {
    let pli = write(|writer| {
        writer.pli(1, 2);
    });
    let compound = |first: &[u8]| [first, &pli].concat();
    let short_nack = compound(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let found = read(&short_nack);
    assert_eq!(found[0], Err(ParseError::Truncated), "no entry");
    assert!(found[1].is_ok());
    assert_eq!(read(&compound(&[0x41, 201, 0, 0])), [Err(ParseError::Version)]);
    assert_eq!(read(&[&pli[..], &[0x80, 201, 0]].concat())[1], Err(ParseError::Truncated));
    assert_eq!(read(&pli[..8]), [Err(ParseError::Truncated)]);
    assert_eq!(read(&compound(&[0x82, 201, 0, 1, 0, 0, 0, 1]))[0], Err(ParseError::Truncated), "two blocks promised");
}

#[test]
fn padding_is_taken_off() {
    let padded = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    assert_eq!(one(&padded), Packet::PictureLoss { sender_ssrc: 1, media_ssrc: 2 });
    for count in [0, 13] {
        let mut wrong = padded;
        wrong[15] = count;
        assert_eq!(read(&wrong), [Err(ParseError::Padding)]);
    }
    assert_eq!(read(&[0xa0, 201, 0, 0]), [Err(ParseError::Padding)]);
}

#[test]
fn unknown_packets_are_passed_over() {
    let app = [0x85, 204, 0, 1, 1, 2, 3, 4];
    assert_eq!(one(&app), Packet::Unknown { packet_type: 204, count: 5, body: &[1, 2, 3, 4] });
}

#[test]
fn congestion_feedback_is_read_where_rfc_8888_puts_it() {
    let body = |streams: &[u8]| [&[0, 0, 0, 1][..], streams, &[0x12, 0x34, 0x56, 0x78]].concat();
    let packet = |body: &[u8]| [&[0x8b, 205, 0, (body.len() / 4) as u8][..], body].concat();
    let streams = [
        &[0, 0, 0, 2, 0xff, 0xff, 0, 3, 0x80, 0x10, 0, 0, 0xbf, 0xfe, 0, 0][..],
        &[0, 0, 0, 3, 0, 1, 0, 2, 0x80, 0x01, 0xff, 0xff],
        &[0, 0, 0, 4, 0, 9, 0, 0],
    ];
    let bytes = packet(&body(&streams.concat()));
    let Some(Ok(Packet::CongestionFeedback(feedback))) = packets(&bytes).next() else { panic!("{bytes:02x?}") };
    assert_eq!((feedback.sender_ssrc, feedback.report_timestamp), (1, 0x1234_5678));
    let found: Vec<_> = feedback.streams().map(|stream| (stream.ssrc, stream.arrivals().collect::<Vec<_>>())).collect();
    let arrival = |ecn, offset| Some(Arrival { ecn, offset });
    let expected = [
        (2, vec![(0xffff, arrival(0, ArrivalOffset::Exactly(16))), (0, None), (1, arrival(1, ArrivalOffset::Over))]),
        (3, vec![(1, arrival(0, ArrivalOffset::Exactly(1))), (2, arrival(3, ArrivalOffset::Unknown))]),
        (4, vec![]),
    ];
    assert_eq!(found, expected);

    let check = |body: &[u8], error| assert_eq!(packets(&packet(body)).next(), Some(Err(error)), "{body:02x?}");
    check(&[0, 0, 0, 1], ParseError::Truncated);
    check(&body(&[0, 0, 0, 2]), ParseError::Truncated);
    check(&body(&[0, 0, 0, 2, 0, 1, 0, 3, 0x80, 0, 0x80, 0]), ParseError::Truncated);
    check(&body(&[0, 0, 0, 2, 0, 1, 0x40, 1]), ParseError::Forbidden);
}
