//! The consumer group's coordinator: who owns which partition, and whose commits are taken.
//!
//! A partition changes hands when its owner released it, when the rebalance timeout is over, or when the owner's session
//! ended. A process that lost a partition that way hears of it later than the next owner begins: both run for a while, and
//! the commits of the first are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karafka_engine::CommitFailure;

use crate::broker::Broker;
use crate::history::{Event, History, Place};
use crate::queue::{GroupEvent, Happening, ProcessEvent, Queue};
use crate::random::Random;
use crate::scenario::Scenario;

#[derive(Debug, Default)]
struct Ownership {
    generation: u32,
    owner: Option<u32>,
    target: Option<u32>,
    revoking: bool,
}

#[derive(Debug, Default)]
pub struct Group {
    members: BTreeSet<u32>,
    places: BTreeMap<Place, Ownership>,
}

/// Everything a member of the world may use while it handles an event.
pub struct Context<'a> {
    pub scenario: &'a Scenario,
    pub random: &'a mut Random,
    pub queue: &'a mut Queue,
    pub broker: &'a mut Broker,
    pub history: &'a mut History,
    pub healed: bool,
}

impl Context<'_> {
    pub fn latency(&mut self) -> Duration {
        self.random.duration(self.scenario.latency.0, self.scenario.latency.1)
    }

    pub fn tell(&mut self, process: u32, event: ProcessEvent) {
        let after = self.latency();
        self.queue.tell(after, process, event);
    }

    pub fn ask(&mut self, process: u32, event: GroupEvent) {
        let after = self.latency();
        self.queue.ask(after, process, event);
    }
}

impl Group {
    pub fn create(&mut self, place: Place) {
        self.places.insert(place, Ownership::default());
    }

    pub fn handle(&mut self, event: GroupEvent, context: &mut Context<'_>) {
        match event {
            GroupEvent::Joins { process } => {
                self.members.insert(process);
                self.rebalance(context);
            }
            GroupEvent::Leaves { process } | GroupEvent::SessionEnds { process } => {
                if !self.members.remove(&process) {
                    return;
                }
                for (&place, ownership) in &mut self.places {
                    if ownership.owner == Some(process) {
                        ownership.owner = None;
                        ownership.revoking = false;
                        let generation = ownership.generation;
                        context.tell(process, ProcessEvent::Lose { place, generation });
                    }
                }
                self.rebalance(context);
            }
            GroupEvent::Released { process, place, generation } => {
                let Some(ownership) = self.places.get_mut(&place) else {
                    return;
                };
                if ownership.owner == Some(process) && ownership.generation == generation {
                    ownership.owner = None;
                    ownership.revoking = false;
                    self.give(place, context);
                }
            }
            GroupEvent::RebalanceTimeout { place, generation } => {
                let Some(ownership) = self.places.get_mut(&place) else {
                    return;
                };
                if !ownership.revoking || ownership.generation != generation {
                    return;
                }
                ownership.revoking = false;
                if let Some(owner) = ownership.owner.take() {
                    context.tell(owner, ProcessEvent::Lose { place, generation });
                }
                self.give(place, context);
            }
            GroupEvent::Commit { process, place, generation, assignment, id, position, metadata } => {
                let failure = self.commit(process, place, generation, position, metadata, context);
                let result = failure.map_or(Ok(()), Err);
                context.tell(process, ProcessEvent::CommitAnswered { assignment, id, result });
            }
        }
    }

    /// Distributes the partitions anew.
    pub fn rebalance(&mut self, context: &mut Context<'_>) {
        let members: Vec<u32> = self.members.iter().copied().collect();
        let places: Vec<Place> = self.places.keys().copied().collect();
        for place in places {
            let target = (!members.is_empty()).then(|| context.random.pick(&members));
            let Some(ownership) = self.places.get_mut(&place) else {
                continue;
            };
            ownership.target = target;
            match ownership.owner {
                None => self.give(place, context),
                Some(owner) if (Some(owner) != target || context.scenario.eager) && !ownership.revoking => {
                    ownership.revoking = true;
                    let generation = ownership.generation;
                    context.tell(owner, ProcessEvent::Revoke { place, generation });
                    let timeout = Happening::Group(GroupEvent::RebalanceTimeout { place, generation });
                    context.queue.plan(context.scenario.rebalance_timeout, timeout);
                }
                Some(_) => {}
            }
        }
    }

    fn give(&mut self, place: Place, context: &mut Context<'_>) {
        let Some(ownership) = self.places.get_mut(&place) else {
            return;
        };
        let Some(target) = ownership.target.filter(|target| self.members.contains(target)) else {
            return;
        };
        ownership.owner = Some(target);
        ownership.generation += 1;
        let generation = ownership.generation;
        let committed = context.broker.logs.get(&place).and_then(|log| log.committed.clone());
        let (start, metadata) = committed.map_or((None, String::new()), |(start, metadata)| (Some(start), metadata));
        context.tell(target, ProcessEvent::Assign { place, generation, start, metadata });
    }

    fn commit(
        &mut self,
        process: u32,
        place: Place,
        generation: u32,
        position: i64,
        metadata: String,
        context: &mut Context<'_>,
    ) -> Option<CommitFailure> {
        let ownership = self.places.get(&place)?;
        if ownership.owner != Some(process) || ownership.generation != generation {
            return Some(CommitFailure::NotOwned);
        }
        let fails = !context.healed && context.random.chance(context.scenario.commit_failures);
        if fails && context.random.chance(50) {
            return Some(CommitFailure::Retriable);
        }
        let done = karafka_engine::metadata::decode(position, &metadata).done.runs().to_vec();
        context.history.add(context.queue.now, Event::Committed { place, position, done });
        if let Some(log) = context.broker.logs.get_mut(&place) {
            log.committed = Some((position, metadata));
        }
        // Applied, but the answer may get lost on the way.
        fails.then_some(CommitFailure::Retriable)
    }
}
