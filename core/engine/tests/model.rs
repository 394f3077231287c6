//! The engine against a naive model that keeps everything in plain collections and decides by looking at all of it:
//! random deliveries, jobs, marks, failures, waits, pauses, losses and re-assignments.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::common::{Driver, Message, SEATS, message, offsets};
use karafka_engine::{AssignmentId, Backoff, Extent, Instant, Job, JobId, Outcome, Start, VirtualPartitions};
use proptest::prelude::*;

const PARTITIONS: usize = 3;
const WINDOW: usize = 12;
const MOST: usize = 3;
const RETRY: Backoff =
    Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(50), factor: 2.0, jitter: 0.0 };

#[derive(Clone, Debug)]
enum Step {
    /// Messages with these keys; an offset is left out before those of key 0.
    Deliver(usize, Vec<u8>),
    Next,
    Complete(usize, Ending),
    Mark(usize, usize, Extent),
    Wait(u64),
    Pause(usize),
    Resume(usize),
    Reassign(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    Failed,
    NotStarted,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    let extent = prop_oneof![Just(Extent::Message), Just(Extent::Prefix)];
    let ending = prop_oneof![
        4 => Just(Ending::Done),
        3 => Just(Ending::Failed),
        1 => Just(Ending::NotStarted),
    ];
    prop_oneof![
        4 => (partition.clone(), prop::collection::vec(0_u8..4, 1..5)).prop_map(|(at, keys)| Step::Deliver(at, keys)),
        8 => Just(Step::Next),
        6 => (0..8_usize, ending).prop_map(|(job, ending)| Step::Complete(job, ending)),
        4 => (0..8_usize, 0..MOST, extent).prop_map(|(job, index, extent)| Step::Mark(job, index, extent)),
        3 => (0..40_u64).prop_map(Step::Wait),
        1 => partition.clone().prop_map(Step::Pause),
        2 => partition.clone().prop_map(Step::Resume),
        1 => partition.prop_map(Step::Reassign),
    ]
}

#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<i64>,
    running: bool,
    backs_off_until: Option<Instant>,
    /// How often each message failed.
    failures: BTreeMap<i64, u32>,
    /// How many at the front were in a job before.
    returned: usize,
    /// What that was before the running job.
    returned_before: usize,
}

#[derive(Default)]
struct Partition {
    id: AssignmentId,
    delivered: Vec<i64>,
    done: BTreeSet<i64>,
    mailboxes: BTreeMap<u8, Mailbox>,
    /// Handled by a job that was not marked, under manual offset management.
    unmarked: BTreeMap<u8, BTreeSet<i64>>,
    paused: bool,
    job_ended: Instant,
}

impl Partition {
    fn position(&self) -> Option<i64> {
        let done = self.delivered.iter().take_while(|offset| self.done.contains(offset));
        done.last().map(|last| last + 1).or_else(|| self.delivered.first().copied())
    }

    fn window(&self) -> usize {
        self.delivered.iter().filter(|offset| Some(**offset) >= self.position()).count()
    }

    fn ready(&self, now: Instant) -> impl Iterator<Item = u8> + '_ {
        let ready = move |mailbox: &Mailbox| {
            !mailbox.running && !mailbox.waiting.is_empty() && mailbox.backs_off_until.is_none_or(|until| until <= now)
        };
        self.mailboxes.iter().filter(move |(_, mailbox)| ready(mailbox)).map(|(&key, _)| key)
    }
}

struct Out {
    job: Job<Message>,
    owner: AssignmentId,
    partition: usize,
}

struct Model {
    driver: Driver,
    partitions: Vec<Partition>,
    out: Vec<Out>,
    manual: bool,
    per_job: usize,
    completed: Option<JobId>,
}

fn key_of(message: &Message) -> u8 {
    message.key.as_ref().unwrap()[0]
}

impl Model {
    fn new(manual: bool, per_job: usize) -> Self {
        let mut driver = Driver::new(|topic| {
            topic.virtual_partitions = VirtualPartitions::ByKey;
            topic.virtual_partitions_per_job = per_job as u32;
            topic.max_messages = MOST as u32;
            topic.manual_offset_management = manual;
            topic.retry = RETRY;
            topic.window = WINDOW as u32;
        });
        let assign = |partition| Partition { id: driver.assign(partition as i32), ..Partition::default() };
        let partitions = (0..PARTITIONS).map(assign).collect();
        Self { driver, partitions, out: Vec::new(), manual, per_job, completed: None }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Deliver(partition, keys) => self.deliver(partition, &keys),
            Step::Next => self.next()?,
            Step::Complete(..) | Step::Mark(..) if self.out.is_empty() => {}
            Step::Complete(job, ending) => self.complete(job % self.out.len(), ending),
            Step::Mark(job, index, extent) => self.mark(job % self.out.len(), index, extent)?,
            Step::Wait(milliseconds) => self.driver.wait(Duration::from_millis(milliseconds)),
            Step::Pause(partition) => {
                self.driver.engine.pause(self.partitions[partition].id, None);
                self.partitions[partition].paused = true;
            }
            Step::Resume(partition) => {
                self.driver.engine.resume(self.partitions[partition].id);
                self.partitions[partition].paused = false;
            }
            Step::Reassign(partition) => self.reassign(partition),
        }
        self.compare()
    }

    fn deliver(&mut self, at: usize, keys: &[u8]) {
        let partition = &mut self.partitions[at];
        let room = self.driver.engine.room(partition.id).messages as usize;
        let mut messages = Vec::new();
        let mut next = partition.delivered.last().map_or(0, |last| last + 1);
        for &key in keys.iter().take(room) {
            next += i64::from(key == 0);
            messages.push(message(next, std::str::from_utf8(&[key]).unwrap()));
            partition.delivered.push(next);
            partition.mailboxes.entry(key).or_default().waiting.push_back(next);
            next += 1;
        }
        self.driver.deliver(partition.id, messages);
    }

    fn next(&mut self) -> Result<(), TestCaseError> {
        let now = self.driver.now;
        let Some(job) = self.driver.next() else {
            let full = self.out.len() >= SEATS as usize;
            for (at, partition) in self.partitions.iter().enumerate().filter(|_| !full) {
                let held_back = partition.paused || self.old_jobs(at);
                let ready: Vec<u8> = partition.ready(now).collect();
                prop_assert!(held_back || ready.is_empty(), "partition {at} has {ready:?} and a free seat");
            }
            return Ok(());
        };
        let at = job.partition as usize;
        prop_assert!(self.out.len() < SEATS as usize && !self.old_jobs(at) && !self.partitions[at].paused);
        prop_assert_eq!(job.assignment, self.partitions[at].id);
        prop_assert!(!job.groups.is_empty() && job.groups.len() <= self.per_job && job.messages.len() <= MOST);
        let mut end = 0;
        for (number, group) in job.groups.iter().enumerate() {
            prop_assert_eq!(group.start, end);
            end += group.len;
            let messages = &job.messages[group.start as usize..end as usize];
            let key = key_of(&messages[0]);
            let ready = self.partitions[at].ready(now).any(|ready| ready == key);
            let mailbox = self.partitions[at].mailboxes.get_mut(&key).unwrap();
            prop_assert!(ready, "key {} is not ready", key);
            let room = MOST - group.start as usize;
            let expected: Vec<i64> = mailbox.waiting.drain(..mailbox.waiting.len().min(room)).collect();
            prop_assert_eq!(offsets(messages), &expected[..]);
            prop_assert!(mailbox.returned == 0 || job.groups.len() == 1, "a failed one is retried alone");
            let attempt = |offset: &i64| mailbox.failures.get(offset).copied().unwrap_or(0) + 1;
            for (index, offset) in expected.iter().enumerate() {
                let said = job.attempts.get(group.start as usize + index).copied().unwrap_or(1);
                prop_assert_eq!(said, attempt(offset));
            }
            if number == 0 {
                prop_assert_eq!(job.attempt, attempt(&expected[0]));
            }
            mailbox.returned_before = mailbox.returned;
            mailbox.returned = mailbox.returned.saturating_sub(expected.len());
            mailbox.running = true;
            mailbox.backs_off_until = None;
        }
        prop_assert_eq!(end as usize, job.messages.len());
        self.out.push(Out { owner: job.assignment, partition: at, job });
        Ok(())
    }

    fn old_jobs(&self, at: usize) -> bool {
        self.out.iter().any(|out| out.partition == at && out.owner != self.partitions[at].id)
    }

    fn mark(&mut self, at: usize, index: usize, extent: Extent) -> Result<(), TestCaseError> {
        let Out { job, owner, partition } = &self.out[at];
        let partition = &mut self.partitions[*partition];
        let expected = index < job.messages.len() && *owner == partition.id;
        prop_assert_eq!(self.driver.engine.mark(job.id, index as u32, extent), expected);
        if !expected {
            return Ok(());
        }
        let marked = &job.messages[index];
        partition.done.insert(marked.offset);
        if extent == Extent::Prefix {
            let same = |message: &&Message| message.key == marked.key && message.offset < marked.offset;
            partition.done.extend(job.messages.iter().filter(same).map(|message| message.offset));
            let earlier = partition.unmarked.entry(key_of(marked)).or_default();
            let later = earlier.split_off(&marked.offset);
            partition.done.append(earlier);
            *earlier = later;
        }
        Ok(())
    }

    fn complete(&mut self, at: usize, ending: Ending) {
        let Out { job, owner, partition } = self.out.remove(at);
        let (now, id) = (self.driver.now, job.id);
        let partition = &mut self.partitions[partition];
        if owner == partition.id {
            partition.job_ended = now;
            for message in job.messages.iter().filter(|_| ending == Ending::Done) {
                if self.manual {
                    partition.unmarked.entry(key_of(message)).or_default().insert(message.offset);
                } else {
                    partition.done.insert(message.offset);
                }
            }
            for group in &job.groups {
                let messages = &job.messages[group.start as usize..(group.start + group.len) as usize];
                let mailbox = partition.mailboxes.get_mut(&key_of(&messages[0])).unwrap();
                mailbox.running = false;
                let back: Vec<i64> =
                    offsets(messages).into_iter().filter(|offset| !partition.done.contains(offset)).collect();
                mailbox.failures.retain(|offset, _| !partition.done.contains(offset));
                if ending == Ending::Done || back.is_empty() {
                    continue;
                }
                if ending == Ending::Failed {
                    for &offset in &back {
                        *mailbox.failures.entry(offset).or_default() += 1;
                    }
                    mailbox.backs_off_until = Some(now + RETRY.delay(mailbox.failures[&back[0]], 0));
                }
                if ending == Ending::Failed || mailbox.returned_before > 0 {
                    mailbox.returned += back.len();
                }
                back.iter().rev().for_each(|&offset| mailbox.waiting.push_front(offset));
            }
        }
        let outcome = match ending {
            Ending::Done => Outcome::Done,
            Ending::Failed => Outcome::FAILED,
            Ending::NotStarted => Outcome::NotStarted,
        };
        self.driver.complete(job, outcome);
        // An answer given twice is none.
        if let Some(earlier) = self.completed.replace(id) {
            self.driver.engine.complete(now, earlier, Outcome::FAILED, Vec::new());
        }
    }

    /// How many messages of a partition would be of use: three for each seat, and as many again for the next jobs, divided
    /// over the partitions. What waits behind a running job counts only when each seat has one to come.
    fn wanted(&self, at: usize) -> usize {
        let now = self.driver.now;
        let useful = |mailbox: &Mailbox| mailbox.waiting.len().min(MOST);
        let ready = |partition: &Partition| -> usize {
            partition.ready(now).map(|key| useful(&partition.mailboxes[&key])).sum()
        };
        let running = |partition: &Partition| -> usize {
            partition.mailboxes.values().filter(|mailbox| mailbox.running).map(useful).sum()
        };
        let run: Vec<&Partition> = (0..PARTITIONS)
            .filter(|at| !self.partitions[*at].paused && !self.old_jobs(*at))
            .map(|at| &self.partitions[at])
            .collect();
        let all_ready: usize = run.iter().map(|partition| ready(partition)).sum();
        let all_running: usize = run.iter().map(|partition| running(partition)).sum();
        let jobs: usize = run.iter().map(|partition| partition.ready(now).count()).sum();
        let (seats, own) = (SEATS as usize, &self.partitions[at]);
        let full = seats * MOST;
        let share = 2 * full / PARTITIONS;
        let (missing, has) = if self.out.len() + jobs < seats {
            (((seats - self.out.len()) * MOST + full).saturating_sub(all_ready), ready(own))
        } else {
            ((2 * full).saturating_sub(all_ready + all_running), ready(own) + running(own))
        };
        let lent = if self.old_jobs(at) {
            0
        } else {
            (missing.saturating_sub(has) / 2).max(share.saturating_sub(has)).min(missing)
        };
        let has_jobs = self.out.iter().any(|out| out.owner == own.id);
        let stuck = !self.old_jobs(at) && has_jobs && now.since(own.job_ended) >= Duration::from_millis(100);
        let served = if stuck { ready(own) } else { ready(own) + running(own) };
        match lent.max(share.min(MOST).saturating_sub(served)) {
            0 => 0,
            wanted => wanted.max(share.div_ceil(2)),
        }
    }

    fn reassign(&mut self, at: usize) {
        let position = self.partitions[at].position();
        self.driver.lose(self.partitions[at].id);
        let start = Start { offset: position, metadata: None };
        let id = self.driver.assign_at(at as i32, start);
        let before = position.map(|position| position - 1);
        // The model has no start: it stands behind a record that is done.
        let delivered: Vec<i64> = before.into_iter().collect();
        let done = delivered.iter().copied().collect();
        self.partitions[at] = Partition { id, delivered, done, job_ended: self.driver.now, ..Partition::default() };
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let engine = &self.driver.engine;
        prop_assert_eq!(engine.check(), Ok(()));
        prop_assert_eq!(engine.stalls(self.driver.now), []);
        let mut waiting = 0;
        for (at, partition) in self.partitions.iter().enumerate() {
            let queued: usize = partition.mailboxes.values().map(|mailbox| mailbox.waiting.len()).sum();
            let running = self.out.iter().filter(|out| out.owner == partition.id).count();
            waiting += queued;
            prop_assert_eq!(engine.position(partition.id), partition.position(), "partition {}", at);
            prop_assert_eq!(engine.queued(partition.id), queued as u64);
            prop_assert_eq!(engine.running(partition.id), running as u32);
            let room = if partition.paused { 0 } else { self.wanted(at).min(WINDOW - partition.window()) };
            prop_assert_eq!(engine.room(partition.id).messages, room as u32);
        }
        let running: usize = self.out.iter().map(|out| out.job.messages.len()).sum();
        let totals = engine.totals();
        prop_assert_eq!(totals.held_messages, (waiting + running) as u64);
        prop_assert_eq!(totals.held_bytes, 10 * totals.held_messages);
        prop_assert_eq!(totals.running_jobs, self.out.len() as u32);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_the_naive_model_does(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 40 } else { 120 }), manual: bool, per_job in prop::sample::select(vec![1_usize, 2, 50])
    ) {
        let mut model = Model::new(manual, per_job);
        for step in steps {
            model.take(step)?;
        }
    }

    /// However uneven the backlogs, partitions that have work get jobs in turn.
    #[test]
    fn no_partition_gets_two_jobs_while_another_waits(
        backlogs in prop::collection::vec(1_usize..if cfg!(miri) { 15 } else { 60 }, 2..8), hold in 1_usize..4
    ) {
        let mut driver = Driver::new(|topic| {
            topic.virtual_partitions = VirtualPartitions::ByKey;
            topic.max_messages = 2;
        });
        let mut left = backlogs.clone();
        for (partition, &backlog) in backlogs.iter().enumerate() {
            let id = driver.assign(partition as i32);
            driver.deliver(id, (0..backlog as i64).map(|offset| message(offset, &offset.to_string())));
        }
        let mut turns = vec![0_usize; backlogs.len()];
        let mut running = VecDeque::new();
        while let Some(job) = driver.next() {
            let at = job.partition as usize;
            let fewest = (0..left.len()).filter(|&other| left[other] > 0).map(|other| turns[other]).min();
            prop_assert!(Some(turns[at]) == fewest, "partition {} had {} turns, another {:?}", at, turns[at], fewest);
            turns[at] += 1;
            left[at] -= job.messages.len();
            running.push_back(job);
            if running.len() >= hold {
                driver.complete(running.pop_front().unwrap(), Outcome::Done);
            }
        }
        prop_assert!(left.iter().all(|&left| left == 0));
    }
}
