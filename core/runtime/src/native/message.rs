//! One fetched message in librdkafka's own memory.
//!
//! Owned by the batch that carries it; read from any thread; freed on the thread that drops the batch. Nothing is copied:
//! payload, key and headers are views of the fetch buffer, which lives as long as any of its messages.

use super::sys;
use crate::lock::Mutex;
use std::ptr::NonNull;
use std::slice;

/// What a message's timestamp stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampKind {
    /// The producer set it.
    CreateTime,
    /// The broker set it when it appended the message.
    LogAppendTime,
}

/// A header's name and value; names may repeat, a value may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name, as the producer's bytes.
    pub name: &'a [u8],
    /// The value; `None` for a null value, which is not the same as an empty one.
    pub value: Option<&'a [u8]>,
}

/// One pointer, and nothing else: librdkafka writes lists of them.
#[repr(transparent)]
pub(crate) struct NativeMessage(NonNull<sys::rd_kafka_message_t>);

// SAFETY: a message belongs to whoever holds it; librdkafka allows it to be read and destroyed on any thread.
unsafe impl Send for NativeMessage {}
// SAFETY: shared access only reads fields that nobody writes; header parsing, which does write, is under `PARSING`.
unsafe impl Sync for NativeMessage {}

/// librdkafka parses headers into the message at the first look, so first looks at one message must not overlap.
static PARSING: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

impl NativeMessage {
    fn raw(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the pointer is valid until drop. `err` is never read through this reference.
        unsafe { self.0.as_ref() }
    }

    /// The error that this "message" carries instead of a record; 0 for a record.
    pub(crate) fn code(&self) -> i32 {
        // SAFETY: read as the integer it is stored as, so that a code unknown to the bindings stays defined.
        unsafe { (&raw const (*self.0.as_ptr()).err).cast::<i32>().read() }
    }

    /// The topic's name and the partition's number, for readers of several partitions.
    pub(crate) fn place(&self) -> (String, i32) {
        // SAFETY: the message is valid; the topic's name lives as long as it.
        (super::text_of(unsafe { sys::rd_kafka_topic_name(self.raw().rkt) }), self.raw().partition)
    }

    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    /// Something that stays the same for all messages of one topic, as long as one of them lives.
    pub(crate) fn topic_identity(&self) -> usize {
        self.raw().rkt.addr()
    }

    pub(crate) fn error_text(&self) -> String {
        // SAFETY: the message is valid; the text lives as long as it.
        super::text_of(unsafe { sys::rd_kafka_message_errstr(self.0.as_ptr()) })
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka gives pointer and length of one block that lives as long as the message.
        NonNull::new(raw.payload.cast::<u8>()).map(|start| unsafe { slice::from_raw_parts(start.as_ptr(), raw.len) })
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        let raw = self.raw();
        // SAFETY: as for the payload.
        NonNull::new(raw.key.cast::<u8>()).map(|start| unsafe { slice::from_raw_parts(start.as_ptr(), raw.key_len) })
    }

    pub(crate) fn timestamp(&self) -> Option<(i64, TimestampKind)> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid; the out-parameter is valid for writes.
        let milliseconds = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => {
                Some((milliseconds, TimestampKind::CreateTime))
            }
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                Some((milliseconds, TimestampKind::LogAppendTime))
            }
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => None,
        }
    }

    /// The headers in their order, views of the message's memory.
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        let mut list = std::ptr::null_mut();
        {
            let _parsing = PARSING[(self.0.as_ptr() as usize >> 6) % PARSING.len()].lock();
            // SAFETY: the message is valid and no other thread parses it now; the out-parameter is valid for writes.
            let outcome = unsafe { sys::rd_kafka_message_headers(self.0.as_ptr(), &raw mut list) };
            if outcome != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Vec::new();
            }
        }
        // SAFETY: the list was just given and lives as long as the message.
        let count = unsafe { sys::rd_kafka_header_cnt(list) };
        let mut headers = Vec::with_capacity(count);
        for position in 0..count {
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: `position` is below the count; out-parameters are valid for writes.
            let outcome =
                unsafe { sys::rd_kafka_header_get_all(list, position, &raw mut name, &raw mut value, &raw mut size) };
            if outcome != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                break;
            }
            // SAFETY: name is NUL-terminated, value has `size` bytes; both live as long as the message.
            let header = unsafe {
                let value = NonNull::new(value.cast_mut().cast::<u8>());
                Header {
                    name: std::ffi::CStr::from_ptr(name).to_bytes(),
                    value: value.map(|start| slice::from_raw_parts(start.as_ptr(), size)),
                }
            };
            headers.push(header);
        }
        headers
    }
}

impl Drop for NativeMessage {
    fn drop(&mut self) {
        // SAFETY: the message is ours and is destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}
