use super::*;

const SIZE: usize = 972; // With 28 bytes of headers 8,000 bits.

fn profile(settings: &[&str]) -> Profile {
    let mut profile = Profile::default();
    for setting in settings {
        profile.set(setting).unwrap();
    }
    profile
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What happened to packets that came one each `gap`.
struct Run {
    /// Number and time of each arrival, from the beginning.
    arrivals: Vec<(u32, Duration)>,
    drops: Vec<(u32, Drop)>,
    longest_queue: Duration,
}

impl Run {
    fn new(settings: &[&str], seed: u64, count: u32, gap: Duration) -> Self {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let mut link = Link::new(profile(settings), seed);
        let mut run = Self { arrivals: Vec::new(), drops: Vec::new(), longest_queue: Duration::ZERO };
        for number in 0..count {
            let now = start + gap * number;
            run.collect(&mut link, start, now);
            run.longest_queue = run.longest_queue.max(link.queue_delay(now));
            if let Err(why) = link.handle_packet(now, SIZE, number) {
                run.drops.push((number, why));
            }
        }
        run.collect(&mut link, start, start + gap * count + Duration::from_secs(100));
        run
    }

    /// Asks the link exactly when it says it is worth it.
    fn collect(&mut self, link: &mut Link<u32>, start: Instant, until: Instant) {
        while let Some(at) = link.poll_timeout().filter(|at| *at <= until) {
            while let Some(number) = link.poll_arrival(at) {
                self.arrivals.push((number, at - start));
            }
        }
    }

    fn order(&self) -> Vec<u32> {
        self.arrivals.iter().map(|(number, _)| *number).collect()
    }

    fn share_lost(&self, count: u32) -> f64 {
        self.drops.len() as f64 / f64::from(count)
    }
}

#[test]
fn a_link_without_properties_carries_at_once() {
    let run = Run::new(&[], 1, 50, ms(1));
    assert_eq!(run.drops, []);
    for (number, at) in run.arrivals {
        assert_eq!(at, ms(1) * number);
    }
}

#[test]
fn a_packet_arrives_after_its_time_on_the_wire_and_the_delay() {
    let run = Run::new(&["rate=1M", "delay=20ms"], 1, 1, ms(1));
    assert_eq!(run.arrivals, [(0, ms(28))]);
}

#[test]
fn no_more_than_the_rate_gets_through_and_the_queue_is_as_long_as_it_may_be() {
    // 2 Mbit/s into 200 kbit/s for ten seconds.
    let run = Run::new(&["rate=200k", "delay=40ms", "queue=300ms"], 1, 2500, ms(4));
    let (_, last) = *run.arrivals.last().unwrap();
    let bps = run.arrivals.len() as f64 * 8000.0 / (last - ms(40)).as_secs_f64();
    assert!((bps - 200_000.0).abs() < 500.0, "{bps}");
    assert!(run.drops.iter().all(|(_, why)| *why == Drop::Queue));
    assert_eq!(run.arrivals.len() + run.drops.len(), 2500);
    // The last one let in waits 300 ms at most and then takes its own 40 ms.
    assert!(run.longest_queue > ms(300) && run.longest_queue <= ms(340), "{:?}", run.longest_queue);
    for (number, at) in &run.arrivals {
        assert!(*at - ms(4) * *number <= ms(380), "{number} took {:?}", *at - ms(4) * *number);
    }
}

#[test]
fn what_waits_goes_on_at_the_new_rate() {
    let start = Instant::now();
    let mut link = Link::new(profile(&["rate=1M"]), 1);
    for number in 0..10 {
        link.handle_packet(start, SIZE, number).unwrap();
    }
    // Half of the first is out: 4 ms of 8. At a tenth of the rate the other half takes 40 ms.
    assert_eq!(link.set_profile(start + ms(4), profile(&["rate=100k", "queue=1s"])), 0);
    assert_eq!(link.poll_timeout(), Some(start + ms(44)));
    assert_eq!(link.poll_arrival(start + ms(44)), Some(0));
    assert_eq!(link.poll_timeout(), Some(start + ms(124)));
    // Faster again: 8 of 80 ms are over, and the other 72 shrink to a hundredth.
    link.set_profile(start + ms(52), profile(&["rate=10M"]));
    assert_eq!(link.poll_timeout(), Some(start + ms(52) + Duration::from_micros(720)));
    // And without a rate all are there.
    link.set_profile(start + ms(52), profile(&[]));
    let rest: Vec<u32> = std::iter::from_fn(|| link.poll_arrival(start + ms(52))).collect();
    assert_eq!(rest, (1..10).collect::<Vec<_>>());
    assert_eq!(link.poll_timeout(), None);
}

#[test]
fn a_queue_that_no_longer_fits_is_cut_at_its_end() {
    let start = Instant::now();
    let mut link = Link::new(profile(&["rate=1M"]), 1);
    for number in 0..30 {
        link.handle_packet(start, SIZE, number).unwrap();
    }
    let dropped = link.set_profile(start, profile(&["rate=100k", "queue=300ms"]));
    assert_eq!(dropped, 26, "the fourth waits for 240 ms, the fifth would for 320");
    assert_eq!(link.queue_delay(start), ms(320));
}

#[test]
fn the_share_lost_is_what_was_asked_for() {
    for (permille, seed) in [(20, 1), (100, 2), (500, 3)] {
        let run = Run::new(&[&format!("loss={permille}")], seed, 20_000, ms(1));
        let share = run.share_lost(20_000) * 1000.0;
        assert!((share / f64::from(permille) - 1.0).abs() < 0.1, "{share} of a thousand for {permille}");
        assert!(run.drops.iter().all(|(_, why)| *why == Drop::Lost));
    }
}

#[test]
fn bursts_are_as_long_as_was_asked_for() {
    let run = Run::new(&["burst_loss=100", "burst=5"], 4, 50_000, ms(1));
    let starts = run.drops.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).count() + 1;
    let mean = run.drops.len() as f64 / starts as f64;
    assert!((mean - 5.0).abs() < 0.5, "{mean}");
    assert!((run.share_lost(50_000) - 0.1).abs() < 0.01, "{}", run.share_lost(50_000));
}

#[test]
fn who_is_late_is_overtaken_and_nobody_else() {
    let run = Run::new(&["reorder=50", "late=15ms"], 5, 5_000, ms(5));
    let late: Vec<u32> =
        run.arrivals.iter().filter(|(number, at)| *at > ms(5) * *number).map(|(number, _)| *number).collect();
    assert!((200..300).contains(&late.len()), "{} of 250 expected", late.len());
    let on_time: Vec<u32> = run.order().into_iter().filter(|number| !late.contains(number)).collect();
    assert!(on_time.is_sorted(), "the others keep their order");
    assert!(!run.order().is_sorted());
}

#[test]
fn jitter_spreads_arrivals_and_keeps_the_order() {
    let run = Run::new(&["delay=100ms", "jitter=10ms"], 6, 5_000, ms(50));
    assert!(run.order().is_sorted());
    let delays = run.arrivals.iter().map(|(number, at)| (*at - ms(50) * *number).as_secs_f64() * 1000.0);
    let spread = (delays.map(|delay| (delay - 100.0).powi(2)).sum::<f64>() / 5000.0).sqrt();
    assert!((spread - 10.0).abs() < 0.5, "{spread}");
}

#[test]
fn jitter_larger_than_the_delay_brings_nothing_before_it_was_sent() {
    let run = Run::new(&["delay=1ms", "jitter=30ms"], 6, 1_000, ms(20));
    assert!(run.arrivals.iter().all(|(number, at)| *at >= ms(20) * *number));
    assert_eq!(run.arrivals.len(), 1_000);
}

#[test]
fn some_arrive_twice() {
    let run = Run::new(&["duplicate=100"], 7, 5_000, ms(1));
    let twice = run.order().windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(run.arrivals.len(), 5_000 + twice);
    assert!((400..600).contains(&twice), "{twice}");
}

#[test]
fn what_is_larger_than_the_mtu_vanishes() {
    let run = Run::new(&["mtu=999"], 1, 3, ms(1));
    assert_eq!(run.drops, [(0, Drop::TooLarge), (1, Drop::TooLarge), (2, Drop::TooLarge)]);
    assert_eq!(Run::new(&["mtu=1000"], 1, 3, ms(1)).drops, []);
}

#[test]
fn the_same_seed_is_the_same_luck_and_another_is_not() {
    let settings = ["rate=2M", "delay=30ms", "jitter=5ms", "loss=50", "burst_loss=20", "reorder=30", "duplicate=10"];
    let run = |seed| Run::new(&settings, seed, 2_000, ms(3));
    assert_eq!(run(1).arrivals, run(1).arrivals);
    assert_ne!(run(1).order(), run(2).order());
}

#[test]
fn luck_depends_on_the_packets_and_not_on_the_rest_of_the_profile() {
    let lost = |settings: &[&str]| Run::new(settings, 9, 2_000, ms(3)).drops;
    assert_eq!(lost(&["loss=50"]), lost(&["loss=50", "delay=50ms", "jitter=9ms", "reorder=100", "duplicate=100"]));
}

#[test]
fn a_link_holds_a_bounded_number_of_packets() {
    let run = Run::new(&["delay=60s"], 1, MAX_PACKETS as u32 + 100, Duration::from_micros(1));
    assert_eq!(run.arrivals.len(), MAX_PACKETS);
    assert_eq!(run.drops.len(), 100);
    assert!(run.drops.iter().all(|(_, why)| *why == Drop::Queue));
}
