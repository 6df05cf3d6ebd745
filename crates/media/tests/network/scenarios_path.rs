//! Scenarios of a path whose capacity or quality changes (S1, S3–S9).

use roundtable_media::allocate::Hints;

use crate::checker::Fault;
use crate::figures::{
    Report, SECOND, fps, freezes, jain, layer_at, longest_gap, mean_layer, percentile, seconds_to_layer, switches,
};
use crate::link::{LinkConfig, OVERHEAD};
use crate::publisher::{Media, RATES};
use crate::receiver::Shown;
use crate::replays::{expect_story, tell_story};
use crate::world::World;

const VP8: Media = Media::Vp8 { dependency: true };
/// Seconds before the subscriber comes, so that layers are known.
const LEAD_S: u64 = 2;
/// What sound costs on the wire: fifty packets a second.
const SOUND_BPS: f64 = ((80 + OVERHEAD + 28) * 8 * 50) as f64;
/// What headers add to a media rate.
const HEADERS: f64 = 1.06;

pub(crate) fn uplink() -> LinkConfig {
    LinkConfig::new(20e6, 10)
}

/// A publisher, and a subscriber behind `down` that comes after two seconds.
pub(crate) fn one(media: Media, down: LinkConfig, seed: u64) -> World {
    let mut world = World::new(seed);
    expect_story(&mut world, seed);
    let publisher = world.publish(media, uplink());
    let link = world.link(down);
    world.run_until(LEAD_S * SECOND);
    let subscriber = world.subscribe(link);
    world.watch(subscriber, publisher, 720);
    world
}

pub(crate) fn shown(world: &World, subscriber: usize) -> &[Shown] {
    &world.subscribers[subscriber].receiver.slots[0].shown
}

/// Adds what the wire checkers have found: it must be nothing.
pub(crate) fn check_wire(report: &mut Report, world: &mut World) {
    let faults = world.faults();
    if let Some((fault, text)) = faults.first() {
        report.remark(format!("{fault:?}: {text}"));
    }
    report.most("wire faults", 0.0, faults.len() as f64);
}

/// What the best rung that fits costs on the wire, sound included: that of the picture that is worth most, if frames
/// below ten a second are worth little (3.4).
fn best_fitting(bps: f64) -> f64 {
    let rungs = (0..3).flat_map(|layer| [(0.4, 7.5), (0.6, 15.0), (1.0, 30.0)].map(|(share, fps)| (layer, share, fps)));
    let fitting = rungs.filter_map(|(layer, share, fps)| {
        let cost = RATES[layer] * share * HEADERS + SOUND_BPS;
        let height = f64::from(180_u32 << layer);
        (cost <= bps).then_some((cost, height * f64::sqrt(fps / 30.0) * f64::min(fps / 10.0, 1.0)))
    });
    fitting.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(SOUND_BPS, |(cost, _)| cost)
}

/// Samples of a link's queue in milliseconds, of whole seconds.
fn queue_ms(world: &World, link: usize, from_s: u64, to_s: u64) -> Vec<f64> {
    world.queues[link][from_s as usize * 20..to_s as usize * 20].iter().map(|us| us / 1e3).collect()
}

/// Bits per second of video, as they take up the path, that a subscriber received in whole seconds.
fn received_bps(world: &World, subscriber: usize, from_s: u64, to_s: u64) -> f64 {
    let subscriber = &world.subscribers[subscriber];
    let first = subscriber.joined_us / 50_000;
    let at = |second: u64| subscriber.received[(second * 20).saturating_sub(first + 1) as usize] as f64;
    (at(to_s) - at(from_s)) * 8.0 / (to_s - from_s) as f64
}

/// 3 M, for twenty seconds 300 k, and 3 M again; another subscriber has a path without limit.
pub(crate) fn s1(report: &mut Report, seed: u64) {
    let (dip, back, end) = (22, 42, 77);
    let down = LinkConfig::stepped(&[(0, 3e6), (dip, 300e3), (back, 3e6)], 20);
    let mut world = one(VP8, down, seed);
    let other = world.link(LinkConfig::new(20e6, 20));
    let other = world.subscribe(other);
    world.watch(other, 0, 720);
    world.run_until(end * SECOND);
    let keyframes = world.publishers[0].keyframes.iter().filter(|&&at| at > dip * SECOND).count();
    let (mine, others) = (shown(&world, 0), shown(&world, other));
    report.most("down s", 2.0, seconds_to_layer(mine, dip * SECOND, |layer| layer < 2));
    report.most("frozen s", 1.0, freezes(mine, dip * SECOND, back * SECOND).1);
    let best = best_fitting(300e3);
    let used = received_bps(&world, 0, dip + 5, back) + SOUND_BPS;
    report.least("util", 0.90, used / best);
    report.most("queue p95 ms", 150.0, percentile(&queue_ms(&world, 0, dip, back), 0.95));
    report.most("top back s", 8.0, seconds_to_layer(mine, back * SECOND, |layer| layer == 2));
    report.least("fps at the end", 29.0, fps(mine, (end - 10) * SECOND, end * SECOND));
    report.most("other's freezes", 0.0, freezes(others, 10 * SECOND, end * SECOND).0 as f64);
    // Each move between layers takes one.
    let moves = switches(mine, dip * SECOND, end * SECOND);
    report.most("extra keyframes", 1.0, keyframes as f64 - moves as f64);
    check_wire(report, &mut world);
    tell_story(&mut world, seed, (dip - 1) * SECOND, end * SECOND);
}

/// RFC 8867 5.1.
pub(crate) fn s3(report: &mut Report, seed: u64) {
    let phases = [(2, 1.0e6, 40), (42, 2.5e6, 20), (62, 0.6e6, 20), (82, 1.0e6, 20)];
    let steps: Vec<(u64, f64)> = phases.iter().map(|&(from, bps, _)| (if from == 2 { 0 } else { from }, bps)).collect();
    let mut world = one(VP8, LinkConfig::stepped(&steps, 50), seed);
    world.run_until(102 * SECOND);
    for (phase, (from, bps, span)) in (1..).zip(phases) {
        let used = received_bps(&world, 0, from + 5, from + span) + SOUND_BPS;
        report.least(&format!("util {phase}"), 0.75, used / best_fitting(bps));
        let count = switches(shown(&world, 0), (from + 1) * SECOND, (from + span) * SECOND);
        report.most(&format!("switches {phase}"), 3.0, count as f64);
    }
    check_wire(report, &mut world);
}

/// RFC 8867 5.2: two subscribers behind one bottleneck.
pub(crate) fn s4(report: &mut Report, seed: u64) {
    let steps = [(0, 2.0e6), (27, 1.0e6), (52, 1.75e6), (77, 0.5e6), (102, 1.0e6)];
    let mut world = one(VP8, LinkConfig::stepped(&steps, 50), seed);
    let second = world.subscribe(0);
    world.watch(second, 0, 720);
    world.run_until(127 * SECOND);
    let fairness = steps.map(|(from, _): (u64, f64)| {
        let from = from.max(2);
        jain(&[0, second].map(|at| received_bps(&world, at, from + 8, from + 25)))
    });
    report.least("Jain, mean of phases", 0.9, fairness.iter().sum::<f64>() / fairness.len() as f64);
    for (phase, fairness) in (1..).zip(fairness) {
        report.tell(&format!("Jain {phase}"), fairness);
    }
    check_wire(report, &mut world);
}

/// RFC 8867 5.4: the second of two comes when the first has settled.
pub(crate) fn s4_late(report: &mut Report, seed: u64) {
    let mut world = one(VP8, LinkConfig::new(2e6, 50), seed);
    world.run_until(32 * SECOND);
    let second = world.subscribe(0);
    world.watch(second, 0, 720);
    world.run_until(72 * SECOND);
    let fairness = |from: u64, to: u64| jain(&[0, second].map(|at| received_bps(&world, at, from, to)));
    let after = (32..67).find(|&from| fairness(from, from + 5) >= 0.85).map_or(f64::INFINITY, |at| (at - 32) as f64);
    report.most("Jain ≥ 0.85 after s", 20.0, after);
    report.tell("Jain from 20 s on", fairness(52, 72));
    check_wire(report, &mut world);
}

/// Random loss of 2, 5 and 10 % on 5 M, with redundant audio.
pub(crate) fn s5(report: &mut Report, seed: u64) {
    for (loss, share) in [(0.02, 0.9), (0.05, 0.8), (0.10, 0.6)] {
        let mut world = one(VP8, LinkConfig { loss, ..LinkConfig::new(5e6, 20) }, seed);
        world.publishers[0].sends_red = true;
        world.run_until(62 * SECOND);
        let percent = loss * 100.0;
        let full = RATES[2] * HEADERS;
        let rate = received_bps(&world, 0, 12, 62) / (1.0 - loss);
        report.least(&format!("rate at {percent} %"), share, rate / full);
        let (count, _) = freezes(shown(&world, 0), 10 * SECOND, 62 * SECOND);
        if loss == 0.05 {
            report.most("freezes/min at 5 %", 0.2, count as f64 * 60.0 / 52.0);
            report.most("concealed at 5 %", 0.01, world.subscribers[0].receiver.slots[1].concealed());
        } else {
            report.tell(&format!("freezes at {percent} %"), count as f64);
        }
        check_wire(report, &mut world);
        tell_story(&mut world, seed, 10 * SECOND, 62 * SECOND);
    }
}

/// Everything is lost for 200 ms in each ten seconds.
pub(crate) fn s6(report: &mut Report, seed: u64) {
    let down = LinkConfig { outage_us: Some((10 * SECOND, 200_000)), ..LinkConfig::new(5e6, 20) };
    let mut world = one(VP8, down, seed);
    world.run_until(82 * SECOND);
    let slot = &world.subscribers[0].receiver.slots[0];
    let good = |outage: &u64| {
        let over = outage + 200_000;
        let recovered = slot.shown.iter().any(|shown| (over..over + 500_000).contains(&shown.at_us));
        recovered && !slot.plis.iter().any(|pli| (*outage..over + SECOND).contains(pli))
    };
    let outages: Vec<u64> = (1..8).map(|n| (n * 10 + 5) * SECOND).collect();
    let share = outages.iter().filter(|outage| good(outage)).count() as f64 / outages.len() as f64;
    report.least("repaired in 500 ms without PLI", 0.8, share);
    report.tell("longest gap s", longest_gap(&slot.shown, 10 * SECOND, 80 * SECOND));
    report.tell("mean layer", mean_layer(&slot.shown, 10 * SECOND, 80 * SECOND));
    check_wire(report, &mut world);
}

/// Jitter of 30 ms without any limit.
pub(crate) fn s7(report: &mut Report, seed: u64) {
    let down = LinkConfig { jitter_us: 30_000.0, ..LinkConfig::new(20e6, 100) };
    let mut world = one(VP8, down, seed);
    world.run_until(72 * SECOND);
    let below = shown(&world, 0).iter().filter(|shown| shown.at_us > 12 * SECOND && shown.layer < 2).count();
    report.most("pictures below the top", 0.0, below as f64);
    report.least("fps", 28.0, fps(shown(&world, 0), 12 * SECOND, 72 * SECOND));
    check_wire(report, &mut world);
}

/// A thumbnail for a minute, then 720p on stage, on 3 M.
pub(crate) fn s8(report: &mut Report, seed: u64) {
    let mut world = one(VP8, LinkConfig::new(3e6, 20), seed);
    world.hint(0, 0, Hints { height: 180, ..Hints::default() });
    world.run_until(62 * SECOND);
    report.most("layer while small", 0.0, mean_layer(shown(&world, 0), 12 * SECOND, 62 * SECOND));
    world.hint(0, 0, Hints { height: 720, pinned: true, ..Hints::default() });
    world.run_until(72 * SECOND);
    let mine = shown(&world, 0);
    report.most("top after s", 2.5, seconds_to_layer(mine, 62 * SECOND, |layer| layer == 2));
    report.tell("freezes", freezes(mine, 62 * SECOND, 72 * SECOND).0 as f64);
    check_wire(report, &mut world);
    tell_story(&mut world, seed, 60 * SECOND, 72 * SECOND);
}

/// One encoding and nothing below it, which after a while costs far more than was ever sent: a wide path is enough for it,
/// and for good; on a narrow one it is paused, and comes back.
pub(crate) fn plain(report: &mut Report, seed: u64) {
    let (dip, back, end) = (32, 42, 62);
    let down = LinkConfig::stepped(&[(0, 5e6), (dip, 700e3), (back, 5e6)], 20);
    let mut world = World::new(seed);
    expect_story(&mut world, seed);
    let publisher = world.publish(Media::Plain, uplink());
    let whole = std::mem::replace(&mut world.publishers[publisher].rates, [60e3, 0.0, 0.0]);
    let link = world.link(down);
    let (first, late) = (world.subscribe(link), world.link(LinkConfig::new(5e6, 20)));
    world.watch(first, publisher, 720);
    world.run_until(4 * SECOND);
    world.publishers[publisher].rates = whole;
    world.run_until(12 * SECOND);
    let late = world.subscribe(late);
    world.watch(late, publisher, 720);
    world.run_until(end * SECOND);
    let mine = shown(&world, first);
    report.most("longest gap s", 0.5, longest_gap(mine, 2 * SECOND, dip * SECOND));
    report.most("late first s", 1.5, seconds_to_layer(shown(&world, late), 12 * SECOND, |_| true));
    report.most("back s", 8.0, seconds_to_layer(mine, back * SECOND, |_| true));
    report.least("fps at the end", 29.0, fps(mine, (end - 8) * SECOND, end * SECOND));
    report.most("queue p95 ms", 150.0, percentile(&queue_ms(&world, link, dip, end), 0.95));
    // A picture that is given up in the middle has no end.
    let is_end = |fault: &Fault| matches!(fault, Fault::Marker | Fault::Interleaved);
    let others = world.faults().into_iter().filter(|(fault, _)| !is_end(fault));
    let faults: Vec<String> = others.map(|(fault, text)| format!("{fault:?}: {text}")).collect();
    report.most("wire faults", 0.0, faults.len() as f64);
    faults.into_iter().take(1).for_each(|fault| report.remark(fault));
    tell_story(&mut world, seed, 0, end * SECOND);
}

/// Hardly anything: 80 to 120 kbit/s.
pub(crate) fn s9(report: &mut Report, seed: u64) {
    let steps: Vec<(u64, f64)> = (0..9).map(|n| (n * 8, [80e3, 120e3, 100e3][n as usize % 3])).collect();
    let mut world = one(VP8, LinkConfig::stepped(&steps, 20), seed);
    world.run_until(72 * SECOND);
    report.most("concealed", 0.02, world.subscribers[0].receiver.slots[1].concealed());
    let mine = shown(&world, 0);
    report.most("switches/min", 4.0, switches(mine, 12 * SECOND, 72 * SECOND) as f64);
    let top = (12..72).filter_map(|second| layer_at(mine, second * SECOND)).max();
    report.most("layer", 0.0, f64::from(top.unwrap_or(0)));
    report.tell("fps", fps(mine, 12 * SECOND, 72 * SECOND));
    check_wire(report, &mut world);
    tell_story(&mut world, seed, 0, 72 * SECOND);
}
