//! What members wish and may of quality, against a real server: views, figures, limits that change while a call runs.

use std::time::Duration;

use roundtable::protocol::event::TrackSource::{self, Camera, Microphone};
use roundtable::protocol::limit::STATS_BURST;
use roundtable::protocol::message::ViewChange;
use roundtable::protocol::stats::{MemberStats, SlotFigures};
use roundtable::protocol::{ClientMessage, ErrorCode, ServerMessage};
use roundtable_client::Client;
use serde_json::json;

use crate::common::http::{json, put};
use crate::common::server::Running;
use crate::common::{eventually, heard, join};

/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 10;
/// How often figures may be asked for without end.
const STATS_PAUSE: Duration = Duration::from_millis(600);

async fn until_heard_again(client: &Client, of: &Client, source: TrackSource) {
    let before = heard(client, of, source);
    eventually("packets flow", async || heard(client, of, source) >= before + ENOUGH).await;
}

/// Asks a client's own figures.
async fn figures(client: &Client, id: u32) -> MemberStats {
    let mut messages = client.messages();
    client.send(ClientMessage::GetStats { id }).await.unwrap();
    let answer = async {
        loop {
            if let ServerMessage::Stats { id: of, stats } = messages.recv().await.unwrap()
                && of == id
            {
                return *stats;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_figures_and_limits_reach_the_plane_and_come_back() {
    let server = Running::start().await;
    let ann = join(server.place.measured_guest("quality", "Ann")).await;
    let bob = join(server.place.measured_guest("quality", "Bob")).await;
    ann.publish(&[Microphone, Camera]).await.unwrap();
    bob.publish(&[Microphone, Camera]).await.unwrap();
    until_heard_again(&bob, &ann, Camera).await;
    until_heard_again(&bob, &ann, Microphone).await;

    let camera = ann.track(Camera).await.expect("it is published");
    let view = ViewChange {
        track: camera.clone(),
        visible: true,
        width: Some(320),
        height: Some(180),
        max_fps: None,
        pinned: true,
        priority: Some(200),
    };
    bob.send(ClientMessage::View { changes: vec![view] }).await.unwrap();
    // The path is measured: until it is known what it carries, the picture may pause.
    eventually("the slot has carried the camera", async || {
        tokio::time::sleep(STATS_PAUSE).await;
        let carries = |slot: &SlotFigures| slot.track.as_ref() == Some(&camera) && slot.packets >= 10 && slot.bytes > 0;
        figures(&bob, 6).await.slots.iter().any(carries)
    })
    .await;
    let own = figures(&bob, 7).await;
    assert_eq!(&own.member, bob.member());
    assert!(own.path.is_some());
    assert_eq!(own.tracks.len(), 2);
    assert!(own.tracks.iter().all(|track| track.encodings.len() == 1 && track.encodings[0].packets > 0));

    let http = server.place.http;
    let room = json(http, "/api/v1/rooms/quality/stats").await;
    assert_eq!((&room["room"], room["members"].as_array().map(Vec::len)), (&json!("quality"), Some(2)));

    let limits = format!("/api/v1/rooms/quality/members/{}/limits", bob.member());
    assert_eq!(put(http, &limits, &json!({ "lastN": 0 })).await.0, 200);
    eventually("Bob's picture of Ann is gone", async || {
        !bob.slots().values().any(|slot| slot.track.as_ref().is_some_and(|owner| owner.id == camera))
    })
    .await;
    until_heard_again(&bob, &ann, Microphone).await;
    until_heard_again(&ann, &bob, Camera).await;
    assert_eq!(figures(&bob, 8).await.limits.last_n, Some(0));
    assert_eq!(put(http, &limits, &json!({})).await.0, 200);
    until_heard_again(&bob, &ann, Camera).await;

    assert!(bob.errors().is_empty(), "{:?}", bob.errors());
    for id in 0..=STATS_BURST {
        ann.send(ClientMessage::GetStats { id }).await.unwrap();
    }
    eventually("too many questions are refused", async || ann.errors().contains(&ErrorCode::StatsRate)).await;
    ann.leave().await;
    bob.leave().await;
    server.stop().await;
}
