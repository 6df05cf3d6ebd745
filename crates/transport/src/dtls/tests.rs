//! The attacks of a peer that is on the proven path, or of somebody who spoofs it, and the losses of a bad network.

use std::time::Duration;

use proptest::prelude::*;

use super::record::{CHANGE_CIPHER_SPEC, fragments, write_message, write_plain};
use super::testing::{Client, ClientOptions};
use super::*;
use crate::testing::identity;

/// A server and a client, with their datagrams in the hands of the test.
struct Pair {
    now: Instant,
    server: Dtls,
    client: Client,
    closed: Option<CloseReason>,
    connected: bool,
    data: Vec<Bytes>,
    bytes_out: usize,
}

/// When an attack begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the client's first datagram.
    Pre,
    /// When we asked for the cookie and it is on its way.
    Greeted,
    /// When our certificate is out and the client's is on its way.
    Mid,
    /// After both have finished.
    Post,
}

impl Pair {
    fn new(options: &ClientOptions) -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        let client = Client::new(now, options);
        let server = Dtls::new(now, identity().certificate(), client.fingerprint);
        Self { now, server, client, closed: None, connected: false, data: Vec::new(), bytes_out: 0 }
    }

    /// Brings a new pair to a stage; at `Mid` the client's answer is still to be taken from it.
    fn at(stage: Stage) -> Self {
        let mut pair = Self::new(&ClientOptions::default());
        match stage {
            Stage::Pre => {}
            Stage::Greeted | Stage::Mid => {
                for _ in 0..if stage == Stage::Mid { 2 } else { 1 } {
                    let hello = pair.client.poll_transmit().unwrap();
                    pair.feed(&hello).unwrap();
                }
            }
            Stage::Post => {
                pair.run();
                assert!(pair.is_up());
            }
        }
        pair
    }

    fn feed(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        let result = self.server.handle_datagram(self.now, datagram);
        for sent in self.collect() {
            self.client.receive(self.now, &sent);
        }
        result
    }

    /// Takes what the server says, without giving it to the client.
    fn collect(&mut self) -> Vec<Vec<u8>> {
        while let Some(event) = self.server.poll_event() {
            match event {
                DtlsEvent::Connected { .. } => self.connected = true,
                DtlsEvent::Data(data) => self.data.push(data),
                DtlsEvent::Closed(reason) => self.closed = Some(reason),
            }
        }
        let sent: Vec<_> = std::iter::from_fn(|| self.server.poll_transmit()).collect();
        self.bytes_out += sent.iter().map(Vec::len).sum::<usize>();
        sent
    }

    fn run(&mut self) {
        while let Some(datagram) = self.client.poll_transmit() {
            let _ = self.feed(&datagram);
        }
    }

    /// Lets time pass in steps of 100 ms.
    fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.tick();
            self.run();
        }
    }

    fn tick(&mut self) {
        if self.server.poll_timeout().is_some_and(|due| due <= self.now) {
            self.server.handle_timeout(self.now);
        }
        for sent in self.collect() {
            self.client.receive(self.now, &sent);
        }
        self.client.handle_timeout(self.now);
    }

    fn is_up(&self) -> bool {
        self.connected && self.client.is_connected && self.closed.is_none()
    }

    fn kept_bytes(&self) -> usize {
        match &self.server.phase {
            Phase::Handshaking { handshake, .. } => handshake.kept_bytes(),
            Phase::Established(_) | Phase::Closed => 0,
        }
    }

    /// Whether data still goes both ways.
    fn still_works(&mut self) -> bool {
        self.client.send(self.now, b"from client");
        self.run();
        self.server.send(self.now, b"from server");
        for sent in self.collect() {
            self.client.receive(self.now, &sent);
        }
        self.data.iter().any(|data| data.as_ref() == b"from client")
            && self.client.received.iter().any(|data| data == b"from server")
    }
}

/// A plaintext record with one handshake fragment in it.
fn fragment(typ: u8, message_len: u32, message_seq: u16, offset: u32, data: &[u8], sequence: u32) -> Vec<u8> {
    let mut body = vec![typ];
    body.extend(&message_len.to_be_bytes()[1..]);
    body.extend(message_seq.to_be_bytes());
    body.extend(&offset.to_be_bytes()[1..]);
    body.extend(&u32::try_from(data.len()).unwrap().to_be_bytes()[1..]);
    body.extend(data);
    write_plain(HANDSHAKE, sequence, &body)
}

/// The first hello of another client: well-formed, and not the peer's.
fn foreign_hello() -> Vec<u8> {
    Client::new(Instant::now(), &ClientOptions::default()).poll_transmit().unwrap()
}

fn protected_junk(content_type: u8, len: usize, sequence: u32) -> Vec<u8> {
    let mut record = write_plain(content_type, sequence, &vec![0xa5; len]);
    record[4] = 1; // epoch
    record
}

/// Small, fast and the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }
}

fn alert(level: u8, description: u8) -> Vec<u8> {
    write_plain(ALERT, 900, &[level, description])
}

type Attack = (&'static str, Box<dyn Fn(u32) -> Vec<u8>>, u32);

/// The attacks a session is to survive, each with the number of its datagrams.
fn survivable() -> Vec<Attack> {
    let foreign = foreign_hello();
    vec![
        ("zero-length fragments", Box::new(|n| fragment(1, 100, (n % 9) as u16, 0, &[], n)), 20_000),
        ("16 MB claim", Box::new(|n| fragment(11, 0xff_ffff, 2, 0, &[1; 1_200], n)), 2_000),
        ("high message numbers", Box::new(|n| fragment(1, 50, 9 + n as u16, 0, &[1; 50], n)), 2_000),
        ("oversized fragments", Box::new(|n| fragment(1, 20, 0, 10, &[1; 1_200], n)), 2_000),
        ("server messages", Box::new(|n| fragment(2, 40, 0, 0, &[1; 40], n)), 2_000),
        ("fatal alert", Box::new(|_| alert(2, 40)), 50),
        ("close_notify", Box::new(|_| alert(1, 0)), 50),
        ("plaintext data", Box::new(|n| write_plain(APPLICATION_DATA, n, b"forged")), 50),
        ("unknown content", Box::new(|n| write_plain(60, n, b"forged")), 50),
        ("one forged hello", Box::new(move |_| foreign.clone()), 1),
        ("junk records", Box::new(|n| junk(n, 700)), 20_000),
        ("truncated records", Box::new(|n| write_plain(HANDSHAKE, n, &[1; 40])[..30].to_vec()), 2_000),
        (
            "epoch two",
            Box::new(|n| {
                let mut record = protected_junk(APPLICATION_DATA, 1_000, n);
                record[4] = 2;
                record
            }),
            2_000,
        ),
    ]
}

fn junk(seed: u32, len: usize) -> Vec<u8> {
    let mut dice = Dice(u64::from(seed) * 77 + 1);
    let mut bytes: Vec<u8> = (0..len).map(|_| dice.roll(256) as u8).collect();
    bytes[0] = 20 + bytes[0] % 44;
    bytes
}

#[test]
fn the_real_client_connects_in_spite_of_what_others_send() {
    for stage in [Stage::Pre, Stage::Greeted, Stage::Mid, Stage::Post] {
        for (name, datagram, count) in survivable() {
            let mut pair = Pair::at(stage);
            let bytes_before = pair.bytes_out;
            let answer = pair.client.poll_transmit();
            for n in 0..count {
                let _ = pair.server.handle_datagram(pair.now, &datagram(n));
                assert!(pair.kept_bytes() <= 64 * 1024, "{name} at {stage:?} is kept");
                pair.collect();
            }
            assert!(pair.bytes_out - bytes_before <= 100, "{name} at {stage:?} is answered");
            if let Some(answer) = answer {
                let _ = pair.feed(&answer);
            }
            pair.run();
            pair.advance(Duration::from_secs(2));
            assert!(pair.is_up(), "{name} at {stage:?}: {:?}", pair.closed);
            assert!(pair.still_works(), "{name} at {stage:?}");
        }
    }
}

#[test]
fn protected_junk_is_bounded_before_the_keys_and_nothing_after() {
    let mut pair = Pair::at(Stage::Pre);
    for n in 0..2_000 {
        assert_eq!(pair.feed(&protected_junk(APPLICATION_DATA, 1_200, n)), Err(DropReason::DtlsGuard));
    }
    assert_eq!(pair.kept_bytes(), 0);
    pair.run();
    assert!(pair.is_up());

    let mut pair = Pair::at(Stage::Mid);
    let answer = pair.client.poll_transmit().unwrap();
    for n in 0..30 {
        pair.feed(&protected_junk(HANDSHAKE, 1_000, n)).unwrap();
        assert!(pair.kept_bytes() <= 8 * 1_500);
    }
    pair.feed(&answer).unwrap();
    assert!(pair.is_up(), "junk does not keep the genuine records out");

    let mut pair = Pair::at(Stage::Post);
    for n in 0..2_000 {
        for content_type in [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA] {
            let _ = pair.feed(&protected_junk(content_type, 90, n + 1_000_000));
        }
    }
    assert!(pair.still_works());
}

#[test]
fn a_flood_of_handshake_input_ends_the_session_within_bounds() {
    let chain = |n: u32| {
        // Forty-four one-byte fragments of one hello in one record: 682 such datagrams overflow the engine's stack.
        let body: Vec<u8> =
            (0..44u32).flat_map(|at| fragment(1, 16_000, 0, n * 44 + at, &[1], n)[13..].to_vec()).collect();
        write_plain(HANDSHAKE, n, &body)
    };
    let mut pair = Pair::at(Stage::Pre);
    for n in 0..363 {
        let _ = pair.feed(&chain(n));
        assert!(pair.kept_bytes() <= 2 * 16_000);
    }
    assert!(matches!(pair.closed, Some(CloseReason::DtlsFailed(_))), "{:?}", pair.closed);
    assert_eq!((pair.bytes_out, pair.kept_bytes()), (0, 0));

    let hello = foreign_hello();
    let mut pair = Pair::at(Stage::Pre);
    for _ in 0..20_000 {
        let _ = pair.feed(&hello);
    }
    assert!(matches!(pair.closed, Some(CloseReason::DtlsFailed(_))), "{:?}", pair.closed);
    assert!(pair.bytes_out <= 64 * 48, "the same hello repeated costs {} bytes", pair.bytes_out);

    let mut pair = Pair::at(Stage::Post);
    let before = pair.bytes_out;
    for _ in 0..20_000 {
        assert_eq!(pair.feed(&hello), Err(DropReason::DtlsGuard));
    }
    assert_eq!(pair.bytes_out, before, "plaintext after the handshake is not answered");
    assert!(pair.still_works());
}

#[test]
fn a_changed_first_hello_does_not_choose_the_profile() {
    let mut pair = Pair::new(&ClientOptions { profiles: vec![7, 1], ..ClientOptions::default() });
    let genuine = pair.client.poll_transmit().unwrap();
    let mut stripped = genuine.clone();
    let gcm = stripped.windows(6).position(|bytes| bytes == [0, 4, 0, 7, 0, 1]).expect("use_srtp");
    stripped[gcm + 3] = 2;
    let _ = pair.feed(&stripped);
    pair.run();
    assert!(!pair.connected, "somebody took AES-GCM out on the way, and the second hello shows it");
}

#[test]
fn a_lost_flight_of_ours_is_repeated() {
    // Our certificate is lost.
    let mut pair = Pair::new(&ClientOptions::default());
    let hello = pair.client.poll_transmit().unwrap();
    pair.feed(&hello).unwrap();
    let second = pair.client.poll_transmit().unwrap();
    let _ = pair.server.handle_datagram(pair.now, &second);
    assert!(!pair.collect().is_empty());
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + Duration::from_millis(300)));
    pair.advance(Duration::from_millis(400));
    assert!(pair.is_up());

    // Our last flight is lost: the client repeats its own and gets another.
    let mut pair = Pair::at(Stage::Mid);
    let answer = pair.client.poll_transmit().unwrap();
    let _ = pair.server.handle_datagram(pair.now, &answer);
    assert!(!pair.collect().is_empty() && pair.connected && !pair.client.is_connected);
    pair.advance(Duration::from_secs(2));
    assert!(pair.is_up() && pair.still_works());

    // Nobody answers: six repeats, then the end.
    let mut pair = Pair::at(Stage::Mid);
    while pair.client.poll_transmit().is_some() {}
    let once = pair.bytes_out - 48;
    while let Some(due) = pair.server.poll_timeout() {
        pair.now = due;
        pair.server.handle_timeout(due);
        pair.collect();
    }
    assert_eq!(pair.closed, Some(CloseReason::DtlsTimeout));
    assert!((6..8).contains(&(pair.bytes_out / once)), "{} bytes of {once}", pair.bytes_out);
}

#[test]
fn records_in_any_order_make_a_handshake() {
    let mut pair = Pair::at(Stage::Mid);
    let mut records: Vec<Vec<u8>> = Vec::new();
    while let Some(datagram) = pair.client.poll_transmit() {
        records.extend(super::record::records(&datagram).map(|record| record.whole.to_vec()));
    }
    assert!(records.len() >= 5, "certificate, key exchange, signature, change, finished");
    for record in records.iter().rev() {
        pair.feed(record).unwrap();
    }
    assert!(pair.is_up());
}

#[test]
fn a_settled_session_goes_on_as_before() {
    let mut pair = Pair::at(Stage::Post);
    pair.client.send(pair.now, b"before");
    let before = pair.client.poll_transmit().unwrap();
    pair.feed(&before).unwrap();
    pair.server.settle(identity().certificate());
    assert!(pair.server.has_settled());
    assert!(pair.collect().is_empty(), "settling says nothing");
    assert_eq!(pair.data, ["before"]);
    assert_eq!(pair.feed(&before), Err(DropReason::DtlsGuard), "nor is it undone by what is not looked at");
    assert!(pair.server.is_written(), "the endpoint has gone until there is a record");

    // Numbers go on where they were, so that the client takes what comes and what came is not taken again.
    assert!(pair.still_works());
    assert!(!pair.server.is_written());
    pair.client.send(pair.now, b"after");
    let after = pair.client.poll_transmit().unwrap();
    pair.feed(&after).unwrap();
    let came = pair.data.len();
    assert_eq!(pair.feed(&before), Err(DropReason::DtlsGuard), "a record of before is not looked at");
    let _ = pair.feed(&after);
    assert_eq!(pair.data.len(), came, "nor is one of after taken twice");
    for n in 0..200 {
        for content_type in [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA] {
            let _ = pair.feed(&protected_junk(content_type, 90, n + 1_000_000));
        }
    }
    assert!(pair.still_works());
    // Once more changes nothing.
    pair.server.settle(identity().certificate());
    assert!(pair.still_works());

    let mut other = Pair::at(Stage::Post);
    other.server.settle(identity().certificate());
    pair.client.close(pair.now);
    other.server.close(other.now);
    for pair in [&mut pair, &mut other] {
        pair.run();
        pair.tick();
    }
    assert_eq!(pair.closed, Some(CloseReason::Remote), "the client closes");
    assert!(other.client.was_closed, "the server closes");
}

#[test]
fn most_handshakes_survive_thirty_percent_loss() {
    let mut dice = Dice(42);
    let mut failed = 0;
    for _ in 0..60 {
        let mut pair = Pair::new(&ClientOptions::default());
        for _ in 0..98 {
            while let Some(datagram) = pair.client.poll_transmit() {
                if dice.roll(10) >= 3 {
                    let _ = pair.server.handle_datagram(pair.now, &datagram);
                }
            }
            for sent in pair.collect() {
                if dice.roll(10) >= 3 {
                    pair.client.receive(pair.now, &sent);
                }
            }
            pair.now += Duration::from_millis(100);
            pair.server.handle_timeout(pair.now);
            pair.client.handle_timeout(pair.now);
        }
        failed += u32::from(!pair.is_up());
    }
    assert!(failed <= 3, "{failed} of 60 failed");
}

#[test]
fn a_panic_of_the_engine_is_caught() {
    let result = super::engine::guarded::<()>(|| panic!("as the engine might"));
    assert!(matches!(result, Err(EngineError::Panicked)));
}

#[test]
fn worn_out_keys_end_the_session() {
    let mut pair = Pair::at(Stage::Post);
    let Phase::Established(established) = &mut pair.server.phase else { panic!("established") };
    established.sealed = MAX_RECORDS - 2;
    assert!(pair.still_works());
    pair.server.send(pair.now, b"the last");
    pair.collect();
    assert!(matches!(pair.closed, Some(CloseReason::DtlsFailed(_))));
}

/// Changes a datagram in one of the ways that bugs hide behind.
fn mutate(dice: &mut Dice, datagram: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match dice.roll(8) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_slice(&other[..dice.roll(other.len() + 1)]),
            2 => bytes.splice(at..at, [0xff, 0, 0xff]).for_each(drop),
            3 if bytes.len() > 26 => bytes[13 + dice.roll(12)] = dice.roll(256) as u8, // the message's header
            4 if bytes.len() > 13 => bytes[dice.roll(13)] = dice.roll(256) as u8,      // the record's header
            5 if bytes.len() > 13 => {
                let len = u16::try_from(bytes.len() - 13).unwrap_or(u16::MAX); // makes the record whole again
                bytes[11..13].copy_from_slice(&len.to_be_bytes());
            }
            _ if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            _ => {}
        }
    }
    bytes
}

/// Puts a changed handshake message into a record and a header that fit it, so that it gets past the guard.
fn mutate_message(dice: &mut Dice, datagram: &[u8]) -> Option<Vec<u8>> {
    let record = super::record::records(datagram).next().filter(|record| record.epoch == 0)?;
    let message = fragments(record.body).next()?;
    let body = mutate(dice, message.data, message.data);
    Some(write_plain(HANDSHAKE, 7, &write_message(message.message_type, message.message_seq, &body)))
}

#[test]
fn mutated_handshakes_never_panic() {
    let count = crate::test_cases(20_000);
    let mut dice = Dice(0x5eed);
    let (mut fed, mut sessions, mut survived) = (0, 0, 0);
    while fed < count {
        let mut pair = Pair::new(&ClientOptions::default());
        let mut last = Vec::new();
        sessions += 1;
        for _ in 0..6 {
            let Some(datagram) = pair.client.poll_transmit() else { break };
            for _ in 0..dice.roll(12) {
                let mutated = match dice.roll(2) {
                    0 => mutate_message(&mut dice, &datagram).unwrap_or_default(),
                    _ => mutate(&mut dice, &datagram, &last),
                };
                let _ = pair.server.handle_datagram(pair.now, &mutated);
                pair.collect();
                fed += 1;
            }
            let _ = pair.feed(&datagram);
            last = datagram;
        }
        pair.advance(Duration::from_millis(300));
        survived += u32::from(pair.is_up());
        let panicked = matches!(&pair.closed, Some(CloseReason::DtlsFailed(why)) if why.contains("panicked"));
        assert!(!panicked, "session {sessions}");
    }
    assert!(survived > 0 && survived < sessions, "the mutations are neither all harmless nor all deadly: {survived}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(100_000)))]

    #[test]
    fn no_record_or_fragment_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), shaped in any::<bool>()) {
        let mut bytes = bytes;
        if let (true, Some(header)) = (shaped, bytes.first_chunk_mut::<25>()) {
            (header[0], header[1], header[2], header[11]) = (HANDSHAKE, 0xfe, 0xfd, 0);
            (header[14], header[15], header[19], header[20], header[22], header[23]) = (0, 0, 0, 0, 0, 0);
        }
        for record in records(&bytes) {
            prop_assert!(record.whole.len() <= bytes.len());
            for fragment in fragments(record.body) {
                prop_assert!(!fragment.data.is_empty() && fragment.offset + fragment.data.len() <= fragment.message_len);
            }
        }
    }
}
