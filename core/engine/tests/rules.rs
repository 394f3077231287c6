//! The engine's rules, one file for each of its nouns.
//!
//! One program: each of its own would compile the whole engine again, for the messages that its tests hand over.

mod common;

mod ahead;
mod commits;
mod dispatch;
mod hooks;
mod intake;
mod ledger;
mod life;
mod metadata;
mod model;
mod periodic;
mod position;
mod product;
mod retry;
mod segments;
mod sharing;
mod transactions;
