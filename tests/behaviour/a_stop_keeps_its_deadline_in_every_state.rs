//! Acceptance scenarios 12 and 58: whatever an app is doing when it is asked to stop, and wherever its brokers are, it ends in
//! time, in order, with every thread gone and with everything committed that was finished.

use crate::support::{PATIENCE, member, produce_keyed, wait_assigned};
use libkarafka_tests::gate::Gate;
use libkarafka_tests::process::Program;
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::secured::{self, Lane};
use libkarafka_tests::topics::Message;
use libkarafka_tests::{broker, commits, group, oracle, topics, wait};
use std::time::{Duration, Instant};

/// With nothing to finish.
const IDLE: Duration = Duration::from_secs(2);
/// In the midst of joining a group whose other members do not: it waits for a while to be answered, so that it can leave.
const JOINING: Duration = Duration::from_secs(5);
/// What a stop may take beyond the time for what runs.
const BEYOND: Duration = Duration::from_secs(1);

/// Asks the member to stop; it must end well in time and leave nothing behind.
fn stops(member: &mut Program, within: Duration) {
    let left = stops_but(member, within);
    assert_eq!(left, "", "threads are left{}", member.last_words());
}

/// The same where requests are never answered: threads of librdkafka may wait for them for some seconds more. Nothing else may.
fn stops_unanswered(member: &mut Program, within: Duration) {
    let left = stops_but(member, within);
    let is_of_librdkafka = |name: &str| name.starts_with("rdk:") || name == "karafka-close";
    assert!(left.split(' ').all(|name| name.is_empty() || is_of_librdkafka(name)), "left: {left}");
}

fn stops_but(member: &mut Program, within: Duration) -> String {
    let asked = Instant::now();
    member.send("stop");
    let status = member.wait(PATIENCE);
    let took = asked.elapsed();
    assert!(status.success(), "{status}{}", member.last_words());
    assert!(took <= within, "the stop took {took:?}{}", member.last_words());
    let left = member.lines().into_iter().find(|line| line.starts_with("left")).expect("what is left is told");
    left.trim_start_matches("left").trim().to_owned()
}

fn finished(member: &Program) -> usize {
    member.lines().iter().filter(|line| line.contains("\tfinished\t")).count()
}

/// Everything that was finished is committed, and nothing else.
fn committed_what_was_finished(bootstrap: &str, group: &str, topic: &str, produced: &[Message], member: &Program) {
    let seen = Seen::new();
    seen.read(&member.lines());
    let spans = seen.spans();
    oracle::commits_claim_only_what_is_done(produced, &spans, &commits::all(bootstrap, group));
    // One partition, in order: the number of finished records is the position.
    let position = group::committed_offsets(bootstrap, group, topic).get(&0).copied().unwrap_or(0);
    assert_eq!(usize::try_from(position), Ok(finished(member)), "the position is behind what was finished");
}

#[test]
fn at_its_first_look_for_a_broker_that_refuses() {
    let mut member = member("127.0.0.1:1", "group", "topic", &[]);
    member.wait_for_line(PATIENCE, "that it runs", |line| line.contains("app.running"));
    stops(&mut member, IDLE);
}

#[test]
fn at_its_first_look_for_a_broker_that_never_answers() {
    let (_gate, address) = Gate::silent();
    let mut member = member(&address, "group", "topic", &[]);
    member.wait_for_line(PATIENCE, "that it runs", |line| line.contains("app.running"));
    stops(&mut member, IDLE);
}

#[test]
fn before_it_has_partitions() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 2));
    let first = member(bootstrap, &group, &topic, &[]);
    wait_assigned(&first);
    // A halted member answers no rebalance, so that the one that comes waits for partitions.
    first.signal("STOP");
    let mut second = member(bootstrap, &group, &topic, &[]);
    second.wait_for_line(PATIENCE, "that it runs", |line| line.contains("app.running"));
    wait::until(PATIENCE, "the group rebalances", || group::state(bootstrap, &group) == "PreparingRebalance");
    stops_unanswered(&mut second, JOINING);
}

fn idle(options: &[&str]) {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let mut options = options.to_vec();
    // No commit is due before the stop.
    options.push("app.commit_interval=60s");
    let mut member = member(bootstrap, &group, &topic, &options);
    let produced = produce_keyed(bootstrap, &topic, 1, 50);
    wait::until(PATIENCE, "50 records finished", || finished(&member) == 50);
    stops(&mut member, IDLE);
    committed_what_was_finished(bootstrap, &group, &topic, &produced, &member);
}

#[test]
fn idle_in_a_classic_group() {
    idle(&[]);
}

#[test]
fn idle_in_a_group_of_kip_848() {
    idle(&["app.group_protocol=consumer"]);
}

#[test]
fn idle_while_a_fetch_waits_at_the_broker() {
    idle(&["kafka.fetch.wait.max.ms=30000"]);
}

#[test]
fn busy() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let produced = produce_keyed(bootstrap, &topic, 1, 20);
    let slow = ["work_us=1500000", "topic.max_messages=1", "app.shutdown_timeout=5s", "app.commit_interval=60s"];
    let mut member = member(bootstrap, &group, &topic, &slow);
    wait::until(PATIENCE, "the second record", || finished(&member) == 1);
    // The one that runs is finished, the others are not begun.
    stops(&mut member, Duration::from_millis(1500) + BEYOND);
    assert!(finished(&member) <= 3, "{}", member.last_words());
    committed_what_was_finished(bootstrap, &group, &topic, &produced, &member);
}

#[test]
fn while_a_rebalance_waits_for_its_handler() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 2));
    let options = ["hold_key=key-0", "hold_ms=6000", "app.shutdown_timeout=20s", "app.assignment_strategy=range"];
    let mut first = member(bootstrap, &group, &topic, &options);
    wait_assigned(&first);
    produce_keyed(bootstrap, &topic, 1, 1);
    first.wait_for_line(PATIENCE, "that the handler runs", |line| line.contains("\tbegan\t"));
    let held_since = Instant::now();
    let _second = member(bootstrap, &group, &topic, &["app.assignment_strategy=range"]);
    wait::until(PATIENCE, "the group rebalances", || group::state(bootstrap, &group) == "PreparingRebalance");
    stops(&mut first, Duration::from_secs(6).saturating_sub(held_since.elapsed()) + BEYOND);
    assert_eq!(finished(&first), 1);
    assert_eq!(group::committed_offsets(bootstrap, &group, &topic).values().sum::<i64>(), 1);
}

#[test]
fn while_a_failed_record_waits_for_its_next_attempt() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let failing = ["fail_key=key-3", "topic.retry_backoff=60s", "topic.retry_backoff_max=60s", "topic.max_messages=1"];
    let mut member = member(bootstrap, &group, &topic, &failing);
    produce_keyed(bootstrap, &topic, 10, 10);
    wait::until(PATIENCE, "all others finished", || finished(&member) == 9);
    member.wait_for_line(PATIENCE, "the failure", |line| line.contains("consumer.consume.error"));
    stops(&mut member, IDLE);
    assert_eq!(group::committed_offsets(bootstrap, &group, &topic).get(&0), Some(&3));
}

#[test]
fn quiet() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let mut member = member(bootstrap, &group, &topic, &["app.commit_interval=60s"]);
    let mut produced = produce_keyed(bootstrap, &topic, 1, 10);
    wait::until(PATIENCE, "10 records finished", || finished(&member) == 10);
    member.send("quiet");
    member.wait_for_line(PATIENCE, "that it is quiet", |line| line.starts_with("app app.quiet "));
    produced.extend(produce_keyed(bootstrap, &topic, 1, 10));
    stops(&mut member, IDLE);
    assert_eq!(finished(&member), 10, "a quiet app starts nothing");
    committed_what_was_finished(bootstrap, &group, &topic, &produced, &member);
}

/// A member behind a gate of its own.
fn behind_a_gate(options: &[&str]) -> (Gate, Program, String, String) {
    let secured = secured::shared();
    let lane: Lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    let member = member(&lane.bootstrap(), &group, &topic, options);
    wait_assigned(&member);
    (gate, member, group, topic)
}

#[test]
fn idle_with_all_brokers_down() {
    let (gate, mut member, ..) = behind_a_gate(&[]);
    gate.shut();
    member.wait_for_line(PATIENCE, "that the brokers are down", |line| line.contains("brokers are down"));
    stops(&mut member, IDLE);
}

#[test]
fn idle_in_the_moment_in_which_the_brokers_go() {
    let (gate, mut member, ..) = behind_a_gate(&["app.group_protocol=consumer"]);
    gate.shut();
    stops(&mut member, IDLE);
}

#[test]
fn idle_with_brokers_that_answer_no_more() {
    let (gate, mut member, ..) = behind_a_gate(&[]);
    gate.swallow();
    stops_unanswered(&mut member, IDLE);
}

#[test]
fn busy_with_all_brokers_down() {
    let (gate, mut member, _, topic) = behind_a_gate(&["work_us=2000000", "app.shutdown_timeout=3s"]);
    produce_keyed(&secured::shared().bootstrap(), &topic, 1, 1);
    member.wait_for_line(PATIENCE, "that the handler runs", |line| line.contains("\tbegan\t"));
    gate.shut();
    // What it finishes cannot be committed: that is tried until the time is over.
    stops_unanswered(&mut member, Duration::from_secs(3) + BEYOND);
    assert_eq!(finished(&member), 1);
    member.wait_for_line(PATIENCE, "what it costs", |line| line.contains("may be handled again"));
}
