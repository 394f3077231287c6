//! The engine: takes events and the time, returns jobs and actions.
//!
//! Owned by one thread, the runtime's poller; a simulator drives it the same way. After each call the runtime takes the
//! actions by [`Engine::next_action`], offers work by [`Engine::next_job`], and calls [`Engine::tick`] no later than
//! [`Engine::deadline`]. Guarantees: a virtual partition runs in one job at a time and in order; a commit never passes a
//! message that is not done; an id that is stale, unknown or used twice changes nothing; no call blocks.

use std::collections::VecDeque;

use crate::action::{Action, Notice, Room, Start};
use crate::ahead;
use crate::assignment::{Assignment, AssignmentId, Assignments, Stage, TopicId};
use crate::budget::Budget;
use crate::chooser::Chooser;
use crate::clock::WallClock;
use crate::committer::Commits;
use crate::dispatch::MOST_TO_KEY;
use crate::hooks::Calls;
use crate::instant::Instant;
use crate::intake::Intake;
use crate::job::Jobs;
use crate::ledger::{Delivery, Ledger};
use crate::letters::Letters;
use crate::metadata;
use crate::options::{EngineOptions, Scheduling, TopicOptions, VirtualPartitions};
use crate::partitioner::Partitioner;
use crate::record::Record;
use crate::scheduler::{Counted, PoolId, Scheduler};
use crate::sharing::Line;
use crate::texts::Texts;
use crate::timers::{Timer, Timers};
use crate::transaction::CutShort;
use crate::unique::{Locks, Unique};
use crate::unmarked::Unmarked;
use crate::virtual_partition::{Index, Mailboxes, State};
use crate::waiting::Queued;

/// Most emptied message lists kept for the next jobs.
const SPARE_LISTS: usize = 1024;

/// Decides what happens to messages, from the moment they are fetched to the commit. See the module.
#[derive(Debug)]
pub struct Engine<M> {
    pub(crate) options: EngineOptions,
    pub(crate) topics: Vec<TopicOptions>,
    pub(crate) assignments: Assignments<M>,
    pub(crate) scheduler: Scheduler,
    pub(crate) chooser: Chooser,
    pub(crate) locks: Locks,
    pub(crate) jobs: Jobs,
    pub(crate) timers: Timers,
    pub(crate) calls: Calls,
    /// Of each topic, the transactions that wait for others to commit with.
    pub(crate) lines: Vec<Line>,
    /// Jobs that were completed while their transactions commit.
    pub(crate) cut_short: Vec<CutShort<M>>,
    pub(crate) next_commit: Option<Instant>,
    pub(crate) budget: Budget,
    pub(crate) actions: VecDeque<Action<M>>,
    pub(crate) dropped: Vec<M>,
    pub(crate) spare: Vec<Vec<M>>,
    pub(crate) quiet: bool,
    /// The latest `now`.
    pub(crate) clock: Instant,
    pub(crate) wall: WallClock,
    #[cfg(feature = "planted")]
    pub(crate) planted: crate::planted::Memory,
}

impl<M: Record> Engine<M> {
    /// An engine without topics.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            topics: Vec::new(),
            assignments: Assignments::new(),
            scheduler: Scheduler::new(
                options.scheduling,
                options.chooser || options.scheduling == Scheduling::LongestFirst,
            ),
            chooser: Chooser::default(),
            locks: Locks::default(),
            jobs: Jobs::default(),
            timers: Timers::default(),
            calls: Calls::default(),
            lines: Vec::new(),
            cut_short: Vec::new(),
            next_commit: None,
            budget: Budget::new(options.memory_budget_messages, options.memory_budget_bytes),
            actions: VecDeque::new(),
            dropped: Vec::new(),
            spare: Vec::new(),
            quiet: false,
            clock: Instant::START,
            wall: WallClock::default(),
            #[cfg(feature = "planted")]
            planted: crate::planted::Memory::of(options.planted),
        }
    }

    /// Adds a pool of `seats` that run jobs, and `lookahead` more jobs that may be handed out while all seats are busy,
    /// so that a worker finds its next job without waiting for the poller.
    pub fn add_pool(&mut self, seats: u32, lookahead: u32) -> PoolId {
        self.scheduler.add(seats, lookahead)
    }

    /// Changes the number of seats; jobs that are out stay out.
    pub fn resize_pool(&mut self, pool: PoolId, seats: u32) {
        self.scheduler.resize(pool, seats);
    }

    /// Adds a topic.
    pub fn add_topic(&mut self, options: TopicOptions) -> TopicId {
        self.scheduler.add_topic(options.pool, options.priority, options.max_concurrency);
        self.topics.push(options);
        self.lines.push(Line::default());
        TopicId((self.topics.len() - 1) as u32)
    }

    /// Begins an ownership of a partition. One that was not given up before is lost by this. Nothing is dispatched until
    /// the jobs of earlier ownerships have ended. A topic that was not added has no partitions: the id is stale at once.
    pub fn assign(&mut self, now: Instant, topic: TopicId, partition: i32, start: Start<'_>) -> AssignmentId {
        self.observe(now);
        let Some(&options) = self.topics.get(topic.0 as usize) else {
            return AssignmentId::default();
        };
        if let Some(previous) = self.assignments.owner(topic, partition) {
            self.lose(now, previous);
        }
        let committed = start.offset.filter(|offset| *offset >= 0);
        let decoded = committed.map(|offset| metadata::decode(offset, start.metadata.unwrap_or_default()));
        let decoded = decoded.unwrap_or_default();
        let ledger = Ledger::resume(committed, decoded.done);
        let old_jobs = self.assignments.old_jobs(topic, partition);
        let id = self.assignments.insert(Assignment {
            topic,
            partition,
            options,
            partitioner: Partitioner::new(Unique::first_route(&options), self.options.hash_seed),
            stage: Stage::Active,
            paused_until: None,
            waits_for_old_jobs: old_jobs > 0,
            era: 0,
            earlier_jobs: 0,
            commits: Commits::new(&ledger, Texts::new(options.offset_metadata, decoded.user)),
            consumers: options.consumers(now),
            ledger,
            mailboxes: Mailboxes::new(
                options.virtual_partitions == VirtualPartitions::Off,
                options.linger.is_zero(),
                ahead::depth(&options),
            ),
            policies: Intake::new(&options),
            intake: VecDeque::new(),
            arrivals: VecDeque::new(),
            asking_partitioner: false,
            unique: Unique::new(&options, self.options.hash_seed),
            unmarked: Unmarked::new(),
            letters: Letters::new(),
            running_jobs: 0,
            job_ended: now,
            held_messages: 0,
            held_bytes: 0,
            enlisted: false,
            counted: Counted::default(),
        });
        self.scheduler.joined(topic);
        #[cfg(feature = "planted")]
        if let Some(assignment) = self.assignments.get_mut(id) {
            assignment.commits.planted.chosen = self.planted.chosen;
            assignment.paused_until = self.planted.pause(topic, partition);
        }
        self.arm_ticks(id);
        if let Some(problem) = decoded.problem {
            self.notice(Notice::MetadataIgnored { assignment: id, problem });
        }
        if old_jobs > 0 {
            self.notice(Notice::WaitingForOldJobs { assignment: id, running: old_jobs });
        }
        id
    }

    /// How much may be read from a partition now: as much as keeps the seats busy, within the window and the budgets, which
    /// are divided over the partitions that are assigned now. Nothing while it is paused or given up, or the engine is
    /// quiet.
    pub fn room(&self, id: AssignmentId) -> Room {
        let Some(assignment) = self.assignments.get(id) else {
            return Room::default();
        };
        if self.quiet || assignment.stage != Stage::Active || assignment.paused_until.is_some() {
            return Room::default();
        }
        let options = &assignment.options;
        let window = u64::from(options.window).saturating_sub(assignment.ledger.window()).min(self.wanted(assignment));
        let partitions = self.assignments.present();
        let (held, held_bytes) = (assignment.held_messages, assignment.held_bytes);
        self.budget.room(held, held_bytes, options.partition_budget_bytes, partitions, window)
    }

    /// How much of a partition the handlers can use soon.
    fn wanted(&self, assignment: &Assignment<M>) -> u64 {
        let (options, mean_bytes) = (&assignment.options, self.budget.mean_bytes());
        if assignment.policies.as_ref().is_some_and(|intake| intake.is_full(mean_bytes)) {
            return 0;
        }
        let demand = self.scheduler.demand(assignment.topic);
        match options.virtual_partitions {
            // One question to the user's code is enough ahead of it.
            _ if assignment.intake.len() >= MOST_TO_KEY => 0,
            VirtualPartitions::Off => demand.of_one(options, assignment.queued(), mean_bytes),
            _ => demand.of_many(options, assignment.useful(), assignment.place(self.clock), mean_bytes),
        }
    }

    /// Takes fetched messages, in offset order. What was done in an earlier life or delivered before is dropped, and so
    /// is everything when the id is stale. Returns how many bytes the others have, by [`Record::bytes`], which is asked once
    /// a message.
    pub fn deliver(&mut self, now: Instant, id: AssignmentId, messages: impl IntoIterator<Item = M>) -> u64 {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.stage == Stage::Active) else {
            self.dropped.extend(messages);
            return 0;
        };
        assignment.note_arrival(now);
        let (mut taken, mut taken_bytes) = (0, 0);
        let wall = self.wall.at(now);
        for message in messages {
            let offset = message.offset();
            #[cfg(feature = "planted")]
            if self.planted.is(crate::Planted::GapTakenAsMissing) {
                assignment.ledger.deliver(offset - 1);
            }
            let sequence = match assignment.ledger.deliver(offset) {
                Delivery::New(sequence) => sequence,
                Delivery::AlreadyDone | Delivery::Duplicate => {
                    self.dropped.push(message);
                    continue;
                }
                Delivery::Refused => {
                    self.dropped.push(message);
                    let notice = Notice::OffsetRefused { assignment: id, offset };
                    self.actions.push_back(Action::Notice(notice));
                    continue;
                }
            };
            #[cfg(feature = "planted")]
            if self.planted.is(crate::Planted::CommitAtDelivery) {
                assignment.ledger.mark(sequence);
            }
            #[cfg(feature = "planted")]
            if self.planted.hides(assignment, offset) {
                self.dropped.push(message);
                continue;
            }
            if let Some(segment) = assignment.options.segment
                && !segment.holds(&message)
            {
                assignment.ledger.mark(sequence);
                self.dropped.push(message);
                continue;
            }
            let bytes = message.bytes();
            taken += 1;
            taken_bytes += u64::from(bytes);
            let queued = Queued { message, sequence, bytes };
            if let Some(intake) = &mut assignment.policies {
                intake.take(now, wall, queued);
            } else {
                assignment.enter(&mut self.timers, now, id, queued);
            }
        }
        if taken > 0 {
            assignment.go_on_from_end();
        }
        assignment.held_messages += taken;
        assignment.held_bytes += taken_bytes;
        self.budget.take(taken, taken_bytes);
        self.enlist(id);
        self.schedule_commit(id);
        taken_bytes
    }

    /// Stops handing out new jobs and reading; what runs goes on and is committed.
    pub fn quiet(&mut self) {
        self.quiet = true;
    }

    /// Ends [`Engine::quiet`].
    pub fn resume_all(&mut self) {
        self.quiet = self.calls.is_stopping;
        self.arm_all_ticks();
    }

    /// Does what is due: back-offs, lingers and pauses that end, commits, deadlines.
    pub fn tick(&mut self, now: Instant) {
        self.observe(now);
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::VirtualPartition(id, index) => self.waited(now, id, index),
                Timer::Pause(id) => {
                    let assignment = self.assignments.get(id);
                    if assignment.and_then(|found| found.paused_until).is_some_and(|until| until <= now) {
                        self.resume(id);
                    }
                }
                Timer::Life(id) => self.advance_life(now, id),
                Timer::Letter(id) => self.send_letters(now, id),
                Timer::Intake(id) => self.enlist(id),
                Timer::Periodic(id) => self.ticks_due(now, id),
                Timer::Sharing(topic) => self.share(topic),
            }
        }
        self.commit_if_due(now);
        self.chooser_if_due(now);
    }

    /// The next moment at which [`Engine::tick`] has something to do; `None` when nothing is due ever.
    pub fn deadline(&self) -> Option<Instant> {
        [self.timers.next(), self.next_commit, self.chooser.deadline(self.clock)].into_iter().flatten().min()
    }

    /// The next thing the runtime has to do.
    pub fn next_action(&mut self) -> Option<Action<M>> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if self.dropped.is_empty() {
            return None;
        }
        let emptied = self.spare.pop().unwrap_or_default();
        Some(Action::Dropped(std::mem::replace(&mut self.dropped, emptied)))
    }

    /// Takes an emptied list of messages, whose memory serves a later job. Messages still in it are dropped here.
    pub fn recycle(&mut self, mut list: Vec<M>) {
        if self.spare.len() < SPARE_LISTS && list.capacity() > 0 {
            list.clear();
            self.spare.push(list);
        }
    }

    pub(crate) fn observe(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }

    /// Sees to it that an assignment that could give a job gets its turn, and tells the pool what it has.
    pub(crate) fn enlist(&mut self, id: AssignmentId) {
        if self.assignments.get(id).is_some_and(|assignment| assignment.policies.is_some()) {
            self.admit(id);
        }
        self.review_values(id);
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let counted = assignment.count();
        let can = counted.useful.jobs > 0 || assignment.can_give_job();
        let before = std::mem::replace(&mut assignment.counted, counted);
        self.scheduler.recount(assignment.topic, before, counted);
        if can && !assignment.enlisted {
            assignment.enlisted = true;
            let messages = counted.ready_messages.min(u64::from(assignment.options.max_messages));
            self.scheduler.enlist(assignment.topic, id, self.clock, messages);
        }
    }

    /// A virtual partition's timer is due: it becomes ready if it still waits for it.
    fn waited(&mut self, now: Instant, id: AssignmentId, index: Index) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let due = assignment.mailboxes.due(index).is_some_and(|due| due <= now);
        if due && matches!(assignment.mailboxes.state(index), Some(State::Lingering | State::BackingOff)) {
            assignment.mailboxes.set_ready(index);
            self.enlist(id);
        }
    }
}

impl<M> Assignment<M> {
    /// Decides whether a virtual partition that is in no job and in no back-off is ready or waits for more messages.
    pub(crate) fn gather(&mut self, timers: &mut Timers, now: Instant, id: AssignmentId, index: Index) {
        // What was in a call before has waited for company already.
        let returned = self.mailboxes.troubles.of(index).returned > 0;
        if returned || self.mailboxes.length(index) >= self.options.max_messages {
            self.mailboxes.set_ready(index);
        } else if self.mailboxes.state(index) == Some(State::Idle) {
            let due = self.mailboxes.first(index).map_or(now, |first| self.arrival(first)) + self.options.linger;
            if due <= now {
                self.mailboxes.set_ready(index);
            } else {
                self.mailboxes.set_waiting(index, State::Lingering, due);
                timers.set(due, Timer::VirtualPartition(id, index));
            }
        }
    }

    /// Remembers when the next messages arrive, if anybody will ask.
    fn note_arrival(&mut self, now: Instant) {
        if self.options.linger.is_zero() {
            return;
        }
        let seqs = self.ledger.seqs();
        while self.arrivals.get(1).is_some_and(|&(first, _)| first <= seqs.start) {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((seqs.end, now));
    }

    /// When the message of this sequence arrived; of one that the position has passed, some time before.
    fn arrival(&self, sequence: u64) -> Instant {
        let behind = self.arrivals.partition_point(|&(first, _)| first <= sequence);
        behind.checked_sub(1).and_then(|at| self.arrivals.get(at)).map_or(Instant::START, |&(_, arrived)| arrived)
    }
}
