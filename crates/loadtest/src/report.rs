//! The runs of a scenario one after the other, and what is said of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use crate::figures::Figures;
use crate::options::{Common, Options};
use crate::process::machine;
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
}

/// The machine that ran both.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

/// Runs a scenario as often as asked, telling of it on `out` as it goes: a table at the end, or the JSON alone.
///
/// `executable` is started with `serve` settings in its environment unless the options name a server that runs.
///
/// # Errors
/// A server or a client that did not get as far as media, and what cannot be written.
pub fn run(options: &Options, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, BenchError> {
    Ok(run_all(options, executable, out)?)
}

fn run_all(options: &Options, executable: &Path, out: &mut (dyn Write + Send)) -> Result<Outcome, Fault> {
    let scenario = &options.scenario;
    let common = scenario.common();
    let (cpu, cores, kernel) = machine();
    let machine = Machine { cpu, cores, kernel };
    let bare = is_bare(common);
    let out = Mutex::new(out);
    let say = |line: String| {
        if !bare {
            // Who closed the output does not want to hear more.
            let _ = writeln!(out.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "{line}");
        }
    };
    say(format!("{} on {}, {} cores, Linux {}", scenario.name(), machine.cpu, machine.cores, machine.kernel));
    let mut runs = Vec::new();
    for number in 1..=common.runs {
        say(format!("run {number} of {}", common.runs));
        let figures = scenario::run(scenario, &Run { executable, common, say: &say })?;
        say(table(&figures).trim_end().to_owned());
        figures.refused.iter().for_each(|why| say(format!("  refused: {why}")));
        runs.push(figures);
    }
    let counted: Vec<&Figures> = runs.iter().filter(|run| run.refused.is_empty()).collect();
    let median = Figures::median(&counted);
    match &median {
        None => say("no run counts: nothing to report".to_owned()),
        Some(median) if runs.len() > 1 => {
            say(format!("medians of {} runs\n{}", counted.len(), table(median).trim_end()));
        }
        Some(_) => {}
    }
    let outcome = if median.is_some() { Outcome::Reported } else { Outcome::Refused };
    let document = Document {
        version: env!("CARGO_PKG_VERSION"),
        machine,
        scenario: scenario.name(),
        options: format!("{scenario:?}"),
        runs: &runs,
        median: median.as_ref(),
    };
    let out = out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    write_json(common, &document, out)?;
    Ok(outcome)
}

/// Whether the JSON takes the place of everything else on the output.
fn is_bare(common: &Common) -> bool {
    common.json.as_deref() == Some(Path::new("-"))
}

fn write_json(common: &Common, document: &Document<'_>, out: &mut (dyn Write + Send)) -> Result<(), Fault> {
    let Some(path) = &common.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
    if is_bare(common) {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    std::fs::write(path, text + "\n").map_err(|source| Fault::Json { path: path.clone(), source })
}
