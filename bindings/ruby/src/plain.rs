//! Messages that have nothing but topic, payload and key, as most have: read out of Ruby's hashes, and lent to the core by hundreds.
//!
//! Used with the GVL, by calls that produce many. No Ruby code runs, and nothing of Ruby is allocated, between reading a hash and the
//! end of the call that its strings are lent to, so that they stay where they are; they belong to hashes that the caller's list holds.

use karafka::Record;
use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::value::ReprValue;
use magnus::{RHash, RString, Ruby, Value};
use rb_sys::VALUE;
use std::sync::OnceLock;

/// The symbols of the three keywords, which are never freed.
static NAMES: OnceLock<[VALUE; 3]> = OnceLock::new();

pub(crate) struct Plain {
    topic: RString,
    payload: Option<RString>,
    key: Option<RString>,
}

impl Plain {
    /// Out of a hash; nothing when it has anything else, or what has to be converted first.
    pub(crate) fn read(ruby: &Ruby, hash: RHash) -> Option<Self> {
        let [topic, payload, key] =
            *NAMES.get_or_init(|| ["topic", "payload", "key"].map(|name| ruby.sym_new(name).as_raw()));
        let (payload, key) = (get(hash, payload)?, get(hash, key));
        if hash.len() != 2 + usize::from(key.is_some()) {
            return None;
        }
        let topic = RString::from_value(get(hash, topic)?)?;
        std::str::from_utf8(bytes(&topic)).ok()?;
        let string = |value: Value| if value.is_nil() { Some(None) } else { RString::from_value(value).map(Some) };
        Some(Self { topic, payload: string(payload)?, key: key.map_or(Some(None), string)? })
    }

    fn record(&self) -> Record<'_> {
        Record {
            // It was looked at when it was read.
            topic: std::str::from_utf8(bytes(&self.topic)).unwrap_or_default(),
            key: self.key.as_ref().map(bytes),
            payload: self.payload.as_ref().map(bytes),
            ..Record::default()
        }
    }

    /// Lends the records of messages to `call`, which must not use Ruby.
    pub(crate) fn lend<T>(all: &[Self], call: impl FnOnce(&[Record<'_>]) -> T) -> T {
        call(&all.iter().map(Self::record).collect::<Vec<_>>())
    }
}

/// A hash's value, without asking its default or running any code of Ruby's: the names are symbols.
fn get(hash: RHash, name: VALUE) -> Option<Value> {
    let undefined = rb_sys::Qundef as VALUE;
    // SAFETY: hash and symbol are valid; comparing symbols neither raises nor calls methods. What is found belongs to the hash.
    unsafe {
        let found = rb_sys::rb_hash_lookup2(hash.as_raw(), name, undefined);
        (found != undefined).then(|| Value::from_raw(found))
    }
}

fn bytes(string: &RString) -> &[u8] {
    // SAFETY: nothing of Ruby runs as long as the bytes are used, see above.
    unsafe { string.as_slice() }
}
