//! What holds between options of a producer, and the librdkafka settings that follow from them.
//!
//! Called after the single options are read, and when a producer is made.

use std::collections::BTreeMap;

use super::defaults::producer_defaults;
use super::field::milliseconds;
use super::kafka;
use super::problem::Problems;
use super::quantity::show_time;
use super::table::ProducerConfig;

/// Requests in flight up to which a broker can tell duplicates apart.
const MOST_IN_FLIGHT: u64 = 5;

/// After so long without a request a transactional client closes a connection. librdkafka looks for a group's coordinator anew only
/// when some connection of the client comes or goes: without that, offsets of a transaction would wait for a broker that is gone.
const IDLE_MS: u32 = 10_000;

impl ProducerConfig {
    pub(super) fn relate(&self, problems: &mut Problems) {
        let linger = milliseconds(self.linger);
        let delivery = milliseconds(self.delivery_timeout);
        problems.unless(delivery > linger, &["delivery_timeout", "linger"], || {
            format!("{} must be longer than linger, which is {}", show_time(delivery), show_time(linger))
        });
        let is_safe = self.idempotence || self.transactional_id.is_none();
        problems.unless(is_safe, &["idempotence", "transactional_id"], || {
            "must be true for a transactional producer".to_owned()
        });
        let names = ["encryption_keys", "encryption_active_key"];
        self.encryption_keys.relate(&self.encryption_active_key, names, problems);
        if !self.idempotence {
            return;
        }
        problems.unless(self.acks == "all", &["acks", "idempotence"], || {
            "must be \"all\" with idempotence, which otherwise has to be false".to_owned()
        });
        let in_flight = kafka::number(&self.kafka, "max.in.flight.requests.per.connection", MOST_IN_FLIGHT);
        let keys = ["kafka[\"max.in.flight.requests.per.connection\"]", "kafka[\"max.in.flight\"]", "idempotence"];
        problems.unless(in_flight.is_none_or(|requests| requests <= MOST_IN_FLIGHT), &keys, || {
            "must be at most 5 with idempotence, which otherwise has to be false".to_owned()
        });
        let retries = kafka::number(&self.kafka, "retries", u64::MAX);
        problems.unless(retries != Some(0), &["kafka[\"retries\"]", "idempotence"], || {
            "must be at least 1 with idempotence, which otherwise has to be false".to_owned()
        });
    }

    /// The settings of this producer: libkarafka's defaults, the options, then `kafka`. Each setting is there once and
    /// under one name. `bootstrap.servers` is not among them: it may stand for the embedded broker.
    pub fn client_settings(&self) -> BTreeMap<String, String> {
        let most = if self.transactional_id.is_some() { self.transaction_timeout } else { self.delivery_timeout };
        let delivery_timeout = self.delivery_timeout.min(most);
        let options = [
            ("client.id", self.client_id.clone()),
            ("statistics.interval.ms", milliseconds(self.statistics_interval).to_string()),
            ("linger.ms", milliseconds(self.linger).to_string()),
            ("delivery.timeout.ms", milliseconds(delivery_timeout).to_string()),
            ("message.max.bytes", self.max_payload_bytes.to_string()),
            ("enable.idempotence", self.idempotence.to_string()),
            ("acks", self.acks.clone()),
            ("compression.type", self.compression.clone()),
        ];
        let transactional = self.transactional_id.clone().map(|id| {
            let timeout = milliseconds(self.transaction_timeout).to_string();
            [
                ("transactional.id", id),
                ("transaction.timeout.ms", timeout),
                ("connections.max.idle.ms", IDLE_MS.to_string()),
            ]
        });
        let options = options.into_iter().chain(transactional.into_iter().flatten());
        kafka::compose(producer_defaults().iter().copied(), options, &self.kafka)
    }

    /// The id of the key that payloads are encrypted for.
    pub(crate) fn active_key(&self) -> Option<&str> {
        self.encryption_keys.active(&self.encryption_active_key)
    }

    /// Dangerous settings that are allowed all the same: one sentence each, to be logged at every start.
    pub fn warnings(&self) -> Vec<String> {
        kafka::warnings(&self.kafka)
    }
}
