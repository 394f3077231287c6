//! Acceptance scenario 32, which asks for groups of keys of about the same size: ours has no groups. A key is a virtual partition
//! of its own while it has messages, so however uneven keys are, no seat stands idle while a key waits that nobody works on, and
//! a key is never split.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::{Record as Seen, Span};
use libkarafka_tests::topics::{self, Message, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SEATS: usize = 4;

/// Nanoseconds between the first begin and the last end, and of these how long a seat was idle beside a key that waited,
/// summed up over the seats.
fn idleness(produced: &[Message], spans: &[Span]) -> (u64, u64) {
    let mut times: Vec<(u64, &[u8], bool)> = Vec::new();
    for span in spans {
        let key = span.key.as_deref().unwrap();
        times.push((span.began, key, true));
        times.push((span.ended.unwrap(), key, false));
    }
    // An end before the begin that follows it at the same moment.
    times.sort_by_key(|(at, _, begins)| (*at, *begins));
    let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
    for message in produced {
        *left.entry(message.key.as_deref().unwrap()).or_default() += 1;
    }
    let (mut running, mut idle): (Vec<&[u8]>, u64) = (Vec::new(), 0);
    for pair in times.windows(2) {
        let (at, key, begins) = pair[0];
        if begins {
            running.push(key);
            *left.get_mut(key).unwrap() -= 1;
        } else {
            running.retain(|other| *other != key);
        }
        let waiting = left.iter().filter(|(key, left)| **left > 0 && !running.contains(key)).count();
        idle += (pair[1].0 - at) * SEATS.saturating_sub(running.len()).min(waiting) as u64;
    }
    (times.last().unwrap().0 - times[0].0, idle)
}

#[test]
fn no_seat_is_idle_while_a_key_waits() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("uneven"));
    // Of 12 keys one has a quarter of all messages, and two have another quarter.
    let sizes = [60, 30, 30, 15, 15, 15, 15, 12, 12, 12, 12, 12];
    let records: Vec<_> = (0..60)
        .flat_map(|number| sizes.iter().enumerate().filter(move |(_, size)| number < **size))
        .map(|(key, _)| Record::keyed(format!("key-{key}"), "x"))
        .collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let seen = Arc::new(Seen::new());
    let here = Arc::clone(&seen);
    let handler = handler_fn(move |batch, _| {
        for message in batch.iter() {
            here.began(place(&message), message.key());
            std::thread::sleep(Duration::from_millis(50));
            here.finished(place(&message));
        }
        Ok::<(), Failure>(())
    });
    let app = App::new(AppConfig { concurrency: SEATS as u32, ..quick(bootstrap, &name) }).unwrap();
    let options =
        TopicConfig { virtual_partitions: VirtualPartitions::ByKey, max_messages: 5, ..TopicConfig::default() };
    app.topic(&topic, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    let (all, idle) = idleness(&produced, &spans);
    let share = idle as f64 / (all * SEATS as u64) as f64;
    // What lies between two calls of a seat, on a machine with other work; a static hash of keys leaves 20 to 50 %.
    assert!(share < 0.15, "{:.1} % of the seats' time was idle beside keys that waited", share * 100.0);
}
