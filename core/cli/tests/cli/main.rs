//! The command, as the program that people run, on the embedded broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod command;
mod dlq;
mod doctor;
mod plan;
mod readme;
mod shell;
mod support;
mod tail;
