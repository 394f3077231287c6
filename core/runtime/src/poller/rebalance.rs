//! A member's part in rebalances.
//!
//! Called by the poller, on its thread, with what the group says. Coming: the group's committed offsets and metadata are
//! fetched first (the answer is an event), then the partitions are opened and taken over. Going: the engine drains each
//! partition (queued work dropped, running work awaited, last commit answered), and only when the last of them is released
//! is the rebalance answered; polling goes on meanwhile. Lost: all at once, nothing is committed.

use super::Poller;
use super::subscription::Target;
use crate::event::Event;
use crate::native::{Cluster, Consumer, PartitionOffset, RebalanceKind, code, describe, kind_of};
use crate::report::Report;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};
use karafka_engine::AssignmentId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer on the group's offsets is awaited before they are asked for once more; twice as long each time.
const OFFSETS_WAIT: Duration = Duration::from_secs(5);
const OFFSETS_WAIT_MOST: Duration = Duration::from_secs(60);
const OFFSETS_RETRY: Duration = Duration::from_millis(250);

/// How long librdkafka has to end a member by itself that was closed without partitions: long after it was told what to give
/// up it waits for the answer, or has ended, and is not about to.
const LATE_ANSWER: Duration = Duration::from_millis(100);

/// How long the coordinator may take where a thread waits for it: less than [`OFFSETS_WAIT`], so that there is one at a time.
const COORDINATOR_WAIT_MS: i32 = 4_000;

/// The group's committed offsets, or librdkafka's number and text of what failed.
pub(crate) type GroupOffsets = Result<Vec<PartitionOffset>, (i32, String)>;

/// The rebalance under way.
pub(super) enum Change {
    None,
    /// Waiting for the group's offsets of partitions that come; `ticket` 0 after a failure.
    Fetching {
        ticket: u64,
        partitions: Vec<PartitionOffset>,
        retry_at: Instant,
        wait: Duration,
    },
    /// Waiting for partitions that go.
    Draining {
        partitions: Vec<PartitionOffset>,
        pending: HashSet<AssignmentId>,
    },
}

impl Poller {
    pub(super) fn begin_assign(&mut self, now: Instant, member: usize, partitions: Vec<PartitionOffset>) {
        self.members[member].is_cut_off = false;
        self.commit_kept(now, member, &[]);
        if partitions.is_empty() || self.shutdown.is_some() || self.members[member].is_leaving {
            // An app or a connection that ends takes nothing over any more.
            self.answer(member, RebalanceKind::Assign, &[]);
            return;
        }
        let group = Arc::clone(self.members[member].group());
        self.shared.publisher.publish(&Event::PartitionsAssign { group, partitions: names(&partitions) });
        self.members[member].change = Change::Fetching { ticket: 0, partitions, retry_at: now, wait: OFFSETS_WAIT };
        self.fetch_offsets(now, member);
    }

    pub(super) fn fetch_offsets(&mut self, now: Instant, member: usize) {
        let fresh = self.members[member].ticket();
        let owner = &mut self.members[member];
        let Change::Fetching { ticket, partitions, retry_at, wait } = &mut owner.change else { return };
        // Asked before, and not answered: librdkafka may wait for a broker that has the group no more.
        owner.asks_coordinator |= *ticket != 0;
        *ticket = fresh;
        *retry_at = now + *wait;
        *wait = OFFSETS_WAIT_MOST.min(*wait * 2);
        let Some(consumer) = &owner.consumer else { return };
        let asked = if owner.asks_coordinator {
            ask_coordinator(&self.shared, consumer.cluster(), owner.token, fresh, partitions.clone())
        } else {
            consumer.fetch_offsets(fresh, partitions)
        };
        if let Err(error) = asked {
            (*ticket, *retry_at) = (0, now + OFFSETS_RETRY);
            self.publish_error(error, true);
        }
    }

    pub(super) fn offsets_failed(&mut self, now: Instant, member: usize, number: i32, text: String) {
        if self.members[member].is_news("fetch committed offsets", number, "", now) {
            let group = Arc::clone(&self.members[member].group);
            let error = Error::new(kind_of(number), "fetch committed offsets", text).kafka_code(number);
            self.publish_error(error.with("group", group).retriable(), true);
        }
    }

    pub(super) fn finish_assign(&mut self, now: Instant, member: usize, answered: u64, result: GroupOffsets) {
        let ends = self.shutdown.is_some() || self.members[member].is_leaving;
        let Change::Fetching { ticket, partitions, retry_at, .. } = &mut self.members[member].change else { return };
        if *ticket != answered {
            return;
        }
        let failure = match &result {
            Err(failure) => Some(failure.clone()),
            Ok(offsets) => offsets
                .iter()
                .find(|entry| entry.code != code::NO_ERROR)
                .map(|entry| (entry.code, describe(entry.code))),
        };
        if let Some((number, text)) = failure {
            (*ticket, *retry_at) = (0, now + OFFSETS_RETRY);
            // librdkafka keeps the coordinators of such requests as long as they are used, right or wrong.
            self.members[member].asks_coordinator |= number == code::NOT_COORDINATOR;
            self.offsets_failed(now, member, number, text);
            return;
        }
        let partitions = if ends { Vec::new() } else { std::mem::take(partitions) };
        self.members[member].change = Change::None;
        let offsets: HashMap<_, _> = result
            .unwrap_or_default()
            .into_iter()
            .map(|entry| ((entry.topic.clone(), entry.partition), entry))
            .collect();
        let mut taken = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let mut start = PartitionOffset::new(&partition.topic, partition.partition);
            if let Some(known) = offsets.get(&(partition.topic.clone(), partition.partition)) {
                start.offset = known.offset;
                start.metadata.clone_from(&known.metadata);
            }
            let Some(target) = self.target(member, &start.topic) else {
                let message = "a partition of a topic without handler was assigned";
                self.publish_error(
                    Error::new(ErrorKind::Internal, "assign", message).with("topic", &start.topic),
                    true,
                );
                continue;
            };
            match self.open(now, member, target, &start) {
                Ok(()) => {
                    // The metadata is ours; librdkafka must not carry it into its own state.
                    start.metadata = None;
                    taken.push(start);
                }
                Err(error) => self.publish_error(error, true),
            }
        }
        self.answer(member, RebalanceKind::Assign, &taken);
        let group = Arc::clone(&self.members[member].group);
        self.shared.publisher.publish(&Event::PartitionsAssigned { group, partitions: names(&taken) });
    }

    fn target(&self, member: usize, topic: &str) -> Option<Target> {
        self.subscriptions.get(self.members[member].subscription)?.target(topic)
    }

    // ---- partitions that go

    pub(super) fn begin_revoke(&mut self, now: Instant, member: usize, partitions: Vec<PartitionOffset>) {
        let lost = self.members[member].consumer.as_ref().is_some_and(Consumer::assignment_lost);
        if !lost {
            self.members[member].is_cut_off = false;
            self.commit_kept(now, member, &partitions);
        }
        // An offsets answer that is still under way belongs to partitions that will not come.
        let before = std::mem::replace(&mut self.members[member].change, Change::None);
        let mut pending: HashSet<AssignmentId> = HashSet::new();
        if let Change::Draining { pending: still, .. } = before {
            pending = still;
        }
        for partition in &partitions {
            let key = (partition.topic.clone(), partition.partition);
            if let Some((id, _)) = self.members[member].assigned.get(&key) {
                pending.insert(*id);
            }
        }
        let group = Arc::clone(self.members[member].group());
        self.shared.publisher.publish(&Event::PartitionsRevoke { group, partitions: names(&partitions) });
        if lost {
            for id in pending.drain() {
                self.engine.lose(self.at(now), id);
                self.put_back(|job| job.context.assignment.id == id);
                self.close(id);
            }
            self.finish_revoke(member, &partitions, true);
            return;
        }
        // The drain is known before it begins: a partition without running work is released in the midst of it.
        self.members[member].change = Change::Draining { partitions, pending: pending.clone() };
        self.give_up(now, &pending, now + self.config.revoke_timeout);
        self.act(now);
        self.finish_revoke_if_drained(member);
    }

    /// Lets the engine drain these partitions.
    pub(super) fn give_up(&mut self, now: Instant, assignments: &HashSet<AssignmentId>, deadline: Instant) {
        for pool in &self.pools {
            pool.set_attentive(true);
        }
        for id in assignments {
            self.engine.revoke(self.at(now), *id, self.at(deadline));
            if !self.engine.is_owned(*id) {
                self.disown(*id);
            }
        }
        self.put_back(|job| assignments.contains(&job.context.assignment.id));
        self.take_reports(now);
    }

    /// The engine has nothing to do with a partition any more.
    pub(super) fn release(&mut self, assignment: AssignmentId) {
        let member = self.partitions.get(&assignment).map(|partition| partition.member);
        self.close(assignment);
        let Some(member) = member else { return };
        if let Change::Draining { pending, .. } = &mut self.members[member].change {
            pending.remove(&assignment);
        }
        self.finish_revoke_if_drained(member);
    }

    fn finish_revoke_if_drained(&mut self, member: usize) {
        let Change::Draining { partitions, pending } = &mut self.members[member].change else { return };
        if !pending.is_empty() {
            return;
        }
        let partitions = std::mem::take(partitions);
        self.members[member].change = Change::None;
        self.finish_revoke(member, &partitions, false);
    }

    fn finish_revoke(&mut self, member: usize, partitions: &[PartitionOffset], lost: bool) {
        if self.members[member].consumer().is_ok_and(Consumer::is_forgotten) {
            self.members[member].late_answer = Some((Instant::now() + LATE_ANSWER, partitions.to_vec()));
        } else {
            self.answer(member, RebalanceKind::Revoke, partitions);
        }
        if self.shutdown.is_none()
            && self.members.iter().all(|member| !matches!(member.change, Change::Draining { .. }))
        {
            for pool in &self.pools {
                pool.set_attentive(false);
            }
        }
        let group = Arc::clone(&self.members[member].group);
        self.shared.publisher.publish(&Event::PartitionsRevoked { group, partitions: names(partitions), lost });
    }

    /// Answers what a member without partitions has to give up, unless it has left meanwhile.
    pub(super) fn answer_late(&mut self, now: Instant, member: usize) {
        let owner = &mut self.members[member];
        let is_closed = owner.consumer.as_ref().is_none_or(Consumer::closed);
        if let Some((_, partitions)) = owner.late_answer.take_if(|(at, _)| *at <= now || is_closed)
            && !is_closed
        {
            self.answer(member, RebalanceKind::Revoke, &partitions);
        }
    }

    fn answer(&mut self, member: usize, kind: RebalanceKind, partitions: &[PartitionOffset]) {
        let answered = self.tell_answer(member, kind, partitions);
        if let Err(error) = answered {
            self.publish_error(error, true);
        }
    }

    fn tell_answer(&mut self, member: usize, kind: RebalanceKind, partitions: &[PartitionOffset]) -> Result<()> {
        let owner = &self.members[member];
        let subscription = self.subscriptions.get(owner.subscription);
        let is_direct = subscription.is_some_and(|subscription| subscription.direct.is_some());
        let consumer = owner.consumer()?;
        match kind {
            RebalanceKind::Assign if is_direct => consumer.take_over(partitions)?,
            _ => consumer.answer(kind, partitions)?,
        }
        self.set_right(|partition| partition.member == member);
        let owner = &self.members[member];
        let stay = owner.owned_partitions().filter(|(topic, number)| {
            partitions.iter().all(|entry| entry.partition != *number || entry.topic != *topic)
        });
        owner.consumer()?.wake_fetchers(stay)
    }
}

/// Asks on a thread that lives as long as the question; the answer comes as a report.
fn ask_coordinator(
    shared: &Arc<Shared>,
    cluster: Cluster,
    token: u64,
    ticket: u64,
    partitions: Vec<PartitionOffset>,
) -> Result<()> {
    let shared = Arc::clone(shared);
    let asked = std::thread::Builder::new().name("karafka-look".to_owned()).spawn(move || {
        let offsets = cluster.group_offsets(&partitions, COORDINATOR_WAIT_MS);
        // The client may end with this handle: not before its answer is there.
        drop(cluster);
        shared.report(Report::GroupOffsets { token, ticket, offsets });
        shared.waker.wake();
    });
    asked.map(|_| ()).map_err(|error| {
        let message = "the system gave no thread to ask for the group's offsets; it is tried again";
        Error::new(ErrorKind::Internal, "fetch committed offsets", message).caused_by(error).retriable()
    })
}

fn names(partitions: &[PartitionOffset]) -> Vec<(String, i32)> {
    partitions.iter().map(|entry| (entry.topic.clone(), entry.partition)).collect()
}
