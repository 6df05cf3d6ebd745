//! Data by topics: it reaches whom it is for and nobody else, over channels and over the WebSocket.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roundtable::protocol::data::{DataHeader, write_frame};
use roundtable::protocol::{ClientMessage, ErrorCode, Grants, MemberId, RoomId, ServerMessage};
use roundtable::{Authorising, Authorize, Config, Server};
use roundtable_client::{Client, DataArrival};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::http::Stats;
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, join};

fn header(topic: &str) -> DataHeader {
    DataHeader { topic: topic.to_owned(), to: None, id: None }
}

fn to(topic: &str, members: &[&Client]) -> DataHeader {
    let to = members.iter().map(|member| member.member().clone()).collect();
    DataHeader { to: Some(to), ..header(topic) }
}

/// Joins and waits for the data channels.
async fn enter(server: &Running, room: &str, name: &str) -> Client {
    let client = join(server.place.guest(room, name)).await;
    eventually("the channels open", async || client.data_channels_are_open()).await;
    client
}

async fn follow(client: &Client, patterns: &[&str]) {
    let subscribe = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    client.send(ClientMessage::Topics { unsubscribe: vec!["**".into()], subscribe }).await.unwrap();
    settled(client).await;
}

/// Waits until the server has done what it was told over the socket.
async fn settled(client: &Client) {
    let mut messages = client.messages();
    client.send(ClientMessage::GetStats { id: 77 }).await.unwrap();
    let answer = async { while !matches!(messages.recv().await, Ok(ServerMessage::Stats { id: 77, .. })) {} };
    tokio::time::timeout(SOON, answer).await.expect("it answers");
}

/// What came until an end mark, which everybody is sent.
async fn until_end(client: &Client) -> Vec<DataArrival> {
    let mut all = Vec::new();
    eventually("the end mark comes", async || {
        all.extend(client.take_data());
        all.last().is_some_and(|last: &DataArrival| last.stamp.topic == "end")
    })
    .await;
    all.pop();
    all
}

fn topics(arrivals: &[DataArrival]) -> Vec<&str> {
    arrivals.iter().map(|arrival| arrival.stamp.topic.as_str()).collect()
}

async fn refused(client: &Client, code: ErrorCode) {
    eventually(code.as_str(), async || client.errors().contains(&code)).await;
}

/// Ann publishes to many topics; each of the others follows some of them.
async fn data_finds_its_way(shards: u8) {
    let mut config = Config::default();
    config.media.shards = Some(shards);
    // Every member goes to another shard, as if each were busy.
    config.media.spread_above = 0;
    let server = Running::start_with(config).await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    let cid = enter(&server, "daily", "Cid").await;
    let dan = enter(&server, "daily", "Dan").await;
    let eve = enter(&server, "weekly", "Eve").await;
    let (mut fay, _) = RawSocket::enter(server.place.http, "daily", "Fay").await;
    follow(&bob, &["board/*", "end"]).await;
    follow(&cid, &["board/**", "*/ink", "end"]).await;

    for topic in ["chess", "board/1", "board/1/ink", "pen/ink"] {
        ann.publish_data(&header(topic), topic.as_bytes(), false).await.unwrap();
    }
    ann.publish_data(&to("board/2", &[&bob, &dan]), b"for two", false).await.unwrap();
    ann.publish_data(&to("chess", &[&bob]), b"not followed", false).await.unwrap();
    ann.publish_data(&header("end"), b"", false).await.unwrap();

    assert_eq!(topics(&until_end(&bob).await), ["board/1", "board/2"]);
    assert_eq!(topics(&until_end(&cid).await), ["board/1", "board/1/ink", "pen/ink"]);
    let dans = until_end(&dan).await;
    assert_eq!(
        topics(&dans),
        ["chess", "board/1", "board/1/ink", "pen/ink", "board/2"],
        "all, until something is said"
    );
    for arrival in &dans[..4] {
        assert_eq!((&arrival.stamp.from, arrival.lossy), (ann.member(), false));
        assert_eq!(arrival.payload, arrival.stamp.topic.as_bytes());
    }
    // The same over the WebSocket.
    for topic in ["chess", "board/1", "board/1/ink", "pen/ink", "end"] {
        let data = fay.until("data").await;
        let payload = STANDARD.encode(if topic == "end" { "" } else { topic });
        assert_eq!(data, json!({"type": "data", "topic": topic, "from": ann.member(), "payload": payload}));
    }
    let payload = STANDARD.encode("from afar");
    fay.say(&json!({"type": "data", "topic": "board/9", "to": [bob.member()], "payload": payload})).await;
    eventually("it comes over the channel", async || {
        bob.take_data().iter().any(|got| got.stamp.topic == "board/9" && got.payload == b"from afar")
    })
    .await;
    // What may be lost may be sent again and again.
    eventually("what may be lost comes as such", async || {
        ann.publish_data(&header("board/1"), b"here", true).await.unwrap();
        dan.take_data().iter().any(|got| got.lossy && got.payload == b"here" && got.stamp.from == *ann.member())
    })
    .await;
    let spread = Stats::of(server.place.http).await;
    assert_eq!(spread.shard("branches") > 0, shards > 1, "the room is on several shards: {spread:?}");
    assert!(ann.take_data().is_empty() && eve.take_data().is_empty(), "not to oneself, nor to another room");
    assert!(ann.errors().is_empty(), "{:?}", ann.errors());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_reaches_who_follows_its_topic_and_nobody_else() {
    data_finds_its_way(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_in_a_room_on_three_shards() {
    data_finds_its_way(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_says_of_itself_counts_for_nothing() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    let forged = json!({"topic": "chess", "from": bob.member(), "n": 17, "id": 5});
    ann.send_frame(&write_frame(&forged, b"e4"), false).await.unwrap();
    let mut got = Vec::new();
    eventually("it comes", async || {
        got.extend(bob.take_data());
        !got.is_empty()
    })
    .await;
    let stamp = &got[0].stamp;
    assert_eq!((&stamp.from, stamp.n, stamp.id), (ann.member(), None, Some(5)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_refused_by_name_and_the_channel_goes_on() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    let mut told = ann.messages();
    let mut said = async |code: ErrorCode| {
        let heard = async {
            loop {
                if let Ok(ServerMessage::Error { id, code: got, .. }) = told.recv().await {
                    assert_eq!(got, code);
                    return id;
                }
            }
        };
        tokio::time::timeout(SOON, heard).await.unwrap_or_else(|_| panic!("{code} is not said"))
    };

    let large = DataHeader { id: Some(1), ..header("chess") };
    ann.publish_data(&large, &[0; 16_001], false).await.unwrap();
    assert_eq!(said(ErrorCode::DataTooLarge).await, Some(1));
    // What is longer than a channel takes, this client does not send; the tests of `channel` in the transport do.
    for bytes in [30_000, 65_000] {
        ann.send_frame(&vec![1; bytes], false).await.unwrap();
        assert_eq!(said(ErrorCode::DataTooLarge).await, None, "{bytes}");
    }
    ann.send_frame(b"\x02\x00\x00", false).await.unwrap();
    assert_eq!(said(ErrorCode::BadData).await, None);
    ann.send_frame(b"\x01\x00\x02{]", false).await.unwrap();
    assert_eq!(said(ErrorCode::BadData).await, None);
    let numbered = |id, topic: &str| DataHeader { id: Some(id), ..header(topic) };
    ann.publish_data(&numbered(2, "a//b"), b"", false).await.unwrap();
    assert_eq!(said(ErrorCode::BadTopic).await, Some(2));
    let nobody = Some(vec![MemberId::new("m-nobody").unwrap()]);
    ann.publish_data(&DataHeader { to: nobody, ..numbered(3, "chess") }, b"", false).await.unwrap();
    assert_eq!(said(ErrorCode::MemberUnknown).await, Some(3));
    let crowd = Some(vec![bob.member().clone(); 101]);
    ann.publish_data(&DataHeader { to: crowd, ..numbered(4, "chess") }, b"", false).await.unwrap();
    assert_eq!(said(ErrorCode::BadData).await, Some(4));
    ann.send(ClientMessage::Topics { unsubscribe: vec![], subscribe: vec!["a*".into()] }).await.unwrap();
    assert_eq!(said(ErrorCode::BadTopic).await, None);

    ann.publish_data(&numbered(9, "chess"), &[7; 16_000], false).await.unwrap();
    eventually("what is right arrives over the same channel", async || {
        bob.take_data().iter().any(|got| got.payload.len() == 16_000 && got.stamp.id == Some(9))
    })
    .await;
    assert!(ann.ended().is_none() && bob.errors().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_above_the_rate() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    for _ in 0..2_000 {
        ann.publish_data(&header("flood"), b"x", false).await.unwrap();
    }
    refused(&ann, ErrorCode::DataRate).await;
    eventually("later there is room again", async || {
        ann.publish_data(&header("calm"), b"", false).await.unwrap();
        bob.take_data().iter().any(|got| got.stamp.topic == "calm")
    })
    .await;
    server.stop().await;
}

/// Lets everybody in; listeners publish to one topic alone.
struct Door;

impl Authorize for Door {
    fn authorise<'a>(&'a self, _room: &'a RoomId, name: &'a str, _token: Option<&'a str>) -> Authorising<'a> {
        let topics = (name == "Listener").then(|| vec!["hands/*".to_owned()]);
        Box::pin(async move { Ok(Grants { topics, ..Grants::ALL }.into()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_publish_to_a_topic_reads_it_all_the_same() {
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.media.udp_port = 0;
    config.media.udp_listen = vec![[127, 0, 0, 1].into()];
    let server = Server::builder(config).with_authorizer(Door).bind().await.unwrap();
    let place = crate::common::server::Place { http: server.http_addr(), udp: server.udp_addrs()[0] };
    let task = tokio::spawn(server.run(std::future::pending()));
    let ann = join(place.guest("daily", "Ann")).await;
    let listener = join(place.guest("daily", "Listener")).await;
    eventually("the channels open", async || ann.data_channels_are_open() && listener.data_channels_are_open()).await;
    listener.publish_data(&header("chess"), b"e4", false).await.unwrap();
    refused(&listener, ErrorCode::DataForbidden).await;
    listener.publish_data(&header("hands/up"), b"", false).await.unwrap();
    ann.publish_data(&header("chess"), b"d4", false).await.unwrap();
    eventually("it reads", async || listener.take_data().iter().any(|got| got.payload == b"d4")).await;
    let mut got = Vec::new();
    eventually("what it may comes", async || {
        got.extend(ann.take_data());
        !got.is_empty()
    })
    .await;
    assert_eq!(topics(&got), ["hands/up"], "and what it may not does not");
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_read_holds_nobody_up() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    let mut silent = RawSocket::open_narrow(server.place.http, "daily").await;
    silent.hello("Silent").await;
    let mut slowest = Duration::ZERO;
    // More than the socket's buffers and the outbox take together.
    for n in 0..600u32 {
        let mut payload = vec![0; 16_000];
        payload[..4].copy_from_slice(&n.to_be_bytes());
        let sent = Instant::now();
        ann.publish_data(&header("stream"), &payload, false).await.unwrap();
        eventually("the one who reads gets it", async || {
            bob.take_data().iter().any(|got| got.payload[..4] == n.to_be_bytes())
        })
        .await;
        slowest = slowest.max(sent.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let stats = Stats::of(server.place.http).await;
    assert!(stats.dropped("data-slow") > 0, "{stats:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_comes_whole_to_who_comes_late() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let bob = enter(&server, "daily", "Bob").await;
    let update = async |by: &Client, text: &str| {
        by.publish_data(&DataHeader { id: Some(1), ..header("doc/plan") }, text.as_bytes(), false).await.unwrap();
    };
    let seen = async |client: &Client, count: usize| {
        let mut got = Vec::new();
        eventually("the updates come", async || {
            got.extend(client.take_data());
            got.len() >= count
        })
        .await;
        got.iter().map(|got| (got.stamp.n, String::from_utf8(got.payload.clone()).unwrap())).collect::<Vec<_>>()
    };
    update(&ann, "a").await;
    assert_eq!(seen(&ann, 1).await, [(Some(1), "a".to_owned())], "who wrote it is told the number");
    update(&bob, "b").await;
    assert_eq!(seen(&bob, 2).await, [(Some(1), "a".to_owned()), (Some(2), "b".to_owned())]);

    let (mut cid, _) = RawSocket::enter(server.place.http, "daily", "Cid").await;
    let ask = json!({"type": "getDoc", "id": 5, "doc": "plan", "after": 0});
    cid.say(&ask).await;
    let payload = |text: &str| STANDARD.encode(text);
    let updates = json!([
        {"n": 1, "from": ann.member(), "payload": payload("a")},
        {"n": 2, "from": bob.member(), "payload": payload("b")},
    ]);
    let whole = |snapshot: Option<Value>, updates: Value, last: u64| {
        let mut doc =
            json!({"type": "doc", "id": 5, "doc": "plan", "updates": updates, "last": last, "complete": true});
        snapshot.into_iter().for_each(|snapshot| doc["snapshot"] = snapshot);
        doc
    };
    assert_eq!(cid.until("doc").await, whole(None, updates, 2));
    cid.say(&json!({"type": "putDoc", "id": 5, "doc": "plan", "upTo": 1, "snapshot": payload("[a]")})).await;
    assert_eq!(cid.until("doc").await, whole(None, json!([]), 2));
    cid.say(&ask).await;
    let rest = json!([{"n": 2, "from": bob.member(), "payload": payload("b")}]);
    assert_eq!(cid.until("doc").await, whole(Some(json!({"upTo": 1, "payload": payload("[a]")})), rest, 2));
    cid.say(&json!({"type": "putDoc", "id": 6, "doc": "plan", "upTo": 9, "snapshot": payload("?")})).await;
    let error = cid.until("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("data/bad-snapshot"), &json!(6)));
    cid.say(&json!({"type": "getDoc", "id": 5, "doc": "none"})).await;
    let none = cid.until("doc").await;
    assert_eq!((&none["last"], &none["updates"]), (&json!(0), &json!([])));
    server.stop().await;
}

/// Sends a file in chunks, each acknowledged, at most so many on their way; returns how long that took.
async fn carry(server: &Running, bytes: usize) -> Duration {
    const CHUNK: usize = 15 * 1024;
    const ON_THE_WAY: usize = 24;
    let ann = enter(server, "files", "Ann").await;
    let bob = enter(server, "files", "Bob").await;
    let file: Vec<u8> = (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let began = Instant::now();
    let (mut received, mut acknowledged) = (Vec::with_capacity(bytes), 0);
    let deadline = Instant::now() + Duration::from_secs(240);
    let mut pace = tokio::time::interval(Duration::from_millis(8));
    for (n, chunk) in file.chunks(CHUNK).enumerate() {
        while n >= acknowledged + ON_THE_WAY {
            for got in bob.take_data() {
                received.extend_from_slice(&got.payload);
                bob.publish_data(&to("file/ack", &[&ann]), b"", false).await.unwrap();
            }
            acknowledged += ann.take_data().len();
            assert!(Instant::now() < deadline, "{acknowledged} chunks after {:?}", began.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        pace.tick().await;
        ann.publish_data(&to("file/1", &[&bob]), chunk, false).await.unwrap();
    }
    eventually("the end of it comes", async || {
        bob.take_data().iter().for_each(|got| received.extend_from_slice(&got.payload));
        received.len() == bytes
    })
    .await;
    assert!(Sha256::digest(&received) == Sha256::digest(&file), "it is the same file");
    assert!(ann.errors().is_empty() && bob.errors().is_empty(), "{:?} {:?}", ann.errors(), bob.errors());
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_five_megabytes_arrives_as_it_was() {
    let server = Running::start().await;
    carry(&server, 5_000_000).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute; says how long"]
async fn a_file_of_fifty_megabytes_arrives_as_it_was() {
    let server = Running::start().await;
    let took = carry(&server, 50_000_000).await;
    eprintln!("50 MB took {took:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_not_read_loses_data_and_nothing_else() {
    let server = Running::start().await;
    let ann = enter(&server, "daily", "Ann").await;
    let (mut fay, _) = RawSocket::enter(server.place.http, "daily", "Fay").await;
    // More than the outbox and the socket's buffers take, within the time for one write.
    for _ in 0..400 {
        ann.publish_data(&header("stream"), &[0; 14_000], false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    ann.chat("still there?").await.unwrap();
    let (mut data, mut slow) = (0, 0);
    loop {
        match fay.hear().await {
            Heard::Said(message) if message["type"] == "data" => data += 1,
            Heard::Said(message) if message["code"] == "data/slow" => slow += 1,
            Heard::Said(message) if message["type"] == "chat" => break,
            Heard::Said(_) => {}
            end => panic!("{end:?}"),
        }
    }
    assert!(data == 400 || slow == 1, "{data} came and it was told {slow} times");
    server.stop().await;
}
