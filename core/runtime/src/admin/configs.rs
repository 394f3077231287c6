//! Settings of topics and brokers.

use super::{Admin, judged};
use crate::config::validate_topic_name;
use crate::native::{Origin, RawConfigEntry, RawResource};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;

/// What has settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by number.
    Broker(i32),
}

impl ConfigResource {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Topic(name) => validate_topic_name(name),
            Self::Broker(_) => Ok(()),
        }
    }

    fn native(&self) -> (RawResource, String) {
        match self {
            Self::Topic(name) => (RawResource::Topic, name.clone()),
            Self::Broker(number) => (RawResource::Broker, number.to_string()),
        }
    }
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is secret.
    pub value: Option<String>,
    /// Whether nobody has set it.
    pub is_default: bool,
    /// Whether it cannot be changed while the broker runs.
    pub is_read_only: bool,
    /// Whether it is secret.
    pub is_sensitive: bool,
}

impl Admin {
    /// All settings of a topic or a broker, by name.
    ///
    /// # Errors
    /// `Config` for a name that no topic can have, `Broker` when it does not exist, `Auth` without the right to it, `Timeout` when
    /// nobody answers.
    pub fn configs(&self, of: &ConfigResource) -> Result<Vec<ConfigEntry>> {
        let mut entries: Vec<_> = self
            .raw_configs(of)?
            .into_iter()
            .map(|entry| ConfigEntry {
                name: entry.name,
                value: entry.value,
                is_default: entry.origin == Origin::Nobody,
                is_read_only: entry.is_read_only,
                is_sensitive: entry.is_sensitive,
            })
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    pub(super) fn raw_configs(&self, of: &ConfigResource) -> Result<Vec<RawConfigEntry>> {
        const OPERATION: &str = "describe settings";
        of.validate()?;
        self.must_be_real(OPERATION)?;
        let (kind, name) = of.native();
        let answer = self.client.describe_configs(kind, &name, self.timeout);
        let ((_, number, text), entries) = answer.map_err(|error| self.named(error.with("name", &name)))?;
        judged(number, &text, OPERATION).map_err(|error| self.named(error.with("name", &name)))?;
        Ok(entries)
    }

    /// Sets settings, or puts them back to their defaults (`None`); all of them, or none. Others stay as they are.
    ///
    /// # Errors
    /// As [`Self::configs`]; `Broker` for a setting or value that the cluster refuses.
    pub fn alter_configs(&self, of: &ConfigResource, changes: &[(String, Option<String>)]) -> Result<()> {
        const OPERATION: &str = "change settings";
        of.validate()?;
        self.must_be_real(OPERATION)?;
        self.must_have(of, changes)?;
        let (kind, name) = of.native();
        let outcomes = self.client.alter_configs(kind, &name, changes, self.timeout);
        let outcomes = outcomes.map_err(|error| self.named(error.with("name", &name)))?;
        self.outcomes(outcomes, OPERATION).into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// A cluster puts a setting that does not exist back to its default without a word. Brokers may have settings that Kafka does not
    /// know of, those of plug-ins.
    fn must_have(&self, of: &ConfigResource, changes: &[(String, Option<String>)]) -> Result<()> {
        let ConfigResource::Topic(topic) = of else { return Ok(()) };
        let mut back = changes.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name).peekable();
        if back.peek().is_none() {
            return Ok(());
        }
        let there = self.raw_configs(of)?;
        back.find(|name| there.iter().all(|entry| entry.name != **name)).map_or(Ok(()), |unknown| {
            let message = format!("a topic has no setting {unknown:?}");
            let error = Error::new(ErrorKind::Broker, "change settings", message);
            Err(self.named(error.with("topic", topic)))
        })
    }
}
