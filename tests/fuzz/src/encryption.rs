//! Sealed records as somebody could have written them: whatever headers and payload are, nothing opens but what was sealed.
#![allow(clippy::expect_used, clippy::panic, reason = "to panic is what this is for")]

use crate::input::Input;
use karafka_encryption::{Envelope, KeyId, KeyRing, OpenError, PrivateKey, PublicKey, Recipient, Sealed, header};
use std::sync::LazyLock;

const PUBLIC: &str = "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c=";
const PRIVATE: &str = "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU";
const PLAIN: &[u8] = b"two apples";
const TOPIC: &str = "orders";
const MOST_HEADERS: usize = 8;

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let (mut ring, key) = (KeyRing::default(), PRIVATE.parse::<PrivateKey>().expect("a key"));
    for id in ["main", "maim"] {
        ring.insert(KeyId::new(id).expect("an id"), key.clone());
    }
    ring
});

/// Sealed once: what an attacker has before him.
static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let key = PUBLIC.parse::<PublicKey>().expect("a key");
    Recipient::new(KeyId::new("main").expect("an id"), key).seal(TOPIC, PLAIN).expect("random numbers")
});

fn headers() -> Headers {
    SEALED.headers().iter().map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec()))).collect()
}

/// Opens as a handler's seat does it: `None` for a record that is not sealed.
fn open(headers: &Headers, topic: &str, payload: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
    let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    Envelope::find(headers)?.map(|envelope| RING.open(&envelope, ["other", topic], payload)).transpose()
}

/// Reads the input as headers and a payload of their own, as damage to a sealed record, or as the text of a key.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => written(&mut input),
        1 => damaged(&mut input),
        _ => {
            // Whatever a key's text is, it is none, or one whose own text reads as the same.
            let text = String::from_utf8_lossy(input.rest()).into_owned();
            if let Ok(key) = text.parse::<PublicKey>() {
                assert_eq!(key.to_pem().parse::<PublicKey>().map(|again| again.to_pem()), Ok(key.to_pem()));
            }
            if let Ok(key) = text.parse::<PrivateKey>() {
                assert!(key.to_pem().parse::<PrivateKey>().is_ok());
            }
        }
    }
}

fn written(input: &mut Input<'_>) {
    let mut headers = Headers::new();
    for _ in 0..input.below(MOST_HEADERS) {
        let known = input.below(header::ALL.len() + 1);
        let name = header::ALL.get(known).map_or_else(|| input.text().into_bytes(), |name| name.as_bytes().to_vec());
        let length = input.below(100);
        let value = match input.below(4) {
            0 => None,
            // The values of the record that was sealed, in whichever header.
            1 => Some(SEALED.headers()[length % header::ALL.len()].1.to_vec()),
            _ => Some(input.bytes(length).to_vec()),
        };
        headers.push((name, value));
    }
    let payload = if input.below(2) == 0 { SEALED.payload.clone() } else { input.rest().to_vec() };
    match open(&headers, TOPIC, &payload) {
        Ok(Some(opened)) => {
            assert_eq!(opened, PLAIN, "something else than what was sealed");
            assert_eq!(payload, SEALED.payload, "another payload opened");
        }
        Ok(None) => {
            let is_ours = |name: &[u8]| header::ALL.iter().any(|known| known.as_bytes() == name);
            assert!(!headers.iter().any(|(name, _)| is_ours(name)), "a sealed record is taken as clear");
        }
        Err(_) => {}
    }
}

fn damaged(input: &mut Input<'_>) {
    let (mut changed, mut payload) = (headers(), SEALED.payload.clone());
    let part = input.below(header::ALL.len() + 2);
    let (at, bits) = (input.integer() as usize, input.byte());
    let mut topic = TOPIC.as_bytes().to_vec();
    let bytes = match changed.get_mut(part) {
        Some((_, Some(value))) => value,
        _ if part == header::ALL.len() => &mut payload,
        _ => &mut topic,
    };
    match bits % 3 {
        0 => bytes.truncate(at % (bytes.len() + 1)),
        1 => bytes.insert(at % (bytes.len() + 1), bits),
        _ => {
            if let Some(at) = at.checked_rem(bytes.len()) {
                bytes[at] ^= bits;
            }
        }
    }
    let is_same = changed == headers() && payload == SEALED.payload && topic == TOPIC.as_bytes();
    let opened = open(&changed, &String::from_utf8_lossy(&topic), &payload);
    match opened {
        Ok(Some(opened)) => assert!(is_same && opened == PLAIN, "part {part}, changed at {at}, opens"),
        Ok(None) => panic!("a sealed record is taken as clear"),
        Err(_) => assert!(!is_same, "what was not changed does not open"),
    }
}
