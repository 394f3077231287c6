//! Whose turn it is, against the embedded broker: what may run at once, and in which order.

use karafka::{
    App, AppConfig, Candidate, EmbeddedBroker, Event, Failure, Message, Producer, ProducerConfig, Record, TopicConfig,
    UniqueBy, VirtualPartitions, handler_fn, unique_handler_fn,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://turns";
const PATIENCE: Duration = Duration::from_secs(30);

fn app(group: &str, concurrency: u32) -> App {
    let config = AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: group.to_owned(),
        concurrency,
        ..AppConfig::default()
    };
    App::new(config).unwrap()
}

fn produce(topic: &str, partitions: i32, records: u32, keys: u32) {
    EmbeddedBroker::named(BROKER).unwrap().create_topic(topic, partitions).unwrap();
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    for number in 0..records {
        let key = (number % keys).to_string();
        let partition = Some(i32::try_from(number).unwrap() % partitions);
        producer.produce_sync(&Record { topic, partition, key: Some(key.as_bytes()), ..Record::default() }).unwrap();
    }
    producer.close().unwrap();
}

fn options(change: impl FnOnce(&mut TopicConfig)) -> TopicConfig {
    let mut options =
        TopicConfig { virtual_partitions: VirtualPartitions::RoundRobin, max_messages: 1, ..TopicConfig::default() };
    change(&mut options);
    options
}

/// Runs until this many records were handled.
fn run(app: &App, handled: &AtomicU32, wanted: u32) {
    app.start().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while handled.load(Ordering::SeqCst) < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} handled", handled.load(Ordering::SeqCst));
        std::thread::sleep(Duration::from_millis(2));
    }
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

#[test]
fn one_value_is_handled_once_at_a_time_over_topics_and_partitions() {
    for topic in ["unique-a", "unique-b"] {
        produce(topic, 3, 60, 4);
    }
    let app = app("unique", 8);
    let (running, handled) = (Arc::new(Mutex::new(BTreeMap::<Vec<u8>, u32>::new())), Arc::new(AtomicU32::new(0)));
    let most = Arc::new(AtomicU32::new(0));
    for (topic, by) in [("unique-a", UniqueBy::Key), ("unique-b", UniqueBy::Callback)] {
        let (running, handled, most) = (Arc::clone(&running), Arc::clone(&handled), Arc::clone(&most));
        let handle = move |batch: &karafka::Batch, _: &karafka::Context| {
            let key = batch.iter().next().unwrap().key().unwrap().to_vec();
            let all = {
                let mut running = running.lock().unwrap();
                assert_eq!(running.insert(key.clone(), 1), None, "{key:?} is handled twice at once");
                running.len() as u32
            };
            most.fetch_max(all, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            running.lock().unwrap().remove(&key);
            handled.fetch_add(1, Ordering::SeqCst);
            Ok::<(), Failure>(())
        };
        let key = |message: Message<'_>| message.key().unwrap_or_default().to_vec();
        let options = options(|options| options.unique_by = by);
        app.topic(topic, options, unique_handler_fn(key, handle)).unwrap();
    }
    run(&app, &handled, 120);
    assert!(most.load(Ordering::SeqCst) > 1, "other values run meanwhile");
}

#[test]
fn a_topic_has_no_more_calls_than_it_may() {
    produce("limited", 2, 60, 60);
    let app = app("limited", 6);
    let (running, most, handled) =
        (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counted = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&handled));
    let handle = move |_: &karafka::Batch, _: &karafka::Context| {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(3));
        running.fetch_sub(1, Ordering::SeqCst);
        handled.fetch_add(1, Ordering::SeqCst);
        Ok::<(), Failure>(())
    };
    app.topic("limited", options(|options| options.max_concurrency = 2), handler_fn(handle)).unwrap();
    run(&app, &counted.2, 60);
    assert_eq!(counted.1.load(Ordering::SeqCst), 2);
}

#[test]
fn the_urgent_topic_goes_first() {
    for topic in ["bulk", "urgent"] {
        produce(topic, 1, 100, 100);
    }
    let app = app("priority", 1);
    let (order, handled) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
    for (topic, priority) in [("bulk", 10), ("urgent", 90)] {
        let (order, handled) = (Arc::clone(&order), Arc::clone(&handled));
        let handle = move |_: &karafka::Batch, _: &karafka::Context| {
            order.lock().unwrap().push(topic);
            std::thread::sleep(Duration::from_millis(3));
            handled.fetch_add(1, Ordering::SeqCst);
            Ok::<(), Failure>(())
        };
        app.topic(topic, options(|options| options.priority = priority), handler_fn(handle)).unwrap();
    }
    run(&app, &handled, 200);
    let order = order.lock().unwrap();
    // Before both were read, whichever came first was handled.
    let first = order.iter().position(|topic| *topic == "urgent").unwrap();
    let last = order.iter().rposition(|topic| *topic == "urgent").unwrap();
    let bulk = order[first..last].iter().filter(|topic| **topic == "bulk").count();
    assert!(bulk <= 10, "{bulk} of the bulk went between the urgent ones");
}

#[test]
fn a_scheduler_orders_and_one_that_fails_is_told_and_harms_nothing() {
    for (topic, fails) in [("chosen", false), ("unchosen", true)] {
        produce(topic, 1, 40, 40);
        let app = app(topic, 1);
        let events = app.events();
        let (asked, handled) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&asked);
        app.set_scheduler(move |candidates: &[Candidate]| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert!(candidates.iter().all(|candidate| &*candidate.topic == topic && candidate.messages == 1));
            if fails {
                Err(Failure::new("Broken", "no idea"))
            } else {
                Ok((0..candidates.len() as u32).rev().collect())
            }
        })
        .unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let (seen, done) = (Arc::clone(&order), Arc::clone(&handled));
        let handle = move |batch: &karafka::Batch, _: &karafka::Context| {
            seen.lock().unwrap().push(batch.iter().next().unwrap().offset());
            std::thread::sleep(Duration::from_millis(1));
            done.fetch_add(1, Ordering::SeqCst);
            Ok::<(), Failure>(())
        };
        app.topic(topic, options(|_| ()), handler_fn(handle)).unwrap();
        run(&app, &handled, 40);
        assert!(asked.load(Ordering::SeqCst) > 0);
        let mut told = false;
        while let Ok(event) = events.next(Duration::from_secs(1)) {
            told |= matches!(&event, Event::Error { error, .. } if error.operation() == "schedule");
        }
        assert_eq!(told, fails);
        let order = order.lock().unwrap();
        assert_eq!(order.is_sorted(), fails, "{order:?}");
    }
}
