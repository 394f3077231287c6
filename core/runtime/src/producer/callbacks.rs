//! The thread on which a producer's delivery callbacks run, if it has any.
//!
//! Started by the first record that is sent with a callback, ended when the producer closes. Each producer has one of its own,
//! so that slow callbacks delay only their own producer, whose records then count as being on their way still.

use super::delivery::{DeliveryReport, OnDelivery, enter_callbacks};
use super::room::Room;
use crate::lock::Mutex;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

type Ended = (OnDelivery, Result<DeliveryReport>);

struct Running {
    sender: Sender<Ended>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct Callbacks(Mutex<Option<Running>>);

impl Callbacks {
    /// Makes sure that there is a thread. Called by whoever sends a record with a callback.
    pub(super) fn start(&self, room: &Arc<Room>) -> Result<()> {
        let mut running = self.0.lock();
        if running.is_some() {
            return Ok(());
        }
        // Never more than may be on their way.
        let (sender, receiver) = unbounded();
        let room = Arc::clone(room);
        let thread = thread::Builder::new().name("karafka-deliver".to_owned());
        let thread = thread.spawn(move || serve(&receiver, &room)).map_err(|error| {
            Error::new(ErrorKind::Internal, "produce", "the system gave no thread for callbacks").caused_by(error)
        })?;
        *running = Some(Running { sender, thread });
        Ok(())
    }

    /// Hands a callback over; whether there was somebody to take it.
    pub(super) fn call(&self, ended: Ended) -> bool {
        self.0.lock().as_ref().is_some_and(|running| running.sender.send(ended).is_ok())
    }

    /// Waits until every callback that was handed over has returned.
    pub(super) fn close(&self) {
        let Some(Running { sender, thread }) = self.0.lock().take() else { return };
        drop(sender);
        if thread.join().is_err() {
            tracing::error!("the thread of delivery callbacks panicked");
        }
    }
}

fn serve(receiver: &Receiver<Ended>, room: &Room) {
    enter_callbacks();
    for (callback, result) in receiver {
        let call = std::panic::AssertUnwindSafe(|| callback(result));
        if std::panic::catch_unwind(call).is_err() {
            tracing::error!("a delivery callback panicked");
        }
        room.give(1);
    }
}
