//! How long a delayed message waits: until it is as old as its topic's `delay_by`.
//!
//! Pure. The age is what the wall clock says beyond the message's timestamp. Guarantees: a message is never younger than the
//! delay by the clock of when it was read, nor by the clock of when it goes on; a timestamp that is ahead of the clock
//! lengthens the wait and never shortens it; and no wait is longer than the delay and [`MOST_AHEAD`], whatever timestamps
//! and clocks say.

use std::time::Duration;

use crate::instant::Instant;

/// A timestamp further ahead of the wall clock is no clock's error but a wrong value: such a message waits the whole delay
/// from when it was read, like one without a timestamp.
pub(crate) const MOST_AHEAD: Duration = Duration::from_secs(3_600);

/// Messages go on in steps of this, so that a stream of delayed ones does not wake the driver for each.
const STEP: u64 = 4_000_000;

/// The wait of one message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When to look at it again.
    pub(crate) due: Instant,
    /// When it goes on, whatever the clock says.
    latest: Instant,
}

impl Wait {
    pub(crate) const NONE: Self = Self { due: Instant::START, latest: Instant::START };
    #[cfg(feature = "planted")]
    pub(crate) const ENDLESS: Self = Self { due: Instant::NEVER, latest: Instant::NEVER };

    /// The wait of a message that was read now.
    pub(crate) fn of(by: Duration, now: Instant, timestamp: Option<i64>, wall: Option<i64>) -> Self {
        let left = left(by, timestamp, wall).unwrap_or(by);
        let latest = now + by + MOST_AHEAD;
        Self { due: if left.is_zero() { now } else { stepped(now + left).min(latest) }, latest }
    }

    /// Whether the wait is over. At its end the clock is asked once more, which may have been set back meanwhile: then it
    /// goes on.
    pub(crate) fn is_over(&mut self, by: Duration, now: Instant, timestamp: Option<i64>, wall: Option<i64>) -> bool {
        if now < self.due {
            return false;
        }
        match left(by, timestamp, wall) {
            Some(left) if !left.is_zero() && now < self.latest => {
                self.due = stepped(now + left).min(self.latest);
                false
            }
            _ => true,
        }
    }
}

/// What is left of the delay by the wall clock; `None` if timestamp and clock say nothing usable.
fn left(by: Duration, timestamp: Option<i64>, wall: Option<i64>) -> Option<Duration> {
    let (timestamp, wall) = (timestamp?, wall?);
    if is_wrong(timestamp, wall) {
        return None;
    }
    let ahead = timestamp.saturating_sub(wall);
    let size = Duration::from_millis(ahead.unsigned_abs());
    Some(if ahead > 0 { by + size } else { by.saturating_sub(size) })
}

/// Whether a timestamp is so far ahead of the clock that it is no clock's error.
pub(crate) fn is_wrong(timestamp: i64, wall: i64) -> bool {
    i128::from(timestamp) - i128::from(wall) > MOST_AHEAD.as_millis() as i128
}

/// The end of the step in which an instant lies.
fn stepped(instant: Instant) -> Instant {
    instant.as_nanos().checked_next_multiple_of(STEP).map_or(Instant::NEVER, Instant::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BY: Duration = Duration::from_secs(60);
    const HOUR_MS: i64 = 3_600_000;

    fn seconds(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_message_waits_until_it_is_old_enough() {
        let due = |timestamp| Wait::of(BY, seconds(100), timestamp, Some(10_000_000)).due;
        assert_eq!(due(Some(10_000_000)), seconds(160));
        assert_eq!(due(Some(10_000_000 - 20_000)), seconds(140));
        assert_eq!(due(Some(10_000_000 - 60_000)), seconds(100));
        assert_eq!(due(Some(i64::MIN)), seconds(100));
        assert_eq!(due(None), seconds(160), "no timestamp: from when it was read");
        assert_eq!(Wait::of(BY, seconds(100), Some(5), None).due, seconds(160), "no clock: the same");
    }

    #[test]
    fn a_timestamp_ahead_of_the_clock_lengthens_the_wait_and_a_wrong_one_is_no_timestamp() {
        let due = |ahead| Wait::of(BY, seconds(100), Some(1_000 + ahead), Some(1_000)).due;
        assert_eq!(due(5_000), seconds(165));
        assert_eq!(due(HOUR_MS), seconds(160 + 3_600));
        assert_eq!(due(HOUR_MS + 1), seconds(160));
        assert_eq!(Wait::of(BY, seconds(100), Some(i64::MAX), Some(i64::MIN)).due, seconds(160));
    }

    #[test]
    fn the_wall_clock_lengthens_a_wait_that_runs_and_never_shortens_it() {
        let read = Some(1_000_000);
        let mut wait = Wait::of(BY, seconds(0), read, Some(1_000_000));
        assert!(!wait.is_over(BY, seconds(10), read, Some(9_000_000)), "the clock leapt ahead");
        assert!(!wait.is_over(BY, seconds(60), read, Some(1_030_000)), "it was set back by 30 s");
        assert_eq!(wait.due, seconds(90));
        assert!(wait.is_over(BY, seconds(90), read, Some(1_060_000)));
        let mut stopped = Wait::of(BY, seconds(0), read, Some(1_000_000));
        let mut now = seconds(0);
        while !stopped.is_over(BY, now, read, Some(1_000_000)) {
            assert!(stopped.due > now);
            now = stopped.due;
        }
        assert_eq!(now, seconds(3_660), "a clock that stands still");
    }

    proptest! {
        #[test]
        fn no_wait_is_early_and_every_wait_ends(
            by in 1_u64..100_000, ahead in -200_000_i64..200_000, now in 0_u64..1 << 40, jump in -200_000_i64..200_000
        ) {
            let by = Duration::from_millis(by);
            let (now, wall) = (Instant::from_nanos(now), 1_700_000_000_000);
            let timestamp = Some(wall + ahead);
            let mut wait = Wait::of(by, now, timestamp, Some(wall));
            let mut later = now;
            let mut said = wall;
            while !wait.is_over(by, later, timestamp, Some(said)) {
                prop_assert!(wait.due > later, "a pause of nothing");
                later = wait.due;
                said = wall + jump + later.since(now).as_millis() as i64;
            }
            let passed = later.since(now).as_millis() as i64;
            prop_assert!(passed - ahead >= by.as_millis() as i64);
            prop_assert!(said - wall - ahead >= by.as_millis() as i64);
            prop_assert!(later <= now + by + MOST_AHEAD);
        }
    }
}
