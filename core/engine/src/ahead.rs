//! How far to read ahead of the handlers.
//!
//! A message that is handled soon after it was read is still in the cache, and what is not read yet stays with
//! librdkafka, which stops fetching: so no more is read than keeps every seat busy with calls of a good size. Called by
//! the engine on its one thread; pure arithmetic over what the mailboxes count.
//!
//! What counts is *useful* work: messages of a virtual partition only up to [`depth`], because one is run by one job at a
//! time, and none of those that back off or linger. So a key that is blocked or has most of the messages stops nobody:
//! reading goes on until enough others are found, the window is full, or the budget is used up. Guarantees: as long as
//! a seat would stay free, no message of a running virtual partition counts; what is missing is shared by the assignments
//! that have some; and one that has less than its share may read whatever the others have, so that each gets its turn.

use std::time::Duration;

use crate::instant::Instant;
use crate::options::{TopicOptions, VirtualPartitions};

/// Messages that make a call worth its cost, of one virtual partition.
const WORTHWHILE: u64 = 16;
/// Jobs of full size that are ready when the seats are busy.
const FULL_JOBS: u64 = 4;
/// Most messages read ahead of one pool, as long as every seat has some.
const MOST_MESSAGES: u64 = 16_384;
/// The same in bytes, by the mean size of what is held: about what a core's share of the last cache holds.
const MOST_BYTES: u64 = 8 << 20;

/// How long what is read ahead should last when messages are handled fast: the poller comes round many times in it.
const HORIZON: Duration = Duration::from_millis(20);
/// Over how long the pace is taken.
const SPAN: Duration = Duration::from_millis(5);
/// Messages handled in [`HORIZON`] from which on the pace counts. Slower handlers are kept busy by far fewer messages, and what
/// is held costs memory.
const FAST: u64 = 1_000;

/// Messages of one virtual partition that make its calls of a good size: a call has its cost, and in a host language two
/// hand-overs of the interpreter's lock.
const DEEP: u64 = 8;
/// How long what is read for the sake of larger calls may last, in [`HORIZON`]s.
const LASTING: u64 = 35;

/// Messages after which a pool has shown its pace.
const SHOWN: u64 = 1_000;

/// A partition whose jobs take longer than this is read on for virtual partitions that are in none of them.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Useful messages of an assignment or of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Useful {
    /// In virtual partitions that wait for a seat.
    pub(crate) ready: u64,
    /// In virtual partitions that run.
    pub(crate) running: u64,
    /// Virtual partitions that wait for a seat.
    pub(crate) jobs: u64,
}

/// How fast a pool handles messages. Where a message takes a microsecond, a call with one message costs more than the
/// message: so fast handlers are read further ahead, which makes their calls larger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    since: Instant,
    handled: u64,
    /// Messages in [`HORIZON`], in the last span.
    rate: u64,
    /// The same, over some spans.
    steady: u64,
    /// Messages handled in all.
    seen: u64,
}

impl Pace {
    pub(crate) fn count(&mut self, now: Instant, messages: u64) {
        self.handled += messages;
        let elapsed = now.since(self.since);
        if elapsed >= SPAN {
            let rate = u128::from(self.handled) * HORIZON.as_nanos() / elapsed.as_nanos().max(1);
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            let (steady, seen) = (self.steady - self.steady / 4 + rate / 4, self.seen.saturating_add(self.handled));
            *self = Self { since: now, handled: 0, rate, steady, seen };
        }
    }

    /// Messages that last for [`HORIZON`]; 0 for handlers that are not fast.
    pub(crate) fn ahead(&self) -> u64 {
        if self.rate >= FAST { self.rate } else { 0 }
    }

    /// Messages that last for [`LASTING`]; 0 for a pool that has not shown its pace yet.
    pub(crate) fn lasting(&self) -> u64 {
        if self.seen >= SHOWN { self.steady.saturating_mul(LASTING) } else { 0 }
    }
}

/// What keeps an assignment from giving jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing.
    Free,
    /// Its jobs run, and none of them has ended for [`PATIENCE`].
    Stuck,
    /// Jobs of an earlier ownership.
    HeldBack,
}

/// What a pool has, seen from the outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    pub(crate) seats: u64,
    /// More jobs than seats that may be out.
    pub(crate) lookahead: u64,
    /// Jobs that are out.
    pub(crate) out: u64,
    pub(crate) assignments: u64,
    pub(crate) useful: Useful,
    /// Messages that a fast pool handles before the poller has come round some times.
    pub(crate) pace: u64,
    /// Messages that last the pool for some tenths of a second.
    pub(crate) lasting: u64,
}

/// Most messages of one virtual partition that count as useful.
pub(crate) fn depth(options: &TopicOptions) -> u64 {
    let most = u64::from(options.max_messages.max(1));
    match options.virtual_partitions {
        VirtualPartitions::Off => most,
        _ => most.min(WORTHWHILE.saturating_mul(u64::from(options.virtual_partitions_per_job.max(1)))),
    }
}

/// Most messages of this mean size that are read ahead of one pool.
fn most(mean_bytes: u64) -> u64 {
    (MOST_BYTES / mean_bytes.max(1)).clamp(1, MOST_MESSAGES)
}

impl Demand {
    /// Jobs that should be out or ready: one for each seat, and half of those that may wait beside the seats.
    fn jobs(&self) -> u64 {
        (self.seats + self.lookahead.div_ceil(2)).max(1)
    }

    /// Useful messages that are enough for `jobs` more jobs.
    fn enough(&self, jobs: u64, depth: u64, mean_bytes: u64) -> u64 {
        let full = self.jobs().min(FULL_JOBS) * depth;
        (jobs * depth.min(WORTHWHILE) + full).max(self.pace).min(most(mean_bytes)).max(jobs)
    }

    /// An assignment's even share of the messages with which the virtual partitions that are known have enough for calls of a
    /// good size: where they are many more than the seats, reading only what keeps the seats busy leaves each with a message
    /// or two.
    fn deep(&self, depth: u64, mean_bytes: u64) -> u64 {
        let all = (self.useful.jobs + self.out) * depth.min(DEEP);
        all.min(self.lasting).min(most(mean_bytes)) / self.assignments.max(1)
    }

    /// How many messages an assignment should read that has virtual partitions and these useful messages. One that is
    /// held back reads for itself alone; of one that is stuck only what is ready counts.
    pub(crate) fn of_many(&self, options: &TopicOptions, own: Useful, place: Place, mean_bytes: u64) -> u64 {
        let depth = depth(options);
        let all = self.enough(self.jobs(), depth, mean_bytes);
        let share = (all / self.assignments.max(1)).max(1);
        let (missing, has) = if self.out + self.useful.jobs < self.seats {
            let enough = self.enough(self.jobs() - self.out, depth, mean_bytes);
            (enough.saturating_sub(self.useful.ready), own.ready)
        } else {
            (all.saturating_sub(self.useful.ready + self.useful.running), own.ready + own.running)
        };
        // As with the budget: each may have as much as is missing still after it has read, so that several divide it.
        let lent = (missing.saturating_sub(has) / 2).max(share.saturating_sub(has)).min(missing);
        let (lent, served) = match place {
            Place::Free => (lent, own.ready + own.running),
            Place::Stuck => (lent, own.ready),
            Place::HeldBack => (0, own.ready + own.running),
        };
        let deep = if place == Place::HeldBack { 0 } else { self.deep(depth, mean_bytes) };
        // A read has its cost too.
        match lent.max(share.min(depth).saturating_sub(served)) {
            0 if has >= deep - deep / 4 => 0,
            0 => deep - has,
            wanted => wanted.max(share.div_ceil(2)).max(deep.saturating_sub(has)),
        }
    }

    /// The same for an assignment without virtual partitions, of which `queued` messages wait: whatever more it had could
    /// only wait behind them.
    pub(crate) fn of_one(&self, options: &TopicOptions, queued: u64, mean_bytes: u64) -> u64 {
        let assignments = self.assignments.max(1);
        let full = u64::from(options.max_messages.max(1));
        let share = (most(mean_bytes) / assignments).max(1);
        // A call that lingers waits until it is full.
        let full = if options.linger.is_zero() { full.min(share) } else { full };
        let enough = ((self.jobs() / assignments).clamp(1, 2) * full).max((self.pace / assignments).min(share));
        match enough.saturating_sub(queued) {
            missing if missing > enough / 4 || queued == 0 => missing,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::PoolId;

    fn options(max_messages: u32, per_job: u32) -> TopicOptions {
        let mut options = TopicOptions::new(PoolId::default());
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.virtual_partitions_per_job = per_job;
        options.max_messages = max_messages;
        options
    }

    fn useful(ready: u64, running: u64, jobs: u64) -> Useful {
        Useful { ready, running, jobs }
    }

    fn demand(seats: u64, out: u64, useful: Useful) -> Demand {
        Demand { seats, lookahead: seats, out, assignments: 5, useful, pace: 0, lasting: 0 }
    }

    #[test]
    fn only_a_fast_pool_reads_by_its_pace() {
        let mut pace = Pace::default();
        let mut now = Instant::START;
        for _ in 0..10 {
            now = now + Duration::from_millis(1);
            pace.count(now, 40);
        }
        assert_eq!(pace.ahead(), 0, "40,000 a second");
        for _ in 0..10 {
            now = now + Duration::from_millis(1);
            pace.count(now, 400);
        }
        assert_eq!(pace.ahead(), 8_000);
        pace.count(now + Duration::from_secs(1), 1);
        assert_eq!(pace.ahead(), 0, "it stood still");
        let many = options(100, 1);
        let wanted = |pace| {
            Demand { pace, ..demand(5, 0, Useful::default()) }.of_many(&many, Useful::default(), Place::Free, 300)
        };
        assert_eq!((wanted(0) < 300, wanted(8_000)), (true, 4_000), "half of what is missing");
        assert_eq!(wanted(1_000_000), MOST_MESSAGES / 2);
    }

    #[test]
    fn many_keys_are_read_until_each_has_a_call_of_a_good_size() {
        let own = Useful::default();
        let wanted = |lasting, jobs, max_messages| {
            let demand = Demand { lasting, ..demand(50, 50, useful(0, 0, jobs)) };
            demand.of_many(&options(max_messages, 1), own, Place::Free, 300)
        };
        assert_eq!(wanted(0, 950, 100), wanted(0, 50, 100), "nothing is known of the pace");
        assert_eq!(wanted(40_000, 950, 100), 8_000 / 5, "its share");
        assert_eq!(wanted(5_000, 950, 100), 5_000 / 5, "no more than last for a while");
        assert_eq!(wanted(1_000_000, 100_000, 100), MOST_MESSAGES / 5);
        assert_eq!(wanted(40_000, 950, 2), wanted(0, 950, 2).max(2_000 / 5), "calls are no larger");
    }

    #[test]
    fn a_pace_is_known_after_some_spans_and_forgotten_so() {
        let mut pace = Pace::default();
        let mut now = Instant::START;
        for _ in 0..40 {
            now = now + Duration::from_millis(5);
            pace.count(now, 200);
        }
        assert!((25_000..=28_000).contains(&pace.lasting()), "40,000 a second: {}", pace.lasting());
        for _ in 0..40 {
            now = now + Duration::from_secs(1);
            pace.count(now, 1);
        }
        assert!(pace.lasting() <= 500, "{}", pace.lasting());
    }

    #[test]
    fn as_long_as_a_seat_would_stay_free_only_what_is_ready_counts() {
        let (one_key, own) = (options(100, 1), useful(100, 0, 10));
        let wanted = |out, useful| demand(5, out, useful).of_many(&one_key, own, Place::Free, 300);
        assert!(wanted(4, useful(0, 1_000_000, 0)) > 0);
        assert_eq!(wanted(5, useful(0, 1_000_000, 0)), 0);
        assert_eq!(wanted(4, useful(0, 1_000_000, 1)), 0);
        assert_eq!(wanted(0, useful(1_000, 0, 10)), 0);
    }

    #[test]
    fn an_assignment_with_less_than_its_share_reads_on_whatever_others_have() {
        let busy = demand(5, 10, useful(1_000_000, 1_000_000, 1_000));
        let wanted = |own, place| busy.of_many(&options(100, 1), own, place, 300);
        for place in [Place::Free, Place::Stuck, Place::HeldBack] {
            assert!(wanted(useful(0, 0, 0), place) > 0);
            assert_eq!(wanted(useful(20, 0, 1), place), 0);
        }
        assert_eq!(wanted(useful(0, 20, 0), Place::Free), 0);
        assert!(wanted(useful(0, 20, 0), Place::Stuck) > 0);
    }

    #[test]
    fn many_seats_get_calls_of_a_good_size_and_few_seats_no_more_than_a_few_full_ones() {
        let own = Useful::default();
        let wanted = |seats, options| demand(seats, 0, own).of_many(&options, own, Place::Free, 300);
        assert!((6_000..=16_384).contains(&wanted(500, options(100, 1))));
        assert!((2_000..5_000).contains(&wanted(5, options(1_000, 1_000))));
        assert!(wanted(5, options(100, 1)) < 300);
    }

    #[test]
    fn large_messages_are_read_ahead_as_far_as_every_seat_has_one() {
        let own = Useful::default();
        let wanted = |mean_bytes| demand(5, 0, own).of_many(&options(1_000, 1_000), own, Place::Free, mean_bytes);
        assert_eq!(wanted(8 << 10), 1 << 9, "half of what is missing");
        assert_eq!(wanted(100 << 20), 4);
    }

    #[test]
    fn without_virtual_partitions_two_calls_wait_or_one_where_partitions_are_many() {
        let mut off = options(100, 1);
        off.virtual_partitions = VirtualPartitions::Off;
        let five = Demand { assignments: 4, ..demand(5, 0, Useful::default()) };
        assert_eq!(five.of_one(&off, 0, 1_000), 200);
        assert_eq!(five.of_one(&off, 140, 1_000), 60);
        assert_eq!(five.of_one(&off, 190, 1_000), 0, "not worth a read");
        let fifty = Demand { assignments: 50, ..five };
        assert_eq!(fifty.of_one(&off, 0, 1_000), 100);
        assert_eq!(fifty.of_one(&off, 0, 10_000), 16, "the bytes are divided");
        assert_eq!(fifty.of_one(&off, 0, 100 << 20), 1);
    }
}
