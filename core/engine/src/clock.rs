//! The wall clock as the engine knows it: told by its driver now and then, and carried on by the monotonic clock.
//!
//! Only ages of messages are measured by it; every wait is a wait of the monotonic clock.

use crate::instant::Instant;

/// What the wall clock said, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock(Option<(Instant, i64)>);

impl WallClock {
    pub(crate) fn set(&mut self, now: Instant, milliseconds: i64) {
        self.0 = Some((now, milliseconds));
    }

    /// Milliseconds since 1970 at `now`; `None` as long as nobody said.
    pub(crate) fn at(self, now: Instant) -> Option<i64> {
        let (then, milliseconds) = self.0?;
        let passed = i64::try_from(now.since(then).as_millis()).unwrap_or(i64::MAX);
        Some(milliseconds.saturating_add(passed))
    }
}
