//! Rooms on several threads: each lives on one, and which socket the kernel gives a datagram to is nobody's concern.

mod common;

use common::http::Stats;
use common::server::Running;
use common::{eventually, heard, join};
use roundtable::Config;
use roundtable::config::Sharing;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::Client;
use roundtable_client::synthetic::VideoShape;

const SHARDS: u8 = 3;
const ROOMS: usize = 6;
/// Of eighteen remote addresses the kernel gives two thirds to the wrong one of three sockets.
const MEMBERS: usize = 3;

async fn gather(server: &Running) -> Vec<Vec<Client>> {
    let mut rooms = Vec::new();
    for room in 0..ROOMS {
        let mut members = Vec::new();
        for member in 0..MEMBERS {
            let mut guest = server.place.guest(&format!("room-{room}"), &format!("Guest {member}"));
            guest.video = VideoShape::TINY;
            let client = join(guest).await;
            client.publish(&[Microphone, Camera]).await.expect("it may");
            members.push(client);
        }
        rooms.push(members);
    }
    rooms
}

async fn everybody_gets_everybody(sharing: Sharing) {
    let mut config = Config::default();
    (config.media.shards, config.media.sharing) = (Some(SHARDS), sharing);
    let server = Running::start_with(config).await;
    let rooms = gather(&server).await;
    for members in &rooms {
        for (me, of) in members.iter().flat_map(|me| members.iter().map(move |of| (me, of))) {
            if me.member() != of.member() {
                for source in [Microphone, Camera] {
                    eventually("it is heard and seen", async || heard(me, of, source) > 20).await;
                }
            }
        }
    }
    let stats = Stats::of(server.place.http).await;
    let shards = stats.0["shards"].as_array().expect("a list");
    let figure = |name: &str| -> Vec<u64> { shards.iter().map(|shard| shard[name].as_u64().expect(name)).collect() };
    assert_eq!(figure("rooms"), [2, 2, 2], "{stats:?}");
    assert!(figure("rtpOut").iter().all(|&packets| packets > 0), "{stats:?}");
    let (handed, foreign) = (figure("handedIn"), figure("foreignPaths"));
    match sharing {
        // That the kernel hits the right one of three with each of eighteen addresses is one in four hundred million.
        Sharing::OnePort => assert!(handed.iter().sum::<u64>() > 0 && foreign.iter().all(|&n| n > 0), "{stats:?}"),
        Sharing::PortEach => assert!(handed.iter().chain(&foreign).all(|&n| n == 0), "{stats:?}"),
    }
    assert_eq!((stats.dropped("unknown-path"), stats.dropped("full-lane")), (0, 0), "{stats:?}");

    for client in rooms.into_iter().flatten() {
        client.leave().await;
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        ["rooms", "members", "peers", "paths", "foreignPaths"].iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_share_one_port() {
    everybody_gets_everybody(Sharing::OnePort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_have_a_port_each() {
    everybody_gets_everybody(Sharing::PortEach).await;
}
