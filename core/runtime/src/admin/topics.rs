//! Topics: listed, described, created, deleted, given more partitions, cut at their beginning.

use super::{Admin, Outcomes, Target, judged};
use crate::config::validate_topic_name;
use crate::native::{PartitionOffset, RawNewTopic, RawTopicState, code};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::thread;
use std::time::{Duration, Instant};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The broker that leads it; `None` while nobody does.
    pub leader: Option<i32>,
    /// The brokers that are to keep it.
    pub replicas: Vec<i32>,
    /// Those that have everything.
    pub in_sync: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the cluster's default.
    pub partitions: Option<i32>,
    /// How many brokers keep each; `None` for the cluster's default.
    pub replicas: Option<i32>,
    /// Its settings, such as `cleanup.policy`.
    #[serde(default, with = "super::request::pairs")]
    pub configs: Vec<(String, String)>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Watermarks {
    /// The partition's number.
    pub partition: i32,
    /// The offset of the oldest record that is there.
    pub first: i64,
    /// One beyond the last record.
    pub end: i64,
}

/// librdkafka's marks for a question about offsets.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

impl Admin {
    /// All topics that the user may see, by name.
    ///
    /// # Errors
    /// `Timeout` when nobody answers.
    pub fn topics(&self) -> Result<Vec<TopicDescription>> {
        let cluster = self.client.cluster(None, "list topics", self.timeout).map_err(|error| self.named(error))?;
        let mut topics: Vec<_> = cluster.topics.into_iter().map(described).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// One topic.
    ///
    /// # Errors
    /// `Broker` when it does not exist, `Auth` without the right to see it, `Timeout` when nobody answers.
    pub fn topic(&self, name: &str) -> Result<TopicDescription> {
        const OPERATION: &str = "describe a topic";
        validate_topic_name(name)?;
        let cluster = self.client.cluster(Some(name), OPERATION, self.timeout).map_err(|error| self.named(error))?;
        let found = cluster.topics.into_iter().find(|topic| topic.name == name);
        let number = found.as_ref().map_or(code::UNKNOWN_TOPIC_OR_PART, |topic| topic.code);
        judged(number, "", OPERATION).map_err(|error| self.named(error.with("topic", name)))?;
        found.map(described).ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "no description"))
    }

    /// Creates a topic with the cluster's default replication, and waits until it is there.
    ///
    /// # Errors
    /// `Config` for a bad name or a count below 1, `Broker` when the topic exists or the cluster refuses, `Auth` without the
    /// right to it, `Unsupported` on the embedded broker of another process.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic =
            NewTopic { name: name.to_owned(), partitions: Some(partitions), replicas: None, configs: Vec::new() };
        let outcomes = self.create_topics(&[topic])?;
        outcomes.into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// Creates topics, and waits until their partitions have leaders.
    ///
    /// # Errors
    /// As [`Self::create_topic`], where it is none of a single topic.
    pub fn create_topics(&self, topics: &[NewTopic]) -> Result<Outcomes<String>> {
        const OPERATION: &str = "create a topic";
        for topic in topics {
            validate_topic_name(&topic.name)?;
            for (what, count) in [("partition", topic.partitions), ("replica", topic.replicas)] {
                if let Some(count) = count.filter(|count| *count < 1) {
                    let message = format!("a topic has at least 1 {what}, not {count}");
                    return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", &topic.name));
                }
            }
        }
        match &self.target {
            Target::Own(broker) => {
                let create = |topic: &NewTopic| broker.create_topic(&topic.name, topic.partitions.unwrap_or(1));
                return Ok(topics.iter().map(|topic| (topic.name.clone(), create(topic))).collect());
            }
            Target::Embedded => {
                let wanted = topics.first().map_or_else(String::new, |topic| {
                    format!(" --topic {}:{}", topic.name, topic.partitions.unwrap_or(1))
                });
                let hint = format!(
                    "start it with `libkarafka broker{wanted}`; a topic that is only used comes into being with 4 partitions"
                );
                return Err(self.unsupported(OPERATION, &hint));
            }
            Target::Cluster => {}
        }
        let native: Vec<_> = topics
            .iter()
            .map(|topic| RawNewTopic {
                name: topic.name.clone(),
                partitions: topic.partitions.unwrap_or(-1),
                replicas: topic.replicas.unwrap_or(-1),
                configs: topic.configs.clone(),
            })
            .collect();
        let outcomes = self.client.create_topics(&native, false, self.timeout).map_err(|error| self.named(error))?;
        let deadline = Instant::now() + self.timeout;
        Ok(outcomes
            .into_iter()
            .map(|(name, number, text)| {
                let wanted = topics.iter().find(|topic| topic.name == name).and_then(|topic| topic.partitions);
                let outcome = judged(number, &text, OPERATION).map_err(|error| self.named(error.with("topic", &name)));
                let outcome = outcome.and_then(|()| self.wait_for_partitions(&name, wanted.unwrap_or(1), deadline));
                (name, outcome)
            })
            .collect())
    }

    /// Deletes a topic and every record in it.
    ///
    /// # Errors
    /// As [`Self::create_topic`]; `Unsupported` on any embedded broker.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.delete_topics(&[name])?.into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// Deletes topics and every record in them.
    ///
    /// # Errors
    /// As [`Self::delete_topic`], where it is none of a single topic.
    pub fn delete_topics(&self, names: &[&str]) -> Result<Outcomes<String>> {
        const OPERATION: &str = "delete a topic";
        for name in names {
            validate_topic_name(name)?;
        }
        if !matches!(self.target, Target::Cluster) {
            return Err(self.unsupported(OPERATION, "its topics end with the process that it runs in"));
        }
        let outcomes = self.client.delete_topics(names, self.timeout).map_err(|error| self.named(error))?;
        Ok(self.outcomes(outcomes, OPERATION))
    }

    /// Gives a topic more partitions: so many in all. Keys are spread over all of them from then on, so that the order of a key's
    /// records is not kept across the change.
    ///
    /// # Errors
    /// `Broker` when it has as many or more, or does not exist; `Auth` without the right to it.
    pub fn add_partitions(&self, topic: &str, total: i32) -> Result<()> {
        const OPERATION: &str = "add partitions";
        validate_topic_name(topic)?;
        if total < 1 {
            let message = format!("a topic has at least 1 partition, not {total}");
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", topic));
        }
        self.must_be_real(OPERATION)?;
        let outcomes = self.client.create_partitions(&[(topic, total)], false, self.timeout);
        let outcomes = outcomes.map_err(|error| self.named(error))?;
        self.outcomes(outcomes, OPERATION).into_iter().try_for_each(|(_, outcome)| outcome)?;
        self.wait_for_partitions(topic, total, Instant::now() + self.timeout)
    }

    /// Whether the user may write to a topic; `None` where brokers do not tell.
    pub(crate) fn may_write(&self, topic: &str) -> Result<Option<bool>> {
        self.must_be_real("ask for rights")?;
        self.client.may_write(topic, self.timeout).map_err(|error| self.named(error.with("topic", topic)))
    }

    /// Where each partition of a topic begins and ends, transactions that are open included.
    ///
    /// # Errors
    /// As [`Self::topic`].
    pub fn watermarks(&self, topic: &str) -> Result<Vec<Watermarks>> {
        let partitions = self.topic(topic)?.partitions;
        let ask = |offset| {
            let asked: Vec<_> = partitions
                .iter()
                .map(|one| PartitionOffset { offset: Some(offset), ..PartitionOffset::new(topic, one.partition) })
                .collect();
            self.client.list_offsets(&asked, false, self.timeout).map_err(|error| self.named(error))
        };
        let (firsts, ends) = (ask(EARLIEST)?, ask(LATEST)?);
        let mut marks = Vec::new();
        for first in firsts {
            let end = ends.iter().find(|end| end.partition == first.partition);
            let number = end.map_or(first.code, |end| if first.code == 0 { end.code } else { first.code });
            judged(number, "", "look offsets up")
                .map_err(|error| self.named(error.with("topic", topic).with("partition", first.partition)))?;
            let begin = first.offset.unwrap_or(0);
            let end = end.and_then(|end| end.offset).unwrap_or(begin);
            marks.push(Watermarks { partition: first.partition, first: begin, end });
        }
        marks.sort_by_key(|mark| mark.partition);
        Ok(marks)
    }

    /// Deletes the records below an offset (`None`: all that are there) of each given partition. Tells where each begins now.
    ///
    /// # Errors
    /// As [`Self::topic`], where it is none of a single partition.
    pub fn truncate(&self, topic: &str, before: &[(i32, Option<i64>)]) -> Result<Outcomes<i32, i64>> {
        const OPERATION: &str = "delete records";
        validate_topic_name(topic)?;
        self.must_be_real(OPERATION)?;
        if let Some((partition, offset)) = before.iter().find(|(_, offset)| offset.is_some_and(|offset| offset < 0)) {
            let message = format!("{} is no offset", offset.unwrap_or_default());
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("partition", partition));
        }
        let entry = |(partition, offset): &(i32, Option<i64>)| PartitionOffset {
            offset: *offset,
            ..PartitionOffset::new(topic, *partition)
        };
        // librdkafka finds no leader of a partition that is not there, and says so of those beside it too.
        let there = self.topic(topic)?.partitions;
        let is_there = |(partition, _): &(i32, Option<i64>)| there.iter().any(|one| one.partition == *partition);
        let (asked, missing): (Vec<_>, Vec<_>) = before.iter().partition(|one| is_there(one));
        let refused = missing.into_iter().map(|(partition, _)| {
            let message = format!("the topic has {} partitions, and not this one", there.len());
            let error = Error::new(ErrorKind::Broker, OPERATION, message).kafka_code(code::UNKNOWN_TOPIC_OR_PART);
            (partition, Err(self.named(error.with("topic", topic).with("partition", partition))))
        });
        let refused: Outcomes<i32, i64> = refused.collect();
        if asked.is_empty() {
            return Ok(refused);
        }
        let asked: Vec<_> = asked.iter().map(entry).collect();
        let answers = self.client.delete_records(&asked, self.timeout).map_err(|error| self.named(error))?;
        let judge = |answer: PartitionOffset| {
            let outcome = judged(answer.code, "", OPERATION);
            let named = |error: Error| self.named(error.with("topic", topic).with("partition", answer.partition));
            (answer.partition, outcome.map(|()| answer.offset.unwrap_or(0)).map_err(named))
        };
        Ok(answers.into_iter().map(judge).chain(refused).collect())
    }

    pub(super) fn outcomes(&self, outcomes: Vec<(String, i32, String)>, operation: &'static str) -> Outcomes<String> {
        let judge = |(name, number, text): (String, i32, String)| {
            let outcome = judged(number, &text, operation).map_err(|error| self.named(error.with("name", &name)));
            (name, outcome)
        };
        outcomes.into_iter().map(judge).collect()
    }

    /// A topic that was just created is not known to every broker at once.
    fn wait_for_partitions(&self, name: &str, partitions: i32, deadline: Instant) -> Result<()> {
        let wanted = usize::try_from(partitions).unwrap_or_default();
        while Instant::now() < deadline {
            let led = |topic: &TopicDescription| topic.partitions.iter().filter(|one| one.leader.is_some()).count();
            if self.topic(name).is_ok_and(|topic| led(&topic) >= wanted) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let message = format!("it was created, but has no leaders after {:?}", self.timeout);
        Err(Error::new(ErrorKind::Timeout, "create a topic", message).with("topic", name).retriable())
    }
}

fn described(topic: RawTopicState) -> TopicDescription {
    let mut partitions: Vec<_> = topic
        .partitions
        .into_iter()
        .map(|one| PartitionDescription {
            partition: one.partition,
            leader: (one.leader >= 0).then_some(one.leader),
            replicas: one.replicas,
            in_sync: one.in_sync,
        })
        .collect();
    partitions.sort_by_key(|one| one.partition);
    TopicDescription { name: topic.name, partitions }
}
