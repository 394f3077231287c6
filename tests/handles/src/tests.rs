//! What a C program does with a call of its handler, on one thread and on several.
#![allow(clippy::unwrap_used)]

use crate::batch::*;
use crate::client::{Journal, Record};
use crate::completion::*;
use crate::config::*;
use crate::context::*;
use crate::error::*;
use crate::handler::*;
use crate::message::*;
use crate::text::UserData;
use crate::{Hook, Job, JobKind, Seat};
use std::cell::Cell;
use std::ffi::c_void;
use std::mem::transmute;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::{ptr, thread};

fn records(count: usize) -> Vec<Record> {
    let record = |number: usize| Record {
        key: number.is_multiple_of(2).then(|| format!("key {number}").into_bytes()),
        payload: (number % 3 != 2).then(|| format!("payload {number}").into_bytes()),
        headers: vec![(b"trace".to_vec(), Some(b"yes".to_vec())), (b"empty".to_vec(), None)],
    };
    (0..count).map(record).collect()
}

type Handler = unsafe extern "C" fn(*const karafka_batch_t, *mut karafka_context_t, *mut c_void) -> u32;
type Partitioner = unsafe extern "C" fn(
    *const karafka_batch_t,
    *const karafka_message_t,
    *mut *const u8,
    *mut usize,
    *mut c_void,
) -> u32;

/// A topic's functions. Those of C return a number, which the header calls an enum.
fn route(handler: Handler, data: *mut c_void) -> Arc<Route> {
    // SAFETY: the library looks at what they return as at a number. There are no destructors.
    unsafe {
        let handler = transmute::<Handler, karafka_handler_t>(handler).unwrap();
        let route = Route::new(handler, UserData::new(data, None));
        let partitioner = transmute::<Partitioner, karafka_partitioner_t>(name_the_key).unwrap();
        assert!(route.set_partitioner(partitioner, UserData::new(ptr::null_mut(), None)));
        Arc::new(route)
    }
}

/// Runs jobs as a worker does, with one C handler; returns how they ended.
fn serve_jobs(kinds: &[JobKind], handler: Handler, data: *mut c_void) -> Vec<String> {
    let journal = Journal::default();
    let jobs = kinds.iter().map(|kind| Job::new(records(4), *kind, &journal)).collect();
    serve(Seat(jobs), &[route(handler, data)]);
    journal.lock().unwrap().clone()
}

fn code(error: *mut karafka_error_t) -> Option<karafka_error_code_t> {
    if error.is_null() {
        return None;
    }
    let code = karafka_error_code(error);
    assert!(!karafka_error_message(error).is_null());
    karafka_error_free(error);
    Some(code)
}

const ARGUMENT: Option<karafka_error_code_t> = Some(karafka_error_code_t::KARAFKA_ERROR_ARGUMENT);

unsafe extern "C" fn name_the_key(
    _batch: *const karafka_batch_t,
    message: *const karafka_message_t,
    key: *mut *const u8,
    length: *mut usize,
    _data: *mut c_void,
) -> u32 {
    // SAFETY: the library gives a message and two places.
    unsafe {
        key.write((*message).key);
        length.write((*message).key_length);
    }
    karafka_result_t::KARAFKA_DONE as u32
}

/// Reads everything that a batch has through C's functions.
unsafe fn read(batch: *const karafka_batch_t) -> usize {
    let (mut messages, mut length) = (ptr::null(), 0);
    // SAFETY: the places are valid, and what they get lives as long as the batch.
    unsafe {
        assert_eq!(code(karafka_batch_messages(batch, &raw mut messages, &raw mut length)), None);
        let mut bytes = 0;
        for message in slice::from_raw_parts(messages, length) {
            for (start, length) in [(message.payload, message.payload_length), (message.key, message.key_length)] {
                if !start.is_null() {
                    bytes += slice::from_raw_parts(start, length).iter().filter(|byte| **byte != 0).count();
                }
            }
            let (mut headers, mut count) = (ptr::null(), 0);
            let index = message.index as usize;
            assert_eq!(code(karafka_batch_headers(batch, index, &raw mut headers, &raw mut count)), None);
            for header in slice::from_raw_parts(headers, count) {
                bytes += slice::from_raw_parts(header.name.cast::<u8>(), header.name_length).len();
            }
        }
        assert_eq!(std::ffi::CStr::from_ptr(karafka_batch_topic(batch)).to_bytes(), b"orders");
        bytes
    }
}

thread_local! {
    static KEPT: Cell<*const karafka_batch_t> = const { Cell::new(ptr::null()) };
    static ENDED: Cell<*mut karafka_context_t> = const { Cell::new(ptr::null_mut()) };
}

unsafe extern "C" fn read_mark_and_keep(
    batch: *const karafka_batch_t,
    context: *mut karafka_context_t,
    data: *mut c_void,
) -> u32 {
    // SAFETY: the test gives a counter; the places are valid.
    unsafe {
        *data.cast::<usize>() += read(batch);
        let mut owned = false;
        assert_eq!(code(karafka_context_mark_as_consumed(context, 1, &raw mut owned)), None);
        assert!(owned);
        assert_eq!(code(karafka_context_acknowledge(context, 9, ptr::null_mut())), ARGUMENT);
        assert_eq!(code(karafka_context_fail(context, c"Wrong".as_ptr(), 5, c"text".as_ptr(), 4)), None);
    }
    assert_eq!(code(karafka_batch_ref(batch)), None);
    KEPT.set(batch);
    ENDED.set(context);
    karafka_result_t::KARAFKA_FAILED as u32
}

#[test]
fn a_kept_batch_is_read_after_its_job_and_its_context_is_not() {
    let mut bytes = 0_usize;
    let ends = serve_jobs(&[JobKind::Handle], read_mark_and_keep, (&raw mut bytes).cast());
    assert_eq!(ends, ["marked 1 true", "failed: Wrong: text"]);
    let batch = KEPT.get();
    // SAFETY: the batch was kept.
    assert_eq!(unsafe { read(batch) }, bytes);
    // SAFETY: a place that may be NULL.
    assert_eq!(code(unsafe { karafka_context_acknowledge(ENDED.get(), 0, ptr::null_mut()) }), ARGUMENT);
    karafka_batch_unref(batch);
    assert_eq!(karafka_batch_length(batch), 0);
    karafka_batch_unref(batch);
}

#[test]
fn a_partitioner_names_keys() {
    let mut bytes = 0_usize;
    let ends = serve_jobs(&[JobKind::Key], read_mark_and_keep, (&raw mut bytes).cast());
    assert_eq!(ends, ["keys: key 0  key 2 "]);
}

unsafe extern "C" fn defer(_batch: *const karafka_batch_t, context: *mut karafka_context_t, data: *mut c_void) -> u32 {
    let mut completion = ptr::null_mut();
    // SAFETY: a valid place.
    assert_eq!(code(unsafe { karafka_context_defer(context, &raw mut completion) }), None);
    // SAFETY: the test gives this.
    unsafe { &*data.cast::<AtomicPtr<karafka_completion_t>>() }.store(completion, Ordering::Release);
    karafka_result_t::KARAFKA_LATER as u32
}

#[test]
fn of_several_threads_that_complete_a_job_one_ends_it() {
    let taken = AtomicPtr::<karafka_completion_t>::new(ptr::null_mut());
    let wins = AtomicUsize::new(0);
    let ends = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut completion = taken.load(Ordering::Acquire);
                while completion.is_null() {
                    thread::yield_now();
                    completion = taken.load(Ordering::Acquire);
                }
                if code(karafka_completion_done(completion)).is_none() {
                    wins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let journal = Journal::default();
        let jobs = [Job::new(records(2), JobKind::Handle, &journal)].into();
        serve(Seat(jobs), &[route(defer, (&raw const taken).cast_mut().cast())]);
        journal
    });
    assert_eq!(wins.load(Ordering::Relaxed), 1);
    assert_eq!(*ends.lock().unwrap(), ["done"]);
    karafka_completion_free(taken.load(Ordering::Relaxed));
    karafka_completion_free(taken.load(Ordering::Relaxed));
}

#[test]
fn a_completion_that_is_freed_unused_fails_its_job() {
    let taken = AtomicPtr::<karafka_completion_t>::new(ptr::null_mut());
    let journal = Journal::default();
    let jobs = [Job::new(records(1), JobKind::Handle, &journal)].into();
    serve(Seat(jobs), &[route(defer, (&raw const taken).cast_mut().cast())]);
    assert!(journal.lock().unwrap().is_empty());
    karafka_completion_free(taken.load(Ordering::Relaxed));
    assert_eq!(*journal.lock().unwrap(), ["failed: Dropped: the completion was freed without having been used"]);
}

unsafe extern "C" fn look_and_fail(context: *mut karafka_context_t, data: *mut c_void) -> u32 {
    // SAFETY: the test gives a counter; the place may be NULL.
    unsafe {
        *data.cast::<usize>() += 1;
        assert_eq!(code(karafka_context_acknowledge(context, 0, ptr::null_mut())), ARGUMENT);
        assert_eq!(code(karafka_context_mark_offset(context, 7, ptr::null_mut())), None);
        assert_eq!(std::ffi::CStr::from_ptr(karafka_context_topic(context)).to_bytes(), b"orders");
        assert_eq!(code(karafka_context_fail(context, c"Late".as_ptr(), 4, c"text".as_ptr(), 4)), None);
    }
    assert!(karafka_context_is_used(context) && karafka_context_is_eofed(context));
    ENDED.set(context);
    karafka_result_t::KARAFKA_FAILED as u32
}

#[test]
fn a_hook_has_a_context_without_messages_and_other_hooks_are_not_called() {
    type RawHook = unsafe extern "C" fn(*mut karafka_context_t, *mut c_void) -> u32;
    let (mut calls, journal) = (0_usize, Journal::default());
    let counter = (&raw mut calls).cast();
    let route = route(defer, ptr::null_mut());
    let set = |hook| {
        // SAFETY: the library looks at what it returns as at a number. There is no destructor.
        unsafe {
            let function = transmute::<RawHook, karafka_hook_t>(look_and_fail).unwrap();
            route.set_hook(hook, function, UserData::new(counter, None))
        }
    };
    assert_eq!(set(Hook::Revoked), Some(vec![Hook::Revoked]));
    assert_eq!(set(Hook::Tick), Some(vec![Hook::Tick, Hook::Revoked]));
    assert_eq!(set(Hook::Tick), None);
    let kinds = [JobKind::Tick, JobKind::Eofed, JobKind::Revoked, JobKind::Shutdown];
    let jobs = kinds.iter().map(|kind| Job::new(records(0), *kind, &journal)).collect();
    serve(Seat(jobs), &[route]);
    assert_eq!(
        *journal.lock().unwrap(),
        ["marked at 7", "failed: Late: text", "done", "marked at 7", "failed: Late: text", "done"]
    );
    assert_eq!(calls, 2);
    // SAFETY: a place that may be NULL.
    assert_eq!(code(unsafe { karafka_context_acknowledge(ENDED.get(), 0, ptr::null_mut()) }), ARGUMENT);
}

#[test]
fn threads_fill_and_free_one_config() {
    let mut config = ptr::null_mut();
    // SAFETY: a valid place.
    assert_eq!(code(unsafe { karafka_config_new(&raw mut config) }), None);
    let shared = AtomicPtr::new(config);
    thread::scope(|scope| {
        for number in 0..3 {
            let shared = &shared;
            scope.spawn(move || {
                let config = shared.load(Ordering::Relaxed);
                for round in 0..4 {
                    let name = format!("option{number}");
                    // SAFETY: the name has this length.
                    let set = unsafe { karafka_config_set_integer(config, name.as_ptr().cast(), name.len(), round) };
                    assert!(matches!(code(set), None | ARGUMENT));
                }
                karafka_config_free(config);
            });
        }
    });
}
