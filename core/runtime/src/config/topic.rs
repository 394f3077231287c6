//! What holds between options of a topic, and between a topic and its app.
//!
//! Called after the single options are read, and when a topic is added to an app.

use crate::error::Result;

use super::app::relate_consumer;
use super::field::milliseconds;
use super::names::validate_topic_name;
use super::option::Scope;
use super::problem::Problems;
use super::quantity::show_time;
use super::table::{AppConfig, TopicConfig};

impl TopicConfig {
    pub(super) fn relate(&self, problems: &mut Problems) {
        let first = milliseconds(self.retry_backoff);
        let longest = milliseconds(self.retry_backoff_max);
        problems.unless(first <= longest, &["retry_backoff_max", "retry_backoff"], || {
            format!("{} must not be shorter than retry_backoff, which is {}", show_time(longest), show_time(first))
        });
        problems.unless(self.max_messages <= self.window, &["max_messages", "window"], || {
            format!(
                "{} is more than the window, which is {}: a call could never get so many",
                self.max_messages, self.window
            )
        });
    }

    /// Checks the topic's name, its options, and what holds between them and the app's.
    ///
    /// # Errors
    /// Kind `Config`, with every problem of the options on a line of its own, and the topic's name.
    pub fn validate_for(&self, topic: &str, app: &AppConfig) -> Result<()> {
        validate_topic_name(topic)?;
        self.validate().and_then(|()| self.relate_to(app)).map_err(|error| error.with("topic", topic))
    }

    fn relate_to(&self, app: &AppConfig) -> Result<()> {
        let mut problems = Problems::new(Scope::Topic);
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
        problems.into_result()
    }
}
