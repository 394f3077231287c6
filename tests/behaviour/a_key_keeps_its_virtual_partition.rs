//! Acceptance scenarios 31, 39, 40 and 41: with a fixed number of virtual partitions a key has one and the same over hundreds of
//! calls and a restart; all of them run, each in order; keys that are empty, binary, very long or missing are as good as others;
//! and the group's offset ends where the log does. The hash is documented, so that the numbers hold for later versions too.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const RECORDS: usize = 3_000;
const PARTS: u32 = 8;

/// Of each key: its virtual partitions. Of each partition and virtual partition: the offsets in the order of their begin.
#[derive(Default)]
struct Spread {
    of_key: Mutex<BTreeMap<Option<Vec<u8>>, BTreeSet<u64>>>,
    order: Mutex<BTreeMap<(i32, u64), Vec<i64>>>,
    calls: AtomicUsize,
}

fn keys() -> Vec<Option<Vec<u8>>> {
    let odd = [Vec::new(), vec![0], vec![0xff, 0xfe, 0x00], b"\n\t;".to_vec(), vec![b'x'; 10_000]];
    let usual = (0..40).map(|number| format!("key-{number}").into_bytes());
    std::iter::once(None).chain(odd.into_iter().chain(usual).map(Some)).collect()
}

fn member(
    name: &str,
    topic: &str,
    virtual_partitions: VirtualPartitions,
    spread: &Arc<Spread>,
    seen: &Arc<Seen>,
) -> App {
    let (spread, seen) = (Arc::clone(spread), Arc::clone(seen));
    let handler = handler_fn(move |batch, _| {
        spread.calls.fetch_add(1, Ordering::SeqCst);
        for group in batch.groups() {
            for message in batch.iter().skip(group.start).take(group.len) {
                seen.began(place(&message), message.key());
                let key = message.key().map(<[u8]>::to_vec);
                spread.of_key.lock().entry(key).or_default().insert(group.virtual_partition);
                let part = (message.partition(), group.virtual_partition);
                spread.order.lock().entry(part).or_default().push(message.offset());
                seen.finished(place(&message));
            }
        }
        Ok::<(), Failure>(())
    });
    let app = App::new(quick(broker::shared(), name)).unwrap();
    let options = TopicConfig { virtual_partitions, max_messages: 10, ..TopicConfig::default() };
    app.topic(topic, options, handler).unwrap();
    app.start().unwrap();
    app
}

fn keep(virtual_partitions: VirtualPartitions) -> Arc<Spread> {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique("keeps"));
    let keys = keys();
    let record = |number: usize| Record {
        key: keys[number % keys.len()].clone(),
        partition: Some((number % 2) as i32),
        ..Record::plain("x")
    };
    let (spread, seen) = (Arc::new(Spread::default()), Arc::new(Seen::new()));
    let mut produced = topics::produce(bootstrap, &topic, &(0..RECORDS).map(record).collect::<Vec<_>>());
    let first = member(&name, &topic, virtual_partitions, &spread, &seen);
    wait::until(PATIENCE, "the first half", || seen.finished_count() >= RECORDS);
    stop(&first);
    produced.extend(topics::produce(bootstrap, &topic, &(0..RECORDS).map(record).collect::<Vec<_>>()));
    let second = member(&name, &topic, virtual_partitions, &spread, &seen);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&second);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    spread
}

#[test]
fn of_a_fixed_number() {
    let spread = keep(VirtualPartitions::Fixed(PARTS));
    let of_key = spread.of_key.lock();
    for (key, parts) in of_key.iter().filter(|(key, _)| key.is_some()) {
        assert!(parts.len() == 1 && parts.iter().all(|part| *part < u64::from(PARTS)), "{key:?} had {parts:?}");
    }
    let used: BTreeSet<u64> = of_key.values().flatten().copied().collect();
    assert_eq!(used.len(), PARTS as usize, "all of them run");
    assert!(spread.calls.load(Ordering::SeqCst) >= 200, "many calls");
    for ((partition, part), offsets) in spread.order.lock().iter() {
        assert!(offsets.is_sorted(), "virtual partition {part} of partition {partition} was not in order");
    }
}

#[test]
fn of_its_own() {
    let spread = keep(VirtualPartitions::ByKey);
    let of_key = spread.of_key.lock();
    let mut owners = BTreeMap::new();
    for (key, parts) in of_key.iter().filter(|(key, _)| key.is_some()) {
        assert_eq!(parts.len(), 1, "{key:?} had {parts:?}");
        assert_eq!(owners.insert(parts.first(), key), None, "no two keys share one");
    }
}
