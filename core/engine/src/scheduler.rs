//! Pools of seats, and whose turn it is.
//!
//! Each pool keeps a ring of the assignments that have something to hand out; each in turn gives one job, so a partition
//! with a million messages delays one with a single message by one job. Inside an assignment ready virtual partitions are
//! served in the order they became ready.

use std::collections::VecDeque;

use crate::ahead::{Demand, Pace, Useful};
use crate::assignment::AssignmentId;
use crate::instant::Instant;

/// Names a pool of seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u32);

#[derive(Debug)]
struct Pool {
    seats: u32,
    lookahead: u32,
    out: u32,
    ring: VecDeque<AssignmentId>,
    assignments: u32,
    counted: Counted,
    pace: Pace,
}

/// What an assignment tells its pool, and the sum of it over a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Messages that a job could take now.
    pub(crate) ready_messages: u64,
    pub(crate) useful: Useful,
}

#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    pools: Vec<Pool>,
}

impl Scheduler {
    pub(crate) fn add(&mut self, seats: u32, lookahead: u32) -> PoolId {
        self.pools.push(Pool {
            seats,
            lookahead,
            out: 0,
            ring: VecDeque::new(),
            assignments: 0,
            counted: Counted::default(),
            pace: Pace::default(),
        });
        PoolId((self.pools.len() - 1) as u32)
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

    /// Puts an assignment at the end of the ring. The caller sees to it that it is there once.
    pub(crate) fn enlist(&mut self, pool: PoolId, assignment: AssignmentId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.ring.push_back(assignment);
        }
    }

    /// The assignment whose turn it is, while the pool takes one more job.
    pub(crate) fn next(&mut self, pool: PoolId) -> Option<AssignmentId> {
        let pool = self.pool_mut(pool)?;
        if pool.seats == 0 || pool.out >= pool.seats.saturating_add(pool.lookahead) {
            return None;
        }
        pool.ring.pop_front()
    }

    pub(crate) fn job_started(&mut self, pool: PoolId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.out += 1;
        }
    }

    pub(crate) fn job_ended(&mut self, pool: PoolId, now: Instant, messages: u64) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.out = pool.out.saturating_sub(1);
            pool.pace.count(now, messages);
        }
    }

    /// An assignment came.
    pub(crate) fn joined(&mut self, pool: PoolId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.assignments += 1;
        }
    }

    /// An assignment went, which told `counted` last.
    pub(crate) fn left(&mut self, pool: PoolId, counted: Counted) {
        self.recount(pool, counted, Counted::default());
        if let Some(pool) = self.pool_mut(pool) {
            pool.assignments = pool.assignments.saturating_sub(1);
        }
    }

    /// An assignment that had `before` now has `after`.
    pub(crate) fn recount(&mut self, pool: PoolId, before: Counted, after: Counted) {
        if let Some(pool) = self.pool_mut(pool) {
            let change = |sum: &mut u64, before: u64, after: u64| *sum = sum.saturating_sub(before) + after;
            let sum = &mut pool.counted;
            change(&mut sum.ready_messages, before.ready_messages, after.ready_messages);
            change(&mut sum.useful.ready, before.useful.ready, after.useful.ready);
            change(&mut sum.useful.running, before.useful.running, after.useful.running);
            change(&mut sum.useful.jobs, before.useful.jobs, after.useful.jobs);
        }
    }

    /// What there is to do in a pool, and who does it.
    pub(crate) fn demand(&self, pool: PoolId) -> Demand {
        self.pool(pool).map_or_else(Demand::default, |pool| Demand {
            seats: u64::from(pool.seats),
            lookahead: u64::from(pool.lookahead),
            out: u64::from(pool.out),
            assignments: u64::from(pool.assignments),
            useful: pool.counted.useful,
            pace: pool.pace.ahead(),
        })
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = PoolId> {
        (0..self.pools.len() as u32).map(PoolId)
    }

    /// What the assignments of a pool told.
    pub(crate) fn counted(&self, pool: PoolId) -> Counted {
        self.pool(pool).map_or_else(Counted::default, |pool| pool.counted)
    }

    /// The messages one job should hold so that every seat gets about as much: calls are small while work is scarce and
    /// large when it piles up.
    pub(crate) fn share(&self, pool: PoolId) -> u64 {
        self.pool(pool).map_or(1, |pool| pool.counted.ready_messages.div_ceil(u64::from(pool.seats.max(1))).max(1))
    }

    fn pool(&self, pool: PoolId) -> Option<&Pool> {
        self.pools.get(pool.0 as usize)
    }

    fn pool_mut(&mut self, pool: PoolId) -> Option<&mut Pool> {
        self.pools.get_mut(pool.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_out_its_seats_and_the_lookahead() {
        let mut scheduler = Scheduler::default();
        let pool = scheduler.add(2, 1);
        for _ in 0..5 {
            scheduler.enlist(pool, AssignmentId::default());
        }
        for _ in 0..3 {
            assert!(scheduler.next(pool).is_some());
            scheduler.job_started(pool);
        }
        assert!(scheduler.next(pool).is_none());
        scheduler.job_ended(pool, Instant::START, 1);
        assert!(scheduler.next(pool).is_some());
        scheduler.resize(pool, 0);
        assert!(scheduler.next(pool).is_none());
    }

    #[test]
    fn the_share_is_what_is_ready_divided_by_the_seats() {
        let mut scheduler = Scheduler::default();
        let pool = scheduler.add(4, 0);
        assert_eq!(scheduler.share(pool), 1);
        let ready = |ready_messages| Counted { ready_messages, ..Counted::default() };
        scheduler.recount(pool, ready(0), ready(10));
        assert_eq!(scheduler.share(pool), 3);
        scheduler.recount(pool, ready(10), ready(4_000));
        assert_eq!(scheduler.share(pool), 1_000);
    }
}
