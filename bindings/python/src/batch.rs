//! What one call of a handler gets: records of one partition, as rows or as columns.
//!
//! Made on a worker's or the loop's thread, read on any, also after the call. A message becomes a Python object when
//! somebody looks at it; columns make none, and are built at once.

use crate::message::{Message, octets};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Records of one partition, each virtual partition's in order.
///
/// A sequence of messages; its columns (``values()``, ``keys()``, ``offsets()``) are the fastest way to read it. It may be
/// kept after the call: its records are freed with the last object that looks at them.
#[pyclass(frozen, sequence, module = "libkarafka")]
pub(crate) struct Batch {
    inner: karafka::Batch,
}

impl Batch {
    pub(crate) fn new(inner: karafka::Batch) -> Self {
        Self { inner }
    }

    pub(crate) fn message(&self, index: usize) -> Message {
        Message::new(self.inner.clone(), index)
    }
}

#[pymethods]
impl Batch {
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

    /// Which attempt at the first record this is, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.inner.attempt()
    }

    /// The virtual partition of all its messages: the number in fixed mode, the key's hash by key, 0 when off; None when
    /// there are several.
    #[getter]
    fn virtual_partition(&self) -> Option<u64> {
        match self.inner.groups() {
            [only] => Some(only.virtual_partition),
            _ => None,
        }
    }

    /// The first record's offset.
    #[getter]
    fn first_offset(&self) -> i64 {
        self.inner.first_offset()
    }

    /// The last record's offset.
    #[getter]
    fn last_offset(&self) -> i64 {
        self.inner.last_offset()
    }

    /// Offsets, sizes, times and lags, as of now: a ``BatchMetadata``.
    #[getter]
    fn metadata(&self) -> BatchMetadata {
        BatchMetadata(self.inner.metadata())
    }

    /// The values in order: bytes, or None for a tombstone.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.inner.iter().map(|message| octets(py, message.payload())))
    }

    /// The keys in order: bytes, or None where there is none.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.inner.iter().map(|message| octets(py, message.key())))
    }

    /// The offsets in order.
    fn offsets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.inner.iter().map(|message| message.offset()))
    }

    /// The timestamps in order: milliseconds since 1970-01-01 UTC, or None where unknown.
    fn timestamps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.inner.iter().map(|message| message.timestamp().map(|at| at.milliseconds)))
    }

    /// All values in one block, and where each begins: value ``i`` is ``data[starts[i]:starts[i + 1]]``.
    ///
    /// ``starts`` has one number more than there are messages. A tombstone looks like an empty value here.
    fn packed_values<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyAny>)> {
        let sizes = || self.inner.iter().map(|message| message.payload().map_or(0, <[u8]>::len));
        let data = PyBytes::new_with(py, sizes().sum(), |mut block| {
            for payload in self.inner.iter().filter_map(|message| message.payload()) {
                let (place, rest) = block.split_at_mut(payload.len());
                place.copy_from_slice(payload);
                block = rest;
            }
            Ok(())
        })?;
        let mut starts = Vec::with_capacity((self.inner.len() + 1) * size_of::<i64>());
        let mut start = 0_i64;
        starts.extend_from_slice(&start.to_ne_bytes());
        for size in sizes() {
            start += size as i64;
            starts.extend_from_slice(&start.to_ne_bytes());
        }
        let starts = py.import("builtins")?.call_method1("memoryview", (PyBytes::new(py, &starts),))?;
        Ok((data, starts.call_method1("cast", ("q",))?))
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let length = self.inner.len();
        if let Ok(slice) = index.cast::<PySlice>() {
            let range = slice.indices(length as isize)?;
            let indices = (0..range.slicelength).map(|step| (range.start + step as isize * range.step) as usize);
            let messages = indices.map(|index| Bound::new(py, self.message(index)));
            return Ok(PyList::new(py, messages.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        let Ok(given) = index.extract::<isize>() else {
            let class = index.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a batch is indexed by int or slice, not {class}")));
        };
        let index = if given < 0 { given + length as isize } else { given };
        match usize::try_from(index).ok().filter(|index| *index < length) {
            Some(index) => Ok(Bound::new(py, self.message(index))?.into_any()),
            None => Err(PyIndexError::new_err(format!("message {given} of a batch of {length}"))),
        }
    }

    fn __iter__(&self) -> BatchIterator {
        BatchIterator { batch: self.inner.clone(), next: AtomicUsize::new(0) }
    }

    fn __repr__(&self) -> String {
        format!(
            "<libkarafka.Batch {}/{}, {} messages from {}>",
            self.inner.topic(),
            self.inner.partition(),
            self.inner.len(),
            self.inner.first_offset()
        )
    }
}

/// What is known of a batch beside its records, at the moment of asking. What is unknown is None.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct BatchMetadata(karafka::BatchMetadata);

#[pymethods]
impl BatchMetadata {
    /// The first record's offset.
    #[getter]
    fn first_offset(&self) -> i64 {
        self.0.first_offset
    }

    /// The last record's offset.
    #[getter]
    fn last_offset(&self) -> i64 {
        self.0.last_offset
    }

    /// How many records there are.
    #[getter]
    fn size(&self) -> usize {
        self.0.messages
    }

    /// Bytes of their keys and values.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// When the last record was made or appended: milliseconds since 1970-01-01 UTC.
    #[getter]
    fn created_at(&self) -> Option<i64> {
        self.0.created_at
    }

    /// When the batch was put together, in the same unit.
    #[getter]
    fn scheduled_at(&self) -> i64 {
        self.0.scheduled_at
    }

    /// How old the last record is, in seconds.
    #[getter]
    fn consumption_lag(&self) -> Option<f64> {
        self.0.consumption_lag.map(|lag| lag.as_secs_f64())
    }

    /// How long ago the batch was put together, in seconds.
    #[getter]
    fn processing_lag(&self) -> f64 {
        self.0.processing_lag.as_secs_f64()
    }

    /// How many offsets lie behind the last record, as far as the last fetch told.
    #[getter]
    fn offset_lag(&self) -> Option<u64> {
        self.0.offset_lag
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.BatchMetadata {}..{}, {} bytes>", self.0.first_offset, self.0.last_offset, self.0.bytes)
    }
}

/// The messages of a batch, one by one.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct BatchIterator {
    batch: karafka::Batch,
    next: AtomicUsize,
}

#[pymethods]
impl BatchIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<Message> {
        let index = self.next.load(Ordering::Relaxed);
        if index >= self.batch.len() {
            return None;
        }
        self.next.store(index + 1, Ordering::Relaxed);
        Some(Message::new(self.batch.clone(), index))
    }

    fn __length_hint__(&self) -> usize {
        self.batch.len().saturating_sub(self.next.load(Ordering::Relaxed))
    }
}
