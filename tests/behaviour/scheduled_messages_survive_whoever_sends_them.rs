//! Apps that send scheduled messages on are killed with SIGKILL while messages wait: all arrive, none early, none that was cancelled
//! in time, and twice only what was on its way at a death (karafka.md section 3: scheduled messages).

use crate::support::{PATIENCE, member};
use karafka::{Producer, ProducerConfig, ReadFrom, Reader, ReaderConfig, Record, Selection};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, topics, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

const MESSAGES: i64 = 300;
/// The first goes after this, so that all are scheduled by then; then they go one by one.
const FIRST: i64 = 7_000;
const APART: i64 = 40;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn wait_until(time: i64) {
    wait::until(PATIENCE, "a time", || now() >= time);
}

/// When each number arrived, by the clock of who sent it.
fn arrived(bootstrap: &str, topic: &str) -> BTreeMap<i64, Vec<i64>> {
    let config = ReaderConfig { bootstrap_servers: bootstrap.to_owned(), ..ReaderConfig::default() };
    let mut reader = Reader::open(config, &[Selection::new(topic, ReadFrom::Earliest)]).unwrap();
    let mut arrived = BTreeMap::<i64, Vec<i64>>::new();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        for message in batch.iter() {
            let number = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
            arrived.entry(number).or_default().push(message.timestamp().unwrap().milliseconds);
        }
    }
    arrived
}

#[test]
fn scheduled_messages_survive_whoever_sends_them() {
    let bootstrap = broker::shared();
    let target = topics::create(bootstrap, 3);
    let later = topics::create_with(bootstrap, 2, &[("cleanup.policy", "compact")]);
    let group = topics::unique("group");
    let scheduled = format!("scheduled={later}");
    let options = [&*scheduled, "kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"];
    let start = || member(bootstrap, &group, &topics::create(bootstrap, 1), &options);
    let mut members: Vec<Program> = vec![start(), start()];

    let producer =
        Producer::new(ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() });
    let (producer, began) = (producer.unwrap(), now());
    let at = |number| began + FIRST + number * APART;
    let mut cancelled = BTreeSet::new();
    for number in 0..MESSAGES {
        let payload = number.to_string();
        let record = Record { topic: &target, payload: Some(payload.as_bytes()), ..Record::default() };
        let id = producer.schedule(&later, &record, at(number)).unwrap();
        if number % 10 == 7 {
            producer.cancel(&later, &id).unwrap();
            assert!(now() < at(number), "this machine is too slow for the test");
            cancelled.insert(number);
        }
    }
    let mut deaths = Vec::new();
    for place in [50, 120, 190] {
        wait_until(at(place));
        deaths.push(now());
        members.remove(0).kill();
        members.push(start());
    }
    let left = || (0..MESSAGES).filter(|number| !cancelled.contains(number)).collect::<BTreeSet<_>>();
    wait::until(PATIENCE, "every message", || {
        arrived(bootstrap, &target).keys().copied().collect::<BTreeSet<_>>().is_superset(&left())
    });
    wait::until(PATIENCE, "every tombstone", || {
        let mut waiting = BTreeSet::new();
        for message in topics::read(bootstrap, &later) {
            let id = message.key.clone().unwrap();
            if message.payload.is_some() {
                waiting.insert(id)
            } else {
                waiting.remove(&id)
            };
        }
        waiting.is_empty()
    });
    for mut member in members {
        member.send("stop");
        assert!(member.wait(PATIENCE).success(), "{}", member.last_words());
    }

    let arrived = arrived(bootstrap, &target);
    assert_eq!(arrived.keys().copied().collect::<BTreeSet<_>>(), left(), "a cancelled one came, or one that never was");
    for (number, times) in &arrived {
        let early: Vec<_> = times.iter().filter(|time| **time < at(*number)).collect();
        assert!(early.is_empty(), "message {number} of {} came at {early:?}", at(*number));
        // Those of several partitions are not read in the order of their time.
        if let (Some(first), true) = (times.iter().min(), times.len() > 1) {
            let is_on_its_way = |death: &i64| (*first - 2_000..*first + 2_000).contains(death);
            assert!(
                deaths.iter().any(is_on_its_way),
                "message {number} came twice, at {times:?}; deaths at {deaths:?}"
            );
            assert!(times.len() <= 1 + deaths.len());
        }
    }
    // One step of each partition was on its way at a death: what came due within an interval.
    let repeated = arrived.values().filter(|times| times.len() > 1).count();
    assert!(repeated <= 30 * deaths.len(), "{repeated} messages came twice");
}
