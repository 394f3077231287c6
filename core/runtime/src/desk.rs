//! Desks: what the thread in each seat does now.
//!
//! A seat writes its own desk when it takes a job and when it comes for the next one: a few relaxed stores, no lock. The
//! poller reads all of them when somebody asks for statistics.

use crate::lock::Mutex;
use crate::native;
use karafka_engine::JobId;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// No job has this number: it would be the 4294967295th of the last place.
const NOTHING: u64 = u64::MAX;

pub(crate) struct Desk {
    worker: u32,
    opened: Instant,
    /// The system's number of the thread, known with its first job; 0 until then.
    thread: AtomicU32,
    job: AtomicU64,
    /// In nanoseconds from the opening.
    since: AtomicU64,
}

/// A desk somebody sits at with a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    pub(crate) worker: u32,
    pub(crate) thread: u32,
    pub(crate) job: u64,
    pub(crate) since: Instant,
}

impl Desk {
    /// The number of whoever sits here.
    pub(crate) fn worker(&self) -> u32 {
        self.worker
    }

    /// The seat has taken this job. Called on the seat's thread.
    pub(crate) fn sit_down(&self, job: JobId, now: Instant) {
        if self.thread.load(Ordering::Relaxed) == 0 {
            self.thread.store(native::thread_id(), Ordering::Relaxed);
        }
        let since = u64::try_from(now.saturating_duration_since(self.opened).as_nanos()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        self.job.store(job.number(), Ordering::Release);
    }

    /// The seat waits for the next job.
    pub(crate) fn stand_up(&self) {
        self.job.store(NOTHING, Ordering::Relaxed);
    }

    fn look(&self) -> Option<Busy> {
        let job = self.job.load(Ordering::Acquire);
        let since = self.opened + Duration::from_nanos(self.since.load(Ordering::Relaxed));
        // Another job may have come meanwhile, and the time may be its own: then this one is over.
        let is_present = job != NOTHING && self.job.load(Ordering::Relaxed) == job;
        is_present.then(|| Busy { worker: self.worker, thread: self.thread.load(Ordering::Relaxed), job, since })
    }
}

/// All desks of an app.
#[derive(Default)]
pub(crate) struct Desks {
    desks: Mutex<(u32, Vec<Weak<Desk>>)>,
}

impl Desks {
    /// A desk for a new seat; it is gone with the seat.
    pub(crate) fn open(&self) -> Arc<Desk> {
        let mut desks = self.desks.lock();
        let (worker, list) = &mut *desks;
        *worker += 1;
        let desk = Arc::new(Desk {
            worker: *worker,
            opened: Instant::now(),
            thread: AtomicU32::new(0),
            job: AtomicU64::new(NOTHING),
            since: AtomicU64::new(0),
        });
        list.retain(|desk| desk.strong_count() > 0);
        list.push(Arc::downgrade(&desk));
        desk
    }

    /// Who has a job now.
    pub(crate) fn busy(&self) -> Vec<Busy> {
        self.desks.lock().1.iter().filter_map(|desk| desk.upgrade()?.look()).collect()
    }
}
