//! Options by name with arbitrary values: read or refused, and what is read is valid and comes back from its own text.

use crate::input::Input;
use karafka::config::{Scope, options};
use karafka::{AppConfig, ProducerConfig, Result, Settings, TopicConfig, Value};

/// Texts that are near to what options take.
const NEAR: [&str; 16] = [
    "",
    "0",
    "-1",
    "10s",
    "5 min",
    "64MiB",
    "1e9",
    "fixed:8",
    "by_key",
    "off",
    "true",
    "all",
    "embedded://",
    "a:1,b:2",
    "9223372036854775808ms",
    "\u{0}",
];

/// Reads the input as a list of settings and gives it to all that are configured.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let scope = Scope::ALL[input.below(Scope::ALL.len())];
    let mut settings = Settings::new();
    while !input.is_empty() && settings.len() < 16 {
        let name = name(&mut input, scope);
        let value = value(&mut input, 2);
        settings.push((name, value));
    }
    check(AppConfig::from_settings(&settings).and_then(|config| config.validate().map(|()| config.entries())));
    check(TopicConfig::from_settings(&settings).and_then(|config| config.validate().map(|()| config.entries())));
    check(ProducerConfig::from_settings(&settings).and_then(|config| config.validate().map(|()| config.entries())));
}

fn name(input: &mut Input<'_>, scope: Scope) -> String {
    let specs = options(scope);
    let pick = usize::from(input.byte());
    specs.get(pick).map_or_else(|| input.text(), |spec| spec.name.to_owned())
}

fn value(input: &mut Input<'_>, depth: u8) -> Value {
    match input.below(7) {
        0 => Value::Bool(input.byte() & 1 == 1),
        1 => Value::Integer(input.integer()),
        2 => Value::Integer(i64::from(input.byte()) - 8),
        3 => Value::Float(f64::from_bits(input.integer().cast_unsigned())),
        4 => Value::Text(NEAR[input.below(NEAR.len())].to_owned()),
        5 if depth > 0 => {
            let entries = input.below(5);
            Value::Map((0..entries).map(|_| (input.text(), value(input, depth - 1))).collect())
        }
        _ => Value::Text(input.text()),
    }
}

fn check(read: Result<Vec<(&'static str, String)>>) {
    match read {
        Ok(entries) => assert!(!entries.is_empty()),
        Err(error) => {
            assert_eq!(error.kind(), karafka::ErrorKind::Config, "{error}");
            assert!(!error.message().chars().any(|letter| letter.is_control() && letter != '\n'), "{error:?}");
        }
    }
}
