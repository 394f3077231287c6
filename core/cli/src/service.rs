//! `libkarafka start`, `stop`, `restart` and `status`: a program in the background, known by its pid file.
//!
//! Runs on the main thread. The program may be in any language; it is started as it is, without a shell.

use crate::output::{Output, Stop};
use crate::pid_file::{Found, Identity, PidFile, Process, look};
use crate::time;
use clap::Args;
use karafka::{Error, ErrorKind};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// The code when nothing runs, as init scripts have it.
const NOT_RUNNING: u8 = 3;

/// The program, and how it is started.
#[derive(Args)]
struct Program {
    /// Where its output goes, both streams, behind what is there; nowhere otherwise
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long it must live for its start to count
    #[arg(long, value_name = "TIME", value_parser = time::duration, default_value = "1s")]
    settle: Duration,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    words: Vec<OsString>,
}

/// Start a program in the background
///
/// Fails when the program of the pid file runs already, or when the new one ends at once. Needs Linux.
#[derive(Args)]
pub(crate) struct Start {
    /// The file that says which process it is; its directory must not be writable for everybody
    #[arg(long = "pid", value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    program: Program,
}

/// Stop a program: handlers may finish, what is done is committed
///
/// Sends TERM, and waits for the end. Ends with 3 when nothing runs. A process that is not the one that was started gets no signal,
/// whatever its number.
#[derive(Args)]
pub(crate) struct Halt {
    /// The file that says which process it is
    #[arg(long = "pid", value_name = "FILE")]
    file: PathBuf,
    /// How long it may take; longer than the app's `shutdown_timeout`
    #[arg(long, value_name = "TIME", value_parser = time::duration, default_value = "60s")]
    within: Duration,
    /// Kill it when it takes longer
    #[arg(long)]
    kill: bool,
}

/// Stop a program that runs, and start it
#[derive(Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    halt: Halt,
    #[command(flatten)]
    program: Program,
}

/// Say whether a program runs
///
/// Ends with 0 when it does, and with 3 when it does not.
#[derive(Args)]
pub(crate) struct Status {
    /// The file that says which process it is
    #[arg(long = "pid", value_name = "FILE")]
    file: PathBuf,
}

impl Start {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        self.program.start(PidFile::open(&self.file)?, &mut output)?;
        output.end()
    }
}

impl Halt {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        if look(&self.file)? == Found::Nothing {
            say(&mut output, "not_running", None, "nothing runs")?;
            output.flush()?;
            return Ok(ExitCode::from(NOT_RUNNING));
        }
        let file = PidFile::open(&self.file)?;
        let was_running = self.halt(&file, &mut output)?;
        file.remove()?;
        output.flush()?;
        Ok(if was_running { ExitCode::SUCCESS } else { ExitCode::from(NOT_RUNNING) })
    }

    /// Returns whether it was running.
    fn halt(&self, file: &PidFile, output: &mut Output) -> Result<bool, Stop> {
        let running = match file.found()? {
            Found::Running(identity) => Process::open(identity).map(|process| (identity, process)),
            Found::Stale(_) | Found::Nothing => None,
        };
        let Some((identity, process)) = running else {
            say(output, "not_running", None, "nothing runs")?;
            return Ok(false);
        };
        process.signal(Signal::TERM)?;
        if !process.wait(self.within) {
            let late = format!("process {} still runs after {:?}", identity.pid, self.within);
            if !self.kill {
                let message = format!("{late}: its handlers are not done; --kill ends it all the same");
                return Err(Error::new(ErrorKind::Timeout, "wait for the end", message).into());
            }
            process.signal(Signal::KILL)?;
            process.wait(self.within);
            say(output, "killed", Some(identity), &format!("{late}, and was killed"))?;
            return Ok(true);
        }
        say(output, "stopped", Some(identity), &format!("process {} has ended", identity.pid))?;
        Ok(true)
    }
}

impl Restart {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        self.program.look()?;
        let file = PidFile::open(&self.halt.file)?;
        self.halt.halt(&file, &mut output)?;
        self.program.start(file, &mut output)?;
        output.end()
    }
}

impl Status {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let (state, identity, text) = match look(&self.file)? {
            Found::Running(identity) => ("running", Some(identity), format!("process {} runs", identity.pid)),
            Found::Stale(identity) => {
                ("stale", Some(identity), format!("process {} has ended without a stop", identity.pid))
            }
            Found::Nothing => ("not_running", None, "nothing runs".to_owned()),
        };
        say(&mut output, state, identity, &text)?;
        output.flush()?;
        Ok(if state == "running" { ExitCode::SUCCESS } else { ExitCode::from(NOT_RUNNING) })
    }
}

impl Program {
    fn start(&self, mut file: PidFile, output: &mut Output) -> Result<(), Stop> {
        let refuse = |message: String| Error::new(ErrorKind::Stopped, "start a program", message);
        if let Found::Running(identity) = file.found()? {
            return Err(refuse(format!("it runs already, as process {}", identity.pid)).into());
        }
        let child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                file.remove()?;
                return Err(error.into());
            }
        };
        let identity = Identity::of(child.id());
        if let Some(identity) = identity {
            file.write(identity)?;
        }
        let living = identity.and_then(|identity| Some((identity, Process::open(identity)?)));
        if let Some((identity, process)) = living
            && !process.wait(self.settle)
        {
            return say(output, "running", Some(identity), &format!("process {} runs", identity.pid));
        }
        file.remove()?;
        Err(refuse(format!("it ended at once, {}", ending(child))).into())
    }

    /// Whether it can be started, as far as that can be seen: what runs is not stopped for what will not.
    fn look(&self) -> karafka::Result<()> {
        let Some(program) = self.words.first() else { return Ok(()) };
        let can_run = |path: &Path| {
            std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let paths = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let is_there = if Path::new(program).components().count() > 1 {
            can_run(Path::new(program))
        } else {
            std::env::split_paths(&paths).any(|directory| can_run(&directory.join(program)))
        };
        if !is_there {
            return Err(refuse("there is no such program".to_owned()).with("program", program.to_string_lossy()));
        }
        self.log.as_deref().map_or(Ok(()), |path| open_log(path).map(drop))
    }

    fn spawn(&self) -> karafka::Result<Child> {
        let (program, arguments) = self.words.split_first().ok_or_else(|| refuse("no program is given".to_owned()))?;
        let mut command = Command::new(program);
        // A process group of its own: what ends this terminal's programs does not end it.
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        match &self.log {
            Some(path) => {
                let (out, err) = open_log(path)?;
                command.stdout(out).stderr(err);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        command.spawn().map_err(|error| refuse(error.to_string()).with("program", program.to_string_lossy()))
    }
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Config, "start a program", message)
}

/// The file for the output, twice: for both streams.
fn open_log(path: &Path) -> karafka::Result<(File, File)> {
    let log = OpenOptions::new().append(true).create(true).open(path);
    let log = log.and_then(|log| Ok((log.try_clone()?, log)));
    log.map_err(|error| refuse(error.to_string()).with("log", path.display()))
}

fn ending(mut child: Child) -> String {
    child.wait().map_or_else(|error| error.to_string(), |status| format!("with {status}"))
}

fn say(output: &mut Output, state: &str, identity: Option<Identity>, text: &str) -> Result<(), Stop> {
    let pid = identity.map_or(Value::Null, |identity| identity.pid.into());
    output.item(|| text.to_owned(), || json!({ "state": state, "pid": pid }))
}
