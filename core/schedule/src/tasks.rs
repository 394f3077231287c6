//! The recurring tasks of a group: which of them runs now, and what has to be remembered of it.
//!
//! Owned by whoever owns the tasks' partition, used by one thread at a time. Times are milliseconds since 1970-01-01 UTC.
//!
//! The log remembers a state for each task and holds the commands that were given. Guarantees, whatever fails or ends in between:
//!
//! 1. A run begins at its time or later, never before, and one at a time.
//! 2. After each time of a task that is enabled a run begins; those that came while nobody could run it, or while it ran, are made
//!    up for by one run, or left out where [`Missed::Skip`] says so.
//! 3. Nothing runs while something is not remembered yet, so that an heir repeats at most the one run whose end was not.
//! 4. A command is carried out in the order of the log, and by each task once; again only where that was not remembered.
//! 5. No time comes twice where the clock is put back by less than [`FORGIVEN_MS`]; where it is more, the times begin anew.

use crate::cron::Cron;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far the clock may be put back without a task's times beginning anew.
pub const FORGIVEN_MS: i64 = 3_600_000;

/// What becomes of times that came while nobody had the tasks, or while the task itself ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// One run makes up for all of them.
    #[default]
    RunOnce,
    /// The next run is at the next time.
    Skip,
}

/// What is remembered of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Pattern and zone by which `since` is meant.
    pub cron: String,
    /// Whether it runs at its times.
    pub is_enabled: bool,
    /// The times up to this one are done, or are none of the task's.
    pub since: i64,
    /// The offset of the last command that was carried out; −1 for none.
    pub applied: i64,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Run at the times from now on.
    Enable,
    /// Do not run at the times.
    Disable,
    /// Run once, now; also where it is not enabled.
    Trigger,
}

/// Why a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its time has come.
    Time(i64),
    /// The command at this offset.
    Command(i64),
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run the task; then tell [`Tasks::ran`].
    Run {
        /// Its name.
        task: Arc<str>,
        /// Why.
        cause: Cause,
    },
    /// Remember the state of a task; then tell [`Tasks::remembered`].
    Remember {
        /// Its name.
        task: Arc<str>,
        /// The state.
        state: TaskState,
    },
    /// Forget a command that was carried out; then tell [`Tasks::forgotten`].
    Forget {
        /// The offset of the command.
        offset: i64,
        /// The key of its record.
        key: Arc<[u8]>,
        /// The task that it was for, where there is none of that name.
        unknown: Option<String>,
    },
}

#[derive(Debug)]
struct Task {
    cron: Cron,
    state: TaskState,
    /// Its next time; `None` when there is none any more.
    next: Option<i64>,
}

impl Task {
    fn is_addressed(&self, name: &str, order: &Order) -> bool {
        order.offset > self.state.applied && (order.task == "*" || order.task == name)
    }
}

#[derive(Debug)]
struct Order {
    offset: i64,
    key: Arc<[u8]>,
    task: String,
    command: Command,
}

/// The tasks of a group.
#[derive(Debug, Default)]
pub struct Tasks {
    /// What was read of each task, also of those that are none here.
    read: BTreeMap<Arc<str>, TaskState>,
    known: BTreeMap<Arc<str>, Task>,
    /// Commands that are not forgotten yet, by their offsets.
    orders: BTreeMap<i64, Order>,
    unremembered: BTreeSet<Arc<str>>,
    missed: Missed,
    next: i64,
}

impl Task {
    /// The times up to this one are done.
    fn begins_at(&mut self, since: i64) {
        self.state.since = since;
        self.next = self.cron.next_after(since);
    }
}

impl Tasks {
    /// The log's next record is the state of a task. Only what is read before [`Self::begin`] counts: from then on, the states in the
    /// log are its owner's own.
    pub fn state(&mut self, offset: i64, task: &str, state: TaskState) {
        if self.moves_to(offset) {
            // In a copy of the topic a command lies elsewhere than in the original: none that lies behind its state was carried out.
            let applied = state.applied.min(offset);
            self.read.insert(Arc::from(task), TaskState { applied, ..state });
        }
    }

    /// The log's next record is a command.
    pub fn command(&mut self, offset: i64, key: &[u8], task: &str, command: Command) {
        if self.moves_to(offset) {
            let order = Order { offset, key: Arc::from(key), task: task.to_owned(), command };
            self.orders.insert(offset, order);
        }
    }

    /// The log's next record is a tombstone.
    pub fn ended(&mut self, offset: i64, key: &[u8]) {
        if self.moves_to(offset) {
            self.orders.retain(|_, order| *order.key != *key);
        }
    }

    /// The log was read up to here.
    pub fn read_to(&mut self, end: i64) {
        self.next = self.next.max(end);
    }

    /// The offset of the next record that was not read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Everything was read: these are the tasks. One that was never seen, or has another pattern now, has its first time after `now`.
    pub fn begin(&mut self, now: i64, missed: Missed, tasks: impl IntoIterator<Item = (Arc<str>, Cron)>) {
        self.missed = missed;
        for (name, cron) in tasks {
            let before = self.read.remove(&name);
            let state = match before.clone() {
                Some(state) if state.cron == cron.text() => match missed {
                    Missed::RunOnce => state,
                    Missed::Skip => TaskState { since: state.since.max(now), ..state },
                },
                other => TaskState {
                    cron: cron.text().to_owned(),
                    is_enabled: other.as_ref().is_none_or(|state| state.is_enabled),
                    since: now,
                    applied: other.map_or(-1, |state| state.applied),
                },
            };
            if before.as_ref() != Some(&state) {
                self.unremembered.insert(Arc::clone(&name));
            }
            let next = cron.next_after(state.since);
            self.known.insert(name, Task { cron, state, next });
        }
        self.read.clear();
    }

    /// What is to be done now; the same again until it is told that it is done.
    pub fn step(&mut self, now: i64) -> Option<Step> {
        for (name, task) in &mut self.known {
            if task.state.since > now.saturating_add(FORGIVEN_MS) {
                task.begins_at(now);
                self.unremembered.insert(Arc::clone(name));
            }
        }
        loop {
            if let Some(name) = self.unremembered.first() {
                let state = self.known.get(name)?.state.clone();
                return Some(Step::Remember { task: Arc::clone(name), state });
            }
            let Some(order) = self.orders.values().next() else { break };
            let addressed = self.known.iter_mut().find(|(name, task)| task.is_addressed(name, order));
            let Some((name, task)) = addressed else {
                let is_known = order.task == "*" || self.known.contains_key(order.task.as_str());
                let unknown = (!is_known).then(|| order.task.clone());
                return Some(Step::Forget { offset: order.offset, key: Arc::clone(&order.key), unknown });
            };
            if order.command == Command::Trigger {
                return Some(Step::Run { task: Arc::clone(name), cause: Cause::Command(order.offset) });
            }
            let is_enabled = order.command == Command::Enable;
            if is_enabled && !task.state.is_enabled {
                task.begins_at(task.state.since.max(now));
            }
            task.state.is_enabled = is_enabled;
            task.state.applied = order.offset;
            self.unremembered.insert(Arc::clone(name));
        }
        let is_due = |task: &&Task| task.state.is_enabled && task.next.is_some_and(|next| next <= now);
        let (name, task) = self.known.iter().filter(|(_, task)| is_due(task)).min_by_key(|(_, task)| task.next)?;
        // The last of those that have come stands for all.
        let (first, last) = (task.next?, task.cron.last_until(now));
        Some(Step::Run { task: Arc::clone(name), cause: Cause::Time(last.map_or(first, |last| last.max(first))) })
    }

    /// A run has ended, well or not.
    pub fn ran(&mut self, now: i64, task: &str, cause: Cause) {
        let Some((name, _)) = self.known.get_key_value(task) else { return };
        let name = Arc::clone(name);
        let Some(task) = self.known.get_mut(&name) else { return };
        let mut since = task.state.since;
        match cause {
            Cause::Time(time) => since = since.max(time),
            Cause::Command(offset) => task.state.applied = task.state.applied.max(offset),
        }
        if self.missed == Missed::Skip {
            since = since.max(now);
        }
        if since > task.state.since {
            task.begins_at(since);
        }
        self.unremembered.insert(name);
    }

    /// The state of a task is in the log.
    pub fn remembered(&mut self, task: &str, state: &TaskState) {
        if self.known.get(task).is_some_and(|task| task.state == *state) {
            self.unremembered.remove(task);
        }
    }

    /// The tombstone of a command is in the log.
    pub fn forgotten(&mut self, offset: i64) {
        self.orders.remove(&offset);
    }

    /// The next time of a task that is enabled.
    pub fn next_time(&self, task: &str) -> Option<i64> {
        self.known.get(task).filter(|task| task.state.is_enabled).and_then(|task| task.next)
    }

    fn moves_to(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset.saturating_add(1);
        true
    }
}
