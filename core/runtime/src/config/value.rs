//! The values that options are given: what is common to Rust, C, Ruby, Python and a configuration file.
//!
//! Made by the bindings out of their language's values, read by `field`. Plain data.

use std::fmt;

use super::kafka_names::{holds_private_key, is_secret};

/// A value as it comes from a program or a file, before it is checked.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number. For a duration: milliseconds. For a size: bytes.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text, such as a name, or a quantity with its unit: `"10s"`, `"64MiB"`.
    Text(String),
    /// Names and values: raw librdkafka settings.
    Map(Vec<(String, Value)>),
}

/// Options and their values, in the order in which they were given.
pub type Settings = Vec<(String, Value)>;

/// Characters of a name or value that an error message repeats at most.
const SHOWN: usize = 64;

/// Repeats what was given, fit for one line of a message: control characters escaped, long text cut.
///
/// A private key is never repeated, whatever it was given for.
pub(super) fn excerpt(text: &str) -> String {
    if holds_private_key(text) {
        return "[redacted]".to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl Value {
    /// The value as an error message repeats it. A map is only named: it can hold secrets.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bool(given) => given.to_string(),
            Self::Integer(given) => given.to_string(),
            Self::Float(given) => format!("{given:?}"),
            Self::Text(given) => format!("\"{}\"", excerpt(given)),
            Self::Map(_) => "a map".to_owned(),
        }
    }

    /// The value in librdkafka's own notation; none for a map.
    pub(super) fn to_kafka(&self) -> Option<String> {
        match self {
            Self::Bool(given) => Some(given.to_string()),
            Self::Integer(given) => Some(given.to_string()),
            Self::Float(given) => Some(given.to_string()),
            Self::Text(given) => Some(given.clone()),
            Self::Map(_) => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(given) => f.debug_tuple("Bool").field(given).finish(),
            Self::Integer(given) => f.debug_tuple("Integer").field(given).finish(),
            Self::Float(given) => f.debug_tuple("Float").field(given).finish(),
            Self::Text(given) if holds_private_key(given) => f.write_str("Text([redacted])"),
            Self::Text(given) => f.debug_tuple("Text").field(given).finish(),
            Self::Map(given) => {
                let mut map = f.debug_map();
                for (name, value) in given {
                    // Whoever mixes names and values up may have given a key as a name.
                    let name = &excerpt(name);
                    if is_secret(name) {
                        map.entry(name, &format_args!("[redacted]"));
                    } else {
                        map.entry(name, value);
                    }
                }
                map.finish()
            }
        }
    }
}

impl From<bool> for Value {
    fn from(given: bool) -> Self {
        Self::Bool(given)
    }
}

impl From<i32> for Value {
    fn from(given: i32) -> Self {
        Self::Integer(given.into())
    }
}

impl From<u32> for Value {
    fn from(given: u32) -> Self {
        Self::Integer(given.into())
    }
}

impl From<i64> for Value {
    fn from(given: i64) -> Self {
        Self::Integer(given)
    }
}

/// A number above `i64::MAX` becomes a float: it is out of every range, and the message still shows its size.
impl From<u64> for Value {
    fn from(given: u64) -> Self {
        i64::try_from(given).map_or(Self::Float(given as f64), Self::Integer)
    }
}

impl From<f64> for Value {
    fn from(given: f64) -> Self {
        Self::Float(given)
    }
}

impl From<&str> for Value {
    fn from(given: &str) -> Self {
        Self::Text(given.to_owned())
    }
}

impl From<String> for Value {
    fn from(given: String) -> Self {
        Self::Text(given)
    }
}
