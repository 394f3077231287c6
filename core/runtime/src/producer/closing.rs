//! The end of a producer: one call closes it, calls beside it wait for that one.
//!
//! Owned by a producer, asked by any thread. Who waits is told what the closing call is told: a program that ends while another
//! thread closes, or after Ctrl-C has ended somebody's wait for that, does not end before the records are gone. The lock is never held
//! while anybody closes.

use crate::lock::{Condvar, Mutex};
use crate::{Error, ErrorKind, Result};
use std::thread::{self, ThreadId};
use std::time::Instant;

#[derive(Default)]
pub(super) struct Closing {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    /// The thread closes.
    By(ThreadId),
    /// What those who wait are told.
    Ended(Result<()>),
}

impl Closing {
    /// Closes by `close`, or waits until somebody else has, at most until `deadline`. Once it is closed there is nothing to do.
    pub(super) fn once(&self, deadline: Option<Instant>, close: impl FnOnce() -> Result<()>) -> Result<()> {
        {
            let mut state = self.state.lock();
            match &*state {
                State::Open => *state = State::By(thread::current().id()),
                State::Ended(_) => return Ok(()),
                // Middleware of a record that closing sends: the call below it goes on closing.
                State::By(thread) if *thread == thread::current().id() => return Ok(()),
                State::By(_) => {
                    let goes_on = |state: &mut State| matches!(state, State::By(_));
                    state = self.ended.wait_while(state, deadline, goes_on);
                    return if let State::Ended(outcome) = &*state { outcome.clone() } else { Err(still()) };
                }
            }
        }
        // Also where closing panics: nobody waits for it any more.
        let mut told = Told { closing: self, outcome: Ok(()) };
        let outcome = close();
        told.outcome.clone_from(&outcome);
        outcome
    }
}

fn still() -> Error {
    let message = "another call still closes the producer; what is on its way is delivered or given up by that one";
    Error::new(ErrorKind::Timeout, "close a producer", message)
}

struct Told<'a> {
    closing: &'a Closing,
    outcome: Result<()>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        *self.closing.state.lock() = State::Ended(outcome);
        self.closing.ended.notify_all();
    }
}
