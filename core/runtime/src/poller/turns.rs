//! Questions to the user's scheduler, and its answers.
//!
//! On the poller's thread. What is asked and what an answer means the engine decides; nothing here waits.

use super::Poller;
use crate::job::Failure;
use crate::scheduler::{Candidate, Question};
use crate::{Error, ErrorKind};
use karafka_engine::{ChooserFailure, QuestionId};
use std::sync::Arc;
use std::time::Instant;

impl Poller {
    /// Puts the questions that arose while jobs were handed out.
    pub(super) fn ask_scheduler(&mut self) {
        while let Some(question) = self.engine.next_question() {
            let candidates = question.candidates.into_iter().map(|candidate| Candidate {
                topic: self
                    .partitions
                    .get(&candidate.assignment)
                    .map_or_else(|| Arc::from(""), |partition| Arc::clone(&partition.assignment.topic)),
                partition: candidate.partition,
                virtual_partition: candidate.virtual_partition,
                messages: candidate.messages,
                waited: candidate.waited,
                priority: candidate.priority,
                cost: candidate.cost,
            });
            let question = Question::new(question.id, candidates.collect(), Arc::clone(&self.shared));
            self.shared.questions.put(question);
        }
    }

    pub(super) fn chosen(&mut self, now: Instant, question: QuestionId, order: std::result::Result<Vec<u32>, Failure>) {
        let order = order.map_err(|failure| self.scheduler_failure = Some(failure)).ok();
        self.engine.chosen(self.at(now), question, order.as_deref());
        self.act(now);
        self.scheduler_failure = None;
    }

    pub(super) fn scheduler_failed(&mut self, reason: ChooserFailure) {
        let why = match (reason, self.scheduler_failure.take()) {
            (ChooserFailure::Failed, Some(failure)) => {
                format!("the scheduler failed ({}: {})", failure.class, failure.message)
            }
            (ChooserFailure::Failed, None) => "the scheduler failed".to_owned(),
            (ChooserFailure::TooLate, _) => "the scheduler gave no answer within a second".to_owned(),
            (ChooserFailure::NothingValid, _) => "the scheduler named none of its candidates".to_owned(),
        };
        let message = format!("{why}; for a second nothing is asked, and work is served as it came");
        self.publish_error(Error::new(ErrorKind::Handler, "schedule", message).retriable(), true);
    }
}
