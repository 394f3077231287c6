//! The decisions of libkarafka: which message runs when, what is done, what may be committed.
//!
//! Pure: no thread, clock, lock or IO. One thread owns an [`Engine`], tells it what happened and when, and carries out the
//! [`Action`]s it gets back; docs/architecture.md shows the way of a message through it. The same engine runs under the
//! simulator in `tests/simulation`, where schedules of rebalances, failures and crashes are replayed from a seed.

#![forbid(unsafe_code)]

mod action;
pub mod after;
mod ahead;
mod assignment;
mod budget;
mod chooser;
mod clock;
mod committer;
mod completion;
mod consumer;
mod delay;
mod dispatch;
mod engine;
mod failure;
mod filter;
mod hooks;
mod instant;
mod intake;
mod job;
mod late;
pub mod ledger;
mod letters;
mod life;
pub mod metadata;
mod options;
mod partitioner;
mod periodic;
#[cfg(feature = "planted")]
mod planted;
mod position;
mod record;
mod retry;
mod scheduler;
mod segment;
mod sharing;
mod texts;
mod throttle;
mod timers;
mod transaction;
mod trouble;
mod unique;
mod unmarked;
mod virtual_partition;
mod waiting;
mod watch;

pub use action::{
    Action, ChooserFailure, CommitFailure, CommitId, Notice, Room, Stall, Start, Totals, TransactionEnd,
    TransactionOffsets,
};
pub use after::{GivenUp, Verdict};
pub use assignment::{AssignmentId, TopicId};
pub use chooser::{Candidate, Question, QuestionId};
pub use engine::Engine;
pub use hooks::Hooks;
pub use instant::Instant;
pub use job::{Extent, Facts, FilterAnswer, Group, Job, JobId, JobKind, Outcome};
pub use letters::LetterId;
pub use options::{EngineOptions, OffsetMetadata, Scheduling, Throttle, TopicOptions, UniqueBy, VirtualPartitions};
pub use partitioner::hash_key;
pub use periodic::Periodic;
#[cfg(feature = "planted")]
pub use planted::Planted;
pub use record::Record;
pub use retry::Backoff;
pub use scheduler::PoolId;
pub use segment::Segment;
pub use sharing::Sharing;
pub use transaction::TransactionId;
pub use watch::RunningCall;
