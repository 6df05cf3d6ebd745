//! Who may enter, and who may use the API: over real sockets, as clients and applications meet it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use roundtable::protocol::ErrorCode;
use roundtable::protocol::event::TrackSource;
use roundtable::{Config, Server};
use roundtable_client::{ClientError, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::http::{self, Answer};
use crate::common::scratch::{Folder, Scratch};
use crate::common::server::{Process, Running};
use crate::common::socket::{Heard, RawSocket};
use crate::common::token::{TestKey, now};
use crate::common::{SOON, eventually, heard, join};

const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };
const OTHER: TestKey = TestKey { id: "second", secret: "the second secret, of 32 bytes or more" };

/// Sends a request with a token, if there is one.
async fn send(at: SocketAddr, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
    let head = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    http::send(at, method, path, &head, body).await
}

trait Code {
    /// The code of a problem; empty if it is none.
    fn code(&self) -> &str;
}

impl Code for Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }
}

fn hello(token: Option<&str>) -> Value {
    let mut hello = json!({"type": "hello", "version": 1, "name": "Somebody"});
    if let Some(token) = token {
        hello["token"] = token.into();
    }
    hello
}

/// Enters with a token, or says why not.
async fn enter(server: SocketAddr, room: &str, token: Option<&str>) -> Result<(RawSocket, Value), String> {
    let mut socket = RawSocket::open(server, room).await;
    socket.say(&hello(token)).await;
    loop {
        match socket.hear().await {
            Heard::Said(message) if message["type"] == "welcome" => return Ok((socket, message)),
            Heard::Said(message) if message["type"] == "error" => {
                assert_eq!(message["fatal"], true);
                assert_eq!(socket.until_closed().await.1, Some(4403), "refused at hello");
                return Err(message["code"].as_str().unwrap().to_owned());
            }
            Heard::Said(_) => {}
            end => panic!("{end:?} instead of an answer"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_enters_and_what_they_may() {
    let server = Running::start_with(KEY.config()).await;
    let claims = json!({
        "sub": "ann@example", "name": "Ann", "metadata": "{\"team\":1}", "role": "listener",
        "limits": {"lastN": 3}, "video": {"room": "daily", "roomJoin": true},
    });
    let (_ann, welcome) = enter(server.place.http, "daily", Some(&KEY.sign(claims))).await.unwrap();
    let member = &welcome["member"];
    assert_eq!((&member["name"], &member["identity"]), (&json!("Ann"), &json!("ann@example")), "the token's name wins");
    assert_eq!(member["metadata"], "{\"team\":1}");
    let grants = &welcome["grants"];
    assert_eq!((&grants["publish"], &grants["subscribe"]), (&json!(false), &json!(true)));
    assert_eq!(grants["limits"]["lastN"], 3);
    assert_eq!(welcome["state"]["members"][0]["identity"], "ann@example", "others see it too");

    let expired = KEY.sign(json!({"sub": "x", "exp": now() - 60, "video": {"room": "daily", "roomJoin": true}}));
    for (token, code) in [
        (None, "token/missing"),
        (Some(expired), "token/expired"),
        (Some(KEY.member("weekly", "x", json!({}))), "token/room"),
        (Some(KEY.operator()), "token/room"),
        (Some(OTHER.member("daily", "x", json!({}))), "token/invalid"),
        (Some(TestKey { secret: OTHER.secret, ..KEY }.member("daily", "x", json!({}))), "token/invalid"),
        (Some("nonsense".to_owned()), "token/invalid"),
        (Some(KEY.member("daily", "x", json!({"roomJoin": false}))), "token/grant"),
    ] {
        assert_eq!(enter(server.place.http, "daily", token.as_deref()).await.map(drop).unwrap_err(), code);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_come_with_the_request() {
    let server = Running::start_with(KEY.config()).await;
    let token = KEY.member("daily", "ann", json!({}));
    let room = format!("daily&access_token={token}");
    let (_ann, welcome) = enter(server.place.http, &room, None).await.unwrap();
    assert_eq!(welcome["member"]["identity"], "ann");
    let room = "daily&access_token=nonsense";
    assert_eq!(enter(server.place.http, room, None).await.map(drop).unwrap_err(), "token/invalid");
    let (_bob, welcome) = enter(server.place.http, room, Some(&KEY.member("daily", "bob", json!({})))).await.unwrap();
    assert_eq!(welcome["member"]["identity"], "bob", "the hello's stands before it");

    // With a header, as clients that are no browsers do.
    let mut stream = TcpStream::connect(server.place.http).await.unwrap();
    let head = format!(
        "GET /ws?room=daily HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_for_those_whose_token_says_so() {
    let server = Running::start_with(KEY.config()).await;
    let at = server.place.http;
    let member = KEY.member("daily", "ann", json!({}));
    let host = KEY.member("daily", "hal", json!({"roomAdmin": true}));
    let (_ann, welcome) = enter(at, "daily", Some(&member)).await.unwrap();
    let limits = format!("/api/v1/rooms/daily/members/{}/limits", welcome["member"]["id"].as_str().unwrap());
    let operator = KEY.operator();
    let expired = KEY.sign(json!({"exp": now() - 60, "video": {"roomAdmin": true}}));
    let weekly = KEY.member("weekly", "bob", json!({"roomAdmin": true}));
    let wrong = TestKey { secret: OTHER.secret, ..KEY }.operator();
    let get = |path: &str| ("GET", path.to_owned(), None);
    let put = || ("PUT", limits.clone(), Some(json!({"lastN": 2})));
    for ((method, path, body), token, expected) in [
        (get("/api/v1/rooms"), None, (401, "token/missing")),
        (get("/api/v1/rooms"), Some(&wrong), (401, "token/invalid")),
        (get("/api/v1/rooms"), Some(&expired), (401, "token/expired")),
        (get("/api/v1/rooms"), Some(&member), (403, "token/grant")),
        (get("/api/v1/rooms"), Some(&host), (403, "token/grant")),
        (get("/api/v1/rooms"), Some(&operator), (200, "")),
        (get("/api/v1/stats"), None, (401, "token/missing")),
        (get("/api/v1/stats"), Some(&operator), (200, "")),
        (get("/api/v1/rooms/daily"), None, (401, "token/missing")),
        (get("/api/v1/rooms/daily"), Some(&member), (200, "")),
        (get("/api/v1/rooms/daily"), Some(&weekly), (403, "token/room")),
        (get("/api/v1/rooms/daily/members"), Some(&member), (200, "")),
        (get("/api/v1/rooms/daily/members"), None, (401, "token/missing")),
        (get("/api/v1/rooms/daily/stats"), Some(&member), (200, "")),
        (get("/api/v1/rooms/daily/stats"), Some(&weekly), (403, "token/room")),
        (get("/api/v1/rooms/daily/events"), None, (401, "token/missing")),
        (get("/api/v1/rooms/daily/events"), Some(&weekly), (403, "token/room")),
        (put(), None, (401, "token/missing")),
        (put(), Some(&member), (403, "token/grant")),
        (put(), Some(&weekly), (403, "token/room")),
        (put(), Some(&host), (200, "")),
        (put(), Some(&operator), (200, "")),
        (get("/livez"), None, (200, "")),
        (get("/r/daily"), None, (200, "")),
    ] {
        let answer = send(at, method, &path, token.map(String::as_str), body.as_ref()).await;
        assert_eq!((answer.status, answer.code()), expected, "{method} {path}");
        let challenge = answer.header("www-authenticate");
        match answer.status {
            401 if answer.code() == "token/missing" => assert_eq!(challenge, Some("Bearer realm=\"roundtable\"")),
            401 => assert!(challenge.unwrap().ends_with("error=\"invalid_token\"")),
            403 => assert!(challenge.unwrap().ends_with("error=\"insufficient_scope\"")),
            _ => assert_eq!(challenge, None),
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_event_stream() {
    let server = Running::start_with(KEY.config()).await;
    let at = server.place.http;
    let token = KEY.member("daily", "ann", json!({}));
    let (_ann, _) = enter(at, "daily", Some(&token)).await.unwrap();
    assert_eq!(send(at, "POST", "/api/v1/tickets", None, None).await.code(), "token/missing");
    let answer = send(at, "POST", "/api/v1/tickets", Some(&token), None).await;
    assert_eq!((answer.status, &answer.body["expiresIn"]), (200, &json!(60)));
    let ticket = answer.body["ticket"].as_str().unwrap().to_owned();

    let wrong = send(at, "GET", &format!("/api/v1/rooms/daily?ticket={ticket}"), None, None).await;
    assert_eq!(wrong.code(), "token/missing", "for event streams only");
    let mut stream = TcpStream::connect(at).await.unwrap();
    let path = format!("/api/v1/rooms/daily/events?ticket={ticket}");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("event: reset") {
        let read = tokio::time::timeout(SOON, stream.read_buf(&mut text)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
    }
    let again = send(at, "GET", &path, None, None).await;
    assert_eq!((again.status, again.code()), (401, "ticket/invalid"), "used");

    let elsewhere = KEY.member("weekly", "bob", json!({}));
    let ticket = send(at, "POST", "/api/v1/tickets", Some(&elsewhere), None).await.body["ticket"].clone();
    let path = format!("/api/v1/rooms/daily/events?ticket={}", ticket.as_str().unwrap());
    assert_eq!(send(at, "GET", &path, None, None).await.code(), "token/room", "it allows what its token does");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_exchanged_for_a_token_as_often_as_it_says() {
    let server = Running::start_with(KEY.config()).await;
    let at = server.place.http;
    let host = KEY.member("daily", "hal", json!({"roomAdmin": true}));
    let member = KEY.member("daily", "ann", json!({}));
    let invites = "/api/v1/rooms/daily/invites";
    let wish = json!({"role": "listener", "expiresIn": 600, "maxUses": 2, "name": "A guest"});
    assert_eq!(send(at, "POST", invites, None, Some(&wish)).await.code(), "token/missing");
    assert_eq!(send(at, "POST", invites, Some(&member), Some(&wish)).await.code(), "token/grant");
    for bad in [json!({"maxUses": 0}), json!({"expiresIn": 0}), json!({"expiresIn": 2_592_001}), json!({"name": "\n"})]
    {
        let answer = send(at, "POST", invites, Some(&host), Some(&bad)).await;
        assert_eq!((answer.status, answer.code()), (422, "invite/bad"), "{bad}");
    }
    let unknown = send(at, "POST", invites, Some(&host), Some(&json!({"uses": 2}))).await;
    assert_eq!(unknown.code(), "http/body");

    let made = send(at, "POST", invites, Some(&host), Some(&wish)).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let code = made.body["code"].as_str().unwrap().to_owned();
    assert_eq!(made.body["url"], format!("/r/daily?invite={code}"));
    assert!(!code.contains('.') && code.len() <= 24, "it is short and no token: {code}");
    let listed = send(at, "GET", invites, Some(&host), None).await;
    assert_eq!(listed.body["invites"][0]["code"], code);

    let exchange = format!("/api/v1/invites/{code}");
    let bad_name = send(at, "POST", &exchange, None, Some(&json!({"name": ""}))).await;
    assert_eq!((bad_name.status, bad_name.code()), (422, "hello/name"), "which does not count");
    for (given, expected) in [(json!({"name": "Gus"}), "Gus"), (json!({}), "A guest")] {
        let exchanged = send(at, "POST", &exchange, None, Some(&given)).await;
        assert_eq!((exchanged.status, &exchanged.body["room"]), (200, &json!("daily")));
        let token = exchanged.body["token"].as_str().unwrap();
        let (_gus, welcome) = enter(at, "daily", Some(token)).await.unwrap();
        assert_eq!(welcome["member"]["name"], expected);
        assert_eq!(welcome["grants"]["publish"], false, "a listener");
        assert_eq!(enter(at, "weekly", Some(token)).await.map(drop).unwrap_err(), "token/room");
        assert_eq!(send(at, "GET", invites, Some(token), None).await.code(), "token/grant");
    }
    let third = send(at, "POST", &exchange, None, Some(&json!({}))).await;
    assert_eq!((third.status, third.code()), (410, "invite/used"));

    let made = send(at, "POST", invites, Some(&host), Some(&json!({"expiresIn": 1}))).await;
    let short = format!("/api/v1/invites/{}", made.body["code"].as_str().unwrap());
    eventually("a second passes", async || {
        send(at, "POST", &short, None, Some(&json!({}))).await.code() == "invite/expired"
    })
    .await;

    let made = send(at, "POST", invites, Some(&host), Some(&json!({}))).await;
    let code = made.body["code"].as_str().unwrap();
    let weekly = KEY.member("weekly", "bob", json!({"roomAdmin": true}));
    let elsewhere = format!("/api/v1/rooms/weekly/invites/{code}");
    assert_eq!(send(at, "DELETE", &elsewhere, Some(&weekly), None).await.code(), "invite/unknown");
    assert_eq!(send(at, "DELETE", &format!("{invites}/{code}"), Some(&host), None).await.status, 204);
    let revoked = send(at, "POST", &format!("/api/v1/invites/{code}"), None, Some(&json!({}))).await;
    assert_eq!((revoked.status, revoked.code()), (410, "invite/revoked"));
    let unknown = send(at, "POST", "/api/v1/invites/nonsense", None, Some(&json!({}))).await;
    assert_eq!((unknown.status, unknown.code()), (404, "invite/unknown"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_keys_cannot_invite_and_is_open_otherwise() {
    let server = Running::start().await;
    let at = server.place.http;
    let (_ann, welcome) = enter(at, "daily", None).await.unwrap();
    assert_eq!(welcome["member"].get("identity"), None, "a guest");
    assert_eq!(send(at, "GET", "/api/v1/rooms", None, None).await.status, 200);
    let invite = send(at, "POST", "/api/v1/rooms/daily/invites", None, Some(&json!({}))).await;
    assert_eq!((invite.status, invite.code()), (409, "invite/no-key"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_let_in_beside_keys_where_the_settings_say_so() {
    let mut config = KEY.config();
    config.auth.allow_guests = true;
    let server = Running::start_with(config).await;
    let at = server.place.http;
    enter(at, "daily", None).await.unwrap();
    enter(at, "daily", Some(&KEY.member("daily", "ann", json!({})))).await.unwrap();
    assert_eq!(enter(at, "daily", Some("nonsense")).await.map(drop).unwrap_err(), "token/invalid");
    assert_eq!(send(at, "GET", "/api/v1/rooms", None, None).await.code(), "token/missing", "the API is no guest's");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_wrong_tokens_keep_nobody_out() {
    let server = Running::start_with(KEY.config()).await;
    let at = server.place.http;
    let wrong = TestKey { secret: OTHER.secret, ..KEY }.member("daily", "eve", json!({}));
    let flood = (0..20).map(|_| {
        let wrong = wrong.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(enter(at, "daily", Some(&wrong)).await.map(drop).unwrap_err(), "token/invalid");
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    let mut honest = Vec::new();
    for n in 0..20 {
        let token = KEY.member("daily", &format!("honest{n}"), json!({}));
        honest.push(enter(at, "daily", Some(&token)).await.unwrap());
    }
    for task in flood {
        task.await.unwrap();
    }
    let state = send(at, "GET", "/api/v1/rooms/daily", Some(&KEY.operator()), None).await;
    assert_eq!(state.body["members"].as_array().map(Vec::len), Some(20), "the honest ones and nobody else");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_changed_while_calls_go_on() {
    let file = Scratch::new("keys.toml", &KEY.in_file());
    let server = Process::start_with(&["--keys-file", file.path()]);
    let at = server.place.http;
    let old = KEY.member("daily", "ann", json!({}));
    let new = OTHER.member("daily", "bob", json!({}));
    let (mut ann, _) = enter(at, "daily", Some(&old)).await.unwrap();
    assert_eq!(enter(at, "daily", Some(&new)).await.map(drop).unwrap_err(), "token/invalid");
    let reload = || {
        let sent = Command::new("kill").args(["-HUP", &server.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };

    // First both keys, so that nobody is left out, then the new one alone.
    std::fs::write(file.path(), KEY.in_file() + &OTHER.in_file()).unwrap();
    reload();
    eventually("the new key is known", async || enter(at, "daily", Some(&new)).await.is_ok()).await;
    enter(at, "daily", Some(&old)).await.unwrap();
    std::fs::write(file.path(), OTHER.in_file()).unwrap();
    reload();
    eventually("the old key is forgotten", async || enter(at, "daily", Some(&old)).await.is_err()).await;
    enter(at, "daily", Some(&new)).await.unwrap();

    // A file that is broken changes nothing, and who was in is in.
    std::fs::write(file.path(), "keys = 1").unwrap();
    reload();
    tokio::time::sleep(Duration::from_millis(300)).await;
    enter(at, "daily", Some(&new)).await.unwrap();
    ann.say(&json!({"type": "chat", "nonce": 1, "text": "still here"})).await;
    assert_eq!(ann.until("chat").await["nonce"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_so_many_rooms_also_after_the_server_was_killed() {
    // The second key has a figure of its own.
    let file = Scratch::new("quota.toml", &(KEY.in_file() + &OTHER.in_file() + "max-rooms = 1\n"));
    let data = Folder::new("quota");
    let arguments = [
        ["--keys-file", file.path()],
        ["--max-rooms-per-key", "2"],
        ["--data-dir", data.text()],
        ["--resume-within", "60s"],
    ];
    let mut server = Process::start_with(&arguments.concat());
    let at = server.place.http;
    let refused = async |room: &str, key: TestKey| {
        enter(at, room, Some(&key.member(room, "ann", json!({})))).await.map(drop).err()
    };
    let creator = KEY.sign(json!({"video": {"roomCreate": true}}));
    let create =
        async |room: &str| send(at, "POST", "/api/v1/rooms", Some(&creator), Some(&json!({"room": room}))).await;
    let (mut ann, _) = enter(at, "a1", Some(&KEY.member("a1", "ann", json!({})))).await.unwrap();
    let (_bob, _) = enter(at, "b1", Some(&OTHER.member("b1", "bob", json!({})))).await.unwrap();
    assert_eq!(refused("b2", OTHER).await.as_deref(), Some("room/key-quota"), "one is what its entry says");
    assert_eq!(create("a2").await.status, 201, "the second of two");
    let over = create("a3").await;
    assert_eq!((over.status, over.code(), over.header("retry-after")), (429, "room/key-quota", Some("5")));
    assert_eq!(refused("a3", KEY).await.as_deref(), Some("room/key-quota"));

    // A message is on the disk when it is seen, and what was written before it is there as well.
    ann.say(&json!({"type": "chat", "nonce": 1, "text": "kept"})).await;
    ann.until("chat").await;
    let place = server.place;
    server.kill();
    let _server = Process::start_at(place, &arguments.concat());
    eventually("the server listens", async || TcpStream::connect(at).await.is_ok()).await;
    assert_eq!(refused("a3", KEY).await.as_deref(), Some("room/key-quota"), "one is open again, one is set up");
    assert_eq!(refused("b2", OTHER).await.as_deref(), Some("room/key-quota"));
    let host = KEY.operator();
    assert_eq!(send(at, "DELETE", "/api/v1/rooms/a1", Some(&host), None).await.status, 204);
    eventually("the place is free", async || refused("a3", KEY).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_beyond_what_may_be_kept_is_refused() {
    let data = Folder::new("chat-quota");
    let server = Process::start_with(&["--data-dir", data.text(), "--max-chat-per-room", "1"]);
    let (mut ann, _) = RawSocket::enter(server.place.http, "r", "Ann").await;
    let mut refused = None;
    // Each takes a place of 32 KiB: 32 of them are a mebibyte. They are counted when they are written.
    for nonce in 0..40 {
        ann.say(&json!({"type": "chat", "nonce": nonce, "text": "x".repeat(16 * 1024)})).await;
        let answer = loop {
            match ann.hear().await {
                Heard::Said(message) if message["type"] == "chat" || message["type"] == "error" => break message,
                Heard::Said(_) => {}
                end => panic!("{end:?}"),
            }
        };
        if answer["type"] == "error" && answer["code"] != "chat/rate" {
            refused = Some((nonce, answer["code"].clone()));
            break;
        }
        tokio::time::sleep(Duration::from_millis(110)).await;
    }
    assert_eq!(refused, Some((32, json!("chat/full"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_authority_are_verified_by_its_jwks() {
    use base64::Engine as _;
    use ring::signature::KeyPair as _;
    let text = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "idp", "x": text(pair.public_key().as_ref())});
    let file = Scratch::new("jwks.json", &json!({"keys": [jwk]}).to_string());
    let mut config = Config::default();
    config.auth.keys.jwks_file = Some(file.path().into());
    let server = Running::start_with(config).await;
    let header = text(br#"{"alg":"EdDSA","kid":"idp"}"#);
    let claims = json!({"iss": "https://id.example", "sub": "ann", "exp": now() + 60, "role": "host", "video": {"room": "daily"}});
    let message = format!("{header}.{}", text(claims.to_string().as_bytes()));
    let token = format!("{message}.{}", text(pair.sign(message.as_bytes()).as_ref()));
    let (_ann, welcome) = enter(server.place.http, "daily", Some(&token)).await.unwrap();
    assert_eq!(welcome["grants"]["admin"], true);
    let invite = send(server.place.http, "POST", "/api/v1/rooms/daily/invites", Some(&token), Some(&json!({}))).await;
    assert_eq!(invite.code(), "invite/no-key", "a public key signs nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_from_a_source_that_was_not_granted_is_refused() {
    let server = Running::start_with(KEY.config()).await;
    let guest = |name: &str, video: Value| {
        let token = Some(KEY.member("daily", name, video));
        join(Options { token, ..server.place.guest("daily", name) })
    };
    let by_voice = || json!({"canPublishSources": ["microphone"]});
    let (ann, eve) = (guest("ann", by_voice()).await, guest("eve", by_voice()).await);
    let (mix, bob) = (guest("mix", by_voice()).await, guest("bob", json!({"canPublish": false})).await);
    for (client, sources) in [
        (&eve, &[TrackSource::Camera][..]),
        (&mix, &[TrackSource::Microphone, TrackSource::Camera]),
        (&bob, &[TrackSource::Microphone]),
    ] {
        match client.publish(sources).await {
            Err(ClientError::Refused { code, .. }) => assert_eq!(code, ErrorCode::PublishForbidden, "{sources:?}"),
            other => panic!("{sources:?}: {other:?}"),
        }
    }
    ann.publish(&[TrackSource::Microphone]).await.unwrap();
    eventually("bob hears her", async || heard(&bob, &ann, TrackSource::Microphone) > 5).await;
    for refused in [&eve, &mix] {
        assert_eq!(heard(&bob, refused, TrackSource::Camera), 0, "not one packet of what was refused");
    }
    assert_eq!(bob.state().tracks.iter().map(|track| track.source).collect::<Vec<_>>(), [TrackSource::Microphone]);
    server.stop().await;
}

fn roundtable(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

#[test]
fn an_address_that_others_reach_wants_keys() {
    let bare = roundtable(&["--http-listen", "0.0.0.0:0", "--udp-port", "0"]);
    let said = String::from_utf8(bare.stderr).unwrap();
    assert_eq!(bare.status.code(), Some(78), "{said}");
    for way in ["roundtable keys new", "--keys-file", "--open"] {
        assert!(said.contains(way), "{said}");
    }
    let short = Scratch::new("short.toml", &TestKey { id: "k", secret: "short" }.in_file());
    let refused = roundtable(&["--http-listen", "0.0.0.0:0", "--udp-port", "0", "--keys-file", short.path()]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("at least 32"));
    let dev = roundtable(&["--http-listen", "0.0.0.0:0", "--udp-port", "0", "--dev"]);
    assert_eq!(dev.status.code(), Some(78), "dev is for loopback");
}

#[tokio::test]
async fn a_config_made_by_hand_keeps_the_rule_too() {
    let mut config = Config::default();
    config.http.listen = ([0, 0, 0, 0], 0).into();
    config.media.udp_port = 0;
    let refused = Server::bind(config.clone()).await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("--open"), "{refused}");
    config.auth.open = true;
    assert!(Server::bind(config).await.is_ok(), "unless one insists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_token_made_on_the_command_line_open_a_room() {
    let key = roundtable(&["keys", "new"]);
    let file = Scratch::new("made.toml", &String::from_utf8(key.stdout).unwrap());
    let checked = roundtable(&["keys", "check", file.path()]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(String::from_utf8(checked.stdout).unwrap().contains("HS256"));
    assert_ne!(roundtable(&["keys", "new"]).stdout, std::fs::read(file.path()).unwrap(), "each is another one");
    assert_eq!(roundtable(&["keys", "check", "Cargo.toml"]).status.code(), Some(78));

    let arguments = ["token", "--keys-file", file.path(), "--room", "daily", "--identity", "ann", "--role", "host"];
    let token = String::from_utf8(roundtable(&arguments).stdout).unwrap();
    let server = Process::start_with(&["--keys-file", file.path()]);
    let (_ann, welcome) = enter(server.place.http, "daily", Some(token.trim())).await.unwrap();
    assert_eq!(welcome["grants"]["admin"], true);

    let api = ["token", "--keys-file", file.path(), "--grant", "roomList", "--ttl", "1m"];
    let api = String::from_utf8(roundtable(&api).stdout).unwrap();
    assert_eq!(send(server.place.http, "GET", "/api/v1/rooms", Some(api.trim()), None).await.status, 200);
    for bad in [&["token", "--room", "r", "--identity", "a"][..], &["token", "--dev", "--room", "a b"]] {
        assert_eq!(roundtable(bad).status.code(), Some(78), "{bad:?}");
    }
    assert!(Path::new(file.path()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_lets_guests_and_its_own_key_in() {
    let server = Process::start_with(&["--dev"]);
    let at = server.place.http;
    enter(at, "dev", None).await.unwrap();
    let token = roundtable(&["token", "--dev", "--room", "dev", "--identity", "me"]);
    let token = String::from_utf8(token.stdout).unwrap();
    let (_me, welcome) = enter(at, "dev", Some(token.trim())).await.unwrap();
    assert_eq!(welcome["member"]["identity"], "me");
    assert_eq!(send(at, "GET", "/api/v1/rooms", None, None).await.status, 200);
}
