//! What handlers do to positions, on the poller's side: pauses, texts and seeks.
//!
//! Called by the poller on its thread. A seek goes three steps: where it goes to is asked from the partition's leader if it
//! is a time or an end, which comes back as an event; librdkafka's fetching is moved; then the engine hears of it. A step that
//! fails ends it, and nothing has changed.

use super::Poller;
use crate::event::Event;
use crate::native::{describe, kind_of};
use crate::position::{Ask, SeekTo};
use crate::{Error, ErrorKind, embedded};
use karafka_engine::{AssignmentId, JobId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How old what is known of the end of a log may be.
const END_LOOK: Duration = Duration::from_millis(100);

/// A seek whose target is being asked for.
pub(super) struct Seeking {
    assignment: AssignmentId,
    to: SeekTo,
    ask: Ask,
}

impl Poller {
    pub(super) fn pause(&mut self, job: JobId, assignment: AssignmentId, until: Option<Instant>) {
        if let Some(partition) = self.partitions.get(&assignment) {
            self.shared.publisher.publish(&Event::Paused {
                group: Arc::clone(&partition.assignment.group),
                topic: Arc::clone(&partition.assignment.topic),
                partition: partition.assignment.partition,
                pause: until.map(|until| until.saturating_duration_since(Instant::now())),
            });
        }
        let until = until.map(|until| self.at(until));
        self.engine.pause_from(job, until);
        // Also when the job has ended meanwhile.
        self.engine.pause(assignment, until);
    }

    pub(super) fn resume(&mut self, job: JobId, assignment: AssignmentId) {
        if let Some(partition) = self.partitions.get(&assignment) {
            self.shared.publisher.publish(&Event::Resumed {
                group: Arc::clone(&partition.assignment.group),
                topic: Arc::clone(&partition.assignment.topic),
                partition: partition.assignment.partition,
            });
        }
        self.engine.resume_from(job);
        self.engine.resume(assignment);
    }

    pub(super) fn begin_seek(
        &mut self,
        now: Instant,
        assignment: AssignmentId,
        to: SeekTo,
        timeout: Duration,
        ask: Ask,
    ) {
        let Some(partition) = self.partitions.get(&assignment) else {
            ask.answer(Ok(false));
            return;
        };
        let time = match to {
            SeekTo::Offset(offset) => {
                self.move_to(now, assignment, offset, &ask);
                return;
            }
            SeekTo::Time(_) if embedded::is_embedded(&self.config.bootstrap_servers) => {
                let message = "the embedded broker does not know when its messages were made; seek to an offset";
                ask.answer(Err(self.seek_error(assignment, ErrorKind::Unsupported, message)));
                return;
            }
            SeekTo::Time(time) => time,
            SeekTo::Earliest => -2,
            SeekTo::Latest => -1,
        };
        let (owner, member) = (&partition.assignment, partition.member);
        let (topic, number) = (owner.topic.to_string(), owner.partition);
        let ticket = self.members[member].ticket();
        let asked = self.members[member]
            .consumer()
            .and_then(|consumer| consumer.list_offsets(ticket, &topic, number, time, timeout));
        match asked {
            Ok(()) => {
                self.seeks.insert((member, ticket), Seeking { assignment, to, ask });
            }
            Err(error) => ask.answer(Err(error)),
        }
    }

    /// A leader said where a seek goes to.
    pub(super) fn offsets_listed(
        &mut self,
        now: Instant,
        member: usize,
        ticket: u64,
        result: Result<i64, (i32, String)>,
    ) {
        let Some(Seeking { assignment, to, ask }) = self.seeks.remove(&(member, ticket)) else { return };
        match result {
            Ok(offset) if offset >= 0 => self.move_to(now, assignment, offset, &ask),
            Ok(_) => {
                let message = format!("there is no message at {to:?} or after it; seek to the end instead");
                ask.answer(Err(self.seek_error(assignment, ErrorKind::Config, &message)));
            }
            Err((number, text)) => {
                let text = if text.is_empty() { describe(number) } else { text };
                ask.answer(Err(self.seek_error(assignment, kind_of(number), &text).kafka_code(number)));
            }
        }
    }

    fn move_to(&mut self, now: Instant, id: AssignmentId, offset: i64, ask: &Ask) {
        if !ask.take() {
            return;
        }
        let at = self.at(now);
        let can = self.engine.can_seek(at, id, offset);
        let Some(partition) = self.partitions.get(&id).filter(|_| can) else {
            ask.answer(Ok(false));
            return;
        };
        // A native seek throws away what was fetched: not where the next message to be read is the target.
        let is_there = partition.next_offset == offset && self.engine.position(id).is_some();
        if !is_there {
            let (topic, number) = (partition.assignment.topic.to_string(), partition.assignment.partition);
            let consumer = self.members[partition.member].consumer();
            if let Err(error) = consumer.and_then(|consumer| consumer.seek(&topic, number, offset)) {
                ask.answer(Err(error));
                return;
            }
        }
        self.engine.seek(at, id, offset);
        self.put_back(|job| job.context.assignment.id == id);
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.next_offset = offset;
            partition.goes_on = partition.goes_on.filter(|_| is_there);
            partition.failures.clear();
        }
        self.mark_readable(id);
        ask.answer(Ok(true));
    }

    fn seek_error(&self, assignment: AssignmentId, kind: ErrorKind, message: &str) -> Error {
        let error = Error::new(kind, "seek", message);
        match self.partitions.get(&assignment) {
            Some(partition) => {
                error.with("topic", &partition.assignment.topic).with("partition", partition.assignment.partition)
            }
            None => error,
        }
    }

    /// Keeps what librdkafka knows of the end of a log that is read.
    pub(super) fn look_at_end(&mut self, now: Instant, id: AssignmentId) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        if now.saturating_duration_since(partition.end_looked_at) < END_LOOK {
            return;
        }
        partition.end_looked_at = now;
        let owner = &partition.assignment;
        if let Ok(consumer) = self.members[partition.member].consumer()
            && let Some(end) = consumer.end_of(&owner.topic, owner.partition)
        {
            owner.said.end.store(end, Ordering::Relaxed);
        }
    }
}
