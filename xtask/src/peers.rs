//! `cargo xtask peers [GOAL]...`: how the server stands against the bare loop and a naive server on str0m.

use serde_json::Value;

use crate::bench::{self, bench, ratio};
use crate::{Failure, cargo, root, run};

/// One scenario and what is asked of it. The names of the goals are those of docs/PERFORMANCE.md.
struct Goal {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Beside what it runs.
    beside: Beside,
    judges: &'static [Judge],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// The bare loop both ways, and the server on str0m.
    All,
    /// Nothing: the server alone.
    Nothing,
    /// Itself with one shard, in turn: with as many rooms, with half as many, so that the one has no more to do than each of
    /// two, and two of those at once, which share nothing but the machine.
    OneShard,
}

/// A figure and its bound.
enum Judge {
    /// The server's CPU a packet ÷ that of a rival, at most.
    Ratio(&'static str, f64),
    /// System calls a packet, at most.
    Calls(f64),
    /// Percent of a core, at most, without loss.
    Core(f64),
    /// How many times as much two shards can do as one that has as much to do as each of them, at least.
    Scale(f64),
    /// The same beside one that has as much to do as both, to which more comes at once.
    SameRooms(f64),
    /// How much of what two servers of one shard can do at once two shards of one server can, at least.
    Apart(f64),
}

const SEGMENTED: &str = "floor, segmented";
const PLAIN: &str = "floor, plain";
const STR0M: &str = "str0m-sfu";
const FAN_OUT: &[Judge] = &[Judge::Ratio(SEGMENTED, 1.5), Judge::Ratio(STR0M, 1.0 / 3.0), Judge::Calls(0.05)];

const GOALS: &[Goal] = &[
    Goal { name: "p1-50", arguments: &["fan-out", "--subscribers", "50"], beside: Beside::All, judges: FAN_OUT },
    Goal {
        name: "p1-50-equal",
        arguments: &["fan-out", "--subscribers", "50", "--equal"],
        beside: Beside::All,
        judges: FAN_OUT,
    },
    Goal { name: "p1-100", arguments: &["fan-out", "--subscribers", "100"], beside: Beside::All, judges: FAN_OUT },
    Goal {
        name: "p1-100-equal",
        arguments: &["fan-out", "--subscribers", "100", "--equal"],
        beside: Beside::All,
        judges: FAN_OUT,
    },
    Goal {
        name: "p2",
        arguments: &["meetings", "--rooms", "2", "--members", "10"],
        beside: Beside::All,
        judges: &[Judge::Ratio(PLAIN, 1.5), Judge::Ratio(STR0M, 1.0 / 3.0)],
    },
    Goal {
        name: "p3",
        arguments: &["audio", "--subscribers", "200"],
        beside: Beside::All,
        judges: &[Judge::Ratio(PLAIN, 1.3)],
    },
    Goal {
        name: "p5",
        arguments: &["fan-out", "--subscribers", "1000", "--server-args=--shards=1"],
        beside: Beside::Nothing,
        judges: &[Judge::Core(100.0)],
    },
    Goal {
        name: "p8",
        arguments: &["meetings", "--members", "4", "--kbit", "300"],
        beside: Beside::OneShard,
        judges: &[Judge::Scale(1.8), Judge::SameRooms(1.8), Judge::Apart(0.9)],
    },
];

/// Seconds until the server has found out what the paths carry; its probes would count as its cost.
const SETTLING: &str = "6";
/// Rooms are spread from the first on. Else a server with as little to do as this would keep them on one shard.
const SPREAD: &str = "--server-args=--gather-below=0";
/// Rounds of a goal; the medians count.
const ROUNDS: u32 = 3;

/// Measures the goals whose names begin with one of `names`, or all. A goal that is not reached is no failure: to say so is
/// what the command is for.
pub(crate) fn compare(names: &[&str]) -> Result<(), Failure> {
    let is_meant = |goal: &&Goal| names.is_empty() || names.iter().any(|name| goal.name.starts_with(name));
    let goals: Vec<&Goal> = GOALS.iter().filter(is_meant).collect();
    if goals.is_empty() {
        let known: Vec<&str> = GOALS.iter().map(|goal| goal.name).collect();
        return Err(format!("no such goal; there are {}", known.join(", ")));
    }
    bench::build()?;
    if goals.iter().any(|goal| goal.beside == Beside::All) {
        run(cargo(&["build", "--release", "--manifest-path", &manifest()]))?;
    }
    let mut lines = Vec::new();
    for goal in goals {
        let figures = measure(goal)?;
        lines.extend(goal.judges.iter().map(|judge| format!("{:<13} {}", goal.name, judge.verdict(&figures))));
    }
    println!("\n{}", lines.join("\n"));
    Ok(())
}

/// Runs of a round with [`Beside::OneShard`], each one a number of servers at once and the shards and rooms of each.
const SERVERS: [(usize, &str, &str); 4] = [(1, "1", "25"), (1, "1", "50"), (1, "2", "50"), (2, "1", "25")];
/// What is measured a round.
const DOCUMENTS: usize = 5;
/// Which of them is of two shards, …
const TWO_SHARDS: usize = 2;
/// … and which are of two servers.
const TWO_SERVERS: [usize; 2] = [3, 4];

/// The figures of a goal: one document, or with [`Beside::OneShard`] those of [`SERVERS`], round by round.
fn measure(goal: &Goal) -> Result<Vec<Value>, Failure> {
    let rounds = ROUNDS.to_string();
    let peer = peer();
    match goal.beside {
        Beside::All => {
            let more = ["--compare", "--peer", &peer, "--runs", &rounds, "--seconds", "4", "--warmup", SETTLING];
            Ok(vec![bench(goal.name, &[goal.arguments, &more].concat())?])
        }
        Beside::Nothing => {
            Ok(vec![bench(goal.name, &[goal.arguments, &["--runs", &rounds, "--warmup", SETTLING]].concat())?])
        }
        Beside::OneShard => {
            let mut figures = Vec::new();
            for round in 1..=ROUNDS {
                for (servers, shards, rooms) in SERVERS {
                    let with = format!("--server-args=--shards={shards}");
                    let more = [with.as_str(), SPREAD, "--rooms", rooms, "--seconds", "6", "--warmup", SETTLING];
                    let run = |server: usize| {
                        let name = format!("{}-{round}-{shards}-{rooms}-{server}-of-{servers}", goal.name);
                        bench(&name, &[goal.arguments, &more].concat())
                    };
                    figures.extend(at_once(servers, &run)?);
                }
            }
            Ok(figures)
        }
    }
}

/// Does something so many times at once.
fn at_once<T: Send>(times: usize, work: &(impl Fn(usize) -> Result<T, Failure> + Sync)) -> Result<Vec<T>, Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=times).map(|number| scope.spawn(move || work(number))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| "a run has panicked".to_owned())?);
        ended.collect()
    })
}

fn manifest() -> String {
    root().join("benches/str0m-sfu/Cargo.toml").display().to_string()
}

fn peer() -> String {
    root().join("benches/str0m-sfu/target/release/str0m-sfu").display().to_string()
}

impl Judge {
    fn verdict(&self, figures: &[Value]) -> String {
        let (what, found, bound, at_most) = match *self {
            Self::Ratio(name, most) => (format!("CPU a packet ÷ {name}"), self.find(figures), most, true),
            Self::Calls(most) => ("system calls a packet".to_owned(), self.find(figures), most, true),
            Self::Core(most) => ("percent of a core, without loss".to_owned(), self.find(figures), most, true),
            Self::Scale(least) => {
                ("two shards ÷ one with as much a shard".to_owned(), self.find(figures), least, false)
            }
            Self::SameRooms(least) => ("two shards ÷ one with all of it".to_owned(), self.find(figures), least, false),
            Self::Apart(least) => ("two shards ÷ two servers at once".to_owned(), self.find(figures), least, false),
        };
        let Some(found) = found else { return format!("? {what}: no run counts") };
        let holds = if at_most { found <= bound } else { found >= bound };
        let (sign, word) = (if holds { "✓" } else { "✗" }, if at_most { "at most" } else { "at least" });
        format!("{sign} {what}: {found:.3} (goal: {word} {bound:.3})")
    }

    fn find(&self, figures: &[Value]) -> Option<f64> {
        match self {
            Self::Ratio(name, _) => Some(ratio(figures.first()?, name)?.0),
            Self::Calls(_) => figures.first()?["median"]["callsPerPacket"].as_f64(),
            Self::Core(_) => figures.first()?["median"]["server"]["corePercent"].as_f64(),
            Self::Scale(_) => scale(figures, |round| cost(&round[0])),
            Self::SameRooms(_) => scale(figures, |round| cost(&round[1])),
            // Each of them carries half of the packets.
            Self::Apart(_) => scale(figures, |round| {
                let [one, other] = TWO_SERVERS.map(|at| cost(&round[at]));
                Some(one?.max(other?) / 2.0)
            }),
        }
    }
}

/// A thread has one core at most, so the busiest one bounds what a server can do: what `beside` finds in a round ÷ that with
/// two shards, the median of the rounds.
fn scale(figures: &[Value], beside: impl Fn(&[Value]) -> Option<f64>) -> Option<f64> {
    let rounds = figures.chunks_exact(DOCUMENTS);
    let mut scales: Vec<f64> = rounds.filter_map(|round| Some(beside(round)? / cost(&round[TWO_SHARDS])?)).collect();
    scales.sort_by(f64::total_cmp);
    scales.get(scales.len() / 2).copied()
}

/// CPU a packet of the busiest thread, in µs.
fn cost(figures: &Value) -> Option<f64> {
    figures["median"]["busiestThreadMicrosPerPacket"].as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_reached_and_what_is_not_is_said() {
        let figures = [json!({
            "median": { "callsPerPacket": 0.1, "server": { "corePercent": 60.0 } },
            "beside": [{ "name": PLAIN, "ratio": { "median": 1.2, "rounds": [1.2] } }],
        })];
        let verdict = |judge: Judge| judge.verdict(&figures);
        assert_eq!(verdict(Judge::Ratio(PLAIN, 1.5)), "✓ CPU a packet ÷ floor, plain: 1.200 (goal: at most 1.500)");
        assert!(verdict(Judge::Ratio(PLAIN, 1.1)).starts_with('✗'));
        assert!(verdict(Judge::Ratio(STR0M, 1.1)).starts_with('?'));
        assert!(verdict(Judge::Calls(0.02)).starts_with('✗') && verdict(Judge::Core(100.0)).starts_with('✓'));
    }

    #[test]
    fn two_shards_are_compared_with_one_by_their_busiest_threads() {
        let run = |cost: f64| json!({ "median": { "busiestThreadMicrosPerPacket": cost } });
        let rounds = [[7.5, 6.0, 3.0, 5.0, 5.4], [7.5, 6.0, 4.0, 7.0, 7.2]].map(|round| round.map(run));
        let torn = [run(7.5), run(6.0), json!({}), run(6.0), run(6.0)];
        let figures: Vec<_> = rounds.into_iter().chain([torn]).flatten().collect();
        let found = [Judge::Scale(2.4), Judge::SameRooms(2.4), Judge::Apart(0.95)].map(|judge| judge.find(&figures));
        assert_eq!(found, [Some(2.5), Some(2.0), Some(0.9)]);
        assert!(
            Judge::Scale(2.4).verdict(&figures).starts_with('✓')
                && Judge::SameRooms(2.4).verdict(&figures).starts_with('✗')
        );
        assert_eq!(Judge::Scale(2.4).find(&[]), None);
    }

    #[test]
    fn what_is_measured_is_where_it_is_looked_for() {
        let runs: Vec<_> =
            SERVERS.iter().flat_map(|(servers, shards, _)| (0..*servers).map(move |_| (*servers, *shards))).collect();
        assert_eq!(runs.len(), DOCUMENTS);
        assert_eq!(runs[TWO_SHARDS], (1, "2"));
        assert_eq!(TWO_SERVERS.map(|at| runs[at]), [(2, "1"); 2]);
        assert_eq!(at_once(2, &|number| Ok(number)), Ok(vec![1, 2]));
        assert!(at_once(2, &|number| if number == 2 { Err(Failure::new()) } else { Ok(()) }).is_err());
    }
}
