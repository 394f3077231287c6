//! Acceptance scenario 26, for handlers that take one message of their call after the other (`Context::each`): one that fails is tried again
//! with attempts of its own, which those behind it know nothing of; and a stop in the midst of a call keeps what is done: the commit is
//! exact to the message, and the next process gets the others as if nobody had seen them.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Batch, Context, Failure, Message, TopicConfig, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const RECORDS: i64 = 30;
const FAILS: i64 = 10;
const STOPS: i64 = 20;

/// Offset, attempt, and whether it is said to be tried again.
type Attempts = Arc<Mutex<Vec<(i64, u32, bool)>>>;

/// A process that fails twice at one offset, and at another one waits for its stop.
fn life(
    name: &str,
    topic: &str,
    seen: &Arc<Seen>,
    is_waiting: &Arc<AtomicBool>,
    stops_at: Option<i64>,
) -> (App, Attempts) {
    let attempts = Attempts::default();
    let (tried, seen, is_waiting) = (Arc::clone(&attempts), Arc::clone(seen), Arc::clone(is_waiting));
    let handle = handler_fn(move |batch: &Batch, context: &Context| {
        context.each(batch, |message: Message<'_>| {
            let (offset, attempt) = (message.offset(), message.attempt());
            tried.lock().push((offset, attempt, message.is_retrying()));
            seen.began(place(&message), message.key());
            let failed = |why| {
                seen.failed(place(&message));
                Err(Failure::new("Unlucky", why).of(message.index()))
            };
            if offset == FAILS && attempt < 3 {
                return failed("not yet");
            }
            if Some(offset) == stops_at {
                is_waiting.store(true, Ordering::SeqCst);
                while !context.is_stopping() {
                    thread::park_timeout(Duration::from_millis(2));
                }
                return failed("it stops");
            }
            seen.finished(place(&message));
            Ok(())
        })
    });
    let app = App::new(quick(broker::shared(), name)).unwrap();
    let options = TopicConfig {
        max_messages: 100,
        linger: Duration::from_millis(300),
        retry_backoff: Duration::from_millis(10),
        ..TopicConfig::default()
    };
    app.topic(topic, options, handle).unwrap();
    app.start().unwrap();
    (app, attempts)
}

#[test]
fn over_a_failure_a_stop_and_a_restart() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("each"));
    let records: Vec<_> = (0..RECORDS).map(|number| Record::keyed("key", number.to_string())).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let (seen, is_waiting) = (Arc::new(Seen::new()), Arc::<AtomicBool>::default());
    let (first, attempts) = life(&name, &topic, &seen, &is_waiting, Some(STOPS));
    wait::until(PATIENCE, "the message at which it stops", || is_waiting.load(Ordering::SeqCst));
    stop(&first);
    let expected = (0..=STOPS).flat_map(|offset| {
        let times = if offset == FAILS { 3 } else { 1 };
        (1..=times).map(move |attempt| (offset, attempt, attempt > 1))
    });
    assert_eq!(*attempts.lock(), expected.collect::<Vec<_>>());
    assert_eq!(group::committed_offsets(bootstrap, &name, &topic).get(&0), Some(&STOPS), "exact to the message");

    let (second, attempts) = life(&name, &topic, &seen, &is_waiting, None);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&second);
    assert_eq!(*attempts.lock(), (STOPS..RECORDS).map(|offset| (offset, 1, false)).collect::<Vec<_>>());
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}
