//! Why a call of a handler failed, and what its language says is to happen.
//!
//! Plain data, made by the bindings and by Rust handlers on the thread of the call, read by the poller.

use karafka_engine::Outcome;
use std::sync::Arc;

/// What a failed call says is to happen with the message that failed.
///
/// A call with several messages that are not marked cannot know which of them failed. What it says then counts as soon as the
/// message fails alone: until it is found, they are tried again one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The topic's options decide.
    #[default]
    Unsaid,
    /// Try again, however often it failed.
    Retry,
    /// Give it up now: it goes to the dead letter queue, or is discarded where the topic skips it. Where it is neither, it
    /// is tried again.
    DeadLetter {
        /// Another topic than `dead_letter_queue_topic`. Without effect where that is not set.
        topic: Option<Arc<str>>,
    },
    /// It counts as done; an event says so.
    Discard,
    /// The process is at its end, and the message has nothing to do with it: nothing is marked or counted, the app stops
    /// gracefully, and whoever waits for its end is told.
    Critical,
}

/// Why a handler failed, as far as its language can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The class of the error, such as an exception's name.
    pub class: String,
    /// What it says.
    pub message: String,
    /// Where it came from, if known; one frame a line.
    pub backtrace: Option<String>,
    /// What is to happen.
    pub verdict: Verdict,
    /// The index in the batch of the message that failed, if the handler knows. Messages behind it count as not tried.
    pub index: Option<usize>,
}

impl Failure {
    /// A failure of this class that says this.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), ..Self::default() }
    }

    /// The same failure with what is to happen.
    ///
    /// ```
    /// use karafka::{Failure, Verdict};
    ///
    /// let failure = Failure::new("Malformed", "no JSON").says(Verdict::DeadLetter { topic: None });
    /// assert_eq!(failure.verdict, Verdict::DeadLetter { topic: None });
    /// ```
    #[must_use]
    pub fn says(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// The same failure, of the message at this index of the batch.
    #[must_use]
    pub fn of(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let verdict = match self.verdict {
            Verdict::Unsaid => karafka_engine::Verdict::Unsaid,
            Verdict::Retry => karafka_engine::Verdict::Retry,
            Verdict::DeadLetter { .. } => karafka_engine::Verdict::GiveUp,
            Verdict::Discard => karafka_engine::Verdict::Discard,
            Verdict::Critical => karafka_engine::Verdict::Critical,
        };
        Outcome::Failed { verdict, culprit: self.index.and_then(|index| u32::try_from(index).ok()) }
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(std::any::type_name::<E>(), error.to_string())
    }
}
