//! The scenarios of the media plane at the level of estimator, allocator and pacer, and the rivals on them.
#![allow(unreachable_pub)]

mod sim;

use sim::cross::Cross;
use sim::link::LinkConfig;
use sim::rival::Rival;
use sim::rng::Rng;
use sim::{Event, Outcome, Seen, Setup, best_fitting, percentile, run};

/// Seeds on which the scenarios must pass. The constants were tuned on them: they guard, and prove little.
const SEEDS: u64 = 20;
/// Seeds of the table, unless `SIM_SEEDS` asks for more: it runs three estimators.
const TABLE_SEEDS: u64 = 2;
const ALL_TOP: f64 = 1_215e3;
const EVERY: f64 = 1.0;
/// The share of seeds of which fairness is demanded: it hangs on who happens to look first.
const NEARLY: f64 = 0.9;

/// Whose figures are taken, on how many seeds.
#[derive(Debug, Clone, Copy)]
struct Case {
    rival: Rival,
    seeds: u64,
}

/// One figure of a scenario: its value on each seed, and which values pass.
struct Figure {
    name: &'static str,
    pass: &'static str,
    values: Vec<f64>,
    /// The share of seeds that passed, and that has to.
    share: f64,
    demanded: f64,
}

/// Collects the figures of one scenario over all seeds.
struct Card {
    scenario: &'static str,
    figures: Vec<Figure>,
}

impl Case {
    const OURS: Self = Self { rival: Rival::Ours, seeds: SEEDS };

    fn outcomes(self, setup: impl Fn(u64) -> Setup) -> Vec<Outcome> {
        // `SIM_FIRST_SEED=101` asks for seeds on which nothing was ever tuned.
        let first = std::env::var("SIM_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        (first..first + self.seeds).map(|seed| run(&setup(seed))).collect()
    }
}

impl Card {
    fn new(scenario: &'static str) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    fn at_most(&mut self, name: &'static str, pass: &'static str, bound: f64, demanded: f64, values: Vec<f64>) {
        self.figure(name, pass, demanded, values, |value| value <= bound);
    }

    fn at_least(&mut self, name: &'static str, pass: &'static str, bound: f64, demanded: f64, values: Vec<f64>) {
        self.figure(name, pass, demanded, values, |value| value >= bound);
    }

    /// A figure that is only shown.
    fn shown(&mut self, name: &'static str, values: Vec<f64>) {
        self.figure(name, "-", 0.0, values, |_| true);
    }

    fn figure(
        &mut self,
        name: &'static str,
        pass: &'static str,
        demanded: f64,
        values: Vec<f64>,
        passes: impl Fn(f64) -> bool,
    ) {
        let share = values.iter().filter(|value| passes(**value)).count() as f64 / values.len() as f64;
        self.figures.push(Figure { name, pass, values, share, demanded });
    }

    fn assert(&self) {
        for figure in &self.figures {
            assert!(
                figure.share >= figure.demanded,
                "{}: «{}» is to be {} on {:.0} % of the seeds, but is {:.2?}",
                self.scenario,
                figure.name,
                figure.pass,
                figure.demanded * 100.0,
                figure.values
            );
        }
    }

    fn rows(&self, rival: Rival) -> String {
        let row = |figure: &Figure| {
            format!(
                "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} % |\n",
                self.scenario,
                figure.name,
                figure.pass,
                rival.name(),
                percentile(&figure.values, 0.5),
                percentile(&figure.values, 0.05),
                percentile(&figure.values, 0.95),
                figure.share * 100.0
            )
        };
        self.figures.iter().map(row).collect()
    }

    /// How many of the demands are met.
    fn met(&self) -> usize {
        self.figures.iter().filter(|figure| figure.demanded > 0.0 && figure.share >= figure.demanded).count()
    }
}

fn each(outcomes: &[Outcome], figure: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    outcomes.iter().map(figure).collect()
}

/// Seconds from `from` on; infinite if it never was.
fn seconds(at: Option<u64>, from: u64) -> f64 {
    at.map_or(f64::INFINITY, |at| (at - from) as f64 / 1e3)
}

/// The first millisecond from `from` on from which all of `track` is at the top rung for as long as it was seen.
fn top_from(seen: &Seen, from: u64, to: u64) -> Option<u64> {
    seen.first_cost(1, from, to, |cost| cost >= ALL_TOP - 1.0)
}

fn s1_setup(rival: Rival, seed: u64) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(3e6, 20.0), 75_000);
    setup.events = vec![(20_000, Event::Rate(300e3)), (40_000, Event::Rate(3e6))];
    setup
}

fn s1(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| s1_setup(rival, seed));
    let frozen = each(&runs, |run| run.seen[0].frozen(0, 20_000, 75_000) as f64 / 1e3);
    let mut card = Card::new("S1 3 M → 300 k → 3 M");
    card.at_most(
        "rung down, s",
        "≤ 2",
        2.0,
        EVERY,
        each(&runs, |run| seconds(run.seen[0].first_cost(1, 20_000, 40_000, |cost| cost <= 300e3), 20_000)),
    );
    card.at_least(
        "use of what fits, from +5 s",
        "≥ 0.90",
        0.90,
        EVERY,
        each(&runs, |run| run.seen[0].mean_rate(25_000, 40_000) / best_fitting(1, 300e3)),
    );
    card.at_most(
        "queue p95 in the dip, ms",
        "≤ 150",
        150.0,
        EVERY,
        each(&runs, |run| percentile(&run.queue_ms[20_000..40_000], 0.95)),
    );
    card.at_most(
        "top rung back, s",
        "≤ 8",
        8.0,
        NEARLY,
        each(&runs, |run| seconds(top_from(&run.seen[0], 40_000, 75_000), 40_000)),
    );
    card.at_most(
        "frozen, s",
        "≤ 1",
        1.0,
        0.4, // Not yet: see «What is missing» in docs/MEDIA.md.
        frozen.clone(),
    );
    card.at_most("frozen, s (what holds today)", "≤ 1.5", 1.5, EVERY, frozen);
    card
}

fn s2(case: Case) -> Card {
    let rival = case.rival;
    let mut card = Card::new("S2 join");
    for (bps, first, last, frozen) in [
        (600e3, "600 k: first frame, s", "600 k: last rung, s", "600 k: frozen in 10 s, s"),
        (1.5e6, "1.5 M: first frame, s", "1.5 M: last rung, s", "1.5 M: frozen in 10 s, s"),
        (5e6, "5 M: first frame, s", "5 M: last rung, s", "5 M: frozen in 10 s, s"),
    ] {
        let runs = case.outcomes(|seed| Setup::new(rival, seed, LinkConfig::new(bps, 20.0), 15_000));
        let best = best_fitting(1, bps);
        card.at_most(
            first,
            "≤ 0.7",
            0.7,
            EVERY,
            each(&runs, |run| run.seen[0].shown.first().map_or(f64::INFINITY, |shown| shown.1 as f64 / 1e6)),
        );
        card.at_most(
            last,
            "≤ 3",
            3.0,
            EVERY,
            each(&runs, |run| {
                seconds(run.seen[0].first_cost(1, 0, 15_000, |cost| cost >= best * 0.9 && cost <= bps), 0)
            }),
        );
        // A large first picture may be a freeze on a path that just carries it: see «What is missing» in docs/MEDIA.md.
        card.at_most(frozen, "0", 0.0, 0.75, each(&runs, |run| run.seen[0].frozen(0, 0, 10_000) as f64 / 1e3));
    }
    card
}

const S3_PHASES: [(u64, u64, f64); 4] =
    [(0, 40_000, 1.0e6), (40_000, 60_000, 2.5e6), (60_000, 80_000, 0.6e6), (80_000, 100_000, 1.0e6)];

fn s3_setup(rival: Rival, seed: u64) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(1e6, 50.0), 100_000);
    setup.tracks = vec![720, 720];
    setup.events = S3_PHASES.iter().skip(1).map(|&(at, _, bps)| (at, Event::Rate(bps))).collect();
    setup
}

/// RFC 8867 5.1, with two tracks, so that there are rungs to fit.
fn s3(case: Case) -> Card {
    let rival = case.rival;
    let phases = S3_PHASES;
    let runs = case.outcomes(|seed| s3_setup(rival, seed));
    let mut card = Card::new("S3 RFC 8867 5.1");
    card.at_least(
        "least use of what fits in a phase, from +5 s",
        "≥ 0.75",
        0.75,
        EVERY,
        each(&runs, |run| {
            let used = phases.map(|(from, to, bps)| run.seen[0].mean_rate(from + 5_000, to) / best_fitting(2, bps));
            used.into_iter().fold(f64::INFINITY, f64::min)
        }),
    );
    card.at_most(
        "most switches of a track in a phase, from +5 s",
        "≤ 3",
        3.0,
        EVERY,
        each(&runs, |run| {
            let switches = phases.map(|(from, to, _)| {
                (0..2)
                    .map(|track| {
                        run.seen[0].decided.iter().filter(|d| d.1 == track && (from + 5_000..to).contains(&d.0)).count()
                    })
                    .max()
            });
            switches.into_iter().flatten().max().unwrap_or(0) as f64
        }),
    );
    card.shown("queue p95, ms", each(&runs, |run| percentile(&run.queue_ms, 0.95)));
    card
}

fn jain(rates: &[f64]) -> f64 {
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    if squares > 0.0 { sum * sum / (rates.len() as f64 * squares) } else { 0.0 }
}

const S4_RATES: [f64; 5] = [2.0e6, 1.0e6, 1.75e6, 0.5e6, 1.0e6];

fn s4_setup(rival: Rival, seed: u64) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(S4_RATES[0], 50.0), 125_000);
    setup.joins = vec![0, 0];
    let steps = S4_RATES.iter().enumerate().skip(1);
    setup.events = steps.map(|(at, &bps)| (at as u64 * 25_000, Event::Rate(bps))).collect();
    setup
}

/// The parts of an S4 run in which the capacity stays, without the first five seconds of each, in milliseconds.
fn s4_phases() -> [(u64, u64); 5] {
    [0, 1, 2, 3, 4].map(|phase| (phase * 25_000 + 5_000, (phase + 1) * 25_000))
}

/// RFC 8867 5.2: two flows share a link whose capacity changes.
fn s4(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| s4_setup(rival, seed));
    let rates =
        |run: &Outcome| s4_phases().map(|(from, to)| [0, 1].map(|side: usize| run.seen[side].mean_rate(from, to)));
    let fairness = |run: &Outcome| rates(run).map(|rates| jain(&rates));
    let mut card = Card::new("S4 RFC 8867 5.2");
    card.at_least(
        "Jain of two, mean of phases",
        "≥ 0.9",
        0.9,
        NEARLY,
        each(&runs, |run| fairness(run).iter().sum::<f64>() / 5.0),
    );
    card.shown("Jain of two, least of phases", each(&runs, |run| fairness(run).into_iter().fold(1.0, f64::min)));
    card.shown(
        "use of the link, mean of phases",
        each(&runs, |run| {
            rates(run).iter().zip(S4_RATES).map(|(rates, bps)| (rates[0] + rates[1]) / bps).sum::<f64>() / 5.0
        }),
    );
    card.shown(
        "switches a minute and flow",
        each(&runs, |run| {
            let moves = |seen: &Seen| s4_phases().iter().map(|&(from, to)| seen.switches(from, to)).sum::<usize>();
            run.seen.iter().map(moves).sum::<usize>() as f64 * 60.0 / 200.0
        }),
    );
    card.at_most(
        "frozen, share of the time",
        "≤ 0.1",
        0.1,
        0.9,
        each(&runs, |run| run.seen.iter().map(|seen| seen.frozen(0, 5_000, 125_000)).sum::<u64>() as f64 / 240e3),
    );
    card
}

/// RFC 8867 5.4: flows of one kind compete, the last of them late.
fn s4_late_comer(case: Case) -> Card {
    const JOINS: [u64; 3] = [0, 10_000, 30_000];
    let rival = case.rival;
    let mut card = Card::new("S4 RFC 8867 5.4");
    let runs = case.outcomes(|seed| {
        let mut setup = Setup::new(rival, seed, LinkConfig::new(2e6, 50.0), 70_000);
        setup.joins = JOINS.to_vec();
        setup
    });
    let fairness = |run: &Outcome, from: u64, to: u64| {
        jain(&[0, 1, 2].map(|side: usize| run.seen[side].mean_rate(from - JOINS[side], to - JOINS[side])))
    };
    card.at_most(
        "late comer of three: Jain ≥ 0.85 after, s",
        "≤ 20",
        20.0,
        NEARLY,
        each(&runs, |run| {
            seconds((30_000..65_000).step_by(1_000).find(|&at| fairness(run, at, at + 5_000) >= 0.85), 30_000)
        }),
    );
    card.shown("Jain of three from 20 s after the last on", each(&runs, |run| fairness(run, 50_000, 70_000)));
    card
}

fn s5_setup(rival: Rival, seed: u64, loss: f64) -> Setup {
    Setup::new(rival, seed, LinkConfig { loss, ..LinkConfig::new(5e6, 20.0) }, 60_000)
}

fn s5(case: Case) -> Card {
    let rival = case.rival;
    let mut card = Card::new("S5 random loss on 5 M");
    let lossless = case.outcomes(|seed| Setup::new(rival, seed, LinkConfig::new(5e6, 20.0), 60_000));
    let whole = each(&lossless, |run| run.seen[0].mean_rate(10_000, 60_000));
    for (loss, name, pass, bound) in [
        (0.02, "2 %: rate of lossless", "≥ 0.9", 0.9),
        (0.05, "5 %: rate of lossless", "≥ 0.8", 0.8),
        (0.10, "10 %: rate of lossless", "≥ 0.6", 0.6),
    ] {
        let runs = case.outcomes(|seed| s5_setup(rival, seed, loss));
        let rates = each(&runs, |run| run.seen[0].mean_rate(10_000, 60_000));
        card.at_least(name, pass, bound, EVERY, rates.iter().zip(&whole).map(|(rate, whole)| rate / whole).collect());
    }
    card
}

fn s6(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| {
        let mut setup = Setup::new(rival, seed, LinkConfig::new(5e6, 20.0), 65_000);
        let mut rng = Rng::new(seed);
        for burst in 1..6 {
            let at = burst * 10_000 + rng.between(0.0, 500.0) as u64;
            setup.events.extend([(at, Event::Outage(true)), (at + 200, Event::Outage(false))]);
        }
        setup
    });
    let mut card = Card::new("S6 200 ms lost each 10 s");
    card.at_least(
        "bursts shown again within 500 ms of their end",
        "≥ 0.8",
        0.8,
        EVERY,
        each(&runs, |run| {
            let seen = &run.seen[0];
            let good = (1..6_u64).filter(|burst| {
                // The first frame shown after the end of the burst that follows the last of before without a gap.
                let from = burst * 10_000_000 + 200_000;
                seen.shown.iter().any(|shown| (from..from + 1_200_000).contains(&shown.1)) && {
                    let times: Vec<u64> = seen
                        .shown
                        .iter()
                        .map(|shown| shown.1)
                        .filter(|at| (from - 300_000..from + 2_000_000).contains(at))
                        .collect();
                    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u64::MAX) <= 700_000
                }
            });
            good.count() as f64 / 5.0
        }),
    );
    card.shown("PLIs", each(&runs, |run| f64::from(run.seen[0].plis)));
    card.shown(
        "time at the top rung",
        each(&runs, |run| {
            let seen = &run.seen[0];
            (10_000..65_000).step_by(100).filter(|&ms| seen.cost_at(1, ms) >= ALL_TOP - 1.0).count() as f64 / 550.0
        }),
    );
    card
}

fn s7_setup(rival: Rival, seed: u64) -> Setup {
    Setup::new(rival, seed, LinkConfig { jitter_ms: 30.0, ..LinkConfig::new(20e6, 60.0) }, 70_000)
}

fn s7(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| s7_setup(rival, seed));
    let mut card = Card::new("S7 jitter σ 30 ms");
    card.at_most("rungs down in 60 s", "0", 0.0, EVERY, each(&runs, |run| run.seen[0].falls(10_000, 70_000) as f64));
    card
}

fn s8_setup(rival: Rival, seed: u64) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(3e6, 20.0), 75_000);
    setup.tracks = vec![180];
    setup.events = vec![(60_000, Event::Height(0, 720))];
    setup
}

fn s8(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| s8_setup(rival, seed));
    let mut card = Card::new("S8 idle 60 s, then pinned");
    card.at_most(
        "top rung, s",
        "≤ 2.5",
        2.5,
        EVERY,
        each(&runs, |run| seconds(top_from(&run.seen[0], 60_000, 75_000), 60_000)),
    );
    card
}

fn s9_setup(rival: Rival, seed: u64) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(100e3, 30.0), 90_000);
    let mut rng = Rng::new(seed);
    setup.events = (1..18).map(|at| (at * 5_000, Event::Rate(rng.between(80e3, 120e3)))).collect();
    setup
}

fn s9(case: Case) -> Card {
    let rival = case.rival;
    let runs = case.outcomes(|seed| s9_setup(rival, seed));
    let mut card = Card::new("S9 80–120 kbit/s");
    card.at_most("audio lost from +10 s, %", "≤ 2", 2.0, EVERY, each(&runs, |run| run.seen[0].audio_lost * 100.0));
    card.at_most(
        "switches a minute from +10 s",
        "≤ 4",
        4.0,
        EVERY,
        each(&runs, |run| run.seen[0].switches(10_000, 90_000) as f64 * 60.0 / 80.0),
    );
    card.shown("queue p95 from +10 s, ms", each(&runs, |run| percentile(&run.queue_ms[10_000..], 0.95)));
    card
}

fn s12_setup(rival: Rival, seed: u64, cross: Cross) -> Setup {
    let mut setup = Setup::new(rival, seed, LinkConfig::new(2e6, 50.0), 120_000);
    setup.tracks = vec![720, 720];
    // Both begin in another order with each seed.
    let (ours, theirs) = if seed.is_multiple_of(2) { (0, 10_000) } else { (10_000, 0) };
    setup.joins = vec![ours];
    setup.cross = Some((theirs, cross));
    setup
}

/// RFC 8867 5.6 and its like: the flow of somebody else shares the bottleneck.
fn s12(case: Case) -> Card {
    let rival = case.rival;
    let mut card = Card::new("S12 beside others on 2 M");
    // Not yet on all: see «What is missing» in docs/MEDIA.md.
    for (cross, least, most, queue, frozen, demanded) in [
        (Cross::Tcp, "TCP: share", "TCP: share, too", "TCP: queue p50, ms", "TCP: frozen, share of the time", 0.6),
        (
            Cross::Browser(Rival::Ours),
            "browser: share",
            "browser: share, too",
            "browser: queue p50, ms",
            "browser: frozen, share of the time",
            0.6,
        ),
    ] {
        let runs = case.outcomes(|seed| s12_setup(rival, seed, cross));
        let shares = each(&runs, |run| run.share(40_000, 110_000));
        card.at_least(least, "≥ 0.3", 0.3, demanded, shares.clone());
        card.at_most(most, "≤ 0.7", 0.7, demanded, shares);
        card.shown(queue, each(&runs, |run| percentile(&run.queue_ms[40_000..110_000], 0.5)));
        card.shown(
            frozen,
            each(&runs, |run| {
                (0..2).map(|track| run.seen[0].frozen(track, 40_000, 110_000)).sum::<u64>() as f64 / 140e3
            }),
        );
    }
    // It fills the queue and stays there, which no browser does: beside it even more is lost.
    let runs = case.outcomes(|seed| s12_setup(rival, seed, Cross::Browser(Rival::Family)));
    card.shown("rtc-interceptor Gcc: share", each(&runs, |run| run.share(40_000, 110_000)));
    card
}

type Scenario = fn(Case) -> Card;

const SCENARIOS: [Scenario; 11] = [s1, s2, s3, s4, s4_late_comer, s5, s6, s7, s8, s9, s12];

#[test]
fn s1_a_path_that_dips_to_a_tenth_is_followed_down_and_up() {
    s1(Case::OURS).assert();
}

#[test]
fn s2_who_joins_sees_a_picture_at_once_and_the_best_that_fits_soon() {
    s2(Case::OURS).assert();
}

#[test]
fn s3_rfc_8867_5_1_a_single_flow_follows_a_capacity_that_changes() {
    s3(Case::OURS).assert();
}

#[test]
fn s4_rfc_8867_5_2_two_flows_share_a_capacity_that_changes() {
    s4(Case::OURS).assert();
}

#[test]
fn s4_rfc_8867_5_4_a_late_comer_gets_its_share_of_competing_flows() {
    s4_late_comer(Case::OURS).assert();
}

#[test]
fn s12_a_download_and_the_picture_of_a_browser_leave_room_and_get_some() {
    s12(Case::OURS).assert();
}

#[test]
fn s5_random_loss_is_not_taken_for_congestion() {
    s5(Case::OURS).assert();
}

#[test]
fn s6_a_burst_of_loss_costs_half_a_second_and_no_rung() {
    s6(Case::OURS).assert();
}

#[test]
fn s7_jitter_is_not_taken_for_a_queue() {
    s7(Case::OURS).assert();
}

#[test]
fn s8_who_was_idle_gets_the_top_rung_soon_after_it_is_wanted() {
    s8(Case::OURS).assert();
}

#[test]
fn s9_on_a_path_for_little_more_than_audio_the_audio_is_whole() {
    s9(Case::OURS).assert();
}

/// Prints the rows for docs/MEDIA.md; `SIM_SEEDS=20` for those that stand there.
#[test]
fn no_rival_meets_more_demands() {
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(TABLE_SEEDS);
    let mut rows = String::from(
        "| scenario | figure | passes | estimator | median | p5 | p95 | seeds that pass |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut met = Vec::new();
    for scenario in SCENARIOS {
        let cards = Rival::ALL.map(|rival| (rival, scenario(Case { rival, seeds })));
        cards.iter().for_each(|(rival, card)| rows.push_str(&card.rows(*rival)));
        met.push(cards.map(|(_, card)| card.met()));
    }
    #[expect(clippy::print_stdout, reason = "the table is what the run is asked for")]
    {
        println!("{rows}");
    }
    let sum = |place: usize| met.iter().map(|met| met[place]).sum::<usize>();
    assert!(sum(2) > sum(0) && sum(2) > sum(1), "demands met by each estimator in each scenario: {met:?}");
}

/// With `SIM_TRACE=1 SIM_CASE=s3 SIM_SEED=2` it shows what happens in a run.
#[test]
fn the_same_seed_gives_the_same_run() {
    let seed = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let setup = match std::env::var("SIM_CASE").as_deref() {
        Ok("s3") => s3_setup(Rival::Ours, seed),
        Ok("s4") => s4_setup(Rival::Ours, seed),
        Ok("s5") => s5_setup(Rival::Ours, seed, 0.10),
        Ok("s7") => s7_setup(Rival::Ours, seed),
        Ok("s8") => s8_setup(Rival::Ours, seed),
        Ok("s12") => s12_setup(Rival::Ours, seed, Cross::Tcp),
        Ok("s9") => s9_setup(Rival::Ours, seed),
        _ => s1_setup(Rival::Ours, seed),
    };
    let first = run(&setup);
    let second = run(&Setup { trace: false, ..setup.clone() });
    let other = run(&Setup { trace: false, seed: seed + 1, ..setup });
    assert_eq!(first.seen[0].rate, second.seen[0].rate);
    assert_eq!(first.seen[0].decided, second.seen[0].decided);
    assert_ne!(first.seen[0].rate, other.seen[0].rate, "another seed is another run");
}
