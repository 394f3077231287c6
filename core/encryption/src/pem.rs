//! X25519 keys as text: PEM as OpenSSL writes it, or the base64 text between its lines (RFC 8410). Called while a configuration is
//! read. Accepts exactly the two forms of DER that there are for such keys; whatever passes through is overwritten.

use crate::error::KeyError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The 32 bytes of a key.
pub(crate) type Bytes = Zeroizing<[u8; 32]>;

/// `SubjectPublicKeyInfo` of X25519, up to the key.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];

/// `PrivateKeyInfo` of X25519, up to the key.
const PRIVATE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20];

/// The number of X25519 in DER.
const X25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x6e];

/// More than any file with a key has.
const LONGEST: usize = 64 * 1024;

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

pub(crate) fn read_public(text: &str) -> Result<Bytes, KeyError> {
    let (label, der) = decode(text)?;
    let is_private = label.is_some_and(|label| label.ends_with(PRIVATE_LABEL)) || der.starts_with(&PRIVATE);
    if is_private { Err(KeyError::Private) } else { key_behind(&PUBLIC, &der) }
}

pub(crate) fn read_private(text: &str) -> Result<Bytes, KeyError> {
    let (label, der) = decode(text)?;
    match label {
        Some("ENCRYPTED PRIVATE KEY") => Err(KeyError::Password),
        Some(label) if label.ends_with(PUBLIC_LABEL) => Err(KeyError::Public),
        _ if der.starts_with(&PUBLIC) => Err(KeyError::Public),
        _ => key_behind(&PRIVATE, &der),
    }
}

fn key_behind(prefix: &[u8], der: &[u8]) -> Result<Bytes, KeyError> {
    let key = der.strip_prefix(prefix).and_then(|key| <[u8; 32]>::try_from(key).ok());
    key.map(Zeroizing::new).ok_or(if der.windows(X25519.len()).any(|part| part == X25519) {
        KeyError::Encoding
    } else if der.first() == Some(&0x30) {
        KeyError::Algorithm
    } else {
        KeyError::Encoding
    })
}

/// The label of a PEM text, if it is one, and what is encoded.
fn decode(text: &str) -> Result<(Option<&str>, Zeroizing<Vec<u8>>), KeyError> {
    if text.len() > LONGEST {
        return Err(KeyError::Encoding);
    }
    let (label, body) = match text.split_once("-----BEGIN ") {
        None => (None, text),
        Some((_, rest)) => {
            let (label, rest) = rest.split_once("-----").ok_or(KeyError::Encoding)?;
            let (body, _) = rest.split_once("-----END ").ok_or(KeyError::Encoding)?;
            (Some(label), body)
        }
    };
    let mut plain = Zeroizing::new(Vec::with_capacity(body.len()));
    plain.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; plain.len()]);
    let written = STANDARD.decode_slice(&*plain, &mut der).map_err(|_| KeyError::Encoding)?;
    der.truncate(written);
    Ok((label, der))
}

pub(crate) fn write_public(key: &[u8]) -> String {
    let der = [&PUBLIC, key].concat();
    format!("-----BEGIN {PUBLIC_LABEL}-----\n{}\n-----END {PUBLIC_LABEL}-----\n", STANDARD.encode(der))
}

pub(crate) fn write_private(key: &[u8; 32]) -> Zeroizing<String> {
    let der = Zeroizing::new([&PRIVATE, key.as_slice()].concat());
    let body = Zeroizing::new(STANDARD.encode(&*der));
    Zeroizing::new(format!("-----BEGIN {PRIVATE_LABEL}-----\n{}\n-----END {PRIVATE_LABEL}-----\n", *body))
}
