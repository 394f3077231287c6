//! The world of one run: broker, group, processes and faults, in virtual time, on one thread.

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::Instant;

use crate::broker::Broker;
use crate::group::{Context, Group};
use crate::history::{History, Place};
use crate::process::Process;
use crate::queue::{GroupEvent, Happening, ProcessEvent, Queue};
use crate::random::Random;
use crate::scenario::{FAULTS_END, Fault, MUST_BE_DRAINED, Scenario};

/// More events than any run needs: beyond this, something runs in circles.
const MOST_EVENTS: u64 = 1_000_000;

/// Never more processes than this at once.
const MOST_PROCESSES: usize = 5;

struct World {
    scenario: Scenario,
    random: Random,
    queue: Queue,
    broker: Broker,
    group: Group,
    processes: BTreeMap<u32, Process>,
    /// What frozen processes will hear when they go on.
    frozen: BTreeMap<u32, Vec<ProcessEvent>>,
    started: u32,
    /// Processes to be started again, by the number they will have.
    starting: BTreeMap<u32, Instant>,
    history: History,
    healed: bool,
}

/// Lives through the run that `seed` stands for.
pub fn run(seed: u64) -> History {
    let mut world = World::new(seed);
    let mut events = 0;
    while !world.is_drained() {
        let Some(happening) = world.queue.next() else { break };
        events += 1;
        if events > MOST_EVENTS || world.queue.now > Instant::START + MUST_BE_DRAINED {
            break;
        }
        world.happen(happening);
    }
    world.report_unfinished();
    world.history
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            scenario: Scenario::of(seed),
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
        };
        for topic in 0..world.scenario.topics.len() {
            for partition in 0..world.scenario.topics[topic].partitions {
                let place = Place { topic, partition };
                world.broker.create(place, &mut world.random);
                world.group.create(place);
                world.history.logs.insert(place, Vec::new());
                world.plan_records(place);
            }
        }
        for _ in 0..world.scenario.processes {
            let after = world.random.duration(Duration::from_millis(1), Duration::from_secs(2));
            world.plan_start(after);
        }
        world.queue.plan(world.scenario.fault_interval, Happening::Fault);
        world.queue.plan(FAULTS_END, Happening::Heal);
        world
    }

    /// Some records are there from the beginning, the others come while faults happen.
    fn plan_records(&mut self, place: Place) {
        let mut left = self.scenario.topics[place.topic].records;
        while left > 0 {
            let records = left.min(self.random.between(1, 60) as u32);
            left -= records;
            let after = Duration::from_millis(if self.random.chance(40) { 0 } else { self.random.below(10_000) });
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
            Happening::Produce { place, records } => {
                for _ in 0..records {
                    let topic = &self.scenario.topics[place.topic];
                    self.broker.append(place, topic, &mut self.random, &mut self.history);
                }
                for &process in self.processes.keys() {
                    self.queue.plan(Duration::ZERO, Happening::Process(process, ProcessEvent::Wake));
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

    fn tell(&mut self, number: u32, event: ProcessEvent) {
        if let Some(unheard) = self.frozen.get_mut(&number) {
            unheard.push(event);
            return;
        }
        self.with_process(number, |process, context| process.handle(event, context));
    }

    fn group_event(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Joins { process } => {
                if self.starting.remove(&process).is_some() {
                    self.processes.insert(process, Process::new(process, &self.scenario));
                }
                if !self.processes.contains_key(&process) {
                    return;
                }
            }
            // Handlers still running end with their process.
            GroupEvent::Leaves { process } => {
                self.processes.remove(&process);
            }
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

    fn fault(&mut self) {
        if self.healed {
            return;
        }
        let interval = self.scenario.fault_interval;
        let after = self.random.duration(interval / 10, interval * 2);
        self.queue.plan(after, Happening::Fault);
        if self.scenario.faults.is_empty() {
            return;
        }
        let fault = self.random.pick(&self.scenario.faults);
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        let victim = (!numbers.is_empty()).then(|| self.random.pick(&numbers));
        let after = self.random.duration(Duration::from_millis(50), Duration::from_secs(4));
        match (fault, victim) {
            (Fault::Crash, Some(victim)) => {
                self.processes.remove(&victim);
                self.frozen.remove(&victim);
                let ends = Happening::Group(GroupEvent::SessionEnds { process: victim });
                self.queue.plan(self.scenario.session_timeout, ends);
                self.plan_start(after);
            }
            (Fault::Freeze, Some(victim)) if !self.frozen.contains_key(&victim) => {
                self.frozen.insert(victim, Vec::new());
                let ends = Happening::Group(GroupEvent::SessionEnds { process: victim });
                self.queue.plan(self.scenario.session_timeout, ends);
                self.queue.plan(after, Happening::Thaw(victim));
            }
            (Fault::Join, _) if self.processes.len() + self.starting.len() < MOST_PROCESSES => self.plan_start(after),
            (Fault::Rebalance, _) => {
                let (group, mut context) = self.split();
                group.rebalance(&mut context);
            }
            (Fault::Crash | Fault::Freeze | Fault::Join, _) | (_, None) => {}
            (fault, Some(victim)) if !self.frozen.contains_key(&victim) => {
                if fault == Fault::Stop && !self.processes[&victim].is_stopping() {
                    self.plan_start(after);
                }
                self.with_process(victim, |process, context| process.disturb(fault, context));
            }
            _ => {}
        }
    }

    fn heal(&mut self) {
        self.healed = true;
        if self.processes.is_empty() && self.starting.is_empty() {
            self.plan_start(Duration::ZERO);
        }
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        for number in numbers {
            self.tell(number, ProcessEvent::Heal);
        }
    }

    fn with_process(&mut self, number: u32, act: impl FnOnce(&mut Process, &mut Context<'_>)) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        let mut context = Context {
            scenario: &self.scenario,
            random: &mut self.random,
            queue: &mut self.queue,
            broker: &mut self.broker,
            history: &mut self.history,
            healed: self.healed,
        };
        act(process, &mut context);
    }

    fn split(&mut self) -> (&mut Group, Context<'_>) {
        let context = Context {
            scenario: &self.scenario,
            random: &mut self.random,
            queue: &mut self.queue,
            broker: &mut self.broker,
            history: &mut self.history,
            healed: self.healed,
        };
        (&mut self.group, context)
    }

    /// Whether everything is produced, handled and committed.
    fn is_drained(&self) -> bool {
        self.healed && self.unfinished().next().is_none()
    }

    fn unfinished(&self) -> impl Iterator<Item = String> + '_ {
        self.broker.logs.iter().filter_map(|(place, log)| {
            let last = log.entries.last()?.0.offset;
            let committed = log.committed.as_ref().map(|(position, _)| *position);
            (committed <= Some(last)).then(|| format!("{place:?}: committed {committed:?}, last record {last}"))
        })
    }

    fn report_unfinished(&mut self) {
        self.history.unfinished = self.unfinished().collect();
        if !self.history.unfinished.is_empty() {
            self.history.unfinished.push(format!("at {:?}, {:?}", self.queue.now, self.group));
            let processes = self.processes.values().map(Process::describe);
            self.history.unfinished.extend(processes);
        }
    }
}
