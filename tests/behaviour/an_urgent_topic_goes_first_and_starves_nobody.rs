//! Priorities on a real broker: while messages of a topic with a higher priority wait, those of a lower one get one call in
//! sixteen, and what was handed out before; never none.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::{Record as Seen, Span};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const BULK: usize = 200;
const URGENT: usize = 96;

#[test]
fn an_urgent_topic_goes_first_and_starves_nobody() {
    let bootstrap = broker::shared();
    // One partition of the urgent one: what is in the log before the start comes with one fetch.
    let [bulk, urgent] = [2, 1].map(|partitions| topics::create(bootstrap, partitions));
    let name = topics::unique("priority");
    let keyed = |number: usize| Record::keyed(number.to_string(), "x");
    let mut produced = topics::produce(bootstrap, &bulk, &(0..BULK).map(keyed).collect::<Vec<_>>());
    produced.extend(topics::produce(bootstrap, &urgent, &(0..URGENT).map(keyed).collect::<Vec<_>>()));
    let seen = Arc::new(Seen::new());
    let app = App::new(AppConfig { concurrency: 1, ..quick(bootstrap, &name) }).unwrap();
    for (topic, priority) in [(&bulk, 10), (&urgent, 90)] {
        let seen = Arc::clone(&seen);
        let handler = handler_fn(move |batch, _| {
            for message in batch.iter() {
                seen.began(place(&message), message.key());
                // Long enough for reading to stay ahead.
                thread::sleep(Duration::from_millis(10));
                seen.finished(place(&message));
            }
            Ok::<(), Failure>(())
        });
        let options = TopicConfig {
            virtual_partitions: VirtualPartitions::RoundRobin,
            max_messages: 1,
            priority,
            ..TopicConfig::default()
        };
        app.topic(topic, options, handler).unwrap();
    }
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || {
        [&bulk, &urgent].iter().all(|topic| group::lag(bootstrap, &name, topic) == 0)
    });
    stop(&app);
    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &name));
    oracle::nothing_twice(&spans);
    // Whichever topic was read first began; from the first urgent one on, both wait.
    let is_urgent = |span: &Span| span.place.topic == urgent;
    let first = spans.iter().position(is_urgent).unwrap();
    let last = spans.iter().rposition(is_urgent).unwrap();
    let low = spans[first..last].iter().filter(|span| !is_urgent(span)).count();
    // One in sixteen, what was handed out ahead, and what went while the poller read more; all of it without priorities.
    let most = URGENT / 6;
    let order: String = spans[first..last].iter().map(|span| if is_urgent(span) { 'u' } else { '.' }).collect();
    assert!((2..=most).contains(&low), "{low} of the bulk were handled between urgent ones, not 2 to {most}: {order}");
}
