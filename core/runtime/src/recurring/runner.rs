//! Whoever owns the tasks of a topic: runs what is due, and remembers it.
//!
//! Called on the app's seats, for partition 0, one call at a time. What is known belongs to one ownership, which begins with reading
//! the partition. The order of a run: the function returns; its word in the log and the task's new state are acknowledged; only then
//! begins another one. Where its owner ends in between, the heir runs it again. How a run ended is told by an event.

use super::record::{self, Said};
use super::{TaskFunction, TaskRun};
use crate::config::{AppConfig, ProducerConfig};
use crate::event::Event;
use crate::handler::Handler;
use crate::hook::Hook;
use crate::job::{Failure, Job};
use crate::lock::Mutex;
use crate::message::Message;
use crate::producer::{Producer, Record};
use crate::reader::{ReadFrom, ReaderConfig};
use crate::scheduled::{now, read_partition};
use crate::{Batch, Context, Result};
use karafka_schedule::{Cause, Cron, Missed, Step, Tasks};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The partition that has everything: its owner is the one runner.
pub(super) const PARTITION: i32 = 0;

struct Known {
    ownership: u64,
    tasks: Tasks,
}

pub(super) struct Runner {
    pub(super) topic: String,
    log_topic: Option<String>,
    missed: Missed,
    bootstrap_servers: String,
    kafka: BTreeMap<String, String>,
    producing: ProducerConfig,
    producer: Mutex<Option<Producer>>,
    declared: Mutex<BTreeMap<Arc<str>, (Cron, TaskFunction)>>,
    /// While nobody works with it.
    known: Mutex<Option<Known>>,
}

impl Runner {
    pub(super) fn new(topic: &str, log_topic: Option<String>, missed: Missed, app: &AppConfig) -> Self {
        Self {
            topic: topic.to_owned(),
            log_topic,
            missed,
            bootstrap_servers: app.bootstrap_servers.clone(),
            kafka: app.producer_config().kafka,
            producing: app.producer_config(),
            producer: Mutex::default(),
            declared: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Whether the name was free.
    pub(super) fn declare(&self, name: &str, cron: Cron, function: TaskFunction) -> bool {
        let mut declared = self.declared.lock();
        if declared.contains_key(name) {
            return false;
        }
        declared.insert(Arc::from(name), (cron, function));
        true
    }

    fn producer(&self) -> Result<Producer> {
        if let Some(producer) = self.producer.lock().as_ref() {
            return Ok(producer.clone());
        }
        // Made and closed under no lock: of two that are made at once, one is kept.
        let producer = Producer::open(self.producing.clone())?;
        Ok(self.producer.lock().get_or_insert_with(|| producer.clone()).clone())
    }

    fn read(&self, context: &Context) -> Result<Tasks> {
        let config = ReaderConfig {
            bootstrap_servers: self.bootstrap_servers.clone(),
            kafka: self.kafka.clone(),
            ..ReaderConfig::default()
        };
        let mut tasks = Tasks::default();
        let end = read_partition(config, context, ReadFrom::Earliest, |message| take_in(&mut tasks, message))?;
        tasks.read_to(end);
        let declared = self.declared.lock();
        tasks.begin(now(), self.missed, declared.iter().map(|(name, (cron, _))| (Arc::clone(name), cron.clone())));
        Ok(tasks)
    }

    fn has_read(&self, context: &Context) -> bool {
        self.known.lock().as_ref().is_some_and(|known| known.ownership == context.ownership())
    }

    /// Takes a batch in, where there is one, and does what is to be done.
    fn work(&self, batch: Option<&Batch>, context: &Context) -> Result<()> {
        if context.partition() != PARTITION {
            return Ok(());
        }
        let known = self.known.lock().take().filter(|known| known.ownership == context.ownership());
        let mut known = match known {
            Some(known) => known,
            None => Known { ownership: context.ownership(), tasks: self.read(context)? },
        };
        for message in batch.into_iter().flat_map(Batch::iter) {
            take_in(&mut known.tasks, &message);
        }
        let done = self.take_steps(&mut known.tasks, context);
        *self.known.lock() = Some(known);
        done
    }

    /// The error is why something could not be remembered.
    fn take_steps(&self, tasks: &mut Tasks, context: &Context) -> Result<()> {
        while !context.is_revoked() {
            let Some(step) = tasks.step(now()) else { break };
            // What ran is remembered all the same.
            if context.is_stopping() && matches!(step, Step::Run { .. }) {
                break;
            }
            let producer = self.producer()?;
            let produce = |key: &[u8], payload: Option<&[u8]>| {
                let record = Record {
                    topic: &self.topic,
                    partition: Some(PARTITION),
                    key: Some(key),
                    payload,
                    ..Record::default()
                };
                producer.produce_sync(&record)
            };
            match step {
                Step::Run { task, cause } => {
                    self.run(&task, cause, &producer, context);
                    tasks.ran(now(), &task, cause);
                }
                Step::Remember { task, state } => {
                    let (key, payload) = record::state(&task, &state, tasks.next_time(&task));
                    produce(key.as_bytes(), Some(&payload))?;
                    tasks.remembered(&task, &state);
                }
                Step::Forget { offset, key, unknown } => {
                    if let Some(task) = unknown {
                        tracing::warn!(topic = self.topic, task, "a command is for a recurring task that is none here");
                    }
                    produce(&key, None)?;
                    tasks.forgotten(offset);
                }
            }
        }
        Ok(())
    }

    fn run(&self, task: &Arc<str>, cause: Cause, producer: &Producer, context: &Context) {
        let function = self.declared.lock().get(task).map(|(_, function)| Arc::clone(function));
        let Some(function) = function else { return };
        let scheduled = if let Cause::Time(time) = cause { Some(time) } else { None };
        let run = TaskRun { task: Arc::clone(task), scheduled, context: context.clone() };
        let began = now();
        let ended = catch_unwind(AssertUnwindSafe(|| function(&run)));
        let ended = ended.unwrap_or_else(|_| Err(Failure::new("Panic", "the task panicked")));
        let took = u64::try_from(now() - began).unwrap_or(0);
        if let Some(topic) = &self.log_topic {
            let payload = record::run(&run, began, took, &ended);
            let record = Record { topic, key: Some(task.as_bytes()), payload: Some(&payload), ..Record::default() };
            // The run has happened, whatever becomes of the word on it.
            if let Err(error) = producer.produce_sync(&record) {
                tracing::warn!(%error, task = &**task, "a run could not be logged");
            }
        }
        let (topic, task, took) =
            (Arc::clone(&context.assignment.topic), Arc::clone(task), Duration::from_millis(took));
        context.shared.publisher.publish(&match ended {
            Ok(()) => Event::TaskExecuted { topic, task, took },
            Err(failure) => Event::TaskFailed { topic, task, took, failure },
        });
    }
}

fn take_in(tasks: &mut Tasks, message: &Message<'_>) {
    let offset = message.offset();
    let words = match (message.key(), message.payload()) {
        (Some(key), None) => return tasks.ended(offset, key),
        (Some(key), Some(payload)) => match record::read(key, payload) {
            Said::State { task, state } => return tasks.state(offset, &task, state),
            Said::Command { task, command } => return tasks.command(offset, key, &task, command),
            Said::Nothing(words) => words,
        },
        (None, _) => "it has no key".to_owned(),
    };
    tracing::warn!(topic = message.topic(), offset, "a record is none of recurring tasks and is left: {words}");
    tasks.read_to(offset + 1);
}

impl Handler for Runner {
    fn handle(&self, job: Job) {
        // What was read counts, whatever becomes of what is to be done: that comes again. Only a partition that could not be
        // read does not.
        match self.work(Some(job.batch()), job.context()) {
            Err(error) if !self.has_read(job.context()) => {
                job.fail(Failure::new(error.kind().name(), error.to_string()));
            }
            Err(error) => {
                tracing::warn!(%error, "recurring tasks");
                job.done();
            }
            Ok(()) => job.done(),
        }
    }

    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::Tick, Hook::Revoked, Hook::Shutdown]
    }

    fn hook(&self, hook: Hook, job: Job) {
        if hook == Hook::Tick {
            return match self.work(None, job.context()) {
                Ok(()) => job.done(),
                Err(error) => job.fail(Failure::new(error.kind().name(), error.to_string())),
            };
        }
        let ownership = job.context().ownership();
        // What has ended is dropped under no lock.
        let known = self.known.lock().take_if(|known| known.ownership == ownership);
        drop(known);
        job.done();
    }
}
