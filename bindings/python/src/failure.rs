//! Exceptions as the core's failures.
//!
//! Called with the interpreter's lock when a handler raised. Must end well for every class, also for those whose text
//! cannot be had: whatever goes wrong on the way is replaced by words.

use karafka::Failure;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// Whether an exception asks the whole program to end, rather than tells that a batch failed.
pub(crate) fn ends_the_program(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py)
        || error.is_instance_of::<PyKeyboardInterrupt>(py)
        || error.is_instance_of::<PyMemoryError>(py)
}

/// Class, text and traceback of an exception.
pub(crate) fn describe(py: Python<'_>, error: &PyErr) -> Failure {
    // Only this puts the traceback on the exception itself.
    let value = error.clone_ref(py).into_value(py).into_bound(py);
    let class = class_name(&value.get_type());
    let message = match value.str() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("<the text of this {class} cannot be had: its __str__ raised>"),
    };
    let mut failure = Failure::new(class, message);
    failure.backtrace = traceback(py, value.as_any());
    failure
}

/// Lets go of the local variables that an exception's traceback holds.
pub(crate) fn clear_frames(py: Python<'_>, error: &PyErr) {
    let cleared = py.import("traceback").and_then(|module| module.call_method1("clear_frames", (error.traceback(py),)));
    if let Err(failed) = cleared {
        failed.write_unraisable(py, None);
    }
}

/// The class as Python writes it: with its module, unless it is a builtin.
fn class_name(class: &Bound<'_, PyType>) -> String {
    let name = class.qualname().map_or_else(|_| "<nameless>".to_owned(), |name| lossy(&name));
    match class.module().map(|module| lossy(&module)) {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    }
}

fn lossy(text: &Bound<'_, PyString>) -> String {
    text.to_string_lossy().into_owned()
}

fn traceback(py: Python<'_>, value: &Bound<'_, PyAny>) -> Option<String> {
    let lines = py.import("traceback").ok()?.call_method1("format_exception", (value,)).ok()?;
    let text = PyString::new(py, "").call_method1("join", (lines,)).ok()?;
    Some(lossy(text.cast::<PyString>().ok()?).trim_end().to_owned())
}
