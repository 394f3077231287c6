//! Acceptance scenarios 17 and 22: whatever ends a call that is no success, an error, a panic with whatever payload, a job that
//! is dropped, holds the offset and brings the messages again, in order; and no way to end a call costs a worker: afterwards as
//! many run side by side as before. There are no wrappers around calls here; what wraps a handler is the program's own function.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, Handler, Job, TopicConfig, VirtualPartitions};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::panic::panic_any;
use std::sync::{Arc, Barrier};
use std::time::Duration;

const SEATS: usize = 4;

/// Ends the first attempt at each message as its payload says. `meet` waits until all seats do.
struct Ends {
    seen: Arc<Seen>,
    meeting: Arc<Barrier>,
}

impl Handler for Ends {
    fn handle(&self, job: Job) {
        let batch = job.batch().clone();
        for message in batch.iter() {
            self.seen.began(place(&message), message.key());
            if message.payload() == Some(b"meet") {
                self.meeting.wait();
            } else if message.attempt() == 1 {
                self.seen.failed(place(&message));
                // What is good before it in this call is kept.
                match message.payload() {
                    Some(b"error") => return job.fail(Failure::new("Error", "as asked").of(message.index())),
                    Some(b"panic") => panic!("as asked"),
                    Some(b"number") => panic_any(7),
                    Some(b"drop") => return drop(job),
                    Some(b"elsewhere") => {
                        std::thread::spawn(move || drop(job));
                        return;
                    }
                    other => unreachable!("{other:?}"),
                }
            }
            self.seen.finished(place(&message));
            job.context().acknowledge(&message);
        }
        job.done();
    }
}

#[test]
fn whatever_a_handler_throws_its_messages_come_again() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("throws"));
    let ends = ["error", "panic", "number", "drop", "elsewhere"];
    let mut records: Vec<_> =
        (0..100).map(|number| Record::keyed(format!("key-{}", number % 7), ends[number % ends.len()])).collect();
    records.extend((0..SEATS).map(|number| Record::keyed(format!("meet-{number}"), "meet")));
    let produced = topics::produce(bootstrap, &topic, &records);
    let (seen, meeting) = (Arc::new(Seen::new()), Arc::new(Barrier::new(SEATS)));
    let app = App::new(AppConfig { concurrency: SEATS as u32, ..quick(bootstrap, &name) }).unwrap();
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(2),
        retry_backoff_max: Duration::from_millis(4),
        ..TopicConfig::default()
    };
    // The last ones meet only if no worker is gone; they wait for one another, so that each needs a seat of its own.
    app.topic(&topic, TopicConfig { max_messages: 1, ..options }, Ends { seen: Arc::clone(&seen), meeting }).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    let failed = spans.iter().filter(|span| !span.is_finished).count();
    assert_eq!(failed, 100, "each failed once, and came again");
}
