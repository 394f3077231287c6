//! What a member's client reports: its errors and its log, each told once, with the cause.
//!
//! Called by the poller, on its thread, with what librdkafka says. The same error is not told again within a few seconds.

use super::Poller;
use super::member::Member;
use crate::Error;
use crate::event::Event;
use crate::native::{Consumer, code, kind_of};
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The same error of a client is told again only after this long.
const REPEAT: Duration = Duration::from_secs(10);
/// How librdkafka marks the lines of its log about connections that failed.
const CONNECTION_FAILED: &str = "FAIL";
const DEBUG: i32 = 7;

impl Member {
    /// Why the last connection failed, as far as librdkafka told by now, and what to look at.
    pub(super) fn last_failure(&self) -> Option<String> {
        let failure = self.last_failure.as_deref()?;
        // What a listener does with a client that speaks another protocol.
        let hint =
            if failure.contains("Disconnected") { "; does this port expect another `security.protocol`?" } else { "" };
        Some(format!("{failure}{hint}"))
    }

    /// Whether this error of an operation on something was not told a moment ago.
    pub(super) fn is_news(&mut self, operation: &'static str, number: i32, about: &str, now: Instant) -> bool {
        let is_recent = |told: &Instant| now.saturating_duration_since(*told) < REPEAT;
        self.told.retain(|_, told| is_recent(told));
        match self.told.entry((operation, number, about.to_owned())) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }
}

impl Poller {
    pub(super) fn member_log(&mut self, member: usize, level: i32, facility: &str, text: &str) {
        log(level, facility, text);
        if is_offset_reset(level, facility, text) {
            let message = format!(
                "the log does not hold the offset to go on from, so `initial_offset` decides: {text}; records in \
                 between, if there were any, are gone"
            );
            self.shared.publisher.publish(&Event::Warning { message });
        }
        if facility == CONNECTION_FAILED && level < DEBUG {
            // The name of librdkafka's thread says nothing.
            let words = text.strip_prefix("[thrd:").and_then(|text| text.split_once("]: "));
            self.members[member].last_failure = Some(words.map_or(text, |(_, words)| words).to_owned());
        }
    }

    /// The brokers of a member, as the user wrote them.
    pub(super) fn brokers(&self, member: usize) -> &str {
        let subscription = self.members.get(member).and_then(|member| self.subscriptions.get(member.subscription));
        subscription.map_or("", |subscription| subscription.brokers.as_str())
    }

    pub(super) fn member_error(&mut self, now: Instant, member: usize, number: i32, fatal: bool, text: String) {
        if number == code::ALL_BROKERS_DOWN {
            self.members[member].is_cut_off = true;
        }
        // Of topics that are gone or closed to us, each is told; texts of other errors vary from one time to the next.
        let about = if is_about_a_topic(number) { text.as_str() } else { "" };
        if !self.members[member].is_news("poll", number, about, now) {
            return;
        }
        let fatal_cause = self.members[member].consumer.as_ref().and_then(Consumer::fatal_error);
        let (number, text) = match (fatal, fatal_cause) {
            (true, Some(cause)) => cause,
            _ => (number, text),
        };
        let text = match self.members[member].last_failure() {
            Some(failure) if number == code::ALL_BROKERS_DOWN => format!("{text}; the last failure: {failure}"),
            _ => text,
        };
        let group = Arc::clone(&self.members[member].group);
        let error = Error::new(kind_of(number), "poll", text)
            .kafka_code(number)
            .with("group", &group)
            .with("brokers", self.brokers(member));
        if fatal {
            let end =
                Error::new(error.kind(), "poll", error.message()).kafka_code(number).with("group", &group).fatal();
            self.publish_error(error.fatal(), false);
            self.shared.fail(end);
            self.begin_shutdown(now, self.config.shutdown_timeout);
        } else {
            self.publish_error(error.retriable(), true);
        }
    }
}

/// Whether an error of a client is about one topic, which its text names.
fn is_about_a_topic(number: i32) -> bool {
    matches!(number, code::UNKNOWN_TOPIC_OR_PART | code::TOPIC_AUTHORIZATION_FAILED)
}

/// Whether librdkafka says, in a log line only, that it goes on from somewhere else than where it was told to.
fn is_offset_reset(level: i32, facility: &str, text: &str) -> bool {
    level <= 4 && facility == "OFFSET" && text.contains("]: offset reset (at ")
}

/// Sends one of librdkafka's log lines on; control characters stay out.
pub(crate) fn log(level: i32, facility: &str, text: &str) {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match level {
        0..=3 => tracing::error!(target: "librdkafka", facility, "{text}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{text}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{text}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{text}"),
    }
}
