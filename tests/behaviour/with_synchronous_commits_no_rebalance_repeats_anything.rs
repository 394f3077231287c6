//! Acceptance scenario 13: handlers that commit each message before the next one repeat nothing and jump nothing over rebalances, also
//! where the partition is taken away in the midst of a call (`long_running_job`): a commit that is refused ends the call, and
//! the heir begins with that message. Without synchronous commits order inside an ownership holds all the same
//! (`members_that_come_go_and_die_lose_nothing`), but what was finished since the last commit comes again after a crash.

use crate::support::{BY_THE_BROKER, COOPERATIVE, EAGER, PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const EACH: i64 = 250;
const PARTITIONS: i32 = 3;
const ROUNDS: usize = 3;

/// What was committed by a handler, in order: partition and offset.
type Committed = Arc<Mutex<Vec<(i32, i64)>>>;

fn member(config: &AppConfig, topic: &str, committed: &Committed, seen: &Arc<Seen>, refused: &Arc<AtomicUsize>) -> App {
    let (committed, seen, refused) = (Arc::clone(committed), Arc::clone(seen), Arc::clone(refused));
    let handler = handler_fn(move |batch, context| {
        for message in batch.iter() {
            seen.began(place(&message), message.key());
            std::thread::sleep(Duration::from_millis(5));
            // Before the commit, as its time must not be later than the broker's.
            seen.finished(place(&message));
            if !context.mark_as_consumed_and_commit(&message, PATIENCE).unwrap() {
                refused.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            committed.lock().push((message.partition(), message.offset()));
        }
        Ok::<(), Failure>(())
    });
    let options = TopicConfig { manual_offset_management: true, long_running_job: true, ..TopicConfig::default() };
    let app = App::new(config.clone()).unwrap();
    app.topic(topic, options, handler).unwrap();
    app.start().unwrap();
    app
}

fn commit_each(name: &str, protocol: fn(&mut AppConfig)) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, PARTITIONS), topics::unique(name));
    let records: Vec<_> = (0..PARTITIONS * EACH as i32)
        .map(|number| Record::keyed(format!("key-{}", number % PARTITIONS), "x").to(number % PARTITIONS))
        .collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let (committed, seen, refused) = (Committed::default(), Arc::new(Seen::new()), Arc::default());
    let mut config = quick(bootstrap, &name);
    // Nothing but what handlers commit, and the last commit of a partition that goes.
    config.commit_interval = Duration::from_secs(3600);
    protocol(&mut config);
    let first = member(&config, &topic, &committed, &seen, &refused);
    let mut count = 0;
    for _ in 0..ROUNDS {
        count += 20;
        wait::until(PATIENCE, "the members at work", || committed.lock().len() >= count);
        let other = member(&config, &topic, &committed, &seen, &refused);
        count = committed.lock().len() + 20;
        wait::until(PATIENCE, "more committed", || committed.lock().len() >= count);
        stop(&other);
        count = committed.lock().len();
    }
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&first);

    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for &(partition, offset) in committed.lock().iter() {
        let expected = next.entry(partition).or_default();
        assert_eq!(offset, *expected, "partition {partition}");
        *expected += 1;
    }
    assert!(next.len() == PARTITIONS as usize && next.values().all(|next| *next == EACH), "{next:?}");
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    // A message whose commit was refused is the only one that its heir may see again.
    let again = spans.len() - produced.len();
    assert!(again <= refused.load(Ordering::SeqCst), "{again} came again, {refused:?} were refused");
}

#[test]
fn by_the_cooperative_protocol() {
    commit_each("each-cooperative", COOPERATIVE);
}

#[test]
fn by_the_eager_protocol() {
    commit_each("each-eager", EAGER);
}

#[test]
fn by_the_protocol_of_kip_848() {
    commit_each("each-kip-848", BY_THE_BROKER);
}
