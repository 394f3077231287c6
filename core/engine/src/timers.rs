//! What is due when: back-offs, lingers, pauses and deadlines.
//!
//! A timer is never cancelled. It names an assignment by its id, which dies with the assignment, and whoever handles it
//! looks whether what it was set for still waits; so a timer too many costs one look.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::assignment::{AssignmentId, TopicId};
use crate::instant::Instant;
use crate::virtual_partition::Index;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A back-off or linger of a virtual partition ends.
    VirtualPartition(AssignmentId, Index),
    /// A tick may be due.
    Periodic(AssignmentId),
    /// The user's pause ends.
    Pause(AssignmentId),
    /// A policy may let messages pass.
    Intake(AssignmentId),
    /// A partition that is being given up has a deadline or a commit to send again.
    Life(AssignmentId),
    /// A dead letter that could not be sent is to be sent again.
    Letter(AssignmentId),
    /// Transactions of a topic waited long enough for others to commit with.
    Sharing(TopicId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, due: Instant, timer: Timer) {
        if due < Instant::NEVER {
            self.heap.push(Reverse((due, timer)));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_of_time_and_not_early() {
        let mut timers = Timers::default();
        let id = AssignmentId::default();
        for nanoseconds in [30, 10, 20] {
            timers.set(Instant::from_nanos(nanoseconds), Timer::VirtualPartition(id, nanoseconds as Index));
        }
        timers.set(Instant::NEVER, Timer::Pause(id));
        assert_eq!(timers.next(), Some(Instant::from_nanos(10)));
        assert_eq!(timers.take_due(Instant::from_nanos(9)), None);
        assert_eq!(timers.take_due(Instant::from_nanos(25)), Some(Timer::VirtualPartition(id, 10)));
        assert_eq!(timers.take_due(Instant::from_nanos(25)), Some(Timer::VirtualPartition(id, 20)));
        assert_eq!(timers.take_due(Instant::from_nanos(25)), None);
        assert_eq!(timers.take_due(Instant::NEVER), Some(Timer::VirtualPartition(id, 30)));
        assert_eq!(timers.next(), None);
    }
}
