//! Everything that belongs to one ownership of one partition, and dies with it.
//!
//! An [`AssignmentId`] is a slot and the epoch of its present tenant: an id of an earlier one finds nothing, so whatever
//! arrives late for a partition that was lost, released or assigned again touches nothing.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use crate::ahead::{PATIENCE, Place, Useful};
use crate::committer::Commits;
use crate::consumer::Consumers;
use crate::instant::Instant;
use crate::intake::Intake;
use crate::ledger::Ledger;
use crate::letters::Letters;
use crate::options::TopicOptions;
use crate::partitioner::Partitioner;
use crate::scheduler::Counted;
use crate::unique::Unique;
use crate::unmarked::Unmarked;
use crate::virtual_partition::Mailboxes;
use crate::waiting::Queued;

/// Names a subscribed topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub(crate) u32);

impl fmt::Display for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "topic {}", self.0)
    }
}

/// Names one ownership of one partition: stale after it ended, and never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignmentId {
    slot: u32,
    epoch: u32,
}

impl AssignmentId {
    /// Small and dense, for tables beside the engine; reused by later assignments with another epoch.
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    /// Grows with each tenant of the slot.
    pub fn epoch(self) -> u32 {
        self.epoch
    }
}

/// How far the life of an assignment has come. Released and lost ones are not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Messages are read and handed out.
    Active,
    /// Given up: running jobs and dead letters on their way are awaited until the deadline.
    Draining { deadline: Instant },
    /// Given up: the last commit is awaited until the deadline. Marks do not count any more.
    LastCommit { deadline: Instant },
}

/// One ownership of one partition.
#[derive(Debug)]
pub(crate) struct Assignment<M> {
    pub(crate) topic: TopicId,
    pub(crate) partition: i32,
    pub(crate) options: TopicOptions,
    pub(crate) partitioner: Partitioner,
    pub(crate) stage: Stage,
    /// The user's pause and its end, [`Instant::NEVER`] for one without.
    pub(crate) paused_until: Option<Instant>,
    /// Jobs of an earlier ownership of the partition still run.
    pub(crate) waits_for_old_jobs: bool,
    /// Counts the user's seeks: what was handed out in an earlier era does not count in this one.
    pub(crate) era: u32,
    /// Running jobs of earlier eras, which the first job of this one waits for.
    pub(crate) earlier_jobs: u32,
    pub(crate) ledger: Ledger,
    pub(crate) mailboxes: Mailboxes<M>,
    /// The intake policies and what waits for them, where one is on.
    pub(crate) policies: Option<Box<Intake<M>>>,
    /// Messages in arrival order that wait for the partitioner.
    pub(crate) intake: VecDeque<Queued<M>>,
    /// When messages arrived, where somebody asks: the first sequence of each delivery, and its time.
    pub(crate) arrivals: VecDeque<(u64, Instant)>,
    pub(crate) asking_partitioner: bool,
    /// What its messages must not have in common with running jobs, where anything.
    pub(crate) unique: Option<Box<Unique>>,
    pub(crate) unmarked: Unmarked,
    /// Messages that were given up and whose copies are not acknowledged.
    pub(crate) letters: Letters<M>,
    pub(crate) commits: Commits,
    /// Where the topic wants calls without messages.
    pub(crate) consumers: Option<Box<Consumers>>,
    pub(crate) running_jobs: u32,
    /// When the last job ended.
    pub(crate) job_ended: Instant,
    pub(crate) held_messages: u64,
    pub(crate) held_bytes: u64,
    /// Whether the pool's ring holds the assignment.
    pub(crate) enlisted: bool,
    /// As last told to the pool.
    pub(crate) counted: Counted,
}

impl<M> Assignment<M> {
    /// Messages waiting, not running.
    pub(crate) fn queued(&self) -> u64 {
        let held = self.policies.as_ref().map_or(0, |intake| intake.waiting());
        self.mailboxes.messages() + self.intake.len() as u64 + held
    }

    /// Whether a job could be made now.
    pub(crate) fn can_give_job(&self) -> bool {
        let ready = self.mailboxes.has_ready() && !self.is_throttled();
        self.can_run() && (ready || self.can_ask_partitioner() || self.can_ask_filter())
    }

    /// Whether the end of a job, a linger or a back-off is all that keeps it from giving jobs.
    pub(crate) fn can_run(&self) -> bool {
        let held = self.consumers.as_ref().is_some_and(|consumers| consumers.is_held);
        self.stage == Stage::Active && self.paused_until.is_none() && !self.waits_for_others() && !held
    }

    /// Whether jobs of an earlier ownership or era have to end before the next begins.
    pub(crate) fn waits_for_others(&self) -> bool {
        self.waits_for_old_jobs || self.earlier_jobs > 0
    }

    /// Messages that keep seats busy, as far as [`ahead`](crate::ahead) counts them.
    pub(crate) fn useful(&self) -> Useful {
        let Useful { ready, running, jobs } = self.mailboxes.useful();
        let unfiltered = self.policies.as_ref().map_or(0, |intake| intake.unfiltered.len() as u64);
        let questions = u64::from(self.can_ask_partitioner()) + u64::from(self.can_ask_filter());
        Useful { ready: ready + self.intake.len() as u64 + unfiltered, running, jobs: jobs + questions }
    }

    /// What keeps it from giving jobs.
    pub(crate) fn place(&self, now: Instant) -> Place {
        if self.waits_for_others() {
            Place::HeldBack
        } else if self.running_jobs > 0 && now.since(self.job_ended) >= PATIENCE {
            Place::Stuck
        } else {
            Place::Free
        }
    }

    /// What the pool has to know.
    pub(crate) fn count(&self) -> Counted {
        if !self.can_run() || self.is_throttled() {
            return Counted::default();
        }
        let useful = self.useful();
        // Without a job that could be made there is nothing ready.
        let ready_messages = if useful.jobs > 0 { self.mailboxes.ready_messages() } else { 0 };
        Counted { ready_messages, useful }
    }

    pub(crate) fn can_ask_partitioner(&self) -> bool {
        !self.asking_partitioner && !self.intake.is_empty()
    }

    pub(crate) fn marks_count(&self) -> bool {
        !matches!(self.stage, Stage::LastCommit { .. })
    }
}

#[derive(Debug)]
struct Slot<M> {
    epoch: u32,
    assignment: Option<Box<Assignment<M>>>,
}

/// All assignments, by id.
#[derive(Debug)]
pub(crate) struct Assignments<M> {
    slots: Vec<Slot<M>>,
    free: Vec<u32>,
    present: u64,
    places: HashMap<(TopicId, i32), Owners>,
}

/// What outlives an assignment of a partition: who owns it now, and what still runs of earlier owners.
#[derive(Debug, Default)]
struct Owners {
    owner: Option<AssignmentId>,
    old_jobs: u32,
}

impl<M> Assignments<M> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), present: 0, places: HashMap::new() }
    }

    /// How many there are.
    pub(crate) fn present(&self) -> u64 {
        self.present
    }

    /// The present owner of a partition.
    pub(crate) fn owner(&self, topic: TopicId, partition: i32) -> Option<AssignmentId> {
        self.places.get(&(topic, partition))?.owner
    }

    /// Jobs that still run for earlier owners of a partition.
    pub(crate) fn old_jobs(&self, topic: TopicId, partition: i32) -> u32 {
        self.places.get(&(topic, partition)).map_or(0, |place| place.old_jobs)
    }

    pub(crate) fn insert(&mut self, assignment: Assignment<M>) -> AssignmentId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { epoch: 0, assignment: None });
            (self.slots.len() - 1) as u32
        });
        let place = (assignment.topic, assignment.partition);
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return AssignmentId::default();
        };
        self.present += 1;
        entry.epoch = entry.epoch.wrapping_add(1);
        entry.assignment = Some(Box::new(assignment));
        let id = AssignmentId { slot, epoch: entry.epoch };
        self.places.entry(place).or_default().owner = Some(id);
        id
    }

    pub(crate) fn get(&self, id: AssignmentId) -> Option<&Assignment<M>> {
        self.slots.get(id.slot as usize).filter(|slot| slot.epoch == id.epoch)?.assignment.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: AssignmentId) -> Option<&mut Assignment<M>> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.epoch == id.epoch)?.assignment.as_deref_mut()
    }

    /// Ends an ownership; its running jobs become old jobs of the partition.
    pub(crate) fn remove(&mut self, id: AssignmentId) -> Option<Box<Assignment<M>>> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.epoch == id.epoch)?;
        let assignment = slot.assignment.take()?;
        self.free.push(id.slot);
        self.present -= 1;
        let place = (assignment.topic, assignment.partition);
        if let Some(entry) = self.places.get_mut(&place) {
            entry.owner = None;
            entry.old_jobs += assignment.running_jobs + assignment.owed();
            if entry.old_jobs == 0 {
                self.places.remove(&place);
            }
        }
        Some(assignment)
    }

    /// One old job of a partition ended. The present owner, if that was the last one it waited for.
    pub(crate) fn old_job_ended(&mut self, topic: TopicId, partition: i32) -> Option<AssignmentId> {
        let place = self.places.get_mut(&(topic, partition))?;
        place.old_jobs = place.old_jobs.saturating_sub(1);
        if place.old_jobs > 0 {
            return None;
        }
        let owner = place.owner;
        if owner.is_none() {
            self.places.remove(&(topic, partition));
        }
        owner
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AssignmentId, &Assignment<M>)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let id = AssignmentId { slot: slot as u32, epoch: entry.epoch };
            entry.assignment.as_deref().map(|assignment| (id, assignment))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (AssignmentId, &mut Assignment<M>)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, entry)| {
            let id = AssignmentId { slot: slot as u32, epoch: entry.epoch };
            entry.assignment.as_deref_mut().map(|assignment| (id, assignment))
        })
    }
}
