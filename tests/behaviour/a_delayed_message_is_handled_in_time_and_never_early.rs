//! Acceptance 46: the age of a record at its handling is never below `delay_by`; partitions of another topic go on meanwhile; and
//! both hold over a rebalance. Late it is by little: each record by less than 100 ms beyond what the machine adds. That is
//! measured beside it, by a thread that asks to be woken every 10 ms and notes how late it is. The broker adds nothing: what is
//! delayed by seconds was fetched long before.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

const DELAY: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(10);

/// Most hops from thread to thread between a record's time and its handler: the poller wakes, then the worker.
const HOPS: i64 = 2;

/// Milliseconds between the timestamps of records and their handling, and the time of the latter.
type Ages = Arc<Mutex<Vec<(i64, i64)>>>;

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// How late the machine wakes threads.
struct Metronome {
    ended: Arc<AtomicBool>,
    /// When a tick came, and how late it was.
    ticks: JoinHandle<Vec<(i64, i64)>>,
}

impl Metronome {
    fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ended);
        let ticks = thread::spawn(move || {
            let mut ticks = Vec::new();
            while !ends.load(Ordering::SeqCst) {
                let due = Instant::now() + TICK;
                thread::sleep(TICK);
                ticks.push((now(), due.elapsed().as_millis() as i64));
            }
            ticks
        });
        Self { ended, ticks }
    }

    /// How late the latest tick was of those that were waited for at some time from `from` to `to`.
    fn end(self) -> impl Fn(i64, i64) -> i64 {
        self.ended.store(true, Ordering::SeqCst);
        let ticks = self.ticks.join().unwrap();
        move |from, to| {
            let during = |(came, late): &&(i64, i64)| *came >= from && came - late <= to;
            ticks.iter().filter(during).map(|(_, late)| *late).max().unwrap_or_default()
        }
    }
}

fn member(bootstrap: &str, name: &str, topics: [(&str, Duration, &Ages); 2]) -> App {
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.to_owned(),
        commit_interval: Duration::from_millis(100),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    for (topic, delay_by, ages) in topics {
        let ages = Arc::clone(ages);
        let handler = handler_fn(move |batch, _| {
            let now = now();
            let age = |message: karafka::Message<'_>| (now - message.timestamp().unwrap().milliseconds, now);
            ages.lock().unwrap().extend(batch.iter().map(age));
            Ok::<(), Failure>(())
        });
        app.topic(topic, TopicConfig { delay_by, ..TopicConfig::default() }, handler).unwrap();
    }
    app.start().unwrap();
    app
}

#[test]
fn a_delayed_message_is_handled_in_time_and_never_early() {
    let bootstrap = broker::shared();
    let (slow, fast) = (topics::create(bootstrap, 2), topics::create(bootstrap, 2));
    let (name, late, prompt) = (topics::unique("delay"), Ages::default(), Ages::default());
    let both = [(slow.as_str(), DELAY, &late), (fast.as_str(), Duration::ZERO, &prompt)];
    let first = member(bootstrap, &name, both);
    let count = |ages: &Ages| ages.lock().unwrap().len();
    topics::produce(bootstrap, &fast, &[Record::keyed("warm", "up")]);
    wait::until(PATIENCE, "the group to have met", || count(&prompt) == 1);
    let metronome = Metronome::start();
    let records = |from: usize| -> Vec<Record> {
        (from..from + 40).map(|number| Record::keyed(number.to_string(), number.to_string())).collect()
    };
    topics::produce(bootstrap, &slow, &records(0));
    topics::produce(bootstrap, &fast, &records(0));
    wait::until(PATIENCE, "the other topic's records", || count(&prompt) == 41);
    assert_eq!(count(&late), 0, "the delayed records wait still");
    wait::until(PATIENCE, "the delayed records", || count(&late) == 40);
    let machine = metronome.end();
    for &(age, handled) in late.lock().unwrap().iter() {
        let late = age - DELAY.as_millis() as i64;
        let added = HOPS * machine(handled - late, handled);
        assert!(late < 100 + added, "one was {late} ms late, of which the machine added up to {added} ms");
    }
    // Half of the partitions go to another member while records wait in them.
    topics::produce(bootstrap, &slow, &records(40));
    let second = member(bootstrap, &name, both);
    topics::produce(bootstrap, &slow, &records(80));
    wait::until(PATIENCE, "everything handled and committed", || {
        count(&late) >= 120 && group::lag(bootstrap, &name, &slow) == 0
    });
    let youngest = late.lock().unwrap().iter().map(|(age, _)| *age).min().unwrap();
    assert!(youngest >= DELAY.as_millis() as i64, "one was handled {youngest} ms after it was made");
    stop(&first);
    stop(&second);
}
