//! Points in time as the engine sees them.
//!
//! The engine reads no clock: whoever drives it (the poller's loop, a simulator) passes `now` along with every event. An
//! instant is a number of nanoseconds since a start that only the driver knows; it must never go back.

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since an arbitrary start, from a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start itself.
    pub const START: Self = Self(0);
    /// Later than everything that can be reached: 584 years after the start.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanoseconds` after the start.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_stop_at_never() {
        assert_eq!(Instant::START + Duration::from_micros(2), Instant::from_nanos(2_000));
        assert_eq!(Instant::from_nanos(5) + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::NEVER + Duration::from_nanos(1), Instant::NEVER);
    }

    #[test]
    fn time_since_a_later_instant_is_zero() {
        assert_eq!(Instant::from_nanos(7).since(Instant::from_nanos(4)), Duration::from_nanos(3));
        assert_eq!(Instant::from_nanos(4).since(Instant::from_nanos(7)), Duration::ZERO);
    }
}
