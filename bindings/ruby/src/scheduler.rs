//! Questions whose turn it is, answered by a Ruby thread.
//!
//! Used with the GVL; waits without it.

use crate::error::Raise;
use crate::gvl;
use crate::handle::Handle;
use karafka::lock::Mutex;
use karafka::{Asked, Failure, Question, Questions};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, RArray, RModule, Ruby, method};
use std::sync::Arc;

#[magnus::wrap(class = "LibKarafka::Native::Questions", free_immediately, size)]
pub struct Waiting {
    questions: Handle<Arc<Questions>>,
    asked: Mutex<Option<Question>>,
}

impl Waiting {
    pub fn new(questions: Arc<Questions>) -> Self {
        Self { questions: Handle::new(questions), asked: Mutex::new(None) }
    }

    /// Waits for the next question: an array for each candidate. `nil` once the app has stopped.
    fn next(ruby: &Ruby, this: &Self) -> Result<Option<RArray>, Error> {
        let questions = this.questions.get("wait for questions").or_raise(ruby)?;
        loop {
            match gvl::without_gvl(|| questions.next(), &|| questions.interrupt()) {
                Some(Asked::Question(question)) => {
                    let candidates = ruby.ary_new_capa(question.candidates().len());
                    for one in question.candidates() {
                        let columns = ruby.ary_new_capa(7);
                        columns.push(&*one.topic)?;
                        columns.push(one.partition)?;
                        columns.push(one.virtual_partition)?;
                        columns.push(one.messages)?;
                        columns.push(one.waited.as_secs_f64())?;
                        columns.push(one.priority)?;
                        columns.push(one.cost.as_secs_f64())?;
                        candidates.push(columns)?;
                    }
                    *this.asked.lock() = Some(question);
                    return Ok(Some(candidates));
                }
                Some(Asked::Closed) => return Ok(None),
                Some(Asked::Interrupted) | None => ruby.thread_check_ints()?,
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

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Questions", ruby.class_object())?;
    Waiting::class(ruby);
    class.define_method("next", method!(Waiting::next, 0))?;
    class.define_method("answer", method!(Waiting::answer, 1))?;
    class.define_method("fail", method!(Waiting::fail, 2))
}
