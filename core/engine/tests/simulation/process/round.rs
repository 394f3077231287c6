//! What the runtime's poller does in a round: timers, actions, fetches, jobs, until nothing moves.

use std::time::Duration;

use karafka_engine::{Action, Extent, Group, Instant, JobKind, Notice, Outcome, Room, Verdict, metadata};

use super::Process;
use crate::broker::{Log, Message};
use crate::group::Context;
use crate::handler::{Call, Handler};
use crate::history::{End, Ending, Event, HandedOut, Owner, Part, Place, Text};
use crate::intake::{self, Intake};
use crate::queue::{CommitRequest, GroupEvent, Happening, ProcessEvent};
use crate::scheduling::value_of;

impl Process {
    pub fn pump(&mut self, context: &mut Context<'_>) {
        let now = self.look_at_clock(context);
        loop {
            if self.engine.deadline().is_some_and(|due| due <= now) {
                self.engine.tick(now);
            }
            let acted = self.act(context);
            let fetched = self.fetch(context);
            let called = self.call(context);
            // Where all that waited turned out to be done, there is room although there is no job.
            let dropped = self.act(context);
            if !(acted || fetched || called || dropped) {
                break;
            }
        }
        self.look(context);
        let due = self.engine.deadline().map(|due| Instant::from_nanos(0) + due.since(Instant::START + self.ahead));
        if let Some(due) = due.filter(|due| self.wakes_at.is_none_or(|wakes_at| *due < wakes_at)) {
            let late = context.random.chance(5).then(|| context.latency());
            let at = due + late.unwrap_or_default();
            self.wakes_at = Some(at);
            context.queue.plan_at(at, Happening::Process(self.number, ProcessEvent::Wake));
        }
    }

    pub(super) fn act(&mut self, context: &mut Context<'_>) -> bool {
        let mut acted = false;
        let mut actions: Vec<_> = std::iter::from_fn(|| self.engine.next_action()).collect();
        // That messages expired is told before the commit that passes them.
        actions.sort_by_key(|action| !matches!(action, Action::Dropped(_)));
        for action in actions {
            acted = true;
            match action {
                Action::Commit { assignment, id, position, metadata, .. } => {
                    let place = self.held.iter().find(|(_, held)| held.id == assignment);
                    let Some((&place, held)) = place else { continue };
                    let (process, generation, log_epoch) = (self.number, held.generation, held.log_epoch);
                    let done = metadata::decode(position, &metadata).done.runs().to_vec();
                    let owner = self.owner(assignment);
                    let text = Text { text: metadata.clone(), user: self.handler.text_at(assignment, position) };
                    context.add(Event::Asked { owner, place, id, position, done, text });
                    let request =
                        CommitRequest { process, place, generation, log_epoch, owner, id, position, metadata };
                    context.ask(process, GroupEvent::Commit(request));
                }
                Action::Offsets(parts) => self.send_offsets(parts, context),
                Action::OffsetsRefused { assignment, transaction } => self.refused((assignment, transaction), context),
                Action::Release { assignment } => {
                    let place = self.held.iter().find(|(_, held)| held.id == assignment);
                    let Some((&place, held)) = place else { continue };
                    let (process, generation) = (self.number, held.generation);
                    let is_long = context.scenario.topics[place.topic].options.long_running_job;
                    let overdue = is_long || held.deadline.is_some_and(|deadline| deadline <= self.now(context));
                    self.forget(place, End::Released { overdue }, context);
                    context.ask(process, GroupEvent::Released { process, place, generation });
                    self.leave_when_empty(context);
                }
                Action::Dropped(messages) => {
                    intake::dropped(self.clock(context), &messages, context);
                    self.engine.recycle(messages);
                }
                Action::DeadLetter { assignment, id, message, attempts } => {
                    self.send_letter(assignment, id, message, attempts, context);
                }
                Action::Notice(notice @ Notice::GivenUp { job, .. }) => {
                    let call = self.ended.get(&job).copied();
                    self.given_up(&notice, call, context);
                }
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
        let places: Vec<Place> = if context.is_outage() { Vec::new() } else { self.held.keys().copied().collect() };
        for place in places {
            let Some(log) = context.broker.logs.get(&place) else { continue };
            let Some(held) = self.held.get_mut(&place) else { continue };
            let Room { messages, bytes } = self.engine.room(held.id);
            if messages == 0 {
                continue;
            }
            let known = held.position.max(held.marked_until);
            let reset = log.reset(known, held.position, held.log_epoch, context.healed);
            if reset.is_none() && held.log_epoch != log.epoch {
                held.log_epoch = log.epoch;
                let owner = Owner { process: self.number, assignment: held.id, era: held.era };
                context.history.add(context.queue.now, Event::Followed { owner, place });
            }
            let count = u64::from(messages).min(context.random.between(1, 40));
            let back = if context.random.chance(context.scenario.repeated_fetches) { 3 } else { 0 };
            let first = reset.unwrap_or_else(|| (held.position - back).max(held.start));
            let batch = context.broker.fetch(place, first, count as usize, bytes);
            let Some((first, last)) = batch.first().zip(batch.last()) else { continue };
            let (first, next) = (first.0.offset, last.0.offset + 1);
            fetched = true;
            if reset.is_some() {
                self.begin_anew(place, first, context);
                // What was read lies behind records that are not done.
                if self.held.get(&place).is_some_and(|held| held.position < first) {
                    continue;
                }
            }
            let now = self.now(context);
            if let Some(held) = self.held.get_mut(&place) {
                held.position = held.position.max(next);
                let owner = Owner { process: self.number, assignment: held.id, era: held.era };
                let segment = context.scenario.topics[place.topic].options.segment;
                let is_elsewhere = |message: &&Message| segment.is_some_and(|segment| !segment.holds(*message));
                let elsewhere: Vec<i64> = batch.iter().filter(is_elsewhere).map(|message| message.0.offset).collect();
                let id = held.id;
                if context.scenario.topics[place.topic].intake.on {
                    let records = batch.iter().map(|message| (message.0.offset, message.0.timestamp)).collect();
                    context.add(Event::Read { owner, place, clock: self.clock(context), records });
                }
                self.engine.deliver(now, id, batch);
                for offset in elsewhere {
                    context.add(Event::Passed { owner, place, offset });
                    context.add(Event::Done { owner, place, offset });
                }
                let ends = context.broker.logs.get(&place).and_then(Log::last_readable).is_none_or(|last| last < next);
                if ends && context.random.chance(context.scenario.topics[place.topic].ends_told) {
                    self.engine.reach_end(now, id);
                }
            }
        }
        fetched
    }

    fn call(&mut self, context: &mut Context<'_>) -> bool {
        let mut called = false;
        for pool in 0..self.pools.len() {
            while let Some(job) = self.next_job(pool, context) {
                called = true;
                self.called += 1;
                let topic = self.topics.iter().position(|topic| *topic == job.topic).unwrap_or_default();
                let place = Place { topic, partition: job.partition };
                if context.scenario.topics[topic].intake.on {
                    // What had expired was let go of before the job was made.
                    self.act(context);
                }
                let part = |group: &Group| {
                    let messages = &job.messages[group.start as usize..(group.start + group.len) as usize];
                    let offsets = messages.iter().map(|message| message.0.offset).collect();
                    Part { virtual_partition: group.virtual_partition, offsets }
                };
                let parts = job.groups.iter().map(part).collect();
                let owner = self.owner(job.assignment);
                let attempt = |index| job.attempts.get(index).copied().unwrap_or(1);
                let attempts = (0..job.messages.len()).map(attempt).collect();
                let (plan, seed) = (&context.scenario.topics[topic], context.scenario.engine.hash_seed);
                let kind = job.kind;
                let handles = kind == JobKind::Handle;
                let values =
                    job.messages.iter().filter(|_| handles).filter_map(|message| value_of(message, plan, seed));
                let values = values.collect();
                let is_hook = !matches!(kind, JobKind::Handle | JobKind::Key | JobKind::Unique);
                let consumer = job.groups.first().filter(|_| is_hook).map(|group| group.virtual_partition);
                let parts = if is_hook { Vec::new() } else { parts };
                let handed_out = HandedOut { kind, owner, place, pool, attempts, consumer, parts, values };
                context.add(Event::HandedOut { call: self.called, job: handed_out });
                self.look_at_job(&job, context);
                self.look_at_segment(topic, &job, context);
                self.tell_clock(self.called, place, false, context);
                self.calls.insert(self.called, Call { job, owner, place, pool, started: false, paused: false });
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
        let (id, place, tells) = (call.job.id, call.place, call.job.tell_start && !number.is_multiple_of(10));
        self.pools[call.pool].busy += 1;
        let takes = Handler::duration(call, context);
        context.queue.plan(takes, Happening::Process(self.number, ProcessEvent::CallEnds { call: number }));
        let kind = call.job.kind;
        context.add(Event::Started { call: number });
        self.tell_clock(number, place, true, context);
        if tells {
            let now = self.now(context);
            self.engine.started(now, id, now);
        }
        let is_transactional = context.scenario.topics[place.topic].transactional;
        if kind == JobKind::Handle && !is_transactional && context.random.chance(20) {
            let midway = ProcessEvent::Midway { call: number };
            context.queue.plan(takes / 2, Happening::Process(self.number, midway));
        }
    }

    fn tell_clock(&self, call: u64, place: Place, begins: bool, context: &mut Context<'_>) {
        if context.scenario.topics[place.topic].intake.on {
            context.add(Event::Clocked { call, begins, clock: self.clock(context) });
        }
    }

    pub(super) fn end_call(&mut self, number: u64, context: &mut Context<'_>) {
        if self.commits_in_transaction(number, context) {
            return;
        }
        let Some(call) = self.calls.remove(&number) else { return };
        let outcome = match call.job.kind {
            JobKind::Key | JobKind::Unique => Handler::keys(&call, context),
            JobKind::Filter => Intake::verdicts(call.owner, call.place, &call.job, context),
            JobKind::Tick | JobKind::Eofed | JobKind::Revoked | JobKind::Shutdown => Handler::hook(context),
            JobKind::Handle => {
                let outcome = self.handler.finish(&mut self.engine, &call, context);
                if self.handler.has_late_marks() {
                    self.plan_late_marks(context);
                }
                outcome
            }
        };
        self.return_call(number, call, outcome, context);
    }

    /// Gives a call that was started back to the engine.
    pub(super) fn return_call(&mut self, number: u64, call: Call, outcome: Outcome, context: &mut Context<'_>) {
        self.pools[call.pool].busy -= 1;
        let ending = if let Outcome::Failed { verdict, culprit } = outcome
            && call.job.kind == JobKind::Handle
        {
            let culprit = culprit.and_then(|index| call.job.messages.get(index as usize));
            context.add(Event::Said { call: number, verdict, culprit: culprit.map(|message| message.0.offset) });
            Ending::Failed
        } else {
            Ending::Done
        };
        context.add(Event::Finished { call: number, ending });
        // The messages of a successful job may stay with the worker.
        let keeps = outcome == Outcome::Done && !call.paused && context.random.chance(50);
        let messages = if keeps { Vec::new() } else { call.job.messages };
        let now = self.now(context);
        let critical = matches!(outcome, Outcome::Failed { verdict: Verdict::Critical, .. });
        self.ended(call.job.id, number);
        self.engine.complete(now, call.job.id, outcome, messages);
        self.act(context);
        if critical && !self.stopping {
            self.at_its_end = true;
            self.stop(context);
        }
        // An answer given twice, or a mark after it, must change nothing.
        if let Some(id) = self.answered.replace(call.job.id).filter(|_| context.random.chance(10)) {
            self.engine.complete(now, id, Outcome::Done, Vec::new());
            if self.engine.mark(id, 0, Extent::Prefix) {
                self.defect("a completed job was marked".to_owned(), context);
            }
        }
    }

    pub(super) fn plan_late_marks(&self, context: &mut Context<'_>) {
        let after = context.random.duration(Duration::from_millis(1), Duration::from_secs(2));
        context.queue.plan(after, Happening::Process(self.number, ProcessEvent::LateMarks));
    }
}
