//! Messages that a handler returned from without marking them, under manual offset management.
//!
//! They are handled, so nobody gets them again in this ownership, and they are not done, so the commit does not pass them.
//! A later mark of a prefix of their virtual partition still reaches them here.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::ledger::Ledger;
use crate::partitioner::Spread;

#[derive(Debug)]
pub(crate) struct Unmarked {
    by_partition: HashMap<u64, VecDeque<u64>, Spread>,
    kept: usize,
    /// Entries may have been marked one by one; they are looked through when there are this many.
    look_through_at: usize,
}

impl Unmarked {
    pub(crate) fn new() -> Self {
        Self { by_partition: HashMap::with_hasher(Spread::default()), kept: 0, look_through_at: 1024 }
    }

    /// Remembers a message of the virtual partition `name`. Those of one virtual partition come in order.
    pub(crate) fn keep(&mut self, ledger: &Ledger, name: u64, sequence: u64) {
        self.by_partition.entry(name).or_default().push_back(sequence);
        self.kept += 1;
        if self.kept >= self.look_through_at {
            self.by_partition.retain(|_, sequences| {
                sequences.retain(|&sequence| !ledger.is_done(sequence));
                !sequences.is_empty()
            });
            self.kept = self.by_partition.values().map(VecDeque::len).sum();
            self.look_through_at = (self.kept * 2).max(1024);
        }
    }

    /// The virtual partition of which this message is kept.
    pub(crate) fn holder(&self, sequence: u64) -> Option<u64> {
        let holds = |sequences: &VecDeque<u64>| sequences.binary_search(&sequence).is_ok();
        self.by_partition.iter().find(|(_, sequences)| holds(sequences)).map(|(name, _)| *name)
    }

    /// What is kept of the virtual partition `name` before `sequence`.
    pub(crate) fn before(&self, name: u64, sequence: u64) -> impl Iterator<Item = u64> + '_ {
        let kept = self.by_partition.get(&name).into_iter().flatten().copied();
        kept.take_while(move |&kept| kept < sequence)
    }

    /// Marks everything that is kept of the virtual partition `name` before `sequence`.
    pub(crate) fn mark_before(&mut self, ledger: &mut Ledger, name: u64, sequence: u64) {
        if self.kept == 0 {
            return;
        }
        let Some(sequences) = self.by_partition.get_mut(&name) else {
            return;
        };
        while let Some(&first) = sequences.front()
            && first < sequence
        {
            ledger.mark(first);
            sequences.pop_front();
            self.kept -= 1;
        }
        if sequences.is_empty() {
            self.by_partition.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(messages: i64) -> Ledger {
        let mut ledger = Ledger::new();
        for offset in 0..messages {
            ledger.deliver(offset);
        }
        ledger
    }

    #[test]
    fn a_prefix_reaches_earlier_messages_of_its_own_virtual_partition_only() {
        let mut ledger = ledger(6);
        let mut unmarked = Unmarked::new();
        for (name, sequence) in [(1, 0), (2, 1), (1, 2), (1, 4)] {
            unmarked.keep(&ledger, name, sequence);
        }
        unmarked.mark_before(&mut ledger, 1, 3);
        let done: Vec<bool> = (0..6).map(|sequence| ledger.is_done(sequence)).collect();
        assert_eq!(done, [true, false, true, false, false, false]);
    }

    #[test]
    fn what_was_marked_by_other_means_is_forgotten() {
        // Several times what is kept; Miri is slow.
        let many = if cfg!(miri) { 3_000 } else { 100_000 };
        let mut ledger = ledger(many);
        let mut unmarked = Unmarked::new();
        for sequence in 0..many.cast_unsigned() {
            unmarked.keep(&ledger, sequence % 7, sequence);
            ledger.mark(sequence);
        }
        assert!(unmarked.kept <= 1024);
    }
}
