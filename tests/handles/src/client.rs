//! The core as the ABI sees it, made of plain memory: batches that own their bytes, jobs that note how they ended, and a
//! seat that holds all its jobs from the start.

use crate::Result;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A record of a topic.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub virtual_partition: u64,
    pub start: usize,
    pub len: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    pub name: &'a [u8],
    pub value: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy)]
pub enum TimestampKind {
    CreateTime,
    LogAppendTime,
}

#[derive(Debug, Clone, Copy)]
pub struct Timestamp {
    pub milliseconds: i64,
    pub kind: TimestampKind,
}

#[derive(Debug)]
struct Records {
    records: Vec<Record>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
pub struct Batch(Arc<Records>);

impl Batch {
    pub fn topic(&self) -> &'static str {
        "orders"
    }

    pub fn partition(&self) -> i32 {
        3
    }

    pub fn len(&self) -> usize {
        self.0.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.records.is_empty()
    }

    pub fn get(&self, index: usize) -> Option<Message<'_>> {
        Some(Message { record: self.0.records.get(index)?, index })
    }

    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.0.records.iter().enumerate().map(|(index, record)| Message { record, index })
    }

    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }
}

#[derive(Debug)]
pub struct Message<'a> {
    record: &'a Record,
    index: usize,
}

impl<'a> Message<'a> {
    pub fn offset(&self) -> i64 {
        100 + self.index as i64
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn payload(&self) -> Option<&'a [u8]> {
        self.record.payload.as_deref()
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key.as_deref()
    }

    pub fn attempt(&self) -> u32 {
        1
    }

    pub fn headers(&self) -> Vec<Header<'a>> {
        self.record.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect()
    }

    pub fn timestamp(&self) -> Option<Timestamp> {
        let kinds = [Some(TimestampKind::CreateTime), Some(TimestampKind::LogAppendTime), None];
        kinds[self.index % kinds.len()].map(|kind| Timestamp { milliseconds: 1_700_000_000_000, kind })
    }
}

/// How jobs ended, and what was marked meanwhile.
pub(crate) type Journal = Arc<Mutex<Vec<String>>>;

pub(crate) fn note(journal: &Journal, entry: String) {
    journal.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
}

#[derive(Debug, Clone)]
pub struct Context {
    journal: Journal,
}

impl Context {
    pub fn group(&self) -> &'static str {
        "billing"
    }

    pub fn topic(&self) -> &'static str {
        "orders"
    }

    pub fn partition(&self) -> i32 {
        3
    }

    pub fn attempt(&self) -> u32 {
        1
    }

    pub fn is_eofed(&self) -> bool {
        true
    }

    pub fn is_used(&self) -> bool {
        true
    }

    pub fn is_revoked(&self) -> bool {
        false
    }

    pub fn is_stopping(&self) -> bool {
        false
    }

    pub fn mark_index(&self, index: usize, prefix: bool) -> bool {
        note(&self.journal, format!("marked {index} {prefix}"));
        true
    }

    pub fn mark_offset(&self, offset: i64) -> bool {
        note(&self.journal, format!("marked at {offset}"));
        true
    }

    pub fn commit(&self, _timeout: Duration) -> Result<bool> {
        Ok(true)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub class: String,
    pub message: String,
    pub backtrace: Option<String>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Unsaid,
    Retry,
    DeadLetter {
        topic: Option<Arc<str>>,
    },
    Discard,
    Critical,
}

impl Failure {
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), backtrace: None, verdict: Verdict::Unsaid }
    }

    #[must_use]
    pub fn says(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    Handle,
    Key,
    Unique,
    Filter,
    Tick,
    Eofed,
    Revoked,
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Tick,
    Eofed,
    Revoked,
    Shutdown,
}

impl Hook {
    pub fn of(kind: JobKind) -> Option<Self> {
        match kind {
            JobKind::Tick => Some(Self::Tick),
            JobKind::Eofed => Some(Self::Eofed),
            JobKind::Revoked => Some(Self::Revoked),
            JobKind::Shutdown => Some(Self::Shutdown),
            JobKind::Handle | JobKind::Key | JobKind::Unique | JobKind::Filter => None,
        }
    }
}

/// What of a topic's options asks for a function of the program.
#[derive(Debug, Clone)]
pub struct TopicConfig {
    pub virtual_partitions: VirtualPartitions,
    pub unique_by: UniqueBy,
    pub filter: bool,
    pub dead_letter_queue_strategy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualPartitions {
    Off,
    Callback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueBy {
    Off,
    Callback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterAnswer {
    Keep,
    Skip,
    Failed,
}

#[derive(Debug)]
pub struct Job {
    batch: Batch,
    context: Context,
    kind: JobKind,
    ended: bool,
}

impl Job {
    pub(crate) fn new(records: Vec<Record>, kind: JobKind, journal: &Journal) -> Self {
        let groups = (0..records.len()).map(|start| Group { virtual_partition: start as u64, start, len: 1 }).collect();
        let batch = Batch(Arc::new(Records { records, groups }));
        Self { batch, context: Context { journal: Arc::clone(journal) }, kind, ended: false }
    }

    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    pub fn kind(&self) -> JobKind {
        self.kind
    }

    pub fn topic_index(&self) -> usize {
        0
    }

    pub fn asks_strategy(&self, failure: &Failure) -> bool {
        self.batch.len() == 1 && failure.verdict == Verdict::Unsaid
    }

    pub fn earlier_failures(&self) -> &[Failure] {
        &[]
    }

    pub fn done(mut self) {
        self.end("done".to_owned());
    }

    pub fn fail(mut self, failure: Failure) {
        self.end(format!("failed: {}: {}", failure.class, failure.message));
    }

    pub fn complete_keys<K: AsRef<[u8]>>(mut self, keys: &[K]) {
        let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key.as_ref()).into_owned()).collect();
        self.end(format!("keys: {}", keys.join(" ")));
    }

    pub fn complete_filter(mut self, answers: Vec<FilterAnswer>, failure: Option<Failure>) {
        let why = failure.map_or_else(String::new, |failure| format!(" {}: {}", failure.class, failure.message));
        self.end(format!("filtered: {answers:?}{why}"));
    }

    fn end(&mut self, how: String) {
        self.ended = true;
        note(&self.context.journal, how);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.ended {
            note(&self.context.journal, "dropped".to_owned());
        }
    }
}

pub enum Next {
    Job(Job),
    Interrupted,
    Closed,
}

pub struct Seat(pub(crate) VecDeque<Job>);

impl Seat {
    #[allow(clippy::should_implement_trait, reason = "named as the core's")]
    pub fn next(&mut self) -> Next {
        self.0.pop_front().map_or(Next::Closed, Next::Job)
    }
}
