//! The Rust runner of the scenario table: `parity-rust scenarios.json [words]` prints, for each scenario whose name contains
//! the words, one line of JSON with what happened. What should have happened is judged elsewhere (`judge.py`).
//!
//! The handler records each call when it begins and when it ends, on the worker's thread; `main` waits for what was recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apart;
mod calls;
mod rules;
mod table;

use karafka::{
    App, AppConfig, Batch, Context, EmbeddedBroker, Error, Failure, FilterAnswer, Handler, Hook, Job, Message, NoEvent,
    Producer, ProducerConfig, SeatKind, TopicConfig, Work, handler_fn,
};
use rules::{Rules, Verdict};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use table::{hex, merged, records, settings};

const BROKER: &str = "embedded://parity-rust";
const PATIENCE: Duration = Duration::from_secs(30);

/// What was recorded of a run.
#[derive(Default)]
struct Seen {
    tick: u64,
    open: usize,
    begun: usize,
    done: usize,
    stopped: usize,
    hooked: usize,
    calls: Vec<Json>,
    hooks: Vec<Json>,
    last: Option<(Batch, Context)>,
}

impl Seen {
    fn count(&self, what: &str) -> usize {
        match what {
            "begun" => self.begun,
            "done" => self.done,
            "stopped" => self.stopped,
            "hooked" => self.hooked,
            other => panic!("the table waits for {other}"),
        }
    }
}

/// A run's record, shared by its handlers and whoever waits for them.
#[derive(Default)]
struct Watch {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Watch {
    fn change<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let changed = change(&mut self.seen.lock().unwrap());
        self.changed.notify_all();
        changed
    }

    /// Waits for an effect; returns whether it came in time.
    fn wait(&self, effect: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        while !effect(&seen) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            seen = self.changed.wait_timeout(seen, left).unwrap().0;
        }
        true
    }

    fn begin(&self, batch: &Batch, context: &Context, keeps: bool) -> usize {
        self.change(|seen| {
            seen.tick += 1;
            seen.open += 1;
            seen.begun += batch.len();
            // A kept batch holds up the end of the app's clients.
            if keeps {
                seen.last = Some((batch.clone(), context.clone()));
            }
            let groups: Vec<u64> = batch.groups().iter().map(|group| group.virtual_partition).collect();
            seen.calls.push(json!({
                "begin": seen.tick, "end": null, "attempt": context.attempt(), "retrying": context.is_retrying(),
                "outcome": null, "stuck": false, "marks": [], "sent": [], "virtual_partitions": groups,
                "records": batch.iter().map(|message| describe(&message)).collect::<Vec<_>>(),
            }));
            seen.calls.len() - 1
        })
    }

    fn end(&self, call: usize, records: usize, verdict: &Verdict, stuck: bool, marks: &[bool]) {
        self.change(|seen| {
            seen.tick += 1;
            seen.open -= 1;
            let is_done = matches!(verdict, Verdict::Done);
            seen.done += if is_done { records } else { 0 };
            let facts = &mut seen.calls[call];
            facts["end"] = json!(seen.tick);
            facts["outcome"] = json!(if is_done { "done" } else { "failed" });
            facts["stuck"] = json!(stuck);
            facts["marks"] = json!(marks);
        });
    }
}

fn describe(message: &Message<'_>) -> Json {
    let headers: Vec<Json> =
        message.headers().iter().map(|header| json!([hex(Some(header.name)), hex(header.value)])).collect();
    json!({
        "partition": message.partition(), "offset": message.offset(), "key": hex(message.key()),
        "payload": hex(message.payload()), "headers": headers, "tombstone": message.is_tombstone(),
        "timestamp": message.timestamp().map(|timestamp| timestamp.milliseconds),
    })
}

fn problem(error: &Error) -> Json {
    json!({ "error": error.kind().name(), "message": error.to_string() })
}

fn outcome<T>(result: karafka::Result<T>, value: impl FnOnce(T) -> Json) -> Json {
    match result {
        Ok(given) => json!({ "value": value(given) }),
        Err(error) => problem(&error),
    }
}

/// The handler of every scenario; it does what the run's rules say.
struct Scripted {
    watch: Arc<Watch>,
    rules: Arc<Rules>,
    is_later: bool,
    producer: Producer,
}

impl Handler for Scripted {
    fn handle(&self, job: Job) {
        let call = self.watch.begin(job.batch(), job.context(), self.rules.keeps());
        let (watch, rules) = (Arc::clone(&self.watch), Arc::clone(&self.rules));
        let sent = rules.send(job.context(), &self.producer);
        self.watch.change(|seen| seen.calls[call]["sent"] = json!(sent));
        let work = move || {
            let stuck = !rules.hold(&watch, job.batch());
            let marks = rules.mark(job.batch(), job.context());
            let verdict = rules.verdict(job.batch(), job.context());
            watch.end(call, job.batch().len(), &verdict, stuck, &marks);
            match verdict {
                Verdict::Done => job.done(),
                Verdict::Failed => job.fail(Failure::new("Unlucky", "not yet")),
                Verdict::Forgotten => drop(job),
            }
        };
        if self.is_later {
            thread::spawn(work);
        } else {
            work();
        }
    }

    fn partition(&self, job: Job) {
        match self.rules.keys(job.batch()) {
            Some(keys) => job.complete_keys(&keys),
            None => job.fail(Failure::new("Unlucky", "no partition")),
        }
    }

    fn unique_value(&self, job: Job) {
        match self.rules.unique_values(job.batch()) {
            Some(values) => job.complete_keys(&values),
            None => job.fail(Failure::new("Unlucky", "no value")),
        }
    }

    fn filter(&self, job: Job) {
        let answers = self.rules.answers(job.batch());
        let has_failed = answers.contains(&FilterAnswer::Failed);
        job.complete_filter(answers, has_failed.then(|| Failure::new("Unlucky", "no answer")));
    }

    fn hooks(&self) -> Vec<Hook> {
        if self.rules.has_hooks() { vec![Hook::Tick, Hook::Eofed, Hook::Revoked, Hook::Shutdown] } else { Vec::new() }
    }

    fn hook(&self, hook: Hook, job: Job) {
        let context = job.context();
        self.watch.change(|seen| {
            seen.hooks.push(json!([hook.name(), context.is_used(), context.is_eofed(), context.is_revoked()]));
            seen.hooked += 1;
        });
        if self.rules.hooks_fail() {
            job.fail(Failure::new("Unlucky", "not this"));
        } else {
            job.done();
        }
    }
}

fn listen(app: &App) -> JoinHandle<Vec<Json>> {
    let events = app.events();
    thread::spawn(move || {
        let mut heard = Vec::new();
        loop {
            match events.next(PATIENCE) {
                Ok(event) => {
                    let fields: serde_json::Map<_, _> =
                        event.fields().into_iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect();
                    heard.push(json!({ "name": event.name(), "fields": fields }));
                }
                Err(NoEvent::Timeout) => {}
                Err(NoEvent::Ended) => return heard,
            }
        }
    })
}

fn app_config(scenario: &Json, table: &Json, run: &Json, group: &str) -> karafka::Result<AppConfig> {
    let mut options = settings(&merged(&[&table["defaults"]["app"], &scenario["app"], &run["app"]]));
    options.push(("bootstrap_servers".to_owned(), BROKER.into()));
    options.push(("group".to_owned(), group.into()));
    AppConfig::from_settings(&options)
}

fn run(table: &Json, scenario: &Json, name: &str, run: &Json, producer: &Producer) -> karafka::Result<Json> {
    produce(producer, name, &run["records"])?;
    let app = App::new(app_config(scenario, table, run, name)?)?;
    let options = merged(&[&table["defaults"]["topic"], &scenario["topic"], &run["topic"]]);
    let config = TopicConfig::from_settings(&settings(&options))?;
    let watch = Arc::new(Watch::default());
    let is_later = scenario["later"].as_bool().unwrap_or(false);
    let rules = Arc::new(Rules::new(run, scenario));
    let handler = Arc::new(Scripted { watch: Arc::clone(&watch), rules, is_later, producer: producer.clone() });
    let seats = if is_later { SeatKind::Slot } else { SeatKind::Thread };
    let pattern = scenario["pattern"].as_bool().unwrap_or(false).then(|| format!("^{name}"));
    app.add_topic(pattern.as_deref().unwrap_or(name), config, Work::Handler(Arc::clone(&handler) as _), seats)?;
    if scenario["beside"].is_object() {
        let options = merged(&[&table["defaults"]["topic"], &scenario["beside"]["topic"]]);
        let config = TopicConfig::from_settings(&settings(&options))?;
        app.add_topic(&beside(name), config, Work::Handler(handler), seats)?;
    }
    apart::add(scenario, name, &app, &watch)?;
    let listener = listen(&app);
    app.start()?;
    let reached = |goal: &Json| {
        let (what, count) = (goal[0].as_str().unwrap(), goal[1].as_u64().unwrap() as usize);
        watch.wait(|seen| seen.count(what) >= count)
    };
    let other = run["joined"].as_array().map(|_| {
        reached(&run["joined"]);
        join(app_config(scenario, table, run, name)?, name, &options)
    });
    let other = other.transpose()?;
    let in_time = reached(&run["until"]);
    app.stop();
    let joined = app.join(Some(PATIENCE));
    if let Some(other) = other {
        other.stop();
        other.join(Some(PATIENCE))?;
    }
    watch.change(|seen| seen.stopped = 1);
    watch.wait(|seen| seen.open == 0);
    let after: serde_json::Map<_, _> = run["after"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (step.as_str().unwrap().to_owned(), afterwards(step.as_str().unwrap(), &app, &watch)))
        .collect();
    let seen = watch.seen.lock().unwrap();
    Ok(json!({
        "in_time": in_time, "joined": outcome(joined, |stopped| json!(stopped)), "calls": seen.calls, "after": after,
        "events": listener.join().unwrap(), "hooks": seen.hooks,
    }))
}

/// Another member of the group, which handles what it gets and records nothing.
fn join(config: AppConfig, topic: &str, options: &Json) -> karafka::Result<App> {
    let app = App::new(config)?;
    app.topic(topic, TopicConfig::from_settings(&settings(options))?, handler_fn(|_, _| Ok::<(), Failure>(())))?;
    app.start()?;
    Ok(app)
}

/// One call on an app that has stopped, or on the last record that its handler saw.
fn afterwards(step: &str, app: &App, watch: &Watch) -> Json {
    if !["mark", "acknowledge", "mark_and_wait"].contains(&step) {
        return calls::step(step, app);
    }
    let last = watch.seen.lock().unwrap().last.clone();
    let (batch, context) = last.expect("the run has seen a record");
    let message = batch.get(0).unwrap();
    match step {
        "mark" => json!({ "value": context.mark_as_consumed(&message) }),
        "acknowledge" => json!({ "value": context.acknowledge(&message) }),
        _ => outcome(context.mark_as_consumed_and_commit(&message, PATIENCE), |owned| json!(owned)),
    }
}

/// The name of the scenario's second topic.
fn beside(name: &str) -> String {
    format!("{name}-beside")
}

fn produce(producer: &Producer, topic: &str, described: &Json) -> karafka::Result<()> {
    let records = records(described);
    let headers: Vec<_> = records.iter().map(table::Record::headers).collect();
    let records: Vec<_> =
        records.iter().zip(&headers).map(|(record, headers)| record.to_produce(topic, headers)).collect();
    producer.produce_many_sync(&records).map(drop)
}

fn play(table: &Json, scenario: &Json, name: &str) -> karafka::Result<Json> {
    let mut result = json!({ "runs": [], "calls": [] });
    if let Some(runs) = scenario["runs"].as_array() {
        let partitions = scenario["partitions"].as_i64().unwrap_or(1);
        EmbeddedBroker::named(BROKER)?.create_topic(name, partitions as i32)?;
        let mut options = settings(&merged(&[&table["defaults"]["producer"], &scenario["producer"]]));
        options.push(("bootstrap_servers".to_owned(), BROKER.into()));
        let producer = Producer::new(ProducerConfig::from_settings(&options)?)?;
        produce(&producer, name, &scenario["records"])?;
        if scenario["beside"].is_object() {
            EmbeddedBroker::named(BROKER)?.create_topic(&beside(name), partitions as i32)?;
            produce(&producer, &beside(name), &scenario["beside"]["records"])?;
        }
        apart::prepare(scenario, name, &producer)?;
        let runs: karafka::Result<Vec<_>> = runs.iter().map(|one| run(table, scenario, name, one, &producer)).collect();
        result["runs"] = json!(runs?);
        producer.close()?;
    }
    let calls = scenario["calls"].as_array().into_iter().flatten();
    result["calls"] = calls.map(|call| calls::call(call, BROKER)).collect();
    Ok(result)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of the table");
    let words = arguments.next().unwrap_or_default();
    let table: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (number, scenario) in table["scenarios"].as_array().unwrap().iter().enumerate() {
        let name = scenario["name"].as_str().unwrap();
        let languages = scenario["languages"].as_array();
        if !name.contains(&words) || languages.is_some_and(|languages| !languages.contains(&json!("rust"))) {
            continue;
        }
        let mut result = play(&table, scenario, &format!("scenario-{number}"))
            .unwrap_or_else(|error| json!({ "broken": error.to_string() }));
        result["scenario"] = json!(name);
        println!("{result}");
    }
}
