//! The copy of a message that was given up: which partition it goes to, and what is added to it.
//!
//! Pure; called on the thread that sends copies. Guarantees: key, value and headers are those of the original, byte by byte;
//! what is added comes behind them, takes at most a kilobyte, and shows nothing that looks like a secret.

use crate::failure::Failure;
use crate::message::Header;
use std::sync::Arc;

/// Names of the headers that a copy has behind those of the original.
pub mod header {
    /// The topic that the original was read from.
    pub const SOURCE_TOPIC: &str = "source_topic";
    /// Its partition.
    pub const SOURCE_PARTITION: &str = "source_partition";
    /// Its offset.
    pub const SOURCE_OFFSET: &str = "source_offset";
    /// The consumer group that gave it up.
    pub const SOURCE_CONSUMER_GROUP: &str = "source_consumer_group";
    /// How often it was tried in its last ownership.
    pub const ATTEMPTS: &str = "attempts";
    /// The class of the last error.
    pub const ERROR_CLASS: &str = "error_class";
    /// What the last error said.
    pub const ERROR_MESSAGE: &str = "error_message";
    /// All of them, in their order.
    pub const ALL: [&str; 7] =
        [SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_CONSUMER_GROUP, ATTEMPTS, ERROR_CLASS, ERROR_MESSAGE];
}

/// Most bytes of an error's text. With the longest names of topics and groups all headers stay below a kilobyte.
const MOST_TEXT: usize = 256;
const MOST_CLASS: usize = 96;

/// Words whose values are not shown.
const SECRETS: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "credential", "jaas"];

/// What is known of a message that was given up.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) group: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) failure: Failure,
    /// Where its copy goes.
    pub(crate) target: Arc<str>,
}

impl Given {
    /// The values of the added headers, in the order of [`header::ALL`].
    pub(crate) fn values(&self) -> [String; 7] {
        [
            self.topic.to_string(),
            self.partition.to_string(),
            self.offset.to_string(),
            self.group.to_string(),
            self.attempts.to_string(),
            shortened(&redacted(&self.failure.class), MOST_CLASS),
            shortened(&redacted(&self.failure.message), MOST_TEXT),
        ]
    }

    /// The original's headers and those that are added.
    pub(crate) fn headers<'a>(original: Vec<Header<'a>>, values: &'a [String; 7]) -> Vec<Header<'a>> {
        let added = header::ALL.iter().zip(values);
        let added = added.map(|(name, value)| Header { name: name.as_bytes(), value: Some(value.as_bytes()) });
        original.into_iter().chain(added).collect()
    }
}

/// The partition of a copy: the same for all of one source partition.
pub(crate) fn partition_of(source: i32, partitions: usize) -> i32 {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
    source.rem_euclid(partitions)
}

/// As much of a text as fits, cut between characters.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub("…".len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// A text without control characters, and without what follows words that name secrets, or stands before the host of an
/// address.
fn redacted(text: &str) -> String {
    let mut hide = false;
    let mut shown = Vec::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty())
    {
        let lower = word.to_lowercase();
        let named = SECRETS.iter().filter_map(|secret| lower.rfind(secret).map(|at| at + secret.len())).max();
        let rest = named.and_then(|end| lower.get(end..));
        let shown_word = match rest {
            // `password=x`, `"token":"x"`: the value is in the word.
            Some(rest) if rest.trim_start_matches(['"', '\'']).len() > 1 && rest.contains(['=', ':']) => {
                let end = word.find(['=', ':']).map_or(0, |at| at + 1);
                format!("{}***", word.get(..end).unwrap_or_default())
            }
            // `password: x`, `Authorization: Bearer x`: it comes next.
            Some(_) => {
                hide = true;
                shown.push(word.to_owned());
                continue;
            }
            None if hide && !["bearer", "basic", "is", "=", ":"].contains(&lower.as_str()) => {
                hide = false;
                "***".to_owned()
            }
            None => without_user(word),
        };
        shown.push(shown_word);
    }
    shown.join(" ")
}

/// `scheme://user:password@host` without the user.
fn without_user(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    match rest.split_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (text, shown) in [
            ("refused: password=abc123 for user x", "refused: password=*** for user x"),
            ("{\"token\":\"abc123\"}", "{\"token\":***"),
            ("Authorization: Bearer abc123 failed", "Authorization: Bearer *** failed"),
            ("the password is abc123", "the password is ***"),
            ("connect postgres://me:abc123@db/x", "connect postgres://***@db/x"),
            ("sasl.password: abc123", "sasl.password: ***"),
        ] {
            assert_eq!(redacted(text), shown);
            assert!(!redacted(text).contains("abc123"));
        }
        assert_eq!(redacted("two\nlines\u{0} of 日本"), "two lines of 日本");
    }

    #[test]
    fn what_is_added_stays_below_a_kilobyte() {
        let long = |letters: usize| "é".repeat(letters);
        let given = Given {
            topic: long(124).into(),
            partition: i32::MAX,
            offset: i64::MAX,
            group: long(124).into(),
            attempts: u32::MAX,
            failure: Failure::new(long(5_000), long(5_000)),
            target: "dead".into(),
        };
        let values = given.values();
        let headers = Given::headers(Vec::new(), &values);
        let bytes: usize = headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
        assert!(bytes <= 1024, "{bytes} bytes");
        assert!(values[6].len() <= MOST_TEXT && values[6].ends_with('…'));
    }

    #[test]
    fn a_source_partition_has_one_partition_for_its_letters() {
        assert_eq!((0..7).map(|source| partition_of(source, 3)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(partition_of(5, 0), 0);
    }
}
