//! What a producer asks the program about its records: partitioner and middleware.
//!
//! Owns `karafka_draft_t`. Both are called on the thread that produces, inside the call that does, and hold up nobody else.

use crate::boundary::fallible;
use crate::config::{self, karafka_config_t};
use crate::error::karafka_error_t;
use crate::handle::{self, handle};
use crate::handler::karafka_destructor_t;
use crate::producer::karafka_producer_t;
use crate::record::{karafka_record_t, own, with_c_record};
use crate::text::{Out, UserData};
use runtime::lock::Mutex;
use runtime::{Error, ErrorKind, Middleware, OwnedRecord, Partitioner, Producer, ProducerConfig, ProducerHooks};
use std::ffi::c_void;
use std::sync::Arc;

/// A record that middleware may replace, by `karafka_draft_set`.
///
/// Belongs to the library, and is gone when the middleware returns.
pub struct karafka_draft_t(());

handle!(karafka_draft_t, Draft, Mutex<Option<OwnedRecord>>);

/// Chooses the partition of a record that names none.
///
/// Thread: the one that produces, perhaps several at once. Inside: everything, also producing with another producer. It must not
/// unwind.
///
/// @param record The record, after all middleware. Gone when the callback returns.
/// @param partition_count How many partitions the topic has; asked from a broker at most once a minute.
/// @param user_data As given with the callback.
/// @return A partition below the count; -1 to leave the choice to the record's partition key and key.
pub type karafka_producer_partitioner_t = Option<
    unsafe extern "C" fn(record: *const karafka_record_t, partition_count: usize, user_data: *mut c_void) -> i32,
>;

/// Changes or refuses a record before it is looked at and sent.
///
/// Thread and what may be called inside: as for `karafka_producer_partitioner_t`.
///
/// @param record The record as it is. Gone when the callback returns.
/// @param draft Takes a record in its place, by `karafka_draft_set`.
/// @param user_data As given with the callback.
/// @return True to go on; false refuses the record: the call that produces returns `KARAFKA_ERROR_HANDLER`.
pub type karafka_producer_middleware_t = Option<
    unsafe extern "C" fn(record: *const karafka_record_t, draft: *mut karafka_draft_t, user_data: *mut c_void) -> bool,
>;

/// Makes a producer that asks the program about its records, or one for tests. Otherwise as `karafka_producer_new`.
///
/// @param testing_partitions 0 for a producer that sends. Else nothing is sent: the producer keeps its records
///   (`karafka_producer_recorded`) and acknowledges them at once; every topic has so many partitions.
/// @param partitioner See `karafka_producer_partitioner_t`; NULL for none.
/// @param partitioner_data Handed to the partitioner. Belongs to the library from now on, also when this call fails.
/// @param partitioner_destructor Frees it, once, after the last call; may be NULL.
/// @param middleware See `karafka_producer_middleware_t`; NULL for none.
/// @param middleware_data Handed to the middleware, and owned as the partitioner's.
/// @param middleware_destructor Frees it; may be NULL.
/// Errors: as `karafka_producer_new`.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "two callbacks with their data")]
pub unsafe extern "C" fn karafka_producer_new_with(
    config: *const karafka_config_t,
    testing_partitions: u32,
    partitioner: karafka_producer_partitioner_t,
    partitioner_data: *mut c_void,
    partitioner_destructor: karafka_destructor_t,
    middleware: karafka_producer_middleware_t,
    middleware_data: *mut c_void,
    middleware_destructor: karafka_destructor_t,
    producer: *mut *mut karafka_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_new_with", || {
        // SAFETY: the header asks for destructors that may be called with their data once.
        let (partitioner_data, middleware_data) = unsafe {
            (
                UserData::new(partitioner_data, partitioner_destructor),
                UserData::new(middleware_data, middleware_destructor),
            )
        };
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(producer, "producer")? };
        let config = ProducerConfig::from_settings(&config::settings(config)?)?;
        let partitioner = partitioner.map(|callback| -> Partitioner {
            let user = partitioner_data;
            Arc::new(move |record, count| {
                let user = &user;
                // SAFETY: the header asks for a function that may be called with these arguments on any thread.
                let chosen = with_c_record(record, |record| unsafe { callback(record, count, user.data()) });
                Ok((chosen != -1).then_some(chosen))
            })
        });
        let middleware = middleware.map(|callback| -> Middleware {
            let user = middleware_data;
            Arc::new(move |record: &mut OwnedRecord| {
                let user = &user;
                let ask = |draft| {
                    // SAFETY: as above.
                    record
                        .lend(|record| with_c_record(record, |record| unsafe { callback(record, draft, user.data()) }))
                };
                if let Some(changed) = drafted(ask)? {
                    *record = changed;
                }
                Ok(())
            })
        });
        let hooks = ProducerHooks { partitioner, middleware: middleware.into_iter().collect() };
        let made = match testing_partitions {
            0 => Producer::with_hooks(config, hooks)?,
            partitions => Producer::recording(config, hooks, partitions as usize)?,
        };
        out.write(handle::open(made)?);
        Ok(())
    })
}

/// Calls middleware with a draft, and returns what it put there.
fn drafted(ask: impl FnOnce(*mut karafka_draft_t) -> bool) -> runtime::Result<Option<OwnedRecord>> {
    let refused = |message: &str| Error::new(ErrorKind::Handler, "produce", message);
    let opened = handle::open_pinned::<karafka_draft_t>(Mutex::new(None));
    let Ok((draft, pinned)) = opened else { return Err(refused("there is no room for a draft")) };
    let goes_on = ask(draft);
    // A program that freed nothing has left it open; no function of the program's closes it.
    let _ = handle::close(draft.cast_const());
    if goes_on { Ok(pinned.lock().take()) } else { Err(refused("the middleware refused the record")) }
}

/// Puts a record in the place of the one that middleware was called with. Copies it.
///
/// @param draft As given to the middleware.
/// @param record The record; may point into the one that the middleware was called with.
/// Errors: `ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_draft_set(
    draft: *mut karafka_draft_t,
    record: *const karafka_record_t,
) -> *mut karafka_error_t {
    fallible("karafka_draft_set", || {
        let draft = handle::get(draft.cast_const())?;
        // SAFETY: the header asks for a valid record.
        let record = unsafe { own(record)? };
        *draft.lock() = Some(record);
        Ok(())
    })
}
