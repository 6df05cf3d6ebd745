//! Table tests of the allocator and of the meter of costs.

use std::time::Duration;

use super::{Allocator, Budget, Cause, Choice, Class, Hints, Rung, Track};
use crate::bwe::{Bitrate, Demand};
use crate::moment::Moment;

const fn kbps(kbps: u64) -> Bitrate {
    Bitrate::kbps(kbps)
}

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

/// Three layers of three temporal layers, as Chromium sends them, received for a minute.
fn ladder(start: Moment) -> Vec<Rung> {
    let mut ladder = Vec::new();
    for (spatial, cost, height) in [(0, 148.0, 180), (1, 355.0, 360), (2, 1175.0, 720)] {
        for (temporal, share, fps) in [(0, 0.4, 7.5), (1, 0.6, 15.0), (2, 1.0, 30.0)] {
            let cost = Bitrate::from_f64(cost * share * 1e3);
            ladder.push(Rung { spatial, temporal, cost, height, fps, alive: Some(start - secs(60.0)) });
        }
    }
    ladder.sort_by_key(|rung| rung.cost);
    ladder
}

fn budget(target: u64) -> Budget {
    Budget {
        target: kbps(target),
        proven: true,
        probed: None,
        audio_slots: 1,
        red: false,
        retransmissions: Bitrate::ZERO,
        congested: false,
        settled: true,
    }
}

/// Allocates for tracks with the same ladder.
struct Stage {
    start: Moment,
    allocator: Allocator,
    ladder: Vec<Rung>,
    tracks: Vec<(Class, Hints)>,
    choices: Vec<Choice>,
    demand: Demand,
}

impl Stage {
    fn new(tracks: Vec<(Class, Hints)>) -> Self {
        let start = Moment::ORIGIN + secs(100.0);
        let (choices, demand) = (Vec::new(), Demand::default());
        Self { start, allocator: Allocator::new(), ladder: ladder(start), tracks, choices, demand }
    }

    fn cameras(count: usize) -> Self {
        Self::new(vec![(Class::Other, Hints::default()); count])
    }

    /// The (spatial, temporal) of each track, after `at` seconds.
    fn at(&mut self, at: f64, budget: &Budget) -> Vec<Option<(u8, u8)>> {
        let tracks: Vec<Track<'_>> = (0_u32..)
            .zip(&self.tracks)
            .map(|(key, &(class, hints))| Track { key, rungs: &self.ladder, hints, class, spoke: 0 })
            .collect();
        self.demand = self.allocator.allocate(self.start + secs(at), budget, &tracks, &mut self.choices);
        let layers = |rung: usize| (self.ladder[rung].spatial, self.ladder[rung].temporal);
        self.choices.iter().map(|choice| choice.rung.map(layers)).collect()
    }

    fn cause(&self) -> Cause {
        self.choices[0].cause
    }
}

#[test]
fn one_camera_gets_the_best_rung_that_fits() {
    for (target, expected) in [
        (5000, Some((2, 2))),
        (1400, Some((2, 2))),
        (1000, Some((2, 1))),
        (500, Some((1, 2))),
        (300, Some((1, 1))),
        (220, Some((0, 2))),
        (130, Some((0, 0))),
        (110, Some((0, 0))),
        (60, None),
    ] {
        assert_eq!(Stage::cameras(1).at(0.0, &budget(target)), [expected], "{target} kbit/s");
    }
}

#[test]
fn before_the_target_is_proven_each_track_gets_its_lowest_layer_at_most() {
    let guess = |target| Budget { proven: false, ..budget(target) };
    assert_eq!(Stage::cameras(3).at(0.0, &guess(5000)), [Some((0, 2)); 3]);
    assert_eq!(
        Stage::cameras(3).at(0.0, &guess(1000)),
        [Some((0, 1)); 3],
        "267 of 273 kbit/s, three tenths of the guess"
    );
    assert_eq!(Stage::cameras(10).at(0.0, &guess(1000)), [Some((0, 0)); 10]);
}

#[test]
fn every_track_gets_its_lowest_rung_before_any_gets_more() {
    let chosen = Stage::cameras(4).at(0.0, &budget(320));
    assert_eq!(chosen, [Some((0, 0)); 4]);
    let chosen = Stage::cameras(4).at(0.0, &budget(200));
    assert_eq!(chosen, [Some((0, 0)), Some((0, 0)), None, None], "the last go without");
}

#[test]
fn classes_and_priorities_order_who_goes_without_and_who_gets_more() {
    let hints = Hints::default();
    let mut stage = Stage::new(vec![(Class::Other, hints), (Class::Dominant, hints)]);
    assert_eq!(stage.at(0.0, &budget(150)), [None, Some((0, 1))]);
    let mut stage = Stage::new(vec![(Class::Other, hints), (Class::Dominant, hints)]);
    let chosen = stage.at(0.0, &budget(400));
    assert!(chosen[1] > chosen[0], "{chosen:?}");
    let high = Hints { priority: 255, ..hints };
    let mut stage = Stage::new(vec![(Class::Other, hints), (Class::Other, high)]);
    assert_eq!(stage.at(0.0, &budget(150)), [None, Some((0, 1))]);
    let pinned = Hints { pinned: true, ..hints };
    let mut stage = Stage::new(vec![(Class::Dominant, hints), (Class::Other, pinned)]);
    assert_eq!(stage.at(0.0, &budget(150)), [None, Some((0, 1))], "pinned counts as a screen");
}

#[test]
fn the_viewport_policy_and_the_wish_for_pictures_bound_what_is_useful() {
    let hints = Hints::default();
    for (hints, expected) in [
        (Hints { height: 720, ..hints }, Some((2, 2))),
        (Hints { height: 361, ..hints }, Some((1, 2))),
        (Hints { height: 423, ..hints }, Some((1, 2))),
        (Hints { height: 430, ..hints }, Some((2, 2))),
        (Hints { height: 90, ..hints }, Some((0, 2))),
        (Hints { height: 2160, ..hints }, Some((2, 2))),
        (Hints { max_height: 400, ..hints }, Some((1, 2))),
        (Hints { max_height: 100, ..hints }, None),
        (Hints { max_fps: 15, ..hints }, Some((2, 1))),
        (Hints { max_fps: 10, ..hints }, Some((2, 1))),
        (Hints { visible: false, ..hints }, None),
    ] {
        let mut stage = Stage::new(vec![(Class::Other, hints)]);
        assert_eq!(stage.at(0.0, &budget(5000)), [expected], "{hints:?}");
    }
}

#[test]
fn a_screen_is_rather_sharp_than_smooth() {
    let hints = Hints::default();
    let chosen = |class| Stage::new(vec![(class, hints)]).at(0.0, &budget(600))[0];
    assert_eq!(chosen(Class::Other), Some((1, 2)), "of a camera 360 lines at 30 pictures");
    assert_eq!(chosen(Class::Screen), Some((2, 0)), "of a screen all its lines");
}

#[test]
fn a_rung_that_no_longer_fits_is_left_at_once_and_taken_again_with_room_to_spare_only() {
    let mut stage = Stage::cameras(1);
    assert_eq!(stage.at(0.0, &budget(1400)), [Some((2, 2))]);
    assert_eq!(stage.at(20.0, &budget(1220)), [Some((2, 2))], "1215 are used");
    assert_eq!(stage.cause(), Cause::Kept);
    assert_eq!(stage.at(20.1, &budget(1210)), [Some((2, 1))]);
    assert_eq!(stage.cause(), Cause::Squeezed);
    assert_eq!(stage.at(22.0, &budget(1400)), [Some((2, 1))], "it is held for two seconds");
    assert_eq!(stage.at(22.2, &budget(1320)), [Some((2, 1))], "1.10 times 1215 are 1337");
    assert_eq!(stage.at(22.3, &budget(1340)), [Some((2, 2))]);
    assert_eq!(stage.cause(), Cause::Room);
}

#[test]
fn a_probe_stands_for_room_to_spare() {
    let mut stage = Stage::cameras(1);
    stage.at(0.0, &budget(1000));
    assert_eq!(stage.at(5.0, &budget(1300)), [Some((2, 1))]);
    assert_eq!(stage.at(5.1, &Budget { probed: Some(kbps(1300)), ..budget(1300) }), [Some((2, 2))]);
}

/// Seconds after a step down, to the tenth, until the step up that is possible then is taken.
fn held(low: u64, high: u64) -> f64 {
    let mut stage = Stage::cameras(1);
    let before = stage.at(0.0, &budget(high));
    assert_ne!(stage.at(20.0, &budget(low)), before);
    let back = (1..100).find(|tenths| stage.at(20.0 + f64::from(*tenths) / 10.0, &budget(high)) == before);
    f64::from(back.unwrap()) / 10.0
}

#[test]
fn who_has_little_goes_up_again_sooner_than_who_has_much() {
    assert!((held(220, 300) - 1.5).abs() < 0.01, "65 kbit/s: {}", held(220, 300));
    assert!((held(420, 1000) - 1.8).abs() < 0.01, "350 kbit/s: {}", held(420, 1000));
}

#[test]
fn who_relapses_is_held_twice_as_long_each_time() {
    let mut stage = Stage::cameras(1);
    let (plenty, little) = (budget(1400), budget(420));
    stage.at(0.0, &plenty);
    let (mut at, mut holds) = (1.0, Vec::new());
    for _ in 0..6 {
        assert_eq!(stage.at(at, &little), [Some((1, 2))]);
        let down = at;
        while stage.at(at, &budget(900)) != [Some((2, 1))] {
            at += 0.1;
        }
        holds.push((at - down).round() as u32);
        at += 0.5;
    }
    assert_eq!(holds, [4, 7, 14, 26, 26, 26], "of 350 kbit/s, where 400 wait 4, 8, 16 and 30 seconds");
    stage.at(at, &little);
    stage.at(at + 31.0, &plenty);
    let calm = at + 120.0;
    stage.at(calm, &little);
    assert_eq!(stage.at(calm + 2.4, &budget(900)), [Some((2, 1))], "after a calm minute it starts anew");
}

#[test]
fn more_pictures_of_the_same_layer_are_tried_after_two_seconds() {
    let mut stage = Stage::cameras(1);
    stage.at(0.0, &budget(1400));
    for round in 1..5 {
        let at = f64::from(round) * 3.0;
        assert_eq!(stage.at(at, &budget(1100)), [Some((2, 1))]);
        assert_eq!(stage.at(at + 1.9, &budget(1400)), [Some((2, 1))]);
        assert_eq!(stage.at(at + 2.0, &budget(1400)), [Some((2, 2))]);
    }
}

#[test]
fn fewer_pictures_come_before_a_smaller_one_for_five_seconds() {
    let mut stage = Stage::cameras(1);
    assert_eq!(stage.at(0.0, &budget(300)), [Some((1, 1))]);
    assert_eq!(stage.at(1.0, &budget(230)), [Some((1, 0))], "though 148 kbit/s for a smaller and smoother one fit");
    assert_eq!(stage.at(5.9, &budget(230)), [Some((1, 0))]);
    assert_eq!(stage.at(6.0, &budget(230)), [Some((0, 2))]);
}

#[test]
fn who_must_go_down_lands_where_the_whole_layer_fits() {
    let mut stage = Stage::cameras(1);
    assert_eq!(stage.at(0.0, &budget(1400)), [Some((2, 2))]);
    assert_eq!(stage.at(1.0, &budget(280)), [Some((0, 2))], "213 of 226 kbit/s fit, but a keyframe of 355 does not");
}

#[test]
fn no_larger_picture_is_begun_while_something_waits() {
    let mut stage = Stage::cameras(1);
    assert_eq!(stage.at(0.0, &budget(250)), [Some((0, 2))]);
    let unsettled = Budget { settled: false, ..budget(500) };
    assert_eq!(stage.at(5.0, &unsettled), [Some((0, 2))]);
    assert!(!stage.allocator.is_due(stage.start + secs(5.1), &unsettled));
    assert!(stage.allocator.is_due(stage.start + secs(5.1), &budget(500)));
    assert_eq!(stage.at(5.1, &budget(500)), [Some((1, 2))]);
}

#[test]
fn on_a_path_of_twice_the_rate_the_long_hold_is_void() {
    let mut stage = Stage::cameras(1);
    for at in [0.0, 6.0] {
        stage.at(at, &budget(1400));
        stage.at(at + 0.5, &budget(420));
    }
    assert_eq!(stage.at(9.0, &budget(1400)), [Some((1, 2))]);
    assert_eq!(stage.at(9.0, &budget(3000)), [Some((2, 1))]);
}

#[test]
fn who_begins_to_speak_does_not_wait_for_what_went_wrong_before() {
    let mut stage = Stage::cameras(1);
    stage.at(0.0, &budget(1400));
    stage.at(1.0, &budget(1100));
    stage.tracks[0].0 = Class::Dominant;
    assert_eq!(stage.at(1.1, &budget(1400)), [Some((2, 2))]);
}

#[test]
fn a_track_moves_to_higher_layers_once_a_second_at_most() {
    let mut stage = Stage::cameras(1);
    stage.at(0.0, &budget(220));
    assert_eq!(stage.at(0.5, &budget(300)), [Some((1, 1))]);
    assert_eq!(stage.at(1.4, &budget(2000)), [Some((1, 2))], "pictures may come sooner than lines");
    assert_eq!(stage.at(1.5, &budget(2000)), [Some((2, 2))]);
}

#[test]
fn a_layer_counts_once_it_is_received_and_is_believed_after_half_a_second() {
    let mut stage = Stage::cameras(1);
    let top = |stage: &mut Stage, alive: Option<Moment>| {
        stage.ladder.iter_mut().filter(|rung| rung.spatial == 2).for_each(|rung| rung.alive = alive);
    };
    top(&mut stage, None);
    assert_eq!(stage.at(0.0, &budget(5000)), [Some((1, 2))]);
    let begun = stage.start + secs(5.0);
    top(&mut stage, Some(begun));
    assert_eq!(stage.at(5.4, &budget(5000)), [Some((1, 2))]);
    assert_eq!(stage.at(5.5, &budget(5000)), [Some((2, 2))]);
    top(&mut stage, None);
    assert_eq!(stage.at(6.0, &budget(5000)), [Some((1, 2))]);
    assert_eq!(stage.cause(), Cause::Gone);
}

#[test]
fn a_smaller_viewport_is_a_wish_and_no_step_down_is_held_against_it() {
    let mut stage = Stage::cameras(1);
    stage.at(0.0, &budget(1400));
    stage.tracks[0].1.height = 180;
    assert_eq!(stage.at(1.0, &budget(1400)), [Some((0, 2))]);
    assert_eq!(stage.cause(), Cause::Wish);
    stage.tracks[0].1.height = 720;
    assert_eq!(stage.at(2.1, &budget(1400)), [Some((2, 2))]);
}

#[test]
fn a_pacer_whose_queue_is_too_long_takes_a_step_from_each() {
    let mut stage = Stage::cameras(2);
    assert_eq!(stage.at(0.0, &budget(5000)), [Some((2, 2)); 2]);
    let chosen = stage.at(0.1, &Budget { congested: true, ..budget(5000) });
    assert!(chosen.iter().all(|layers| *layers < Some((2, 2))), "{chosen:?}");
}

#[test]
fn the_source_on_stage_may_cost_a_little_more_than_fits() {
    // 59.2 of video and 40 of audio: 0.95 times 94 is short of 99.2.
    let chosen = |count: usize| Stage::cameras(count).at(0.0, &budget(94));
    assert_eq!(chosen(1), [Some((0, 0))]);
    assert_eq!(chosen(2), [Some((0, 0)), None], "but only the first");
    assert_eq!(Stage::cameras(1).at(0.0, &budget(70)), [None]);
}

#[test]
fn what_was_paused_comes_back_with_more_room_and_is_held_for_eight_seconds_at_most() {
    let mut stage = Stage::cameras(2);
    stage.at(0.0, &budget(200));
    for relapse in 0..6 {
        let at = 1.0 + f64::from(relapse) * 9.0;
        assert_eq!(stage.at(at, &budget(115))[1], None);
        assert_eq!(stage.at(at + 8.1, &budget(180))[1], None, "158 times 1.25 are 198");
        assert_eq!(stage.at(at + 8.2, &budget(200))[1], Some((0, 0)), "relapse {relapse}");
    }
}

#[test]
fn what_was_paused_comes_back_in_one_step_however_large() {
    let mut stage = Stage::cameras(1);
    stage.ladder.truncate(1);
    stage.ladder[0].cost = kbps(1_200);
    assert_eq!(stage.at(0.0, &budget(2_000)), [Some((0, 0))]);
    assert_eq!(stage.at(12.0, &budget(500)), [None]);
    assert_eq!(stage.at(13.9, &budget(2_000)), [None], "not sooner than others");
    assert_eq!(stage.at(14.1, &budget(2_000)), [Some((0, 0))], "though that is all at once");
}

#[test]
fn audio_redundancy_and_retransmissions_are_paid_first() {
    for (budget, expected) in [
        (Budget { audio_slots: 0, ..budget(250) }, Some((1, 1))),
        (budget(250), Some((0, 2))),
        (Budget { audio_slots: 2, red: true, ..budget(250) }, Some((0, 1))),
        (Budget { retransmissions: kbps(170), ..budget(250) }, None),
    ] {
        assert_eq!(Stage::cameras(1).at(0.0, &budget), [expected], "{budget:?}");
    }
}

#[test]
fn the_demand_names_the_cheapest_next_step_and_all_that_is_useful() {
    let mut stage = Stage::cameras(2);
    stage.at(0.0, &budget(600));
    assert_eq!(stage.demand.desired, kbps(40 + 2 * 1175));
    assert!(stage.demand.next.is_some_and(|next| next > stage.demand.used), "{:?}", stage.demand);
    stage.at(10.0, &budget(9000));
    assert_eq!(stage.demand, Demand { used: kbps(2390), next: None, desired: kbps(2390) });
    stage.tracks.iter_mut().for_each(|track| track.1.visible = false);
    stage.at(20.0, &budget(9000));
    assert_eq!(stage.demand, Demand { used: kbps(40), next: None, desired: kbps(40) });
}

#[test]
fn a_look_is_due_when_the_budget_moved_and_else_each_second() {
    let mut stage = Stage::cameras(1);
    assert!(stage.allocator.is_due(stage.start, &budget(1000)));
    stage.at(0.0, &budget(1000));
    let now = stage.start + secs(0.5);
    for (budget, due) in [
        (budget(1000), false),
        (budget(951), false),
        (budget(949), true),
        (budget(1099), false),
        (budget(1101), true),
        (Budget { congested: true, ..budget(1000) }, true),
        (Budget { probed: Some(kbps(1000)), ..budget(1000) }, true),
    ] {
        assert_eq!(stage.allocator.is_due(now, &budget), due, "{budget:?}");
    }
    assert!(stage.allocator.is_due(stage.start + secs(1.0), &budget(1000)));
}

#[test]
fn tracks_that_go_are_forgotten_and_nonsense_does_no_harm() {
    let mut stage = Stage::cameras(50);
    stage.at(0.0, &budget(20_000));
    stage.tracks.truncate(1);
    stage.at(1.0, &budget(20_000));
    assert_eq!(stage.allocator.memory.len(), 1);
    let mut odd = stage.ladder[0];
    (odd.cost, odd.fps, odd.height) = (Bitrate::bps(u64::MAX), f32::NAN, 0);
    stage.ladder.push(odd);
    stage.at(2.0, &Budget { retransmissions: Bitrate::bps(u64::MAX), audio_slots: u16::MAX, ..budget(0) });
    assert_eq!(stage.choices[0].rung, None);
    stage.tracks.clear();
    assert!(stage.at(3.0, &budget(1000)).is_empty());
}
