//! Stopping an app when the system asks the process to end.
//!
//! Used by `karafka_app_run` if the program wants it: one app at a time. The signal handler does the one thing that is safe
//! in it, posting a semaphore; a thread of its own waits for that and stops the app. The program's own signal handlers are
//! put back when the run ends. In a forked child, which has no such thread, a signal does what it does by default.

use crate::error::Fault;
use runtime::{App, Error, ErrorKind};
use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SIGNALS: [c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// A semaphore for this process, never destroyed: a signal may come at any time.
struct Semaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: semaphores are made to be used by several threads.
unsafe impl Sync for Semaphore {}

static POSTED: Semaphore = Semaphore(UnsafeCell::new(MaybeUninit::zeroed()));
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

extern "C" fn on_signal(signal: c_int) {
    // SAFETY: all three functions may be called in a signal handler.
    unsafe {
        if libc::getpid() == PROCESS.load(Ordering::SeqCst) {
            POSTED.post();
        } else {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// While this lives, signals stop the app.
pub(crate) struct Watch {
    thread: Option<JoinHandle<()>>,
    former: Vec<(c_int, libc::sigaction)>,
}

/// Watches for signals on behalf of this app.
pub(crate) fn watch(app: &App) -> Result<Watch, Fault> {
    let internal = |message: &str| Fault::Core(Error::new(ErrorKind::Internal, "watch signals", message));
    // SAFETY: only reads the process id.
    let process = unsafe { libc::getpid() };
    let here = PROCESS.swap(process, Ordering::SeqCst) == process;
    if WATCHED.swap(true, Ordering::SeqCst) && here {
        let message = "another app of this process runs with KARAFKA_RUN_WITH_SIGNALS already";
        return Err(Fault::stopped("run", message));
    }
    POSTED.initialize();
    // Signals that came when the last run had ended already are not this app's.
    POSTED.drain();
    ENDING.store(false, Ordering::SeqCst);
    // From here on, dropping undoes what was done.
    let mut watch = Watch { thread: None, former: Vec::new() };
    let app = app.clone();
    let thread = thread::Builder::new().name("karafka-signals".to_owned()).spawn(move || stop_when_asked(&app));
    watch.thread = Some(thread.map_err(|_| internal("the system gave no thread"))?);
    for signal in SIGNALS {
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
            watch.former.push((signal, former.assume_init()));
        }
    }
    Ok(watch)
}

fn stop_when_asked(app: &App) {
    let mut asked = false;
    loop {
        POSTED.wait();
        if ENDING.load(Ordering::SeqCst) {
            return;
        }
        if asked {
            app.stop_within(Duration::ZERO);
        } else {
            app.stop();
        }
        asked = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (signal, former) in &self.former {
            // SAFETY: puts back what the system gave; no result is wanted.
            unsafe { libc::sigaction(*signal, ptr::from_ref(former), ptr::null_mut()) };
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
