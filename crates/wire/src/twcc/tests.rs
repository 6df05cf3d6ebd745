//! Tables for the chunks that are read, the chunks that are chosen, and the splitting of messages.

use super::*;
use crate::ParseError;
use crate::rtcp::{Packet, Writer, packets};

const MS: u64 = 1_000;

/// The body of a message on the numbers from 100 with reference time 2 (128 ms) and the given chunks and deltas.
fn body(count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 2, 0, 100];
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 2, 7]);
    chunks.iter().for_each(|chunk| bytes.extend_from_slice(&chunk.to_be_bytes()));
    bytes.extend_from_slice(deltas);
    bytes
}

/// The arrivals a message tells, in units of a delta.
fn ticks(body: &[u8]) -> Result<Vec<Option<i64>>, ParseError> {
    let feedback = Feedback::parse(body)?;
    let mut expected = feedback.base_sequence;
    let mut found = Vec::new();
    for (sequence, arrival) in feedback.statuses() {
        assert_eq!(sequence, expected);
        expected = expected.wrapping_add(1);
        found.push(arrival.map(|micros| micros / 250));
    }
    assert_eq!(found.len(), usize::from(feedback.status_count));
    Ok(found)
}

#[test]
fn the_fixed_part_is_read() {
    let mut bytes = body(1, &[0x2001], &[4]);
    let feedback = Feedback::parse(&bytes).unwrap();
    assert_eq!((feedback.sender_ssrc, feedback.media_ssrc), (1, 2));
    assert_eq!((feedback.base_sequence, feedback.status_count, feedback.feedback_count), (100, 1, 7));
    assert_eq!(feedback.reference_micros(), 128_000);
    assert_eq!(feedback.statuses().collect::<Vec<_>>(), [(100, Some(1_000))]);
    bytes[12..15].fill(0xff);
    assert_eq!(Feedback::parse(&bytes).unwrap().reference_time, -1, "24 bits with a sign");
}

#[test]
fn every_form_of_chunk_is_read() {
    // The draft's examples: a run of 221 lost ones, a run of 24 small ones (3.1.3).
    assert_eq!(ticks(&body(221, &[0x00dd], &[])), Ok(vec![None; 221]));
    assert_eq!(ticks(&body(24, &[0x2018], &[1; 24])).unwrap(), (1..=24).map(Some).collect::<Vec<_>>());
    // Its one-bit vector: one lost, five received, three lost, three received, two lost (3.1.4).
    let one_bit = ticks(&body(14, &[0x9f1c], &[1; 8])).unwrap();
    let expected = [0, 1, 2, 3, 4, 5, 0, 0, 0, 6, 7, 8, 0, 0].map(|tick| (tick > 0).then_some(tick));
    assert_eq!(one_bit, expected);
    // Two bits: lost, small, large, lost, small, lost, large.
    let two_bit = ticks(&body(7, &[0xc000 | 0b00_01_10_00_01_00_10], &[5, 0xff, 0xfe, 9, 1, 0])).unwrap();
    assert_eq!(two_bit, [None, Some(5), Some(3), None, Some(12), None, Some(268)]);
    // An empty run in between means nothing.
    assert_eq!(ticks(&body(2, &[0x2001, 0x2000, 0x0001], &[1])), Ok(vec![Some(1), None]));
}

#[test]
fn symbols_and_bytes_behind_the_last_status_are_ignored() {
    assert_eq!(ticks(&body(2, &[0x2008], &[1, 1])), Ok(vec![Some(1), Some(2)]));
    assert_eq!(ticks(&body(2, &[0xbfff], &[1, 1, 0, 0])), Ok(vec![Some(1), Some(2)]));
    assert_eq!(ticks(&body(1, &[0xc000 | 0b01_11_11_11_11_11_11], &[1])), Ok(vec![Some(1)]));
}

#[test]
fn messages_that_do_not_add_up_are_refused() {
    assert_eq!(ticks(&body(0, &[0x2001], &[1])), Err(ParseError::Forbidden), "no status");
    assert_eq!(ticks(&body(4097, &[0x1001], &[])), Err(ParseError::Forbidden), "more than a history holds");
    assert_eq!(ticks(&body(4096, &[0x1000], &[])), Ok(vec![None; 4096]));
    assert_eq!(ticks(&body(1, &[0x6001], &[1, 1])), Err(ParseError::Forbidden), "the reserved symbol in a run");
    assert_eq!(ticks(&body(2, &[0xf000], &[1; 4])), Err(ParseError::Forbidden), "and in a vector");
    assert_eq!(ticks(&body(3, &[0x2003], &[1, 1])), Err(ParseError::Truncated), "a delta is missing");
    assert_eq!(ticks(&body(1, &[0x4001], &[1])), Err(ParseError::Truncated), "half a delta is missing");
    assert_eq!(ticks(&body(9, &[0x0008], &[])), Err(ParseError::Truncated), "a chunk is missing");
    assert_eq!(ticks(&body(1, &[], &[])), Err(ParseError::Truncated));
    assert_eq!(ticks(&body(1, &[], &[])[..15]), Err(ParseError::Truncated), "the fixed part is cut");
}

/// One message as our builder writes it, without header, sources and padding.
fn built(arrivals: &[Option<u64>]) -> Vec<u8> {
    let message = next_message(arrivals).unwrap();
    assert_eq!(usize::from(message.status_count()), arrivals.len(), "all go into one");
    let mut out = Vec::new();
    message.write(&mut out, 0x0102, 3);
    out
}

#[test]
fn the_builder_writes_what_the_draft_shows() {
    let out = built(&[Some(128 * MS + 1_000), None, Some(128 * MS + 2_000)]);
    assert_eq!(out[..8], [1, 2, 0, 3, 0, 0, 2, 3]);
    assert_eq!(out[8..], [0xa8, 0x00, 4, 4], "a one-bit vector and two deltas of 1 ms");
}

#[test]
fn the_builder_chooses_the_chunk_that_holds_most() {
    let chunks = |symbols: &[(u8, usize)]| -> Vec<u16> {
        let mut now = 128 * MS;
        let mut arrivals = Vec::new();
        let mut delta_len = 0;
        for &(symbol, count) in symbols {
            for _ in 0..count {
                now += [0, 1, 100][usize::from(symbol)] * MS;
                arrivals.push((symbol > 0).then_some(now));
                delta_len += usize::from(symbol);
            }
        }
        let out = built(&arrivals);
        out[8..out.len() - delta_len].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    };
    assert_eq!(chunks(&[(1, 1)]), [0x2001], "a run of one");
    assert_eq!(chunks(&[(1, 300)]), [0x212c], "one long run");
    assert_eq!(chunks(&[(1, 14), (0, 14)]), [0x200e, 0x000e], "two runs as long as a vector");
    assert_eq!(chunks(&[(0, 1), (1, 5), (0, 3), (1, 3), (0, 2)]), [0x9f1c], "the draft's one-bit vector");
    assert_eq!(chunks(&[(1, 1), (2, 1), (0, 1), (1, 1), (1, 1), (0, 1), (1, 1)]), [0xd851], "a two-bit vector");
    assert_eq!(chunks(&[(1, 1), (2, 15)]), [0xdaaa, 0x4009], "a run of large ones behind a vector");
    assert_eq!(chunks(&[(1, 3), (0, 1)]), [0xb800], "a vector that ends early");
    assert_eq!(chunks(&[(1, 1), (0, 3_700), (1, 1)]).len(), 3, "a long gap costs one chunk");
}

/// Writes feedback and reads the arrivals back, each rounded down to 250 µs as on the wire.
fn round_trip(base: u16, arrivals: &[Option<u64>]) -> (u8, Vec<(u16, Option<u64>)>) {
    let mut out = Vec::new();
    let written = Writer::new(&mut out).twcc(1, 2, 250, base, arrivals);
    let mut found = Vec::new();
    for (index, packet) in packets(&out).enumerate() {
        let Ok(Packet::TransportFeedback(feedback)) = packet else { panic!("{packet:?}") };
        assert_eq!(feedback.feedback_count, 250u8.wrapping_add(index as u8));
        let reference = feedback.reference_micros();
        let absolute = |micros| (reference + micros) as u64;
        found.extend(feedback.statuses().map(|(sequence, arrival)| (sequence, arrival.map(absolute))));
    }
    (written, found)
}

fn expected(base: u16, arrivals: &[Option<u64>]) -> Vec<(u16, Option<u64>)> {
    let sequence = |index| base.wrapping_add(index as u16);
    let rounded = |micros: u64| micros / 250 * 250;
    arrivals.iter().enumerate().map(|(index, arrival)| (sequence(index), arrival.map(rounded))).collect()
}

#[test]
fn deltas_that_do_not_fit_start_another_message() {
    let limit = 0x7fff * 250;
    let table: [(&[Option<u64>], u8); 5] = [
        (&[Some(64_000), Some(64_000 + limit)], 1),
        (&[Some(64_000), Some(64_000 + limit + 250)], 2),
        (&[Some(limit + 64_250), None, Some(64_000)], 1),
        (&[Some(9_000 * MS), None, Some(100), Some(20_000 * MS)], 3),
        (&[None, None, Some(5 * MS)], 1),
    ];
    for (arrivals, messages) in table {
        assert_eq!(round_trip(65_534, arrivals), (messages, expected(65_534, arrivals)), "{arrivals:?}");
    }
}

#[test]
fn messages_stay_below_their_longest_length() {
    // Every other packet 100 ms late: only large deltas, each other one negative.
    let arrivals: Vec<_> = (0..2_000).map(|index| Some(1_000 * MS + index * MS + index % 2 * 100 * MS)).collect();
    let mut out = Vec::new();
    let written = Writer::new(&mut out).twcc(1, 2, 0, 0, &arrivals);
    assert!(written >= 4);
    let mut rest = &out[..];
    while !rest.is_empty() {
        let len = 4 * (1 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        assert!(len <= MAX_MESSAGE_LEN);
        rest = &rest[len..];
    }
    assert_eq!(round_trip(7, &arrivals), (written, expected(7, &arrivals)));
}

#[test]
fn feedback_on_nothing_is_not_written() {
    assert_eq!(round_trip(5, &[]), (0, vec![]));
    assert_eq!(round_trip(5, &[None; 20]), (0, vec![]), "there is no time to refer to");
}

#[test]
fn a_gap_longer_than_a_message_is_passed_over() {
    let mut arrivals = vec![None; 10_000];
    arrivals[0] = Some(64 * MS);
    arrivals[9_999] = Some(128 * MS);
    let (_, found) = round_trip(0, &arrivals);
    assert_eq!(found.first(), Some(&(0, Some(64 * MS))));
    assert_eq!(found.last(), Some(&(9_999, Some(128 * MS))));
}

#[test]
fn the_reference_time_wraps() {
    let arrivals = [Some(REFERENCE_PERIOD_MICROS + 3 * REFERENCE_MICROS + 250)];
    let out = built(&arrivals);
    assert_eq!(out[4..7], [0, 0, 3]);
    assert_eq!(out.last(), Some(&1));
}
