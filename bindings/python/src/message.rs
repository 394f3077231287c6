//! One record, as Python sees it.
//!
//! A view of its batch, read on any thread. Each attribute becomes a Python object at its first use and is kept.

use crate::buffer::Payload;
use crate::kept::Kept;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDelta, PyList, PyMemoryView, PyString};

/// Bytes, or None.
pub(crate) fn octets<'py>(py: Python<'py>, bytes: Option<&[u8]>) -> Option<Bound<'py, PyBytes>> {
    bytes.map(|bytes| PyBytes::new(py, bytes))
}

/// One record of a topic.
///
/// It keeps its whole batch in memory: to keep a single value for long, keep ``message.value``.
#[pyclass(frozen, freelist = 256, module = "libkarafka")]
pub(crate) struct Message {
    batch: karafka::Batch,
    index: usize,
    value: Kept,
    key: Kept,
}

impl Message {
    pub(crate) fn new(batch: karafka::Batch, index: usize) -> Self {
        Self { batch, index, value: Kept::default(), key: Kept::default() }
    }

    /// Runs `read` with the core's view of the record.
    pub(crate) fn with<T>(&self, read: impl FnOnce(karafka::Message<'_>) -> T) -> Option<T> {
        self.batch.get(self.index).map(read)
    }

    fn view_of(&self) -> Option<karafka::Message<'_>> {
        self.batch.get(self.index)
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

fn octets_or_none<'py>(py: Python<'py>, bytes: Option<&[u8]>) -> Bound<'py, PyAny> {
    match bytes {
        Some(bytes) => PyBytes::new(py, bytes).into_any(),
        None => py.None().into_bound(py),
    }
}

#[pymethods]
impl Message {
    /// The payload; None for a tombstone, which is not the same as an empty payload.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.value.get(py, || octets_or_none(py, self.view_of().and_then(|message| message.payload())))
    }

    /// The key; None when the record has none, which is not the same as an empty key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.key.get(py, || octets_or_none(py, self.view_of().and_then(|message| message.key())))
    }

    /// The payload without a copy, read-only; None for a tombstone. Worth it from some four kilobytes on.
    ///
    /// The view keeps the record in memory, also after the call of the handler.
    fn view<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        if self.is_tombstone() {
            return Ok(None);
        }
        let payload = Bound::new(py, Payload::new(self.batch.clone(), self.index))?;
        PyMemoryView::from(payload.as_any()).map(Some)
    }

    /// The headers in their order, as pairs of name and value; names may repeat, a value may be None.
    ///
    /// Names are UTF-8; bytes that are not come as surrogate escapes, as in file names.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let headers = self.view_of().map(|message| message.headers()).unwrap_or_default();
        let list = PyList::empty(py);
        for header in headers {
            list.append((header_name(py, header.name)?, octets(py, header.value)))?;
        }
        Ok(list)
    }

    /// The offset in the partition.
    #[getter]
    fn offset(&self) -> i64 {
        self.view_of().map_or(-1, |message| message.offset())
    }

    /// Which attempt at this record the call is, from 1, since this process has its partition.
    #[getter]
    fn attempt(&self) -> u32 {
        self.view_of().map_or(1, |message| message.attempt())
    }

    /// Whether this record was tried before since this process has its partition.
    #[getter]
    fn retrying(&self) -> bool {
        self.attempt() > 1
    }

    /// When the record was made or appended: milliseconds since 1970-01-01 UTC; None in topics of very old brokers.
    #[getter]
    fn timestamp(&self) -> Option<i64> {
        self.view_of()?.timestamp().map(|at| at.milliseconds)
    }

    /// The timestamp as an aware ``datetime`` in UTC; None where it is unknown.
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let Some(milliseconds) = self.timestamp() else { return Ok(None) };
        let epoch = EPOCH.get_or_try_init(py, || {
            let module = py.import("datetime")?;
            let utc = module.getattr("timezone")?.getattr("utc")?;
            module.getattr("datetime")?.call_method1("fromtimestamp", (0, utc)).map(Bound::unbind)
        })?;
        let (days, rest) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let since = PyDelta::new(py, days, (rest / 1000) as i32, (rest % 1000) as i32 * 1000, true)?;
        epoch.bind(py).add(since).map(Some)
    }

    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        self.batch.topic()
    }

    /// The partition's number.
    #[getter]
    fn partition(&self) -> i32 {
        self.batch.partition()
    }

    /// Whether the record has no payload, which deletes its key in a compacted topic.
    #[getter(tombstone)]
    fn is_tombstone(&self) -> bool {
        self.view_of().is_some_and(|message| message.is_tombstone())
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Message {}/{}@{}>", self.topic(), self.partition(), self.offset())
    }
}

fn header_name<'py>(py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(name) {
        Ok(name) => Ok(PyString::new(py, name).into_any()),
        Err(_) => PyBytes::new(py, name).call_method1("decode", ("utf-8", "surrogateescape")),
    }
}
