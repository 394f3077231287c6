//! The app against the embedded broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka::{
    App, AppConfig, EmbeddedBroker, Failure, Producer, ProducerConfig, Record, TopicConfig, VirtualPartitions,
    handler_fn,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://tests";
const PATIENCE: Duration = Duration::from_secs(30);

/// A name that no other test of this process uses.
fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn app(group: &str) -> App {
    let config = AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: group.to_owned(),
        commit_interval: Duration::from_millis(50),
        ..AppConfig::default()
    };
    App::new(config).unwrap()
}

fn topic(partitions: i32) -> String {
    let name = unique("topic");
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, partitions).unwrap();
    name
}

fn produce(topic: &str, records: &[(String, String)]) {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let records: Vec<_> = records
        .iter()
        .map(|(key, payload)| Record {
            topic,
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    producer.produce_many_sync(&records).unwrap();
    producer.close().unwrap();
}

/// What handlers saw, and a way to wait for it.
#[derive(Default)]
struct Seen {
    records: Mutex<Vec<(String, String)>>,
    changed: Condvar,
}

impl Seen {
    fn add(&self, key: &[u8], payload: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.records.lock().unwrap().push((text(key), text(payload)));
        self.changed.notify_all();
    }

    fn wait(&self, count: usize) -> Vec<(String, String)> {
        let deadline = Instant::now() + PATIENCE;
        let mut records = self.records.lock().unwrap();
        while records.len() < count {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("{} of {count} records in {PATIENCE:?}", records.len()));
            records = self.changed.wait_timeout(records, left).unwrap().0;
        }
        records.clone()
    }
}

fn keyed(keys: usize, each: usize) -> Vec<(String, String)> {
    let mut records = Vec::new();
    for number in 0..each {
        for key in 0..keys {
            records.push((format!("key-{key}"), number.to_string()));
        }
    }
    records
}

fn assert_in_order_per_key(records: &[(String, String)], each: usize) {
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (key, payload) in records {
        by_key.entry(key).or_default().push(payload.parse().unwrap());
    }
    for (key, numbers) in by_key {
        assert_eq!(numbers, (0..each).collect::<Vec<_>>(), "{key}");
    }
}

#[test]
fn records_are_handled_in_order_per_key() {
    let topic = topic(3);
    produce(&topic, &keyed(20, 25));
    let seen = Arc::new(Seen::default());
    let app = app(&unique("group"));
    let config = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
    let record = Arc::clone(&seen);
    app.topic(
        &topic,
        config,
        handler_fn(move |batch, _| {
            for message in batch.iter() {
                record.add(message.key().unwrap(), message.payload().unwrap());
            }
            Ok::<(), Failure>(())
        }),
    )
    .unwrap();
    app.start().unwrap();
    let records = seen.wait(500);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert_eq!(records.len(), 500);
    assert_in_order_per_key(&records, 25);
}

#[test]
fn a_second_run_of_the_group_starts_where_the_first_ended() {
    let topic = topic(2);
    let group = unique("group");
    produce(&topic, &keyed(4, 10));
    let run = |expected: usize| {
        let seen = Arc::new(Seen::default());
        let app = app(&group);
        let record = Arc::clone(&seen);
        let handler = handler_fn(move |batch, _| {
            for message in batch.iter() {
                record.add(message.key().unwrap(), message.payload().unwrap());
            }
            Ok::<(), Failure>(())
        });
        app.topic(&topic, TopicConfig::default(), handler).unwrap();
        app.start().unwrap();
        let records = seen.wait(expected);
        app.stop();
        assert!(app.join(Some(PATIENCE)).unwrap());
        records
    };
    assert_eq!(run(40).len(), 40);
    produce(&topic, &[("new".to_owned(), "1".to_owned())]);
    assert_eq!(run(1), [("new".to_owned(), "1".to_owned())]);
}

#[test]
fn a_failed_record_is_tried_again_and_others_go_on() {
    let topic = topic(1);
    produce(&topic, &keyed(5, 4));
    let seen = Arc::new(Seen::default());
    let attempts = Arc::new(AtomicU32::new(0));
    let app = app(&unique("group"));
    let config = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(20),
        ..TopicConfig::default()
    };
    let (record, tried) = (Arc::clone(&seen), Arc::clone(&attempts));
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            if message.key() == Some(b"key-2") && context.attempt() < 3 {
                tried.fetch_add(1, Ordering::SeqCst);
                assert_eq!(context.is_retrying(), context.attempt() > 1);
                return Err(Failure::new("Unlucky", "not yet"));
            }
            record.add(message.key().unwrap(), message.payload().unwrap());
        }
        Ok(())
    });
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    let records = seen.wait(20);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert_in_order_per_key(&records, 4);
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
}
