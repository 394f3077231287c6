//! A broker sends a batch whole, so many partitions of large batches would hold a batch each: only as many are fetched at a time
//! as the memory budget and the workers ask for, each gets its turn, and a rebalance finds none of them asleep.

use crate::support::{PATIENCE, finished, member, place, stop};
use karafka::{App, AppConfig, Event, Failure, TopicConfig, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, commits, oracle, topics, wait};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PARTITIONS: i32 = 24;
const EACH: i32 = 40;
const BYTES: usize = 25_000;
/// All of them are 24 MB, in batches of up to 1 MB; five partitions are to be fetched at a time.
const MOST_FETCHED: u64 = 10_000_000;

#[test]
fn each_partition_in_its_turn() {
    let bootstrap = broker::shared();
    let (topic, group) = (topics::create(bootstrap, PARTITIONS), topics::unique("group"));
    let payload = vec![b'x'; BYTES];
    let keyed = |to: i32| Record::keyed(to.to_string(), &payload).to(to);
    let records: Vec<_> = (0..PARTITIONS).flat_map(|to| (0..EACH).map(move |_| to)).map(keyed).collect();
    let produced = topics::produce(bootstrap, &topic, &records);
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: group.clone(),
        concurrency: 2,
        memory_budget_bytes: 4 << 20,
        statistics_interval: Duration::from_millis(50),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let (seen, is_slow) = (Arc::new(Seen::new()), Arc::new(AtomicBool::new(true)));
    let handler = {
        let (seen, is_slow) = (Arc::clone(&seen), Arc::clone(&is_slow));
        handler_fn(move |batch, _| {
            for message in batch.iter() {
                let place = place(&message);
                seen.began(place.clone(), message.key());
                if is_slow.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                seen.finished(place);
            }
            Ok::<(), Failure>(())
        })
    };
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    let events = app.events_of(&["statistics.emitted"]).unwrap();
    app.start().unwrap();
    let (mut told, mut most) = (0, 0);
    wait::until(PATIENCE, "statistics while a hundred records are handled", || {
        if let Ok(Event::Statistics(statistics)) = events.next(Duration::from_millis(500)) {
            let partitions = statistics.clients.iter().flat_map(|client| &client.partitions);
            most = most.max(partitions.map(|partition| partition.fetch_queue_bytes).sum());
            told += u32::from(most > 0);
        }
        told >= 10 && seen.finished_count() >= 100
    });
    assert!(most <= MOST_FETCHED, "{most} bytes were fetched ahead");

    // Half of the partitions go and come back, most of them in the midst of their wait.
    let mut second = member(bootstrap, &group, &topic, &[]);
    wait::until(PATIENCE, "the second member handles some", || finished(&[&second]) > 0);
    second.send("stop");
    assert!(second.wait(PATIENCE).success());
    seen.read(&second.lines());
    is_slow.store(false, Ordering::SeqCst);
    wait::until(PATIENCE, "all records handled", || {
        let spans = seen.spans();
        let done: HashSet<_> = spans.iter().filter(|span| span.is_finished).map(|span| &span.place).collect();
        done.len() == records.len()
    });
    stop(&app);
    oracle::all(&produced, &seen.spans(), &commits::all(bootstrap, &group));
}
