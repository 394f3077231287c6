//! What a user does to the position of a partition: pause, resume, seek, and the text beside the committed offset.
//!
//! Called by the driver on the engine's one thread. A pause belongs to its assignment and ends with it; a later one takes
//! the place of an earlier one. A seek keeps the assignment and begins another *era* of it: a new ledger at the target,
//! empty mailboxes, and no mark, failure or message of a job that was handed out before counts any more. The first job of
//! the new era waits for those that still run. The new position is committed also where it lies below the old one.
//!
//! The driver asks [`Engine::can_seek`], moves its own fetching, and only when that succeeded calls [`Engine::seek`]: a seek
//! that fails has changed nothing.

use crate::action::Action;
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Extent, JobId};
use crate::metadata;
use crate::record::Record;
use crate::timers::Timer;
use crate::unmarked::Unmarked;

impl<M: Record> Engine<M> {
    /// Hands out nothing of a partition, and reads nothing from it, until `until` or [`Engine::resume`]. Running jobs go
    /// on.
    pub fn pause(&mut self, id: AssignmentId, until: Option<Instant>) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let until = until.unwrap_or(Instant::NEVER);
        assignment.paused_until = Some(until);
        #[cfg(feature = "planted")]
        self.planted.keep_pause(assignment);
        self.timers.set(until, Timer::Pause(id));
        self.enlist(id);
        self.arm_ticks(id);
    }

    /// Ends a pause.
    pub fn resume(&mut self, id: AssignmentId) {
        if let Some(assignment) = self.assignments.get_mut(id) {
            assignment.paused_until = None;
            self.enlist(id);
            self.arm_ticks(id);
        }
    }

    /// A handler pauses the partition of its job. What the job has not marked when it returns is not done by that: it comes
    /// again when the pause is over.
    pub fn pause_from(&mut self, job: JobId, until: Option<Instant>) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.paused = true;
            let id = job.assignment;
            self.pause(id, until);
        }
    }

    /// A handler takes its pause back.
    pub fn resume_from(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.paused = false;
            let id = job.assignment;
            self.resume(id);
        }
    }

    /// Whether a partition can be moved: it is owned and not being given up. Changes nothing.
    pub fn can_seek(&mut self, now: Instant, id: AssignmentId, offset: i64) -> bool {
        self.observe(now);
        let can = (0..i64::MAX).contains(&offset)
            && self.assignments.get(id).is_some_and(|assignment| assignment.stage == Stage::Active);
        #[cfg(feature = "planted")]
        if can && self.planted.is(crate::Planted::SoughtBeforehand) {
            self.seek(now, id, offset);
        }
        can
    }

    /// Moves a partition: what waits is dropped, and the next message is expected at `offset`. Returns whether it did, by
    /// the rule of [`Engine::can_seek`]. Pauses stay.
    pub fn seek(&mut self, now: Instant, id: AssignmentId, offset: i64) -> bool {
        self.observe(now);
        let assignment = self.assignments.get_mut(id).filter(|assignment| assignment.stage == Stage::Active);
        let Some(assignment) = assignment.filter(|_| (0..i64::MAX).contains(&offset)) else {
            return false;
        };
        let (messages, bytes) = assignment.drop_queued(true, &mut self.dropped);
        assignment.begin_era(offset);
        self.budget.give_back(messages, bytes);
        // A dead letter that has not left stays: its message is passed, or comes again.
        self.actions.retain(|action| !matches!(action, Action::DeadLetter { assignment, .. } if *assignment == id));
        self.enlist(id);
        self.schedule_commit(id);
        true
    }

    /// Where a partition is to be read again whose log turned out to begin anew at `first`, below what was read: at the first message
    /// that is not done, with a text for [`Start`](crate::Start). Marks beyond that are of records that may be others by now.
    /// `None`: everything before `first` is done, and nothing that is known counts from there on.
    pub fn undone_before(&self, id: AssignmentId, first: i64) -> Option<(i64, String)> {
        #[cfg(feature = "planted")]
        if self.planted.is(crate::Planted::BegunAtTheCut) {
            return None;
        }
        let assignment = self.assignments.get(id)?;
        let position = assignment.ledger.position().filter(|position| *position < first)?;
        let user = assignment.commits.texts.text();
        let text = metadata::encode(position, [], user, self.options.metadata_limit).map(|encoded| encoded.text);
        Some((position, text.unwrap_or_default()))
    }

    /// The partition was assigned where the group's offset does not say: the offset may be one that comes again.
    pub fn doubt_offset(&mut self, id: AssignmentId) {
        if let Some(assignment) = self.assignments.get_mut(id) {
            assignment.commits.move_on(&assignment.ledger);
        }
    }

    /// Marks a message and everything before it in its virtual partition, and stores a text with it: see
    /// [`OffsetMetadata`](crate::OffsetMetadata). Otherwise as [`Engine::mark`].
    pub fn mark_with_metadata(&mut self, id: JobId, index: u32, text: String) -> bool {
        if !self.mark(id, index, Extent::Prefix) {
            return false;
        }
        let Some(job) = self.jobs.get(id) else { return false };
        let (owner, sequence) = (job.assignment, job.sequences.get(index as usize).copied());
        let current = self.assignments.get_mut(owner).filter(|assignment| assignment.era == job.era);
        if let Some((assignment, sequence)) = current.zip(sequence) {
            assignment.commits.texts.give(&assignment.ledger, sequence, text);
            self.schedule_commit(owner);
        }
        true
    }

    /// Stores a text with the offset from the next commit on, which this makes due; `None` removes it. Returns whether
    /// the partition is still owned.
    pub fn set_offset_metadata(&mut self, id: AssignmentId, text: Option<String>) -> bool {
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.marks_count()) else {
            return false;
        };
        assignment.commits.texts.store(&assignment.ledger, text);
        self.schedule_commit(id);
        true
    }

    /// The text stored with the offset: read at assignment, or set since.
    pub fn offset_metadata(&self, id: AssignmentId) -> Option<&str> {
        self.assignments.get(id)?.commits.texts.text()
    }
}

impl<M> Assignment<M> {
    fn begin_era(&mut self, offset: i64) {
        self.era = self.era.wrapping_add(1);
        self.earlier_jobs = self.running_jobs;
        self.ledger.seek(offset);
        self.commits.move_on(&self.ledger);
        self.arrivals.clear();
        self.asking_partitioner = false;
        if let Some(intake) = &mut self.policies {
            intake.forget_question();
        }
        self.unmarked = Unmarked::new();
        self.commits.texts.seek();
        self.go_on_from_end();
    }
}
