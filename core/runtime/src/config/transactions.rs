//! What a topic is told about transactions: what its brokers have to be for them.
//!
//! Pure; called when a topic is added to an app, on the caller's thread. Brokers that are known by an address only are looked
//! at when the app starts (`poller/unkept.rs`).

use super::problem::Problems;
use super::table::{AppConfig, TopicConfig};
use crate::embedded;

impl TopicConfig {
    pub(super) fn relate_transactions(&self, app: &AppConfig, problems: &mut Problems) {
        let brokers = self.bootstrap_servers.as_deref().unwrap_or(&app.bootstrap_servers);
        let asked = [
            (self.dead_letter_queue_transactional, "dead_letter_queue_transactional"),
            (self.transaction_max_messages > 1, "transaction_max_messages"),
        ];
        for (is_asked, name) in asked {
            problems.unless(!(is_asked && embedded::is_embedded(brokers)), &[name], || {
                "needs a Kafka: the embedded broker keeps no transactions".to_owned()
            });
        }
    }
}
