//! A producer's variants, its topics' partitions, and its events.
//!
//! Called on any thread.

use crate::boundary::fallible;
use crate::config::{self, karafka_config_t};
use crate::error::karafka_error_t;
use crate::event::karafka_events_t;
use crate::handle;
use crate::producer::karafka_producer_t;
use crate::text::{Out, long_patience, text};
use std::ffi::c_char;

/// A producer with other options than this one's: acknowledgements, compression, timeouts. It has connections of its own, is made
/// once for the same options, and closes with this one.
///
/// @param config The options that differ. Read, not kept.
/// @param variant Gets the producer, to be freed by `karafka_producer_free`.
/// Errors: `CONFIG` with every problem of the options; `STOPPED` after closing; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_variant(
    producer: *mut karafka_producer_t,
    config: *const karafka_config_t,
    variant: *mut *mut karafka_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_variant", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(variant, "variant")? };
        let producer = handle::get(producer.cast_const())?;
        out.write(handle::open(producer.variant(&config::settings(config)?)?)?);
        Ok(())
    })
}

/// A new producer with the options and callbacks of this one: for a forked child, where this one refuses to work, or after a fatal
/// error. This one is not touched, and is freed by itself; where callbacks have destructors, both hold them.
///
/// @param reopened Gets the producer, to be freed by `karafka_producer_free`.
/// Errors: `CONFIG` when a setting is refused; `ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_reopen(
    producer: *const karafka_producer_t,
    reopened: *mut *mut karafka_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_reopen", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(reopened, "reopened")? };
        out.write(handle::open(handle::get_inherited(producer)?.reopen()?)?);
        Ok(())
    })
}

/// How many partitions a topic has, asked from a broker; an answer is kept for a minute. Blocks.
///
/// @param topic The topic's name. UTF-8.
/// @param timeout_ms Milliseconds; -1 for no limit.
/// @param count Gets the number.
/// Errors: `BROKER` for a topic that is not there; `TIMEOUT`, `STOPPED`, `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_partitions(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    timeout_ms: i64,
    count: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_partitions", || {
        // SAFETY: the header asks for NULL or a valid place, and for a pointer with its length.
        let (out, topic) = unsafe { (Out::required(count, "count")?, text(topic, topic_length, "the topic's name")?) };
        let timeout = long_patience(timeout_ms)?;
        out.write(handle::get(producer.cast_const())?.partitions(topic, timeout)?);
        Ok(())
    })
}

/// Subscribes to a producer's events from now on. The subscription ends when the producer has closed.
///
/// @param names Names of docs/events.md, separated by commas or spaces; `message.*` stands for all that begin so. Empty for all
///   but those of single records.
/// @param events Gets the subscription, to be freed by `karafka_events_free`.
/// Errors: `CONFIG` for a name that no event has; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_events(
    producer: *mut karafka_producer_t,
    names: *const c_char,
    names_length: usize,
    events: *mut *mut karafka_events_t,
) -> *mut karafka_error_t {
    fallible("karafka_producer_events", || {
        // SAFETY: the header asks for NULL or a valid place, and for a pointer with its length.
        let (out, names) = unsafe { (Out::required(events, "events")?, text(names, names_length, "the names")?) };
        let names: Vec<&str> = names.split([',', ' ']).filter(|name| !name.is_empty()).collect();
        let producer = handle::get(producer.cast_const())?;
        let subscription = if names.is_empty() { producer.subscribe() } else { producer.subscribe_to(&names)? };
        out.write(handle::open(subscription)?);
        Ok(())
    })
}
