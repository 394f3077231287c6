//! How recurring tasks lie in their topics.
//!
//! Pure. States and commands are JSON behind keys that say which is which; docs/schedule/recurring-tasks.md describes them, and is a
//! promise to every later version. What is not understood is left where it is.

use super::TaskRun;
use crate::job::Failure;
use karafka_schedule::{Command, TaskState};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
const TASK: &str = "task/";
const COMMAND: &str = "command/";

/// What a record of the topic says.
pub(super) enum Said {
    State { task: String, state: TaskState },
    Command { task: String, command: Command },
    Nothing(String),
}

#[derive(Serialize, Deserialize)]
struct StateText {
    version: u32,
    cron: String,
    enabled: bool,
    since: i64,
    applied: i64,
    /// For people: the next time.
    next: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct CommandText {
    version: u32,
    task: String,
    command: String,
}

#[derive(Serialize)]
struct RunText<'a> {
    version: u32,
    task: &'a str,
    scheduled: Option<i64>,
    began: i64,
    took_ms: u64,
    succeeded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
}

/// Reads a record that is no tombstone.
pub(super) fn read(key: &[u8], payload: &[u8]) -> Said {
    let Ok(key) = std::str::from_utf8(key) else { return Said::Nothing("its key is no text".to_owned()) };
    let newer =
        |version: u32| Said::Nothing(format!("layout {version} is not known here: a newer version has written it"));
    if let Some(task) = key.strip_prefix(TASK) {
        return match serde_json::from_slice::<StateText>(payload) {
            Ok(text) if text.version != VERSION => newer(text.version),
            Ok(StateText { cron, enabled, since, applied, .. }) => {
                Said::State { task: task.to_owned(), state: TaskState { cron, is_enabled: enabled, since, applied } }
            }
            Err(error) => Said::Nothing(format!("it is no state of a task: {error}")),
        };
    }
    if key.strip_prefix(COMMAND).is_some() {
        return match serde_json::from_slice::<CommandText>(payload) {
            Ok(text) if text.version != VERSION => newer(text.version),
            Ok(CommandText { task, command, .. }) => match command_of(&command) {
                Some(command) => Said::Command { task, command },
                None => Said::Nothing(format!("{command:?} is no command")),
            },
            Err(error) => Said::Nothing(format!("it is no command: {error}")),
        };
    }
    Said::Nothing(format!("its key does not begin with {TASK} or {COMMAND}"))
}

fn command_of(name: &str) -> Option<Command> {
    [Command::Enable, Command::Disable, Command::Trigger].into_iter().find(|command| name_of(*command) == name)
}

pub(super) const fn name_of(command: Command) -> &'static str {
    match command {
        Command::Enable => "enable",
        Command::Disable => "disable",
        Command::Trigger => "trigger",
    }
}

pub(super) fn state(task: &str, state: &TaskState, next: Option<i64>) -> (String, Vec<u8>) {
    let TaskState { cron, is_enabled: enabled, since, applied } = state.clone();
    (format!("{TASK}{task}"), json(&StateText { version: VERSION, cron, enabled, since, applied, next }))
}

pub(super) fn command(id: &str, task: &str, command: Command) -> (String, Vec<u8>) {
    let text = CommandText { version: VERSION, task: task.to_owned(), command: name_of(command).to_owned() };
    (format!("{COMMAND}{id}"), json(&text))
}

/// The log's word on a run.
pub(super) fn run(run: &TaskRun, began: i64, took_ms: u64, outcome: &Result<(), Failure>) -> Vec<u8> {
    let failure = outcome.as_ref().err();
    json(&RunText {
        version: VERSION,
        task: &run.task,
        scheduled: run.scheduled,
        began,
        took_ms,
        succeeded: failure.is_none(),
        error_class: failure.map(|failure| failure.class.as_str()),
        error_message: failure.map(|failure| failure.message.as_str()),
    })
}

/// Texts and numbers are always JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let before = TaskState { cron: "* * * * * UTC".to_owned(), is_enabled: false, since: 12, applied: -1 };
        let (key, payload) = state("a/b", &before, Some(60_000));
        assert!(
            matches!(read(key.as_bytes(), &payload), Said::State { task, state } if task == "a/b" && state == before)
        );
        for each in [Command::Enable, Command::Disable, Command::Trigger] {
            let (key, payload) = command("0-1f", "*", each);
            assert!(
                matches!(read(key.as_bytes(), &payload), Said::Command { task, command } if task == "*" && command == each)
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_told_in_words() {
        for (key, payload, words) in [
            (
                &b"task/x"[..],
                &b"{\"version\":2,\"cron\":\"\",\"enabled\":true,\"since\":0,\"applied\":0}"[..],
                "layout 2",
            ),
            (b"task/x", b"no json", "it is no state of a task"),
            (b"command/x", b"{\"version\":1,\"task\":\"x\",\"command\":\"explode\"}", "\"explode\" is no command"),
            (b"other", b"{}", "does not begin with"),
            (b"\xff", b"{}", "no text"),
        ] {
            assert!(matches!(read(key, payload), Said::Nothing(told) if told.contains(words)), "{words}");
        }
    }
}
