//! The event table as its users meet it, and who is told what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::table::events;
use super::{Event, EventClass, Events, FieldValue, NoEvent, Phase, Publisher, event_reference};
use crate::{Error, ErrorKind, Failure};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn error() -> Event {
    let error = Error::new(ErrorKind::Broker, "commit offsets", "refused").kafka_code(22).with("topic", "orders");
    Event::Error { error: Arc::new(error.with("partition", 3)), recoverable: true }
}

fn failure() -> Event {
    let failure = Failure { backtrace: Some("line 1".into()), ..Failure::new("Boom", "no\nway") };
    Event::HandlerFailed {
        topic: "orders".into(),
        partition: 3,
        offset: 42,
        attempt: 2,
        retry_in: Duration::from_millis(1_500),
        failure,
    }
}

fn consumed() -> Event {
    Event::Consumed {
        topic: "orders".into(),
        partition: 3,
        offset: 42,
        messages: 7,
        attempt: 1,
        time_taken_ms: 1.25,
        succeeded: true,
    }
}

fn assigned() -> Event {
    Event::PartitionsAssigned { group: "billing".into(), partitions: vec![("orders".into(), 0), ("orders".into(), 1)] }
}

fn names(events: &Events) -> Vec<&'static str> {
    std::iter::from_fn(|| events.next(Duration::ZERO).ok()).map(|event| event.name()).collect()
}

#[test]
fn the_reference_page_is_the_event_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let wanted = event_reference();
    if std::env::var_os("KARAFKA_WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&page, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    let command = "KARAFKA_WRITE_DOCS=1 cargo test -p karafka the_reference_page_is_the_event_table";
    assert!(found == wanted, "docs/events.md differs from the event table; write it anew with:\n  {command}");
}

#[test]
fn every_event_stands_where_its_number_says() {
    for event in [error(), failure(), consumed(), assigned(), Event::Phase(Phase::Quiet), Event::Missed(1)] {
        assert_eq!(events()[event.number()].name, event.name());
    }
    let unique: HashSet<_> = events().iter().map(|spec| spec.name).collect();
    assert_eq!(unique.len(), events().len());
}

#[test]
fn fields_are_those_of_the_table_and_numbers_are_numbers() {
    for event in [error(), failure(), consumed(), assigned(), Event::Missed(3)] {
        let spec = &events()[event.number()];
        for (name, value) in event.fields() {
            let field = spec.fields.iter().find(|field| field.name == name);
            let kind = match value {
                FieldValue::Text(_) => "text",
                FieldValue::Integer(_) => "integer",
                FieldValue::Float(_) => "number",
                FieldValue::Bool(_) => "boolean",
                FieldValue::Partitions(_) => "partitions",
                FieldValue::List(_) => "list",
                FieldValue::Map(_) => "map",
            };
            assert_eq!(field.map(|field| field.kind), Some(kind), "{name} of {}", event.name());
        }
        let missing = |name: &str| !event.fields().iter().any(|(known, _)| *known == name);
        let needed = spec.fields.iter().filter(|field| !field.doc.contains("Only there if"));
        assert!(!needed.into_iter().any(|field| missing(field.name)), "{event} lacks a field of {spec:?}");
    }
}

#[test]
fn an_error_says_what_it_concerns() {
    let fields = error().fields();
    let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    assert_eq!(field("kind"), Some(FieldValue::Text("Broker".into())));
    assert_eq!(field("topic"), Some(FieldValue::Text("orders".into())));
    assert_eq!(field("partition"), Some(FieldValue::Integer(3)));
    assert_eq!(field("kafka_code"), Some(FieldValue::Integer(22)));
    assert_eq!(field("type"), Some(FieldValue::Text("commit_offsets.error".into())));
}

#[test]
fn an_event_is_one_line_without_its_backtrace() {
    let text = failure().to_string();
    assert_eq!(
        text,
        "consumer.consume.error topic=\"orders\" partition=\"3\" offset=\"42\" attempt=\"2\" retry_in_ms=\"1500\" \
         kind=\"Handler\" error_class=\"Boom\" error=\"no way\" type=\"consumer.consume.error\""
    );
    assert!(assigned().to_string().ends_with("partitions=\"orders/0 orders/1\""));
}

#[test]
fn a_subscription_gets_what_it_names() {
    let publisher = Publisher::default();
    let usual = publisher.subscribe();
    let failures = publisher.subscribe_to(&["error.occurred"]).unwrap();
    let handlers = publisher.subscribe_to(&["consumer.consume.error"]).unwrap();
    let rebalances = publisher.subscribe_to(&["rebalance.*", "app.quiet"]).unwrap();
    assert!(!publisher.wants_jobs());
    let everything = publisher.subscribe_to(&["*"]).unwrap();
    assert!(publisher.wants_jobs());
    for event in [error(), failure(), consumed(), assigned(), Event::Phase(Phase::Quiet)] {
        assert!(publisher.publish(&event));
    }
    let (failed, handler) = ("error.occurred", "consumer.consume.error");
    let assigned = "rebalance.partitions_assigned";
    assert_eq!(names(&usual), [failed, handler, assigned, "app.quiet"]);
    assert_eq!(names(&failures), [failed, handler]);
    assert_eq!(names(&handlers), [handler]);
    assert_eq!(names(&rebalances), [assigned, "app.quiet"]);
    assert_eq!(names(&everything).len(), 5);
}

#[test]
fn events_of_single_calls_cost_nothing_once_who_named_them_is_gone() {
    let publisher = Publisher::default();
    assert!(!publisher.wants_jobs());
    let subscription = publisher.subscribe_to(&["consumer.consumed"]).unwrap();
    assert!(publisher.wants_jobs());
    drop(subscription);
    publisher.publish(&consumed());
    assert!(!publisher.wants_jobs());
}

#[test]
fn a_name_that_no_event_has_is_refused_with_the_nearest() {
    let publisher = Publisher::default();
    for (given, near) in [("consumer.consume", None), ("consumer.consumd", Some("consumer.consumed")), ("xyz", None)] {
        match publisher.subscribe_to(&[given]) {
            Ok(_) => assert_eq!(given, "consumer.consume"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Config);
                assert_eq!(near.is_some(), error.message().contains("did you mean"), "{error}");
                assert!(near.is_none_or(|near| error.message().contains(near)), "{error}");
            }
        }
    }
}

#[test]
fn leftovers_are_what_nobody_else_wants() {
    let publisher = Publisher::default();
    let leftovers = publisher.subscribe_to_leftovers();
    let quiet = publisher.subscribe_to(&["app.quiet"]).unwrap();
    publisher.publish(&Event::Phase(Phase::Quiet));
    publisher.publish(&Event::Phase(Phase::Stopping));
    assert_eq!(names(&leftovers), ["app.stopping"]);
    assert_eq!(names(&quiet), ["app.quiet"]);
    drop(quiet);
    publisher.publish(&Event::Phase(Phase::Quiet));
    assert_eq!(names(&leftovers), ["app.quiet"]);
}

#[test]
fn who_is_slow_misses_events_and_is_told_how_many() {
    let publisher = Publisher::default();
    let (slow, fast) = (publisher.subscribe(), publisher.subscribe());
    let mut heard = 0;
    for _ in 0..5_000 {
        publisher.publish(&Event::Phase(Phase::Quiet));
        heard += names(&fast).len();
    }
    assert_eq!(heard, 5_000);
    let Ok(Event::Missed(missed)) = slow.next(Duration::ZERO) else { panic!("nothing was missed") };
    assert_eq!(missed as usize + names(&slow).len(), 5_000);
    publisher.close();
    assert_eq!(slow.next(Duration::ZERO).unwrap_err(), NoEvent::Ended);
    assert_eq!(publisher.subscribe().next(Duration::from_secs(9)).unwrap_err(), NoEvent::Ended, "who comes too late");
}

#[test]
fn only_what_is_named_so_costs_nothing_by_default() {
    let per_job: Vec<_> =
        events().iter().filter(|spec| spec.class == EventClass::PerJob).map(|spec| spec.name).collect();
    assert_eq!(
        per_job,
        [
            "consumer.consume",
            "consumer.consumed",
            "worker.process",
            "worker.processed",
            "message.produced_async",
            "message.acknowledged",
            "message.undelivered",
            "message.purged"
        ]
    );
}
