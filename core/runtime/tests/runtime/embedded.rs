//! The app against the embedded broker.

use karafka::{
    App, AppConfig, EmbeddedBroker, ErrorKind, Failure, Producer, ProducerConfig, Record, TopicConfig,
    VirtualPartitions, handler_fn,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://tests";
const PATIENCE: Duration = Duration::from_secs(30);

/// A name that no other test of this process uses.
fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn app(group: &str) -> App {
    let config = AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: group.to_owned(),
        commit_interval: Duration::from_millis(50),
        ..AppConfig::default()
    };
    App::new(config).unwrap()
}

fn topic(partitions: i32) -> String {
    let name = unique("topic");
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, partitions).unwrap();
    name
}

fn produce(topic: &str, records: &[(String, String)]) {
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let records: Vec<_> = records
        .iter()
        .map(|(key, payload)| Record {
            topic,
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    producer.produce_many_sync(&records).unwrap();
    producer.close().unwrap();
}

/// What handlers saw, and a way to wait for it.
#[derive(Default)]
struct Seen {
    records: Mutex<Vec<(String, String)>>,
    changed: Condvar,
}

impl Seen {
    fn add(&self, key: &[u8], payload: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.records.lock().unwrap().push((text(key), text(payload)));
        self.changed.notify_all();
    }

    fn wait(&self, count: usize) -> Vec<(String, String)> {
        let deadline = Instant::now() + PATIENCE;
        let mut records = self.records.lock().unwrap();
        while records.len() < count {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("{} of {count} records in {PATIENCE:?}", records.len()));
            records = self.changed.wait_timeout(records, left).unwrap().0;
        }
        records.clone()
    }
}

fn keyed(keys: usize, each: usize) -> Vec<(String, String)> {
    let mut records = Vec::new();
    for number in 0..each {
        for key in 0..keys {
            records.push((format!("key-{key}"), number.to_string()));
        }
    }
    records
}

fn assert_in_order_per_key(records: &[(String, String)], each: usize) {
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (key, payload) in records {
        by_key.entry(key).or_default().push(payload.parse().unwrap());
    }
    for (key, numbers) in by_key {
        assert_eq!(numbers, (0..each).collect::<Vec<_>>(), "{key}");
    }
}

#[test]
fn records_are_handled_in_order_per_key() {
    let topic = topic(3);
    produce(&topic, &keyed(20, 25));
    let seen = Arc::new(Seen::default());
    let app = app(&unique("group"));
    let config = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
    let record = Arc::clone(&seen);
    app.topic(
        &topic,
        config,
        handler_fn(move |batch, _| {
            for message in batch.iter() {
                record.add(message.key().unwrap(), message.payload().unwrap());
            }
            Ok::<(), Failure>(())
        }),
    )
    .unwrap();
    app.start().unwrap();
    let records = seen.wait(500);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert_eq!(records.len(), 500);
    assert_in_order_per_key(&records, 25);
}

#[test]
fn a_second_run_of_the_group_starts_where_the_first_ended() {
    let topic = topic(2);
    let group = unique("group");
    produce(&topic, &keyed(4, 10));
    let run = |expected: usize| {
        let seen = Arc::new(Seen::default());
        let app = app(&group);
        let record = Arc::clone(&seen);
        let handler = handler_fn(move |batch, _| {
            for message in batch.iter() {
                record.add(message.key().unwrap(), message.payload().unwrap());
            }
            Ok::<(), Failure>(())
        });
        app.topic(&topic, TopicConfig::default(), handler).unwrap();
        app.start().unwrap();
        let records = seen.wait(expected);
        app.stop();
        assert!(app.join(Some(PATIENCE)).unwrap());
        records
    };
    assert_eq!(run(40).len(), 40);
    produce(&topic, &[("new".to_owned(), "1".to_owned())]);
    assert_eq!(run(1), [("new".to_owned(), "1".to_owned())]);
}

#[test]
fn a_failed_record_is_tried_again_and_others_go_on() {
    let topic = topic(1);
    produce(&topic, &keyed(5, 4));
    let seen = Arc::new(Seen::default());
    let attempts = Arc::new(AtomicU32::new(0));
    let app = app(&unique("group"));
    let config = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(20),
        ..TopicConfig::default()
    };
    let (record, tried) = (Arc::clone(&seen), Arc::clone(&attempts));
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            if message.key() == Some(b"key-2") && context.attempt() < 3 {
                tried.fetch_add(1, Ordering::SeqCst);
                assert_eq!(context.is_retrying(), context.attempt() > 1);
                return Err(Failure::new("Unlucky", "not yet"));
            }
            record.add(message.key().unwrap(), message.payload().unwrap());
        }
        Ok(())
    });
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    let records = seen.wait(20);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert_in_order_per_key(&records, 4);
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
}

#[test]
fn an_unreachable_broker_is_told_within_three_seconds_and_a_stop_is_prompt() {
    let config = AppConfig {
        // Nobody listens on port 1.
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    app.topic("orders", TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    let events = app.events();
    let began = Instant::now();
    app.start().unwrap();
    let error = loop {
        if let karafka::Event::Error { error, recoverable } = events.next(PATIENCE).unwrap() {
            assert!(recoverable);
            break error;
        }
    };
    assert!(began.elapsed() < Duration::from_secs(3), "told after {:?}", began.elapsed());
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let asked = Instant::now();
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert!(asked.elapsed() < Duration::from_secs(5), "stopped after {:?}", asked.elapsed());
}

#[test]
fn a_handler_that_hangs_is_named_by_the_forced_stop() {
    let topic = topic(1);
    produce(&topic, &keyed(1, 1));
    let app = app(&unique("group"));
    let (entered, gate) = (Arc::new(Seen::default()), Arc::new((Mutex::new(false), Condvar::new())));
    let (enter, closed) = (Arc::clone(&entered), Arc::clone(&gate));
    let handler = handler_fn(move |batch, _| {
        enter.add(batch.get(0).unwrap().key().unwrap(), b"0");
        let _open = closed.1.wait_while(closed.0.lock().unwrap(), |open| !*open).unwrap();
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    app.start().unwrap();
    entered.wait(1);
    app.stop_within(Duration::from_millis(300));
    // Whoever asks again is told again.
    for _ in 0..2 {
        let error = app.join(Some(PATIENCE)).unwrap_err();
        assert_eq!(error.kind(), karafka::ErrorKind::Timeout);
        assert!(error.message().contains(&format!("{topic}/0 from offset 0")), "{error}");
    }
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

#[test]
fn quiet_starts_no_handler_and_resume_goes_on() {
    let topic = topic(1);
    let app = app(&unique("group"));
    let seen = Arc::new(Seen::default());
    let record = Arc::clone(&seen);
    let handler = handler_fn(move |batch, _| {
        for message in batch.iter() {
            record.add(message.key().unwrap(), message.payload().unwrap());
        }
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    let events = app.events();
    app.start().unwrap();
    produce(&topic, &keyed(1, 1));
    seen.wait(1);
    app.quiet().unwrap();
    let quiet = |event: &karafka::Event| matches!(event, karafka::Event::Phase(karafka::Phase::Quiet));
    while !quiet(&events.next(PATIENCE).unwrap()) {}
    produce(&topic, &keyed(1, 1));
    assert_eq!(seen.records.lock().unwrap().len(), 1);
    app.resume().unwrap();
    seen.wait(2);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    assert_eq!(app.quiet().unwrap_err().kind(), karafka::ErrorKind::Stopped);
}

#[test]
fn marks_and_commits_tell_whether_the_partition_is_owned() {
    let topic = topic(1);
    produce(&topic, &keyed(1, 3));
    let group = unique("group");
    let seen = Arc::new(Seen::default());
    let kept = Arc::new(Mutex::new(None));
    let first = app(&group);
    let (record, keep) = (Arc::clone(&seen), Arc::clone(&kept));
    let handler = handler_fn(move |batch, context| {
        let message = batch.get(1).unwrap();
        assert!(context.mark_as_consumed_and_commit(&message, PATIENCE).unwrap());
        *keep.lock().unwrap() = Some((batch.clone(), context.clone()));
        record.add(b"marked", b"1");
        Ok::<(), Failure>(())
    });
    let manual = TopicConfig { manual_offset_management: true, ..TopicConfig::default() };
    first.topic(&topic, manual.clone(), handler).unwrap();
    first.start().unwrap();
    seen.wait(1);
    first.stop();
    assert!(first.join(Some(PATIENCE)).unwrap());
    let (batch, context) = kept.lock().unwrap().take().unwrap();
    assert!(context.is_revoked());
    assert!(!context.mark_as_consumed(&batch.get(2).unwrap()));
    assert!(!context.commit(PATIENCE).unwrap());

    let second = app(&group);
    let again = Arc::new(Seen::default());
    let record = Arc::clone(&again);
    let handler = handler_fn(move |batch, _| {
        for message in batch.iter() {
            record.add(message.key().unwrap(), message.payload().unwrap());
        }
        Ok::<(), Failure>(())
    });
    second.topic(&topic, manual, handler).unwrap();
    second.start().unwrap();
    assert_eq!(again.wait(1), [("key-0".to_owned(), "2".to_owned())]);
    second.stop();
    assert!(second.join(Some(PATIENCE)).unwrap());
}

#[test]
fn jobs_can_be_completed_later_and_dropped_ones_fail() {
    struct Later(Mutex<std::sync::mpsc::Sender<karafka::Job>>);
    impl karafka::Handler for Later {
        fn handle(&self, job: karafka::Job) {
            self.0.lock().unwrap().send(job).unwrap();
        }
    }
    let topic = topic(1);
    produce(&topic, &keyed(3, 1));
    let app = app(&unique("group"));
    let (sender, jobs) = std::sync::mpsc::channel();
    let config = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(10),
        ..TopicConfig::default()
    };
    app.add_topic(&topic, config, karafka::Work::Handler(Arc::new(Later(Mutex::new(sender)))), karafka::SeatKind::Slot)
        .unwrap();
    app.start().unwrap();
    let mut held: Vec<_> = (0..3).map(|_| jobs.recv_timeout(PATIENCE).unwrap()).collect();
    let dropped = held.pop().unwrap();
    let key = dropped.batch().get(0).unwrap().key().unwrap().to_vec();
    drop(dropped);
    let again = jobs.recv_timeout(PATIENCE).unwrap();
    assert_eq!(again.batch().get(0).unwrap().key().unwrap(), key);
    assert_eq!(again.context().attempt(), 2);
    std::thread::spawn(move || {
        held.into_iter().for_each(karafka::Job::done);
        again.done();
    })
    .join()
    .unwrap();
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

#[test]
fn workers_come_and_go_while_running() {
    let topic = topic(1);
    produce(&topic, &keyed(64, 1));
    let app = app(&unique("group"));
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let gate = Arc::new((Mutex::new(()), Condvar::new()));
    let seen = Arc::new(Seen::default());
    let (now, peak, record) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&seen));
    let open = Arc::clone(&gate);
    let handler = handler_fn(move |_, _| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        open.1.notify_all();
        record.add(b"job", b"0");
        // Stays until as many run as there are workers for it, or long enough for them to have come.
        let lock = open.0.lock().unwrap();
        let enough = |now: &AtomicU32| now.load(Ordering::SeqCst) < 12;
        let _lock = open.1.wait_timeout_while(lock, Duration::from_millis(300), |()| enough(&now)).unwrap();
        now.fetch_sub(1, Ordering::SeqCst);
        Ok::<(), Failure>(())
    });
    let config = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    seen.wait(1);
    assert_eq!(app.resize(12).unwrap(), 0);
    assert_eq!(app.resize(0).unwrap_err().kind(), karafka::ErrorKind::Config);
    seen.wait(64);
    assert_eq!(most.load(Ordering::SeqCst), 12);
    app.resize(2).unwrap();
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

#[test]
fn a_callback_partitioner_keeps_order_by_its_own_key() {
    let topic = topic(1);
    let records: Vec<_> = (0..60).map(|number| (format!("key-{number}"), number.to_string())).collect();
    produce(&topic, &records);
    let app = app(&unique("group"));
    let seen = Arc::new(Seen::default());
    let record = Arc::clone(&seen);
    let by_digit = |message: karafka::Message<'_>| message.key().map_or(0, |key| key[key.len() - 1]).to_le_bytes();
    let handler = karafka::partitioned_handler_fn(by_digit, move |batch, _| {
        for message in batch.iter() {
            let key = message.key().unwrap();
            record.add(&key[key.len() - 1..], message.payload().unwrap());
        }
        Ok::<(), Failure>(())
    });
    let config = TopicConfig { virtual_partitions: VirtualPartitions::Callback, ..TopicConfig::default() };
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    let records = seen.wait(60);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
    for digit in 0..10 {
        let of_digit: Vec<usize> = records
            .iter()
            .filter(|(key, _)| *key == digit.to_string())
            .map(|(_, payload)| payload.parse().unwrap())
            .collect();
        assert_eq!(of_digit, (0..6).map(|ten| ten * 10 + digit).collect::<Vec<_>>());
    }
}

/// Of nobody; what counts is that a client can read it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUTVJ3Mp7ELEZBc8t7gOeeb+dywEwwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjEyMDQ4NDBaGA8yMTI2MTAyODIwNDg0
MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDjK
I/4RpLCV3BPN1Tt9GMsKdMzU2T+aIAfEB60HyV9eUoEWfHPQmqFSz10iRen+HSM3
Uc5Zsc7fW4ZAlXpqVBSjUzBRMB0GA1UdDgQWBBScza7qN3/vhqJqr9gZNStDj71H
yzAfBgNVHSMEGDAWgBScza7qN3/vhqJqr9gZNStDj71HyzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCAckxUkvhH6odw9DzipJZRdNpLNmc4nARm
06ZM/CifmAIgVKV3bOzoU7zSZ9RmLDgnrkXxSGYgOjQN+AyeyUGdTiI=
-----END CERTIFICATE-----
";

#[test]
fn an_app_whose_start_was_refused_starts_when_the_cause_is_gone() {
    let certificate = std::env::temp_dir().join(format!("karafka-certificate-{}", std::process::id()));
    let kafka = [("security.protocol", "ssl"), ("ssl.ca.location", certificate.to_str().unwrap())];
    let config = AppConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        group: unique("group"),
        kafka: kafka.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..AppConfig::default()
    };
    let [refused, starts] = [(); 2].map(|()| App::new(config.clone()).unwrap());
    for app in [&refused, &starts] {
        app.topic("topic", TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
        for attempt in 1..=2 {
            let error = app.start().unwrap_err();
            assert!(error.to_string().contains("ssl.ca.location"), "attempt {attempt}: {error}");
        }
    }
    refused.stop();
    assert!(refused.join(Some(PATIENCE)).unwrap(), "what never started stops at once");
    std::fs::write(&certificate, CERTIFICATE).unwrap();
    assert_eq!(refused.start().unwrap_err().kind(), karafka::ErrorKind::Stopped);
    let started = starts.start();
    std::fs::remove_file(&certificate).unwrap();
    started.unwrap();
    assert_eq!(starts.start().unwrap_err().kind(), karafka::ErrorKind::Stopped, "it starts once");
    starts.stop();
    assert!(starts.join(Some(PATIENCE)).unwrap());
}

#[test]
fn transactions_that_options_ask_for_are_refused_behind_a_mere_address_too() {
    let topic = topic(1);
    produce(&topic, &keyed(1, 1));
    let address = EmbeddedBroker::named(BROKER).unwrap().bootstrap_servers();
    let letters = TopicConfig {
        dead_letter_queue_topic: Some("dead".to_owned()),
        dead_letter_queue_transactional: true,
        ..TopicConfig::default()
    };
    let calls = TopicConfig { transaction_max_messages: 2, ..TopicConfig::default() };
    for (options, name) in [(letters, "dead_letter_queue_transactional"), (calls, "transaction_max_messages")] {
        let config = AppConfig { bootstrap_servers: address.clone(), group: unique("group"), ..AppConfig::default() };
        let app = App::new(config).unwrap();
        app.topic(&topic, options.clone(), handler_fn(|_, _| -> Result<(), Failure> { panic!("handled") })).unwrap();
        app.start().unwrap();
        let error = app.join(Some(PATIENCE)).unwrap_err();
        assert_eq!((error.kind(), error.is_fatal()), (ErrorKind::Unsupported, true), "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains(&address), "{error}");

        // By its own name it is known before anything starts.
        let app = self::app(&unique("group"));
        let error = app.topic(&topic, options, handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(name), "{error}");
    }
}

/// The first assignment comes while the member is being closed: librdkafka may end it without waiting for the answer to what it takes back.
#[test]
fn an_app_that_is_stopped_while_it_joins_ends() {
    let starting = |_| {
        std::thread::spawn(|| {
            for _ in 0..40 {
                let (app, topic) = (app(&unique("joins")), topic(1));
                app.topic(&topic, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
                app.start().unwrap();
                app.stop();
                assert!(app.join(Some(PATIENCE)).unwrap(), "it did not end");
            }
        })
    };
    let threads: Vec<_> = (0..4).map(starting).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
