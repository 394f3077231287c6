//! The records of one producer that are on their way: sent by any thread, completed by the thread that serves all producers.
//!
//! Owned by the producer and by that thread. Its lock is read to send and written to meet a new topic and to close; nothing
//! that waits happens under it.

use super::callbacks::Callbacks;
use super::delivery::{Cell, Delivery, DeliveryReport, Hook, OnDelivery, Outcome};
use super::losses::Losses;
use super::partitioner::{self, Counts};
use super::record::Record;
use super::recorder::Recorder;
use super::room::Room;
use super::service::Place;
use super::shelf::Shelf;
use super::{ProducerHooks, telling};
use crate::config::{self, ProducerConfig};
use crate::encryption;
use crate::event::Publisher;
use crate::native::{DeliveryOutcome, NativeProducer, NativeTopic, Outgoing, ProducerEvent, code, fork_epoch, kind_of};
use crate::output;
use crate::shared::forked;
use crate::{Error, ErrorKind, Result};
use karafka_encryption::Recipient;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where records go.
pub(super) enum Target {
    /// Fields drop in this order: topics before their client, after nobody reads its reports any more.
    Kafka {
        topics: HashMap<Box<str>, Topic>,
        place: Place,
        client: Arc<NativeProducer>,
    },
    Recorder(Arc<Recorder>),
}

pub(super) struct Topic {
    native: NativeTopic,
    name: Arc<str>,
}

pub(super) struct Outbox {
    pub(super) config: ProducerConfig,
    pub(super) hooks: ProducerHooks,
    pub(super) room: Arc<Room>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) losses: Losses,
    shelf: Shelf,
    epoch: u32,
    target: RwLock<Option<Target>>,
    closing: AtomicBool,
    counts: Counts,
    callbacks: Callbacks,
    /// For whom payloads are encrypted.
    recipient: Option<Recipient>,
}

enum Refused {
    Full(Option<Arc<Cell>>),
    Error(Error),
}

impl Outbox {
    pub(super) fn new(config: ProducerConfig, hooks: ProducerHooks, publisher: Arc<Publisher>) -> Result<Self> {
        let settings = config.client_settings();
        let limit = settings.get("queue.buffering.max.messages").and_then(|limit| limit.parse().ok());
        // librdkafka's 0 is no limit.
        let limit = limit.map_or(100_000, |limit: usize| if limit == 0 { usize::MAX } else { limit });
        Ok(Self {
            counts: Counts::new(&settings),
            recipient: encryption::recipient(&config)?,
            config,
            hooks,
            room: Arc::new(Room::new(limit)),
            publisher,
            losses: Losses::default(),
            shelf: Shelf::default(),
            epoch: fork_epoch(),
            target: RwLock::new(None),
            closing: AtomicBool::new(false),
            callbacks: Callbacks::default(),
        })
    }

    pub(super) fn open(&self, target: Target) {
        *self.target.write() = Some(target);
    }

    /// Whether this is the process that the producer was made in.
    pub(super) fn is_own(&self) -> bool {
        self.epoch == fork_epoch()
    }

    pub(super) fn owns(&self, operation: &'static str) -> Result<()> {
        if self.is_own() { Ok(()) } else { Err(forked(operation)) }
    }

    pub(super) fn is_open(&self, operation: &'static str) -> Result<()> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Stopped, operation, "the producer is closed"));
        }
        Ok(())
    }

    /// Ends sending; whether this call did.
    pub(super) fn begin_closing(&self) -> bool {
        let first = !self.closing.swap(true, Ordering::SeqCst);
        // Whoever is sending right now has looked before; it is waited for here.
        drop(self.target.write());
        first
    }

    /// Lets go of the client, once nothing is on its way. Waits for librdkafka's threads.
    pub(super) fn end(&self) {
        let target = self.target.write().take();
        self.callbacks.close();
        if let Some(Target::Kafka { topics, place, client }) = target {
            drop(topics);
            drop(place);
            drop(client);
        }
    }

    pub(super) fn client(&self, operation: &'static str) -> Result<Arc<NativeProducer>> {
        self.owns(operation)?;
        match &*self.target.read() {
            Some(Target::Kafka { client, .. }) => Ok(Arc::clone(client)),
            Some(Target::Recorder(_)) => {
                let message = "a testing producer has no brokers; it only records";
                Err(Error::new(ErrorKind::Unsupported, operation, message))
            }
            None => Err(Error::new(ErrorKind::Stopped, operation, "the producer is closed")),
        }
    }

    pub(super) fn recorder(&self, operation: &'static str) -> Result<Arc<Recorder>> {
        self.owns(operation)?;
        match &*self.target.read() {
            Some(Target::Recorder(recorder)) => Ok(Arc::clone(recorder)),
            Some(Target::Kafka { .. }) => {
                let message = "the producer sends to brokers; a testing producer records";
                Err(Error::new(ErrorKind::Unsupported, operation, message))
            }
            None => Err(Error::new(ErrorKind::Stopped, operation, "the producer is closed")),
        }
    }

    /// Whether it records instead of sending.
    pub(super) fn is_recording(&self) -> bool {
        matches!(&*self.target.read(), Some(Target::Recorder(_)))
    }

    /// Whether sending a record to this topic first asks a broker how many partitions there are.
    pub(super) fn must_look_up(&self, topic: &str) -> bool {
        !self.counts.is_known(topic)
    }

    /// How many partitions a topic has. May ask a broker, and wait at most `patience`.
    pub(super) fn partitions(&self, topic: &str, patience: Duration) -> Result<usize> {
        if let Some(Target::Recorder(recorder)) = &*self.target.read() {
            return Ok(recorder.partitions());
        }
        self.counts.get(&*self.client("look a topic up")?, topic, patience)
    }

    /// Sends a record, through the middleware if there is any; waits for room until `patience` has passed.
    pub(super) fn send(
        &self,
        record: &Record<'_>,
        callback: Option<OnDelivery>,
        patience: Duration,
    ) -> Result<Delivery> {
        self.owns("produce")?;
        self.changed(record, |record| {
            let record = &self.placed(record, patience)?;
            self.sealed(record, |record| self.dispatch(record, callback, patience))
        })
    }

    /// Sends a record that is sealed already, if it has to be.
    pub(super) fn send_sealed(&self, record: &Record<'_>, patience: Duration) -> Result<Delivery> {
        self.owns("produce")?;
        self.changed(record, |record| self.dispatch(&self.placed(record, patience)?, None, patience))
    }

    /// Calls with a record as it leaves this process: sealed where the producer encrypts.
    pub(super) fn sealed<T>(&self, record: &Record<'_>, send: impl FnOnce(&Record<'_>) -> Result<T>) -> Result<T> {
        match &self.recipient {
            None => send(record),
            Some(recipient) => encryption::sealed(recipient, record, |record| {
                record.check(self.config.max_payload_bytes)?;
                send(record)
            }),
        }
    }

    /// Calls with a record as the middleware leaves it, counted for the call of a handler that runs here.
    fn changed<T>(&self, record: &Record<'_>, send: impl FnOnce(&Record<'_>) -> Result<T>) -> Result<T> {
        let send =
            |record: &Record<'_>| output::counted(iter::once(record.topic), || self.is_recording(), || send(record));
        if self.hooks.middleware.is_empty() {
            return send(record);
        }
        // Before it is copied.
        record.check(self.config.max_payload_bytes)?;
        let mut changed = record.to_owned_record();
        for middleware in &self.hooks.middleware {
            middleware(&mut changed)?;
        }
        changed.lend(send)
    }

    /// The record with its partition, if somebody says which.
    fn placed<'a>(&self, record: &Record<'a>, patience: Duration) -> Result<Record<'a>> {
        record.check(self.config.max_payload_bytes)?;
        Ok(Record { partition: self.partition_of(record, patience)?, ..*record })
    }

    fn dispatch(&self, record: &Record<'_>, callback: Option<OnDelivery>, patience: Duration) -> Result<Delivery> {
        let mut hook = match callback {
            None => None,
            Some(callback) => {
                self.callbacks.start(&self.room)?;
                Some(Hook::Callback(callback))
            }
        };
        let (mut deadline, mut cell) = (None, None);
        loop {
            let used = self.room.used();
            let refused = if self.room.take() {
                match self.hand_over(record, cell.take(), &mut hook) {
                    Ok(delivery) => {
                        if self.publisher.wants_jobs() {
                            telling::produced(&self.publisher, record);
                        }
                        return Ok(delivery);
                    }
                    Err(refused) => {
                        self.room.give(1);
                        refused
                    }
                }
            } else {
                Refused::Full(cell.take())
            };
            match refused {
                Refused::Error(error) => return Err(error),
                Refused::Full(_) if patience.is_zero() => return Err(self.full(record, patience)),
                Refused::Full(kept) => cell = kept,
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            self.wait_for_room(used, deadline);
            if Instant::now() >= deadline {
                return Err(self.full(record, patience));
            }
        }
    }

    /// Waits until fewer are on their way than there were, or soon, since librdkafka counts bytes too.
    fn wait_for_room(&self, used: usize, deadline: Instant) {
        let soon = Instant::now() + Duration::from_millis(100);
        self.room.wait_below(used.max(1), Some(soon.min(deadline)));
    }

    fn full(&self, record: &Record<'_>, patience: Duration) -> Error {
        let used = self.room.used();
        let message = if used >= self.room.limit() {
            format!(
                "the local queue stayed full for {patience:?}: {used} records are on their way, as many as \
                 kafka.queue.buffering.max.messages allows; brokers are slow or away"
            )
        } else {
            format!(
                "the local queue stayed full for {patience:?}: the records that are on their way have as many bytes as \
                 kafka.queue.buffering.max.kbytes allows; brokers are slow or away"
            )
        };
        let error = Error::new(ErrorKind::QueueFull, "produce", message).kafka_code(code::QUEUE_FULL);
        error.with("topic", record.topic).retriable()
    }

    fn partition_of(&self, record: &Record<'_>, patience: Duration) -> Result<Option<i32>> {
        let asks = self.hooks.partitioner.is_some() || record.partition_key.is_some();
        if record.partition.is_some() || !asks {
            return Ok(record.partition);
        }
        config::validate_topic_name(record.topic)?;
        let count = self.partitions(record.topic, patience)?;
        if let Some(partitioner) = &self.hooks.partitioner
            && let Some(partition) = partitioner(record, count)?
        {
            return partitioner::checked(record.topic, partition, count).map(Some);
        }
        Ok(record.partition_key.and_then(|key| self.counts.hash(key, count)))
    }

    fn hand_over(
        &self,
        record: &Record<'_>,
        cell: Option<Arc<Cell>>,
        hook: &mut Option<Hook>,
    ) -> std::result::Result<Delivery, Refused> {
        loop {
            let unacquainted = {
                let target = self.target.read();
                let Some(target) = target.as_ref().filter(|_| !self.closing.load(Ordering::SeqCst)) else {
                    let error = Error::new(ErrorKind::Stopped, "produce", "the producer is closed");
                    return Err(Refused::Error(error.with("topic", record.topic)));
                };
                let (topics, client) = match target {
                    Target::Kafka { topics, client, .. } => (topics, client),
                    Target::Recorder(recorder) => {
                        return self.record(recorder, record, hook.take()).map_err(Refused::Error);
                    }
                };
                if let Some(topic) = topics.get(record.topic) {
                    let cell = cell.unwrap_or_else(|| self.cell(&topic.name, record.label, hook.take()));
                    return self.send_to(client, topic, record, cell);
                }
                Arc::clone(client)
            };
            self.meet(&unacquainted, record.topic).map_err(Refused::Error)?;
        }
    }

    fn cell(&self, topic: &Arc<str>, label: Option<&str>, hook: Option<Hook>) -> Arc<Cell> {
        match self.shelf.take() {
            Some(cell) => Cell::renewed(cell, topic, label, hook),
            None => Arc::new(Cell::new(Arc::clone(topic), label, hook)),
        }
    }

    fn send_to(
        &self,
        client: &NativeProducer,
        topic: &Topic,
        record: &Record<'_>,
        cell: Arc<Cell>,
    ) -> std::result::Result<Delivery, Refused> {
        let outgoing = Outgoing {
            partition: record.partition,
            key: record.key,
            payload: record.payload,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
        };
        let delivery = Delivery(Arc::clone(&cell));
        let Err(unsent) = client.send(&topic.native, &outgoing, cell) else { return Ok(delivery) };
        Err(match unsent.error.kafka() {
            Some(code::QUEUE_FULL) => Refused::Full(Some(unsent.cell)),
            _ => Refused::Error(self.why(client, record, unsent.error)),
        })
    }

    fn why(&self, client: &NativeProducer, record: &Record<'_>, error: Error) -> Error {
        if error.kafka() == Some(code::MESSAGE_SIZE_TOO_LARGE) {
            let most = self.config.max_payload_bytes;
            let message = format!("key, payload and headers are larger than max_payload_bytes ({most}) allows");
            return Error::new(ErrorKind::Config, "produce", message).with("topic", record.topic);
        }
        match client.fatal_error() {
            Some((number, text)) => {
                Error::new(kind_of(number), "produce", text).kafka_code(number).with("topic", record.topic).fatal()
            }
            None => error.with("topic", record.topic),
        }
    }

    /// Looks a topic up for the first time.
    fn meet(&self, client: &NativeProducer, name: &str) -> Result<()> {
        config::validate_topic_name(name)?;
        let topic = Topic { native: client.topic(name)?, name: Arc::from(name) };
        if let Some(Target::Kafka { topics, .. }) = &mut *self.target.write() {
            topics.entry(Box::from(name)).or_insert(topic);
        }
        Ok(())
    }

    fn record(&self, recorder: &Recorder, record: &Record<'_>, hook: Option<Hook>) -> Result<Delivery> {
        config::validate_topic_name(record.topic)?;
        let count = recorder.partitions();
        let outcome = recorder.keep(record, |key| self.counts.hash(key, count))?;
        let cell = Arc::new(Cell::new(Arc::from(record.topic), record.label, hook));
        self.complete(&cell, outcome);
        Ok(Delivery(cell))
    }

    /// What the client tells. Called by the thread that serves all producers.
    pub(super) fn read(&self, event: ProducerEvent, outcomes: &mut Vec<DeliveryOutcome>) {
        match event {
            ProducerEvent::Delivered => self.delivered(outcomes),
            ProducerEvent::Error { code, fatal, text } => telling::error(&self.publisher, code, fatal, text),
            ProducerEvent::Log { level, facility, text } => crate::poller::log(level, &facility, &text),
            ProducerEvent::Statistics(raw) => telling::statistics(&self.publisher, self.room.used(), &raw),
            ProducerEvent::Other => {}
        }
    }

    fn delivered(&self, outcomes: &mut Vec<DeliveryOutcome>) {
        let ended = outcomes.iter().filter(|outcome| !outcome.cell.has_callback()).count();
        self.room.leave(ended);
        let mut forgotten = Vec::with_capacity(outcomes.len());
        for mut outcome in outcomes.drain(..) {
            let result = match outcome.code {
                code::NO_ERROR => Ok(DeliveryReport {
                    partition: outcome.partition,
                    offset: outcome.offset,
                    timestamp_ms: outcome.timestamp_ms,
                }),
                number => {
                    self.losses.add(number, &outcome.cell, outcome.partition);
                    Err(number)
                }
            };
            if self.publisher.wants_jobs() {
                telling::ended(&self.publisher, &outcome.cell, outcome.partition, result);
            }
            if Cell::is_forgotten(&mut outcome.cell) {
                forgotten.push(outcome.cell);
            } else {
                self.notify(&outcome.cell, result);
            }
        }
        self.shelf.put(&mut forgotten);
        self.room.told(ended);
    }

    /// Ends a record's way that took its room.
    fn complete(&self, cell: &Cell, outcome: Outcome) {
        if self.publisher.wants_jobs() {
            telling::ended(&self.publisher, cell, outcome.map_or(-1, |report| report.partition), outcome);
        }
        let ended = usize::from(!cell.has_callback());
        self.room.leave(ended);
        self.notify(cell, outcome);
        self.room.told(ended);
    }

    /// Ends a record's way. With a callback it counts on until that has returned.
    fn notify(&self, cell: &Cell, outcome: Outcome) {
        for hook in cell.complete(outcome) {
            match hook {
                Hook::Callback(callback) => {
                    if !self.callbacks.call((callback, cell.result(outcome))) {
                        self.room.give(1);
                    }
                }
                Hook::Notice(notice) => {
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(notice)).is_err() {
                        tracing::error!("a notice of a delivery panicked");
                    }
                }
            }
        }
    }
}
