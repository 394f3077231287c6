//! Transactions that options ask for, of brokers that would take them and keep none: embedded ones behind a mere address.
//!
//! Part of the poller's first look at a cluster, on its thread. Such an app ends before it has handled anything: later, the
//! first call or letter that needs a transaction would be refused for ever. Costs nothing where no option asks for them; else
//! the cluster's name, which came with the answer that this follows.

use super::Poller;
use crate::{Error, ErrorKind, embedded};
use std::time::{Duration, Instant};

/// The name is there already, with the answer that came before.
const PATIENCE: Duration = Duration::from_millis(250);

impl Poller {
    /// Whether the brokers of a subscription, which have answered, keep the transactions that its topics' options ask for.
    /// Returns whether the app may go on.
    pub(super) fn look_for_unkept_transactions(&mut self, number: usize) -> bool {
        let subscription = &self.subscriptions[number];
        let routes = subscription.routes().into_iter().filter_map(|route| self.routes.get(route));
        let asked = routes.fold([false; 2], |[letters, calls], route| {
            [letters || route.dead_letters_in_transactions, calls || route.options.sharing.is_some()]
        });
        let options = ["dead_letter_queue_transactional", "transaction_max_messages"];
        let asked: Vec<_> =
            options.into_iter().zip(asked).filter_map(|(name, is_asked)| is_asked.then_some(name)).collect();
        let Some(&member) = subscription.members.first().filter(|_| !asked.is_empty()) else { return true };
        let id = self.members[member].consumer().ok().and_then(|consumer| consumer.cluster().id(PATIENCE));
        if !id.is_some_and(|id| id.starts_with(embedded::CLUSTER)) {
            return true;
        }
        let message = format!(
            "{} asks for transactions, and the embedded broker keeps none: it would take them and forget that they are; use a \
             Kafka, or leave the option out",
            asked.join(" and ")
        );
        let error =
            Error::new(ErrorKind::Unsupported, "start", message).with("group", &self.subscriptions[number].group);
        let error = error.with("brokers", self.brokers(member)).fatal();
        self.end_at_start(error);
        false
    }

    /// Ends the app, which has handled nothing yet, with an error.
    pub(super) fn end_at_start(&mut self, error: Error) {
        self.shared.fail(error.clone());
        self.publish_error(error, false);
        self.begin_shutdown(Instant::now(), self.config.shutdown_timeout);
    }
}
