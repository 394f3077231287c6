//! Acceptance scenarios 16 and 37, which ours answers in another way: there is no collapse; with `retry_bisect` a failed call is searched for
//! its culprit by halves. Two searches of one partition go on side by side, each in its virtual partition; they die with the ownership,
//! so that the heir begins with whole calls at their first attempt; and nothing is lost or done twice by it.

use crate::support::{COOPERATIVE, PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Batch, Context, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Of each key in each partition.
const RECORDS: usize = 40;
/// A search is well on its way when a call with the culprit has at most so many records.
const FEW: usize = 3;

/// Member, partition, virtual partition, attempt, records, and whether the culprit was among them.
type Call = (usize, i32, u64, u32, usize, bool);

struct Group<'a> {
    topic: &'a str,
    name: &'a str,
    calls: Arc<Mutex<Vec<Call>>>,
    seen: Arc<Seen>,
    is_mended: Arc<AtomicBool>,
}

impl Group<'_> {
    /// A member whose call fails as a whole when it has a culprit, without a word about which record it was.
    fn member(&self, number: usize) -> App {
        let mut config = AppConfig { concurrency: 4, ..quick(broker::shared(), self.name) };
        COOPERATIVE(&mut config);
        let app = App::new(config).unwrap();
        let (calls, seen, is_mended) = (Arc::clone(&self.calls), Arc::clone(&self.seen), Arc::clone(&self.is_mended));
        let handle = handler_fn(move |batch: &Batch, context: &Context| {
            let is_bad = batch.iter().any(|message| message.payload() == Some(b"bad"));
            let part = batch.groups().first().map_or(0, |group| group.virtual_partition);
            calls.lock().push((number, batch.partition(), part, context.attempt(), batch.len(), is_bad));
            if is_bad && !is_mended.load(Ordering::SeqCst) {
                return Err(Failure::new("Bad", "one of them"));
            }
            for message in batch.iter() {
                seen.began(place(&message), message.key());
                seen.finished(place(&message));
            }
            Ok(())
        });
        let options = TopicConfig {
            virtual_partitions: VirtualPartitions::ByKey,

            max_messages: 100,
            linger: Duration::from_millis(300),
            retry_bisect: true,
            retry_backoff: Duration::from_millis(20),
            retry_backoff_max: Duration::from_millis(100),
            ..TopicConfig::default()
        };
        app.topic(self.topic, options, handle).unwrap();
        app.start().unwrap();
        app
    }

    /// The partitions and virtual partitions of which a member has had a call that fits.
    fn parts(&self, number: usize, fits: impl Fn(&Call) -> bool) -> BTreeSet<(i32, u64)> {
        let calls = self.calls.lock();
        calls.iter().filter(|call| call.0 == number && fits(call)).map(|call| (call.1, call.2)).collect()
    }
}

#[test]
fn and_the_heir_begins_anew() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique("searches"));
    // Two keys in both partitions, each with a culprit in its middle.
    let record = |number: usize| {
        let payload = if number / 4 == RECORDS / 2 { "bad" } else { "good" };
        Record::keyed(["a", "b"][number / 2 % 2], payload).to((number % 2) as i32)
    };
    let records: Vec<_> = (0..4 * RECORDS).map(record).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let searched = Group {
        topic: &topic,
        name: &name,
        calls: Arc::default(),
        seen: Arc::new(Seen::new()),
        is_mended: Arc::default(),
    };
    let first = searched.member(1);
    let is_found = |call: &Call| call.5 && call.4 <= FEW;
    wait::until(PATIENCE, "all searches on their way", || searched.parts(1, is_found).len() == 4);
    let second = searched.member(2);
    wait::until(PATIENCE, "those of the heir", || searched.parts(2, is_found).len() == 2);
    searched.is_mended.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&first);
    stop(&second);

    let calls = searched.calls.lock();
    let parts: BTreeSet<_> = calls.iter().map(|call| (call.1, call.2)).collect();
    assert_eq!(parts.len(), 4);
    for (partition, part) in parts {
        let of = |member: usize| calls.iter().find(move |call| (call.0, call.1, call.2) == (member, partition, part));
        for began in [of(1), of(2)].into_iter().flatten() {
            let (.., attempt, records, is_bad) = *began;
            assert!(attempt == 1 && is_bad && records > FEW, "a search went on in another ownership: {began:?}");
        }
    }
    let spans = searched.seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}
