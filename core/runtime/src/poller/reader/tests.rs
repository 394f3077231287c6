//! What the poller does with what it reads, driven by hand round by round against the embedded broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::Poller;
use crate::app::{SeatKind, TopicEntry, Work};
use crate::config::{AppConfig, InitialOffset, ProducerConfig, TopicConfig};
use crate::embedded::EmbeddedBroker;
use crate::event::Event;
use crate::job::{Failure, Job};
use crate::pool::Pool;
use crate::producer::{Producer, Record};
use crate::shared::Shared;
use crate::wake::Waker;
use crossbeam::sync::Parker;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://reader";
const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    topic: &'static str,
    poller: Poller,
    threads: Arc<Pool<Job>>,
    shared: Arc<Shared>,
}

impl Rig {
    fn new(topic: &'static str) -> Self {
        EmbeddedBroker::named(BROKER).unwrap().create_topic(topic, 1).unwrap();
        let config =
            AppConfig { bootstrap_servers: BROKER.to_owned(), group: topic.to_owned(), ..AppConfig::default() };
        let options = TopicConfig { initial_offset: InitialOffset::Earliest, ..TopicConfig::default() };
        let topics = [TopicEntry {
            name: topic.to_owned(),
            config: options,
            work: Work::Host,
            seats: SeatKind::Thread,
            hooks: Vec::new(),
        }];
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker().clone()));
        let shared = Arc::new(Shared::new(&waker));
        let threads = Pool::new(1, Arc::clone(&waker));
        let pools = [Arc::clone(&threads), Pool::new(1, waker)];
        let mut poller = Poller::new(&config, &topics, Arc::clone(&shared), pools, &mut Some(parker), false).unwrap();
        poller.connect();
        Self { topic, poller, threads, shared }
    }

    /// One round of the poller, without its wait.
    fn round(&mut self) {
        let now = Instant::now();
        self.poller.take_reports(now);
        self.poller.take_events(now);
        self.poller.read_partitions(now);
        self.poller.engine.tick(self.poller.at(now));
        self.poller.act(now);
        self.poller.dispatch(now);
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what} did not come");
            self.round();
            self.poller.parker.park_timeout(Duration::from_millis(20));
        }
    }

    fn job(&mut self) -> Job {
        let mut taken = None;
        self.until("a job", |rig| {
            taken = rig.threads.withdraw(|_| true).pop();
            taken.is_some()
        });
        taken.unwrap()
    }

    fn produce(&self, payloads: &[&str]) {
        let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
        let producer = Producer::new(config).unwrap();
        let records: Vec<_> = payloads
            .iter()
            .map(|payload| Record { topic: self.topic, payload: Some(payload.as_bytes()), ..Record::default() })
            .collect();
        producer.produce_many_sync(&records).unwrap();
        producer.close().unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.threads.withdraw(|_| true));
        self.poller.shutdown_clients();
    }
}

#[test]
fn a_log_that_begins_anew_below_what_was_read_gets_another_assignment() {
    let mut rig = Rig::new("log");
    let events = rig.shared.publisher.subscribe();
    rig.until("the partition", |rig| !rig.poller.partitions.is_empty());
    let (&before, partition) = rig.poller.partitions.iter_mut().next().unwrap();
    let old = Arc::clone(&partition.assignment);
    // As if a thousand records had been read before the log was cut.
    partition.next_offset = 1_000;

    rig.produce(&["a", "b", "c"]);
    let job = rig.job();
    assert!(!old.owned.load(Ordering::SeqCst), "what is known of the old offsets must not count for the new ones");
    assert_ne!(job.context().assignment.id, before);
    assert!(job.context().assignment.owned.load(Ordering::SeqCst));
    assert_eq!(job.batch().first_offset(), 0);
    let warned = std::iter::from_fn(|| events.next(Duration::ZERO).ok()).any(
        |event| matches!(event, Event::Warning { message } if message.contains("begins anew at offset 0 where 1000")),
    );
    assert!(warned, "nobody is told");

    // From there on it is a log like any other.
    let id = job.context().assignment.id;
    job.done();
    rig.produce(&["d"]);
    rig.until("the next record", |rig| rig.poller.partitions.get(&id).is_some_and(|found| found.next_offset == 4));
    assert!(rig.poller.engine.is_owned(id));
    assert_eq!(rig.poller.partitions.len(), 1);
}

#[test]
fn what_was_read_before_the_log_was_cut_and_is_not_done_is_read_again() {
    let mut rig = Rig::new("cut");
    rig.until("the partition", |rig| !rig.poller.partitions.is_empty());
    rig.produce(&["a", "b", "c"]);
    let job = rig.job();
    assert_eq!((job.batch().first_offset(), job.batch().len()), (0, 3));
    let (&before, partition) = rig.poller.partitions.iter_mut().next().unwrap();
    // As if what was read behind them had been cut off.
    partition.next_offset = 1_000;
    rig.produce(&["d"]);
    rig.until("the loss", |rig| !rig.poller.partitions.contains_key(&before));
    assert!(job.context().is_revoked());
    job.fail(Failure::new("Broken", "on purpose"));
    let again = rig.job();
    assert_eq!(again.batch().first_offset(), 0, "nobody else has them");
    again.done();
    rig.until("all of it", |rig| {
        rig.threads.withdraw(|_| true).into_iter().for_each(Job::done);
        rig.poller.partitions.values().all(|partition| partition.next_offset == 4)
            && rig.poller.partitions.keys().all(|id| rig.poller.engine.position(*id) == Some(4))
    });
}
