//! What a hostile peer may try (the table of the design's measurements, and more), each with the outcome and, where
//! it was about our time, a bound far above what is needed and far below what it was.

use super::raw::*;
use super::*;
use crate::channel::packet::{Header, kind};

/// Runs `attack` and fails if it takes longer than `most`, in real time.
fn within(most: Duration, attack: impl FnOnce()) {
    let start = Instant::now(); // Real time is what is measured here.
    attack();
    let taken = start.elapsed();
    assert!(taken < most, "{taken:?} is more than {most:?}");
}

#[test]
fn a_hand_written_peer_is_understood() {
    let mut raw = Raw::chatting();
    let hello = raw.data(0, 1, 51, b"hello");
    let numbers = raw.data(0, 2, 53, &[1, 2, 3]);
    raw.send(&[hello, numbers]);
    assert_eq!(raw.events().len(), 2);
    assert!(raw.is_alive(3));
    raw.rest();
    assert_eq!(raw.acknowledged, raw.tsn.wrapping_sub(1));
    assert_eq!(raw.window, guard::RECEIVE_WINDOW_BYTES);
}

#[test]
fn forwarding_by_half_of_all_tsns_costs_nothing() {
    within(Duration::from_millis(500), || {
        for ahead in [1 << 31, (1 << 31) - 1, 1 << 30, 100_000] {
            let mut raw = Raw::chatting();
            let far = raw.tsn.wrapping_add(ahead);
            for _ in 0..100 {
                raw.send(&[forward_tsn(far, &[(0, 9)])]);
            }
            assert!(raw.is_alive(1), "{ahead} ahead");
        }
    });
    // A distance that loss can cause is followed.
    let mut raw = Raw::chatting();
    raw.tsn = raw.tsn.wrapping_add(5_000);
    let to = raw.tsn.wrapping_sub(1);
    raw.send(&[forward_tsn(to, &[(0, 1)])]);
    assert!(raw.is_alive(2));
}

#[test]
fn a_flood_of_forwards_for_many_streams_is_slowed_down() {
    let mut raw = Raw::chatting();
    let entries: Vec<_> = (0..280).map(|n| (n % 64, 30_000)).collect();
    within(Duration::from_secs(2), || {
        for _ in 0..2_000 {
            // Something for each entry to go through: messages that wait for an earlier one.
            let waiting = raw.data(0, raw.tsn as u16 | 0x4000, 51, b"x");
            raw.send(&[waiting, forward_tsn(raw.tsn.wrapping_sub(1), &entries)]);
        }
    });
    assert!(raw.ours.dropped() > 1_900, "{}", raw.ours.dropped());
}

#[test]
fn gaps_beyond_the_window_are_dropped_and_within_it_are_cheap() {
    let mut raw = Raw::chatting();
    raw.tsn = raw.tsn.wrapping_add(1);
    within(Duration::from_secs(4), || {
        for n in 0..60_000 {
            let gap = raw.data(0, 7, 51, b"x");
            raw.tsn = raw.tsn.wrapping_add(1);
            raw.send(&[gap]);
            if n % 1_500 == 0 {
                raw.rest();
            }
        }
    });
    assert_eq!(raw.events(), []);
    assert!(raw.ours.dropped() > 50_000, "{}", raw.ours.dropped());
}

#[test]
fn an_unfinished_message_of_tiny_fragments_is_bounded() {
    let mut raw = Raw::chatting();
    let mut flags = FIRST;
    within(Duration::from_secs(4), || {
        for n in 0..60_000 {
            let fragment = data(flags, raw.tsn, 0, 1, 51, b"x");
            raw.tsn = raw.tsn.wrapping_add(1);
            raw.send(&[fragment]);
            flags = MIDDLE;
            if n % 1_500 == 0 {
                raw.rest();
            }
        }
    });
    assert!(raw.window > 250_000, "no more than 2,048 of them are kept: {}", raw.window);
}

#[test]
fn messages_that_wait_for_an_earlier_one_are_bounded() {
    let mut raw = Raw::chatting();
    within(Duration::from_secs(4), || {
        for n in 0..40_000u32 {
            // The first one of the stream never comes.
            let waiting = raw.data(0, 2 + (n % 30_000) as u16, 51, b"x");
            raw.send(&[waiting]);
            if n % 1_500 == 0 {
                raw.rest();
            }
        }
    });
    assert!(raw.window > 250_000, "{}", raw.window);
    // What is missing is let in, and frees the rest.
    raw.rest();
    raw.tsn = raw.acknowledged.wrapping_add(1);
    assert!(raw.events().is_empty());
}

#[test]
fn a_reset_with_an_unfinished_message_does_not_make_the_rest_dear() {
    let mut raw = Raw::chatting();
    raw.send(&[data(FIRST, raw.tsn, 0, 1, 51, b"never finished")]);
    raw.tsn = raw.tsn.wrapping_add(1);
    raw.rest();
    raw.send(&[reset(FIRST_TSN, raw.acknowledged, &[0])]);
    assert_eq!(raw.events(), [ChannelEvent::Closed { id: 0 }]);
    within(Duration::from_secs(4), || {
        for n in 0..20_000u32 {
            let more = raw.data(0, n as u16, 51, b"x");
            raw.send(&[more]);
            if n % 1_500 == 0 {
                raw.rest();
            }
        }
    });
    assert!(!raw.is_aborted);
}

#[test]
fn a_reset_ahead_of_its_data_waits_for_it() {
    let mut raw = Raw::chatting();
    // The request comes first; the message that it is to follow is late.
    let late = raw.data(0, 1, 51, b"late");
    let last = raw.tsn.wrapping_sub(1);
    raw.send(&[reset(FIRST_TSN, last, &[0])]);
    within(Duration::from_secs(2), || {
        for _ in 0..1_400 {
            let above = raw.data(0, 0, 51, b"x");
            raw.send(&[above]);
        }
    });
    assert_eq!(raw.events(), []);
    raw.rest();
    raw.send(&[late]);
    raw.rest();
    assert!(raw.events().contains(&text(0, "late")));
    raw.send(&[reset(FIRST_TSN, last, &[0])]);
    assert_eq!(raw.events(), [ChannelEvent::Closed { id: 0 }]);
}

#[test]
fn a_stream_used_again_before_its_reset_is_answered_waits_for_the_answer() {
    let mut raw = Raw::chatting();
    raw.rest();
    raw.send(&[reset(FIRST_TSN, raw.acknowledged, &[0])]);
    assert_eq!(raw.events(), [ChannelEvent::Closed { id: 0 }]);
    let [sequence] = raw.resets[..] else { panic!("one request: {:?}", raw.resets) };
    let open = raw.data(0, 0, 50, b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x05\x00\x00again");
    let hello = raw.data(0, 1, 51, b"hello");
    raw.send(&[open, hello]);
    // Another stream's reset in between is nothing to this one.
    raw.send(&[reset(FIRST_TSN.wrapping_add(1), raw.acknowledged, &[8])]);
    assert_eq!(raw.events(), []);
    raw.send(&[reset_done(sequence)]);
    let events = raw.events();
    assert!(matches!(&events[0], ChannelEvent::Opened { id: 0, label, .. } if label == "again"), "{events:?}");
    assert_eq!(events[1..], [text(0, "hello")]);
    assert!(raw.is_alive(2));
}

#[test]
fn resets_that_the_peer_never_answers_end_the_association() {
    let mut raw = Raw::chatting();
    let mut events = Vec::new();
    let mut rounds = 0;
    while events.is_empty() && rounds < 100 {
        let stream = 2 + rounds as u16 % 50;
        let open = raw.data(stream, 0, 51, b"x");
        raw.send(&[open]);
        raw.rest();
        raw.send(&[reset(FIRST_TSN.wrapping_add(rounds), raw.acknowledged, &[stream])]);
        events = raw.events();
        rounds += 1;
    }
    assert_eq!(events, [ChannelEvent::Ended(EndReason::Protocol)]);
    // 65, and what the engine gives up meanwhile.
    assert!((65..80).contains(&rounds), "{rounds}");
}

#[test]
fn foreign_streams_end_the_association() {
    for stream in [guard::MAX_STREAMS, 1_000, u16::MAX] {
        let mut raw = Raw::chatting();
        let foreign = raw.data(stream, 0, 51, b"x");
        raw.send(&[foreign]);
        assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Stream)]);
        assert!(raw.is_aborted);
    }
}

#[test]
fn too_many_chunks_end_the_association_and_many_do_not() {
    let mut raw = Raw::chatting();
    let many: Vec<_> = (0..100).map(|n| raw.data(0, 1 + n, 51, b"x")).collect();
    raw.send(&many);
    assert_eq!(raw.events().len(), 100);
    let shutdown_acks: Vec<_> = (0..32).map(|_| chunk(8, &[])).collect();
    raw.send(&shutdown_acks);
    assert!(raw.is_alive(101));

    raw.send(&[shutdown_acks.as_slice(), &[chunk(8, &[])]].concat());
    assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Chunks)]);
    assert!(raw.is_aborted);
}

#[test]
fn an_init_after_the_start_changes_nothing() {
    let mut raw = Raw::chatting();
    let tag = std::mem::take(&mut raw.tag);
    for _ in 0..1_000 {
        raw.send(&[init(OUR_TAG, FIRST_TSN)]);
        raw.send(&[init(OUR_TAG + 1, 5)]);
    }
    raw.tag = tag;
    raw.send(&[init(OUR_TAG, FIRST_TSN)]);
    raw.send(&[chunk(11, &[]), init(OUR_TAG, FIRST_TSN)]);
    assert!(raw.is_alive(1));
}

#[test]
fn a_repeated_init_before_the_start_is_answered_and_another_is_not() {
    let now = Instant::now();
    let mut raw = Raw::new();
    raw.ours = Channels::new(now, Limits::default());
    raw.tag = 0;
    raw.send(&[data(WHOLE, 1, 0, 0, 51, b"x")]);
    raw.send(&[chunk(10, b"cookie")]);
    raw.send(&[init(OUR_TAG, 9), init(OUR_TAG, 9)]);
    assert_eq!(raw.ours.dropped(), 3);
    for n in 0..3 {
        raw.last = Bytes::new();
        raw.send(&[init(OUR_TAG, 9)]);
        assert!(!raw.last.is_empty(), "answer {n}");
    }
    raw.last = Bytes::new();
    raw.send(&[init(OUR_TAG, 10)]);
    raw.send(&[init(OUR_TAG + 1, 9)]);
    assert!(raw.last.is_empty());
    assert_eq!(raw.ours.dropped(), 5);
}

#[test]
fn a_flood_is_dropped_at_first_and_ends_the_association_at_last() {
    let mut raw = Raw::chatting();
    for _ in 0..5_000 {
        raw.send(&[sack(raw.heard, &[])]);
    }
    assert!(raw.ours.dropped() > 2_900);
    assert!(raw.is_alive(1), "after a second's rest it goes on");
    raw.rest();
    for _ in 0..30_000 {
        raw.send(&[sack(raw.heard, &[])]);
    }
    assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Flood)]);
    assert!(raw.is_aborted);
}

#[test]
fn heartbeats_and_resets_are_rationed() {
    let mut raw = Raw::chatting();
    let heartbeat = chunk(kind::HEARTBEAT, &[0, 1, 0, 8, 1, 2, 3, 4]);
    let mut answers = 0;
    for _ in 0..100 {
        raw.last = Bytes::new();
        raw.send(std::slice::from_ref(&heartbeat));
        answers += usize::from(!raw.last.is_empty());
    }
    assert_eq!(answers, 2);
    raw.rest();
    let before = raw.ours.dropped();
    for n in 0..50u32 {
        raw.send(&[reset(FIRST_TSN.wrapping_add(n), raw.acknowledged, &[40])]);
    }
    assert_eq!(raw.ours.dropped() - before, 40);
    assert!(raw.is_alive(1));
}

#[test]
fn gap_reports_are_bounded() {
    let mut raw = Raw::chatting();
    let before = raw.ours.dropped();
    raw.send(&[sack(raw.heard, &[(2, u16::MAX)])]);
    assert_eq!(raw.ours.dropped(), before + 1);
    // A count beyond the chunk.
    let mut lying = sack(raw.heard, &[]);
    lying[12] = 9;
    raw.send(&[lying]);
    assert_eq!(raw.ours.dropped(), before + 2);
    assert!(raw.is_alive(1));
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_association() {
    let mut raw = Raw::chatting();
    raw.send(&[sack(raw.heard.wrapping_add(1 << 20), &[])]);
    assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Protocol)]);
    assert!(raw.is_aborted);
}

#[test]
fn an_error_is_a_remark_and_an_abort_is_not() {
    let mut raw = Raw::chatting();
    raw.send(&[chunk(kind::ERROR, &[0, 6, 0, 8, 99, 0, 0, 4])]);
    assert!(raw.is_alive(1));
    raw.send(&[chunk(kind::ABORT, &[])]);
    assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Peer)]);
    assert!(!raw.is_aborted, "an ABORT is not answered");
}

#[test]
fn data_without_bytes_and_cut_chunks_are_dropped() {
    let mut raw = Raw::chatting();
    let before = raw.ours.dropped();
    let bad = [
        data(WHOLE, raw.tsn, 0, 1, 51, b""),
        chunk(kind::DATA, &[0; 4]),
        chunk(kind::SACK, &[0; 4]),
        chunk(kind::RE_CONFIG, &[0, 13, 0, 4]),
        chunk(kind::RE_CONFIG, &[0, 99, 0, 4]),
        chunk(kind::FORWARD_TSN, &[0; 2]),
        vec![0, 3, 255, 255],
        vec![0, 3, 0, 1],
        vec![1],
        vec![],
    ];
    let count = bad.len() as u64;
    for chunk in bad {
        raw.send(&[chunk]);
    }
    assert_eq!(raw.ours.dropped() - before, count);
    let truncated = raw.packet(&[])[..7].to_vec();
    raw.send_packet(truncated);
    let oversized = raw.data(0, 1, 53, &[0; 3_000]);
    raw.tsn = raw.tsn.wrapping_sub(1);
    raw.send(&[oversized]);
    assert_eq!(raw.ours.dropped() - before, count + 2);
    raw.send_packet(Vec::new());
    assert!(raw.is_alive(1));
}

#[test]
fn a_window_full_of_unfinished_messages_ends_the_association() {
    let mut raw = Raw::chatting();
    let kilobyte = [0; 1024];
    for stream in 1..40u16 {
        for n in 0..20 {
            let flags = if n == 0 { FIRST } else { MIDDLE };
            let fragment = data(flags, raw.tsn, stream, 0, 53, &kilobyte);
            raw.tsn = raw.tsn.wrapping_add(1);
            raw.send(&[fragment]);
        }
        raw.rest();
    }
    assert_eq!(raw.events(), [ChannelEvent::Ended(EndReason::Unfinished)]);
    assert!(raw.is_aborted);
}

#[test]
fn the_abort_carries_the_ports_and_the_tag_of_the_peer() {
    let mut raw = Raw::chatting();
    let foreign = raw.data(64, 0, 51, b"x");
    raw.send(&[foreign]);
    let header = Header::parse(&raw.last).unwrap();
    assert_eq!(header, Header { source_port: 5000, destination_port: 5000, verification_tag: OUR_TAG });
    // sctp-proto is the judge of the checksum.
    let mut browser = Pair::chatting();
    browser.ours.abort(EndReason::Flood);
    browser.run();
    assert_eq!(browser.browser.heard, [Heard::Lost]);
}

/// xorshift64*, seeded: a failing run is the same run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.roll() >> 33) as usize % most.max(1)
    }
}

/// One plausible chunk of any kind.
fn any_chunk(raw: &mut Raw, dice: &mut Dice) -> Vec<u8> {
    let stream = dice.below(66) as u16;
    let near = raw.tsn.wrapping_add(dice.below(40) as u32).wrapping_sub(20);
    let bytes = vec![dice.roll() as u8; dice.below(40)];
    match dice.below(12) {
        0..=3 => {
            let flags = dice.below(8) as u8;
            let protocol = [50, 51, 53, 56, 57, 52, 0][dice.below(7)];
            raw.tsn = raw.tsn.wrapping_add(1);
            data(flags, raw.tsn, stream % 64, dice.below(4) as u16, protocol, &bytes)
        }
        4 => reset(FIRST_TSN.wrapping_add(dice.below(4) as u32), raw.acknowledged, &[stream, 0]),
        5 => forward_tsn(near, &[(stream, dice.below(9) as u16)]),
        6 => sack(near, &[(2, dice.below(6) as u16)]),
        7 => chunk(kind::HEARTBEAT, &[0, 1, 0, 8, 1, 2, 3, 4]),
        8 => chunk(kind::ABORT, &bytes),
        9 => chunk(kind::I_FORWARD_TSN, &[near.to_be_bytes().as_slice(), &bytes].concat()),
        10 => chunk(7, &near.to_be_bytes()),
        _ => chunk(dice.roll() as u8, &bytes),
    }
}

#[test]
fn mutated_packets_with_right_checksums_never_panic() {
    let packets = crate::test_cases(20_000);
    within(Duration::from_micros(250) * packets, || {
        let mut dice = Dice(0x5ee_d5ee_d5ee_d001);
        let mut raw = Raw::chatting();
        let (mut ends, mut passed) = (0, 0u32);
        for _ in 0..packets {
            let count = 1 + dice.below(3);
            let chunks: Vec<_> = (0..count).map(|_| any_chunk(&mut raw, &mut dice)).collect();
            let mut packet = raw.packet(&chunks);
            for _ in 0..dice.below(4) {
                // Not the tag: a packet with a wrong one goes nowhere.
                let place = packet::HEADER_BYTES + dice.below(packet.len() - packet::HEADER_BYTES);
                if let Some(byte) = packet.get_mut(place) {
                    *byte = [0, 1, 4, 255, dice.roll() as u8][dice.below(5)];
                }
            }
            if dice.below(10) == 0 {
                packet.truncate(dice.below(packet.len() + 1));
            }
            packet::seal(&mut packet);
            let before = raw.ours.dropped();
            raw.send_packet(packet);
            passed += u32::from(raw.ours.dropped() == before);
            raw.now += Duration::from_millis(100);
            raw.ours.handle_timeout(raw.now);
            if raw.events().iter().any(|event| matches!(event, ChannelEvent::Ended(_))) {
                ends += 1;
                raw = Raw::chatting();
            }
        }
        // Otherwise the mutations would test nothing but the guard.
        assert!(passed > packets / 3, "{passed} of {packets} passed");
        assert!(ends > packets / 200, "{ends} associations ended");
    });
}
