//! Making jobs out of what is ready.

use crate::assignment::{Assignment, AssignmentId};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::intake::{Limits, is_expired};
use crate::job::{Facts, Group, Job, JobKind, Part, RunningJob};
use crate::options::UniqueBy;
use crate::record::Record;
use crate::scheduler::PoolId;
use crate::virtual_partition::plain::Extent;
use crate::virtual_partition::{Index, Taken};

/// Most messages of a job for the partitioner: enough to make the crossing into a host language cheap, few enough that
/// the first of them do not wait long.
pub(crate) const MOST_TO_KEY: usize = 1024;

impl<M: Record> Engine<M> {
    /// The next job for a seat of `pool`, while it has room for one. Each partition in turn gives one. What turns out to be
    /// done already is dropped on the way, so there may be actions and room for more where there is no job.
    pub fn next_job(&mut self, now: Instant, pool: PoolId) -> Option<Job<M>> {
        self.observe(now);
        if let Some(job) = self.next_call(pool, false) {
            return Some(job);
        }
        if self.quiet {
            return None;
        }
        while let Some(id) = self.turn(pool) {
            let Some(assignment) = self.assignments.get_mut(id) else {
                continue;
            };
            let share = self.scheduler.share(assignment.topic);
            assignment.enlisted = false;
            if !assignment.can_give_job() {
                continue;
            }
            let job = if assignment.can_ask_filter() {
                self.make_filter_job(id)
            } else if assignment.can_ask_partitioner() {
                self.make_key_job(id)
            } else {
                self.make_job(id, share)
            };
            // Behind all others in the ring, if there is more.
            self.enlist(id);
            if job.is_some() {
                self.calls.gave_messages(pool);
                return job;
            }
            // What was ready is done: nothing comes back that would.
            self.consumers_moved(id);
        }
        self.next_call(pool, true)
    }

    /// The assignment whose turn it is, while the pool takes one more job.
    fn turn(&mut self, pool: PoolId) -> Option<AssignmentId> {
        if self.options.chooser {
            return self.chosen_turn(pool);
        }
        if self.scheduler.has_place(pool) { self.scheduler.next(pool) } else { None }
    }

    fn make_key_job(&mut self, id: AssignmentId) -> Option<Job<M>> {
        let assignment = self.assignments.get_mut(id)?;
        let (kind, most) = assignment.question();
        let count = most.min(MOST_TO_KEY);
        let mut messages = self.spare.pop().unwrap_or_default();
        let (mut sequences, parts) = self.jobs.lists();
        let mut bytes = 0;
        for queued in assignment.intake.drain(..count) {
            sequences.push(queued.sequence);
            messages.push(queued.message);
            bytes += u64::from(queued.bytes);
        }
        assignment.asking_partitioner = true;
        let running = assignment.running(kind, id, 1, bytes, sequences, parts);
        self.hand_out(running, messages, Vec::new(), Vec::new(), Facts::default())
    }

    /// A share of the ready virtual partitions; `None` when everything that was ready turned out to be done already.
    fn make_job(&mut self, id: AssignmentId, share: u64) -> Option<Job<M>> {
        let (now, wall) = (self.clock, self.wall.at(self.clock));
        let assignment = self.assignments.get_mut(id)?;
        let Limits { most, oldest, is_throttled } = assignment.limits(now, wall)?;
        let share = usize::try_from(share).unwrap_or(most).min(most);
        let per_job = assignment.options.virtual_partitions_per_job.max(1) as usize;
        let mut messages = self.spare.pop().unwrap_or_default();
        let (mut sequences, mut parts) = self.jobs.lists();
        let (mut groups, mut attempts, mut expired) = (Vec::new(), Vec::new(), 0);
        let lists = (&mut messages, &mut sequences, &mut parts, &mut groups);
        let is_plain = oldest.is_none() && !is_throttled;
        let mut bytes = if is_plain { assignment.fill(Extent { most, share, per_job }, lists) } else { 0 };
        let (mut skipped, mut skipped_bytes) = (Vec::new(), 0);
        let mut space = assignment.options.max_bytes;
        let mut claims = self.locks.claims();
        while let Some((index, alone)) = assignment.mailboxes.peek_ready() {
            if !parts.is_empty() && (alone || parts.len() >= per_job || messages.len() >= share) {
                break;
            }
            let start = messages.len();
            let suspects = if alone { assignment.mailboxes.suspects(index) } else { 0 };
            let mut room = match suspects {
                0 => most - start,
                _ if assignment.options.bisect => most.min(suspects.div_ceil(2) as usize),
                _ => 1,
            };
            let mut left = space;
            if space < u64::MAX {
                let skips = |sequence| (alone || is_throttled) && assignment.ledger.is_done(sequence);
                let (count, size) = assignment.mailboxes.fitting(index, room, space, skips);
                if count == 0 && start > 0 {
                    break;
                }
                // A message that is larger than a call may be goes alone.
                room = count.max(1);
                left = if count == 0 { 0 } else { space - size };
            }
            let Some(free) = assignment.claim(&mut self.locks, &mut claims, (id, index), alone || is_throttled, room)
            else {
                continue;
            };
            space = left;
            let is_measured = space < u64::MAX || assignment.options.unique_by != UniqueBy::Off;
            let ledger = &mut assignment.ledger;
            let taken = assignment.mailboxes.take_ready(free, |queued| {
                // Only a message that was in a job before can have been marked. A throttled retry may leave some of those
                // to the job after it.
                let mut used = !(alone || is_throttled) || !ledger.is_done(queued.sequence);
                let has_expired = is_expired(&queued.message, oldest);
                if has_expired {
                    // It counts as expired unless somebody marked it before.
                    expired += u64::from(ledger.mark(queued.sequence));
                    used = false;
                }
                if used {
                    bytes += u64::from(queued.bytes);
                    sequences.push(queued.sequence);
                    messages.push(queued.message);
                } else {
                    skipped.push(queued.sequence);
                    skipped_bytes += u64::from(queued.bytes);
                    self.dropped.push(queued.message);
                }
                // What was measured is not made up for by what was not.
                used || (has_expired && is_measured)
            });
            let Some((_, taken)) = sequences.get(start).zip(taken) else {
                if assignment.mailboxes.end_job(index) {
                    assignment.gather(&mut self.timers, now, id, index);
                }
                continue;
            };
            let part = Part { returned: alone, suspect: suspects > 0, ..part(taken, start, messages.len()) };
            if alone {
                attempts = assignment.attempts(index, &sequences);
            }
            groups.push(Group { virtual_partition: part.name, start: part.start, len: part.len });
            parts.push(part);
            if alone {
                break;
            }
        }
        #[cfg(feature = "planted")]
        if let Some(part) = parts.first() {
            self.planted.falsify_attempts(assignment, part.name, &mut attempts, sequences.len());
        }
        self.skip(id, &skipped, skipped_bytes);
        self.expired_late(id, expired);
        if messages.is_empty() {
            self.jobs.keep_lists(sequences, parts);
            self.spare.push(messages);
            // What was claimed was claimed for messages that have expired.
            self.release_values(claims.values);
            self.release_values(claims.unneeded);
            return None;
        }
        let attempt = attempts.first().copied().unwrap_or(1);
        let assignment = self.assignments.get_mut(id)?;
        let facts = assignment.begin_call(self.clock, &sequences, &parts);
        let mut running = assignment.running(JobKind::Handle, id, attempt, bytes, sequences, parts);
        running.start_awaited = assignment.count_handed_out(messages.len() as u64);
        running.values = claims.values;
        self.release_values(claims.unneeded);
        self.hand_out(running, messages, groups, attempts, facts)
    }

    /// Messages that were to be handed out and are done already have left the engine's hands.
    fn skip(&mut self, id: AssignmentId, sequences: &[u64], bytes: u64) {
        if sequences.is_empty() {
            return;
        }
        let count = sequences.len() as u64;
        if let Some(assignment) = self.assignments.get_mut(id) {
            for &sequence in sequences {
                assignment.mailboxes.troubles.forget(sequence);
            }
            assignment.release(count, bytes);
        }
        self.budget.give_back(count, bytes);
    }

    pub(crate) fn hand_out(
        &mut self,
        mut running: RunningJob,
        messages: Vec<M>,
        groups: Vec<Group>,
        attempts: Vec<u32>,
        facts: Facts,
    ) -> Option<Job<M>> {
        running.since = self.clock;
        let RunningJob { kind, assignment, topic, partition, attempt, start_awaited: tell_start, era, .. } = running;
        self.assignments.get_mut(assignment)?.running_jobs += 1;
        self.scheduler.job_started(topic);
        let id = self.jobs.start(running);
        Some(Job {
            id,
            kind,
            assignment,
            topic,
            partition,
            messages,
            groups,
            attempt,
            attempts,
            tell_start,
            facts,
            era,
        })
    }
}

impl<M> Assignment<M> {
    /// Which attempt each message of a virtual partition is at; empty when it is the first for all of them.
    fn attempts(&self, index: Index, sequences: &[u64]) -> Vec<u32> {
        let troubles = &self.mailboxes.troubles;
        let failures = |&sequence: &u64| troubles.failures(index, sequence);
        if sequences.iter().all(|sequence| failures(sequence) == 0) {
            return Vec::new();
        }
        sequences.iter().map(|sequence| failures(sequence).saturating_add(1)).collect()
    }

    pub(crate) fn running(
        &self,
        kind: JobKind,
        id: AssignmentId,
        attempt: u32,
        bytes: u64,
        sequences: Vec<u64>,
        parts: Vec<Part>,
    ) -> RunningJob {
        RunningJob {
            kind,
            assignment: id,
            topic: self.topic,
            partition: self.partition,
            attempt,
            bytes,
            since: Instant::START,
            start_awaited: false,
            sequences,
            parts,
            values: Vec::new(),
            last_marked: 0,
            era: self.era,
            paused: false,
            asks: false,
            hook: None,
        }
    }
}

pub(crate) fn part(taken: Taken, start: usize, end: usize) -> Part {
    let Taken { index, name, shared } = taken;
    Part {
        index,
        name,
        shared,
        start: start as u32,
        len: (end - start) as u32,
        marked: 0,
        returned: false,
        suspect: false,
    }
}
