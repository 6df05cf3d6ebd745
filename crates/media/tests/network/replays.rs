//! A call that was recorded is replayed: the same packets leave, for the same reasons.

use std::time::Duration;

use roundtable_media::allocate::Cause;
use roundtable_media::bwe::{Bitrate, ProbeCause, ProbeFinding};
use roundtable_media::replay::{Summary, replay};
use roundtable_media::{Decided, Decision, Egress, Moment, PeerKey, WishCause};

use crate::figures::SECOND;
use crate::link::LinkConfig;
use crate::publisher::Media;
use crate::rng::Rng;
use crate::scenarios_path::uplink;
use crate::world::World;

const MEDIA: [Media; 6] = [
    Media::Vp8 { dependency: false },
    Media::Vp8 { dependency: true },
    Media::Vp9 { dependency: false },
    Media::Vp9 { dependency: true },
    Media::Av1,
    Media::H264 { temporal: 1 },
];
const DIP_S: u64 = 8;
const BACK_S: u64 = 12;
const END_S: u64 = 20;
/// Traces with a few wrong bytes and a wrong end.
const MUTATIONS: usize = 300;

/// A running hash (FNV-1a) of all that a plane sends but the payloads, of which it takes the length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    hash: u64,
    pub(crate) packets: u64,
    pub(crate) compounds: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, packets: 0, compounds: 0 }
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Egress for Digest {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32) {
        self.packets += 1;
        self.add(&peer.value().to_be_bytes());
        self.add(&head[..header_len]);
        self.add(&((head.len() + tail.len()) as u32).to_be_bytes());
        self.add(&roc.to_be_bytes());
    }

    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]) {
        self.compounds += 1;
        self.add(&peer.value().to_be_bytes());
        self.add(compound);
    }
}

/// Prints what the plane decided within a span and what came of it, for one seed of a scenario: that which is named by
/// `STORY` in the environment.
pub(crate) fn tell_story(world: &mut World, seed: u64, from_us: u64, to_us: u64) {
    if !is_told(seed) {
        return;
    }
    let mut trace = Vec::new();
    world.plane.take_recorded(&mut trace);
    let mut lines: Vec<(u64, String)> = Vec::new();
    for decided in replayed(&trace).2 {
        lines.push((decided.at.as_micros() as u64, decided.to_string()));
    }
    for (at, subscriber) in world.subscribers.iter().enumerate() {
        let shown = &subscriber.receiver.slots[0].shown;
        for pair in shown.windows(2).filter(|pair| pair[1].at_us - pair[0].at_us > 150_000) {
            let gap = (pair[1].at_us - pair[0].at_us) / 1000;
            lines.push((
                pair[1].at_us,
                format!("    subscriber {at}: {gap} ms without a picture, now layer {}", pair[1].layer),
            ));
        }
        for pli in &subscriber.receiver.slots[0].plis {
            lines.push((*pli, format!("    subscriber {at}: PLI")));
        }
    }
    for (at, queue) in world.queues.iter().enumerate() {
        for (sample, queue_us) in (0..).zip(queue).filter(|(sample, _)| sample % 4 == 0) {
            lines.push((sample * 50_000, format!("    link {at}: {:.0} ms", queue_us / 1e3)));
        }
    }
    lines.sort_by_key(|line| line.0);
    for (at_us, line) in lines.iter().filter(|line| (from_us..to_us).contains(&line.0)) {
        println!("{:.3} {line}", *at_us as f64 / 1e6);
    }
}

/// Records a world from its start if the story of its seed is wanted.
pub(crate) fn expect_story(world: &mut World, seed: u64) {
    if is_told(seed) {
        assert!(world.plane.record(1 << 30), "nothing was told yet");
    }
}

fn is_told(seed: u64) -> bool {
    std::env::var("STORY").is_ok_and(|wanted| wanted.parse() == Ok(seed))
}

/// A subscriber whose path dips and comes back, with losses on both sides; recorded from the start.
fn recorded(media: Media, seed: u64) -> (World, Vec<u8>) {
    let mut world = World::new(seed);
    assert!(world.plane.record(64 << 20), "nothing was told yet");
    let publisher = world.publish(media, LinkConfig { loss: 0.01, ..uplink() });
    let down = LinkConfig::stepped(&[(0, 3e6), (DIP_S, 250e3), (BACK_S, 3e6)], 20);
    let link = world.link(LinkConfig { loss: 0.005, ..down });
    let mut trace = Vec::new();
    world.run_until(2 * SECOND);
    let subscriber = world.subscribe(link);
    world.watch(subscriber, publisher, 720);
    for second in 3..=END_S {
        world.run_until(second * SECOND);
        world.plane.take_recorded(&mut trace);
    }
    (world, trace)
}

fn replayed(trace: &[u8]) -> (Summary, Digest, Vec<Decided>) {
    let (mut digest, mut decisions) = (Digest::default(), Vec::new());
    // An origin to add to, and another one than that of the call.
    let origin = Moment::ORIGIN + Duration::from_secs(1000);
    let summary = replay(trace, origin, &mut digest, &mut |decided| decisions.push(*decided)).expect("a whole trace");
    (summary, digest, decisions)
}

#[test]
fn a_replayed_call_sends_the_same_packets_and_decides_the_same() {
    for media in MEDIA {
        let (world, trace) = recorded(media, 7);
        let (summary, digest, decisions) = replayed(&trace);
        assert!(digest.packets > 2000 && digest.compounds > 50, "{media:?}: {digest:?}");
        assert_eq!(&digest, world.digest(), "{media:?}: what leaves");
        assert_eq!(&summary.counters, world.plane.counters(), "{media:?}");
        assert!(!summary.is_cut && summary.span > Duration::from_secs(END_S - 1), "{media:?}: {summary:?}");
        let calls = world.plane.recording().map(|recording| recording.calls);
        assert_eq!(Some(summary.calls), calls, "{media:?}");
        let text = |decisions: &[Decided]| decisions.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&decisions), text(&replayed(&trace).2), "{media:?}: the same trace tells the same");
        println!("{media:?}: {} bytes for {} calls, {} decisions", trace.len(), summary.calls, decisions.len());
    }
}

/// Finds the first decision from `from` on that is as wanted; returns where.
fn next(decisions: &[Decided], from: usize, what: &str, is: impl Fn(&Decided) -> bool) -> usize {
    let found = decisions.iter().skip(from).position(is);
    let tail: Vec<_> = decisions.iter().skip(from).take(20).map(ToString::to_string).collect();
    from + found.unwrap_or_else(|| panic!("{what} is missing in\n{}", tail.join("\n")))
}

#[test]
fn a_replay_tells_the_story_of_a_path_that_dips() {
    let (world, trace) = recorded(Media::Vp8 { dependency: true }, 7);
    let (_, _, decisions) = replayed(&trace);
    let subscriber = Some(world.subscribers[0].peer);
    let slot = Some(world.subscribers[0].slots[0].key);
    let track = world.publishers[0].video;

    let is_higher = |decision: &Decision| match decision {
        Decision::Choice { rung: Some((rung, _)), cause: Cause::Room, .. } => rung.layer > 0,
        _ => false,
    };
    let mut at = next(&decisions, 0, "the wish of who joins", |decided| {
        matches!(decided.decision, Decision::Wish { layer: 0, cause: WishCause::Join, .. }) && decided.slot == slot
    });
    at = next(
        &decisions,
        at,
        "the question to the publisher",
        |decided| matches!(decided.decision, Decision::Asks { track: of, layer: 0 } if of == track),
    );
    assert_eq!(decisions[at].peer, Some(world.publishers[0].peer));
    at = next(&decisions, at, "the beginning", |decided| {
        matches!(decided.decision, Decision::Begins { layer: 0, .. }) && decided.slot == slot
    });
    at = next(&decisions, at, "what a probe told", |decided| {
        let Decision::Probed { cluster, finding: ProbeFinding::Carried(found) } = decided.decision else {
            return false;
        };
        cluster.cause == ProbeCause::Initial && found > Bitrate::kbps(1000)
    });
    assert_eq!(decisions[at].peer, subscriber);
    at = next(
        &decisions,
        at,
        "the estimate that follows",
        |decided| matches!(decided.decision, Decision::Estimate { before, state } if state.target > before),
    );
    at = next(&decisions, at, "a higher rung, as there is room", |decided| is_higher(&decided.decision));
    at = next(&decisions, at, "the wish for its keyframe", |decided| {
        matches!(decided.decision, Decision::Wish { layer: 1.., cause: WishCause::Switch, .. }) && decided.slot == slot
    });
    at = next(&decisions, at, "the switch", |decided| {
        matches!(decided.decision, Decision::Begins { layer: 1.., .. }) && decided.slot == slot
    });
    at = next(&decisions, at, "the fall", |decided| {
        let is_down = matches!(decided.decision, Decision::Estimate { before, state } if state.target < before);
        decided.at >= Duration::from_secs(DIP_S) && is_down
    });
    at = next(&decisions, at, "a lower rung", |decided| {
        matches!(decided.decision, Decision::Choice { cause: Cause::Squeezed, .. })
    });
    at = next(&decisions, at, "the way up again", |decided| {
        decided.at >= Duration::from_secs(BACK_S)
            && matches!(decided.decision, Decision::Choice { cause: Cause::Room, .. })
    });
    let mut json = String::new();
    decisions[at].write_json(&mut json).expect("a string takes everything");
    assert!(
        json.starts_with("{\"at\":1") && json.contains("\"what\":\"choice\"") && json.contains("\"cause\":\"room\"")
    );
    let text = decisions[at].to_string();
    assert!(text.contains(" choice ") && text.contains("cause=room"), "{text}");
}

#[test]
fn a_trace_with_wrong_bytes_is_replayed_or_refused_and_never_a_panic() {
    let (_, trace) = recorded(Media::Vp9 { dependency: true }, 3);
    let mut rng = Rng::new(11);
    let mut below = |bound: usize| (rng.word() % bound.max(1) as u64) as usize;
    let (mut replayed, mut refused) = (0, 0);
    for _ in 0..MUTATIONS {
        let mut wrong = trace[..below(trace.len())].to_vec();
        for _ in 0..=below(4) {
            let at = below(wrong.len());
            if let Some(byte) = wrong.get_mut(at) {
                *byte = below(256) as u8;
            }
        }
        match replay(&wrong, Moment::ORIGIN, &mut Digest::default(), &mut |_| {}) {
            Ok(_) => replayed += 1,
            Err(error) => {
                assert!(error.offset <= wrong.len(), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > MUTATIONS / 2, "{replayed} were replayed and {refused} refused");
}
