//! What is to happen with a message that failed: said by the handler, or by a topic's strategy.
//!
//! Called in handlers and, for strategies, on the worker thread right after the handler returned, or where its completion fails
//! the job, with its batch and context.

use crate::batch::{karafka_batch_t, karafka_context_t};
use crate::boundary::{fallible, infallible};
use crate::error::{Fault, karafka_error_t};
use crate::handle;
use crate::handler::{Inside, enter};
use crate::message::karafka_message_t;
use crate::text::{UserData, text};
use runtime::{Failure, Job, Verdict};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// What is to happen with a message that failed.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum karafka_verdict_t {
    /// The topic's options decide.
    KARAFKA_VERDICT_OPTIONS = 0,
    /// Try again, however often it failed.
    KARAFKA_VERDICT_RETRY = 1,
    /// Give it up now: it goes to the dead letter queue, or is discarded where the topic skips it.
    KARAFKA_VERDICT_DEAD_LETTER = 2,
    /// It counts as done; an event says so.
    KARAFKA_VERDICT_DISCARD = 3,
    /// The program is at its end: nothing is marked or counted, and the app stops gracefully.
    KARAFKA_VERDICT_CRITICAL = 4,
}

/// A failure of a message, as a strategy sees it. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_failure_t {
    /// The kind of error. UTF-8, without NUL at its end.
    pub error_class: *const c_char,
    /// Its length in bytes.
    pub error_class_length: usize,
    /// What happened. UTF-8, without NUL at its end.
    pub message: *const c_char,
    /// Its length in bytes.
    pub message_length: usize,
}

/// Decides about a message that failed, for topics with `dead_letter_queue_strategy`. Returns what is to happen; any other
/// number has the message tried again. For another topic than `dead_letter_queue_topic` it calls `karafka_context_verdict` and
/// returns `KARAFKA_VERDICT_OPTIONS`.
///
/// Thread, and what may be called inside: as in handlers. Where a completion fails the job, on the thread that does.
///
/// @param batch The batch, which holds this message only.
/// @param message The message.
/// @param context The context of the call that failed.
/// @param failures Its failures since this process has the partition, the latest last; at most 101.
/// @param failures_length How many there are; at least 1.
/// @param user_data As given with the strategy.
pub type karafka_strategy_t = Option<
    unsafe extern "C" fn(
        batch: *const karafka_batch_t,
        message: *const karafka_message_t,
        context: *mut karafka_context_t,
        failures: *const karafka_failure_t,
        failures_length: usize,
        user_data: *mut c_void,
    ) -> karafka_verdict_t,
>;

type StrategyFunction = unsafe extern "C" fn(
    *const karafka_batch_t,
    *const karafka_message_t,
    *mut karafka_context_t,
    *const karafka_failure_t,
    usize,
    *mut c_void,
) -> karafka_verdict_t;
type RawStrategy = unsafe extern "C" fn(
    *const karafka_batch_t,
    *const karafka_message_t,
    *mut karafka_context_t,
    *const karafka_failure_t,
    usize,
    *mut c_void,
) -> u32;

/// A topic's strategy.
pub(crate) struct Strategy {
    function: RawStrategy,
    user: UserData,
}

impl Strategy {
    pub(crate) fn new(function: StrategyFunction, user: UserData) -> Self {
        // SAFETY: the types differ in what they return only, and a `repr(u32)` enum is returned as a `u32` is. As a number,
        // every value that C may return is valid.
        let function = unsafe { std::mem::transmute::<StrategyFunction, RawStrategy>(function) };
        Self { function, user }
    }

    /// Asks about the only message of a call.
    pub(crate) fn ask(
        &self,
        batch: *const karafka_batch_t,
        context: *mut karafka_context_t,
        message: Option<&karafka_message_t>,
        earlier: &[Failure],
        failure: &Failure,
    ) -> Verdict {
        let view = |failure: &Failure| karafka_failure_t {
            error_class: failure.class.as_ptr().cast(),
            error_class_length: failure.class.len(),
            message: failure.message.as_ptr().cast(),
            message_length: failure.message.len(),
        };
        let failures: Vec<karafka_failure_t> = earlier.iter().chain([failure]).map(view).collect();
        let message = message.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the header asks for a function that may be called with these arguments on worker threads.
        let answer = enter(Inside::Handler, || unsafe {
            (self.function)(batch, message, context, failures.as_ptr(), failures.len(), self.user.data())
        });
        read(answer, None).unwrap_or(Verdict::Retry)
    }
}

/// The verdict for a number, if it is one.
fn read(number: u32, topic: Option<&str>) -> Option<Verdict> {
    const OPTIONS: u32 = karafka_verdict_t::KARAFKA_VERDICT_OPTIONS as u32;
    const RETRY: u32 = karafka_verdict_t::KARAFKA_VERDICT_RETRY as u32;
    const DEAD_LETTER: u32 = karafka_verdict_t::KARAFKA_VERDICT_DEAD_LETTER as u32;
    const DISCARD: u32 = karafka_verdict_t::KARAFKA_VERDICT_DISCARD as u32;
    const CRITICAL: u32 = karafka_verdict_t::KARAFKA_VERDICT_CRITICAL as u32;
    Some(match number {
        OPTIONS => Verdict::Unsaid,
        RETRY => Verdict::Retry,
        DEAD_LETTER => Verdict::DeadLetter { topic: topic.map(Arc::from) },
        DISCARD => Verdict::Discard,
        CRITICAL => Verdict::Critical,
        _ => return None,
    })
}

/// Says what is to happen with the message for which the handler is about to return `KARAFKA_FAILED`. By itself it fails
/// nothing. In a call with several messages that are not marked, it counts as soon as the message fails alone: until it is
/// found, they are tried again one by one.
///
/// @param verdict A `karafka_verdict_t`.
/// @param topic For `KARAFKA_VERDICT_DEAD_LETTER`: another topic than `dead_letter_queue_topic`. UTF-8. NULL and 0 for none.
/// Errors: `ARGUMENT`, also for an unknown verdict; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_verdict(
    context: *mut karafka_context_t,
    verdict: u32,
    topic: *const c_char,
    topic_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_context_verdict", || {
        // SAFETY: the header asks for a pointer with its length.
        let topic = unsafe { text(topic, topic_length, "the topic")? };
        let topic = Some(topic).filter(|topic| !topic.is_empty());
        let verdict = read(verdict, topic).ok_or_else(|| Fault::argument(format!("there is no verdict {verdict}")))?;
        let call = handle::get(context.cast_const())?;
        *call.verdict.lock() = verdict;
        Ok(())
    })
}

/// Which attempt at a message the call is, from 1, since this process has its partition.
///
/// @param index The message's index in the batch.
/// Returns: 0 for a value that is no batch, or an index beyond it.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_attempt(batch: *const karafka_batch_t, index: usize) -> u32 {
    infallible("karafka_batch_attempt", 0, || {
        Ok(handle::get(batch)?.batch.get(index).map_or(0, |message| message.attempt()))
    })
}

/// Whether a job's failure is for its topic's strategy, and what came before it.
pub(crate) fn earlier(job: &Job, failure: &Failure) -> Option<Vec<Failure>> {
    job.asks_strategy(failure).then(|| job.earlier_failures().to_vec())
}
