//! The deliveries of records that were produced by one call: a sequence that makes an object of one when it is asked for.
//!
//! Used with the interpreter's lock; waiting happens without it.

use crate::delivery::{Delivery, DeliveryReport};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySlice};
use std::time::Instant;

/// The deliveries of records that were produced by one call, in their order: a sequence. ``wait()`` for all of them, take single
/// ones out, or let them go.
#[pyclass(frozen, sequence, module = "libkarafka")]
pub(crate) struct Deliveries {
    inner: karafka::Deliveries,
    forks: u32,
}

impl Deliveries {
    pub(crate) fn new(inner: karafka::Deliveries) -> Self {
        Self { inner, forks: karafka::fork_epoch() }
    }

    fn objects(&self) -> impl Iterator<Item = Delivery> + '_ {
        self.inner.iter().map(|delivery| Delivery::of_process(delivery, self.forks))
    }
}

#[pymethods]
impl Deliveries {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, place: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if place.is_instance_of::<PySlice>() {
            return self.list(py)?.as_any().get_item(place);
        }
        let given: isize = place.extract()?;
        let from_start = if given < 0 { given + self.inner.len() as isize } else { given };
        let delivery = usize::try_from(from_start).ok().and_then(|place| self.inner.get(place));
        let delivery = delivery.ok_or_else(|| PyIndexError::new_err(format!("there is no delivery {given}")))?;
        Ok(Bound::new(py, Delivery::of_process(delivery, self.forks))?.into_any())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.list(py)?.try_iter()
    }

    /// Waits until all were acknowledged, and returns where they are, in order; raises why the first one that failed was given up.
    ///
    /// Without a timeout (in seconds) it ends with the producer's ``delivery_timeout`` at the latest.
    #[pyo3(signature = (timeout = None))]
    pub(crate) fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<DeliveryReport>> {
        let began = Instant::now();
        let left = || timeout.map(|timeout| (timeout - began.elapsed().as_secs_f64()).max(0.0));
        self.objects().map(|delivery| delivery.wait(py, left())).collect()
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.Deliveries, {} of them>", self.inner.len())
    }
}

impl Deliveries {
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.objects().collect::<Vec<_>>())
    }
}
