//! Child processes: talked to by lines, signalled, killed with -9, and never outliving the test.
//!
//! Called by tests from any thread. Two threads per program collect its lines; they end with the program. A watchdog (a
//! small shell that waits on a pipe from this process) kills the program when this process dies, however it dies.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::wait;

/// Kills a process, and removes a directory, when the process that made the watchdog is gone.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over `process`. `directory`, if not empty, is removed after the process was killed.
    pub(crate) fn over(process: u32, directory: &str) -> Self {
        // The end of the input comes when this process is gone; a line says that there is nothing left to do.
        let script = r#"trap '' INT TERM HUP
            read -r line || { kill -9 "$1"; [ -z "$2" ] || { sleep 0.2; rm -rf "$2"; }; } 2>/dev/null"#;
        let shell = Command::new("sh")
            .args(["-c", script, "watchdog", &process.to_string(), directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("cannot start the watchdog (sh)");
        Self { shell }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}

/// Sends a signal by its name ("TERM", "INT", "STOP", "CONT") to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("sh")
        .args(["-c", r#"kill -s "$1" "$2""#, "signal", name, &process.to_string()])
        .status()
        .expect("cannot run sh");
    assert!(status.success(), "cannot send {name} to process {process}");
}

/// Waits for the end of a child; `None` past the deadline.
pub(crate) fn wait_for_end(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        match child.try_wait().expect("cannot wait for the child") {
            Some(status) => return Some(status),
            None if began.elapsed() >= deadline => return None,
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[derive(Debug, Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                lines.all.lock().push(String::from_utf8_lossy(&line).into_owned());
                lines.more.notify_all();
            }
        });
    }
}

/// A thread of a program, as the system counts.
#[derive(Debug, Clone)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// How often it went to sleep.
    pub sleeps: u64,
    /// What it ran.
    pub cpu_time: Duration,
}

/// A running child process with its lines. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Lines>,
    errors: Arc<Lines>,
    ended: Option<ExitStatus>,
    _watchdog: Watchdog,
}

impl Program {
    /// Starts the command with its three streams as pipes to this process.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (output, errors) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        output.collect(child.stdout.take().expect("stdout is a pipe"));
        errors.collect(child.stderr.take().expect("stderr is a pipe"));
        let watchdog = Watchdog::over(child.id(), "");
        Self { name, input: child.stdin.take(), child, output, errors, ended: None, _watchdog: watchdog }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the program's input.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input was closed");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the program does not read its input");
    }

    /// Ends the program's input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Everything the program has written to its output so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.all.lock().clone()
    }

    /// The lines of the output from this number on: for a caller that follows along.
    pub fn lines_from(&self, first: usize) -> Vec<String> {
        self.output.all.lock().get(first..).unwrap_or_default().to_vec()
    }

    /// Everything the program has written to its error stream so far.
    pub fn error_lines(&self) -> Vec<String> {
        self.errors.all.lock().clone()
    }

    /// The processor time that the program has used so far, in user code and in the system.
    pub fn cpu_time(&self) -> Duration {
        const TICKS_A_SECOND: u64 = 100;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("the program runs no more");
        // The name in brackets may hold spaces; user and system time are the 12th and 13th fields after it.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number of ticks"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
    }

    /// What each thread of the program has used so far: its name, how often it slept, and its processor time.
    pub fn threads(&self) -> Vec<Thread> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("the program runs no more");
        let thread = |task: std::fs::DirEntry| {
            let read = |file: &str| std::fs::read_to_string(task.path().join(file)).ok();
            let sleeps =
                read("status")?.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse();
            // In nanoseconds: the ticks of `stat` are too coarse for a thread that sleeps.
            let ran: u64 = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
            let name = read("comm")?.trim().to_owned();
            Some(Thread { name, sleeps: sleeps.ok()?, cpu_time: Duration::from_nanos(ran) })
        };
        // One that has just ended is none any more.
        tasks.filter_map(|task| thread(task.ok()?)).collect()
    }

    /// Returns the first output line, of those written or of those to come, that `wanted` accepts.
    pub fn wait_for_line(&self, deadline: Duration, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + deadline;
        let mut looked_at = 0;
        let mut lines = self.output.all.lock();
        loop {
            if let Some(found) = lines[looked_at..].iter().find(|line| wanted(line)) {
                return found.clone();
            }
            looked_at = lines.len();
            if self.output.more.wait_until(&mut lines, end).timed_out() {
                drop(lines);
                panic!("{} did not print {what} within {deadline:?}{}", self.name, self.last_words());
            }
        }
    }

    /// Sends a signal by its name: "TERM", "INT", "STOP", "CONT".
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Kills the program with -9: it gets no chance to say goodbye. What it had printed stays readable.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            self.end();
            self.collect_the_rest();
        }
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.ended.is_some() || matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for the program's own end. Panics past the deadline, with the program's last words.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let Some(status) = wait_for_end(&mut self.child, deadline) else {
            panic!("{} did not end within {deadline:?}{}", self.name, self.last_words());
        };
        self.ended = Some(status);
        self.collect_the_rest();
        status
    }

    fn end(&mut self) {
        // The end of its input would be a goodbye.
        let _ = self.child.kill();
        self.input = None;
        self.ended = self.child.wait().ok();
    }

    /// The program has ended, so its pipes hold what they hold: the collecting threads end after reading it.
    fn collect_the_rest(&self) {
        wait::until(wait::LONG, "the end of the program's output (has it left children behind?)", || {
            Arc::strong_count(&self.output) == 1
        });
    }

    /// The last lines of both streams, for a message.
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for (stream, lines) in [("output", &self.output), ("errors", &self.errors)] {
            let lines = lines.all.lock();
            if !lines.is_empty() {
                words += "\nits last ";
                words += stream;
                for line in &lines[lines.len().saturating_sub(20)..] {
                    words += "\n  ";
                    words += line;
                }
            }
        }
        words
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::process::ExitStatusExt;

    fn shell(script: &str) -> Program {
        Program::start(Command::new("sh").args(["-c", script]))
    }

    fn is_alive(process: u32) -> bool {
        // A zombie that nobody has reaped yet is dead as well.
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn talks_by_lines_and_ends_by_itself() {
        let mut program = shell("read -r line; echo heard \"$line\"; exit 3");
        program.send("hello");
        assert_eq!(program.wait_for_line(wait::LONG, "heard", |line| line.starts_with("heard")), "heard hello");
        assert_eq!(program.wait(wait::LONG).code(), Some(3));
        assert_eq!(program.lines(), ["heard hello"]);
    }

    #[test]
    fn is_killed_with_9_and_keeps_its_words() {
        let mut program = shell("trap '' TERM INT; echo ready; read -r line; echo never");
        program.wait_for_line(wait::LONG, "ready", |line| line == "ready");
        program.signal("TERM");
        program.kill();
        assert_eq!(program.wait(wait::LONG).signal(), Some(9));
        assert_eq!(program.lines(), ["ready"]);
    }

    #[test]
    #[should_panic(expected = "did not print gold")]
    fn says_what_was_not_printed() {
        shell("echo lead; echo heavy >&2; read -r line")
            .wait_for_line(Duration::from_millis(50), "gold", |line| line == "gold");
    }

    #[test]
    fn a_watchdog_kills_when_its_owner_is_killed() {
        let directory = std::env::temp_dir().join(format!("karafka-watchdog-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut charge = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut watchdog = Watchdog::over(charge.id(), directory.to_str().unwrap());
        // As the system does for a process that was killed: the pipe is closed, nothing was said.
        drop(watchdog.shell.stdin.take());
        assert_eq!(charge.wait().unwrap().signal(), Some(9));
        wait::until(wait::LONG, "the directory is gone", || !directory.exists());
    }

    #[test]
    fn a_watchdog_that_is_called_off_does_nothing() {
        let mut charge = Command::new("sleep").arg("1000").spawn().unwrap();
        drop(Watchdog::over(charge.id(), ""));
        assert!(is_alive(charge.id()));
        charge.kill().unwrap();
        charge.wait().unwrap();
    }
}
