//! Errors as C gets them.
//!
//! Owns `karafka_error_t` and the codes. An error is made where a call fails, on the caller's thread, read by accessors on
//! any thread, and freed by the caller.

use crate::boundary::{infallible, report};
use crate::handle::{self, handle};
use runtime::{Error, ErrorKind};
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// What went wrong. The numbers never change and are never used again. The same words name Ruby's and Python's errors.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum karafka_error_code_t {
    /// Nothing: the code of NULL.
    KARAFKA_OK = 0,
    /// A setting is unknown, out of range or contradicts another; the message lists every problem. Nothing was started.
    KARAFKA_ERROR_CONFIG = 1,
    /// A broker answered with an error, or none could be reached.
    KARAFKA_ERROR_BROKER = 2,
    /// Authentication or authorisation failed.
    KARAFKA_ERROR_AUTH = 3,
    /// Something did not happen within its time.
    KARAFKA_ERROR_TIMEOUT = 4,
    /// Another member or producer has taken this one's place.
    KARAFKA_ERROR_FENCED = 5,
    /// The partition is no longer assigned to this process.
    KARAFKA_ERROR_NOT_OWNED = 6,
    /// User code failed.
    KARAFKA_ERROR_HANDLER = 7,
    /// Bytes could not be turned into a value.
    KARAFKA_ERROR_DESERIALIZE = 8,
    /// A transaction could not be begun, committed or aborted.
    KARAFKA_ERROR_TRANSACTION = 9,
    /// A local queue is full.
    KARAFKA_ERROR_QUEUE_FULL = 10,
    /// The app or producer is stopped, or is not in a state that allows the call.
    KARAFKA_ERROR_STOPPED = 11,
    /// The handle belongs to the parent of this forked process.
    KARAFKA_ERROR_FORKED = 12,
    /// The broker or the build cannot do this.
    KARAFKA_ERROR_UNSUPPORTED = 13,
    /// A defect of libkarafka. Please report it.
    KARAFKA_ERROR_INTERNAL = 14,
    /// Only in C: an argument is NULL, a freed or foreign handle, not UTF-8, or out of range. A defect of the calling
    /// program; the call did nothing.
    KARAFKA_ERROR_ARGUMENT = 100,
}

use karafka_error_code_t as Code;

impl Code {
    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Config => Self::KARAFKA_ERROR_CONFIG,
            ErrorKind::Broker => Self::KARAFKA_ERROR_BROKER,
            ErrorKind::Auth => Self::KARAFKA_ERROR_AUTH,
            ErrorKind::Timeout => Self::KARAFKA_ERROR_TIMEOUT,
            ErrorKind::Fenced => Self::KARAFKA_ERROR_FENCED,
            ErrorKind::NotOwned => Self::KARAFKA_ERROR_NOT_OWNED,
            ErrorKind::Handler => Self::KARAFKA_ERROR_HANDLER,
            ErrorKind::Deserialize => Self::KARAFKA_ERROR_DESERIALIZE,
            ErrorKind::Transaction => Self::KARAFKA_ERROR_TRANSACTION,
            ErrorKind::QueueFull => Self::KARAFKA_ERROR_QUEUE_FULL,
            ErrorKind::Stopped => Self::KARAFKA_ERROR_STOPPED,
            ErrorKind::Forked => Self::KARAFKA_ERROR_FORKED,
            ErrorKind::Unsupported => Self::KARAFKA_ERROR_UNSUPPORTED,
            // Kinds are matched one by one in a test; a kind that is newer than this list is a defect of ours.
            _ => Self::KARAFKA_ERROR_INTERNAL,
        }
    }
}

/// Why a call failed.
///
/// Owned by whoever got it, unless a function says otherwise; freed by `karafka_error_free`. May be read on any thread.
pub struct karafka_error_t(());

handle!(karafka_error_t, Error, ErrorObject);

/// What an exported body ends with when it fails.
pub(crate) enum Fault {
    Core(Error),
    /// The caller's mistake; see `KARAFKA_ERROR_ARGUMENT`.
    Argument(String),
}

impl Fault {
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }

    /// The call is not possible now.
    pub(crate) fn stopped(operation: &'static str, message: impl Into<String>) -> Self {
        Self::Core(Error::new(ErrorKind::Stopped, operation, message))
    }

    pub(crate) fn text(&self, function: &'static str) -> String {
        match self {
            Self::Core(error) => error.to_string(),
            Self::Argument(message) => format!("{function}: {message}"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

pub(crate) struct ErrorObject {
    code: Code,
    message: CString,
    retriable: bool,
    fatal: bool,
    kafka_code: i32,
    exit_code: c_int,
}

/// Text that C can read to its end: NUL bytes inside are shown, not obeyed.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

impl ErrorObject {
    fn new(function: &'static str, fault: &Fault) -> Self {
        let message = c_text(&fault.text(function));
        match fault {
            Fault::Argument(_) => {
                let code = Code::KARAFKA_ERROR_ARGUMENT;
                Self { code, message, retriable: false, fatal: false, kafka_code: 0, exit_code: 1 }
            }
            Fault::Core(error) => {
                let code = Code::of(error.kind());
                let kafka_code = error.kafka().unwrap_or(0);
                let (retriable, fatal) = (error.is_retriable(), error.is_fatal());
                Self { code, message, retriable, fatal, kafka_code, exit_code: c_int::from(error.exit_code()) }
            }
        }
    }
}

fn name_of(code: Code) -> &'static CStr {
    match code {
        Code::KARAFKA_OK => c"Ok",
        Code::KARAFKA_ERROR_CONFIG => c"Config",
        Code::KARAFKA_ERROR_BROKER => c"Broker",
        Code::KARAFKA_ERROR_AUTH => c"Auth",
        Code::KARAFKA_ERROR_TIMEOUT => c"Timeout",
        Code::KARAFKA_ERROR_FENCED => c"Fenced",
        Code::KARAFKA_ERROR_NOT_OWNED => c"NotOwned",
        Code::KARAFKA_ERROR_HANDLER => c"Handler",
        Code::KARAFKA_ERROR_DESERIALIZE => c"Deserialize",
        Code::KARAFKA_ERROR_TRANSACTION => c"Transaction",
        Code::KARAFKA_ERROR_QUEUE_FULL => c"QueueFull",
        Code::KARAFKA_ERROR_STOPPED => c"Stopped",
        Code::KARAFKA_ERROR_FORKED => c"Forked",
        Code::KARAFKA_ERROR_UNSUPPORTED => c"Unsupported",
        Code::KARAFKA_ERROR_INTERNAL => c"Internal",
        Code::KARAFKA_ERROR_ARGUMENT => c"Argument",
    }
}

/// The error of a call that failed when millions of errors were not freed: there is room for no other.
/// An error by its tag, and no key that a registry gives.
const NO_ROOM: usize = (0xC1 << 56) | 0xff_fffe;

/// The handle that a call returns for its fault. Never NULL, which would be success, and never panics.
pub(crate) fn open(function: &'static str, fault: &Fault) -> *mut karafka_error_t {
    let make = || handle::open::<karafka_error_t>(ErrorObject::new(function, fault));
    if let Ok(Ok(error)) = catch_unwind(AssertUnwindSafe(make)) {
        return error;
    }
    report(function, fault);
    ptr::without_provenance_mut(NO_ROOM)
}

/// The kind of error, as a number for programs.
///
/// Returns: the code; `KARAFKA_OK` for NULL, `KARAFKA_ERROR_ARGUMENT` for a value that is no error.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_code(error: *const karafka_error_t) -> karafka_error_code_t {
    if error.is_null() {
        return Code::KARAFKA_OK;
    }
    if error.addr() == NO_ROOM {
        return Code::KARAFKA_ERROR_INTERNAL;
    }
    infallible("karafka_error_code", Code::KARAFKA_ERROR_ARGUMENT, || Ok(handle::get(error)?.code))
}

/// The kind of error as a word, such as "Timeout": the same in every language.
///
/// Returns: text that is never freed and always valid; "Ok" for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_name(error: *const karafka_error_t) -> *const c_char {
    let code = karafka_error_code(error);
    name_of(code).as_ptr()
}

/// What was tried, on what, what happened and what to do; for people. A configuration's problems are on lines of their own.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the error; "success" for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_message(error: *const karafka_error_t) -> *const c_char {
    if error.is_null() {
        return c"success".as_ptr();
    }
    if error.addr() == NO_ROOM {
        return c"the call failed, and millions of errors that were not freed leave no room to say why".as_ptr();
    }
    infallible("karafka_error_message", c"not an error of libkarafka, or freed".as_ptr(), || {
        Ok(handle::get(error)?.message.as_ptr())
    })
}

/// Whether the same call may succeed later.
///
/// Returns: false for NULL and for a value that is no error.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_is_retriable(error: *const karafka_error_t) -> bool {
    !error.is_null() && infallible("karafka_error_is_retriable", false, || Ok(handle::get(error)?.retriable))
}

/// Whether the handle that the call was made on cannot be used any more.
///
/// Returns: false for NULL and for a value that is no error.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_is_fatal(error: *const karafka_error_t) -> bool {
    !error.is_null() && infallible("karafka_error_is_fatal", false, || Ok(handle::get(error)?.fatal))
}

/// Kafka's own number of the error: positive as in the protocol, negative for errors of the client library.
///
/// Returns: 0 when there is none, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_kafka_code(error: *const karafka_error_t) -> i32 {
    if error.is_null() { 0 } else { infallible("karafka_error_kafka_code", 0, || Ok(handle::get(error)?.kafka_code)) }
}

/// The status with which a program should end that ends with this error.
///
/// Returns: 0 for NULL, 2 when the stop was forced, 3 when the parent of the process is gone, else 1.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_exit_code(error: *const karafka_error_t) -> c_int {
    if error.is_null() { 0 } else { infallible("karafka_error_exit_code", 1, || Ok(handle::get(error)?.exit_code)) }
}

/// Frees an error and its texts. Takes NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_error_free(error: *mut karafka_error_t) {
    if error.addr() != NO_ROOM {
        handle::free("karafka_error_free", error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_those_of_the_core() {
        for kind in ErrorKind::ALL {
            let code = Code::of(kind);
            assert_eq!(code as u32, kind.code(), "{kind}");
            assert_eq!(name_of(code).to_str(), Ok(kind.name()));
        }
    }

    #[test]
    fn an_error_tells_all_and_is_freed_once() {
        let fault =
            Error::new(ErrorKind::Timeout, "wait", "no\0answer").with("topic", "orders").retriable().kafka_code(-185);
        let error = open("karafka_test", &Fault::Core(fault));
        assert_eq!(karafka_error_code(error), Code::KARAFKA_ERROR_TIMEOUT);
        // SAFETY: the text ends with NUL and lives until the error is freed.
        let message = unsafe { CStr::from_ptr(karafka_error_message(error)) };
        assert_eq!(message.to_str(), Ok("wait: no\\0answer (topic: orders)"));
        assert!(karafka_error_is_retriable(error) && !karafka_error_is_fatal(error));
        assert_eq!(karafka_error_kafka_code(error), -185);
        karafka_error_free(error);
        assert_eq!(karafka_error_code(error), Code::KARAFKA_ERROR_ARGUMENT);
        karafka_error_free(error);
        karafka_error_free(ptr::null_mut());
        assert_eq!(karafka_error_code(ptr::null()), Code::KARAFKA_OK);
    }
}
