//! Topics of an app and the functions that serve them.
//!
//! Owns `karafka_topic_t`. Called on any thread before the app's start.

use crate::app::karafka_app_t;
use crate::boundary::fallible;
use crate::config::{self, karafka_config_t};
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::{
    Route, karafka_destructor_t, karafka_filter_t, karafka_handler_t, karafka_hook_t, karafka_partitioner_t,
};
use crate::text::{Out, UserData, text};
use crate::verdict::{Strategy, karafka_strategy_t};
use runtime::{App, Hook, Phase, SeatKind, TopicConfig};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A topic of an app. Belongs to the app and is freed with it.
pub struct karafka_topic_t(());

handle!(karafka_topic_t, Topic, TopicObject);

pub(crate) struct TopicObject {
    app: App,
    route: Arc<Route>,
    number: usize,
}

struct Arguments {
    app: *mut karafka_app_t,
    name: *const c_char,
    name_length: usize,
    config: *const karafka_config_t,
    handler: karafka_handler_t,
    topic: *mut *mut karafka_topic_t,
}

/// # Safety
/// As the header asks of `karafka_app_topic`.
unsafe fn add(arguments: &Arguments, seats: SeatKind, user: UserData) -> Result<(), Fault> {
    // SAFETY: the caller's promise is the same.
    let (out, name) = unsafe {
        let out = Out::optional(arguments.topic, "topic")?;
        (out, text(arguments.name, arguments.name_length, "the topic's name")?)
    };
    let Some(handler) = arguments.handler else { return Err(Fault::argument("the handler is NULL")) };
    let app = handle::get(arguments.app.cast_const())?;
    let config = TopicConfig::from_settings(&config::settings(arguments.config)?);
    let config = config.map_err(|error| error.with("topic", name))?;
    let route = Arc::new(Route::new(handler, user));
    let open = |route, number| handle::open(TopicObject { app: app.app.clone(), route, number });
    out.write(app.add_topic(name, config, seats, route, open)?);
    Ok(())
}

/// Registers a topic and the handler of its messages, before the app is started.
///
/// @param name The topic's name or, with "^" before it, a pattern of names. UTF-8.
/// @param config The topic's options; NULL for defaults. Read, not kept.
/// @param handler Called on the app's worker threads; see `karafka_handler_t`.
/// @param user_data Handed to the handler. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// @param topic Gets the topic, which belongs to the app. May be NULL.
/// Errors: `CONFIG` with every problem of name and options, or when the group reads the topic already; `STOPPED` once the app
/// was started; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_topic(
    app: *mut karafka_app_t,
    name: *const c_char,
    name_length: usize,
    config: *const karafka_config_t,
    handler: karafka_handler_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
    topic: *mut *mut karafka_topic_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_topic", || {
        let arguments = Arguments { app, name, name_length, config, handler, topic };
        // SAFETY: the header asks for what both functions need.
        unsafe { add(&arguments, SeatKind::Thread, UserData::new(user_data, destructor)) }
    })
}

/// Registers a topic whose handler takes a completion and returns at once, such as one that hands its messages to an event
/// loop. All its calls come on one thread, one after another, and up to `async_concurrency` jobs are open at once; no thread waits
/// for them. Otherwise as `karafka_app_topic`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_topic_asynchronous(
    app: *mut karafka_app_t,
    name: *const c_char,
    name_length: usize,
    config: *const karafka_config_t,
    handler: karafka_handler_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
    topic: *mut *mut karafka_topic_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_topic_asynchronous", || {
        let arguments = Arguments { app, name, name_length, config, handler, topic };
        // SAFETY: the header asks for what both functions need.
        unsafe { add(&arguments, SeatKind::Slot, UserData::new(user_data, destructor)) }
    })
}

/// Gives a topic the function that says what no two messages may have in common that are handled at the same time in this
/// process, over all topics, before the app is started: for topics with `unique_by` set to "callback".
///
/// @param unique_by Called on the app's worker threads with what a partitioner gets; what it writes as the key is the value. An
///   empty one does not limit the message. When it fails, no two of the fetched messages are handled at once, and an event
///   reports it.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is one already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_unique_by(
    topic: *mut karafka_topic_t,
    unique_by: karafka_partitioner_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_unique_by", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(unique_by) = unique_by else { return Err(Fault::argument("the function is NULL")) };
        let topic = handle::get(topic.cast_const())?;
        if topic.app.phase() != Phase::Initialized {
            let message = "the app was started already; give topics their functions before";
            return Err(Fault::stopped("set what is unique", message));
        }
        if topic.route.set_unique_by(unique_by, user) {
            Ok(())
        } else {
            Err(Fault::argument("the topic has such a function already"))
        }
    })
}

/// Gives a topic its partitioner, before the app is started: for topics with `virtual_partitions` set to "callback".
///
/// @param partitioner Called on the app's worker threads; see `karafka_partitioner_t`.
/// @param user_data Handed to the partitioner. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a partitioner already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_partitioner(
    topic: *mut karafka_topic_t,
    partitioner: karafka_partitioner_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_partitioner", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(partitioner) = partitioner else { return Err(Fault::argument("the partitioner is NULL")) };
        let topic = handle::get(topic.cast_const())?;
        if topic.app.phase() != Phase::Initialized {
            let message = "the app was started already; give topics their partitioners before";
            return Err(Fault::stopped("set a partitioner", message));
        }
        if topic.route.set_partitioner(partitioner, user) {
            Ok(())
        } else {
            Err(Fault::argument("the topic has a partitioner already"))
        }
    })
}

/// Gives a topic its strategy, before the app is started: for topics with `dead_letter_queue_strategy` set to true.
///
/// @param strategy Called on the app's worker threads; see `karafka_strategy_t`.
/// @param user_data Handed to the strategy. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a strategy already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_strategy(
    topic: *mut karafka_topic_t,
    strategy: karafka_strategy_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_strategy", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(strategy) = strategy else { return Err(Fault::argument("the strategy is NULL")) };
        let topic = handle::get(topic.cast_const())?;
        if topic.app.phase() != Phase::Initialized {
            let message = "the app was started already; give topics their strategies before";
            return Err(Fault::stopped("set a strategy", message));
        }
        if topic.route.strategy.set(Strategy::new(strategy, user)).is_ok() {
            Ok(())
        } else {
            Err(Fault::argument("the topic has a strategy already"))
        }
    })
}

/// Gives a topic its filter, before the app is started: for topics with `filter` set to "true".
///
/// @param filter Called on the app's worker threads; see `karafka_filter_t`.
/// @param user_data Handed to the filter. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a filter already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_filter(
    topic: *mut karafka_topic_t,
    filter: karafka_filter_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_filter", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(filter) = filter else { return Err(Fault::argument("the filter is NULL")) };
        let topic = handle::get(topic.cast_const())?;
        if topic.app.phase() != Phase::Initialized {
            return Err(Fault::stopped(
                "set a filter",
                "the app was started already; give topics their filters before",
            ));
        }
        if topic.route.set_filter(filter, user) {
            Ok(())
        } else {
            Err(Fault::argument("the topic has a filter already"))
        }
    })
}

fn set_hook(topic: *mut karafka_topic_t, hook: Hook, function: karafka_hook_t, user: UserData) -> Result<(), Fault> {
    let Some(function) = function else { return Err(Fault::argument("the hook is NULL")) };
    let topic = handle::get(topic.cast_const())?;
    if topic.app.phase() != Phase::Initialized {
        return Err(Fault::stopped("set a hook", "the app was started already; give topics their hooks before"));
    }
    let Some(hooks) = topic.route.set_hook(hook, function, user) else {
        return Err(Fault::argument(format!("the topic has a hook {} already", hook.name())));
    };
    Ok(topic.app.set_hooks(topic.number, &hooks)?)
}

/// Gives a topic with `periodic` its hook for ticks, before the app is started: called when nothing happened for
/// `periodic_interval`, also when there never was a message.
///
/// @param function Called on the app's worker threads; see `karafka_hook_t`.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_tick(
    topic: *mut karafka_topic_t,
    function: karafka_hook_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_tick", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        set_hook(topic, Hook::Tick, function, unsafe { UserData::new(user_data, destructor) })
    })
}

/// Gives a topic with `eofed` its hook for the end of a partition, before the app is started: called when the end was reached
/// and no messages came along. Else `karafka_context_is_eofed` of their call tells.
///
/// @param function Called on the app's worker threads; see `karafka_hook_t`.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_eofed(
    topic: *mut karafka_topic_t,
    function: karafka_hook_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_eofed", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        set_hook(topic, Hook::Eofed, function, unsafe { UserData::new(user_data, destructor) })
    })
}

/// Gives a topic its hook for revocations, before the app is started: called once for each consumer that had messages or a tick
/// when its partition goes to another member, after the running calls, so that what is marked there still counts. For a
/// partition that was lost, `karafka_context_is_revoked` is true then, and nothing counts. Topics with
/// `long_running_job` are called at once, beside their running calls.
///
/// @param function Called on the app's worker threads; see `karafka_hook_t`.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_revoked(
    topic: *mut karafka_topic_t,
    function: karafka_hook_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_revoked", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        set_hook(topic, Hook::Revoked, function, unsafe { UserData::new(user_data, destructor) })
    })
}

/// Gives a topic its hook for the app's stop, before the app is started: called once for each consumer that had messages or a
/// tick, after the running calls, in the place of the hook for revocations. What is marked there still counts.
///
/// @param function Called on the app's worker threads; see `karafka_hook_t`.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_topic_set_shutdown(
    topic: *mut karafka_topic_t,
    function: karafka_hook_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_topic_set_shutdown", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        set_hook(topic, Hook::Shutdown, function, unsafe { UserData::new(user_data, destructor) })
    })
}
