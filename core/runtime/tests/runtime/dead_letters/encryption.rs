//! Encrypted payloads against the embedded broker: who sees what, rotation, and what becomes of what does not open.

use super::{BROKER, PATIENCE, app, end, quick, read, text, topic};
use karafka::{
    App, Batch, Context, EncryptionKeys, Error, ErrorKind, Failure, Handler, Header, Message, OwnedRecord, Producer,
    ProducerConfig, ProducerHooks, Record, TopicConfig, VirtualPartitions, encryption_header, filtered, handler_fn,
    partitioned_handler_fn,
};
use karafka_encryption::{KeyPair, PrivateKey, PublicKey};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock, Mutex};

static OLD: LazyLock<KeyPair> = LazyLock::new(KeyPair::generate);
static NEW: LazyLock<KeyPair> = LazyLock::new(KeyPair::generate);

fn private(keys: &[(&str, &PrivateKey)]) -> EncryptionKeys {
    keys.iter().map(|(id, key)| ((*id).to_owned(), key.to_pem().to_string())).collect()
}

fn public(id: &str, key: &PublicKey) -> EncryptionKeys {
    EncryptionKeys::from([(id, key.to_pem())])
}

fn sealing(id: &str, key: &PublicKey) -> ProducerConfig {
    let bootstrap_servers = BROKER.to_owned();
    ProducerConfig { bootstrap_servers, encryption_keys: public(id, key), ..ProducerConfig::default() }
}

fn send(config: ProducerConfig, topic: &str, payloads: &[Option<&str>]) {
    let producer = Producer::new(config).unwrap();
    let headers = [Header { name: b"own", value: Some(b"clear") }];
    let mut records = Vec::new();
    for payload in payloads {
        let payload = payload.map(str::as_bytes);
        let place = Record { topic, partition: Some(0), key: Some(b"key"), ..Record::default() };
        records.push(Record { payload, headers: &headers, ..place });
    }
    producer.produce_many_sync(&records).unwrap();
    producer.close().unwrap();
}

fn plain() -> ProducerConfig {
    ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() }
}

/// A handler that tells each payload.
fn telling() -> (impl Handler, Receiver<String>) {
    let (sender, payloads) = channel();
    let sender = Mutex::new(sender);
    let handler = handler_fn(move |batch: &Batch, _: &Context| {
        batch.iter().for_each(|message| sender.lock().unwrap().send(text(message.payload())).unwrap());
        Ok::<(), Failure>(())
    });
    (handler, payloads)
}

fn start(group: &str, topic: &str, config: TopicConfig) -> (App, Receiver<String>) {
    let (handler, payloads) = telling();
    let app = app(group);
    app.topic(topic, config, handler).unwrap();
    app.start().unwrap();
    (app, payloads)
}

fn take(payloads: &Receiver<String>, count: usize) -> Vec<String> {
    (0..count).map(|_| payloads.recv_timeout(PATIENCE).unwrap()).collect()
}

#[test]
fn handlers_see_payloads_opened_with_old_and_new_keys_and_others_see_none_of_them() {
    let source = topic(1);
    send(sealing("old", &OLD.public), &source, &[Some("one"), None, Some("")]);
    // A rotation: the producer knows both keys, and uses the new one.
    let mut both = public("old", &OLD.public);
    both.insert("new", NEW.public.to_pem());
    let rotated = ProducerConfig { encryption_active_key: "new".to_owned(), encryption_keys: both, ..plain() };
    send(rotated, &source, &[Some("two")]);
    let keys = private(&[("old", &OLD.private), ("new", &NEW.private)]);
    let (app, payloads) = start("opening", &source, TopicConfig { encryption_keys: keys, ..TopicConfig::default() });
    assert_eq!(take(&payloads, 4), ["one", "<none>", "", "two"]);

    let (reader, copies) = read(&source);
    for (payload, id) in [(Some("one"), "old"), (None, ""), (Some(""), "old"), (Some("two"), "new")] {
        let copy = copies.recv_timeout(PATIENCE).unwrap();
        assert_eq!(copy.key.as_deref(), Some(&b"key"[..]), "keys stay clear");
        assert_eq!(copy.headers[0], (b"own".to_vec(), Some(b"clear".to_vec())));
        match payload {
            None => assert_eq!((copy.payload, copy.headers.len()), (None, 1), "a tombstone stays one"),
            Some(payload) => {
                let sealed = copy.payload.unwrap();
                assert_eq!(sealed.len(), payload.len() + 28);
                assert!(payload.is_empty() || !sealed.windows(payload.len()).any(|part| part == payload.as_bytes()));
                let names: Vec<&[u8]> = copy.headers[1..].iter().map(|(name, _)| name.as_slice()).collect();
                assert_eq!(names, encryption_header::ALL.map(str::as_bytes));
                assert_eq!(copy.headers[3].1.as_deref(), Some(id.as_bytes()));
            }
        }
    }
    end([app, reader]);
}

#[test]
fn what_does_not_open_goes_to_the_dead_letters_as_it_was_and_opens_there_with_its_key() {
    let (source, dead) = (topic(1), topic(1));
    send(sealing("known", &NEW.public), &source, &[Some("before")]);
    send(sealing("gone", &OLD.public), &source, &[Some("poison")]);
    // Another key than that of the consumer, under the same id.
    send(sealing("known", &OLD.public), &source, &[Some("foreign")]);
    send(plain(), &source, &[Some("clear")]);
    send(sealing("known", &NEW.public), &source, &[Some("behind"), None]);
    let (raw, originals) = read(&source);
    let config = TopicConfig { encryption_keys: private(&[("known", &NEW.private)]), ..quick(Some(&dead), 2) };
    let (app, payloads) = start("missing", &source, config);
    assert_eq!(take(&payloads, 3), ["before", "behind", "<none>"], "the others, once each and in order");
    let (reader, copies) = read(&dead);
    let originals: Vec<_> = (0..6).map(|_| originals.recv_timeout(PATIENCE).unwrap()).collect();
    for (offset, said) in
        [(1, "no private key with the id gone"), (2, "the id known does not open"), (3, "is not encrypted")]
    {
        let (copy, original): (_, &super::Copy) = (copies.recv_timeout(PATIENCE).unwrap(), &originals[offset]);
        assert_eq!((&copy.key, &copy.payload), (&original.key, &original.payload), "byte by byte");
        let (own, added) = copy.headers.split_at(original.headers.len());
        assert_eq!(own, original.headers);
        let added: BTreeMap<String, String> =
            added.iter().map(|(name, value)| (text(Some(name)), text(value.as_deref()))).collect();
        assert_eq!((added["error_class"].as_str(), added["attempts"].as_str()), ("DecryptionError", "3"));
        assert!(added["error_message"].contains(said), "{}", added["error_message"]);
    }
    // The key is found again: the dead letters open as what they were sealed for, and as nothing else.
    let keys = private(&[("gone", &OLD.private), ("known", &OLD.private)]);
    let config = TopicConfig { encryption_keys: keys, ..quick(None, 0) };
    let opening = TopicConfig {
        encryption_topics: Some(format!("others, {source}")),
        encryption_required: false,
        ..config.clone()
    };
    let (found, payloads) = start("found", &dead, opening);
    assert_eq!(take(&payloads, 3), ["poison", "foreign", "clear"]);
    let (elsewhere, nothing) = start("elsewhere", &dead, TopicConfig { retry_attempts: 2, ..config });
    let events = elsewhere.events();
    let mut discarded = 0;
    while discarded < 3 {
        discarded += i32::from(events.next(PATIENCE).unwrap().name() == "message.discarded");
    }
    assert_eq!(nothing.try_iter().count(), 0, "no handler ever saw one");
    end([app, reader, raw, found, elsewhere]);
}

#[test]
fn callbacks_are_asked_about_opened_payloads_only() {
    let (source, dead) = (topic(1), topic(1));
    send(sealing("known", &NEW.public), &source, &[Some("keep-1"), Some("skip-2")]);
    send(sealing("gone", &OLD.public), &source, &[Some("closed-3")]);
    send(sealing("known", &NEW.public), &source, &[Some("keep-4"), Some("skip-5")]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (sender, payloads) = channel();
    let (filter, partitioner, sender) = (Arc::clone(&asked), Arc::clone(&asked), Mutex::new(sender));
    let tell = move |batch: &Batch, _: &Context| {
        batch.iter().for_each(|message| sender.lock().unwrap().send(text(message.payload())).unwrap());
        Ok::<(), Failure>(())
    };
    let partition = move |message: Message<'_>| {
        partitioner.lock().unwrap().push(format!("partitioner {}", text(message.payload())));
        message.payload().unwrap_or_default().to_vec()
    };
    let keep = move |message: Message<'_>| {
        filter.lock().unwrap().push(format!("filter {}", text(message.payload())));
        text(message.payload()).starts_with("keep")
    };
    let config = TopicConfig {
        filter: true,
        virtual_partitions: VirtualPartitions::Callback,
        encryption_keys: private(&[("known", &NEW.private)]),
        ..quick(Some(&dead), 1)
    };
    let app = app("callbacks");
    app.topic(&source, config, filtered(keep, partitioned_handler_fn(partition, tell))).unwrap();
    app.start().unwrap();
    let mut handled = take(&payloads, 2);
    handled.sort_unstable();
    assert_eq!(handled, ["keep-1", "keep-4"]);
    let (reader, copies) = read(&dead);
    let copy = copies.recv_timeout(PATIENCE).unwrap();
    assert!(copy.headers.iter().any(|(name, value)| name == b"source_offset" && value.as_deref() == Some(b"2")));
    end([app, reader]);
    assert_eq!(payloads.try_iter().count(), 0);
    let mut asked = asked.lock().unwrap().clone();
    asked.sort_unstable();
    let (filters, partitioners) = (["keep-1", "keep-4", "skip-2", "skip-5"], ["keep-1", "keep-4"]);
    let expected = filters.iter().map(|payload| format!("filter {payload}"));
    let expected: Vec<String> =
        expected.chain(partitioners.iter().map(|payload| format!("partitioner {payload}"))).collect();
    assert_eq!(asked, expected);
}

#[test]
fn a_producer_seals_behind_its_middleware_and_partitioner() {
    let upper = Arc::new(|record: &mut OwnedRecord| {
        record.payload.iter_mut().for_each(|payload| payload.make_ascii_uppercase());
        Ok(())
    });
    let partitioner: karafka::Partitioner =
        Arc::new(|record: &Record<'_>, _| Ok(Some(i32::from(record.payload == Some(b"APPLES")) + 1)));
    let hooks = ProducerHooks { partitioner: Some(partitioner), middleware: vec![upper] };
    let config = ProducerConfig { max_payload_bytes: 1_000, ..sealing("main", &NEW.public) };
    let producer = Producer::recording(config, hooks, 4).unwrap();
    let record =
        |payload: Option<&'static [u8]>| Record { topic: "orders", key: Some(b"k"), payload, ..Record::default() };
    producer.produce_sync(&record(Some(b"apples"))).unwrap();
    producer.produce_sync(&record(None)).unwrap();
    let recorded = producer.recorded().unwrap();
    assert_eq!((recorded[0].report.partition, recorded[1].report.partition), (2, 1));
    assert_eq!(recorded[0].record.payload.as_ref().unwrap().len(), 6 + 28);
    assert_eq!((recorded[0].record.headers.len(), &recorded[0].record.key), (4, &Some(b"k".to_vec())));
    assert_eq!((&recorded[1].record.payload, recorded[1].record.headers.len()), (&None, 0));

    let refused = |record: &Record<'_>| producer.produce_sync(record).unwrap_err();
    let large = refused(&record(Some(&[b'x'; 990])));
    assert!(large.kind() == ErrorKind::Config && large.message().contains("1018 bytes"), "{large}");
    let headers = [Header { name: encryption_header::KEY_ID.as_bytes(), value: Some(b"main") }];
    let twice = refused(&Record { headers: &headers, ..record(Some(b"apples")) });
    assert!(twice.message().contains("has a header encryption_key_id"), "{twice}");
}

#[test]
fn keys_come_from_files_and_the_environment_and_errors_show_ids_only() {
    let folder = std::env::temp_dir().join(format!("karafka-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        format!("file:{}", path.display())
    };
    let secret = NEW.private.to_pem();
    let body = secret.lines().nth(1).unwrap();
    let make =
        |key: &str| Producer::new(ProducerConfig { encryption_keys: EncryptionKeys::from([("main", key)]), ..plain() });
    make(&file("public.pem", &NEW.public.to_pem())).unwrap();
    let error = |key: &str| -> Error { make(key).unwrap_err() };
    for (key, said) in [
        (file("private.pem", &secret), "it is a private key"),
        (file("none.pem", "hello"), "neither PEM nor"),
        (format!("file:{}", folder.join("missing.pem").display()), "cannot be read"),
        ("env:KARAFKA_NO_SUCH_KEY".to_owned(), "\"env:KARAFKA_NO_SUCH_KEY\" is not set"),
        (secret.to_string(), "encryption_keys[\"main\"]: it is a private key"),
        (body.to_owned(), "it is a private key"),
    ] {
        let error = error(&key);
        let all = format!("{error} {error:?}");
        assert!(error.kind() == ErrorKind::Config && all.contains(said) && all.contains("main"), "{all}");
        assert!(!all.contains(&body[20..40]), "{all}");
    }
    let start = |key: &str| {
        let app = app("keys");
        let config = TopicConfig { encryption_keys: EncryptionKeys::from([("main", key)]), ..TopicConfig::default() };
        app.topic("orders", config, telling().0)?;
        app.start().map(|()| end([app]))
    };
    let source = topic(1);
    let unreadable = start(&format!("file:{}", folder.join("missing.pem").display())).unwrap_err();
    assert!(unreadable.to_string().contains("cannot be read"), "{unreadable}");
    let public = start(&NEW.public.to_pem()).unwrap_err();
    assert!(public.message().contains("it is a public key, and a private key belongs here"), "{public}");
    let app = app("keys");
    let keys = EncryptionKeys::from([("main", file("private.pem", &secret))]);
    let config = TopicConfig { encryption_keys: keys, ..TopicConfig::default() };
    assert!(!format!("{config:?}").contains(body));
    app.topic(&source, config, telling().0).unwrap();
    app.start().unwrap();
    end([app]);
    std::fs::remove_dir_all(&folder).unwrap();
}
