//! Many records by one call: order, kinds of records in a row, records that cannot be sent, and a full queue.

use super::{SOON, broker, config, record};
use karafka::{Error, ErrorKind, Header, Producer, ProducerConfig, ProducerHooks, Record};
use std::time::{Duration, Instant};

/// How many records were sent before the one that was not.
fn sent_before(error: &Error) -> Option<&str> {
    error.context().iter().find(|(name, _)| *name == "sent").map(|(_, count)| count.as_str())
}

#[test]
fn records_of_all_kinds_arrive_in_the_order_of_the_list() {
    let _broker = broker("many-kinds", &[("kinds", 1), ("others", 1)]);
    let producer = Producer::new(config("many-kinds")).unwrap();
    let headers = [Header { name: b"h", value: Some(b"v") }];
    let payloads: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    let of = |n: usize| match n % 700 {
        50 => Record { headers: &headers, ..record("kinds", &payloads[n]) },
        51 => Record { partition: Some(0), ..record("kinds", &payloads[n]) },
        52 => Record { label: Some("labelled"), ..record("kinds", &payloads[n]) },
        53 => Record { timestamp_ms: Some(5), ..record("kinds", &payloads[n]) },
        54 => Record { payload: None, key: Some(b""), ..record("kinds", "") },
        60..70 => record("others", &payloads[n]),
        _ => Record { key: Some(b"key"), ..record("kinds", &payloads[n]) },
    };
    let records: Vec<_> = (0..payloads.len()).map(of).collect();
    let sent = producer.produce_many_async(&records).unwrap();
    assert_eq!(sent.len(), records.len());
    let reports = sent.wait(SOON).unwrap();
    for topic in ["kinds", "others"] {
        let offsets =
            reports.iter().zip(&records).filter(|(_, record)| record.topic == topic).map(|(report, _)| report.offset);
        let offsets: Vec<_> = offsets.collect();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>(), "{topic}");
    }
    for (delivery, record) in sent.iter().zip(&records) {
        assert_eq!((delivery.topic(), delivery.label()), (record.topic, record.label));
    }
    assert_eq!(producer.in_flight(), 0);
    producer.close().unwrap();
    let late = producer.produce_many_async(&records).unwrap_err();
    assert_eq!((late.kind(), sent_before(&late)), (ErrorKind::Stopped, Some("0")));
}

#[test]
fn a_record_that_cannot_be_sent_ends_the_call_with_those_before_it_under_way() {
    let _broker = broker("many-refused", &[("refused", 1)]);
    let config = ProducerConfig { max_payload_bytes: 1_500, ..config("many-refused") };
    let producer = Producer::new(config).unwrap();
    let (small, large, just) = ("x".repeat(10), "x".repeat(1_501), "x".repeat(1_490));
    for (place, bad) in
        [(300, record("refused", &large)), (0, record("refused", &large)), (299, record("not a topic", "x"))]
    {
        let before = producer.produce_sync(&record("refused", "before")).unwrap().offset;
        let mut records = vec![record("refused", &small); 600];
        records[place] = bad;
        let error = producer.produce_many_async(&records).unwrap_err();
        assert_eq!((error.kind(), sent_before(&error)), (ErrorKind::Config, Some(&*place.to_string())), "{error}");
        let next = producer.produce_sync(&record("refused", "after")).unwrap().offset;
        assert_eq!(next, before + 1 + place as i64, "all before it, and none behind it");
    }
    // With its key, librdkafka takes it or not: which record that was is said all the same.
    let mut records = vec![record("refused", &small); 10];
    records[5] = Record { key: Some(b"a key of some length"), ..record("refused", &just) };
    match producer.produce_many_async(&records) {
        Ok(sent) => assert_eq!(sent.wait(SOON).unwrap().len(), 10),
        Err(error) => assert_eq!(sent_before(&error), Some("5"), "{error}"),
    }
    producer.close().unwrap();
}

#[test]
fn many_wait_for_room_record_by_record_and_say_how_far_they_came() {
    let mut away = ProducerConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        queue_full_timeout: Duration::from_millis(300),
        close_timeout: Duration::ZERO,
        ..ProducerConfig::default()
    };
    away.kafka.insert("queue.buffering.max.messages".to_owned(), "300".to_owned());
    let producer = Producer::new(away).unwrap();
    let records = vec![record("nowhere", "x"); 1_000];
    let began = Instant::now();
    let full = producer.produce_many_async(&records).unwrap_err();
    assert_eq!((full.kind(), sent_before(&full)), (ErrorKind::QueueFull, Some("300")), "{full}");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(producer.in_flight(), 300);
    let mut sent = karafka::Deliveries::default();
    let at_once = producer.try_produce_many(&records, &mut sent).unwrap_err();
    assert_eq!((at_once.kind(), sent.len()), (ErrorKind::QueueFull, 0));
    producer.close().unwrap_err();

    let _broker = broker("many-room", &[("room", 1)]);
    let mut narrow = ProducerConfig { queue_full_timeout: SOON, ..config("many-room") };
    narrow.kafka.insert("queue.buffering.max.messages".to_owned(), "100".to_owned());
    let producer = Producer::new(narrow).unwrap();
    let reports = producer.produce_many_sync(&vec![record("room", "x"); 3_000]).unwrap();
    assert_eq!(reports.iter().map(|report| report.offset).collect::<Vec<_>>(), (0..3_000).collect::<Vec<_>>());
    producer.close().unwrap();
}

#[test]
fn a_testing_producer_and_one_with_middleware_see_each_record() {
    let mut hooks = ProducerHooks::default();
    hooks.middleware.push(std::sync::Arc::new(|record: &mut karafka::OwnedRecord| {
        record.payload.get_or_insert_default().push(b'!');
        Ok(())
    }));
    let producer = Producer::recording(ProducerConfig::default(), hooks, 1).unwrap();
    producer.fail_next(Error::new(ErrorKind::Broker, "produce", "planted")).unwrap();
    let records = [record("t", "a"), record("t", "b")];
    assert_eq!(sent_before(&producer.produce_many_async(&records).unwrap_err()), Some("0"));
    assert_eq!(producer.produce_many_sync(&records).unwrap().len(), 2);
    let payloads: Vec<_> = producer.recorded().unwrap().into_iter().filter_map(|kept| kept.record.payload).collect();
    assert_eq!(payloads, [b"a!", b"b!"]);
}
