//! A producer's buffer, and the records that a testing producer has kept.
//!
//! Called on any thread; what waits for deliveries is refused in their callbacks.

use crate::boundary::{fallible, infallible};
use crate::error::{Fault, karafka_error_t};
use crate::handle;
use crate::producer::{c_report, karafka_delivery_report_t, karafka_producer_t, refuse_in_delivery};
use crate::record::{Lent, karafka_record_t, with_c_record};
use crate::text::{Out, text};
use runtime::{Error, ErrorKind, Record};
use std::ffi::{c_char, c_void};

/// Keeps records, in order, or none of them, until `karafka_producer_flush_buffer` or `karafka_producer_close`. Copies them.
///
/// @param records An array of `count` records.
/// Errors: `CONFIG` for a record that can never be sent; `STOPPED` after closing; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_buffer(
    producer: *mut karafka_producer_t,
    records: *const karafka_record_t,
    count: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_buffer", || {
        let producer = handle::get(producer.cast_const())?;
        // SAFETY: the header asks for a valid array.
        let lent = unsafe { Lent::many(records, count)? };
        let records: Vec<Record<'_>> = lent.iter().map(Lent::record).collect();
        Ok(producer.buffer_many(&records)?)
    })
}

/// How many records are in the buffer.
///
/// Returns: 0 for a value that is no producer.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_producer_buffered(producer: *const karafka_producer_t) -> usize {
    infallible("karafka_producer_buffered", 0, || Ok(handle::get(producer)?.buffered()))
}

/// Sends what is in the buffer, in order. What could not be sent, and all behind it, stays in the buffer.
///
/// @param wait Whether to wait until all of it was acknowledged, at most `delivery_timeout`. Blocks then, and is refused inside a
///   delivery callback.
/// @param sent Gets how many records were sent. May be NULL.
/// Errors: as `karafka_producer_produce_many_async`, or with `wait` as `karafka_producer_produce_many_sync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_flush_buffer(
    producer: *mut karafka_producer_t,
    wait: bool,
    sent: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_flush_buffer", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(sent, "sent")? };
        let producer = handle::get(producer.cast_const())?;
        out.write(if wait {
            refuse_in_delivery("flush a buffer")?;
            producer.flush_buffer_sync()?.len()
        } else {
            producer.flush_buffer_async()?.len()
        });
        Ok(())
    })
}

/// Throws away what is in the buffer.
///
/// @param cleared Gets how many records that was. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_clear_buffer(
    producer: *mut karafka_producer_t,
    cleared: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_clear_buffer", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(cleared, "cleared")? };
        out.write(handle::get(producer.cast_const())?.clear_buffer()?);
        Ok(())
    })
}

/// Is shown a record that a testing producer was given.
///
/// Thread: the one that asks. It must not unwind.
///
/// @param record The record, after all middleware. Gone when the callback returns.
/// @param report Where it would be. Gone when the callback returns.
/// @param user_data As given with the callback.
pub type karafka_recorded_callback_t = Option<
    unsafe extern "C" fn(
        record: *const karafka_record_t,
        report: *const karafka_delivery_report_t,
        user_data: *mut c_void,
    ),
>;

/// Shows what a testing producer was given until now, in order.
///
/// @param callback Called for each record before this function returns; NULL to only count.
/// @param user_data Handed to the callback; stays the program's.
/// @param count Gets how many records there are. May be NULL.
/// Errors: `UNSUPPORTED` for a producer that sends; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_recorded(
    producer: *mut karafka_producer_t,
    callback: karafka_recorded_callback_t,
    user_data: *mut c_void,
    count: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_recorded", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(count, "count")? };
        let recorded = handle::get(producer.cast_const())?.recorded()?;
        if let Some(callback) = callback {
            for kept in &recorded {
                let report = c_report(kept.report);
                kept.record.lend(|record| {
                    // SAFETY: the header asks for a function that may be called with these arguments.
                    with_c_record(record, |record| unsafe { callback(record, &raw const report, user_data) });
                });
            }
        }
        out.write(recorded.len());
        Ok(())
    })
}

/// Makes a testing producer forget what it was given.
///
/// Errors: as `karafka_producer_recorded`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_producer_forget_recorded(producer: *mut karafka_producer_t) -> *mut karafka_error_t {
    fallible("karafka_producer_forget_recorded", || Ok(handle::get(producer.cast_const())?.forget_recorded()?))
}

/// Makes the next record that a testing producer is given fail; several calls line up.
///
/// @param code One of `karafka_error_code_t`, but for 0 and `KARAFKA_ERROR_ARGUMENT`.
/// @param message What the error is to say. UTF-8.
/// Errors: as `karafka_producer_recorded`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_fail_next(
    producer: *mut karafka_producer_t,
    code: u32,
    message: *const c_char,
    message_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_fail_next", || {
        let producer = handle::get(producer.cast_const())?;
        // SAFETY: the header asks for a pointer with its length.
        let message = unsafe { text(message, message_length, "the message")? };
        let Some(kind) = ErrorKind::ALL.into_iter().find(|kind| kind.code() == code) else {
            return Err(Fault::argument(format!("{code} is no code of an error that a producer has")));
        };
        Ok(producer.fail_next(Error::new(kind, "produce", message))?)
    })
}
