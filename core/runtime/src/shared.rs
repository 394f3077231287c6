//! What an app's threads share: queues and flags, and the phase. No state of a partition.
//!
//! Owned by the app, held by the poller, by every job's context and by the callers of the app. Its lock is held for a few
//! instructions only.

use crate::desk::Desks;
use crate::event::{Event, Phase, Publisher};
use crate::lease::Lease;
use crate::lock::{Condvar, Mutex};
use crate::native::fork_epoch;
use crate::report::Report;
use crate::scheduler::Questions;
use crate::wake::Waker;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use crossbeam::queue::SegQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Why the poller gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Late,
    Stopped,
}

/// What the app's threads share: queues and flags, no state of a partition.
pub(crate) struct Shared {
    process: u32,
    forks: u32,
    pub(crate) waker: Arc<Waker>,
    pub(crate) reports: SegQueue<Report>,
    pub(crate) publisher: Publisher,
    pub(crate) lease: Lease,
    pub(crate) desks: Desks,
    /// Signals that asked for the end, by now.
    pub(crate) stop_signals: AtomicU32,
    /// The process obeys signals on behalf of the app: a person reads what it says at its end.
    pub(crate) obeys_signals: AtomicBool,
    pub(crate) questions: Arc<Questions>,
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
            forks: fork_epoch(),
            waker: Arc::clone(waker),
            reports: SegQueue::new(),
            publisher: Publisher::default(),
            lease: Lease::new(),
            desks: Desks::default(),
            stop_signals: AtomicU32::new(0),
            obeys_signals: AtomicBool::new(false),
            questions: Arc::default(),
            phase: AtomicU8::new(Phase::Initialized.number()),
            stop_asked: AtomicBool::new(false),
            failure: Mutex::new(None),
            phase_changed: Condvar::new(),
        }
    }

    pub(crate) fn report(&self, report: Report) {
        self.reports.push(report);
    }

    /// Asks the poller something and waits for its answer. An app that has ended answers nothing, and nobody waits for it.
    pub(crate) fn ask<T>(&self, timeout: Duration, report: impl FnOnce(Sender<T>) -> Report) -> Result<T, NoAnswer> {
        let (sender, answer) = bounded(1);
        self.report(report(sender));
        self.waker.wake();
        if self.phase() == Phase::Stopped {
            // The poller threw away what it found at its end; what came later is never read.
            return answer.try_recv().map_err(|_| NoAnswer::Stopped);
        }
        answer.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Stopped,
        })
    }

    /// Throws away what is asked of a poller that has ended. Called by it, after the phase says so.
    pub(crate) fn refuse_reports(&self) {
        while self.reports.pop().is_some() {}
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
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut lock = self.failure.lock();
        while self.phase() != Phase::Stopped {
            match deadline {
                None => lock = self.phase_changed.wait(lock),
                Some(deadline) => {
                    let is_late;
                    (lock, is_late) = self.phase_changed.wait_until(lock, deadline);
                    if is_late {
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

    /// Whether this is a forked child of the process that the app was made in. Costs no call of the system.
    pub(crate) fn is_foreign(&self) -> bool {
        self.forks != fork_epoch()
    }

    pub(crate) fn owns(&self, operation: &'static str) -> Result<()> {
        same_process(self.process, operation)
    }
}

pub(crate) fn same_process(process: u32, operation: &'static str) -> Result<()> {
    if process == std::process::id() {
        return Ok(());
    }
    Err(forked(operation))
}

/// The error of a handle that belongs to the parent of this process.
pub(crate) fn forked(operation: &'static str) -> Error {
    let message =
        "the handle was made in the parent process and does not work after a fork; make a new one in this process";
    Error::new(ErrorKind::Forked, operation, message)
}
