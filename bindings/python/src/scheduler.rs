//! Questions whose turn it is, for the Python thread that answers them.
//!
//! Used by `libkarafka/scheduler.py`, on a thread of its own; waits without the interpreter's lock.

use crate::attach;
use karafka::lock::Mutex;
use karafka::{Asked, Failure, Question, Questions};
use pyo3::prelude::*;
use std::sync::Arc;

/// topic, partition, virtual partition, messages, seconds waited, priority, seconds a message
type Columns = (String, i32, u64, u32, f64, i32, f64);

/// The questions of one app.
#[pyclass(frozen, module = "libkarafka._native", name = "Questions")]
pub(crate) struct Waiting {
    questions: Arc<Questions>,
    asked: Mutex<Option<Question>>,
}

impl Waiting {
    pub(crate) fn new(questions: Arc<Questions>) -> Self {
        Self { questions, asked: Mutex::new(None) }
    }
}

#[pymethods]
impl Waiting {
    /// Waits for the next question and returns its candidates; `None` when the app has stopped.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Vec<Columns>>> {
        loop {
            match attach::wait(py, None, |slice| self.questions.next_within(slice))? {
                Some(Asked::Question(question)) => {
                    let columns = question.candidates().iter().map(|one| {
                        let (waited, cost) = (one.waited.as_secs_f64(), one.cost.as_secs_f64());
                        let topic = one.topic.to_string();
                        (topic, one.partition, one.virtual_partition, one.messages, waited, one.priority, cost)
                    });
                    let columns = columns.collect();
                    *self.asked.lock() = Some(question);
                    return Ok(Some(columns));
                }
                Some(Asked::Interrupted) => {}
                Some(Asked::Closed) | None => return Ok(None),
            }
        }
    }

    /// Answers the question that `next` returned, with places of candidates.
    fn answer(&self, order: Vec<u32>) {
        if let Some(question) = self.asked.lock().take() {
            question.answer(Ok(order));
        }
    }

    /// The scheduler raised.
    fn fail(&self, class: String, message: String) {
        if let Some(question) = self.asked.lock().take() {
            question.answer(Err(Failure::new(class, message)));
        }
    }
}
