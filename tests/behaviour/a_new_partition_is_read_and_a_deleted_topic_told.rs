//! Acceptance scenario 21: partitions that are added are read soon after the client's metadata is renewed; a topic that is
//! deleted is told as an error while the others go on and the stop stays quick; a topic that comes back with fewer partitions is
//! read anew.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, topics, wait};
use std::time::{Duration, Instant};

const METADATA_AGE: &str = "kafka.topic.metadata.refresh.interval.ms=3000";
const AGE: Duration = Duration::from_secs(3);

fn added(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 2);
    let mut members =
        fleet(bootstrap, &topics::unique(name), &topic, &[&["work_us=0", METADATA_AGE], options].concat());
    let mut produced = produce_keyed(bootstrap, &topic, 20, 200);
    members.join();
    members.wait_handled(200, PATIENCE);
    topics::grow(bootstrap, &topic, 5);
    let began = Instant::now();
    let new: Vec<_> = (2..5).map(|partition| Record::keyed("new", "x").to(partition)).collect();
    produced.extend(topics::produce(bootstrap, &topic, &new));
    members.wait_handled(203, PATIENCE);
    let within = began.elapsed();
    assert!(within <= AGE + Duration::from_secs(5), "new partitions were read after {within:?} only");
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), 203, "nothing was done twice");
}

#[test]
fn added_partitions_by_the_classic_protocol() {
    added("added-classic", &[]);
}

#[test]
fn added_partitions_by_the_protocol_of_kip_848() {
    added("added-kip-848", &["app.group_protocol=consumer"]);
}

fn deleted(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let (stays, goes) = (topics::create(bootstrap, 2), topics::create(bootstrap, 2));
    let both = format!("{stays},{goes}");
    let mut members = fleet(bootstrap, &topics::unique(name), &both, &[&["work_us=0", METADATA_AGE], options].concat());
    let mut produced = produce_keyed(bootstrap, &stays, 10, 100);
    produce_keyed(bootstrap, &goes, 10, 100);
    let member = members.join();
    members.wait_handled(200, PATIENCE);
    topics::delete(bootstrap, &goes);
    let told = |line: &str| line.contains("error.occurred") && line.contains(&goes);
    members.program(member).wait_for_line(Duration::from_secs(20), "an error about the deleted topic", told);
    produced.extend(produce_keyed(bootstrap, &stays, 10, 100));
    members.wait_handled(300, Duration::from_secs(20));
    let began = Instant::now();
    members.leave_all(PATIENCE);
    let within = began.elapsed();
    assert!(within <= Duration::from_secs(2), "the stop took {within:?}");
    members.judge(&produced);
}

#[test]
fn a_deleted_topic_by_the_classic_protocol() {
    deleted("deleted-classic", &["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn a_deleted_topic_by_the_protocol_of_kip_848() {
    deleted("deleted-kip-848", &["app.group_protocol=consumer"]);
}

fn recreated(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let group = topics::unique(name);
    let mut members = fleet(bootstrap, &group, &topic, &[&["work_us=0", METADATA_AGE], options].concat());
    produce_keyed(bootstrap, &topic, 40, 400);
    let member = members.join();
    members.wait_handled(400, PATIENCE);
    topics::delete(bootstrap, &topic);
    let told = |line: &str| line.contains("error.occurred") && line.contains(&topic);
    members.program(member).wait_for_line(PATIENCE, "an error about the deleted topic", told);
    topics::create_named(bootstrap, &topic, 2, 1, &[]);
    // Offsets begin anew: places are the same as before, so it is counted how often they were handled.
    let began = Instant::now();
    let mut more = Vec::new();
    more.extend((0..2).map(|partition| Record::keyed("again", "x").to(partition)));
    topics::produce(bootstrap, &topic, &more);
    while members.finished() < 402 {
        assert!(began.elapsed() < PATIENCE, "{}{}", members.finished(), members.program(member).last_words());
        std::thread::sleep(Duration::from_millis(50));
    }
    topics::produce(bootstrap, &topic, &more);
    while members.finished() < 404 {
        assert!(began.elapsed() < PATIENCE, "{}{}", members.finished(), members.program(member).last_words());
        std::thread::sleep(Duration::from_millis(50));
    }
    wait::until(PATIENCE, "the new topic's records committed", || group::lag(bootstrap, &group, &topic) == 0);
    members.leave_all(PATIENCE);
}

#[test]
fn a_topic_that_comes_back_smaller_by_the_classic_protocol() {
    recreated("recreated-classic", &["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn a_topic_that_comes_back_smaller_by_the_protocol_of_kip_848() {
    recreated("recreated-kip-848", &["app.group_protocol=consumer"]);
}
