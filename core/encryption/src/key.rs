//! Keys and their ids. Made by whoever reads a configuration; shared by threads; private keys are overwritten when dropped.

use crate::error::KeyError;
use crate::pem;
use crate::seal::Recipient;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Most characters of an id.
const LONGEST_ID: usize = 64;

/// How the base64 text of a private key begins, which is as long as an id may be. Ids are shown and sent.
const PRIVATE_START: &str = "MC4CAQAwBQYDK2V";

/// The name of a key pair, by which records say who opens them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Takes a name.
    ///
    /// # Errors
    /// [`KeyError::Id`] unless it has 1 to 64 letters, digits, dots, underscores and hyphens, all of ASCII, or when it begins
    /// as a private key does.
    pub fn new(id: &str) -> Result<Self, KeyError> {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"._-".contains(&letter);
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(fits) || id.starts_with(PRIVATE_START) {
            return Err(KeyError::Id);
        }
        Ok(Self(id.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What records are sealed for: it opens nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(crate) <X25519HkdfSha256 as Kem>::PublicKey);

/// What opens records.
#[derive(Clone)]
pub struct PrivateKey(pub(crate) <X25519HkdfSha256 as Kem>::PrivateKey);

/// A new private key with its public one.
pub struct KeyPair {
    /// Opens what the other one seals.
    pub private: PrivateKey,
    /// Seals.
    pub public: PublicKey,
}

impl KeyPair {
    /// Makes a pair out of the system's random numbers.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub fn generate() -> Self {
        let (private, public) = X25519HkdfSha256::gen_keypair();
        Self { private: PrivateKey(private), public: PublicKey(public) }
    }
}

impl PublicKey {
    fn of(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = Self(Deserializable::from_bytes(bytes).map_err(|_| KeyError::Encoding)?);
        if Recipient::can_seal(&key) { Ok(key) } else { Err(KeyError::Weak) }
    }

    /// The key as PEM (`SubjectPublicKeyInfo`).
    pub fn to_pem(&self) -> String {
        pem::write_public(&self.0.to_bytes())
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads PEM, or the base64 text inside of it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::of(&*pem::read_public(text)?)
    }
}

impl PrivateKey {
    /// The public key that seals for it.
    pub fn public(&self) -> PublicKey {
        PublicKey(X25519HkdfSha256::sk_to_pk(&self.0))
    }

    /// The key as PEM (PKCS #8), without a password.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.0.write_exact(&mut *bytes);
        pem::write_private(&bytes)
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    /// Reads PEM, or the base64 text inside of it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = pem::read_private(text)?;
        Deserializable::from_bytes(&*bytes).map(Self).map_err(|_| KeyError::Encoding)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey")
    }
}

impl fmt::Debug for PrivateKey {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl fmt::Debug for KeyPair {
    /// Never shows the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
    }
}
