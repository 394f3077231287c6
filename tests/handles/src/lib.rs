//! The C ABI's own source files over a client that is made up, because Miri cannot call librdkafka.
//!
//! Handles, registry, texts, errors, configs, batches, contexts, completions and the calls of C's functions are the files of
//! `ffi`; what they take from the core is in `client`. Their unit tests run here with those of `tests`, under Miri by
//! `make miri` and as they are by `make test`.

#![allow(dead_code, unused_imports, clippy::must_use_candidate, missing_docs, non_camel_case_types)]
#![allow(clippy::needless_pass_by_value, reason = "the made-up client has the core's signatures")]
#![allow(clippy::doc_markdown, clippy::missing_errors_doc, reason = "comments on exported items are for C")]

// The files name the core so.
extern crate self as runtime;

#[path = "../../../ffi/src/batch.rs"]
mod batch;
#[path = "../../../ffi/src/boundary.rs"]
mod boundary;
mod client;
#[path = "../../../ffi/src/completion.rs"]
mod completion;
#[path = "../../../ffi/src/config.rs"]
mod config;
#[path = "../../../ffi/src/context.rs"]
mod context;
#[path = "../../../core/runtime/src/error.rs"]
mod core_error;
#[path = "../../../ffi/src/error.rs"]
mod error;
#[path = "../../../ffi/src/fork.rs"]
mod fork;
#[path = "../../../ffi/src/handle.rs"]
mod handle;
#[path = "../../../ffi/src/handler.rs"]
mod handler;
#[path = "../../../core/runtime/src/lock.rs"]
pub mod lock;
#[path = "../../../ffi/src/message.rs"]
mod message;
#[path = "../../../ffi/src/registry.rs"]
mod registry;
mod settings;
#[cfg(test)]
mod tests;
#[path = "../../../ffi/src/text.rs"]
mod text;
#[path = "../../../ffi/src/verdict.rs"]
mod verdict;

pub use client::{
    Batch, Context, Failure, FilterAnswer, Group, Header, Hook, Job, JobKind, Message, Next, Seat, Timestamp,
    TimestampKind, TopicConfig, UniqueBy, Verdict, VirtualPartitions,
};
pub use core_error::{Error, ErrorKind, Result};
pub use settings::value::{Settings, Value};
