//! The settings that libkarafka gives to librdkafka where librdkafka's own default serves badly.
//!
//! Data, read when a client is made and by the reference page. A setting in `kafka` takes the place of one of these,
//! except of those that keep a guarantee.

use std::sync::LazyLock;

/// A setting of ours and why.
pub(super) struct Given {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    /// What it is for, as Markdown.
    pub(super) reason: &'static str,
}

/// For consumers.
pub(super) const CONSUMER: [Given; 6] = [
    Given {
        name: "enable.auto.commit",
        value: "false",
        reason: "Cannot be changed: only finished messages are committed.",
    },
    Given {
        name: "enable.auto.offset.store",
        value: "false",
        reason: "Cannot be changed: only finished messages are committed.",
    },
    Given {
        name: "enable.partition.eof",
        value: "false",
        reason: "Switched on by `eofed` only: else the end of a partition is no reason to wake up.",
    },
    Given {
        name: "fetch.queue.backoff.ms",
        value: "5",
        reason: "librdkafka's 1000 stops fetching for up to a second after a full queue.",
    },
    Given {
        name: "fetch.message.max.bytes",
        value: "524288",
        reason: "Smaller fetches stay in the processor's cache and take half the memory of librdkafka's 1 MiB. A \
                 larger message still arrives. Less where many partitions share `memory_budget_bytes`.",
    },
    Given { name: "socket.nagle.disable", value: "true", reason: "Small requests, such as commits, leave at once." },
];

/// For producers.
pub(super) const PRODUCER: [Given; 2] = [
    Given {
        name: "partitioner",
        value: "murmur2_random",
        reason: "A key goes to the partition to which Java's producer sends it, so that both may write to one topic. \
                 librdkafka's own default hashes by CRC-32.",
    },
    Given { name: "socket.nagle.disable", value: "true", reason: "The last, small request of a burst leaves at once." },
];

type Pairs = LazyLock<Vec<(&'static str, &'static str)>>;

fn pairs(given: &[Given]) -> Vec<(&'static str, &'static str)> {
    given.iter().map(|given| (given.name, given.value)).collect()
}

/// The settings that every consumer is made with, unless `kafka` says otherwise.
pub fn consumer_defaults() -> &'static [(&'static str, &'static str)] {
    static PAIRS: Pairs = LazyLock::new(|| pairs(&CONSUMER));
    &PAIRS
}

/// The settings that every producer is made with, unless `kafka` says otherwise.
pub fn producer_defaults() -> &'static [(&'static str, &'static str)] {
    static PAIRS: Pairs = LazyLock::new(|| pairs(&PRODUCER));
    &PAIRS
}
