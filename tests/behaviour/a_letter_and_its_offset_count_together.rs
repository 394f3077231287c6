//! Acceptance C7 for dead letters: with `dead_letter_queue_transactional` a reader of committed records finds exactly one copy of
//! each message that was given up, over processes that are killed while they send copies, and no offset passes without one.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::collections::BTreeMap;

#[test]
fn over_processes_that_are_killed() {
    let bootstrap = broker::shared();
    let (from, dead) = (topics::create(bootstrap, 3), topics::create(bootstrap, 2));
    let name = topics::unique("letters");
    let goes_to = format!("topic.dead_letter_queue_topic={dead}");
    let options = [
        goes_to.as_str(),
        "fail_key=poison",
        "app.transaction_timeout=3s",
        "topic.dead_letter_queue_transactional=true",
        "topic.dead_letter_queue_max_retries=0",
        "topic.retry_backoff=20ms",
        "kafka.session.timeout.ms=2000",
        "kafka.heartbeat.interval.ms=400",
    ];
    let record = |number: i32| {
        let key = if number % 3 == 0 { format!("key-{}", number % 7) } else { "poison".to_owned() };
        Record::keyed(key, number.to_string()).to(number % 4 % 3)
    };
    let produced = topics::produce(bootstrap, &from, &(0..150).map(record).collect::<Vec<_>>());
    let mut members = fleet(bootstrap, &name, &from, &options);
    members.join();
    for letters in [10, 35] {
        wait::until(PATIENCE, "some letters", || topics::read(bootstrap, &dead).len() >= letters);
        members.kill(members.ids()[0]);
        members.join();
    }
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    members.leave_all(PATIENCE);
    let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap()).unwrap();
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for letter in topics::read_decided(bootstrap, &dead) {
        *found.entry(text(&letter.payload)).or_default() += 1;
    }
    let poison = produced.iter().filter(|message| message.key.as_deref() == Some(b"poison"));
    let wanted: BTreeMap<String, u32> = poison.map(|message| (text(&message.payload), 1)).collect();
    assert_eq!(found, wanted, "each exactly once");
}
