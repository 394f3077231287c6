//! Whatever keeps a client out (no broker, no such host, a broker that never answers, a wrong password, mechanism or protocol, a
//! missing right) is told with its cause within ten seconds, without a secret; the app goes on trying and stops at once.

use crate::support::{member, produce_keyed};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::gate::Gate;
use libkarafka_tests::secured::{self, PASSWORD, PLAIN_USER, SCRAM_USER};
use libkarafka_tests::topics;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);
const IDLE_STOP: Duration = Duration::from_secs(2);

/// Starts a member that cannot work, and returns once it has told of an error with all these words. Then it must stop like an
/// idle one, and no line of it may hold a secret.
fn told(bootstrap: &str, group: &str, topic: &str, options: &[&str], words: &[&str]) {
    let mut options = options.to_vec();
    options.extend(["log=debug", "kafka.debug=security,broker,protocol,conf,cgrp,topic,metadata"]);
    let began = Instant::now();
    let mut member = member(bootstrap, group, topic, &options);
    let says = |line: &str| line.starts_with("app error.occurred") && words.iter().all(|word| line.contains(word));
    let line = member.wait_for_line(WITHIN, &format!("an error with {words:?}"), says);
    println!("{:?} {line}", began.elapsed());
    assert!(line.contains("recoverable=\"true\""), "{line}");
    let asked = Instant::now();
    member.send("stop");
    let status = member.wait(Duration::from_secs(30));
    let took = asked.elapsed();
    assert!(status.success(), "{status}{}", member.last_words());
    assert!(took <= IDLE_STOP, "the stop took {took:?}{}", member.last_words());
    for line in member.lines().into_iter().chain(member.error_lines()) {
        assert!(!line.contains(PASSWORD), "{line}");
    }
}

fn sasl<'a>(mechanism: &'a str, user: &'a str, password: &'a str) -> [String; 4] {
    [
        "kafka.security.protocol=SASL_PLAINTEXT".to_owned(),
        format!("kafka.sasl.mechanism={mechanism}"),
        format!("kafka.sasl.username={user}"),
        format!("kafka.sasl.password={password}"),
    ]
}

fn refused(mechanism: &str, user: &str, password: &str, words: &[&str]) {
    let secured = secured::shared();
    let topic = topics::create(&secured.bootstrap(), 1);
    let options = sasl(mechanism, user, password);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    told(&secured.with_password(), &topics::unique("group"), &topic, &options, words);
}

#[test]
fn a_broker_that_is_not_there() {
    told("127.0.0.1:1", "group", "topic", &[], &["127.0.0.1:1", "Connection refused"]);
}

#[test]
fn a_host_that_nobody_knows() {
    told("no-such-host.invalid:9092", "group", "topic", &[], &["no-such-host.invalid", "resolve"]);
}

#[test]
fn a_broker_that_accepts_and_never_answers() {
    let (_gate, address) = Gate::silent();
    told(&address, "group", "topic", &[], &[&address, "no broker answered"]);
}

#[test]
fn a_wrong_password_by_plain() {
    refused("PLAIN", PLAIN_USER, &format!("{PASSWORD}-not"), &["kind=\"Auth\"", "Authentication failed"]);
}

#[test]
fn a_wrong_password_by_scram() {
    refused("SCRAM-SHA-256", SCRAM_USER, &format!("{PASSWORD}-not"), &["kind=\"Auth\"", "invalid credentials"]);
}

#[test]
fn a_mechanism_that_the_broker_does_not_offer() {
    refused("SCRAM-SHA-512", SCRAM_USER, PASSWORD, &["kind=\"Auth\"", "SCRAM-SHA-512"]);
}

#[test]
fn no_password_where_one_is_needed() {
    let secured = secured::shared();
    told(&secured.with_password(), "group", "topic", &[], &["no broker answered", "security.protocol"]);
}

#[test]
fn tls_to_a_port_without_it() {
    // librdkafka sees either a handshake that fails or a connection that is closed in it, as the moments fall.
    let options = ["kafka.security.protocol=SSL"];
    told(&secured::shared().bootstrap(), "group", "topic", &options, &["SSL", "Disconnected", "`security.protocol`"]);
}

fn without(rights: &[Operation], of_group: bool, words: &[&str]) {
    let secured = secured::shared();
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    produce_keyed(&secured.bootstrap(), &topic, 1, 10);
    for right in rights {
        access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Topic(&topic), *right);
    }
    if of_group {
        access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Group(&group), Operation::Read);
    }
    let options = sasl("SCRAM-SHA-256", SCRAM_USER, PASSWORD);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    told(&secured.with_password(), &group, &topic, &options, words);
}

#[test]
fn a_topic_that_the_user_must_not_see() {
    without(&[], true, &["kind=\"Auth\"", "Topic authorization failed", "grant"]);
}

#[test]
fn a_topic_that_the_user_must_not_read() {
    without(&[Operation::Describe], true, &["kind=\"Auth\"", "Topic authorization failed"]);
}

#[test]
fn a_group_that_the_user_must_not_join() {
    without(&[Operation::Read], false, &["kind=\"Auth\"", "Group authorization failed"]);
}
