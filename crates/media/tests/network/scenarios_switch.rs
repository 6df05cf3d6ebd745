//! S11: every switch between any two rungs, spatial and temporal, in every codec, on a path that carries all of them.

use roundtable_media::allocate::Hints;

use crate::figures::{Report, SECOND, longest_gap};
use crate::link::LinkConfig;
use crate::publisher::Media;
use crate::receiver::Shown;
use crate::scenarios_path::{check_wire, shown, uplink};
use crate::world::World;

const HEIGHTS: [u16; 3] = [180, 360, 720];
const RATES: [u8; 3] = [8, 15, 30];
/// How long a rung is kept.
const DWELL_US: u64 = 1_500_000;
/// Subscribers that switch at once, each from another pair on: the publisher is paid for once.
const WALKERS: usize = 5;
/// A rung counts as reached if the last third of its time shows it.
const SETTLED_US: u64 = DWELL_US / 3;

/// A walk over all rungs in which every ordered pair of two is a step (an Eulerian circuit of nine nodes).
fn walk() -> Vec<(u8, u8)> {
    let rung = |at: usize| ((at / 3) as u8, (at % 3) as u8);
    let mut left: Vec<Vec<usize>> = (0..9).map(|from| (0..9).filter(|&to| to != from).collect()).collect();
    let (mut stack, mut circuit) = (vec![0], Vec::new());
    while let Some(&at) = stack.last() {
        match left[at].pop() {
            Some(next) => stack.push(next),
            None => circuit.extend(stack.pop().map(rung)),
        }
    }
    circuit
}

fn switch_everything(report: &mut Report, media: Media, seed: u64) {
    let mut world = World::new(seed);
    world.publish(media, uplink());
    let link = world.link(LinkConfig::new(100e6, 20));
    world.run_until(SECOND);
    let walk = walk();
    let start = 11 * SECOND;
    for walker in 0..WALKERS {
        let subscriber = world.subscribe(link);
        world.watch(subscriber, 0, 720);
        // By hints every dwelling time; each walker starts elsewhere and a little later.
        for step in 0..walk.len() {
            let (spatial, temporal) = walk[(step + walker * walk.len() / WALKERS) % walk.len()];
            let at = start + step as u64 * DWELL_US + walker as u64 * DWELL_US / WALKERS as u64;
            let (height, max_fps) = (HEIGHTS[usize::from(spatial)], RATES[usize::from(temporal)]);
            world.at(at, move |world| world.hint(subscriber, 0, Hints { height, max_fps, ..Hints::default() }));
        }
    }
    world.run_until(start + (walk.len() as u64 + 1) * DWELL_US);
    for walker in 0..WALKERS {
        let mine = shown(&world, walker);
        let (mut up, mut down, mut reached, mut steps) = (0.0_f64, 0.0_f64, 0, 0);
        for step in 1..walk.len() {
            let rung = |step: usize| walk[(step + walker * walk.len() / WALKERS) % walk.len()];
            // The circuit ends where it starts, so a walker that wraps stays where it is once.
            let (from, to) = (rung(step - 1), rung(step));
            let at = start + step as u64 * DWELL_US + walker as u64 * DWELL_US / WALKERS as u64;
            let gap = longest_gap(mine, at, at + DWELL_US);
            if to.0 > from.0 {
                up = up.max(gap)
            } else {
                down = down.max(gap)
            }
            let settled = at + DWELL_US - SETTLED_US..at + DWELL_US;
            (reached, steps) = (reached + usize::from(is_reached(mine, settled, to, media)), steps + 1);
        }
        report.most("longest gap up s", 0.5, up);
        report.most("longest gap down s", 1.0, down);
        report.least("rungs reached", 0.95, reached as f64 / steps as f64);
    }
    check_wire(report, &mut world);
}

/// Whether the pictures of a span are those of a rung: its layer, and at most its temporal layer.
fn is_reached(shown: &[Shown], span: std::ops::Range<u64>, (spatial, temporal): (u8, u8), media: Media) -> bool {
    let temporal = match media {
        Media::H264 { temporal: layers } => temporal.min(layers - 1),
        Media::Vp8 { .. } | Media::Vp9 { .. } | Media::Av1 => temporal,
        Media::Plain => 0,
    };
    let within: Vec<&Shown> = shown.iter().filter(|shown| span.contains(&shown.at_us)).collect();
    let highest = within.iter().map(|shown| shown.temporal).max();
    highest == Some(temporal) && within.iter().all(|shown| shown.layer == spatial)
}

pub(crate) fn vp8(report: &mut Report, seed: u64) {
    switch_everything(report, Media::Vp8 { dependency: false }, seed);
}

pub(crate) fn vp8_dependency(report: &mut Report, seed: u64) {
    switch_everything(report, Media::Vp8 { dependency: true }, seed);
}

pub(crate) fn vp9(report: &mut Report, seed: u64) {
    switch_everything(report, Media::Vp9 { dependency: false }, seed);
}

pub(crate) fn vp9_dependency(report: &mut Report, seed: u64) {
    switch_everything(report, Media::Vp9 { dependency: true }, seed);
}

pub(crate) fn av1(report: &mut Report, seed: u64) {
    switch_everything(report, Media::Av1, seed);
}

pub(crate) fn h264(report: &mut Report, seed: u64) {
    switch_everything(report, Media::H264 { temporal: 3 }, seed);
}

#[test]
fn the_walk_takes_every_step_once() {
    let walk = walk();
    let steps: std::collections::HashSet<_> = walk.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!((walk.len(), steps.len()), (73, 72));
    assert!(steps.iter().all(|(from, to)| from != to));
}
