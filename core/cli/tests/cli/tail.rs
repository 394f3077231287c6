//! Records sent and shown by the command, and topics listed, on the embedded broker.

use crate::support::{Broker, LIBKARAFKA};
use karafka::{Producer, ProducerConfig, Record};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Vec<serde_json::Value> {
    text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_sent_is_shown() {
    let broker = Broker::start(&["orders:2"]);
    let sent = broker.ask(&["send", "orders", "one\u{1b}[2J", "--partition", "1", "--key", "anna", "--header", "a=b"]);
    assert_eq!(text(&sent), "orders/1@0\n");
    let mut command = Command::new(LIBKARAFKA);
    command.args(["send", "orders", "--partition", "1", "--json", "--brokers", &broker.address]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"two\n\xffthree\n").unwrap();
    assert_eq!(json(&child.wait_with_output().unwrap())[1]["offset"], 2);
    text(&broker.ask(&["send", "orders", "--partition", "0", "--key", "anna", "--tombstone"]));

    let shown = text(&broker.ask(&["tail", "orders", "--partition", "1", "--all"]));
    assert!(shown.contains("anna  one\\u{1b}[2J") && shown.contains("two") && shown.contains("\\xffthree"), "{shown}");
    let last = json(&broker.ask(&["tail", "orders", "--last", "1", "--json"]));
    assert_eq!(last.len(), 2, "one of each partition: {last:?}");
    let of = |partition: i32| last.iter().find(|record| record["partition"] == partition).unwrap();
    assert_eq!((&of(0)["key"], &of(0)["value"]), (&"anna".into(), &serde_json::Value::Null));
    assert_eq!(of(1)["value_base64"], "/3RocmVl");
    let first = json(&broker.ask(&["tail", "orders", "--partition", "1", "--offset", "0", "--json"]));
    assert_eq!((first.len(), &first[0]["headers"][0]["value"]), (3, &"b".into()));
}

/// `send`, with its streams in hand.
fn sender(broker: &Broker) -> std::process::Child {
    let mut command = Command::new(LIBKARAFKA);
    command.args(["send", "orders", "--partition", "0", "--brokers", &broker.address]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_line_does_not_wait_for_those_behind_it() {
    let broker = Broker::start(&["orders:1"]);
    let mut child = sender(&broker);
    let (mut lines, out) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let (sender, receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || out.lines().try_for_each(|line| sender.send(line.unwrap())));
    let next = || receiver.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    for (line, place) in [("one\ntwo\nthr", ["orders/0@0", "orders/0@1"]), ("ee\nfour\n", ["orders/0@2", "orders/0@3"])]
    {
        lines.write_all(line.as_bytes()).unwrap();
        assert_eq!([next(), next()], place);
    }
    lines.write_all(b"without an end").unwrap();
    drop(lines);
    assert_eq!(next(), "orders/0@4");
    drop(reading.join().unwrap());
    assert!(child.wait().unwrap().success());
    let shown = text(&broker.ask(&["tail", "orders", "--offset", "2"]));
    assert!(shown.contains("  three\n") && shown.contains("  without an end\n"), "{shown}");
}

#[test]
fn a_line_that_is_refused_hides_none_that_was_sent() {
    let broker = Broker::start(&["orders:1"]);
    let mut child = sender(&broker);
    let mut lines = child.stdin.take().unwrap();
    let large = "x".repeat(2_000_000);
    let writing = std::thread::spawn(move || lines.write_all(format!("one\ntwo\n{large}\nthree\n").as_bytes()));
    let output = child.wait_with_output().unwrap();
    drop(writing.join().unwrap());
    assert_eq!(output.status.code(), Some(1), "something was done");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "orders/0@0\norders/0@1\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("more than max_payload_bytes") && said.contains("line: 3"), "{said}");
}

#[test]
fn lines_are_sent_whether_or_not_somebody_reads_where_they_lie() {
    let broker = Broker::start(&["orders:1"]);
    let mut child = sender(&broker);
    drop(child.stdout.take());
    let mut lines = child.stdin.take().unwrap();
    (0..2500).try_for_each(|number| writeln!(lines, "{number}")).unwrap();
    drop(lines);
    assert!(child.wait().unwrap().success());
    let last = json(&broker.ask(&["tail", "orders", "--last", "1", "--json"]));
    assert_eq!((&last[0]["offset"], &last[0]["value"]), (&2499.into(), &"2499".into()));
}

/// A pipe takes 64 KiB: the command waits for its reader in the midst of a line.
#[test]
fn a_signal_leaves_no_half_of_a_line() {
    let broker = Broker::start(&["orders:1"]);
    let config = ProducerConfig { bootstrap_servers: broker.address.clone(), ..ProducerConfig::default() };
    let payload = "x".repeat(3000);
    let record = Record { topic: "orders", payload: Some(payload.as_bytes()), ..Record::default() };
    Producer::new(config).unwrap().produce_many_sync(&vec![record; 500]).unwrap();
    for (name, code, follow) in [("INT", 130, false), ("TERM", 143, false), ("INT", 130, true)] {
        let mut command = Command::new(LIBKARAFKA);
        command.args(["tail", "orders", "--all", "--json", "--brokers", &broker.address]).args(follow.then_some("-f"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut all = String::new();
        out.read_line(&mut all).unwrap();
        assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
        out.read_to_string(&mut all).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(all.ends_with('\n') && all.lines().count() < 500, "{name}: {} lines", all.lines().count());
        assert!(all.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{name}");
    }
}

#[test]
fn topics_are_listed_and_described() {
    let broker = Broker::start(&["orders:2", "alone:1"]);
    text(&broker.ask(&["send", "alone", "x", "--partition", "0"]));
    let listed = json(&broker.ask(&["topics", "list", "--json"]));
    let names: Vec<_> = listed.iter().map(|topic| topic["topic"].as_str().unwrap()).collect();
    assert_eq!(names, ["alone", "orders"]);
    let described = json(&broker.ask(&["topics", "describe", "alone", "--json"]));
    assert_eq!((described.len(), &described[0]["first"], &described[0]["end"]), (1, &0.into(), &1.into()));
    for refused in [&["groups", "list"][..], &["lag", "g"], &["acls", "list"], &["configs", "show", "--topic", "alone"]]
    {
        let output = broker.ask(refused);
        assert_eq!(output.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("embedded broker knows no administration"));
    }
    assert_eq!(broker.ask(&["groups", "seek", "g", "orders", "yesterday"]).status.code(), Some(64));
}

const PUBLIC: &str = "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c=";
const PRIVATE: &str = "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU";

#[test]
fn encrypted_records_are_shown_as_such_without_their_key_and_opened_with_it() {
    let broker = Broker::start(&["sealed:1"]);
    let config = ProducerConfig {
        bootstrap_servers: broker.address.clone(),
        encryption_keys: [("2026", PUBLIC)].into(),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).unwrap();
    producer.produce_sync(&Record { topic: "sealed", payload: Some(b"two apples"), ..Record::default() }).unwrap();
    producer.close().unwrap();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("key-{}.pem", std::process::id()));
    std::fs::write(&file, PRIVATE).unwrap();
    let tail = |more: &[&str]| broker.ask(&[&["tail", "sealed", "--all"], more].concat());
    let shown = text(&tail(&[]));
    assert!(shown.contains("null  (encrypted, 38 bytes: there is no private key with the id 2026)\n"), "{shown}");
    let object = &json(&tail(&["--json"]))[0];
    assert_eq!(object["encrypted"], "there is no private key with the id 2026");
    assert!(object["value_base64"].as_str().unwrap().len() == 52 && object.get("value").is_none(), "{object}");
    let key = format!("2026={}", file.display());
    assert!(text(&tail(&["--encryption-key", &key])).contains("null  two apples\n"));
    let object = &json(&tail(&["--json", "--encryption-key", &key]))[0];
    assert!(object["value"] == "two apples" && object.get("encrypted").is_none(), "{object}");
    let other = text(&tail(&["--encryption-key", &key.replace("2026", "2025")]));
    assert!(other.contains("there is no private key with the id 2026"), "{other}");
    std::fs::remove_file(&file).unwrap();
    for (key, said) in [
        (key.as_str(), "cannot be read"),
        ("2026=env:NOT_SET", "is not set"),
        // A key itself is no place for one, and is not repeated.
        (&format!("2026={PRIVATE}"), "cannot be read"),
    ] {
        let refused = tail(&["--encryption-key", key]);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(78) && text.contains(said) && !text.contains(&PRIVATE[20..40]), "{text}");
    }
    assert_eq!(tail(&["--encryption-key", "2026"]).status.code(), Some(64));
}
