//! One record of a topic, as handlers see it.
//!
//! Owned by a batch or waiting in a virtual partition; read on any thread. Payload, key and headers are views of the
//! memory into which the record was fetched: nothing is copied until somebody asks for a copy.

use crate::batch::BatchInner;
use crate::native::NativeMessage;
use karafka_engine::Record;
use std::sync::Arc;

pub use crate::native::{Header, TimestampKind};

/// When a record was made or appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01 UTC.
    pub milliseconds: i64,
    /// Who set it.
    pub kind: TimestampKind,
}

pub(crate) enum Stored {
    Native(NativeMessage),
    /// A message whose batch somebody still looks at, waiting for its next attempt.
    /// Boxed, so that the others take no room for it.
    Kept(Box<Kept>),
}

/// The batch, and the message's place in it.
pub(crate) struct Kept {
    pub(crate) batch: Arc<BatchInner>,
    pub(crate) index: usize,
}

/// A record on its way through the engine.
pub(crate) struct MessageInner(pub(crate) Stored);

impl MessageInner {
    pub(crate) fn native(&self) -> &NativeMessage {
        let mut current = self;
        loop {
            match &current.0 {
                Stored::Native(message) => return message,
                Stored::Kept(kept) => current = &kept.batch.messages[kept.index],
            }
        }
    }
}

/// What librdkafka itself needs to hold one message, beside its payload and key.
const OVERHEAD_BYTES: usize = 200;

impl Record for MessageInner {
    fn offset(&self) -> i64 {
        self.native().offset()
    }

    fn key(&self) -> Option<&[u8]> {
        self.native().key()
    }

    fn bytes(&self) -> u32 {
        let native = self.native();
        let size = native.payload().map_or(0, <[u8]>::len) + native.key().map_or(0, <[u8]>::len) + OVERHEAD_BYTES;
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    fn size(&self) -> u32 {
        let native = self.native();
        let size = native.payload().map_or(0, <[u8]>::len) + native.key().map_or(0, <[u8]>::len);
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    fn timestamp(&self) -> Option<i64> {
        self.native().timestamp().map(|(milliseconds, _)| milliseconds)
    }
}

/// One record of a topic: a view that lives as long as its batch.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub(crate) batch: &'a BatchInner,
    pub(crate) index: usize,
}

impl<'a> Message<'a> {
    pub(crate) fn inner(&self) -> &'a MessageInner {
        &self.batch.messages[self.index]
    }

    fn native(&self) -> &'a NativeMessage {
        self.inner().native()
    }

    /// The topic's name.
    pub fn topic(&self) -> &'a str {
        &self.batch.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.batch.partition
    }

    /// The record's offset in its partition.
    pub fn offset(&self) -> i64 {
        self.native().offset()
    }

    /// The record's place in its batch, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The payload; `None` for a tombstone, which is not the same as an empty payload. Where the topic or the reader has `encryption_keys`,
    /// it is what was sealed.
    pub fn payload(&self) -> Option<&'a [u8]> {
        if let Some(Some(opened)) = self.batch.opened.get(self.index) {
            return Some(opened);
        }
        self.native().payload()
    }

    /// The key; `None` when the record has none.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.native().key()
    }

    /// Whether the record has no payload, which deletes its key in a compacted topic.
    pub fn is_tombstone(&self) -> bool {
        self.payload().is_none()
    }

    /// Which attempt at this record the call is, from 1, in this ownership of its partition.
    pub fn attempt(&self) -> u32 {
        self.batch.attempts.get(self.index).copied().unwrap_or(1)
    }

    /// Whether this record was tried before in this ownership.
    pub fn is_retrying(&self) -> bool {
        self.attempt() > 1
    }

    /// The headers in their order; names may repeat.
    pub fn headers(&self) -> Vec<Header<'a>> {
        self.native().headers()
    }

    /// When the record was made or appended; `None` in topics of very old brokers.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.native().timestamp().map(|(milliseconds, kind)| Timestamp { milliseconds, kind })
    }
}

impl std::fmt::Debug for Message<'_> {
    /// Names the record; never shows its payload or key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({}/{}@{})", self.topic(), self.partition(), self.offset())
    }
}
