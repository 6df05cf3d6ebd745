//! Whatever is thrown at the routes, the answer is an answer: nothing breaks, and only the busy are told to wait.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use tower::ServiceExt as _;

use super::talk::Talk;
use super::*;
use crate::http::openapi::routes;

/// Requests in all.
const REQUESTS: usize = 10_000;
const AT_ONCE: usize = 64;

/// Numbers that look random and come again with the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

const PIECES: [&str; 23] = [
    "r",
    "m2",
    "x",
    "ann",
    "1",
    "-1",
    "0",
    "99999999999999999999999",
    "1e999",
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "..%2f..",
    "null",
    "%F0%9F%8E%B2",
    "a%20b",
    "7-1",
    "joined,left",
    "30s",
    "61s",
    "0s",
    "text%2fevent-stream",
    "{}",
];
const BODIES: [&str; 38] = [
    "{}",
    "[]",
    "null",
    "0",
    "\"x\"",
    "{\"receive\":{\"maxBitrateBps\":500000}}",
    "{\"lastN\":65536}",
    "{\"lastN\":-1}",
    "{\"receive\":{\"maxHeight\":1e400}}",
    "{\"publish\":{\"maxFps\":256}}",
    "{\"receive\":{\"receive\":{\"receive\":{}}}}",
    "{\"lastN\":18446744073709551616}",
    "{\"lastN\":\"9\",\"lastN\":9}",
    "{\"receive\":null,\"publish\":[]}",
    r#"{"room":"r2","settings":{"locked":true,"maxMembers":3}}"#,
    r#"{"room":"../..","settings":null}"#,
    r#"{"locked":false,"lobby":true,"metadata":"x","notBefore":-1}"#,
    r#"{"notBefore":18446744073709551615,"expiresAt":0,"emptyTimeoutS":4294967295}"#,
    r#"{"maxMembers":0,"defaultRole":"none"}"#,
    r#"{"type":"mute","track":"t1","muted":true}"#,
    r#"{"type":"muteAll","source":"camera","muted":true,"hold":false}"#,
    r#"{"type":"message","member":null,"text":"hello"}"#,
    r#"{"type":"ban","member":"m9","seconds":18446744073709551615}"#,
    r#"{"type":"unban","ban":""}"#,
    r#"{"type":"admit","knock":"k"}"#,
    r#"{"type":"setPermissions","member":"m2","changes":{"role":"listener","limits":{"lastN":0}}}"#,
    r#"{"type":"move","member":"m9","room":"r2"}"#,
    r#"{"type":"listKnocks"}"#,
    r#"{"publish":false,"subscribe":true,"chat":true,"data":true,"admin":true,"limits":{}}"#,
    r#"{"role":"host","publish":null}"#,
    r#"{"role":"listener","expiresIn":18446744073709551615,"maxUses":4294967295}"#,
    r#"{"role":"speaker","expiresIn":60,"maxUses":1,"name":"x"}"#,
    r#"{"from":"bob","to":"ann","room":"r","timeoutS":1}"#,
    r#"{"answer":"accept","by":"ann"}"#,
    r#"{"name":"Gus"}"#,
    r#"{"name":"Gus","metadata":null,"attributes":{"a":"1","b":null,"":""}}"#,
    r#"{"name":"\u202e","metadata":[],"attributes":{"a":{"a":{}}}}"#,
    r#"[{"type":"hello","version":1,"name":"x"},{"type":"ping"}]"#,
];

fn path(dice: &mut Dice, template: &str) -> String {
    let mut path = String::new();
    for part in template.split_inclusive('/') {
        let bare = part.trim_end_matches('/');
        let is_variable = bare.starts_with('{');
        let piece = match dice.below(20) {
            0 => "x".repeat(1 + dice.below(5_000)),
            1..=9 if is_variable => "r".to_owned(),
            10..=12 if is_variable => "m2".to_owned(),
            _ if is_variable => dice.one_of(&PIECES).to_owned(),
            _ => bare.to_owned(),
        };
        path += &piece;
        path += &part[bare.len()..];
    }
    for n in 0..dice.below(4) {
        let keys = ["after", "wait", "room", "types", "lastEventId", "limit", "first", "ticket", "x%ff"];
        path += if n == 0 { "?" } else { "&" };
        path += dice.one_of(&keys);
        path += "=";
        path += dice.one_of(&PIECES);
    }
    path
}

fn body(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = match dice.below(6) {
        0 => (0..dice.below(200)).map(|_| dice.next() as u8).collect(),
        1 => vec![b'['; dice.below(17_000)],
        2 => format!("{{\"x\":\"{}\"}}", "y".repeat(dice.below(20_000))).into_bytes(),
        _ => dice.one_of(&BODIES).as_bytes().to_vec(),
    };
    for _ in 0..dice.below(3) {
        if !bytes.is_empty() {
            let at = dice.below(bytes.len());
            bytes[at] = dice.next() as u8;
        }
    }
    bytes
}

fn request(dice: &mut Dice) -> Option<Request<Body>> {
    let route = dice.one_of(&routes().collect::<Vec<_>>());
    let method = if dice.below(10) == 0 { dice.one_of(&["POST", "DELETE", "OPTIONS", "BREW"]) } else { route.method };
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path(dice, route.path));
    let headers = [
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
        ("accept", "application/json"),
        ("last-event-id", "1795428000000-1"),
        ("last-event-id", "-"),
        ("idempotency-key", "k"),
        ("origin", "null"),
        ("if-none-match", "*"),
        ("if-match", "*"),
        ("if-match", "\"1\""),
        ("authorization", "Bearer x.y.z"),
        ("x-request-id", "\u{1}"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
    ];
    for _ in 0..dice.below(4) {
        let (name, value) = dice.one_of(&headers);
        request = request.header(name, value);
    }
    request.body(Body::from(body(dice))).ok()
}

#[tokio::test]
async fn ten_thousand_random_requests_break_nothing() {
    let seed = std::env::var("ROUNDTABLE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    eprintln!("ROUNDTABLE_TEST_SEED={seed}");
    let site = Site::start().await;
    // Bob's room may be ended, and he may be put out; no request names Ann's.
    let (mut ann, _) = Talk::enter(&site, "calm", "Ann").await;
    let (_bob, _) = Talk::enter(&site, "r", "Bob").await;
    let state = HttpState::new(site.hub.clone(), HttpConfig::default());
    let router = router(state.with_authority(Arc::new(open_authority())));
    let mut dice = Dice(seed);
    let mut requests: Vec<Request<Body>> = Vec::new();
    while requests.len() < REQUESTS {
        requests.extend(request(&mut dice));
    }
    let sent = futures_util::stream::iter(requests).map(|request| {
        let (router, told) = (router.clone(), format!("{} {}", request.method(), request.uri()));
        async move {
            // A poll may wait a minute for something; a stream has no end.
            let answer = tokio::time::timeout(Duration::from_millis(20), router.oneshot(request)).await;
            let Ok(response) = answer.map(Result::unwrap) else { return None };
            let status = response.status();
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
            assert!(!status.is_client_error() || kind == "application/problem+json", "{told}: {status} {kind}");
            let busy = status == StatusCode::SERVICE_UNAVAILABLE;
            if busy {
                let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["code"], "server/overloaded", "{told}");
            }
            assert!(busy || !status.is_server_error(), "{told}: {status}");
            Some(status)
        }
    });
    let statuses: Vec<_> = sent.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    let of = |wanted: StatusCode| statuses.iter().filter(|status| **status == wanted).count();
    for wanted in [200, 400, 404, 405, 422] {
        let wanted = StatusCode::from_u16(wanted).unwrap();
        assert!(of(wanted) > 20, "{wanted} came {} times: the requests reach too little", of(wanted));
    }
    assert!(ann.is_alive().await, "nobody in a call noticed");
}
