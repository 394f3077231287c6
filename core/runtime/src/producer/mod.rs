//! Producing: records in, delivery reports out.
//!
//! Sending is called from any thread and copies the record into librdkafka's queue. One thread of the process sleeps until
//! deliveries are reported, and completes their handles (`service`); delivery callbacks run on a thread of their producer's own
//! (`callbacks`): user code never runs on librdkafka's threads.

mod buffer;
mod callbacks;
mod closing;
mod deliveries;
mod delivery;
mod held;
mod losses;
mod lot;
mod many;
mod outbox;
mod partitioner;
mod record;
mod recorder;
mod room;
mod service;
mod telling;
mod variant;

pub use deliveries::Deliveries;
pub use delivery::{Delivery, DeliveryReport, OnDelivery};
pub(crate) use held::Kept;
pub(crate) use lot::Lot;
pub use partitioner::Partitioner;
pub use record::{OwnedRecord, Record};
pub use recorder::Recorded;

use crate::config::{ProducerConfig, Settings};
use crate::embedded;
use crate::event::{Event, Events, Publisher};
use crate::lock::Mutex;
use crate::native::NativeProducer;
use crate::{Error, ErrorKind, Result};
use buffer::Buffer;
use closing::Closing;
use delivery::{is_inside_callback, refuse_inside_callback};
use outbox::{Outbox, Target};
use recorder::Recorder;
use service::Place;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Changes or refuses a record before it is looked at and sent. Called on the thread that produces, in the order of the list;
/// its error is the call's.
pub type Middleware = Arc<dyn Fn(&mut OwnedRecord) -> Result<()> + Send + Sync>;

/// User code that a producer asks, all of it on the thread that produces.
#[derive(Clone, Default)]
pub struct ProducerHooks {
    /// Chooses partitions.
    pub partitioner: Option<Partitioner>,
    /// What every record goes through, first to last.
    pub middleware: Vec<Middleware>,
}

impl std::fmt::Debug for ProducerHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let middleware = self.middleware.len();
        f.debug_struct("ProducerHooks")
            .field("partitioner", &self.partitioner.is_some())
            .field("middleware", &middleware)
            .finish()
    }
}

/// librdkafka gives a record up by itself; the margin only lets its own error arrive first.
const MARGIN: Duration = Duration::from_secs(5);

/// How long the reports of records that were given up may take: librdkafka only counts them then.
const REPORTS: Duration = Duration::from_secs(10);

/// A producer; clones are handles of the same one. Closes with its last handle.
#[derive(Clone)]
pub struct Producer(Arc<Handle>);

struct Handle(Arc<Core>);

impl std::ops::Deref for Handle {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.0
    }
}

struct Core {
    outbox: Arc<Outbox>,
    buffer: Buffer,
    /// Producers with other settings, which live and end with this one.
    variants: Mutex<Vec<(Settings, Producer)>>,
    is_variant: bool,
    closing: Closing,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl Producer {
    /// Makes a producer. Connects in the background.
    ///
    /// # Errors
    /// `Config`, with every problem of the configuration.
    pub fn new(config: ProducerConfig) -> Result<Self> {
        Self::with_hooks(config, ProducerHooks::default())
    }

    /// Makes a producer that asks user code about its records.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_hooks(config: ProducerConfig, hooks: ProducerHooks) -> Result<Self> {
        Self::connected(config, hooks, None)
    }

    /// Makes a producer for tests: it sends nothing, keeps its records ([`Self::recorded`]) and acknowledges them at once. Every
    /// topic has `partitions` partitions. All else is as with brokers: checks, middleware, partitioner, callbacks, events.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn recording(config: ProducerConfig, hooks: ProducerHooks, partitions: usize) -> Result<Self> {
        validate(&config)?;
        let outbox = Arc::new(Outbox::new(config, hooks, Arc::default())?);
        outbox.open(Target::Recorder(Arc::new(Recorder::new(partitions))));
        Ok(Self::of(outbox, false))
    }

    fn connected(config: ProducerConfig, hooks: ProducerHooks, events: Option<Arc<Publisher>>) -> Result<Self> {
        validate(&config)?;
        Self::open_with(config, hooks, events)
    }

    /// A producer with a configuration that was checked.
    pub(crate) fn open(config: ProducerConfig) -> Result<Self> {
        Self::open_with(config, ProducerHooks::default(), None)
    }

    /// A variant's events go where its producer's go.
    fn open_with(config: ProducerConfig, hooks: ProducerHooks, events: Option<Arc<Publisher>>) -> Result<Self> {
        let (is_variant, publisher) = (events.is_some(), events.unwrap_or_default());
        let mut settings = config.client_settings();
        settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&config.bootstrap_servers)?);
        settings.insert("log.queue".to_owned(), "true".to_owned());
        let settings: Vec<_> = settings.into_iter().collect();
        let place = Place::take()?;
        let client = Arc::new(NativeProducer::new(&settings, place.ready())?);
        let outbox = Arc::new(Outbox::new(config, hooks, publisher)?);
        place.serve(Arc::clone(&client), Arc::clone(&outbox));
        outbox.open(Target::Kafka { topics: HashMap::new(), place, client });
        Ok(Self::of(outbox, is_variant))
    }

    fn of(outbox: Arc<Outbox>, is_variant: bool) -> Self {
        let core = Core {
            outbox,
            buffer: Buffer::default(),
            variants: Mutex::default(),
            is_variant,
            closing: Closing::default(),
        };
        Self(Arc::new(Handle(Arc::new(core))))
    }

    /// The options this producer was made with.
    pub fn config(&self) -> &ProducerConfig {
        &self.0.outbox.config
    }

    /// Sends a record and returns at once. When the local queue is full, waits for room until `queue_full_timeout`.
    ///
    /// # Errors
    /// `QueueFull` when there was no room in time, `Config` for a record that can never be sent, `Stopped` after closing,
    /// `Forked` in a child process, `Fenced` or another fatal error of the client; what middleware or partitioner answered.
    pub fn produce_async(&self, record: &Record<'_>) -> Result<Delivery> {
        let outbox = &self.0.outbox;
        outbox.send(record, None, outbox.config.queue_full_timeout)
    }

    /// [`Self::produce_async`] with a callback beside the handle.
    ///
    /// # Errors
    /// As [`Self::produce_async`]; the callback is not called then.
    pub fn produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<Delivery> {
        let outbox = &self.0.outbox;
        outbox.send(record, Some(on_delivery), outbox.config.queue_full_timeout)
    }

    /// [`Self::produce_async`] that never waits, for callers that hold an interpreter's lock; see also
    /// [`Self::partitions_unknown`].
    ///
    /// # Errors
    /// As [`Self::produce_async`], with `QueueFull` as soon as there is no room.
    pub fn try_produce(&self, record: &Record<'_>) -> Result<Delivery> {
        self.0.outbox.send(record, None, Duration::ZERO)
    }

    /// [`Self::try_produce`] with a callback beside the handle.
    ///
    /// # Errors
    /// As [`Self::try_produce`]; the callback is not called then.
    pub fn try_produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<Delivery> {
        self.0.outbox.send(record, Some(on_delivery), Duration::ZERO)
    }

    /// Sends a record and waits until it was acknowledged.
    ///
    /// # Errors
    /// As [`Self::produce_async`] and [`Delivery::wait`], with the producer's `delivery_timeout`.
    pub fn produce_sync(&self, record: &Record<'_>) -> Result<DeliveryReport> {
        refuse_inside_callback("produce")?;
        self.produce_async(record)?.wait(self.0.outbox.config.delivery_timeout + MARGIN)
    }

    /// Sends a record that is sealed for another topic than this one, if at all, and waits until it was acknowledged.
    pub(crate) fn produce_sealed_sync(&self, record: &Record<'_>) -> Result<DeliveryReport> {
        refuse_inside_callback("produce")?;
        let outbox = &self.0.outbox;
        let delivery = outbox.send_sealed(record, outbox.config.queue_full_timeout)?;
        delivery.wait(outbox.config.delivery_timeout + MARGIN)
    }

    /// Calls with a record as it would leave this process: sealed for its topic where the producer encrypts.
    pub(crate) fn sealed<T>(&self, record: &Record<'_>, send: impl FnOnce(&Record<'_>) -> Result<T>) -> Result<T> {
        self.0.outbox.sealed(record, send)
    }

    /// Sends many records, in order, and returns their handles at once.
    ///
    /// # Errors
    /// The first record's error that stopped it, with `sent` in its context: so many before it are on their way.
    pub fn produce_many_async(&self, records: &[Record<'_>]) -> Result<Deliveries> {
        let mut sent = Deliveries::default();
        let patience = self.0.outbox.config.queue_full_timeout;
        self.0.outbox.send_all(records, &mut sent, patience).map_err(|error| error.with("sent", sent.len()))?;
        Ok(sent)
    }

    /// [`Self::produce_many_async`] that never waits, for callers that hold an interpreter's lock: handles of records that were
    /// sent are added to `sent`, also when there is an error.
    ///
    /// # Errors
    /// As [`Self::produce_many_async`], with `QueueFull` as soon as there is no room.
    #[doc(hidden)]
    pub fn try_produce_many(&self, records: &[Record<'_>], sent: &mut Deliveries) -> Result<()> {
        self.0.outbox.send_all(records, sent, Duration::ZERO)
    }

    /// Sends many records, in order, and waits for all of them.
    ///
    /// # Errors
    /// As [`Self::produce_many_async`]; then of the first record that failed, after all have ended.
    pub fn produce_many_sync(&self, records: &[Record<'_>]) -> Result<Vec<DeliveryReport>> {
        refuse_inside_callback("produce")?;
        self.wait_all(&self.produce_many_async(records)?)
    }

    fn wait_all(&self, deliveries: &Deliveries) -> Result<Vec<DeliveryReport>> {
        deliveries.wait(self.0.outbox.config.delivery_timeout + MARGIN)
    }

    /// Sends what lingers, and waits until nothing is on its way any more. Returns how many records still are. What is in the
    /// buffer stays there.
    ///
    /// # Errors
    /// `Stopped` inside a delivery callback, `Forked` in a child process.
    pub fn flush(&self, timeout: Duration) -> Result<usize> {
        let outbox = &self.0.outbox;
        outbox.owns("flush")?;
        refuse_inside_callback("flush")?;
        let deadline = Instant::now().checked_add(timeout);
        if outbox.room.used() > 0
            && let Ok(client) = outbox.client("flush")
        {
            client.flush(timeout);
        }
        outbox.room.wait_below(1, deadline);
        Ok(outbox.room.used())
    }

    /// How many records brokers have refused, or had not taken in time.
    pub(crate) fn refused(&self) -> u64 {
        self.0.outbox.losses.refused()
    }

    /// How many partitions a topic has, asked from a broker; an answer is kept for a minute. Waits at most `timeout`.
    ///
    /// # Errors
    /// `Broker` for a topic that is not there, `Timeout`, `Stopped`, `Forked`.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<usize> {
        self.0.outbox.owns("look a topic up")?;
        self.0.outbox.partitions(topic, timeout)
    }

    /// Whether [`Self::partitions`], and so a record with a partition key or for a partitioner, would ask a broker now.
    pub fn partitions_unknown(&self, topic: &str) -> bool {
        self.0.outbox.is_own() && self.0.outbox.must_look_up(topic)
    }

    /// The client, for transactions.
    pub(crate) fn native(&self) -> Result<Arc<NativeProducer>> {
        self.0.outbox.client("use a producer")
    }

    /// How many partitions a topic has, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        self.0.outbox.client("look a topic up")?.partition_count(topic, timeout_ms)
    }

    /// How many records are on their way: those whose callback has not returned among them, those in the buffer not.
    pub fn in_flight(&self) -> usize {
        self.0.outbox.room.used()
    }

    /// A subscription of all events but those of single records; see docs/events.md. In a child process it has ended.
    pub fn subscribe(&self) -> Events {
        self.0.outbox.publisher.subscribe()
    }

    /// A subscription of some events, by name or as `message.*`.
    ///
    /// # Errors
    /// `Config` for a name that no event has, `Forked` in a child process.
    pub fn subscribe_to(&self, names: &[impl AsRef<str>]) -> Result<Events> {
        self.0.outbox.publisher.subscribe_to(names)
    }

    /// Flushes the buffer, waits for what is on its way until `close_timeout`, gives the rest up (each is reported), and ends.
    ///
    /// # Errors
    /// `Timeout` when records were given up: it names how many of which partitions. `Stopped` inside a delivery callback,
    /// `Forked` in a child process. Closing twice is no error; a call beside one that closes waits for it, and is told the same,
    /// or `Timeout` when that one takes longer still.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}

impl Core {
    fn close(&self) -> Result<()> {
        let outbox = &self.outbox;
        outbox.owns("close a producer")?;
        refuse_inside_callback("close a producer")?;
        let deadline = Instant::now().checked_add(outbox.config.close_timeout);
        self.closing.once(deadline.and_then(|deadline| deadline.checked_add(REPORTS)), || self.end(deadline))
    }

    fn end(&self, deadline: Option<Instant>) -> Result<()> {
        let outbox = &self.outbox;
        let flushed = self.buffer.flush(|record| {
            record.lend(|record| outbox.send(record, None, outbox.config.queue_full_timeout).map(drop))
        });
        outbox.begin_closing();
        // Nobody adds one any more.
        let variants = std::mem::take(&mut *self.variants.lock());
        let closed: Vec<Result<()>> = variants.iter().map(|(_, variant)| variant.close()).collect();
        let outcome = closed.into_iter().collect();
        let client = outbox.client("close a producer").ok();
        if let Some(client) = &client {
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            client.flush(left);
            if !outbox.room.wait_below(1, deadline) {
                client.purge();
                outbox.room.wait_below(1, Some(Instant::now() + REPORTS));
            }
        }
        drop(client);
        outbox.end();
        if !self.is_variant {
            outbox.publisher.publish(&Event::ProducerClosed { name: outbox.config.client_id.clone() });
            outbox.publisher.close();
        }
        let (unsent, lost) = (self.buffer.clear(), outbox.losses.count().max(outbox.room.used() as u64));
        if lost > 0 {
            let patience = outbox.config.close_timeout;
            let places = outbox.losses.text();
            let message = format!(
                "{lost} records were not acknowledged within {patience:?} and were given up, each with a report: {places}"
            );
            return Err(Error::new(ErrorKind::Timeout, "close a producer", message));
        }
        if unsent > 0
            && let Err(error) = flushed
        {
            let message = format!("{unsent} records of the buffer could not be sent and are lost");
            return Err(Error::new(error.kind(), "close a producer", message).caused_by(error));
        }
        outcome
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let core = Arc::clone(&self.0);
        if !core.outbox.is_own() {
            // The client's threads stayed in the parent: touching it here would hang.
            std::mem::forget(core);
            return;
        }
        let close = move || {
            if let Err(error) = core.close() {
                tracing::warn!(%error, "a producer closed with losses");
            }
        };
        if !is_inside_callback() && !Place::is_own_thread() {
            close();
        } else if let Err(error) = thread::Builder::new().name("karafka-close".to_owned()).spawn(close) {
            // This thread cannot wait for what only it can do: the client stays.
            tracing::warn!(%error, "the system gave no thread to close a producer");
        }
    }
}

/// Checks the options of a producer that sends or records on its own.
fn validate(config: &ProducerConfig) -> Result<()> {
    config.validate()?;
    if config.transactional_id.is_some() {
        let message = "transactional_id is for a TransactionalProducer, all of whose records are parts of transactions";
        return Err(Error::new(ErrorKind::Config, "create a producer", message));
    }
    Ok(())
}
