//! How other threads wake the poller.
//!
//! Owned by the app, shared by librdkafka's callbacks, workers and callers of the app. Waking is a flag, a list of filled
//! queues and one unpark: it never blocks for longer than a push, so it may be done under librdkafka's queue locks.

use crate::sync::{Arc, AtomicBool, Ordering, SegQueue, Unparker};

pub(crate) struct Waker {
    filled: SegQueue<u64>,
    unparker: Unparker,
}

impl Waker {
    pub(crate) fn new(unparker: Unparker) -> Self {
        Self { filled: SegQueue::new(), unparker }
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

/// A queue's flag: raised by librdkafka, lowered by the poller before it reads.
pub(crate) struct Ready {
    raised: AtomicBool,
    token: u64,
    waker: Arc<Waker>,
}

impl Ready {
    pub(crate) fn new(token: u64, waker: Arc<Waker>) -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(false), token, waker })
    }

    /// Lowers the flag. Must come before the queue is read, so that what arrives meanwhile raises it again.
    pub(crate) fn lower(&self) {
        self.raised.store(false, Ordering::SeqCst);
    }

    /// Raises the flag as a queue would.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::SeqCst) {
            self.waker.filled(self.token);
        }
    }
}
