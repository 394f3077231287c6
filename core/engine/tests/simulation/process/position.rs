//! What users do to positions: a handler that pauses or seeks in the midst of a call, a caller that seeks from outside.

use std::time::Duration;

use super::Process;
use crate::group::Context;
use crate::history::{End, Event, Origin, Place};
use crate::scenario::Fault;

/// Percent of the seeks that librdkafka refuses.
const REFUSED: u64 = 20;

impl Process {
    /// A handler does something in the midst of its call.
    pub(super) fn midway(&mut self, number: u64, context: &mut Context<'_>) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let may = |fault: Fault, context: &mut Context<'_>| {
            !context.healed && context.scenario.faults.contains(&fault) && context.random.chance(20)
        };
        if may(Fault::Pause, context) {
            let (job, now) = (call.job.id, context.queue.now + self.ahead);
            let after = context.random.duration(Duration::from_millis(1), Duration::from_secs(2));
            call.paused = true;
            self.engine.pause_from(job, context.random.chance(70).then(|| now + after));
            if context.random.chance(20) {
                call.paused = false;
                self.engine.resume_from(job);
            } else {
                self.resume_later(after * 2, context);
            }
        } else if may(Fault::Seek, context) {
            let (place, owner) = (call.place, call.owner);
            if self.held.get(&place).is_some_and(|held| held.id == owner.assignment) {
                self.seek(place, context);
            }
        } else {
            self.handler.midway(&mut self.engine, call, context);
        }
    }

    /// The user moves a partition on or back. The fetching is moved first, which may fail; only then the engine hears of
    /// it.
    pub(super) fn seek(&mut self, place: Place, context: &mut Context<'_>) {
        let now = self.now(context);
        let Some(held) = self.held.get(&place) else { return };
        let Some(log) = context.broker.logs.get(&place) else { return };
        // Who seeks beyond the end has skipped the rest, of which nothing is committed until a record follows.
        let Some(last) = log.last_readable() else { return };
        let reach = (held.position - log.start).max(1) as u64;
        let to = match context.random.below(4) {
            0 => held.position + 5,
            1 => log.start - context.random.below(5) as i64,
            _ => log.start + context.random.below(reach) as i64,
        };
        let (to, log_epoch, generation, id) = (to.clamp(0, last), log.epoch, held.generation, held.id);
        if !self.engine.can_seek(now, id, to) || context.random.chance(REFUSED) {
            return;
        }
        context.add(Event::Gone { owner: self.owner_of(&self.held[&place]), place, end: End::Lost });
        self.put_back(context, |call| call.job.assignment == id);
        if !self.engine.seek(now, id, to) {
            self.defect(format!("{place:?}: a seek to {to} was refused after it was granted"), context);
        }
        self.handler.seek(id);
        let Some(held) = self.held.get_mut(&place) else { return };
        (held.era, held.position, held.start, held.log_epoch, held.marked_until) = (held.era + 1, to, to, log_epoch, 0);
        let (owner, origin, done) = (self.owner_of(&self.held[&place]), Origin::Seek, Vec::new());
        context.add(Event::Assigned { owner, place, generation, origin, start: to, done });
    }
}
