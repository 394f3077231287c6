//! Programs in the background: started once, stopped by name and not by number, told apart from what else runs.

use crate::support::LIBKARAFKA;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory of its own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("billing.pid")
    }

    fn ask(&self, command: &str, more: &[&str]) -> Output {
        Command::new(LIBKARAFKA).args([command, "--json", "--pid"]).arg(self.file()).args(more).output().unwrap()
    }

    fn start(&self) -> u64 {
        let output = self.ask("start", &["--settle", "100ms", "sleep", "600"]);
        assert!(output.status.success(), "{output:?}");
        said(&output)["pid"].as_u64().unwrap()
    }

    fn state(&self) -> (Option<i32>, String) {
        let output = self.ask("status", &[]);
        (output.status.code(), said(&output)["state"].as_str().unwrap().to_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ask("stop", &["--within", "1s", "--kill"]);
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> serde_json::Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().next().unwrap_or_else(|| panic!("{output:?}"))).unwrap()
}

fn code(output: &Output, words: &str) -> Option<i32> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(words), "{words}: {output:?}");
    output.status.code()
}

fn is_alive(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists()
}

#[test]
fn a_program_is_started_once_and_stopped() {
    let place = Place::new("once");
    assert_eq!(place.state(), (Some(3), "not_running".to_owned()));
    assert_eq!(place.ask("stop", &[]).status.code(), Some(3), "there is nothing to stop");
    let pid = place.start();
    assert_eq!(place.state(), (Some(0), "running".to_owned()));
    let again = place.ask("start", &["sleep", "600"]);
    assert_eq!(code(&again, &format!("runs already, as process {pid}")), Some(1));
    assert!(is_alive(pid));
    let restarted = place.ask("restart", &["--settle", "100ms", "sleep", "600"]);
    assert!(restarted.status.success(), "{restarted:?}");
    assert!(!is_alive(pid));
    assert_eq!(place.state().1, "running");
    let stopped = place.ask("stop", &[]);
    assert_eq!((stopped.status.code(), &said(&stopped)["state"]), (Some(0), &"stopped".into()));
    assert!(!place.file().exists());
}

#[test]
fn of_many_starts_at_once_one_counts() {
    let place = Place::new("many");
    let start = || {
        let mut command = Command::new(LIBKARAFKA);
        command.args(["start", "--settle", "100ms", "--pid"]).arg(place.file()).args(["sleep", "600"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| start()).collect();
    let codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 7, "{codes:?}");
}

#[test]
fn a_program_that_ends_at_once_was_not_started() {
    let place = Place::new("brief");
    let log = place.0.join("log");
    let brief = place.ask("start", &["--log", log.to_str().unwrap(), "bash", "-c", "echo no such topic >&2; exit 7"]);
    assert_eq!(code(&brief, "ended at once, with exit status: 7"), Some(1));
    assert_eq!(fs::read_to_string(log).unwrap(), "no such topic\n");
    assert_eq!(code(&place.ask("start", &["/no/such/program"]), "/no/such/program"), Some(78));
    assert!(!place.file().exists());
}

#[test]
fn who_does_not_end_is_killed_only_when_that_is_asked() {
    let place = Place::new("deaf");
    let ready = place.0.join("ready");
    let script = format!("trap '' TERM; touch {}; while :; do sleep 600 & wait; done", ready.display());
    let started = place.ask("start", &["--settle", "100ms", "bash", "-c", &script]);
    let pid = said(&started)["pid"].as_u64().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "the program does not begin");
        std::thread::yield_now();
    }
    assert_eq!(code(&place.ask("stop", &["--within", "200ms"]), "still runs after 200ms"), Some(1));
    assert!(is_alive(pid));
    let killed = place.ask("stop", &["--within", "200ms", "--kill"]);
    assert_eq!((killed.status.code(), &said(&killed)["state"]), (Some(0), &"killed".into()));
    assert!(!is_alive(pid));
}

#[test]
fn a_number_that_is_another_process_now_gets_no_signal() {
    let place = Place::new("foreign");
    let mut foreign = Command::new("sleep").arg("600").spawn().unwrap();
    // A process of this number that began with the system.
    fs::write(place.file(), format!("{} 1\n", foreign.id())).unwrap();
    assert_eq!(place.state(), (Some(3), "stale".to_owned()));
    assert_eq!(place.ask("stop", &["--kill"]).status.code(), Some(3));
    fs::write(place.file(), format!("{} 1\n", foreign.id())).unwrap();
    let pid = place.start();
    assert_ne!(pid, u64::from(foreign.id()));
    assert!(foreign.try_wait().unwrap().is_none(), "a foreign process was ended");
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

#[test]
fn a_file_that_others_could_have_written_is_refused() {
    let refused = |name: &str, words: &str, prepare: fn(&Path)| {
        let place = Place::new(name);
        prepare(&place.file());
        for (command, more) in [("start", &["sleep", "600"][..]), ("stop", &[]), ("status", &[])] {
            assert_eq!(code(&place.ask(command, more), words), Some(78), "{name}: {command}");
        }
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).unwrap();
    };
    refused("link", "it is a link", |file| {
        fs::write(file.with_extension("other"), "").unwrap();
        symlink(file.with_extension("other"), file).unwrap();
    });
    refused("directory", "directory", |file| fs::create_dir(file).unwrap());
    refused("open", "may write it", |file| {
        fs::write(file, "1234 5\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    });
    refused("public", "everybody may write its directory", |file| {
        fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    });
    for (name, text) in [("text", "root\n"), ("negative", "-1 5\n"), ("first", "1 5\n"), ("bytes", "\u{1b}[2J")] {
        let place = Place::new(name);
        fs::write(place.file(), text).unwrap();
        assert_eq!(code(&place.ask("stop", &[]), "no pid file of libkarafka"), Some(78), "{name}");
        assert_eq!(fs::read_to_string(place.file()).unwrap(), text, "it is left as it is");
    }
    let nowhere = Command::new(LIBKARAFKA).args(["status", "--pid", "/no/such/directory/a.pid"]).output().unwrap();
    assert_eq!(code(&nowhere, "its directory"), Some(78));
}

#[test]
fn a_restart_by_what_cannot_start_stops_nothing() {
    let place = Place::new("restart");
    let pid = place.start();
    let refused = place.ask("restart", &["no-such-program"]);
    assert_eq!(code(&refused, "there is no such program"), Some(78));
    let refused = place.ask("restart", &["--log", "/no/such/directory/log", "sleep", "600"]);
    assert_eq!(code(&refused, "/no/such/directory/log"), Some(78));
    assert!(is_alive(pid), "what was refused has stopped it");
}
