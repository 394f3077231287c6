//! Acceptance scenarios 18 and 19: an error that concerns the whole process is no failure of the message. It is not tried
//! again here, nothing of it is marked, the app stops gracefully and tells why, and the next process gets the message as if
//! nobody had seen it.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Batch, Context, Error, ErrorKind, Failure, TopicConfig, Verdict, handler_fn};
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

/// A member that sends what it reads on in a transaction, in which it meets a critical error or does not.
fn sending(group: &str, (from, to): (&str, &str), max_messages: u32, is_critical: bool) -> App {
    let bootstrap_servers = broker::shared().to_owned();
    let app = App::new(AppConfig { bootstrap_servers, group: group.to_owned(), ..AppConfig::default() }).unwrap();
    let to = to.to_owned();
    let handler = handler_fn(move |batch: &Batch, context: &Context| {
        let outcome = context.transaction(|transaction| {
            for message in batch.iter() {
                let payload = message.payload();
                transaction.produce_async(&karafka::Record { topic: &to, payload, ..karafka::Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            if is_critical { Err(Error::new(ErrorKind::Handler, "handle", "no more")) } else { Ok(()) }
        });
        outcome.map_err(|error| Failure::new("OutOfMemory", error.to_string()).says(Verdict::Critical))
    });
    let options = TopicConfig { transaction_max_messages: max_messages, ..TopicConfig::default() };
    app.topic(from, options, handler).unwrap();
    app
}

#[test]
fn and_its_transaction_leaves_nothing_alone_or_with_others() {
    for max_messages in [1, 100] {
        let bootstrap = broker::shared();
        let (from, to) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
        let group = topics::unique("critical");
        topics::produce(bootstrap, &from, &[Record::plain("any")]);
        let first = sending(&group, (&from, &to), max_messages, true);
        first.start().unwrap();
        let error = first.join(Some(PATIENCE)).unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains("OutOfMemory"), "{error}");
        assert_eq!((topics::read(bootstrap, &to).len(), group::lag(bootstrap, &group, &from)), (0, 1));
        let second = sending(&group, (&from, &to), max_messages, false);
        second.start().unwrap();
        wait::until(PATIENCE, "the commit", || group::lag(bootstrap, &group, &from) == 0);
        stop(&second);
        assert_eq!(topics::read_decided(bootstrap, &to).len(), 1, "once");
    }
}
