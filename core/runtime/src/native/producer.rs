//! A producing client.
//!
//! Sending is called on any thread and never waits. Deliveries are read from the client's queue by the one thread that serves
//! all producers, so that no user code ever runs on librdkafka's threads.

use super::message::Header;
use super::queue::Queue;
use super::statistics::{self, RawStatistics};
use super::transaction::{self, Counted};
use super::{c_string, configuration, error, sys, taken, text_of};
use crate::producer::{Delivery, Lot};
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use sys::rd_kafka_vtype_t as V;
use sys::rd_kafka_vu_s__bindgen_ty_1 as U;

/// librdkafka's word for a partition that its partitioner is to choose: the header has it as a macro.
pub(super) const UNASSIGNED: i32 = -1;

/// Reports that are handed on together: few enough to stay in a processor's cache until they were told.
const AT_ONCE: usize = 256;

/// What one call sends. `partition` `None` lets librdkafka's partitioner choose.
pub(crate) struct Outgoing<'a> {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header<'a>],
    pub(crate) timestamp_ms: Option<i64>,
}

/// How one message ended.
pub(crate) struct DeliveryOutcome {
    pub(crate) delivery: Delivery,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    /// 0 when a broker acknowledged it.
    pub(crate) code: i32,
}

pub(crate) enum ProducerEvent {
    /// All outcomes were handed on.
    Delivered,
    /// How the client does.
    Statistics(Box<RawStatistics>),
    Error {
        code: i32,
        fatal: bool,
        text: String,
    },
    Log {
        level: i32,
        facility: String,
        text: String,
    },
    Other,
}

/// librdkafka's state of a topic, which saves looking it up by name for each record. It must be dropped before its client.
pub(crate) struct NativeTopic(NonNull<sys::rd_kafka_topic_t>);

impl NativeTopic {
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

// SAFETY: librdkafka's topics may be used from any thread.
unsafe impl Send for NativeTopic {}
// SAFETY: as above.
unsafe impl Sync for NativeTopic {}

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

/// How a key becomes a partition: librdkafka's own functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    Crc32,
    Murmur2,
    Fnv1a,
}

impl Hashing {
    /// The partition of a key among `count`, which is at least 1.
    pub(crate) fn partition(self, key: &[u8], count: i32) -> i32 {
        let (bytes, none) = (key.as_ptr().cast::<c_void>(), std::ptr::null_mut());
        // SAFETY: the key is valid for the call; these three read only key, length and count.
        unsafe {
            match self {
                Self::Crc32 => {
                    sys::rd_kafka_msg_partitioner_consistent(std::ptr::null(), bytes, key.len(), count, none, none)
                }
                Self::Murmur2 => {
                    sys::rd_kafka_msg_partitioner_murmur2(std::ptr::null(), bytes, key.len(), count, none, none)
                }
                Self::Fnv1a => {
                    sys::rd_kafka_msg_partitioner_fnv1a(std::ptr::null(), bytes, key.len(), count, none, none)
                }
            }
        }
    }
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
        let events =
            sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_STATS | sys::RD_KAFKA_EVENT_LOG;
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

    /// librdkafka's state of a topic by this name.
    pub(crate) fn topic(&self, name: &str) -> Result<NativeTopic> {
        let name = c_string(name, "produce")?;
        // SAFETY: client and name are valid; without a configuration the client's own counts. The reference is ours.
        let topic = unsafe { sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), std::ptr::null_mut()) };
        let Some(topic) = NonNull::new(topic) else {
            // SAFETY: reads this thread's last error.
            return Err(error(unsafe { sys::rd_kafka_last_error() } as i32, "produce"));
        };
        Ok(NativeTopic(topic))
    }

    /// Puts a message on the client's queue; payload, key and headers are copied. Never waits: a full queue is an error of
    /// kind `QueueFull`. The handle comes back with the message's outcome.
    pub(crate) fn send(&self, topic: &NativeTopic, message: &Outgoing<'_>, delivery: Delivery) -> Result<()> {
        if message.headers.is_empty() && message.timestamp_ms.is_none() {
            return send_plain(topic, message, delivery);
        }
        let topic_argument = (V::RD_KAFKA_VTYPE_RKT, U { rkt: topic.0.as_ptr() });
        let partition = message.partition.unwrap_or(UNASSIGNED);
        let ticket = ticket(delivery);
        let headers = native_headers(message.headers);
        let absent = (V::RD_KAFKA_VTYPE_END, U { i: 0 });
        let arguments = [
            topic_argument,
            (V::RD_KAFKA_VTYPE_PARTITION, U { i32_: partition }),
            (V::RD_KAFKA_VTYPE_MSGFLAGS, U { i: sys::RD_KAFKA_MSG_F_COPY }),
            (V::RD_KAFKA_VTYPE_OPAQUE, U { ptr: ticket }),
            (V::RD_KAFKA_VTYPE_VALUE, message.payload.map_or(U { mem: nothing() }, memory)),
            (V::RD_KAFKA_VTYPE_KEY, message.key.map_or(U { mem: nothing() }, memory)),
            (V::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: message.timestamp_ms.unwrap_or(0) }),
            headers.map_or(absent, |headers| (V::RD_KAFKA_VTYPE_HEADERS, U { headers: headers.as_ptr() })),
        ];
        let arguments = arguments.map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
        let count = arguments.len() - usize::from(headers.is_none());
        // SAFETY: every pointer in the list is valid for the call; memory is copied; headers are taken over on success.
        let outcome =
            taken(unsafe { sys::rd_kafka_produceva(self.client.as_ptr(), arguments.as_ptr(), count) }, "produce");
        if outcome.is_err() {
            // SAFETY: after a failure the headers and the handle are still ours.
            unsafe {
                if let Some(headers) = headers {
                    sys::rd_kafka_headers_destroy(headers.as_ptr());
                }
                drop(redeemed(ticket));
            }
        }
        outcome
    }

    /// The next event that is there, without waiting. Deliveries are handed on by some hundreds in the list `outcomes`, which
    /// `take` empties.
    pub(crate) fn event(
        &self,
        outcomes: &mut Vec<DeliveryOutcome>,
        mut take: impl FnMut(&mut Vec<DeliveryOutcome>),
    ) -> Option<ProducerEvent> {
        let event = self.queue.as_ref()?.event()?;
        // SAFETY: the event was just handed over; it is read by accessors of its own type and destroyed once.
        unsafe {
            let raw = event.as_ptr();
            let read = match sys::rd_kafka_event_type(raw) {
                sys::RD_KAFKA_EVENT_DR => {
                    while delivered(raw, outcomes) {
                        self.name_fatal_error(outcomes);
                        take(outcomes);
                    }
                    ProducerEvent::Delivered
                }
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
                sys::RD_KAFKA_EVENT_STATS => {
                    let told = statistics::read(&text_of(sys::rd_kafka_event_stats(raw)));
                    told.map_or(ProducerEvent::Other, ProducerEvent::Statistics)
                }
                _ => ProducerEvent::Other,
            };
            sys::rd_kafka_event_destroy(raw);
            Some(read)
        }
    }

    /// A fatal error throws away what waits: that error is the reason then, and no close.
    fn name_fatal_error(&self, outcomes: &mut [DeliveryOutcome]) {
        let is_purged = |outcome: &DeliveryOutcome| {
            outcome.code == super::code::PURGED_IN_QUEUE || outcome.code == super::code::PURGED_IN_FLIGHT
        };
        if outcomes.iter().any(is_purged)
            && let Some((number, _)) = self.fatal_error()
        {
            outcomes.iter_mut().filter(|outcome| is_purged(outcome)).for_each(|outcome| outcome.code = number);
        }
    }

    /// The number of partitions of a topic, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        // SAFETY: the client is valid.
        unsafe { super::partition_count(self.client.as_ptr(), topic, timeout_ms) }
    }

    /// Sends what lingers at once and waits until every message has ended, or `timeout` has passed. Their reports are read
    /// elsewhere meanwhile.
    pub(crate) fn flush(&self, timeout: Duration) {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client is valid. What is still on its way is counted elsewhere.
        unsafe { sys::rd_kafka_flush(self.client.as_ptr(), milliseconds) };
    }

    /// Gives up every message that is not acknowledged; each is then reported as failed. Waits for librdkafka's threads to do
    /// so.
    pub(crate) fn purge(&self) {
        let flags = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT;
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

/// [`NativeProducer::send`] of what most messages have: librdkafka takes it without a list of arguments, which it would go through one
/// by one.
fn send_plain(topic: &NativeTopic, message: &Outgoing<'_>, delivery: Delivery) -> Result<()> {
    let parts = |bytes: Option<&[u8]>| bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    let ((payload, payload_length), (key, key_length)) = (parts(message.payload), parts(message.key));
    let ticket = ticket(delivery);
    // SAFETY: topic, payload and key are valid for the call, and memory is copied. After a failure, whose reason is asked for on
    // the same thread, the handle is still ours.
    unsafe {
        let refused = sys::rd_kafka_produce(
            topic.0.as_ptr(),
            message.partition.unwrap_or(UNASSIGNED),
            sys::RD_KAFKA_MSG_F_COPY,
            payload.cast_mut().cast::<c_void>(),
            payload_length,
            key.cast::<c_void>(),
            key_length,
            ticket,
        );
        if refused == 0 {
            return Ok(());
        }
        let number = sys::rd_kafka_last_error() as i32;
        drop(redeemed(ticket));
        Err(error(number, "produce"))
    }
}

/// A handle as librdkafka carries it: the address of its lot, with its number in the low byte.
pub(super) fn ticket(delivery: Delivery) -> *mut c_void {
    const { assert!(align_of::<Lot>() > u8::MAX as usize) };
    let (lot, number) = delivery.into_place();
    Arc::into_raw(lot).cast_mut().cast::<c_void>().wrapping_byte_add(usize::from(number))
}

/// # Safety
/// `ticket` must come from [`ticket`], and be redeemed once.
pub(super) unsafe fn redeemed(ticket: *mut c_void) -> Delivery {
    let number = (ticket.addr() & usize::from(u8::MAX)) as u8;
    // SAFETY: without the number it is the address that the lot's reference was made into.
    let lot = unsafe { Arc::from_raw(ticket.wrapping_byte_sub(usize::from(number)).cast::<Lot>()) };
    Delivery::of(lot, number)
}

type Memory = sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1;

const fn nothing() -> Memory {
    Memory { ptr: std::ptr::null_mut(), size: 0 }
}

fn memory(bytes: &[u8]) -> U {
    U { mem: Memory { ptr: bytes.as_ptr().cast_mut().cast::<c_void>(), size: bytes.len() } }
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

/// Reads the next reports into the list; whether there were any.
///
/// # Safety
/// `event` must be a valid delivery report of messages that [`NativeProducer::send`] sent.
unsafe fn delivered(event: *mut sys::rd_kafka_event_t, outcomes: &mut Vec<DeliveryOutcome>) -> bool {
    while outcomes.len() < AT_ONCE {
        // SAFETY: the event is valid; its messages live as long as it and are read, not kept. Each message is reported once, and
        // holds its handle until then.
        unsafe {
            let message = sys::rd_kafka_event_message_next(event);
            if message.is_null() {
                break;
            }
            let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            outcomes.push(DeliveryOutcome {
                delivery: redeemed((*message)._private),
                partition: (*message).partition,
                offset: (*message).offset,
                timestamp_ms: sys::rd_kafka_message_timestamp(message, &raw mut kind),
                code: (&raw const (*message).err).cast::<i32>().read(),
            });
        }
    }
    !outcomes.is_empty()
}
