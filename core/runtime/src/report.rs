//! What workers and callers tell the poller.
//!
//! One queue, many writers, read by the poller only. What one thread sends arrives in its order: a job's marks come before
//! its end.

use crate::Result;
use crate::job::Failure;
use crate::message::MessageInner;
use crate::poller::{Answer, GroupOffsets, View};
use crate::position::{Ask as SeekAsk, SeekTo};
use crate::statistics::Statistics;
use crate::transaction::{Ask, Marks};
use crossbeam::channel::Sender;
use karafka_engine::{AssignmentId, Extent, JobId, LetterId, Outcome, QuestionId, TransactionEnd, TransactionId};
use std::time::{Duration, Instant};

/// Where a record is that is marked: what is left when its call has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) assignment: AssignmentId,
    pub(crate) era: u32,
    /// Negative when it is not known.
    pub(crate) offset: i64,
}

pub(crate) enum Report {
    Ended {
        job: JobId,
        outcome: Outcome,
        messages: Vec<MessageInner>,
        failure: Option<Failure>,
    },
    /// A seat took a job whose messages a throttle counts.
    Started {
        job: JobId,
        at: Instant,
    },
    Marked {
        job: JobId,
        index: u32,
        extent: Extent,
        place: Place,
    },
    /// A mark of a prefix that stores a text.
    MarkedWith {
        job: JobId,
        index: u32,
        text: String,
        place: Place,
    },
    Stored {
        assignment: AssignmentId,
        text: String,
    },
    Paused {
        job: JobId,
        assignment: AssignmentId,
        until: Option<Instant>,
    },
    Resumed {
        job: JobId,
        assignment: AssignmentId,
    },
    Seek {
        assignment: AssignmentId,
        to: SeekTo,
        timeout: Duration,
        ask: SeekAsk,
    },
    CommitSoon {
        assignment: AssignmentId,
    },
    Commit {
        assignment: AssignmentId,
        done: Sender<bool>,
    },
    Statistics {
        answer: Sender<Statistics>,
    },
    /// The answer to a question whose turn it is.
    Chosen {
        question: QuestionId,
        order: std::result::Result<Vec<u32>, Failure>,
    },
    /// A handler's transaction wants to commit with these marks of its job.
    Transaction {
        job: JobId,
        marks: Marks,
        /// It shares its commit with no other.
        alone: bool,
        ask: Ask,
    },
    /// The copy of a message that was given up is sent; its transaction wants to commit.
    LetterTransaction {
        assignment: AssignmentId,
        id: LetterId,
        ask: Ask,
    },
    TransactionEnded {
        ended: Vec<(AssignmentId, TransactionId)>,
        end: TransactionEnd,
    },
    Control(Control),
    /// A copy of a message that was given up arrived, or did not.
    LetterAnswered {
        assignment: AssignmentId,
        id: LetterId,
        answer: Answer,
    },
    /// The group's committed offsets, where a member's coordinator was asked for them.
    GroupOffsets {
        token: u64,
        ticket: u64,
        offsets: GroupOffsets,
    },
    /// The topics of a subscription's cluster.
    Looked {
        subscription: usize,
        view: Result<View>,
    },
}

/// What a caller of the app wants of the poller.
pub(crate) enum Control {
    Quiet,
    Resume,
    Stop { within: Duration },
    Resize,
}
