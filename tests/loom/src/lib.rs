//! The runtime's waking protocols under loom: the same source files, compiled against loom's locks and atomics, and run
//! through every interleaving of small cases.
//!
//! `LOOM_MAX_PREEMPTIONS=3 cargo test --release -p libkarafka-loom` goes deeper.

#![allow(dead_code, clippy::must_use_candidate)]

// The runtime's pool.rs and wake.rs.
include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

mod sync;

#[cfg(test)]
mod models;
