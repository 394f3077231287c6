//! What a handler may do to the position of its partition: pause, resume, seek, commit, and store texts beside the offset.
//!
//! Called on any thread, also after the call. All of it are messages to the poller; a seek and a commit may be waited for.
//! Ownership is one atomic read, as in [`Context`].

use crate::context::Context;
use crate::lock::Mutex;
use crate::message::Message;
use crate::report::Report;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use karafka_engine::{Extent, JobId};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where a seek goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    /// The message with this offset, or the first after it.
    Offset(i64),
    /// The first message that is not older than this: milliseconds since 1970-01-01 UTC.
    Time(i64),
    /// The oldest message that is still there.
    Earliest,
    /// The end: only what arrives from now on.
    Latest,
}

/// What handlers have said about the position of one assignment.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// How many jobs are in `pausing`, so that all others need no lock.
    pauses: AtomicUsize,
    /// Jobs whose handler paused the partition.
    pausing: Mutex<Vec<JobId>>,
    /// The text that was given last, or read at the assignment.
    text: Mutex<String>,
    /// The end of the log when it was last looked at; negative while unknown.
    pub(crate) end: AtomicI64,
}

impl Said {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: Mutex::new(text.to_owned()), end: AtomicI64::new(-1), ..Self::default() }
    }

    fn pause(&self, job: JobId) {
        let mut pausing = self.pausing.lock();
        if !pausing.contains(&job) {
            pausing.push(job);
            self.pauses.store(pausing.len(), Ordering::SeqCst);
        }
    }

    /// Forgets a job's pause; whether there was one.
    fn resume(&self, job: JobId) -> bool {
        if self.pauses.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut pausing = self.pausing.lock();
        let before = pausing.len();
        pausing.retain(|other| *other != job);
        self.pauses.store(pausing.len(), Ordering::SeqCst);
        pausing.len() < before
    }
}

const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// A seek that somebody waits for. Who has given up waiting is sure that it does not happen any more.
pub(crate) struct Ask {
    state: Arc<AtomicU8>,
    answer: Sender<Result<bool>>,
}

impl Ask {
    /// Whether it is still wanted; from here on the caller waits for the answer.
    pub(crate) fn take(&self) -> bool {
        self.state.compare_exchange(OPEN, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(crate) fn answer(&self, answer: Result<bool>) {
        // The caller may have given up waiting.
        let _ = self.answer.send(answer);
    }
}

impl Context {
    /// Hands out no more messages of the partition, for this time, or until [`Self::resume`]. Running calls go on; the
    /// group, other partitions and a stop are not affected, and nothing that was fetched is thrown away. Returns whether
    /// the partition is still owned.
    ///
    /// What this call has not marked when it returns is not marked by returning: it comes again when the pause is over. A
    /// later pause takes the place of an earlier one. A pause ends with the ownership of the partition.
    pub fn pause(&self, time: Option<Duration>) -> bool {
        if self.is_revoked() {
            return false;
        }
        self.assignment.said.pause(self.job);
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.tell(Report::Paused { job: self.job, assignment: self.assignment.id, until })
    }

    /// Ends a pause, whoever paused. Returns whether the partition is still owned.
    pub fn resume(&self) -> bool {
        if self.is_revoked() {
            return false;
        }
        self.assignment.said.resume(self.job);
        self.tell(Report::Resumed { job: self.job, assignment: self.assignment.id })
    }

    /// Moves the partition: the next message that is handed out is at the target, forwards or backwards. Returns whether the
    /// partition is still owned.
    ///
    /// Messages that wait are dropped; calls that run go on, and what they mark from then on does not count, nor what this
    /// call has not marked. The first call at the target waits for them. The new position is committed, also where it lies
    /// below the old one, and survives a crash from then on. A target that the log does not hold any more, or not yet, is
    /// decided by `initial_offset`.
    ///
    /// Waits for a broker where the target is a time or an end. From a coroutine, call it on another thread.
    ///
    /// # Errors
    /// Then nothing has changed, and the partition goes on where it was. `Config` for a negative offset or a time after
    /// the newest message, `Unsupported` for a time on the embedded broker, `Timeout` when no broker answered within
    /// `timeout`, `Broker` when one refused, `Stopped` when the app ended meanwhile.
    pub fn seek(&self, to: SeekTo, timeout: Duration) -> Result<bool> {
        if let SeekTo::Offset(offset) | SeekTo::Time(offset) = to
            && !(0..i64::MAX).contains(&offset)
        {
            return Err(self.seek_error(ErrorKind::Config, format!("{offset} is no place in a log")));
        }
        if self.is_revoked() {
            return Ok(false);
        }
        let (answer, answered) = bounded(1);
        let state = Arc::new(AtomicU8::new(OPEN));
        let ask = Ask { state: Arc::clone(&state), answer };
        self.tell(Report::Seek { assignment: self.assignment.id, to, timeout, ask });
        let stopped = || self.seek_error(ErrorKind::Stopped, "the app stopped before it was answered".to_owned());
        match answered.recv_timeout(timeout) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(stopped()),
            // One that has begun is answered at once.
            Err(RecvTimeoutError::Timeout) => {
                match state.compare_exchange(OPEN, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => {
                        let message = format!("no broker said within {timeout:?} where that is; nothing was moved");
                        Err(self.seek_error(ErrorKind::Timeout, message).retriable())
                    }
                    Err(_) => answered.recv().unwrap_or_else(|_| Err(stopped())),
                }
            }
        }
    }

    /// Marks as [`Self::mark_as_consumed`], and stores a text with the offset: whoever is assigned the partition next reads
    /// it by [`Self::offset_metadata`]. Which of several texts is stored is decided by `offset_metadata_strategy`. An empty
    /// text is none.
    ///
    /// A text that does not fit into the 4096 bytes that brokers take is not stored, which a warning tells; it is never cut.
    pub fn mark_as_consumed_with(&self, message: &Message<'_>, text: &str) -> bool {
        self.mark_with(message.index(), message.offset(), text)
    }

    /// [`Self::mark_as_consumed_with`] by the record's index in the batch.
    pub fn mark_index_with(&self, index: usize, text: &str) -> bool {
        self.mark_with(index, -1, text)
    }

    fn mark_with(&self, index: usize, offset: i64, text: &str) -> bool {
        if self.is_revoked() {
            return false;
        }
        let (job, index) = (self.job, u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(owned) = self.mark_in_transaction(index, Extent::Prefix, Some(text)) {
            return owned;
        }
        text.clone_into(&mut self.assignment.said.text.lock());
        self.report(Report::MarkedWith { job, index, text: text.to_owned(), place: self.place(offset) });
        true
    }

    /// Stores a text with the offset from the next commit on, without marking anything. Returns whether the partition is
    /// still owned.
    pub fn store_offset_metadata(&self, text: &str) -> bool {
        if self.is_revoked() {
            return false;
        }
        text.clone_into(&mut self.assignment.said.text.lock());
        self.report(Report::Stored { assignment: self.assignment.id, text: text.to_owned() });
        true
    }

    /// The text that was stored with the partition's offset when it was assigned, or the last one given here since; empty
    /// when there is none. `None` when the partition is no longer owned.
    pub fn offset_metadata(&self) -> Option<String> {
        (!self.is_revoked()).then(|| self.assignment.said.text.lock().clone())
    }

    /// Commits what is marked now instead of at the next `commit_interval`, and returns at once. Returns whether the
    /// partition is still owned. [`Self::commit`] waits for the answer.
    pub fn commit_offsets(&self) -> bool {
        !self.is_revoked() && self.tell(Report::CommitSoon { assignment: self.assignment.id })
    }

    /// Calls `handle` with one message of the batch after the other, and marks each when it returned `Ok`. Ends with the
    /// first error: only its message and those behind it are tried again. Ends early, too, when the partition is lost.
    ///
    /// # Errors
    /// The first one of `handle`, to be returned by the handler.
    pub fn each<E>(
        &self,
        batch: &crate::Batch,
        mut handle: impl FnMut(Message<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        for message in batch.iter() {
            if self.is_revoked() {
                break;
            }
            let marked = message;
            handle(message)?;
            self.acknowledge(&marked);
        }
        Ok(())
    }

    /// The job is about to end; whether its messages have to go back because it paused the partition.
    pub(crate) fn ends_paused(&self) -> bool {
        self.assignment.said.resume(self.job)
    }

    fn tell(&self, report: Report) -> bool {
        self.report(report);
        self.shared.waker.wake();
        true
    }

    fn seek_error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, "seek", message).with("topic", self.topic()).with("partition", self.partition())
    }
}
