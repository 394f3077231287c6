//! Recurring tasks: functions that run at the times of a cron pattern, in one member of a group.
//!
//! Tasks are declared before the app's start ([`App::recurring_tasks`], [`RecurringTasks::task`]). The member that owns partition 0
//! of their topic runs them, one at a time, on a seat (`runner`). The topic remembers what was run and takes commands
//! ([`Producer::enable_task`] and the like); another may log the runs. What runs when is decided by `karafka-schedule`; its guarantees become those of the topic because
//! nothing runs before what ran is remembered, and everything is read first.

mod record;
mod runner;

use crate::config::{InitialOffset, TopicConfig, Value, validate_topic_name};
use crate::job::Failure;
use crate::producer::{Producer, Record};
use crate::scheduled::{LOOK, check_presence, check_topic, new_id};
use crate::{App, Context, Error, ErrorKind, Result, SeatKind, Work};
use karafka_schedule::{Command, Cron, Missed};
use runner::Runner;
use std::sync::Arc;
use std::time::Duration;

const DECLARE: &str = "declare a recurring task";
const COMMAND: &str = "command a recurring task";

/// Where an app's recurring tasks are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurringTasksConfig {
    /// How often is looked for what is due, so how late a run is at most where nothing else is in its way. A second by default.
    pub interval: Duration,
    /// The consumer group of whose members one runs the tasks; `None` for the app's.
    pub group: Option<String>,
    /// A topic that gets a record for each run; `None` for none.
    pub log_topic: Option<String>,
    /// The time zone of the patterns, by its name in the IANA database. "UTC" by default.
    pub time_zone: String,
    /// Whether one run makes up for the times that came while no member had the tasks, or while the task itself ran; else the next run
    /// is at the next time. `true` by default.
    pub catch_up: bool,
}

impl Default for RecurringTasksConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            group: None,
            log_topic: None,
            time_zone: "UTC".to_owned(),
            catch_up: true,
        }
    }
}

impl RecurringTasksConfig {
    /// Options by name: `interval`, as a time, `group`, `log_topic`, `time_zone` and `catch_up`.
    ///
    /// # Errors
    /// `Config` for another name, or a value that does not fit.
    pub fn from_settings(settings: &[(String, Value)]) -> Result<Self> {
        let (mut config, mut topic) = (Self::default(), Vec::new());
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, DECLARE, message));
        for (name, value) in settings {
            match (name.as_str(), value) {
                ("interval", value) => topic.push(("periodic_interval".to_owned(), value.clone())),
                ("group", value) => topic.push((name.clone(), value.clone())),
                ("log_topic", Value::Text(text)) => config.log_topic = Some(text.clone()),
                ("time_zone", Value::Text(text)) => config.time_zone.clone_from(text),
                ("catch_up", Value::Bool(truth)) => config.catch_up = *truth,
                ("catch_up", Value::Text(text)) if text == "true" || text == "false" => {
                    config.catch_up = text == "true";
                }
                ("log_topic" | "time_zone", _) => return refuse(format!("{name} is text")),
                ("catch_up", _) => return refuse("catch_up is true or false".to_owned()),
                (other, _) => {
                    return refuse(format!(
                        "{other:?} is no option of recurring tasks, which have `interval`, `group`, `log_topic`, `time_zone` and `catch_up`"
                    ));
                }
            }
        }
        let is_given = topic.iter().any(|(name, _)| name == "periodic_interval");
        let topic = TopicConfig::from_settings(&topic)?;
        if is_given {
            config.interval = topic.periodic_interval;
        }
        config.group = topic.group;
        Ok(config)
    }
}

/// One run of a task, as its function is told.
#[derive(Clone)]
#[non_exhaustive]
pub struct TaskRun {
    /// The task's name.
    pub task: Arc<str>,
    /// The time that the run is for, in milliseconds since 1970-01-01 UTC: the last one that has come. `None` when the run was
    /// triggered.
    pub scheduled: Option<i64>,
    context: Context,
}

impl TaskRun {
    /// Whether the run should end early: the app was asked to stop, or another member has the tasks now. On any thread.
    pub fn should_end(&self) -> bool {
        self.context.is_stopping() || self.context.is_revoked()
    }
}

impl std::fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskRun").field("task", &self.task).field("scheduled", &self.scheduled).finish_non_exhaustive()
    }
}

/// A task's function. Called on a seat of the app, one run of all tasks of a topic at a time.
pub type TaskFunction = Arc<dyn Fn(&TaskRun) -> Result<(), Failure> + Send + Sync>;

/// The recurring tasks of one topic; clones are handles of the same ones.
#[derive(Clone)]
pub struct RecurringTasks {
    app: App,
    runner: Arc<Runner>,
    time_zone: String,
}

impl std::fmt::Debug for RecurringTasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecurringTasks").field("topic", &self.runner.topic).finish_non_exhaustive()
    }
}

impl App {
    /// Keeps recurring tasks in a topic: declare them by [`RecurringTasks::task`] before the start, which checks that the topic is there
    /// and compacted, and that the log's is there. Of all members of the group one runs them.
    ///
    /// ```
    /// use karafka::{App, AppConfig, EmbeddedBroker, Failure, RecurringTasksConfig};
    ///
    /// # fn main() -> karafka::Result<()> {
    /// let brokers = "embedded://".to_owned();
    /// EmbeddedBroker::named(&brokers)?.create_topic("tasks", 1)?;
    /// let app = App::new(AppConfig { bootstrap_servers: brokers, group: "reports".into(), ..AppConfig::default() })?;
    /// let tasks = app.recurring_tasks("tasks", RecurringTasksConfig::default())?;
    /// tasks.task("report", "0 6 * * MON-FRI", |run| {
    ///     println!("{} for {:?}", run.task, run.scheduled);
    ///     Ok::<(), Failure>(())
    /// })?;
    /// # app.start()?;
    /// # app.stop();
    /// # app.join(None)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Config` for names that are none and a time zone that is not there; else as [`Self::topic`].
    pub fn recurring_tasks(&self, topic: &str, config: RecurringTasksConfig) -> Result<RecurringTasks> {
        validate_topic_name(topic)?;
        if let Some(log_topic) = &config.log_topic {
            validate_topic_name(log_topic)?;
            if log_topic == topic {
                let message = "the log needs a topic of its own";
                return Err(Error::new(ErrorKind::Config, DECLARE, message).with("topic", topic));
            }
        }
        // A pattern that is right, for the zone's sake.
        let refused = |words: String| Error::new(ErrorKind::Config, DECLARE, words).with("topic", topic);
        Cron::new("@daily", &config.time_zone).map_err(refused)?;
        let missed = if config.catch_up { Missed::RunOnce } else { Missed::Skip };
        let runner = Arc::new(Runner::new(topic, config.log_topic.clone(), missed, self.config()));
        let options = TopicConfig {
            group: config.group,
            periodic: true,
            periodic_interval: config.interval,
            periodic_during_retry: true,
            initial_offset: InitialOffset::Earliest,
            ..TopicConfig::default()
        };
        self.add_topic(topic, options, Work::Core(Arc::clone(&runner) as _), SeatKind::Thread)?;
        let (brokers, kafka) = (self.config().bootstrap_servers.clone(), self.config().producer_config().kafka);
        let name = topic.to_owned();
        self.check_at_start(Box::new(move || {
            check_topic(&brokers, &kafka, &name, "recurring tasks")?;
            config
                .log_topic
                .as_ref()
                .map_or(Ok(()), |log| check_presence(&brokers, &kafka, log, "the log of recurring tasks"))
        }));
        Ok(RecurringTasks { app: self.clone(), runner, time_zone: config.time_zone })
    }
}

impl RecurringTasks {
    /// Declares a task: a function that runs at the times of a cron pattern: `minute hour day month weekday`, with seconds before them
    /// where wanted, or `@hourly` and the like. A run that fails is told by the event `recurring_tasks.error` and the log, and not
    /// repeated: the next one is at the next time.
    ///
    /// # Errors
    /// `Config` for a name that is taken, or a pattern that is none, with the field that is wrong; `Stopped` once the app was started.
    pub fn task<F, E>(&self, name: &str, cron: &str, function: F) -> Result<()>
    where
        F: Fn(&TaskRun) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Failure>,
    {
        self.add(name, cron, Arc::new(move |run| function(run).map_err(Into::into)))
    }

    /// [`Self::task`] for bindings.
    ///
    /// # Errors
    /// As [`Self::task`].
    pub fn add(&self, name: &str, cron: &str, function: TaskFunction) -> Result<()> {
        let refuse = |kind, message: String| Err(Error::new(kind, DECLARE, message).with("task", name));
        if self.app.phase() != crate::Phase::Initialized {
            return refuse(ErrorKind::Stopped, "the app was started already; declare every task before".to_owned());
        }
        if name.is_empty() || name == "*" || name.len() > 200 {
            return refuse(ErrorKind::Config, "a task's name has 1 to 200 bytes, and is not \"*\"".to_owned());
        }
        let cron = match Cron::new(cron, &self.time_zone) {
            Ok(cron) => cron,
            Err(words) => return refuse(ErrorKind::Config, words),
        };
        if self.runner.declare(name, cron, function) {
            Ok(())
        } else {
            refuse(ErrorKind::Config, "there is a task of this name already".to_owned())
        }
    }
}

impl Producer {
    /// Has a task of a topic of recurring tasks run at its times again, from now on; `*` stands for all. Waits until the command is
    /// acknowledged; it is carried out within the `interval` of the app that runs the tasks.
    ///
    /// # Errors
    /// `Broker` when the topic is not there; else as [`Self::produce_sync`].
    pub fn enable_task(&self, topic: &str, task: &str) -> Result<()> {
        self.command(topic, task, Command::Enable)
    }

    /// Has a task not run at its times any more, until it is enabled; otherwise as [`Self::enable_task`].
    ///
    /// # Errors
    /// As [`Self::enable_task`].
    pub fn disable_task(&self, topic: &str, task: &str) -> Result<()> {
        self.command(topic, task, Command::Disable)
    }

    /// Has a task run once, now, also where it is disabled; otherwise as [`Self::enable_task`].
    ///
    /// # Errors
    /// As [`Self::enable_task`].
    pub fn trigger_task(&self, topic: &str, task: &str) -> Result<()> {
        self.command(topic, task, Command::Trigger)
    }

    fn command(&self, topic: &str, task: &str, command: Command) -> Result<()> {
        if task.is_empty() {
            return Err(Error::new(ErrorKind::Config, COMMAND, "the task has no name; \"*\" stands for all"));
        }
        self.partitions(topic, self.config().delivery_timeout.min(LOOK))?;
        let (key, payload) = record::command(&new_id(1).0, task, command);
        let record = Record {
            topic,
            partition: Some(runner::PARTITION),
            key: Some(key.as_bytes()),
            payload: Some(&payload),
            ..Record::default()
        };
        // Commands are read as they are, also those of a producer that encrypts.
        self.produce_sealed_sync(&record).map(drop)
    }
}
