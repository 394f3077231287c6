//! Whose turn it is, decided by a function of the program.
//!
//! Called on the core's thread for it, one call at a time. What the function returns is a number until it was looked at.

use crate::app::karafka_app_t;
use crate::boundary::fallible;
use crate::error::{Fault, karafka_error_t};
use crate::handle;
use crate::handler::{Inside, enter, karafka_destructor_t, karafka_result_t};
use crate::text::UserData;
use runtime::{Candidate, Failure};
use std::ffi::{c_char, c_void};

/// A virtual partition that waits for its turn. Gone when the call ends.
#[repr(C)]
pub struct karafka_candidate_t {
    /// The topic's name, not ended by a zero.
    pub topic: *const c_char,
    /// Its length in bytes.
    pub topic_length: usize,
    /// Its name inside the partition.
    pub virtual_partition: u64,
    /// How long its partition has waited for its turn, in nanoseconds.
    pub waited_ns: u64,
    /// What a message of the topic takes, in nanoseconds; 0 while nothing was measured.
    pub cost_ns: u64,
    /// The partition's number.
    pub partition: i32,
    /// The topic's `priority`.
    pub priority: i32,
    /// How many of its messages wait.
    pub messages: u32,
}

/// Decides whose turn it is when more work waits than may run at once.
///
/// Thread: one of the library's for this alone, one call at a time. Nobody waits for it but for a few milliseconds. Inside, what
/// may be called in handlers may be.
///
/// @param candidates Who waits, in no order.
/// @param count How many.
/// @param order Where to write places in `candidates`, the best one first; room for `count` of them. Candidates that are not
///   named come later.
/// @param chosen Where to write how many were named; 0 before.
/// @param user_data As given with the function.
/// Returns: `KARAFKA_DONE`; everything else is a failure, which an event reports.
pub type karafka_scheduler_t = Option<
    unsafe extern "C" fn(
        candidates: *const karafka_candidate_t,
        count: usize,
        order: *mut u32,
        chosen: *mut usize,
        user_data: *mut c_void,
    ) -> karafka_result_t,
>;

type RawScheduler = unsafe extern "C" fn(*const karafka_candidate_t, usize, *mut u32, *mut usize, *mut c_void) -> u32;
type SchedulerFunction =
    unsafe extern "C" fn(*const karafka_candidate_t, usize, *mut u32, *mut usize, *mut c_void) -> karafka_result_t;

fn choose(function: RawScheduler, user: &UserData, candidates: &[Candidate]) -> Result<Vec<u32>, Failure> {
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let view = |one: &Candidate| karafka_candidate_t {
        topic: one.topic.as_ptr().cast(),
        topic_length: one.topic.len(),
        virtual_partition: one.virtual_partition,
        waited_ns: nanoseconds(one.waited),
        cost_ns: nanoseconds(one.cost),
        partition: one.partition,
        priority: one.priority,
        messages: one.messages,
    };
    let views: Vec<karafka_candidate_t> = candidates.iter().map(view).collect();
    let (mut order, mut chosen) = (vec![u32::MAX; views.len()], 0);
    // SAFETY: the header asks for a function that may be called with these arguments on a thread of the library.
    let result = enter(Inside::Handler, || unsafe {
        function(views.as_ptr(), views.len(), order.as_mut_ptr(), &raw mut chosen, user.data())
    });
    if result != karafka_result_t::KARAFKA_DONE as u32 {
        return Err(Failure::new("SchedulerFailed", format!("the scheduler returned {result}")));
    }
    order.truncate(chosen);
    Ok(order)
}

/// Has a function decide whose turn it is when more work waits than may run at once, before the app is started. It is advice: the
/// app's `scheduling` decides while there is no answer within 5 milliseconds, for a second after a failure, and for one call in
/// sixteen.
///
/// @param scheduler See `karafka_scheduler_t`.
/// @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
/// @param destructor Frees `user_data`, once; may be NULL.
/// Errors: `CONFIG` when there is one already; `STOPPED` once the app was started; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_app_set_scheduler(
    app: *mut karafka_app_t,
    scheduler: karafka_scheduler_t,
    user_data: *mut c_void,
    destructor: karafka_destructor_t,
) -> *mut karafka_error_t {
    fallible("karafka_app_set_scheduler", || {
        // SAFETY: the header asks for a destructor that may be called with the data once.
        let user = unsafe { UserData::new(user_data, destructor) };
        let Some(scheduler) = scheduler else { return Err(Fault::argument("the scheduler is NULL")) };
        // SAFETY: the types differ in what they return only, and a `repr(u32)` enum is returned as a `u32` is.
        let function = unsafe { std::mem::transmute::<SchedulerFunction, RawScheduler>(scheduler) };
        let object = handle::get(app.cast_const())?;
        object.app.set_scheduler(move |candidates: &[Candidate]| choose(function, &user, candidates))?;
        Ok(())
    })
}
