//! Acceptance scenario 9: several groups in one app do not touch each other, also on one topic; a rebalance of the one leaves the other
//! alone. And topics of two clusters are read by one app.

use crate::support::{PATIENCE, member, produce_keyed, stop, wait_assigned};
use karafka::{App, AppConfig, Event, Events, Failure, TopicConfig, handler_fn};
use libkarafka_tests::broker::{self, Broker};
use libkarafka_tests::{group, topics, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

type Seen = Arc<Mutex<Vec<(String, String, i32, i64)>>>;

fn read(app: &App, topic: &str, config: TopicConfig, seen: &Seen) {
    let seen = Arc::clone(seen);
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            let place = (message.topic().to_owned(), message.partition(), message.offset());
            seen.lock().push((context.group().to_owned(), place.0, place.1, place.2));
        }
        Ok::<(), Failure>(())
    });
    app.topic(topic, config, handler).unwrap();
}

fn count(seen: &Seen, group: &str) -> usize {
    seen.lock().iter().filter(|(of, ..)| of == group).count()
}

/// The groups of all rebalances so far.
fn rebalanced(events: &Events) -> Vec<String> {
    let mut groups = Vec::new();
    while let Ok(event) = events.next(Duration::ZERO) {
        if let Event::PartitionsAssigned { group, .. } | Event::PartitionsRevoked { group, .. } = event {
            groups.push(group.to_string());
        }
    }
    groups
}

#[test]
fn a_rebalance_of_one_group_leaves_the_other_alone() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let [moves, stays] = ["moves", "stays"].map(topics::unique);
    let config = AppConfig { bootstrap_servers: bootstrap.to_owned(), ..AppConfig::default() };
    let app = App::new(config).unwrap();
    let (events, seen) = (app.events(), Seen::default());
    for group in [&moves, &stays] {
        read(&app, &topic, TopicConfig { group: Some(group.clone()), ..TopicConfig::default() }, &seen);
    }
    app.start().unwrap();
    produce_keyed(bootstrap, &topic, 10, 200);
    wait::until(PATIENCE, "both groups at work", || count(&seen, &moves) == 200 && count(&seen, &stays) == 200);
    rebalanced(&events);
    let mut other = member(bootstrap, &moves, &topic, &["work_us=0"]);
    wait_assigned(&other);
    produce_keyed(bootstrap, &topic, 10, 200);
    wait::until(PATIENCE, "the group that stays", || count(&seen, &stays) == 400);
    other.send("stop");
    assert!(other.wait(PATIENCE).success(), "{}", other.last_words());
    wait::until(PATIENCE, "what was committed", || group::lag(bootstrap, &moves, &topic) == 0);
    let touched = rebalanced(&events);
    assert!(touched.contains(&moves) && !touched.contains(&stays), "{touched:?}");
    stop(&app);
    assert_eq!(count(&seen, &stays), 400, "nothing twice");
}

#[test]
fn two_clusters_are_read_by_one_app() {
    let (here, there) = (broker::shared(), Broker::start());
    let away = there.bootstrap();
    let topic = topics::create(here, 2);
    topics::create_named(&away, &topic, 2, 1, &[]);
    let name = topics::unique("clusters");
    let config = AppConfig { bootstrap_servers: here.to_owned(), group: name.clone(), ..AppConfig::default() };
    let (app, seen) = (App::new(config).unwrap(), [Seen::default(), Seen::default()]);
    read(&app, &topic, TopicConfig::default(), &seen[0]);
    let elsewhere = TopicConfig { bootstrap_servers: Some(away.clone()), ..TopicConfig::default() };
    read(&app, &topic, elsewhere, &seen[1]);
    app.start().unwrap();
    produce_keyed(here, &topic, 10, 100);
    produce_keyed(&away, &topic, 10, 70);
    wait::until(PATIENCE, "both clusters read", || count(&seen[0], &name) == 100 && count(&seen[1], &name) == 70);
    stop(&app);
    assert_eq!(group::lag(here, &name, &topic), 0);
    assert_eq!(group::lag(&away, &name, &topic), 0);
}

/// Acceptance scenario 12.
#[test]
fn a_stop_before_the_first_assignment_neither_hangs_nor_crashes() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 2);
    for after in [0, 20, 100, 400] {
        for protocol in [karafka::GroupProtocol::Classic, karafka::GroupProtocol::Consumer] {
            let group = topics::unique("immediate");
            let config = AppConfig {
                bootstrap_servers: bootstrap.to_owned(),
                group,
                group_protocol: protocol,
                ..AppConfig::default()
            };
            let app = App::new(config).unwrap();
            read(&app, &topic, TopicConfig { multiplexing_max: 2, ..TopicConfig::default() }, &Seen::default());
            app.start().unwrap();
            std::thread::sleep(Duration::from_millis(after));
            let began = std::time::Instant::now();
            stop(&app);
            let within = began.elapsed();
            assert!(within <= Duration::from_secs(3), "after {after} ms, {protocol:?}: the stop took {within:?}");
        }
    }
}

/// Acceptance scenario 20.
#[test]
fn a_slow_partition_holds_up_only_itself() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: topics::unique("slow"),
        shutdown_timeout: Duration::from_secs(5),
        ..AppConfig::default()
    };
    let (app, done) = (App::new(config).unwrap(), Arc::new(Mutex::new(vec![0; 4])));
    let (release, held) = gate();
    let counted = Arc::clone(&done);
    let handler = handler_fn(move |batch, _| {
        if batch.partition() == 2 {
            let _ = held.lock().recv_timeout(PATIENCE);
        }
        counted.lock()[batch.partition() as usize] += batch.len();
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    app.start().unwrap();
    let records: Vec<_> = (0..400).map(|number| topics::Record::plain("x").to(number % 4)).collect();
    topics::produce(bootstrap, &topic, &records);
    wait::until(PATIENCE, "all other partitions done", || *done.lock() == [100, 100, 0, 100]);
    drop(release);
    wait::until(PATIENCE, "the slow one done", || *done.lock() == [100; 4]);
    stop(&app);
}

fn gate() -> (std::sync::mpsc::Sender<()>, Mutex<std::sync::mpsc::Receiver<()>>) {
    let (release, held) = std::sync::mpsc::channel();
    (release, Mutex::new(held))
}
