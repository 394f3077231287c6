//! Transactions of several jobs that commit together: when they do, for whom they wait, and who stays alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::single_range_in_vec_init, missing_docs)]

use crate::common::{Driver, message};
use karafka_engine::{
    AssignmentId, Extent, Job, Outcome, Sharing, TransactionEnd, TransactionId, VirtualPartitions, metadata,
};
use std::time::Duration;

type Message = crate::common::Message;

const LONGEST: Duration = Duration::from_millis(50);

/// Two partitions with two messages of keys of their own each, and their four jobs.
fn running(max_messages: u32) -> (Driver, [AssignmentId; 2], Vec<Job<Message>>) {
    let mut driver = Driver::new(|options| {
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.sharing = Some(Sharing { max_messages, longest: LONGEST });
    });
    let ids = [driver.assign(0), driver.assign(1)];
    for id in ids {
        driver.deliver(id, [message(0, "a"), message(1, "b")]);
    }
    let mut jobs = driver.jobs();
    jobs.sort_by_key(|job| (job.partition, job.messages[0].offset));
    (driver, ids, jobs)
}

fn ask(driver: &mut Driver, job: &Job<Message>, alone: bool) -> TransactionId {
    let marks = [(0, Extent::Prefix)];
    let asked = driver.engine.commit_in_transaction(driver.now, job.id, &marks, Vec::new(), alone);
    driver.wait(Duration::ZERO);
    asked.unwrap().1
}

/// Ends what went first, all parts at once.
fn end(driver: &mut Driver, committed: bool) {
    ends(driver, if committed { TransactionEnd::Committed } else { TransactionEnd::Aborted });
}

fn ends(driver: &mut Driver, end: TransactionEnd) {
    let count = driver.together.remove(0);
    let parts: Vec<_> = driver.offsets.drain(..count).collect();
    let names: Vec<_> = parts.iter().map(|part| (part.assignment, part.transactions[0])).collect();
    driver.engine.transaction_ended(driver.now, &names, end);
    driver.wait(Duration::ZERO);
}

#[test]
fn once_all_who_run_have_asked_they_commit_as_one_each_partition_with_its_whole_state() {
    let (mut driver, ids, jobs) = running(100);
    for job in &jobs[1..] {
        ask(&mut driver, job, false);
        assert_eq!(driver.together, [0_usize; 0], "one still runs");
    }
    ask(&mut driver, &jobs[0], false);
    assert_eq!(driver.together, [2]);
    for (part, id) in driver.offsets.iter().zip([ids[0], ids[1]].map(Some)) {
        let id = id.unwrap();
        let part = if part.assignment == id { part } else { &driver.offsets[1] };
        assert_eq!((part.position, part.transactions.len()), (2, 2));
    }
    end(&mut driver, true);
    assert_eq!(ids.map(|id| driver.engine.position(id)), [Some(2); 2]);
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    driver.wait(Duration::from_secs(60));
    assert!(driver.commits.is_empty(), "the group knows all of it");
}

#[test]
fn a_job_that_fails_or_asks_for_nothing_is_not_waited_for() {
    let (mut driver, _, mut jobs) = running(100);
    ask(&mut driver, &jobs[0], false);
    ask(&mut driver, &jobs[1], false);
    driver.complete(jobs.pop().unwrap(), Outcome::FAILED);
    assert!(driver.together.is_empty());
    let last = jobs.pop().unwrap();
    driver.complete(last, Outcome::Done);
    assert_eq!((driver.together.len(), driver.offsets.len()), (1, 1), "of one partition");
    let part = &driver.offsets[0];
    assert_eq!((part.position, part.transactions.len()), (2, 2));
}

#[test]
fn nobody_waits_longer_than_that_and_no_commit_has_more_messages() {
    let (mut driver, _, jobs) = running(100);
    ask(&mut driver, &jobs[0], false);
    driver.wait(LONGEST / 2);
    ask(&mut driver, &jobs[1], false);
    assert!(driver.together.is_empty());
    driver.wait(LONGEST / 2);
    assert_eq!((driver.together.as_slice(), driver.offsets[0].transactions.len()), ([1].as_slice(), 2));
    ask(&mut driver, &jobs[2], false);
    assert_eq!(driver.together.len(), 1, "another one runs");
    driver.complete(jobs.into_iter().next_back().unwrap(), Outcome::Done);
    assert_eq!(driver.together.len(), 1, "those whose commit is under way may be back in time");
    driver.wait(LONGEST);
    assert_eq!(driver.together.len(), 2, "another partition need not wait for the first one's end");

    let (mut driver, _, jobs) = running(2);
    ask(&mut driver, &jobs[0], false);
    ask(&mut driver, &jobs[2], false);
    assert_eq!(driver.together, [2], "as many as may be");
    ask(&mut driver, &jobs[1], false);
    ask(&mut driver, &jobs[3], false);
    driver.wait(LONGEST);
    assert_eq!(driver.together, [2], "the commits of a partition follow each other");
    end(&mut driver, true);
    assert_eq!(driver.together, [2]);
}

#[test]
fn those_who_took_turns_meet() {
    let (mut driver, ids, jobs) = running(100);
    let mut jobs = jobs.into_iter();
    let (first, second) = (jobs.next().unwrap(), jobs.next().unwrap());
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    driver.deliver(ids[1], [message(2, "a")]);
    let third = driver.jobs().remove(0);
    ask(&mut driver, &first, false);
    ask(&mut driver, &second, false);
    driver.wait(LONGEST);
    assert_eq!(driver.together, [1]);
    ask(&mut driver, &third, false);
    end(&mut driver, true);
    driver.complete(first, Outcome::Done);
    assert!(driver.together.is_empty(), "the other one may be back");
    driver.complete(second, Outcome::Done);
    assert_eq!(driver.together, [1], "nobody is left");
    end(&mut driver, true);
    assert_eq!(driver.engine.position(ids[1]), Some(3));
}

#[test]
fn what_was_aborted_may_come_again_alone() {
    let (mut driver, ids, jobs) = running(100);
    for job in &jobs {
        ask(&mut driver, job, false);
    }
    end(&mut driver, false);
    for job in &jobs {
        ask(&mut driver, job, true);
    }
    assert_eq!(driver.together, [1, 1], "one of each partition, none with company");
    assert!(driver.offsets.iter().all(|part| part.transactions.len() == 1 && part.position == 1));
    end(&mut driver, true);
    end(&mut driver, false);
    assert_eq!(driver.together, [1, 1], "then the next ones");
    let done = |part: &karafka_engine::TransactionOffsets| {
        (part.position, metadata::decode(part.position, &part.metadata).done.runs().to_vec())
    };
    let mut said: Vec<_> = driver.offsets.iter().map(done).collect();
    said.sort_by_key(|(position, _)| *position);
    assert_eq!(said, [(0, vec![1..2]), (2, vec![])], "where the first one was aborted, and where it was not");
    end(&mut driver, true);
    end(&mut driver, true);
    assert_eq!(ids.map(|id| driver.engine.position(id)).iter().flatten().sum::<i64>(), 2);
}

#[test]
fn a_partition_that_goes_waits_for_no_company_and_a_lost_one_is_left_out() {
    let (mut driver, ids, jobs) = running(100);
    ask(&mut driver, &jobs[0], false);
    ask(&mut driver, &jobs[2], false);
    driver.lose(ids[1]);
    assert!(driver.together.is_empty());
    driver.revoke(ids[0], Duration::from_secs(5));
    assert_eq!(driver.together, [1]);
    assert_eq!(driver.offsets[0].assignment, ids[0]);
    end(&mut driver, true);
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    assert_eq!(driver.confirm().position, 2);
    assert_eq!(driver.released, [ids[0]]);
}

#[test]
fn one_that_gives_up_before_its_turn_is_not_waited_for() {
    let (mut driver, ids, jobs) = running(100);
    let first = ask(&mut driver, &jobs[0], false);
    driver.engine.transaction_ended(driver.now, &[(ids[0], first)], TransactionEnd::Aborted);
    driver.wait(LONGEST);
    assert!(driver.together.is_empty());
    for job in &jobs[1..] {
        ask(&mut driver, job, false);
    }
    assert!(driver.together.is_empty(), "it may ask again");
    driver.complete(jobs.into_iter().next().unwrap(), Outcome::FAILED);
    assert_eq!(driver.together, [2]);
}

#[test]
fn of_texts_that_are_too_large_together_the_longest_gives_way() {
    let (mut driver, ids, jobs) = running(100);
    let [_, second, other_first, other_second] = &jobs[..] else { panic!("{} jobs", jobs.len()) };
    // One part has a mark beyond its offset, the other none.
    for job in [second, other_first] {
        ask(&mut driver, job, false);
    }
    driver.wait(LONGEST);
    let sent = |driver: &Driver, id| driver.offsets.iter().find(|part| part.assignment == id).unwrap().metadata.len();
    assert!(sent(&driver, ids[0]) > 0 && sent(&driver, ids[1]) == 0);
    ends(&mut driver, TransactionEnd::MetadataTooLarge);
    for job in [second, other_second] {
        ask(&mut driver, job, false);
    }
    driver.wait(LONGEST);
    assert_eq!(sent(&driver, ids[0]), 0, "there was no room for it");
    assert!(sent(&driver, ids[1]) > 0, "the mark that it has now");
}
