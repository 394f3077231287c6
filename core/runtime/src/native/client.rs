//! A client that belongs to no group: it asks brokers, and waits for their answers.
//!
//! Owned by an admin or a reader; called on their callers' threads, of which several may ask at once. Every call that waits is
//! bounded by the timeout it is given. A request that nobody waits for any more is answered into nothing, when the answer comes
//! or the client ends: librdkafka's own timeouts leave freed objects behind while a coordinator is away (its issues 3663 and
//! 4605).

use super::partitions::{List, PartitionOffset};
use super::queue::Queue;
use super::{c_string, code, configuration, error, sys, taken, text_of};
use crate::lock::Mutex;
use crate::wake::{Ready, Waker};
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::rd_kafka_admin_op_t as Operation;

/// The longest that librdkafka takes: it never gives up before whoever asked.
const REQUEST_TIMEOUT_MS: i32 = 3_600_000;
/// Between two requests to a group's coordinator that was not ready.
const UNSETTLED: Duration = Duration::from_millis(100);

/// A partition as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPartitionState {
    pub(crate) partition: i32,
    /// Negative while there is none.
    pub(crate) leader: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
    pub(crate) code: i32,
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawTopicState {
    pub(crate) name: String,
    pub(crate) code: i32,
    pub(crate) partitions: Vec<RawPartitionState>,
}

/// What a broker says about its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawCluster {
    /// Number, host and port.
    pub(crate) brokers: Vec<(i32, String, i32)>,
    pub(crate) topics: Vec<RawTopicState>,
}

pub(crate) struct Client {
    pointer: NonNull<sys::rd_kafka_t>,
    // Under a lock because several threads may ask at once; it is held for polls that do not wait.
    main: Mutex<Option<Queue>>,
    complaint: Mutex<Option<(i32, String)>>,
}

// SAFETY: librdkafka's clients may be used from any thread, and from several at once.
unsafe impl Send for Client {}
// SAFETY: as above; the queue is under a lock.
unsafe impl Sync for Client {}

impl Client {
    /// Makes a client, which connects in the background. It is a consumer of librdkafka's, because a producer makes topics that it
    /// asks about. `ready` is raised when there is news.
    pub(crate) fn new(settings: &[(String, String)], ready: Option<Arc<Ready>>) -> Result<Self> {
        const OPERATION: &str = "create a client";
        let conf = configuration(settings)?;
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration is ours; a successful `rd_kafka_new` takes it over.
        let client = unsafe {
            sys::rd_kafka_conf_set_events(conf, sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG);
            sys::rd_kafka_new(sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, conf, text.as_mut_ptr(), text.len())
        };
        let Some(pointer) = NonNull::new(client) else {
            // SAFETY: after a failure the configuration is still ours.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(Error::new(ErrorKind::Config, OPERATION, text_of(text.as_ptr())));
        };
        let ready = ready.unwrap_or_else(|| Ready::new(0, Arc::new(Waker::new(Parker::new().unparker().clone()))));
        // SAFETY: the client is valid; the reference is ours.
        let main = NonNull::new(unsafe { sys::rd_kafka_queue_get_main(pointer.as_ptr()) });
        let main = main.map(|queue| {
            // SAFETY: the reference was just given to us; log lines are sent to the same queue.
            unsafe {
                sys::rd_kafka_set_log_queue(pointer.as_ptr(), queue.as_ptr());
                Queue::from_raw(queue, ready)
            }
        });
        Ok(Self { pointer, main: Mutex::new(main), complaint: Mutex::new(None) })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.pointer.as_ptr()
    }

    /// Reads what librdkafka has to tell, without waiting: its log goes to ours, its last error is kept.
    pub(crate) fn listen(&self) {
        let main = self.main.lock();
        let Some(queue) = main.as_ref() else { return };
        queue.ready().lower();
        while let Some(event) = queue.event() {
            let event = Answer(event);
            let raw = event.as_ptr();
            // SAFETY: the event is ours; each accessor is used on an event of its own type.
            unsafe {
                match sys::rd_kafka_event_type(raw) {
                    sys::RD_KAFKA_EVENT_ERROR => {
                        let number = sys::rd_kafka_event_error(raw) as i32;
                        let text = text_of(sys::rd_kafka_event_error_string(raw));
                        tracing::debug!(number, text, "client");
                        let mut complaint = self.complaint.lock();
                        // That all brokers are down is no reason; what came before it is.
                        if number != code::ALL_BROKERS_DOWN || complaint.is_none() {
                            *complaint = Some((number, text));
                        }
                    }
                    sys::RD_KAFKA_EVENT_LOG => {
                        let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
                        sys::rd_kafka_event_log(raw, &raw mut facility, &raw mut text, &raw mut level);
                        crate::poller::log(level, &text_of(facility), &text_of(text));
                    }
                    _ => {}
                }
            }
        }
    }

    /// The last error that librdkafka told since this was asked last.
    pub(crate) fn complaint(&self) -> Option<(i32, String)> {
        self.listen();
        self.complaint.lock().take()
    }

    /// That nobody answered in time, with librdkafka's reason where it has one.
    pub(crate) fn silence(&self, operation: &'static str, timeout: Duration) -> Error {
        let Some((number, reason)) = self.complaint() else {
            let message = format!("no broker answered within {timeout:?}; nothing was refused, and nothing came back");
            return Error::new(ErrorKind::Timeout, operation, message).retriable();
        };
        let kind = match super::kind_of(number) {
            ErrorKind::Auth => ErrorKind::Auth,
            _ => ErrorKind::Timeout,
        };
        let message = format!("no broker answered within {timeout:?}: {reason}");
        Error::new(kind, operation, message).kafka_code(number).retriable()
    }

    /// What a broker says about one topic, or all of them.
    pub(crate) fn cluster(
        &self,
        topic: Option<&str>,
        operation: &'static str,
        timeout: Duration,
    ) -> Result<RawCluster> {
        let name = topic.map(|topic| c_string(topic, operation)).transpose()?;
        let mut metadata: *const sys::rd_kafka_metadata_t = std::ptr::null();
        // SAFETY: handles are valid; the topic handle is given back once. The code is read as an integer.
        let number = unsafe {
            let handle = match &name {
                Some(name) => sys::rd_kafka_topic_new(self.as_ptr(), name.as_ptr(), std::ptr::null_mut()),
                None => std::ptr::null_mut(),
            };
            let everything = i32::from(handle.is_null());
            let number = sys::rd_kafka_metadata(
                self.as_ptr(),
                everything,
                handle,
                (&raw mut metadata).cast(),
                milliseconds(timeout),
            ) as i32;
            if !handle.is_null() {
                sys::rd_kafka_topic_destroy(handle);
            }
            number
        };
        let Some(metadata) = NonNull::new(metadata.cast_mut()) else {
            return Err(match number {
                code::TIMED_OUT | code::TRANSPORT | code::ALL_BROKERS_DOWN => self.silence(operation, timeout),
                number => error(number, operation),
            });
        };
        // SAFETY: the metadata is valid, and destroyed once after it was copied.
        unsafe {
            let read = read_metadata(metadata.as_ref());
            sys::rd_kafka_metadata_destroy(metadata.as_ptr());
            Ok(read)
        }
    }

    /// How the cluster names itself, if a broker says so in time.
    pub(crate) fn cluster_id(&self, timeout: Duration) -> Option<String> {
        // SAFETY: the client is valid.
        unsafe { cluster_id(self.as_ptr(), timeout) }
    }

    /// Sends a request by `send`, and waits for its answer: again, as long as there is time, while a group's coordinator has just
    /// changed or still reads its offsets. `prepare` sets the request's options.
    pub(super) fn ask(
        &self,
        kind: Operation,
        operation: &'static str,
        timeout: Duration,
        prepare: impl FnOnce(*mut sys::rd_kafka_AdminOptions_t) -> Result<()>,
        mut send: impl FnMut(*mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Result<Answer> {
        // SAFETY: the client is valid; options and queue are ours and given back once. An answer to a queue that was given back
        // is freed by librdkafka.
        unsafe {
            let options = Options(sys::rd_kafka_AdminOptions_new(self.as_ptr(), kind));
            let queue = OwnQueue(sys::rd_kafka_queue_new(self.as_ptr()));
            let mut text = [0 as c_char; 256];
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options.0,
                REQUEST_TIMEOUT_MS,
                text.as_mut_ptr(),
                text.len(),
            );
            prepare(options.0)?;
            let deadline = Instant::now() + timeout;
            loop {
                send(options.0, queue.0);
                let left = deadline.saturating_duration_since(Instant::now());
                let Some(event) = NonNull::new(sys::rd_kafka_queue_poll(queue.0, milliseconds(left))) else {
                    return Err(self.silence(operation, timeout));
                };
                let answer = Answer(event);
                let number = sys::rd_kafka_event_error(answer.as_ptr()) as i32;
                let left = deadline.saturating_duration_since(Instant::now());
                if number == code::NO_ERROR {
                    return Ok(answer);
                }
                if number == code::TIMED_OUT || number == code::TRANSPORT {
                    return Err(self.silence(operation, timeout.saturating_sub(left)));
                }
                if is_unsettled(number) && left > UNSETTLED {
                    // Nothing tells of the moment. The queue is empty until the next request.
                    sys::rd_kafka_queue_poll(queue.0, milliseconds(UNSETTLED));
                    continue;
                }
                let text = text_of(sys::rd_kafka_event_error_string(answer.as_ptr()));
                let text = if text.is_empty() { super::describe(number) } else { text };
                return Err(Error::new(super::kind_of(number), operation, text).kafka_code(number));
            }
        }
    }

    /// Where times, beginnings (−2) and ends (−1) of partitions are, which `asked` holds as offsets. Each answer has an offset
    /// (none where there is no record of that time or later) or a code of its own.
    pub(crate) fn list_offsets(
        &self,
        asked: &[PartitionOffset],
        is_committed: bool,
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>> {
        const OPERATION: &str = "look offsets up";
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let list = List::new(asked)
            .ok_or_else(|| Error::new(ErrorKind::Config, OPERATION, "a topic's name contains a NUL byte"))?;
        let prepare = |options| {
            let level = if is_committed {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            } else {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            };
            // SAFETY: the options are valid.
            taken(unsafe { sys::rd_kafka_AdminOptions_set_isolation_level(options, level) }, OPERATION)
        };
        // SAFETY: client, list, options and queue are valid; librdkafka copies the list and the options.
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| unsafe {
            sys::rd_kafka_ListOffsets(self.as_ptr(), list.as_ptr(), options, queue);
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(answer.as_ptr());
            let mut count = 0;
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let mut found = Vec::with_capacity(count);
            for position in 0..count {
                let element = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(position));
                let offset = (*element).offset;
                found.push(PartitionOffset {
                    topic: text_of((*element).topic),
                    partition: (*element).partition,
                    offset: (offset >= 0).then_some(offset),
                    metadata: None,
                    code: (&raw const (*element).err).cast::<i32>().read(),
                });
            }
            Ok(found)
        }
    }
}

impl Drop for Client {
    /// May wait for librdkafka's threads to end.
    fn drop(&mut self) {
        *self.main.lock() = None;
        // SAFETY: the client is ours; its queue was given back.
        unsafe { sys::rd_kafka_destroy(self.as_ptr()) };
    }
}

/// An event that is ours, destroyed with this value.
pub(super) struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours and is destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) };
    }
}

struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are ours and are destroyed once.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

struct OwnQueue(*mut sys::rd_kafka_queue_t);

impl Drop for OwnQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and is given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.0) };
    }
}

/// Whether a coordinator says that it is not one yet, or no more. Nothing was done, also by requests that change something.
fn is_unsettled(number: i32) -> bool {
    matches!(number, code::COORDINATOR_LOADING | code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR)
}

/// The name of a client's cluster, as far as brokers tell it in time.
///
/// # Safety
/// The client is valid.
pub(super) unsafe fn cluster_id(client: *mut sys::rd_kafka_t, timeout: Duration) -> Option<String> {
    // SAFETY: as above; the text is ours, and freed as librdkafka wants it.
    unsafe {
        let text = NonNull::new(sys::rd_kafka_clusterid(client, milliseconds(timeout)))?;
        let id = text_of(text.as_ptr());
        sys::rd_kafka_mem_free(client, text.as_ptr().cast());
        Some(id)
    }
}

pub(super) fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(REQUEST_TIMEOUT_MS).clamp(1, REQUEST_TIMEOUT_MS)
}

/// # Safety
/// The lists that the metadata points at must be as long as it says.
unsafe fn read_metadata(metadata: &sys::rd_kafka_metadata_t) -> RawCluster {
    let length = |count: i32| usize::try_from(count).unwrap_or(0);
    // SAFETY: promised by the caller; codes are read as the integers they are stored as.
    unsafe {
        let numbers = |start: *mut i32, count: i32| (0..length(count)).map(|at| *start.add(at)).collect::<Vec<_>>();
        let broker = |at| {
            let broker = metadata.brokers.add(at);
            ((*broker).id, text_of((*broker).host), (*broker).port)
        };
        let partition = |start: *mut sys::rd_kafka_metadata_partition_t, at| {
            let partition = start.add(at);
            RawPartitionState {
                partition: (*partition).id,
                leader: (*partition).leader,
                replicas: numbers((*partition).replicas, (*partition).replica_cnt),
                in_sync: numbers((*partition).isrs, (*partition).isr_cnt),
                code: (&raw const (*partition).err).cast::<i32>().read(),
            }
        };
        let topic = |at| {
            let topic = metadata.topics.add(at);
            let count = length((*topic).partition_cnt);
            RawTopicState {
                name: text_of((*topic).topic),
                code: (&raw const (*topic).err).cast::<i32>().read(),
                partitions: (0..count).map(|at| partition((*topic).partitions, at)).collect(),
            }
        };
        RawCluster {
            brokers: (0..length(metadata.broker_cnt)).map(broker).collect(),
            topics: (0..length(metadata.topic_cnt)).map(topic).collect(),
        }
    }
}
