//! Messages as C sees them: plain structs of pointers into the batch's memory.
//!
//! Their layout is part of the ABI and never changes; what else is to be known about a message is had by functions.

use runtime::{Batch, Header, TimestampKind};
use std::ffi::c_char;
use std::ptr;

/// Who set a message's timestamp.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum karafka_timestamp_kind_t {
    /// Nobody: the topic is of a very old broker.
    KARAFKA_TIMESTAMP_NONE = 0,
    /// The producer.
    KARAFKA_TIMESTAMP_CREATE_TIME = 1,
    /// The broker, when it appended the message.
    KARAFKA_TIMESTAMP_LOG_APPEND_TIME = 2,
}

/// One message: a view that lives as long as its batch. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_message_t {
    /// The payload; NULL for a tombstone, which is not the same as an empty payload.
    pub payload: *const u8,
    /// The payload's length in bytes.
    pub payload_length: usize,
    /// The key; NULL for no key, which is not the same as an empty one.
    pub key: *const u8,
    /// The key's length in bytes.
    pub key_length: usize,
    /// The message's offset in its partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; -1 without a timestamp.
    pub timestamp_ms: i64,
    /// The virtual partition: its number in fixed mode, the key's hash by key, 0 when off.
    pub virtual_partition: u64,
    /// The message's index in its batch, from 0.
    pub index: u32,
    /// Who set the timestamp.
    pub timestamp_kind: karafka_timestamp_kind_t,
}

/// A header of a message, read or to be produced. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_header_t {
    /// The name, without NUL at its end; any bytes but NUL.
    pub name: *const c_char,
    /// The name's length in bytes.
    pub name_length: usize,
    /// The value; NULL for none, which is not the same as an empty one.
    pub value: *const u8,
    /// The value's length in bytes.
    pub value_length: usize,
}

fn parts(bytes: Option<&[u8]>) -> (*const u8, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()))
}

/// Views of a batch's messages. They point into it.
pub(crate) fn views(batch: &Batch) -> Box<[karafka_message_t]> {
    let mut views = Vec::with_capacity(batch.len());
    let groups = batch.groups();
    let mut group = 0;
    for message in batch.iter() {
        let index = message.index();
        while groups.get(group).is_some_and(|current| index >= current.start + current.len) {
            group += 1;
        }
        let virtual_partition = groups.get(group).map_or(0, |group| group.virtual_partition);
        let (payload, payload_length) = parts(message.payload());
        let (key, key_length) = parts(message.key());
        let timestamp = message.timestamp();
        views.push(karafka_message_t {
            payload,
            payload_length,
            key,
            key_length,
            offset: message.offset(),
            timestamp_ms: timestamp.map_or(-1, |timestamp| timestamp.milliseconds),
            virtual_partition,
            index: index as u32,
            timestamp_kind: match timestamp.map(|timestamp| timestamp.kind) {
                None => karafka_timestamp_kind_t::KARAFKA_TIMESTAMP_NONE,
                Some(TimestampKind::CreateTime) => karafka_timestamp_kind_t::KARAFKA_TIMESTAMP_CREATE_TIME,
                Some(TimestampKind::LogAppendTime) => karafka_timestamp_kind_t::KARAFKA_TIMESTAMP_LOG_APPEND_TIME,
            },
        });
    }
    views.into_boxed_slice()
}

/// Views of a message's headers. They point into its batch.
pub(crate) fn header_views(headers: &[Header<'_>]) -> Box<[karafka_header_t]> {
    let view = |header: &Header<'_>| {
        let (value, value_length) = parts(header.value);
        karafka_header_t { name: header.name.as_ptr().cast(), name_length: header.name.len(), value, value_length }
    };
    headers.iter().map(view).collect()
}
