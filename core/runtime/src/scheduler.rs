//! Whose turn it is, asked of user code.
//!
//! The poller puts a [`Question`] when more waits than seats are free; a thread that does nothing else (`karafka-choose`, or
//! one that a host language lends) answers it. Nobody waits for it but the pool that asked, for a few milliseconds; the lock
//! here is held for a few instructions, never over user code. A question that is dropped unanswered has failed.

use crate::job::Failure;
use crate::lock::{Condvar, Mutex};
use crate::report::Report;
use crate::shared::Shared;
use karafka_engine::QuestionId;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A virtual partition that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
    /// The virtual partition's name inside the partition, as in the groups of a batch.
    pub virtual_partition: u64,
    /// How many of its messages wait.
    pub messages: u32,
    /// How long its partition has waited for its turn.
    pub waited: Duration,
    /// The topic's `priority`.
    pub priority: i32,
    /// What a message of the topic takes, from the hand-out of a call to its end, as a running mean; zero while nothing was
    /// measured.
    pub cost: Duration,
}

/// Decides whose turn it is. Called on a thread of its own (`karafka-choose`), one call at a time; no other thread waits for
/// it. See [`App::set_scheduler`](crate::App::set_scheduler).
pub trait Scheduler: Send + Sync + 'static {
    /// Answers with places in the list of candidates, the best one first. Places that are not there, or named twice, are
    /// ignored; candidates that are not named come later, by the app's `scheduling`.
    ///
    /// # Errors
    /// Whatever failed. It is reported in an event, and nothing is asked for a second.
    fn choose(&self, candidates: &[Candidate]) -> Result<Vec<u32>, Failure>;
}

impl<F> Scheduler for F
where
    F: Fn(&[Candidate]) -> Result<Vec<u32>, Failure> + Send + Sync + 'static,
{
    fn choose(&self, candidates: &[Candidate]) -> Result<Vec<u32>, Failure> {
        self(candidates)
    }
}

/// Who waits for seats, to be brought into an order.
pub struct Question {
    id: QuestionId,
    candidates: Vec<Candidate>,
    shared: Arc<Shared>,
    answered: bool,
}

impl Question {
    pub(crate) fn new(id: QuestionId, candidates: Vec<Candidate>, shared: Arc<Shared>) -> Self {
        Self { id, candidates, shared, answered: false }
    }

    /// Who waits: at least two, at most 256, in no order.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Answers, as [`Scheduler::choose`] does.
    pub fn answer(mut self, order: Result<Vec<u32>, Failure>) {
        self.end(order);
    }

    fn end(&mut self, order: Result<Vec<u32>, Failure>) {
        self.answered = true;
        self.shared.report(Report::Chosen { question: self.id, order });
        self.shared.waker.wake();
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.answered {
            let message = if std::thread::panicking() { "the scheduler panicked" } else { "it was dropped unanswered" };
            self.end(Err(Failure::new("Dropped", message)));
        }
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({} candidates)", self.candidates.len())
    }
}

/// What a thread that answers does next.
#[derive(Debug)]
pub enum Asked {
    /// A question to answer.
    Question(Question),
    /// Somebody called [`Questions::interrupt`].
    Interrupted,
    /// The app has stopped. The thread should end.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Question>,
    interrupted: bool,
    closed: bool,
}

/// The questions of an app that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Questions {
    state: Mutex<State>,
    changed: Condvar,
}

impl Questions {
    /// Waits for the next question. Blocks the thread; call it without an interpreter's lock.
    pub fn next(&self) -> Asked {
        let mut state = self.state.lock();
        loop {
            if let Some(asked) = Self::look(&mut state) {
                return asked;
            }
            state = self.changed.wait(state);
        }
    }

    /// [`Self::next`] for at most so long; `None` when nothing came.
    pub fn next_within(&self, timeout: Duration) -> Option<Asked> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if let Some(asked) = Self::look(&mut state) {
                return Some(asked);
            }
            let is_late;
            (state, is_late) = self.changed.wait_until(state, deadline);
            if is_late {
                return Self::look(&mut state);
            }
        }
    }

    fn look(state: &mut State) -> Option<Asked> {
        if state.closed {
            return Some(Asked::Closed);
        }
        if std::mem::take(&mut state.interrupted) {
            return Some(Asked::Interrupted);
        }
        state.waiting.pop_front().map(Asked::Question)
    }

    /// Makes the running or the next [`Questions::next`] return [`Asked::Interrupted`].
    pub fn interrupt(&self) {
        self.state.lock().interrupted = true;
        self.changed.notify_all();
    }

    pub(crate) fn put(&self, question: Question) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return drop(question);
        }
        state.waiting.push_back(question);
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.changed.notify_all();
        drop(waiting);
    }
}

/// The thread of a Rust scheduler.
pub(crate) fn serve(questions: &Questions, scheduler: &dyn Scheduler) {
    loop {
        match questions.next() {
            Asked::Question(question) => {
                let chosen = catch_unwind(AssertUnwindSafe(|| scheduler.choose(question.candidates())));
                question.answer(chosen.unwrap_or_else(|_| Err(Failure::new("Panic", "the scheduler panicked"))));
            }
            Asked::Interrupted => {}
            Asked::Closed => return,
        }
    }
}
