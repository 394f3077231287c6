//! An app's events, one at a time.
//!
//! Read by the app's host thread (`libkarafka/host.py`), which waits here without the interpreter's lock.

use crate::attach;
use karafka::Event;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
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
        let fields = PyDict::new(py);
        for (name, value) in event.fields() {
            fields.set_item(name, value)?;
        }
        if let Event::HandlerFailed { failure, .. } = &event
            && let Some(backtrace) = &failure.backtrace
        {
            fields.set_item("backtrace", backtrace)?;
        }
        Ok(Some((event.name(), fields)))
    }
}
