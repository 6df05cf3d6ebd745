//! Five hundred people come and go, several at once, in good order or not: nothing of them stays behind.

use std::time::{Duration, Instant};

use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::Client;
use roundtable_client::synthetic::{AudioShape, VideoShape};

use crate::common::http::Stats;
use crate::common::server::{Place, Process};
use crate::common::{Dice, eventually, join};

/// People in all.
const CYCLES: usize = 500;
/// People at once; the process under test has two cores at best.
const AT_ONCE: usize = 6;
/// After so many the server has reached its working size.
const WARM_UP: usize = 100;
/// What it may grow by after that.
const GROWTH_BYTES: u64 = 5 * 1024 * 1024;
/// Figures that count what is there now.
const PRESENT: [&str; 11] = [
    "rooms",
    "branches",
    "members",
    "peers",
    "connectedPeers",
    "paths",
    "foreignPaths",
    "passedUfrags",
    "steeredPaths",
    "tracks",
    "slots",
];

/// What must return to what it was.
#[derive(Debug, Clone, PartialEq)]
struct Footprint {
    descriptors: usize,
    sessions: u64,
    present: Vec<u64>,
}

impl Footprint {
    async fn of(server: &Process) -> Self {
        let stats = Stats::of(server.place.http).await;
        let present = PRESENT.map(|name| stats.shard(name)).to_vec();
        // The request for the figures has a descriptor itself, or its remains for a moment.
        Self { descriptors: server.descriptors(), sessions: stats.sessions(), present }
    }
}

/// How somebody comes and goes.
#[derive(Debug, Clone, Copy)]
struct Visit {
    number: usize,
    publishes: bool,
    leaves: bool,
    stays: Duration,
}

async fn visit(place: Place, visit: Visit) {
    let Visit { number, publishes, leaves, stays } = visit;
    let mut options = place.guest(&format!("churn-{}", number % 3), &format!("guest {number}"));
    options.audio = AudioShape::SPARSE;
    options.video = VideoShape::TINY;
    options.seats = Some(2);
    let client: Client = join(options).await;
    if publishes {
        client.publish(&[Microphone, Camera]).await.expect("it may publish");
    }
    client.chat("hello").await.expect("it may write");
    tokio::time::sleep(stays).await;
    match leaves {
        true => client.leave().await,
        false => client.vanish().await,
    }
}

/// Lets visits `from..to` happen, [`AT_ONCE`] at a time.
async fn visits(place: Place, dice: &mut Dice, from: usize, to: usize) {
    let mut running = tokio::task::JoinSet::new();
    for number in from..to {
        if running.len() >= AT_ONCE {
            running.join_next().await.expect("some are running").expect("a visit succeeds");
        }
        let stays = Duration::from_millis(dice.below(150) as u64);
        running.spawn(visit(place, Visit { number, publishes: dice.chance(60), leaves: dice.chance(50), stays }));
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("a visit succeeds");
    }
}

/// Waits until the server is as it was; says what is left otherwise.
async fn settle(server: &Process, start: &Footprint) {
    let mut now = start.clone();
    let began = Instant::now();
    while began.elapsed() < crate::common::SOON {
        now = Footprint::of(server).await;
        if now == *start {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not return to where it was:\n{now:?}\n{start:?}\n{PRESENT:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_visits_leave_nothing_behind() {
    // Rooms spread at once, so that parts of them come and go as well, and others go where there is less to do.
    let server = Process::start_with(&["--shards=2", "--gather-below=0", "--spread-above=0", "--rebalance-above=0"]);
    let mut dice = Dice::new("churn");
    // Once through everything, so that what is opened lazily is open.
    visits(server.place, &mut dice, 0, 1).await;
    eventually("the first visitor is forgotten", async || Stats::of(server.place.http).await.shard("rooms") == 0).await;
    let start = Footprint::of(&server).await;

    let began = Instant::now();
    visits(server.place, &mut dice, 1, WARM_UP).await;
    settle(&server, &start).await;
    let warm = server.resident_bytes();
    let mut highest = warm;
    for from in (WARM_UP..CYCLES).step_by(100) {
        visits(server.place, &mut dice, from, from + 100).await;
        settle(&server, &start).await;
        highest = highest.max(server.resident_bytes());
    }
    let growth = server.resident_bytes().saturating_sub(warm);
    eprintln!(
        "churn: {CYCLES} visits in {:?}; resident {warm} bytes after {WARM_UP}, {growth} more at the end, at most {}",
        began.elapsed(),
        highest - warm
    );
    assert!(growth < GROWTH_BYTES && highest - warm < GROWTH_BYTES, "the server grew by {growth} bytes");
}
