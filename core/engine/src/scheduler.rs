//! Pools of seats, and whose turn it is.
//!
//! Partitions that have something to hand out wait in the line of their topic ([`turns`]); each in turn gives one job and
//! gets in line again, so a partition with a million messages delays one with a single message by one job. Between
//! topics the priority decides first, then the order that the app was told. Inside an assignment ready virtual partitions
//! are served in the order they became ready.
//!
//! Owned by the engine, used on its one thread. Guarantees: no topic has more jobs out than it may; of [`PATIENCE`] jobs
//! in a row that go past topics of a lower priority, the next is one of theirs, so none of them starves.

pub(crate) mod turns;

use crate::ahead::{Demand, Pace, Useful};
use crate::assignment::{AssignmentId, TopicId};
use crate::instant::Instant;
use crate::options::Scheduling;
use turns::{Entry, Turns};

/// How many jobs in a row may go past waiting topics of a lower priority.
const PATIENCE: u32 = 15;

/// Names a pool of seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u32);

#[derive(Debug)]
struct Pool {
    seats: u32,
    lookahead: u32,
    out: u32,
    /// Topics whose line is not empty.
    topics: Vec<TopicId>,
    /// Partitions that got in line, and jobs that were given turns, so far.
    stamp: u64,
    /// Jobs in a row that went past topics of a lower priority.
    passed: u32,
    /// What that will be if the turn that was given makes a job.
    passes: u32,
    /// Highest priority first; one for each that a topic has.
    tiers: Vec<Tier>,
}

/// The topics of a pool that have one priority. What they read ahead is divided among them and those above: what waits
/// below them is no reason to read less.
#[derive(Debug)]
struct Tier {
    priority: i32,
    out: u32,
    /// Of all topics but those with a limit of their own.
    load: Load,
}

impl Pool {
    fn tier_mut(&mut self, priority: i32) -> Option<&mut Tier> {
        self.tiers.iter_mut().find(|tier| tier.priority == priority)
    }

    /// The tier of this priority, and those above it.
    fn tiers_from(&self, priority: i32) -> impl Iterator<Item = &Tier> {
        self.tiers.iter().take_while(move |tier| tier.priority >= priority)
    }
}

/// What there is to do for a pool, or for a topic with a limit of its own.
#[derive(Debug, Default)]
pub(crate) struct Load {
    assignments: u32,
    counted: Counted,
    pace: Pace,
}

impl Load {
    fn add_to(&self, demand: &mut Demand) {
        let useful = &self.counted.useful;
        demand.assignments += u64::from(self.assignments);
        demand.useful.ready += useful.ready;
        demand.useful.running += useful.running;
        demand.useful.jobs += useful.jobs;
        demand.pace += self.pace.ahead();
        demand.lasting += self.pace.lasting();
    }
}

/// What an assignment tells its pool, and the sum of it over a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Messages that a job could take now.
    pub(crate) ready_messages: u64,
    pub(crate) useful: Useful,
}

#[derive(Debug)]
pub(crate) struct Scheduler {
    scheduling: Scheduling,
    /// Whether anybody wants to know what messages cost.
    measures: bool,
    pools: Vec<Pool>,
    topics: Vec<Turns>,
}

impl Scheduler {
    pub(crate) fn new(scheduling: Scheduling, measures: bool) -> Self {
        Self { scheduling, measures, pools: Vec::new(), topics: Vec::new() }
    }

    pub(crate) fn add(&mut self, seats: u32, lookahead: u32) -> PoolId {
        self.pools.push(Pool {
            seats,
            lookahead,
            out: 0,
            topics: Vec::new(),
            stamp: 0,
            passed: 0,
            passes: 0,
            tiers: Vec::new(),
        });
        PoolId((self.pools.len() - 1) as u32)
    }

    /// Adds a topic; they come in the order of their ids.
    pub(crate) fn add_topic(&mut self, pool: PoolId, priority: i32, most: u32) {
        self.topics.push(Turns::new(pool, priority, most));
        if let Some(pool) = self.pool_mut(pool)
            && pool.tier_mut(priority).is_none()
        {
            let place = pool.tiers.partition_point(|tier| tier.priority > priority);
            pool.tiers.insert(place, Tier { priority, out: 0, load: Load::default() });
        }
    }

    pub(crate) fn resize(&mut self, pool: PoolId, seats: u32) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.seats = seats;
        }
    }

    /// Jobs handed out and not completed.
    pub(crate) fn out(&self, pool: PoolId) -> u32 {
        self.pool(pool).map_or(0, |pool| pool.out)
    }

    /// Puts an assignment in line that could fill a job with `messages`. The caller sees to it that it is there once.
    pub(crate) fn enlist(&mut self, topic: TopicId, assignment: AssignmentId, now: Instant, messages: u64) {
        let Some(turns) = self.topics.get_mut(topic.0 as usize) else { return };
        let Some(pool) = self.pools.get_mut(turns.pool.0 as usize) else { return };
        pool.stamp += 1;
        if !turns.listed {
            turns.listed = true;
            pool.topics.push(topic);
        }
        turns.enter(self.scheduling, assignment, now, pool.stamp, messages);
    }

    /// Whether the pool takes one more job.
    pub(crate) fn has_place(&self, pool: PoolId) -> bool {
        self.pool(pool).is_some_and(|pool| pool.seats > 0 && pool.out < pool.seats.saturating_add(pool.lookahead))
    }

    /// Seats for which no job is out.
    pub(crate) fn free_seats(&self, pool: PoolId) -> u32 {
        self.pool(pool).map_or(0, |pool| pool.seats.saturating_sub(pool.out))
    }

    /// Jobs that may be on seats.
    pub(crate) fn on_seats(&self, pool: PoolId) -> u32 {
        self.pool(pool).map_or(0, |pool| pool.out.min(pool.seats))
    }

    /// The assignment whose turn it is.
    pub(crate) fn next(&mut self, pool: PoolId) -> Option<AssignmentId> {
        let topic = match self.pool(pool)?.topics[..] {
            [] => return None,
            [only] => self.turns(only).filter(|turns| turns.first().is_some()).map(|_| only)?,
            _ => self.choose(pool)?,
        };
        self.serve(topic, Turns::take_first).map(|entry| entry.assignment)
    }

    /// Takes an assignment of this topic out of turn, if it is in line and the topic may have one more job.
    pub(crate) fn prefer(&mut self, topic: TopicId, assignment: AssignmentId) -> bool {
        self.turns(topic).is_some_and(|turns| !turns.is_full())
            && self.serve(topic, |turns| turns.take(assignment)).is_some()
    }

    fn serve(&mut self, topic: TopicId, take: impl FnOnce(&mut Turns) -> Option<Entry>) -> Option<Entry> {
        let turns = self.topics.get_mut(topic.0 as usize)?;
        let pool = self.pools.get_mut(turns.pool.0 as usize)?;
        let entry = take(turns)?;
        pool.stamp += 1;
        turns.served = pool.stamp;
        if turns.is_empty() {
            turns.listed = false;
            pool.topics.retain(|other| *other != topic);
        }
        Some(entry)
    }

    /// The topic whose turn it is: of the highest priority, or of the lower ones, who were passed by too often, the one
    /// that has waited longest.
    fn choose(&mut self, id: PoolId) -> Option<TopicId> {
        let pool = self.pool(id)?;
        let mut best: Option<(TopicId, i32, u64)> = None;
        let (mut lowest, mut highest) = (i32::MAX, i32::MIN);
        for &topic in &pool.topics {
            let Some(turns) = self.turns(topic) else { continue };
            let Some(first) = turns.first() else { continue };
            let (priority, key) = (turns.priority, turns.key(self.scheduling, first));
            lowest = lowest.min(priority);
            highest = highest.max(priority);
            if best.is_none_or(|(_, other, earliest)| (priority, earliest) > (other, key)) {
                best = Some((topic, priority, key));
            }
        }
        if lowest < highest {
            let due = pool.passed >= PATIENCE;
            let passes = if due { 0 } else { pool.passed + 1 };
            let waited = if due { self.longest_below(id, highest) } else { None };
            self.pool_mut(id)?.passes = passes;
            if waited.is_some() {
                return waited;
            }
        }
        best.map(|(topic, ..)| topic)
    }

    fn longest_below(&self, pool: PoolId, priority: i32) -> Option<TopicId> {
        let first = |topic: &TopicId| {
            let turns = self.turns(*topic).filter(|turns| turns.priority < priority)?;
            Some((turns.first()?.since, *topic))
        };
        self.pool(pool)?.topics.iter().filter_map(first).min().map(|(_, topic)| topic)
    }

    /// Whether a topic may have no more jobs out.
    pub(crate) fn is_full(&self, topic: TopicId) -> bool {
        self.turns(topic).is_some_and(Turns::is_full)
    }

    pub(crate) fn job_started(&mut self, topic: TopicId) {
        let Some(turns) = self.topics.get_mut(topic.0 as usize) else { return };
        turns.started();
        let priority = turns.priority;
        if let Some(pool) = self.pools.get_mut(turns.pool.0 as usize) {
            pool.out += 1;
            pool.passed = pool.passes;
            if let Some(tier) = pool.tier_mut(priority) {
                tier.out += 1;
            }
        }
    }

    /// A call without messages is handed out, which nobody's turn was. It takes a place of the pool, and one of its topic's
    /// limit, unless it tells of the end of an ownership (`farewell`): a topic at its limit must not hold a rebalance up.
    pub(crate) fn call_started(&mut self, topic: TopicId, farewell: bool) {
        let Some(turns) = self.topics.get_mut(topic.0 as usize) else { return };
        if !farewell {
            turns.started();
        }
        let priority = turns.priority;
        if let Some(pool) = self.pools.get_mut(turns.pool.0 as usize) {
            pool.out += 1;
            if let Some(tier) = pool.tier_mut(priority) {
                tier.out += 1;
            }
        }
    }

    pub(crate) fn farewell_ended(&mut self, topic: TopicId) {
        let Some((pool, priority)) = self.turns(topic).map(|turns| (turns.pool, turns.priority)) else { return };
        if let Some(pool) = self.pool_mut(pool) {
            pool.out = pool.out.saturating_sub(1);
            if let Some(tier) = pool.tier_mut(priority) {
                tier.out = tier.out.saturating_sub(1);
            }
        }
    }

    /// A job ended that was handed out at `since`; `messages` of it were handled.
    pub(crate) fn job_ended(&mut self, topic: TopicId, now: Instant, since: Instant, messages: u64) {
        let Some(turns) = self.topics.get_mut(topic.0 as usize) else { return };
        let Some(pool) = self.pools.get_mut(turns.pool.0 as usize) else { return };
        turns.ended();
        pool.out = pool.out.saturating_sub(1);
        let Some(tier) = pool.tier_mut(turns.priority) else { return };
        tier.out = tier.out.saturating_sub(1);
        let load = if turns.is_limited() { &mut turns.load } else { &mut tier.load };
        load.pace.count(now, messages);
        if messages > 0 && self.measures {
            turns.measure(now.since(since), messages);
        }
    }

    /// An assignment came.
    pub(crate) fn joined(&mut self, topic: TopicId) {
        if let Some(load) = self.load_mut(topic) {
            load.assignments += 1;
        }
    }

    /// An assignment went, which told `counted` last.
    pub(crate) fn left(&mut self, topic: TopicId, counted: Counted) {
        self.recount(topic, counted, Counted::default());
        if let Some(load) = self.load_mut(topic) {
            load.assignments = load.assignments.saturating_sub(1);
        }
    }

    /// An assignment that had `before` now has `after`.
    pub(crate) fn recount(&mut self, topic: TopicId, before: Counted, after: Counted) {
        if let Some(load) = self.load_mut(topic) {
            let change = |sum: &mut u64, before: u64, after: u64| *sum = sum.saturating_sub(before) + after;
            let sum = &mut load.counted;
            change(&mut sum.ready_messages, before.ready_messages, after.ready_messages);
            change(&mut sum.useful.ready, before.useful.ready, after.useful.ready);
            change(&mut sum.useful.running, before.useful.running, after.useful.running);
            change(&mut sum.useful.jobs, before.useful.jobs, after.useful.jobs);
        }
    }

    /// What there is to do where this topic is run, and who does it. A topic with a limit of its own is alone there, with
    /// as many seats as it may use: what it has beyond that keeps nobody busy.
    pub(crate) fn demand(&self, topic: TopicId) -> Demand {
        let Some((turns, pool)) = self.turns(topic).and_then(|turns| Some((turns, self.pool(turns.pool)?))) else {
            return Demand::default();
        };
        let seats = u64::from(turns.seats(pool.seats));
        if turns.is_limited() {
            let mut demand = Demand { seats, out: u64::from(turns.running()), ..Demand::default() };
            turns.load.add_to(&mut demand);
            return demand;
        }
        let mut demand = Demand { seats, lookahead: u64::from(pool.lookahead), ..Demand::default() };
        for tier in pool.tiers_from(turns.priority) {
            demand.out += u64::from(tier.out);
            tier.load.add_to(&mut demand);
        }
        demand
    }

    /// The messages one job should hold so that every seat gets about as much: calls are small while work is scarce and
    /// large when it piles up.
    pub(crate) fn share(&self, topic: TopicId) -> u64 {
        let found = self.turns(topic).and_then(|turns| Some((turns, self.pool(turns.pool)?)));
        found.map_or(1, |(turns, pool)| {
            let ready = if turns.is_limited() {
                turns.load.counted.ready_messages
            } else {
                pool.tiers.iter().map(|tier| tier.load.counted.ready_messages).sum()
            };
            ready.div_ceil(u64::from(turns.seats(pool.seats).max(1))).max(1)
        })
    }

    /// The topics of a pool that have a partition in line.
    pub(crate) fn waiting(&self, pool: PoolId) -> impl Iterator<Item = (TopicId, &Turns)> {
        let topics = self.pool(pool).map_or(&[][..], |pool| &pool.topics);
        topics.iter().filter_map(|&topic| Some((topic, self.turns(topic)?)))
    }

    pub(crate) fn turns(&self, topic: TopicId) -> Option<&Turns> {
        self.topics.get(topic.0 as usize)
    }

    /// Compares what the assignments told and the jobs that are out with a count from scratch, by topic; for tests.
    pub(crate) fn check(&self, found: &[(u32, Counted)], running: &[u32]) -> Result<(), String> {
        for (number, (turns, running)) in self.topics.iter().zip(running).enumerate() {
            if turns.running() != *running || turns.is_limited() && *running > turns.seats(u32::MAX) {
                return Err(format!("topic {number} counts {} jobs, {running} are out: {turns:?}", turns.running()));
            }
        }
        let mut pools = vec![(0, Counted::default()); self.pools.len()];
        for (number, (turns, &(assignments, counted))) in self.topics.iter().zip(found).enumerate() {
            if turns.is_limited() {
                let told = (turns.load.assignments, turns.load.counted);
                if told != (assignments, counted) {
                    return Err(format!("topic {number} counts {told:?}, there are {:?}", (assignments, counted)));
                }
            } else if let Some((all, sum)) = pools.get_mut(turns.pool.0 as usize) {
                *all += assignments;
                sum.ready_messages += counted.ready_messages;
                sum.useful.ready += counted.useful.ready;
                sum.useful.running += counted.useful.running;
                sum.useful.jobs += counted.useful.jobs;
            }
        }
        for (number, (pool, found)) in self.pools.iter().zip(pools).enumerate() {
            let mut sum = Demand::default();
            pool.tiers.iter().for_each(|tier| tier.load.add_to(&mut sum));
            let ready_messages = pool.tiers.iter().map(|tier| tier.load.counted.ready_messages).sum();
            let told = (sum.assignments as u32, Counted { ready_messages, useful: sum.useful });
            let out: u32 = pool.tiers.iter().map(|tier| tier.out).sum();
            if out != pool.out {
                return Err(format!("pool {number} counts {} jobs, its tiers {out}", pool.out));
            }
            if told != found {
                return Err(format!("pool {number} counts {told:?}, there are {found:?}"));
            }
        }
        Ok(())
    }

    fn pool(&self, pool: PoolId) -> Option<&Pool> {
        self.pools.get(pool.0 as usize)
    }

    fn pool_mut(&mut self, pool: PoolId) -> Option<&mut Pool> {
        self.pools.get_mut(pool.0 as usize)
    }

    /// Where the work of a topic is counted.
    fn load_mut(&mut self, topic: TopicId) -> Option<&mut Load> {
        let turns = self.topics.get_mut(topic.0 as usize)?;
        if turns.is_limited() {
            return Some(&mut turns.load);
        }
        let pool = self.pools.get_mut(turns.pool.0 as usize)?;
        pool.tier_mut(turns.priority).map(|tier| &mut tier.load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::START;

    /// A pool of `seats` with a topic for each priority, all of which have a partition in line.
    fn scheduler(scheduling: Scheduling, seats: u32, priorities: &[i32]) -> (Scheduler, PoolId, Vec<TopicId>) {
        let mut scheduler = Scheduler::new(scheduling, false);
        let pool = scheduler.add(seats, 0);
        let mut topics = Vec::new();
        for (number, &priority) in priorities.iter().enumerate() {
            scheduler.add_topic(pool, priority, 0);
            topics.push(TopicId(number as u32));
        }
        for &topic in &topics {
            scheduler.enlist(topic, AssignmentId::default(), NOW, 1);
        }
        (scheduler, pool, topics)
    }

    /// Whose turn it is; it gets in line again.
    fn turn(scheduler: &mut Scheduler, pool: PoolId, topics: &[TopicId]) -> Option<usize> {
        let assignment = scheduler.next(pool)?;
        let last = (0..topics.len()).max_by_key(|&topic| scheduler.topics[topic].served);
        scheduler.job_started(topics[last?]);
        scheduler.job_ended(topics[last?], NOW, NOW, 1);
        scheduler.enlist(topics[last?], assignment, NOW, 1);
        last
    }

    #[test]
    fn a_pool_gives_out_its_seats_and_the_lookahead() {
        let mut scheduler = Scheduler::new(Scheduling::FirstCome, false);
        let pool = scheduler.add(2, 1);
        scheduler.add_topic(pool, 0, 0);
        for _ in 0..3 {
            assert!(scheduler.has_place(pool));
            scheduler.job_started(TopicId(0));
        }
        assert!(!scheduler.has_place(pool));
        scheduler.job_ended(TopicId(0), NOW, NOW, 1);
        assert!(scheduler.has_place(pool));
        scheduler.resize(pool, 0);
        assert!(!scheduler.has_place(pool));
    }

    #[test]
    fn the_share_is_what_is_ready_divided_by_the_seats_that_may_take_it() {
        let mut scheduler = Scheduler::new(Scheduling::FirstCome, false);
        let pool = scheduler.add(4, 0);
        scheduler.add_topic(pool, 0, 0);
        scheduler.add_topic(pool, 0, 2);
        let (all, limited) = (TopicId(0), TopicId(1));
        assert_eq!(scheduler.share(all), 1);
        let ready = |ready_messages| Counted { ready_messages, ..Counted::default() };
        scheduler.recount(all, ready(0), ready(10));
        assert_eq!(scheduler.share(all), 3);
        scheduler.recount(all, ready(10), ready(4_000));
        assert_eq!(scheduler.share(all), 1_000);
        scheduler.recount(limited, ready(0), ready(100));
        assert_eq!((scheduler.share(limited), scheduler.share(all)), (50, 1_000));
    }

    #[test]
    fn the_higher_priority_goes_first_and_every_sixteenth_job_is_of_a_lower_one() {
        let (mut scheduler, pool, topics) = scheduler(Scheduling::FirstCome, 1, &[0, 5, -3]);
        let turns: Vec<usize> = (0..48).filter_map(|_| turn(&mut scheduler, pool, &topics)).collect();
        let lower: Vec<usize> = (0..48).filter(|&at| turns[at] != 1).collect();
        assert_eq!(lower, [15, 31, 47], "{turns:?}");
    }

    #[test]
    fn without_priorities_partitions_or_topics_take_turns() {
        let order = |scheduling| {
            let (mut scheduler, pool, topics) = scheduler(scheduling, 1, &[0, 0]);
            scheduler.enlist(topics[0], AssignmentId::default(), NOW, 1);
            (0..6).filter_map(|_| turn(&mut scheduler, pool, &topics)).collect::<Vec<_>>()
        };
        assert_eq!(order(Scheduling::FirstCome), [0, 1, 0, 0, 1, 0]);
        assert_eq!(order(Scheduling::Fair), [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_topic_at_its_limit_lets_the_others_pass() {
        let mut scheduler = Scheduler::new(Scheduling::FirstCome, false);
        let pool = scheduler.add(4, 0);
        scheduler.add_topic(pool, 9, 1);
        scheduler.add_topic(pool, 0, 0);
        let topics = [TopicId(0), TopicId(1)];
        for topic in topics {
            scheduler.enlist(topic, AssignmentId::default(), NOW, 1);
        }
        assert_eq!(turn(&mut scheduler, pool, &topics), Some(0));
        scheduler.job_started(topics[0]);
        assert_eq!(turn(&mut scheduler, pool, &topics), Some(1));
        assert!(!scheduler.prefer(topics[0], AssignmentId::default()));
        scheduler.job_ended(topics[0], NOW, NOW, 1);
        assert_eq!(turn(&mut scheduler, pool, &topics), Some(0));
    }
}
