//! Hooks of handlers, against the embedded broker.

use karafka::{
    App, AppConfig, Context, EmbeddedBroker, ErrorKind, Failure, Hook, Producer, ProducerConfig, Record, TopicConfig,
    handler_fn, hooked,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://hooks";
const PATIENCE: Duration = Duration::from_secs(30);

fn app(name: &str) -> App {
    EmbeddedBroker::named(BROKER).unwrap().create_topic(name, 1).unwrap();
    let config = AppConfig { bootstrap_servers: BROKER.to_owned(), group: name.to_owned(), ..AppConfig::default() };
    App::new(config).unwrap()
}

fn produce(topic: &str, count: usize) {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let record = Record { topic, payload: Some(b"x"), ..Record::default() };
    producer.produce_many_sync(&vec![record; count]).unwrap();
    producer.close().unwrap();
}

/// What user code was called for, in order.
#[derive(Default)]
struct Calls {
    list: Mutex<Vec<(String, Instant)>>,
    changed: Condvar,
}

impl Calls {
    fn add(&self, name: impl Into<String>) {
        self.list.lock().unwrap().push((name.into(), Instant::now()));
        self.changed.notify_all();
    }

    fn wait(&self, enough: impl Fn(&[(String, Instant)]) -> bool) -> Vec<(String, Instant)> {
        let list = self.list.lock().unwrap();
        let found = self.changed.wait_timeout_while(list, PATIENCE, |list| !enough(list)).unwrap();
        assert!(!found.1.timed_out(), "{:?}", *found.0);
        found.0.clone()
    }

    fn names(&self) -> Vec<String> {
        self.list.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }
}

fn note(calls: &Arc<Calls>, name: &'static str) -> impl Fn(&Context) -> Result<(), Failure> + Send + Sync + 'static {
    let calls = Arc::clone(calls);
    move |context| {
        calls.add(format!("{name} used={} eofed={}", context.is_used(), context.is_eofed()));
        Ok(())
    }
}

#[test]
fn ticks_come_on_time_without_a_message_and_the_shutdown_is_told_once() {
    let (app, calls) = (app("ticks"), Arc::new(Calls::default()));
    let config = TopicConfig {
        periodic: true,
        periodic_interval: Duration::from_millis(500),
        eofed: true,
        ..TopicConfig::default()
    };
    let record = Arc::clone(&calls);
    let handler = handler_fn(move |batch, context: &Context| {
        record.add(format!("handle {} used={} eofed={}", batch.len(), context.is_used(), context.is_eofed()));
        Ok::<(), Failure>(())
    });
    let handler = hooked(handler)
        .on(Hook::Tick, note(&calls, "tick"))
        .on(Hook::Eofed, note(&calls, "eofed"))
        .on(Hook::Revoked, note(&calls, "revoked"))
        .on(Hook::Shutdown, note(&calls, "shutdown"));
    app.topic("ticks", config, handler).unwrap();
    app.start().unwrap();
    let ticks = |list: &[(String, Instant)]| list.iter().filter(|(name, _)| name.starts_with("tick")).count();
    let list = calls.wait(|list| ticks(list) >= 4);
    let times: Vec<Instant> = list.iter().filter(|(name, _)| name.starts_with("tick")).map(|(_, at)| *at).collect();
    for pair in times.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(400), "{apart:?}");
    }
    assert!(list.iter().all(|(name, _)| name.contains("used=false")), "{list:?}");
    assert_eq!(list.iter().filter(|(name, _)| name == "eofed used=false eofed=true").count(), 1, "{list:?}");
    produce("ticks", 3);
    calls.wait(|list| list.last().is_some_and(|(name, _)| name == "tick used=true eofed=false"));
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    let names = calls.names();
    assert_eq!(names.iter().filter(|name| name.starts_with("shutdown")).count(), 1, "{names:?}");
    assert_eq!(names.last().unwrap(), "shutdown used=true eofed=false");
    assert!(!names.iter().any(|name| name.starts_with("revoked")), "{names:?}");
}

#[test]
fn a_hook_that_fails_is_told_in_an_event_and_stops_nothing() {
    let (app, calls) = (app("failing"), Arc::new(Calls::default()));
    let config =
        TopicConfig { periodic: true, periodic_interval: Duration::from_millis(100), ..TopicConfig::default() };
    let record = Arc::clone(&calls);
    let handler = hooked(handler_fn(|_, _: &Context| Ok::<(), Failure>(())))
        .on(Hook::Tick, move |_| {
            record.add("tick");
            Err(Failure::new("Broken", "as always"))
        })
        .on(Hook::Shutdown, |_| -> Result<(), Failure> { panic!("at the end") });
    app.topic("failing", config, handler).unwrap();
    let events = app.events();
    app.start().unwrap();
    calls.wait(|list| list.len() >= 3);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    let names: Vec<_> = std::iter::from_fn(|| events.next(PATIENCE).ok()).map(|event| event.name()).collect();
    assert!(names.iter().filter(|name| **name == "consumer.tick.error").count() >= 3, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "consumer.shutdown.error").count(), 1, "{names:?}");
}

#[test]
fn a_shutdown_hook_that_hangs_is_named_by_the_forced_stop() {
    let (app, calls) = (app("hanging"), Arc::new(Calls::default()));
    produce("hanging", 1);
    let (record, gate) = (Arc::clone(&calls), Arc::new((Mutex::new(false), Condvar::new())));
    let open = Arc::clone(&gate);
    let handler = hooked(handler_fn(move |_, _: &Context| {
        record.add("handle");
        Ok::<(), Failure>(())
    }))
    .on(Hook::Shutdown, move |_| {
        let lock = open.0.lock().unwrap();
        drop(open.1.wait_timeout_while(lock, PATIENCE, |open| !*open).unwrap());
        Ok::<(), Failure>(())
    });
    app.topic("hanging", TopicConfig::default(), handler).unwrap();
    app.start().unwrap();
    calls.wait(|list| !list.is_empty());
    let began = Instant::now();
    app.stop_within(Duration::from_secs(1));
    let error = app.join(Some(PATIENCE)).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("hanging/0 in `shutdown` (for 1."), "{error}");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

#[test]
fn a_periodic_topic_needs_a_tick() {
    let app = app("mute");
    let config = TopicConfig { periodic: true, ..TopicConfig::default() };
    app.topic("mute", config, handler_fn(|_, _: &Context| Ok::<(), Failure>(()))).unwrap();
    let error = app.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("has no tick"), "{error}");
    app.set_hooks(0, &[Hook::Tick]).unwrap();
    app.start().unwrap();
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}
