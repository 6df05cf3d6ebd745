//! Moderation over real sockets and real media: permissions changed while people talk, mutes that hold, who is put out
//! and kept out, who waits in the lobby, and how rooms are set up.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable::Config;
use roundtable::protocol::event::TrackSource::{self, Camera, Microphone};
use roundtable::protocol::message::ServerMessage;
use roundtable::protocol::role::Role;
use roundtable::protocol::{ErrorCode, EventBody, Grants};
use roundtable_client::synthetic::AudioShape;
use roundtable_client::{Client, ClientError, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::events::EventReader;
use crate::common::http::send;
use crate::common::race::{CHANGES, count_in_metadata};
use crate::common::server::{Place, Running};
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, heard, join, marks_within};

/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 10;

fn host(place: &Place, room: &str) -> Options {
    Options { token: Some("host".into()), ..place.guest(room, "Host") }
}

async fn until_heard_again(client: &Client, of: &Client, source: TrackSource) {
    let before = heard(client, of, source);
    eventually("packets flow", async || heard(client, of, source) >= before + ENOUGH).await;
}

/// The latest packet of a source must have come within a second after `since`, and none may follow.
async fn assert_silent_from(client: &Client, of: &Client, source: TrackSource, since: Instant) {
    tokio::time::sleep((since + Duration::from_secs(1)).saturating_duration_since(Instant::now())).await;
    let before = heard(client, of, source);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(heard(client, of, source), before, "{source:?} goes on a second after it should have ended");
}

async fn patch(place: &Place, path: &str, body: Value) -> crate::common::http::Answer {
    send(place.http, "PATCH", path, "", Some(&body)).await
}

async fn moderate(place: &Place, room: &str, action: Value) -> crate::common::http::Answer {
    send(place.http, "POST", &format!("/api/v1/rooms/{room}/moderate"), "", Some(&action)).await
}

/// What the server says to a hello that it refuses: the error, and the close code.
async fn refused(place: &Place, room: &str, hello: &Value) -> (Value, Option<u16>) {
    let mut socket = RawSocket::open(place.http, room).await;
    socket.say(hello).await;
    let Heard::Said(error) = socket.hear().await else { panic!("an error comes first") };
    assert_eq!((&error["type"], &error["fatal"]), (&json!("error"), &json!(true)), "{error}");
    (error, socket.until_closed().await.1)
}

fn hello(name: &str) -> Value {
    json!({"type": "hello", "version": 1, "name": name})
}

fn hello_with(name: &str, token: &Value) -> Value {
    json!({"type": "hello", "version": 1, "name": name, "token": token})
}

fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("it fits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_who_may_not_any_more_is_silent_within_a_second_and_may_again_later() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let ann = join(place.guest("live", "Ann")).await;
    let bob = join(place.guest("live", "Bob")).await;
    let mut to_ann = ann.messages();
    let mut to_bob = bob.messages();
    ann.publish(&[Microphone, Camera]).await.unwrap();
    until_heard_again(&bob, &ann, Microphone).await;
    until_heard_again(&bob, &ann, Camera).await;

    let path = format!("/api/v1/rooms/live/members/{}/permissions", ann.member());
    let since = Instant::now();
    let answer = patch(&place, &path, json!({"role": "listener"})).await;
    assert_eq!((answer.status, &answer.body["publish"], &answer.body["subscribe"]), (200, &json!(false), &json!(true)));
    assert_silent_from(&bob, &ann, Microphone, since).await;
    assert_silent_from(&bob, &ann, Camera, since).await;
    assert!(bob.wait_for(SOON, |bob| bob.state().tracks.is_empty()).await, "both tracks are unpublished");
    let told = std::iter::from_fn(|| to_ann.try_recv().ok()).collect::<Vec<_>>();
    let grants = told.iter().filter_map(|message| match message {
        ServerMessage::Grants { grants } => Some(grants.clone()),
        _ => None,
    });
    assert_eq!(grants.collect::<Vec<_>>(), [Grants::of(Role::Listener)]);
    let changed = std::iter::from_fn(|| to_bob.try_recv().ok()).filter(|message| {
        matches!(message, ServerMessage::Event { event } if matches!(event.body, EventBody::PermissionsChanged { .. }))
    });
    assert_eq!(changed.count(), 1, "the others learn what she is now");

    ann.unpublish(&[Microphone, Camera]).await.unwrap();
    match ann.publish(&[Microphone]).await {
        Err(ClientError::Refused { code, .. }) => assert_eq!(code, ErrorCode::PublishForbidden),
        other => panic!("{other:?}"),
    }
    assert_eq!(patch(&place, &path, json!({"role": "speaker"})).await.status, 200);
    ann.publish(&[Microphone, Camera]).await.unwrap();
    until_heard_again(&bob, &ann, Microphone).await;
    until_heard_again(&bob, &ann, Camera).await;

    // Who may not receive hears nothing, who may again hears again.
    let path = format!("/api/v1/rooms/live/members/{}/permissions", bob.member());
    let since = Instant::now();
    assert_eq!(patch(&place, &path, json!({"subscribe": false})).await.status, 200);
    assert_silent_from(&bob, &ann, Microphone, since).await;
    assert_silent_from(&bob, &ann, Camera, since).await;
    assert!(bob.slots().values().all(|slot| slot.track.is_none()), "its slots are idle");
    patch(&place, &path, json!({"subscribe": true, "chat": false})).await;
    until_heard_again(&bob, &ann, Camera).await;
    bob.chat("may I?").await.unwrap();
    assert!(bob.wait_for(SOON, |bob| bob.errors().contains(&ErrorCode::ChatForbidden)).await);

    let whole = json!({"publish": true, "subscribe": true, "chat": true, "limits": {"lastN": 3}});
    let answer = send(place.http, "PUT", &path, "", Some(&whole)).await;
    assert_eq!((answer.status, &answer.body["limits"]["lastN"]), (200, &json!(3)));
    for (body, status, code) in [
        (json!({"role": "king"}), 422, "http/body"),
        (json!({"publsh": true}), 422, "http/body"),
        (json!({"limits": {"receive": {"maxFps": 0}}}), 422, "limit/bad"),
    ] {
        let answer = patch(&place, &path, body).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)));
    }
    let answer = patch(&place, "/api/v1/rooms/live/members/m0/permissions", json!({})).await;
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!("member/unknown")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_receive_is_told_by_no_voice_slot_either() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let audio = AudioShape { level: Some(15), ..AudioShape::TALK };
    let ann = join(Options { audio, ..place.guest("voices", "Ann") }).await;
    ann.publish(&[Microphone]).await.unwrap();
    // Without seats whoever speaks is heard on voice slots.
    let options = Options { seats: Some(0), max_seats: 0, voice_slots: true, ..place.guest("voices", "Bob") };
    let bob = join(options).await;
    until_heard_again(&bob, &ann, Microphone).await;
    let path = format!("/api/v1/rooms/voices/members/{}/permissions", bob.member());
    let since = Instant::now();
    patch(&place, &path, json!({"subscribe": false})).await;
    assert_silent_from(&bob, &ann, Microphone, since).await;
    assert!(marks_within(&bob, Duration::from_millis(300)).await.is_empty());
    patch(&place, &path, json!({"subscribe": true})).await;
    until_heard_again(&bob, &ann, Microphone).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moderators_mute_holds_until_it_is_lifted() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let ann = join(place.guest("mute", "Ann")).await;
    let bob = join(host(&place, "mute")).await;
    ann.publish(&[Microphone]).await.unwrap();
    bob.publish(&[Microphone]).await.unwrap();
    until_heard_again(&bob, &ann, Microphone).await;
    let (mut moderator, welcome) = RawSocket::enter_with(place.http, "mute", "Chair", "host").await;
    assert_eq!(welcome["grants"]["admin"], true);

    let track = ann.track(Microphone).await.expect("it is published");
    let since = Instant::now();
    let done = moderator.moderate(1, json!({"type": "mute", "track": track, "muted": true})).await;
    assert_eq!(done["type"], "moderated", "{done}");
    assert_silent_from(&bob, &ann, Microphone, since).await;
    ann.mute(Microphone, false).await.unwrap();
    assert!(ann.wait_for(SOON, |ann| ann.errors().contains(&ErrorCode::MutedByHost)).await, "she cannot undo it");
    assert_silent_from(&bob, &ann, Microphone, since).await;

    // Nor get around it by publishing again.
    ann.unpublish(&[Microphone]).await.unwrap();
    ann.publish(&[Microphone]).await.unwrap();
    assert!(bob.wait_for(SOON, |bob| bob.state().tracks.iter().any(|t| t.muted && t.id != track)).await);
    assert_silent_from(&bob, &ann, Microphone, Instant::now()).await;
    let again = ann.track(Microphone).await.expect("it is published");
    moderator.moderate(2, json!({"type": "mute", "track": again, "muted": false})).await;
    until_heard_again(&bob, &ann, Microphone).await;

    // Everybody at once, as a request; those who moderate go on.
    let done = moderator.moderate(3, json!({"type": "muteAll", "source": "microphone", "muted": true, "hold": false}));
    assert_eq!(done.await["outcome"]["count"], 1);
    assert_silent_from(&bob, &ann, Microphone, Instant::now()).await;
    until_heard_again(&ann, &bob, Microphone).await;
    ann.mute(Microphone, false).await.unwrap();
    until_heard_again(&bob, &ann, Microphone).await;
    let unknown = moderator.moderate(4, json!({"type": "mute", "track": "t0", "muted": true})).await;
    assert_eq!(unknown["code"], "track/unknown");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_moderate_is_refused_every_action() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let (mut host, welcome) = RawSocket::enter_with(place.http, "r", "Host", "host").await;
    let (mut ann, _) = RawSocket::enter(place.http, "r", "Ann").await;
    let member = &welcome["member"]["id"];
    let actions = [
        json!({"type": "setPermissions", "member": member, "changes": {"role": "none"}}),
        json!({"type": "mute", "track": "t1", "muted": true}),
        json!({"type": "muteAll", "source": "camera", "muted": true}),
        json!({"type": "kick", "member": member}),
        json!({"type": "ban", "member": member}),
        json!({"type": "unban", "ban": "b1"}),
        json!({"type": "listBans"}),
        json!({"type": "lock", "locked": true}),
        json!({"type": "setSettings", "changes": {"metadata": "mine"}}),
        json!({"type": "close"}),
        json!({"type": "move", "member": member, "room": "s"}),
        json!({"type": "message", "text": "hear me"}),
        json!({"type": "listKnocks"}),
        json!({"type": "admit", "knock": "k1"}),
        json!({"type": "admitAll"}),
        json!({"type": "deny", "knock": "k1"}),
    ];
    for (id, action) in (1..).zip(actions) {
        let answer = ann.moderate(id, action.clone()).await;
        assert_eq!((&answer["code"], &answer["fatal"]), (&json!("moderation/forbidden"), &json!(false)), "{action}");
    }
    let answer = host.moderate(1, json!({"type": "listBans"})).await;
    assert_eq!(answer["outcome"], json!({"bans": []}), "nothing of it was done");
    // Nor does an action count that was allowed once.
    let demoted = json!({"type": "setPermissions", "member": member, "changes": {"admin": false}});
    assert_eq!(host.moderate(2, demoted).await["outcome"]["grants"]["admin"], false);
    assert_eq!(host.moderate(3, json!({"type": "admitAll"})).await["code"], "moderation/forbidden");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_kicked_goes_and_who_is_banned_stays_out() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let (mut host, _) = RawSocket::enter_with(place.http, "r", "Host", "host").await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    let kick = json!({"type": "kick", "member": welcome["member"]["id"], "message": "not now"});
    assert_eq!(host.moderate(1, kick.clone()).await["type"], "moderated");
    let goodbye = ann.until("goodbye").await;
    assert_eq!((&goodbye["code"], &goodbye["message"]), (&json!("room/kicked"), &json!("not now")));
    assert!(goodbye.get("reconnectAfterMs").is_none(), "there is no use in coming back by itself");
    assert_eq!(ann.until_closed().await.1, Some(4410));
    assert_eq!(host.moderate(2, kick).await["code"], "member/unknown", "once is enough");

    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    let ban = json!({"type": "ban", "member": welcome["member"]["id"], "seconds": 2});
    let banned = host.moderate(3, ban).await;
    assert_eq!(banned["outcome"]["bans"][0]["name"], "Ann", "{banned}");
    assert_eq!(ann.until_closed().await, (vec!["room/banned".into()], Some(4410)));
    let (error, close) = refused(&place, "r", &hello("aNN")).await;
    assert_eq!((&error["code"], close), (&json!("room/banned"), Some(4403)));
    let again = error["retryAfterMs"].as_u64().expect("a ban with an end says when that is");
    assert!(again <= 2_000);
    drop(RawSocket::enter(place.http, "r", "Bob").await);
    tokio::time::sleep(Duration::from_millis(again + 50)).await;
    let (ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;

    // For good, until it is lifted.
    let action = json!({"type": "ban", "member": welcome["member"]["id"]});
    let made = moderate(&place, "r", action).await;
    drop(ann);
    let id = made.body["bans"][0]["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(refused(&place, "r", &hello("Ann")).await.0["code"], "room/banned");
    let list = crate::common::http::json(place.http, "/api/v1/rooms/r/bans").await;
    assert_eq!((&list["bans"][0]["id"], &list["bans"][0]["by"]), (&json!(id), &json!("name")));
    let lift = format!("/api/v1/rooms/r/bans/{id}");
    assert_eq!(send(place.http, "DELETE", &lift, "", None).await.status, 204);
    let again = send(place.http, "DELETE", &lift, "", None).await;
    assert_eq!((again.status, &again.body["code"]), (404, &json!("ban/unknown")));
    drop(RawSocket::enter(place.http, "r", "Ann").await);
    let long = moderate(&place, "r", json!({"type": "kick", "member": "m1", "message": "x".repeat(501)})).await;
    assert_eq!((long.status, &long.body["code"]), (422, &json!("moderation/bad")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_moved_with_a_ticket_that_counts_once() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let (mut host, _) = RawSocket::enter_with(place.http, "plenum", "Host", "host").await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "plenum", "Ann").await;
    let id = welcome["member"]["id"].clone();
    let quiet = json!({"type": "setPermissions", "member": id, "changes": {"chat": false}});
    host.moderate(1, quiet).await;
    // The other room is locked: whoever is sent there gets in all the same.
    send(place.http, "PATCH", "/api/v1/rooms/group/settings", "", Some(&json!({"locked": true}))).await;
    let answer = host.moderate(9, json!({"type": "move", "member": id, "room": "vault"})).await;
    assert_eq!(answer["code"], "moderation/forbidden", "not everywhere, but where the hook says");
    host.moderate(2, json!({"type": "move", "member": id, "room": "group"})).await;
    let told = ann.until("move").await;
    assert_eq!((&told["room"], &told["expiresInS"]), (&json!("group"), &json!(30)));
    assert_eq!(ann.until_closed().await, (vec!["room/moved".into()], Some(4410)));

    assert_eq!(refused(&place, "group", &hello("Ann")).await.0["code"], "room/locked");
    let ticket = &told["ticket"];
    for (room, name) in [("plenum", "Ann"), ("group", "Bob")] {
        let (error, _) = refused(&place, room, &hello_with(name, ticket)).await;
        assert_eq!(error["code"], "hello/forbidden", "it is for her and that room");
    }
    let (_ann, welcome) = RawSocket::enter_with(place.http, "group", "Ann", ticket.as_str().expect("text")).await;
    assert_eq!(welcome["grants"]["chat"], false, "what she may moves along");
    assert_eq!(refused(&place, "group", &hello_with("Ann", ticket)).await.0["code"], "hello/forbidden");
    let nowhere = host.moderate(3, json!({"type": "move", "member": id, "room": "plenum"})).await;
    assert_eq!(nowhere["code"], "moderation/bad");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_locked_spoken_to_and_closed() {
    let server = Running::start_moderated().await;
    let place = server.place;
    let (mut host, _) = RawSocket::enter_with(place.http, "r", "Host", "host").await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    assert_eq!(host.moderate(1, json!({"type": "lock", "locked": true})).await["type"], "moderated");
    let event = loop {
        let event = ann.until("event").await;
        if event["event"]["type"] == "roomUpdated" {
            break event;
        }
    };
    assert_eq!(event["event"]["settings"]["locked"], true, "everybody is told");
    let (error, close) = refused(&place, "r", &hello("Bob")).await;
    assert_eq!((&error["code"], close), (&json!("room/locked"), Some(4403)));
    let (_second, welcome_2) = RawSocket::enter_with(place.http, "r", "Other", "host").await;
    assert_eq!(welcome_2["state"]["settings"]["locked"], true, "it is part of the state");
    host.moderate(2, json!({"type": "lock", "locked": false})).await;
    let (mut bob, _) = RawSocket::enter(place.http, "r", "Bob").await;

    let to_ann = json!({"type": "message", "member": welcome["member"]["id"], "text": "you first"});
    host.moderate(3, to_ann).await;
    host.moderate(4, json!({"type": "message", "text": "and all"})).await;
    assert_eq!(ann.until("notice").await["text"], "you first");
    assert_eq!(ann.until("notice").await["text"], "and all");
    assert_eq!(bob.until("notice").await["text"], "and all", "the other one was not for him");

    let closed = moderate(&place, "r", json!({"type": "close", "message": "that is all for today"})).await;
    assert_eq!(closed.status, 200);
    let goodbye = bob.until("goodbye").await;
    assert_eq!((&goodbye["code"], &goodbye["message"]), (&json!("room/closed"), &json!("that is all for today")));
    assert_eq!(bob.until_closed().await.1, Some(1000));
    let gone = moderate(&place, "r", json!({"type": "close"})).await;
    assert_eq!((gone.status, &gone.body["code"]), (404, &json!("room/unknown")));
    server.stop().await;
}

/// A WebSocket by hand, so that every byte is seen.
async fn knock_by_hand(place: &Place, room: &str, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(place.http).await.expect("the server listens");
    let upgrade = format!(
        "GET /ws?room={room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let hello = hello(name).to_string();
    // A masked text frame whose mask is zero (RFC 6455 §5.2).
    let mut frame = vec![0x81, 0x80 | u8::try_from(hello.len()).expect("it is short"), 0, 0, 0, 0];
    frame.extend_from_slice(hello.as_bytes());
    stream.write_all(&frame).await.expect("the server reads");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_the_lobby_gets_not_one_byte_of_the_room() {
    let server = Running::start_moderated().await;
    let place = server.place;
    send(place.http, "PATCH", "/api/v1/rooms/r/settings", "", Some(&json!({"lobby": true}))).await;
    let (mut host, _) = RawSocket::enter_with(place.http, "r", "Host", "host").await;
    let mut knocker = knock_by_hand(&place, "r", "Ann").await;
    let knock = host.until("knock").await;
    assert_eq!(knock["knock"]["name"], "Ann");

    // The room is busy meanwhile.
    let (mut second, _) = RawSocket::enter_with(place.http, "r", "Second", "host").await;
    for nonce in 0..20 {
        second.say(&json!({"type": "chat", "nonce": nonce, "text": "a secret"})).await;
        second.until("chat").await;
    }
    second.close(1000).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut bytes = vec![0; 4096];
    let mut got = Vec::new();
    while let Ok(read) = tokio::time::timeout(Duration::from_millis(300), knocker.read(&mut bytes)).await {
        got.extend_from_slice(&bytes[..read.expect("it stays open")]);
    }
    let waiting = br#"{"type":"waiting"}"#;
    let mut expected = vec![0x81, u8::try_from(waiting.len()).expect("it is short")];
    expected.extend_from_slice(waiting);
    assert_eq!(got, expected, "that it waits, and nothing else: {}", String::from_utf8_lossy(&got));
    let members = crate::common::http::json(place.http, "/api/v1/rooms/r/members").await;
    assert_eq!(members["total"], 1, "who waits counts for nothing in the room");

    host.moderate(1, json!({"type": "admit", "knock": knock["knock"]["id"]})).await;
    let read = knocker.read(&mut bytes).await.expect("it is let in");
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    assert!(text.contains(r#"{"type":"welcome""#), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knocks_are_answered_withdrawn_and_wait_for_a_host() {
    let mut config = Config::default();
    config.limits.lobby = true;
    let server = Running::start_moderated_with(config).await;
    let place = server.place;
    let mut sockets = Vec::new();
    for name in ["Ann", "Bob", "Cid", "Dee", "Eve"] {
        let mut socket = RawSocket::open(place.http, "r").await;
        socket.say(&hello(name)).await;
        assert_eq!(socket.until("waiting").await, json!({"type": "waiting"}));
        sockets.push(socket);
    }
    let [mut ann, mut bob, cid, mut dee, mut eve]: [RawSocket; 5] = sockets.try_into().expect("five");
    assert_eq!(
        crate::common::http::get(place.http, "/api/v1/rooms/r").await.0,
        404,
        "nobody is in: the room is not open"
    );
    let list = crate::common::http::json(place.http, "/api/v1/rooms/r/knocks").await;
    let knocks = list["knocks"].as_array().expect("a list").clone();
    assert_eq!(knocks.iter().map(|knock| &knock["name"]).collect::<Vec<_>>(), ["Ann", "Bob", "Cid", "Dee", "Eve"]);

    // Whoever moderates opens the room, and hears who has been waiting.
    let (mut host, _) = RawSocket::enter_with(place.http, "r", "Host", "host").await;
    for knock in &knocks {
        assert_eq!(host.until("knock").await["knock"], *knock);
    }
    ann.say(&json!({"type": "chat", "nonce": 1, "text": "let me"})).await;
    assert_eq!(ann.until("error").await["code"], "message/out-of-order");
    ann.say(&json!({"type": "ping", "nonce": 3})).await;
    assert_eq!(ann.until("pong").await["nonce"], 3);
    host.moderate(1, json!({"type": "admit", "knock": knocks[0]["id"]})).await;
    assert_eq!(ann.until("welcome").await["member"]["name"], "Ann");
    host.moderate(2, json!({"type": "deny", "knock": knocks[1]["id"], "message": "another time"})).await;
    let error = bob.until("error").await;
    assert_eq!((&error["code"], &error["message"]), (&json!("lobby/denied"), &json!("another time")));
    assert_eq!(error["fatal"], true);
    assert_eq!(bob.until_closed().await.1, Some(4403));
    let twice = host.moderate(3, json!({"type": "admit", "knock": knocks[1]["id"]})).await;
    assert_eq!(twice["code"], "lobby/unknown");

    drop(cid);
    let ended = loop {
        let ended = host.until("knockEnded").await;
        if ended["knock"] == knocks[2]["id"] {
            break ended;
        }
    };
    assert_eq!(ended["end"], "withdrawn");
    let answer = host.moderate(4, json!({"type": "admitAll"})).await;
    assert_eq!(answer["outcome"]["count"], 2);
    dee.until("welcome").await;
    eve.until("welcome").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lobby_holds_two_hundred() {
    let server = Running::start_moderated().await;
    let place = server.place;
    send(place.http, "PATCH", "/api/v1/rooms/r/settings", "", Some(&json!({"lobby": true}))).await;
    let mut waiting = Vec::new();
    for n in 0..200 {
        let mut socket = RawSocket::open(place.http, "r").await;
        socket.say(&hello(&format!("guest {n}"))).await;
        socket.until("waiting").await;
        waiting.push(socket);
    }
    assert_eq!(refused(&place, "r", &hello("One more")).await.0["code"], "lobby/full");
    waiting.pop();
    eventually("a place is free again", async || {
        let mut socket = RawSocket::open(place.http, "r").await;
        socket.say(&hello("One more")).await;
        matches!(socket.hear().await, Heard::Said(message) if message["type"] == "waiting")
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_racing_changes_over_http_none_is_lost() {
    let server = Running::start_moderated().await;
    let address = server.place.http;
    let new = json!({"room": "r", "settings": {"metadata": "0"}});
    let made = send(address, "POST", "/api/v1/rooms", "", Some(&new)).await;
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/rooms/r/settings")));
    let path = "/api/v1/rooms/r/settings";
    let mut all = count_in_metadata(address, path, "room/changed").await;
    all.dedup();
    assert_eq!(all.len(), CHANGES, "each change has a version of its own");
    let last = send(address, "GET", path, "", None).await;
    assert_eq!((&last.body["metadata"], &last.body["version"]), (&json!("1000"), &json!(all[999])));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_room_is_set_up_counts_and_is_told() {
    let server = Running::start().await;
    let place = server.place;
    let path = "/api/v1/rooms/r/settings";
    let nothing = send(place.http, "GET", path, "", None).await;
    assert_eq!((nothing.status, nothing.header("etag"), &nothing.body["version"]), (200, Some("\"0\""), &json!(0)));

    // When it opens and when it is over.
    let later = json!({"notBefore": unix_ms() + 60_000});
    send(place.http, "PUT", path, "", Some(&later)).await;
    let (error, _) = refused(&place, "r", &hello("Ann")).await;
    assert_eq!(error["code"], "room/not-open-yet");
    assert!(error["retryAfterMs"].as_u64().is_some_and(|ms| (50_000..=60_000).contains(&ms)), "{error}");
    send(place.http, "PUT", path, "", Some(&json!({"expiresAt": unix_ms()}))).await;
    assert_eq!(refused(&place, "r", &hello("Ann")).await.0["code"], "room/expired");

    // Who comes may what the settings say; the room holds as many as they say, and stays open as long as they say.
    let body = json!({"defaultRole": "listener", "maxMembers": 1, "emptyTimeoutS": 2, "metadata": "weekly"});
    let set = send(place.http, "PUT", path, "", Some(&body)).await;
    assert!(set.body.get("expiresAt").is_none(), "the whole is replaced");
    let (ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    assert_eq!((&welcome["grants"]["publish"], &welcome["state"]["settings"]), (&json!(false), &set.body));
    assert_eq!(refused(&place, "r", &hello("Bob")).await.0["code"], "room/full");
    let reader = EventReader::open(place.http, "r", None).await;
    let changed = patch(&place, path, json!({"metadata": "monthly", "maxMembers": null})).await;
    assert_eq!(changed.status, 200);
    eventually("readers are told", async || {
        reader.notices().iter().any(|notice| notice.name == "roomUpdated" && notice.data["settings"] == changed.body)
    })
    .await;
    let epoch = welcome["state"]["epoch"].clone();
    drop(ann);
    eventually("she is gone", async || {
        crate::common::http::json(place.http, "/api/v1/rooms/r/members").await["total"] == 0
    })
    .await;
    let (bob, welcome) = RawSocket::enter(place.http, "r", "Bob").await;
    assert_eq!(welcome["state"]["epoch"], epoch, "it is still the same room");
    drop(bob);
    let since = Instant::now();
    eventually("it closes at last", async || crate::common::http::get(place.http, "/api/v1/rooms/r").await.0 == 404)
        .await;
    assert!(since.elapsed() > Duration::from_millis(1_500), "not at once");

    for (body, status, code) in [
        (json!({"metadata": "x".repeat(5_000)}), 422, "room/bad-settings"),
        (json!({"maxMembers": 0}), 422, "room/bad-settings"),
        (json!({"lcked": true}), 422, "http/body"),
    ] {
        let answer = patch(&place, path, body).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)));
    }
    let stale = send(place.http, "DELETE", "/api/v1/rooms/r", "If-Match: \"1\"\r\n", None).await;
    assert_eq!((stale.status, &stale.body["code"]), (412, &json!("room/changed")));
    let odd = send(place.http, "DELETE", "/api/v1/rooms/r", "If-Match: 1\r\n", None).await;
    assert_eq!((odd.status, &odd.body["code"]), (400, &json!("http/if-match")));

    let (mut cid, _) = RawSocket::enter(place.http, "r", "Cid").await;
    let exists = send(place.http, "POST", "/api/v1/rooms", "", Some(&json!({"room": "r"}))).await;
    assert_eq!((exists.status, &exists.body["code"]), (409, &json!("room/exists")));
    assert_eq!(send(place.http, "DELETE", "/api/v1/rooms/r", "", None).await.status, 204);
    assert_eq!(cid.until_closed().await, (vec!["room/closed".into()], Some(1000)));
    eventually("it is gone", async || send(place.http, "DELETE", "/api/v1/rooms/r", "", None).await.status == 404)
        .await;
    let again = send(place.http, "POST", "/api/v1/rooms", "", Some(&json!({"room": "r"}))).await;
    assert!(again.body["version"].as_u64() > changed.body["version"].as_u64(), "{:?}", again.body);
    server.stop().await;
}
