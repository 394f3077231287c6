//! Transactions of handlers and of dead letters: whose turn it is to commit, and how that ended.
//!
//! Called by the poller, on its thread; the engine decides. A handler that asks waits on its own thread: it is told its offsets
//! when it is its turn, or by the end of its channel that its partition is not its own any more.

use super::Poller;
use crate::native::PartitionOffset;
use crate::transaction::{Marks, Part, Turn};
use crossbeam::channel::Sender;
use karafka_engine::{AssignmentId, JobId, LetterId, TransactionId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Handlers that wait for their turn.
#[derive(Default)]
pub(super) struct Transactions(HashMap<(AssignmentId, TransactionId), Sender<Turn>>);

impl Poller {
    /// A transaction wants to commit. Without an answer it must not.
    pub(super) fn ask_for_turn(&mut self, now: Instant, job: JobId, marks: Marks, turn: Sender<Turn>) {
        if let Some(asked) = self.engine.commit_in_transaction(self.at(now), job, &marks.records, marks.texts) {
            self.transactions.0.insert(asked, turn);
            self.act(now);
        }
    }

    /// The same of the copy of a message that was given up.
    pub(super) fn ask_for_letter(&mut self, now: Instant, assignment: AssignmentId, id: LetterId, turn: Sender<Turn>) {
        if let Some(asked) = self.engine.letter_in_transaction(self.at(now), assignment, id) {
            self.transactions.0.insert((assignment, asked), turn);
            self.act(now);
        }
    }

    /// It is a transaction's turn.
    pub(super) fn give_turn(
        &mut self,
        now: Instant,
        (assignment, transaction): (AssignmentId, TransactionId),
        (position, metadata): (i64, String),
        is_distinct: bool,
    ) {
        let waits = self.transactions.0.remove(&(assignment, transaction));
        let partition = self.partitions.get(&assignment);
        let consumer = partition.and_then(|partition| self.members[partition.member].consumer().ok());
        let Some((partition, consumer)) = partition.zip(consumer) else {
            self.engine.transaction_ended(self.at(now), assignment, transaction, false);
            return;
        };
        let mut offset = PartitionOffset::new(&partition.assignment.topic, partition.assignment.partition);
        offset.offset = Some(position);
        offset.metadata = Some(metadata);
        let (owner, member) = (Arc::clone(&partition.assignment), partition.member);
        let part = Part { owner, transaction, offset, is_distinct, member, cluster: consumer.cluster() };
        let turn = Turn { shared: Arc::clone(&self.shared), parts: vec![part], committed: false };
        // Where nobody waits any more, the turn ends by being dropped.
        let _ = waits.map(|waits| waits.send(turn));
    }

    /// A transaction does not count any more.
    pub(super) fn refuse_turn(&mut self, assignment: AssignmentId, transaction: TransactionId) {
        self.transactions.0.remove(&(assignment, transaction));
    }

    /// Nothing of a partition that is gone has a turn.
    pub(super) fn forget_turns(&mut self, assignment: AssignmentId) {
        self.transactions.0.retain(|(owner, _), _| *owner != assignment);
    }
}
