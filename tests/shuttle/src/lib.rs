//! Run queue, seats, revocations and the end of an app under schedules that are drawn at random.
//!
//! The pool and the wake-ups are the runtime's own source files, compiled against shuttle's locks and atomics, and the engine
//! is the real one. Around them is a small world: a poller that follows the protocol of the runtime's poller, seats, a
//! fetcher and a broker, and a group that takes partitions away and gives them back at any moment. Where loom goes through
//! every schedule of a few lines, this draws from those of the whole.
//!
//! A failure prints its seed: `SHUTTLE_RANDOM_SEED=n SHUTTLE_SCHEDULES=1 cargo test -p libkarafka-shuttle NAME` replays it.

#![allow(dead_code, clippy::must_use_candidate, clippy::unwrap_used)]

// The runtime's pool.rs and wake.rs.
include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

mod sync;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
