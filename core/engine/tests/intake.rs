//! Intake policies: what is delayed, expired, throttled and filtered, and that nothing of it is lost, early or stuck.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, Message, keyless, message, offsets};
use karafka_engine::{
    AssignmentId, Backoff, FilterAnswer, Instant, Job, JobKind, Notice, Outcome, Start, Throttle, TopicOptions,
    VirtualPartitions,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// What the wall clock says at the start of every test.
const WALL: i64 = 1_700_000_000_000;

/// A driver with a wall clock, and one partition.
struct World {
    driver: Driver,
    id: AssignmentId,
    /// How far the wall clock was set ahead.
    jump: i64,
}

impl World {
    fn new(configure: impl FnOnce(&mut TopicOptions)) -> Self {
        let mut driver = Driver::new(configure);
        driver.engine.observe_wall(driver.now, WALL);
        let id = driver.assign_at(0, Start { offset: Some(0), metadata: None });
        Self { driver, id, jump: 0 }
    }

    fn wall(&self) -> i64 {
        WALL + self.jump + self.driver.now.since(Instant::START).as_millis() as i64
    }

    fn wait(&mut self, time: Duration) {
        self.driver.now = self.driver.now + time;
        self.driver.engine.observe_wall(self.driver.now, self.wall());
        self.driver.wait(Duration::ZERO);
    }

    fn deliver(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.driver.deliver(self.id, messages);
    }

    /// Messages with these offsets that are so many milliseconds old.
    fn aged(&self, offsets: std::ops::Range<i64>, age: i64) -> Vec<Message> {
        let timestamp = Some(self.wall() - age);
        offsets.map(|offset| Message { timestamp, ..message(offset, "a") }).collect()
    }

    /// Handles all there is and says which, telling when each call begins.
    fn handle(&mut self) -> Vec<i64> {
        let mut handled = Vec::new();
        while let Some(job) = self.driver.next() {
            assert_eq!(job.kind, JobKind::Handle);
            self.start(&job);
            handled.extend(offsets(&job.messages));
            self.driver.complete(job, Outcome::Done);
        }
        handled
    }

    fn start(&mut self, job: &Job<Message>) {
        if job.tell_start {
            self.driver.engine.started(self.driver.now, job.id, self.driver.now);
        }
    }

    /// Answers the filter's job.
    fn filter(&mut self, keep: impl Fn(i64) -> FilterAnswer) -> Vec<i64> {
        let job = self.driver.next().expect("a question");
        assert_eq!(job.kind, JobKind::Filter);
        let asked = offsets(&job.messages);
        let verdicts = asked.iter().map(|offset| keep(*offset)).collect();
        self.driver.complete(job, Outcome::Filtered(verdicts));
        asked
    }

    fn position(&self) -> Option<i64> {
        self.driver.engine.position(self.id)
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.driver.notices)
    }
}

fn delayed(options: &mut TopicOptions) {
    options.delay_by = 10 * SECOND;
}

fn throttled(limit: u32) -> impl FnOnce(&mut TopicOptions) {
    move |options| options.throttle = Some(Throttle { limit, interval: SECOND })
}

#[test]
fn a_delayed_message_waits_without_a_seat_and_not_a_moment_longer_than_the_step() {
    let mut world = World::new(delayed);
    let messages = world.aged(0..3, 4_000);
    world.deliver(messages);
    assert_eq!(world.handle(), [0_i64; 0]);
    assert_eq!(world.driver.engine.jobs_out(world.driver.pool), 0);
    world.wait(Duration::from_millis(5_999));
    assert_eq!(world.handle(), [0_i64; 0]);
    let due = world.driver.engine.deadline().unwrap();
    assert!(due.since(world.driver.now) <= 5 * MILLISECOND, "{due:?}");
    world.wait(due.since(world.driver.now));
    assert_eq!(world.handle(), [0, 1, 2]);
}

#[test]
fn a_message_that_waits_holds_those_behind_it_and_no_other_partition() {
    let mut world = World::new(delayed);
    let young = world.aged(0..1, 0);
    let old = world.aged(1..3, 60_000);
    world.deliver(young.into_iter().chain(old.clone()));
    assert_eq!(world.handle(), [0_i64; 0]);
    let other = world.driver.assign(1);
    world.driver.deliver(other, old);
    assert_eq!(world.handle(), [1, 2]);
    world.wait(10 * SECOND);
    assert_eq!(world.handle(), [0, 1, 2]);
}

#[test]
fn what_has_no_usable_timestamp_waits_the_delay_from_when_it_was_read() {
    let mut world = World::new(delayed);
    let wrong = Message { timestamp: Some(i64::MAX), ..keyless(1) };
    world.deliver([keyless(0), wrong]);
    world.wait(Duration::from_millis(9_999));
    assert_eq!(world.handle(), [0_i64; 0]);
    world.wait(5 * MILLISECOND);
    assert_eq!(world.handle(), [0, 1]);
    assert!(matches!(world.notices()[..], [Notice::TimestampsAhead { messages: 1, .. }]));
}

#[test]
fn the_wall_clock_may_leap_while_messages_wait() {
    let mut world = World::new(delayed);
    let messages = world.aged(0..1, 0);
    world.deliver(messages);
    world.jump = 3_600_000;
    world.wait(SECOND);
    assert_eq!(world.handle(), [0_i64; 0], "set ahead");
    world.jump = -30_000;
    world.wait(10 * SECOND);
    assert_eq!(world.handle(), [0_i64; 0], "set back");
    world.wait(30 * SECOND);
    assert_eq!(world.handle(), [0]);
}

#[test]
fn a_delayed_partition_reads_on_only_a_little() {
    let mut world = World::new(|options| {
        delayed(options);
        options.virtual_partitions = VirtualPartitions::ByKey;
    });
    let mut next = 0;
    while let room @ 1.. = i64::from(world.driver.engine.room(world.id).messages) {
        let messages = world.aged(next..next + room.min(100), 0);
        next += room.min(100);
        world.deliver(messages);
    }
    assert!((1_000..1_200).contains(&next), "{next}");
    world.wait(11 * SECOND);
    assert_eq!(world.handle().len() as i64, next);
    assert!(world.driver.engine.room(world.id).messages > 0);
}

#[test]
fn what_is_too_old_is_done_without_being_handled_whenever_it_is_noticed() {
    let mut world = World::new(|options| options.expire_in = Some(10 * SECOND));
    let (old, young) = (world.aged(0..2, 11_000), world.aged(2..3, 9_000));
    world.deliver(old.into_iter().chain(young));
    assert_eq!(world.position(), Some(2));
    assert_eq!(world.driver.dropped, [0, 1]);
    world.wait(SECOND);
    assert_eq!(world.driver.confirm().position, 2);
    world.wait(SECOND);
    assert_eq!(world.handle(), [0_i64; 0], "it expired while it waited for a seat");
    assert_eq!((world.position(), world.driver.engine.totals().held_messages), (Some(3), 0));
    world.wait(SECOND);
    let told: Vec<u64> = world.notices().iter().filter_map(expired).collect();
    assert_eq!((told.iter().sum::<u64>(), told.len()), (3, 2));
    assert_eq!(world.driver.commits.last().map(|commit| commit.position), Some(3));
}

fn expired(notice: &Notice) -> Option<u64> {
    if let Notice::Expired { messages, .. } = notice { Some(*messages) } else { None }
}

#[test]
fn a_message_that_expires_in_its_back_off_is_not_tried_again() {
    let mut world = World::new(|options| {
        options.expire_in = Some(10 * SECOND);
        options.retry = Backoff { first: 20 * SECOND, longest: 20 * SECOND, factor: 1.0, ..Backoff::default() };
    });
    let messages = world.aged(0..2, 0);
    world.deliver(messages);
    let job = world.driver.next().unwrap();
    world.driver.complete(job, Outcome::FAILED);
    let young = Message { timestamp: Some(world.wall() + 20_000), ..message(2, "a") };
    world.deliver([young]);
    world.wait(20 * SECOND);
    let job = world.driver.next().unwrap();
    assert_eq!((offsets(&job.messages), job.attempt), (vec![2], 1));
    world.driver.complete(job, Outcome::Done);
    assert_eq!(world.position(), Some(3));
}

#[test]
fn what_has_no_timestamp_or_no_clock_does_not_expire() {
    let mut world = World::new(|options| options.expire_in = Some(SECOND));
    world.deliver([keyless(0)]);
    world.wait(60 * SECOND);
    assert_eq!(world.handle(), [0]);
    let mut driver = Driver::new(|options| options.expire_in = Some(SECOND));
    let id = driver.assign(0);
    driver.deliver(id, [Message { timestamp: Some(1), ..keyless(0) }]);
    assert_eq!(driver.run_all(), [0]);
}

#[test]
fn a_delayed_message_that_expires_meanwhile_is_dropped_before_the_filter_sees_it() {
    let mut world = World::new(|options| {
        delayed(options);
        options.expire_in = Some(12 * SECOND);
        options.filter = true;
    });
    let messages = world.aged(0..2, 0);
    world.deliver(messages);
    world.driver.engine.pause(world.id, None);
    world.driver.now = world.driver.now + 13 * SECOND;
    world.wait(Duration::ZERO);
    world.driver.engine.resume(world.id);
    assert!(world.driver.next().is_none());
    assert_eq!(world.position(), Some(2));
}

#[test]
fn a_throttle_gives_no_more_than_the_limit_in_any_window() {
    let mut world = World::new(throttled(3));
    world.deliver((0..8).map(keyless));
    assert_eq!(world.handle(), [0, 1, 2]);
    world.wait(999 * MILLISECOND);
    assert_eq!(world.handle(), [0_i64; 0]);
    world.wait(MILLISECOND);
    assert_eq!(world.handle(), [3, 4, 5]);
    world.wait(300 * SECOND);
    assert_eq!(world.handle(), [6, 7], "what was not used is not saved up");
    let told = |notice: &Notice| matches!(notice, Notice::Throttled { messages: 5, .. });
    assert!(world.notices().iter().any(told));
}

#[test]
fn a_retried_message_counts_again_when_it_runs_again() {
    let mut world = World::new(|options| {
        throttled(2)(options);
        options.max_messages = 1;
        options.retry = Backoff { first: 100 * MILLISECOND, longest: SECOND, factor: 1.0, ..Backoff::default() };
    });
    world.deliver((0..3).map(keyless));
    let job = world.driver.next().unwrap();
    world.start(&job);
    world.driver.complete(job, Outcome::FAILED);
    world.wait(100 * MILLISECOND);
    assert_eq!(world.handle(), [0]);
    world.wait(899 * MILLISECOND);
    assert_eq!(world.handle(), [0_i64; 0]);
    world.wait(MILLISECOND);
    assert_eq!(world.handle(), [1]);
    world.wait(100 * MILLISECOND);
    assert_eq!(world.handle(), [2]);
}

#[test]
fn a_call_counts_from_when_it_begins_and_a_long_one_holds_no_place_longer() {
    let mut world = World::new(|options| {
        throttled(1)(options);
        options.virtual_partitions = VirtualPartitions::ByKey;
    });
    world.deliver((0..4).map(|offset| message(offset, &offset.to_string())));
    let first = world.driver.next().unwrap();
    assert!(first.tell_start && world.driver.next().is_none());
    world.wait(5 * SECOND);
    assert!(world.driver.next().is_none(), "it has not begun");
    world.start(&first);
    world.wait(999 * MILLISECOND);
    assert!(world.driver.next().is_none());
    world.wait(MILLISECOND);
    let second = world.driver.next().expect("the first one still runs");
    world.driver.complete(second, Outcome::NotStarted);
    let again = world.driver.next().expect("one that never began takes no place");
    assert_eq!(offsets(&again.messages), [1]);
    world.driver.complete(again, Outcome::Done);
    assert!(world.driver.next().is_none(), "nobody said when it began: it counts from its end");
    world.wait(SECOND);
    assert!(world.driver.next().is_some());
    world.driver.complete(first, Outcome::Done);
}

#[test]
fn failing_messages_of_a_throttled_partition_do_not_keep_the_others_from_their_places() {
    let mut world = World::new(|options| {
        throttled(2)(options);
        options.virtual_partitions = VirtualPartitions::ByKey;
        options.retry = Backoff { first: 3_600 * SECOND, longest: 3_600 * SECOND, factor: 1.0, ..Backoff::default() };
    });
    world.deliver((0..4).map(|offset| message(offset, &offset.to_string())));
    for _ in 0..2 {
        let job = world.driver.next().unwrap();
        world.start(&job);
        world.driver.complete(job, Outcome::FAILED);
    }
    world.wait(SECOND);
    assert_eq!(world.handle(), [2, 3]);
}

#[test]
fn a_new_ownership_begins_with_an_empty_window() {
    let mut world = World::new(throttled(2));
    world.deliver((0..4).map(keyless));
    assert_eq!(world.handle(), [0, 1]);
    world.driver.lose(world.id);
    world.id = world.driver.assign_at(0, Start { offset: Some(2), metadata: None });
    world.deliver((2..6).map(keyless));
    assert_eq!(world.handle(), [2, 3]);
}

#[test]
fn the_filter_decides_in_order_before_the_partitioner_and_what_it_skips_is_done() {
    let mut world = World::new(|options| {
        options.filter = true;
        options.virtual_partitions = VirtualPartitions::Callback;
    });
    world.deliver((0..6).map(keyless));
    let even = |offset: i64| if offset % 2 == 0 { FilterAnswer::Keep } else { FilterAnswer::Skip };
    assert_eq!(world.filter(even), [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.driver.dropped, [1, 3, 5]);
    let key = world.driver.next().unwrap();
    assert_eq!((key.kind, offsets(&key.messages)), (JobKind::Key, vec![0, 2, 4]));
    world.driver.complete(key, Outcome::Keyed(vec![7, 7, 7]));
    assert_eq!(world.handle(), [0, 2, 4]);
    assert_eq!(world.position(), Some(6));
    assert!(matches!(world.notices()[..], [Notice::Filtered { messages: 3, .. }]));
}

#[test]
fn a_filter_that_fails_keeps_the_message_and_says_so() {
    let mut world = World::new(|options| options.filter = true);
    world.deliver((0..3).map(keyless));
    world.filter(|offset| if offset == 1 { FilterAnswer::Failed } else { FilterAnswer::Skip });
    assert_eq!(world.handle(), [1]);
    let failed = |notice: &Notice| matches!(notice, Notice::FilterFailed { offset: Some(1), messages: 1, .. });
    assert!(world.notices().iter().any(failed));
    for (outcome, first) in [(Outcome::FAILED, 3), (Outcome::Filtered(Vec::new()), 5)] {
        world.deliver((first..first + 2).map(keyless));
        let job = world.driver.next().unwrap();
        world.driver.complete(job, outcome);
        assert_eq!(world.handle(), [first, first + 1]);
        let all = |notice: &Notice| matches!(notice, Notice::FilterFailed { messages: 2, .. });
        assert!(world.notices().iter().any(all));
    }
}

#[test]
fn a_question_put_back_is_asked_again_in_order() {
    let mut world = World::new(|options| options.filter = true);
    world.deliver((0..3).map(keyless));
    let job = world.driver.next().unwrap();
    world.deliver([keyless(3)]);
    assert!(world.driver.next().is_none(), "one question at a time");
    world.driver.complete(job, Outcome::NotStarted);
    assert_eq!(world.filter(|_| FilterAnswer::Keep), [0, 1, 2, 3]);
    assert_eq!(world.handle(), [0, 1, 2, 3]);
}

#[test]
fn a_long_running_topic_whose_filter_skips_everything_goes_on() {
    for virtual_partitions in [VirtualPartitions::Off, VirtualPartitions::ByKey, VirtualPartitions::Callback] {
        for throttle in [None, Some(Throttle { limit: 2, interval: SECOND })] {
            let mut world = World::new(|options| {
                options.long_running_job = true;
                options.filter = true;
                options.throttle = throttle;
                options.virtual_partitions = virtual_partitions;
            });
            for round in 0..if cfg!(miri) { 4 } else { 20 } {
                world.deliver((round * 4..round * 4 + 4).map(keyless));
                while let Some(job) = world.driver.next() {
                    assert_eq!(job.kind, JobKind::Filter);
                    let verdicts = vec![FilterAnswer::Skip; job.messages.len()];
                    world.driver.complete(job, Outcome::Filtered(verdicts));
                }
                assert_eq!(world.position(), Some(round * 4 + 4));
                assert!(world.driver.engine.room(world.id).messages > 0);
            }
        }
    }
}

#[test]
fn what_waits_is_given_up_with_the_partition_and_its_counts_are_told() {
    let mut world = World::new(|options| {
        delayed(options);
        options.expire_in = Some(60 * SECOND);
        options.filter = true;
    });
    let (old, ready, young) = (world.aged(0..3, 70_000), world.aged(3..5, 20_000), world.aged(5..9, 0));
    world.deliver(old.into_iter().chain(ready).chain(young));
    world.notices();
    let more = world.aged(9..10, 70_000);
    world.deliver(more);
    let question = world.driver.next().unwrap();
    world.driver.revoke(world.id, 10 * SECOND);
    world.driver.complete(question, Outcome::Filtered(vec![FilterAnswer::Skip; 2]));
    assert_eq!(world.driver.engine.totals().held_messages, 0);
    let commit = world.driver.confirm();
    assert_eq!(commit.position, 3, "what the filter said came too late");
    assert_eq!(world.driver.released, [world.id]);
}

#[test]
fn all_policies_at_once_let_pass_what_may_in_order() {
    let mut world = World::new(|options| {
        delayed(options);
        options.expire_in = Some(60 * SECOND);
        options.filter = true;
        throttled(5)(options);
        options.virtual_partitions = VirtualPartitions::ByKey;
    });
    let messages = (world.aged(0..10, 65_000), world.aged(10..20, 15_000), world.aged(20..30, 5_000));
    world.deliver(messages.0.into_iter().chain(messages.1).chain(messages.2));
    let mut handled = Vec::new();
    for _ in 0..400 {
        let mut here = 0;
        while let Some(job) = world.driver.next() {
            if job.kind == JobKind::Filter {
                let keep =
                    |message: &Message| if message.offset % 5 == 0 { FilterAnswer::Skip } else { FilterAnswer::Keep };
                let verdicts = job.messages.iter().map(keep).collect();
                world.driver.complete(job, Outcome::Filtered(verdicts));
            } else {
                world.start(&job);
                here += job.messages.len();
                handled.extend(offsets(&job.messages));
                world.driver.complete(job, Outcome::Done);
            }
        }
        assert!(here <= 5);
        world.wait(100 * MILLISECOND);
    }
    let expected: Vec<i64> = (10..30).filter(|offset| offset % 5 != 0).collect();
    assert_eq!(handled, expected);
    assert_eq!((world.position(), world.driver.engine.jobs_out(world.driver.pool)), (Some(30), 0));
}
