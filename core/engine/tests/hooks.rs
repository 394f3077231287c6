//! Calls without messages: the farewell of consumers, and the end of a partition.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, Message, SEATS, message};
use karafka_engine::{
    Extent, FilterAnswer, Hooks, Job, JobKind, Notice, Outcome, Start, TopicOptions, VirtualPartitions,
};

const SECOND: Duration = Duration::from_secs(1);
const ALL: Hooks = Hooks { revoked: true, shutdown: true, eofed: true };

fn driver(mode: VirtualPartitions) -> Driver {
    Driver::new(|topic| {
        topic.virtual_partitions = mode;
        topic.hooks = ALL;
    })
}

fn kinds(jobs: &[Job<Message>]) -> Vec<JobKind> {
    jobs.iter().map(|job| job.kind).collect()
}

/// The consumers that these calls are for.
fn consumers(jobs: &[Job<Message>]) -> Vec<Option<u64>> {
    jobs.iter().map(|job| job.groups.first().map(|group| group.virtual_partition)).collect()
}

#[test]
fn a_revocation_is_told_after_the_running_job_and_before_the_last_commit() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let job = driver.next().unwrap();
    driver.revoke(id, SECOND);
    assert!(driver.next().is_none(), "the handler still runs");
    driver.complete(job, Outcome::Done);
    assert!(driver.commits.is_empty(), "it may mark first");
    let told = driver.next().unwrap();
    assert_eq!((told.kind, told.facts.used, told.facts.beside), (JobKind::Revoked, true, false));
    assert!(told.messages.is_empty() && driver.next().is_none());
    driver.engine.mark_offset(id, 1);
    driver.complete(told, Outcome::Done);
    let last = driver.confirm();
    assert_eq!((last.last, last.position, &driver.released[..]), (true, 2, &[id][..]));
    assert!(driver.next().is_none(), "once");
}

#[test]
fn what_was_left_unmarked_is_marked_in_a_later_call_and_not_across_a_seek() {
    for mode in [VirtualPartitions::Off, VirtualPartitions::ByKey] {
        let mut driver = Driver::new(|topic| {
            topic.virtual_partitions = mode;
            topic.manual_offset_management = true;
            topic.hooks = ALL;
        });
        let id = driver.assign(0);
        driver.deliver(id, [message(0, "a"), message(1, "b"), message(2, "a"), message(3, "a")]);
        driver.run_all();
        driver.revoke(id, SECOND);
        let told = driver.next().unwrap();
        assert!(driver.engine.mark_late(id, told.era, 2, Extent::Prefix, None));
        assert!(driver.engine.mark_late(id, told.era, 9, Extent::Prefix, None), "owned, and nothing is there");
        driver.complete(told, Outcome::Done);
        let expected = if mode == VirtualPartitions::Off { 3 } else { 1 };
        assert_eq!(driver.confirm().position, expected, "{mode:?}: the prefix is that of its virtual partition");
        assert!(!driver.engine.mark_late(id, 0, 3, Extent::Prefix, None));
    }
    let mut driver = Driver::new(|topic| topic.manual_offset_management = true);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    let era = job.era;
    driver.complete(job, Outcome::Done);
    assert!(driver.engine.seek(driver.now, id, 0));
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    assert!(driver.engine.mark_late(id, era, 1, Extent::Prefix, None));
    assert_eq!(driver.engine.position(id), Some(0));
    assert!(driver.engine.mark_late(id, era + 1, 0, Extent::Message, Some("text".to_owned())));
    assert_eq!(driver.engine.position(id), Some(1));
}

#[test]
fn a_consumer_that_was_never_used_is_told_nothing() {
    let mut driver = driver(VirtualPartitions::Off);
    let (released, lost) = (driver.assign(0), driver.assign(1));
    driver.revoke(released, SECOND);
    driver.lose(lost);
    assert!(driver.next().is_none());
    assert_eq!(driver.released, [released]);
}

#[test]
fn a_lost_partition_is_told_after_its_running_job_and_its_next_ownership_waits_for_it() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    driver.lose(id);
    assert!(driver.engine.owes_farewell(id) && driver.next().is_none());
    let again = driver.assign(0);
    driver.deliver(again, [message(0, "a")]);
    driver.complete(job, Outcome::Done);
    let told = driver.jobs();
    assert_eq!((kinds(&told), told[0].assignment), (vec![JobKind::Revoked], id));
    driver.complete(told.into_iter().next().unwrap(), Outcome::Done);
    assert!(!driver.engine.owes_farewell(id) && driver.commits.is_empty());
    let next = driver.next().unwrap();
    assert_eq!((next.kind, next.assignment), (JobKind::Handle, again));
}

#[test]
fn a_partition_whose_deadline_passed_is_told_when_its_job_ends_at_last() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign_at(0, Start { offset: Some(0), metadata: None });
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    driver.revoke(id, SECOND);
    driver.wait(SECOND);
    assert_eq!(driver.released, [id]);
    assert!(driver.next().is_none());
    driver.complete(job, Outcome::FAILED);
    assert_eq!(kinds(&driver.jobs()), [JobKind::Revoked]);
}

#[test]
fn a_hook_that_does_not_end_blocks_the_rebalance_no_longer_than_its_deadline() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    driver.confirm_if_any();
    driver.revoke(id, SECOND);
    let told = driver.next().unwrap();
    driver.wait(SECOND);
    assert!(driver.notices.contains(&Notice::RevokeDeadlinePassed { assignment: id, running: 1 }));
    driver.confirm_if_any();
    assert_eq!(driver.released, [id]);
    driver.complete(told, Outcome::Done);
    assert!(driver.next().is_none());
}

#[test]
fn without_a_free_seat_the_farewell_waits_and_the_deadline_counts() {
    let mut driver = driver(VirtualPartitions::Off);
    let busy: Vec<_> = (1..=SEATS as i32)
        .map(|partition| {
            let id = driver.assign(partition);
            driver.deliver(id, [message(0, "a")]);
            driver.next().unwrap()
        })
        .collect();
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    let mut busy = busy.into_iter();
    driver.complete(busy.next().unwrap(), Outcome::Done);
    let own = driver.next().unwrap();
    let other = driver.assign(99);
    driver.deliver(other, [message(0, "a")]);
    driver.complete(own, Outcome::Done);
    let taken = driver.next().unwrap();
    driver.revoke(id, SECOND);
    assert!(driver.next().is_none() && driver.released.is_empty());
    driver.wait(SECOND);
    driver.confirm_if_any();
    assert_eq!(driver.released, [id]);
    driver.complete(taken, Outcome::Done);
    assert_eq!(kinds(&driver.jobs()), [JobKind::Revoked], "it runs all the same");
}

#[test]
fn a_long_running_consumer_is_told_at_once_and_holds_nothing_up() {
    let mut driver = Driver::new(|topic| {
        topic.hooks = ALL;
        topic.long_running_job = true;
    });
    let id = driver.assign_at(0, Start { offset: Some(0), metadata: None });
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let job = driver.next().unwrap();
    driver.revoke(id, SECOND);
    assert_eq!(driver.released, [id]);
    let told = driver.next().unwrap();
    assert_eq!((told.kind, told.facts.beside), (JobKind::Revoked, true));
    assert!(!driver.mark(&job, 0, Extent::Message));
    let again = driver.assign(0);
    driver.deliver(again, [message(0, "a")]);
    driver.complete(job, Outcome::Done);
    assert!(driver.next().is_none(), "the call about the end is awaited too");
    driver.complete(told, Outcome::Done);
    assert_eq!(kinds(&driver.jobs()), [JobKind::Handle]);
}

#[test]
fn at_a_shutdown_long_running_jobs_are_awaited_and_consumers_hear_of_it_alone() {
    let mut driver = Driver::new(|topic| {
        topic.hooks = ALL;
        topic.long_running_job = true;
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    driver.engine.shut_down();
    driver.revoke(id, SECOND);
    assert!(driver.released.is_empty() && driver.next().is_none());
    driver.complete(job, Outcome::Done);
    let told = driver.jobs();
    assert_eq!(kinds(&told), [JobKind::Shutdown]);
    driver.engine.resume_all();
    driver.complete(told.into_iter().next().unwrap(), Outcome::Done);
    driver.confirm();
    assert_eq!(driver.released, [id]);
}

#[test]
fn fixed_virtual_partitions_are_told_one_by_one_and_keys_together() {
    for (mode, expected) in [(VirtualPartitions::Fixed(4), 2), (VirtualPartitions::ByKey, 1)] {
        let mut driver = driver(mode);
        let id = driver.assign(0);
        // Under seed 0 these keys have two of four places.
        driver.deliver(id, [message(0, "N14228"), message(1, "N24211"), message(2, "order-1")]);
        driver.run_all();
        driver.confirm_if_any();
        driver.lose(id);
        let told = driver.jobs();
        assert_eq!(kinds(&told), vec![JobKind::Revoked; expected], "{mode:?}");
        let named = consumers(&told);
        assert!(named.iter().all(|name| name.is_some() == (expected == 2)), "{named:?}");
        assert!(expected == 1 || named[0] != named[1]);
    }
}

#[test]
fn a_failed_call_is_told_and_not_retried_and_one_that_was_put_back_comes_again() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    driver.run_all();
    driver.confirm_if_any();
    driver.revoke(id, SECOND);
    let told = driver.next().unwrap();
    driver.complete(told, Outcome::NotStarted);
    assert!(driver.released.is_empty());
    let told = driver.next().unwrap();
    let job = told.id;
    driver.complete(told, Outcome::FAILED);
    assert!(driver.notices.contains(&Notice::HookFailed { job, assignment: id, kind: JobKind::Revoked }));
    driver.confirm_if_any();
    assert_eq!(driver.released, [id]);
    assert!(driver.next().is_none());
}

#[test]
fn the_end_of_a_partition_is_told_alone_only_without_messages() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    driver.engine.reach_end(driver.now, id);
    let job = driver.next().unwrap();
    assert_eq!((job.kind, job.facts.at_end), (JobKind::Handle, true));
    driver.complete(job, Outcome::FAILED);
    driver.wait(SECOND);
    let job = driver.next().unwrap();
    assert!(job.facts.at_end, "also at the next attempt");
    driver.engine.reach_end(driver.now, id);
    assert!(driver.next().is_none(), "its consumer is in a call");
    driver.complete(job, Outcome::Done);
    let told = driver.next().unwrap();
    assert_eq!((told.kind, told.facts.at_end), (JobKind::Eofed, true));
    driver.deliver(id, [message(2, "a")]);
    assert!(driver.next().is_none(), "never beside it");
    driver.complete(told, Outcome::Done);
    let job = driver.next().unwrap();
    assert_eq!((job.kind, job.facts.at_end), (JobKind::Handle, false));
}

#[test]
fn the_end_is_not_told_where_another_message_came_first() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    driver.engine.reach_end(driver.now, id);
    driver.deliver(id, [message(1, "a")]);
    driver.complete(job, Outcome::Done);
    assert_eq!(kinds(&driver.jobs()), [JobKind::Handle]);
}

#[test]
fn the_end_waits_for_what_a_filter_is_asked_about_and_is_told_where_nothing_is_kept() {
    let mut driver = Driver::new(|topic| {
        topic.hooks = ALL;
        topic.filter = true;
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "b")]);
    let asked = driver.next().unwrap();
    driver.engine.reach_end(driver.now, id);
    assert!(driver.next().is_none(), "the filter decides whether a call tells it");
    driver.complete(asked, Outcome::Filtered(vec![FilterAnswer::Skip, FilterAnswer::Keep]));
    let job = driver.next().unwrap();
    assert_eq!((job.kind, job.facts.at_end), (JobKind::Handle, true));
    driver.complete(job, Outcome::Done);
    assert!(driver.next().is_none(), "it was told");
    driver.deliver(id, [message(2, "a")]);
    let asked = driver.next().unwrap();
    driver.engine.reach_end(driver.now, id);
    driver.complete(asked, Outcome::Filtered(vec![FilterAnswer::Skip]));
    assert_eq!(kinds(&driver.jobs()), [JobKind::Eofed]);
}

#[test]
fn the_end_is_told_where_the_last_messages_expire_while_they_wait() {
    for is_late in [false, true] {
        let mut driver = Driver::new(|topic| {
            topic.hooks = ALL;
            topic.expire_in = Some(SECOND);
        });
        driver.engine.observe_wall(driver.now, 1_700_000_000_000);
        let id = driver.assign(0);
        let young = |offset| Message { timestamp: Some(1_700_000_000_000), ..message(offset, "a") };
        driver.deliver(id, [young(0), young(1)]);
        if is_late {
            // What waits for a seat expires when a call is to take it.
            driver.engine.reach_end(driver.now, id);
        } else {
            driver.engine.pause(id, None);
            driver.engine.reach_end(driver.now, id);
            driver.wait(2 * SECOND);
            driver.engine.resume(id);
        }
        driver.now = driver.now + 2 * SECOND;
        driver.engine.observe_wall(driver.now, 1_700_000_002_000);
        driver.wait(Duration::ZERO);
        assert_eq!(kinds(&driver.jobs()), [JobKind::Eofed], "late {is_late}");
    }
}

#[test]
fn the_end_is_told_where_the_last_message_was_out_already_and_others_waited() {
    let mut driver = Driver::new(|topic| {
        topic.hooks = ALL;
        topic.max_messages = 1;
    });
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a"), message(1, "a")]);
    let job = driver.next().unwrap();
    driver.complete(job, Outcome::FAILED);
    driver.engine.reach_end(driver.now, id);
    driver.wait(SECOND);
    let ends = |job: &Job<Message>| (job.messages.last().map(|message| message.offset), job.facts.at_end);
    let first = driver.next().unwrap();
    assert_eq!(ends(&first), (Some(0), false));
    driver.complete(first, Outcome::Done);
    let second = driver.next().unwrap();
    assert_eq!(ends(&second), (Some(1), true));
    driver.complete(second, Outcome::Done);
    assert!(driver.next().is_none());
}

#[test]
fn an_end_before_any_message_is_not_told_once_there_is_one() {
    let mut driver = driver(VirtualPartitions::Off);
    let id = driver.assign(0);
    driver.engine.quiet();
    driver.engine.reach_end(driver.now, id);
    driver.deliver(id, [message(0, "a")]);
    driver.engine.resume_all();
    assert_eq!(kinds(&driver.jobs()), [JobKind::Handle]);
}

#[test]
fn a_topic_without_hooks_gives_up_as_before() {
    let mut driver = Driver::new(|_: &mut TopicOptions| {});
    let id = driver.assign(0);
    driver.deliver(id, [message(0, "a")]);
    let job = driver.next().unwrap();
    assert_eq!(job.facts, karafka_engine::Facts::default());
    driver.complete(job, Outcome::Done);
    driver.confirm_if_any();
    driver.engine.reach_end(driver.now, id);
    driver.revoke(id, SECOND);
    driver.confirm_if_any();
    assert_eq!(driver.released, [id]);
    assert!(driver.next().is_none());
}
