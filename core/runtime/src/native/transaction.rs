//! Transactions of a producing client: begin, offsets, commit, abort, and what the coordinator never answered.
//!
//! Called by whoever has the transaction, one call at a time, on any thread that may wait: every call but the beginning waits
//! for brokers, up to the time it is given. Deliveries must be read meanwhile, which the producer's own thread does.
//!
//! A request of a transaction whose answer got lost may still be on its way. Brokers cannot tell it from one of the next
//! transaction of the same epoch, and librdkafka sends it again without a word; so requests and answers are counted where
//! librdkafka writes and reads them, and who begins again asks [`Counted::has_unanswered`] first.

use super::producer::NativeProducer;
use super::{code, describe, kind_of, sys, text_of};
use crate::{Error, ErrorKind};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a call about a transaction failed, as librdkafka puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The same call may be made again.
    Retriable,
    /// This transaction has to be aborted.
    Abortable,
    /// The client is of no use any more.
    Fatal,
    /// Neither: the call was made at a wrong time or with something that cannot be.
    Refused,
}

/// The result of a call about a transaction.
pub(crate) type Ended = std::result::Result<(), (Trouble, Error)>;

/// Requests of transactions that were written to a broker, and those that a broker answered; ends among them once more.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    sent: AtomicU64,
    answered: AtomicU64,
    ends_sent: AtomicU64,
    ends_answered: AtomicU64,
}

impl Counted {
    /// Whether a request may still be on its way to a broker, its answer lost.
    pub(crate) fn has_unanswered(&self) -> bool {
        let answered = self.answered.load(Ordering::SeqCst);
        self.sent.load(Ordering::SeqCst) > answered
    }

    /// How many ends were written so far.
    pub(crate) fn ends_sent(&self) -> u64 {
        self.ends_sent.load(Ordering::SeqCst)
    }

    /// Whether an end may still be on its way to a broker, or has arrived without a word.
    pub(crate) fn has_unanswered_end(&self) -> bool {
        let answered = self.ends_answered.load(Ordering::SeqCst);
        self.ends_sent.load(Ordering::SeqCst) > answered
    }

    fn add(api: i16, all: &AtomicU64, ends: &AtomicU64) {
        if REQUESTS.contains(&api) {
            all.fetch_add(1, Ordering::SeqCst);
        }
        if api == END {
            ends.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Kafka's numbers of the requests that change a transaction: of partitions, of a group, its end, offsets.
const REQUESTS: [i16; 4] = [24, 25, END, 28];
const END: i16 = 26;
const NAME: &CStr = c"karafka";

/// Has the requests of a client counted that is made with this configuration.
///
/// # Safety
/// The configuration must be valid, and the counters must outlive the client.
pub(super) unsafe fn count(conf: *mut sys::rd_kafka_conf_t, counted: &Arc<Counted>) {
    let counters = Arc::as_ptr(counted).cast_mut().cast::<c_void>();
    // SAFETY: configuration and name are valid; the counters outlive the client, by the caller's promise.
    let code = unsafe { sys::rd_kafka_conf_interceptor_add_on_new(conf, NAME.as_ptr(), Some(on_new), counters) } as i32;
    if code != code::NO_ERROR {
        tracing::error!(error = %describe(code), "the requests of transactions cannot be counted");
    }
}

thread_local! {
    /// Whether this thread writes requests: librdkafka's threads of brokers do.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _: *const sys::rd_kafka_conf_t,
    counters: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: librdkafka calls this with the client it makes and the counters that it was given.
    unsafe {
        sys::rd_kafka_interceptor_add_on_request_sent(client, NAME.as_ptr(), Some(on_request), counters);
        sys::rd_kafka_interceptor_add_on_response_received(client, NAME.as_ptr(), Some(on_response), counters)
    }
}

/// On librdkafka's threads of brokers.
unsafe extern "C" fn on_request(
    _: *mut sys::rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    api: i16,
    _: i16,
    _: i32,
    _: usize,
    counters: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    WRITES.set(true);
    // SAFETY: the counters outlive the client.
    let counted = unsafe { &*counters.cast::<Counted>() };
    Counted::add(api, &counted.sent, &counted.ends_sent);
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// On the thread of the broker that answered, and once more on librdkafka's main thread, which handles the answer; also for
/// requests that were given up, with an error.
unsafe extern "C" fn on_response(
    _: *mut sys::rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    api: i16,
    _: i16,
    _: i32,
    _: usize,
    _: i64,
    error: sys::rd_kafka_resp_err_t,
    counters: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    if error as i32 == code::NO_ERROR && WRITES.get() {
        // SAFETY: the counters outlive the client.
        let counted = unsafe { &*counters.cast::<Counted>() };
        Counted::add(api, &counted.answered, &counted.ends_answered);
    }
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

impl NativeProducer {
    /// Registers with the coordinator: the producer of the same name before this one is fenced, and what it left open is
    /// aborted. Called again, goes on with what is under way.
    pub(crate) fn init_transactions(&self, timeout: Duration) -> Ended {
        // SAFETY: the client is valid.
        ended(unsafe { sys::rd_kafka_init_transactions(self.as_ptr(), milliseconds(timeout)) }, "begin a transaction")
    }

    /// Begins a transaction. Asks nobody.
    pub(crate) fn begin_transaction(&self) -> Ended {
        // SAFETY: the client is valid.
        ended(unsafe { sys::rd_kafka_begin_transaction(self.as_ptr()) }, "begin a transaction")
    }

    /// Waits for the acknowledgement of what was produced, then commits. Called again, goes on with what is under way.
    pub(crate) fn commit_transaction(&self, timeout: Duration) -> Ended {
        // SAFETY: the client is valid.
        ended(unsafe { sys::rd_kafka_commit_transaction(self.as_ptr(), milliseconds(timeout)) }, "commit a transaction")
    }

    /// Gives up what was not sent and aborts. Called again, goes on with what is under way.
    pub(crate) fn abort_transaction(&self, timeout: Duration) -> Ended {
        // SAFETY: the client is valid.
        ended(unsafe { sys::rd_kafka_abort_transaction(self.as_ptr(), milliseconds(timeout)) }, "abort a transaction")
    }

    /// The requests of this client's transactions; also read when the client is gone.
    pub(crate) fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }

    /// How the cluster names itself; waits for a broker's word.
    pub(crate) fn cluster_id(&self, timeout: Duration) -> Option<String> {
        // SAFETY: the client is valid.
        unsafe { super::client::cluster_id(self.as_ptr(), timeout) }
    }
}

/// Takes ownership of an error object and sorts it; `Ok` for NULL.
pub(super) fn ended(pointer: *mut sys::rd_kafka_error_t, operation: &'static str) -> Ended {
    if pointer.is_null() {
        return Ok(());
    }
    // SAFETY: the object was handed to us; it is read, then destroyed once.
    let (number, text, trouble) = unsafe {
        let number = sys::rd_kafka_error_code(pointer) as i32;
        let text = text_of(sys::rd_kafka_error_string(pointer));
        let trouble = if sys::rd_kafka_error_is_fatal(pointer) != 0 {
            Trouble::Fatal
        } else if sys::rd_kafka_error_txn_requires_abort(pointer) != 0 {
            Trouble::Abortable
        } else if sys::rd_kafka_error_is_retriable(pointer) != 0 {
            Trouble::Retriable
        } else {
            Trouble::Refused
        };
        sys::rd_kafka_error_destroy(pointer);
        (number, text, trouble)
    };
    let kind = match kind_of(number) {
        ErrorKind::Broker => ErrorKind::Transaction,
        kind => kind,
    };
    Err((trouble, Error::new(kind, operation, text).kafka_code(number)))
}

pub(super) fn milliseconds(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX).max(1)
}
