//! How an app ends.
//!
//! 1. No new jobs; what no seat started goes back. Clients are polled on, so no partition is lost meanwhile.
//! 2. Running jobs end, or the deadline passes.
//! 3. Every partition is given up: its last commit is sent and answered.
//! 4. Groups are left.
//! 5. Clients are destroyed on a thread of their own, because librdkafka may wait there without limit.
//!
//! At the deadline the rest is skipped: what still runs is named, its records stay uncommitted.

use super::Poller;
use crate::event::Phase;
use crate::native::Consumer;
use crate::{Error, ErrorKind};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long leaving a group may take, and last commits that are due when the time is over.
const FAREWELL: Duration = Duration::from_millis(1_500);
/// How long last commits may take inside the deadline. Where nothing is left to commit, nothing is waited for.
const LAST_COMMITS: Duration = Duration::from_secs(10);
const DESTROY: Duration = Duration::from_secs(2);
/// How often a closing client is looked at although none of its queues was filled.
const CLOSING_LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Finishing,
    Committing,
    Leaving,
}

pub(super) struct Shutdown {
    step: Step,
    deadline: Instant,
    /// The deadline of the present step.
    until: Instant,
}

impl Shutdown {
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        match self.step {
            Step::Leaving => self.until.min(now + CLOSING_LOOK),
            Step::Finishing | Step::Committing => self.until,
        }
    }
}

impl Poller {
    pub(super) fn begin_shutdown(&mut self, now: Instant, within: Duration) {
        let deadline = now + within;
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.deadline = shutdown.deadline.min(deadline);
            shutdown.until = shutdown.until.min(deadline);
            return;
        }
        self.shared.enter(Phase::Stopping);
        for pool in &self.pools {
            pool.set_attentive(true);
        }
        self.engine.quiet();
        self.put_back(|_| true);
        self.shutdown = Some(Shutdown { step: Step::Finishing, deadline, until: deadline });
    }

    /// Takes the next step that is due. Returns whether the app has ended.
    pub(super) fn advance_shutdown(&mut self, now: Instant) -> bool {
        loop {
            let Some(shutdown) = &self.shutdown else { return false };
            let late = now >= shutdown.until;
            let (deadline, step) = (shutdown.deadline, shutdown.step);
            match step {
                Step::Finishing => {
                    let busy = self.jobs_out() > 0;
                    if busy && !late {
                        return false;
                    }
                    if busy {
                        self.leave_jobs_behind();
                    }
                    let until = (now + FAREWELL).max(deadline.min(now + LAST_COMMITS));
                    self.enter_step(Step::Committing, until);
                    let all: HashSet<_> = self.members.iter().flat_map(super::Member::assignments).collect();
                    self.give_up(now, &all, until);
                    self.act(now);
                }
                Step::Committing => {
                    if !self.partitions.is_empty() && !late {
                        return false;
                    }
                    self.enter_step(Step::Leaving, now + FAREWELL);
                    for member in &self.members {
                        if let Ok(consumer) = member.consumer()
                            && let Err(error) = consumer.close()
                        {
                            self.publish_error(error, true);
                        }
                    }
                }
                Step::Leaving => {
                    for member in 0..self.members.len() {
                        self.serve_member(now, member);
                    }
                    let open = |member: &super::Member| member.consumer().is_ok_and(|consumer| !consumer.closed());
                    return late || !self.members.iter().any(open);
                }
            }
        }
    }

    fn enter_step(&mut self, step: Step, until: Instant) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step = step;
            shutdown.until = until;
        }
    }

    fn leave_jobs_behind(&self) {
        let mut names = Vec::new();
        for job in self.engine.running_jobs() {
            let Some(partition) = self.partitions.get(&job.assignment) else { continue };
            let place = format!("{}/{}", partition.assignment.topic, partition.assignment.partition);
            names.push(format!("{place} from offset {} ({} records)", job.first_offset.unwrap_or(-1), job.messages));
        }
        let message = format!(
            "forced: {} calls of handlers did not end in time and were left behind: {}; their records stay uncommitted",
            names.len(),
            names.join(", ")
        );
        let error = Error::new(ErrorKind::Timeout, "stop", message);
        self.publish_error(Error::new(ErrorKind::Timeout, "stop", error.message()), false);
        self.shared.fail(error);
    }

    /// Destroys the clients without waiting for longer than a moment. A client is not gone before every record that it
    /// fetched is freed: when somebody still holds one (Ruby's collector takes its time), nothing is waited for.
    pub(super) fn shutdown_clients(&mut self) {
        self.partitions.clear();
        let consumers: Vec<Consumer> = self.members.iter_mut().filter_map(super::Member::take_consumer).collect();
        let (done, ended) = crossbeam::channel::bounded::<()>(1);
        let destroyer = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || {
            drop(consumers);
            drop(done);
        });
        if destroyer.is_ok() && Arc::strong_count(&self.held) == 1 {
            // Ends by the sender's drop, or when a client hangs: then its thread is left behind.
            let _ = ended.recv_timeout(DESTROY);
        }
    }
}
