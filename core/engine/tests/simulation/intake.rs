//! Intake policies in the simulation: which a topic has, what timestamps its records have, what the wall clocks of the
//! processes say, and what the user's filter answers.

use std::time::Duration;

use karafka_engine::{FilterAnswer, Instant, Job, Outcome, Throttle, TopicOptions};

use crate::broker::Message;
use crate::group::Context;
use crate::history::{Clock, Event, Owner, Place};
use crate::random::Random;
use crate::scenario::{Fault, Topic};

const MILLISECOND: Duration = Duration::from_millis(1);
const THREE_HOURS: i64 = 3 * 3_600_000;

/// What the wall clock of the world says, in milliseconds.
pub fn wall(now: Instant) -> i64 {
    1_700_000_000_000 + now.as_nanos() as i64 / 1_000_000
}

/// What a topic's policies meet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Intake {
    /// Whether one is on; only then records have timestamps.
    pub on: bool,
    /// Percent of the records without a timestamp, or with a nonsensical one.
    wrong: u64,
    /// How old records are when they are appended, at most.
    oldest: u64,
    /// Percent of the records that the filter skips.
    skips: u64,
    /// Percent of the filter's calls that fail, and of its answers.
    failures: u64,
}

impl Intake {
    /// Policies for half of the seeds, from chance of their own: what the other seeds do does not depend on it.
    pub fn spread(seed: u64, topics: &mut [Topic], faults: &mut Vec<Fault>) {
        let random = &mut Random::new(seed ^ 0x1a7a_c0de);
        if random.chance(55) {
            return;
        }
        for topic in topics {
            topic.intake = Self::any(random, &mut topic.options);
        }
        if random.chance(40) {
            faults.push(Fault::SetClock);
        }
    }

    fn any(random: &mut Random, options: &mut TopicOptions) -> Self {
        if random.chance(50) {
            options.delay_by = random.duration(MILLISECOND, 3_000 * MILLISECOND);
        }
        if random.chance(40) {
            options.expire_in = Some(random.duration(50 * MILLISECOND, 60_000 * MILLISECOND));
        }
        if random.chance(50) {
            let interval = random.duration(MILLISECOND, 3_000 * MILLISECOND);
            options.throttle = Some(Throttle { limit: random.pick(&[1, 2, 5, 20, 1_000_000]), interval });
        }
        options.filter = random.chance(50);
        Self {
            on: true,
            wrong: random.pick(&[0, 0, 5, 50]),
            oldest: random.pick(&[1, 1_000, 60_000]),
            skips: random.pick(&[0, 20, 60, 100]),
            failures: random.pick(&[0, 0, 20]),
        }
    }

    /// The timestamp of a record that is appended.
    pub fn timestamp(&self, wall: i64, random: &mut Random) -> Option<i64> {
        if !self.on {
            return None;
        }
        if random.chance(self.wrong) {
            return random.pick(&[None, Some(i64::MAX), Some(i64::MIN), Some(0), Some(wall + THREE_HOURS)]);
        }
        let ahead = if random.chance(10) { random.below(5_000) as i64 } else { 0 };
        Some(wall + ahead - random.below(self.oldest) as i64)
    }

    /// Whether the filter skips a record: every process says the same.
    fn skips(&self, message: &Message) -> bool {
        Random::new(message.0.offset as u64).chance(self.skips)
    }

    /// What the filter answers; it tells the history what it skips.
    pub fn verdicts(owner: Owner, place: Place, job: &Job<Message>, context: &mut Context<'_>) -> Outcome {
        let intake = context.scenario.topics[place.topic].intake;
        if context.random.chance(intake.failures) {
            return if context.random.chance(50) { Outcome::FAILED } else { Outcome::Filtered(Vec::new()) };
        }
        let mut skipped = Vec::new();
        let mut verdicts = Vec::new();
        for message in &job.messages {
            verdicts.push(if context.random.chance(intake.failures) {
                FilterAnswer::Failed
            } else if intake.skips(message) {
                skipped.push(message.clone());
                FilterAnswer::Skip
            } else {
                FilterAnswer::Keep
            });
        }
        removed(place, &skipped, context);
        let offsets = skipped.iter().map(|message| message.0.offset).collect();
        context.add(Event::Skipped { owner, place, offsets });
        Outcome::Filtered(verdicts)
    }
}

/// How far ahead of the world's a wall clock is that somebody sets: a little wrong, or so much that nothing can be told by it.
pub fn set_clock(random: &mut Random) -> i64 {
    let little = random.below(10_000) as i64 - 5_000;
    random.pick(&[0, 0, little, little, THREE_HOURS, -THREE_HOURS])
}

/// The engine let go of messages: those that have expired need not be handled by anybody.
pub fn dropped(clock: Clock, messages: &[Message], context: &mut Context<'_>) {
    for (topic, partitions) in context.scenario.topics.iter().map(|topic| topic.partitions).enumerate() {
        let expire_in = context.scenario.topics[topic].options.expire_in;
        for place in (0..partitions).map(|partition| Place { topic, partition }) {
            let expired = |message: &&Message| message.0.place == place && is_expired(message, expire_in, clock.wall);
            let expired: Vec<Message> = messages.iter().filter(expired).cloned().collect();
            removed(place, &expired, context);
        }
    }
}

fn is_expired(message: &Message, expire_in: Option<Duration>, wall: i64) -> bool {
    let oldest = expire_in.map(|expire_in| wall - expire_in.as_millis() as i64);
    oldest.is_some_and(|oldest| message.0.timestamp.is_some_and(|timestamp| timestamp < oldest))
}

/// Nobody needs to handle these; not those, of course, that came in the place of messages that were cut off.
fn removed(place: Place, messages: &[Message], context: &mut Context<'_>) {
    let Some(log) = context.broker.logs.get(&place) else { return };
    let is_there = |message: &&Message| {
        let found = log.entries.binary_search_by_key(&message.0.offset, |entry| entry.0.offset);
        found.is_ok_and(|at| std::rc::Rc::ptr_eq(&log.entries[at].0, &message.0))
    };
    let mut offsets: Vec<i64> = messages.iter().filter(is_there).map(|message| message.0.offset).collect();
    if !offsets.is_empty() {
        offsets.sort_unstable();
        offsets.dedup();
        context.add(Event::Removed { place, offsets });
    }
}
