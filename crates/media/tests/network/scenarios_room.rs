//! Scenarios of joining and of the publisher's own path (S2, S10, S14).

use crate::figures::{Report, SECOND, first_frame, fps, freezes, layer_at, longest_gap, percentile, seconds_to_layer};
use crate::link::LinkConfig;
use crate::publisher::{Media, RATES};
use crate::replays::tell_story;
use crate::rng::Rng;
use crate::scenarios_path::{check_wire, one, shown, uplink};
use crate::world::World;

const VP8: Media = Media::Vp8 { dependency: true };

/// Joining on 600 k, 1.5 M and 5 M.
pub(crate) fn s2(report: &mut Report, seed: u64) {
    for (name, bps, top) in [("600 k", 600e3, 1), ("1.5 M", 1.5e6, 2), ("5 M", 5e6, 2)] {
        let mut world = one(VP8, LinkConfig::new(bps, 20), seed);
        let joined = world.now_us;
        world.run_until(joined + 10 * SECOND);
        let slot = &world.subscribers[0].receiver.slots[0];
        report.most(&format!("first frame s, {name}"), 0.7, first_frame(slot, joined));
        report.most(&format!("final rung s, {name}"), 3.0, seconds_to_layer(&slot.shown, joined, |layer| layer == top));
        // None is wanted, which holds at 5 M: the keyframe of a step up takes longer on the others than what counts as a
        // freeze, see «The whole plane over bad links» in docs/MEDIA.md.
        let (count, _) = freezes(&slot.shown, 0, joined + 10 * SECOND);
        report.most(&format!("freezes, {name}"), if bps < 5e6 { 1.0 } else { 0.0 }, count as f64);
        report.tell(&format!("without, {name}"), f64::from(u8::from(count == 0)));
        report.most(
            &format!("longest gap s, {name}"),
            0.4,
            longest_gap(&slot.shown, joined + SECOND / 2, joined + 10 * SECOND),
        );
        check_wire(report, &mut world);
        tell_story(&mut world, seed, 0, joined + 10 * SECOND);
    }
}

/// Thirty join within five seconds.
pub(crate) fn s10(report: &mut Report, seed: u64) {
    let mut world = World::new(seed);
    world.publish(VP8, uplink());
    let first = world.link(LinkConfig::new(10e6, 20));
    let first = world.subscribe(first);
    world.watch(first, 0, 720);
    let mut rng = Rng::new(seed ^ 0x30);
    let start = 12 * SECOND;
    for _ in 0..30 {
        let at = start + rng.word() % (5 * SECOND);
        let delay = 10 + rng.word() % 40;
        world.at(at, move |world| {
            let link = world.link(LinkConfig::new(10e6, delay));
            let joiner = world.subscribe(link);
            world.watch(joiner, 0, 720);
        });
    }
    world.run_until(start + 10 * SECOND);
    let keyframes = world.publishers[0].keyframes.iter().filter(|&&at| at >= start).count();
    report.most("keyframes in 10 s", 3.0, keyframes as f64);
    let waits: Vec<f64> =
        world.subscribers[1..].iter().map(|joiner| first_frame(&joiner.receiver.slots[0], joiner.joined_us)).collect();
    report.most("first frame p95 s", 0.8, percentile(&waits, 0.95));
    report.tell("first frame median s", percentile(&waits, 0.5));
    report.most(
        "freezes of who was there",
        0.0,
        freezes(shown(&world, first), 5 * SECOND, start + 10 * SECOND).0 as f64,
    );
    check_wire(report, &mut world);
}

/// A publisher's uplink falls to 700 kbit/s for twenty seconds: its encoder drops the top layer a second later and makes
/// the middle one smaller, as Chromium does, and undoes that four seconds after the end. Another one is not affected.
pub(crate) fn s14(report: &mut Report, seed: u64) {
    let mut world = World::new(seed);
    let up = LinkConfig { queue_us: 500_000, ..LinkConfig::stepped(&[(0, 5e6), (22, 700e3), (42, 5e6)], 10) };
    let weak = world.publish(VP8, up);
    let strong = world.publish(VP8, uplink());
    let link = world.link(LinkConfig::new(20e6, 20));
    world.run_until(2 * SECOND);
    let viewers = [weak, strong].map(|publisher| {
        let viewer = world.subscribe(link);
        world.watch(viewer, publisher, 720);
        viewer
    });
    let (drops, returns) = (23, 46);
    world.at(drops * SECOND, move |world| {
        world.publishers[weak].set_layer_count(2);
        world.publishers[weak].rates = [RATES[0], 280e3, RATES[2]];
    });
    world.at(returns * SECOND, move |world| {
        world.publishers[weak].set_layer_count(3);
        world.publishers[weak].rates = RATES;
    });
    world.run_until(60 * SECOND);
    let (mine, others) = (shown(&world, viewers[0]), shown(&world, viewers[1]));
    report.most("follows down s", 2.0, seconds_to_layer(mine, drops * SECOND, |layer| layer == 1));
    report.most("follows up s", 2.0, seconds_to_layer(mine, returns * SECOND, |layer| layer == 2));
    report.least("fps in the dip", 25.0, fps(mine, 28 * SECOND, 42 * SECOND));
    report.most("other's freezes", 0.0, freezes(others, 10 * SECOND, 60 * SECOND).0 as f64);
    let lowest = (10..60).filter_map(|second| layer_at(others, second * SECOND)).min();
    report.least("other's layer", 2.0, f64::from(lowest.unwrap_or(0)));
    check_wire(report, &mut world);
}

/// A slot whose owner changes sixty times: its clock must not run away from that of the room (slots.md, rule 3).
pub(crate) fn slot_clock(report: &mut Report, seed: u64) {
    let mut world = World::new(seed);
    world.publish(VP8, uplink());
    world.publish(VP8, uplink());
    let link = world.link(LinkConfig::new(20e6, 20));
    world.run_until(2 * SECOND);
    let viewer = world.subscribe(link);
    world.watch(viewer, 0, 720);
    for step in 1..=60 {
        let track = world.publishers[step % 2].video;
        world.at(SECOND * (step as u64 + 2), move |world| world.assign(viewer, 0, track));
    }
    world.run_until(64 * SECOND);
    report.most("lead ms", 100.0, world.subscribers[viewer].slots[0].checker.lead_us as f64 / 1e3);
    report.most("freezes", 0.0, freezes(shown(&world, viewer), 2 * SECOND, 64 * SECOND).0 as f64);
    check_wire(report, &mut world);
}
