//! A producer all of whose records are parts of transactions.
//!
//! Called from any thread; one transaction is open at a time, and who wants the next one waits for its turn. A call inside a
//! transaction of the same thread joins it.

use super::client::{self, Client, End};
use super::handler::Side;
use super::open::Open as Begun;
use super::{Core, Stand as Records, Transaction};
use crate::config::ProducerConfig;
use crate::embedded;
use crate::encryption;
use crate::lock::{Condvar, Mutex};
use crate::producer::{DeliveryReport, Record};
use crate::shared::same_process;
use crate::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Produces in transactions: their records become visible together, or not at all. Clones are handles of the same one.
///
/// ```no_run
/// use karafka::{ProducerConfig, Record, TransactionalProducer};
///
/// # fn main() -> karafka::Result<()> {
/// let config = ProducerConfig { transactional_id: Some("billing-1".into()), ..ProducerConfig::default() };
/// let producer = TransactionalProducer::new(config)?;
/// producer.transaction(|transaction| {
///     transaction.produce_async(&Record { topic: "debits", payload: Some(b"5"), ..Record::default() })?;
///     transaction.produce_async(&Record { topic: "credits", payload: Some(b"5"), ..Record::default() })?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionalProducer(Arc<Inner>);

pub(super) struct Inner {
    config: ProducerConfig,
    process: u32,
    /// What waits for its turn gives up when this has passed.
    patience: Duration,
    stand: Mutex<Stand>,
    freed: Condvar,
}

#[derive(Default)]
struct Stand {
    /// Kept between transactions; none before the first, and after one whose end nobody can be sure of.
    client: Option<Client>,
    open: Option<Open>,
    /// Why there is none any more: closed, or fenced by another of the same id.
    ended: Option<Error>,
}

struct Open {
    /// The thread's number, by which it is known that it waits for itself.
    owner: u64,
    transaction: Weak<Core>,
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = &self.0.config.transactional_id;
        f.debug_struct("TransactionalProducer").field("transactional_id", id).finish_non_exhaustive()
    }
}

impl TransactionalProducer {
    /// Makes a producer. It connects with its first transaction, and registers its `transactional_id` then: an earlier
    /// producer of the same id is fenced by that, and what it left open is aborted.
    ///
    /// # Errors
    /// `Config` with every problem of the configuration, and without a `transactional_id`; `Unsupported` for the embedded
    /// broker, which keeps no transactions.
    pub fn new(config: ProducerConfig) -> Result<Self> {
        config.validate()?;
        if config.transactional_id.is_none() {
            let message = "transactional_id is missing: a name that no other running producer has, and that stays the same \
                           when this program starts again";
            return Err(Error::new(ErrorKind::Config, "create a producer", message));
        }
        if embedded::is_embedded(&config.bootstrap_servers) {
            return Err(client::unsupported());
        }
        // A key that is not there is told now, not by the first transaction.
        encryption::recipient(&config)?;
        let (process, patience) = (std::process::id(), config.transaction_timeout);
        let inner = Inner { config, process, patience, stand: Mutex::default(), freed: Condvar::new() };
        Ok(Self(Arc::new(inner)))
    }

    /// Begins a transaction, to be ended by [`Transaction::commit`] or [`Transaction::abort`]; dropping it aborts. Waits until
    /// an open one of another thread has ended, and for brokers where the producer has to register first.
    ///
    /// # Errors
    /// `Timeout` (retriable) when neither happened within `transaction_timeout`; `Transaction` when this thread has one open
    /// already; `Fenced` (fatal) when another producer of the same `transactional_id` has taken over; `Unsupported` for the
    /// embedded broker; `Auth`, `Stopped`, `Forked`.
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_as(own_number())
    }

    /// [`Self::begin`] for a thread of another language, which may wait here by another thread of the system.
    #[doc(hidden)]
    pub fn begin_as(&self, owner: u64) -> Result<Transaction> {
        self.0.begin(&self.0, owner, None).map(Transaction)
    }

    /// [`Self::begin`] for a handler.
    pub(super) fn begin_with(&self, side: Option<Side>) -> Result<Transaction> {
        self.0.begin(&self.0, own_number(), side).map(Transaction)
    }

    /// Whether it may begin another transaction some time.
    pub(crate) fn is_usable(&self) -> bool {
        self.0.stand.lock().ended.is_none()
    }

    /// Runs a block in a transaction: it is committed when the block returns `Ok`, and aborted when it returns an error or
    /// panics. Inside a transaction of the same producer on the same thread the block joins it: nothing is committed before
    /// the outermost one ends, and [`Transaction::give_up`] or an error that reaches it aborts the whole.
    ///
    /// # Errors
    /// The block's own error; as [`Self::begin`]; as [`Transaction::commit`].
    pub fn transaction<T, E: From<Error>>(
        &self,
        block: impl FnOnce(&Transaction) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        if let Some(open) = self.joined() {
            return block(&Transaction(open));
        }
        self.begin()?.run(block)
    }

    /// The transaction that this thread has open, for those that join it.
    #[must_use]
    pub fn current(&self) -> Option<Transaction> {
        self.joined().map(Transaction)
    }

    fn joined(&self) -> Option<Arc<Core>> {
        let stand = self.0.stand.lock();
        let open = stand.open.as_ref().filter(|open| open.owner == own_number())?;
        open.transaction.upgrade()
    }

    /// Sends a record in a transaction of its own, or in the one that this thread has open.
    ///
    /// # Errors
    /// As [`Self::transaction`] and [`Transaction::produce_async`].
    pub fn produce_sync(&self, record: &Record<'_>) -> Result<DeliveryReport> {
        let mut reports = self.produce_many_sync(std::slice::from_ref(record))?;
        reports.pop().ok_or_else(|| Error::new(ErrorKind::Internal, "produce", "a record was sent and not reported"))
    }

    /// Sends records in a transaction of their own, or in the one that this thread has open.
    ///
    /// # Errors
    /// As [`Self::transaction`] and [`Transaction::produce_async`].
    pub fn produce_many_sync(&self, records: &[Record<'_>]) -> Result<Vec<DeliveryReport>> {
        let patience = self.0.config.delivery_timeout + Duration::from_secs(5);
        self.transaction(|transaction| {
            let sent = records.iter().map(|record| transaction.produce_async(record)).collect::<Result<Vec<_>>>()?;
            sent.iter().map(|delivery| delivery.wait(patience)).collect()
        })
    }

    /// Closes the producer: waits for the open transaction of another thread, at most `transaction_timeout`, and disconnects.
    ///
    /// # Errors
    /// `Timeout` when a transaction is still open, `Forked` in a child process. Closing twice is no error.
    pub fn close(&self) -> Result<()> {
        same_process(self.0.process, "close a producer")?;
        let deadline = Instant::now() + self.0.patience;
        let mut stand = self.0.stand.lock();
        stand
            .ended
            .get_or_insert_with(|| Error::new(ErrorKind::Stopped, "begin a transaction", "the producer is closed"));
        self.0.freed.notify_all();
        while stand.open.is_some() {
            let is_late;
            (stand, is_late) = self.0.freed.wait_until(stand, deadline);
            if is_late {
                let message = "a transaction is still open; it ends without the producer";
                return Err(Error::new(ErrorKind::Timeout, "close a producer", message));
            }
        }
        let client = stand.client.take();
        drop(stand);
        if let Some(client) = client {
            client.close();
        }
        Ok(())
    }
}

impl Inner {
    fn begin(&self, shared: &Arc<Self>, owner: u64, side: Option<Side>) -> Result<Arc<Core>> {
        same_process(self.process, "begin a transaction")?;
        let deadline = Instant::now() + self.patience;
        let mut stand = self.stand.lock();
        loop {
            if let Some(error) = &stand.ended {
                return Err(error.clone());
            }
            let Some(open) = &stand.open else { break };
            if open.owner == owner {
                let message = "this thread has a transaction of this producer open: end it, or join it by a block";
                return Err(Error::new(ErrorKind::Transaction, "begin a transaction", message));
            }
            let is_late;
            (stand, is_late) = self.freed.wait_until(stand, deadline);
            if is_late {
                let message = format!("another thread has a transaction open for more than {:?}", self.patience);
                return Err(Error::new(ErrorKind::Timeout, "begin a transaction", message).retriable());
            }
        }
        stand.open = Some(Open { owner, transaction: Weak::new() });
        let client = stand.client.take();
        drop(stand);
        match self.ready(client) {
            Ok(client) => {
                let open = Begun { owner: Arc::clone(shared), client, begun: Instant::now() };
                let core = Arc::new(Core::new(Records::Open(open), side));
                self.stand.lock().open = Some(Open { owner, transaction: Arc::downgrade(&core) });
                Ok(core)
            }
            Err(error) => {
                self.release(None, fences(&error).then(|| error.clone()));
                Err(error)
            }
        }
    }

    /// A client that has begun a transaction.
    fn ready(&self, client: Option<Client>) -> Result<Client> {
        let mut kept = client;
        if kept.as_ref().is_some_and(|client| !client.is_clean()) {
            // An answer got lost: the request may still reach the coordinator, in the midst of the next transaction.
            kept.take().into_iter().for_each(Client::retire);
        }
        if let Some(client) = kept {
            match client.begin() {
                Ok(()) => return Ok(client),
                Err(error) if fences(&error) => {
                    client.retire();
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "a client of transactions is replaced");
                    client.retire();
                }
            }
        }
        let client = Client::register(&self.config)?;
        client.begin()?;
        Ok(client)
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// A client with a new epoch: what an earlier one left open is ended by that.
    pub(super) fn register(&self) -> Result<Client> {
        Client::register(&self.config)
    }

    /// The transaction has ended.
    pub(super) fn release(&self, client: Option<Client>, ended: Option<Error>) {
        let mut stand = self.stand.lock();
        stand.open = None;
        if stand.ended.is_none() {
            stand.ended = ended;
        }
        let left = match (&stand.ended, client) {
            (None, client) => {
                stand.client = client;
                None
            }
            (Some(_), client) => client,
        };
        let is_over = stand.ended.is_some();
        drop(stand);
        if is_over {
            // Nobody has a turn any more: all who wait for one are told, and so is who closes.
            self.freed.notify_all();
        } else {
            self.freed.notify_one();
        }
        left.into_iter().for_each(Client::retire);
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Whether the error of a transaction ends the producer: another one has its id. A transaction that took longer than its
    /// timeout is told the same, since the coordinator has taken the epoch away; that is no reason.
    pub(super) fn ended_by(&self, end: &End, begun: Instant) -> Option<Error> {
        let (End::Aborted(error) | End::Unknown(error)) = end else { return None };
        (fences(error) && begun.elapsed() < self.patience).then(|| error.clone())
    }
}

/// This thread's number; those of other languages lie elsewhere.
fn own_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

fn fences(error: &Error) -> bool {
    error.kind() == ErrorKind::Fenced
}

impl Drop for Inner {
    fn drop(&mut self) {
        let client = self.stand.get_mut().client.take();
        if self.process != std::process::id() {
            // The client's threads stayed in the parent.
            std::mem::forget(client);
            return;
        }
        client.into_iter().for_each(Client::retire);
    }
}
