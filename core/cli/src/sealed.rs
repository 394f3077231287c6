//! Encrypted payloads as commands show them: opened where there is a key, else said to be encrypted. Used on the main thread.

use crate::output::{clean, put_bytes, shown};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use karafka::{EncryptionKeys, Message, Opener, Payload};
use serde_json::{Map, Value};

/// Which keys there are.
#[derive(Args)]
pub(crate) struct Keys {
    /// A private key that opens encrypted payloads, by its id: `2026-11=orders.pem`, or `2026-11=env:ORDERS_KEY`; may be given
    /// several times
    #[arg(long = "encryption-key", value_name = "ID=FILE", value_parser = key)]
    keys: Vec<(String, String)>,
}

/// A file unless it says otherwise: others see the arguments of a process, so that a key itself is never one.
fn key(text: &str) -> Result<(String, String), String> {
    let (id, place) = text.split_once('=').filter(|(id, place)| !id.is_empty() && !place.is_empty()).ok_or_else(|| {
        "a key is given by its id and its file, as in 2026-11=orders.pem, or by an environment variable: 2026-11=env:NAME"
            .to_owned()
    })?;
    let is_place = place.starts_with("file:") || place.starts_with("env:");
    Ok((id.to_owned(), if is_place { place.to_owned() } else { format!("file:{place}") }))
}

impl Keys {
    pub(crate) fn opener(&self) -> karafka::Result<Opener> {
        Opener::new(&self.keys.iter().cloned().collect::<EncryptionKeys>())
    }
}

/// A payload for people.
pub(crate) fn line(payload: &Payload<'_>, message: Message<'_>) -> String {
    match payload {
        Payload::Clear(payload) => shown(*payload),
        Payload::Opened(payload) => shown(Some(payload)),
        Payload::Sealed(why) => {
            let bytes = message.payload().map_or(0, <[u8]>::len);
            format!("(encrypted, {bytes} bytes: {})", clean(why.message()))
        }
    }
}

/// Puts a payload into an object; of one that does not open the bytes as they are, and why.
pub(crate) fn put(object: &mut Map<String, Value>, payload: &Payload<'_>, message: Message<'_>) {
    match payload {
        Payload::Clear(payload) => put_bytes(object, "value", *payload),
        Payload::Opened(payload) => put_bytes(object, "value", Some(payload)),
        Payload::Sealed(why) => {
            let bytes = message.payload().map(|bytes| BASE64_STANDARD.encode(bytes));
            object.insert("value_base64".to_owned(), bytes.map_or(Value::Null, Value::from));
            object.insert("encrypted".to_owned(), why.message().into());
        }
    }
}
