//! Which topics an app reads and which it writes, for `libkarafka flow`.
//!
//! Where the environment variable `LIBKARAFKA_FLOW` is set, the first start of an app tells it, on the thread that starts, and ends
//! the process, with status 0. Nothing was connected until then, and nothing of the program runs after it, not even what it
//! does at its end: who asks what a program would do must not have it do anything.

use crate::app::TopicEntry;
use crate::config::{AppConfig, Output};
use crate::native::exit_at_once;
use crate::pattern::Pattern;
use crate::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};

/// The name of a file that gets the flow, or `-` for the standard output.
const VARIABLE: &str = "LIBKARAFKA_FLOW";

/// Tells the flow and ends the process, where somebody asked for it.
pub(crate) fn tell_if_asked(config: &AppConfig, topics: &[TopicEntry]) -> Result<()> {
    let Some(place) = std::env::var_os(VARIABLE).filter(|place| !place.is_empty()) else { return Ok(()) };
    let told = write(&place, &format!("{}\n", flow(config, topics)));
    told.map_err(|error| {
        let message = format!("the file that {VARIABLE} names takes nothing");
        Error::new(ErrorKind::Config, "tell the flow", message).caused_by(error)
    })?;
    exit_at_once(0)
}

fn write(place: &OsStr, line: &str) -> io::Result<()> {
    if place == "-" {
        return io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().flush());
    }
    // Never a new file: whoever asks has made it.
    OpenOptions::new().append(true).open(place)?.write_all(line.as_bytes())
}

/// The flow: each topic, or pattern of topics, with its group and what its handler writes, in the order in which they were added.
fn flow(config: &AppConfig, topics: &[TopicEntry]) -> Value {
    let topics: Vec<Value> = topics.iter().map(|entry| topic(config, entry)).collect();
    json!({ "client_id": config.client_id, "topics": topics })
}

fn topic(config: &AppConfig, entry: &TopicEntry) -> Value {
    let writes = |(topic, output): (&str, Output)| json!({ "topic": topic, "required": output.required, "multiple": output.multiple });
    json!({
        "topic": entry.name,
        "is_pattern": Pattern::is_one(&entry.name),
        "group": entry.group(config),
        "bootstrap_servers": entry.brokers(config),
        "writes": entry.config.produces.iter().map(writes).collect::<Vec<_>>(),
        "dead_letter_queue_topic": entry.config.dead_letter_queue_topic,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{Outputs, TopicConfig};
    use crate::{SeatKind, Work};

    #[test]
    fn a_flow_names_what_is_read_and_what_is_written() {
        let entry = |name: &str, config| TopicEntry {
            name: name.to_owned(),
            config,
            work: Work::Host,
            seats: SeatKind::Thread,
            hooks: Vec::new(),
        };
        let produces = Outputs::from([("invoices", Output { required: true, multiple: false })]);
        let topics = [
            entry(
                "orders",
                TopicConfig {
                    produces,
                    dead_letter_queue_topic: Some("orders.dead".to_owned()),
                    ..TopicConfig::default()
                },
            ),
            entry("^audit", TopicConfig { group: Some("auditors".to_owned()), ..TopicConfig::default() }),
        ];
        let config = AppConfig { group: "billing".to_owned(), ..AppConfig::default() };
        let expected = json!({ "client_id": "libkarafka", "topics": [
            {
                "topic": "orders", "is_pattern": false, "group": "billing", "bootstrap_servers": "localhost:9092",
                "writes": [{ "topic": "invoices", "required": true, "multiple": false }],
                "dead_letter_queue_topic": "orders.dead",
            },
            {
                "topic": "^audit", "is_pattern": true, "group": "auditors", "bootstrap_servers": "localhost:9092",
                "writes": [], "dead_letter_queue_topic": null,
            },
        ]});
        assert_eq!(flow(&config, &topics), expected);
    }
}
