//! Dead letters by the command: listed, shown, and sent back once each, in order, also over interruptions.

use crate::support::{Broker, LIBKARAFKA};
use karafka::{
    Header, Producer, ProducerConfig, ReadFrom, ReadUntil, Reader, ReaderConfig, Record, Selection, dead_letter_header,
};
use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A letter as libkarafka puts it among the dead ones; partition 1 of the source has keys of its own.
fn letter(broker: &Broker, number: i64, error: &str) {
    let producer = producer(broker);
    bury(&producer, number, error);
    producer.close().unwrap();
}

fn producer(broker: &Broker) -> Producer {
    let config = ProducerConfig { bootstrap_servers: broker.address.clone(), ..ProducerConfig::default() };
    Producer::new(config).unwrap()
}

fn key_of(number: i64) -> String {
    format!("key-{}-{}", number % 2, number % 6)
}

fn bury(producer: &Producer, number: i64, error: &str) {
    let values = ["orders", &(number % 2).to_string(), &number.to_string(), "billing", "4", error, "no such customer"];
    let own = [Header { name: b"trace", value: Some(b"t-1") }, Header { name: b"trace", value: None }];
    let added = dead_letter_header::ALL.iter().zip(values);
    let added = added.map(|(name, value)| Header { name: name.as_bytes(), value: Some(value.as_bytes()) });
    let headers: Vec<_> = own.into_iter().chain(added).collect();
    let (key, payload) = (key_of(number), format!("\0{number}"));
    let partition = Some(i32::try_from(number % 2).unwrap());
    let (key, payload) = (Some(key.as_bytes()), Some(payload.as_bytes()));
    producer
        .produce_async(&Record { topic: "dead", partition, key, payload, headers: &headers, ..Record::default() })
        .unwrap();
}

fn bury_many(broker: &Broker, numbers: std::ops::Range<i64>) {
    let producer = producer(broker);
    for number in numbers {
        bury(&producer, number, if number % 5 == 0 { "Refused" } else { "Lost" });
    }
    producer.close().unwrap();
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    partition: i32,
    key: String,
    number: i64,
    headers: Vec<(String, Option<String>)>,
}

/// What a topic holds, partition by partition in order.
fn found(broker: &Broker, topic: &str) -> Vec<Found> {
    let config =
        ReaderConfig { bootstrap_servers: broker.address.clone(), until: ReadUntil::End, ..ReaderConfig::default() };
    let mut reader = Reader::open(config, &[Selection::new(topic, ReadFrom::Earliest)]).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        for message in batch.iter() {
            let headers = message.headers().iter().map(|header| (text(header.name), header.value.map(text))).collect();
            let number = text(message.payload().unwrap()).trim_start_matches('\0').parse().unwrap();
            found.push(Found { partition: message.partition(), key: text(message.key().unwrap()), number, headers });
        }
    }
    found.sort_by_key(|found| found.partition);
    found
}

fn numbers(found: &[Found]) -> Vec<i64> {
    let mut numbers: Vec<_> = found.iter().map(|found| found.number).collect();
    numbers.sort_unstable();
    numbers
}

/// Each key's numbers ascend where they lie.
fn assert_in_order(found: &[Found]) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for found in found {
        if let Some(before) = last.insert(&found.key, found.number) {
            assert!(before < found.number, "{} after {before}", found.number);
        }
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Vec<serde_json::Value> {
    text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn letters_are_listed_and_shown() {
    let broker = Broker::start(&["dead:2", "orders:2"]);
    for (number, error) in [(0, "Refused"), (1, "Refused"), (2, "Lost\u{1b}[2J")] {
        letter(&broker, number, error);
    }
    let foreign = Record { topic: "dead", partition: Some(0), payload: Some(b"no letter"), ..Record::default() };
    let other = producer(&broker);
    other.produce_sync(&foreign).unwrap();
    other.close().unwrap();

    let listed = broker.ask(&["dlq", "list", "dead"]);
    assert!(String::from_utf8(listed.stderr.clone()).unwrap().contains("1 messages of the topic are no dead letters"));
    let listed = text(&listed);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("orders/1@1") && listed.contains("key-1-1"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "a terminal would obey this: {listed}");

    let one = json(&broker.ask(&["dlq", "list", "dead", "--error", "Refused", "--partition", "1", "--json"]));
    assert_eq!(one.len(), 1);
    assert_eq!((&one[0]["source_topic"], &one[0]["source_offset"]), (&"orders".into(), &1.into()));
    assert_eq!((&one[0]["key"], &one[0]["attempts"]), (&"key-1-1".into(), &4.into()));
    for nothing in [["--key", "key"], ["--source", "other"], ["--before", "1h"], ["--source-group", "x"]] {
        let arguments = [&["dlq", "list", "dead", "--json"][..], &nothing].concat();
        assert_eq!(json(&broker.ask(&arguments)).len(), 0, "{nothing:?}");
    }
    assert_eq!(json(&broker.ask(&["dlq", "list", "dead", "--json", "--since", "1h", "--limit", "2"])).len(), 2);

    let shown = text(&broker.ask(&["dlq", "show", "dead", "1@0"]));
    for part in
        ["source       orders/1@1", "error        Refused: no such customer", "header       trace: null", "\\u{0}1"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let shown = &json(&broker.ask(&["dlq", "show", "dead", "1@0", "--json"]))[0];
    assert_eq!((&shown["headers"][0]["value"], &shown["value"]), (&"t-1".into(), &"\u{0}1".into()));
    assert!(refusal(&broker.ask(&["dlq", "show", "dead", "0@2"])).contains("no dead letter of libkarafka"));
    assert!(refusal(&broker.ask(&["dlq", "show", "dead", "0@9"])).contains("beyond the end"));
    assert_eq!(broker.ask(&["dlq", "show", "dead", "zero"]).status.code(), Some(64));
}

/// A letter whose payload was sealed for the topic that it came from, as it lay there.
#[test]
fn an_encrypted_letter_is_shown_as_such_without_its_key_and_opened_with_it() {
    const PUBLIC: &str = "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c=";
    const PRIVATE: &str = "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU";
    let broker = Broker::start(&["dead:2", "orders:2"]);
    let config = ProducerConfig {
        bootstrap_servers: broker.address.clone(),
        encryption_keys: [("2026", PUBLIC)].into(),
        ..ProducerConfig::default()
    };
    let sealing = Producer::new(config).unwrap();
    let record = Record { topic: "orders", partition: Some(0), payload: Some(b"two apples"), ..Record::default() };
    sealing.produce_sync(&record).unwrap();
    sealing.close().unwrap();
    let config = ReaderConfig { bootstrap_servers: broker.address.clone(), ..ReaderConfig::default() };
    let mut reader = Reader::open(config, &[Selection::new("orders", ReadFrom::Earliest)]).unwrap();
    let batch = reader.next(PATIENCE).unwrap().unwrap();
    let source = batch.get(0).unwrap();
    let values = ["orders", "0", "0", "billing", "1", "DecryptionError", "there is no private key"];
    let added = dead_letter_header::ALL.iter().zip(values);
    let added = added.map(|(name, value)| Header { name: name.as_bytes(), value: Some(value.as_bytes()) });
    let headers: Vec<_> = source.headers().into_iter().chain(added).collect();
    let plain = producer(&broker);
    let copy = Record { topic: "dead", payload: source.payload(), headers: &headers, ..record };
    plain.produce_sync(&copy).unwrap();
    plain.close().unwrap();

    let show = |more: &[&str]| text(&broker.ask(&[&["dlq", "show", "dead", "0@0"], more].concat()));
    assert!(show(&[]).contains("value        (encrypted, 38 bytes: there is no private key with the id 2026)"));
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("letter-{}.pem", std::process::id()));
    std::fs::write(&file, PRIVATE).unwrap();
    let key = format!("2026=file:{}", file.display());
    assert!(show(&["--encryption-key", &key]).contains("value        two apples"));
    let object: serde_json::Value = serde_json::from_str(&show(&["--encryption-key", &key, "--json"])).unwrap();
    assert_eq!(object["value"], "two apples");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn letters_go_back_as_they_were_and_only_once_in_a_group() {
    let broker = Broker::start(&["dead:2", "orders:2", "elsewhere:3"]);
    bury_many(&broker, 0..60);
    let dry = json(&broker.ask(&["dlq", "redrive", "dead", "--dry-run", "--json", "--group", "again"]));
    assert_eq!((&dry[0]["redriven"], &dry[0]["targets"]["orders"]), (&60.into(), &60.into()), "{dry:?}");
    assert!(found(&broker, "orders").is_empty(), "a dry run sends nothing");

    let refused = ["dlq", "redrive", "dead", "--json", "--group", "again", "--error", "Refused"];
    let sent = json(&broker.ask(&refused));
    assert_eq!((&sent[0]["redriven"], &sent[0]["left_out"]), (&12.into(), &48.into()), "{sent:?}");
    assert_eq!(sent[0]["complete"], true);
    let back = found(&broker, "orders");
    assert_eq!(numbers(&back), (0..60).step_by(5).collect::<Vec<_>>());
    assert_in_order(&back);
    for found in &back {
        assert_eq!(i64::from(found.partition), found.number % 2, "its own partition");
        assert_eq!(found.key, key_of(found.number));
        let own = [("trace".to_owned(), Some("t-1".to_owned())), ("trace".to_owned(), None)];
        assert_eq!(found.headers, own, "its own headers and no other");
    }
    assert_eq!(json(&broker.ask(&refused))[0]["redriven"], 0, "the group knows");
    bury_many(&broker, 60..70);
    assert_eq!(json(&broker.ask(&refused))[0]["redriven"], 2, "and what came since is new");

    // Offsets of another question say nothing about this one.
    let said = refusal(&broker.ask(&["dlq", "redrive", "dead", "--group", "again"]));
    assert!(said.contains("asked for something else") && said.contains("error_class=Refused"), "{said}");

    let elsewhere = text(&broker.ask(&["dlq", "redrive", "dead", "--to", "elsewhere"]));
    assert!(
        elsewhere.contains("70 letters sent and acknowledged") && elsewhere.contains("elsewhere: 70"),
        "{elsewhere}"
    );
    let there = found(&broker, "elsewhere");
    assert_eq!(numbers(&there), (0..70).collect::<Vec<_>>());
    assert_in_order(&there);
    let said = refusal(&broker.ask(&["dlq", "redrive", "dead", "--to", "dead"]));
    assert!(said.contains("would go back to the topic"), "{said}");
}

/// A letter whose source cannot be, or is the topic that it lies in.
fn bury_wrong(producer: &Producer, source: &str) {
    let values = [source, "0", "0", "billing", "1", "Refused", "nobody can send it back"];
    let added = dead_letter_header::ALL.iter().zip(values);
    let headers: Vec<_> =
        added.map(|(name, value)| Header { name: name.as_bytes(), value: Some(value.as_bytes()) }).collect();
    let wrong = Record { topic: "dead", partition: Some(0), headers: &headers, ..Record::default() };
    producer.produce_sync(&wrong).unwrap();
}

#[test]
fn a_redrive_that_failed_says_so_also_where_nobody_reads() {
    let broker = Broker::start(&["dead:2", "orders:2"]);
    let producer = producer(&broker);
    bury_wrong(&producer, "dead");
    producer.close().unwrap();
    let (reading, writing) = std::io::pipe().unwrap();
    drop(reading);
    let mut command = Command::new(LIBKARAFKA);
    command.args(["dlq", "redrive", "dead", "--brokers", &broker.address]).stdout(writing);
    let said = failure(&command.stderr(Stdio::piped()).output().unwrap());
    assert!(said.contains("the letter came from the topic that it lies in"), "{said}");
}

/// Letters before it are sent: that is no mistake in what was typed, with which nothing was done.
#[test]
fn a_letter_that_cannot_be_sent_is_named_and_those_before_it_are_sent() {
    for wrong in ["dead", "a\0b"] {
        let broker = Broker::start(&["dead:1", "orders:2"]);
        letter(&broker, 0, "Refused");
        let producer = producer(&broker);
        bury_wrong(&producer, wrong);
        producer.close().unwrap();
        let output = broker.ask(&["dlq", "redrive", "dead", "--json"]);
        let said = failure(&output);
        assert!(said.contains("letter: 0@1"), "{wrong:?}: {said}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["redriven"], 1, "{wrong:?}");
    }
}

fn start(broker: &Broker, rate: &str) -> Child {
    let mut command = Command::new(LIBKARAFKA);
    command.args([
        "dlq",
        "redrive",
        "dead",
        "--group",
        "again",
        "--json",
        "--rate",
        rate,
        "--brokers",
        &broker.address,
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until this many came back.
fn wait_for(broker: &Broker, count: usize) {
    let config = ReaderConfig {
        bootstrap_servers: broker.address.clone(),
        until: ReadUntil::Forever,
        ..ReaderConfig::default()
    };
    let mut reader = Reader::open(config, &[Selection::new("orders", ReadFrom::Earliest)]).unwrap();
    let mut seen = 0;
    while seen < count {
        seen += reader.next(PATIENCE).unwrap().unwrap().len();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupted_redrive_goes_on_without_doubling() {
    let broker = Broker::start(&["dead:2", "orders:2"]);
    bury_many(&broker, 0..200);
    let first = start(&broker, "50");
    wait_for(&broker, 20);
    signal(&first, "-INT");
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["interrupted"], &told["complete"]), (&true.into(), &false.into()));
    let sent = found(&broker, "orders").len();
    assert_eq!(told["redriven"], sent, "what was told is what was acknowledged");
    assert!((20..200).contains(&sent), "{sent}");
    let rest = json(&broker.ask(&["dlq", "redrive", "dead", "--group", "again", "--json"]));
    assert_eq!(rest[0]["redriven"], 200 - sent);
    let back = found(&broker, "orders");
    assert_eq!(numbers(&back), (0..200).collect::<Vec<_>>(), "each once");
    assert_in_order(&back);
}

#[test]
fn of_two_redrives_of_one_group_the_later_one_goes_on() {
    let broker = Broker::start(&["dead:2", "orders:2"]);
    bury_many(&broker, 0..200);
    let first = start(&broker, "50");
    wait_for(&broker, 20);
    text(&broker.ask(&["dlq", "redrive", "dead", "--group", "again"]));
    let said = failure(&first.wait_with_output().unwrap());
    assert!(said.contains("another redrive of the group has begun"), "{said}");
    let mut back = numbers(&found(&broker, "orders"));
    // A step is a quarter of a second at this rate.
    assert!(back.len() <= 200 + 2 * 13, "{} came twice", back.len() - 200);
    back.dedup();
    assert_eq!(back, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_killed_redrive_loses_nothing_and_repeats_one_step_at_most() {
    let broker = Broker::start(&["dead:2", "orders:2"]);
    bury_many(&broker, 0..200);
    let mut first = start(&broker, "80");
    wait_for(&broker, 30);
    first.kill().unwrap();
    first.wait().unwrap();
    text(&broker.ask(&["dlq", "redrive", "dead", "--group", "again"]));
    let mut back = numbers(&found(&broker, "orders"));
    let repeated = back.len() - 200;
    // A step is a quarter of a second at this rate.
    assert!(repeated <= 20, "{repeated} came twice");
    back.dedup();
    assert_eq!(back, (0..200).collect::<Vec<_>>());
}
