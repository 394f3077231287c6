//! What a topic's handler says that it writes: topics, and how often one call writes to each.
//!
//! Read and checked with the other options; plain data. What becomes of it is decided in [`crate::output`].

use std::collections::BTreeMap;
use std::fmt;

use super::field::Field;
use super::names::topic as check_name;
use super::option::OptionSpec;
use super::problem::Problem;
use super::value::{Value, excerpt};

const REQUIRED: &str = "required";
const MULTIPLE: &str = "multiple";
const TERMS: &str = "must be \"required\", \"multiple\", both, or a map of them to true or false";

/// How often one call writes to a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Output {
    /// Whether every call that succeeds writes to it at least once.
    pub required: bool,
    /// Whether a call may write to it more than once.
    pub multiple: bool,
}

/// The topics that a handler writes to, in the order of their names.
///
/// ```
/// use karafka::config::{Output, Outputs};
///
/// let outputs = Outputs::from([
///     ("invoices", Output { required: true, ..Output::default() }),
///     ("audit", Output { multiple: true, ..Output::default() }),
/// ]);
/// assert_eq!(outputs.to_string(), r#"{"audit": "multiple", "invoices": "required"}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outputs(BTreeMap<String, Output>);

impl Outputs {
    /// Adds a topic, or replaces what was said of it.
    pub fn insert(&mut self, topic: impl Into<String>, output: Output) {
        self.0.insert(topic.into(), output);
    }

    /// What was said of a topic.
    pub fn get(&self, topic: &str) -> Option<Output> {
        self.0.get(topic).copied()
    }

    /// The topics and what was said of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Output)> {
        self.0.iter().map(|(topic, output)| (topic.as_str(), *output))
    }

    /// Whether nothing is declared: then nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<Topic: Into<String>, const COUNT: usize> From<[(Topic, Output); COUNT]> for Outputs {
    fn from(outputs: [(Topic, Output); COUNT]) -> Self {
        Self(outputs.into_iter().map(|(topic, output)| (topic.into(), output)).collect())
    }
}

impl Output {
    /// In words, as it can be given back.
    pub fn words(self) -> &'static str {
        match (self.required, self.multiple) {
            (false, false) => "",
            (true, false) => REQUIRED,
            (false, true) => MULTIPLE,
            (true, true) => "required multiple",
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let mut output = Self::default();
        let place = |word: &str, output: &mut Self, given: bool| match word {
            REQUIRED => {
                output.required = given;
                true
            }
            MULTIPLE => {
                output.multiple = given;
                true
            }
            _ => false,
        };
        let understood = match value {
            Value::Text(text) => {
                text.split([' ', ',']).filter(|word| !word.is_empty()).all(|word| place(word, &mut output, true))
            }
            Value::Map(entries) => entries.iter().all(|(word, value)| match value {
                Value::Bool(given) => place(word, &mut output, *given),
                _ => false,
            }),
            _ => false,
        };
        understood.then_some(output)
    }
}

impl fmt::Display for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> =
            self.iter().map(|(topic, output)| format!("{topic:?}: {:?}", output.words())).collect();
        write!(f, "{{{}}}", entries.join(", "))
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn problem(spec: &OptionSpec, topic: &str, what: impl Into<String>) -> Problem {
    Problem { key: format!("{}[\"{}\"]", spec.name, excerpt(topic)), given: None, what: what.into() }
}

impl Field for Outputs {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        let (mut outputs, mut problems) = (Self::default(), Vec::new());
        match value {
            Value::Text(topics) => {
                for topic in topics.split(',') {
                    outputs.insert(topic.trim(), Output::default());
                }
            }
            Value::Map(entries) => {
                for (topic, value) in entries {
                    match Output::read(value) {
                        _ if outputs.0.contains_key(topic) => problems.push(problem(spec, topic, "is given twice")),
                        Some(output) => outputs.insert(topic.as_str(), output),
                        None => problems.push(problem(spec, topic, TERMS)),
                    }
                }
            }
            other => problems.push(Problem::out_of_range(spec, other.describe())),
        }
        if problems.is_empty() { Ok(outputs) } else { Err(problems) }
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        let wrong = |topic: &String| check_name(topic).is_err().then(|| problem(spec, topic, "is no name of a topic"));
        self.0.keys().filter_map(wrong).collect()
    }

    fn show(&self, _: &OptionSpec) -> String {
        self.to_string()
    }
}
