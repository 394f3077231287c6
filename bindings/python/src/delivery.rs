//! A produced record on its way: waited for by threads, awaited by coroutines.
//!
//! Completed on the core's thread for deliveries, which never touches Python: what coroutines wait for goes on to one thread
//! of the binding's, which wakes each event loop once for all that has gathered.

use crate::attach;
use crate::error;
use crate::settings;
use crossbeam::channel::{Receiver, Sender, unbounded};
use karafka::ErrorKind;
use karafka::lock::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use std::thread::{self, JoinHandle};

/// A coroutine's future and the loop that it belongs to.
struct Awaiting {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
}

type Outcome = karafka::Result<karafka::DeliveryReport>;

/// Where a record was appended.
#[pyclass(frozen, eq, hash, get_all, module = "libkarafka")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct DeliveryReport {
    /// The topic's name.
    topic: String,
    /// The partition's number.
    partition: i32,
    /// The offset; -1 when the broker did not tell (``acks="0"``).
    offset: i64,
    /// Milliseconds since 1970-01-01 UTC; None when unknown.
    timestamp: Option<i64>,
}

#[pymethods]
impl DeliveryReport {
    fn __repr__(&self) -> String {
        format!("<libkarafka.DeliveryReport {}/{}@{}>", self.topic, self.partition, self.offset)
    }
}

/// A record on its way: ``wait()`` for it, ``await`` it, or let it go.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct Delivery {
    inner: karafka::Delivery,
    forks: u32,
}

impl Delivery {
    pub(crate) fn new(inner: karafka::Delivery) -> Self {
        Self::of_process(inner, karafka::fork_epoch())
    }

    /// One that was produced after so many forks.
    pub(crate) fn of_process(inner: karafka::Delivery, forks: u32) -> Self {
        Self { inner, forks }
    }

    fn owns(&self, py: Python<'_>) -> PyResult<()> {
        if self.forks == karafka::fork_epoch() {
            return Ok(());
        }
        let message = "the record was produced by the parent process; only the parent hears of its delivery";
        Err(error::raise(py, ErrorKind::Forked, "wait for a delivery", message))
    }
}

fn report(py: Python<'_>, topic: &str, outcome: Outcome) -> PyResult<DeliveryReport> {
    match outcome {
        Ok(report) => Ok(DeliveryReport {
            topic: topic.to_owned(),
            partition: report.partition,
            offset: report.offset,
            timestamp: (report.timestamp_ms >= 0).then_some(report.timestamp_ms),
        }),
        Err(failed) => Err(error::exception(py, &failed)),
    }
}

#[pymethods]
impl Delivery {
    /// Whether the record was acknowledged or given up.
    fn done(&self) -> bool {
        self.inner.outcome().is_some()
    }

    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        self.inner.topic()
    }

    /// The record's label; None without one.
    #[getter]
    fn label(&self) -> Option<&str> {
        self.inner.label()
    }

    /// Waits until the record was acknowledged, and returns where it is; raises why it was given up.
    ///
    /// Without a timeout (in seconds) it ends with the producer's ``delivery_timeout`` at the latest.
    #[pyo3(signature = (timeout = None))]
    pub(crate) fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<DeliveryReport> {
        self.owns(py)?;
        let limit = timeout.map(settings::seconds).transpose()?;
        let found = match self.inner.outcome() {
            Some(outcome) => Some(outcome),
            None => attach::wait(py, limit, |slice| {
                // A slice that ends tells the same as the outcome.
                let _ = self.inner.wait(slice);
                self.inner.outcome()
            })?,
        };
        if let Some(outcome) = found {
            return report(py, self.inner.topic(), outcome);
        }
        let message =
            format!("no acknowledgement within {} s; the record may still be delivered", timeout.unwrap_or_default());
        let late = karafka::Error::new(ErrorKind::Timeout, "deliver", message).with("topic", self.inner.topic());
        Err(error::exception(py, &late.retriable()))
    }

    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.owns(py)?;
        let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
        let future = event_loop.call_method0("create_future")?;
        if let Some(outcome) = self.inner.outcome() {
            match report(py, self.inner.topic(), outcome) {
                Ok(report) => future.call_method1("set_result", (report,))?,
                Err(raised) => future.call_method1("set_exception", (raised.into_value(py),))?,
            };
        } else {
            let awaiting = Awaiting { event_loop: event_loop.unbind(), future: future.clone().unbind() };
            let (delivery, resolver) = (self.inner.clone(), resolver(py)?);
            self.inner.notify(move || {
                // The interpreter's end is the only reason for a receiver to be gone.
                let _ = resolver.send(Told::Ended(Resolved { delivery, awaiting }));
            });
        }
        future.call_method0("__await__")
    }

    fn __repr__(&self) -> String {
        let topic = self.inner.topic();
        match self.inner.outcome() {
            None => format!("<libkarafka.Delivery to {topic}, on its way>"),
            Some(Ok(at)) => format!("<libkarafka.Delivery to {topic}/{}@{}>", at.partition, at.offset),
            Some(Err(_)) => format!("<libkarafka.Delivery to {topic}, given up>"),
        }
    }
}

struct Resolved {
    delivery: karafka::Delivery,
    awaiting: Awaiting,
}

/// What the thread that wakes event loops is told.
enum Told {
    Ended(Resolved),
    /// The interpreter ends.
    Close,
}

struct Resolver {
    process: u32,
    sender: Sender<Told>,
    thread: JoinHandle<()>,
}

/// Taken with the interpreter's lock, under which a process forks: no other thread has it then, and so it is free in the child.
static RESOLVER: Mutex<Option<Resolver>> = Mutex::new(None);

/// The way to the thread that wakes event loops.
fn resolver(_py: Python<'_>) -> PyResult<Sender<Told>> {
    let mut running = RESOLVER.lock();
    if let Some(resolver) = running.as_ref().filter(|resolver| resolver.process == std::process::id()) {
        return Ok(resolver.sender.clone());
    }
    let (sender, receiver) = unbounded();
    let thread = thread::Builder::new().name("karafka-await".to_owned()).spawn(move || serve(&receiver))?;
    let resolver = Resolver { process: std::process::id(), sender: sender.clone(), thread };
    // A parent's resolver has no thread in this process.
    std::mem::forget(running.replace(resolver));
    Ok(sender)
}

/// The thread that wakes event loops: attached once, detached to wait.
fn serve(receiver: &Receiver<Told>) {
    Python::try_attach(|py| {
        while let Ok(Told::Ended(first)) = py.detach(|| receiver.recv()) {
            let (mut all, mut is_last) = (vec![first], false);
            for told in receiver.try_iter() {
                match told {
                    Told::Ended(resolved) => all.push(resolved),
                    Told::Close => is_last = true,
                }
            }
            if let Err(failed) = wake(py, all) {
                failed.write_unraisable(py, None);
            }
            if is_last {
                return;
            }
        }
    });
}

fn wake(py: Python<'_>, all: Vec<Resolved>) -> PyResult<()> {
    static SETTLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let settle = SETTLE.import(py, "libkarafka.loop", "_settle")?;
    let mut loops: Vec<(Py<PyAny>, Bound<'_, PyList>)> = Vec::new();
    for Resolved { delivery, awaiting: Awaiting { event_loop, future } } in all {
        let Some(outcome) = delivery.outcome() else { continue };
        let entry = match report(py, delivery.topic(), outcome) {
            Ok(report) => (future, Some(report), None),
            Err(raised) => (future, None, Some(raised.into_value(py))),
        };
        if let Some((_, list)) = loops.iter().find(|(known, _)| known.is(&event_loop)) {
            list.append(entry)?;
        } else {
            loops.push((event_loop, PyList::new(py, [entry])?));
        }
    }
    for (event_loop, list) in loops {
        // A loop that was closed has nobody waiting any more.
        let _ = event_loop.call_method1(py, "call_soon_threadsafe", (settle, list));
    }
    Ok(())
}

/// The interpreter ends: so does the thread that wakes event loops. Called without the interpreter's lock.
pub(crate) fn close() {
    let resolver = RESOLVER.lock().take();
    if let Some(Resolver { process, sender, thread }) = resolver {
        if process != std::process::id() {
            // The parent's.
            std::mem::forget((sender, thread));
        } else if sender.send(Told::Close).is_ok() {
            // It panicked if this fails, and is gone just the same.
            let _ = thread.join();
        }
    }
}
