//! What the user's code does in a call: how long it takes, what it marks, whether it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::{AssignmentId, Engine, Extent, Job, JobKind, OffsetMetadata, Outcome};

use crate::broker::{Message, partitioner};
use crate::group::Context;
use crate::history::{Event, Owner, Place};
use crate::scenario::Fault;
use crate::scheduling::unique_value;
use crate::stored::Stored;

/// A job on its way through a seat.
pub struct Call {
    pub job: Job<Message>,
    pub owner: Owner,
    pub place: Place,
    pub pool: usize,
    pub started: bool,
    /// The handler paused its partition.
    pub paused: bool,
}

/// A message that a handler returned from without marking it; it kept a handle.
struct Late {
    place: Place,
    owner: Owner,
    virtual_partition: u64,
    offset: i64,
}

/// The user's code in one process, with what it remembers.
/// What it knows of an ownership.
struct Known {
    era: u32,
    stored: Stored,
}

pub struct Handler {
    known: BTreeMap<AssignmentId, Known>,
    late: Vec<Late>,
    failures: BTreeMap<(Place, i64), u8>,
}

impl Handler {
    pub fn new() -> Self {
        Self { known: BTreeMap::new(), late: Vec::new(), failures: BTreeMap::new() }
    }

    pub fn begin(&mut self, id: AssignmentId, strategy: OffsetMetadata, read: Option<String>) {
        self.known.insert(id, Known { era: 0, stored: Stored::new(strategy, read) });
    }

    /// How often the user has moved a partition in this ownership.
    pub fn era(&self, id: AssignmentId) -> u32 {
        self.known.get(&id).map_or(0, |known| known.era)
    }

    pub fn end(&mut self, id: AssignmentId) {
        self.known.remove(&id);
    }

    /// The user moved a partition: what was said of its messages does not count there.
    pub fn seek(&mut self, id: AssignmentId) {
        self.late.retain(|late| late.owner.assignment != id);
        if let Some(known) = self.known.get_mut(&id) {
            known.era += 1;
            known.stored.seek();
        }
    }

    /// The text that a commit of this position has to carry.
    pub fn text_at(&mut self, id: AssignmentId, position: i64) -> Option<String> {
        self.known.get_mut(&id)?.stored.at(position)
    }

    pub fn store(&mut self, engine: &mut Engine<Message>, id: AssignmentId, text: Option<String>) {
        if engine.set_offset_metadata(id, text.clone())
            && let Some(known) = self.known.get_mut(&id)
        {
            known.stored.store(engine.position(id).unwrap_or(0), text);
        }
    }

    /// Whether what is said under an ownership counts.
    pub fn counts(&self, engine: &Engine<Message>, owner: Owner) -> bool {
        let current = self.known.get(&owner.assignment).is_some_and(|known| known.era == owner.era);
        current && engine.is_owned(owner.assignment)
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

    /// How a call fails whose transaction is not even to be committed, if it does.
    pub fn fails_before(&mut self, call: &Call, context: &mut Context<'_>) -> Option<Outcome> {
        let at = self.fails_at(call, context)?;
        let failing = context.scenario.topics[call.place.topic].failing;
        let verdict = failing.verdict(context.random, context.healed);
        let culprit = context.random.chance(failing.named).then_some(at);
        Some(Outcome::Failed { verdict, culprit })
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
        let hands_on = topic.options.manual_offset_management && context.random.chance(topic.late_marks);
        if hands_on && self.counts(engine, call.owner) {
            self.keep(call, context);
        }
        let failing = topic.failing;
        let verdict = failing.verdict(context.random, context.healed);
        let culprit = context.random.chance(failing.named).then_some(at);
        Outcome::Failed { verdict, culprit }
    }

    /// How a call without messages ends.
    pub fn hook(context: &mut Context<'_>) -> Outcome {
        if context.random.chance(context.scenario.failures) { Outcome::FAILED } else { Outcome::Done }
    }

    /// What the partitioner answers, or the callback for unique values.
    pub fn keys(call: &Call, context: &mut Context<'_>) -> Outcome {
        let topic = &context.scenario.topics[call.place.topic];
        if context.random.chance(topic.partitioner_failures) {
            return if context.random.chance(50) { Outcome::KeyFailed } else { Outcome::Keyed(Vec::new()) };
        }
        let answer = if call.job.kind == JobKind::Unique { unique_value } else { partitioner };
        Outcome::Keyed(call.job.messages.iter().map(answer).collect())
    }

    /// Marks some of what was left unmarked; all of it once the faults have ended. Whether there is more.
    pub fn mark_late(&mut self, engine: &mut Engine<Message>, context: &mut Context<'_>) -> bool {
        for late in std::mem::take(&mut self.late) {
            if !context.healed && context.random.chance(50) {
                self.late.push(late);
            } else if engine.mark_offset(late.owner.assignment, late.offset) {
                handled(context, late.owner, late.place, late.offset);
                done(context, late.owner, late.place, late.offset);
            }
        }
        self.has_late_marks()
    }

    /// A message was given up: nobody is through with it but the engine, and no mark of a prefix reaches it.
    pub fn given_up(&mut self, assignment: AssignmentId, offset: i64) {
        self.late.retain(|late| late.owner.assignment != assignment || late.offset != offset);
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
                    let (place, owner, offset) = (call.place, call.owner, message.0.offset);
                    let virtual_partition = group.virtual_partition;
                    self.late.push(Late { place, owner, virtual_partition, offset });
                }
            }
        }
    }

    fn succeed(&mut self, engine: &mut Engine<Message>, call: &Call, context: &mut Context<'_>) {
        let topic = &context.scenario.topics[call.place.topic];
        let owner = call.owner;
        let counts = self.counts(engine, owner);
        if call.paused {
            return;
        }
        if !topic.options.manual_offset_management {
            for message in call.job.messages.iter().filter(|_| counts) {
                handled(context, owner, call.place, message.0.offset);
                done(context, owner, call.place, message.0.offset);
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
                if counts {
                    handled(context, owner, call.place, offset);
                }
                if counts && context.random.chance(topic.late_marks) {
                    let virtual_partition = group.virtual_partition;
                    self.late.push(Late { place: call.place, owner, virtual_partition, offset });
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
        let (job, owner) = (&call.job, call.owner);
        let offset = job.messages[index as usize].0.offset;
        let stores = context.scenario.faults.contains(&Fault::UserMetadata) && context.random.chance(30);
        let text = (stores && extent == Extent::Prefix).then(|| format!("{offset} {}", context.random.below(1 << 20)));
        let marked = match text.clone() {
            Some(text) => engine.mark_with_metadata(job.id, index, text),
            None => engine.mark(job.id, index, extent),
        };
        if !marked || !self.counts(engine, owner) {
            return;
        }
        if let Some((known, text)) = self.known.get_mut(&owner.assignment).zip(text) {
            known.stored.give(engine.position(owner.assignment).unwrap_or(0), offset, text);
        }
        let group = job.groups.iter().find(|group| (group.start..group.start + group.len).contains(&index));
        let Some(group) = group.filter(|_| extent == Extent::Prefix) else {
            handled(context, owner, call.place, offset);
            done(context, owner, call.place, offset);
            return;
        };
        for message in &job.messages[group.start as usize..=index as usize] {
            handled(context, owner, call.place, message.0.offset);
            done(context, owner, call.place, message.0.offset);
        }
        // It reaches what earlier calls of the virtual partition left unmarked.
        let reached = |late: &Late| {
            late.owner == owner && late.virtual_partition == group.virtual_partition && late.offset < offset
        };
        let (marked, left): (Vec<Late>, Vec<Late>) = std::mem::take(&mut self.late).into_iter().partition(reached);
        self.late = left;
        for late in marked {
            handled(context, late.owner, late.place, late.offset);
            done(context, late.owner, late.place, late.offset);
        }
    }
}

pub fn handled(context: &mut Context<'_>, owner: Owner, place: Place, offset: i64) {
    context.history.add(context.queue.now, Event::Handled { owner, place, offset });
}

pub fn done(context: &mut Context<'_>, owner: Owner, place: Place, offset: i64) {
    context.history.add(context.queue.now, Event::Done { owner, place, offset });
}
