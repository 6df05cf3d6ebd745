//! `cargo xtask fuzz [SECONDS]`: looks for inputs that break what must hold for every peer's bytes.
//!
//! The targets are built with LLVM's coverage counters and linked with libFuzzer, which stable Rust can do as long as
//! no sanitizer is asked for; there is no unsafe code in them that one could watch. Where they cannot be built (they
//! need a C++ compiler), inputs are made of the corpora without looking at coverage, by the test that also is the
//! short slice in `cargo xtask test`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, capture, cargo, root, run};

/// Seconds for all targets together if the command names none.
const DEFAULT_SECONDS: u64 = 90;
/// What libFuzzer needs of the compiler.
const COVERAGE: &str = "--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Inputs the test makes of each corpus in a second, roughly.
const EXECUTIONS_PER_SECOND: u64 = 20_000;

/// Fuzzes every target for its share of `seconds`.
pub(crate) fn fuzz(seconds: Option<&str>) -> Result<(), Failure> {
    let seconds = match seconds.map(str::parse) {
        None => DEFAULT_SECONDS,
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => return Err("cargo xtask fuzz [SECONDS]: a whole number".to_owned()),
    };
    let targets = targets()?;
    let share = (seconds / targets.len().max(1) as u64).max(1);
    match build() {
        Ok(binaries) => targets.iter().try_for_each(|target| search(&binaries, target, share)),
        Err(failure) => {
            println!("{failure}\nwithout coverage, then");
            mutate(share)
        }
    }
}

/// The names of all targets, in order.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<_> =
        entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Builds the targets; returns the folder of their binaries.
fn build() -> Result<PathBuf, Failure> {
    let version = capture(cargo(&["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("cargo does not name its host")?;
    // With a target, build scripts go without the counters.
    let mut build = cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", host]);
    build.args(["--target-dir", "fuzz/target"]).env("RUSTFLAGS", COVERAGE).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(build)?;
    Ok(root().join("fuzz/target").join(host).join("release"))
}

/// Runs one target from its corpus on. Inputs that reach something new are kept in `fuzz/target/found`, those that
/// break something in `fuzz/artifacts`.
fn search(binaries: &std::path::Path, target: &str, seconds: u64) -> Result<(), Failure> {
    let (found, broken) = (root().join("fuzz/target/found").join(target), root().join("fuzz/artifacts").join(target));
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut fuzzer = Command::new(binaries.join(target));
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .args(["-print_final_stats=1", "-verbosity=0", "-timeout=10", "-rss_limit_mb=1024"])
        .args([found, root().join("fuzz/corpus").join(target)])
        .current_dir(root());
    run(fuzzer)
}

/// The mutation loop of the tests, for longer and from another start each time.
fn mutate(seconds: u64) -> Result<(), Failure> {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let mut test = cargo(&["test", "--package", "roundtable-wire", "--test", "corpora"]);
    test.env("FUZZ_EXECUTIONS", (seconds * EXECUTIONS_PER_SECOND).to_string()).env("FUZZ_SEED", seed.to_string());
    run(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_targets_and_each_has_a_corpus() {
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(root().join("fuzz/corpus").join(&target).is_dir(), "{target} has no corpus");
        }
    }

    #[test]
    fn seconds_are_a_number() {
        assert!(fuzz(Some("soon")).is_err());
    }
}
