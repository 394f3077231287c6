//! Whose turn it is to commit offsets of a partition in a transaction.
//!
//! Asked for and waited for on the thread of who has the transaction; given by the poller, on its own. Guarantees: the engine is
//! told the end of every turn, once, also of one that nobody takes, and then those who shared it; who has stopped waiting has no
//! turn.

use crate::context::Assignment;
use crate::event::Phase;
use crate::native::{Cluster, PartitionOffset};
use crate::producer::Kept;
use crate::report::Report;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use karafka_engine::{TransactionEnd, TransactionId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// It is a transaction's turn to commit, with these offsets.
pub(crate) struct Turn {
    pub(crate) shared: Arc<Shared>,
    /// All of one member of the group.
    pub(crate) parts: Vec<Part>,
    /// That member.
    pub(crate) cluster: Cluster,
    /// Whose records go along with those of who leads it.
    pub(crate) others: Vec<Other>,
    /// [`TransactionEnd::Aborted`] until somebody knows better.
    pub(crate) end: TransactionEnd,
    /// Why it was not committed.
    pub(crate) failure: Option<Error>,
}

/// Somebody who wants a turn.
pub(crate) struct Ask {
    answer: Sender<Word>,
    /// What to send, where that may go with others.
    kept: Option<Arc<Kept>>,
    state: Arc<AtomicU8>,
}

/// What he is told.
pub(crate) enum Word {
    /// Lead it.
    Turn(Turn),
    /// Another one led it, and it ended so.
    Ended(Result<()>),
}

/// Somebody who shares a turn that another one leads.
pub(crate) struct Other {
    answer: Sender<Word>,
    pub(crate) kept: Arc<Kept>,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const GONE: u8 = 2;

impl Ask {
    /// Whether he still waits; from here on he does until he is answered.
    pub(crate) fn claim(&self) -> bool {
        self.state.compare_exchange(WAITING, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(crate) fn lead(self, turn: Turn) {
        // Where nobody waits any more, the turn ends by being dropped.
        let _ = self.answer.send(Word::Turn(turn));
    }

    /// Somebody who was to have the same turn has gone.
    pub(crate) fn give_up(self) {
        let _ = self.answer.send(Word::Ended(Err(given_up())));
    }

    /// `None` for one who shares nothing.
    pub(crate) fn share(self) -> Option<Other> {
        Some(Other { answer: self.answer, kept: self.kept? })
    }
}

/// Why a turn did not come.
#[derive(Clone, Copy)]
pub(super) enum Unanswered {
    Late,
    /// Nothing of the partition counts here any more.
    Refused,
}

/// What a turn has of one partition.
pub(crate) struct Part {
    pub(crate) owner: Arc<Assignment>,
    pub(crate) transaction: TransactionId,
    pub(crate) offset: PartitionOffset,
    /// Nothing that was committed before is the same.
    pub(crate) is_distinct: bool,
}

impl Part {
    pub(super) fn is_owned(&self) -> bool {
        self.owner.owned.load(Ordering::SeqCst)
    }
}

impl Turn {
    pub(super) fn is_owned(&self) -> bool {
        self.parts.iter().all(Part::is_owned)
    }

    /// What whoever commits is told when a partition went meanwhile.
    pub(super) fn lost(&self) -> Error {
        let lost = self.parts.iter().find(|part| !part.is_owned()).or(self.parts.first());
        let error = Error::new(ErrorKind::NotOwned, super::COMMIT, LOST);
        match lost {
            Some(part) => error.with("topic", &part.owner.topic).with("partition", part.owner.partition),
            None => error,
        }
    }
}

pub(super) const LOST: &str = "the partition went to another member; nothing of this transaction counts";

impl Drop for Turn {
    fn drop(&mut self) {
        let ended = self.parts.iter().map(|part| (part.owner.id, part.transaction)).collect();
        self.shared.report(Report::TransactionEnded { ended, end: self.end });
        self.shared.waker.wake();
        for Other { answer, kept } in self.others.drain(..) {
            drop(kept);
            let failure = || self.failure.clone().unwrap_or_else(given_up);
            // He waits: he was claimed.
            let _ =
                answer.send(Word::Ended(if self.end == TransactionEnd::Committed { Ok(()) } else { Err(failure()) }));
        }
    }
}

/// What is said where somebody who was to have the same turn has gone.
fn given_up() -> Error {
    let message = "it was to commit with a transaction that gave up";
    Error::new(ErrorKind::Transaction, super::COMMIT, message).retriable()
}

/// Asks for a turn and waits until it comes, or until another one has led it. `kept` is what may go with others.
pub(super) fn take(
    shared: &Shared,
    patience: Duration,
    kept: Option<Arc<Kept>>,
    report: impl FnOnce(Ask) -> Report,
) -> std::result::Result<Word, Unanswered> {
    let (answer, answered) = bounded(1);
    let state = Arc::new(AtomicU8::new(WAITING));
    shared.report(report(Ask { answer, kept, state: Arc::clone(&state) }));
    shared.waker.wake();
    if shared.phase() == Phase::Stopped {
        // A poller that has ended reads nothing any more.
        shared.refuse_reports();
    }
    match answered.recv_timeout(patience) {
        Ok(word) => Ok(word),
        Err(RecvTimeoutError::Disconnected) => Err(Unanswered::Refused),
        Err(RecvTimeoutError::Timeout) => {
            if state.compare_exchange(WAITING, GONE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return Err(Unanswered::Late);
            }
            // Who was taken along is told the end.
            answered.recv().map_err(|_| Unanswered::Refused)
        }
    }
}

/// What is said when it did not come in time.
pub(super) fn too_late(patience: Duration) -> Error {
    let message = format!("other transactions of the partition took more than {patience:?}");
    Error::new(ErrorKind::Timeout, super::COMMIT, message).retriable()
}
