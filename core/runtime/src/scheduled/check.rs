//! Whether a topic can keep what is entrusted to it.
//!
//! Called at the start of an app, on its caller's thread. Guarantee: a topic whose settings would lose what waits in it refuses the
//! start, in words; what could not be found out does not.

use super::dispatcher::Dispatcher;
use crate::admin::{Admin, ConfigResource};
use crate::{Error, ErrorKind, Result};
use std::time::Duration;

const OPERATION: &str = "start";
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses a topic that is not there, or deletes by age or size.
pub(super) fn check(dispatcher: &Dispatcher) -> Result<()> {
    let topic = &dispatcher.topic;
    let refuse = |message: String| Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", topic));
    let admin = match Admin::connect(&dispatcher.bootstrap_servers, dispatcher.kafka.clone(), PATIENCE) {
        Ok(admin) => admin,
        // Brokers that are away come back; what is wrong with the access, the app tells by itself.
        Err(error) => {
            warn(topic, &error);
            return Ok(());
        }
    };
    let entries = match admin.configs(&ConfigResource::Topic(topic.clone())) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        Err(error) => {
            return match admin.topic(topic) {
                Err(missing) if missing.kind() == ErrorKind::Broker => refuse(format!(
                    "the topic of scheduled messages is not there ({}): create it, for example by `libkarafka topics create \
                     {topic} 1 --config cleanup.policy=compact`",
                    missing.message()
                )),
                _ => {
                    warn(topic, &error);
                    Ok(())
                }
            };
        }
    };
    let policy = entries.iter().find(|entry| entry.name == "cleanup.policy").and_then(|entry| entry.value.as_deref());
    match policy {
        Some("compact") | None => Ok(()),
        Some(policy) => refuse(format!(
            "its cleanup.policy is {policy:?}, by which messages are deleted while they wait: make it \"compact\", for example by \
             `libkarafka configs set cleanup.policy=compact --topic {topic}`"
        )),
    }
}

fn warn(topic: &str, error: &Error) {
    tracing::warn!(%error, topic, "it could not be found out whether the topic of scheduled messages is compacted");
}
