//! What happens after a call that failed or was never made: who is to blame, what goes back, what leaves.
//!
//! Called by [`completion`](crate::completion) for each virtual partition of a job, on the engine's one thread; what is
//! done here was decided by [`after`].

use crate::action::{Action, Notice};
use crate::after::{After, Call, Counts, Culprit, Ending, Next, Ownership, Policy, after};
use crate::assignment::Assignment;
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{JobId, Part, RunningJob};
use crate::letters::LetterId;
use crate::record::Record;
use crate::timers::Timer;
use crate::virtual_partition::State;
use crate::waiting::Queued;

/// Whom a call failed by, as far as that can be told.
#[derive(Clone, Copy)]
pub(crate) struct Blame {
    /// The ledger's sequence of the message that is to blame.
    pub(crate) culprit: Option<u64>,
    /// Its offset, or that of the first message that is not marked.
    pub(crate) offset: Option<i64>,
    /// Which attempt at that message this was; 0 when there is none.
    pub(crate) attempt: u32,
}

/// A call that failed or was never made, on its way through the virtual partitions of its job.
pub(crate) struct Failed {
    pub(crate) job: JobId,
    pub(crate) now: Instant,
    pub(crate) policy: Policy,
    pub(crate) ownership: Ownership,
    pub(crate) ending: Ending,
    pub(crate) blame: Blame,
    /// Whether all messages came back.
    pub(crate) complete: bool,
    /// Messages and bytes that stay here.
    pub(crate) kept: (u64, u64),
    /// When the next attempt is due.
    pub(crate) next: Option<Instant>,
}

impl Failed {
    pub(crate) fn keep(&mut self, bytes: u32) {
        self.kept = (self.kept.0 + 1, self.kept.1 + u64::from(bytes));
    }
}

/// What one virtual partition got back.
#[derive(Clone, Copy, Default)]
struct Returned {
    /// Messages that are in front of it again.
    back: u32,
    /// How many of them, up to the one to look at first in the next failure.
    until: u32,
    /// The letter as which one left.
    letter: Option<LetterId>,
}

impl<M: Record> Engine<M> {
    /// One virtual partition of a call that failed or was not made.
    pub(crate) fn settle_failed(&mut self, job: &RunningJob, part: &Part, messages: &mut Vec<M>, failure: &mut Failed) {
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        let Failed { now, policy, ownership, ending, blame, complete, .. } = *failure;
        let sequences = job.sequences_of(part);
        let undone = sequences.iter().filter(|&&sequence| !assignment.ledger.is_done(sequence)).count() as u32;
        // Without its messages a call has nothing that could come again.
        let undone = if complete { undone } else { 0 };
        let culprit = match blame.culprit {
            None => Culprit::Unknown,
            Some(at) if sequences.contains(&at) => Culprit::Here,
            Some(_) => Culprit::Elsewhere,
        };
        let first = assignment.first_undone(sequences);
        let who = if culprit == Culprit::Here { blame.culprit } else { first };
        let failures = who.map_or(0, |sequence| assignment.mailboxes.troubles.failures(part.index, sequence));
        let deliveries = failures.saturating_add(1);
        #[cfg(feature = "planted")]
        let deliveries = self.planted.attempt(assignment, part.name, deliveries);
        let call = Call { ownership, ending, undone, progress: undone < part.len, culprit, deliveries };
        let decided = after(&policy, &call);
        let deliveries = if decided.resets { 1 } else { deliveries };
        if decided.resets {
            assignment.mailboxes.troubles.reset(part.index);
        }
        let leaves = matches!(decided.next, Next::Discard | Next::DeadLetter { .. });
        let Returned { back, until, letter } = if complete {
            self.take_back(job, part, messages, failure, (decided, deliveries, who))
        } else {
            Returned::default()
        };
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        #[cfg(feature = "planted")]
        if decided.counts != Counts::Nobody {
            self.planted.count_failure(assignment, part.name);
        }
        let before = assignment.mailboxes.suspects(part.index);
        let kept = if part.suspect { before + back } else { before };
        let suspects = match culprit {
            _ if !decided.searches => kept,
            Culprit::Unknown if policy.bisect => back,
            Culprit::Unknown => before + back,
            // It is known; were it among others again, it would be unknown again.
            Culprit::Here if !leaves && first == who && policy.bisect => 1,
            Culprit::Here if !leaves => kept.max(until),
            Culprit::Here | Culprit::Elsewhere => kept,
        };
        if back > 0 && (ending != Ending::NotStarted || part.returned) {
            let failed = matches!(ending, Ending::Failed(_));
            assignment.mailboxes.came_back(part.index, back, suspects, failed);
        }
        if leaves {
            let (assignment_id, offset) = (job.assignment, blame.offset.unwrap_or_default());
            let (job, attempts) = (failure.job, deliveries);
            let notice = Notice::GivenUp { job, assignment: assignment_id, offset, attempts, letter };
            self.actions.push_back(Action::Notice(notice));
            assignment.letters.send(now, assignment_id, &mut self.actions);
        }
        match decided.next {
            Next::BackOff if back > 0 => {
                // Halves are looked through quickly: what waits long is the culprit.
                let times = if culprit == Culprit::Unknown && policy.bisect { 1 } else { deliveries };
                let due = now + assignment.options.retry.delay(times, who.unwrap_or_default());
                assignment.mailboxes.set_waiting(part.index, State::BackingOff, due);
                self.timers.set(due, Timer::VirtualPartition(job.assignment, part.index));
                failure.next = Some(failure.next.map_or(due, |earlier| earlier.min(due)));
            }
            Next::DeadLetter { wait: true } if letter.is_some() => {
                assignment.mailboxes.set_waiting(part.index, State::Dispatching, Instant::NEVER);
            }
            Next::Again if back > 0 => assignment.mailboxes.set_ready_again(part.index),
            _ if back > 0 => assignment.mailboxes.set_ready(part.index),
            _ if assignment.mailboxes.end_job(part.index) => {
                assignment.gather(&mut self.timers, now, job.assignment, part.index);
            }
            _ => {}
        }
    }

    /// Puts the messages of a virtual partition back in front of it, but for those that are done and the one that leaves.
    fn take_back(
        &mut self,
        job: &RunningJob,
        part: &Part,
        messages: &mut Vec<M>,
        failure: &mut Failed,
        (decided, deliveries, who): (After, u32, Option<u64>),
    ) -> Returned {
        let mut returned = Returned::default();
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return returned;
        };
        let culprit = failure.blame.culprit;
        for &sequence in job.sequences_of(part).iter().rev() {
            let Some(message) = messages.pop() else { break };
            if assignment.ledger.is_done(sequence) {
                assignment.mailboxes.troubles.forget(sequence);
                self.dropped.push(message);
                continue;
            }
            #[cfg(feature = "planted")]
            if self.planted.is(crate::Planted::MailboxDropped) {
                self.dropped.push(message);
                continue;
            }
            if failure.ending == Ending::Paused {
                // Its handler did not fail.
                assignment.mailboxes.troubles.forget(sequence);
            }
            let bytes = message.bytes();
            let its_own = culprit == Some(sequence);
            match decided.next {
                Next::Discard if its_own => {
                    assignment.mailboxes.troubles.forget(sequence);
                    assignment.ledger.mark(sequence);
                    self.dropped.push(message);
                    continue;
                }
                Next::DeadLetter { wait } if its_own => {
                    assignment.mailboxes.troubles.forget(sequence);
                    failure.keep(bytes);
                    let place = (part.index, sequence, bytes);
                    returned.letter = Some(assignment.letters.post(message, place, deliveries, wait));
                    #[cfg(feature = "planted")]
                    if self.planted.is(crate::Planted::LetterDoneEarly) {
                        assignment.ledger.mark(sequence);
                    }
                    continue;
                }
                _ => {}
            }
            if decided.counts == Counts::Undone || (decided.counts == Counts::Culprit && its_own) {
                assignment.mailboxes.troubles.count(part.index, sequence);
            }
            failure.keep(bytes);
            returned.back += 1;
            returned.until = if who == Some(sequence) { 1 } else { returned.until + u32::from(returned.until > 0) };
            assignment.mailboxes.push_front(part.index, Queued { message, sequence, bytes });
        }
        returned
    }
}

impl<M> Assignment<M> {
    fn first_undone(&self, sequences: &[u64]) -> Option<u64> {
        sequences.iter().copied().find(|&sequence| !self.ledger.is_done(sequence))
    }

    /// Whom a call failed by: the message that its handler names, or the only one that is not marked.
    pub(crate) fn blame(&self, job: &RunningJob, named: Option<u32>) -> Blame {
        let mut undone = job.sequences.iter().copied().filter(|&sequence| !self.ledger.is_done(sequence));
        let (first, second) = (undone.next(), undone.next());
        let named = named.and_then(|index| job.sequences.get(index as usize).copied());
        let named = named.filter(|&sequence| !self.ledger.is_done(sequence));
        let culprit = named.or(first.filter(|_| second.is_none()));
        let shown = culprit.or(first);
        let offset = shown.and_then(|sequence| self.ledger.offset(sequence));
        let part = shown.and_then(|sequence| job.parts.iter().find(|part| job.sequences_of(part).contains(&sequence)));
        let failures = shown.zip(part).map(|(sequence, part)| self.mailboxes.troubles.failures(part.index, sequence));
        Blame { culprit, offset, attempt: failures.map_or(0, |failures| failures.saturating_add(1)) }
    }
}
