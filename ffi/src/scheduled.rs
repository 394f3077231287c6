//! Scheduled messages from C.
//!
//! Owns the struct of their ids. Called on any thread; what waits for an acknowledgement is refused in delivery callbacks.

use crate::app::karafka_app_t;
use crate::boundary::fallible;
use crate::config::{self, karafka_config_t};
use crate::error::{Fault, karafka_error_t};
use crate::handle;
use crate::producer::{karafka_producer_t, refuse_in_delivery};
use crate::record::{Lent, karafka_record_t};
use crate::text::{Out, text};
use runtime::ScheduledMessagesConfig;
use std::ffi::c_char;

/// The id of a scheduled message. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct karafka_schedule_id_t {
    /// The id, in ASCII; ends with NUL.
    pub text: [c_char; 64],
}

/// Sends the messages of a topic of scheduled messages on when their time has come, before the app is started. The start checks
/// that the topic is there and compacted.
///
/// @param topic The topic's name. UTF-8.
/// @param config The options `interval`, how often is looked for what is due (1s), and `group`, the consumer group (the app's).
///   NULL for defaults. Read, not kept.
/// Errors: `CONFIG` for name and options, or when the group reads the topic already; `STOPPED` once the app was started;
/// `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_scheduled_messages(
    app: *mut karafka_app_t,
    topic: *const c_char,
    topic_length: usize,
    config: *const karafka_config_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_scheduled_messages", || {
        // SAFETY: the header asks for a valid name.
        let topic = unsafe { text(topic, topic_length, "the topic's name")? };
        let app = handle::get(app.cast_const())?;
        let config = ScheduledMessagesConfig::from_settings(&config::settings(config)?)?;
        Ok(app.app.scheduled_messages(topic, config)?)
    })
}

/// Has a record produced at a time: puts it into `topic`, from which an app with `karafka_app_scheduled_messages` sends it on. Waits
/// until it is acknowledged.
///
/// @param topic The topic in which the message waits. UTF-8.
/// @param record The message, with the topic that it goes to. Copied.
/// @param at_ms When: milliseconds since 1970-01-01 UTC. A time that has passed means at once.
/// @param id Gets the message's id, by which it can be cancelled. May be NULL.
/// Errors: `CONFIG` for a time that is none, or a record that can never be sent; `BROKER` when `topic` is not there; else as
/// `karafka_producer_produce_sync`. When the acknowledgement is what failed, the message may wait all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_schedule(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    record: *const karafka_record_t,
    at_ms: i64,
    id: *mut karafka_schedule_id_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_schedule", || {
        refuse_in_delivery("schedule a message")?;
        if record.is_null() {
            return Err(Fault::argument("the record is NULL"));
        }
        // SAFETY: the header asks for a valid name and record, and for NULL or a valid place.
        let (topic, record, out) =
            unsafe { (text(topic, topic_length, "the topic's name")?, Lent::one(record)?, Out::optional(id, "id")?) };
        let producer = handle::get(producer.cast_const())?;
        let given = producer.schedule(topic, &record.record(), at_ms)?;
        let mut id = karafka_schedule_id_t { text: [0; 64] };
        // The last place stays NUL.
        for (place, letter) in id.text.iter_mut().take(63).zip(given.bytes()) {
            *place = letter as c_char;
        }
        out.write(id);
        Ok(())
    })
}

/// Takes a scheduled message back, and waits until that is acknowledged. When it is before the message's time, by the clock of the
/// app that would send it, the message is not sent; one that was sent or cancelled already is no error.
///
/// @param topic The topic in which the message waits. UTF-8.
/// @param id Its id. UTF-8.
/// Errors: `CONFIG` for an id that `karafka_producer_schedule` has not given; else as `karafka_producer_produce_sync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_cancel(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    id: *const c_char,
    id_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_cancel", || {
        refuse_in_delivery("cancel a scheduled message")?;
        // SAFETY: the header asks for valid texts.
        let (topic, id) = unsafe { (text(topic, topic_length, "the topic's name")?, text(id, id_length, "the id")?) };
        Ok(handle::get(producer.cast_const())?.cancel(topic, id)?)
    })
}
