//! What can be wrong with a key, and why a record does not open. Plain data; shows ids only, never keys, payloads or other headers.

use crate::key::KeyId;
use std::fmt;

/// Why a text is no key, or no id of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// An id has 1 to 64 letters, digits, dots, underscores and hyphens.
    Id,
    /// Neither PEM nor base64 of DER.
    Encoding,
    /// A key of another algorithm than X25519.
    Algorithm,
    /// A private key that has a password.
    Password,
    /// A private key where a public one belongs.
    Private,
    /// A public key where a private one belongs.
    Public,
    /// A public key to which nothing can be sealed: everybody could open it.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "an id has 1 to 64 letters, digits, dots, underscores and hyphens",
            Self::Encoding => "it is neither PEM nor the base64 text of DER (PEM without its first and last line)",
            Self::Algorithm => "it is not an X25519 key, as `openssl genpkey -algorithm X25519` makes one",
            Self::Password => "it is a private key with a password; take one without, in a place that is guarded",
            Self::Private => "it is a private key, and a public key belongs here",
            Self::Public => "it is a public key, and a private key belongs here",
            Self::Weak => "it is a public key whose secrets everybody can compute",
        })
    }
}

impl std::error::Error for KeyError {}

/// A payload cannot be sealed: the system has no random numbers, or it has more than 64 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealError;

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload cannot be encrypted: the system has no random numbers, or it is too large")
    }
}

impl std::error::Error for SealError {}

/// Why a record does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// A header of the envelope is missing, is there twice, or has no such value.
    Malformed(&'static str),
    /// Sealed by a later version.
    Version,
    /// Sealed by another algorithm.
    Algorithm,
    /// No key has this id.
    UnknownKey(KeyId),
    /// The key of this id does not open it: the record was changed, was sealed for another topic, or for another key that had
    /// this id. It cannot be told which.
    Refused(KeyId),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(name) => write!(f, "the header {name} of an encrypted record is missing or malformed"),
            Self::Version => f.write_str("the record is encrypted by a version of libkarafka that is not known here"),
            Self::Algorithm => f.write_str("the record is encrypted by an algorithm that is not known here"),
            Self::UnknownKey(id) => write!(f, "there is no private key with the id {id}"),
            Self::Refused(id) => write!(
                f,
                "the private key with the id {id} does not open the record: it was changed, or encrypted for another topic or \
                 another key"
            ),
        }
    }
}

impl std::error::Error for OpenError {}
