//! The poller: owns the real engine and follows the protocol of the runtime's poller, step by step.
//!
//! `core/runtime/src/poller` is what it mirrors: reports, events, reading, what the engine decided, jobs, sleep. Time is
//! virtual and moves only when nothing is under way, so that no deadline covers a wake-up that was lost.

use super::remote::{Commit, Fetch, Fetched};
use super::{Event, LOG, MEMBER, Message, Report, Scenario, Shared, Slip, Work};
use crate::sync::{Arc, Mutex, Parker};
use crate::wake::Ready;
use karafka_engine::{
    Action, AssignmentId, CommitFailure, CommitId, Engine, EngineOptions, Instant, Outcome, PoolId, Start, TopicId,
    TopicOptions, VirtualPartitions,
};
use shuttle::sync::mpsc::Sender;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Longer than a run: what is awaited always ends before.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Most messages that one partition gives in one round.
const ROUND: usize = 2;

struct Partition {
    number: i32,
    token: u64,
    fetched: Arc<Fetched>,
}

pub(super) struct Poller {
    shared: Arc<Shared>,
    parker: Parker,
    slip: Slip,
    engine: Engine<Message>,
    pool: PoolId,
    topic: TopicId,
    now: Instant,
    partitions: BTreeMap<AssignmentId, Partition>,
    sources: BTreeMap<u64, AssignmentId>,
    next_token: u64,
    readable: BTreeSet<AssignmentId>,
    /// Who waits for a partition to be given up.
    draining: BTreeMap<AssignmentId, Vec<Sender<()>>>,
    commits_out: usize,
    commit_waiters: BTreeMap<AssignmentId, Vec<(CommitId, Sender<bool>)>>,
    stopping: bool,
    giving_up: bool,
}

impl Poller {
    pub(super) fn new(shared: Arc<Shared>, parker: Parker, scenario: Scenario) -> Self {
        let mut engine = Engine::new(EngineOptions::default());
        let seats = scenario.seats as u32;
        let pool = engine.add_pool(seats, seats);
        let mut options = TopicOptions::new(pool);
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.max_messages = 2;
        let topic = engine.add_topic(options);
        Self {
            shared,
            parker,
            slip: scenario.slip,
            engine,
            pool,
            topic,
            now: Instant::START,
            partitions: BTreeMap::new(),
            sources: BTreeMap::new(),
            next_token: MEMBER + 1,
            readable: BTreeSet::new(),
            draining: BTreeMap::new(),
            commits_out: 0,
            commit_waiters: BTreeMap::new(),
            stopping: false,
            giving_up: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            self.take_reports();
            self.take_events();
            let more = self.read_partitions();
            self.engine.tick(self.now);
            self.act();
            self.dispatch();
            if self.advance_shutdown() {
                break;
            }
            if !more {
                self.sleep();
            }
        }
        for job in self.shared.pool.withdraw(|_| true) {
            self.shared.journal.withdrawn(job.id);
        }
        if self.slip != Slip::LeftOpen {
            self.shared.pool.close();
        }
        self.shared.journal.closed();
        // Nobody reads these any more: whoever waits for an answer hears that there will be none.
        self.commit_waiters.clear();
        self.draining.clear();
        self.shared.events.close();
    }

    /// Whether something is under way that has to wake the poller. Handlers that wait for a commit will not.
    fn busy(&self) -> bool {
        let waiting: usize = self.commit_waiters.values().map(Vec::len).sum();
        let running = (self.engine.jobs_out(self.pool) as usize).min(self.shared.pool.capacity());
        running > waiting || self.commits_out > 0
    }

    fn sleep(&mut self) {
        match self.engine.deadline() {
            Some(deadline) if !self.busy() => self.now = self.now.max(deadline),
            _ => self.parker.park(),
        }
    }

    // ---- reports

    fn take_reports(&mut self) {
        while let Some(report) = self.shared.reports.pop() {
            match report {
                Report::Ended { job, outcome, messages } => {
                    self.engine.complete(self.now, job, outcome, messages);
                    self.act();
                }
                Report::Marked { job, index, extent } => {
                    self.engine.mark(job, index, extent);
                }
                Report::Commit { assignment, done } => match self.engine.commit_now(self.now, assignment) {
                    Some(covering) if self.partitions.contains_key(&assignment) => {
                        self.commit_waiters.entry(assignment).or_default().push((covering, done));
                    }
                    _ => {
                        let _ = done.send(self.engine.is_owned(assignment));
                    }
                },
                Report::Resized => self.engine.resize_pool(self.pool, self.shared.pool.capacity() as u32),
                Report::Stop => {
                    self.stopping = true;
                    self.shared.pool.set_attentive(true);
                    self.engine.quiet();
                    self.put_back(|_| true);
                }
            }
        }
    }

    fn put_back(&self, mut fits: impl FnMut(&Work) -> bool) {
        for work in self.shared.pool.withdraw(&mut fits) {
            self.shared.journal.withdrawn(work.id);
            let Work { id, messages, .. } = work;
            self.shared.reports.push(Report::Ended { job: id, outcome: Outcome::NotStarted, messages });
        }
    }

    // ---- events and messages

    fn take_events(&mut self) {
        while let Some(token) = self.shared.waker.next_filled() {
            if token == MEMBER {
                self.shared.member.lower();
                while let Some(event) = self.shared.events.pop() {
                    self.event(event);
                }
            } else if let Some(id) = self.sources.get(&token) {
                self.readable.insert(*id);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Assign { partition } if !self.stopping => self.open(partition),
            Event::Assign { .. } => {}
            Event::Revoke { partition, done } => match self.owner(partition) {
                Some(id) => {
                    self.draining.entry(id).or_default().push(done);
                    if self.slip == Slip::AnsweredAtOnce {
                        self.answer(id);
                    }
                    self.give_up(id);
                    self.act();
                }
                None => drop(done.send(())),
            },
            Event::Lose { partition, done } => {
                if let Some(id) = self.owner(partition) {
                    self.engine.lose(self.now, id);
                    self.put_back(|work| work.assignment == id);
                    self.shared.journal.lost(id);
                    self.close(id);
                }
                let _ = done.send(());
            }
            Event::Committed { assignment, id, result } => self.commit_answered(assignment, id, result),
        }
    }

    fn owner(&self, partition: i32) -> Option<AssignmentId> {
        self.partitions.iter().find(|(_, entry)| entry.number == partition).map(|(id, _)| *id)
    }

    fn open(&mut self, partition: i32) {
        let token = self.next_token;
        self.next_token += 1;
        let committed = self.shared.journal.start(partition);
        let start = Start {
            offset: committed.as_ref().map(|(position, _)| *position),
            metadata: committed.as_ref().map(|(_, metadata)| metadata.as_str()),
        };
        let id = self.engine.assign(self.now, self.topic, partition, start);
        let from = start.offset.unwrap_or(0);
        self.shared.journal.assigned(id, partition);
        let ready = Ready::new(token, Arc::clone(&self.shared.waker));
        let fetched = Arc::new(Fetched { messages: Mutex::new(VecDeque::new()), ready });
        self.sources.insert(token, id);
        self.shared.fetcher.ask(Fetch { into: Arc::clone(&fetched), from });
        self.partitions.insert(id, Partition { number: partition, token, fetched });
        self.readable.insert(id);
    }

    fn read_partitions(&mut self) -> bool {
        let mut more = false;
        for id in std::mem::take(&mut self.readable) {
            let Some(partition) = self.partitions.get(&id) else { continue };
            let room = (self.engine.room(id).messages as usize).min(ROUND);
            if room == 0 {
                self.readable.insert(id);
                continue;
            }
            if self.slip != Slip::LoweredLate {
                partition.fetched.ready.lower();
            }
            let messages: Vec<Message> = {
                let mut queue = partition.fetched.messages.lock();
                let count = queue.len().min(room);
                queue.drain(..count).collect()
            };
            if self.slip == Slip::LoweredLate {
                partition.fetched.ready.lower();
            }
            if messages.len() == room {
                self.readable.insert(id);
                more = true;
            }
            self.engine.deliver(self.now, id, messages);
        }
        more
    }

    // ---- what the engine decided

    fn act(&mut self) {
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Commit { assignment, id, position, metadata, .. } => {
                    assert!((0..=LOG).contains(&position), "{position} is no offset of the log");
                    self.commits_out += 1;
                    self.shared.broker.ask(Commit { assignment, id, position, metadata });
                }
                Action::Release { assignment } => {
                    if self.slip != Slip::AnsweredAtOnce {
                        self.answer(assignment);
                    }
                    self.close(assignment);
                }
                Action::Dropped(_)
                | Action::Notice(_)
                | Action::DeadLetter { .. }
                // No handler of this world asks for a transaction.
                | Action::Offsets(_)
                | Action::OffsetsRefused { .. } => {}
            }
        }
        self.engine.check().unwrap();
    }

    fn commit_answered(&mut self, assignment: AssignmentId, id: CommitId, result: Result<(), CommitFailure>) {
        self.commits_out -= 1;
        self.engine.committed(self.now, assignment, id, result);
        match result {
            Ok(()) => self.answer_waiters(assignment, Some(id), true),
            Err(CommitFailure::NotOwned) => self.answer_waiters(assignment, None, false),
            Err(_) => {}
        }
    }

    fn answer_waiters(&mut self, assignment: AssignmentId, up_to: Option<CommitId>, owned: bool) {
        let Some(waiters) = self.commit_waiters.get_mut(&assignment) else { return };
        waiters.retain(|(covering, done)| {
            let answered = up_to.is_none_or(|up_to| *covering <= up_to);
            if answered {
                let _ = done.send(owned);
            }
            !answered
        });
    }

    fn dispatch(&mut self) {
        let mut works = Vec::new();
        while let Some(job) = self.engine.next_job(self.now, self.pool) {
            self.shared.journal.handed_out(job.id, job.assignment, job.partition, &job.messages);
            works.push(Work { id: job.id, assignment: job.assignment, messages: job.messages });
        }
        if !works.is_empty() {
            self.shared.pool.push(works.into_iter());
        }
    }

    // ---- partitions that go

    fn give_up(&mut self, id: AssignmentId) {
        self.shared.pool.set_attentive(true);
        self.engine.revoke(self.now, id, self.now + PATIENCE);
        self.put_back(|work| work.assignment == id);
        self.take_reports();
    }

    fn answer(&mut self, id: AssignmentId) {
        self.shared.journal.answered(id);
        for waiting in self.draining.remove(&id).unwrap_or_default() {
            let _ = waiting.send(());
        }
        if self.draining.is_empty() && !self.stopping {
            self.shared.pool.set_attentive(false);
        }
    }

    fn close(&mut self, id: AssignmentId) {
        if let Some(partition) = self.partitions.remove(&id) {
            self.sources.remove(&partition.token);
        }
        for waiting in self.draining.remove(&id).unwrap_or_default() {
            let _ = waiting.send(());
        }
        self.readable.remove(&id);
        self.answer_waiters(id, None, false);
    }

    fn advance_shutdown(&mut self) -> bool {
        if !self.stopping || self.engine.jobs_out(self.pool) > 0 {
            return false;
        }
        if !self.giving_up {
            self.giving_up = true;
            let owned: Vec<_> = self.partitions.keys().copied().collect();
            for id in owned {
                self.give_up(id);
            }
            self.act();
        }
        self.partitions.is_empty()
    }
}
