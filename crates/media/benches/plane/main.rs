//! User-space cost of the media plane: nanoseconds per forwarded packet, and microseconds per decision.
//!
//! `cargo bench -p roundtable-media --bench plane`. Times of different machines, and of different runs on a busy one,
//! do not compare; the ratios to the bare loop of the same round do.

#![allow(clippy::print_stdout)] // A bench reports.

#[path = "../../tests/call/mod.rs"]
mod call;
mod control;
mod seal;
mod times;

use std::time::Instant;

use call::{Call, Heard};
use roundtable_media::PeerKey;
use seal::{Bare, Sealer};
use times::Times;

/// Subscribers of one publisher.
const FAN_OUTS: [usize; 3] = [1, 10, 50];
/// Rounds of each kind, one after the other, so that all see the same weather; the median counts.
const ROUNDS: usize = 9;
/// Pictures until a call has settled.
const SETTLING_STEPS: usize = 200;
/// Packets that are forwarded in a round, at least.
const ROUND_PACKETS: u64 = 40_000;

fn main() {
    println!("ns per forwarded packet, median of {ROUNDS} rounds (lowest–highest)");
    println!("fan-out |            plane |     plane + seal |   bare copy + seal | plane + seal ÷ bare");
    for fan_out in FAN_OUTS {
        forwarding(fan_out);
    }
    println!();
    control::report();
}

fn forwarding(fan_out: usize) {
    let mut calls = [settled(fan_out), settled(fan_out)];
    let mut sealer = Sealer::new(fan_out);
    let mut bare = Bare::new(fan_out);
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let [counting, sealing] = &mut calls;
        rounds.plane.push(round(counting, |_, _, _, _| {}));
        rounds.sealed.push(round(sealing, |head, header_len, tail, peer| {
            sealer.seal(peer.index(), head, header_len, tail);
        }));
        rounds.bare.push(bare.round(&mut sealing.0, &mut sealing.1));
    }
    let ratio = rounds.sealed.iter().zip(&rounds.bare).map(|(ours, bare)| ours / bare).collect();
    println!(
        "{fan_out:>7} | {:>16} | {:>16} | {:>18} | {:.2}",
        spread(&rounds.plane),
        spread(&rounds.sealed),
        spread(&rounds.bare),
        median(ratio)
    );
}

/// Times of each kind, round by round.
#[derive(Default)]
struct Rounds {
    plane: Vec<f64>,
    sealed: Vec<f64>,
    bare: Vec<f64>,
}

fn settled(fan_out: usize) -> (Call, Heard) {
    let (mut call, mut heard) = Call::new(fan_out);
    for _ in 0..SETTLING_STEPS {
        call.prepare(&mut heard);
        call.run(&mut heard, |_, _, _, _| {});
    }
    (call, heard)
}

/// Nanoseconds per forwarded packet, everything the plane does meanwhile included.
fn round((call, heard): &mut (Call, Heard), mut sink: impl FnMut(&[u8], usize, &[u8], PeerKey)) -> f64 {
    let (mut forwarded, mut steps, mut times) = (0, 0, Times::default());
    while forwarded < ROUND_PACKETS {
        call.prepare(heard);
        let began = Instant::now();
        let packets = call.run(heard, &mut sink);
        times.push(began.elapsed());
        assert!(packets > 0, "the call goes on");
        (forwarded, steps) = (forwarded + packets, steps + 1);
    }
    times.mean() * f64::from(steps) / forwarded as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &[f64]) -> String {
    let (low, high) = values.iter().fold((f64::MAX, 0f64), |(low, high), &value| (low.min(value), high.max(value)));
    format!("{:.0} ({low:.0}–{high:.0})", median(values.to_vec()))
}
