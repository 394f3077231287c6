//! Jobs that end later.
//!
//! Owns `karafka_completion_t`: made in a handler, used once on any thread.

use crate::batch::{CallObject, end_call, karafka_batch_t};
use crate::boundary::fallible;
use crate::context::failure;
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::fail_call;
use crate::registry::Pinned;
use runtime::Failure;
use runtime::lock::Mutex;
use std::ffi::c_char;

/// The duty to end a job, taken by `karafka_context_defer`.
///
/// Owned by whoever took it; used once by `karafka_completion_done` or `karafka_completion_fail`, freed by
/// `karafka_completion_free`. May be used on any thread.
pub struct karafka_completion_t(());

handle!(karafka_completion_t, Completion, CompletionObject);

pub(crate) struct CompletionObject {
    open: Mutex<Option<Open>>,
}

struct Open {
    batch: *mut karafka_batch_t,
    call: Pinned<CallObject>,
}

// SAFETY: `batch` is a handle, a number that any thread may use.
unsafe impl Send for Open {}

impl CompletionObject {
    pub(crate) fn new(batch: *mut karafka_batch_t, call: Pinned<CallObject>) -> Self {
        Self { open: Mutex::new(Some(Open { batch, call })) }
    }

    /// Ends the job if nobody has yet.
    fn end(&self, failure: Option<Failure>) -> bool {
        let Some(Open { batch, call }) = self.open.lock().take() else { return false };
        match failure {
            None => end_call(batch, call, |job, _| job.done()),
            Some(failure) => fail_call(batch, call, failure),
        }
    }
}

impl Drop for CompletionObject {
    fn drop(&mut self) {
        self.end(Some(Failure::new("Dropped", "the completion was freed without having been used")));
    }
}

fn complete(completion: *mut karafka_completion_t, failure: Option<Failure>) -> Result<(), Fault> {
    if handle::get(completion.cast_const())?.end(failure) {
        return Ok(());
    }
    Err(Fault::stopped("complete a job", "the job has ended already; a completion is used once"))
}

/// Ends the job with success: its messages are marked as consumed, unless the topic's offsets are managed by hand.
///
/// Errors: `STOPPED` when the job has ended already; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_completion_done(completion: *mut karafka_completion_t) -> *mut karafka_error_t {
    fallible("karafka_completion_done", || complete(completion, None))
}

/// Ends the job with a failure: what it did not mark is tried again after the back-off. A topic's strategy is asked before this
/// returns, on the thread that calls it.
///
/// @param error_class A short name of the kind of error. UTF-8. NULL and 0 for none.
/// @param message What happened. UTF-8. NULL and 0 for none.
/// Errors: `STOPPED` when the job has ended already; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_completion_fail(
    completion: *mut karafka_completion_t,
    error_class: *const c_char,
    error_class_length: usize,
    message: *const c_char,
    message_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_completion_fail", || {
        // SAFETY: the header asks for pointers with their lengths.
        let failure = unsafe { failure(error_class, error_class_length, message, message_length)? };
        complete(completion, Some(failure))
    })
}

/// Frees a completion. Takes NULL. One that was not used fails its job, as `karafka_completion_fail` would: nothing is lost by
/// forgetting.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_completion_free(completion: *mut karafka_completion_t) {
    handle::free("karafka_completion_free", completion);
}
