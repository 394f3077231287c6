//! The world around the pool: who calls it at any moment, as the runtime and its users do.
//!
//! One thread each for the poller, every seat, a fetcher (librdkafka's threads), a broker that answers commits, a group
//! that takes partitions away and gives them back, and callers. The main thread ends the app and waits for all of them: one
//! that waits for ever is a deadlock, which shuttle reports.

mod group;
mod journal;
mod poller;
mod remote;
mod seat;

use crate::pool::Pool;
use crate::sync::{Arc, Mutex, Parker, SegQueue};
use crate::wake::{Ready, Waker};
use journal::Journal;
use karafka_engine::{AssignmentId, Extent, JobId, Outcome, Record};
use poller::Poller;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::thread;
use std::collections::VecDeque;

/// Keys take turns in each partition's log.
const KEYS: i64 = 2;
/// How many messages each partition's log has.
const LOG: i64 = 5;
const PARTITIONS: i32 = 2;
/// The token of the member's queue; partitions have the others.
const MEMBER: u64 = 0;

/// A protocol of the poller with a step left out: what the world must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slip {
    #[default]
    None,
    /// The group hears "revoked" when the drain begins.
    AnsweredAtOnce,
    /// A queue's flag is lowered after the queue was read.
    LoweredLate,
    /// The pool is not closed when the app ends.
    LeftOpen,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) seats: usize,
    /// How often the group takes a partition away.
    pub(crate) rebalances: usize,
    /// Seats are interrupted, and their number changes.
    pub(crate) disturbed: bool,
    /// The app ends when everything is committed, else at any moment.
    pub(crate) finishes: bool,
    pub(crate) slip: Slip,
}

#[derive(Debug)]
pub(crate) struct Message {
    offset: i64,
    key: u8,
}

impl Message {
    fn at(offset: i64) -> Self {
        Self { offset, key: (offset % KEYS) as u8 }
    }

    /// The message before this one of the same key.
    fn before(offset: i64) -> Option<i64> {
        Some(offset - KEYS).filter(|before| *before >= 0)
    }
}

impl Record for Message {
    fn offset(&self) -> i64 {
        self.offset
    }
    fn key(&self) -> Option<&[u8]> {
        Some(std::slice::from_ref(&self.key))
    }
    fn bytes(&self) -> u32 {
        100
    }
}

/// What a seat gets.
pub(crate) struct Work {
    id: JobId,
    assignment: AssignmentId,
    messages: Vec<Message>,
}

/// What seats and callers tell the poller.
enum Report {
    Ended { job: JobId, outcome: Outcome, messages: Vec<Message> },
    Marked { job: JobId, index: u32, extent: Extent },
    Commit { assignment: AssignmentId, done: Sender<bool> },
    Resized,
    Stop,
}

/// What reaches the poller by the member's queue.
enum Event {
    Assign {
        partition: i32,
    },
    Revoke {
        partition: i32,
        done: Sender<()>,
    },
    Lose {
        partition: i32,
        done: Sender<()>,
    },
    Committed {
        assignment: AssignmentId,
        id: karafka_engine::CommitId,
        result: Result<(), karafka_engine::CommitFailure>,
    },
}

/// The member's queue: gone once the client is closed.
struct Events(Mutex<Option<VecDeque<Event>>>);

impl Events {
    fn pop(&self) -> Option<Event> {
        self.0.lock().as_mut()?.pop_front()
    }

    fn push(&self, event: Event) {
        if let Some(events) = &mut *self.0.lock() {
            events.push_back(event);
        }
    }

    /// Whoever waits for an answer hears that there will be none.
    fn close(&self) {
        drop(self.0.lock().take());
    }
}

/// What all threads share.
struct Shared {
    journal: Journal,
    waker: Arc<Waker>,
    pool: Arc<Pool<Work>>,
    reports: SegQueue<Report>,
    events: Events,
    member: Arc<Ready>,
    broker: remote::Remote<remote::Commit>,
    fetcher: remote::Remote<remote::Fetch>,
}

impl Shared {
    /// Puts an event into the member's queue, whose owner is told when it was empty, or may have been.
    fn event(&self, event: Event) {
        self.events.push(event);
        self.member.raise();
    }

    fn tell(&self, report: Report) {
        self.reports.push(report);
        self.waker.wake();
    }
}

/// Runs a scenario once, under the schedule that shuttle draws.
pub(crate) fn run(scenario: Scenario) {
    let parker = Parker::new();
    let waker = Arc::new(Waker::new(parker.unparker()));
    let (finished, all_committed) = channel();
    let shared = Arc::new(Shared {
        journal: Journal::default(),
        pool: Pool::waking(scenario.seats, thread_rng().gen_range(1..=2), Arc::clone(&waker)),
        reports: SegQueue::new(),
        events: Events(Mutex::new(Some(VecDeque::new()))),
        member: Ready::new(MEMBER, Arc::clone(&waker)),
        broker: remote::Remote::new(),
        fetcher: remote::Remote::new(),
        waker,
    });
    let mut seats = Vec::new();
    let mut sleepers = Vec::new();
    for _ in 0..scenario.seats {
        let (sleeper, handle) = seat::spawn(&shared);
        sleepers.push(sleeper);
        seats.push(handle);
    }
    let spawn = |work: fn(&Shared)| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || work(&shared))
    };
    let remotes = [spawn(remote::fetch), {
        let shared = Arc::clone(&shared);
        thread::spawn(move || remote::answer_commits(&shared, &finished))
    }];
    let poller = {
        let (shared, poller) = (Arc::clone(&shared), Poller::new(Arc::clone(&shared), parker, scenario));
        thread::spawn(move || {
            poller.run();
            shared.broker.close();
            shared.fetcher.close();
        })
    };
    let group = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || group::rebalance(&shared, scenario.rebalances))
    };
    if scenario.disturbed {
        // Fewer seats, then as many as before; what leaves is replaced.
        let fewer = 1.max(scenario.seats - 1);
        shared.pool.resize(fewer);
        shared.tell(Report::Resized);
        for sleeper in &sleepers {
            sleeper.interrupt();
        }
        for _ in 0..shared.pool.resize(scenario.seats) {
            seats.push(seat::spawn(&shared).1);
        }
        shared.tell(Report::Resized);
    }
    if scenario.finishes {
        all_committed.recv().unwrap();
    } else {
        for _ in 0..thread_rng().gen_range(0..30) {
            thread::yield_now();
        }
    }
    shared.tell(Report::Stop);
    poller.join().unwrap();
    group.join().unwrap();
    for handle in seats.into_iter().chain(remotes) {
        handle.join().unwrap();
    }
    shared.journal.check_end();
}
