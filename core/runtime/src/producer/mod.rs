//! Producing: records in, delivery reports out.
//!
//! Sending is called from any thread and copies the record into librdkafka's queue. One thread of the producer's own sleeps
//! until deliveries are reported, and completes their handles: user code never runs on librdkafka's threads.

mod delivery;
mod outbox;
mod record;

pub use delivery::{Delivery, DeliveryReport, OnDelivery};
pub use record::Record;

use crate::config::ProducerConfig;
use crate::embedded;
use crate::native::NativeProducer;
use crate::shared::same_process;
use crate::wake::{Ready, Waker};
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use delivery::{Cell, Waiting};
use outbox::Outbox;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A producer; clones are handles of the same one. Closes with its last handle.
#[derive(Clone)]
pub struct Producer(Arc<Handle>);

struct Handle {
    outbox: Arc<Outbox>,
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
        if config.transactional_id.is_some() {
            let message =
                "transactional_id is for a TransactionalProducer, all of whose records are parts of transactions";
            return Err(Error::new(ErrorKind::Config, "create a producer", message));
        }
        Self::open(config)
    }

    /// A producer with a configuration that was checked.
    pub(crate) fn open(config: ProducerConfig) -> Result<Self> {
        let mut settings = config.client_settings();
        settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&config.bootstrap_servers)?);
        settings.insert("log.queue".to_owned(), "true".to_owned());
        let settings: Vec<_> = settings.into_iter().collect();
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker().clone()));
        let client = Arc::new(NativeProducer::new(&settings, Ready::new(0, Arc::clone(&waker)))?);
        let outbox = Arc::new(Outbox {
            config,
            process: std::process::id(),
            client: Mutex::new(Some(Arc::clone(&client))),
            waiting: Mutex::new(HashMap::new()),
            room: Condvar::new(),
            next_ticket: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            waker,
        });
        let own = Arc::clone(&outbox);
        let thread =
            thread::Builder::new().name("karafka-produce".to_owned()).spawn(move || own.serve(&client, &parker));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Internal, "create a producer", "the system gave no thread").caused_by(error)
        })?;
        Ok(Self(Arc::new(Handle { outbox, thread: Mutex::new(Some(thread)) })))
    }

    /// Sends a record and returns at once. When the local queue is full, waits for room until `queue_full_timeout`.
    ///
    /// # Errors
    /// `QueueFull` when there was no room in time, `Config` for a record that can never be sent, `Stopped` after closing,
    /// `Forked` in a child process, `Fenced` or another fatal error of the client.
    pub fn produce_async(&self, record: &Record<'_>) -> Result<Delivery> {
        let topic: Arc<str> = Arc::from(record.topic);
        let cell = Arc::new(Cell::default());
        let outbox = &self.0.outbox;
        outbox.send(record, Waiting::Cell(Arc::clone(&cell), Arc::clone(&topic)), outbox.config.queue_full_timeout)?;
        Ok(Delivery { cell, topic })
    }

    /// [`Self::produce_async`] with a callback instead of a handle.
    ///
    /// # Errors
    /// As [`Self::produce_async`]; the callback is not called then.
    pub fn produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        let outbox = &self.0.outbox;
        let waiting = Waiting::Callback(on_delivery, Arc::from(record.topic));
        outbox.send(record, waiting, outbox.config.queue_full_timeout)
    }

    /// [`Self::produce_with`] that never waits, for callers that hold an interpreter's lock.
    ///
    /// # Errors
    /// As [`Self::produce_with`], with `QueueFull` as soon as there is no room.
    pub fn try_produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        self.0.outbox.send(record, Waiting::Callback(on_delivery, Arc::from(record.topic)), Duration::ZERO)
    }

    /// Sends a record and waits until it was acknowledged.
    ///
    /// # Errors
    /// As [`Self::produce_async`] and [`Delivery::wait`], with the producer's `delivery_timeout`.
    pub fn produce_sync(&self, record: &Record<'_>) -> Result<DeliveryReport> {
        let delivery = self.produce_async(record)?;
        // librdkafka gives a record up by itself; the margin only lets its own error arrive first.
        delivery.wait(self.0.outbox.config.delivery_timeout + Duration::from_secs(5))
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
        let patience = self.0.outbox.config.delivery_timeout + Duration::from_secs(5);
        deliveries.iter().map(|delivery| delivery.wait(patience)).collect()
    }

    /// Waits until nothing is on its way any more. Returns how many records still are.
    ///
    /// # Errors
    /// `Forked` in a child process.
    pub fn flush(&self, timeout: Duration) -> Result<usize> {
        same_process(self.0.outbox.process, "flush")?;
        let client = self.0.outbox.client.lock().clone();
        if let Some(client) = client {
            client.hurry();
        }
        Ok(self.0.outbox.wait_empty(timeout))
    }

    /// The client, for transactions.
    pub(crate) fn native(&self) -> Result<Arc<NativeProducer>> {
        let client = self.0.outbox.client.lock().clone();
        client.ok_or_else(|| Error::new(ErrorKind::Stopped, "use a producer", "the producer is closed"))
    }

    /// How many partitions a topic has, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        let client = self.0.outbox.client.lock().clone();
        let Some(client) = client else {
            return Err(Error::new(ErrorKind::Stopped, "look a topic up", "the producer is closed"));
        };
        client.partition_count(topic, timeout_ms)
    }

    /// How many records are on their way.
    pub fn in_flight(&self) -> usize {
        self.0.outbox.waiting.lock().len()
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
        same_process(self.outbox.process, "close a producer")?;
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        self.outbox.closing.store(true, Ordering::SeqCst);
        let client = self.outbox.client.lock().take();
        let mut left = 0;
        if let Some(client) = client {
            client.hurry();
            left = self.outbox.wait_empty(self.outbox.config.close_timeout);
            if left > 0 {
                client.purge();
                self.outbox.wait_empty(Duration::from_secs(2));
            }
        }
        self.outbox.waker.wake();
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
        if self.outbox.process != std::process::id() {
            // The client's threads stayed in the parent: touching it here would hang.
            std::mem::forget(self.outbox.client.lock().take());
            std::mem::forget(self.thread.lock().take());
            return;
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a producer closed with losses");
        }
    }
}
