//! A pattern reads every topic whose whole name matches it, those too that are made later, and forgets those that go; other
//! topics are left alone. Classic protocol and KIP-848 do the same.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::{broker, topics};
use std::time::{Duration, Instant};

const AGE: Duration = Duration::from_secs(2);

fn come_and_go(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let stem = topics::unique(name);
    let make = |topic: &str| topics::create_named(bootstrap, topic, 2, 1, &[]);
    let [first, later, other] = ["first", "later", "x"].map(|end| format!("{stem}.{end}"));
    make(&first);
    make(&other);
    let mut produced = produce_keyed(bootstrap, &first, 10, 100);
    produce_keyed(bootstrap, &other, 10, 100);
    let pattern = format!("^{}\\.[a-z][a-z]+", stem.replace('.', "\\."));
    let age = format!("kafka.topic.metadata.refresh.interval.ms={}", AGE.as_millis());
    let options = [&["work_us=0", "app.commit_interval=100ms", &age], options].concat();
    let mut members = fleet(bootstrap, &topics::unique(name), &pattern, &options);
    let member = members.join();
    members.wait_handled(100, PATIENCE);
    make(&later);
    let began = Instant::now();
    produced.extend(produce_keyed(bootstrap, &later, 10, 100));
    members.wait_handled(200, PATIENCE);
    let within = began.elapsed();
    assert!(within <= AGE + Duration::from_secs(8), "a new topic was read after {within:?} only");
    topics::delete(bootstrap, &later);
    let gone = |line: &str| line.contains("rebalance.partitions_revoked") && line.contains(&later);
    members.program(member).wait_for_line(PATIENCE, "that the deleted topic is given up", gone);
    produced.extend(produce_keyed(bootstrap, &first, 10, 100));
    members.wait_handled(300, PATIENCE);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), 300, "nothing of another topic, and nothing twice");
}

#[test]
fn by_the_classic_protocol() {
    come_and_go("pattern-classic", &["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    come_and_go("pattern-kip-848", &["app.group_protocol=consumer"]);
}
