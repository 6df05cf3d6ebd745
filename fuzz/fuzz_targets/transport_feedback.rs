#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| roundtable_wire::fuzzing::feedback_body(bytes));
