//! Whoever owns a partition of scheduled messages: keeps what waits, and sends it on when it is due.
//!
//! Called on the app's seats, for one partition by one at a time. What is known of a partition belongs to one ownership: each
//! begins with reading the partition, so that nothing that waited is missed, and nothing that was cancelled goes.
//!
//! The order of a dispatch: the message is produced and acknowledged; then its tombstone is. Where one of them fails it is tried again
//! by the same owner; where the owner ends in between, the next one finds the message and sends it again. What has no answer within a
//! second (its topic is not there, say) is left on its way, and holds up no other message.

use super::log::{catch_up, take_in};
use super::{now, tombstone};
use crate::config::{AppConfig, ProducerConfig};
use crate::handler::Handler;
use crate::hook::Hook;
use crate::job::{Failure, Job};
use crate::lock::Mutex;
use crate::native::{Client, PartitionOffset, code, describe, kind_of};
use crate::producer::{Delivery, OwnedRecord, Producer};
use crate::reader::{self, ReadFrom, ReaderConfig};
use crate::{Batch, Context, Error, Result};
use karafka_schedule::{Due, Messages};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many messages are on their way at once.
const MOST: usize = 1_000;

/// How long one call goes on sending: a partition that is to be given up waits for the end of the call.
const TURN: Duration = Duration::from_secs(2);

/// How long a broker may take to say how far a partition goes.
const ANSWER: Duration = Duration::from_secs(10);

/// How long one call waits for the answers to what it sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// librdkafka gives a record up by itself; the margin lets its own error arrive first.
const MARGIN: Duration = Duration::from_secs(5);

const LATEST: i64 = -1;

const ISOLATION: &str = "isolation.level";

/// How an app connects to send messages on: from the first message that is due.
struct Link {
    producer: Producer,
    client: Client,
}

/// What an ownership knows of its partition.
struct Known {
    ownership: u64,
    messages: Messages<OwnedRecord>,
    /// Sent, and not answered yet.
    flying: Vec<(Due<OwnedRecord>, Delivery)>,
}

impl Known {
    /// Takes in what became of what was sent. The error is the first of them.
    fn land(&mut self, now: i64) -> Result<()> {
        let mut outcome = Ok(());
        for (due, delivery) in std::mem::take(&mut self.flying) {
            match delivery.outcome() {
                None => self.flying.push((due, delivery)),
                Some(Ok(_)) => self.messages.sent(&due),
                Some(Err(error)) => outcome = outcome.and(Err(self.failed(now, &due, error))),
            }
        }
        outcome
    }

    fn failed(&mut self, now: i64, due: &Due<OwnedRecord>, error: Error) -> Error {
        self.messages.failed(now, due);
        let id = String::from_utf8_lossy(&due.id).into_owned();
        tracing::warn!(%error, id, "a scheduled message could not be sent; it is tried again");
        error.with("id", id)
    }
}

/// Waits until all were answered, at most so long.
fn wait_for(sent: &[(Due<OwnedRecord>, Delivery)], longest: Duration) {
    let deadline = Instant::now() + longest;
    for (_, delivery) in sent {
        // Whatever it is, it is looked at later.
        drop(delivery.wait(deadline.saturating_duration_since(Instant::now())));
    }
}

pub(crate) struct Dispatcher {
    pub(super) topic: String,
    pub(super) bootstrap_servers: String,
    /// What the app says about security, and of whose transactions it reads.
    pub(super) kafka: BTreeMap<String, String>,
    producing: ProducerConfig,
    link: Mutex<Option<Arc<Link>>>,
    /// Those of partitions on which nobody works at this moment.
    partitions: Mutex<HashMap<i32, Known>>,
}

impl Dispatcher {
    pub(super) fn new(topic: &str, app: &AppConfig) -> Self {
        // The brokers decide how large a message may be.
        let producing = ProducerConfig { max_payload_bytes: 1_000_000_000, ..app.producer_config() };
        let mut kafka = producing.kafka.clone();
        let level = app.kafka.get_key_value(ISOLATION);
        kafka.extend(level.map(|(name, value)| (name.clone(), value.clone())));
        Self {
            topic: topic.to_owned(),
            bootstrap_servers: app.bootstrap_servers.clone(),
            kafka,
            producing,
            link: Mutex::default(),
            partitions: Mutex::default(),
        }
    }

    fn reading(&self) -> ReaderConfig {
        ReaderConfig {
            bootstrap_servers: self.bootstrap_servers.clone(),
            kafka: self.kafka.clone(),
            ..ReaderConfig::default()
        }
    }

    fn link(&self) -> Result<Arc<Link>> {
        if let Some(link) = self.link.lock().as_ref() {
            return Ok(Arc::clone(link));
        }
        // Made and closed under no lock: of two that are made at once, one is kept.
        let client = Client::new(&reader::client_settings(&self.reading())?, None)?;
        let link = Arc::new(Link { producer: Producer::open(self.producing.clone())?, client });
        Ok(Arc::clone(self.link.lock().get_or_insert_with(|| Arc::clone(&link))))
    }

    /// Works with what is known of a partition, which is found out first in a new ownership.
    fn with<T>(&self, context: &Context, work: impl FnOnce(&mut Known) -> Result<T>) -> Result<T> {
        let known = self.partitions.lock().remove(&context.partition());
        let mut known = match known.filter(|known| known.ownership == context.ownership()) {
            Some(known) => known,
            None => Known { ownership: context.ownership(), messages: self.read(context)?, flying: Vec::new() },
        };
        let done = work(&mut known);
        self.partitions.lock().insert(context.partition(), known);
        done
    }

    fn read(&self, context: &Context) -> Result<Messages<OwnedRecord>> {
        let (began, mut messages) = (now(), Messages::default());
        catch_up(&mut messages, self.reading(), context, ReadFrom::Earliest)?;
        messages.goes_to(began, messages.next());
        tracing::debug!(topic = context.topic(), partition = context.partition(), waiting = messages.len(), "read");
        Ok(messages)
    }

    fn handle_batch(&self, batch: &Batch, context: &Context) -> Result<()> {
        self.with(context, |known| {
            for message in batch.iter() {
                take_in(&mut known.messages, &message);
            }
            // What was read counts, whatever becomes of what is due: it is tried again.
            if let Err(error) = self.send_due(known, context) {
                tracing::warn!(%error, topic = context.topic(), "scheduled messages could not be sent yet");
            }
            Ok(())
        })
    }

    fn tick(&self, context: &Context) -> Result<()> {
        self.with(context, |known| {
            let messages = &mut known.messages;
            // Nothing came for an interval: what is missing are no messages, or they are on their way still.
            if messages.must_read_to().is_some_and(|end| end > messages.next()) {
                let from = ReadFrom::Offset(messages.next());
                catch_up(messages, self.reading(), context, from)?;
            }
            self.send_due(known, context)
        })
    }

    /// The partition goes: what is on its way is waited for a little, so that the next owner need not send it again.
    fn part(&self, mut known: Known, context: &Context) {
        wait_for(&known.flying, PATIENCE);
        if known.land(now()).is_ok() && !known.messages.to_forget(1).is_empty() {
            let forgotten = self.link().and_then(|link| self.forget(&mut known.messages, &link.producer, context));
            if let Err(error) = forgotten {
                tracing::warn!(%error, "scheduled messages that were sent could not be forgotten; the next owner sends them again");
            }
        }
    }

    /// Sends what is due, and writes the tombstones of what arrived. The error is the first of them; the others were tried all the
    /// same.
    fn send_due(&self, known: &mut Known, context: &Context) -> Result<()> {
        let (began, mut outcome) = (Instant::now(), known.land(now()));
        while outcome.is_ok() && began.elapsed() < TURN && !context.is_revoked() {
            let now = now();
            let Known { messages, flying, .. } = &mut *known;
            let owes = !messages.to_forget(1).is_empty();
            let must_look = messages.must_look(now);
            let due = if must_look { Vec::new() } else { messages.due(now, MOST.saturating_sub(flying.len())) };
            if !owes && !must_look && due.is_empty() {
                break;
            }
            let link = match self.link() {
                Ok(link) => link,
                Err(error) => {
                    for due in &due {
                        messages.kept(due);
                    }
                    return Err(error);
                }
            };
            if must_look {
                // What is in an open transaction is nothing that anybody was told is done.
                let is_committed = self.kafka.get(ISOLATION).is_none_or(|level| level != "read_uncommitted");
                messages.goes_to(now, end_of(&link.client, context, is_committed)?);
                if messages.must_read_to().is_some() {
                    // The rest comes by itself; else the next tick gets it.
                    break;
                }
            }
            let first = flying.len();
            for due in due {
                match due.message.lend(|record| link.producer.produce_async(record)) {
                    Ok(delivery) => known.flying.push((due, delivery)),
                    Err(error) => outcome = outcome.and(Err(known.failed(now, &due, error))),
                }
            }
            wait_for(known.flying.get(first..).unwrap_or_default(), PATIENCE);
            outcome = outcome.and(known.land(now)).and(self.forget(&mut known.messages, &link.producer, context));
        }
        outcome
    }

    fn forget(&self, messages: &mut Messages<OwnedRecord>, producer: &Producer, context: &Context) -> Result<()> {
        let owed = messages.to_forget(MOST);
        let write = |id: &[u8]| {
            let record = tombstone(context.topic(), context.partition(), id, "sent");
            record.lend(|record| producer.produce_async(record))
        };
        let written: Vec<_> = owed.iter().map(|(id, _)| write(id)).collect();
        let mut outcome = Ok(());
        for ((id, offset), written) in owed.iter().zip(written) {
            match written.and_then(|delivery| self.wait(&delivery)) {
                Ok(()) => messages.forgotten(id, *offset),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn wait(&self, delivery: &Delivery) -> Result<()> {
        delivery.wait(self.producing.delivery_timeout + MARGIN).map(drop)
    }
}

/// How far a partition goes now.
fn end_of(client: &Client, context: &Context, is_committed: bool) -> Result<i64> {
    let asked = PartitionOffset { offset: Some(LATEST), ..PartitionOffset::new(context.topic(), context.partition()) };
    let answer = client.list_offsets(&[asked], is_committed, ANSWER)?.pop();
    match answer {
        Some(answer) if answer.code == code::NO_ERROR => Ok(answer.offset.unwrap_or(0)),
        answer => {
            let number = answer.map_or(code::UNKNOWN_TOPIC_OR_PART, |answer| answer.code);
            let error = Error::new(kind_of(number), "look offsets up", describe(number)).kafka_code(number);
            Err(error.with("topic", context.topic()).with("partition", context.partition()))
        }
    }
}

fn end(job: Job, outcome: Result<()>) {
    match outcome {
        Ok(()) => job.done(),
        Err(error) => job.fail(Failure::new(error.kind().name(), error.to_string())),
    }
}

impl Handler for Dispatcher {
    fn handle(&self, job: Job) {
        let outcome = self.handle_batch(job.batch(), job.context());
        end(job, outcome);
    }

    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::Tick, Hook::Revoked, Hook::Shutdown]
    }

    fn hook(&self, hook: Hook, job: Job) {
        if hook == Hook::Tick {
            let outcome = self.tick(job.context());
            return end(job, outcome);
        }
        let (partition, ownership) = (job.context().partition(), job.context().ownership());
        let known = {
            let mut partitions = self.partitions.lock();
            let is_its = partitions.get(&partition).is_some_and(|known| known.ownership == ownership);
            if is_its { partitions.remove(&partition) } else { None }
        };
        if let Some(known) = known.filter(|_| !job.context().is_revoked()) {
            self.part(known, job.context());
        }
        job.done();
    }
}
