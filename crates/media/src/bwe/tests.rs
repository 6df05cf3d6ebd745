//! Table tests of the log, the meters and the loss half, and of the estimator against a receiver that lies.

use std::time::Duration;

use roundtable_wire::twcc::{self, Feedback};

use super::acked::AckedRate;
use super::alr::AlrDetector;
use super::backlog::Backlog;
use super::backoff::{Backoff, Fall};
use super::loss::{LossContext, LossHalf, LossState};
use super::sent_log::{Report, SentLog};
use super::{
    Bitrate, Demand, Estimator, EstimatorConfig, HISTORY_AGE, HISTORY_LEN, MIN_TARGET, ProbeCause, Reason,
    SendSideEstimator, SentPacket,
};
use crate::moment::Moment;

const SIZE: u16 = 1200;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn packet(sequence: u16) -> SentPacket {
    SentPacket { sequence, size: SIZE, probe: None, filler: false }
}

/// The body of a message that is not the receiver's first; arrivals are in microseconds of the receiver's clock.
fn message(base: u16, arrivals: &[Option<u64>]) -> Vec<u8> {
    let message = twcc::next_message(arrivals).unwrap();
    assert_eq!(usize::from(message.status_count()), arrivals.len(), "fits one message");
    let mut body = vec![0; 8];
    message.write(&mut body, base, 1);
    body
}

fn resolve(log: &mut SentLog, now: Moment, base: u16, arrivals: &[Option<u64>]) -> Vec<Report> {
    let mut out = Vec::new();
    log.resolve(now, &Feedback::parse(&message(base, arrivals)).unwrap(), &mut out);
    out
}

fn report(sequence: u64, sent: i64, arrival: Option<i64>) -> Report {
    let (probe, expected_ms, recovered) = (None, 0, false);
    Report { sequence, sent_micros: sent, arrival_micros: arrival, size: SIZE, probe, expected_ms, recovered }
}

/// A packet each `gap` milliseconds, each `delay` later at the receiver.
fn stream(from: i64, count: i64, gap: i64, delay: i64) -> Vec<Report> {
    (from..from + count).map(|at| report(at.unsigned_abs(), at * gap * 1000, Some((at * gap + delay) * 1000))).collect()
}

#[test]
fn lost_may_turn_out_to_be_received_but_never_the_reverse() {
    let start = Moment::ORIGIN;
    let mut log = SentLog::new(start);
    (0..4).for_each(|number| log.record(start, &packet(number), 0));
    let states = |reports: &[Report]| -> Vec<(u64, bool, bool)> {
        reports.iter().map(|r| (r.sequence & 0xffff, r.arrival_micros.is_some(), r.recovered)).collect()
    };

    let told = resolve(&mut log, start + ms(50), 0, &[Some(64_000), None, Some(65_000)]);
    assert_eq!(states(&told), [(0, true, false), (1, false, false), (2, true, false)]);
    assert_eq!(log.in_flight_bytes(), u64::from(SIZE), "the fourth is still under way");

    let told = resolve(&mut log, start + ms(90), 0, &[None, Some(66_000), Some(65_000)]);
    assert_eq!(states(&told), [(1, true, true)], "only what is new is told, and received stays received");
}

#[test]
fn what_was_lost_before_a_receivers_first_packet_is_told_by_its_first_message() {
    let start = Moment::ORIGIN;
    for (count, expected) in [(0, vec![(0, false), (1, false), (2, true)]), (1, vec![(2, true)])] {
        let mut log = SentLog::new(start);
        (0..4).for_each(|number| log.record(start, &packet(number), 0));
        let mut body = message(2, &[Some(64_000)]);
        *body.get_mut(15).unwrap() = count;
        let mut told = Vec::new();
        log.resolve(start + ms(50), &Feedback::parse(&body).unwrap(), &mut told);
        let told: Vec<_> = told.iter().map(|r| (r.sequence & 0xffff, r.arrival_micros.is_some())).collect();
        assert_eq!(told, expected, "message {count}");
    }
}

#[test]
fn numbers_that_were_not_sent_are_counted_and_change_nothing() {
    let start = Moment::ORIGIN;
    let mut log = SentLog::new(start);
    assert!(resolve(&mut log, start, 7, &[Some(64_000)]).is_empty(), "nothing was sent at all");
    log.record(start, &packet(10), 0);
    assert!(resolve(&mut log, start, 11, &[Some(64_000); 100]).is_empty());
    assert_eq!(log.unknown(), 101);
    assert_eq!(log.in_flight_bytes(), u64::from(SIZE));
}

#[test]
fn the_history_follows_the_number_across_its_wrap_and_forgets_by_age() {
    let start = Moment::ORIGIN;
    let mut log = SentLog::new(start);
    for at in 0..3 * HISTORY_LEN as u64 {
        log.record(start + ms(at / 8), &packet((at as u16).wrapping_add(60_000)), 0);
    }
    let last = (3 * HISTORY_LEN - 1) as u16;
    let now = start + ms(u64::from(last) / 8);
    let newest = last.wrapping_add(60_000);
    assert_eq!(resolve(&mut log, now, newest, &[Some(64_000)]).len(), 1);
    let oldest = newest.wrapping_sub(HISTORY_LEN as u16);
    assert_eq!(resolve(&mut log, now, oldest, &[Some(64_000); 2]).len(), 1, "the ring holds no more");
    assert!(resolve(&mut log, now + HISTORY_AGE + ms(1), newest - 9, &[Some(64_000); 9]).is_empty());
    assert_eq!(log.in_flight_bytes(), 0);
}

#[test]
fn a_jump_of_the_number_or_a_pause_longer_than_the_clock_of_the_log_leaves_nothing_behind() {
    let start = Moment::ORIGIN;
    let mut log = SentLog::new(start);
    log.record(start, &packet(0), 0);
    log.record(start, &packet(30_000), 0);
    assert!(resolve(&mut log, start, 0, &[Some(64_000)]).is_empty());
    // 2^32 µs later the low half of the clock reads the same.
    let later = start + Duration::from_micros(1 << 32);
    assert!(resolve(&mut log, later, 30_000, &[Some(64_000)]).is_empty());
    assert_eq!(log.in_flight_bytes(), 0);
}

#[test]
fn the_reference_time_wraps_and_never_overflows() {
    let start = Moment::ORIGIN;
    let mut log = SentLog::new(start);
    let mut body = message(0, &[Some(64_000)]);
    let mut last = 0;
    for number in 0..2_000_u16 {
        log.record(start, &packet(number), 0);
        body[8..10].copy_from_slice(&number.to_be_bytes());
        // Each message claims a third of the period more than the one before.
        let reference = u32::from(number).wrapping_mul(0x55_5555) & 0xff_ffff;
        body[12..15].copy_from_slice(&reference.to_be_bytes()[1..]);
        let mut out = Vec::new();
        log.resolve(start, &Feedback::parse(&body).unwrap(), &mut out);
        last = out[0].arrival_micros.unwrap();
        assert!(last.abs() < 1 << 51, "34 years are not exceeded by much");
    }
    assert!(last > 1 << 46, "it was unwrapped");
}

#[test]
fn what_arrives_is_measured_despite_a_pause_of_the_receiver() {
    let mut rate = AckedRate::default();
    rate.handle_received(&stream(0, 9, 10, 30));
    assert_eq!(rate.bps(), None, "nine packets are too few");
    rate.handle_received(&stream(9, 91, 10, 30));
    let steady = rate.bps().unwrap();
    assert!((steady - 960e3).abs() < 1e3, "1200 bytes each 10 ms: {steady}");

    let recent = rate.recent().unwrap();
    assert!((recent.bps - 960e3).abs() < 1e3 && (recent.slowed - 1.0).abs() < 1e-9, "{recent:?}");

    // For 300 ms nothing is received, then all at once.
    let mut late = stream(100, 30, 10, 30);
    late.iter_mut().for_each(|report| report.arrival_micros = Some(1_330_000));
    rate.handle_received(&late);
    rate.handle_received(&stream(130, 70, 10, 30));
    let after = rate.bps().unwrap();
    assert!((after - 960e3).abs() < 50e3, "the pause is replaced by the second largest gap: {after}");
}

#[test]
fn packets_that_come_slower_than_they_left_tell_by_how_much() {
    let mut rate = AckedRate::default();
    let mut slow = stream(0, 60, 10, 30);
    slow.iter_mut().enumerate().for_each(|(at, report)| report.arrival_micros = Some(at as i64 * 12_500));
    rate.handle_received(&slow);
    let recent = rate.recent().unwrap();
    assert!((recent.slowed - 0.8).abs() < 1e-9 && (recent.bps - 768e3).abs() < 1e3, "{recent:?}");
}

#[test]
fn arrivals_that_go_back_far_begin_a_new_measurement() {
    let mut rate = AckedRate::default();
    rate.handle_received(&stream(0, 100, 10, 1_000_000));
    let mut back = stream(100, 5, 10, 0);
    back[4].arrival_micros = Some(i64::MAX / 4);
    rate.handle_received(&back);
    assert_eq!(rate.bps(), None);
    assert_eq!(rate.recent(), None);
}

#[test]
fn rates_saturate_at_nine_exabits() {
    let most = Bitrate::bps(i64::MAX.unsigned_abs());
    for (bps, rate) in [(-1.0, 0), (f64::NAN, 0), (0.9, 0), (1e6, 1_000_000), (9e18, 9_000_000_000_000_000_000)] {
        assert_eq!(Bitrate::from_f64(bps), Bitrate::bps(rate), "{bps}");
    }
    assert_eq!((Bitrate::from_f64(1e30), Bitrate::from_f64(f64::INFINITY)), (most, most));
    assert_eq!((Bitrate::bps(u64::MAX).as_f64(), Bitrate::kbps(3).as_f64()), (most.as_f64(), 3000.0));
}

#[test]
fn the_path_is_untested_while_less_than_two_thirds_of_it_are_used() {
    let limited_after = |bytes: u16| {
        let mut alr = AlrDetector::default();
        alr.set_estimate(Bitrate::kbps(1000));
        (1..=1000).for_each(|_| alr.handle_sent(0.01, bytes));
        alr.is_limited()
    };
    // 1250 bytes each 10 ms are 1 Mbit/s.
    for (bytes, limited) in [(1250, false), (850, false), (700, true), (100, true)] {
        assert_eq!(limited_after(bytes), limited, "{bytes} bytes each 10 ms");
    }
}

#[test]
fn a_burst_of_our_own_queues_for_as_long_as_the_target_needs() {
    let mut backlog = Backlog::default();
    let target = Bitrate::kbps(960); // 10 ms a packet.
    backlog.set_target(target);
    assert_eq!(backlog.handle_sent(0.0, SIZE), 10);
    assert_eq!(backlog.handle_sent(0.0, SIZE), 20);
    assert_eq!(backlog.handle_sent(0.015, SIZE), 15);
    (0..100).for_each(|_| _ = backlog.handle_sent(0.0, SIZE));
    assert_eq!(backlog.handle_sent(0.0, SIZE), 110, "no more than the limit and itself is excused");
}

#[test]
fn silence_freezes_then_halves_and_feedback_ends_it() {
    let start = Moment::ORIGIN;
    let mut backoff = Backoff::new(start, ms(50));
    assert_eq!(backoff.poll_timeout(), None, "nothing is in flight");
    backoff.handle_sent(start);
    assert!(!backoff.is_silent(start + ms(499)));
    assert!(backoff.is_silent(start + ms(500)));
    assert_eq!(backoff.poll_fall(start + ms(999)), None);
    let falls: Vec<u64> = (0..60)
        .map(|tick| tick * 50)
        .filter(|&at| {
            let fall = backoff.poll_fall(start + ms(at));
            assert!(fall.is_none_or(|fall| fall == Fall::Silence(0.5)));
            fall.is_some()
        })
        .collect();
    assert_eq!(falls, [1000, 1500, 2000, 2500]);
    backoff.handle_feedback(start + ms(3000), false);
    assert_eq!(backoff.poll_timeout(), None);
    assert!(!backoff.is_silent(start + ms(9000)));
}

#[test]
fn a_round_trip_of_more_than_three_seconds_lets_the_rate_fall_each_second() {
    let start = Moment::ORIGIN;
    let mut backoff = Backoff::new(start, ms(50));
    backoff.handle_rtt(start, ms(3_001));
    let falls = (0..50).filter(|tick| backoff.poll_fall(start + ms(tick * 100)) == Some(Fall::Rtt(0.8))).count();
    assert_eq!(falls, 5);
    backoff.handle_rtt(start + ms(5_000), ms(100));
    assert_eq!(backoff.poll_fall(start + ms(6_000)), None);
}

/// What the loss half makes of `loss` of all packets while `bps` are sent, for ten seconds.
fn loss_after(loss: f64, bps: f64, delay_rate: f64) -> LossHalf {
    let mut half = LossHalf::new(delay_rate);
    let gap = f64::from(SIZE) * 8.0 / bps;
    let (mut at, mut owed) = (0.0, 0.0);
    for number in 0..(10.0 / gap) as u64 {
        owed += loss;
        let lost = owed >= 1.0;
        owed -= f64::from(u8::from(lost));
        let sent = (at * 1e6) as i64;
        let acked = Some(bps * (1.0 - loss));
        let context = LossContext { delay_rate, acked, limited: false, min: 30e3, max: 20e6 };
        half.handle_reports(&[report(number, sent, (!lost).then_some(sent + 20_000))], &context);
        at += gap;
    }
    half
}

#[test]
fn little_loss_is_borne_and_much_is_not() {
    for (loss, least, most) in [(0.0, 2e6, 2e6), (0.02, 2e6, 2e6), (0.05, 1.7e6, 2e6), (0.4, 0.0, 1.3e6)] {
        let half = loss_after(loss, 2e6, 2e6);
        let rate = half.rate();
        assert!((least..=most).contains(&rate), "{loss}: {rate}");
        assert!((half.average_loss() - loss).abs() < 0.03, "{loss}: {}", half.average_loss());
    }
}

#[test]
fn the_loss_half_never_goes_below_what_arrives_nor_above_the_delay_half() {
    let half = loss_after(0.3, 1e6, 3e6);
    assert!(half.rate() >= 0.7e6 - 1.0, "{}", half.rate());
    assert_ne!(half.state(), LossState::DelayBased);
    assert!(loss_after(0.0, 1e6, 3e6).rate() <= 3e6);
}

#[test]
fn a_rate_held_by_want_of_demand_recovers_once_losses_are_explained() {
    // 40 % of 1.9 Mbit/s are lost for three seconds, then 5 % of 320 kbit/s.
    let mut half = LossHalf::new(2e6);
    let context = LossContext { delay_rate: 2e6, acked: Some(1.15e6), limited: false, min: 30e3, max: 20e6 };
    let mut decreased = false;
    for at in 0..600_u64 {
        let sent = at as i64 * 5_000;
        half.handle_reports(&[report(at, sent, (at % 5 > 1).then_some(sent))], &context);
        decreased |= half.state() == LossState::Decreasing;
    }
    let context = LossContext { acked: Some(300e3), ..context };
    for at in 0..2_000_u64 {
        let sent = 3_000_000 + at as i64 * 30_000;
        half.handle_reports(&[report(at, sent, (at % 20 > 0).then_some(sent))], &context);
    }
    assert!(half.rate() > 1.5 * 300e3, "what arrives would not let it grow: {}", half.rate());
    assert!(decreased, "the first losses limit the rate");
    assert_ne!(half.state(), LossState::Decreasing, "probes may test it again");
}

#[test]
fn losses_from_before_a_pause_do_not_limit_what_comes_after_it() {
    // A fifth of 1.6 Mbit/s is lost for a second; then little is sent, and all of it arrives.
    let after = |forgets: bool| {
        let mut half = LossHalf::new(1.6e6);
        let context = LossContext { delay_rate: 2e6, acked: Some(1.3e6), limited: false, min: 30e3, max: 20e6 };
        let mut least = f64::INFINITY;
        for at in 0..170_u64 {
            let sent = at as i64 * 6_000;
            half.handle_reports(&[report(at, sent, (at % 5 > 0).then_some(sent))], &context);
        }
        if forgets {
            half.forget();
        }
        let context = LossContext { acked: Some(30e3), ..context };
        for at in 0..40_u64 {
            let sent = 11_000_000 + at as i64 * 10_000;
            half.handle_reports(&[report(170 + at, sent, Some(sent))], &context);
            least = least.min(half.rate());
        }
        (least, half.state())
    };
    let ((held, _), (free, state)) = (after(false), after(true));
    assert!(free > held && state == LossState::DelayBased, "{held} and {free}, {state:?}");
}

#[test]
fn reports_called_lost_and_recovered_leave_no_negative_loss() {
    let mut half = LossHalf::new(1e6);
    let context = LossContext { delay_rate: 1e6, acked: None, limited: false, min: 30e3, max: 20e6 };
    for at in 0..500 {
        let recovered = Report { recovered: true, ..report(at, at as i64 * 20_000, Some(0)) };
        half.handle_reports(&[report(at, at as i64 * 20_000, Some(0)), recovered, recovered], &context);
    }
    assert!(half.average_loss() == 0.0 && half.rate() == 1e6, "{half:?}");
}

/// A path without a limit, over which `bytes` leave each 10 ms, told of each 50 ms.
struct Drive {
    start: Moment,
    estimator: SendSideEstimator,
    number: u16,
    untold: Vec<Option<u64>>,
}

impl Drive {
    fn new() -> Self {
        let start = Moment::ORIGIN;
        let estimator = SendSideEstimator::new(start, EstimatorConfig::default());
        Self { start, estimator, number: 0, untold: Vec::new() }
    }

    /// Runs from one 10 ms to another; `delay` tells the delay in milliseconds of what leaves at a millisecond.
    fn run(&mut self, from: u64, to: u64, delay: impl Fn(u64) -> Option<u64>) {
        for tick in from..to {
            let now = self.start + ms(tick * 10);
            self.estimator.handle_timeout(now);
            let probe = self.estimator.poll_probe(now, None).map(|cluster| cluster.id);
            assert!(probe.is_none() || self.estimator.poll_timeout().is_some());
            self.estimator.handle_sent(now, &packet(self.number));
            self.number = self.number.wrapping_add(1);
            self.untold.push(delay(tick * 10).map(|delay| (tick * 10 + delay) * 1000));
            if tick % 5 == 4 && self.untold.iter().any(Option::is_some) {
                let body = message(self.number.wrapping_sub(self.untold.len() as u16), &self.untold);
                self.estimator.handle_feedback(now, &Feedback::parse(&body).unwrap());
                self.untold.clear();
            }
        }
    }
}

#[test]
fn the_first_feedback_proves_the_target_and_a_growing_queue_cuts_it() {
    let mut drive = Drive::new();
    assert_eq!(drive.estimator.state().reason, Reason::Start);
    assert!(!drive.estimator.is_proven());
    drive.run(0, 300, |_| Some(20));
    let before = drive.estimator.target();
    assert!(drive.estimator.is_proven() && before >= Bitrate::kbps(900), "{before}");
    // Half of what is sent passes: each 10 ms the queue grows by 10 ms.
    drive.run(300, 340, |at| Some(20 + (at - 3000)));
    let after = drive.estimator.target();
    assert!(after < before.scale(0.7), "{before} to {after}");
    assert_eq!(drive.estimator.state().reason, Reason::Delay);
}

#[test]
fn a_few_packets_whose_feedback_was_lost_do_not_bring_the_target_down_for_ever() {
    let mut drive = Drive::new();
    drive.run(0, 200, |_| Some(20));
    let before = drive.estimator.target();
    drive.run(200, 201, |_| None);
    for tick in 201..2000 {
        drive.estimator.handle_timeout(drive.start + ms(tick * 10));
    }
    assert!(drive.estimator.target() >= before.scale(0.12), "{before} to {}", drive.estimator.target());
    assert_eq!(drive.estimator.poll_timeout(), None, "nothing is waited for");
}

#[test]
fn silence_brings_the_target_to_the_floor_and_no_lower() {
    let mut drive = Drive::new();
    drive.run(0, 200, |_| Some(20));
    drive.run(200, 1200, |_| None);
    assert_eq!(drive.estimator.target(), MIN_TARGET);
    assert_eq!(drive.estimator.poll_probe(drive.start + ms(12_000), None), None, "nor is there a probe into silence");
}

#[test]
fn who_is_sent_nothing_after_a_bad_end_is_probed_again() {
    let wanted = Bitrate::kbps(1_500);
    for (what, bad) in [
        ("a queue", (|at| Some(20 + (at - 3000))) as fn(u64) -> Option<u64>),
        ("loss", |at| (at % 30 == 0).then_some(20)),
        ("silence", |_| None),
    ] {
        let mut drive = Drive::new();
        drive.estimator.set_demand(Demand { used: wanted, next: None, desired: wanted });
        drive.run(0, 300, |_| Some(20));
        drive.run(300, 420, bad);
        // From now on nothing fits, so nothing is sent.
        drive.estimator.set_demand(Demand { used: Bitrate::ZERO, next: Some(wanted), desired: wanted });
        let probed = (420..1_500).find(|tick| {
            let now = drive.start + ms(tick * 10);
            drive.estimator.handle_timeout(now);
            drive.estimator.poll_probe(now, None).is_some()
        });
        assert!(probed.is_some_and(|tick| tick < 720), "after {what}: {probed:?}");
        let loss = |drive: &Drive| drive.estimator.state().loss_state;
        assert!(what != "loss" || loss(&drive) == LossState::Decreasing, "it stands until something is sent");
        drive.estimator.handle_sent(drive.start + ms(probed.unwrap_or_default() * 10), &packet(drive.number));
        assert_eq!(loss(&drive), LossState::DelayBased, "after {what}");
    }
}

#[test]
fn remb_and_the_configured_maximum_bound_the_target() {
    let mut drive = Drive::new();
    drive.run(0, 300, |_| Some(20));
    let now = drive.start + ms(3000);
    drive.estimator.handle_remb(now, Some(Bitrate::kbps(200)));
    assert_eq!((drive.estimator.target(), drive.estimator.state().reason), (Bitrate::kbps(200), Reason::Remb));
    drive.estimator.set_max(now, Bitrate::kbps(100));
    assert_eq!((drive.estimator.target(), drive.estimator.state().reason), (Bitrate::kbps(100), Reason::Max));
    drive.estimator.handle_remb(now, Some(Bitrate::ZERO));
    assert_eq!((drive.estimator.target(), drive.estimator.state().reason), (MIN_TARGET, Reason::Floor));
}

#[test]
fn a_new_path_begins_with_no_more_than_the_start_and_an_initial_probe() {
    let mut drive = Drive::new();
    drive.estimator.set_demand(Demand { used: Bitrate::kbps(900), next: None, desired: Bitrate::kbps(5000) });
    drive.run(0, 300, |_| Some(20));
    let now = drive.start + ms(3000);
    drive.estimator.handle_path_change(now);
    assert!(drive.estimator.target() <= Bitrate::kbps(1000));
    let probe = drive.estimator.poll_probe(now + ms(5), None).unwrap();
    assert_eq!(probe.cause, ProbeCause::Initial);
}

#[test]
fn a_receiver_that_lies_about_everything_neither_panics_nor_leaves_the_bounds() {
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let start = Moment::ORIGIN;
    let config = EstimatorConfig { max: Bitrate::kbps(5_000), ..EstimatorConfig::default() };
    let mut estimator = SendSideEstimator::new(start, config);
    estimator.set_demand(Demand {
        used: Bitrate::bps(u64::MAX),
        next: Some(Bitrate::ZERO),
        desired: Bitrate::bps(u64::MAX),
    });
    let mut number = 0_u16;
    for tick in 0..20_000_u64 {
        let now = start + ms((tick * 3).saturating_sub(random() % 4)); // Our own clock may be read out of order, too.
        let probe = estimator.poll_probe(now, None).map(|cluster| cluster.id);
        number = number.wrapping_add(if random() % 500 == 0 { 9_000 } else { 1 });
        let size = (random() % 65_536) as u16;
        estimator.handle_sent(now, &SentPacket { sequence: number, size, probe, filler: random() % 2 == 0 });
        if random() % 3 == 0 {
            let base = number.wrapping_sub((random() % 40) as u16);
            let mut clock = random() << (random() % 12);
            let arrivals: Vec<Option<u64>> = (0..1 + random() % 30)
                .map(|_| {
                    clock = (clock + random() % 2_000_000).saturating_sub(1_000_000);
                    (random() % 4 > 0).then_some(clock)
                })
                .collect();
            if let Some(message) = twcc::next_message(&arrivals) {
                let mut body = vec![0; 8];
                message.write(&mut body, base, 0);
                body[12..15].copy_from_slice(&random().to_be_bytes()[5..]);
                estimator.handle_feedback(now, &Feedback::parse(&body).unwrap());
            }
        }
        match random() % 50 {
            0 => estimator.handle_rtt(now, Duration::from_secs(random())),
            1 => estimator.handle_remb(now, (random() % 2 == 0).then(|| Bitrate::bps(random()))),
            2 => estimator.handle_path_change(now),
            _ => estimator.handle_timeout(now),
        }
        let (target, state) = (estimator.target(), estimator.state());
        assert!((MIN_TARGET..=config.max).contains(&target), "{state:?}");
        assert!(state.loss_share.is_finite() && (0.0..=1.0).contains(&state.loss_share), "{state:?}");
    }
}
