//! What an assignment remembers of failures: how often each message failed, and which of those that wait may be to blame.
//!
//! Owned by the mailboxes of one assignment, used by the engine's one thread, and gone with the assignment, so that no
//! count outlives an ownership. Holds something for messages that failed and are not done, and for their virtual
//! partitions, and for nothing else.

use hashbrown::HashMap;

use crate::partitioner::Spread;
use crate::virtual_partition::Index;

/// A virtual partition that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// How many messages at its front came back from a job: they may have been marked since.
    pub(crate) returned: u32,
    /// How many of these failed together, so that one of them is to blame.
    pub(crate) suspects: u32,
    /// Whether one of those that came back failed: a pause of the user's gives messages back, too.
    pub(crate) failed: bool,
    /// How often the counting started again.
    streak: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    times: u32,
    streak: u32,
}

#[derive(Debug)]
pub(crate) struct Troubles {
    by_partition: HashMap<u64, Trouble, Spread>,
    /// By the ledger's sequence.
    failures: HashMap<u64, Failures, Spread>,
}

impl Troubles {
    pub(crate) fn new() -> Self {
        Self {
            by_partition: HashMap::with_hasher(Spread::default()),
            failures: HashMap::with_hasher(Spread::default()),
        }
    }

    pub(crate) fn of(&self, index: Index) -> Trouble {
        self.by_partition.get(&u64::from(index)).copied().unwrap_or_default()
    }

    /// `count` messages left the front of a virtual partition.
    pub(crate) fn took(&mut self, index: Index, count: u32) {
        if let Some(trouble) = self.by_partition.get_mut(&u64::from(index)) {
            trouble.returned = trouble.returned.saturating_sub(count);
            trouble.suspects = trouble.suspects.saturating_sub(count);
        }
    }

    /// `count` messages came back to the front, where from now on the first `suspects` are suspected.
    pub(crate) fn came_back(&mut self, index: Index, count: u32, suspects: u32, failed: bool) {
        let trouble = self.by_partition.entry(u64::from(index)).or_default();
        trouble.returned += count;
        trouble.failed |= failed;
        trouble.suspects = suspects.min(trouble.returned);
    }

    /// A virtual partition's job ended and nothing came back. Returns whether it is in trouble still.
    pub(crate) fn passed(&mut self, index: Index) -> bool {
        let index = u64::from(index);
        let remains = self.by_partition.get(&index).is_some_and(|trouble| trouble.returned > 0);
        if !remains {
            self.by_partition.remove(&index);
        }
        remains
    }

    /// The failures of a virtual partition's messages are counted from nothing again.
    pub(crate) fn reset(&mut self, index: Index) {
        if let Some(trouble) = self.by_partition.get_mut(&u64::from(index)) {
            trouble.streak = trouble.streak.wrapping_add(1);
        }
    }

    /// Counts a failure of a message; returns how often it failed now.
    pub(crate) fn count(&mut self, index: Index, sequence: u64) -> u32 {
        let times = self.failures(index, sequence).saturating_add(1);
        let streak = self.of(index).streak;
        self.failures.insert(sequence, Failures { times, streak });
        times
    }

    /// How often a message failed.
    pub(crate) fn failures(&self, index: Index, sequence: u64) -> u32 {
        let streak = || self.of(index).streak;
        self.failures.get(&sequence).filter(|failures| failures.streak == streak()).map_or(0, |failures| failures.times)
    }

    /// Whether any message has failed.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Messages will not come again.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.failures.remove(&sequence);
    }

    /// How much is remembered, in entries.
    pub(crate) fn len(&self) -> usize {
        self.by_partition.len() + self.failures.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_starts_the_counting_again() {
        let mut troubles = Troubles::new();
        troubles.came_back(3, 2, 2, true);
        assert_eq!((troubles.count(3, 7), troubles.count(3, 7), troubles.count(3, 8)), (1, 2, 1));
        troubles.reset(3);
        assert_eq!((troubles.failures(3, 7), troubles.count(3, 7)), (0, 1));
    }

    #[test]
    fn nothing_is_kept_of_what_is_through() {
        let mut troubles = Troubles::new();
        troubles.came_back(3, 2, 1, true);
        troubles.count(3, 7);
        troubles.took(3, 1);
        assert!(troubles.passed(3));
        troubles.took(3, 1);
        assert!(!troubles.passed(3));
        troubles.forget(7);
        assert_eq!(troubles.len(), 0);
    }
}
