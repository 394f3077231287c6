//! What becomes of a record: the handle that waits for it, and the report.
//!
//! A handle is made by the call that sends the record, waited for on any thread, and completed by the producer's thread, once.

use crate::native::{describe, kind_of};
use crate::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
pub(super) struct Failed {
    pub(super) code: i32,
    pub(super) topic: Arc<str>,
}

impl Failed {
    pub(super) fn error(&self) -> Error {
        let error = Error::new(kind_of(self.code), "deliver", describe(self.code)).kafka_code(self.code);
        error.with("topic", &self.topic)
    }
}

#[derive(Default)]
pub(super) struct Cell {
    pub(super) outcome: Mutex<Option<std::result::Result<DeliveryReport, Failed>>>,
    pub(super) changed: Condvar,
}

/// A record on its way: wait for it, or let it go.
#[derive(Clone)]
pub struct Delivery {
    pub(super) cell: Arc<Cell>,
    pub(super) topic: Arc<str>,
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

pub(super) enum Waiting {
    Cell(Arc<Cell>, Arc<str>),
    Callback(OnDelivery, Arc<str>),
}
