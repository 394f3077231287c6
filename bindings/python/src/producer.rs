//! Producing.
//!
//! Called on any Python thread. A single record is copied and sent with the interpreter's lock held; many by one call are read with
//! it and sent without; waiting for room in the local queue, and every other wait, happen without it.

use crate::attach;
use crate::deliveries::Deliveries;
use crate::delivery::{Delivery, DeliveryReport};
use crate::error::OrRaise;
use crate::event::Events;
use crate::output;
use crate::record::{Extras, Outgoing};
use crate::recurring;
use crate::scheduled::{self, Planned};
use crate::settings::{seconds, settings};
use crossbeam::channel::bounded;
use karafka::lock::Mutex;
use karafka::{ErrorKind, ProducerConfig, ProducerHooks, Recorded};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use std::sync::{Arc, Weak};
use std::time::Duration;

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
///
/// ``partitioner`` is called with a record (a dict with the names of ``produce``'s parameters) that names no partition, and the
/// number of the topic's partitions; it returns one of them, or None to leave it to the key. ``middleware`` are called in order,
/// each with the record that the one before returned. Both are called on the thread that produces; what they raise is raised.
#[pyclass(frozen, weakref, module = "libkarafka")]
pub(crate) struct Producer {
    inner: Option<Arc<karafka::Producer>>,
    hooks: Arc<Hooks>,
}

/// User code that is asked about records.
#[derive(Default)]
struct Hooks {
    partitioner: Option<Py<PyAny>>,
    middleware: Vec<Py<PyAny>>,
}

impl Hooks {
    /// Takes the hooks out of the keywords of a producer.
    fn take(options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut hooks = Self::default();
        let Some(options) = options else { return Ok(hooks) };
        if let Some(partitioner) = options.get_item("partitioner")? {
            options.del_item("partitioner")?;
            hooks.partitioner = (!partitioner.is_none()).then(|| partitioner.unbind());
        }
        if let Some(middleware) = options.get_item("middleware")? {
            options.del_item("middleware")?;
            hooks.middleware = middleware.try_iter()?.map(|one| one.map(Bound::unbind)).collect::<PyResult<_>>()?;
        }
        let mut given = hooks.partitioner.iter().chain(&hooks.middleware).map(|hook| hook.bind(options.py()));
        if let Some(wrong) = given.find(|hook| !hook.is_callable()) {
            let message =
                format!("partitioner takes a function, middleware a list of them, not {}", wrong.get_type().name()?);
            return Err(PyTypeError::new_err(message));
        }
        Ok(hooks)
    }

    fn is_empty(&self) -> bool {
        self.partitioner.is_none() && self.middleware.is_empty()
    }

    /// Middleware first, so that the partitioner sees what is sent.
    fn ask<'py>(
        &self,
        py: Python<'py>,
        producer: &karafka::Producer,
        record: Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut record = record;
        for middleware in &self.middleware {
            record = middleware.bind(py).call1((record,))?.cast_into::<PyDict>()?;
        }
        let Some(partitioner) = &self.partitioner else { return Ok(record) };
        if record.get_item("partition")?.is_some_and(|partition| !partition.is_none()) {
            return Ok(record);
        }
        let Some(topic) = record.get_item("topic")? else { return Ok(record) };
        let topic: String = topic.extract()?;
        let count = attach::detached(py, || producer.partitions(&topic, LOOK)).or_raise(py)?;
        let partition = partitioner.bind(py).call1((&record, count))?;
        record.set_item("partition", partition)?;
        Ok(record)
    }
}

/// How long a broker may take to say how many partitions a topic has.
const LOOK: Duration = Duration::from_secs(10);

impl Producer {
    /// One that belongs to somebody else, who closes it.
    pub(crate) fn lent(producer: karafka::Producer) -> Self {
        Self { inner: Some(Arc::new(producer)), hooks: Arc::default() }
    }

    fn core(&self) -> PyResult<&Arc<karafka::Producer>> {
        self.inner.as_ref().ok_or_else(|| PyValueError::new_err("the producer is being freed"))
    }

    fn of(inner: karafka::Producer, hooks: Arc<Hooks>) -> Self {
        let inner = Arc::new(inner);
        let mut open = OPEN.lock();
        open.retain(|known| known.strong_count() > 0);
        open.push(Arc::downgrade(&inner));
        Self { inner: Some(inner), hooks }
    }

    /// The records out of an iterable of dicts.
    fn read<'py>(&self, py: Python<'py>, records: &Bound<'py, PyAny>) -> PyResult<Vec<Outgoing<'py>>> {
        let producer = self.core()?;
        let mut outgoing = Vec::with_capacity(records.len().unwrap_or_default());
        for record in records.try_iter()? {
            let record = record?;
            let Ok(record) = record.cast::<PyDict>() else {
                let class = record.get_type().name()?;
                return Err(PyTypeError::new_err(format!("a record must be a dict, not {class}")));
            };
            outgoing.push(if self.hooks.is_empty() {
                Outgoing::from_dict(record)?
            } else {
                Outgoing::from_dict(&self.hooks.ask(py, producer, record.copy()?)?)?
            });
        }
        Ok(outgoing)
    }

    /// Sends a record; waits without the interpreter's lock when it must.
    fn send(&self, py: Python<'_>, outgoing: &Outgoing<'_>) -> PyResult<Delivery> {
        let producer = self.core()?;
        let _scope = output::scope(py)?;
        let headers = outgoing.headers()?;
        let record = outgoing.record(&headers)?;
        let asks = record.partition.is_none() && record.partition_key.is_some();
        let sent = if asks && producer.partitions_unknown(record.topic) {
            attach::detached(py, || producer.produce_async(&record))
        } else {
            match producer.try_produce(&record) {
                // A failure that a test planted is no full queue, and not to be tried again.
                Err(full) if full.kind() == ErrorKind::QueueFull && full.is_retriable() => {
                    attach::detached(py, || producer.produce_async(&record))
                }
                other => other,
            }
        };
        Ok(Delivery::new(sent.or_raise(py)?))
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

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let hooks = Hooks::take(options)?;
        let settings = options.map(settings).transpose()?.unwrap_or_default();
        let config = ProducerConfig::from_settings(&settings).or_raise(py)?;
        let inner = attach::detached(py, || karafka::Producer::new(config)).or_raise(py)?;
        Ok(Self::of(inner, Arc::new(hooks)))
    }

    /// A producer for tests: it sends nothing, keeps its records (``recorded``) and acknowledges them at once. Every topic has so
    /// many ``partitions``. All else is as with brokers.
    #[staticmethod]
    #[pyo3(signature = (*, partitions = 1, **options))]
    fn testing(py: Python<'_>, partitions: usize, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let hooks = Hooks::take(options)?;
        let settings = options.map(settings).transpose()?.unwrap_or_default();
        let config = ProducerConfig::from_settings(&settings).or_raise(py)?;
        let inner = karafka::Producer::recording(config, ProducerHooks::default(), partitions).or_raise(py)?;
        Ok(Self::of(inner, Arc::new(hooks)))
    }

    /// Sends a record and returns at once with its delivery. When the local queue is full, waits for room until
    /// ``queue_full_timeout``.
    ///
    /// ``value`` and ``key`` are bytes-like, str (sent as UTF-8) or None; ``headers`` a dict or pairs of name and value;
    /// ``timestamp`` milliseconds since 1970-01-01 UTC or an aware datetime. ``partition_key`` chooses the partition in place of
    /// the key; ``label`` is kept with the delivery and named in its error.
    #[pyo3(signature = (topic, value = None, key = None, *, headers = None, partition = None, timestamp = None, partition_key = None, label = None))]
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
        partition_key: Option<&Bound<'py, PyAny>>,
        label: Option<Bound<'py, PyString>>,
    ) -> PyResult<Delivery> {
        if self.hooks.is_empty() {
            let extras = Extras { headers, partition, timestamp, partition_key, label };
            return self.send(py, &Outgoing::new(topic, value, key, extras)?);
        }
        let record = PyDict::new(py);
        record.set_item("topic", topic)?;
        record.set_item("value", value)?;
        record.set_item("key", key)?;
        record.set_item("headers", headers)?;
        record.set_item("partition", partition)?;
        record.set_item("timestamp", timestamp)?;
        record.set_item("partition_key", partition_key)?;
        record.set_item("label", label)?;
        self.send(py, &Outgoing::from_dict(&self.hooks.ask(py, self.core()?, record)?)?)
    }

    /// Sends a record, waits until it was acknowledged, and returns where it is.
    #[pyo3(signature = (topic, value = None, key = None, *, headers = None, partition = None, timestamp = None, partition_key = None, label = None))]
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
        partition_key: Option<&Bound<'py, PyAny>>,
        label: Option<Bound<'py, PyString>>,
    ) -> PyResult<DeliveryReport> {
        self.produce(py, topic, value, key, headers, partition, timestamp, partition_key, label)?.wait(py, None)
    }

    /// Sends many records, in order, and returns their deliveries at once. A record is a dict with the names of
    /// ``produce``'s parameters. When one cannot be sent its error is raised; those before it are on their way.
    fn produce_many(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<Deliveries> {
        let outgoing = self.read(py, records)?;
        let headers = outgoing.iter().map(Outgoing::headers).collect::<PyResult<Vec<_>>>()?;
        let records = outgoing.iter().zip(&headers).map(|(outgoing, headers)| outgoing.record(headers));
        let records = records.collect::<PyResult<Vec<_>>>()?;
        let producer = self.core()?;
        let _scope = output::scope(py)?;
        // Giving the interpreter's lock up once costs little beside many records.
        let sent = attach::detached(py, || producer.produce_many_async(&records));
        Ok(Deliveries::new(sent.or_raise(py)?))
    }

    /// Sends many records, in order, waits until all were acknowledged, and returns where they are.
    fn produce_many_sync(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<Vec<DeliveryReport>> {
        self.produce_many(py, records)?.wait(py, None)
    }

    /// Has a record produced at a time (int milliseconds since 1970-01-01 UTC, or an aware datetime): puts it into the topic
    /// ``schedule``, from which an app with ``scheduled_messages`` sends it on. A time that has passed means at once. Waits until that
    /// is acknowledged, and returns the message's id, by which it can be cancelled. Middleware and partitioner are not asked.
    #[pyo3(signature = (schedule, at, topic, value = None, key = None, *, headers = None, partition = None, timestamp = None, partition_key = None, label = None))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn schedule<'py>(
        &self,
        py: Python<'py>,
        schedule: &str,
        at: &Bound<'py, PyAny>,
        topic: Bound<'py, PyString>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
        partition: Option<i32>,
        timestamp: Option<&Bound<'py, PyAny>>,
        partition_key: Option<&Bound<'py, PyAny>>,
        label: Option<Bound<'py, PyString>>,
    ) -> PyResult<String> {
        let _scope = output::scope(py)?;
        let extras = Extras { headers, partition, timestamp, partition_key, label };
        scheduled::schedule(py, self.core()?, schedule, Planned { at, topic, value, key, extras })
    }

    /// Takes a scheduled message back, and waits until that is acknowledged. When it is before the message's time, by the clock of
    /// the app that would send it, the message is not sent; one that was sent or cancelled already is no error.
    fn cancel(&self, py: Python<'_>, schedule: &str, id: &str) -> PyResult<()> {
        let _scope = output::scope(py)?;
        scheduled::cancel(py, self.core()?, schedule, id)
    }

    /// Has a task of a topic of recurring tasks (``App.recurring_tasks``) run at its times again, from now on; ``"*"`` stands for all.
    /// Waits until that is acknowledged; it is carried out within the ``interval`` of the app that runs the tasks.
    fn enable_task(&self, py: Python<'_>, topic: &str, task: &str) -> PyResult<()> {
        recurring::command(py, self.core()?, karafka::Producer::enable_task, topic, task)
    }

    /// Has a task not run at its times any more, until it is enabled; otherwise as ``enable_task``.
    fn disable_task(&self, py: Python<'_>, topic: &str, task: &str) -> PyResult<()> {
        recurring::command(py, self.core()?, karafka::Producer::disable_task, topic, task)
    }

    /// Has a task run once, now, also where it is disabled; otherwise as ``enable_task``.
    fn trigger_task(&self, py: Python<'_>, topic: &str, task: &str) -> PyResult<()> {
        recurring::command(py, self.core()?, karafka::Producer::trigger_task, topic, task)
    }

    /// Keeps a record, a dict with the names of ``produce``'s parameters, until the buffer is flushed or the producer closed.
    #[pyo3(signature = (**record))]
    fn buffer(&self, py: Python<'_>, record: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        self.buffer_many(py, PyList::new(py, record)?.as_any())
    }

    /// Keeps many records, in order, or none of them.
    fn buffer_many(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<()> {
        let own = |outgoing: Outgoing<'_>| Ok(outgoing.record(&outgoing.headers()?)?.to_owned_record());
        let records = self.read(py, records)?.into_iter().map(own).collect::<PyResult<Vec<_>>>()?;
        let _scope = output::scope(py)?;
        self.core()?.buffer_owned(records).or_raise(py)
    }

    /// How many records are in the buffer.
    #[getter]
    fn buffered(&self) -> PyResult<usize> {
        Ok(self.core()?.buffered())
    }

    /// Sends what is in the buffer, in order, and returns the deliveries. What could not be sent, and all behind it, stays in the
    /// buffer when the error is raised.
    fn flush_buffer(&self, py: Python<'_>) -> PyResult<Deliveries> {
        let producer = self.core()?;
        Ok(Deliveries::new(attach::detached(py, || producer.flush_buffer_async()).or_raise(py)?))
    }

    /// Throws away what is in the buffer. Returns how many records that was.
    fn clear_buffer(&self, py: Python<'_>) -> PyResult<usize> {
        self.core()?.clear_buffer().or_raise(py)
    }

    /// A producer with other options than this one's, such as ``acks`` or ``compression``, over connections of its own. It is
    /// made once for the same options, and closes with this one.
    #[pyo3(signature = (**options))]
    fn variant(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let producer = self.core()?;
        let settings = options.map(settings).transpose()?.unwrap_or_default();
        let variant = attach::detached(py, || producer.variant(&settings)).or_raise(py)?;
        Ok(Self { inner: Some(Arc::new(variant)), hooks: Arc::clone(&self.hooks) })
    }

    /// How many partitions a topic has; a broker is asked at most once a minute.
    fn partitions(&self, py: Python<'_>, topic: &str) -> PyResult<usize> {
        let producer = self.core()?;
        attach::detached(py, || producer.partitions(topic, LOOK)).or_raise(py)
    }

    /// A new producer with this one's options and hooks: in a forked child, where this one refuses to work, or after a fatal error.
    fn reopen(&self, py: Python<'_>) -> PyResult<Self> {
        let producer = self.core()?;
        let reopened = attach::detached(py, || producer.reopen()).or_raise(py)?;
        Ok(Self::of(reopened, Arc::clone(&self.hooks)))
    }

    /// A subscription of these events, or of all but those of single records.
    fn _events(&self, py: Python<'_>, names: Option<Vec<String>>) -> PyResult<Events> {
        let producer = self.core()?;
        let events = names.map_or_else(|| Ok(producer.subscribe()), |names| producer.subscribe_to(&names));
        Events::new(py, events.or_raise(py)?)
    }

    /// Iterates over what happens from now on, or over the events of these names; ends when the producer has closed. ``next``
    /// waits. Events of single records are only told when they are named.
    #[pyo3(signature = (*names))]
    fn events<'py>(slf: &Bound<'py, Self>, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("libkarafka.event")?.call_method1("_of_producer", (slf, names))
    }

    /// What a testing producer was given until now: a dict each, with the names of ``produce``'s parameters and ``offset``.
    #[getter]
    fn recorded<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let recorded = self.core()?.recorded().or_raise(py)?;
        recorded.iter().map(|recorded| describe(py, recorded)).collect()
    }

    /// Forgets what a testing producer was given.
    fn clear_recorded(&self, py: Python<'_>) -> PyResult<()> {
        self.core()?.forget_recorded().or_raise(py)
    }

    /// Makes the next record that a testing producer is given raise an error of this kind, such as ``"QueueFull"``.
    #[pyo3(signature = (kind, message = "planted"))]
    fn fail_next(&self, py: Python<'_>, kind: &str, message: &str) -> PyResult<()> {
        let Some(kind) = ErrorKind::ALL.into_iter().find(|known| known.name() == kind) else {
            return Err(PyValueError::new_err(format!("there is no kind of error {kind:?}")));
        };
        self.core()?.fail_next(karafka::Error::new(kind, "produce", message)).or_raise(py)
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

fn describe<'py>(py: Python<'py>, recorded: &Recorded) -> PyResult<Bound<'py, PyDict>> {
    let octets = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| PyBytes::new(py, bytes));
    let Recorded { record, report } = recorded;
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let headers: Vec<_> = record.headers.iter().map(|(key, value)| (name(key), octets(value))).collect();
    let fields = PyDict::new(py);
    fields.set_item("topic", &record.topic)?;
    fields.set_item("value", octets(&record.payload))?;
    fields.set_item("key", octets(&record.key))?;
    fields.set_item("headers", headers)?;
    fields.set_item("partition", report.partition)?;
    fields.set_item("offset", report.offset)?;
    fields.set_item("timestamp", report.timestamp_ms)?;
    fields.set_item("partition_key", octets(&record.partition_key))?;
    fields.set_item("label", record.label.as_deref())?;
    Ok(fields)
}
