//! The guarantees of recurring tasks, with a clock, a log and faults that are made up: nothing early, no time and no command without a
//! run, nothing at the times of what is disabled, and no more repetitions than promised; through deaths at every point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka_schedule::{Cause, Command, Cron, FORGIVEN_MS, Missed, Step as Next, TaskState, Tasks};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// 2026-01-01 00:00 UTC.
const BEGIN: i64 = 1_767_225_600_000;
const NAMES: [&str; 2] = ["commanded", "steady"];

fn crons() -> [(Arc<str>, Cron); 2] {
    [
        (Arc::from(NAMES[0]), Cron::new("*/7 * * * * *", "UTC").unwrap()),
        (Arc::from(NAMES[1]), Cron::new("*/11 * * * * *", "UTC").unwrap()),
    ]
}

/// What becomes of a record, or of a run.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    /// It was done, and nobody was told.
    Unheard,
    Refused,
    DiesBefore,
    DiesAfter,
}

#[derive(Clone, Debug)]
enum Step {
    Give { command: Command, is_for_all: bool },
    Wait { milliseconds: i64 },
    Read { records: usize },
    Work { fates: Vec<Fate> },
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        6 => Just(Fate::Done), 1 => Just(Fate::Unheard), 1 => Just(Fate::Refused), 1 => Just(Fate::DiesBefore),
        1 => Just(Fate::DiesAfter),
    ];
    let command = prop_oneof![Just(Command::Enable), Just(Command::Disable), Just(Command::Trigger)];
    prop_oneof![
        2 => (command, any::<bool>()).prop_map(|(command, all)| Step::Give {
            command,
            is_for_all: all && command == Command::Trigger,
        }),
        6 => (0..15_000_i64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        4 => (1..9_usize).prop_map(|records| Step::Read { records }),
        8 => prop::collection::vec(fate, 0..9).prop_map(|fates| Step::Work { fates }),
        1 => Just(Step::Die),
    ]
}

#[derive(Clone, Debug)]
enum Record {
    State { task: String, state: TaskState },
    Command { task: String, command: Command },
    Ends { of: i64 },
}

#[derive(Default)]
struct World {
    now: i64,
    log: Vec<Record>,
    owner: Option<Tasks>,
    fates: Vec<Fate>,
    runs: BTreeMap<(String, String), usize>,
    /// How often somebody could not know that a run has ended.
    doubts: usize,
    /// When the last run at a time began, of each task.
    last: BTreeMap<String, i64>,
    first_look: Option<i64>,
}

impl World {
    fn owner(&mut self) -> Tasks {
        if let Some(owner) = self.owner.take() {
            return owner;
        }
        let mut owner = Tasks::default();
        read(&mut owner, &self.log, usize::MAX);
        owner.begin(self.now, Missed::RunOnce, crons());
        owner
    }

    fn fate(&mut self) -> Fate {
        self.fates.pop().unwrap_or(Fate::Done)
    }

    /// Appends, unless it does not; `None`: it died. Else, whether the owner was told.
    fn append(&mut self, record: Record) -> Option<bool> {
        let fate = self.fate();
        if matches!(fate, Fate::Done | Fate::Unheard | Fate::DiesAfter) {
            self.log.push(record);
        }
        match fate {
            Fate::Done => Some(true),
            Fate::Unheard | Fate::Refused => Some(false),
            Fate::DiesBefore | Fate::DiesAfter => {
                self.doubts += 1;
                None
            }
        }
    }

    /// As an owner does: until there is nothing to do, or something could not be done.
    fn work(&mut self, mut owner: Tasks) -> Option<Tasks> {
        while let Some(next) = owner.step(self.now) {
            match next {
                Next::Run { task, cause } => {
                    if matches!(self.fate(), Fate::DiesBefore) {
                        return None;
                    }
                    self.run(&owner, &task, cause);
                    owner.ran(self.now, &task, cause);
                }
                Next::Remember { task, state } => {
                    let record = Record::State { task: task.to_string(), state: state.clone() };
                    if !self.append(record)? {
                        break;
                    }
                    owner.remembered(&task, &state);
                }
                Next::Forget { offset, .. } => {
                    if !self.append(Record::Ends { of: offset })? {
                        break;
                    }
                    owner.forgotten(offset);
                }
            }
        }
        Some(owner)
    }

    fn run(&mut self, owner: &Tasks, task: &str, cause: Cause) {
        if let Cause::Time(time) = cause {
            assert!(self.now >= time, "{task} ran at {} and not at {time}", self.now);
            let cron = crons().into_iter().find(|(name, _)| **name == *task).unwrap().1;
            assert_eq!(cron.next_after(time - 1), Some(time), "{time} is no time of {task}");
            let read = usize::try_from(owner.next()).unwrap().min(self.log.len());
            let said = self.log[..read].iter().rev().find_map(|record| match record {
                Record::Command { task: of, command } if of == task && *command != Command::Trigger => Some(*command),
                _ => None,
            });
            assert_ne!(said, Some(Command::Disable), "{task} ran although it is disabled");
            self.last.insert(task.to_owned(), self.now);
        }
        let runs = self.runs.entry((task.to_owned(), format!("{cause:?}"))).or_default();
        *runs += 1;
        assert!(*runs <= 1 + self.doubts, "{task} ran {runs} times for {cause:?}");
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Give { command, is_for_all } => {
                let task = if is_for_all { "*" } else { NAMES[0] };
                self.log.push(Record::Command { task: task.to_owned(), command });
            }
            Step::Wait { milliseconds } => self.now += milliseconds,
            Step::Read { records } => {
                let mut owner = self.owner();
                read(&mut owner, &self.log, records);
                self.owner = Some(owner);
            }
            Step::Work { fates } => {
                self.fates = fates;
                let owner = self.owner();
                // A task is known from the first state on that is remembered.
                self.owner = self.work(owner);
                let is_known = |record: &Record| matches!(record, Record::State { task, .. } if task == NAMES[1]);
                if self.first_look.is_none() && self.log.iter().any(is_known) {
                    self.first_look = Some(self.now);
                }
            }
            Step::Die => {
                if self.owner.take().is_some() {
                    self.doubts += 1;
                }
            }
        }
    }
}

fn read(owner: &mut Tasks, log: &[Record], most: usize) {
    let from = usize::try_from(owner.next()).unwrap();
    for (offset, record) in log.iter().enumerate().skip(from).take(most) {
        let offset = i64::try_from(offset).unwrap();
        match record {
            Record::State { task, state } => owner.state(offset, task, state.clone()),
            Record::Command { task, command } => owner.command(offset, &offset.to_be_bytes(), task, *command),
            Record::Ends { of } => owner.ended(offset, &of.to_be_bytes()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_time_and_command_has_its_run(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World { now: BEGIN, ..World::default() };
        for step in steps {
            world.play(step);
        }
        // All is well from now on.
        world.play(Step::Read { records: usize::MAX });
        world.play(Step::Work { fates: Vec::new() });
        world.play(Step::Read { records: usize::MAX });
        world.play(Step::Work { fates: Vec::new() });
        let steady = crons()[1].1.clone();
        let served = world.last.get(NAMES[1]).copied().unwrap_or(0).max(world.first_look.unwrap_or(world.now));
        prop_assert!(steady.next_after(served).is_none_or(|next| next > world.now), "a time has no run");
        for (offset, record) in world.log.iter().enumerate() {
            let Record::Command { task, command: Command::Trigger } = record else { continue };
            let cause = format!("{:?}", Cause::Command(i64::try_from(offset).unwrap()));
            for name in NAMES.iter().filter(|name| task == "*" || task == *name) {
                prop_assert!(world.runs.contains_key(&((*name).to_owned(), cause.clone())), "{name}: no run for {cause}");
            }
        }
        let is_ended = |offset: i64| world.log.iter().any(|record| matches!(record, Record::Ends { of } if *of == offset));
        for (offset, record) in world.log.iter().enumerate() {
            let is_command = matches!(record, Record::Command { .. });
            prop_assert!(!is_command || is_ended(i64::try_from(offset).unwrap()), "a command was not forgotten");
        }
    }
}

#[test]
fn a_task_begins_with_its_first_time_and_makes_up_for_what_was_missed_once() {
    let mut tasks = Tasks::default();
    let cron = || [(Arc::<str>::from("t"), Cron::new("0 * * * *", "UTC").unwrap())];
    let hour = 3_600_000;
    tasks.begin(BEGIN + 1, Missed::RunOnce, cron());
    let Some(Next::Remember { task, state }) = tasks.step(BEGIN + 1) else { panic!("its state is new") };
    tasks.remembered(&task, &state);
    assert_eq!(tasks.step(BEGIN + hour - 1), None);
    assert_eq!(tasks.next_time("t"), Some(BEGIN + hour));

    // An heir, five hours later.
    let mut heir = Tasks::default();
    heir.state(0, "t", state);
    heir.begin(BEGIN + 5 * hour + 9, Missed::RunOnce, cron());
    let last = Cause::Time(BEGIN + 5 * hour);
    assert_eq!(heir.step(BEGIN + 5 * hour + 9), Some(Next::Run { task: Arc::from("t"), cause: last }));
    heir.ran(BEGIN + 5 * hour + 9, "t", last);
    let Some(Next::Remember { task, state }) = heir.step(BEGIN + 5 * hour + 9) else { panic!("it is not remembered") };
    heir.remembered(&task, &state);
    assert_eq!(heir.step(BEGIN + 5 * hour + 9), None);
}

#[test]
fn another_pattern_begins_anew_and_keeps_what_was_commanded() {
    let mut tasks = Tasks::default();
    let state = TaskState { cron: "0 * * * * UTC".to_owned(), is_enabled: false, since: BEGIN, applied: 7 };
    tasks.state(8, "t", state.clone());
    tasks.begin(BEGIN + 90_000_000, Missed::RunOnce, [(Arc::from("t"), Cron::new("30 * * * *", "UTC").unwrap())]);
    let Some(Next::Remember { state: new, .. }) = tasks.step(BEGIN + 90_000_000) else { panic!("another pattern") };
    assert_eq!(new, TaskState { cron: "30 * * * * UTC".to_owned(), since: BEGIN + 90_000_000, ..state });
}

fn hourly(state: TaskState, now: i64, missed: Missed) -> Tasks {
    let mut tasks = Tasks::default();
    tasks.state(0, "t", state);
    tasks.begin(now, missed, [(Arc::from("t"), Cron::new("0 * * * *", "UTC").unwrap())]);
    tasks
}

fn state(since: i64) -> TaskState {
    TaskState { cron: "0 * * * * UTC".to_owned(), is_enabled: true, since, applied: -1 }
}

fn remembered(tasks: &mut Tasks, now: i64) -> TaskState {
    let Some(Next::Remember { task, state }) = tasks.step(now) else { panic!("nothing to remember") };
    tasks.remembered(&task, &state);
    state
}

#[test]
fn what_was_missed_is_left_out_where_that_is_asked_for() {
    let hour = 3_600_000;
    let mut tasks = hourly(state(BEGIN), BEGIN + 5 * hour + 9, Missed::Skip);
    assert_eq!(remembered(&mut tasks, BEGIN + 5 * hour + 9).since, BEGIN + 5 * hour + 9);
    assert_eq!(tasks.step(BEGIN + 5 * hour + 9), None);
    // Late, since another task ran until now, and itself it takes more than an hour.
    let (began, ended) = (BEGIN + 6 * hour + 50, BEGIN + 7 * hour + 60);
    let time = Cause::Time(BEGIN + 6 * hour);
    assert_eq!(tasks.step(began), Some(Next::Run { task: Arc::from("t"), cause: time }));
    tasks.ran(ended, "t", time);
    assert_eq!(remembered(&mut tasks, ended).since, ended);
    assert_eq!((tasks.step(ended), tasks.next_time("t")), (None, Some(BEGIN + 8 * hour)));
}

#[test]
fn a_clock_that_is_put_back_repeats_nothing_and_stops_nothing_for_good() {
    let hour = 3_600_000;
    let mut tasks = hourly(state(BEGIN + 5 * hour), BEGIN + 5 * hour, Missed::RunOnce);
    assert_eq!(tasks.step(BEGIN + 5 * hour - FORGIVEN_MS), None, "five o'clock ran already");
    assert_eq!(tasks.next_time("t"), Some(BEGIN + 6 * hour));
    let now = BEGIN + 2 * hour + 1;
    assert_eq!(remembered(&mut tasks, now).since, now, "the clock was wrong by hours");
    assert_eq!((tasks.step(now), tasks.next_time("t")), (None, Some(BEGIN + 3 * hour)));
}

#[test]
fn a_command_for_a_task_that_is_none_is_told_and_forgotten() {
    let mut tasks = hourly(state(BEGIN), BEGIN, Missed::RunOnce);
    tasks.command(1, b"command/1", "typo", Command::Trigger);
    let Some(Next::Forget { offset, unknown, .. }) = tasks.step(BEGIN) else { panic!("it stays") };
    assert_eq!((offset, unknown.as_deref()), (1, Some("typo")));
    tasks.forgotten(offset);
    tasks.command(2, b"command/2", "*", Command::Trigger);
    let cause = Cause::Command(2);
    assert_eq!(tasks.step(BEGIN), Some(Next::Run { task: Arc::from("t"), cause }));
    tasks.ran(BEGIN, "t", cause);
    remembered(&mut tasks, BEGIN);
    assert!(matches!(tasks.step(BEGIN), Some(Next::Forget { offset: 2, unknown: None, .. })));
}

/// A topic that was copied from another cluster, or written by hand, may say what never was.
#[test]
fn a_state_that_cannot_be_keeps_no_task_from_running() {
    let cron = || Cron::new("* * * * *", "UTC").unwrap();
    let state = |since, applied| TaskState { cron: cron().text().to_owned(), is_enabled: true, since, applied };
    let mut tasks = Tasks::default();
    tasks.state(0, "before-time", state(i64::MIN, -1));
    tasks.state(1, "ahead", state(BEGIN, 1_000_000));
    tasks.command(2, b"command/x", "ahead", Command::Trigger);
    tasks.begin(BEGIN + 1, Missed::RunOnce, ["before-time", "ahead"].map(|name| (Arc::from(name), cron())));
    let mut ran = Vec::new();
    while let Some(step) = tasks.step(BEGIN + 1) {
        match step {
            Next::Run { task, cause } => {
                tasks.ran(BEGIN + 1, &task, cause);
                ran.push((task.to_string(), cause));
            }
            Next::Remember { task, state } => tasks.remembered(&task, &state),
            Next::Forget { offset, .. } => tasks.forgotten(offset),
        }
    }
    let expected = [("ahead", Cause::Command(2)), ("before-time", Cause::Time(BEGIN))];
    assert_eq!(ran, expected.map(|(task, cause)| (task.to_owned(), cause)));
}
