//! An app's events, one at a time.
//!
//! Read by the app's host thread and by the threads of listeners (`libkarafka/event.py`), which wait here without the
//! interpreter's lock.

use crate::attach;
use karafka::{Event, FieldValue};
use parking_lot::Mutex;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::sync::Arc;
use std::time::Duration;

/// A subscription to an app's events.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct Events(Arc<Mutex<karafka::Events>>);

impl Events {
    pub(crate) fn new(events: karafka::Events) -> Self {
        Self(Arc::new(Mutex::new(events)))
    }
}

#[pymethods]
impl Events {
    /// Waits for the next event: its name and fields; None once the app has stopped.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyDict>)>> {
        let events = Arc::clone(&self.0);
        let event = attach::detached(py, move || {
            loop {
                match events.lock().next(Duration::from_secs(3600)) {
                    Ok(event) => return Some(event),
                    Err(karafka::NoEvent::Timeout) => {}
                    Err(karafka::NoEvent::Ended) => return None,
                }
            }
        });
        let Some(event) = event else { return Ok(None) };
        Ok(Some((event.name(), fields(py, &event)?)))
    }
}

/// An event's fields, in Python's own types.
pub(crate) fn fields<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    for (name, value) in event.fields() {
        fields.set_item(name, object(py, &value)?)?;
    }
    Ok(fields)
}

fn object<'py>(py: Python<'py>, value: &FieldValue) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        FieldValue::Text(text) => text.into_bound_py_any(py)?,
        FieldValue::Integer(number) => number.into_bound_py_any(py)?,
        FieldValue::Float(number) => number.into_bound_py_any(py)?,
        FieldValue::Bool(truth) => truth.into_bound_py_any(py)?,
        FieldValue::Partitions(partitions) => partitions.into_bound_py_any(py)?,
        FieldValue::List(values) => {
            let objects: Vec<_> = values.iter().map(|value| object(py, value)).collect::<PyResult<_>>()?;
            PyList::new(py, objects)?.into_any()
        }
        FieldValue::Map(pairs) => {
            let map = PyDict::new(py);
            for (name, value) in pairs {
                map.set_item(name, object(py, value)?)?;
            }
            map.into_any()
        }
        other => other.to_string().into_bound_py_any(py)?,
    })
}
