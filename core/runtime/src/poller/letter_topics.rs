//! The topics of dead letters at the start: whether they are there, and what is said where one is not.
//!
//! Part of the poller's first look at a cluster, on its thread. A topic that is not there and that brokers will not make either
//! ends the app before it has handled anything: later, the first message that fails for good would hold up its partition for
//! ever. What cannot be known, because of missing rights, is said, and the app goes on. Costs one question a topic; the rest
//! is asked only when one is missing.

use super::Poller;
use crate::admin::{Admin, ConfigResource};
use crate::config::AdminConfig;
use crate::embedded;
use crate::event::Event;
use crate::native::code;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{RecvTimeoutError, bounded};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A topic that was made a moment ago may not be known to every broker: it is asked for again as long as this.
pub(super) const GRACE: Duration = Duration::from_secs(3);
pub(super) const AGAIN: Duration = Duration::from_millis(200);
const LOOK_SLICE_MS: i32 = 250;
/// How long the brokers may take to tell whether they make topics.
const PATIENCE: Duration = Duration::from_secs(5);
const AUTO_CREATE: &str = "auto.create.topics.enable";

/// What became of a topic that was looked for.
enum Found {
    There,
    Missing,
    /// It was not told: the error is published already, or there was none because of a stop.
    Unknown,
}

impl Poller {
    /// Looks for the dead letter topics of a subscription whose brokers have answered. Returns whether the app may go on.
    pub(super) fn look_for_letter_topics(&mut self, number: usize) -> bool {
        let subscription = &self.subscriptions[number];
        if embedded::is_in_process(&subscription.brokers) {
            return true;
        }
        let routes = subscription.routes();
        let topics = routes.iter().filter_map(|route| self.routes.get(*route)?.dead_letter_topic.clone());
        let mut missing: BTreeSet<Arc<str>> = topics.collect();
        let Some(&member) = subscription.members.first() else { return true };
        let deadline = Instant::now() + GRACE;
        let mut creation = None;
        loop {
            missing.retain(|topic| matches!(self.look_for_letter_topic(member, topic, deadline), Found::Missing));
            if missing.is_empty() || self.shared.is_stop_asked() {
                return true;
            }
            if creation.is_none() {
                match self.do_brokers_create_topics(member) {
                    None | Some(Ok(true)) => return true,
                    other => creation = other,
                }
            } else if Instant::now() >= deadline {
                break;
            }
            self.parker.park_timeout(AGAIN);
        }
        let names = missing.iter().map(|topic| &**topic).collect::<Vec<_>>().join(", ");
        if let Some(Err(error)) = creation {
            let message = format!(
                "there is no dead letter topic {names}, and whether the brokers would make it is not known ({error}): without it, \
                 what fails for good waits, and its partition with it; create it, or correct its name"
            );
            self.shared.publisher.publish(&Event::Warning { message });
            return true;
        }
        let message = format!(
            "there is no such topic, and the brokers make none by themselves ({AUTO_CREATE} is false): what fails for good would \
             have nowhere to go; create it, or correct its name"
        );
        let error = Error::new(ErrorKind::Config, "start", message).with("dead_letter_topic", &names);
        let error = error.with("group", &self.subscriptions[number].group).with("brokers", self.brokers(member));
        let error = error.kafka_code(code::UNKNOWN_TOPIC_OR_PART).fatal();
        self.end_at_start(error);
        false
    }

    fn look_for_letter_topic(&self, member: usize, topic: &Arc<str>, deadline: Instant) -> Found {
        let error = match self.ask(deadline, || self.members[member].consumer()?.partition_count(topic, LOOK_SLICE_MS))
        {
            Ok(Some(_)) => return Found::There,
            Ok(None) => return Found::Unknown,
            Err(error) if error.kafka() == Some(code::UNKNOWN_TOPIC_OR_PART) => return Found::Missing,
            Err(error) => error,
        };
        let hint = match error.kind() {
            ErrorKind::Auth => "grant this client's user the rights to describe it and to write to it; until then ",
            _ => "it is looked for again when it is needed; ",
        };
        let message = format!("{}; {hint}what fails for good waits, and its partition with it", error.message());
        let mut told = Error::new(error.kind(), "look for the dead letter topic", message);
        told = told.with("dead_letter_topic", topic).with("brokers", self.brokers(member));
        if let Some(number) = error.kafka() {
            told = told.kafka_code(number);
        }
        self.publish_error(told.retriable(), true);
        Found::Unknown
    }

    /// Whether the brokers make topics that are asked for. `None` where a stop was asked for, or where it goes without saying.
    fn do_brokers_create_topics(&self, member: usize) -> Option<Result<bool>> {
        let config = self.admin_config(member)?;
        self.question(move || creates_topics(config))
    }

    /// How brokers are asked as the user of a connection.
    pub(super) fn admin_config(&self, member: usize) -> Option<AdminConfig> {
        let cluster = self.cluster_of(member)?;
        let client_id = self.config.client_id.clone();
        Some(AdminConfig { bootstrap_servers: cluster.brokers, client_id, timeout: PATIENCE, kafka: cluster.settings })
    }

    /// Has something found out. `None` where a stop was asked for, or where it goes without saying.
    pub(super) fn question<T: Send + 'static>(
        &self,
        find_out: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Option<Result<T>> {
        let (sender, answer) = bounded(1);
        // Beside the poller's thread: a stop is not to wait for brokers.
        let asked = std::thread::Builder::new().name("karafka-look".to_owned()).spawn(move || {
            let _ = sender.send(find_out());
        });
        if let Err(error) = asked {
            let message = "the system gave no thread to ask the brokers";
            return Some(Err(
                Error::new(ErrorKind::Internal, "look for the dead letter topic", message).caused_by(error)
            ));
        }
        loop {
            match answer.recv_timeout(AGAIN) {
                Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => return None,
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if !self.shared.is_stop_asked() => {}
                Err(_) => return None,
            }
        }
    }
}

/// Asks one broker for its settings. `Unsupported` of an embedded broker, which makes topics.
fn creates_topics(config: AdminConfig) -> Result<bool> {
    const OPERATION: &str = "describe settings";
    let admin = Admin::new(config)?;
    let unknown = || Error::new(ErrorKind::Broker, OPERATION, format!("no broker told its {AUTO_CREATE}"));
    let broker = admin.cluster()?.brokers.first().map(|broker| broker.id).ok_or_else(unknown)?;
    let settings = admin.configs(&ConfigResource::Broker(broker))?;
    let setting = settings.into_iter().find(|entry| entry.name == AUTO_CREATE).and_then(|entry| entry.value);
    setting.map(|value| value == "true").ok_or_else(unknown)
}
