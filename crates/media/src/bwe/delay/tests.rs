//! Table tests of the parts of the delay-based half.

use std::time::Duration;

use super::aimd::{Aimd, Trend};
use super::inter_arrival::{Delta, InterArrival};
use super::link_capacity::LinkCapacity;
use super::rivals::Rivals;
use super::standing::StandingQueue;
use super::trendline::Trendline;
use super::{DelayContext, DelayHalf, Usage};
use crate::bwe::acked::Recent;
use crate::bwe::sent_log::Report;
use crate::moment::Moment;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn context(acked: f64) -> DelayContext {
    DelayContext {
        acked: Some(acked),
        recent: None,
        rtt: ms(100),
        limited: false,
        lost: false,
        max: 20e6,
        probing: false,
    }
}

/// Gives (sent, arrival) in milliseconds; returns the deltas as (send, arrival).
fn deltas(packets: &[(i64, i64)]) -> Vec<(f64, f64)> {
    let now = Moment::ORIGIN;
    let mut groups = InterArrival::default();
    let told = packets.iter().filter_map(|&(sent, arrival)| groups.handle_packet(now, sent * 1000, arrival * 1000, 0));
    told.map(|delta| (delta.send_ms, delta.arrival_ms)).collect()
}

#[test]
fn packets_that_leave_within_five_milliseconds_are_one_group() {
    let packets = [(0, 20), (5, 26), (20, 40), (25, 50), (40, 60), (60, 80)];
    assert_eq!(deltas(&packets), [(20.0, 24.0), (15.0, 10.0)], "the last of each group count");
}

#[test]
fn packets_that_were_held_back_and_arrive_together_are_one_group() {
    let packets = [(0, 20), (20, 90), (40, 91), (60, 92), (80, 100), (100, 120)];
    assert_eq!(deltas(&packets)[0], (60.0, 72.0), "the burst ends at 60, when it has caught up");
}

#[test]
fn groups_out_of_order_tell_nothing_and_three_of_them_begin_anew() {
    assert!(deltas(&[(0, 100), (20, 80), (40, 60)]).is_empty());
    let packets = [(0, 500), (20, 400), (40, 300), (60, 200), (80, 220), (100, 240), (120, 260), (140, 280)];
    assert_eq!(deltas(&packets), [(20.0, 20.0)]);
}

#[test]
fn a_jump_of_the_receivers_clock_begins_anew() {
    let packets = [(0, 20), (20, 40), (40, 10_060), (60, 10_080), (80, 10_100), (100, 10_120)];
    assert!(deltas(&packets).iter().all(|delta| delta.1 < 100.0), "{:?}", deltas(&packets));
}

/// What the trendline says to groups each 20 ms, each of which comes `later` milliseconds later than the one before.
fn trend(later: impl Fn(usize) -> f64, groups: usize) -> Vec<Usage> {
    let mut line = Trendline::default();
    let mut at_ms = 0.0;
    (0..groups)
        .map(|group| {
            let arrival_ms = 20.0 + later(group);
            at_ms += arrival_ms;
            line.handle_delta(&Delta {
                send_ms: 20.0,
                arrival_ms,
                caught_up_ms: 0.0,
                at_ms,
                delay_ms: 0.0,
                expected_ms: 0.0,
            })
        })
        .collect()
}

#[test]
fn a_delay_that_climbs_is_overuse_and_one_that_falls_is_underuse() {
    assert!(trend(|_| 0.0, 100).iter().all(|&usage| usage == Usage::Normal));
    assert!(trend(|_| 4.0, 60).contains(&Usage::Overuse));
    assert!(trend(|_| -4.0, 60).contains(&Usage::Underuse));
    assert!(!trend(|_| 4.0, 19).contains(&Usage::Overuse), "nothing is said before the window is full");
    let wobbles = trend(|group| if group % 2 == 0 { 3.0 } else { -3.0 }, 300);
    assert!(wobbles.iter().all(|&usage| usage == Usage::Normal), "jitter around a level is no trend");
}

/// Feeds groups each 20 ms with these delays.
fn standing(delays: impl IntoIterator<Item = f64>, expected_ms: f64) -> StandingQueue {
    let mut queue = StandingQueue::default();
    let mut last = None;
    for (group, delay_ms) in delays.into_iter().enumerate() {
        let arrival_ms = 20.0 + delay_ms - last.unwrap_or(delay_ms);
        last = Some(delay_ms);
        let at_ms = group as f64 * 20.0 + delay_ms;
        let caught_up_ms = 20.0 - arrival_ms;
        queue.handle_group(&Delta { send_ms: 20.0, arrival_ms, caught_up_ms, at_ms, delay_ms, expected_ms });
    }
    queue
}

#[test]
fn a_queue_holds_every_group_back_and_jitter_does_not() {
    let level = || std::iter::repeat_n(50.0, 50);
    assert!(!standing(level(), 0.0).is_confirmed());
    assert!(standing(level().chain([80.0; 10]), 0.0).is_confirmed());
    assert_eq!(standing(level().chain([80.0; 10]), 0.0).queue(), ms(30));
    let wobbles = level().chain((0..40).map(|group| if group % 3 == 0 { 50.0 } else { 110.0 }));
    assert!(!standing(wobbles, 0.0).is_confirmed(), "every third was not late");
}

#[test]
fn a_queue_that_is_ours_by_intent_is_no_overuse_but_is_no_calm_either() {
    let mut queue = standing([50.0; 50], 0.0);
    for group in 50..60_u32 {
        let at_ms = f64::from(group) * 20.0 + 80.0;
        queue.handle_group(&Delta {
            send_ms: 20.0,
            arrival_ms: 20.0,
            caught_up_ms: 0.0,
            at_ms,
            delay_ms: 80.0,
            expected_ms: 30.0,
        });
    }
    assert!(!queue.is_confirmed() && queue.is_queueing());
}

#[test]
fn a_queue_that_stays_full_is_deep_until_it_has_stood_for_two_spans() {
    assert!(standing([50.0; 50].into_iter().chain([250.0; 10]), 0.0).is_deep());
    let for_ever = [50.0; 50].into_iter().chain(std::iter::repeat_n(250.0, 1_100));
    assert!(!standing(for_ever, 0.0).is_deep(), "after 20 s it counts as the path's own delay");
}

#[test]
fn the_least_delay_is_not_forgotten_while_it_is_held() {
    let mut queue = standing([50.0; 50], 0.0);
    queue.hold_base(true);
    for group in 50..2_000_u32 {
        let at_ms = f64::from(group) * 20.0;
        queue.handle_group(&Delta {
            send_ms: 20.0,
            arrival_ms: 20.0,
            caught_up_ms: 0.0,
            at_ms,
            delay_ms: 250.0,
            expected_ms: 0.0,
        });
    }
    assert_eq!(queue.queue(), ms(200));
}

/// Gives a queue and what arrives each 50 ms; returns when others were found out, in milliseconds, and the rate then.
fn found_out(rivals: &mut Rivals, start: Moment, told: &[(u64, f64)]) -> Option<(u64, f64)> {
    let mut steps = told.iter().zip(0_u64..);
    steps.find_map(|(&(queue_ms, bps), step)| {
        let recent = Some(Recent { bps, slowed: 1.0 });
        Some((step * 50, rivals.handle_queue(start + ms(step * 50), ms(queue_ms), || recent)?))
    })
}

#[test]
fn a_queue_that_stays_while_less_and_less_of_ours_arrives_is_somebody_elses() {
    let start = Moment::ORIGIN;
    let told: Vec<(u64, f64)> = (0..60).map(|step| (250, 1e6 * 0.95_f64.powi(step))).collect();
    let mut rivals = Rivals::default();
    let (at, bps) = found_out(&mut rivals, start, &told).unwrap();
    assert!((1_500..2_500).contains(&at) && (bps - 0.5 * 1e6 * 0.95_f64.powi(5)).abs() < 1.0, "{at} {bps}");
    assert!(rivals.are_there());
    // TCP makes room after a loss; who is gone leaves no queue.
    let later = start + ms(10_000);
    found_out(&mut rivals, later, &[(20, 500e3); 20]);
    found_out(&mut rivals, later + ms(1_000), &[(200, 500e3); 20]);
    assert!(rivals.are_there());
    found_out(&mut rivals, later + ms(2_000), &[(20, 500e3); 32]);
    assert!(!rivals.are_there());
}

#[test]
fn a_lone_flows_queue_gives_what_the_path_carries_and_is_not_somebody_elses() {
    let start = Moment::ORIGIN;
    // The path falls to a third when the queue begins; afterwards less is sent, but it is the queue that arrives.
    let fell: Vec<(u64, f64)> = (0..150).map(|step| (250, if step < 4 { 1e6 } else { 300e3 })).collect();
    assert_eq!(found_out(&mut Rivals::default(), start, &fell), None);
    // It is drained, and less arrives while there is none.
    let drained: Vec<(u64, f64)> = (0..400).map(|step| if step % 60 < 20 { (100, 300e3) } else { (0, 90e3) }).collect();
    assert_eq!(found_out(&mut Rivals::default(), start, &drained), None);
}

#[test]
fn others_are_believed_in_for_a_minute() {
    let start = Moment::ORIGIN;
    let told: Vec<(u64, f64)> = (0..60).map(|step| (250, 1e6 * 0.95_f64.powi(step))).collect();
    let mut rivals = Rivals::default();
    found_out(&mut rivals, start, &told).unwrap();
    found_out(&mut rivals, start + ms(50_000), &[(250, 400e3)]);
    assert!(rivals.are_there());
    found_out(&mut rivals, start + ms(63_000), &[(250, 400e3)]);
    assert!(!rivals.are_there(), "a longer path looks the same");
}

#[test]
fn beside_others_the_rate_follows_losses_once_a_round_trip() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 1e6, 30e3);
    let lost = DelayContext { lost: true, ..context(900e3) };
    aimd.update_beside(start, &lost);
    aimd.update_beside(start + ms(50), &lost);
    assert!((aimd.rate() - 920e3).abs() < 1.0, "{}", aimd.rate());
    aimd.update_beside(start + ms(100), &lost);
    assert!((aimd.rate() - 846.4e3).abs() < 1.0, "{}", aimd.rate());
    aimd.update_beside(start + ms(600), &context(900e3));
    assert!((aimd.rate() - 971.4e3).abs() < 1.0, "a quarter of a megabit more each second: {}", aimd.rate());
    (0..60).for_each(|at| aimd.update_beside(start + ms(1_000 + at * 500), &context(400e3)));
    assert!((aimd.rate() - 971.4e3).abs() < 1.0, "no further than 2.2 times what arrives: {}", aimd.rate());
}

#[test]
fn link_capacity_takes_probes_sooner_than_overuse_and_notices_another_path() {
    let mut capacity = LinkCapacity::default();
    assert!(!capacity.is_above(f64::MAX) && !capacity.is_below(0.0), "nothing is known");
    capacity.handle_overuse(1e6);
    capacity.handle_overuse(1.1e6);
    assert!((capacity.estimate().unwrap() - 1.005e6).abs() < 1.0);
    capacity.handle_probe(1.1e6);
    assert!((capacity.estimate().unwrap() - 1.0525e6).abs() < 1.0);
    assert!(!capacity.is_above(1.1e6) && !capacity.is_below(1.0e6));
    assert!(capacity.is_above(1.3e6) && capacity.is_below(0.8e6));
}

/// A rate after `millis` of [`Usage::Normal`], updated each 50 ms.
fn grown(aimd: &mut Aimd, from: Moment, millis: u64, context: &DelayContext) -> f64 {
    (0..=millis / 50).for_each(|tick| aimd.update(from + ms(tick * 50), Usage::Normal, context));
    aimd.rate()
}

#[test]
fn far_from_capacity_the_rate_grows_by_eight_percent_a_second() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 1e6, 30e3);
    let rate = grown(&mut aimd, start, 1_000, &context(1e6));
    assert!((rate - 1.08e6).abs() < 5e3, "{rate}");
}

#[test]
fn the_rate_grows_neither_untested_nor_past_what_arrives_nor_past_the_maximum() {
    let start = Moment::ORIGIN;
    for (case, expected) in [
        (DelayContext { limited: true, ..context(1e6) }, 1e6),
        (DelayContext { acked: None, ..context(0.0) }, 1e6),
        (context(800e3), 1.5 * 800e3 + 10e3),
        (DelayContext { max: 1.05e6, ..context(1e6) }, 1.05e6),
    ] {
        let rate = grown(&mut Aimd::new(start, 1e6, 30e3), start, 20_000, &case);
        assert!((rate - expected).abs() < 1.0, "{case:?}: {rate}");
    }
}

#[test]
fn near_capacity_the_rate_grows_by_about_a_packet_a_response() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 1e6, 30e3);
    aimd.update(start, Usage::Overuse, &context(1e6));
    let cut = aimd.rate();
    assert!((cut - 845e3).abs() < 1.0, "0.85 of what arrives, less 5 kbit/s: {cut}");
    assert_eq!(aimd.trend(), Trend::Decrease);
    let grown = grown(&mut aimd, start + ms(50), 1_000, &context(1e6)) - cut;
    assert!((15e3..30e3).contains(&grown), "{grown}");
}

#[test]
fn a_cut_waits_for_the_last_to_show_unless_far_less_arrives() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 1e6, 30e3);
    aimd.update(start, Usage::Overuse, &context(1e6));
    aimd.update(start + ms(99), Usage::Overuse, &context(700e3));
    assert!((aimd.rate() - 845e3).abs() < 1.0, "within a round trip");
    aimd.update(start + ms(99), Usage::Overuse, &context(300e3));
    assert!((aimd.rate() - 250e3).abs() < 1.0, "less than half of it arrives");
    aimd.update(start + ms(199), Usage::Overuse, &context(0.0));
    assert!((aimd.rate() - 30e3).abs() < 1.0, "never below the least");
}

#[test]
fn a_cut_takes_what_just_arrived_rather_than_the_average() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 2e6, 30e3);
    // A rung was taken 150 ms ago: on average much less arrived.
    aimd.update(
        start,
        Usage::Overuse,
        &DelayContext { recent: Some(Recent { bps: 1e6, slowed: 1.0 }), ..context(400e3) },
    );
    assert!((aimd.rate() - 845e3).abs() < 1.0, "{}", aimd.rate());
}

#[test]
fn a_cut_between_two_pictures_takes_the_average_as_much_less_as_packets_were_held_up() {
    let start = Moment::ORIGIN;
    // Since the last picture there was only sound: that is not what the path carries.
    let sound = |slowed| DelayContext { recent: Some(Recent { bps: 40e3, slowed }), ..context(200e3) };
    let mut aimd = Aimd::new(start, 400e3, 30e3);
    aimd.update(start, Usage::Overuse, &sound(0.9));
    assert!((aimd.rate() - (0.85 * 180e3 - 5e3)).abs() < 1.0, "{}", aimd.rate());
    // What arrived on average before the last cut is no reason not to cut again.
    let mut aimd = Aimd::new(start, 100e3, 30e3);
    aimd.update(start, Usage::Overuse, &sound(1.0));
    assert!((aimd.rate() - 80e3).abs() < 1.0, "{}", aimd.rate());
}

#[test]
fn a_probe_that_filled_the_path_bounds_growth_for_a_while() {
    let start = Moment::ORIGIN;
    let mut aimd = Aimd::new(start, 1e6, 30e3);
    aimd.handle_probe(start, 1.1e6, true, Some(1e6));
    let rate = grown(&mut aimd, start, 14_000, &context(1e6));
    assert!(rate <= 1.1e6, "{rate}");
    assert!(grown(&mut aimd, start + ms(15_000), 30_000, &context(1e6)) > 1.1e6);
}

#[test]
fn a_rate_that_less_is_sent_than_arrives_is_wrong_unless_something_queues() {
    let start = Moment::ORIGIN;
    for (late, refuted) in [(0, true), (3_000, false)] {
        let mut half = DelayHalf::new(start, 1e6, 30e3);
        for at in 0..300_i64 {
            let (sent, arrival) = (at * 5_000, at * 5_000 + at * late);
            let (probe, expected_ms, recovered) = (None, 0, false);
            let (sequence, arrival_micros) = (at.unsigned_abs(), Some(arrival));
            let report =
                Report { sequence, sent_micros: sent, arrival_micros, size: 1200, probe, expected_ms, recovered };
            let recent = Some(Recent { bps: 1.6e6, slowed: 1.0 });
            half.handle_received(start + ms(sequence * 5), &[report], &context(1.5e6), || recent);
        }
        assert_eq!(half.rate() > 1.5e6, refuted, "{}", half.rate());
    }
}

#[test]
fn jitter_without_a_queue_leaves_the_rate_alone_and_a_queue_cuts_it() {
    let start = Moment::ORIGIN;
    let run = |delay: &dyn Fn(i64) -> i64| {
        let mut half = DelayHalf::new(start, 1e6, 30e3);
        let mut least = f64::INFINITY;
        for group in 0..400_i64 {
            let (sent, arrival) = (group * 20_000, group * 20_000 + delay(group));
            let sequence = group.unsigned_abs();
            let (probe, expected_ms, recovered) = (None, 0, false);
            let arrival_micros = Some(arrival);
            let report =
                Report { sequence, sent_micros: sent, arrival_micros, size: 1200, probe, expected_ms, recovered };
            half.handle_received(start + ms(sequence * 20), &[report], &context(1e6), || None);
            least = least.min(half.rate());
        }
        least
    };
    let jitter = |group: i64| 60_000 + (group * 7_919 % 13) * 1_000;
    assert!(run(&jitter) >= 1e6);
    let queue = |group: i64| 60_000 + (group - 200).clamp(0, 60) * 4_000;
    assert!(run(&queue) < 0.9e6);
}
