//! `bench-transforming`: one measured run of a Rust handler that sends each message on, to the topic in `BENCH_INTO`. Prints one line
//! of JSON; the rest of the environment is described in `reading.rs`, but for `BENCH_STYLE`:
//!
//! | style | a call |
//! |---|---|
//! | `transaction` | sends its messages on and marks them in one transaction |
//! | `wait` | sends them on without one, and waits for their acknowledgements |
//! | `forget` | sends them on and waits for nothing, so a crash may lose some |
//!
//! `BENCH_SETTINGS` holds options of the topic, one `name=value` a line.
//!
//! The first tenth is left out of the time: it holds the registration of the transactions' producers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::env;
use std::process::exit;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use karafka::{
    App, AppConfig, Batch, Context, Failure, Producer, ProducerConfig, Record, TopicConfig, Value, VirtualPartitions,
    handler_fn,
};

fn setting<T: FromStr>(name: &str) -> T {
    let text = env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a value of its type"))
}

/// What all calls of the handler share.
struct Run {
    warm: u64,
    wanted: u64,
    pause: Duration,
    into: String,
    style: String,
    producer: Producer,
    began: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    messages: AtomicU64,
    bytes: AtomicU64,
    main: thread::Thread,
}

impl Run {
    fn handle(&self, batch: &Batch, context: &Context) -> karafka::Result<()> {
        thread::sleep(self.pause * u32::try_from(batch.len()).unwrap());
        let record = |message: karafka::Message<'_>| message.payload().map_or(0, <[u8]>::len) as u64;
        let bytes = batch.iter().map(record).sum();
        let records: Vec<Record<'_>> = batch
            .iter()
            .map(|message| Record {
                topic: &self.into,
                key: message.key(),
                payload: message.payload(),
                ..Record::default()
            })
            .collect();
        match self.style.as_str() {
            "transaction" => context.transaction(|transaction| {
                transaction.produce_many_async(&records)?;
                batch.iter().try_for_each(|message| transaction.mark_as_consumed(&message))
            })?,
            "wait" => drop(self.producer.produce_many_sync(&records)?),
            "forget" => drop(self.producer.produce_many_async(&records)?),
            other => panic!("BENCH_STYLE={other}"),
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let more = batch.len() as u64;
        let before = self.messages.fetch_add(more, Ordering::Relaxed);
        let crosses = |mark: u64| before < mark && before + more >= mark;
        if crosses(self.warm) {
            self.began.get_or_init(Instant::now);
        }
        if crosses(self.warm + self.wanted) {
            self.ended.get_or_init(Instant::now);
            self.main.unpark();
        }
        Ok(())
    }
}

fn main() {
    let wanted: u64 = setting("BENCH_MESSAGES");
    let brokers: String = setting("BENCH_BROKERS");
    let producer = ProducerConfig { bootstrap_servers: brokers.clone(), ..ProducerConfig::default() };
    let run = Arc::new(Run {
        warm: (wanted / 10).max(1),
        wanted,
        pause: Duration::from_micros(setting("BENCH_PAUSE_US")),
        into: setting("BENCH_INTO"),
        style: setting("BENCH_STYLE"),
        producer: Producer::new(producer).expect("cannot make a producer"),
        began: OnceLock::new(),
        ended: OnceLock::new(),
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        main: thread::current(),
    });
    let by_key = setting::<String>("BENCH_VIRTUAL_PARTITIONS") == "by_key";
    let mut topic = TopicConfig {
        virtual_partitions: if by_key { VirtualPartitions::ByKey } else { VirtualPartitions::Off },
        max_messages: setting("BENCH_MAX_MESSAGES"),
        virtual_partitions_per_job: setting("BENCH_KEYS_PER_CALL"),
        ..TopicConfig::default()
    };
    for (name, value) in setting::<String>("BENCH_SETTINGS").lines().filter_map(|line| line.split_once('=')) {
        topic.set(name, &value.parse().map_or_else(|_| Value::from(value), Value::Integer)).unwrap();
    }
    let config = AppConfig {
        bootstrap_servers: brokers,
        group: setting("BENCH_GROUP"),
        concurrency: setting("BENCH_WORKERS"),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let shared = Arc::clone(&run);
    let handler = move |batch: &Batch, context: &Context| {
        if let Err(error) = shared.handle(batch, context) {
            // After the end the app stops, which takes transactions along.
            if shared.ended.get().is_none() {
                eprintln!("bench-transforming: {error}");
                exit(1);
            }
        }
        Ok::<(), Failure>(())
    };
    app.topic(&setting::<String>("BENCH_TOPIC"), topic, handler_fn(handler)).unwrap();
    app.start().unwrap();
    let ended = loop {
        if let Some(ended) = run.ended.get() {
            break *ended;
        }
        thread::park();
    };
    let seconds = ended.duration_since(*run.began.get().unwrap()).as_secs_f64();
    app.stop();
    app.join(None).unwrap();
    run.producer.close().expect("not everything was acknowledged");
    println!(
        "{{\"messages\":{wanted},\"seconds\":{seconds:.6},\"handled\":{},\"bytes\":{}}}",
        run.messages.load(Ordering::Relaxed),
        run.bytes.load(Ordering::Relaxed)
    );
}
