//! The core's errors as Python exceptions.
//!
//! Called with the interpreter's lock wherever a call of the core failed. The classes are Python's own
//! (`libkarafka/errors.py`), one for each kind, found by the kind's name.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the core; an import error when the package is broken.
pub(crate) fn exception(py: Python<'_>, error: &karafka::Error) -> PyErr {
    build(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

fn build<'py>(py: Python<'py>, error: &karafka::Error) -> PyResult<Bound<'py, PyAny>> {
    let make = MAKE.import(py, "libkarafka.errors", "_from_core")?;
    let (retriable, fatal, exit_code) = (error.is_retriable(), error.is_fatal(), error.exit_code());
    make.call1((error.kind().name(), error.to_string(), retriable, fatal, error.kafka(), exit_code))
}

/// An error that the binding itself found.
pub(crate) fn raise(py: Python<'_>, kind: karafka::ErrorKind, operation: &'static str, message: &str) -> PyErr {
    exception(py, &karafka::Error::new(kind, operation, message))
}

/// Turns a core result into Python's.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception of the error's kind.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for karafka::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}
