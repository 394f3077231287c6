//! Opening: private keys by their ids. Shared by the workers of a topic; locks nothing and changes nothing.

use crate::envelope::{ENCAPSULATED, Envelope, KEY, NONCE, TAG, WRAPPED, associated_data, info};
use crate::error::OpenError;
use crate::key::{KeyId, PrivateKey};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use hpke::aead::{AeadTag, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, OpModeR, single_shot_open_inout_detached};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Private keys by id: of new records and of those from before a rotation.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: BTreeMap<KeyId, PrivateKey>,
}

impl KeyRing {
    /// Adds a key; returns whether the id was free. A key that has it already is replaced.
    pub fn insert(&mut self, key_id: KeyId, key: PrivateKey) -> bool {
        self.keys.insert(key_id, key).is_none()
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }

    /// Opens a record's payload, if it was sealed for one of these topics.
    ///
    /// # Errors
    /// [`OpenError::UnknownKey`], [`OpenError::Refused`].
    pub fn open<'topics>(
        &self,
        envelope: &Envelope,
        topics: impl IntoIterator<Item = &'topics str>,
        payload: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let key_id = &envelope.key_id;
        let private = self.keys.get(key_id).ok_or_else(|| OpenError::UnknownKey(key_id.clone()))?;
        let refused = || OpenError::Refused(key_id.clone());
        let info = info(key_id);
        let key = unwrap(private, &envelope.wrapped, &info).ok_or_else(refused)?;
        let cipher = Aes256Gcm::new((&*key).into());
        let (nonce, sealed) = payload.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(refused)?;
        for topic in topics {
            let associated = associated_data(info.clone(), topic, &envelope.wrapped);
            let mut opened = body.to_vec();
            let buffer = InOutBuf::from(opened.as_mut_slice());
            if cipher.decrypt_inout_detached(nonce.into(), &associated, buffer, tag.into()).is_ok() {
                return Ok(opened);
            }
        }
        Err(refused())
    }
}

fn unwrap(private: &PrivateKey, wrapped: &[u8; WRAPPED], info: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let (encapsulated, rest) = wrapped.split_first_chunk::<ENCAPSULATED>()?;
    let (inside, tag) = rest.split_first_chunk::<KEY>()?;
    let mut key = Zeroizing::new(*inside);
    single_shot_open_inout_detached::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private.0,
        &Deserializable::from_bytes(encapsulated).ok()?,
        info,
        InOutBuf::from(key.as_mut_slice()),
        &[],
        &AeadTag::from_bytes(tag).ok()?,
    )
    .ok()?;
    Some(key)
}

impl fmt::Debug for KeyRing {
    /// Shows the ids only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}
