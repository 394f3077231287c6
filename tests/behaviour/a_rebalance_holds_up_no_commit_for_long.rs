//! While a member joins the next generation of a classic group, the coordinator answers none of its commits, and it may wait for
//! a dead member's session. So what is done in partitions that stay is committed with each rebalance, a clean stop in the midst
//! of one repeats nothing, and who stops there has left the group.

use crate::support::{PATIENCE, finished, fleet, member, produce_keyed, wait_assigned};
use karafka::{Admin, AdminConfig};
use libkarafka_tests::{broker, group, topics, wait};
use std::collections::HashSet;
use std::time::Duration;

const PARTITIONS: i32 = 4;

fn is_joining(bootstrap: &str, group: &str) -> bool {
    group::state(bootstrap, group) == "PreparingRebalance"
}

/// Between two intervals a group may rebalance many times.
#[test]
fn what_stays_is_committed_with_each_rebalance() {
    let bootstrap = broker::shared();
    let (name, topic) = (topics::unique("group"), topics::create(bootstrap, PARTITIONS));
    let options = ["app.commit_interval=3600s"];
    let mut first = member(bootstrap, &name, &topic, &options);
    let produced = produce_keyed(bootstrap, &topic, 20, 400).len();
    wait::until(PATIENCE, "all of it finished", || finished(&[&first]) == produced);
    let mut second = member(bootstrap, &name, &topic, &options);
    wait_assigned(&second);
    wait::until(PATIENCE, "all of it committed", || group::lag(bootstrap, &name, &topic) == 0);
    for member in [&mut second, &mut first] {
        member.send("stop");
        assert!(member.wait(PATIENCE).success(), "{}", member.last_words());
    }
}

#[test]
fn a_clean_stop_beside_a_dead_member_repeats_nothing() {
    let bootstrap = broker::shared();
    let (name, topic) = (topics::unique("group"), topics::create(bootstrap, PARTITIONS));
    let options = ["work_us=4000", "workers=2", "kafka.session.timeout.ms=15000"];
    let mut members = fleet(bootstrap, &name, &topic, &options);
    let (stays, dies) = (members.join(), members.join());
    for id in [stays, dies] {
        members.wait_assigned(id, PATIENCE);
    }
    let produced = produce_keyed(bootstrap, &topic, 40, 10_000);
    members.wait_handled(200, PATIENCE);
    members.kill(dies);
    members.join();
    wait::until(PATIENCE, "the group joins", || is_joining(bootstrap, &name));
    // So many are without a commit only where it is answered none.
    wait::until(PATIENCE, "the end of its commits", || {
        let handled = i64::try_from(members.handled()).unwrap();
        handled > group::committed_offsets(bootstrap, &name, &topic).into_values().sum::<i64>() + 1_500
    });
    assert!(is_joining(bootstrap, &name), "the dead member's session was too short for this machine");
    let process = members.program(stays).id();
    members.leave(stays, PATIENCE);
    members.wait_handled(produced.len(), PATIENCE);
    members.leave_all(PATIENCE);
    let spans = members.spans();
    let ended = members.ends()[&process];
    let by_it: HashSet<_> =
        spans.iter().filter(|span| span.process == process && span.is_finished).map(|span| &span.place).collect();
    let again = spans.iter().filter(|span| span.began > ended && by_it.contains(&span.place)).count();
    assert_eq!(again, 0, "of {} that it had finished", by_it.len());
}

#[test]
fn who_stops_while_it_joins_has_left() {
    let bootstrap = broker::shared();
    let admin = Admin::new(AdminConfig { bootstrap_servers: bootstrap.to_owned(), ..AdminConfig::default() }).unwrap();
    let (name, topic) = (topics::unique("group"), topics::create(bootstrap, PARTITIONS));
    // Of a rebalance it hears after up to that long.
    let mut owner = member(bootstrap, &name, &topic, &["kafka.heartbeat.interval.ms=3500"]);
    wait_assigned(&owner);
    for _ in 0..4 {
        let mut short = member(bootstrap, &name, &topic, &[]);
        wait::until(PATIENCE, "that it joins", || is_joining(bootstrap, &name));
        short.send("stop");
        assert!(short.wait(PATIENCE).success(), "{}", short.last_words());
        // With the default session a member that is gone would be there for 45 s.
        wait::until(Duration::from_secs(10), "a group of one", || {
            let described = admin.describe_groups(&[&name]).unwrap().remove(0).1.unwrap();
            described.state == "Stable" && described.members.len() == 1
        });
    }
    owner.send("stop");
    assert!(owner.wait(PATIENCE).success(), "{}", owner.last_words());
}
