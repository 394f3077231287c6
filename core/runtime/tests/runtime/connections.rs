//! How an app reads: patterns, direct assignment, several connections, several clusters, parallel segments; on embedded brokers.

use karafka::{App, AppConfig, EmbeddedBroker, Event, Events, Failure, Producer, ProducerConfig, Record, TopicConfig};
use karafka::{ErrorKind, handler_fn};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Group, topic and payload of what was handled.
type Handled = (String, String, String);

#[derive(Default)]
struct Seen {
    records: Mutex<Vec<Handled>>,
    changed: Condvar,
}

impl Seen {
    fn wait(&self, count: usize) -> Vec<Handled> {
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

/// A broker of the test's own, and an app that reads from it.
struct World {
    broker: &'static str,
    app: App,
    events: Events,
    seen: Arc<Seen>,
}

impl World {
    fn new(broker: &'static str) -> Self {
        let refresh = ("topic.metadata.refresh.interval.ms".to_owned(), "200".to_owned());
        let config = AppConfig {
            bootstrap_servers: broker.to_owned(),
            group: "group".to_owned(),
            commit_interval: Duration::from_millis(50),
            kafka: BTreeMap::from([refresh]),
            ..AppConfig::default()
        };
        let app = App::new(config).unwrap();
        let events = app.events();
        Self { broker, app, events, seen: Arc::default() }
    }

    fn read(&self, topic: &str, config: TopicConfig) -> karafka::Result<usize> {
        let seen = Arc::clone(&self.seen);
        let handler = handler_fn(move |batch, context| {
            for message in batch.iter() {
                let payload = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                seen.records.lock().unwrap().push((context.group().to_owned(), message.topic().to_owned(), payload));
            }
            seen.changed.notify_all();
            Ok::<(), Failure>(())
        });
        self.app.topic(topic, config, handler)
    }

    fn event(&self, name: &str) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("no event {name}"));
            match self.events.next(left) {
                Ok(event) if event.name() == name => return event,
                Ok(_) => {}
                Err(end) => panic!("no event {name}: {end:?}"),
            }
        }
    }

    fn stop(self) -> Vec<Handled> {
        self.app.stop();
        assert!(self.app.join(Some(PATIENCE)).unwrap());
        self.seen.records.lock().unwrap().clone()
    }
}

fn create(broker: &str, topic: &str, partitions: i32) {
    EmbeddedBroker::named(broker).unwrap().create_topic(topic, partitions).unwrap();
}

/// One record for each of so many partitions.
fn produce(broker: &str, topic: &str, partitions: i32) {
    let config = ProducerConfig { bootstrap_servers: broker.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    for partition in 0..partitions {
        let payload = partition.to_string();
        let record =
            Record { topic, partition: Some(partition), payload: Some(payload.as_bytes()), ..Record::default() };
        producer.produce_sync(&record).unwrap();
    }
    producer.close().unwrap();
}

fn topics(handled: &[Handled]) -> Vec<&str> {
    let mut topics: Vec<_> = handled.iter().map(|(_, topic, _)| topic.as_str()).collect();
    topics.sort_unstable();
    topics
}

#[test]
fn a_pattern_finds_topics_when_they_come_and_leaves_names_to_their_own_handlers() {
    let world = World::new("embedded://pattern");
    for topic in ["orders-eu", "orders-named", "orders-dead", "other", "my-orders-us"] {
        create(world.broker, topic, 1);
        produce(world.broker, topic, 1);
    }
    let dead = TopicConfig { dead_letter_queue_topic: Some("orders-dead".to_owned()), ..TopicConfig::default() };
    let pattern = world.read("^orders-.*", dead).unwrap();
    let named = TopicConfig { group: Some("another".to_owned()), ..TopicConfig::default() };
    world.read("orders-named", TopicConfig::default()).unwrap();
    world.read("orders-named", named).unwrap();
    world.app.start().unwrap();
    assert_eq!(topics(&world.seen.wait(3)), ["orders-eu", "orders-named", "orders-named"]);
    create(world.broker, "orders-us", 2);
    produce(world.broker, "orders-us", 2);
    world.seen.wait(5);
    let handled = world.stop();
    assert_eq!(topics(&handled), ["orders-eu", "orders-named", "orders-named", "orders-us", "orders-us"]);
    assert_eq!(pattern, 0);
}

#[test]
fn a_pattern_that_matches_nothing_is_told_and_found_out_later() {
    let world = World::new("embedded://later");
    world.read("^late", TopicConfig::default()).unwrap();
    world.app.start().unwrap();
    let Event::Warning { message } = world.event("warning.occurred") else { panic!("no warning") };
    assert!(message.contains("no topic matches"), "{message}");
    create(world.broker, "late", 1);
    produce(world.broker, "late", 1);
    world.seen.wait(1);
    world.stop();
}

#[test]
fn what_is_no_pattern_is_refused_when_it_is_registered() {
    let world = World::new("embedded://wrong");
    let error = world.read("^(", TopicConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("regular expression"), "{error}");
}

#[test]
fn partitions_assigned_directly_are_read_committed_and_found_when_they_come() {
    let world = World::new("embedded://direct");
    create(world.broker, "all", 2);
    create(world.broker, "some", 4);
    produce(world.broker, "all", 2);
    produce(world.broker, "some", 4);
    let assign = |text: &str| TopicConfig { assign: text.to_owned(), ..TopicConfig::default() };
    world.read("all", assign("all")).unwrap();
    world.read("some", assign("0,2-3")).unwrap();
    world.read("not-there-yet", assign("all")).unwrap();
    world.app.start().unwrap();
    world.seen.wait(5);
    create(world.broker, "not-there-yet", 1);
    produce(world.broker, "not-there-yet", 1);
    world.seen.wait(6);
    let mut handled = world.stop();
    handled.sort_unstable();
    let payloads: Vec<_> = handled.iter().map(|(_, topic, payload)| format!("{topic}/{payload}")).collect();
    assert_eq!(payloads, ["all/0", "all/1", "not-there-yet/0", "some/0", "some/2", "some/3"]);
    // Offsets were committed: the second run handles nothing of this again.
    let world = World::new("embedded://direct");
    world.read("all", assign("all")).unwrap();
    world.app.start().unwrap();
    produce(world.broker, "all", 2);
    world.seen.wait(2);
    assert_eq!(world.stop().len(), 2);
}

#[test]
fn a_group_is_not_both_asked_and_passed_over() {
    let world = World::new("embedded://both");
    world.read("a", TopicConfig { assign: "0".to_owned(), ..TopicConfig::default() }).unwrap();
    world.read("b", TopicConfig::default()).unwrap();
    let error = world.app.start().unwrap_err();
    assert!(error.message().contains("another group"), "{error}");
}

#[test]
fn connections_of_one_group_share_its_partitions() {
    let world = World::new("embedded://static");
    create(world.broker, "topic", 6);
    world.read("topic", TopicConfig { multiplexing_max: 3, ..TopicConfig::default() }).unwrap();
    world.app.start().unwrap();
    produce(world.broker, "topic", 6);
    world.seen.wait(6);
    assert_eq!(world.stop().len(), 6, "nothing twice");
}

#[test]
fn connections_come_while_one_is_crowded_and_leave_when_they_have_nothing() {
    let world = World::new("embedded://dynamic");
    create(world.broker, "topic", 2);
    let config = TopicConfig {
        multiplexing_min: 1,
        multiplexing_max: 3,
        multiplexing_boot: 1,
        multiplexing_scale_delay: Duration::from_millis(300),
        ..TopicConfig::default()
    };
    world.read("topic", config).unwrap();
    world.app.start().unwrap();
    let connections = |event: Event| match event {
        Event::ConnectionRunning { connections, .. } | Event::ConnectionStopped { connections, .. } => connections,
        other => panic!("{other}"),
    };
    assert_eq!(connections(world.event("connection.listener.running")), 2);
    produce(world.broker, "topic", 2);
    world.seen.wait(2);
    assert_eq!(world.stop().len(), 2);
}

#[test]
fn several_clusters_are_read_by_one_app() {
    let world = World::new("embedded://here");
    let there = "embedded://there";
    for broker in [world.broker, there] {
        create(broker, "topic", 2);
        produce(broker, "topic", 2);
    }
    world.read("topic", TopicConfig::default()).unwrap();
    let config = TopicConfig { bootstrap_servers: Some(there.to_owned()), ..TopicConfig::default() };
    world.read("topic", config.clone()).unwrap();
    let error = world.read("topic", config).unwrap_err();
    assert!(error.message().contains("already"), "{error}");
    world.app.start().unwrap();
    world.seen.wait(4);
    assert_eq!(world.stop().len(), 4);
}

#[test]
fn segments_share_the_records_by_key_and_each_commits_them_all() {
    let world = World::new("embedded://segments");
    create(world.broker, "topic", 2);
    let config = ProducerConfig { bootstrap_servers: world.broker.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    for number in 0..60 {
        let (key, payload) = (format!("key-{}", number % 20), number.to_string());
        let record = Record {
            topic: "topic",
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        producer.produce_sync(&record).unwrap();
    }
    producer.close().unwrap();
    world.read("topic", TopicConfig { parallel_segments_count: 3, ..TopicConfig::default() }).unwrap();
    world.app.start().unwrap();
    world.seen.wait(60);
    let handled = world.stop();
    assert_eq!(handled.len(), 60, "every record by one segment");
    let mut group_of: BTreeMap<u32, &str> = BTreeMap::new();
    for (group, _, payload) in &handled {
        let key = payload.parse::<u32>().unwrap() % 20;
        assert_eq!(group_of.entry(key).or_insert(group), group, "all records of key {key} in one segment");
    }
    let groups: std::collections::BTreeSet<_> = group_of.values().copied().collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["group-parallel-0", "group-parallel-1", "group-parallel-2"]);
}

#[test]
fn what_topics_of_one_group_cannot_have_differently_is_told_at_the_start() {
    let start = |first: TopicConfig, second: TopicConfig| {
        let world = World::new("embedded://conflicts");
        world.read("a", first).unwrap();
        world.read("b", second).unwrap();
        world.app.start().unwrap_err().to_string()
    };
    let latest = TopicConfig { initial_offset: karafka::InitialOffset::Latest, ..TopicConfig::default() };
    assert!(start(TopicConfig::default(), latest).contains("initial offsets"));
    let kafka = |size: &str| TopicConfig {
        kafka: BTreeMap::from([("fetch.min.bytes".to_owned(), size.to_owned())]),
        ..TopicConfig::default()
    };
    assert!(start(kafka("1"), kafka("2")).contains("fetch.min.bytes"));
    let connections = |multiplexing_max| TopicConfig { multiplexing_max, ..TopicConfig::default() };
    assert!(start(connections(2), connections(3)).contains("multiplexing"));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refused = |config: TopicConfig| World::new("embedded://refused").read("a", config).unwrap_err().to_string();
    let id = BTreeMap::from([("group.instance.id".to_owned(), "one".to_owned())]);
    let dynamic = TopicConfig { multiplexing_min: 1, multiplexing_max: 2, ..TopicConfig::default() };
    assert!(refused(TopicConfig { kafka: id, ..dynamic.clone() }).contains("static member"));
    assert!(refused(TopicConfig { multiplexing_min: 3, ..dynamic.clone() }).contains("multiplexing_max"));
    assert!(refused(TopicConfig { multiplexing_boot: 3, ..dynamic.clone() }).contains("multiplexing_boot"));
    assert!(refused(TopicConfig { assign: "all".to_owned(), ..dynamic }).contains("multiplexing"));
    let segments = TopicConfig { parallel_segments_count: 2, ..TopicConfig::default() };
    assert!(refused(TopicConfig { parallel_segments_only: "0-2".to_owned(), ..segments }).contains("numbered from 0"));
    let pattern =
        World::new("embedded://refused").read("^a", TopicConfig { assign: "all".to_owned(), ..TopicConfig::default() });
    assert!(pattern.unwrap_err().to_string().contains("pattern"));
}

/// Topics that a pattern finds while several connections and segments read are neither read twice nor left out.
#[test]
fn a_pattern_with_several_connections_and_segments_reads_each_record_once() {
    let world = World::new("embedded://together");
    create(world.broker, "orders-eu", 4);
    let config = TopicConfig { multiplexing_max: 2, parallel_segments_count: 2, ..TopicConfig::default() };
    world.read("^orders-.*", config).unwrap();
    world.app.start().unwrap();
    produce(world.broker, "orders-eu", 4);
    world.seen.wait(4);
    create(world.broker, "orders-us", 4);
    produce(world.broker, "orders-us", 4);
    world.seen.wait(8);
    let mut handled: Vec<_> = world.stop().into_iter().map(|(_, topic, payload)| (topic, payload)).collect();
    handled.sort_unstable();
    let expected = ["orders-eu", "orders-us"]
        .into_iter()
        .flat_map(|topic| (0..4).map(move |partition: i32| (topic.to_owned(), partition.to_string())));
    assert_eq!(handled, expected.collect::<Vec<_>>());
}
