//! Ticks: calls without messages, an interval after the last activity of a consumer, also when no message ever came.
//!
//! Called by the engine on its one thread. One timer an assignment, set for the consumer that is due first. A consumer is
//! active when one of its calls ends; a tick that is over before the next one is due counts from when it was handed out, so
//! that ticks do not drift. Guarantees: no tick earlier than an interval after the last activity; none while the consumer is
//! in a call, waits for a seat with messages, is paused or retried (unless that is asked for), or waits for jobs of an earlier
//! ownership; none once the partition is being given up, nor while the engine is quiet. What is due then comes as soon as
//! nothing stands in its way.

use std::time::Duration;

use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::JobKind;
use crate::record::Record;
use crate::timers::Timer;
use crate::virtual_partition::State;

/// When a topic's consumers are called without messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periodic {
    /// The time from a consumer's last activity to its tick.
    pub interval: Duration,
    /// Also while the user paused the partition.
    pub during_pause: bool,
    /// Also while messages of the consumer wait for another attempt.
    pub during_retry: bool,
}

/// Ticks are put off by at most this, and at most a twentieth of their interval, to a moment that those of all partitions
/// share: so a hundred of them wake the process once.
const PUT_OFF: Duration = Duration::from_millis(50);

/// The shortest interval: one of nothing would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(1);

impl Periodic {
    /// When a consumer is due that was active last at `active`.
    fn due(&self, active: Instant) -> Instant {
        let interval = self.interval.max(SHORTEST);
        let step = u64::try_from((interval / 20).min(PUT_OFF).as_nanos()).unwrap_or(1).max(1);
        let due = (active + interval).as_nanos();
        Instant::from_nanos(due.div_ceil(step).saturating_mul(step))
    }
}

impl<M: Record> Engine<M> {
    /// Sets the timer of an assignment's next tick, if none is set that comes before.
    pub(crate) fn arm_ticks(&mut self, id: AssignmentId) {
        let quiet = self.quiet;
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let Some(periodic) = assignment.options.periodic else {
            return;
        };
        if quiet || !assignment.may_tick(&periodic) {
            return;
        }
        let Some(consumers) = &assignment.consumers else {
            return;
        };
        let waits =
            |(name, consumer): &(u64, &Consumer)| !consumer.tick_due && assignment.waits_for_tick(*name, &periodic);
        let next = consumers.present().filter(waits).map(|(_, consumer)| periodic.due(consumer.active)).min();
        if let Some(next) = next
            && next < consumers.armed
            && let Some(consumers) = &mut assignment.consumers
        {
            consumers.armed = next;
            self.timers.set(next, Timer::Periodic(id));
        }
    }

    /// The same for all of them: what kept them all from ticking is over.
    pub(crate) fn arm_all_ticks(&mut self) {
        let all: Vec<AssignmentId> = self.assignments.iter().map(|(id, _)| id).collect();
        for id in all {
            self.arm_ticks(id);
        }
    }

    /// The timer of an assignment's ticks is due.
    pub(crate) fn ticks_due(&mut self, now: Instant, id: AssignmentId) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let (Some(consumers), Some(periodic)) = (&mut assignment.consumers, assignment.options.periodic) else {
            return;
        };
        if consumers.armed > now {
            return;
        }
        consumers.armed = Instant::NEVER;
        if self.quiet {
            return;
        }
        let Some(assignment) = self.assignments.get(id).filter(|found| found.may_tick(&periodic)) else {
            return;
        };
        let due = |(name, consumer): &(u64, &Consumer)| {
            !consumer.tick_due && periodic.due(consumer.active) <= now && assignment.waits_for_tick(*name, &periodic)
        };
        let present = assignment.consumers.iter().flat_map(|consumers| consumers.present());
        let names: Vec<u64> = present.filter(due).map(|(name, _)| name).collect();
        for name in names {
            self.call_consumer(id, JobKind::Tick, name);
        }
        self.arm_ticks(id);
    }

    /// Whether a tick that is due may be handed out now.
    pub(crate) fn is_tick_wanted(&self, id: AssignmentId, name: u64) -> bool {
        let Some(assignment) = self.assignments.get(id) else {
            return false;
        };
        let (Some(periodic), Some(consumers)) = (assignment.options.periodic, assignment.consumers.as_deref()) else {
            return false;
        };
        // Messages may have had their turn since.
        let due = consumers.get(name).is_some_and(|consumer| periodic.due(consumer.active) <= self.clock);
        due && assignment.may_tick(&periodic) && assignment.waits_for_tick(name, &periodic)
    }
}

impl<M> Assignment<M> {
    fn may_tick(&self, periodic: &Periodic) -> bool {
        let paused = self.paused_until.is_some() && !periodic.during_pause;
        self.stage == Stage::Active && !paused && !self.waits_for_others()
    }

    /// Whether nothing but time keeps a consumer from its tick.
    fn waits_for_tick(&self, name: u64, periodic: &Periodic) -> bool {
        let Some(consumers) = &self.consumers else {
            return false;
        };
        if !consumers.get(name).is_some_and(Consumer::is_idle) {
            return false;
        }
        // What is about to be handed out is activity; a pause or a throttle holds it.
        let ready = self.paused_until.is_none() && !self.is_throttled();
        if consumers.is_whole {
            let busy = self.running_jobs > 0 || (ready && (self.mailboxes.has_ready() || self.can_ask_partitioner()));
            return !busy && (periodic.during_retry || !self.mailboxes.is_retrying());
        }
        match self.mailboxes.state_of(name) {
            None | Some(State::Idle | State::Lingering) => true,
            Some(State::Running | State::Dispatching | State::Blocked) => false,
            Some(State::Ready) => !ready && (periodic.during_retry || !self.mailboxes.has_failed(name)),
            Some(State::BackingOff) => periodic.during_retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_never_early_and_late_by_a_twentieth_at_most() {
        for (milliseconds, most) in [(1, 1), (100, 5), (1_000, 50), (5_000, 50), (60_000, 50)] {
            let interval = Duration::from_millis(milliseconds);
            let periodic = Periodic { interval, during_pause: true, during_retry: false };
            for at in (0..2_000_000_000_u64).step_by(12_345_678) {
                let active = Instant::from_nanos(at);
                let late = periodic.due(active).since(active + interval);
                assert!(periodic.due(active) >= active + interval && late <= Duration::from_millis(most), "{late:?}");
            }
        }
    }

    #[test]
    fn an_interval_of_nothing_still_waits() {
        let periodic = Periodic { interval: Duration::ZERO, during_pause: true, during_retry: true };
        assert!(periodic.due(Instant::START) > Instant::START);
    }
}
