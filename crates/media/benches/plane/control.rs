//! What is decided for one subscriber of fifty tracks: estimator, allocator and pacer.

use std::hint::black_box;
use std::time::{Duration, Instant};

use roundtable_media::Moment;
use roundtable_media::allocate::{Allocator, Budget, Class, Hints, Rung, Track};
use roundtable_media::bwe::{Bitrate, Estimator, EstimatorConfig, SendSideEstimator, SentPacket};
use roundtable_media::pacer::{Admission, Outgoing, Pacer, Priority};
use roundtable_wire::rtcp::{Packet, Writer, packets};

use crate::times::Times;
use crate::{median, spread};

const TRACKS: usize = 50;
/// Runs of a round; between two lie 50 ms, as between two feedback messages of Chromium.
const RUNS: usize = 400;
const ROUNDS: usize = 9;
const RUN_TIME: Duration = Duration::from_millis(50);
/// Packets that a feedback message tells of: 10 Mbit/s.
const PACKETS: usize = 52;
const PACKET_BYTES: u16 = 1200;
const PATH: Duration = Duration::from_millis(20);
/// The goal for estimator and allocator together.
const GOAL_MICROS: f64 = 50.0;

/// Times of each part, run by run.
#[derive(Default)]
struct Spent {
    sent: Times,
    feedback: Times,
    allocation: Times,
    pacing: Times,
}

pub(crate) fn report() {
    println!(
        "one subscriber of {TRACKS} tracks, {PACKETS} packets each 50 ms, median of {ROUNDS} rounds of {RUNS} runs"
    );
    let (mut feedback, mut allocation, mut both) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sent, mut pacing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let spent = round();
        feedback.push(spent.feedback.mean() / 1000.0);
        allocation.push(spent.allocation.mean() / 1000.0);
        both.push((spent.feedback.mean() + spent.allocation.mean()) / 1000.0);
        sent.push(spent.sent.mean() / PACKETS as f64);
        pacing.push(spent.pacing.mean() / PACKETS as f64);
    }
    println!("estimator, per feedback message: {} µs", spread(&feedback));
    println!("allocator, per allocation:       {} µs", spread(&allocation));
    println!("both, per run:                   {} µs (goal: {GOAL_MICROS:.0})", spread(&both));
    println!("estimator, per packet sent:      {} ns", spread(&sent));
    println!("pacer, per packet admitted:      {} ns", spread(&pacing));
    if median(both) > GOAL_MICROS {
        println!("the goal is missed");
    }
}

fn round() -> Spent {
    let start = Moment::ORIGIN;
    let mut estimator =
        SendSideEstimator::new(start, EstimatorConfig { start: Bitrate::kbps(8000), ..EstimatorConfig::default() });
    let mut pacer = Pacer::new(start, Bitrate::kbps(20_000));
    let mut allocator = Allocator::new();
    let rungs: Vec<Vec<Rung>> = (0..TRACKS).map(|track| rungs(start, track)).collect();
    let mut choices = Vec::new();
    let mut spent = Spent::default();
    for run in 0..RUNS {
        let begin = start + RUN_TIME * run as u32;
        let feedback = send(begin, run, &mut estimator, &mut pacer, &mut spent);
        let now = begin + RUN_TIME + PATH;

        let began = Instant::now();
        for packet in packets(&feedback) {
            let Ok(Packet::TransportFeedback(feedback)) = packet else { panic!("feedback was written") };
            estimator.handle_feedback(now, &feedback);
        }
        estimator.handle_timeout(now);
        spent.feedback.push(began.elapsed());

        let tracks = tracks(run, &rungs);
        let began = Instant::now();
        let demand = allocator.allocate(now, &budget(run), &tracks, &mut choices);
        estimator.set_demand(demand);
        pacer.set_target(now, Bitrate::kbps(20_000), Bitrate::kbps(20_000));
        if let Some(probe) = estimator.poll_probe(now, None) {
            pacer.handle_probe(now, probe);
        }
        spent.allocation.push(began.elapsed());
        assert_eq!(black_box(&choices).len(), TRACKS);
    }
    assert!(estimator.is_proven() && estimator.state().acked.is_some(), "the feedback was understood");
    assert!(choices.iter().any(|choice| choice.rung > Some(0)), "there was something to decide");
    spent
}

/// Sends the packets of one run; returns the feedback on them.
fn send(
    begin: Moment,
    run: usize,
    estimator: &mut SendSideEstimator,
    pacer: &mut Pacer<usize>,
    spent: &mut Spent,
) -> Vec<u8> {
    let first = run * PACKETS;
    let spacing = RUN_TIME / PACKETS as u32;
    let mut probes = [None; PACKETS];
    let began = Instant::now();
    for (number, probe) in probes.iter_mut().enumerate() {
        let (size, priority) = (PACKET_BYTES, Priority::Video);
        let packet = Outgoing { item: number, size, priority };
        let admission = pacer.handle_packet(begin + spacing * number as u32, packet);
        let Admission::Now(_, id) = admission else { panic!("the target is twice what is sent") };
        *probe = id;
    }
    spent.pacing.push(began.elapsed());
    let began = Instant::now();
    for (number, &probe) in probes.iter().enumerate() {
        let packet = SentPacket { sequence: (first + number) as u16, size: PACKET_BYTES, probe, filler: false };
        estimator.handle_sent(begin + spacing * number as u32, &packet);
    }
    spent.sent.push(began.elapsed());

    let path = PATH.as_micros() as u64;
    let at = |number: usize| (RUN_TIME * run as u32 + spacing * number as u32).as_micros() as u64 + path;
    // Some jitter, so that the trend is not flat, and one packet of a hundred is lost.
    let arrivals: Vec<Option<u64>> = (0..PACKETS)
        .map(|number| ((first + number) % 100 != 99).then(|| at(number) + (number * 7919 % 600) as u64))
        .collect();
    let mut feedback = Vec::new();
    Writer::new(&mut feedback).twcc(1, 2, run as u8, first as u16, &arrivals);
    feedback
}

/// Three encodings with three temporal layers each.
fn rungs(start: Moment, track: usize) -> Vec<Rung> {
    const HEIGHTS: [u16; 3] = [180, 360, 720];
    const COSTS: [[u64; 3]; 3] = [[60, 90, 150], [200, 300, 500], [428, 642, 1070]];
    let rung = |spatial: usize, temporal: usize| Rung {
        spatial: spatial as u8,
        temporal: temporal as u8,
        cost: Bitrate::kbps(COSTS[spatial][temporal] + track as u64),
        height: HEIGHTS[spatial],
        fps: [7.5, 15.0, 30.0][temporal],
        alive: Some(start),
    };
    (0..3).flat_map(|spatial| (0..3).map(move |temporal| rung(spatial, temporal))).collect()
}

/// A stage of one, speakers, a grid; who is on stage changes every second.
fn tracks(run: usize, rungs: &[Vec<Rung>]) -> Vec<Track<'_>> {
    let stage = run / 20 % TRACKS;
    let track = |(number, rungs)| {
        let class = match (number + TRACKS - stage) % TRACKS {
            0 => Class::Dominant,
            1..4 => Class::Recent,
            _ => Class::Other,
        };
        let height = if class == Class::Dominant { 720 } else { 360 };
        let hints = Hints { height, visible: number % 10 != 9, ..Hints::default() };
        Track { key: number as u32, rungs, hints, class, spoke: number as u64 }
    };
    rungs.iter().map(Vec::as_slice).enumerate().map(track).collect()
}

/// Rises and falls by half, so that there are steps in both directions.
fn budget(run: usize) -> Budget {
    let swing = run % 80;
    let kbps = 8000 + 200 * swing.min(80 - swing) as u64;
    Budget {
        target: Bitrate::kbps(kbps),
        proven: true,
        probed: None,
        audio_slots: 3,
        red: false,
        retransmissions: Bitrate::kbps(100),
        congested: false,
        settled: true,
    }
}
