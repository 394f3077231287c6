//! A pool: the jobs that are ready for one kind of seat, and who waits for one.
//!
//! The poller puts jobs in; seats take them out. Waiting parks the thread. Few seats are woken at once, no more than run at
//! once anyway, and each of them wakes the next while jobs are left: so the poller pays for few wake-ups, and a seat that
//! ends its job meanwhile takes the next one without anybody's help. Woken first is who has waited least, so that few threads
//! stay warm when there is little work.
//!
//! What must hold, since nobody else looks: while a job could be taken and a seat waits, a seat is on its way that was woken
//! and has not looked yet, or a seat that just ended its job.
//!
//! The lock is held for a few instructions only, never over user code or a librdkafka call. The protocol is checked by loom
//! over every interleaving of small cases (`tests/loom`), which is why the locks come from [`crate::sync`].

use crate::sync::{Arc, AtomicBool, Mutex, Ordering, Parker, Unparker};
use crate::wake::Waker;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::DerefMut;

/// How many jobs may be left for each that has ended when the poller is woken for more.
const SHARED: usize = 4;

/// What a seat gets.
pub(crate) enum Taken<J> {
    Job(J),
    Interrupted,
    Closed,
}

pub(crate) struct Sleeper {
    unparker: Unparker,
    interrupted: AtomicBool,
    /// Whether it is among those that wait. Changed under the pool's lock only.
    waits: AtomicBool,
}

struct State<J> {
    jobs: VecDeque<J>,
    waiting: Vec<Arc<Sleeper>>,
    /// How many seats were woken for a job and have not looked yet.
    on_their_way: usize,
    running: usize,
    capacity: usize,
    seats: usize,
    leaving: usize,
    closed: bool,
    /// How many seats may be on their way for a job at once.
    at_once: usize,
    /// How many jobs have ended since one of them woke the poller.
    unheard: usize,
}

impl<J> State<J> {
    /// A job has ended: whether the poller should see to it that there are more. With none left it should at once; while some
    /// are, their seats are busy all the same, and a wake-up costs more than many a job, so several ends share one.
    fn runs_low(&mut self) -> bool {
        self.unheard += 1;
        let low = self.jobs.len() <= (self.capacity / 2).min(self.unheard * SHARED);
        if low {
            self.unheard = 0;
        }
        low
    }

    /// The seat to wake, if a job could be taken for which no seat is on its way and not too many are already.
    fn heir(&mut self) -> Option<Arc<Sleeper>> {
        let wanted = self.jobs.len().min(self.capacity.saturating_sub(self.running));
        if self.on_their_way >= wanted.min(self.at_once) {
            return None;
        }
        let sleeper = self.waiting.pop()?;
        self.leave_waiting(&sleeper);
        Some(sleeper)
    }

    fn leave_waiting(&mut self, sleeper: &Sleeper) {
        sleeper.waits.store(false, Ordering::SeqCst);
        self.on_their_way += 1;
    }

    /// Wakes every seat, so that it looks.
    fn everybody(&mut self) -> Vec<Arc<Sleeper>> {
        let sleepers = std::mem::take(&mut self.waiting);
        for sleeper in &sleepers {
            self.leave_waiting(sleeper);
        }
        sleepers
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
        // More seats than processors cannot look at once.
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::waking(capacity, at_once, waker)
    }

    /// A pool that has at most `at_once` seats on their way for a job at once.
    pub(crate) fn waking(capacity: usize, at_once: usize, waker: Arc<Waker>) -> Arc<Self> {
        let state = State {
            jobs: VecDeque::new(),
            waiting: Vec::new(),
            on_their_way: 0,
            running: 0,
            capacity,
            seats: 0,
            leaving: 0,
            closed: false,
            at_once,
            unheard: 0,
        };
        Arc::new(Self { state: Mutex::new(state), waker, attentive: AtomicBool::new(false) })
    }

    /// Adds ready jobs and wakes a few seats, which wake the others. Called by the poller.
    pub(crate) fn push(&self, jobs: impl Iterator<Item = J>) {
        let mut state = self.state.lock();
        state.jobs.extend(jobs);
        while let Some(heir) = state.heir() {
            // Not under the lock, which the woken seat wants first.
            drop(state);
            heir.unparker.unpark();
            state = self.state.lock();
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

    /// What `look` finds in each job that nobody has taken yet.
    pub(crate) fn waiting<T>(&self, look: impl FnMut(&J) -> T) -> Vec<T> {
        self.state.lock().jobs.iter().map(look).collect()
    }

    /// A job that was taken has ended; wakes the poller when more jobs will be wanted soon.
    pub(crate) fn ended(&self) {
        let (sleeper, low) = {
            let mut state = self.state.lock();
            state.running = state.running.saturating_sub(1);
            (state.heir(), state.runs_low())
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
            (state.everybody(), missing)
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
            state.everybody()
        };
        for sleeper in sleepers {
            sleeper.unparker.unpark();
        }
    }

    /// A place in the pool for one thread.
    pub(crate) fn place(pool: &Arc<Self>) -> Place<J> {
        pool.state.lock().seats += 1;
        let parker = Parker::new();
        let sleeper = Arc::new(Sleeper {
            unparker: parker.unparker().clone(),
            interrupted: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        });
        Place { pool: Arc::clone(pool), parker, sleeper, counted: Cell::new(true) }
    }
}

/// One thread's place in a pool.
pub(crate) struct Place<J> {
    pool: Arc<Pool<J>>,
    parker: Parker,
    sleeper: Arc<Sleeper>,
    /// Whether it is among the pool's seats still.
    counted: Cell<bool>,
}

impl<J> Place<J> {
    /// Waits for the next job.
    pub(crate) fn take(&mut self) -> Taken<J> {
        let mut waited = false;
        loop {
            {
                let mut state = self.pool.state.lock();
                if waited {
                    self.stop_waiting(&mut state);
                }
                if let Some(taken) = self.look(&mut state) {
                    Self::pass_on(state);
                    return taken;
                }
                self.sleeper.waits.store(true, Ordering::SeqCst);
                state.waiting.push(Arc::clone(&self.sleeper));
                waited = true;
            }
            self.parker.park();
        }
    }

    /// What there is for this seat now, if anything; never waits.
    pub(crate) fn try_take(&mut self) -> Option<Taken<J>> {
        let mut state = self.pool.state.lock();
        let taken = self.look(&mut state)?;
        Self::pass_on(state);
        Some(taken)
    }

    /// This seat may have been woken for a job that it does not take, and jobs may be left beside one that it takes: another
    /// seat looks.
    fn pass_on(mut state: impl DerefMut<Target = State<J>>) {
        let heir = state.heir();
        drop(state);
        if let Some(heir) = heir {
            heir.unparker.unpark();
        }
    }

    /// What there is for this seat now, if anything.
    fn look(&self, state: &mut State<J>) -> Option<Taken<J>> {
        if state.closed {
            return Some(Taken::Closed);
        }
        if self.sleeper.interrupted.swap(false, Ordering::SeqCst) {
            return Some(Taken::Interrupted);
        }
        if state.leaving > 0 {
            state.leaving -= 1;
            // No seat from here on, not only when its thread is gone: whoever resizes meanwhile must miss it.
            state.seats = state.seats.saturating_sub(1);
            self.counted.set(false);
            return Some(Taken::Closed);
        }
        if state.running >= state.capacity {
            return None;
        }
        let job = state.jobs.pop_front()?;
        state.running += 1;
        Some(Taken::Job(job))
    }

    /// Counts this seat out of those that are on their way, or strikes it off those that wait: it woke by itself.
    fn stop_waiting(&self, state: &mut State<J>) {
        if self.sleeper.waits.swap(false, Ordering::SeqCst) {
            state.waiting.retain(|other| !Arc::ptr_eq(other, &self.sleeper));
        } else {
            state.on_their_way = state.on_their_way.saturating_sub(1);
        }
    }

    pub(crate) fn sleeper(&self) -> Arc<Sleeper> {
        Arc::clone(&self.sleeper)
    }

    /// Has the end of this place change nothing in the pool: a forked child leaves it to its parent.
    pub(crate) fn forget(&self) {
        self.counted.set(false);
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
        // It does not wait: only a call of `take` does, which is over.
        if self.counted.get() {
            let mut state = self.pool.state.lock();
            state.seats = state.seats.saturating_sub(1);
        }
    }
}
