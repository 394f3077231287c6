//! A handler's transaction: what it produces and what it marks count together, or not at all.
//!
//! Used on the handler's thread, which waits: for its turn among the commits of its partition, and for brokers.

use super::open::Open;
use super::producer::TransactionalProducer;
use super::turn::{self, LOST, Turn};
use super::{COMMIT, Transaction};
use crate::context::Context;
use crate::message::Message;
use crate::report::Report;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::RecvTimeoutError;
use karafka_engine::Extent;
use parking_lot::Mutex;
use std::time::Duration;

const MARK: &str = "mark in a transaction";

/// What a transaction marks: records of its call by their index, and texts to be stored with some.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) records: Vec<(u32, Extent)>,
    pub(crate) texts: Vec<(u32, String)>,
}

/// What a handler's transaction has beside its producer.
pub(super) struct Side {
    context: Context,
    /// Until it is given back.
    producer: Mutex<Option<TransactionalProducer>>,
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
        let producer = transactions.take()?;
        // Gives it back, also when nothing is begun.
        let side = Side {
            context: self.clone(),
            producer: Mutex::new(Some(producer.clone())),
            marks: Mutex::default(),
            refused: Mutex::default(),
        };
        let transaction = producer.begin_with(Some(side))?;
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
    /// Commits with the offsets of what was marked.
    pub(super) fn commit(&self, open: Open) -> Result<()> {
        let refused = self.refused.lock().take();
        let marks = std::mem::take(&mut *self.marks.lock());
        if let Some(error) = refused {
            return open.abort_with(error);
        }
        if marks.records.is_empty() {
            return open.commit();
        }
        // The others of the partition do not wait for these acknowledgements.
        open.client.flush();
        match self.take_turn(marks, open.owner.patience()) {
            Ok(mut turn) => open.commit_with(&mut turn),
            Err(error) => open.abort_with(error),
        }
    }

    fn take_turn(&self, marks: Marks, patience: Duration) -> Result<Turn> {
        let context = &self.context;
        let ask = |turn| Report::Transaction { job: context.job, marks, turn };
        turn::take(&context.shared, patience, ask).map_err(|error| match error {
            RecvTimeoutError::Disconnected => context.refused(),
            RecvTimeoutError::Timeout => turn::too_late(patience),
        })
    }

    /// The transaction has ended: its producer is free for others.
    pub(super) fn leave(&self) {
        if let Some(producer) = self.producer.lock().take() {
            self.context.assignment.transactions.put_back(self.context.job, producer);
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.leave();
    }
}
