//! An assigned partition as the poller holds it: from the assignment that opens its queue to the loss that closes it.
//!
//! Owned by the poller, used on its thread only. Its state dies with it: a partition that comes back is a new one.

use super::fetching::Fetching;
use super::subscription::Target;
use super::{Poller, Source};
use crate::Result;
use crate::context::Assignment;
use crate::job::Failure;
use crate::native::PartitionQueue;
use crate::position::Said;
use crate::wake::Ready;
use karafka_engine::{AssignmentId, TopicId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// An assigned partition's queue and the handle that its jobs share.
pub(super) struct Partition {
    pub(super) assignment: Arc<Assignment>,
    pub(super) member: usize,
    pub(super) route: usize,
    pub(super) topic: TopicId,
    pub(super) queue: PartitionQueue,
    /// The lowest offset that may come next: the log is read forwards.
    pub(super) next_offset: i64,
    /// Where librdkafka has to go on once it was paused, while what was read last is an error or the end of the log: it takes
    /// those for records that were read, too.
    pub(super) goes_on: Option<i64>,
    /// A running mean of a message's size, to turn a byte budget into a count.
    pub(super) mean_bytes: u64,
    /// Failures of messages by their offsets, where a strategy asks for them.
    pub(super) failures: BTreeMap<i64, VecDeque<Failure>>,
    /// When the end of the log was looked at last.
    pub(super) end_looked_at: Instant,
    pub(super) fetching: Fetching,
}

impl Poller {
    /// Opens an assigned partition: cuts its queue off and makes its assignment.
    pub(super) fn open(
        &mut self,
        now: Instant,
        member: usize,
        target: Target,
        offset: &crate::native::PartitionOffset,
    ) -> Result<()> {
        self.leave_to(now, member, target.topic, offset.partition);
        let token = self.next_token;
        self.next_token += 1;
        let ready = Ready::new(token, Arc::clone(&self.shared.waker));
        let owner = &self.members[member];
        let queue = owner.consumer()?.partition_queue(&offset.topic, offset.partition, ready)?;
        let start = karafka_engine::Start { offset: offset.offset, metadata: offset.metadata.as_deref() };
        let id = self.engine.assign(self.at(now), target.topic, offset.partition, start);
        let assignment = Assignment {
            id,
            topic: Arc::from(offset.topic.as_str()),
            partition: offset.partition,
            group: Arc::clone(owner.group()),
            owned: AtomicBool::new(true),
            opener: self.routes.get(target.route).and_then(|route| route.opener.clone()),
            said: Said::new(self.engine.offset_metadata(id).unwrap_or_default()),
            transactions: Arc::clone(&self.subscriptions[owner.subscription].transactions),
            shares_commits: self.routes.get(target.route).is_some_and(|route| route.options.sharing.is_some()),
        };
        self.sources.insert(token, Source::Partition(id));
        let partition = Partition {
            assignment: Arc::new(assignment),
            member,
            route: target.route,
            topic: target.topic,
            queue,
            // Records from below the committed offset come when that is beyond the end of the log.
            next_offset: offset.offset.unwrap_or(0),
            goes_on: None,
            mean_bytes: 1024,
            failures: BTreeMap::new(),
            end_looked_at: self.start,
            fetching: Fetching::new(now),
        };
        self.partitions.insert(id, partition);
        self.members[member].opened(&offset.topic, offset.partition, id, token);
        self.mark_readable(id);
        Ok(())
    }

    /// A partition that another connection of this process lost without knowing it yet: it goes on with its new member.
    fn leave_to(&mut self, now: Instant, member: usize, topic: TopicId, partition: i32) {
        let is_it =
            |held: &Partition| held.topic == topic && held.assignment.partition == partition && held.member != member;
        let held = self.partitions.iter().find(|(_, held)| is_it(held)).map(|(id, _)| *id);
        if let Some(id) = held {
            self.engine.lose(self.at(now), id);
            self.put_back(|job| job.context.assignment.id == id);
            self.close(id);
        }
    }

    /// Forgets a partition that is given up or lost; handles kept by jobs say "revoked" from now on.
    pub(super) fn close(&mut self, assignment: AssignmentId) {
        if let Some(partition) = self.partitions.remove(&assignment) {
            partition.assignment.owned.store(false, Ordering::SeqCst);
            self.end_turn(&partition);
            self.depart(assignment, &partition);
            let key = (partition.assignment.topic.to_string(), partition.assignment.partition);
            if let Some(token) = self.members[partition.member].closed_partition(&key) {
                self.sources.remove(&token);
            }
        }
        self.readable_set.remove(&assignment);
        self.forget_letters(assignment);
        self.forget_turns(assignment);
        self.answer_waiters(assignment, None, false);
    }
}
