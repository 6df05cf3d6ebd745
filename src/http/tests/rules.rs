//! What clients get that break the rules, and what the others notice: nothing.

use futures_util::SinkExt;
use roundtable_protocol::error::close;
use roundtable_protocol::{ErrorCode, ServerMessage};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::conversation::UPGRADE;
use super::talk::Talk;
use super::*;
use crate::signal::session::{CLOSE_NOT_UTF8, CLOSE_PROTOCOL, MAX_GARBAGE, Timers};
use crate::signal::ws::SocketConfig;

#[tokio::test]
async fn garbage_is_answered_and_at_last_closed() {
    let site = Site::start().await;
    let (mut bob, _) = Talk::enter(&site, "r", "Bob").await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    assert_eq!(bob.event().await.body.name(), "joined");
    for n in 0..MAX_GARBAGE {
        let (message, code) = match n % 3 {
            0 => (Message::text("{"), ErrorCode::BadJson),
            1 => (Message::text("{\"type\":\"dance\"}"), ErrorCode::BadMessage),
            _ => (Message::binary(vec![0xff; 10]), ErrorCode::BadMessage),
        };
        ann.send(message).await;
        assert_eq!(ann.error().await, (code, false));
    }
    assert!(ann.is_alive().await);
    ann.send(Message::text("{")).await;
    assert_eq!(ann.end().await, (close::GARBAGE, Some(ErrorCode::BadJson)));
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Removed));
    assert_eq!(bob.event().await.body.name(), "left");
    assert!(bob.is_alive().await, "nobody else notices");
}

#[tokio::test]
async fn a_flood_is_closed() {
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    for nonce in 0..400 {
        let ping = json!({ "type": "ping", "nonce": nonce }).to_string();
        // The server may have hung up on it already.
        if ann.socket.send(Message::text(ping)).await.is_err() {
            break;
        }
    }
    assert_eq!(ann.end().await, (close::FLOOD, Some(ErrorCode::MessageRate)));
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Removed));
}

#[tokio::test]
async fn a_message_has_a_size() {
    let limit = roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
    let padded = |bytes: usize| {
        let head = "{\"type\":\"ping\",\"nonce\":1,\"pad\":\"";
        format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
    };
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    ann.send(Message::text(padded(limit))).await;
    assert_eq!(ann.hear().await, ServerMessage::Pong { nonce: 1 }, "at the limit it is read");
    ann.send(Message::text(padded(limit + 1))).await;
    assert_eq!(ann.end().await, (close::TOO_LARGE, Some(ErrorCode::BadMessage)));
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Removed));
}

#[tokio::test]
async fn frames_that_are_no_websocket_text_are_closed_as_the_standard_says() {
    let text = OpCode::Data(Data::Text);
    let mut reserved = Frame::message("{}", text, true);
    reserved.header_mut().rsv2 = true;
    let table = [
        (Frame::message(vec![0xc3, 0x28], text, true), CLOSE_NOT_UTF8, ErrorCode::BadJson),
        (reserved, CLOSE_PROTOCOL, ErrorCode::BadMessage),
        (Frame::message("{}", OpCode::Data(Data::Continue), true), CLOSE_PROTOCOL, ErrorCode::BadMessage),
    ];
    for (frame, expected, code) in table {
        let site = Site::start().await;
        let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
        ann.send(Message::Frame(frame)).await;
        assert_eq!(ann.end().await, (expected, Some(code)));
        assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Removed));
    }
}

#[tokio::test]
async fn silence_has_an_end() {
    let soon = Duration::from_millis(100);
    let late = Duration::from_secs(100);
    let timers = |hello, silence| {
        let timers = Timers { hello, silence, ping: late };
        HttpConfig { socket: SocketConfig { timers, ..SocketConfig::default() }, ..HttpConfig::default() }
    };
    let site = Site::with(HubConfig::default(), timers(soon, late)).await;
    let mut mute = Talk::open(&site, "r").await;
    assert_eq!(mute.end().await, (close::SILENT, Some(ErrorCode::Silent)));

    let site = Site::with(HubConfig::default(), timers(late, soon)).await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    assert_eq!(ann.end().await, (close::SILENT, Some(ErrorCode::Silent)));
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));
}

#[tokio::test]
async fn a_client_that_only_answers_pings_is_not_silent() {
    let timers = Timers { silence: Duration::from_millis(300), ping: Duration::from_millis(50), ..Timers::default() };
    let socket = SocketConfig { timers, ..SocketConfig::default() };
    let site = Site::with(HubConfig::default(), HttpConfig { socket, ..HttpConfig::default() }).await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    // Reading is what makes the client answer pings.
    let heard = tokio::time::timeout(Duration::from_millis(700), ann.hear()).await;
    assert!(heard.is_err(), "{heard:?}");
    assert!(ann.is_alive().await);
}

#[tokio::test]
async fn only_fitting_requests_become_sockets() {
    let site = Site::with(HubConfig { max_sessions: 1, ..HubConfig::default() }, HttpConfig::default()).await;
    for room in ["", "a%20b", "a/b", "..", &"x".repeat(65)] {
        site.request("GET", &format!("/ws?room={room}"), UPGRADE).await.problem(400, "room/bad-id").await;
    }
    site.request("GET", "/ws", UPGRADE).await.problem(400, "room/bad-id").await;
    site.get("/ws?room=r").await.problem(400, "http/upgrade").await;
    let foreign = format!("{UPGRADE}Origin: http://evil.example\r\n");
    site.request("GET", "/ws?room=r", &foreign).await.problem(403, "http/origin").await;
    site.request("POST", "/ws?room=r", UPGRADE).await.problem(405, "http/method").await;

    let mut own = format!("ws://{}/ws?room=r", site.address).into_client_request().unwrap();
    own.headers_mut().insert("origin", format!("http://{}", site.address).parse().unwrap());
    let (socket, _) = tokio_tungstenite::connect_async(own).await.expect("the page's own origin may");
    assert_eq!(Talk::refused(&site, "r").await, 503, "as many are connected as may be");
    drop(socket);
    while site.hub.sessions() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(Talk::try_open(&site, "r").await.is_ok());
}
