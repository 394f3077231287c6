//! Acceptance 48, 49, 50, 51: ticks come when there never was a message, and before one the consumer was not used; messages within
//! the interval take their place; while a message waits for another attempt or its partition is paused, they come only where
//! that is asked for; and none comes beside a long job.

use crate::support::{PATIENCE, quick, stop};
use karafka::{App, Batch, Context, Failure, Hook, TopicConfig, handler_fn, hooked};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(500);
/// What the machine may take beside the promised 50 ms.
const SLACK: Duration = Duration::from_millis(400);

/// A tick, and whether its consumer had messages.
type Ticks = Arc<Mutex<Vec<(Instant, bool)>>>;

fn periodic() -> TopicConfig {
    TopicConfig { periodic: true, periodic_interval: INTERVAL, ..TopicConfig::default() }
}

/// An app on a topic with one partition, and its ticks.
fn ticking(
    name: &str,
    config: TopicConfig,
    handle: impl Fn(&Batch, &Context) -> Result<(), Failure> + Send + Sync + 'static,
) -> (App, String, Ticks) {
    let bootstrap = broker::shared();
    let (topic, ticks) = (topics::create(bootstrap, 1), Ticks::default());
    let app = App::new(quick(bootstrap, &topics::unique(name))).unwrap();
    let list = Arc::clone(&ticks);
    let handler = hooked(handler_fn(handle)).on(Hook::Tick, move |context| {
        list.lock().push((Instant::now(), context.is_used()));
        Ok::<(), Failure>(())
    });
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    (app, topic, ticks)
}

fn count(ticks: &Ticks) -> usize {
    ticks.lock().len()
}

#[test]
fn with_no_message_ever_and_not_while_messages_come() {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&handled);
    let (app, topic, ticks) = ticking("ticks", periodic(), move |_, _| {
        seen.lock().push(Instant::now());
        Ok(())
    });
    wait::until(PATIENCE, "ticks before any message", || count(&ticks) >= 5);
    let before = ticks.lock().clone();
    assert!(before.iter().all(|(_, used)| !used));
    for pair in before.windows(2) {
        let apart = pair[1].0 - pair[0].0;
        assert!(apart + Duration::from_millis(60) >= INTERVAL && apart <= INTERVAL + SLACK, "{apart:?}");
    }
    // Each tick is as far from the last message as from the last tick: none between messages that come more often.
    let busy = Instant::now();
    let mut number = 0;
    while busy.elapsed() < 6 * INTERVAL {
        topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
        number += 1;
        wait::until(PATIENCE, "the message handled", || handled.lock().len() >= number);
    }
    wait::until(PATIENCE, "a tick after the messages", || ticks.lock().last().is_some_and(|(_, used)| *used));
    stop(&app);
    let handled = handled.lock();
    for (tick, _) in ticks.lock().iter().filter(|(_, used)| *used) {
        let message = handled.iter().rfind(|message| *message < tick).expect("a used consumer had a message");
        let apart = *tick - *message;
        assert!(apart + Duration::from_millis(60) >= INTERVAL, "a tick {apart:?} after a message");
    }
}

#[test]
fn during_retry_where_that_is_asked_for() {
    for during_retry in [false, true] {
        let failed = Arc::new(AtomicBool::new(false));
        let has_failed = Arc::clone(&failed);
        let config = TopicConfig {
            periodic_during_retry: during_retry,
            retry_backoff: Duration::from_secs(4),
            retry_backoff_max: Duration::from_secs(4),
            ..periodic()
        };
        let (app, topic, ticks) = ticking("ticks-retry", config, move |_, _| {
            if has_failed.swap(true, Ordering::SeqCst) { Ok(()) } else { Err(Failure::new("Once", "only")) }
        });
        topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
        wait::until(PATIENCE, "the failure", || failed.load(Ordering::SeqCst));
        let began = Instant::now();
        wait::until(PATIENCE, "a tick after it", || ticks.lock().last().is_some_and(|(at, used)| *used && *at > began));
        let waited = ticks.lock().iter().find(|(at, _)| *at > began).map(|(at, _)| *at - began);
        let waited = waited.expect("a tick was there");
        if during_retry {
            assert!(waited < Duration::from_secs(3), "{waited:?}: it did not wait for the back-off");
        } else {
            assert!(waited > Duration::from_millis(3_900), "{waited:?}: it ticked within the back-off");
        }
        stop(&app);
    }
}

#[test]
fn during_a_pause_unless_it_is_forbidden() {
    for during_pause in [false, true] {
        let config = TopicConfig { periodic_during_pause: Some(during_pause), ..periodic() };
        let paused = Arc::new(Mutex::new(None));
        let at = Arc::clone(&paused);
        let (app, topic, ticks) = ticking("ticks-pause", config, move |batch, context| {
            if at.lock().is_none() {
                assert!(context.mark_as_consumed(&batch.get(0).expect("a record")));
                assert!(context.pause(Some(Duration::from_secs(4))));
                *at.lock() = Some(Instant::now());
            }
            Ok(())
        });
        topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
        wait::until(PATIENCE, "the pause", || paused.lock().is_some());
        let began = paused.lock().expect("it paused");
        wait::until(PATIENCE, "a tick after it", || ticks.lock().last().is_some_and(|(at, _)| *at > began));
        let waited = ticks.lock().iter().find(|(at, _)| *at > began).map(|(at, _)| *at - began).expect("there was one");
        assert_eq!(waited < Duration::from_secs(3), during_pause, "{waited:?}");
        stop(&app);
    }
}

#[test]
fn never_beside_a_long_job() {
    let (began, ended) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let (at_first, at_last) = (Arc::clone(&began), Arc::clone(&ended));
    let config = TopicConfig { long_running_job: true, ..periodic() };
    let (app, topic, ticks) = ticking("ticks-long", config, move |_, _| {
        *at_first.lock() = Some(Instant::now());
        std::thread::sleep(6 * INTERVAL);
        *at_last.lock() = Some(Instant::now());
        Ok(())
    });
    topics::produce(broker::shared(), &topic, &[Record::plain("x").to(0)]);
    wait::until(PATIENCE, "the long job done", || ended.lock().is_some());
    let (began, ended) = (began.lock().expect("it began"), ended.lock().expect("it ended"));
    wait::until(PATIENCE, "a tick after it", || ticks.lock().last().is_some_and(|(at, _)| *at > ended));
    assert!(!ticks.lock().iter().any(|(at, _)| *at > began && *at < ended), "a tick beside the job");
    stop(&app);
}
