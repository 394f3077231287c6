//! What an admin answers to a request that is a text: a tree of values.
//!
//! Made by `request`, read by the bindings on any thread.

use serde_json::Value;
use std::fmt;

/// An answer, as a tree: lists, maps by name, texts, numbers, truths and nothing. Shown, it is JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer(pub(super) Value);

impl Answer {
    fn at(&self, path: &str) -> Option<&Value> {
        self.0.pointer(path)
    }

    /// What is at a path, such as `/0/partitions/1/leader` (RFC 6901), as text: texts as they are, all else as JSON. `None` where there
    /// is nothing, or `null`.
    pub fn field(&self, path: &str) -> Option<String> {
        match self.at(path)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// How many values the list or map at a path has; 0 for anything else. The empty path is the whole answer.
    pub fn count(&self, path: &str) -> usize {
        match self.at(path) {
            Some(Value::Array(list)) => list.len(),
            Some(Value::Object(map)) => map.len(),
            _ => 0,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
