//! Acceptance scenarios 33, 34, 35 and 38: three virtual partitions of one partition fail, one of them after it has marked a
//! prefix. Each is tried by itself, with attempts of its own; the commit stays at the first message that is not done, with the
//! marks of all that is done beyond; after a restart exactly the unmarked ones come again, in order; and the mark of offset 0,
//! which comes last, moves the commit to the end. Theirs collapses to one consumer; ours does not, and needs no seek and no
//! refetch.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Of each key: offset and attempt of the messages of its calls, in order.
type Tried = Arc<Mutex<BTreeMap<Vec<u8>, Vec<(i64, u32)>>>>;

/// Marks `good` as a whole and what of `half` lies before its middle, and fails at the rest; where it `heals`, all is good.
fn member(name: &str, topic: &str, heals: bool, tried: &Tried, seen: &Arc<Seen>) -> App {
    let (tried, seen) = (Arc::clone(tried), Arc::clone(seen));
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            let key = message.key().unwrap();
            seen.began(place(&message), Some(key));
            tried.lock().entry(key.to_vec()).or_default().push((message.offset(), message.attempt()));
            let is_good = match key {
                b"good" => true,
                b"half" => message.payload() == Some(b"first"),
                _ => false,
            };
            if !is_good && !heals {
                seen.failed(place(&message));
                return Err(Failure::new("NotYet", "in the next life"));
            }
            seen.finished(place(&message));
            // The last of the first half marks all of it.
            assert!(context.mark_as_consumed(&message));
        }
        Ok(())
    });
    let app = App::new(quick(broker::shared(), name)).unwrap();
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        manual_offset_management: true,
        retry_backoff: Duration::from_millis(20),
        retry_backoff_max: Duration::from_millis(40),
        ..TopicConfig::default()
    };
    app.topic(topic, options, handler).unwrap();
    app.start().unwrap();
    app
}

#[test]
fn what_was_marked_beside_a_failure_does_not_come_again() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("beside"));
    let mut records = Vec::new();
    for round in 0..10 {
        let half = if round < 5 { "first" } else { "second" };
        // Offset 0 is of a key that fails.
        records.extend([Record::keyed("bad", "x"), Record::keyed("half", half), Record::keyed("good", "x")]);
        records.push(Record::keyed("worse", "x"));
    }
    let produced = topics::produce(bootstrap, &topic, &records);
    let (first, seen) = (Tried::default(), Arc::new(Seen::new()));
    let app = member(&name, &topic, false, &first, &seen);
    let attempts = |key: &str| first.lock().get(key.as_bytes()).map_or(0, Vec::len);
    wait::until(PATIENCE, "three attempts at each that fails", || {
        attempts("bad") >= 3 && attempts("worse") >= 3 && attempts("half") >= 5 + 3
    });
    let marked = |offset: i64| offset % 4 == 2 || (offset % 4 == 1 && offset < 20);
    wait::until(PATIENCE, "the marks beyond the commit", || {
        commits::all(bootstrap, &name).last().is_some_and(|commit| {
            let marks = commit.marks();
            commit.offset == 0 && (0..40).all(|offset| marks.contains(offset) == marked(offset))
        })
    });
    stop(&app);
    for (key, blocked) in [("bad", 0), ("worse", 3), ("half", 21)] {
        let first = first.lock();
        let at: Vec<u32> = first[key.as_bytes()]
            .iter()
            .filter(|(offset, _)| *offset == blocked)
            .map(|(_, attempt)| *attempt)
            .collect();
        assert_eq!(at, (1..=at.len() as u32).collect::<Vec<_>>(), "{key} counts by itself");
        let beyond = first[key.as_bytes()].iter().any(|(offset, _)| *offset > blocked);
        assert!(!beyond, "nothing of {key} was begun behind the one that fails");
    }

    let again = Tried::default();
    let app = member(&name, &topic, true, &again, &seen);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let unmarked =
        |part: i64| (0..40).filter(|offset| offset % 4 == part && !marked(*offset)).map(|at| (at, 1)).collect();
    let expected: BTreeMap<Vec<u8>, Vec<(i64, u32)>> =
        [("bad", unmarked(0)), ("half", unmarked(1)), ("worse", unmarked(3))]
            .map(|(key, offsets)| (key.as_bytes().to_vec(), offsets))
            .into();
    assert_eq!(*again.lock(), expected, "exactly what was not marked, in order, counted anew");
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}
