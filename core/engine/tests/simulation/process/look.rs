//! What must hold after every round, and what a process says of itself when a run did not drain.

use karafka_engine::{Job, JobKind};

use super::Process;
use crate::broker::Message;
use crate::group::Context;
use crate::history::Event;

impl Process {
    pub(super) fn look(&mut self, context: &mut Context<'_>) {
        for stall in self.engine.stalls(self.now(context)) {
            self.defect(format!("stall: {stall}"), context);
        }
        self.pumped += 1;
        if self.pumped.is_multiple_of(16)
            && let Err(problem) = self.engine.check()
        {
            self.defect(problem, context);
        }
        // Nothing is lost between the engine and who runs its jobs.
        for (number, pool) in self.pools.iter().enumerate() {
            let here = self.calls.values().filter(|call| call.pool == number).count();
            let out = self.engine.jobs_out(pool.id);
            if out as usize != here {
                self.defect(format!("the engine counts {out} jobs out of pool {number}, there are {here}"), context);
            }
        }
        for (place, held) in &self.held {
            let window = context.scenario.topics[place.topic].options.window;
            // Of a log that was cut, it may have read what is not there any more.
            let Some(log) = context.broker.logs.get(place).filter(|log| log.epoch == held.log_epoch) else { continue };
            let log = &log.entries;
            let beyond = self.engine.position(held.id).map_or(0, |position| {
                let below = |offset: i64| log.partition_point(|message| message.0.offset < offset);
                below(held.position).saturating_sub(below(position))
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

    /// A job holds at least one message, and its groups are all of it.
    pub(super) fn look_at_job(&self, job: &Job<Message>, context: &mut Context<'_>) {
        let grouped: u32 = job.groups.iter().map(|group| group.len).sum();
        let whole = job.kind != JobKind::Handle || grouped as usize == job.messages.len();
        if matches!(job.kind, JobKind::Tick | JobKind::Eofed | JobKind::Revoked | JobKind::Shutdown) {
            if !job.messages.is_empty() || job.groups.len() > 1 {
                self.defect(format!("a call without messages has {} in {:?}", job.messages.len(), job.groups), context);
            }
            return;
        }
        let empty = job.messages.is_empty() || job.groups.iter().any(|group| group.len == 0);
        let ascending = job.groups.iter().all(|group| {
            let messages = &job.messages[group.start as usize..(group.start + group.len) as usize];
            messages.is_sorted_by(|before, after| before.0.offset < after.0.offset)
        });
        let topic = self.topics.iter().position(|topic| *topic == job.topic).unwrap_or_default();
        let size: u64 = job.messages.iter().map(|message| u64::from(message.0.bytes)).sum();
        let most = context.scenario.topics[topic].options.max_bytes;
        if job.kind == JobKind::Handle && size > most && job.messages.len() > 1 {
            self.defect(
                format!("a job of {} messages has {size} bytes, {most} are allowed", job.messages.len()),
                context,
            );
        }
        let first = job.attempts.first().copied().unwrap_or(1);
        let counted = job.attempts.is_empty() || job.attempts.len() == job.messages.len();
        if empty || !whole || !ascending || !counted || job.attempt != first {
            self.defect(format!("a job of {} messages in {:?}", job.messages.len(), job.groups), context);
        }
    }

    /// Nothing of another segment is handed out.
    pub(super) fn look_at_segment(&self, topic: usize, job: &Job<Message>, context: &mut Context<'_>) {
        let Some(segment) = context.scenario.topics[topic].options.segment else { return };
        let foreign = job.messages.iter().filter(|message| !segment.holds(*message)).count();
        if foreign > 0 {
            self.defect(format!("a job holds {foreign} messages of another segment than {segment:?}"), context);
        }
    }

    pub(super) fn defect(&self, problem: String, context: &mut Context<'_>) {
        context.add(Event::Defect { process: self.number, problem });
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
}
