//! What the command says is wrong, and what options mean.

use crate::support::{Broker, LIBKARAFKA};
use std::net::TcpListener;
use std::process::{Command, Output};

fn findings(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn about<'a>(findings: &'a [serde_json::Value], what: &str) -> Vec<(&'a str, &'a str)> {
    let of = findings.iter().filter(|finding| finding["about"] == what);
    of.map(|finding| (finding["verdict"].as_str().unwrap(), finding["text"].as_str().unwrap())).collect()
}

#[test]
fn a_healthy_cluster_is_said_to_be_so() {
    let broker = Broker::start(&["orders:2"]);
    let output = broker.ask(&["doctor", "--topic", "orders", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let found = findings(&output);
    for what in ["versions", "address", "cluster", "advertised listeners", "topic", "rights"] {
        assert!(about(&found, what).iter().all(|(verdict, _)| *verdict == "good"), "{what}: {found:?}");
        assert!(!about(&found, what).is_empty(), "{what}: {found:?}");
    }
    let output = broker.ask(&["doctor"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("good      address: "), "for people");
}

#[test]
fn an_address_where_nobody_is_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let brokers = format!("{free},not-there.invalid:9092");
    let mut command = Command::new(LIBKARAFKA);
    let output = command.args(["doctor", "--json", "--timeout", "2s", "--brokers", &brokers]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found = findings(&output);
    let addresses = about(&found, "address");
    assert!(addresses[0].1.contains("does not accept connections: Connection refused"), "{addresses:?}");
    assert!(addresses[1].1.contains("is no address that this machine can find"), "{addresses:?}");
    assert_eq!(about(&found, "connection")[0].0, "wrong");
}

/// librdkafka takes a protocol before an address, and a port of its own where there is none.
#[test]
fn addresses_are_read_as_librdkafka_reads_them() {
    let broker = Broker::start(&[]);
    let doctor = |brokers: &str| {
        let mut command = Command::new(LIBKARAFKA);
        command.args(["doctor", "--json", "--timeout", "2s", "--brokers", brokers]).output().unwrap()
    };
    let output = doctor(&format!("PLAINTEXT://{}", broker.address));
    assert!(output.status.success(), "{output:?}");
    for alone in ["localhost", "[::1]"] {
        let found = findings(&doctor(alone));
        let (_, said) = about(&found, "address")[0];
        assert!(said.starts_with(&format!("{alone}:9092 ")), "{said}");
    }
}

#[test]
fn a_setting_that_is_wrong_is_told_before_anything_else() {
    for (arguments, said) in [
        (&["--timeout", "0s"][..], "timeout"),
        (&["--brokers", ""], "bootstrap_servers"),
        (&["--kafka", "no.such.setting=1"], "no.such.setting"),
    ] {
        let output = Command::new(LIBKARAFKA).arg("doctor").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let refused = String::from_utf8(output.stderr).unwrap();
        assert!(refused.contains(said) && output.stdout.is_empty(), "{arguments:?}: {refused}");
    }
}

#[test]
fn what_is_wrong_has_its_code_also_where_nobody_reads_on() {
    let (reading, writing) = std::io::pipe().unwrap();
    drop(reading);
    let mut command = Command::new(LIBKARAFKA);
    command.args(["doctor", "--timeout", "1s", "--brokers", "127.0.0.1:1"]).stdout(writing);
    assert_eq!(command.status().unwrap().code(), Some(1));
}

#[test]
fn options_are_explained() {
    let explain =
        |arguments: &[&str]| Command::new(LIBKARAFKA).args(["config", "explain"]).args(arguments).output().unwrap();
    let one = explain(&["retry_backoff", "--json"]);
    assert!(one.status.success());
    let one = findings(&one);
    assert_eq!((one.len(), &one[0]["scope"]), (1, &"topic".into()), "{one:?}");
    assert!(findings(&explain(&["--json"])).len() > 40);
    assert_eq!(explain(&["no_such_option"]).status.code(), Some(78));
}
