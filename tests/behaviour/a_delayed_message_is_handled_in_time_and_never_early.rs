//! Acceptance 46: the age of a record at its handling is never below `delay_by`; partitions of another topic go on meanwhile; and
//! both hold over a rebalance. Late it is by little: an ordinary record by less than 100 ms.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const DELAY: Duration = Duration::from_secs(3);

/// Milliseconds between the timestamps of records and their handling.
type Ages = Arc<Mutex<Vec<i64>>>;

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
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
            let age = |message: karafka::Message<'_>| now - message.timestamp().unwrap().milliseconds;
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
    let records = |from: usize| -> Vec<Record> {
        (from..from + 40).map(|number| Record::keyed(number.to_string(), number.to_string())).collect()
    };
    topics::produce(bootstrap, &slow, &records(0));
    topics::produce(bootstrap, &fast, &records(0));
    wait::until(PATIENCE, "the other topic's records", || count(&prompt) == 41);
    assert_eq!(count(&late), 0, "the delayed records wait still");
    wait::until(PATIENCE, "the delayed records", || count(&late) == 40);
    let mut lateness: Vec<i64> = late.lock().unwrap().iter().map(|age| age - DELAY.as_millis() as i64).collect();
    lateness.sort_unstable();
    assert!(lateness[20] < 100, "half of them are later than {} ms", lateness[20]);
    // Half of the partitions go to another member while records wait in them.
    topics::produce(bootstrap, &slow, &records(40));
    let second = member(bootstrap, &name, both);
    topics::produce(bootstrap, &slow, &records(80));
    wait::until(PATIENCE, "everything handled and committed", || {
        count(&late) >= 120 && group::lag(bootstrap, &name, &slow) == 0
    });
    let youngest = late.lock().unwrap().iter().copied().min().unwrap();
    assert!(youngest >= DELAY.as_millis() as i64, "one was handled {youngest} ms after it was made");
    stop(&first);
    stop(&second);
}
