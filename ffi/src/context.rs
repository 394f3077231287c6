//! What a handler may know and do beside its messages.
//!
//! The functions of `karafka_context_t`; its object is the call's, in `batch`. Called in handlers and, while a completion
//! is open, on any thread.

use crate::batch::{CallObject, karafka_batch_t, karafka_context_t};
use crate::boundary::{fallible, infallible};
use crate::completion::{CompletionObject, karafka_completion_t};
use crate::error::{Fault, c_text, karafka_error_t};
use crate::handle;
use crate::text::{Out, long_patience, text};
use runtime::{Context, Failure, Job};
use std::ffi::c_char;
use std::sync::atomic::Ordering;

const ENDED: &str = "the job has ended, and its context with it";

/// Looks at the job of a call that has not ended.
fn with_job<T>(call: &CallObject, look: impl FnOnce(&Job) -> T) -> Result<T, Fault> {
    call.job.lock().as_ref().map(look).ok_or_else(|| Fault::argument(ENDED))
}

fn mark(
    function: &'static str,
    context: *mut karafka_context_t,
    index: usize,
    owned: *mut bool,
    mark: impl FnOnce(&Context) -> bool,
) -> *mut karafka_error_t {
    fallible(function, || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(owned, "owned")? };
        let call = handle::get(context.cast_const())?;
        has_message(&call, index)?;
        out.write(with_job(&call, |job| mark(job.context()))?);
        Ok(())
    })
}

/// The context of a call that has not ended, for what waits.
pub(crate) fn context_of(context: *mut karafka_context_t) -> Result<Context, Fault> {
    with_job(&*handle::get(context.cast_const())?, |job| job.context().clone())
}

fn has_message(call: &CallObject, index: usize) -> Result<(), Fault> {
    let length = call.batch.len();
    if index < length { Ok(()) } else { Err(Fault::argument(format!("message {index} of a batch of {length}"))) }
}

/// Marks a message, and everything before it in its virtual partition, as consumed. The commit follows within
/// `commit_interval`. Marking twice is no error.
///
/// @param index The message's index in the batch.
/// @param owned Gets whether the partition is still owned; false means that nothing was marked, and that another process
///   handles the message. May be NULL.
/// Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_mark_as_consumed(
    context: *mut karafka_context_t,
    index: usize,
    owned: *mut bool,
) -> *mut karafka_error_t {
    mark("karafka_context_mark_as_consumed", context, index, owned, |context| context.mark_index(index, true))
}

/// Marks one message and no other. Otherwise as `karafka_context_mark_as_consumed`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_acknowledge(
    context: *mut karafka_context_t,
    index: usize,
    owned: *mut bool,
) -> *mut karafka_error_t {
    mark("karafka_context_acknowledge", context, index, owned, |context| context.mark_index(index, false))
}

/// Marks the message at an offset, and everything that was handled before it in its virtual partition; of an earlier call in this
/// ownership of the partition, too: for hooks and handlers that write away what they gathered.
///
/// @param offset The message's offset; one that was not handed out in this ownership marks nothing.
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_mark_offset(
    context: *mut karafka_context_t,
    offset: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    fallible("karafka_context_mark_offset", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(owned, "owned")? };
        let call = handle::get(context.cast_const())?;
        out.write(with_job(&call, |job| job.context().mark_offset(offset))?);
        Ok(())
    })
}

/// Marks as `karafka_context_mark_as_consumed`, and returns when the broker has what may be committed: a fence before effects
/// that must not happen twice. Blocks.
///
/// @param timeout_ms Milliseconds; -1 for no limit.
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `TIMEOUT` (retriable) when no broker answered in time; `STOPPED` when the app ended meanwhile; `ARGUMENT`,
/// `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_mark_as_consumed_sync(
    context: *mut karafka_context_t,
    index: usize,
    timeout_ms: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    fallible("karafka_context_mark_as_consumed_sync", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(owned, "owned")? };
        let timeout = long_patience(timeout_ms)?;
        let call = handle::get(context.cast_const())?;
        has_message(&call, index)?;
        // The lock is not held while waiting: the job may be completed meanwhile.
        let context = with_job(&call, |job| job.context().clone())?;
        out.write(context.mark_index(index, true) && context.commit(timeout)?);
        Ok(())
    })
}

/// Names the error that the handler is about to return `KARAFKA_FAILED` for. It is shown in the event
/// "consumer.consume.error". By itself it fails nothing.
///
/// @param error_class A short name of the kind of error, such as "DatabaseError". UTF-8.
/// @param message What happened. UTF-8.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_fail(
    context: *mut karafka_context_t,
    error_class: *const c_char,
    error_class_length: usize,
    message: *const c_char,
    message_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_context_fail", || {
        // SAFETY: the header asks for pointers with their lengths.
        let failure = unsafe { failure(error_class, error_class_length, message, message_length)? };
        let call = handle::get(context.cast_const())?;
        with_job(&call, |_| ())?;
        *call.failure.lock() = Some(failure);
        Ok(())
    })
}

/// # Safety
/// Each pointer must be NULL or point to its length's bytes.
pub(crate) unsafe fn failure(
    class: *const c_char,
    class_length: usize,
    message: *const c_char,
    message_length: usize,
) -> Result<Failure, Fault> {
    // SAFETY: the caller's promise is the same.
    let (class, message) =
        unsafe { (text(class, class_length, "the error's class")?, text(message, message_length, "the message")?) };
    Ok(Failure::new(if class.is_empty() { "Failed" } else { class }, message))
}

/// Takes the duty to end the job: the handler returns `KARAFKA_LATER`, and the job ends when the completion is used, on any
/// thread. Batch and context live until then. A job has one completion.
///
/// If the handler returns anything else all the same, that ends the job, and the completion is void.
///
/// @param completion Gets the completion, to be freed by `karafka_completion_free`.
/// Errors: `ARGUMENT`, also for a second completion and after the job's end; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_defer(
    context: *mut karafka_context_t,
    completion: *mut *mut karafka_completion_t,
) -> *mut karafka_error_t {
    fallible("karafka_context_defer", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(completion, "completion")? };
        let call = handle::get(context.cast_const())?;
        with_job(&call, |_| ())?;
        if call.deferred.swap(true, Ordering::SeqCst) {
            return Err(Fault::argument("the job has a completion already"));
        }
        let batch = handle::alias::<karafka_context_t, karafka_batch_t>(context)?;
        out.write(handle::open(CompletionObject::new(batch, call))?);
        Ok(())
    })
}

/// The topic's name.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the context; NULL for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_topic(context: *const karafka_context_t) -> *const c_char {
    match handle::alias::<karafka_context_t, karafka_batch_t>(context) {
        Ok(batch) => crate::batch::karafka_batch_topic(batch),
        Err(fault) => infallible("karafka_context_topic", std::ptr::null(), || Err(fault)),
    }
}

/// The partition's number.
///
/// Returns: -1 for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_partition(context: *const karafka_context_t) -> i32 {
    infallible("karafka_context_partition", -1, || Ok(handle::get(context)?.batch.partition()))
}

/// The consumer group.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the context; NULL for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_group(context: *const karafka_context_t) -> *const c_char {
    infallible("karafka_context_group", std::ptr::null(), || {
        let call = handle::get(context)?;
        let group = with_job(&call, |job| c_text(job.context().group()))?;
        Ok(call.group.get_or_init(|| group).as_ptr())
    })
}

/// Which attempt at the first message this call is, from 1.
///
/// Returns: 0 for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_attempt(context: *const karafka_context_t) -> u32 {
    infallible("karafka_context_attempt", 0, || with_job(&*handle::get(context)?, |job| job.context().attempt()))
}

/// Whether the end of the partition was reached behind the last message of this call, as far as is known; or the call tells of
/// it. For topics with `eofed`.
///
/// Returns: false for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_is_eofed(context: *const karafka_context_t) -> bool {
    infallible("karafka_context_is_eofed", false, || with_job(&*handle::get(context)?, |job| job.context().is_eofed()))
}

/// Whether the consumer was given messages in this ownership, in this call or before. For hooks.
///
/// Returns: false for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_is_used(context: *const karafka_context_t) -> bool {
    infallible("karafka_context_is_used", false, || with_job(&*handle::get(context)?, |job| job.context().is_used()))
}

/// Whether the partition went to another member of the group: from then on nothing of it can be marked or committed here, and
/// the handler may end early.
///
/// Returns: true for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_is_revoked(context: *const karafka_context_t) -> bool {
    infallible("karafka_context_is_revoked", true, || {
        with_job(&*handle::get(context)?, |job| job.context().is_revoked())
    })
}

/// Whether the app was asked to stop; long handlers may end early then.
///
/// Returns: true for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_is_stopping(context: *const karafka_context_t) -> bool {
    infallible("karafka_context_is_stopping", true, || {
        with_job(&*handle::get(context)?, |job| job.context().is_stopping())
    })
}
