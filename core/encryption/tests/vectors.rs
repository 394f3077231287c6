//! Records that another implementation has sealed open here; what is sealed here has the layout that it reads.
//!
//! `tests/vectors/make.py` made them, and opens what `what_is_sealed_here` prints with `PRINT_SEALED=1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka_encryption::{Envelope, KeyId, KeyPair, KeyRing, OpenError, PrivateKey, PublicKey, Recipient};
use serde_json::{Value, json};

fn bytes(hex: &Value) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.as_str().unwrap().bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

struct Vector {
    private: PrivateKey,
    public: PublicKey,
    topic: String,
    payload: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    sealed: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let all: Value = serde_json::from_str(include_str!("vectors/version1.json")).unwrap();
    let read = |vector: &Value| Vector {
        private: vector["private_key"].as_str().unwrap().parse().unwrap(),
        public: vector["public_key"].as_str().unwrap().parse().unwrap(),
        topic: vector["topic"].as_str().unwrap().to_owned(),
        payload: bytes(&vector["payload"]),
        headers: vector["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), bytes(value)))
            .collect(),
        sealed: bytes(&vector["sealed"]),
    };
    all.as_array().unwrap().iter().map(read).collect()
}

fn envelope(headers: &[(String, Vec<u8>)]) -> Envelope {
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_slice())));
    Envelope::find(headers).unwrap().unwrap()
}

#[test]
fn what_another_implementation_has_sealed_opens() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 6);
    for vector in &vectors {
        let envelope = envelope(&vector.headers);
        let mut ring = KeyRing::default();
        assert_eq!(
            ring.open(&envelope, [vector.topic.as_str()], &vector.sealed),
            Err(OpenError::UnknownKey(envelope.key_id().clone()))
        );
        ring.insert(envelope.key_id().clone(), vector.private.clone());
        assert_eq!(ring.open(&envelope, [vector.topic.as_str()], &vector.sealed).unwrap(), vector.payload);
        // Also where it is one of several topics.
        assert_eq!(ring.open(&envelope, ["other", &vector.topic], &vector.sealed).unwrap(), vector.payload);
        let refused = Err(OpenError::Refused(envelope.key_id().clone()));
        assert_eq!(ring.open(&envelope, ["other"], &vector.sealed), refused);
        // Another key of the same id.
        ring.insert(envelope.key_id().clone(), KeyPair::generate().private);
        assert_eq!(ring.open(&envelope, [vector.topic.as_str()], &vector.sealed), refused);
    }
}

#[test]
fn keys_of_another_implementation_are_pairs_here_and_are_written_alike() {
    let all: Value = serde_json::from_str(include_str!("vectors/version1.json")).unwrap();
    for (vector, text) in vectors().iter().zip(all.as_array().unwrap()) {
        assert!(vector.private.public() == vector.public);
        assert_eq!(vector.private.to_pem().as_str(), text["private_key"].as_str().unwrap());
        assert_eq!(vector.public.to_pem(), text["public_key"].as_str().unwrap());
    }
}

#[test]
fn what_is_sealed_here() {
    let mut records = Vec::new();
    for vector in &vectors() {
        let key_id = envelope(&vector.headers).key_id().clone();
        let recipient = Recipient::new(key_id.clone(), vector.public.clone());
        let sealed = recipient.seal(&vector.topic, &vector.payload).unwrap();
        assert_eq!(sealed.payload.len(), vector.payload.len() + 28);
        let headers: Vec<(String, Vec<u8>)> =
            sealed.headers().iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let mut ring = KeyRing::default();
        ring.insert(key_id, vector.private.clone());
        assert_eq!(ring.open(&envelope(&headers), [vector.topic.as_str()], &sealed.payload).unwrap(), vector.payload);
        let headers: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| (name.clone(), json!(hex(value)))).collect();
        records.push(json!({
            "private_key": vector.private.to_pem().as_str(), "topic": vector.topic, "payload": hex(&vector.payload),
            "headers": headers, "sealed": hex(&sealed.payload),
        }));
    }
    if std::env::var_os("PRINT_SEALED").is_some() {
        println!("{}", Value::from(records));
    }
    assert_eq!(
        KeyId::new("").unwrap_err().to_string(),
        "an id has 1 to 64 letters, digits, dots, underscores and hyphens"
    );
}
