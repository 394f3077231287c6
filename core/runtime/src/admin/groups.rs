//! Consumer groups: listed, described, moved, copied, renamed, deleted.
//!
//! What a group has committed can only be changed while it has no members; a group that has some is refused, in words. librdkafka
//! has no call that removes members from a group: they leave when they stop, or their session runs out.

use super::{Admin, Outcomes, judged};
use crate::config::{validate_existing_group_name, validate_group_name, validate_topic_name};
use crate::native::{PartitionOffset, code, with_members};
use crate::{Error, ErrorKind, Result, SeekTo};
use serde::Serialize;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupListing {
    /// Its name.
    pub group: String,
    /// Its state in Kafka's words, such as `Stable` or `Empty`.
    pub state: String,
    /// Its protocol: `Classic` or `Consumer`.
    pub protocol: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// The group's name for it.
    pub id: String,
    /// Its own name.
    pub client_id: String,
    /// The name under which it keeps its partitions over restarts, if it has one.
    pub instance_id: Option<String>,
    /// Where it runs.
    pub host: String,
    /// Its partitions: topics and numbers.
    pub partitions: Vec<(String, i32)>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupDescription {
    /// Its name.
    pub group: String,
    /// Its state in Kafka's words; `Dead` where there is none of this name.
    pub state: String,
    /// Its protocol: `Classic` or `Consumer`.
    pub protocol: String,
    /// How partitions are shared out, such as `cooperative-sticky`.
    pub assignor: String,
    /// The broker that keeps it.
    pub coordinator: Option<i32>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// What a group has committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset of the next record to be handled.
    pub offset: i64,
    /// The text beside it.
    pub metadata: String,
}

impl Admin {
    /// All groups, by name.
    ///
    /// # Errors
    /// `Broker` when a broker could not list its groups, `Timeout` when nobody answers.
    pub fn groups(&self) -> Result<Vec<GroupListing>> {
        const OPERATION: &str = "list groups";
        self.must_be_real(OPERATION)?;
        let (groups, failures) = self.client.list_groups(self.timeout).map_err(|error| self.named(error))?;
        for (number, text) in failures {
            judged(number, &text, OPERATION).map_err(|error| self.named(error))?;
        }
        let listing = |group: crate::native::RawGroupListing| GroupListing {
            group: group.group,
            state: group.state,
            protocol: group.protocol,
        };
        let mut groups: Vec<_> = groups.into_iter().map(listing).collect();
        groups.sort_by(|one, other| one.group.cmp(&other.group));
        Ok(groups)
    }

    /// Groups with their members.
    ///
    /// # Errors
    /// `Config` for a name that no group can have, `Timeout` when nobody answers; what is wrong with one group is its outcome.
    pub fn describe_groups(&self, groups: &[&str]) -> Result<Outcomes<String, GroupDescription>> {
        const OPERATION: &str = "describe groups";
        groups.iter().try_for_each(|group| validate_existing_group_name(group))?;
        self.must_be_real(OPERATION)?;
        let found = self.client.describe_groups(groups, self.timeout).map_err(|error| self.named(error))?;
        Ok(found
            .into_iter()
            .map(|found| {
                let (group, number, text) = found.outcome;
                let member = |member: crate::native::RawMember| GroupMember {
                    id: member.id,
                    client_id: member.client_id,
                    instance_id: member.instance_id,
                    host: member.host,
                    partitions: member.partitions.into_iter().map(|one| (one.topic, one.partition)).collect(),
                };
                let outcome = judged(number, &text, OPERATION);
                let outcome = outcome.map_err(|error| self.named(error.with("group", &group)));
                let description = GroupDescription {
                    group: group.clone(),
                    state: found.state,
                    protocol: found.protocol,
                    assignor: found.assignor,
                    coordinator: (found.coordinator >= 0).then_some(found.coordinator),
                    members: found.members.into_iter().map(member).collect(),
                };
                (group, outcome.map(|()| description))
            })
            .collect())
    }

    /// What a group has committed, by topic and partition. What a transaction is about to commit does not count yet.
    ///
    /// # Errors
    /// `Config` for a name that no group can have, `Auth` without the right to it, `Timeout` when nobody answers.
    pub fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>> {
        self.offsets_of(group, false)
    }

    /// `decided`: a partition whose offset an open transaction is about to change is an error.
    fn offsets_of(&self, group: &str, decided: bool) -> Result<Vec<GroupOffset>> {
        const OPERATION: &str = "read a group's offsets";
        validate_existing_group_name(group)?;
        if !matches!(self.target, super::Target::Cluster) {
            return Err(self.unsupported(OPERATION, "it tells offsets of given partitions only, to members"));
        }
        let answers =
            self.client.group_offsets(group, None, decided, self.timeout).map_err(|error| self.named(error))?;
        let mut offsets = Vec::new();
        for answer in answers {
            judged(answer.code, "", OPERATION).map_err(|error| self.named(error.with("group", group)))?;
            let (topic, partition, metadata) = (answer.topic, answer.partition, answer.metadata.unwrap_or_default());
            offsets.extend(answer.offset.map(|offset| GroupOffset { topic, partition, offset, metadata }));
        }
        offsets.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        Ok(offsets)
    }

    /// Moves a group: the next record that it handles of each partition of a topic (or of those given) is at the target. Tells the new
    /// offsets. What it had done beyond its old offset is forgotten.
    ///
    /// # Errors
    /// `Config` for a name that cannot be, `Broker` when the group has members or the topic does not exist; what is wrong with one
    /// partition, such as an offset outside of its log, is its outcome.
    pub fn seek_group(&self, group: &str, topic: &str, partitions: &[i32], to: SeekTo) -> Result<Outcomes<i32, i64>> {
        const OPERATION: &str = "move a group";
        validate_group_name(group)?;
        let marks = self.watermarks(topic)?;
        let mut wanted = Vec::new();
        let mut outcomes: Outcomes<i32, i64> = Vec::new();
        let chosen: Vec<i32> =
            if partitions.is_empty() { marks.iter().map(|mark| mark.partition).collect() } else { partitions.to_vec() };
        let times = match to {
            SeekTo::Time(time) => {
                self.must_be_real(OPERATION)?;
                let ask = |partition: &i32| PartitionOffset {
                    offset: Some(time.max(0)),
                    ..PartitionOffset::new(topic, *partition)
                };
                let asked: Vec<_> = chosen.iter().map(ask).collect();
                // Of open transactions, too: what is committed later is to be handled as well.
                self.client.list_offsets(&asked, false, self.timeout).map_err(|error| self.named(error))?
            }
            _ => Vec::new(),
        };
        for partition in chosen {
            let Some(mark) = marks.iter().find(|mark| mark.partition == partition) else {
                let message = format!("the topic has no partition {partition}");
                outcomes.push((partition, Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", topic))));
                continue;
            };
            let offset = match to {
                SeekTo::Earliest => mark.first,
                SeekTo::Latest => mark.end,
                SeekTo::Offset(offset) => offset,
                SeekTo::Time(_) => match found_at(&times, partition) {
                    Ok(found) => found.unwrap_or(mark.end),
                    Err(error) => {
                        outcomes.push((partition, Err(self.named(error.with("topic", topic)))));
                        continue;
                    }
                },
            };
            if offset < mark.first || offset > mark.end {
                let message = format!("offset {offset} is outside of the log, {} to {}", mark.first, mark.end);
                let error = Error::new(ErrorKind::Config, OPERATION, message).with("topic", topic);
                outcomes.push((partition, Err(error.with("partition", partition))));
                continue;
            }
            wanted.push(PartitionOffset { offset: Some(offset), ..PartitionOffset::new(topic, partition) });
        }
        for (at, outcome) in self.commit(group, &wanted, OPERATION)? {
            outcomes.push((at.partition, outcome.map(|()| at.offset.unwrap_or_default())));
        }
        outcomes.sort_by_key(|(partition, _)| *partition);
        Ok(outcomes)
    }

    /// Gives a group what another one has committed, marks and texts included. The other one keeps it.
    ///
    /// # Errors
    /// `Broker` when the new group has members, or a transaction is about to commit for the old one; `Config` when that has committed
    /// nothing, for a name that cannot be, or twice the same; what is wrong with one partition is its outcome.
    pub fn copy_group(&self, from: &str, to: &str) -> Result<Outcomes<(String, i32)>> {
        const OPERATION: &str = "copy a group";
        validate_group_name(to)?;
        if from == to {
            let message = "it would be copied onto itself";
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("group", from));
        }
        let offsets = self.offsets_of(from, true)?;
        if offsets.is_empty() {
            let message = "the group has committed nothing, or does not exist";
            return Err(self.named(Error::new(ErrorKind::Config, OPERATION, message).with("group", from)));
        }
        let entry = |one: GroupOffset| PartitionOffset {
            offset: Some(one.offset),
            metadata: Some(one.metadata),
            ..PartitionOffset::new(&one.topic, one.partition)
        };
        let wanted: Vec<_> = offsets.into_iter().map(entry).collect();
        let outcomes = self.commit(to, &wanted, OPERATION)?;
        Ok(outcomes.into_iter().map(|(at, outcome)| ((at.topic, at.partition), outcome)).collect())
    }

    /// Copies a group to another name, then deletes it; it must have no members. Not one step: who fails in between is left with both.
    ///
    /// # Errors
    /// As [`Self::copy_group`] and [`Self::delete_groups`]. Where one partition was not copied, nothing is deleted.
    pub fn rename_group(&self, from: &str, to: &str) -> Result<()> {
        // The names first, then the members, for a refused rename leaves no copy behind.
        validate_group_name(to)?;
        for (group, described) in self.describe_groups(&[from])? {
            if described.is_ok_and(|described| !described.members.is_empty()) {
                let error = Error::new(ErrorKind::Broker, "rename a group", "").kafka_code(code::NON_EMPTY_GROUP);
                return Err(self.named(with_members(error, &group)));
            }
        }
        self.copy_group(from, to)?.into_iter().try_for_each(|(_, outcome)| outcome)?;
        self.delete_groups(&[from])?.into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// Deletes groups and what they have committed; they must have no members.
    ///
    /// # Errors
    /// `Config` for a name that no group can have, `Timeout` when nobody answers; what is wrong with one group is its outcome.
    pub fn delete_groups(&self, groups: &[&str]) -> Result<Outcomes<String>> {
        const OPERATION: &str = "delete groups";
        groups.iter().try_for_each(|group| validate_existing_group_name(group))?;
        self.must_be_real(OPERATION)?;
        let outcomes = self.client.delete_groups(groups, self.timeout).map_err(|error| self.named(error))?;
        let judge = |(group, number, text): (String, i32, String)| {
            let outcome = judged(number, &text, OPERATION).map_err(|error| self.named(with_members(error, &group)));
            (group, outcome)
        };
        Ok(outcomes.into_iter().map(judge).collect())
    }

    /// Forgets what a group has committed for some partitions of a topic.
    ///
    /// # Errors
    /// As [`Self::delete_groups`]; what is wrong with one partition is its outcome.
    pub fn delete_group_offsets(&self, group: &str, topic: &str, partitions: &[i32]) -> Result<Outcomes<i32>> {
        const OPERATION: &str = "delete a group's offsets";
        validate_existing_group_name(group)?;
        validate_topic_name(topic)?;
        self.must_be_real(OPERATION)?;
        let asked: Vec<_> = partitions.iter().map(|partition| PartitionOffset::new(topic, *partition)).collect();
        let answers = self.client.delete_group_offsets(group, &asked, self.timeout);
        let answers = answers.map_err(|error| self.named(error))?;
        let judge = |answer: PartitionOffset| {
            let outcome = judged(answer.code, "", OPERATION).map_err(|error| with_members(error, group));
            (answer.partition, outcome)
        };
        Ok(answers.into_iter().map(judge).collect())
    }

    fn commit(
        &self,
        group: &str,
        offsets: &[PartitionOffset],
        operation: &'static str,
    ) -> Result<Outcomes<PartitionOffset>> {
        let answers = self.client.alter_group_offsets(group, offsets, self.timeout);
        let answers = answers.map_err(|error| self.named(error))?;
        let judge = |answer: PartitionOffset| {
            let outcome = judged(answer.code, "", operation).map_err(|error| {
                self.named(with_members(error, group).with("topic", &answer.topic).with("partition", answer.partition))
            });
            (answer, outcome)
        };
        Ok(answers.into_iter().map(judge).collect())
    }
}

/// Where a time is in a partition: nothing where it lies behind the last record. That nobody could say so is an error, since a
/// group that is moved to the end handles nothing of what is there.
fn found_at(times: &[PartitionOffset], partition: i32) -> Result<Option<i64>> {
    let found = times.iter().find(|found| found.partition == partition);
    let number = found.map_or(code::UNKNOWN_TOPIC_OR_PART, |found| found.code);
    judged(number, "", "look offsets up").map_err(|error| error.with("partition", partition))?;
    Ok(found.and_then(|found| found.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nobody_could_look_up_is_not_the_end() {
        let answer = |partition, offset, code| PartitionOffset { offset, code, ..PartitionOffset::new("t", partition) };
        let times =
            [answer(0, Some(7), code::NO_ERROR), answer(1, None, code::NO_ERROR), answer(2, None, code::TIMED_OUT)];
        assert_eq!(found_at(&times, 0).ok(), Some(Some(7)));
        assert_eq!(found_at(&times, 1).ok(), Some(None));
        assert!(found_at(&times, 2).is_err() && found_at(&times, 3).is_err());
    }
}
