//! One process: the real engine, driven as the runtime drives it, with seats in virtual time.
//!
//! The rounds of its poller are in `round`, what must hold after each of them in `look`, what its users do to positions in
//! `position`.

mod letters;
mod look;
mod position;
mod round;
mod transactions;
mod turns;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use karafka_engine::{AssignmentId, Engine, Instant, JobId, Outcome, PoolId, Start, TopicId, metadata};

use crate::broker::Message;
use crate::group::Context;
use crate::handler::{Call, Handler};
use crate::history::{Clock, End, Ending, Event, Origin, Owner, Place};
use crate::intake;
use crate::queue::{GroupEvent, Happening, ProcessEvent};
use crate::random::Random;
use crate::scenario::{Fault, Scenario};

struct Held {
    id: AssignmentId,
    generation: u32,
    log_epoch: u32,
    /// The offset to be fetched next.
    position: i64,
    start: i64,
    /// The end of what the commit's metadata says is done.
    marked_until: i64,
    /// How often the user has moved it.
    era: u32,
    /// Until when running calls are awaited, by the process' clock.
    deadline: Option<Instant>,
}

struct Pool {
    id: PoolId,
    seats: u32,
    busy: u32,
    waiting: VecDeque<u64>,
    /// Jobs handed out since one went past a higher priority.
    since_lower: u32,
}

pub struct Process {
    number: u32,
    engine: Engine<Message>,
    pools: Vec<Pool>,
    topics: Vec<TopicId>,
    held: BTreeMap<Place, Held>,
    /// Of every ownership there ever was.
    places: BTreeMap<AssignmentId, Place>,
    letters: letters::Letters,
    transactions: transactions::Transactions,
    ended: HashMap<JobId, u64>,
    /// It stops by itself and is to be started again.
    at_its_end: bool,
    calls: BTreeMap<u64, Call>,
    called: u64,
    handler: Handler,
    /// How far its clock is ahead of the world's.
    ahead: Duration,
    /// The same of its wall clock, in milliseconds.
    wall_ahead: i64,
    wakes_at: Option<Instant>,
    assigned: u64,
    pumped: u64,
    /// The job answered last.
    answered: Option<JobId>,
    stopping: bool,
    quiet: bool,
}

impl Process {
    pub fn new(number: u32, scenario: &Scenario, random: &mut Random) -> Self {
        let mut engine = Engine::new(scenario.engine);
        let add = |&(seats, lookahead): &(u32, u32)| {
            let id = engine.add_pool(seats, lookahead);
            Pool { id, seats, busy: 0, waiting: VecDeque::new(), since_lower: u32::MAX / 2 }
        };
        let pools: Vec<Pool> = scenario.pools.iter().map(add).collect();
        let mut topics = Vec::new();
        for (topic, plan) in scenario.topics.iter().enumerate() {
            let mut options = plan.options;
            options.pool = pools[scenario.pool_of(topic)].id;
            topics.push(engine.add_topic(options));
        }
        Self {
            number,
            engine,
            pools,
            topics,
            held: BTreeMap::new(),
            places: BTreeMap::new(),
            letters: letters::Letters::default(),
            transactions: transactions::Transactions::default(),
            ended: HashMap::new(),
            at_its_end: false,
            calls: BTreeMap::new(),
            called: u64::from(number) << 32,
            handler: Handler::new(),
            ahead: Duration::from_secs(random.below(1 << 24)),
            wall_ahead: intake::set_clock(&mut Random::new(scenario.engine.hash_seed ^ u64::from(number))),
            wakes_at: None,
            assigned: 0,
            pumped: 0,
            answered: None,
            stopping: false,
            quiet: false,
        }
    }

    pub fn handle(&mut self, event: ProcessEvent, context: &mut Context<'_>) {
        let now = self.look_at_clock(context);
        match event {
            // One that was planned before an earlier one changes nothing: else each of them would plan the next for good.
            ProcessEvent::Wake => self.wakes_at = self.wakes_at.filter(|at| *at > context.queue.now),
            ProcessEvent::Assign { place, generation, committed, log_epoch } => {
                self.take_over(place, generation, committed, log_epoch, context);
            }
            ProcessEvent::Revoke { place, generation } => {
                if self.held(place, generation).is_some() {
                    self.revoke(place, context);
                }
            }
            ProcessEvent::Lose { place, generation } => {
                if let Some(id) = self.held(place, generation) {
                    self.engine.lose(now, id);
                    self.forget(place, End::Lost, context);
                    self.leave_when_empty(context);
                }
            }
            ProcessEvent::Midway { call } => {
                self.midway(call, context);
            }
            ProcessEvent::CallEnds { call } => self.end_call(call, context),
            ProcessEvent::CutShort { call } => self.cut_short(call, context),
            ProcessEvent::LateMarks => {
                if self.handler.mark_late(&mut self.engine, context) {
                    self.plan_late_marks(context);
                }
            }
            ProcessEvent::CommitAnswered { assignment, id, result } => {
                self.engine.committed(now, assignment, id, result);
            }
            ProcessEvent::TransactionAnswered { number, end } => {
                self.transaction_answered(number, end, context);
            }
            ProcessEvent::LetterAnswered { letter } => self.letter_answered(letter, context),
            ProcessEvent::Chosen { question, order } => self.engine.chosen(now, question, order.as_deref()),
            ProcessEvent::Resume => self.resume(),
            ProcessEvent::StopIsOver => context.ask(self.number, GroupEvent::Leaves { process: self.number }),
            ProcessEvent::Heal => {
                for pool in 0..self.pools.len() {
                    self.resize(pool, context.scenario.pools[pool].0, context);
                }
                self.resume();
            }
        }
        self.pump(context);
    }

    /// Before anything else: tells the history what this process has.
    pub fn introduce(&mut self, context: &mut Context<'_>) {
        for pool in 0..self.pools.len() {
            self.resize(pool, self.pools[pool].seats, context);
        }
    }

    /// A fault that a user, an operator or the machine may bring about.
    pub fn disturb(&mut self, fault: Fault, context: &mut Context<'_>) {
        let now = self.look_at_clock(context);
        let after = context.random.duration(Duration::from_millis(1), Duration::from_secs(3));
        let places: Vec<Place> = self.held.keys().copied().collect();
        let place = (!places.is_empty()).then(|| context.random.pick(&places));
        match (fault, place) {
            (Fault::Stop, _) if !self.stopping => self.stop(context),
            (Fault::Pause, Some(place)) => {
                let timed = context.random.chance(50);
                self.engine.pause(self.held[&place].id, timed.then(|| now + after));
                self.resume_later(after * 2, context);
            }
            (Fault::Quiet, _) => {
                self.engine.quiet();
                self.quiet = true;
                self.resume_later(after, context);
            }
            (Fault::Resize, _) => {
                let pool = context.random.below(self.pools.len() as u64) as usize;
                let seats = context.random.between(0, 6) as u32;
                self.resize(pool, seats, context);
            }
            (Fault::CommitNow, Some(place)) => {
                self.engine.commit_now(now, self.held[&place].id);
            }
            (Fault::UserMetadata, Some(place)) => {
                let text = context.random.next().to_string();
                let text = context.random.chance(80).then_some(text);
                self.handler.store(&mut self.engine, self.held[&place].id, text);
            }
            (Fault::Seek, Some(place)) => self.seek(place, context),
            (Fault::SetClock, _) => self.wall_ahead = intake::set_clock(context.random),
            (Fault::ClockLeap, _) => {
                let by = after * context.random.pick(&[1, 60, 1_200]);
                self.ahead += by;
                context.add(Event::Leapt { process: self.number, by });
            }
            _ => {}
        }
        self.pump(context);
    }

    /// Whether somebody has to start it again, once.
    pub fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.at_its_end)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn now(&self, context: &Context<'_>) -> Instant {
        context.queue.now + self.ahead
    }

    fn clock(&self, context: &Context<'_>) -> Clock {
        Clock { at: self.now(context), wall: intake::wall(context.queue.now) + self.wall_ahead }
    }

    /// What the poller does first in a round.
    fn look_at_clock(&mut self, context: &Context<'_>) -> Instant {
        let Clock { at, wall } = self.clock(context);
        self.engine.observe_wall(at, wall);
        at
    }

    fn owner(&self, assignment: AssignmentId) -> Owner {
        Owner { process: self.number, assignment, era: self.handler.era(assignment) }
    }

    fn owner_of(&self, held: &Held) -> Owner {
        Owner { process: self.number, assignment: held.id, era: held.era }
    }

    fn resize(&mut self, pool: usize, seats: u32, context: &mut Context<'_>) {
        self.pools[pool].seats = seats;
        self.engine.resize_pool(self.pools[pool].id, seats);
        context.add(Event::Seats { process: self.number, pool, seats });
    }

    fn resume_later(&self, after: Duration, context: &mut Context<'_>) {
        let until = context.queue.now + after;
        context.add(Event::Hindered { process: Some(self.number), until });
        context.queue.plan(after, Happening::Process(self.number, ProcessEvent::Resume));
    }

    fn resume(&mut self) {
        if !self.stopping {
            self.engine.resume_all();
            self.quiet = false;
        }
        for held in self.held.values() {
            self.engine.resume(held.id);
        }
    }

    fn stop(&mut self, context: &mut Context<'_>) {
        self.stopping = true;
        self.quiet = true;
        context.add(Event::Stopping { process: self.number });
        self.engine.shut_down();
        self.put_back(context, |_| true);
        let places: Vec<Place> = self.held.keys().copied().collect();
        for place in places {
            self.revoke(place, context);
        }
        let after = context.scenario.revoke_deadline * 3;
        context.queue.plan(after, Happening::Process(self.number, ProcessEvent::StopIsOver));
        self.leave_when_empty(context);
    }

    fn leave_when_empty(&mut self, context: &mut Context<'_>) {
        if self.stopping && self.held.is_empty() {
            context.ask(self.number, GroupEvent::Leaves { process: self.number });
        }
    }

    // ---- ownerships

    fn held(&self, place: Place, generation: u32) -> Option<AssignmentId> {
        self.held.get(&place).filter(|held| held.generation == generation).map(|held| held.id)
    }

    fn take_over(
        &mut self,
        place: Place,
        generation: u32,
        committed: Option<(i64, String)>,
        log_epoch: u32,
        context: &mut Context<'_>,
    ) {
        if self.stopping {
            context.ask(self.number, GroupEvent::Released { process: self.number, place, generation });
            return;
        }
        let Some(log) = context.broker.logs.get(&place) else { return };
        // The log was cut since the group gave the partition: what was committed of it is read again.
        let committed = if log.epoch == log_epoch { committed } else { log.committed.clone() };
        let (log_epoch, log_start) = (log.epoch, log.start);
        if self.held.contains_key(&place) {
            self.forget(place, End::Lost, context);
        }
        let text = committed.as_ref().map(|(_, text)| text.as_str());
        let start = Start { offset: committed.as_ref().map(|(offset, _)| *offset), metadata: text };
        let decoded = committed.as_ref().map(|(offset, text)| metadata::decode(*offset, text)).unwrap_or_default();
        let id = self.engine.assign(self.now(context), self.topics[place.topic], place.partition, start);
        let start = start.offset.unwrap_or(log_start);
        let done = decoded.done.runs().to_vec();
        let marked_until = done.last().map_or(0, |run| run.end);
        let held = Held { id, generation, log_epoch, position: start, start, marked_until, era: 0, deadline: None };
        let owner = self.owner_of(&held);
        self.handler.begin(id, context.scenario.topics[place.topic].options.offset_metadata, decoded.user);
        self.held.insert(place, held);
        self.places.insert(id, place);
        self.assigned += 1;
        let origin = Origin::Group;
        context.add(Event::Assigned { owner, place, generation, origin, start, done });
    }

    /// Ends an ownership and begins another one of the same partition elsewhere: how the runtime follows a log that was
    /// cut.
    fn begin_anew(&mut self, place: Place, first: i64, context: &mut Context<'_>) {
        let Some(log_epoch) = context.broker.logs.get(&place).map(|log| log.epoch) else { return };
        let Some(held) = self.held.get(&place) else { return };
        let (old, generation, now) = (held.id, held.generation, self.now(context));
        let undone = self.engine.undone_before(old, first);
        self.engine.lose(now, old);
        self.forget(place, End::Lost, context);
        let offset = undone.as_ref().map(|(offset, _)| *offset);
        let start = Start { offset, metadata: undone.as_ref().map(|(_, text)| text.as_str()) };
        let id = self.engine.assign(now, self.topics[place.topic], place.partition, start);
        let (start, marked_until) = (offset.unwrap_or(first), 0);
        let held = Held { id, generation, log_epoch, position: start, start, marked_until, era: 0, deadline: None };
        let (owner, origin) = (self.owner_of(&held), Origin::Reset);
        let user = undone.and_then(|(offset, text)| metadata::decode(offset, &text).user);
        self.handler.begin(id, context.scenario.topics[place.topic].options.offset_metadata, user);
        self.held.insert(place, held);
        self.places.insert(id, place);
        self.assigned += 1;
        context.add(Event::Assigned { owner, place, generation, origin, start, done: Vec::new() });
    }

    fn revoke(&mut self, place: Place, context: &mut Context<'_>) {
        let now = self.now(context);
        let deadline = now + context.scenario.revoke_deadline;
        let Some(held) = self.held.get_mut(&place) else { return };
        // Once it has passed, nothing is awaited any more.
        if held.deadline.is_none_or(|before| before > now) {
            held.deadline = Some(deadline);
        }
        let id = held.id;
        let owner = Owner { process: self.number, assignment: id, era: held.era };
        context.add(Event::Revoking { owner, place });
        self.engine.revoke(now, id, deadline);
        // The runtime may call back what no seat has begun; what it does not is run.
        let waits = |call: &Call| call.job.assignment == id && !call.started;
        let waiting: Vec<u64> = self.calls.iter().filter(|(_, call)| waits(call)).map(|(&call, _)| call).collect();
        for call in waiting {
            if context.random.chance(50) {
                self.return_unstarted(call, context);
            }
        }
    }

    /// An ownership is over: what no seat has begun of it is put back.
    fn forget(&mut self, place: Place, end: End, context: &mut Context<'_>) {
        let Some(held) = self.held.remove(&place) else { return };
        context.add(Event::Gone { owner: self.owner_of(&held), place, end });
        self.handler.end(held.id);
        self.put_back(context, |call| call.job.assignment == held.id);
        self.refuse_waiting(held.id, context);
    }

    fn put_back(&mut self, context: &mut Context<'_>, fits: impl Fn(&Call) -> bool) {
        let fits = |(&number, call): (&u64, &Call)| (!call.started && fits(call)).then_some(number);
        let waiting: Vec<u64> = self.calls.iter().filter_map(fits).collect();
        for call in waiting {
            self.return_unstarted(call, context);
        }
    }

    fn return_unstarted(&mut self, number: u64, context: &mut Context<'_>) {
        let Some(call) = self.calls.remove(&number) else {
            return;
        };
        self.pools[call.pool].waiting.retain(|&waiting| waiting != number);
        context.add(Event::Finished { call: number, ending: Ending::PutBack });
        self.engine.complete(self.now(context), call.job.id, Outcome::NotStarted, call.job.messages);
    }
}
