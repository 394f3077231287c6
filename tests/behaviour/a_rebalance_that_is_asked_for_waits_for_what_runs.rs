//! Acceptance scenario 8: when another member joins, what runs is never told that its partition is lost, its marks and its commits
//! count, and the partition changes hands only after it has ended. Ours goes further than the scenario: a handler of the
//! partition that goes is waited for (`revoke_timeout`), so that nothing of it is done twice.

use crate::support::{BY_THE_BROKER, COOPERATIVE, EAGER, PATIENCE, place, quick, stop, wait_event};
use karafka::{App, AppConfig, Event, Failure, TopicConfig, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn ask(name: &str, protocol: fn(&mut AppConfig)) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique(name));
    let records: Vec<_> =
        (0..40).map(|number| Record::keyed(format!("key-{}", number % 2), "x").to(number % 2)).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let (seen, released) = (Arc::new(Seen::new()), Arc::new(AtomicBool::new(false)));
    let mut config = quick(bootstrap, &name);
    protocol(&mut config);
    let one_by_one = || TopicConfig { max_messages: 1, ..TopicConfig::default() };

    let (begun, begins) = channel();
    let (told, verdicts) = channel();
    let (here, release) = (Arc::clone(&seen), Arc::clone(&released));
    let holds = handler_fn(move |batch, context| {
        let message = batch.get(0).unwrap();
        here.began(place(&message), message.key());
        begun.send(message.partition()).unwrap();
        let mut was_revoked = context.is_revoked();
        while !release.load(Ordering::SeqCst) {
            was_revoked |= context.is_revoked();
            thread::park_timeout(Duration::from_millis(1));
        }
        // Before the commit: what the broker has then was finished.
        here.finished(place(&message));
        let counted = [context.acknowledge(&message), context.commit(PATIENCE).unwrap()];
        told.send((place(&message), was_revoked || context.is_revoked(), counted)).unwrap();
        Ok::<(), Failure>(())
    });
    let first = App::new(config.clone()).unwrap();
    first.topic(&topic, one_by_one(), holds).unwrap();
    let events = first.events();
    first.start().unwrap();
    let mut running = [begins.recv_timeout(PATIENCE).unwrap(), begins.recv_timeout(PATIENCE).unwrap()];
    running.sort_unstable();
    assert_eq!(running, [0, 1], "a call for each partition");

    let there = Arc::clone(&seen);
    let (took, takes) = channel();
    let quick_one = handler_fn(move |batch, _| {
        let message = batch.get(0).unwrap();
        there.began(place(&message), message.key());
        there.finished(place(&message));
        let _ = took.send(place(&message));
        Ok::<(), Failure>(())
    });
    let second = App::new(config).unwrap();
    second.topic(&topic, one_by_one(), quick_one).unwrap();
    second.start().unwrap();
    wait_event(
        &events,
        "a partition that goes",
        |event| matches!(event, Event::PartitionsRevoke { partitions, .. } if !partitions.is_empty()),
    );
    // Time for what must not happen: that the running calls are told of a loss, or that somebody else begins.
    assert!(takes.recv_timeout(Duration::from_secs(1)).is_err(), "the partition went before its call had ended");
    released.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let (place, was_revoked, counted) = verdicts.recv_timeout(PATIENCE).unwrap();
        assert_eq!((place.offset, was_revoked, counted), (0, false, [true, true]), "{place}");
    }
    let heir = takes.recv_timeout(PATIENCE).unwrap();
    assert!(heir.offset > 0, "what was waited for is done: {heir}");
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&second);
    stop(&first);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}

#[test]
fn by_the_cooperative_protocol() {
    ask("asked-cooperative", COOPERATIVE);
}

#[test]
fn by_the_eager_protocol() {
    ask("asked-eager", EAGER);
}

#[test]
fn by_the_protocol_of_kip_848() {
    ask("asked-kip-848", BY_THE_BROKER);
}
