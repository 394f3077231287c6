//! Acceptance scenario 55: a scheduler of the user's that fails, panics, answers with nonsense or not at all harms nothing: an
//! event tells it, `scheduling` decides, everything is handled and committed, and the group sees no rebalance.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Candidate, Event, Failure, NoEvent, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn stand_in(name: &str, choose: impl Fn(&[Candidate]) -> Result<Vec<u32>, Failure> + Send + Sync + 'static) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique(name));
    let records: Vec<_> = (0..1_200).map(|number| Record::keyed(format!("key-{}", number % 60), "x")).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let (seen, asked) = (Arc::new(Seen::new()), Arc::new(AtomicUsize::new(0)));
    let app = App::new(AppConfig { concurrency: 2, ..quick(bootstrap, &name) }).unwrap();
    let events = app.events();
    let count = Arc::clone(&asked);
    app.set_scheduler(move |candidates: &[Candidate]| {
        count.fetch_add(1, Ordering::SeqCst);
        choose(candidates)
    })
    .unwrap();
    let here = Arc::clone(&seen);
    let handler = handler_fn(move |batch, _| {
        for message in batch.iter() {
            here.began(place(&message), message.key());
            thread::sleep(Duration::from_millis(5));
            here.finished(place(&message));
        }
        Ok::<(), Failure>(())
    });
    let options =
        TopicConfig { virtual_partitions: VirtualPartitions::ByKey, max_messages: 1, ..TopicConfig::default() };
    app.topic(&topic, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let (mut told, mut assigned) = (0, 0);
    loop {
        match events.next(PATIENCE) {
            Ok(Event::Error { error, recoverable }) if error.operation() == "schedule" => {
                assert!(recoverable, "{error}");
                told += 1;
            }
            Ok(Event::PartitionsAssigned { partitions, .. }) if !partitions.is_empty() => assigned += 1,
            Ok(_) => {}
            Err(NoEvent::Ended) => break,
            Err(NoEvent::Timeout) => panic!("the events of a stopped app end"),
        }
    }
    assert!(told > 0 && asked.load(Ordering::SeqCst) > 0, "told {told} times, asked {asked:?} times");
    assert_eq!(assigned, 1, "no rebalance");
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
}

#[test]
fn when_it_fails() {
    stand_in("scheduler-fails", |_| Err(Failure::new("Broken", "no idea")));
}

#[test]
fn when_it_panics() {
    stand_in("scheduler-panics", |_| panic!("the scheduler of this test panics"));
}

#[test]
fn when_it_names_nobody() {
    stand_in("scheduler-names-nobody", |candidates| Ok(vec![u32::MAX, candidates.len() as u32]));
}

#[test]
fn when_it_does_not_answer() {
    stand_in("scheduler-sleeps", |_| {
        thread::sleep(Duration::from_millis(1_500));
        Ok(vec![0])
    });
}
