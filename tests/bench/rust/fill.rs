//! `bench-fill COUNT [PARTITIONS [BYTES]]` makes a topic on the Kafka at `BENCH_BROKERS`, fills it with records of so many
//! bytes (100) under 1,000 keys, and prints its name. `bench-fill --topics COUNT` makes empty ones and prints their names with
//! commas between them, `bench-fill --delete NAMES` removes such again.
//!
//! `bench-fill --feed TOPIC MICROSECONDS` adds a record so often, one partition after the other, until it is ended. Payloads
//! begin with the time in nanoseconds since 1970 and the record's number in its partition, both little-endian.
//!
//! Called by the benchmark's driver. Records go through crate `karafka`'s producer, from one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::env;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use karafka::{Producer, ProducerConfig, Record};
use libkarafka_tests::topics;

const KEYS: u64 = 1_000;
const PAYLOAD: usize = 100;
const PARTITIONS: i32 = 5;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let brokers = env::var("BENCH_BROKERS").unwrap_or_else(|_| usage());
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--delete", names] => names.split(',').for_each(|topic| topics::delete(&brokers, topic)),
        ["--topics", count] => {
            println!("{}", empty_topics(&brokers, number(count)).join(","));
        }
        ["--feed", topic, microseconds] => feed(&brokers, topic, Duration::from_micros(number(microseconds))),
        [count] => fill(&brokers, number(count), PARTITIONS, PAYLOAD),
        [count, partitions] => fill(&brokers, number(count), number(partitions), PAYLOAD),
        [count, partitions, bytes] => fill(&brokers, number(count), number(partitions), number(bytes)),
        _ => usage(),
    }
}

/// One topic of the usual partitions, or many of one partition.
fn empty_topics(brokers: &str, count: usize) -> Vec<String> {
    if count == 1 {
        return vec![topics::create(brokers, PARTITIONS)];
    }
    let names: Vec<String> = (0..count).map(|_| topics::unique("topic")).collect();
    topics::create_many(brokers, &names);
    names
}

fn usage() -> ! {
    eprintln!(
        "usage: BENCH_BROKERS=host:port bench-fill COUNT [PARTITIONS [BYTES]] | --topics COUNT | --delete NAMES | --feed TOPIC MICROSECONDS"
    );
    exit(2)
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| usage())
}

fn fill(brokers: &str, count: u64, partitions: i32, bytes: usize) {
    let topic = topics::create(brokers, partitions);
    let config = ProducerConfig {
        bootstrap_servers: brokers.to_owned(),
        linger: Duration::from_millis(50),
        queue_full_timeout: Duration::from_secs(60),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).expect("cannot make a producer");
    let failed = Arc::new(AtomicU64::new(0));
    let mut payload = vec![0_u8; bytes.max(8)];
    for record in 0..count {
        payload[..8].copy_from_slice(&record.to_le_bytes());
        // A step that shares no factor with the number of keys: neighbours in the topic have different keys.
        let key = format!("key-{:04}", record * 387 % KEYS);
        let record = Record { topic: &topic, key: Some(key.as_bytes()), payload: Some(&payload), ..Record::default() };
        let failed = Arc::clone(&failed);
        let note = move |report: karafka::Result<_>| {
            if report.is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        };
        producer.produce_with(&record, Box::new(note)).expect("cannot produce");
    }
    producer.close().expect("not everything was acknowledged");
    assert_eq!(failed.load(Ordering::Relaxed), 0, "records were not delivered");
    println!("{topic}");
}

fn feed(brokers: &str, topic: &str, period: Duration) {
    let config = ProducerConfig {
        bootstrap_servers: brokers.to_owned(),
        linger: Duration::ZERO,
        acks: "1".to_owned(),
        idempotence: false,
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).expect("cannot make a producer");
    let mut payload = [0_u8; PAYLOAD];
    let mut due = Instant::now();
    for number in 0_u64.. {
        due += period;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = format!("key-{:04}", number * 387 % KEYS);
        let partition = (number % PARTITIONS as u64) as i32;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands before 1970");
        payload[..8].copy_from_slice(&(time.as_nanos() as u64).to_le_bytes());
        payload[8..16].copy_from_slice(&(number / PARTITIONS as u64).to_le_bytes());
        let record = Record {
            topic,
            partition: Some(partition),
            key: Some(key.as_bytes()),
            payload: Some(&payload),
            ..Record::default()
        };
        producer.produce_with(&record, Box::new(end_unless_delivered)).expect("cannot produce");
    }
}

fn end_unless_delivered(report: karafka::Result<karafka::DeliveryReport>) {
    if let Err(error) = report {
        eprintln!("bench-fill: not delivered: {error}");
        exit(1);
    }
}
