//! One call of a handler: its batch, its context, and the duty to complete it exactly once.
//!
//! Taken from a seat by a worker; may be kept and completed on any other thread. A job that is dropped without having been
//! completed has failed: nothing is ever lost by forgetting it.

use crate::batch::Batch;
use crate::context::Context;
use crate::handler::Handler;
use crate::pool::Pool;
use crate::report::Report;
use karafka_engine::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use karafka_engine::JobKind;

/// Why a handler failed, as far as its language can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class of the error, such as an exception's name.
    pub class: String,
    /// What it says.
    pub message: String,
    /// Where it came from, if known; one frame a line.
    pub backtrace: Option<String>,
}

impl Failure {
    /// A failure of this class that says this.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), backtrace: None }
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(std::any::type_name::<E>(), error.to_string())
    }
}

/// The work of one call of a handler.
pub struct Job {
    pub(crate) batch: Batch,
    pub(crate) context: Context,
    pub(crate) kind: JobKind,
    pub(crate) topic_index: usize,
    pub(crate) handler: Option<Arc<dyn Handler>>,
    pub(crate) pool: Arc<Pool<Job>>,
    pub(crate) completed: bool,
    pub(crate) taken: bool,
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

    /// Whether records are to be handled, or a callback partitioner is asked for their keys
    /// ([`Job::complete_keys`] answers that).
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// The topic, by the number that registering it returned.
    pub fn topic_index(&self) -> usize {
        self.topic_index
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
        let outcome = if self.kind == JobKind::Key { Outcome::KeyFailed } else { Outcome::FAILED };
        self.end(outcome, Some(failure.into()));
    }

    /// The handler did not run, or must not count: what it did not mark goes back as it was.
    pub fn put_back(mut self) {
        self.end(Outcome::NotStarted, None);
    }

    /// Answers a callback partitioner's job: one key for each record, in order. Records of equal keys stay in order.
    pub fn complete_keys<K: AsRef<[u8]>>(mut self, keys: &[K]) {
        if keys.len() == self.batch.len() {
            let hashes = keys.iter().map(|key| karafka_engine::hash_key(key.as_ref(), 0)).collect();
            self.end(Outcome::Keyed(hashes), None);
        } else {
            let message = format!("{} keys for {} records", keys.len(), self.batch.len());
            self.end(Outcome::KeyFailed, Some(Failure::new("ArgumentError", message)));
        }
    }

    fn end(&mut self, outcome: Outcome, failure: Option<Failure>) {
        self.completed = true;
        // Records of a job that succeeded are freed with the job, on the worker; all others travel back to the engine.
        let messages = if matches!(outcome, Outcome::Done) {
            Vec::new()
        } else {
            let emptied = self.batch.emptied();
            std::mem::replace(&mut self.batch, emptied).into_messages()
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
        let outcome = if self.kind == JobKind::Key { Outcome::KeyFailed } else { Outcome::FAILED };
        let message = if std::thread::panicking() { "the handler panicked" } else { "the job was dropped uncompleted" };
        self.end(outcome, Some(Failure::new("Dropped", message)));
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({:?}, attempt {})", self.batch, self.batch.attempt())
    }
}
