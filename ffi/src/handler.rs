//! Calls of C handlers and partitioners.
//!
//! Runs on the core's worker threads: takes a job from the seat, calls the program's function with views of it, and ends
//! the job by what the function returns. What a program's function returns is a number until it was looked at; only the
//! header calls it an enum.

use crate::batch::{CallObject, end_call, karafka_batch_t, karafka_context_t};
use crate::handle;
use crate::message::karafka_message_t;
use crate::registry::Pinned;
use crate::text::UserData;
use crate::verdict::{Strategy, earlier};
use runtime::lock::Mutex;
use runtime::{
    Failure, FilterAnswer, Hook, Job, JobKind, Next, Seat, TopicConfig, UniqueBy, Verdict, VirtualPartitions,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// What a handler returns.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum karafka_result_t {
    /// The messages are handled: they are marked as consumed, unless the topic's offsets are managed by hand.
    KARAFKA_DONE = 0,
    /// The handler failed: what it did not mark is tried again after the back-off. So does any value not listed here.
    KARAFKA_FAILED = 1,
    /// The completion that the handler took ends the job. Without one, the job has failed.
    KARAFKA_LATER = 2,
}

const DONE: u32 = karafka_result_t::KARAFKA_DONE as u32;
const FAILED: u32 = karafka_result_t::KARAFKA_FAILED as u32;
const LATER: u32 = karafka_result_t::KARAFKA_LATER as u32;

/// Handles the messages of one job.
///
/// Thread: one of the app's worker threads, several at once; never two at once for the same virtual partition. Handlers of an
/// asynchronous topic run one after another on one thread, and must not block.
///
/// Inside: everything of batch, context, producers and other handles may be called; of the app `karafka_app_stop`, `_quiet`,
/// `_resume`, `_resize` and `_phase`. `karafka_app_run` and `karafka_app_join` are refused there; `karafka_app_free` works,
/// but does not wait. It must not unwind (no C++ exception, no longjmp) and must not end its thread.
///
/// @param batch The messages; gone when the job ends, unless kept by `karafka_batch_ref`.
/// @param context What else there is to know and to do; gone when the job ends.
/// @param user_data As given with the handler.
pub type karafka_handler_t = Option<
    unsafe extern "C" fn(
        batch: *const karafka_batch_t,
        context: *mut karafka_context_t,
        user_data: *mut c_void,
    ) -> karafka_result_t,
>;

/// Names the virtual partition of a message, for topics with `virtual_partitions` set to "callback": messages of one topic
/// partition with equal keys are handled in order.
///
/// Thread, and what may be called inside: as in handlers. A partitioner that fails sends the fetched messages to one virtual
/// partition and is reported in an event.
///
/// @param batch The batch of the message, for reading its headers.
/// @param message The message.
/// @param key Where to write the key's start: in the message, or in memory that stays as it is until the next call on the
///   same thread, or of static life. Without it the key is empty.
/// @param key_length Where to write the key's length in bytes.
/// @param user_data As given with the partitioner.
/// Returns: `KARAFKA_DONE`; everything else is a failure.
pub type karafka_partitioner_t = Option<
    unsafe extern "C" fn(
        batch: *const karafka_batch_t,
        message: *const karafka_message_t,
        key: *mut *const u8,
        key_length: *mut usize,
        user_data: *mut c_void,
    ) -> karafka_result_t,
>;

/// Says whether a message is handled, for topics with `filter` set to "true". What it skips counts as finished. Asked before
/// partitioner and handler, once for each message in an ownership of its partition.
///
/// Thread, and what may be called inside: as in handlers. A message at which a filter fails is handled, and an event tells of
/// it.
///
/// @param batch The batch of the message, for reading its headers.
/// @param message The message.
/// @param keep Where to write whether the message is handled; true unless written.
/// @param user_data As given with the filter.
/// Returns: `KARAFKA_DONE`; everything else is a failure.
pub type karafka_filter_t = Option<
    unsafe extern "C" fn(
        batch: *const karafka_batch_t,
        message: *const karafka_message_t,
        keep: *mut bool,
        user_data: *mut c_void,
    ) -> karafka_result_t,
>;

/// A hook: a call beside the messages. See `karafka_topic_set_tick`, `_set_eofed`, `_set_revoked` and `_set_shutdown`.
///
/// Thread, and what may be called inside: as in handlers. With virtual partitions off or fixed, hooks never overlap a call of
/// the same virtual partition; in all other modes, never one of the partition. Of an asynchronous topic, it may take a
/// completion.
///
/// @param context The partition, without messages; gone when the call ends.
/// @param user_data As given with the hook.
/// Returns: `KARAFKA_DONE`; everything else is a failure, which is told in an event and not retried.
pub type karafka_hook_t =
    Option<unsafe extern "C" fn(context: *mut karafka_context_t, user_data: *mut c_void) -> karafka_result_t>;

/// Frees `user_data`. Runs exactly once, on any thread, after the last call of the function that the data was given for; also
/// when the call that took it failed. It may call what a handler may call, and must not unwind. May be NULL.
pub type karafka_destructor_t = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

type RawHandler = unsafe extern "C" fn(*const karafka_batch_t, *mut karafka_context_t, *mut c_void) -> u32;
type RawHook = unsafe extern "C" fn(*mut karafka_context_t, *mut c_void) -> u32;
type RawPartitioner = unsafe extern "C" fn(
    *const karafka_batch_t,
    *const karafka_message_t,
    *mut *const u8,
    *mut usize,
    *mut c_void,
) -> u32;

type RawFilter = unsafe extern "C" fn(*const karafka_batch_t, *const karafka_message_t, *mut u8, *mut c_void) -> u32;

/// A topic's functions.
pub(crate) struct Route {
    handler: RawHandler,
    user: UserData,
    partitioner: OnceLock<Partitioner>,
    /// What no two messages may have in common that are handled at once.
    unique_by: OnceLock<Partitioner>,
    pub(crate) strategy: OnceLock<Strategy>,
    filter: OnceLock<Filter>,
    hooks: Mutex<BTreeMap<Hook, Arc<HookFunction>>>,
}

struct Filter {
    function: RawFilter,
    user: UserData,
}

struct HookFunction {
    function: RawHook,
    user: UserData,
}

struct Partitioner {
    function: RawPartitioner,
    user: UserData,
}

type HandlerFunction =
    unsafe extern "C" fn(*const karafka_batch_t, *mut karafka_context_t, *mut c_void) -> karafka_result_t;
pub(crate) type HookOfC = unsafe extern "C" fn(*mut karafka_context_t, *mut c_void) -> karafka_result_t;
type PartitionerFunction = unsafe extern "C" fn(
    *const karafka_batch_t,
    *const karafka_message_t,
    *mut *const u8,
    *mut usize,
    *mut c_void,
) -> karafka_result_t;

type FilterFunction =
    unsafe extern "C" fn(*const karafka_batch_t, *const karafka_message_t, *mut bool, *mut c_void) -> karafka_result_t;

impl Route {
    pub(crate) fn new(handler: HandlerFunction, user: UserData) -> Self {
        // SAFETY: the types differ in what they return only, and a `repr(u32)` enum is returned as a `u32` is. As a number,
        // every value that C may return is valid.
        let handler = unsafe { std::mem::transmute::<HandlerFunction, RawHandler>(handler) };
        Self {
            handler,
            user,
            partitioner: OnceLock::new(),
            unique_by: OnceLock::new(),
            strategy: OnceLock::new(),
            filter: OnceLock::new(),
            hooks: Mutex::default(),
        }
    }

    /// Whether there was none before; else it is dropped.
    pub(crate) fn set_partitioner(&self, function: PartitionerFunction, user: UserData) -> bool {
        // SAFETY: as for the handler.
        let function = unsafe { std::mem::transmute::<PartitionerFunction, RawPartitioner>(function) };
        self.partitioner.set(Partitioner { function, user }).is_ok()
    }

    /// Whether there was none before; else it is dropped.
    pub(crate) fn set_unique_by(&self, function: PartitionerFunction, user: UserData) -> bool {
        // SAFETY: as for the handler.
        let function = unsafe { std::mem::transmute::<PartitionerFunction, RawPartitioner>(function) };
        self.unique_by.set(Partitioner { function, user }).is_ok()
    }

    /// Whether there was none before; else it is dropped.
    pub(crate) fn set_filter(&self, function: FilterFunction, user: UserData) -> bool {
        // SAFETY: as for the handler. A `bool` that C may have written anything to is looked at as a number.
        let function = unsafe { std::mem::transmute::<FilterFunction, RawFilter>(function) };
        self.filter.set(Filter { function, user }).is_ok()
    }

    /// The hooks there are, with this one; nothing when there was one already.
    pub(crate) fn set_hook(&self, hook: Hook, function: HookOfC, user: UserData) -> Option<Vec<Hook>> {
        // SAFETY: as for the handler.
        let function = unsafe { std::mem::transmute::<HookOfC, RawHook>(function) };
        let mut hooks = self.hooks.lock();
        if hooks.contains_key(&hook) {
            return None;
        }
        hooks.insert(hook, Arc::new(HookFunction { function, user }));
        Some(hooks.keys().copied().collect())
    }

    /// What options ask for and the topic was not given: the option, and the call that gives it.
    pub(crate) fn lacks(&self, config: &TopicConfig) -> Option<(&'static str, &'static str)> {
        let asked = [
            (
                config.virtual_partitions == VirtualPartitions::Callback && self.partitioner.get().is_none(),
                ("virtual_partitions is \"callback\" and there is no partitioner", "karafka_topic_set_partitioner"),
            ),
            (
                config.unique_by == UniqueBy::Callback && self.unique_by.get().is_none(),
                ("unique_by is \"callback\" and there is no function for it", "karafka_topic_set_unique_by"),
            ),
            (
                config.filter && self.filter.get().is_none(),
                ("filter is true and there is no filter", "karafka_topic_set_filter"),
            ),
            (
                config.dead_letter_queue_strategy && self.strategy.get().is_none(),
                ("dead_letter_queue_strategy is true and there is no strategy", "karafka_topic_set_strategy"),
            ),
        ];
        asked.into_iter().find_map(|(is_lacking, words)| is_lacking.then_some(words))
    }
}

/// Which of the program's callbacks a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    Nothing,
    /// A handler or a partitioner.
    Handler,
    Delivery,
}

thread_local! {
    static INSIDE: Cell<Inside> = const { Cell::new(Inside::Nothing) };
}

/// Which of the program's callbacks the calling thread is in: waiting there for the library's threads could last for ever.
pub(crate) fn inside() -> Inside {
    INSIDE.get()
}

/// Calls the program.
pub(crate) fn enter<T>(inside: Inside, call: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace(inside);
    let result = call();
    INSIDE.set(before);
    result
}

/// A worker thread: runs jobs until its seat is closed.
pub(crate) fn serve(mut seat: Seat, routes: &[Arc<Route>]) {
    loop {
        match seat.next() {
            Next::Job(job) => match routes.get(job.topic_index()) {
                Some(route) => match Hook::of(job.kind()) {
                    Some(hook) => hook_job(route, hook, job),
                    None if job.kind() == JobKind::Handle => handle_job(route, job),
                    None if job.kind() == JobKind::Filter => filter_job(route, job),
                    None => partition_job(route, job),
                },
                None => job.fail(Failure::new("NoHandler", "the topic has no handler")),
            },
            Next::Interrupted => {}
            Next::Closed => return,
        }
    }
}

fn handle_job(route: &Arc<Route>, job: Job) {
    let opened = handle::open_pinned::<karafka_batch_t>(CallObject::new(job, route));
    // Without room for a handle the object was dropped, and its job has failed with it.
    let Ok((batch, call)) = opened else { return };
    let context = handle::alias::<karafka_batch_t, karafka_context_t>(batch).unwrap_or(ptr::null_mut());
    // SAFETY: the header asks for a function that may be called with these arguments on worker threads.
    let result = enter(Inside::Handler, || unsafe { (route.handler)(batch, context, route.user.data()) });
    end_by(batch, call, result);
}

fn hook_job(route: &Arc<Route>, hook: Hook, job: Job) {
    let found = route.hooks.lock().get(&hook).map(Arc::clone);
    let Some(found) = found else {
        job.done();
        return;
    };
    let Ok((batch, call)) = handle::open_pinned::<karafka_batch_t>(CallObject::new(job, route)) else { return };
    let context = handle::alias::<karafka_batch_t, karafka_context_t>(batch).unwrap_or(ptr::null_mut());
    // SAFETY: the header asks for a function that may be called with these arguments on worker threads.
    let result = enter(Inside::Handler, || unsafe { (found.function)(context, found.user.data()) });
    end_by(batch, call, result);
}

/// Ends a job by what the program's function returned.
fn end_by(batch: *mut karafka_batch_t, call: Pinned<CallObject>, result: u32) {
    match result {
        DONE => {
            end_call(batch, call, |job, _| job.done());
        }
        LATER if call.deferred.load(Ordering::SeqCst) => {}
        other => {
            let named = call.failure.lock().clone();
            fail_call(batch, call, named.unwrap_or_else(|| unnamed(other)));
        }
    }
}

/// Fails a call, on whichever thread it ends: what is to happen is said by the topic's strategy, else by the handler. Returns
/// whether nobody had ended it.
pub(crate) fn fail_call(batch: *mut karafka_batch_t, call: Pinned<CallObject>, failure: Failure) -> bool {
    let failure = failure.says(call.verdict.lock().clone());
    let answer = call.route.as_ref().and_then(|route| route.strategy.get()).and_then(|strategy| {
        let earlier = call.job.lock().as_ref().and_then(|job| earlier(job, &failure))?;
        let context = handle::alias::<karafka_batch_t, karafka_context_t>(batch).ok()?;
        Some(strategy.ask(batch, context, call.messages().first(), &earlier, &failure))
    });
    let verdict = match answer {
        // It may have called `karafka_context_verdict` meanwhile.
        None | Some(Verdict::Unsaid) => call.verdict.lock().clone(),
        Some(verdict) => verdict,
    };
    end_call(batch, call, |job, _| job.fail(failure.says(verdict)))
}

/// The failure of a handler that did not say why.
fn unnamed(result: u32) -> Failure {
    match result {
        FAILED => Failure::new("Failed", "the handler returned KARAFKA_FAILED"),
        LATER => Failure::new("NoCompletion", "the handler returned KARAFKA_LATER without taking a completion"),
        other => Failure::new("UnknownResult", format!("the handler returned {other}, which is not a result")),
    }
}

fn partition_job(route: &Arc<Route>, job: Job) {
    let asked = if job.kind() == JobKind::Unique { &route.unique_by } else { &route.partitioner };
    let Some(partitioner) = asked.get() else {
        job.fail(Failure::new("NoPartitioner", "the topic asks for keys or unique values, and lacks the function"));
        return;
    };
    let Ok((batch, call)) = handle::open_pinned::<karafka_batch_t>(CallObject::new(job, route)) else { return };
    let keys = keys(partitioner, batch, &call);
    end_call(batch, call, |job, named| match keys {
        Ok((bytes, ends)) => {
            let start_of =
                |index: usize| index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            let key = |(index, end): (usize, &usize)| bytes.get(start_of(index)..*end).unwrap_or_default();
            let keys: Vec<&[u8]> = ends.iter().enumerate().map(key).collect();
            job.complete_keys(&keys);
        }
        Err(failure) => job.fail(named.unwrap_or(failure)),
    });
}

/// Asks for every message's key: all their bytes, and where each key ends.
fn keys(
    partitioner: &Partitioner,
    batch: *const karafka_batch_t,
    call: &CallObject,
) -> Result<(Vec<u8>, Vec<usize>), Failure> {
    let messages = call.messages();
    let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(messages.len()));
    for message in messages {
        let (mut key, mut length) = (ptr::null(), 0);
        // SAFETY: the header asks for a function that may be called with these arguments on worker threads.
        let result = enter(Inside::Handler, || unsafe {
            (partitioner.function)(batch, message, &raw mut key, &raw mut length, partitioner.user.data())
        });
        if result != DONE {
            return Err(Failure::new("PartitionerFailed", format!("the callback returned {result}")));
        }
        // SAFETY: the header asks for memory that stays as it is until the next call.
        let key = unsafe { crate::text::bytes(key, length, "the key") };
        bytes.extend_from_slice(key.map_err(|fault| Failure::new("ArgumentError", fault.text("partitioner")))?);
        ends.push(bytes.len());
    }
    Ok((bytes, ends))
}

fn filter_job(route: &Arc<Route>, job: Job) {
    let Some(filter) = route.filter.get() else {
        job.fail(Failure::new("NoFilter", "the topic has the option filter, and no filter"));
        return;
    };
    let Ok((batch, call)) = handle::open_pinned::<karafka_batch_t>(CallObject::new(job, route)) else { return };
    let mut unnamed = None;
    let mut answers = Vec::with_capacity(call.messages().len());
    for message in call.messages() {
        let mut keep = 1_u8;
        // SAFETY: the header asks for a function that may be called with these arguments on worker threads.
        let result =
            enter(Inside::Handler, || unsafe { (filter.function)(batch, message, &raw mut keep, filter.user.data()) });
        answers.push(match (result, keep) {
            (DONE, 0) => FilterAnswer::Skip,
            (DONE, _) => FilterAnswer::Keep,
            _ => FilterAnswer::Failed,
        });
        if result != DONE {
            unnamed.get_or_insert_with(|| Failure::new("FilterFailed", format!("the filter returned {result}")));
        }
    }
    end_call(batch, call, |job, named| job.complete_filter(answers, unnamed.map(|unnamed| named.unwrap_or(unnamed))));
}
