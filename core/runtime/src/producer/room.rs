//! How many records are on their way, and who waits until they are fewer.
//!
//! Counted up by whoever sends, on any thread; counted down by the threads that tell the ends of records. Sending takes no lock
//! here; the lock is for those who wait.

use crate::lock::{Condvar, Mutex};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(super) struct Room {
    used: AtomicUsize,
    /// Records that have left, and whose ends are being told.
    leaving: AtomicUsize,
    limit: usize,
    waiters: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Room {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            limit,
            waiters: AtomicUsize::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes room for one record, if there is any.
    pub(super) fn take(&self) -> bool {
        // Those whose ends are being told still have their place with librdkafka.
        if self.used.fetch_add(1, Ordering::SeqCst) + self.leaving.load(Ordering::SeqCst) < self.limit {
            return true;
        }
        self.give(1);
        false
    }

    /// Takes room for so many records, or as many as there is room for.
    pub(super) fn take_up_to(&self, count: usize) -> usize {
        // Never more than there is, not even for a moment: whoever takes one beside this would find none and be refused.
        let mut used = self.used();
        loop {
            let occupied = used.saturating_add(self.leaving.load(Ordering::SeqCst));
            let taken = count.min(self.limit.saturating_sub(occupied));
            if taken == 0 {
                return 0;
            }
            match self.used.compare_exchange_weak(used, used + taken, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return taken,
                Err(now) => used = now,
            }
        }
    }

    /// Gives room back and tells who waits for it.
    pub(super) fn give(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::SeqCst);
        self.tell();
    }

    /// Records are on their way no more, and `told` follows: whoever is told of its record's end no longer finds it counted, and
    /// whoever waits until none is left finds all ends told.
    pub(super) fn leave(&self, count: usize) {
        self.leaving.fetch_add(count, Ordering::SeqCst);
        self.used.fetch_sub(count, Ordering::SeqCst);
    }

    /// The ends of records that left were told.
    pub(super) fn told(&self, count: usize) {
        self.leaving.fetch_sub(count, Ordering::SeqCst);
        self.tell();
    }

    fn tell(&self) {
        // Whoever waits has said so before it looked at the count: one of the two sees the other.
        if self.waiters.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.changed.notify_all();
        }
    }

    /// In this order: a record that leaves between the two is counted twice, never overlooked.
    pub(super) fn occupied(&self) -> usize {
        self.used() + self.leaving.load(Ordering::SeqCst)
    }

    /// Waits until fewer than `count` records are on their way or being told of; whether that came before the deadline. `None`: no limit.
    pub(super) fn wait_below(&self, count: usize, deadline: Option<Instant>) -> bool {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let mut lock = self.lock.lock();
        while self.occupied() >= count {
            match deadline {
                None => lock = self.changed.wait(lock),
                Some(deadline) => {
                    let is_late;
                    (lock, is_late) = self.changed.wait_until(lock, deadline);
                    if is_late {
                        break;
                    }
                }
            }
        }
        drop(lock);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        self.occupied() < count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn who_asks_for_more_than_there_is_takes_no_place_of_another() {
        let (room, is_done) = (Room::new(4), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    room.give(room.take_up_to(1000));
                }
            });
            let most = (0..200_000).map(|_| room.used()).max();
            is_done.store(true, Ordering::SeqCst);
            assert!(most <= Some(room.limit()), "{most:?} of 4");
        });
        assert_eq!((room.used(), room.take_up_to(3), room.take_up_to(3), room.take_up_to(3)), (0, 3, 1, 0));
    }
}
