//! What the product tests share: servers on free loopback ports, plain HTTP, event streams, raw sockets, waiting.

pub(crate) mod events;
pub(crate) mod gaps;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod race;
pub(crate) mod scratch;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod token;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use roundtable::protocol::event::TrackSource;
use roundtable_client::{Client, Options, synthetic};

/// A generous deadline for what takes milliseconds on an idle machine: others may be using this one.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `holds`; panics with what was waited for when that takes too long. Returns how long it took.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < SOON, "waited {SOON:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    began.elapsed()
}

/// Joins with media, and says why not.
pub(crate) async fn join(options: Options) -> Client {
    let name = options.name.clone();
    Client::join(options).await.unwrap_or_else(|error| panic!("{name} could not join: {error}"))
}

/// The mark of a client's source.
pub(crate) fn mark_of(client: &Client, source: TrackSource) -> u64 {
    synthetic::mark(client.member(), source)
}

/// Packets that `client` received from a source of `of`.
pub(crate) fn heard(client: &Client, of: &Client, source: TrackSource) -> u64 {
    client.received().get(&mark_of(of, source)).map_or(0, |received| received.packets)
}

/// Marks of which `client` received anything in the `window` that begins now.
pub(crate) async fn marks_within(client: &Client, window: Duration) -> HashSet<u64> {
    let before = client.received();
    tokio::time::sleep(window).await;
    let counted = |mark: &u64| before.get(mark).map_or(0, |received| received.packets);
    client.received().into_iter().filter(|(mark, now)| now.packets > counted(mark)).map(|(mark, _)| mark).collect()
}

/// Numbers that look random and come again with the same seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From a seed, or from the variable `ROUNDTABLE_TEST_SEED`; prints it.
    pub(crate) fn new(test: &str) -> Self {
        let given = std::env::var("ROUNDTABLE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(synthetic::now_us);
        eprintln!("{test}: ROUNDTABLE_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
