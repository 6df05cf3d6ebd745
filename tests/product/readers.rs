//! One journal, many readers: what happens in a room reaches every kind of reader as the same events with the same numbers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use roundtable::Config;
use roundtable::config::{SigningSecret, WebhookConfig, WebhookUrl};
use serde_json::{Value, json as value};

use crate::common::events::EventReader;
use crate::common::eventually;
use crate::common::http::{get, json};
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};

/// Chat messages of each of the two.
const MESSAGES: u64 = 25;
/// Joined twice, the messages, left twice, closed.
const EVENTS: usize = 2 * MESSAGES as usize + 5;

type Events = Arc<Mutex<Vec<Value>>>;

/// Starts a receiver of webhooks; gives its URL and the events it got for a room.
async fn receiver(room: &'static str) -> (String, Events) {
    async fn take(State((room, events)): State<(&'static str, Events)>, body: Bytes) {
        let body: Value = serde_json::from_slice(&body).unwrap();
        if body["data"]["room"] == room {
            events.lock().unwrap().push(body["data"]["event"].clone());
        }
    }
    let events = Events::default();
    let router = Router::new().fallback(take).with_state((room, Arc::clone(&events)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, events)
}

async fn server_with(url: &str) -> Running {
    let webhooks = WebhookConfig {
        urls: vec![WebhookUrl::parse(url, false).unwrap()],
        secrets: vec![SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()],
        ..WebhookConfig::default()
    };
    Running::start_with(Config { webhooks, ..Config::default() }).await
}

/// Polls a room from its beginning to its end.
async fn poll_to_the_end(address: SocketAddr, room: &str, epoch: u64) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), format!("{epoch}-0"));
    loop {
        let page = json(address, &format!("/api/v1/rooms/{room}/events?after={after}&wait=20s")).await;
        assert!(page["reset"].is_null(), "nothing is missed");
        events.extend(page["events"].as_array().unwrap().clone());
        page["next"].as_str().unwrap().clone_into(&mut after);
        if page["closed"] == true {
            return events;
        }
    }
}

/// Polls the events of all rooms until this one is closed.
async fn poll_all(address: SocketAddr, room: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = json(address, &format!("/api/v1/events?after={after}&wait=20s")).await;
        page["next"].as_str().unwrap().clone_into(&mut after);
        for entry in page["events"].as_array().unwrap().iter().filter(|entry| entry["room"] == room) {
            events.push(entry["event"].clone());
            if entry["event"]["type"] == "roomClosed" {
                return events;
            }
        }
    }
}

/// Two people meet and talk, while somebody is in a room beside it. Returns the events that the first one got over the
/// WebSocket, which end before her own leaving.
async fn act(address: SocketAddr, room: &str, mut ann: RawSocket) -> Vec<Value> {
    let (mut other, _) = RawSocket::enter(address, "beside", "Eve").await;
    let (mut bob, _) = RawSocket::enter(address, room, "Bob \"the builder\"").await;
    for nonce in 0..MESSAGES {
        for (socket, name) in [(&mut ann, "Ann"), (&mut bob, "Bob"), (&mut other, "Eve")] {
            socket.say(&value!({"type": "chat", "nonce": nonce, "text": format!("{name} says {nonce}\r\n🎈")})).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bob.say(&value!({"type": "leave"})).await;
    bob.until_closed().await;
    let mut events = Vec::new();
    while events.len() < EVENTS - 3 {
        match ann.hear().await {
            Heard::Said(mut said) if said["type"] == "event" => events.push(said["event"].take()),
            // Chat is a message of its own there.
            Heard::Said(mut said) if said["type"] == "chat" => {
                let message = said["message"].take();
                events.push(value!({"seq": message["seq"], "at": message["at"], "type": "chat", "message": message}));
            }
            Heard::Said(_) => {}
            end => panic!("{end:?} after {} events", events.len()),
        }
    }
    ann.say(&value!({"type": "leave"})).await;
    ann.until_closed().await;
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_stream_long_poll_webhook_and_the_stream_of_all_rooms_tell_the_same() {
    let (url, posted) = receiver("daily.1").await;
    let server = server_with(&url).await;
    let address = server.place.http;
    let (ann, welcome) = RawSocket::enter(address, "daily.1", "Ann").await;
    let epoch = welcome["state"]["epoch"].as_u64().unwrap();
    let stream = EventReader::open(address, "daily.1", Some(&format!("{epoch}-0"))).await;
    let all = EventReader::open_at(address, "/api/v1/events?room=daily.1&after=0", None).await;
    let (polled, all_polled, heard) = tokio::join!(
        poll_to_the_end(address, "daily.1", epoch),
        poll_all(address, "daily.1"),
        act(address, "daily.1", ann)
    );
    eventually("the stream ends", async || stream.is_over()).await;
    eventually("the webhook has everything", async || posted.lock().unwrap().len() >= EVENTS).await;
    eventually("so has the stream of all rooms", async || all.notices().len() >= EVENTS).await;

    let streamed: Vec<Value> = stream.notices().into_iter().map(|notice| notice.data).collect();
    let seqs: Vec<u64> = streamed.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.iter().copied().eq(1..=EVENTS as u64), "{seqs:?}");
    assert!(stream.notices().iter().all(|notice| notice.id == format!("{epoch}-{}", notice.data["seq"])));
    let all: Vec<Value> = all.notices().into_iter().map(|notice| notice.data["event"].clone()).collect();
    assert_eq!(heard, streamed[1..EVENTS - 2], "the WebSocket, from the first event after the welcome");
    assert_eq!(polled, streamed, "the long poll");
    assert_eq!(*posted.lock().unwrap(), streamed, "the webhook");
    assert_eq!(all, streamed, "the stream of all rooms");
    assert_eq!(all_polled, streamed, "the long poll of all rooms");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_still_posts_how_the_rooms_ended() {
    let (url, posted) = receiver("r").await;
    let server = server_with(&url).await;
    let (_ann, _) = RawSocket::enter(server.place.http, "r", "Ann").await;
    let (status, list) = get(server.place.http, "/api/v1/webhooks").await;
    assert!(status == 200 && list.contains(&url), "{list}");
    server.stop().await;
    let posted = posted.lock().unwrap();
    let last = posted.last().map(|event| (event["type"].clone(), event["reason"].clone()));
    assert_eq!(last, Some(("roomClosed".into(), "serverStopping".into())), "{posted:?}");
}
