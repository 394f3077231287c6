//! When a group of this process gets another connection, and when one of them leaves.
//!
//! Pure: the poller asks, and does what is decided. One change at a time, and none before the group has stood still for the
//! delay, since every change is a rebalance. Never more than the most, never fewer than the least.

use std::time::{Duration, Instant};

/// A connection that never had a partition counts as empty only after this long: joining a group takes a while.
const JOINING: Duration = Duration::from_secs(10);

/// Between how many connections a group of this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) min: usize,
    pub(super) max: usize,
    /// Those that the app starts with.
    pub(super) boot: usize,
    /// The time between two changes, and between a change of the assignment and the next of them.
    pub(super) delay: Duration,
}

impl Limits {
    /// One connection, always.
    pub(super) const ONE: Self = Self { min: 1, max: 1, boot: 1, delay: Duration::from_secs(60) };

    /// What the options say: a least of 0 is the most, and with a boot of 0 the app starts with half of the most.
    pub(super) fn new(min: u32, max: u32, boot: u32, delay: Duration) -> Self {
        let max = (max as usize).max(1);
        let min = if min == 0 { max } else { (min as usize).min(max) };
        let boot = if boot == 0 { max / 2 } else { boot as usize }.clamp(min, max);
        Self { min, max, boot, delay }
    }

    pub(super) fn is_dynamic(&self) -> bool {
        self.min < self.max
    }
}

/// One connection, as the decision sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) partitions: usize,
    /// In the midst of a rebalance, or leaving: what it has is not settled.
    pub(super) is_busy: bool,
    /// Since when there is this connection.
    pub(super) since: Instant,
}

/// What is remembered of a group between decisions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// When partitions moved last, or a connection came or went.
    pub(super) changed: Instant,
    /// Partitions that the process had when a connection left for having none: with no more than these, another one would
    /// get none either.
    pub(super) enough_for: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// All is as it should be, until something moves.
    Stay,
    /// Something is to be done then, if nothing moves.
    Wait(Instant),
    Start,
    /// This one leaves, by its place in the list.
    Stop(usize),
}

/// Decides for one group.
pub(super) fn decide(limits: &Limits, memory: &Memory, connections: &[Connection], now: Instant) -> Decision {
    if !limits.is_dynamic() || connections.iter().any(|connection| connection.is_busy) {
        return Decision::Stay;
    }
    let settled = memory.changed + limits.delay;
    let (decision, due) = if connections.len() < limits.min {
        (Decision::Start, settled)
    } else if let Some(place) = connections.iter().rposition(|connection| connection.partitions == 0)
        && let Some(empty) = connections.get(place)
        && connections.len() > limits.min
    {
        (Decision::Stop(place), settled.max(empty.since + JOINING))
    } else {
        let held: usize = connections.iter().map(|connection| connection.partitions).sum();
        let is_crowded = connections.iter().any(|connection| connection.partitions > 1);
        if !is_crowded || held <= memory.enough_for || connections.len() >= limits.max {
            return Decision::Stay;
        }
        (Decision::Start, settled)
    };
    if now >= due { decision } else { Decision::Wait(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn decided(limits: (u32, u32), held: &[usize], enough_for: usize, after: Duration) -> Decision {
        let limits = Limits::new(limits.0, limits.1, 0, MINUTE);
        let start = Instant::now();
        let one = |&partitions: &usize| Connection { partitions, is_busy: false, since: start };
        let connections: Vec<_> = held.iter().map(one).collect();
        let decision = decide(&limits, &Memory { changed: start, enough_for }, &connections, start + after);
        match decision {
            Decision::Wait(at) => {
                assert_eq!(at, start + MINUTE);
                decision
            }
            other => other,
        }
    }

    #[test]
    fn the_table_of_decisions() {
        use Decision::{Start, Stay, Stop};
        for (limits, held, enough_for, expected) in [
            // Static: nothing ever.
            ((0, 3), &[9, 9, 0][..], 0, Stay),
            ((1, 1), &[9], 0, Stay),
            // Crowded: one more, up to the most.
            ((1, 3), &[2], 0, Start),
            ((1, 3), &[4, 1], 0, Start),
            ((1, 3), &[2, 2, 2], 0, Stay),
            // One partition each: enough.
            ((1, 3), &[1, 1], 0, Stay),
            // Empty: one leaves, the latest, never below the least.
            ((1, 3), &[1, 0, 0], 0, Stop(2)),
            ((1, 3), &[0, 1, 1], 0, Stop(0)),
            ((1, 3), &[0], 0, Stay),
            ((2, 3), &[0, 0], 0, Stay),
            ((2, 3), &[0, 0, 0], 0, Stop(2)),
            // An empty one leaves even beside a crowded one: the group would not give it any.
            ((1, 3), &[3, 0], 0, Stop(1)),
            // And none is started again until the process has more partitions than it had then.
            ((1, 3), &[3], 3, Stay),
            ((1, 3), &[4], 3, Start),
            // A connection that could not be made again.
            ((2, 3), &[1], 0, Start),
            ((2, 3), &[], 0, Start),
        ] {
            let after = decided(limits, held, enough_for, MINUTE);
            assert_eq!(after, expected, "{limits:?} {held:?} {enough_for}");
            let before = decided(limits, held, enough_for, MINUTE.saturating_sub(Duration::from_millis(1)));
            assert_eq!(matches!(before, Decision::Wait(_)), expected != Stay, "{limits:?} {held:?}");
        }
    }

    #[test]
    fn nothing_changes_while_something_moves() {
        let start = Instant::now();
        let limits = Limits::new(1, 3, 0, Duration::ZERO);
        let one = |partitions, is_busy| Connection { partitions, is_busy, since: start };
        let memory = Memory { changed: start, enough_for: 0 };
        let connections = [one(5, false), one(0, true)];
        assert_eq!(decide(&limits, &memory, &connections, start + MINUTE), Decision::Stay);
        let connections = [one(5, false), one(0, false)];
        assert_eq!(decide(&limits, &memory, &connections, start + JOINING), Decision::Stop(1));
        // One that has just joined is not taken for an empty one, however short the delay is.
        let early = decide(&limits, &memory, &connections, start + Duration::from_secs(9));
        assert_eq!(early, Decision::Wait(start + JOINING));
    }

    #[test]
    fn what_the_options_leave_open() {
        let limits = |min, max, boot| {
            let limits = Limits::new(min, max, boot, MINUTE);
            (limits.min, limits.boot, limits.max)
        };
        assert_eq!(limits(0, 4, 0), (4, 4, 4));
        assert_eq!(limits(1, 4, 0), (1, 2, 4));
        assert_eq!(limits(3, 4, 0), (3, 3, 4));
        assert_eq!(limits(1, 4, 4), (1, 4, 4));
        assert_eq!(limits(0, 1, 0), (1, 1, 1));
    }
}
