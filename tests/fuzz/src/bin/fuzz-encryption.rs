//! `make fuzz`: libFuzzer's main loop around `encryption`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libkarafka_fuzz::encryption::run(data));
