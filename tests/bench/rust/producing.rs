//! One measured run of a Rust producer: asynchronously, with no handle kept, and a flush at the end. Prints one line of JSON; the
//! environment is described in `reading.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka::{Producer, ProducerConfig, Record};
use std::env;
use std::time::{Duration, Instant};

const KEYS: usize = 1_000;
const PAYLOAD: [u8; 100] = [0; 100];

fn main() {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (wanted, topic): (usize, String) = (setting("BENCH_MESSAGES").parse().unwrap(), setting("BENCH_TOPIC"));
    let producer = Producer::new(ProducerConfig {
        bootstrap_servers: setting("BENCH_BROKERS"),
        queue_full_timeout: Duration::from_secs(60),
        ..ProducerConfig::default()
    });
    let producer = producer.expect("cannot make a producer");
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key-{number:04}")).collect();
    let record = |number: usize| Record {
        topic: &topic,
        key: Some(keys[number * 387 % KEYS].as_bytes()),
        payload: Some(&PAYLOAD),
        ..Record::default()
    };
    // The first record waits for connections and metadata.
    producer.produce_sync(&record(0)).expect("cannot produce");
    let began = Instant::now();
    for number in 0..wanted {
        producer.produce_async(&record(number)).expect("cannot produce");
    }
    let left = producer.flush(Duration::from_secs(120)).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    producer.close().expect("not everything was acknowledged");
    let (handled, bytes) = (wanted - left, (wanted - left) * PAYLOAD.len());
    println!("{{\"messages\":{wanted},\"seconds\":{seconds:.6},\"handled\":{handled},\"bytes\":{bytes}}}");
}
