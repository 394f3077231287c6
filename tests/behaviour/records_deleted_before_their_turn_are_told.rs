//! Records that are deleted from the log before they were handled are told in a warning, and everything behind them is
//! handled: none of it is lost silently.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::fleet::{Fleet, MemberId};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, oracle, topics};

/// Waits for a warning that names the offset, below this one, that the log did not hold.
fn warned(members: &Fleet, member: MemberId, below: i64) {
    let warnings = || {
        let lines = members.program(member).lines();
        lines.into_iter().filter(|line| line.contains("warning.occurred")).collect::<Vec<_>>()
    };
    let names = |line: &String| {
        let (_, rest) = line.split_once("offset reset (at offset ")?;
        rest.split(' ').next()?.parse::<i64>().ok()
    };
    let told = |lines: &[String]| lines.iter().filter_map(names).any(|offset| offset < below);
    let began = std::time::Instant::now();
    while !told(&warnings()) {
        assert!(began.elapsed() < PATIENCE, "no warning of an offset below {below}: {:?}", warnings());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn while_the_group_is_stopped() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let group = topics::unique("deleted-stopped");
    let records: Vec<_> = (0..200).map(|number| Record::keyed(format!("{}", number % 7), "x")).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    group::commit(bootstrap, &group, &topic, 0, 10, "").unwrap();
    topics::delete_records(bootstrap, &topic, 0, 50);
    let mut members = fleet(bootstrap, &group, &topic, &["work_us=0"]);
    let member = members.join();
    members.wait_handled(150, PATIENCE);
    warned(&members, member, 50);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced[50..]);
    assert_eq!(spans.len(), 150, "nothing was done twice");
    assert_eq!(group::lag(bootstrap, &group, &topic), 0);
}

#[test]
fn while_it_is_behind() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let group = topics::unique("deleted-running");
    // Large records, of which only few are fetched ahead while the first one is held.
    let mut records = vec![Record::keyed("held", "x")];
    records.extend((0..2_000).map(|number| Record::keyed(format!("{}", number % 7), vec![b'x'; 8_192])));
    let produced = topics::produce(bootstrap, &topic, &records);
    let options = [
        "work_us=0",
        "hold_key=held",
        "hold_ms=8000",
        "app.memory_budget_bytes=1048576",
        "topic.window=20",
        "topic.max_messages=10",
    ];
    let mut members = fleet(bootstrap, &group, &topic, &options);
    let member = members.join();
    members.program(member).wait_for_line(PATIENCE, "the first record held", |line| line.contains("\tbegan\t"));
    topics::delete_records(bootstrap, &topic, 0, 1_800);
    members.wait_handled(201, PATIENCE);
    warned(&members, member, 1_800);
    // Not until the last record is handled: those of other keys before it may still be waiting then.
    members.wait_committed(&topic, PATIENCE);
    members.leave_all(PATIENCE);
    let spans = members.spans();
    oracle::nothing_lost(&produced[1_800..], &spans);
    oracle::nothing_twice(&spans);
    assert!(spans.len() < 1_900, "{} of 2,001 records were handled before they were deleted", spans.len());
    assert_eq!(group::lag(bootstrap, &group, &topic), 0);
}
