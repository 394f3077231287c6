//! The life of an assignment: given up, lost, assigned again, paused; and ids that have become stale.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, message, offsets};
use karafka_engine::{CommitFailure, Extent, Instant, Notice, Outcome, Room, Start, VirtualPartitions};

const SECOND: Duration = Duration::from_secs(1);

fn by_key() -> Driver {
    Driver::new(|topic| topic.virtual_partitions = VirtualPartitions::ByKey)
}

#[test]
fn a_partition_with_nothing_new_is_released_at_once() {
    let mut driver = by_key();
    let id = driver.assign_at(0, Start { offset: Some(5), metadata: None });
    driver.deliver(id, [message(5, "a"), message(6, "b")]);
    driver.revoke(id, SECOND);
    assert_eq!((&driver.released[..], &driver.dropped[..]), (&[id][..], &[5, 6][..]));
    assert!(driver.commits.is_empty());
    assert!(driver.next().is_none());
}

#[test]
fn running_jobs_are_awaited_and_committed_before_the_release() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b"), message(2, "c")]);
    let (first, second) = (driver.next().unwrap(), driver.next().unwrap());
    driver.revoke(id, SECOND);
    assert_eq!(driver.dropped, [2], "what waits is dropped");
    assert_eq!(driver.engine.room(id), Room::default());
    assert!(driver.next().is_none());
    driver.complete(first, Outcome::Done);
    assert!(driver.commits.is_empty() && driver.released.is_empty());
    assert!(driver.mark(&second, 0, Extent::Message), "marks of running jobs count");
    driver.complete(second, Outcome::FAILED);
    let last = driver.commits.last().unwrap().clone();
    assert!(last.last && last.position == 2 && driver.released.is_empty());
    driver.answer(&last, Ok(()));
    assert_eq!(driver.released, [id]);
    assert!(!driver.engine.is_owned(id));
}

#[test]
fn what_was_decided_of_a_lost_partition_is_not_done_any_more() {
    let mut driver = by_key();
    let (committing, released) = (driver.assign(0), driver.assign(1));
    driver.deliver(committing, [message(0, "a")]);
    let job = driver.next().unwrap();
    let (now, job_id) = (driver.now, job.id);
    // Not acted upon yet, as when several events are read in one go.
    driver.engine.complete(now, job_id, Outcome::Done, Vec::new());
    driver.engine.commit_now(now, committing);
    driver.engine.revoke(now, released, now + SECOND);
    driver.engine.lose(now, committing);
    driver.engine.lose(now, released);
    assert!(driver.next().is_none());
    assert!(driver.commits.is_empty() && driver.released.is_empty());
}

#[test]
fn long_running_jobs_are_not_awaited() {
    let mut driver = Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.long_running_job = true;
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let (done, long) = (driver.next().unwrap(), driver.next().unwrap());
    driver.complete(done, Outcome::Done);
    driver.revoke(id, SECOND);
    assert!(!driver.mark(&long, 0, Extent::Message), "the last commit is on its way");
    assert!(!driver.engine.mark_offset(id, 1));
    driver.confirm();
    assert_eq!(driver.released, [id]);
    driver.complete(long, Outcome::Done);
    assert_eq!(driver.commits.len(), 1);
    assert_eq!(driver.engine.totals().held_messages, 0);
}

#[test]
fn the_deadline_ends_the_wait_for_running_jobs() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let (done, slow) = (driver.next().unwrap(), driver.next().unwrap());
    driver.complete(done, Outcome::Done);
    driver.revoke(id, SECOND);
    driver.wait(SECOND);
    assert!(driver.notices.contains(&Notice::RevokeDeadlinePassed { assignment: id, running: 1 }));
    assert!(!driver.mark(&slow, 0, Extent::Message));
    assert_eq!(driver.confirm().position, 1);
    assert_eq!(driver.released, [id]);
}

#[test]
fn a_commit_on_its_way_is_awaited_before_the_last_one() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let (first, second) = (driver.next().unwrap(), driver.next().unwrap());
    driver.complete(first, Outcome::Done);
    driver.wait(SECOND);
    let regular = driver.commits.last().unwrap().clone();
    driver.revoke(id, 3 * SECOND);
    driver.complete(second, Outcome::Done);
    assert_eq!(driver.commits.len(), 1);
    driver.answer(&regular, Ok(()));
    let last = driver.confirm();
    assert!(last.last && last.position == 2 && !regular.last);
    assert_eq!(driver.released, [id]);
}

#[test]
fn a_last_commit_that_may_succeed_later_is_sent_again_and_others_are_not() {
    for failure in [CommitFailure::Fatal, CommitFailure::NotOwned] {
        let mut driver = by_key();
        let id = driver.assign(0);
        driver.deliver(id, [message(0, "a")]);
        driver.run_all();
        driver.revoke(id, 2 * SECOND);
        let first = driver.commits.last().unwrap().clone();
        driver.answer(&first, Err(CommitFailure::Retriable));
        assert_eq!((driver.commits.len(), driver.released.len()), (1, 0));
        driver.wait(SECOND / 10);
        let again = driver.commits.last().unwrap().clone();
        assert!(again.id > first.id && again.last);
        driver.answer(&again, Err(failure));
        assert_eq!(driver.released, [id]);
        assert!(driver.notices.contains(&Notice::LastCommitUnconfirmed { assignment: id }));
    }
}

#[test]
fn a_last_commit_without_an_answer_is_not_awaited_for_ever() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    driver.revoke(id, SECOND);
    driver.wait(Duration::from_nanos(999_999_999));
    assert!(driver.released.is_empty());
    driver.wait(Duration::from_nanos(1));
    assert_eq!(driver.released, [id]);
    assert!(driver.notices.contains(&Notice::LastCommitUnconfirmed { assignment: id }));
    driver.confirm();
    assert_eq!(driver.released, [id], "a late answer is harmless");
}

#[test]
fn what_was_lost_counts_no_more() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let job = driver.next().unwrap();
    driver.lose(id);
    assert_eq!(driver.dropped, [1]);
    assert!(!driver.mark(&job, 0, Extent::Prefix));
    assert!(!driver.engine.mark_offset(id, 0));
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.dropped, [1, 0]);
    driver.wait(10 * SECOND);
    assert!(driver.commits.is_empty() && driver.released.is_empty());
}

#[test]
fn the_next_ownership_waits_for_jobs_of_the_last() {
    let mut driver = by_key();
    let old = driver.assign(0);
    driver.deliver(old, [message(0, "a"), message(1, "b")]);
    let (first, second) = (driver.next().unwrap(), driver.next().unwrap());
    driver.lose(old);
    let new = driver.assign(0);
    assert_eq!(driver.notices.last(), Some(&Notice::WaitingForOldJobs { assignment: new, running: 2 }));
    driver.deliver(new, [message(0, "a"), message(2, "c")]);
    assert!(driver.next().is_none());
    driver.complete(first, Outcome::Done);
    assert!(driver.next().is_none());
    driver.complete(second, Outcome::FAILED);
    assert_eq!(driver.run_all(), [0, 2]);
    assert_eq!(driver.engine.position(new), Some(3));
}

#[test]
fn an_ownership_lost_while_it_waits_leaves_the_next_one_waiting() {
    let mut driver = by_key();
    let first = driver.assign(0);
    driver.deliver(first, [message(0, "a")]);
    let job = driver.next().unwrap();
    let second = driver.assign(0);
    assert!(!driver.engine.is_owned(first), "assigning over an owner loses it");
    driver.lose(second);
    let third = driver.assign(0);
    driver.deliver(third, [message(0, "a")]);
    assert!(driver.next().is_none());
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.run_all(), [0]);
}

#[test]
fn stale_ids_touch_nothing() {
    let mut driver = by_key();
    let old = driver.assign(0);
    driver.deliver(old, [message(0, "a")]);
    driver.run_all();
    driver.wait(SECOND);
    let commit = driver.commits.last().unwrap().clone();
    driver.lose(old);
    let new = driver.assign(0);
    assert_eq!(old.slot(), new.slot());
    driver.deliver(new, [message(0, "a")]);
    let job = driver.next().unwrap();
    driver.deliver(old, [message(1, "a")]);
    assert_eq!(driver.dropped.last(), Some(&1));
    assert_eq!(driver.engine.room(old), Room::default());
    driver.engine.pause(old, None);
    driver.engine.resume(old);
    assert!(!driver.engine.mark_offset(old, 0));
    assert!(!driver.engine.set_offset_metadata(old, Some("x".into())));
    assert_eq!(driver.engine.commit_now(driver.now, old), None);
    driver.answer(&commit, Ok(()));
    driver.revoke(old, SECOND);
    driver.lose(old);
    assert_eq!((driver.engine.queued(old), driver.engine.running(new)), (0, 1));
    let id = job.id;
    driver.complete(job, Outcome::Done);
    assert_eq!(driver.engine.position(new), Some(1));
    // Completed twice, and marked after completion.
    driver.deliver(new, [message(1, "a")]);
    let next = driver.next().unwrap();
    driver.engine.complete(driver.now, id, Outcome::Done, Vec::new());
    assert!(!driver.engine.mark(id, 0, Extent::Prefix));
    assert_eq!((driver.engine.running(new), driver.engine.position(new)), (1, Some(1)));
    assert!(!driver.mark(&next, 7, Extent::Message), "no such message");
}

#[test]
fn a_pause_holds_messages_until_it_ends() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let running = driver.next().unwrap();
    driver.engine.pause(id, Some(driver.now + SECOND));
    assert_eq!(driver.engine.room(id), Room::default());
    assert!(driver.next().is_none());
    driver.complete(running, Outcome::Done);
    driver.wait(Duration::from_nanos(999_999_999));
    assert!(driver.next().is_none());
    driver.wait(Duration::from_nanos(1));
    assert_eq!(driver.run_all(), [1]);
    driver.engine.pause(id, None);
    driver.engine.pause(id, Some(driver.now + 5 * SECOND));
    driver.engine.pause(id, None);
    driver.deliver(id, [message(2, "a")]);
    driver.wait(10 * SECOND);
    assert!(driver.next().is_none(), "the later pause has no end");
    driver.engine.resume(id);
    assert_eq!(driver.run_all(), [2]);
    assert!(driver.engine.room(id).messages > 0);
}

#[test]
fn a_quiet_engine_gives_nothing_out_and_goes_on_where_it_was() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let running = driver.next().unwrap();
    driver.engine.quiet();
    assert_eq!(driver.engine.room(id), Room::default());
    assert!(driver.next().is_none());
    driver.complete(running, Outcome::Done);
    driver.wait(SECOND);
    assert_eq!(driver.confirm().position, 1);
    driver.engine.resume_all();
    assert_eq!(driver.run_all(), [1]);
}

#[test]
fn a_revoked_partition_comes_back_in_a_new_epoch_where_it_was_committed() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.deliver(id, (0..4).map(|offset| message(offset, &offset.to_string())));
    let jobs = driver.jobs();
    for job in jobs {
        let outcome = if offsets(&job.messages) == [1] { Outcome::FAILED } else { Outcome::Done };
        driver.complete(job, outcome);
    }
    driver.revoke(id, SECOND);
    let commit = driver.confirm();
    assert_eq!(commit.position, 1);
    let id = driver.assign_at(0, Start { offset: Some(1), metadata: Some(&commit.metadata) });
    driver.dropped.clear();
    driver.deliver(id, (1..6).map(|offset| message(offset, &offset.to_string())));
    assert_eq!(driver.dropped, [2, 3], "done before, dropped now");
    assert_eq!(driver.run_all(), [1, 4, 5]);
    assert_eq!(driver.engine.position(id), Some(6));
}

#[test]
fn a_timer_without_an_end_is_never_due() {
    let mut driver = by_key();
    let id = driver.assign(0);
    driver.engine.pause(id, Some(Instant::NEVER));
    assert_eq!(driver.engine.deadline(), None);
}
