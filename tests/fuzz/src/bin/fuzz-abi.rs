//! `make fuzz`: libFuzzer's main loop around `abi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libkarafka_fuzz::abi::run(data));
