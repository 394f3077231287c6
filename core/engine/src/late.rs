//! Marks of messages whose call has ended: what a handler gathered, and a later call or hook writes away.
//!
//! Called by the driver on the engine's one thread, when the job of a message is not there any more. Guarantees: a mark counts
//! in the ownership and era that its message was handed out in, and in no other.

use crate::assignment::AssignmentId;
use crate::engine::Engine;
use crate::job::Extent;
use crate::record::Record;

impl<M: Record> Engine<M> {
    /// Marks the message at `offset`, and for [`Extent::Prefix`] all that handlers returned from unmarked before it in its
    /// virtual partition; a text is stored with it. `era` is that of the job that it was handed out with. Returns whether the
    /// partition is still owned. An offset that was never delivered changes nothing.
    pub fn mark_late(&mut self, id: AssignmentId, era: u32, offset: i64, extent: Extent, text: Option<String>) -> bool {
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.marks_count()) else {
            return false;
        };
        let Some(sequence) = assignment.ledger.seq(offset).filter(|_| assignment.era == era) else {
            return true;
        };
        if extent == Extent::Prefix
            && let Some(name) = assignment.unmarked.holder(sequence)
        {
            assignment.unmarked.mark_before(&mut assignment.ledger, name, sequence);
        }
        assignment.ledger.mark(sequence);
        if let Some(text) = text {
            assignment.commits.texts.give(&assignment.ledger, sequence, text);
        }
        self.schedule_commit(id);
        true
    }
}
