//! How a field of a configuration reads its value, checks it and shows it.
//!
//! One implementation for each Rust type that the option table uses. Called by the code that the table expands to;
//! pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::{
    GroupProtocol, InitialOffset, LogFormat, LogLevel, OffsetMetadataStrategy, OutputCheck, ReadUntil, Scheduling,
    UniqueBy, VirtualPartitions, Words,
};
use super::kafka;
use super::kafka_names::holds_private_key;
use super::option::{Kind, OptionSpec};
use super::problem::Problem;
use super::quantity::{self, show_size, show_time};
use super::value::{Value, excerpt};

/// A type that options can have.
pub(super) trait Field: Sized {
    /// Reads a value of any kind. What is in range only after conversion is left to [`Field::problems`].
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>>;

    /// What is wrong with this value, however it got here.
    fn problems(&self, spec: &OptionSpec) -> Vec<Problem>;

    /// The value as text that can be given back; secrets are replaced.
    fn show(&self, spec: &OptionSpec) -> String;
}

fn refuse<T>(value: &Value, spec: &OptionSpec) -> Result<T, Vec<Problem>> {
    Err(vec![Problem::out_of_range(spec, value.describe())])
}

fn unless(fits: bool, spec: &OptionSpec, given: impl FnOnce() -> String) -> Vec<Problem> {
    if fits { Vec::new() } else { vec![Problem::out_of_range(spec, given())] }
}

/// Reads the whole number behind a count, a duration or a size.
fn whole(value: &Value, kind: &Kind) -> Option<u64> {
    match (value, kind) {
        (Value::Integer(given), _) => u64::try_from(*given).ok(),
        (Value::Text(given), Kind::Duration { .. }) => quantity::parse(given, quantity::TIME),
        (Value::Text(given), Kind::Bytes { .. }) => quantity::parse(given, quantity::SIZE),
        _ => None,
    }
}

fn is_within(amount: u64, kind: &Kind) -> bool {
    match kind {
        Kind::Integer { min, max } | Kind::Duration { min, max } | Kind::Bytes { min, max } => {
            (*min..=*max).contains(&amount)
        }
        _ => true,
    }
}

/// Milliseconds, rounded up: a wait is never shorter than asked for.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Field for bool {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        match value {
            Value::Bool(given) => Ok(*given),
            // As it is shown, and where a language hands over text: environment variables, C.
            Value::Text(given) => given.parse().map_or_else(|_| refuse(value, spec), Ok),
            _ => refuse(value, spec),
        }
    }

    fn problems(&self, _: &OptionSpec) -> Vec<Problem> {
        Vec::new()
    }

    fn show(&self, _: &OptionSpec) -> String {
        self.to_string()
    }
}

impl Field for u32 {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        match whole(value, &spec.kind).map(u32::try_from) {
            Some(Ok(amount)) => Ok(amount),
            _ => refuse(value, spec),
        }
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        unless(is_within((*self).into(), &spec.kind), spec, || self.show(spec))
    }

    fn show(&self, _: &OptionSpec) -> String {
        self.to_string()
    }
}

impl Field for u64 {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        whole(value, &spec.kind).map_or_else(|| refuse(value, spec), Ok)
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        unless(is_within(*self, &spec.kind), spec, || self.show(spec))
    }

    fn show(&self, spec: &OptionSpec) -> String {
        if let Kind::Bytes { .. } = spec.kind { show_size(*self) } else { self.to_string() }
    }
}

impl Field for f64 {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        match value {
            Value::Float(given) => Ok(*given),
            Value::Integer(given) => Ok(*given as f64),
            _ => refuse(value, spec),
        }
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        let Kind::Decimal { min, max } = spec.kind else { return Vec::new() };
        unless((min..=max).contains(self), spec, || self.show(spec))
    }

    fn show(&self, _: &OptionSpec) -> String {
        format!("{self:?}")
    }
}

impl Field for Duration {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        whole(value, &spec.kind).map_or_else(|| refuse(value, spec), |given| Ok(Self::from_millis(given)))
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        unless(is_within(milliseconds(*self), &spec.kind), spec, || self.show(spec))
    }

    fn show(&self, _: &OptionSpec) -> String {
        show_time(milliseconds(*self))
    }
}

impl Field for String {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        match (value, &spec.kind) {
            (Value::Text(given), _) => Ok(given.clone()),
            // Kafka writes some words as numbers: acks=1.
            (Value::Integer(given), Kind::Choice { .. }) => Ok(given.to_string()),
            _ => refuse(value, spec),
        }
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        let fits = match spec.kind {
            Kind::Text { check, .. } => check(self).is_ok(),
            Kind::Choice { words } => words.contains(&self.as_str()),
            _ => true,
        };
        unless(fits, spec, || format!("\"{}\"", excerpt(without_credentials(self))))
    }

    fn show(&self, _: &OptionSpec) -> String {
        excerpt_of_all(self)
    }
}

/// Users write `user:password@host` into addresses. It is never valid, and never repeated.
fn without_credentials(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, address)| address)
}

fn excerpt_of_all(text: &str) -> String {
    if holds_private_key(text) {
        return excerpt(text);
    }
    without_credentials(text).escape_debug().collect()
}

impl<T: Field> Field for Option<T> {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        T::read(value, spec).map(Some)
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        self.as_ref().map_or_else(Vec::new, |given| given.problems(spec))
    }

    fn show(&self, spec: &OptionSpec) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), |given| given.show(spec))
    }
}

impl Field for VirtualPartitions {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        Self::read(value).map_or_else(|| refuse(value, spec), Ok)
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        unless(self.is_valid(), spec, || self.to_string())
    }

    fn show(&self, _: &OptionSpec) -> String {
        self.to_string()
    }
}

macro_rules! field_of_words {
    ($($name:ty),+) => {$(
        impl Field for $name {
            fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
                let Value::Text(word) = value else { return refuse(value, spec) };
                Self::from_word(word).map_or_else(|| refuse(value, spec), Ok)
            }

            fn problems(&self, _: &OptionSpec) -> Vec<Problem> {
                Vec::new()
            }

            fn show(&self, _: &OptionSpec) -> String {
                self.word().to_owned()
            }
        }
    )+};
}

field_of_words!(
    GroupProtocol,
    InitialOffset,
    LogFormat,
    LogLevel,
    OffsetMetadataStrategy,
    OutputCheck,
    ReadUntil,
    Scheduling,
    UniqueBy
);

impl Field for BTreeMap<String, String> {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        kafka::read(value, spec)
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        kafka::problems(self, spec.scope)
    }

    fn show(&self, _: &OptionSpec) -> String {
        let entries: Vec<String> =
            kafka::redacted(self).into_iter().map(|(name, value)| format!("{name:?}: {value:?}")).collect();
        format!("{{{}}}", entries.join(", "))
    }
}
