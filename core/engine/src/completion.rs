//! Marks, and what happens after a job.

use std::ops::Range;

use crate::action::{Action, Notice};
use crate::after::{After, Call, Culprit, Ending, Marks, Next, Ownership, Verdict, after};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::failure::{Blame, Failed};
use crate::instant::Instant;
use crate::job::{Extent, JobId, JobKind, Outcome, Part, RunningJob};
use crate::ledger::Ledger;
use crate::options::VirtualPartitions;
use crate::partitioner::Partitioner;
use crate::record::Record;
use crate::transaction::CutShort;
use crate::waiting::Queued;

impl<M: Record> Engine<M> {
    /// Records messages of a running job as done. Returns whether the partition is still owned; if not, or if the job
    /// has been completed, or has no such message, nothing is recorded and the answer is false.
    pub fn mark(&mut self, id: JobId, index: u32, extent: Extent) -> bool {
        let Some(job) = self.jobs.get_mut(id) else { return false };
        #[cfg(not(feature = "planted"))]
        let owner = job.assignment;
        #[cfg(feature = "planted")]
        let owner = self.planted.owner(&self.assignments, job);
        let Some(assignment) = self.assignments.get_mut(owner).filter(|found| found.marks_count()) else {
            return false;
        };
        let Some(&sequence) = job.sequences.get(index as usize) else {
            return false;
        };
        match extent {
            Extent::Message => {
                assignment.ledger.mark(sequence);
            }
            Extent::Prefix => {
                let RunningJob { parts, sequences, last_marked, .. } = job;
                let Some(part) = Part::of(parts, last_marked, index) else { return false };
                // What an earlier prefix covered is not gone through again: handlers mark message by message.
                let from = (part.start + part.marked) as usize;
                let prefix = sequences.get(from..=index as usize).unwrap_or_default();
                mark_all(&mut assignment.ledger, prefix);
                part.marked = part.marked.max(index - part.start + 1);
                if part.shared {
                    assignment.unmarked.mark_before(&mut assignment.ledger, part.name, sequence);
                }
            }
        }
        self.schedule_commit(owner);
        true
    }

    /// Records the message at `offset` as done, also after its job was completed. Returns whether the partition is still
    /// owned. An offset that was never delivered changes nothing.
    pub fn mark_offset(&mut self, id: AssignmentId, offset: i64) -> bool {
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.marks_count()) else {
            return false;
        };
        if let Some(sequence) = assignment.ledger.seq(offset) {
            assignment.ledger.mark(sequence);
            self.schedule_commit(id);
        }
        true
    }

    /// Takes a job back with all its messages in the same order; a successful one may come without them. A job of a
    /// partition that was given up meanwhile changes nothing any more, one completed before is ignored. One whose transaction
    /// commits right now ends behind it, as only then it is known what is done.
    pub fn complete(&mut self, now: Instant, id: JobId, outcome: Outcome, mut messages: Vec<M>) {
        self.observe(now);
        if self.commits_meanwhile(id) {
            self.cut_short.push(CutShort { job: id, outcome, messages });
            return;
        }
        if let Some(mut job) = self.jobs.finish(id) {
            let handled = if outcome == Outcome::Done { job.sequences.len() as u64 } else { 0 };
            if job.kind.is_farewell() {
                self.scheduler.farewell_ended(job.topic);
            } else {
                self.scheduler.job_ended(job.topic, now, job.since, handled);
            }
            self.release_values(std::mem::take(&mut job.values));
            #[cfg(feature = "planted")]
            self.planted_letter(&job, &outcome, &mut messages);
            if job.start_awaited {
                self.ended_unstarted(now, &job, &outcome);
            }
            if let Some(assignment) = self.assignments.get_mut(job.assignment) {
                assignment.earlier_jobs -= u32::from(assignment.era != job.era);
                match job.kind {
                    JobKind::Handle => self.settle(now, id, &job, &outcome, &mut messages),
                    JobKind::Key | JobKind::Unique => self.settle_keys(now, id, &job, outcome, &mut messages),
                    JobKind::Filter => self.settle_filter(now, id, &job, outcome, &mut messages),
                    JobKind::Tick | JobKind::Eofed | JobKind::Revoked | JobKind::Shutdown => {
                        self.settle_hook(now, id, &job, &outcome);
                    }
                }
                self.consumers_moved(job.assignment);
                self.enlist(job.assignment);
                self.schedule_commit(job.assignment);
                self.advance_life(now, job.assignment);
            } else if job.hook.is_some() {
                self.settle_hook(now, id, &job, &outcome);
            } else {
                self.budget.give_back(job.sequences.len() as u64, job.bytes);
                self.awaited_job_ended(job.assignment);
                self.old_job_ended(&job);
            }
            self.jobs.keep_lists(job.sequences, job.parts);
            self.one_less_to_join(job.topic);
        }
        self.drop_messages(messages);
    }

    /// What happens after a handler, as [`after`] decides it. First what is done, then what goes back to its mailbox or
    /// leaves, then what each virtual partition waits for next.
    fn settle(&mut self, now: Instant, id: JobId, job: &RunningJob, outcome: &Outcome, messages: &mut Vec<M>) {
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        if let Some(consumers) = &mut assignment.consumers {
            consumers.end(now, &job.parts);
        }
        assignment.running_jobs -= 1;
        assignment.job_ended = now;
        let policy = assignment.options.policy();
        // What is of an earlier era is passed, and its virtual partitions are others by now.
        let ownership = if assignment.era == job.era { assignment.ownership() } else { Ownership::Gone };
        let (ending, named) = match *outcome {
            Outcome::Done if job.paused => (Ending::Paused, None),
            Outcome::Done => (Ending::Done, None),
            Outcome::NotStarted => (Ending::NotStarted, None),
            Outcome::Failed { verdict, culprit } => (Ending::Failed(verdict), culprit),
            // A partitioner's or a filter's answer is none to the question whether messages were handled.
            Outcome::Keyed(_) | Outcome::KeyFailed | Outcome::Filtered(_) => (Ending::Failed(Verdict::Unsaid), None),
        };
        if ending == Ending::Done {
            let call = Call { ownership, ending, undone: 0, progress: true, culprit: Culprit::Unknown, deliveries: 1 };
            let After { marks, resets, next, .. } = after(&policy, &call);
            assignment.record_handled(job, marks);
            for part in job.parts.iter().rev().filter(|_| next == Next::GoOn) {
                if resets {
                    assignment.mailboxes.troubles.reset(part.index);
                }
                if !assignment.mailboxes.end_empty(part.index) && assignment.mailboxes.end_job(part.index) {
                    assignment.gather(&mut self.timers, now, job.assignment, part.index);
                }
            }
            let count = job.sequences.len() as u64;
            assignment.release(count, job.bytes);
            self.budget.give_back(count, job.bytes);
            return;
        }
        let complete = messages.len() == job.sequences.len();
        let blame = assignment.blame(job, named);
        let mut failure = Failed { job: id, now, policy, ownership, ending, blame, complete, kept: (0, 0), next: None };
        // From the last message to the first, so that each goes in front of those behind it.
        for part in job.parts.iter().rev().filter(|_| ownership == Ownership::Held) {
            self.settle_failed(job, part, messages, &mut failure);
        }
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        let (left, left_bytes) =
            (job.sequences.len() as u64 - failure.kept.0, job.bytes.saturating_sub(failure.kept.1));
        assignment.release(left, left_bytes);
        self.budget.give_back(left, left_bytes);
        if matches!(ending, Ending::Failed(_)) {
            let Blame { offset, attempt, .. } = blame;
            let notice = Notice::HandlerFailed {
                job: id,
                assignment: job.assignment,
                offset,
                attempt: if attempt == 0 { job.attempt } else { attempt },
                next_attempt: failure.next,
            };
            self.actions.push_back(Action::Notice(notice));
        }
        if ownership == Ownership::Held && !complete {
            self.messages_missing(job);
        }
    }

    /// What happens after a question to the user's code: its messages enter their virtual partitions, or wait for the next
    /// question, in the order they arrived.
    fn settle_keys(&mut self, now: Instant, id: JobId, job: &RunningJob, outcome: Outcome, messages: &mut Vec<M>) {
        if !self.question_ended(now, job, messages.len()) {
            return;
        }
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        let count = job.sequences.len();
        let queued = requeued(messages, job);
        if outcome == Outcome::NotStarted {
            for message in queued.rev() {
                assignment.intake.push_front(message);
            }
            assignment.question_put_back(job.kind, count);
            return;
        }
        let answers = match outcome {
            Outcome::Keyed(answers) if answers.len() == count => Some(answers),
            _ => None,
        };
        if job.kind == JobKind::Unique {
            assignment.keep_values(&job.sequences, answers.as_deref());
            if assignment.options.virtual_partitions == VirtualPartitions::Callback {
                for message in queued.rev() {
                    assignment.intake.push_front(message);
                }
            } else {
                let partitioner = Partitioner::new(assignment.options.virtual_partitions, self.options.hash_seed);
                for message in queued {
                    if let Some(index) = assignment.mailboxes.push(partitioner.route(&message.message), message) {
                        assignment.gather(&mut self.timers, now, job.assignment, index);
                    }
                }
            }
        } else {
            for (position, message) in queued.enumerate() {
                let answer = answers.as_ref().and_then(|answers| answers.get(position).copied());
                if let Some(index) = assignment.mailboxes.push(Partitioner::answered(answer), message) {
                    assignment.gather(&mut self.timers, now, job.assignment, index);
                }
            }
        }
        if answers.is_none() {
            let offset = job.sequences.first().and_then(|&sequence| assignment.ledger.offset(sequence));
            let (assignment, messages) = (job.assignment, count as u32);
            self.notice(if job.kind == JobKind::Unique {
                Notice::UniqueFailed { assignment, job: id, offset, messages }
            } else {
                Notice::PartitionerFailed { assignment, job: id, offset, messages }
            });
        }
    }

    /// A question to the user's code came back with so many messages. Whether somebody waits for the answer still: not after
    /// a seek or once the partition is given up, and not where messages are missing; what it had is let go of then.
    pub(crate) fn question_ended(&mut self, now: Instant, job: &RunningJob, messages: usize) -> bool {
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return false;
        };
        assignment.running_jobs -= 1;
        assignment.job_ended = now;
        let same_era = assignment.era == job.era;
        if same_era && job.kind == JobKind::Filter {
            if let Some(intake) = &mut assignment.policies {
                intake.forget_question();
            }
        } else if same_era {
            assignment.asking_partitioner = false;
        }
        let active = same_era && assignment.stage == Stage::Active;
        let count = job.sequences.len();
        if active && messages == count {
            return true;
        }
        assignment.release(count as u64, job.bytes);
        self.budget.give_back(count as u64, job.bytes);
        if active {
            self.messages_missing(job);
        }
        false
    }

    pub(crate) fn messages_missing(&mut self, job: &RunningJob) {
        let Some(assignment) = self.assignments.get(job.assignment) else {
            return;
        };
        let missing = job.sequences.iter().filter(|&&sequence| !assignment.ledger.is_done(sequence)).count();
        if missing > 0 {
            self.notice(Notice::MessagesMissing { assignment: job.assignment, messages: missing as u32 });
        }
    }

    /// A job of a partition that was given up ended; the present owner may have waited for it.
    pub(crate) fn old_job_ended(&mut self, job: &RunningJob) {
        let Some(owner) = self.assignments.old_job_ended(job.topic, job.partition) else {
            return;
        };
        if let Some(assignment) = self.assignments.get_mut(owner) {
            assignment.waits_for_old_jobs = false;
            self.enlist(owner);
            self.consumers_moved(owner);
        }
    }

    /// Passes messages on to be freed, and keeps their list.
    fn drop_messages(&mut self, mut messages: Vec<M>) {
        if self.dropped.is_empty() {
            std::mem::swap(&mut self.dropped, &mut messages);
        } else {
            self.dropped.append(&mut messages);
        }
        self.recycle(messages);
    }
}

impl<M> Assignment<M> {
    fn ownership(&self) -> Ownership {
        match self.stage {
            Stage::Active => Ownership::Held,
            Stage::Draining { .. } => Ownership::Leaving,
            Stage::LastCommit { .. } => Ownership::Gone,
        }
    }

    /// A handler returned without an error: its messages are done, or under manual offset management handled.
    fn record_handled(&mut self, job: &RunningJob, marks: Marks) {
        if self.mailboxes.troubles.has_failures() {
            job.sequences.iter().for_each(|&sequence| self.mailboxes.troubles.forget(sequence));
        }
        match marks {
            Marks::Nothing => {}
            Marks::All => mark_all(&mut self.ledger, &job.sequences),
            Marks::Handled => {
                for part in job.parts.iter().filter(|part| part.shared) {
                    for &sequence in job.sequences_of(part) {
                        if !self.ledger.is_done(sequence) {
                            self.unmarked.keep(&self.ledger, part.name, sequence);
                        }
                    }
                }
            }
        }
    }

    /// Messages left the engine's hands.
    pub(crate) fn release(&mut self, messages: u64, bytes: u64) {
        self.held_messages = self.held_messages.saturating_sub(messages);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }
}

/// The messages of a job as they were queued, in their order.
pub(crate) fn requeued<M: Record>(
    messages: &mut Vec<M>,
    job: &RunningJob,
) -> impl DoubleEndedIterator<Item = Queued<M>> + ExactSizeIterator {
    messages.drain(..).zip(&job.sequences).map(|(message, &sequence)| {
        let bytes = message.bytes();
        Queued { message, sequence, bytes }
    })
}

/// Marks sequences, at once as far as one follows the other.
pub(crate) fn mark_all(ledger: &mut Ledger, sequences: &[u64]) {
    let mut run = 0..0;
    for &sequence in sequences {
        if sequence == run.end {
            run.end += 1;
        } else {
            mark_run(ledger, run);
            run = sequence..sequence + 1;
        }
    }
    mark_run(ledger, run);
}

fn mark_run(ledger: &mut Ledger, run: Range<u64>) {
    if run.end - run.start == 1 {
        ledger.mark(run.start);
    } else {
        ledger.mark_range(run);
    }
}
