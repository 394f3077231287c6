//! What the engine noticed, as an event for people.

use super::Poller;
use crate::event::Event;
use crate::job::Failure;
use karafka_engine::{AssignmentId, Notice};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Poller {
    pub(super) fn notice(&mut self, now: Instant, notice: &Notice) {
        let (assignment, message) = match *notice {
            Notice::GivenUp { job, assignment, offset, attempts, letter } => {
                self.given_up(job, assignment, offset, attempts, letter);
                return;
            }
            Notice::HandlerFailed { assignment, job, offset, attempt, next_attempt } => {
                let failure = self.failures.remove(&job);
                let failure = failure.unwrap_or_else(|| Failure::new("Unknown", "the handler did not say why"));
                if let Some(offset) = offset {
                    self.remember_failure(assignment, offset, &failure);
                }
                let Some(partition) = self.partitions.get(&assignment) else { return };
                self.shared.publisher.publish(&Event::HandlerFailed {
                    topic: Arc::clone(&partition.assignment.topic),
                    partition: partition.assignment.partition,
                    offset: offset.unwrap_or(-1),
                    attempt,
                    retry_in: next_attempt.map_or(Duration::ZERO, |next| next.since(self.at(now))),
                    failure,
                });
                return;
            }
            Notice::MetadataIgnored { assignment, ref problem } => (
                assignment,
                format!(
                    "the committed metadata says nothing usable ({problem}): what was finished beyond the committed offset \
                     is handled again"
                ),
            ),
            Notice::MarksDropped { assignment, messages } => (
                assignment,
                format!(
                    "{messages} records finished beyond the commit position do not fit into the commit's metadata: a crash \
                     now would handle them again"
                ),
            ),
            Notice::UserMetadataTooLong { assignment, ref problem } => {
                (assignment, format!("the offset metadata is not committed: {problem}"))
            }
            Notice::PartitionerFailed { assignment, job, offset, messages } => {
                let failure = self.failures.remove(&job);
                let why =
                    failure.map_or_else(String::new, |failure| format!(" ({}: {})", failure.class, failure.message));
                (
                    assignment,
                    format!(
                        "the partitioner failed for {messages} records from offset {}: they go to one virtual partition{why}",
                        offset.unwrap_or(-1)
                    ),
                )
            }
            Notice::UniqueFailed { assignment, job, offset, messages } => {
                let failure = self.failures.remove(&job);
                let why =
                    failure.map_or_else(String::new, |failure| format!(" ({}: {})", failure.class, failure.message));
                (
                    assignment,
                    format!(
                        "the callback for unique values failed for {messages} records from offset {}: no two of them are \
                         handled at once{why}",
                        offset.unwrap_or(-1)
                    ),
                )
            }
            Notice::ChooserFailed { reason } => {
                self.scheduler_failed(reason);
                return;
            }
            Notice::FilterFailed { assignment, job, offset, messages } => {
                let failure = self.failures.remove(&job);
                let why =
                    failure.map_or_else(String::new, |failure| format!(" ({}: {})", failure.class, failure.message));
                let first = offset.unwrap_or(-1);
                (
                    assignment,
                    format!("the filter failed at {messages} records, the first at {first}: they are handled{why}"),
                )
            }
            Notice::Expired { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Expired { topic, partition, messages });
                return;
            }
            Notice::Filtered { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Skipped { topic, partition, messages });
                return;
            }
            Notice::Throttled { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Throttled { topic, partition, messages });
                return;
            }
            Notice::TimestampsAhead { assignment, messages } => (
                assignment,
                format!(
                    "{messages} records have timestamps more than an hour ahead of this machine's clock: they are delayed \
                     from when they were read"
                ),
            ),
            Notice::CommitFailed { assignment, failure } => {
                (assignment, format!("a commit was refused ({failure:?}); what it said may be handled again"))
            }
            Notice::RevokeDeadlinePassed { assignment, running } => (
                assignment,
                format!(
                    "the partition is given up although {running} calls of its handler still run: they cannot mark any more"
                ),
            ),
            Notice::LastCommitUnconfirmed { assignment } => (
                assignment,
                "the last commit before the partition was given up was not confirmed: its records may be handled again"
                    .to_owned(),
            ),
            Notice::OffsetRefused { assignment, offset } => {
                (assignment, format!("a record came with the impossible offset {offset} and was not handled"))
            }
            Notice::MessagesMissing { assignment, messages } => (
                assignment,
                format!("{messages} records of a failed call did not come back; they stay uncommitted until a restart"),
            ),
            Notice::WaitingForOldJobs { assignment, running } => (
                assignment,
                format!(
                    "the partition came back while {running} calls of its earlier ownership still run: it waits for them"
                ),
            ),
        };
        let place = self.partitions.get(&assignment).map_or_else(String::new, |partition| {
            format!(" [{}/{}]", partition.assignment.topic, partition.assignment.partition)
        });
        self.shared.publisher.publish(&Event::Warning { message: format!("{message}{place}") });
    }

    fn place_of(&self, assignment: AssignmentId) -> Option<(Arc<str>, i32)> {
        let assignment = &self.partitions.get(&assignment)?.assignment;
        Some((Arc::clone(&assignment.topic), assignment.partition))
    }
}
