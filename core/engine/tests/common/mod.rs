//! What the tests of the engine share: a message, and a driver that takes all actions.

#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::time::Duration;

use karafka_engine::{
    Action, AssignmentId, CommitFailure, CommitId, Engine, EngineOptions, Extent, Instant, Job, LetterId, Notice,
    Outcome, PoolId, Record, Start, TopicId, TopicOptions, TransactionId, TransactionOffsets,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub bytes: u32,
    pub timestamp: Option<i64>,
}

impl Record for Message {
    fn offset(&self) -> i64 {
        self.offset
    }
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn bytes(&self) -> u32 {
        self.bytes
    }
    fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }
}

pub fn message(offset: i64, key: &str) -> Message {
    Message { offset, key: Some(key.as_bytes().to_vec()), bytes: 10, timestamp: None }
}

pub fn keyless(offset: i64) -> Message {
    Message { offset, key: None, bytes: 10, timestamp: None }
}

pub fn offsets(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.offset).collect()
}

/// A commit as the engine asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub assignment: AssignmentId,
    pub id: CommitId,
    pub position: i64,
    pub metadata: String,
    pub last: bool,
}

/// A dead letter as the engine gave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub assignment: AssignmentId,
    pub id: LetterId,
    pub message: Message,
    pub attempts: u32,
}

/// One engine with one topic, its clock, and everything it said so far.
pub struct Driver {
    pub engine: Engine<Message>,
    pub pool: PoolId,
    pub topic: TopicId,
    pub now: Instant,
    pub commits: Vec<Commit>,
    pub offsets: Vec<TransactionOffsets>,
    /// How many of them went together, each time.
    pub together: Vec<usize>,
    pub refused: Vec<TransactionId>,
    pub released: Vec<AssignmentId>,
    pub dropped: Vec<i64>,
    pub notices: Vec<Notice>,
    /// On their way, not answered yet.
    pub letters: VecDeque<Letter>,
    drained: usize,
}

/// The engine is asked whether it agrees with itself after every step, and it looks at all it has: far the most of what Miri
/// would do, which looks at the same code there each time.
const CHECKED_EVERY: usize = if cfg!(miri) { 8 } else { 1 };

pub const SEATS: u32 = 4;

impl Driver {
    pub fn new(configure: impl FnOnce(&mut TopicOptions)) -> Self {
        Self::with(EngineOptions::default(), configure)
    }

    pub fn with(options: EngineOptions, configure: impl FnOnce(&mut TopicOptions)) -> Self {
        let mut engine = Engine::new(options);
        let pool = engine.add_pool(SEATS, 0);
        let mut topic_options = TopicOptions::new(pool);
        configure(&mut topic_options);
        let topic = engine.add_topic(topic_options);
        Self {
            engine,
            pool,
            topic,
            now: Instant::START,
            commits: Vec::new(),
            offsets: Vec::new(),
            together: Vec::new(),
            refused: Vec::new(),
            released: Vec::new(),
            dropped: Vec::new(),
            notices: Vec::new(),
            letters: VecDeque::new(),
            drained: 0,
        }
    }

    pub fn assign(&mut self, partition: i32) -> AssignmentId {
        self.assign_at(partition, Start::default())
    }

    pub fn assign_at(&mut self, partition: i32, start: Start<'_>) -> AssignmentId {
        let id = self.engine.assign(self.now, self.topic, partition, start);
        self.drain();
        id
    }

    pub fn deliver(&mut self, id: AssignmentId, messages: impl IntoIterator<Item = Message>) {
        self.engine.deliver(self.now, id, messages);
        self.drain();
    }

    pub fn next(&mut self) -> Option<Job<Message>> {
        let job = self.engine.next_job(self.now, self.pool);
        self.drain();
        job
    }

    /// All jobs that fit on the seats.
    pub fn jobs(&mut self) -> Vec<Job<Message>> {
        std::iter::from_fn(|| self.next()).collect()
    }

    pub fn complete(&mut self, job: Job<Message>, outcome: Outcome) {
        self.engine.complete(self.now, job.id, outcome, job.messages);
        self.drain();
    }

    pub fn mark(&mut self, job: &Job<Message>, index: u32, extent: Extent) -> bool {
        let owned = self.engine.mark(job.id, index, extent);
        self.drain();
        owned
    }

    pub fn revoke(&mut self, id: AssignmentId, within: Duration) {
        self.engine.revoke(self.now, id, self.now + within);
        self.drain();
    }

    pub fn lose(&mut self, id: AssignmentId) {
        self.engine.lose(self.now, id);
        self.drain();
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.engine.tick(self.now);
        self.drain();
    }

    pub fn answer(&mut self, commit: &Commit, result: Result<(), CommitFailure>) {
        self.engine.committed(self.now, commit.assignment, commit.id, result);
        self.drain();
    }

    /// The latest commit, confirmed.
    pub fn confirm(&mut self) -> Commit {
        let commit = self.commits.last().expect("a commit").clone();
        self.answer(&commit, Ok(()));
        commit
    }

    /// The oldest letter, which arrives or comes back; gives its offset and attempts.
    pub fn answer_letter(&mut self, arrives: bool) -> Option<(i64, u32)> {
        let Letter { assignment, id, message, attempts } = self.letters.pop_front()?;
        let offset = message.offset;
        self.engine.dead_lettered(self.now, assignment, id, if arrives { Ok(()) } else { Err(message) });
        self.drain();
        Some((offset, attempts))
    }

    /// Confirms whatever was asked for and has not been yet, once it is due.
    pub fn confirm_if_any(&mut self) {
        self.wait(EngineOptions::default().commit_interval);
        for commit in std::mem::take(&mut self.commits) {
            self.answer(&commit, Ok(()));
        }
    }

    /// Runs and completes everything that is ready until nothing is.
    pub fn run_all(&mut self) -> Vec<i64> {
        let mut handled = Vec::new();
        while let Some(job) = self.next() {
            handled.extend(offsets(&job.messages));
            self.complete(job, Outcome::Done);
        }
        handled
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Commit { assignment, id, position, metadata, last } => {
                    self.commits.push(Commit { assignment, id, position, metadata, last });
                }
                Action::Release { assignment } => self.released.push(assignment),
                Action::DeadLetter { assignment, id, message, attempts } => {
                    self.letters.push_back(Letter { assignment, id, message, attempts });
                }
                Action::Dropped(messages) => self.dropped.extend(offsets(&messages)),
                Action::Notice(notice) => self.notices.push(notice),
                Action::Offsets(parts) => {
                    self.together.push(parts.len());
                    self.offsets.extend(parts);
                }
                Action::OffsetsRefused { transaction, .. } => self.refused.push(transaction),
            }
        }
        self.drained += 1;
        if self.drained.is_multiple_of(CHECKED_EVERY) {
            self.engine.check().expect("counters agree");
            assert_eq!(self.engine.stalls(self.now), [], "nothing stalls");
        }
    }
}
