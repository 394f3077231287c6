//! Recurring tasks: those of an app, and the commands of a producer.
//!
//! Used with the GVL. The core's seats hand a run over to a Ruby thread of the app's own (`lib/libkarafka/recurring.rb`), and wait for
//! its word: user code never runs inside a wait.

use crate::app::App;
use crate::config::settings;
use crate::error::Raise;
use crate::gvl;
use crate::producer::Producer;
use crate::wait::interruptible;
use karafka::lock::{Condvar, Mutex};
use karafka::{Failure, RecurringTasksConfig, TaskRun};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, RClass, RHash, RModule, Ruby, method};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// A run that waits for a Ruby thread, and where its outcome goes. Dropped without one, it has failed.
struct Call {
    run: TaskRun,
    ended: Sender<Result<(), Failure>>,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Call>,
    is_closed: bool,
    interrupts: u64,
}

/// What a Ruby thread that waits for runs gets.
enum Given {
    Call(Call),
    Interrupted,
    Closed,
}

/// Runs on their way to Ruby.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn ask(&self, run: &TaskRun) -> Result<(), Failure> {
        let (ended, end) = channel();
        {
            let mut state = self.state.lock();
            if state.is_closed {
                return Err(Failure::new("Stopped", "the thread for recurring tasks has ended"));
            }
            state.calls.push_back(Call { run: run.clone(), ended });
        }
        self.changed.notify_all();
        end.recv().unwrap_or_else(|_| Err(Failure::new("ThreadKill", "the task's thread was killed")))
    }

    /// Waits; it is interrupted by what comes after the `seen` interrupts.
    fn next(&self, seen: u64) -> Given {
        let mut state = self.state.lock();
        loop {
            if let Some(call) = state.calls.pop_front() {
                return Given::Call(call);
            }
            if state.is_closed {
                return Given::Closed;
            }
            if state.interrupts != seen {
                return Given::Interrupted;
            }
            state = self.changed.wait(state);
        }
    }

    fn wake(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

/// The recurring tasks of a topic.
#[magnus::wrap(class = "LibKarafka::Native::RecurringTasks", free_immediately, size)]
struct Tasks {
    inner: karafka::RecurringTasks,
    desk: Arc<Desk>,
    running: Mutex<Option<Call>>,
}

impl Tasks {
    fn add(ruby: &Ruby, this: &Self, name: String, cron: String) -> Result<(), Error> {
        let desk = Arc::clone(&this.desk);
        this.inner.add(&name, &cron, Arc::new(move |run| desk.ask(run))).or_raise(ruby)
    }

    /// Waits for the next run: the task's name and the time in milliseconds, or nil. `nil` once it is closed.
    fn next(ruby: &Ruby, this: &Self) -> Result<Option<(String, Option<i64>)>, Error> {
        loop {
            let seen = this.desk.state.lock().interrupts;
            match gvl::without_gvl(|| this.desk.next(seen), &|| this.desk.wake(|state| state.interrupts += 1)) {
                Some(Given::Call(call)) => {
                    let told = (call.run.task.to_string(), call.run.scheduled);
                    *this.running.lock() = Some(call);
                    return Ok(Some(told));
                }
                Some(Given::Closed) => return Ok(None),
                Some(Given::Interrupted) | None => ruby.thread_check_ints()?,
            }
        }
    }

    /// The run has ended; with a class and a message it has failed.
    fn ended(&self, class: Option<String>, message: Option<String>) {
        let outcome = match class {
            None => Ok(()),
            Some(class) => Err(Failure::new(class, message.unwrap_or_default())),
        };
        let running = self.running.lock().take();
        if let Some(Call { ended, .. }) = running {
            // Nobody waits any more when the core gave the run up.
            let _ = ended.send(outcome);
        }
    }

    /// Whether the run that `next` has given out should end early; one that has ended should.
    fn should_end(&self) -> bool {
        self.running.lock().as_ref().is_none_or(|call| call.run.should_end())
    }

    /// No run is taken any more; those that wait have failed.
    fn close(&self) {
        drop(self.running.lock().take());
        self.desk.wake(|state| {
            state.is_closed = true;
            state.calls.clear();
        });
    }
}

impl App {
    fn recurring_tasks(ruby: &Ruby, this: &Self, topic: String, options: RHash) -> Result<Tasks, Error> {
        let config = RecurringTasksConfig::from_settings(&settings(ruby, options)?).or_raise(ruby)?;
        let inner = this.get(ruby, "keep recurring tasks")?.recurring_tasks(&topic, config).or_raise(ruby)?;
        Ok(Tasks { inner, desk: Arc::default(), running: Mutex::default() })
    }
}

impl Producer {
    fn command_task(ruby: &Ruby, this: &Self, command: String, topic: String, task: String) -> Result<(), Error> {
        let give = match command.as_str() {
            "enable" => karafka::Producer::enable_task,
            "disable" => karafka::Producer::disable_task,
            _ => karafka::Producer::trigger_task,
        };
        let producer = this.get(ruby, "command a recurring task")?.clone();
        interruptible(ruby, move || give(&producer, &topic, &task))?.or_raise(ruby)
    }
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("RecurringTasks", ruby.class_object())?;
    Tasks::class(ruby);
    class.define_method("add", method!(Tasks::add, 2))?;
    class.define_method("next", method!(Tasks::next, 0))?;
    class.define_method("ended", method!(Tasks::ended, 2))?;
    class.define_method("should_end", method!(Tasks::should_end, 0))?;
    class.define_method("close", method!(Tasks::close, 0))
}

pub fn define_for_app(class: RClass) -> Result<(), Error> {
    class.define_method("recurring_tasks", method!(App::recurring_tasks, 2))
}

pub fn define_for_producer(class: RClass) -> Result<(), Error> {
    class.define_method("command_task", method!(Producer::command_task, 3))
}
