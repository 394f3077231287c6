//! Topics as they are to be, against those that are: what would have to be done, and doing it.
//!
//! The comparison is pure. Guarantee: nothing that can lose records is done unless it is allowed, and what cannot be done is said.

use super::{Admin, ConfigResource, NewTopic, Outcomes};
use crate::config::validate_topic_name;
use crate::native::Origin;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A topic as it is to be. What is not given may be as it likes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: Option<i32>,
    /// How many brokers keep each.
    pub replicas: Option<i32>,
    /// Settings; `None` for the cluster's default.
    pub configs: BTreeMap<String, Option<String>>,
    /// Whether there is to be no such topic.
    pub is_absent: bool,
}

/// A topic as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    partitions: i32,
    replicas: i32,
    /// Values that somebody has set for the topic.
    set: BTreeMap<String, String>,
    /// All values.
    values: BTreeMap<String, String>,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Make a topic.
    Create(NewTopic),
    /// Give a topic more partitions.
    Grow {
        /// The topic.
        topic: String,
        /// How many it has.
        from: i32,
        /// How many it is to have.
        to: i32,
    },
    /// Change a setting.
    Set {
        /// The topic.
        topic: String,
        /// The setting.
        name: String,
        /// Its value.
        from: String,
        /// Its value to be; `None` for the default.
        to: Option<String>,
    },
    /// Delete a topic and every record in it.
    Delete {
        /// The topic.
        topic: String,
    },
    /// What cannot be done from here.
    Impossible {
        /// The topic.
        topic: String,
        /// What is wanted, and why it cannot be.
        reason: String,
    },
}

impl Step {
    /// Whether records can be lost by it: deleting a topic, keeping records for less time or in less room, and another
    /// `cleanup.policy`.
    pub fn is_destructive(&self) -> bool {
        match self {
            Self::Delete { .. } => true,
            Self::Set { name, from, to, .. } => match name.as_str() {
                "cleanup.policy" => true,
                "retention.ms" | "retention.bytes" | "delete.retention.ms" | "max.compaction.lag.ms" => {
                    is_less(to.as_deref(), from)
                }
                _ => false,
            },
            Self::Create(_) | Self::Grow { .. } | Self::Impossible { .. } => false,
        }
    }
}

/// Whether a limit is lower than another one; −1 means none, and what the default will be is not known.
fn is_less(to: Option<&str>, from: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().ok().map(|limit| if limit < 0 { i64::MAX } else { limit });
    match (to.and_then(number), number(from)) {
        (Some(to), Some(from)) => to < from,
        _ => true,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(topic) => {
                write!(f, "create {}", topic.name)?;
                if let Some(partitions) = topic.partitions {
                    write!(f, ", {partitions} partitions")?;
                }
                if let Some(replicas) = topic.replicas {
                    write!(f, ", {replicas} replicas")?;
                }
                topic.configs.iter().try_for_each(|(name, value)| write!(f, ", {name}={value}"))
            }
            Self::Grow { topic, from, to } => write!(f, "give {topic} {to} partitions instead of {from}"),
            Self::Set { topic, name, from, to: Some(to) } => {
                write!(f, "set {name} of {topic} to {to} instead of {from}")
            }
            Self::Set { topic, name, from, to: None } => {
                write!(f, "put {name} of {topic} back to its default instead of {from}")
            }
            Self::Delete { topic } => write!(f, "delete {topic} and every record in it"),
            Self::Impossible { topic, reason } => write!(f, "cannot change {topic}: {reason}"),
        }
    }
}

impl Admin {
    /// What has to be done so that topics are as declared; nothing when they are.
    ///
    /// # Errors
    /// `Config` for a name that is declared twice or is none and for a count below 1, `Timeout` when nobody answers, `Auth` without the right to see settings.
    pub fn plan(&self, declared: &[DeclaredTopic]) -> Result<Vec<Step>> {
        const OPERATION: &str = "plan topics";
        let mut names = std::collections::BTreeSet::new();
        for topic in declared {
            validate_topic_name(&topic.name)?;
            if !names.insert(&topic.name) {
                let error = Error::new(ErrorKind::Config, OPERATION, "the topic is declared twice");
                return Err(error.with("topic", &topic.name));
            }
            for (what, count) in [("partition", topic.partitions), ("replica", topic.replicas)] {
                if let Some(count) = count.filter(|count| *count < 1) {
                    let message = format!("a topic has at least 1 {what}, not {count}");
                    return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", &topic.name));
                }
            }
        }
        let mut found = BTreeMap::new();
        for topic in self.topics()?.into_iter().filter(|topic| names.contains(&topic.name)) {
            let mut state = Found {
                partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                replicas: topic
                    .partitions
                    .iter()
                    .map(|one| i32::try_from(one.replicas.len()).unwrap_or(i32::MAX))
                    .min()
                    .unwrap_or(0),
                ..Found::default()
            };
            if declared.iter().any(|one| one.name == topic.name && !one.configs.is_empty()) {
                for entry in self.raw_configs(&ConfigResource::Topic(topic.name.clone()))? {
                    let Some(value) = entry.value else { continue };
                    // What brokers were told for all topics is the cluster's default.
                    if entry.origin == Origin::Topic {
                        state.set.insert(entry.name.clone(), value.clone());
                    }
                    state.values.insert(entry.name, value);
                }
            }
            found.insert(topic.name, state);
        }
        Ok(declared.iter().flat_map(|topic| compare(topic, found.get(&topic.name))).collect())
    }

    /// Does what a plan says, one step after the other. Destructive steps are refused unless they are allowed; the others are done
    /// all the same.
    ///
    /// # Errors
    /// None; each step has an outcome: errors of [`Self::create_topics`], [`Self::add_partitions`], [`Self::alter_configs`] and
    /// [`Self::delete_topics`], `Config` for a destructive step, `Unsupported` for an impossible one.
    pub fn apply(&self, steps: &[Step], is_destruction_allowed: bool) -> Outcomes<Step> {
        const OPERATION: &str = "apply a plan";
        let one = |step: &Step| {
            if step.is_destructive() && !is_destruction_allowed {
                let message = format!("records can be lost by this, and it is not allowed: {step}");
                return Err(Error::new(ErrorKind::Config, OPERATION, message));
            }
            match step {
                Step::Create(topic) => {
                    self.create_topics(std::slice::from_ref(topic))?.into_iter().try_for_each(|(_, outcome)| outcome)
                }
                Step::Grow { topic, to, .. } => self.add_partitions(topic, *to),
                Step::Set { topic, name, to, .. } => {
                    self.alter_configs(&ConfigResource::Topic(topic.clone()), &[(name.clone(), to.clone())])
                }
                Step::Delete { topic } => self.delete_topic(topic),
                Step::Impossible { .. } => Err(Error::new(ErrorKind::Unsupported, OPERATION, step.to_string())),
            }
        };
        steps.iter().map(|step| (step.clone(), one(step))).collect()
    }

    /// Gives topics that exist the settings that are declared for them: the part of [`Self::plan`] that makes, grows and deletes
    /// nothing, done as by [`Self::apply`].
    ///
    /// # Errors
    /// As [`Self::plan`]; each step has an outcome as in [`Self::apply`].
    pub fn align(&self, declared: &[DeclaredTopic], is_destruction_allowed: bool) -> Result<Outcomes<Step>> {
        let mut steps = self.plan(declared)?;
        steps.retain(|step| matches!(step, Step::Set { .. }));
        Ok(self.apply(&steps, is_destruction_allowed))
    }
}

/// What is to be done about one topic.
fn compare(declared: &DeclaredTopic, found: Option<&Found>) -> Vec<Step> {
    let topic = declared.name.clone();
    let Some(found) = found else {
        if declared.is_absent {
            return Vec::new();
        }
        let set = |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone()?));
        return vec![Step::Create(NewTopic {
            name: topic,
            partitions: declared.partitions,
            replicas: declared.replicas,
            configs: declared.configs.iter().filter_map(set).collect(),
        })];
    };
    if declared.is_absent {
        return vec![Step::Delete { topic }];
    }
    let mut steps = Vec::new();
    match declared.partitions {
        Some(to) if to > found.partitions => {
            steps.push(Step::Grow { topic: topic.clone(), from: found.partitions, to });
        }
        Some(to) if to < found.partitions => {
            let reason =
                format!("it has {} partitions, and {to} are wanted; a topic does not shrink", found.partitions);
            steps.push(Step::Impossible { topic: topic.clone(), reason });
        }
        _ => {}
    }
    if let Some(wanted) = declared.replicas.filter(|wanted| *wanted != found.replicas) {
        let reason = format!(
            "it has {} replicas, and {wanted} are wanted; librdkafka cannot move replicas, kafka-reassign-partitions.sh can",
            found.replicas
        );
        steps.push(Step::Impossible { topic: topic.clone(), reason });
    }
    for (name, wanted) in &declared.configs {
        if wanted.is_none() && !found.values.contains_key(name) {
            // Brokers take it without a word: a name that is mistyped would always be as declared.
            let reason = format!("there is no setting {name} that could have its default");
            steps.push(Step::Impossible { topic: topic.clone(), reason });
            continue;
        }
        let is_there = match wanted {
            Some(wanted) => found.values.get(name) == Some(wanted),
            None => !found.set.contains_key(name),
        };
        if !is_there {
            let from = found.values.get(name).cloned().unwrap_or_default();
            steps.push(Step::Set { topic: topic.clone(), name: name.clone(), from, to: wanted.clone() });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Found {
            partitions: 3,
            replicas: 2,
            set: pairs(&[("retention.ms", "1000")]),
            values: pairs(&[("retention.ms", "1000"), ("cleanup.policy", "delete")]),
        }
    }

    fn declared() -> DeclaredTopic {
        DeclaredTopic { name: "orders".to_owned(), ..DeclaredTopic::default() }
    }

    fn said(declared: &DeclaredTopic) -> Vec<(String, bool)> {
        compare(declared, Some(&found())).iter().map(|step| (step.to_string(), step.is_destructive())).collect()
    }

    fn with(name: &str, value: Option<&str>) -> DeclaredTopic {
        DeclaredTopic { configs: [(name.to_owned(), value.map(str::to_owned))].into(), ..declared() }
    }

    #[test]
    fn what_is_as_declared_is_left_alone() {
        let same = DeclaredTopic { partitions: Some(3), replicas: Some(2), ..with("retention.ms", Some("1000")) };
        assert!(said(&same).is_empty());
        assert!(said(&with("cleanup.policy", None)).is_empty(), "a default that is one");
        assert!(compare(&DeclaredTopic { is_absent: true, ..declared() }, None).is_empty());
    }

    #[test]
    fn what_differs_is_told_with_what_it_risks() {
        for (declared, text, is_destructive) in [
            (DeclaredTopic { partitions: Some(5), ..declared() }, "give orders 5 partitions instead of 3", false),
            (DeclaredTopic { partitions: Some(2), ..declared() }, "cannot change orders: it has 3 partitions", false),
            (DeclaredTopic { replicas: Some(3), ..declared() }, "cannot change orders: it has 2 replicas", false),
            (DeclaredTopic { is_absent: true, ..declared() }, "delete orders and every record in it", true),
            (with("retention.ms", Some("999")), "set retention.ms of orders to 999 instead of 1000", true),
            (with("retention.ms", Some("1001")), "set retention.ms of orders to 1001 instead of 1000", false),
            (with("retention.ms", Some("-1")), "set retention.ms of orders to -1 instead of 1000", false),
            (with("retention.ms", None), "put retention.ms of orders back to its default instead of 1000", true),
            (
                with("cleanup.policy", Some("compact")),
                "set cleanup.policy of orders to compact instead of delete",
                true,
            ),
            (with("max.message.bytes", Some("9")), "set max.message.bytes of orders to 9 instead of ", false),
        ] {
            let said = said(&declared);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].0.starts_with(text), "{said:?}");
            assert_eq!(said[0].1, is_destructive, "{text}");
        }
        let new = DeclaredTopic { partitions: Some(1), ..with("cleanup.policy", Some("compact")) };
        assert_eq!(compare(&new, None)[0].to_string(), "create orders, 1 partitions, cleanup.policy=compact");
    }
}
