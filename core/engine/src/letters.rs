//! Messages on their way to a dead letter topic.
//!
//! Owned by the assignment they came from, used by the engine's one thread. A message that was given up is here until its
//! copy is acknowledged; only then is it done, so the commit never passes it before. Letters for which nobody waits leave
//! one after the other, so that those of a partition arrive in the order in which they were given up.

use std::collections::VecDeque;

use crate::action::Action;
use crate::assignment::{AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::record::Record;
use crate::timers::Timer;
use crate::virtual_partition::Index;

/// Names a dead letter of one assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(u64);

/// Where a letter is.
#[derive(Debug)]
enum Stand<M> {
    /// Here, until it is due.
    Waits(M, Instant),
    /// With the runtime.
    Sent,
}

#[derive(Debug)]
struct Letter<M> {
    id: LetterId,
    index: Index,
    /// Whether the virtual partition waits for its arrival.
    wait: bool,
    sequence: u64,
    bytes: u32,
    attempts: u32,
    /// How often sending it failed.
    failures: u32,
    stand: Stand<M>,
}

#[derive(Debug)]
pub(crate) struct Letters<M> {
    waiting: VecDeque<Letter<M>>,
    last_id: u64,
}

impl<M> Letters<M> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), last_id: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Whether the runtime has one of them.
    pub(crate) fn is_any_sent(&self) -> bool {
        self.waiting.iter().any(|letter| matches!(letter.stand, Stand::Sent))
    }

    /// The sequence of one that the runtime has.
    pub(crate) fn sent(&self, id: LetterId) -> Option<u64> {
        let letter = self.waiting.iter().find(|letter| letter.id == id)?;
        matches!(letter.stand, Stand::Sent).then_some(letter.sequence)
    }

    /// Whether a virtual partition waits for one of them.
    pub(crate) fn awaits(&self, index: Index) -> bool {
        self.waiting.iter().any(|letter| letter.wait && letter.index == index)
    }

    /// Takes a message that was given up.
    pub(crate) fn post(
        &mut self,
        message: M,
        (index, sequence, bytes): (Index, u64, u32),
        attempts: u32,
        wait: bool,
    ) -> LetterId {
        self.last_id += 1;
        let id = LetterId(self.last_id);
        let stand = Stand::Waits(message, Instant::START);
        self.waiting.push_back(Letter { id, index, wait, sequence, bytes, attempts, failures: 0, stand });
        id
    }

    /// Hands out what is due: each letter that somebody waits for, and the first of the others.
    pub(crate) fn send(&mut self, now: Instant, assignment: AssignmentId, actions: &mut VecDeque<Action<M>>) {
        let mut is_first = true;
        for letter in &mut self.waiting {
            if !letter.wait && !std::mem::take(&mut is_first) {
                continue;
            }
            letter.stand = match std::mem::replace(&mut letter.stand, Stand::Sent) {
                Stand::Waits(message, due) if due <= now => {
                    let (id, attempts) = (letter.id, letter.attempts);
                    actions.push_back(Action::DeadLetter { assignment, id, message, attempts });
                    Stand::Sent
                }
                stand => stand,
            };
        }
    }

    /// Lets go of letters that are here, or of `all`; gives the messages, and how many letters of how many bytes went.
    pub(crate) fn drain(&mut self, all: bool, mut drop: impl FnMut(M)) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        let letters = std::mem::take(&mut self.waiting);
        for letter in letters {
            match letter.stand {
                Stand::Sent if !all => {
                    self.waiting.push_back(letter);
                    continue;
                }
                Stand::Sent => {}
                Stand::Waits(message, _) => drop(message),
            }
            count += 1;
            bytes += u64::from(letter.bytes);
        }
        (count, bytes)
    }
}

impl<M: Record> Engine<M> {
    /// The answer to [`Action::DeadLetter`]: the copy was acknowledged (and committed, where it was part of a transaction), or the message comes back and is sent again after
    /// a back-off. Answers of an ownership that has ended change nothing.
    pub fn dead_lettered(&mut self, now: Instant, id: AssignmentId, letter: LetterId, result: Result<(), M>) {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id) else {
            self.dropped.extend(result.err());
            return;
        };
        let Some(place) = assignment.letters.waiting.iter().position(|found| found.id == letter) else {
            self.dropped.extend(result.err());
            return;
        };
        let active = assignment.stage == Stage::Active;
        if let Err(message) = result {
            if active && let Some(found) = assignment.letters.waiting.get_mut(place) {
                found.failures = found.failures.saturating_add(1);
                let due = now + assignment.options.retry.delay(found.failures, found.sequence);
                found.stand = Stand::Waits(message, due);
                self.timers.set(due, Timer::Letter(id));
                return;
            }
            self.dropped.push(message);
        } else if assignment.marks_count()
            && let Some(found) = assignment.letters.waiting.get(place)
        {
            assignment.ledger.mark(found.sequence);
        }
        if let Some(Letter { index, wait, bytes, .. }) = assignment.letters.waiting.remove(place) {
            assignment.release(1, u64::from(bytes));
            self.budget.give_back(1, u64::from(bytes));
            if wait && active {
                assignment.mailboxes.letter_arrived(index);
            }
        }
        if active {
            assignment.letters.send(now, id, &mut self.actions);
        }
        self.enlist(id);
        self.schedule_commit(id);
        self.consumers_moved(id);
        self.advance_life(now, id);
    }

    /// A letter's back-off may be over.
    pub(crate) fn send_letters(&mut self, now: Instant, id: AssignmentId) {
        if let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.stage == Stage::Active) {
            assignment.letters.send(now, id, &mut self.actions);
        }
    }

    /// A planted defect: sends a message of a partition that is not owned any more.
    #[cfg(feature = "planted")]
    pub(crate) fn post_though_lost(&mut self, assignment: AssignmentId, message: M, attempts: u32) {
        self.actions.push_back(Action::DeadLetter { assignment, id: LetterId(u64::MAX), message, attempts });
    }
}
