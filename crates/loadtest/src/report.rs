//! The runs of a scenario one after the other, and what is said of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use crate::compare::{self, Rival, counted};
use crate::contestant::Contestant;
use crate::curve::{self, Point};
use crate::events::{self, EventFigures};
use crate::figures::Figures;
use crate::floor;
use crate::options::{Command, Common, Curve, Events, Options, Scenario};
use crate::process::{load_average, machine};
use crate::scenario::{self, Run, RunError};
use crate::table::table;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There are figures.
    Reported,
    /// No run counts, and why was said.
    Refused,
}

/// Why there is nothing to say.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BenchError(#[from] Fault);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Print(#[from] io::Error),
}

/// What is written as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: &'a str,
    machine: Machine,
    scenario: &'a str,
    /// The scenario's own options.
    options: String,
    runs: &'a [Figures],
    /// Of the runs that count; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<&'a Figures>,
    /// What ran in turn with the server.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    beside: &'a [Rival],
}

/// What is written of a curve.
#[derive(Debug, Serialize)]
struct CurveDocument<'a> {
    version: &'a str,
    machine: Machine,
    scenario: &'a str,
    points: &'a [Point],
}

/// What is written of events.
#[derive(Debug, Serialize)]
struct EventsDocument<'a> {
    version: &'a str,
    machine: Machine,
    scenario: &'a str,
    options: String,
    runs: &'a [EventFigures],
}

/// The machine that ran both.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    /// Of the last minute before the first run: what else it had to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    load_average: Option<f64>,
}

/// Runs a scenario as often as asked, telling of it on `out` as it goes: a table at the end, or the JSON alone.
///
/// `executable` is started with `serve` settings in its environment unless the options name a server that runs.
///
/// # Errors
/// A server or a client that did not get as far as media, and what cannot be written.
pub fn run(options: &Options, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, BenchError> {
    Ok(match &options.command {
        Command::Scenario(scenario) => run_all(scenario, executable, out)?,
        Command::Curve(options) => run_curve(options, executable, out)?,
        Command::Events(options) => run_events(options, executable, out)?,
        Command::BareLoop(options) => {
            floor::serve(options.sending, out).map_err(Fault::Print)?;
            Outcome::Reported
        }
    })
}

fn run_all(scenario: &Scenario, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, Fault> {
    let common = scenario.common();
    let machine = Machine::this();
    let bare = is_bare(common);
    let out = Mutex::new(out);
    let say = |line: String| {
        if !bare {
            // Who closed the output does not want to hear more.
            let _ = writeln!(out.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "{line}");
        }
    };
    let load = machine.load_average.map(|load| format!(", load {load:.1}")).unwrap_or_default();
    say(format!("{} on {}, {} cores, Linux {}{load}", scenario.name(), machine.cpu, machine.cores, machine.kernel));
    let beside = scenario.beside().map(Contestant::beside).unwrap_or_default();
    let contestants: Vec<Contestant> = [Contestant::asked(common)].into_iter().chain(beside).collect();
    let mut rounds = play(scenario, &contestants, executable, &say)?.into_iter();
    let runs = rounds.next().unwrap_or_default();
    let names = contestants.iter().skip(1).map(Contestant::name);
    let rivals: Vec<Rival> = names.zip(rounds).map(|(name, theirs)| Rival::new(name, &runs, theirs)).collect();
    let median = counted(&runs);
    match &median {
        None => say("no run counts: nothing to report".to_owned()),
        Some(median) if runs.len() > 1 => {
            let number = runs.iter().filter(|run| run.refused.is_empty()).count();
            say(format!("medians of {number} runs\n{}", table(median).trim_end()));
        }
        Some(_) => {}
    }
    if !rivals.is_empty() {
        say(compare::table(&runs, &rivals).trim_end().to_owned());
    }
    let document = Document {
        version: env!("CARGO_PKG_VERSION"),
        machine,
        scenario: scenario.name(),
        options: format!("{scenario:?}"),
        runs: &runs,
        median: median.as_ref(),
        beside: &rivals,
    };
    let out = out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    write_json(common, &document, out)?;
    Ok(if median.is_some() { Outcome::Reported } else { Outcome::Refused })
}

/// One point after the other.
fn run_curve(options: &Curve, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, Fault> {
    let Curve { common } = options;
    let (machine, bare) = (Machine::this(), is_bare(common));
    let out = Mutex::new(out);
    let say = |line: String| {
        if !bare {
            // Who closed the output does not want to hear more.
            let _ = writeln!(out.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "{line}");
        }
    };
    let contestant = [Contestant::asked(common)];
    let mut points = Vec::new();
    for (name, scenario) in curve::points(options) {
        say(name.clone());
        let runs = play(&scenario, &contestant, executable, &say)?.pop().unwrap_or_default();
        points.push(Point { name, median: counted(&runs), runs });
    }
    say(curve::table(&points).trim_end().to_owned());
    let counts = points.iter().any(|point| point.median.is_some());
    let out = out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let version = env!("CARGO_PKG_VERSION");
    write_json(common, &CurveDocument { version, machine, scenario: "curve", points: &points }, out)?;
    Ok(if counts { Outcome::Reported } else { Outcome::Refused })
}

/// Messages over one transport after the other.
fn run_events(options: &Events, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, Fault> {
    let machine = Machine::this();
    let bare = is_output(options.json.as_deref());
    let out = Mutex::new(out);
    let say = |line: String| {
        if !bare {
            // Who closed the output does not want to hear more.
            let _ = writeln!(out.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "{line}");
        }
    };
    let load = machine.load_average.map(|load| format!(", load {load:.1}")).unwrap_or_default();
    say(format!("events on {}, {} cores, Linux {}{load}", machine.cpu, machine.cores, machine.kernel));
    let mut runs = Vec::new();
    for plan in events::plans(options) {
        let run = events::run(&plan, options, executable, &say)?;
        run.refused.iter().for_each(|why| say(format!("  refused: {why}")));
        runs.push(run);
    }
    say(events::table(&runs).trim_end().to_owned());
    let out = out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (version, options_text) = (env!("CARGO_PKG_VERSION"), format!("{options:?}"));
    let document = EventsDocument { version, machine, scenario: "events", options: options_text, runs: &runs };
    write_json_to(options.json.as_deref(), &document, out)?;
    let all_count = runs.iter().all(|run| run.refused.is_empty());
    Ok(if all_count { Outcome::Reported } else { Outcome::Refused })
}

/// The runs of all contestants, who take turns, each round in another order, so that all see the same weather.
fn play(
    scenario: &Scenario,
    contestants: &[Contestant],
    executable: &Path,
    say: &(dyn Fn(String) + Sync),
) -> Result<Vec<Vec<Figures>>, RunError> {
    let common = scenario.common();
    let mut figures = vec![Vec::new(); contestants.len()];
    for round in 0..common.runs {
        let first = round as usize % contestants.len().max(1);
        let order = contestants.iter().zip(0..).cycle().skip(first).take(contestants.len());
        for (contestant, at) in order {
            let name = if contestants.len() > 1 { format!(": {}", contestant.name()) } else { String::new() };
            say(format!("run {} of {}{name}", round + 1, common.runs));
            let run = Run { executable, contestant, counts_calls: contestants.len() > 1, common, say };
            let run = scenario::run(scenario, &run)?;
            say(table(&run).trim_end().to_owned());
            run.refused.iter().for_each(|why| say(format!("  refused: {why}")));
            // Places are numbered as the contestants are.
            figures[at].push(run);
        }
    }
    Ok(figures)
}

impl Machine {
    fn this() -> Self {
        let (cpu, cores, kernel) = machine();
        Self { cpu, cores, kernel, load_average: load_average() }
    }
}

/// Whether the JSON takes the place of everything else on the output.
fn is_bare(common: &Common) -> bool {
    is_output(common.json.as_deref())
}

fn is_output(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}

fn write_json(common: &Common, document: &impl Serialize, out: &mut (dyn Write + Send)) -> Result<(), Fault> {
    write_json_to(common.json.as_deref(), document, out)
}

fn write_json_to(file: Option<&Path>, document: &impl Serialize, out: &mut (dyn Write + Send)) -> Result<(), Fault> {
    let Some(path) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
    if is_output(file) {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    std::fs::write(path, text + "\n").map_err(|source| Fault::Json { path: path.to_owned(), source })
}
