//! The poller: one thread that serves every client of an app and owns the engine.
//!
//! It sleeps until a queue of librdkafka is filled, a worker or a caller reports, or a timer is due. Each round it
//!
//! 1. takes reports (ends and marks of jobs, commands) into the engine,
//! 2. takes events of the clients (rebalances, commit answers, errors),
//! 3. reads partitions that have messages and room,
//! 4. does what the engine decided: commits, releases, notices,
//! 5. hands ready jobs to the seats.
//!
//! Nothing here waits for a broker, runs user code or decides about a message; the engine decides.

mod boot;
mod commits;
mod departed;
mod direct;
mod errors;
mod letters;
mod lookout;
mod member;
mod multiplexing;
mod notice;
mod numbers;
mod observer;
mod orphan;
mod position;
mod prefetch;
mod reader;
mod rebalance;
mod scaling;
mod shutdown;
mod subscription;
mod transactions;
mod turns;

pub(crate) use errors::log;
pub(crate) use letters::Answer;
pub(crate) use lookout::View;
pub(crate) use observer::broker;
pub(crate) use rebalance::GroupOffsets;

use crate::app::{SeatKind, TopicEntry, Work};
use crate::batch::{Batch, BatchInner, Group};
use crate::config::AppConfig;
use crate::context::{Assignment, Context};
use crate::encryption::Opener;
use crate::event::{Event, Phase};
use crate::job::{Failure, Job, Verdict};
use crate::lease::Renewal;
use crate::message::MessageInner;
use crate::native::{NativeMessage, PartitionQueue};
use crate::output::{Declared, Tally};
use crate::pool::Pool;
use crate::position::Said;
use crate::report::{Control, Place, Report};
use crate::shared::Shared;
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::Sender;
use crossbeam::sync::Parker;
use departed::Departed;
use karafka_engine::{Action, AssignmentId, CommitId, Engine, Extent, Outcome, PoolId, TopicId, TopicOptions};
use member::Member;
use numbers::{ByNumber, Numbers};
use observer::Observer;
use orphan::Orphan;
use shutdown::Shutdown;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use subscription::{Subscription, Target};

/// How long an app that its last handle left may take to stop.
pub(crate) const ABANDONED: Duration = Duration::from_secs(5);

/// The longest sleep; clients, which have to be asked now and then, have their own.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// How often a partition that stands still is looked for, while there is anything to do.
const STALL_CHECK: Duration = Duration::from_secs(2);

/// Most messages that one partition gives in one round, so that all have their turn.
const ROUND: usize = 1000;

/// How the records of a topic, or of those that a pattern chooses, are handled for one group.
struct Route {
    /// The number that its topic was registered with.
    registration: usize,
    options: TopicOptions,
    /// Numbers of the engine that topics of a pattern have left behind.
    spare: Vec<TopicId>,
    work: Work,
    pool: usize,
    /// Where messages go that were given up.
    dead_letter_topic: Option<Arc<str>>,
    /// Whether they go there in transactions, with their offsets.
    dead_letters_in_transactions: bool,
    /// What opens its records.
    opener: Option<Arc<Opener>>,
    /// What its handler says it writes.
    declared: Option<Arc<Declared>>,
}

/// An assigned partition's queue and the handle that its jobs share.
struct Partition {
    assignment: Arc<Assignment>,
    member: usize,
    route: usize,
    topic: TopicId,
    queue: PartitionQueue,
    /// The lowest offset that may come next: the log is read forwards.
    next_offset: i64,
    /// A running mean of a message's size, to turn a byte budget into a count.
    mean_bytes: u64,
    /// Failures of messages by their offsets, where a strategy asks for them.
    failures: BTreeMap<i64, VecDeque<Failure>>,
    /// When the end of the log was looked at last.
    end_looked_at: Instant,
}

enum Source {
    Member(usize),
    Partition(AssignmentId),
}

pub(crate) struct Poller {
    config: AppConfig,
    shared: Arc<Shared>,
    parker: Parker,
    pools: [Arc<Pool<Job>>; 2],
    pool_ids: [PoolId; 2],
    engine: Engine<MessageInner>,
    routes: Vec<Route>,
    subscriptions: Vec<Subscription>,
    members: Vec<Member>,
    /// Where failures go: patterns do not choose them.
    dead_letter_topics: BTreeSet<String>,
    /// Whether the groups were joined.
    is_joined: bool,
    /// Whether the connections of some group may change in number, and when to think of it next.
    is_scaling: bool,
    next_scale: Option<Instant>,
    partitions: ByNumber<AssignmentId, Partition>,
    /// Partitions that are gone, for the jobs that tell so.
    departed: ByNumber<AssignmentId, Departed>,
    /// Whose queue each token stands for.
    sources: ByNumber<u64, Source>,
    next_token: u64,
    /// Partitions that have, or may have, messages to read.
    readable: Vec<AssignmentId>,
    readable_set: Numbers<AssignmentId>,
    /// Callers that wait for a commit or a later one of an assignment.
    commit_waiters: HashMap<AssignmentId, Vec<(CommitId, Sender<bool>)>>,
    /// By member and ticket.
    seeks: HashMap<(usize, u64), position::Seeking>,
    failures: ByNumber<karafka_engine::JobId, Failure>,
    letters: letters::Letters,
    transactions: transactions::Transactions,
    /// What the scheduler said, while the engine is told of it.
    scheduler_failure: Option<Failure>,
    /// One more reference for each batch that somebody still holds.
    held: Arc<()>,
    start: Instant,
    /// The time of the running round, and what the engine calls it: asked for by every job.
    round: Cell<(Instant, karafka_engine::Instant)>,
    shutdown: Option<Shutdown>,
    /// Whether some consumers want to hear of the shutdown.
    says_farewell: bool,
    /// Empty between reads; kept for its memory.
    fetched: Vec<NativeMessage>,
    /// Empty between dispatches; kept for its memory.
    ready_jobs: Vec<Job>,
    last_stall_check: Instant,
    renewal: Renewal,
    observer: Observer,
    orphan: Option<Orphan>,
}

impl Poller {
    pub(crate) fn new(
        config: &AppConfig,
        topics: &[TopicEntry],
        shared: Arc<Shared>,
        pools: [Arc<Pool<Job>>; 2],
        parker: &mut Option<Parker>,
        chooser: bool,
    ) -> Result<Self> {
        boot::poller(config, topics, shared, pools, parker, chooser)
    }

    /// The poller's thread.
    pub(crate) fn run(mut self) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.serve()));
        if outcome.is_err() {
            let message = "the poller panicked; nothing was committed past what was done. Please report this";
            self.shared.fail(Error::new(ErrorKind::Internal, "poll", message).fatal());
        }
        for pool in &self.pools {
            drop(pool.withdraw(|_| true));
            pool.close();
        }
        for partition in self.partitions.values() {
            partition.assignment.owned.store(false, Ordering::SeqCst);
        }
        self.shared.lease.end();
        self.shared.questions.close();
        self.commit_waiters.clear();
        self.seeks.clear();
        self.shutdown_clients();
        self.shared.enter(Phase::Stopped);
        self.shared.publisher.close();
        self.shared.refuse_reports();
    }

    fn serve(&mut self) {
        self.connect();
        loop {
            let now = Instant::now();
            self.observe_wall(now);
            let may_begin = self.renewal.begin_round(now);
            self.take_reports(now);
            self.take_events(now);
            // A pause that is over makes room to read.
            self.engine.tick(self.at(now));
            let mut more = self.read_partitions(now);
            self.act(now);
            if may_begin {
                self.dispatch(now);
                // What was marked during its back-off is dropped when its turn comes, and makes room to read.
                more |= self.act(now);
            }
            if self.advance_shutdown(now) {
                return;
            }
            self.settle_phase();
            self.look_out(now);
            self.next_scale = self.scale(now);
            self.observe(now);
            self.look_for_parent(now);
            self.check_stalls(now);
            let next = self.next_wake(now);
            let next = self.renewal.end_round(&self.shared.lease, next);
            if !more {
                self.parker.park_deadline(next);
            }
        }
    }

    fn jobs_out(&self) -> u32 {
        self.pool_ids.iter().map(|pool| self.engine.jobs_out(*pool)).sum()
    }

    fn at(&self, now: Instant) -> karafka_engine::Instant {
        let (seen, at) = self.round.get();
        if seen == now {
            return at;
        }
        let since = now.saturating_duration_since(self.start).as_nanos();
        let at = karafka_engine::Instant::from_nanos(u64::try_from(since).unwrap_or(u64::MAX));
        self.round.set((now, at));
        at
    }

    /// Tells the engine what the wall clock says: ages of messages are measured by it.
    fn observe_wall(&mut self, now: Instant) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.engine.observe_wall(self.at(now), i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let mut wake = now + LONGEST_SLEEP;
        let members = self.members.iter().filter_map(|member| member.next_wake(now));
        let looks = self.subscriptions.iter().filter_map(|subscription| subscription.lookout.next_wake());
        wake = members.chain(looks).chain(self.next_scale).fold(wake, Instant::min);
        if let Some(deadline) = self.engine.deadline() {
            wake = wake.min(self.start + deadline.since(karafka_engine::Instant::START));
        }
        if self.jobs_out() > 0 {
            // Completions do not wake the poller while seats have work; what they finished is committed in time all the same.
            wake = wake.min(now + self.config.commit_interval);
        }
        if let Some(shutdown) = &self.shutdown {
            wake = wake.min(shutdown.next_wake(now));
        }
        let others = [self.observer.next_wake(), self.orphan.as_ref().map(Orphan::next_wake)];
        others.into_iter().flatten().fold(wake, Instant::min)
    }

    // ---- reports of workers and callers

    fn take_reports(&mut self, now: Instant) {
        while let Some(report) = self.shared.reports.pop() {
            match report {
                Report::Ended { job, outcome, messages, failure } => {
                    let mut ends = None;
                    if let Some(failure) = failure {
                        ends = (failure.verdict == Verdict::Critical).then(|| failure.clone());
                        self.failures.insert(job, failure);
                    }
                    self.engine.complete(self.at(now), job, outcome, messages);
                    self.act(now);
                    if !self.failures.is_empty() {
                        self.failures.remove(&job);
                    }
                    if let Some(failure) = ends {
                        self.end_by(now, &failure);
                    }
                    self.settle_departed();
                }
                Report::Started { job, at } => self.engine.started(self.at(now), job, self.at(at)),
                Report::Marked { job, index, extent, place: Place { assignment, era, offset } } => {
                    if !self.engine.mark(job, index, extent) {
                        self.engine.mark_late(assignment, era, offset, extent, None);
                    }
                }
                Report::MarkedWith { job, index, text, place: Place { assignment, era, offset } } => {
                    if !self.engine.mark_with_metadata(job, index, text.clone()) {
                        self.engine.mark_late(assignment, era, offset, Extent::Prefix, Some(text));
                    }
                }
                Report::Stored { assignment, text } => {
                    self.engine.set_offset_metadata(assignment, Some(text));
                }
                Report::Paused { job, assignment, until } => self.pause(job, assignment, until),
                Report::Resumed { job, assignment } => self.resume(job, assignment),
                Report::Seek { assignment, to, timeout, ask } => self.begin_seek(now, assignment, to, timeout, ask),
                Report::CommitSoon { assignment } => {
                    self.engine.commit_now(self.at(now), assignment);
                }
                Report::Commit { assignment, done } => {
                    let covering = self.engine.commit_now(self.at(now), assignment);
                    match covering.filter(|_| self.partitions.contains_key(&assignment)) {
                        Some(covering) => self.commit_waiters.entry(assignment).or_default().push((covering, done)),
                        None => {
                            // Nothing to commit, or nothing owned any more. The caller may have given up waiting.
                            let _ = done.send(self.engine.is_owned(assignment));
                        }
                    }
                }
                Report::Statistics { answer } => {
                    // The caller may have given up waiting.
                    let _ = answer.send(self.statistics(now));
                }
                Report::Chosen { question, order } => self.chosen(now, question, order),
                Report::Transaction { job, marks, turn } => self.ask_for_turn(now, job, marks, turn),
                Report::LetterTransaction { assignment, id, turn } => self.ask_for_letter(now, assignment, id, turn),
                Report::TransactionEnded { assignment, transaction, committed } => {
                    self.engine.transaction_ended(self.at(now), assignment, transaction, committed);
                    self.act(now);
                }
                Report::Control(control) => self.control(now, &control),
                Report::LetterAnswered { assignment, id, answer } => {
                    self.letter_answered(now, assignment, id, answer);
                    self.act(now);
                }
                Report::GroupOffsets { token, ticket, offsets } => {
                    // Another client may have its place by now.
                    if let Some(&Source::Member(member)) = self.sources.get(&token) {
                        self.finish_assign(now, member, ticket, offsets);
                    }
                }
                Report::Looked { subscription, view } => self.looked(now, subscription, view),
            }
        }
    }

    /// A handler said that the process is at its end.
    fn end_by(&mut self, now: Instant, failure: &Failure) {
        let message = format!("a handler asked for the end of the program: {}: {}", failure.class, failure.message);
        self.shared.fail(Error::new(ErrorKind::Handler, "handle", message).fatal());
        self.shared.ask_to_stop();
        self.begin_shutdown(now, self.config.shutdown_timeout);
    }

    fn control(&mut self, now: Instant, control: &Control) {
        match *control {
            Control::Quiet if self.shutdown.is_none() => {
                self.engine.quiet();
                self.put_back(|_| true);
                self.shared.enter(Phase::Quieting);
            }
            Control::Resume if self.shutdown.is_none() => {
                self.engine.resume_all();
                self.shared.enter(Phase::Running);
            }
            Control::Quiet | Control::Resume => {}
            Control::Resize => {
                for (pool, id) in self.pools.iter().zip(self.pool_ids) {
                    self.engine.resize_pool(id, u32::try_from(pool.capacity()).unwrap_or(u32::MAX));
                }
            }
            Control::Stop { within } => self.begin_shutdown(now, within),
        }
    }

    fn settle_phase(&self) {
        if self.shared.phase() == Phase::Quieting && self.jobs_out() == 0 {
            self.shared.enter(Phase::Quiet);
        }
    }

    /// Answers the callers that this commit covers; all of them when the assignment has ended.
    fn answer_waiters(&mut self, assignment: AssignmentId, up_to: Option<CommitId>, owned: bool) {
        let Some(waiters) = self.commit_waiters.get_mut(&assignment) else { return };
        waiters.retain(|(covering, done)| {
            let answered = up_to.is_none_or(|up_to| *covering <= up_to);
            if answered {
                // The caller may have given up waiting.
                let _ = done.send(owned);
            }
            !answered
        });
        if waiters.is_empty() {
            self.commit_waiters.remove(&assignment);
        }
    }

    /// Takes jobs that no seat has started back into the engine.
    fn put_back(&self, mut fits: impl FnMut(&Job) -> bool) {
        for pool in &self.pools {
            for job in pool.withdraw(&mut fits) {
                job.put_back();
            }
        }
    }

    // ---- messages

    fn take_events(&mut self, now: Instant) {
        while let Some(token) = self.shared.waker.next_filled() {
            match self.sources.get(&token) {
                Some(Source::Member(member)) => {
                    let member = *member;
                    self.serve_member(now, member);
                }
                Some(Source::Partition(assignment)) => {
                    let assignment = *assignment;
                    self.mark_readable(assignment);
                }
                None => {}
            }
        }
        self.serve_due_members(now);
    }

    pub(crate) fn publish_error(&self, error: Error, recoverable: bool) {
        self.shared.publisher.publish(&Event::Error { error: Arc::new(error), recoverable });
    }

    // ---- what the engine decided

    /// Does what the engine asks for; whether it asked for anything.
    fn act(&mut self, now: Instant) -> bool {
        let mut commits = Vec::new();
        let mut acted = false;
        while let Some(action) = self.engine.next_action() {
            acted = true;
            match action {
                Action::Commit { assignment, id, position, metadata, last: _ } => {
                    commits.push((assignment, id, position, metadata));
                }
                Action::Offsets { assignment, transaction, position, metadata, is_distinct } => {
                    self.give_turn(now, (assignment, transaction), (position, metadata), is_distinct);
                }
                Action::OffsetsRefused { assignment, transaction } => self.refuse_turn(assignment, transaction),
                Action::Release { assignment } => self.release(assignment),
                Action::DeadLetter { assignment, id, message, .. } => self.send_letter(now, assignment, id, message),
                Action::Dropped(mut messages) => {
                    messages.clear();
                    self.engine.recycle(messages);
                }
                Action::Notice(notice) => self.notice(now, &notice),
            }
        }
        if !commits.is_empty() {
            self.send_commits(now, commits);
        }
        acted
    }

    fn check_stalls(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last_stall_check) < STALL_CHECK {
            return;
        }
        self.last_stall_check = now;
        for stall in self.engine.stalls(self.at(now)) {
            let error = Error::new(ErrorKind::Internal, "watch", format!("a partition stands still: {stall}"));
            self.publish_error(error, true);
        }
    }

    // ---- jobs

    fn dispatch(&mut self, now: Instant) {
        let mut jobs = std::mem::take(&mut self.ready_jobs);
        for index in 0..self.pools.len() {
            while let Some(job) = self.engine.next_job(self.at(now), self.pool_ids[index]) {
                match self.job(now, job) {
                    Ok(job) => jobs.push(job),
                    Err(job) => self.orphaned(now, job),
                }
            }
            if !jobs.is_empty() {
                self.pools[index].push(jobs.drain(..));
            }
        }
        self.ready_jobs = jobs;
        self.ask_scheduler();
    }

    /// A job of a partition that the poller has forgotten and the engine has not, which no path leads to: both let go of it
    /// together. Were it so all the same, nothing of it may start or count, and somebody has to hear of it.
    fn orphaned(&mut self, now: Instant, job: karafka_engine::Job<MessageInner>) {
        debug_assert!(false, "a job of a forgotten partition");
        self.engine.lose(self.at(now), job.assignment);
        self.engine.complete(self.at(now), job.id, Outcome::NotStarted, job.messages);
        let message = "a partition was handled that is not owned any more; its records are left to its new owner";
        self.publish_error(Error::new(ErrorKind::Internal, "dispatch", message).with("partition", job.partition), true);
    }

    /// The job as seats take it; given back when its partition is not known.
    fn job(
        &self,
        now: Instant,
        job: karafka_engine::Job<MessageInner>,
    ) -> std::result::Result<Job, karafka_engine::Job<MessageInner>> {
        let Some((assignment, route)) = self.owner(job.assignment) else { return Err(job) };
        let Some(route) = self.routes.get(route) else { return Err(job) };
        let groups = job.groups.iter().map(|group| Group {
            virtual_partition: group.virtual_partition,
            start: group.start as usize,
            len: group.len as usize,
        });
        let batch = Batch(Arc::new(BatchInner {
            held: Arc::clone(&self.held),
            topic: Arc::clone(&assignment.topic),
            partition: job.partition,
            groups: groups.collect(),
            messages: job.messages,
            attempt: job.attempt,
            attempts: job.attempts,
            opened: Vec::new(),
            made: now,
            end: assignment.said.end.load(Ordering::Relaxed),
        }));
        let mut earlier = Vec::new();
        // Kept only for strategies.
        if route.options.strategy
            && batch.len() == 1
            && let Some(partition) = self.partitions.get(&job.assignment)
            && let Some(failures) = partition.failures.get(&batch.first_offset())
        {
            earlier.extend(failures.iter().cloned());
        }
        let context = Context {
            shared: Arc::clone(&self.shared),
            assignment: Arc::clone(assignment),
            job: job.id,
            attempt: job.attempt,
            facts: job.facts,
            era: job.era,
            tally: route.declared.as_ref().map(|declared| Tally::new(declared, &assignment.topic)),
        };
        let (handler, is_own) = match &route.work {
            Work::Handler(handler) => (Some(Arc::clone(handler)), false),
            Work::Core(handler) => (Some(Arc::clone(handler)), true),
            Work::Host => (None, false),
        };
        Ok(Job {
            batch,
            context,
            kind: job.kind,
            topic_index: route.registration,
            handler,
            is_own,
            pool: Arc::clone(&self.pools[route.pool]),
            completed: false,
            taken: false,
            has_strategy: route.options.strategy,
            earlier,
            begun: None,
            tell_start: job.tell_start,
            aside: None,
        })
    }

    // ---- partitions

    /// Opens an assigned partition: cuts its queue off and makes its assignment.
    fn open(
        &mut self,
        now: Instant,
        member: usize,
        target: Target,
        offset: &crate::native::PartitionOffset,
    ) -> Result<()> {
        self.leave_to(now, member, target.topic, offset.partition);
        let token = self.next_token;
        self.next_token += 1;
        let ready = Ready::new(token, Arc::clone(&self.shared.waker));
        let owner = &self.members[member];
        let queue = owner.consumer()?.partition_queue(&offset.topic, offset.partition, ready)?;
        let start = karafka_engine::Start { offset: offset.offset, metadata: offset.metadata.as_deref() };
        let id = self.engine.assign(self.at(now), target.topic, offset.partition, start);
        let assignment = Assignment {
            id,
            topic: Arc::from(offset.topic.as_str()),
            partition: offset.partition,
            group: Arc::clone(owner.group()),
            owned: AtomicBool::new(true),
            opener: self.routes.get(target.route).and_then(|route| route.opener.clone()),
            said: Said::new(self.engine.offset_metadata(id).unwrap_or_default()),
            transactions: Arc::clone(&self.subscriptions[owner.subscription].transactions),
        };
        self.sources.insert(token, Source::Partition(id));
        let partition = Partition {
            assignment: Arc::new(assignment),
            member,
            route: target.route,
            topic: target.topic,
            queue,
            // Records from below the committed offset come when that is beyond the end of the log.
            next_offset: offset.offset.unwrap_or(0),
            mean_bytes: 1024,
            failures: BTreeMap::new(),
            end_looked_at: self.start,
        };
        self.partitions.insert(id, partition);
        self.members[member].opened(&offset.topic, offset.partition, id, token);
        self.mark_readable(id);
        Ok(())
    }

    /// A partition that another connection of this process lost without knowing it yet: it goes on with its new member.
    fn leave_to(&mut self, now: Instant, member: usize, topic: TopicId, partition: i32) {
        let is_it =
            |held: &Partition| held.topic == topic && held.assignment.partition == partition && held.member != member;
        let held = self.partitions.iter().find(|(_, held)| is_it(held)).map(|(id, _)| *id);
        if let Some(id) = held {
            self.engine.lose(self.at(now), id);
            self.put_back(|job| job.context.assignment.id == id);
            self.close(id);
        }
    }

    /// Forgets a partition that is given up or lost; handles kept by jobs say "revoked" from now on.
    fn close(&mut self, assignment: AssignmentId) {
        if let Some(partition) = self.partitions.remove(&assignment) {
            partition.assignment.owned.store(false, Ordering::SeqCst);
            self.depart(assignment, &partition);
            let key = (partition.assignment.topic.to_string(), partition.assignment.partition);
            if let Some(token) = self.members[partition.member].closed_partition(&key) {
                self.sources.remove(&token);
            }
        }
        self.readable_set.remove(&assignment);
        self.forget_letters(assignment);
        self.forget_turns(assignment);
        self.answer_waiters(assignment, None, false);
    }

    fn pool_of(kind: SeatKind) -> usize {
        match kind {
            SeatKind::Thread => 0,
            SeatKind::Slot => 1,
        }
    }
}
