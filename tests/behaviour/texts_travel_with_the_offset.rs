//! Acceptance scenario 53: texts of the user beside the committed offset, with the core's own marks in the same place. Under
//! `exact` a text is stored when the commit has passed its message, under `current` at once; the next owner reads it; one that is
//! too long is left out as a whole, the marks are not; and who has lost the partition is told so.

use crate::support::{PATIENCE, place, quick, stop, wait_event};
use karafka::{App, Context, Event, Failure, OffsetMetadataStrategy, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::commits::Commit;
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const OTHERS: i64 = 30;

struct Life {
    app: App,
    /// What each call read before it gave its own text, in order, and the last context.
    read: Arc<Mutex<Vec<Option<String>>>>,
    last: Arc<Mutex<Option<Context>>>,
    released: Arc<AtomicBool>,
}

/// Marks each message with the text that `text` makes of its offset; the one with the key `head` waits until it is released.
fn life(
    name: &str,
    topic: &str,
    strategy: OffsetMetadataStrategy,
    seen: &Arc<Seen>,
    text: impl Fn(i64) -> String + Send + Sync + 'static,
) -> Life {
    let (read, released) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicBool::new(false)));
    let last = Arc::<Mutex<Option<Context>>>::default();
    let (reads, keeps, release) = (Arc::clone(&read), Arc::clone(&last), Arc::clone(&released));
    let seen = Arc::clone(seen);
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            seen.began(place(&message), message.key());
            while message.key() == Some(b"head") && !release.load(Ordering::SeqCst) {
                thread::park_timeout(Duration::from_millis(2));
            }
            reads.lock().push(context.offset_metadata());
            seen.finished(place(&message));
            assert!(context.mark_as_consumed_with(&message, &text(message.offset())));
        }
        *keeps.lock() = Some(context.clone());
        Ok::<(), Failure>(())
    });
    let app = App::new(quick(broker::shared(), name)).unwrap();
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        manual_offset_management: true,
        offset_metadata_strategy: strategy,
        ..TopicConfig::default()
    };
    app.topic(topic, options, handler).unwrap();
    Life { app, read, last, released }
}

fn travel(name: &str, strategy: OffsetMetadataStrategy) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique(name));
    let mut records = vec![Record::keyed("head", "x")];
    records.extend((0..OTHERS).map(|number| Record::keyed(format!("key-{number}"), "x")));
    let mut produced = topics::produce(bootstrap, &topic, &records);
    let seen = Arc::new(Seen::new());
    let first = life(&name, &topic, strategy, &seen, |offset| format!("text of {offset}; ü"));
    first.app.start().unwrap();
    let last = || commits::all(bootstrap, &name).into_iter().last();
    let is_marked = |commit: &Commit| (1..=OTHERS).all(|offset| commit.marks().contains(offset));
    wait::until(PATIENCE, "the marks of all others", || last().is_some_and(|commit| is_marked(&commit)));
    let early: Vec<_> = commits::all(bootstrap, &name);
    assert!(early.iter().all(|commit| commit.offset == 0), "the head is not done: {early:?}");
    let texts: Vec<_> = early.iter().filter_map(Commit::user_metadata).collect();
    match strategy {
        OffsetMetadataStrategy::Exact => assert!(texts.is_empty(), "ahead of their offset: {texts:?}"),
        OffsetMetadataStrategy::Current => {
            let newest = texts.last().expect("a text at once");
            assert!(newest.starts_with("text of ") && newest.ends_with("; ü"), "{newest}");
        }
    }
    first.released.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&first.app);
    assert_eq!(first.read.lock()[0].as_deref(), Some(""), "nobody had said anything");
    let context = first.last.lock().take().unwrap();
    assert_eq!((context.offset_metadata(), context.store_offset_metadata("late")), (None, false), "it is lost");
    // The head was the last to be marked, and the first in the log.
    let expected = match strategy {
        OffsetMetadataStrategy::Exact => format!("text of {OTHERS}; ü"),
        OffsetMetadataStrategy::Current => "text of 0; ü".to_owned(),
    };
    let (offset, _) = group::committed(bootstrap, &name, &topic)[&0].clone();
    assert_eq!((offset, last().unwrap().user_metadata()), (OTHERS + 1, Some(expected.clone())));

    // The next owner reads it, and gives one that no broker takes.
    let second = life(&name, &topic, strategy, &seen, |_| "long ".repeat(1_000));
    let events = second.app.events();
    second.app.start().unwrap();
    produced.extend(topics::produce(bootstrap, &topic, &[Record::keyed("head", "x"), Record::keyed("other", "x")]));
    // Under `exact` it is not sent before the head is done.
    second.released.store(strategy == OffsetMetadataStrategy::Exact, Ordering::SeqCst);
    let is_told = |event: &Event| matches!(event, Event::Warning { message } if message.contains("metadata"));
    wait_event(&events, "a text that is too long", is_told);
    wait::until(PATIENCE, "the marks without the text", || {
        let is_said = |commit: Commit| commit.offset > OTHERS + 2 || commit.marks().contains(OTHERS + 2);
        last().is_some_and(is_said)
    });
    second.released.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&second.app);
    assert_eq!(second.read.lock()[0], Some(expected));
    assert_eq!(last().unwrap().user_metadata(), None, "left out, not cut");
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}

#[test]
fn exactly_that_of_the_offset() {
    travel("exact", OffsetMetadataStrategy::Exact);
}

#[test]
fn the_one_given_last() {
    travel("current", OffsetMetadataStrategy::Current);
}
