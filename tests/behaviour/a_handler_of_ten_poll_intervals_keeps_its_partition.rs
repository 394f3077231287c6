//! Acceptance 20, 45: a handler that runs for ten times `max.poll.interval.ms` keeps its partition, and other partitions, also those
//! of another topic on the same connection, flow meanwhile.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, topics};
use std::time::Duration;

const HELD: Duration = Duration::from_secs(30);

fn hold(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let (topic, fast) = (topics::create(bootstrap, 3), topics::create(bootstrap, 1));
    let group = topics::unique(name);
    let mut options = options.to_vec();
    let held = format!("hold_ms={}", HELD.as_millis());
    options.extend(["work_us=0", "topic.virtual_partitions=off", "hold_key=held", &held]);
    options.extend(["kafka.max.poll.interval.ms=3000", "app.revoke_timeout=1s"]);
    let mut records = vec![Record::keyed("held", "x").to(0), Record::keyed("behind", "x").to(0)];
    let mut produced = topics::produce(bootstrap, &topic, &records);
    let mut members = fleet(bootstrap, &group, &format!("{topic},{fast}"), &options);
    let member = members.join();
    let began = |line: &str| line.contains("\tbegan\t");
    members.program(member).wait_for_line(PATIENCE, "the handler at work", began);
    // The others flow as long as it runs: what is produced is handled before the next is.
    records = (1..3).map(|partition| Record::keyed("flows", "x").to(partition)).collect();
    let mut rounds = 0;
    while !members.spans().iter().any(|span| span.key.as_deref() == Some(b"held") && span.is_finished) {
        produced.extend(topics::produce(bootstrap, &topic, &records));
        produced.extend(topics::produce(bootstrap, &fast, &[Record::keyed("fast", "x").to(0)]));
        members.wait_handled(produced.len() - 2, Duration::from_secs(5));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(rounds >= 10, "only {rounds} rounds while one partition was held");
    members.wait_handled(produced.len(), PATIENCE);
    let (lines, held) = (members.program(member).lines(), format!("{topic}/0"));
    assert!(!lines.iter().any(|line| line.contains("partitions_revoked")), "the partition went");
    assert_eq!(lines.iter().filter(|line| line.contains("partitions_assigned") && line.contains(&held)).count(), 1);
    assert!(!lines.iter().any(|line| line.contains("error.occurred")), "{lines:?}");
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), produced.len(), "nothing was done twice");
}

#[test]
fn by_the_classic_protocol() {
    hold("long-classic", &["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    hold("long-kip-848", &["app.group_protocol=consumer"]);
}
