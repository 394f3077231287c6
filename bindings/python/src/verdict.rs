//! What a topic's Python side says is to happen after an exception: by its class, or by a strategy.
//!
//! Called with the interpreter's lock on the thread of the call. Whatever the program's own function does, there is a
//! verdict: one that raises or answers nonsense has the message tried again, and is told of as an unraisable exception.

use crate::batch::Batch;
use karafka::{Failure, Verdict};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::Arc;

/// What is known of a topic's failures: `libkarafka/failures.py` read it from the options.
#[derive(FromPyObject)]
pub(crate) struct Failures {
    /// A tuple of classes, or None where every class is tried again.
    retry_on: Option<Py<PyAny>>,
    discard_on: Py<PyAny>,
    strategy: Option<Py<PyAny>>,
}

impl Failures {
    /// What is to happen after this exception.
    pub(crate) fn verdict(&self, py: Python<'_>, error: &PyErr, job: &karafka::Job, failure: &Failure) -> Verdict {
        if error.matches(py, self.discard_on.bind(py)).unwrap_or(false) {
            return Verdict::Discard;
        }
        let retried = self.retry_on.as_ref().is_none_or(|classes| error.matches(py, classes.bind(py)).unwrap_or(true));
        if !retried {
            return Verdict::DeadLetter { topic: None };
        }
        match &self.strategy {
            Some(strategy) if job.asks_strategy(failure) => {
                ask(py, strategy.bind(py), error, job).unwrap_or_else(|raised| {
                    raised.write_unraisable(py, Some(strategy.bind(py)));
                    Verdict::Retry
                })
            }
            _ => Verdict::Unsaid,
        }
    }
}

fn ask(py: Python<'_>, strategy: &Bound<'_, PyAny>, error: &PyErr, job: &karafka::Job) -> PyResult<Verdict> {
    let message = Batch::new(job.batch().clone()).message(0);
    let earlier = job.earlier_failures().iter().map(|failure| (failure.class.as_str(), failure.message.as_str()));
    let earlier = PyList::new(py, earlier.collect::<Vec<_>>())?;
    let answer = strategy.call1((message, error.clone_ref(py).into_value(py), earlier))?;
    if answer.is_none() {
        return Ok(Verdict::Unsaid);
    }
    if let Ok((word, topic)) = answer.extract::<(String, String)>()
        && word == "dispatch"
    {
        return Ok(Verdict::DeadLetter { topic: Some(Arc::from(topic)) });
    }
    match answer.extract::<String>().as_deref() {
        Ok("retry") => Ok(Verdict::Retry),
        Ok("dispatch") => Ok(Verdict::DeadLetter { topic: None }),
        Ok("skip") => Ok(Verdict::Discard),
        _ => {
            let told = answer.repr()?.to_string();
            Err(PyValueError::new_err(format!(
                "a strategy must return \"retry\", \"dispatch\", (\"dispatch\", topic), \"skip\" or None, not {told}"
            )))
        }
    }
}
