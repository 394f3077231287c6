//! What is refused, and in which words.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

#[test]
fn every_refusal_names_the_option_what_was_given_and_what_is_allowed() {
    use Scope::{App, Producer, Topic};
    let duration = "as an integer of milliseconds or as text with a unit such as \"10s\" or \"250ms\"";
    let cases: Vec<(Scope, &str, Value, String)> = vec![
        (App, "concurrency", 0.into(), "concurrency = 0: must be an integer from 1 to 4096".into()),
        (App, "concurrency", 4097.into(), "concurrency = 4097: must be an integer from 1 to 4096".into()),
        (App, "concurrency", (-1).into(), "concurrency = -1: must be an integer from 1 to 4096".into()),
        (App, "concurrency", i64::MAX.into(), "concurrency = 9223372036854775807: must be".into()),
        (App, "concurrency", (1_u64 << 63).into(), "concurrency = 9.223372036854776e18: must be".into()),
        (App, "concurrency", "10".into(), "concurrency = \"10\": must be an integer".into()),
        (App, "concurrency", 5.0.into(), "concurrency = 5.0: must be an integer".into()),
        (App, "concurrency", true.into(), "concurrency = true: must be an integer".into()),
        (App, "concurrency", f64::NAN.into(), "concurrency = NaN: must be".into()),
        (App, "concurrency", raw(&[("a", "b")]), "concurrency = a map: must be".into()),
        (App, "shutdown_timeout", 0.into(), format!("shutdown_timeout = 0ms: must be from 1ms to 24h, {duration}")),
        (App, "shutdown_timeout", "25h".into(), format!("shutdown_timeout = 25h: must be from 1ms to 24h, {duration}")),
        (
            App,
            "shutdown_timeout",
            "10".into(),
            format!("shutdown_timeout = \"10\": must be from 1ms to 24h, {duration}"),
        ),
        (App, "shutdown_timeout", 1.5.into(), "shutdown_timeout = 1.5: must be from".into()),
        (App, "shutdown_timeout", f64::INFINITY.into(), "shutdown_timeout = inf: must be".into()),
        (App, "shutdown_timeout", i64::MAX.into(), "shutdown_timeout = ".into()),
        (App, "shutdown_timeout", "-1s".into(), "shutdown_timeout = \"-1s\": must be".into()),
        (App, "shutdown_timeout", "1e400s".into(), "shutdown_timeout = \"1e400s\": must be".into()),
        (App, "shutdown_timeout", "0.5ms".into(), "shutdown_timeout = \"0.5ms\": must be".into()),
        (App, "memory_budget_bytes", 0.into(), "memory_budget_bytes = 0B: must be from 1MiB to 1TiB".into()),
        (App, "memory_budget_bytes", i64::MIN.into(), "memory_budget_bytes = -9223372036854775808: must be".into()),
        (App, "client_id", "".into(), "client_id = \"\": must be 1 to 249 characters".into()),
        (App, "client_id", 7.into(), "client_id = 7: must be 1 to 249 characters".into()),
        (App, "group", "a\0b".into(), "group = \"a\\0b\": must be 1 to 249 characters".into()),
        (App, "group", "g".repeat(250).into(), "must be 1 to 249 characters".into()),
        (
            App,
            "group_protocol",
            "new".into(),
            "group_protocol = \"new\": must be one of \"classic\", \"consumer\"".into(),
        ),
        (
            App,
            "assignment_strategy",
            "range,cooperative-sticky".into(),
            "must be \"cooperative-sticky\", \"range\"".into(),
        ),
        (App, "kafka", "sasl.password=hunter2".into(), "kafka: must be a map".into()),
        (Topic, "virtual_partitions", 0.into(), "virtual_partitions = fixed:0: must be \"off\", \"by_key\"".into()),
        (Topic, "virtual_partitions", 4097.into(), "or a fixed number from 1 to 4096".into()),
        (Topic, "virtual_partitions", "by key".into(), "virtual_partitions = \"by key\": must be \"off\"".into()),
        (Topic, "virtual_partitions", "fixed:".into(), "virtual_partitions = \"fixed:\": must be".into()),
        (Topic, "virtual_partitions", 1.0.into(), "virtual_partitions = 1.0: must be".into()),
        (
            Topic,
            "retry_backoff_factor",
            f64::NAN.into(),
            "retry_backoff_factor = NaN: must be a number from 1 to 100".into(),
        ),
        (Topic, "retry_backoff_factor", 1e300.into(), "must be a number from 1 to 100".into()),
        (Topic, "manual_offset_management", 1.into(), "manual_offset_management = 1: must be true or false".into()),
        (Topic, "initial_offset", "newest".into(), "must be one of \"earliest\", \"latest\"".into()),
        (Topic, "window", 0.into(), "window = 0: must be an integer from 1 to 1000000".into()),
        (Topic, "group", "".into(), "group = \"\": must be".into()),
        (Topic, "group", "\u{feff}billing".into(), "none of them invisible".into()),
        (Topic, "delay_by", ((1_i64 << 53) + 1).into(), format!("must be from 0ms to 168h, {duration}")),
        (Topic, "delay_by", (-1).into(), "must be from 0ms to 168h".into()),
        (Topic, "dead_letter_queue_max_retries", (-1).into(), "must be an integer from 0 to 1000000".into()),
        (Topic, "dead_letter_queue_max_retries", (1_i64 << 32).into(), "must be an integer from 0 to 1000000".into()),
        (Topic, "dead_letter_queue_topic", "a b".into(), "must be a topic name".into()),
        (Topic, "multiplexing_max", 65.into(), "must be an integer from 1 to 64".into()),
        (Producer, "transactional_id", " ".into(), "none of them invisible".into()),
        (Topic, "produces", 1.into(), "produces = 1: must be names of topics".into()),
        (Topic, "produces", "a,,b".into(), "produces[\"\"]: is no name of a topic".into()),
        (Topic, "produces", raw(&[("a b", "required")]), "produces[\"a b\"]: is no name of a topic".into()),
        (Topic, "produces", raw(&[("a", "often")]), "produces[\"a\"]: must be \"required\", \"multiple\"".into()),
        (Topic, "produces", raw(&[("a", ""), ("a", "")]), "produces[\"a\"]: is given twice".into()),
        (App, "output_check", "strict".into(), "must be one of \"auto\", \"error\", \"event\"".into()),
        (Producer, "acks", "2".into(), "acks = \"2\": must be one of \"all\", \"1\", \"0\"".into()),
        (Producer, "compression", "lzma".into(), "compression = \"lzma\": must be one of".into()),
        (Producer, "max_payload_bytes", 999.into(), "max_payload_bytes = 999B: must be from 1000B".into()),
        (Producer, "linger", "16m".into(), "linger = 960s: must be from 0ms to 900s".into()),
    ];
    for (scope, name, value, expected) in cases {
        let message = refusal(scope, &[(name, value)]);
        assert!(message.contains(&expected), "{name}: {message}");
        assert!(message.starts_with(name), "{name}: {message}");
        assert!(!message.contains('\n') && !message.contains("hunter2"), "{name}: {message}");
    }
}

#[test]
fn declared_outputs_are_read_from_lists_maps_and_single_options() {
    let map = |entries: &[(&str, Value)]| {
        Value::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    };
    let words = map(&[("required", true.into()), ("multiple", false.into())]);
    let cases: [(Given, &str); 5] = [
        (vec![("produces", "b, a".into())], r#"{"a": "", "b": ""}"#),
        (
            vec![("produces", raw(&[("a", "required"), ("b", "multiple, required")]))],
            r#"{"a": "required", "b": "required multiple"}"#,
        ),
        (vec![("produces", map(&[("a", words)]))], r#"{"a": "required"}"#),
        (vec![("produces.a.b", "required".into()), ("produces.c", "".into())], r#"{"a.b": "required", "c": ""}"#),
        (vec![], "{}"),
    ];
    for (given, expected) in cases {
        let config = TopicConfig::from_settings(&settings(&given)).unwrap();
        assert_eq!(config.produces.to_string(), expected);
    }
}

#[test]
fn addresses_of_brokers_are_checked() {
    let good = [
        "a:1",
        "a",
        "a:65535,b.example:9092",
        "[::1]:9092",
        "[fe80::1%eth0]:9092",
        "ssl://a:9093",
        "embedded://",
        "embedded://demo",
    ];
    let bad = [
        "",
        ",",
        "a:",
        "a:0",
        "a:65536",
        "a:9092,",
        "a b:1",
        "a:-1",
        ":9092",
        "a:1:2",
        "[::1",
        "[x]:1",
        "http://a:1",
        "embedded://a,b",
        "a/b",
        "a:+1",
        "a\0:1",
    ];
    for servers in good {
        configure(Scope::App, &[("bootstrap_servers", servers.into())]).unwrap();
    }
    for servers in bad {
        let message = refusal(Scope::Producer, &[("bootstrap_servers", servers.into())]);
        assert!(message.contains("must be one or more \"host:port\""), "{servers:?}: {message}");
    }
    let message = refusal(Scope::App, &[("bootstrap_servers", "user:hunter2@kafka:9092".into())]);
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn names_of_topics_follow_kafka() {
    let (longest, too_long) = ("t".repeat(249), "t".repeat(250));
    for good in ["orders", "a.b_c-D9", "...", longest.as_str()] {
        validate_topic_name(good).unwrap();
    }
    for bad in ["", ".", "..", "a b", "a/b", "a\0b", "ü", "^orders", too_long.as_str()] {
        let error = validate_topic_name(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("must be a topic name"), "{error}");
    }
    validate_group_name("any name / is fine").unwrap();
    validate_group_name("größer ⚙").unwrap();
    for bad in
        ["", " ", "\t", ".", "..", " billing", "billing ", "billing\n", "bil\u{feff}ling", "bil\u{202e}ling", "a\0b"]
    {
        let error = validate_group_name(bad).unwrap_err();
        assert!(error.message().contains("must be 1 to 249 characters, none of them invisible"), "{bad:?}: {error}");
    }
    TopicConfig::default().validate_for("a b", &AppConfig::default()).unwrap_err();
}

#[test]
fn unknown_names_point_to_what_was_meant() {
    use Scope::{App, Producer, Topic};
    let cases = [
        (App, "concurency", "concurency: unknown option; did you mean `concurrency`?"),
        (App, "Concurrency", "did you mean `concurrency`?"),
        (App, "bootstrap.servers", "did you mean `bootstrap_servers`?"),
        (App, "shutdown-timeout", "did you mean `shutdown_timeout`?"),
        (App, "workers", "did you mean `concurrency`?"),
        (App, "group_id", "did you mean `group`?"),
        (App, "max_messages", "max_messages: is a topic option, not an app option; set it there"),
        (App, "compresion", "did you mean `compression`, which is a producer option?"),
        (Topic, "max_wait_time", "did you mean `linger`?"),
        (Topic, "concurrency", "is an app option, not a topic option"),
        (Topic, "vritual_partitions", "did you mean `virtual_partitions`?"),
        (Producer, "fetch.min.bytes", "unknown option of a producer; librdkafka's own settings go into `kafka`"),
        (App, "frobnicate", "frobnicate: unknown option of an app"),
        (App, "", ": unknown option of an app"),
    ];
    for (scope, name, expected) in cases {
        let message = refusal(scope, &[(name, "hunter2".into())]);
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains("hunter2"), "{name}: {message}");
    }
}

#[test]
fn all_problems_are_reported_at_once_one_a_line() {
    let given = [
        ("concurency", 5.into()),
        ("commit_interval", 0.into()),
        ("kafka", raw(&[("enable.auto.commit", "true"), ("sesion.timeout.ms", "1")])),
        ("group", "x".into()),
        ("group", "y".into()),
    ];
    let message = refusal(Scope::App, &given);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 6, "{message}");
    assert_eq!(lines[0], "5 problems:");
    assert!(lines[1].starts_with("  concurency: unknown option"), "{message}");
    assert!(lines[2].starts_with("  commit_interval = 0ms: must be from 10ms to 1h"), "{message}");
    assert!(
        lines[3].starts_with("  kafka[\"enable.auto.commit\"] = \"true\": refused: librdkafka would commit"),
        "{message}"
    );
    assert!(lines[4].contains("did you mean `session.timeout.ms`?"), "{message}");
    assert_eq!(lines[5], "  group: is given twice");

    let many: Settings = (0..1_000).map(|number| (format!("{number}\n"), Value::from(1))).collect();
    let error = AppConfig::from_settings(&many).unwrap_err();
    assert!(error.message().starts_with("1000 problems:") && error.message().ends_with("and 950 more"));
    assert_eq!(error.message().lines().count(), 52);
}

#[test]
fn a_wrong_option_is_not_reported_a_second_time_as_a_contradiction() {
    let given = [("retry_backoff", "25h".into()), ("retry_backoff_max", "1s".into())];
    assert_eq!(refusal(Scope::Topic, &given).lines().count(), 1);
}

type Given = Vec<(&'static str, Value)>;

#[test]
fn options_that_contradict_each_other_are_refused() {
    use Scope::{App, Producer, Topic};
    let consumer = || Value::from("consumer");
    let cases: [(Scope, Given, &str); 18] = [
        (App, vec![("revoke_timeout", "300s".into())], "must be shorter than max.poll.interval.ms, which is 300000ms"),
        (
            App,
            vec![
                ("kafka", raw(&[("session.timeout.ms", "9000"), ("max.poll.interval.ms", "8000")])),
                ("revoke_timeout", 1.into()),
            ],
            "9000ms must not be longer than max.poll.interval.ms, which is 8000ms",
        ),
        (
            App,
            vec![("kafka", raw(&[("session.timeout.ms", "3000")]))],
            "3000ms must be shorter than session.timeout.ms, which is 3000ms",
        ),
        (App, vec![("kafka", raw(&[("max.poll.interval.ms", "10000")]))], "revoke_timeout: 60000ms must be shorter"),
        (
            App,
            vec![("group_protocol", consumer()), ("kafka", raw(&[("session.timeout.ms", "9000")]))],
            "belongs to the classic protocol",
        ),
        (App, vec![("kafka", raw(&[("group.remote.assignor", "uniform")]))], "belongs to group_protocol \"consumer\""),
        (Topic, vec![("retry_backoff", "31s".into())], "30s must not be shorter than retry_backoff, which is 31s"),
        (Topic, vec![("max_messages", 20_000.into())], "20000 is more than the window, which is 16384"),
        (
            Topic,
            vec![("multiplexing_min", 3.into()), ("multiplexing_max", 2.into())],
            "3 must not be more than multiplexing_max, which is 2",
        ),
        (Topic, vec![("expire_in", "1s".into()), ("delay_by", "1s".into())], "must be longer than delay_by"),
        (
            Topic,
            vec![("dead_letter_queue_topic", "dead".into()), ("dead_letter_queue_skip", true.into())],
            "leave one of them out",
        ),
        (
            Producer,
            vec![("transactional_id", "a".into()), ("idempotence", false.into())],
            "must be true for a transactional producer",
        ),
        (Producer, vec![("transactional_id", "a".into()), ("acks", "1".into())], "must be \"all\" with idempotence"),
        (App, vec![("kafka", raw(&[("transactional.id", "a")]))], "a consumer has none"),
        (Producer, vec![("acks", "1".into())], "acks: must be \"all\" with idempotence"),
        (Producer, vec![("kafka", raw(&[("max.in.flight", "6")]))], "must be at most 5 with idempotence"),
        (Producer, vec![("kafka", raw(&[("retries", "0")]))], "must be at least 1 with idempotence"),
        (Producer, vec![("delivery_timeout", 5.into())], "5ms must be longer than linger, which is 5ms"),
    ];
    for (scope, given, expected) in cases {
        let message = refusal(scope, &given);
        assert!(message.contains(expected), "{message}");
    }

    let loops = TopicConfig { dead_letter_queue_topic: Some("orders".to_owned()), ..TopicConfig::default() };
    let error = loops.validate_for("orders", &AppConfig::default()).unwrap_err();
    assert!(error.message().contains("dead_letter_queue_topic: is the topic itself"), "{error}");
    loops.validate_for("payments", &AppConfig::default()).unwrap();

    let app = AppConfig { shutdown_timeout: Duration::from_millis(500), ..AppConfig::default() };
    let topic = TopicConfig { linger: Duration::from_millis(500), ..TopicConfig::default() };
    let error = topic.validate_for("orders", &app).unwrap_err();
    assert!(
        error.message().contains("500ms must be shorter than the app's shutdown_timeout, which is 500ms"),
        "{error}"
    );
    assert!(error.to_string().ends_with("(topic: orders)"), "{error}");
    let kafka = BTreeMap::from([("max.poll.interval.ms".to_owned(), "50000".to_owned())]);
    let topic = TopicConfig { kafka, ..TopicConfig::default() };
    topic.validate_for("orders", &AppConfig::default()).unwrap_err();
}

#[test]
fn letters_in_transactions_need_a_topic_a_group_and_brokers_that_keep_them() {
    let dead = Some("dead".to_owned());
    let topic = TopicConfig { dead_letter_queue_topic: dead, ..TopicConfig::default() };
    let topic = TopicConfig { dead_letter_queue_transactional: true, ..topic };
    let app = AppConfig::default();
    let refused = |topic: &TopicConfig, app: &AppConfig| topic.validate_for("orders", app).unwrap_err().to_string();
    topic.validate_for("orders", &app).unwrap();
    let nowhere = TopicConfig { dead_letter_queue_topic: None, ..topic.clone() };
    assert!(refused(&nowhere, &app).contains("needs dead_letter_queue_topic"));
    let direct = TopicConfig { assign: "all".to_owned(), ..topic.clone() };
    assert!(refused(&direct, &app).contains("needs a group"));
    let embedded = AppConfig { bootstrap_servers: "embedded://".to_owned(), ..app.clone() };
    assert!(refused(&topic, &embedded).contains("the embedded broker keeps no transactions"));
    let shared = TopicConfig { transaction_max_messages: 2, ..TopicConfig::default() };
    shared.validate_for("orders", &app).unwrap();
    assert!(refused(&shared, &embedded).contains("transaction_max_messages: needs a Kafka"));
    let each = TopicConfig { transaction_max_messages: 1, ..TopicConfig::default() };
    each.validate_for("orders", &embedded).unwrap();
    let elsewhere = TopicConfig { bootstrap_servers: Some("kafka:9092".to_owned()), ..topic };
    elsewhere.validate_for("orders", &embedded).unwrap();
}

#[test]
fn patterns_are_read_at_once_and_take_no_longer_for_being_nested() {
    for bad in ["^(", "^a{99999}{99999}", "^\\", "^[", "^(?=a)"] {
        let error = validate_topic_or_pattern(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{bad}: {error}");
        assert!(!error.message().contains('\0'), "{error}");
    }
    let began = std::time::Instant::now();
    let nested = crate::pattern::Pattern::new("^(a+)+b").unwrap();
    assert!(!nested.matches(&"a".repeat(249)));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
