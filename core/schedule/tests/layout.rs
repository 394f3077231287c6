//! What is written is read again, and nothing that is read makes it panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka_schedule::layout::{Envelope, header};
use proptest::prelude::*;

type Bytes = Vec<u8>;

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..20))
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        at in any::<i64>(), topic in "[a-z.]{1,20}", partition in prop::option::of(any::<i32>()), partition_key in bytes(),
        key in bytes(), timestamp in prop::option::of(any::<i64>()), is_tombstone in any::<bool>(),
        own in prop::collection::vec((prop_oneof![Just("schedule_at".to_owned()), "[a-z_]{0,9}"], bytes()), 0..4),
    ) {
        let (partition_key, key) = (partition_key.as_deref(), key.as_deref());
        let envelope = Envelope { at, topic: &topic, partition, partition_key, key, timestamp, is_tombstone };
        let mut headers = envelope.headers();
        headers.extend(own.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())));
        let lent: Vec<_> = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
        let (read, ours) = Envelope::read(&lent).unwrap();
        prop_assert_eq!(read, envelope);
        prop_assert_eq!(lent.len() - ours, own.len());
        prop_assert!(lent.iter().skip(ours).zip(&own).all(|(lent, own)| lent.0 == own.0.as_bytes() && lent.1 == own.1.as_deref()));
    }

    #[test]
    fn damaged_headers_are_refused_in_words(
        headers in prop::collection::vec((prop_oneof![
            Just(header::VERSION.to_owned()), Just(header::AT.to_owned()), Just(header::TOPIC.to_owned()),
            Just(header::PARTITION.to_owned()), "[a-z_]{0,20}",
        ], prop::option::of(prop_oneof![Just(b"1".to_vec()), prop::collection::vec(any::<u8>(), 0..5)])), 0..6),
    ) {
        let lent: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())).collect();
        if let Err(words) = Envelope::read(&lent) {
            prop_assert!(words.len() > 10, "{words}");
        }
    }
}

#[test]
fn each_defect_has_its_words() {
    let version = (header::VERSION.as_bytes(), Some(&b"1"[..]));
    let topic = (header::TOPIC.as_bytes(), Some(&b"orders"[..]));
    let at = (header::AT.as_bytes(), Some(&b"12"[..]));
    let words = |headers: &[_]| Envelope::read(headers).unwrap_err();
    assert_eq!(words(&[]), "no header schedule_version: it was not put here by schedule");
    assert_eq!(words(&[version, at]), "no header schedule_topic");
    assert_eq!(words(&[version, topic]), "no header schedule_at");
    assert_eq!(
        words(&[(version.0, Some(b"2")), topic, at]),
        "layout 2 is not known here: a newer version has written it"
    );
    assert_eq!(
        words(&[version, topic, (at.0, Some(b"soon"))]),
        "the header schedule_at is \"soon\", which is no number"
    );
    assert_eq!(words(&[version, topic, (at.0, None)]), "the header schedule_at has no value");
    assert_eq!(words(&[(b"trace", Some(b"x"))]), "trace is no header of a scheduled message");
}
