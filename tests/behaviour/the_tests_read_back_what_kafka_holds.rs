//! The test support sees in a real Kafka exactly what a plain client has put there.

use std::collections::BTreeMap;

use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, broker::Broker, commits, group, topics};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

fn commit(bootstrap: &str, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    let mut place = list.add_partition(topic, partition);
    place.set_offset(Offset::Offset(offset)).unwrap();
    place.set_metadata(metadata);
    client.commit(&list, CommitMode::Sync).unwrap();
}

#[test]
fn records_with_keys_headers_and_partitions() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 3);
    let mut records: Vec<_> =
        (0..1000).map(|n| Record::keyed(format!("key {}", n % 7), format!("value {n}"))).collect();
    records.push(Record { headers: vec![("h".to_owned(), b"1".to_vec())], ..Record::plain("last").to(2) });
    let produced = topics::produce(bootstrap, &topic, &records);

    assert_eq!(produced.len(), 1001);
    assert_eq!((produced[1000].partition, produced[1000].headers.len()), (2, 1));
    let mut expected = produced;
    expected.sort_by_key(|message| (message.partition, message.offset));
    assert_eq!(topics::read(bootstrap, &topic), expected);
    assert_eq!(topics::log_end(bootstrap, &topic).values().sum::<i64>(), 1001);
    topics::delete(bootstrap, &topic);
}

#[test]
fn every_commit_of_a_group_in_order() {
    let bootstrap = broker::shared();
    let (topic, other) = (topics::create(bootstrap, 2), topics::create(bootstrap, 1));
    topics::produce(bootstrap, &topic, &vec![Record::plain("x").to(1); 50]);
    let group = topics::unique("group");
    assert_eq!(group::committed(bootstrap, &group, &topic), BTreeMap::new());
    commit(bootstrap, &group, &topic, 1, 10, "");
    commit(bootstrap, &group, &other, 0, 5, "");
    commit(bootstrap, &topics::unique("group"), &topic, 1, 11, "");
    commit(bootstrap, &group, &topic, 1, 42, "what is done beyond");

    assert_eq!(group::committed(bootstrap, &group, &topic), BTreeMap::from([(1, (42, "what is done beyond".into()))]));
    assert_eq!(group::lag(bootstrap, &group, &topic), 8);
    let all = commits::all(bootstrap, &group);
    let seen: Vec<_> = all.iter().map(|one| (one.topic.as_str(), one.partition, one.offset, &*one.metadata)).collect();
    let (topic, other) = (topic.as_str(), other.as_str());
    assert_eq!(seen, [(topic, 1, 10, ""), (other, 0, 5, ""), (topic, 1, 42, "what is done beyond")]);
    assert!(all.is_sorted_by_key(|commit| commit.at));
    assert!(all[0].at > 1_700_000_000_000);
}

#[test]
fn a_broker_that_was_killed_comes_back_with_its_data() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = topics::create(&bootstrap, 1);
    let produced = topics::produce(&bootstrap, &topic, &[Record::plain("before")]);
    commit(&bootstrap, "group", &topic, 0, 1, "kept");
    broker.kill();
    broker.restart();
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_eq!(topics::read(&bootstrap, &topic), produced);
    assert_eq!(group::committed(&bootstrap, "group", &topic), BTreeMap::from([(0, (1, "kept".to_owned()))]));
    broker.stop();
    assert_eq!(broker.log_warnings(), Vec::<String>::new());
}
