//! A handler's transaction: what it produces and what it marks count together, or not at all.
//!
//! Used on the handler's thread, which waits: for its turn among the commits of its partition, and for brokers.

use super::open::Open;
use super::producer::TransactionalProducer;
use super::turn::{self, LOST, Unanswered, Word};
use super::{COMMIT, Core, Stand, Transaction};
use crate::context::Context;
use crate::lock::Mutex;
use crate::message::Message;
use crate::report::Report;
use crate::{Error, ErrorKind, Result};
use karafka_engine::Extent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MARK: &str = "mark in a transaction";

/// What a transaction marks: records of its call by their index, and texts to be stored with some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    pub(crate) records: Vec<(u32, Extent)>,
    pub(crate) texts: Vec<(u32, String)>,
}

/// What a handler's transaction has beside its producer.
pub(super) struct Side {
    context: Context,
    /// Where it has one of its own: until it is given back.
    producer: Mutex<Option<TransactionalProducer>>,
    has_left: AtomicBool,
    marks: Mutex<Marks>,
    /// Why it must not be committed.
    refused: Mutex<Option<Error>>,
}

impl Context {
    /// Begins a transaction of what this call produces and marks: see [`Self::transaction`]. End it before the call ends:
    /// what it marks does not count later.
    ///
    /// # Errors
    /// `NotOwned` when the partition is lost; `Transaction` when this call has one open; as [`TransactionalProducer::begin`].
    pub fn begin_transaction(&self) -> Result<Transaction> {
        const OPERATION: &str = "begin a transaction";
        if self.is_revoked() {
            return Err(self.lost(OPERATION));
        }
        let transactions = &self.assignment.transactions;
        if transactions.open_of(self.job).is_some() {
            let message = "this call has a transaction open: end it, or join it by a block";
            return Err(Error::new(ErrorKind::Transaction, OPERATION, message));
        }
        transactions.isolation.warn(&self.shared, self.group());
        let side = |producer| Side {
            context: self.clone(),
            producer: Mutex::new(producer),
            has_left: AtomicBool::new(false),
            marks: Mutex::default(),
            refused: Mutex::default(),
        };
        let transaction = if self.assignment.shares_commits {
            Transaction(Arc::new(Core::new(Stand::Held(transactions.hold()?), Some(side(None)))))
        } else {
            let producer = transactions.take()?;
            // Gives it back, also when nothing is begun.
            producer.begin_with(Some(side(Some(producer.clone()))))?
        };
        transactions.opened(self.job, &transaction.0);
        Ok(transaction)
    }

    /// Runs a block in a transaction: what it produces and the offsets of what it marks become visible together when it returns
    /// `Ok`; nothing of it ever does when it returns an error, panics, or the partition is lost meanwhile. Inside a transaction
    /// of the same call the block joins it. What the call marks by its context while one is open belongs to the transaction, too.
    ///
    /// Transactions of several calls produce at the same time; those of one partition commit one after the other.
    ///
    /// # Errors
    /// The block's own error; as [`Self::begin_transaction`] and [`Transaction::commit`]; `NotOwned` when the partition is lost.
    pub fn transaction<T, E: From<Error>>(
        &self,
        block: impl FnOnce(&Transaction) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        if let Some(open) = self.assignment.transactions.open_of(self.job) {
            return block(&open);
        }
        self.begin_transaction()?.run(block)
    }

    /// Takes a mark of this call into its open transaction, if there is one. Whether the partition is still owned.
    pub(crate) fn mark_in_transaction(&self, index: u32, extent: Extent, text: Option<&str>) -> Option<bool> {
        let open = self.assignment.transactions.open_of(self.job)?;
        if index == u32::MAX {
            let message = "a transaction marks messages of its own call by their place, and no others";
            open.refuse(Error::new(ErrorKind::Transaction, MARK, message));
            return Some(true);
        }
        Some(open.mark(index, extent, text).is_ok())
    }

    fn refused(&self) -> Error {
        if self.is_revoked() {
            return self.lost(COMMIT);
        }
        let message = "nothing of it counts any more: the partition is being given up or was moved, the call has ended, or \
                       a mark is of no message of the call";
        let error = Error::new(ErrorKind::NotOwned, COMMIT, message);
        error.with("topic", self.topic()).with("partition", self.partition())
    }

    fn lost(&self, operation: &'static str) -> Error {
        let error = Error::new(ErrorKind::NotOwned, operation, LOST);
        error.with("topic", self.topic()).with("partition", self.partition())
    }
}

impl Transaction {
    /// Marks a record of the handler's call and everything before it in its virtual partition, as part of the transaction.
    ///
    /// # Errors
    /// `NotOwned` when the partition is lost: the transaction will be aborted. `Transaction` outside of a handler, or when it has
    /// ended.
    pub fn mark_as_consumed(&self, message: &Message<'_>) -> Result<()> {
        self.mark_index(message.index(), true)
    }

    /// Marks this one record and no other, as part of the transaction.
    ///
    /// # Errors
    /// As [`Self::mark_as_consumed`].
    pub fn acknowledge(&self, message: &Message<'_>) -> Result<()> {
        self.mark_index(message.index(), false)
    }

    /// Marks as [`Self::mark_as_consumed`], and stores a text with the offset: see [`Context::mark_as_consumed_with`].
    ///
    /// # Errors
    /// As [`Self::mark_as_consumed`].
    pub fn mark_as_consumed_with(&self, message: &Message<'_>, text: &str) -> Result<()> {
        self.mark(place(message.index()), Extent::Prefix, Some(text))
    }

    /// [`Self::mark_as_consumed`] (`prefix`) or [`Self::acknowledge`] by the record's index in the batch.
    ///
    /// # Errors
    /// As [`Self::mark_as_consumed`].
    pub fn mark_index(&self, index: usize, prefix: bool) -> Result<()> {
        self.mark(place(index), if prefix { Extent::Prefix } else { Extent::Message }, None)
    }

    fn mark(&self, index: u32, extent: Extent, text: Option<&str>) -> Result<()> {
        let Some(side) = &self.0.side else {
            let message = "only a handler's transaction marks: begin it by the handler's context";
            return Err(Error::new(ErrorKind::Transaction, MARK, message));
        };
        if !self.is_open() {
            return Err(super::over(MARK));
        }
        if side.context.is_revoked() {
            let lost = side.context.lost(MARK);
            self.refuse(lost.clone());
            return Err(lost);
        }
        let mut marks = side.marks.lock();
        marks.records.push((index, extent));
        marks.texts.extend(text.map(|text| (index, text.to_owned())));
        Ok(())
    }

    /// Has the transaction aborted when it ends, and its commit fail with this.
    fn refuse(&self, error: Error) {
        if let Some(side) = &self.0.side {
            side.refused.lock().get_or_insert(error);
        }
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Side {
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// What was marked, or why it must not be committed.
    pub(super) fn take_marks(&self) -> (Marks, Option<Error>) {
        let refused = self.refused.lock().take();
        (std::mem::take(&mut *self.marks.lock()), refused)
    }

    /// Commits with the offsets of what was marked.
    pub(super) fn commit(&self, open: Open) -> Result<()> {
        let (marks, refused) = self.take_marks();
        if let Some(error) = refused.or_else(|| overdue(open.begun, open.owner.patience())) {
            return open.abort_with(error);
        }
        if marks.records.is_empty() {
            return open.commit();
        }
        // The others of the partition do not wait for these acknowledgements.
        open.client.flush();
        let (context, patience) = (&self.context, open.owner.patience());
        let ask = |ask| Report::Transaction { job: context.job, marks, alone: true, ask };
        match turn::take(&context.shared, patience, None, ask) {
            Ok(Word::Turn(mut turn)) => open.commit_with(&mut turn),
            Ok(Word::Ended(ended)) => open.abort_with(ended.err().unwrap_or_else(|| context.refused())),
            Err(unanswered) => open.abort_with(self.not_taken(unanswered, patience)),
        }
    }

    /// The turn did not come.
    pub(super) fn not_taken(&self, unanswered: Unanswered, patience: Duration) -> Error {
        match unanswered {
            Unanswered::Refused => self.context.refused(),
            Unanswered::Late => turn::too_late(patience),
        }
    }

    /// The transaction has ended: its producer is free for others.
    pub(super) fn leave(&self) {
        if self.has_left.swap(true, Ordering::SeqCst) {
            return;
        }
        let transactions = &self.context.assignment.transactions;
        self.producer.lock().take().into_iter().for_each(|producer| transactions.keep(producer));
        transactions.closed(self.context.job);
    }
}

/// What is said where a block took too long: the brokers may have aborted what it sent, or will.
pub(super) fn overdue(begun: Instant, patience: Duration) -> Option<Error> {
    let message = || format!("it took more than {patience:?}, its transaction_timeout");
    (begun.elapsed() >= patience).then(|| Error::new(ErrorKind::Timeout, COMMIT, message()).retriable())
}

impl Drop for Side {
    fn drop(&mut self) {
        self.leave();
    }
}
