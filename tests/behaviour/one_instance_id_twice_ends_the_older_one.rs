//! Two processes with one `group.instance.id`: the older one ends with an error that says so, and nothing is lost.
//!
//! Kafka gives the partitions to the newer one at once, and the older one learns of it with its next heartbeat or commit. Until
//! then both handle, so that overlaps are judged within each process, and all else over both.

use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::record::Span;
use libkarafka_tests::{broker, oracle, topics};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn the_older_one_ends_with_a_clear_error() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 3));
    let options = [
        "kafka.group.instance.id=the-one",
        "kafka.session.timeout.ms=6000",
        "kafka.heartbeat.interval.ms=500",
        "app.commit_interval=100ms",
        "app.shutdown_timeout=5s",
        "work_us=1000",
    ];
    let mut fleet = Fleet::new(env!("CARGO_BIN_EXE_member"), bootstrap, &group, &topic, &options);
    let older = fleet.join();
    fleet.wait_assigned(older, PATIENCE);
    let mut produced = produce_keyed(bootstrap, &topic, 20, 1_000);
    fleet.wait_handled(300, PATIENCE);
    fleet.join();
    produced.extend(produce_keyed(bootstrap, &topic, 20, 1_000));

    let fenced = |line: &str| line.starts_with("app error.occurred") && line.contains("kind=\"Fenced\"");
    let line = fleet.program(older).wait_for_line(Duration::from_secs(10), "that it was fenced", fenced);
    assert!(line.contains("recoverable=\"false\"") && line.contains("group.instance.id"), "{line}");
    let code = fleet.ends_by_itself(older, PATIENCE);
    assert_eq!(code, Some(2), "an app that was fenced ends with its error");
    fleet.wait_handled(2_000, PATIENCE);
    fleet.leave_all(PATIENCE);
    let (spans, commits) = (fleet.spans(), fleet.commits());
    oracle::nothing_lost(&produced, &spans);
    oracle::order_per_key(&produced, &spans);
    oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::marks_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
    let processes: BTreeSet<u32> = spans.iter().map(|span| span.process).collect();
    assert_eq!(processes.len(), 2);
    for process in processes {
        let own: Vec<Span> = spans.iter().filter(|span| span.process == process).cloned().collect();
        oracle::no_overlap_per_key(&own);
    }
}
