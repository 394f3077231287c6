//! Waiting on a Ruby thread for something that another thread does.
//!
//! Called with the GVL, waits without it. `Thread#kill`, `Thread#raise`, signals and the end of the process interrupt every
//! wait here.

use crate::error::Raise;
use crate::gvl;
use karafka::ErrorKind;
use karafka::lock::{Condvar, Mutex};
use magnus::{Error, Ruby};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any program runs, short enough to be added to any clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

struct State<T> {
    value: Option<T>,
    interrupts: u64,
}

/// A place for one value, filled by one thread and awaited by Ruby threads.
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

/// Why a wait ended.
enum Waited<T> {
    Filled(T),
    Late,
    Interrupted,
}

impl<T: Send> Slot<T> {
    pub fn new() -> Arc<Self> {
        let state = Mutex::new(State { value: None, interrupts: 0 });
        Arc::new(Self { state, changed: Condvar::new() })
    }

    pub fn fill(&self, value: T) {
        self.state.lock().value = Some(value);
        self.changed.notify_all();
    }

    fn interrupt(&self) {
        self.state.lock().interrupts += 1;
        self.changed.notify_all();
    }

    /// Waits until it is filled and `read` takes something from it, the deadline passes, or somebody interrupts after
    /// `seen` was read.
    fn wait<R>(&self, seen: u64, deadline: Option<Instant>, read: impl Fn(&mut Option<T>) -> Option<R>) -> Waited<R> {
        let mut state = self.state.lock();
        loop {
            if let Some(value) = read(&mut state.value) {
                return Waited::Filled(value);
            }
            if state.interrupts != seen {
                return Waited::Interrupted;
            }
            match deadline {
                None => state = self.changed.wait(state),
                Some(deadline) => {
                    let is_late;
                    (state, is_late) = self.changed.wait_until(state, deadline);
                    if is_late && state.value.is_none() {
                        return Waited::Late;
                    }
                }
            }
        }
    }

    fn await_read<R>(
        &self,
        ruby: &Ruby,
        deadline: Option<Instant>,
        read: impl Fn(&mut Option<T>) -> Option<R>,
    ) -> Result<Option<R>, Error> {
        loop {
            let seen = {
                let mut state = self.state.lock();
                if let Some(value) = read(&mut state.value) {
                    return Ok(Some(value));
                }
                state.interrupts
            };
            match gvl::without_gvl(|| self.wait(seen, deadline, &read), &|| self.interrupt()) {
                Some(Waited::Filled(value)) => return Ok(Some(value)),
                Some(Waited::Late) => return Ok(None),
                Some(Waited::Interrupted) | None => ruby.thread_check_ints()?,
            }
        }
    }

    /// A copy of the value, once it is there; `None` when the deadline passes before.
    pub fn await_copy(&self, ruby: &Ruby, deadline: Option<Instant>) -> Result<Option<T>, Error>
    where
        T: Clone,
    {
        self.await_read(ruby, deadline, |value| value.clone())
    }
}

/// Runs something that blocks on a thread of its own, so that the Ruby thread that waits for it can be interrupted. When it
/// is, the thread finishes by itself.
pub fn interruptible<T: Send + 'static>(ruby: &Ruby, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let slot = Slot::new();
    let own = Arc::clone(&slot);
    let run = move || own.fill(catch_unwind(AssertUnwindSafe(work)));
    let spawned = thread::Builder::new().name("karafka-wait".to_owned()).stack_size(256 << 10).spawn(run);
    spawned.map_err(no_thread).map(drop).or_raise(ruby)?;
    let result = match slot.await_read(ruby, None, Option::take) {
        Ok(result) => result,
        Err(interrupt) => {
            // It may have finished just now, with something that nobody takes any more.
            drop_elsewhere(slot);
            return Err(interrupt);
        }
    };
    result.and_then(Result::ok).ok_or_else(|| internal("the call panicked")).or_raise(ruby)
}

/// Drops what waits when it is dropped on a thread of its own: neither with the GVL nor in the middle of a garbage collection.
pub fn drop_elsewhere<T: Send + 'static>(value: T) {
    // Without a thread it is dropped here.
    let _ = thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(value));
}

/// The system gave no thread.
pub fn no_thread(error: std::io::Error) -> karafka::Error {
    internal("the system gave no thread to wait on").caused_by(error)
}

fn internal(message: &str) -> karafka::Error {
    karafka::Error::new(ErrorKind::Internal, "wait", message)
}

/// A number of seconds as Ruby's methods take them.
///
/// # Errors
/// `Config` for what is no length of time.
pub fn seconds(amount: f64) -> karafka::Result<Duration> {
    Duration::try_from_secs_f64(amount).map(|time| time.min(FOREVER)).map_err(|error| {
        let message = format!("{amount} seconds are no time to wait");
        karafka::Error::new(ErrorKind::Config, "wait", message).caused_by(error)
    })
}

/// The moment that many seconds from now; none without a number, or beyond what a clock can tell.
///
/// # Errors
/// As [`seconds`].
pub fn deadline(amount: Option<f64>) -> karafka::Result<Option<Instant>> {
    amount.map_or(Ok(None), |amount| Ok(Instant::now().checked_add(seconds(amount)?)))
}
