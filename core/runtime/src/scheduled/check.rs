//! Whether a topic can keep what is entrusted to it: scheduled messages, or recurring tasks.
//!
//! Called at the start of an app, on its caller's thread. Guarantee: a topic whose settings would lose what waits in it refuses the
//! start, in words; what could not be found out does not.

use crate::admin::{Admin, ConfigResource};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::time::Duration;

const OPERATION: &str = "start";
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses a topic of `what` that is not there, or deletes by age or size.
pub(crate) fn check_topic(
    bootstrap_servers: &str,
    kafka: &BTreeMap<String, String>,
    topic: &str,
    what: &str,
) -> Result<()> {
    // Brokers that are away come back; what is wrong with the access, the app tells by itself.
    let admin = match Admin::connect(bootstrap_servers, kafka.clone(), PATIENCE) {
        Ok(admin) => admin,
        Err(error) => {
            warn(topic, &error);
            return Ok(());
        }
    };
    let entries = match admin.configs(&ConfigResource::Topic(topic.to_owned())) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        Err(error) => {
            look(&admin, topic, what, " --config cleanup.policy=compact")?;
            warn(topic, &error);
            return Ok(());
        }
    };
    let policy = entries.iter().find(|entry| entry.name == "cleanup.policy").and_then(|entry| entry.value.as_deref());
    match policy {
        Some("compact") | None => Ok(()),
        Some(policy) => Err(refusal(
            topic,
            format!(
                "its cleanup.policy is {policy:?}, by which what it keeps is deleted after a while: make it \"compact\", for example \
                 by `libkarafka configs set cleanup.policy=compact --topic {topic}`"
            ),
        )),
    }
}

/// Refuses a topic of `what` that is not there.
pub(crate) fn check_presence(
    bootstrap_servers: &str,
    kafka: &BTreeMap<String, String>,
    topic: &str,
    what: &str,
) -> Result<()> {
    match Admin::connect(bootstrap_servers, kafka.clone(), PATIENCE) {
        Ok(admin) => look(&admin, topic, what, ""),
        Err(error) => {
            warn(topic, &error);
            Ok(())
        }
    }
}

fn look(admin: &Admin, topic: &str, what: &str, options: &str) -> Result<()> {
    match admin.topic(topic) {
        Err(missing) if missing.kind() == ErrorKind::Broker => Err(refusal(
            topic,
            format!(
                "the topic of {what} is not there ({}): create it, for example by `libkarafka topics create {topic} 1{options}`",
                missing.message()
            ),
        )),
        _ => Ok(()),
    }
}

fn refusal(topic: &str, message: String) -> Error {
    Error::new(ErrorKind::Config, OPERATION, message).with("topic", topic)
}

/// What could not be found out is no reason to refuse.
fn warn(topic: &str, error: &Error) {
    tracing::warn!(%error, topic, "it could not be found out whether the topic can keep what is entrusted to it");
}
