//! What librdkafka may fetch ahead for each partition, so that all of them together keep to their part of the budget.
//!
//! Asked when a client is made. librdkafka's limits count for each partition's queue by itself and cannot be changed later,
//! while partitions come and go: so they are divided over every partition that the process could own, which the first look at
//! the cluster tells.

use std::collections::BTreeMap;

const FETCH: &str = "fetch.message.max.bytes";
/// Partitions that are reckoned with before the cluster was seen.
pub(super) const ASSUMED: u64 = 8;
/// Half of the memory budget is for what librdkafka fetched ahead, half for what the engine holds.
pub(super) const SHARE: u64 = 2;
/// Below this a fetch costs more than what it brings.
const LEAST_FETCH: u64 = 16 << 10;
/// Larger fetches leave the processor's cache before they are read.
const MOST_FETCH: u64 = 512 << 10;
const LEAST_QUEUED: u64 = 16 << 10;
const MOST_QUEUED: u64 = 4 << 20;
/// What librdkafka needs to hold a queued message, in bytes: small messages cost more than their size.
pub(super) const MESSAGE_OVERHEAD: u64 = 300;

/// How much is fetched ahead for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefetch {
    /// Most bytes of one answer of a broker.
    pub(super) fetch_bytes: u64,
    /// Nothing is asked for while so much waits.
    pub(super) queued_kbytes: u64,
    /// Nor while so many messages wait.
    pub(super) queued_messages: u64,
}

impl Prefetch {
    /// The limits of one of `partitions`, which share a process' budget for messages.
    pub(super) fn new(budget_bytes: u64, partitions: u64) -> Self {
        let share = budget_bytes / SHARE / partitions.max(1);
        // An answer comes on top of what waits when it is asked for.
        let fetch_bytes = (share / 4).clamp(LEAST_FETCH, MOST_FETCH);
        let queued = share.saturating_sub(fetch_bytes).clamp(LEAST_QUEUED, MOST_QUEUED);
        Self {
            fetch_bytes,
            queued_kbytes: queued >> 10,
            queued_messages: (queued / MESSAGE_OVERHEAD).clamp(1, 100_000),
        }
    }

    /// Most bytes that it holds, where batches are small.
    pub(super) fn most(self) -> u64 {
        self.fetch_bytes + (self.queued_kbytes << 10)
    }

    /// Sets a client so; the size of fetches only where its user did not.
    pub(super) fn apply(self, settings: &mut BTreeMap<String, String>, keeps_fetches: bool) {
        settings.insert("queued.max.messages.kbytes".to_owned(), self.queued_kbytes.to_string());
        settings.insert("queued.min.messages".to_owned(), self.queued_messages.to_string());
        if !keeps_fetches {
            settings.insert(FETCH.to_owned(), self.fetch_bytes.to_string());
        }
    }

    /// Lowers what a client is set to; what its user set lower stays so.
    pub(super) fn lower(self, settings: &mut BTreeMap<String, String>) {
        let fetches = settings.get(FETCH).and_then(|text| text.parse::<u64>().ok());
        self.apply(settings, fetches.is_some_and(|bytes| bytes <= self.fetch_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_together_keep_to_their_part_of_the_budget() {
        for partitions in 1..=256 {
            let prefetch = Prefetch::new(32 << 20, partitions);
            let most = prefetch.fetch_bytes + (prefetch.queued_kbytes << 10);
            assert!(partitions * most <= 16 << 20, "{partitions} partitions: {prefetch:?}");
        }
    }

    #[test]
    fn a_partition_among_very_many_still_gets_something() {
        let prefetch = Prefetch::new(1 << 20, 100_000);
        assert_eq!((prefetch.fetch_bytes, prefetch.queued_kbytes), (LEAST_FETCH, LEAST_QUEUED >> 10));
        assert!(prefetch.queued_messages > 0);
    }
}
