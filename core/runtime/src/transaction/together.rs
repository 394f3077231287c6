//! A handler's transaction that commits together with those of other calls: `transaction_max_messages`.
//!
//! Used on the handlers' threads. A block that returns waits for its turn; who leads the turn sends the records of all who have
//! it, commits them in one transaction of a producer of the pool, and tells the others. Guarantees: what a block produced is sent
//! only once it has returned, so one that fails harms no other; where the common transaction is aborted, each tries it once more
//! alone, so that whoever is the reason fails alone.

use super::handler::{Marks, Side, overdue};
use super::turn::{self, Ask, Turn, Word};
use crate::Result;
use crate::producer::{Kept, Producer};
use crate::report::Report;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a block has produced, until it ends.
pub(super) struct Held {
    pub(super) producer: Producer,
    pub(super) begun: Instant,
    /// How long it may take.
    pub(super) patience: Duration,
}

impl Held {
    /// Nothing of it was sent.
    pub(super) fn abort(self) {
        self.producer.take_kept().tell(false);
    }
}

impl Side {
    /// Commits what was held back with the offsets of what was marked, perhaps together with others.
    pub(super) fn commit_together(&self, held: &Held) -> Result<()> {
        let kept = Arc::new(held.producer.take_kept());
        let ended = self.try_together(&kept, held);
        kept.tell(ended.is_ok());
        ended
    }

    fn try_together(&self, kept: &Arc<Kept>, held: &Held) -> Result<()> {
        let (marks, refused) = self.take_marks();
        if let Some(error) = refused.or_else(|| overdue(held.begun, held.patience)) {
            return Err(error);
        }
        if marks.records.is_empty() {
            return self.send(kept, &[], None);
        }
        match self.take_part(kept, marks.clone(), held.patience, false) {
            (Err(error), true) if overdue(held.begun, held.patience).is_none() => {
                tracing::debug!(%error, "transactions that were to commit together try it alone");
                self.take_part(kept, marks, held.patience, true).0
            }
            (ended, _) => ended,
        }
    }

    /// Waits for the turn; how it ended, and whether others had it, too.
    fn take_part(&self, kept: &Arc<Kept>, marks: Marks, patience: Duration, alone: bool) -> (Result<()>, bool) {
        let context = self.context();
        let ask = |ask: Ask| Report::Transaction { job: context.job, marks, alone, ask };
        match turn::take(&context.shared, patience, Some(Arc::clone(kept)), ask) {
            Ok(Word::Turn(mut turn)) => {
                let is_shared = !turn.others.is_empty();
                let others: Vec<Arc<Kept>> = turn.others.iter().map(|other| Arc::clone(&other.kept)).collect();
                let ended = self.send(kept, &others, Some(&mut turn));
                drop(others);
                turn.failure = ended.as_ref().err().cloned();
                (ended, is_shared)
            }
            Ok(Word::Ended(ended)) => (ended, true),
            Err(unanswered) => (Err(self.not_taken(unanswered, patience)), false),
        }
    }

    /// Sends the records of all in one transaction, and commits it with the offsets of the turn, if it has one.
    fn send(&self, own: &Kept, others: &[Arc<Kept>], turn: Option<&mut Turn>) -> Result<()> {
        let pool = &self.context().assignment.transactions;
        if let Some(turn) = &turn
            && !turn.is_owned()
        {
            return Err(turn.lost());
        }
        let producer = pool.take()?;
        let send = || {
            let transaction = producer.begin()?;
            let sends = transaction.producer()?;
            for kept in std::iter::once(own).chain(others.iter().map(Arc::as_ref)) {
                kept.send(&sends)?;
            }
            let Some(open) = transaction.take_open() else { return Err(super::over(super::COMMIT)) };
            match turn {
                None => open.commit(),
                // The offsets go out beside the records: the commit waits for both.
                Some(turn) => open.commit_with(turn),
            }
        };
        let ended = send();
        // After a refused record librdkafka's client may count its records wrong ("skipped sequence numbers"): whoever tries it again
        // takes another one.
        if ended.is_ok() {
            pool.keep(producer);
        }
        ended
    }
}
