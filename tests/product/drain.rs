//! A server that is told to end lets those who are there finish, and takes no new rooms.

use serde_json::json;

use crate::common::server::Process;
use crate::common::socket::RawSocket;
use crate::common::{eventually, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_tells_everybody_takes_no_new_rooms_and_ends_with_the_last_who_leaves() {
    let mut server = Process::start_with(&["--drain-timeout", "60s"]);
    let at = server.place.http;
    let (mut ann, _) = RawSocket::enter(at, "daily", "Ann").await;
    assert_eq!(http::get(at, "/readyz").await.0, 200);
    server.terminate();
    let told = ann.until("draining").await;
    assert!(told["withinMs"].as_u64().is_some_and(|within| (50_000..=60_000).contains(&within)), "{told}");
    assert_eq!((http::get(at, "/readyz").await.0, http::get(at, "/livez").await.0), (503, 200));

    let mut bob = RawSocket::open(at, "weekly").await;
    bob.say(&json!({"type": "hello", "version": 1, "name": "Bob"})).await;
    assert_eq!(bob.until_closed().await, (vec!["server/stopping".to_owned()], Some(1001)));
    let (mut cid, _) = RawSocket::enter(at, "daily", "Cid").await;
    cid.until("draining").await;
    ann.say(&json!({"type": "chat", "nonce": 1, "text": "we go on"})).await;
    cid.until("chat").await;

    ann.say(&json!({"type": "leave"})).await;
    assert_eq!(ann.until_closed().await.1, Some(1000));
    assert!(server.is_alive(), "somebody is still there");
    cid.say(&json!({"type": "leave"})).await;
    eventually("the server ends", async || !server.is_alive()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_ends_it_and_so_does_a_second_signal() {
    let mut server = Process::start_with(&["--drain-timeout", "1s"]);
    let (mut ann, _) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    server.terminate();
    ann.until("draining").await;
    assert_eq!(ann.until_closed().await, (vec!["server/stopping".to_owned()], Some(1001)));
    eventually("the server ends", async || !server.is_alive()).await;

    let mut server = Process::start_with(&["--drain-timeout", "60s"]);
    let (mut ann, _) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    server.terminate();
    ann.until("draining").await;
    server.terminate();
    assert_eq!(ann.until_closed().await, (vec!["server/stopping".to_owned()], Some(1001)));
    eventually("the server ends", async || !server.is_alive()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_from_one_address_is_refused_and_others_are_not() {
    let server = Process::start_with(&["--max-joins-per-ip", "5", "--trusted-proxy", "127.0.0.1"]);
    let at = server.place.http;
    let ask = async |from: &str| {
        http::send(at, "POST", "/signal?room=daily", &format!("X-Forwarded-For: {from}\r\n"), None).await
    };
    let mut refused = None;
    for _ in 0..60 {
        refused = Some(ask("203.0.113.5").await).filter(|answer| answer.status == 429).or(refused);
    }
    let refused = refused.expect("sixty at once are too many");
    assert_eq!((refused.header("retry-after"), &refused.body["code"]), (Some("1"), &"hello/rate".into()));
    assert_eq!(ask("203.0.113.6").await.status, 201);
    assert_eq!(ask("127.0.0.1").await.status, 201);
}
