//! What a handler may know and do beside its batch.
//!
//! Used on any thread, also after the call: ownership is one atomic read, marks are messages to the poller, commits wait
//! without the interpreter's lock.

use crate::attach;
use crate::error::OrRaise;
use crate::message::Message;
use crate::settings;
use crate::transaction::Transaction;
use karafka::SeekTo;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The context of one call of a handler.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct Context {
    inner: karafka::Context,
    batch: karafka::Batch,
    /// The transaction that was begun last.
    transaction: Mutex<Option<Py<Transaction>>>,
}

impl Context {
    fn of(inner: karafka::Context, batch: karafka::Batch) -> Self {
        Self { inner, batch, transaction: Mutex::new(None) }
    }

    pub(crate) fn core(&self) -> &karafka::Context {
        &self.inner
    }

    pub(crate) fn new(job: &karafka::Job) -> Self {
        Self::of(job.context().clone(), job.batch().clone())
    }

    fn last_transaction(&self) -> MutexGuard<'_, Option<Py<Transaction>>> {
        self.transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a message of this call's batch; a hook, whose batch is empty, may mark any of its partition. A mark goes by
    /// place, and another batch's must not be taken for it.
    pub(crate) fn mark(&self, message: &Message, mark: impl FnOnce(&karafka::Message<'_>) -> bool) -> PyResult<bool> {
        let place = message.index();
        let mark = |theirs: karafka::Message<'_>| {
            let here = |ours: karafka::Message<'_>| ours.offset() == theirs.offset();
            let is_same = (self.batch.is_empty() || self.batch.get(place).is_some_and(here))
                && self.batch.topic() == theirs.topic()
                && self.batch.partition() == theirs.partition();
            is_same.then(|| mark(&theirs))
        };
        if let Some(owned) = message.with(mark).flatten() {
            return Ok(owned);
        }
        Err(PyValueError::new_err("the message is not of this call's batch; mark messages in the call that got them"))
    }
}

#[pymethods]
impl Context {
    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        self.inner.topic()
    }

    /// The partition's number.
    #[getter]
    fn partition(&self) -> i32 {
        self.inner.partition()
    }

    /// The consumer group.
    #[getter]
    fn group(&self) -> &str {
        self.inner.group()
    }

    /// Which attempt at the first record this call is, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.inner.attempt()
    }

    /// Whether the first record was tried before.
    #[getter]
    fn retrying(&self) -> bool {
        self.inner.is_retrying()
    }

    /// Whether the partition went to another member. From then on nothing of it can be marked or committed here.
    #[getter]
    fn revoked(&self) -> bool {
        self.inner.is_revoked()
    }

    /// Whether the end of the partition was reached behind the messages of this call, as far as is known; or the call tells of
    /// it. For topics with ``eofed``.
    #[getter]
    fn eofed(&self) -> bool {
        self.inner.is_eofed()
    }

    /// Whether the consumer was given messages in this ownership of the partition, in this call or before. For topics with
    /// hooks.
    #[getter]
    fn used(&self) -> bool {
        self.inner.is_used()
    }

    /// The number of this ownership of the partition, which no other has in this app.
    #[getter]
    fn ownership(&self) -> u64 {
        self.inner.ownership()
    }

    /// The virtual partition of the call; None when there are several, or none in particular.
    #[getter]
    fn virtual_partition(&self) -> Option<u64> {
        match self.batch.groups() {
            [only] => Some(only.virtual_partition),
            _ => None,
        }
    }

    /// Whether the app was asked to stop; long handlers may end early then.
    #[getter]
    fn stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Marks a message and everything before it in its virtual partition. Returns whether the partition is still owned;
    /// False marks nothing. The commit follows within ``commit_interval``.
    ///
    /// A text is stored with the offset: whoever is assigned the partition next reads it by ``offset_metadata``. Which of
    /// several is stored is decided by ``offset_metadata_strategy``. A hook may mark messages of earlier calls in the same
    /// ownership of the partition.
    #[pyo3(signature = (message, metadata = None))]
    fn mark_as_consumed(&self, message: &Bound<'_, Message>, metadata: Option<&str>) -> PyResult<bool> {
        self.mark(message.get(), |message| match metadata {
            Some(text) => self.inner.mark_as_consumed_with(message, text),
            None => self.inner.mark_as_consumed(message),
        })
    }

    /// Marks this one message and no other. Returns whether the partition is still owned.
    fn acknowledge(&self, message: &Bound<'_, Message>) -> PyResult<bool> {
        self.mark(message.get(), |message| self.inner.acknowledge(message))
    }

    /// A block of ``with`` or ``async with`` that is a transaction of what this call produces and marks: outputs and offsets become
    /// visible together at its end. Nothing of it is ever visible when an exception leaves it, which goes on, but
    /// ``AbortTransaction``, or when the partition is lost. What the call marks in the block belongs to the transaction. Inside a
    /// transaction of the same call the block joins it.
    ///
    /// Transactions of several calls produce at the same time; those of one partition commit one after the other.
    ///
    /// Raises ``NotOwnedError`` when the partition is lost; ``UnsupportedError`` on the embedded broker, which keeps no
    /// transactions; ``TransactionError`` or ``TimeoutError`` when it was aborted.
    fn transaction<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("libkarafka.transaction")?.getattr("HandlerTransaction")?.call1((slf,))
    }

    fn _begin_transaction(&self, py: Python<'_>) -> PyResult<Py<Transaction>> {
        let begun = Py::new(py, Transaction::of_handler(py, Self::of(self.inner.clone(), self.batch.clone()))?)?;
        let before = self.last_transaction().replace(begun.clone_ref(py));
        // Not with the lock: what ends with it may run code.
        drop(before);
        Ok(begun)
    }

    fn _open_transaction(&self, py: Python<'_>) -> Option<Py<Transaction>> {
        let last = self.last_transaction().as_ref().map(|last| last.clone_ref(py));
        last.filter(|last| last.get().is_open())
    }

    /// Marks like ``mark_as_consumed``, and returns after the broker has it. Returns whether the partition is still owned.
    ///
    /// Waits up to ``timeout`` seconds: from a coroutine, call it by ``asyncio.to_thread``.
    #[pyo3(signature = (message, timeout = 30.0, metadata = None))]
    fn mark_as_consumed_sync(
        &self,
        py: Python<'_>,
        message: &Bound<'_, Message>,
        timeout: f64,
        metadata: Option<&str>,
    ) -> PyResult<bool> {
        Ok(self.mark_as_consumed(message, metadata)? && self.commit(py, timeout)?)
    }

    /// Commits what is marked, and returns after the broker has it. Returns whether the partition is still owned: use it as a
    /// fence before effects that must not happen twice.
    #[pyo3(signature = (timeout = 30.0))]
    fn commit(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = settings::seconds(timeout)?;
        attach::detached(py, || self.inner.commit(timeout)).or_raise(py)
    }

    /// Commits what is marked now instead of at the next ``commit_interval``, and returns at once. Returns whether the
    /// partition is still owned.
    fn commit_offsets(&self) -> bool {
        self.inner.commit_offsets()
    }

    /// ``commit`` by the name that its asynchronous sister has.
    #[pyo3(signature = (timeout = 30.0))]
    fn commit_offsets_sync(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        self.commit(py, timeout)
    }

    /// Hands out no more messages of the partition for so many seconds, or until ``resume``. Running calls go on, and nothing
    /// that was fetched is thrown away. Returns whether the partition is still owned.
    ///
    /// What this call has not marked when it returns is not marked by returning: it comes again when the pause is over. A
    /// later pause takes the place of an earlier one; a pause ends with the ownership of the partition.
    #[pyo3(signature = (seconds = None))]
    fn pause(&self, seconds: Option<f64>) -> PyResult<bool> {
        Ok(self.inner.pause(seconds.map(settings::seconds).transpose()?))
    }

    /// Ends a pause, whoever paused. Returns whether the partition is still owned.
    fn resume(&self) -> bool {
        self.inner.resume()
    }

    /// Moves the partition: the next message that is handed out is at the target, forwards or backwards: an offset, a
    /// ``datetime`` (the first message that is not older), ``"earliest"`` or ``"latest"``. Returns whether the partition is
    /// still owned.
    ///
    /// Messages that wait are dropped; what running calls mark from then on does not count, nor what this call has not
    /// marked. The new position is committed, also where it lies below the old one. Raises an ``Error`` when the target
    /// cannot be found or reached; then the partition goes on where it was.
    ///
    /// May wait for a broker up to ``timeout`` seconds: from a coroutine, call it by ``asyncio.to_thread``.
    #[pyo3(signature = (target, timeout = 30.0))]
    fn seek(&self, py: Python<'_>, target: &Bound<'_, PyAny>, timeout: f64) -> PyResult<bool> {
        let (to, timeout) = (seek_to(target)?, settings::seconds(timeout)?);
        attach::detached(py, || self.inner.seek(to, timeout)).or_raise(py)
    }

    /// Stores a text with the offset from the next commit on, without marking anything. Returns whether the partition is
    /// still owned.
    fn store_offset_metadata(&self, metadata: &str) -> bool {
        self.inner.store_offset_metadata(metadata)
    }

    /// The text that was stored with the partition's offset when it was assigned, or the last one given here since; empty
    /// when there is none, and None when the partition is no longer owned.
    #[getter]
    fn offset_metadata(&self) -> Option<String> {
        self.inner.offset_metadata()
    }

    /// The messages of the call one by one, each marked when the next is asked for: a loop that raises has marked all before
    /// its message, and only that one and those behind it are tried again. Ends early when the partition is lost.
    fn each(&self) -> Each {
        let Self { inner, batch, .. } = self;
        Each { context: inner.clone(), batch: batch.clone(), next: AtomicUsize::new(0) }
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Context {}/{}, attempt {}>", self.topic(), self.partition(), self.attempt())
    }
}

/// Where a seek goes: an offset, a time or the name of an end.
fn seek_to(target: &Bound<'_, PyAny>) -> PyResult<SeekTo> {
    if let Ok(offset) = target.extract::<i64>() {
        return Ok(SeekTo::Offset(offset));
    }
    match target.extract::<String>().ok().as_deref() {
        Some("earliest") => return Ok(SeekTo::Earliest),
        Some("latest") => return Ok(SeekTo::Latest),
        _ => {}
    }
    if target.hasattr("timestamp")? {
        let seconds: f64 = target.call_method0("timestamp")?.extract()?;
        return Ok(SeekTo::Time((seconds * 1000.0).floor() as i64));
    }
    let class = target.get_type().name()?;
    Err(PyTypeError::new_err(format!("seek takes an offset, a datetime, \"earliest\" or \"latest\", not {class}")))
}

/// The messages of a call, each marked when the next is asked for.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct Each {
    context: karafka::Context,
    batch: karafka::Batch,
    next: AtomicUsize,
}

#[pymethods]
impl Each {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<Message> {
        let index = self.next.load(Ordering::Relaxed);
        if let Some(before) = index.checked_sub(1) {
            self.context.mark_index(before, false);
        }
        if index >= self.batch.len() || self.context.is_revoked() {
            return None;
        }
        self.next.store(index + 1, Ordering::Relaxed);
        Some(Message::new(self.batch.clone(), index))
    }
}
