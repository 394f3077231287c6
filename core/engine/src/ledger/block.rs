//! Sixty-four delivered messages: their offsets and which of them are done. Only the ledger uses it.
//!
//! A block of consecutive offsets stores its first offset alone (24 bytes for 64 messages). The first gap inside a block
//! writes all its offsets out (8 bytes a message more), which keeps finding an offset by its place free of any search.

/// How many messages a block holds: as many as there are bits in a word.
pub(super) const BLOCK: u64 = u64::BITS as u64;

const LENGTH: usize = u64::BITS as usize;

/// Places 0 to 63; which of them are filled is known to the ledger, as only its newest block is not full.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Bit n is set when the message at place n is done.
    pub(super) done: u64,
    first: i64,
    written_out: Option<Box<[i64; LENGTH]>>,
}

impl Block {
    /// A block whose place 0 has `offset`, with room for consecutive offsets after it.
    pub(super) fn starting_at(offset: i64) -> Self {
        Self { done: 0, first: offset, written_out: None }
    }

    /// The offset at `place`; of any use only for a place that was filled.
    pub(super) fn offset(&self, place: usize) -> i64 {
        match &self.written_out {
            Some(offsets) => offsets[place % LENGTH],
            None => self.first.saturating_add(place as i64),
        }
    }

    /// The first offset of the block.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The place of `offset` among the first `filled` places.
    pub(super) fn place(&self, offset: i64, filled: usize) -> Option<usize> {
        match &self.written_out {
            Some(offsets) => offsets[..filled.min(LENGTH)].binary_search(&offset).ok(),
            None => usize::try_from(offset.checked_sub(self.first)?).ok().filter(|place| *place < filled),
        }
    }

    /// Whether the offsets of the block follow one another.
    pub(super) fn is_consecutive(&self) -> bool {
        self.written_out.is_none()
    }

    /// Fills `count` places from `place` (not 0) with consecutive offsets from `offset`.
    pub(super) fn append(&mut self, place: usize, offset: i64, count: usize) {
        if self.written_out.is_none() && self.first.saturating_add(place as i64) == offset {
            return;
        }
        let first = self.first;
        let offsets = self.written_out.get_or_insert_with(|| {
            let mut offsets = Box::new([0; LENGTH]);
            for (slot, value) in offsets[..place.min(LENGTH)].iter_mut().zip(first..) {
                *slot = value;
            }
            offsets
        });
        let end = place.saturating_add(count).min(LENGTH);
        for (slot, value) in offsets[place.min(end)..end].iter_mut().zip(offset..) {
            *slot = value;
        }
    }

    /// Heap bytes that belong to this block beyond the block itself.
    pub(super) fn memory(&self) -> usize {
        self.written_out.as_ref().map_or(0, |offsets| size_of_val(&**offsets))
    }
}

/// The bits of the places `from..to` (both at most 64).
pub(super) fn mask(from: u64, to: u64) -> u64 {
    let below = |place: u64| if place >= BLOCK { u64::MAX } else { (1 << place) - 1 };
    below(to) & !below(from)
}
