//! A record on its way to a topic, and what is refused before it is sent.
//!
//! Made by the caller of a producing call, on its thread; only borrowed, and copied by the call that sends it. What a producer
//! keeps (in its buffer, for middleware, in tests) has memory of its own.

use crate::config;
use crate::message::Header;
use crate::{Error, ErrorKind, Result};

/// A record to produce. Everything in it is copied by the call that sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition; `None` lets the producer's own partitioner choose, else `partition_key`, else the key (murmur2, as Java's
    /// producer does).
    pub partition: Option<i32>,
    /// What chooses the partition in place of the key. Not sent.
    pub partition_key: Option<&'a [u8]>,
    /// The key; `None` for no key, which is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The payload; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in their order; names may repeat.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since 1970-01-01 UTC, from 1; `None` for now.
    pub timestamp_ms: Option<i64>,
    /// Kept with the delivery, named in its errors and events. Not sent.
    pub label: Option<&'a str>,
}

impl Record<'_> {
    /// A record with memory of its own.
    pub fn to_owned_record(&self) -> OwnedRecord {
        let header = |header: &Header<'_>| (header.name.to_vec(), header.value.map(<[u8]>::to_vec));
        OwnedRecord {
            topic: self.topic.to_owned(),
            partition: self.partition,
            partition_key: self.partition_key.map(<[u8]>::to_vec),
            key: self.key.map(<[u8]>::to_vec),
            payload: self.payload.map(<[u8]>::to_vec),
            headers: self.headers.iter().map(header).collect(),
            timestamp_ms: self.timestamp_ms,
            label: self.label.map(str::to_owned),
        }
    }

    /// Whether the record can be sent at all. The topic's name is looked at where topics are looked up.
    pub(super) fn check(&self, max_payload_bytes: u64) -> Result<()> {
        let refuse = |message: String| Err(self.refused(message));
        let size = self.payload.map_or(0, <[u8]>::len);
        if size as u64 > max_payload_bytes {
            return refuse(format!("the payload has {size} bytes, more than max_payload_bytes ({max_payload_bytes})"));
        }
        if let Some(partition) = self.partition.filter(|partition| *partition < 0) {
            return refuse(format!("partition {partition} does not exist: partitions are numbered from 0"));
        }
        match self.timestamp_ms {
            // librdkafka's word for the present: the record would silently get another time.
            Some(0) => {
                return refuse(
                    "a timestamp of 0 ms cannot be sent; take 1 for the beginning of 1970, or none for now".to_owned(),
                );
            }
            Some(before) if before < 0 => {
                return refuse(format!("timestamp {before}: take milliseconds since 1970-01-01 UTC, from 1"));
            }
            _ => {}
        }
        if self.headers.is_empty() {
            return Ok(());
        }
        if self.headers.iter().any(|header| header.name.contains(&0)) {
            return refuse("a header's name contains a NUL byte".to_owned());
        }
        if self.headers.len() > 10_000 {
            return refuse(format!("{} headers, more than 10000", self.headers.len()));
        }
        Ok(())
    }

    /// As [`Self::check`], for a record that is kept for later.
    pub(super) fn check_all(&self, max_payload_bytes: u64) -> Result<()> {
        config::validate_topic_name(self.topic)?;
        self.check(max_payload_bytes)
    }

    fn refused(&self, message: String) -> Error {
        let error = Error::new(ErrorKind::Config, "produce", message).with("topic", self.topic);
        match self.label {
            Some(label) => error.with("label", label),
            None => error,
        }
    }
}

/// A record with memory of its own; see [`Record`] for the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: Option<i32>,
    /// What chooses the partition in place of the key.
    pub partition_key: Option<Vec<u8>>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The payload; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Names and values of the headers, in their order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: Option<i64>,
    /// Kept with the delivery.
    pub label: Option<String>,
}

impl OwnedRecord {
    /// Lends the record out.
    pub fn lend<T>(&self, take: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        take(&Record {
            topic: &self.topic,
            partition: self.partition,
            partition_key: self.partition_key.as_deref(),
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: &headers,
            timestamp_ms: self.timestamp_ms,
            label: self.label.as_deref(),
        })
    }
}
