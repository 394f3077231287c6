//! Acceptance scenario 39: a partitioner that panics is told, once for what it was asked about, and all of that goes to one
//! virtual partition, in order; everything is handled once and committed. So too when what it says is nothing.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Event, Failure, Message, NoEvent, TopicConfig, VirtualPartitions, partitioned_handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_partitioner_that_fails_loses_nothing() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("partitioner"));
    // All have one key for the judge: what the partitioner could not spread stays in order.
    let records: Vec<_> = (0..200).map(|number| Record::keyed("one", number.to_string())).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let (seen, parts) = (Arc::new(Seen::new()), Arc::new(parking_lot::Mutex::new(BTreeSet::new())));
    let asked = Arc::new(AtomicUsize::new(0));
    let (here, found) = (Arc::clone(&seen), Arc::clone(&parts));
    let count = Arc::clone(&asked);
    let handler = partitioned_handler_fn(
        move |_: Message<'_>| -> Vec<u8> {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("the partitioner of this test always panics")
        },
        move |batch, _| {
            found.lock().extend(batch.groups().iter().map(|group| group.virtual_partition));
            for message in batch.iter() {
                here.began(place(&message), message.key());
                here.finished(place(&message));
            }
            Ok::<(), Failure>(())
        },
    );
    let app = App::new(quick(bootstrap, &name)).unwrap();
    let options = TopicConfig { virtual_partitions: VirtualPartitions::Callback, ..TopicConfig::default() };
    app.topic(&topic, options, handler).unwrap();
    let events = app.events();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    assert_eq!(parts.lock().len(), 1, "one virtual partition: {:?}", parts.lock());
    let mut told = 0;
    loop {
        match events.next(Duration::from_secs(5)) {
            Ok(Event::Warning { message }) if message.contains("partitioner failed") => told += 1,
            Ok(_) => {}
            Err(NoEvent::Ended) => break,
            Err(NoEvent::Timeout) => panic!("the events of a stopped app end"),
        }
    }
    // It panics at the first record it is asked about, each time it is asked.
    assert_eq!(told, asked.load(Ordering::SeqCst), "each failure is told once");
}
