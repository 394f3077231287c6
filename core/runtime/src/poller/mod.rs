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
mod fetching;
mod jobs;
mod letter_rights;
mod letter_topics;
mod letters;
mod lookout;
mod member;
mod multiplexing;
mod notice;
mod numbers;
mod observer;
mod options;
mod orphan;
mod partition;
mod position;
mod prefetch;
mod reader;
mod rebalance;
mod reports;
mod scaling;
mod shutdown;
mod subscription;
mod transactions;
mod turns;
mod unkept;

pub(crate) use errors::log;
pub(crate) use letters::Answer;
pub(crate) use lookout::View;
pub(crate) use observer::broker;
pub(crate) use rebalance::GroupOffsets;

use crate::app::{SeatKind, TopicEntry, Work};
use crate::config::AppConfig;
use crate::encryption::Opener;
use crate::event::{Event, Phase};
use crate::job::{Failure, Job};
use crate::lease::Renewal;
use crate::message::MessageInner;
use crate::native::NativeMessage;
use crate::output::Declared;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::Sender;
use crossbeam::sync::Parker;
use departed::Departed;
use fetching::Turns;
use karafka_engine::{Action, AssignmentId, CommitId, Engine, PoolId, TopicId, TopicOptions};
use member::Member;
use numbers::{ByNumber, Numbers};
use observer::Observer;
use orphan::Orphan;
use partition::Partition;
use shutdown::Shutdown;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use subscription::Subscription;

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
    turns: Turns,
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
            self.take_turns(now);
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
        let others = [self.observer.next_wake(), self.orphan.as_ref().map(Orphan::next_wake), self.turns.next_wake()];
        others.into_iter().flatten().fold(wake, Instant::min)
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
                    self.look_at_queue(now, assignment);
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
                Action::Offsets(offsets) => self.give_turn(now, offsets),
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

    fn pool_of(kind: SeatKind) -> usize {
        match kind {
            SeatKind::Thread => 0,
            SeatKind::Slot => 1,
        }
    }
}
