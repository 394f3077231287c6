//! Transactions of a process: calls that mark all they have with what they produced, and end when it is known how that ended.

use std::collections::BTreeMap;

use karafka_engine::{AssignmentId, Extent, JobKind, Outcome, TransactionId};

use super::Process;
use crate::group::Context;
use crate::handler::{done, handled};
use crate::queue::{GroupEvent, TransactionRequest};

/// The calls whose handlers wait for their transactions.
#[derive(Default)]
pub struct Transactions {
    /// Those whose turn has not come.
    waiting: BTreeMap<(AssignmentId, TransactionId), u64>,
    /// Those on their way to the brokers.
    sent: BTreeMap<u64, (AssignmentId, TransactionId)>,
}

impl Process {
    /// The end of a call of a transactional topic: it waits for its transaction, or fails at once.
    pub(super) fn commits_in_transaction(&mut self, number: u64, context: &mut Context<'_>) -> bool {
        let Some(call) = self.calls.get(&number) else { return false };
        let is_transactional = context.scenario.topics[call.place.topic].transactional;
        if !is_transactional || call.job.kind != JobKind::Handle || call.paused {
            return false;
        }
        let now = self.now(context);
        let outcome = if let Some(outcome) = self.handler.fails_before(call, context) {
            outcome
        } else {
            // Groups by their last message, or message by message.
            let by_prefix = context.random.chance(50);
            let marks: Vec<(u32, Extent)> = if by_prefix {
                call.job.groups.iter().map(|group| (group.start + group.len - 1, Extent::Prefix)).collect()
            } else {
                (0..call.job.messages.len() as u32).map(|index| (index, Extent::Message)).collect()
            };
            if let Some(transaction) = self.engine.commit_in_transaction(now, call.job.id, &marks, Vec::new()) {
                self.transactions.waiting.insert(transaction, number);
                self.act(context);
                return true;
            }
            Outcome::FAILED
        };
        if let Some(call) = self.calls.remove(&number) {
            self.return_call(number, call, outcome, context);
        }
        true
    }

    pub(super) fn send_offsets(
        &mut self,
        assignment: AssignmentId,
        transaction: TransactionId,
        position: i64,
        metadata: String,
        context: &mut Context<'_>,
    ) {
        let Some(call) = self.transactions.waiting.remove(&(assignment, transaction)) else {
            self.defect("offsets of a transaction that never was".to_owned(), context);
            return;
        };
        let Some((found, held)) = self.calls.get(&call).and_then(|found| Some((found, self.held.get(&found.place)?)))
        else {
            return;
        };
        let (process, place, generation, log_epoch) = (self.number, found.place, held.generation, held.log_epoch);
        let outputs = found.job.messages.iter().map(|message| message.0.offset).collect();
        let owner = self.owner(assignment);
        self.transactions.sent.insert(call, (assignment, transaction));
        let request =
            TransactionRequest { process, call, place, generation, log_epoch, owner, position, metadata, outputs };
        context.ask(process, GroupEvent::Transaction(request));
    }

    pub(super) fn transaction_answered(&mut self, number: u64, committed: bool, context: &mut Context<'_>) {
        let Some((assignment, transaction)) = self.transactions.sent.remove(&number) else { return };
        let now = self.now(context);
        let Some(call) = self.calls.remove(&number) else { return };
        if committed && self.handler.counts(&self.engine, call.owner) {
            for message in &call.job.messages {
                handled(context, call.owner, call.place, message.0.offset);
                done(context, call.owner, call.place, message.0.offset);
            }
        }
        self.engine.transaction_ended(now, assignment, transaction, committed);
        self.act(context);
        let outcome = if committed { Outcome::Done } else { Outcome::FAILED };
        self.return_call(number, call, outcome, context);
    }

    pub(super) fn refused(&mut self, transaction: (AssignmentId, TransactionId), context: &mut Context<'_>) {
        let Some(number) = self.transactions.waiting.remove(&transaction) else { return };
        if let Some(call) = self.calls.remove(&number) {
            self.return_call(number, call, Outcome::FAILED, context);
        }
    }

    /// Of an ownership that is gone no transaction has a turn any more.
    pub(super) fn refuse_waiting(&mut self, assignment: AssignmentId, context: &mut Context<'_>) {
        let waits = |waiting: &&(AssignmentId, TransactionId)| waiting.0 == assignment;
        let waiting: Vec<_> = self.transactions.waiting.keys().filter(waits).copied().collect();
        for transaction in waiting {
            self.refused(transaction, context);
        }
    }
}
