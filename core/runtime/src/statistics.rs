//! How an app does: its own gauges, the calls that run, and what librdkafka says of brokers and assigned partitions.
//!
//! Made by the poller (`poller/observer.rs`) when somebody asks, or every `statistics_interval`; plain data from then on.

use crate::event::{FieldSpec, FieldValue};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// How an app and its clients do at one moment. Fields have the same names in every language, times with `_ms` behind.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// The app's phase, in one word.
    pub phase: &'static str,
    /// How many plain handlers may run at once.
    pub concurrency: u32,
    /// How many calls of plain handlers run.
    pub workers_busy: u32,
    /// How many calls of handlers that finish later are under way.
    pub async_busy: u32,
    /// Jobs that are ready and that no worker has taken yet.
    pub jobs_waiting: u32,
    /// How long the oldest of them has waited.
    #[serde(rename = "oldest_waiting_ms", serialize_with = "milliseconds")]
    pub oldest_waiting: Duration,
    /// How long the longest running call runs.
    #[serde(rename = "longest_running_ms", serialize_with = "milliseconds")]
    pub longest_running: Duration,
    /// Records that were read and are in no job yet.
    pub queued_messages: u64,
    /// Records that were read and are not finished: queued and running.
    pub held_messages: u64,
    /// Their size in bytes.
    pub held_bytes: u64,
    /// What they may take at most; librdkafka's fetch queues have the rest of the app's budget.
    pub held_bytes_limit: u64,
    /// Partitions that the process owns.
    pub assigned_partitions: u32,
    /// The calls that run, longest first.
    pub calls: Vec<Call>,
    /// What librdkafka told, by client; empty while statistics are off.
    pub clients: Vec<ClientStatistics>,
}

/// A call of user code that runs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// The worker's number, from 1; none for a handler that finishes later.
    pub worker: Option<u32>,
    /// The system's number of the worker's thread, as `top -H` and debuggers show it.
    pub thread: Option<u32>,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The first record of the call; none once the partition went elsewhere.
    pub offset: Option<i64>,
    /// How many records it has.
    pub messages: u32,
    /// What is called: `handle` for the handler itself.
    pub kind: String,
    /// For how long it runs.
    #[serde(rename = "running_ms", serialize_with = "milliseconds")]
    pub running: Duration,
}

/// One client of librdkafka: a member of a consumer group.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ClientStatistics {
    /// librdkafka's name for it.
    pub name: String,
    /// The consumer group.
    pub group: String,
    /// Whether the group runs: librdkafka's word, `steady` in a settled group.
    pub join_state: String,
    /// How many rebalances it went through.
    pub rebalances: u64,
    /// Bytes received from brokers since its start.
    pub received_bytes: u64,
    /// Records received since its start.
    pub received_messages: u64,
    /// Bytes received a second, between the last two looks; none before the second.
    pub received_bytes_per_second: Option<f64>,
    /// Records received a second, between the last two looks; none before the second.
    pub received_messages_per_second: Option<f64>,
    /// The brokers it knows.
    pub brokers: Vec<BrokerStatistics>,
    /// The partitions that the process owns through it.
    pub partitions: Vec<PartitionStatistics>,
}

/// A connection to a broker.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct BrokerStatistics {
    /// Host and port.
    pub name: String,
    /// The broker's number.
    pub id: i32,
    /// librdkafka's word for the connection: `UP` when it works.
    pub state: String,
    /// Requests that wait to be sent.
    pub requests_waiting: u64,
    /// Requests that wait for their answer.
    pub requests_in_flight: u64,
    /// Mean time from request to answer, over librdkafka's last interval; none without a request.
    #[serde(rename = "latency_ms", serialize_with = "optional_milliseconds")]
    pub latency: Option<Duration>,
    /// 95 of 100 answers came within this time.
    #[serde(rename = "latency_p95_ms", serialize_with = "optional_milliseconds")]
    pub latency_p95: Option<Duration>,
    /// 99 of 100 answers came within this time.
    #[serde(rename = "latency_p99_ms", serialize_with = "optional_milliseconds")]
    pub latency_p99: Option<Duration>,
    /// Connections made since the start.
    pub connects: u64,
    /// Connections lost since the start.
    pub disconnects: u64,
    /// Requests that failed or had no answer in time, since the start.
    pub errors: u64,
}

/// An assigned partition.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct PartitionStatistics {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset from which on nothing is finished: what a commit would say now.
    pub position: Option<i64>,
    /// Where the log began when it was last fetched from.
    pub low_offset: Option<i64>,
    /// Where the log ended for this reader when it was last fetched from.
    pub end_offset: Option<i64>,
    /// How many offsets lie between position and end.
    pub lag: Option<u64>,
    /// Records that were fetched and not read yet.
    pub fetch_queue_messages: u64,
    /// Their size in bytes.
    pub fetch_queue_bytes: u64,
    /// Records that were read and are in no job yet.
    pub queued_messages: u64,
    /// Calls of handlers that run or are about to.
    pub running_jobs: u32,
    /// Records received since the assignment.
    pub received_messages: u64,
    /// Records received a second, between the last two looks; none before the second.
    pub received_messages_per_second: Option<f64>,
}

fn in_ms(time: Duration) -> f64 {
    // To the microsecond, which is what librdkafka measures.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_ms(*time))
}

#[allow(clippy::ref_option, reason = "serde hands in the field")]
fn optional_milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(in_ms).serialize(serializer)
}

impl Statistics {
    /// The statistics as JSON. What is not known is left out.
    pub fn to_json(&self) -> String {
        FieldValue::Map(self.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            .to_json()
            .to_string()
    }

    /// By name, for languages that carry events as maps.
    pub(crate) fn fields(&self) -> Vec<(&'static str, FieldValue)> {
        let Some(FieldValue::Map(pairs)) = serde_json::to_value(self).ok().and_then(FieldValue::from_json) else {
            return Vec::new();
        };
        let by_name = |name: &'static str| {
            let (_, value) = pairs.iter().find(|(known, _)| known == name)?;
            Some((name, value.clone()))
        };
        SPECS.iter().filter_map(|(name, ..)| by_name(name)).collect()
    }

    pub(crate) fn specs() -> Vec<FieldSpec> {
        SPECS.iter().map(|(name, kind, doc)| FieldSpec { name, kind, doc: (*doc).to_owned() }).collect()
    }
}

/// The fields of the event, in their order.
const SPECS: [(&str, &str, &str); 14] = [
    ("phase", "text", "The app's phase, in one word."),
    ("concurrency", "integer", "How many plain handlers may run at once."),
    ("workers_busy", "integer", "How many calls of plain handlers run."),
    ("async_busy", "integer", "How many calls of handlers that finish later are under way."),
    ("jobs_waiting", "integer", "Jobs that are ready and that no worker has taken yet."),
    ("oldest_waiting_ms", "number", "How long the oldest of them has waited."),
    ("longest_running_ms", "number", "How long the longest running call runs."),
    ("queued_messages", "integer", "Records that were read and are in no job yet."),
    ("held_messages", "integer", "Records that were read and are not finished."),
    ("held_bytes", "integer", "Their size."),
    ("held_bytes_limit", "integer", "What they may take at most."),
    ("assigned_partitions", "integer", "Partitions that the process owns."),
    ("calls", "list", "The calls that run, longest first: a map each."),
    ("clients", "list", "What librdkafka told, a map for each client, with its brokers and assigned partitions."),
];
