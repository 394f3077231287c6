//! A pool: the jobs that are ready for one kind of seat, and who waits for one.
//!
//! The poller puts jobs in; seats take them out. Waiting parks the thread; a job wakes exactly one seat, the one that has
//! waited least, so that few threads stay warm when there is little work. The lock is held for a few instructions only, never
//! over user code or a librdkafka call. The protocol is checked by loom over every interleaving of small cases
//! (`tests/loom`), which is why the locks come from [`crate::sync`].

use crate::sync::{Arc, AtomicBool, Mutex, Ordering, Parker, Unparker};
use crate::wake::Waker;
use std::collections::VecDeque;

/// What a seat gets.
pub(crate) enum Taken<J> {
    Job(J),
    Interrupted,
    Closed,
}

pub(crate) struct Sleeper {
    unparker: Unparker,
    interrupted: AtomicBool,
}

struct State<J> {
    jobs: VecDeque<J>,
    waiting: Vec<Arc<Sleeper>>,
    running: usize,
    capacity: usize,
    seats: usize,
    leaving: usize,
    closed: bool,
}

impl<J> State<J> {
    /// The seat to wake when a job could be taken.
    fn heir(&mut self) -> Option<Arc<Sleeper>> {
        let free = !self.jobs.is_empty() && self.running < self.capacity;
        if free { self.waiting.pop() } else { None }
    }
}

/// The jobs that are ready for one kind of seat.
pub(crate) struct Pool<J> {
    state: Mutex<State<J>>,
    waker: Arc<Waker>,
    /// The poller waits for a completion itself (a partition is being given up, a caller waits).
    attentive: AtomicBool,
}

impl<J> Pool<J> {
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
    pub(crate) fn push(&self, jobs: impl Iterator<Item = J>) {
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
    pub(crate) fn withdraw(&self, mut fits: impl FnMut(&J) -> bool) -> Vec<J> {
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
            (state.heir(), state.jobs.len() <= state.capacity / 2)
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

    /// A place in the pool for one thread.
    pub(crate) fn place(pool: &Arc<Self>) -> Place<J> {
        pool.state.lock().seats += 1;
        let parker = Parker::new();
        let sleeper = Arc::new(Sleeper { unparker: parker.unparker().clone(), interrupted: AtomicBool::new(false) });
        Place { pool: Arc::clone(pool), parker, sleeper }
    }
}

/// One thread's place in a pool.
pub(crate) struct Place<J> {
    pool: Arc<Pool<J>>,
    parker: Parker,
    sleeper: Arc<Sleeper>,
}

impl<J> Place<J> {
    /// Waits for the next job.
    pub(crate) fn take(&mut self) -> Taken<J> {
        loop {
            {
                let mut state = self.pool.state.lock();
                if state.closed {
                    return Taken::Closed;
                }
                let interrupted = self.sleeper.interrupted.swap(false, Ordering::SeqCst);
                if interrupted || state.leaving > 0 {
                    state.waiting.retain(|other| !Arc::ptr_eq(other, &self.sleeper));
                    if !interrupted {
                        state.leaving -= 1;
                    }
                    // This seat may have been woken for a job: another one takes it.
                    let heir = state.heir();
                    drop(state);
                    if let Some(heir) = heir {
                        heir.unparker.unpark();
                    }
                    return if interrupted { Taken::Interrupted } else { Taken::Closed };
                }
                if state.running < state.capacity
                    && let Some(job) = state.jobs.pop_front()
                {
                    state.running += 1;
                    return Taken::Job(job);
                }
                if !state.waiting.iter().any(|other| Arc::ptr_eq(other, &self.sleeper)) {
                    state.waiting.push(Arc::clone(&self.sleeper));
                }
            }
            self.parker.park();
        }
    }

    pub(crate) fn sleeper(&self) -> Arc<Sleeper> {
        Arc::clone(&self.sleeper)
    }
}

impl Sleeper {
    /// Makes the wait of the place, the running or else the next one, end without a job.
    pub(crate) fn interrupt(&self) {
        // An exchange, like the one that takes it: their order is then the same for every thread.
        self.interrupted.swap(true, Ordering::SeqCst);
        self.unparker.unpark();
    }
}

impl<J> Drop for Place<J> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.waiting.retain(|other| !Arc::ptr_eq(other, &self.sleeper));
        state.seats = state.seats.saturating_sub(1);
    }
}
