//! Transactions.
//!
//! Called on any Python thread; every wait for brokers happens without the interpreter's lock, and lets signals through.

use crate::attach;
use crate::context::Context;
use crate::error::OrRaise;
use crate::message::Message;
use crate::producer::Producer;
use crate::settings::settings;
use crossbeam::channel::bounded;
use karafka::ProducerConfig;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::cell::Cell;
use std::sync::Arc;

/// What the class of the same name in ``libkarafka/transaction.py`` drives.
#[pyclass(frozen, name = "_TransactionalProducer", module = "libkarafka._native")]
pub(crate) struct TransactionalProducer(karafka::TransactionalProducer);

/// An open transaction: what is produced by it becomes visible together, or not at all.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct Transaction(Option<Arc<karafka::Transaction>>, Option<Context>);

/// Runs what waits for brokers on a thread of its own, so that Ctrl-C ends the wait; the thread finishes by itself.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> karafka::Result<T> + Send + 'static,
) -> PyResult<T> {
    let (ended, end) = bounded(1);
    let run = move || {
        // Nobody listens any more after Ctrl-C.
        let _ = ended.send(work());
    };
    std::thread::Builder::new().name("karafka-wait".to_owned()).spawn(run)?;
    let outcome = attach::wait(py, None, |slice| end.recv_timeout(slice).ok())?;
    let gone = || karafka::Error::new(karafka::ErrorKind::Internal, "wait", "the call panicked");
    outcome.unwrap_or_else(|| Err(gone())).or_raise(py)
}

#[pymethods]
impl TransactionalProducer {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let settings = options.map(settings).transpose()?.unwrap_or_default();
        let made = ProducerConfig::from_settings(&settings).and_then(karafka::TransactionalProducer::new);
        made.map(Self).or_raise(py)
    }

    /// Begins for the Python thread with this number.
    fn begin(&self, py: Python<'_>, thread: u64) -> PyResult<Transaction> {
        let producer = self.0.clone();
        let begun = interruptible(py, move || producer.begin_as(thread))?;
        Ok(Transaction(Some(Arc::new(begun)), None))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let producer = self.0.clone();
        interruptible(py, move || producer.close())
    }
}

impl Transaction {
    /// Begins for a call of a handler.
    pub(crate) fn of_handler(py: Python<'_>, context: Context) -> PyResult<Self> {
        let of = context.core().clone();
        let begun = interruptible(py, move || of.begin_transaction())?;
        Ok(Self(Some(Arc::new(begun)), Some(context)))
    }

    /// Marks a message of the handler's call.
    fn mark(&self, message: &Bound<'_, Message>, prefix: bool) -> PyResult<()> {
        let py = message.py();
        let open = self.core(py, "mark in a transaction")?;
        let outcome = Cell::new(None);
        let mark = |message: &karafka::Message<'_>| {
            outcome.set(Some(open.mark_index(message.index(), prefix)));
            true
        };
        match &self.1 {
            Some(context) => {
                context.mark(message.get(), mark)?;
            }
            None => outcome.set(Some(open.mark_index(message.get().index(), prefix))),
        }
        outcome.into_inner().unwrap_or(Ok(())).or_raise(py)
    }

    fn core(&self, py: Python<'_>, operation: &'static str) -> PyResult<&Arc<karafka::Transaction>> {
        let gone = || karafka::Error::new(karafka::ErrorKind::Stopped, operation, "the transaction is being freed");
        self.0.as_ref().ok_or_else(gone).or_raise(py)
    }

    /// The producer whose records are parts of the transaction.
    fn producer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Producer>> {
        let producer = self.core(py, "produce")?.producer().or_raise(py)?;
        Bound::new(py, Producer::lent(producer))
    }
}

#[pymethods]
impl Transaction {
    /// Sends a record as part of the transaction and returns at once with its delivery; parameters as of
    /// ``Producer.produce``. The commit waits for its acknowledgement, and aborts without it.
    #[pyo3(signature = (*record, **more))]
    fn produce<'py>(
        &self,
        py: Python<'py>,
        record: &Bound<'py, PyTuple>,
        more: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.producer(py)?.call_method("produce", record, more)
    }

    /// Sends many records, in order, and returns their deliveries at once, as ``Producer.produce_many``.
    fn produce_many<'py>(&self, py: Python<'py>, records: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.producer(py)?.call_method1("produce_many", (records,))
    }

    /// Marks a message of the handler's call and everything before it in its virtual partition, as part of the transaction.
    ///
    /// Raises ``NotOwnedError`` when the partition is lost, and ``TransactionError`` outside of a handler.
    fn mark_as_consumed(&self, message: &Bound<'_, Message>) -> PyResult<()> {
        self.mark(message, true)
    }

    /// Marks this one message of the handler's call and no other, as part of the transaction.
    fn acknowledge(&self, message: &Bound<'_, Message>) -> PyResult<()> {
        self.mark(message, false)
    }

    /// Has the transaction aborted when its block ends, however it ends.
    fn give_up(&self, py: Python<'_>) -> PyResult<()> {
        self.core(py, "give a transaction up")?.give_up();
        Ok(())
    }

    /// Whether it has neither been committed nor aborted.
    #[getter]
    pub(crate) fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|transaction| transaction.is_open())
    }

    fn _commit(&self, py: Python<'_>) -> PyResult<()> {
        let transaction = Arc::clone(self.core(py, "commit a transaction")?);
        interruptible(py, move || transaction.commit())
    }

    fn _abort(&self, py: Python<'_>) -> PyResult<()> {
        let transaction = Arc::clone(self.core(py, "abort a transaction")?);
        interruptible(py, move || transaction.abort())
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Transaction, {}>", if self.is_open() { "open" } else { "ended" })
    }
}

impl Drop for Transaction {
    /// Aborting waits for brokers: neither with the interpreter's lock nor on a thread that Python waits for.
    fn drop(&mut self) {
        let left = self.0.take().filter(|transaction| transaction.is_open());
        if let Some(transaction) = left {
            // Without a thread it is aborted by its timeout.
            let _ = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(transaction));
        }
    }
}
