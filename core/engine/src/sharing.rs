//! Transactions of several jobs that commit together.
//!
//! Called by the engine on its one thread. Where a topic shares commits, its transactions wait in line until they have
//! `max_messages` messages, the first one has waited for `longest`, its partition is given up, or nobody is left who could
//! join: every seat has a job that waits in line. One whose commit is under way is waited for, too: it comes back soon, and
//! those who take turns would never meet otherwise. Then all of them commit as one, over partitions, each
//! partition with the whole state of its ledger.
//!
//! Guarantees: a partition has one commit on its way, so its transactions follow each other; who asks to be alone is; nobody
//! waits for company that cannot come.

use std::collections::VecDeque;
use std::time::Duration;

use crate::action::Action;
use crate::assignment::{AssignmentId, Stage, TopicId};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::JobKind;
use crate::record::Record;
use crate::timers::Timer;
use crate::transaction::TransactionId;

/// When the transactions of a topic's jobs commit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Most messages that a commit marks; one transaction may exceed it alone.
    pub max_messages: u32,
    /// How long the first one waits for others at most.
    pub longest: Duration,
}

#[derive(Debug)]
struct Place {
    assignment: AssignmentId,
    transaction: TransactionId,
    messages: u64,
    since: Instant,
    alone: bool,
}

/// The transactions of a topic that wait, in the order in which they asked.
#[derive(Debug, Default)]
pub(crate) struct Line {
    places: VecDeque<Place>,
    /// For when there is a timer.
    timer: Option<Instant>,
}

impl<M: Record> Engine<M> {
    /// A transaction waits for others, where its topic shares commits.
    pub(crate) fn line_up(
        &mut self,
        topic: TopicId,
        assignment: AssignmentId,
        transaction: TransactionId,
        messages: u64,
        alone: bool,
    ) {
        let shares = self.topics.get(topic.0 as usize).is_some_and(|options| options.sharing.is_some());
        if let Some(line) = self.lines.get_mut(topic.0 as usize).filter(|_| shares) {
            line.places.push_back(Place { assignment, transaction, messages, since: self.clock, alone });
        }
    }

    /// A job of a topic ended: perhaps nobody is left for whom others wait.
    pub(crate) fn one_less_to_join(&mut self, topic: TopicId) {
        if self.lines.get(topic.0 as usize).is_some_and(|line| !line.places.is_empty()) {
            self.share(topic);
        }
    }

    /// Lets those commit that need not wait any more.
    pub(crate) fn share(&mut self, topic: TopicId) {
        let Some(sharing) = self.topics.get(topic.0 as usize).and_then(|options| options.sharing) else { return };
        while let Some(chosen) = self.next_to_share(topic, sharing) {
            let mut parts: Vec<(AssignmentId, Vec<_>)> = Vec::new();
            for (id, transaction) in chosen {
                let waiting = self.assignments.get_mut(id).and_then(|found| found.commits.offsets.take(transaction));
                match parts.iter_mut().find(|(assignment, _)| *assignment == id) {
                    Some((_, together)) => together.extend(waiting),
                    None => parts.push((id, waiting.into_iter().collect())),
                }
            }
            let parts: Vec<_> = parts.into_iter().filter_map(|(id, waiting)| self.open_offsets(id, waiting)).collect();
            if !parts.is_empty() {
                self.actions.push_back(Action::Offsets(parts));
            }
        }
    }

    /// Takes those out of line that commit together now.
    fn next_to_share(&mut self, topic: TopicId, sharing: Sharing) -> Option<Vec<(AssignmentId, TransactionId)>> {
        let company = self.could_join(topic);
        let line = self.lines.get_mut(topic.0 as usize)?;
        let (most, mut messages) = (u64::from(sharing.max_messages), 0);
        let (mut chosen, mut due, mut is_ready) = (Vec::new(), Instant::NEVER, !company);
        line.places.retain(|place| {
            let found = self.assignments.get(place.assignment);
            found.is_some_and(|found| found.commits.offsets.waits(place.transaction))
        });
        for (at, place) in line.places.iter().enumerate() {
            let Some(assignment) = self.assignments.get(place.assignment) else { continue };
            if assignment.commits.is_on_its_way() || place.alone && !chosen.is_empty() {
                continue;
            }
            if !chosen.is_empty() && messages + place.messages > most {
                is_ready = true;
                break;
            }
            messages += place.messages;
            due = due.min(place.since + sharing.longest);
            is_ready |= place.alone || messages >= most || assignment.stage != Stage::Active;
            chosen.push(at);
            if place.alone {
                break;
            }
        }
        if chosen.is_empty() {
            return None;
        }
        if !is_ready && due > self.clock {
            if line.timer != Some(due) {
                line.timer = Some(due);
                self.timers.set(due, Timer::Sharing(topic));
            }
            return None;
        }
        let mut taken = Vec::with_capacity(chosen.len());
        for at in chosen.into_iter().rev() {
            taken.extend(line.places.remove(at).map(|place| (place.assignment, place.transaction)));
        }
        taken.reverse();
        Some(taken)
    }

    /// Whether a job of the topic runs that may still ask, or ask again. Of jobs that no seat has begun none will, as long as those
    /// on the seats wait.
    fn could_join(&self, topic: TopicId) -> bool {
        let Some(pool) = self.topics.get(topic.0 as usize).map(|options| options.pool) else { return false };
        let (mut of_topic, mut asking) = (false, 0);
        for job in self.jobs.iter() {
            let other = self.topics.get(job.topic.0 as usize).is_some_and(|options| options.pool != pool);
            if other {
                continue;
            }
            asking += u32::from(job.asks);
            of_topic |= job.topic == topic
                && job.kind == JobKind::Handle
                && !job.asks
                && self.assignments.get(job.assignment).is_some();
        }
        of_topic && self.scheduler.on_seats(pool) > asking
    }
}
