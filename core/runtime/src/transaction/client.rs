//! The producer behind transactions: one client at a time under one transactional id, replaced when nobody can be sure of it.
//!
//! Used by whoever has its one open transaction, on any thread that may wait. Guarantees: a transaction is begun only by a
//! client all of whose earlier requests were answered; otherwise the client is given up first, and the next one registers
//! anew, which gives it an epoch of its own: what the earlier one left on its way changes nothing any more.

use super::ending::{Call, Next, is_unknown, next};
use crate::config::ProducerConfig;
use crate::embedded;
use crate::native::{Counted, Ended, NativeProducer, Trouble};
use crate::producer::Producer;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The longest single wait for a broker inside a call that is repeated.
const SLICE: Duration = Duration::from_secs(5);
/// Between two calls of which the first failed at once.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is given up may report what it had on its way.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a transaction ended.
#[derive(Debug)]
pub(crate) enum End {
    Committed,
    /// Nothing of it will ever be visible.
    Aborted(Error),
    /// Nobody knows yet.
    Unknown(Error),
}

/// A client with its transactional id.
pub(crate) struct Client {
    producer: Producer,
    native: Arc<NativeProducer>,
    counted: Arc<Counted>,
    timeout: Duration,
}

impl Client {
    /// Makes a client and registers it: a producer of the same id is fenced by that, and what it left open is aborted.
    /// Waits for brokers.
    pub(crate) fn register(config: &ProducerConfig) -> Result<Self> {
        let timeout = config.transaction_timeout;
        let producer = Producer::open(ProducerConfig { close_timeout: FAREWELL, ..config.clone() })?;
        let native = producer.native()?;
        let client = Self { producer, counted: native.counted(), native, timeout };
        let deadline = Instant::now() + timeout;
        let registered = client.repeat(Call::Step, deadline, NativeProducer::init_transactions);
        registered.map_err(|(_, error)| {
            error.with("transactional_id", config.transactional_id.as_deref().unwrap_or_default())
        })?;
        // They have answered, and told it with their first answer: whoever waits here waits for nothing that is not coming.
        let cluster = client.native.cluster_id(deadline.saturating_duration_since(Instant::now()).max(SLICE));
        if cluster.is_some_and(|id| id.starts_with(embedded::CLUSTER)) {
            return Err(unsupported());
        }
        Ok(client)
    }

    /// Whether every request of earlier transactions was answered.
    pub(crate) fn is_clean(&self) -> bool {
        !self.counted.has_unanswered()
    }

    pub(crate) fn producer(&self) -> &Producer {
        &self.producer
    }

    pub(crate) fn native(&self) -> &Arc<NativeProducer> {
        &self.native
    }

    /// A call that ends nothing, such as adding offsets; after an error the transaction has to be aborted.
    pub(crate) fn step(&self, deadline: Instant, call: impl Fn(&NativeProducer, Duration) -> Ended) -> Result<()> {
        self.repeat(Call::Step, deadline, call).map_err(|(_, error)| error)
    }

    /// Waits until what was produced is acknowledged or given up, which fails the commit.
    pub(crate) fn flush(&self) {
        self.native.flush(self.timeout);
    }

    pub(crate) fn begin(&self) -> Result<()> {
        self.native.begin_transaction().map_err(|(_, error)| error)
    }

    /// Commits. Gives the client back where it may be used again.
    pub(crate) fn commit(self) -> (End, Option<Self>) {
        let deadline = Instant::now() + self.timeout;
        let counted = Arc::clone(&self.counted);
        let before = counted.ends_sent();
        match self.repeat(Call::Commit, deadline, NativeProducer::commit_transaction) {
            Ok(()) => (End::Committed, Some(self)),
            Err((Next::Abort, error)) if counted.ends_sent() == before => (End::Aborted(error), self.abort()),
            Err((_, error)) => {
                self.give_up();
                // The client has ended: nothing is sent any more.
                let sent = counted.ends_sent() - before;
                let unknown = is_unknown(sent, counted.has_unanswered_end(), error.kind() == ErrorKind::Fenced);
                (if unknown { End::Unknown(error) } else { End::Aborted(error) }, None)
            }
        }
    }

    /// Aborts. Nothing of the transaction will be visible in any case: where the abort cannot be said to the brokers, the
    /// next client that registers, or the transaction's timeout, has the same effect.
    pub(crate) fn abort(self) -> Option<Self> {
        let deadline = Instant::now() + self.timeout;
        match self.repeat(Call::Abort, deadline, NativeProducer::abort_transaction) {
            // After a refused record librdkafka counts the records of its next transactions wrong: "skipped sequence numbers".
            Ok(()) if self.producer.refused() > 0 => {
                self.retire();
                None
            }
            Ok(()) => Some(self),
            Err((_, error)) => {
                tracing::warn!(%error, "a transaction could not be aborted; the next one begins with a new epoch");
                self.retire();
                None
            }
        }
    }

    fn repeat(
        &self,
        kind: Call,
        deadline: Instant,
        call: impl Fn(&NativeProducer, Duration) -> Ended,
    ) -> std::result::Result<(), (Next, Error)> {
        loop {
            let began = Instant::now();
            let left = deadline.saturating_duration_since(began).min(SLICE);
            let Err((trouble, error)) = call(&self.native, left) else { return Ok(()) };
            let next = next(kind, trouble, Instant::now() >= deadline);
            if next != Next::Again {
                return Err((next, self.sorted(trouble, error)));
            }
            if began.elapsed() < PAUSE {
                thread::park_timeout(PAUSE);
            }
        }
    }

    /// The error as callers see it: what they may try again, and what has become of the producer.
    fn sorted(&self, trouble: Trouble, error: Error) -> Error {
        match (trouble, self.native.fatal_error()) {
            (_, Some((code, text))) => {
                let kind = match crate::native::kind_of(code) {
                    ErrorKind::Broker => ErrorKind::Transaction,
                    kind => kind,
                };
                let found = Error::new(kind, error.operation(), text).kafka_code(code);
                if kind == ErrorKind::Fenced { found.fatal() } else { found.retriable() }
            }
            (Trouble::Abortable | Trouble::Retriable, None) => error.retriable(),
            (Trouble::Fatal | Trouble::Refused, None) => error,
        }
    }

    /// Disconnects between transactions, and returns when that is done.
    pub(crate) fn close(self) {
        self.give_up();
    }

    /// Ends the client, and returns when it has ended.
    fn give_up(self) {
        self.native.purge();
        if let Err(error) = self.producer.close() {
            tracing::debug!(%error, "a client of transactions was given up");
        }
    }

    /// Ends the client meanwhile.
    pub(crate) fn retire(self) {
        let spawned = thread::Builder::new().name("karafka-close".to_owned()).spawn(move || self.give_up());
        if let Err(error) = spawned {
            tracing::warn!(%error, "a client of transactions could not be ended");
        }
    }
}

/// What the embedded broker is refused with.
pub(crate) fn unsupported() -> Error {
    let message = "the embedded broker keeps no transactions: it would take them and forget that they are; use a Kafka";
    Error::new(ErrorKind::Unsupported, "begin a transaction", message)
}
