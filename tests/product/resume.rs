//! Who loses the connection and comes back: the same member, nothing missed, nothing twice.

use std::time::Duration;

use roundtable::Config;
use roundtable::protocol::event::TrackSource;
use roundtable::protocol::message::SubscribeChange;
use roundtable::protocol::{EventBody, ServerMessage};
use roundtable_client::{Client, Return};
use serde_json::{Value, json};

use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, heard, join};

async fn server(resume_within: Duration) -> Running {
    let mut config = Config::default();
    config.rooms.resume_within = resume_within;
    Running::start_with(config).await
}

const LONG: Duration = Duration::from_secs(60);

/// The names of the events that come until now.
fn events(messages: &mut tokio::sync::broadcast::Receiver<ServerMessage>) -> Vec<&'static str> {
    let next = || messages.try_recv().ok();
    let named = |message| match message {
        ServerMessage::Event { event } => Some(event.body.name()),
        _ => None,
    };
    std::iter::from_fn(next).filter_map(named).collect()
}

/// Everything that was written, as a client has it.
fn texts(client: &Client) -> Vec<String> {
    let lines = client.chat_log();
    let mut seqs: Vec<u64> = lines.iter().map(|line| line.message.seq).collect();
    let in_order = seqs.is_sorted();
    seqs.dedup();
    assert!(in_order && seqs.len() == lines.len(), "once and in order: {seqs:?}");
    lines.into_iter().map(|line| line.message.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_socket_costs_nothing_but_the_socket() {
    let server = server(LONG).await;
    let mut ann = join(server.place.guest("daily", "Ann")).await;
    let bob = join(server.place.guest("daily", "Bob")).await;
    ann.publish(&[TrackSource::Microphone, TrackSource::Camera]).await.unwrap();
    eventually("Bob hears Ann", async || heard(&bob, &ann, TrackSource::Microphone) > 10).await;
    assert!(ann.wait_for(SOON, |ann| ann.state().members.len() == 2).await);
    let mut told = bob.messages();

    ann.drop_socket().await;
    let before = heard(&bob, &ann, TrackSource::Microphone);
    for n in 0..25 {
        bob.chat(&format!("{n}")).await.unwrap();
    }
    let cid = join(server.place.guest("daily", "Cid")).await;
    eventually("Bob hears Ann go on", async || heard(&bob, &ann, TrackSource::Microphone) > before + 25).await;

    let (ann, how) = ann.come_back(false).await.unwrap();
    assert_eq!(how, Return::Untouched);
    let all: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    assert!(ann.wait_for(SOON, |ann| ann.chat_log().len() >= 25).await, "{:?}", texts(&ann));
    assert!(ann.wait_for(SOON, |ann| ann.state().members.len() == 3).await, "{:?}", ann.state());
    cid.chat("welcome back").await.unwrap();
    assert!(ann.wait_for(SOON, |ann| ann.chat_log().len() >= 26).await);
    assert_eq!(texts(&ann), [all, vec!["welcome back".to_owned()]].concat());
    assert_eq!(
        events(&mut told).iter().filter(|name| **name != "speaking" && **name != "dominantSpeaker").collect::<Vec<_>>(),
        [&"joined"],
        "Cid alone"
    );
    // What it says counts as what the member says.
    ann.mute(TrackSource::Microphone, true).await.unwrap();
    assert!(bob.wait_for(SOON, |bob| bob.state().tracks.iter().any(|track| track.muted)).await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_connection_keeps_tracks_and_wishes() {
    let server = server(LONG).await;
    let ann = join(server.place.guest("daily", "Ann")).await;
    let bob = join(server.place.guest("daily", "Bob")).await;
    ann.publish(&[TrackSource::Microphone, TrackSource::Camera, TrackSource::Screen]).await.unwrap();
    let camera = ann.track(TrackSource::Camera).await.unwrap();
    let screen = ann.track(TrackSource::Screen).await.unwrap();
    bob.subscribe(vec![SubscribeChange { track: screen.clone(), wanted: false }]).await.unwrap();
    eventually("Bob sees Ann", async || heard(&bob, &ann, TrackSource::Camera) > 10).await;
    let mut told = bob.messages();

    let (ann, how) = ann.come_back(true).await.unwrap();
    assert_eq!(how, Return::Reconnected);
    assert_eq!(ann.track(TrackSource::Camera).await, Some(camera));
    let before = heard(&bob, &ann, TrackSource::Camera);
    eventually("Bob sees Ann again", async || heard(&bob, &ann, TrackSource::Camera) > before + 10).await;
    let unwanted = heard(&bob, &ann, TrackSource::Screen);
    eventually("Bob hears Ann again", async || heard(&bob, &ann, TrackSource::Microphone) > before + 50).await;
    assert_eq!(heard(&bob, &ann, TrackSource::Screen), unwanted, "what was not wanted still is not");
    let told = events(&mut told);
    assert!(!told.iter().any(|name| ["left", "joined", "published", "unpublished"].contains(name)), "{told:?}");
    // A receiver loses its connection: it is shown all again.
    let before = heard(&bob, &ann, TrackSource::Camera);
    let (bob, how) = bob.come_back(true).await.unwrap();
    assert_eq!(how, Return::Reconnected);
    eventually("Bob sees Ann on new slots", async || heard(&bob, &ann, TrackSource::Camera) > 10).await;
    assert!(before > 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stays_away_for_too_long_is_out_and_comes_as_somebody_new() {
    let server = server(Duration::from_secs(1)).await;
    let (ann, welcome) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    let bob = join(server.place.guest("daily", "Bob")).await;
    let mut told = bob.messages();
    drop(ann);
    assert!(bob.wait_for(SOON, |bob| bob.state().members.len() == 1).await);
    assert_eq!(events(&mut told), ["left"]);
    let mut again = RawSocket::open(server.place.http, "daily").await;
    again.say(&hello_again(&welcome, welcome["resume"]["token"].as_str().unwrap(), 1)).await;
    let Heard::Said(answer) = again.hear().await else { panic!("no answer") };
    assert_eq!(answer["type"], "welcome");
    assert_ne!(answer["member"]["id"], welcome["member"]["id"]);
    server.stop().await;
}

fn hello_again(welcome: &Value, token: &str, seq: u64) -> Value {
    let resume = json!({"token": token, "epoch": welcome["state"]["epoch"], "seq": seq});
    json!({"type": "hello", "version": 1, "name": "Ann", "resume": resume})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_token_of_this_room_resumes_and_the_newer_socket_counts() {
    let server = server(LONG).await;
    let (mut ann, welcome) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    let (_bob, other) = RawSocket::enter(server.place.http, "daily", "Bob").await;
    let token = welcome["resume"]["token"].as_str().unwrap().to_owned();
    let stolen = format!("{}:{}", welcome["member"]["id"].as_str().unwrap(), "A".repeat(22));
    let mixed = format!(
        "{}:{}",
        welcome["member"]["id"].as_str().unwrap(),
        other["resume"]["token"].as_str().unwrap().split_once(':').unwrap().1
    );
    for bad in ["", "x", &stolen, &mixed, &"y".repeat(5_000)] {
        let mut thief = RawSocket::open(server.place.http, "daily").await;
        thief.say(&hello_again(&welcome, bad, 1)).await;
        let answer = thief.until("welcome").await;
        assert_ne!(answer["member"]["id"], welcome["member"]["id"], "{bad}");
    }
    let mut elsewhere = RawSocket::open(server.place.http, "weekly").await;
    elsewhere.say(&hello_again(&welcome, &token, 1)).await;
    elsewhere.until("welcome").await;

    let mut newer = RawSocket::open(server.place.http, "daily").await;
    newer.say(&hello_again(&welcome, &token, 1)).await;
    let resumed = newer.until("resumed").await;
    assert_eq!(resumed["member"], welcome["member"]);
    assert_eq!((&resumed["media"], resumed.get("state")), (&json!(false), None));
    assert_eq!(newer.until("event").await["event"]["seq"], 2, "what came after the first event");
    assert_eq!(ann.until_closed().await, (vec!["client/replaced".to_owned()], Some(4409)));
    // Nothing of the older one has any effect any more.
    newer.say(&json!({"type": "chat", "nonce": 1, "text": "still here"})).await;
    newer.until("chat").await;

    // A number that was never given out: all of it anew.
    let mut lost = RawSocket::open(server.place.http, "daily").await;
    lost.say(&hello_again(&welcome, &token, 1_000_000)).await;
    let resumed = lost.until("resumed").await;
    assert!(resumed["state"]["seq"].as_u64().is_some_and(|seq| seq > 2), "{resumed}");
    assert_eq!(lost.until("chatHistory").await["messages"][0]["text"], "still here");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_closes_the_socket_has_left() {
    let server = server(LONG).await;
    let bob = join(server.place.guest("daily", "Bob")).await;
    for (code, stays) in [(1000, false), (1001, false), (4000, true)] {
        let (ann, _) = RawSocket::enter(server.place.http, "daily", "Ann").await;
        assert!(bob.wait_for(SOON, |bob| bob.state().members.len() == 2).await);
        let mut told = bob.messages();
        ann.close(code).await;
        if stays {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(events(&mut told), Vec::<&str>::new(), "{code}");
        } else {
            assert!(bob.wait_for(SOON, |bob| bob.state().members.len() == 1).await, "{code}");
        }
    }
    server.stop().await;
}

/// What the server writes to somebody who has just closed fails, perhaps before it has read that they did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_closes_the_socket_while_much_is_told_has_left() {
    const LEAVERS: usize = 80;
    let server = server(LONG).await;
    let bob = join(server.place.guest("daily", "Bob")).await;
    let mut leavers = Vec::new();
    for n in 0..LEAVERS {
        leavers.push(RawSocket::enter(server.place.http, "daily", &format!("Leaver {n}")).await.0);
    }
    // Each of them is told of all who went before.
    for leaver in leavers {
        leaver.close(1000).await;
    }
    assert!(bob.wait_for(SOON, |bob| bob.state().members.len() == 1).await, "{:?}", bob.state().members);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_again_after_a_lost_answer_is_there_once() {
    let server = server(LONG).await;
    let (mut ann, welcome) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    for nonce in 1..=20 {
        ann.say(&json!({"type": "chat", "nonce": nonce, "text": format!("line {nonce}")})).await;
    }
    let first = ann.until("chat").await;
    drop(ann);
    let mut again = RawSocket::open(server.place.http, "daily").await;
    let token = welcome["resume"]["token"].as_str().unwrap();
    again.say(&hello_again(&welcome, token, first["message"]["seq"].as_u64().unwrap())).await;
    again.until("resumed").await;
    for nonce in 1..=22 {
        again.say(&json!({"type": "chat", "nonce": nonce, "text": format!("line {nonce}")})).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let mut ids = std::collections::BTreeMap::new();
    while ids.len() < 22 {
        let chat = again.until("chat").await;
        let message = &chat["message"];
        let nonce = message["nonce"].as_u64().unwrap();
        let id = ids.entry(nonce).or_insert_with(|| message["id"].clone());
        assert_eq!(*id, message["id"], "number {nonce} is one message");
    }
    let (mut bob, _) = RawSocket::enter(server.place.http, "daily", "Bob").await;
    let history = bob.until("chatHistory").await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 22);
    server.stop().await;
}

/// The journal of the room tells nobody of sockets that come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_has_one_join_however_often_the_socket_is_lost() {
    let server = server(LONG).await;
    let mut ann = join(server.place.guest("daily", "Ann")).await;
    for _ in 0..5 {
        (ann, _) = ann.come_back(false).await.unwrap();
    }
    let bob = join(server.place.guest("daily", "Bob")).await;
    assert_eq!(bob.state().seq, 2);
    assert!(ann.wait_for(SOON, |ann| ann.state().members.len() == 2).await);
    let joined = |message: ServerMessage| matches!(message, ServerMessage::Event { event } if matches!(event.body, EventBody::Joined { .. }));
    let mut told = bob.messages();
    let (_ann, _) = ann.come_back(false).await.unwrap();
    assert!(!std::iter::from_fn(|| told.try_recv().ok()).any(joined));
    server.stop().await;
}
