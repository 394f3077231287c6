//! What workers and callers say: ends and marks of jobs, questions of callers, and commands to the app.
//!
//! Called by the poller, on its thread, at the beginning of each round. Each report is told to the engine in the order in which it
//! came; nobody is made to wait here, and whoever has stopped waiting for an answer is none the worse.

use super::{Poller, Source};
use crate::event::Phase;
use crate::job::{Failure, Job, Verdict};
use crate::report::{Control, Place, Report};
use crate::{Error, ErrorKind};
use karafka_engine::{AssignmentId, CommitId, Extent};
use std::time::Instant;

impl Poller {
    pub(super) fn take_reports(&mut self, now: Instant) {
        while let Some(report) = self.shared.reports.pop() {
            match report {
                Report::Ended { job, outcome, messages, failure } => {
                    let mut ends = None;
                    if let Some(failure) = failure {
                        ends = (failure.verdict == Verdict::Critical).then(|| failure.clone());
                        self.failures.insert(job, failure);
                    }
                    self.engine.complete(self.at(now), job, outcome, messages);
                    self.act(now);
                    self.forget_failures();
                    if let Some(failure) = ends {
                        self.end_by(now, &failure);
                    }
                    self.settle_departed();
                }
                Report::Started { job, at } => self.engine.started(self.at(now), job, self.at(at)),
                Report::Marked { job, index, extent, place: Place { assignment, era, offset } } => {
                    if !self.engine.mark(job, index, extent) {
                        self.engine.mark_late(assignment, era, offset, extent, None);
                    }
                }
                Report::MarkedWith { job, index, text, place: Place { assignment, era, offset } } => {
                    if !self.engine.mark_with_metadata(job, index, text.clone()) {
                        self.engine.mark_late(assignment, era, offset, Extent::Prefix, Some(text));
                    }
                }
                Report::Stored { assignment, text } => {
                    self.engine.set_offset_metadata(assignment, Some(text));
                }
                Report::Paused { job, assignment, until } => self.pause(job, assignment, until),
                Report::Resumed { job, assignment } => self.resume(job, assignment),
                Report::Seek { assignment, to, timeout, ask } => self.begin_seek(now, assignment, to, timeout, ask),
                Report::CommitSoon { assignment } => {
                    self.engine.commit_now(self.at(now), assignment);
                }
                Report::Commit { assignment, done } => {
                    let covering = self.engine.commit_now(self.at(now), assignment);
                    match covering.filter(|_| self.partitions.contains_key(&assignment)) {
                        Some(covering) => self.commit_waiters.entry(assignment).or_default().push((covering, done)),
                        None => {
                            // Nothing to commit, or nothing owned any more. The caller may have given up waiting.
                            let _ = done.send(self.engine.is_owned(assignment));
                        }
                    }
                }
                Report::Statistics { answer } => {
                    // The caller may have given up waiting.
                    let _ = answer.send(self.statistics(now));
                }
                Report::Chosen { question, order } => self.chosen(now, question, order),
                Report::Transaction { job, marks, alone, ask } => self.ask_for_turn(now, job, marks, alone, ask),
                Report::LetterTransaction { assignment, id, ask } => self.ask_for_letter(now, assignment, id, ask),
                Report::TransactionEnded { ended, end } => {
                    self.engine.transaction_ended(self.at(now), &ended, end);
                    self.act(now);
                    // Calls that were over before it end now.
                    self.forget_failures();
                    self.settle_departed();
                }
                Report::Control(control) => self.control(now, &control),
                Report::LetterAnswered { assignment, id, answer } => {
                    self.letter_answered(now, assignment, id, answer);
                    self.act(now);
                }
                Report::GroupOffsets { token, ticket, offsets } => {
                    // Another client may have its place by now.
                    if let Some(&Source::Member(member)) = self.sources.get(&token) {
                        self.finish_assign(now, member, ticket, offsets);
                    }
                }
                Report::Looked { subscription, view } => self.looked(now, subscription, view),
            }
        }
    }

    /// A handler said that the process is at its end.
    fn end_by(&mut self, now: Instant, failure: &Failure) {
        let message = format!("a handler asked for the end of the program: {}: {}", failure.class, failure.message);
        self.shared.fail(Error::new(ErrorKind::Handler, "handle", message).fatal());
        self.shared.ask_to_stop();
        self.begin_shutdown(now, self.config.shutdown_timeout);
    }

    fn control(&mut self, now: Instant, control: &Control) {
        match *control {
            Control::Quiet if self.shutdown.is_none() => {
                self.engine.quiet();
                self.put_back(|_| true);
                self.shared.enter(Phase::Quieting);
            }
            Control::Resume if self.shutdown.is_none() => {
                self.engine.resume_all();
                self.shared.enter(Phase::Running);
            }
            Control::Quiet | Control::Resume => {}
            Control::Resize => {
                for (pool, id) in self.pools.iter().zip(self.pool_ids) {
                    self.engine.resize_pool(id, u32::try_from(pool.capacity()).unwrap_or(u32::MAX));
                }
            }
            Control::Stop { within } => self.begin_shutdown(now, within),
        }
    }

    pub(super) fn settle_phase(&self) {
        if self.shared.phase() == Phase::Quieting && self.jobs_out() == 0 {
            self.shared.enter(Phase::Quiet);
        }
    }

    /// Answers the callers that this commit covers; all of them when the assignment has ended.
    pub(super) fn answer_waiters(&mut self, assignment: AssignmentId, up_to: Option<CommitId>, owned: bool) {
        let Some(waiters) = self.commit_waiters.get_mut(&assignment) else { return };
        waiters.retain(|(covering, done)| {
            let answered = up_to.is_none_or(|up_to| *covering <= up_to);
            if answered {
                // The caller may have given up waiting.
                let _ = done.send(owned);
            }
            !answered
        });
        if waiters.is_empty() {
            self.commit_waiters.remove(&assignment);
        }
    }

    /// Takes jobs that no seat has started back into the engine.
    pub(super) fn put_back(&self, mut fits: impl FnMut(&Job) -> bool) {
        for pool in &self.pools {
            for job in pool.withdraw(&mut fits) {
                job.put_back();
            }
        }
    }
}
