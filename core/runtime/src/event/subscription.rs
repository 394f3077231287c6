//! A subscription: where one subscriber waits for events.
//!
//! Owned by the subscriber, read on its own thread. It loses events when it is slow, and is told how many. In a forked child it has
//! ended: nobody there would ever tell it anything.

use super::table::Event;
use crate::Result as Outcome;
use crate::native::fork_epoch;
use crate::shared::forked;
use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::select;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A subscription: events in their order, from when it was made.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    missed: Arc<AtomicU64>,
    interrupt: Sender<()>,
    interrupts: Receiver<()>,
    /// Of the process that the events are told in.
    forks: u32,
}

/// Interrupts the wait of one subscription, from any thread. Never blocks.
#[derive(Debug, Clone)]
pub struct EventsInterrupter(Sender<()>);

impl EventsInterrupter {
    /// Makes the running wait, or else the next one, end with [`NoEvent::Timeout`].
    pub fn interrupt(&self) {
        // A full channel is an interrupt that nobody has noticed yet.
        let _ = self.0.try_send(());
    }
}

/// Why [`Events::next`] gave no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEvent {
    /// None came in time, or somebody interrupted the wait.
    Timeout,
    /// The app has stopped, and every event was read; or this is a forked child.
    Ended,
}

impl Events {
    pub(super) fn new(receiver: Receiver<Event>, missed: Arc<AtomicU64>, forks: u32) -> Self {
        let (interrupt, interrupts) = bounded(1);
        Self { receiver, missed, interrupt, interrupts, forks }
    }

    /// Whether events can be told in this process.
    ///
    /// # Errors
    /// `Forked` in a child of the process of what is subscribed to.
    pub fn owned(&self) -> Outcome<()> {
        if self.forks == fork_epoch() { Ok(()) } else { Err(forked("wait for events")) }
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`NoEvent`] tells whether there is none yet, or none any more.
    pub fn next(&self, timeout: Duration) -> Result<Event, NoEvent> {
        if self.owned().is_err() {
            return Err(NoEvent::Ended);
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            return Ok(Event::Missed(missed));
        }
        select! {
            recv(self.receiver) -> event => event.map_err(|_| NoEvent::Ended),
            recv(self.interrupts) -> _ => Err(NoEvent::Timeout),
            default(timeout) => Err(NoEvent::Timeout),
        }
    }

    /// A handle by which another thread ends a wait early.
    pub fn interrupter(&self) -> EventsInterrupter {
        EventsInterrupter(self.interrupt.clone())
    }
}
