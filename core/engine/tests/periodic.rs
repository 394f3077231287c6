//! Ticks: when they come, when they do not, and what they never overlap.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, Message, message};
use karafka_engine::{AssignmentId, Hooks, Job, JobKind, Outcome, Periodic, TopicOptions, VirtualPartitions};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const PERIODIC: Periodic = Periodic { interval: SECOND, during_pause: true, during_retry: false };

fn driver(configure: impl FnOnce(&mut TopicOptions)) -> (Driver, AssignmentId) {
    let mut driver = Driver::new(|topic| {
        topic.periodic = Some(PERIODIC);
        configure(topic);
    });
    let id = driver.assign(0);
    (driver, id)
}

fn tick(driver: &mut Driver) -> Job<Message> {
    let job = driver.next().unwrap();
    assert_eq!((job.kind, job.messages.len()), (JobKind::Tick, 0));
    job
}

#[test]
fn ticks_come_without_a_message_every_interval_and_not_before() {
    let (mut driver, _) = driver(|_| {});
    for _ in 0..5 {
        driver.wait(999 * MILLISECOND);
        assert!(driver.next().is_none(), "early");
        driver.wait(MILLISECOND);
        let job = tick(&mut driver);
        assert!(!job.facts.used);
        assert!(driver.next().is_none(), "one at a time");
        driver.complete(job, Outcome::Done);
    }
}

#[test]
fn a_tick_that_takes_time_does_not_delay_the_next_unless_it_takes_the_interval() {
    let (mut driver, _) = driver(|_| {});
    driver.wait(SECOND);
    let job = tick(&mut driver);
    driver.wait(SECOND / 2);
    driver.complete(job, Outcome::FAILED);
    driver.wait(SECOND / 2);
    let job = tick(&mut driver);
    driver.wait(SECOND * 3);
    assert!(driver.next().is_none(), "it still runs");
    driver.complete(job, Outcome::Done);
    assert!(driver.next().is_none());
    driver.wait(SECOND);
    tick(&mut driver);
}

#[test]
fn messages_within_the_interval_suppress_ticks() {
    let (mut driver, id) = driver(|_| {});
    for offset in 0..10 {
        driver.wait(SECOND / 2);
        driver.deliver(id, [message(offset, "a")]);
        let job = driver.next().unwrap();
        assert_eq!(job.kind, JobKind::Handle);
        driver.wait(SECOND / 4);
        driver.complete(job, Outcome::Done);
    }
    driver.wait(999 * MILLISECOND);
    assert!(driver.next().is_none());
    driver.wait(MILLISECOND * 51);
    assert!(tick(&mut driver).facts.used);
}

#[test]
fn no_message_runs_beside_a_tick_of_its_consumer() {
    for mode in [VirtualPartitions::Off, VirtualPartitions::ByKey, VirtualPartitions::Fixed(1)] {
        let (mut driver, id) = driver(|topic| topic.virtual_partitions = mode);
        driver.wait(SECOND);
        let job = tick(&mut driver);
        driver.deliver(id, [message(0, "a"), message(1, "b")]);
        driver.wait(SECOND * 60);
        assert!(driver.next().is_none(), "{mode:?}");
        driver.complete(job, Outcome::NotStarted);
        assert_eq!(driver.run_all().len(), 2, "{mode:?}");
    }
}

#[test]
fn fixed_virtual_partitions_tick_each_for_itself() {
    let (mut driver, id) = driver(|topic| topic.virtual_partitions = VirtualPartitions::Fixed(4));
    driver.deliver(id, [message(0, "N14228"), message(1, "N24211")]);
    let mut jobs = driver.jobs();
    assert_eq!(jobs.len(), 2);
    let busy = jobs.pop().unwrap();
    let idle = jobs.pop().unwrap();
    let name = idle.groups[0].virtual_partition;
    driver.complete(idle, Outcome::Done);
    driver.wait(SECOND);
    let job = tick(&mut driver);
    assert_eq!(job.groups[0].virtual_partition, name, "the other one is in a call");
    assert!(driver.next().is_none());
    driver.complete(job, Outcome::Done);
    driver.complete(busy, Outcome::Done);
}

#[test]
fn a_pause_suppresses_ticks_only_where_that_is_asked_for() {
    for during_pause in [true, false] {
        let (mut driver, id) = driver(|topic| topic.periodic = Some(Periodic { during_pause, ..PERIODIC }));
        driver.deliver(id, [message(0, "a")]);
        driver.engine.pause(id, None);
        driver.wait(SECOND * 2);
        assert_eq!(driver.next().map(|job| job.kind), during_pause.then_some(JobKind::Tick));
        driver.engine.resume(id);
        if !during_pause {
            assert_eq!(driver.run_all(), [0], "a message that waits comes before what is overdue");
        }
    }
}

#[test]
fn what_became_due_in_a_pause_comes_at_its_end() {
    let (mut driver, id) = driver(|topic| topic.periodic = Some(Periodic { during_pause: false, ..PERIODIC }));
    driver.engine.pause(id, Some(driver.now + SECOND * 2 + SECOND / 2));
    driver.wait(SECOND * 2);
    assert!(driver.next().is_none());
    driver.wait(SECOND / 2);
    driver.wait(Duration::ZERO);
    tick(&mut driver);
}

#[test]
fn messages_that_are_retried_suppress_ticks_unless_that_is_asked_for() {
    for (during_retry, mode) in [
        (true, VirtualPartitions::Off),
        (false, VirtualPartitions::Off),
        (true, VirtualPartitions::ByKey),
        (false, VirtualPartitions::ByKey),
    ] {
        let (mut driver, id) = driver(|topic| {
            topic.virtual_partitions = mode;
            topic.periodic = Some(Periodic { during_retry, ..PERIODIC });
            topic.retry.first = SECOND * 10;
        });
        driver.deliver(id, [message(0, "a")]);
        let job = driver.next().unwrap();
        driver.complete(job, Outcome::FAILED);
        driver.wait(SECOND * 2);
        let found = driver.next();
        assert_eq!(found.as_ref().map(|job| job.kind), during_retry.then_some(JobKind::Tick), "{mode:?}");
        if let Some(job) = found {
            driver.complete(job, Outcome::Done);
        }
        driver.wait(SECOND * 8);
        let job = driver.next().unwrap();
        assert_eq!((job.kind, job.attempt), (JobKind::Handle, 2), "{mode:?}: the failure is remembered");
        driver.complete(job, Outcome::Done);
        driver.wait(SECOND + MILLISECOND * 50);
        tick(&mut driver);
    }
}

#[test]
fn a_quiet_engine_ticks_no_more_until_it_goes_on() {
    let (mut driver, _) = driver(|_| {});
    driver.engine.quiet();
    driver.wait(SECOND * 10);
    assert!(driver.next().is_none());
    driver.engine.resume_all();
    driver.wait(Duration::ZERO);
    tick(&mut driver);
}

#[test]
fn a_partition_that_is_given_up_or_lost_ticks_no_more() {
    let (mut driver, id) = driver(|topic| topic.hooks = Hooks { revoked: true, ..Hooks::default() });
    driver.wait(SECOND);
    driver.revoke(id, SECOND);
    assert!(driver.next().is_none());
    assert_eq!(driver.released, [id], "it was never used");
    let id = driver.assign(1);
    driver.wait(SECOND);
    let job = tick(&mut driver);
    driver.lose(id);
    driver.wait(SECOND * 10);
    assert!(driver.next().is_none());
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.next().map(|job| job.kind), Some(JobKind::Revoked), "a tick is a use");
}

#[test]
fn a_hundred_partitions_tick_at_two_moments_at_most() {
    let (mut driver, _) = driver(|_| {});
    for partition in 1..if cfg!(miri) { 10 } else { 100 } {
        driver.wait(MILLISECOND / 4);
        driver.assign(partition);
    }
    let mut moments = 0;
    let begin = driver.now;
    while driver.now < begin + SECOND * 10 {
        let due = driver.engine.deadline().unwrap();
        driver.wait(due.since(driver.now));
        moments += 1;
        while let Some(job) = driver.next() {
            driver.complete(job, Outcome::Done);
        }
    }
    // They were assigned at two sides of one of the moments that ticks are put off to.
    assert!(moments <= 22, "{moments} wake-ups in ten intervals");
}
