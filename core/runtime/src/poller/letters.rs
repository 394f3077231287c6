//! Dead letters on their way: the poller's side, and the threads that send copies.
//!
//! The engine says which message leaves and when. The poller keeps what is to be said about it, and hands it to a thread of
//! its cluster, made with the first letter, because finding out a topic's partitions and making a producer wait for brokers:
//! where one cluster is slow, the letters of others go on.
//! That thread sends nothing of a partition that is lost, and answers every letter once, by a report.

use super::Poller;
use crate::config::ProducerConfig;
use crate::context::Assignment;
use crate::event::Event;
use crate::job::{Failure, Verdict};
use crate::letter::{Given, partition_of};
use crate::lock::Mutex;
use crate::message::MessageInner;
use crate::producer::{Delivery, DeliveryReport, Producer, Record};
use crate::report::Report;
use crate::shared::Shared;
use crate::transaction::{TransactionalProducer, dispatch_letter};
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};
use karafka_engine::{AssignmentId, JobId, LetterId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a topic's number of partitions is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long a broker may take to tell it.
const PATIENCE_MS: i32 = 10_000;
/// What is still on its way when an app ends is given up: its original is not committed, and comes again.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most failures of one message that are kept for its strategy.
const MOST_FAILURES: usize = 100;
/// Settings of a consumer that a producer for the same cluster needs.
const SHARED_SETTINGS: [&str; 5] = ["security.", "sasl.", "ssl.", "socket.", "broker."];

#[derive(Default)]
pub(super) struct Letters {
    given: HashMap<(AssignmentId, LetterId), Arc<Given>>,
    threads: BTreeMap<Thread, Sender<Letter>>,
}

/// A message for the thread.
struct Letter {
    assignment: Arc<Assignment>,
    id: LetterId,
    message: MessageInner,
    given: Arc<Given>,
    in_transaction: bool,
}

/// Whose letters a thread sends. Those in transactions have one of their own: each of them waits for its commit.
type Thread = (Cluster, bool);

/// The cluster that a message came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cluster {
    pub(super) brokers: String,
    pub(super) settings: BTreeMap<String, String>,
}

/// What became of a letter.
pub(crate) type Answer = std::result::Result<DeliveryReport, (MessageInner, Error)>;

impl Poller {
    /// The engine gave a message up: remembers why, or says that it is gone.
    pub(super) fn given_up(
        &mut self,
        job: JobId,
        assignment: AssignmentId,
        offset: i64,
        attempts: u32,
        letter: Option<LetterId>,
    ) {
        let Some(partition) = self.partitions.get(&assignment) else { return };
        let own = &partition.assignment;
        let failure = self.failures.get(&job).cloned().unwrap_or_default();
        let Some(letter) = letter else {
            let (topic, partition) = (Arc::clone(&own.topic), own.partition);
            self.shared.publisher.publish(&Event::Discarded { topic, partition, offset, attempts, failure });
            return;
        };
        let target = match &failure.verdict {
            Verdict::DeadLetter { topic: Some(topic) } => Some(Arc::clone(topic)),
            _ => self.routes.get(partition.route).and_then(|route| route.dead_letter_topic.clone()),
        };
        let given = Given {
            topic: Arc::clone(&own.topic),
            partition: own.partition,
            offset,
            group: Arc::clone(&own.group),
            attempts,
            failure,
            target: target.unwrap_or_default(),
        };
        self.letters.given.insert((assignment, letter), Arc::new(given));
    }

    /// Sends a message's copy.
    pub(super) fn send_letter(&mut self, now: Instant, assignment: AssignmentId, id: LetterId, message: MessageInner) {
        let given = self.letters.given.get(&(assignment, id)).cloned();
        let known = self.partitions.get(&assignment).zip(given);
        let cluster = known.as_ref().and_then(|(partition, _)| self.cluster_of(partition.member));
        let Some(((partition, given), cluster)) = known.zip(cluster) else {
            self.engine.dead_lettered(self.at(now), assignment, id, Err(message));
            return;
        };
        let in_transaction = self.routes.get(partition.route).is_some_and(|route| route.dead_letters_in_transactions);
        let letter = Letter { assignment: Arc::clone(&partition.assignment), id, message, given, in_transaction };
        let whose = (cluster, in_transaction);
        if !self.letters.threads.contains_key(&whose)
            && let Some(thread) = start(&self.shared, whose.0.clone())
        {
            self.letters.threads.insert(whose.clone(), thread);
        }
        let unsent = match self.letters.threads.get(&whose) {
            Some(thread) => thread.send(letter).err().map(|refused| refused.0),
            None => Some(letter),
        };
        if let Some(letter) = unsent {
            self.letters.threads.remove(&whose);
            self.engine.dead_lettered(self.at(now), assignment, id, Err(letter.message));
        }
    }

    /// A copy was acknowledged, or was not.
    pub(super) fn letter_answered(&mut self, now: Instant, assignment: AssignmentId, id: LetterId, answer: Answer) {
        let result = match answer {
            Ok(report) => {
                if let Some(given) = self.letters.given.remove(&(assignment, id)) {
                    self.shared.publisher.publish(&Event::DeadLetterDispatched {
                        topic: Arc::clone(&given.topic),
                        partition: given.partition,
                        offset: given.offset,
                        attempts: given.attempts,
                        dead_letter_topic: Arc::clone(&given.target),
                        dead_letter_partition: report.partition,
                        dead_letter_offset: report.offset,
                        error_class: given.failure.class.clone(),
                    });
                }
                Ok(())
            }
            Err((message, error)) => {
                if self.partitions.contains_key(&assignment) {
                    self.publish_error(error, true);
                }
                Err(message)
            }
        };
        self.engine.dead_lettered(self.at(now), assignment, id, result);
    }

    /// A partition went, with all that is known of its letters.
    pub(super) fn forget_letters(&mut self, assignment: AssignmentId) {
        self.letters.given.retain(|(owner, _), _| *owner != assignment);
    }

    /// Keeps a failure for the strategy of its topic.
    pub(super) fn remember_failure(&mut self, assignment: AssignmentId, offset: i64, failure: &Failure) {
        let below = self.engine.position(assignment).unwrap_or(i64::MIN);
        let Some(partition) = self.partitions.get_mut(&assignment) else { return };
        if self.routes.get(partition.route).is_some_and(|route| route.options.strategy) {
            partition.failures.retain(|offset, _| *offset >= below);
            let failures: &mut VecDeque<Failure> = partition.failures.entry(offset).or_default();
            if failures.len() == MOST_FAILURES {
                failures.pop_front();
            }
            failures.push_back(failure.clone());
        }
    }

    pub(super) fn cluster_of(&self, member: usize) -> Option<Cluster> {
        let subscription = self.subscriptions.get(self.members.get(member)?.subscription)?;
        let shared = |(name, _): &(&String, &String)| SHARED_SETTINGS.iter().any(|prefix| name.starts_with(prefix));
        let settings = subscription.settings.iter().filter(shared);
        let settings = settings.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Cluster { brokers: subscription.brokers.clone(), settings })
    }
}

/// Starts the thread of a cluster; `None` when the system gives none, which is tried again with the next letter.
fn start(shared: &Arc<Shared>, cluster: Cluster) -> Option<Sender<Letter>> {
    let (sender, letters) = unbounded();
    let shared = Arc::clone(shared);
    let sending = Sending { shared, cluster, producer: None, transactional: None, partitions: HashMap::new() };
    let spawned = std::thread::Builder::new().name("karafka-letters".to_owned()).spawn(move || sending.serve(&letters));
    spawned.ok().map(|_| sender)
}

type Held = Arc<Mutex<Option<MessageInner>>>;

/// Of each topic, how many there are, and when that was asked.
type Partitions = HashMap<Arc<str>, (usize, Instant)>;

/// A cluster's thread, with what it knows of the cluster.
struct Sending {
    shared: Arc<Shared>,
    cluster: Cluster,
    producer: Option<Producer>,
    /// For letters in transactions.
    transactional: Option<TransactionalProducer>,
    /// How many partitions a topic has, and since when that is known.
    partitions: Partitions,
}

impl Sending {
    /// Ends with the poller.
    fn serve(mut self, letters: &Receiver<Letter>) {
        while let Ok(letter) = letters.recv() {
            let whose = (letter.assignment.id, letter.id);
            let message = Arc::new(Mutex::new(Some(letter.message)));
            let sent = if !letter.assignment.owned.load(Ordering::SeqCst) {
                Err(Error::new(ErrorKind::NotOwned, "dispatch a dead letter", "the partition is lost"))
            } else if letter.in_transaction {
                self.send_with_offset(&letter.given, &letter.assignment, letter.id, &message)
            } else {
                self.send(&letter.given, whose, &message)
            };
            if let Err(error) = sent {
                if error.is_fatal() {
                    self.producer = None;
                }
                self.partitions.remove(&letter.given.target);
                answer(&self.shared, whose, &message, Err(error.with("dead_letter_topic", &letter.given.target)));
            }
        }
    }

    fn send(&mut self, given: &Given, whose: (AssignmentId, LetterId), message: &Held) -> Result<()> {
        let producer = if let Some(producer) = &self.producer {
            producer
        } else {
            self.producer.insert(Producer::new(ProducerConfig {
                bootstrap_servers: self.cluster.brokers.clone(),
                kafka: self.cluster.settings.clone(),
                max_payload_bytes: 1_000_000_000,
                close_timeout: FAREWELL,
                ..ProducerConfig::default()
            })?)
        };
        let count = count_of(&mut self.partitions, producer, &given.target)?;
        let held = message.lock();
        let Some(original) = held.as_ref() else { return Ok(()) };
        let delivery = produce(producer, given, original, count)?;
        // The answer takes the message out, perhaps at once.
        drop(held);
        let (shared, kept, own) = (Arc::clone(&self.shared), Arc::clone(message), delivery.clone());
        delivery.notify(move || {
            if let Some(outcome) = own.outcome() {
                answer(&shared, whose, &kept, outcome);
            }
        });
        Ok(())
    }

    /// Sends a copy in a transaction in which the offset passes, too; what arrived is answered here.
    fn send_with_offset(&mut self, given: &Given, owner: &Assignment, id: LetterId, message: &Held) -> Result<()> {
        let producer = match self.transactional.take() {
            Some(producer) => producer,
            None => owner.transactions.of_letters()?,
        };
        let sent = dispatch_letter(&producer, &self.shared, owner, id, |producer| {
            let count = count_of(&mut self.partitions, producer, &given.target)?;
            let held = message.lock();
            let gone = || Error::new(ErrorKind::Internal, "dispatch a dead letter", "the message is gone");
            produce(producer, given, held.as_ref().ok_or_else(gone)?, count)
        });
        self.transactional = Some(producer).filter(TransactionalProducer::is_usable);
        answer(&self.shared, (owner.id, id), message, Ok(sent?));
        Ok(())
    }
}

/// How many partitions a topic has, asked from a broker now and then.
fn count_of(known: &mut Partitions, producer: &Producer, topic: &Arc<str>) -> Result<usize> {
    if let Some((count, _)) = known.get(topic).filter(|(_, asked)| asked.elapsed() < BELIEVED) {
        return Ok(*count);
    }
    let count = producer.partition_count(topic, PATIENCE_MS)?;
    known.insert(Arc::clone(topic), (count, Instant::now()));
    Ok(count)
}

/// Sends the copy off.
fn produce(producer: &Producer, given: &Given, original: &MessageInner, count: usize) -> Result<Delivery> {
    let (native, values) = (original.native(), given.values());
    let headers = Given::headers(native.headers(), &values);
    producer.try_produce(&Record {
        topic: &given.target,
        partition: Some(partition_of(given.partition, count)),
        key: native.key(),
        payload: native.payload(),
        headers: &headers,
        ..Record::default()
    })
}

fn answer(
    shared: &Shared,
    (assignment, id): (AssignmentId, LetterId),
    message: &Held,
    outcome: Result<DeliveryReport>,
) {
    let Some(message) = message.lock().take() else { return };
    let answer = outcome.map_err(|error| (message, error));
    shared.report(Report::LetterAnswered { assignment, id, answer });
    shared.waker.wake();
}
