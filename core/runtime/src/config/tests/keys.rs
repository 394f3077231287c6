//! Keys of encryption as options: one by one and as a map, and never shown.

use super::*;
use crate::config::kafka_names::holds_private_key;
use karafka_encryption::KeyPair;

fn keys(entries: &[(&str, &str)]) -> Value {
    Value::Map(entries.iter().map(|(id, key)| ((*id).to_owned(), Value::from(*key))).collect())
}

#[test]
fn keys_are_given_as_a_map_in_a_group_or_one_by_one() {
    let expected = EncryptionKeys::from([("2025", "file:old.pem"), ("2026.11", "env:KEY")]);
    for given in [
        vec![("encryption_keys", keys(&[("2025", "file:old.pem"), ("2026.11", "env:KEY")]))],
        vec![(
            "encryption",
            Value::Map(vec![("keys".to_owned(), keys(&[("2025", "file:old.pem"), ("2026.11", "env:KEY")]))]),
        )],
        vec![("encryption_keys.2025", "file:old.pem".into()), ("encryption_keys.2026.11", "env:KEY".into())],
    ] {
        let config = TopicConfig::from_settings(&settings(&given)).unwrap();
        assert_eq!(config.encryption_keys, expected);
        assert!(config.encryption_required);
    }
    let shown = format!("{expected:?}");
    assert_eq!(shown, r#"{"2025": "file:old.pem", "2026.11": "env:KEY"}"#);
}

#[test]
fn an_active_key_is_one_of_the_keys() {
    let two = keys(&[("a", "file:a.pem"), ("b", "file:b.pem")]);
    for (given, active) in [
        (vec![], None),
        (vec![("encryption_keys.a", "file:a.pem".into())], Some("a")),
        (vec![("encryption_keys", two.clone()), ("encryption_active_key", "b".into())], Some("b")),
        (vec![("encryption_keys.only", "file:a.pem".into())], Some("only")),
        (vec![("encryption_keys.a", "file:a.pem".into()), ("encryption_active_key", "a".into())], Some("a")),
    ] {
        assert_eq!(ProducerConfig::from_settings(&settings(&given)).unwrap().active_key(), active);
    }
    for (given, said) in [
        (vec![("encryption_keys", two.clone())], "must be one of the ids of encryption_keys, which are: \"a\", \"b\""),
        (vec![("encryption_keys", two), ("encryption_active_key", "c".into())], "must be one of the ids"),
        (vec![("encryption_active_key", "c".into())], "which are: none"),
    ] {
        let refused = refusal(Scope::Producer, &given);
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn no_refusal_and_no_debug_shows_a_key() {
    let pair = KeyPair::generate();
    let (pem, public) = (pair.private.to_pem(), pair.public.to_pem());
    let body = pem.lines().nth(1).unwrap();
    let spread = format!(" {}\n{}", &body[..7], &body[7..]);
    for text in [&pem, body, &body[..30], &spread] {
        assert!(holds_private_key(text));
    }
    assert!(!holds_private_key(&public) && !holds_private_key("2026-11") && !holds_private_key(""));
    let hidden = |text: &str| assert!(!text.contains(&body[20..40]), "{text}");
    for (scope, given, said) in [
        (Scope::Topic, vec![("encryption_keys", pem.as_str().into())], "encryption_keys: must be a map"),
        (Scope::Topic, vec![("encryption_keys", keys(&[("a b", &pem)]))], "encryption_keys[\"a b\"]: an id has"),
        (Scope::Topic, vec![("encryption_keys", keys(&[("a", &pem[..100])]))], "neither PEM nor"),
        (Scope::Topic, vec![("encryption_keys", keys(&[("a", &public)]))], "it is a public key"),
        (
            Scope::Topic,
            vec![("encryption_keys", keys(&[("a", "keys/a.pem")]))],
            "a file is given as \"file:\" and its path",
        ),
        (Scope::Topic, vec![("encryption_keys", keys(&[("a", "file:")]))], "names no file"),
        (Scope::Topic, vec![("encryption_keys.a", 7.into())], "must be text"),
        (Scope::Topic, vec![("encryption_topics", "a b".into())], "names of topics, separated by commas"),
        (
            Scope::Topic,
            vec![("encryption_keys", keys(&[(&pem, "file:a")]))],
            "encryption_keys[\"[redacted]\"]: an id has",
        ),
        (Scope::Topic, vec![("encryption_keys", keys(&[(&body[..60], "file:a")]))], "[\"[redacted]\"]: an id has"),
        (Scope::Producer, vec![("encryption_keys", keys(&[("a", &pem)]))], "it is a private key"),
        (Scope::Producer, vec![("encryption_keys", keys(&[("a", body)]))], "it is a private key"),
        (
            Scope::Producer,
            vec![("encryption_active_key", pem.as_str().into())],
            "encryption_active_key = \"[redacted]\"",
        ),
        (Scope::Producer, vec![("encryption_active_key", body.into())], "encryption_active_key = \"[redacted]\""),
    ] {
        hidden(&format!("{given:?}"));
        let refused = refusal(scope, &given);
        assert!(refused.contains(said), "{refused}");
        hidden(&refused);
    }
    let config = TopicConfig::from_settings(&settings(&[("encryption_keys.a", pem.as_str().into())])).unwrap();
    let shown = format!("{config:?} {:?}", config.entries());
    assert!(shown.contains(r#"{"a": [key]}"#), "{shown}");
    hidden(&shown);
}

#[test]
fn of_an_app_they_are_public_and_of_its_transactions_only() {
    let public = KeyPair::generate().public.to_pem();
    let given = [("transaction_encryption_keys.a", public.as_str().into())];
    let config = AppConfig::from_settings(&settings(&given)).unwrap();
    let of_transactions = config.transactions_config("group", "brokers", &config.kafka);
    assert_eq!((of_transactions.active_key(), config.producer_config().active_key()), (Some("a"), None));
    let given = [("transaction_encryption_active_key", "b".into())];
    let refused = refusal(Scope::App, &given);
    assert!(refused.contains("must be one of the ids of transaction_encryption_keys, which are: none"), "{refused}");
    let private = KeyPair::generate().private.to_pem();
    let refused = refusal(Scope::App, &[("transaction_encryption_keys.a", private.as_str().into())]);
    assert!(refused.contains("it is a private key"), "{refused}");
}
