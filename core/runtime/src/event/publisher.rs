//! The subscribers of an app, and how they are told.
//!
//! Events are published by the poller, by callers and, those of single calls, by workers; each subscriber receives them on a
//! thread of its own from a bounded queue. The lock is held to put an event into queues that never block.

use super::interest::Interest;
use super::subscription::Events;
use super::table::Event;
use crate::Result;
use crate::lock::Mutex;
use crate::native::fork_epoch;
use crate::shared::forked;
use crossbeam::channel::{Sender, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const QUEUE: usize = 4096;

struct Subscriber {
    sender: Sender<Event>,
    missed: Arc<AtomicU64>,
    interest: Interest,
    /// Gets only what nobody else wanted.
    takes_leftovers: bool,
}

impl Subscriber {
    /// Whether it is still there.
    fn tell(&self, event: &Event) -> bool {
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// The subscribers of one app.
pub(crate) struct Publisher {
    /// Of its process: in a forked child nobody publishes, and the lock may be held for ever.
    forks: u32,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Changed under the lock: who subscribes to an app that has ended hears nothing any more.
    has_ended: AtomicBool,
    wants_jobs: AtomicBool,
    wants_statistics: AtomicBool,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            forks: fork_epoch(),
            subscribers: Mutex::default(),
            has_ended: AtomicBool::default(),
            wants_jobs: AtomicBool::default(),
            wants_statistics: AtomicBool::default(),
        }
    }
}

impl Publisher {
    /// A subscription of all events but those of single calls.
    pub(crate) fn subscribe(&self) -> Events {
        self.add(Interest::usual(), false)
    }

    /// A subscription of what these names and patterns stand for.
    pub(crate) fn subscribe_to(&self, names: &[impl AsRef<str>]) -> Result<Events> {
        if self.forks != fork_epoch() {
            return Err(forked("subscribe to events"));
        }
        let interest = Interest::read(names)?;
        if interest.has_statistics() {
            self.wants_statistics.store(true, Ordering::SeqCst);
        }
        Ok(self.add(interest, false))
    }

    /// A subscription of what no other subscription wants.
    pub(crate) fn subscribe_to_leftovers(&self) -> Events {
        self.add(Interest::usual(), true)
    }

    fn add(&self, interest: Interest, takes_leftovers: bool) -> Events {
        let (sender, receiver) = bounded(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        if self.forks != fork_epoch() {
            return Events::new(receiver, missed, self.forks);
        }
        let subscriber = Subscriber { sender, missed: Arc::clone(&missed), interest, takes_leftovers };
        let mut subscribers = self.subscribers.lock();
        if !self.has_ended.load(Ordering::SeqCst) {
            subscribers.push(subscriber);
        }
        self.look_who_wants_jobs(&subscribers);
        drop(subscribers);
        Events::new(receiver, missed, self.forks)
    }

    fn look_who_wants_jobs(&self, subscribers: &[Subscriber]) {
        let usual = Interest::usual().0;
        let wanted = subscribers.iter().any(|subscriber| subscriber.interest.0 & !usual != 0);
        self.wants_jobs.store(wanted, Ordering::Relaxed);
    }

    /// Whether anybody subscribed to events of single calls: asked before each of them is made.
    pub(crate) fn wants_jobs(&self) -> bool {
        self.wants_jobs.load(Ordering::Relaxed)
    }

    /// Whether anybody named statistics in a subscription.
    pub(crate) fn wants_statistics(&self) -> bool {
        self.wants_statistics.load(Ordering::SeqCst)
    }

    /// Tells whoever wants it; a person, when it is urgent and no program wants it. Returns whether a program did.
    pub(crate) fn publish(&self, event: &Event) -> bool {
        log(event);
        let mut subscribers = self.subscribers.lock();
        let (before, mut heard) = (subscribers.len(), false);
        subscribers.retain(|subscriber| {
            if subscriber.takes_leftovers || !subscriber.interest.has(event) {
                return true;
            }
            let is_there = subscriber.tell(event);
            heard |= is_there;
            is_there
        });
        if !heard {
            subscribers.retain(|subscriber| {
                if !subscriber.takes_leftovers || !subscriber.interest.has(event) {
                    return true;
                }
                let is_there = subscriber.tell(event);
                heard |= is_there;
                is_there
            });
        }
        if subscribers.len() < before {
            self.look_who_wants_jobs(&subscribers);
        }
        drop(subscribers);
        if !heard && event.is_urgent() && !crate::log::is_on() {
            tell_person(format_args!("{event}"));
        }
        heard
    }

    /// Tells whoever wants it and nobody else: for what a person need not see.
    pub(crate) fn offer(&self, event: &Event) {
        log(event);
        let interested = |subscriber: &Subscriber| !subscriber.takes_leftovers && subscriber.interest.has(event);
        self.subscribers.lock().retain(|subscriber| !interested(subscriber) || subscriber.tell(event));
    }

    /// Ends every subscriber's wait once it has read what was published.
    pub(crate) fn close(&self) {
        let mut subscribers = self.subscribers.lock();
        self.has_ended.store(true, Ordering::SeqCst);
        subscribers.clear();
        self.wants_jobs.store(false, Ordering::Relaxed);
    }
}

/// Writes a line to the standard error stream, without waiting for whoever reads it.
pub(crate) fn tell_person(text: std::fmt::Arguments<'_>) {
    crate::native::write_to_stderr(format!("libkarafka: {text}\n").as_bytes());
}

fn log(event: &Event) {
    match event {
        Event::Error { .. } => tracing::error!(event = event.name(), "{event}"),
        _ if event.is_urgent() => tracing::warn!(event = event.name(), "{event}"),
        Event::Statistics(_) => tracing::debug!(event = event.name(), "statistics"),
        _ if event.is_per_job() => tracing::debug!(event = event.name(), "{event}"),
        _ => tracing::info!(event = event.name(), "{event}"),
    }
}
