//! One option: its name, what it takes, what it is without being set, and what it means.
//!
//! Made once from the table, then only read: by validation, by the bindings and by the reference page.

use super::choice::VirtualPartitions;
use super::names::Rule;
use super::quantity::{show_size, show_time};

/// What an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The app: one process, all its topics.
    App,
    /// One topic of an app.
    Topic,
    /// A producer.
    Producer,
    /// A reader of topics without a group.
    Reader,
    /// What asks a cluster about itself, and changes it.
    Admin,
}

impl Scope {
    /// All scopes, in the order of the reference page.
    pub const ALL: [Self; 5] = [Self::App, Self::Topic, Self::Producer, Self::Reader, Self::Admin];

    /// With its article, for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::App => "an app",
            Self::Topic => "a topic",
            Self::Producer => "a producer",
            Self::Reader => "a reader",
            Self::Admin => "an admin",
        }
    }

    /// As an adjective, for messages: "a topic option".
    pub(super) fn adjective(self) -> &'static str {
        match self {
            Self::App => "an app option",
            Self::Topic => "a topic option",
            Self::Producer => "a producer option",
            Self::Reader => "a reader option",
            Self::Admin => "an admin option",
        }
    }

    /// What is tried when options of this scope are read.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::App => "configure an app",
            Self::Topic => "configure a topic",
            Self::Producer => "configure a producer",
            Self::Reader => "configure a reader",
            Self::Admin => "configure an admin",
        }
    }
}

/// What values an option takes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number within limits.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number, with or without a fraction, within limits.
    Decimal {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// A time in whole milliseconds, or text with a unit.
    Duration {
        /// The shortest, in milliseconds.
        min: u64,
        /// The longest, in milliseconds.
        max: u64,
    },
    /// A size in bytes, or text with a unit.
    Bytes {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// Text that meets a rule.
    Text {
        /// The rule in words: "must be ...".
        rule: &'static str,
        /// The rule.
        check: fn(&str) -> Rule,
    },
    /// One of these words.
    Choice {
        /// All of them.
        words: &'static [&'static str],
    },
    /// How to split partitions: a word or a number.
    VirtualPartitions,
    /// Raw librdkafka settings: names and values.
    Kafka,
    /// Keys of encryption: ids, and keys or where they are.
    Keys,
    /// Topics that a handler writes to, and how often a call does.
    Outputs,
}

impl Kind {
    /// The type's name, in every language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer { .. } => "integer",
            Self::Decimal { .. } => "number",
            Self::Duration { .. } => "duration",
            Self::Bytes { .. } => "size",
            Self::Text { .. } => "text",
            Self::Choice { .. } => "word",
            Self::VirtualPartitions => "word or integer",
            Self::Kafka | Self::Keys => "map",
            Self::Outputs => "list or map",
        }
    }

    /// The unit of a plain number, or nothing.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Duration { .. } => "ms",
            Self::Bytes { .. } => "bytes",
            _ => "",
        }
    }

    /// The values it takes, in words.
    pub fn range(&self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            Self::Integer { min, max } => format!("{min} to {max}"),
            Self::Decimal { min, max } => format!("{min} to {max}"),
            Self::Duration { min, max } => format!("{} to {}", show_time(*min), show_time(*max)),
            Self::Bytes { min, max } => format!("{} to {}", show_size(*min), show_size(*max)),
            Self::Text { rule, .. } => (*rule).to_owned(),
            Self::Choice { words } => quoted(words),
            Self::VirtualPartitions => VirtualPartitions::RANGE.to_owned(),
            Self::Kafka => "names and values of librdkafka settings".to_owned(),
            Self::Keys => "ids, and for each a PEM text, its base64, \"file:path\" or \"env:NAME\"".to_owned(),
            Self::Outputs => {
                "names of topics, separated by commas, or a map of them to \"required\", \"multiple\", both or neither"
                    .to_owned()
            }
        }
    }

    /// The end of the sentence "must be ...".
    pub(super) fn requirement(&self) -> String {
        let range = self.range();
        match self {
            Self::Boolean | Self::Text { .. } | Self::VirtualPartitions | Self::Outputs => range,
            Self::Integer { .. } => format!("an integer from {range}"),
            Self::Decimal { .. } => format!("a number from {range}"),
            Self::Duration { .. } => {
                format!(
                    "from {range}, as an integer of milliseconds or as text with a unit such as \"10s\" or \"250ms\""
                )
            }
            Self::Bytes { min, max } => {
                format!(
                    "from {range} ({min} to {max}), as an integer of bytes or as text with a unit such as \"64MiB\""
                )
            }
            Self::Choice { .. } => format!("one of {range}"),
            Self::Kafka | Self::Keys => format!("a map: {range}"),
        }
    }
}

/// `"a", "b", "c"`
pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// An entry of the option table.
#[derive(Debug, Clone)]
pub struct OptionSpec {
    /// The option's name: field in Rust, setting in C, keyword in Ruby and Python.
    pub name: &'static str,
    /// What it belongs to.
    pub scope: Scope,
    /// What it takes.
    pub kind: Kind,
    /// The unit of a plain number: `ms`, `bytes` or nothing.
    pub unit: &'static str,
    /// Its value unless set, as text that can be given back.
    pub default: String,
    /// The values it takes, in words.
    pub range: String,
    /// What it means and what it costs, as Markdown.
    pub doc: String,
    /// The librdkafka settings that it stands for, and that are therefore refused in `kafka`.
    pub kafka: &'static [&'static str],
    /// Names of other frameworks, which an error about an unknown option turns into a pointer to this one.
    pub also: &'static [&'static str],
}
