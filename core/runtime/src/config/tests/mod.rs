//! The option table as its users meet it: what it takes, what it refuses and in which words, and what it never shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kafka_settings;
mod keys;
mod random;
mod refusals;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;

fn settings(given: &[(&str, Value)]) -> Settings {
    given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn raw(given: &[(&str, &str)]) -> Value {
    Value::Map(given.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect())
}

fn configure(scope: Scope, given: &[(&str, Value)]) -> crate::error::Result<String> {
    let given = settings(given);
    match scope {
        Scope::App => AppConfig::from_settings(&given).map(|config| format!("{config:?}")),
        Scope::Topic => TopicConfig::from_settings(&given).map(|config| format!("{config:?}")),
        Scope::Producer => ProducerConfig::from_settings(&given).map(|config| format!("{config:?}")),
        Scope::Reader => ReaderConfig::from_settings(&given).map(|config| format!("{config:?}")),
        Scope::Admin => AdminConfig::from_settings(&given).map(|config| format!("{config:?}")),
    }
}

/// What is said about the given settings.
fn refusal(scope: Scope, given: &[(&str, Value)]) -> String {
    let error = configure(scope, given).expect_err("must be refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    error.message().to_owned()
}

#[test]
fn defaults_are_valid_and_are_what_no_settings_give() {
    assert_eq!(AppConfig::from_settings(&[]).unwrap(), AppConfig::default());
    assert_eq!(TopicConfig::from_settings(&[]).unwrap(), TopicConfig::default());
    assert_eq!(ProducerConfig::from_settings(&[]).unwrap(), ProducerConfig::default());
    AppConfig::default().validate().unwrap();
    TopicConfig::default().validate_for("orders", &AppConfig::default()).unwrap();
    ProducerConfig::default().validate().unwrap();
}

#[test]
fn values_of_every_type_are_read() {
    let app = AppConfig::from_settings(&settings(&[
        ("bootstrap_servers", "kafka-1:9092, [::1]:9093".into()),
        ("concurrency", 50.into()),
        ("commit_interval", "1.5s".into()),
        ("shutdown_timeout", 90_000.into()),
        ("memory_budget_bytes", "1.5GiB".into()),
        ("group_protocol", "consumer".into()),
        ("kafka", Value::Map(vec![("fetch.wait.max.ms".into(), 10.into()), ("check.crcs".into(), true.into())])),
    ]))
    .unwrap();
    assert_eq!(app.concurrency, 50);
    assert_eq!(app.commit_interval, Duration::from_millis(1_500));
    assert_eq!(app.shutdown_timeout, Duration::from_secs(90));
    assert_eq!(app.memory_budget_bytes, 3 << 29);
    assert_eq!(app.group_protocol, GroupProtocol::Consumer);
    assert_eq!(app.kafka["fetch.wait.max.ms"], "10");
    assert_eq!(app.kafka["check.crcs"], "true");

    let topic = TopicConfig::from_settings(&settings(&[
        ("group", "billing".into()),
        ("retry_backoff_factor", 3.into()),
        ("manual_offset_management", true.into()),
        ("initial_offset", "latest".into()),
    ]))
    .unwrap();
    assert_eq!(topic.group.as_deref(), Some("billing"));
    assert!((topic.retry_backoff_factor - 3.0).abs() < f64::EPSILON);
    assert!(topic.manual_offset_management);
    assert_eq!(topic.initial_offset, InitialOffset::Latest);

    let producer = ProducerConfig::from_settings(&settings(&[
        ("acks", 1.into()),
        ("idempotence", false.into()),
        ("compression", "zstd".into()),
    ]))
    .unwrap();
    assert_eq!((producer.acks.as_str(), producer.compression.as_str()), ("1", "zstd"));
}

#[test]
fn a_map_under_the_beginning_of_names_is_spread_over_them() {
    let group = |entries: &[(&str, Value)]| Value::Map(settings(entries));
    let given = settings(&[("retry", group(&[("backoff", "2s".into()), ("backoff_max", "3s".into())]))]);
    let topic = TopicConfig::from_settings(&given).unwrap();
    assert_eq!((topic.retry_backoff, topic.retry_backoff_max), (Duration::from_secs(2), Duration::from_secs(3)));
    let mut same = TopicConfig::default();
    same.set("retry", &given[0].1).unwrap();
    assert_eq!(same, topic);

    let unknown = refusal(Scope::Topic, &[("retry", group(&[("backof", "2s".into())]))]);
    assert!(unknown.contains("retry_backof") && unknown.contains("did you mean `retry_backoff`?"), "{unknown}");
    let twice = [("retry", group(&[("backoff", "2s".into())])), ("retry_backoff", "2s".into())];
    assert!(refusal(Scope::Topic, &twice).contains("is given twice"));
    // An option's own name begins no group.
    let text = refusal(Scope::App, &[("group", group(&[("protocol", "consumer".into())]))]);
    assert!(text.contains("group"), "{text}");
}

#[test]
fn virtual_partitions_are_a_word_a_number_or_a_boolean() {
    let cases: [(Value, VirtualPartitions); 8] = [
        ("off".into(), VirtualPartitions::Off),
        (false.into(), VirtualPartitions::Off),
        ("by_key".into(), VirtualPartitions::ByKey),
        (true.into(), VirtualPartitions::ByKey),
        ("callback".into(), VirtualPartitions::Callback),
        ("round_robin".into(), VirtualPartitions::RoundRobin),
        ("fixed:4096".into(), VirtualPartitions::Fixed(4096)),
        (7.into(), VirtualPartitions::Fixed(7)),
    ];
    for (value, expected) in cases {
        let config = TopicConfig::from_settings(&settings(&[("virtual_partitions", value)])).unwrap();
        assert_eq!(config.virtual_partitions, expected);
    }
}

#[test]
fn fields_set_in_rust_are_checked_like_settings() {
    let app = AppConfig { concurrency: 0, commit_interval: Duration::ZERO, ..AppConfig::default() };
    let message = app.validate().unwrap_err().message().to_owned();
    assert!(
        message.contains("concurrency = 0: must be") && message.contains("commit_interval = 0ms: must be"),
        "{message}"
    );
    let topic = TopicConfig { virtual_partitions: VirtualPartitions::Fixed(0), ..TopicConfig::default() };
    topic.validate().unwrap_err();
}

#[test]
fn one_option_can_be_set_by_name_and_a_refused_one_changes_nothing() {
    let mut app = AppConfig::default();
    app.set("concurrency", &12.into()).unwrap();
    assert_eq!(app.concurrency, 12);
    app.set("concurrency", &0.into()).unwrap_err();
    app.set("concurency", &1.into()).unwrap_err();
    assert_eq!(app.concurrency, 12);
}

#[test]
fn every_option_is_documented_and_its_default_can_be_given_back() {
    for spec in Scope::ALL.into_iter().flat_map(options) {
        assert!(spec.doc.len() > 20 && spec.doc.ends_with('.') || spec.name == "kafka", "{}", spec.name);
        assert!(!spec.range.is_empty() && !spec.default.is_empty(), "{}", spec.name);
        let value = match spec.kind {
            Kind::Boolean => Value::Bool(spec.default == "true"),
            Kind::Integer { .. } => Value::Integer(spec.default.parse().unwrap()),
            Kind::Decimal { .. } => Value::Float(spec.default.parse().unwrap()),
            Kind::Kafka | Kind::Keys | Kind::Outputs => Value::Map(Vec::new()),
            _ => Value::from(spec.default.as_str()),
        };
        configure(spec.scope, &[(spec.name, value)]).unwrap();
    }
    for scope in Scope::ALL {
        let mut names: Vec<&str> = options(scope).iter().map(|spec| spec.name).collect();
        let also = options(scope).iter().flat_map(|spec| spec.also.iter().copied());
        names.extend(also);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{scope:?}: two options answer to one name");
    }
}

#[test]
fn the_reference_page_is_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let wanted = reference();
    if std::env::var_os("KARAFKA_WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    let command = "KARAFKA_WRITE_DOCS=1 cargo test -p karafka the_reference_page_is_the_table";
    assert!(found == wanted, "docs/configuration.md differs from the option table; write it anew with:\n  {command}");
}
