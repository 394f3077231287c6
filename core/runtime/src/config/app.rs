//! What holds between options of an app, and the librdkafka settings that follow from them.
//!
//! Called after the single options are read, and when a consumer is made.

use std::collections::BTreeMap;

use super::choice::{GroupProtocol, Words};
use super::defaults::consumer_defaults;
use super::field::milliseconds;
use super::kafka;
use super::problem::Problems;
use super::table::{AppConfig, ProducerConfig};

/// librdkafka's default of `max.poll.interval.ms`.
const MAX_POLL_INTERVAL: u64 = 300_000;

/// librdkafka's default of `session.timeout.ms`.
const SESSION_TIMEOUT: u64 = 45_000;

/// librdkafka's default of `heartbeat.interval.ms`.
const HEARTBEAT_INTERVAL: u64 = 3_000;

/// Beginnings of the settings that every client of the same brokers needs.
const SECURITY: [&str; 5] = ["security.", "sasl.", "ssl.", "enable.sasl.", "enable.ssl."];

impl AppConfig {
    pub(super) fn relate(&self, problems: &mut Problems) {
        relate_consumer(self, &self.kafka, problems);
        let names = ["transaction_encryption_keys", "transaction_encryption_active_key"];
        self.transaction_encryption_keys.relate(&self.transaction_encryption_active_key, names, problems);
    }

    /// The settings of a consumer of this app in the given group: libkarafka's defaults, the options, then `kafka`.
    /// Each setting is there once and under one name. Not among them are `bootstrap.servers`, which may stand for the
    /// embedded broker, and what depends on topics and partitions: `auto.offset.reset` and the sizes of queues.
    pub fn client_settings(&self, group: &str) -> BTreeMap<String, String> {
        let mut options = vec![
            ("client.id", self.client_id.clone()),
            ("group.id", group.to_owned()),
            ("group.protocol", self.group_protocol.word().to_owned()),
        ];
        // librdkafka refuses the assignor of the classic protocol when the broker assigns.
        if self.group_protocol == GroupProtocol::Classic {
            options.push(("partition.assignment.strategy", self.assignment_strategy.clone()));
        }
        kafka::compose(consumer_defaults().iter().copied(), options, &self.kafka)
    }

    /// A producer for the same brokers: their addresses, the client's name and what `kafka` says about security.
    pub fn producer_config(&self) -> ProducerConfig {
        let is_shared = |name: &str| SECURITY.iter().any(|beginning| name.starts_with(beginning));
        let shared = self.kafka.iter().filter(|(name, _)| is_shared(name));
        ProducerConfig {
            bootstrap_servers: self.bootstrap_servers.clone(),
            client_id: self.client_id.clone(),
            kafka: shared.map(|(name, value)| (name.clone(), value.clone())).collect(),
            ..ProducerConfig::default()
        }
    }

    /// What the producers of handlers' transactions have in common, for a group that is read from these brokers with these
    /// settings. Its `transactional_id` is what theirs begin with.
    pub(crate) fn transactions_config(
        &self,
        group: &str,
        brokers: &str,
        settings: &BTreeMap<String, String>,
    ) -> ProducerConfig {
        let is_shared = |name: &str| SECURITY.iter().any(|beginning| name.starts_with(beginning));
        let shared = settings.iter().filter(|(name, _)| is_shared(name));
        ProducerConfig {
            bootstrap_servers: brokers.to_owned(),
            client_id: self.client_id.clone(),
            kafka: shared.map(|(name, value)| (name.clone(), value.clone())).collect(),
            transactional_id: Some(self.transactional_id_prefix.clone().unwrap_or_else(|| group.to_owned())),
            transaction_timeout: self.transaction_timeout,
            encryption_keys: self.transaction_encryption_keys.clone(),
            encryption_active_key: self.transaction_encryption_active_key.clone(),
            ..ProducerConfig::default()
        }
    }

    /// Dangerous settings that are allowed all the same: one sentence each, to be logged at every start.
    pub fn warnings(&self) -> Vec<String> {
        kafka::warnings(&self.kafka)
    }
}

/// What holds between an app's options and a consumer's raw settings.
pub(super) fn relate_consumer(app: &AppConfig, raw: &BTreeMap<String, String>, problems: &mut Problems) {
    let is_classic = app.group_protocol == GroupProtocol::Classic;
    let poll = kafka::number(raw, "max.poll.interval.ms", MAX_POLL_INTERVAL);
    let session = kafka::number(raw, "session.timeout.ms", SESSION_TIMEOUT);
    if let Some(poll) = poll {
        let revoke = milliseconds(app.revoke_timeout);
        problems.unless(revoke < poll, &["revoke_timeout", "kafka[\"max.poll.interval.ms\"]"], || {
            format!(
                "{revoke}ms must be shorter than max.poll.interval.ms, which is {poll}ms: a member that answers a \
                     rebalance later is put out of the group"
            )
        });
    }
    if let (Some(poll), Some(session), true) = (poll, session, is_classic) {
        let keys = ["kafka[\"session.timeout.ms\"]", "kafka[\"max.poll.interval.ms\"]"];
        problems.unless(session <= poll, &keys, || {
            format!("{session}ms must not be longer than max.poll.interval.ms, which is {poll}ms")
        });
    }
    let heartbeat = kafka::number(raw, "heartbeat.interval.ms", HEARTBEAT_INTERVAL);
    if let (Some(heartbeat), Some(session), true) = (heartbeat, session, is_classic) {
        let keys = ["kafka[\"heartbeat.interval.ms\"]", "kafka[\"session.timeout.ms\"]"];
        problems.unless(heartbeat < session, &keys, || {
            format!(
                "{heartbeat}ms must be shorter than session.timeout.ms, which is {session}ms: the group would take the \
                 partitions away again and again"
            )
        });
    }
    for name in ["session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"] {
        let key = format!("kafka[\"{name}\"]");
        problems.unless(is_classic || kafka::get(raw, name).is_none(), &[&key, "group_protocol"], || {
            "belongs to the classic protocol; with group_protocol \"consumer\" the broker sets it".to_owned()
        });
    }
    let assignor = kafka::get(raw, "group.remote.assignor");
    problems.unless(!is_classic || assignor.is_none(), &["kafka[\"group.remote.assignor\"]", "group_protocol"], || {
        "belongs to group_protocol \"consumer\"; with \"classic\" set `assignment_strategy`".to_owned()
    });
}
