//! Transactions: records that become visible together, or not at all.
//!
//! Called from any thread that may wait for brokers. A [`TransactionalProducer`] has one transaction open at a time;
//! [`Transaction`] is what is open. Guarantees: what does not end by a commit is aborted; whose end is unknown is told so, and
//! nothing begins before the coordinator knows the producer by a new epoch.

mod client;
mod ending;
mod handler;
mod letter;
mod open;
mod producer;
mod producers;
mod turn;

pub(crate) use handler::Marks;
pub(crate) use letter::dispatch as dispatch_letter;
pub use producer::TransactionalProducer;
pub(crate) use producers::Producers;
pub(crate) use turn::{Part, Turn};

use crate::producer::{Delivery, OnDelivery, Producer, Record};
use crate::{Error, ErrorKind, Result};
use handler::Side;
use open::Open;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const COMMIT: &str = "commit a transaction";

/// An open transaction. Dropping the last handle of it aborts it.
pub struct Transaction(Arc<Core>);

/// What the handles of one transaction share.
struct Core {
    /// `None` once ended.
    open: Mutex<Option<Open>>,
    gives_up: AtomicBool,
    /// Of a handler's transaction.
    side: Option<Side>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Transaction {
    /// Sends a record as part of the transaction, and returns at once. When the local queue is full, waits for room until
    /// `queue_full_timeout`. The commit waits for its acknowledgement, and aborts without it.
    ///
    /// # Errors
    /// `Transaction` when it has ended; as [`Producer::produce_async`].
    pub fn produce_async(&self, record: &Record<'_>) -> Result<Delivery> {
        self.0.producer("produce")?.produce_async(record)
    }

    /// [`Self::produce_async`] with a callback instead of a handle.
    ///
    /// # Errors
    /// As [`Self::produce_async`]; the callback is not called then.
    pub fn produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        self.0.producer("produce")?.produce_with(record, on_delivery).map(drop)
    }

    /// [`Self::produce_with`] that never waits, for callers that hold an interpreter's lock.
    ///
    /// # Errors
    /// As [`Self::produce_with`], with `QueueFull` as soon as there is no room.
    pub fn try_produce_with(&self, record: &Record<'_>, on_delivery: OnDelivery) -> Result<()> {
        self.0.producer("produce")?.try_produce_with(record, on_delivery).map(drop)
    }

    /// Sends many records, in order, and returns their handles at once.
    ///
    /// # Errors
    /// The first record's error that stopped it; records before it are part of the transaction.
    pub fn produce_many_async(&self, records: &[Record<'_>]) -> Result<Vec<Delivery>> {
        records.iter().map(|record| self.produce_async(record)).collect()
    }

    /// The producer behind the transaction, with all that it can do beside; what it sends while the transaction is open is part
    /// of it. Do not keep it.
    ///
    /// # Errors
    /// `Transaction` when it has ended.
    pub fn producer(&self) -> Result<Producer> {
        self.0.producer("produce")
    }

    /// Has the transaction aborted when it ends, whatever is said then; its block may return a value all the same.
    pub fn give_up(&self) {
        self.0.gives_up.store(true, Ordering::SeqCst);
    }

    /// Whether it has neither been committed nor aborted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open.lock().is_some()
    }

    /// Waits until everything that was produced is acknowledged, and commits: it becomes visible together. Aborts instead
    /// after [`Self::give_up`], which is no error. Waits at most `transaction_timeout`.
    ///
    /// # Errors
    /// The transaction was aborted: `Transaction` or `Timeout` (retriable: do the whole again); `Fenced` (fatal): another
    /// producer of the same `transactional_id` has taken over. `Transaction` with "unknown" in its message, never retriable:
    /// the answer got lost, so it may have been committed; only the topics can tell. `Transaction` when it has ended before.
    pub fn commit(&self) -> Result<()> {
        self.0.commit()
    }

    /// Ends it as a block that runs in it does. A panic in the block drops it, which aborts.
    fn run<T, E: From<Error>>(
        self,
        block: impl FnOnce(&Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        match block(&self) {
            Ok(value) => self.commit().map(|()| value).map_err(E::from),
            Err(error) => {
                if let Err(failure) = self.abort() {
                    tracing::debug!(error = %failure, "a block ended its transaction before it failed");
                }
                Err(error)
            }
        }
    }

    /// Aborts: nothing of it will ever be visible.
    ///
    /// # Errors
    /// `Transaction` when it has ended before.
    pub fn abort(&self) -> Result<()> {
        self.give_up();
        self.0.commit()
    }
}

impl Core {
    fn new(open: Open, side: Option<Side>) -> Self {
        Self { open: Mutex::new(Some(open)), gives_up: AtomicBool::new(false), side }
    }

    /// The client's own producer. Cloned, so that nothing is locked while a full queue is waited for.
    fn producer(&self, operation: &'static str) -> Result<Producer> {
        let open = self.open.lock();
        open.as_ref().map(|open| open.client.producer().clone()).ok_or_else(|| over(operation))
    }

    fn commit(&self) -> Result<()> {
        let Some(open) = self.open.lock().take() else { return Err(over(COMMIT)) };
        let ended = self.end(open);
        if let Some(side) = &self.side {
            side.leave();
        }
        ended
    }

    fn end(&self, open: Open) -> Result<()> {
        if self.gives_up.load(Ordering::SeqCst) {
            open.abort();
            return Ok(());
        }
        match &self.side {
            Some(side) => side.commit(open),
            None => open.commit(),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(open) = self.open.get_mut().take() else { return };
        if open.owner.is_of_this_process() {
            open.abort();
        } else {
            std::mem::forget(open);
        }
    }
}

fn over(operation: &'static str) -> Error {
    Error::new(ErrorKind::Transaction, operation, "the transaction has ended")
}
