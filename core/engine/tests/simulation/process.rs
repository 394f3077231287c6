//! One process: the real engine, driven as the runtime drives it, with seats in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use karafka_engine::{
    Action, AssignmentId, Engine, Extent, Instant, JobId, JobKind, Notice, Outcome, PoolId, Room, Start, TopicId,
};

use crate::broker::Message;
use crate::group::Context;
use crate::handler::{Call, Handler};
use crate::history::{Event, Owner, Part, Place};
use crate::queue::{GroupEvent, Happening, ProcessEvent};
use crate::scenario::{Fault, Scenario};

struct Held {
    id: AssignmentId,
    generation: u32,
    start: i64,
    /// The offset to be fetched next.
    position: i64,
}

struct Pool {
    id: PoolId,
    seats: u32,
    busy: u32,
    waiting: VecDeque<u64>,
}

pub struct Process {
    number: u32,
    engine: Engine<Message>,
    pools: Vec<Pool>,
    topics: Vec<TopicId>,
    held: BTreeMap<Place, Held>,
    calls: BTreeMap<u64, Call>,
    called: u64,
    handler: Handler,
    wakes_at: Option<Instant>,
    assigned: u64,
    pumped: u64,
    /// The job answered last.
    answered: Option<JobId>,
    stopping: bool,
}

impl Process {
    pub fn new(number: u32, scenario: &Scenario) -> Self {
        let mut engine = Engine::new(scenario.engine);
        let add = |&(seats, lookahead): &(u32, u32)| {
            let id = engine.add_pool(seats, lookahead);
            Pool { id, seats, busy: 0, waiting: VecDeque::new() }
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
            calls: BTreeMap::new(),
            called: u64::from(number) << 32,
            handler: Handler::of(number),
            wakes_at: None,
            assigned: 0,
            pumped: 0,
            answered: None,
            stopping: false,
        }
    }

    pub fn handle(&mut self, event: ProcessEvent, context: &mut Context<'_>) {
        let now = context.queue.now;
        match event {
            ProcessEvent::Wake => self.wakes_at = None,
            ProcessEvent::Assign { place, generation, start, metadata } => {
                self.assign(place, generation, start, &metadata, context);
            }
            ProcessEvent::Revoke { place, generation } => {
                if let Some(id) = self.held(place, generation) {
                    self.revoke(id, context);
                }
            }
            ProcessEvent::Lose { place, generation } => {
                if let Some(id) = self.held(place, generation) {
                    self.engine.lose(now, id);
                    self.held.remove(&place);
                    self.leave_when_empty(context);
                }
            }
            ProcessEvent::Midway { call } => {
                if let Some(call) = self.calls.get(&call) {
                    self.handler.midway(&mut self.engine, call, context);
                }
            }
            ProcessEvent::CallEnds { call } => self.end_call(call, context),
            ProcessEvent::LateMarks => {
                if self.handler.mark_late(&mut self.engine, context) {
                    self.plan_late_marks(context);
                }
            }
            ProcessEvent::CommitAnswered { assignment, id, result } => {
                self.engine.committed(now, assignment, id, result);
            }
            ProcessEvent::Resume => self.resume(),
            ProcessEvent::Heal => self.heal(context),
        }
        self.pump(context);
    }

    /// A fault that a user or operator may bring about.
    pub fn disturb(&mut self, fault: Fault, context: &mut Context<'_>) {
        let now = context.queue.now;
        let after = context.random.duration(Duration::from_millis(1), Duration::from_secs(3));
        let places: Vec<AssignmentId> = self.held.values().map(|held| held.id).collect();
        let place = (!places.is_empty()).then(|| context.random.pick(&places));
        match (fault, place) {
            (Fault::Stop, _) if !self.stopping => {
                self.stopping = true;
                self.engine.quiet();
                for id in places {
                    self.revoke(id, context);
                }
                self.leave_when_empty(context);
            }
            (Fault::Pause, Some(id)) => {
                let timed = context.random.chance(50);
                self.engine.pause(id, timed.then(|| now + after));
                context.queue.plan(after * 2, Happening::Process(self.number, ProcessEvent::Resume));
            }
            (Fault::Quiet, _) => {
                self.engine.quiet();
                context.queue.plan(after, Happening::Process(self.number, ProcessEvent::Resume));
            }
            (Fault::Resize, _) => {
                let pool = context.random.below(self.pools.len() as u64) as usize;
                self.pools[pool].seats = context.random.between(0, 6) as u32;
                self.engine.resize_pool(self.pools[pool].id, self.pools[pool].seats);
            }
            (Fault::CommitNow, Some(id)) => {
                self.engine.commit_now(now, id);
            }
            (Fault::UserMetadata, Some(id)) => {
                let text = context.random.next().to_string();
                self.engine.set_offset_metadata(id, context.random.chance(80).then_some(text));
            }
            _ => {}
        }
        self.pump(context);
    }

    /// The faults have ended.
    fn heal(&mut self, context: &Context<'_>) {
        for (pool, &(seats, _)) in self.pools.iter_mut().zip(&context.scenario.pools) {
            pool.seats = seats;
            self.engine.resize_pool(pool.id, seats);
        }
        self.resume();
    }

    /// For the report of a run that did not drain.
    pub fn describe(&self) -> String {
        let stopping = if self.stopping { ", stopping" } else { "" };
        let held: Vec<String> = self
            .held
            .iter()
            .map(|(place, held)| {
                let (room, queued, running) =
                    (self.engine.room(held.id), self.engine.queued(held.id), self.engine.running(held.id));
                format!("{place:?}: next {}, {room:?}, {queued} queued, {running} running", held.position)
            })
            .collect();
        format!("process {}{stopping}: {:?}, {held:#?}", self.number, self.engine.totals())
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn resume(&mut self) {
        if !self.stopping {
            self.engine.resume_all();
        }
        for held in self.held.values() {
            self.engine.resume(held.id);
        }
    }

    fn held(&self, place: Place, generation: u32) -> Option<AssignmentId> {
        self.held.get(&place).filter(|held| held.generation == generation).map(|held| held.id)
    }

    fn assign(&mut self, place: Place, generation: u32, start: Option<i64>, metadata: &str, context: &mut Context<'_>) {
        if self.stopping {
            context.ask(self.number, GroupEvent::Released { process: self.number, place, generation });
            return;
        }
        let now = context.queue.now;
        let resumes = Start { offset: start, metadata: Some(metadata) };
        let id = self.engine.assign(now, self.topics[place.topic], place.partition, resumes);
        self.assigned += 1;
        let position = start.unwrap_or(0);
        self.held.insert(place, Held { id, generation, start: position, position });
        let done = start.map(|start| karafka_engine::metadata::decode(start, metadata).done.runs().to_vec());
        let owner = Owner { process: self.number, assignment: id };
        let event = Event::Assigned { owner, place, start: position, done: done.unwrap_or_default() };
        context.history.add(now, event);
    }

    fn revoke(&mut self, id: AssignmentId, context: &mut Context<'_>) {
        let now = context.queue.now;
        let deadline = now + context.scenario.revoke_deadline;
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

    fn return_unstarted(&mut self, call: u64, context: &mut Context<'_>) {
        let Some(returned) = self.calls.remove(&call) else {
            return;
        };
        self.pools[returned.pool].waiting.retain(|&waiting| waiting != call);
        self.engine.complete(context.queue.now, returned.job.id, Outcome::NotStarted, returned.job.messages);
    }

    fn leave_when_empty(&mut self, context: &mut Context<'_>) {
        if self.stopping && self.held.is_empty() {
            context.ask(self.number, GroupEvent::Leaves { process: self.number });
        }
    }

    /// What the runtime's poller does in a round: timers, actions, fetches, jobs, until nothing moves.
    pub fn pump(&mut self, context: &mut Context<'_>) {
        let now = context.queue.now;
        loop {
            if self.engine.deadline().is_some_and(|due| due <= now) {
                self.engine.tick(now);
            }
            let acted = self.act(context);
            let fetched = self.fetch(context);
            let called = self.call(context);
            if !(acted || fetched || called) {
                break;
            }
        }
        self.look(context);
        if let Some(due) = self.engine.deadline()
            && self.wakes_at.is_none_or(|wakes_at| due < wakes_at)
        {
            let late = context.random.chance(5).then(|| context.latency());
            let at = due + late.unwrap_or_default();
            self.wakes_at = Some(at);
            context.queue.plan_at(at, Happening::Process(self.number, ProcessEvent::Wake));
        }
    }

    fn act(&mut self, context: &mut Context<'_>) -> bool {
        let mut acted = false;
        while let Some(action) = self.engine.next_action() {
            acted = true;
            match action {
                Action::Commit { assignment, id, position, metadata, .. } => {
                    let place = self.held.iter().find(|(_, held)| held.id == assignment);
                    let Some((&place, held)) = place else { continue };
                    let generation = held.generation;
                    let process = self.number;
                    let commit = GroupEvent::Commit { process, place, generation, assignment, id, position, metadata };
                    context.ask(process, commit);
                }
                Action::Release { assignment } => {
                    let place = self.held.iter().find(|(_, held)| held.id == assignment);
                    let Some((&place, held)) = place else { continue };
                    let generation = held.generation;
                    self.held.remove(&place);
                    context.ask(self.number, GroupEvent::Released { process: self.number, place, generation });
                    self.leave_when_empty(context);
                }
                Action::Dropped(messages) => self.engine.recycle(messages),
                Action::Notice(notice @ (Notice::MessagesMissing { .. } | Notice::OffsetRefused { .. })) => {
                    self.defect(format!("{notice:?}"), context);
                }
                Action::Notice(_) => {}
            }
        }
        acted
    }

    fn fetch(&mut self, context: &mut Context<'_>) -> bool {
        let mut fetched = false;
        for (&place, held) in &mut self.held {
            let Room { messages, bytes } = self.engine.room(held.id);
            if messages == 0 {
                continue;
            }
            let count = u64::from(messages).min(context.random.between(1, 40));
            let back = if context.random.chance(context.scenario.repeated_fetches) { 3 } else { 0 };
            let from = (held.position - back).max(held.start);
            let batch = context.broker.fetch(place, from, count as usize, bytes);
            let Some(last) = batch.last() else { continue };
            let next = last.0.offset + 1;
            fetched = true;
            held.position = held.position.max(next);
            self.engine.deliver(context.queue.now, held.id, batch);
        }
        fetched
    }

    fn call(&mut self, context: &mut Context<'_>) -> bool {
        let mut called = false;
        for pool in 0..self.pools.len() {
            while let Some(job) = self.engine.next_job(context.queue.now, self.pools[pool].id) {
                called = true;
                self.called += 1;
                let topic = self.topics.iter().position(|topic| *topic == job.topic).unwrap_or_default();
                let place = Place { topic, partition: job.partition };
                self.calls.insert(self.called, Call { job, place, pool, started: false });
                self.pools[pool].waiting.push_back(self.called);
            }
            while self.pools[pool].busy < self.pools[pool].seats
                && let Some(call) = self.pools[pool].waiting.pop_front()
            {
                called = true;
                if !context.healed && context.random.chance(1) {
                    self.return_unstarted(call, context);
                } else {
                    self.start_call(call, context);
                }
            }
        }
        called
    }

    fn start_call(&mut self, number: u64, context: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.started = true;
        self.pools[call.pool].busy += 1;
        let takes = Handler::duration(call, context);
        context.queue.plan(takes, Happening::Process(self.number, ProcessEvent::CallEnds { call: number }));
        if call.job.kind == JobKind::Key {
            return;
        }
        let offsets = |start: u32, len: u32| {
            let messages = &call.job.messages[start as usize..(start + len) as usize];
            messages.iter().map(|message| message.0.offset).collect()
        };
        let part = |group: &karafka_engine::Group| Part {
            virtual_partition: group.virtual_partition,
            offsets: offsets(group.start, group.len),
        };
        let parts = call.job.groups.iter().map(part).collect();
        let owner = Owner { process: self.number, assignment: call.job.assignment };
        context.history.add(context.queue.now, Event::Started { call: number, owner, place: call.place, parts });
        if context.random.chance(20) {
            let midway = ProcessEvent::Midway { call: number };
            context.queue.plan(takes / 2, Happening::Process(self.number, midway));
        }
    }

    fn end_call(&mut self, number: u64, context: &mut Context<'_>) {
        let Some(call) = self.calls.remove(&number) else { return };
        self.pools[call.pool].busy -= 1;
        let outcome = match call.job.kind {
            JobKind::Key => Handler::keys(&call, context),
            JobKind::Handle => {
                let outcome = self.handler.finish(&mut self.engine, &call, context);
                context.history.add(context.queue.now, Event::Finished { call: number });
                if self.handler.has_late_marks() {
                    self.plan_late_marks(context);
                }
                outcome
            }
        };
        // The messages of a successful job may stay with the worker.
        let keeps = outcome == Outcome::Done && context.random.chance(50);
        let messages = if keeps { Vec::new() } else { call.job.messages };
        self.engine.complete(context.queue.now, call.job.id, outcome, messages);
        // An answer given twice, or a mark after it, must change nothing.
        if let Some(id) = self.answered.replace(call.job.id).filter(|_| context.random.chance(10)) {
            self.engine.complete(context.queue.now, id, Outcome::Done, Vec::new());
            if self.engine.mark(id, 0, Extent::Prefix) {
                self.defect("a completed job was marked".to_owned(), context);
            }
        }
    }

    fn plan_late_marks(&self, context: &mut Context<'_>) {
        let after = context.random.duration(Duration::from_millis(1), Duration::from_secs(2));
        context.queue.plan(after, Happening::Process(self.number, ProcessEvent::LateMarks));
    }

    /// What must hold after every round.
    fn look(&mut self, context: &mut Context<'_>) {
        for stall in self.engine.stalls(context.queue.now) {
            self.defect(format!("stall: {stall}"), context);
        }
        self.pumped += 1;
        if self.pumped.is_multiple_of(16)
            && let Err(problem) = self.engine.check()
        {
            self.defect(problem, context);
        }
        for (place, held) in &self.held {
            let window = context.scenario.topics[place.topic].options.window;
            let log = context.broker.logs.get(place).map_or(&[][..], |log| &log.entries);
            let beyond = self.engine.position(held.id).map_or(0, |position| {
                let below = |offset: i64| log.partition_point(|message| message.0.offset < offset);
                below(held.position) - below(position)
            });
            if beyond > window as usize {
                self.defect(format!("{beyond} messages read beyond the position of {place:?}"), context);
            }
        }
        let held = self.engine.totals().held_messages;
        let limit = context.scenario.engine.memory_budget_messages + self.assigned;
        if held > limit {
            self.defect(format!("{held} messages held, the budget allows {limit}"), context);
        }
    }

    fn defect(&self, problem: String, context: &mut Context<'_>) {
        context.history.add(context.queue.now, Event::Defect { process: self.number, problem });
    }
}
