//! A member of a consumer group: one client, its subscription, and what it has under way.
//!
//! Owned and served by the poller, on its thread. Rebalances, commits and errors have files of their own; here is what they
//! share, and how a client's events reach them. Nothing here waits.

use super::Poller;
use super::multiplexing::LEAVING_LOOK;
use super::rebalance::Change;
use super::subscription::Assigned;
use crate::native::{Consumer, ConsumerEvent, PartitionOffset, RebalanceKind, code, describe};
use crate::{Error, ErrorKind, Result};
use karafka_engine::{AssignmentId, CommitId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Member {
    pub(super) group: Arc<str>,
    pub(super) consumer: Option<Consumer>,
    /// What it reads, by its place among the poller's.
    pub(super) subscription: usize,
    /// Of its client's queue.
    pub(super) token: u64,
    /// Since when it has this client.
    pub(super) since: Instant,
    /// It takes nothing over any more, and is gone once it has left the group.
    pub(super) is_leaving: bool,
    pub(super) assigned: Assigned,
    pub(super) change: Change,
    /// When a revocation is to be answered, of what.
    pub(super) late_answer: Option<(Instant, Vec<PartitionOffset>)>,
    /// The coordinator that librdkafka knows for requests beside the membership is none any more.
    pub(super) asks_coordinator: bool,
    pub(super) commits: HashMap<u64, Vec<(AssignmentId, CommitId, String, i32)>>,
    next_ticket: u64,
    poll_every: Duration,
    polled: Instant,
    /// When an error was told: by operation, code, and what it is about where that counts.
    pub(super) told: HashMap<(&'static str, i32, String), Instant>,
    /// No broker can be reached, as far as is known.
    pub(super) is_cut_off: bool,
    /// librdkafka's words on the last connection that failed: some causes it tells in its log only.
    pub(super) last_failure: Option<String>,
}

impl Member {
    pub(super) fn new(
        group: Arc<str>,
        subscription: usize,
        token: u64,
        consumer: Consumer,
        poll_every: Duration,
    ) -> Self {
        Self {
            group,
            consumer: Some(consumer),
            subscription,
            token,
            since: Instant::now(),
            is_leaving: false,
            assigned: HashMap::new(),
            change: Change::None,
            late_answer: None,
            asks_coordinator: false,
            commits: HashMap::new(),
            next_ticket: 1,
            poll_every,
            polled: Instant::now(),
            told: HashMap::new(),
            is_cut_off: false,
            last_failure: None,
        }
    }

    pub(super) fn group(&self) -> &Arc<str> {
        &self.group
    }

    pub(super) fn consumer(&self) -> Result<&Consumer> {
        self.consumer.as_ref().ok_or_else(|| Error::new(ErrorKind::Stopped, "poll", "the consumer is closed"))
    }

    /// Puts another client in the place of one that joined nothing yet; gives that one back.
    pub(super) fn replace_consumer(&mut self, consumer: Consumer) -> Option<Consumer> {
        self.consumer.replace(consumer)
    }

    pub(super) fn take_consumer(&mut self) -> Option<Consumer> {
        self.consumer.take()
    }

    pub(super) fn owned_partitions(&self) -> impl Iterator<Item = (String, i32)> {
        self.assigned.keys().cloned()
    }

    pub(super) fn assignments(&self) -> Vec<AssignmentId> {
        self.assigned.values().map(|(id, _)| *id).collect()
    }

    pub(super) fn opened(&mut self, topic: &str, partition: i32, id: AssignmentId, token: u64) {
        self.assigned.insert((topic.to_owned(), partition), (id, token));
    }

    /// Another assignment takes the place of a partition's; returns the token of its queue.
    pub(super) fn reopened(&mut self, topic: &str, partition: i32, id: AssignmentId) -> Option<u64> {
        let entry = self.assigned.get_mut(&(topic.to_owned(), partition))?;
        entry.0 = id;
        Some(entry.1)
    }

    pub(super) fn closed_partition(&mut self, key: &(String, i32)) -> Option<u64> {
        self.assigned.remove(key).map(|(_, token)| token)
    }

    /// `None` for the place of a connection that is gone.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.consumer.as_ref()?;
        let mut wake = self.polled + if self.is_leaving { LEAVING_LOOK } else { self.poll_every };
        if let Change::Fetching { retry_at, .. } = &self.change {
            wake = wake.min(*retry_at);
        }
        Some(wake.max(now))
    }

    /// Whether half of the time is over after which it has to be polled: it is polled with the first that is due, so that many
    /// clients do not wake the poller one by one.
    fn is_soon_due(&self, now: Instant) -> bool {
        self.consumer.is_some() && now.saturating_duration_since(self.polled) >= self.poll_every / 2
    }

    pub(super) fn is_giving_up(&self, assignment: AssignmentId) -> bool {
        matches!(&self.change, Change::Draining { pending, .. } if pending.contains(&assignment))
    }

    pub(super) fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

impl Poller {
    /// Polls members that were silent, so that their group knows the application lives.
    pub(super) fn serve_due_members(&mut self, now: Instant) {
        let is_due = |member: &Member| member.next_wake(now).is_some_and(|wake| wake <= now);
        if !self.members.iter().any(is_due) {
            return;
        }
        for member in 0..self.members.len() {
            if let Change::Fetching { ticket, retry_at, .. } = &self.members[member].change
                && *retry_at <= now
            {
                if *ticket != 0 {
                    let text = "no answer yet, asking again".to_owned();
                    self.offsets_failed(now, member, code::TIMED_OUT, text);
                }
                self.fetch_offsets(now, member);
            }
            if is_due(&self.members[member]) || self.members[member].is_soon_due(now) {
                self.serve_member(now, member);
            }
        }
    }

    pub(super) fn serve_member(&mut self, now: Instant, member: usize) {
        self.members[member].polled = now;
        if let Some(ready) = self.members[member].consumer.as_ref().and_then(Consumer::ready) {
            ready.lower();
        }
        while let Some(event) = self.members[member].consumer.as_ref().and_then(Consumer::event) {
            self.member_event(now, member, event);
        }
        self.answer_late(now, member);
    }

    fn member_event(&mut self, now: Instant, member: usize, event: ConsumerEvent) {
        match event {
            ConsumerEvent::Rebalance { kind: RebalanceKind::Assign, partitions } => {
                self.begin_assign(now, member, partitions);
            }
            ConsumerEvent::Rebalance { kind: RebalanceKind::Revoke, partitions } => {
                self.begin_revoke(now, member, partitions);
            }
            ConsumerEvent::GroupOffsets { ticket, result } => self.finish_assign(now, member, ticket, result),
            ConsumerEvent::Offsets { ticket, result } => self.offsets_listed(now, member, ticket, result),
            ConsumerEvent::Committed { ticket, code, partitions } => {
                self.committed(now, member, ticket, code, &partitions);
            }
            ConsumerEvent::Error { code: number, fatal, text } => self.member_error(now, member, number, fatal, text),
            ConsumerEvent::Log { level, facility, text } => self.member_log(member, level, &facility, &text),
            ConsumerEvent::Stray { topic, partition, offset, code: number } => {
                if let Some((id, _)) = self.members[member].assigned.get(&(topic.clone(), partition)) {
                    self.stray(*id, member, &topic, partition, offset, number);
                }
            }
            ConsumerEvent::Alive => self.wait_for_leaving(),
            ConsumerEvent::Statistics(told) => self.client_told(member, told),
            ConsumerEvent::Other => {}
        }
    }

    /// A record that took the consumer's queue although it is cut off: fetch it again in its place.
    fn stray(&self, id: AssignmentId, member: usize, topic: &str, partition: i32, offset: i64, number: i32) {
        if number != code::NO_ERROR {
            self.partition_error(id, number, describe(number));
            return;
        }
        let sought = self.members[member].consumer().and_then(|consumer| consumer.seek(topic, partition, offset));
        if let Err(error) = sought {
            self.publish_error(error, true);
        }
    }
}
