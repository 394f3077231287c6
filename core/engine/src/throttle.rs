//! How many messages of a throttled partition were given to calls, in a window that slides.
//!
//! Owned by the intake of one assignment, used by the engine's one thread. A message counts when the call begins that gets
//! it, again with each attempt: from handing it out until it is known to have begun it takes its place, then for the
//! interval. Guarantee: in no half-open interval of that length do more than `limit` messages begin. Calls that begin close
//! to one another are remembered together, by the time of the last, so that the memory is bounded whatever the limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::instant::Instant;
use crate::options::Throttle;

/// The shortest interval: with one of nothing, a full window would be looked at without a pause.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest, so that every wait ends.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Calls are told apart in steps of this part of the interval.
const STEPS: u32 = 1_024;

/// Calls that began close to one another.
#[derive(Clone, Copy, Debug)]
struct Begun {
    first: Instant,
    last: Instant,
    messages: u64,
}

#[derive(Debug)]
pub(crate) struct Window {
    limit: u64,
    interval: Duration,
    begun: VecDeque<Begun>,
    /// The sum over `begun`.
    counted: u64,
    /// Messages of calls that were handed out and may not have begun.
    handed_out: u64,
}

impl Window {
    pub(crate) fn new(throttle: Throttle) -> Self {
        Self {
            limit: u64::from(throttle.limit.max(1)),
            interval: throttle.interval.clamp(SHORTEST, LONGEST),
            begun: VecDeque::new(),
            counted: 0,
            handed_out: 0,
        }
    }

    /// How many messages may be handed out now.
    #[inline]
    pub(crate) fn room(&mut self, now: Instant) -> u64 {
        while let Some(oldest) = self.begun.front().filter(|oldest| oldest.last + self.interval <= now) {
            self.counted -= oldest.messages;
            self.begun.pop_front();
        }
        self.limit.saturating_sub(self.counted + self.handed_out)
    }

    /// When there may be room, while there is none: later than now, and not later than there is. A call that has not begun
    /// yet keeps its place for at least the interval from now.
    pub(crate) fn opens(&self, now: Instant) -> Instant {
        self.begun.front().map_or(now, |oldest| oldest.last) + self.interval
    }

    pub(crate) fn hand_out(&mut self, messages: u64) {
        self.handed_out += messages;
    }

    /// A call that was handed out did not begin, and will not.
    pub(crate) fn take_back(&mut self, messages: u64) {
        self.handed_out = self.handed_out.saturating_sub(messages);
    }

    /// A call that was handed out began at `at`. What is told late, after a later call, counts as if it had begun with that.
    pub(crate) fn begin(&mut self, messages: u64, at: Instant) {
        self.take_back(messages);
        self.counted += messages;
        let at = self.begun.back().map_or(at, |newest| newest.last.max(at));
        let step = self.interval / STEPS;
        if let Some(newest) = self.begun.back_mut().filter(|newest| at.since(newest.first) < step) {
            newest.last = at;
            newest.messages += messages;
        } else {
            self.begun.push_back(Begun { first: at, last: at, messages });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(milliseconds: u64) -> Instant {
        Instant::START + Duration::from_millis(milliseconds)
    }

    fn window(limit: u32, interval: Duration) -> Window {
        Window::new(Throttle { limit, interval })
    }

    #[test]
    fn a_place_is_free_again_an_interval_after_the_call_began() {
        let mut window = window(3, SECOND);
        assert_eq!(window.room(at(0)), 3);
        window.hand_out(2);
        window.hand_out(1);
        assert_eq!((window.room(at(0)), window.opens(at(0))), (0, at(1_000)));
        // Nothing has begun: the place is taken, however long ago it was handed out.
        assert_eq!((window.room(at(5_000)), window.opens(at(5_000))), (0, at(6_000)));
        window.begin(2, at(4_000));
        assert_eq!((window.room(at(4_999)), window.opens(at(4_999))), (0, at(5_000)));
        assert_eq!((window.room(at(5_000)), window.opens(at(5_000))), (2, at(6_000)));
        window.take_back(1);
        assert_eq!(window.room(at(5_000)), 3);
    }

    #[test]
    fn a_limit_or_an_interval_of_nothing_neither_blocks_nor_spins() {
        let mut window = window(0, Duration::ZERO);
        assert_eq!(window.room(at(0)), 1);
        window.hand_out(1);
        window.begin(1, at(0));
        assert_eq!((window.room(at(0)), window.opens(at(0))), (0, at(1)));
        let mut endless = self::window(1, Duration::MAX);
        endless.hand_out(1);
        assert!(endless.opens(at(0)) < Instant::NEVER);
    }

    #[test]
    fn memory_is_bounded_however_many_calls_there_are() {
        let mut window = window(u32::MAX, SECOND);
        // Three windows; Miri is slow.
        let calls = if cfg!(miri) { 1_500 } else { 3_000_000 };
        for call in 0..calls {
            let now = Instant::from_nanos(call * (3_000_000_000 / calls));
            assert!(window.room(now) > 0);
            window.hand_out(1);
            window.begin(1, now);
        }
        assert!(window.begun.len() <= STEPS as usize + 1, "{}", window.begun.len());
    }

    proptest! {
        /// Calls of any size that begin any time after they were handed out, told in any order: no interval has more than
        /// the limit, and a full window opens when it says.
        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            limit in 1_u32..20, interval in 1_u64..2_000,
            steps in prop::collection::vec((0_u64..300, 1_u64..10, 0_usize..4, 0_u8..4), 1..if cfg!(miri) { 40 } else { 200 })
        ) {
            let mut window = window(limit, Duration::from_millis(interval));
            let (mut now, mut out, mut begun) = (0, Vec::new(), Vec::new());
            for (wait, wanted, which, what) in steps {
                now += wait;
                let room = window.room(at(now));
                if what < 3 && room > 0 {
                    let messages = wanted.min(room);
                    window.hand_out(messages);
                    out.push(messages);
                } else if !out.is_empty() {
                    let messages = out.remove(which % out.len());
                    if what == 0 {
                        window.take_back(messages);
                    } else {
                        window.begin(messages, at(now));
                        begun.push((now, messages));
                    }
                }
                if window.room(at(now)) == 0 {
                    let opens = window.opens(at(now));
                    prop_assert!(opens > at(now));
                    if out.is_empty() {
                        prop_assert!(opens <= at(now + interval));
                        prop_assert!(window.begun.front().is_some_and(|oldest| oldest.last + window.interval == opens));
                    }
                }
            }
            for &(from, _) in &begun {
                let held: u64 =
                    begun.iter().filter(|(at, _)| (from..from + interval).contains(at)).map(|(_, count)| count).sum();
                prop_assert!(held <= u64::from(limit), "{held} in the {interval} ms from {from}");
            }
        }
    }
}
