//! How far a group is behind: in messages, and in time.

use super::Admin;
use crate::reader::{ReadFrom, ReadUntil, Reader, ReaderConfig, Selection};
use crate::{ErrorKind, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// How far a group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// What the group has committed.
    pub offset: i64,
    /// One beyond the last record.
    pub end: i64,
    /// How many offsets lie between: as many records, where there are no gaps in the log. Never negative.
    pub messages: u64,
    /// How old the first record is that the group has not done, by this machine's clock; `None` where there is none, or where it
    /// could not be read in time.
    #[serde(rename = "age_seconds", serialize_with = "super::request::seconds")]
    pub age: Option<Duration>,
}

impl Admin {
    /// How far a group is behind, by topic and partition. Topics that are gone are left out. Reads one record of each partition that is
    /// behind, for its age; that it cannot is no error.
    ///
    /// # Errors
    /// As [`Self::group_offsets`] and [`Self::watermarks`].
    pub fn lag(&self, group: &str) -> Result<Vec<PartitionLag>> {
        let mut marks = BTreeMap::new();
        let mut lags = Vec::new();
        for offset in self.group_offsets(group)? {
            if !marks.contains_key(&offset.topic) {
                let found = match self.watermarks(&offset.topic) {
                    Ok(found) => found,
                    Err(error) if error.kafka() == Some(crate::native::code::UNKNOWN_TOPIC_OR_PART) => Vec::new(),
                    Err(error) => return Err(error),
                };
                marks.insert(offset.topic.clone(), found);
            }
            let mut found = marks.get(&offset.topic).into_iter().flatten();
            let Some(mark) = found.find(|mark| mark.partition == offset.partition) else { continue };
            lags.push(PartitionLag {
                topic: offset.topic,
                partition: offset.partition,
                offset: offset.offset,
                end: mark.end,
                // What was deleted cannot be handled any more.
                messages: u64::try_from(mark.end - offset.offset.max(mark.first)).unwrap_or(0),
                age: None,
            });
        }
        self.find_ages(&mut lags);
        Ok(lags)
    }

    fn find_ages(&self, lags: &mut [PartitionLag]) {
        let behind = lags.iter().filter(|lag| lag.messages > 0);
        let selections: Vec<_> = behind
            .map(|lag| Selection::of_partitions(&lag.topic, [lag.partition], ReadFrom::Offset(lag.offset)))
            .collect();
        if selections.is_empty() {
            return;
        }
        let config = ReaderConfig { until: ReadUntil::End, max_messages: 1, ..self.config.reader_config() };
        let deadline = Instant::now() + self.timeout;
        let Ok(mut reader) = Reader::open(config, &selections) else { return };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let batch = match reader.next(left) {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(error) if error.kind() == ErrorKind::Timeout => return,
                Err(_) => continue,
            };
            let time = batch.get(0).and_then(|message| message.timestamp());
            let is_it = |lag: &&mut PartitionLag| lag.topic == batch.topic() && lag.partition == batch.partition();
            if let (Some(time), Some(lag)) = (time, lags.iter_mut().find(is_it)) {
                let made = Duration::from_millis(u64::try_from(time.milliseconds).unwrap_or(0));
                lag.age.get_or_insert(now.saturating_sub(made));
            }
            if reader.stop_partition(batch.topic(), batch.partition()).is_err() {
                return;
            }
        }
    }
}
