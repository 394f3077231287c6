//! The standard error stream, written without waiting for whoever reads it.
//!
//! Written by any thread, the poller among them: a pipe that nobody empties must hold up no message and no stop. What does not
//! fit is left out, and counted for the next line that does. Nothing here fails: there is nobody else to tell.

use super::fork_epoch;
use crate::lock::{Condvar, Mutex};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// What a pipe takes at once when it says that it takes something.
const AT_ONCE: usize = 4096;

/// How long a reader that kept up until now may take to make room, in milliseconds.
const PATIENCE: libc::c_int = 5;

/// How long another thread's line is waited for.
const TURN: Duration = Duration::from_millis(50);

struct Stand {
    /// The process of the thread that writes. A forked child may find a thread here that it does not have.
    writer: Option<u32>,
    /// Lines that were left out since the last one that was not.
    left_out: u64,
}

static STAND: Mutex<Stand> = Mutex::new(Stand { writer: None, left_out: 0 });
static WRITTEN: Condvar = Condvar::new();

/// Writes a line, which brings its own end. Waits for a few milliseconds at most.
pub fn write_line(line: &[u8]) {
    let is_taken = |stand: &mut Stand| stand.writer == Some(fork_epoch());
    let mut stand = WRITTEN.wait_while(STAND.lock(), Some(Instant::now() + TURN), is_taken);
    if is_taken(&mut stand) {
        return;
    }
    stand.writer = Some(fork_epoch());
    let before = stand.left_out;
    drop(stand);
    let left_out = write_after(before, line);
    let mut stand = STAND.lock();
    *stand = Stand { writer: None, left_out };
    drop(stand);
    WRITTEN.notify_all();
}

/// Writes a line after a word on those that were left out before; returns how many are left out now.
fn write_after(left_out: u64, line: &[u8]) -> u64 {
    if left_out > 0 {
        let note = format!("libkarafka: {left_out} lines are missing here: nobody read them in time\n");
        if !write(note.as_bytes(), 0) {
            return left_out + 1;
        }
    }
    u64::from(!write(line, PATIENCE))
}

/// Whether all of it is written, or nobody is there to read it.
fn write(bytes: &[u8], patience: libc::c_int) -> bool {
    let mut left = bytes;
    while !left.is_empty() {
        match room(patience) {
            Room::Some => {}
            Room::None => return false,
            Room::Nobody => return true,
        }
        let part = left.get(..AT_ONCE).unwrap_or(left);
        // SAFETY: the pointer and the length are those of a slice that lives over the call.
        let written = unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        match usize::try_from(written) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(_) if std::io::Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

enum Room {
    Some,
    None,
    /// The stream is closed, here or at its other end.
    Nobody,
}

fn room(patience: libc::c_int) -> Room {
    let mut asked = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one structure, which lives over the call.
    let answer = unsafe { libc::poll(&raw mut asked, 1, patience) };
    if answer <= 0 {
        return Room::None;
    }
    if asked.revents & (libc::POLLERR | libc::POLLNVAL | libc::POLLHUP) != 0 {
        return Room::Nobody;
    }
    Room::Some
}

/// Gives the three standard streams to the null device where they are closed, so that no socket gets their numbers, and with them
/// what is written to them. Called before each client, which makes sockets.
pub fn keep_numbers() {
    for number in 0..=libc::STDERR_FILENO {
        // SAFETY: asks for the flags of a number, which may be no open file's.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // SAFETY: a constant, NUL-terminated path. The system gives the lowest number that is free: this one, since those
            // below are taken. Where it gives none, nothing is different.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}
