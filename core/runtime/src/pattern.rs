//! Patterns of topic names, and which topics of a cluster they choose.
//!
//! Pure: asked when a topic is registered, and by the poller whenever it learns which topics there are. A pattern means the
//! same with every broker and every protocol of groups, because it is matched here and the group is joined by names.

use crate::{Error, ErrorKind, Result};
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// The memory that a compiled pattern may take.
const LARGEST: usize = 1 << 20;
/// How the names of topics begin that Kafka keeps for itself.
const INTERNAL: &str = "__";

/// Names of topics, described by a regular expression that the whole name has to match.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Whether a topic was registered by a pattern: it begins with `^`.
    pub(crate) fn is_one(topic: &str) -> bool {
        topic.starts_with('^')
    }

    /// Compiles a pattern.
    ///
    /// # Errors
    /// `Config` when it is no regular expression, or needs too much memory.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let whole = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(LARGEST).build();
        whole.map(Self).map_err(|error| {
            let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            let message = format!("the pattern is no regular expression of RE2's syntax: {reason}");
            Error::new(ErrorKind::Config, "name a topic", message).with("pattern", text)
        })
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// The topics that patterns choose, each with the number that belongs to its pattern: the first that matches counts.
///
/// Never chosen are topics that are read by their names, internal ones, and those in `excluded`: a pattern that read the
/// topic to which its failures go would never end.
pub(crate) fn choose<'topic>(
    topics: impl IntoIterator<Item = &'topic str>,
    patterns: &[(Pattern, usize)],
    is_named: impl Fn(&str) -> bool,
    excluded: &BTreeSet<String>,
) -> BTreeMap<String, usize> {
    let free = |topic: &&str| !topic.starts_with(INTERNAL) && !is_named(topic) && !excluded.contains(*topic);
    let chosen = |topic: &str| {
        let (_, number) = patterns.iter().find(|(pattern, _)| pattern.matches(topic))?;
        Some((topic.to_owned(), *number))
    };
    topics.into_iter().filter(free).filter_map(chosen).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_whole_name_has_to_match() {
        for (pattern, topic, expected) in [
            ("^orders", "orders", true),
            ("^orders", "orders-eu", false),
            ("^orders-.*", "orders-eu", true),
            ("^orders-.*", "old-orders-eu", false),
            ("^a|^b", "b", true),
            ("^a|b", "ab", false),
            (r"^t\d+$", "t12", true),
            ("^(?i)Orders", "oRDERS", true),
            ("^(eu|us)[.]x", "us.x", true),
            ("^(eu|us)[.]x", "us-x", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for text in ["^(", "^[a", "^a{100000}{100000}", r"^(?!a)", "^(?x)a #"] {
            let error = Pattern::new(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
        }
    }

    #[test]
    fn names_dead_letters_and_internal_topics_are_left_out_and_the_first_pattern_counts() {
        let patterns = [(Pattern::new("^orders.*").unwrap(), 3), (Pattern::new("^.*").unwrap(), 7)];
        let excluded = BTreeSet::from(["orders.dead".to_owned()]);
        let topics = ["orders.eu", "orders.us", "orders.dead", "other", "__consumer_offsets"];
        let chosen = choose(topics, &patterns, |topic| topic == "orders.us", &excluded);
        let expected = [("orders.eu", 3), ("other", 7)].map(|(topic, number)| (topic.to_owned(), number));
        assert_eq!(chosen, BTreeMap::from(expected));
    }
}
