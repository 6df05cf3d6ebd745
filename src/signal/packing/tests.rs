use proptest::prelude::*;
use serde_json::Value;

use super::deflate::deflate;
use super::*;

/// A packer and its clock.
struct Desk {
    packer: Packer,
    now: Instant,
}

impl Desk {
    fn new(ways: &[Packing]) -> Self {
        let mut packer = Packer::default();
        packer.accept(ways);
        // An origin to add to; no test waits for real time.
        Self { packer, now: Instant::now() }
    }

    fn push(&mut self, n: usize, haste: Haste) {
        self.packer.push(format!(r#"{{"n":{n}}}"#).into(), haste);
    }

    /// The end of a turn so many milliseconds later: the frames that leave.
    fn turn(&mut self, ms: u64) -> Vec<Packed> {
        self.now += Duration::from_millis(ms);
        let frames: Vec<Packed> = std::iter::from_fn(|| self.packer.poll_frame(self.now)).collect();
        let late = self.packer.poll_timeout().is_none_or(|due| due > self.now);
        assert!(late, "what is due has left");
        assert!(self.packer.waiting.is_empty() || self.packer.poll_timeout().is_some(), "nothing waits for ever");
        frames
    }
}

/// The text of a frame, however it was packed.
fn text(frame: &Packed) -> String {
    match frame {
        Packed::Text(text) => text.to_string(),
        Packed::Binary(bytes) => String::from_utf8(inflate(bytes, usize::MAX / 2).unwrap()).unwrap(),
    }
}

/// The numbers in the messages of one frame.
fn numbers(frame: &Packed) -> Vec<u64> {
    let of = |message: &Value| message["n"].as_u64().unwrap();
    match serde_json::from_str(&text(frame)).unwrap() {
        Value::Array(messages) => messages.iter().map(of).collect(),
        message => vec![of(&message)],
    }
}

fn all_numbers(frames: &[Packed]) -> Vec<Vec<u64>> {
    frames.iter().map(numbers).collect()
}

#[test]
fn without_a_word_of_the_client_each_message_is_a_text_frame_of_its_own() {
    let mut desk = Desk::new(&[]);
    let long = Utf8Bytes::from(format!(r#"{{"n":3,"x":"{}"}}"#, "y".repeat(100_000)));
    desk.push(1, Haste::InPassing);
    desk.push(2, Haste::Now);
    desk.packer.push(long.clone(), Haste::InPassing);
    let frames = desk.turn(0);
    assert_eq!(frames[..2], [Packed::Text(r#"{"n":1}"#.into()), Packed::Text(r#"{"n":2}"#.into())]);
    assert_eq!(frames[2..], [Packed::Text(long)]);
}

#[test]
fn after_a_quiet_time_a_message_leaves_at_once_and_a_burst_behind_it_once_a_tick() {
    let mut desk = Desk::new(&[Packing::Batch]);
    desk.push(0, Haste::InPassing);
    assert_eq!(desk.turn(0), [Packed::Text(r#"{"n":0}"#.into())], "a lone message has no array around it");
    let mut frames = Vec::new();
    for n in 1..=200 {
        desk.push(n, Haste::InPassing);
        frames.extend(desk.turn(1));
    }
    frames.extend(desk.turn(20));
    assert_eq!(frames.len(), 200 / 20);
    let seen: Vec<u64> = all_numbers(&frames).concat();
    assert!(seen.iter().copied().eq(1..=200), "{seen:?}");
    desk.now += TICK;
    desk.push(0, Haste::InPassing);
    assert_eq!(desk.turn(0).len(), 1, "it was quiet again");
}

#[test]
fn what_is_waited_for_takes_along_what_was_said_before_it() {
    let mut desk = Desk::new(&[Packing::Batch]);
    desk.push(0, Haste::Now);
    desk.turn(0);
    desk.push(1, Haste::InPassing);
    desk.push(2, Haste::InPassing);
    assert!(desk.turn(1).is_empty());
    desk.push(3, Haste::Now);
    desk.push(4, Haste::InPassing);
    assert_eq!(all_numbers(&desk.turn(0)), [[1, 2, 3, 4]]);
    desk.push(5, Haste::InPassing);
    assert_eq!(desk.packer.poll_timeout(), Some(desk.now + TICK));
    assert_eq!(all_numbers(&desk.turn(20)), [[5]]);
    assert_eq!(desk.packer.poll_timeout(), None);
}

#[test]
fn a_frame_has_bounds() {
    let mut desk = Desk::new(&[Packing::Batch]);
    desk.push(0, Haste::Now);
    desk.turn(0);
    for n in 1..=2 * MAX_BATCH_MESSAGES + 1 {
        assert_eq!(desk.packer.is_full(), n > MAX_BATCH_MESSAGES);
        desk.push(n, Haste::InPassing);
    }
    let full: Vec<usize> = desk.turn(0).iter().map(|frame| numbers(frame).len()).collect();
    assert_eq!(full, [MAX_BATCH_MESSAGES; 2], "what is full does not wait for its time, the rest does");
    assert_eq!(desk.turn(20).len(), 1);

    let of = |bytes: usize| Utf8Bytes::from(format!(r#"{{"n":7,"x":"{}"}}"#, "y".repeat(bytes - 14)));
    desk.packer.push(of(MAX_BATCH_BYTES / 2), Haste::InPassing);
    desk.packer.push(of(MAX_BATCH_BYTES / 2), Haste::InPassing);
    desk.packer.push(of(3 * MAX_BATCH_BYTES), Haste::InPassing);
    desk.packer.push(of(20), Haste::Now);
    let sizes: Vec<usize> = desk.turn(0).iter().map(|frame| numbers(frame).len()).collect();
    assert_eq!(sizes, [2, 1, 1], "what is larger than a frame goes alone");
    assert_eq!(desk.packer.waiting_bytes, 0);
    assert!(desk.packer.waiting.capacity() <= KEPT_PLACES, "little is held for who is told nothing");
}

#[test]
fn large_frames_are_compressed_and_what_others_get_too_stays_where_it_is() {
    let mut desk = Desk::new(&[Packing::Batch, Packing::Deflate]);
    let long = Bytes::from(format!(r#"{{"n":1,"x":"{}"}}"#, "again ".repeat(1_000)));
    let shared = Utf8Bytes::try_from(long.clone()).unwrap();
    desk.packer.push(shared.clone(), Haste::Now);
    let [Packed::Binary(packed)] = &desk.turn(0)[..] else { panic!("it is compressed") };
    assert!(packed.len() < long.len() / 10);
    assert_eq!(inflate(packed, long.len()).unwrap(), long);

    desk.packer.push_shared(shared.clone(), Haste::Now);
    let [Packed::Text(same)] = &desk.turn(0)[..] else { panic!("it is a text") };
    assert_eq!(same.as_str().as_ptr(), long.as_ptr(), "no copy of it is made");

    desk.packer.push_shared(shared, Haste::InPassing);
    desk.push(2, Haste::Now);
    let frames = desk.turn(0);
    assert!(matches!(frames[..], [Packed::Binary(_)]), "with others it is copied anyway");
    assert_eq!(all_numbers(&frames), [[1, 2]]);

    desk.packer.push("x".repeat(MIN_DEFLATE_BYTES - 1).into(), Haste::Now);
    assert!(matches!(desk.turn(0)[..], [Packed::Text(_)]), "short as it is");
}

#[test]
fn what_does_not_get_shorter_stays_a_text() {
    let mut state = 1_u64;
    let mut noise = || {
        // The xorshift of Marsaglia.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let noise: Vec<u8> = (0..4_096).map(|_| noise()).collect();
    assert!(deflate(&noise).is_none());
    assert!(deflate(b"").is_none());
}

#[test]
fn no_more_comes_out_than_may() {
    let bomb = deflate(&vec![b' '; 50 << 20]).unwrap();
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    assert_eq!(inflate(&bomb, 256 << 10), Err(InflateError::TooLarge));
    let text = "just enough ".repeat(1_000);
    let packed = deflate(text.as_bytes()).unwrap();
    assert_eq!(inflate(&packed, text.len()).unwrap(), text.as_bytes());
    assert_eq!(inflate(&packed, text.len() - 1), Err(InflateError::TooLarge));
    assert_eq!(inflate(&[], 100), Err(InflateError::Broken));
    let mut longer = packed.to_vec();
    longer.push(0);
    assert_eq!(inflate(&longer, text.len()), Err(InflateError::Broken), "something stands behind it");
    // RFC 1951 §3.2.4: a stored block, last, of two bytes; and one of none.
    assert_eq!(inflate(&[1, 2, 0, 0xfd, 0xff, b'h', b'i'], 2).unwrap(), b"hi");
    assert_eq!(inflate(&[1, 0, 0, 0xff, 0xff], 0).unwrap(), b"");
}

proptest! {
    #[test]
    fn whatever_bytes_come_nothing_breaks_and_the_bound_holds(bytes in prop::collection::vec(any::<u8>(), 0..400), most in 0_usize..2_000) {
        if let Ok(text) = inflate(&bytes, most) {
            prop_assert!(text.len() <= most);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_refused_or_read_within_the_bound(
        text in "[a-f]{20,3000}", cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let Some(packed) = deflate(text.as_bytes()) else { return Ok(()) };
        prop_assert_eq!(inflate(&packed, text.len()).unwrap(), text.as_bytes());
        prop_assert!(inflate(&packed[..cut.index(packed.len())], text.len()).is_err());
        let mut damaged = packed.to_vec();
        damaged[at.index(packed.len())] ^= 1_u8 << bit;
        if let Ok(other) = inflate(&damaged, text.len()) {
            prop_assert!(other.len() <= text.len());
        }
    }

    #[test]
    fn whatever_is_said_when_it_arrives_once_and_in_order(
        said in prop::collection::vec((0_u64..30, any::<bool>(), any::<bool>(), 0_usize..3_000), 1..300),
        ways in prop::sample::select(vec![vec![], vec![Packing::Batch], vec![Packing::Deflate], vec![Packing::Batch, Packing::Deflate]]),
    ) {
        let mut desk = Desk::new(&ways);
        let mut frames = Vec::new();
        for (n, (pause, hasty, is_shared, size)) in said.iter().enumerate() {
            let json = Utf8Bytes::from(format!(r#"{{"n":{n},"x":"{}"}}"#, "z".repeat(*size)));
            let haste = if *hasty { Haste::Now } else { Haste::InPassing };
            if *is_shared { desk.packer.push_shared(json, haste) } else { desk.packer.push(json, haste) }
            frames.extend(desk.turn(*pause));
            if *hasty || ways.is_empty() {
                prop_assert!(desk.packer.waiting.is_empty());
            }
        }
        frames.extend(desk.turn(20));
        let seen = all_numbers(&frames).concat();
        prop_assert!(seen.iter().copied().eq(0..said.len() as u64));
        let batches = ways.contains(&Packing::Batch);
        for frame in &frames {
            let text = text(frame);
            prop_assert!(batches || !text.starts_with('['));
            prop_assert!(numbers(frame).len() <= MAX_BATCH_MESSAGES && text.len() <= MAX_BATCH_BYTES + MAX_BATCH_MESSAGES + 1);
            prop_assert!(ways.contains(&Packing::Deflate) || matches!(frame, Packed::Text(_)));
        }
    }
}
