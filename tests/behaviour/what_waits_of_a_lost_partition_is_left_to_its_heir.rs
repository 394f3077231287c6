//! Acceptance scenarios 2 and 7: of a partition that goes, what was fetched and waits never reaches a handler here; its heir begins
//! where the commit says; and when the partition comes back, it goes on there again: no gap, and nothing twice.

use crate::support::{BY_THE_BROKER, COOPERATIVE, EAGER, PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EACH: i64 = 4_000;
const ROUNDS: usize = 3;

/// Who handled what, in order: the member, then partition and offset.
type Handled = Arc<Mutex<Vec<(usize, i32, i64)>>>;

#[derive(Clone, Default)]
struct Load {
    handled: Handled,
    seen: Arc<Seen>,
    hurries: Arc<AtomicBool>,
}

/// A member whose calls take 20 ms for up to three messages, as long as nobody hurries: thousands wait behind them.
fn member(config: &AppConfig, topic: &str, number: usize, load: &Load) -> App {
    let Load { handled, seen, hurries } = load.clone();
    let handler = handler_fn(move |batch, _| {
        batch.iter().for_each(|message| seen.began(place(&message), message.key()));
        if !hurries.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        for message in batch.iter() {
            seen.finished(place(&message));
            handled.lock().push((number, message.partition(), message.offset()));
        }
        Ok::<(), Failure>(())
    });
    let app = App::new(config.clone()).unwrap();
    app.topic(topic, TopicConfig { max_messages: 3, ..TopicConfig::default() }, handler).unwrap();
    app
}

fn hand_over(name: &str, protocol: fn(&mut AppConfig)) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique(name));
    // Without keys: a call's messages begin together, and order is judged below by the partition.
    let records: Vec<_> = (0..2 * EACH as i32).map(|number| Record::plain("x").to(number % 2)).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let load = Load::default();
    let Load { handled, seen, hurries } = &load;
    let mut config = quick(bootstrap, &name);
    protocol(&mut config);
    let first = member(&config, &topic, 0, &load);
    first.start().unwrap();
    let count = |member: usize| handled.lock().iter().filter(|(of, ..)| *of == member).count();
    wait::until(PATIENCE, "the first at work", || count(0) >= 10);
    for round in 1..=ROUNDS {
        let other = member(&config, &topic, round, &load);
        other.start().unwrap();
        wait::until(PATIENCE, "the heir at work", || count(round) >= 10);
        stop(&other);
        let before = handled.lock().len();
        wait::until(PATIENCE, "the first at work on both again", || {
            let handled = handled.lock();
            let again = handled.iter().skip(before).filter(|(of, ..)| *of == 0);
            again.map(|(_, partition, _)| *partition).collect::<BTreeSet<_>>().len() == 2
        });
        assert!(handled.lock().len() < 2 * EACH as usize, "the load was over in round {round}");
    }
    hurries.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&first);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    // Each partition was handled from its begin to its end, whoever had it.
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for &(member, partition, offset) in handled.lock().iter() {
        let expected = next.entry(partition).or_default();
        assert_eq!(offset, *expected, "member {member}, partition {partition}");
        *expected += 1;
    }
    assert_eq!(next, BTreeMap::from([(0, EACH), (1, EACH)]));
    let members: BTreeSet<usize> = handled.lock().iter().map(|(member, ..)| *member).collect();
    assert_eq!(members.len(), ROUNDS + 1, "each of them had a share");
}

#[test]
fn by_the_cooperative_protocol() {
    hand_over("heir-cooperative", COOPERATIVE);
}

#[test]
fn by_the_eager_protocol() {
    hand_over("heir-eager", EAGER);
}

#[test]
fn by_the_protocol_of_kip_848() {
    hand_over("heir-kip-848", BY_THE_BROKER);
}
