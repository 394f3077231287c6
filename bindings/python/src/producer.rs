//! Producing.
//!
//! Called on any Python thread. Arguments are converted with the interpreter's lock; sending, which may wait for room in the
//! local queue, and every other wait happen without it.

use crate::attach;
use crate::delivery::{Cell, Delivery, DeliveryReport};
use crate::error::OrRaise;
use crate::record::Outgoing;
use crate::settings::{seconds, settings};
use crossbeam::channel::bounded;
use karafka::{ProducerConfig, Record};
use parking_lot::Mutex;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::{Arc, Weak};

/// Producers that are to be closed when the interpreter ends.
static OPEN: Mutex<Vec<Weak<karafka::Producer>>> = Mutex::new(Vec::new());

/// Closes every producer: what is on its way is delivered or given up. Called without the interpreter's lock.
pub(crate) fn close_all() {
    let open = std::mem::take(&mut *OPEN.lock());
    for producer in open.iter().filter_map(Weak::upgrade) {
        if let Err(error) = producer.close() {
            use std::io::Write;
            if error.kind() != karafka::ErrorKind::Forked {
                // A closed standard error stream must not stop the exit.
                let _ = writeln!(std::io::stderr(), "libkarafka: {error}");
            }
        }
    }
}

/// Sends records to topics.
///
/// Options are those of ``docs/configuration.md``, as keywords. It may be shared by threads and event loops. Use it as a
/// context manager, or ``close()`` it; the interpreter's end closes what is still open.
#[pyclass(frozen, weakref, module = "libkarafka")]
pub(crate) struct Producer {
    inner: Option<Arc<karafka::Producer>>,
}

impl Producer {
    fn core(&self) -> PyResult<&Arc<karafka::Producer>> {
        self.inner.as_ref().ok_or_else(|| PyValueError::new_err("the producer is being freed"))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // The last handle closes, which waits for deliveries: not with the interpreter's lock.
        let mut inner = self.inner.take();
        Python::try_attach(|py| {
            let inner = inner.take();
            py.detach(|| drop(inner));
        });
    }
}

fn send(producer: &karafka::Producer, record: &Record<'_>) -> karafka::Result<Delivery> {
    let cell = Cell::new(record.topic);
    let completed = Arc::clone(&cell);
    producer.produce_with(record, Box::new(move |result| completed.complete(result)))?;
    Ok(Delivery(cell))
}

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let settings = options.map(settings).transpose()?.unwrap_or_default();
        let config = ProducerConfig::from_settings(&settings).or_raise(py)?;
        let inner = Arc::new(attach::detached(py, || karafka::Producer::new(config)).or_raise(py)?);
        let mut open = OPEN.lock();
        open.retain(|known| known.strong_count() > 0);
        open.push(Arc::downgrade(&inner));
        Ok(Self { inner: Some(inner) })
    }

    /// Sends a record and returns at once with its delivery. When the local queue is full, waits for room until
    /// ``queue_full_timeout``.
    ///
    /// ``value`` and ``key`` are bytes-like, str (sent as UTF-8) or None; ``headers`` a dict or pairs of name and value;
    /// ``timestamp`` milliseconds since 1970-01-01 UTC or an aware datetime (0 is now, as None is: librdkafka does not tell them apart).
    #[pyo3(signature = (topic, value = None, key = None, *, headers = None, partition = None, timestamp = None))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn produce<'py>(
        &self,
        py: Python<'py>,
        topic: Bound<'py, PyString>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
        partition: Option<i32>,
        timestamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Delivery> {
        let producer = self.core()?;
        let outgoing = Outgoing::new(topic, value, key, headers, partition, timestamp)?;
        let headers = outgoing.headers()?;
        let record = outgoing.record(&headers)?;
        attach::detached(py, || send(producer, &record)).or_raise(py)
    }

    /// Sends a record, waits until it was acknowledged, and returns where it is.
    #[pyo3(signature = (topic, value = None, key = None, *, headers = None, partition = None, timestamp = None))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn produce_sync<'py>(
        &self,
        py: Python<'py>,
        topic: Bound<'py, PyString>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
        partition: Option<i32>,
        timestamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<DeliveryReport> {
        self.produce(py, topic, value, key, headers, partition, timestamp)?.wait(py, None)
    }

    /// Sends many records, in order, and returns their deliveries at once. A record is a dict with the names of
    /// ``produce``'s parameters. When one cannot be sent its error is raised; those before it are on their way.
    fn produce_many(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<Vec<Delivery>> {
        let producer = self.core()?;
        let mut outgoing = Vec::new();
        for record in records.try_iter()? {
            let record = record?;
            let Ok(record) = record.cast::<PyDict>() else {
                let class = record.get_type().name()?;
                return Err(PyTypeError::new_err(format!("a record must be a dict, not {class}")));
            };
            outgoing.push(Outgoing::from_dict(record)?);
        }
        let headers = outgoing.iter().map(Outgoing::headers).collect::<PyResult<Vec<_>>>()?;
        let pairs = outgoing.iter().zip(&headers);
        let records = pairs.map(|(outgoing, headers)| outgoing.record(headers)).collect::<PyResult<Vec<_>>>()?;
        let sent =
            attach::detached(py, || records.iter().map(|record| send(producer, record)).collect::<Result<_, _>>());
        sent.or_raise(py)
    }

    /// Waits until nothing is on its way any more, or until ``timeout`` seconds have passed. Returns how many records still
    /// are on their way.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<usize> {
        let producer = self.core()?;
        let limit = timeout.map(seconds).transpose()?;
        let outcome = attach::wait(py, limit, |slice| match producer.flush(slice) {
            Ok(0) => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })?;
        match outcome {
            Some(outcome) => outcome.or_raise(py).map(|()| 0),
            None => Ok(producer.in_flight()),
        }
    }

    /// How many records are on their way.
    #[getter]
    fn in_flight(&self) -> PyResult<usize> {
        Ok(self.core()?.in_flight())
    }

    /// Waits for what is on its way until ``close_timeout``, gives the rest up, and ends. Closing twice is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let producer = Arc::clone(self.core()?);
        let (ended, end) = bounded(1);
        // A thread of its own closes, so that Ctrl-C ends the wait and not the deliveries.
        let closing = move || {
            // Nobody listens any more after Ctrl-C.
            let _ = ended.send(producer.close());
        };
        if std::thread::Builder::new().name("karafka-close".to_owned()).spawn(closing).is_err() {
            return attach::detached(py, || self.inner.as_ref().map_or(Ok(()), |inner| inner.close())).or_raise(py);
        }
        match attach::wait(py, None, |slice| end.recv_timeout(slice).ok())? {
            Some(outcome) => outcome.or_raise(py),
            None => Ok(()),
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Producer, {} on their way>", self.inner.as_ref().map_or(0, |inner| inner.in_flight()))
    }
}
