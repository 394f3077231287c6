//! Recurring tasks from C.
//!
//! Owns `karafka_recurring_tasks_t`, the struct of a run, and the calls of the program's tasks, which come on the core's worker
//! threads. Its functions are called on any thread.

use crate::app::karafka_app_t;
use crate::boundary::fallible;
use crate::config::{self, karafka_config_t};
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::{Inside, enter, karafka_destructor_t, karafka_result_t};
use crate::producer::{karafka_producer_t, refuse_in_delivery};
use crate::text::{Out, UserData, text};
use runtime::{Failure, Producer, RecurringTasks, RecurringTasksConfig, TaskRun};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// The recurring tasks of a topic.
///
/// Owned by whoever got it, freed by `karafka_recurring_tasks_free`, also while the app runs.
pub struct karafka_recurring_tasks_t(());

handle!(karafka_recurring_tasks_t, RecurringTasks, RecurringTasks);

/// A run of a task. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct karafka_task_run_t {
    /// The task's name: UTF-8, not ended by NUL.
    pub task: *const c_char,
    /// The name's length in bytes.
    pub task_length: usize,
    /// The time that the run is for, in milliseconds since 1970-01-01 UTC: the last one that has come; -1 when it was triggered.
    pub scheduled_ms: i64,
    /// The run itself, for `karafka_task_run_should_end`.
    pub inner: *const c_void,
}

/// A recurring task.
///
/// Thread: one of the app's worker threads; of the tasks of one topic, one runs at a time. Inside: as in handlers. It must not unwind
/// and must not end its thread.
///
/// A run that takes longer than its task's times are apart holds up its next one, and the other tasks of the topic meanwhile.
///
/// @param run What runs, and for which time. Gone when the call ends.
/// @param user_data As given with the task.
/// Returns: `KARAFKA_DONE`; everything else is a failure, which is told by the event `recurring_tasks.error` and in the log, and not
/// repeated: the next run is at the next time.
pub type karafka_task_t =
    Option<unsafe extern "C" fn(run: *const karafka_task_run_t, user_data: *mut c_void) -> karafka_result_t>;

type RawTask = unsafe extern "C" fn(*const karafka_task_run_t, *mut c_void) -> u32;

/// Keeps recurring tasks in a topic, before the app is started: declare them by `karafka_recurring_tasks_add`. Of all members of the
/// group one runs them. The start checks that the topic is there and compacted, and that the log's is there.
///
/// @param topic The topic's name. UTF-8.
/// @param config The options `interval`, how often is looked for what is due (1s), `group`, the consumer group (the app's), `log_topic`,
///   a topic that gets a record for each run (none), `time_zone`, that of the patterns (UTC), and `catch_up`, whether one run makes up
///   for times that were missed (true). NULL for defaults. Read, not kept.
/// @param tasks Gets the tasks, to be freed by `karafka_recurring_tasks_free`.
/// Errors: `CONFIG` for names, options and a time zone that is not there, or when the group reads the topic already; `STOPPED` once the app was started;
/// `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_recurring_tasks(
    app: *mut karafka_app_t,
    topic: *const c_char,
    topic_length: usize,
    config: *const karafka_config_t,
    tasks: *mut *mut karafka_recurring_tasks_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_recurring_tasks", || {
        // SAFETY: the header asks for a valid name, and for NULL or a valid place.
        let (topic, out) = unsafe { (text(topic, topic_length, "the topic's name")?, Out::required(tasks, "tasks")?) };
        let app = handle::get(app.cast_const())?;
        let config = RecurringTasksConfig::from_settings(&config::settings(config)?)?;
        out.write(handle::open(app.app.recurring_tasks(topic, config)?)?);
        Ok(())
    })
}

/// Declares a task: a function that runs at the times of a cron pattern, before the app is started.
///
/// @param name The task's name, 1 to 200 bytes. UTF-8.
/// @param cron The pattern: "minute hour day month weekday", with seconds before them where wanted, or "@hourly" and the like.
/// @param task Called on the app's worker threads; see `karafka_task_t`.
/// @param user_data Handed to the task. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `CONFIG` for a name that is taken, or a pattern that is none, with the field that is wrong; `STOPPED` once the app was
/// started; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "two texts, and a callback with its data")]
pub unsafe extern "C" fn karafka_recurring_tasks_add(
    tasks: *mut karafka_recurring_tasks_t,
    name: *const c_char,
    name_length: usize,
    cron: *const c_char,
    cron_length: usize,
    task: karafka_task_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_recurring_tasks_add", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        // SAFETY: the header asks for valid texts.
        let (name, cron) =
            unsafe { (text(name, name_length, "the task's name")?, text(cron, cron_length, "the cron pattern")?) };
        let Some(task) = task else { return Err(Fault::argument("the task is NULL")) };
        // SAFETY: a number until it was looked at: C may return any.
        let task = unsafe { std::mem::transmute::<unsafe extern "C" fn(_, _) -> karafka_result_t, RawTask>(task) };
        let run = move |run: &TaskRun| {
            let user = &user;
            let lent = karafka_task_run_t {
                task: run.task.as_ptr().cast::<c_char>(),
                task_length: run.task.len(),
                scheduled_ms: run.scheduled.unwrap_or(-1),
                inner: std::ptr::from_ref(run).cast::<c_void>(),
            };
            // SAFETY: the header asks for a function that may be called with these arguments on any thread.
            match enter(Inside::Handler, || unsafe { task(&raw const lent, user.data()) }) {
                0 => Ok(()),
                other => Err(Failure::new("TaskFailed", format!("the task returned {other}"))),
            }
        };
        Ok(handle::get(tasks.cast_const())?.add(name, cron, Arc::new(run))?)
    })
}

/// Whether a run should end early: the app was asked to stop, or another member of the group has the tasks now. On any thread, until
/// the call of the task ends. NULL is none, and false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_task_run_should_end(run: *const karafka_task_run_t) -> bool {
    // SAFETY: the header asks for NULL or the run of a call that goes on, which points to the core's.
    let run = unsafe { run.as_ref().and_then(|run| run.inner.cast::<TaskRun>().as_ref()) };
    run.is_some_and(TaskRun::should_end)
}

/// Frees the handle; the tasks stay the app's. Takes NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_recurring_tasks_free(tasks: *mut karafka_recurring_tasks_t) {
    handle::free("karafka_recurring_tasks_free", tasks);
}

/// # Safety
/// Both texts must be valid.
unsafe fn command(
    producer: *mut karafka_producer_t,
    topic: (*const c_char, usize),
    task: (*const c_char, usize),
    command: impl FnOnce(&Producer, &str, &str) -> runtime::Result<()>,
) -> Result<(), Fault> {
    refuse_in_delivery("command a recurring task")?;
    // SAFETY: the caller's promise is the same.
    let (topic, task) =
        unsafe { (text(topic.0, topic.1, "the topic's name")?, text(task.0, task.1, "the task's name")?) };
    Ok(command(&*handle::get(producer.cast_const())?, topic, task)?)
}

/// Has a task of a topic of recurring tasks run at its times again, from now on. Waits until the command is acknowledged; it is
/// carried out within the `interval` of the app that runs the tasks.
///
/// @param topic The topic of the tasks. UTF-8.
/// @param task The task's name; "*" for all. UTF-8.
/// Errors: `CONFIG` for an empty name; `BROKER` when the topic is not there; else as `karafka_producer_produce_sync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_enable_task(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    task: *const c_char,
    task_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_enable_task", || {
        // SAFETY: the header asks for valid texts.
        unsafe { command(producer, (topic, topic_length), (task, task_length), Producer::enable_task) }
    })
}

/// Has a task not run at its times any more, until it is enabled; otherwise as `karafka_producer_enable_task`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_disable_task(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    task: *const c_char,
    task_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_disable_task", || {
        // SAFETY: the header asks for valid texts.
        unsafe { command(producer, (topic, topic_length), (task, task_length), Producer::disable_task) }
    })
}

/// Has a task run once, now, also where it is disabled; otherwise as `karafka_producer_enable_task`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_producer_trigger_task(
    producer: *mut karafka_producer_t,
    topic: *const c_char,
    topic_length: usize,
    task: *const c_char,
    task_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_producer_trigger_task", || {
        // SAFETY: the header asks for valid texts.
        unsafe { command(producer, (topic, topic_length), (task, task_length), Producer::trigger_task) }
    })
}
