//! Acceptance scenario 56: `unique_by` on a real broker: messages of one value never run at once, over topics, partitions and groups of the process, by
//! key and by what a callback says, while all other values go on; what waits for a value has no seat. A call keeps its value
//! until it ends, also when its partition has gone to another member meanwhile.

use crate::support::{COOPERATIVE, PATIENCE, place, quick, stop};
use karafka::{
    App, AppConfig, Batch, Context, Failure, Message, TopicConfig, UniqueBy, VirtualPartitions, handler_fn,
    unique_handler_fn,
};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const VALUES: usize = 12;

fn one_by_one(unique_by: UniqueBy) -> TopicConfig {
    TopicConfig {
        virtual_partitions: VirtualPartitions::RoundRobin,
        max_messages: 1,
        unique_by,
        ..TopicConfig::default()
    }
}

#[test]
fn over_topics_and_partitions() {
    let bootstrap = broker::shared();
    let [by_key, by_callback] = [3, 3].map(|partitions| topics::create(bootstrap, partitions));
    let name = topics::unique("unique");
    // The same values in all partitions of both topics: as the key of the one, as the payload of the other.
    let value = |number: usize| (number / 3 % VALUES).to_string();
    let keyed = |number: usize| Record::keyed(value(number), "x").to((number % 3) as i32);
    let told = |number: usize| Record::plain(value(number)).to((number % 3) as i32);
    let mut produced = topics::produce(bootstrap, &by_key, &(0..360).map(keyed).collect::<Vec<_>>());
    produced.extend(topics::produce(bootstrap, &by_callback, &(0..360).map(told).collect::<Vec<_>>()));
    let (seen, running) = (Arc::new(Seen::new()), Arc::<Mutex<BTreeSet<Vec<u8>>>>::default());
    let (overlaps, most) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::new(Mutex::new(0)));
    let open = Arc::new(AtomicBool::new(false));
    let app = App::new(AppConfig { concurrency: 6, ..quick(bootstrap, &name) }).unwrap();
    for (topic, by) in [(&by_key, UniqueBy::Key), (&by_callback, UniqueBy::Callback)] {
        let of = move |message: &Message<'_>| {
            let value = if by == UniqueBy::Key { message.key() } else { message.payload() };
            value.unwrap().to_vec()
        };
        let (seen, running, overlaps) = (Arc::clone(&seen), Arc::clone(&running), Arc::clone(&overlaps));
        let (most, open) = (Arc::clone(&most), Arc::clone(&open));
        let handle = move |batch: &Batch, _: &Context| {
            let message = batch.get(0).unwrap();
            let value = of(&message);
            seen.began(place(&message), message.key());
            {
                let mut running = running.lock();
                if !running.insert(value.clone()) {
                    overlaps.lock().push(value.clone());
                }
                let mut most = most.lock();
                *most = running.len().max(*most);
            }
            // The first message of value 7 keeps it until all other values are done.
            while value == b"7" && !open.load(Ordering::SeqCst) {
                thread::park_timeout(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_millis(1));
            running.lock().remove(&value);
            seen.finished(place(&message));
            Ok::<(), Failure>(())
        };
        app.topic(topic, one_by_one(by), unique_handler_fn(move |message: Message<'_>| of(&message), handle)).unwrap();
    }
    app.start().unwrap();
    wait::until(PATIENCE, "all other values", || seen.finished_count() == 720 - 720 / VALUES);
    open.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || {
        [&by_key, &by_callback].iter().all(|topic| group::lag(bootstrap, &name, topic) == 0)
    });
    stop(&app);
    assert!(overlaps.lock().is_empty(), "in two hands: {:?}", overlaps.lock());
    assert!(*most.lock() > 2, "other values run meanwhile");
    let (spans, commits) = (seen.spans(), commits::all(bootstrap, &name));
    oracle::nothing_lost(&produced, &spans);
    oracle::nothing_twice(&spans);
    oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::marks_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
}

#[test]
fn also_of_a_call_whose_partition_was_lost() {
    let bootstrap = broker::shared();
    let [moves, stays] = [2, 1].map(|partitions| topics::create(bootstrap, partitions));
    let (name, other) = (topics::unique("unique-moves"), topics::unique("unique-stays"));
    topics::produce(bootstrap, &moves, &[Record::keyed("a", "x").to(0), Record::keyed("b", "x").to(1)]);
    let (handled, lost) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Option<i32>>>::default());
    let open = Arc::new(AtomicBool::new(false));
    let mut config = AppConfig { concurrency: 6, ..quick(bootstrap, &name) };
    COOPERATIVE(&mut config);
    let first = App::new(config.clone()).unwrap();
    let begun = Arc::<Mutex<BTreeSet<i32>>>::default();
    let (begins, revoked, release) = (Arc::clone(&begun), Arc::clone(&lost), Arc::clone(&open));
    let holds = handler_fn(move |batch: &Batch, context: &Context| {
        begins.lock().insert(batch.partition());
        while !release.load(Ordering::SeqCst) {
            if context.is_revoked() {
                revoked.lock().get_or_insert(batch.partition());
            }
            thread::park_timeout(Duration::from_millis(2));
        }
        Ok::<(), Failure>(())
    });
    let options = TopicConfig { long_running_job: true, ..one_by_one(UniqueBy::Key) };
    first.topic(&moves, options, holds).unwrap();
    let done = Arc::clone(&handled);
    let tells = handler_fn(move |batch: &Batch, _: &Context| {
        let key = batch.get(0).unwrap().key().unwrap();
        done.lock().push(String::from_utf8_lossy(key).into_owned());
        Ok::<(), Failure>(())
    });
    let options = TopicConfig { group: Some(other.clone()), ..one_by_one(UniqueBy::Key) };
    first.topic(&stays, options, tells).unwrap();
    first.start().unwrap();
    wait::until(PATIENCE, "a call of each partition", || begun.lock().len() == 2);
    let second = App::new(config).unwrap();
    second.topic(&moves, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    second.start().unwrap();
    wait::until(PATIENCE, "a lost partition", || lost.lock().is_some());
    let records: Vec<_> = ["a", "b", "c"].into_iter().map(|key| Record::keyed(key, "x")).collect();
    topics::produce(bootstrap, &stays, &records);
    wait::until(PATIENCE, "the value that nobody holds", || handled.lock().contains(&"c".to_owned()));
    // Time for what must not happen.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(*handled.lock(), ["c"], "the lost call and the other one hold the others");
    open.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "all values", || group::lag(bootstrap, &other, &stays) == 0);
    stop(&second);
    stop(&first);
    let mut handled = handled.lock().clone();
    handled.sort();
    assert_eq!(handled, ["a", "b", "c"]);
}
