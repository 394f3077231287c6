//! Which call of an ``async def`` handler produces.
//!
//! Plain handlers are counted by their thread. Tasks share one, so the call is kept in a context variable, which tasks and threads
//! that the handler begins inherit. Read with the interpreter's lock, and only once a topic declared what it ``produces``.

use karafka::OutputScope;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static COUNTED: AtomicBool = AtomicBool::new(false);
static CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pyclass(frozen, module = "libkarafka._native")]
struct Call(karafka::Context);

/// The context variable.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let made = CALL.get_or_try_init(py, || {
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok::<_, PyErr>(class.call1(("libkarafka_call",))?.unbind())
    })?;
    Ok(made.bind(py))
}

/// From now on, the running task produces for this call.
pub(crate) fn enter(py: Python<'_>, context: &karafka::Context) -> PyResult<()> {
    if context.counts_outputs() {
        COUNTED.store(true, Ordering::Relaxed);
        variable(py)?.call_method1("set", (Bound::new(py, Call(context.clone()))?,))?;
    }
    Ok(())
}

/// As long as it lives, this thread produces for the call of the running task, if that is one that counts.
pub(crate) fn scope(py: Python<'_>) -> PyResult<Option<OutputScope>> {
    if !COUNTED.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let call = variable(py)?.call_method1("get", (py.None(),))?;
    Ok(call.cast::<Call>().ok().and_then(|call| call.get().0.output_scope()))
}
