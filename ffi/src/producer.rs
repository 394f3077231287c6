//! Producing from C.
//!
//! Owns `karafka_producer_t`, `karafka_delivery_t` and the struct of a delivery's report. Records are copied by the call that
//! sends them. Called on any thread; calls that wait for deliveries are refused inside callbacks, where they could
//! wait for themselves.

use crate::app::karafka_app_t;
use crate::boundary::{fallible, infallible, report};
use crate::config::{self, karafka_config_t};
use crate::error::{self, Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::{Inside, enter, inside, karafka_destructor_t};
use crate::record::{Lent, karafka_record_t};
use crate::text::{Out, UserData, long_patience};
use runtime::{Delivery, DeliveryReport, Producer, ProducerConfig, Record};
use std::ffi::c_void;
use std::ptr;
use std::thread;

/// Sends records to topics.
///
/// Owned by whoever made it, freed by `karafka_producer_free`. May be used on any thread, by several at once.
pub struct karafka_producer_t(());

/// A record on its way.
///
/// Owned by whoever got it, freed by `karafka_delivery_free`, which neither waits nor takes the record back. May be used on
/// any thread.
pub struct karafka_delivery_t(());

handle!(karafka_producer_t, Producer, Producer);
handle!(karafka_delivery_t, Delivery, Delivery);

/// Where a record was appended. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct karafka_delivery_report_t {
    /// The record's offset; -1 when the broker did not tell.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970-01-01 UTC; -1 when unknown.
    pub timestamp_ms: i64,
    /// The partition's number.
    pub partition: i32,
    /// Always 0.
    pub reserved: u32,
}

/// Told once what became of a record.
///
/// Thread: one of the producer's own, one call after another, so that a slow one delays the others of its producer. Inside: everything but what waits
/// (`karafka_producer_flush`, `_close`, `_produce_sync`, `_produce_many_sync`, `karafka_delivery_wait`, `karafka_app_run`,
/// `karafka_app_join`), which is refused. It must not unwind and must not end its thread.
///
/// @param error NULL when the record was acknowledged; else why it was given up. Belongs to the library, and is gone when the
///   callback returns: do not free it.
/// @param report Where the record was appended; NULL with an error. Gone when the callback returns.
/// @param user_data As given with the callback.
pub type karafka_delivery_callback_t = Option<
    unsafe extern "C" fn(
        error: *const karafka_error_t,
        report: *const karafka_delivery_report_t,
        user_data: *mut c_void,
    ),
>;

pub(crate) fn c_report(report: DeliveryReport) -> karafka_delivery_report_t {
    karafka_delivery_report_t {
        offset: report.offset,
        timestamp_ms: report.timestamp_ms,
        partition: report.partition,
        reserved: 0,
    }
}

/// Sends a record that C describes.
///
/// # Safety
/// `record` must be NULL or point to a record whose own pointers are valid.
unsafe fn send<T>(
    producer: *mut karafka_producer_t,
    record: *const karafka_record_t,
    send: impl FnOnce(&Producer, &Record<'_>) -> runtime::Result<T>,
) -> Result<T, Fault> {
    if record.is_null() {
        return Err(Fault::argument("the record is NULL"));
    }
    let producer = handle::get(producer.cast_const())?;
    // SAFETY: the caller's promise is the same; an array of one is one.
    let lent = unsafe { Lent::one(record)? };
    Ok(send(&producer, &lent.record())?)
}

/// Sends many records that C describes.
///
/// # Safety
/// `records` must be NULL or point to `count` records whose own pointers are valid.
unsafe fn with_many<T>(
    producer: *mut karafka_producer_t,
    records: *const karafka_record_t,
    count: usize,
    send: impl FnOnce(&Producer, &[Record<'_>]) -> runtime::Result<T>,
) -> Result<T, Fault> {
    let producer = handle::get(producer.cast_const())?;
    // SAFETY: the caller's promise is the same.
    let lent = unsafe { Lent::many(records, count)? };
    let records: Vec<_> = lent.iter().map(Lent::record).collect();
    Ok(send(&producer, &records)?)
}

/// The thread of callbacks would wait for itself.
pub(crate) fn refuse_in_delivery(operation: &'static str) -> Result<(), Fault> {
    if inside() == Inside::Delivery {
        return Err(Fault::stopped(operation, "this waits for deliveries and cannot be called in a delivery callback"));
    }
    Ok(())
}

/// Makes a producer. Connects in the background.
///
/// @param config The producer's options; NULL for defaults. Read, not kept.
/// @param producer Gets the producer, to be freed by `karafka_producer_free`.
/// Errors: `CONFIG` with every problem of the configuration; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_new(
    config: *const karafka_config_t,
    producer: *mut *mut karafka_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_new", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(producer, "producer")? };
        let config = ProducerConfig::from_settings(&config::settings(config)?)?;
        out.write(handle::open(Producer::new(config)?)?);
        Ok(())
    })
}

/// Makes a producer for the brokers of an app, with its `client_id` and security settings; other options have their defaults. It
/// does not belong to the app: it may be used before the start and after the stop, and is freed by itself.
///
/// @param producer Gets the producer, to be freed by `karafka_producer_free`.
/// Errors: `CONFIG` when a setting is refused; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_producer(
    app: *const karafka_app_t,
    producer: *mut *mut karafka_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_producer", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(producer, "producer")? };
        let config = handle::get(app)?.app.config().producer_config();
        out.write(handle::open(Producer::new(config)?)?);
        Ok(())
    })
}

/// Closes a producer as `karafka_producer_close` does, and frees it. Takes NULL. Inside a delivery callback it returns at once
/// and closes the producer meanwhile. In a forked child it frees nothing.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_producer_free(producer: *mut karafka_producer_t) {
    const FUNCTION: &str = "karafka_producer_free";
    let Ok(object) = handle::get(producer.cast_const()) else {
        // NULL, misused, or the parent's.
        handle::free(FUNCTION, producer);
        return;
    };
    infallible(FUNCTION, (), || {
        handle::close(producer)?;
        let close = move || {
            if let Err(error) = object.close() {
                report(FUNCTION, &Fault::Core(error));
            }
        };
        if inside() == Inside::Delivery {
            // The thread of callbacks cannot wait for what only it can do.
            let closing = thread::Builder::new().name("karafka-close".to_owned()).spawn(close);
            closing.map_err(|_| Fault::stopped("close a producer", "the system gave no thread for it"))?;
        } else {
            close();
        }
        Ok(())
    });
}

/// Sends a record and returns at once, with a handle that tells later what became of it. When the local queue is full, waits
/// for room until `queue_full_timeout`.
///
/// @param delivery Gets the delivery, to be freed by `karafka_delivery_free`. May be NULL: then nobody is told when the record
///   is given up.
/// Errors: `QUEUE_FULL` (retriable) when there was no room in time; `CONFIG` for a record that can never be sent; `STOPPED` after
/// closing; `FENCED` and other fatal errors; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_produce_async(
    producer: *mut karafka_producer_t,
    record: *const karafka_record_t,
    delivery: *mut *mut karafka_delivery_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_produce_async", || {
        // SAFETY: the header asks for a valid record and NULL or a valid place.
        let (out, sent) =
            unsafe { (Out::optional(delivery, "delivery")?, send(producer, record, Producer::produce_async)?) };
        if out.is_wanted() {
            out.write(handle::open(sent)?);
        }
        Ok(())
    })
}

/// Sends a record and returns at once; `callback` is told what became of it. Otherwise as `karafka_producer_produce_async`.
///
/// @param callback See `karafka_delivery_callback_t`. Called once, or never when this call fails.
/// @param user_data Handed to the callback. Belongs to the library from now on, also when this call fails.
/// @param destructor Frees `user_data`, once, after the callback; may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_produce_with_callback(
    producer: *mut karafka_producer_t,
    record: *const karafka_record_t,
    callback: karafka_delivery_callback_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    const FUNCTION: &str = "karafka_producer_produce_with_callback";
    fallible(FUNCTION, || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(callback) = callback else { return Err(Fault::argument("the callback is NULL")) };
        let on_delivery = Box::new(move |outcome: runtime::Result<DeliveryReport>| {
            // Taken as a whole, so that the destructor runs after the call.
            let user = user;
            match outcome {
                Ok(report) => {
                    let report = c_report(report);
                    // SAFETY: the header asks for a function that may be called with these arguments on a thread of the producer's.
                    enter(Inside::Delivery, || unsafe { callback(ptr::null(), &raw const report, user.data()) });
                }
                Err(failure) => {
                    let error = error::open(FUNCTION, &Fault::Core(failure));
                    // SAFETY: as above.
                    enter(Inside::Delivery, || unsafe { callback(error, ptr::null(), user.data()) });
                    // A program that freed it all the same has freed what is not there any more.
                    let _ = handle::close(error);
                }
            }
        });
        // SAFETY: the header asks for a valid record.
        unsafe { send(producer, record, |producer, record| producer.produce_with(record, on_delivery).map(drop)) }
    })
}

/// Sends a record and waits until it was acknowledged, at most `delivery_timeout`. Blocks.
///
/// @param report Gets where the record was appended. May be NULL.
/// Errors: as `karafka_producer_produce_async` and `karafka_delivery_wait`; `STOPPED` inside a delivery callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_produce_sync(
    producer: *mut karafka_producer_t,
    record: *const karafka_record_t,
    report: *mut karafka_delivery_report_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_produce_sync", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(report, "report")? };
        refuse_in_delivery("produce")?;
        // SAFETY: the header asks for a valid record.
        out.write(c_report(unsafe { send(producer, record, Producer::produce_sync)? }));
        Ok(())
    })
}

/// Sends many records, in order, and returns at once with a handle for each.
///
/// @param records An array of `count` records.
/// @param deliveries An array with room for `count` deliveries, each to be freed by `karafka_delivery_free`. May be NULL.
/// Errors: as `karafka_producer_produce_async`, for the first record that was not sent: those before it are on their way all
/// the same, and `deliveries` is not written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_produce_many_async(
    producer: *mut karafka_producer_t,
    records: *const karafka_record_t,
    count: usize,
    deliveries: *mut *mut karafka_delivery_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_produce_many_async", || {
        // SAFETY: the header asks for valid arrays.
        let sent = unsafe { with_many(producer, records, count, Producer::produce_many_async)? };
        if deliveries.is_null() {
            return Ok(());
        }
        let handles = sent.iter().map(handle::open).collect::<Result<Vec<*mut karafka_delivery_t>, _>>()?;
        // SAFETY: the header asks for room for all of them.
        unsafe { ptr::copy_nonoverlapping(handles.as_ptr(), deliveries, handles.len()) };
        Ok(())
    })
}

/// Sends many records, in order, and waits until all were acknowledged, at most `delivery_timeout`. Blocks.
///
/// @param records An array of `count` records.
/// @param reports An array with room for `count` reports, in the order of the records. May be NULL.
/// Errors: as `karafka_producer_produce_sync`, for the first record that failed; `reports` is not written then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_produce_many_sync(
    producer: *mut karafka_producer_t,
    records: *const karafka_record_t,
    count: usize,
    reports: *mut karafka_delivery_report_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_produce_many_sync", || {
        refuse_in_delivery("produce")?;
        // SAFETY: the header asks for valid arrays.
        let delivered = unsafe { with_many(producer, records, count, Producer::produce_many_sync)? };
        if !reports.is_null() {
            let delivered: Vec<_> = delivered.into_iter().map(c_report).collect();
            // SAFETY: the header asks for room for all of them.
            unsafe { ptr::copy_nonoverlapping(delivered.as_ptr(), reports, delivered.len()) };
        }
        Ok(())
    })
}

/// Waits until nothing is on its way any more. Blocks. Records that linger are sent at once.
///
/// @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
/// @param remaining Gets how many records are still on their way. May be NULL.
/// Errors: `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`. Records that were given up are no error here: their
/// deliveries tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_flush(
    producer: *mut karafka_producer_t,
    timeout_ms: i64,
    remaining: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_flush", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(remaining, "remaining")? };
        let timeout = long_patience(timeout_ms)?;
        refuse_in_delivery("flush")?;
        out.write(handle::get(producer.cast_const())?.flush(timeout)?);
        Ok(())
    })
}

/// How many records are on their way.
///
/// Returns: 0 for a value that is no producer.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_producer_in_flight(producer: *const karafka_producer_t) -> usize {
    infallible("karafka_producer_in_flight", 0, || Ok(handle::get(producer)?.in_flight()))
}

/// Waits for what is on its way until `close_timeout`, gives the rest up (each delivery is told), and ends the producer; the
/// handle stays to be freed. Blocks. Closing twice is no error.
///
/// Errors: `TIMEOUT` when records were given up; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_producer_close(producer: *mut karafka_producer_t) -> *mut karafka_error_t {
    fallible("karafka_producer_close", || {
        refuse_in_delivery("close a producer")?;
        Ok(handle::get(producer.cast_const())?.close()?)
    })
}

/// Waits until the record was acknowledged or given up. Blocks. May be called again, and by several threads.
///
/// @param timeout_ms Milliseconds; -1 for no limit (the record is given up after `delivery_timeout` in any case), 0 to only look.
/// @param report Gets where the record was appended. May be NULL.
/// Errors: `TIMEOUT` (retriable) when neither happened in time, the record may still be delivered; else why it was given up.
/// `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_delivery_wait(
    delivery: *mut karafka_delivery_t,
    timeout_ms: i64,
    report: *mut karafka_delivery_report_t,
) -> *mut karafka_error_t {
    fallible("karafka_delivery_wait", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(report, "report")? };
        let timeout = long_patience(timeout_ms)?;
        refuse_in_delivery("wait for a delivery")?;
        out.write(c_report(handle::get(delivery.cast_const())?.wait(timeout)?));
        Ok(())
    })
}

/// Frees a delivery. Takes NULL. The record goes its way all the same.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_delivery_free(delivery: *mut karafka_delivery_t) {
    handle::free("karafka_delivery_free", delivery);
}
