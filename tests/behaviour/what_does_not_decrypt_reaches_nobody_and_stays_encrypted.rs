//! Encryption at rest: brokers hold nothing readable; after a rotation old records open with the old key and new ones with the new
//! one; a record whose key is missing reaches no handler, goes to the dead letters as it was, and opens there once its key is back.
//! What is opened for a handler's transaction leaves it sealed again, and a reader with the key opens it.

use crate::support::{PATIENCE, quick, stop};
use karafka::{
    App, AppConfig, Batch, Context, EncryptionKeys, Error, Failure, Producer, ProducerConfig, ReadFrom, Reader,
    ReaderConfig, Record, Selection, TopicConfig, encryption_header, handler_fn,
};
use libkarafka_tests::topics::{self, Message};
use libkarafka_tests::{broker, group, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const OLD: (&str, &str, &str) = (
    "2025",
    "MCowBQYDK2VuAyEAfDv/AYTv4ab80RAWV1akLSETHghaGxQmrRXAMcDLrnQ=",
    "MC4CAQAwBQYDK2VuBCIEIJjxcZiNbkU0HAqtGHoaEA+VH5lIJZAXVtjMuZq4I5t4",
);
const NEW: (&str, &str, &str) = (
    "2026",
    "MCowBQYDK2VuAyEAba/SCrR9Opbd0d9ktN7feoHvrte13SGm+zdaNJWxino=",
    "MC4CAQAwBQYDK2VuBCIEIFhhJ14clDbWYIJ9uvTEyUo1LKho6eeYzBCjRT42oItp",
);

fn send(bootstrap: &str, topic: &str, (id, public, _): (&str, &str, &str), payloads: &[Option<&str>]) {
    let keys = EncryptionKeys::from([(id, public)]);
    let config =
        ProducerConfig { bootstrap_servers: bootstrap.to_owned(), encryption_keys: keys, ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    for payload in payloads {
        let payload = payload.map(str::as_bytes);
        producer.produce_sync(&Record { topic, key: Some(b"customer"), payload, ..Record::default() }).unwrap();
    }
    producer.close().unwrap();
}

/// Handles the topic until all of it is committed; gives what the handler got.
fn handle(bootstrap: &str, topic: &str, keys: &[(&str, &str, &str)], more: TopicConfig) -> Vec<Option<Vec<u8>>> {
    let group = topics::unique("opens");
    let app = App::new(quick(bootstrap, &group)).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let handler = handler_fn(move |batch: &Batch, _: &Context| {
        told.lock().extend(batch.iter().map(|message| message.payload().map(<[u8]>::to_vec)));
        Ok::<(), Failure>(())
    });
    let encryption_keys = keys.iter().map(|(id, _, private)| (*id, *private)).collect();
    let backoff = Duration::from_millis(5);
    let config = TopicConfig { encryption_keys, retry_backoff: backoff, retry_backoff_max: backoff, ..more };
    app.topic(topic, config, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &group, topic) == 0);
    stop(&app);
    seen.lock().clone()
}

fn texts(payloads: &[Option<&str>]) -> Vec<Option<Vec<u8>>> {
    payloads.iter().map(|payload| payload.map(|text| text.as_bytes().to_vec())).collect()
}

#[test]
fn after_a_rotation_and_with_a_key_missing() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let (old, new) = ([Some("old-1"), None, Some("")], [Some("new-1"), Some("new-2")]);
    send(bootstrap, &topic, OLD, &old);
    send(bootstrap, &topic, NEW, &new);
    let held = topics::read(bootstrap, &topic);
    let is_readable = |message: &Message| {
        let payload = message.payload.as_deref().unwrap_or_default();
        payload.windows(5).any(|part| part == b"old-1" || part.starts_with(b"new-"))
    };
    assert!(held.len() == 5 && !held.iter().any(is_readable), "brokers see nothing");
    assert_eq!((&held[1].payload, held[1].headers.len()), (&None, 0), "a tombstone stays one");

    let all: Vec<Option<&str>> = old.iter().chain(&new).copied().collect();
    assert_eq!(handle(bootstrap, &topic, &[OLD, NEW], TopicConfig::default()), texts(&all));

    let buries = TopicConfig {
        dead_letter_queue_topic: Some(dead.clone()),
        dead_letter_queue_max_retries: 1,
        ..TopicConfig::default()
    };
    let without = handle(bootstrap, &topic, &[NEW], buries);
    assert_eq!(without, texts(&[None, Some("new-1"), Some("new-2")]), "nothing of what does not open");
    let letters = topics::read(bootstrap, &dead);
    assert_eq!(letters.len(), 2);
    for (letter, original) in letters.iter().zip([&held[0], &held[2]]) {
        assert_eq!((&letter.key, &letter.payload), (&original.key, &original.payload), "still encrypted, byte by byte");
        assert_eq!(letter.headers[..4], original.headers[..]);
        assert_eq!(letter.headers[2].0, encryption_header::KEY_ID);
    }
    let finds = TopicConfig { encryption_topics: Some(topic), ..TopicConfig::default() };
    assert_eq!(handle(bootstrap, &dead, &[OLD], finds), texts(&[Some("old-1"), Some("")]));
}

#[test]
fn a_transaction_opens_what_it_gets_and_seals_what_it_sends() {
    let bootstrap = broker::shared();
    let [from, to, dead] = [1, 1, 1].map(|partitions| topics::create(bootstrap, partitions));
    send(bootstrap, &from, NEW, &[Some("there is no key for it")]);
    send(bootstrap, &from, OLD, &[Some("two apples"), Some("three pears")]);
    let name = topics::unique("seals");
    let config =
        AppConfig { transaction_encryption_keys: EncryptionKeys::from([(NEW.0, NEW.1)]), ..quick(bootstrap, &name) };
    let app = App::new(config).unwrap();
    let target = to.clone();
    let handler = handler_fn(move |batch: &Batch, context: &Context| {
        let outcome: Result<(), Error> = context.transaction(|transaction| {
            for message in batch.iter() {
                let payload = message.payload();
                transaction.produce_async(&Record { topic: &target, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            Ok(())
        });
        outcome.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig {
        encryption_keys: EncryptionKeys::from([(OLD.0, OLD.2)]),
        dead_letter_queue_topic: Some(dead.clone()),
        dead_letter_queue_max_retries: 0,
        dead_letter_queue_transactional: true,
        ..TopicConfig::default()
    };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    // What does not open goes out as it lay there, also in a transaction.
    let payload_of =
        |topic: &str| topics::read_decided(bootstrap, topic).into_iter().next().and_then(|one| one.payload);
    assert_eq!((topics::read_decided(bootstrap, &dead).len(), payload_of(&dead)), (1, payload_of(&from)));
    let held: Vec<_> = topics::read_decided(bootstrap, &to).into_iter().map(|one| one.payload.unwrap()).collect();
    assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [10 + 28, 11 + 28]);
    assert!(!held.iter().any(|payload| payload.windows(6).any(|part| part == b"apples")));
    let config = ReaderConfig {
        bootstrap_servers: bootstrap.to_owned(),
        encryption_keys: EncryptionKeys::from([(NEW.0, NEW.2)]),
        ..ReaderConfig::default()
    };
    let mut reader = Reader::open(config, &[Selection::new(&to, ReadFrom::Earliest)]).unwrap();
    let mut opened = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        opened.extend(batch.iter().map(|message| message.payload().map(<[u8]>::to_vec)));
    }
    assert_eq!(opened, texts(&[Some("two apples"), Some("three pears")]));

    // A key that is not there is told by the start.
    let config = AppConfig {
        transaction_encryption_keys: EncryptionKeys::from([(NEW.0, "file:not-there.pem")]),
        ..quick(bootstrap, &name)
    };
    let app = App::new(config).unwrap();
    app.topic(&from, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    let refused = app.start().unwrap_err().to_string();
    assert!(refused.contains("not-there.pem\" cannot be read"), "{refused}");
}
