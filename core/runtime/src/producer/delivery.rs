//! What becomes of a record: the handle that waits for it, and the report.
//!
//! A handle is made by the call that sends the record, waited for on any thread, and completed once, by the thread that reads
//! all producers' reports. What user code is to be told goes on to a thread of its producer's.

use crate::native::{code, describe, kind_of};
use crate::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell as ThreadCell;
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

/// Called once when a record was delivered or given up, on the producer's thread for callbacks, one after another. A slow one
/// delays the others of its producer, and nothing else. Waiting for deliveries inside is refused.
pub type OnDelivery = Box<dyn FnOnce(Result<DeliveryReport>) + Send>;

/// Wakes somebody, on the thread that completes deliveries: must not block and is no place for user code.
pub(super) type Notice = Box<dyn FnOnce() + Send>;

pub(super) type Outcome = std::result::Result<DeliveryReport, i32>;

/// Who is told of the end of a record, beside those who wait for it.
pub(super) enum Hook {
    Callback(OnDelivery),
    Notice(Notice),
}

enum State {
    OnItsWay(Vec<Hook>),
    Ended(Outcome),
}

/// What a record on its way and its handles share.
pub(crate) struct Cell {
    state: Mutex<State>,
    changed: Condvar,
    topic: Arc<str>,
    label: Option<Box<str>>,
    has_callback: bool,
}

impl Cell {
    pub(super) fn new(topic: Arc<str>, label: Option<&str>, hook: Option<Hook>) -> Self {
        let has_callback = matches!(hook, Some(Hook::Callback(_)));
        let state = Mutex::new(State::OnItsWay(hook.into_iter().collect()));
        Self { state, changed: Condvar::new(), topic, label: label.map(Box::from), has_callback }
    }

    /// The cell of the next record, made of one that nobody else holds.
    pub(super) fn renewed(mut cell: Arc<Self>, topic: &Arc<str>, label: Option<&str>, hook: Option<Hook>) -> Arc<Self> {
        let Some(own) = Arc::get_mut(&mut cell) else {
            return Arc::new(Self::new(Arc::clone(topic), label, hook));
        };
        own.has_callback = matches!(hook, Some(Hook::Callback(_)));
        *own.state.get_mut() = State::OnItsWay(hook.into_iter().collect());
        if !Arc::ptr_eq(&own.topic, topic) {
            own.topic = Arc::clone(topic);
        }
        own.label = label.map(Box::from);
        cell
    }

    /// Whether nobody waits for the record's end or is told of it: the caller holds the only reference.
    pub(super) fn is_forgotten(cell: &mut Arc<Self>) -> bool {
        let own = Arc::get_mut(cell);
        own.is_some_and(|own| matches!(own.state.get_mut(), State::OnItsWay(hooks) if hooks.is_empty()))
    }

    /// Whether the record counts as being on its way until a callback has returned.
    pub(super) fn has_callback(&self) -> bool {
        self.has_callback
    }

    pub(super) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(super) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Ends the record's way and wakes who waits. What is to be called is returned.
    pub(super) fn complete(&self, outcome: Outcome) -> Vec<Hook> {
        let before = std::mem::replace(&mut *self.state.lock(), State::Ended(outcome));
        self.changed.notify_all();
        match before {
            State::OnItsWay(hooks) => hooks,
            State::Ended(_) => Vec::new(),
        }
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
            let mut error = Error::new(kind, "deliver", text).kafka_code(number).with("topic", &self.topic);
            if let Some(label) = self.label() {
                error = error.with("label", label);
            }
            error
        })
    }
}

/// A record on its way: wait for it, or let it go.
#[derive(Clone)]
pub struct Delivery(pub(super) Arc<Cell>);

impl Delivery {
    /// Waits until the record was acknowledged or given up.
    ///
    /// # Errors
    /// `Timeout` when neither happened in time (the record may still be delivered); else why it was given up. `Stopped` inside a
    /// delivery callback.
    pub fn wait(&self, timeout: Duration) -> Result<DeliveryReport> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.0.state.lock();
        loop {
            if let State::Ended(outcome) = *state {
                return self.0.result(outcome);
            }
            refuse_inside_callback("wait for a delivery")?;
            let Some(deadline) = deadline else {
                self.0.changed.wait(&mut state);
                continue;
            };
            let is_late = self.0.changed.wait_until(&mut state, deadline).timed_out();
            if is_late && matches!(*state, State::OnItsWay(_)) {
                let message = format!("no acknowledgement within {timeout:?}; the record may still be delivered");
                let error = Error::new(ErrorKind::Timeout, "deliver", message).with("topic", &self.0.topic);
                return Err(error.retriable());
            }
        }
    }

    /// What became of the record, if that is known already.
    pub fn outcome(&self) -> Option<Result<DeliveryReport>> {
        match *self.0.state.lock() {
            State::OnItsWay(_) => None,
            State::Ended(outcome) => Some(self.0.result(outcome)),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The record's label.
    pub fn label(&self) -> Option<&str> {
        self.0.label()
    }

    /// Calls `notice` once when the record has ended, now if it has already. For bindings: it runs on the thread that completes
    /// all deliveries, must not block, and must not run user code.
    #[doc(hidden)]
    pub fn notify(&self, notice: impl FnOnce() + Send + 'static) {
        {
            let mut state = self.0.state.lock();
            if let State::OnItsWay(hooks) = &mut *state {
                hooks.push(Hook::Notice(Box::new(notice)));
                return;
            }
        }
        notice();
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("topic", &self.0.topic).finish_non_exhaustive()
    }
}

thread_local! {
    static IN_CALLBACK: ThreadCell<bool> = const { ThreadCell::new(false) };
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
