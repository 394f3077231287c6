//! Scheduled messages, against the embedded broker.

use karafka::{
    App, AppConfig, Batch, Context, EmbeddedBroker, ErrorKind, Failure, Header, OwnedRecord, Producer, ProducerConfig,
    ReadFrom, Reader, ReaderConfig, Record, ScheduledMessagesConfig, Selection, TopicConfig, handler_fn,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BROKER: &str = "embedded://scheduled";
const PATIENCE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(50);

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn producer() -> Producer {
    Producer::new(ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() }).unwrap()
}

/// What arrived, and when.
#[derive(Default)]
struct Arrived {
    list: Mutex<Vec<(OwnedRecord, i64)>>,
    changed: Condvar,
}

impl Arrived {
    fn wait(&self, count: usize) -> Vec<(OwnedRecord, i64)> {
        let list = self.list.lock().unwrap();
        let found = self.changed.wait_timeout_while(list, PATIENCE, |list| list.len() < count).unwrap();
        assert!(!found.1.timed_out(), "{:?}", *found.0);
        found.0.clone()
    }
}

/// An app that sends on what waits in `NAME-later`, and gathers what arrives in `NAME`.
fn app(name: &str, arrived: &Arc<Arrived>) -> App {
    let config = AppConfig { bootstrap_servers: BROKER.to_owned(), group: name.to_owned(), ..AppConfig::default() };
    let (app, arrived) = (App::new(config).unwrap(), Arc::clone(arrived));
    let gather = handler_fn(move |batch: &Batch, _: &Context| {
        let time = now();
        for message in batch.iter() {
            let headers = message.headers();
            let record = OwnedRecord {
                topic: message.topic().to_owned(),
                partition: Some(message.partition()),
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().map(<[u8]>::to_vec),
                headers: headers.iter().map(|one| (one.name.to_vec(), one.value.map(<[u8]>::to_vec))).collect(),
                timestamp_ms: message.timestamp().map(|time| time.milliseconds),
                ..OwnedRecord::default()
            };
            arrived.list.lock().unwrap().push((record, time));
        }
        arrived.changed.notify_all();
        Ok::<(), Failure>(())
    });
    app.topic(name, TopicConfig::default(), gather).unwrap();
    let options = ScheduledMessagesConfig { interval: INTERVAL, ..ScheduledMessagesConfig::default() };
    app.scheduled_messages(&format!("{name}-later"), options).unwrap();
    app
}

/// The ids that wait in a topic.
fn waiting(topic: &str) -> Vec<Vec<u8>> {
    let config = ReaderConfig { bootstrap_servers: BROKER.to_owned(), ..ReaderConfig::default() };
    let mut reader = Reader::open(config, &[Selection::new(topic, ReadFrom::Earliest)]).unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        for message in batch.iter() {
            let Some(id) = message.key().map(<[u8]>::to_vec) else { continue };
            if message.is_tombstone() {
                ids.retain(|known| *known != id);
            } else {
                ids.push(id);
            }
        }
    }
    ids
}

fn topics(name: &str, partitions: i32) -> String {
    let broker = EmbeddedBroker::named(BROKER).unwrap();
    let later = format!("{name}-later");
    broker.create_topic(name, 2).unwrap();
    broker.create_topic(&later, partitions).unwrap();
    later
}

#[test]
fn messages_arrive_as_they_are_in_time_and_once() {
    let (later, arrived, producer) = (topics("in-time", 3), Arc::new(Arrived::default()), producer());
    let app = app("in-time", &arrived);
    app.start().unwrap();
    let began = now();
    let headers = [Header { name: b"trace", value: Some(b"1") }, Header { name: b"trace", value: None }];
    let full = Record {
        topic: "in-time",
        partition: Some(1),
        key: Some(b"key"),
        payload: Some(b"full"),
        headers: &headers,
        timestamp_ms: Some(1_600_000_000_000),
        ..Record::default()
    };
    producer.schedule(&later, &full, began + 300).unwrap();
    let tombstone = Record { topic: "in-time", key: Some(b"gone"), ..Record::default() };
    producer.schedule(&later, &tombstone, began + 200).unwrap();
    let plain =
        |payload: &'static str| Record { topic: "in-time", payload: Some(payload.as_bytes()), ..Record::default() };
    let cancelled = producer.schedule(&later, &plain("cancelled"), began + 400).unwrap();
    producer.cancel(&later, &cancelled).unwrap();
    producer.schedule(&later, &plain("past"), began - 60_000).unwrap();
    producer.schedule(&later, &plain("last"), began + 600).unwrap();

    let found = arrived.wait(4);
    app.stop();
    app.join(Some(PATIENCE)).unwrap();
    assert_eq!(arrived.list.lock().unwrap().len(), 4, "more than once");
    let of = |payload: Option<&str>| {
        let is_it = |one: &&(OwnedRecord, i64)| one.0.payload.as_deref() == payload.map(str::as_bytes);
        found.iter().find(is_it).unwrap_or_else(|| panic!("no {payload:?} in {found:?}"))
    };
    for (payload, at) in [(Some("full"), 300), (None, 200), (Some("past"), -60_000), (Some("last"), 600)] {
        let (_, time) = of(payload);
        assert!(*time >= began + at, "{payload:?} came {} ms early", began + at - time);
    }
    let (arrived_full, _) = of(Some("full"));
    assert_eq!(*arrived_full, full.to_owned_record());
    assert_eq!((of(None).0.key.as_deref(), of(None).0.headers.len()), (Some(&b"gone"[..]), 0));
    assert_eq!(of(Some("past")).0.key, None);
    assert!(waiting(&later).is_empty(), "what has arrived or was cancelled is forgotten");
}

#[test]
fn what_is_encrypted_waits_sealed_and_opens_where_it_goes_to() {
    let (later, arrived) = (topics("sealed", 1), Arc::new(Arrived::default()));
    let pair = karafka_encryption::KeyPair::generate();
    let config = ProducerConfig {
        bootstrap_servers: BROKER.to_owned(),
        encryption_keys: [("main", pair.public.to_pem())].into(),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).unwrap();
    let headers = [Header { name: b"own", value: Some(b"clear") }];
    let record = |payload| Record { topic: "sealed", payload, headers: &headers, ..Record::default() };
    producer.schedule(&later, &record(Some(b"two apples")), now() + 100).unwrap();
    producer.schedule(&later, &record(None), now() + 200).unwrap();
    let cancelled = producer.schedule(&later, &record(Some(b"cancelled")), now() + 100).unwrap();
    producer.cancel(&later, &cancelled).unwrap();
    let config = ReaderConfig { bootstrap_servers: BROKER.to_owned(), ..ReaderConfig::default() };
    let mut reader = Reader::open(config.clone(), &[Selection::new(&later, ReadFrom::Earliest)]).unwrap();
    let waits = reader.next(PATIENCE).unwrap().unwrap();
    let first = waits.get(0).unwrap().payload().unwrap();
    assert!(first.len() == 38 && !first.windows(6).any(|part| part == b"apples"), "{first:?}");

    // Whoever sends them on has no key.
    let app = app("sealed", &arrived);
    app.start().unwrap();
    let found = arrived.wait(2);
    app.stop();
    app.join(Some(PATIENCE)).unwrap();
    let sealed = found.iter().find_map(|(record, _)| record.payload.as_deref());
    assert_eq!(sealed, Some(first), "as it waited");
    let keys = [("main", pair.private.to_pem().to_string())].into();
    let config = ReaderConfig { encryption_keys: keys, ..config };
    let mut reader = Reader::open(config, &[Selection::new("sealed", ReadFrom::Earliest)]).unwrap();
    let mut opened = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        opened.extend(batch.iter().map(|message| message.payload().map(<[u8]>::to_vec)));
    }
    opened.sort();
    assert_eq!(opened, [None, Some(b"two apples".to_vec())]);
    let sealed_before = Record { headers: &[Header { name: b"encryption_key", value: None }], ..record(Some(b"x")) };
    assert_eq!(producer.schedule(&later, &sealed_before, now()).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn what_waits_outlives_the_app() {
    let (later, arrived, producer) = (topics("outlives", 2), Arc::new(Arrived::default()), producer());
    let record = |payload: &'static [u8]| Record { topic: "outlives", payload: Some(payload), ..Record::default() };
    let began = now();
    let first = app("outlives", &arrived);
    first.start().unwrap();
    for _ in 0..50 {
        producer.schedule(&later, &record(b"waits"), began + 3_000).unwrap();
    }
    producer.schedule(&later, &record(b"now"), began).unwrap();
    // Once it has gone, all before it were read, and their offsets may be committed.
    arrived.wait(1);
    first.stop();
    first.join(Some(PATIENCE)).unwrap();
    let cancelled = producer.schedule(&later, &record(b"cancelled"), began + 3_000).unwrap();
    producer.cancel(&later, &cancelled).unwrap();
    let waits = waiting(&later).len();
    // Where all this took longer than that, the first one has sent what was due.
    assert!(waits == 50 || now() >= began + 3_000, "{waits} of 50 wait");

    let second = app("outlives", &arrived);
    second.start().unwrap();
    let found = arrived.wait(51);
    second.stop();
    second.join(Some(PATIENCE)).unwrap();
    for (record, time) in found.iter().skip(1) {
        assert_eq!(record.payload.as_deref(), Some(&b"waits"[..]));
        assert!(*time >= began + 3_000, "{} ms early", began + 3_000 - time);
    }
    assert_eq!(arrived.list.lock().unwrap().len(), 51, "more than once");
    assert!(waiting(&later).is_empty());
}

#[test]
fn what_is_no_scheduled_message_is_left_and_holds_up_nothing() {
    let (later, arrived, producer) = (topics("foreign", 1), Arc::new(Arrived::default()), producer());
    for (key, payload) in [(None, Some(&b"no key"[..])), (Some(&b"0-abc"[..]), Some(b"no headers")), (None, None)] {
        producer
            .produce_sync(&Record { topic: &later, partition: Some(0), key, payload, ..Record::default() })
            .unwrap();
    }
    let nowhere = Record { topic: "foreign", partition: Some(77), payload: Some(b"x"), ..Record::default() };
    producer.schedule(&later, &nowhere, now()).unwrap();
    let app = app("foreign", &arrived);
    let events = app.events_of(&["consumer.tick.error"]).unwrap();
    app.start().unwrap();
    producer.schedule(&later, &Record { partition: Some(0), ..nowhere }, now() + 100).unwrap();
    arrived.wait(1);
    // That another one cannot go is told, and it stays.
    let told = events.next(PATIENCE).unwrap();
    assert!(format!("{told:?}").contains("partition"), "{told:?}");
    app.stop();
    app.join(Some(PATIENCE)).unwrap();
    assert_eq!(waiting(&later).len(), 2, "the foreign record and the one for a partition that is not there");
}

#[test]
fn mistakes_are_told_when_they_are_made() {
    let (later, producer) = (topics("mistakes", 1), producer());
    let record = Record { topic: "mistakes", payload: Some(b"x"), ..Record::default() };
    let kind = |result: karafka::Result<String>| result.unwrap_err().kind();
    assert_eq!(kind(producer.schedule(&later, &record, 1_700_000_000)), ErrorKind::Config, "seconds");
    let circle = Record { topic: &later, ..record };
    assert_eq!(kind(producer.schedule(&later, &circle, now())), ErrorKind::Config);
    assert_eq!(producer.cancel(&later, "nonsense").unwrap_err().kind(), ErrorKind::Config);
    let app = app("mistakes-app", &Arc::default());
    let twice = app.scheduled_messages("mistakes-app-later", ScheduledMessagesConfig::default()).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Config);
}
