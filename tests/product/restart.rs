//! A server that is killed and started again: everybody is back where they were, and nothing that was written is lost.

use roundtable::protocol::event::TrackSource;
use roundtable::protocol::message::SubscribeChange;
use roundtable_client::{Client, Return};
use serde_json::json;

use crate::common::events::EventReader;
use crate::common::scratch::Folder;
use crate::common::server::{Place, Process};
use crate::common::socket::RawSocket;
use crate::common::{SOON, eventually, heard, http, join};

/// A directory that goes with the test.
struct Directory(Folder);

impl Directory {
    fn new(name: &str) -> Self {
        Self(Folder::new(name))
    }

    fn arguments(&self) -> Vec<&str> {
        vec!["--resume-within", "60s", "--data-dir", self.0.text()]
    }
}

/// Comes back to a server that was started again.
async fn back(client: Client) -> Client {
    let name = client.welcome().member.name.clone();
    match client.come_back(false).await {
        Ok((client, how)) => {
            assert_eq!(how, Return::Reconnected, "{name}");
            client
        }
        Err(error) => panic!("{name} is not back: {error}"),
    }
}

/// Waits until somebody listens there.
async fn listens(place: Place) {
    eventually("the server listens", async || tokio::net::TcpStream::connect(place.http).await.is_ok()).await;
}

async fn rooms(place: Place) -> usize {
    http::json(place.http, "/api/v1/rooms").await["rooms"].as_array().unwrap().len()
}

fn texts(client: &Client) -> Vec<(u64, String)> {
    client.chat_log().into_iter().map(|line| (line.message.seq, line.message.text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_back_after_the_server_was_killed() {
    let directory = Directory::new("killed");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let ann = join(place.guest("daily", "Ann")).await;
    let bob = join(place.guest("daily", "Bob")).await;
    ann.publish(&[TrackSource::Microphone, TrackSource::Camera, TrackSource::Screen]).await.unwrap();
    let (camera, screen) = (ann.track(TrackSource::Camera).await, ann.track(TrackSource::Screen).await.unwrap());
    eventually("Bob sees Ann", async || heard(&bob, &ann, TrackSource::Camera) > 10).await;
    bob.subscribe(vec![SubscribeChange { track: screen.clone(), wanted: false }]).await.unwrap();
    for n in 0..20 {
        ann.chat(&format!("before {n}")).await.unwrap();
    }
    assert!(bob.wait_for(SOON, |bob| bob.chat_log().len() == 20).await);
    let (members, tracks) = (bob.state().members, bob.state().tracks);
    let reader = EventReader::open(place.http, "daily", None).await;
    eventually("the reader has the room", async || !reader.notices().is_empty()).await;
    let last = reader.notices().last().unwrap().id.clone();

    server.kill();
    let _again = Process::start_at(place, &directory.arguments());
    listens(place).await;
    let (ann, bob) = (back(ann).await, back(bob).await);
    assert_eq!(ann.track(TrackSource::Camera).await, camera, "tracks keep their ids");
    eventually("Bob sees Ann again", async || heard(&bob, &ann, TrackSource::Camera) > 10).await;
    eventually("Bob hears Ann again", async || heard(&bob, &ann, TrackSource::Microphone) > 50).await;
    assert_eq!(heard(&bob, &ann, TrackSource::Screen), 0, "what was not wanted still is not");
    assert_eq!((bob.state().members, bob.state().tracks.len()), (members, tracks.len()));

    ann.chat("after").await.unwrap();
    for client in [&ann, &bob] {
        assert!(client.wait_for(SOON, |client| client.chat_log().len() == 21).await, "{:?}", texts(client));
    }
    assert_eq!(texts(&ann), texts(&bob), "once, in the same order");
    // The journal goes on: no second join, and readers of before lose nothing.
    let reader = EventReader::open(place.http, "daily", Some(&last)).await;
    eventually("the reader has what came", async || reader.notices().iter().any(|n| n.name == "chat")).await;
    let names: Vec<String> = reader.notices().into_iter().map(|notice| notice.name).collect();
    assert_eq!(names.first().map(String::as_str), Some("restarted"), "{names:?}");
    assert!(!names.iter().any(|name| ["joined", "left", "reset"].contains(&name.as_str())), "{names:?}");
    let cid = join(place.guest("daily", "Cid")).await;
    assert!(cid.wait_for(SOON, |cid| cid.chat_history().len() == 21).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_come_back_is_gone_and_a_room_without_anybody_closes() {
    let directory = Directory::new("gone");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let (ann, _) = RawSocket::enter(place.http, "daily", "Ann").await;
    let (bob, _) = RawSocket::enter(place.http, "weekly", "Bob").await;
    bob.close(1000).await;
    eventually("Bob's room is closed", async || rooms(place).await == 1).await;
    server.kill();
    drop(ann);
    let data = directory.0.text();
    let _again = Process::start_at(place, &["--resume-within", "1s", "--data-dir", data]);
    listens(place).await;
    assert_eq!(rooms(place).await, 1, "Ann has a moment to come back");
    eventually("the room is closed", async || rooms(place).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_good_order_keeps_everybodys_place_as_well() {
    let directory = Directory::new("stopped");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let (mut ann, welcome) = RawSocket::enter(place.http, "daily", "Ann").await;
    ann.say(&json!({"type": "chat", "nonce": 1, "text": "see you"})).await;
    let seq = ann.until("chat").await["message"]["seq"].as_u64().unwrap();
    server.terminate();
    let (codes, close) = ann.until_closed().await;
    assert_eq!((codes, close), (vec!["server/stopping".to_owned()], Some(1001)));
    eventually("the server ends", async || !server.is_alive()).await;

    let _again = Process::start_at(place, &directory.arguments());
    listens(place).await;
    let mut ann = RawSocket::open(place.http, "daily").await;
    let resume = json!({"token": welcome["resume"]["token"], "epoch": welcome["state"]["epoch"], "seq": seq});
    ann.say(&json!({"type": "hello", "version": 1, "name": "Ann", "resume": resume})).await;
    let resumed = ann.until("resumed").await;
    assert_eq!((&resumed["member"], &resumed["media"]), (&welcome["member"], &json!(false)));
    let event = ann.until("event").await;
    assert_eq!((&event["event"]["type"], &event["event"]["seq"]), (&json!("restarted"), &json!(seq + 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_cannot_share_a_directory() {
    let directory = Directory::new("shared");
    let _server = Process::start_with(&directory.arguments());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(directory.arguments()).args(["--http-listen", "127.0.0.1:0", "--udp-port", "0"]).env_clear();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("in use by another process"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_room_is_set_up_and_who_is_banned_survives_as_well() {
    let directory = Directory::new("set-up");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let path = "/api/v1/rooms/daily/settings";
    let before = http::send(place.http, "PUT", path, "", Some(&json!({"locked": false, "metadata": "the plan"}))).await;
    assert_eq!(before.status, 200, "{before:?}");
    let (mut bob, welcome) = RawSocket::enter(place.http, "daily", "Bob").await;
    let ban = json!({"type": "ban", "member": welcome["member"]["id"]});
    let answer = http::send(place.http, "POST", "/api/v1/rooms/daily/moderate", "", Some(&ban)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(bob.until_closed().await.0, ["room/banned"]);

    server.kill();
    let _again = Process::start_at(place, &directory.arguments());
    listens(place).await;
    let after = http::send(place.http, "GET", path, "", None).await;
    assert_eq!((after.header("etag"), &after.body), (before.header("etag"), &before.body));
    let mut bob = RawSocket::open(place.http, "daily").await;
    bob.say(&json!({"type": "hello", "version": 1, "name": "Bob"})).await;
    assert_eq!(bob.until_closed().await.0, ["room/banned"]);
    let next = http::send(place.http, "PUT", path, "", Some(&json!({"locked": true}))).await;
    assert!(next.body["version"].as_u64() > before.body["version"].as_u64(), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_settings_that_was_answered_is_on_the_disk() {
    let directory = Directory::new("answered");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let path = "/api/v1/rooms/daily/settings";
    for round in 0..5 {
        let change = json!({"metadata": format!("round {round}")});
        let answer = http::send(place.http, "PATCH", path, "", Some(&change)).await;
        server.kill();
        assert_eq!(answer.status, 200, "{answer:?}");
        server = Process::start_at(place, &directory.arguments());
        listens(place).await;
        let after = http::send(place.http, "GET", path, "", None).await;
        assert_eq!((after.header("etag"), &after.body), (answer.header("etag"), &answer.body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_members_show_of_themselves_survives_as_well() {
    let directory = Directory::new("shown");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    http::send(place.http, "PUT", "/api/v1/rooms/daily/settings", "", Some(&json!({"defaultRole": "host"}))).await;
    let (mut ann, welcome) = RawSocket::enter(place.http, "daily", "Ann").await;
    let (_bob, _) = RawSocket::enter(place.http, "daily", "Bob").await;
    ann.say(&json!({"type": "updateMember", "id": 1, "name": "Dr Ann", "attributes": {"hand": "up"}})).await;
    assert_eq!(ann.until("updated").await["member"]["version"], 1);
    let path = format!("/api/v1/rooms/daily/members/{}", welcome["member"]["id"].as_str().unwrap());
    let before = http::send(place.http, "PATCH", &path, "If-Match: \"1\"\r\n", Some(&json!({"metadata": "{}"}))).await;
    assert_eq!(before.status, 200, "{before:?}");

    // At once: what was answered is kept.
    server.kill();
    let _again = Process::start_at(place, &directory.arguments());
    listens(place).await;
    eventually("the room is back", async || http::send(place.http, "GET", &path, "", None).await.status == 200).await;
    let after = http::send(place.http, "GET", &path, "", None).await;
    assert_eq!((after.header("etag"), &after.body), (Some("\"2\""), &before.body));
    let mut ann = RawSocket::open(place.http, "daily").await;
    let resume = json!({"token": welcome["resume"]["token"], "epoch": welcome["state"]["epoch"], "seq": 0});
    ann.say(&json!({"type": "hello", "version": 1, "name": "Ann", "resume": resume})).await;
    assert_eq!(ann.until("resumed").await["member"], before.body);
    ann.say(&json!({"type": "updateMember", "id": 2, "name": "Ann", "version": 2})).await;
    assert_eq!(ann.until("updated").await["member"]["version"], 3, "versions go on");
}
