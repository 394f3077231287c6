//! Scenarios, each under many schedules: half of them random, half by PCT, which finds what needs few but exact switches.
#![allow(clippy::unwrap_used)]

use crate::pool::{Pool, Taken};
use crate::sync::{Arc, Parker};
use crate::wake::Waker;
use crate::world::{self, Scenario, Slip};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::mpsc::channel;
use shuttle::thread;
use shuttle::{Config, FailurePersistence, Runner};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many schedules of each kind a test draws, unless `SHUTTLE_SCHEDULES` says otherwise.
const SCHEDULES: usize = 100;
/// How many switches a schedule of PCT places.
const DEPTH: usize = 3;

fn schedules() -> usize {
    std::env::var("SHUTTLE_SCHEDULES").ok().map_or(SCHEDULES, |number| number.parse().unwrap())
}

fn runner<S: Scheduler + 'static>(scheduler: S) -> Runner<S> {
    let mut config = Config::new();
    // A schedule is long; the seed of all of them is enough to replay it.
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config)
}

/// Runs the scenario under this many schedules of either kind that follow from the seed.
fn explore_from(
    seed: u64,
    count: usize,
    scenario: impl Fn() + Send + Sync + Clone + 'static,
) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| {
        runner(RandomScheduler::new_from_seed(seed, count)).run(scenario.clone());
        runner(PctScheduler::new_from_seed(seed, DEPTH, count)).run(scenario);
    }))
}

fn seed() -> u64 {
    let given = std::env::var("SHUTTLE_RANDOM_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let (seed, count) = (seed(), schedules());
    if let Err(cause) = explore_from(seed, count, scenario) {
        eprintln!("replay with SHUTTLE_RANDOM_SEED={seed} SHUTTLE_SCHEDULES={count} and the name of this test");
        resume_unwind(cause);
    }
}

fn calm() -> Scenario {
    Scenario { seats: 2, rebalances: 0, disturbed: false, finishes: true, slip: Slip::None }
}

#[test]
fn everything_is_handled_in_order_and_committed() {
    explore(|| world::run(calm()));
}

#[test]
fn partitions_come_and_go_at_any_moment() {
    explore(|| world::run(Scenario { rebalances: 3, ..calm() }));
}

#[test]
fn the_app_ends_at_any_moment() {
    explore(|| world::run(Scenario { rebalances: 2, finishes: false, ..calm() }));
}

#[test]
fn seats_are_interrupted_and_resized_meanwhile() {
    explore(|| world::run(Scenario { seats: 3, rebalances: 2, disturbed: true, ..calm() }));
}

#[test]
fn seats_are_interrupted_and_resized_while_the_app_ends() {
    explore(|| world::run(Scenario { seats: 3, rebalances: 1, disturbed: true, finishes: false, slip: Slip::None }));
}

/// Jobs that wait for each other end only when each has a seat.
#[test]
fn no_job_waits_while_a_seat_is_idle() {
    const SEATS: usize = 3;
    explore(|| {
        let waker = Arc::new(Waker::new(Parker::new().unparker()));
        let pool = Pool::waking(SEATS, thread_rng().gen_range(1..=2), waker);
        let mut sleepers = Vec::new();
        let meeting = Arc::new(shuttle::sync::Barrier::new(SEATS));
        let (met, all_met) = channel();
        let seats: Vec<_> = (0..SEATS)
            .map(|_| {
                let (mut place, meeting, met) = (Pool::place(&pool), Arc::clone(&meeting), met.clone());
                sleepers.push(place.sleeper());
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    loop {
                        match place.take() {
                            Taken::Job(()) => {
                                meeting.wait();
                                pool.ended();
                                met.send(()).unwrap();
                            }
                            Taken::Interrupted => {}
                            Taken::Closed => return,
                        }
                    }
                })
            })
            .collect();
        for sleeper in &sleepers {
            sleeper.interrupt();
        }
        for _ in 0..2 {
            pool.push(std::iter::once(()));
            pool.push([(), ()].into_iter());
            for _ in 0..SEATS {
                all_met.recv().unwrap();
            }
        }
        pool.close();
        for seat in seats {
            seat.join().unwrap();
        }
    });
}

/// Whether some schedule of the scenario fails.
fn is_found(scenario: Scenario) -> bool {
    explore_from(seed(), 2000, move || world::run(scenario)).is_err()
}

#[test]
fn a_revocation_answered_before_jobs_ended_is_found() {
    assert!(is_found(Scenario { rebalances: 3, slip: Slip::AnsweredAtOnce, ..calm() }));
}

#[test]
fn a_flag_lowered_after_reading_is_found() {
    assert!(is_found(Scenario { slip: Slip::LoweredLate, ..calm() }));
}

#[test]
fn seats_that_nobody_sends_home_are_found() {
    assert!(is_found(Scenario { slip: Slip::LeftOpen, ..calm() }));
}
