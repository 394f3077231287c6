//! What happens in an app, for whoever wants to know.
//!
//! Published by the poller, received on the subscriber's own thread from a bounded queue: a slow or failing subscriber
//! loses events (and is told how many), and harms nothing else. Nothing here carries payloads, keys or secrets. Errors that
//! nobody subscribed to go to the standard error stream, so that no app is silently idle.

use crate::{Error, Failure};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use crossbeam::select;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where an app is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Configured, nothing started.
    Initialized,
    /// Polling and handling.
    Running,
    /// No new calls of handlers; some still run.
    Quieting,
    /// No handler runs; partitions are kept; can be resumed.
    Quiet,
    /// Ending: handlers finish, offsets are committed, the groups are left.
    Stopping,
    /// Ended. An app does not start again.
    Stopped,
}

impl Phase {
    /// The phase's name, as in `app.running`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Running => "running",
            Self::Quieting => "quieting",
            Self::Quiet => "quiet",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Initialized,
            1 => Self::Running,
            2 => Self::Quieting,
            3 => Self::Quiet,
            4 => Self::Stopping,
            _ => Self::Stopped,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Initialized => 0,
            Self::Running => 1,
            Self::Quieting => 2,
            Self::Quiet => 3,
            Self::Stopping => 4,
            Self::Stopped => 5,
        }
    }
}

/// Where a record that was given up came from, and where its copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic that it was read from.
    pub topic: Arc<str>,
    /// The partition that it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// The topic of the copy.
    pub dead_letter_topic: Arc<str>,
    /// The partition of the copy.
    pub dead_letter_partition: i32,
    /// The offset of the copy.
    pub dead_letter_offset: i64,
    /// The class of the last error.
    pub error_class: String,
}

/// One event. [`Event::name`] gives the dotted name that all languages share.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Something failed that is not a handler: a broker, a topic, a commit, the core itself.
    Error {
        /// What failed.
        error: Arc<Error>,
        /// Whether the app goes on by itself; it stops otherwise.
        recoverable: bool,
    },
    /// A handler failed; what it did not mark is tried again.
    HandlerFailed {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record that is tried again.
        offset: i64,
        /// How often it was tried until now.
        attempt: u32,
        /// How long it waits before the next attempt.
        retry_in: Duration,
        /// Why it failed.
        failure: Failure,
    },
    /// A copy of a record that was given up was acknowledged: the record counts as done from here on.
    DeadLetterDispatched(Arc<DeadLetter>),
    /// A record was given up and counts as done, without having been handled.
    Discarded {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// How often it was tried.
        attempts: u32,
        /// Why it failed last.
        failure: Failure,
    },
    /// The process owns more partitions.
    PartitionsAssigned {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
    },
    /// The process owns fewer partitions.
    PartitionsRevoked {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
        /// Whether the group took them away without asking: what was not committed will be handled again elsewhere.
        lost: bool,
    },
    /// A connection to a consumer group came or left, where `multiplexing` lets their number change.
    Connection {
        /// The consumer group.
        group: Arc<str>,
        /// How many there are now.
        connections: usize,
        /// Whether one came.
        came: bool,
    },
    /// Something unusual that costs nothing but redelivery or time.
    Warning {
        /// What happened, on what, and what it costs.
        message: String,
    },
    /// The app entered another phase.
    Phase(Phase),
    /// The subscriber was too slow and missed this many events.
    Missed(u64),
}

impl Event {
    /// The event's dotted name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error.occurred",
            Self::HandlerFailed { .. } => "consumer.consume.error",
            Self::DeadLetterDispatched(_) => "dead_letter_queue.dispatched",
            Self::Discarded { .. } => "message.discarded",
            Self::PartitionsAssigned { .. } => "rebalance.partitions_assigned",
            Self::PartitionsRevoked { .. } => "rebalance.partitions_revoked",
            Self::Connection { came: true, .. } => "connection.listener.running",
            Self::Connection { came: false, .. } => "connection.listener.stopped",
            Self::Warning { .. } => "warning.occurred",
            Self::Phase(Phase::Initialized) => "app.initialized",
            Self::Phase(Phase::Running) => "app.running",
            Self::Phase(Phase::Quieting) => "app.quieting",
            Self::Phase(Phase::Quiet) => "app.quiet",
            Self::Phase(Phase::Stopping) => "app.stopping",
            Self::Phase(Phase::Stopped) => "app.stopped",
            Self::Missed(_) => "events.missed",
        }
    }

    /// The event's data as pairs of name and text, for languages that carry events as maps.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let list = |partitions: &[(String, i32)]| {
            let names: Vec<_> = partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect();
            names.join(" ")
        };
        match self {
            Self::Error { error, recoverable } => vec![
                ("kind", error.kind().name().to_owned()),
                ("error", error.to_string()),
                ("recoverable", recoverable.to_string()),
            ],
            Self::HandlerFailed { topic, partition, offset, attempt, retry_in, failure } => vec![
                ("topic", topic.to_string()),
                ("partition", partition.to_string()),
                ("offset", offset.to_string()),
                ("attempt", attempt.to_string()),
                ("retry_in_ms", retry_in.as_millis().to_string()),
                ("error_class", failure.class.clone()),
                ("error", failure.message.clone()),
            ],
            Self::DeadLetterDispatched(letter) => vec![
                ("topic", letter.topic.to_string()),
                ("partition", letter.partition.to_string()),
                ("offset", letter.offset.to_string()),
                ("attempts", letter.attempts.to_string()),
                ("dead_letter_topic", letter.dead_letter_topic.to_string()),
                ("dead_letter_partition", letter.dead_letter_partition.to_string()),
                ("dead_letter_offset", letter.dead_letter_offset.to_string()),
                ("error_class", letter.error_class.clone()),
            ],
            Self::Discarded { topic, partition, offset, attempts, failure } => vec![
                ("topic", topic.to_string()),
                ("partition", partition.to_string()),
                ("offset", offset.to_string()),
                ("attempts", attempts.to_string()),
                ("error_class", failure.class.clone()),
                ("error", failure.message.clone()),
            ],
            Self::PartitionsAssigned { group, partitions } => {
                vec![("group", group.to_string()), ("partitions", list(partitions))]
            }
            Self::PartitionsRevoked { group, partitions, lost } => {
                vec![("group", group.to_string()), ("partitions", list(partitions)), ("lost", lost.to_string())]
            }
            Self::Connection { group, connections, .. } => {
                vec![("group", group.to_string()), ("connections", connections.to_string())]
            }
            Self::Warning { message } => vec![("message", message.clone())],
            Self::Phase(_) => Vec::new(),
            Self::Missed(count) => vec![("count", count.to_string())],
        }
    }

    /// Whether a person should see this even when no program asked for it.
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::HandlerFailed { .. } | Self::Discarded { .. } | Self::Warning { .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (name, value) in self.fields() {
            // One event is one line, whatever a handler's error says.
            write!(f, " {name}={:?}", value.replace(['\n', '\r'], " "))?;
        }
        Ok(())
    }
}

const QUEUE: usize = 4096;

struct Subscriber {
    sender: Sender<Event>,
    missed: Arc<AtomicU64>,
}

/// The subscribers of one app.
#[derive(Default)]
pub(crate) struct Publisher {
    subscribers: Mutex<Vec<Subscriber>>,
}

impl Publisher {
    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = bounded(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        self.subscribers.lock().push(Subscriber { sender, missed: Arc::clone(&missed) });
        let (interrupt, interrupts) = bounded(1);
        Events { receiver, missed, interrupt, interrupts }
    }

    pub(crate) fn publish(&self, event: &Event) {
        match event {
            Event::Error { error, .. } => tracing::error!(%error, "error"),
            Event::HandlerFailed { .. } | Event::Discarded { .. } | Event::Warning { .. } => {
                tracing::warn!(%event, "event")
            }
            other => tracing::info!(event = %other, "event"),
        }
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| match subscriber.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                subscriber.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
        if subscribers.is_empty() && event.is_urgent() {
            use std::io::Write;
            // A closed standard error stream must not end the poller.
            let _ = writeln!(std::io::stderr(), "libkarafka: {event}");
        }
    }

    /// Ends every subscriber's wait once it has read what was published.
    pub(crate) fn close(&self) {
        self.subscribers.lock().clear();
    }
}

/// A subscription: events in their order, from when it was made.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    missed: Arc<AtomicU64>,
    interrupt: Sender<()>,
    interrupts: Receiver<()>,
}

/// Interrupts the wait of one subscription, from any thread. Never blocks.
#[derive(Debug, Clone)]
pub struct EventsInterrupter(Sender<()>);

impl EventsInterrupter {
    /// Makes the running wait, or else the next one, end with [`NoEvent::Timeout`].
    pub fn interrupt(&self) {
        // A full channel is an interrupt that nobody has noticed yet.
        let _ = self.0.try_send(());
    }
}

/// Why [`Events::next`] gave no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEvent {
    /// None came in time, or somebody interrupted the wait.
    Timeout,
    /// The app has stopped, and every event was read.
    Ended,
}

impl Events {
    /// Waits for the next event.
    ///
    /// # Errors
    /// [`NoEvent`] tells whether there is none yet, or none any more.
    pub fn next(&self, timeout: Duration) -> Result<Event, NoEvent> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            return Ok(Event::Missed(missed));
        }
        select! {
            recv(self.receiver) -> event => event.map_err(|_| NoEvent::Ended),
            recv(self.interrupts) -> _ => Err(NoEvent::Timeout),
            default(timeout) => Err(NoEvent::Timeout),
        }
    }

    /// A handle by which another thread ends a wait early.
    pub fn interrupter(&self) -> EventsInterrupter {
        EventsInterrupter(self.interrupt.clone())
    }
}
