//! The command as a program: what it prints, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::{Broker, LIBKARAFKA};

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn another_process_finds_the_broker_and_its_topics() {
    let broker = Broker::start(&["flights:6", "alone:1"]);
    let record = |partition| karafka::Record {
        topic: "flights",
        partition: Some(partition),
        payload: Some(b"LAX"),
        ..karafka::Record::default()
    };
    let config =
        karafka::ProducerConfig { bootstrap_servers: broker.address.clone(), ..karafka::ProducerConfig::default() };
    let producer = karafka::Producer::new(config).unwrap();
    producer.produce_many_sync(&[record(0), record(5)]).unwrap();
    assert!(producer.produce_many_sync(&[record(6)]).is_err(), "a seventh partition");
}

#[test]
fn administration_of_an_embedded_broker_is_refused_at_once() {
    let broker = Broker::start(&[]);
    let began = Instant::now();
    let refused = said(&broker.ask(&["topics", "create", "flights", "6"]));
    assert!(refused.contains("libkarafka broker --topic flights:6"), "{refused}");
    let refused = said(&broker.ask(&["topics", "delete", "flights"]));
    assert!(refused.contains("knows no administration"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_broker_that_does_not_answer_is_named_with_the_reason() {
    let output = Command::new(LIBKARAFKA)
        .args(["topics", "create", "flights", "6", "--brokers", "127.0.0.1:1"])
        .output()
        .unwrap();
    let refused = said(&output);
    assert!(refused.contains("127.0.0.1:1") && refused.contains("Connection refused"), "{refused}");
}

#[test]
fn wrong_arguments_are_refused_before_anything_starts() {
    for arguments in
        [&["broker", "--topic", "flights"][..], &["broker", "--topic", "flights:0"], &["topics", "create", "a", "0"]]
    {
        let output = Command::new(LIBKARAFKA).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("error:"), "{arguments:?}");
    }
}
