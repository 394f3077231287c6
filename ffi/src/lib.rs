//! libkarafka's C ABI: converts, calls the core, converts back.
//!
//! Every exported function is declared in include/karafka.h, which is made from these files and carries their documentation:
//! comments on exported items are written for C programmers. What a program hands in is checked before it is used: handles
//! are numbers that a registry knows (`handle`, `registry`), texts and places for results are checked in `text`, and every
//! body runs inside `boundary`. Nothing is decided here; decisions are the core's.

#![allow(non_camel_case_types, reason = "types carry the names that they have in C")]
#![allow(clippy::doc_markdown, reason = "comments on exported items are Doxygen's, for C")]

mod admin;
mod app;
mod batch;
mod boundary;
mod completion;
mod config;
mod context;
mod embedded;
mod error;
mod event;
mod fork;
mod handle;
mod handler;
mod message;
mod output;
mod position;
mod producer;
mod producer_buffer;
mod producer_hooks;
mod producer_variant;
mod reader;
mod record;
mod recurring;
mod registry;
mod scheduled;
mod scheduler;
mod text;
mod topic;
mod transaction;
mod verdict;
mod version;

#[global_allocator]
static ALLOCATOR: runtime::Allocator = runtime::Allocator;
