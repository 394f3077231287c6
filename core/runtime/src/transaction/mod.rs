//! Transactions: records that become visible together, or not at all.
//!
//! Called from any thread that may wait for brokers. A [`TransactionalProducer`] has one transaction open at a time;
//! [`Transaction`] is what is open. Guarantees: what does not end by a commit is aborted; whose end is unknown is told so, and
//! nothing begins before the coordinator knows the producer by a new epoch.

mod client;
mod ending;
mod handler;
mod isolation;
mod letter;
mod open;
mod producer;
mod producers;
mod together;
mod turn;

pub(crate) use handler::Marks;
pub(crate) use isolation::Isolation;
pub(crate) use letter::dispatch as dispatch_letter;
pub use producer::TransactionalProducer;
pub(crate) use producers::Producers;
pub(crate) use turn::{Ask, Part, Turn};

use crate::lock::Mutex;
use crate::producer::{Deliveries, Delivery, OnDelivery, Producer, Record};
use crate::{Error, ErrorKind, Result};
use handler::Side;
use open::Open;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use together::Held;

const COMMIT: &str = "commit a transaction";

/// An open transaction. Dropping the last handle of it aborts it.
pub struct Transaction(Arc<Core>);

/// Where the records of a transaction are that has not ended.
enum Stand {
    /// Sent as they came, in a transaction of their producer's.
    Open(Open),
    /// Here, until the block has returned.
    Held(Held),
}

/// What the handles of one transaction share.
struct Core {
    /// `None` once ended.
    stand: Mutex<Option<Stand>>,
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
    pub fn produce_many_async(&self, records: &[Record<'_>]) -> Result<Deliveries> {
        self.0.producer("produce")?.produce_many_async(records)
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
        self.0.stand.lock().is_some()
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

    /// Takes what is open out, to be ended by the caller.
    fn take_open(&self) -> Option<Open> {
        match self.0.stand.lock().take() {
            Some(Stand::Open(open)) => Some(open),
            Some(Stand::Held(_)) | None => None,
        }
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
    fn new(stand: Stand, side: Option<Side>) -> Self {
        Self { stand: Mutex::new(Some(stand)), gives_up: AtomicBool::new(false), side }
    }

    /// Cloned, so that nothing is locked while a full queue is waited for.
    fn producer(&self, operation: &'static str) -> Result<Producer> {
        match &*self.stand.lock() {
            Some(Stand::Open(open)) => Ok(open.client.producer().clone()),
            Some(Stand::Held(held)) => Ok(held.producer.clone()),
            None => Err(over(operation)),
        }
    }

    fn commit(&self) -> Result<()> {
        let Some(stand) = self.stand.lock().take() else { return Err(over(COMMIT)) };
        let ended = self.end(stand);
        if let Some(side) = &self.side {
            side.leave();
        }
        ended
    }

    fn end(&self, stand: Stand) -> Result<()> {
        if self.gives_up.load(Ordering::SeqCst) {
            stand.abort();
            return Ok(());
        }
        match (stand, &self.side) {
            (Stand::Open(open), Some(side)) => side.commit(open),
            (Stand::Open(open), None) => open.commit(),
            (Stand::Held(held), Some(side)) => side.commit_together(&held),
            (Stand::Held(held), None) => {
                held.abort();
                Err(over(COMMIT))
            }
        }
    }
}

impl Stand {
    fn abort(self) {
        match self {
            Self::Open(open) => open.abort(),
            Self::Held(held) => held.abort(),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        match self.stand.get_mut().take() {
            Some(Stand::Open(open)) if !open.owner.is_of_this_process() => std::mem::forget(open),
            Some(stand) => stand.abort(),
            None => {}
        }
    }
}

fn over(operation: &'static str) -> Error {
    Error::new(ErrorKind::Transaction, operation, "the transaction has ended")
}
