//! `cargo xtask instructions`: how many instructions the hot functions take, and whether these are more than they were.
//!
//! valgrind counts what happens within one function of `benches/instructions`. The counts are the same on a busy machine and
//! differ little between machines, so they can be compared with those in git.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, capture, cargo, root, run};

/// The counts in git: a piece and its instructions for each unit a line.
const KNOWN: &str = "benches/instructions/known.txt";
/// So much more or less is not worth a word: compilers and hashes differ.
const MARGIN: f64 = 0.05;
/// The function within which is counted, whatever its type parameters.
const COUNTED: &str = "--toggle-collect=*instructions*counted*";

/// Counts and compares; with `record`, writes what was counted in place of what was known.
pub(crate) fn count(record: bool) -> Result<(), Failure> {
    let binary = build()?;
    let known = read(&fs::read_to_string(root().join(KNOWN)).unwrap_or_default());
    let mut found = BTreeMap::new();
    for piece in pieces(&binary)? {
        found.insert(piece.clone(), measure(&binary, &piece)?);
    }
    if record {
        let lines: String = found.iter().map(|(piece, count)| format!("{piece} {count:.0}\n")).collect();
        return fs::write(root().join(KNOWN), lines).map_err(|error| format!("{KNOWN}: {error}"));
    }
    judge(&known, &found)
}

fn build() -> Result<PathBuf, Failure> {
    run(cargo(&["build", "--release", "-p", "roundtable-instructions"]))?;
    Ok(root().join("target/release/instructions"))
}

fn pieces(binary: &PathBuf) -> Result<Vec<String>, Failure> {
    let said = capture(Command::new(binary))?;
    let list = said.trim().strip_prefix("pieces: ").ok_or("the bench does not name its pieces")?;
    Ok(list.split(", ").map(str::to_owned).collect())
}

/// Instructions of a piece for each of its units.
fn measure(binary: &PathBuf, piece: &str) -> Result<f64, Failure> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", COUNTED, "--callgrind-out-file=/dev/null"]).arg(binary).arg(piece);
    let output =
        valgrind.output().map_err(|error| format!("valgrind: {error} (on Debian, apt-get install valgrind)"))?;
    let (units, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let units: f64 = units.trim().parse().map_err(|_| format!("{piece}: no result under valgrind\n{said}"))?;
    let collected = collected(&said).filter(|count| *count > 0 && units > 0.0);
    collected.map(|count| count as f64 / units).ok_or_else(|| format!("{piece}: valgrind counted nothing\n{said}"))
}

/// The number in valgrind's line `==PID== Collected : NUMBER`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

fn read(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter_map(|(piece, count)| Some((piece.to_owned(), count.trim().parse().ok()?))).collect()
}

/// Says how each piece stands. More than known, and a piece that nobody knows, is a failure; less is said to be.
fn judge(known: &BTreeMap<String, f64>, found: &BTreeMap<String, f64>) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for (piece, count) in found {
        let before = known.get(piece).copied();
        let change = before.map_or(f64::INFINITY, |before| count / before - 1.0);
        let word = if change > MARGIN {
            failures.push(piece.as_str());
            "✗ more than"
        } else if change < -MARGIN {
            "less than"
        } else {
            "as"
        };
        println!("{piece:<12} {count:>8.0} instructions, {word} known: {:.0}", before.unwrap_or_default());
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: more instructions than in {KNOWN}; if that is right, `cargo xtask instructions record`",
        failures.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_margin_and_what_is_unknown_fails() {
        let known = read("seal 1000\ndemux 200\n");
        for (text, fine) in [("seal 1049", true), ("seal 1051", false), ("seal 300", true), ("arena 1", false)] {
            assert_eq!(judge(&known, &read(text)).is_ok(), fine, "{text}");
        }
    }

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n"), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }
}
