//! The end of an ownership: given up in order, or lost.
//!
//! Active → draining (running jobs) → last commit → released; or lost at once from any of them. Jobs that still run then
//! are old jobs: what they return is freed, what they mark does not count, and the next owner of the partition waits for
//! them.

use std::time::Duration;

use crate::action::{Action, CommitFailure, Notice};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::record::Record;
use crate::timers::Timer;

/// The least time the last commit gets, also when running jobs used up the deadline.
const LAST_COMMIT_WAIT: Duration = Duration::from_secs(1);
/// The pause before a last commit that failed is sent again.
const LAST_COMMIT_RETRY: Duration = Duration::from_millis(100);

impl<M: Record> Engine<M> {
    /// Gives a partition up in order: stops handing out, drops what waits, awaits running jobs (not those of long-running
    /// topics) until `deadline`, commits a last time if something is new, then says [`Action::Release`]. Called again, it
    /// changes the deadline.
    pub fn revoke(&mut self, now: Instant, id: AssignmentId, deadline: Instant) {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        if assignment.stage == Stage::Active {
            let (messages, bytes) = assignment.drop_queued(false, &mut self.dropped);
            self.budget.give_back(messages, bytes);
            self.tell_intake(id);
        }
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        if !matches!(assignment.stage, Stage::LastCommit { .. }) {
            assignment.stage = Stage::Draining { deadline };
            self.timers.set(deadline, Timer::Life(id));
        }
        self.enlist(id);
        // What waits for company has none to come.
        self.send_offsets(id);
        self.advance_life(now, id);
    }

    /// Ends an ownership that is gone already: no waiting, no commit, no [`Action::Release`], also none that was decided
    /// and not taken yet.
    pub fn lose(&mut self, now: Instant, id: AssignmentId) {
        self.observe(now);
        self.actions.retain_mut(|action| match action {
            Action::Commit { assignment, .. }
            | Action::OffsetsRefused { assignment, .. }
            | Action::Release { assignment }
            | Action::DeadLetter { assignment, .. } => *assignment != id,
            Action::Offsets(parts) => {
                parts.retain(|part| part.assignment != id);
                !parts.is_empty()
            }
            Action::Dropped(_) | Action::Notice(_) => true,
        });
        self.forget(id);
    }

    /// Lets go of an assignment with all that waits in it.
    fn forget(&mut self, id: AssignmentId) {
        self.bid_farewell(id);
        let Some(mut assignment) = self.assignments.remove(id) else {
            return;
        };
        #[cfg(feature = "planted")]
        self.planted.keep_entries(&self.jobs, id, &assignment);
        #[cfg(feature = "planted")]
        self.lose_count(id);
        self.scheduler.left(assignment.topic, assignment.counted);
        let (messages, bytes) = assignment.drop_queued(true, &mut self.dropped);
        self.budget.give_back(messages, bytes);
        self.forget_values(&mut assignment);
    }

    /// Takes a partition that is being given up as far as it can go now.
    pub(crate) fn advance_life(&mut self, now: Instant, id: AssignmentId) {
        self.farewell_if_drained(id);
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        if let Stage::Draining { deadline } = assignment.stage {
            let awaited = assignment.is_awaited(self.calls.is_stopping);
            let running = assignment.running_jobs + assignment.owed();
            #[cfg(feature = "planted")]
            let running = if self.planted.is(crate::Planted::RevokeAnsweredEarly) { 0 } else { running };
            let running = if awaited { running } else { 0 };
            // Whoever owns the partition next would give a letter up again that is on its way now.
            if (running > 0 || assignment.letters.is_any_sent()) && now < deadline {
                return;
            }
            if running > 0 {
                let notice = Notice::RevokeDeadlinePassed { assignment: id, running };
                self.actions.push_back(Action::Notice(notice));
            }
            let deadline = deadline.max(now + LAST_COMMIT_WAIT);
            assignment.stage = Stage::LastCommit { deadline };
            self.timers.set(deadline, Timer::Life(id));
            self.send_offsets(id);
        }
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let Stage::LastCommit { deadline } = assignment.stage else {
            return;
        };
        let waits = assignment.commits.is_on_its_way();
        if !waits && !assignment.is_dirty() {
            self.release(id);
        } else if now >= deadline {
            self.notice(Notice::LastCommitUnconfirmed { assignment: id });
            self.release(id);
        } else if !waits && assignment.commits.retry_at <= now {
            assignment.send_commit(id, self.options.metadata_limit, true, &mut self.actions);
        }
    }

    /// A commit of a partition that is being given up was answered.
    pub(crate) fn last_commit_answered(&mut self, now: Instant, id: AssignmentId, result: Result<(), CommitFailure>) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        match (assignment.stage, result) {
            (Stage::LastCommit { .. }, Err(CommitFailure::NotOwned | CommitFailure::Fatal)) => {
                self.notice(Notice::LastCommitUnconfirmed { assignment: id });
                self.release(id);
                return;
            }
            (Stage::LastCommit { .. }, Err(CommitFailure::Retriable)) => {
                assignment.commits.retry_at = now + LAST_COMMIT_RETRY;
                self.timers.set(assignment.commits.retry_at, Timer::Life(id));
            }
            _ => self.schedule_commit(id),
        }
        self.advance_life(now, id);
    }

    fn release(&mut self, id: AssignmentId) {
        self.actions.push_back(Action::Release { assignment: id });
        self.forget(id);
    }
}

impl<M> Assignment<M> {
    /// Empties the mailboxes, and takes back the letters that wait here, or counts out `all` of them; returns what was
    /// given back, in messages and bytes.
    pub(crate) fn drop_queued(&mut self, all: bool, dropped: &mut Vec<M>) -> (u64, u64) {
        let (mut messages, mut bytes) = (0, 0);
        let mut drop = |queued: crate::waiting::Queued<M>| {
            messages += 1;
            bytes += u64::from(queued.bytes);
            dropped.push(queued.message);
        };
        self.intake.drain(..).for_each(&mut drop);
        if let Some(intake) = &mut self.policies {
            intake.clear(&mut drop);
        }
        self.mailboxes.clear(&mut drop);
        if let Some(unique) = self.unique.as_deref_mut() {
            unique.forget_waiting();
        }
        let (letters, letter_bytes) = self.letters.drain(all, |message| dropped.push(message));
        let (messages, bytes) = (messages + letters, bytes + letter_bytes);
        self.release(messages, bytes);
        (messages, bytes)
    }
}
