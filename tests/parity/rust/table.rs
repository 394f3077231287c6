//! Reads the table's values: options, bytes and records.

use karafka::{Header, Settings, Value};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// Bytes as the table writes them: text, `{"hex": "00ff"}`, or null for none.
fn bytes(described: &Json) -> Option<Vec<u8>> {
    match described {
        Json::Null => None,
        Json::String(text) => Some(text.clone().into_bytes()),
        other => {
            let digits = other["hex"].as_str().expect("bytes are text, hex or null");
            let byte = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16).unwrap();
            Some((0..digits.len()).step_by(2).map(byte).collect())
        }
    }
}

/// Bytes as runners print them.
pub fn hex(bytes: Option<&[u8]>) -> Json {
    let Some(bytes) = bytes else { return Json::Null };
    let mut digits = String::new();
    for byte in bytes {
        write!(digits, "{byte:02x}").unwrap();
    }
    Json::String(digits)
}

/// Options, later ones on top.
pub fn merged(layers: &[&Json]) -> Json {
    let mut options = Map::new();
    for layer in layers.iter().filter_map(|layer| layer.as_object()) {
        options.extend(layer.clone());
    }
    Json::Object(options)
}

/// Options by name, in alphabetical order.
pub fn settings(options: &Json) -> Settings {
    let given = options.as_object().into_iter().flatten();
    given.map(|(name, given)| (name.clone(), value(given))).collect()
}

fn value(given: &Json) -> Value {
    match given {
        Json::Bool(given) => Value::Bool(*given),
        Json::Number(given) => given.as_i64().map_or_else(|| Value::Float(given.as_f64().unwrap()), Value::Integer),
        Json::String(given) => Value::Text(given.clone()),
        Json::Object(_) => Value::Map(settings(given)),
        other => panic!("no option takes {other}"),
    }
}

/// A record of the table, with memory of its own.
pub struct Record {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
}

impl Record {
    pub fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect()
    }

    pub fn to_produce<'a>(&'a self, topic: &'a str, headers: &'a [Header<'a>]) -> karafka::Record<'a> {
        karafka::Record {
            topic,
            partition: self.partition,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers,
            timestamp_ms: self.timestamp_ms,
            ..karafka::Record::default()
        }
    }
}

/// Records as the table writes them: one by one, or `count` of them with `keys` and `prefixes` in turn, numbered from 0.
pub fn records(described: &Json) -> Vec<Record> {
    if let Some(list) = described.as_array() {
        return list.iter().map(record).collect();
    }
    let in_turn =
        |list: &Json, number: usize| list.as_array().map(|list| list[number % list.len()].clone()).unwrap_or_default();
    let numbered = |number: usize| {
        let prefix = in_turn(&described["prefixes"], number);
        let payload = format!("{}{number}", prefix.as_str().unwrap_or_default());
        record(&json!({ "key": in_turn(&described["keys"], number), "payload": payload }))
    };
    (0..described["count"].as_u64().unwrap_or(0) as usize).map(numbered).collect()
}

fn record(described: &Json) -> Record {
    let headers = described["headers"].as_array().into_iter().flatten();
    Record {
        key: bytes(&described["key"]),
        payload: bytes(&described["payload"]),
        headers: headers.map(|header| (bytes(&header[0]).unwrap(), bytes(&header[1]))).collect(),
        partition: described["partition"].as_i64().map(|partition| partition as i32),
        timestamp_ms: described["timestamp"].as_i64(),
    }
}
