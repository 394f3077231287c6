//! `libkarafka flow`: which topics a program reads, and which it writes.
//!
//! Runs the program up to the start of its first app, which tells its flow into a file and ends the process. What the program
//! prints goes to the standard error stream.

use crate::interrupt::Interrupt;
use crate::output::{Output, Stop, clean};
use crate::time;
use clap::Args;
use karafka::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const OPERATION: &str = "ask a program for its flow";
const VARIABLE: &str = "LIBKARAFKA_FLOW";

/// Print which topics a program reads, and which it writes
///
/// Runs the program up to the start of its first app, which connects to nothing and ends it. What it writes is what its topics
/// declare by the option `produces`, and their dead letter queues.
#[derive(Args)]
pub(crate) struct Flow {
    /// Print a flowchart for Mermaid
    #[arg(long)]
    mermaid: bool,
    /// How long the program may take to start its app; then it is killed
    #[arg(long, value_name = "TIME", value_parser = time::duration, default_value = "30s")]
    within: Duration,
    /// The program and its arguments: `-- ruby app.rb`, `-- python -m libkarafka run billing:app`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

#[derive(Deserialize)]
struct Told {
    topics: Vec<Handled>,
}

#[derive(Deserialize, Serialize)]
struct Handled {
    topic: String,
    is_pattern: bool,
    group: String,
    bootstrap_servers: String,
    writes: Vec<Written>,
    dead_letter_queue_topic: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Written {
    topic: String,
    required: bool,
    multiple: bool,
}

/// What became of the question.
enum Asked {
    Told(Vec<Handled>),
    /// A signal came, which has this code.
    Stopped(ExitCode),
}

/// What a program is waited for by.
enum End {
    Program(io::Result<ExitStatus>),
    Signal,
}

impl Flow {
    pub(crate) fn run(&self, mut output: Output) -> std::result::Result<ExitCode, Stop> {
        let topics = match self.ask()? {
            Asked::Told(topics) => topics,
            Asked::Stopped(code) => return Ok(code),
        };
        if output.is_json() {
            for topic in &topics {
                output.json(&serde_json::json!(topic))?;
            }
        } else {
            let text = if self.mermaid { chart(&topics) } else { list(&topics) };
            output.line(text.trim_end())?;
        }
        output.end()
    }

    fn ask(&self) -> Result<Asked> {
        // A signal comes to the program too where it comes from the terminal; by `kill`, to this process alone.
        let (sender, ended) = channel();
        let signal = sender.clone();
        let interrupt = Interrupt::watch(move || drop(signal.send(End::Signal)))?;
        let file = Place::make()?;
        let mut child = self.spawn(&file.0)?;
        let status = wait(&mut child, self.within, sender, &ended)?;
        if let Some(code) = interrupt.code() {
            return Ok(Asked::Stopped(code));
        }
        let told = fs::read_to_string(&file.0).map_err(|error| failed("its file cannot be read").caused_by(error))?;
        if told.is_empty() {
            return Err(failed(match status {
                Some(status) => format!("it ended without starting an app ({status})"),
                None => format!("it started no app within {:?}, and was killed", self.within),
            }));
        }
        let told: Told = serde_json::from_str(told.trim_end())
            .map_err(|error| failed("what it told is no flow: is its libkarafka another version?").caused_by(error))?;
        Ok(Asked::Told(told.topics))
    }

    fn spawn(&self, file: &Path) -> Result<Child> {
        let mut words = self.program.iter();
        let program = words.next().cloned().unwrap_or_default();
        let refused = |error: io::Error| {
            let refused = Error::new(ErrorKind::Config, OPERATION, error.to_string());
            refused.with("program", program.to_string_lossy())
        };
        let errors = io::stderr().as_fd().try_clone_to_owned().map_err(refused)?;
        let mut command = Command::new(&program);
        command.args(words).env(VARIABLE, file).stdin(Stdio::null()).stdout(Stdio::from(errors));
        command.spawn().map_err(refused)
    }
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Handler, OPERATION, message.into())
}

/// A file that only this user can read, gone with this.
struct Place(PathBuf);

impl Place {
    fn make() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = std::env::temp_dir().join(format!("libkarafka-flow-{}-{now}", std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| failed("the directory for temporary files takes none").caused_by(error))?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How the program ended; nothing where it was killed, since it took too long or a signal came.
fn wait(
    child: &mut Child,
    patience: Duration,
    sender: Sender<End>,
    ended: &Receiver<End>,
) -> Result<Option<ExitStatus>> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::scope(|scope| {
        scope.spawn(move || sender.send(End::Program(child.wait())));
        let refused = |error: io::Error| failed("the system does not tell how it ended").caused_by(error);
        if let Ok(End::Program(status)) = ended.recv_timeout(patience) {
            return status.map(Some).map_err(refused);
        }
        // Nobody has asked yet how it ended, so that the number is still its own.
        if let Some(id) = id {
            let _ = kill_process(id, Signal::KILL);
        }
        Ok(None)
    })
}

fn words(written: &Written) -> &'static str {
    match (written.required, written.multiple) {
        (false, false) => "",
        (true, false) => " (required)",
        (false, true) => " (multiple)",
        (true, true) => " (required, multiple)",
    }
}

/// Each topic that is read, and below it those that its handler writes.
fn list(topics: &[Handled]) -> String {
    let mut text = String::new();
    for read in topics {
        let kind = if read.is_pattern { "topics " } else { "" };
        let _ = writeln!(text, "{kind}{} read by {}", clean(&read.topic), clean(&read.group));
        for written in &read.writes {
            let _ = writeln!(text, "  -> {}{}", clean(&written.topic), words(written));
        }
        if let Some(dead) = &read.dead_letter_queue_topic {
            let _ = writeln!(text, "  -> {} (dead letters)", clean(dead));
        }
    }
    text
}

/// The same as a flowchart: topics are round, groups are square.
fn chart(topics: &[Handled]) -> String {
    let (mut text, mut known) = ("flowchart LR\n".to_owned(), BTreeMap::new());
    let mut node = |text: &mut String, topic: &str| {
        let next = known.len();
        *known.entry(topic.to_owned()).or_insert_with(|| {
            let _ = writeln!(text, "  topic{next}([\"{}\"])", quoted(topic));
            next
        })
    };
    for (number, read) in topics.iter().enumerate() {
        let from = node(&mut text, &read.topic);
        let _ = writeln!(text, "  topic{from} --> handler{number}[\"{}\"]", quoted(&read.group));
        for written in &read.writes {
            let to = node(&mut text, &written.topic);
            let arrow = if written.required { "-->" } else { "-.->" };
            let _ = writeln!(text, "  handler{number} {arrow} topic{to}");
        }
        if let Some(dead) = &read.dead_letter_queue_topic {
            let to = node(&mut text, dead);
            let _ = writeln!(text, "  handler{number} -.->|dead letters| topic{to}");
        }
    }
    text
}

fn quoted(text: &str) -> String {
    clean(text).replace('"', "#quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Vec<Handled> {
        let written = |topic: &str, required, multiple| Written { topic: topic.to_owned(), required, multiple };
        let topic = |topic: &str, writes, dead: Option<&str>| Handled {
            topic: topic.to_owned(),
            is_pattern: topic.starts_with('^'),
            group: "billing".to_owned(),
            bootstrap_servers: "localhost:9092".to_owned(),
            writes,
            dead_letter_queue_topic: dead.map(str::to_owned),
        };
        vec![
            topic("orders", vec![written("invoices", true, false), written("audit", false, true)], Some("dead")),
            topic("^audit\x1b\"", Vec::new(), None),
        ]
    }

    #[test]
    fn a_flow_is_told_to_people() {
        let expected = "orders read by billing\n  -> invoices (required)\n  -> audit (multiple)\n  -> dead (dead letters)\n\
                        topics ^audit\\u{1b}\" read by billing\n";
        assert_eq!(list(&topics()), expected);
    }

    #[test]
    fn a_flow_is_a_chart() {
        let chart = chart(&topics());
        for line in [
            "  topic0([\"orders\"])",
            "  topic0 --> handler0[\"billing\"]",
            "  handler0 --> topic1",
            "  handler0 -.-> topic2",
            "  handler0 -.->|dead letters| topic3",
            "  topic4([\"^audit\\u{1b}#quot;\"])",
        ] {
            assert!(chart.lines().any(|found| found == line), "{line}\n{chart}");
        }
    }
}
