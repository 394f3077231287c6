//! What happened in a run, as far as the oracles care. Written by the world, read afterwards.

use std::ops::Range;
use std::time::Duration;

use karafka_engine::{AssignmentId, CommitId, Instant, JobKind, TopicOptions, Verdict};

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: usize,
    pub partition: i32,
}

/// One ownership of a partition by one process; a restarted process has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub process: u32,
    pub assignment: AssignmentId,
    /// Counts the user's seeks in it: each begins anew.
    pub era: u32,
}

/// A record that readers may see. Records of the same `order` must be handled one after the other; those without may run
/// at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    pub offset: i64,
    pub order: Option<u64>,
}

/// The messages of one virtual partition in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub virtual_partition: u64,
    pub offsets: Vec<i64>,
}

/// What the clocks of a process say: the one that never goes back, and the one on the wall, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub at: Instant,
    pub wall: i64,
}

/// A job as the engine handed it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOut {
    pub kind: JobKind,
    pub owner: Owner,
    pub place: Place,
    pub pool: usize,
    /// Which attempt this is for each message.
    pub attempts: Vec<u32>,
    /// Of a call without messages, the virtual partition whose consumer it is for.
    pub consumer: Option<u64>,
    pub parts: Vec<Part>,
    /// What no other job may have that runs at the same time.
    pub values: Vec<u64>,
}

/// Why an ownership began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The group gave the partition, to be resumed at the committed offset.
    Group,
    /// The user moved on or back.
    Seek,
    /// The log was cut, or ended before the committed offset.
    Reset,
}

/// How an ownership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Given back in order; `overdue` when the deadline for running calls had passed, or the topic's are not awaited.
    Released { overdue: bool },
    /// The group took it, or the process began another one of the same partition.
    Lost,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    Failed,
    /// It never began.
    PutBack,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Records became readable, in offset order: those of open and aborted transactions are not.
    Readable { place: Place, records: Vec<Logged> },
    /// Records of a transaction that was aborted: nobody may ever see them.
    Aborted { place: Place, offsets: Vec<i64> },
    /// Records were compacted away or deleted; who has read them may still handle them.
    Removed { place: Place, offsets: Vec<i64> },
    /// Everything from `end` on is gone; other records will have these offsets.
    Truncated { place: Place, end: i64 },
    /// The group's offset was set by hand, or the text beside it.
    Moved { place: Place, position: i64 },
    /// The group took a partition from a process that may not know it yet.
    Taken { place: Place, generation: u32 },
    /// A process begins an ownership at `start` and knows that `done` is done beyond it.
    Assigned { owner: Owner, place: Place, generation: u32, origin: Origin, start: i64, done: Vec<Range<i64>> },
    /// An ownership had read nothing of what was cut off of its log, and goes on.
    Followed { owner: Owner, place: Place },
    /// A process is to give a partition up.
    Revoking { owner: Owner, place: Place },
    /// A process knows that an ownership is over.
    Gone { owner: Owner, place: Place, end: End },
    /// A process died with everything in it.
    Crashed { process: u32 },
    /// The engine handed a job out; only those with messages for the handler have parts.
    HandedOut { call: u64, job: HandedOut },
    /// A seat began it.
    Started { call: u64 },
    /// A handler is through with a message, so this owner must not get it again.
    Handled { owner: Owner, place: Place, offset: i64 },
    /// An option says that no handler gets this message; the engine counts it as done.
    Passed { owner: Owner, place: Place, offset: i64 },
    /// The engine accepted a message as done.
    Done { owner: Owner, place: Place, offset: i64 },
    /// What a handler said about its failure, just before its job is given back.
    Said { call: u64, verdict: Verdict, culprit: Option<i64> },
    /// A message is given up: it counts as done, or leaves as a dead letter.
    GivenUp { owner: Owner, place: Place, call: u64, offset: i64, attempts: u32, leaves: bool },
    /// A copy was sent to the dead letters; whether it arrives, and whether its sender hears of it.
    LetterSent { owner: Owner, place: Place, offset: i64, attempts: u32, arrives: bool, answered: bool },
    /// A job was given back to the engine.
    Finished { call: u64, ending: Ending },
    /// The engine asked for a commit that says that `done` is done beyond `position`.
    Asked { owner: Owner, place: Place, id: CommitId, position: i64, done: Vec<Range<i64>>, text: Text },
    /// The broker applied it.
    Committed { owner: Owner, place: Place, id: CommitId },
    /// The broker committed a transaction: what was produced of `outputs` is visible from here on, and with it that `done` is
    /// done beyond `position`.
    Transacted { owner: Owner, place: Place, position: i64, done: Vec<Range<i64>>, outputs: Vec<i64> },
    /// A commit had another answer than success.
    Refused { place: Place },
    /// A process has this many seats in a pool from here on.
    Seats { process: u32, pool: usize, seats: u32 },
    /// Nothing can be expected of a process, or of all, for a time: a pause, a freeze, an outage.
    Hindered { process: Option<u32>, until: Instant },
    /// A process read messages of a topic with intake policies: offsets and timestamps.
    Read { owner: Owner, place: Place, clock: Clock, records: Vec<(i64, Option<i64>)> },
    /// The user's filter said that these need not be handled.
    Skipped { owner: Owner, place: Place, offsets: Vec<i64> },
    /// The clocks when a job of such a topic was handed out, and when it begins.
    Clocked { call: u64, begins: bool, clock: Clock },
    /// A process' clock went forward.
    Leapt { process: u32, by: Duration },
    /// A process begins to give up everything.
    Stopping { process: u32 },
    /// Something the engine must never let happen was seen while running.
    Defect { process: u32, problem: String },
}

/// The text beside a commit, and what it was to carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// What the user had stored at that moment.
    pub user: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub topics: Vec<TopicOptions>,
    /// The pool of each topic.
    pub pools: Vec<usize>,
    /// Most bytes of text beside a commit that the engine sends.
    pub metadata_limit: usize,
    /// Most bytes that arrive.
    pub broker_limit: usize,
    pub events: Vec<(Instant, Event)>,
    /// The committed offset and the last readable record of each partition at the end.
    pub ends: Vec<(Place, Option<i64>, Option<i64>)>,
    /// What was still unfinished when the run was over, though all faults had ended long before.
    pub unfinished: Vec<String>,
}

/// The shortest limit of text at which marks always fit.
const ROOM_FOR_MARKS: usize = 4096;

impl History {
    pub fn has_room_for_marks(&self) -> bool {
        self.metadata_limit.min(self.broker_limit) >= ROOM_FOR_MARKS
    }

    pub fn add(&mut self, now: Instant, event: Event) {
        self.events.push((now, event));
    }
}
