//! Looking at the engine from outside: counters, and the check that nothing freezes silently.

use std::time::Duration;

use crate::action::{Stall, Totals};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{JobId, JobKind, RunningJob};
use crate::record::Record;
use crate::scheduler::{Counted, PoolId};
use crate::virtual_partition::{Index, State};

/// How late a timer may be before what waits for it counts as stalled: the driver may be about to tick.
const LATE: Duration = Duration::from_secs(1);

/// A job that is out, for people who want to know what holds a stop up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCall {
    /// The job's id.
    pub job: JobId,
    /// What is asked of the worker.
    pub kind: JobKind,
    /// The ownership under which its messages were read.
    pub assignment: AssignmentId,
    /// Its first message, as long as the partition is owned.
    pub first_offset: Option<i64>,
    /// How many messages it has.
    pub messages: u32,
    /// When it was handed out.
    pub since: Instant,
}

impl<M: Record> Engine<M> {
    /// The jobs that are out, in no order.
    pub fn running_jobs(&self) -> Vec<RunningCall> {
        let call = |(id, job): (JobId, &RunningJob)| {
            let ledger = self.assignments.get(job.assignment).map(|assignment| &assignment.ledger);
            RunningCall {
                job: id,
                kind: job.kind,
                assignment: job.assignment,
                first_offset: job.sequences.first().and_then(|sequence| ledger?.offset(*sequence)),
                messages: job.sequences.len() as u32,
                since: job.since,
            }
        };
        self.jobs.entries().map(call).collect()
    }

    /// Messages of a partition that wait.
    pub fn queued(&self, id: AssignmentId) -> u64 {
        self.assignments.get(id).map_or(0, Assignment::queued)
    }

    /// Jobs of a partition that are out.
    pub fn running(&self, id: AssignmentId) -> u32 {
        self.assignments.get(id).map_or(0, |assignment| assignment.running_jobs)
    }

    /// Jobs of a pool that are out.
    pub fn jobs_out(&self, pool: PoolId) -> u32 {
        self.scheduler.out(pool)
    }

    /// Whether a partition would give a job now, if there were a place for one.
    pub fn could_run(&self, id: AssignmentId) -> bool {
        self.assignments.get(id).is_some_and(|assignment| {
            assignment.can_give_job() && self.scheduler.turns(assignment.topic).is_some_and(|turns| !turns.is_full())
        })
    }

    /// The offset a commit would say now.
    pub fn position(&self, id: AssignmentId) -> Option<i64> {
        self.assignments.get(id)?.ledger.position()
    }

    /// Whether the id names a present ownership whose marks count.
    pub fn is_owned(&self, id: AssignmentId) -> bool {
        self.assignments.get(id).is_some_and(Assignment::marks_count)
    }

    /// The ownership a running job belongs to; `None` once it is completed.
    pub fn assignment_of(&self, id: JobId) -> Option<AssignmentId> {
        self.jobs.get(id).map(|job| job.assignment)
    }

    /// Counters over everything.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            running_jobs: self.jobs.iter().count() as u32,
            held_messages: self.budget.messages(),
            held_bytes: self.budget.bytes(),
            ..Totals::default()
        };
        for (_, assignment) in self.assignments.iter() {
            totals.assignments += 1;
            totals.queued_messages += assignment.queued();
        }
        totals
    }

    /// Partitions whose messages wait for nothing that will come. Always empty, unless the engine has a defect. Takes
    /// time proportional to the virtual partitions present: meant for a look every few seconds.
    pub fn stalls(&self, now: Instant) -> Vec<Stall> {
        let stalled = self.assignments.iter().filter(|(id, assignment)| self.is_stalled(now, *id, assignment));
        let stall = |(id, assignment): (AssignmentId, &Assignment<M>)| Stall {
            assignment: id,
            topic: assignment.topic,
            partition: assignment.partition,
            queued: assignment.queued(),
        };
        stalled.map(stall).collect()
    }

    fn is_stalled(&self, now: Instant, id: AssignmentId, assignment: &Assignment<M>) -> bool {
        let old_jobs = self.assignments.old_jobs(assignment.topic, assignment.partition) > 0;
        let others =
            (assignment.waits_for_old_jobs && old_jobs) || (assignment.earlier_jobs > 0 && assignment.running_jobs > 0);
        let held = assignment.running_jobs > 0 && assignment.consumers.as_ref().is_some_and(|found| found.is_held);
        let held_back = assignment.paused_until.is_some() || others || held;
        if assignment.stage != Stage::Active || held_back {
            return false;
        }
        let late = |due: Instant| due + LATE < now;
        let intake = assignment.policies.as_deref();
        let throttled = intake.is_some_and(|intake| intake.closed && !intake.is_forgotten(late));
        let frozen = |index: Index, state: State| match state {
            State::Idle => true,
            State::Ready => !assignment.enlisted && !throttled,
            State::Blocked => !self.is_blocked(id, assignment, index),
            State::Running => assignment.running_jobs == 0,
            State::Lingering | State::BackingOff => assignment.mailboxes.due(index).is_none_or(late),
            State::Dispatching => !assignment.letters.awaits(index),
        };
        let mailboxes = assignment.mailboxes.iter().any(|(index, state, length)| length > 0 && frozen(index, state));
        let partitioner = if assignment.asking_partitioner { assignment.running_jobs > 0 } else { assignment.enlisted };
        // What is held waits for a timer, or for the window to be used up by what is ready before it.
        let held = intake.is_some_and(|intake| {
            let behind = assignment.mailboxes.has_ready() || !assignment.intake.is_empty() || intake.asking_filter;
            intake.holds() && intake.is_forgotten(late) && !behind && intake.unfiltered.is_empty()
        });
        let filter = intake.is_none_or(|intake| {
            let asks = intake.asking_filter && assignment.running_jobs > 0;
            asks || (!intake.asking_filter && (intake.unfiltered.is_empty() || assignment.enlisted))
        });
        mailboxes || (!assignment.intake.is_empty() && !partitioner) || held || !filter
    }

    /// Compares every counter with a count from scratch. For tests: costs as much as there is.
    ///
    /// # Errors
    /// The first difference, in words.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let (mut messages, mut bytes) = (0, 0);
        let mut counted = vec![(0, Counted::default()); self.topics.len()];
        for (id, assignment) in self.assignments.iter() {
            assignment.mailboxes.check().map_err(|problem| format!("{id:?}: {problem}"))?;
            let jobs = || self.jobs.iter().filter(|job| job.assignment == id);
            let running: u64 = jobs().map(|job| job.sequences.len() as u64).sum();
            if jobs().count() as u32 != assignment.running_jobs {
                return Err(format!("{id:?} counts {} jobs, runs {}", assignment.running_jobs, jobs().count()));
            }
            let earlier = jobs().filter(|job| job.era != assignment.era).count() as u32;
            if earlier != assignment.earlier_jobs {
                return Err(format!("{id:?} counts {} jobs of earlier eras, {earlier} run", assignment.earlier_jobs));
            }
            self.check_calls(id, assignment)?;
            let letters = assignment.letters.len();
            if assignment.held_messages != assignment.queued() + running + letters {
                let held = (assignment.held_messages, assignment.queued(), running, letters);
                return Err(format!("{id:?} (holds, queued, running, letters): {held:?}"));
            }
            let remembered = assignment.mailboxes.troubles.len();
            if assignment.held_messages == 0 && remembered > 0 {
                return Err(format!("{id:?} holds nothing and remembers {remembered} failures"));
            }
            if assignment.can_give_job() && !assignment.enlisted {
                return Err(format!("{id:?} has something to give and is not in the ring"));
            }
            if let Some((assignments, sum)) = counted.get_mut(assignment.topic.0 as usize) {
                let own = assignment.count();
                *assignments += 1;
                sum.ready_messages += own.ready_messages;
                sum.useful.ready += own.useful.ready;
                sum.useful.running += own.useful.running;
                sum.useful.jobs += own.useful.jobs;
            }
            messages += assignment.held_messages;
            bytes += assignment.held_bytes;
        }
        for job in self.jobs.iter().filter(|job| self.assignments.get(job.assignment).is_none()) {
            messages += job.sequences.len() as u64;
            bytes += job.bytes;
        }
        let mut running = vec![0; self.topics.len()];
        for job in self.jobs.iter().filter(|job| !job.kind.is_farewell()) {
            if let Some(running) = running.get_mut(job.topic.0 as usize) {
                *running += 1;
            }
        }
        self.scheduler.check(&counted, &running)?;
        self.check_values()?;
        let counted = (self.budget.messages(), self.budget.bytes());
        if counted != (messages, bytes) {
            return Err(format!("the budget counts {counted:?}, held are {:?}", (messages, bytes)));
        }
        Ok(())
    }
}
