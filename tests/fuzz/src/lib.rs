//! What is fed with arbitrary bytes, one module a target. Each `run` returns, or panics with what is wrong.
//!
//! `make fuzz` feeds them by libFuzzer, guided by coverage; `make test` replays `corpus`, one file an input, without any of it.

#![allow(clippy::missing_panics_doc, reason = "to panic is what these are for")]

// Its functions are called as C calls them, by their names.
extern crate karafka_abi as _;

pub mod abi;
pub mod configuration;
pub mod encryption;
mod input;
pub mod metadata;
