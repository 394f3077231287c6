//! What an app of the table has beside its handlers: scheduled messages and recurring tasks.

use crate::{BROKER, Watch, table};
use karafka::{App, EmbeddedBroker, Failure, Producer, RecurringTasksConfig, ScheduledMessagesConfig, TaskRun};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const INTERVAL: Duration = Duration::from_millis(100);

fn later(name: &str) -> String {
    format!("{name}-later")
}

fn tasks(name: &str) -> String {
    format!("{name}-tasks")
}

/// Before the first run: schedules and cancels, and gives commands.
pub fn prepare(scenario: &Json, name: &str, producer: &Producer) -> karafka::Result<()> {
    let broker = EmbeddedBroker::named(BROKER)?;
    let scheduled = &scenario["scheduled"];
    if scheduled.is_object() {
        broker.create_topic(&later(name), 1)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let at = now + scheduled["in"].as_i64().unwrap();
        for record in table::records(&scheduled["records"]) {
            let headers = record.headers();
            let record = record.to_produce(name, &headers);
            let id = producer.schedule(&later(name), &record, at)?;
            if record.payload.is_some() && record.payload == scheduled["cancelled"].as_str().map(str::as_bytes) {
                producer.cancel(&later(name), &id)?;
            }
        }
    }
    if scenario["tasks"].is_object() {
        broker.create_topic(&tasks(name), 1)?;
        let mut triggered = scenario["tasks"]["trigger"].as_array().unwrap().iter();
        return triggered.try_for_each(|task| producer.trigger_task(&tasks(name), task.as_str().unwrap()));
    }
    Ok(())
}

/// Before an app's start: has it send what is scheduled, and run the tasks, which are recorded as calls of hooks.
pub fn add(scenario: &Json, name: &str, app: &App, watch: &Arc<Watch>) -> karafka::Result<()> {
    if scenario["scheduled"].is_object() {
        let config = ScheduledMessagesConfig { interval: INTERVAL, ..ScheduledMessagesConfig::default() };
        app.scheduled_messages(&later(name), config)?;
    }
    if scenario["tasks"].is_object() {
        let config = RecurringTasksConfig { interval: INTERVAL, ..RecurringTasksConfig::default() };
        let declared = app.recurring_tasks(&tasks(name), config)?;
        for task in ["broken", "report"] {
            let watch = Arc::clone(watch);
            declared.task(task, "@yearly", move |run: &TaskRun| {
                watch.change(|seen| {
                    seen.hooks.push(json!([*run.task, run.scheduled.is_none(), false, false]));
                    seen.hooked += 1;
                });
                if task == "broken" { Err(Failure::new("Unlucky", "not this")) } else { Ok(()) }
            })?;
        }
    }
    Ok(())
}
