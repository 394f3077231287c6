//! The turns of one topic: which of its partitions have something to hand out, in which order they are asked, how many of
//! its jobs run, and what a message of it costs.
//!
//! Owned by the scheduler, one for each topic, used by the engine's one thread. A partition is in line once; what its place
//! means is decided when it gets in line, so that keeping the line costs the same however long it is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::assignment::AssignmentId;
use crate::instant::Instant;
use crate::options::Scheduling;
use crate::scheduler::{Load, PoolId};

/// The share of a new measurement in the mean, as a divisor: an eighth.
const WEIGHT: u64 = 8;
/// No estimate of a job is longer than this: a partition that has waited that long goes before everything.
const LONGEST_ESTIMATE: u64 = 3_600_000_000_000;

/// A partition that has something to hand out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) assignment: AssignmentId,
    /// Its place: smaller is earlier.
    key: u64,
    /// Since when it is in line.
    pub(crate) since: Instant,
}

#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) pool: PoolId,
    pub(crate) priority: i32,
    /// Most jobs that run at once; 0 for as many as there are seats.
    most: u32,
    running: u32,
    line: VecDeque<Entry>,
    /// Whether the pool's list of topics holds this one.
    pub(crate) listed: bool,
    /// When a partition of this topic was served last, counted in jobs of the pool.
    pub(crate) served: u64,
    /// Nanoseconds a message, a running mean; 0 while nothing was measured.
    cost: u64,
    /// Of a topic with a limit of its own, which is read ahead for on its own.
    pub(crate) load: Load,
}

impl Turns {
    pub(crate) fn new(pool: PoolId, priority: i32, most: u32) -> Self {
        Self {
            pool,
            priority,
            most,
            running: 0,
            line: VecDeque::new(),
            listed: false,
            served: 0,
            cost: 0,
            load: Load::default(),
        }
    }

    /// Whether it may have only so many jobs at once.
    pub(crate) fn is_limited(&self) -> bool {
        self.most > 0
    }

    /// Of so many seats, those that it may use.
    pub(crate) fn seats(&self, seats: u32) -> u32 {
        if self.is_limited() { self.most.min(seats) } else { seats }
    }

    pub(crate) fn running(&self) -> u32 {
        self.running
    }

    /// Whether it may have no more jobs now.
    pub(crate) fn is_full(&self) -> bool {
        self.is_limited() && self.running >= self.most
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(crate) fn started(&mut self) {
        self.running += 1;
    }

    pub(crate) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// A job of `messages` took this long, from the moment it was handed out.
    pub(crate) fn measure(&mut self, took: Duration, messages: u64) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).min(LONGEST_ESTIMATE);
        let each = (took / messages.max(1)).max(1);
        self.cost = if self.cost == 0 { each } else { self.cost - self.cost / WEIGHT + each / WEIGHT };
    }

    /// What a message takes, as far as it was measured.
    pub(crate) fn cost(&self) -> Duration {
        Duration::from_nanos(self.cost)
    }

    /// Puts a partition in line that could fill a job with `messages`.
    pub(crate) fn enter(
        &mut self,
        scheduling: Scheduling,
        assignment: AssignmentId,
        now: Instant,
        stamp: u64,
        messages: u64,
    ) {
        let entry = Entry { assignment, key: stamp, since: now };
        if scheduling != Scheduling::LongestFirst {
            self.line.push_back(entry);
            return;
        }
        // What it takes goes off the time at which it came, so that waiting counts as much as cost and nobody starves.
        let estimate = self.cost.saturating_mul(messages).min(LONGEST_ESTIMATE);
        let key = (now.as_nanos().saturating_add(LONGEST_ESTIMATE)).saturating_sub(estimate);
        let place = self.line.partition_point(|other| other.key <= key);
        self.line.insert(place, Entry { key, ..entry });
    }

    /// Who is first, if anybody waits and may be served.
    pub(crate) fn first(&self) -> Option<&Entry> {
        if self.is_full() { None } else { self.line.front() }
    }

    /// The place of the first among the first ones of all topics of the same priority.
    pub(crate) fn key(&self, scheduling: Scheduling, first: &Entry) -> u64 {
        if scheduling == Scheduling::Fair { self.served } else { first.key }
    }

    pub(crate) fn take_first(&mut self) -> Option<Entry> {
        self.line.pop_front()
    }

    /// Takes one out of turn.
    pub(crate) fn take(&mut self, assignment: AssignmentId) -> Option<Entry> {
        let place = self.line.iter().position(|entry| entry.assignment == assignment)?;
        self.line.remove(place)
    }

    /// All that are in line, the first one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.line.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &mut Turns) -> Vec<u64> {
        std::iter::from_fn(|| turns.take_first()).map(|entry| entry.since.as_nanos()).collect()
    }

    #[test]
    fn the_longest_goes_first_and_waiting_counts_as_much_as_cost() {
        let mut turns = Turns::new(PoolId::default(), 0, 0);
        turns.measure(Duration::from_micros(1), 10);
        assert_eq!(turns.cost(), Duration::from_nanos(100));
        // Came at 1,000 with 10 messages of 100 ns each, and so on: 0, 1,000, 950, 2,900.
        for (since, messages) in [(1_000, 10), (1_001, 0), (1_050, 1), (2_900, 0)] {
            let since = Instant::from_nanos(since);
            turns.enter(Scheduling::LongestFirst, AssignmentId::default(), since, 0, messages);
        }
        assert_eq!(order(&mut turns), [1_000, 1_050, 1_001, 2_900]);
    }

    #[test]
    fn a_mean_follows_what_is_measured() {
        let mut turns = Turns::new(PoolId::default(), 0, 0);
        for _ in 0..100 {
            turns.measure(Duration::from_millis(8), 2);
        }
        assert_eq!(turns.cost(), Duration::from_millis(4));
        for _ in 0..100 {
            turns.measure(Duration::from_millis(1), 1);
        }
        let cost = turns.cost().as_micros();
        assert!((999..=1_001).contains(&cost), "{cost}");
    }

    #[test]
    fn a_topic_with_a_limit_is_full_at_it() {
        let mut turns = Turns::new(PoolId::default(), 0, 2);
        turns.enter(Scheduling::FirstCome, AssignmentId::default(), Instant::START, 1, 1);
        turns.started();
        assert!(turns.first().is_some());
        turns.started();
        assert!(turns.first().is_none() && turns.seats(5) == 2);
        turns.ended();
        assert!(turns.first().is_some());
    }
}
