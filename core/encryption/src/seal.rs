//! Sealing: a fresh key for each record, wrapped for one public key. Called on any thread that produces.

use crate::envelope::{
    ALGORITHM, ENCAPSULATED, Envelope, KEY, NONCE, TAG, VERSION, WRAPPED, associated_data, header, info,
};
use crate::error::SealError;
use crate::key::{KeyId, PublicKey};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{OpModeS, Serializable, single_shot_seal_inout_detached};
use std::fmt;
use zeroize::Zeroizing;

/// For whom records are sealed: a public key and its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    key_id: KeyId,
    key: PublicKey,
}

/// A payload that was sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What takes the payload's place.
    pub payload: Vec<u8>,
    envelope: Envelope,
}

impl Recipient {
    /// Whoever has the private key of this public one.
    pub fn new(key_id: KeyId, key: PublicKey) -> Self {
        Self { key_id, key }
    }

    /// The id that records are given.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Whether secrets of this key are secret: some points of the curve give the same to everybody.
    pub(crate) fn can_seal(key: &PublicKey) -> bool {
        hpke::setup_sender::<AesGcm256, HkdfSha256, X25519HkdfSha256>(&OpModeS::Base, &key.0, &[]).is_ok()
    }

    /// Seals a payload for a topic. No two results are alike, also of the same payload.
    ///
    /// # Errors
    /// When the system has no random numbers, or the payload has more than 64 GiB.
    pub fn seal(&self, topic: &str, payload: &[u8]) -> Result<Sealed, SealError> {
        let mut key = Zeroizing::new([0; KEY]);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut *key).and_then(|()| getrandom::fill(&mut nonce)).map_err(|_| SealError)?;

        let info = info(&self.key_id);
        let wrapped = self.wrap(&key, &info)?;
        let associated = associated_data(info, topic, &wrapped);

        let mut sealed = Vec::with_capacity(NONCE + payload.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(payload);
        let body = sealed.get_mut(NONCE..).unwrap_or_default();
        let cipher = Aes256Gcm::new((&*key).into());
        let tag = cipher.encrypt_inout_detached((&nonce).into(), &associated, InOutBuf::from(body));
        sealed.extend_from_slice(&tag.map_err(|_| SealError)?);
        Ok(Sealed { payload: sealed, envelope: Envelope { key_id: self.key_id.clone(), wrapped } })
    }

    fn wrap(&self, key: &[u8; KEY], info: &[u8]) -> Result<[u8; WRAPPED], SealError> {
        let mut inside = Zeroizing::new(*key);
        let (encapsulated, tag) = single_shot_seal_inout_detached::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &self.key.0,
            info,
            InOutBuf::from(inside.as_mut_slice()),
            &[],
        )
        .map_err(|_| SealError)?;
        let mut wrapped = [0; WRAPPED];
        let (before, rest) = wrapped.split_at_mut(ENCAPSULATED);
        let (middle, behind) = rest.split_at_mut(KEY);
        before.copy_from_slice(&encapsulated.to_bytes());
        middle.copy_from_slice(&*inside);
        behind.copy_from_slice(&tag.to_bytes());
        Ok(wrapped)
    }
}

impl Sealed {
    /// The headers that belong to it, behind the record's own.
    pub fn headers(&self) -> [(&'static str, &[u8]); 4] {
        [
            (header::VERSION, VERSION.as_bytes()),
            (header::ALGORITHM, ALGORITHM.as_bytes()),
            (header::KEY_ID, self.envelope.key_id.as_str().as_bytes()),
            (header::KEY, &self.envelope.wrapped),
        ]
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.key_id)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes for {})", self.payload.len(), self.envelope.key_id)
    }
}
