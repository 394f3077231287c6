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
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(60), factor: 2.0 }
    }
}

impl Backoff {
    /// The wait after the `failures`-th failure in a row, counted from 1.
    pub fn delay(&self, failures: u32) -> Duration {
        let longest = self.longest.max(SHORTEST);
        let first = self.first.clamp(SHORTEST, longest);
        let factor = if self.factor >= 1.0 { self.factor } else { 1.0 };
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = first.as_secs_f64() * factor.powi(exponent);
        // Compared before the conversion: a Duration cannot hold every f64, and an infinite one ends up here too.
        if seconds < longest.as_secs_f64() { Duration::from_secs_f64(seconds) } else { longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1), factor: 2.0 };
        let waits: Vec<u128> = (1..=6).map(|failures| backoff.delay(failures).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn a_back_off_of_nothing_still_waits() {
        let backoff = Backoff { first: Duration::ZERO, longest: Duration::ZERO, factor: f64::NAN };
        assert_eq!(backoff.delay(1), SHORTEST);
        assert_eq!(backoff.delay(u32::MAX), SHORTEST);
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_never_exceed_the_longest(
            first in 0_u64..10_000, longest in 0_u64..100_000, factor in 0.0_f64..1e9, failures in 1_u32..2_000
        ) {
            let backoff =
                Backoff { first: Duration::from_millis(first), longest: Duration::from_millis(longest), factor };
            let (wait, next) = (backoff.delay(failures), backoff.delay(failures + 1));
            prop_assert!(wait <= next && next <= backoff.longest.max(SHORTEST) && wait >= SHORTEST);
        }
    }
}
