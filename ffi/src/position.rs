//! What a handler may do to the position of its partition, one message at a time, and what is known of its batch.
//!
//! More functions of `karafka_context_t` and `karafka_batch_t`. Called in handlers and, while a completion is open, on any
//! thread.

use crate::batch::{CallObject, karafka_batch_t, karafka_context_t};
use crate::boundary::{fallible, infallible};
use crate::error::{Fault, c_text, karafka_error_t};
use crate::handle;
use crate::handler::karafka_result_t;
use crate::message::karafka_message_t;
use crate::text::{Out, long_patience, patience, text};
use runtime::{Context, SeekTo};
use std::ffi::{c_char, c_void};

/// `offset` of `karafka_context_seek`: the oldest message that is still there.
pub const KARAFKA_OFFSET_EARLIEST: i64 = -2;
/// `offset` of `karafka_context_seek`: the end, only what arrives from now on.
pub const KARAFKA_OFFSET_LATEST: i64 = -1;

/// What is known of a batch beside its messages, at the moment of asking. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_batch_metadata_t {
    /// The first message's offset.
    pub first_offset: i64,
    /// The last message's offset.
    pub last_offset: i64,
    /// How many messages there are.
    pub messages: u64,
    /// Bytes of their keys and payloads.
    pub bytes: u64,
    /// When the last message was made or appended: milliseconds since 1970-01-01 UTC; -1 without a timestamp.
    pub created_ms: i64,
    /// When the batch was put together, in the same unit.
    pub scheduled_ms: i64,
    /// How old the last message is, in milliseconds; -1 without a timestamp.
    pub consumption_lag_ms: i64,
    /// How long ago the batch was put together, in milliseconds.
    pub processing_lag_ms: i64,
    /// How many offsets lie behind the last message, as far as the last fetch told; -1 when none told it yet.
    pub offset_lag: i64,
}

/// Handles one message of a batch, for `karafka_context_each`.
///
/// Thread, and what may be called inside: as in the handler that called it.
///
/// @param message The message.
/// @param context The handler's.
/// @param user_data As given to `karafka_context_each`.
/// Returns: `KARAFKA_DONE`; everything else is a failure.
pub type karafka_each_t = Option<
    unsafe extern "C" fn(
        message: *const karafka_message_t,
        context: *mut karafka_context_t,
        user_data: *mut c_void,
    ) -> karafka_result_t,
>;

type EachFunction =
    unsafe extern "C" fn(*const karafka_message_t, *mut karafka_context_t, *mut c_void) -> karafka_result_t;
type RawEach = unsafe extern "C" fn(*const karafka_message_t, *mut karafka_context_t, *mut c_void) -> u32;

/// The core's context of a call that has not ended. No lock is held while it is used: the job may be completed meanwhile.
fn context_of(call: &CallObject) -> Result<Context, Fault> {
    let job = call.job.lock();
    let job = job.as_ref().ok_or_else(|| Fault::argument("the job has ended, and its context with it"))?;
    Ok(job.context().clone())
}

fn owned_after(
    function: &'static str,
    context: *mut karafka_context_t,
    owned: *mut bool,
    act: impl FnOnce(&CallObject, &Context) -> Result<bool, Fault>,
) -> *mut karafka_error_t {
    fallible(function, || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(owned, "owned")? };
        let call = handle::get(context.cast_const())?;
        out.write(act(&call, &context_of(&call)?)?);
        Ok(())
    })
}

/// Marks as `karafka_context_mark_as_consumed`, and stores a text with the offset, which whoever is assigned the partition
/// next reads by `karafka_context_offset_metadata`. Which of several texts is stored is decided by
/// `offset_metadata_strategy`. A text that does not fit into the 4096 bytes that brokers take is not stored, which a warning
/// tells; it is never cut.
///
/// @param index The message's index in the batch.
/// @param metadata The text, UTF-8; an empty one is none.
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_mark_as_consumed_with(
    context: *mut karafka_context_t,
    index: usize,
    metadata: *const c_char,
    metadata_length: usize,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_mark_as_consumed_with", context, owned, |call, context| {
        // SAFETY: the header asks for a pointer with its length.
        let metadata = unsafe { text(metadata, metadata_length, "metadata")? };
        let length = call.batch.len();
        if index >= length {
            return Err(Fault::argument(format!("message {index} of a batch of {length}")));
        }
        Ok(context.mark_index_with(index, metadata))
    })
}

/// Stores a text with the offset from the next commit on, without marking anything.
///
/// @param metadata The text, UTF-8; an empty one removes it.
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_store_offset_metadata(
    context: *mut karafka_context_t,
    metadata: *const c_char,
    metadata_length: usize,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_store_offset_metadata", context, owned, |_, context| {
        // SAFETY: the header asks for a pointer with its length.
        Ok(context.store_offset_metadata(unsafe { text(metadata, metadata_length, "metadata")? }))
    })
}

/// The text that was stored with the partition's offset when it was assigned, or the last one given here since.
///
/// Returns: UTF-8 text that ends with NUL, empty when there is none, and lives until the next call of this function for the
/// same context or the context's end; NULL when the partition is no longer owned, and for a value that is no context.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_context_offset_metadata(context: *const karafka_context_t) -> *const c_char {
    infallible("karafka_context_offset_metadata", std::ptr::null(), || {
        let call = handle::get(context)?;
        let Some(found) = context_of(&call)?.offset_metadata() else { return Ok(std::ptr::null()) };
        let mut kept = call.metadata.lock();
        *kept = c_text(&found);
        Ok(kept.as_ptr())
    })
}

/// Commits what is marked now instead of at the next `commit_interval`, and returns at once.
///
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_commit_offsets(
    context: *mut karafka_context_t,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_commit_offsets", context, owned, |_, context| Ok(context.commit_offsets()))
}

/// Commits what is marked, and returns when the broker has it: a fence before effects that must not happen twice. Blocks.
///
/// @param timeout_ms Milliseconds; -1 for no limit.
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `TIMEOUT` (retriable) when no broker answered in time; `STOPPED` when the app ended meanwhile; `ARGUMENT`,
/// `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_commit_offsets_sync(
    context: *mut karafka_context_t,
    timeout_ms: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_commit_offsets_sync", context, owned, |_, context| {
        Ok(context.commit(long_patience(timeout_ms)?)?)
    })
}

/// Hands out no more messages of the partition for a time, or until `karafka_context_resume`. Running calls go on, and nothing
/// that was fetched is thrown away. What this call has not marked when it returns is not marked by returning: it comes again
/// when the pause is over. A later pause takes the place of an earlier one; a pause ends with the ownership of the partition.
///
/// @param time_ms Milliseconds; -1 for until resumed.
/// @param owned Gets whether the partition is still owned; false means that nothing was paused. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_pause(
    context: *mut karafka_context_t,
    time_ms: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_pause", context, owned, |_, context| Ok(context.pause(patience(time_ms)?)))
}

/// Ends a pause, whoever paused.
///
/// @param owned Gets whether the partition is still owned. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_resume(
    context: *mut karafka_context_t,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_resume", context, owned, |_, context| Ok(context.resume()))
}

/// Moves the partition: the next message that is handed out is at the target, forwards or backwards. Messages that wait are
/// dropped; what running calls mark from then on does not count, nor what this call has not marked. The new position is
/// committed, also where it lies below the old one. A target that the log does not hold is decided by `initial_offset`.
/// Blocks where a broker is asked.
///
/// @param offset The offset, `KARAFKA_OFFSET_EARLIEST` or `KARAFKA_OFFSET_LATEST`.
/// @param timeout_ms Milliseconds; -1 for no limit.
/// @param owned Gets whether the partition is still owned; false means that nothing was moved. May be NULL.
/// Errors: after each of them the partition goes on where it was. `CONFIG` for what is no offset; `TIMEOUT` (retriable);
/// `BROKER`; `STOPPED` when the app ended meanwhile; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_seek(
    context: *mut karafka_context_t,
    offset: i64,
    timeout_ms: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_seek", context, owned, |_, context| {
        let to = match offset {
            KARAFKA_OFFSET_EARLIEST => SeekTo::Earliest,
            KARAFKA_OFFSET_LATEST => SeekTo::Latest,
            offset => SeekTo::Offset(offset),
        };
        Ok(context.seek(to, long_patience(timeout_ms)?)?)
    })
}

/// Moves the partition to the first message that is not older than a time. Otherwise as `karafka_context_seek`.
///
/// @param time_ms Milliseconds since 1970-01-01 UTC.
/// Errors: as `karafka_context_seek`; `CONFIG` too for a time after the newest message, `UNSUPPORTED` on the embedded broker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_seek_to_time(
    context: *mut karafka_context_t,
    time_ms: i64,
    timeout_ms: i64,
    owned: *mut bool,
) -> *mut karafka_error_t {
    owned_after("karafka_context_seek_to_time", context, owned, |_, context| {
        Ok(context.seek(SeekTo::Time(time_ms), long_patience(timeout_ms)?)?)
    })
}

/// Calls a function with one message of the batch after the other, and marks each when it returned `KARAFKA_DONE`. Ends with
/// the first that fails: only its message and those behind it are tried again. Ends early, too, when the partition is lost.
///
/// @param each The function.
/// @param user_data Handed to it.
/// Returns: what the handler is to return: `KARAFKA_DONE` or `KARAFKA_FAILED`, the latter for wrong arguments, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_each(
    context: *mut karafka_context_t,
    each: karafka_each_t,
    user_data: *mut c_void,
) -> karafka_result_t {
    infallible("karafka_context_each", karafka_result_t::KARAFKA_FAILED, || {
        let each = each.ok_or_else(|| Fault::argument("each is NULL"))?;
        // SAFETY: the types differ in what they return only, and a `repr(u32)` enum is returned as a `u32` is. As a number,
        // every value that C may return is valid.
        let each = unsafe { std::mem::transmute::<EachFunction, RawEach>(each) };
        let call = handle::get(context.cast_const())?;
        let core = context_of(&call)?;
        let views = call.messages();
        let ended = core.each(&call.batch, |message| {
            let view = views.get(message.index()).ok_or(())?;
            // SAFETY: the header asks for a function of this type; the view lives as long as the batch.
            let returned = unsafe { each(view, context, user_data) };
            if returned == karafka_result_t::KARAFKA_DONE as u32 { Ok(()) } else { Err(()) }
        });
        Ok(if ended.is_ok() { karafka_result_t::KARAFKA_DONE } else { karafka_result_t::KARAFKA_FAILED })
    })
}

/// Offsets, sizes, times and lags of a batch, as of now.
///
/// @param metadata Gets them.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_batch_metadata(
    batch: *const karafka_batch_t,
    metadata: *mut karafka_batch_metadata_t,
) -> *mut karafka_error_t {
    fallible("karafka_batch_metadata", || {
        // SAFETY: the header asks for a valid place.
        let out = unsafe { Out::required(metadata, "metadata")? };
        let found = handle::get(batch)?.batch.metadata();
        let milliseconds = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        out.write(karafka_batch_metadata_t {
            first_offset: found.first_offset,
            last_offset: found.last_offset,
            messages: found.messages as u64,
            bytes: found.bytes,
            created_ms: found.created_at.unwrap_or(-1),
            scheduled_ms: found.scheduled_at,
            consumption_lag_ms: found.consumption_lag.map_or(-1, milliseconds),
            processing_lag_ms: milliseconds(found.processing_lag),
            offset_lag: found.offset_lag.map_or(-1, |lag| i64::try_from(lag).unwrap_or(i64::MAX)),
        });
        Ok(())
    })
}
