//! Scheduled messages: kept in a topic until their time, then sent on by whoever owns their partition.
//!
//! A producer puts them there and takes them back ([`Producer::schedule`], [`Producer::cancel`]), on its caller's thread. An app sends
//! them on ([`App::scheduled_messages`]), on its seats. What goes when is decided by `karafka-schedule`; its guarantees become those
//! of the topic because a message is acknowledged before its tombstone is written, and everything is read before anything goes.
//!
//! The topic's layout is described in docs/schedule/scheduled-messages.md, and is a promise to every later version.

mod check;
mod dispatcher;
mod log;

use crate::config::{InitialOffset, TopicConfig, Value, validate_topic_name};
use crate::producer::{OwnedRecord, Producer, Record};
use crate::{App, Error, ErrorKind, Result, SeatKind, Work};
pub(crate) use check::{check_presence, check_topic};
use dispatcher::Dispatcher;
use karafka_schedule::layout::{Envelope, header};
pub(crate) use log::read_partition;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SCHEDULE: &str = "schedule a message";
const SEND: &str = "send scheduled messages on";
const CANCEL: &str = "cancel a scheduled message";

/// How long a broker may take to say how many partitions the topic has.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// Times from September 2001 to the year 9999, in milliseconds: seconds and microseconds lie outside.
const TIMES: std::ops::RangeInclusive<i64> = 1_000_000_000_000..=253_402_300_799_999;

/// How an app sends scheduled messages on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledMessagesConfig {
    /// How often is looked for what is due, so how late a message is at most where nothing else is in its way. A second by default.
    pub interval: Duration,
    /// The consumer group whose members share the partitions; `None` for the app's.
    pub group: Option<String>,
}

impl Default for ScheduledMessagesConfig {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), group: None }
    }
}

impl ScheduledMessagesConfig {
    /// Options by name: `interval`, as a time, and `group`.
    ///
    /// # Errors
    /// `Config` for another name, or a value that does not fit.
    pub fn from_settings(settings: &[(String, Value)]) -> Result<Self> {
        let known = |(name, value): &(String, Value)| match name.as_str() {
            "interval" => Ok(("periodic_interval".to_owned(), value.clone())),
            "group" => Ok((name.clone(), value.clone())),
            other => {
                let message =
                    format!("{other:?} is no option of scheduled messages, which have `interval` and `group`");
                Err(Error::new(ErrorKind::Config, SEND, message))
            }
        };
        let renamed = settings.iter().map(known).collect::<Result<Vec<_>>>()?;
        let topic = TopicConfig::from_settings(&renamed)?;
        let is_given = renamed.iter().any(|(name, _)| name == "periodic_interval");
        let interval = if is_given { topic.periodic_interval } else { Self::default().interval };
        Ok(Self { interval, group: topic.group })
    }
}

impl App {
    /// Sends the messages of a topic of scheduled messages on when their time has come.
    ///
    /// The start checks that the topic is there and compacted.
    ///
    /// # Errors
    /// As [`Self::topic`].
    pub fn scheduled_messages(&self, topic: &str, config: ScheduledMessagesConfig) -> Result<()> {
        validate_topic_name(topic)?;
        let dispatcher = Arc::new(Dispatcher::new(topic, self.config()));
        let options = TopicConfig {
            group: config.group,
            periodic: true,
            periodic_interval: config.interval,
            periodic_during_retry: true,
            // What is there before the group has committed anything waits as well.
            initial_offset: InitialOffset::Earliest,
            ..TopicConfig::default()
        };
        self.add_topic(topic, options, Work::Core(Arc::clone(&dispatcher) as _), SeatKind::Thread)?;
        self.check_at_start(Box::new(move || {
            check_topic(&dispatcher.bootstrap_servers, &dispatcher.kafka, &dispatcher.topic, "scheduled messages")
        }));
        Ok(())
    }
}

impl Producer {
    /// Has a record produced at a time, in milliseconds since 1970-01-01 UTC: puts it into `topic`, from which an app with
    /// [`App::scheduled_messages`] sends it on. Waits until it is acknowledged, and returns its id, by which it can be cancelled. A
    /// time that has passed means at once.
    ///
    /// ```
    /// use karafka::{EmbeddedBroker, Producer, ProducerConfig, Record};
    /// use std::time::{SystemTime, UNIX_EPOCH};
    ///
    /// # fn main() -> karafka::Result<()> {
    /// let brokers = "embedded://".to_owned();
    /// EmbeddedBroker::named(&brokers)?.create_topic("later", 1)?;
    /// let producer = Producer::new(ProducerConfig { bootstrap_servers: brokers, ..ProducerConfig::default() })?;
    /// let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    /// let reminder = Record { topic: "reminders", key: Some(b"ada"), payload: Some(b"tea"), ..Record::default() };
    /// let id = producer.schedule("later", &reminder, now + 3_600_000)?;
    /// producer.cancel("later", &id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Config` for a time that is none, or a record that can never be sent; `Broker` when `topic` is not there; else as
    /// [`Self::produce_sync`]. When the acknowledgement is what failed, the message may wait all the same; the error's context has
    /// its `id`.
    pub fn schedule(&self, topic: &str, record: &Record<'_>, at: i64) -> Result<String> {
        let count = self.partitions(topic, self.config().delivery_timeout.min(LOOK))?;
        // What opens in the topic that it goes to is sealed for that one.
        let (id, scheduled) = self
            .sealed(record, |record| scheduled(topic, record, at, count))
            .map_err(|error| error.with("topic", record.topic))?;
        match scheduled.lend(|record| self.produce_sealed_sync(record)) {
            Ok(_) => Ok(id),
            Err(error) => Err(error.with("id", &id)),
        }
    }

    /// Takes a scheduled message back: waits until that is acknowledged. When it is before the message's time, by the clock of the app
    /// that would send it, the message is not sent; a message that was sent or cancelled already is none any more, which is no error.
    ///
    /// # Errors
    /// `Config` for an id that [`Self::schedule`] has not given; else as [`Self::produce_sync`].
    pub fn cancel(&self, topic: &str, id: &str) -> Result<()> {
        let Some(partition) = partition_of(id.as_bytes()) else {
            let message = format!("{id:?} is no id of a scheduled message");
            return Err(Error::new(ErrorKind::Config, CANCEL, message).with("topic", topic));
        };
        let record = tombstone(topic, partition, id.as_bytes(), "cancelled");
        record.lend(|record| self.produce_sync(record)).map(drop)
    }
}

/// The record by which a message waits, and its id.
fn scheduled(topic: &str, record: &Record<'_>, at: i64, partitions: usize) -> Result<(String, OwnedRecord)> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Config, SCHEDULE, message));
    validate_topic_name(record.topic)?;
    if record.topic == topic {
        return refuse("the message would go to the topic that it waits in".to_owned());
    }
    if !TIMES.contains(&at) {
        return refuse(format!("{at} is no time: take milliseconds since 1970-01-01 UTC, from 2001 on"));
    }
    let (id, partition) = new_id(partitions);
    let envelope = Envelope {
        at,
        topic: record.topic,
        partition: record.partition,
        partition_key: record.partition_key,
        key: record.key,
        timestamp: record.timestamp_ms,
        is_tombstone: record.payload.is_none(),
    };
    let own = record.to_owned_record();
    let mut headers = envelope.headers();
    headers.extend(own.headers);
    let scheduled = OwnedRecord {
        topic: topic.to_owned(),
        partition: Some(partition),
        key: Some(id.clone().into_bytes()),
        // Without any, it would end the message instead.
        payload: Some(own.payload.unwrap_or_default()),
        headers,
        label: own.label,
        ..OwnedRecord::default()
    };
    Ok((id, scheduled))
}

/// The record that ends a message.
fn tombstone(topic: &str, partition: i32, id: &[u8], why: &str) -> OwnedRecord {
    OwnedRecord {
        topic: topic.to_owned(),
        partition: Some(partition),
        key: Some(id.to_vec()),
        headers: vec![(header::END.as_bytes().to_vec(), Some(why.as_bytes().to_vec()))],
        ..OwnedRecord::default()
    }
}

/// An id that no other message has: its partition, and 128 bits.
pub(crate) fn new_id(partitions: usize) -> (String, i32) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Keyed by the system's random numbers; the rest tells forked processes and moments apart.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let here = (std::process::id(), now, COUNT.fetch_add(1, Ordering::Relaxed));
    let (one, two) = (RandomState::new().hash_one(here), RandomState::new().hash_one(here));
    let count = u64::try_from(partitions).unwrap_or(1).clamp(1, 1 << 30);
    let partition = (one % count) as i32;
    (format!("{partition}-{one:016x}{two:016x}"), partition)
}

/// The partition in which the message of an id waits.
fn partition_of(id: &[u8]) -> Option<i32> {
    let (partition, rest) = std::str::from_utf8(id).ok()?.split_once('-')?;
    if rest.is_empty() || !rest.bytes().all(|letter| letter.is_ascii_hexdigit()) {
        return None;
    }
    partition.parse().ok().filter(|partition| *partition >= 0)
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_told_apart_and_name_their_partition() {
        let ids: HashSet<String> = (0..10_000)
            .map(|_| {
                let (id, partition) = new_id(7);
                assert_eq!(partition_of(id.as_bytes()), Some(partition));
                assert!((0..7).contains(&partition));
                id
            })
            .collect();
        assert_eq!(ids.len(), 10_000);
        for none in ["", "-", "1-", "x-00", "-1-00", "1", "1-0 0", "99999999999-00"] {
            assert_eq!(partition_of(none.as_bytes()), None, "{none:?}");
        }
    }

    #[test]
    fn options_are_read_by_name() {
        let read = |name: &str, value: Value| ScheduledMessagesConfig::from_settings(&[(name.to_owned(), value)]);
        let interval = read("interval", Value::from("250ms")).unwrap();
        assert_eq!(interval, ScheduledMessagesConfig { interval: Duration::from_millis(250), group: None });
        assert_eq!(read("group", Value::from("own")).unwrap().interval, Duration::from_secs(1));
        assert!(read("interval", Value::from("1ms")).is_err());
        let unknown = read("intervall", Value::from("1s")).unwrap_err().to_string();
        assert!(unknown.contains("which have `interval` and `group`"), "{unknown}");
    }

    #[test]
    fn what_can_never_go_is_refused_when_it_is_scheduled() {
        let record = Record { topic: "orders", payload: Some(b"x"), ..Record::default() };
        let refused = |record: &Record<'_>, at| scheduled("later", record, at, 1).unwrap_err().to_string();
        let seconds = refused(&record, 1_700_000_000);
        assert!(seconds.contains("1700000000 is no time: take milliseconds"), "{seconds}");
        assert!(refused(&record, 1_700_000_000_000_000).contains("is no time"));
        let circle = refused(&Record { topic: "later", ..record }, 1_700_000_000_000);
        assert!(circle.contains("the topic that it waits in"), "{circle}");
        refused(&Record { topic: "no topic", ..record }, 1_700_000_000_000);
        assert!(scheduled("later", &record, 1_700_000_000_000, 1).is_ok());
    }
}
