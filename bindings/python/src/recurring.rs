//! Recurring tasks: those of an app, and the commands of a producer.
//!
//! Tasks are declared on any Python thread, and called on the core's worker threads, which attach for it.

use crate::attach;
use crate::error::OrRaise;
use crate::failure;
use crate::settings::settings;
use karafka::{Failure, RecurringTasksConfig};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// One run of a task. Used by `libkarafka/recurring.py`.
#[pyclass(frozen, name = "TaskRun", module = "libkarafka._native")]
pub(crate) struct TaskRun {
    inner: karafka::TaskRun,
}

#[pymethods]
impl TaskRun {
    #[getter]
    fn task(&self) -> &str {
        &self.inner.task
    }

    /// The time that the run is for, in milliseconds; None when it was triggered.
    #[getter]
    fn scheduled(&self) -> Option<i64> {
        self.inner.scheduled
    }

    #[getter]
    fn should_end(&self) -> bool {
        self.inner.should_end()
    }
}

/// The recurring tasks of a topic. Used by `libkarafka/recurring.py`.
#[pyclass(frozen, name = "RecurringTasks", module = "libkarafka._native")]
pub(crate) struct RecurringTasks {
    inner: karafka::RecurringTasks,
}

#[pymethods]
impl RecurringTasks {
    /// Declares a task; the function gets its run.
    fn add(&self, py: Python<'_>, name: &str, cron: &str, function: Py<PyAny>) -> PyResult<()> {
        let run = move |run: &karafka::TaskRun| {
            let called = Python::try_attach(|py| {
                let outcome = function.call1(py, (TaskRun { inner: run.clone() },));
                outcome.map(drop).map_err(|error| failure::describe(py, &error))
            });
            called.unwrap_or_else(|| Err(Failure::new("Finalized", "the interpreter has ended")))
        };
        self.inner.add(name, cron, Arc::new(run)).or_raise(py)
    }
}

pub(crate) fn keep(
    py: Python<'_>,
    app: &karafka::App,
    topic: &str,
    options: &Bound<'_, PyDict>,
) -> PyResult<RecurringTasks> {
    let config = RecurringTasksConfig::from_settings(&settings(options)?).or_raise(py)?;
    Ok(RecurringTasks { inner: app.recurring_tasks(topic, config).or_raise(py)? })
}

/// Sends a command; waits for its acknowledgement without the interpreter's lock.
pub(crate) fn command(
    py: Python<'_>,
    producer: &karafka::Producer,
    give: fn(&karafka::Producer, &str, &str) -> karafka::Result<()>,
    topic: &str,
    task: &str,
) -> PyResult<()> {
    attach::detached(py, || give(producer, topic, task)).or_raise(py)
}
