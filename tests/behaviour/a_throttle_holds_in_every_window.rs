//! Acceptance 47: no sliding window of `throttle_interval` sees more records of a partition begin than `throttle_limit`, retries
//! counted, while calls run longer than the interval; a partition that comes to another member begins with an empty window.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LIMIT: usize = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval as a handler sees it: its first line runs up to 60 ms after its call began in the core, on a busy machine.
const SEEN_INTERVAL: Duration = Duration::from_millis(940);

type Begun = Arc<Mutex<Vec<(Instant, usize)>>>;

fn member(bootstrap: &str, name: &str, topic: &str, begun: &Begun) -> App {
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.to_owned(),
        concurrency: 8,
        commit_interval: Duration::from_millis(100),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let begun = Arc::clone(begun);
    let handler = handler_fn(move |batch, context| {
        begun.lock().unwrap().push((Instant::now(), batch.len()));
        if batch.first_offset() % 7 == 0 {
            // Longer than the interval: others must not wait for it.
            std::thread::sleep(INTERVAL + INTERVAL / 2);
        }
        if batch.first_offset() % 5 == 0 && context.attempt() == 1 {
            return Err(Failure::new("Once", "every fifth fails once"));
        }
        Ok(())
    });
    let config = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        throttle_limit: LIMIT as u32,
        throttle_interval: INTERVAL,
        retry_backoff: Duration::from_millis(50),
        max_messages: 3,
        ..TopicConfig::default()
    };
    app.topic(topic, config, handler).unwrap();
    app.start().unwrap();
    app
}

/// How many records began, and the most of them in one window.
fn most(begun: &Begun) -> (usize, usize) {
    let begun = begun.lock().unwrap();
    let window = |from: Instant| {
        let inside = |&&(at, _): &&(Instant, usize)| at >= from && at < from + SEEN_INTERVAL;
        begun.iter().filter(inside).map(|(_, count)| count).sum()
    };
    let sum = begun.iter().map(|(_, count)| count).sum();
    (sum, begun.iter().map(|(at, _)| window(*at)).max().unwrap_or_default())
}

#[test]
fn a_throttle_holds_in_every_window() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let name = topics::unique("throttle");
    let records: Vec<Record> = (0..60).map(|number| Record::keyed(number.to_string(), number.to_string())).collect();
    topics::produce(bootstrap, &topic, &records);
    let (first, second) = (Begun::default(), Begun::default());
    let app = member(bootstrap, &name, &topic, &first);
    wait::until(PATIENCE, "three windows", || most(&first).0 >= 3 * LIMIT);
    stop(&app);
    let stopped = Instant::now();
    let app = member(bootstrap, &name, &topic, &second);
    wait::until(PATIENCE, "everything handled and committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    for begun in [&first, &second] {
        let (sum, most) = most(begun);
        assert!(most <= LIMIT, "{most} of {sum} in one window: {:?}", begun.lock().unwrap());
    }
    assert!(second.lock().unwrap()[0].0 > stopped && most(&second).0 >= LIMIT);
}
