//! Pauses and seeks by the user, texts beside the offset, and the size of calls.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, Message, message, offsets};
use karafka_engine::{AssignmentId, Extent, OffsetMetadata, Outcome, Start, VirtualPartitions};

const SECOND: Duration = Duration::from_secs(1);

fn seek(driver: &mut Driver, id: AssignmentId, offset: i64) -> bool {
    driver.engine.can_seek(driver.now, id, offset) && driver.engine.seek(driver.now, id, offset)
}

fn messages(range: std::ops::Range<i64>) -> impl Iterator<Item = Message> {
    range.map(|offset| message(offset, "a"))
}

#[test]
fn a_seek_back_commits_the_lower_position_and_handles_again_from_there() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, messages(0..10));
    assert_eq!(driver.run_all().len(), 10);
    driver.wait(SECOND);
    assert_eq!(driver.confirm().position, 10);
    assert!(seek(&mut driver, id, 4));
    assert!(driver.engine.is_owned(id));
    driver.wait(SECOND);
    assert_eq!(driver.confirm().position, 4);
    driver.deliver(id, messages(4..7));
    assert_eq!(driver.run_all(), [4, 5, 6]);
    driver.wait(SECOND);
    assert_eq!(driver.confirm().position, 7);
}

#[test]
fn nothing_of_before_a_seek_counts_and_the_next_job_waits_for_the_running_one() {
    for outcome in [Outcome::Done, Outcome::FAILED, Outcome::NotStarted] {
        let mut driver = Driver::new(|topic| topic.max_messages = 3);
        let id = driver.assign(0);
        driver.deliver(id, messages(0..5));
        let running = driver.next().unwrap();
        assert!(seek(&mut driver, id, 1));
        driver.deliver(id, messages(1..3));
        assert_eq!(driver.dropped, [3, 4]);
        assert!(driver.mark(&running, 2, Extent::Prefix), "owned, though it does not count");
        assert!(driver.next().is_none(), "the earlier call runs");
        assert_eq!(driver.engine.position(id), Some(1));
        driver.complete(running, outcome);
        assert_eq!(driver.engine.position(id), Some(1));
        let next = driver.next().unwrap();
        assert_eq!((offsets(&next.messages), next.attempt), (vec![1, 2], 1));
        driver.complete(next, Outcome::Done);
        assert_eq!(driver.engine.position(id), Some(3));
    }
}

#[test]
fn a_rebalance_waits_for_calls_of_before_a_seek() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, messages(0..2));
    let running = driver.next().unwrap();
    assert!(seek(&mut driver, id, 7));
    driver.revoke(id, 10 * SECOND);
    assert!(!seek(&mut driver, id, 9), "it is being given up");
    assert_eq!(driver.released, []);
    driver.complete(running, Outcome::Done);
    let last = driver.confirm();
    assert_eq!((last.position, last.last), (7, true));
    assert_eq!(driver.released, [id]);
    let next = driver.assign_at(0, Start { offset: Some(7), metadata: None });
    assert!(!seek(&mut driver, id, 1), "stale");
    assert!(!seek(&mut driver, next, -1) && !seek(&mut driver, next, i64::MAX), "no offsets");
}

#[test]
fn a_commit_on_its_way_is_followed_by_that_of_the_new_position() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, messages(0..4));
    driver.run_all();
    driver.wait(SECOND);
    let earlier = driver.commits[0].clone();
    assert!(seek(&mut driver, id, 0));
    driver.answer(&earlier, Ok(()));
    driver.wait(SECOND);
    assert_eq!((earlier.position, driver.confirm().position), (4, 0));
}

#[test]
fn a_partitioner_asked_before_a_seek_answers_nobody() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::Callback);
    let id = driver.assign(0);
    driver.deliver(id, messages(0..2));
    let asked = driver.next().unwrap();
    assert!(seek(&mut driver, id, 5));
    driver.deliver(id, messages(5..6));
    assert!(driver.next().is_none());
    driver.complete(asked, Outcome::Keyed(vec![1, 2]));
    assert_eq!(driver.dropped, [0, 1]);
    let asked = driver.next().unwrap();
    assert_eq!(offsets(&asked.messages), [5]);
    driver.complete(asked, Outcome::Keyed(vec![1]));
    assert_eq!(driver.run_all(), [5]);
}

#[test]
fn what_a_handler_that_pauses_has_not_marked_comes_again() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, messages(0..4));
    let job = driver.next().unwrap();
    driver.mark(&job, 1, Extent::Prefix);
    driver.engine.pause_from(job.id, Some(driver.now + SECOND));
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.engine.position(id), Some(2), "it is not marked by returning");
    assert!(driver.next().is_none());
    driver.wait(SECOND);
    let again = driver.next().unwrap();
    assert_eq!((offsets(&again.messages), again.attempt), (vec![2, 3], 1));
    driver.engine.pause_from(again.id, None);
    driver.engine.resume_from(again.id);
    driver.complete(again, Outcome::Done);
    assert_eq!(driver.engine.position(id), Some(4), "the pause was taken back");
}

#[test]
fn a_pause_shorter_than_its_call_and_one_of_a_lost_partition_hold_nothing_up() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, messages(0..1));
    let job = driver.next().unwrap();
    driver.engine.pause_from(job.id, Some(driver.now + SECOND));
    driver.wait(2 * SECOND);
    driver.complete(job, Outcome::Done);
    let again = driver.next().unwrap();
    driver.engine.pause_from(again.id, None);
    driver.lose(id);
    let next = driver.assign(0);
    driver.complete(again, Outcome::Done);
    driver.deliver(next, messages(0..1));
    assert_eq!(driver.run_all(), [0]);
}

#[test]
fn a_pause_survives_a_seek() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.engine.pause(id, None);
    assert!(seek(&mut driver, id, 3));
    driver.deliver(id, messages(3..4));
    assert!(driver.next().is_none());
    driver.engine.resume(id);
    assert_eq!(driver.run_all(), [3]);
}

fn with_texts(strategy: OffsetMetadata) -> (Driver, AssignmentId) {
    let mut driver = Driver::new(|topic| {
        topic.offset_metadata = strategy;
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.manual_offset_management = true;
    });
    let id = driver.assign_at(0, Start { offset: Some(0), metadata: Some("read") });
    (driver, id)
}

#[test]
fn the_current_text_travels_at_once_and_the_exact_one_with_its_offset() {
    for (strategy, first) in [(OffsetMetadata::Current, "one"), (OffsetMetadata::Exact, "read")] {
        let (mut driver, id) = with_texts(strategy);
        driver.deliver(id, [message(0, "a"), message(1, "b")]);
        let jobs = driver.jobs();
        assert!(driver.engine.mark_with_metadata(jobs[1].id, 0, "one".to_owned()));
        driver.wait(SECOND);
        let user = |text: &str| karafka_engine::metadata::decode(0, text).user.unwrap();
        let commit = driver.confirm();
        assert_eq!((commit.position, user(&commit.metadata)), (0, first.to_owned()), "{strategy:?}");
        assert!(driver.mark(&jobs[0], 0, Extent::Message));
        driver.wait(SECOND);
        let commit = driver.confirm();
        assert_eq!((commit.position, commit.metadata.as_str()), (2, "one"), "{strategy:?}");
        seek(&mut driver, id, 0);
        driver.wait(SECOND);
        let kept = if strategy == OffsetMetadata::Exact { "" } else { "one" };
        assert_eq!(driver.confirm().metadata, kept);
        assert!(driver.engine.mark_with_metadata(jobs[1].id, 0, "late".to_owned()), "owned");
        assert_eq!(driver.engine.offset_metadata(id).unwrap_or_default(), kept, "but of before the seek");
        driver.lose(id);
        assert!(!driver.engine.mark_with_metadata(jobs[1].id, 0, "lost".to_owned()));
    }
}

#[test]
fn a_call_takes_no_more_bytes_than_it_may_and_a_larger_message_alone() {
    for mode in [VirtualPartitions::Off, VirtualPartitions::ByKey] {
        let mut driver = Driver::new(|topic| {
            topic.max_bytes = 25;
            topic.virtual_partitions = mode;
            topic.virtual_partitions_per_job = 10;
        });
        let id = driver.assign(0);
        let sized = |offset: i64, bytes: u32| Message { bytes, ..message(offset, &(offset / 2).to_string()) };
        driver.deliver(id, [sized(0, 10), sized(1, 10), sized(2, 10), sized(3, 90), sized(4, 25), sized(5, 1)]);
        let mut calls = Vec::new();
        while let Some(job) = driver.next() {
            calls.push(offsets(&job.messages));
            driver.complete(job, Outcome::Done);
        }
        let expected: [&[i64]; 5] = if mode == VirtualPartitions::Off {
            [&[0, 1], &[2], &[3], &[4], &[5]]
        } else {
            [&[0, 1], &[2], &[4], &[3], &[5]]
        };
        assert_eq!(calls, expected, "{mode:?}");
    }
}

#[test]
fn done_messages_behind_the_last_that_fits_are_not_handled_again() {
    let mut driver = Driver::new(|topic| {
        topic.max_bytes = 20;
        topic.manual_offset_management = true;
    });
    let id = driver.assign(0);
    let sized = |offset: i64, bytes: u32| Message { bytes, ..message(offset, "a") };
    driver.deliver(id, [sized(0, 10), sized(1, 10), sized(2, 15)]);
    let job = driver.next().unwrap();
    driver.complete(job, Outcome::FAILED);
    assert!(driver.engine.mark_offset(id, 1));
    driver.wait(5 * SECOND);
    assert_eq!(driver.run_all(), [0, 2]);
}
