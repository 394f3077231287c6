//! What the engine asks of the runtime, and what it tells it.

use std::fmt;

use crate::assignment::{AssignmentId, TopicId};
use crate::instant::Instant;
use crate::job::{JobId, JobKind};
use crate::letters::LetterId;
use crate::metadata::{Problem, UserMetadataTooLong};
use crate::transaction::TransactionId;

/// Names a commit of one assignment; later commits have greater ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub(crate) u64);

/// Something the runtime has to do, in the order given.
#[derive(Debug)]
pub enum Action<M> {
    /// Commit, and tell the result by `committed`, exactly once.
    Commit {
        /// Whose offset.
        assignment: AssignmentId,
        /// To be given back with the result.
        id: CommitId,
        /// The offset of the next message to be read by whoever resumes here.
        position: i64,
        /// Text to commit beside the offset.
        metadata: String,
        /// The partition is given up once this is answered.
        last: bool,
    },
    /// Make these offsets part of one transaction, or of few, with what its transactions produced. The end is told by
    /// `transaction_ended`, exactly once for each partition. No other commit of a partition goes out before that.
    Offsets(Vec<TransactionOffsets>),
    /// Abort a transaction: what it marks does not count here any more. It has ended for the engine.
    OffsetsRefused {
        /// Whose offset.
        assignment: AssignmentId,
        /// Which.
        transaction: TransactionId,
    },
    /// Give the partition up: nothing of it is awaited any more. The id is stale from here on.
    Release {
        /// Which.
        assignment: AssignmentId,
    },
    /// Copy a message to the dead letter topic, and tell the result by `dead_lettered`, exactly once; a copy that was not
    /// acknowledged gives the message back.
    DeadLetter {
        /// Whose message.
        assignment: AssignmentId,
        /// To be given back with the result.
        id: LetterId,
        /// What to copy.
        message: M,
        /// How often it was handed to the handler in this ownership.
        attempts: u32,
    },
    /// Messages the engine is through with: free them. The emptied list may come back by `recycle`.
    Dropped(Vec<M>),
    /// Something worth an event or a line in a log.
    Notice(Notice),
}

/// What a transaction says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionOffsets {
    /// Whose offset.
    pub assignment: AssignmentId,
    /// Whose marks it has. The first one is to be given back with the end.
    pub transactions: Vec<TransactionId>,
    /// The offset of the next message to be read by whoever resumes here once the transaction is committed.
    pub position: i64,
    /// Text to commit beside the offset.
    pub metadata: String,
    /// Offset and text say what no commit before has said. Where they do not, for the marks do not fit, the group cannot tell
    /// whether the transaction was committed.
    pub is_distinct: bool,
}

/// How transactions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// What they marked counts.
    Committed,
    /// Nothing of them is there.
    Aborted,
    /// The same, as the brokers take less text beside an offset: the next ones have less.
    MetadataTooLarge,
}

/// What happened, for people. Nothing has to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The metadata of the committed offset tells nothing: what was done beyond the offset is handled again.
    MetadataIgnored {
        /// Whose offset.
        assignment: AssignmentId,
        /// Why.
        problem: Problem,
    },
    /// What is done beyond the commit position does not fit into the metadata any more; after a crash it would be
    /// handled again. Said once until it fits again.
    MarksDropped {
        /// Whose.
        assignment: AssignmentId,
        /// Messages that are done beyond the position.
        messages: u64,
    },
    /// The user's offset metadata is longer than the broker takes; commits go without it.
    UserMetadataTooLong {
        /// Whose.
        assignment: AssignmentId,
        /// By how much.
        problem: UserMetadataTooLong,
    },
    /// A handler failed.
    HandlerFailed {
        /// The job.
        job: JobId,
        /// Whose message.
        assignment: AssignmentId,
        /// The first message that is not marked; `None` when all are.
        offset: Option<i64>,
        /// From 1: which attempt at this message failed.
        attempt: u32,
        /// When the next one is due; `None` when there will be none here.
        next_attempt: Option<Instant>,
    },
    /// A message is given up. Said before the failure of its call, and before [`Action::DeadLetter`].
    GivenUp {
        /// The job whose call was the last.
        job: JobId,
        /// Whose message.
        assignment: AssignmentId,
        /// Which.
        offset: i64,
        /// How often it was handed to the handler in this ownership.
        attempts: u32,
        /// The letter as which it leaves; `None`: it counts as done.
        letter: Option<LetterId>,
    },
    /// A call without messages failed. It is not retried.
    HookFailed {
        /// The job.
        job: JobId,
        /// Whose consumer; the ownership may be over.
        assignment: AssignmentId,
        /// Which call.
        kind: JobKind,
    },
    /// A partitioner failed; the messages went to one virtual partition.
    PartitionerFailed {
        /// Whose messages.
        assignment: AssignmentId,
        /// The job that asked it.
        job: JobId,
        /// The first one.
        offset: Option<i64>,
        /// How many.
        messages: u32,
    },
    /// Nobody said what the messages of a job must not have in common with those of others: they are taken to have one
    /// value.
    UniqueFailed {
        /// Whose messages.
        assignment: AssignmentId,
        /// The job that asked.
        job: JobId,
        /// The first one.
        offset: Option<i64>,
        /// How many.
        messages: u32,
    },
    /// A filter failed; the messages it failed at are handled.
    FilterFailed {
        /// Whose messages.
        assignment: AssignmentId,
        /// The job that asked it.
        job: JobId,
        /// The first one.
        offset: Option<i64>,
        /// How many.
        messages: u32,
    },
    /// A scheduler callback did not do its part: the partitions it was asked about are served as they came.
    ChooserFailed {
        /// Why.
        reason: ChooserFailure,
    },
    /// Messages were older than the topic wants them: they are done without having been handled. Told at most once a second.
    Expired {
        /// Whose messages.
        assignment: AssignmentId,
        /// How many since the last notice.
        messages: u64,
    },
    /// The filter skipped messages. Told at most once a second.
    Filtered {
        /// Whose messages.
        assignment: AssignmentId,
        /// How many since the last notice.
        messages: u64,
    },
    /// The throttle holds messages back. Told at most once a second.
    Throttled {
        /// Whose messages.
        assignment: AssignmentId,
        /// How many wait now.
        messages: u64,
    },
    /// Messages of a delayed topic have timestamps so far ahead of the wall clock that they say nothing: they wait the delay
    /// from when they were read. Told at most once a second.
    TimestampsAhead {
        /// Whose messages.
        assignment: AssignmentId,
        /// How many since the last notice.
        messages: u64,
    },
    /// A commit failed for another reason than one that passes by itself. It is tried again as long as the partition is
    /// owned.
    CommitFailed {
        /// Whose.
        assignment: AssignmentId,
        /// How.
        failure: CommitFailure,
    },
    /// A partition is given up though handlers still run: their marks do not count any more.
    RevokeDeadlinePassed {
        /// Which partition.
        assignment: AssignmentId,
        /// Jobs still running.
        running: u32,
    },
    /// A partition is given up and its last commit was not confirmed: what it would have said may be handled again.
    LastCommitUnconfirmed {
        /// Which partition.
        assignment: AssignmentId,
    },
    /// A message came whose offset cannot be accounted for: the log was cut or the consumer moved back. The partition
    /// has to be assigned anew to read it.
    OffsetRefused {
        /// Whose message.
        assignment: AssignmentId,
        /// The offset.
        offset: i64,
    },
    /// A failed or unstarted job came back without its messages, so they cannot be retried from memory. They are not
    /// done, and the commit does not pass them.
    MessagesMissing {
        /// Whose.
        assignment: AssignmentId,
        /// How many.
        messages: u32,
    },
    /// A job of the previous ownership of a partition still runs; the new one starts when it ends.
    WaitingForOldJobs {
        /// The new ownership.
        assignment: AssignmentId,
        /// Jobs still running.
        running: u32,
    },
}

/// Why an order was not taken from a scheduler callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChooserFailure {
    /// It said so.
    Failed,
    /// It took too long.
    TooLate,
    /// It named nobody it was asked about.
    NothingValid,
}

/// Why a commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// It may succeed later.
    Retriable,
    /// The broker takes less text beside an offset: it is tried again with less.
    MetadataTooLarge,
    /// The group gave the partition to somebody else.
    NotOwned,
    /// It will not succeed.
    Fatal,
}

/// Where a partition resumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// The committed offset, if any.
    pub offset: Option<i64>,
    /// The metadata committed with it.
    pub metadata: Option<&'a str>,
}

/// How much of a partition may be read now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// In messages.
    pub messages: u32,
    /// In bytes; zero exactly when `messages` is. One message may exceed it.
    pub bytes: u64,
}

/// An assigned partition that holds messages though nothing would ever make them move: a defect of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which ownership.
    pub assignment: AssignmentId,
    /// Of which topic.
    pub topic: TopicId,
    /// And partition.
    pub partition: i32,
    /// Messages waiting.
    pub queued: u64,
}

impl fmt::Display for Stall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, queued, .. } = self;
        write!(formatter, "{queued} messages of partition {partition} of {topic} wait for nothing")
    }
}

/// Counters over the whole engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Owned partitions.
    pub assignments: u32,
    /// Messages waiting.
    pub queued_messages: u64,
    /// Jobs handed out.
    pub running_jobs: u32,
    /// Messages waiting or running, those of lost partitions included.
    pub held_messages: u64,
    /// Their bytes.
    pub held_bytes: u64,
}
