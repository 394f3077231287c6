//! Offsets that compaction took away, aborted records and the control records of transactions are passed over: all that a
//! reader of committed records sees is handled, nothing else, and the commit goes on to the end, also over a SIGKILL.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, topics, wait};
use std::collections::BTreeSet;

fn records(count: usize, keys: usize) -> Vec<Record> {
    (0..count).map(|number| Record::keyed(format!("key-{}", number % keys), number.to_string())).collect()
}

fn group_of(topic: &str) -> (String, Fleet) {
    let group = topics::unique("gaps");
    let session = ["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"];
    let options = ["work_us=1000", "workers=4", "app.commit_interval=100ms", session[0], session[1]];
    let members = fleet(broker::shared(), &group, topic, &options);
    (group, members)
}

/// One member is killed in the middle, another one ends it; then exactly what a plain reader sees was handled.
fn handle_all(topic: &str) {
    let bootstrap = broker::shared();
    let visible = topics::read(bootstrap, topic);
    let partitions = visible.iter().map(|message| message.partition).collect::<BTreeSet<_>>().len();
    let (group, mut members) = group_of(topic);
    let killed = members.join();
    members.wait_handled(visible.len() / 3, PATIENCE);
    members.kill(killed);
    members.join();
    members.wait_handled(visible.len(), PATIENCE);
    let last = |partition| visible.iter().filter(|one| one.partition == partition).map(|one| one.offset).max();
    wait::until(PATIENCE, "a commit behind the last record of each partition", || {
        let committed = group::committed_offsets(bootstrap, &group, topic);
        committed.len() == partitions
            && committed.into_iter().all(|(partition, offset)| Some(offset - 1) == last(partition))
    });
    members.leave_all(PATIENCE);
    let spans = members.judge(&visible);
    let handled: BTreeSet<_> = spans.iter().map(|span| (span.place.partition, span.place.offset)).collect();
    let expected: BTreeSet<_> = visible.iter().map(|message| (message.partition, message.offset)).collect();
    assert_eq!(handled, expected, "nothing else was handled");
}

#[test]
fn of_a_compacted_topic() {
    let bootstrap = broker::shared();
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("min.compaction.lag.ms", "0"),
        ("max.compaction.lag.ms", "100"),
    ];
    let topic = topics::create_with(bootstrap, 1, &settings);
    // Each key is left once of the old records; those of a key of its own stay, so that the gaps lie between them.
    let mut mixed = Vec::new();
    for (number, record) in records(2_000, 10).into_iter().enumerate() {
        mixed.push(record);
        if number % 5 == 0 {
            mixed.push(Record::keyed(format!("stays-{number}"), "x"));
        }
    }
    let produced = topics::produce(bootstrap, &topic, &mixed);
    wait::until(PATIENCE, "gaps by compaction", || {
        // A record that comes later closes the segment before it: only closed ones are compacted.
        topics::produce(bootstrap, &topic, &[Record::keyed("last", "x")]);
        topics::read(bootstrap, &topic).len() < produced.len() / 2
    });
    handle_all(&topic);
}

#[test]
fn of_transactions() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 2);
    for round in 0..6 {
        let few: Vec<_> = records(150, 20);
        topics::produce_in_transaction(bootstrap, &topic, &few, round % 2 == 0);
        topics::produce(bootstrap, &topic, &records(20, 20));
    }
    // At the end of one partition lies a transaction that was aborted.
    let aborted: Vec<_> = records(50, 5).into_iter().map(|record| record.to(0)).collect();
    topics::produce_in_transaction(bootstrap, &topic, &aborted, false);
    assert_eq!(topics::read(bootstrap, &topic).len(), 3 * 150 + 6 * 20);
    handle_all(&topic);
}
