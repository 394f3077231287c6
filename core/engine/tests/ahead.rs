//! Reading ahead, in virtual time: workers that take a fixed time a message, and a poller that costs nothing and reads
//! what the engine has room for. The seats stay busy, little is held, and nothing that is stuck holds up the rest.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use crate::common::{Message, message};
use karafka_engine::{
    Action, AssignmentId, Engine, EngineOptions, Instant, Job, Outcome, PoolId, Start, TopicOptions, VirtualPartitions,
};

const MILLISECOND: Duration = Duration::from_millis(1);
/// Messages the poller reads of a partition at once.
const ROUND: u32 = 1_000;
/// How many times shorter Miri's runs are.
const SHORTER: u32 = if cfg!(miri) { 20 } else { 1 };

struct Plan {
    partitions: usize,
    seats: u32,
    bytes: u32,
    /// The key of each offset of a partition.
    key: fn(usize, i64) -> u64,
    /// How long a message of a key takes.
    takes: fn(u64) -> Duration,
}

fn plan(partitions: usize, seats: u32, key: fn(usize, i64) -> u64) -> Plan {
    Plan { partitions, seats, bytes: 300, key, takes: |_| MILLISECOND }
}

/// A number that looks random, the same for the same place.
fn scattered(partition: usize, offset: i64) -> u64 {
    let mut value = ((partition as u64) << 40) | offset as u64;
    for _ in 0..2 {
        value = (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    value ^ (value >> 32)
}

#[derive(Debug, Default)]
struct Seen {
    /// Share of the seats' time that went into handlers.
    busy: f64,
    handled: BTreeMap<usize, u64>,
    most_held: u64,
    most_bytes: u64,
}

struct Run {
    plan: Plan,
    engine: Engine<Message>,
    pool: PoolId,
    ids: Vec<AssignmentId>,
    next: Vec<i64>,
    now: Instant,
    /// Handed out and waiting for a seat.
    waiting: VecDeque<Job<Message>>,
    running: BTreeMap<u64, Job<Message>>,
    ends: BinaryHeap<Reverse<(Instant, u64)>>,
    started: u64,
    seen: Seen,
}

impl Run {
    fn new(plan: Plan, configure: impl FnOnce(&mut TopicOptions)) -> Self {
        let mut engine = Engine::new(EngineOptions::default());
        let pool = engine.add_pool(plan.seats, plan.seats);
        let mut options = TopicOptions::new(pool);
        configure(&mut options);
        let topic = engine.add_topic(options);
        let start = Start { offset: Some(0), metadata: None };
        let ids = (0..plan.partitions as i32).map(|partition| engine.assign(Instant::START, topic, partition, start));
        Self {
            ids: ids.collect(),
            next: vec![0; plan.partitions],
            plan,
            engine,
            pool,
            now: Instant::START,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            ends: BinaryHeap::new(),
            started: 0,
            seen: Seen::default(),
        }
    }

    /// What the poller does until nothing moves.
    fn pump(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for partition in 0..self.ids.len() {
                let count = self.engine.room(self.ids[partition]).messages.min(ROUND);
                let offsets = self.next[partition]..self.next[partition] + i64::from(count);
                self.next[partition] = offsets.end;
                let (key, bytes) = (self.plan.key, self.plan.bytes);
                let made =
                    offsets.map(|offset| Message { bytes, ..message(offset, &key(partition, offset).to_string()) });
                self.engine.deliver(self.now, self.ids[partition], made);
                moved |= count > 0;
            }
            while let Some(job) = self.engine.next_job(self.now, self.pool) {
                self.waiting.push_back(job);
            }
            while self.running.len() < self.plan.seats as usize
                && let Some(job) = self.waiting.pop_front()
            {
                moved = true;
                self.start(job);
            }
        }
        let totals = self.engine.totals();
        self.seen.most_held = self.seen.most_held.max(totals.held_messages);
        self.seen.most_bytes = self.seen.most_bytes.max(totals.held_bytes);
        while let Some(action) = self.engine.next_action() {
            if let Action::Commit { assignment, id, .. } = action {
                self.engine.committed(self.now, assignment, id, Ok(()));
            }
        }
    }

    fn start(&mut self, job: Job<Message>) {
        let key = |message: &Message| std::str::from_utf8(message.key.as_ref().unwrap()).unwrap().parse().unwrap();
        let takes: Duration = job.messages.iter().map(|message| (self.plan.takes)(key(message))).sum();
        self.started += 1;
        self.ends.push(Reverse((self.now + takes, self.started)));
        self.running.insert(self.started, job);
    }

    /// Runs for a time, after a tenth of it to warm up.
    fn run(mut self, time: Duration) -> Seen {
        let time = time / SHORTER;
        let (begin, end) = (self.now + time / 10, self.now + time + time / 10);
        let mut busy = Duration::ZERO;
        self.pump();
        while let Some(&Reverse((at, number))) = self.ends.peek().filter(|Reverse((at, _))| *at <= end) {
            self.ends.pop();
            busy += at.max(begin).since(self.now.max(begin)) * self.running.len() as u32;
            self.now = at;
            let job = self.running.remove(&number).unwrap();
            let handled = job.messages.len() as u64;
            *self.seen.handled.entry(job.partition as usize).or_default() += handled;
            self.engine.complete(self.now, job.id, Outcome::Done, job.messages);
            // Jobs that end together are seen together.
            if self.ends.peek().is_none_or(|Reverse((next, _))| *next > self.now) {
                self.engine.tick(self.now);
                self.pump();
            }
        }
        busy += end.since(self.now.max(begin)) * self.running.len() as u32;
        self.seen.busy = busy.as_secs_f64() / (time.as_secs_f64() * f64::from(self.plan.seats));
        self.engine.check().expect("counters agree");
        self.seen
    }
}

fn by_key(options: &mut TopicOptions) {
    options.virtual_partitions = VirtualPartitions::ByKey;
}

#[test]
#[cfg_attr(miri, ignore = "tens of thousands of messages")]
fn five_hundred_workers_find_ready_keys_among_a_thousand() {
    let uniform = plan(5, 500, |partition, offset| scattered(partition, offset) % 200 * 5 + partition as u64);
    let seen = Run::new(uniform, by_key).run(Duration::from_secs(1));
    println!("{seen:?}");
    assert!(seen.busy >= 0.98, "{seen:?}");
    assert!(seen.most_held <= 60_000, "{seen:?}");
}

#[test]
#[cfg_attr(miri, ignore = "tens of thousands of messages")]
fn workers_find_ready_keys_when_keys_are_uneven() {
    // A tenth of the keys has two thirds of the messages; the busiest key has one in twenty of its partition.
    let skewed: fn(usize, i64) -> u64 = |partition, offset| {
        let random = scattered(partition, offset);
        if random % 3 < 2 { random / 3 % 20 } else { random / 3 % 200 }
    };
    let seen = Run::new(plan(5, 50, skewed), by_key).run(Duration::from_secs(5));
    println!("{seen:?}");
    assert!(seen.busy >= 0.97, "{seen:?}");
    let (least, most) = (seen.handled.values().min().unwrap(), seen.handled.values().max().unwrap());
    assert!(*most <= 2 * least, "partitions share the seats: {seen:?}");
}

#[test]
fn few_workers_read_little_ahead() {
    let mut slow = plan(5, 5, |partition, offset| scattered(partition, offset) % 200);
    slow.takes = |_| 10 * MILLISECOND;
    let seen = Run::new(slow, by_key).run(Duration::from_secs(20));
    println!("{seen:?}");
    assert!(seen.busy >= 0.99 && seen.most_held <= 500, "{seen:?}");
}

#[test]
fn memory_is_bounded_at_five_and_at_fifty_partitions() {
    for (partitions, virtual_partitions) in [
        (5, VirtualPartitions::Off),
        (50, VirtualPartitions::Off),
        (5, VirtualPartitions::ByKey),
        (50, VirtualPartitions::ByKey),
    ] {
        // In a run as short as Miri's, not each of fifty has had its turn.
        if cfg!(miri) && partitions > 5 {
            continue;
        }
        let mut slow = plan(partitions, 5, |partition, offset| scattered(partition, offset) % 200);
        slow.bytes = 1_300;
        slow.takes = |_| 10 * MILLISECOND;
        let run = Run::new(slow, |options| options.virtual_partitions = virtual_partitions);
        let seen = run.run(Duration::from_secs(60));
        println!("{partitions} {virtual_partitions:?}: {seen:?}");
        assert!(seen.busy >= 0.99 && seen.most_bytes <= 9 << 20, "{seen:?}");
        let (least, most) = (seen.handled.values().min().unwrap(), seen.handled.values().max().unwrap());
        assert!(seen.handled.len() == partitions && *most <= least + least / 4, "all have their turn: {seen:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "tens of thousands of messages")]
fn keys_that_hang_stop_no_other_until_the_window_is_full() {
    // One key in fifty hangs; five of them may occupy five of twelve seats, and their messages gather.
    let mut hanging = plan(5, 12, |partition, offset| scattered(partition, offset) % 50 + partition as u64 * 50);
    hanging.takes = |key| if key % 50 == 0 { Duration::from_secs(3_600) } else { MILLISECOND };
    let seen = Run::new(hanging, by_key).run(Duration::from_secs(5));
    println!("{seen:?}");
    assert!(seen.busy >= 0.98, "{seen:?}");
    assert!(seen.handled.values().all(|&handled| handled > 4_000 / u64::from(SHORTER)), "{seen:?}");
}

#[test]
#[cfg_attr(miri, ignore = "tens of thousands of messages")]
fn calls_of_many_keys_are_full_and_read_ahead_by_a_few() {
    let mut fast = plan(5, 5, |partition, offset| scattered(partition, offset) % 200);
    fast.takes = |_| Duration::from_nanos(100);
    let run = Run::new(fast, |options| {
        by_key(options);
        options.max_messages = 1_000;
        options.virtual_partitions_per_job = 1_000;
    });
    let seen = run.run(Duration::from_millis(20));
    println!("{seen:?}");
    assert!(seen.busy >= 0.98 && seen.most_held <= 30_000 && seen.most_bytes <= 9 << 20, "{seen:?}");
}

#[test]
fn without_virtual_partitions_two_calls_of_each_partition_wait() {
    let run = Run::new(plan(5, 5, |_, offset| offset as u64), |_| ());
    let seen = run.run(Duration::from_secs(5));
    println!("{seen:?}");
    assert!(seen.busy >= 0.99 && seen.most_held <= 5 * 300, "{seen:?}");
}
