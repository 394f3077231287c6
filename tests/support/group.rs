//! What a consumer group has committed, asked from the broker.
//!
//! Called by tests from any thread. For every commit ever made, not only the last, see [`crate::commits`].

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{topics, wait};

const ANSWER: Duration = Duration::from_secs(30);

/// The group's committed offset and metadata for each partition of the topic that has one.
pub fn committed(bootstrap: &str, group: &str, topic: &str) -> BTreeMap<i32, (i64, String)> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        // Else there is no answer while any transaction of the group is about to commit: under load there is always one.
        .set("isolation.level", "read_uncommitted")
        .create()
        .expect("cannot make a consumer");
    let mut list = TopicPartitionList::new();
    for partition in topics::log_end(bootstrap, topic).into_keys() {
        list.add_partition(topic, partition);
    }
    // A coordinator that was just elected still loads its log: that is not yet an answer.
    let answer = wait::until_some(wait::LONG, &format!("an answer on the offsets of group {group}"), || {
        client.committed_offsets(list.clone(), ANSWER).ok()
    });
    let commit = |one: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match one.offset() {
        Offset::Offset(offset) => Some((one.partition(), (offset, one.metadata().to_owned()))),
        _ => None,
    };
    answer.elements().into_iter().filter_map(commit).collect()
}

/// The group's committed offset for each partition of the topic that has one.
pub fn committed_offsets(bootstrap: &str, group: &str, topic: &str) -> BTreeMap<i32, i64> {
    committed(bootstrap, group, topic).into_iter().map(|(partition, (offset, _))| (partition, offset)).collect()
}

/// Commits by hand, as a person with another tool does: outside of the group's protocol.
///
/// # Errors
/// What the broker says: it refuses this while the group has members.
pub fn commit(
    bootstrap: &str,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    metadata: &str,
) -> Result<(), KafkaError> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    let mut place = list.add_partition(topic, partition);
    place.set_offset(Offset::Offset(offset)).expect("an offset");
    place.set_metadata(metadata);
    client.commit(&list, CommitMode::Sync)
}

/// Removes the group with all its offsets. The broker refuses it while the group has members.
pub fn delete(bootstrap: &str, group: &str) {
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let answer = wait::block_on(topics::admin(bootstrap).delete_groups(&[group], &options)).expect("cannot delete");
    assert!(answer.iter().all(Result::is_ok), "cannot delete group {group}: {answer:?}");
}

/// How many messages the group has not committed yet. A partition without a commit counts from its beginning.
pub fn lag(bootstrap: &str, group: &str, topic: &str) -> i64 {
    let committed = committed_offsets(bootstrap, group, topic);
    let behind = |(partition, end): (i32, i64)| end - committed.get(&partition).copied().unwrap_or(0);
    topics::log_end(bootstrap, topic).into_iter().map(behind).sum()
}

/// What the group is doing, in Kafka's words (`Stable`, `PreparingRebalance`, ...). Empty for a group that is not there.
pub fn state(bootstrap: &str, group: &str) -> String {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("cannot make a client");
    let list = wait::until_some(wait::LONG, &format!("an answer on group {group}"), || {
        client.fetch_group_list(Some(group), ANSWER).ok()
    });
    list.groups().iter().find(|one| one.name() == group).map(|one| one.state().to_owned()).unwrap_or_default()
}
