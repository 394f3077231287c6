//! Transactions of handlers and of dead letters: whose turn it is to commit, and how that ended.
//!
//! Called by the poller, on its thread; the engine decides. A handler that asks waits on its own thread: it is told its offsets
//! when it is its turn, or by the end of its channel that its partition is not its own any more.

use super::Poller;
use crate::native::PartitionOffset;
use crate::transaction::{Ask, Marks, Part, Turn};
use karafka_engine::{AssignmentId, JobId, LetterId, TransactionEnd, TransactionId, TransactionOffsets};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Those who wait for their turn.
#[derive(Default)]
pub(super) struct Transactions(HashMap<(AssignmentId, TransactionId), Ask>);

impl Poller {
    /// A transaction wants to commit. Without an answer it must not.
    pub(super) fn ask_for_turn(&mut self, now: Instant, job: JobId, marks: Marks, alone: bool, ask: Ask) {
        if let Some(asked) = self.engine.commit_in_transaction(self.at(now), job, &marks.records, marks.texts, alone) {
            self.transactions.0.insert(asked, ask);
            self.act(now);
        }
    }

    /// The same of the copy of a message that was given up.
    pub(super) fn ask_for_letter(&mut self, now: Instant, assignment: AssignmentId, id: LetterId, ask: Ask) {
        if let Some(asked) = self.engine.letter_in_transaction(self.at(now), assignment, id) {
            self.transactions.0.insert((assignment, asked), ask);
            self.act(now);
        }
    }

    /// It is the turn of these transactions. Those of one member of the group have it together, and each member's for themselves:
    /// where the result is unknown, what became of one's offsets says nothing of another's, who may have been put out meanwhile.
    pub(super) fn give_turn(&mut self, now: Instant, offsets: Vec<TransactionOffsets>) {
        let mut members: Vec<(Option<usize>, Vec<TransactionOffsets>)> = Vec::new();
        for part in offsets {
            let member = self.partitions.get(&part.assignment).map(|partition| partition.member);
            match members.iter_mut().find(|(of, _)| *of == member) {
                Some((_, parts)) => parts.push(part),
                None => members.push((member, vec![part])),
            }
        }
        for (_, parts) in members {
            self.give_turn_of_member(now, parts);
        }
    }

    /// One of those who wait leads it. Where one of them has gone, what the engine says of all of them is not so, and nobody has it.
    fn give_turn_of_member(&mut self, now: Instant, offsets: Vec<TransactionOffsets>) {
        let (mut asks, mut parts, mut ended, mut is_whole) = (Vec::new(), Vec::new(), Vec::new(), true);
        let mut cluster = None;
        for TransactionOffsets { assignment, transactions, position, metadata, is_distinct } in offsets {
            let Some(&transaction) = transactions.first() else { continue };
            ended.push((assignment, transaction));
            for name in transactions {
                let ask = self.transactions.0.remove(&(assignment, name)).filter(Ask::claim);
                is_whole &= ask.is_some();
                asks.extend(ask);
            }
            let partition = self.partitions.get(&assignment);
            let consumer = partition.and_then(|partition| self.members[partition.member].consumer().ok());
            let Some((partition, consumer)) = partition.zip(consumer) else {
                is_whole = false;
                continue;
            };
            let mut offset = PartitionOffset::new(&partition.assignment.topic, partition.assignment.partition);
            offset.offset = Some(position);
            offset.metadata = Some(metadata);
            let owner = Arc::clone(&partition.assignment);
            parts.push(Part { owner, transaction, offset, is_distinct });
            cluster.get_or_insert_with(|| consumer.cluster());
        }
        let Some(cluster) = cluster.filter(|_| is_whole) else {
            self.engine.transaction_ended(self.at(now), &ended, TransactionEnd::Aborted);
            asks.into_iter().for_each(Ask::give_up);
            return;
        };
        let mut asks = asks.into_iter();
        let leader = asks.next();
        let others = asks.filter_map(Ask::share).collect();
        let shared = Arc::clone(&self.shared);
        let turn = Turn { shared, parts, others, cluster, end: TransactionEnd::Aborted, failure: None };
        if let Some(leader) = leader {
            leader.lead(turn);
        }
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
