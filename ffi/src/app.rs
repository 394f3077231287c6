//! Apps: configured, given topics, started and stopped from C.
//!
//! Owns `karafka_app_t`. Its functions are called on any thread; those that wait are refused inside callbacks, where the
//! thread that they would wait for is the caller's own.

use crate::boundary::{fallible, infallible, report};
use crate::config::{self, karafka_config_t};
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::{Inside, Route, inside, serve};
use crate::text::{Out, long_patience, patience};
use crate::topic::karafka_topic_t;
use runtime::lock::Mutex;
use runtime::{App, AppConfig, Error, ErrorKind, Phase, SeatKind, TopicConfig, Work};
use std::sync::Arc;

/// An app: topics with handlers, and the threads that serve them.
///
/// Owned by whoever made it, freed by `karafka_app_free`. May be used on any thread.
pub struct karafka_app_t(());

handle!(karafka_app_t, App, AppObject);

/// Where an app is in its life.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum karafka_phase_t {
    /// Configured, nothing started.
    KARAFKA_PHASE_INITIALIZED = 0,
    /// Polling and handling.
    KARAFKA_PHASE_RUNNING = 1,
    /// No new calls of handlers; some still run.
    KARAFKA_PHASE_QUIETING = 2,
    /// No handler runs; partitions are kept; `karafka_app_resume` goes on.
    KARAFKA_PHASE_QUIET = 3,
    /// Ending: handlers finish, offsets are committed, the groups are left.
    KARAFKA_PHASE_STOPPING = 4,
    /// Ended. An app does not start again.
    KARAFKA_PHASE_STOPPED = 5,
}

/// For `karafka_app_run`: SIGTERM, SIGINT and SIGQUIT stop the app, a second one ends the wait for running handlers; SIGTSTP has
/// it quiet, SIGCONT goes on; SIGTTIN writes what every worker does to the standard error stream.
pub const KARAFKA_RUN_WITH_SIGNALS: u32 = 1;

pub(crate) struct AppObject {
    pub(crate) app: App,
    topics: Mutex<Vec<Topic>>,
}

struct Topic {
    name: String,
    route: Arc<Route>,
    config: TopicConfig,
    handle: usize,
}

impl AppObject {
    /// Registers a topic and makes its handle with `open`.
    pub(crate) fn add_topic(
        &self,
        name: &str,
        config: TopicConfig,
        seats: SeatKind,
        route: Arc<Route>,
        open: impl FnOnce(Arc<Route>, usize) -> Result<*mut karafka_topic_t, Fault>,
    ) -> Result<*mut karafka_topic_t, Fault> {
        let asked = config.clone();
        // Held until both lists have the topic: its number is its place in either.
        let mut topics = self.topics.lock();
        let topic = open(Arc::clone(&route), topics.len())?;
        if let Err(error) = self.app.add_topic(name, config, Work::Host, seats) {
            handle::close(topic)?;
            return Err(error.into());
        }
        topics.push(Topic { name: name.to_owned(), route, config: asked, handle: topic.addr() });
        Ok(topic)
    }

    fn start(&self) -> Result<(), Fault> {
        let topics = self.topics.lock();
        let lacking = |topic: &Topic| Some((topic.name.clone(), topic.route.lacks(&topic.config)?));
        if let Some((name, (what, call))) = topics.iter().find_map(lacking) {
            let error = Error::new(ErrorKind::Config, "start", format!("{what}; call {call}")).with("topic", name);
            return Err(error.into());
        }
        let routes: Arc<[Arc<Route>]> = topics.iter().map(|topic| Arc::clone(&topic.route)).collect();
        drop(topics);
        let runner: runtime::SeatRunner = Arc::new(move |seat| serve(seat, &routes));
        Ok(self.app.start_with(&runner)?)
    }

    fn close_topics(&self) {
        for topic in std::mem::take(&mut *self.topics.lock()) {
            let handle = std::ptr::without_provenance_mut::<karafka_topic_t>(topic.handle);
            if let Err(fault) = handle::close(handle) {
                report("karafka_app_free", &fault);
            }
        }
    }
}

/// Waiting for the library's threads on one of them would never end.
pub(crate) fn refuse_inside(operation: &'static str) -> Result<(), Fault> {
    if inside() != Inside::Nothing {
        return Err(Fault::stopped(
            operation,
            "this waits for threads of the library and cannot be called in a callback",
        ));
    }
    Ok(())
}

/// Makes an app. Starts nothing and connects to nothing: a process may fork until the start.
///
/// @param config The app's options; NULL for defaults. Read, not kept.
/// @param app Gets the app, to be freed by `karafka_app_free`.
/// Errors: `CONFIG` with every problem of the configuration; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_new(
    config: *const karafka_config_t,
    app: *mut *mut karafka_app_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_new", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(app, "app")? };
        let config = AppConfig::from_settings(&config::settings(config)?)?;
        out.write(handle::open(AppObject { app: App::new(config)?, topics: Mutex::new(Vec::new()) })?);
        Ok(())
    })
}

/// Frees an app, and its topics with it. Takes NULL.
///
/// One that runs is stopped first, and waited for as by `karafka_app_stop` and `karafka_app_join`: afterwards no handler runs
/// and the destructors have run, unless a handler did not end within `shutdown_timeout`. Inside a callback it only asks for the
/// stop. In a forked child it frees nothing and returns at once.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_free(app: *mut karafka_app_t) {
    let Ok(object) = handle::get(app.cast_const()) else {
        // NULL, misused, or the parent's.
        handle::free("karafka_app_free", app);
        return;
    };
    infallible("karafka_app_free", (), || {
        handle::close(app)?;
        let phase = object.app.phase();
        if phase != Phase::Initialized {
            object.app.stop();
            if inside() == Inside::Nothing
                && let Err(error) = object.app.join(None)
                // What an app ended with before was told then.
                && phase != Phase::Stopped
            {
                report("karafka_app_free", &Fault::Core(error));
            }
        }
        object.close_topics();
        Ok(())
    });
}

/// Starts the app's threads and returns at once. An app starts once.
///
/// Errors: `CONFIG` without a topic, when a setting is refused, or when an option asks for a function that the topic was not
/// given; `STOPPED` when it was started before; `BROKER` for an embedded broker that cannot be started; `ARGUMENT`, `FORKED`.
/// Brokers that cannot be reached are events, not errors here.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_start(app: *mut karafka_app_t) -> *mut karafka_error_t {
    fallible("karafka_app_start", || handle::get(app.cast_const())?.start())
}

/// Starts the app and waits until it has stopped. Blocks.
///
/// @param options 0, or `KARAFKA_RUN_WITH_SIGNALS`, which only one app of a process may use at a time; the former handlers
///   of the signals are put back at the end.
/// Errors: as `karafka_app_start` and `karafka_app_join`; `STOPPED` inside a callback.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_run(app: *mut karafka_app_t, options: u32) -> *mut karafka_error_t {
    fallible("karafka_app_run", || {
        if options & !KARAFKA_RUN_WITH_SIGNALS != 0 {
            return Err(Fault::argument(format!("options {options:#x} are not known")));
        }
        refuse_inside("run")?;
        let object = handle::get(app.cast_const())?;
        let watch = if options & KARAFKA_RUN_WITH_SIGNALS == 0 { None } else { Some(object.app.obey_signals()?) };
        object.start()?;
        // Freeing the app on another thread while it runs here lets it go; the run still ends with it.
        let app = object.app.clone();
        drop(object);
        let outcome = app.join(None);
        drop(watch);
        Ok(outcome.map(|_| ())?)
    })
}

/// Asks the app to stop within its `shutdown_timeout`, and returns at once. Works in any phase, on any thread, in a handler, and
/// more than once.
///
/// Stopping lets running handlers finish, commits what is done, and leaves the groups. An app that was never started is
/// stopped at once.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_stop(app: *mut karafka_app_t) -> *mut karafka_error_t {
    fallible("karafka_app_stop", || {
        handle::get(app.cast_const())?.app.stop();
        Ok(())
    })
}

/// Asks the app to stop within this time, and returns at once. A second call shortens the time.
///
/// @param timeout_ms Milliseconds for running handlers to finish; -1 for no limit.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_stop_within(app: *mut karafka_app_t, timeout_ms: i64) -> *mut karafka_error_t {
    fallible("karafka_app_stop_within", || {
        let timeout = long_patience(timeout_ms)?;
        handle::get(app.cast_const())?.app.stop_within(timeout);
        Ok(())
    })
}

/// Waits until the app has stopped. Blocks. Everybody who asks gets the same answer, also the second time.
///
/// @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
/// @param stopped Gets whether the app has stopped. May be NULL.
/// Errors: what the app ended with: `TIMEOUT` when handlers had to be left behind, or a client's fatal error; `STOPPED`
/// inside a callback, and without a limit for an app that was not started; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_join(
    app: *mut karafka_app_t,
    timeout_ms: i64,
    stopped: *mut bool,
) -> *mut karafka_error_t {
    fallible("karafka_app_join", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(stopped, "stopped")? };
        let timeout = patience(timeout_ms)?;
        refuse_inside("join")?;
        let app = handle::get(app.cast_const())?.app.clone();
        out.write(app.join(timeout)?);
        Ok(())
    })
}

/// Starts no more calls of handlers; those that run go on, and partitions are kept. `karafka_app_resume` undoes it.
///
/// Errors: `STOPPED` unless the app runs; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_quiet(app: *mut karafka_app_t) -> *mut karafka_error_t {
    fallible("karafka_app_quiet", || Ok(handle::get(app.cast_const())?.app.quiet()?))
}

/// Calls handlers again after `karafka_app_quiet`.
///
/// Errors: `STOPPED` unless the app runs; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_resume(app: *mut karafka_app_t) -> *mut karafka_error_t {
    fallible("karafka_app_resume", || Ok(handle::get(app.cast_const())?.app.resume()?))
}

/// Changes how many handlers run at once, also while the app runs. Threads too many end when they are idle.
///
/// @param concurrency 1 to 4096.
/// Errors: `CONFIG` outside that range; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_resize(app: *mut karafka_app_t, concurrency: u32) -> *mut karafka_error_t {
    fallible("karafka_app_resize", || Ok(handle::get(app.cast_const())?.app.resize(concurrency).map(|_| ())?))
}

/// Where the app is in its life.
///
/// Returns: the phase; `KARAFKA_PHASE_STOPPED` for a value that is no app.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_app_phase(app: *const karafka_app_t) -> karafka_phase_t {
    infallible("karafka_app_phase", karafka_phase_t::KARAFKA_PHASE_STOPPED, || {
        Ok(match handle::get(app)?.app.phase() {
            Phase::Initialized => karafka_phase_t::KARAFKA_PHASE_INITIALIZED,
            Phase::Running => karafka_phase_t::KARAFKA_PHASE_RUNNING,
            Phase::Quieting => karafka_phase_t::KARAFKA_PHASE_QUIETING,
            Phase::Quiet => karafka_phase_t::KARAFKA_PHASE_QUIET,
            Phase::Stopping => karafka_phase_t::KARAFKA_PHASE_STOPPING,
            _ => karafka_phase_t::KARAFKA_PHASE_STOPPED,
        })
    })
}
