//! The runtime, against the embedded broker: what handlers see, and what is committed, sent and told. One program, so that it
//! is linked once and its tests wait side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod connections;
mod dead_letters;
mod embedded;
mod hooks;
mod observe;
mod position;
mod producer;
mod reader;
mod recurring;
mod scheduled;
mod turns;
