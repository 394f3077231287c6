//! Names of topics and groups among the arguments: those that cannot be are refused before a cluster is asked.
//!
//! Used on the main thread. The rules are the core's, which refuses the same names with the same text; here they come before
//! the connection, so that nobody waits for a broker to be told of a mistake in what was typed.

use karafka::Result;
use karafka::config::{validate_existing_group_name, validate_group_name, validate_topic_name};

/// A name that was given.
pub(crate) enum Name<'a> {
    Topic(&'a str),
    /// A group that may be there, perhaps with a name that a new one would not get.
    Group(&'a str),
    /// A group that comes into being, where it is not there.
    NewGroup(&'a str),
}

impl Name<'_> {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Topic(name) => validate_topic_name(name),
            Self::Group(name) => validate_existing_group_name(name),
            Self::NewGroup(name) => validate_group_name(name),
        }
    }
}

/// Checks all of them.
pub(crate) fn validate<'a>(names: impl IntoIterator<Item = Name<'a>>) -> Result<()> {
    names.into_iter().try_for_each(|name| name.validate())
}
