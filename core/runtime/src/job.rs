//! One call of a handler: its batch, its context, and the duty to complete it exactly once.
//!
//! Taken from a seat by a worker; may be kept and completed on any other thread. A job that is dropped without having been
//! completed has failed: nothing is ever lost by forgetting it.

use crate::batch::Batch;
use crate::context::Context;
use crate::encryption::Aside;
use crate::event::Event;
use crate::handler::Handler;
use crate::hook::Hook;
use crate::pool::Pool;
use crate::report::Report;
use karafka_engine::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

pub use crate::failure::{Failure, Verdict};
pub use karafka_engine::{FilterAnswer, JobKind};

/// The work of one call of a handler.
#[allow(clippy::struct_excessive_bools)] // Independent facts, not the states of one thing.
pub struct Job {
    pub(crate) batch: Batch,
    pub(crate) context: Context,
    pub(crate) kind: JobKind,
    pub(crate) topic_index: usize,
    pub(crate) handler: Option<Arc<dyn Handler>>,
    /// Whether the seat runs it by itself.
    pub(crate) is_own: bool,
    pub(crate) pool: Arc<Pool<Job>>,
    pub(crate) completed: bool,
    pub(crate) taken: bool,
    pub(crate) has_strategy: bool,
    pub(crate) earlier: Vec<Failure>,
    /// When the call began, where somebody wants to know.
    pub(crate) begun: Option<Instant>,
    /// Whether the poller wants to hear when the job begins.
    pub(crate) tell_start: bool,
    /// Records that a callback is not asked about, since they did not open.
    pub(crate) aside: Option<Box<Aside>>,
}

impl Job {
    /// The records to handle.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The partition's ownership, marking, and what the call should know.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether records are to be handled, a callback is asked for their keys or their unique values ([`Job::complete_keys`]
    /// answers both), or a filter whether they are handled at all ([`Job::complete_filter`]).
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// The topic, by the number that registering it returned.
    pub fn topic_index(&self) -> usize {
        self.topic_index
    }

    /// A seat begins the job.
    pub(crate) fn begin(&mut self, now: Instant) {
        if std::mem::take(&mut self.tell_start) {
            self.context.report(Report::Started { job: self.context.job, at: now });
        }
        if self.kind == JobKind::Handle && self.context.shared.publisher.wants_jobs() {
            self.begun = Some(now);
            self.context.shared.publisher.publish(&Event::Consume {
                topic: Arc::clone(&self.context.assignment.topic),
                partition: self.context.assignment.partition,
                offset: self.batch.first_offset(),
                messages: u32::try_from(self.batch.len()).unwrap_or(u32::MAX),
                attempt: self.context.attempt,
            });
        }
    }

    /// The call has ended, of whose begin somebody was told.
    fn tell_end(&self, begun: Instant, succeeded: bool) {
        self.context.shared.publisher.publish(&Event::Consumed {
            topic: Arc::clone(&self.context.assignment.topic),
            partition: self.context.assignment.partition,
            offset: self.batch.first_offset(),
            messages: u32::try_from(self.batch.len()).unwrap_or(u32::MAX),
            attempt: self.context.attempt,
            time_taken_ms: begun.elapsed().as_secs_f64() * 1e3,
            succeeded,
        });
    }

    /// Runs the topic's Rust handler. A panic in it is a failure of the job.
    pub fn run(self) {
        let Some(handler) = self.handler.clone() else {
            self.fail(Failure::new("NoHandler", "the topic's handler belongs to another language"));
            return;
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| match self.kind {
            JobKind::Handle => handler.handle(self),
            JobKind::Key => handler.partition(self),
            JobKind::Unique => handler.unique_value(self),
            JobKind::Filter => handler.filter(self),
            JobKind::Tick => handler.hook(Hook::Tick, self),
            JobKind::Eofed => handler.hook(Hook::Eofed, self),
            JobKind::Revoked => handler.hook(Hook::Revoked, self),
            JobKind::Shutdown => handler.hook(Hook::Shutdown, self),
        }));
        if outcome.is_err() {
            tracing::error!("a handler panicked; its records will be tried again");
        }
    }

    /// The handler succeeded: its records are marked, unless the topic's offsets are managed by hand.
    pub fn done(mut self) {
        self.end(Outcome::Done, None);
    }

    /// The handler failed: what it did not mark is tried again after the back-off.
    pub fn fail(mut self, failure: impl Into<Failure>) {
        let mut failure = failure.into();
        if self.kind != JobKind::Handle {
            // No record failed: all of them are handled.
            return self.end(Outcome::KeyFailed, Some(failure));
        }
        if let Some(handler) = self.handler.clone().filter(|_| self.asks_strategy(&failure)) {
            let asked = catch_unwind(AssertUnwindSafe(|| handler.strategy(&self, &failure)));
            failure.verdict = asked.unwrap_or_else(|_| {
                tracing::error!("a strategy panicked; its record will be tried again");
                Verdict::Retry
            });
        }
        self.end(failure.outcome(), Some(failure));
    }

    /// Whether the topic's strategy is to be asked about this failure: it has one, nothing else was said, and it is known
    /// which record failed. Bindings ask it before they fail the job, and put its answer into the failure.
    pub fn asks_strategy(&self, failure: &Failure) -> bool {
        let is_known = self.batch.len() == 1 || failure.index.is_some();
        self.has_strategy && is_known && failure.verdict == Verdict::Unsaid
    }

    /// Earlier failures of the job's only record in this ownership, the latest last, at most 100: for a strategy.
    pub fn earlier_failures(&self) -> &[Failure] {
        &self.earlier
    }

    /// The handler did not run, or must not count: what it did not mark goes back as it was.
    pub fn put_back(mut self) {
        self.end(Outcome::NotStarted, None);
    }

    /// Answers a callback's job: one key for each record, in order. Records of equal keys stay in order, or are never handled
    /// at the same time as such records elsewhere; of unique values, an empty one says that the record is not limited.
    pub fn complete_keys<K: AsRef<[u8]>>(mut self, keys: &[K]) {
        if keys.len() == self.batch.len() {
            let limited = |key: &[u8]| self.kind != JobKind::Unique || !key.is_empty();
            let hash = |key: &[u8]| if limited(key) { karafka_engine::hash_key(key, 0) } else { 0 };
            let hashes = keys.iter().map(|key| hash(key.as_ref())).collect();
            self.end(Outcome::Keyed(hashes), None);
        } else {
            let message = format!("{} keys for {} records", keys.len(), self.batch.len());
            self.end(Outcome::KeyFailed, Some(Failure::new("ArgumentError", message)));
        }
    }

    /// Answers a filter's job: one answer for each record, in order. `failure` says why, where one is
    /// [`FilterAnswer::Failed`]: such a record is handled. With another number of answers all of them are.
    pub fn complete_filter(mut self, answers: Vec<FilterAnswer>, failure: Option<Failure>) {
        let message = || format!("{} answers for {} records", answers.len(), self.batch.len());
        let failure =
            failure.or_else(|| (answers.len() != self.batch.len()).then(|| Failure::new("ArgumentError", message())));
        self.end(Outcome::Filtered(answers), failure);
    }

    pub(crate) fn end(&mut self, mut outcome: Outcome, mut failure: Option<Failure>) {
        self.completed = true;
        if self.context.shared.is_foreign() {
            // Of a child that was forked in the call. Its parent has the job, and ends it; what frees the records has locks.
            let emptied = self.batch.emptied();
            std::mem::forget(std::mem::replace(&mut self.batch, emptied));
            return;
        }
        let transactions = &self.context.assignment.transactions;
        if self.kind == JobKind::Handle && matches!(outcome, Outcome::Done) && transactions.has_one_of(self.context.job)
        {
            // What that marks is done if it is committed, and not because its call has returned.
            let message =
                "the call returned before its transaction had ended: what that does not commit is tried again";
            let unended = Failure::new("TransactionNotEnded", message);
            outcome = unended.outcome();
            failure = Some(unended);
        }
        if let Some(tally) = self.context.tally.as_ref() {
            let succeeded = self.kind == JobKind::Handle && matches!(outcome, Outcome::Done);
            if let Some(wrong) = tally.end(&self.context, self.batch.first_offset(), succeeded) {
                outcome = wrong.outcome();
                failure = Some(wrong);
            }
        }
        if let Some(begun) = self.begun {
            self.tell_end(begun, matches!(outcome, Outcome::Done));
        }
        // Records of a job that succeeded are freed with the job, on the worker; all others travel back to the engine.
        // So do those of one that paused, as what it did not mark comes again.
        let goes_back = self.context.ends_paused();
        let messages = if matches!(outcome, Outcome::Done) && !goes_back {
            Vec::new()
        } else {
            let emptied = self.batch.emptied();
            let mut messages = std::mem::replace(&mut self.batch, emptied).into_messages();
            if let Some(aside) = self.aside.take() {
                aside.come_back(&mut messages, self.kind, &mut outcome, &mut failure);
            }
            messages
        };
        self.context.report(Report::Ended { job: self.context.job, outcome, messages, failure });
        if self.taken {
            self.pool.ended();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        let outcome = if self.kind == JobKind::Handle { Outcome::FAILED } else { Outcome::KeyFailed };
        let message = if std::thread::panicking() { "the handler panicked" } else { "the job was dropped uncompleted" };
        self.end(outcome, Some(Failure::new("Dropped", message)));
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({:?}, attempt {})", self.batch, self.batch.attempt())
    }
}
