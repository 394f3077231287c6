//! What an event carries: values that every language has, and how the fields of Rust become such.
//!
//! Made by [`super::table`] when a subscriber asks for an event's fields; plain data.

use crate::statistics::BrokerStatistics;
use crate::{Error, Failure};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A value of an event's field: a number is a number in every language that has them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Partitions: a topic's name and a number each.
    Partitions(Vec<(String, i32)>),
    /// Values in their order.
    List(Vec<FieldValue>),
    /// Names and values.
    Map(Vec<(String, FieldValue)>),
}

impl FieldValue {
    /// The value as JSON; partitions are lists of topic and number.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Bool(truth) => Value::from(*truth),
            Self::Partitions(partitions) => {
                partitions.iter().map(|(topic, number)| json_pair(topic, *number)).collect()
            }
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Map(pairs) => {
                Value::Object(pairs.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
            }
        }
    }

    /// What serde made of a value; what is unknown (`null`) is left out.
    pub(crate) fn from_json(json: serde_json::Value) -> Option<Self> {
        use serde_json::Value;
        Some(match json {
            Value::Null => return None,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Integer)
            }
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().filter_map(Self::from_json).collect()),
            Value::Object(pairs) => {
                let known = pairs.into_iter().filter_map(|(name, value)| Some((name, Self::from_json(value)?)));
                Self::Map(known.collect())
            }
        })
    }
}

fn json_pair(topic: &str, number: i32) -> serde_json::Value {
    serde_json::Value::Array(vec![topic.into(), number.into()])
}

impl fmt::Display for FieldValue {
    /// As text: `orders/0 orders/1` for partitions, JSON for lists and maps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(truth) => truth.fmt(f),
            Self::Partitions(partitions) => {
                for (place, (topic, number)) in partitions.iter().enumerate() {
                    let before = if place == 0 { "" } else { " " };
                    write!(f, "{before}{topic}/{number}")?;
                }
                Ok(())
            }
            Self::List(_) | Self::Map(_) => self.to_json().fmt(f),
        }
    }
}

/// A field as the reference describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpec {
    /// The field's name in every language.
    pub name: &'static str,
    /// `text`, `integer`, `number`, `boolean`, `partitions`, `list` or `map`.
    pub kind: &'static str,
    /// What it means.
    pub doc: String,
}

impl FieldSpec {
    pub(super) fn new(name: &'static str, kind: &'static str, doc: impl Into<String>) -> Self {
        Self { name, kind, doc: doc.into() }
    }
}

pub(super) type Fields = Vec<(&'static str, FieldValue)>;

/// A field's name, and the name that it has where its value is a time in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) plain: &'static str,
    pub(super) in_ms: &'static str,
}

/// A Rust type that a field of an event may have.
pub(super) trait Carried {
    fn specs(name: Name, doc: &str) -> Vec<FieldSpec>;
    fn put(&self, name: Name, fields: &mut Fields);
}

macro_rules! carried {
    ($($type:ty, $kind:literal, $value:expr;)+) => {
        $(impl Carried for $type {
            fn specs(name: Name, doc: &str) -> Vec<FieldSpec> {
                vec![FieldSpec::new(name.plain, $kind, doc)]
            }

            fn put(&self, name: Name, fields: &mut Fields) {
                let value: fn(&Self) -> FieldValue = $value;
                fields.push((name.plain, value(self)));
            }
        })+
    };
}

carried! {
    String, "text", |text| FieldValue::Text(text.clone());
    Arc<str>, "text", |text| FieldValue::Text(text.to_string());
    &'static str, "text", |text| FieldValue::Text((*text).to_owned());
    i32, "integer", |number| FieldValue::Integer(i64::from(*number));
    u32, "integer", |number| FieldValue::Integer(i64::from(*number));
    i64, "integer", |number| FieldValue::Integer(*number);
    u64, "integer", |number| FieldValue::Integer(i64::try_from(*number).unwrap_or(i64::MAX));
    f64, "number", |number| FieldValue::Float(*number);
    bool, "boolean", |truth| FieldValue::Bool(*truth);
    Vec<(String, i32)>, "partitions", |partitions| FieldValue::Partitions(partitions.clone());
    Vec<BrokerStatistics>, "list", |brokers| {
        let json = serde_json::to_value(brokers).ok().and_then(FieldValue::from_json);
        json.unwrap_or(FieldValue::List(Vec::new()))
    };
}

impl Carried for Duration {
    fn specs(name: Name, doc: &str) -> Vec<FieldSpec> {
        vec![FieldSpec::new(name.in_ms, "integer", doc)]
    }

    fn put(&self, name: Name, fields: &mut Fields) {
        fields.push((name.in_ms, FieldValue::Integer(i64::try_from(self.as_millis()).unwrap_or(i64::MAX))));
    }
}

impl<T: Carried> Carried for Option<T> {
    fn specs(name: Name, doc: &str) -> Vec<FieldSpec> {
        let mut specs = T::specs(name, doc);
        for spec in &mut specs {
            spec.doc.push_str(" Only there if it is known.");
        }
        specs
    }

    fn put(&self, name: Name, fields: &mut Fields) {
        if let Some(value) = self {
            value.put(name, fields);
        }
    }
}

impl Carried for Failure {
    fn specs(_name: Name, doc: &str) -> Vec<FieldSpec> {
        vec![
            FieldSpec::new("kind", "text", "The kind of the error: `Handler`."),
            FieldSpec::new("error_class", "text", "The class of the error, such as an exception's name."),
            FieldSpec::new("error", "text", doc),
            FieldSpec::new("backtrace", "text", "Where it came from, a frame a line. Only there if it is known."),
        ]
    }

    fn put(&self, _name: Name, fields: &mut Fields) {
        fields.push(("kind", FieldValue::Text(crate::ErrorKind::Handler.name().to_owned())));
        fields.push(("error_class", FieldValue::Text(self.class.clone())));
        fields.push(("error", FieldValue::Text(self.message.clone())));
        if let Some(backtrace) = &self.backtrace {
            fields.push(("backtrace", FieldValue::Text(backtrace.clone())));
        }
    }
}

/// What an error was tried on, under the names that it may have in an event, and what it is there.
const CONTEXT: [(&str, &str, &str); 4] = [
    ("group", "text", "The consumer group it concerns."),
    ("topic", "text", "The topic it concerns."),
    ("partition", "integer", "The partition it concerns."),
    ("offset", "integer", "The offset it concerns."),
];

impl Carried for Arc<Error> {
    fn specs(_name: Name, doc: &str) -> Vec<FieldSpec> {
        let mut specs = vec![
            FieldSpec::new("kind", "text", "The kind of the error, such as `Broker`: that of the error classes."),
            FieldSpec::new("error", "text", doc),
            FieldSpec::new(
                "kafka_code",
                "integer",
                "Kafka's own code (negative: librdkafka's). Only there if it has one.",
            ),
        ];
        specs.extend(
            CONTEXT
                .iter()
                .map(|(name, kind, doc)| FieldSpec::new(name, kind, format!("{doc} Only there if it concerns one."))),
        );
        specs
    }

    fn put(&self, _name: Name, fields: &mut Fields) {
        fields.push(("kind", FieldValue::Text(self.kind().name().to_owned())));
        fields.push(("error", FieldValue::Text(self.to_string())));
        if let Some(code) = self.kafka() {
            fields.push(("kafka_code", FieldValue::Integer(i64::from(code))));
        }
        for (name, kind, _) in CONTEXT {
            let Some((_, value)) = self.context().iter().find(|(known, _)| *known == name) else { continue };
            let number = if kind == "integer" { value.parse().ok().map(FieldValue::Integer) } else { None };
            fields.push((name, number.unwrap_or_else(|| FieldValue::Text(value.clone()))));
        }
    }
}
