//! Defects on purpose, so that the simulator can show that it would find them. Compiled for its tests only (feature
//! `planted`), and without effect until one is chosen in [`EngineOptions`](crate::EngineOptions).
//!
//! Each is a defect that a library of this kind had, or might have: see docs/simulation.md. The hooks are a line or two
//! where the defect would sit; what they have to remember is kept here, on the engine's thread.

use std::collections::{HashMap, HashSet};

use crate::after::GivenUp;
use crate::assignment::{Assignment, AssignmentId, Assignments, TopicId};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Jobs, Outcome, RunningJob};
use crate::metadata;
use crate::record::Record;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A message counts as done when it is delivered, not when its handler is through.
    CommitAtDelivery,
    /// A mark of a job whose partition was lost counts for the present owner.
    LateMarkAccepted,
    /// How often a virtual partition failed is remembered beyond the ownership.
    RetryCounterKept,
    /// An offset that is missing in the log is waited for.
    GapTakenAsMissing,
    /// The messages of a failed job are not put back.
    MailboxDropped,
    /// The offset of a commit is of another moment than its marks.
    TornCommit,
    /// A message that still runs for an earlier ownership hides the fresh one.
    OldEntryHidesRecord,
    /// Metadata that is too long is cut.
    MetadataCut,
    /// A partition is given up while its jobs run.
    RevokeAnsweredEarly,
    /// A message is sent to the dead letters though its partition is lost.
    LetterThoughLost,
    /// A message that was given up counts as done before its copy is acknowledged.
    LetterDoneEarly,
    /// A seek takes effect before the fetching has moved, which may fail.
    SoughtBeforehand,
    /// A pause outlives its ownership.
    PauseKept,
    /// With a partition that is lost, the values of its running jobs are unlocked.
    LocksDroppedWithPartition,
    /// A job that still runs for a lost partition is counted out twice: when that is lost, and when it ends.
    JobCountedOutTwice,
    /// A throttle that is full is looked at again at once.
    PauseOfNothing,
    /// A delayed message with a timestamp far ahead is waited for without end.
    PauseWithoutEnd,
    /// A timestamp ahead of the clock is taken for a message that is old enough.
    FutureIsCaughtUp,
    /// A consumer hears of a revocation while its handler runs.
    RevokedBesideHandler,
    /// Messages are handed out while their consumer ticks.
    TickBesideHandler,
    /// What a transaction marks counts before it has ended, also when it is aborted.
    MarkedBeforeTheEnd,
    /// Other commits of a partition go out while a transaction commits.
    CommitBesideTransaction,
    /// The copy of a message that was given up becomes visible, and its offset is not passed with it.
    LetterBesideOffset,
    /// Of transactions that commit together only the first one's marks go along.
    SharedMarksForgotten,
    /// A call that is over while its transaction commits comes again before that has ended.
    EndedBesideCommit,
    /// A log that was cut is read on from the cut, whatever before it is not done.
    BegunAtTheCut,
}

impl Planted {
    /// Every one of them.
    pub const ALL: [Self; 26] = [
        Self::CommitAtDelivery,
        Self::LateMarkAccepted,
        Self::RetryCounterKept,
        Self::GapTakenAsMissing,
        Self::MailboxDropped,
        Self::TornCommit,
        Self::OldEntryHidesRecord,
        Self::MetadataCut,
        Self::RevokeAnsweredEarly,
        Self::LetterThoughLost,
        Self::LetterDoneEarly,
        Self::SoughtBeforehand,
        Self::PauseKept,
        Self::LocksDroppedWithPartition,
        Self::JobCountedOutTwice,
        Self::PauseOfNothing,
        Self::PauseWithoutEnd,
        Self::FutureIsCaughtUp,
        Self::RevokedBesideHandler,
        Self::TickBesideHandler,
        Self::MarkedBeforeTheEnd,
        Self::CommitBesideTransaction,
        Self::LetterBesideOffset,
        Self::SharedMarksForgotten,
        Self::EndedBesideCommit,
        Self::BegunAtTheCut,
    ];
}

/// What the chosen defect remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) chosen: Option<Planted>,
    failures: HashMap<(TopicId, i32, u64), u32>,
    entries: HashSet<(TopicId, i32, i64)>,
    pauses: HashMap<(TopicId, i32), Instant>,
}

impl Memory {
    pub(crate) fn of(chosen: Option<Planted>) -> Self {
        Self { chosen, ..Self::default() }
    }

    pub(crate) fn is(&self, defect: Planted) -> bool {
        self.chosen == Some(defect)
    }

    /// Whose message a mark of a job counts for.
    pub(crate) fn owner<M>(&self, assignments: &Assignments<M>, job: &RunningJob) -> AssignmentId {
        let present = assignments.owner(job.topic, job.partition);
        present.filter(|_| self.is(Planted::LateMarkAccepted)).unwrap_or(job.assignment)
    }

    pub(crate) fn count_failure<M>(&mut self, assignment: &Assignment<M>, name: u64) {
        *self.failures.entry((assignment.topic, assignment.partition, name)).or_default() += 1;
    }

    /// The attempt that a first message of a virtual partition is said to be at.
    pub(crate) fn attempt<M>(&self, assignment: &Assignment<M>, name: u64, attempt: u32) -> u32 {
        let kept = self.failures.get(&(assignment.topic, assignment.partition, name));
        let kept = kept.filter(|_| self.is(Planted::RetryCounterKept));
        attempt.max(kept.map_or(1, |failures| failures + 1))
    }

    /// The same for the messages of a job.
    pub(crate) fn falsify_attempts<M>(
        &self,
        assignment: &Assignment<M>,
        name: u64,
        attempts: &mut Vec<u32>,
        messages: usize,
    ) {
        let first = attempts.first().copied().unwrap_or(1);
        let said = self.attempt(assignment, name, first);
        if said > first {
            attempts.resize(messages, 1);
            attempts[0] = said;
        }
    }

    pub(crate) fn keep_pause<M>(&mut self, assignment: &Assignment<M>) {
        if let Some(until) = assignment.paused_until {
            self.pauses.insert((assignment.topic, assignment.partition), until);
        }
    }

    /// The pause that a new ownership begins with.
    pub(crate) fn pause(&self, topic: TopicId, partition: i32) -> Option<Instant> {
        self.pauses.get(&(topic, partition)).copied().filter(|_| self.is(Planted::PauseKept))
    }

    /// Remembers what still runs of a partition that is lost.
    pub(crate) fn keep_entries<M>(&mut self, jobs: &Jobs, id: AssignmentId, assignment: &Assignment<M>) {
        let sequences = jobs.iter().filter(|job| job.assignment == id).flat_map(|job| &job.sequences);
        let offsets = sequences.filter_map(|sequence| assignment.ledger.offset(*sequence));
        self.entries.extend(offsets.map(|offset| (assignment.topic, assignment.partition, offset)));
    }

    /// Whether a message is taken for the one that still runs.
    pub(crate) fn hides<M>(&mut self, assignment: &Assignment<M>, offset: i64) -> bool {
        self.is(Planted::OldEntryHidesRecord) && self.entries.remove(&(assignment.topic, assignment.partition, offset))
    }
}

impl<M: Record> Engine<M> {
    /// Sends the message of a failed call off although nobody owns its partition here any more.
    pub(crate) fn planted_letter(&mut self, job: &RunningJob, outcome: &Outcome, messages: &mut Vec<M>) {
        let options = self.topics.get(job.topic.0 as usize);
        let leaves = options.is_some_and(|options| matches!(options.given_up, GivenUp::Dispatched { .. }));
        let lost = self.assignments.get(job.assignment).is_none();
        if self.planted.is(Planted::LetterThoughLost)
            && leaves
            && lost
            && matches!(outcome, Outcome::Failed { .. })
            && let Some(message) = messages.pop()
        {
            self.post_though_lost(job.assignment, message, job.attempt);
        }
    }

    /// What goes wrong with the turns when an assignment is lost.
    pub(crate) fn lose_count(&mut self, id: AssignmentId) {
        let running = self.jobs.iter().filter(|job| job.assignment == id);
        match self.planted.chosen {
            Some(Planted::LocksDroppedWithPartition) => {
                let values = running.flat_map(|job| job.values.iter().copied()).collect();
                self.release_values(values);
            }
            Some(Planted::JobCountedOutTwice) => {
                let topics: Vec<TopicId> = running.map(|job| job.topic).collect();
                for topic in topics {
                    self.scheduler.job_ended(topic, self.clock, self.clock, 0);
                }
            }
            _ => {}
        }
    }
}

/// What the chosen defect remembers of the commits of an assignment.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    pub(crate) chosen: Option<Planted>,
    /// The offset as it was at the last commit.
    earlier: Option<i64>,
}

impl<M> Assignment<M> {
    /// The offset and the text of a commit, as the chosen defect makes them.
    pub(crate) fn falsify(&mut self, position: i64, text: String, limit: usize) -> (i64, String) {
        match self.commits.planted.chosen {
            Some(Planted::MetadataCut) => (position, cut(self.text(position, usize::MAX).unwrap_or(text), limit)),
            Some(Planted::TornCommit) => {
                let earlier = self.commits.planted.earlier.replace(position).unwrap_or(position);
                (earlier, self.text(earlier, limit).unwrap_or(text))
            }
            _ => (position, text),
        }
    }

    fn text(&self, position: i64, limit: usize) -> Option<String> {
        let encoded = metadata::encode(position, self.ledger.done_runs(), self.commits.texts.text(), limit);
        encoded.ok().map(|encoded| encoded.text)
    }
}

/// The longest beginning of a text that fits.
fn cut(mut text: String, limit: usize) -> String {
    while text.len() > limit {
        text.pop();
    }
    text
}
