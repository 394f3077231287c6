//! A right that is taken away during the run is an error event with its cause; when it is given back, all goes on by itself,
//! nothing is lost, and nothing was committed that was not done.

use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::secured::{self, PASSWORD, SCRAM_USER};
use libkarafka_tests::{commits, oracle, topics};
use std::time::Duration;

/// Sessions are short, so that a member that cannot send heartbeats is soon missed.
fn fleet(group: &str, topic: &str) -> Fleet {
    let secured = secured::shared();
    let (user, password) = (format!("kafka.sasl.username={SCRAM_USER}"), format!("kafka.sasl.password={PASSWORD}"));
    let options = [
        "kafka.security.protocol=SASL_PLAINTEXT",
        "kafka.sasl.mechanism=SCRAM-SHA-256",
        &user,
        &password,
        "kafka.session.timeout.ms=6000",
        "kafka.heartbeat.interval.ms=500",
        "kafka.topic.metadata.refresh.interval.ms=1000",
        "app.commit_interval=100ms",
    ];
    Fleet::new(env!("CARGO_BIN_EXE_member"), &secured.with_password(), group, topic, &options)
}

fn taken_away(of_group: bool, words: &[&str]) {
    let bootstrap = secured::shared().bootstrap();
    let (group, topic) = (topics::unique("group"), topics::create(&bootstrap, 2));
    let (its_topic, its_group) = (Resource::Topic(&topic), Resource::Group(&group));
    access::grant(&bootstrap, SCRAM_USER, its_topic, Operation::Read);
    access::grant(&bootstrap, SCRAM_USER, its_group, Operation::Read);
    let mut produced = produce_keyed(&bootstrap, &topic, 10, 200);
    let mut fleet = fleet(&group, &topic);
    let member = fleet.join();
    fleet.wait_handled(200, PATIENCE);

    let right = if of_group { its_group } else { its_topic };
    access::revoke(&bootstrap, SCRAM_USER, right, Operation::Read);
    produced.extend(produce_keyed(&bootstrap, &topic, 10, 200));
    let says = |line: &str| line.starts_with("app error.occurred") && words.iter().all(|word| line.contains(word));
    let line = fleet.program(member).wait_for_line(Duration::from_secs(10), "that the right is missing", says);
    assert!(line.contains("recoverable=\"true\""), "{line}");

    access::grant(&bootstrap, SCRAM_USER, right, Operation::Read);
    fleet.wait_handled(400, Duration::from_secs(30));
    fleet.leave_all(PATIENCE);
    oracle::all(&produced, &fleet.spans(), &commits::all(&bootstrap, &group));
}

#[test]
fn the_right_to_read_the_topic() {
    taken_away(false, &["kind=\"Auth\"", "Topic authorization failed"]);
}

#[test]
fn the_right_to_be_in_the_group() {
    taken_away(true, &["kind=\"Auth\"", "Group authorization failed"]);
}
