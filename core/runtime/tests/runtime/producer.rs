//! Producers against the embedded broker, and testing producers without one.

use karafka::{
    EmbeddedBroker, Error, ErrorKind, Event, Header, Middleware, OwnedRecord, Partitioner, Producer, ProducerConfig,
    ProducerHooks, Record, Settings, Value,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod many;
mod outputs;

const SOON: Duration = Duration::from_secs(20);

fn config(name: &str) -> ProducerConfig {
    ProducerConfig { bootstrap_servers: format!("embedded://{name}"), ..ProducerConfig::default() }
}

fn broker(name: &str, topics: &[(&str, u32)]) -> EmbeddedBroker {
    let broker = EmbeddedBroker::named(&format!("embedded://{name}")).unwrap();
    for (topic, partitions) in topics {
        broker.create_topic(topic, i32::try_from(*partitions).unwrap()).unwrap();
    }
    broker
}

fn record<'a>(topic: &'a str, payload: &'a str) -> Record<'a> {
    Record { topic, payload: Some(payload.as_bytes()), ..Record::default() }
}

#[test]
fn each_way_of_producing_tells_where_the_record_is() {
    let _broker = broker("producer-ways", &[("ways", 1)]);
    let producer = Producer::new(config("producer-ways")).unwrap();
    let labelled = Record { label: Some("first"), ..record("ways", "0") };
    let delivery = producer.produce_async(&labelled).unwrap();
    assert_eq!((delivery.topic(), delivery.label()), ("ways", Some("first")));
    assert_eq!(delivery.wait(SOON).unwrap().offset, 0);
    assert_eq!(delivery.outcome().unwrap().unwrap().offset, 0);
    assert_eq!(producer.produce_sync(&record("ways", "1")).unwrap().offset, 1);
    let (sender, told) = channel();
    producer.produce_with(&record("ways", "2"), Box::new(move |result| sender.send(result).unwrap())).unwrap();
    assert_eq!(told.recv_timeout(SOON).unwrap().unwrap().offset, 2);
    let reports = producer.produce_many_sync(&[record("ways", "3"), record("ways", "4")]).unwrap();
    assert_eq!(reports.iter().map(|report| report.offset).collect::<Vec<_>>(), [3, 4]);
    let tombstone = Record { topic: "ways", key: Some(b"k"), ..Record::default() };
    assert_eq!(producer.produce_sync(&tombstone).unwrap().offset, 5);
    assert_eq!(producer.flush(SOON).unwrap(), 0);
    producer.close().unwrap();
    producer.close().unwrap();
    assert_eq!(producer.produce_async(&record("ways", "late")).unwrap_err().kind(), ErrorKind::Stopped);
}

#[test]
fn a_slow_callback_delays_no_handle_and_no_other_producer() {
    let _broker = broker("producer-slow", &[("slow", 1)]);
    let (slow, other) =
        (Producer::new(config("producer-slow")).unwrap(), Producer::new(config("producer-slow")).unwrap());
    let (release, held) = channel::<()>();
    let (sender, told) = channel();
    let callback = Box::new(move |_| {
        sender.send(()).unwrap();
        held.recv_timeout(SOON).unwrap();
    });
    slow.produce_with(&record("slow", "held"), callback).unwrap();
    told.recv_timeout(SOON).unwrap();
    slow.produce_sync(&record("slow", "a handle of the same producer")).unwrap();
    other.produce_sync(&record("slow", "another producer")).unwrap();
    assert_eq!(slow.in_flight(), 1, "the record whose callback runs counts on");
    assert_eq!(slow.flush(Duration::from_millis(10)).unwrap(), 1);
    release.send(()).unwrap();
    assert_eq!(slow.flush(SOON).unwrap(), 0);
}

#[test]
fn what_would_wait_for_itself_in_a_callback_is_refused_and_the_last_handle_may_drop_there() {
    let _broker = broker("producer-inside", &[("inside", 1)]);
    let producer = Producer::new(config("producer-inside")).unwrap();
    let (sender, told) = channel();
    let own = producer.clone();
    let callback = Box::new(move |_| {
        let sent = own.produce_async(&record("inside", "allowed")).unwrap();
        let refused = [
            own.produce_sync(&record("inside", "x")).unwrap_err().kind(),
            own.flush(SOON).unwrap_err().kind(),
            own.close().unwrap_err().kind(),
        ];
        drop(own);
        sender.send((refused, sent)).unwrap();
    });
    producer.produce_with(&record("inside", "first"), callback).unwrap();
    drop(producer);
    let (refused, sent) = told.recv_timeout(SOON).unwrap();
    assert_eq!(refused, [ErrorKind::Stopped; 3]);
    // Closing waits for what is on its way.
    sent.wait(SOON).unwrap();
}

#[test]
fn partition_keys_and_partitioners_choose_and_what_they_choose_is_checked() {
    let _broker = broker("producer-partitions", &[("chosen", 8)]);
    let producer = Producer::new(config("producer-partitions")).unwrap();
    assert_eq!(producer.partitions("chosen", SOON).unwrap(), 8);
    assert!(!producer.partitions_unknown("chosen"));
    for key in ["a", "b", "customer-17", ""] {
        let keyed = Record { key: Some(key.as_bytes()), ..record("chosen", "keyed") };
        let by_partition_key =
            Record { key: Some(b"other"), partition_key: Some(key.as_bytes()), ..record("chosen", "by partition key") };
        let expected = producer.produce_sync(&keyed).unwrap().partition;
        assert_eq!(producer.produce_sync(&by_partition_key).unwrap().partition, expected, "key {key:?}");
    }
    // The partition that Java's producer takes: murmur2("customer-17") & 0x7fffffff.
    let exact = Record { partition: Some(3), partition_key: Some(b"a"), ..record("chosen", "exact") };
    assert_eq!(producer.produce_sync(&exact).unwrap().partition, 3);

    let partitioner: Partitioner = Arc::new(|record, count| match record.payload {
        Some(b"last") => Ok(i32::try_from(count - 1).ok()),
        Some(b"beyond") => Ok(i32::try_from(count).ok()),
        Some(b"refused") => Err(Error::new(ErrorKind::Handler, "partition", "no")),
        _ => Ok(None),
    });
    let hooks = ProducerHooks { partitioner: Some(partitioner), ..ProducerHooks::default() };
    let producer = Producer::with_hooks(config("producer-partitions"), hooks).unwrap();
    assert_eq!(producer.produce_sync(&record("chosen", "last")).unwrap().partition, 7);
    let beyond = producer.produce_sync(&record("chosen", "beyond")).unwrap_err();
    assert!(beyond.to_string().contains("partition 8 of 8"), "{beyond}");
    assert_eq!(producer.produce_sync(&record("chosen", "refused")).unwrap_err().kind(), ErrorKind::Handler);
    let left = Record { partition_key: Some(b"a"), ..record("chosen", "left to the key") };
    let keyed = Record { key: Some(b"a"), ..record("chosen", "keyed") };
    assert_eq!(producer.produce_sync(&left).unwrap().partition, producer.produce_sync(&keyed).unwrap().partition);
    let missing = Record { partition_key: Some(b"a"), ..record("never-created", "x") };
    // The embedded broker makes topics that are asked for; either way there is an answer.
    let _ = producer.produce_async(&missing);
}

#[test]
fn middleware_changes_and_refuses_in_order() {
    let stamp: Middleware = Arc::new(|record: &mut OwnedRecord| {
        record.headers.push((b"stamp".to_vec(), Some(b"1".to_vec())));
        Ok(())
    });
    let guard: Middleware = Arc::new(|record: &mut OwnedRecord| match record.payload.as_deref() {
        Some(b"forbidden") => Err(Error::new(ErrorKind::Handler, "guard", "forbidden")),
        _ if record.headers.len() == 2 => Ok(()),
        _ => Err(Error::new(ErrorKind::Handler, "guard", "not stamped")),
    });
    let hooks = ProducerHooks { middleware: vec![stamp, guard], ..ProducerHooks::default() };
    let producer = Producer::recording(ProducerConfig::default(), hooks, 1).unwrap();
    let headers = [Header { name: b"own", value: None }];
    producer.produce_sync(&Record { headers: &headers, ..record("any", "fine") }).unwrap();
    let refused = producer.produce_sync(&Record { headers: &headers, ..record("any", "forbidden") }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Handler);
    let recorded = producer.recorded().unwrap();
    assert_eq!(recorded.len(), 1);
    let own = (b"own".to_vec(), None);
    assert_eq!(recorded[0].record.headers, [own, (b"stamp".to_vec(), Some(b"1".to_vec()))]);
}

#[test]
fn the_buffer_keeps_order_and_what_could_not_be_sent() {
    let producer = Producer::recording(ProducerConfig::default(), ProducerHooks::default(), 1).unwrap();
    producer.buffer(&record("b", "0")).unwrap();
    producer.buffer_many(&[record("b", "1"), record("b", "2")]).unwrap();
    let bad = Record { timestamp_ms: Some(0), ..record("b", "x") };
    assert_eq!(producer.buffer_many(&[record("b", "kept out"), bad]).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(producer.buffered(), 3);
    producer.fail_next(Error::new(ErrorKind::QueueFull, "produce", "planted")).unwrap();
    assert_eq!(producer.flush_buffer_async().unwrap_err().kind(), ErrorKind::QueueFull);
    assert_eq!(producer.buffered(), 3, "nothing is lost by a flush that fails");
    let reports = producer.flush_buffer_sync().unwrap();
    assert_eq!(reports.iter().map(|report| report.offset).collect::<Vec<_>>(), [0, 1, 2]);
    let payloads: Vec<_> = producer.recorded().unwrap().into_iter().filter_map(|kept| kept.record.payload).collect();
    assert_eq!(payloads, [b"0", b"1", b"2"]);
    producer.buffer(&record("b", "3")).unwrap();
    assert_eq!(producer.clear_buffer().unwrap(), 1);
    producer.buffer(&record("b", "4")).unwrap();
    producer.close().unwrap();
    assert_eq!(producer.buffered(), 0);
}

#[test]
fn a_full_queue_is_waited_for_and_then_named() {
    // Nobody listens there: what is produced stays in the queue.
    let config = ProducerConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        queue_full_timeout: Duration::from_millis(300),
        close_timeout: Duration::from_millis(100),
        kafka: [("queue.buffering.max.messages".to_owned(), "3".to_owned())].into(),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(config).unwrap();
    let labelled = Record { label: Some("order 7"), ..record("q", "0") };
    let first = producer.produce_async(&labelled).unwrap();
    producer.produce_many_async(&[record("q", "1"), record("q", "2")]).unwrap();
    let begin = Instant::now();
    let full = producer.produce_async(&record("q", "3")).unwrap_err();
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    assert!(full.is_retriable() && full.to_string().contains("queue.buffering.max.messages"), "{full}");
    assert_eq!(producer.try_produce(&record("q", "3")).unwrap_err().kind(), ErrorKind::QueueFull);
    let purged = producer.subscribe_to(&["message.purged"]).unwrap();
    let closed = producer.close().unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Timeout);
    assert!(closed.to_string().contains("3 to q") && closed.to_string().contains("order 7"), "{closed}");
    let given_up = first.wait(SOON).unwrap_err();
    assert_eq!((given_up.kind(), given_up.kafka()), (ErrorKind::Stopped, Some(-152)));
    assert!(given_up.to_string().contains("order 7"), "{given_up}");
    let events: Vec<_> = std::iter::from_fn(|| purged.next(SOON).ok()).collect();
    assert_eq!(events.len(), 3, "{events:?}");
}

#[test]
fn records_that_cannot_be_sent_are_refused_with_the_reason() {
    let config = ProducerConfig { max_payload_bytes: 1_000, ..ProducerConfig::default() };
    let _broker = broker("producer-refused", &[("r", 1)]);
    let config = ProducerConfig { bootstrap_servers: "embedded://producer-refused".to_owned(), ..config };
    let producer = Producer::new(config).unwrap();
    let (large, half) = ("x".repeat(1_001), "x".repeat(600));
    let value = Some(half.as_bytes());
    for (record, reason) in [
        (record("r", &large), "1001 bytes"),
        (Record { key: value, ..record("r", &half) }, "max_payload_bytes (1000)"),
        (Record { partition: Some(-2), ..record("r", "x") }, "partition -2"),
        (Record { timestamp_ms: Some(0), ..record("r", "x") }, "timestamp of 0"),
        (Record { timestamp_ms: Some(-1), ..record("r", "x") }, "timestamp -1"),
        (record("no such name!", "x"), "no such name!"),
        (Record { headers: &[Header { name: b"a\0b", value: None }], ..record("r", "x") }, "NUL"),
    ] {
        let refused = producer.produce_async(&record).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    assert_eq!(producer.in_flight(), 0);
}

#[test]
fn variants_have_their_own_options_and_end_with_their_producer() {
    let _broker = broker("producer-variants", &[("v", 1)]);
    let producer = Producer::new(config("producer-variants")).unwrap();
    let options: Settings =
        vec![("acks".to_owned(), Value::Text("1".to_owned())), ("idempotence".to_owned(), Value::Bool(false))];
    let variant = producer.variant(&options).unwrap();
    assert_eq!((variant.config().acks.as_str(), producer.config().acks.as_str()), ("1", "all"));
    variant.produce_sync(&record("v", "quick")).unwrap();
    producer.produce_sync(&record("v", "safe")).unwrap();
    let again = producer.variant(&options).unwrap();
    again.produce_sync(&record("v", "the same one")).unwrap();
    let wrong: Settings = vec![("acks".to_owned(), Value::Text("most".to_owned()))];
    assert_eq!(producer.variant(&wrong).unwrap_err().kind(), ErrorKind::Config);
    producer.close().unwrap();
    assert_eq!(variant.produce_async(&record("v", "late")).unwrap_err().kind(), ErrorKind::Stopped);
}

#[test]
fn events_tell_the_way_of_each_record() {
    let _broker = broker("producer-events", &[("e", 1)]);
    let config = ProducerConfig { statistics_interval: Duration::from_millis(100), ..config("producer-events") };
    let producer = Producer::new(config).unwrap();
    let events = producer.subscribe_to(&["message.*", "buffer.*", "producer.*"]).unwrap();
    producer.produce_sync(&Record { label: Some("mine"), ..record("e", "secret") }).unwrap();
    producer.buffer(&record("e", "buffered")).unwrap();
    producer.flush_buffer_sync().unwrap();
    let mut seen = Vec::new();
    let deadline = Instant::now() + SOON;
    while !seen.iter().any(|event| matches!(event, Event::ProducerStatistics { .. })) && Instant::now() < deadline {
        seen.extend(events.next(Duration::from_millis(200)));
    }
    producer.close().unwrap();
    seen.extend(std::iter::from_fn(|| events.next(SOON).ok()));
    let names: Vec<_> = seen.iter().map(Event::name).filter(|name| *name != "producer.statistics").collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "buffer.flushed",
            "message.acknowledged",
            "message.acknowledged",
            "message.produced_async",
            "message.produced_async",
            "producer.closed"
        ]
    );
    assert_eq!(names.last(), Some(&"producer.closed"));
    assert!(seen.iter().any(|event| event.to_string().contains("label=\"mine\"")), "{seen:?}");
    assert!(!format!("{seen:?}").contains("secret"), "events carry no payloads");
    let brokers =
        seen.iter().any(|event| matches!(event, Event::ProducerStatistics { brokers, .. } if !brokers.is_empty()));
    assert!(brokers, "{seen:?}");
}

#[test]
fn one_thread_serves_all_producers_and_ends_with_the_last() {
    let _broker = broker("producer-threads", &[("t", 1)]);
    let count = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "karafka-produce").count()
    };
    let producers: Vec<_> = (0..5).map(|_| Producer::new(config("producer-threads")).unwrap()).collect();
    for producer in &producers {
        producer.produce_sync(&record("t", "x")).unwrap();
    }
    assert_eq!(count(), 1);
}

#[test]
fn many_threads_send_and_close_meanwhile_and_every_record_ends() {
    let _broker = broker("producer-many", &[("m", 4)]);
    for _ in 0..5 {
        let producer = Producer::new(config("producer-many")).unwrap();
        let (sent, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (producer, sent, ended) = (producer.clone(), Arc::clone(&sent), Arc::clone(&ended));
                let deliveries = Arc::clone(&deliveries);
                std::thread::spawn(move || {
                    loop {
                        let ended = Arc::clone(&ended);
                        let callback = Box::new(move |_| {
                            ended.fetch_add(1, Ordering::SeqCst);
                        });
                        match producer.produce_with(&record("m", "x"), callback) {
                            Ok(delivery) => deliveries.lock().unwrap().push(delivery),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Stopped);
                                return;
                            }
                        }
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        while sent.load(Ordering::SeqCst) < 500 {
            std::thread::yield_now();
        }
        producer.close().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(ended.load(Ordering::SeqCst), sent.load(Ordering::SeqCst));
        for delivery in deliveries.lock().unwrap().iter() {
            delivery.outcome().expect("closing waits").unwrap();
        }
    }
}

#[test]
fn who_closes_beside_another_waits_and_is_told_the_same() {
    let _broker = broker("producer-closings", &[("c", 1)]);
    let lingering = ProducerConfig { linger: Duration::from_millis(300), ..config("producer-closings") };
    // Nobody listens there: the record is given up.
    let unreachable = ProducerConfig {
        bootstrap_servers: "127.0.0.1:1".to_owned(),
        close_timeout: Duration::from_millis(200),
        ..ProducerConfig::default()
    };
    for (config, expected) in [(lingering, None), (unreachable, Some(ErrorKind::Timeout))] {
        let producer = Producer::new(config).unwrap();
        let delivery = producer.produce_async(&record("c", "x")).unwrap();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (producer, delivery) = (producer.clone(), delivery.clone());
                std::thread::spawn(move || {
                    let outcome = producer.close().map_err(|error| error.kind());
                    (outcome.err(), delivery.outcome().is_some())
                })
            })
            .collect();
        let told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(told.iter().all(|(_, has_ended)| *has_ended), "{told:?}");
        assert!(told.iter().any(|(error, _)| *error == expected), "{told:?}");
        // A thread that began only after the end has nothing to wait for, and no error.
        assert!(told.iter().all(|(error, _)| *error == expected || error.is_none()), "{told:?}");
        producer.close().unwrap();
    }
}
