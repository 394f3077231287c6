//! A dead letter as it lies in its topic: what it was, where it came from, why it was given up.
//!
//! Pure; the other side of `letter.rs`, which writes what is read here. Guarantee: the headers without ours are those of the
//! original, byte by byte and in order.

use crate::Result;
use crate::config::{validate_existing_group_name, validate_topic_name};
use crate::letter::header;
use crate::message::{Header, Message};
use std::fmt::Write;

/// A message that was given up, as its copy says.
#[derive(Debug, Clone)]
pub struct DeadLetter<'a> {
    /// The copy. Its key and payload are the original's; its time is when it was given up.
    pub message: Message<'a>,
    /// The original's headers.
    pub headers: Vec<Header<'a>>,
    /// The topic of the original.
    pub source_topic: &'a str,
    /// The original's partition.
    pub source_partition: i32,
    /// The original's offset.
    pub source_offset: i64,
    /// The consumer group that gave it up.
    pub source_consumer_group: &'a str,
    /// How often it was tried in its last ownership.
    pub attempts: u32,
    /// The class of the last error.
    pub error_class: &'a str,
    /// What the last error said, shortened, and without secrets.
    pub error_message: &'a str,
}

impl<'a> DeadLetter<'a> {
    /// Reads a copy; `None` for a message that libkarafka has not put there as a dead letter.
    pub fn read(message: Message<'a>) -> Option<Self> {
        let mut headers = message.headers();
        let added = headers.split_off(headers.len().checked_sub(header::ALL.len())?);
        let mut values = [""; header::ALL.len()];
        for ((added, name), value) in added.iter().zip(header::ALL).zip(&mut values) {
            if added.name != name.as_bytes() {
                return None;
            }
            *value = std::str::from_utf8(added.value?).ok()?;
        }
        let [source_topic, partition, offset, source_consumer_group, attempts, error_class, error_message] = values;
        Some(Self {
            message,
            headers,
            source_topic,
            source_partition: partition.parse().ok().filter(|partition| *partition >= 0)?,
            source_offset: offset.parse().ok()?,
            source_consumer_group,
            attempts: attempts.parse().ok()?,
            error_class,
            error_message,
        })
    }
}

/// Which dead letters are meant. What is not given matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// The original's topic.
    pub source_topic: Option<String>,
    /// The original's partition.
    pub source_partition: Option<i32>,
    /// The group that gave it up.
    pub source_consumer_group: Option<String>,
    /// The class of the last error.
    pub error_class: Option<String>,
    /// The key, byte by byte.
    pub key: Option<Vec<u8>>,
    /// Given up at this time or later: milliseconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// Given up before this time, in the same unit.
    pub before: Option<i64>,
}

impl LetterFilter {
    /// Checks the names in it.
    ///
    /// # Errors
    /// `Config` for a topic or group that cannot be, so that no letter can match.
    pub fn validate(&self) -> Result<()> {
        self.source_topic.as_deref().map_or(Ok(()), validate_topic_name)?;
        self.source_consumer_group.as_deref().map_or(Ok(()), validate_existing_group_name)
    }

    /// Whether a letter is meant.
    pub fn matches(&self, letter: &DeadLetter<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let time = letter.message.timestamp().map(|time| time.milliseconds);
        is(&self.source_topic, letter.source_topic)
            && is(&self.source_consumer_group, letter.source_consumer_group)
            && is(&self.error_class, letter.error_class)
            && self.source_partition.is_none_or(|wanted| wanted == letter.source_partition)
            && self.key.as_ref().is_none_or(|wanted| letter.message.key() == Some(wanted))
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.before.is_none_or(|before| time.is_some_and(|time| time < before))
    }

    /// The filter as text: two that mean the same have the same one.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(text, " {name}={}", value.escape_default());
            }
        };
        say("source_topic", self.source_topic.clone());
        say("source_partition", self.source_partition.map(|partition| partition.to_string()));
        say("source_consumer_group", self.source_consumer_group.clone());
        say("error_class", self.error_class.clone());
        say("key", self.key.as_ref().map(|key| key.escape_ascii().to_string()));
        say("since", self.since.map(|time| time.to_string()));
        say("before", self.before.map(|time| time.to_string()));
        text.trim_start().to_owned()
    }
}
