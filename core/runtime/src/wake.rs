//! How other threads wake the poller.
//!
//! Owned by the app, shared by librdkafka's callbacks, workers and callers of the app. Waking is a flag, a list of filled
//! queues and one unpark: it never blocks for longer than a push, so it may be done under librdkafka's queue locks.

use crossbeam::queue::SegQueue;
use crossbeam::sync::{Parker, Unparker};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Waker {
    filled: SegQueue<u64>,
    unparker: Unparker,
}

impl Waker {
    pub(crate) fn new(parker: &Parker) -> Self {
        Self { filled: SegQueue::new(), unparker: parker.unparker().clone() }
    }

    /// Says that the queue with this token has something to read.
    pub(crate) fn filled(&self, token: u64) {
        self.filled.push(token);
        self.unparker.unpark();
    }

    /// Wakes the poller for anything else.
    pub(crate) fn wake(&self) {
        self.unparker.unpark();
    }

    /// The next filled queue. Called by the poller.
    pub(crate) fn next_filled(&self) -> Option<u64> {
        self.filled.pop()
    }
}

/// Parks the poller until it is woken or the deadline passes.
pub(crate) fn park(parker: &Parker, deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => parker.park_deadline(deadline),
        None => parker.park(),
    }
}
