//! A producing client.
//!
//! Sending is called on any thread and never waits. Deliveries are read from the client's queue by the producer's own
//! thread, so that no user code ever runs on librdkafka's threads.

use super::message::Header;
use super::queue::Queue;
use super::transaction::{self, Counted};
use super::{c_string, configuration, error, sys, taken, text_of};
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use sys::rd_kafka_vtype_t as V;
use sys::rd_kafka_vu_s__bindgen_ty_1 as U;

/// What one call sends. `partition` `None` lets the partitioner choose.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header<'a>],
    pub(crate) timestamp_ms: Option<i64>,
}

/// How one message ended.
pub(crate) struct DeliveryOutcome {
    pub(crate) ticket: u64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    /// 0 when a broker acknowledged it.
    pub(crate) code: i32,
}

pub(crate) enum ProducerEvent {
    Delivered(Vec<DeliveryOutcome>),
    Error { code: i32, fatal: bool, text: String },
    Log { level: i32, facility: String, text: String },
    Other,
}

pub(crate) struct NativeProducer {
    client: NonNull<sys::rd_kafka_t>,
    queue: Option<Queue>,
    // Outlives the client: `Drop` destroys that first.
    pub(super) counted: Arc<Counted>,
}

// SAFETY: librdkafka's clients may be used from any thread.
unsafe impl Send for NativeProducer {}
// SAFETY: sending is thread-safe; the queue is read by one thread, by the producer's construction.
unsafe impl Sync for NativeProducer {}

impl NativeProducer {
    pub(crate) fn new(settings: &[(String, String)], ready: Arc<Ready>) -> Result<Self> {
        let conf = configuration(settings)?;
        let events = sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG;
        let mut text = [0 as c_char; 512];
        let counted = Arc::new(Counted::default());
        let is_transactional = settings.iter().any(|(name, _)| name == "transactional.id");
        // SAFETY: the configuration is ours; a successful `rd_kafka_new` takes it over. The counters outlive the client.
        let client = unsafe {
            sys::rd_kafka_conf_set_events(conf, events);
            if is_transactional {
                transaction::count(conf, &counted);
            }
            sys::rd_kafka_new(sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, conf, text.as_mut_ptr(), text.len())
        };
        let Some(client) = NonNull::new(client) else {
            // SAFETY: after a failure the configuration is still ours.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(Error::new(ErrorKind::Config, "create a producer", text_of(text.as_ptr())));
        };
        // SAFETY: the client is valid; the reference is ours.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_get_main(client.as_ptr()) });
        let queue = queue.map(|queue| {
            // SAFETY: the reference was just given to us; log lines are sent to the same queue.
            unsafe {
                sys::rd_kafka_set_log_queue(client.as_ptr(), queue.as_ptr());
                Queue::from_raw(queue, ready)
            }
        });
        Ok(Self { client, queue, counted })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }

    pub(crate) fn ready(&self) -> Option<&Ready> {
        self.queue.as_ref().map(Queue::ready)
    }

    /// Puts a message on the client's queue; payload, key and headers are copied. Never waits: a full queue is an error of
    /// kind `QueueFull`.
    pub(crate) fn send(&self, message: &Outgoing<'_>, ticket: u64) -> Result<()> {
        let topic = c_string(message.topic, "produce")?;
        let mut arguments = Vec::with_capacity(8);
        let mut add = |vtype, u| arguments.push(sys::rd_kafka_vu_t { vtype, u });
        add(V::RD_KAFKA_VTYPE_TOPIC, U { cstr: topic.as_ptr() });
        if let Some(partition) = message.partition {
            add(V::RD_KAFKA_VTYPE_PARTITION, U { i32_: partition });
        }
        if let Some(payload) = message.payload {
            add(V::RD_KAFKA_VTYPE_VALUE, memory(payload));
        }
        if let Some(key) = message.key {
            add(V::RD_KAFKA_VTYPE_KEY, memory(key));
        }
        if let Some(timestamp) = message.timestamp_ms {
            add(V::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: timestamp });
        }
        add(V::RD_KAFKA_VTYPE_MSGFLAGS, U { i: sys::RD_KAFKA_MSG_F_COPY });
        add(V::RD_KAFKA_VTYPE_OPAQUE, U { ptr: std::ptr::without_provenance_mut::<c_void>(ticket as usize) });
        let headers = native_headers(message.headers);
        if let Some(headers) = headers {
            add(V::RD_KAFKA_VTYPE_HEADERS, U { headers: headers.as_ptr() });
        }
        // SAFETY: every pointer in the list is valid for the call; memory is copied; headers are taken over on success.
        let outcome = taken(
            unsafe { sys::rd_kafka_produceva(self.client.as_ptr(), arguments.as_ptr(), arguments.len()) },
            "produce",
        );
        if outcome.is_err()
            && let Some(headers) = headers
        {
            // SAFETY: after a failure the headers are still ours.
            unsafe { sys::rd_kafka_headers_destroy(headers.as_ptr()) };
        }
        outcome.map_err(|error| error.with("topic", message.topic))
    }

    /// The next event that is there, without waiting.
    pub(crate) fn event(&self) -> Option<ProducerEvent> {
        let event = self.queue.as_ref()?.event()?;
        // SAFETY: the event was just handed over; it is read by accessors of its own type and destroyed once.
        unsafe {
            let raw = event.as_ptr();
            let read = match sys::rd_kafka_event_type(raw) {
                sys::RD_KAFKA_EVENT_DR => ProducerEvent::Delivered(delivered(raw)),
                sys::RD_KAFKA_EVENT_ERROR => ProducerEvent::Error {
                    code: sys::rd_kafka_event_error(raw) as i32,
                    fatal: sys::rd_kafka_event_error_is_fatal(raw) != 0,
                    text: text_of(sys::rd_kafka_event_error_string(raw)),
                },
                sys::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
                    sys::rd_kafka_event_log(raw, &raw mut facility, &raw mut text, &raw mut level);
                    ProducerEvent::Log { level, facility: text_of(facility), text: text_of(text) }
                }
                _ => ProducerEvent::Other,
            };
            sys::rd_kafka_event_destroy(raw);
            Some(read)
        }
    }

    /// The number of partitions of a topic, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        // SAFETY: the client is valid.
        unsafe { super::partition_count(self.client.as_ptr(), topic, timeout_ms) }
    }

    /// Asks librdkafka to send what lingers now. Does not wait.
    pub(crate) fn hurry(&self) {
        // SAFETY: the client is valid; a timeout of 0 does not wait. What is still in flight is told by the result, which
        // the caller learns from deliveries instead.
        unsafe { sys::rd_kafka_flush(self.client.as_ptr(), 0) };
    }

    /// Gives up every message that is not acknowledged; each is then reported as failed.
    pub(crate) fn purge(&self) {
        let flags = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is valid.
        let code = unsafe { sys::rd_kafka_purge(self.client.as_ptr(), flags) } as i32;
        if code != super::code::NO_ERROR {
            tracing::warn!(error = %error(code, "purge"), "unacknowledged messages could not be given up");
        }
    }

    pub(crate) fn fatal_error(&self) -> Option<(i32, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the client is valid; the buffer's size is given.
        let code = unsafe { sys::rd_kafka_fatal_error(self.client.as_ptr(), text.as_mut_ptr(), text.len()) } as i32;
        (code != 0).then(|| (code, text_of(text.as_ptr())))
    }
}

impl Drop for NativeProducer {
    /// May wait for librdkafka's threads to end.
    fn drop(&mut self) {
        self.queue = None;
        // SAFETY: the client is ours; its queue was given back.
        unsafe { sys::rd_kafka_destroy(self.client.as_ptr()) };
    }
}

fn memory(bytes: &[u8]) -> U {
    U {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: bytes.as_ptr().cast_mut().cast::<c_void>(),
            size: bytes.len(),
        },
    }
}

fn native_headers(headers: &[Header<'_>]) -> Option<NonNull<sys::rd_kafka_headers_t>> {
    if headers.is_empty() {
        return None;
    }
    // SAFETY: creates a list that is ours until it is handed over.
    let list = NonNull::new(unsafe { sys::rd_kafka_headers_new(headers.len()) })?;
    for header in headers {
        let (value, size) = match header.value {
            Some(value) => (value.as_ptr().cast::<c_void>(), value.len()),
            None => (std::ptr::null(), 0),
        };
        // SAFETY: name and value are valid for the call and are copied.
        unsafe {
            sys::rd_kafka_header_add(
                list.as_ptr(),
                header.name.as_ptr().cast::<c_char>(),
                isize::try_from(header.name.len()).unwrap_or(isize::MAX),
                value,
                isize::try_from(size).unwrap_or(isize::MAX),
            );
        }
    }
    Some(list)
}

/// # Safety
/// `event` must be a valid delivery report.
unsafe fn delivered(event: *mut sys::rd_kafka_event_t) -> Vec<DeliveryOutcome> {
    let mut outcomes = Vec::new();
    loop {
        // SAFETY: the event is valid; its messages live as long as it and are read, not kept.
        unsafe {
            let message = sys::rd_kafka_event_message_next(event);
            if message.is_null() {
                return outcomes;
            }
            let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            outcomes.push(DeliveryOutcome {
                ticket: (*message)._private as u64,
                partition: (*message).partition,
                offset: (*message).offset,
                timestamp_ms: sys::rd_kafka_message_timestamp(message, &raw mut kind),
                code: (&raw const (*message).err).cast::<i32>().read(),
            });
        }
    }
}
