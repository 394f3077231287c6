//! The one thread that reads the reports of all producers of a process.
//!
//! Started with the first producer, ended with the last. It sleeps until one of librdkafka's queues is filled, completes the
//! handles of the records that have ended, and hands on what user code is to be told: it runs none itself, so that no callback
//! delays another producer. Producers and apps live independently of each other, and so do their threads: the app's poller
//! shares nothing with this one.

use super::outbox::Outbox;
use crate::lock::Mutex;
use crate::native::{NativeProducer, fork_epoch};
use crate::wake::{Ready, Waker};
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{Sender, bounded};
use crossbeam::queue::SegQueue;
use crossbeam::sync::Parker;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

/// Reads of one producer before the others have their turn.
const TURN: usize = 64;

/// What the thread is told.
enum Change {
    Add(u64, Arc<NativeProducer>, Arc<Outbox>),
    Remove(u64, Sender<()>),
    End,
}

struct Link {
    changes: SegQueue<Change>,
    waker: Arc<Waker>,
}

impl Link {
    fn tell(&self, change: Change) {
        self.changes.push(change);
        self.waker.wake();
    }
}

#[derive(Default)]
struct Running {
    link: Option<Arc<Link>>,
    thread: Option<JoinHandle<()>>,
    producers: usize,
}

/// The service of one process. A forked child has the next one: locks of its parent may never open there.
#[derive(Default)]
struct Service {
    // Count and thread change together, so that no producer joins a thread that is about to end.
    running: Mutex<Running>,
    next: OnceLock<Box<Service>>,
}

static FIRST: OnceLock<Service> = OnceLock::new();

fn service() -> &'static Service {
    let mut service = FIRST.get_or_init(Service::default);
    for _ in 0..fork_epoch() {
        service = service.next.get_or_init(Box::default);
    }
    service
}

/// A producer's place with the thread. Its flag is made first, since librdkafka's queue needs it from its beginning.
pub(super) struct Place {
    token: u64,
    link: Arc<Link>,
    service: &'static Service,
}

impl Place {
    /// Starts the thread when this is the only producer.
    pub(super) fn take() -> Result<Self> {
        static TOKENS: AtomicU64 = AtomicU64::new(1);
        let service = service();
        let mut running = service.running.lock();
        let link = if let Some(link) = &running.link {
            Arc::clone(link)
        } else {
            let parker = Parker::new();
            let waker = Arc::new(Waker::new(parker.unparker().clone()));
            let link = Arc::new(Link { changes: SegQueue::new(), waker });
            let own = Arc::clone(&link);
            let thread = thread::Builder::new().name("karafka-produce".to_owned());
            let thread = thread.spawn(move || serve(&own, &parker)).map_err(|error| {
                Error::new(ErrorKind::Internal, "create a producer", "the system gave no thread").caused_by(error)
            })?;
            running.thread = Some(thread);
            Arc::clone(running.link.insert(link))
        };
        running.producers += 1;
        drop(running);
        Ok(Self { token: TOKENS.fetch_add(1, Ordering::Relaxed), link, service })
    }

    pub(super) fn ready(&self) -> Arc<Ready> {
        Ready::new(self.token, Arc::clone(&self.link.waker))
    }

    /// From now on the client's reports are read.
    pub(super) fn serve(&self, client: Arc<NativeProducer>, outbox: Arc<Outbox>) {
        self.link.tell(Change::Add(self.token, client, outbox));
    }

    /// Whether this thread is the one that reads reports.
    pub(super) fn is_own_thread() -> bool {
        thread::current().name() == Some("karafka-produce")
    }
}

impl Drop for Place {
    /// Waits until the thread has read what is there and let go of the client, and for its end when nobody else needs it.
    fn drop(&mut self) {
        let (removed, done) = bounded(1);
        self.link.tell(Change::Remove(self.token, removed));
        // It fails only if the thread is gone, and with it what it held.
        let _ = done.recv();
        let mut running = self.service.running.lock();
        running.producers -= 1;
        if running.producers > 0 {
            return;
        }
        let thread = running.thread.take();
        running.link = None;
        drop(running);
        self.link.tell(Change::End);
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads delivery reports panicked");
        }
    }
}

struct Served {
    client: Arc<NativeProducer>,
    outbox: Arc<Outbox>,
}

impl Served {
    /// Reads what is there, at most a turn of it; whether there may be more.
    fn read(&self, outcomes: &mut Vec<crate::native::DeliveryOutcome>) -> bool {
        if let Some(ready) = self.client.ready() {
            ready.lower();
        }
        for _ in 0..TURN {
            if !self.outbox.read(&self.client, outcomes) {
                return false;
            }
        }
        true
    }
}

/// The thread.
fn serve(link: &Link, parker: &Parker) {
    let mut producers: HashMap<u64, Served> = HashMap::new();
    let mut outcomes = Vec::new();
    loop {
        while let Some(change) = link.changes.pop() {
            match change {
                Change::Add(token, client, outbox) => {
                    let served = Served { client, outbox };
                    // The flag may have been raised before there was anybody to read.
                    while served.read(&mut outcomes) {}
                    producers.insert(token, served);
                }
                Change::Remove(token, removed) => {
                    if let Some(served) = producers.remove(&token) {
                        while served.read(&mut outcomes) {}
                    }
                    // Whoever waits may have been interrupted.
                    let _ = removed.send(());
                }
                Change::End => return,
            }
        }
        let mut is_busy = false;
        if let Some(token) = link.waker.next_filled() {
            is_busy = true;
            if let Some(served) = producers.get(&token)
                && served.read(&mut outcomes)
                && let Some(ready) = served.client.ready()
            {
                ready.raise();
            }
        }
        if !is_busy && link.changes.is_empty() {
            parker.park();
        }
    }
}
