//! A broker that is killed with -9 under produce load costs no acknowledged record, doubles none, and leaves no call without an
//! end: what is not acknowledged ends with an error. While no broker is there a full queue is waited for and then named, and
//! closing gives up what is left, record by record.

use karafka::{Delivery, ErrorKind, Producer, ProducerConfig, Record};
use libkarafka_tests::broker::Broker;
use libkarafka_tests::topics;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// What one thread sent, by the payload of the record.
type Sent = Vec<(String, Delivery)>;

fn load(producer: &Producer, topic: &str, name: usize, stop: &AtomicBool, count: &AtomicUsize) -> Sent {
    let mut sent = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (key, payload) = (format!("key-{}", number % 10), format!("{name}-{number}"));
        let record = Record {
            topic,
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            label: Some(&payload),
            ..Record::default()
        };
        match producer.produce_async(&record) {
            Ok(delivery) => {
                sent.push((payload, delivery));
                count.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::QueueFull, "{error}"),
        }
        // Enough to have some under way at each moment, and few enough to read back.
        std::thread::sleep(Duration::from_micros(500));
    }
    sent
}

#[test]
fn acknowledged_is_there_once_and_every_call_has_an_end() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = topics::create(&bootstrap, 4);
    let config = ProducerConfig {
        bootstrap_servers: bootstrap.clone(),
        // Shorter than the second outage, longer than the first: some records are given up, and none needlessly.
        delivery_timeout: Duration::from_secs(8),
        queue_full_timeout: Duration::from_millis(500),
        kafka: [
            ("queue.buffering.max.messages".to_owned(), "5000".to_owned()),
            ("reconnect.backoff.max.ms".to_owned(), "500".to_owned()),
        ]
        .into(),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).unwrap();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..THREADS)
        .map(|name| {
            let (producer, topic) = (producer.clone(), topic.clone());
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            std::thread::spawn(move || load(&producer, &topic, name, &stop, &count))
        })
        .collect();
    let wait_for = |more: usize| {
        let (until, deadline) = (count.load(Ordering::SeqCst) + more, Instant::now() + PATIENCE);
        while count.load(Ordering::SeqCst) < until {
            assert!(Instant::now() < deadline, "nothing is sent any more");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(500);
    broker.kill();
    broker.restart();
    wait_for(500);
    broker.kill();
    // The length of the outage is what is tested here: longer than `delivery_timeout`.
    std::thread::sleep(Duration::from_secs(10));
    broker.restart();
    wait_for(500);
    stop.store(true, Ordering::SeqCst);
    let sent: Sent = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(producer.flush(PATIENCE).unwrap(), 0, "every call has an end");
    producer.close().unwrap();

    let mut acknowledged = BTreeMap::new();
    let mut given_up = 0;
    for (payload, delivery) in &sent {
        match delivery.outcome().expect("the producer is closed") {
            Ok(report) => {
                let before = acknowledged.insert((report.partition, report.offset), payload.clone());
                assert_eq!(before, None, "two records at one place");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                assert!(error.to_string().contains(payload.as_str()), "the error names the label: {error}");
                given_up += 1;
            }
        }
    }
    println!("{} sent, {} acknowledged, {given_up} given up", sent.len(), acknowledged.len());
    // At least what was sent after the last return of the broker.
    assert!(acknowledged.len() >= 300);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for message in topics::read(&bootstrap, &topic) {
        let payload = String::from_utf8(message.payload.clone().unwrap()).unwrap();
        if let Some(expected) = acknowledged.get(&(message.partition, message.offset)) {
            assert_eq!(*expected, payload, "another record is where one was acknowledged");
        }
        *seen.entry(payload).or_default() += 1;
    }
    let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "doubled in spite of idempotence: {doubled:?}");
    let lost: Vec<_> = acknowledged.values().filter(|payload| !seen.contains_key(*payload)).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
}

#[test]
fn closing_without_a_broker_gives_up_each_record_by_name() {
    let mut broker = Broker::start();
    let topic = topics::create(&broker.bootstrap(), 1);
    let config = ProducerConfig {
        bootstrap_servers: broker.bootstrap(),
        close_timeout: Duration::from_secs(2),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).unwrap();
    let record = |payload: &'static str| Record {
        topic: &topic,
        payload: Some(payload.as_bytes()),
        label: Some(payload),
        ..Record::default()
    };
    producer.produce_sync(&record("before")).unwrap();
    broker.kill();
    let deliveries = producer.produce_many_async(&[record("first"), record("second"), record("third")]).unwrap();
    let began = Instant::now();
    let error = producer.close().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::Timeout);
    for label in ["3 to", "first", "second", "third"] {
        assert!(error.to_string().contains(label), "{error}");
    }
    for delivery in deliveries {
        assert_eq!(delivery.outcome().unwrap().unwrap_err().kind(), ErrorKind::Stopped);
    }
}
