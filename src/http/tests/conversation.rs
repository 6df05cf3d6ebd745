//! What a well-behaved client sees.

use roundtable_protocol::error::close;
use roundtable_protocol::{ErrorCode, ServerMessage};
use serde_json::json;

use super::talk::Talk;
use super::*;
use crate::shard::inbox::ToMember;

#[tokio::test]
async fn hello_welcome_leave() {
    let site = Site::start().await;
    let (mut ann, welcome) = Talk::enter(&site, "r", " Ann ").await;
    assert_eq!((welcome.version, welcome.room.as_str(), welcome.silence_timeout_s), (1, "r", 30));
    assert_eq!(welcome.member.name, "Ann");
    assert_eq!((welcome.state.seq, welcome.state.members.len()), (1, 1), "the state includes oneself");
    assert!(ann.is_alive().await);

    let (mut bob, welcome) = Talk::enter(&site, "r", "Bob").await;
    assert_eq!((welcome.state.seq, welcome.state.members.len()), (2, 2));
    let joined = ann.event().await;
    assert_eq!((joined.seq, joined.body.name()), (2, "joined"));

    bob.say(json!({ "type": "leave" })).await;
    assert_eq!(bob.end().await, (close::NORMAL, None));
    assert_eq!(site.shard.next_left().await, ("Bob".into(), LeaveReason::Left));
    let left = ann.event().await;
    assert_eq!((left.seq, left.body.name()), (3, "left"));
}

#[tokio::test]
async fn events_come_once_and_in_order_and_chat_comes_by_itself() {
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    ann.say(json!({ "type": "chat", "nonce": 9, "text": "hi" })).await;
    let ServerMessage::Chat { message, nonce: Some(9) } = ann.hear().await else { panic!("an acknowledgement") };
    assert_eq!((message.seq, message.text.as_str(), message.name.as_str()), (2, "hi", "Ann"));

    let (mut bob, welcome) = Talk::enter(&site, "r", "Bob").await;
    assert_eq!(welcome.state.seq, 3, "the chat message counted");
    for n in 0..200 {
        site.append("r", speaking(&welcome.member.id, n % 2 == 0));
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for (talk, first) in [(&mut ann, 3), (&mut bob, 4)] {
        for expected in first..=203 {
            assert_eq!(talk.event().await.seq, expected);
        }
        assert!(talk.is_alive().await, "and nothing else");
    }
}

#[tokio::test]
async fn what_happened_before_a_message_is_told_before_it() {
    let site = Site::start().await;
    let (mut ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    for _ in 0..20 {
        let seq = site.append("r", speaking(&welcome.member.id, true));
        let grow = ServerMessage::GrowSeats { seats: 8 };
        site.shard.outbox("r", "Ann").try_send(ToMember::Message(grow.clone())).unwrap();
        assert_eq!(ann.event().await.seq, seq);
        assert_eq!(ann.hear().await, grow);
    }
}

#[tokio::test]
async fn a_lost_socket_is_a_disconnect() {
    let site = Site::start().await;
    let (ann, _) = Talk::enter(&site, "r", "Ann").await;
    drop(ann);
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));

    let (mut bob, _) = Talk::enter(&site, "r", "Bob").await;
    bob.socket.close(None).await.unwrap();
    assert_eq!(site.shard.next_left().await, ("Bob".into(), LeaveReason::Disconnected));
}

#[tokio::test]
async fn who_is_put_out_hears_why() {
    let table = [
        (ErrorCode::IceConsent, close::MEDIA_FAILED),
        (ErrorCode::RoomClosed, close::NORMAL),
        (ErrorCode::Internal, close::INTERNAL),
    ];
    for (code, expected) in table {
        let site = Site::start().await;
        let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
        let close = ToMember::Close { code, message: "why".into(), reconnect_after_ms: None };
        site.shard.outbox("r", "Ann").try_send(close).unwrap();
        assert_eq!(ann.end().await, (expected, Some(code)));
    }
}

#[tokio::test]
async fn a_full_room_says_so() {
    let site = Site::with(HubConfig { max_members_per_room: 1, ..HubConfig::default() }, HttpConfig::default()).await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let mut bob = Talk::open(&site, "r").await;
    bob.hello("Bob").await;
    assert_eq!(bob.end().await, (close::REFUSED, Some(ErrorCode::RoomFull)));
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_to_everybody() {
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    let mut stranger = Talk::open(&site, "r").await;
    let hub = site.hub.clone();
    let stop = tokio::spawn(async move { hub.stop(PATIENCE).await });
    let closed = loop {
        match ann.hear().await {
            ServerMessage::Event { event } => assert_eq!(event.body.name(), "roomClosed"),
            other => break other,
        }
    };
    assert!(matches!(
        closed,
        ServerMessage::Goodbye { code: Some(ErrorCode::Stopping), reconnect_after_ms: Some(2_000), .. }
    ));
    assert_eq!(ann.end().await, (close::GOING_AWAY, None));
    assert_eq!(stranger.end().await, (close::GOING_AWAY, Some(ErrorCode::Stopping)));
    drop((ann, stranger));
    assert_eq!(stop.await.unwrap(), 0, "everybody is gone");
    assert_eq!(Talk::refused(&site, "r").await, 503);
    site.get("/readyz").await.problem(503, "server/stopping").await;
    assert_eq!(site.get("/livez").await.status, 200);
}

/// The headers of a WebSocket upgrade.
pub(super) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
