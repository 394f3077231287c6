//! Partitions that are gone, whose consumers have not heard of it yet.
//!
//! Filled when a partition is closed, emptied when the engine owes no call about its end any more. Used by the poller only.

use super::{Partition, Poller};
use crate::context::Assignment;
use karafka_engine::AssignmentId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the jobs of a partition need when the partition is gone.
pub(super) struct Departed {
    pub(super) assignment: Arc<Assignment>,
    pub(super) route: usize,
}

impl Poller {
    /// Remembers a partition that is being closed, if calls about that are due or out.
    pub(super) fn depart(&mut self, id: AssignmentId, partition: &Partition) {
        if self.engine.owes_farewell(id) {
            let departed = Departed { assignment: Arc::clone(&partition.assignment), route: partition.route };
            self.departed.insert(id, departed);
        }
    }

    /// Marks of a partition do not count any more, though it may not be given up yet: whoever asks hears that it is revoked.
    pub(super) fn disown(&self, id: AssignmentId) {
        if let Some(partition) = self.partitions.get(&id) {
            partition.assignment.owned.store(false, Ordering::SeqCst);
        }
    }

    /// A job ended: forgets the partitions of which it was the last.
    pub(super) fn settle_departed(&mut self) {
        if !self.departed.is_empty() {
            let engine = &self.engine;
            self.departed.retain(|id, _| engine.owes_farewell(*id));
        }
    }

    /// Whom the jobs of an ownership belong to, also after its end.
    pub(super) fn owner(&self, id: AssignmentId) -> Option<(&Arc<Assignment>, usize)> {
        let present = self.partitions.get(&id).map(|partition| (&partition.assignment, partition.route));
        present.or_else(|| self.departed.get(&id).map(|departed| (&departed.assignment, departed.route)))
    }
}
