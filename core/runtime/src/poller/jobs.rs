//! From the engine's jobs to those that seats take: messages become a batch, and the handler gets its context.
//!
//! Called by the poller, on its thread, at the end of each round. A job holds all that its handler may ask for, so that no handler
//! waits for the poller.

use super::Poller;
use crate::app::Work;
use crate::batch::{Batch, BatchInner, Group};
use crate::context::Context;
use crate::job::Job;
use crate::message::MessageInner;
use crate::output::Tally;
use crate::{Error, ErrorKind};
use karafka_engine::Outcome;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Poller {
    pub(super) fn dispatch(&mut self, now: Instant) {
        let mut jobs = std::mem::take(&mut self.ready_jobs);
        for index in 0..self.pools.len() {
            while let Some(job) = self.engine.next_job(self.at(now), self.pool_ids[index]) {
                match self.job(now, job) {
                    Ok(job) => jobs.push(job),
                    Err(job) => self.orphaned(now, job),
                }
            }
            if !jobs.is_empty() {
                self.pools[index].push(jobs.drain(..));
            }
        }
        self.ready_jobs = jobs;
        self.ask_scheduler();
    }

    /// A job of a partition that the poller has forgotten and the engine has not, which no path leads to: both let go of it
    /// together. Were it so all the same, nothing of it may start or count, and somebody has to hear of it.
    fn orphaned(&mut self, now: Instant, job: karafka_engine::Job<MessageInner>) {
        debug_assert!(false, "a job of a forgotten partition");
        self.engine.lose(self.at(now), job.assignment);
        self.engine.complete(self.at(now), job.id, Outcome::NotStarted, job.messages);
        let message = "a partition was handled that is not owned any more; its records are left to its new owner";
        self.publish_error(Error::new(ErrorKind::Internal, "dispatch", message).with("partition", job.partition), true);
    }

    /// The job as seats take it; given back when its partition is not known.
    fn job(
        &self,
        now: Instant,
        job: karafka_engine::Job<MessageInner>,
    ) -> std::result::Result<Job, karafka_engine::Job<MessageInner>> {
        let Some((assignment, route)) = self.owner(job.assignment) else { return Err(job) };
        let Some(route) = self.routes.get(route) else { return Err(job) };
        let groups = job.groups.iter().map(|group| Group {
            virtual_partition: group.virtual_partition,
            start: group.start as usize,
            len: group.len as usize,
        });
        let batch = Batch(Arc::new(BatchInner {
            held: Arc::clone(&self.held),
            topic: Arc::clone(&assignment.topic),
            partition: job.partition,
            groups: groups.collect(),
            messages: job.messages,
            attempt: job.attempt,
            attempts: job.attempts,
            opened: Vec::new(),
            made: now,
            end: assignment.said.end.load(Ordering::Relaxed),
        }));
        let mut earlier = Vec::new();
        // Kept only for strategies.
        if route.options.strategy
            && batch.len() == 1
            && let Some(partition) = self.partitions.get(&job.assignment)
            && let Some(failures) = partition.failures.get(&batch.first_offset())
        {
            earlier.extend(failures.iter().cloned());
        }
        let context = Context {
            shared: Arc::clone(&self.shared),
            assignment: Arc::clone(assignment),
            job: job.id,
            attempt: job.attempt,
            facts: job.facts,
            era: job.era,
            tally: route.declared.as_ref().map(|declared| Tally::new(declared, &assignment.topic)),
        };
        let (handler, is_own) = match &route.work {
            Work::Handler(handler) => (Some(Arc::clone(handler)), false),
            Work::Core(handler) => (Some(Arc::clone(handler)), true),
            Work::Host => (None, false),
        };
        Ok(Job {
            batch,
            context,
            kind: job.kind,
            topic_index: route.registration,
            handler,
            is_own,
            pool: Arc::clone(&self.pools[route.pool]),
            completed: false,
            taken: false,
            has_strategy: route.options.strategy,
            earlier,
            begun: None,
            tell_start: job.tell_start,
            aside: None,
        })
    }
}
