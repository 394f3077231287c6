//! When the engine asks for a commit and what it says; budgets and the window.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, message, offsets};
use karafka_engine::{
    CommitFailure, EngineOptions, Extent, Notice, Outcome, Room, Start, VirtualPartitions, metadata::decode,
};

const SECOND: Duration = Duration::from_secs(1);

fn manual() -> Driver {
    Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.manual_offset_management = true;
    })
}

#[test]
fn only_what_changed_is_committed_and_all_partitions_at_one_moment() {
    let mut driver = Driver::new(|_| {});
    let ids = [driver.assign(0), driver.assign(1), driver.assign(2)];
    assert_eq!(driver.engine.deadline(), None, "an idle engine needs no waking");
    driver.deliver(ids[0], [message(0, "a")]);
    driver.run_all();
    driver.now = driver.now + SECOND / 2;
    driver.deliver(ids[1], [message(7, "a")]);
    driver.run_all();
    assert_eq!(driver.engine.deadline(), Some(driver.now + SECOND / 2));
    driver.wait(SECOND / 2);
    let said: Vec<_> = driver.commits.iter().map(|commit| (commit.assignment, commit.position)).collect();
    assert_eq!(said, [(ids[0], 1), (ids[1], 8)]);
    for commit in driver.commits.clone() {
        driver.answer(&commit, Ok(()));
    }
    assert_eq!(driver.engine.deadline(), None);
}

#[test]
fn one_commit_is_on_its_way_at_a_time() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    driver.wait(SECOND);
    let first = driver.commits[0].clone();
    driver.deliver(id, [message(1, "a")]);
    driver.run_all();
    driver.wait(5 * SECOND);
    assert_eq!(driver.commits.len(), 1);
    let again = driver.engine.commit_now(driver.now, id);
    assert_eq!((again.unwrap() > first.id, driver.commits.len()), (true, 1));
    driver.answer(&first, Ok(()));
    let second = driver.confirm();
    assert_eq!((Some(second.id), second.position), (again, 2));
    assert_eq!(driver.engine.commit_now(driver.now, id), None, "nothing new");
}

#[test]
fn the_moment_of_another_partition_sends_no_second_commit() {
    let mut driver = Driver::new(|_| {});
    let (slow, other) = (driver.assign(0), driver.assign(1));
    driver.deliver(slow, [message(0, "a")]);
    driver.run_all();
    driver.wait(SECOND);
    driver.deliver(slow, [message(1, "a")]);
    driver.deliver(other, [message(0, "a")]);
    driver.run_all();
    driver.wait(SECOND);
    let said: Vec<_> = driver.commits.iter().map(|commit| (commit.assignment, commit.position)).collect();
    assert_eq!(said, [(slow, 1), (other, 1)]);
    let first = driver.commits[0].clone();
    driver.answer(&first, Ok(()));
    driver.wait(SECOND);
    assert_eq!(driver.confirm().position, 2);
}

#[test]
fn commit_now_names_the_commit_that_will_say_it() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign(0);
    assert_eq!(driver.engine.commit_now(driver.now, id), None);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    let named = driver.engine.commit_now(driver.now, id);
    assert_eq!(named, driver.engine.commit_now(driver.now, id), "the one on its way says it already");
    driver.wait(Duration::ZERO);
    assert_eq!(Some(driver.confirm().id), named);
}

#[test]
fn a_commit_that_failed_is_made_again_after_an_interval() {
    for (failure, told) in [(CommitFailure::Retriable, false), (CommitFailure::Fatal, true)] {
        let mut driver = Driver::new(|_| {});
        let id = driver.assign(0);
        driver.deliver(id, [message(0, "a")]);
        driver.run_all();
        driver.wait(SECOND);
        let first = driver.commits[0].clone();
        driver.answer(&first, Err(failure));
        assert_eq!(driver.notices.contains(&Notice::CommitFailed { assignment: id, failure }), told);
        driver.wait(SECOND);
        assert_eq!(driver.commits.len(), 2);
        assert_eq!(driver.confirm().position, 1);
    }
}

#[test]
fn a_commit_that_somebody_asked_for_is_made_again_soon() {
    let hour = EngineOptions { commit_interval: 3600 * SECOND, ..EngineOptions::default() };
    let mut driver = Driver::with(hour, |_| {});
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    let asked = driver.engine.commit_now(driver.now, id);
    driver.wait(Duration::ZERO);
    for _ in 0..3 {
        let refused = driver.commits.remove(0);
        driver.answer(&refused, Err(CommitFailure::Retriable));
        assert!(driver.commits.is_empty(), "not at once");
        driver.wait(SECOND / 4);
    }
    assert!(Some(driver.confirm().id) > asked);
    driver.commits.clear();
    // Nobody asks any more.
    driver.deliver(id, [message(1, "a")]);
    driver.run_all();
    driver.wait(3599 * SECOND);
    assert!(driver.commits.is_empty());
}

#[test]
fn unmarked_messages_block_the_commit_until_marked_late() {
    let mut driver = manual();
    let id = driver.assign(0);
    driver.deliver(id, (0..4).map(|offset| message(offset, if offset == 1 { "b" } else { "a" })));
    assert_eq!(driver.run_all(), [0, 2, 3, 1]);
    driver.wait(SECOND);
    driver.wait(SECOND);
    assert_eq!(driver.engine.position(id), Some(0));
    driver.deliver(id, [message(4, "a")]);
    let job = driver.next().unwrap();
    assert!(driver.mark(&job, 0, Extent::Prefix), "reaches 0, 2 and 3, which earlier jobs left");
    assert_eq!(driver.engine.position(id), Some(1));
    driver.complete(job, Outcome::Done);
    assert!(driver.engine.mark_offset(id, 1));
    assert!(driver.engine.mark_offset(id, 1) && driver.engine.mark_offset(id, 99), "owned, and harmless");
    assert_eq!(driver.engine.position(id), Some(5));
    assert_eq!(driver.run_all(), [0; 0], "nothing is delivered again");
}

#[test]
fn marks_of_one_message_leave_the_others() {
    let mut driver = manual();
    let id = driver.assign(0);
    driver.deliver(id, (0..3).map(|offset| message(offset, "a")));
    let job = driver.next().unwrap();
    driver.mark(&job, 1, Extent::Message);
    assert_eq!(driver.engine.position(id), Some(0));
    driver.mark(&job, 0, Extent::Message);
    assert_eq!(driver.engine.position(id), Some(2));
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.engine.position(id), Some(2));
}

#[test]
fn the_users_text_travels_with_the_offset() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign_at(0, Start { offset: Some(3), metadata: Some("before") });
    assert_eq!(driver.engine.offset_metadata(id), Some("before"));
    assert!(driver.engine.set_offset_metadata(id, Some("after".to_owned())));
    driver.wait(SECOND);
    let commit = driver.confirm();
    assert_eq!((commit.position, commit.metadata.as_str()), (3, "after"));
    assert_eq!(driver.engine.deadline(), None);
    driver.engine.set_offset_metadata(id, Some("x".repeat(5_000)));
    driver.wait(SECOND);
    assert!(matches!(driver.notices[..], [Notice::UserMetadataTooLong { .. }]));
    assert_eq!(driver.confirm().metadata, "");
}

#[test]
fn marks_that_do_not_fit_are_dropped_whole_and_told_once() {
    let options = EngineOptions { metadata_limit: 20, ..EngineOptions::default() };
    let mut driver = Driver::with(options, |topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let id = driver.assign(0);
    driver.deliver(id, (0..8).map(|offset| message(offset, &offset.to_string())));
    let blocking = driver.next().unwrap();
    for rounds in 0..2 {
        let job = driver.next().unwrap();
        driver.complete(job, Outcome::Done);
        driver.wait(SECOND);
        let commit = driver.confirm();
        assert!(decode(0, &commit.metadata).done.is_empty(), "round {rounds}");
    }
    let told =
        |driver: &Driver| driver.notices.iter().filter(|notice| matches!(notice, Notice::MarksDropped { .. })).count();
    assert_eq!(told(&driver), 1);
    assert_eq!(offsets(&blocking.messages), [0]);
}

#[test]
fn a_text_that_the_broker_refuses_goes_again_with_less_of_it() {
    let mut driver = Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let id = driver.assign(0);
    driver.engine.set_offset_metadata(id, Some("mine".to_owned()));
    driver.deliver(id, (0..8).map(|offset| message(offset, &offset.to_string())));
    let blocking = driver.next().unwrap();
    let job = driver.next().unwrap();
    driver.complete(job, Outcome::Done);
    driver.wait(SECOND);
    let refused = driver.commits.last().unwrap().clone();
    assert!(!decode(0, &refused.metadata).done.is_empty());
    driver.answer(&refused, Err(CommitFailure::MetadataTooLarge));
    driver.wait(SECOND / 4);
    let again = driver.commits.last().unwrap().clone();
    assert!(again.id > refused.id, "soon");
    assert_eq!((again.position, again.metadata.as_str()), (0, "mine"), "the user's text fits");
    driver.answer(&again, Err(CommitFailure::MetadataTooLarge));
    driver.revoke(id, 10 * SECOND);
    driver.complete(blocking, Outcome::Done);
    driver.wait(SECOND);
    let last = driver.confirm();
    assert_eq!((last.position, last.metadata.as_str(), last.last), (2, "", true));
    assert_eq!(driver.released, [id]);
}

#[test]
fn metadata_that_cannot_be_read_is_told_and_skips_nothing() {
    let mut driver = Driver::new(|_| {});
    let id = driver.assign_at(0, Start { offset: Some(3), metadata: Some("karafka/1;damaged") });
    assert!(matches!(driver.notices[..], [Notice::MetadataIgnored { .. }]));
    driver.deliver(id, (3..5).map(|offset| message(offset, "a")));
    assert_eq!(driver.run_all(), [3, 4]);
}

#[test]
fn a_partition_is_read_up_to_its_window_and_budgets() {
    let options = EngineOptions { memory_budget_messages: 6, memory_budget_bytes: 100, ..EngineOptions::default() };
    let mut driver = Driver::with(options, |topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.window = 4;
        topic.partition_budget_bytes = 35;
        topic.manual_offset_management = true;
    });
    let (first, second) = (driver.assign(0), driver.assign(1));
    assert_eq!(driver.engine.room(first), Room { messages: 4, bytes: 35 });
    driver.deliver(first, (0..3).map(|offset| message(offset, "a")));
    assert_eq!(driver.engine.room(first), Room { messages: 1, bytes: 5 });
    driver.deliver(first, [message(3, "a")]);
    assert_eq!(driver.engine.room(first), Room::default(), "the window and the bytes are full");
    driver.deliver(second, (0..2).map(|offset| message(offset, "a")));
    assert_eq!(driver.engine.room(second), Room::default(), "the process is full");
    let third = driver.assign(2);
    assert_eq!(driver.engine.room(third).messages, 1, "nobody starves");
    driver.run_all();
    assert_eq!(driver.engine.room(first), Room::default(), "handled, but not done: the window is still full");
    assert_eq!(driver.engine.room(second), Room { messages: 2, bytes: 35 });
    driver.engine.mark_offset(first, 0);
    assert_eq!(driver.engine.room(first).messages, 1);
}
