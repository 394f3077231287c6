//! The command as a program: what it prints, and how it ends.

mod flow;
mod service;

use crate::support::{Broker, LIBKARAFKA};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

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
    for arguments in [
        &["broker", "--topic", "flights"][..],
        &["broker", "--topic", "flights:0"],
        &["topics", "create", "a", "0"],
        &["topics", "describe", "a", "--timeout", "-1s"],
        &["topics", "describe", "a", "--kafka", "novalue"],
        &["tail", "a", "--offset", "9223372036854775808"],
        &["no-such-command"],
        &["topics", "list", "--no-such-flag"],
        &["topics"],
        &[],
    ] {
        let output = Command::new(LIBKARAFKA).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let help = Command::new(LIBKARAFKA).arg("--help").output().unwrap();
    assert!(
        help.status.success() && String::from_utf8(help.stdout).unwrap().contains("64 when the arguments are wrong")
    );
}

#[test]
fn a_setting_that_is_wrong_has_a_code_of_its_own() {
    for arguments in [
        &["topics", "list", "--kafka", "no.such.setting=1"][..],
        &["topics", "list", "--kafka", "socket.timeout.ms=ten"],
        &["topics", "list", "--kafka", "plugin.library.paths=/tmp/evil"],
        &["topics", "list", "--brokers", ""],
        &["acls", "delete", "--brokers", "embedded://"],
        &["config", "explain", "no_such_option"],
        &["plan", "/no/such/file.toml"],
        &["plan", "/"],
    ] {
        let output = Command::new(LIBKARAFKA).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?} {output:?}");
    }
    let nowhere = Command::new(LIBKARAFKA).arg("plan").current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(78));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("tried: topics.toml, config/topics.toml"), "{said}");
}

#[test]
fn a_name_that_cannot_be_is_refused_before_anybody_is_asked() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let declared = folder.join("names-that-cannot-be.toml");
    std::fs::write(&declared, "[topics.\"a b\"]\npartitions = 1\n").unwrap();
    let file = declared.to_str().unwrap();
    let (topic, group) =
        ("must be a topic name: 1 to 249 ASCII letters", "must be 1 to 249 characters, none of them invis");
    for (arguments, said) in [
        (&["topics", "create", "a b", "1"][..], topic),
        (&["topics", "describe", "a b"], topic),
        (&["topics", "delete", "a", "a b"], topic),
        (&["topics", "grow", "a b", "2"], topic),
        (&["topics", "truncate", "a b"], topic),
        (&["configs", "show", "--topic", "a b"], topic),
        (&["configs", "set", "--topic", "a b", "retention.ms=1"], topic),
        (&["groups", "describe", ""], group),
        (&["groups", "seek", " a", "a", "latest"], group),
        (&["groups", "seek", "a", "a b", "latest"], topic),
        (&["groups", "copy", "", "a"], group),
        (&["groups", "copy", "a", "a "], group),
        (&["groups", "rename", "a", "b\u{feff}"], group),
        (&["groups", "delete", "a", ""], group),
        (&["lag", ""], group),
        (&["acls", "create", "User:a", "read", "topic", "a b"], topic),
        (&["acls", "create", "User:a", "read", "topic", "a b", "--prefixed"], topic),
        (&["acls", "create", "User:a", "read", "group", ""], group),
        (&["send", "a b", "value"], topic),
        (&["tail", "a b"], topic),
        (&["dlq", "list", "a b"], topic),
        (&["dlq", "list", "a", "--source", "a b"], topic),
        (&["dlq", "list", "a", "--source-group", ""], group),
        (&["dlq", "show", "a b", "0@0"], topic),
        (&["dlq", "redrive", "a b"], topic),
        (&["dlq", "redrive", "a", "--to", "a b"], topic),
        (&["dlq", "redrive", "a", "--group", "a "], group),
        (&["dlq", "redrive", "a", "--source", "a b"], topic),
        (&["doctor", "--topic", "a b"], topic),
        (&["doctor", "--group", ""], group),
        (&["plan", file], topic),
        (&["apply", file], topic),
        (&["align", file], topic),
    ] {
        let mut command = Command::new(LIBKARAFKA);
        let output = command.args(arguments).args(["--brokers", "127.0.0.1:1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?} {output:?}");
        let refused = String::from_utf8(output.stderr).unwrap();
        assert!(refused.contains(said) && !refused.contains("127.0.0.1:1"), "{arguments:?}: {refused}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_terminal_obeys_nothing_that_was_typed() {
    for arguments in [&["to\u{1b}[2Jpics"][..], &["topics", "describe", "a\u{1b}[2J", "--brokers", "embedded://"]] {
        let output = Command::new(LIBKARAFKA).args(arguments).output().unwrap();
        assert!(!output.status.success() && !output.stderr.is_empty());
        assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Runs a command of the shell with the command as `$0`.
fn shell(script: &str) -> Output {
    Command::new("bash").args(["-c", script, LIBKARAFKA]).env("LIBKARAFKA_LOG", "debug").output().unwrap()
}

#[test]
fn without_a_terminal_nothing_is_coloured() {
    let output = shell("$0 topics list --brokers 127.0.0.1:1 --timeout 1s; $0 tpoics; $0 --help");
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("DEBUG"), "the log was asked for: {output:?}");
}

#[test]
fn streams_may_be_closed() {
    let broker = Broker::start(&["orders:1"]);
    let different = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("different-topics.toml");
    std::fs::write(&different, "[topics.orders]\npartitions = 2\n").unwrap();
    let code = |script: &str| {
        let output = shell(script);
        (
            String::from_utf8(output.stdout).unwrap().trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).contains("panicked"),
        )
    };
    let all = "--brokers embedded://";
    for (script, wanted) in [
        (format!("($0 topics list {all} <&- >&-; echo $? >&3) 3>&1 | cat"), "0"),
        ("(LIBKARAFKA_LOG= $0 config explain; echo $? >&3) 3>&1 >/dev/full".to_owned(), "1"),
        ("(set +o pipefail; ($0 config explain; echo $? >&3) | true) 3>&1".to_owned(), "0"),
        ("(($0 nonsense; echo $? >&3) 2>&1 | true) 3>&1".to_owned(), "64"),
        (format!("(($0 topics describe nothing {all}; echo $? >&3) 2>&1 | true) 3>&1"), "1"),
        ("$0 broker --until-eof <&- >/dev/null; echo $?".to_owned(), "0"),
        // What was found or has failed counts, also where nobody reads it.
        (format!("(($0 plan {} --brokers {}; echo $? >&3) | true) 3>&1", different.display(), broker.address), "2"),
        (format!("(($0 apply {} --brokers {}; echo $? >&3) | true) 3>&1", different.display(), broker.address), "1"),
    ] {
        let (last, has_panicked) = code(&script);
        assert!(!has_panicked, "{script}");
        assert_eq!(last.lines().last(), Some(wanted), "{script}");
    }
}

#[test]
fn ten_thousand_topics_are_listed_in_two_seconds() {
    let address = crate::support::crowd::open(10_000);
    let began = Instant::now();
    let output = Command::new(LIBKARAFKA).args(["topics", "list", "--brokers", &address]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 10_000);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
