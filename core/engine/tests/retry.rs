//! What happens to messages whose handler failed.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, message, offsets};
use karafka_engine::{Backoff, EngineOptions, Extent, Notice, Outcome, VirtualPartitions};

const FAILED: Outcome = Outcome::FAILED;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn by_key() -> Driver {
    Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.retry = Backoff { first: milliseconds(10), longest: milliseconds(35), factor: 2.0, jitter: 0.0 };
    })
}

#[test]
fn a_failure_holds_up_its_own_virtual_partition_only() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b"), message(2, "a")]);
    let failing = driver.next().unwrap();
    driver.complete(failing, FAILED);
    assert_eq!(driver.run_all(), [1]);
    driver.deliver(id, [message(3, "a"), message(4, "b")]);
    assert_eq!(driver.run_all(), [4], "what comes during the back-off waits for it");
    driver.wait(milliseconds(9));
    assert_eq!(driver.run_all(), [0; 0]);
    driver.wait(milliseconds(1));
    let retry = driver.next().unwrap();
    assert_eq!((retry.attempt, offsets(&retry.messages)), (2, vec![0, 2, 3]));
    assert_eq!(retry.attempts, [2, 2, 1]);
}

#[test]
fn waits_grow_with_every_failure_of_a_message_and_attempts_are_its_own() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    for (attempt, wait) in [(1, 10), (2, 20), (3, 35), (4, 35)] {
        let job = driver.next().unwrap();
        assert_eq!(job.attempt, attempt);
        driver.complete(job, FAILED);
        driver.wait(milliseconds(wait - 1));
        assert!(driver.next().is_none(), "attempt {attempt}");
        driver.wait(milliseconds(1));
    }
    let job = driver.next().unwrap();
    assert!(driver.mark(&job, 0, Extent::Message));
    driver.complete(job, FAILED);
    driver.wait(milliseconds(35));
    let job = driver.next().unwrap();
    assert_eq!((job.attempt, offsets(&job.messages)), (6, vec![1]), "it was in every one of these calls");
    driver.complete(job, Outcome::Done);
    driver.deliver(id, [message(2, "a")]);
    assert_eq!(driver.next().unwrap().attempt, 1);
}

#[test]
fn only_unmarked_messages_come_again_in_order() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, (0..5).map(|offset| message(offset, "a")));
    let job = driver.next().unwrap();
    driver.mark(&job, 1, Extent::Message);
    driver.mark(&job, 3, Extent::Message);
    driver.complete(job, FAILED);
    assert_eq!(driver.dropped, [3, 1]);
    driver.wait(milliseconds(10));
    assert_eq!(driver.run_all(), [0, 2, 4]);
    assert_eq!(driver.engine.position(id), Some(5));
}

#[test]
fn a_failure_after_everything_was_marked_repeats_nothing() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    driver.mark(&job, 1, Extent::Prefix);
    driver.deliver(id, [message(2, "a")]);
    driver.complete(job, FAILED);
    assert!(matches!(driver.notices[..], [Notice::HandlerFailed { offset: None, next_attempt: None, .. }]));
    let next = driver.next().unwrap();
    assert_eq!((next.attempt, offsets(&next.messages)), (1, vec![2]));
}

#[test]
fn a_message_marked_through_a_kept_handle_is_not_retried() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    driver.complete(job, FAILED);
    assert!(driver.engine.mark_offset(id, 0));
    driver.wait(milliseconds(10));
    let retry = driver.next().unwrap();
    assert_eq!((retry.attempt, offsets(&retry.messages)), (2, vec![1]));
    driver.complete(retry, FAILED);
    assert!(driver.engine.mark_offset(id, 1));
    driver.wait(milliseconds(20));
    assert!(driver.next().is_none());
    assert_eq!(driver.engine.totals().held_messages, 0);
    driver.deliver(id, [message(2, "a")]);
    assert_eq!(driver.run_all(), [2]);
}

#[test]
fn virtual_partitions_that_failed_together_are_retried_alone() {
    let mut driver = Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.virtual_partitions_per_job = 10;
        topic.retry.first = milliseconds(10);
    });
    let id = driver.assign(0);
    // Enough that a share of four seats is three messages.
    driver.deliver(id, (0..12).map(|offset| message(offset, &offset.to_string())));
    let job = driver.next().unwrap();
    assert_eq!(offsets(&job.messages), [0, 1, 2]);
    driver.mark(&job, 1, Extent::Message);
    driver.complete(job, FAILED);
    driver.run_all();
    driver.wait(milliseconds(10));
    driver.deliver(id, (12..24).map(|offset| message(offset, &(offset % 12).to_string())));
    let jobs = driver.jobs();
    let retried: Vec<_> = jobs.iter().filter(|job| job.attempt == 2).collect();
    assert_eq!(retried.len(), 2);
    assert!(retried.iter().all(|job| job.groups.len() == 1));
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    let rest = driver.run_all();
    assert_eq!(driver.engine.position(id), Some(24), "{rest:?}");
}

#[test]
fn a_job_that_never_started_is_first_again_and_counts_no_attempt() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let job = driver.next().unwrap();
    driver.complete(job, FAILED);
    driver.wait(milliseconds(10));
    let other = driver.next().unwrap();
    let retry = driver.next().unwrap();
    driver.complete(retry, Outcome::NotStarted);
    let retry = driver.next().unwrap();
    assert_eq!((retry.attempt, offsets(&retry.messages)), (2, vec![0]));
    driver.complete(other, Outcome::NotStarted);
    driver.complete(retry, Outcome::NotStarted);
    let order: Vec<i64> = driver.jobs().iter().flat_map(|job| offsets(&job.messages)).collect();
    assert_eq!(order, [0, 1]);
}

#[test]
fn messages_that_a_failed_job_keeps_are_reported_and_block_the_commit() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a"), message(2, "b")]);
    let job = driver.next().unwrap();
    driver.mark(&job, 0, Extent::Message);
    driver.engine.complete(driver.now, job.id, FAILED, Vec::new());
    driver.wait(milliseconds(1));
    assert!(driver.notices.contains(&Notice::MessagesMissing { assignment: id, messages: 1 }));
    assert_eq!(driver.run_all(), [2]);
    assert_eq!(driver.engine.position(id), Some(1));
    assert_eq!(driver.engine.totals().held_messages, 0);
}

#[test]
fn what_was_marked_during_the_back_off_makes_room_without_a_job() {
    let mut driver = Driver::with(EngineOptions { memory_budget_messages: 2, ..EngineOptions::default() }, |topic| {
        topic.retry = Backoff { first: milliseconds(10), longest: milliseconds(10), factor: 1.0, jitter: 0.0 };
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let failing = driver.next().unwrap();
    driver.complete(failing, FAILED);
    assert_eq!(driver.engine.room(id).messages, 0);
    assert!(driver.engine.mark_offset(id, 0) && driver.engine.mark_offset(id, 1));
    driver.wait(milliseconds(10));
    assert!(driver.next().is_none(), "nothing is left to be tried again");
    assert_eq!(driver.dropped, [0, 1]);
    assert_eq!(driver.engine.room(id).messages, 2);
}

#[test]
fn a_poison_message_is_found_in_about_log2_attempts() {
    let many = if cfg!(miri) { 40 } else { 1_000_i64 };
    for (count, poison) in [(many, 0), (many, 1), (many, many * 637 / 1_000), (many, many - 1), (2, 1), (1, 0)] {
        let mut driver = Driver::new(|topic| {
            topic.bisect = true;
            topic.max_messages = 1_000;
            topic.linger = Duration::from_secs(3_600);
            topic.retry = Backoff { first: milliseconds(1), longest: milliseconds(1), factor: 1.0, jitter: 0.0 };
        });
        let id = driver.assign(0);
        driver.deliver(id, (0..count).map(|offset| message(offset, "a")));
        driver.wait(Duration::from_secs(3_600));
        let mut calls = 0;
        loop {
            calls += 1;
            let job = driver.next().expect("nothing lingers that was in a call before");
            let handled = offsets(&job.messages);
            if !handled.contains(&poison) {
                driver.complete(job, Outcome::Done);
                continue;
            }
            driver.complete(job, FAILED);
            driver.wait(milliseconds(1));
            if handled == [poison] {
                break;
            }
        }
        // The whole, one for each halving, and the culprit alone where it was the rest that was left.
        let most = 2 + count.ilog2() + u32::from(!(count as u64).is_power_of_two());
        assert!(calls <= most, "{calls} calls among {count} for {poison}, at most {most}");
    }
}

#[test]
fn jitter_spreads_what_failed_together() {
    let mut driver = Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.retry = Backoff { first: milliseconds(100), longest: milliseconds(100), factor: 1.0, jitter: 0.5 };
    });
    let id = driver.assign(0);
    driver.deliver(id, (0..40).map(|offset| message(offset, &offset.to_string())));
    while let Some(job) = driver.next() {
        driver.complete(job, FAILED);
    }
    driver.wait(milliseconds(49));
    assert!(driver.next().is_none(), "half of the wait is left to nobody");
    driver.wait(milliseconds(26));
    let early = driver.run_all().len();
    driver.wait(milliseconds(25));
    assert!((5..=35).contains(&early) && early + driver.run_all().len() == 40, "{early} of 40 in half of the time");
}
