//! librdkafka, made safe: handles, queues, messages and events.
//!
//! Owns every native pointer of the runtime and every `unsafe` block. Called by the poller (clients, queues), by workers
//! (reading and freeing messages) and by producers' callers. Nothing here decides anything; nothing here blocks unless its
//! documentation says so.

#![allow(unsafe_code)]

mod admin;
mod bulk;
mod client;
mod consumer;
mod event;
mod exit;
mod fetcher;
mod fork;
mod groups;
mod message;
mod mock;
mod offsets;
mod partitions;
mod producer;
mod queue;
mod signals;
mod statistics;
mod stderr;
mod tls;
mod transaction;

pub(crate) use admin::{
    Origin, RawAcl, RawAclFilter, RawConfigEntry, RawGroupListing, RawMember, RawNewTopic, RawResource,
};
pub(crate) use bulk::Plain;
pub(crate) use client::{Client, RawTopicState};
pub(crate) use consumer::{Cluster, Consumer};
pub(crate) use event::{ConsumerEvent, RebalanceKind};
pub(crate) use exit::exit_at_once;
pub(crate) use fetcher::Fetcher;
pub use fork::epoch as fork_epoch;
pub(crate) use groups::with_members;
pub(crate) use message::NativeMessage;
pub use message::{Header, TimestampKind};
pub(crate) use mock::MockCluster;
pub(crate) use partitions::PartitionOffset;
pub(crate) use producer::{DeliveryOutcome, Hashing, NativeProducer, NativeTopic, Outgoing, ProducerEvent};
pub(crate) use queue::PartitionQueue;
pub(crate) use signals::{Watch, thread_id, watch, watch_some};
pub(crate) use statistics::{RawBroker, RawPartition, RawStatistics};
pub(crate) use stderr::{keep_numbers, write_line as write_to_stderr};
pub(crate) use transaction::{Counted, Ended, Trouble};

use crate::{Error, ErrorKind, Result};
use rdkafka::bindings as sys;
use std::ffi::{CStr, CString, c_char};

/// Kafka's error codes that the runtime tells apart (negative: local to librdkafka).
pub(crate) mod code {
    pub(crate) const NO_ERROR: i32 = 0;
    pub(crate) const TRANSPORT: i32 = -195;
    pub(crate) const TIMED_OUT: i32 = -185;
    pub(crate) const MESSAGE_TIMED_OUT: i32 = -192;
    pub(crate) const PURGED_IN_QUEUE: i32 = -152;
    pub(crate) const PURGED_IN_FLIGHT: i32 = -151;
    pub(crate) const REQUEST_TIMED_OUT: i32 = 7;
    pub(crate) const MESSAGE_SIZE_TOO_LARGE: i32 = 10;
    pub(crate) const QUEUE_FULL: i32 = -184;
    pub(crate) const ALL_BROKERS_DOWN: i32 = -187;
    pub(crate) const SSL: i32 = -181;
    pub(crate) const WAIT_COORDINATOR: i32 = -180;
    pub(crate) const PARTITION_EOF: i32 = -191;
    pub(crate) const NO_OFFSET: i32 = -168;
    pub(crate) const IN_PROGRESS: i32 = -178;
    pub(crate) const AUTHENTICATION: i32 = -169;
    pub(crate) const AUTO_OFFSET_RESET: i32 = -140;
    pub(crate) const STATE: i32 = -172;
    pub(crate) const FATAL: i32 = -150;
    pub(crate) const ASSIGNMENT_LOST: i32 = -142;
    pub(crate) const FENCED: i32 = -144;
    pub(crate) const DESTROY: i32 = -197;
    pub(crate) const UNKNOWN_TOPIC_OR_PART: i32 = 3;
    pub(crate) const OFFSET_METADATA_TOO_LARGE: i32 = 12;
    pub(crate) const COORDINATOR_LOADING: i32 = 14;
    pub(crate) const COORDINATOR_NOT_AVAILABLE: i32 = 15;
    pub(crate) const NOT_COORDINATOR: i32 = 16;
    pub(crate) const ILLEGAL_GENERATION: i32 = 22;
    pub(crate) const UNKNOWN_MEMBER_ID: i32 = 25;
    pub(crate) const REBALANCE_IN_PROGRESS: i32 = 27;
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
    pub(crate) const GROUP_AUTHORIZATION_FAILED: i32 = 30;
    pub(crate) const CLUSTER_AUTHORIZATION_FAILED: i32 = 31;
    pub(crate) const UNSUPPORTED_SASL_MECHANISM: i32 = 33;
    pub(crate) const SASL_AUTHENTICATION_FAILED: i32 = 58;
    pub(crate) const NON_EMPTY_GROUP: i32 = 68;
    pub(crate) const FENCED_INSTANCE_ID: i32 = 82;
    pub(crate) const FENCED_MEMBER_EPOCH: i32 = 110;
    pub(crate) const UNRELEASED_INSTANCE_ID: i32 = 111;
    pub(crate) const STALE_MEMBER_EPOCH: i32 = 113;
}

/// librdkafka's text for an error code.
pub(crate) fn describe(code: i32) -> String {
    // The table has every code this build knows; an unknown one must not be turned into its enum type.
    for entry in error_table() {
        if entry.0 == code {
            return entry.1.clone();
        }
    }
    format!("Kafka error {code}")
}

fn error_table() -> &'static [(i32, String)] {
    static TABLE: std::sync::OnceLock<Vec<(i32, String)>> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        let mut descriptions = std::ptr::null();
        let mut count = 0;
        // SAFETY: both out-parameters are valid for writes; librdkafka returns a static table.
        unsafe { sys::rd_kafka_get_err_descs(&raw mut descriptions, &raw mut count) };
        let mut table = Vec::new();
        for position in 0..count {
            // SAFETY: `position` is below the count that librdkafka gave; the code is read as the integer it is stored as.
            let (number, text) = unsafe {
                let entry = descriptions.add(position);
                let number = (&raw const (*entry).code).cast::<i32>().read();
                (number, (*entry).desc)
            };
            if !text.is_null() {
                table.push((number, text_of(text)));
            }
        }
        table
    })
}

/// The kind of error that a Kafka code stands for.
pub(crate) fn kind_of(code: i32) -> ErrorKind {
    match code {
        code::TIMED_OUT | code::MESSAGE_TIMED_OUT | code::REQUEST_TIMED_OUT => ErrorKind::Timeout,
        code::QUEUE_FULL => ErrorKind::QueueFull,
        code::SSL
        | code::AUTHENTICATION
        | code::TOPIC_AUTHORIZATION_FAILED
        | code::GROUP_AUTHORIZATION_FAILED
        | code::CLUSTER_AUTHORIZATION_FAILED
        | code::UNSUPPORTED_SASL_MECHANISM
        | code::SASL_AUTHENTICATION_FAILED => ErrorKind::Auth,
        code::FENCED | code::FENCED_INSTANCE_ID | code::FENCED_MEMBER_EPOCH | code::UNRELEASED_INSTANCE_ID => {
            ErrorKind::Fenced
        }
        code::ASSIGNMENT_LOST | code::ILLEGAL_GENERATION | code::UNKNOWN_MEMBER_ID | code::STALE_MEMBER_EPOCH => {
            ErrorKind::NotOwned
        }
        _ => ErrorKind::Broker,
    }
}

/// An error that librdkafka reported for `operation`.
pub(crate) fn error(code: i32, operation: &'static str) -> Error {
    Error::new(kind_of(code), operation, describe(code)).kafka_code(code)
}

fn text_of(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's strings are NUL-terminated and live at least as long as the object they come from.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn c_string(text: &str, operation: &'static str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(ErrorKind::Config, operation, format!("{text:?} contains a NUL byte")))
}

/// Takes ownership of an error object and turns it into ours; `Ok` for NULL.
fn taken(pointer: *mut sys::rd_kafka_error_t, operation: &'static str) -> Result<()> {
    if pointer.is_null() {
        return Ok(());
    }
    // SAFETY: the pointer is an error object that librdkafka handed to us; it is read, then destroyed once.
    unsafe {
        let number = sys::rd_kafka_error_code(pointer) as i32;
        let message = text_of(sys::rd_kafka_error_string(pointer));
        let retriable = sys::rd_kafka_error_is_retriable(pointer) != 0;
        let fatal = sys::rd_kafka_error_is_fatal(pointer) != 0;
        sys::rd_kafka_error_destroy(pointer);
        let error = Error::new(kind_of(number), operation, message).kafka_code(number);
        Err(match (fatal, retriable) {
            (true, _) => error.fatal(),
            (_, true) => error.retriable(),
            _ => error,
        })
    }
}

/// Builds a configuration object from pairs of name and value; every refused pair is named in the error.
fn configuration(settings: &[(String, String)]) -> Result<*mut sys::rd_kafka_conf_t> {
    tls::outlive_the_exit();
    keep_numbers();
    // SAFETY: creates a configuration object that is ours.
    let conf = unsafe { sys::rd_kafka_conf_new() };
    let mut problems = Vec::new();
    for (name, value) in settings {
        let mut text = [0 as c_char; 512];
        let (Ok(native_name), Ok(native_value)) = (CString::new(name.as_str()), CString::new(value.as_str())) else {
            problems.push(format!("{name}: contains a NUL byte"));
            continue;
        };
        // SAFETY: all pointers are valid for the call; the error buffer's size is given.
        let outcome = unsafe {
            sys::rd_kafka_conf_set(conf, native_name.as_ptr(), native_value.as_ptr(), text.as_mut_ptr(), text.len())
        };
        if outcome != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            problems.push(format!("kafka.{name}: {}", text_of(text.as_ptr())));
        }
    }
    if problems.is_empty() {
        return Ok(conf);
    }
    // SAFETY: `conf` is ours and was not given to a client.
    unsafe { sys::rd_kafka_conf_destroy(conf) };
    Err(Error::new(ErrorKind::Config, "configure the Kafka client", problems.join("\n")))
}

/// The version of librdkafka that is linked in, such as "2.12.1".
pub(crate) fn version() -> String {
    // SAFETY: returns a static string.
    text_of(unsafe { sys::rd_kafka_version_str() })
}

/// The number of partitions of a topic, asked from a broker. Waits at most `timeout_ms`.
///
/// # Safety
/// The client must be valid.
unsafe fn partition_count(client: *mut sys::rd_kafka_t, topic: &str, timeout_ms: i32) -> Result<usize> {
    let name = c_string(topic, "look a topic up")?;
    // SAFETY: handles are valid; the topic handle and the metadata are destroyed once; the error is read as an integer.
    unsafe {
        let handle = sys::rd_kafka_topic_new(client, name.as_ptr(), std::ptr::null_mut());
        if handle.is_null() {
            return Err(Error::new(ErrorKind::Internal, "look a topic up", "librdkafka made no topic handle"));
        }
        let mut metadata: *const sys::rd_kafka_metadata_t = std::ptr::null();
        let code = sys::rd_kafka_metadata(client, 0, handle, (&raw mut metadata).cast(), timeout_ms) as i32;
        sys::rd_kafka_topic_destroy(handle);
        if metadata.is_null() {
            return Err(error(code, "look a topic up").with("topic", topic));
        }
        let (mut count, mut code) = (0, code::UNKNOWN_TOPIC_OR_PART);
        if (*metadata).topic_cnt > 0 {
            let entry = (*metadata).topics;
            count = usize::try_from((*entry).partition_cnt).unwrap_or(0);
            code = (&raw const (*entry).err).cast::<i32>().read();
        }
        sys::rd_kafka_metadata_destroy(metadata);
        if code == self::code::NO_ERROR { Ok(count) } else { Err(error(code, "look a topic up").with("topic", topic)) }
    }
}
