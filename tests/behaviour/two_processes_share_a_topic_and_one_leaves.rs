//! Two processes share a topic; one leaves; nothing is lost, nothing is done twice, no order is broken.

use crate::support::{PATIENCE, finished, member, produce_keyed};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, commits, oracle, topics, wait};

fn leave(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 6);
    let (seen, group) = (Seen::new(), topics::unique(name));
    let mut options = options.to_vec();
    options.extend(["work_us=1000", "workers=5"]);
    let mut one = member(bootstrap, &group, &topic, &options);
    let mut two = member(bootstrap, &group, &topic, &options);
    let assigned = |line: &str| line.contains("rebalance.partitions_assigned") && !line.contains("partitions=\"\"");
    one.wait_for_line(PATIENCE, "partitions for the first process", assigned);
    two.wait_for_line(PATIENCE, "partitions for the second process", assigned);
    let produced = produce_keyed(bootstrap, &topic, 60, 5_000);
    wait::until(PATIENCE, "both at work", || finished(&[&one]) >= 300 && finished(&[&two]) >= 300);
    two.send("stop");
    assert!(two.wait(PATIENCE).success(), "{}", two.last_words());
    wait::until(PATIENCE, "everything handled", || finished(&[&one, &two]) >= 5_000);
    one.send("stop");
    assert!(one.wait(PATIENCE).success(), "{}", one.last_words());
    seen.read(&one.lines());
    seen.read(&two.lines());
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &group));
    // Partitions change hands after their handlers ended and their commits were answered.
    oracle::nothing_twice(&spans);
}

#[test]
fn by_the_cooperative_protocol() {
    leave("cooperative", &[]);
}

#[test]
fn by_the_eager_protocol() {
    leave("eager", &["app.assignment_strategy=range"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    leave("kip-848", &["app.group_protocol=consumer"]);
}
