//! `make fuzz`: libFuzzer's main loop around `metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libkarafka_fuzz::metadata::run(data));
