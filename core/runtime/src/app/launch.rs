//! How an app comes to life: its poller, the threads that hold its seats, and how many of them there are.
//!
//! Called through [`App`]'s own methods, on any thread of the caller's. A start that is refused leaves the app as it was, so that
//! it can be started again. A thread that the system does not give ends the app: nobody waits for one that cannot work.

use super::{App, Chooser, SeatKind, SeatRunner};
use crate::event::{Event, Phase};
use crate::flow;
use crate::job::Job;
use crate::poller::Poller;
use crate::pool::Pool;
use crate::report::Control;
use crate::scheduler;
use crate::seat::{Next, Seat};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::thread;

/// A worker's stack, as large as the system gives programs: interpreters judge by that how deep their C code may nest. Only
/// what is used takes memory.
const WORKER_STACK: usize = 8 << 20;

impl App {
    /// Starts polling and the core's worker threads, and returns at once. An app starts once; one whose start was refused
    /// can be started again when the cause is gone, a certificate that was missing, say.
    ///
    /// # Errors
    /// `Config` when there is no topic or librdkafka refuses a setting, `Stopped` when it was started before, `Forked` in a
    /// child process.
    pub fn start(&self) -> Result<()> {
        let runner: SeatRunner = Arc::new(|mut seat: Seat| {
            while let Next::Job(job) = seat.next() {
                job.run();
            }
        });
        self.start_with(&runner)
    }

    /// [`Self::start`] with another way to use a seat: each worker thread calls `runner` once, with its seat.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&self, runner: &SeatRunner) -> Result<()> {
        self.launch()?;
        *self.0.runner.lock() = Some(Arc::clone(runner));
        let (mut threads, mut slots) = (self.0.config.concurrency, 1);
        {
            let (topics, own) = (self.0.topics.lock(), self.0.own.lock());
            let uses = |kind| topics.iter().chain(own.iter()).any(|entry| entry.seats == kind);
            if !uses(SeatKind::Thread) {
                threads = 0;
            }
            if !uses(SeatKind::Slot) {
                slots = 0;
            }
        }
        let spawned = (0..threads)
            .map(|number| (&self.0.threads, format!("karafka-work-{number}")))
            .chain((0..slots).map(|_| (&self.0.slots, "karafka-slots".to_owned())))
            .try_for_each(|(pool, name)| self.spawn_worker(pool, name, runner));
        spawned.inspect_err(|error| {
            self.0.shared.fail(error.clone());
            self.stop();
        })
    }

    /// Starts polling without worker threads: the host lends its own, each with a [`Self::seat`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_lent(&self) -> Result<()> {
        self.launch()
    }

    fn launch(&self) -> Result<()> {
        self.0.shared.owns("start")?;
        let mut parker = self.0.parker.lock().take();
        if parker.is_none() {
            return Err(Error::new(ErrorKind::Stopped, "start", "an app starts once; make a new one"));
        }
        // Without the parker here, neither changes; making clients takes a while, and is done under no lock.
        let checks = self.0.checks.lock().clone();
        let (mut topics, chooser) = (self.0.topics.lock().clone(), self.0.scheduler.lock().clone());
        topics.extend(self.0.own.lock().iter().cloned());
        let poller = if topics.is_empty() {
            Err(Error::new(ErrorKind::Config, "start", "there is no topic to read; register one first"))
        } else if let Some(entry) = topics.iter().find(|entry| entry.lacks_tick()) {
            let message = "the topic is periodic, and its handler has no tick";
            Err(Error::new(ErrorKind::Config, "start", message).with("topic", &entry.name))
        } else if let Err(refused) = flow::tell_if_asked(&self.0.config, &topics) {
            Err(refused)
        } else if let Some(refused) = checks.iter().find_map(|check| check().err()) {
            Err(refused)
        } else {
            let pools = [Arc::clone(&self.0.threads), Arc::clone(&self.0.slots)];
            let shared = Arc::clone(&self.0.shared);
            Poller::new(&self.0.config, &topics, shared, pools, &mut parker, chooser.is_some())
        };
        let poller = match poller {
            Ok(poller) => poller,
            Err(refused) => {
                *self.0.parker.lock() = parker;
                // Whoever asked meanwhile has nobody else to stop it.
                if self.0.shared.is_stop_asked() {
                    self.stop();
                }
                return Err(refused);
            }
        };
        crate::log::log_to_stderr(self.0.config.log_format, self.0.config.log_level);
        self.0.shared.enter(Phase::Running);
        let handle = thread::Builder::new().name("karafka-poll".to_owned()).spawn(move || poller.run());
        let handle = handle.map_err(|cause| {
            let message = "the system gave no thread for the poller";
            let error = Error::new(ErrorKind::Internal, "start", message).caused_by(cause);
            // Nobody is there to end the app in an orderly way: it has handled nothing.
            self.0.shared.fail(error.clone());
            self.0.shared.enter(Phase::Stopped);
            self.0.shared.publisher.close();
            error
        })?;
        self.0.handles.lock().push(handle);
        if let Some(Chooser::Core(scheduler)) = chooser.as_ref() {
            let (questions, scheduler) = (Arc::clone(&self.0.shared.questions), Arc::clone(scheduler));
            let serve = move || scheduler::serve(&questions, scheduler.as_ref());
            let spawned =
                thread::Builder::new().name("karafka-choose".to_owned()).stack_size(WORKER_STACK).spawn(serve);
            let handle = spawned.map_err(|cause| {
                let message = "the system gave no thread for the scheduler";
                let error = Error::new(ErrorKind::Internal, "start", message).caused_by(cause);
                self.0.shared.fail(error.clone());
                self.stop();
                error
            })?;
            self.0.handles.lock().push(handle);
        }
        Ok(())
    }

    fn spawn_worker(&self, pool: &Arc<Pool<Job>>, name: String, runner: &SeatRunner) -> Result<()> {
        let (seat, runner) = (Seat::new(pool, &self.0.shared.desks), Arc::clone(runner));
        let spawned = thread::Builder::new().name(name).stack_size(WORKER_STACK).spawn(move || runner(seat));
        let handle = spawned.map_err(|error| {
            Error::new(ErrorKind::Internal, "start", "the system gave no thread for a worker").caused_by(error)
        })?;
        self.0.handles.lock().push(handle);
        Ok(())
    }

    /// A seat for a thread that the host lends.
    ///
    /// # Errors
    /// `Forked` in a child process.
    pub fn seat(&self, kind: SeatKind) -> Result<Seat> {
        self.0.shared.owns("take a seat")?;
        Ok(Seat::new(self.pool(kind), &self.0.shared.desks))
    }

    fn pool(&self, kind: SeatKind) -> &Arc<Pool<Job>> {
        match kind {
            SeatKind::Thread => &self.0.threads,
            SeatKind::Slot => &self.0.slots,
        }
    }

    /// Changes how many jobs run at once, while running: starts threads, or lets them go when they are idle. Returns how
    /// many threads a lending host should add.
    ///
    /// # Errors
    /// `Config` for 0 or more than 4096, `Forked` in a child process.
    pub fn resize(&self, concurrency: u32) -> Result<usize> {
        self.0.shared.owns("resize")?;
        if !(1..=4096).contains(&concurrency) {
            let message = format!("concurrency must be between 1 and 4096, not {concurrency}");
            return Err(Error::new(ErrorKind::Config, "resize", message));
        }
        let before = u32::try_from(self.0.threads.capacity()).unwrap_or(u32::MAX);
        let mut missing = self.0.threads.resize(concurrency as usize);
        if concurrency > before {
            self.0.shared.publisher.publish(&Event::WorkersUp { from: before, to: concurrency });
        } else if concurrency < before {
            self.0.shared.publisher.publish(&Event::WorkersDown { from: before, to: concurrency });
        }
        let runner = self.0.runner.lock().clone();
        if let Some(runner) = runner {
            for _ in 0..missing {
                self.spawn_worker(&self.0.threads, "karafka-work".to_owned(), &runner)?;
            }
            missing = 0;
        }
        self.control(Control::Resize);
        Ok(missing)
    }
}
