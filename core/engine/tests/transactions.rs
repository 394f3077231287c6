//! Offsets that go with transactions: when they go, what they say, and what counts when.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::single_range_in_vec_init, missing_docs)]

use crate::common::{Driver, message};
use karafka_engine::{
    AssignmentId, EngineOptions, Extent, GivenUp, Instant, Job, OffsetMetadata, Outcome, TransactionEnd, TransactionId,
    TransactionOffsets, VirtualPartitions, metadata,
};
use std::time::Duration;

type Message = crate::common::Message;

fn driver() -> (Driver, AssignmentId) {
    let mut driver = Driver::new(|options| {
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.max_messages = 10;
    });
    let id = driver.assign(0);
    (driver, id)
}

/// The job wants to commit all of its messages.
fn ask(driver: &mut Driver, job: &Job<Message>) -> Option<TransactionId> {
    let marks: Vec<_> = job.groups.iter().map(|group| (group.start + group.len - 1, Extent::Prefix)).collect();
    let asked = driver.engine.commit_in_transaction(driver.now, job.id, &marks, Vec::new(), false);
    driver.wait(Duration::ZERO);
    asked.map(|(_, transaction)| transaction)
}

fn end(driver: &mut Driver, offsets: &TransactionOffsets, committed: bool) {
    ends(driver, offsets, if committed { TransactionEnd::Committed } else { TransactionEnd::Aborted });
}

fn ends(driver: &mut Driver, offsets: &TransactionOffsets, end: TransactionEnd) {
    driver.engine.transaction_ended(driver.now, &[(offsets.assignment, offsets.transactions[0])], end);
    driver.wait(Duration::ZERO);
}

fn said(offsets: &TransactionOffsets) -> (i64, Vec<std::ops::Range<i64>>) {
    (offsets.position, metadata::decode(offsets.position, &offsets.metadata).done.runs().to_vec())
}

#[test]
fn transactions_of_one_partition_commit_one_after_the_other_each_with_the_whole_state() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b"), message(2, "c")]);
    let jobs = driver.jobs();
    assert_eq!(jobs.len(), 3);
    ask(&mut driver, &jobs[2]).unwrap();
    ask(&mut driver, &jobs[1]).unwrap();
    assert_eq!(driver.offsets.len(), 1, "the second one waits for its turn");
    let first = driver.offsets[0].clone();
    assert_eq!(said(&first), (0, vec![2..3]));
    assert_eq!(driver.engine.position(id), Some(0));
    end(&mut driver, &first, true);
    let second = driver.offsets[1].clone();
    assert_eq!(said(&second), (0, vec![1..3]));
    end(&mut driver, &second, true);
    ask(&mut driver, &jobs[0]).unwrap();
    let third = driver.offsets[2].clone();
    assert_eq!(said(&third), (3, vec![]));
    end(&mut driver, &third, true);
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    driver.wait(Duration::from_secs(60));
    assert_eq!((driver.engine.position(id), driver.commits.len()), (Some(3), 0), "the group knows all of it");
}

#[test]
fn what_an_aborted_transaction_marked_comes_again() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    ask(&mut driver, &job).unwrap();
    let offsets = driver.offsets[0].clone();
    assert_eq!(said(&offsets), (2, vec![]));
    end(&mut driver, &offsets, false);
    driver.complete(job, Outcome::FAILED);
    driver.wait(Duration::from_secs(60));
    assert!(driver.commits.iter().all(|commit| commit.position == 0));
    assert_eq!(driver.run_all(), [0, 1]);
}

#[test]
fn no_other_commit_goes_out_while_a_transaction_commits() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    let other = jobs.pop().unwrap();
    driver.complete(other, Outcome::Done);
    let covering = driver.engine.commit_now(driver.now, id);
    driver.wait(Duration::from_secs(60));
    assert!(covering.is_some() && driver.commits.is_empty());
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    let commit = driver.confirm();
    assert_eq!((commit.position, Some(commit.id)), (2, covering), "then what changed meanwhile");
    driver.complete(jobs.pop().unwrap(), Outcome::Done);
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.commits.len(), 1);
}

#[test]
fn a_commit_on_its_way_is_awaited_first() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    driver.complete(jobs.remove(0), Outcome::Done);
    driver.wait(Duration::from_secs(60));
    ask(&mut driver, &jobs[0]).unwrap();
    assert_eq!((driver.commits.len(), driver.offsets.len()), (1, 0));
    driver.confirm();
    assert_eq!(said(&driver.offsets[0]), (2, vec![]));
}

#[test]
fn a_partition_is_not_given_up_before_its_transaction_has_ended() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    ask(&mut driver, &jobs[1]).unwrap();
    driver.revoke(id, Duration::from_secs(2));
    driver.wait(Duration::from_secs(2));
    assert_eq!(driver.refused.len(), 1, "whose turn had not come when the deadline passed");
    assert!(driver.released.is_empty() && driver.commits.is_empty());
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    assert_eq!((driver.released.len(), driver.commits.len()), (1, 0));
    for job in jobs {
        driver.complete(job, Outcome::FAILED);
    }
}

#[test]
fn what_commits_while_its_call_fails_does_not_come_again() {
    for committed in [true, false] {
        let (mut driver, id) = driver();
        driver.deliver(id, [message(0, "a"), message(1, "a")]);
        let job = driver.next().unwrap();
        ask(&mut driver, &job).unwrap();
        let offsets = driver.offsets[0].clone();
        driver.complete(job, Outcome::FAILED);
        driver.wait(Duration::from_secs(60));
        assert!(driver.next().is_none(), "nobody knows yet what is done");
        end(&mut driver, &offsets, committed);
        driver.wait(Duration::from_secs(60));
        assert_eq!(driver.run_all(), if committed { vec![] } else { vec![0, 1] });
        driver.wait(Duration::from_secs(60));
        assert_eq!(driver.engine.position(id), Some(2));
    }
}

#[test]
fn a_call_that_fails_before_the_turn_of_its_transaction_comes_again_without_it() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    ask(&mut driver, &jobs[1]).unwrap();
    driver.complete(jobs.remove(1), Outcome::FAILED);
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    assert_eq!((driver.offsets.len(), driver.refused.len()), (1, 1));
    driver.complete(jobs.remove(0), Outcome::Done);
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.run_all(), [1]);
}

#[test]
fn a_call_that_fails_while_it_commits_ends_though_its_partition_is_lost() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    ask(&mut driver, &job).unwrap();
    let offsets = driver.offsets[0].clone();
    driver.complete(job, Outcome::FAILED);
    driver.lose(id);
    let next = driver.assign(0);
    driver.deliver(next, [message(0, "a")]);
    assert!(driver.next().is_none(), "the earlier call may still commit");
    end(&mut driver, &offsets, false);
    assert_eq!(driver.run_all(), [0]);
}

#[test]
fn nothing_is_committed_for_a_partition_that_is_lost_or_a_job_that_has_ended() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    let ended = jobs.remove(0);
    let name = ended.id;
    driver.complete(ended, Outcome::Done);
    assert_eq!(driver.engine.commit_in_transaction(driver.now, name, &[(0, Extent::Message)], Vec::new(), false), None);
    assert_eq!(
        driver.engine.commit_in_transaction(driver.now, jobs[0].id, &[(7, Extent::Message)], Vec::new(), false),
        None
    );
    driver.lose(id);
    assert_eq!(ask(&mut driver, &jobs[0]), None);
    driver.complete(jobs.remove(0), Outcome::FAILED);
}

#[test]
fn nothing_is_committed_for_a_job_of_before_a_seek() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    ask(&mut driver, &jobs[1]).unwrap();
    driver.engine.seek(driver.now, id, 5);
    driver.wait(Duration::ZERO);
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    assert_eq!((driver.offsets.len(), driver.refused.len()), (1, 1));
    assert_eq!(ask(&mut driver, &jobs[0]), None);
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.confirm().position, 5, "where the partition was moved to");
    for job in jobs.drain(..) {
        driver.complete(job, Outcome::FAILED);
    }
}

#[test]
fn a_transaction_that_gives_up_before_its_turn_leaves_the_queue() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    let second = ask(&mut driver, &jobs[1]).unwrap();
    driver.engine.transaction_ended(Instant::START, &[(id, second)], TransactionEnd::Aborted);
    let first = driver.offsets[0].clone();
    end(&mut driver, &first, true);
    assert_eq!((driver.offsets.len(), driver.refused.len()), (1, 0));
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
}

#[test]
fn a_text_is_stored_with_the_message_that_a_transaction_marks() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    let texts = vec![(0, "one".to_owned())];
    driver.engine.commit_in_transaction(driver.now, jobs[0].id, &[(0, Extent::Prefix)], texts.clone(), false).unwrap();
    driver.wait(Duration::ZERO);
    let aborted = driver.offsets[0].clone();
    let stored = |offsets: &TransactionOffsets| metadata::decode(offsets.position, &offsets.metadata).user;
    assert_eq!(stored(&aborted).as_deref(), Some("one"));
    end(&mut driver, &aborted, false);
    assert_eq!(driver.engine.offset_metadata(id), None, "nothing of what was aborted");
    driver.engine.commit_in_transaction(driver.now, jobs[0].id, &[(0, Extent::Prefix)], texts, false).unwrap();
    driver.wait(Duration::ZERO);
    let committed = driver.offsets[1].clone();
    end(&mut driver, &committed, true);
    assert_eq!(driver.engine.offset_metadata(id), Some("one"));
    ask(&mut driver, &jobs[1]).unwrap();
    assert_eq!(stored(&driver.offsets[2]).as_deref(), Some("one"), "kept by the next one");
    for job in jobs.drain(..) {
        driver.complete(job, Outcome::FAILED);
    }
}

/// A driver with a letter on its way, of offset 1, and what runs beside it.
fn with_letter() -> (Driver, AssignmentId, Job<Message>) {
    let mut driver = Driver::new(|options| {
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.max_retries = Some(0);
        options.given_up = GivenUp::Dispatched { wait: true };
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let mut jobs = driver.jobs();
    driver.complete(jobs.pop().unwrap(), Outcome::FAILED);
    assert_eq!(driver.letters.len(), 1);
    (driver, id, jobs.pop().unwrap())
}

#[test]
fn the_copy_of_a_message_that_was_given_up_goes_with_its_offset() {
    let (mut driver, id, job) = with_letter();
    let letter = driver.letters[0].id;
    driver.engine.letter_in_transaction(driver.now, id, letter).unwrap();
    driver.wait(Duration::ZERO);
    let aborted = driver.offsets[0].clone();
    assert_eq!(said(&aborted), (0, vec![1..2]));
    end(&mut driver, &aborted, false);
    driver.answer_letter(false);
    assert_eq!(
        driver.engine.letter_in_transaction(driver.now, id, letter),
        None,
        "it is here, until its back-off is over"
    );
    driver.wait(Duration::from_secs(60));
    let commit = driver.confirm();
    assert_eq!((commit.position, commit.metadata.as_str()), (0, ""), "nothing of what was aborted");
    driver.engine.letter_in_transaction(driver.now, id, letter).unwrap();
    driver.wait(Duration::ZERO);
    let committed = driver.offsets[1].clone();
    end(&mut driver, &committed, true);
    assert_eq!(driver.answer_letter(true), Some((1, 1)));
    driver.complete(job, Outcome::Done);
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.confirm().position, 2);
    assert_eq!(driver.engine.letter_in_transaction(driver.now, id, letter), None, "it has gone");
}

#[test]
fn a_letter_is_not_committed_for_a_partition_that_is_lost_or_was_moved() {
    let (mut driver, id, job) = with_letter();
    let letter = driver.letters[0].id;
    ask(&mut driver, &job).unwrap();
    driver.engine.letter_in_transaction(driver.now, id, letter).unwrap();
    driver.engine.seek(driver.now, id, 5);
    let first = driver.offsets[0].clone();
    end(&mut driver, &first, false);
    assert_eq!((driver.offsets.len(), driver.refused.len()), (1, 1));
    assert_eq!(driver.engine.letter_in_transaction(driver.now, id, letter), None);
    driver.answer_letter(false);
    driver.complete(job, Outcome::FAILED);
    let (mut driver, id, job) = with_letter();
    let letter = driver.letters[0].id;
    driver.lose(id);
    assert_eq!(driver.engine.letter_in_transaction(driver.now, id, letter), None);
    driver.answer_letter(true);
    driver.complete(job, Outcome::FAILED);
}

#[test]
fn where_the_marks_do_not_fit_the_group_cannot_tell_what_was_committed() {
    let options = EngineOptions { metadata_limit: 10, ..EngineOptions::default() };
    let mut driver = Driver::with(options, |topic| topic.virtual_partitions = VirtualPartitions::ByKey);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b"), message(2, "c")]);
    let jobs = driver.jobs();
    for (turn, job, position, is_distinct) in [(0, &jobs[1], 0, false), (1, &jobs[0], 2, true), (2, &jobs[2], 3, true)]
    {
        ask(&mut driver, job).unwrap();
        let offsets = driver.offsets[turn].clone();
        assert_eq!((offsets.position, offsets.is_distinct), (position, is_distinct));
        assert_eq!(offsets.metadata, "");
        end(&mut driver, &offsets, true);
    }
}

#[test]
fn a_transaction_that_marks_nothing_new_cannot_be_told_from_what_was_committed_before() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let jobs = driver.jobs();
    ask(&mut driver, &jobs[1]).unwrap();
    let first = driver.offsets[0].clone();
    assert!(first.is_distinct, "its marks say so");
    end(&mut driver, &first, true);
    ask(&mut driver, &jobs[1]).unwrap();
    let second = driver.offsets[1].clone();
    assert_eq!((second.position, &second.metadata, second.is_distinct), (0, &first.metadata, false));
}

#[test]
fn who_waits_for_a_commit_beside_a_transaction_that_says_all_gets_one() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let jobs = driver.jobs();
    driver.mark(&jobs[0], 0, Extent::Message);
    ask(&mut driver, &jobs[1]).unwrap();
    let promised = driver.engine.commit_now(driver.now, id).expect("what was marked is not committed yet");
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    let commit = driver.confirm();
    assert_eq!((commit.position, commit.id >= promised), (2, true), "nobody else answers who waits");
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.commits.len(), 1, "the group knows all of it");
}

#[test]
fn a_text_of_before_a_seek_is_not_stored_behind_it() {
    let mut driver = Driver::new(|options| options.offset_metadata = OffsetMetadata::Exact);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    let texts = vec![(1, "one".to_owned())];
    driver.engine.commit_in_transaction(driver.now, job.id, &[(1, Extent::Prefix)], texts, false).unwrap();
    driver.wait(Duration::ZERO);
    driver.engine.seek(driver.now, id, 0);
    let offsets = driver.offsets[0].clone();
    end(&mut driver, &offsets, true);
    assert_eq!(driver.engine.offset_metadata(id), None, "it is of a message that comes again");
    driver.complete(job, Outcome::Done);
    driver.wait(Duration::from_secs(60));
    assert_eq!((driver.confirm().position, driver.engine.offset_metadata(id)), (0, None));
}

#[test]
fn until_the_group_knows_of_a_seek_it_cannot_tell_what_was_committed() {
    let (mut driver, id) = driver();
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.confirm().position, 1);
    driver.engine.seek(driver.now, id, 0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let jobs = driver.jobs();
    ask(&mut driver, &jobs[0]).unwrap();
    let first = driver.offsets[0].clone();
    assert_eq!((first.position, first.is_distinct), (1, false), "the group may have this offset since before the seek");
    end(&mut driver, &first, false);
    driver.wait(Duration::from_secs(60));
    assert_eq!(driver.confirm().position, 0);
    ask(&mut driver, &jobs[0]).unwrap();
    let second = driver.offsets[1].clone();
    assert_eq!((second.position, second.is_distinct), (1, true));
    end(&mut driver, &second, true);
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
}

#[test]
fn offsets_whose_text_is_too_large_for_the_brokers_go_again_with_less() {
    let (mut driver, id) = driver();
    driver.deliver(id, (0..8).map(|offset| message(offset, &offset.to_string())));
    let jobs = driver.jobs();
    ask(&mut driver, &jobs[2]).unwrap();
    let first = driver.offsets[0].clone();
    assert_eq!(said(&first), (0, vec![2..3]));
    ends(&mut driver, &first, TransactionEnd::MetadataTooLarge);
    ask(&mut driver, &jobs[2]).unwrap();
    let second = driver.offsets[1].clone();
    assert!(second.metadata.len() <= first.metadata.len() / 2, "{:?}", second.metadata);
    end(&mut driver, &second, true);
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
}
