//! What the user's code does in a call: how long it takes, what it marks, whether it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::{AssignmentId, Engine, Extent, Job, Outcome};

use crate::broker::{Message, partitioner};
use crate::group::Context;
use crate::history::{Event, Owner, Place};

/// A job on its way through a seat.
pub struct Call {
    pub job: Job<Message>,
    pub place: Place,
    pub pool: usize,
    pub started: bool,
}

/// A message that a handler returned from without marking it; it kept a handle.
struct Late {
    place: Place,
    assignment: AssignmentId,
    virtual_partition: u64,
    offset: i64,
}

/// The user's code in one process, with what it remembers.
pub struct Handler {
    process: u32,
    late: Vec<Late>,
    failures: BTreeMap<(Place, i64), u8>,
}

impl Handler {
    pub fn of(process: u32) -> Self {
        Self { process, late: Vec::new(), failures: BTreeMap::new() }
    }

    pub fn duration(call: &Call, context: &mut Context<'_>) -> Duration {
        let (shortest, longest) = context.scenario.topics[call.place.topic].handling;
        let usual = context.random.duration(shortest, longest);
        // Some calls take very long, whatever the message.
        if context.random.chance(1) { usual * 30 } else { usual }
    }

    /// Marks something in the middle of a call.
    pub fn midway(&mut self, engine: &mut Engine<Message>, call: &Call, context: &mut Context<'_>) {
        let index = context.random.below(call.job.messages.len() as u64) as u32;
        let extent = if context.random.chance(50) { Extent::Message } else { Extent::Prefix };
        self.mark(engine, call, index, extent, context);
    }

    /// The end of a call: what it marks on its last steps, and how it ends.
    pub fn finish(&mut self, engine: &mut Engine<Message>, call: &Call, context: &mut Context<'_>) -> Outcome {
        let Some(at) = self.fails_at(call, context) else {
            self.succeed(engine, call, context);
            return Outcome::Done;
        };
        let extent = if context.random.chance(50) { Extent::Message } else { Extent::Prefix };
        let marks = context.random.chance(50);
        for index in (0..at).filter(|_| marks) {
            self.mark(engine, call, index, extent, context);
        }
        // It handed some to others, who mark them by and by, perhaps all before the next attempt.
        let topic = &context.scenario.topics[call.place.topic];
        if topic.options.manual_offset_management && context.random.chance(topic.late_marks) {
            self.keep(call, context);
        }
        let failing = topic.failing;
        let verdict = failing.verdict(context.random, context.healed);
        let culprit = context.random.chance(failing.named).then_some(at);
        Outcome::Failed { verdict, culprit }
    }

    /// What the partitioner answers.
    pub fn keys(call: &Call, context: &mut Context<'_>) -> Outcome {
        let topic = &context.scenario.topics[call.place.topic];
        if context.random.chance(topic.partitioner_failures) {
            return if context.random.chance(50) { Outcome::KeyFailed } else { Outcome::Keyed(Vec::new()) };
        }
        Outcome::Keyed(call.job.messages.iter().map(partitioner).collect())
    }

    /// Marks some of what was left unmarked; all of it once the faults have ended. Whether there is more.
    pub fn mark_late(&mut self, engine: &mut Engine<Message>, context: &mut Context<'_>) -> bool {
        for late in std::mem::take(&mut self.late) {
            if !context.healed && context.random.chance(50) {
                self.late.push(late);
            } else if engine.mark_offset(late.assignment, late.offset) {
                self.handled(context, late.assignment, late.place, late.offset);
                self.done(context, late.assignment, late.place, late.offset);
            }
        }
        self.has_late_marks()
    }

    /// A message was given up: nobody is through with it but the engine, and no mark of a prefix reaches it.
    pub fn given_up(&mut self, assignment: AssignmentId, offset: i64) {
        self.late.retain(|late| late.assignment != assignment || late.offset != offset);
    }

    pub fn has_late_marks(&self) -> bool {
        !self.late.is_empty()
    }

    fn fails_at(&mut self, call: &Call, context: &mut Context<'_>) -> Option<u32> {
        for (index, message) in call.job.messages.iter().enumerate() {
            let seen = self.failures.entry((call.place, message.0.offset)).or_default();
            if *seen < message.0.poison {
                *seen += 1;
                return Some(index as u32);
            }
        }
        let fails = !context.healed && context.random.chance(context.scenario.failures);
        fails.then(|| context.random.below(call.job.messages.len() as u64) as u32)
    }

    /// Keeps handles of messages of a call that failed.
    fn keep(&mut self, call: &Call, context: &mut Context<'_>) {
        let all = context.random.chance(50);
        for group in &call.job.groups {
            for message in &call.job.messages[group.start as usize..(group.start + group.len) as usize] {
                if all || context.random.chance(50) {
                    let (place, assignment, offset) = (call.place, call.job.assignment, message.0.offset);
                    let virtual_partition = group.virtual_partition;
                    self.late.push(Late { place, assignment, virtual_partition, offset });
                }
            }
        }
    }

    fn succeed(&mut self, engine: &mut Engine<Message>, call: &Call, context: &mut Context<'_>) {
        let topic = &context.scenario.topics[call.place.topic];
        let assignment = call.job.assignment;
        let owned = engine.is_owned(assignment);
        if !topic.options.manual_offset_management {
            for message in call.job.messages.iter().filter(|_| owned) {
                self.handled(context, assignment, call.place, message.0.offset);
                self.done(context, assignment, call.place, message.0.offset);
            }
            return;
        }
        for group in &call.job.groups {
            let (start, end) = (group.start, group.start + group.len);
            if context.random.chance(30) {
                self.mark(engine, call, end - 1, Extent::Prefix, context);
                continue;
            }
            for index in start..end {
                let offset = call.job.messages[index as usize].0.offset;
                if owned {
                    self.handled(context, assignment, call.place, offset);
                }
                if context.random.chance(topic.late_marks) {
                    let virtual_partition = group.virtual_partition;
                    self.late.push(Late { place: call.place, assignment, virtual_partition, offset });
                } else {
                    self.mark(engine, call, index, Extent::Message, context);
                }
            }
        }
    }

    fn mark(
        &mut self,
        engine: &mut Engine<Message>,
        call: &Call,
        index: u32,
        extent: Extent,
        context: &mut Context<'_>,
    ) {
        let job = &call.job;
        if !engine.mark(job.id, index, extent) {
            return;
        }
        let offset = job.messages[index as usize].0.offset;
        let group = job.groups.iter().find(|group| (group.start..group.start + group.len).contains(&index));
        let Some(group) = group.filter(|_| extent == Extent::Prefix) else {
            self.handled(context, job.assignment, call.place, offset);
            self.done(context, job.assignment, call.place, offset);
            return;
        };
        for message in &job.messages[group.start as usize..=index as usize] {
            self.handled(context, job.assignment, call.place, message.0.offset);
            self.done(context, job.assignment, call.place, message.0.offset);
        }
        // It reaches what earlier calls of the virtual partition left unmarked.
        let reached = |late: &Late| {
            late.assignment == job.assignment
                && late.virtual_partition == group.virtual_partition
                && late.offset < offset
        };
        let (marked, left): (Vec<Late>, Vec<Late>) = std::mem::take(&mut self.late).into_iter().partition(reached);
        self.late = left;
        for late in marked {
            self.handled(context, late.assignment, late.place, late.offset);
            self.done(context, late.assignment, late.place, late.offset);
        }
    }

    fn handled(&self, context: &mut Context<'_>, assignment: AssignmentId, place: Place, offset: i64) {
        let owner = Owner { process: self.process, assignment };
        context.history.add(context.queue.now, Event::Handled { owner, place, offset });
    }

    fn done(&self, context: &mut Context<'_>, assignment: AssignmentId, place: Place, offset: i64) {
        let owner = Owner { process: self.process, assignment };
        context.history.add(context.queue.now, Event::Done { owner, place, offset });
    }
}
