//! Which partition a record goes to when it does not say so itself, and librdkafka's partitioner is not the one to ask.
//!
//! Called by whoever sends, on its thread: the user's partitioner never runs on a thread of librdkafka's. How many partitions a
//! topic has is asked from a broker by the first such record, and again when what is known grows old.

use super::record::Record;
use crate::lock::Mutex;
use crate::native::{Hashing, NativeProducer};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Chooses the partition of a record among as many as the topic has, from 0; `None` leaves it to `partition_key` and key. Called
/// on the thread that produces, for records that name no partition.
pub type Partitioner = Arc<dyn Fn(&Record<'_>, usize) -> Result<Option<i32>> + Send + Sync>;

/// How long a count is believed; partitions are added, and never taken away but with their topic.
const FRESH: Duration = Duration::from_secs(60);

/// How long a failed look keeps others from asking again.
const FAILED: Duration = Duration::from_secs(1);

struct Known {
    count: Result<usize>,
    until: Instant,
}

/// What is known of the topics that were asked for.
pub(super) struct Counts {
    topics: Mutex<HashMap<String, Known>>,
    hashing: Option<Hashing>,
}

impl Counts {
    /// The `partitioner` of the settings says how a partition key is hashed.
    pub(super) fn new(settings: &BTreeMap<String, String>) -> Self {
        let hashing = match settings.get("partitioner").map(String::as_str) {
            Some("random") => None,
            Some("consistent" | "consistent_random") => Some(Hashing::Crc32),
            Some("fnv1a" | "fnv1a_random") => Some(Hashing::Fnv1a),
            _ => Some(Hashing::Murmur2),
        };
        Self { topics: Mutex::default(), hashing }
    }

    /// The partition of a partition key; none where the settings want chance to choose.
    pub(super) fn hash(&self, partition_key: &[u8], count: usize) -> Option<i32> {
        let count = i32::try_from(count).ok().filter(|count| *count > 0)?;
        Some(self.hashing?.partition(partition_key, count))
    }

    pub(super) fn is_known(&self, topic: &str) -> bool {
        self.topics.lock().get(topic).is_some_and(|known| known.count.is_ok() && Instant::now() < known.until)
    }

    /// How many partitions a topic has. May ask a broker, and wait for its answer at most `patience`.
    pub(super) fn get(&self, client: &NativeProducer, topic: &str, patience: Duration) -> Result<usize> {
        let before = {
            let mut topics = self.topics.lock();
            match topics.get_mut(topic) {
                Some(known) if Instant::now() < known.until => return known.count.clone(),
                Some(known) => {
                    // One asks; the others go on with what was known.
                    known.until = Instant::now() + FAILED;
                    known.count.as_ref().ok().copied()
                }
                None => None,
            }
        };
        let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX).max(1);
        let count = match client.partition_count(topic, milliseconds) {
            Ok(0) => Err(Error::new(ErrorKind::Broker, "look a topic up", "it has no partitions").with("topic", topic)),
            other => other,
        };
        let (count, lasts) = match (count, before) {
            (Ok(count), _) => (Ok(count), FRESH),
            (Err(_), Some(before)) => (Ok(before), FAILED),
            (Err(error), None) => (Err(error), FAILED),
        };
        let known = Known { count: count.clone(), until: Instant::now() + lasts };
        self.topics.lock().insert(topic.to_owned(), known);
        count
    }
}

/// Refuses what a partitioner answered that is no partition of the topic.
pub(super) fn checked(topic: &str, partition: i32, count: usize) -> Result<i32> {
    if usize::try_from(partition).is_ok_and(|partition| partition < count) {
        return Ok(partition);
    }
    let message = format!("the partitioner chose partition {partition} of {count}");
    Err(Error::new(ErrorKind::Config, "produce", message).with("topic", topic))
}
