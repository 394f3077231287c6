//! Jobs: what one call of a handler gets, and what the engine remembers of it until it is handed back.

use crate::after::Verdict;
use crate::assignment::{AssignmentId, TopicId};
use crate::hooks::Hook;
use crate::instant::Instant;
use crate::virtual_partition::Index;

/// Names a job that was handed out. An id is never used again, so a late or doubled answer is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    slot: u32,
    generation: u32,
}

/// What is asked of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Call the handler.
    Handle,
    /// Call the partitioner for each message; the answer is [`Outcome::Keyed`] or [`Outcome::KeyFailed`].
    Key,
    /// Ask for each message what no other job may have in common with it while it runs; the answer is the same as to
    /// [`JobKind::Key`], with 0 for a message that is not limited.
    Unique,
    /// Call the filter for each message; the answer is [`Outcome::Filtered`].
    Filter,
    /// Call the consumer's tick, without messages.
    Tick,
    /// Tell the consumer that the end of the partition was reached.
    Eofed,
    /// Tell the consumer that the partition goes, or went, to another process.
    Revoked,
    /// Tell the consumer that the process ends.
    Shutdown,
}

/// A share of the work, owned by a worker until it is completed.
#[derive(Debug)]
pub struct Job<M> {
    /// To mark and complete it with.
    pub id: JobId,
    /// What is to be done.
    pub kind: JobKind,
    /// The ownership under which the messages were read.
    pub assignment: AssignmentId,
    /// The topic, as added to the engine.
    pub topic: TopicId,
    /// The partition of all messages.
    pub partition: i32,
    /// At least one message for [`JobKind::Handle`] and [`JobKind::Key`]; group after group, each in order. None for others.
    pub messages: Vec<M>,
    /// The virtual partitions of the messages; empty for other kinds than [`JobKind::Handle`]. Of a call without messages, the
    /// consumer's, or none where it belongs to the partition.
    pub groups: Vec<Group>,
    /// From 1: which attempt this is for the first message, in this ownership.
    pub attempt: u32,
    /// The same for each message; empty when it is the first attempt for all of them.
    pub attempts: Vec<u32>,
    /// Whether the engine wants to hear, by [`Engine::started`](crate::Engine::started), when the job begins.
    pub tell_start: bool,
    /// What else is known.
    pub facts: Facts,
    /// Counts the user's seeks in this ownership: for [`Engine::mark_late`](crate::Engine::mark_late).
    pub era: u32,
}

/// What is known of a call beside its messages, where the topic wants calls without messages; nothing of it elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The consumer was given messages in this ownership, in this call or before.
    pub used: bool,
    /// The last message is the last of the partition, as far as is known; or the call tells so.
    pub at_end: bool,
    /// Other calls of the ownership still run: the consumer may be in one of them.
    pub beside: bool,
}

/// The messages of one virtual partition in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Names the virtual partition: the key's hash, the number in fixed mode, the partitioner's answer.
    pub virtual_partition: u64,
    /// Index of the first message.
    pub start: u32,
    /// Number of messages.
    pub len: u32,
}

/// How far a mark reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This message only.
    Message,
    /// This message and everything before it in its virtual partition, in this job and in earlier ones.
    Prefix,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler returned. Without manual offset management all messages are done.
    Done,
    /// The handler failed: what is not marked is retried after the back-off, or given up.
    Failed {
        /// What its language says about it.
        verdict: Verdict,
        /// The index of the message that made it fail, if it says so.
        culprit: Option<u32>,
    },
    /// The handler was never called: put back, without counting an attempt.
    NotStarted,
    /// The answers, one for each message of a [`JobKind::Key`] or [`JobKind::Unique`] job.
    Keyed(Vec<u64>),
    /// Nobody answered: the messages of the job go to one virtual partition, or are taken to have one value.
    KeyFailed,
    /// The filter's answers, one for each message of a [`JobKind::Filter`] job. Any other outcome of one but `NotStarted`
    /// keeps all messages.
    Filtered(Vec<FilterAnswer>),
}

/// What a filter says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAnswer {
    /// It is handled.
    Keep,
    /// It counts as done and is not handled.
    Skip,
    /// The filter failed: it is handled, and a notice says so.
    Failed,
}

impl Outcome {
    /// A failure of which nothing else is known.
    pub const FAILED: Self = Self::Failed { verdict: Verdict::Unsaid, culprit: None };
}

/// The engine's side of a job.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) kind: JobKind,
    pub(crate) assignment: AssignmentId,
    pub(crate) topic: TopicId,
    pub(crate) partition: i32,
    pub(crate) attempt: u32,
    pub(crate) bytes: u64,
    /// When it was handed out.
    pub(crate) since: Instant,
    /// Whether its messages take places of a throttle's window that count from when it begins.
    pub(crate) start_awaited: bool,
    /// The ledger's sequence of each message.
    pub(crate) sequences: Vec<u64>,
    pub(crate) parts: Vec<Part>,
    /// What no other job may have while it is out.
    pub(crate) values: Vec<u64>,
    /// The part that a prefix mark fell into last: handlers mark in order.
    pub(crate) last_marked: usize,
    /// The era of the assignment in which it was handed out.
    pub(crate) era: u32,
    /// Its handler paused the partition: what it did not mark comes again.
    pub(crate) paused: bool,
    /// A transaction of it waits for its turn.
    pub(crate) asks: bool,
    /// Of a call without messages.
    pub(crate) hook: Option<Hook>,
}

/// The engine's side of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) index: Index,
    pub(crate) name: u64,
    /// Whether later messages may join the virtual partition under the same name.
    pub(crate) shared: bool,
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// How many of its first messages a prefix mark has covered.
    pub(crate) marked: u32,
    /// Whether messages at its front were in a job before.
    pub(crate) returned: bool,
    /// Whether it was taken from messages that failed together before.
    pub(crate) suspect: bool,
}

impl JobId {
    /// The id as a number that no other job has as long as the process lives.
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl RunningJob {
    pub(crate) fn sequences_of(&self, part: &Part) -> &[u64] {
        let start = part.start as usize;
        self.sequences.get(start..start + part.len as usize).unwrap_or_default()
    }
}

impl Part {
    /// The part of a message, which must be there; `last` is where the previous one was found.
    pub(crate) fn of<'a>(parts: &'a mut [Self], last: &mut usize, message: u32) -> Option<&'a mut Self> {
        let holds = |part: &Self| message.checked_sub(part.start).is_some_and(|place| place < part.len);
        let near = [*last, *last + 1].into_iter().find(|&at| parts.get(at).is_some_and(holds));
        // Parts lie one behind the other, so the last that begins at or before the message holds it.
        let behind = || parts.partition_point(|part| part.start <= message).checked_sub(1);
        *last = near.or_else(behind)?;
        parts.get_mut(*last)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    job: Option<RunningJob>,
}

/// All jobs that are out, also those of partitions lost meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    spare: Vec<(Vec<u64>, Vec<Part>)>,
}

/// Most emptied lists kept for the next jobs.
const SPARE: usize = 1024;

impl Jobs {
    /// Empty lists with the capacity of an earlier job's.
    pub(crate) fn lists(&mut self) -> (Vec<u64>, Vec<Part>) {
        self.spare.pop().unwrap_or_default()
    }

    pub(crate) fn keep_lists(&mut self, mut sequences: Vec<u64>, mut parts: Vec<Part>) {
        if self.spare.len() < SPARE {
            sequences.clear();
            parts.clear();
            self.spare.push((sequences, parts));
        }
    }

    pub(crate) fn start(&mut self, job: RunningJob) -> JobId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return JobId { slot, generation: 0 };
        };
        entry.job = Some(job);
        JobId { slot, generation: entry.generation }
    }

    pub(crate) fn get(&self, id: JobId) -> Option<&RunningJob> {
        self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?.job.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: JobId) -> Option<&mut RunningJob> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?.job.as_mut()
    }

    /// Takes a job out; `None` when it was completed before.
    pub(crate) fn finish(&mut self, id: JobId) -> Option<RunningJob> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let job = slot.job.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(job)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RunningJob> {
        self.entries().map(|(_, job)| job)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (JobId, &RunningJob)> {
        self.slots.iter().enumerate().filter_map(|(place, slot)| {
            let id = JobId { slot: place as u32, generation: slot.generation };
            Some((id, slot.job.as_ref()?))
        })
    }
}
