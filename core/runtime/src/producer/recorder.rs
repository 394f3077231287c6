//! What a testing producer does in place of sending: it keeps the records, and acknowledges them at once.
//!
//! Owned by its producer; called by whoever produces, on its thread.

use super::Producer;
use super::delivery::{DeliveryReport, Outcome};
use super::record::{OwnedRecord, Record};
use crate::lock::Mutex;
use crate::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

/// A record that a testing producer was given, and where it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The record, after all middleware.
    pub record: OwnedRecord,
    /// Its partition and offset, as its delivery told; offsets begin with 0 in each partition.
    pub report: DeliveryReport,
}

#[derive(Default)]
struct Kept {
    records: Vec<Recorded>,
    offsets: HashMap<(String, i32), i64>,
    failures: VecDeque<Error>,
    keyless: i32,
}

pub(super) struct Recorder {
    partitions: usize,
    kept: Mutex<Kept>,
}

impl Recorder {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions: partitions.max(1), kept: Mutex::default() }
    }

    /// How many partitions every topic has.
    pub(super) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Keeps a record. `hash` says where its key goes.
    pub(super) fn keep(&self, record: &Record<'_>, hash: impl Fn(&[u8]) -> Option<i32>) -> Result<Outcome> {
        let mut kept = self.kept.lock();
        if let Some(failure) = kept.failures.pop_front() {
            return Err(failure);
        }
        let count = i32::try_from(self.partitions).unwrap_or(i32::MAX);
        let partition = record.partition.or_else(|| record.key.and_then(hash)).unwrap_or_else(|| {
            kept.keyless = (kept.keyless + 1) % count;
            kept.keyless
        });
        let place = kept.offsets.entry((record.topic.to_owned(), partition)).or_default();
        let offset = *place;
        *place += 1;
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(now);
        let report = DeliveryReport { partition, offset, timestamp_ms };
        kept.records.push(Recorded { record: record.to_owned_record(), report });
        Ok(Ok(report))
    }

    pub(super) fn fail_next(&self, error: Error) {
        self.kept.lock().failures.push_back(error);
    }

    pub(super) fn records(&self) -> Vec<Recorded> {
        self.kept.lock().records.clone()
    }

    pub(super) fn clear(&self) {
        *self.kept.lock() = Kept::default();
    }
}

fn now() -> i64 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
}

impl Producer {
    /// What a testing producer was given until now, in order.
    ///
    /// # Errors
    /// `Unsupported` for a producer that sends.
    pub fn recorded(&self) -> Result<Vec<Recorded>> {
        Ok(self.0.outbox.recorder("read what was recorded")?.records())
    }

    /// Forgets what a testing producer was given, and the failures it is to answer with.
    ///
    /// # Errors
    /// As [`Self::recorded`].
    pub fn forget_recorded(&self) -> Result<()> {
        self.0.outbox.recorder("forget what was recorded")?.clear();
        Ok(())
    }

    /// Makes the next record that a testing producer is given fail with this error; several calls line up.
    ///
    /// # Errors
    /// As [`Self::recorded`].
    pub fn fail_next(&self, error: Error) -> Result<()> {
        self.0.outbox.recorder("plant a failure")?.fail_next(error);
        Ok(())
    }
}
