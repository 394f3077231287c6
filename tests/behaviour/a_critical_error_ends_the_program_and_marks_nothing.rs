//! Acceptance scenarios 18 and 19: an error that concerns the whole process is no failure of the message. It is not tried
//! again here, nothing of it is marked, the app stops gracefully and tells why, and the next process gets the message as if
//! nobody had seen it.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Batch, Context, Failure, TopicConfig, Verdict, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use parking_lot::Mutex;
use std::sync::Arc;

fn app(group: &str, topic: &str, dead: &str, is_critical: bool, attempts: &Arc<Mutex<Vec<u32>>>) -> App {
    let bootstrap_servers = broker::shared().to_owned();
    let app = App::new(AppConfig { bootstrap_servers, group: group.to_owned(), ..AppConfig::default() }).unwrap();
    let attempts = Arc::clone(attempts);
    let options = TopicConfig {
        dead_letter_queue_topic: Some(dead.to_owned()),
        dead_letter_queue_max_retries: 0,
        ..TopicConfig::default()
    };
    let handler = handler_fn(move |batch: &Batch, _: &Context| {
        attempts.lock().extend(batch.iter().map(|message| message.attempt()));
        if is_critical { Err(Failure::new("OutOfMemory", "no more").says(Verdict::Critical)) } else { Ok(()) }
    });
    app.topic(topic, options, handler).unwrap();
    app
}

#[test]
fn and_the_next_process_begins_where_it_was() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let group = topics::unique("critical");
    topics::produce(bootstrap, &topic, &[Record::plain("any")]);
    let attempts = Arc::default();
    let first = app(&group, &topic, &dead, true, &attempts);
    first.start().unwrap();
    let error = first.join(Some(PATIENCE)).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("OutOfMemory"), "{error}");
    assert_eq!((&attempts.lock()[..], group::lag(bootstrap, &group, &topic)), (&[1][..], 1));
    let second = app(&group, &topic, &dead, false, &attempts);
    second.start().unwrap();
    wait::until(PATIENCE, "the commit", || group::lag(bootstrap, &group, &topic) == 0);
    stop(&second);
    assert_eq!(attempts.lock()[..], [1, 1], "no attempt was counted");
    assert_eq!(topics::read(bootstrap, &dead).len(), 0);
}
