//! Of three members one runs the tasks; it is killed with SIGKILL in the middle of a run, and another one goes on. No run is early, two
//! never overlap, every time has its run or is made up for by a later one, what is switched off does not run, a command is carried
//! out once, and the log tells (karafka.md section 3: recurring tasks).

use crate::support::{PATIENCE, member};
use karafka::{Producer, ProducerConfig};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, record, topics, wait};

const SECOND: i64 = 1_000;

/// A run as its member has told it; times in milliseconds, of which `scheduled` is -1 where it was triggered.
#[derive(Debug, Clone)]
struct Run {
    task: String,
    scheduled: i64,
    began: i64,
    ended: Option<i64>,
    of: usize,
}

fn now() -> i64 {
    i64::try_from(record::now() / 1_000_000).unwrap()
}

/// The runs of all members, by their beginnings.
fn runs(members: &[Program]) -> Vec<Run> {
    let mut runs = Vec::<Run>::new();
    for (of, member) in members.iter().enumerate() {
        for line in member.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, what @ ("task.began" | "task.ended"), task, scheduled, at] = words[..] else { continue };
            let at = at.strip_prefix("at=").unwrap().parse::<i64>().unwrap() / 1_000_000;
            if what == "task.began" {
                let scheduled = scheduled.parse().unwrap();
                runs.push(Run { task: task.to_owned(), scheduled, began: at, ended: None, of });
            } else {
                runs.iter_mut().rfind(|run| run.of == of).unwrap().ended = Some(at);
            }
        }
    }
    runs.sort_by_key(|run| run.began);
    runs
}

fn count(members: &[Program], task: &str) -> usize {
    runs(members).iter().filter(|run| run.task == task).count()
}

/// The last state of the task that the topic has.
fn state(bootstrap: &str, topic: &str, task: &str) -> serde_json::Value {
    let key = format!("task/{task}").into_bytes();
    let found = topics::read(bootstrap, topic).into_iter().rfind(|message| message.key.as_ref() == Some(&key));
    found.map_or(serde_json::Value::Null, |message| serde_json::from_slice(&message.payload.unwrap()).unwrap())
}

#[test]
fn recurring_tasks_have_one_runner_whoever_dies() {
    let bootstrap = broker::shared();
    let tasks = topics::create_with(bootstrap, 1, &[("cleanup.policy", "compact")]);
    let (log, group) = (topics::create(bootstrap, 1), topics::unique("group"));
    let recurring = format!("recurring={tasks},{log}");
    let options = [&*recurring, "kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"];
    let start = || member(bootstrap, &group, &topics::create(bootstrap, 1), &options);
    let mut members: Vec<Program> = (0..3).map(|_| start()).collect();
    let config = ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    wait::until(PATIENCE, "four runs", || count(&members, "often") >= 4);
    producer.trigger_task(&tasks, "rare").unwrap();
    wait::until(PATIENCE, "the run that was triggered", || count(&members, "rare") == 1);

    // Killed in the middle of a run.
    let before = runs(&members).len();
    wait::until(PATIENCE, "a run that goes on", || {
        let runs = runs(&members);
        runs.len() > before && runs.last().is_some_and(|run| run.ended.is_none())
    });
    let runner = runs(&members).last().unwrap().of;
    members[runner].kill();
    let death = now();
    producer.trigger_task(&tasks, "rare").unwrap();
    let last = runs(&members).len();
    wait::until(PATIENCE, "runs of another member", || runs(&members).len() > last + 3);
    wait::until(PATIENCE, "the run that was triggered while none ran", || count(&members, "rare") == 2);

    let is_enabled = || state(bootstrap, &tasks, "often")["enabled"].as_bool();
    producer.disable_task(&tasks, "often").unwrap();
    wait::until(PATIENCE, "that it is switched off", || is_enabled() == Some(false));
    let off = now();
    wait::until(PATIENCE, "three times that go by", || now() > off + 3 * SECOND);
    producer.trigger_task(&tasks, "rare").unwrap();
    wait::until(PATIENCE, "the run that was triggered", || count(&members, "rare") == 3);
    let on = now();
    producer.enable_task(&tasks, "often").unwrap();
    wait::until(PATIENCE, "a run at its time", || runs(&members).iter().any(|run| run.scheduled > on));
    for (place, member) in members.iter_mut().enumerate().filter(|(place, _)| *place != runner) {
        member.send("stop");
        assert!(member.wait(PATIENCE).success(), "{place}: {}", member.last_words());
    }

    let runs = runs(&members);
    for two in runs.windows(2) {
        let [one, next] = two else { continue };
        match one.ended {
            Some(ended) => assert!(ended <= next.began, "{one:?} overlaps {next:?}"),
            None => assert!(one.of == runner && next.began > death && next.of != runner, "{one:?}, then {next:?}"),
        }
    }
    let often: Vec<&Run> = runs.iter().filter(|run| run.task == "often").collect();
    for run in &often {
        let late = run.began - run.scheduled;
        assert!(run.scheduled % SECOND == 0 && late >= 0, "{run:?} is early");
        assert!(late < SECOND + 500, "{run:?} is not for the last time that has come");
        assert!(!(off..on).contains(&run.began), "{run:?} though it was switched off from {off} to {on}");
    }
    for two in often.windows(2) {
        let is_at_death = (two[0].began..two[1].began).contains(&death);
        assert!(
            two[1].scheduled > two[0].scheduled || is_at_death,
            "{two:?} are for one time; the death was at {death}"
        );
    }
    // Each trigger once; the one of the death may have been begun by nobody who could tell.
    let triggered = runs.iter().filter(|run| run.task == "rare").collect::<Vec<_>>();
    assert!(triggered.len() == 3 && triggered.iter().all(|run| run.scheduled == -1), "{triggered:?}");
    let commands = topics::read(bootstrap, &tasks)
        .into_iter()
        .filter(|message| message.key.as_ref().is_some_and(|key| key.starts_with(b"command/")));
    let (open, done): (Vec<_>, Vec<_>) = commands.partition(|message| message.payload.is_some());
    assert_eq!((open.len(), done.len()), (5, 5), "every command is carried out and forgotten");
    // What the member that was killed told of its last run may be more than it has logged.
    let (logged, ended) = (topics::read(bootstrap, &log).len(), runs.iter().filter(|run| run.ended.is_some()).count());
    assert!(logged == ended || logged + 1 == ended, "{logged} of {ended} runs are in the log");
}
