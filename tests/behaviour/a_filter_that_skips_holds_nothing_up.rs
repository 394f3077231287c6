//! Acceptance 30: a topic whose filter skips everything goes on, for every combination of long-running jobs, virtual partitions,
//! and offsets managed by hand: what is skipped is committed, and what comes after it is handled.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, filtered, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn a_filter_that_skips_holds_nothing_up() {
    let bootstrap = broker::shared();
    let name = topics::unique("filter");
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.clone(),
        commit_interval: Duration::from_millis(100),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let handled: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let names: Vec<String> = (0..16).map(|_| topics::unique("topic")).collect();
    topics::create_many(bootstrap, &names);
    let mut free = names.iter();
    for long_running_job in [false, true] {
        for manual_offset_management in [false, true] {
            for virtual_partitions in [
                VirtualPartitions::Off,
                VirtualPartitions::ByKey,
                VirtualPartitions::Fixed(2),
                VirtualPartitions::RoundRobin,
            ] {
                let topic = free.next().unwrap();
                let handled = Arc::clone(&handled);
                let keeper = handler_fn(move |batch, context| {
                    let text =
                        |message: karafka::Message<'_>| String::from_utf8_lossy(message.payload().unwrap()).into();
                    let mut handled = handled.lock().unwrap();
                    handled.entry(batch.topic().to_owned()).or_default().extend(batch.iter().map(text));
                    for message in batch.iter() {
                        context.mark_as_consumed(&message);
                    }
                    Ok::<(), Failure>(())
                });
                let config = TopicConfig {
                    long_running_job,
                    manual_offset_management,
                    virtual_partitions,
                    filter: true,
                    ..TopicConfig::default()
                };
                let keep = |message: karafka::Message<'_>| message.payload() != Some(b"skip");
                app.topic(topic, config, filtered(keep, keeper)).unwrap();
            }
        }
    }
    let skips: Vec<Record> = (0..30).map(|number: i32| Record::keyed(number.to_string(), "skip")).collect();
    // Side by side: the broker's tools wait most of the time.
    let each = |act: &(dyn Fn(&str) + Sync)| {
        std::thread::scope(|scope| names.iter().for_each(|topic| drop(scope.spawn(move || act(topic)))));
    };
    let is_committed = |topic: &str| {
        wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, topic) == 0);
    };
    each(&|topic| {
        topics::produce(bootstrap, topic, &skips);
    });
    app.start().unwrap();
    each(&is_committed);
    assert!(handled.lock().unwrap().is_empty());
    each(&|topic| {
        topics::produce(bootstrap, topic, &skips);
        topics::produce(bootstrap, topic, &[Record::keyed("a", "keep")]);
    });
    each(&is_committed);
    stop(&app);
    let handled = handled.lock().unwrap();
    assert!(names.iter().all(|topic| handled.get(topic).is_some_and(|texts| texts == &["keep"])), "{handled:?}");
}
