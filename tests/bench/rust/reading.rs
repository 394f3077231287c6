//! `bench-reading`: one measured run of a Rust handler. Prints one line of JSON; settings come from the environment.
//!
//! | variable | meaning |
//! |---|---|
//! | `BENCH_BROKERS`, `BENCH_TOPIC`, `BENCH_GROUP` | what is read |
//! | `BENCH_MESSAGES` | after how many the run is over |
//! | `BENCH_WORKERS` | the app's `concurrency` |
//! | `BENCH_PAUSE_US` | how long each message is slept on; 0 reads payload length and one byte of the key instead |
//! | `BENCH_VIRTUAL_PARTITIONS` | `off` or `by_key` |
//! | `BENCH_STYLE` | which of `delay`, `throttle` and `filter` are on; all of them let every message pass |
//! | `BENCH_SETTINGS` | settings of librdkafka, one `name=value` a line |
//! | `BENCH_MAX_MESSAGES`, `BENCH_KEYS_PER_CALL` | the topic's `max_messages` and `virtual_partitions_per_job` |
//!
//! `bench-reading --settings` prints what librdkafka was set to, one `name=value` a line, and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::env;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use karafka::{App, AppConfig, Batch, Failure, Message, TopicConfig, VirtualPartitions, filtered, handler_fn};

fn setting<T: FromStr>(name: &str) -> T {
    let text = env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a value of its type"))
}

/// What all calls of the handler share.
struct Run {
    wanted: u64,
    pause: Duration,
    began: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    messages: AtomicU64,
    bytes: AtomicU64,
    keys: AtomicU64,
    main: thread::Thread,
}

impl Run {
    fn handle(&self, batch: &Batch) {
        self.began.get_or_init(Instant::now);
        let (mut bytes, mut keys) = (0, 0);
        for message in batch.iter() {
            bytes += message.payload().map_or(0, <[u8]>::len) as u64;
            keys += u64::from(message.key().and_then(<[u8]>::last).copied().unwrap_or(0));
            if !self.pause.is_zero() {
                thread::sleep(self.pause);
                self.count(1);
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.keys.fetch_add(keys, Ordering::Relaxed);
        if self.pause.is_zero() {
            self.count(batch.len() as u64);
        }
    }

    fn count(&self, more: u64) {
        let before = self.messages.fetch_add(more, Ordering::Relaxed);
        if before < self.wanted && before + more >= self.wanted {
            self.ended.get_or_init(Instant::now);
            self.main.unpark();
        }
    }
}

fn main() {
    if env::args().any(|word| word == "--settings") {
        print_settings();
        return;
    }
    let run = Arc::new(Run {
        wanted: setting("BENCH_MESSAGES"),
        pause: Duration::from_micros(setting("BENCH_PAUSE_US")),
        began: OnceLock::new(),
        ended: OnceLock::new(),
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        keys: AtomicU64::new(0),
        main: thread::current(),
    });
    let virtual_partitions = match setting::<String>("BENCH_VIRTUAL_PARTITIONS").as_str() {
        "off" => VirtualPartitions::Off,
        "by_key" => VirtualPartitions::ByKey,
        other => panic!("BENCH_VIRTUAL_PARTITIONS={other}"),
    };
    let style = env::var("BENCH_STYLE").unwrap_or_default();
    let topic = TopicConfig {
        delay_by: Duration::from_millis(u64::from(style.contains("delay"))),
        throttle_limit: if style.contains("throttle") { 1_000_000_000 } else { 0 },
        filter: style.contains("filter"),
        virtual_partitions,
        max_messages: setting("BENCH_MAX_MESSAGES"),
        virtual_partitions_per_job: setting("BENCH_KEYS_PER_CALL"),
        ..TopicConfig::default()
    };
    let app = App::new(config(setting("BENCH_WORKERS"))).unwrap();
    let shared = Arc::clone(&run);
    let handler = move |batch: &Batch, _: &karafka::Context| {
        shared.handle(batch);
        Ok::<(), Failure>(())
    };
    let handler = filtered(|message: Message<'_>| message.offset() >= 0, handler_fn(handler));
    app.topic(&setting::<String>("BENCH_TOPIC"), topic, handler).unwrap();
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
    let messages = run.wanted;
    println!(
        "{{\"messages\":{messages},\"seconds\":{seconds:.6},\"handled\":{},\"bytes\":{}}}",
        run.messages.load(Ordering::Relaxed),
        run.bytes.load(Ordering::Relaxed)
    );
}

fn config(concurrency: u32) -> AppConfig {
    let given = env::var("BENCH_SETTINGS").unwrap_or_default();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    AppConfig {
        bootstrap_servers: setting("BENCH_BROKERS"),
        group: setting("BENCH_GROUP"),
        concurrency,
        kafka: given.lines().filter_map(|line| line.split_once('=')).map(owned).collect(),
        ..AppConfig::default()
    }
}

/// Starts an app whose librdkafka says how it is configured: the reference loop takes the same settings.
fn print_settings() {
    let lines = Arc::new(parking_lot::Mutex::new(Vec::<u8>::new()));
    let sink = Arc::clone(&lines);
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || Lines(Arc::clone(&sink)))
        .init();
    let mut config = config(1);
    config.kafka.insert("debug".to_owned(), "conf".to_owned());
    let app = App::new(config).unwrap();
    app.topic(&setting::<String>("BENCH_TOPIC"), TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(())))
        .unwrap();
    app.start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let found = |name: &str| String::from_utf8_lossy(&lines.lock()).contains(name);
    while !found("auto.offset.reset = ") && Instant::now() < deadline {
        thread::yield_now();
    }
    app.stop();
    app.join(None).unwrap();
    print!("{}", String::from_utf8_lossy(&lines.lock()));
}

struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
