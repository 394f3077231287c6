//! The consumer group's coordinator: who owns which partition, and whose commits are taken.
//!
//! A partition changes hands when its owner released it, when the rebalance timeout is over, or when the owner's session
//! ended. A process that lost a partition that way hears of it later than the next owner begins: both run for a while, and
//! the commits of the first are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karafka_engine::{CommitFailure, Instant, TransactionEnd, metadata};

use crate::broker::{Broker, Log};
use crate::history::{Event, History, Owner, Place};
use crate::queue::{CommitRequest, GroupEvent, Happening, ProcessEvent, Queue, TransactionPart, TransactionRequest};
use crate::random::Random;
use crate::scenario::{Protocol, Scenario};

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
    /// Until when no broker answers.
    pub outage: Instant,
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

    pub fn add(&mut self, event: Event) {
        self.history.add(self.queue.now, event);
    }

    pub fn is_outage(&self) -> bool {
        self.queue.now < self.outage
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
                let owned =
                    |(&place, ownership): (&Place, &Ownership)| (ownership.owner == Some(process)).then_some(place);
                let places: Vec<Place> = self.places.iter().filter_map(owned).collect();
                for place in places {
                    self.take(place, context);
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
                    self.give_all(context);
                }
            }
            GroupEvent::RebalanceTimeout { place, generation } => {
                let awaited = |found: &Ownership| found.revoking && found.generation == generation;
                if self.places.get(&place).is_some_and(awaited) {
                    self.take(place, context);
                    self.give_all(context);
                }
            }
            GroupEvent::Commit(request) => self.commit(request, context),
            GroupEvent::Transaction(request) => self.end_transaction(request, context),
        }
    }

    /// Distributes the partitions anew.
    pub fn rebalance(&mut self, context: &mut Context<'_>) {
        let members: Vec<u32> = self.members.iter().copied().collect();
        for (&place, ownership) in &mut self.places {
            let target = (!members.is_empty()).then(|| context.random.pick(&members));
            ownership.target = target;
            let goes = ownership.owner != target || context.scenario.protocol == Protocol::Eager;
            if let Some(owner) = ownership.owner.filter(|_| goes && !ownership.revoking) {
                ownership.revoking = true;
                let generation = ownership.generation;
                context.tell(owner, ProcessEvent::Revoke { place, generation });
                let timeout = Happening::Group(GroupEvent::RebalanceTimeout { place, generation });
                context.queue.plan(context.scenario.rebalance_timeout, timeout);
            }
        }
        self.give_all(context);
    }

    /// Somebody sets the group's offset by hand, after its owner was thrown out.
    pub fn move_offset(&mut self, place: Place, context: &mut Context<'_>) {
        self.take(place, context);
        let Some(log) = context.broker.logs.get_mut(&place) else { return };
        let (position, metadata) = log.committed.clone().unwrap_or((log.start, String::new()));
        let last = log.last_readable().unwrap_or(log.start);
        let anywhere = log.start + context.random.below((last - log.start + 20) as u64) as i64;
        let position = if context.random.chance(60) { anywhere } else { position };
        let metadata = match context.random.below(6) {
            0 => String::new(),
            1 => "karafka/1;damaged;".to_owned(),
            2 => "karafka/2;AAAA;something".to_owned(),
            3 => "another program's text".to_owned(),
            4 => "karafka/".repeat(600),
            _ => metadata,
        };
        log.committed = Some((position, metadata));
        context.add(Event::Moved { place, position });
        self.give_all(context);
    }

    /// Takes a partition from its owner, who hears of it.
    fn take(&mut self, place: Place, context: &mut Context<'_>) {
        let Some(ownership) = self.places.get_mut(&place) else {
            return;
        };
        ownership.revoking = false;
        let generation = ownership.generation;
        if let Some(process) = ownership.owner.take() {
            context.add(Event::Taken { place, generation });
            context.tell(process, ProcessEvent::Lose { place, generation });
        }
    }

    /// Gives out what is free. The classic protocols wait until everybody has given up what goes; in the new one each
    /// partition moves as soon as it can.
    fn give_all(&mut self, context: &mut Context<'_>) {
        let waits = self.places.values().any(|ownership| ownership.revoking);
        if waits && context.scenario.protocol != Protocol::Kip848 {
            return;
        }
        for (&place, ownership) in &mut self.places {
            let target = ownership.target.filter(|target| self.members.contains(target));
            let Some(target) = target.filter(|_| ownership.owner.is_none()) else {
                continue;
            };
            ownership.owner = Some(target);
            ownership.generation += 1;
            let generation = ownership.generation;
            let Some(log) = context.broker.logs.get(&place) else { continue };
            let (committed, log_epoch) = (log.committed.clone(), log.epoch);
            context.tell(target, ProcessEvent::Assign { place, generation, committed, log_epoch });
        }
    }

    fn commit(&mut self, request: CommitRequest, context: &mut Context<'_>) {
        let CommitRequest { process, place, owner: Owner { assignment, .. }, id, .. } = request;
        let unanswered = context.is_outage() || context.chance_of_failure(30);
        let result = self.apply(request, context);
        if result.is_err() || unanswered {
            context.add(Event::Refused { place });
        }
        if unanswered {
            // The client gives up waiting, and knows nothing.
            let after = context.random.duration(Duration::from_millis(300), Duration::from_secs(5));
            let result = Err(CommitFailure::Retriable);
            let answer = ProcessEvent::CommitAnswered { assignment, id, result };
            context.queue.plan(after, Happening::Process(process, answer));
        } else {
            context.tell(process, ProcessEvent::CommitAnswered { assignment, id, result });
        }
    }

    /// All of a transaction counts or nothing of it. Where the answer gets lost, the process finds it out later.
    fn end_transaction(&mut self, request: TransactionRequest, context: &mut Context<'_>) {
        let TransactionRequest { process, number, parts } = request;
        let fails = context.chance_of_failure(100);
        let counts = |part: &TransactionPart| {
            let owned = |found: &Ownership| found.owner == Some(process) && found.generation == part.generation;
            let is_same = |log: &Log| log.epoch == part.log_epoch;
            self.places.get(&part.place).is_some_and(owned) && context.broker.logs.get(&part.place).is_some_and(is_same)
        };
        let fits = |part: &TransactionPart| part.metadata.len() <= context.scenario.broker_limit;
        let end = match !fails && parts.iter().all(counts) {
            true if parts.iter().all(fits) => TransactionEnd::Committed,
            true => TransactionEnd::MetadataTooLarge,
            false => TransactionEnd::Aborted,
        };
        let committed = end == TransactionEnd::Committed;
        for TransactionPart { place, owner, position, metadata, outputs, .. } in parts {
            if let Some(log) = context.broker.logs.get_mut(&place).filter(|_| committed) {
                let done = metadata::decode(position, &metadata).done.runs().to_vec();
                log.committed = Some((position, metadata));
                context.add(Event::Transacted { owner, place, position, done, outputs });
            } else {
                context.add(Event::Refused { place });
            }
        }
        let lost = context.chance_of_failure(50);
        let mut after = context.latency();
        if lost {
            after += context.random.duration(Duration::from_millis(300), Duration::from_secs(5));
            context.add(Event::Hindered { process: Some(process), until: context.queue.now + after });
        }
        context.queue.plan(after, Happening::Process(process, ProcessEvent::TransactionAnswered { number, end }));
    }

    fn apply(&mut self, request: CommitRequest, context: &mut Context<'_>) -> Result<(), CommitFailure> {
        let CommitRequest { process, place, generation, log_epoch, owner, id, position, metadata } = request;
        let owned = |found: &Ownership| found.owner == Some(process) && found.generation == generation;
        if !self.places.get(&place).is_some_and(owned) {
            return Err(CommitFailure::NotOwned);
        }
        let rebalancing = self.places.values().any(|ownership| ownership.revoking) && context.chance_of_failure(20);
        if context.is_outage() || context.chance_of_failure(100) || rebalancing {
            let fatal = context.random.chance(20);
            return Err(if fatal { CommitFailure::Fatal } else { CommitFailure::Retriable });
        }
        if metadata.len() > context.scenario.broker_limit {
            return Err(CommitFailure::MetadataTooLarge);
        }
        let Some(log) = context.broker.logs.get_mut(&place).filter(|log| log.epoch == log_epoch) else {
            return Err(CommitFailure::Retriable);
        };
        log.committed = Some((position, metadata));
        context.add(Event::Committed { owner, place, id });
        Ok(())
    }
}

impl Context<'_> {
    /// Whether a commit meets a failure that comes in `percent` of the cases in which this scenario's commits fail.
    fn chance_of_failure(&mut self, percent: u64) -> bool {
        !self.healed && self.random.chance(self.scenario.commit_failures) && self.random.chance(percent)
    }
}
