//! What the engine is told of the configuration: its own options, and those of each topic, in its own words.
//!
//! Called by `boot` on the thread that starts the app. Pure: a value for a value; what cannot be was refused before.

use super::prefetch;
use crate::app::TopicEntry;
use crate::config::{self, AppConfig, OffsetMetadataStrategy, TopicConfig};
use crate::hook;
use karafka_engine::{EngineOptions, PoolId, Sharing, Throttle, TopicOptions};

pub(super) fn engine_options(config: &AppConfig, chooser: bool) -> EngineOptions {
    EngineOptions {
        memory_budget_bytes: config.memory_budget_bytes - config.memory_budget_bytes / prefetch::SHARE,
        commit_interval: config.commit_interval,
        scheduling: turns(config.scheduling),
        chooser,
        ..EngineOptions::default()
    }
}

/// What the engine is told of a topic.
pub(super) fn options(entry: &TopicEntry, pool: PoolId) -> TopicOptions {
    let config = &entry.config;
    let options = TopicOptions {
        virtual_partitions: spread(config.virtual_partitions),
        virtual_partitions_per_job: config.virtual_partitions_per_job,
        max_messages: config.max_messages,
        max_bytes: if config.max_bytes == 0 { u64::MAX } else { config.max_bytes },
        linger: config.linger,
        manual_offset_management: config.manual_offset_management,
        offset_metadata: match config.offset_metadata_strategy {
            OffsetMetadataStrategy::Current => karafka_engine::OffsetMetadata::Current,
            OffsetMetadataStrategy::Exact => karafka_engine::OffsetMetadata::Exact,
        },
        sharing: sharing(config),
        long_running_job: config.long_running_job,
        delay_by: config.delay_by,
        expire_in: Some(config.expire_in).filter(|expire_in| !expire_in.is_zero()),
        throttle: throttle(config),
        filter: config.filter,
        hooks: hook::wanted(&entry.hooks),
        reports_end: config.eofed,
        periodic: hook::periodic(config),
        window: config.window,
        priority: i32::try_from(config.priority).unwrap_or(i32::MAX),
        max_concurrency: config.max_concurrency,
        unique_by: unique(config.unique_by),
        ..TopicOptions::new(pool)
    };
    config.decide(options)
}

/// Whether transactions of several calls commit together.
fn sharing(config: &TopicConfig) -> Option<Sharing> {
    let max_messages = config.transaction_max_messages;
    (max_messages > 1).then_some(Sharing { max_messages, longest: config.transaction_max_ms })
}

fn spread(mode: config::VirtualPartitions) -> karafka_engine::VirtualPartitions {
    match mode {
        config::VirtualPartitions::Off => karafka_engine::VirtualPartitions::Off,
        config::VirtualPartitions::ByKey => karafka_engine::VirtualPartitions::ByKey,
        config::VirtualPartitions::Fixed(count) => karafka_engine::VirtualPartitions::Fixed(count),
        config::VirtualPartitions::Callback => karafka_engine::VirtualPartitions::Callback,
        config::VirtualPartitions::RoundRobin => karafka_engine::VirtualPartitions::RoundRobin(0),
    }
}

fn turns(scheduling: config::Scheduling) -> karafka_engine::Scheduling {
    match scheduling {
        config::Scheduling::FirstCome => karafka_engine::Scheduling::FirstCome,
        config::Scheduling::Fair => karafka_engine::Scheduling::Fair,
        config::Scheduling::LongestFirst => karafka_engine::Scheduling::LongestFirst,
    }
}

fn unique(by: config::UniqueBy) -> karafka_engine::UniqueBy {
    match by {
        config::UniqueBy::Off => karafka_engine::UniqueBy::Off,
        config::UniqueBy::Key => karafka_engine::UniqueBy::Key,
        config::UniqueBy::Callback => karafka_engine::UniqueBy::Callback,
    }
}

fn throttle(config: &TopicConfig) -> Option<Throttle> {
    (config.throttle_limit > 0).then_some(Throttle { limit: config.throttle_limit, interval: config.throttle_interval })
}
