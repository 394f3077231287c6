//! Records sent and shown by the command, and topics listed, on the embedded broker.

use crate::support::{Broker, LIBKARAFKA};
use std::io::Write;
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
