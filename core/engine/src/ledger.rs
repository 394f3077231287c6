//! The ledger of one assignment of one partition: which messages were delivered, which of them are done, and which offset
//! may be committed.
//!
//! Owns no thread, lock, clock or IO: the engine calls it on whatever thread drives the partition, one call at a time,
//! and drops it with its assignment.
//!
//! Every message gets a sequence number when it is delivered; numbers start at 0 and grow by one a message. Offsets do not
//! grow by one: compaction and control records leave gaps, so continuity is always over what was delivered. The
//! *position* is the offset to commit: one beyond the last message of the longest done prefix of what was delivered.
//!
//! Guarantees:
//! - The position never passes a message that was delivered and is not done, and never decreases.
//! - Marks come in any order, repeated or for messages long passed, and change nothing but what they say.
//! - A message takes amortised constant time and, while it is at or beyond the position, at most 16 bytes: a bit and, where
//!   offsets have gaps, 8 bytes for the offset, plus block headers. Memory is given back as the position moves on.
//! - No offset, whatever its value, panics or overflows.
//!
//! The messages at or beyond the position are kept in blocks of 64, the first of which holds the first undone message.

mod block;
mod done;

use std::collections::{VecDeque, vec_deque};
use std::ops::Range;

use block::{BLOCK, Block, mask};
pub use done::DoneOffsets;

/// What a delivered offset is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To be handled; the sequence number is what [`Ledger::mark`] takes.
    New(u64),
    /// It was done beyond the committed offset in an earlier life: recorded as done, must not be handled again.
    AlreadyDone,
    /// Not above the last offset delivered: ignored, nothing is recorded.
    Duplicate,
    /// An offset this ledger cannot account for: negative, 2^63 - 1 (no position lies beyond it), or below the offset the
    /// ledger began at. Nothing is recorded. The last case means that the log was cut or the consumer was moved back, and
    /// asks for a new ledger under a new epoch: ignoring the message would lose it.
    Refused,
}

/// What a commit says of a partition, taken at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// [`Ledger::position`] of that moment.
    pub position: Option<i64>,
    /// What is done beyond the position.
    pub done: DoneOffsets,
    /// [`Ledger::version`] of that moment.
    pub version: u64,
}

/// Delivered offsets of one assignment in order, and which of them are done. See the module for what it guarantees.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Messages from `head` rounded down to a multiple of 64, to `end`.
    blocks: VecDeque<Block>,
    /// Sequence number of the first message not done; `end` when all are done.
    head: u64,
    /// The next sequence number to hand out.
    end: u64,
    /// How many messages beyond `head` are done.
    done_beyond: u64,
    position: Option<i64>,
    /// Where the ledger began: the resumed offset, else the first one delivered.
    start: i64,
    /// The lowest offset that is neither below the start nor already delivered.
    next_offset: i64,
    /// Messages that the newest block takes without being looked at, as long as offsets follow one another.
    open: u64,
    /// Done in an earlier life and not yet delivered in this one.
    resumed: VecDeque<Range<i64>>,
    version: u64,
}

impl Ledger {
    /// A ledger of a partition without a committed offset. Its position is unknown until the first delivery, and then the
    /// first delivered offset until that message is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger that goes on where a commit ended: `start` is the committed offset, `done_beyond` what the commit's
    /// metadata says is done at or beyond it. Without a committed offset, or with a negative one (which is how clients say
    /// that there is none), this is [`Ledger::new`] and `done_beyond` is left out, as it belongs to no position.
    ///
    /// Offsets in `done_beyond` that are never delivered again (compacted away since) hold nothing up.
    pub fn resume(start: Option<i64>, done_beyond: DoneOffsets) -> Self {
        let Some(start) = start.filter(|start| *start >= 0) else {
            return Self::new();
        };
        Self {
            position: Some(start),
            start,
            next_offset: start,
            resumed: done_beyond.into_queue_from(start),
            ..Self::default()
        }
    }

    /// Begins anew at `offset`, forwards or backwards: the position is there, and the next message is expected there.
    /// What was delivered before is passed: its sequence numbers are done, and marking them changes nothing.
    pub fn seek(&mut self, offset: i64) {
        let end = self.end.next_multiple_of(BLOCK);
        *self = Self {
            head: end,
            end,
            position: Some(offset),
            start: offset,
            next_offset: offset,
            version: self.version + 1,
            ..Self::default()
        };
    }

    /// Records that the message at `offset` was delivered. Offsets must come in ascending order; gaps are passed over.
    #[inline]
    pub fn deliver(&mut self, offset: i64) -> Delivery {
        if self.open > 0 && offset == self.next_offset && offset < i64::MAX && self.resumed.is_empty() {
            let seq = self.end;
            self.open -= 1;
            self.end += 1;
            self.next_offset += 1;
            return Delivery::New(seq);
        }
        self.deliver_any(offset)
    }

    fn deliver_any(&mut self, offset: i64) -> Delivery {
        if offset < self.next_offset || offset == i64::MAX {
            return self.not_recorded(offset);
        }
        let seq = self.end;
        self.append(offset, 1);
        if self.resumed.is_empty() || !self.take_resumed(offset) {
            return Delivery::New(seq);
        }
        self.record(seq..self.end);
        Delivery::AlreadyDone
    }

    /// Records `count` messages with consecutive offsets from `first_offset` at once and gives their sequence numbers, all
    /// of them new. `None` when one of them would not be [`Delivery::New`]: then nothing is recorded, and the caller
    /// delivers them one by one.
    pub fn deliver_run(&mut self, first_offset: i64, count: u32) -> Option<Range<u64>> {
        let end_offset = first_offset.checked_add(i64::from(count))?;
        if first_offset < self.next_offset {
            return None;
        }
        let first_seq = self.end;
        if count == 0 {
            return Some(first_seq..first_seq);
        }
        if !self.resumed.is_empty() {
            let next_done = self.resumed.iter().find(|run| run.end > first_offset);
            if next_done.is_some_and(|run| run.start < end_offset) {
                return None;
            }
            self.take_resumed(end_offset - 1);
        }
        let mut left = u64::from(count);
        while left > 0 {
            let fits = left.min(BLOCK - self.end % BLOCK);
            self.append(end_offset - left as i64, fits);
            left -= fits;
        }
        Some(first_seq..self.end)
    }

    /// Records that the message `seq` is done, and says whether that is news. A number not handed out yet, or passed long
    /// ago, changes nothing.
    #[inline]
    pub fn mark(&mut self, seq: u64) -> bool {
        if seq == self.head && self.mark_first() {
            return true;
        }
        self.mark_any(seq)
    }

    /// Marks the first message that is not done, if the one behind it is in the same block and not done either: so it is
    /// while a handler marks one after the other.
    #[inline]
    fn mark_first(&mut self) -> bool {
        let first = self.head % BLOCK;
        let bits = 0b11 << first;
        // At the last place the second bit falls off, and `advance` has to let go of the block.
        let Some(block) = self.blocks.front_mut().filter(|_| self.head < self.end && first + 1 < BLOCK) else {
            return false;
        };
        if block.done & bits != 0 {
            return false;
        }
        block.done |= 1 << first;
        self.position = Some(block.offset(first as usize).saturating_add(1));
        self.head += 1;
        self.version += 1;
        true
    }

    fn mark_any(&mut self, seq: u64) -> bool {
        if seq < self.head || seq >= self.end {
            return false;
        }
        let bit = 1 << (seq % BLOCK);
        let index = self.index(seq);
        let Some(block) = self.blocks.get_mut(index) else {
            return false;
        };
        if block.done & bit != 0 {
            return false;
        }
        block.done |= bit;
        self.done_beyond += 1;
        self.version += 1;
        if seq == self.head {
            self.advance();
        }
        true
    }

    /// Records that all messages of `seqs` are done, and says how many of them were not before. Parts of the range that
    /// were not handed out yet, or were passed, change nothing.
    pub fn mark_range(&mut self, seqs: Range<u64>) -> u64 {
        let newly_done = self.record(seqs);
        if newly_done > 0 {
            self.version += 1;
        }
        newly_done
    }

    /// Whether the message `seq` was delivered and is done.
    pub fn is_done(&self, seq: u64) -> bool {
        seq < self.head || self.blocks.get(self.index(seq)).is_some_and(|block| block.done >> (seq % BLOCK) & 1 == 1)
    }

    /// The offset of the message `seq`; `None` when it was not delivered yet or the position has passed it.
    pub fn offset(&self, seq: u64) -> Option<i64> {
        self.seqs().contains(&seq).then(|| self.blocks.get(self.index(seq)))?.map(|block| block.offset(place(seq)))
    }

    /// The sequence number of the message at `offset`; `None` when it was not delivered or the position has passed it.
    /// Logarithmic in the messages at or beyond the position.
    pub fn seq(&self, offset: i64) -> Option<u64> {
        let index = self.blocks.partition_point(|block| block.first() <= offset).checked_sub(1)?;
        let block_seq = (self.head / BLOCK + index as u64) * BLOCK;
        let filled = (self.end - block_seq).min(BLOCK);
        let place = self.blocks.get(index)?.place(offset, filled as usize)?;
        Some(block_seq + place as u64).filter(|seq| *seq >= self.head)
    }

    /// The offset to commit: one beyond the last message of the longest done prefix of what was delivered. While that
    /// prefix is empty: the resumed offset, or else the first delivered one, or else (nothing delivered) `None`.
    pub fn position(&self) -> Option<i64> {
        self.position
    }

    /// Sequence numbers at or beyond the position, from the first message not done to the newest one delivered.
    pub fn seqs(&self) -> Range<u64> {
        self.head..self.end
    }

    /// How many delivered messages are at or beyond the position, done or not: what a bit map of them has to hold.
    pub fn window(&self) -> u64 {
        self.end - self.head
    }

    /// How many delivered messages are not done.
    pub fn undone(&self) -> u64 {
        self.window() - self.done_beyond
    }

    /// How many delivered messages are done though one before them is not.
    pub fn done_beyond(&self) -> u64 {
        self.done_beyond
    }

    /// A number that grows whenever the position changes or a mark adds to what is done beyond it: a committer that saw the
    /// same version before has nothing to commit.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is done beyond the position, ascending: runs over delivered messages, each of which covers the gaps inside
    /// it, then what was resumed and is still to be delivered again.
    pub fn done_runs(&self) -> impl Iterator<Item = Range<i64>> + '_ {
        DoneRuns { ledger: self, seq: self.head, resumed: self.resumed.iter() }
    }

    /// Position, what is done beyond it and the version in one value.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { position: self.position, done: self.done_runs().collect(), version: self.version }
    }

    /// Heap memory the ledger holds, in bytes.
    pub fn memory(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
            + self.blocks.iter().map(Block::memory).sum::<usize>()
            + self.resumed.capacity() * size_of::<Range<i64>>()
    }

    #[cold]
    fn not_recorded(&self, offset: i64) -> Delivery {
        if offset < self.start || offset < 0 || offset == i64::MAX { Delivery::Refused } else { Delivery::Duplicate }
    }

    /// Appends `count` messages with consecutive offsets, as many as fit into the newest block.
    fn append(&mut self, offset: i64, count: u64) {
        if self.position.is_none() {
            self.position = Some(offset);
            self.start = offset;
            self.version += 1;
        }
        let mut consecutive = true;
        match self.blocks.back_mut() {
            Some(block) if !self.end.is_multiple_of(BLOCK) => {
                block.append(place(self.end), offset, count as usize);
                consecutive = block.is_consecutive();
            }
            _ => self.blocks.push_back(Block::starting_at(offset)),
        }
        self.end += count;
        self.open = if consecutive { (BLOCK - self.end % BLOCK) % BLOCK } else { 0 };
        self.next_offset = offset + count as i64;
    }

    /// Whether `offset` was resumed as done. Forgets all that was resumed up to it, as delivery has passed it.
    fn take_resumed(&mut self, offset: i64) -> bool {
        while let Some(run) = self.resumed.front_mut() {
            if run.end > offset {
                let done = run.start <= offset;
                if done {
                    run.start = offset + 1;
                    if run.is_empty() {
                        self.resumed.pop_front();
                    }
                }
                self.release_resumed();
                return done;
            }
            self.resumed.pop_front();
        }
        self.release_resumed();
        false
    }

    fn release_resumed(&mut self) {
        if self.resumed.is_empty() {
            self.resumed = VecDeque::new();
        }
    }

    fn record(&mut self, seqs: Range<u64>) -> u64 {
        let (mut seq, end) = (seqs.start.max(self.head), seqs.end.min(self.end));
        let mut newly_done = 0;
        while seq < end {
            let block_end = (seq / BLOCK + 1) * BLOCK;
            let wanted = mask(seq % BLOCK, BLOCK.min(end - (block_end - BLOCK)));
            let index = self.index(seq);
            let Some(block) = self.blocks.get_mut(index) else { break };
            newly_done += u64::from((wanted & !block.done).count_ones());
            block.done |= wanted;
            seq = block_end;
        }
        self.done_beyond += newly_done;
        if newly_done > 0 {
            self.advance();
        }
        newly_done
    }

    /// Moves the head over what is done and lets go of the blocks it leaves.
    fn advance(&mut self) {
        let mut left = false;
        while let Some(block) = self.blocks.front() {
            let first = self.head % BLOCK;
            let done = u64::from((block.done >> first).trailing_ones());
            if done == 0 {
                break;
            }
            self.position = Some(block.offset(place(self.head + done - 1)).saturating_add(1));
            self.head += done;
            self.done_beyond -= done;
            self.version += 1;
            if first + done < BLOCK {
                break;
            }
            self.blocks.pop_front();
            left = true;
        }
        if left && self.blocks.capacity() > 16 && self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(self.blocks.len() * 2);
        }
    }

    /// The index of the block of `seq`, which must not be below the head.
    fn index(&self, seq: u64) -> usize {
        usize::try_from(seq / BLOCK - self.head / BLOCK).unwrap_or(usize::MAX)
    }

    /// The first sequence number from `seq` on whose message is done (or is not), or `end`.
    fn find(&self, seq: u64, done: bool) -> u64 {
        let mut hidden = mask(0, seq % BLOCK);
        let first_index = self.index(seq);
        let base = seq - seq % BLOCK;
        for (step, block) in self.blocks.range(first_index.min(self.blocks.len())..).enumerate() {
            let bits = (if done { block.done } else { !block.done }) & !hidden;
            if bits != 0 {
                return (base + step as u64 * BLOCK + u64::from(bits.trailing_zeros())).min(self.end);
            }
            hidden = 0;
        }
        self.end
    }
}

fn place(seq: u64) -> usize {
    (seq % BLOCK) as usize
}

/// The iterator of [`Ledger::done_runs`].
struct DoneRuns<'a> {
    ledger: &'a Ledger,
    seq: u64,
    resumed: vec_deque::Iter<'a, Range<i64>>,
}

impl Iterator for DoneRuns<'_> {
    type Item = Range<i64>;

    fn next(&mut self) -> Option<Range<i64>> {
        let first = self.ledger.find(self.seq, true);
        if first >= self.ledger.end {
            self.seq = first;
            return self.resumed.next().cloned();
        }
        self.seq = self.ledger.find(first, false);
        Some(self.ledger.offset(first)?..self.ledger.offset(self.seq - 1)?.saturating_add(1))
    }
}
