//! The event table: the one place where an event is defined.
//!
//! An entry gives a variant of [`Event`], its dotted name, its class, its description and its fields. The macro makes the
//! enum, the names, the fields that other languages see, and [`events`], from which docs/events.md is made. Phases of the
//! app, statistics and the count of missed events are told beside it.

use super::field::{Carried, FieldSpec, FieldValue, Fields, Name};
use super::phase::Phase;
use crate::statistics::{BrokerStatistics, Statistics};
use crate::{Error, Failure};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Who gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// Whoever subscribes.
    Usual,
    /// Whoever subscribes; the standard error stream when nobody does.
    Urgent,
    /// As urgent; subscribers of `error.occurred` get it too.
    Failure,
    /// Once or twice for each call of a handler or each produced record: only who names it gets it, and it costs nothing before.
    PerJob,
}

/// An event as the reference describes it.
#[derive(Debug, Clone)]
pub struct EventSpec {
    /// The event's dotted name.
    pub name: &'static str,
    /// Who gets it.
    pub class: EventClass,
    /// When it is told and what it means, as Markdown.
    pub doc: String,
    /// What it carries.
    pub fields: Vec<FieldSpec>,
}

const FAILED: &str = "error.occurred";
const TYPE: &str =
    "Where it failed: the name of a handler's failure, or what was tried, such as `commit_offsets.error`.";

macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident = $name:literal, $class:ident {
            $($(#[doc = $about:literal])+ $field:ident: $type:ty,)*
        }
    )+) => {
        /// One event. [`Event::name`] gives the dotted name that all languages share.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[doc = $doc])+ $variant { $($(#[doc = $about])+ $field: $type,)* },)+
            /// The app entered another phase.
            Phase(Phase),
            /// How the app and its clients do; see `statistics_interval`.
            Statistics(Arc<Statistics>),
            /// The subscriber was too slow and missed this many events.
            Missed(u64),
        }

        #[derive(Clone, Copy)]
        enum Number { $($variant,)+ Phase }

        impl Event {
            /// The event's dotted name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                    Self::Phase(phase) => phase.event(),
                    Self::Statistics(_) => STATISTICS,
                    Self::Missed(_) => "events.missed",
                }
            }

            /// Its place in [`events`].
            pub(super) const fn number(&self) -> usize {
                match self {
                    $(Self::$variant { .. } => Number::$variant as usize,)+
                    Self::Phase(phase) => Number::Phase as usize + phase.number() as usize,
                    Self::Statistics(_) => AFTER_PHASES,
                    Self::Missed(_) => AFTER_PHASES + 1,
                }
            }

            /// The event's data by name, for languages that carry events as maps.
            pub fn fields(&self) -> Vec<(&'static str, FieldValue)> {
                let mut fields = Fields::new();
                match self {
                    $(Self::$variant { $($field),* } => { $($field.put(name!($field), &mut fields);)* })+
                    Self::Phase(_) => {}
                    Self::Statistics(statistics) => fields = statistics.fields(),
                    Self::Missed(count) => {
                        fields.push(("count", FieldValue::Integer(i64::try_from(*count).unwrap_or(i64::MAX))));
                    }
                }
                if self.class() == EventClass::Failure {
                    fields.push(("type", FieldValue::Text(self.failure_type())));
                }
                fields
            }

            const fn class(&self) -> EventClass {
                match self {
                    $(Self::$variant { .. } => EventClass::$class,)+
                    Self::Phase(_) | Self::Statistics(_) | Self::Missed(_) => EventClass::Usual,
                }
            }
        }

        fn specs() -> Vec<EventSpec> {
            let mut specs = vec![$({
                let fields: Vec<Vec<FieldSpec>> =
                    vec![$(<$type as Carried>::specs(name!($field), &paragraph(&[$($about),+]))),*];
                spec($name, EventClass::$class, &[$($doc),+], fields.concat())
            }),+];
            specs.extend(Phase::ALL.map(|phase| spec(phase.event(), EventClass::Usual, &[phase.meaning()], Vec::new())));
            specs.push(spec(STATISTICS, EventClass::Usual, &[STATISTICS_DOC], Statistics::specs()));
            let count = vec![FieldSpec::new("count", "integer", "How many.")];
            specs.push(spec("events.missed", EventClass::Usual, &["The subscriber was too slow: events were left out for it."], count));
            specs
        }
    };
}

macro_rules! name {
    ($field:ident) => {
        Name { plain: stringify!($field), in_ms: concat!(stringify!($field), "_ms") }
    };
}

pub(super) const STATISTICS: &str = "statistics.emitted";
const STATISTICS_DOC: &str = "How the app and its clients do, every `statistics_interval`; see [statistics](options/statistics.md). Naming \
it in a subscription before the start switches statistics on, every 5 seconds unless the option says otherwise.";
const AFTER_PHASES: usize = Number::Phase as usize + Phase::ALL.len();

// Subscriptions are sets of events in one word.
const _: () = assert!(AFTER_PHASES + 2 <= 64);

events! {
    /// Something failed that is not a handler: a broker, a topic, a commit, the core itself.
    Error = "error.occurred", Failure {
        /// What failed, on what, and what to do.
        error: Arc<Error>,
        /// Whether the app goes on by itself; it stops otherwise.
        recoverable: bool,
    }

    /// A handler failed; what it did not mark is tried again. Subscribers of `error.occurred` get it too.
    HandlerFailed = "consumer.consume.error", Failure {
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
        /// What the error says.
        failure: Failure,
    }

    /// A tick failed. The next one comes in its time.
    TickFailed = "consumer.tick.error", Failure {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// What the error says.
        failure: Failure,
    }

    /// A recurring task ran and did not fail.
    TaskExecuted = "recurring_tasks.executed", Usual {
        /// The topic of the tasks.
        topic: Arc<str>,
        /// The task's name.
        task: Arc<str>,
        /// How long it ran.
        took: Duration,
    }

    /// A recurring task failed. It runs again at its next time. Subscribers of `error.occurred` get it too.
    TaskFailed = "recurring_tasks.error", Failure {
        /// The topic of the tasks.
        topic: Arc<str>,
        /// The task's name.
        task: Arc<str>,
        /// How long it ran.
        took: Duration,
        /// What the error says.
        failure: Failure,
    }

    /// The hook for the end of a partition failed. It is not called again for the same end.
    EofedFailed = "consumer.eofed.error", Failure {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// What the error says.
        failure: Failure,
    }

    /// The hook for a revocation failed. It is not called again.
    RevokedFailed = "consumer.revoked.error", Failure {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// What the error says.
        failure: Failure,
    }

    /// The hook for the app's stop failed. It is not called again.
    ShutdownFailed = "consumer.shutdown.error", Failure {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// What the error says.
        failure: Failure,
    }

    /// A call wrote otherwise than its topic says it `produces`. Told at most once a second for each output and problem.
    OutputsWrong = "consumer.outputs.error", Failure {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record of the call.
        offset: i64,
        /// The topic that was written, or should have been.
        output: String,
        /// `undeclared`, `missing` or `doubled`.
        problem: String,
        /// How many calls since the last event.
        calls: u64,
    }

    /// A copy of a record that was given up was acknowledged: the record counts as done from here on.
    DeadLetterDispatched = "dead_letter_queue.dispatched", Usual {
        /// The topic that it was read from.
        topic: Arc<str>,
        /// The partition that it was read from.
        partition: i32,
        /// Its offset there.
        offset: i64,
        /// How often it was tried.
        attempts: u32,
        /// The topic of the copy.
        dead_letter_topic: Arc<str>,
        /// The partition of the copy.
        dead_letter_partition: i32,
        /// The offset of the copy.
        dead_letter_offset: i64,
        /// The class of the last error.
        error_class: String,
    }

    /// A record was given up and counts as done, without having been handled.
    Discarded = "message.discarded", Urgent {
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
    }

    /// `throttle_limit` holds messages of a partition back. Told at most once a second.
    Throttled = "filtering.throttled", Usual {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// How many wait now.
        messages: u64,
    }

    /// Messages were older than `expire_in`: they count as finished. Told at most once a second.
    Expired = "filtering.expired", Usual {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// How many since the last event.
        messages: u64,
    }

    /// The topic's filter skipped messages: they count as finished. Told at most once a second.
    Skipped = "filtering.skipped", Usual {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// How many since the last event.
        messages: u64,
    }

    /// Something unusual that costs nothing but redelivery or time.
    Warning = "warning.occurred", Urgent {
        /// What happened, on what, and what it costs.
        message: String,
    }

    /// Partitions are being taken over: their committed offsets are asked for.
    PartitionsAssign = "rebalance.partitions_assign", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
    }

    /// The process owns more partitions.
    PartitionsAssigned = "rebalance.partitions_assigned", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
    }

    /// Partitions are being given up: running handlers are waited for, and what is done is committed.
    PartitionsRevoke = "rebalance.partitions_revoke", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
    }

    /// The process owns fewer partitions.
    PartitionsRevoked = "rebalance.partitions_revoked", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// Topic names and partition numbers.
        partitions: Vec<(String, i32)>,
        /// Whether the group took them away without asking: what was not committed will be handled again elsewhere.
        lost: bool,
    }

    /// A handler paused its partition.
    Paused = "client.pause", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// For how long; without it until a handler resumes it.
        pause: Option<Duration>,
    }

    /// A handler resumed its partition.
    Resumed = "client.resume", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
    }

    /// A connection to a consumer group came, where `multiplexing` lets their number change.
    ConnectionRunning = "connection.listener.running", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// How many there are now.
        connections: u32,
    }

    /// A connection to a consumer group left, where `multiplexing` lets their number change.
    ConnectionStopped = "connection.listener.stopped", Usual {
        /// The consumer group.
        group: Arc<str>,
        /// How many there are now.
        connections: u32,
    }

    /// A call of a handler begins.
    Consume = "consumer.consume", PerJob {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record of the call.
        offset: i64,
        /// How many records it has.
        messages: u32,
        /// Which attempt at the first record this is, from 1.
        attempt: u32,
    }

    /// A call of a handler has ended, well or not.
    Consumed = "consumer.consumed", PerJob {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record of the call.
        offset: i64,
        /// How many records it had.
        messages: u32,
        /// Which attempt at the first record this was, from 1.
        attempt: u32,
        /// From the begin of the call to its end, in milliseconds.
        time_taken_ms: f64,
        /// Whether the handler succeeded.
        succeeded: bool,
    }

    /// A worker took a job: the call of a handler, or a question to a partitioner, to a callback of `unique_by`, or to a filter.
    WorkerProcess = "worker.process", PerJob {
        /// The worker's number, as in statistics.
        worker: u32,
        /// What the job calls: `handler`, `partitioner`, `unique_by`, `filter` or the name of a hook.
        calls: &'static str,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record of the job.
        offset: i64,
        /// How many records it has.
        messages: u32,
    }

    /// A worker is free for the next job. Where handlers finish later (`async def`, completions) the job itself may still run;
    /// `consumer.consumed` tells its end.
    WorkerProcessed = "worker.processed", PerJob {
        /// The worker's number, as in statistics.
        worker: u32,
        /// What the job called: `handler`, `partitioner`, `unique_by`, `filter` or the name of a hook.
        calls: &'static str,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The first record of the job.
        offset: i64,
        /// How many records it had.
        messages: u32,
        /// For how long the worker was busy with it, in milliseconds.
        time_taken_ms: f64,
    }

    /// More handlers may run at once.
    WorkersUp = "worker.scaling.up", Usual {
        /// How many until now.
        from: u32,
        /// How many from now on.
        to: u32,
    }

    /// Fewer handlers may run at once; those that run end first.
    WorkersDown = "worker.scaling.down", Usual {
        /// How many until now.
        from: u32,
        /// How many from now on.
        to: u32,
    }

    /// The process was sent a signal that the app obeys.
    NoticeSignal = "process.notice_signal", Usual {
        /// The signal's name, such as `TERM`.
        signal: &'static str,
    }

    /// A producer was given a record, and it waits to be sent. This and what follows is told to the producer's own subscribers.
    Produced = "message.produced_async", PerJob {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition, when the producer chose it.
        partition: Option<i32>,
        /// The record's label.
        label: Option<String>,
    }

    /// A broker acknowledged a record.
    Acknowledged = "message.acknowledged", PerJob {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number.
        partition: i32,
        /// The record's offset; -1 when the broker did not tell.
        offset: i64,
        /// The record's label.
        label: Option<String>,
    }

    /// A record was not acknowledged in time, or refused by a broker.
    Undelivered = "message.undelivered", PerJob {
        /// Why.
        error: Arc<Error>,
        /// The record's label.
        label: Option<String>,
    }

    /// A record was given up because its producer was closed.
    Purged = "message.purged", PerJob {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition's number; -1 when none was chosen.
        partition: i32,
        /// The record's label.
        label: Option<String>,
    }

    /// What was in a producer's buffer is on its way.
    BufferFlushed = "buffer.flushed", Usual {
        /// How many records.
        messages: u64,
    }

    /// A producer has closed: the last of its events.
    ProducerClosed = "producer.closed", Usual {
        /// Its `client_id`.
        name: String,
    }

    /// How a producer does, every `statistics_interval` of the producer.
    ProducerStatistics = "producer.statistics", Usual {
        /// librdkafka's name for the client.
        name: String,
        /// Records on their way: those whose callback has not returned among them.
        messages_in_flight: u64,
        /// Records in librdkafka's queues.
        queue_messages: u64,
        /// Their size in bytes.
        queue_bytes: u64,
        /// Records sent to brokers since the start, retries among them.
        sent_messages: u64,
        /// Bytes sent to brokers since the start.
        sent_bytes: u64,
        /// The brokers it knows: a map each, as in `statistics.emitted`.
        brokers: Vec<BrokerStatistics>,
    }
}

fn spec(name: &'static str, class: EventClass, doc: &[&str], mut fields: Vec<FieldSpec>) -> EventSpec {
    if class == EventClass::Failure {
        fields.push(FieldSpec::new("type", "text", TYPE));
    }
    EventSpec { name, class, doc: paragraph(doc), fields }
}

/// Joins doc comment lines into one paragraph.
fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Every event, in the order of the reference.
pub fn events() -> &'static [EventSpec] {
    static SPECS: LazyLock<Vec<EventSpec>> = LazyLock::new(specs);
    &SPECS
}

impl Event {
    /// Whether a person should see this even when no program asked for it.
    pub fn is_urgent(&self) -> bool {
        matches!(self.class(), EventClass::Urgent | EventClass::Failure)
    }

    /// Where it failed, in the words of `error.occurred`'s field `type`.
    fn failure_type(&self) -> String {
        match self {
            Self::Error { error, .. } => match error.operation() {
                "stop" => "app.forceful_stopping.error".to_owned(),
                operation => format!("{}.error", operation.replace(' ', "_")),
            },
            other => other.name().to_owned(),
        }
    }

    pub(super) const fn is_per_job(&self) -> bool {
        matches!(self.class(), EventClass::PerJob)
    }
}

impl EventSpec {
    /// Whether a subscription by this name or pattern gets the event.
    pub(super) fn is_named_by(&self, pattern: &str) -> bool {
        let begins = |beginning: &str| self.name.strip_prefix(beginning).is_some_and(|rest| rest.starts_with('.'));
        pattern == "*"
            || pattern == self.name
            || pattern.strip_suffix(".*").is_some_and(begins)
            || (self.class == EventClass::Failure && pattern == FAILED)
    }
}

impl fmt::Display for Event {
    /// One event is one line, whatever a handler's error says; a backtrace is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (name, value) in self.fields() {
            if name != "backtrace" {
                write!(f, " {name}={:?}", value.to_string().replace(['\n', '\r'], " "))?;
            }
        }
        Ok(())
    }
}
