//! The right to write dead letters at the start: what brokers say of it, and how an app ends that lacks it.
//!
//! Part of the poller's first look at a cluster, on its thread; brokers are asked beside it. Without the right, the first message
//! that fails for good would hold up its partition for ever: so the app ends before it has handled anything. Who may not even see
//! the topic was told already (`letter_topics.rs`), and an app goes on where brokers do not tell. Costs a connection and a
//! question a topic, and nothing for clients that do not say who they are.

use super::Poller;
use super::letter_topics::{AGAIN, GRACE};
use crate::admin::Admin;
use crate::config::AdminConfig;
use crate::native::code;
use crate::{Error, ErrorKind, Result, embedded};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

impl Poller {
    /// Asks whether the user of a subscription, whose brokers have answered, may write its dead letters. Returns whether the app
    /// may go on.
    pub(super) fn look_for_letter_rights(&mut self, number: usize) -> bool {
        let subscription = &self.subscriptions[number];
        let routes = subscription.routes();
        let topics = routes.iter().filter_map(|route| self.routes.get(*route)?.dead_letter_topic.clone());
        let topics: BTreeSet<Arc<str>> = topics.collect();
        let (Some(&member), false) = (subscription.members.first(), topics.is_empty()) else { return true };
        let Some(config) = self.admin_config(member) else { return true };
        if embedded::is_in_process(&config.bootstrap_servers) || !says_who_it_is(&config) {
            return true;
        }
        let forbidden = match self.question(move || forbidden(config, topics)) {
            None => return true,
            Some(Ok(forbidden)) if forbidden.is_empty() => return true,
            Some(Ok(forbidden)) => forbidden.iter().map(|topic| &**topic).collect::<Vec<_>>().join(", "),
            Some(Err(error)) => {
                tracing::debug!(%error, "brokers did not tell whether dead letters may be written");
                return true;
            }
        };
        let message = "this client's user may not write to it: what fails for good would have nowhere to go; grant the right to \
                       write, or name another topic";
        let error = Error::new(ErrorKind::Auth, "start", message).with("dead_letter_topic", forbidden);
        let error = error.with("group", &self.subscriptions[number].group).with("brokers", self.brokers(member));
        self.end_at_start(error.kafka_code(code::TOPIC_AUTHORIZATION_FAILED).fatal());
        false
    }
}

/// Whether there is a user whose rights could differ from everybody's.
fn says_who_it_is(config: &AdminConfig) -> bool {
    config.kafka.get("security.protocol").is_some_and(|protocol| !protocol.eq_ignore_ascii_case("plaintext"))
}

/// The topics that may not be written. A right that was granted a moment ago may not be known to every broker: it is asked for
/// again.
fn forbidden(config: AdminConfig, mut topics: BTreeSet<Arc<str>>) -> Result<BTreeSet<Arc<str>>> {
    let admin = Admin::new(config)?;
    let deadline = Instant::now() + GRACE;
    loop {
        let mut denied = BTreeSet::new();
        for topic in topics {
            match admin.may_write(&topic) {
                Ok(Some(false)) => drop(denied.insert(topic)),
                Ok(_) => {}
                // Of a topic that cannot be seen, nothing is known.
                Err(error) if error.kafka().is_some_and(|number| number > 0) => {}
                // Nor of any, where a broker does not answer in time: it would have each of them waited for.
                Err(error) => return Err(error),
            }
        }
        if denied.is_empty() || Instant::now() >= deadline {
            return Ok(denied);
        }
        topics = denied;
        // Nothing tells of the moment.
        thread::park_timeout(AGAIN);
    }
}
