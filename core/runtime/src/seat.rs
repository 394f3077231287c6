//! Seats: where jobs run.
//!
//! A pool owns the jobs that are ready and knows who waits for one. The poller puts jobs in; a seat, held by one thread,
//! takes them out: a thread of the core's own, or one that a host language lends. Waiting parks the thread; a job wakes
//! exactly one seat, the one that has waited least, so that few threads stay warm when there is little work. The pool's
//! lock is held for a few instructions only, never over user code or a librdkafka call.

use crate::job::Job;
use crate::wake::Waker;
use crossbeam::sync::{Parker, Unparker};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a seat does next.
pub enum Next {
    /// A job to run.
    Job(Job),
    /// Somebody called [`Interrupter::interrupt`]; nothing was taken.
    Interrupted,
    /// The seat is no longer needed: the app stops, or has fewer seats now. The thread should end.
    Closed,
}

#[derive(Debug)]
struct Sleeper {
    unparker: Unparker,
    interrupted: AtomicBool,
}

struct State {
    jobs: VecDeque<Job>,
    waiting: Vec<Arc<Sleeper>>,
    running: usize,
    capacity: usize,
    seats: usize,
    leaving: usize,
    closed: bool,
}

/// The jobs that are ready for one kind of seat.
pub(crate) struct Pool {
    state: Mutex<State>,
    waker: Arc<Waker>,
    /// The poller waits for a completion itself (a partition is being given up, a caller waits).
    attentive: AtomicBool,
}

impl Pool {
    pub(crate) fn new(capacity: usize, waker: Arc<Waker>) -> Arc<Self> {
        let state = State {
            jobs: VecDeque::new(),
            waiting: Vec::new(),
            running: 0,
            capacity,
            seats: 0,
            leaving: 0,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), waker, attentive: AtomicBool::new(false) })
    }

    /// Adds ready jobs and wakes as many seats as can take one. Called by the poller.
    pub(crate) fn push(&self, jobs: impl Iterator<Item = Job>) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            state.jobs.extend(jobs);
            let free = state.capacity.saturating_sub(state.running);
            let wanted = state.jobs.len().min(free);
            for _ in 0..wanted {
                let Some(sleeper) = state.waiting.pop() else { break };
                woken.push(sleeper);
            }
        }
        for sleeper in woken {
            sleeper.unparker.unpark();
        }
    }

    /// Takes back every job that was not taken yet and fits. Called by the poller when a partition is given up.
    pub(crate) fn withdraw(&self, mut fits: impl FnMut(&Job) -> bool) -> Vec<Job> {
        let mut state = self.state.lock();
        let jobs = std::mem::take(&mut state.jobs);
        let (withdrawn, kept) = jobs.into_iter().partition(|job| fits(job));
        state.jobs = kept;
        withdrawn.into()
    }

    /// A job that was taken has ended; wakes the poller when more jobs will be wanted soon.
    pub(crate) fn ended(&self) {
        let (sleeper, low) = {
            let mut state = self.state.lock();
            state.running = state.running.saturating_sub(1);
            let more = !state.jobs.is_empty() && state.running < state.capacity;
            let sleeper = if more { state.waiting.pop() } else { None };
            (sleeper, state.jobs.len() <= state.capacity / 2)
        };
        if let Some(sleeper) = sleeper {
            sleeper.unparker.unpark();
        }
        if low || self.attentive.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// While set, every completion wakes the poller.
    pub(crate) fn set_attentive(&self, attentive: bool) {
        self.attentive.store(attentive, Ordering::SeqCst);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    /// Changes how many jobs may run at once. Returns how many threads are missing for it; surplus ones leave when idle.
    pub(crate) fn resize(&self, capacity: usize) -> usize {
        let (sleepers, missing) = {
            let mut state = self.state.lock();
            state.capacity = capacity;
            let staying = state.seats.saturating_sub(state.leaving);
            if staying > capacity {
                state.leaving += staying - capacity;
            } else {
                let kept = state.leaving.min(capacity - staying);
                state.leaving -= kept;
            }
            let missing = capacity.saturating_sub(state.seats.saturating_sub(state.leaving));
            (std::mem::take(&mut state.waiting), missing)
        };
        for sleeper in sleepers {
            sleeper.unparker.unpark();
        }
        missing
    }

    /// Ends every seat once it is idle.
    pub(crate) fn close(&self) {
        let sleepers = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        for sleeper in sleepers {
            sleeper.unparker.unpark();
        }
    }

    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        self.state.lock().seats += 1;
        let parker = Parker::new();
        let sleeper = Arc::new(Sleeper { unparker: parker.unparker().clone(), interrupted: AtomicBool::new(false) });
        Seat { pool: Arc::clone(self), parker, sleeper }
    }
}

/// A place for one thread that runs jobs.
///
/// The thread calls [`Seat::next`] until it is told [`Next::Closed`].
pub struct Seat {
    pool: Arc<Pool>,
    parker: Parker,
    sleeper: Arc<Sleeper>,
}

impl Seat {
    /// Waits for the next job. Blocks the thread without using the processor; call it without an interpreter's lock.
    // Not an iterator: a wait may be interrupted and taken up again.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Next {
        loop {
            {
                let mut state = self.pool.state.lock();
                if self.sleeper.interrupted.swap(false, Ordering::SeqCst) {
                    state.waiting.retain(|other| !Arc::ptr_eq(other, &self.sleeper));
                    return Next::Interrupted;
                }
                if state.closed {
                    return Next::Closed;
                }
                if state.leaving > 0 {
                    state.leaving -= 1;
                    return Next::Closed;
                }
                if state.running < state.capacity
                    && let Some(mut job) = state.jobs.pop_front()
                {
                    state.running += 1;
                    job.taken = true;
                    return Next::Job(job);
                }
                if !state.waiting.iter().any(|other| Arc::ptr_eq(other, &self.sleeper)) {
                    state.waiting.push(Arc::clone(&self.sleeper));
                }
            }
            self.parker.park();
        }
    }

    /// A handle by which another thread makes [`Self::next`] return [`Next::Interrupted`].
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.sleeper))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.waiting.retain(|other| !Arc::ptr_eq(other, &self.sleeper));
        state.seats = state.seats.saturating_sub(1);
    }
}

/// Interrupts one seat's wait, from any thread. Never blocks for longer than an unpark.
#[derive(Clone, Debug)]
pub struct Interrupter(Arc<Sleeper>);

impl Interrupter {
    /// Makes the seat's wait, the running or else the next one, return [`Next::Interrupted`].
    pub fn interrupt(&self) {
        self.0.interrupted.store(true, Ordering::SeqCst);
        self.0.unparker.unpark();
    }
}
