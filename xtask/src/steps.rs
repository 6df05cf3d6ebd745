//! `cargo xtask test`: every step in order, and how many held.

use std::num::NonZero;
use std::time::{Duration, Instant};

use crate::{Failure, capture, cargo, cost, git, independent, instructions, npm, run, scenarios, tools};

/// One thing that must hold.
struct Step {
    name: &'static str,
    /// The steps without which this one cannot run.
    needs: &'static [&'static str],
    run: fn() -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "tools", needs: &[], run: tools::provide },
    Step { name: "format", needs: &[], run: || run(cargo(&["fmt", "--all", "--check"])) },
    Step {
        name: "lints",
        needs: &[],
        run: || run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    },
    Step { name: "tests", needs: &[], run: tests },
    // Outside of the workspace, so that what it speaks of our protocol would go stale unseen.
    Step {
        name: "other server",
        needs: &[],
        run: || run(cargo(&["check", "--manifest-path", "benches/str0m-sfu/Cargo.toml"])),
    },
    Step { name: "other client", needs: &["tools"], run: independent::play },
    Step { name: "documentation", needs: &[], run: documentation },
    Step { name: "web packages", needs: &[], run: || run(npm(&["ci"])) },
    Step { name: "web lints", needs: &["web packages"], run: || run(npm(&["run", "lint"])) },
    Step { name: "web types", needs: &["web packages"], run: || run(npm(&["run", "types"])) },
    Step { name: "web tests", needs: &["web packages"], run: || run(npm(&["test"])) },
    Step { name: "web build", needs: &["web packages"], run: || run(npm(&["run", "build"])) },
    Step { name: "page in git", needs: &["web build"], run: page_in_git },
    Step { name: "release build", needs: &[], run: || run(cargo(&["build", "--release"])) },
    Step { name: "instructions", needs: &["tools"], run: || instructions::count(false) },
    Step { name: "cost", needs: &["release build"], run: cost::guard },
    Step { name: "browsers", needs: &["web packages", "release build"], run: || run(npm(&["run", "e2e"])) },
    Step { name: "bad links", needs: &["web packages", "release build"], run: scenarios::guard },
];

/// The page as it lies in git.
const PAGE: &str = "web/app/dist";

/// Runs all steps. A failure does not keep the others from running, unless they stand on it.
pub(crate) fn test() -> Result<(), Failure> {
    let mut failed: Vec<(&str, Failure)> = Vec::new();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        println!("\n━━━ {}/{} {} ━━━", number + 1, STEPS.len(), step.name);
        let began = Instant::now();
        let lacking = step.needs.iter().find(|need| failed.iter().any(|(name, _)| name == *need));
        let outcome = match lacking {
            Some(need) => Err(format!("not run, because «{need}» failed")),
            None => (step.run)(),
        };
        times.push((step.name, began.elapsed()));
        if let Err(failure) = outcome {
            println!("✗ {failure}");
            failed.push((step.name, failure));
        }
    }
    report(&times, &failed)
}

fn report(times: &[(&str, Duration)], failed: &[(&str, Failure)]) -> Result<(), Failure> {
    println!("\n━━━ result ━━━");
    for (name, time) in times {
        let failure = failed.iter().find(|(failed, _)| failed == name);
        let (sign, why) = failure.map_or(("✓", ""), |(_, failure)| ("✗", failure.lines().next().unwrap_or_default()));
        println!("{sign} {name:<14} {:>6.1} s  {why}", time.as_secs_f64());
    }
    println!("{} passed, {} failed", times.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(Failure::new()) }
}

/// Twice as many at once as there are cores: those of the product wait most of their time.
fn tests() -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut command = cargo(&["test", "--workspace"]);
    command.env("RUST_TEST_THREADS", (2 * cores).to_string());
    run(command)
}

fn documentation() -> Result<(), Failure> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

/// The build just made is the one in git, so that `cargo install` needs no Node.
fn page_in_git() -> Result<(), Failure> {
    let changes = capture(git(&["status", "--porcelain", "--", PAGE]))?;
    if changes.is_empty() {
        println!("{PAGE} is what the sources make");
        return Ok(());
    }
    println!("{changes}");
    Err(format!("{PAGE} in git is not what the sources make: commit what `cargo xtask web` builds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_on_earlier_ones_only() {
        for (number, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(STEPS[..number].iter().any(|earlier| earlier.name == *need), "{} needs {need}", step.name);
            }
        }
    }

    #[test]
    fn one_failure_is_enough_to_fail() {
        let times = [("a", Duration::ZERO), ("b", Duration::ZERO)];
        assert_eq!(report(&times, &[]), Ok(()));
        assert!(report(&times, &[("b", "it broke".to_owned())]).is_err());
    }
}
