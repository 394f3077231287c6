//! Calls of user code without messages: ticks, a partition's end, and the farewell of consumers whose ownership ends.
//!
//! Called by the engine on its one thread. What is due waits here, first come first served, and is handed out as a job of its
//! own kind on a seat of the topic's pool, in turn with jobs with messages; it counts among the running jobs of its
//! assignment and, but for farewells, among those that `max_concurrency` limits. Guarantees:
//!
//! - A tick or a partition's end never runs beside another call of its consumer. Its virtual partition counts as running
//!   meanwhile; where the partition is the consumer, nothing of the partition begins meanwhile.
//! - Each consumer that had a call with messages or a tick hears of the end of its ownership once: of a revocation, or of
//!   the shutdown once that began. Partitions given up in order call after the running jobs and before the last commit, so
//!   that what is marked there still counts. Partitions that are lost, or whose deadline passed, call all the same, after the
//!   running jobs; nothing marked counts any more, and the next ownership of the partition waits for it. Consumers of
//!   long-running topics are called at once, beside their running jobs, and nobody waits for it; at a shutdown they are
//!   awaited like all others.
//! - A call that fails is told in a notice. It is not retried and holds nothing up.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::action::{Action, Notice};
use crate::assignment::{Assignment, AssignmentId, Stage, TopicId};
use crate::consumer::{Consumer, Consumers, End, Given};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Facts, Group, Job, JobId, JobKind, Outcome, Part, RunningJob};
use crate::options::TopicOptions;
use crate::record::Record;
use crate::scheduler::PoolId;
use crate::virtual_partition::{Index, State};

/// Which calls without messages a topic's consumers want, beside ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The partition goes to another member of the group, or is lost.
    pub revoked: bool,
    /// The partition is given up because the process ends.
    pub shutdown: bool,
    /// The end of the partition was reached, and no message that would tell waits.
    pub eofed: bool,
}

/// A call that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    kind: JobKind,
    assignment: AssignmentId,
    topic: TopicId,
    partition: i32,
    pool: PoolId,
    consumer: u64,
    is_whole: bool,
    used: bool,
}

/// What the engine remembers of a call that is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    consumer: u64,
    pool: PoolId,
    is_whole: bool,
    used: bool,
    /// The virtual partition that counts as running meanwhile, and what it was.
    held: Option<(Index, State)>,
}

/// Farewells that wait for the jobs of an ownership that is over.
#[derive(Debug)]
struct Awaiting {
    running: u32,
    calls: Vec<Due>,
}

/// The calls that are due, or will be.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    due: VecDeque<Due>,
    awaiting: HashMap<AssignmentId, Awaiting>,
    /// Pools whose last job was a call without messages.
    given: BTreeSet<PoolId>,
    /// Whether partitions are given up because the process ends.
    pub(crate) is_stopping: bool,
}

impl Calls {
    /// A job with messages was handed out.
    pub(crate) fn gave_messages(&mut self, pool: PoolId) {
        if !self.given.is_empty() {
            self.given.remove(&pool);
        }
    }
}

impl JobKind {
    /// Whether it tells of the end of an ownership, which may be over already.
    pub fn is_farewell(self) -> bool {
        matches!(self, Self::Revoked | Self::Shutdown)
    }
}

impl TopicOptions {
    /// Whether its consumers have to be known one by one.
    fn has_hooks(&self) -> bool {
        let Hooks { revoked, shutdown, eofed } = self.hooks;
        revoked || shutdown || eofed || self.reports_end || self.periodic.is_some()
    }

    pub(crate) fn consumers(&self, now: Instant) -> Option<Box<Consumers>> {
        self.has_hooks().then(|| Box::new(Consumers::new(self.virtual_partitions, now)))
    }
}

impl<M: Record> Engine<M> {
    /// From now on the process ends: nothing but farewells is handed out, and consumers of partitions that are given up
    /// hear of a shutdown. There is no way back.
    pub fn shut_down(&mut self) {
        self.quiet = true;
        self.calls.is_stopping = true;
    }

    /// The end of a partition was reached, behind everything that was delivered. Where messages wait, the call with the last
    /// of them says so; where none of them comes to a call any more, its consumers are told, those in a call after it, unless
    /// another message comes first.
    pub fn reach_end(&mut self, now: Instant, id: AssignmentId) {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.stage == Stage::Active) else {
            return;
        };
        let end = End { beyond: assignment.ledger.seqs().end, untold: assignment.options.hooks.eofed };
        if let Some(consumers) = &mut assignment.consumers {
            consumers.end = Some(end);
            self.tell_end(id);
        }
    }

    /// Whether calls about the end of an ownership that is over are still due or out.
    pub fn owes_farewell(&self, id: AssignmentId) -> bool {
        self.calls.awaiting.contains_key(&id)
            || self.calls.due.iter().any(|due| due.assignment == id)
            || self.jobs.iter().any(|job| job.assignment == id && job.kind.is_farewell())
    }

    /// Makes the calls about the partition's end due that nothing stands in the way of: neither messages that wait or are
    /// asked about, nor a call of their consumer.
    fn tell_end(&mut self, id: AssignmentId) {
        let found = self.assignments.get_mut(id).filter(|assignment| !assignment.waits_for_others());
        let Some(assignment) = found else {
            return;
        };
        let decided = !assignment.is_undecided();
        let Some(consumers) = assignment.consumers.as_deref_mut() else {
            return;
        };
        if let Some(end) = consumers.end.as_mut().filter(|end| end.untold && decided) {
            end.untold = false;
            let names: Vec<u64> = consumers.present().map(|(name, _)| name).collect();
            for name in names {
                if let Some(consumer) = consumers.get_mut(name) {
                    consumer.end_due = true;
                }
            }
        }
        let told = |(_, consumer): &(u64, &Consumer)| consumer.end_due && consumer.is_idle();
        let names: Vec<u64> = consumers.present().filter(told).map(|(name, _)| name).collect();
        for name in names {
            let waits = |due: &Due| due.kind == JobKind::Eofed && due.assignment == id && due.consumer == name;
            if !self.calls.due.iter().any(waits) {
                self.call_consumer(id, JobKind::Eofed, name);
            }
        }
    }

    /// Makes a call of a consumer due.
    pub(crate) fn call_consumer(&mut self, id: AssignmentId, kind: JobKind, name: u64) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let due = assignment.due(id, kind, name);
        if let Some(consumer) = assignment.consumers.as_mut().and_then(|consumers| consumers.get_mut(name)) {
            consumer.tick_due |= kind == JobKind::Tick;
            self.calls.due.push_back(due);
        }
    }

    /// Has a partition that is given up in order say farewell, if nothing that it waits for runs.
    pub(crate) fn farewell_if_drained(&mut self, id: AssignmentId) {
        let Some(assignment) = self.assignments.get(id) else {
            return;
        };
        let is_drained = assignment.running_jobs == 0 || !assignment.is_awaited(self.calls.is_stopping);
        #[cfg(feature = "planted")]
        let is_drained = is_drained || self.planted.is(crate::Planted::RevokedBesideHandler);
        if matches!(assignment.stage, Stage::Draining { .. }) && is_drained {
            self.bid_farewell(id);
        }
    }

    /// Makes the calls about the end of an ownership due, once. Those that wait for running jobs are kept for later.
    pub(crate) fn bid_farewell(&mut self, id: AssignmentId) {
        let is_stopping = self.calls.is_stopping;
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let Some(consumers) = assignment.consumers.as_mut() else {
            return;
        };
        if std::mem::replace(&mut consumers.bade, true) {
            return;
        }
        let kind = if is_stopping { JobKind::Shutdown } else { JobKind::Revoked };
        let hooks = assignment.options.hooks;
        if !(if is_stopping { hooks.shutdown } else { hooks.revoked }) {
            return;
        }
        let names: Vec<u64> = consumers.known().map(|(name, _)| name).collect();
        consumers.owed = names.len() as u32;
        let calls = names.into_iter().map(|name| assignment.due(id, kind, name));
        let at_once = assignment.running_jobs == 0 || !assignment.is_awaited(is_stopping);
        #[cfg(feature = "planted")]
        let at_once = at_once || self.planted.is(crate::Planted::RevokedBesideHandler);
        if at_once {
            self.calls.due.extend(calls);
        } else {
            let awaiting = Awaiting { running: assignment.running_jobs, calls: calls.collect() };
            self.calls.awaiting.insert(id, awaiting);
        }
    }

    /// A job of an ownership that is over ended; its farewells may have waited for it.
    pub(crate) fn awaited_job_ended(&mut self, id: AssignmentId) {
        let Some(awaiting) = self.calls.awaiting.get_mut(&id) else {
            return;
        };
        awaiting.running = awaiting.running.saturating_sub(1);
        if awaiting.running == 0
            && let Some(awaiting) = self.calls.awaiting.remove(&id)
        {
            self.calls.due.extend(awaiting.calls);
        }
    }

    /// The next call without messages for a seat of `pool`, while it has room for one. Farewells come first; other calls
    /// take turns with messages, unless there are none (`idle`).
    pub(crate) fn next_call(&mut self, pool: PoolId, idle: bool) -> Option<Job<M>> {
        while !self.calls.due.is_empty() && self.scheduler.has_place(pool) {
            let turn = !self.quiet && (idle || !self.calls.given.contains(&pool));
            let may = |due: &Due| turn && !self.scheduler.is_full(due.topic);
            let fits = |due: &Due| due.pool == pool && (due.kind.is_farewell() || may(due));
            let at = self.calls.due.iter().position(fits)?;
            let due = self.calls.due.remove(at)?;
            let job = if due.kind.is_farewell() { Some(self.hand_out_farewell(due)) } else { self.hand_out_call(due) };
            if job.is_some() {
                self.calls.given.insert(pool);
                return job;
            }
            self.arm_ticks(due.assignment);
        }
        None
    }

    /// `None` when what the call is about has changed since.
    fn hand_out_call(&mut self, due: Due) -> Option<Job<M>> {
        let (id, name, is_tick) = (due.assignment, due.consumer, due.kind == JobKind::Tick);
        let wanted = !is_tick || self.is_tick_wanted(id, name);
        let assignment = self.assignments.get_mut(id).filter(|found| found.stage == Stage::Active)?;
        let busy = assignment.running_jobs > 0;
        // What waits for a dead letter's arrival or a unique value may go on at any moment: it cannot be held.
        let waits = matches!(assignment.mailboxes.state_of(name), Some(State::Dispatching | State::Blocked));
        let consumers = assignment.consumers.as_deref_mut()?;
        let is_whole = consumers.is_whole;
        let consumer = consumers.get_mut(name)?;
        consumer.tick_due &= !is_tick;
        let busy = !consumer.is_idle() || if is_whole { busy } else { waits };
        if !wanted || busy || !(is_tick || consumer.end_due) {
            return None;
        }
        consumer.hook_runs = true;
        if is_tick {
            consumer.given = consumer.given.max(Given::Tick);
            consumer.active = self.clock;
        } else {
            consumer.end_due = false;
        }
        #[cfg(not(feature = "planted"))]
        let holds = true;
        #[cfg(feature = "planted")]
        let holds = !self.planted.is(crate::Planted::TickBesideHandler);
        consumers.is_held = is_whole && holds;
        let held = if is_whole || !holds { None } else { assignment.mailboxes.hold(name) };
        self.enlist(id);
        Some(self.hand_out_hook(due, held))
    }

    fn hand_out_farewell(&mut self, due: Due) -> Job<M> {
        if let Some(assignment) = self.assignments.get_mut(due.assignment)
            && let Some(consumers) = &mut assignment.consumers
        {
            consumers.owed = consumers.owed.saturating_sub(1);
        }
        self.hand_out_hook(due, None)
    }

    fn hand_out_hook(&mut self, due: Due, held: Option<(Index, State)>) -> Job<M> {
        let Due { kind, assignment, topic, partition, pool, consumer, is_whole, used } = due;
        let beside =
            kind.is_farewell() && self.jobs.iter().any(|job| job.assignment == assignment && !job.is_farewell());
        if let Some(found) = self.assignments.get_mut(assignment) {
            found.running_jobs += 1;
        }
        self.scheduler.call_started(topic, kind.is_farewell());
        let running = RunningJob {
            kind,
            assignment,
            topic,
            partition,
            attempt: 1,
            bytes: 0,
            since: self.clock,
            sequences: Vec::new(),
            parts: Vec::new(),
            last_marked: 0,
            era: self.assignments.get(assignment).map_or(0, |found| found.era),
            paused: false,
            asks: false,
            values: Vec::new(),
            start_awaited: false,
            hook: Some(Hook { consumer, pool, is_whole, used, held }),
        };
        let era = running.era;
        let id = self.jobs.start(running);
        let group = Group { virtual_partition: consumer, start: 0, len: 0 };
        let groups = if is_whole { Vec::new() } else { vec![group] };
        let facts = Facts { used, at_end: kind == JobKind::Eofed, beside };
        Job {
            id,
            kind,
            assignment,
            topic,
            partition,
            messages: Vec::new(),
            groups,
            attempt: 1,
            attempts: Vec::new(),
            tell_start: false,
            facts,
            era,
        }
    }

    /// A call without messages came back.
    pub(crate) fn settle_hook(&mut self, now: Instant, id: JobId, job: &RunningJob, outcome: &Outcome) {
        let Some(hook) = job.hook else {
            return;
        };
        let again = job.kind.is_farewell() && *outcome == Outcome::NotStarted;
        if again {
            let RunningJob { kind, assignment, topic, partition, .. } = *job;
            let Hook { consumer, pool, is_whole, used, .. } = hook;
            self.calls.due.push_front(Due { kind, assignment, topic, partition, pool, consumer, is_whole, used });
        }
        if let Some(assignment) = self.assignments.get_mut(job.assignment) {
            assignment.running_jobs -= 1;
            if let Some(consumers) = &mut assignment.consumers {
                consumers.owed += u32::from(again);
            }
            if !job.kind.is_farewell() {
                assignment.end_hook(now, job, hook);
                if assignment.stage == Stage::Active
                    && assignment.era == job.era
                    && let Some((index, before)) = hook.held
                    && assignment.mailboxes.release(now, index, before)
                {
                    assignment.gather(&mut self.timers, now, job.assignment, index);
                }
            }
        } else if !again {
            self.awaited_job_ended(job.assignment);
            self.old_job_ended(job);
        }
        if !matches!(outcome, Outcome::Done | Outcome::NotStarted) {
            let (kind, assignment) = (job.kind, job.assignment);
            self.actions.push_back(Action::Notice(Notice::HookFailed { job: id, assignment, kind }));
        }
    }

    /// What may be due now that a job of an assignment ended, with messages or without.
    pub(crate) fn consumers_moved(&mut self, id: AssignmentId) {
        if self.assignments.get(id).is_some_and(|assignment| assignment.consumers.is_some()) {
            self.tell_end(id);
            self.arm_ticks(id);
        }
    }

    /// Compares what is counted with what is there; for tests.
    pub(crate) fn check_calls(&self, id: AssignmentId, assignment: &Assignment<M>) -> Result<(), String> {
        let Some(consumers) = &assignment.consumers else {
            return Ok(());
        };
        let waiting = |due: &&Due| due.assignment == id && due.kind.is_farewell();
        let awaiting = self.calls.awaiting.get(&id).map_or(0, |awaiting| awaiting.calls.len());
        let due = self.calls.due.iter().filter(waiting).count() + awaiting;
        if consumers.owed as usize == due {
            Ok(())
        } else {
            Err(format!("{id:?} counts {} farewells, there are {due}", consumers.owed))
        }
    }
}

impl<M> Assignment<M> {
    fn due(&self, assignment: AssignmentId, kind: JobKind, consumer: u64) -> Due {
        let known = self.consumers.as_deref();
        Due {
            kind,
            assignment,
            topic: self.topic,
            partition: self.partition,
            pool: self.options.pool,
            consumer,
            is_whole: known.is_some_and(|consumers| consumers.is_whole),
            used: known
                .and_then(|consumers| consumers.get(consumer))
                .is_some_and(|consumer| consumer.given == Given::Messages),
        }
    }

    /// A call with messages is handed out.
    pub(crate) fn begin_call(&mut self, now: Instant, sequences: &[u64], parts: &[Part]) -> Facts {
        let Some(consumers) = &mut self.consumers else {
            return Facts::default();
        };
        consumers.begin(now, parts);
        let is_last = |end: &&mut End| sequences.iter().any(|sequence| sequence + 1 == end.beyond);
        let end = consumers.end.as_mut().filter(is_last);
        let at_end = end.is_some();
        if let Some(end) = end {
            end.untold = false;
        }
        Facts { used: true, at_end, beside: false }
    }

    /// Another message came: the end of the partition is behind it.
    pub(crate) fn go_on_from_end(&mut self) {
        if let Some(consumers) = &mut self.consumers
            && consumers.end.take().is_some()
        {
            consumers.iter_mut().for_each(|consumer| consumer.end_due = false);
        }
    }

    /// Whether messages wait, or a filter or partitioner is asked about some: they may yet come to a call.
    fn is_undecided(&self) -> bool {
        let asked = self.asking_partitioner || self.policies.as_ref().is_some_and(|intake| intake.asking_filter);
        asked || self.queued() > 0
    }

    /// Whether the end of the ownership waits for its running jobs.
    pub(crate) fn is_awaited(&self, is_stopping: bool) -> bool {
        is_stopping || !self.options.long_running_job
    }

    /// Calls about the end of the ownership that are due and not handed out.
    pub(crate) fn owed(&self) -> u32 {
        self.consumers.as_ref().map_or(0, |consumers| consumers.owed)
    }

    fn end_hook(&mut self, now: Instant, job: &RunningJob, hook: Hook) {
        let interval = self.options.periodic.map(|periodic| periodic.interval);
        let Some(consumers) = self.consumers.as_deref_mut() else {
            return;
        };
        consumers.is_held = false;
        let Some(consumer) = consumers.get_mut(hook.consumer) else {
            return;
        };
        consumer.hook_runs = false;
        // A tick that is over in time counts from its beginning.
        let in_time = job.kind == JobKind::Tick && interval.is_some_and(|interval| now.since(job.since) < interval);
        if !in_time {
            consumer.active = now;
        }
    }
}

impl RunningJob {
    fn is_farewell(&self) -> bool {
        self.kind.is_farewell()
    }
}
