//! Reading without a group, against the embedded broker: where it begins and ends, what it gives, how it waits.

use karafka::{
    EmbeddedBroker, EncryptionKeys, ErrorKind, Header, Producer, ProducerConfig, ReadFrom, ReadUntil, Reader,
    ReaderConfig, Record, Selection, Waited,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://reader";
const PATIENCE: Duration = Duration::from_secs(30);

fn topic(partitions: i32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, partitions).unwrap();
    name
}

fn produce(topic: &str, partition: i32, numbers: std::ops::Range<u32>) {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let payloads: Vec<_> = numbers.map(|number| number.to_string()).collect();
    let records: Vec<_> = payloads
        .iter()
        .map(|payload| Record {
            topic,
            partition: Some(partition),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    producer.produce_many_sync(&records).unwrap();
    producer.close().unwrap();
}

fn config(until: ReadUntil) -> ReaderConfig {
    ReaderConfig { bootstrap_servers: BROKER.to_owned(), until, ..ReaderConfig::default() }
}

/// Offsets by partition, in the order in which they came.
fn offsets(reader: &mut Reader) -> BTreeMap<i32, Vec<i64>> {
    let mut seen: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        assert!(!batch.is_empty(), "a batch is never empty");
        seen.entry(batch.partition()).or_default().extend(batch.iter().map(|message| message.offset()));
    }
    seen
}

fn kind(error: &karafka::Error) -> (ErrorKind, String) {
    (error.kind(), error.to_string())
}

#[test]
fn everything_to_the_end_once_and_in_order() {
    let topic = topic(3);
    for partition in 0..3 {
        produce(&topic, partition, 0..500);
    }
    let selections = [Selection::new(&topic, ReadFrom::Earliest)];
    let mut reader = Reader::open(ReaderConfig { max_messages: 64, ..config(ReadUntil::End) }, &selections).unwrap();
    // What comes after the opening is not part of it.
    produce(&topic, 1, 500..600);
    let seen = offsets(&mut reader);
    assert_eq!(seen.len(), 3);
    for (partition, offsets) in seen {
        assert_eq!(offsets, (0..500).collect::<Vec<_>>(), "partition {partition}");
    }
    assert!(reader.next(PATIENCE).unwrap().is_none(), "it stays at its end");
    assert!(reader.places().iter().all(|place| place.is_done && place.next == 500 && place.start == 0));
}

#[test]
fn partitions_have_beginnings_of_their_own() {
    let topic = topic(4);
    for partition in 0..3 {
        produce(&topic, partition, 0..20);
    }
    let of = |partition: i32, from| Selection::of_partitions(&topic, [partition], from);
    let selections =
        [of(0, ReadFrom::Last(3)), of(1, ReadFrom::Offset(15)), of(2, ReadFrom::Latest), of(3, ReadFrom::Last(9))];
    let mut reader = Reader::open(config(ReadUntil::End), &selections).unwrap();
    let expected = BTreeMap::from([(0, vec![17, 18, 19]), (1, vec![15, 16, 17, 18, 19])]);
    assert_eq!(offsets(&mut reader), expected, "and nothing of the end or of an empty partition");
}

#[test]
fn what_was_produced_is_what_is_read() {
    let topic = topic(1);
    let config_of = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config_of).unwrap();
    let headers = [
        Header { name: b"a", value: Some(b"1") },
        Header { name: b"a", value: None },
        Header { name: b"b", value: Some(b"") },
    ];
    let timestamp_ms = Some(1_700_000_000_123);
    let full = Record {
        topic: &topic,
        key: Some(b""),
        payload: Some(b"\0\xff"),
        headers: &headers,
        timestamp_ms,
        ..Record::default()
    };
    producer.produce_sync(&full).unwrap();
    producer.produce_sync(&Record { topic: &topic, ..Record::default() }).unwrap();
    let mut reader = Reader::open(config(ReadUntil::End), &[Selection::new(&topic, ReadFrom::Earliest)]).unwrap();
    let mut messages = Vec::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        messages.push(batch);
    }
    // Batches outlive their reader.
    drop(reader);
    let messages: Vec<_> = messages.iter().flat_map(|batch| batch.iter().collect::<Vec<_>>()).collect();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].key(), messages[0].payload()), (Some(&b""[..]), Some(&b"\0\xff"[..])));
    assert_eq!(messages[0].headers(), headers);
    assert_eq!(messages[0].timestamp().unwrap().milliseconds, 1_700_000_000_123);
    assert_eq!((messages[0].topic(), messages[0].partition()), (&*topic, 0));
    assert!(messages[1].key().is_none() && messages[1].is_tombstone() && messages[1].headers().is_empty());
}

#[test]
fn a_wait_ends_at_its_deadline_and_reading_goes_on() {
    let topic = topic(1);
    produce(&topic, 0, 0..1);
    let mut reader = Reader::open(config(ReadUntil::Forever), &[Selection::new(&topic, ReadFrom::Latest)]).unwrap();
    let began = Instant::now();
    let error = reader.next(Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retriable() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    produce(&topic, 0, 1..3);
    let mut read = Vec::new();
    while read.len() < 2 {
        read.extend(reader.next(PATIENCE).unwrap().unwrap().iter().map(|message| message.offset()));
    }
    assert_eq!(read, [1, 2]);
}

#[test]
fn another_thread_ends_a_wait() {
    let topic = topic(1);
    let mut reader = Reader::open(config(ReadUntil::Forever), &[Selection::new(&topic, ReadFrom::Earliest)]).unwrap();
    let interrupter = reader.interrupter();
    let reading = std::thread::spawn(move || {
        let error = reader.next(PATIENCE).unwrap_err();
        (error.kind(), reader)
    });
    interrupter.interrupt();
    let (kind, mut reader) = reading.join().unwrap();
    assert_eq!(kind, ErrorKind::Stopped);
    produce(&topic, 0, 0..1);
    assert_eq!(reader.next(PATIENCE).unwrap().unwrap().len(), 1, "it goes on");
}

#[test]
fn a_stopped_partition_gives_nothing_more() {
    let topic = topic(2);
    produce(&topic, 0, 0..100);
    produce(&topic, 1, 0..100);
    let one = ReaderConfig { max_messages: 1, ..config(ReadUntil::End) };
    let mut reader = Reader::open(one, &[Selection::new(&topic, ReadFrom::Earliest)]).unwrap();
    let first = reader.next(PATIENCE).unwrap().unwrap().partition();
    assert!(reader.stop_partition(&topic, first).unwrap());
    assert!(!reader.stop_partition(&topic, first).unwrap(), "only once");
    let seen = offsets(&mut reader);
    assert_eq!(seen, BTreeMap::from([(1 - first, (0..100).collect())]));
}

#[test]
fn what_cannot_be_read_is_said_at_once() {
    let topic = topic(2);
    produce(&topic, 0, 0..5);
    let open = |selections: &[Selection]| Reader::open(config(ReadUntil::End), selections).map(drop).unwrap_err();
    let of = |partition: i32, from| Selection::of_partitions(&topic, [partition], from);
    for (selections, wanted, text) in [
        (vec![], ErrorKind::Config, "no topic"),
        (vec![Selection::new("a/b", ReadFrom::Earliest)], ErrorKind::Config, "a/b"),
        (vec![of(2, ReadFrom::Earliest)], ErrorKind::Config, "partition 2 does not exist"),
        (vec![of(0, ReadFrom::Earliest), of(0, ReadFrom::Latest)], ErrorKind::Config, "twice"),
        (vec![of(0, ReadFrom::Offset(6))], ErrorKind::Config, "beyond the end of the log, which is 5"),
        (vec![of(0, ReadFrom::Time(5))], ErrorKind::Unsupported, "embedded"),
    ] {
        let (kind, said) = kind(&open(&selections));
        assert_eq!(kind, wanted, "{said}");
        assert!(said.contains(text), "{said}");
    }
    let kafka = BTreeMap::from([("group.id".to_owned(), "mine".to_owned())]);
    let error = Reader::open(ReaderConfig { kafka, ..config(ReadUntil::End) }, &[of(0, ReadFrom::Latest)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[test]
fn silence_is_no_error_where_it_waits_forever() {
    let topic = topic(1);
    for (until, is_error) in [(ReadUntil::Forever, false), (ReadUntil::End, true)] {
        let reader = Reader::open(config(until), &[Selection::new(&topic, ReadFrom::Latest)]).unwrap();
        let told = reader.silence(Duration::from_secs(3));
        assert_eq!(told.map_err(|error| error.kind()).err(), is_error.then_some(ErrorKind::Timeout), "{until}");
    }
    let mut reader = Reader::open(config(ReadUntil::Forever), &[Selection::new(&topic, ReadFrom::Offset(-5))]).unwrap();
    assert!(matches!(reader.wait(Duration::ZERO).unwrap(), Waited::Nothing));
    assert_eq!(reader.next(Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn nobody_at_the_address_is_told_with_the_reason_in_time() {
    let away = ReaderConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        timeout: Duration::from_secs(1),
        ..ReaderConfig::default()
    };
    let began = Instant::now();
    let (kind, said) = kind(&Reader::open(away, &[Selection::new("orders", ReadFrom::Earliest)]).unwrap_err());
    assert_eq!(kind, ErrorKind::Timeout, "{said}");
    assert!(said.contains("refused") && said.contains("127.0.0.1:1"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn encrypted_records_are_opened_and_what_does_not_open_is_an_error_in_its_place() {
    use karafka_encryption::KeyPair;
    let (topic, ours, foreign) = (topic(1), KeyPair::generate(), KeyPair::generate());
    let send = |key: Option<&KeyPair>, payload: Option<&str>| {
        let encryption_keys = key.map(|key| ("main", key.public.to_pem())).into_iter().collect();
        let bootstrap_servers = BROKER.to_owned();
        let producer =
            Producer::new(ProducerConfig { bootstrap_servers, encryption_keys, ..ProducerConfig::default() });
        let payload = payload.map(str::as_bytes);
        producer.unwrap().produce_sync(&Record { topic: &topic, payload, ..Record::default() }).unwrap();
    };
    send(Some(&foreign), Some("zero"));
    send(Some(&ours), Some("one"));
    send(Some(&ours), None);
    send(Some(&foreign), Some("three"));
    send(None, Some("four"));
    send(Some(&ours), Some("five"));
    let read = |encryption_required| {
        let encryption_keys = EncryptionKeys::from([("main", ours.private.to_pem().to_string())]);
        let config = ReaderConfig { encryption_keys, encryption_required, ..config(ReadUntil::End) };
        let mut reader = Reader::open(config, &[Selection::new(&topic, ReadFrom::Earliest)]).unwrap();
        let mut seen = Vec::new();
        loop {
            match reader.next(PATIENCE) {
                Ok(Some(batch)) => seen.extend(batch.iter().map(|message| {
                    let payload = message.payload().map(|payload| String::from_utf8(payload.to_vec()).unwrap());
                    (message.offset(), Ok(payload))
                })),
                Ok(None) => return seen,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Deserialize);
                    let text = error.to_string();
                    let is_told = |offset: &i64| text.contains(&format!("offset: {offset})"));
                    seen.push(((0..6).find(is_told).unwrap(), Err(text)));
                }
            }
        }
    };
    let opened = |payload: &str| Ok(Some(payload.to_owned()));
    for required in [false, true] {
        let seen = read(required);
        assert_eq!(seen.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5], "{seen:?}");
        let of = |offset: usize| seen[offset].1.clone();
        assert_eq!([of(1), of(2), of(5)], [opened("one"), Ok(None), opened("five")]);
        for offset in [0, 3] {
            assert!(of(offset).unwrap_err().contains("the private key with the id main does not open the record"));
        }
        match of(4) {
            Err(error) => assert!(required && error.contains("encryption_required"), "{error}"),
            clear => assert!(!required && clear == opened("four")),
        }
    }
}
