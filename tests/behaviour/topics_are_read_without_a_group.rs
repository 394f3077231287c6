//! Beside the acceptance scenarios: a reader gives what the log holds (from a time, from the last so many offsets, without what was
//! aborted), and says what was deleted under its hands.

use crate::support::PATIENCE;
use karafka::{ErrorKind, ReadFrom, Reader, ReaderConfig, Selection};
use libkarafka_tests::broker;
use libkarafka_tests::topics::{self, Record};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn open(topic: &str, from: ReadFrom) -> Reader {
    let config = ReaderConfig { bootstrap_servers: broker::shared().to_owned(), ..ReaderConfig::default() };
    Reader::open(config, &[Selection::new(topic, from)]).unwrap()
}

fn payloads(mut reader: Reader) -> Vec<String> {
    let mut read = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        let text = |message: karafka::Message<'_>| String::from_utf8_lossy(message.payload().unwrap()).into_owned();
        read.extend(batch.iter().map(text));
    }
    read
}

#[test]
fn from_a_time_on() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let config = karafka::ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..Default::default() };
    let producer = karafka::Producer::new(config).unwrap();
    // Of these hours: what is older than a topic keeps is deleted whenever the broker looks.
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let hours_ago = |hours: i64| now - hours * 3_600_000;
    for (payload, hours) in [("old", 9), ("new", 5), ("newer", 1)] {
        let (payload, timestamp_ms) = (Some(payload.as_bytes()), Some(hours_ago(hours)));
        producer.produce_sync(&karafka::Record { topic: &topic, payload, timestamp_ms, ..Default::default() }).unwrap();
    }
    assert_eq!(payloads(open(&topic, ReadFrom::Time(hours_ago(7)))), ["new", "newer"]);
    assert_eq!(payloads(open(&topic, ReadFrom::Time(0))), ["old", "new", "newer"]);
    assert_eq!(payloads(open(&topic, ReadFrom::Time(i64::MAX))), Vec::<String>::new(), "nothing is as new as that");
}

#[test]
fn without_what_was_aborted_and_over_gaps_to_the_end() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    topics::produce(bootstrap, &topic, &[Record::plain("first")]);
    topics::produce_in_transaction(bootstrap, &topic, &[Record::plain("aborted")], false);
    topics::produce_in_transaction(bootstrap, &topic, &[Record::plain("committed")], true);
    assert_eq!(payloads(open(&topic, ReadFrom::Earliest)), ["first", "committed"]);
    // Offsets 0 to 4, of which two are the ends of transactions.
    assert_eq!(payloads(open(&topic, ReadFrom::Last(2))), ["committed"]);
    assert_eq!(payloads(open(&topic, ReadFrom::Last(1))), Vec::<String>::new(), "the end of a transaction");
}

#[test]
fn and_says_what_was_deleted_before_it_was_read() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let records: Vec<_> = (0..200).map(|number| Record::plain(format!("{number}-{}", "x".repeat(20_000)))).collect();
    topics::produce(bootstrap, &topic, &records);
    // Fetches so little ahead that most is left when it is deleted.
    let kafka = [("fetch.message.max.bytes".to_owned(), "25000".to_owned())].into();
    let config = ReaderConfig {
        bootstrap_servers: bootstrap.to_owned(),
        kafka,
        memory_budget_bytes: 1024,
        max_messages: 1,
        ..ReaderConfig::default()
    };
    let mut reader = Reader::open(config, &[Selection::new(&topic, ReadFrom::Earliest)]).unwrap();
    assert_eq!(reader.next(PATIENCE).unwrap().unwrap().first_offset(), 0);
    topics::delete_records(bootstrap, &topic, 0, 150);
    let mut read = vec![0];
    let mut told = 0;
    loop {
        match reader.next(PATIENCE) {
            Ok(Some(batch)) => read.extend(batch.iter().map(|message| message.offset())),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
                assert!(error.to_string().contains("goes on at offset 150"), "{error}");
                told += 1;
            }
        }
    }
    assert_eq!(told, 1, "once");
    let before = read.iter().filter(|offset| **offset < 150).count();
    let expected: Vec<i64> = (0..before as i64).chain(150..200).collect();
    assert_eq!(read, expected);
}

#[test]
fn where_a_topic_that_does_not_exist_is_not_an_empty_one() {
    let bootstrap = broker::shared();
    let error = Reader::open(
        ReaderConfig {
            bootstrap_servers: bootstrap.to_owned(),
            timeout: Duration::from_secs(20),
            ..ReaderConfig::default()
        },
        &[Selection::new(topics::unique("nowhere"), ReadFrom::Earliest)],
    )
    .unwrap_err();
    assert!(error.to_string().contains("Unknown topic"), "{error}");
}
