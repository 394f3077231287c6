//! Partitions that are assigned directly are read by the processes that name them, committed for their group, and with `all` found
//! when they are added.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, topics};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[test]
fn each_process_reads_what_it_names_and_goes_on_where_it_ended() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 3);
    let name = topics::unique("direct");
    let mut members = fleet(bootstrap, &name, &topic, &["work_us=0"]);
    let mut produced = produce_keyed(bootstrap, &topic, 30, 300);
    let parts = ["topic.assign=0-1", "topic.assign=2-2"];
    let [one, two] = parts.map(|part| members.join_with(&[part]));
    members.wait_handled(300, PATIENCE);
    members.leave(one, PATIENCE);
    members.leave(two, PATIENCE);
    assert_eq!(group::lag(bootstrap, &name, &topic), 0, "all is committed for the group");
    produced.extend(produce_keyed(bootstrap, &topic, 30, 300));
    members.join_with(&["topic.assign=all"]);
    members.wait_handled(600, PATIENCE);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), 600, "nothing was done twice");
    let mut readers: BTreeMap<i32, BTreeSet<u32>> = BTreeMap::new();
    for span in &spans {
        readers.entry(span.place.partition).or_default().insert(span.process);
    }
    assert_eq!(readers[&0], readers[&1]);
    assert_eq!(
        readers[&0].intersection(&readers[&2]).count(),
        1,
        "only the last process read all of them: {readers:?}"
    );
}

#[test]
fn added_partitions_are_found() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let options = ["work_us=0", "topic.assign=all", "kafka.topic.metadata.refresh.interval.ms=1000"];
    let mut members = fleet(bootstrap, &topics::unique("direct-added"), &topic, &options);
    let mut produced = produce_keyed(bootstrap, &topic, 10, 100);
    members.join();
    members.wait_handled(100, PATIENCE);
    topics::grow(bootstrap, &topic, 3);
    let began = Instant::now();
    let new: Vec<_> = (1..3).map(|partition| Record::keyed("new", "x").to(partition)).collect();
    produced.extend(topics::produce(bootstrap, &topic, &new));
    members.wait_handled(102, PATIENCE);
    let within = began.elapsed();
    assert!(within <= Duration::from_secs(6), "new partitions were read after {within:?} only");
    members.leave_all(PATIENCE);
    assert_eq!(members.judge(&produced).len(), 102);
}
