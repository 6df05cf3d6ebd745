//! Clients that do not read.

use roundtable_protocol::ErrorCode;
use roundtable_protocol::ServerMessage;
use roundtable_protocol::error::close;
use tokio_tungstenite::MaybeTlsStream;

use super::talk::Talk;
use super::*;
use crate::journal::MAX_EVENTS;
use crate::shard::inbox::ToMember;
use crate::signal::ws::SocketConfig;

/// A client whose kernel takes little, so that the server soon cannot write.
async fn narrow(site: &Site) -> Talk {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = MaybeTlsStream::Plain(socket.connect(site.address).await.unwrap());
    let (socket, _) =
        tokio_tungstenite::client_async(format!("ws://{}/ws?room=r", site.address), stream).await.unwrap();
    Talk { socket }
}

fn large_message() -> ToMember {
    ToMember::Message(ServerMessage::Goodbye { code: None, message: "x".repeat(64 * 1024), reconnect_after_ms: None })
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_nobody_else_notices() {
    let socket = SocketConfig {
        write_timeout: Duration::from_millis(200),
        close_grace: Duration::from_secs(5),
        ..SocketConfig::default()
    };
    let site = Site::with(HubConfig::default(), HttpConfig { socket, ..HttpConfig::default() }).await;
    let (mut bob, _) = Talk::enter(&site, "r", "Bob").await;
    let mut ann = narrow(&site).await;
    ann.hello("Ann").await;
    ann.welcome().await;
    assert_eq!(bob.event().await.body.name(), "joined");

    // As a shard does: it never waits for room in an outbox.
    let outbox = site.shard.outbox("r", "Ann");
    let flood = tokio::spawn(async move {
        while !outbox.is_closed() {
            let _ = outbox.try_send(large_message());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));
    assert_eq!(bob.event().await.body.name(), "left");
    assert!(bob.is_alive().await, "nobody else notices");
    // When it reads again at last, it finds out why.
    assert_eq!(ann.end().await, (close::SLOW, Some(ErrorCode::SlowReader)));
    flood.abort();
}

#[tokio::test]
async fn who_never_reads_again_is_cut_off_all_the_same() {
    let socket = SocketConfig {
        write_timeout: Duration::from_millis(100),
        close_grace: Duration::from_millis(100),
        ..SocketConfig::default()
    };
    let site = Site::with(HubConfig::default(), HttpConfig { socket, ..HttpConfig::default() }).await;
    let mut ann = narrow(&site).await;
    ann.hello("Ann").await;
    ann.welcome().await;
    let outbox = site.shard.outbox("r", "Ann");
    while !outbox.is_closed() {
        let _ = outbox.try_send(large_message());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));
    tokio::time::timeout(PATIENCE, async {
        while site.hub.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the session ends");
}

#[tokio::test]
async fn an_outbox_that_ran_over_ends_the_conversation() {
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    let outbox = site.shard.outbox("r", "Ann");
    // Without a pause between them, the session gets no chance to empty it.
    while outbox.try_send(ToMember::Message(ServerMessage::Pong { nonce: 1 })).is_ok() {}
    drop(outbox);
    site.shard.forget("r", "Ann");
    assert_eq!(ann.end().await, (close::SLOW, Some(ErrorCode::SlowReader)));
}

#[tokio::test]
async fn an_outbox_that_just_ends_is_a_fault_of_ours() {
    let site = Site::start().await;
    let (mut ann, _) = Talk::enter(&site, "r", "Ann").await;
    site.shard.forget("r", "Ann");
    assert_eq!(ann.end().await, (close::INTERNAL, Some(ErrorCode::Internal)));
}

#[tokio::test]
async fn who_falls_out_of_the_journal_is_closed() {
    let site = Site::start().await;
    let (mut ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    for _ in 0..=MAX_EVENTS {
        site.append("r", speaking(&welcome.member.id, true));
    }
    assert_eq!(ann.end().await, (close::SLOW, Some(ErrorCode::SlowReader)), "rather a new start than a gap");
    assert_eq!(site.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));
}
