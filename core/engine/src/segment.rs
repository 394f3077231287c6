//! Which records of a topic belong to one of its parallel segments.
//!
//! Pure; the engine asks for each message that is delivered. The same record belongs to the same segment in every process and
//! after each restart: the numbers are a promise, since each segment's group commits what it has passed over as done.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::Record;

/// Another seed than the partitioner's: else all keys of a segment would fall into few of the virtual partitions.
const SEED: u64 = u64::from_be_bytes(*b"segments");

/// One of `count` segments of a topic: the records that its consumer group handles; all others are done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    index: u32,
    count: u32,
}

impl Segment {
    /// The segment `index` of `count`. A single one holds everything; a count of 0 counts as 1.
    pub fn new(index: u32, count: u32) -> Self {
        Self { index, count: count.max(1) }
    }

    /// The number of the segment to which a record belongs: of its key's hash, or of its offset's when it has no key.
    pub fn of<M: Record>(message: &M, count: u32) -> u32 {
        let hash = match message.key() {
            Some(key) => xxh3_64_with_seed(key, SEED),
            None => xxh3_64_with_seed(&message.offset().to_le_bytes(), !SEED),
        };
        (hash % u64::from(count.max(1))) as u32
    }

    /// Whether a record belongs to this segment.
    pub fn holds<M: Record>(self, message: &M) -> bool {
        Self::of(message, self.count) == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keyed(Option<String>, i64);

    impl Record for Keyed {
        fn offset(&self) -> i64 {
            self.1
        }
        fn key(&self) -> Option<&[u8]> {
            self.0.as_deref().map(str::as_bytes)
        }
        fn bytes(&self) -> u32 {
            0
        }
    }

    #[test]
    fn every_record_belongs_to_one_segment_and_all_segments_have_some() {
        // Miri takes minutes for thousands of them.
        let (counts, records) = if cfg!(miri) { (&[1, 2][..], 100) } else { (&[1, 2, 3, 7][..], 1_000) };
        for &count in counts {
            let mut sizes = vec![0; count as usize];
            for number in 0..records {
                let record = Keyed((number % 2 == 0).then(|| format!("key-{number}")), number);
                let holders: Vec<u32> = (0..count).filter(|index| Segment::new(*index, count).holds(&record)).collect();
                assert_eq!(holders, [Segment::of(&record, count)]);
                sizes[holders[0] as usize] += 1;
            }
            let least = records / i64::from(count) * 7 / 10;
            assert!(sizes.iter().all(|size| *size >= least), "{sizes:?}");
        }
    }

    /// Documented to survive restarts and upgrades.
    #[test]
    fn the_segment_of_a_key_never_changes() {
        let of = |key: &str| Segment::of(&Keyed(Some(key.to_owned()), 0), 4);
        assert_eq!([of("N14228"), of("N24211"), of(""), of("order-1")], [3, 1, 2, 0]);
    }
}
