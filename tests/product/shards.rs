//! Rooms on several threads: each lives on one, and which socket the kernel gives a datagram to is nobody's concern.

use roundtable::Config;
use roundtable::config::Sharing;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::Client;
use roundtable_client::synthetic::VideoShape;
use tokio::net::UdpSocket;

use crate::common::http::Stats;
use crate::common::server::Running;
use crate::common::{eventually, heard, join};

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

/// A figure of each shard.
async fn figures(server: &Running, name: &str) -> Vec<u64> {
    Stats::of(server.place.http).await.of_each(name)
}

async fn sum(server: &Running, name: &str) -> u64 {
    figures(server, name).await.iter().sum()
}

/// Waits until datagrams come, and none to the wrong shard any more.
async fn nothing_is_handed_over(server: &Running) {
    eventually("all comes where it belongs", async || {
        let (came, handed) = (sum(server, "datagramsIn").await, sum(server, "handedIn").await);
        eventually("more comes", async || sum(server, "datagramsIn").await > came + 500).await;
        sum(server, "handedIn").await == handed
    })
    .await;
}

/// Sends what looks like media from addresses that nobody has proven.
async fn strangers_are_refused(server: &Running) {
    const STRANGERS: u64 = 40;
    let mut sockets = Vec::new();
    for _ in 0..STRANGERS {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        socket.send_to(&[0x80; 100], server.place.udp).await.expect("loopback takes it");
        sockets.push(socket);
    }
    eventually("each is counted once", async || {
        Stats::of(server.place.http).await.dropped("unknown-path") == STRANGERS
    })
    .await;
    for socket in sockets {
        let answer = socket.try_recv(&mut [0; 100]).expect_err("nobody answers a stranger");
        assert_eq!(answer.kind(), std::io::ErrorKind::WouldBlock);
    }
}

async fn everybody_gets_everybody(sharing: Sharing) {
    let mut config = Config::default();
    (config.media.shards, config.media.sharing, config.media.gather_below) = (Some(SHARDS), sharing, 0);
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
    // How they are spread depends on what else this machine does meanwhile.
    let spread = figures(&server, "rooms").await;
    assert!(spread.iter().all(|&rooms| rooms > 0) && spread.iter().sum::<u64>() == ROOMS as u64, "{spread:?}");
    assert!(figures(&server, "rtpOut").await.iter().all(|&packets| packets > 0));
    let [handed, foreign, steered] = [
        figures(&server, "handedIn").await,
        figures(&server, "foreignPaths").await,
        figures(&server, "steeredPaths").await,
    ];
    // That each of eighteen addresses comes to the right one of three by itself is one in four hundred million.
    let (any_handed, any_steered) = (handed.iter().any(|&n| n > 0), steered.iter().any(|&n| n > 0));
    match sharing {
        Sharing::Steered => {
            assert!(steered[0] > 0 && steered[1..] == [0, 0], "the first does it for all: {steered:?}");
            nothing_is_handed_over(&server).await;
        }
        Sharing::OnePort => assert!(any_handed && !any_steered && foreign.iter().all(|&n| n > 0), "{foreign:?}"),
        Sharing::PortEach => assert!(!any_handed && !any_steered && foreign == [0, 0, 0], "{foreign:?}"),
    }
    let stats = Stats::of(server.place.http).await;
    assert_eq!((stats.dropped("unknown-path"), stats.dropped("full-lane")), (0, 0), "{stats:?}");
    strangers_are_refused(&server).await;

    for client in rooms.into_iter().flatten() {
        client.leave().await;
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        ["rooms", "members", "peers", "paths", "foreignPaths", "steeredPaths"].iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_share_one_port_and_the_kernel_is_told_whose_what_is() {
    everybody_gets_everybody(Sharing::Steered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_share_one_port() {
    everybody_gets_everybody(Sharing::OnePort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_have_a_port_each() {
    everybody_gets_everybody(Sharing::PortEach).await;
}
