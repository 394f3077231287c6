//! Nothing that was changed opens, hostile headers and keys are errors, and no text shows a secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka_encryption::{
    Envelope, KeyError, KeyId, KeyPair, KeyRing, OpenError, PrivateKey, PublicKey, Recipient, Sealed, header,
};
use proptest::prelude::*;
use std::sync::LazyLock;

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

static PAIR: LazyLock<KeyPair> = LazyLock::new(KeyPair::generate);

fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(id("main"), PAIR.private.clone());
    // One letter away from the first.
    ring.insert(id("maim"), PAIR.private.clone());
    ring
}

fn seal(payload: &[u8]) -> Sealed {
    Recipient::new(id("main"), PAIR.public.clone()).seal("orders", payload).unwrap()
}

fn owned(sealed: &Sealed) -> Headers {
    sealed.headers().iter().map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec()))).collect()
}

/// As a consumer does it: `None` for a record that is not sealed.
fn open(headers: &Headers, topic: &str, payload: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
    let headers = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    Envelope::find(headers)?.map(|envelope| ring().open(&envelope, [topic], payload)).transpose()
}

#[test]
fn every_flipped_bit_of_the_payload_and_of_each_header_is_an_error() {
    let sealed = seal(b"two apples");
    let headers = owned(&sealed);
    assert_eq!(open(&headers, "orders", &sealed.payload).unwrap().unwrap(), b"two apples");
    for bit in 0..sealed.payload.len() * 8 {
        let mut changed = sealed.payload.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&headers, "orders", &changed), Err(OpenError::Refused(id("main"))), "payload, bit {bit}");
    }
    for place in 0..headers.len() {
        for bit in 0..headers[place].0.len() * 8 {
            let mut changed = headers.clone();
            changed[place].0[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, "orders", &sealed.payload).is_err(), "name {place}, bit {bit}");
        }
        for bit in 0..headers[place].1.as_ref().unwrap().len() * 8 {
            let mut changed = headers.clone();
            changed[place].1.as_mut().unwrap()[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, "orders", &sealed.payload).is_err(), "value {place}, bit {bit}");
        }
    }
}

#[test]
fn headers_that_are_missing_doubled_or_null_are_errors() {
    let sealed = seal(b"two apples");
    let headers = owned(&sealed);
    for place in 0..headers.len() {
        let name = header::ALL[place];
        let mut without = headers.clone();
        without.remove(place);
        assert_eq!(open(&without, "orders", &sealed.payload), Err(OpenError::Malformed(name)));
        let mut doubled = headers.clone();
        doubled.push(headers[place].clone());
        assert_eq!(open(&doubled, "orders", &sealed.payload), Err(OpenError::Malformed(name)));
        let mut null = headers.clone();
        null[place].1 = None;
        assert_eq!(open(&null, "orders", &sealed.payload), Err(OpenError::Malformed(name)));
    }
    let with = |name: &str, value: &[u8]| {
        let mut changed = headers.clone();
        changed.iter_mut().find(|header| header.0 == name.as_bytes()).unwrap().1 = Some(value.to_vec());
        open(&changed, "orders", &sealed.payload)
    };
    assert_eq!(with(header::VERSION, b"2"), Err(OpenError::Version));
    assert_eq!(with(header::ALGORITHM, b"ROT13"), Err(OpenError::Algorithm));
    assert_eq!(with(header::KEY_ID, b"other"), Err(OpenError::UnknownKey(id("other"))));
    assert_eq!(with(header::KEY_ID, "ключ".as_bytes()), Err(OpenError::Malformed(header::KEY_ID)));
    assert_eq!(with(header::KEY, &[0; 79]), Err(OpenError::Malformed(header::KEY)));
    // A point of the curve whose secrets everybody knows.
    assert_eq!(with(header::KEY, &[0; 80]), Err(OpenError::Refused(id("main"))));
}

#[test]
fn pieces_of_two_records_do_not_open_together() {
    let (one, other) = (seal(b"two apples"), seal(b"six apples"));
    assert!(open(&owned(&one), "orders", &other.payload).is_err());
    assert!(open(&owned(&one), "payments", &one.payload).is_err());
    // No two are alike, also of the same payload.
    let again = seal(b"two apples");
    assert_ne!(one.payload, again.payload);
    assert_ne!(one.headers()[3].1, again.headers()[3].1);
    assert!(!one.payload.windows(5).any(|part| part == b"apple"));
}

#[test]
fn a_record_without_an_envelope_is_not_sealed() {
    let plain = vec![(b"encryption".to_vec(), None), (b"encryption_keys".to_vec(), Some(b"x".to_vec()))];
    assert_eq!(open(&plain, "orders", b"plain"), Ok(None));
    assert_eq!(open(&Vec::new(), "orders", b""), Ok(None));
}

#[test]
fn keys_say_what_is_wrong_with_them() {
    let (private, public) = (PAIR.private.to_pem(), PAIR.public.to_pem());
    let body = |pem: &str| pem.lines().nth(1).unwrap().to_owned();
    assert_eq!(private.parse::<PublicKey>().unwrap_err(), KeyError::Private);
    assert_eq!(body(&private).parse::<PublicKey>().unwrap_err(), KeyError::Private);
    assert_eq!(public.parse::<PrivateKey>().unwrap_err(), KeyError::Public);
    assert_eq!(body(&public).parse::<PrivateKey>().unwrap_err(), KeyError::Public);
    assert!(body(&public).parse::<PublicKey>().unwrap() == PAIR.public);
    assert!(body(&private).parse::<PrivateKey>().unwrap().public() == PAIR.public);
    let with_text_around = format!("made by hand\n{}\nand more\n", private.replace('\n', "\r\n"));
    assert!(with_text_around.parse::<PrivateKey>().unwrap().public() == PAIR.public);
    // 32 bytes could be either: nobody finds out that the wrong half was given until the records cannot be read.
    assert_eq!("A".repeat(43).as_str().to_owned().parse::<PublicKey>().unwrap_err(), KeyError::Encoding);
    assert_eq!(format!("{}=", "A".repeat(43)).parse::<PublicKey>().unwrap_err(), KeyError::Encoding);
    for text in
        ["", "-----BEGIN ", "-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----"]
    {
        assert_eq!(text.parse::<PublicKey>().unwrap_err(), KeyError::Encoding);
        assert_eq!(text.parse::<PrivateKey>().unwrap_err(), KeyError::Encoding);
    }
    let with_password = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMEMC\n-----END ENCRYPTED PRIVATE KEY-----";
    assert_eq!(with_password.parse::<PrivateKey>().unwrap_err(), KeyError::Password);
    // Ed25519 is not for this.
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----";
    assert_eq!(ed25519.parse::<PublicKey>().unwrap_err(), KeyError::Algorithm);
    let zero = "MCowBQYDK2VuAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(zero.parse::<PublicKey>().unwrap_err(), KeyError::Weak);
}

#[test]
fn no_text_shows_a_secret() {
    let secret = PAIR.private.to_pem();
    let body = secret.lines().nth(1).unwrap();
    let shown = format!("{:?} {:?} {:?} {:?} {:?}", PAIR.private, *PAIR, ring(), seal(b"apples"), PAIR.public);
    assert_eq!(shown, r#"PrivateKey KeyPair {"maim", "main"} Sealed(34 bytes for main) PublicKey"#);
    for error in [KeyError::Encoding, KeyError::Algorithm, KeyError::Password, KeyError::Private, KeyError::Weak] {
        assert!(!error.to_string().contains(&body[21..40]));
    }
    assert_eq!(KeyId::new(&body[..15]), Err(KeyError::Id));
    for key_id in ["", "a b", "a\n", "ä", &"a".repeat(65)] {
        assert_eq!(KeyId::new(key_id), Err(KeyError::Id));
    }
}

fn header() -> impl Strategy<Value = (Vec<u8>, Option<Vec<u8>>)> {
    let name = prop_oneof![
        4 => prop::sample::select(header::ALL.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    let value = prop_oneof![
        Just(b"1".to_vec()),
        Just(karafka_encryption::ALGORITHM.as_bytes().to_vec()),
        Just(b"main".to_vec()),
        prop::collection::vec(any::<u8>(), 80),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    (name, prop::option::weighted(0.9, value))
}

/// Headers as they should be, with wrong keys and payloads behind them, and any others.
fn hostile() -> impl Strategy<Value = Headers> {
    let good = prop::collection::vec(any::<u8>(), 80).prop_map(|wrapped| {
        let values = [b"1".to_vec(), karafka_encryption::ALGORITHM.as_bytes().to_vec(), b"main".to_vec(), wrapped];
        header::ALL.iter().zip(values).map(|(name, value)| (name.as_bytes().to_vec(), Some(value))).collect()
    });
    prop_oneof![good, prop::collection::vec(header(), 0..6)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_sealed_opens(payload in prop::collection::vec(any::<u8>(), 0..2000), topic in "[a-zA-Z0-9._-]{1,249}") {
        let sealed = Recipient::new(id("main"), PAIR.public.clone()).seal(&topic, &payload).unwrap();
        prop_assert_eq!(open(&owned(&sealed), &topic, &sealed.payload).unwrap().unwrap(), payload);
    }

    #[test]
    fn hostile_records_are_plain_or_errors(headers in hostile(), payload in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(opened) = open(&headers, "orders", &payload) {
            prop_assert_eq!(opened, None);
            let names = |header: &(Vec<u8>, Option<Vec<u8>>)| header::ALL.iter().any(|name| name.as_bytes() == header.0);
            prop_assert!(!headers.iter().any(names));
        }
    }

    #[test]
    fn cut_payloads_are_errors(keep in 0_usize..38, more in prop::collection::vec(any::<u8>(), 1..20)) {
        let sealed = seal(b"two apples");
        prop_assert!(open(&owned(&sealed), "orders", &sealed.payload[..keep]).is_err());
        let longer = [sealed.payload.as_slice(), &more].concat();
        prop_assert!(open(&owned(&sealed), "orders", &longer).is_err());
    }

    #[test]
    fn hostile_keys_do_not_panic(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = (text.parse::<PublicKey>().is_ok(), text.parse::<PrivateKey>().is_ok());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let pem = format!("-----BEGIN {text}-----\n{text}\n-----END {text}-----");
        let _ = (pem.parse::<PublicKey>().is_ok(), pem.parse::<PrivateKey>().is_ok());
    }
}
