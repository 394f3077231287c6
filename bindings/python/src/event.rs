//! An app's events, one at a time.
//!
//! Read by the app's host thread and by the threads of listeners (`libkarafka/event.py`), which wait here without the
//! interpreter's lock.

use crate::attach;
use crate::error::OrRaise;
use karafka::{Event, FieldValue};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::sync::Arc;
use std::time::Duration;

/// A subscription to an app's events.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct Events(Arc<karafka::Events>);

impl Events {
    /// Refuses those of a forked child's parent.
    pub(crate) fn new(py: Python<'_>, events: karafka::Events) -> PyResult<Self> {
        events.owned().or_raise(py)?;
        Ok(Self(Arc::new(events)))
    }
}

#[pymethods]
impl Events {
    /// Raises ``ForkedError`` in a child process, where nobody tells any events.
    fn owned(&self, py: Python<'_>) -> PyResult<()> {
        self.0.owned().or_raise(py)
    }

    /// Waits for the next event: its name and fields; None once the app has stopped.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyDict>)>> {
        self.owned(py)?;
        let events = Arc::clone(&self.0);
        let event = attach::detached(py, move || {
            loop {
                match events.next(Duration::from_secs(3600)) {
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
