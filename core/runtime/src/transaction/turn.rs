//! Whose turn it is to commit offsets of a partition in a transaction.
//!
//! Asked for and waited for on the thread of who has the transaction; given by the poller, on its own. Guarantee: the engine is
//! told the end of every turn, once, also of one that nobody takes.

use crate::context::Assignment;
use crate::event::Phase;
use crate::native::{Cluster, PartitionOffset};
use crate::report::Report;
use crate::shared::Shared;
use crate::{Error, ErrorKind};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use karafka_engine::TransactionId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// It is a transaction's turn to commit, with these offsets.
pub(crate) struct Turn {
    pub(crate) shared: Arc<Shared>,
    /// What belongs to one member stands together.
    pub(crate) parts: Vec<Part>,
    pub(crate) committed: bool,
}

/// What a turn has of one partition.
pub(crate) struct Part {
    pub(crate) owner: Arc<Assignment>,
    pub(crate) transaction: TransactionId,
    pub(crate) offset: PartitionOffset,
    /// Nothing that was committed before is the same.
    pub(crate) is_distinct: bool,
    /// The member of the group that owns it, by its number and by its client.
    pub(crate) member: usize,
    pub(crate) cluster: Cluster,
}

impl Part {
    pub(super) fn is_owned(&self) -> bool {
        self.owner.owned.load(Ordering::SeqCst)
    }
}

impl Turn {
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
        for part in &self.parts {
            let (assignment, transaction, committed) = (part.owner.id, part.transaction, self.committed);
            self.shared.report(Report::TransactionEnded { assignment, transaction, committed });
        }
        self.shared.waker.wake();
    }
}

/// Asks for a turn and waits until it comes.
pub(super) fn take(
    shared: &Shared,
    patience: Duration,
    report: impl FnOnce(Sender<Turn>) -> Report,
) -> Result<Turn, RecvTimeoutError> {
    let (turn, answer) = bounded(1);
    shared.report(report(turn));
    shared.waker.wake();
    if shared.phase() == Phase::Stopped {
        // A poller that has ended reads nothing any more.
        shared.refuse_reports();
    }
    answer.recv_timeout(patience)
}

/// What is said when it did not come in time.
pub(super) fn too_late(patience: Duration) -> Error {
    let message = format!("other transactions of the partition took more than {patience:?}");
    Error::new(ErrorKind::Timeout, super::COMMIT, message).retriable()
}
