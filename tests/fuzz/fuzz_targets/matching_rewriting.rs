#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cordboard_fuzz::head::fuzz::matching_rewriting(data));
