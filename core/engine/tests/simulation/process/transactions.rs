//! Transactions of a process: calls that mark all they have with what they produced, and end when it is known how that ended;
//! and copies of messages that were given up, whose offset passes with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karafka_engine::{
    AssignmentId, Extent, JobKind, LetterId, Outcome, TransactionEnd, TransactionId, TransactionOffsets,
};

use super::Process;
use crate::group::Context;
use crate::handler::{Call, done, handled};
use crate::history::{Ending, Event};
use crate::queue::{GroupEvent, Happening, ProcessEvent, TransactionPart, TransactionRequest};

/// How long a handler waits that does not wait for its transaction.
const IMPATIENCE: Duration = Duration::from_millis(1);

type Name = (AssignmentId, TransactionId);

/// Whose records a transaction has.
#[derive(Clone, Copy)]
pub enum Source {
    Call(u64),
    Letter(u64),
}

/// Transactions that commit together.
struct Sent {
    names: Vec<Name>,
    sources: Vec<Source>,
}

/// Those who wait for their transactions.
#[derive(Default)]
pub struct Transactions {
    /// Those whose turn has not come.
    waiting: BTreeMap<Name, Source>,
    /// Those on their way to the brokers, by a number of their own.
    sent: BTreeMap<u64, Sent>,
    /// Calls that did not wait for them.
    cut_short: BTreeSet<u64>,
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
        let outcome = if let Some(outcome) = self.handler.fails_before(call, context) {
            outcome
        } else {
            if self.asks(number, false, context) {
                return true;
            }
            Outcome::FAILED
        };
        if let Some(call) = self.calls.remove(&number) {
            self.return_call(number, call, outcome, context);
        }
        true
    }

    /// A call wants to commit; whether it may still.
    fn asks(&mut self, number: u64, alone: bool, context: &mut Context<'_>) -> bool {
        let now = self.now(context);
        let Some(call) = self.calls.get(&number) else { return false };
        // Groups by their last message, or message by message.
        let by_prefix = context.random.chance(50);
        let marks: Vec<(u32, Extent)> = if by_prefix {
            call.job.groups.iter().map(|group| (group.start + group.len - 1, Extent::Prefix)).collect()
        } else {
            (0..call.job.messages.len() as u32).map(|index| (index, Extent::Message)).collect()
        };
        let asked = self.engine.commit_in_transaction(now, call.job.id, &marks, Vec::new(), alone);
        let Some(transaction) = asked else { return false };
        self.transactions.waiting.insert(transaction, Source::Call(number));
        self.act(context);
        true
    }

    pub(super) fn send_offsets(&mut self, offsets: Vec<TransactionOffsets>, context: &mut Context<'_>) {
        let (mut parts, mut sent) = (Vec::new(), Sent { names: Vec::new(), sources: Vec::new() });
        for TransactionOffsets { assignment, transactions, position, metadata, is_distinct: _ } in offsets {
            let mut outputs = Vec::new();
            sent.names.extend(transactions.first().map(|first| (assignment, *first)));
            for transaction in transactions {
                let Some(source) = self.transactions.waiting.remove(&(assignment, transaction)) else {
                    self.defect("offsets of a transaction that never was".to_owned(), context);
                    return;
                };
                match source {
                    Source::Call(number) => {
                        let call = self.calls.get(&number);
                        let impatient = call.map_or(0, |call| context.scenario.topics[call.place.topic].impatient);
                        if impatient > 0 && number.is_multiple_of(impatient) && !context.healed {
                            let cut_short = ProcessEvent::CutShort { call: number };
                            context.queue.plan(IMPATIENCE, Happening::Process(self.number, cut_short));
                        }
                        let messages = call.iter().flat_map(|call| &call.job.messages);
                        outputs.extend(messages.map(|message| message.0.offset));
                    }
                    Source::Letter(letter) => outputs.extend(self.letters.offset(letter)),
                }
                sent.sources.push(source);
            }
            let place = self.places.get(&assignment).copied();
            let Some((place, held)) = place.and_then(|place| Some((place, self.held.get(&place)?))) else { return };
            let (generation, log_epoch, owner) = (held.generation, held.log_epoch, self.owner(assignment));
            parts.push(TransactionPart { place, generation, log_epoch, owner, position, metadata, outputs });
        }
        self.transactions.last += 1;
        let (process, number) = (self.number, self.transactions.last);
        self.transactions.sent.insert(number, sent);
        context.ask(process, GroupEvent::Transaction(TransactionRequest { process, number, parts }));
    }

    pub(super) fn transaction_answered(&mut self, number: u64, end: TransactionEnd, context: &mut Context<'_>) {
        let committed = end == TransactionEnd::Committed;
        let Some(Sent { names, sources }) = self.transactions.sent.remove(&number) else { return };
        let now = self.now(context);
        for source in sources.iter().filter(|_| committed) {
            if let Source::Call(number) = source
                && let Some(call) = self.calls.get(number)
                && self.handler.counts(&self.engine, call.owner)
            {
                for message in &call.job.messages {
                    handled(context, call.owner, call.place, message.0.offset);
                    done(context, call.owner, call.place, message.0.offset);
                }
            }
        }
        for source in &sources {
            if let Source::Letter(letter) = source {
                self.letters.arrived(*letter, committed);
            }
        }
        self.engine.transaction_ended(now, &names, end);
        self.end_cut_short(context);
        self.act(context);
        let was_shared = sources.len() > 1;
        for source in sources {
            match source {
                // Who was to commit with others tries it once more alone.
                Source::Call(number) if !committed && was_shared && self.asks(number, true, context) => {}
                Source::Call(number) => {
                    let Some(call) = self.calls.remove(&number) else { continue };
                    let outcome = if committed { Outcome::Done } else { Outcome::FAILED };
                    self.return_call(number, call, outcome, context);
                }
                Source::Letter(letter) => self.letter_answered(letter, context),
            }
        }
    }

    /// A handler fails while its transaction commits.
    pub(super) fn cut_short(&mut self, number: u64, context: &mut Context<'_>) {
        let commits =
            |sent: &Sent| sent.sources.iter().any(|source| matches!(source, Source::Call(of) if *of == number));
        if !self.transactions.sent.values().any(commits) || self.transactions.cut_short.contains(&number) {
            return;
        }
        let Some(call) = self.calls.get(&number) else { return };
        let (job, messages) = (call.job.id, call.job.messages.clone());
        let now = self.now(context);
        self.engine.complete(now, job, Outcome::FAILED, messages);
        self.transactions.cut_short.insert(number);
        self.end_cut_short(context);
        self.act(context);
    }

    /// Calls that were cut short end when the engine lets go of them.
    fn end_cut_short(&mut self, context: &mut Context<'_>) {
        for number in self.transactions.cut_short.iter().copied().collect::<Vec<_>>() {
            let is_out = |call: &Call| self.engine.assignment_of(call.job.id).is_some();
            if self.calls.get(&number).is_some_and(is_out) {
                continue;
            }
            self.transactions.cut_short.remove(&number);
            let Some(call) = self.calls.remove(&number) else { continue };
            self.pools[call.pool].busy -= 1;
            if let Outcome::Failed { verdict, .. } = Outcome::FAILED {
                context.add(Event::Said { call: number, verdict, culprit: None });
            }
            context.add(Event::Finished { call: number, ending: Ending::Failed });
            self.ended(call.job.id, number);
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
