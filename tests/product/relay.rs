//! One room on several threads: members are connected to different shards and do not notice.

use roundtable::Config;
use roundtable::config::Sharing;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::Client;
use roundtable_client::synthetic::VideoShape;

use crate::common::http::{self, Stats};
use crate::common::server::Running;
use crate::common::{eventually, heard, join};

const SHARDS: u8 = 3;
const MEMBERS: usize = 6;

/// A server whose rooms spread at once.
async fn spreading(sharing: Sharing) -> Running {
    let mut config = Config::default();
    (config.media.shards, config.media.sharing, config.media.spread_above) = (Some(SHARDS), sharing, 0);
    Running::start_with(config).await
}

async fn member(server: &Running, room: &str, name: &str, publishes: bool) -> Client {
    let mut guest = server.place.guest(room, name);
    guest.video = VideoShape::TINY;
    let client = join(guest).await;
    if publishes {
        client.publish(&[Microphone, Camera]).await.expect("it may");
    }
    client
}

async fn figure(server: &Running, name: &str) -> Vec<u64> {
    Stats::of(server.place.http).await.of_each(name)
}

async fn everybody_sees_everybody(members: &[Client]) {
    let pairs = members.iter().flat_map(|me| members.iter().map(move |of| (me, of)));
    let others = pairs.filter(|(me, of)| me.member() != of.member());
    let flows = others.flat_map(|(me, of)| [Microphone, Camera].map(|source| (me, of, source)));
    let flows: Vec<_> = flows.map(|(me, of, source)| (me, of, source, heard(me, of, source) + 20)).collect();
    for (me, of, source, goal) in flows {
        eventually("it is heard and seen", async || heard(me, of, source) > goal).await;
    }
}

async fn a_room_of_six(sharing: Sharing) {
    let server = spreading(sharing).await;
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(member(&server, "spread", &format!("Guest {n}"), true).await);
    }
    everybody_sees_everybody(&members).await;
    assert_eq!(figure(&server, "rooms").await.iter().sum::<u64>(), 1, "it lives on one shard");
    assert_eq!(figure(&server, "branches").await.iter().sum::<u64>(), u64::from(SHARDS) - 1);
    // Where each is depends on what else this machine does meanwhile.
    let (peers, tracks) = (figure(&server, "peers").await, figure(&server, "tracks").await);
    assert!(peers.iter().all(|&count| count > 0) && peers.iter().sum::<u64>() == MEMBERS as u64, "{peers:?}");
    assert_eq!(tracks, peers.iter().map(|peers| peers * 2).collect::<Vec<_>>());
    // Everybody's tracks are on every shard: their own, and the others' by relay.
    let everywhere: Vec<u64> = tracks.iter().map(|own| 2 * MEMBERS as u64 - own).collect();
    assert_eq!(figure(&server, "relayedTracks").await, everywhere);
    assert!(figure(&server, "relayedIn").await.iter().all(|&packets| packets > 100));

    // The figures of the room are those of all.
    let stats = http::json(server.place.http, "/api/v1/rooms/spread/stats").await;
    let listed = stats["members"].as_array().expect("a list");
    assert_eq!(listed.len(), MEMBERS, "{stats}");
    assert!(listed.iter().all(|member| member["tracks"].as_array().is_some_and(|tracks| tracks.len() == 2)), "{stats}");

    // From here on: what comes for one whose connection has ended before it is known that they leave is dropped as well.
    let dropped = Stats::of(server.place.http).await;
    assert_eq!(dropped.dropped("fanout"), 0, "{dropped:?}");

    // Two go, from two shards; two others come, one of whom only watches.
    members.remove(5).leave().await;
    members.remove(1).leave().await;
    members.push(member(&server, "spread", "Late", true).await);
    everybody_sees_everybody(&members).await;
    let watcher = member(&server, "spread", "Watcher", false).await;
    for of in &members {
        eventually("it watches", async || heard(&watcher, of, Camera) > 20 && heard(&watcher, of, Microphone) > 20)
            .await;
    }
    let dropped = Stats::of(server.place.http).await;
    assert_eq!(dropped.dropped("full-lane"), 0, "{dropped:?}");

    watcher.leave().await;
    for client in members {
        client.leave().await;
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        let names =
            ["rooms", "branches", "members", "peers", "tracks", "relayedTracks", "slots", "paths", "foreignPaths"];
        names.iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_spreads_over_shards_that_share_a_port() {
    a_room_of_six(Sharing::OnePort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_spreads_over_shards_with_a_port_each() {
    a_room_of_six(Sharing::PortEach).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_and_muted_comes_to_every_shard() {
    let server = spreading(Sharing::OnePort).await;
    let mut members = Vec::new();
    for n in 0..3 {
        members.push(member(&server, "words", &format!("Guest {n}"), true).await);
    }
    everybody_sees_everybody(&members).await;
    for (n, member) in members.iter().enumerate() {
        member.chat(&format!("from {n}")).await.expect("it may");
    }
    for member in &members {
        eventually("all three lines have come", async || {
            let texts: Vec<String> = member.chat_log().into_iter().map(|line| line.message.text).collect();
            (0..3).all(|n| texts.iter().filter(|text| **text == format!("from {n}")).count() == 1)
        })
        .await;
    }
    // The second is connected to another shard than the room.
    members[1].mute(Camera, true).await.expect("it may");
    eventually("nobody sees the second", async || {
        let before: Vec<u64> = members.iter().map(|me| heard(me, &members[1], Camera)).collect();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        members.iter().zip(before).all(|(me, before)| heard(me, &members[1], Camera) == before)
    })
    .await;
    members[1].mute(Camera, false).await.expect("it may");
    everybody_sees_everybody(&members).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_the_same_name_begins_anew_again_and_again() {
    let server = spreading(Sharing::OnePort).await;
    for round in 0..12 {
        // The first of each round opens the room, and the last to go may leave stages behind for a moment.
        let mut members = Vec::new();
        for n in 0..3 {
            members.push(member(&server, "again", &format!("Guest {round}.{n}"), n == round % 3).await);
        }
        let publisher = &members[round % 3];
        for me in members.iter().filter(|me| me.member() != publisher.member()) {
            eventually("it is seen", async || heard(me, publisher, Camera) > 5).await;
        }
        for client in members {
            client.leave().await;
        }
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        ["rooms", "branches", "members", "peers", "relayedTracks"].iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}
