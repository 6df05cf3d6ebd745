//! Two associations in memory: our side, and a browser's side built of sctp-proto and a few lines of DCEP.

use std::time::Duration;

use proptest::test_runner::Config;

use super::*;

mod hostile;
mod raw;

/// So many cases, unless `PROPTEST_CASES` says otherwise.
pub(super) fn config(cases: u32) -> Config {
    Config { cases: crate::test_cases(cases), failure_persistence: None, ..Config::default() }
}

/// The browser's side.
struct Browser {
    endpoint: Endpoint,
    association: Association,
    /// What it heard, in order.
    heard: Vec<Heard>,
    /// Whether it takes what arrives.
    reads: bool,
    readable: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Ack(u16),
    Text(u16, String),
    Binary(u16, Vec<u8>),
    Reset(u16),
    Lost,
}

impl Browser {
    fn new() -> Self {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
        let transport = TransportConfig::default().with_max_receive_buffer_size(128 * 1024);
        let mut config = sctp_proto::ClientConfig::new();
        config.transport = Arc::new(transport);
        let (_, association) = endpoint.connect(config, PEER).unwrap();
        Self { endpoint, association, heard: Vec::new(), reads: true, readable: Vec::new() }
    }

    fn input(&mut self, now: Instant, packet: Bytes) {
        if let Some((_, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, PEER, None, None, packet) {
            self.association.handle_event(event);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(event) = self.association.poll() {
            match event {
                Event::Stream(StreamEvent::Readable { id }) => self.readable.push(id),
                Event::Stream(StreamEvent::Finished { id }) => self.heard.push(Heard::Reset(id)),
                Event::AssociationLost { .. } => self.heard.push(Heard::Lost),
                _ => {}
            }
        }
        if self.reads {
            for id in std::mem::take(&mut self.readable) {
                self.read(id);
            }
        }
    }

    fn read(&mut self, id: u16) {
        while let Ok(Some(chunks)) = self.association.stream(id).and_then(|mut stream| stream.read()) {
            let mut data = vec![0; chunks.len()];
            chunks.read(&mut data).unwrap();
            self.heard.push(match chunks.ppi {
                PayloadProtocolIdentifier::Dcep => {
                    assert_eq!(dcep::Message::parse(&data), Ok(dcep::Message::Ack));
                    Heard::Ack(id)
                }
                PayloadProtocolIdentifier::String => Heard::Text(id, String::from_utf8(data).unwrap()),
                PayloadProtocolIdentifier::StringEmpty => Heard::Text(id, String::new()),
                PayloadProtocolIdentifier::BinaryEmpty => Heard::Binary(id, Vec::new()),
                _ => Heard::Binary(id, data),
            });
        }
    }

    fn open(&mut self, id: u16, label: &str, ordered: bool, reliability: Reliability) {
        let open = dcep::Open { ordered, reliability, priority: 256, label: label.to_owned(), protocol: String::new() };
        let mut bytes = Vec::new();
        dcep::Message::Open(open).write(&mut bytes);
        let protocol = PayloadProtocolIdentifier::Binary;
        let mut stream = self.association.open_stream(id, protocol).unwrap();
        stream.write_with_ppi(&bytes, PayloadProtocolIdentifier::Dcep).unwrap();
        stream.set_reliability_params(!ordered, ReliabilityType::Reliable, 0).unwrap();
    }

    fn write(&mut self, id: u16, protocol: PayloadProtocolIdentifier, data: &[u8]) {
        self.association.stream(id).unwrap().write_with_ppi(data, protocol).unwrap();
    }

    fn text(&mut self, id: u16, text: &str) {
        self.write(id, PayloadProtocolIdentifier::String, text.as_bytes());
    }
}

/// Both sides and the time between them.
struct Pair {
    now: Instant,
    ours: Channels,
    browser: Browser,
    /// Packets to us, of which every `lose`th is lost.
    lose: usize,
    carried: usize,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        let ours = Channels::new(now, Limits::default());
        Self { now, ours, browser: Browser::new(), lose: usize::MAX, carried: 0 }
    }

    /// A pair that is up, with one reliable channel of id 0.
    fn chatting() -> Self {
        let mut pair = Self::new();
        pair.run();
        pair.browser.open(0, "chat", true, Reliability::Reliable);
        pair.pass(Duration::from_secs(1));
        assert!(matches!(pair.events()[..], [ChannelEvent::Opened { id: 0, ordered: true, reliable: true, .. }]));
        assert_eq!(std::mem::take(&mut pair.browser.heard), [Heard::Ack(0)]);
        pair
    }

    /// Carries packets both ways until there are none.
    fn run(&mut self) {
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        let mut moved = false;
        while let Some(transmit) = self.browser.association.poll_transmit(self.now) {
            let Payload::RawEncode(packets) = transmit.payload else { unreachable!() };
            for packet in packets {
                self.carried += 1;
                moved = true;
                if !self.carried.is_multiple_of(self.lose) {
                    self.ours.input(self.now, packet);
                }
            }
        }
        while let Some(packet) = self.ours.poll_transmit() {
            moved = true;
            self.browser.input(self.now, packet);
        }
        moved
    }

    /// Lets time pass as the timers of both sides ask, and carries packets.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.run();
            let due = [self.ours.poll_timeout(), self.browser.association.poll_timeout()];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.ours.handle_timeout(self.now);
            self.browser.association.handle_timeout(self.now);
            self.browser.settle();
        }
        self.now = end;
        self.run();
    }

    fn events(&mut self) -> Vec<ChannelEvent> {
        std::iter::from_fn(|| self.ours.poll_event()).collect()
    }

    fn send(&mut self, text: &str) -> Result<(), SendError> {
        self.ours.send(0, MessageKind::Text, text, self.now)
    }
}

fn text(id: u16, text: &str) -> ChannelEvent {
    ChannelEvent::Message { id, kind: MessageKind::Text, data: Bytes::copy_from_slice(text.as_bytes()) }
}

#[test]
fn a_channel_opens_and_carries_messages_both_ways() {
    let mut pair = Pair::new();
    assert_eq!(pair.ours.poll_timeout(), None, "nothing is due before the peer begins");
    assert_eq!(pair.ours.send(0, MessageKind::Text, "early", pair.now), Err(SendError::Unknown));
    pair.run();
    pair.browser.open(0, "chat", true, Reliability::Reliable);
    pair.pass(Duration::from_secs(1));
    let label = "chat".to_owned();
    assert_eq!(pair.events(), [ChannelEvent::Opened { id: 0, label, ordered: true, reliable: true }]);
    assert_eq!(pair.browser.heard, [Heard::Ack(0)]);

    pair.browser.text(0, "hello");
    pair.browser.write(0, PayloadProtocolIdentifier::Binary, &[1, 2]);
    pair.browser.write(0, PayloadProtocolIdentifier::StringEmpty, &[0]);
    pair.browser.write(0, PayloadProtocolIdentifier::BinaryEmpty, &[0]);
    pair.run();
    let binary = |data: &'static [u8]| ChannelEvent::Message {
        id: 0,
        kind: MessageKind::Binary,
        data: Bytes::from_static(data),
    };
    assert_eq!(pair.events(), [text(0, "hello"), binary(&[1, 2]), text(0, ""), binary(&[])]);

    pair.browser.heard.clear();
    for (kind, data) in [
        (MessageKind::Text, &b"hi"[..]),
        (MessageKind::Binary, &[3]),
        (MessageKind::Text, &[]),
        (MessageKind::Binary, &[]),
    ] {
        assert_eq!(pair.ours.send(0, kind, data, pair.now), Ok(()));
    }
    assert_eq!(pair.ours.buffered(0), 5, "an empty message takes one byte");
    pair.pass(Duration::from_secs(1));
    let heard = [
        Heard::Text(0, "hi".to_owned()),
        Heard::Binary(0, vec![3]),
        Heard::Text(0, String::new()),
        Heard::Binary(0, Vec::new()),
    ];
    assert_eq!(pair.browser.heard, heard);
    assert_eq!(pair.ours.buffered(0), 0);
    assert_eq!(pair.ours.poll_timeout(), None, "nothing is due while nothing waits");
}

#[test]
fn fifty_messages_arrive_in_order_though_packets_are_lost() {
    for lose in [usize::MAX, 3] {
        let mut pair = Pair::chatting();
        pair.lose = lose;
        let texts: Vec<_> = (0..50).map(|n| format!("message {n}")).collect();
        for sent in &texts {
            pair.browser.text(0, sent);
            pair.send(sent).unwrap();
        }
        pair.pass(Duration::from_secs(60));
        assert_eq!(pair.events(), texts.iter().map(|sent| text(0, sent)).collect::<Vec<_>>());
        assert_eq!(pair.browser.heard, texts.iter().map(|sent| Heard::Text(0, sent.clone())).collect::<Vec<_>>());
    }
}

#[test]
fn a_burst_of_tiny_messages_is_no_offence() {
    let mut pair = Pair::chatting();
    for _ in 0..1_000 {
        pair.browser.text(0, "x");
    }
    for _ in 0..100 {
        pair.run();
        let events = pair.events();
        assert!(events.iter().all(|event| *event == text(0, "x")), "{events:?}");
        pair.carried += events.len();
        pair.pass(Duration::from_millis(100));
    }
    assert_eq!(pair.ours.dropped(), 0);
}

#[test]
fn the_kind_of_a_channel_is_told_and_kept() {
    let mut pair = Pair::new();
    pair.run();
    pair.browser.open(2, "cursor", false, Reliability::Retransmissions(0));
    pair.browser.open(4, "state", true, Reliability::LifetimeMs(100));
    pair.run();
    let opened =
        |id, label: &str, ordered| ChannelEvent::Opened { id, label: label.to_owned(), ordered, reliable: false };
    let mut events = pair.events();
    events.sort_by_key(|event| matches!(event, ChannelEvent::Opened { id: 4, .. }));
    assert_eq!(events, [opened(2, "cursor", false), opened(4, "state", true)]);

    // What the browser does not get in time is given up, and the channel goes on.
    let mut lost = Vec::new();
    pair.ours.send(4, MessageKind::Text, "late", pair.now).unwrap();
    lost.extend(pair.ours.poll_transmit());
    assert_eq!(lost.len(), 1);
    pair.pass(Duration::from_secs(5));
    pair.ours.send(4, MessageKind::Text, "fresh", pair.now).unwrap();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.browser.heard.last(), Some(&Heard::Text(4, "fresh".to_owned())));
    assert!(!pair.browser.heard.contains(&Heard::Text(4, "late".to_owned())));
    assert_eq!(pair.ours.buffered(4), 0);
}

#[test]
fn large_messages_pass_and_larger_ones_are_refused() {
    let mut pair = Pair::chatting();
    let large = "é".repeat(MAX_MESSAGE_BYTES / 2);
    pair.browser.text(0, &large);
    pair.send(&large).unwrap();
    assert_eq!(pair.send(&format!("{large}!")), Err(SendError::TooLarge));
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.events(), [text(0, &large)]);
    assert_eq!(pair.browser.heard, [Heard::Text(0, large)]);
    assert_eq!(pair.ours.send(7, MessageKind::Text, "?", pair.now), Err(SendError::Unknown));
}

#[test]
fn a_message_above_the_advertised_size_is_thrown_away_and_the_channel_goes_on() {
    let mut pair = Pair::chatting();
    pair.browser.association.set_max_send_message_size(1 << 20);
    for bytes in [MAX_MESSAGE_BYTES + 1, 300_000, 384 * 1024] {
        pair.browser.write(0, PayloadProtocolIdentifier::Binary, &vec![0; bytes]);
        pair.browser.text(0, "after it");
        pair.pass(Duration::from_secs(30));
        assert_eq!(pair.events(), [ChannelEvent::Oversized { id: 0, bytes }, text(0, "after it")]);
    }
    pair.send("to you").unwrap();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.browser.heard.last(), Some(&Heard::Text(0, "to you".to_owned())));
}

#[test]
fn a_message_too_long_to_be_thrown_away_ends_the_association() {
    let mut pair = Pair::chatting();
    pair.browser.association.set_max_send_message_size(1 << 20);
    pair.browser.write(0, PayloadProtocolIdentifier::Binary, &vec![0; MAX_DISCARDED_BYTES as usize + 1]);
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.events(), [ChannelEvent::Ended(EndReason::Protocol)]);
    assert_eq!(pair.browser.heard, [Heard::Lost], "the peer is told");
}

#[test]
fn a_full_channel_says_so_and_says_when_it_has_room() {
    let mut pair = Pair::chatting();
    pair.browser.reads = false;
    let kilobyte = "k".repeat(1024);
    let mut sent = 0;
    while pair.send(&kilobyte).is_ok() {
        sent += 1;
    }
    assert_eq!((sent, pair.ours.buffered(0)), (256, 256 * 1024));
    assert_eq!(pair.send(&kilobyte), Err(SendError::Full));
    // The browser takes what its window of 128 KiB holds, so about half of it is left.
    pair.pass(Duration::from_secs(5));
    let events = pair.events();
    assert!(events.len() <= 1, "{events:?}");
    pair.browser.reads = true;
    pair.browser.settle();
    pair.pass(Duration::from_secs(20));
    let later = pair.events();
    assert_eq!([events, later].concat(), [ChannelEvent::Writable { id: 0 }], "once");
    assert_eq!(pair.browser.heard.len(), sent);
    assert_eq!(pair.send(&kilobyte), Ok(()));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.events(), [], "nobody was refused, so nobody is told");
}

#[test]
fn a_window_closed_for_a_while_does_no_harm_and_one_closed_for_good_ends_it() {
    for (closed, stalls) in [(20, false), (40, true)] {
        let mut pair = Pair::chatting();
        pair.browser.reads = false;
        for _ in 0..250 {
            pair.send(&"k".repeat(1024)).unwrap();
        }
        pair.pass(Duration::from_secs(closed));
        if stalls {
            assert_eq!(pair.events(), [ChannelEvent::Ended(EndReason::Stalled)]);
            assert_eq!(pair.send("more"), Err(SendError::Unknown));
            assert_eq!(pair.browser.heard, [Heard::Lost]);
            assert_eq!(pair.ours.poll_timeout(), None);
        } else {
            pair.browser.reads = true;
            pair.browser.settle();
            pair.pass(Duration::from_secs(20));
            assert_eq!(pair.events(), []);
            assert_eq!(pair.browser.heard.len(), 250);
        }
    }
}

#[test]
fn a_slow_reader_that_goes_on_reading_is_no_stall() {
    let mut pair = Pair::chatting();
    pair.browser.reads = false;
    for _ in 0..250 {
        pair.send(&"k".repeat(1024)).unwrap();
    }
    for _ in 0..10 {
        pair.pass(Duration::from_secs(10));
        assert_eq!(pair.events(), []);
        assert!(pair.ours.buffered(0) > 0, "never done, always on the way");
        for _ in 0..10 {
            assert!(pair.browser.association.stream(0).unwrap().read().unwrap().is_some());
        }
    }
}

#[test]
fn a_lossy_channel_that_stalls_is_left_alone() {
    let mut pair = Pair::new();
    pair.run();
    pair.browser.open(0, "cursor", false, Reliability::Retransmissions(1));
    pair.pass(Duration::from_secs(1));
    pair.events();
    pair.browser.reads = false;
    while pair.send(&"k".repeat(1024)).is_ok() {}
    pair.pass(Duration::from_secs(100));
    assert!(!pair.events().iter().any(|event| matches!(event, ChannelEvent::Ended(_))));
}

#[test]
fn who_does_not_take_events_closes_the_window_and_loses_nothing() {
    let mut pair = Pair::chatting();
    let texts: Vec<_> = (0..500).map(|n| format!("{n:04}").repeat(500)).collect();
    for sent in &texts {
        pair.browser.text(0, sent);
    }
    pair.pass(Duration::from_secs(30));
    assert!(pair.ours.events.len() <= MAX_EVENTS);
    assert!(pair.ours.event_bytes <= MAX_EVENT_BYTES + MAX_MESSAGE_BYTES);
    let waiting = pair.browser.association.stream(0).unwrap().buffered_amount().unwrap();
    assert!(waiting > 150_000, "the browser keeps the rest: {waiting}");

    let mut got = Vec::new();
    for _ in 0..100 {
        got.extend(pair.events());
        pair.pass(Duration::from_secs(1));
    }
    assert_eq!(got, texts.iter().map(|sent| text(0, sent)).collect::<Vec<_>>());
    assert_eq!(pair.ours.event_bytes, 0);
}

#[test]
fn a_channel_closed_by_the_browser_is_gone_and_its_id_free() {
    let mut pair = Pair::chatting();
    for round in 0..5 {
        pair.browser.text(0, "last words");
        pair.run();
        pair.browser.association.stream(0).unwrap().close().unwrap();
        pair.pass(Duration::from_secs(5));
        assert_eq!(pair.events(), [text(0, "last words"), ChannelEvent::Closed { id: 0 }], "round {round}");
        assert_eq!(pair.send("too late"), Err(SendError::Unknown));
        pair.browser.open(0, "again", true, Reliability::Reliable);
        pair.pass(Duration::from_secs(5));
        assert!(matches!(&pair.events()[..], [ChannelEvent::Opened { id: 0, label, .. }] if label == "again"));
    }
}

#[test]
fn a_channel_closed_by_us_is_gone_on_the_other_side() {
    let mut pair = Pair::chatting();
    pair.send("last words").unwrap();
    pair.ours.reset(0);
    pair.ours.reset(0);
    assert_eq!(pair.send("too late"), Err(SendError::Unknown));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.events(), [ChannelEvent::Closed { id: 0 }]);
    assert_eq!(pair.browser.heard, [Heard::Text(0, "last words".to_owned()), Heard::Reset(0)]);
    pair.browser.open(0, "again", true, Reliability::Reliable);
    pair.pass(Duration::from_secs(5));
    assert!(matches!(pair.events()[..], [ChannelEvent::Opened { id: 0, .. }]));
    pair.send("hello again").unwrap();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.browser.heard.last(), Some(&Heard::Text(0, "hello again".to_owned())));
}

#[test]
fn a_channel_too_many_is_closed_and_the_others_go_on() {
    let mut pair = Pair::new();
    pair.run();
    for id in 0..17 {
        pair.browser.open(id * 2, "many", true, Reliability::Reliable);
        pair.pass(Duration::from_secs(1));
    }
    let opened = pair.events().iter().filter(|event| matches!(event, ChannelEvent::Opened { .. })).count();
    assert_eq!(opened, 16);
    assert_eq!(pair.browser.heard.iter().filter(|heard| matches!(heard, Heard::Ack(_))).count(), 16);
    assert_eq!(pair.browser.heard.last(), Some(&Heard::Reset(32)));

    pair.browser.association.stream(0).unwrap().close().unwrap();
    pair.pass(Duration::from_secs(5));
    pair.browser.open(40, "room again", true, Reliability::Reliable);
    pair.pass(Duration::from_secs(5));
    assert!(matches!(pair.events()[..], [ChannelEvent::Closed { id: 0 }, ChannelEvent::Opened { id: 40, .. }]));
}

#[test]
fn hostile_opens_close_their_stream_and_nothing_else() {
    let long = [b"\x03\x00\x01\x00\x00\x00\x00\x00\x01\x01\x00\x00".as_slice(), &[b'l'; 257]].concat();
    let hostile: [&[u8]; 7] = [
        b"\x00",
        b"\x03",
        b"\xff",
        b"\x03\x00\x01\x00\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x03\x77\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff",
        &long,
    ];
    let mut pair = Pair::chatting();
    for (id, bytes) in (2..).step_by(2).zip(hostile) {
        let mut stream = pair.browser.association.open_stream(id, PayloadProtocolIdentifier::Dcep).unwrap();
        stream.write(bytes).unwrap();
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.browser.heard.pop(), Some(Heard::Reset(id)), "{bytes:?}");
    }
    assert_eq!(pair.events(), []);
    pair.browser.text(0, "still here");
    pair.run();
    assert_eq!(pair.events(), [text(0, "still here")]);

    // On an open channel, too: it is closed.
    pair.browser.write(0, PayloadProtocolIdentifier::Dcep, b"\x00");
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.events(), [ChannelEvent::Closed { id: 0 }]);
}

#[test]
fn messages_of_unopened_streams_and_unknown_protocols_are_ignored() {
    let mut pair = Pair::chatting();
    pair.browser.association.open_stream(6, PayloadProtocolIdentifier::Binary).unwrap();
    pair.browser.text(6, "who is this");
    pair.browser.write(0, PayloadProtocolIdentifier::Unknown, b"a fragment of old");
    pair.browser.write(0, PayloadProtocolIdentifier::Dcep, b"\x02");
    pair.browser.text(0, "known");
    pair.run();
    assert_eq!(pair.events(), [text(0, "known")]);
    assert_eq!(pair.ours.send(6, MessageKind::Text, "?", pair.now), Err(SendError::Unknown));
}

#[test]
fn a_peer_that_ends_the_association_is_noticed() {
    let mut pair = Pair::chatting();
    pair.browser.association.shutdown().unwrap();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.events(), [ChannelEvent::Ended(EndReason::Peer)]);
    let before = pair.ours.dropped();
    pair.ours.input(pair.now, Bytes::from_static(b"anything"));
    assert_eq!((pair.ours.poll_transmit(), pair.ours.dropped()), (None, before + 1));
    pair.ours.reset(0);
    pair.ours.handle_timeout(pair.now);
    assert_eq!((pair.events(), pair.ours.buffered(0), pair.ours.poll_timeout()), (vec![], 0, None));
}
