//! Tables of what is offered and what it costs, from streams of made-up frames.

use std::time::Duration;

use roundtable_wire::layers_allocation::{LayerSize, SpatialLayer};

use super::*;

/// A wire packet in [`FrameInfo`]s of the tests: so many bytes before the tag, UDP and IP.
const PACKET: usize = 1000;
const EXTRA: usize = 44;
const FRAME: Duration = Duration::from_millis(33);
const TICK: Duration = Duration::from_millis(250);

/// What a track's publisher sends while time passes.
struct Stream {
    ladder: Ladder,
    now: Moment,
    ticked: Moment,
    pictures: u32,
}

/// One frame of a picture: layer, spatial layer, the targets it belongs to, and its packets.
#[derive(Clone, Copy)]
struct Sent {
    layer: u8,
    spatial: u8,
    present: u32,
    packets: usize,
}

impl Stream {
    fn new(layers: usize) -> Self {
        let now = Moment::ORIGIN;
        Self { ladder: Ladder::new(layers), now, ticked: now, pictures: 0 }
    }

    /// Sends a picture every 33 ms for so long; `frames` makes the frames of one from its temporal layer.
    fn run(&mut self, span: Duration, frames: impl Fn(u8) -> Vec<Sent>) {
        let end = self.now + span;
        while self.now < end {
            let temporal = [0, 2, 1, 2][self.pictures as usize % 4];
            for sent in frames(temporal) {
                self.send(sent, temporal, false);
            }
            self.pictures += 1;
            self.pass(FRAME);
        }
    }

    fn send(&mut self, sent: Sent, temporal: u8, starts_keyframe: bool) {
        for at in 0..sent.packets {
            let info = FrameInfo {
                spatial: sent.spatial,
                temporal,
                starts: at == 0,
                ends: at + 1 == sent.packets,
                starts_keyframe: starts_keyframe && at == 0,
                present: sent.present,
                is_known: true,
                ..FrameInfo::default()
            };
            self.ladder.handle_packet(self.now, sent.layer, &info, PACKET);
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        while self.ticked + TICK <= self.now {
            self.ticked += TICK;
            self.ladder.handle_tick(self.ticked);
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.ladder.steps(self.now, &mut steps);
        let costs = steps.is_sorted_by_key(|step| step.rung.cost);
        assert!(costs, "in the order of their cost: {steps:?}");
        for a in &steps {
            for b in steps.iter().filter(|b| a.rung.spatial == b.rung.spatial && a.rung.temporal < b.rung.temporal) {
                assert!(a.rung.cost < b.rung.cost && a.rung.fps <= b.rung.fps * 1.1, "{a:?} {b:?}");
            }
        }
        steps
    }

    /// (layer, target, spatial, temporal) of all steps.
    fn order(&self) -> Vec<(u8, u8, u8, u8)> {
        self.steps().iter().map(|step| (step.layer, step.target, step.rung.spatial, step.rung.temporal)).collect()
    }

    fn cost_kbps(&self, layer: u8, target: u8) -> u64 {
        let steps = self.steps();
        let step = steps.iter().find(|step| (step.layer, step.target) == (layer, target));
        step.unwrap_or_else(|| panic!("{steps:?}")).rung.cost.as_bps() / 1000
    }

    fn alive(&self, layer: u8, spatial: u8) -> Option<Moment> {
        let targets = |step: &&Step| step.layer == layer && step.rung.spatial == spatial;
        self.steps().iter().find(targets).and_then(|step| step.rung.alive)
    }
}

fn target(spatial: u8, temporal: u8, size: Option<(u16, u16)>) -> Target {
    Target { spatial, temporal, size }
}

/// Three temporal layers of each of so many spatial layers.
fn grid(sizes: &[(u16, u16)]) -> Vec<Target> {
    let all = (0..).zip(sizes);
    all.flat_map(|(spatial, &size)| (0..3).map(move |temporal| target(spatial, temporal, Some(size)))).collect()
}

/// The targets of three temporal layers that a frame of layer `temporal` belongs to.
fn up_from(temporal: u8) -> u32 {
    0b111 << temporal & 0b111
}

const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

/// Simulcast: one, three and eight packets to the frame.
fn simulcast(temporal: u8) -> Vec<Sent> {
    let sent = |layer, packets| Sent { layer, spatial: 0, present: up_from(temporal), packets };
    vec![sent(0, 1), sent(1, 3), sent(2, 8)]
}

fn simulcast_stream(layers_with_sizes: bool) -> Stream {
    let mut stream = Stream::new(3);
    for (layer, size) in (0..).zip(SIZES) {
        let size = layers_with_sizes.then_some(size);
        let targets: Vec<_> = (0..3).map(|temporal| target(0, temporal, size)).collect();
        stream.ladder.handle_targets(layer, &targets);
    }
    stream
}

/// What so many packets in a frame cost at this share of the frames.
fn kbps(packets: usize, share: f64) -> f64 {
    (packets * (PACKET + EXTRA)) as f64 * 8.0 / FRAME.as_secs_f64() * share / 1000.0
}

#[track_caller]
fn assert_near(measured: u64, expected: f64) {
    assert!((measured as f64 - expected).abs() < expected * 0.12, "{measured} and not {expected}");
}

#[test]
fn simulcast_costs_what_each_encoding_sends() {
    let mut stream = simulcast_stream(true);
    stream.run(Duration::from_secs(6), simulcast);
    for (layer, packets) in [(0, 1), (1, 3), (2, 8)] {
        for (target, share) in [(0, 0.25), (1, 0.5), (2, 1.0)] {
            assert_near(stream.cost_kbps(layer, target), kbps(packets, share));
        }
        assert_near(stream.ladder.bitrate(layer).as_bps() / 1000, kbps(packets, 1.0));
    }
    for step in stream.steps() {
        assert_eq!((step.rung.spatial, step.rung.temporal), (step.layer, step.target));
        assert_eq!(step.rung.height, SIZES[usize::from(step.layer)].1);
        let expected = 30.0 / f32::from(1u8 << (2 - step.rung.temporal));
        assert!((step.rung.fps - expected).abs() < expected * 0.15, "{step:?}");
        assert!(step.rung.alive.is_some());
    }
}

#[test]
fn before_anything_is_measured_the_usual_ladder_holds() {
    let stream = simulcast_stream(false);
    let costs: Vec<_> = stream.steps().iter().map(|step| step.rung.cost.as_bps() / 1000).collect();
    assert_eq!(costs, [150, 500, 1500], "one rung each, while no temporal layers were seen");
    let heights: Vec<_> = stream.steps().iter().map(|step| (step.target, step.rung.height, step.rung.fps)).collect();
    assert_eq!(heights, [(2, 180, 30.0), (2, 360, 30.0), (2, 720, 30.0)]);
    assert!(stream.steps().iter().all(|step| step.rung.alive.is_none()));

    let mut stream = simulcast_stream(false);
    stream.run(Duration::from_millis(100), simulcast);
    let costs: Vec<_> = stream.steps().iter().map(|step| step.rung.cost.as_bps() / 1000).collect();
    assert_eq!(costs, [75, 112, 150, 250, 375, 500, 750, 1125, 1500]);
}

#[test]
fn encodings_without_sizes_are_ordered_by_what_they_send() {
    let mut stream = simulcast_stream(false);
    // The offer names the largest first.
    stream.run(Duration::from_secs(6), |temporal| {
        let turned = simulcast(temporal).into_iter().map(|sent| Sent { layer: 2 - sent.layer, ..sent });
        turned.collect()
    });
    let lowest = stream.order()[0];
    assert_eq!((lowest.0, lowest.2, lowest.3), (2, 0, 0));
    let highest = *stream.order().last().unwrap();
    assert_eq!((highest.0, highest.2, highest.3), (0, 2, 2));
    // Sizes, once known, are worth more than rates.
    for (layer, (width, height)) in (0..).zip(SIZES) {
        stream.ladder.handle_size(layer, width, height);
    }
    assert!(stream.steps().iter().all(|step| step.rung.spatial == step.layer));
}

/// Three spatial layers with one, two and six packets to the frame.
fn svc(temporal: u8, reaches: impl Fn(u8, u8) -> bool) -> Vec<Sent> {
    let present = |spatial| {
        let in_targets = (0..3u8).filter(|&target| reaches(spatial, target));
        in_targets.fold(0, |mask, target| mask | up_from(temporal) << (3 * target))
    };
    let sent = |spatial, packets| Sent { layer: 0, spatial, present: present(spatial), packets };
    vec![sent(0, 1), sent(1, 2), sent(2, 6)]
}

#[test]
fn full_svc_costs_all_layers_up_to_the_target_and_key_mode_its_own() {
    let check = |is_full: bool, expected: [usize; 3]| {
        let mut stream = Stream::new(1);
        stream.ladder.handle_targets(0, &grid(&SIZES));
        stream.run(Duration::from_secs(6), |temporal| {
            svc(temporal, |layer, target| layer == target || is_full && layer < target)
        });
        for (spatial, packets) in (0..).zip(expected) {
            for (temporal, share) in [(0, 0.25), (1, 0.5), (2, 1.0)] {
                assert_near(stream.cost_kbps(0, 3 * spatial + temporal), kbps(packets, share));
            }
        }
        assert_near(stream.ladder.bitrate(0).as_bps() / 1000, kbps(9, 1.0));
        assert!(stream.steps().iter().all(|step| step.rung.spatial == step.target / 3));
    };
    check(true, [1, 3, 9]);
    check(false, [1, 2, 6]);
}

#[test]
fn what_is_said_of_a_spatial_layer_includes_the_lower_ones_which_key_mode_does_not_forward() {
    let layers: Vec<_> = [(0, [50, 75, 100]), (1, [150, 225, 300]), (2, [500, 750, 1000])]
        .iter()
        .map(|(id, rates)| SpatialLayer::new(0, *id, rates, None).unwrap())
        .collect();
    let said = LayersAllocation::new(0, 1, &layers).unwrap();
    let cost = |is_full: bool| {
        let mut stream = Stream::new(1);
        stream.ladder.handle_targets(0, &grid(&SIZES));
        // Not enough to be measured.
        stream.run(Duration::from_millis(700), |temporal| {
            svc(temporal, |layer, target| layer == target || is_full && layer < target)
        });
        stream.ladder.handle_allocation(stream.now, &said, 0);
        stream.cost_kbps(0, 8)
    };
    let (key, full) = (cost(false), cost(true));
    assert!((740..800).contains(&key), "700 and what is around the payload: {key}");
    assert!((1090..1160).contains(&full), "1000 and what is around the payload: {full}");
}

#[test]
fn a_spatial_layer_that_ceases_is_not_alive_and_the_lower_ones_are() {
    let mut stream = Stream::new(1);
    stream.ladder.handle_targets(0, &grid(&SIZES));
    stream.run(Duration::from_secs(3), |temporal| svc(temporal, |layer, target| layer <= target));
    stream.run(Duration::from_secs(2), |temporal| {
        svc(temporal, |layer, target| layer <= target).into_iter().take(2).collect()
    });
    assert!(stream.alive(0, 1).is_some() && stream.alive(0, 2).is_none() && stream.ladder.is_live(stream.now, 0));
}

#[test]
fn a_layer_that_stops_is_dead_after_a_second_and_begins_anew() {
    let mut stream = simulcast_stream(true);
    let start = stream.now;
    stream.run(Duration::from_secs(4), simulcast);
    assert_eq!(stream.alive(2, 2), Some(start));
    let cost = stream.cost_kbps(2, 2);
    let two = |temporal| simulcast(temporal).into_iter().take(2).collect();
    stream.run(Duration::from_millis(900), two);
    assert!(stream.ladder.is_live(stream.now, 2), "a second is allowed");
    stream.run(Duration::from_secs(3), two);
    assert!(!stream.ladder.is_live(stream.now, 2) && stream.alive(2, 2).is_none());
    assert_eq!(stream.ladder.bitrate(2), Bitrate::ZERO);
    let kept = stream.cost_kbps(2, 2);
    assert!(kept * 10 > cost * 9, "what it costs is not what comes of it: {kept} of {cost}");
    let returned = stream.now;
    stream.run(Duration::from_millis(700), simulcast);
    assert_eq!(stream.alive(2, 2), Some(returned));
    assert_eq!(stream.alive(0, 0), Some(start), "the others went on");
}

#[test]
fn a_sleeping_layer_counts_as_alive_and_is_waited_for() {
    let mut stream = simulcast_stream(true);
    let start = stream.now;
    stream.run(Duration::from_secs(4), simulcast);
    let two = |temporal| simulcast(temporal).into_iter().take(2).collect();
    stream.ladder.set_sleeping(stream.now, 2, true);
    stream.run(Duration::from_secs(60), two);
    assert_eq!(stream.alive(2, 2), Some(start));
    assert_near(stream.cost_kbps(2, 2), kbps(8, 1.0));
    stream.ladder.set_sleeping(stream.now, 2, false);
    stream.run(Duration::from_secs(2), two);
    assert!(stream.ladder.is_live(stream.now, 2), "it was asked for and may come yet");
    stream.run(Duration::from_secs(2), two);
    assert!(!stream.ladder.is_live(stream.now, 2), "it did not come");
    stream.run(Duration::from_secs(1), simulcast);
    assert!(stream.ladder.is_live(stream.now, 2));
}

#[test]
fn what_the_publisher_says_counts_until_enough_is_measured() {
    let mut stream = simulcast_stream(false);
    stream.run(Duration::from_millis(500), simulcast);
    let layer = |stream, rates: &[u32], (width, height): (u16, u16)| {
        let size = LayerSize { width: width.into(), height: height.into(), max_frame_rate: 20 };
        SpatialLayer::new(stream, 0, rates, Some(size)).unwrap()
    };
    let layers = [
        layer(0, &[60, 90, 150], SIZES[0]),
        layer(1, &[200, 300, 400], SIZES[1]),
        layer(2, &[600, 900, 1200], SIZES[2]),
    ];
    let said = LayersAllocation::new(1, 3, &layers).unwrap();
    stream.ladder.handle_allocation(stream.now, &said, 1);
    let cost = stream.cost_kbps(1, 2);
    assert!((430..460).contains(&cost), "400 and what is around the payload: {cost}");
    assert!((1270..1310).contains(&stream.cost_kbps(2, 2)), "all streams are told on each");
    assert_eq!(stream.steps().last().map(|step| step.rung.height), Some(720));

    // Of a publisher that numbers its streams otherwise only the stream itself is believed.
    stream.ladder.handle_allocation(stream.now, &said, 0);
    assert_eq!(stream.cost_kbps(0, 2), cost);

    stream.run(Duration::from_secs(6), simulcast);
    for (layer, packets) in [(0, 1), (1, 3), (2, 8)] {
        stream.ladder.handle_allocation(stream.now, &said, 1);
        assert_near(stream.cost_kbps(layer, 2), kbps(packets, 1.0));
    }
}

#[test]
fn what_the_publisher_says_is_believed_for_five_seconds() {
    let mut stream = simulcast_stream(false);
    let layers =
        [(0, 90), (1, 300), (2, 900)].map(|(stream, kbps)| SpatialLayer::new(stream, 0, &[kbps], None).unwrap());
    let said = LayersAllocation::new(0, 3, &layers).unwrap();
    stream.ladder.handle_allocation(stream.now, &said, 0);
    assert!((300..350).contains(&stream.cost_kbps(1, 2)));
    stream.pass(Duration::from_millis(4900));
    assert!((300..350).contains(&stream.cost_kbps(1, 2)));
    stream.pass(Duration::from_millis(200));
    assert_eq!(stream.cost_kbps(1, 2), 500, "the usual");
}

#[test]
fn the_burst_of_a_keyframe_is_no_rate() {
    let mut stream = simulcast_stream(true);
    stream.send(Sent { layer: 0, spatial: 0, present: 0b111, packets: 60 }, 0, true);
    stream.run(Duration::from_secs(3), simulcast);
    assert_near(stream.cost_kbps(0, 2), kbps(1, 1.0));
    let order = stream.order();
    let before = stream.cost_kbps(0, 2);
    for _ in 0..5 {
        stream.send(Sent { layer: 0, spatial: 0, present: 0b111, packets: 60 }, 0, true);
        stream.run(TICK, simulcast);
        assert_eq!(stream.order(), order);
        stream.run(Duration::from_secs(1), simulcast);
    }
    let after = stream.cost_kbps(0, 2);
    assert!(after < before * 6 / 5, "{before} became {after}");
}

#[test]
fn a_stream_without_temporal_layers_has_one_rung() {
    let mut stream = Stream::new(1);
    stream.ladder.handle_targets(0, &[Target::default()]);
    stream.run(Duration::from_secs(3), |_| vec![Sent { layer: 0, spatial: 0, present: 1, packets: 2 }]);
    assert_eq!(stream.order(), [(0, 0, 0, 0)]);
    let mut stream = Stream::new(1);
    assert_eq!(stream.order(), [(0, 0, 0, 0)], "and so has one of which nothing is known");
    stream.ladder.handle_packet(stream.now, 0, &FrameInfo::default(), 100);
    stream.ladder.handle_packet(stream.now, 7, &FrameInfo::default(), 100);
    assert!(stream.ladder.is_live(stream.now, 0) && !stream.ladder.is_live(stream.now, 7));
}

#[test]
fn targets_that_are_renumbered_keep_their_costs() {
    let mut stream = Stream::new(1);
    stream.ladder.handle_targets(0, &grid(&SIZES[..1]));
    stream.run(Duration::from_secs(4), |temporal| {
        vec![Sent { layer: 0, spatial: 0, present: up_from(temporal), packets: 2 }]
    });
    let cost = stream.cost_kbps(0, 1);
    let mut turned = grid(&SIZES[..2]);
    turned.rotate_left(3);
    stream.ladder.handle_targets(0, &turned);
    assert_eq!(stream.cost_kbps(0, 4), cost);
    assert!(stream.alive(0, 1).is_none(), "the new layer was not received yet");
}
