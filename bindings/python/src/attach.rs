//! Crossing the interpreter's lock: the core's threads come in, Python's threads go out to wait.
//!
//! A worker thread attaches once and gives the lock back only to wait for its next job: attaching costs as much as sixty
//! such waits. Every wait of a Python thread in the core goes through here too, so that signals are seen, and so that at
//! the interpreter's end no thread comes back from the core into an interpreter that is gone, which would abort the
//! process.

use crate::error;
use crate::handler::{self, Handlers};
use crate::slots::Slots;
use crate::{delivery, producer};
use karafka::lock::{Condvar, Mutex};
use karafka::{ErrorKind, Hook, JobKind, Next, Seat};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_long;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a wait may last before signals are looked at.
const SLICE: Duration = Duration::from_millis(100);

/// Most messages of a job that is ended with the interpreter's lock in hand.
const SHORT: usize = 16;

/// How many jobs a thread runs in a row before it gives the lock up on its own.
const IN_A_ROW: u32 = 32;

/// How long the interpreter's end waits for threads that it has told to end.
const PATIENCE: Duration = Duration::from_secs(1);

static CLOSING: AtomicBool = AtomicBool::new(false);

/// Python threads that wait in the core and will come back for the interpreter's lock.
static GUESTS: AtomicUsize = AtomicUsize::new(0);

/// Threads of the core that run handlers.
static WORKERS: Mutex<Vec<Worker>> = Mutex::new(Vec::new());
static WORKER_LEFT: Condvar = Condvar::new();

struct Guest;

impl Guest {
    fn enter() -> Self {
        GUESTS.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        GUESTS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs something that may block, without the interpreter's lock.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let _guest = Guest::enter();
    py.detach(work)
}

/// Waits without the interpreter's lock until `look` has something, in slices between which signals are handled.
/// `None` when `timeout` has passed.
///
/// # Errors
/// What a signal handler raised; `StoppedError` when the interpreter ends.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    mut look: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(found) = detached(py, || look(left.min(SLICE))) {
            return Ok(Some(found));
        }
        py.check_signals()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
        if CLOSING.load(Ordering::SeqCst) {
            return Err(error::raise(py, ErrorKind::Stopped, "wait", "the interpreter ends"));
        }
    }
}

/// A worker thread's time with its seat: attached once, detached to wait. Called on the core's own threads.
pub(crate) fn serve(mut seat: Seat, handlers: &Handlers, slots: &Slots) {
    let attached = Python::try_attach(|py| {
        let _worker = Worker::enter(py);
        let (mut finished, mut in_a_row) = (None, 0);
        loop {
            let found = next_at_once(&mut seat, &mut finished, &mut in_a_row);
            match found.unwrap_or_else(|| next(py, &mut seat, slots, &mut finished)) {
                Found::Run(job) if in_loop(&job, slots) => {
                    if slots.push(job) {
                        slots.wake(py);
                    }
                }
                Found::Run(job) => finished = handler::run(py, job, handlers),
                Found::Wake => slots.wake(py),
                Found::Closed => return,
            }
        }
    });
    if attached.is_none() {
        // The interpreter is gone; what was handed out comes back when the job is dropped.
        drop(seat);
    }
}

/// What a worker thread does next.
enum Found {
    Run(karafka::Job),
    /// The event loop has to hear of jobs.
    Wake,
    Closed,
}

/// What there is to do without giving the interpreter's lock up, after a short job: giving it up and taking it again costs more
/// than freeing such a job's records, and far more where many threads wait for it.
fn next_at_once(seat: &mut Seat, finished: &mut Option<karafka::Job>, in_a_row: &mut u32) -> Option<Found> {
    let short = finished.take_if(|job| *in_a_row < IN_A_ROW && job.batch().len() <= SHORT);
    let Some(job) = short else {
        *in_a_row = 0;
        return None;
    };
    *in_a_row += 1;
    job.done();
    match seat.try_next()? {
        Next::Job(job) => Some(Found::Run(job)),
        Next::Closed => Some(Found::Closed),
        Next::Interrupted => None,
    }
}

/// Reports that `finished` succeeded, and waits for the next job that this thread runs itself. Jobs of `async def` handlers
/// go to the event loop meanwhile, which is woken once for all that gather until it looks.
fn next(py: Python<'_>, seat: &mut Seat, slots: &Slots, finished: &mut Option<karafka::Job>) -> Found {
    py.detach(|| {
        if let Some(job) = finished.take() {
            job.done();
        }
        loop {
            match seat.next() {
                Next::Job(job) if in_loop(&job, slots) => {
                    if slots.push(job) {
                        return Found::Wake;
                    }
                }
                Next::Job(job) => return Found::Run(job),
                Next::Interrupted => {}
                Next::Closed => return Found::Closed,
            }
        }
    })
}

/// Whether a call goes to the event loop. Partitioners and filters are plain functions, also of `async def` handlers.
fn in_loop(job: &karafka::Job, slots: &Slots) -> bool {
    (job.kind() == JobKind::Handle || Hook::of(job.kind()).is_some()) && slots.takes(job.topic_index())
}

/// A thread by Python's number for it and by the system's.
#[derive(Clone, Copy, PartialEq)]
struct Worker {
    ident: c_long,
    thread: u64,
}

/// While it lives, the thread is among the workers.
struct Entered(Option<Worker>);

impl Worker {
    fn enter(py: Python<'_>) -> Entered {
        let found = py.import("_thread").and_then(|module| {
            let ident = module.call_method0("get_ident")?.extract()?;
            Ok(Self { ident, thread: module.call_method0("get_native_id")?.extract()? })
        });
        let worker = found.ok();
        WORKERS.lock().extend(worker);
        Entered(worker)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut workers = WORKERS.lock();
        workers.retain(|worker| Some(*worker) != self.0);
        WORKER_LEFT.notify_all();
    }
}

/// The threads that run handlers: Python's number of each, and the system's.
#[pyfunction]
pub(crate) fn workers() -> Vec<(c_long, u64)> {
    WORKERS.lock().iter().map(|worker| (worker.ident, worker.thread)).collect()
}

/// Raises `SystemExit` in handlers that an app had to leave behind, and waits a moment for them. Returns how many are
/// left: they sit in a call that does not come back to Python.
#[pyfunction]
pub(crate) fn interrupt_left_behind(py: Python<'_>) -> usize {
    let exit = py.get_type::<pyo3::exceptions::PySystemExit>();
    let workers = WORKERS.lock().clone();
    for worker in workers {
        raise_in(worker.ident, &exit);
    }
    detached(py, || {
        let deadline = Instant::now() + PATIENCE;
        let mut workers = WORKERS.lock();
        workers = WORKER_LEFT.wait_while(workers, Some(deadline), |workers| !workers.is_empty());
        workers.len()
    })
}

fn raise_in(thread: c_long, class: &Bound<'_, PyType>) {
    // SAFETY: the interpreter's lock is held (`class` proves it) and `class` is an exception class. A number that is no
    // thread's any more is allowed, and does nothing.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, class.as_ptr()) };
}

/// The interpreter ends: closes what still delivers, ends every wait, and returns once no thread is out in the core.
#[pyfunction]
pub(crate) fn close(py: Python<'_>) {
    CLOSING.store(true, Ordering::SeqCst);
    py.detach(|| {
        producer::close_all();
        delivery::close();
        let deadline = Instant::now() + PATIENCE;
        // The guests need the interpreter's lock to leave; this is the last thing that the process does.
        while GUESTS.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
