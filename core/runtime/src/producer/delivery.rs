//! What becomes of a record: the handle that waits for it, and the report.
//!
//! A handle is made by the call that sends the record, waited for on any thread, and completed once, by the thread that reads
//! all producers' reports. What user code is to be told goes on to a thread of its producer's.

use super::lot::Lot;
use crate::native::{code, describe, kind_of};
use crate::{Error, ErrorKind, Result};
use std::cell::Cell;
use std::sync::Arc;
use std::thread::{self, Thread};
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

/// Called once when a record was delivered or given up, on the producer's thread for callbacks, one after another. A slow one
/// delays the others of its producer, and nothing else. Waiting for deliveries inside is refused.
pub type OnDelivery = Box<dyn FnOnce(Result<DeliveryReport>) + Send>;

/// Wakes somebody, on the thread that completes deliveries: must not block and is no place for user code.
pub(super) type Notice = Box<dyn FnOnce() + Send>;

pub(super) type Outcome = std::result::Result<DeliveryReport, i32>;

/// Who is told of the end of a record.
pub(super) enum Hook {
    Callback(OnDelivery),
    Notice(Notice),
    Waiter(Thread),
}

/// A record on its way: wait for it, or let it go. A handle that is kept keeps some kilobytes, those of its neighbours too.
#[derive(Clone)]
pub struct Delivery {
    lot: Arc<Lot>,
    number: u8,
}

impl Delivery {
    pub(crate) fn of(lot: Arc<Lot>, number: u8) -> Self {
        Self { lot, number }
    }

    /// The record's lot, and its number in it.
    pub(super) fn place(&self) -> (&Lot, u8) {
        (&self.lot, self.number)
    }

    pub(crate) fn into_place(self) -> (Arc<Lot>, u8) {
        (self.lot, self.number)
    }

    pub(super) fn topic_name(&self) -> &Arc<str> {
        self.lot.topic()
    }

    /// Whether the record counts as being on its way until a callback has returned.
    pub(super) fn has_callback(&self) -> bool {
        self.lot.has_callback(self.number)
    }

    /// Ends the record's way. What is to be called is returned.
    pub(super) fn end(&self, outcome: Outcome) -> Vec<Hook> {
        self.lot.end(self.number, outcome)
    }

    /// The record was never sent: nobody is told.
    pub(super) fn abandon(&self) {
        self.lot.forget(self.number, |_| true);
    }

    pub(super) fn result(&self, outcome: Outcome) -> Result<DeliveryReport> {
        outcome.map_err(|number| {
            let (kind, text) = match number {
                code::PURGED_IN_QUEUE => {
                    (ErrorKind::Stopped, "the producer was closed before the record was sent".to_owned())
                }
                code::PURGED_IN_FLIGHT => {
                    let text = "the producer was closed before the record was acknowledged; it may have arrived";
                    (ErrorKind::Stopped, text.to_owned())
                }
                number => (kind_of(number), describe(number)),
            };
            let mut error = Error::new(kind, "deliver", text).kafka_code(number).with("topic", self.topic());
            if let Some(label) = self.label() {
                error = error.with("label", label);
            }
            error
        })
    }

    /// Waits until the record was acknowledged or given up.
    ///
    /// # Errors
    /// `Timeout` when neither happened in time (the record may still be delivered); else why it was given up. `Stopped` inside a
    /// delivery callback. `Transaction` where the record is held back until its block has returned.
    pub fn wait(&self, timeout: Duration) -> Result<DeliveryReport> {
        if let Some(outcome) = self.outcome() {
            return outcome;
        }
        refuse_inside_callback("wait for a delivery")?;
        if self.lot.is_held(self.number) {
            let message =
                "the record is sent when the block of its transaction has returned: wait for it behind the block";
            return Err(Error::new(ErrorKind::Transaction, "deliver", message).with("topic", self.topic()));
        }
        let deadline = Instant::now().checked_add(timeout);
        let own = thread::current();
        // An end that came meanwhile is seen below.
        self.lot.hear(self.number, Hook::Waiter(own.clone()));
        loop {
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            let Some(deadline) = deadline else {
                thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.lot.forget(self.number, |hook| matches!(hook, Hook::Waiter(thread) if thread.id() == own.id()));
                return self.outcome().unwrap_or_else(|| Err(self.late(timeout)));
            }
            thread::park_timeout(left);
        }
    }

    fn late(&self, timeout: Duration) -> Error {
        let message = format!("no acknowledgement within {timeout:?}; the record may still be delivered");
        Error::new(ErrorKind::Timeout, "deliver", message).with("topic", self.topic()).retriable()
    }

    /// The same as it was reported.
    pub(super) fn reported(&self) -> Option<Outcome> {
        self.lot.outcome(self.number)
    }

    /// What became of the record, if that is known already.
    pub fn outcome(&self) -> Option<Result<DeliveryReport>> {
        self.lot.outcome(self.number).map(|outcome| self.result(outcome))
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.lot.topic()
    }

    /// The record's label.
    pub fn label(&self) -> Option<&str> {
        self.lot.label(self.number)
    }

    /// Calls `notice` once when the record has ended, now if it has already. For bindings: it runs on the thread that completes
    /// all deliveries, must not block, and must not run user code.
    #[doc(hidden)]
    pub fn notify(&self, notice: impl FnOnce() + Send + 'static) {
        if let Some(Hook::Notice(notice)) = self.lot.hear(self.number, Hook::Notice(Box::new(notice))) {
            notice();
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("topic", &self.topic()).finish_non_exhaustive()
    }
}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread is one of those that call delivery callbacks.
pub(super) fn enter_callbacks() {
    IN_CALLBACK.set(true);
}

pub(super) fn is_inside_callback() -> bool {
    IN_CALLBACK.get()
}

/// A delivery callback would wait for what only its own return lets happen.
pub(super) fn refuse_inside_callback(operation: &'static str) -> Result<()> {
    if is_inside_callback() {
        let message = "this waits for deliveries and cannot be called in a delivery callback";
        return Err(Error::new(ErrorKind::Stopped, operation, message));
    }
    Ok(())
}
