//! The records of a producer that are on their way: sent by any thread, completed by the producer's own.

use super::delivery::{DeliveryReport, Failed, Waiting};
use super::record::Record;
use crate::config::ProducerConfig;
use crate::native::{DeliveryOutcome, NativeProducer, Outgoing, ProducerEvent, code, kind_of};
use crate::shared::same_process;
use crate::wake::Waker;
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) struct Outbox {
    pub(super) config: ProducerConfig,
    pub(super) process: u32,
    // `None` once closed. In a forked child the client is leaked: its threads do not exist there.
    pub(super) client: Mutex<Option<Arc<NativeProducer>>>,
    pub(super) waiting: Mutex<HashMap<u64, Waiting>>,
    pub(super) room: Condvar,
    pub(super) next_ticket: AtomicU64,
    pub(super) closing: AtomicBool,
    pub(super) waker: Arc<Waker>,
}

impl Outbox {
    pub(super) fn send(&self, record: &Record<'_>, waiting: Waiting, patience: Duration) -> Result<()> {
        same_process(self.process, "produce")?;
        record.check(self.config.max_payload_bytes)?;
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

    /// The producer's own thread.
    pub(super) fn serve(&self, client: &NativeProducer, parker: &Parker) {
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

    pub(super) fn wait_empty(&self, timeout: Duration) -> usize {
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
