//! What an app's threads share: queues and flags, and the phase. No state of a partition.
//!
//! Owned by the app, held by the poller, by every job's context and by the callers of the app. Its lock is held for a few
//! instructions only.

use crate::event::{Event, Phase, Publisher};
use crate::lease::Lease;
use crate::report::Report;
use crate::wake::Waker;
use crate::{Error, ErrorKind, Result};
use crossbeam::queue::SegQueue;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// What the app's threads share: queues and flags, no state of a partition.
pub(crate) struct Shared {
    process: u32,
    pub(crate) waker: Arc<Waker>,
    pub(crate) reports: SegQueue<Report>,
    pub(crate) publisher: Publisher,
    pub(crate) lease: Lease,
    phase: AtomicU8,
    stop_asked: AtomicBool,
    failure: Mutex<Option<Error>>,
    phase_changed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(waker: &Arc<Waker>) -> Self {
        Self {
            process: std::process::id(),
            waker: Arc::clone(waker),
            reports: SegQueue::new(),
            publisher: Publisher::default(),
            lease: Lease::new(),
            phase: AtomicU8::new(Phase::Initialized.number()),
            stop_asked: AtomicBool::new(false),
            failure: Mutex::new(None),
            phase_changed: Condvar::new(),
        }
    }

    pub(crate) fn report(&self, report: Report) {
        self.reports.push(report);
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::SeqCst))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase(), Phase::Stopping | Phase::Stopped)
    }

    /// Whether somebody asked for the end, also while the poller is too busy to have noticed.
    pub(crate) fn is_stop_asked(&self) -> bool {
        self.stop_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop_asked.store(true, Ordering::SeqCst);
    }

    /// Waits for the end of the app; whether it came in time.
    pub(crate) fn wait_stopped(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut lock = self.failure.lock();
        while self.phase() != Phase::Stopped {
            match deadline {
                None => self.phase_changed.wait(&mut lock),
                Some(deadline) => {
                    if self.phase_changed.wait_until(&mut lock, deadline).timed_out() {
                        return self.phase() == Phase::Stopped;
                    }
                }
            }
        }
        true
    }

    /// What the app ended with.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let before = {
            let _lock = self.failure.lock();
            self.phase.swap(phase.number(), Ordering::SeqCst)
        };
        if before != phase.number() {
            self.publisher.publish(&Event::Phase(phase));
            self.phase_changed.notify_all();
        }
    }

    /// Keeps the first error that the app ends with.
    pub(crate) fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
    }

    pub(crate) fn owns(&self, operation: &'static str) -> Result<()> {
        same_process(self.process, operation)
    }
}

pub(crate) fn same_process(process: u32, operation: &'static str) -> Result<()> {
    if process == std::process::id() {
        return Ok(());
    }
    let message =
        "the handle was made in the parent process and does not work after a fork; make a new one in this process";
    Err(Error::new(ErrorKind::Forked, operation, message))
}
