//! Jobs on their way to an event loop.
//!
//! The thread of the slot seats puts jobs in without the interpreter's lock; the loop's thread takes all that are there at
//! once. The loop is woken by one `call_soon_threadsafe` for as many jobs as gather before it looks.

use crate::handler::Handlers;
use crate::job::Job;
use karafka::lock::Mutex;
use pyo3::prelude::*;
use std::sync::Arc;

#[derive(Default)]
struct Waiting {
    jobs: Vec<karafka::Job>,
    is_woken: bool,
}

/// What leads from the core's slots to an app's event loop.
pub(crate) struct Slots {
    is_async: Vec<bool>,
    wake: Option<Py<PyAny>>,
    handlers: Arc<Handlers>,
    waiting: Mutex<Waiting>,
}

impl Slots {
    pub(crate) fn new(is_async: Vec<bool>, wake: Option<Py<PyAny>>, handlers: Arc<Handlers>) -> Self {
        Self { is_async, wake, handlers, waiting: Mutex::default() }
    }

    /// Whether this topic's handler runs in the event loop.
    pub(crate) fn takes(&self, topic: usize) -> bool {
        self.is_async.get(topic).copied().unwrap_or(false)
    }

    /// Adds a job. Returns whether the loop has to be woken for it.
    pub(crate) fn push(&self, job: karafka::Job) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.jobs.push(job);
        !std::mem::replace(&mut waiting.is_woken, true)
    }

    /// Tells the loop that there are jobs.
    pub(crate) fn wake(&self, py: Python<'_>) {
        let woken = match &self.wake {
            Some(wake) => wake.call0(py).map(|_| ()),
            None => Ok(()),
        };
        if woken.is_err() {
            // The loop was closed under the app: nobody will run these, or any later ones.
            self.handlers.stop();
            for job in self.take() {
                job.put_back();
            }
        }
    }

    fn take(&self) -> Vec<karafka::Job> {
        let mut waiting = self.waiting.lock();
        waiting.is_woken = false;
        std::mem::take(&mut waiting.jobs)
    }

    /// The jobs that have gathered, for the loop to run.
    pub(crate) fn take_jobs(&self) -> Vec<Job> {
        self.take().into_iter().map(|job| Job::new(job, Arc::clone(&self.handlers))).collect()
    }
}
