//! Asking the user's filter about messages that every other policy let pass, and what comes of its answers.
//!
//! Used by the engine's one thread. One job of a partition asks at a time, so that answers come in the order of the
//! messages. Guarantees: a message that is skipped is done, and no handler sees it; whatever the filter fails at is kept.

use crate::action::Notice;
use crate::assignment::AssignmentId;
use crate::completion::requeued;
use crate::dispatch::MOST_TO_KEY;
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Facts, FilterAnswer, Job, JobId, JobKind, Outcome, RunningJob};
use crate::record::Record;

impl<M: Record> Engine<M> {
    pub(crate) fn make_filter_job(&mut self, id: AssignmentId) -> Option<Job<M>> {
        let assignment = self.assignments.get_mut(id)?;
        let intake = assignment.policies.as_mut()?;
        let count = intake.unfiltered.len().min(MOST_TO_KEY);
        let mut messages = self.spare.pop().unwrap_or_default();
        let (mut sequences, parts) = self.jobs.lists();
        let mut bytes = 0;
        for queued in intake.unfiltered.drain(..count) {
            sequences.push(queued.sequence);
            messages.push(queued.message);
            bytes += u64::from(queued.bytes);
        }
        intake.asking_filter = true;
        intake.asked = count as u64;
        let running = assignment.running(JobKind::Filter, id, 1, bytes, sequences, parts);
        self.hand_out(running, messages, Vec::new(), Vec::new(), Facts::default())
    }

    /// What happens after a filter: what it keeps goes on in its order, the rest is done.
    pub(crate) fn settle_filter(
        &mut self,
        now: Instant,
        id: JobId,
        job: &RunningJob,
        outcome: Outcome,
        messages: &mut Vec<M>,
    ) {
        if !self.question_ended(now, job, messages.len()) {
            return;
        }
        let Some(assignment) = self.assignments.get_mut(job.assignment) else { return };
        let count = job.sequences.len();
        let queued = requeued(messages, job);
        if outcome == Outcome::NotStarted {
            if let Some(intake) = &mut assignment.policies {
                queued.rev().for_each(|message| intake.unfiltered.push_front(message));
            }
            return;
        }
        let verdicts = match outcome {
            Outcome::Filtered(verdicts) if verdicts.len() == count => verdicts,
            // No answer that could be used: all are kept.
            _ => vec![FilterAnswer::Failed; count],
        };
        let (mut skipped, mut skipped_bytes) = (0, 0);
        let (mut failed, mut first_failed) = (0, None);
        for (queued, verdict) in queued.zip(verdicts) {
            if verdict == FilterAnswer::Skip {
                assignment.ledger.mark(queued.sequence);
                skipped += 1;
                skipped_bytes += u64::from(queued.bytes);
                self.dropped.push(queued.message);
                continue;
            }
            if verdict == FilterAnswer::Failed {
                failed += 1;
                first_failed = first_failed.or_else(|| assignment.ledger.offset(queued.sequence));
            }
            assignment.enter(&mut self.timers, now, job.assignment, queued);
        }
        assignment.release(skipped, skipped_bytes);
        self.budget.give_back(skipped, skipped_bytes);
        if let Some(intake) = &mut assignment.policies {
            intake.count_skipped(skipped);
        }
        if failed > 0 {
            let (assignment, offset, messages) = (job.assignment, first_failed, failed);
            self.notice(Notice::FilterFailed { assignment, job: id, offset, messages });
        }
    }
}
