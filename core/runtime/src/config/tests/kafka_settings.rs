//! Raw librdkafka settings: which pass, which are refused, which are hidden.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::*;

#[test]
fn raw_settings_that_break_a_guarantee_are_refused_with_the_reason() {
    for scope in Scope::ALL {
        for refused in &kafka::REFUSED {
            let message = refusal(scope, &[("kafka", raw(&[(refused.name, "other")]))]);
            assert!(message.contains(refused.name) && message.contains(refused.reason), "{message}");
            if let Some(harmless) = refused.harmless {
                configure(scope, &[("kafka", raw(&[(refused.name, harmless)]))]).unwrap();
            }
        }
    }
    let message = refusal(Scope::App, &[("kafka", raw(&[("auto.commit.enable", "1")]))]);
    assert!(message.contains("no handler has finished"), "{message}");
}

#[test]
fn raw_settings_of_an_option_are_refused_with_its_name() {
    let cases = [
        (Scope::App, "bootstrap.servers", "a:1", "set the option `bootstrap_servers` instead"),
        (Scope::App, "metadata.broker.list", "a:1", "set the option `bootstrap_servers` instead"),
        (Scope::App, "group.id", "g", "set the option `group` instead"),
        (Scope::App, "auto.offset.reset", "latest", "set the option `initial_offset` of a topic instead"),
        (Scope::Topic, "group.protocol", "consumer", "set the option `group_protocol` of an app instead"),
        (Scope::Topic, "queued.min.messages", "1", "set the option `memory_budget_bytes` of an app instead"),
        (Scope::Producer, "request.required.acks", "1", "set the option `acks` instead"),
        (Scope::Producer, "message.timeout.ms", "1", "set the option `delivery_timeout` instead"),
    ];
    for (scope, name, value, expected) in cases {
        let message = refusal(scope, &[("kafka", raw(&[(name, value)]))]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn raw_settings_are_checked_by_librdkafka() {
    let cases = [
        ("session.timout.ms", "1", "librdkafka does not know this setting; did you mean `session.timeout.ms`?"),
        ("no.such.thing.at.all", "1", "librdkafka does not know this setting"),
        ("session.timeout.ms", "0", "= \"0\": refused by librdkafka: "),
        ("fetch.wait.max.ms", "soon", "= \"soon\": refused by librdkafka: "),
        ("security.protocol", "tls", "= \"tls\": refused by librdkafka: "),
        ("", "1", "a name must not be empty"),
        ("client.rack", "a\0b", "must not hold NUL"),
    ];
    for (name, value, expected) in cases {
        let message = refusal(Scope::App, &[("kafka", raw(&[(name, value)]))]);
        assert!(message.contains(expected), "{name}: {message}");
    }
    let nested = Value::Map(vec![("client.rack".into(), raw(&[("a", "b")]))]);
    assert!(refusal(Scope::App, &[("kafka", nested)]).contains("must be text, a number or a boolean"));
    let same = raw(&[("fetch.message.max.bytes", "1000"), ("max.partition.fetch.bytes", "2000")]);
    assert!(refusal(Scope::App, &[("kafka", same)]).contains("is the same setting as `fetch.message.max.bytes`"));
    let twice = Value::Map(vec![("client.rack".into(), "a".into()), ("client.rack".into(), "b".into())]);
    assert!(refusal(Scope::App, &[("kafka", twice)]).contains("is given twice"));
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2";
    for name in ["sasl.password", "sasl.username", "ssl.key.pem", "ssl.key.password", "sasl.oauthbearer.config"] {
        let config = AppConfig::from_settings(&settings(&[("kafka", raw(&[(name, secret)]))])).unwrap();
        let value = raw(&[(name, secret)]);
        for shown in [format!("{config:?}"), format!("{value:?}"), format!("{:?}", config.entries())] {
            assert!(shown.contains(name) && shown.contains("[redacted]") && !shown.contains(secret), "{shown}");
        }
        let message = refusal(Scope::App, &[("kafka", raw(&[(name, "hunter2\0")]))]);
        assert!(!message.contains(secret), "{message}");
    }
    for name in ["my.Token", "sasl.jaas.config", "x.passphrase", "ssl.keystore.password", "a.secret"] {
        assert!(is_secret(name), "{name}");
        assert!(!refusal(Scope::App, &[("kafka", raw(&[(name, "hunter2\0")]))]).contains(secret));
    }
    assert!(!is_secret("session.timeout.ms"));
}

#[test]
fn dangerous_security_settings_are_warned_about() {
    let kafka =
        |given: &[(&str, &str)]| AppConfig::from_settings(&settings(&[("kafka", raw(given))])).unwrap().warnings();
    assert_eq!(kafka(&[]).len(), 0);
    assert_eq!(kafka(&[("enable.ssl.certificate.verification", "false")]).len(), 1);
    assert_eq!(kafka(&[("ssl.endpoint.identification.algorithm", "none")]).len(), 1);
    assert_eq!(kafka(&[("sasl.mechanism", "PLAIN")]).len(), 1);
    assert_eq!(kafka(&[("sasl.mechanism", "PLAIN"), ("security.protocol", "SASL_SSL")]).len(), 0);
}

/// Asks librdkafka itself.
pub(super) fn librdkafka_takes(settings: &BTreeMap<String, String>) {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(name, value);
    }
    config.create_native_config().unwrap();
}

#[test]
fn client_settings_hold_each_setting_once_and_librdkafka_takes_them() {
    let given = settings(&[("kafka", raw(&[("max.partition.fetch.bytes", "1048576"), ("client.rack", "a")]))]);
    let mut app = AppConfig::from_settings(&given).unwrap();
    let classic = app.client_settings("billing");
    librdkafka_takes(&classic);
    assert_eq!(classic["group.id"], "billing");
    assert_eq!(classic["fetch.message.max.bytes"], "1048576", "the user's value counts, under one name");
    assert!(!classic.contains_key("max.partition.fetch.bytes"));
    assert_eq!(classic["enable.auto.commit"], "false");
    assert_eq!(classic["enable.auto.offset.store"], "false");
    assert_eq!(classic["partition.assignment.strategy"], "cooperative-sticky");
    app.group_protocol = GroupProtocol::Consumer;
    assert!(!app.client_settings("billing").contains_key("partition.assignment.strategy"));

    let producer =
        ProducerConfig { kafka: BTreeMap::from([("batch.size".into(), "1000".into())]), ..ProducerConfig::default() };
    let composed = producer.client_settings();
    librdkafka_takes(&composed);
    assert_eq!(composed["delivery.timeout.ms"], "120000");
    assert_eq!(composed["batch.size"], "1000");
    assert!(!composed.contains_key("connections.max.idle.ms"));
    let composed = ProducerConfig { transactional_id: Some("billing".into()), ..producer }.client_settings();
    librdkafka_takes(&composed);
    assert_eq!(composed["connections.max.idle.ms"], "10000", "or a coordinator that is gone is waited for");
    for (name, value) in consumer_defaults().iter().chain(producer_defaults()) {
        librdkafka_takes(&BTreeMap::from([((*name).to_owned(), (*value).to_owned())]));
    }
}

#[test]
fn names_suggested_for_librdkafka_exist_there() {
    let exists = |name: &str| {
        let answer = ClientConfig::new().set(name, "").create_native_config();
        !matches!(answer.err(), Some(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)))
    };
    assert!(!exists("no.such.setting"));
    let pairs = kafka_names::SAME.iter().flat_map(|(second, kept)| [*second, *kept]);
    let managed = Scope::ALL.into_iter().flat_map(options).flat_map(|spec| spec.kafka.iter().copied());
    for name in kafka_names::all().chain(pairs).chain(managed) {
        assert!(exists(name), "{name}");
    }
}

#[test]
fn a_producer_for_the_same_brokers_gets_what_security_needs_and_nothing_else() {
    let kafka = [("security.protocol", "ssl"), ("ssl.ca.location", "/ca.pem"), ("fetch.wait.max.ms", "10")];
    let settings = [
        ("bootstrap_servers".to_owned(), Value::from("kafka:9092")),
        ("client_id".to_owned(), Value::from("billing")),
        ("kafka".to_owned(), raw(&kafka)),
    ];
    let producer = AppConfig::from_settings(&settings).unwrap().producer_config();
    assert_eq!((producer.bootstrap_servers.as_str(), producer.client_id.as_str()), ("kafka:9092", "billing"));
    let names: Vec<_> = producer.kafka.keys().map(String::as_str).collect();
    assert_eq!(names, ["security.protocol", "ssl.ca.location"]);
    producer.validate().unwrap();
}
