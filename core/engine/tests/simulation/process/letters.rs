//! Dead letters of a process: copies on their way to the broker, and their answers.

use std::collections::BTreeMap;

use karafka_engine::{AssignmentId, JobId, LetterId, Notice};

use super::Process;
use crate::broker::Message;
use crate::group::Context;
use crate::history::{Event, Owner};
use crate::queue::{Happening, ProcessEvent};

/// Copies on their way, by a number of their own.
#[derive(Default)]
pub struct Letters {
    sent: BTreeMap<u64, Sent>,
    last: u64,
}

struct Sent {
    owner: Owner,
    id: LetterId,
    message: Message,
    arrived: bool,
}

impl Letters {
    /// Whose copy it is.
    pub fn offset(&self, letter: u64) -> Option<i64> {
        self.sent.get(&letter).map(|sent| sent.message.0.offset)
    }

    /// It is known by now whether a copy arrived.
    pub fn arrived(&mut self, letter: u64, arrived: bool) {
        if let Some(sent) = self.sent.get_mut(&letter) {
            sent.arrived = arrived;
        }
    }
}

impl Process {
    /// A copy leaves: whether it arrives is decided here, and told later; or by its transaction.
    pub(super) fn send_letter(
        &mut self,
        assignment: AssignmentId,
        id: LetterId,
        message: Message,
        attempts: u32,
        context: &mut Context<'_>,
    ) {
        let place = self.places.get(&assignment).copied();
        let Some(place) = place else {
            self.defect("a dead letter of an ownership that never was".to_owned(), context);
            return;
        };
        let failing = context.scenario.topics[place.topic].failing;
        let refused = context.is_outage() || (!context.healed && context.random.chance(failing.refused));
        let unknown = !refused && !context.healed && context.random.chance(failing.unknown);
        let (owner, offset) = (self.owner(assignment), message.0.offset);
        let is_transactional = context.scenario.topics[place.topic].transactional;
        // What is part of a transaction has arrived once that is committed.
        let answered = !unknown && !is_transactional;
        context.add(Event::LetterSent { owner, place, offset, attempts, arrives: !refused, answered });
        self.letters.last += 1;
        let (letter, arrived) = (self.letters.last, !refused && answered);
        self.letters.sent.insert(letter, Sent { owner, id, message, arrived });
        if is_transactional && !refused {
            self.letter_commits(assignment, id, letter, context);
            return;
        }
        let after = context.latency() * 2;
        context.queue.plan(after, Happening::Process(self.number, ProcessEvent::LetterAnswered { letter }));
    }

    pub(super) fn letter_answered(&mut self, letter: u64, context: &mut Context<'_>) {
        let Some(Sent { owner, id, message, arrived }) = self.letters.sent.remove(&letter) else { return };
        let now = self.now(context);
        let (assignment, offset) = (owner.assignment, message.0.offset);
        if arrived
            && owner == self.owner(assignment)
            && self.engine.is_owned(assignment)
            && let Some(&place) = self.places.get(&assignment)
        {
            context.add(Event::Done { owner, place, offset });
        }
        self.engine.dead_lettered(now, assignment, id, if arrived { Ok(()) } else { Err(message) });
    }

    /// A message is given up: it counts as done at once, or it leaves.
    pub(super) fn given_up(&mut self, notice: &Notice, call: Option<u64>, context: &mut Context<'_>) {
        let Notice::GivenUp { assignment, offset, attempts, letter, .. } = *notice else { return };
        let Some((&place, call)) = self.places.get(&assignment).zip(call) else { return };
        self.handler.given_up(assignment, offset);
        let owner: Owner = self.owner(assignment);
        context.add(Event::GivenUp { owner, place, call, offset, attempts, leaves: letter.is_some() });
        context.add(Event::Handled { owner, place, offset });
        if letter.is_none() {
            context.add(Event::Done { owner, place, offset });
        }
    }

    /// The call of a job that was given back.
    pub(super) fn ended(&mut self, job: JobId, call: u64) {
        self.ended.insert(job, call);
    }
}
