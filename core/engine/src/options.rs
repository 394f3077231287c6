//! What the engine and each topic can be told. Values arrive here validated; the runtime's option table owns names,
//! units, ranges and defaults that users see.

use std::time::Duration;

use crate::after::{GivenUp, Policy};
use crate::hooks::Hooks;
use crate::periodic::Periodic;
use crate::retry::Backoff;
use crate::scheduler::PoolId;
use crate::segment::Segment;
use crate::sharing::Sharing;

/// Values for the whole process.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Bytes of messages waiting or running in the process; what librdkafka has prefetched is not counted.
    pub memory_budget_bytes: u64,
    /// The same in messages.
    pub memory_budget_messages: u64,
    /// Time between two commits of a partition whose ledger changes.
    pub commit_interval: Duration,
    /// Most bytes of metadata the broker takes with a commit (`offset.metadata.max.bytes`).
    pub metadata_limit: usize,
    /// Seed of the key hash. In fixed mode it decides which key lands in which virtual partition, so it must stay the
    /// same over restarts where handlers keep state per virtual partition.
    pub hash_seed: u64,
    /// Whose turn it is among partitions of the same priority.
    pub scheduling: Scheduling,
    /// Whether the user's code is asked whose turn it is, by [`Engine::next_question`](crate::Engine::next_question).
    pub chooser: bool,
    /// The defect that the simulator has to find.
    #[cfg(feature = "planted")]
    pub planted: Option<crate::Planted>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory_budget_bytes: 64 * 1024 * 1024,
            memory_budget_messages: 1_000_000,
            commit_interval: Duration::from_secs(1),
            metadata_limit: 4096,
            hash_seed: 0,
            scheduling: Scheduling::FirstCome,
            chooser: false,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }
}

/// Values of one subscribed topic; each is independent of all others.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // Independent switches, not the states of one thing.
pub struct TopicOptions {
    /// The seats that run this topic's jobs.
    pub pool: PoolId,
    /// How the messages of a partition are spread.
    pub virtual_partitions: VirtualPartitions,
    /// Most virtual partitions whose messages one job may mix. With 1, one slow key holds up nobody else.
    pub virtual_partitions_per_job: u32,
    /// Most messages of one job.
    pub max_messages: u32,
    /// Most bytes of keys and payloads of one job, by [`Record::size`](crate::Record::size); `u64::MAX`: any. A larger
    /// message goes alone.
    pub max_bytes: u64,
    /// How long the oldest message of a virtual partition waits for company while there are fewer than
    /// `max_messages`; zero: not at all.
    pub linger: Duration,
    /// Only what the handler marks is done. Otherwise everything a successful job held is done.
    pub manual_offset_management: bool,
    /// Which of the user's texts travels with a commit.
    pub offset_metadata: OffsetMetadata,
    /// The wait after a failure.
    pub retry: Backoff,
    /// How often a message is tried again in one ownership before it is given up; `None`: without end.
    pub max_retries: Option<u32>,
    /// What becomes of a message that is given up.
    pub given_up: GivenUp,
    /// The handler's language decides about each failed message: so that it can, the culprit of a failure is found.
    pub strategy: bool,
    /// A success in a virtual partition starts the counting of its failures again.
    pub independent: bool,
    /// The culprit of a failed call is found by halves instead of message by message.
    pub bisect: bool,
    /// Transactions of several jobs commit together; `None`: each for itself.
    pub sharing: Option<Sharing>,
    /// A rebalance does not wait for running jobs.
    pub long_running_job: bool,
    /// The part of the records that is handled; all others are done when they arrive. `None`: all are handled.
    pub segment: Option<Segment>,
    /// No message is handled before it is this old; zero: not at all. One without a timestamp, or with one more than an hour
    /// ahead of the wall clock, waits as long from when it was read.
    pub delay_by: Duration,
    /// What is older than this counts as done and is not handled; `None`: nothing is. Messages without a timestamp do not
    /// expire.
    pub expire_in: Option<Duration>,
    /// How many messages of a partition may be handled in how much time; `None`: any number.
    pub throttle: Option<Throttle>,
    /// Whether the user's filter is asked about each message, by a [`JobKind::Filter`](crate::JobKind::Filter) job.
    pub filter: bool,
    /// Which calls without messages its consumers want.
    pub hooks: Hooks,
    /// Whether the driver tells the ends of its partitions, so that calls with messages can say so.
    pub reports_end: bool,
    /// When its consumers are called without messages.
    pub periodic: Option<Periodic>,
    /// Most messages read beyond the commit position of a partition.
    pub window: u32,
    /// Most bytes of one partition's messages waiting or running.
    pub partition_budget_bytes: u64,
    /// Topics with a higher number go first.
    pub priority: i32,
    /// Most jobs of this topic that run at once, over all its partitions; 0: as many as there are seats.
    pub max_concurrency: u32,
    /// What no two jobs may have in common that run at once.
    pub unique_by: UniqueBy,
}

impl TopicOptions {
    /// The defaults, run by `pool`.
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            virtual_partitions: VirtualPartitions::Off,
            virtual_partitions_per_job: 1,
            max_messages: 100,
            max_bytes: u64::MAX,
            linger: Duration::ZERO,
            manual_offset_management: false,
            offset_metadata: OffsetMetadata::Current,
            retry: Backoff::default(),
            max_retries: None,
            given_up: GivenUp::Never,
            strategy: false,
            independent: false,
            bisect: false,
            sharing: None,
            long_running_job: false,
            segment: None,
            delay_by: Duration::ZERO,
            expire_in: None,
            throttle: None,
            filter: false,
            hooks: Hooks::default(),
            reports_end: false,
            periodic: None,
            window: 16_384,
            partition_budget_bytes: 16 * 1024 * 1024,
            priority: 0,
            max_concurrency: 0,
            unique_by: UniqueBy::Off,
        }
    }
}

impl TopicOptions {
    /// What decides after a call.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            manual_offset_management: self.manual_offset_management,
            max_retries: self.max_retries,
            given_up: self.given_up,
            strategy: self.strategy,
            independent: self.independent,
            bisect: self.bisect,
            long_running: self.long_running_job,
        }
    }
}

/// Which of the texts that a user gave with marks travels with a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetMetadata {
    /// The one given last, wherever the position is.
    #[default]
    Current,
    /// The one of the last message before the position that was given one: a text never runs ahead of the offset.
    Exact,
}

/// Whose turn it is among partitions of topics of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Who got in line first. A partition gets in line again after each job it gave.
    #[default]
    FirstCome,
    /// Topics take turns, and inside a topic its partitions.
    Fair,
    /// Who can fill the job that takes longest, by what the topic's messages took so far. Waiting counts like cost.
    LongestFirst,
}

/// What no two jobs that run at once may have in common, over all topics and partitions of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UniqueBy {
    /// Nothing.
    #[default]
    Off,
    /// The key of a message. One without a key is not limited.
    Key,
    /// What a callback answers for a message, asked for by a [`JobKind::Unique`](crate::JobKind::Unique) job.
    Callback,
}

/// A limit for each partition: in no half-open interval of this length do calls begin that get more messages than this,
/// counting every attempt. An ownership begins with an empty window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Most messages; 0 counts as 1.
    pub limit: u32,
    /// In how much time; at least a millisecond, at most a year.
    pub interval: Duration,
}

/// How the messages of a partition are spread over virtual partitions. Order holds inside each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualPartitions {
    /// The partition is the one virtual partition.
    Off,
    /// One for each distinct key that has a message waiting or running; messages without a key are spread one by one.
    ByKey,
    /// Keys are hashed to this many (0 counts as 1).
    Fixed(u32),
    /// The partitioner's value, asked for by a [`JobKind::Key`](crate::JobKind::Key) job, takes the place of the key.
    Callback,
    /// No order wanted: each message is its own. The number is what the user asked for; seats limit what runs at once.
    RoundRobin(u32),
}
