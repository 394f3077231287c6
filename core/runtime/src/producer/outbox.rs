//! The records of one producer that are on their way: sent by any thread, completed by the thread that serves all producers.
//!
//! Owned by the producer and by that thread. Its lock is read to send and written to meet a new topic and to close; nothing
//! that waits happens under it.

use super::callbacks::Callbacks;
use super::delivery::{Delivery, DeliveryReport, Hook, OnDelivery, Outcome};
use super::held::Holder;
use super::losses::Losses;
use super::lot::{Lot, Pile};
use super::partitioner::{self, Counts};
use super::record::Record;
use super::recorder::Recorder;
use super::room::Room;
use super::service::Place;
use super::{ProducerHooks, telling};
use crate::config::{self, ProducerConfig};
use crate::encryption;
use crate::event::Publisher;
use crate::lock::RwLock;
use crate::native::{DeliveryOutcome, NativeProducer, NativeTopic, Outgoing, ProducerEvent, code, fork_epoch, kind_of};
use crate::output;
use crate::shared::forked;
use crate::{Error, ErrorKind, Result};
use karafka_encryption::Recipient;
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
    /// Records stay, until somebody takes them out.
    Holder(Arc<Holder>),
}

pub(super) struct Topic {
    pub(super) native: NativeTopic,
    pub(super) pile: Pile,
}

pub(super) struct Outbox {
    pub(super) config: ProducerConfig,
    pub(super) hooks: ProducerHooks,
    pub(super) room: Arc<Room>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) losses: Losses,
    epoch: u32,
    pub(super) target: RwLock<Option<Target>>,
    pub(super) closing: AtomicBool,
    counts: Counts,
    callbacks: Callbacks,
    /// For whom payloads are encrypted.
    pub(super) recipient: Option<Recipient>,
}

enum Refused {
    Full(Option<Delivery>),
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

    /// Ends sending.
    pub(super) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
        // Whoever is sending right now has looked before; it is waited for here.
        drop(self.target.write());
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
            Some(Target::Holder(_)) => {
                let message =
                    "the records of this transaction are held back until its block has returned; ask another producer";
                Err(Error::new(ErrorKind::Unsupported, operation, message))
            }
            None => Err(Error::new(ErrorKind::Stopped, operation, "the producer is closed")),
        }
    }

    pub(super) fn recorder(&self, operation: &'static str) -> Result<Arc<Recorder>> {
        self.owns(operation)?;
        match &*self.target.read() {
            Some(Target::Recorder(recorder)) => Ok(Arc::clone(recorder)),
            Some(Target::Kafka { .. } | Target::Holder(_)) => {
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

    /// What holds its records back, if it does.
    pub(super) fn holder(&self) -> Option<Arc<Holder>> {
        match &*self.target.read() {
            Some(Target::Holder(holder)) => Some(Arc::clone(holder)),
            _ => None,
        }
    }

    /// Whether sending a record to this topic first asks a broker how many partitions there are.
    pub(super) fn must_look_up(&self, topic: &str) -> bool {
        !self.counts.is_known(topic) && self.holder().is_none()
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
        let (mut deadline, mut slot) = (None, None);
        loop {
            let used = self.room.occupied();
            let refused = if self.room.take() {
                match self.hand_over(record, slot.take(), &mut hook) {
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
                Refused::Full(slot.take())
            };
            match refused {
                Refused::Error(error) => return Err(error),
                Refused::Full(kept) => slot = kept,
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            if !patience.is_zero() {
                self.wait_for_room(used, deadline);
            }
            if patience.is_zero() || Instant::now() >= deadline {
                slot.inspect(Delivery::abandon);
                return Err(self.full(record, patience));
            }
        }
    }

    /// Waits until fewer are on their way than there were, or soon, since librdkafka counts bytes too.
    pub(super) fn wait_for_room(&self, used: usize, deadline: Instant) {
        let soon = Instant::now() + Duration::from_millis(100);
        self.room.wait_below(used.max(1), Some(soon.min(deadline)));
    }

    pub(super) fn full(&self, record: &Record<'_>, patience: Duration) -> Error {
        let used = self.room.occupied();
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
        if self.holder().is_some() {
            // Whoever sends it asks.
            return Ok(None);
        }
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
        slot: Option<Delivery>,
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
                    Target::Holder(holder) => return hold(holder, record, hook.take()).map_err(Refused::Error),
                };
                if let Some(topic) = topics.get(record.topic) {
                    let slot = slot.unwrap_or_else(|| topic.pile.take(record.label, hook.take()));
                    return self.send_to(client, topic, record, slot);
                }
                Arc::clone(client)
            };
            self.meet(&unacquainted, record.topic).map_err(Refused::Error)?;
        }
    }

    fn send_to(
        &self,
        client: &NativeProducer,
        topic: &Topic,
        record: &Record<'_>,
        delivery: Delivery,
    ) -> std::result::Result<Delivery, Refused> {
        let outgoing = Outgoing {
            partition: record.partition,
            key: record.key,
            payload: record.payload,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
        };
        let Err(error) = client.send(&topic.native, &outgoing, delivery.clone()) else { return Ok(delivery) };
        if error.kafka() == Some(code::QUEUE_FULL) {
            return Err(Refused::Full(Some(delivery)));
        }
        delivery.abandon();
        Err(Refused::Error(self.why(client, record, error)))
    }

    pub(super) fn why(&self, client: &NativeProducer, record: &Record<'_>, error: Error) -> Error {
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
    pub(super) fn meet(&self, client: &NativeProducer, name: &str) -> Result<()> {
        config::validate_topic_name(name)?;
        let topic = Topic { native: client.topic(name)?, pile: Pile::new(Arc::from(name)) };
        if let Some(Target::Kafka { topics, .. }) = &mut *self.target.write() {
            topics.entry(Box::from(name)).or_insert(topic);
        }
        Ok(())
    }

    fn record(&self, recorder: &Recorder, record: &Record<'_>, hook: Option<Hook>) -> Result<Delivery> {
        config::validate_topic_name(record.topic)?;
        let count = recorder.partitions();
        let outcome = recorder.keep(record, |key| self.counts.hash(key, count))?;
        let delivery = Lot::alone(record.topic, record.label, hook);
        self.complete(&delivery, outcome);
        Ok(delivery)
    }

    /// Reads what the client tells next, if there is something. Called by the thread that serves all producers.
    pub(super) fn read(&self, client: &NativeProducer, outcomes: &mut Vec<DeliveryOutcome>) -> bool {
        let mut ended = 0;
        let event = client.event(outcomes, |outcomes| ended += self.delivered(outcomes));
        match event {
            None => return false,
            // Only now has librdkafka room for others.
            Some(ProducerEvent::Delivered) => self.room.told(ended),
            Some(ProducerEvent::Error { code, fatal, text }) => telling::error(&self.publisher, code, fatal, text),
            Some(ProducerEvent::Log { level, facility, text }) => crate::poller::log(level, &facility, &text),
            Some(ProducerEvent::Statistics(raw)) => telling::statistics(&self.publisher, self.room.used(), &raw),
            Some(ProducerEvent::Other) => {}
        }
        true
    }

    /// Ends the way of some records; `told` is to follow for as many as it says.
    fn delivered(&self, outcomes: &mut Vec<DeliveryOutcome>) -> usize {
        let ended = outcomes.iter().filter(|outcome| !outcome.delivery.has_callback()).count();
        self.room.leave(ended);
        let wants_jobs = self.publisher.wants_jobs();
        for DeliveryOutcome { delivery, partition, offset, timestamp_ms, code } in outcomes.drain(..) {
            let result = match code {
                code::NO_ERROR => Ok(DeliveryReport { partition, offset, timestamp_ms }),
                number => {
                    self.losses.add(number, &delivery, partition);
                    Err(number)
                }
            };
            if wants_jobs {
                telling::ended(&self.publisher, &delivery, partition, result);
            }
            self.notify(&delivery, result);
        }
        ended
    }

    /// Ends a record's way that took its room.
    pub(super) fn complete(&self, delivery: &Delivery, outcome: Outcome) {
        if self.publisher.wants_jobs() {
            telling::ended(&self.publisher, delivery, outcome.map_or(-1, |report| report.partition), outcome);
        }
        let ended = usize::from(!delivery.has_callback());
        self.room.leave(ended);
        self.notify(delivery, outcome);
        self.room.told(ended);
    }

    /// Ends a record's way. With a callback it counts on until that has returned.
    fn notify(&self, delivery: &Delivery, outcome: Outcome) {
        for hook in delivery.end(outcome) {
            match hook {
                Hook::Waiter(thread) => thread.unpark(),
                Hook::Callback(callback) => {
                    if !self.callbacks.call((callback, delivery.result(outcome))) {
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

fn hold(holder: &Holder, record: &Record<'_>, hook: Option<Hook>) -> Result<Delivery> {
    config::validate_topic_name(record.topic)?;
    let delivery = Lot::alone(record.topic, record.label, hook);
    let (lot, number) = delivery.place();
    lot.hold(number);
    holder.keep(record, delivery.clone())?;
    Ok(delivery)
}
