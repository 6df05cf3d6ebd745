//! What members show of themselves, and changes of it: by themselves and by the operator, told to every kind of reader.

use std::time::Duration;

use roundtable::Config;
use roundtable::protocol::limit::{MAX_ATTRIBUTES, MEMBER_UPDATES_BURST};
use serde_json::{Value, json};

use crate::common::events::EventReader;
use crate::common::http::{self, send};
use crate::common::race::{CHANGES, count_in_metadata};
use crate::common::server::{Place, Running};
use crate::common::socket::{Heard, RawSocket};
use crate::common::token::TestKey;
use crate::common::{SOON, eventually};

const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };

/// A room whose guests may change what others see of them.
async fn free_room(place: Place, room: &str) {
    let settings = json!({"defaultRole": "host"});
    let answer = send(place.http, "PUT", &format!("/api/v1/rooms/{room}/settings"), "", Some(&settings)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Says that something is to be changed, and waits for the answer.
async fn update(socket: &mut RawSocket, id: u32, mut change: Value) -> Value {
    change["type"] = "updateMember".into();
    change["id"] = id.into();
    socket.say(&change).await;
    loop {
        match socket.hear().await {
            Heard::Said(answer) if answer["id"] == id => return answer,
            Heard::Said(_) => {}
            end => panic!("{end:?} instead of an answer"),
        }
    }
}

/// The next event of a type.
async fn event(socket: &mut RawSocket, name: &str) -> Value {
    loop {
        let message = socket.until("event").await;
        if message["event"]["type"] == name {
            return message["event"].clone();
        }
    }
}

fn path_of(room: &str, welcome: &Value) -> String {
    format!("/api/v1/rooms/{room}/members/{}", welcome["member"]["id"].as_str().expect("an id"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_member_changes_of_itself_is_read_by_all_and_its_old_words_keep_its_old_name() {
    let server = Running::start().await;
    let place = server.place;
    free_room(place, "r").await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    let (mut bob, _) = RawSocket::enter(place.http, "r", "Bob").await;
    let stream = EventReader::open(place.http, "r", None).await;
    let all = EventReader::open_at(place.http, "/api/v1/events?types=memberUpdated", None).await;
    let poll = "/api/v1/rooms/r/events?wait=0s";
    let state = http::json(place.http, poll).await;
    let after = state["next"].as_str().expect("a number").to_owned();

    ann.say(&json!({"type": "chat", "nonce": 1, "text": "before"})).await;
    ann.until("chat").await;
    let change = json!({"name": " Dr Ann ", "metadata": "{}", "attributes": {"hand": "up", "away": ""}});
    let answer = update(&mut ann, 5, change).await;
    let id = &welcome["member"]["id"];
    let member = json!({"id": id, "name": "Dr Ann", "metadata": "{}", "attributes": {"hand": "up"}, "version": 1});
    assert_eq!((&answer["type"], &answer["member"]), (&json!("updated"), &member));
    ann.say(&json!({"type": "chat", "nonce": 2, "text": "after"})).await;
    ann.until("chat").await;

    let told = event(&mut bob, "memberUpdated").await;
    assert_eq!((&told["member"], &told["name"], &told["version"]), (id, &json!("Dr Ann"), &json!(1)));
    assert_eq!((&told["metadata"], &told["attributes"]), (&json!("{}"), &json!({"hand": "up"})));
    let of_stream = async || stream.notices().into_iter().find(|notice| notice.name == "memberUpdated");
    eventually("the stream tells it", async || of_stream().await.is_some()).await;
    assert_eq!(of_stream().await.unwrap().data, told, "every reader gets the same");
    eventually("the stream of all rooms tells it", async || all.notices().iter().any(|n| n.data["event"] == told))
        .await;
    let polled = http::json(place.http, &format!("{poll}&after={after}")).await;
    assert!(polled["events"].as_array().unwrap().contains(&told), "{polled}");
    let room = http::json(place.http, "/api/v1/rooms/r").await;
    assert_eq!(room["members"][0], member, "the state has it");
    assert_eq!(http::json(place.http, "/api/v1/rooms/r/members").await["members"][0], member, "and so has the roster");
    let chat = http::json(place.http, "/api/v1/rooms/r/chat").await;
    let names = chat["messages"].as_array().unwrap().iter().map(|message| message["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), [json!("Ann"), json!("Dr Ann")]);
    let (_cid, welcome) = RawSocket::enter(place.http, "r", "Cid").await;
    assert_eq!(welcome["state"]["members"][0], member, "who comes later sees it too");

    let less = update(&mut ann, 6, json!({"metadata": null, "attributes": {"hand": null}, "version": 1})).await;
    assert_eq!(less["member"], json!({"id": id, "name": "Dr Ann", "version": 2}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_by_its_word_and_changes_nothing() {
    let server = Running::start().await;
    let place = server.place;
    free_room(place, "r").await;
    let (mut guest, welcome) = RawSocket::enter(place.http, "plain", "Guest").await;
    assert_eq!(welcome["grants"]["updateOwnMetadata"], false);
    let refused = update(&mut guest, 1, json!({"name": "Somebody else"})).await;
    assert_eq!((&refused["code"], &refused["fatal"]), (&json!("member/forbidden"), &json!(false)));
    // Who moderates can give that, as any other permission.
    let path = path_of("plain", &welcome);
    let grant = json!({"updateOwnMetadata": true});
    let given = send(place.http, "PATCH", &format!("{path}/permissions"), "", Some(&grant)).await;
    assert_eq!((given.status, &given.body["updateOwnMetadata"]), (200, &json!(true)));
    assert_eq!(update(&mut guest, 2, json!({"name": "Somebody else"})).await["type"], "updated");

    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    let many: Value =
        (0..=MAX_ATTRIBUTES).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    for (id, change, code) in [
        (1, json!({"name": "  "}), "hello/name"),
        (2, json!({"name": "a\u{202e}b"}), "hello/name"),
        (3, json!({"metadata": "x".repeat(4_097)}), "member/too-large"),
        (4, json!({"attributes": many}), "member/too-large"),
        (5, json!({"attributes": {"": "x"}}), "member/bad-attribute"),
        (6, json!({"name": "Bea", "version": 7}), "member/changed"),
    ] {
        assert_eq!(update(&mut ann, id, change.clone()).await["code"], code, "{change}");
        let mut over_http = change;
        let head =
            over_http.as_object_mut().unwrap().remove("version").map(|version| format!("If-Match: \"{version}\"\r\n"));
        let path = path_of("r", &welcome);
        let answer = send(place.http, "PATCH", &path, &head.unwrap_or_default(), Some(&over_http)).await;
        let status = if code == "member/changed" { 412 } else { 422 };
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{over_http}");
    }
    let room = http::json(place.http, "/api/v1/rooms/r").await;
    assert_eq!(room["members"][0], welcome["member"], "nothing of it was done");
    let mut refused = None;
    for id in 10..10 + MEMBER_UPDATES_BURST + 2 {
        let answer = update(&mut ann, id, json!({"attributes": {"n": id.to_string()}})).await;
        refused = refused.or(answer.get("code").cloned());
    }
    assert_eq!(refused, Some(json!("member/rate")));
    let path = path_of("r", &welcome);
    for (path, head, body, status, code) in [
        (&*path, "If-Match: 1\r\n", json!({}), 400, "http/if-match"),
        (&*path, "", json!({"nam": "x"}), 422, "http/body"),
        ("/api/v1/rooms/r/members/nobody", "", json!({}), 404, "member/unknown"),
        ("/api/v1/rooms/empty/members/nobody", "", json!({}), 404, "room/unknown"),
    ] {
        let answer = send(place.http, "PATCH", path, head, Some(&body)).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{path} {body}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_racing_changes_of_a_member_none_is_lost() {
    let server = Running::start().await;
    let address = server.place.http;
    let (_ann, welcome) = RawSocket::enter(address, "r", "Ann").await;
    let path = path_of("r", &welcome);
    let first = send(address, "GET", &path, "", None).await;
    assert_eq!((first.status, first.header("etag"), &first.body), (200, Some("\"0\""), &welcome["member"]));
    let all = count_in_metadata(address, &path, "member/changed").await;
    assert_eq!(all, (1..=CHANGES as u64).collect::<Vec<_>>(), "each change has a version of its own");
    let last = send(address, "GET", &path, "", None).await;
    assert_eq!((last.header("etag"), &last.body["metadata"]), (Some("\"1000\""), &json!("1000")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_brings_attributes_and_only_who_moderates_changes_those_of_others() {
    let server = Running::start_with(KEY.config()).await;
    let place = server.place;
    let token = KEY.sign(json!({
        "sub": "ann@example", "name": "Ann", "attributes": {"team": "blue", "b": "", "a": "1"},
        "video": {"room": "r", "roomJoin": true, "canUpdateOwnMetadata": true},
    }));
    let (mut ann, welcome) = RawSocket::enter_with(place.http, "r", "whatever", &token).await;
    assert_eq!(welcome["member"]["attributes"], json!({"a": "1", "team": "blue"}));
    assert_eq!(update(&mut ann, 1, json!({"attributes": {"a": null}})).await["member"]["version"], 1);
    let bob = KEY.member("r", "bob", json!({}));
    let (mut bobs, _) = RawSocket::enter_with(place.http, "r", "Bob", &bob).await;
    assert_eq!(update(&mut bobs, 1, json!({"name": "Ann"})).await["code"], "member/forbidden");

    let path = path_of("r", &welcome);
    let of = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let wish = json!({"name": "Guest 3", "attributes": {"team": "red"}});
    for token in [&bob, &token] {
        let answer = send(place.http, "PATCH", &path, &of(token), Some(&wish)).await;
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("token/grant")));
    }
    let seen = send(place.http, "GET", &path, &of(&bob), None).await;
    assert_eq!((seen.status, seen.header("etag")), (200, Some("\"1\"")), "who may enter may look");
    assert_eq!(send(place.http, "PATCH", &path, "", Some(&wish)).await.status, 401);
    let other = KEY.sign(json!({"video": {"room": "other", "roomAdmin": true}}));
    assert_eq!(send(place.http, "PATCH", &path, &of(&other), Some(&wish)).await.status, 403);
    let done = send(place.http, "PATCH", &path, &of(&KEY.operator()), Some(&wish)).await;
    assert_eq!((done.status, done.header("etag"), &done.body["identity"]), (200, Some("\"2\""), &json!("ann@example")));
    let told = ann.until("updated").await;
    assert_eq!((&told["member"], told.get("id")), (&done.body, None), "she is told, though she asked for nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_or_is_moved_shows_what_it_showed() {
    let mut config = Config::default();
    config.rooms.resume_within = Duration::from_secs(30);
    let server = Running::start_with(config).await;
    let place = server.place;
    free_room(place, "r").await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "r", "Ann").await;
    update(&mut ann, 1, json!({"name": "Dr Ann", "attributes": {"hand": "up"}})).await;
    ann.close(4000).await;
    let path = path_of("r", &welcome);
    let while_away = send(place.http, "PATCH", &path, "", Some(&json!({"metadata": "{}"}))).await;
    assert_eq!(while_away.status, 200);
    let mut ann = RawSocket::open(place.http, "r").await;
    let (token, epoch) = (&welcome["resume"]["token"], &welcome["state"]["epoch"]);
    let resume = json!({"token": token, "epoch": epoch, "seq": welcome["state"]["seq"]});
    ann.say(&json!({"type": "hello", "version": 1, "name": "Ann", "resume": resume})).await;
    let resumed = ann.until("resumed").await;
    assert_eq!((&resumed["member"], &resumed["member"]["version"]), (&while_away.body, &json!(2)));
    assert_eq!(event(&mut ann, "memberUpdated").await["version"], 1);
    assert_eq!(event(&mut ann, "memberUpdated").await["version"], 2, "what was missed follows");

    let action = json!({"type": "move", "member": welcome["member"]["id"], "room": "s"});
    assert_eq!(send(place.http, "POST", "/api/v1/rooms/r/moderate", "", Some(&action)).await.status, 200);
    let told = tokio::time::timeout(SOON, ann.until("move")).await.expect("she is told");
    let ticket = told["ticket"].as_str().expect("text");
    let (_ann, welcome) = RawSocket::enter_with(place.http, "s", "Dr Ann", ticket).await;
    let member = &welcome["member"];
    assert_eq!((&member["metadata"], &member["attributes"]), (&json!("{}"), &json!({"hand": "up"})));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_proves_who_they_are_calls_go_to_the_name_of_now() {
    let server = Running::start().await;
    let place = server.place;
    free_room(place, "r").await;
    let (mut ann, _) = RawSocket::enter(place.http, "r", "Ann").await;
    let (mut bob, _) = RawSocket::enter(place.http, "s", "Bob").await;
    assert_eq!(update(&mut ann, 1, json!({"name": "Dr Ann"})).await["type"], "updated");
    bob.say(&json!({"type": "call", "id": 1, "to": "Dr Ann"})).await;
    let rings = ann.until("callEvent").await;
    assert_eq!((&rings["event"]["state"], &rings["event"]["call"]["to"]), (&json!("ringing"), &json!("Dr Ann")));
    server.stop().await;
}
