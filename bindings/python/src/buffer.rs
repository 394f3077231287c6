//! Payloads in place: Python's buffer protocol over librdkafka's memory.
//!
//! Made by `Message.view()`; read by whoever holds a memoryview of it, on any thread. The object holds the batch, and every
//! memoryview holds the object: memory is never freed under a view.

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;

/// One payload, in the memory into which it was fetched.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct Payload {
    batch: karafka::Batch,
    index: usize,
}

impl Payload {
    pub(crate) fn new(batch: karafka::Batch, index: usize) -> Self {
        Self { batch, index }
    }

    fn bytes(&self) -> &[u8] {
        self.batch.get(self.index).and_then(|message| message.payload()).unwrap_or_default()
    }
}

#[pymethods]
impl Payload {
    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    /// # Safety
    /// Called by the interpreter, with its lock, with a view to fill.
    #[expect(clippy::needless_pass_by_value, reason = "the signature is the protocol's")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = slf.get().bytes();
        let start = bytes.as_ptr().cast_mut().cast();
        // SAFETY: `view` is the interpreter's and valid for writes; the bytes are never written (read-only is 1) and live as
        // long as `slf`, of which the view takes a reference of its own.
        let outcome =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, bytes.len() as ffi::Py_ssize_t, 1, flags) };
        if outcome == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
