//! What happens in an app, read by C when it likes.
//!
//! Owns `karafka_events_t`, a subscription, and `karafka_event_t`. The core's queue is bounded, so a program that reads
//! slowly loses events and is told how many; nothing else suffers. Called on any thread.

use crate::app::karafka_app_t;
use crate::boundary::{fallible, infallible};
use crate::error::{Fault, c_text, karafka_error_t};
use crate::handle::{self, handle};
use crate::text::{Out, long_patience, text};
use runtime::{Event, Events, NoEvent};
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

/// A subscription to what happens in an app.
///
/// Owned by whoever made it, freed by `karafka_events_free`, before or after the app. May be read on any thread.
pub struct karafka_events_t(());

/// One event: a dotted name, and fields of text.
///
/// Owned by whoever got it, freed by `karafka_event_free`. May be read on any thread.
pub struct karafka_event_t(());

handle!(karafka_events_t, Events, Events);
handle!(karafka_event_t, Event, EventObject);

pub(crate) struct EventObject {
    name: CString,
    text: CString,
    fields: Vec<(CString, CString)>,
}

impl EventObject {
    fn new(event: &Event) -> Self {
        let fields = event.fields().into_iter().map(|(name, value)| (c_text(name), c_text(&value.to_string())));
        Self { name: c_text(event.name()), text: c_text(&event.to_string()), fields: fields.collect() }
    }
}

/// Subscribes to an app's events from now on; before the start, to miss none.
///
/// Without any subscription, errors and warnings go to the standard error stream.
///
/// @param events Gets the subscription, to be freed by `karafka_events_free`.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_events(
    app: *mut karafka_app_t,
    events: *mut *mut karafka_events_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_events", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(events, "events")? };
        let subscription = handle::get(app.cast_const())?.app.events();
        out.write(handle::open(subscription)?);
        Ok(())
    })
}

/// Subscribes to these events only, from now on: those of single calls of handlers (`consumer.consumed`) are told to nobody
/// else.
///
/// @param names Names of docs/events.md, separated by commas or spaces; `rebalance.*` stands for all that begin so, `*` for
///   all. Empty is `karafka_app_events`.
/// @param events Gets the subscription, to be freed by `karafka_events_free`.
/// Errors: `CONFIG` for a name that no event has; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_events_of(
    app: *mut karafka_app_t,
    names: *const c_char,
    names_length: usize,
    events: *mut *mut karafka_events_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_events_of", || {
        // SAFETY: the header asks for NULL or a valid place, and for a pointer with its length.
        let (out, names) = unsafe { (Out::required(events, "events")?, text(names, names_length, "the names")?) };
        let names: Vec<&str> = names.split([',', ' ']).filter(|name| !name.is_empty()).collect();
        let app = &handle::get(app.cast_const())?.app;
        let subscription = if names.is_empty() { app.events() } else { app.events_of(&names)? };
        out.write(handle::open(subscription)?);
        Ok(())
    })
}

/// Tells how an app does now, as a `statistics.emitted` event: gauges of the app, and the calls that run; of clients, brokers
/// and lags only where `statistics_interval` is set or somebody subscribed to that event before the start.
///
/// @param timeout_ms Milliseconds to wait for the answer, which takes microseconds unless the machine is very busy.
/// @param event Gets the event, to be freed by `karafka_event_free`. Its fields `calls` and `clients` are JSON.
/// Errors: `STOPPED` unless the app runs; `TIMEOUT`; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_statistics(
    app: *mut karafka_app_t,
    timeout_ms: i64,
    event: *mut *mut karafka_event_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_statistics", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(event, "event")? };
        let timeout = long_patience(timeout_ms)?;
        let app = handle::get(app.cast_const())?.app.clone();
        let statistics = Event::Statistics(Arc::new(app.statistics(timeout)?));
        out.write(handle::open(EventObject::new(&statistics))?);
        Ok(())
    })
}

/// Waits for the next event. Blocks.
///
/// @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
/// @param event Gets the event, to be freed by `karafka_event_free`, or NULL when none came in time.
/// Errors: `STOPPED` when the app has stopped and every event was read; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_events_next(
    events: *mut karafka_events_t,
    timeout_ms: i64,
    event: *mut *mut karafka_event_t,
) -> *mut karafka_error_t {
    fallible("karafka_events_next", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(event, "event")? };
        let timeout = long_patience(timeout_ms)?;
        let subscription = handle::get(events.cast_const())?;
        match subscription.next(timeout) {
            Ok(event) => out.write(handle::open(EventObject::new(&event))?),
            Err(NoEvent::Timeout) => {
                if let Err(fault) = handle::get(events.cast_const()) {
                    // Freed while this waited: whoever else waits is told, too.
                    subscription.interrupter().interrupt();
                    return Err(fault);
                }
                out.write(ptr::null_mut());
            }
            Err(NoEvent::Ended) => return Err(Fault::stopped("wait for an event", "the app has stopped")),
        }
        Ok(())
    })
}

/// Ends a subscription. Takes NULL. A `karafka_events_next` that waits on another thread ends with `KARAFKA_ERROR_ARGUMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_events_free(events: *mut karafka_events_t) {
    let waiting = handle::get(events.cast_const());
    handle::free("karafka_events_free", events);
    if let Ok(subscription) = waiting {
        subscription.interrupter().interrupt();
    }
}

/// The event's dotted name, such as "rebalance.partitions_assigned": the same in every language.
///
/// Returns: text that ends with NUL and lives as long as the event; NULL for a value that is no event.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_name(event: *const karafka_event_t) -> *const c_char {
    infallible("karafka_event_name", ptr::null(), || Ok(handle::get(event)?.name.as_ptr()))
}

/// The whole event on one line, for logs: its name, then its fields.
///
/// Returns: text that ends with NUL and lives as long as the event; NULL for a value that is no event.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_text(event: *const karafka_event_t) -> *const c_char {
    infallible("karafka_event_text", ptr::null(), || Ok(handle::get(event)?.text.as_ptr()))
}

/// A field of the event by its name, such as "topic", as text. Partitions are `orders/0 orders/1`, lists and maps are JSON.
///
/// Returns: text that ends with NUL and lives as long as the event; NULL when the event has no such field.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_event_field(
    event: *const karafka_event_t,
    name: *const c_char,
    name_length: usize,
) -> *const c_char {
    infallible("karafka_event_field", ptr::null(), || {
        // SAFETY: the header asks for a pointer with its length.
        let name = unsafe { text(name, name_length, "the field's name")? };
        let event = handle::get(event)?;
        let found = event.fields.iter().find(|(known, _)| known.to_bytes() == name.as_bytes());
        Ok(found.map_or(ptr::null(), |(_, value)| value.as_ptr()))
    })
}

/// How many fields the event has.
///
/// Returns: 0 for a value that is no event.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_field_count(event: *const karafka_event_t) -> usize {
    infallible("karafka_event_field_count", 0, || Ok(handle::get(event)?.fields.len()))
}

/// The name of a field by its index, from 0.
///
/// Returns: text that ends with NUL and lives as long as the event; NULL for an index beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_field_name(event: *const karafka_event_t, index: usize) -> *const c_char {
    infallible("karafka_event_field_name", ptr::null(), || {
        Ok(handle::get(event)?.fields.get(index).map_or(ptr::null(), |(name, _)| name.as_ptr()))
    })
}

/// The value of a field by its index, from 0.
///
/// Returns: text that ends with NUL and lives as long as the event; NULL for an index beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_field_value(event: *const karafka_event_t, index: usize) -> *const c_char {
    infallible("karafka_event_field_value", ptr::null(), || {
        Ok(handle::get(event)?.fields.get(index).map_or(ptr::null(), |(_, value)| value.as_ptr()))
    })
}

/// Frees an event and its texts. Takes NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_event_free(event: *mut karafka_event_t) {
    handle::free("karafka_event_free", event);
}
