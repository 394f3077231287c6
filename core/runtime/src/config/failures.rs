//! What a topic is told about failures: what holds between these options, and what the engine makes of them.
//!
//! Called when the options of a topic are checked and when an app starts, on the caller's thread.

use karafka_engine::{Backoff, GivenUp, TopicOptions};

use super::problem::Problems;
use super::table::TopicConfig;

impl TopicConfig {
    pub(super) fn relate_failures(&self, problems: &mut Problems) {
        let has_topic = self.dead_letter_queue_topic.is_some();
        problems.unless(
            !(has_topic && self.dead_letter_queue_skip),
            &["dead_letter_queue_skip", "dead_letter_queue_topic"],
            || "what is given up goes to a topic or counts as done: leave one of them out".to_owned(),
        );
        problems.unless(
            has_topic || !self.dead_letter_queue_strategy,
            &["dead_letter_queue_strategy", "dead_letter_queue_topic"],
            || "a strategy needs dead_letter_queue_topic, for what it gives up without naming another".to_owned(),
        );
        let transactional = self.dead_letter_queue_transactional;
        problems.unless(
            has_topic || !transactional,
            &["dead_letter_queue_transactional", "dead_letter_queue_topic"],
            || "needs dead_letter_queue_topic: it is about what goes there".to_owned(),
        );
        problems.unless(!(transactional && self.is_direct()), &["dead_letter_queue_transactional", "assign"], || {
            "a transaction needs a group, by whose generation owners of the past are known: leave one out".to_owned()
        });
    }

    pub(super) fn relate_dead_letters(&self, topic: &str, problems: &mut Problems) {
        let loops = self.dead_letter_queue_topic.as_deref() == Some(topic);
        problems.unless(!loops, &["dead_letter_queue_topic"], || {
            "is the topic itself: what fails would come back for ever; name another one".to_owned()
        });
    }

    /// Whether a message that fails can go to a topic.
    pub(crate) fn has_dead_letters(&self) -> bool {
        self.dead_letter_queue_topic.is_some()
    }

    /// Adds what is to happen after failures.
    pub(crate) fn decide(&self, options: TopicOptions) -> TopicOptions {
        let skips = self.dead_letter_queue_skip || self.retry_attempts > 0;
        let wait = self.dead_letter_queue_dispatch == "sync";
        let given_up = match (self.has_dead_letters(), skips) {
            (true, _) => GivenUp::Dispatched { wait },
            (false, true) => GivenUp::Skipped,
            (false, false) => GivenUp::Never,
        };
        let max_retries = match self.retry_attempts {
            0 if given_up == GivenUp::Never => None,
            0 => Some(self.dead_letter_queue_max_retries),
            attempts => Some(attempts - 1),
        };
        TopicOptions {
            retry: Backoff {
                first: self.retry_backoff,
                longest: self.retry_backoff_max,
                factor: self.retry_backoff_factor,
                jitter: self.retry_jitter,
            },
            max_retries,
            given_up,
            strategy: self.dead_letter_queue_strategy,
            independent: self.dead_letter_queue_independent,
            bisect: self.retry_bisect,
            ..options
        }
    }
}
