//! What an app tells of itself, on the embedded broker: events of single calls, statistics, its log, and that nobody who
//! listens badly harms it.

use karafka::{
    App, AppConfig, Context, EmbeddedBroker, ErrorKind, Event, Events, Failure, FieldValue, LogFormat, LogLevel,
    Producer, ProducerConfig, Record, TopicConfig, VirtualPartitions, filtered, handler_fn,
};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://observe";
const PATIENCE: Duration = Duration::from_secs(30);

fn topic() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, 1).unwrap();
    name
}

fn config(topic: &str) -> AppConfig {
    AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: format!("group-of-{topic}"),
        concurrency: 2,
        commit_interval: Duration::from_millis(50),
        ..AppConfig::default()
    }
}

fn produce(topic: &str, count: usize) {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let record = Record { topic, key: Some(b"planted-key"), payload: Some(b"planted-payload"), ..Record::default() };
    producer.produce_many_sync(&vec![record; count]).unwrap();
    producer.close().unwrap();
}

/// An app whose handler tells of each call, then waits until the gate is opened.
fn gated(config: AppConfig, topic: &str) -> (App, Receiver<Context>, Sender<()>) {
    let app = App::new(config).unwrap();
    let (began, calls) = channel();
    let (gate, opened) = channel::<()>();
    let (began, opened) = (Mutex::new(began), Mutex::new(opened));
    let handler = handler_fn(move |_, context: &Context| {
        began.lock().unwrap().send(context.clone()).unwrap();
        // A gate that is gone is open.
        let _ = opened.lock().unwrap().recv();
        Ok::<(), Failure>(())
    });
    let split =
        TopicConfig { virtual_partitions: VirtualPartitions::RoundRobin, max_messages: 1, ..TopicConfig::default() };
    app.topic(topic, split, handler).unwrap();
    (app, calls, gate)
}

fn next(events: &Events, name: &str) -> Event {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left =
            deadline.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("no {name} in {PATIENCE:?}"));
        if let Ok(event) = events.next(left)
            && event.name() == name
        {
            return event;
        }
    }
}

fn end(app: &App) {
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

#[test]
fn calls_are_told_to_who_names_them_with_what_they_had_and_took() {
    let topic = topic();
    produce(&topic, 3);
    let app = App::new(config(&topic)).unwrap();
    let failed = AtomicBool::new(false);
    let handler = handler_fn(move |_, _| {
        thread::sleep(Duration::from_millis(20));
        if failed.swap(true, Ordering::SeqCst) { Ok(()) } else { Err(Failure::new("Boom", "once")) }
    });
    app.topic(&topic, TopicConfig { retry_backoff: Duration::from_millis(1), ..TopicConfig::default() }, handler)
        .unwrap();
    let (calls, usual) = (app.events_of(&["consumer.consume", "consumer.consumed"]).unwrap(), app.events());
    app.start().unwrap();
    for succeeding in [false, true] {
        let Event::Consume { offset, messages, attempt, .. } = next(&calls, "consumer.consume") else { panic!() };
        let Event::Consumed { offset: same, messages: all, succeeded, time_taken_ms, .. } =
            next(&calls, "consumer.consumed")
        else {
            panic!()
        };
        assert_eq!((offset, messages, succeeded), (same, all, succeeding));
        assert_eq!((offset, attempt), (0, 1 + u32::from(succeeding)));
        assert!((20.0..20_000.0).contains(&time_taken_ms), "{time_taken_ms}");
    }
    end(&app);
    while let Ok(event) = usual.next(Duration::ZERO) {
        assert!(!event.name().starts_with("consumer.consume") || event.name() == "consumer.consume.error", "{event}");
    }
}

#[test]
fn workers_tell_of_every_job_to_who_names_them() {
    let topic = topic();
    produce(&topic, 3);
    let app = App::new(config(&topic)).unwrap();
    let handler = handler_fn(|_, _| {
        thread::sleep(Duration::from_millis(20));
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig { filter: true, ..TopicConfig::default() }, filtered(|_| true, handler)).unwrap();
    let (workers, usual) = (app.events_of(&["worker.process", "worker.processed"]).unwrap(), app.events());
    app.start().unwrap();
    // Each worker speaks for itself: what one begins may be told before what another has ended.
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while !["filter", "handler"].iter().all(|calls| ended.contains(calls)) {
        let left = deadline.checked_duration_since(Instant::now()).expect("a filter and a handler are told in time");
        match workers.next(left) {
            Ok(Event::WorkerProcess { worker, calls, offset, .. }) => {
                assert!(calls != "filter" || offset == 0 || ended.contains(&calls), "{calls} begins at {offset}");
                begun.push((worker, calls));
            }
            Ok(Event::WorkerProcessed { worker, calls, messages, time_taken_ms, .. }) => {
                let begins = begun.iter().position(|one| *one == (worker, calls)).expect("what ends has begun");
                begun.swap_remove(begins);
                assert!((1..=3).contains(&messages));
                assert!(calls == "filter" || (20.0..20_000.0).contains(&time_taken_ms), "{time_taken_ms}");
                ended.push(calls);
            }
            _ => {}
        }
    }
    end(&app);
    while let Ok(event) = usual.next(Duration::ZERO) {
        assert!(!event.name().starts_with("worker.process"), "{event}");
    }
}

#[test]
fn statistics_go_on_while_every_worker_is_blocked() {
    let topic = topic();
    produce(&topic, 10);
    let interval = Duration::from_millis(100);
    let (app, calls, gate) = gated(AppConfig { statistics_interval: interval, ..config(&topic) }, &topic);
    let events = app.events();
    app.start().unwrap();
    for _ in 0..2 {
        calls.recv_timeout(PATIENCE).unwrap();
    }
    let mut told = 0;
    let mut seen = 0.0;
    let deadline = Instant::now() + PATIENCE;
    while told < 3 {
        assert!(Instant::now() < deadline, "{told} statistics of 3 while handlers blocked");
        let Event::Statistics(statistics) = next(&events, "statistics.emitted") else { panic!() };
        let Some(partition) = statistics.clients.first().and_then(|client| client.partitions.first()) else { continue };
        // The end of the log is known with the first fetch.
        if statistics.workers_busy < 2 || partition.lag.is_none() {
            continue;
        }
        told += 1;
        assert_eq!((partition.topic.as_str(), partition.partition, partition.lag), (topic.as_str(), 0, Some(10)));
        assert_eq!((partition.end_offset, partition.position.unwrap_or(0)), (Some(10), 0));
        assert_eq!((statistics.concurrency, statistics.assigned_partitions), (2, 1));
        let longest = statistics.longest_running.as_secs_f64();
        assert!(longest > seen, "{longest} s, {seen} s before");
        seen = longest;
        assert!(statistics.oldest_waiting > Duration::ZERO && statistics.jobs_waiting == 2);
        assert_eq!(statistics.held_messages, 10);
        assert!(!statistics.clients[0].brokers.is_empty() && statistics.clients[0].join_state == "steady");
        for call in &statistics.calls {
            assert!(call.worker.is_some() && call.thread.is_some_and(|thread| thread != std::process::id()));
            assert_eq!((call.topic.as_str(), call.partition, call.messages), (topic.as_str(), 0, 1));
        }
    }
    drop(gate);
    end(&app);
}

#[test]
fn gauges_are_there_for_who_asks_and_nothing_is_told_to_who_does_not() {
    let topic = topic();
    produce(&topic, 1);
    let (app, calls, gate) = gated(config(&topic), &topic);
    assert_eq!(app.statistics(PATIENCE).unwrap_err().kind(), ErrorKind::Stopped);
    let events = app.events();
    app.start().unwrap();
    calls.recv_timeout(PATIENCE).unwrap();
    let statistics = app.statistics(PATIENCE).unwrap();
    assert_eq!((statistics.phase, statistics.workers_busy, statistics.clients.len()), ("running", 1, 0));
    assert!(app.report().contains(&format!("handle of {topic}/0 from offset 0 (1 records), for ")), "{}", app.report());
    assert!(statistics.to_json().contains("\"workers_busy\":1"));
    drop(gate);
    end(&app);
    assert_eq!(app.statistics(PATIENCE).unwrap_err().kind(), ErrorKind::Stopped);
    while let Ok(event) = events.next(Duration::ZERO) {
        assert_ne!(event.name(), "statistics.emitted");
    }
}

#[test]
fn naming_statistics_switches_them_on() {
    let topic = topic();
    let app = App::new(config(&topic)).unwrap();
    app.topic(&topic, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    let events = app.events_of(&["statistics.emitted"]).unwrap();
    app.start().unwrap();
    let event = next(&events, "statistics.emitted");
    let clients = event.fields().into_iter().find(|(name, _)| *name == "clients").unwrap().1;
    assert!(matches!(clients, FieldValue::List(clients) if clients.len() == 1), "{event}");
    end(&app);
}

#[test]
fn who_listens_and_hangs_or_panics_harms_nobody() {
    let topic = topic();
    produce(&topic, 20);
    let (app, calls, gate) = gated(config(&topic), &topic);
    drop(gate);
    let (hanging, panicking) = (app.events_of(&["*"]).unwrap(), app.events_of(&["*"]).unwrap());
    let heard = app.events();
    app.start().unwrap();
    let panicked = thread::spawn(move || {
        let event = panicking.next(PATIENCE);
        assert!(event.is_err(), "the subscriber's own");
    });
    for _ in 0..20 {
        calls.recv_timeout(PATIENCE).unwrap();
    }
    assert!(panicked.join().is_err());
    end(&app);
    next(&heard, "app.stopped");
    drop(hanging);
}

#[test]
fn a_commit_that_comes_when_the_app_has_ended_waits_for_nobody() {
    let topic = topic();
    produce(&topic, 1);
    let (app, calls, gate) = gated(config(&topic), &topic);
    app.start().unwrap();
    let context = calls.recv_timeout(PATIENCE).unwrap();
    app.stop_within(Duration::ZERO);
    let asked = Instant::now();
    let outcomes: Vec<_> =
        std::iter::from_fn(|| (app.phase() != karafka::Phase::Stopped).then(|| context.commit(PATIENCE))).collect();
    assert!(app.join(Some(PATIENCE)).is_err(), "the handler was left behind");
    assert!(!matches!(context.commit(PATIENCE), Ok(true)), "nothing is owned any more");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "{} commits took {took:?}", outcomes.len());
    drop(gate);
}

/// Runs this test again in a process of its own, which is told so; returns what it wrote to its error stream.
fn errors_of(test: &str, format: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child
        .args([format!("observe::{test}").as_str(), "--exact", "--nocapture"])
        .env("KARAFKA_TEST_LOG", format)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_log_tells_what_happens_and_no_payload_key_or_secret() {
    if let Ok(format) = std::env::var("KARAFKA_TEST_LOG") {
        let topic = topic();
        produce(&topic, 3);
        let format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
        let secrets = ["sasl.password", "ssl.key.password"];
        let mut kafka: BTreeMap<_, _> =
            secrets.into_iter().map(|name| (name.to_owned(), "planted-secret".to_owned())).collect();
        kafka.insert("debug".to_owned(), "all".to_owned());
        let config = AppConfig { log_format: format, log_level: LogLevel::Trace, kafka, ..config(&topic) };
        let failing = AtomicBool::new(true);
        let app = App::new(config).unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&done);
        let handler = handler_fn(move |batch: &karafka::Batch, _: &Context| {
            if failing.swap(false, Ordering::SeqCst) {
                return Err(Failure::new("Boom", "planted failure"));
            }
            counter.fetch_add(u32::try_from(batch.len()).unwrap(), Ordering::SeqCst);
            Ok(())
        });
        app.topic(&topic, TopicConfig { retry_backoff: Duration::from_millis(1), ..TopicConfig::default() }, handler)
            .unwrap();
        app.start().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while done.load(Ordering::SeqCst) < 3 {
            assert!(Instant::now() < deadline, "not all was handled");
            thread::sleep(Duration::from_millis(5));
        }
        return end(&app);
    }
    let name = "the_log_tells_what_happens_and_no_payload_key_or_secret";
    for format in ["text", "json"] {
        let errors = errors_of(name, format);
        for wanted in
            ["app.running", "rebalance.partitions_assigned", "consumer.consume.error", "planted failure", "librdkafka"]
        {
            assert!(errors.contains(wanted), "no {wanted} in {errors}");
        }
        for planted in ["planted-secret", "planted-payload", "planted-key"] {
            assert!(!errors.contains(planted), "{planted} is in the log");
        }
        for line in errors.lines().filter(|_| format == "json") {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(), "{line}");
        }
    }
}

#[test]
fn pauses_and_their_end_are_told() {
    let topic = topic();
    produce(&topic, 1);
    let (app, calls, gate) = gated(config(&topic), &topic);
    let events = app.events_of(&["client.*"]).unwrap();
    app.start().unwrap();
    let context = calls.recv_timeout(PATIENCE).unwrap();
    assert!(context.pause(Some(Duration::from_secs(60))));
    let Event::Paused { partition, pause: Some(pause), .. } = next(&events, "client.pause") else { panic!() };
    assert!(partition == 0 && pause > Duration::from_secs(50), "{pause:?}");
    assert!(context.pause(None));
    assert!(matches!(next(&events, "client.pause"), Event::Paused { pause: None, .. }));
    assert!(context.resume());
    next(&events, "client.resume");
    drop(gate);
    end(&app);
}
