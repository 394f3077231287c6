//! Which partitions are fetched, where brokers send more of each than memory has room for.
//!
//! A broker sends a producer's batch whole, however small a fetch asks, so many partitions of large batches hold many times what
//! [`prefetch`](super::prefetch) gave each of them. Then only some are fetched at a time: the others are paused in librdkafka
//! while they hold nothing, so that nothing is thrown away, and take their turn when one of those has been read. One that
//! waits for long takes the place of one that was fetched long ago, whose queue is fetched again later: the only thing that
//! costs traffic, and at most two batches a second.
//!
//! Called by the poller, on its thread. Guarantees: nothing is paused as long as batches are no larger than what was reckoned
//! with; a partition that has nearly been read to its end never is, so what arrives is not late; as many as the workers can
//! be fed from are fetched, whatever they hold; and each gets its turn.

use super::prefetch::{ASSUMED, MESSAGE_OVERHEAD, Prefetch};
use super::{Partition, Poller};
use crate::context::Assignment;
use crate::native::PartitionOffset;
use karafka_engine::AssignmentId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks, and the longest sleep of the poller, while some partition is paused.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Between two looks otherwise: queues may grow while nobody reads them.
const SELDOM: Duration = Duration::from_millis(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(250);
/// How long a paused partition waits until another one has to make way.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a partition is fetched until it may have to make way.
const TURN: Duration = Duration::from_secs(2);
/// Between two partitions that make way, as long as the last one still holds something, and otherwise: what is left of a batch keeps
/// the whole of it.
const BETWEEN_HELD: Duration = Duration::from_secs(2);
const BETWEEN_TURNS: Duration = Duration::from_millis(500);

/// What is remembered of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetching {
    /// The mean size of the messages that were read last.
    pub(super) message_bytes: u64,
    is_paused: bool,
    /// The most that it held since it held nothing, in bytes; 0 while it holds nothing.
    held: u64,
    /// When that changed from nothing to something, or back.
    since: Instant,
    /// Whether more of its log is left than its share of the memory.
    is_behind: bool,
}

impl Fetching {
    pub(super) fn new(now: Instant) -> Self {
        Self { message_bytes: 0, is_paused: false, held: 0, since: now, is_behind: false }
    }

    /// It holds so much now.
    fn holds(&mut self, now: Instant, bytes: u64) {
        if (self.held == 0) != (bytes == 0) {
            self.since = now;
        }
        self.held = if bytes == 0 { 0 } else { self.held.max(bytes) };
    }
}

/// What the process may hold of its partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// What one partition was reckoned with.
    share: u64,
    /// What all of them may hold together once one holds much more than that.
    all: u64,
    /// Partitions that hold something or are fetched, whatever they hold.
    least: usize,
}

impl Limits {
    fn new(budget_bytes: u64, partitions: usize, workers: usize) -> Self {
        let prefetch = Prefetch::new(budget_bytes, partitions as u64);
        // Another few batches are on their way, or lie half read in the engine, when they are counted.
        let all = budget_bytes / super::prefetch::SHARE * 5 / 8;
        Self { share: prefetch.most(), all, least: workers + workers / 2 + 1 }
    }

    fn is_too_much(&self, bytes: u64) -> bool {
        bytes > self.share * 2
    }
}

/// What the poller remembers of all partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns {
    /// The mean size of the messages that were read last, of any partition.
    message_bytes: u64,
    /// Whether any was read since a partition made way: while handlers hang, none has to.
    has_read: bool,
    /// Whether a partition holds too much, or some are paused.
    is_tight: bool,
    looked: Instant,
    made_way: Instant,
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        Self { message_bytes: 0, has_read: false, is_tight: false, looked: now, made_way: now }
    }

    /// Messages of this mean size were read.
    pub(super) fn read(&mut self, message_bytes: u64) {
        self.message_bytes = message_bytes;
        self.has_read = true;
    }

    /// Whether a partition may make way for another one.
    fn may_push(&self, partitions: &[Fetching], now: Instant) -> bool {
        let is_held = partitions.iter().any(|one| one.is_paused && one.held > 0);
        let between = if is_held { BETWEEN_HELD } else { BETWEEN_TURNS };
        self.has_read && now.saturating_duration_since(self.made_way) >= between
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.is_tight.then(|| self.looked + LONGEST_SLEEP)
    }
}

/// The partitions that are to be paused or resumed, by their places; `may_push` allows that one makes way.
fn decide(limits: &Limits, partitions: &[Fetching], may_push: bool, now: Instant) -> Vec<usize> {
    let held: u64 = partitions.iter().map(|one| one.held).sum();
    let largest = partitions.iter().map(|one| one.held).max().unwrap_or(0);
    let places = 0..partitions.len();
    if !limits.is_too_much(largest) {
        return places.filter(|place| partitions[*place].is_paused).collect();
    }
    let fed = partitions.iter().filter(|one| one.held > 0 && !one.is_paused).count();
    let room = limits.all.saturating_sub(held) / largest;
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(limits.least.saturating_sub(fed));
    // Each in its turn; one that was just read to the end of its queue is the last.
    let mut empty: Vec<usize> = places
        .clone()
        .filter(|place| partitions[*place].held == 0 && (partitions[*place].is_paused || partitions[*place].is_behind))
        .collect();
    empty.sort_by_key(|place| partitions[*place].since);
    let is_changed = |(turn, place): (usize, usize)| (partitions[place].is_paused == (turn < room)).then_some(place);
    let mut changes: Vec<usize> = empty.iter().copied().enumerate().filter_map(is_changed).collect();
    let waits_long = |place: &usize| now.saturating_duration_since(partitions[*place].since) >= PATIENCE;
    if let Some(waiting) = empty.get(room).copied().filter(waits_long)
        && may_push
    {
        let had_its_turn = |place: &usize| {
            let one = &partitions[*place];
            one.held > 0 && !one.is_paused && now.saturating_duration_since(one.since) >= TURN
        };
        if let Some(goes) = places.filter(had_its_turn).min_by_key(|place| partitions[*place].since) {
            changes.retain(|place| *place != waiting);
            changes.extend([goes].into_iter().chain(partitions[waiting].is_paused.then_some(waiting)));
        }
    }
    changes
}

impl Poller {
    /// Notices that a partition holds more than it was reckoned with; called when its queue turns from empty to filled.
    pub(super) fn look_at_queue(&mut self, now: Instant, assignment: AssignmentId) {
        if self.partitions.len() as u64 <= ASSUMED {
            return;
        }
        let (limits, usual) = (self.fetch_limits(), self.turns.message_bytes);
        if let Some(partition) = self.partitions.get_mut(&assignment) {
            let bytes = partition.fetched_bytes(usual);
            if bytes > 0 {
                partition.fetching.holds(now, bytes);
            }
            self.turns.is_tight |= limits.is_too_much(bytes);
        }
    }

    /// Pauses and resumes partitions, when it is time for it.
    pub(super) fn take_turns(&mut self, now: Instant) {
        let is_needed = self.turns.is_tight || self.partitions.len() as u64 > ASSUMED;
        let between = if self.turns.is_tight { BETWEEN_LOOKS } else { SELDOM };
        if !is_needed || now.saturating_duration_since(self.turns.looked) < between {
            return;
        }
        self.turns.looked = now;
        let (limits, usual) = (self.fetch_limits(), self.turns.message_bytes);
        self.turns.is_tight = false;
        for (id, partition) in &mut self.partitions {
            let in_engine = self.engine.queued(*id);
            let is_held = in_engine > 0 || self.engine.running(*id) > 0;
            let bytes = partition.fetched_bytes(usual) + in_engine * partition.message_bytes(usual);
            partition.fetching.holds(now, bytes.max(u64::from(is_held)));
            self.turns.is_tight |= partition.fetching.is_paused || limits.is_too_much(partition.fetching.held);
        }
        if !self.turns.is_tight {
            return;
        }
        let mut places = Vec::with_capacity(self.partitions.len());
        let mut seen = Vec::with_capacity(self.partitions.len());
        for (id, partition) in &mut self.partitions {
            if partition.fetching.held == 0 {
                let owner = &partition.assignment;
                let consumer = self.members.get(partition.member).and_then(|member| member.consumer().ok());
                let end = consumer.and_then(|consumer| consumer.end_of(&owner.topic, owner.partition));
                let left = end.map_or(0, |end| u64::try_from(end - partition.next_offset).unwrap_or(0));
                partition.fetching.is_behind = left.saturating_mul(partition.message_bytes(usual)) > limits.share;
            }
            places.push(*id);
            seen.push(partition.fetching);
        }
        let may_push = self.turns.may_push(&seen, now);
        let mut changes: BTreeMap<(usize, bool), Vec<PartitionOffset>> = BTreeMap::new();
        for place in decide(&limits, &seen, may_push, now) {
            let Some(partition) = places.get(place).and_then(|id| self.partitions.get_mut(id)) else { continue };
            let pauses = !partition.fetching.is_paused;
            if pauses && partition.fetching.held > 0 {
                self.turns.made_way = now;
                self.turns.has_read = false;
            }
            partition.fetching.is_paused = pauses;
            let owner = &partition.assignment;
            let entry = PartitionOffset::new(&owner.topic, owner.partition);
            changes.entry((partition.member, pauses)).or_default().push(entry);
        }
        for ((member, pauses), partitions) in changes {
            self.set_paused(member, &partitions, pauses);
            if !pauses {
                let is_one = |owner: &Assignment, entry: &PartitionOffset| {
                    entry.partition == owner.partition && *entry.topic == *owner.topic
                };
                self.set_right(|partition| partitions.iter().any(|entry| is_one(&partition.assignment, entry)));
            }
        }
    }

    /// A partition that is given up must not come back paused.
    pub(super) fn end_turn(&self, partition: &Partition) {
        if partition.fetching.is_paused && self.members[partition.member].consumer().is_ok() {
            let entry = PartitionOffset::new(&partition.assignment.topic, partition.assignment.partition);
            self.set_paused(partition.member, &[entry], false);
        }
    }

    fn set_paused(&self, member: usize, partitions: &[PartitionOffset], pauses: bool) {
        let done = self.members[member].consumer().and_then(|consumer| {
            if pauses {
                return consumer.pause(partitions);
            }
            consumer.resume(partitions)?;
            consumer.wake_fetchers(partitions.iter().map(|entry| (entry.topic.clone(), entry.partition)))
        });
        if let Err(error) = done {
            self.publish_error(error, true);
        }
    }

    fn fetch_limits(&self) -> Limits {
        let used = self.routes.iter().filter_map(|route| self.pools.get(route.pool));
        let workers = used.map(|pool| pool.capacity()).max().unwrap_or(1);
        Limits::new(self.config.memory_budget_bytes, self.partitions.len(), workers)
    }
}

impl Partition {
    /// What a message of it takes; `usual` where none was read yet.
    fn message_bytes(&self, usual: u64) -> u64 {
        if self.fetching.message_bytes == 0 { usual } else { self.fetching.message_bytes }
    }

    /// What librdkafka holds for it, as far as it can be told.
    fn fetched_bytes(&self, usual: u64) -> u64 {
        self.queue.length() as u64 * (self.message_bytes(usual) + MESSAGE_OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const LIMITS: Limits = Limits { share: MIB / 4, all: 10 * MIB, least: 8 };

    fn empty(now: Instant, waited: u64, is_paused: bool) -> Fetching {
        Fetching {
            message_bytes: 0,
            is_paused,
            held: 0,
            since: now.checked_sub(Duration::from_millis(waited)).unwrap_or(now),
            is_behind: true,
        }
    }

    fn full(now: Instant, since: u64) -> Fetching {
        Fetching { held: MIB, is_paused: false, ..empty(now, since, false) }
    }

    fn now() -> Instant {
        Instant::now() + Duration::from_secs(100)
    }

    #[test]
    fn nothing_is_paused_while_batches_are_small_and_what_was_is_resumed() {
        let now = now();
        let small = Fetching { held: MIB / 2, ..full(now, 10) };
        let partitions = [small, small, empty(now, 10, false), empty(now, 10, true)];
        assert_eq!(decide(&LIMITS, &partitions, true, now), [3]);
    }

    #[test]
    fn large_batches_leave_room_for_some_and_the_others_are_paused() {
        let now = now();
        let mut partitions = vec![full(now, 5); 3];
        partitions.extend((0..40).map(|waited| empty(now, 100 - waited, false)));
        let paused = decide(&LIMITS, &partitions, true, now);
        assert_eq!(paused.len(), 40 - 7, "10 MiB in all");
        assert_eq!(paused, (10..43).collect::<Vec<_>>(), "the first to wait stay");
    }

    #[test]
    fn as_many_are_fetched_as_the_workers_need() {
        let now = now();
        let mut partitions = vec![Fetching { held: 5 * MIB, ..full(now, 5) }; 3];
        partitions.extend(vec![empty(now, 1, true); 40]);
        assert_eq!(decide(&LIMITS, &partitions, true, now).len(), 8 - 3);
    }

    #[test]
    fn what_is_nearly_read_to_its_end_is_not_paused() {
        let now = now();
        let mut partitions = vec![full(now, 5); 12];
        partitions.push(Fetching { is_behind: false, ..empty(now, 1, false) });
        assert!(decide(&LIMITS, &partitions, true, now).is_empty());
    }

    #[test]
    fn one_that_was_read_makes_room_for_the_one_that_waits_longest() {
        let now = now();
        let mut partitions = vec![full(now, 5); 9];
        partitions.extend([empty(now, 30, true), empty(now, 40, true), empty(now, 0, false)]);
        assert_eq!(decide(&LIMITS, &partitions, true, now), [10, 11], "resumed and paused");
    }

    #[test]
    fn what_made_way_is_read_before_the_next_one_has_to() {
        let made_way = now();
        let turns = Turns { has_read: true, ..Turns::new(made_way) };
        let after = |millis| made_way + Duration::from_millis(millis);
        let gone = [full(made_way, 0), empty(made_way, 0, true)];
        assert!(!turns.may_push(&gone, after(499)));
        assert!(turns.may_push(&gone, after(500)));
        let held = [full(made_way, 0), Fetching { is_paused: true, ..full(made_way, 0) }];
        assert!(!turns.may_push(&held, after(1_999)));
        assert!(turns.may_push(&held, after(2_000)), "its handler may hang");
        assert!(!Turns { has_read: false, ..turns }.may_push(&gone, after(9_000)), "all may");
    }

    #[test]
    fn one_that_waits_for_long_takes_the_place_of_the_one_that_was_fetched_first() {
        let now = now();
        let mut partitions = vec![full(now, 2_500); 10];
        partitions[4] = full(now, 9_000);
        partitions.push(empty(now, 4_999, true));
        assert!(decide(&LIMITS, &partitions, true, now).is_empty());
        partitions[10] = empty(now, 5_000, true);
        assert_eq!(decide(&LIMITS, &partitions, true, now), [4, 10]);
        assert!(decide(&LIMITS, &partitions, false, now).is_empty());
        let young = vec![full(now, 1_999); 10].into_iter().chain([partitions[10]]).collect::<Vec<_>>();
        assert!(decide(&LIMITS, &young, true, now).is_empty());
    }
}
