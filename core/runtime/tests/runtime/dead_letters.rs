//! What becomes of messages that fail, against the embedded broker: attempts, dead letters, verdicts, strategies.

mod encryption;

use karafka::{
    App, AppConfig, Batch, Context, EmbeddedBroker, Event, Failure, Handler, Header, Job, NoEvent, Producer,
    ProducerConfig, Record, TopicConfig, Verdict, VirtualPartitions, handler_fn,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BROKER: &str = "embedded://dead-letters";
const PATIENCE: Duration = Duration::from_secs(30);

fn topic(partitions: i32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, partitions).unwrap();
    name
}

fn app(group: &str) -> App {
    let config = AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: group.to_owned(),
        commit_interval: Duration::from_millis(20),
        ..AppConfig::default()
    };
    App::new(config).unwrap()
}

fn producer() -> Producer {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    Producer::new(config).unwrap()
}

fn produce(topic: &str, partition: i32, payloads: &[&str]) {
    let producer = producer();
    let records: Vec<_> = payloads
        .iter()
        .map(|payload| Record {
            topic,
            partition: Some(partition),
            key: Some(b"key"),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    producer.produce_many_sync(&records).unwrap();
    producer.close().unwrap();
}

fn quick(dead_letters: Option<&str>, max_retries: u32) -> TopicConfig {
    TopicConfig {
        retry_backoff: Duration::from_millis(1),
        retry_backoff_max: Duration::from_millis(5),
        dead_letter_queue_topic: dead_letters.map(str::to_owned),
        dead_letter_queue_max_retries: max_retries,
        ..TopicConfig::default()
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or(b"<none>")).into_owned()
}

/// A copy as a reader of the dead letters sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    partition: i32,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Reads a topic from its beginning, for as long as the app that is returned lives.
fn read(topic: &str) -> (App, Receiver<Copy>) {
    let (sender, receiver) = channel();
    let app = app(&format!("reader-of-{topic}"));
    let sender = Mutex::new(sender);
    app.topic(
        topic,
        TopicConfig::default(),
        handler_fn(move |batch: &Batch, _: &Context| {
            for message in batch.iter() {
                let own = |bytes: &[u8]| bytes.to_vec();
                let headers = message.headers();
                let headers = headers.iter().map(|header| (own(header.name), header.value.map(own))).collect();
                let (key, payload) = (message.key().map(own), message.payload().map(own));
                let copy = Copy { partition: message.partition(), key, payload, headers };
                sender.lock().unwrap().send(copy).unwrap();
            }
            Ok::<(), Failure>(())
        }),
    )
    .unwrap();
    app.start().unwrap();
    (app, receiver)
}

fn end(apps: impl IntoIterator<Item = App>) {
    for app in apps {
        app.stop();
        app.join(Some(PATIENCE)).unwrap();
    }
}

/// How often each payload was handed over, and with which attempts.
type Seen = Arc<Mutex<BTreeMap<String, Vec<u32>>>>;

fn failing(seen: &Seen, poison: &'static str, verdict: Verdict) -> impl Handler + use<> {
    let seen = Arc::clone(seen);
    handler_fn(move |batch: &Batch, _: &Context| {
        for message in batch.iter() {
            seen.lock().unwrap().entry(text(message.payload())).or_default().push(message.attempt());
        }
        if batch.iter().any(|message| text(message.payload()) == poison) {
            return Err(Failure::new("Poisoned", "password=hush was refused").says(verdict.clone()));
        }
        Ok(())
    })
}

#[test]
fn the_culprit_alone_goes_out_after_its_attempts_as_it_was() {
    let (source, dead) = (topic(3), topic(2));
    let producer = producer();
    let headers = [("a", Some(&b"1"[..])), ("a", Some(b"")), ("b", None)]
        .map(|(name, value)| Header { name: name.as_bytes(), value });
    let poison = Record {
        topic: &source,
        partition: Some(2),
        key: Some(b""),
        payload: Some(b"poison"),
        headers: &headers,
        timestamp_ms: None,
        ..Record::default()
    };
    let good = |payload: &'static [u8]| Record { payload: Some(payload), headers: &[], ..poison };
    producer.produce_many_sync(&[good(b"before"), poison, good(b"behind"), good(b"last")]).unwrap();
    let seen = Seen::default();
    let app = app("culprit");
    let events = app.events();
    app.topic(&source, quick(Some(&dead), 2), failing(&seen, "poison", Verdict::Unsaid)).unwrap();
    app.start().unwrap();
    let (reader, copies) = read(&dead);
    let copy = copies.recv_timeout(PATIENCE).unwrap();
    assert_eq!((copy.partition, copy.key, copy.payload), (0, Some(Vec::new()), Some(b"poison".to_vec())));
    let own =
        |(name, value): (&str, Option<&str>)| (name.as_bytes().to_vec(), value.map(|text| text.as_bytes().to_vec()));
    let expected = [
        ("a", Some("1")),
        ("a", Some("")),
        ("b", None),
        ("source_topic", Some(source.as_str())),
        ("source_partition", Some("2")),
        ("source_offset", Some("1")),
        ("source_consumer_group", Some("culprit")),
        ("attempts", Some("3")),
        ("error_class", Some("Poisoned")),
        ("error_message", Some("password=*** was refused")),
    ];
    assert_eq!(copy.headers, expected.map(own));
    let dispatched = loop {
        match events.next(PATIENCE) {
            Ok(Event::DeadLetterDispatched { offset, attempts, dead_letter_offset, .. }) => {
                break (offset, attempts, dead_letter_offset);
            }
            Ok(_) => {}
            Err(NoEvent::Ended | NoEvent::Timeout) => panic!("no word of the dead letter"),
        }
    };
    assert_eq!(dispatched, (1, 3, 0));
    end([app, reader]);
    assert_eq!(copies.try_iter().count(), 0, "exactly one");
    let seen = seen.lock().unwrap();
    assert_eq!(seen["poison"], [1, 2, 3], "exactly as often as its topic says");
    for good in ["before", "behind", "last"] {
        assert!(seen[good].len() <= 2, "{good}: {:?}", seen[good]);
    }
}

#[test]
fn what_a_failure_says_is_done_once_its_message_fails_alone() {
    for (verdict, letters, discards) in [(Verdict::Discard, 0, 1), (Verdict::DeadLetter { topic: None }, 1, 0)] {
        let (source, dead) = (topic(1), topic(1));
        produce(&source, 0, &["before", "poison", "behind"]);
        let seen = Seen::default();
        let app = app("verdicts");
        let events = app.events();
        app.topic(&source, quick(Some(&dead), 50), failing(&seen, "poison", verdict)).unwrap();
        app.start().unwrap();
        let (mut dispatched, mut discarded) = (0, 0);
        while dispatched + discarded == 0 {
            match events.next(PATIENCE).unwrap() {
                Event::DeadLetterDispatched { offset, .. } => dispatched += i32::from(offset == 1),
                Event::Discarded { offset, .. } => discarded += i32::from(offset == 1),
                _ => {}
            }
        }
        assert_eq!((dispatched, discarded), (letters, discards));
        produce(&source, 0, &["more"]);
        let deadline = std::time::Instant::now() + PATIENCE;
        while !seen.lock().unwrap().contains_key("more") {
            assert!(std::time::Instant::now() < deadline, "the partition goes on");
            std::thread::yield_now();
        }
        end([app]);
        let seen = seen.lock().unwrap();
        assert!(seen["poison"].len() <= 2, "{:?}", seen["poison"]);
    }
}

#[test]
fn a_critical_failure_marks_nothing_and_stops_the_app() {
    let source = topic(1);
    produce(&source, 0, &["poison"]);
    let seen = Seen::default();
    let first = app("critical");
    first.topic(&source, quick(None, 0), failing(&seen, "poison", Verdict::Critical)).unwrap();
    first.start().unwrap();
    let error = first.join(Some(PATIENCE)).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("Poisoned"), "{error}");
    assert_eq!(seen.lock().unwrap()["poison"], [1]);
    let second = app("critical");
    let again = Seen::default();
    second.topic(&source, quick(None, 0), failing(&again, "nothing", Verdict::Unsaid)).unwrap();
    second.start().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while again.lock().unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the message comes again");
        std::thread::yield_now();
    }
    end([second]);
    assert_eq!(again.lock().unwrap()["poison"], [1], "no attempt was counted");
}

/// Fails for messages that say so, and decides by how often they did.
struct Deciding {
    seen: Seen,
    elsewhere: Arc<str>,
}

impl Handler for Deciding {
    fn handle(&self, job: Job) {
        let payloads: Vec<String> = job.batch().iter().map(|message| text(message.payload())).collect();
        for payload in &payloads {
            self.seen.lock().unwrap().entry(payload.clone()).or_default().push(job.batch().attempt());
        }
        match payloads.iter().find(|payload| payload.starts_with("poison")) {
            Some(payload) => job.fail(Failure::new("Poisoned", payload.clone())),
            None => job.done(),
        }
    }

    fn strategy(&self, job: &Job, failure: &Failure) -> Verdict {
        assert_eq!(job.batch().len(), 1, "it is asked about one message");
        assert!(job.earlier_failures().iter().all(|earlier| earlier.message == failure.message));
        match (failure.message.as_str(), job.earlier_failures().len()) {
            ("poison-elsewhere", _) => Verdict::DeadLetter { topic: Some(Arc::clone(&self.elsewhere)) },
            ("poison-skip", 2..) => Verdict::Discard,
            _ => Verdict::Retry,
        }
    }
}

#[test]
fn a_strategy_decides_about_each_message_and_sees_its_failures() {
    let (source, dead, elsewhere) = (topic(1), topic(1), topic(1));
    produce(&source, 0, &["poison-elsewhere", "poison-skip", "good"]);
    let seen = Seen::default();
    let app = app("strategy");
    let config = TopicConfig {
        dead_letter_queue_strategy: true,
        max_messages: 1,
        virtual_partitions: VirtualPartitions::Off,
        ..quick(Some(&dead), 0)
    };
    app.topic(&source, config, Deciding { seen: Arc::clone(&seen), elsewhere: elsewhere.as_str().into() }).unwrap();
    app.start().unwrap();
    let (reader, copies) = read(&elsewhere);
    assert_eq!(text(copies.recv_timeout(PATIENCE).unwrap().payload.as_deref()), "poison-elsewhere");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !seen.lock().unwrap().contains_key("good") {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    end([app, reader]);
    let seen = seen.lock().unwrap();
    assert_eq!((&seen["poison-elsewhere"][..], &seen["poison-skip"][..]), (&[1][..], &[1, 2, 3][..]));
}
