//! Chat over real servers: pages, edits that leave nothing behind, reactions, private messages, and each message once.

use std::path::Path;
use std::time::Duration;

use roundtable::Config;
use roundtable_client::{Client, Options};
use serde_json::{Value, json};

use crate::common::events::EventReader;
use crate::common::http;
use crate::common::proxy::Proxy;
use crate::common::scratch::Folder;
use crate::common::server::{Place, Process, Running};
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, join};

/// A directory that goes with the test.
struct Directory(Folder);

impl Directory {
    fn new(name: &str) -> Self {
        Self(Folder::new(name))
    }

    fn arguments(&self) -> Vec<&str> {
        vec!["--resume-within", "120s", "--data-dir", self.0.text()]
    }

    async fn server(&self) -> Running {
        let mut config = Config::default();
        config.rooms.data_dir = Some(self.0.path().to_owned());
        Running::start_with(config).await
    }

    /// Whether a text stands anywhere in any file.
    fn holds(&self, text: &str) -> bool {
        holds(self.0.path(), text.as_bytes())
    }
}

fn holds(directory: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text)
    })
}

/// Waits for an event of a type.
async fn event(socket: &mut RawSocket, wanted: &str) -> Value {
    loop {
        let event = socket.until("event").await["event"].take();
        if event["type"] == wanted {
            return event;
        }
    }
}

/// Writes, and waits for the acknowledgement.
async fn write(socket: &mut RawSocket, nonce: u32, text: &str) -> Value {
    socket.say(&json!({"type": "chat", "nonce": nonce, "text": text})).await;
    loop {
        match socket.hear().await {
            Heard::Said(mut chat) if chat["type"] == "chat" && chat["nonce"] == nonce => return chat["message"].take(),
            Heard::Said(error) if error["type"] == "error" && error["id"] == nonce => {
                assert_eq!(error["code"], "chat/rate", "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                socket.say(&json!({"type": "chat", "nonce": nonce, "text": text})).await;
            }
            Heard::Said(_) => {}
            end => panic!("{end:?}"),
        }
    }
}

/// The code of the answer to a message that is refused.
async fn refused(socket: &mut RawSocket, message: Value) -> Value {
    socket.say(&message).await;
    socket.until("error").await["code"].take()
}

/// One page, asked for until it comes.
async fn page(socket: &mut RawSocket, before: &Value, limit: u16) -> Value {
    let question = match before {
        Value::Null => json!({"type": "getChat", "id": 9, "limit": limit}),
        before => json!({"type": "getChat", "id": 9, "limit": limit, "before": before}),
    };
    socket.say(&question).await;
    loop {
        match socket.hear().await {
            Heard::Said(page) if page["type"] == "chatPage" => return page,
            Heard::Said(error) if error["type"] == "error" => {
                assert_eq!((&error["code"], &error["id"]), (&json!("chat/page-rate"), &json!(9)));
                tokio::time::sleep(Duration::from_millis(200)).await;
                socket.say(&question).await;
            }
            Heard::Said(_) => {}
            end => panic!("{end:?}"),
        }
    }
}

fn seqs(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

/// Comes back over another socket; what it is answered with.
async fn back(place: Place, room: &str, welcome: &Value, seq: u64) -> (RawSocket, Value) {
    let mut socket = RawSocket::open(place.http, room).await;
    let resume = json!({"token": welcome["resume"]["token"], "epoch": welcome["state"]["epoch"], "seq": seq});
    socket.say(&json!({"type": "hello", "version": 1, "name": "x", "resume": resume})).await;
    let resumed = socket.until("resumed").await;
    (socket, resumed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_thousand_messages_a_late_joiner_gets_fifty_and_pages_the_rest_and_who_was_away_gets_all() {
    let directory = Directory::new("pages");
    let server = directory.server().await;
    let place = server.place;
    let (away, welcome) = RawSocket::enter(place.http, "daily", "Away").await;
    drop(away);
    let (keeps, _) = RawSocket::enter(place.http, "daily", "Keeps").await;
    let writers = (0..40).map(|n| async move {
        let (mut socket, _) = RawSocket::enter(place.http, "daily", &format!("Writer {n}")).await;
        for nonce in 0..125 {
            write(&mut socket, nonce, &format!("{n} says {nonce}")).await;
        }
        socket.close(1000).await;
    });
    let writers: Vec<_> = writers.map(tokio::spawn).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    drop(keeps);

    let (mut late, _) = RawSocket::enter(place.http, "daily", "Late").await;
    let history = late.until("chatHistory").await;
    assert_eq!((seqs(&history).len(), &history["complete"]), (50, &json!(true)));
    let (mut all, mut before, mut last) = (Vec::new(), Value::Null, Value::Null);
    loop {
        let page = page(&mut late, &before, 100).await;
        last = if last.is_null() { page.clone() } else { last };
        all.splice(0..0, seqs(&page));
        before = page["before"].clone();
        if before.is_null() {
            break;
        }
    }
    assert_eq!(all.len(), 5_000);
    assert!(all.is_sorted_by(|a, b| a < b));
    assert_eq!(seqs(&history), all[4_950..], "the history is the end of it");
    let path = "/api/v1/rooms/daily/chat";
    let over_http = http::json(place.http, &format!("{path}?limit=100")).await;
    assert_eq!(over_http["messages"], last["messages"], "the same over HTTP");
    let older = over_http["before"].as_str().unwrap();
    assert_eq!(seqs(&http::json(place.http, &format!("{path}?limit=7&before={older}")).await), all[4_893..4_900]);
    for bad in ["limit=0", "limit=101", "before=x"] {
        assert_eq!(http::get(place.http, &format!("{path}?{bad}")).await.0, 400, "{bad}");
    }
    assert_eq!(http::get(place.http, "/api/v1/rooms/elsewhere/chat").await.0, 404);

    // The ring holds 2,048 events; what is older comes from the disk.
    let (mut away, resumed) = back(place, "daily", &welcome, 1).await;
    assert!(resumed.get("state").is_none(), "nothing is lost");
    let mut replayed = Vec::new();
    while replayed.len() < 5_000 {
        replayed.push(away.until("chat").await["message"]["seq"].as_u64().unwrap());
    }
    assert_eq!(replayed, all, "each once and in order");
    let first = format!("{}-1", welcome["state"]["epoch"]);
    let reader = EventReader::open(place.http, "daily", Some(&first)).await;
    let chats = || reader.notices().iter().filter(|notice| notice.name == "chat").count();
    eventually("the reader has all of it", async || chats() == 5_000).await;
    let notices = reader.notices();
    assert!((2..).zip(&notices).all(|(seq, notice)| notice.seq() == seq && notice.name != "reset"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_edited_or_deleted_is_nowhere_any_more() {
    let directory = Directory::new("edits");
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let (mut ann, welcome) = RawSocket::enter(place.http, "daily", "Ann").await;
    let (mut bob, _) = RawSocket::enter(place.http, "daily", "Bob").await;
    let first = write(&mut ann, 1, "the first-words of all").await;
    let other = write(&mut ann, 2, "another-message that goes").await;
    let (message, gone) = (first["id"].clone(), other["id"].clone());
    assert!(directory.holds("first-words") && directory.holds("another-message"));

    let edit = |text: &str| json!({"type": "editChat", "id": 5, "message": message, "text": text});
    let delete = |message: &Value| json!({"type": "deleteChat", "id": 6, "message": message});
    assert_eq!(refused(&mut bob, edit("mine now")).await, "chat/not-own");
    assert_eq!(refused(&mut bob, delete(&message)).await, "chat/not-own");
    assert_eq!(refused(&mut ann, delete(&json!("c0"))).await, "chat/unknown");
    assert_eq!(refused(&mut ann, edit(" ")).await, "chat/empty");
    for (text, before) in [("the second-words", "first-words"), ("the third-words", "second-words")] {
        ann.say(&edit(text)).await;
        let edited = event(&mut bob, "chatEdited").await;
        assert_eq!((&edited["message"], &edited["text"]), (&message, &json!(text)));
        assert!(!directory.holds(before), "{before} is gone when anybody hears of it");
    }
    ann.say(&delete(&gone)).await;
    let deleted = event(&mut bob, "chatDeleted").await;
    assert_eq!((&deleted["message"], &deleted["member"]), (&gone, &welcome["member"]["id"]));
    assert!(!directory.holds("another-message") && directory.holds("third-words"));
    assert_eq!(refused(&mut ann, delete(&gone)).await, "chat/unknown", "once is enough");
    let seq = deleted["seq"].as_u64().unwrap();

    // Who reads the past finds the present.
    let check = async |what: &str| {
        let reader = EventReader::open(place.http, "daily", Some(&format!("{}-1", welcome["state"]["epoch"]))).await;
        eventually("the reader has it", async || reader.notices().iter().any(|n| n.name == "chatDeleted")).await;
        let past = format!("{:?}", reader.notices());
        assert!(!past.contains("first-words") && !past.contains("second-words"), "{what}: {past}");
        assert!(!past.contains("another-message") && past.contains("third-words"), "{what}: {past}");
        let page = http::json(place.http, "/api/v1/rooms/daily/chat").await;
        let entry = |at: usize, key: &str| page["messages"][at].get(key).cloned();
        assert_eq!((entry(0, "text"), entry(0, "deleted")), (Some(json!("the third-words")), None), "{what}");
        assert!(entry(0, "editedAt").is_some(), "{what}");
        assert_eq!((entry(1, "text"), entry(1, "deleted")), (Some(json!("")), Some(json!(true))), "{what}");
        let (mut cid, _) = RawSocket::enter(place.http, "daily", "Cid").await;
        let history = cid.until("chatHistory").await;
        assert_eq!(history["messages"], page["messages"], "{what}: the history has the same");
        cid.close(1000).await;
    };
    check("before the end").await;
    server.kill();
    for text in ["first-words", "second-words", "another-message"] {
        assert!(!directory.holds(text), "{text}");
    }
    let mut server = Process::start_at(place, &directory.arguments());
    let (mut ann, _) = back(place, "daily", &welcome, seq).await;
    check("after the restart").await;
    ann.say(&delete(&message)).await;
    event(&mut ann, "chatDeleted").await;
    server.kill();
    assert!(!directory.holds("third-words"), "who is the same member may still delete it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_and_who_writes_are_told_to_all() {
    let server = Running::start_with(Config::default()).await;
    let place = server.place;
    let (mut ann, _) = RawSocket::enter(place.http, "daily", "Ann").await;
    let (mut bob, welcome) = RawSocket::enter(place.http, "daily", "Bob").await;
    let message = write(&mut ann, 1, "who comes along?").await["id"].take();
    let react = |reaction: &str, on: bool| json!({"type": "react", "id": 3, "message": message, "reaction": reaction, "on": on});
    for (reaction, on) in [("👍", true), ("🎉", true), ("👍", false)] {
        bob.say(&react(reaction, on)).await;
        let heard = event(&mut ann, "reaction").await;
        assert_eq!((&heard["message"], &heard["reaction"], &heard["on"]), (&message, &json!(reaction), &json!(on)));
    }
    for bad in ["", " ", "a\nb", &"x".repeat(33)] {
        assert_eq!(refused(&mut bob, react(bad, true)).await, "chat/bad-reaction", "{bad:?}");
    }
    let page = http::json(place.http, "/api/v1/rooms/daily/chat").await;
    let expected = json!([{"reaction": "🎉", "members": [welcome["member"]["id"]]}]);
    assert_eq!(page["messages"][0]["reactions"], expected);

    bob.say(&json!({"type": "typing", "typing": true})).await;
    let heard = ann.until("typing").await;
    assert_eq!((&heard["member"], &heard["typing"]), (&welcome["member"]["id"], &json!(true)));
    let ended = ann.until("typing").await;
    assert_eq!(ended["typing"], false, "six seconds later without a word");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_message_reaches_whom_it_is_for_and_nobody_else() {
    let directory = Directory::new("private");
    let server = directory.server().await;
    let place = server.place;
    let (mut ann, ann_welcome) = RawSocket::enter(place.http, "daily", "Ann").await;
    let (mut bob, bob_welcome) = RawSocket::enter(place.http, "daily", "Bob").await;
    let (mut cid, _) = RawSocket::enter(place.http, "daily", "Cid").await;
    let (ann_id, bob_id) = (&ann_welcome["member"]["id"], &bob_welcome["member"]["id"]);
    let whisper = |nonce: u32, text: &str, to: Value| json!({"type": "chat", "nonce": nonce, "text": text, "to": to});
    ann.say(&whisper(1, "between-us", json!([bob_id]))).await;
    let receipt = ann.until("privateChat").await;
    assert_eq!((&receipt["nonce"], &receipt["message"]["member"]), (&json!(1), ann_id));
    let got = bob.until("privateChat").await;
    assert_eq!((&got["message"], got.get("nonce")), (&receipt["message"], None));
    ann.say(&whisper(1, "between-us", json!([bob_id]))).await;
    assert_eq!(ann.until("privateChat").await, receipt, "written again, acknowledged again");
    let many: Vec<String> = (0..21).map(|n| format!("m{n}")).collect();
    for (to, code) in [
        (json!([]), "chat/bad-recipients"),
        (json!(many), "chat/bad-recipients"),
        (json!([bob_id, "nobody"]), "member/unknown"),
    ] {
        assert_eq!(refused(&mut ann, whisper(9, "x", to)).await, code);
    }

    // Who is away gets it when it is back.
    drop(bob);
    for n in 2..5 {
        ann.say(&whisper(n, &format!("away {n}"), json!([bob_id]))).await;
        ann.until("privateChat").await;
    }
    let (mut bob, _) = back(place, "daily", &bob_welcome, 3).await;
    let mut texts = Vec::new();
    while texts.len() < 4 {
        texts.push(bob.until("privateChat").await["message"]["text"].take());
    }
    assert_eq!(texts, ["between-us", "away 2", "away 3", "away 4"], "what it may have lost comes again");
    let public = write(&mut ann, 7, "to all").await;
    loop {
        match cid.hear().await {
            Heard::Said(message) if message["type"] == "privateChat" => panic!("{message}"),
            Heard::Said(message) if message["type"] == "chat" => {
                assert_eq!(message["message"]["id"], public["id"]);
                break;
            }
            Heard::Said(_) => {}
            end => panic!("{end:?}"),
        }
    }
    assert_eq!(public["seq"], 4, "private messages have no number");
    assert!(directory.holds("to all") && !directory.holds("between-us"), "and are not on the disk");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_chat_is_kept_is_said_for_each_room() {
    let server = Running::start_with(Config::default()).await;
    let path = "/api/v1/rooms/daily/chat/retention";
    let figures = json!({"maxCount": 5, "maxAgeS": 3600});
    let (status, body) = http::put(server.place.http, path, &figures).await;
    assert!(status == 409 && body.contains("chat/not-kept"), "{status} {body}");
    server.stop().await;

    let directory = Directory::new("retention");
    let server = directory.server().await;
    let place = server.place;
    for good in [figures, json!({"maxCount": 0, "maxAgeS": 0}), Value::Null] {
        let (status, body) = http::put(place.http, path, &good).await;
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, good));
    }
    for bad in [json!({}), json!({"maxCount": -1, "maxAgeS": 1}), json!({"maxCount": 1, "maxAgeS": 1, "x": 1})] {
        assert_eq!(http::put(place.http, path, &bad).await.0, 422, "{bad}");
    }
    // Pages go on after the room is closed, and over its lives.
    for nonce in 1..3 {
        let (mut ann, _) = RawSocket::enter(place.http, "daily", "Ann").await;
        write(&mut ann, nonce, &format!("life {nonce}")).await;
        ann.close(1000).await;
        eventually("the room is closed", async || {
            http::json(place.http, "/api/v1/rooms").await["rooms"].as_array().unwrap().is_empty()
        })
        .await;
    }
    let page = http::json(place.http, "/api/v1/rooms/daily/chat").await;
    let texts: Vec<&str> = page["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["life 1", "life 2"]);
    server.stop().await;
}

/// A client with what it has written.
struct Writer {
    client: Option<Client>,
    written: Vec<(u32, String)>,
}

/// Slower than the server allows: ten a second.
const PACE: Duration = Duration::from_millis(110);

impl Writer {
    fn new(client: Client) -> Self {
        Self { client: Some(client), written: Vec::new() }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    async fn write(&mut self, texts: impl Iterator<Item = String>) {
        for text in texts {
            // What does not get through is written again.
            if let Ok(nonce) = self.client().chat(&text).await {
                self.written.push((nonce, text));
            } else {
                self.written.push((u32::MAX - self.written.len() as u32, text));
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Writes again what was not acknowledged, until it is.
    async fn settle(&mut self) {
        for _ in 0..20 {
            let log = self.client().chat_log();
            let own = |line: &&roundtable_client::ChatLine| line.message.member == *self.client().member();
            let known: Vec<u32> = log.iter().filter(own).filter_map(|line| line.message.nonce).collect();
            let lacking: Vec<_> = self.written.iter().filter(|(nonce, _)| !known.contains(nonce)).collect();
            if lacking.is_empty() {
                return;
            }
            for (nonce, text) in lacking {
                self.client().chat_again(*nonce, text).await.unwrap();
                tokio::time::sleep(PACE).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{} was not acknowledged all it wrote", self.client().welcome().member.name);
    }

    async fn come_back(&mut self, lose_media: bool) {
        let client = self.client.take().unwrap();
        let name = client.welcome().member.name.clone();
        let back = client.come_back(lose_media).await;
        self.client = Some(back.unwrap_or_else(|error| panic!("{name} is not back: {error}")).0);
    }

    fn texts(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.client().chat_log().into_iter().map(|line| line.message).collect();
        lines.sort_by_key(|message| message.seq);
        lines.into_iter().map(|message| message.text).collect()
    }
}

/// So many others write so much each: a thousand in all.
const OTHERS: usize = 8;
const EACH: usize = 125;

/// One client is without its socket and without its media while others write; if `killed`, the server ends meanwhile
/// without a word and is started again. Everybody has everything once.
async fn everything_is_everywhere_once(name: &str, killed: bool) {
    let directory = Directory::new(name);
    let mut server = Process::start_with(&directory.arguments());
    let place = server.place;
    let mut others = Vec::new();
    for n in 0..OTHERS {
        others.push(Writer::new(join(place.guest("daily", &format!("Other {n}"))).await));
    }
    let proxy = Proxy::start(place.udp).await;
    let guest = place.guest("daily", "Lost");
    let mut lost = Writer::new(join(Options { rewrite_answer: Some(proxy.detour()), ..guest }).await);
    proxy.cut(true);
    lost.client.as_mut().unwrap().drop_socket().await;

    let write = |n: usize, range: std::ops::Range<usize>, mut writer: Writer| {
        tokio::spawn(async move {
            writer.write(range.map(|nth| format!("{n}/{nth}"))).await;
            writer
        })
    };
    let first: Vec<_> = others.into_iter().enumerate().map(|(n, writer)| write(n, 0..EACH / 2, writer)).collect();
    if killed {
        tokio::time::sleep(PACE * 40).await;
        server.kill();
    }
    let mut others = Vec::new();
    for task in first {
        others.push(task.await.unwrap());
    }
    if killed {
        server = Process::start_at(place, &directory.arguments());
        for writer in &mut others {
            writer.come_back(false).await;
        }
    }
    let second = others.into_iter().enumerate().map(|(n, mut writer)| {
        tokio::spawn(async move {
            writer.settle().await;
            writer.write((EACH / 2..EACH).map(|nth| format!("{n}/{nth}"))).await;
            writer.settle().await;
            writer
        })
    });
    let mut all = Vec::new();
    for task in second.collect::<Vec<_>>() {
        all.push(task.await.unwrap());
    }
    proxy.cut(false);
    lost.come_back(true).await;
    lost.write((0..50).map(|nth| format!("lost/{nth}"))).await;
    lost.settle().await;
    all.push(lost);

    let count = OTHERS * EACH + 50;
    for writer in &all {
        let complete = writer.client().wait_for(SOON, |client| client.chat_log().len() >= count).await;
        let client = writer.client();
        assert!(complete, "{} has {}", client.welcome().member.name, client.chat_log().len());
    }
    let expected = all[0].texts();
    for writer in &all {
        assert!(writer.texts() == expected, "{}", writer.client().welcome().member.name);
        // Each writer's own in the order in which it wrote, but for what was written again.
        assert!(writer.written.iter().all(|(_, text)| expected.contains(text)));
    }
    let mut distinct = expected.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((expected.len(), distinct.len()), (count, count), "each once");
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_cut_off_while_a_thousand_messages_were_written_has_each_once() {
    everything_is_everywhere_once("cut-off", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_when_the_server_is_killed_in_the_middle() {
    everything_is_everywhere_once("cut-killed", true).await;
}
