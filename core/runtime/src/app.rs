//! An app: topics, their handlers, and the threads that serve them.
//!
//! Configured on one thread, then started; every method may be called from any thread, also from inside a handler (but for
//! `run` and `join`, which wait). Nothing native exists before the start, so that a process may fork until then.

mod launch;

use crate::config::{AppConfig, TopicConfig};
use crate::event::{Events, Phase};
use crate::handler::Handler;
use crate::hook::Hook;
use crate::job::Job;
use crate::lock::Mutex;
use crate::poller;
use crate::pool::Pool;
use crate::report::{Control, Report};
use crate::scheduler::{Questions, Scheduler};
use crate::seat::Seat;
use crate::shared::{NoAnswer, Shared};
use crate::statistics::Statistics;
use crate::wake::Waker;
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Who handles a topic's records.
#[derive(Clone)]
pub enum Work {
    /// A Rust handler, on the core's worker threads.
    Handler(Arc<dyn Handler>),
    /// A handler of libkarafka's own, which the seats of every language run by themselves.
    #[doc(hidden)]
    Core(Arc<dyn Handler>),
    /// The threads that hold seats look at [`crate::Job::topic_index`] and call user code themselves.
    Host,
}

/// Which seats a topic's jobs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SeatKind {
    /// One thread a job, `concurrency` of them.
    Thread,
    /// Jobs that an event loop completes later: one thread hands them over, `async_concurrency` may be under way.
    Slot,
}

#[derive(Clone)]
pub(crate) struct TopicEntry {
    pub(crate) name: String,
    pub(crate) config: TopicConfig,
    pub(crate) work: Work,
    pub(crate) seats: SeatKind,
    pub(crate) hooks: Vec<Hook>,
}

impl TopicEntry {
    /// Whether it is to tick, and nobody would hear it.
    fn lacks_tick(&self) -> bool {
        self.config.periodic && !self.hooks.contains(&Hook::Tick)
    }

    /// The consumer group that reads the topic.
    pub(crate) fn group<'entry>(&'entry self, app: &'entry AppConfig) -> &'entry str {
        self.config.group.as_ref().unwrap_or(&app.group)
    }

    /// The brokers of its cluster.
    pub(crate) fn brokers<'entry>(&'entry self, app: &'entry AppConfig) -> &'entry str {
        self.config.bootstrap_servers.as_ref().unwrap_or(&app.bootstrap_servers)
    }
}

/// Who decides whose turn it is.
#[derive(Clone)]
enum Chooser {
    Core(Arc<dyn Scheduler>),
    Host,
}

/// What a worker thread does with its seat.
pub type SeatRunner = Arc<dyn Fn(Seat) + Send + Sync>;

/// Longer than any program runs, short enough to be added to any clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What has to be well before the app starts.
type Check = Box<dyn Fn() -> Result<()> + Send + Sync>;

struct Inner {
    config: AppConfig,
    checks: Mutex<Vec<Arc<Check>>>,
    /// Topics with handlers of libkarafka's own. They come after all others, whose numbers are their places in lists of hosts.
    own: Mutex<Vec<TopicEntry>>,
    topics: Mutex<Vec<TopicEntry>>,
    shared: Arc<Shared>,
    threads: Arc<Pool<Job>>,
    slots: Arc<Pool<Job>>,
    runner: Mutex<Option<SeatRunner>>,
    scheduler: Mutex<Option<Chooser>>,
    /// What the poller sleeps on: here until the app is started, and again when its start was refused.
    parker: Mutex<Option<Parker>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

/// An app; clones are handles of the same one. It keeps its handlers, so a handler that keeps a clone keeps both for ever, also when the
/// app has stopped: let it take the clone out of an `Option` or keep a channel.
#[derive(Clone)]
pub struct App(Arc<Inner>);

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl App {
    /// An app with this configuration. Starts nothing and connects to nothing.
    ///
    /// # Errors
    /// `Config`, with every problem of the configuration.
    pub fn new(config: AppConfig) -> Result<Self> {
        config.validate()?;
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker().clone()));
        let shared = Arc::new(Shared::new(&waker));
        let inner = Inner {
            threads: Pool::new(config.concurrency as usize, Arc::clone(&waker)),
            slots: Pool::new(config.async_concurrency as usize, waker),
            config,
            checks: Mutex::default(),
            own: Mutex::default(),
            topics: Mutex::new(Vec::new()),
            shared,
            runner: Mutex::new(None),
            scheduler: Mutex::new(None),
            parker: Mutex::new(Some(parker)),
            handles: Mutex::new(Vec::new()),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The app's configuration.
    pub fn config(&self) -> &AppConfig {
        &self.0.config
    }

    /// Registers a topic and its Rust handler. Returns the topic's number.
    ///
    /// # Errors
    /// `Config` when an option is wrong or the group reads the topic already, `Stopped` once the app was started.
    pub fn topic(&self, name: &str, config: TopicConfig, handler: impl Handler) -> Result<usize> {
        self.add_topic(name, config, Work::Handler(Arc::new(handler)), SeatKind::Thread)
    }

    /// Registers a topic: [`Self::topic`] for handlers of other languages and for those that finish later.
    ///
    /// # Errors
    /// As [`Self::topic`].
    pub fn add_topic(&self, name: &str, config: TopicConfig, work: Work, seats: SeatKind) -> Result<usize> {
        self.0.shared.owns("add a topic")?;
        config.validate_for(name, &self.0.config)?;
        let mut topics = self.0.topics.lock();
        if self.was_started() {
            let message = "the app was started already; register every topic before";
            return Err(Error::new(ErrorKind::Stopped, "add a topic", message).with("topic", name));
        }
        let hooks = match &work {
            Work::Handler(handler) | Work::Core(handler) => handler.hooks(),
            Work::Host => Vec::new(),
        };
        let entry = TopicEntry { name: name.to_owned(), config, work, seats, hooks };
        let app = &self.0.config;
        let (group, brokers) = (entry.group(app), entry.brokers(app));
        let taken =
            |other: &TopicEntry| other.name == name && other.group(app) == group && other.brokers(app) == brokers;
        let mut own = self.0.own.lock();
        if topics.iter().chain(own.iter()).any(taken) {
            let message = "the group has a handler for this topic already; give one of them another group";
            return Err(Error::new(ErrorKind::Config, "add a topic", message).with("topic", name).with("group", group));
        }
        if let Work::Core(_) = entry.work {
            own.push(entry);
            return Ok(own.len() - 1);
        }
        topics.push(entry);
        Ok(topics.len() - 1)
    }

    /// Asks this before every start, on the thread that starts.
    pub(crate) fn check_at_start(&self, check: Check) {
        self.0.checks.lock().push(Arc::new(check));
    }

    /// Asks this scheduler whose turn it is whenever more work waits than may run at once. It is advice: the app's `scheduling`
    /// decides while there is no answer within 5 milliseconds, for a second after a failure, and for one call in sixteen; and
    /// what is not ready when its turn comes is left out.
    ///
    /// # Errors
    /// `Config` when there is one already, `Stopped` once the app was started, `Forked` in a child process.
    pub fn set_scheduler(&self, scheduler: impl Scheduler) -> Result<()> {
        self.choose_by(Chooser::Core(Arc::new(scheduler)))
    }

    /// [`Self::set_scheduler`] for a host that answers the questions on a thread of its own, until they are closed.
    ///
    /// # Errors
    /// As [`Self::set_scheduler`].
    pub fn lend_scheduler(&self) -> Result<Arc<Questions>> {
        self.choose_by(Chooser::Host)?;
        Ok(Arc::clone(&self.0.shared.questions))
    }

    fn choose_by(&self, chooser: Chooser) -> Result<()> {
        const OPERATION: &str = "set a scheduler";
        self.0.shared.owns(OPERATION)?;
        let mut present = self.0.scheduler.lock();
        if self.was_started() {
            return Err(Error::new(ErrorKind::Stopped, OPERATION, "the app was started already; set it before"));
        }
        if present.is_some() {
            return Err(Error::new(ErrorKind::Config, OPERATION, "the app has a scheduler already"));
        }
        *present = Some(chooser);
        Ok(())
    }

    /// Says which hooks a host calls for a topic, by its number.
    ///
    /// # Errors
    /// `Config` when there is no such topic, `Stopped` once the app was started.
    pub fn set_hooks(&self, topic: usize, hooks: &[Hook]) -> Result<()> {
        self.0.shared.owns("set hooks")?;
        let mut topics = self.0.topics.lock();
        if self.was_started() {
            let message = "the app was started already; give topics their hooks before";
            return Err(Error::new(ErrorKind::Stopped, "set hooks", message));
        }
        let Some(entry) = topics.get_mut(topic) else {
            return Err(Error::new(ErrorKind::Config, "set hooks", format!("there is no topic number {topic}")));
        };
        entry.hooks = hooks.to_vec();
        Ok(())
    }

    /// Subscribes to what happens. Subscribe before the start to miss nothing. In a child process the subscription has ended.
    pub fn events(&self) -> Events {
        self.0.shared.publisher.subscribe()
    }

    /// Subscribes to these events only, by name (`consumer.consumed`), by beginning (`rebalance.*`) or to all (`*`).
    ///
    /// # Errors
    /// `Config` for a name that no event has, `Forked` in a child process.
    pub fn events_of(&self, names: &[impl AsRef<str>]) -> Result<Events> {
        self.0.shared.publisher.subscribe_to(names)
    }

    /// Subscribes to what no other subscription wants: for programs that have it logged.
    pub fn unheard_events(&self) -> Events {
        self.0.shared.publisher.subscribe_to_leftovers()
    }

    /// How the app does now. What librdkafka tells of clients, brokers and lags is among it where `statistics_interval` is
    /// set or somebody subscribed to `statistics.emitted` before the start; the app's own gauges always are.
    ///
    /// # Errors
    /// `Stopped` unless the app runs, `Timeout` when the poller gave no answer in this time, `Forked` in a child process.
    pub fn statistics(&self, timeout: Duration) -> Result<Statistics> {
        self.0.shared.owns("read statistics")?;
        if matches!(self.phase(), Phase::Initialized | Phase::Stopped) {
            let message = format!("the app is {}", self.phase().name());
            return Err(Error::new(ErrorKind::Stopped, "read statistics", message));
        }
        self.0.shared.ask(timeout, |answer| Report::Statistics { answer }).map_err(|none| match none {
            NoAnswer::Late => {
                let message = format!("the poller did not answer within {timeout:?}");
                Error::new(ErrorKind::Timeout, "read statistics", message).retriable()
            }
            NoAnswer::Stopped => Error::new(ErrorKind::Stopped, "read statistics", "the app has stopped"),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Where the app is in its life.
    pub fn phase(&self) -> Phase {
        self.0.shared.phase()
    }

    /// Starts no more calls of handlers; those that run go on, partitions are kept. [`Self::resume`] undoes it.
    ///
    /// # Errors
    /// `Stopped` unless the app runs, `Forked` in a child process.
    pub fn quiet(&self) -> Result<()> {
        self.must_run("quiet")?;
        self.control(Control::Quiet);
        Ok(())
    }

    /// Handles again after [`Self::quiet`].
    ///
    /// # Errors
    /// `Stopped` unless the app runs, `Forked` in a child process.
    pub fn resume(&self) -> Result<()> {
        self.must_run("resume")?;
        self.control(Control::Resume);
        Ok(())
    }

    /// Whether it runs, has run, or is being started. Asked under the lock of what must not change any more.
    fn was_started(&self) -> bool {
        self.phase() != Phase::Initialized || self.0.parker.lock().is_none()
    }

    fn must_run(&self, operation: &'static str) -> Result<()> {
        self.0.shared.owns(operation)?;
        match self.phase() {
            Phase::Running | Phase::Quieting | Phase::Quiet => Ok(()),
            phase => Err(Error::new(ErrorKind::Stopped, operation, format!("the app is {}", phase.name()))),
        }
    }

    /// Asks the app to stop within its `shutdown_timeout`, and returns at once. May be called in any phase and in a handler.
    pub fn stop(&self) {
        self.stop_within(self.0.config.shutdown_timeout);
    }

    /// Asks the app to stop within this time, and returns at once. A second call shortens the time.
    pub fn stop_within(&self, timeout: Duration) {
        if self.0.shared.owns("stop").is_err() {
            return;
        }
        if self.phase() == Phase::Initialized && self.0.parker.lock().take().is_some() {
            self.0.shared.enter(Phase::Stopped);
            self.0.shared.publisher.close();
            return;
        }
        self.0.shared.ask_to_stop();
        self.control(Control::Stop { within: timeout.min(FOREVER) });
    }

    fn control(&self, control: Control) {
        self.0.shared.report(Report::Control(control));
        self.0.shared.waker.wake();
    }

    /// Waits until the app has stopped. Returns whether it has, before `timeout`. Everybody who asks gets the same answer,
    /// also the second time.
    ///
    /// # Errors
    /// What the app ended with: `Timeout` when handlers had to be left behind (they are named), or the fatal error of a
    /// client. `Stopped` when it was not started yet and there is no `timeout`: as [`Self::check_started`].
    pub fn join(&self, timeout: Option<Duration>) -> Result<bool> {
        self.0.shared.owns("join")?;
        if timeout.is_none() {
            self.check_started()?;
        }
        if !self.0.shared.wait_stopped(timeout) {
            return Ok(false);
        }
        if let Some(error) = self.0.shared.failure() {
            // Threads that were left behind in user code cannot be waited for.
            self.0.handles.lock().clear();
            return Err(error);
        }
        let handles = std::mem::take(&mut *self.0.handles.lock());
        let here = thread::current().id();
        for handle in handles {
            // A handler may be the one that joins; its own thread ends by itself.
            if handle.thread().id() != here && handle.join().is_err() {
                return Err(Error::new(ErrorKind::Internal, "join", "a thread of the core panicked"));
            }
        }
        Ok(true)
    }

    /// Refuses to wait without a limit for the end of an app that nobody has started.
    ///
    /// # Errors
    /// `Stopped` when it was not started yet.
    pub fn check_started(&self) -> Result<()> {
        if self.was_started() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Stopped, "join", "the app was not started"))
    }

    /// Starts, and waits until the app has stopped.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::join`].
    pub fn run(&self) -> Result<()> {
        self.start()?;
        self.join(None).map(|_| ())
    }
}

impl Drop for Inner {
    /// An app that nobody holds any more stops by itself; in a forked child nothing native is touched.
    fn drop(&mut self) {
        if self.shared.owns("drop").is_ok() {
            self.shared.ask_to_stop();
            self.shared.report(Report::Control(Control::Stop { within: poller::ABANDONED }));
            self.shared.waker.wake();
        }
    }
}
