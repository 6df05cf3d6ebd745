//! Whatever anybody sends, they get a coded answer or none, and two people who talk meanwhile notice nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::{Client, ClientError, Rewrite};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::common::gaps::{Stream, Watch};
use crate::common::http::Stats;
use crate::common::proxy::Proxy;
use crate::common::server::{Place, Process};
use crate::common::socket::{Heard, RawSocket};
use crate::common::{Dice, eventually, heard, join};

/// Longer than this nobody may be kept from hearing.
const LONGEST_GAP: Duration = Duration::from_millis(100);
/// The room of the two who talk.
const ROOM: &str = "honest";

/// Two who talk to each other.
struct Pair {
    ann: Client,
    bob: Client,
}

impl Pair {
    async fn start(place: Place) -> Self {
        let ann = join(place.guest(ROOM, "Ann")).await;
        let bob = join(place.guest(ROOM, "Bob")).await;
        for client in [&ann, &bob] {
            client.publish(&[Microphone, Camera]).await.expect("it may publish");
        }
        eventually("the two hear each other", async || {
            heard(&ann, &bob, Microphone) > 20 && heard(&bob, &ann, Microphone) > 20
        })
        .await;
        Self { ann, bob }
    }

    fn streams(&self) -> [Stream; 2] {
        [Stream::listen(&self.bob, &self.ann), Stream::listen(&self.ann, &self.bob)]
    }
}

/// What is said over a signalling socket, and what must come of it.
struct Case {
    name: &'static str,
    /// Whether hello comes first.
    after_hello: bool,
    say: Say,
    /// The code of the error.
    code: &'static [&'static str],
    /// The close code, if that is the end; else the conversation goes on.
    close: Option<u16>,
}

enum Say {
    Text(String),
    Binary(Vec<u8>),
    BrokenText(Vec<u8>),
    Often(String, usize),
}

fn offer(sdp: &str) -> Say {
    Say::Text(json!({"type": "offer", "id": 7, "sdp": sdp, "tracks": []}).to_string())
}

fn sdp_of(lines: &str, count: usize) -> String {
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    head.to_owned() + &lines.repeat(count)
}

fn cases() -> Vec<Case> {
    let text = |text: &str| Say::Text(text.to_owned());
    let case = |name, after_hello, say, code, close| Case { name, after_hello, say, code, close };
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n";
    let candidate = "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\n";
    let media = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";
    let malformed: &[&str] = &["sdp/malformed", "sdp/unsupported"];
    let hello = r#"{"type":"hello","version":1,"name":"Eve"}"#;
    vec![
        case("broken JSON", false, text("{\"type\":"), &["message/bad-json"], None),
        case("no JSON", false, text("hello"), &["message/bad-json"], None),
        case("100,000 brackets", false, Say::Text("[".repeat(100_000)), &["message/bad-json", "message/unknown"], None),
        case("unknown type", false, text(r#"{"type":"dance"}"#), &["message/unknown"], None),
        case("a list", false, text("[1,2,3]"), &["message/unknown"], None),
        case("a number", false, text("1e999"), &["message/bad-json", "message/unknown"], None),
        case("offer before hello", false, offer("v=0"), &["message/out-of-order"], None),
        case("no name", false, text(r#"{"type":"hello","version":1,"name":""}"#), &["hello/name"], None),
        case(
            "wrong version",
            false,
            text(r#"{"type":"hello","version":99,"name":"Eve"}"#),
            &["hello/version"],
            Some(4403),
        ),
        case("binary frame", false, Say::Binary(vec![0; 100]), &["message/unknown"], None),
        case("bad UTF-8", true, Say::BrokenText(vec![b'{', 0xff, 0xc0, 0x80, b'}']), &["message/bad-json"], Some(1007)),
        case("hello twice", true, text(hello), &["message/out-of-order"], None),
        case("ill-typed field", true, text(r#"{"type":"mute","track":7,"muted":"no"}"#), &["message/unknown"], None),
        case("foreign track", true, text(r#"{"type":"mute","track":"tx","muted":true}"#), &["track/unknown"], None),
        case("no SDP", true, offer(""), malformed, None),
        case("SDP of noise", true, offer(&"v=0\r\n\u{0}\u{1}=\r\nö".repeat(50)), malformed, None),
        case("SDP over 64 KiB", true, offer(&sdp_of("a=x\r\n", 13_200)), &["sdp/too-large"], None),
        case("2,000 m-lines", true, offer(&sdp_of(audio, 2_000)), &["sdp/too-large"], None),
        case("257 m-lines", true, offer(&sdp_of(audio, 257)), &["sdp/too-large"], None),
        case(
            "one long line",
            true,
            offer(&sdp_of(&format!("a={}\r\n", "y".repeat(60_000)), 1)),
            &["sdp/too-large", "sdp/malformed"],
            None,
        ),
        case("1,000 candidates", true, offer(&(sdp_of(media, 1) + &candidate.repeat(1_000))), &["sdp/too-large"], None),
        case(
            "10,000 short candidates",
            true,
            offer(&(sdp_of(media, 1) + &"a=candidate:1\r\n".repeat(10_000))),
            &["sdp/too-large"],
            None,
        ),
        case(
            "10,000 candidates",
            true,
            offer(&(sdp_of(media, 1) + &candidate.repeat(10_000))),
            &["message/unknown"],
            Some(1009),
        ),
        case("over 256 KiB", true, Say::Text(" ".repeat(256 * 1024 + 1)), &["message/unknown"], Some(1009)),
        case("over 256 KiB, binary", false, Say::Binary(vec![1; 300 * 1024]), &["message/unknown"], Some(1009)),
        case("garbage eleven times", true, Say::Often("?".to_owned(), 11), &["message/bad-json"], Some(4400)),
        case(
            "a flood",
            true,
            Say::Often(r#"{"type":"ping","nonce":1}"#.to_owned(), 600),
            &["message/rate"],
            Some(4429),
        ),
    ]
}

/// Says it and checks the answer; then either the socket is closed, or it still lets in and pongs.
async fn try_case(place: Place, case: Case) {
    let Case { name, after_hello, say, code, close } = case;
    let mut socket = RawSocket::open(place.http, ROOM).await;
    if after_hello {
        socket.hello("Eve").await;
    }
    match say {
        Say::Text(text) => socket.text(text).await,
        Say::Binary(bytes) => socket.binary(bytes).await,
        Say::BrokenText(bytes) => socket.text_frame(bytes).await,
        Say::Often(text, times) => {
            for _ in 0..times {
                socket.text(text.clone()).await;
            }
        }
    }
    if let Some(close) = close {
        let (codes, closed) = socket.until_closed().await;
        assert!(codes.last().is_some_and(|last| code.contains(&last.as_str())), "{name}: {codes:?}");
        assert_eq!(closed, Some(close), "{name}");
        return eprintln!("bad input: {name}: {} error(s), the last {}, and close {close}", codes.len(), code[0]);
    }
    let error = socket.until("error").await;
    let got = error["code"].as_str().unwrap_or_default();
    assert!(code.contains(&got) && error["fatal"] == json!(false), "{name}: {error}");
    if code[0].starts_with("sdp/") {
        assert_eq!(error["id"], json!(7), "{name}: the offer is named");
    }
    if !after_hello {
        socket.hello("Eve").await;
    }
    socket.say(&json!({"type": "ping", "nonce": 5})).await;
    assert_eq!(socket.until("pong").await["nonce"], json!(5), "{name}: it lives on");
    eprintln!("bad input: {name}: {got}, and it lives on");
}

/// Somebody who says nothing is not waited for.
async fn stay_silent(place: Place) {
    let mut socket = RawSocket::open(place.http, ROOM).await;
    let (codes, close) = socket.until_closed().await;
    assert_eq!((codes, close), (vec!["client/silent".to_owned()], Some(4408)));
}

/// Somebody who does not read is put out, and those who write are not held up.
async fn read_slowly(place: Place) {
    const WRITERS: usize = 6;
    let room = "slow";
    let (mut watcher, _) = RawSocket::enter(place.http, room, "watcher").await;
    let mut slow = RawSocket::open_narrow(place.http, room).await;
    let welcome = slow.hello("slow").await;
    let id = welcome["member"]["id"].clone();
    let text = "z".repeat(16 * 1024);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let text = text.clone();
            tokio::spawn(async move {
                let (mut socket, _) = RawSocket::enter(place.http, room, &format!("writer {n}")).await;
                for nonce in 0_u64.. {
                    socket.say(&json!({"type": "chat", "nonce": nonce, "text": text})).await;
                    // Within the rates: a burst of thirty, then ten a second.
                    let pause = if nonce < 29 { 1 } else { 101 };
                    while let Some(heard) = socket.hear_within(Duration::from_millis(pause)).await {
                        assert!(matches!(heard, Heard::Said(_)), "a writer is not to suffer: {heard:?}");
                        if nonce < 29 {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    let left = loop {
        let event = watcher.until("event").await;
        if event["event"]["type"] == "left" && event["event"]["member"] == id {
            break event["event"]["reason"].clone();
        }
    };
    assert_eq!(left, json!("disconnected"));
    // What is left in the pipe, and then the end.
    let (codes, close) = slow.until_closed().await;
    assert_eq!((codes, close), (vec!["client/slow".to_owned()], Some(4413)));
    assert!(writers.iter().all(|writer| !writer.is_finished()), "the writers go on");
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Datagrams that no stranger may get an answer to.
fn strange_datagrams(dice: &mut Dice, ufrag: &str) -> Vec<Vec<u8>> {
    let mut noise = |first: u8, length: usize| {
        let mut bytes: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
        bytes[0] = first;
        bytes
    };
    let mut all: Vec<Vec<u8>> = Vec::new();
    for first in 0..=255 {
        all.extend([1, 2, 12, 13, 20, 28, 300, 1400].map(|length| noise(first, length)));
    }
    // RTP of every payload type, sender and receiver reports, feedback.
    for payload_type in 0..=255 {
        let mut packet = noise(0x80, 160);
        packet[1] = payload_type;
        all.push(packet);
    }
    // A Binding request that names somebody who is here: whole, cut anywhere, and with a false tag.
    let request = binding(ufrag);
    all.extend((0..request.len()).skip(1).map(|length| request[..length].to_vec()));
    let mut tagged = request.clone();
    tagged.extend([0, 8, 0, 20]);
    tagged.extend([0x11; 20]);
    tagged[3] += 24;
    all.extend([request, tagged]);
    all.push(client_hello());
    all.extend((1..60).map(|length| client_hello()[..length].to_vec()));
    all
}

fn binding(ufrag: &str) -> Vec<u8> {
    let name = format!("{ufrag}:evil");
    let padded = name.len().div_ceil(4) * 4;
    let mut packet = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xa4, 0x42];
    packet.extend([7; 12]);
    packet.extend([0, 6, 0, name.len() as u8]);
    packet.extend(name.as_bytes());
    packet.resize(24 + padded, 0);
    packet
}

/// A ClientHello of DTLS 1.2 with one cipher suite and no cookie.
fn client_hello() -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([0x42; 32]);
    // No session, no cookie, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression, no extensions.
    body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0]);
    let length = body.len() as u8;
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, length + 12];
    record.extend([1, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length]);
    record.extend(body);
    record
}

/// All that is dropped, whatever the reason.
fn dropped(stats: &Stats) -> u64 {
    stats.0["shard"]["dropped"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// Strangers send to the media port: each datagram is counted, none is answered.
async fn send_as_strangers(place: Place, ufrag: &str, dice: &mut Dice) {
    let before = Stats::of(place.http).await;
    let datagrams = strange_datagrams(dice, ufrag);
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    stranger.connect(place.udp).await.expect("loopback");
    for (n, datagram) in datagrams.iter().enumerate() {
        stranger.send(datagram).await.expect("loopback takes it");
        if n % 16 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stranger.send(&[]).await.expect("an empty one");
    let sent = datagrams.len() as u64;
    eventually("every datagram of a stranger is counted as dropped", async || {
        let now = Stats::of(place.http).await;
        dropped(&now) >= dropped(&before) + sent
    })
    .await;
    let after = Stats::of(place.http).await;
    for reason in ["unknown-path", "unknown-ufrag", "stun-integrity"] {
        assert!(after.dropped(reason) > before.dropped(reason), "{reason}: {}", after.0);
    }
    let mut answer = [0; 2048];
    let answered = tokio::time::timeout(Duration::from_millis(300), stranger.recv(&mut answer)).await;
    assert!(answered.is_err(), "a stranger was answered: {answered:?} {:?}", &answer[..40]);
    eprintln!("bad input: {sent} datagrams of a stranger: all counted, none answered: {}", after.0["shard"]["dropped"]);
}

/// A client whose certificate is not the one its offer names does not get in.
async fn lie_about_the_certificate(place: Place) {
    let mut options = place.guest(ROOM, "Mallory");
    options.rewrite_offer = Some(Rewrite::new(|sdp| {
        let turned = |line: &str| match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(hash) => {
                let other = if hash.starts_with('0') { "1" } else { "0" };
                format!("a=fingerprint:sha-256 {other}{}\r\n", &hash[1..])
            }
            None => format!("{line}\r\n"),
        };
        sdp.lines().map(turned).collect()
    }));
    let error = Client::join(options).await.expect_err("it must not get in");
    assert!(matches!(error, ClientError::Closed(_)), "{error}");
    let said = error.to_string();
    assert!(said.contains("dtls/fingerprint"), "{said}");
    eprintln!("bad input: a false fingerprint: {said}");
}

/// Each packet of somebody is repeated, forged and cut on its way: the others hear each once.
async fn attack_on_the_way(place: Place, listener: &Client) -> String {
    let proxy = Proxy::start(place.udp).await;
    let ufrag = Arc::new(Mutex::new(String::new()));
    let (note, detour) = (Arc::clone(&ufrag), proxy.detour());
    let mut options = place.guest(ROOM, "Cid");
    options.rewrite_answer = Some(Rewrite::new(move |sdp| {
        let found = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap_or_default();
        found.clone_into(&mut note.lock().unwrap());
        detour.apply(sdp)
    }));
    let cid = join(options).await;
    cid.publish(&[Microphone]).await.expect("it may publish");
    let mut arrivals = listener.arrivals(4096);
    eventually("it is heard through the proxy", async || heard(listener, &cid, Microphone) > 20).await;

    let before = Stats::of(place.http).await;
    proxy.arm(true);
    eventually("enough packets are attacked", async || proxy.attacked() >= 150).await;
    proxy.arm(false);
    let attacked = proxy.attacked();
    let heard_then = heard(listener, &cid, Microphone);
    eventually("it is still heard", async || heard(listener, &cid, Microphone) > heard_then + 20).await;
    let after = Stats::of(place.http).await;
    let more = |reason: &str| after.dropped(reason) - before.dropped(reason);
    let counts: Vec<(&str, u64)> =
        ["srtp-replay", "srtp-auth", "srtp-short", "dtls-guard", "dtls-failed"].map(|r| (r, more(r))).to_vec();
    assert!(more("srtp-replay") >= attacked * 9 / 10, "{attacked} attacked: {counts:?}");
    assert!(more("srtp-auth") >= attacked * 9 / 10, "{attacked} attacked: {counts:?}");
    assert!(more("srtp-short") >= attacked * 9 / 10, "{attacked} attacked: {counts:?}");
    assert!(more("dtls-guard") + more("dtls-failed") >= 2 * attacked * 9 / 10, "{attacked} attacked: {counts:?}");

    let mark = crate::common::mark_of(&cid, Microphone);
    let mut numbers = Vec::new();
    while let Ok(arrival) = arrivals.try_recv() {
        if arrival.stamp.mark == mark {
            numbers.push(arrival.stamp.number);
        }
    }
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "each comes once and in order: {numbers:?}");
    assert_eq!(listener.received()[&mark].duplicates, 0);
    assert!(cid.ended().is_none() && cid.errors().is_empty());
    eprintln!(
        "bad input: {attacked} packets attacked on the way, {} heard, each once; dropped: {counts:?}",
        numbers.len()
    );
    let ufrag = ufrag.lock().unwrap().clone();
    let while_here = ufrag.clone();
    send_as_strangers(place, &while_here, &mut Dice::new("bad input")).await;
    cid.leave().await;
    ufrag
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_notices_bad_input() {
    let attacked = Process::start();
    let elsewhere = Process::start();
    let pair = Pair::start(attacked.place).await;
    let control = Pair::start(elsewhere.place).await;
    let watch = Watch::start(attacked.id());
    let streams = pair.streams();
    let [control_stream, _] = control.streams();

    let slow = tokio::spawn(read_slowly(attacked.place));
    let silent = tokio::spawn(stay_silent(attacked.place));
    for case in cases() {
        try_case(attacked.place, case).await;
    }
    lie_about_the_certificate(attacked.place).await;
    let ufrag = attack_on_the_way(attacked.place, &pair.bob).await;
    assert!(!ufrag.is_empty());
    silent.await.expect("the silent one is put out");
    slow.await.expect("the slow one is put out");

    eventually("only the two are left", async || {
        let stats = Stats::of(attacked.place.http).await;
        (stats.shard("members"), stats.shard("peers"), stats.sessions()) == (2, 2, 2)
    })
    .await;
    for (stream, who) in streams.iter().zip(["Ann", "Bob"]) {
        let verdict = watch.judge(stream, &control_stream);
        eprintln!("bad input: {who}: {} packets; worst gap {verdict:?}", stream.arrivals().len());
        assert!(verdict.unexplained <= LONGEST_GAP, "{who} was not heard for {verdict:?}");
    }
    for client in [&pair.ann, &pair.bob] {
        assert!(client.errors().is_empty() && client.ended().is_none());
        assert!(client.received().values().all(|received| received.duplicates == 0));
    }

    // The judge is not blind: a server that stands still is found out.
    attacked.pause(Duration::from_millis(300)).await;
    let [stream, _] = &streams;
    let seen = stream.arrivals().len();
    eventually("they are heard again", async || stream.arrivals().len() > seen + 20).await;
    let verdict = watch.judge(stream, &control_stream);
    assert!(verdict.unexplained > LONGEST_GAP, "a stop of 300 ms was judged {verdict:?}");
    for Pair { ann, bob } in [pair, control] {
        ann.leave().await;
        bob.leave().await;
    }
}

/// The addresses are what they seem, or the rest would prove nothing.
#[tokio::test]
async fn a_server_process_says_where_it_is() {
    let mut server = Process::start();
    let loopback = |address: SocketAddr| address.ip().is_loopback() && address.port() != 0;
    assert!(loopback(server.place.http) && loopback(server.place.udp) && server.is_alive());
    let stats: Value = Stats::of(server.place.http).await.0;
    assert_eq!(stats["shard"]["peers"], json!(0));
}
