//! Acceptance 23: where messages come along, the call with the last of them says that the end was reached; without messages the
//! hook says it, also for an empty topic; and a handler that wants neither is not told.

use crate::support::{BY_THE_BROKER, COOPERATIVE, EAGER, PATIENCE, quick, stop, wait_event};
use karafka::{App, AppConfig, Event, Failure, Hook, TopicConfig, handler_fn, hooked};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was called: with how many messages up to which offset, and whether it tells the end; without messages for the hook.
type Calls = Arc<Mutex<Vec<(Option<i64>, bool)>>>;

fn reading(topic: &str, eofed: bool) -> (App, Calls) {
    let (app, calls) = (App::new(quick(broker::shared(), &topics::unique("ends"))).unwrap(), Calls::default());
    let (ran, told) = (Arc::clone(&calls), Arc::clone(&calls));
    let handler = handler_fn(move |batch, context| {
        ran.lock().push((Some(batch.last_offset()), context.is_eofed()));
        Ok::<(), Failure>(())
    });
    let handler = hooked(handler).on(Hook::Eofed, move |context| {
        told.lock().push((None, context.is_eofed()));
        Ok::<(), Failure>(())
    });
    app.topic(topic, TopicConfig { eofed, max_messages: 7, ..TopicConfig::default() }, handler).unwrap();
    app.start().unwrap();
    (app, calls)
}

#[test]
fn an_empty_partition_by_the_hook_and_each_later_end_once() {
    let topic = topics::create(broker::shared(), 1);
    let (app, calls) = reading(&topic, true);
    wait::until(PATIENCE, "the end of nothing", || !calls.lock().is_empty());
    assert_eq!(*calls.lock(), [(None, true)]);
    for round in 1..=3 {
        let records: Vec<_> = (0..20).map(|_| Record::plain("x").to(0)).collect();
        topics::produce(broker::shared(), &topic, &records);
        let last = round * 20 - 1;
        wait::until(PATIENCE, "the next end", || {
            let calls = calls.lock();
            let handled = calls.iter().rposition(|(offset, _)| *offset == Some(last));
            handled.is_some_and(|at| calls[at].1 || calls[at + 1..].contains(&(None, true)))
        });
        // The hook beside a call that told it would be once too often.
        let seen = calls.lock();
        let at = seen.iter().rposition(|(offset, _)| *offset == Some(last)).expect("it was handled");
        let told = usize::from(seen[at].1) + seen[at + 1..].iter().filter(|(offset, _)| offset.is_none()).count();
        assert_eq!(told, 1, "{seen:?}");
    }
    stop(&app);
}

#[test]
fn and_a_cooperative_rebalance_behind_it_skips_nothing_and_repeats_nothing() {
    rebalances_behind_it(COOPERATIVE);
}

#[test]
fn and_an_eager_rebalance_behind_it_skips_nothing_and_repeats_nothing() {
    rebalances_behind_it(EAGER);
}

#[test]
fn and_a_rebalance_by_the_broker_behind_it_skips_nothing_and_repeats_nothing() {
    rebalances_behind_it(BY_THE_BROKER);
}

/// librdkafka takes the end of a log for a record that was read (4844), and goes on behind it after each rebalance.
fn rebalances_behind_it(protocol: fn(&mut AppConfig)) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 6), topics::unique("ends"));
    let produce = || {
        let records: Vec<_> =
            (0..6).flat_map(|partition| (0..3).map(move |_| Record::plain("x").to(partition))).collect();
        topics::produce(bootstrap, &topic, &records);
    };
    let seen: Arc<Mutex<Vec<(i32, i64)>>> = Arc::default();
    let ended: Arc<Mutex<BTreeSet<i32>>> = Arc::default();
    let member = || {
        let mut config = quick(bootstrap, &name);
        protocol(&mut config);
        let app = App::new(config).unwrap();
        let (ran, at_end, told) = (Arc::clone(&seen), Arc::clone(&ended), Arc::clone(&ended));
        let handler = handler_fn(move |batch, context| {
            ran.lock().extend(batch.iter().map(|message| (message.partition(), message.offset())));
            if context.is_eofed() {
                at_end.lock().insert(context.partition());
            }
            Ok::<(), Failure>(())
        });
        let handler = hooked(handler).on(Hook::Eofed, move |context| {
            told.lock().insert(context.partition());
            Ok::<(), Failure>(())
        });
        app.topic(&topic, TopicConfig { eofed: true, ..TopicConfig::default() }, handler).unwrap();
        app.start().unwrap();
        app
    };
    let handled = |count: usize| {
        wait::until(PATIENCE, "the records", || seen.lock().len() >= count);
        wait::until(PATIENCE, "the ends", || ended.lock().len() == 6);
        wait::until(PATIENCE, "the commits", || group::lag(bootstrap, &name, &topic) == 0);
    };
    produce();
    let mut members = vec![member()];
    handled(18);
    for round in 2..=4 {
        let app = member();
        let events = app.events();
        members.push(app);
        wait_event(
            &events,
            "partitions",
            |event| matches!(event, Event::PartitionsAssigned { partitions, .. } if !partitions.is_empty()),
        );
        ended.lock().clear();
        produce();
        handled(round * 18);
    }
    members.iter().for_each(stop);
    let mut seen = seen.lock().clone();
    seen.sort_unstable();
    let expected: Vec<_> = (0..6).flat_map(|partition| (0..12).map(move |offset| (partition, offset))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn nobody_is_told_who_does_not_want_it() {
    let topic = topics::create(broker::shared(), 1);
    topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
    let (app, calls) = reading(&topic, false);
    wait::until(PATIENCE, "the message", || !calls.lock().is_empty());
    stop(&app);
    assert_eq!(*calls.lock(), [(Some(0), false)]);
}
