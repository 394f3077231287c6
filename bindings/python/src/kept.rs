//! A place for a Python object that is made at the first look and kept.
//!
//! Part of objects that any thread may read. One atomic pointer, since messages have two of these and are made by the
//! million: a cell with a lock of its own would cost more than the object in it.

use pyo3::ffi;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Null until somebody looks; then it owns one reference for good.
#[derive(Default)]
pub(crate) struct Kept(AtomicPtr<ffi::PyObject>);

impl Kept {
    /// The object; made now, if this is the first look. When two threads make one at once, both get the same.
    pub(crate) fn get<'py>(&self, py: Python<'py>, make: impl FnOnce() -> Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let mut kept = self.0.load(Ordering::Acquire);
        if kept.is_null() {
            let object = make();
            let own = object.clone().into_ptr();
            match self.0.compare_exchange(kept, own, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return object,
                Err(first) => {
                    // SAFETY: the reference that `into_ptr` gave away just now, and which nobody else knows.
                    drop(unsafe { Bound::from_owned_ptr(py, own) });
                    kept = first;
                }
            }
        }
        // SAFETY: the place owns a reference to it as long as it lives, which is longer than this call.
        unsafe { Bound::from_borrowed_ptr(py, kept) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let kept = *self.0.get_mut();
        if !kept.is_null() {
            // SAFETY: objects that have such a place are made and freed by the interpreter only, which holds its lock then.
            let py = unsafe { Python::assume_attached() };
            // SAFETY: the reference that this place owns, and that nobody can ask for any more.
            drop(unsafe { Bound::from_owned_ptr(py, kept) });
        }
    }
}
