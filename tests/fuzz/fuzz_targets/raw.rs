#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cordboard_fuzz::head::fuzz::raw(data));
