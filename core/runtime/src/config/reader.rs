//! The librdkafka settings of a reader and of an admin.
//!
//! Called after the single options are read, and when a client is made. Both are consumers without a group.

use std::collections::BTreeMap;

use super::defaults::consumer_defaults;
use super::kafka;
use super::problem::Problems;
use super::table::{AdminConfig, ReaderConfig};

/// How many records are fetched ahead, for all partitions together, where bytes allow it.
const AHEAD_MESSAGES: u32 = 10_000;
/// librdkafka's limit.
const MOST_KILOBYTES: u64 = 2_097_151;

impl ReaderConfig {
    #[expect(clippy::unused_self, reason = "every configuration has its relations; this one has none")]
    pub(super) fn relate(&self, _: &mut Problems) {}

    /// The settings of a client that reads: libkarafka's defaults, the options, then `kafka`. Each setting is there once and under one
    /// name. `bootstrap.servers` is not among them: it may stand for the embedded broker.
    pub fn client_settings(&self) -> BTreeMap<String, String> {
        let kilobytes = (self.memory_budget_bytes / 1024).clamp(1, MOST_KILOBYTES);
        let options = [
            ("client.id", self.client_id.clone()),
            ("queued.max.messages.kbytes", kilobytes.to_string()),
            ("queued.min.messages", AHEAD_MESSAGES.to_string()),
        ];
        let mut settings = kafka::compose(consumer_defaults().iter().copied(), options, &self.kafka);
        // Ends are told by librdkafka, lost places decided by the reader.
        for (name, value) in [("enable.partition.eof", "true"), ("auto.offset.reset", "error"), ("log.queue", "true")] {
            settings.insert(name.to_owned(), value.to_owned());
        }
        settings
    }

    /// Dangerous settings that are allowed all the same: one sentence each, to be logged at every start.
    pub fn warnings(&self) -> Vec<String> {
        kafka::warnings(&self.kafka)
    }
}

impl AdminConfig {
    #[expect(clippy::unused_self, reason = "every configuration has its relations; this one has none")]
    pub(super) fn relate(&self, _: &mut Problems) {}

    /// A reader of the same brokers.
    pub fn reader_config(&self) -> ReaderConfig {
        ReaderConfig {
            bootstrap_servers: self.bootstrap_servers.clone(),
            client_id: self.client_id.clone(),
            timeout: self.timeout,
            kafka: self.kafka.clone(),
            ..ReaderConfig::default()
        }
    }

    /// Dangerous settings that are allowed all the same: one sentence each, to be logged at every start.
    pub fn warnings(&self) -> Vec<String> {
        kafka::warnings(&self.kafka)
    }
}
