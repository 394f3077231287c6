//! Acceptance scenario 11: a process with several connections and one `group.instance.id` comes back to the partitions that it had,
//! and under KIP-848 a second process with the id is refused and says so, while the first goes on.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, topics, wait};
use std::collections::BTreeSet;

/// The shares of a process: what each assignment said.
fn shares(member: &Program) -> BTreeSet<String> {
    let lines = member.lines();
    let assigned = lines.iter().filter(|line| line.contains("rebalance.partitions_assigned"));
    let text = |line: &String| Some(line.split_once("partitions=\"")?.1.split_once('"')?.0.to_owned());
    assigned.filter_map(text).filter(|text| !text.is_empty()).collect()
}

#[test]
fn every_connection_comes_back_to_its_own() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 6);
    let options = [
        "work_us=0",
        "topic.multiplexing_max=2",
        "kafka.group.instance.id=stays",
        "kafka.session.timeout.ms=20000",
        "app.assignment_strategy=range",
    ];
    let mut members = fleet(bootstrap, &topics::unique("static"), &topic, &options);
    let mut produced = produce_keyed(bootstrap, &topic, 30, 300);
    let first = members.join();
    members.wait_handled(300, PATIENCE);
    wait::until(PATIENCE, "both connections with a share of three", || {
        shares(members.program(first)).iter().filter(|share| share.split(' ').count() == 3).count() == 2
    });
    let last = |shares: BTreeSet<String>| -> BTreeSet<String> {
        shares.into_iter().filter(|share| share.split(' ').count() == 3).collect()
    };
    let before = last(shares(members.program(first)));
    members.leave(first, PATIENCE);
    let second = members.join();
    produced.extend(produce_keyed(bootstrap, &topic, 30, 300));
    members.wait_handled(600, PATIENCE);
    assert_eq!(shares(members.program(second)), before, "no rebalance, the same shares");
    members.leave_all(PATIENCE);
    assert_eq!(members.judge(&produced).len(), 600, "nothing was done twice");
}

#[test]
fn a_second_process_with_the_id_is_refused_under_kip_848() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 3);
    let options = [
        "work_us=0",
        "app.group_protocol=consumer",
        "app.shutdown_timeout=5s",
        "kafka.group.instance.id=the-one",
        "kafka.group.remote.assignor=range",
    ];
    let mut members = fleet(bootstrap, &topics::unique("refused"), &topic, &options);
    let first = members.join();
    members.wait_assigned(first, PATIENCE);
    let second = members.join();
    let refused = |line: &str| line.starts_with("app error.occurred") && line.contains("recoverable=\"false\"");
    let line = members.program(second).wait_for_line(PATIENCE, "that it was refused", refused);
    assert!(line.contains("kind=\"Fenced\"") && line.to_lowercase().contains("instance"), "{line}");
    assert_eq!(members.ends_by_itself(second, PATIENCE), Some(2), "an app that was refused ends with its error");
    let produced = produce_keyed(bootstrap, &topic, 10, 100);
    members.wait_handled(100, PATIENCE);
    members.leave_all(PATIENCE);
    assert_eq!(members.judge(&produced).len(), 100);
}
