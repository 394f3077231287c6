//! What holds between options of a topic, and between a topic and its app.
//!
//! Called after the single options are read, and when a topic is added to an app.

use crate::error::Result;
use crate::pattern::Pattern;

use super::app::relate_consumer;
use super::choice::VirtualPartitions;
use super::field::milliseconds;
use super::kafka;
use super::names::validate_topic_or_pattern;
use super::numbers;
use super::option::Scope;
use super::problem::Problems;
use super::quantity::show_time;
use super::table::{AppConfig, TopicConfig};

impl TopicConfig {
    /// Whether virtual partitions are few and last as long as their ownership, so that each may have a consumer object of its
    /// own; else an object serves one call.
    pub fn keeps_consumers(&self) -> bool {
        matches!(self.virtual_partitions, VirtualPartitions::Off | VirtualPartitions::Fixed(_))
    }

    pub(super) fn relate(&self, problems: &mut Problems) {
        let first = milliseconds(self.retry_backoff);
        let longest = milliseconds(self.retry_backoff_max);
        problems.unless(first <= longest, &["retry_backoff_max", "retry_backoff"], || {
            format!("{} must not be shorter than retry_backoff, which is {}", show_time(longest), show_time(first))
        });
        let (delay, expire) = (milliseconds(self.delay_by), milliseconds(self.expire_in));
        problems.unless(expire == 0 || delay < expire, &["expire_in", "delay_by"], || {
            format!(
                "{} must be longer than delay_by, which is {}: every message would expire",
                show_time(expire),
                show_time(delay)
            )
        });
        problems.unless(self.max_messages <= self.window, &["max_messages", "window"], || {
            format!(
                "{} is more than the window, which is {}: a call could never get so many",
                self.max_messages, self.window
            )
        });
        self.relate_connections(problems);
        self.relate_failures(problems);
    }

    /// Whether the group does not decide which partitions are read.
    pub(crate) fn is_direct(&self) -> bool {
        self.assign != "off"
    }

    /// The segments that are handled, in order.
    pub(crate) fn segments(&self) -> Vec<u32> {
        match numbers::parse(&self.parallel_segments_only) {
            Some(some) => some.into_iter().filter_map(|number| u32::try_from(number).ok()).collect(),
            None => (0..self.parallel_segments_count).collect(),
        }
    }

    /// What holds between the options that decide about connections.
    fn relate_connections(&self, problems: &mut Problems) {
        let (min, max, boot) = (self.multiplexing_min, self.multiplexing_max, self.multiplexing_boot);
        problems.unless(min <= max, &["multiplexing_min", "multiplexing_max"], || {
            format!("{min} must not be more than multiplexing_max, which is {max}")
        });
        problems.unless(boot == 0 || (min.max(1)..=max).contains(&boot), &["multiplexing_boot"], || {
            format!("{boot} must lie between multiplexing_min and multiplexing_max")
        });
        problems.unless(!self.is_direct() || max == 1, &["assign", "multiplexing_max"], || {
            "partitions that are assigned directly have one connection: leave multiplexing out".to_owned()
        });
        let count = self.parallel_segments_count;
        let only = self.segments();
        problems.unless(
            only.last().is_none_or(|last| *last < count),
            &["parallel_segments_only", "parallel_segments_count"],
            || format!("segments are numbered from 0, and there are {count}"),
        );
    }

    /// Checks the topic's name, its options, and what holds between them and the app's.
    ///
    /// # Errors
    /// Kind `Config`, with every problem of the options on a line of its own, and the topic's name.
    pub fn validate_for(&self, topic: &str, app: &AppConfig) -> Result<()> {
        validate_topic_or_pattern(topic)?;
        self.validate().and_then(|()| self.relate_to(topic, app)).map_err(|error| error.with("topic", topic))
    }

    fn relate_to(&self, topic: &str, app: &AppConfig) -> Result<()> {
        let mut problems = Problems::new(Scope::Topic);
        self.relate_dead_letters(topic, &mut problems);
        self.relate_transactions(app, &mut problems);
        problems.unless(!(Pattern::is_one(topic) && self.is_direct()), &["assign"], || {
            "belongs to topics with a name; the topics of a pattern are for a group".to_owned()
        });
        let linger = milliseconds(self.linger);
        let shutdown = milliseconds(app.shutdown_timeout);
        problems.unless(linger < shutdown, &["linger"], || {
            format!(
                "{} must be shorter than the app's shutdown_timeout, which is {}",
                show_time(linger),
                show_time(shutdown)
            )
        });
        let mut raw = app.kafka.clone();
        raw.extend(self.kafka.clone());
        relate_consumer(app, &raw, &mut problems);
        let is_dynamic = (1..self.multiplexing_max).contains(&self.multiplexing_min);
        let is_static_member = kafka::get(&raw, "group.instance.id").is_some();
        problems.unless(
            !(is_dynamic && is_static_member),
            &["multiplexing_min", "kafka[\"group.instance.id\"]"],
            || {
                "the brokers expect a static member to come back, so the number of connections must not change: leave \
                 multiplexing_min out"
                    .to_owned()
            },
        );
        problems.into_result()
    }
}
