//! A call, end to end: a real server, and clients on an independent stack who are told apart by the marks in their packets.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roundtable::protocol::event::TrackSource::{self, Camera, Microphone, Screen, ScreenAudio};
use roundtable::protocol::message::SubscribeChange;
use roundtable::protocol::{EventBody, ServerMessage};
use roundtable_client::{Client, Rewrite};
use serde_json::json;

use crate::common::events::{EventReader, Notice};
use crate::common::http::{Stats, get, json};
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, heard, join, mark_of, marks_within};

/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 10;
const BOTH: [TrackSource; 2] = [Microphone, Camera];

async fn publish(client: &Client, sources: &[TrackSource]) {
    client.publish(sources).await.unwrap_or_else(|error| panic!("{:?} cannot publish: {error}", client.member()));
}

/// Waits until every one of `clients` receives `sources` of every other.
async fn until_all_hear_all(clients: &[&Client], sources: &[TrackSource]) -> Duration {
    let all_heard = || {
        let pairs = clients.iter().flat_map(|me| clients.iter().map(move |of| (me, of)));
        pairs
            .filter(|(me, of)| me.member() != of.member())
            .all(|(me, of)| sources.iter().all(|source| heard(me, of, *source) >= ENOUGH))
    };
    eventually("everybody hears everybody else", async || all_heard()).await
}

/// Waits until packets of a source come again.
async fn until_heard_again(client: &Client, of: &Client, source: TrackSource) -> Duration {
    let before = heard(client, of, source);
    eventually("packets flow", async || heard(client, of, source) >= before + ENOUGH).await
}

/// The latest packet of a source must have come within `at_most` after `since`, and none may follow.
async fn assert_silent_from(client: &Client, of: &Client, source: TrackSource, since: Instant, at_most: Duration) {
    tokio::time::sleep((since + at_most).saturating_duration_since(Instant::now())).await;
    let before = heard(client, of, source);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(heard(client, of, source), before, "{source:?} goes on {at_most:?} after it should have ended");
}

/// What each of `clients` receives must be exactly what the others send.
async fn assert_exactly_the_others(clients: &[&Client], sources: &[TrackSource]) {
    for me in clients {
        let others = clients.iter().filter(|of| of.member() != me.member());
        let expected: HashSet<u64> =
            others.flat_map(|of| sources.iter().map(move |source| mark_of(of, *source))).collect();
        assert_eq!(marks_within(me, Duration::from_millis(500)).await, expected);
        assert!(me.received().values().all(|received| received.duplicates == 0), "nothing comes twice");
        assert!(me.errors().is_empty(), "{:?}", me.errors());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hear_exactly_each_other_through_changes_of_mind() {
    let server = Running::start().await;
    let ann = join(server.place.guest("two", "Ann")).await;
    let bob = join(server.place.guest("two", "Bob")).await;
    publish(&ann, &BOTH).await;
    publish(&bob, &BOTH).await;
    let took = until_all_hear_all(&[&ann, &bob], &BOTH).await;
    eprintln!("two: everybody heard {ENOUGH} packets of each track {took:?} after the last published");
    assert_exactly_the_others(&[&ann, &bob], &BOTH).await;

    // Mute: the client goes on sending, the server forwards nothing.
    let sent = ann.sent(Microphone);
    let since = Instant::now();
    ann.mute(Microphone, true).await.unwrap();
    assert_silent_from(&bob, &ann, Microphone, since, Duration::from_secs(1)).await;
    assert!(ann.sent(Microphone) > sent + 20, "it is the server that keeps silent");
    let muted =
        |client: &Client| client.state().tracks.iter().any(|track| track.muted && track.member == *ann.member());
    assert!(bob.wait_for(SOON, muted).await && ann.wait_for(SOON, muted).await, "both are told");
    until_heard_again(&bob, &ann, Camera).await;
    ann.mute(Microphone, false).await.unwrap();
    let took = until_heard_again(&bob, &ann, Microphone).await;
    eprintln!("two: heard again {took:?} after unmute");

    // A muted camera comes back with a key frame.
    let since = Instant::now();
    ann.mute(Camera, true).await.unwrap();
    assert_silent_from(&bob, &ann, Camera, since, Duration::from_secs(1)).await;
    ann.mute(Camera, false).await.unwrap();
    until_heard_again(&bob, &ann, Camera).await;

    // Unpublish, and publish again on the same m-line.
    let first = ann.track(Microphone).await.expect("it is published");
    let since = Instant::now();
    ann.unpublish(&[Microphone]).await.unwrap();
    assert_silent_from(&bob, &ann, Microphone, since, Duration::from_secs(1)).await;
    assert!(bob.wait_for(SOON, |bob| bob.state().track(&first).is_none()).await);
    assert!(bob.wait_for(SOON, |bob| !carries(bob, &first)).await, "its slot is idle");
    publish(&ann, &[Microphone]).await;
    let second = ann.track(Microphone).await.expect("it is published again");
    assert_ne!(first, second, "it is another publication");
    until_heard_again(&bob, &ann, Microphone).await;
    assert!(bob.wait_for(SOON, |bob| carries(bob, &second)).await, "a slot says so");

    // One unwanted track of four; a screen too.
    publish(&ann, &[Screen, ScreenAudio]).await;
    until_heard_again(&bob, &ann, Screen).await;
    until_heard_again(&bob, &ann, ScreenAudio).await;
    let camera = ann.track(Camera).await.expect("it is published");
    let wish = |wanted| vec![SubscribeChange { track: camera.clone(), wanted }];
    let since = Instant::now();
    bob.subscribe(wish(false)).await.unwrap();
    assert_silent_from(&bob, &ann, Camera, since, Duration::from_secs(1)).await;
    let rest: HashSet<u64> = [Microphone, Screen, ScreenAudio].map(|source| mark_of(&ann, source)).into();
    assert_eq!(marks_within(&bob, Duration::from_millis(500)).await, rest, "only that one stops");
    bob.subscribe(wish(true)).await.unwrap();
    until_heard_again(&bob, &ann, Camera).await;

    // None of this cost an offer that the client did not want to make.
    assert_eq!((ann.offers(), bob.offers()), (4, 2), "joining, and each publish");
    let missing: u64 = bob.slot_numbers().values().map(|numbers| numbers.missing).sum();
    assert_eq!(missing, 0, "slots are numbered through all changes");
    assert!(ann.errors().is_empty() && bob.errors().is_empty());
    ann.leave().await;
    bob.leave().await;
    server.stop().await;
}

/// Whether one of the client's slots carries the track.
fn carries(client: &Client, track: &roundtable::protocol::TrackId) -> bool {
    client.slots().values().any(|slot| slot.track.as_ref().is_some_and(|owner| owner.id == *track))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hear_exactly_the_others_and_who_leaves_is_gone_within_a_second() {
    let server = Running::start().await;
    let mut clients = Vec::new();
    for name in ["Ann", "Bob", "Cid", "Dee"] {
        let client = join(server.place.guest("four", name)).await;
        publish(&client, &BOTH).await;
        clients.push(client);
    }
    let mut quiet = server.place.guest("four", "Eve");
    quiet.max_seats = 0;
    let eve = join(quiet).await;
    assert_eq!(eve.welcome().seats, 0);
    publish(&eve, &[Microphone]).await;

    let all: Vec<&Client> = clients.iter().collect();
    until_all_hear_all(&all, &BOTH).await;
    for client in &all {
        until_heard_again(client, &eve, Microphone).await;
    }
    eve.unpublish(&[Microphone]).await.unwrap();
    let gone = |client: &Client| client.state().tracks.len() == 8;
    for client in &all {
        assert!(client.wait_for(SOON, gone).await);
    }
    assert_exactly_the_others(&all, &BOTH).await;
    assert!(eve.received().is_empty() && eve.slots().is_empty(), "without a seat nothing comes");
    assert_eq!((eve.growths(), eve.offers()), (0, 2));
    let stats = Stats::of(server.place.http).await;
    assert_eq!((stats.shard("members"), stats.shard("peers"), stats.shard("tracks")), (5, 5, 8));
    assert_eq!(stats.shard("connectedPeers"), 5);

    let dee = clients.pop().expect("there are four");
    let id = dee.member().clone();
    let began = Instant::now();
    let leaving = tokio::spawn(dee.leave());
    for client in &clients {
        let is_gone = |client: &Client| {
            let shown = client.slots().values().any(|s| s.track.as_ref().is_some_and(|owner| owner.member == id));
            client.state().member(&id).is_none() && !shown
        };
        assert!(client.wait_for(SOON, is_gone).await);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "gone everywhere after {:?}", began.elapsed());
    eventually("the peer's state is freed", async || {
        let stats = Stats::of(server.place.http).await;
        (stats.shard("members"), stats.shard("peers"), stats.shard("tracks")) == (4, 4, 6)
    })
    .await;
    leaving.await.unwrap();
    let rest: Vec<&Client> = clients.iter().collect();
    assert_exactly_the_others(&rest, &BOTH).await;
    assert!(rest.iter().all(|client| client.offers() == 2), "nobody had to offer because of another");

    for client in clients.into_iter().chain([eve]) {
        client.leave().await;
    }
    eventually("nothing is left", async || {
        let stats = Stats::of(server.place.http).await;
        ["rooms", "members", "peers", "paths", "tracks", "slots"].iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ice_restarts_under_running_media() {
    let server = Running::start().await;
    let ufrags = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&ufrags);
    let mut options = server.place.guest("restart", "Ann");
    options.rewrite_answer = Some(Rewrite::new(move |sdp| {
        let ufrag = sdp.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap_or_default().to_owned();
        note.lock().unwrap().push(ufrag);
        sdp
    }));
    let ann = join(options).await;
    let bob = join(server.place.guest("restart", "Bob")).await;
    publish(&ann, &BOTH).await;
    publish(&bob, &BOTH).await;
    until_all_hear_all(&[&ann, &bob], &BOTH).await;
    for _ in 0..3 {
        ann.restart_ice().await.unwrap();
        until_heard_again(&bob, &ann, Microphone).await;
        until_heard_again(&ann, &bob, Microphone).await;
    }
    let ufrags = ufrags.lock().unwrap().clone();
    let different: HashSet<&String> = ufrags.iter().collect();
    assert_eq!((ufrags.len(), different.len()), (5, 4), "joining and publishing share one, each restart has its own");
    // Long enough for an agent that lost its pair to notice.
    assert_exactly_the_others(&[&ann, &bob], &BOTH).await;
    let stats = Stats::of(server.place.http).await;
    assert_eq!((stats.shard("peers"), stats.shard("connectedPeers")), (2, 2));
    ann.leave().await;
    bob.leave().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_goes_both_ways_in_order_and_late_joiners_read_the_last_two_hundred() {
    let server = Running::start().await;
    let ann = join(server.place.guest("chat", "Ann")).await;
    let bob = join(server.place.guest("chat", "Bob")).await;
    let reader = EventReader::open(server.place.http, "chat", None).await;
    for client in [&ann, &bob] {
        assert!(client.wait_for(SOON, Client::chat_channel_is_open).await);
    }

    // Both at once, within the burst.
    let mut nonces = (Vec::new(), Vec::new());
    for n in 0..25 {
        nonces.0.push(ann.chat(&format!("Ann {n} – „ü“ 👋")).await.unwrap());
        nonces.1.push(bob.chat(&format!("Bob {n}")).await.unwrap());
    }
    for client in [&ann, &bob] {
        assert!(client.wait_for(SOON, |client| client.chat_log().len() >= 50).await, "{}", client.chat_log().len());
    }
    let of_ann = ann.chat_log();
    let messages = |client: &Client| client.chat_log().into_iter().map(|line| line.message).collect::<Vec<_>>();
    assert_eq!(messages(&ann), messages(&bob), "both see the same in the same order");
    assert!(of_ann.windows(2).all(|pair| pair[0].message.seq < pair[1].message.seq));
    for (client, own) in [(&ann, &nonces.0), (&bob, &nonces.1)] {
        let lines = client.chat_log();
        assert_eq!(lines.len(), 50, "each exactly once");
        assert!(lines.iter().all(|line| line.over_channel), "over the data channel");
        let acknowledged: Vec<u32> = lines.iter().filter_map(|line| line.nonce).collect();
        assert_eq!(&acknowledged, own, "each own message is acknowledged, in order, and no other");
        let texts = lines.iter().filter(|line| line.nonce.is_some()).map(|line| &line.message.member);
        assert!(texts.clone().all(|member| member == client.member()));
    }

    // Refusals carry the nonce and lose nothing else.
    ann.chat("  ").await.unwrap();
    ann.chat(&"x".repeat(16 * 1024 + 1)).await.unwrap();
    assert!(ann.wait_for(SOON, |ann| ann.errors().len() == 2).await);
    assert_eq!(ann.errors().iter().map(|code| code.as_str()).collect::<Vec<_>>(), ["chat/empty", "chat/too-long"]);
    let longest = "y".repeat(16 * 1024);
    ann.chat(&longest).await.unwrap();
    assert!(bob.wait_for(SOON, |bob| bob.chat_log().last().is_some_and(|line| line.message.text == longest)).await);

    // Eight without media fill the history over the WebSocket: 240 at once, which their bursts allow.
    let mut writers = Vec::new();
    for n in 0..8 {
        writers.push(RawSocket::enter(server.place.http, "chat", &format!("writer {n}")).await.0);
    }
    for (n, writer) in writers.iter_mut().enumerate() {
        for nonce in 0..30 {
            writer.say(&json!({"type": "chat", "nonce": nonce, "text": format!("{n}/{nonce}")})).await;
        }
    }
    assert!(bob.wait_for(SOON, |bob| bob.chat_log().len() == 291).await, "{}", bob.chat_log().len());
    for (n, writer) in writers.iter_mut().enumerate() {
        let mut acknowledged = 0;
        let mut last = 0;
        while acknowledged < 30 {
            let chat = writer.until("chat").await;
            let seq = chat["message"]["seq"].as_u64().unwrap();
            assert!(seq > last, "in order");
            last = seq;
            if chat["message"]["name"] == format!("writer {n}") {
                assert_eq!(chat["nonce"], acknowledged);
                acknowledged += 1;
            }
        }
    }
    // The one too many.
    let writer = &mut writers[0];
    writer.say(&json!({"type": "chat", "nonce": 77, "text": "one more"})).await;
    loop {
        match writer.hear().await {
            Heard::Said(error) if error["type"] == "error" => {
                assert_eq!(
                    (&error["code"], &error["id"], &error["fatal"]),
                    (&json!("chat/rate"), &json!(77), &json!(false))
                );
                break;
            }
            Heard::Said(chat) if chat["nonce"] == 77 => break, // Slow as this machine is, a token may have come back.
            Heard::Said(_) => {}
            end => panic!("{end:?}"),
        }
    }

    let cid = join(server.place.guest("chat", "Cid")).await;
    assert!(cid.wait_for(SOON, |cid| cid.chat_history().len() >= 50).await, "{}", cid.chat_history().len());
    let all = messages(&bob);
    assert_eq!(cid.chat_history(), all[all.len() - 50..], "exactly the last fifty, in order");
    assert!(cid.chat_log().is_empty(), "history is not chat");

    let streamed: Vec<u64> = reader.notices().iter().filter(|n| n.name == "chat").map(Notice::seq).collect();
    assert_eq!(streamed, all.iter().map(|message| message.seq).collect::<Vec<_>>(), "the event stream has the same");
    for client in [ann, bob, cid] {
        client.leave().await;
    }
    drop(writers);
    server.stop().await;
}

/// Makes something happen of every kind, without media.
async fn small_life(server: &Running, room: &str, sockets: &mut Vec<RawSocket>, name: &str) {
    let (mut socket, _) = RawSocket::enter(server.place.http, room, name).await;
    socket.say(&json!({"type": "chat", "nonce": 1, "text": format!("{name} was here")})).await;
    socket.until("chat").await;
    sockets.push(socket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_reader_gets_every_event_and_a_gap_is_replayed_exactly() {
    let server = Running::start().await;
    let place = server.place;
    let (status, body) = get(place.http, "/api/v1/rooms/news/events").await;
    assert_eq!(status, 404, "{body}");

    let ann = join(place.guest("news", "Ann")).await;
    let reader = EventReader::open(place.http, "news", None).await;
    assert_eq!(reader.status, 200);
    eventually("the reader has its reset", async || !reader.notices().is_empty()).await;
    // What everybody in the room is told must be what the reader is told.
    let mut told = ann.messages();

    let bob = join(place.guest("news", "Bob")).await;
    let mut sockets = Vec::new();
    publish(&ann, &BOTH).await;
    publish(&bob, &[Microphone]).await;
    ann.mute(Camera, true).await.unwrap();
    small_life(&server, "news", &mut sockets, "Cid").await;
    ann.mute(Camera, false).await.unwrap();
    bob.unpublish(&[Microphone]).await.unwrap();
    small_life(&server, "news", &mut sockets, "Dee").await;
    sockets.clear();
    assert!(ann.wait_for(SOON, |ann| ann.state().members.len() == 2 && ann.state().tracks.len() == 2).await);

    // Somebody whose connection broke in the middle gets exactly what came behind the event it has.
    let notices = reader.notices();
    let middle = notices[notices.len() / 2].clone();
    let again = EventReader::open(place.http, "news", Some(&middle.id)).await;
    let expected = notices[notices.len() / 2 + 1..].to_vec();
    eventually("the gap is replayed", async || again.notices().len() >= expected.len()).await;
    assert_eq!(again.notices()[..expected.len()], expected);

    // Nonsense and other lives begin afresh.
    for id in ["nonsense", "1-1", &middle.id.replace('-', "-9999")] {
        let fresh = EventReader::open(place.http, "news", Some(id)).await;
        eventually("a reset comes", async || !fresh.notices().is_empty()).await;
        assert_eq!(fresh.notices()[0].name, "reset", "{id}");
    }

    bob.vanish().await;
    assert!(ann.wait_for(SOON, |ann| ann.state().members.len() == 1).await);
    ann.leave().await;
    eventually("the stream ends with the room", async || reader.is_over() && again.is_over()).await;

    let notices = reader.notices();
    assert_eq!(notices[0].name, "reset");
    let first = notices[0].seq();
    assert_eq!(notices[0].data["seq"], first);
    assert_eq!(notices[0].data["members"].as_array().map(Vec::len), Some(1));
    for (at, notice) in notices.iter().enumerate() {
        assert_eq!(notice.seq(), first + at as u64, "without a gap: {}", notice.name);
        if at > 0 {
            assert_eq!((&notice.data["type"], &notice.data["seq"]), (&json!(notice.name), &json!(notice.seq())));
        }
    }
    let count = |name: &str| notices.iter().filter(|notice| notice.name == name).count();
    assert_eq!((count("joined"), count("left")), (3, 4), "Bob, Cid and Dee came, all four went");
    assert_eq!((count("published"), count("unpublished"), count("muted"), count("chat")), (3, 1, 2, 2));
    let last = notices.last().expect("there is one");
    assert_eq!((last.name.as_str(), &last.data["reason"]), ("roomClosed", &json!("empty")));
    let reasons: Vec<_> = notices.iter().filter(|n| n.name == "left").map(|n| n.data["reason"].clone()).collect();
    assert_eq!(reasons, ["disconnected", "disconnected", "disconnected", "left"]);

    // Ann was told the same over her WebSocket, but for chat.
    let mut over_socket = Vec::new();
    while let Ok(message) = told.try_recv() {
        if let ServerMessage::Event { event } = message {
            assert!(!matches!(event.body, EventBody::Chat { .. }));
            over_socket.push(event.seq);
        }
    }
    let streamed = notices[1..].iter().filter(|n| n.name != "chat").map(Notice::seq);
    assert_eq!(over_socket, streamed.take(over_socket.len()).collect::<Vec<_>>());
    assert!(over_socket.len() >= 12, "{over_socket:?}");

    // Whoever has everything need not come back, whoever lacks something still gets it.
    let done = EventReader::open(place.http, "news", Some(&last.id)).await;
    assert_eq!(done.status, 204);
    let late = EventReader::open(place.http, "news", Some(&middle.id)).await;
    eventually("the rest is replayed and ends", async || late.is_over()).await;
    assert_eq!(late.notices(), notices[notices.iter().position(|n| n.id == middle.id).unwrap() + 1..]);
    assert_eq!(json(place.http, "/api/v1/rooms").await["rooms"], json!([]));
    server.stop().await;
}
