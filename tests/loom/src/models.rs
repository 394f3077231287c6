//! Small cases, each run through all its interleavings. A lost wake-up shows as a deadlock, which loom reports.
#![allow(clippy::unwrap_used)]

use crate::pool::{Pool, Taken};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, Parker, SegQueue};
use crate::wake::{Ready, Waker};
use loom::sync::atomic::AtomicUsize;
use loom::thread;

/// Switches of threads in the midst of things that a run explores: two find nearly every defect, three take minutes.
const PREEMPTIONS: usize = 2;

fn every_interleaving(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.check(model);
}

/// One seat is woken at once, so that each has to wake the next.
fn pool(capacity: usize) -> (Arc<Pool<u32>>, Parker) {
    pool_waking(capacity, 1)
}

fn pool_waking(capacity: usize, at_once: usize) -> (Arc<Pool<u32>>, Parker) {
    let parker = Parker::new();
    let unparker = parker.unparker();
    (Pool::waking(capacity, at_once, Arc::new(Waker::new(unparker))), parker)
}

/// Takes this many jobs, ending each at once.
fn work(pool: &Arc<Pool<u32>>, count: usize) -> thread::JoinHandle<Vec<u32>> {
    let (mut place, pool) = (Pool::place(pool), Arc::clone(pool));
    thread::spawn(move || {
        let mut taken = Vec::new();
        while taken.len() < count {
            match place.take() {
                Taken::Job(job) => {
                    taken.push(job);
                    pool.ended();
                }
                Taken::Interrupted => {}
                Taken::Closed => break,
            }
        }
        taken
    })
}

#[test]
fn a_pushed_job_always_reaches_a_waiting_seat() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let worker = work(&pool, 2);
        pool.push([1].into_iter());
        pool.push([2].into_iter());
        assert_eq!(worker.join().unwrap(), [1, 2]);
    });
}

#[test]
fn two_seats_share_what_is_pushed() {
    every_interleaving(|| {
        let (pool, _parker) = pool(2);
        let workers = [work(&pool, 1), work(&pool, 1)];
        pool.push([1, 2].into_iter());
        let mut taken: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn two_seats_woken_at_once_share_what_is_pushed() {
    every_interleaving(|| {
        let (pool, _parker) = pool_waking(2, 2);
        let workers = [work(&pool, 1), work(&pool, 1)];
        pool.push([1].into_iter());
        pool.push([2].into_iter());
        let mut taken: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn a_seat_that_keeps_its_job_does_not_keep_the_others_from_theirs() {
    every_interleaving(|| {
        let (pool, _parker) = pool(2);
        let second = Arc::new(AtomicBool::new(false));
        let parker = Parker::new();
        let seats: Vec<_> = (0..2)
            .map(|_| {
                let (mut place, second, unparker) = (Pool::place(&pool), Arc::clone(&second), parker.unparker());
                thread::spawn(move || {
                    let Taken::Job(job) = place.take() else { return };
                    if job == 2 {
                        second.store(true, Ordering::SeqCst);
                        unparker.unpark();
                    }
                    // Neither says that its job has ended.
                })
            })
            .collect();
        pool.push([1, 2].into_iter());
        while !second.load(Ordering::SeqCst) {
            parker.park();
        }
        for seat in seats {
            seat.join().unwrap();
        }
    });
}

#[test]
fn a_job_beyond_the_capacity_starts_when_another_ends() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let running = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (mut place, pool, running) = (Pool::place(&pool), Arc::clone(&pool), Arc::clone(&running));
                thread::spawn(move || {
                    let Taken::Job(_) = place.take() else { return };
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                    running.fetch_sub(1, Ordering::SeqCst);
                    pool.ended();
                })
            })
            .collect();
        pool.push([1, 2].into_iter());
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn closing_ends_every_waiting_seat() {
    every_interleaving(|| {
        let (pool, _parker) = pool(2);
        let workers = [work(&pool, 9), work(&pool, 9)];
        pool.close();
        for worker in workers {
            assert!(worker.join().unwrap().is_empty());
        }
    });
}

#[test]
fn a_seat_that_takes_without_waiting_leaves_the_others_theirs() {
    every_interleaving(|| {
        let (pool, _parker) = pool(3);
        let waiting = [work(&pool, 1), work(&pool, 1)];
        let mut place = Pool::place(&pool);
        // It keeps what it takes, and wakes nobody later.
        let hasty = thread::spawn(move || matches!(place.try_take(), Some(Taken::Job(_))));
        pool.push([1, 2].into_iter());
        if hasty.join().unwrap() {
            pool.push([3].into_iter());
        }
        let taken: usize = waiting.into_iter().map(|seat| seat.join().unwrap().len()).sum();
        assert_eq!(taken, 2);
    });
}

#[test]
fn an_interrupt_ends_the_running_wait_or_the_next() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let mut place = Pool::place(&pool);
        let sleeper = place.sleeper();
        let waiter = thread::spawn(move || matches!(place.take(), Taken::Interrupted));
        sleeper.interrupt();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn an_interrupted_seat_takes_no_job_away() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let worker = work(&pool, 1);
        let mut place = Pool::place(&pool);
        let sleeper = place.sleeper();
        let other = thread::spawn(move || match place.take() {
            Taken::Job(job) => Some(job),
            Taken::Interrupted | Taken::Closed => None,
        });
        sleeper.interrupt();
        pool.push([1].into_iter());
        if other.join().unwrap().is_some() {
            pool.push([2].into_iter());
            pool.ended();
        }
        assert_eq!(worker.join().unwrap().len(), 1);
    });
}

#[test]
fn the_poller_reads_everything_that_a_queue_announced() {
    every_interleaving(|| {
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker()));
        let ready = Ready::new(7, Arc::clone(&waker));
        let queue = Arc::new(AtomicUsize::new(0));
        let (source, flag) = (Arc::clone(&queue), Arc::clone(&ready));
        // As librdkafka does: the callback comes when the queue was empty before.
        let fetcher = thread::spawn(move || {
            for _ in 0..2 {
                if source.fetch_add(1, Ordering::SeqCst) == 0 {
                    flag.raise();
                }
            }
        });
        let mut read = 0;
        while read < 2 {
            while let Some(token) = waker.next_filled() {
                assert_eq!(token, 7);
                ready.lower();
                read += queue.swap(0, Ordering::SeqCst);
            }
            if read < 2 {
                parker.park();
            }
        }
        fetcher.join().unwrap();
    });
}

#[test]
fn a_completion_wakes_the_poller_when_work_runs_low() {
    every_interleaving(|| {
        let (pool, parker) = pool(1);
        let done = Arc::new(AtomicBool::new(false));
        let (mut place, working, finished) = (Pool::place(&pool), Arc::clone(&pool), Arc::clone(&done));
        let worker = thread::spawn(move || {
            if let Taken::Job(_) = place.take() {
                finished.store(true, Ordering::SeqCst);
                working.ended();
            }
        });
        pool.push([1].into_iter());
        while !done.load(Ordering::SeqCst) {
            parker.park();
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_poller_that_waits_for_an_end_hears_of_it_while_there_is_other_work() {
    every_interleaving(|| {
        let (pool, parker) = pool(1);
        let reports = Arc::new(SegQueue::new());
        let (mut place, working, reporting) = (Pool::place(&pool), Arc::clone(&pool), Arc::clone(&reports));
        pool.push([1, 2].into_iter());
        let worker = thread::spawn(move || {
            if let Taken::Job(job) = place.take() {
                reporting.push(job);
                working.ended();
            }
        });
        pool.set_attentive(true);
        while reports.pop().is_none() {
            parker.park();
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_job_is_withdrawn_or_taken_and_never_both() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let worker = work(&pool, 9);
        pool.push([1, 2].into_iter());
        let mut seen = pool.withdraw(|_| true);
        pool.close();
        seen.extend(worker.join().unwrap());
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_closed_pool_gives_no_job() {
    every_interleaving(|| {
        let (pool, _parker) = pool(2);
        let worker = work(&pool, 9);
        pool.push([1].into_iter());
        pool.close();
        pool.push([2].into_iter());
        let taken = worker.join().unwrap();
        let left = pool.withdraw(|_| true);
        assert!(taken.is_empty() && left == [1, 2] || taken == [1] && left == [2]);
    });
}

#[test]
fn a_seat_that_leaves_passes_its_wake_up_on() {
    every_interleaving(|| {
        let (pool, parker) = pool(2);
        let ended = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (mut place, pool, ended) = (Pool::place(&pool), Arc::clone(&pool), Arc::clone(&ended));
                thread::spawn(move || {
                    while let Taken::Job(_) = place.take() {
                        ended.fetch_add(1, Ordering::SeqCst);
                        pool.ended();
                    }
                })
            })
            .collect();
        pool.push([1].into_iter());
        assert_eq!(pool.resize(1), 0, "the seats suffice");
        while ended.load(Ordering::SeqCst) < 1 {
            parker.park();
        }
        pool.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn a_seat_that_leaves_is_missing_at_once() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let mut workers = vec![work(&pool, 1)];
        assert_eq!(pool.resize(0), 0, "nobody is missing when there are fewer");
        for _ in 0..pool.resize(1) {
            workers.push(work(&pool, 1));
        }
        pool.push([1].into_iter());
        let taken: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        assert_eq!(taken, [1], "who left is replaced");
    });
}

#[test]
fn more_seats_take_what_waited() {
    every_interleaving(|| {
        let (pool, _parker) = pool(1);
        let meeting = Parker::new();
        let waiting = Arc::new((meeting.unparker(), Mutex::new(Some(meeting))));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (mut place, waiting) = (Pool::place(&pool), Arc::clone(&waiting));
                thread::spawn(move || {
                    let Taken::Job(_) = place.take() else { return };
                    // The first job ends only when the second has begun.
                    let first = waiting.1.lock().take();
                    match first {
                        Some(parker) => parker.park(),
                        None => waiting.0.unpark(),
                    }
                })
            })
            .collect();
        pool.push([1, 2].into_iter());
        assert_eq!(pool.resize(2), 0, "the seats suffice");
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
