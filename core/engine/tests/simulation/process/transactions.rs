//! Transactions of a process: calls that mark all they have with what they produced, and end when it is known how that ended;
//! and copies of messages that were given up, whose offset passes with them.

use std::collections::BTreeMap;

use karafka_engine::{AssignmentId, Extent, JobKind, LetterId, Outcome, TransactionId};

use super::Process;
use crate::group::Context;
use crate::handler::{done, handled};
use crate::queue::{GroupEvent, TransactionPart, TransactionRequest};

type Name = (AssignmentId, TransactionId);

/// Whose records a transaction has.
#[derive(Clone, Copy)]
pub enum Source {
    Call(u64),
    Letter(u64),
}

/// Those who wait for their transactions.
#[derive(Default)]
pub struct Transactions {
    /// Those whose turn has not come.
    waiting: BTreeMap<Name, Source>,
    /// Those on their way to the brokers, by a number of their own.
    sent: BTreeMap<u64, (Name, Source)>,
    last: u64,
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
                self.transactions.waiting.insert(transaction, Source::Call(number));
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
        let Some(source) = self.transactions.waiting.remove(&(assignment, transaction)) else {
            self.defect("offsets of a transaction that never was".to_owned(), context);
            return;
        };
        let outputs: Vec<i64> = match source {
            Source::Call(call) => {
                let call = self.calls.get(&call);
                call.iter().flat_map(|call| &call.job.messages).map(|message| message.0.offset).collect()
            }
            Source::Letter(letter) => self.letters.offset(letter).into_iter().collect(),
        };
        let place = self.places.get(&assignment).copied();
        let Some((place, held)) = place.and_then(|place| Some((place, self.held.get(&place)?))) else { return };
        let (process, generation, log_epoch) = (self.number, held.generation, held.log_epoch);
        let owner = self.owner(assignment);
        self.transactions.last += 1;
        let number = self.transactions.last;
        self.transactions.sent.insert(number, ((assignment, transaction), source));
        let parts = vec![TransactionPart { place, generation, log_epoch, owner, position, metadata, outputs }];
        context.ask(process, GroupEvent::Transaction(TransactionRequest { process, number, parts }));
    }

    pub(super) fn transaction_answered(&mut self, number: u64, committed: bool, context: &mut Context<'_>) {
        let Some(((assignment, transaction), source)) = self.transactions.sent.remove(&number) else { return };
        let now = self.now(context);
        match source {
            Source::Call(number) => {
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
            Source::Letter(letter) => {
                self.letters.arrived(letter, committed);
                // Both are told at once, the end first.
                self.engine.transaction_ended(now, assignment, transaction, committed);
                self.letter_answered(letter, context);
            }
        }
    }

    pub(super) fn refused(&mut self, transaction: Name, context: &mut Context<'_>) {
        match self.transactions.waiting.remove(&transaction) {
            Some(Source::Call(number)) => {
                if let Some(call) = self.calls.remove(&number) {
                    self.return_call(number, call, Outcome::FAILED, context);
                }
            }
            Some(Source::Letter(letter)) => self.letter_answered(letter, context),
            None => {}
        }
    }

    /// A copy was sent; its transaction wants to commit.
    pub(super) fn letter_commits(
        &mut self,
        assignment: AssignmentId,
        id: LetterId,
        number: u64,
        context: &mut Context<'_>,
    ) {
        let now = self.now(context);
        match self.engine.letter_in_transaction(now, assignment, id) {
            Some(transaction) => {
                self.transactions.waiting.insert((assignment, transaction), Source::Letter(number));
            }
            None => self.letter_answered(number, context),
        }
    }

    /// Of an ownership that is gone no transaction has a turn any more.
    pub(super) fn refuse_waiting(&mut self, assignment: AssignmentId, context: &mut Context<'_>) {
        let waits = |waiting: &&Name| waiting.0 == assignment;
        let waiting: Vec<_> = self.transactions.waiting.keys().filter(waits).copied().collect();
        for transaction in waiting {
            self.refused(transaction, context);
        }
    }
}
