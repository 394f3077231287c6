//! Calling handlers that are plain functions.
//!
//! Called on the core's worker threads with the interpreter's lock. Whatever the function does, its job is completed once:
//! it returned, it raised, or it asked the program to end.

use crate::batch::Batch;
use crate::context::Context;
use crate::failure;
use crate::verdict::Failures;
use karafka::lock::Mutex;
use karafka::{App, Failure, FilterAnswer, Hook, JobKind};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The handler of one topic: `libkarafka/handler.py` found out what it takes.
#[derive(FromPyObject)]
pub(crate) struct Handler {
    function: Py<PyAny>,
    takes_context: bool,
    pub(crate) is_async: bool,
    partitioner: Option<Py<PyAny>>,
    unique_by: Option<Py<PyAny>>,
    filter: Option<Py<PyAny>>,
    failures: Failures,
    hooks: Py<PyDict>,
}

/// The handlers of one app by their topics' numbers, and what one of them may have ended the app with.
pub(crate) struct Handlers {
    /// Let go of together with the functions: the app holds its runner, which holds this.
    app: Mutex<Option<App>>,
    list: Mutex<Arc<[Handler]>>,
    ending: Mutex<Option<PyErr>>,
}

impl Handlers {
    pub(crate) fn new(app: App, list: Vec<Handler>) -> Self {
        Self { app: Mutex::new(Some(app)), list: Mutex::new(list.into()), ending: Mutex::new(None) }
    }

    /// Lets go of the functions once the app has stopped, so that they and what they hold can be freed.
    pub(crate) fn clear(&self) {
        let list = std::mem::take(&mut *self.list.lock());
        let app = self.app.lock().take();
        drop((list, app));
    }

    /// Asks the app to stop.
    pub(crate) fn stop(&self) {
        if let Some(app) = &*self.app.lock() {
            app.stop();
        }
    }

    pub(crate) fn take_ending(&self) -> Option<PyErr> {
        self.ending.lock().take()
    }

    /// Ends the job after its handler raised: the job failed, or the program is to end.
    pub(crate) fn raised(&self, py: Python<'_>, job: karafka::Job, error: PyErr) {
        if failure::ends_the_program(py, &error) {
            // What the frames hold, the batch among it, would otherwise live as long as the exception, and be waited for.
            failure::clear_frames(py, &error);
            // Stop first: a job that is put back must not be handed out again.
            self.stop();
            self.ending.lock().get_or_insert(error);
            if Hook::of(job.kind()).is_some() {
                // It would come again, and nothing of it waits to be handled.
                job.done();
            } else {
                job.put_back();
            }
        } else {
            let mut failure = failure::describe(py, &error);
            let list = Arc::clone(&self.list.lock());
            if let Some(handler) = list.get(job.topic_index()).filter(|_| job.kind() == JobKind::Handle) {
                failure.verdict = handler.failures.verdict(py, &error, &job, &failure);
            }
            // The traceback holds the handler's frame and with it the batch, which the core wants back whole.
            drop(error);
            job.fail(failure);
        }
    }
}

/// Runs one job on this thread. Returns it when it succeeded and has yet to be reported: that frees its records, and is
/// done without the interpreter's lock.
pub(crate) fn run(py: Python<'_>, job: karafka::Job, handlers: &Handlers) -> Option<karafka::Job> {
    let list = Arc::clone(&handlers.list.lock());
    let Some(handler) = list.get(job.topic_index()) else {
        job.put_back();
        return None;
    };
    let forks = karafka::fork_epoch();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        match job.kind() {
            JobKind::Handle => match own(py, forks, call(py, &job, handler)) {
                Ok(()) => return Some(job),
                Err(error) => handlers.raised(py, job, error),
            },
            JobKind::Key | JobKind::Unique => match own(py, forks, keys(py, &job, handler)) {
                Ok(keys) => job.complete_keys(&keys),
                Err(error) => handlers.raised(py, job, error),
            },
            JobKind::Filter => match own(py, forks, answers(py, &job, handler)) {
                Ok((answers, failure)) => job.complete_filter(answers, failure),
                Err(error) => handlers.raised(py, job, error),
            },
            JobKind::Tick | JobKind::Eofed | JobKind::Revoked | JobKind::Shutdown => {
                match own(py, forks, hook(py, &job, handler)) {
                    Ok(()) => return Some(job),
                    Err(error) => handlers.raised(py, job, error),
                }
            }
        }
        None
    }));
    ended.unwrap_or_else(|_| {
        // The job was dropped on the way, which is a failure of it; the thread goes on.
        PyTypeError::new_err("libkarafka panicked while it called a handler; please report it")
            .write_unraisable(py, None);
        None
    })
}

/// What user code ended with, in the process that called it. A child that was forked in it ends here.
fn own<T>(py: Python<'_>, forks: u32, outcome: PyResult<T>) -> PyResult<T> {
    if karafka::fork_epoch() == forks {
        return outcome;
    }
    let error = outcome.err().map(|error| error.into_value(py));
    py.import("libkarafka.children")?.call_method1("end_child", (error,))?;
    Err(PyRuntimeError::new_err("libkarafka.children.end_child returned; please report it"))
}

fn call(py: Python<'_>, job: &karafka::Job, handler: &Handler) -> PyResult<()> {
    let batch = Batch::new(job.batch().clone());
    let returned = if handler.takes_context {
        handler.function.bind(py).call1((batch, Context::new(job)))?
    } else {
        handler.function.bind(py).call1((batch,))?
    };
    if returned.is_none() { Ok(()) } else { refuse_unfinished(&returned) }
}

fn hook(py: Python<'_>, job: &karafka::Job, handler: &Handler) -> PyResult<()> {
    let name = Hook::of(job.kind()).map(Hook::name);
    let Some(function) = handler.hooks.bind(py).get_item(name)? else { return Ok(()) };
    let returned = function.call1((Context::new(job),))?;
    if returned.is_none() { Ok(()) } else { refuse_unfinished(&returned) }
}

/// A coroutine or generator that was returned has not run: taking it for success would lose the batch.
fn refuse_unfinished(returned: &Bound<'_, PyAny>) -> PyResult<()> {
    let is_coroutine = returned.hasattr("__await__")?;
    if !is_coroutine && !returned.hasattr("send")? {
        return Ok(());
    }
    if returned.hasattr("close")? {
        returned.call_method0("close")?;
    }
    let what = returned.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "the handler returned a {what} that has not run; declare the handler itself `async def`, or return None"
    )))
}

fn keys(py: Python<'_>, job: &karafka::Job, handler: &Handler) -> PyResult<Vec<Vec<u8>>> {
    let unique = job.kind() == JobKind::Unique;
    let asked = if unique { &handler.unique_by } else { &handler.partitioner };
    let Some(asked) = asked else {
        return Err(PyTypeError::new_err("the topic asks a callback for keys or values, and its handler has none"));
    };
    let batch = Batch::new(job.batch().clone());
    let mut keys = Vec::with_capacity(job.batch().len());
    for index in 0..job.batch().len() {
        let answer = asked.bind(py).call1((batch.message(index),))?;
        keys.push(if unique && answer.is_none() { Vec::new() } else { key(&answer)? });
    }
    Ok(keys)
}

/// What the filter says of each record, and the first failure: an exception concerns its own record, unless the program is to
/// end by it.
fn answers(py: Python<'_>, job: &karafka::Job, handler: &Handler) -> PyResult<(Vec<FilterAnswer>, Option<Failure>)> {
    let Some(filter) = &handler.filter else {
        return Err(PyTypeError::new_err("the topic asks for a filter, and its handler has none"));
    };
    let batch = Batch::new(job.batch().clone());
    let (mut answers, mut first) = (Vec::with_capacity(job.batch().len()), None);
    for index in 0..job.batch().len() {
        let keeps = filter.bind(py).call1((batch.message(index),)).and_then(|value| value.is_truthy());
        answers.push(match keeps {
            Ok(true) => FilterAnswer::Keep,
            Ok(false) => FilterAnswer::Skip,
            Err(error) if failure::ends_the_program(py, &error) => return Err(error),
            Err(error) => {
                first.get_or_insert_with(|| failure::describe(py, &error));
                FilterAnswer::Failed
            }
        });
    }
    Ok((answers, first))
}

fn key(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_cow()?.as_bytes().to_vec());
    }
    if let Ok(number) = value.extract::<i64>() {
        return Ok(number.to_string().into_bytes());
    }
    let class = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a callback for keys or values must return bytes, str or int, not {class}")))
}
