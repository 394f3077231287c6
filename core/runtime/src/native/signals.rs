//! Signals of the system, handed to a thread that may do anything.
//!
//! One watch a process at a time. The signal handler does what is safe in it: it counts the signal and posts a semaphore; a
//! thread of its own waits for that. The program's own signal handlers are put back when the watch ends. In a forked child,
//! which has no such thread, a signal does what it does by default.

use crate::signal::Signal;
use crate::{Error, ErrorKind, Result};
use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// The system's number of a signal.
const fn number(signal: Signal) -> c_int {
    match signal {
        Signal::Term => libc::SIGTERM,
        Signal::Int => libc::SIGINT,
        Signal::Quit => libc::SIGQUIT,
        Signal::Tstp => libc::SIGTSTP,
        Signal::Cont => libc::SIGCONT,
        Signal::Ttin => libc::SIGTTIN,
    }
}

/// A semaphore for this process, never destroyed: a signal may come at any time.
struct Semaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: semaphores are made to be used by several threads.
unsafe impl Sync for Semaphore {}

static POSTED: Semaphore = Semaphore(UnsafeCell::new(MaybeUninit::zeroed()));
/// How often each signal came and was not handed on yet, in the order of [`Signal::ALL`].
static CAME: [AtomicU32; Signal::ALL.len()] = [const { AtomicU32::new(0) }; Signal::ALL.len()];
static WATCHED: AtomicBool = AtomicBool::new(false);
static ENDING: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicI32 = AtomicI32::new(0);

impl Semaphore {
    fn initialize(&self) {
        static ONCE: Once = Once::new();
        // SAFETY: the place is valid, and initialised once before its first use.
        ONCE.call_once(|| unsafe {
            libc::sem_init(self.0.get().cast(), 0, 0);
        });
    }

    /// May be called in a signal handler.
    fn post(&self) {
        // SAFETY: initialised before any signal handler was set.
        unsafe { libc::sem_post(self.0.get().cast()) };
    }

    /// Forgets what was posted and not waited for.
    fn drain(&self) {
        // SAFETY: initialised by the caller.
        while unsafe { libc::sem_trywait(self.0.get().cast()) } == 0 {}
    }

    fn wait(&self) {
        // SAFETY: initialised before the thread that waits was started. An interrupted wait is taken up again.
        while unsafe { libc::sem_wait(self.0.get().cast()) } != 0 {}
    }
}

extern "C" fn on_signal(came: c_int) {
    // SAFETY: all three functions may be called in a signal handler.
    unsafe {
        if libc::getpid() == PROCESS.load(Ordering::SeqCst) {
            for (signal, count) in Signal::ALL.into_iter().zip(&CAME) {
                if number(signal) == came {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
            POSTED.post();
        } else {
            libc::signal(came, libc::SIG_DFL);
            libc::raise(came);
        }
    }
}

/// The system's number of the calling thread; 0 where it has none.
pub(crate) fn thread_id() -> u32 {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: only reads the thread's number.
        u32::try_from(unsafe { libc::gettid() }).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    {
        0
    }
}

/// While this lives, signals are handed on.
#[derive(Debug)]
pub(crate) struct Watch {
    thread: Option<JoinHandle<()>>,
    former: Vec<Former>,
}

struct Former {
    signal: c_int,
    action: libc::sigaction,
}

impl std::fmt::Debug for Former {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Former({})", self.signal)
    }
}

/// Hands each signal to `obey`, on a thread of its own.
pub(crate) fn watch(obey: impl FnMut(Signal) + Send + 'static) -> Result<Watch> {
    watch_some(&Signal::ALL, obey)
}

/// Hands some signals to `obey`, on a thread of its own; the others do what they did.
pub(crate) fn watch_some(signals: &[Signal], mut obey: impl FnMut(Signal) + Send + 'static) -> Result<Watch> {
    let internal = |message: &str| Error::new(ErrorKind::Internal, "watch signals", message);
    // SAFETY: only reads the process id.
    let process = unsafe { libc::getpid() };
    let here = PROCESS.swap(process, Ordering::SeqCst) == process;
    if WATCHED.swap(true, Ordering::SeqCst) && here {
        let message = "another app of this process obeys signals already";
        return Err(Error::new(ErrorKind::Stopped, "watch signals", message));
    }
    POSTED.initialize();
    // Signals that came when the last watch had ended already are not this one's.
    POSTED.drain();
    for count in &CAME {
        count.store(0, Ordering::SeqCst);
    }
    ENDING.store(false, Ordering::SeqCst);
    // From here on, dropping undoes what was done.
    let mut watch = Watch { thread: None, former: Vec::new() };
    let thread = thread::Builder::new().name("karafka-signals".to_owned()).spawn(move || {
        while let Some(signal) = next() {
            obey(signal);
        }
    });
    watch.thread = Some(thread.map_err(|error| internal("the system gave no thread").caused_by(error))?);
    for signal in signals.iter().copied().map(number) {
        // SAFETY: zeroes are a valid action, with an empty mask; the handler has the type that the system calls without
        // SA_SIGINFO; both places are valid.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = on_signal as extern "C" fn(c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            let mut former = MaybeUninit::zeroed();
            if libc::sigaction(signal, &raw const action, former.as_mut_ptr()) != 0 {
                return Err(internal("the system refused a signal handler"));
            }
            watch.former.push(Former { signal, action: former.assume_init() });
        }
    }
    Ok(watch)
}

/// Waits for the next signal; none when the watch ends.
fn next() -> Option<Signal> {
    loop {
        POSTED.wait();
        if ENDING.load(Ordering::SeqCst) {
            return None;
        }
        // Each signal was counted before its post, so a post finds one, unless an earlier one's look took it.
        for (signal, count) in Signal::ALL.into_iter().zip(&CAME) {
            if count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok() {
                return Some(signal);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for Former { signal, action } in &self.former {
            // SAFETY: puts back what the system gave; no result is wanted.
            unsafe { libc::sigaction(*signal, ptr::from_ref(action), ptr::null_mut()) };
        }
        ENDING.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            POSTED.post();
            // It does nothing that could panic, and nothing depends on it any more.
            let _ = thread.join();
        }
        WATCHED.store(false, Ordering::SeqCst);
    }
}
