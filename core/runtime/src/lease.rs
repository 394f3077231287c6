//! Whether jobs that were handed out may still be begun.
//!
//! A process that is halted (SIGSTOP, a frozen container) may have lost its partitions when it goes on, and its workers run
//! before librdkafka has noticed. So the poller says, each time before it sleeps, until when it will be heard of again; past
//! that time no seat begins a job, until the poller is back and has given the group a moment to say what was lost. A machine
//! that sleeps is not noticed: the monotonic clock sleeps with it.
//!
//! Renewed by the poller, asked by every seat before each job. Asking takes a look at the clock and one atomic read.

use crate::lock::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How late the poller may be before its silence counts as a halt. Less than any session timeout in use.
const GRACE: Duration = Duration::from_secs(1);

/// How long after a halt librdkafka gets to learn that its session is over: an answer of the coordinator.
const VERDICT: Duration = Duration::from_secs(1);

pub(crate) struct Lease {
    start: Instant,
    /// In nanoseconds from the start.
    valid_until: AtomicU64,
    lock: Mutex<()>,
    renewed: Condvar,
}

impl Lease {
    /// Valid until the poller begins.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            valid_until: AtomicU64::new(u64::MAX),
            lock: Mutex::new(()),
            renewed: Condvar::new(),
        }
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_valid(&self, now: Instant) -> bool {
        self.nanoseconds(now) <= self.valid_until.load(Ordering::SeqCst)
    }

    /// The time, if the lease is not over. Never waits.
    pub(crate) fn look(&self) -> Option<Instant> {
        let now = Instant::now();
        self.is_valid(now).then_some(now)
    }

    /// Waits while the lease is over. Called by a seat that holds a job it has not begun. Returns the time.
    pub(crate) fn wait(&self) -> Instant {
        if let Some(now) = self.look() {
            return now;
        }
        let mut lock = self.lock.lock();
        loop {
            if let Some(now) = self.look() {
                return now;
            }
            lock = self.renewed.wait(lock);
        }
    }

    fn set(&self, valid_until: u64) {
        self.valid_until.store(valid_until, Ordering::SeqCst);
        // A seat that found the lease over holds the lock until it waits.
        drop(self.lock.lock());
        self.renewed.notify_all();
    }

    /// Ends all waiting for good. Called when the poller ends: what is revoked says so by itself.
    pub(crate) fn end(&self) {
        self.set(u64::MAX);
    }
}

/// The poller's side of a lease.
pub(crate) struct Renewal {
    /// Set after a halt: until when nothing is begun.
    held_until: Option<Instant>,
    next_round: Instant,
}

impl Renewal {
    pub(crate) fn new() -> Self {
        Self { held_until: None, next_round: Instant::now() + Duration::from_secs(3600) }
    }

    /// A round begins. Whether jobs may be handed out: not after a halt, until the group had its say.
    pub(crate) fn begin_round(&mut self, now: Instant) -> bool {
        if now > self.next_round + GRACE {
            tracing::warn!("this process stood still; nothing new is handled until the group has been heard of");
            self.held_until = Some(now + VERDICT);
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        // What takes long in this round itself is no halt; it is bounded by the lease of the round before.
        self.held_until.is_none()
    }

    /// A round ends; the next one begins no later than at `next_round`. Returns when that is.
    pub(crate) fn end_round(&mut self, lease: &Lease, next_round: Instant) -> Instant {
        self.next_round = self.held_until.map_or(next_round, |until| next_round.min(until));
        if self.held_until.is_none() {
            lease.set(lease.nanoseconds(self.next_round + GRACE));
        }
        self.next_round
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rounds_in_time_hold_nothing_up() {
        let (lease, mut renewal) = (Lease::new(), Renewal::new());
        let mut now = Instant::now();
        for _ in 0..5 {
            assert!(renewal.begin_round(now));
            let next = renewal.end_round(&lease, now + SECOND);
            assert_eq!(next, now + SECOND);
            assert!(lease.is_valid(next + GRACE) && !lease.is_valid(next + GRACE + SECOND));
            now = next + GRACE / 2;
        }
    }

    #[test]
    fn after_a_halt_nothing_begins_until_the_group_had_its_say() {
        let (lease, mut renewal) = (Lease::new(), Renewal::new());
        let began = Instant::now();
        assert!(renewal.begin_round(began));
        renewal.end_round(&lease, began + SECOND);
        let back = began + 10 * SECOND;
        assert!(!lease.is_valid(back));
        assert!(!renewal.begin_round(back));
        let next = renewal.end_round(&lease, back + 100 * SECOND);
        assert_eq!(next, back + VERDICT, "it looks again when the verdict is due");
        assert!(!lease.is_valid(back), "no seat begins a job meanwhile");
        assert!(!renewal.begin_round(back + VERDICT / 2));
        renewal.end_round(&lease, back + 100 * SECOND);
        assert!(renewal.begin_round(back + VERDICT));
        renewal.end_round(&lease, back + 2 * SECOND);
        assert!(lease.is_valid(back + 2 * SECOND));
    }

    #[test]
    fn a_seat_waits_until_the_lease_is_renewed() {
        let lease = Arc::new(Lease::new());
        lease.wait();
        lease.set(0);
        let begun = Arc::new(AtomicBool::new(false));
        let (its_lease, its_begun) = (Arc::clone(&lease), Arc::clone(&begun));
        let seat = thread::spawn(move || {
            its_lease.wait();
            its_begun.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!begun.load(Ordering::SeqCst));
        lease.end();
        seat.join().unwrap();
        assert!(begun.load(Ordering::SeqCst));
    }
}
