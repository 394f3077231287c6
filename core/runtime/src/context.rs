//! What a handler may know and do beside its records: ownership, marking, committing.
//!
//! Cloned and used on any thread, also after the call. Ownership is one atomic read; marks are messages to the poller.

use crate::encryption::Opener;
use crate::message::Message;
use crate::output::Tally;
use crate::position::Said;
use crate::report::{Place, Report};
use crate::shared::{NoAnswer, Shared};
use crate::transaction::Producers;
use crate::{Error, ErrorKind, Result};
use karafka_engine::{AssignmentId, Extent, Facts, JobId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One assignment of one partition to this process. What belongs to it ends with it.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) id: AssignmentId,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) group: Arc<str>,
    pub(crate) owned: AtomicBool,
    /// What opens its records, where they are encrypted.
    pub(crate) opener: Option<Arc<Opener>>,
    pub(crate) said: Said,
    pub(crate) transactions: Arc<Producers>,
    /// Whether transactions of its calls commit together.
    pub(crate) shares_commits: bool,
}

/// The context of one call of a handler.
#[derive(Clone)]
pub struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) facts: Facts,
    pub(crate) era: u32,
    /// What the call wrote, where its topic declares what it produces.
    pub(crate) tally: Option<Arc<Tally>>,
}

impl Context {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.assignment.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.assignment.partition
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.assignment.group
    }

    /// Which attempt at the first record this call is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the first record was tried before in this ownership.
    pub fn is_retrying(&self) -> bool {
        self.attempt > 1
    }

    /// Whether the end of the partition was reached behind the last record of this call, as far as is known; or the call tells
    /// of it ([`crate::Hook::Eofed`]). For topics with `eofed`.
    pub fn is_eofed(&self) -> bool {
        self.facts.at_end
    }

    /// Whether the consumer was given records in this ownership, in this call or before. For hooks: with virtual partitions
    /// off or fixed, the virtual partition was; else the partition. Only known for topics with hooks.
    pub fn is_used(&self) -> bool {
        self.facts.used
    }

    /// Whether another call of the same ownership ran when this one was handed out. Only for [`crate::Hook::Revoked`] of
    /// topics with `long_running_job`, which does not wait for it.
    pub fn is_beside_another(&self) -> bool {
        self.facts.beside
    }

    /// The number of this ownership of the partition, which no other has in this app: for what is kept beside it.
    pub fn ownership(&self) -> u64 {
        let id = self.assignment.id;
        u64::from(id.epoch()) << 32 | id.slot() as u64
    }

    /// Whether the partition went to another member. From then on nothing of it can be marked or committed here.
    pub fn is_revoked(&self) -> bool {
        !self.assignment.owned.load(Ordering::SeqCst)
    }

    /// Whether the app was asked to stop; long handlers may end early then.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Marks a record and everything before it in its virtual partition. Returns whether the partition is still owned;
    /// `false` marks nothing. The commit follows within the commit interval. It may be a record of an earlier call in this
    /// ownership, if the context is that call's or a hook's.
    pub fn mark_as_consumed(&self, message: &Message<'_>) -> bool {
        self.mark(message.index(), message.offset(), Extent::Prefix)
    }

    /// Marks this one record and no other. Returns whether the partition is still owned.
    pub fn acknowledge(&self, message: &Message<'_>) -> bool {
        self.mark(message.index(), message.offset(), Extent::Message)
    }

    /// [`Self::mark_as_consumed`] (`prefix`) or [`Self::acknowledge`] by the record's index in the batch.
    pub fn mark_index(&self, index: usize, prefix: bool) -> bool {
        self.mark(index, -1, if prefix { Extent::Prefix } else { Extent::Message })
    }

    /// Marks the record at an offset, and everything that was handled before it in its virtual partition; of an earlier call
    /// in this ownership of the partition, too: for hooks and handlers that write away what they gathered. Returns whether
    /// the partition is still owned.
    pub fn mark_offset(&self, offset: i64) -> bool {
        self.mark(usize::MAX, offset, Extent::Prefix)
    }

    /// Marks like [`Self::mark_as_consumed`], and returns after the broker has what may be committed.
    ///
    /// # Errors
    /// `Timeout` when no broker answered within `timeout`, `Stopped` when the app ended meanwhile. `Ok(false)`: the
    /// partition is no longer owned.
    pub fn mark_as_consumed_and_commit(&self, message: &Message<'_>, timeout: Duration) -> Result<bool> {
        if self.mark_as_consumed(message) { self.commit(timeout) } else { Ok(false) }
    }

    /// Commits what is marked, and returns after the broker has it. Returns whether the partition is still owned: use it
    /// as a fence before effects that must not happen twice.
    ///
    /// # Errors
    /// `Timeout` when no broker answered within `timeout`, `Stopped` when the app ended meanwhile.
    pub fn commit(&self, timeout: Duration) -> Result<bool> {
        if self.is_revoked() {
            return Ok(false);
        }
        match self.shared.ask(timeout, |done| Report::Commit { assignment: self.assignment.id, done }) {
            Ok(owned) => Ok(owned),
            Err(NoAnswer::Late) => {
                let message =
                    format!("no answer from the group's coordinator within {timeout:?}; the commit may still happen");
                Err(self.error(ErrorKind::Timeout, message).retriable())
            }
            Err(NoAnswer::Stopped) => {
                Err(self.error(ErrorKind::Stopped, "the app stopped before the commit was answered".to_owned()))
            }
        }
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, "commit", message).with("topic", self.topic()).with("partition", self.partition())
    }

    fn mark(&self, index: usize, offset: i64, extent: Extent) -> bool {
        if self.is_revoked() {
            return false;
        }
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if let Some(owned) = self.mark_in_transaction(index, extent, None) {
            return owned;
        }
        self.shared.report(Report::Marked { job: self.job, index, extent, place: self.place(offset) });
        true
    }

    pub(crate) fn place(&self, offset: i64) -> Place {
        Place { assignment: self.assignment.id, era: self.era, offset }
    }

    pub(crate) fn report(&self, report: Report) {
        self.shared.report(report);
    }
}
