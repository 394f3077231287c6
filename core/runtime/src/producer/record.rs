//! A record on its way to a topic, and what is refused before it is sent.
//!
//! Made by the caller of a producing call, on its thread; only borrowed, and copied by the call that sends it.

use crate::config;
use crate::message::Header;
use crate::{Error, ErrorKind, Result};

/// A record to produce. Key, payload and headers are copied by the call that sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition; `None` lets the partitioner choose by the key (murmur2, as Java's producer does).
    pub partition: Option<i32>,
    /// The key; `None` for no key, which is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The payload; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in their order; names may repeat.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since 1970-01-01 UTC; `None` for now. So is 0, which librdkafka does not tell from none: 1970-01-01 itself
    /// cannot be said.
    pub timestamp_ms: Option<i64>,
}

impl Record<'_> {
    /// Whether the record can be sent at all.
    pub(super) fn check(&self, max_payload_bytes: u64) -> Result<()> {
        config::validate_topic_name(self.topic)?;
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, "produce", message).with("topic", self.topic));
        let size = self.payload.map_or(0, <[u8]>::len);
        if size as u64 > max_payload_bytes {
            return refuse(format!("the payload has {size} bytes, more than max_payload_bytes ({max_payload_bytes})"));
        }
        if let Some(partition) = self.partition.filter(|partition| *partition < 0) {
            return refuse(format!("partition {partition} does not exist: partitions are numbered from 0"));
        }
        if self.headers.iter().any(|header| header.name.contains(&0)) {
            return refuse("a header's name contains a NUL byte".to_owned());
        }
        if self.headers.len() > 10_000 {
            return refuse(format!("{} headers, more than 10000", self.headers.len()));
        }
        Ok(())
    }
}
