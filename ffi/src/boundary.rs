//! The one way in: every exported function's body runs in here.
//!
//! Turns what a body returns, or a panic in it, into what C gets. No panic leaves the library, and nothing that C hands in
//! is used before it was checked.

use crate::error::{self, Fault, karafka_error_t};
use runtime::{Error, ErrorKind};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

fn caught<T>(body: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What a panicking body leaves behind is never seen again: objects stay consistent by their own locks and atomics.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let message = "the library panicked; this is a defect of libkarafka, please report it";
        Err(Fault::Core(Error::new(ErrorKind::Internal, "call", message)))
    })
}

/// For functions that can fail: NULL is success.
pub(crate) fn fallible(function: &'static str, body: impl FnOnce() -> Result<(), Fault>) -> *mut karafka_error_t {
    match caught(body) {
        Ok(()) => ptr::null_mut(),
        Err(fault) => error::open(function, &fault),
    }
}

/// For functions that fail only when they are misused: `neutral` and a line on the standard error stream then.
pub(crate) fn infallible<T>(function: &'static str, neutral: T, body: impl FnOnce() -> Result<T, Fault>) -> T {
    caught(body).unwrap_or_else(|fault| {
        report(function, &fault);
        neutral
    })
}

/// Tells a person what a function that returns no error met.
pub(crate) fn report(function: &'static str, fault: &Fault) {
    // A closed standard error stream is no reason to end.
    let _ = writeln!(std::io::stderr(), "libkarafka: {}", fault.text(function));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::error::{karafka_error_code, karafka_error_code_t, karafka_error_free};

    #[test]
    fn a_panic_becomes_an_error_or_the_neutral_value() {
        let error = fallible("karafka_test", || panic!("a defect"));
        assert_eq!(karafka_error_code(error), karafka_error_code_t::KARAFKA_ERROR_INTERNAL);
        karafka_error_free(error);
        assert_eq!(infallible("karafka_test", -1, || panic!("a defect")), -1);
    }

    #[test]
    fn success_is_null() {
        assert!(fallible("karafka_test", || Ok(())).is_null());
        assert_eq!(infallible("karafka_test", -1, || Ok(5)), 5);
    }
}
