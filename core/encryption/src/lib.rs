//! Envelope encryption of one record's payload.
//!
//! Pure but for the system's random numbers: no thread, clock or IO. The runtime seals on the thread that produces and opens on the
//! worker that took the job; everything here may be shared by threads. Guarantees: what does not open is an error, never other bytes;
//! no error, `Debug` or panic shows a key or a payload; hostile headers and payloads cannot panic; keys are overwritten when dropped.
//!
//! ```
//! use karafka_encryption::{Envelope, KeyId, KeyPair, KeyRing, PrivateKey, Recipient};
//!
//! let KeyPair { private, public } = KeyPair::generate();
//! let recipient = Recipient::new(KeyId::new("2026-11")?, public);
//! let sealed = recipient.seal("orders", b"two apples")?;
//!
//! let mut ring = KeyRing::default();
//! ring.insert(KeyId::new("2026-11")?, private);
//! let headers = sealed.headers().map(|(name, value)| (name.as_bytes(), Some(value)));
//! let envelope = Envelope::find(headers)?.expect("it was sealed");
//! assert_eq!(ring.open(&envelope, ["orders"], &sealed.payload)?, b"two apples");
//! assert!(ring.open(&envelope, ["payments"], &sealed.payload).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout, version 1
//!
//! Four headers are added behind the record's own. Names are ASCII, and each is there exactly once:
//!
//! | header | value |
//! |---|---|
//! | `encryption_version` | `1` |
//! | `encryption_algorithm` | `X25519-HKDF-SHA256+AES-256-GCM` |
//! | `encryption_key_id` | whose private key opens it: 1 to 64 of `A`-`Z` `a`-`z` `0`-`9` `.` `_` `-` |
//! | `encryption_key` | 80 bytes: the encapsulated key of HPKE (32), then the record's wrapped key (32) and its tag (16) |
//!
//! The payload is a nonce (12 bytes), the ciphertext (as long as what was sealed), and a tag (16 bytes): 28 bytes more than before.
//!
//! The record's key is 32 random bytes, used once. It is wrapped by HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256 and AES-256-GCM, without associated data, with
//!
//! ```text
//! info = "karafka/encryption/1" 00 text(algorithm) text(key id)
//! ```
//!
//! The payload is sealed by AES-256-GCM with the record's key, the nonce, and the associated data
//!
//! ```text
//! associated data = info text(topic) wrapped key, all 80 bytes
//! ```
//!
//! where `text(x)` is the length of `x` in bytes as two bytes, the higher first, then `x`. So headers, topic and payload belong
//! together; a record that was taken elsewhere or changed anywhere does not open.
//!
//! A tombstone has no payload and is never sealed.

#![forbid(unsafe_code)]

mod envelope;
mod error;
mod key;
mod pem;
mod ring;
mod seal;

pub use envelope::{ALGORITHM, Envelope, VERSION, header};
pub use error::{KeyError, OpenError, SealError};
pub use key::{KeyId, KeyPair, PrivateKey, PublicKey};
pub use ring::KeyRing;
pub use seal::{Recipient, Sealed};
