//! A committed offset that somebody moved while the group was stopped is where it goes on: lower, higher, beyond the end
//! (the policy `initial_offset` decides then, with a warning), or removed. While the group runs, the broker refuses it.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::{broker, group, topics, wait};
use std::collections::BTreeSet;
use std::ops::Range;

const RECORDS: i64 = 300;

/// A group that has handled and committed everything, is stopped, and whose offset somebody moves; when it goes on it must
/// handle `expected`, and what comes later. Returns what the second member printed.
fn moved(name: &str, options: &[&str], somebody: impl Fn(&str, &str, &str), expected: Range<i64>) -> Vec<String> {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let group = topics::unique(name);
    produce_keyed(bootstrap, &topic, 10, RECORDS as usize);
    let mut members = fleet(bootstrap, &group, &topic, &[&["work_us=0"], options].concat());
    if options.contains(&"topic.initial_offset=latest") {
        group::commit(bootstrap, &group, &topic, 0, 0, "").unwrap();
    }
    let first = members.join();
    members.wait_handled(RECORDS as usize, PATIENCE);
    let process = members.program(first).id();
    members.leave(first, PATIENCE);
    assert_eq!(group::lag(bootstrap, &group, &topic), 0);

    somebody(bootstrap, &group, &topic);
    let second = members.join();
    members.wait_assigned(second, PATIENCE);
    let begun = |members: &mut libkarafka_tests::fleet::Fleet| -> Vec<i64> {
        let spans = members.spans();
        spans.iter().filter(|span| span.process != process).map(|span| span.place.offset).collect()
    };
    wait::until(PATIENCE, &format!("records from {expected:?} handled"), || {
        expected.clone().collect::<BTreeSet<_>>().is_subset(&begun(&mut members).into_iter().collect())
    });
    if expected.is_empty() {
        // The position at the end is known before more comes.
        members.program(second).wait_for_line(PATIENCE, "a warning", |line| line.contains("warning.occurred"));
        wait_for_the_end(bootstrap, &group, &topic, &mut members);
    } else {
        produce_keyed(bootstrap, &topic, 10, 100);
        members.wait_handled(RECORDS as usize + 100, PATIENCE);
        let all: Vec<_> = expected.chain(RECORDS..RECORDS + 100).collect();
        let mut begun = begun(&mut members);
        begun.sort_unstable();
        assert_eq!(begun, all, "these and no others were handled, once");
    }
    let lines = members.program(second).lines();
    members.leave_all(PATIENCE);
    assert_eq!(group::lag(bootstrap, &group, &topic), 0);
    lines
}

/// With `latest` it goes on with what comes after it has found the end: produces until something is handled.
fn wait_for_the_end(bootstrap: &str, group: &str, topic: &str, members: &mut libkarafka_tests::fleet::Fleet) {
    let before = members.handled();
    wait::until(PATIENCE, "records that came later handled", || {
        produce_keyed(bootstrap, topic, 10, 10);
        members.handled() > before
    });
    wait::until(PATIENCE, "all of them committed", || group::lag(bootstrap, group, topic) == 0);
}

fn warned(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains("warning.occurred")).collect()
}

#[test]
fn lower() {
    let lines =
        moved("lower", &[], |at, group, topic| group::commit(at, group, topic, 0, 120, "").unwrap(), 120..RECORDS);
    assert!(warned(&lines).is_empty(), "{lines:?}");
}

#[test]
fn lower_with_the_metadata_of_another_offset() {
    let marks = karafka_engine::metadata::encode(250, std::iter::once(251..300), Some("mine"), 4096).unwrap().text;
    let somebody = |at: &str, group: &str, topic: &str| group::commit(at, group, topic, 0, 120, &marks).unwrap();
    let lines = moved("metadata", &[], somebody, 120..RECORDS);
    assert_eq!(warned(&lines).len(), 1, "{lines:?}");
}

#[test]
fn higher() {
    let lines =
        moved("higher", &[], |at, group, topic| group::commit(at, group, topic, 0, 299, "").unwrap(), 299..RECORDS);
    assert!(warned(&lines).is_empty(), "{lines:?}");
}

#[test]
fn removed() {
    let lines = moved("removed", &[], |at, group, _| group::delete(at, group), 0..RECORDS);
    assert!(warned(&lines).is_empty(), "{lines:?}");
}

#[test]
fn beyond_the_end_with_earliest() {
    let somebody = |at: &str, group: &str, topic: &str| group::commit(at, group, topic, 0, 5_000, "").unwrap();
    let lines = moved("beyond-earliest", &[], somebody, 0..RECORDS);
    assert!(warned(&lines).iter().any(|line| line.contains("5000")), "{lines:?}");
}

#[test]
fn beyond_the_end_with_latest() {
    let somebody = |at: &str, group: &str, topic: &str| group::commit(at, group, topic, 0, 5_000, "").unwrap();
    let lines = moved("beyond-latest", &["topic.initial_offset=latest"], somebody, 0..0);
    assert!(warned(&lines).iter().any(|line| line.contains("5000")), "{lines:?}");
}

fn refused_while_running(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let group = topics::unique(name);
    let mut produced = produce_keyed(bootstrap, &topic, 10, 100);
    let mut members = fleet(bootstrap, &group, &topic, &[&["work_us=0"], options].concat());
    members.join();
    members.wait_handled(100, PATIENCE);
    for offset in [0, 50, 5_000] {
        let refused = group::commit(bootstrap, &group, &topic, 0, offset, "by hand");
        assert!(refused.is_err(), "the broker took {offset} from somebody outside of the group");
    }
    produced.extend(produce_keyed(bootstrap, &topic, 10, 100));
    members.wait_handled(200, PATIENCE);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), 200, "nothing was done twice");
    assert_eq!(group::lag(bootstrap, &group, &topic), 0);
}

#[test]
fn refused_while_a_classic_group_runs() {
    refused_while_running("running-classic", &[]);
}

#[test]
fn refused_while_a_group_of_kip_848_runs() {
    refused_while_running("running-kip-848", &["app.group_protocol=consumer"]);
}
