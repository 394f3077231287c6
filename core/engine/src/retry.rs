//! How long a virtual partition waits after its handler failed.

use std::time::Duration;

/// The shortest wait: a back-off of nothing would be a busy loop around a handler that always fails.
const SHORTEST: Duration = Duration::from_millis(1);

/// Exponential back-off: `first`, then `factor` times the previous wait, at most `longest`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The wait after the first failure. At least one millisecond is waited, whatever is written here.
    pub first: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
    /// What each wait is multiplied with to get the next; anything below 1 counts as 1.
    pub factor: f64,
    /// The share of a wait that chance may take away, from 0 to 1, so that what failed together does not come again
    /// together.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(60), factor: 2.0, jitter: 0.0 }
    }
}

impl Backoff {
    /// The wait after the `failures`-th failure in a row, counted from 1. `who` decides what chance takes away: the same
    /// answer for the same number.
    pub fn delay(&self, failures: u32, who: u64) -> Duration {
        let whole = self.longest_delay(failures);
        if self.jitter > 0.0 {
            let chance = (draw(who ^ u64::from(failures).rotate_left(32)) >> 11) as f64 / (1_u64 << 53) as f64;
            return whole.mul_f64(1.0 - self.jitter.min(1.0) * chance).max(SHORTEST);
        }
        whole
    }

    fn longest_delay(&self, failures: u32) -> Duration {
        let longest = self.longest.max(SHORTEST);
        let first = self.first.clamp(SHORTEST, longest);
        let factor = if self.factor >= 1.0 { self.factor } else { 1.0 };
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = first.as_secs_f64() * factor.powi(exponent);
        // Compared before the conversion: a Duration cannot hold every f64, and an infinite one ends up here too.
        if seconds < longest.as_secs_f64() { Duration::from_secs_f64(seconds) } else { longest }
    }
}

/// A number that looks like chance, of which equal seeds have the same (splitmix64).
fn draw(seed: u64) -> u64 {
    let mut number = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let backoff =
            Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1), factor: 2.0, jitter: 0.0 };
        let waits: Vec<u128> = (1..=6).map(|failures| backoff.delay(failures, 7).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn a_back_off_of_nothing_still_waits() {
        let backoff = Backoff { first: Duration::ZERO, longest: Duration::ZERO, factor: f64::NAN, jitter: 1.0 };
        assert_eq!(backoff.delay(1, 7), SHORTEST);
        assert_eq!(backoff.delay(u32::MAX, 7), SHORTEST);
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_never_exceed_the_longest(
            first in 0_u64..10_000, longest in 0_u64..100_000, factor in 0.0_f64..1e9, failures in 1_u32..2_000
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let backoff = Backoff { first, longest, factor, jitter: 0.0 };
            let (wait, next) = (backoff.delay(failures, 7), backoff.delay(failures + 1, 7));
            prop_assert!(wait <= next && next <= backoff.longest.max(SHORTEST) && wait >= SHORTEST);
        }

        #[test]
        fn chance_shortens_a_wait_by_its_share_and_no_more(
            who: u64, failures in 1_u32..40, jitter in 0.0_f64..1.0
        ) {
            let without = Backoff::default();
            let with = Backoff { jitter, ..without };
            let (wait, whole) = (with.delay(failures, who), without.delay(failures, who));
            prop_assert!(wait <= whole && wait >= whole.mul_f64(1.0 - jitter).saturating_sub(SHORTEST));
            prop_assert_eq!(wait, with.delay(failures, who));
        }
    }
}
