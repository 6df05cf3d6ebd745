//! Table tests of what is probed, and of what a probe is taken to tell.

use std::time::Duration;

use super::meter::Meter;
use super::result::ProbeResult;
use super::{Demand, ProbeCause, ProbeCluster, ProbeContext, ProbeControl, ProbeId, ProbeOutcome};
use crate::bwe::sent_log::Report;
use crate::bwe::{Bitrate, SentPacket};
use crate::moment::Moment;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn kbps(kbps: u64) -> Bitrate {
    Bitrate::kbps(kbps)
}

const CLUSTER: ProbeCluster =
    ProbeCluster { id: ProbeId::FIRST, rate: kbps(960), min_packets: 10, min_bytes: 12_000, cause: ProbeCause::Rung };

fn report(id: ProbeId, sent: i64, arrival: Option<i64>) -> Report {
    let (expected_ms, recovered) = (0, false);
    Report {
        sequence: 0,
        sent_micros: sent,
        arrival_micros: arrival,
        size: 1200,
        probe: Some(id),
        expected_ms,
        recovered,
    }
}

/// What ten packets tell that leave each 10 ms, and arrive when `arrival` says; all in milliseconds.
fn outcome(arrival: impl Fn(i64) -> Option<i64>) -> ProbeOutcome {
    let mut result = ProbeResult::new(&CLUSTER);
    for packet in 0..10 {
        result.handle_sent(1200, Some(CLUSTER.id));
        result.handle_report(&report(CLUSTER.id, packet * 10_000, arrival(packet).map(|at| at * 1000)));
    }
    assert!(result.is_sent(&CLUSTER) && result.is_resolved());
    result.outcome()
}

fn carried(outcome: ProbeOutcome) -> f64 {
    let ProbeOutcome::Carried(bps) = outcome else { panic!("not carried: {outcome:?}") };
    bps
}

fn saturated(outcome: ProbeOutcome) -> f64 {
    let ProbeOutcome::Saturated(bps) = outcome else { panic!("not saturated: {outcome:?}") };
    bps
}

#[test]
fn a_probe_that_arrives_as_it_left_was_carried_and_one_that_spreads_was_not() {
    assert!((carried(outcome(|packet| Some(packet * 10 + 50))) - 960e3).abs() < 1.0);
    let slower = carried(outcome(|packet| Some(packet * 10 + packet / 2 + 50)));
    assert!((900e3..930e3).contains(&slower), "what it lags behind is taken off: {slower}");
    let half = saturated(outcome(|packet| Some(packet * 20 + 50)));
    assert!((half - 480e3 * 0.95).abs() < 1.0, "{half}");
}

#[test]
fn media_in_bursts_does_not_hide_that_the_path_is_full() {
    // Five packets at once, then one each 20 ms: the bytes of 960 kbit/s over a path of 640.
    let sent = [0, 0, 0, 0, 0, 50, 60, 70, 80, 90];
    let result = |micros: i64| {
        let mut result = ProbeResult::new(&CLUSTER);
        for (packet, at) in (0_i64..).zip(sent) {
            result.handle_sent(1200, Some(CLUSTER.id));
            result.handle_report(&report(CLUSTER.id, at * 1000, Some(50_000 + (packet + 1) * micros)));
        }
        result.outcome()
    };
    assert!(matches!(result(15_000), ProbeOutcome::Saturated(_)));
    assert!(matches!(result(10_000), ProbeOutcome::Carried(_)));
}

#[test]
fn losses_mean_a_full_path_and_too_little_means_nothing() {
    saturated(outcome(|packet| (packet % 3 > 0).then_some(packet * 10)));
    carried(outcome(|packet| (packet != 4).then_some(packet * 10)));
    for (void, why) in [
        (outcome(|packet| (packet < 3).then_some(packet * 10)), "three packets"),
        (outcome(|packet| Some(packet / 9)), "faster than it left"),
        (outcome(|packet| Some(packet * 200)), "longer than a second"),
        (outcome(|_| Some(i64::MAX / 4000)), "all at once"),
    ] {
        assert!(!matches!(void, ProbeOutcome::Carried(_)), "{why}: {void:?}");
    }
}

#[test]
fn a_probe_is_over_when_something_else_leaves_though_its_filler_was_smaller() {
    let mut result = ProbeResult::new(&CLUSTER);
    result.handle_sent(1200, None);
    assert!(!result.is_sent(&CLUSTER), "it has not begun");
    (0..10).for_each(|_| result.handle_sent(255, Some(CLUSTER.id)));
    assert!(!result.is_sent(&CLUSTER));
    result.handle_sent(1200, None);
    assert!(result.is_sent(&CLUSTER));
}

#[test]
fn filler_is_a_tenth_of_what_is_sent_but_one_probe_is_always_affordable() {
    let start = Moment::ORIGIN;
    let mut meter = Meter::new(start);
    let none = Bitrate::ZERO;
    assert!(meter.affords(start, 6_000.0, none) && !meter.affords(start, 6_001.0, none));
    assert!(meter.affords(start, 100_000.0, kbps(800)), "or of what could be sent");
    assert!(!meter.affords(start, 100_001.0, kbps(800)));
    (0..1000).for_each(|_| meter.handle_sent(start, 1000, false));
    assert!(meter.affords(start, 100_000.0, none) && !meter.affords(start, 100_001.0, none));
    (0..90).for_each(|_| meter.handle_sent(start, 1000, true));
    assert!(!meter.affords(start, 20_000.0, none));
    assert!(!meter.affords(start + ms(600_000), 6_001.0, none), "what was long ago does not count");
    assert!(meter.affords(start + ms(600_000), 5_900.0, none));
}

/// A controller that is asked each 5 ms, with a path that answers all or nothing.
struct Drive {
    start: Moment,
    control: ProbeControl,
    context: ProbeContext,
    asked: Vec<(u64, ProbeCause, u64)>,
}

impl Drive {
    fn new(estimate: Bitrate, demand: Demand) -> Self {
        let start = Moment::ORIGIN;
        let mut control = ProbeControl::new(start, kbps(1000));
        control.set_demand(demand);
        let context =
            ProbeContext { estimate, max: kbps(20_000), calm: true, limited: false, quiet: false, backlog: false };
        // Media enough that probes are affordable.
        (0..2000).for_each(|_| {
            control.handle_sent(start, &SentPacket { sequence: 0, size: 1200, probe: None, filler: false })
        });
        Self { start, control, context, asked: Vec::new() }
    }

    /// Runs from one millisecond to another; `capacity` in kbit/s answers 100 ms later.
    fn run(&mut self, from: u64, to: u64, capacity: u64) {
        for at in (from..to).step_by(5) {
            let now = self.start + ms(at);
            let Some(cluster) = self.control.poll(now, &self.context) else { continue };
            self.asked.push((at, cluster.cause, cluster.rate.as_bps() / 1000));
            let count = (cluster.min_bytes / 1200 + 1).max(u32::from(cluster.min_packets));
            let gap = 1200.0 * 8e6 / cluster.rate.as_f64();
            let slower = (cluster.rate.as_f64() / kbps(capacity).as_f64()).max(1.0);
            let packet = SentPacket { sequence: 0, size: 1200, probe: Some(cluster.id), filler: true };
            let reports: Vec<Report> = (0..count)
                .map(|number| {
                    self.control.handle_sent(now, &packet);
                    let sent = f64::from(number) * gap;
                    report(cluster.id, sent as i64, Some((sent * slower) as i64))
                })
                .collect();
            let (_, outcome) = self.control.handle_reports(now + ms(100), &reports).unwrap();
            if let ProbeOutcome::Carried(bps) = outcome {
                let before = self.context.estimate;
                self.context.estimate = before.max(Bitrate::from_f64(bps));
                self.control.handle_estimate(now + ms(100), before, self.context.estimate);
            }
        }
    }

    fn of(&self, cause: ProbeCause) -> Vec<(u64, u64)> {
        self.asked.iter().filter(|asked| asked.1 == cause).map(|asked| (asked.0, asked.2)).collect()
    }
}

fn demand(used: u64, next: Option<u64>, desired: u64) -> Demand {
    Demand { used: kbps(used), next: next.map(kbps), desired: kbps(desired) }
}

#[test]
fn initial_probes_double_until_one_is_not_carried_or_enough_is_known() {
    let mut drive = Drive::new(kbps(1000), demand(100, None, 5000));
    drive.run(0, 400, 100_000);
    let rates: Vec<u64> = drive.of(ProbeCause::Initial).iter().map(|probe| probe.1).collect();
    assert_eq!(rates, [2000, 4000, 8000, 10_000], "and no further than twice what is wanted");

    let mut drive = Drive::new(kbps(1000), demand(100, None, 5000));
    drive.run(0, 400, 2500);
    assert_eq!(drive.of(ProbeCause::Initial).len(), 2, "4 Mbit/s were too much");
}

#[test]
fn a_rung_is_probed_less_often_the_more_often_it_failed() {
    let mut drive = Drive::new(kbps(1000), demand(800, Some(1100), 1100));
    drive.run(0, 20_000, 1000);
    let rung = drive.of(ProbeCause::Rung);
    assert_eq!(rung[0].1, 1200, "at least a fifth above the estimate");
    let gaps: Vec<u64> = rung.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    assert!((5000..=5110).contains(gaps.last().unwrap()), "{gaps:?}");
}

#[test]
fn who_sees_nothing_is_probed_for_until_there_is_room() {
    let mut drive = Drive::new(kbps(1000), demand(0, Some(2500), 2500));
    drive.run(0, 120_000, 1000); // What was sent is long forgotten.
    drive.asked.clear();
    drive.run(120_000, 126_000, 2000);
    assert!(drive.context.estimate >= kbps(1900), "{:?}: {:?}", drive.context.estimate, drive.asked);
}

#[test]
fn success_leads_on_to_all_that_is_wanted_but_by_no_more_than_twice() {
    let mut drive = Drive::new(kbps(500), demand(400, Some(600), 3000));
    drive.context.estimate = kbps(500);
    drive.run(0, 3_000, 500); // The initial probes fail.
    drive.asked.clear();
    drive.run(3_000, 12_000, 100_000);
    let rung = drive.of(ProbeCause::Rung);
    let rates: Vec<u64> = rung.iter().map(|probe| probe.1).collect();
    assert_eq!(rates, [650, 1300, 2600, 5199], "{rung:?}");
    assert!(rung[3].0 - rung[0].0 <= 400, "straight on: {rung:?}");
}

#[test]
fn there_is_no_probe_on_a_path_that_is_not_calm_nor_for_what_is_known() {
    let mut drive = Drive::new(kbps(1000), demand(800, Some(1100), 1100));
    drive.context.calm = false;
    drive.run(0, 5_000, 100_000);
    assert!(drive.asked.is_empty());
    drive.context.calm = true;
    drive.run(5_000, 20_000, 100_000);
    assert!(drive.context.estimate >= kbps(1265), "{:?}", drive.asked);
    drive.asked.clear();
    drive.run(20_000, 60_000, 100_000);
    assert!(drive.asked.is_empty(), "15 percent more than wanted are enough: {:?}", drive.asked);
}

#[test]
fn after_a_deep_fall_there_is_one_probe_for_most_of_what_was_but_for_no_more_than_twice() {
    let mut drive = Drive::new(kbps(2000), demand(300, None, 2000));
    drive.run(0, 1_000, 1000);
    drive.context.estimate = kbps(500);
    drive.control.handle_estimate(drive.start + ms(1_000), kbps(2000), kbps(500));
    drive.asked.clear();
    drive.run(1_000, 6_000, 500);
    assert_eq!(drive.of(ProbeCause::Recovery), [(1_000, 1_000)]);
    drive.asked.clear();
    drive.context.estimate = kbps(1000);
    drive.control.handle_estimate(drive.start + ms(6_000), kbps(2000), kbps(1000));
    drive.run(6_000, 8_000, 1000);
    assert_eq!(drive.of(ProbeCause::Recovery), [(6_000, 1_700)]);
    drive.asked.clear();
    drive.control.handle_estimate(drive.start + ms(10_000), kbps(500), kbps(450));
    drive.run(10_000, 14_000, 500);
    assert!(drive.of(ProbeCause::Recovery).is_empty(), "that was no deep fall");
}

#[test]
fn an_idle_path_is_kept_warm_each_five_seconds() {
    let mut drive = Drive::new(kbps(300), demand(100, None, 2000));
    drive.context.estimate = kbps(300);
    drive.run(0, 500, 300);
    drive.context.limited = true;
    drive.asked.clear();
    drive.run(500, 16_500, 300);
    let warm = drive.of(ProbeCause::KeepWarm);
    assert!(warm.len() == 3 && warm.iter().all(|probe| probe.1 == 600), "{warm:?}");
}

#[test]
fn a_probe_that_is_not_told_of_is_given_up_after_a_second() {
    let start = Moment::ORIGIN;
    let mut control = ProbeControl::new(start, kbps(1000));
    let context = ProbeContext {
        estimate: kbps(1000),
        max: kbps(20_000),
        calm: true,
        limited: false,
        quiet: false,
        backlog: false,
    };
    assert!(control.poll(start, &context).is_some());
    assert_eq!(control.poll_timeout(), Some(start + ms(1000)));
    assert!(control.poll(start + ms(900), &context).is_none(), "one at a time");
    control.handle_timeout(start + ms(1000));
    assert_eq!(control.poll_timeout(), None);
}
