//! Members join, leave and are killed ten times under load: every record is handled, in order per key, and no commit claims
//! or takes back anything.

use crate::support::{PATIENCE, member, produce_keyed};
use libkarafka_tests::process::Program;
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, commits, oracle, topics, wait};
use std::collections::HashSet;

const RECORDS: usize = 12_000;
const KEYS: usize = 50;

/// How many different records were finished.
fn handled(past: &[Vec<String>], members: &[Program]) -> usize {
    let now = members.iter().map(Program::lines);
    let lines: Vec<String> = past.iter().cloned().chain(now).flatten().collect();
    let finished = lines.iter().filter(|line| line.contains("\tfinished\t"));
    finished.filter_map(|line| line.split("\tfinished\t").nth(1)).collect::<HashSet<_>>().len()
}

fn storm(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 6);
    let group = topics::unique(name);
    let mut options = options.to_vec();
    options.extend(["work_us=2000", "workers=4", "app.commit_interval=100ms"]);
    let seen = Seen::new();
    let mut past = Vec::new();
    let mut members = vec![member(bootstrap, &group, &topic, &options)];
    let assigned = |line: &str| line.contains("rebalance.partitions_assigned");
    members[0].wait_for_line(PATIENCE, "partitions for the first member", assigned);
    let produced = produce_keyed(bootstrap, &topic, KEYS, RECORDS);
    for round in 0..10 {
        members.push(member(bootstrap, &group, &topic, &options));
        let before = handled(&past, &members);
        wait::until(PATIENCE, "progress while a member joins", || {
            handled(&past, &members) >= (before + 300).min(RECORDS)
        });
        let mut leaver = members.remove(0);
        if round % 3 == 2 {
            leaver.kill();
        } else {
            leaver.send("stop");
            assert!(leaver.wait(PATIENCE).success(), "{}", leaver.last_words());
        }
        seen.read(&leaver.lines());
        seen.ended(leaver.id());
        past.push(leaver.lines());
    }
    wait::until(PATIENCE * 2, "everything handled", || handled(&past, &members) >= RECORDS);
    for mut member in members {
        member.send("stop");
        assert!(member.wait(PATIENCE).success(), "{}", member.last_words());
        seen.read(&member.lines());
    }
    oracle::all(&produced, &seen.spans(), &commits::all(bootstrap, &group));
}

#[test]
fn by_the_cooperative_protocol() {
    storm("storm-cooperative", &["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_eager_protocol() {
    let eager = "app.assignment_strategy=range";
    storm("storm-eager", &[eager, "kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    storm("storm-kip-848", &["app.group_protocol=consumer"]);
}
