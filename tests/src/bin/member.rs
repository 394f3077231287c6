//! `member OPTIONS...` is a member of a consumer group that tells what its handler sees, line by line.
//!
//! Options are `name=value`: `brokers`, `topic` (or several, by commas), `group`, `groups` (over so many the topics are spread), `work_us` (what each record takes),
//! `workers`, `hold_key` and `hold_ms` (records with this key take so long instead), `log` (1, or a level: the log goes to the error stream), and any option of an
//! app (`app.NAME`), of the topic (`topic.NAME`) or of librdkafka (`kafka.NAME`). Begins and ends are printed as
//! [`libkarafka_tests::record::Event`], events of the app as `app NAME ... at=NANOSECONDS`. A record with the key of `fail_key`
//! always fails. `scheduled` is a topic of scheduled messages that it sends on. `recurring` are a topic of recurring tasks and that of
//! their log, by a comma: the task `often` runs every second and `rare` when it is triggered; each run takes 200 ms, and is printed as
//! `app task.began NAME TIME at=NANOSECONDS` and `task.ended`. With `signals=1` it obeys signals, and its status is that of its error. With `tells=1` a record with `hold_key` is
//! held until its partition is lost at most, which is printed as `app handler.lost`, and the call of the hook as `app hook.revoked`.
//!
//! With `sends_to` each call sends what [`f`] makes of its records on to this topic, and marks them, in a transaction; `fails` percent
//! of the calls fail after that, before the commit. A record with `hold_key` is held once its output is acknowledged. How each
//! transaction ends is printed as `app transaction.committed`, or as `app transaction.` with the kind of its error.
//!
//! The line `stop`, or the end of the input, stops it; so does `stop N`, within N milliseconds. `quiet` and `resume` do what
//! they say. At the end the line `left ...` names the threads that are still there beside the main one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use karafka::{
    App, AppConfig, Batch, Context, Error, ErrorKind, Failure, Hook, NoEvent, Record, RecurringTasksConfig,
    ScheduledMessagesConfig, TaskRun, TopicConfig, Value, handler_fn, hooked,
};
use libkarafka_tests::exactly_once::f;
use libkarafka_tests::record::{Event, Place, What, now};
use std::fs;
use std::io::BufRead;
use std::thread;
use std::time::{Duration, Instant};
use tracing_subscriber::filter::LevelFilter;

const INPUT_THREAD: &str = "input";

#[derive(Default)]
struct Options {
    topic: String,
    groups: usize,
    work: Duration,
    hold: (String, Duration),
    fail_key: Option<String>,
    log: Option<LevelFilter>,
    signals: bool,
    tells: bool,
    sends_to: Option<String>,
    fails: u64,
    scheduled: Option<String>,
    recurring: Option<String>,
    app: Vec<(String, Value)>,
    of_topic: Vec<(String, Value)>,
    kafka: Vec<(String, Value)>,
}

fn options() -> Options {
    let mut options = Options::default();
    for argument in std::env::args().skip(1) {
        let (name, text) = argument.split_once('=').expect("options are name=value");
        let value = match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => text.parse().map_or_else(|_| Value::from(text), Value::Integer),
        };
        match name.split_once('.') {
            Some(("app", name)) => options.app.push((name.to_owned(), value)),
            Some(("topic", name)) => options.of_topic.push((name.to_owned(), value)),
            Some(("kafka", name)) => options.kafka.push((name.to_owned(), Value::from(text))),
            _ => match name {
                "brokers" => options.app.push(("bootstrap_servers".to_owned(), Value::from(text))),
                "group" => options.app.push(("group".to_owned(), Value::from(text))),
                "workers" => options.app.push(("concurrency".to_owned(), value)),
                "topic" => text.clone_into(&mut options.topic),
                "groups" => options.groups = text.parse().expect("groups is a number"),
                "sends_to" => options.sends_to = Some(text.to_owned()),
                "fails" => options.fails = text.parse().expect("fails is a number"),
                "scheduled" => options.scheduled = Some(text.to_owned()),
                "recurring" => options.recurring = Some(text.to_owned()),
                "fail_key" => options.fail_key = Some(text.to_owned()),
                "work_us" => options.work = Duration::from_micros(text.parse().expect("work_us is a number")),
                "hold_key" => text.clone_into(&mut options.hold.0),
                "hold_ms" => options.hold.1 = Duration::from_millis(text.parse().expect("hold_ms is a number")),
                "signals" => options.signals = text == "1",
                "tells" => options.tells = text == "1",
                "log" if text == "1" => options.log = Some(LevelFilter::INFO),
                "log" => options.log = Some(text.parse().expect("log is 1 or a level")),
                other => panic!("unknown option {other}"),
            },
        }
    }
    if !options.kafka.is_empty() {
        options.app.push(("kafka".to_owned(), Value::Map(std::mem::take(&mut options.kafka))));
    }
    options
}

fn main() {
    let options = options();
    let app = App::new(AppConfig::from_settings(&options.app).unwrap()).unwrap();
    if let Some(level) = options.log {
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
    }
    let Options { work, hold, fail_key, tells, .. } = &options;
    let (work, hold, fail_key, tells) = (*work, hold.clone(), fail_key.clone(), *tells);
    let (sends_to, fails) = (options.sends_to.clone(), options.fails);
    let handler = move |batch: &Batch, context: &Context| {
        if let Some(to) = &sends_to {
            return send_on(batch, context, to, fails, work, &hold);
        }
        for message in batch.iter() {
            let place =
                Place { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() };
            Event::now(What::Began(place.clone(), message.key().map(<[u8]>::to_vec))).print();
            let is_held = message.key().is_some_and(|key| !hold.1.is_zero() && key == hold.0.as_bytes());
            if is_held && tells {
                hold_until_lost(context, &place, hold.1);
            } else {
                thread::sleep(if is_held { hold.1 } else { work });
            }
            if message.key().is_some() && message.key() == fail_key.as_deref().map(str::as_bytes) {
                Event::now(What::Failed(place)).print();
                return Err(Failure::new("Asked", "the test wants this record to fail"));
            }
            Event::now(What::Finished(place)).print();
        }
        Ok(())
    };
    let config = TopicConfig::from_settings(&options.of_topic).unwrap();
    for (number, topic) in options.topic.split(',').enumerate() {
        let mut config = config.clone();
        if options.groups > 1 {
            config.group = Some(format!("{}-{}", app.config().group, number % options.groups));
        }
        let handler = handler_fn(handler.clone());
        if tells {
            let handler = hooked(handler).on(Hook::Revoked, |context| {
                tell(context);
                Ok::<(), Failure>(())
            });
            app.topic(topic, config, handler).unwrap();
        } else {
            app.topic(topic, config, handler).unwrap();
        }
    }
    if let Some(topic) = &options.scheduled {
        let config =
            ScheduledMessagesConfig { interval: Duration::from_millis(100), ..ScheduledMessagesConfig::default() };
        app.scheduled_messages(topic, config).unwrap();
    }
    if let Some((topic, log)) = options.recurring.as_deref().and_then(|topics| topics.split_once(',')) {
        let log_topic = Some(log.to_owned());
        let config =
            RecurringTasksConfig { interval: Duration::from_millis(100), log_topic, ..RecurringTasksConfig::default() };
        let tasks = app.recurring_tasks(topic, config).unwrap();
        for (name, cron) in [("often", "* * * * * *"), ("rare", "0 0 29 2 *")] {
            let told = |run: &TaskRun| {
                tell_run(run);
                Ok::<(), Failure>(())
            };
            tasks.task(name, cron, told).unwrap();
        }
    }
    let events = app.events();
    let guard = options.signals.then(|| app.obey_signals().unwrap());
    app.start().unwrap();
    let commanded = app.clone();
    let input = thread::Builder::new().name(INPUT_THREAD.to_owned()).spawn(move || obey(&commanded));
    input.expect("a thread for the input");
    loop {
        match events.next(Duration::from_secs(3600)) {
            Ok(event) => println!("app {event} at={}", now()),
            Err(NoEvent::Timeout) => {}
            Err(NoEvent::Ended) => break,
        }
    }
    let outcome = app.join(None);
    let obeys = guard.is_some();
    drop(guard);
    println!("left {}", threads().join(" "));
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(if obeys { error.exit_code().into() } else { 2 });
    }
}

/// A task's run, told when it begins and ends.
fn tell_run(run: &TaskRun) {
    let scheduled = run.scheduled.unwrap_or(-1);
    println!("app task.began {} {scheduled} at={}", run.task, now());
    thread::sleep(Duration::from_millis(200));
    println!("app task.ended {} {scheduled} at={}", run.task, now());
}

/// Sends what becomes of the records of a call on in a transaction.
fn send_on(
    batch: &Batch,
    context: &Context,
    to: &str,
    fails: u64,
    work: Duration,
    hold: &(String, Duration),
) -> Result<(), Failure> {
    let sent = context.transaction(|transaction| {
        for message in batch.iter() {
            thread::sleep(work);
            let (key, payload) = (message.key(), message.payload().map(f));
            let record = Record { topic: to, key, payload: payload.as_deref(), ..Record::default() };
            let delivery = transaction.produce_async(&record)?;
            if !hold.1.is_zero() && key == Some(hold.0.as_bytes()) {
                delivery.wait(Duration::from_secs(60))?;
                println!("app transaction.held offset={} at={}", message.offset(), now());
                thread::sleep(hold.1);
            }
            transaction.mark_as_consumed(&message)?;
        }
        if now() % 100 < fails {
            return Err(Error::new(ErrorKind::Handler, "handle", "the test wants this call to fail"));
        }
        Ok(())
    });
    match sent {
        Ok(()) => println!("app transaction.committed records={} at={}", batch.len(), now()),
        Err(error) => {
            println!("app transaction.{:?} error={:?} at={}", error.kind(), error.to_string(), now());
            return Err(Failure::new("Refused", error.to_string()));
        }
    }
    Ok(())
}

/// Holds a record until its partition is lost, and says so.
fn hold_until_lost(context: &Context, place: &Place, longest: Duration) {
    let began = Instant::now();
    while began.elapsed() < longest {
        if context.is_revoked() {
            println!("app handler.lost {place} at={}", now());
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the hook of a revocation sees.
fn tell(context: &Context) {
    let (topic, partition) = (context.topic(), context.partition());
    println!("app hook.revoked {topic}/{partition} revoked={} at={}", context.is_revoked(), now());
}

/// Does what the lines of the input say until one says `stop`, or until there are no more.
fn obey(app: &App) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match line.split_once(' ').map_or((line.as_str(), None), |(word, rest)| (word, Some(rest))) {
            ("quiet", _) => app.quiet().unwrap(),
            ("resume", _) => app.resume().unwrap(),
            ("stop", Some(within)) => app.stop_within(Duration::from_millis(within.parse().unwrap())),
            ("stop", None) => app.stop(),
            _ => panic!("unknown command {line}"),
        }
    }
    app.stop();
}

/// The names of this process's threads beside the main one and the one that waits for input.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("the system lists threads");
    let own = std::process::id().to_string();
    let names = tasks.filter_map(Result::ok).filter(|task| task.file_name() != own.as_str()).map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.trim_end().to_owned()
    });
    names.filter(|name| name != INPUT_THREAD && !name.is_empty()).collect()
}
