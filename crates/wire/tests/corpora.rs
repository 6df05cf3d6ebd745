//! The corpora of the fuzz targets, run without a fuzzer: what once was found stays found. Then as many inputs made of
//! them as `FUZZ_EXECUTIONS` says: a short slice of fuzzing that is the same on every machine.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use roundtable_wire::fuzzing::{Mutator, TARGETS};

/// Inputs made for each target unless `FUZZ_EXECUTIONS` says otherwise.
const EXECUTIONS: u64 = 50_000;
/// Where the inputs start unless `FUZZ_SEED` says otherwise.
const SEED: u64 = 1;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The inputs of a corpus by name, in an order that does not depend on the file system.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(fuzz().join("corpus").join(target)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no corpus");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn every_input_of_every_corpus_holds() {
    for (name, target) in TARGETS {
        for (path, bytes) in corpus(name) {
            assert!(catch_unwind(|| target(&bytes)).is_ok(), "{} fails", path.display());
        }
    }
}

#[test]
fn every_target_is_fuzzed_and_nothing_else_has_a_corpus() {
    let names = |folder: &str| {
        let entries = fs::read_dir(fuzz().join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let mut targets = TARGETS.map(|(name, _)| name.to_owned());
    targets.sort();
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
    }
}

#[test]
fn what_a_mutator_makes_of_the_corpora_holds() {
    let (executions, seed) = (setting("FUZZ_EXECUTIONS", EXECUTIONS), setting("FUZZ_SEED", SEED));
    for (name, target) in TARGETS {
        let corpus: Vec<_> = corpus(name).into_iter().map(|(_, bytes)| bytes).collect();
        let mut mutator = Mutator::new(seed);
        let mut input = Vec::new();
        for execution in 0..executions {
            mutator.mutate(&corpus, &mut input);
            let hex = || input.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert!(catch_unwind(|| target(&input)).is_ok(), "{name} fails on {} ({execution} of seed {seed})", hex());
        }
    }
}
