//! The locks and atomics of what loom checks.
//!
//! `tests/loom` compiles [`crate::wake`] and [`crate::pool`] against a module of the same name with loom's own.

pub(crate) use crate::lock::Mutex;
pub(crate) use crossbeam::queue::SegQueue;
pub(crate) use crossbeam::sync::{Parker, Unparker};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
