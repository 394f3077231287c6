//! Questions and orders to a cluster by librdkafka's admin calls.
//!
//! Called on the threads of admins; each waits for its answer, within the given timeout. What librdkafka takes is copied by it, and
//! freed here. Every item of an answer has an outcome of its own: code 0 and an empty text, or an error.

mod acls;
mod configs;
mod groups;
mod topics;

pub(crate) use acls::{RawAcl, RawAclFilter};
pub(crate) use configs::{Origin, RawConfigEntry, RawResource};
pub(crate) use groups::{RawGroupListing, RawMember};
pub(crate) use topics::RawNewTopic;

use super::{sys, text_of};
use std::ffi::c_char;

/// An item's name, and the code and text of its error.
pub(crate) type Outcome = (String, i32, String);

/// Objects of librdkafka that are ours until they are dropped.
struct Owned<T> {
    items: Vec<*mut T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Self { items: Vec::new(), destroy }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        for item in &self.items {
            // SAFETY: each object is ours and is destroyed once, by the function for its type.
            unsafe { (self.destroy)(*item) };
        }
    }
}

/// # Safety
/// `results` must be a list of as many results, valid for the call.
unsafe fn topic_outcomes(results: *mut *const sys::rd_kafka_topic_result_t, count: usize) -> Vec<Outcome> {
    // SAFETY: promised by the caller.
    let one = |at| unsafe {
        let result = *results.add(at);
        let number = sys::rd_kafka_topic_result_error(result) as i32;
        let text = text_of(sys::rd_kafka_topic_result_error_string(result));
        (text_of(sys::rd_kafka_topic_result_name(result)), number, text)
    };
    (0..count).map(one).collect()
}

/// Code and text of an error object that is not ours; 0 for NULL.
///
/// # Safety
/// The pointer must be NULL or a valid error.
unsafe fn told(error: *const sys::rd_kafka_error_t) -> (i32, String) {
    if error.is_null() {
        return (0, String::new());
    }
    // SAFETY: promised by the caller.
    unsafe { (sys::rd_kafka_error_code(error) as i32, text_of(sys::rd_kafka_error_string(error))) }
}

/// A text that may be missing.
fn optional(pointer: *const c_char) -> Option<String> {
    (!pointer.is_null()).then(|| text_of(pointer))
}
