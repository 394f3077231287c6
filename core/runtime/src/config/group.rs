//! Groups of options: a map given under the common beginning of several names is spread over them.
//!
//! `retry: {backoff: "1s", backoff_max: "30s"}` is `retry_backoff` and `retry_backoff_max`. Where the beginning is an option that
//! is on or off, such as `periodic`, the map also switches it on. Called before options are read, by
//! every language alike.
//!
//! Keys, of which there is a map, may also be given one by one, by names that end with a dot and the key's id: where a
//! language has no maps, `encryption_keys.2026-11`. So may outputs: `produces.invoices`.

use super::keys::takes_keys;
use super::option::{Kind, OptionSpec};
use super::value::{Settings, Value};

/// The settings with every group replaced by its options, in the same order. What is an option that takes values of its own,
/// or begins none, stays as it is.
pub(super) fn spread(specs: &[OptionSpec], settings: &[(String, Value)]) -> Settings {
    let mut flat: Settings = Vec::with_capacity(settings.len());
    for (name, value) in settings {
        if let Some((map, entry)) = entry_of_map(specs, name) {
            let entry = (entry.to_owned(), value.clone());
            match flat.iter_mut().find(|(known, _)| known == map) {
                Some((_, Value::Map(entries))) => entries.push(entry),
                _ => flat.push((map.to_owned(), Value::Map(vec![entry]))),
            }
            continue;
        }
        if matches!(value, Value::Map(_)) && is_group(specs, name) && is_switch(specs, name) {
            flat.push((name.clone(), Value::Bool(true)));
        }
        match value {
            Value::Map(entries) if is_group(specs, name) => {
                flat.extend(entries.iter().map(|(member, value)| (format!("{name}_{member}"), value.clone())));
            }
            _ => flat.push((name.clone(), value.clone())),
        }
    }
    flat
}

/// The option and the name of its entry, where one entry of a map is given.
fn entry_of_map<'name>(specs: &[OptionSpec], name: &'name str) -> Option<(&'name str, &'name str)> {
    let (map, entry) = name.split_once('.')?;
    specs.iter().any(|spec| spec.name == map && takes_keys(spec)).then_some((map, entry))
}

fn is_group(specs: &[OptionSpec], name: &str) -> bool {
    let belongs = |spec: &OptionSpec| spec.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    let free = specs.iter().all(|spec| spec.name != name) || is_switch(specs, name);
    !name.is_empty() && free && specs.iter().any(belongs)
}

fn is_switch(specs: &[OptionSpec], name: &str) -> bool {
    specs.iter().any(|spec| spec.name == name && matches!(spec.kind, Kind::Boolean))
}
