//! What one call of a handler gets: records of one partition.
//!
//! Made by the worker that took the job; cloned and read on any thread; frees its records where the last clone is dropped.

use crate::message::{Kept, Message, MessageInner, Stored};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Records of one virtual partition inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Identifies the virtual partition: the number in fixed mode, the key's hash by key, 0 when off.
    pub virtual_partition: u64,
    /// The index of its first record in the batch.
    pub start: usize,
    /// How many records follow one another from there.
    pub len: usize,
}

/// The groups of a batch. As a rule there is one, which takes no memory of its own.
pub(crate) enum Groups {
    One([Group; 1]),
    Many(Vec<Group>),
}

impl Default for Groups {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        let mut groups = groups.into_iter();
        let (Some(first), second) = (groups.next(), groups.next()) else { return Self::default() };
        match second {
            None => Self::One([first]),
            Some(second) => Self::Many([first, second].into_iter().chain(groups).collect()),
        }
    }
}

impl Deref for Groups {
    type Target = [Group];

    fn deref(&self) -> &[Group] {
        match self {
            Self::One(group) => group,
            Self::Many(groups) => groups,
        }
    }
}

pub(crate) struct BatchInner {
    /// Counts the batches whose records still use memory of librdkafka's client.
    pub(crate) held: Arc<()>,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) messages: Vec<MessageInner>,
    pub(crate) groups: Groups,
    pub(crate) attempt: u32,
    /// Which attempt this is for each record; empty when it is the first for all of them.
    pub(crate) attempts: Vec<u32>,
    /// Payloads of encrypted records, `None` for those that are not; empty where the topic has no keys.
    pub(crate) opened: Vec<Option<Box<[u8]>>>,
    /// When the job was made.
    pub(crate) made: Instant,
    /// The end of the log at that time; negative if unknown.
    pub(crate) end: i64,
}

impl BatchInner {
    /// Takes a record out, before anybody has seen the batch; attempts of single records are not told to callbacks.
    pub(crate) fn take_out(&mut self, index: usize) -> MessageInner {
        let shortened = |group: &Group| match index {
            before if before < group.start => Group { start: group.start - 1, ..*group },
            within if within < group.start + group.len => Group { len: group.len - 1, ..*group },
            _ => *group,
        };
        self.groups = self.groups.iter().map(shortened).collect();
        if index < self.attempts.len() {
            self.attempts.remove(index);
        }
        self.messages.remove(index)
    }
}

/// What is known of a batch beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMetadata {
    /// The first record's offset; −1 for an empty batch.
    pub first_offset: i64,
    /// The last record's offset; −1 for an empty batch.
    pub last_offset: i64,
    /// How many records there are.
    pub messages: usize,
    /// Bytes of their keys and payloads.
    pub bytes: u64,
    /// When the last record was made or appended: milliseconds since 1970-01-01 UTC; `None` in topics of very old brokers.
    pub created_at: Option<i64>,
    /// When the batch was put together, in the same unit.
    pub scheduled_at: i64,
    /// How old the last record is now; clocks of other machines count in.
    pub consumption_lag: Option<Duration>,
    /// How long ago the batch was put together.
    pub processing_lag: Duration,
    /// How many offsets of the partition lie behind the last record, as far as the last fetch told; `None` when no fetch
    /// told it yet.
    pub offset_lag: Option<u64>,
}

/// Records of one partition, each virtual partition's in order and without another's between them.
///
/// A batch is a cheap handle: clones share the records, which live until the last clone is dropped, also after the call.
#[derive(Clone)]
pub struct Batch(pub(crate) Arc<BatchInner>);

impl Batch {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.0.partition
    }

    /// How many records there are; never 0 in a handler.
    pub fn len(&self) -> usize {
        self.0.messages.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.0.messages.is_empty()
    }

    /// The record at this place, from 0.
    pub fn get(&self, index: usize) -> Option<Message<'_>> {
        (index < self.len()).then_some(Message { batch: &self.0, index })
    }

    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| Message { batch: &self.0, index })
    }

    /// The virtual partitions whose records are here, and where.
    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }

    /// The first record's offset; −1 for an empty batch.
    pub fn first_offset(&self) -> i64 {
        self.get(0).map_or(-1, |message| message.offset())
    }

    /// The last record's offset; −1 for an empty batch.
    pub fn last_offset(&self) -> i64 {
        self.iter().next_back().map_or(-1, |message| message.offset())
    }

    /// Which attempt at the first record this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Offsets, sizes, times and lags, as of now.
    pub fn metadata(&self) -> BatchMetadata {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let size = |message: Message<'_>| {
            (message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len)) as u64
        };
        let created_at = self.iter().next_back().and_then(|message| message.timestamp()).map(|at| at.milliseconds);
        let age = |created: i64| Duration::from_millis(u64::try_from(milliseconds(now) - created).unwrap_or(0));
        let processing_lag = self.0.made.elapsed();
        let behind = |end: i64| u64::try_from(end.saturating_sub(self.last_offset()).saturating_sub(1)).unwrap_or(0);
        BatchMetadata {
            first_offset: self.first_offset(),
            last_offset: self.last_offset(),
            messages: self.len(),
            bytes: self.iter().map(size).sum(),
            created_at,
            scheduled_at: milliseconds(now.saturating_sub(processing_lag)),
            consumption_lag: created_at.map(age),
            processing_lag,
            offset_lag: (self.0.end >= 0).then(|| behind(self.0.end)),
        }
    }

    /// The same batch without records, for a job that gave them back.
    pub(crate) fn emptied(&self) -> Self {
        Self(Arc::new(BatchInner {
            held: Arc::clone(&self.0.held),
            topic: Arc::clone(&self.0.topic),
            partition: self.0.partition,
            messages: Vec::new(),
            groups: Groups::default(),
            attempt: self.0.attempt,
            attempts: Vec::new(),
            opened: Vec::new(),
            made: self.0.made,
            end: self.0.end,
        }))
    }

    /// The records again, for another attempt: moved out when nobody else holds the batch, else kept through it.
    pub(crate) fn into_messages(self) -> Vec<MessageInner> {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => inner.messages,
            Err(shared) => {
                // A message that was kept before points at its first batch still: keeping must not grow with attempts.
                let keep = |(index, message): (usize, &MessageInner)| {
                    let (batch, index) = match &message.0 {
                        Stored::Native(_) => (&shared, index),
                        Stored::Kept(kept) => (&kept.batch, kept.index),
                    };
                    MessageInner(Stored::Kept(Box::new(Kept { batch: Arc::clone(batch), index })))
                };
                shared.messages.iter().enumerate().map(keep).collect()
            }
        }
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Message<'a>;
    type IntoIter = Box<dyn Iterator<Item = Message<'a>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({}/{}, {} records from {})", self.topic(), self.partition(), self.len(), self.first_offset())
    }
}
