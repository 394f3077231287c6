//! Acceptance 23: where messages come along, the call with the last of them says that the end was reached; without messages the
//! hook says it, also for an empty topic; and a handler that wants neither is not told.

use crate::support::{PATIENCE, quick, stop};
use karafka::{App, Failure, Hook, TopicConfig, handler_fn, hooked};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, wait};
use parking_lot::Mutex;
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
fn nobody_is_told_who_does_not_want_it() {
    let topic = topics::create(broker::shared(), 1);
    topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
    let (app, calls) = reading(&topic, false);
    wait::until(PATIENCE, "the message", || !calls.lock().is_empty());
    stop(&app);
    assert_eq!(*calls.lock(), [(Some(0), false)]);
}
