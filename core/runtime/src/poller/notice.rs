//! What the engine noticed, as an event for people.

use super::Poller;
use crate::event::Event;
use crate::hook::Hook;
use crate::job::Failure;
use karafka_engine::{AssignmentId, Instant as EngineInstant, JobId, JobKind, Notice};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Poller {
    /// Tells what was noticed: by an event of its own, else as a warning in words.
    pub(super) fn notice(&mut self, now: Instant, notice: &Notice) {
        match *notice {
            Notice::GivenUp { job, assignment, offset, attempts, letter } => {
                self.given_up(job, assignment, offset, attempts, letter);
            }
            Notice::HandlerFailed { assignment, job, offset, attempt, next_attempt } => {
                self.handler_failed(now, assignment, job, offset, attempt, next_attempt);
            }
            Notice::HookFailed { assignment, job, kind } => self.hook_failed(assignment, job, kind),
            Notice::ChooserFailed { reason } => self.scheduler_failed(reason),
            Notice::Expired { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Expired { topic, partition, messages });
            }
            Notice::Filtered { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Skipped { topic, partition, messages });
            }
            Notice::Throttled { assignment, messages } => {
                let Some((topic, partition)) = self.place_of(assignment) else { return };
                self.shared.publisher.publish(&Event::Throttled { topic, partition, messages });
            }
            Notice::RevokeDeadlinePassed { assignment, .. } => {
                self.disown(assignment);
                self.warn(notice);
            }
            ref other => self.warn(other),
        }
    }

    fn handler_failed(
        &mut self,
        now: Instant,
        assignment: AssignmentId,
        job: JobId,
        offset: Option<i64>,
        attempt: u32,
        next_attempt: Option<EngineInstant>,
    ) {
        let failure = self.failures.remove(&job);
        let failure = failure.unwrap_or_else(|| Failure::new("Unknown", "the handler did not say why"));
        if let Some(offset) = offset {
            self.remember_failure(assignment, offset, &failure);
        }
        let Some((topic, partition)) = self.place_of(assignment) else { return };
        self.shared.publisher.publish(&Event::HandlerFailed {
            topic,
            partition,
            offset: offset.unwrap_or(-1),
            attempt,
            retry_in: next_attempt.map_or(Duration::ZERO, |next| next.since(self.at(now))),
            failure,
        });
    }

    /// Keeps why calls failed as long as they have not ended.
    pub(super) fn forget_failures(&mut self) {
        if !self.failures.is_empty() {
            let engine = &self.engine;
            self.failures.retain(|job, _| engine.assignment_of(*job).is_some());
        }
    }

    fn hook_failed(&mut self, assignment: AssignmentId, job: JobId, kind: JobKind) {
        let failure = self.failures.remove(&job);
        let failure = failure.unwrap_or_else(|| Failure::new("Unknown", "the hook did not say why"));
        let (Some((owner, _)), Some(hook)) = (self.owner(assignment), Hook::of(kind)) else { return };
        let (topic, partition) = (Arc::clone(&owner.topic), owner.partition);
        self.shared.publisher.publish(&match hook {
            Hook::Tick => Event::TickFailed { topic, partition, failure },
            Hook::Eofed => Event::EofedFailed { topic, partition, failure },
            Hook::Revoked => Event::RevokedFailed { topic, partition, failure },
            Hook::Shutdown => Event::ShutdownFailed { topic, partition, failure },
        });
    }

    /// What costs nothing but redelivery or time, in words and with its place.
    fn warn(&mut self, notice: &Notice) {
        let Some((assignment, message)) = self.callback_failed(notice).or_else(|| in_words(notice)) else { return };
        let place = self.place_of(assignment);
        let place = place.map_or_else(String::new, |(topic, partition)| format!(" [{topic}/{partition}]"));
        self.shared.publisher.publish(&Event::Warning { message: format!("{message}{place}") });
    }

    /// The notices about callbacks other than the handler, with what the callback said.
    fn callback_failed(&mut self, notice: &Notice) -> Option<(AssignmentId, String)> {
        let (assignment, job, message) = match *notice {
            Notice::PartitionerFailed { assignment, job, offset, messages } => {
                let first = offset.unwrap_or(-1);
                let message = format!(
                    "the partitioner failed for {messages} records from offset {first}: they go to one virtual partition"
                );
                (assignment, job, message)
            }
            Notice::UniqueFailed { assignment, job, offset, messages } => {
                let first = offset.unwrap_or(-1);
                let message = format!(
                    "the callback for unique values failed for {messages} records from offset {first}: no two of them are \
                     handled at once"
                );
                (assignment, job, message)
            }
            Notice::FilterFailed { assignment, job, offset, messages } => {
                let first = offset.unwrap_or(-1);
                let message =
                    format!("the filter failed at {messages} records, the first at {first}: they are handled");
                (assignment, job, message)
            }
            _ => return None,
        };
        let why = self.failures.remove(&job).map(|failure| format!(" ({}: {})", failure.class, failure.message));
        Some((assignment, message + &why.unwrap_or_default()))
    }

    fn place_of(&self, assignment: AssignmentId) -> Option<(Arc<str>, i32)> {
        let assignment = &self.partitions.get(&assignment)?.assignment;
        Some((Arc::clone(&assignment.topic), assignment.partition))
    }
}

/// What happened and what it costs; `None` for what has an event of its own.
fn in_words(notice: &Notice) -> Option<(AssignmentId, String)> {
    let told = match *notice {
        Notice::MetadataIgnored { assignment, ref problem } => (
            assignment,
            format!(
                "the committed metadata says nothing usable ({problem}): what was finished beyond the committed offset is \
                 handled again"
            ),
        ),
        Notice::MarksDropped { assignment, messages } => (
            assignment,
            format!(
                "{messages} records finished beyond the commit position do not fit into the commit's metadata: a crash now \
                 would handle them again"
            ),
        ),
        Notice::UserMetadataTooLong { assignment, ref problem } => {
            (assignment, format!("the offset metadata is not committed: {problem}"))
        }
        Notice::TimestampsAhead { assignment, messages } => (
            assignment,
            format!(
                "{messages} records have timestamps more than an hour ahead of this machine's clock: they are delayed from \
                 when they were read"
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
        _ => return None,
    };
    Some(told)
}
