//! A member of a consumer group: one client, its subscription, its part in rebalances and its commits.
//!
//! Coming: the group's committed offsets and metadata are fetched first (the answer is an event), then the partitions are
//! opened and taken over. Going: the engine drains each partition (queued work dropped, running work awaited, last commit
//! answered), and only when the last of them is released is the rebalance answered; polling goes on meanwhile. Lost: all at
//! once, nothing is committed.

use super::Poller;
use crate::event::Event;
use crate::native::{Consumer, ConsumerEvent, PartitionOffset, RebalanceKind, code, describe, kind_of};
use crate::{Error, ErrorKind, Result};
use karafka_engine::{AssignmentId, CommitFailure, CommitId};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer on the group's offsets is awaited before they are asked for once more; twice as long each time.
const OFFSETS_WAIT: Duration = Duration::from_secs(5);
const OFFSETS_WAIT_MOST: Duration = Duration::from_secs(60);
const OFFSETS_RETRY: Duration = Duration::from_millis(250);
/// The same error of a client is told again only after this long.
const REPEAT: Duration = Duration::from_secs(10);
/// How librdkafka marks the lines of its log about connections that failed.
const CONNECTION_FAILED: &str = "FAIL";
const DEBUG: i32 = 7;

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

pub(super) struct Member {
    group: Arc<str>,
    consumer: Option<Consumer>,
    /// Topic names to route numbers; patterns are kept apart.
    pub(super) topics: HashMap<String, usize>,
    assigned: HashMap<(String, i32), (AssignmentId, u64)>,
    pub(super) change: Change,
    commits: HashMap<u64, Vec<(AssignmentId, CommitId, String, i32)>>,
    next_ticket: u64,
    poll_every: Duration,
    polled: Instant,
    /// When an error was told: by operation, code, and what it is about where that counts.
    told: HashMap<(&'static str, i32, String), Instant>,
    /// librdkafka's words on the last connection that failed: some causes it tells in its log only.
    last_failure: Option<String>,
}

impl Member {
    pub(super) fn new(
        group: Arc<str>,
        consumer: Consumer,
        topics: HashMap<String, usize>,
        poll_every: Duration,
    ) -> Self {
        Self {
            group,
            consumer: Some(consumer),
            topics,
            assigned: HashMap::new(),
            change: Change::None,
            commits: HashMap::new(),
            next_ticket: 1,
            poll_every,
            polled: Instant::now(),
            told: HashMap::new(),
            last_failure: None,
        }
    }

    pub(super) fn group(&self) -> &Arc<str> {
        &self.group
    }

    pub(super) fn consumer(&self) -> Result<&Consumer> {
        self.consumer.as_ref().ok_or_else(|| Error::new(ErrorKind::Stopped, "poll", "the consumer is closed"))
    }

    /// The names of its topics, patterns among them.
    pub(super) fn names(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    /// Puts another client in the place of one that joined nothing yet; gives that one back.
    pub(super) fn replace_consumer(&mut self, consumer: Consumer) -> Option<Consumer> {
        self.consumer.replace(consumer)
    }

    pub(super) fn take_consumer(&mut self) -> Option<Consumer> {
        self.consumer.take()
    }

    pub(super) fn assignments(&self) -> Vec<AssignmentId> {
        self.assigned.values().map(|(id, _)| *id).collect()
    }

    /// Why the last connection failed, as far as librdkafka told by now, and what to look at.
    pub(super) fn last_failure(&self) -> Option<String> {
        let failure = self.last_failure.as_deref()?;
        // What a listener does with a client that speaks another protocol.
        let hint =
            if failure.contains("Disconnected") { "; does this port expect another `security.protocol`?" } else { "" };
        Some(format!("{failure}{hint}"))
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

    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        let mut wake = self.polled + self.poll_every;
        if let Change::Fetching { retry_at, .. } = &self.change {
            wake = wake.min(*retry_at);
        }
        wake.max(now)
    }

    fn is_giving_up(&self, assignment: AssignmentId) -> bool {
        matches!(&self.change, Change::Draining { pending, .. } if pending.contains(&assignment))
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Whether this error of an operation on something was not told a moment ago.
    fn is_news(&mut self, operation: &'static str, number: i32, about: &str, now: Instant) -> bool {
        let is_recent = |told: &Instant| now.saturating_duration_since(*told) < REPEAT;
        self.told.retain(|_, told| is_recent(told));
        match self.told.entry((operation, number, about.to_owned())) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }
}

impl Poller {
    /// Polls members that were silent, so that their group knows the application lives.
    pub(super) fn serve_due_members(&mut self, now: Instant) {
        for member in 0..self.members.len() {
            if self.members[member].next_wake(now) <= now {
                if let Change::Fetching { ticket, retry_at, .. } = &self.members[member].change
                    && *retry_at <= now
                {
                    if *ticket != 0 {
                        let text = "no answer yet, asking again".to_owned();
                        self.offsets_failed(now, member, code::TIMED_OUT, text);
                    }
                    self.fetch_offsets(now, member);
                }
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
            ConsumerEvent::Committed { ticket, code, partitions } => {
                self.committed(now, member, ticket, code, &partitions);
            }
            ConsumerEvent::Error { code: number, fatal, text } => self.member_error(now, member, number, fatal, text),
            ConsumerEvent::Log { level, facility, text } => {
                log(level, &facility, &text);
                if is_offset_reset(level, &facility, &text) {
                    let message = format!(
                        "the log does not hold the offset to go on from, so `initial_offset` decides: {text}; records in \
                         between, if there were any, are gone"
                    );
                    self.shared.publisher.publish(&Event::Warning { message });
                }
                if facility == CONNECTION_FAILED && level < DEBUG {
                    // The name of librdkafka's thread says nothing.
                    let words = text.strip_prefix("[thrd:").and_then(|text| text.split_once("]: "));
                    self.members[member].last_failure =
                        Some(words.map_or(text.as_str(), |(_, words)| words).to_owned());
                }
            }
            ConsumerEvent::Stray { topic, partition, offset, code: number } => {
                if let Some((id, _)) = self.members[member].assigned.get(&(topic.clone(), partition)) {
                    self.stray(*id, member, &topic, partition, offset, number);
                }
            }
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

    fn member_error(&mut self, now: Instant, member: usize, number: i32, fatal: bool, text: String) {
        // Of topics that are gone or closed to us, each is told; texts of other errors vary from one time to the next.
        let about = if is_about_a_topic(number) { text.as_str() } else { "" };
        if !self.members[member].is_news("poll", number, about, now) {
            return;
        }
        let fatal_cause = self.members[member].consumer.as_ref().and_then(Consumer::fatal_error);
        let (number, text) = match (fatal, fatal_cause) {
            (true, Some(cause)) => cause,
            _ => (number, text),
        };
        let text = match self.members[member].last_failure() {
            Some(failure) if number == code::ALL_BROKERS_DOWN => format!("{text}; the last failure: {failure}"),
            _ => text,
        };
        let group = Arc::clone(&self.members[member].group);
        let error = Error::new(kind_of(number), "poll", text)
            .kafka_code(number)
            .with("group", &group)
            .with("brokers", &self.config.bootstrap_servers);
        if fatal {
            let end =
                Error::new(error.kind(), "poll", error.message()).kafka_code(number).with("group", &group).fatal();
            self.publish_error(error.fatal(), false);
            self.shared.fail(end);
            self.begin_shutdown(now, self.config.shutdown_timeout);
        } else {
            self.publish_error(error.retriable(), true);
        }
    }

    // ---- partitions that come

    fn begin_assign(&mut self, now: Instant, member: usize, partitions: Vec<PartitionOffset>) {
        if partitions.is_empty() || self.shutdown.is_some() {
            // An app that ends takes nothing over any more.
            self.answer(member, RebalanceKind::Assign, &[]);
            return;
        }
        self.members[member].change = Change::Fetching { ticket: 0, partitions, retry_at: now, wait: OFFSETS_WAIT };
        self.fetch_offsets(now, member);
    }

    fn fetch_offsets(&mut self, now: Instant, member: usize) {
        let fresh = self.members[member].ticket();
        let owner = &mut self.members[member];
        let Change::Fetching { ticket, partitions, retry_at, wait } = &mut owner.change else { return };
        *ticket = fresh;
        *retry_at = now + *wait;
        *wait = OFFSETS_WAIT_MOST.min(*wait * 2);
        let Some(consumer) = &owner.consumer else { return };
        if let Err(error) = consumer.fetch_offsets(fresh, partitions) {
            (*ticket, *retry_at) = (0, now + OFFSETS_RETRY);
            self.publish_error(error, true);
        }
    }

    fn offsets_failed(&mut self, now: Instant, member: usize, number: i32, text: String) {
        if self.members[member].is_news("fetch committed offsets", number, "", now) {
            let group = Arc::clone(&self.members[member].group);
            let error = Error::new(kind_of(number), "fetch committed offsets", text).kafka_code(number);
            self.publish_error(error.with("group", group).retriable(), true);
        }
    }

    fn finish_assign(
        &mut self,
        now: Instant,
        member: usize,
        answered: u64,
        result: Result<Vec<PartitionOffset>, (i32, String)>,
    ) {
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
            self.offsets_failed(now, member, number, text);
            return;
        }
        let partitions = if self.shutdown.is_some() { Vec::new() } else { std::mem::take(partitions) };
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
            let Some(route) = self.route(member, &start.topic) else {
                let message = "a partition of a topic without handler was assigned";
                self.publish_error(
                    Error::new(ErrorKind::Internal, "assign", message).with("topic", &start.topic),
                    true,
                );
                continue;
            };
            match self.open(now, member, route, &start) {
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

    fn route(&self, member: usize, topic: &str) -> Option<usize> {
        self.members[member].topics.get(topic).copied()
    }

    // ---- partitions that go

    fn begin_revoke(&mut self, now: Instant, member: usize, partitions: Vec<PartitionOffset>) {
        let lost = self.members[member].consumer.as_ref().is_some_and(Consumer::assignment_lost);
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
        self.answer(member, RebalanceKind::Revoke, partitions);
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

    fn answer(&mut self, member: usize, kind: RebalanceKind, partitions: &[PartitionOffset]) {
        let answered = self.members[member].consumer().and_then(|consumer| consumer.answer(kind, partitions));
        if let Err(error) = answered {
            self.publish_error(error, true);
        }
    }

    // ---- commits

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

    fn committed(&mut self, now: Instant, member: usize, ticket: u64, number: i32, partitions: &[PartitionOffset]) {
        let Some(entries) = self.members[member].commits.remove(&ticket) else { return };
        let mut unexpected = None;
        for (assignment, id, topic, partition) in entries {
            let own = partitions.iter().find(|entry| entry.topic == topic && entry.partition == partition);
            let number = own.map(|entry| entry.code).filter(|own| *own != code::NO_ERROR).unwrap_or(number);
            let result = commit_result(number);
            if result == Err(CommitFailure::Fatal) {
                unexpected = Some((number, topic));
            }
            // What is not known to be final is tried again: an access rule, for one, may be granted later. A partition that
            // goes because its topic is gone must not hold up the rebalance or the stop.
            let given_up = self.shutdown.is_some() || self.members[member].is_giving_up(assignment);
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

/// Whether an error of a client is about one topic, which its text names.
fn is_about_a_topic(number: i32) -> bool {
    matches!(number, code::UNKNOWN_TOPIC_OR_PART | code::TOPIC_AUTHORIZATION_FAILED)
}

/// What a commit's answer means for the assignment.
fn commit_result(number: i32) -> std::result::Result<(), CommitFailure> {
    match number {
        code::NO_ERROR | code::NO_OFFSET => Ok(()),
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

fn names(partitions: &[PartitionOffset]) -> Vec<(String, i32)> {
    partitions.iter().map(|entry| (entry.topic.clone(), entry.partition)).collect()
}

/// Whether librdkafka says, in a log line only, that it goes on from somewhere else than where it was told to.
fn is_offset_reset(level: i32, facility: &str, text: &str) -> bool {
    level <= 4 && facility == "OFFSET" && text.contains("]: offset reset (at ")
}

/// Sends one of librdkafka's log lines on; control characters stay out.
pub(crate) fn log(level: i32, facility: &str, text: &str) {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match level {
        0..=3 => tracing::error!(target: "librdkafka", facility, "{text}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{text}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{text}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{text}"),
    }
}
