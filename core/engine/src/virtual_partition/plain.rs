//! Calls of messages about which there is nothing to be found out: none failed before, and no option looks at one more
//! closely. That is how nearly all calls are, so what they cost is what a message costs.
//!
//! Called by [`dispatch`](crate::dispatch) and at the end of jobs, on the engine's one thread. Guarantee: what is taken here is what `make_job` would
//! take message by message, in the same order.

use crate::assignment::Assignment;
use crate::dispatch::part;
use crate::job::{Group, Part};
use crate::virtual_partition::{Index, MOST_EMPTY, Mailboxes, State, Taken};

/// How much a call takes.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Most messages.
    pub(crate) most: usize,
    /// No further virtual partition once there are so many messages.
    pub(crate) share: usize,
    /// Most virtual partitions.
    pub(crate) per_job: usize,
}

/// The lists of a call: its messages, their sequences, and its virtual partitions as the engine and the handler know them.
pub(crate) type Lists<'a, M> = (&'a mut Vec<M>, &'a mut Vec<u64>, &'a mut Vec<Part>, &'a mut Vec<Group>);

impl<M> Assignment<M> {
    /// Fills empty lists, where no option asks what a message is or has. Returns the messages' bytes.
    pub(crate) fn fill(&mut self, extent: Extent, lists: Lists<'_, M>) -> u64 {
        let takes_all = self.options.max_bytes == u64::MAX && self.unique.is_none();
        if takes_all { self.mailboxes.fill(extent, lists) } else { 0 }
    }
}

impl<M> Mailboxes<M> {
    /// Fills empty lists with ready virtual partitions, up to the first that failed before. Returns the messages' bytes.
    fn fill(&mut self, extent: Extent, lists: Lists<'_, M>) -> u64 {
        let Extent { most, share, per_job } = extent;
        let (messages, sequences, parts, groups) = lists;
        let calls = self.ready_count().min(per_job).min(most);
        parts.reserve(calls);
        let expected = if calls == 1 { self.ready_length() } else { self.ready_messages() };
        let expected = usize::try_from(expected).unwrap_or(most).min(most);
        messages.reserve(expected);
        sequences.reserve(expected);
        let (mut bytes, mut ready, mut useful, mut running) = (0, 0, 0, 0);
        let (first, second) = self.ready.as_slices();
        let mut start = 0;
        for &index in first.iter().chain(second) {
            let is_full = start >= most || (!parts.is_empty() && (parts.len() >= per_job || start >= share));
            if is_full {
                break;
            }
            let Some(Some(partition)) = self.partitions.get_mut(index as usize) else { break };
            if partition.failed {
                break;
            }
            partition.state = State::Running;
            let length = u64::from(partition.list.length());
            bytes += self.waiting.take_all(&mut partition.list, most - start, messages, sequences);
            ready += length;
            useful += length.min(self.depth);
            let left = u64::from(partition.list.length());
            if left > 0 {
                running += left.min(self.depth);
            }
            let taken = Taken { index, name: partition.name, shared: partition.shared };
            parts.push(part(taken, start, messages.len()));
            start = messages.len();
        }
        self.ready.drain(..parts.len());
        groups.extend(parts.iter().map(|part| Group {
            virtual_partition: part.name,
            start: part.start,
            len: part.len,
        }));
        self.messages -= messages.len() as u64;
        self.ready_messages -= ready;
        self.useful.ready -= useful;
        self.useful.running += running;
        bytes
    }

    /// The job of a virtual partition ended of which nothing came back, nothing waits, and nothing failed: it stays known.
    /// Whether it was so; otherwise nothing has changed.
    #[inline]
    pub(crate) fn end_empty(&mut self, index: Index) -> bool {
        let Some(Some(partition)) = self.partitions.get_mut(index as usize) else {
            return false;
        };
        let is_it = partition.list.length() == 0 && partition.shared && !partition.failed && self.empty < MOST_EMPTY;
        if is_it {
            partition.state = State::Idle;
            self.empty += 1;
        }
        is_it
    }
}
