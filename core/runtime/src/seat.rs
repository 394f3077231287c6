//! Seats: where jobs run.
//!
//! A seat is held by one thread: one of the core's own, or one that a host language lends. It takes ready jobs from a pool
//! until it is told to leave.

use crate::desk::{Desk, Desks};
use crate::event::Event;
use crate::hook::Hook;
use crate::job::{Job, JobKind};
use crate::native::fork_epoch;
use crate::output;
use crate::pool::{Place, Pool, Sleeper, Taken};
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Instant;

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
/// The thread calls [`Seat::next`] until it is told [`Next::Closed`]. So is a child that was forked in a handler and came back from
/// it: the seat, and the job, are its parent's.
pub struct Seat {
    forks: u32,
    place: Place<Job>,
    desk: Arc<Desk>,
    /// The job that somebody was told of, until the seat comes for the next one.
    told: Option<Told>,
    /// A job whose payloads are to be opened, or that the seat runs by itself, where that holds nobody up.
    sealed: Option<Job>,
}

impl Seat {
    pub(crate) fn new(pool: &Arc<Pool<Job>>, desks: &Desks) -> Self {
        Self { forks: fork_epoch(), place: Pool::place(pool), desk: desks.open(), told: None, sealed: None }
    }

    /// Waits for the next job; those of libkarafka's own handlers are run here. Blocks the thread without using the processor; call
    /// it without an interpreter's lock.
    // Not an iterator: a wait may be interrupted and taken up again.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Next {
        if self.is_foreign() {
            return self.leave_to_parent();
        }
        self.leave_last();
        loop {
            let taken = self.sealed.take().map_or_else(|| self.place.take(), Taken::Job);
            match taken {
                Taken::Job(job) => {
                    let now = job.context.shared.lease.wait();
                    match self.begin(job, now) {
                        Some(job) if job.is_own => {
                            job.run();
                            self.leave_last();
                        }
                        Some(job) => return Next::Job(job),
                        None => {}
                    }
                }
                Taken::Interrupted => return Next::Interrupted,
                Taken::Closed => return Next::Closed,
            }
        }
    }

    /// What [`Self::next`] would return without waiting, if there is anything. Never blocks for longer than a few instructions,
    /// so it may be called with an interpreter's lock, which then need not be given up between two short calls.
    pub fn try_next(&mut self) -> Option<Next> {
        if self.is_foreign() {
            return Some(self.leave_to_parent());
        }
        self.leave_last();
        loop {
            match self.place.try_take()? {
                Taken::Job(mut job) if job.is_sealed() || job.is_own => {
                    job.taken = true;
                    self.sealed = Some(job);
                    return None;
                }
                Taken::Job(mut job) => {
                    let Some(now) = job.context.shared.lease.look() else {
                        // Whether it may be begun is not known yet, and this is no place to wait.
                        job.taken = true;
                        job.put_back();
                        return None;
                    };
                    if let Some(job) = self.begin(job, now) {
                        return Some(Next::Job(job));
                    }
                }
                Taken::Interrupted => return Some(Next::Interrupted),
                Taken::Closed => return Some(Next::Closed),
            }
        }
    }

    fn is_foreign(&self) -> bool {
        self.forks != fork_epoch()
    }

    /// Touches nothing that another thread of the parent may have held when it forked.
    fn leave_to_parent(&mut self) -> Next {
        self.place.forget();
        self.told = None;
        Next::Closed
    }

    /// The last job is over, for whoever was told of it.
    fn leave_last(&mut self) {
        self.desk.stand_up();
        output::enter(None);
        if let Some(told) = self.told.take() {
            told.tell_end();
        }
    }

    /// The job, begun; nothing when its partition went meanwhile.
    fn begin(&mut self, mut job: Job, now: Instant) -> Option<Job> {
        job.taken = true;
        if job.context.is_revoked() && !job.kind.is_farewell() {
            job.put_back();
            return None;
        }
        self.desk.sit_down(job.context.job, now);
        if job.context.shared.publisher.wants_jobs() {
            self.told = Some(Told::begin(&job, self.desk.worker(), now));
        }
        job.begin(now);
        output::enter(job.context.tally.as_ref());
        let opened = job.opened();
        if opened.is_none() {
            self.leave_last();
        }
        opened
    }

    /// A handle by which another thread makes [`Self::next`] return [`Next::Interrupted`].
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.place.sleeper())
    }
}

/// What is told of a job that a worker has.
struct Told {
    shared: Arc<Shared>,
    since: Instant,
    worker: u32,
    calls: &'static str,
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    messages: u32,
}

impl Told {
    fn begin(job: &Job, worker: u32, since: Instant) -> Self {
        let told = Self {
            shared: Arc::clone(&job.context.shared),
            since,
            worker,
            calls: match job.kind {
                JobKind::Handle => "handler",
                JobKind::Key => "partitioner",
                JobKind::Unique => "unique_by",
                JobKind::Filter => "filter",
                JobKind::Tick => Hook::Tick.name(),
                JobKind::Eofed => Hook::Eofed.name(),
                JobKind::Revoked => Hook::Revoked.name(),
                JobKind::Shutdown => Hook::Shutdown.name(),
            },
            topic: Arc::clone(&job.context.assignment.topic),
            partition: job.context.assignment.partition,
            offset: job.batch.first_offset(),
            messages: u32::try_from(job.batch.len()).unwrap_or(u32::MAX),
        };
        let Self { calls, partition, offset, messages, .. } = told;
        let topic = Arc::clone(&told.topic);
        told.shared.publisher.publish(&Event::WorkerProcess { worker, calls, topic, partition, offset, messages });
        told
    }

    fn tell_end(self) {
        let Self { shared, since, worker, calls, topic, partition, offset, messages } = self;
        let time_taken_ms = since.elapsed().as_secs_f64() * 1e3;
        let event = Event::WorkerProcessed { worker, calls, topic, partition, offset, messages, time_taken_ms };
        shared.publisher.publish(&event);
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
