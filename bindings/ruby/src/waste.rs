//! Batches that Ruby's collector has let go of, on their way to be freed without the GVL.
//!
//! Freeing a batch frees each of its messages. The collector runs with the GVL, so it only puts them down here; workers of the app
//! free them before they wait for a job. While an app has no workers, and when much has gathered, they are freed at once.

use karafka::Batch;
use karafka::lock::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than one collection finds when workers are busy; memory that waits here is of no use to anybody.
const MOST: usize = 64;

/// One app's.
#[derive(Default)]
pub struct Waste {
    batches: Mutex<Vec<Batch>>,
    workers: AtomicUsize,
}

impl Waste {
    /// Called by a worker before it waits, without the GVL.
    pub fn clear(&self) {
        let batches = std::mem::take(&mut *self.batches.lock());
        drop(batches);
    }

    /// Called by the collector, with the GVL. Uses no Ruby.
    pub fn add(&self, batch: Batch) {
        let mut batches = self.batches.lock();
        if batches.len() < MOST {
            batches.push(batch);
            drop(batches);
        } else {
            drop(batches);
            drop(batch);
        }
        // The last worker may have looked just before.
        if self.workers.load(Ordering::SeqCst) == 0 {
            self.clear();
        }
    }

    /// A worker of the app begins.
    pub fn enter(&self) {
        self.workers.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker of the app ends.
    pub fn leave(&self) {
        self.workers.fetch_sub(1, Ordering::SeqCst);
        self.clear();
    }
}
