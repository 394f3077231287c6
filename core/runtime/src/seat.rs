//! Seats: where jobs run.
//!
//! A seat is held by one thread: one of the core's own, or one that a host language lends. It takes ready jobs from a pool
//! until it is told to leave.

use crate::desk::{Desk, Desks};
use crate::job::Job;
use crate::pool::{Place, Pool, Sleeper, Taken};
use std::sync::Arc;

/// What a seat does next.
pub enum Next {
    /// A job to run.
    Job(Job),
    /// Somebody called [`Interrupter::interrupt`]; nothing was taken.
    Interrupted,
    /// The seat is no longer needed: the app stops, or has fewer seats now. The thread should end.
    Closed,
}

/// A place for one thread that runs jobs.
///
/// The thread calls [`Seat::next`] until it is told [`Next::Closed`].
pub struct Seat {
    place: Place<Job>,
    desk: Arc<Desk>,
}

impl Seat {
    pub(crate) fn new(pool: &Arc<Pool<Job>>, desks: &Desks) -> Self {
        Self { place: Pool::place(pool), desk: desks.open() }
    }

    /// Waits for the next job. Blocks the thread without using the processor; call it without an interpreter's lock.
    // Not an iterator: a wait may be interrupted and taken up again.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Next {
        self.desk.stand_up();
        loop {
            match self.place.take() {
                Taken::Job(mut job) => {
                    job.taken = true;
                    let now = job.context.shared.lease.wait();
                    if job.context.is_revoked() {
                        job.put_back();
                        continue;
                    }
                    self.desk.sit_down(job.context.job, now);
                    job.begin(now);
                    return Next::Job(job);
                }
                Taken::Interrupted => return Next::Interrupted,
                Taken::Closed => return Next::Closed,
            }
        }
    }

    /// A handle by which another thread makes [`Self::next`] return [`Next::Interrupted`].
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.place.sleeper())
    }
}

/// Interrupts one seat's wait, from any thread. Never blocks for longer than an unpark.
#[derive(Clone)]
pub struct Interrupter(Arc<Sleeper>);

impl Interrupter {
    /// Makes the seat's wait, the running or else the next one, return [`Next::Interrupted`].
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl std::fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupter")
    }
}
