//! Acceptance scenario 52: a group's connections come one at a time while one of them is crowded, leave one at a time while one has
//! nothing, never faster than `multiplexing_scale_delay` and never below the least, and nothing is lost or done twice by it.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, topics, wait};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(1_500);
/// How much later than another change one may be told: times are those of the lines, not of the decisions.
const TOLD_WITHIN: Duration = Duration::from_millis(250);

/// When the number of connections changed, in nanoseconds, and to what.
fn changes(member: &Program) -> Vec<(u64, usize)> {
    let field = |line: &str, name: &str| -> Option<u64> {
        let value = line.split_once(&format!("{name}="))?.1.split_whitespace().next()?;
        value.trim_matches('"').parse().ok()
    };
    let lines = member.lines();
    let told = lines.iter().filter(|line| line.starts_with("app connection.listener."));
    told.map(|line| (field(line, " at").unwrap(), field(line, "connections").unwrap() as usize)).collect()
}

fn scale(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let delay = format!("topic.multiplexing_scale_delay={}ms", DELAY.as_millis());
    let options = [&["work_us=500", "topic.multiplexing_max=3", "topic.multiplexing_boot=3", &delay], options].concat();
    let mut members = fleet(bootstrap, &topics::unique(name), &topic, &options);
    let fixed = members.join_with(&["topic.multiplexing_min=3"]);
    members.wait_assigned(fixed, PATIENCE);
    // Six connections and four partitions: at least one of three has nothing to do.
    let scaling = members.join_with(&["topic.multiplexing_min=1"]);
    let counts = |member: &Program| changes(member).into_iter().map(|(_, count)| count).collect::<Vec<_>>();
    let mut produced = produce_keyed(bootstrap, &topic, 40, 1_000);
    wait::until(PATIENCE, "a connection less", || counts(members.program(scaling)).starts_with(&[2]));
    // All four are for the other process, then: its connections come back.
    assert_eq!(changes(members.program(fixed)), [], "as many as there may be, and no fewer");
    members.leave(fixed, PATIENCE);
    wait::until(PATIENCE, "three connections", || counts(members.program(scaling)).ends_with(&[3]));
    produced.extend(produce_keyed(bootstrap, &topic, 40, 1_000));
    members.wait_handled(2_000, PATIENCE);
    let told = changes(members.program(scaling));
    let mut before = (0, 3);
    for (at, count) in told {
        assert!((1..=3).contains(&count) && count.abs_diff(before.1) == 1, "{before:?}, then {count}");
        let between = Duration::from_nanos(at - before.0);
        assert!(between + TOLD_WITHIN >= DELAY, "{between:?} between two changes");
        before = (at, count);
    }
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    assert_eq!(spans.len(), 2_000, "nothing was done twice");
}

#[test]
fn by_the_cooperative_protocol() {
    scale("scale-cooperative", &["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    scale("scale-kip-848", &["app.group_protocol=consumer"]);
}
