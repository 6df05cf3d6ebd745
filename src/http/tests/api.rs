//! The JSON API and health.

use roundtable_protocol::event::{TrackInfo, TrackSource};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::{RoomState, TrackId};

use super::talk::Talk;
use super::*;

#[tokio::test]
async fn rooms_are_listed_and_shown() {
    let site = Site::start().await;
    assert_eq!(site.get("/api/v1/rooms").await.json().await, serde_json::json!({ "rooms": [] }));
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let (_bob, _) = Talk::enter(&site, "a", "Bob").await;
    let track = TrackInfo {
        id: TrackId::new("t").unwrap(),
        member: welcome.member.id.clone(),
        source: TrackSource::Camera,
        muted: false,
        codec: "VP8".into(),
        layers: 1,
    };
    site.append("r", EventBody::Published { track });

    let answer = site.get("/api/v1/rooms").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        (answer.header("cache-control"), answer.header("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
    let list = answer.json().await;
    assert_eq!(list["rooms"][0]["room"], "a");
    let epoch = welcome.state.epoch;
    let expected = serde_json::json!({ "room": "r", "epoch": epoch, "seq": 2, "members": 1, "tracks": 1 });
    assert_eq!(list["rooms"][1], expected);

    let shown = site.get("/api/v1/rooms/r").await.json().await;
    let state: RoomState = serde_json::from_value(shown).unwrap();
    assert_eq!(state, site.shard.journal("r").state());
}

#[tokio::test]
async fn a_room_that_is_not_open_is_unknown() {
    let site = Site::start().await;
    site.get("/api/v1/rooms/r").await.problem(404, "room/unknown").await;
    let detail = site.get("/api/v1/rooms/a%2Fb").await.problem(400, "room/bad-id").await;
    assert!(detail.contains("'/'"), "{detail}");
    let (ann, _) = Talk::enter(&site, "r", "Ann").await;
    let journal = site.shard.journal("r");
    drop(ann);
    site.shard.next_left().await;
    while !journal.is_closed() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.get("/api/v1/rooms/r").await.problem(404, "room/unknown").await;
    assert_eq!(site.get("/api/v1/rooms").await.json().await["rooms"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn figures_and_health() {
    let site = Site::start().await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let stats = site.get("/api/v1/stats").await.json().await;
    assert_eq!((&stats["rooms"], &stats["sessions"], &stats["shard"]["rooms"]), (&1.into(), &1.into(), &1.into()));
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
    site.shard.inbox.send(crate::shard::inbox::Command::Stop).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    site.get("/readyz").await.problem(503, "server/internal").await;
    site.get("/api/v1/stats").await.problem(503, "server/internal").await;
    assert_eq!(site.get("/livez").await.status, 200, "the process lives");
}

#[tokio::test]
async fn other_methods_and_paths_are_problems_too() {
    let site = Site::start().await;
    for path in ["/api/v1/rooms", "/api/v1/rooms/r/events", "/livez", "/"] {
        let answer = site.request("DELETE", path, "").await;
        assert!(answer.header("allow").is_some(), "{path}");
        answer.problem(405, "http/method").await;
    }
    for path in ["/api", "/api/v1/nothing", "/api/v1/rooms/r/s", "/r/", "/r/a/b", "/x", "/index.html"] {
        site.get(path).await.problem(404, "http/not-found").await;
    }
}

#[tokio::test]
async fn limits_of_a_member_are_changed_and_shown() {
    let limits = MemberLimits { last_n: Some(9), ..MemberLimits::NONE };
    let site = Site::with(HubConfig { limits, ..HubConfig::default() }, HttpConfig::default()).await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    assert_eq!(welcome.grants.limits, limits, "the server's own count until somebody says otherwise");

    let path = format!("/api/v1/rooms/r/members/{}/limits", welcome.member.id);
    let answer = site.put(&path, r#"{"receive":{"maxBitrateBps":500000,"maxHeight":360}}"#).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let receive = serde_json::json!({ "maxBitrateBps": 500_000, "maxHeight": 360 });
    let expected = serde_json::json!({ "receive": receive, "publish": {}, "lastN": 9 });
    assert_eq!(answer.json().await, expected);
    let stats = site.get("/api/v1/rooms/r/stats").await.json().await;
    assert_eq!((&stats["room"], &stats["members"][0]["limits"]), (&"r".into(), &expected));

    let whole = site.put(&path, r#"{"lastN":0}"#).await.json().await;
    assert_eq!(whole, serde_json::json!({ "receive": {}, "publish": {}, "lastN": 0 }), "the whole is replaced");
}

#[tokio::test]
async fn limits_that_make_no_sense_and_members_that_are_not_there_are_problems() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let path = format!("/api/v1/rooms/r/members/{}/limits", welcome.member.id);
    site.put(&path, r#"{"receive":{"maxBitrateBps":1}}"#).await.problem(422, "limit/bad").await;
    site.put(&path, r#"{"recieve":{}}"#).await.problem(422, "http/body").await;
    site.put(&path, "{").await.problem(400, "http/body").await;
    site.put(&path, &format!("{{\"x\":\"{}\"}}", "x".repeat(20_000))).await.problem(413, "http/body").await;
    site.put("/api/v1/rooms/r/members/mx/limits", "{}").await.problem(404, "member/unknown").await;
    site.put("/api/v1/rooms/s/members/mx/limits", "{}").await.problem(404, "member/unknown").await;
    site.put("/api/v1/rooms/r/members/%20/limits", "{}").await.problem(404, "member/unknown").await;
    site.get("/api/v1/rooms/s/stats").await.problem(404, "room/unknown").await;
    let foreign = "Content-Type: application/json\r\nContent-Length: 2\r\nOrigin: https://evil.example\r\n";
    site.request("PUT", &path, &format!("{foreign}\r\n{{}}")).await.problem(403, "http/origin").await;
    site.request("PUT", &path, "Content-Length: 2\r\n\r\n{}").await.problem(415, "http/body").await;
    assert_eq!(site.put(&path, "{}").await.status, 200, "nothing of it hurt");
}
