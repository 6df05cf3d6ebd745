//! The media plane under a simulated network: publishers that send what browsers send, links with all their faults,
//! subscribers that decode what browsers could decode, and a checker of every packet that leaves.
//!
//! Time is virtual and everything is seeded: the same seed gives the same run, to the last packet. `ground` proves the
//! simulation itself; the scenarios are those of the media plane's specification (3.5).

#![allow(clippy::print_stdout, reason = "the rows of figures are what a scenario is for")]

mod checker;
mod checker_tests;
mod encoder;
mod figures;
mod ground;
mod link;
mod negotiated;
mod packetize;
mod piece;
mod publisher;
mod receiver;
mod replays;
mod rng;
mod scenarios_path;
mod scenarios_room;
mod scenarios_switch;
mod world;

use figures::Report;

/// Runs of each scenario that is asserted.
const SEEDS: u64 = 20;
/// Runs of S11, in each of which five subscribers take every switch once: fifty times in all.
const SWITCH_SEEDS: u64 = 10;

/// A scenario: one run with one seed adds its figures.
type Scenario = fn(&mut Report, u64);

/// Runs a scenario over its seeds and prints its row.
fn run(id: &'static str, scenario: Scenario, seeds: u64) -> Report {
    let mut report = Report::new(id);
    // `SIM_FIRST_SEED=101` asks for seeds on which nothing was ever tuned.
    let first = std::env::var("SIM_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        scenario(&mut report, seed);
    }
    println!("{}", report.row());
    for remark in report.remarks() {
        println!("    {remark}");
    }
    report
}

/// Declares the scenarios: those that are ready are tests, all others run once and are only printed.
macro_rules! scenarios {
    (ready: { $($name:ident = $id:literal => $run:path, $seeds:expr;)* } in_preparation: { $($later_id:literal => $later:path, $later_seeds:expr;)* }) => {
        $(
            #[test]
            fn $name() {
                let report = run($id, $run, $seeds);
                assert_eq!(report.failures(), [""; 0], "{} is good enough", $id);
            }
        )*

        /// The scenarios whose bounds are asserted.
        const READY: &[&str] = &[$($id),*];
        const IN_PREPARATION: &[(&str, Scenario, u64)] = &[$(($later_id, $later, $later_seeds)),*];
    };
}

// Moving a line from `in_preparation` to `ready`, with a name in front, makes a scenario a test.
scenarios! {
    ready: {
        s5_random_loss_costs_little = "S5" => scenarios_path::s5, SEEDS;
        s14_subscribers_follow_a_publisher_whose_uplink_dips = "S14" => scenarios_room::s14, SEEDS;
        s7_jitter_is_not_taken_for_congestion = "S7" => scenarios_path::s7, SEEDS;
        s11_every_switch_of_vp8 = "S11 VP8" => scenarios_switch::vp8, SWITCH_SEEDS;
        s11_every_switch_of_vp8_with_descriptors = "S11 VP8 DD" => scenarios_switch::vp8_dependency, SWITCH_SEEDS;
        s11_every_switch_of_vp9 = "S11 VP9" => scenarios_switch::vp9, SWITCH_SEEDS;
        s11_every_switch_of_vp9_with_descriptors = "S11 VP9 DD" => scenarios_switch::vp9_dependency, SWITCH_SEEDS;
        s11_every_switch_of_av1 = "S11 AV1" => scenarios_switch::av1, SWITCH_SEEDS;
        s11_every_switch_of_h264 = "S11 H264" => scenarios_switch::h264, SWITCH_SEEDS;
        s6_a_burst_of_loss_is_repaired_without_a_keyframe = "S6" => scenarios_path::s6, SEEDS;
        one_encoding_pauses_where_it_does_not_fit_and_nowhere_else = "one encoding" => scenarios_path::plain, SEEDS;
        s9_a_path_that_carries_hardly_anything_carries_sound = "S9" => scenarios_path::s9, SEEDS;
        s10_a_crowd_of_joiners_costs_few_keyframes = "S10" => scenarios_room::s10, SEEDS;
        s1_a_path_that_dips_to_a_tenth_is_followed_down_and_up = "S1" => scenarios_path::s1, SEEDS;
        s2_who_joins_sees_something_soon_and_its_size_soon_after = "S2" => scenarios_room::s2, SEEDS;
        s3_a_capacity_that_changes_is_used = "S3" => scenarios_path::s3, SEEDS;
        s4_two_share_a_path_that_changes = "S4" => scenarios_path::s4, SEEDS;
        s4_who_comes_later_gets_a_share = "S4 late" => scenarios_path::s4_late, SEEDS;
        s8_who_pins_a_small_picture_has_a_large_one_soon = "S8" => scenarios_path::s8, SEEDS;
    }
    in_preparation: {
        "slot clock" => scenarios_room::slot_clock, SEEDS;
    }
}

/// With `SCENARIO=S1` in the environment only those whose name has that first word run, over all
/// their seeds.
#[test]
fn scenarios_in_preparation_are_printed_and_not_asserted() {
    println!("asserted elsewhere: {READY:?}");
    let only = std::env::var("SCENARIO").ok();
    for &(id, scenario, seeds) in IN_PREPARATION {
        match &only {
            Some(only) if id.split(' ').next() != Some(only) => {}
            Some(_) => drop(run(id, scenario, seeds)),
            None => drop(run(id, scenario, 1)),
        }
    }
}
