//! Calling people over real sockets: it rings wherever they listen, and each step is told to both sides once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::events::EventReader;
use crate::common::eventually;
use crate::common::http::send;
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::token::TestKey;

const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };

async fn listen(server: &Running, identity: &str) -> EventReader {
    let reader = EventReader::open_at(server.place.http, &format!("/api/v1/users/{identity}/events"), None).await;
    assert_eq!(reader.status, 200);
    reader
}

/// Waits for a number of steps, and that there are no more.
async fn steps(reader: &EventReader, expected: &[&str]) {
    let names = || reader.notices().into_iter().map(|notice| notice.name).collect::<Vec<_>>();
    eventually("each step is told", async || names().len() >= expected.len()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(names(), expected);
}

async fn answer(server: &Running, call: &Value, body: Value) -> crate::common::http::Answer {
    let path = format!("/api/v1/calls/{}/answer", call["id"].as_str().expect("an id"));
    send(server.place.http, "POST", &path, "", Some(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_rings_on_every_device_and_who_accepts_learns_the_room() {
    let server = Running::start().await;
    let address = server.place.http;
    let (mut ann, _) = RawSocket::enter(address, "desk", "ann").await;
    let (mut tablet, _) = RawSocket::enter(address, "lounge", "bob").await;
    let phone = listen(&server, "bob").await;
    let other = listen(&server, "cid").await;

    ann.say(&json!({"type": "call", "id": 7, "to": "bob"})).await;
    // The ringing may overtake the answer.
    let (mut called, mut rings) = (None, None);
    while called.is_none() || rings.is_none() {
        match ann.hear().await {
            Heard::Said(message) if message["type"] == "called" => called = Some(message),
            Heard::Said(message) if message["type"] == "callEvent" => rings = Some(message),
            Heard::Said(_) => {}
            end => panic!("{end:?} instead of an answer"),
        }
    }
    let (called, rings) = (called.expect("it came"), rings.expect("it came"));
    assert_eq!(rings["event"]["state"], "ringing", "who calls hears that it rings");
    assert_eq!((&called["type"], &called["id"]), (&json!("called"), &json!(7)), "{called}");
    let call = called["call"].clone();
    assert_eq!((&call["from"], &call["to"], &call["room"]), (&json!("ann"), &json!("bob"), &json!("desk")));
    assert_eq!(call["timeoutS"], 30);
    let rings = tablet.until("callEvent").await["event"].clone();
    assert_eq!((&rings["state"], &rings["call"]), (&json!("ringing"), &call));
    steps(&phone, &["ringing"]).await;
    // Whoever opens another device while it rings hears it there.
    let late = listen(&server, "bob").await;
    steps(&late, &["ringing"]).await;

    tablet.say(&json!({"type": "answerCall", "id": 1, "call": call["id"], "answer": "accept"})).await;
    let accepted = ann.until("callEvent").await["event"].clone();
    assert_eq!((&accepted["state"], &accepted["call"]["room"]), (&json!("accepted"), &json!("desk")));
    steps(&phone, &["ringing", "accepted"]).await;
    steps(&late, &["ringing", "accepted"]).await;
    steps(&other, &[]).await;
    tablet.say(&json!({"type": "answerCall", "id": 2, "call": call["id"], "answer": "decline"})).await;
    let refusal = tablet.until("error").await;
    assert_eq!((&refusal["id"], &refusal["code"]), (&json!(2), &json!("call/unknown")), "the first answer counts");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_declined_cancelled_or_missed_and_both_sides_know() {
    let server = Running::start().await;
    let address = server.place.http;
    let (ann, bob) = (listen(&server, "ann").await, listen(&server, "bob").await);
    let ring = async |timeout: u32| {
        let body = json!({"from": "ann", "to": "bob", "room": "r", "timeoutS": timeout});
        let made = send(address, "POST", "/api/v1/calls", "", Some(&body)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    };
    let declined = ring(30).await;
    let shown =
        crate::common::http::json(address, &format!("/api/v1/calls/{}", declined["id"].as_str().expect("an id"))).await;
    assert_eq!(shown, declined);
    let forbidden = answer(&server, &declined, json!({"answer": "accept", "by": "ann"})).await;
    assert_eq!((forbidden.status, &forbidden.body["code"]), (403, &json!("call/forbidden")));
    assert_eq!(answer(&server, &declined, json!({"answer": "decline", "by": "bob"})).await.status, 200);
    let cancelled = ring(30).await;
    assert_eq!(answer(&server, &cancelled, json!({"answer": "cancel", "by": "ann"})).await.status, 200);
    ring(1).await;
    for side in [&ann, &bob] {
        steps(side, &["ringing", "declined", "ringing", "cancelled", "ringing", "timedOut"]).await;
        let numbers: Vec<Value> = side.notices().iter().map(|notice| notice.data["seq"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "one numbering for both");
    }
    let late = answer(&server, &cancelled, json!({"answer": "accept"})).await;
    assert_eq!((late.status, &late.body["code"]), (404, &json!("call/unknown")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_keys_each_answers_in_their_own_name_only() {
    let server = Running::start_with(KEY.config()).await;
    let post = async |path: &str, token: &str, body: Value| {
        let head = format!("Authorization: Bearer {token}\r\n");
        send(server.place.http, "POST", path, &head, Some(&body)).await
    };
    let call = post("/api/v1/calls", &KEY.operator(), json!({"from": "ann", "to": "bob", "room": "desk"})).await;
    assert_eq!(call.status, 201, "{call:?}");
    let path = format!("/api/v1/calls/{}/answer", call.body["id"].as_str().expect("an id"));
    let [bob, cid] = ["bob", "cid"].map(|who| KEY.member("lounge", who, json!({})));
    for (token, body) in [
        (&cid, json!({"answer": "decline", "by": "bob"})),
        (&bob, json!({"answer": "cancel", "by": "ann"})),
        (&bob, json!({"answer": "decline"})),
    ] {
        let refused = post(&path, token, body.clone()).await;
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("token/grant")), "{body}");
    }
    let declined = post(&path, &bob, json!({"answer": "decline", "by": "bob"})).await;
    assert_eq!((declined.status, &declined.body["to"]), (200, &json!("bob")), "{declined:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_bounded_and_what_makes_no_sense_is_refused() {
    let server = Running::start().await;
    let address = server.place.http;
    let call = async |body: Value| {
        let answer = send(address, "POST", "/api/v1/calls", "", Some(&body)).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    for _ in 0..5 {
        assert_eq!(call(json!({"from": "ann", "to": "bob", "room": "r"})).await.0, 201);
    }
    let many = call(json!({"from": "ann", "to": "cid", "room": "r"})).await;
    assert_eq!(many, (429, "call/too-many".into()));
    assert_eq!(call(json!({"from": "dee", "to": "bob", "room": "r"})).await.0, 201, "others call all the same");
    for (body, status, code) in [
        (json!({"to": "bob", "room": "r", "timeoutS": 121}), 422, "call/bad"),
        (json!({"to": "bob", "room": "r", "timeoutS": 0}), 422, "call/bad"),
        (json!({"from": "bob", "to": "bob", "room": "r"}), 422, "call/bad"),
        (json!({"to": "", "room": "r"}), 422, "call/bad"),
        (json!({"to": "bob", "room": "a/b"}), 422, "http/body"),
        (json!({"to": "bob"}), 422, "http/body"),
    ] {
        assert_eq!(call(body.clone()).await, (status, code.into()), "{body}");
    }
    let (mut ann, _) = RawSocket::enter(address, "r", "Ann").await;
    ann.say(&json!({"type": "call", "id": 1, "to": "Ann"})).await;
    let refusal = ann.until("error").await;
    assert_eq!((&refusal["id"], &refusal["code"]), (&json!(1), &json!("call/bad")));
    let reader = listen(&server, "somebody").await;
    server.stop().await;
    eventually("the stream ends with the server", async || reader.is_over()).await;
}
