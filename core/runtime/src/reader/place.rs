//! Where a reader begins in each partition, and where it ends.
//!
//! Found once when a reader is opened, on its caller's thread, with one question about each topic and two or three about all
//! partitions; moved on as records are sorted.

use super::{OPERATION, ReadUntil, ReaderConfig, is_committed, is_embedded, left};
use crate::native::{Client, PartitionOffset, code, describe, kind_of};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// librdkafka's marks for a question about offsets.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// With the oldest record that is there.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// With the record of this offset, or the first after it. A negative one counts from the end: -5 is `Last(5)`.
    Offset(i64),
    /// With the first record that is not older than this: milliseconds since 1970-01-01 UTC. At the end where there is none.
    Time(i64),
    /// So many offsets before the end of each partition. Where compaction or transactions left gaps, that is fewer records.
    Last(u64),
}

impl ReadFrom {
    /// By its word, and the number that belongs to it: `earliest`, `latest`, `offset`, `time`, `last`.
    ///
    /// # Errors
    /// `Config` for another word, and for a number of records below 0.
    pub fn named(word: &str, number: i64) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, OPERATION, message));
        match word {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "offset" => Ok(Self::Offset(number)),
            "time" => Ok(Self::Time(number)),
            "last" => match u64::try_from(number) {
                Ok(count) => Ok(Self::Last(count)),
                Err(_) => refuse(format!("the last {number} records are none")),
            },
            _ => refuse(format!("{word:?} is no place to read from: take earliest, latest, offset, time or last")),
        }
    }
}

/// What of a topic is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The topic's name.
    pub topic: String,
    /// The partitions' numbers; none for all of them.
    pub partitions: Vec<i32>,
    /// Where reading begins.
    pub from: ReadFrom,
}

impl Selection {
    /// All partitions of a topic.
    pub fn new(topic: impl Into<String>, from: ReadFrom) -> Self {
        Self { topic: topic.into(), partitions: Vec::new(), from }
    }

    /// Some partitions of a topic.
    pub fn of_partitions(topic: impl Into<String>, partitions: impl Into<Vec<i32>>, from: ReadFrom) -> Self {
        Self { topic: topic.into(), partitions: partitions.into(), from }
    }
}

/// How far one partition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// Where reading began.
    pub start: i64,
    /// The offset of the next record at the earliest.
    pub next: i64,
    /// Where the log ended when the reader was opened.
    pub end: i64,
    /// Whether everything that was asked for is read.
    pub is_done: bool,
    pub(super) until: ReadUntil,
}

impl Place {
    /// A partition that was read as far as it is to be is done.
    pub(super) fn end_where_nothing_is_left(&mut self) {
        self.is_done |= self.until == ReadUntil::End && self.next >= self.end;
    }
}

/// Where the selected partitions begin and end.
pub(super) fn find(client: &Client, config: &ReaderConfig, selections: &[Selection]) -> Result<Vec<Place>> {
    let began = Instant::now();
    let mut chosen: Vec<(Arc<str>, i32, ReadFrom)> = Vec::new();
    let mut seen = BTreeSet::new();
    for selection in selections {
        let there = partitions_of(client, &selection.topic, left(began, config.timeout))?;
        let topic: Arc<str> = Arc::from(selection.topic.as_str());
        let wanted = if selection.partitions.is_empty() { &there } else { &selection.partitions };
        for partition in wanted {
            if !there.contains(partition) {
                let message = format!("partition {partition} does not exist; the topic has {}", there.len());
                return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", &topic));
            }
            if !seen.insert((Arc::clone(&topic), *partition)) {
                let message = format!("partition {partition} is selected twice");
                return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", &topic));
            }
            chosen.push((Arc::clone(&topic), *partition, selection.from));
        }
    }
    let has_time = chosen.iter().any(|(_, _, from)| matches!(from, ReadFrom::Time(_)));
    if has_time && is_embedded(client, config, left(began, config.timeout)) {
        let message = "the embedded broker does not know when its messages were made; read from an offset";
        return Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
    }
    let ask = |of: &dyn Fn(ReadFrom) -> Option<i64>| {
        let asked: Vec<_> = chosen
            .iter()
            .filter_map(|(topic, partition, from)| {
                let offset = Some(of(*from)?);
                Some(PartitionOffset { offset, ..PartitionOffset::new(topic, *partition) })
            })
            .collect();
        let answers = client.list_offsets(&asked, is_committed(config), left(began, config.timeout))?;
        answers.into_iter().map(judged).collect::<Result<Vec<_>>>()
    };
    let firsts = ask(&|_| Some(EARLIEST))?;
    let ends = ask(&|_| Some(LATEST))?;
    let times = ask(&|from| if let ReadFrom::Time(time) = from { Some(time.max(0)) } else { None })?;
    let offset_in = |answers: &[PartitionOffset], topic: &str, partition: i32| {
        let found = answers.iter().find(|answer| answer.partition == partition && answer.topic == topic)?;
        found.offset
    };
    chosen
        .into_iter()
        .map(|(topic, partition, from)| {
            let first = offset_in(&firsts, &topic, partition).unwrap_or(0);
            let end = offset_in(&ends, &topic, partition).unwrap_or(first);
            let start = match from {
                ReadFrom::Time(_) => offset_in(&times, &topic, partition).unwrap_or(end),
                other => start_of(other, first, end)
                    .map_err(|error| error.with("topic", &topic).with("partition", partition))?,
            };
            let mut place = Place { topic, partition, start, next: start, end, is_done: false, until: config.until };
            place.end_where_nothing_is_left();
            Ok(place)
        })
        .collect()
}

/// The oldest offset of a partition that is left.
pub(super) fn first_of(client: &Client, topic: &str, partition: i32, timeout: Duration) -> Result<i64> {
    let asked = PartitionOffset { offset: Some(EARLIEST), ..PartitionOffset::new(topic, partition) };
    let answer = client.list_offsets(&[asked], true, timeout)?.into_iter().next().map(judged).transpose()?;
    Ok(answer.and_then(|answer| answer.offset).unwrap_or(0))
}

fn start_of(from: ReadFrom, first: i64, end: i64) -> Result<i64> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Config, OPERATION, message));
    match from {
        ReadFrom::Earliest => Ok(first),
        ReadFrom::Latest | ReadFrom::Time(_) => Ok(end),
        ReadFrom::Offset(offset) if offset < 0 => Ok(end.saturating_add(offset).max(first)),
        ReadFrom::Offset(offset) if offset > end => {
            refuse(format!("offset {offset} lies beyond the end of the log, which is {end}"))
        }
        ReadFrom::Offset(offset) => Ok(offset.max(first)),
        ReadFrom::Last(count) => Ok(end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX)).max(first)),
    }
}

fn partitions_of(client: &Client, topic: &str, timeout: Duration) -> Result<Vec<i32>> {
    let cluster = client.cluster(Some(topic), OPERATION, timeout)?;
    let refused =
        |number: i32| Error::new(kind_of(number), OPERATION, describe(number)).kafka_code(number).with("topic", topic);
    let found = cluster.topics.into_iter().find(|found| found.name == topic);
    match found {
        Some(found) if found.code == code::NO_ERROR => {
            Ok(found.partitions.into_iter().map(|partition| partition.partition).collect())
        }
        Some(found) => Err(refused(found.code)),
        None => Err(refused(code::UNKNOWN_TOPIC_OR_PART)),
    }
}

fn judged(answer: PartitionOffset) -> Result<PartitionOffset> {
    if answer.code == code::NO_ERROR {
        return Ok(answer);
    }
    let error = Error::new(kind_of(answer.code), OPERATION, describe(answer.code)).kafka_code(answer.code);
    Err(error.with("topic", &answer.topic).with("partition", answer.partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_lies_inside_of_the_log() {
        for (from, start) in [
            (ReadFrom::Earliest, 10),
            (ReadFrom::Latest, 50),
            (ReadFrom::Offset(0), 10),
            (ReadFrom::Offset(20), 20),
            (ReadFrom::Offset(50), 50),
            (ReadFrom::Offset(-1), 49),
            (ReadFrom::Offset(i64::MIN), 10),
            (ReadFrom::Last(0), 50),
            (ReadFrom::Last(5), 45),
            (ReadFrom::Last(u64::MAX), 10),
        ] {
            assert_eq!(start_of(from, 10, 50).ok(), Some(start), "{from:?}");
        }
        for from in [ReadFrom::Offset(51), ReadFrom::Offset(i64::MAX)] {
            assert_eq!(start_of(from, 10, 50).err().map(|error| error.kind()), Some(ErrorKind::Config), "{from:?}");
        }
    }
}
