//! What a seed stands for: topics, their options, processes and which faults there are. Every kind of fault is there in
//! some seeds only, so that rare combinations are met without the others drowning them.

use std::time::Duration;

use karafka_engine::{
    Backoff, EngineOptions, Hooks, OffsetMetadata, Periodic, PoolId, Segment, Sharing, TopicOptions, VirtualPartitions,
};

use crate::failing::Failing;
use crate::intake::Intake;
use crate::random::Random;
use crate::scheduling;

/// Long enough after the end of the faults for every retry, timeout and rebalance.
pub const MUST_BE_DRAINED: Duration = Duration::from_secs(1_800);

#[derive(Debug)]
pub struct Scenario {
    pub processes: u32,
    pub engine: EngineOptions,
    pub topics: Vec<Topic>,
    /// Seats and lookahead of each pool; topic n runs in pool n, or in the last.
    pub pools: Vec<(u32, u32)>,
    pub protocol: Protocol,
    /// The time in which everything may happen; then the faults end and all has to drain.
    pub faults_end: Duration,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub revoke_deadline: Duration,
    pub latency: (Duration, Duration),
    pub faults: Vec<Fault>,
    pub fault_interval: Duration,
    /// Percent of the commits that fail for a time, some of them after they were applied.
    pub commit_failures: u64,
    /// Most bytes of text that the brokers take beside an offset.
    pub broker_limit: usize,
    /// Percent of fetches that begin before the position.
    pub repeated_fetches: u64,
    /// Percent of the handlers' calls that fail without a reason, until the faults end.
    pub failures: u64,
    /// Percent of the batches of records that are written in transactions.
    pub transactions: u64,
}

/// How the group moves partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Everybody gives up everything, then all partitions are given out.
    Eager,
    /// What moves is given up, and given out when all of it is.
    Cooperative,
    /// Each partition moves by itself (KIP-848).
    Kip848,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Crash,
    Stop,
    Freeze,
    Join,
    Rebalance,
    Pause,
    Quiet,
    Resize,
    CommitNow,
    UserMetadata,
    /// The user moves a partition on or back.
    Seek,
    /// A process' clock leaps forward, as after the sleep of a machine.
    ClockLeap,
    /// A process' wall clock is set, ahead or back; only where intake policies look at it.
    SetClock,
    /// No broker answers for a time.
    Outage,
    Compact,
    /// The log's start moves on: retention, or `DeleteRecords`.
    Delete,
    /// The log's end is lost in an unclean election.
    Truncate,
    /// The committed offset or its metadata is set by hand.
    MoveOffset,
}

const FAULTS: [Fault; 17] = [
    Fault::Crash,
    Fault::Stop,
    Fault::Freeze,
    Fault::Join,
    Fault::Rebalance,
    Fault::Pause,
    Fault::Quiet,
    Fault::Resize,
    Fault::CommitNow,
    Fault::UserMetadata,
    Fault::Seek,
    Fault::ClockLeap,
    Fault::Outage,
    Fault::Compact,
    Fault::Delete,
    Fault::Truncate,
    Fault::MoveOffset,
];

impl Fault {
    /// The share of the scenarios it is there in, in percent: what makes oracles look away is rare.
    fn share(self) -> u64 {
        match self {
            Self::Seek | Self::Truncate | Self::MoveOffset => 12,
            Self::Outage | Self::Compact | Self::Delete => 25,
            _ => 50,
        }
    }
}

#[derive(Debug)]
pub struct Topic {
    /// Without a pool, which belongs to a process.
    pub options: TopicOptions,
    pub partitions: i32,
    pub records: u32,
    pub keys: u64,
    /// Percent of the records that have no key.
    pub keyless: u64,
    /// Percent of the offsets that are missing.
    pub gaps: u64,
    /// Percent of the records whose handling fails a few times.
    pub poison: u64,
    pub handling: (Duration, Duration),
    /// Percent of the calls of the partitioner that fail; where they do, no order holds between keys.
    pub partitioner_failures: u64,
    /// Percent of handled messages whose mark comes later, under manual offset management.
    pub late_marks: u64,
    pub failing: Failing,
    pub intake: Intake,
    /// Percent of the fetches up to the end of a partition after which the engine is told of it.
    pub ends_told: u64,
    /// Its handlers mark in transactions, with what they produce.
    pub transactional: bool,
    /// Of so many calls one does not wait for its transaction and fails while that commits; 0 for none.
    pub impatient: u64,
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl Scenario {
    pub fn of(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let failing = &mut Random::new(seed ^ 0xfa11);
        // Of its own, so that a seed stands for the same schedule otherwise.
        let hooks = &mut Random::new(seed ^ 0x0700_7155);
        let small_budget = random.chance(30);
        let mut scenario = Self {
            processes: random.between(1, 4) as u32,
            engine: EngineOptions {
                memory_budget_bytes: if small_budget { random.between(1, 3_000) } else { 1 << 20 },
                memory_budget_messages: if random.chance(30) { random.between(1, 40) } else { 100_000 },
                commit_interval: random.duration(5 * MILLISECOND, 2_000 * MILLISECOND),
                metadata_limit: random.pick(&[0, 60, 4096, 4096]),
                hash_seed: random.next(),
                ..EngineOptions::default()
            },
            topics: (0..random.between(1, 2)).map(|_| Topic::any(random, failing).with_hooks(hooks)).collect(),
            pools: (0..random.between(1, 2)).map(|_| (random.between(1, 6) as u32, random.below(4) as u32)).collect(),
            protocol: random.pick(&[Protocol::Eager, Protocol::Cooperative, Protocol::Kip848]),
            faults_end: Duration::from_secs(random.pick(&[12, 12, 12, 12, 12, 12, 12, 12, 12, 90])),
            session_timeout: random.duration(500 * MILLISECOND, 4_000 * MILLISECOND),
            rebalance_timeout: random.duration(200 * MILLISECOND, 6_000 * MILLISECOND),
            revoke_deadline: random.duration(20 * MILLISECOND, 3_000 * MILLISECOND),
            latency: (MILLISECOND / 10, random.duration(MILLISECOND, 200 * MILLISECOND)),
            faults: FAULTS.into_iter().filter(|fault| random.chance(fault.share())).collect(),
            fault_interval: random.duration(100 * MILLISECOND, 3_000 * MILLISECOND),
            commit_failures: random.pick(&[0, 0, 10, 50]),
            broker_limit: 4096,
            repeated_fetches: random.pick(&[0, 0, 20]),
            failures: random.pick(&[0, 0, 5, 40]),
            transactions: random.pick(&[0, 0, 0, 50]),
        };
        scheduling::vary(seed, &mut scenario);
        Intake::spread(seed, &mut scenario.topics, &mut scenario.faults);
        let transactional = &mut Random::new(seed ^ 0x7a45);
        for topic in &mut scenario.topics {
            topic.transactional = transactional.chance(25);
        }
        let sharing = &mut Random::new(seed ^ 0x54a4e);
        for topic in scenario.topics.iter_mut().filter(|topic| topic.transactional) {
            let max_messages = sharing.pick(&[1, 3, 20, 1_000]);
            let longest = sharing.pick(&[Duration::ZERO, 5 * MILLISECOND, 200 * MILLISECOND]);
            topic.options.sharing = sharing.chance(50).then_some(Sharing { max_messages, longest });
        }
        let impatient = &mut Random::new(seed ^ 0x0001_3a71);
        for topic in scenario.topics.iter_mut().filter(|topic| topic.transactional) {
            topic.impatient = impatient.pick(&[0, 0, 1, 4]);
        }
        scenario.broker_limit = Random::new(seed ^ 0x0b40_ce45).pick(&[4096, 4096, 4096, 70, 25, 0]);
        if scenario.topics.iter().any(|topic| topic.transactional) {
            // Commits to a log that was cut are refused here until it is read on, which a full window holds up that waits for
            // its commit. Kafka's coordinator knows nothing of logs.
            scenario.faults.retain(|fault| *fault != Fault::Truncate);
        }
        scenario
    }

    pub fn pool_of(&self, topic: usize) -> usize {
        topic.min(self.pools.len() - 1)
    }
}

impl Topic {
    fn any(random: &mut Random, failing: &mut Random) -> Self {
        let number = random.between(1, 8) as u32;
        let mut options = TopicOptions::new(PoolId::default());
        options.virtual_partitions = random.pick(&[
            VirtualPartitions::Off,
            VirtualPartitions::ByKey,
            VirtualPartitions::ByKey,
            VirtualPartitions::Fixed(number),
            VirtualPartitions::Callback,
            VirtualPartitions::RoundRobin(number),
        ]);
        options.virtual_partitions_per_job = random.pick(&[1, 1, 1, 2, 50]);
        options.max_messages = random.pick(&[1, 2, 5, 20, 100]);
        options.max_bytes = random.pick(&[u64::MAX, u64::MAX, u64::MAX, 1, 150, 1_000]);
        options.offset_metadata = random.pick(&[OffsetMetadata::Current, OffsetMetadata::Exact]);
        options.linger = random.pick(&[Duration::ZERO, Duration::ZERO, 3 * MILLISECOND, 200 * MILLISECOND]);
        options.manual_offset_management = random.chance(40);
        options.long_running_job = random.chance(25);
        options.segment = random.chance(20).then(|| Segment::new(random.below(3) as u32, 3));
        options.window = random.pick(&[1, 3, 10, 100, 16_384]);
        options.partition_budget_bytes = if random.chance(25) { random.between(1, 1_000) } else { 1 << 20 };
        options.retry = Backoff {
            first: random.duration(MILLISECOND, 300 * MILLISECOND),
            longest: random.duration(50 * MILLISECOND, 3_000 * MILLISECOND),
            factor: random.pick(&[1.0, 1.5, 2.0, 10.0]),
            jitter: 0.0,
        };
        let failing = Failing::any(&mut options, failing);
        Self {
            options,
            failing,
            partitions: random.between(1, 4) as i32,
            records: random.between(10, 150) as u32,
            keys: random.pick(&[1, 2, 5, 20, 1_000]),
            keyless: random.pick(&[0, 0, 10, 100]),
            gaps: random.pick(&[0, 0, 20, 80]),
            poison: random.pick(&[0, 0, 3, 20]),
            handling: (MILLISECOND / 10, random.duration(MILLISECOND, 400 * MILLISECOND)),
            partitioner_failures: random.pick(&[0, 0, 20]),
            late_marks: random.pick(&[0, 10, 50]),
            intake: Intake::default(),
            ends_told: 0,
            transactional: false,
            impatient: 0,
        }
    }

    /// Calls without messages, which most topics do without.
    fn with_hooks(mut self, random: &mut Random) -> Self {
        if random.chance(60) {
            return self;
        }
        self.options.hooks =
            Hooks { revoked: random.chance(60), shutdown: random.chance(60), eofed: random.chance(50) };
        self.options.reports_end = random.chance(50);
        self.ends_told = random.pick(&[0, 50, 100]);
        let interval = random.duration(20 * MILLISECOND, 5_000 * MILLISECOND);
        let periodic = Periodic { interval, during_pause: random.chance(50), during_retry: random.chance(30) };
        self.options.periodic = random.chance(50).then_some(periodic);
        self
    }
}
