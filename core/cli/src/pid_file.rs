//! The file that says which process runs: its number and when it began.
//!
//! Used on the main thread by `start`, `stop`, `restart` and `status`. A number alone may be another process by now; with its
//! beginning it names one process for good, and no other one is ever sent a signal. Whoever changes the file holds its lock. It is
//! refused where somebody else could have written it: a link, a directory, a file of another user or that others may write, a
//! directory that everybody may write.

use karafka::{Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const OPERATION: &str = "use a pid file";

/// A process, told apart from every other one that has or will have its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// In ticks since the system began.
    began: u64,
}

impl Identity {
    /// The process that has this number now, unless it has ended.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets, and may hold anything; the state is the first field behind it, the beginning the 20th.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        Some(Self { pid, began: fields.nth(18)?.parse().ok()? })
    }

    fn read(text: &str) -> Option<Self> {
        let (pid, began) = text.trim_end_matches('\n').split_once(' ')?;
        let pid = pid.parse().ok().filter(|pid| *pid > 1 && i32::try_from(*pid).is_ok())?;
        Some(Self { pid, began: began.parse().ok()? })
    }

    fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// A process that can be sent signals and waited for, also when its number goes to another one meanwhile.
pub(crate) struct Process(OwnedFd);

impl Process {
    /// Opens a process, unless it has ended.
    pub(crate) fn open(identity: Identity) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(identity.pid).ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Looked at after opening: what is open now stays the process that it is.
        identity.is_alive().then_some(Self(process))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.0, signal)
            .map_err(|error| Error::new(ErrorKind::Internal, "send a signal", error.to_string()).caused_by(error))
    }

    /// Waits for its end, at most so long. Returns whether it has ended.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let limit = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit)).is_ok_and(|count| count > 0)
    }
}

/// What a pid file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A process that has ended, whoever has its number now.
    Stale(Identity),
    Running(Identity),
}

/// The file, with its lock.
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

/// Reads a file without its lock.
pub(crate) fn look(path: &Path) -> Result<Found> {
    check_place(path)?;
    match open(path, OFlags::RDONLY) {
        Ok(file) => read(path, &File::from(file)),
        Err(rustix::io::Errno::NOENT) => Ok(Found::Nothing),
        Err(error) => Err(unusable(path, error)),
    }
}

impl PidFile {
    /// Opens or makes the file, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        check_place(path)?;
        loop {
            let file = File::from(open(path, OFlags::RDWR | OFlags::CREATE).map_err(|error| unusable(path, error))?);
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Err(refuse(ErrorKind::Stopped, path, "another start or stop uses it at this moment"));
            }
            // Whoever had the lock before may have removed the file.
            let is_same = |there: std::fs::Metadata, ours: std::fs::Metadata| {
                there.ino() == ours.ino() && there.dev() == ours.dev()
            };
            let (there, ours) = (std::fs::symlink_metadata(path), file.metadata());
            if let (Ok(there), Ok(ours)) = (there, ours)
                && is_same(there, ours)
            {
                return Ok(Self { path: path.to_owned(), file });
            }
        }
    }

    pub(crate) fn found(&self) -> Result<Found> {
        read(&self.path, &self.file)
    }

    pub(crate) fn write(&mut self, identity: Identity) -> Result<()> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{} {}", identity.pid, identity.began)?;
            file.sync_all()
        };
        write(&mut self.file)
            .map_err(|error| refuse(ErrorKind::Config, &self.path, &error.to_string()).caused_by(error))
    }

    /// Removes the file, and gives the lock back.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path)
            .map_err(|error| refuse(ErrorKind::Config, &self.path, &error.to_string()).caused_by(error))
    }
}

fn open(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    // Not waiting: a pipe of this name would wait for its other end.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH)
}

fn read(path: &Path, file: &File) -> Result<Found> {
    let metadata = file.metadata().map_err(|error| refuse(ErrorKind::Config, path, &error.to_string()))?;
    if !metadata.is_file() {
        return Err(refuse(ErrorKind::Config, path, "it is no file"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(refuse(ErrorKind::Config, path, "another user owns it or may write it: it could name any process"));
    }
    let mut text = String::new();
    let mut start = file;
    let read = start.rewind().and_then(|()| start.take(64).read_to_string(&mut text));
    read.map_err(|error| refuse(ErrorKind::Config, path, &error.to_string()).caused_by(error))?;
    if text.is_empty() {
        return Ok(Found::Nothing);
    }
    let identity = Identity::read(&text)
        .ok_or_else(|| refuse(ErrorKind::Config, path, "it is no pid file of libkarafka, and is left as it is"))?;
    Ok(if identity.is_alive() { Found::Running(identity) } else { Found::Stale(identity) })
}

fn check_place(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = std::fs::metadata(directory)
        .map_err(|error| refuse(ErrorKind::Config, path, &format!("its directory: {error}")).caused_by(error))?;
    if metadata.mode() & 0o002 != 0 {
        return Err(refuse(
            ErrorKind::Config,
            path,
            "everybody may write its directory; choose another, such as /run/billing",
        ));
    }
    Ok(())
}

fn unusable(path: &Path, error: rustix::io::Errno) -> Error {
    let reason = match error {
        rustix::io::Errno::LOOP => "it is a link".to_owned(),
        rustix::io::Errno::ISDIR => "it is a directory".to_owned(),
        error => error.to_string(),
    };
    refuse(ErrorKind::Config, path, &reason)
}

fn refuse(kind: ErrorKind, path: &Path, reason: &str) -> Error {
    Error::new(kind, OPERATION, reason).with("file", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_is_told_by_its_beginning() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Identity { began: own.began + 1, ..own }.is_alive(), "another process of the same number");
        assert_eq!(Identity::read(&format!("{} {}\n", own.pid, own.began)), Some(own));
        for text in ["", "1 5", "0 5", "-7 5", "12", "12 x", "2147483648 5", "12 5 6"] {
            assert_eq!(Identity::read(text), None, "{text}");
        }
    }
}
