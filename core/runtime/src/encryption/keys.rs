//! Keys where they are: in files, environment variables and options. Read when a producer, an app or a reader starts, on the
//! caller's thread. No error shows a key; copies are overwritten when they are dropped.

use crate::config::{EncryptionKeys, Source};
use crate::{Error, ErrorKind, Result};
use karafka_encryption::{KeyError, KeyId, KeyRing};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

const OPERATION: &str = "read the encryption keys";

/// Reads one of the keys.
pub(super) fn read<Key: FromStr<Err = KeyError>>(keys: &EncryptionKeys, wanted: &str) -> Result<Option<(KeyId, Key)>> {
    let Some((id, source)) = keys.sources().find(|(id, _)| *id == wanted) else { return Ok(None) };
    let refused = |message: String| Error::new(ErrorKind::Config, OPERATION, message).with("key_id", id);
    let wrong = |error: KeyError| match source {
        Source::Text(_) => refused(error.to_string()),
        _ => refused(format!("{source}: {error}")),
    };
    let text = match source {
        Source::Text(text) => Zeroizing::new(text.to_owned()),
        Source::File(path) => file(path).map_err(|error| refused(format!("{source} cannot be read: {error}")))?,
        Source::Environment(name) => {
            let text = std::env::var(name).map_err(|_| refused(format!("{source} is not set, or is no text")))?;
            Zeroizing::new(text)
        }
    };
    Ok(Some((KeyId::new(id).map_err(wrong)?, text.parse().map_err(wrong)?)))
}

/// Reads all of them, private ones.
pub(super) fn ring(keys: &EncryptionKeys) -> Result<KeyRing> {
    let mut ring = KeyRing::default();
    for id in keys.ids() {
        if let Some((id, key)) = read(keys, id)? {
            ring.insert(id, key);
        }
    }
    warn_of_readers(keys);
    Ok(ring)
}

fn file(path: &Path) -> std::io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

/// Says of files with private keys that everybody on this machine may read them.
fn warn_of_readers(keys: &EncryptionKeys) {
    for (id, source) in keys.sources() {
        if let Source::File(path) = source
            && std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
        {
            tracing::warn!("the file with the private encryption key {id} can be read by every user of this machine");
        }
    }
}
