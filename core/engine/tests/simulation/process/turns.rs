//! Whose turn it is, judged from outside at each hand-out: the higher priority goes first but for one job in sixteen, and
//! nobody waits who could run while there is a place.

use karafka_engine::{AssignmentId, Job, JobKind};

use super::Process;
use crate::broker::Message;
use crate::group::Context;
use crate::oracles::hooks::is_farewell;
use crate::queue::{Happening, ProcessEvent};
use crate::scheduling;

/// How many jobs lie at least between two that went past a higher priority.
const BETWEEN: u32 = 15;

impl Process {
    /// The next job of a pool, and what is to be said about it.
    pub(super) fn next_job(&mut self, pool: usize, context: &mut Context<'_>) -> Option<Job<Message>> {
        let judged = !context.scenario.engine.chooser;
        let before = if judged { self.could_run(pool, context) } else { Vec::new() };
        let job = self.engine.next_job(self.now(context), self.pools[pool].id);
        while let Some(question) = self.engine.next_question() {
            let (after, order) = scheduling::answer(question.candidates.len(), context.random);
            let chosen = ProcessEvent::Chosen { question: question.id, order };
            context.queue.plan(after, Happening::Process(self.number, chosen));
        }
        if !judged {
            return job;
        }
        let after = self.could_run(pool, context);
        let Some(given) = &job else {
            let pool = &self.pools[pool];
            let (seats, lookahead) = (pool.seats, context.scenario.pools[after.first()?.2].1);
            if !self.quiet && seats > 0 && self.engine.jobs_out(pool.id) < seats + lookahead {
                self.defect(format!("{after:?} could run and get nothing"), context);
            }
            return None;
        };
        if matches!(given.kind, JobKind::Tick | JobKind::Eofed) || is_farewell(given.kind) {
            // Calls without messages have turns of their own.
            return job;
        }
        let topic = self.topics.iter().position(|topic| *topic == given.topic).unwrap_or_default();
        let priority = context.scenario.topics[topic].options.priority;
        let passed = before.iter().filter(|one| after.contains(one)).find(|(_, other, _)| *other > priority);
        let between = std::mem::replace(&mut self.pools[pool].since_lower, 0);
        if let Some(passed) = passed {
            if between < BETWEEN {
                self.defect(format!("{passed:?} went behind {priority} after {between} jobs"), context);
            }
        } else {
            self.pools[pool].since_lower = between + 1;
        }
        job
    }

    /// Partitions that could give a job, with the priorities of their topics and their pool.
    fn could_run(&self, pool: usize, context: &Context<'_>) -> Vec<(AssignmentId, i32, usize)> {
        let held = self.held.iter().filter(|(place, _)| context.scenario.pool_of(place.topic) == pool);
        let able = held.filter(|(_, held)| self.engine.could_run(held.id));
        able.map(|(place, held)| (held.id, context.scenario.topics[place.topic].options.priority, pool)).collect()
    }
}
