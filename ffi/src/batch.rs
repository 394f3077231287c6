//! Batches as C sees them, and the calls they belong to.
//!
//! Owns the object behind `karafka_batch_t` and `karafka_context_t`: one for each call of a handler, made on the worker's
//! thread, gone with its job or with the last reference that C holds. Read on any thread.

use crate::boundary::{fallible, infallible};
use crate::error::{Fault, c_text, karafka_error_t};
use crate::handle::{self, Handle, Tag, handle};
use crate::handler::Route;
use crate::message::{self, karafka_header_t, karafka_message_t};
use crate::registry::{Pinned, Registry};
use crate::text::Out;
use runtime::lock::Mutex;
use runtime::{Batch, Failure, Job, Verdict};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The messages of one call of a handler, or of one read: of one partition, each virtual partition's in order.
///
/// What a reader gave belongs to whoever got it, and is given back by `karafka_batch_unref`. Else it belongs to the job: with the
/// job's end it is gone, and with it everything that was read from it, unless `karafka_batch_ref` kept it. May be read on any thread.
pub struct karafka_batch_t(());

/// What a handler may know and do beside its messages.
///
/// Belongs to the job and is gone with its end: when the handler has returned or, if it took a completion, when that was
/// used. May be used on any thread until then.
pub struct karafka_context_t(());

handle!(karafka_batch_t, Batch, CallObject);

/// A context is its batch's object under another name: a call makes one object, not two.
impl Handle for karafka_context_t {
    type Object = CallObject;
    const TAG: Tag = Tag::Context;

    fn registry() -> &'static Registry<CallObject> {
        karafka_batch_t::registry()
    }
}

/// The job's own hold on the object; C's references count in steps of [`REFERENCE`].
const JOB: u32 = 1;
const REFERENCE: u32 = 2;

/// One call of a handler.
pub(crate) struct CallObject {
    pub(crate) batch: Batch,
    /// The handler that it was for; none of what a reader gave.
    pub(crate) route: Option<Arc<Route>>,
    messages: OnceLock<Box<[karafka_message_t]>>,
    headers: Mutex<BTreeMap<usize, Box<[karafka_header_t]>>>,
    topic: OnceLock<CString>,
    pub(crate) group: OnceLock<CString>,
    /// The offset metadata, as it was asked for last.
    pub(crate) metadata: Mutex<CString>,
    /// The job, until it ends.
    pub(crate) job: Mutex<Option<Job>>,
    pub(crate) failure: Mutex<Option<Failure>>,
    /// What the handler said is to happen if it fails.
    pub(crate) verdict: Mutex<Verdict>,
    pub(crate) deferred: AtomicBool,
    holds: AtomicU32,
}

// SAFETY: the views hold pointers into the batch's memory, which any thread may read; everything else is `Send`.
unsafe impl Send for CallObject {}
// SAFETY: as above; what changes is behind locks and atomics.
unsafe impl Sync for CallObject {}

impl CallObject {
    pub(crate) fn new(job: Job, route: &Arc<Route>) -> Self {
        Self::of(job.batch().clone(), Some((job, Arc::clone(route))), JOB)
    }

    /// A batch that was read without an app: nothing but C's first reference holds it.
    pub(crate) fn read(batch: Batch) -> Self {
        Self::of(batch, None, REFERENCE)
    }

    fn of(batch: Batch, call: Option<(Job, Arc<Route>)>, holds: u32) -> Self {
        let (job, route) = call.unzip();
        Self {
            batch,
            route,
            messages: OnceLock::new(),
            headers: Mutex::new(BTreeMap::new()),
            topic: OnceLock::new(),
            group: OnceLock::new(),
            metadata: Mutex::new(CString::default()),
            job: Mutex::new(job),
            failure: Mutex::new(None),
            verdict: Mutex::new(Verdict::Unsaid),
            deferred: AtomicBool::new(false),
            holds: AtomicU32::new(holds),
        }
    }

    /// Views of all messages, made at the first look.
    pub(crate) fn messages(&self) -> &[karafka_message_t] {
        self.messages.get_or_init(|| message::views(&self.batch))
    }

    fn add_reference(&self) -> Result<(), Fault> {
        let added = self.holds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |holds| holds.checked_add(REFERENCE));
        added.map(|_| ()).map_err(|_| Fault::argument("the batch has too many references"))
    }

    /// Whether this was the last hold.
    fn drop_reference(&self) -> Result<bool, Fault> {
        let dropped =
            self.holds.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |holds| holds.checked_sub(REFERENCE));
        let before = dropped.map_err(|_| Fault::argument("the batch is given back more often than it was kept"))?;
        Ok(before == REFERENCE)
    }
}

/// Ends a call's job, whoever comes first, and gives it to `end`. Returns whether this was the one.
///
/// The call's object is let go before the job is told, so that the worker frees its messages and nobody else.
pub(crate) fn end_call(
    batch: *const karafka_batch_t,
    call: Pinned<CallObject>,
    end: impl FnOnce(Job, Option<Failure>),
) -> bool {
    let Some(job) = call.job.lock().take() else { return false };
    let failure = call.failure.lock().take();
    if call.holds.fetch_sub(JOB, Ordering::AcqRel) == JOB {
        // The job's hold was the last: nobody else can have closed it.
        let _ = handle::close(batch);
    }
    drop(call);
    end(job, failure);
    true
}

/// How many messages there are; never 0 in a handler.
///
/// Returns: the count; 0 for a value that is no batch.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_length(batch: *const karafka_batch_t) -> usize {
    infallible("karafka_batch_length", 0, || Ok(handle::get(batch)?.batch.len()))
}

/// All messages, in order, as one array of `karafka_batch_length` views. Nothing is copied but pointers and numbers, once for
/// each batch: this is the fast way to read.
///
/// @param messages Gets the array. It lives as long as the batch.
/// @param length Gets the number of messages. May be NULL.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_batch_messages(
    batch: *const karafka_batch_t,
    messages: *mut *const karafka_message_t,
    length: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_batch_messages", || {
        // SAFETY: the header asks for valid places, the length's may be NULL.
        let (out, length) = unsafe { (Out::required(messages, "messages")?, Out::optional(length, "length")?) };
        let call = handle::get(batch)?;
        let views = call.messages();
        length.write(views.len());
        out.write(views.as_ptr());
        Ok(())
    })
}

/// One message by its index, from 0. See `karafka_batch_messages` for reading all.
///
/// Returns: a view that lives as long as the batch; NULL for an index beyond the last and for a value that is no batch.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_message(batch: *const karafka_batch_t, index: usize) -> *const karafka_message_t {
    infallible("karafka_batch_message", std::ptr::null(), || {
        let call = handle::get(batch)?;
        match call.messages().get(index) {
            Some(message) => Ok(std::ptr::from_ref(message)),
            None => Err(Fault::argument(format!("message {index} of a batch of {}", call.batch.len()))),
        }
    })
}

/// The headers of a message, in their order; names may repeat. Read from the message at the first look.
///
/// @param index The message's index in the batch, from 0.
/// @param headers Gets the array, which lives as long as the batch.
/// @param length Gets the number of headers.
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_batch_headers(
    batch: *const karafka_batch_t,
    index: usize,
    headers: *mut *const karafka_header_t,
    length: *mut usize,
) -> *mut karafka_error_t {
    fallible("karafka_batch_headers", || {
        // SAFETY: the header asks for valid places.
        let (out, length) = unsafe { (Out::required(headers, "headers")?, Out::required(length, "length")?) };
        let call = handle::get(batch)?;
        let Some(message) = call.batch.get(index) else {
            return Err(Fault::argument(format!("message {index} of a batch of {}", call.batch.len())));
        };
        let mut known = call.headers.lock();
        let views = known.entry(index).or_insert_with(|| message::header_views(&message.headers()));
        length.write(views.len());
        out.write(views.as_ptr());
        Ok(())
    })
}

/// The topic's name.
///
/// Returns: UTF-8 text that ends with NUL and lives as long as the batch; NULL for a value that is no batch.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_topic(batch: *const karafka_batch_t) -> *const c_char {
    infallible("karafka_batch_topic", std::ptr::null(), || {
        let call = handle::get(batch)?;
        Ok(call.topic.get_or_init(|| c_text(call.batch.topic())).as_ptr())
    })
}

/// The partition's number.
///
/// Returns: -1 for a value that is no batch.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_partition(batch: *const karafka_batch_t) -> i32 {
    infallible("karafka_batch_partition", -1, || Ok(handle::get(batch)?.batch.partition()))
}

/// Keeps a batch, and everything read from it, beyond its job: for reading only, the context ends with the job. Each
/// `karafka_batch_ref` needs one `karafka_batch_unref`. Kept batches hold memory, outside the app's memory budget.
///
/// Errors: `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_ref(batch: *const karafka_batch_t) -> *mut karafka_error_t {
    fallible("karafka_batch_ref", || handle::get(batch)?.add_reference())
}

/// Gives back what `karafka_batch_ref` kept. Takes NULL.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_batch_unref(batch: *const karafka_batch_t) {
    if !batch.is_null() {
        infallible("karafka_batch_unref", (), || {
            if handle::get(batch)?.drop_reference()? { handle::close(batch) } else { Ok(()) }
        });
    }
}
