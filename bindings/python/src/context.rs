//! What a handler may know and do beside its batch.
//!
//! Used on any thread, also after the call: ownership is one atomic read, marks are messages to the poller, commits wait
//! without the interpreter's lock.

use crate::attach;
use crate::error::OrRaise;
use crate::message::Message;
use crate::settings;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The context of one call of a handler.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct Context {
    inner: karafka::Context,
    batch: karafka::Batch,
}

impl Context {
    pub(crate) fn new(job: &karafka::Job) -> Self {
        Self { inner: job.context().clone(), batch: job.batch().clone() }
    }

    /// The message's place in this call's batch: a mark goes by place, and another batch's must not be taken for it.
    fn place(&self, message: &Message) -> PyResult<usize> {
        let place = message.index();
        let is_same = |theirs: karafka::Message<'_>| {
            let here = |ours: karafka::Message<'_>| ours.offset() == theirs.offset();
            self.batch.get(place).is_some_and(here)
                && self.batch.topic() == theirs.topic()
                && self.batch.partition() == theirs.partition()
        };
        if message.with(is_same).unwrap_or(false) {
            return Ok(place);
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

    /// Whether the app was asked to stop; long handlers may end early then.
    #[getter]
    fn stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Marks a message and everything before it in its virtual partition. Returns whether the partition is still owned;
    /// False marks nothing. The commit follows within ``commit_interval``.
    fn mark_as_consumed(&self, message: &Bound<'_, Message>) -> PyResult<bool> {
        Ok(self.inner.mark_index(self.place(message.get())?, true))
    }

    /// Marks this one message and no other. Returns whether the partition is still owned.
    fn acknowledge(&self, message: &Bound<'_, Message>) -> PyResult<bool> {
        Ok(self.inner.mark_index(self.place(message.get())?, false))
    }

    /// Marks like ``mark_as_consumed``, and returns after the broker has it. Returns whether the partition is still owned.
    ///
    /// Waits up to ``timeout`` seconds: from a coroutine, call it by ``asyncio.to_thread``.
    #[pyo3(signature = (message, timeout = 30.0))]
    fn mark_as_consumed_sync(&self, py: Python<'_>, message: &Bound<'_, Message>, timeout: f64) -> PyResult<bool> {
        Ok(self.mark_as_consumed(message)? && self.commit(py, timeout)?)
    }

    /// Commits what is marked, and returns after the broker has it. Returns whether the partition is still owned: use it as a
    /// fence before effects that must not happen twice.
    #[pyo3(signature = (timeout = 30.0))]
    fn commit(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = settings::seconds(timeout)?;
        attach::detached(py, || self.inner.commit(timeout)).or_raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Context {}/{}, attempt {}>", self.topic(), self.partition(), self.attempt())
    }
}
