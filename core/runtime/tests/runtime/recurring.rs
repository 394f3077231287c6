//! Recurring tasks, against the embedded broker.

use karafka::{
    App, AppConfig, EmbeddedBroker, ErrorKind, Event, Failure, Producer, ProducerConfig, ReadFrom, Reader,
    ReaderConfig, RecurringTasksConfig, Selection, TaskRun,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BROKER: &str = "embedded://recurring";
const PATIENCE: Duration = Duration::from_secs(30);
const EVERY_SECOND: &str = "* * * * * *";
const NEVER_TODAY: &str = "0 0 29 2 *";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[derive(Default)]
struct Runs {
    list: Mutex<Vec<(TaskRun, i64)>>,
    changed: Condvar,
}

impl Runs {
    fn add(&self, run: &TaskRun) {
        self.list.lock().unwrap().push((run.clone(), now()));
        self.changed.notify_all();
    }

    fn wait(&self, enough: impl Fn(&[(TaskRun, i64)]) -> bool) -> Vec<(TaskRun, i64)> {
        let list = self.list.lock().unwrap();
        let found = self.changed.wait_timeout_while(list, PATIENCE, |list| !enough(list)).unwrap();
        assert!(!found.1.timed_out(), "{:?}", *found.0);
        found.0.clone()
    }
}

fn of<'a>(runs: &'a [(TaskRun, i64)], task: &str) -> Vec<&'a (TaskRun, i64)> {
    runs.iter().filter(|(run, _)| &*run.task == task).collect()
}

/// An app whose tasks `often` and `rare` note their runs, and whose task `fails` fails.
fn app(topic: &str, runs: &Arc<Runs>) -> App {
    let config = AppConfig { bootstrap_servers: BROKER.to_owned(), group: topic.to_owned(), ..AppConfig::default() };
    let app = App::new(config).unwrap();
    let config = RecurringTasksConfig {
        interval: Duration::from_millis(50),
        log_topic: Some(format!("{topic}-log")),
        ..RecurringTasksConfig::default()
    };
    let tasks = app.recurring_tasks(topic, config).unwrap();
    for (name, cron) in [("often", EVERY_SECOND), ("rare", NEVER_TODAY)] {
        let runs = Arc::clone(runs);
        tasks
            .task(name, cron, move |run| {
                runs.add(run);
                Ok::<(), Failure>(())
            })
            .unwrap();
    }
    tasks.task("fails", NEVER_TODAY, |_| Err(Failure::new("Refused", "not today"))).unwrap();
    app
}

fn topics(topic: &str) -> Producer {
    let broker = EmbeddedBroker::named(BROKER).unwrap();
    broker.create_topic(topic, 1).unwrap();
    broker.create_topic(&format!("{topic}-log"), 1).unwrap();
    Producer::new(ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() }).unwrap()
}

/// The records of a topic, keys and payloads, as text.
fn texts(topic: &str) -> Vec<(String, Option<String>)> {
    let config = ReaderConfig { bootstrap_servers: BROKER.to_owned(), ..ReaderConfig::default() };
    let mut reader = Reader::open(config, &[Selection::new(topic, ReadFrom::Earliest)]).unwrap();
    let mut texts = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(batch) = reader.next(PATIENCE).unwrap() {
        texts.extend(batch.iter().map(|one| (text(one.key().unwrap()), one.payload().map(text))));
    }
    texts
}

fn stop(app: &App) {
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

#[test]
fn tasks_run_at_their_times_and_are_commanded_and_logged() {
    let (producer, runs) = (topics("tasks"), Arc::new(Runs::default()));
    let app = app("tasks", &runs);
    let events = app.events_of(&["recurring_tasks.error"]).unwrap();
    app.start().unwrap();
    let seen = runs.wait(|runs| of(runs, "often").len() >= 3);
    assert!(of(&seen, "rare").is_empty());
    for (run, time) in of(&seen, "often") {
        let scheduled = run.scheduled.unwrap();
        assert!(scheduled % 1_000 == 0 && *time >= scheduled, "{run:?} at {time}");
    }
    producer.trigger_task("tasks", "rare").unwrap();
    let seen = runs.wait(|runs| !of(runs, "rare").is_empty());
    assert_eq!(of(&seen, "rare")[0].0.scheduled, None);
    producer.trigger_task("tasks", "fails").unwrap();
    let told = events.next(PATIENCE).unwrap();
    let Event::TaskFailed { topic, task, failure, .. } = &told else { panic!("{told:?}") };
    assert_eq!((&**topic, &**task, &*failure.message), ("tasks", "fails", "not today"));

    // Carried out once the second command is: they are in order.
    producer.disable_task("tasks", "often").unwrap();
    producer.trigger_task("tasks", "rare").unwrap();
    runs.wait(|runs| of(runs, "rare").len() == 2);
    let disabled = now();
    producer.trigger_task("tasks", "*").unwrap();
    let seen = runs.wait(|runs| of(runs, "rare").len() == 3);
    let late = |run: &&&(TaskRun, i64)| run.0.scheduled.is_some_and(|scheduled| scheduled > disabled);
    assert_eq!(of(&seen, "often").iter().filter(late).count(), 0, "it runs although it is disabled");
    producer.enable_task("tasks", "often").unwrap();
    runs.wait(|runs| of(runs, "often").iter().any(|run| late(&run)));
    stop(&app);

    let log = texts("tasks-log");
    let of_task = |task: &str| log.iter().filter(|(key, _)| key == task).count();
    let runs = runs.list.lock().unwrap();
    assert_eq!((of_task("often"), of_task("rare")), (of(&runs, "often").len(), of(&runs, "rare").len()));
    let failed = log.iter().find(|(key, _)| key == "fails").unwrap().1.as_ref().unwrap();
    assert!(failed.contains("\"succeeded\":false") && failed.contains("\"error_message\":\"not today\""), "{failed}");
    let commands = texts("tasks").into_iter().filter(|(key, _)| key.starts_with("command/")).collect::<Vec<_>>();
    let open = commands.iter().filter(|(_, payload)| payload.is_some()).count();
    assert_eq!(commands.len(), 2 * open, "every command is carried out and forgotten");
}

#[test]
fn what_was_missed_is_made_up_for_once_and_what_is_disabled_stays_so() {
    let (producer, runs) = (topics("missed"), Arc::new(Runs::default()));
    let first = app("missed", &runs);
    first.start().unwrap();
    runs.wait(|runs| of(runs, "often").len() >= 2);
    stop(&first);
    let (before, stopped) = (runs.list.lock().unwrap().len(), now());
    let scheduled = |runs: &[(TaskRun, i64)]| runs.last().unwrap().0.scheduled.unwrap();
    let last = scheduled(&runs.list.lock().unwrap());
    // At least two times pass while nobody runs them.
    while now() < stopped.max(last) + 2_500 {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let second = app("missed", &runs);
    let began = now();
    second.start().unwrap();
    let seen = runs.wait(|runs| runs.len() > before);
    let made_up = seen[before].0.scheduled.unwrap();
    assert!(made_up > last + 1_000 && made_up + 1_000 > began, "one run for all that were missed: {made_up}");
    producer.disable_task("missed", "often").unwrap();
    producer.trigger_task("missed", "rare").unwrap();
    runs.wait(|runs| !of(runs, "rare").is_empty());
    stop(&second);

    let before = of(&runs.list.lock().unwrap(), "often").len();
    let third = app("missed", &runs);
    third.start().unwrap();
    producer.trigger_task("missed", "rare").unwrap();
    let seen = runs.wait(|runs| of(runs, "rare").len() == 2);
    assert_eq!(of(&seen, "often").len(), before, "it is disabled");
    stop(&third);
}

#[test]
fn mistakes_are_told_when_they_are_made() {
    let config =
        AppConfig { bootstrap_servers: BROKER.to_owned(), group: "mistakes".to_owned(), ..AppConfig::default() };
    let app = App::new(config).unwrap();
    let tasks = app.recurring_tasks("mistakes", RecurringTasksConfig::default()).unwrap();
    let add = |name: &str, cron: &str| tasks.task(name, cron, |_| Ok::<(), Failure>(()));
    add("a", "0 3 * * *").unwrap();
    for (name, cron, words) in [
        ("a", "0 3 * * *", "there is a task of this name already"),
        ("b", "61 * * * *", "\"61 * * * *\" is no cron pattern"),
        ("*", "0 3 * * *", "a task's name has"),
    ] {
        let refused = add(name, cron).unwrap_err();
        assert!(refused.kind() == ErrorKind::Config && refused.to_string().contains(words), "{refused}");
    }
    let zone = RecurringTasksConfig { time_zone: "Mars/Olympus".to_owned(), ..RecurringTasksConfig::default() };
    let refused = app.recurring_tasks("elsewhere", zone).unwrap_err();
    assert!(refused.to_string().contains("there is no time zone \"Mars/Olympus\""), "{refused}");
    let log = RecurringTasksConfig { log_topic: Some("elsewhere".to_owned()), ..RecurringTasksConfig::default() };
    let refused = app.recurring_tasks("elsewhere", log).unwrap_err();
    assert!(refused.to_string().contains("a topic of its own"), "{refused}");
    let option = |name: &str| RecurringTasksConfig::from_settings(&[(name.to_owned(), karafka::Value::from("x"))]);
    assert!(option("timezone").unwrap_err().to_string().contains("`time_zone`"));
    assert_eq!(option("time_zone").unwrap().time_zone, "x");
    assert!(option("catch_up").unwrap_err().to_string().contains("true or false"));
    let producer = topics("mistakes");
    assert_eq!(producer.trigger_task("mistakes", "").unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_slow_task_never_overlaps_itself_and_hears_that_it_should_end() {
    let producer = topics("slow");
    let config = AppConfig { bootstrap_servers: BROKER.to_owned(), group: "slow".to_owned(), ..AppConfig::default() };
    let app = App::new(config).unwrap();
    let config = RecurringTasksConfig { interval: Duration::from_millis(50), ..RecurringTasksConfig::default() };
    let tasks = app.recurring_tasks("slow", config).unwrap();
    // Given up once it is used: an app keeps its tasks, and one that kept the app would keep both for ever.
    let (runs, inside, stopper) = (Arc::new(Runs::default()), Mutex::new(()), Mutex::new(Some(app.clone())));
    let noted = Arc::clone(&runs);
    let slow = move |run: &TaskRun| {
        let _alone = inside.try_lock().expect("it overlaps itself");
        noted.add(run);
        let began = now();
        if noted.list.lock().unwrap().len() == 3 {
            assert!(!run.should_end());
            stopper.lock().unwrap().take().unwrap().stop();
            while !run.should_end() && now() < began + 20_000 {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            assert!(run.should_end());
        }
        // Longer than from one time to the next.
        while now() < began + 1_200 {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok::<(), Failure>(())
    };
    tasks.task("slow", EVERY_SECOND, slow).unwrap();
    let events = app.events_of(&["recurring_tasks.*"]).unwrap();
    producer.trigger_task("slow", "slow").unwrap();
    app.start().unwrap();
    assert!(app.join(Some(PATIENCE)).unwrap());
    let told: Vec<_> = std::iter::from_fn(|| events.next(Duration::ZERO).ok()).collect();
    assert!(told.len() == 3 && told.iter().all(|one| matches!(one, Event::TaskExecuted { .. })), "{told:?}");
    let times: Vec<_> = runs.list.lock().unwrap().iter().map(|(run, _)| run.scheduled).collect();
    assert!(matches!(times[..], [None, Some(first), Some(second)] if second >= first + 1_000), "{times:?}");
    // What ran is remembered, also while the app stops.
    let state = texts("slow").into_iter().rev().find(|(key, _)| key == "task/slow").unwrap().1.unwrap();
    assert!(state.contains(&format!("\"since\":{}", times[2].unwrap())), "{state}");
}
