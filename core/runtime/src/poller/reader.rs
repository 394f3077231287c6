//! Reading partitions: as much as the engine has room for, a round at a time, so that all partitions have their turn.
//!
//! A partition that is over its budget is simply not read: its queue in librdkafka fills up and fetching stops by itself,
//! without a pause that would throw away what was fetched.

use super::{Partition, Poller, ROUND, Source};
use crate::Error;
use crate::context::Assignment;
use crate::event::Event;
use crate::message::{MessageInner, Stored};
use crate::native::{NativeMessage, code};
use crate::position::Said;
use karafka_engine::{AssignmentId, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[cfg(test)]
mod tests;

const RESET: &str = "auto.offset.reset";
/// librdkafka's names of a log's ends.
const BEGINNING: i64 = -2;
const END: i64 = -1;

impl Poller {
    pub(super) fn mark_readable(&mut self, assignment: AssignmentId) {
        if self.readable_set.insert(assignment) {
            self.readable.push(assignment);
        }
    }

    /// Reads what there is and what the engine has room for. Returns whether there may be more of both.
    pub(super) fn read_partitions(&mut self, now: Instant) -> bool {
        let mut more = false;
        let readable = std::mem::take(&mut self.readable);
        for assignment in readable {
            let room = self.engine.room(assignment);
            let Some(partition) = self.partitions.get_mut(&assignment) else {
                self.readable_set.remove(&assignment);
                continue;
            };
            let by_bytes = usize::try_from(room.bytes / partition.mean_bytes.max(1)).unwrap_or(usize::MAX);
            let most = (room.messages as usize).min(by_bytes.max(1)).min(ROUND);
            if room.messages == 0 {
                // Stays readable: looked at again when the engine made room.
                self.readable.push(assignment);
                continue;
            }
            partition.queue.ready().lower();
            let mut messages = std::mem::take(&mut self.fetched);
            partition.queue.read(&mut messages, most);
            if messages.len() < most {
                self.readable_set.remove(&assignment);
            } else {
                self.readable.push(assignment);
                more = true;
            }
            if !messages.is_empty() {
                self.look_at_end(now, assignment);
            }
            self.deliver(now, assignment, &mut messages);
            self.fetched = messages;
        }
        more
    }

    /// Hands what was read to the engine, in one pass: a message's memory is cold, and another thread's.
    fn deliver(&mut self, now: Instant, assignment: AssignmentId, messages: &mut Vec<NativeMessage>) {
        let (mut owner, mut count, mut bytes, mut failed, mut ends) = (assignment, 0, 0, Vec::new(), false);
        let mut rest = messages.drain(..).peekable();
        loop {
            while let Some(message) = rest.next_if(|message| message.code() != code::NO_ERROR) {
                ends |= message.code() == code::PARTITION_EOF;
                self.note_where(owner, message.offset());
                if message.code() != code::PARTITION_EOF {
                    failed.push((message.code(), message.error_text()));
                }
            }
            let Some(first) = rest.peek().map(NativeMessage::offset) else { break };
            let Some(follower) = self.follow(now, owner, first) else { break };
            owner = follower;
            // It was the end of what was read before.
            ends = false;
            let mut next = first;
            // As a rule all of them; where offsets go back, the log begins anew in the midst of what was read.
            let ascending = std::iter::from_fn(|| {
                let message = rest.next_if(|message| message.code() == code::NO_ERROR && message.offset() >= next)?;
                next = message.offset().saturating_add(1);
                let record = MessageInner(Stored::Native(message));
                count += 1;
                bytes += u64::from(record.bytes());
                Some(record)
            });
            self.engine.deliver(self.at(now), owner, ascending);
            if let Some(partition) = self.partitions.get_mut(&owner) {
                partition.next_offset = next;
                partition.goes_on = None;
            }
        }
        drop(rest);
        if let Some(partition) = self.partitions.get_mut(&owner)
            && count > 0
        {
            partition.mean_bytes = (partition.mean_bytes * 7 + bytes / count) / 8 + 1;
            partition.fetching.message_bytes = bytes / count;
            self.turns.read(bytes / count);
        }
        if ends {
            self.engine.reach_end(self.at(now), owner);
        }
        for (number, text) in failed {
            self.partition_error(owner, number, text);
        }
    }

    /// Notices that the log was cut and offsets begin anew below what was read: what is known of the old ones must not be
    /// taken for the new ones, so the partition gets another assignment. Records that lie before the cut may not be done yet:
    /// then it is read again from the first of them, and what was read here is not taken (`None`).
    fn follow(&mut self, now: Instant, id: AssignmentId, first: i64) -> Option<AssignmentId> {
        let Some(expected) = self.partitions.get(&id).map(|partition| partition.next_offset) else { return Some(id) };
        if first >= expected {
            return Some(id);
        }
        let undone = self.engine.undone_before(id, first);
        let text = undone.as_ref().and_then(|_| self.engine.offset_metadata(id)).map(str::to_owned);
        let Some(mut partition) = self.partitions.remove(&id) else { return Some(id) };
        let old = Arc::clone(&partition.assignment);
        let sought = undone.as_ref().map(|(offset, _)| {
            let consumer = self.members[partition.member].consumer();
            consumer.and_then(|consumer| consumer.seek(&old.topic, old.partition, *offset))
        });
        let undone = match sought.transpose() {
            Ok(_) => undone,
            Err(error) => {
                self.publish_error(error, true);
                None
            }
        };
        old.owned.store(false, Ordering::SeqCst);
        self.engine.lose(self.at(now), id);
        self.depart(id, &partition);
        self.put_back(|job| job.context.assignment.id == id);
        self.answer_waiters(id, None, false);
        self.forget_turns(id);
        self.forget_letters(id);
        let (undone, beside) = undone.unzip();
        let start = karafka_engine::Start { offset: undone, metadata: beside.as_deref() };
        let new = self.engine.assign(self.at(now), partition.topic, old.partition, start);
        if undone.is_none() {
            self.engine.doubt_offset(new);
        }
        partition.assignment = Arc::new(Assignment {
            id: new,
            topic: Arc::clone(&old.topic),
            partition: old.partition,
            group: Arc::clone(&old.group),
            owned: AtomicBool::new(true),
            opener: old.opener.clone(),
            said: Said::new(text.filter(|_| undone.is_some()).as_deref().unwrap_or_default()),
            transactions: Arc::clone(&old.transactions),
            shares_commits: old.shares_commits,
        });
        if let Some(token) = self.members[partition.member].reopened(&old.topic, old.partition, new) {
            self.sources.insert(token, Source::Partition(new));
        }
        partition.next_offset = undone.unwrap_or(first);
        partition.goes_on = None;
        self.partitions.insert(new, partition);
        if self.readable_set.remove(&id) {
            self.readable.retain(|other| *other != id);
            self.mark_readable(new);
        }
        let from = if let Some(offset) = undone {
            format!("{offset}, the first that was not done")
        } else {
            "there".to_owned()
        };
        let message = format!(
            "the log of {}/{} begins anew at offset {first} where {expected} was expected: its records are handled from {from}",
            old.topic, old.partition
        );
        self.shared.publisher.publish(&Event::Warning { message });
        undone.is_none().then_some(new)
    }

    /// An error or the end of the log was read last, at an offset if it has one.
    fn note_where(&mut self, id: AssignmentId, reached: i64) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let is_known = reached >= 0 || self.engine.position(id).is_some();
        let settings = self.members.get(partition.member).and_then(|owner| self.subscriptions.get(owner.subscription));
        let is_latest = settings.is_some_and(|found| found.settings.get(RESET).is_some_and(|reset| reset == "latest"));
        partition.goes_on = Some(match is_known {
            true => reached.max(partition.next_offset),
            false if is_latest => END,
            false => BEGINNING,
        });
    }

    /// Has librdkafka go on where they are with the partitions that fit, which it paused. It would go on behind what it takes for
    /// the last record that was read: but that may be an error, or the end of the log, whose offset the next record gets.
    pub(super) fn set_right(&mut self, fits: impl Fn(&Partition) -> bool) {
        for partition in self.partitions.values_mut() {
            let Some(offset) = partition.goes_on.filter(|_| fits(partition)) else { continue };
            partition.goes_on = None;
            let owner = &partition.assignment;
            let consumer = self.members[partition.member].consumer();
            let sought = consumer.and_then(|consumer| consumer.seek(&owner.topic, owner.partition, offset));
            if let Err(error) = sought {
                let event = Event::Error { error: Arc::new(error), recoverable: true };
                self.shared.publisher.publish(&event);
            }
        }
    }

    pub(super) fn partition_error(&self, assignment: AssignmentId, number: i32, text: String) {
        let Some(partition) = self.partitions.get(&assignment) else { return };
        let error = Error::new(crate::native::kind_of(number), "fetch", text)
            .kafka_code(number)
            .with("topic", &partition.assignment.topic)
            .with("partition", partition.assignment.partition);
        self.publish_error(error, true);
    }
}
