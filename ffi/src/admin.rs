//! Administration from C: one question for everything, and answers that are read by paths.
//!
//! Owns `karafka_admin_t` and `karafka_answer_t`. Called on any thread, by several at once.

use crate::boundary::{fallible, infallible};
use crate::config::{self, karafka_config_t};
use crate::error::{c_text, karafka_error_t};
use crate::handle::{self, handle};
use crate::text::{Out, patience, text};
use runtime::lock::Mutex;
use runtime::{Admin, AdminConfig, Answer};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr;

/// Asks a cluster about itself, and changes what it keeps.
///
/// Owned by whoever made it, freed by `karafka_admin_free`. May be used on any thread, by several at once.
pub struct karafka_admin_t(());

/// What an admin answered: lists, maps and values, read by paths.
///
/// Owned by whoever got it, freed by `karafka_answer_free`. May be read on any thread.
pub struct karafka_answer_t(());

handle!(karafka_admin_t, Admin, Admin);
handle!(karafka_answer_t, Answer, AnswerObject);

pub(crate) struct AnswerObject {
    answer: Answer,
    /// What was asked for so far, by its path; it stays where it is.
    texts: Mutex<BTreeMap<String, Option<CString>>>,
}

impl AnswerObject {
    fn text(&self, path: &str, read: impl FnOnce(&Answer) -> Option<String>) -> *const c_char {
        let mut texts = self.texts.lock();
        let kept = texts.entry(path.to_owned()).or_insert_with(|| read(&self.answer).map(|text| c_text(&text)));
        kept.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    }
}

/// Connects to a cluster, and waits for its first answer. Blocks, at most the option `timeout`.
///
/// @param config The admin's options; NULL for defaults. Read, not kept.
/// @param admin Gets the admin, to be freed by `karafka_admin_free`.
/// Errors: `CONFIG` for a bad option; `AUTH` when the cluster does not let us in; `BROKER` when nobody answers in time; `ARGUMENT`,
/// `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_admin_new(
    config: *const karafka_config_t,
    admin: *mut *mut karafka_admin_t,
) -> *mut karafka_error_t {
    fallible("karafka_admin_new", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(admin, "admin")? };
        let config = AdminConfig::from_settings(&config::settings(config)?)?;
        out.write(handle::open(Admin::new(config)?)?);
        Ok(())
    })
}

/// Asks the cluster something, or has it do something: all calls and their arguments are listed in docs/admin/topics.md. Blocks.
///
/// What is done to several items is answered by a list with an entry for each: its `item`, and its `value`, or its `error` with `kind`,
/// `text` and `code`. The other items are done all the same.
///
/// @param request An object of JSON, not ended by NUL: `{"call": "topic", "name": "orders"}`.
/// @param timeout_ms Milliseconds; -1 for the option `timeout`.
/// @param answer Gets the answer, to be freed by `karafka_answer_free`.
/// Errors: `CONFIG` for a request that is none; `BROKER`, `AUTH`; `TIMEOUT` (retriable) when nobody answers in time; `UNSUPPORTED` for
/// what an embedded broker cannot do; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_admin_ask(
    admin: *mut karafka_admin_t,
    request: *const c_char,
    request_length: usize,
    timeout_ms: i64,
    answer: *mut *mut karafka_answer_t,
) -> *mut karafka_error_t {
    fallible("karafka_admin_ask", || {
        // SAFETY: the header asks for NULL or a valid place, and for a pointer with its length.
        let (out, request) =
            unsafe { (Out::required(answer, "answer")?, text(request, request_length, "the request")?) };
        let timeout = patience(timeout_ms)?;
        let admin = handle::get(admin.cast_const())?;
        let answer = match timeout {
            Some(timeout) => admin.with_timeout(timeout).ask(request)?,
            None => admin.ask(request)?,
        };
        out.write(handle::open(AnswerObject { answer, texts: Mutex::default() })?);
        Ok(())
    })
}

/// Disconnects. Takes NULL. Calls that run on other threads end first.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_admin_free(admin: *mut karafka_admin_t) {
    handle::free("karafka_admin_free", admin);
}

/// The whole answer, as JSON.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the answer; NULL for a value that is no answer.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_answer_text(answer: *const karafka_answer_t) -> *const c_char {
    // A path that leads nowhere: no field has this place.
    const WHOLE: &str = "whole";
    infallible("karafka_answer_text", ptr::null(), || {
        Ok(handle::get(answer)?.text(WHOLE, |answer| Some(answer.to_string())))
    })
}

/// What is at a path, such as "/0/partitions/1/leader": numbers count the values of a list from 0, names are those of a map (RFC 6901).
/// Texts are as they are, numbers and truths as JSON writes them, lists and maps are JSON.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the answer; NULL where there is nothing, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_answer_field(
    answer: *const karafka_answer_t,
    path: *const c_char,
    path_length: usize,
) -> *const c_char {
    infallible("karafka_answer_field", ptr::null(), || {
        // SAFETY: the header asks for a pointer with its length.
        let path = unsafe { text(path, path_length, "the path")? };
        let answer = handle::get(answer)?;
        Ok(if path.is_empty() || path.starts_with('/') {
            answer.text(path, |answer| answer.field(path))
        } else {
            ptr::null()
        })
    })
}

/// How many values the list or map at a path has.
///
/// @param path As for `karafka_answer_field`; an empty one is the whole answer.
/// Returns: 0 where there is neither a list nor a map.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_answer_count(
    answer: *const karafka_answer_t,
    path: *const c_char,
    path_length: usize,
) -> usize {
    infallible("karafka_answer_count", 0, || {
        // SAFETY: the header asks for a pointer with its length.
        let path = unsafe { text(path, path_length, "the path")? };
        Ok(handle::get(answer)?.answer.count(path))
    })
}

/// Frees an answer and its texts. Takes NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_answer_free(answer: *mut karafka_answer_t) {
    handle::free("karafka_answer_free", answer);
}
