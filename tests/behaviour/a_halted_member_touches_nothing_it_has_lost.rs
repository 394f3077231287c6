//! A member that is halted (SIGSTOP) for longer than its session and goes on (SIGCONT) begins nothing and commits nothing of
//! the partitions that another member took meanwhile, and then works again.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::record::now;
use libkarafka_tests::{broker, topics, wait};

fn halt(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let group = topics::unique(name);
    let mut options = options.to_vec();
    // One record a call, so that each beginning is one of libkarafka's, not the next of a batch that was under way.
    options.extend(["work_us=20000", "workers=4", "topic.max_messages=1", "app.commit_interval=100ms"]);
    let mut members = fleet(bootstrap, &group, &topic, &options);
    let halted = members.join();
    members.wait_assigned(halted, PATIENCE);
    let other = members.join();
    members.wait_assigned(other, PATIENCE);
    let mut produced = produce_keyed(bootstrap, &topic, 40, 4_000);
    members.wait_handled(400, PATIENCE);

    let process = members.program(halted).id();
    let heir = members.program(other).id();
    members.program(halted).signal("STOP");
    let owned_before = partitions_of(&mut members, process);
    let stopped = now();
    wait::until(PATIENCE, "another member at work on the halted one's partitions", || {
        let spans = members.spans();
        let taken = |partition: &i32| {
            spans.iter().any(|span| {
                span.process == heir && span.began > stopped && span.place.partition == *partition && span.is_finished
            })
        };
        owned_before.iter().all(taken)
    });
    let before = members.handled();
    members.wait_handled(before + 100, PATIENCE);
    let resumed = now();
    members.program(halted).signal("CONT");

    // It comes back into the group and works again.
    let assigned = |line: &str| line.contains("partitions_assigned") && at(line) > resumed && line.contains('/');
    let back = members.program(halted).wait_for_line(PATIENCE, "partitions again", assigned);
    produced.extend(produce_keyed(bootstrap, &topic, 40, 1_000));
    wait::until(PATIENCE, "the member at work again", || {
        members.spans().iter().any(|span| span.process == process && span.began > at(&back) && span.is_finished)
    });
    members.wait_handled(produced.len(), PATIENCE);
    members.leave_all(PATIENCE);

    let spans = members.spans();
    let touched: Vec<_> = spans
        .iter()
        .filter(|span| span.process == process && span.began > resumed && span.began < at(&back))
        .map(|span| (span.place.to_string(), span.began - resumed))
        .collect();
    assert!(touched.is_empty(), "begun after SIGCONT on partitions that another had: {touched:?}");
    // What the halted member had begun before was repeated by the other one, beside it: no overlap is not to be had here.
    let commits = members.commits();
    libkarafka_tests::oracle::nothing_lost(&produced, &spans);
    libkarafka_tests::oracle::order_per_key(&produced, &spans);
    libkarafka_tests::oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    libkarafka_tests::oracle::marks_claim_only_what_is_done(&produced, &spans, &commits);
    libkarafka_tests::oracle::commits_never_go_back(&commits);
}

fn partitions_of(members: &mut libkarafka_tests::fleet::Fleet, process: u32) -> Vec<i32> {
    let spans = members.spans();
    let mut partitions: Vec<_> =
        spans.iter().filter(|span| span.process == process).map(|span| span.place.partition).collect();
    // Only what it worked on last is its own for sure.
    let last = spans.iter().filter(|span| span.process == process).map(|span| span.began).max().unwrap_or(0);
    let recent = |partition: &i32| {
        let of = spans.iter().filter(|span| span.process == process && span.place.partition == *partition);
        of.map(|span| span.began).max().is_some_and(|began| began + 200_000_000 > last)
    };
    partitions.sort_unstable();
    partitions.dedup();
    partitions.retain(recent);
    assert!(!partitions.is_empty(), "the member had partitions");
    partitions
}

/// When a member printed an event of its app.
fn at(line: &str) -> u64 {
    line.rsplit_once(" at=").and_then(|(_, time)| time.parse().ok()).expect("a line with its time")
}

#[test]
fn by_the_cooperative_protocol() {
    halt("halted-cooperative", &["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_eager_protocol() {
    let eager = "app.assignment_strategy=range";
    halt("halted-eager", &[eager, "kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    halt("halted-kip-848", &["app.group_protocol=consumer"]);
}
