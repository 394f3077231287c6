//! Producing: records in, delivery reports out.
//!
//! Sending is called from any thread and copies the record into librdkafka's queue. One thread of the producer's own sleeps
//! until deliveries are reported, and completes their handles: user code never runs on librdkafka's threads.

use crate::config::{self, ProducerConfig};
use crate::embedded;
use crate::message::Header;
use crate::native::{DeliveryOutcome, NativeProducer, Outgoing, ProducerEvent, code, describe, kind_of};
use crate::shared::same_process;
use crate::wake::{Ready, Waker};
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A record to produce. Key, payload and headers are copied by the call that sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition; `None` lets the partitioner choose by the key (murmur2, as Java's producer does).
    pub partition: Option<i32>,
    /// The key; `None` for no key, which is not the same as an empty one.
    pub key: Option<&'a [u8]>,
    /// The payload; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in their order; names may repeat.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since 1970-01-01 UTC; `None` for now.
    pub timestamp_ms: Option<i64>,
}

/// Where a record was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The partition's number.
    pub partition: i32,
    /// The record's offset; −1 when the broker did not tell (no acknowledgement wanted).
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970-01-01 UTC; −1 when unknown.
    pub timestamp_ms: i64,
}

/// Called once when a record was delivered or given up, on the producer's own thread: keep it short.
pub type OnDelivery = Box<dyn FnOnce(Result<DeliveryReport>) + Send>;

#[derive(Clone)]
struct Failed {
    code: i32,
    topic: Arc<str>,
}

impl Failed {
    fn error(&self) -> Error {
        let error = Error::new(kind_of(self.code), "deliver", describe(self.code)).kafka_code(self.code);
        error.with("topic", &self.topic)
    }
}

#[derive(Default)]
struct Cell {
    outcome: Mutex<Option<std::result::Result<DeliveryReport, Failed>>>,
    changed: Condvar,
}

/// A record on its way: wait for it, or let it go.
#[derive(Clone)]
pub struct Delivery {
    cell: Arc<Cell>,
    topic: Arc<str>,
}

impl Delivery {
    /// Waits until the record was acknowledged or given up.
    ///
    /// # Errors
    /// `Timeout` when neither happened in time (the record may still be delivered); else why it was given up.
    pub fn wait(&self, timeout: Duration) -> Result<DeliveryReport> {
        let deadline = Instant::now() + timeout;
        let mut outcome = self.cell.outcome.lock();
        loop {
            match &*outcome {
                Some(Ok(report)) => return Ok(*report),
                Some(Err(failed)) => return Err(failed.error()),
                None => {}
            }
            if self.cell.changed.wait_until(&mut outcome, deadline).timed_out() && outcome.is_none() {
                let message = format!("no acknowledgement within {timeout:?}; the record may still be delivered");
                return Err(Error::new(ErrorKind::Timeout, "deliver", message).with("topic", &self.topic).retriable());
            }
        }
    }

    /// What became of the record, if that is known already.
    pub fn outcome(&self) -> Option<Result<DeliveryReport>> {
        self.cell.outcome.lock().as_ref().map(|outcome| outcome.clone().map_err(|failed| failed.error()))
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("topic", &self.topic).finish_non_exhaustive()
    }
}

enum Waiting {
    Cell(Arc<Cell>, Arc<str>),
    Callback(OnDelivery, Arc<str>),
}

struct Shared {
    config: ProducerConfig,
    process: u32,
    // `None` once closed. In a forked child the client is leaked: its threads do not exist there.
    client: Mutex<Option<Arc<NativeProducer>>>,
    waiting: Mutex<HashMap<u64, Waiting>>,
    room: Condvar,
    next_ticket: AtomicU64,
    closing: AtomicBool,
    waker: Arc<Waker>,
}

/// A producer; clones are handles of the same one. Closes with its last handle.
#[derive(Clone)]
pub struct Producer(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        config.validate()?;
        let mut settings = config.client_settings();
        settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&config.bootstrap_servers)?);
        settings.insert("log.queue".to_owned(), "true".to_owned());
        let settings: Vec<_> = settings.into_iter().collect();
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker().clone()));
        let client = Arc::new(NativeProducer::new(&settings, Ready::new(0, Arc::clone(&waker)))?);
        let shared = Arc::new(Shared {
            config,
            process: std::process::id(),
            client: Mutex::new(Some(Arc::clone(&client))),
            waiting: Mutex::new(HashMap::new()),
            room: Condvar::new(),
            next_ticket: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            waker,
        });
        let own = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("karafka-produce".to_owned()).spawn(move || own.serve(&client, &parker));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Internal, "create a producer", "the system gave no thread").caused_by(error)
        })?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Sends a record and returns at once. When the local queue is full, waits for room until `queue_full_timeout`.
    ///
    /// # Errors
    /// `QueueFull` when there was no room in time, `Config` for a record that can never be sent, `Stopped` after closing,
    /// `Forked` in a child process, `Fenced` or another fatal error of the client.
    pub fn produce_async(&self, record: &Record<'_>) -> Result<Delivery> {
        let topic: Arc<str> = Arc::from(record.topic);
        let cell = Arc::new(Cell::default());
        let shared = &self.0.shared;
        shared.send(record, Waiting::Cell(Arc::clone(&cell), Arc::clone(&topic)), shared.config.queue_full_timeout)?;
        Ok(Delivery { cell, topic })
    }

    /// [`Self::produce_async`] with a callback instead of a handle.
    ///
    /// # Errors
    /// As [`Self::produce_async`]; the callback is not called then.
    pub fn produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        let shared = &self.0.shared;
        let waiting = Waiting::Callback(on_delivery, Arc::from(record.topic));
        shared.send(record, waiting, shared.config.queue_full_timeout)
    }

    /// [`Self::produce_with`] that never waits, for callers that hold an interpreter's lock.
    ///
    /// # Errors
    /// As [`Self::produce_with`], with `QueueFull` as soon as there is no room.
    pub fn try_produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        self.0.shared.send(record, Waiting::Callback(on_delivery, Arc::from(record.topic)), Duration::ZERO)
    }

    /// Sends a record and waits until it was acknowledged.
    ///
    /// # Errors
    /// As [`Self::produce_async`] and [`Delivery::wait`], with the producer's `delivery_timeout`.
    pub fn produce_sync(&self, record: &Record<'_>) -> Result<DeliveryReport> {
        let delivery = self.produce_async(record)?;
        // librdkafka gives a record up by itself; the margin only lets its own error arrive first.
        delivery.wait(self.0.shared.config.delivery_timeout + Duration::from_secs(5))
    }

    /// Sends many records, in order, and returns their handles at once.
    ///
    /// # Errors
    /// The first record's error that stopped it; records before it are on their way.
    pub fn produce_many_async(&self, records: &[Record<'_>]) -> Result<Vec<Delivery>> {
        records.iter().map(|record| self.produce_async(record)).collect()
    }

    /// Sends many records, in order, and waits for all of them.
    ///
    /// # Errors
    /// As [`Self::produce_sync`], for the first record that failed.
    pub fn produce_many_sync(&self, records: &[Record<'_>]) -> Result<Vec<DeliveryReport>> {
        let deliveries = self.produce_many_async(records)?;
        let patience = self.0.shared.config.delivery_timeout + Duration::from_secs(5);
        deliveries.iter().map(|delivery| delivery.wait(patience)).collect()
    }

    /// Waits until nothing is on its way any more. Returns how many records still are.
    ///
    /// # Errors
    /// `Forked` in a child process.
    pub fn flush(&self, timeout: Duration) -> Result<usize> {
        same_process(self.0.shared.process, "flush")?;
        let client = self.0.shared.client.lock().clone();
        if let Some(client) = client {
            client.hurry();
        }
        Ok(self.0.shared.wait_empty(timeout))
    }

    /// How many partitions a topic has, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        let client = self.0.shared.client.lock().clone();
        let Some(client) = client else {
            return Err(Error::new(ErrorKind::Stopped, "look a topic up", "the producer is closed"));
        };
        client.partition_count(topic, timeout_ms)
    }

    /// How many records are on their way.
    pub fn in_flight(&self) -> usize {
        self.0.shared.waiting.lock().len()
    }

    /// Waits for what is on its way until `close_timeout`, gives the rest up (each is reported), and ends.
    ///
    /// # Errors
    /// `Timeout` when records were given up, `Forked` in a child process. Closing twice is no error.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}

impl Handle {
    fn close(&self) -> Result<()> {
        same_process(self.shared.process, "close a producer")?;
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        self.shared.closing.store(true, Ordering::SeqCst);
        let client = self.shared.client.lock().take();
        let mut left = 0;
        if let Some(client) = client {
            client.hurry();
            left = self.shared.wait_empty(self.shared.config.close_timeout);
            if left > 0 {
                client.purge();
                self.shared.wait_empty(Duration::from_secs(2));
            }
        }
        self.shared.waker.wake();
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            return Err(Error::new(ErrorKind::Internal, "close a producer", "its thread panicked"));
        }
        if left > 0 {
            let message = format!("{left} records were not acknowledged in time and were given up; each was reported");
            return Err(Error::new(ErrorKind::Timeout, "close a producer", message));
        }
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.shared.process != std::process::id() {
            // The client's threads stayed in the parent: touching it here would hang.
            std::mem::forget(self.shared.client.lock().take());
            std::mem::forget(self.thread.lock().take());
            return;
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a producer closed with losses");
        }
    }
}

impl Shared {
    fn send(&self, record: &Record<'_>, waiting: Waiting, patience: Duration) -> Result<()> {
        same_process(self.process, "produce")?;
        self.check(record)?;
        let client = self.client.lock().clone();
        let Some(client) = client.filter(|_| !self.closing.load(Ordering::SeqCst)) else {
            return Err(Error::new(ErrorKind::Stopped, "produce", "the producer is closed").with("topic", record.topic));
        };
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(ticket, waiting);
        let outgoing = Outgoing {
            topic: record.topic,
            partition: record.partition,
            key: record.key,
            payload: record.payload,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms,
        };
        let deadline = Instant::now() + patience;
        loop {
            let Err(error) = client.send(&outgoing, ticket) else { return Ok(()) };
            let full = error.kafka() == Some(code::QUEUE_FULL);
            if full && !patience.is_zero() {
                let mut waiting = self.waiting.lock();
                // Deliveries make room and say so.
                if !self.room.wait_until(&mut waiting, deadline).timed_out() || Instant::now() < deadline {
                    continue;
                }
            }
            self.waiting.lock().remove(&ticket);
            if full {
                let message = format!("the local queue stayed full for {patience:?}; brokers are slow or away");
                let error = Error::new(ErrorKind::QueueFull, "produce", message).kafka_code(code::QUEUE_FULL);
                return Err(error.with("topic", record.topic).retriable());
            }
            return Err(match client.fatal_error() {
                Some((number, text)) => {
                    Error::new(kind_of(number), "produce", text).kafka_code(number).with("topic", record.topic).fatal()
                }
                None => error,
            });
        }
    }

    fn check(&self, record: &Record<'_>) -> Result<()> {
        config::validate_topic_name(record.topic)?;
        let refuse =
            |message: String| Err(Error::new(ErrorKind::Config, "produce", message).with("topic", record.topic));
        let size = record.payload.map_or(0, <[u8]>::len);
        let most = self.config.max_payload_bytes;
        if size as u64 > most {
            return refuse(format!("the payload has {size} bytes, more than max_payload_bytes ({most})"));
        }
        if let Some(partition) = record.partition.filter(|partition| *partition < 0) {
            return refuse(format!("partition {partition} does not exist: partitions are numbered from 0"));
        }
        if record.headers.iter().any(|header| header.name.contains(&0)) {
            return refuse("a header's name contains a NUL byte".to_owned());
        }
        if record.headers.len() > 10_000 {
            return refuse(format!("{} headers, more than 10000", record.headers.len()));
        }
        Ok(())
    }

    /// The producer's own thread.
    fn serve(&self, client: &NativeProducer, parker: &Parker) {
        loop {
            while self.waker.next_filled().is_some() {}
            if let Some(ready) = client.ready() {
                ready.lower();
            }
            while let Some(event) = client.event() {
                match event {
                    ProducerEvent::Delivered(outcomes) => self.delivered(outcomes),
                    ProducerEvent::Error { code: number, fatal, text } => {
                        tracing::warn!(number, fatal, text, "producer");
                    }
                    ProducerEvent::Log { level, facility, text } => crate::poller::log(level, &facility, &text),
                    ProducerEvent::Other => {}
                }
            }
            let ended = self.closing.load(Ordering::SeqCst) && self.client.lock().is_none();
            if ended && self.waiting.lock().is_empty() {
                return;
            }
            // While closing, what is waited for is bounded by the caller; look again soon.
            let deadline = ended.then(|| Instant::now() + Duration::from_millis(50));
            if ended && Arc::strong_count(&self.waker) == 0 {
                return;
            }
            match deadline {
                Some(deadline) => parker.park_deadline(deadline),
                None => parker.park(),
            }
        }
    }

    fn delivered(&self, outcomes: Vec<DeliveryOutcome>) {
        let mut ended = Vec::with_capacity(outcomes.len());
        {
            let mut waiting = self.waiting.lock();
            for outcome in outcomes {
                if let Some(entry) = waiting.remove(&outcome.ticket) {
                    ended.push((entry, outcome));
                }
            }
        }
        self.room.notify_all();
        for (entry, outcome) in ended {
            let report = DeliveryReport {
                partition: outcome.partition,
                offset: outcome.offset,
                timestamp_ms: outcome.timestamp_ms,
            };
            let (Waiting::Cell(_, topic) | Waiting::Callback(_, topic)) = &entry;
            let result = match outcome.code {
                code::NO_ERROR => Ok(report),
                number => Err(Failed { code: number, topic: Arc::clone(topic) }),
            };
            match entry {
                Waiting::Cell(cell, _) => {
                    *cell.outcome.lock() = Some(result);
                    cell.changed.notify_all();
                }
                Waiting::Callback(callback, _) => {
                    let result = result.map_err(|failed| failed.error());
                    let call = std::panic::AssertUnwindSafe(|| callback(result));
                    if std::panic::catch_unwind(call).is_err() {
                        tracing::error!("a delivery callback panicked");
                    }
                }
            }
        }
    }

    fn wait_empty(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.waiting.lock();
        while !waiting.is_empty() {
            if self.room.wait_until(&mut waiting, deadline).timed_out() {
                break;
            }
        }
        waiting.len()
    }
}
