//! The loads that are measured: an engine, the messages it gets, and what the poller and the workers do with it.
//!
//! Messages lie in memory of their own, like librdkafka's, and the engine holds pointers to them: what it costs to look
//! at one that has left the cache is part of the cost. Making a message is not; the time it takes is left out.

use std::collections::VecDeque;
use std::time::{Duration, Instant as Clock};

use karafka_engine::{
    Action, AssignmentId, Engine, EngineOptions, Extent, Instant, Job, Outcome, PoolId, Record, Start, TopicOptions,
    UniqueBy, VirtualPartitions,
};

/// Messages the poller reads at once, and most of what a job holds.
pub const ROUND: usize = 1_000;

/// A message with its key and a hundred bytes of payload.
struct Fetched {
    offset: i64,
    key: [u8; 8],
    payload: [u8; 100],
}

/// A pointer to a message, as the runtime hands it to the engine.
pub struct Message(Box<Fetched>);

impl Record for Message {
    fn offset(&self) -> i64 {
        self.0.offset
    }
    fn key(&self) -> Option<&[u8]> {
        Some(&self.0.key)
    }
    fn bytes(&self) -> u32 {
        (self.0.key.len() + self.0.payload.len()) as u32
    }
}

/// One owned partition: what was read of it.
struct Partition {
    id: AssignmentId,
    next_offset: i64,
}

/// A poller with one topic.
pub struct Poller {
    engine: Engine<Message>,
    pool: PoolId,
    partitions: Vec<Partition>,
    keys: u64,
    now: u64,
    freed: Vec<Message>,
    read: Vec<Message>,
}

impl Poller {
    /// `seats` with as many jobs waiting beside them; messages with `keys` keys in turn.
    pub fn new(partitions: i32, seats: u32, keys: u64, configure: impl FnOnce(&mut TopicOptions)) -> Self {
        let mut engine = Engine::new(EngineOptions::default());
        let pool = engine.add_pool(seats, seats);
        let mut options = TopicOptions::new(pool);
        options.max_messages = ROUND as u32;
        configure(&mut options);
        let topic = engine.add_topic(options);
        let assign = |partition| {
            let start = Start { offset: Some(0), metadata: None };
            Partition { id: engine.assign(Instant::START, topic, partition, start), next_offset: 0 }
        };
        let partitions = (0..partitions).map(assign).collect();
        Self { engine, pool, partitions, keys, now: 0, freed: Vec::new(), read: Vec::with_capacity(ROUND) }
    }

    fn fetch(&mut self, partition: usize, count: usize) {
        let partition = &mut self.partitions[partition];
        for offset in partition.next_offset..partition.next_offset + count as i64 {
            let make = || Message(Box::new(Fetched { offset: 0, key: [0; 8], payload: [0; 100] }));
            let mut message = self.freed.pop().unwrap_or_else(make);
            message.0.offset = offset;
            message.0.key = (offset as u64 % self.keys).to_le_bytes();
            self.read.push(message);
        }
        partition.next_offset += count as i64;
    }

    fn deliver(&mut self, partition: usize) {
        self.now += 1_000;
        let now = Instant::from_nanos(self.now);
        self.engine.deliver(now, self.partitions[partition].id, self.read.drain(..));
    }

    fn next_job(&mut self) -> Option<Job<Message>> {
        self.engine.next_job(Instant::from_nanos(self.now), self.pool)
    }

    /// As a worker does it: the messages stay with it, to be freed; commits succeed at once.
    fn complete(&mut self, job: Job<Message>) {
        self.freed.extend(job.messages);
        let now = Instant::from_nanos(self.now);
        self.engine.complete(now, job.id, Outcome::Done, Vec::new());
        self.engine.tick(now);
        while let Some(action) = self.engine.next_action() {
            if let Action::Commit { assignment, id, .. } = action {
                self.engine.committed(now, assignment, id, Ok(()));
            }
        }
    }

    /// Reads a round of one partition and runs all of it. Returns how many jobs that took, and the time.
    pub fn round(&mut self) -> (u64, Duration) {
        self.fetch(0, ROUND);
        let began = Clock::now();
        self.deliver(0);
        let mut jobs = 0;
        while let Some(job) = self.next_job() {
            self.complete(job);
            jobs += 1;
        }
        (jobs, began.elapsed())
    }

    /// Reads so many rounds of one partition, then runs all that has gathered. Returns how many jobs that took, and the time
    /// from the first hand-out to the last end.
    pub fn backlog(&mut self, rounds: usize) -> (u64, Duration) {
        for _ in 0..rounds {
            self.fetch(0, ROUND);
            self.deliver(0);
        }
        let began = Clock::now();
        let mut jobs = 0;
        while let Some(job) = self.next_job() {
            self.complete(job);
            jobs += 1;
        }
        (jobs, began.elapsed())
    }

    /// Rounds of a poller whose partitions have more than can be read: all of them are read as far as there is room, then
    /// the seats get jobs, and the oldest half of these ends. Returns how many messages were handled, and the time.
    pub fn pass(&mut self, out: &mut VecDeque<Job<Message>>) -> (u64, Duration) {
        let mut time = Duration::ZERO;
        for partition in 0..self.partitions.len() {
            let began = Clock::now();
            let room = self.engine.room(self.partitions[partition].id);
            time += began.elapsed();
            self.fetch(partition, (room.messages as usize).min(ROUND));
            let began = Clock::now();
            self.deliver(partition);
            time += began.elapsed();
        }
        let began = Clock::now();
        while let Some(job) = self.next_job() {
            out.push_back(job);
        }
        let mut handled = 0;
        for _ in 0..out.len().div_ceil(2) {
            if let Some(job) = out.pop_front() {
                handled += job.messages.len() as u64;
                self.complete(job);
            }
        }
        (handled, time + began.elapsed())
    }

    /// Marks each message of a job of a round, in the order in which the handler got them; then the job ends.
    pub fn marks(&mut self, extent: Extent) -> (u64, Duration) {
        self.fetch(0, ROUND);
        self.deliver(0);
        let (mut marked, mut time) = (0, Duration::ZERO);
        while let Some(job) = self.next_job() {
            let began = Clock::now();
            for index in 0..job.messages.len() as u32 {
                marked += u64::from(self.engine.mark(job.id, index, extent));
            }
            time += began.elapsed();
            self.complete(job);
        }
        (marked, time)
    }
}

/// Virtual partitions by key, as many of them in a job as there are.
pub fn by_key(options: &mut TopicOptions) {
    options.virtual_partitions = VirtualPartitions::ByKey;
    options.virtual_partitions_per_job = ROUND as u32;
}

/// [`job_each`] with room for a backlog, told everything about turns that a topic can be told.
pub fn job_each_with_turns(options: &mut TopicOptions) {
    backlogged(options);
    options.priority = 7;
    options.max_concurrency = 1;
    options.unique_by = UniqueBy::Key;
}

/// [`job_each`] with room for a backlog.
pub fn backlogged(options: &mut TopicOptions) {
    job_each(options);
    options.window = 1_000_000;
}

/// Virtual partitions by key, one message a job.
pub fn job_each(options: &mut TopicOptions) {
    options.virtual_partitions = VirtualPartitions::ByKey;
    options.max_messages = 1;
}
