//! The corpora of the fuzz targets, run without a fuzzer: what once was found stays found.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use roundtable_wire::fuzzing::TARGETS;

#[test]
fn every_input_of_every_corpus_holds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for (name, target) in TARGETS {
        let inputs: Vec<_> = fs::read_dir(fuzz.join("corpus").join(name)).unwrap().collect();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let path = input.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(catch_unwind(|| target(&bytes)).is_ok(), "{} fails", path.display());
        }
        assert!(fuzz.join("fuzz_targets").join(name).with_extension("rs").exists(), "{name} is not fuzzed");
    }
}
