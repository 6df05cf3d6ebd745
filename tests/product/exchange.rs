//! Signalling without a WebSocket: over requests alone, and over a stream of server-sent events.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::common::server::Running;
use crate::common::socket::RawSocket;
use crate::common::{SOON, http};

/// A client that has nothing but requests.
struct Requests {
    server: SocketAddr,
    session: String,
    said: u64,
    heard: u64,
}

impl Requests {
    async fn begin(server: SocketAddr, room: &str) -> Self {
        let (status, body) = http::post(server, &format!("/signal?room={room}"), &json!(null)).await;
        assert_eq!(status, 201, "{body}");
        let session = serde_json::from_str::<Value>(&body).unwrap()["session"].as_str().unwrap().to_owned();
        Self { server, session, said: 0, heard: 0 }
    }

    fn path(&self, rest: &str) -> String {
        format!("/signal/{}{rest}", self.session)
    }

    async fn say(&mut self, messages: &[Value]) {
        let path = self.path(&format!("?first={}", self.said + 1));
        let (status, body) = http::post(self.server, &path, &json!(messages)).await;
        assert_eq!(status, 204, "{body}");
        self.said += messages.len() as u64;
    }

    /// The next messages, by one request that waits so many seconds for some.
    async fn fetch(&mut self, wait: u32) -> Vec<Value> {
        let answer = http::json(self.server, &self.path(&format!("/messages?after={}&wait={wait}", self.heard))).await;
        let messages = answer["messages"].as_array().unwrap().clone();
        if let Some(last) = messages.last() {
            self.heard = last["number"].as_u64().unwrap();
        }
        messages.into_iter().map(|said| said["message"].clone()).collect()
    }

    async fn until(&mut self, wanted: &str) -> Value {
        for _ in 0..20 {
            if let Some(found) = self.fetch(1).await.into_iter().find(|message| message["type"] == wanted) {
                return found;
            }
        }
        panic!("no {wanted} came");
    }
}

fn hello(name: &str) -> Value {
    json!({"type": "hello", "version": 1, "name": name})
}

fn chat(nonce: u32, text: &str) -> Value {
    json!({"type": "chat", "nonce": nonce, "text": text})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_alone_are_enough_to_take_part() {
    let server = Running::start().await;
    let mut ann = Requests::begin(server.place.http, "daily").await;
    ann.say(&[hello("Ann")]).await;
    let welcome = ann.until("welcome").await;
    assert_eq!(welcome["member"]["name"], "Ann");
    let (mut bob, _) = RawSocket::enter(server.place.http, "daily", "Bob").await;
    let joined = ann.until("event").await;
    assert_eq!(joined["event"]["type"], "joined");
    ann.say(&[chat(1, "one"), chat(2, "two")]).await;
    assert_eq!(bob.until("chat").await["message"]["text"], "one");
    assert_eq!(bob.until("chat").await["message"]["text"], "two");
    bob.say(&chat(1, "three")).await;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let messages = ann.fetch(1).await;
        let chats = messages.iter().filter(|message| message["type"] == "chat");
        texts.extend(chats.map(|chat| chat["message"]["text"].as_str().unwrap().to_owned()));
    }
    assert_eq!(texts, ["one", "two", "three"]);

    // A request that was made again: what it brings is there already.
    ann.said -= 2;
    ann.say(&[chat(1, "one"), chat(2, "two"), chat(3, "four")]).await;
    assert_eq!(bob.until("chat").await["message"]["text"], "three");
    assert_eq!(bob.until("chat").await["message"]["text"], "four");
    let (status, body) = http::post(server.place.http, &ann.path("?first=99"), &json!([chat(9, "far")])).await;
    assert!(status == 409 && body.contains("message 5 is to come next"), "{status} {body}");

    let (status, _) = http::delete(server.place.http, &ann.path("")).await;
    assert_eq!(status, 204);
    let left = loop {
        let event = bob.until("event").await;
        if event["event"]["type"] == "left" {
            break event;
        }
    };
    assert_eq!(left["event"]["reason"], "left");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_brings_what_is_said_and_goes_on_where_it_broke() {
    let server = Running::start().await;
    let mut ann = Requests::begin(server.place.http, "daily").await;
    ann.say(&[hello("Ann")]).await;
    let stream = open(server.place.http, &ann.path("/events"), None).await;
    let heard = read_until(stream, |name, data| name == "message" && data["type"] == "chatHistory").await;
    assert_eq!(
        heard.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        (1..=heard.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(heard[0].1["type"], "welcome");
    let last = heard.last().unwrap().0;

    ann.say(&[chat(1, "while nobody reads")]).await;
    let stream = open(server.place.http, &ann.path("/events"), Some(last)).await;
    let more = read_until(stream, |_, data| data["type"] == "chat").await;
    assert_eq!(more.last().unwrap().1["message"]["text"], "while nobody reads");
    assert_eq!(more[0].0, last + 1);
    // The same once more, for the answer may have been lost.
    let stream = open(server.place.http, &ann.path("/events"), Some(last)).await;
    assert_eq!(read_until(stream, |_, data| data["type"] == "chat").await, more);

    ann.say(&[json!({"type": "leave"})]).await;
    let stream = open(server.place.http, &ann.path("/events"), Some(more.last().unwrap().0)).await;
    let end = read_until(stream, |name, _| name == "closed").await;
    assert_eq!(end.last().unwrap().1, json!({"code": 1000, "reason": ""}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_unknown_or_silent_is_told_so() {
    let server = Running::start().await;
    for path in ["/signal/nobody/messages", "/signal/nobody/events"] {
        assert_eq!(http::get(server.place.http, path).await.0, 404);
    }
    assert_eq!(http::post(server.place.http, "/signal/nobody?first=1", &json!([])).await.0, 404);
    assert_eq!(http::post(server.place.http, "/signal?room=a/b", &json!(null)).await.0, 400);
    let mut ann = Requests::begin(server.place.http, "daily").await;
    for bad in [json!({}), json!("x"), json!(vec![1; 65])] {
        let (status, body) = http::post(server.place.http, &ann.path("?first=1"), &bad).await;
        assert!((400..500).contains(&status) && body.contains("\"code\""), "{status} {body}");
    }
    assert_eq!(http::post(server.place.http, &ann.path("?first=0"), &json!([])).await.0, 400);
    ann.say(&[json!(7)]).await;
    assert_eq!(ann.until("error").await["code"], "message/unknown");
    server.stop().await;
}

/// Who comes back over another kind of line is the same member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_can_go_on_over_another_kind_of_line() {
    let server = Running::start_with(roundtable::Config::default()).await;
    let (ann, welcome) = RawSocket::enter(server.place.http, "daily", "Ann").await;
    drop(ann);
    let mut again = Requests::begin(server.place.http, "daily").await;
    let resume = json!({"token": welcome["resume"]["token"], "epoch": welcome["state"]["epoch"], "seq": 1});
    again.say(&[json!({"type": "hello", "version": 1, "name": "Ann", "resume": resume})]).await;
    assert_eq!(again.until("resumed").await["member"], welcome["member"]);
    server.stop().await;
}

async fn open(server: SocketAddr, path: &str, last: Option<u64>) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(TcpStream::connect(server).await.unwrap());
    let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{last}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).await.unwrap() > 0);
    }
    stream
}

/// Reads numbered messages until one is the wanted one.
async fn read_until(mut stream: BufReader<TcpStream>, wanted: impl Fn(&str, &Value) -> bool) -> Vec<(u64, Value)> {
    let mut heard = Vec::new();
    let (mut number, mut name, mut line) = (0, "message".to_owned(), String::new());
    loop {
        line.clear();
        let read = tokio::time::timeout(SOON, stream.read_line(&mut line)).await.expect("something comes").unwrap();
        assert!(read > 0, "the stream ended after {heard:?}");
        match line.trim_end().split_once(": ") {
            Some(("id", id)) => number = id.parse().unwrap(),
            Some(("event", event)) => event.clone_into(&mut name),
            Some(("data", data)) => {
                let data: Value = serde_json::from_str(data).unwrap();
                let is_wanted = wanted(&name, &data);
                heard.push((number, data));
                if is_wanted {
                    return heard;
                }
            }
            _ => {}
        }
    }
}

/// Conversations that nobody carries on end as any other: the member is away, and then gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_told_over_requests_as_well() {
    let server = Running::start().await;
    let mut ann = Requests::begin(server.place.http, "daily").await;
    ann.say(&[hello("Ann")]).await;
    ann.until("welcome").await;
    // What follows the welcome may be a page of its own.
    let waiting = tokio::spawn(async move {
        while !ann.fetch(20).await.iter().any(|message| message["code"] == "server/stopping") {}
    });
    // Nobody new is listened to once it stops.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stopping = tokio::spawn(server.stop());
    waiting.await.unwrap();
    stopping.await.unwrap();
}
