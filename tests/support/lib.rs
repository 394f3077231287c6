//! What the tests of libkarafka stand on: a real Kafka, topics, groups, child processes, and judges of what happened.
//!
//! Called by the behaviour suite and by the programs beside it, from any thread. Nothing here uses libkarafka itself (but
//! the decoder of commit metadata), so that it cannot share a fault with what it judges. Everything reports a failure by a panic that says what was awaited
//! or found; nothing sleeps to wait for an effect, [`wait::until`] watches for it with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

// Brings the allocator that librdkafka is compiled for (.cargo/config.toml), also into programs that use nothing else of it.
use karafka as _;

pub mod access;
pub mod broker;
pub mod censor;
mod certificate;
pub mod cluster;
pub mod commits;
pub mod exactly_once;
pub mod fleet;
pub mod gate;
pub mod group;
pub mod kfake;
pub mod oracle;
pub mod process;
pub mod record;
pub mod secured;
pub mod topics;
pub mod toxiproxy;
pub mod wait;
