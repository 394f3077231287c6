//! A job that an event loop completes.
//!
//! Made and completed on the loop's thread. One that is dropped uncompleted (a coroutine that was never run, a loop that
//! was closed) has failed; the core sees to that.

use crate::batch::Batch;
use crate::context::Context;
use crate::handler::Handlers;
use crate::output;
use karafka::Hook;
use karafka::lock::Mutex;
use pyo3::prelude::*;
use std::sync::Arc;

/// The work of one call of an ``async def`` handler.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct Job {
    open: Mutex<Option<karafka::Job>>,
    handlers: Arc<Handlers>,
    #[pyo3(get)]
    topic_index: usize,
    /// The name of the hook that is called, if it is one.
    #[pyo3(get)]
    hook: Option<&'static str>,
}

impl Job {
    pub(crate) fn new(job: karafka::Job, handlers: Arc<Handlers>) -> Self {
        let hook = Hook::of(job.kind()).map(Hook::name);
        Self { topic_index: job.topic_index(), hook, open: Mutex::new(Some(job)), handlers }
    }
}

#[pymethods]
impl Job {
    /// What the handler gets; None once the job is completed.
    fn batch(&self) -> Option<Batch> {
        self.open.lock().as_ref().map(|job| Batch::new(job.batch().clone()))
    }

    /// What the handler may know and do; None once the job is completed.
    fn context(&self) -> Option<Context> {
        self.open.lock().as_ref().map(Context::new)
    }

    /// The running task is this call: what it produces is counted for it.
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.open.lock().as_ref().map(|job| job.context().clone());
        open.map_or(Ok(()), |context| output::enter(py, &context))
    }

    /// The handler returned.
    fn done(&self) {
        let job = self.open.lock().take();
        if let Some(job) = job {
            job.done();
        }
    }

    /// The handler raised.
    fn raised(&self, py: Python<'_>, error: Bound<'_, PyAny>) {
        let job = self.open.lock().take();
        if let Some(job) = job {
            self.handlers.raised(py, job, PyErr::from_value(error));
        }
    }
}
