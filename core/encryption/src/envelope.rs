//! The headers of a sealed record: their names and how they are read. Called for every record of an encrypted topic on the worker
//! that has it. Whatever is written into headers, it is an envelope, none, or an error.

use crate::error::OpenError;
use crate::key::KeyId;

/// Names of the headers that sealing adds.
pub mod header {
    /// The version of the layout.
    pub const VERSION: &str = "encryption_version";
    /// How the key is wrapped and the payload sealed.
    pub const ALGORITHM: &str = "encryption_algorithm";
    /// Which key pair the record's key is wrapped for.
    pub const KEY_ID: &str = "encryption_key_id";
    /// The record's key, wrapped.
    pub const KEY: &str = "encryption_key";
    /// All of them, in the order in which they are added.
    pub const ALL: [&str; 4] = [VERSION, ALGORITHM, KEY_ID, KEY];
}

/// The version that is written, and the only one that is read.
pub const VERSION: &str = "1";

/// The algorithm that is written, and the only one that is read.
pub const ALGORITHM: &str = "X25519-HKDF-SHA256+AES-256-GCM";

/// Bytes of HPKE's encapsulated key.
pub(crate) const ENCAPSULATED: usize = 32;
/// Bytes of a record's key.
pub(crate) const KEY: usize = 32;
/// Bytes of a tag of AES-GCM.
pub(crate) const TAG: usize = 16;
/// Bytes of a nonce of AES-GCM.
pub(crate) const NONCE: usize = 12;
/// Bytes of the header with the wrapped key.
pub(crate) const WRAPPED: usize = ENCAPSULATED + KEY + TAG;

/// What the headers of a sealed record say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub(crate) key_id: KeyId,
    pub(crate) wrapped: [u8; WRAPPED],
}

impl Envelope {
    /// Reads a record's headers; `None` when it is not sealed.
    ///
    /// # Errors
    /// [`OpenError::Malformed`] when some headers of an envelope are there and others are not, or have no such value;
    /// [`OpenError::Version`] and [`OpenError::Algorithm`] for those that are not known.
    pub fn find<'headers>(
        headers: impl IntoIterator<Item = (&'headers [u8], Option<&'headers [u8]>)>,
    ) -> Result<Option<Self>, OpenError> {
        let mut values = [None; header::ALL.len()];
        for (name, value) in headers {
            let known = header::ALL.iter().zip(&mut values).find(|(known, _)| known.as_bytes() == name);
            let Some((known, slot)) = known else { continue };
            if slot.replace(value.ok_or(OpenError::Malformed(known))?).is_some() {
                return Err(OpenError::Malformed(known));
            }
        }
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [version, algorithm, key_id, wrapped] = values;
        if version.ok_or(OpenError::Malformed(header::VERSION))? != VERSION.as_bytes() {
            return Err(OpenError::Version);
        }
        if algorithm.ok_or(OpenError::Malformed(header::ALGORITHM))? != ALGORITHM.as_bytes() {
            return Err(OpenError::Algorithm);
        }
        let key_id = key_id.and_then(|id| KeyId::new(std::str::from_utf8(id).ok()?).ok());
        let wrapped = wrapped.and_then(|wrapped| wrapped.try_into().ok());
        Ok(Some(Self {
            key_id: key_id.ok_or(OpenError::Malformed(header::KEY_ID))?,
            wrapped: wrapped.ok_or(OpenError::Malformed(header::KEY))?,
        }))
    }

    /// The key pair that the record is sealed for.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }
}

/// What a wrapped key is bound to.
pub(crate) fn info(key_id: &KeyId) -> Vec<u8> {
    let mut info = b"karafka/encryption/1\0".to_vec();
    put(&mut info, ALGORITHM);
    put(&mut info, key_id.as_str());
    info
}

/// What a payload is bound to.
pub(crate) fn associated_data(mut info: Vec<u8>, topic: &str, wrapped: &[u8; WRAPPED]) -> Vec<u8> {
    put(&mut info, topic);
    info.extend_from_slice(wrapped);
    info
}

/// The length, so that no two lists of texts are the same bytes. Kafka's topics have at most 249 bytes; of a longer text the
/// lower part of its length is as good, since all lists have as many texts.
fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
