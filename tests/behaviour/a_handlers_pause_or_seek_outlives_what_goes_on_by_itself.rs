//! Acceptance 44: what a handler asks of its partition survives what goes on by itself. A pause outlives the end of a long job, the
//! back-off of its failure, and the messages that are fetched meanwhile; a seek takes the place of the retry of what failed.

use crate::support::{PATIENCE, quick, stop};
use karafka::{App, Batch, Context, Failure, SeekTo, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: i64 = 2_000;
const PAUSE: Duration = Duration::from_secs(3);

/// When a call began, its first offset, and its attempt.
type Calls = Arc<Mutex<Vec<(Instant, i64, u32)>>>;

struct Reading {
    app: App,
    group: String,
    topic: String,
    calls: Calls,
}

/// An app whose first call does `first` within a long job; every other one succeeds.
fn reading(name: &str, first: impl Fn(&Context) -> Result<(), Failure> + Send + Sync + 'static) -> Reading {
    let bootstrap = broker::shared();
    let (topic, group) = (topics::create(bootstrap, 1), topics::unique(name));
    produce(&topic, RECORDS);
    let (app, calls) = (App::new(quick(bootstrap, &group)).unwrap(), Calls::default());
    let seen = Arc::clone(&calls);
    let handler = handler_fn(move |batch: &Batch, context: &Context| {
        let is_first = {
            let mut seen = seen.lock();
            seen.push((Instant::now(), batch.first_offset(), context.attempt()));
            seen.len() == 1
        };
        if is_first { first(context) } else { Ok(()) }
    });
    let config = TopicConfig {
        long_running_job: true,
        max_messages: 10,
        retry_backoff: Duration::from_millis(100),
        ..TopicConfig::default()
    };
    app.topic(&topic, config, handler).unwrap();
    app.start().unwrap();
    Reading { app, group, topic, calls }
}

fn produce(topic: &str, count: i64) {
    let records: Vec<_> = (0..count).map(|_| Record::plain("x".repeat(500)).to(0)).collect();
    topics::produce(broker::shared(), topic, &records);
}

impl Reading {
    fn wait_calls(&self, count: usize) -> Vec<(Instant, i64, u32)> {
        wait::until(PATIENCE, "the calls", || self.calls.lock().len() >= count);
        self.calls.lock().clone()
    }

    fn ends_at_the_end(&self) {
        wait::until(PATIENCE, "all of it committed", || group::lag(broker::shared(), &self.group, &self.topic) == 0);
        stop(&self.app);
    }
}

/// Long enough for what is fetched to fill what is held in memory, and for librdkafka to be told to stop.
fn work() {
    std::thread::sleep(Duration::from_millis(500));
}

#[test]
fn a_pause_outlives_the_job_and_its_failure() {
    for fails in [false, true] {
        let reading = reading("outlives", move |context| {
            assert!(context.pause(Some(PAUSE)));
            work();
            if fails { Err(Failure::new("Once", "only")) } else { Ok(()) }
        });
        reading.wait_calls(1);
        produce(&reading.topic, RECORDS);
        let calls = reading.wait_calls(2);
        let waited = calls[1].0 - calls[0].0;
        assert!(waited >= PAUSE, "{waited:?}: the pause was over before its time");
        assert_eq!(calls[1].1, 0, "what was not marked comes again, first of all");
        reading.ends_at_the_end();
    }
}

#[test]
fn a_pause_without_an_end_lasts_until_it_is_ended() {
    let kept: Arc<Mutex<Option<Context>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let reading = reading("endless", move |context| {
        assert!(context.pause(None));
        *keep.lock() = Some(context.clone());
        work();
        Err(Failure::new("Once", "only"))
    });
    let began = reading.wait_calls(1)[0].0;
    while began.elapsed() < PAUSE {
        produce(&reading.topic, 200);
        assert_eq!(reading.calls.lock().len(), 1, "something ended the pause");
    }
    let context = kept.lock().take().expect("the call has begun");
    assert!(context.resume());
    assert_eq!(reading.wait_calls(2)[1].1, 0);
    reading.ends_at_the_end();
}

#[test]
fn a_seek_takes_the_place_of_a_retry() {
    let target = 1_500;
    let reading = reading("moves", move |context| {
        assert!(context.seek(SeekTo::Offset(target), PATIENCE).unwrap());
        work();
        Err(Failure::new("Once", "only"))
    });
    let calls = reading.wait_calls(2);
    assert_eq!((calls[1].1, calls[1].2), (target, 1), "the failure of before the seek counts no more");
    reading.ends_at_the_end();
    let calls = reading.calls.lock();
    assert!(calls[1..].iter().all(|(_, offset, _)| *offset >= target), "{calls:?}");
}
