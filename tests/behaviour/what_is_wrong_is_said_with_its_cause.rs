//! A topic that does not exist and a failed authentication are error events with their cause within ten seconds, and the app
//! goes on trying; a group that may not be joined is no silent idleness.

use karafka::{App, AppConfig, ErrorKind, Event, Failure, TopicConfig, handler_fn};
use libkarafka_tests::{broker, topics};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);

/// The first error event that `wanted` accepts; every error must leave the app running.
fn first_error(kafka: &[(&str, &str)], topic: &str, wanted: impl Fn(&karafka::Error) -> bool) -> String {
    let config = AppConfig {
        bootstrap_servers: broker::shared().to_owned(),
        group: topics::unique("group"),
        kafka: kafka.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    app.topic(topic, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    let events = app.events();
    let began = Instant::now();
    app.start().unwrap();
    let error = loop {
        let left = WITHIN.checked_sub(began.elapsed()).expect("no such error came in time");
        if let Ok(Event::Error { error, recoverable }) = events.next(left) {
            assert!(recoverable, "{error}");
            if wanted(&error) {
                break error.to_string();
            }
        }
    };
    app.stop();
    assert!(app.join(Some(Duration::from_secs(30))).unwrap());
    error
}

#[test]
fn a_topic_that_does_not_exist() {
    let error = first_error(&[], "no-such-topic", |error| error.kafka() == Some(3));
    assert!(error.contains("no-such-topic") && error.contains("create it"), "{error}");
}

#[test]
fn an_authentication_that_fails() {
    let topic = topics::create(broker::shared(), 1);
    let sasl = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "somebody"),
        ("sasl.password", "not-to-be-seen"),
    ];
    let error = first_error(&sasl, &topic, |error| error.kind() == ErrorKind::Auth);
    assert!(error.contains("SASL") && error.contains(broker::shared()), "{error}");
    assert!(!error.contains("not-to-be-seen"), "{error}");
}

#[test]
fn a_secured_connection_to_an_open_port() {
    let topic = topics::create(broker::shared(), 1);
    let error = first_error(&[("security.protocol", "SSL")], &topic, |error| error.message().contains("SSL"));
    assert!(error.contains("PLAINTEXT"), "{error}");
}
