//! The world of one run: broker, group, processes and faults, in virtual time, on one thread.

mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::Instant;

use crate::broker::Broker;
use crate::group::{Context, Group};
use crate::history::{Event, History, Place};
use crate::intake::wall;
use crate::process::Process;
use crate::queue::{GroupEvent, Happening, ProcessEvent, Queue};
use crate::random::Random;
use crate::scenario::{MUST_BE_DRAINED, Scenario};

/// More events than any run needs: beyond this, something runs in circles.
const MOST_EVENTS: u64 = 1_000_000;

struct World {
    scenario: Scenario,
    random: Random,
    queue: Queue,
    broker: Broker,
    group: Group,
    /// Boxed: each is taken out for what it does, and they are large.
    processes: BTreeMap<u32, Box<Process>>,
    /// What frozen processes will hear when they go on.
    frozen: BTreeMap<u32, Vec<ProcessEvent>>,
    started: u32,
    /// Processes to be started again, by the number they will have.
    starting: BTreeMap<u32, Instant>,
    history: History,
    healed: bool,
    /// Until when no broker answers.
    outage: Instant,
}

/// Lives through the run of a scenario; everything that happens follows from it and the seed.
pub fn run(seed: u64, scenario: Scenario) -> History {
    let mut world = World::new(seed, scenario);
    let mut events = 0;
    while !world.is_drained() {
        let Some(happening) = world.queue.next() else { break };
        events += 1;
        if events > MOST_EVENTS || world.queue.now > Instant::START + MUST_BE_DRAINED {
            break;
        }
        world.happen(happening);
    }
    world.finish();
    world.history
}

impl World {
    fn new(seed: u64, scenario: Scenario) -> Self {
        let mut world = Self {
            scenario,
            random: Random::new(seed ^ 0x5eed),
            queue: Queue::default(),
            broker: Broker::default(),
            group: Group::default(),
            processes: BTreeMap::new(),
            frozen: BTreeMap::new(),
            started: 0,
            starting: BTreeMap::new(),
            history: History::default(),
            healed: false,
            outage: Instant::START,
        };
        world.history.metadata_limit = world.scenario.engine.metadata_limit;
        world.history.broker_limit = world.scenario.broker_limit;
        for topic in 0..world.scenario.topics.len() {
            world.history.topics.push(world.scenario.topics[topic].options);
            world.history.pools.push(world.scenario.pool_of(topic));
            for partition in 0..world.scenario.topics[topic].partitions {
                let place = Place { topic, partition };
                world.broker.create(place, &mut world.random);
                world.group.create(place);
                world.plan_records(place);
            }
        }
        for _ in 0..world.scenario.processes {
            let after = world.random.duration(Duration::from_millis(1), Duration::from_secs(2));
            world.plan_start(after);
        }
        world.queue.plan(world.scenario.fault_interval, Happening::Fault);
        world.queue.plan(world.scenario.faults_end, Happening::Heal);
        world
    }

    /// Some records are there from the beginning, the others come while faults happen.
    fn plan_records(&mut self, place: Place) {
        let mut left = self.scenario.topics[place.topic].records;
        let latest = self.scenario.faults_end.as_millis() as u64 * 4 / 5;
        while left > 0 {
            let records = left.min(self.random.between(1, 60) as u32);
            left -= records;
            let after = Duration::from_millis(if self.random.chance(40) { 0 } else { self.random.below(latest) });
            self.queue.plan(after, Happening::Produce { place, records });
        }
    }

    fn plan_start(&mut self, after: Duration) {
        self.started += 1;
        self.starting.insert(self.started, self.queue.now + after);
        self.queue.plan(after, Happening::Group(GroupEvent::Joins { process: self.started }));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Produce { place, records } => self.produce(place, records),
            Happening::TransactionEnds { transaction, commits } => {
                self.broker.end(transaction, commits, &mut self.history, &self.queue);
                for place in self.places() {
                    self.reveal(place);
                }
            }
            Happening::Process(number, event) => self.tell(number, event),
            Happening::Thaw(number) => {
                for event in self.frozen.remove(&number).unwrap_or_default() {
                    self.tell(number, event);
                }
                // Had its session ended, it joins anew; if not, this changes nothing but who owns what.
                self.group_event(GroupEvent::Joins { process: number });
            }
            Happening::Group(event) => self.group_event(event),
            Happening::Fault => self.fault(),
            Happening::Heal => self.heal(),
        }
    }

    fn places(&self) -> Vec<Place> {
        self.broker.logs.keys().copied().collect()
    }

    fn produce(&mut self, place: Place, records: u32) {
        let topic = &self.scenario.topics[place.topic];
        let transaction = self.random.chance(self.scenario.transactions).then(|| self.broker.begin());
        self.broker.append(place, records, transaction, topic, wall(self.queue.now), &mut self.random);
        if let Some(transaction) = transaction {
            let after = self.random.duration(Duration::from_millis(1), Duration::from_secs(2));
            let commits = self.random.chance(60);
            self.queue.plan(after, Happening::TransactionEnds { transaction, commits });
        }
        self.reveal(place);
    }

    fn reveal(&mut self, place: Place) {
        self.broker.reveal(place, &self.scenario.topics[place.topic], &mut self.history, &self.queue);
        for &process in self.processes.keys() {
            self.queue.plan(Duration::ZERO, Happening::Process(process, ProcessEvent::Wake));
        }
    }

    fn tell(&mut self, number: u32, event: ProcessEvent) {
        if let Some(unheard) = self.frozen.get_mut(&number) {
            unheard.push(event);
            return;
        }
        self.with_process(number, |process, context| process.handle(event, context));
    }

    fn group_event(&mut self, event: GroupEvent) {
        // A coordinator that is away hears nothing, and counts no time; commits get lost.
        if self.queue.now < self.outage && !matches!(event, GroupEvent::Commit(_)) {
            self.queue.plan_at(self.outage, Happening::Group(event));
            return;
        }
        match event {
            GroupEvent::Joins { process } => {
                if self.starting.remove(&process).is_some() {
                    let born = Process::new(process, &self.scenario, &mut self.random);
                    self.processes.insert(process, Box::new(born));
                    self.with_process(process, Process::introduce);
                }
                if !self.processes.contains_key(&process) {
                    return;
                }
            }
            // Handlers still running end with their process.
            GroupEvent::Leaves { process } => self.end(process),
            // A freeze that ended in time kept the session.
            GroupEvent::SessionEnds { process }
                if self.processes.contains_key(&process) && !self.frozen.contains_key(&process) =>
            {
                return;
            }
            _ => {}
        }
        let (group, mut context) = self.split();
        group.handle(event, &mut context);
    }

    fn end(&mut self, process: u32) {
        if self.processes.remove(&process).is_some() {
            self.frozen.remove(&process);
            self.history.add(self.queue.now, Event::Crashed { process });
        }
    }

    fn with_process(&mut self, number: u32, act: impl FnOnce(&mut Process, &mut Context<'_>)) {
        let Some(mut process) = self.processes.remove(&number) else {
            return;
        };
        let (_, mut context) = self.split();
        act(&mut process, &mut context);
        let starts_again = process.take_end();
        self.processes.insert(number, process);
        if starts_again {
            self.plan_start(Duration::from_secs(1));
        }
    }

    fn split(&mut self) -> (&mut Group, Context<'_>) {
        let context = Context {
            scenario: &self.scenario,
            random: &mut self.random,
            queue: &mut self.queue,
            broker: &mut self.broker,
            history: &mut self.history,
            healed: self.healed,
            outage: self.outage,
        };
        (&mut self.group, context)
    }

    /// Whether everything is produced, handled and committed.
    fn is_drained(&self) -> bool {
        self.healed && self.unfinished().next().is_none()
    }

    fn unfinished(&self) -> impl Iterator<Item = String> + '_ {
        self.broker.logs.iter().filter_map(|(place, log)| {
            let last = log.last_readable()?;
            let committed = log.committed.as_ref().map(|(position, _)| *position);
            (committed <= Some(last)).then(|| format!("{place:?}: committed {committed:?}, last record {last}"))
        })
    }

    fn finish(&mut self) {
        let end = |(place, log): (&Place, &crate::broker::Log)| {
            (*place, log.committed.as_ref().map(|(position, _)| *position), log.last_readable())
        };
        self.history.ends = self.broker.logs.iter().map(end).collect();
        self.history.unfinished = self.unfinished().collect();
        if !self.history.unfinished.is_empty() {
            self.history.unfinished.push(format!("at {:?}, {:?}", self.queue.now, self.group));
            let processes = self.processes.values().map(|process| process.describe());
            self.history.unfinished.extend(processes);
        }
    }
}
