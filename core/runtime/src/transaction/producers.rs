//! The producers of handlers' transactions: one for each that is open at a time, kept for the next ones.
//!
//! Belongs to a subscription; used by handlers, on their threads. Each producer has a transactional id of its own, which no
//! other process has: zombies are fenced by the group's generation, which goes with the offsets.

use super::together::Held;
use super::{Core, Isolation, Transaction, TransactionalProducer};
use crate::config::ProducerConfig;
use crate::lock::Mutex;
use crate::producer::Producer;
use crate::{Error, ErrorKind, Result};
use karafka_engine::JobId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a producer rests after a transaction, where another one can be had. Brokers note the end of a transaction in its
/// partitions after they have answered; who begins the next one before that is told to come back after 20 ms.
const REST: Duration = Duration::from_millis(15);
/// Producers beyond the transactions that are open at once, so that some can rest.
const SPARE: usize = 8;

/// By default of partitions that are not shared out by a group: there is no transaction of theirs.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    config: Option<ProducerConfig>,
    /// What the names of all have in front.
    name: String,
    made: AtomicU64,
    /// Whether the brokers are known to take transactions.
    proven: AtomicBool,
    /// The one that ended its transaction first is the first.
    idle: Mutex<VecDeque<(Instant, TransactionalProducer)>>,
    open: Mutex<Vec<(JobId, Weak<Core>)>>,
    /// How many are open: marks outside of transactions cost one look at it.
    count: AtomicUsize,
    pub(crate) isolation: Isolation,
}

impl Producers {
    /// `config` is what all of them have in common; its `transactional_id` is what their names begin with.
    pub(crate) fn new(config: ProducerConfig, isolation: Isolation) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix: String = config.transactional_id.iter().flat_map(|prefix| prefix.chars()).take(128).collect();
        let name = format!("{prefix}-{}-{:x}", std::process::id(), since.as_nanos());
        Self { config: Some(config), name, isolation, ..Self::default() }
    }

    /// The transaction that a job has open.
    pub(crate) fn open_of(&self, job: JobId) -> Option<Transaction> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        // Out of the lock: the last handle of a transaction aborts it, and gives its producer back here.
        let core = {
            let open = self.open.lock();
            open.iter().filter(|(of, _)| *of == job).find_map(|(_, core)| core.upgrade())
        };
        core.map(Transaction).filter(Transaction::is_open)
    }

    /// Whether a job has a transaction that has not ended: it is open, or somebody is ending it.
    pub(crate) fn has_one_of(&self, job: JobId) -> bool {
        self.count.load(Ordering::SeqCst) > 0 && self.open.lock().iter().any(|(of, _)| *of == job)
    }

    /// A transaction of a job whose records are held back. The first one finds out whether the brokers take transactions.
    pub(super) fn hold(&self) -> Result<Held> {
        if !self.proven.load(Ordering::SeqCst) {
            let producer = self.take()?;
            let proved = producer.begin().map(drop);
            self.keep(producer);
            proved?;
            self.proven.store(true, Ordering::SeqCst);
        }
        let Some(config) = self.config.clone() else { return Err(without_group()) };
        let (begun, patience) = (Instant::now(), config.transaction_timeout);
        Ok(Held { producer: Producer::holding(ProducerConfig { transactional_id: None, ..config })?, begun, patience })
    }

    /// A producer for a transaction, to be put back.
    pub(super) fn take(&self) -> Result<TransactionalProducer> {
        let rested = self.rested();
        rested.map_or_else(|| self.make(|config| config).or_else(|error| self.idle().ok_or(error)), Ok)
    }

    /// One that has rested; where too few can, the one that ended its transaction first.
    fn rested(&self) -> Option<TransactionalProducer> {
        let enough = (self.count.load(Ordering::SeqCst) + 2).min(SPARE);
        let mut idle = self.idle.lock();
        let is_tired = idle.front().is_some_and(|(since, _)| since.elapsed() < REST);
        if is_tired && idle.len() < enough { None } else { idle.pop_front().map(|(_, producer)| producer) }
    }

    fn idle(&self) -> Option<TransactionalProducer> {
        self.idle.lock().pop_front().map(|(_, producer)| producer)
    }

    /// A producer for copies of messages that were given up, which are let through as they are: however large, and not sealed, or
    /// sealed for the topic that they came from.
    pub(crate) fn of_letters(&self) -> Result<TransactionalProducer> {
        let ProducerConfig { encryption_keys, encryption_active_key, .. } = ProducerConfig::default();
        self.make(|config| ProducerConfig {
            max_payload_bytes: 1_000_000_000,
            encryption_keys,
            encryption_active_key,
            ..config
        })
    }

    fn make(&self, change: impl FnOnce(ProducerConfig) -> ProducerConfig) -> Result<TransactionalProducer> {
        let Some(config) = self.config.clone().map(change) else {
            return Err(without_group());
        };
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let transactional_id = Some(format!("{}-{number}", self.name));
        TransactionalProducer::new(ProducerConfig { transactional_id, ..config })
    }

    /// A job has a transaction.
    pub(super) fn opened(&self, job: JobId, core: &Arc<Core>) {
        let mut open = self.open.lock();
        open.push((job, Arc::downgrade(core)));
        self.count.store(open.len(), Ordering::SeqCst);
    }

    /// Takes a producer back.
    pub(super) fn keep(&self, producer: TransactionalProducer) {
        if producer.is_usable() {
            self.idle.lock().push_back((Instant::now(), producer));
        }
    }

    /// The transaction of a job has ended, if it had begun.
    pub(super) fn closed(&self, job: JobId) {
        let mut open = self.open.lock();
        open.retain(|(of, _)| *of != job);
        self.count.store(open.len(), Ordering::SeqCst);
    }
}

fn without_group() -> Error {
    let message = "partitions of `assign` have no group by whose generation owners of the past are known; leave it to the group \
                   who reads the topic";
    Error::new(ErrorKind::Unsupported, "begin a transaction", message)
}
