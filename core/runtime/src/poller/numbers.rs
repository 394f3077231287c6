//! Tables by numbers that the core gives out itself: of assignments, jobs, queues.
//!
//! Used by the poller, which looks into one for every job and every read. Such numbers are small and nobody's input, so one
//! multiplication spreads them where a hash that is safe from collisions on purpose takes ten times as long.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

pub(super) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;
pub(super) type Numbers<K> = HashSet<K, BuildHasherDefault<Mix>>;

/// Mixes the integers that a key is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        // The table looks at the highest and at the lowest bits.
        let product = (self.0.rotate_left(32) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, Hash};

    fn hash(key: impl Hash) -> u64 {
        BuildHasherDefault::<Mix>::default().hash_one(key)
    }

    #[test]
    fn small_numbers_spread_over_the_bits_that_a_table_looks_at() {
        let lowest: HashSet<u64> = (0..1024_u32).map(|slot| hash((slot, 1_u32)) & 4095).collect();
        let highest: HashSet<u64> = (0..128_u32).map(|slot| hash((slot, 1_u32)) >> 57).collect();
        // By chance 1024 of 4096 places would be some 906, and 128 of 128 some 81.
        assert!(lowest.len() > 800, "{} of 1024 places", lowest.len());
        assert!(highest.len() > 60, "{} of 128 marks", highest.len());
    }

    #[test]
    fn both_parts_of_a_number_count() {
        let hashes: HashSet<u64> =
            (0..64_u32).flat_map(|slot| (0..64_u32).map(move |epoch| hash((slot, epoch)))).collect();
        assert_eq!(hashes.len(), 64 * 64);
    }
}
