//! A record as C describes it.
//!
//! Owns `karafka_record_t`. Read on the caller's thread, for the length of one call; what it points to is not kept.

use crate::error::Fault;
use crate::message::karafka_header_t;
use crate::text::{array, bytes, optional_bytes, text};
use runtime::{Header, OwnedRecord, Record};
use std::ffi::c_char;
use std::mem::offset_of;
use std::ptr;

/// A record to produce; begin with `KARAFKA_RECORD_INIT` and set what is wanted. Everything it points to is copied by the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct karafka_record_t {
    /// The struct's size, by which the library knows the header that the program was compiled with.
    pub struct_size: usize,
    /// The topic's name. UTF-8.
    pub topic: *const c_char,
    /// The name's length in bytes.
    pub topic_length: usize,
    /// The key; NULL for no key, which is not the same as an empty one.
    pub key: *const u8,
    /// The key's length in bytes.
    pub key_length: usize,
    /// The payload; NULL for a tombstone, which is not the same as an empty payload.
    pub payload: *const u8,
    /// The payload's length in bytes.
    pub payload_length: usize,
    /// The headers, in their order; names may repeat. NULL for none.
    pub headers: *const karafka_header_t,
    /// How many headers there are.
    pub header_count: usize,
    /// Milliseconds since 1970-01-01 UTC, from 1; -1 for now.
    pub timestamp_ms: i64,
    /// The partition; -1 lets the producer's partitioner choose, else `partition_key`, else the key (murmur2, as Java's producer
    /// does).
    pub partition: i32,
    /// Always 0.
    pub reserved: u32,
    /// What chooses the partition in place of the key; NULL for nothing. Not sent.
    pub partition_key: *const u8,
    /// The partition key's length in bytes.
    pub partition_key_length: usize,
    /// Kept with the delivery, and named in its errors and events; NULL for none. UTF-8. Not sent.
    pub label: *const c_char,
    /// The label's length in bytes.
    pub label_length: usize,
}

/// The struct as the first header had it: it ended before the partition key.
const FIRST_SIZE: usize = offset_of!(karafka_record_t, partition_key);

/// A record of C's, and the place that its headers need.
pub(crate) struct Lent<'a> {
    record: Record<'a>,
    headers: Vec<Header<'a>>,
}

impl<'a> Lent<'a> {
    /// # Safety
    /// `record` must point to a record of the size that it says, whose own pointers are valid while the result is used.
    pub(crate) unsafe fn one(record: *const karafka_record_t) -> Result<Self, Fault> {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::read(&copy(record.cast::<u8>())?) }
    }

    /// # Safety
    /// `records` must be NULL or point to `count` records of the size that the first says, whose own pointers are valid while the
    /// result is used.
    pub(crate) unsafe fn many(records: *const karafka_record_t, count: usize) -> Result<Vec<Self>, Fault> {
        // SAFETY: looks at nothing but pointer and count when there are none.
        if unsafe { array(records, count, "records")? }.is_empty() {
            return Ok(Vec::new());
        }
        let start = records.cast::<u8>();
        // SAFETY: there is a first one.
        let size = unsafe { copy(start)? }.struct_size;
        let read = |place: usize| {
            // SAFETY: `place` is below the count, and all have the size of the first: a program has one header.
            unsafe {
                let record = copy(start.add(place * size))?;
                if record.struct_size != size {
                    return Err(Fault::argument("the records of an array have different struct_sizes"));
                }
                Self::read(&record)
            }
        };
        (0..count).map(read).collect()
    }

    pub(crate) fn record(&self) -> Record<'_> {
        Record { headers: &self.headers, ..self.record }
    }

    /// # Safety
    /// Everything that `record` points to must be valid while the result is used.
    unsafe fn read(record: &karafka_record_t) -> Result<Self, Fault> {
        if record.partition < -1 {
            return Err(Fault::argument(format!("partition {}: take 0 or more, or -1 for any", record.partition)));
        }
        if record.timestamp_ms < -1 {
            return Err(Fault::argument(format!(
                "timestamp_ms {}: take 1 or more, or -1 for now",
                record.timestamp_ms
            )));
        }
        // SAFETY: the caller's promise is the same.
        unsafe {
            let header = |header: &karafka_header_t| -> Result<Header<'a>, Fault> {
                let name = bytes(header.name.cast::<u8>(), header.name_length, "a header's name")?;
                Ok(Header { name, value: optional_bytes(header.value, header.value_length, "a header's value")? })
            };
            let headers =
                array(record.headers, record.header_count, "headers")?.iter().map(header).collect::<Result<_, _>>()?;
            let label = text(record.label, record.label_length, "the label")?;
            let record = Record {
                topic: text(record.topic, record.topic_length, "the topic's name")?,
                partition: u32::try_from(record.partition).ok().map(|partition| partition as i32),
                partition_key: optional_bytes(record.partition_key, record.partition_key_length, "the partition key")?,
                key: optional_bytes(record.key, record.key_length, "the key")?,
                payload: optional_bytes(record.payload, record.payload_length, "the payload")?,
                headers: &[],
                timestamp_ms: (record.timestamp_ms >= 0).then_some(record.timestamp_ms),
                label: (!record.label.is_null()).then_some(label),
            };
            Ok(Self { record, headers })
        }
    }
}

/// A record of any header that had one, with nothing in the fields that it did not have.
///
/// # Safety
/// `start` must point to a record of the size that it says.
unsafe fn copy(start: *const u8) -> Result<karafka_record_t, Fault> {
    let mut record = karafka_record_t {
        struct_size: 0,
        topic: ptr::null(),
        topic_length: 0,
        key: ptr::null(),
        key_length: 0,
        payload: ptr::null(),
        payload_length: 0,
        headers: ptr::null(),
        header_count: 0,
        timestamp_ms: -1,
        partition: -1,
        reserved: 0,
        partition_key: ptr::null(),
        partition_key_length: 0,
        label: ptr::null(),
        label_length: 0,
    };
    // SAFETY: the size comes first in the records of all headers.
    let size = unsafe { start.cast::<usize>().read_unaligned() };
    let known = size_of::<karafka_record_t>();
    if size != known && size != FIRST_SIZE {
        return Err(Fault::argument(format!(
            "the record's struct_size is {size}, not {known}: begin with KARAFKA_RECORD_INIT, and use a library that is not \
             older than the header"
        )));
    }
    // SAFETY: both are valid for this size, and apart from each other.
    unsafe { ptr::copy_nonoverlapping(start, (&raw mut record).cast::<u8>(), size) };
    Ok(record)
}

/// Calls `take` with a record for C, which lives as long as the call.
pub(crate) fn with_c_record<T>(record: &Record<'_>, take: impl FnOnce(&karafka_record_t) -> T) -> T {
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|header| karafka_header_t {
            name: header.name.as_ptr().cast::<c_char>(),
            name_length: header.name.len(),
            value: start(header.value),
            value_length: header.value.map_or(0, <[u8]>::len),
        })
        .collect();
    take(&karafka_record_t {
        struct_size: size_of::<karafka_record_t>(),
        topic: record.topic.as_ptr().cast::<c_char>(),
        topic_length: record.topic.len(),
        key: start(record.key),
        key_length: record.key.map_or(0, <[u8]>::len),
        payload: start(record.payload),
        payload_length: record.payload.map_or(0, <[u8]>::len),
        headers: if headers.is_empty() { ptr::null() } else { headers.as_ptr() },
        header_count: headers.len(),
        timestamp_ms: record.timestamp_ms.unwrap_or(-1),
        partition: record.partition.unwrap_or(-1),
        reserved: 0,
        partition_key: start(record.partition_key),
        partition_key_length: record.partition_key.map_or(0, <[u8]>::len),
        label: start(record.label.map(str::as_bytes)).cast::<c_char>(),
        label_length: record.label.map_or(0, str::len),
    })
}

/// NULL for what is not there; for what is empty, an address all the same.
fn start(bytes: Option<&[u8]>) -> *const u8 {
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

/// A record that C describes, with memory of its own.
///
/// # Safety
/// As [`Lent::one`].
pub(crate) unsafe fn own(record: *const karafka_record_t) -> Result<OwnedRecord, Fault> {
    if record.is_null() {
        return Err(Fault::argument("the record is NULL"));
    }
    // SAFETY: the caller's promise is the same.
    Ok(unsafe { Lent::one(record)? }.record().to_owned_record())
}
