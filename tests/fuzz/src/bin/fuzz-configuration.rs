//! `make fuzz`: libFuzzer's main loop around `configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libkarafka_fuzz::configuration::run(data));
