//! Which messages become which jobs: modes, order, shares, fairness, linger.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, SEATS, keyless, message, offsets};
use karafka_engine::{JobKind, Notice, Outcome, VirtualPartitions};

#[test]
fn without_virtual_partitions_a_partition_runs_in_order_one_job_at_a_time() {
    let mut driver = Driver::new(|topic| topic.max_messages = 3);
    let id = driver.assign(0);
    driver.deliver(id, (0..7).map(|offset| message(offset, &offset.to_string())));
    let job = driver.next().unwrap();
    assert_eq!(offsets(&job.messages), [0, 1, 2]);
    assert!(driver.next().is_none());
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.run_all(), [3, 4, 5, 6]);
}

#[test]
fn a_slow_key_holds_up_no_other() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "slow"), message(1, "a"), message(2, "slow"), message(3, "b"), message(4, "a")]);
    let slow = driver.next().unwrap();
    assert_eq!(offsets(&slow.messages), [0, 2]);
    assert_eq!(driver.run_all(), [1, 4, 3]);
    driver.deliver(id, [message(5, "slow"), message(6, "c")]);
    assert_eq!(driver.run_all(), [6]);
    driver.complete(slow, Outcome::Done);
    assert_eq!(driver.run_all(), [5]);
}

#[test]
fn messages_without_a_key_are_spread_one_by_one() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let id = driver.assign(0);
    driver.deliver(id, (0..6).map(keyless));
    assert_eq!(driver.jobs().len(), SEATS as usize);
}

#[test]
fn a_job_mixes_virtual_partitions_only_when_told_to_and_only_its_share() {
    let mut driver = Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.virtual_partitions_per_job = 100;
    });
    let id = driver.assign(0);
    driver.deliver(id, (0..40).map(|offset| message(offset, &(offset % 20).to_string())));
    // 40 messages on 4 seats: 10 a job, whole virtual partitions of two messages each.
    let job = driver.next().unwrap();
    assert_eq!((job.messages.len(), job.groups.len()), (10, 5));
    for group in &job.groups {
        let (start, end) = (group.start as usize, (group.start + group.len) as usize);
        let part = &offsets(&job.messages)[start..end];
        assert_eq!(part[1] - part[0], 20);
    }
}

#[test]
fn partitions_take_turns() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let busy = driver.assign(0);
    let waiting = if cfg!(miri) { 100 } else { 1000 };
    driver.deliver(busy, (0..waiting).map(|offset| message(offset, &offset.to_string())));
    let first = driver.next().unwrap();
    let calm = driver.assign(1);
    driver.deliver(calm, [message(0, "x")]);
    let turns: Vec<i32> = driver.jobs().iter().map(|job| job.partition).collect();
    assert_eq!(first.partition, 0);
    assert!(turns[..2].contains(&1), "{turns:?}");
}

#[test]
fn linger_waits_for_company_but_not_longer_than_told() {
    let mut driver = Driver::new(|topic| {
        topic.max_messages = 3;
        topic.linger = Duration::from_millis(10);
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.wait(Duration::from_millis(9));
    assert!(driver.next().is_none());
    driver.deliver(id, [message(1, "a")]);
    driver.wait(Duration::from_millis(1));
    assert_eq!(driver.run_all(), [0, 1]);
    driver.deliver(id, (2..5).map(|offset| message(offset, "a")));
    assert_eq!(driver.run_all(), [2, 3, 4], "a full call does not wait");
}

#[test]
fn the_partitioner_is_asked_by_jobs_and_its_answer_takes_the_place_of_the_key() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::Callback);
    let id = driver.assign(0);
    driver.deliver(id, (0..4).map(|offset| message(offset, "k")));
    let job = driver.next().unwrap();
    assert_eq!((job.kind, job.messages.len()), (JobKind::Key, 4));
    driver.deliver(id, [message(4, "k")]);
    assert!(driver.next().is_none(), "one question at a time");
    driver.complete(job, Outcome::Keyed(vec![7, 8, 7, 8]));
    let job = driver.next().unwrap();
    driver.complete(job, Outcome::NotStarted);
    let job = driver.next().unwrap();
    assert_eq!((job.kind, offsets(&job.messages)), (JobKind::Key, vec![4]));
    driver.complete(job, Outcome::KeyFailed);
    assert!(matches!(driver.notices[..], [Notice::PartitionerFailed { offset: Some(4), messages: 1, .. }]));
    let jobs = driver.jobs();
    let calls: Vec<Vec<i64>> = jobs.iter().map(|job| offsets(&job.messages)).collect();
    assert_eq!(calls, [vec![0, 2], vec![1, 3], vec![4]]);
}
