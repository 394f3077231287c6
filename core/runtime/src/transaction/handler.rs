//! A handler's transaction: what it produces and what it marks count together, or not at all.
//!
//! Used on the handler's thread, which waits: for its turn among the commits of its partition, for brokers, and, where the
//! result of a commit is unknown, until the group's coordinator knows it.

use super::client::{Client, End};
use super::producer::TransactionalProducer;
use super::{Core, Transaction};
use crate::context::Context;
use crate::event::Phase;
use crate::message::Message;
use crate::native::{Cluster, PartitionOffset};
use crate::report::Report;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{RecvTimeoutError, bounded};
use karafka_engine::{AssignmentId, Extent, TransactionId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const MARK: &str = "mark in a transaction";
const COMMIT: &str = "commit a transaction";
/// Between two looks for what became of a transaction.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// What a transaction marks: records of its call by their index, and texts to be stored with some.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) records: Vec<(u32, Extent)>,
    pub(crate) texts: Vec<(u32, String)>,
}

/// It is a transaction's turn to commit, with these offsets. The engine is told its end, also when nobody takes it.
pub(crate) struct Turn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) assignment: AssignmentId,
    pub(crate) transaction: TransactionId,
    pub(crate) offset: PartitionOffset,
    pub(crate) cluster: Cluster,
    pub(crate) committed: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Self { assignment, transaction, committed, .. } = *self;
        self.shared.report(Report::TransactionEnded { assignment, transaction, committed });
        self.shared.waker.wake();
    }
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
        let message = "the partition went to another member; nothing of this transaction counts";
        let error = Error::new(ErrorKind::NotOwned, operation, message);
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

impl Core {
    /// Commits a handler's transaction with the offsets of what it marked.
    pub(super) fn commit_with(&self, side: &Side, client: Client) -> Result<()> {
        let refused = side.refused.lock().take();
        let marks = std::mem::take(&mut *side.marks.lock());
        if refused.is_none() && marks.records.is_empty() {
            let (end, client) = client.commit();
            return self.ended(end, client);
        }
        let give_up = |client: Client, error: Error| {
            self.owner.release(client.abort(), None);
            Err(error)
        };
        if let Some(error) = refused {
            return give_up(client, error);
        }
        // The others of the partition do not wait for these acknowledgements.
        client.flush();
        let mut turn = match side.take_turn(marks, self.owner.patience()) {
            Ok(turn) => turn,
            Err(error) => return give_up(client, error),
        };
        let deadline = Instant::now() + self.owner.patience();
        // In this order: who is a member still and owns the partition afterwards, is a member of a generation that owns it.
        let member = turn.cluster.member().filter(|_| !side.context.is_revoked());
        let added = match member {
            None => Err(side.context.lost(COMMIT)),
            Some(member) => client
                .step(deadline, |native, wait| native.send_offsets(std::slice::from_ref(&turn.offset), &member, wait)),
        };
        if let Err(error) = added {
            return give_up(client, error);
        }
        match client.commit() {
            (End::Committed, client) => {
                turn.committed = true;
                self.owner.release(client, None);
                Ok(())
            }
            (End::Unknown(error), _) => {
                let Some((committed, client)) = self.find_out(side, &turn.offset) else {
                    self.owner.release(None, None);
                    return Err(side.context.lost(COMMIT));
                };
                turn.committed = committed;
                self.owner.release(Some(client), None);
                if committed { Ok(()) } else { Err(error.retriable()) }
            }
            (end, client) => self.ended(end, client),
        }
    }

    /// What became of a commit whose answer got lost: a new epoch ends the transaction one way or the other, and then the group
    /// says which. `None` when the partition is lost, whose next owner finds it out in the same way.
    fn find_out(&self, side: &Side, sent: &PartitionOffset) -> Option<(bool, Client)> {
        let mut client = None;
        while !side.context.is_revoked() {
            if client.is_none() {
                client = self.owner.register().ok();
            }
            let Some(registered) = &client else {
                thread::park_timeout(PAUSE);
                continue;
            };
            let (context, group) = (&side.context, side.context.group());
            match registered.native().stable_offset(group, context.topic(), context.partition(), LOOK) {
                Ok(found) => {
                    let text = |offset: &PartitionOffset| offset.metadata.clone().unwrap_or_default();
                    let is_ours = found.offset == sent.offset && text(&found) == text(sent);
                    return client.map(|client| (is_ours, client));
                }
                Err(error) => {
                    tracing::warn!(%error, "a transaction's result is still unknown");
                    thread::park_timeout(PAUSE);
                }
            }
        }
        client.into_iter().for_each(Client::retire);
        None
    }
}

impl Side {
    fn take_turn(&self, marks: Marks, patience: Duration) -> Result<Turn> {
        let context = &self.context;
        let (turn, answer) = bounded(1);
        context.report(Report::Transaction { job: context.job, marks, turn });
        context.shared.waker.wake();
        if context.shared.phase() == Phase::Stopped {
            // A poller that has ended reads nothing any more.
            context.shared.refuse_reports();
        }
        answer.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Disconnected => context.refused(),
            RecvTimeoutError::Timeout => {
                let message = format!("other transactions of the partition took more than {patience:?}");
                Error::new(ErrorKind::Timeout, COMMIT, message).retriable()
            }
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
