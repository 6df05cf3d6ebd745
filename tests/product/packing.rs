//! Packed frames over real sockets: a burst of joins costs few frames, large ones are compressed, both ways.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use serde_json::{Value, json};

use crate::common::http;
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::{eventually, heard, join};

const ROOM: &str = "busy";
/// Those who enter in one burst.
const CROWD: usize = 60;

fn packed(message: &Value) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message.to_string().as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The numbers of the events that tell of a join, until there are so many.
async fn joins(socket: &mut RawSocket, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        match socket.hear().await {
            Heard::Said(message) if message["event"]["type"] == "joined" => {
                seqs.push(message["event"]["seq"].as_u64().unwrap());
            }
            Heard::Said(_) => {}
            end => panic!("{end:?} after {seqs:?}"),
        }
    }
    seqs
}

/// Has the crowd enter at once; the sockets, which are to be kept.
async fn let_in_a_crowd(running: &Running) -> Vec<RawSocket> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(RawSocket::open(running.place.http, ROOM).await);
    }
    for (n, socket) in crowd.iter_mut().enumerate() {
        socket.say(&json!({"type": "hello", "version": 1, "name": format!("Guest {n}")})).await;
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_joins_comes_in_few_frames_and_whole() {
    let running = Running::start().await;
    let (mut plain, welcome) = RawSocket::enter(running.place.http, ROOM, "Plain").await;
    assert_eq!(welcome["accepted"], Value::Null, "who asked for nothing is told nothing");
    let mut packs = RawSocket::open(running.place.http, ROOM).await;
    let welcome = packs.hello_packed("Packs").await;
    assert_eq!(welcome["accepted"], json!(["batch", "deflate"]));
    // Her own welcome is behind the event of her own entry; the other sees it.
    let first = joins(&mut plain, 1).await;
    packs.until("chatHistory").await;
    plain.say(&json!({"type": "ping", "nonce": 1})).await;
    plain.until("pong").await;

    let (before_plain, before_packs, began) = (plain.frames, packs.frames, Instant::now());
    let crowd = let_in_a_crowd(&running).await;
    let (seen, seen_packed) = tokio::join!(joins(&mut plain, CROWD), joins(&mut packs, CROWD));
    let ticks = began.elapsed().as_millis() / 20 + 1;
    assert_eq!(seen, seen_packed, "both see the same");
    assert!(seen.iter().copied().eq((first[0] + 1..).take(CROWD)), "in order, without a gap: {seen:?}");

    let (plain, packs) = (plain.frames.since(before_plain), packs.frames.since(before_packs));
    eprintln!("{CROWD} joins: plain {plain:?}, packed {packs:?} in {ticks} ticks");
    assert!(plain.text >= CROWD && plain.binary == 0, "{plain:?}");
    let frames = packs.text + packs.binary;
    assert!(frames as u128 <= ticks + 1, "{packs:?} in {ticks} ticks");
    // A machine that is slow enough stretches the burst over as many ticks; the brackets of the arrays are all it can cost.
    assert!(packs.bytes <= plain.bytes + 3 * frames, "{packs:?} instead of {plain:?}");
    let is_a_burst = ticks < CROWD as u128 / 4;
    assert!(!is_a_burst || packs.bytes < plain.bytes, "{packs:?} instead of {plain:?}");
    drop(crowd);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_welcome_to_a_full_room_is_compressed() {
    let running = Running::start().await;
    let mut crowd = let_in_a_crowd(&running).await;
    for socket in &mut crowd {
        socket.until("welcome").await;
    }
    let (plain, _) = RawSocket::enter(running.place.http, ROOM, "Plain").await;
    let mut packs = RawSocket::open(running.place.http, ROOM).await;
    let welcome = packs.hello_packed("Packs").await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["state"]["members"].as_array().unwrap().len(), CROWD + 2);
    eprintln!("a welcome with {CROWD} people: plain {:?}, packed {:?}", plain.frames, packs.frames);
    assert_eq!((packs.frames.text, packs.frames.binary), (0, 1), "it is the first to be compressed");
    assert!(packs.frames.bytes * 2 < plain.frames.bytes, "{:?} instead of {:?}", packs.frames, plain.frames);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_compress_what_it_says() {
    let running = Running::start().await;
    let mut ann = RawSocket::open(running.place.http, ROOM).await;
    ann.hello_packed("Ann").await;
    let (mut bob, _) = RawSocket::enter(running.place.http, ROOM, "Bob").await;
    let text = "all of it, ".repeat(1_000);
    ann.binary(packed(&json!({"type": "chat", "nonce": 5, "text": text}))).await;
    let (own, theirs) = (ann.until("chat").await, bob.until("chat").await);
    assert_eq!((&own["message"]["text"], &own["nonce"]), (&json!(text), &json!(5)));
    assert_eq!(theirs["message"]["text"], json!(text));
    ann.binary(vec![0xff; 40]).await;
    assert_eq!(ann.until("error").await["code"], "message/unknown", "noise is refused, and no more");
    ann.binary(packed(&json!({"type": "ping", "nonce": 6}))).await;
    ann.until("pong").await;

    ann.binary(packed(&json!(" ".repeat(32 << 20)))).await;
    let (codes, close) = ann.until_closed().await;
    assert_eq!((codes.last().map(String::as_str), close), (Some("message/unknown"), Some(1009)), "a bomb");
    bob.say(&json!({"type": "ping", "nonce": 7})).await;
    bob.until("pong").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_that_is_waited_for_and_nothing_is_left_behind() {
    let running = Running::start().await;
    let mut packs = RawSocket::open(running.place.http, ROOM).await;
    packs.hello_packed("Packs").await;
    let (mut bob, _) = RawSocket::enter(running.place.http, ROOM, "Bob").await;
    let who = packs.until("event").await["event"]["member"]["id"].clone();
    // An event within a tick of another frame has no frame of its own to come with; it comes all the same.
    for n in 0..10 {
        packs.say(&json!({"type": "ping", "nonce": n})).await;
        packs.until("pong").await;
        bob.say(&json!({"type": "typing", "typing": n % 2 == 0})).await;
        bob.say(&json!({"type": "chat", "nonce": n, "text": "now"})).await;
        packs.until("chat").await;
    }
    bob.say(&json!({"type": "leave"})).await;
    loop {
        let left = packs.until("event").await["event"].clone();
        if left["type"] == "left" && left["member"] == who {
            break;
        }
    }
    packs.say(&json!({"type": "leave"})).await;
    assert_eq!(packs.until_closed().await.1, Some(1000));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_carry_single_messages_whatever_hello_says() {
    let running = Running::start().await;
    let (status, body) = http::post(running.place.http, "/signal?room=busy", &json!(null)).await;
    assert_eq!(status, 201, "{body}");
    let session = serde_json::from_str::<Value>(&body).unwrap()["session"].as_str().unwrap().to_owned();
    let hello = json!([{"type": "hello", "version": 1, "name": "Ann", "accept": ["batch", "deflate"]}]);
    http::post(running.place.http, &format!("/signal/{session}?first=1"), &hello).await;
    let answer = http::json(running.place.http, &format!("/signal/{session}/messages?after=0&wait=5")).await;
    let welcome = &answer["messages"][0]["message"];
    assert_eq!((&welcome["type"], &welcome["accepted"]), (&json!("welcome"), &Value::Null), "{answer}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_works_over_packed_frames() {
    let running = Running::start().await;
    let packs = |name| {
        let mut options = running.place.guest(ROOM, name);
        options.accept = vec!["batch".to_owned(), "deflate".to_owned()];
        options
    };
    let (ann, bob) = (join(packs("Ann")).await, join(packs("Bob")).await);
    assert_eq!(ann.welcome().accepted.len(), 2);
    for client in [&ann, &bob] {
        client.publish(&[Microphone, Camera]).await.expect("it may publish");
    }
    eventually("the two hear each other", async || {
        heard(&ann, &bob, Microphone) > 20 && heard(&bob, &ann, Microphone) > 20
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for client in [ann, bob] {
        client.leave().await;
    }
    running.stop().await;
}
