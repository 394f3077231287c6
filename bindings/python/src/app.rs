//! An app: the part of `libkarafka.App` that is the core's.
//!
//! Called on any Python thread. Handlers are handed over at the start, and let go of when the app has stopped.

use crate::attach;
use crate::error::OrRaise;
use crate::event::{self, Events};
use crate::handler::{Handler, Handlers};
use crate::job::Job;
use crate::scheduler::Waiting;
use crate::settings::settings;
use crate::slots::Slots;
use karafka::lock::Mutex;
use karafka::{AppConfig, Hook, SeatKind, Signal, TopicConfig, Work};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
struct Started {
    handlers: Arc<Handlers>,
    slots: Arc<Slots>,
}

/// The core's app.
#[pyclass(frozen, module = "libkarafka._native")]
pub(crate) struct App {
    inner: karafka::App,
    started: Mutex<Option<Started>>,
}

#[pymethods]
impl App {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let config = AppConfig::from_settings(&settings(options)?).or_raise(py)?;
        let inner = karafka::App::new(config).or_raise(py)?;
        Ok(Self { inner, started: Mutex::new(None) })
    }

    /// Every option with its value as text; secrets are replaced.
    fn options(&self) -> Vec<(&'static str, String)> {
        self.inner.config().entries()
    }

    /// Where the app is in its life, in one word.
    #[getter]
    fn phase(&self) -> &'static str {
        self.inner.phase().name()
    }

    /// Registers a topic. Returns its number, and whether its virtual partitions are few and lasting, so that consumers may
    /// stay.
    fn add_topic(
        &self,
        py: Python<'_>,
        name: &str,
        options: &Bound<'_, PyDict>,
        is_async: bool,
        hooks: Vec<String>,
    ) -> PyResult<(usize, bool)> {
        let config = TopicConfig::from_settings(&settings(options)?).map_err(|error| error.with("topic", name));
        let config = config.or_raise(py)?;
        let seats = if is_async { SeatKind::Slot } else { SeatKind::Thread };
        let stays = config.keeps_consumers();
        let number = self.inner.add_topic(name, config, Work::Host, seats).or_raise(py)?;
        let hooks: Vec<Hook> = hooks.into_iter().filter_map(|name| Hook::from_name(&name)).collect();
        self.inner.set_hooks(number, &hooks).or_raise(py)?;
        Ok((number, stays))
    }

    /// Sends the messages of a topic of scheduled messages on.
    fn scheduled_messages(&self, py: Python<'_>, topic: &str, options: &Bound<'_, PyDict>) -> PyResult<()> {
        crate::scheduled::send_on(py, &self.inner, topic, options)
    }

    /// Keeps recurring tasks in a topic.
    fn recurring_tasks(
        &self,
        py: Python<'_>,
        topic: &str,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<crate::recurring::RecurringTasks> {
        crate::recurring::keep(py, &self.inner, topic, options)
    }

    /// Lets a Python thread decide whose turn it is.
    fn lend_scheduler(&self, py: Python<'_>) -> PyResult<Waiting> {
        self.inner.lend_scheduler().map(Waiting::new).or_raise(py)
    }

    /// Subscribes to events of these names; to all but those of single calls without names.
    #[pyo3(signature = (names = None))]
    fn events(&self, py: Python<'_>, names: Option<Vec<String>>) -> PyResult<Events> {
        let events = names.map_or_else(|| Ok(self.inner.events()), |names| self.inner.events_of(&names));
        Events::new(py, events.or_raise(py)?)
    }

    /// Subscribes to what no other subscription wants.
    fn unheard_events(&self, py: Python<'_>) -> PyResult<Events> {
        Events::new(py, self.inner.unheard_events())
    }

    /// How the app does now.
    fn statistics<'py>(&self, py: Python<'py>, timeout: Duration) -> PyResult<Bound<'py, PyDict>> {
        let statistics = attach::detached(py, || self.inner.statistics(timeout)).or_raise(py)?;
        event::fields(py, &karafka::Event::Statistics(Arc::new(statistics)))
    }

    /// Starts polling and the worker threads. `handlers` are in the order of their topics' numbers; `wake` is called on
    /// a worker thread when jobs of `async def` handlers wait in `take_jobs`.
    fn start(&self, py: Python<'_>, handlers: Vec<Handler>, wake: Option<Py<PyAny>>) -> PyResult<()> {
        let is_async = handlers.iter().map(|handler| handler.is_async).collect();
        let handlers = Arc::new(Handlers::new(self.inner.clone(), handlers));
        let slots = Arc::new(Slots::new(is_async, wake, Arc::clone(&handlers)));
        let started = Started { handlers, slots };
        {
            let mut place = self.started.lock();
            if place.is_none() {
                *place = Some(started.clone());
            }
        }
        let serving = started.clone();
        let runner: karafka::SeatRunner = Arc::new(move |seat| attach::serve(seat, &serving.handlers, &serving.slots));
        let outcome = attach::detached(py, || self.inner.start_with(&runner));
        if outcome.is_err() {
            let mut place = self.started.lock();
            if place.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.handlers, &started.handlers)) {
                *place = None;
            }
        }
        outcome.or_raise(py)
    }

    /// The jobs that have gathered for the event loop.
    fn take_jobs(&self) -> Vec<Job> {
        let started = self.started.lock().clone();
        started.map_or_else(Vec::new, |started| started.slots.take_jobs())
    }

    /// Waits until the app has stopped. Called once, by the app's host thread.
    fn join(&self, py: Python<'_>) -> PyResult<()> {
        attach::detached(py, || self.inner.join(None)).or_raise(py).map(|_| ())
    }

    /// The exception by which a handler asked the program to end.
    fn take_ending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let started = self.started.lock().clone()?;
        Some(started.handlers.take_ending()?.into_value(py).into_any())
    }

    /// Lets go of the handlers.
    fn clear(&self) {
        if let Some(started) = self.started.lock().as_ref() {
            started.handlers.clear();
        }
    }

    #[pyo3(signature = (timeout = None))]
    fn stop(&self, timeout: Option<Duration>) {
        match timeout {
            None => self.inner.stop(),
            Some(timeout) => self.inner.stop_within(timeout),
        }
    }

    /// Does what a signal of this name asks for.
    fn notice_signal(&self, py: Python<'_>, name: &str) {
        if let Some(signal) = Signal::from_name(name) {
            attach::detached(py, || self.inner.notice_signal(signal));
        }
    }

    fn quiet(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.quiet().or_raise(py)
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.resume().or_raise(py)
    }

    fn resize(&self, py: Python<'_>, concurrency: u32) -> PyResult<()> {
        attach::detached(py, || self.inner.resize(concurrency)).or_raise(py).map(|_| ())
    }
}
