//! Transactions and exactly once on kfake (github.com/twmb/franz-go/pkg/kfake) beside Apache Kafka, where there is Go: those of
//! producers by how their blocks end, what brokers refuse, threads and names; those of handlers over failures, members that come and
//! go, and a process that is killed.
//!
//! What kfake has: the ends of transactions, offsets that are committed in them with the group's generation, readers of what is
//! committed, fencing by a newer epoch, and aborts after the timeout. What it has not, so that it is left to Apache Kafka: a log that
//! outlives its process, replicas, coordinators that move; and it ends transactions at once, so that there is no time between an end
//! and its markers, nor an answer that tells to come back later.

use crate::support::{PATIENCE, senders};
use crate::{
    a_transaction_is_seen_whole_or_not_at_all as alone, what_a_handler_produces_and_marks_counts_together as beside,
};
use libkarafka_tests::exactly_once::exactly_once;
use libkarafka_tests::{group, kfake, topics, wait};

/// Runs this on kfake, where it is there.
fn on_kfake(behaviour: impl FnOnce(&str)) {
    if let Some(kfake) = kfake::shared() {
        behaviour(kfake.bootstrap());
    }
}

#[test]
fn by_how_a_block_ends() {
    on_kfake(alone::how_its_block_ends);
}

#[test]
fn by_what_brokers_refuse() {
    on_kfake(alone::what_brokers_refuse);
}

#[test]
fn by_threads_that_take_turns() {
    on_kfake(alone::threads_that_take_turns);
}

#[test]
fn by_who_has_its_name() {
    on_kfake(alone::who_has_its_name);
}

#[test]
fn over_failures_and_members_that_come_and_go() {
    on_kfake(beside::failures_and_members_that_come_and_go);
}

#[test]
fn over_processes_that_are_killed() {
    on_kfake(|bootstrap| {
        let [from, to] = [topics::create(bootstrap, 4), topics::create(bootstrap, 4)];
        let name = topics::unique("exactly-once");
        let mut members = senders(bootstrap, &name, &from, &to);
        let ids = [members.join(), members.join()];
        for id in ids {
            members.wait_assigned(id, PATIENCE);
        }
        let records: Vec<_> = (0..1_500)
            .map(|number| topics::Record::keyed(format!("key-{}", number % 40), number.to_string()))
            .collect();
        let produced = topics::produce(bootstrap, &from, &records);
        let lag = || group::lag(bootstrap, &name, &from);
        wait::until(PATIENCE, "a part of it", || lag() < 1_200);
        members.kill(ids[0]);
        wait::until(PATIENCE, "all of it", || lag() == 0);
        members.leave_all(PATIENCE);
        exactly_once(&produced, &topics::read_decided(bootstrap, &to));
    });
}
