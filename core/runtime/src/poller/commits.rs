//! The commits of a member: sent when the engine asks for them, answered as events.
//!
//! Called by the poller, on its thread. Each commit that is sent is answered to the engine exactly once.

use super::Poller;
use crate::Error;
use crate::native::{PartitionOffset, code, describe, kind_of};
use karafka_engine::{AssignmentId, CommitFailure, CommitId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

impl Poller {
    pub(super) fn send_commits(&mut self, now: Instant, commits: Vec<(AssignmentId, CommitId, i64, String)>) {
        let mut by_member: HashMap<usize, (Vec<_>, Vec<PartitionOffset>)> = HashMap::new();
        for (assignment, id, position, metadata) in commits {
            let Some(partition) = self.partitions.get(&assignment) else { continue };
            let mut offset = PartitionOffset::new(&partition.assignment.topic, partition.assignment.partition);
            offset.offset = Some(position);
            offset.metadata = Some(metadata);
            let (entries, offsets) = by_member.entry(partition.member).or_default();
            entries.push((assignment, id, offset.topic.clone(), offset.partition));
            offsets.push(offset);
        }
        for (member, (entries, offsets)) in by_member {
            let ticket = self.members[member].ticket();
            let sent = self.members[member].consumer().and_then(|consumer| consumer.commit(ticket, &offsets));
            match sent {
                Ok(()) => {
                    self.members[member].commits.insert(ticket, entries);
                }
                Err(error) => {
                    for (assignment, id, ..) in entries {
                        self.engine.committed(self.at(now), assignment, id, Err(CommitFailure::Retriable));
                    }
                    self.publish_error(error, true);
                }
            }
        }
    }

    /// Commits what is done in partitions that a member keeps, before it answers a rebalance: the coordinator takes commits of this
    /// generation until the member joins the next one, and then none until all others have joined it, too. librdkafka joins
    /// again at once, and a group whose members die needs as long for that as their sessions.
    pub(super) fn commit_kept(&mut self, now: Instant, member: usize, going: &[PartitionOffset]) {
        let stays = |key: &(String, i32)| !going.iter().any(|one| one.topic == key.0 && one.partition == key.1);
        let assigned = self.members[member].assigned.iter().filter(|(key, _)| stays(key));
        let kept: Vec<AssignmentId> = assigned.map(|(_, (id, _))| *id).collect();
        for id in kept {
            self.engine.commit_now(self.at(now), id);
        }
        self.act(now);
    }

    pub(super) fn committed(
        &mut self,
        now: Instant,
        member: usize,
        ticket: u64,
        number: i32,
        partitions: &[PartitionOffset],
    ) {
        let Some(entries) = self.members[member].commits.remove(&ticket) else { return };
        let mut unexpected = None;
        for (assignment, id, topic, partition) in entries {
            let own = partitions.iter().find(|entry| entry.topic == topic && entry.partition == partition);
            let number = own.map(|entry| entry.code).filter(|own| *own != code::NO_ERROR).unwrap_or(number);
            let is_revoked = self.members[member].is_giving_up(assignment);
            let given_up = self.shutdown.is_some() || is_revoked;
            let result = match commit_result(number) {
                // A commit that was sent before a rebalance and judged after it has the old generation, also of a partition
                // that stays. One that does not is lost, and closed, by an event of its own. So it is at a stop.
                Err(CommitFailure::NotOwned) if number == code::ILLEGAL_GENERATION && !is_revoked => {
                    Err(CommitFailure::Retriable)
                }
                result => result,
            };
            if result.is_ok() {
                self.members[member].is_cut_off = false;
            }
            if result == Err(CommitFailure::Fatal) {
                unexpected = Some((number, topic));
            }
            // What is not known to be final is tried again: an access rule, for one, may be granted later. A partition that
            // goes because its topic is gone must not hold up the rebalance or the stop.
            let is_final = number == code::UNKNOWN_TOPIC_OR_PART && given_up;
            let told =
                if result == Err(CommitFailure::Fatal) && !is_final { Err(CommitFailure::Retriable) } else { result };
            self.engine.committed(self.at(now), assignment, id, told);
            match result {
                Ok(()) => self.answer_waiters(assignment, Some(id), true),
                Err(CommitFailure::NotOwned) => self.answer_waiters(assignment, None, false),
                _ => {}
            }
        }
        if let Some((number, topic)) = unexpected
            && self.members[member].is_news("commit offsets", number, &topic, now)
        {
            let error = Error::new(kind_of(number), "commit offsets", describe(number)).kafka_code(number);
            let error = error.with("topic", topic);
            self.publish_error(error.with("group", Arc::clone(&self.members[member].group)), true);
        }
    }
}

/// What a commit's answer means for the assignment.
fn commit_result(number: i32) -> std::result::Result<(), CommitFailure> {
    match number {
        code::NO_ERROR | code::NO_OFFSET => Ok(()),
        code::OFFSET_METADATA_TOO_LARGE => Err(CommitFailure::MetadataTooLarge),
        code::ILLEGAL_GENERATION
        | code::UNKNOWN_MEMBER_ID
        | code::ASSIGNMENT_LOST
        | code::FENCED_INSTANCE_ID
        | code::FENCED_MEMBER_EPOCH
        | code::FENCED => Err(CommitFailure::NotOwned),
        code::REBALANCE_IN_PROGRESS
        | code::STALE_MEMBER_EPOCH
        | code::TIMED_OUT
        | code::TRANSPORT
        | code::WAIT_COORDINATOR
        | code::COORDINATOR_LOADING
        | code::COORDINATOR_NOT_AVAILABLE
        | code::NOT_COORDINATOR
        | code::ALL_BROKERS_DOWN
        | code::DESTROY
        | code::STATE => Err(CommitFailure::Retriable),
        _ => Err(CommitFailure::Fatal),
    }
}
