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
use crate::event::{Event, Phase, tell_person};
use crate::hook::Hook;
use crate::native::Consumer;
use crate::{Error, ErrorKind};
use crossbeam::channel::RecvTimeoutError;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long leaving groups may take, and destroying clients after it: an app with nothing to finish ends within two seconds.
const FAREWELL: Duration = Duration::from_millis(1_200);
const DESTROY: Duration = Duration::from_millis(400);
/// The same, and last commits, when the deadline has passed: all is over within a second after it.
const LATE_COMMITS: Duration = Duration::from_millis(350);
const LATE_FAREWELL: Duration = Duration::from_millis(150);
const LATE_DESTROY: Duration = Duration::from_millis(250);
/// How long last commits may take where no broker can be reached. Elsewhere they have all the time that is left: while members
/// join the next generation of a group its coordinator answers none, and it waits for those who have died until their
/// sessions are over. Where nothing is left to commit, nothing is waited for.
const CUT_OFF_COMMITS: Duration = Duration::from_secs(10);
/// How long leaving may take where other brokers, or others' requests, are answered. A member that joins a generation is
/// answered when all others have joined it, too, of which they hear with their next heartbeats, 3 s apart by default; who goes
/// without having left is there for the brokers until its session is over, and the whole group waits for it.
const JOINING_FAREWELL: Duration = Duration::from_secs(4);
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
    /// That of members that are cut off, once last commits are awaited.
    cut_off_until: Option<Instant>,
    /// Since when groups are being left.
    leaving_since: Instant,
    /// When brokers are to be asked for a sign of life, as a group is not left yet.
    ask_at: Option<Instant>,
    /// When nothing is waited for any more, known once groups are being left.
    end: Option<Instant>,
    /// What still ran when the time was over is not waited for again.
    is_forced: bool,
}

impl Shutdown {
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        match self.step {
            Step::Leaving => self.until.min(now + CLOSING_LOOK),
            // A member that is cut off after that wakes the poller by saying so.
            Step::Committing => self.cut_off_until.filter(|until| *until > now).unwrap_or(self.until).min(self.until),
            Step::Finishing => self.until,
        }
    }
}

impl Poller {
    pub(super) fn begin_shutdown(&mut self, now: Instant, within: Duration) {
        let deadline = now + within;
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.deadline = shutdown.deadline.min(deadline);
            shutdown.until = shutdown.until.min(deadline);
            shutdown.end = shutdown.end.map(|end| end.min(deadline + LATE_DESTROY));
            return;
        }
        self.shared.enter(Phase::Stopping);
        for pool in &self.pools {
            pool.set_attentive(true);
        }
        self.engine.shut_down();
        self.put_back(|_| true);
        let (step, until) = (Step::Finishing, deadline);
        self.shutdown = Some(Shutdown {
            step,
            deadline,
            until,
            cut_off_until: None,
            leaving_since: now,
            ask_at: None,
            end: None,
            is_forced: false,
        });
    }

    /// Takes the next step that is due. Returns whether the app has ended.
    pub(super) fn advance_shutdown(&mut self, now: Instant) -> bool {
        loop {
            let Some(shutdown) = &self.shutdown else { return false };
            let late = now >= shutdown.until;
            let (deadline, step, is_forced) = (shutdown.deadline, shutdown.step, shutdown.is_forced);
            match step {
                Step::Finishing => {
                    let busy = self.jobs_out() > 0;
                    if busy && !late {
                        return false;
                    }
                    if busy {
                        self.leave_jobs_behind(now);
                    }
                    let until = (now + LATE_COMMITS).max(deadline);
                    self.enter_step(Step::Committing, until);
                    // Consumers that hear of the shutdown have all the time that is left.
                    if let Some(shutdown) = self.shutdown.as_mut().filter(|_| !self.says_farewell) {
                        shutdown.cut_off_until = Some(now + CUT_OFF_COMMITS);
                    }
                    let all: HashSet<_> = self.members.iter().flat_map(super::Member::assignments).collect();
                    // What was left behind is not waited for again: what the others finished is committed now.
                    self.give_up(now, &all, if busy { now } else { until });
                    self.act(now);
                    // Consumers that hear of it may begin; nothing else wakes the poller for them.
                    self.dispatch(now);
                }
                Step::Committing => {
                    let is_over = shutdown.cut_off_until.is_some_and(|until| now >= until);
                    let mut waits = self.members.iter().filter(|member| !member.assigned.is_empty());
                    let late = late || is_over && waits.all(|member| member.is_cut_off);
                    let saying = self.says_farewell && !is_forced && self.jobs_out() > 0;
                    if (saying || !self.partitions.is_empty()) && !late {
                        return false;
                    }
                    if saying {
                        self.leave_jobs_behind(now);
                    }
                    let in_time = now + FAREWELL + DESTROY < deadline;
                    let (farewell, destroy) = if in_time { (FAREWELL, DESTROY) } else { (LATE_FAREWELL, LATE_DESTROY) };
                    self.enter_step(Step::Leaving, now + farewell);
                    if let Some(shutdown) = &mut self.shutdown {
                        shutdown.leaving_since = now;
                        shutdown.ask_at = in_time.then_some(now + FAREWELL / 2);
                        shutdown.end = Some(now + farewell + destroy);
                    }
                    for member in self.members.iter().filter(|member| !member.is_leaving) {
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
                    let is_over = late || !self.members.iter().any(open);
                    let ask_at = self.shutdown.as_mut().and_then(|shutdown| shutdown.ask_at.take_if(|at| *at <= now));
                    if ask_at.is_some() && !is_over {
                        let consumers = self
                            .members
                            .iter()
                            .filter(|member| open(member))
                            .filter_map(|member| member.consumer().ok());
                        consumers.for_each(|consumer| consumer.ask_for_life(FAREWELL / 2));
                    }
                    if let Some(end) =
                        self.shutdown.as_mut().filter(|_| is_over).and_then(|shutdown| shutdown.end.as_mut())
                    {
                        *end = (*end).max(now + LATE_DESTROY);
                    }
                    return is_over;
                }
            }
        }
    }

    /// A broker has answered, so who has not left yet is to have the time for it.
    pub(super) fn wait_for_leaving(&mut self) {
        if let Some(shutdown) = self.shutdown.as_mut().filter(|shutdown| shutdown.step == Step::Leaving) {
            let longest = shutdown.leaving_since + JOINING_FAREWELL;
            shutdown.until = longest.min(shutdown.deadline).max(shutdown.until);
        }
    }

    fn enter_step(&mut self, step: Step, until: Instant) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step = step;
            shutdown.until = until;
        }
    }

    fn leave_jobs_behind(&mut self, now: Instant) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.is_forced = true;
        }
        let mut names = Vec::new();
        for job in self.engine.running_jobs() {
            let Some((owner, _)) = self.owner(job.assignment) else { continue };
            let place = format!("{}/{}", owner.topic, owner.partition);
            let offset = job.first_offset.unwrap_or(-1);
            let since = self.at(now).since(job.since).as_secs_f64();
            names.push(match Hook::of(job.kind) {
                Some(hook) => format!("{place} in `{}` (for {since:.1} s)", hook.name()),
                None => format!("{place} from offset {offset} ({} records, for {since:.1} s)", job.messages),
            });
        }
        let message = format!(
            "forced: {} calls of handlers did not end in time and were left behind: {}; their records stay uncommitted",
            names.len(),
            names.join(", ")
        );
        let error = Error::new(ErrorKind::Timeout, "stop", message);
        let event = Event::Error { error: Arc::new(error.clone()), recoverable: false };
        if self.shared.publisher.publish(&event) && self.shared.obeys_signals.load(Ordering::SeqCst) {
            // Programs have heard of it; the person who sent the signals has not.
            tell_person(format_args!("{error}"));
        }
        self.shared.fail(error);
    }

    /// Destroys the clients without waiting for longer than a moment. A client is not gone before every record that it
    /// fetched is freed: when somebody still holds one (Ruby's collector takes its time), nothing is waited for. Nor is it
    /// gone before its last requests are answered or five seconds old: without an answer, its threads outlive the app by that.
    pub(super) fn shutdown_clients(&mut self) {
        self.partitions.clear();
        let consumers: Vec<Consumer> = self.members.iter_mut().filter_map(super::Member::take_consumer).collect();
        let (done, ended) = crossbeam::channel::bounded::<()>(1);
        let destroyer = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || {
            drop(consumers);
            drop(done);
        });
        if let Ok(destroyer) = destroyer
            && Arc::strong_count(&self.held) == 1
        {
            // Ends by the sender's drop, or when a client hangs: then its thread is left behind.
            let end = self.shutdown.as_ref().and_then(|shutdown| shutdown.end);
            let left = end.map_or(DESTROY, |end| end.saturating_duration_since(Instant::now()));
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                // It has nothing left to do but to end; who looks for threads after a stop finds none.
                let _ = destroyer.join();
            }
        }
    }
}
