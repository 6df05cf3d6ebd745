//! The rules one by one, where the tests of the whole do not show them.

use proptest::prelude::*;

use std::time::Duration;

use super::*;

const TAG: u32 = 7;
const FIRST: u32 = 1_000;

fn packet(tag: u32, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, kind, 3]);
    packet.extend_from_slice(&(value.len() as u16 + 4).to_be_bytes());
    packet.extend_from_slice(value);
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet
}

fn data(tsn: u32) -> Vec<u8> {
    packet(TAG, kind::DATA, &[tsn.to_be_bytes().as_slice(), &[0, 0, 0, 0, 0, 0, 0, 51, b'x']].concat())
}

fn sack(tsn: u32, window: u32) -> Vec<u8> {
    packet(TAG, kind::SACK, &[tsn.to_be_bytes(), window.to_be_bytes(), [0; 4]].concat())
}

fn up(now: Instant) -> Guard {
    let mut guard = Guard::new(now);
    let value = [TAG.to_be_bytes(), [0, 2, 0, 0], [255; 4], FIRST.to_be_bytes()].concat();
    let Verdict::Pass(Contents { init: Some(init), .. }) = guard.judge(now, &packet(0, kind::INIT, &value)) else {
        panic!("the INIT passes");
    };
    assert_eq!((init.tag, init.first_tsn), (TAG, FIRST));
    guard.associated(init);
    guard.established();
    guard
}

fn passes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass(_))
}

#[test]
fn data_may_run_ahead_of_the_acknowledgement_so_far_and_no_further() {
    let now = Instant::now();
    let mut guard = up(now);
    assert!(passes(guard.judge(now, &data(FIRST + MAX_TSN_AHEAD - 1))));
    assert_eq!(guard.judge(now, &data(FIRST + MAX_TSN_AHEAD)), Verdict::Drop);
    guard.sent(&sack(FIRST, 0));
    assert!(passes(guard.judge(now, &data(FIRST + MAX_TSN_AHEAD))));
    assert!(passes(guard.judge(now, &data(FIRST - 5))), "a copy of what was acknowledged is the engine's to report");
}

#[test]
fn unread_chunks_are_counted_until_they_are_read_or_the_window_is_whole() {
    let mut now = Instant::now();
    let mut guard = up(now);
    let mut tsn = FIRST;
    let mut fill = |guard: &mut Guard| {
        let mut passed = 0;
        for _ in 0..MAX_UNREAD_CHUNKS + 10 {
            now += Duration::from_millis(1);
            guard.sent(&sack(tsn - 1, 9));
            if !passes(guard.judge(now, &data(tsn))) {
                break;
            }
            tsn += 1;
            passed += 1;
        }
        (now, tsn, passed)
    };
    let (at, next, passed) = fill(&mut guard);
    assert_eq!(passed, MAX_UNREAD_CHUNKS);
    assert!(passes(guard.judge(at, &data(next - 3))), "a gap below the highest is filled all the same");
    guard.delivered(100);
    assert_eq!(fill(&mut guard).2, 100);
    let (_, next, _) = fill(&mut guard);
    guard.sent(&sack(next - 1, RECEIVE_WINDOW_BYTES));
    assert_eq!(fill(&mut guard).2, MAX_UNREAD_CHUNKS);
}

#[test]
fn what_is_dropped_counts_for_nothing() {
    let now = Instant::now();
    let mut guard = up(now);
    // A packet of one good and one bad chunk.
    let mut both = data(FIRST);
    both.extend_from_slice(&[kind::DATA, 3, 0, 5, 0, 0, 0, 0]);
    assert_eq!(guard.judge(now, &both), Verdict::Drop);
    let Phase::Associated { inbound, .. } = guard.phase else { panic!() };
    assert_eq!((inbound.unread, inbound.highest), (0, FIRST - 1));
}

#[test]
fn serial_numbers_wrap() {
    assert_eq!(ahead(5, 3), 2);
    assert_eq!(ahead(3, 5), 0);
    assert_eq!(ahead(3, 3), 0);
    assert_eq!(ahead(2, u32::MAX), 3);
    assert_eq!(ahead(u32::MAX, 2), 0);
    assert_eq!(ahead((1 << 31) + 5, 0), (1 << 31) + 5);
}

proptest! {
    #![proptest_config(super::super::tests::config(100_000))]

    #[test]
    fn any_packet_can_be_judged(kind in 0usize..14, value in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..60) {
        const KINDS: [u8; 14] = [0, 1, 2, 3, 4, 6, 7, 9, 10, 14, 130, 192, 194, 77];
        let now = Instant::now();
        let mut guard = up(now);
        let mut bytes = packet(TAG, KINDS[kind], &value);
        bytes.truncate(cut);
        let verdict = guard.judge(now, &bytes);
        if KINDS[kind] == kind::INIT {
            prop_assert_eq!(verdict, Verdict::Drop);
        }
        guard.sent(&bytes);
        let _ = Guard::new(now).judge(now, &bytes);
    }
}
