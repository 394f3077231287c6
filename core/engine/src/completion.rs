//! Marks, and what happens after a job.

use std::ops::Range;

use crate::action::{Action, Notice};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Extent, JobId, JobKind, Outcome, Part, RunningJob};
use crate::ledger::Ledger;
use crate::partitioner::Partitioner;
use crate::record::Record;
use crate::timers::Timer;
use crate::virtual_partition::State;
use crate::waiting::Queued;

/// How the call of a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    Failed,
    NotStarted,
}

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
    /// partition that was given up meanwhile changes nothing any more, one completed before is ignored.
    pub fn complete(&mut self, now: Instant, id: JobId, outcome: Outcome, mut messages: Vec<M>) {
        self.observe(now);
        if let Some(job) = self.jobs.finish(id) {
            let handled = if outcome == Outcome::Done { job.sequences.len() as u64 } else { 0 };
            self.scheduler.job_ended(job.pool, now, handled);
            if self.assignments.get(job.assignment).is_some() {
                match job.kind {
                    JobKind::Handle => self.settle(now, id, &job, &outcome, &mut messages),
                    JobKind::Key => self.settle_keys(now, id, &job, outcome, &mut messages),
                }
                self.enlist(job.assignment);
                self.schedule_commit(job.assignment);
                self.advance_life(now, job.assignment);
            } else {
                self.budget.give_back(job.sequences.len() as u64, job.bytes);
                self.old_job_ended(&job);
            }
            self.jobs.keep_lists(job.sequences, job.parts);
        }
        self.drop_messages(messages);
    }

    /// What happens after a handler: the only place that decides it. First what is done, then what goes back to its
    /// mailbox, then what each virtual partition waits for next.
    fn settle(&mut self, now: Instant, id: JobId, job: &RunningJob, outcome: &Outcome, messages: &mut Vec<M>) {
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        let ending = match outcome {
            Outcome::Done => Ending::Done,
            Outcome::NotStarted => Ending::NotStarted,
            // A partitioner's answer is none to the question whether messages were handled.
            Outcome::Failed {} | Outcome::Keyed(_) | Outcome::KeyFailed => Ending::Failed,
        };
        assignment.running_jobs -= 1;
        assignment.job_ended = now;
        if ending == Ending::Done {
            assignment.record_handled(job);
        }
        let active = assignment.stage == Stage::Active;
        let complete = messages.len() == job.sequences.len();
        let (mut kept, mut kept_bytes) = (0, 0);
        let mut next_attempt: Option<Instant> = None;
        // From the last message to the first, so that each goes in front of those behind it.
        for part in job.parts.iter().rev().filter(|_| active) {
            let mut first = None;
            if ending != Ending::Done && complete {
                for &sequence in job.sequences_of(part).iter().rev() {
                    let Some(message) = messages.pop() else { break };
                    if assignment.ledger.is_done(sequence) {
                        self.dropped.push(message);
                        continue;
                    }
                    #[cfg(feature = "planted")]
                    if self.planted.is(crate::Planted::MailboxDropped) {
                        self.dropped.push(message);
                        continue;
                    }
                    let bytes = message.bytes();
                    kept += 1;
                    kept_bytes += u64::from(bytes);
                    first = Some(sequence);
                    assignment.mailboxes.push_front(part.index, Queued { message, sequence, bytes });
                }
            }
            match (ending, first) {
                (Ending::Failed, Some(sequence)) => {
                    let failures = assignment.mailboxes.count_failure(part.index, sequence);
                    #[cfg(feature = "planted")]
                    self.planted.count_failure(assignment, part.name);
                    let due = now + assignment.options.retry.delay(failures);
                    assignment.mailboxes.set_waiting(part.index, State::BackingOff, due);
                    self.timers.set(due, Timer::VirtualPartition(job.assignment, part.index));
                    next_attempt = Some(next_attempt.map_or(due, |earlier| earlier.min(due)));
                }
                (Ending::NotStarted, Some(_)) => assignment.mailboxes.set_ready_again(part.index),
                _ if assignment.mailboxes.end_job(part.index) => {
                    assignment.gather(&mut self.timers, now, job.assignment, part.index);
                }
                _ => {}
            }
        }
        let (left, left_bytes) = (job.sequences.len() as u64 - kept, job.bytes.saturating_sub(kept_bytes));
        assignment.release(left, left_bytes);
        self.budget.give_back(left, left_bytes);
        if ending == Ending::Failed {
            let undone = job.sequences.iter().copied().find(|&sequence| !assignment.ledger.is_done(sequence));
            let offset = undone.and_then(|sequence| assignment.ledger.offset(sequence));
            let (assignment, attempt) = (job.assignment, job.attempt);
            let notice = Notice::HandlerFailed { job: id, assignment, offset, attempt, next_attempt };
            self.actions.push_back(Action::Notice(notice));
        }
        if ending != Ending::Done && active && !complete {
            self.messages_missing(job);
        }
    }

    /// What happens after a partitioner: its messages enter their virtual partitions, in the order they arrived.
    fn settle_keys(&mut self, now: Instant, id: JobId, job: &RunningJob, outcome: Outcome, messages: &mut Vec<M>) {
        let Some(assignment) = self.assignments.get_mut(job.assignment) else {
            return;
        };
        assignment.running_jobs -= 1;
        assignment.job_ended = now;
        assignment.asking_partitioner = false;
        let count = job.sequences.len();
        if assignment.stage != Stage::Active || messages.len() != count {
            assignment.release(count as u64, job.bytes);
            self.budget.give_back(count as u64, job.bytes);
            if assignment.stage == Stage::Active {
                self.messages_missing(job);
            }
            return;
        }
        let queued = messages.drain(..).zip(&job.sequences).map(|(message, &sequence)| {
            let bytes = message.bytes();
            Queued { message, sequence, bytes }
        });
        if outcome == Outcome::NotStarted {
            for message in queued.rev() {
                assignment.intake.push_front(message);
            }
            return;
        }
        let answers = match outcome {
            Outcome::Keyed(answers) if answers.len() == count => Some(answers),
            _ => None,
        };
        for (position, message) in queued.enumerate() {
            let answer = answers.as_ref().and_then(|answers| answers.get(position).copied());
            if let Some(index) = assignment.mailboxes.push(Partitioner::answered(answer), message) {
                assignment.gather(&mut self.timers, now, job.assignment, index);
            }
        }
        if answers.is_none() {
            let offset = job.sequences.first().and_then(|&sequence| assignment.ledger.offset(sequence));
            let (assignment, messages) = (job.assignment, count as u32);
            self.notice(Notice::PartitionerFailed { assignment, job: id, offset, messages });
        }
    }

    fn messages_missing(&mut self, job: &RunningJob) {
        let Some(assignment) = self.assignments.get(job.assignment) else {
            return;
        };
        let missing = job.sequences.iter().filter(|&&sequence| !assignment.ledger.is_done(sequence)).count();
        if missing > 0 {
            self.notice(Notice::MessagesMissing { assignment: job.assignment, messages: missing as u32 });
        }
    }

    /// A job of a partition that was given up ended; the present owner may have waited for it.
    fn old_job_ended(&mut self, job: &RunningJob) {
        let Some(owner) = self.assignments.old_job_ended(job.topic, job.partition) else {
            return;
        };
        if let Some(assignment) = self.assignments.get_mut(owner) {
            assignment.waits_for_old_jobs = false;
            self.enlist(owner);
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
    /// A handler returned without an error: its messages are done, or under manual offset management handled.
    fn record_handled(&mut self, job: &RunningJob) {
        if !self.marks_count() {
            return;
        }
        if !self.options.manual_offset_management {
            mark_all(&mut self.ledger, &job.sequences);
            return;
        }
        for part in job.parts.iter().filter(|part| part.shared) {
            for &sequence in job.sequences_of(part) {
                if !self.ledger.is_done(sequence) {
                    self.unmarked.keep(&self.ledger, part.name, sequence);
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

/// Marks sequences, at once as far as one follows the other.
fn mark_all(ledger: &mut Ledger, sequences: &[u64]) {
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
