//! Sets of done offsets as ascending runs: what travels from a ledger through the commit's metadata into the ledger of
//! the next owner. A plain value, used by the ledger and the metadata codec on whatever thread drives the engine.
//! Guarantees that its runs are ascending, not empty, not negative and never touch each other.

use std::collections::VecDeque;
use std::ops::Range;

/// Offsets that are done, as ascending runs that are neither empty nor adjacent.
///
/// Collecting runs in any order, overlapping or not, gives the set of their union; negative offsets and empty runs are
/// left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoneOffsets {
    runs: Vec<Range<i64>>,
}

impl DoneOffsets {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no offset is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, ascending; the end of each is exclusive.
    pub fn runs(&self) -> &[Range<i64>] {
        &self.runs
    }

    /// Whether `offset` is in the set. Logarithmic in the number of runs.
    pub fn contains(&self, offset: i64) -> bool {
        let index = self.runs.partition_point(|run| run.end <= offset);
        self.runs.get(index).is_some_and(|run| run.start <= offset)
    }

    /// The set of runs that are known to be what this type guarantees, without a second copy of them.
    pub(crate) fn from_ascending(runs: Vec<Range<i64>>) -> Self {
        Self { runs }
    }

    /// The set without the offsets below `start`, ready to be taken from its front.
    pub(crate) fn into_queue_from(self, start: i64) -> VecDeque<Range<i64>> {
        let mut queue = VecDeque::from(self.runs);
        while queue.front().is_some_and(|run| run.end <= start) {
            queue.pop_front();
        }
        if let Some(run) = queue.front_mut() {
            run.start = run.start.max(start);
        }
        queue
    }

    fn push(&mut self, run: Range<i64>) {
        match self.runs.last_mut() {
            Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
            _ => self.runs.push(run),
        }
    }
}

impl FromIterator<Range<i64>> for DoneOffsets {
    fn from_iter<I: IntoIterator<Item = Range<i64>>>(runs: I) -> Self {
        let usable = runs.into_iter().map(|run| run.start.max(0)..run.end).filter(|run| !run.is_empty());
        let mut set = Self::new();
        let mut ascending = true;
        for run in usable {
            match set.runs.last() {
                Some(last) if run.start < last.start => {
                    ascending = false;
                    set.runs.push(run);
                }
                _ if ascending => set.push(run),
                _ => set.runs.push(run),
            }
        }
        if !ascending {
            let mut runs = std::mem::take(&mut set.runs);
            runs.sort_unstable_by_key(|run| run.start);
            for run in runs {
                set.push(run);
            }
        }
        set
    }
}
