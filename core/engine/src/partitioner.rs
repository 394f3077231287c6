//! Which virtual partition a message belongs to. Pure: the same message and seed give the same answer in every process.

use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::options::VirtualPartitions;
use crate::record::Record;

/// Where all messages go whose partitioner failed. Any constant serves; this one is unlikely to be a user's value.
const FAILED: u64 = 0x6b61_726b_6166_6b61;

/// The virtual partition of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The one named by this number, shared with every message that has the same.
    Shared(u64),
    /// One of its own; the number only names it.
    Alone(u64),
    /// Only the user's partitioner knows.
    Ask,
}

/// The number under which a key's messages are kept together: 64-bit xxh3 with the engine's seed.
pub fn hash_key(key: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(key, seed)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Partitioner {
    mode: VirtualPartitions,
    seed: u64,
}

impl Partitioner {
    pub(crate) fn new(mode: VirtualPartitions, seed: u64) -> Self {
        Self { mode, seed }
    }

    pub(crate) fn route<M: Record>(&self, message: &M) -> Route {
        match self.mode {
            VirtualPartitions::Off => Route::Shared(0),
            VirtualPartitions::ByKey => match message.key() {
                Some(key) => Route::Shared(xxh3_64_with_seed(key, self.seed)),
                None => Route::Alone(self.of_offset(message)),
            },
            VirtualPartitions::Fixed(count) => {
                // Keyless messages have no order to keep, but they must land in one of the fixed few.
                let hash = match message.key() {
                    Some(key) => xxh3_64_with_seed(key, self.seed),
                    None => self.of_offset(message),
                };
                Route::Shared(hash % u64::from(count.max(1)))
            }
            VirtualPartitions::RoundRobin(_) => Route::Alone(self.of_offset(message)),
            VirtualPartitions::Callback => Route::Ask,
        }
    }

    /// The route for an answer of the user's partitioner; `None`: it failed.
    pub(crate) fn answered(answer: Option<u64>) -> Route {
        Route::Shared(answer.unwrap_or(FAILED))
    }

    fn of_offset<M: Record>(&self, message: &M) -> u64 {
        // Another seed than the keys': a key may consist of the very bytes of an offset, and must not share its name.
        xxh3_64_with_seed(&message.offset().to_le_bytes(), !self.seed)
    }
}

/// The hash of a number by which [`Spread`] keeps it.
#[inline]
pub(crate) fn spread(value: u64) -> u64 {
    let product = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

/// Hashes the `u64` that names a virtual partition: key hashes are random already, a partitioner's answers may be small
/// numbers, so one multiplication spreads them over the bits the table looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = spread(value);
    }
}

impl BuildHasher for Spread {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keyed(Option<&'static [u8]>, i64);

    impl Record for Keyed {
        fn offset(&self) -> i64 {
            self.1
        }
        fn key(&self) -> Option<&[u8]> {
            self.0
        }
        fn bytes(&self) -> u32 {
            0
        }
    }

    #[test]
    fn one_key_has_one_virtual_partition_and_keyless_messages_have_their_own() {
        let partitioner = Partitioner::new(VirtualPartitions::ByKey, 7);
        let first = partitioner.route(&Keyed(Some(b"a"), 1));
        assert_eq!(first, partitioner.route(&Keyed(Some(b"a"), 2)));
        assert_ne!(first, partitioner.route(&Keyed(Some(b"b"), 3)));
        assert!(matches!(first, Route::Shared(_)));
        assert!(matches!(partitioner.route(&Keyed(None, 4)), Route::Alone(_)));
        // An empty key is a key.
        assert_eq!(partitioner.route(&Keyed(Some(b""), 5)), partitioner.route(&Keyed(Some(b""), 6)));
    }

    #[test]
    fn a_key_that_looks_like_an_offset_does_not_share_the_name_of_a_keyless_message() {
        let partitioner = Partitioner::new(VirtualPartitions::ByKey, 7);
        let Route::Shared(keyed) = partitioner.route(&Keyed(Some(&[5, 0, 0, 0, 0, 0, 0, 0]), 1)) else {
            return;
        };
        assert_ne!(partitioner.route(&Keyed(None, 5)), Route::Alone(keyed));
    }

    /// The placement of keys in fixed mode is documented to survive restarts and upgrades: these numbers are a promise.
    #[test]
    fn fixed_placement_never_changes() {
        let partitioner = Partitioner::new(VirtualPartitions::Fixed(8), 0);
        let placed: Vec<Route> = [b"N14228".as_slice(), b"N24211", b"", b"order-1"]
            .into_iter()
            .map(|key| partitioner.route(&Keyed(Some(Box::leak(key.to_vec().into_boxed_slice())), 0)))
            .collect();
        let expected = [6, 5, 2, 6].map(Route::Shared);
        assert_eq!(placed, expected);
    }

    #[test]
    fn fixed_takes_every_message_and_zero_counts_as_one() {
        for count in [0, 1, 3, 64] {
            let partitioner = Partitioner::new(VirtualPartitions::Fixed(count), 1);
            for offset in 0..200 {
                let route = partitioner.route(&Keyed(None, offset));
                assert!(matches!(route, Route::Shared(place) if place < u64::from(count.max(1))), "{route:?}");
            }
        }
    }
}
